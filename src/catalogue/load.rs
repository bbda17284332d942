//! Compiling the files of the catalogue; everything wrong is found in one go.

use super::definition::{ConditionSpec, Format, HoldSpec, InSpec, MessageSpec, OutSpec, RecipientSpec, RecordSpec};
use super::*;
use crate::code::Code;
use crate::codetable::Table;
use crate::outcome::Problem;
use crate::translation::rules::{RuleProblem, RuleSpec, descend, tokens};
use crate::validation::schema::Shape;

impl Catalogue {
    pub fn load(sources: &Sources) -> Result<Catalogue, Vec<Finding>> {
        let mut loader = Loader { sources, findings: Vec::new(), tables: Tables::new() };
        loader.load_tables();
        let names: Vec<&str> = sources.mappings.keys().filter_map(|file| file.strip_suffix("/message.yaml")).collect();
        let mut types = BTreeMap::new();
        for name in names {
            let Some(message) = loader.message(name) else {
                continue;
            };
            let file = format!("mappings/{name}/message.yaml");
            if types.insert(message.kind.clone(), Arc::new(message)).is_some() {
                loader.wrong(&file, None, Code::MappingInvalid, "type", "two files describe this type");
            }
        }
        loader.findings.extend(split::problems(&types));
        if types.is_empty() && loader.findings.is_empty() {
            loader.wrong("mappings", None, Code::MappingInvalid, "", "there is no message.yaml in here");
        }
        if !loader.findings.is_empty() {
            return Err(loader.findings);
        }
        let mappings = sources.mappings.iter().filter(|(file, _)| !file.contains("/cases/"));
        let version = sources::version(sources.schemas.iter().chain(mappings));
        Ok(Catalogue { types, tables: loader.tables, version })
    }
}

pub(super) struct Loader<'a> {
    sources: &'a Sources,
    findings: Vec<Finding>,
    tables: Tables,
}

impl Loader<'_> {
    pub(super) fn wrong(&mut self, file: &str, line: Option<u64>, code: Code, place: &str, hint: impl Into<String>) {
        self.findings.push(Finding::new(file, line, Problem::new(code, place, hint)));
    }

    fn load_tables(&mut self) {
        for (file, text) in &self.sources.mappings {
            let Some(name) = file.strip_prefix("codes/").and_then(|f| f.strip_suffix(".csv")) else {
                continue;
            };
            match Table::load(name, text) {
                Ok(table) => {
                    self.tables.insert(name.to_owned(), Arc::new(table));
                }
                Err(problems) => {
                    let file = format!("mappings/{file}");
                    self.findings.extend(problems.into_iter().map(|p| Finding::new(file.clone(), None, p)));
                }
            }
        }
    }

    fn message(&mut self, name: &str) -> Option<MessageType> {
        let file = format!("mappings/{name}/message.yaml");
        let spec: MessageSpec = self.yaml(&file, &format!("{name}/message.yaml"))?;
        let short = spec.r#type.strip_prefix(TYPE_PREFIX).unwrap_or(&spec.r#type);
        if short != name {
            self.wrong(&file, None, Code::MappingInvalid, "type", "the folder must be named after the type");
        }
        let canonical = self.canonical(&file, &spec.canonical)?;
        let answer = match &spec.answer {
            Some(answer) => Some(self.answer(&file, answer, &canonical)?),
            None => None,
        };
        let input = self.input(&file, &spec.r#in, &canonical)?;
        let split = match &spec.split {
            Some(split) => Some(split::load(self, &file, split, &input, &canonical)?),
            None => None,
        };
        let mut pointers = Pointers { loader: self, file: &file, shape: &canonical.shape };
        let conditions: Vec<Condition> = spec.conditions.iter().filter_map(|c| pointers.condition(c)).collect();
        let message = MessageType {
            name: short.rsplit_once(".v").map_or(short, |(name, _)| name).to_owned(),
            title: spec.title.clone(),
            internal: spec.internal,
            from: spec.from.iter().map(|role| Role::new(role.as_str())).collect(),
            bsn: pointers.bsn(spec.person.bsn.as_deref()),
            skn: pointers.optional(spec.person.skn.as_deref()),
            order: spec.order.as_ref().map(|o| o.key.iter().filter_map(|p| pointers.get(p)).collect()),
            in_force: pointers.in_force(&spec),
            checks: pointers.checks(&spec),
            own_gemeente: pointers.optional(spec.own_gemeente.as_deref()),
            request: pointers.request(&spec),
            hold: spec.hold.as_ref().and_then(|hold| pointers.hold(hold, &conditions)),
            conditions,
            recipients: spec.recipients.iter().filter_map(|r| pointers.recipient(r)).collect(),
            record: spec.record.as_ref().and_then(|r| pointers.record(r)),
            route: spec.route.as_ref().map(|route| pointers.route(route, &spec)),
            split,
            kind: spec.r#type,
            input,
            canonical,
            answer,
            out: Vec::new(),
        };
        let out = self.out_mappings(name, message.forwarded());
        let nowhere = match &message.split {
            Some(_) => split::goes_elsewhere(&message, &out),
            None => goes_nowhere(&message, &spec.recipients, spec.record.is_some(), &out),
        };
        if let Some(hint) = nowhere {
            self.wrong(&file, None, Code::MappingInvalid, "", hint);
        }
        Some(MessageType { out, ..message })
    }

    fn answer(&mut self, file: &str, spec: &definition::AnswerSpec, request: &Schema) -> Option<Answer> {
        let canonical = self.canonical(file, &spec.canonical)?;
        let carry = self.rules(file, &spec.carry, &request.shape, Some(&canonical.shape));
        if !carry.categories().is_empty() {
            let hint = "only bookkeeping (x-stuurgegeven) of a request may be carried into its answer";
            self.wrong(file, None, Code::MappingInvalid, "answer/carry", hint);
        }
        let facts = self.rules(file, &spec.facts, &crate::facts::Known::shape(), Some(&canonical.shape));
        let unprotected = |to: &&[String]| match descend(&canonical.shape, to) {
            Some(Shape::Leaf(leaf)) => leaf.category.is_none(),
            _ => true,
        };
        for to in facts.targets().filter(unprotected) {
            let hint = format!("`/{}` has no category: a fact goes only where policy decides about", to.join("/"));
            self.wrong(file, None, Code::MappingInvalid, "answer/facts", hint);
        }
        Some(Answer { kind: spec.r#type.clone(), canonical, carry, facts })
    }

    fn input(&mut self, file: &str, spec: &InSpec, canonical: &Schema) -> Option<Input> {
        let partner = match (&spec.schema, &spec.rules) {
            (Some(path), Some(rules)) => {
                let schema = self.schema(file, path)?;
                let problems = schema.open_problems();
                self.findings.extend(problems.into_iter().map(|p| Finding::new(format!("schemas/{path}"), None, p)));
                let rules = self.rules(file, rules, &schema.shape, Some(&canonical.shape));
                Some((schema, rules))
            }
            (None, None) => None,
            _ => {
                self.wrong(file, None, Code::MappingInvalid, "in", "give `schema` and `rules` together");
                return None;
            }
        };
        let xml = spec.format == Format::Xml;
        if xml && (spec.root.is_none() || spec.namespace.is_none() || partner.is_none()) {
            let hint = "XML needs `root`, `namespace`, `schema` and `rules`";
            self.wrong(file, None, Code::MappingInvalid, "in", hint);
            return None;
        }
        Some(Input {
            format: spec.format,
            root: spec.root.clone().unwrap_or_default(),
            namespace: spec.namespace.clone().unwrap_or_default(),
            partner,
        })
    }

    fn out_mappings(&mut self, name: &str, forwarded: &Schema) -> Vec<OutMapping> {
        let prefix = format!("{name}/out.");
        let files: Vec<String> = (self.sources.mappings.keys())
            .filter(|f| f.starts_with(&prefix) && f.ends_with(".yaml"))
            .cloned()
            .collect();
        files.iter().filter_map(|path| self.out_mapping(path, &prefix, forwarded)).collect()
    }

    fn out_mapping(&mut self, path: &str, prefix: &str, forwarded: &Schema) -> Option<OutMapping> {
        let file = format!("mappings/{path}");
        let spec: OutSpec = self.yaml(&file, path)?;
        let label = path.strip_prefix(prefix)?.strip_suffix(".yaml")?;
        let (role, format_name) = match label.rsplit_once('.') {
            Some((role, format)) => (Some(Role::new(role)), format),
            None => (None, label),
        };
        let schema = match &spec.schema {
            Some(schema) => Some(self.schema(&file, schema)?),
            None => None,
        };
        let rules = self.rules(&file, &spec.rules, &forwarded.shape, schema.as_ref().map(|s| &s.shape));
        let xml = match (spec.format, spec.root, spec.namespace) {
            (Format::Json, None, None) => None,
            (Format::Xml, Some(root), Some(namespace)) => Some((root, namespace)),
            _ => {
                let hint = "XML needs `root` and `namespace`; JSON has neither";
                self.wrong(&file, None, Code::MappingInvalid, "format", hint);
                return None;
            }
        };
        let never = ["slachtoffer", "netwerk", "sociaal"];
        for category in rules.categories().iter().filter(|c| never.contains(&c.as_str())) {
            let hint = format!("reads a field of `{category}`, which never leaves");
            self.wrong(&file, None, Code::MappingInvalid, "rules", hint);
        }
        let mapping = Mapping::new(rules, xml, schema);
        Some(OutMapping { role, format_name: format_name.to_owned(), mapping })
    }

    pub(super) fn rules(&mut self, file: &str, specs: &[RuleSpec], source: &Shape, target: Option<&Shape>) -> Rules {
        let mut problems = Vec::new();
        let rules = Rules::compile(specs, source, target, &self.tables, &mut problems);
        for RuleProblem { line, hint } in problems {
            self.wrong(file, Some(line), Code::MappingInvalid, "", hint);
        }
        rules
    }

    fn canonical(&mut self, file: &str, path: &str) -> Option<Schema> {
        let schema = self.schema(file, path)?;
        let problems = schema.category_problems().into_iter().chain(schema.open_problems());
        self.findings.extend(problems.map(|p| Finding::new(format!("schemas/{path}"), None, p)));
        Some(schema)
    }

    fn schema(&mut self, file: &str, path: &str) -> Option<Schema> {
        let Some(text) = self.sources.schemas.get(path) else {
            self.wrong(file, None, Code::MappingInvalid, "schema", format!("there is no file schemas/{path}"));
            return None;
        };
        match Schema::compile(text) {
            Ok(schema) => Some(schema),
            Err(problem) => {
                self.findings.push(Finding::new(format!("schemas/{path}"), None, problem));
                None
            }
        }
    }

    fn yaml<T: serde::de::DeserializeOwned>(&mut self, file: &str, path: &str) -> Option<T> {
        match serde_saphyr::from_str(&self.sources.mappings[path]) {
            Ok(value) => Some(value),
            Err(error) => {
                let line = error.location().map(|l| l.line());
                let message = error.to_string();
                let hint = message.lines().next().unwrap_or_default();
                self.wrong(file, line, Code::MappingInvalid, "", hint);
                None
            }
        }
    }
}

/// A message goes to recipients, or is kept as a record and goes to nobody.
fn goes_nowhere(
    message: &MessageType,
    recipients: &[RecipientSpec],
    is_record: bool,
    out: &[OutMapping],
) -> Option<&'static str> {
    match (is_record, recipients.is_empty()) {
        (false, true) => Some("give `recipients`, or `record` for what is kept as a fact, or `split` for a list"),
        (false, false) => out.is_empty().then_some("there is no out.<format>.yaml beside it"),
        (true, false) => Some("a `record` goes to nobody: it has no `recipients`"),
        (true, true) if !out.is_empty() || message.answer.is_some() || message.order.is_some() => Some(
            "a `record` is neither sent nor answered, and the newest of an id counts: no out.*, `answer` or `order`",
        ),
        (true, true) => None,
    }
}

/// Resolves pointers of a message file against its canonical schema.
pub(super) struct Pointers<'a, 's> {
    loader: &'a mut Loader<'s>,
    file: &'a str,
    shape: &'a Shape,
}

impl Pointers<'_, '_> {
    fn get(&mut self, pointer: &str) -> Option<Pointer> {
        let found = tokens(pointer).and_then(|tokens| match descend(self.shape, &tokens) {
            Some(_) => Ok(tokens),
            None => Err(format!("the canonical schema has no place `{pointer}`")),
        });
        found.map_err(|hint| self.wrong_at(pointer, hint)).ok()
    }

    fn optional(&mut self, pointer: Option<&str>) -> Option<Pointer> {
        pointer.and_then(|p| self.get(p))
    }

    /// A BSN that the schema does not know for one would go wherever other personal numbers go.
    fn bsn(&mut self, pointer: Option<&str>) -> Option<Pointer> {
        let place = self.optional(pointer)?;
        if !matches!(descend(self.shape, &place), Some(Shape::Leaf(leaf)) if leaf.bsn) {
            self.wrong("`person.bsn` must point to a field with `\"format\": \"bsn\"`");
        }
        Some(place)
    }

    /// At the first line that holds `what` as a whole.
    pub(super) fn wrong_at(&mut self, what: &str, hint: impl Into<String>) {
        let goes_on = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
        let holds = |line: &str| line.match_indices(what).any(|(at, _)| !line[at + what.len()..].starts_with(goes_on));
        let text = self.file.strip_prefix("mappings/").and_then(|file| self.loader.sources.mappings.get(file));
        let line = text.and_then(|text| text.lines().position(holds));
        let line = line.map(|index| index as u64 + 1);
        self.loader.wrong(self.file, line, Code::MappingInvalid, "", hint);
    }

    pub(super) fn wrong(&mut self, hint: impl Into<String>) {
        self.loader.wrong(self.file, None, Code::MappingInvalid, "", hint);
    }

    fn table(&mut self, name: &str) {
        if !self.loader.tables.contains_key(name) {
            self.wrong_at(&format!("table: {name}"), format!("unknown code table `{name}`"));
        }
    }

    fn in_force(&mut self, spec: &MessageSpec) -> Vec<InForce> {
        let mut all = Vec::new();
        for table in &spec.tables {
            self.table(&table.table);
            let on = self.optional(table.on.as_deref());
            all.extend(self.get(&table.at).map(|at| InForce { at, table: table.table.clone(), on }));
        }
        all
    }

    fn checks(&mut self, spec: &MessageSpec) -> Vec<Check> {
        let mut all = Vec::new();
        for check in &spec.checks {
            let rule = match (&check.not_before, &check.equal, &check.one_of_present) {
                (Some([a, b]), None, None) => self.get(a).zip(self.get(b)).map(|(a, b)| CheckRule::NotBefore(a, b)),
                (None, Some([a, b]), None) => self.get(a).zip(self.get(b)).map(|(a, b)| CheckRule::Equal(a, b)),
                (None, None, Some(places)) => {
                    Some(CheckRule::OneOfPresent(places.iter().filter_map(|p| self.get(p)).collect()))
                }
                _ => {
                    self.wrong("a check is exactly one of not_before, equal and one_of_present");
                    None
                }
            };
            all.extend(rule.map(|rule| Check { rule, hint: check.hint.clone() }));
        }
        all
    }

    fn request(&mut self, spec: &MessageSpec) -> Request {
        let Some(request) = &spec.request else {
            return Request::default();
        };
        Request {
            grond: self.optional(request.grond.as_deref()),
            doel: self.optional(request.doel.as_deref()),
            uitzondering: self.optional(request.uitzondering.as_deref()),
            claims: request.claims.iter().filter_map(|(name, at)| Some((name.clone(), self.get(at)?))).collect(),
        }
    }

    fn condition(&mut self, spec: &ConditionSpec) -> Option<Condition> {
        let name = Arc::from(spec.name.as_str());
        if let Some(place) = &spec.exists {
            return self.get(place).map(|at| Condition { name, at, tests: vec![Test::Exists] });
        }
        let tests = [
            spec.one_of.clone().map(Test::OneOf),
            spec.in_table
                .clone()
                .zip(self.day(spec.on.as_deref().unwrap_or("today")))
                .map(|(t, day)| Test::InTable(t, day)),
            spec.at_least.map(Test::AtLeast),
            spec.within_months.map(Test::WithinMonths),
            spec.not_before.as_deref().and_then(|day| self.day(day)).map(Test::NotBefore),
            spec.not_after.as_deref().and_then(|day| self.day(day)).map(Test::NotAfter),
        ];
        let tests: Vec<Test> = tests.into_iter().flatten().collect();
        let Some(at) = spec.at.as_ref().filter(|_| !tests.is_empty()) else {
            self.wrong(format!("condition `{name}` is `exists`, or `at` with at least one test"));
            return None;
        };
        if spec.on.is_some() && spec.in_table.is_none() {
            self.wrong(format!("condition `{name}`: `on` goes with `in_table`"));
        }
        spec.in_table.iter().for_each(|table| self.table(table));
        self.get(at).map(|at| Condition { name, at, tests })
    }

    fn day(&mut self, day: &str) -> Option<Day> {
        if day == "today" { Some(Day::Today) } else { self.get(day).map(Day::At) }
    }

    fn hold(&mut self, spec: &HoldSpec, conditions: &[Condition]) -> Option<Hold> {
        let mut named = conditions.iter().filter(|condition| *condition.name == *spec.condition);
        let only = named.next().filter(|_| named.next().is_none());
        match only.map(|condition| (condition.tests.as_slice(), descend(self.shape, &condition.at), condition)) {
            Some(([Test::WithinMonths(months)], Some(Shape::Leaf(_)), condition)) => {
                Some(Hold { condition: condition.name.clone(), at: condition.at.clone(), months: *months })
            }
            _ => {
                let hint = format!(
                    "`{}` must be one condition with `within_months` on one date and no other test",
                    spec.condition
                );
                self.wrong_at(&format!("condition: {}", spec.condition), hint);
                None
            }
        }
    }

    /// A record is kept for years in the clear, so that nothing personal may be in it.
    fn record(&mut self, spec: &RecordSpec) -> Option<RecordRule> {
        let at = self.get(&spec.at)?;
        let mut personal = Vec::new();
        if let Some(shape) = descend(self.shape, &at) {
            shape.leaves(&spec.at, &mut |place, leaf| personal.extend((!leaf.control).then(|| place.to_owned())));
        }
        for place in personal {
            self.wrong(format!("`record` holds `{place}`, which is not `x-stuurgegeven`"));
        }
        Some(RecordRule { kind: spec.kind, at })
    }

    fn recipient(&mut self, spec: &RecipientSpec) -> Option<RecipientRule> {
        let who = match (&spec.gemeente, &spec.party, &spec.each, &spec.oin) {
            (Some(place), None, None, None) => Who::Gemeente(self.get(place)?),
            (None, Some(party), None, None) if party == "sender" => Who::Sender,
            (None, Some(party), None, None) => Who::Party(party.clone()),
            (None, None, None, Some(oin)) => Who::Oin(self.get(oin)?),
            (None, None, Some(list), Some(oin)) => {
                let list = self.get(list)?;
                let items = match descend(self.shape, &list) {
                    Some(Shape::Array(items)) => &**items,
                    _ => {
                        self.wrong("`each` must point to a list");
                        return None;
                    }
                };
                let items = Pointers { loader: self.loader, file: self.file, shape: items }.get(oin)?;
                Who::Each { list, oin: items }
            }
            _ => {
                self.wrong("a recipient is exactly one of `gemeente`, `party`, `oin`, and `each` with `oin`");
                return None;
            }
        };
        let role = Role::new(spec.role.as_str());
        Some(RecipientRule { role, who, given: spec.given.clone(), when: spec.when, facts: spec.facts })
    }
}
