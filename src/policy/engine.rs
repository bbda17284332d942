//! The policy set, loaded and validated strictly, and the answers it gives. Equal questions under one set have
//! one answer; the question holds every fact, so an answer never outlives a fact.

use super::Question;
use super::context::{category_uid, uid};
use super::formula::Formula;
use crate::catalogue::{Finding, Sources, sources};
use crate::category::{Category, CategorySet};
use crate::code::Code;
use crate::facts::SoortBeoordeling;
use crate::outcome::Problem;
use cedar_policy::{
    Authorizer, Decision, Effect, Entities, Entity, EntityUid, Policy, PolicyId, PolicySet, Request, Schema,
    ValidationMode, Validator,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

const SCHEMA_FILE: &str = "ketenpoort.cedarschema";
/// What the policies must never permit; it decides nothing itself.
const INVARIANTS: &str = "invarianten/";
const REQUIRED: [&str; 5] = ["id", "title", "legal_basis", "source", "status"];
const STATUSES: [&str; 2] = ["bevestigd", "te bevestigen"];
/// The BSN is asked about by itself: it needs more than the other personal numbers.
pub(super) const BSN: &str = "bsn";
/// More different questions than this and the cache starts over; a bound, not a tuning knob.
const CACHE: usize = 16_384;

pub struct Engine {
    policies: Policies,
    invariants: Policies,
    schema: Schema,
    entities: Entities,
    cache: Mutex<HashMap<Question, Arc<Sheet>>>,
    /// Changes whenever a policy changes.
    pub version: String,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("version", &self.version).field("policies", &self.policies.refs.len()).finish()
    }
}

/// A policy set, and what its policies say about themselves.
#[derive(Default)]
struct Policies {
    set: PolicySet,
    refs: HashMap<PolicyId, Arc<PolicyRef>>,
}

/// What a policy says about itself.
#[derive(Debug, PartialEq, Eq)]
pub struct PolicyRef {
    pub id: String,
    pub title: String,
    pub legal_basis: String,
    pub source: String,
    pub status: String,
    /// The human judgement that this policy waits for.
    pub assessment: Option<String>,
    pub forbids: bool,
}

/// A rule, and when it is satisfied.
#[derive(Clone, Debug)]
pub struct Rule {
    pub about: Arc<PolicyRef>,
    pub when: Formula,
}

/// The answer to one question, for every category.
#[derive(Debug, Default)]
pub struct Sheet {
    pub permitted: CategorySet,
    pub bsn: bool,
    pub by: BTreeMap<Category, Vec<Arc<PolicyRef>>>,
    pub bsn_forbidden_by: Vec<Arc<PolicyRef>>,
    pub failed: bool,
}

/// The policy could not be evaluated; always a deny.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the policy could not be evaluated")]
pub struct EvaluationError;

impl Engine {
    pub fn load(files: &Sources) -> Result<Engine, Vec<Finding>> {
        let mut findings = Vec::new();
        let read = |text: &String| match Schema::from_cedarschema_str(text) {
            Ok((schema, _warnings)) => Ok(schema),
            Err(error) => Err(error.to_string()),
        };
        let schema = match files.policies.get(SCHEMA_FILE).map(read) {
            Some(Ok(schema)) => schema,
            Some(Err(hint)) => return Err(vec![finding(SCHEMA_FILE, None, "", hint)]),
            None => return Err(vec![finding(SCHEMA_FILE, None, "", "the file is missing")]),
        };
        let (mut policies, mut invariants) = (Policies::default(), Policies::default());
        for (file, text) in files.policies.iter().filter(|(file, _)| file.ends_with(".cedar")) {
            let into = if file.starts_with(INVARIANTS) { &mut invariants } else { &mut policies };
            into.load_file(file, text, &schema, &mut findings);
        }
        if findings.is_empty() && policies.set.is_empty() {
            findings.push(finding("", None, "", "there is no policy: nothing could ever be shared"));
        }
        let permits = invariants.refs.values().filter(|about| !about.forbids);
        let hint = "an invariant says what may never be permitted: it is a forbid";
        findings.extend(permits.map(|about| finding(INVARIANTS, None, &about.id, hint)));
        if !findings.is_empty() {
            return Err(findings);
        }
        let decides = |file: &str| !file.ends_with(".yaml") && !file.starts_with(INVARIANTS);
        let version = sources::version(files.policies.iter().filter(|(file, _)| decides(file)));
        Ok(Engine { policies, invariants, entities: entities(), schema, cache: Mutex::default(), version })
    }

    pub fn policies(&self) -> impl Iterator<Item = &Arc<PolicyRef>> {
        self.policies.refs.values()
    }

    pub fn answer(&self, question: &Question) -> Arc<Sheet> {
        if let Some(sheet) = self.known(question) {
            return sheet;
        }
        let sheet = Arc::new(self.evaluate(question));
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE {
            cache.clear();
        }
        cache.insert(question.clone(), sheet.clone());
        sheet
    }

    /// The same, but the answer is not kept: what others make up takes no room from what messages ask.
    pub fn answer_once(&self, question: &Question) -> Arc<Sheet> {
        self.known(question).unwrap_or_else(|| Arc::new(self.evaluate(question)))
    }

    fn known(&self, question: &Question) -> Option<Arc<Sheet>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(question).cloned()
    }

    /// Asks the policy, category by category.
    pub fn evaluate(&self, question: &Question) -> Sheet {
        self.try_evaluate(question).unwrap_or(Sheet { failed: true, ..Sheet::default() })
    }

    /// Every rule, in the order of their names, taken apart into its conditions.
    pub fn rules(&self) -> Result<Vec<Rule>, Finding> {
        self.policies.rules()
    }

    /// What no rule may permit, as forbids in the order of their names.
    pub fn invariants(&self) -> Result<Vec<Rule>, Finding> {
        self.invariants.rules()
    }

    pub fn policy_set(&self) -> &PolicySet {
        &self.policies.set
    }

    pub fn invariant_set(&self) -> &PolicySet {
        &self.invariants.set
    }

    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    pub fn entities(&self) -> &Entities {
        &self.entities
    }

    fn try_evaluate(&self, question: &Question) -> Result<Sheet, EvaluationError> {
        let principal = uid("Rol", question.role.as_str());
        let action = uid("Action", "verstrekken");
        let context = question.context()?;
        let authorizer = Authorizer::new();
        let ask = |resource: EntityUid| {
            let request =
                Request::new(principal.clone(), action.clone(), resource, context.clone(), Some(&self.schema))
                    .map_err(|_| EvaluationError)?;
            let response = authorizer.is_authorized(&request, &self.policies.set, &self.entities);
            // A policy that fails is skipped by the engine, so a failing forbid would permit: deny instead.
            if response.diagnostics().errors().next().is_some() {
                return Err(EvaluationError);
            }
            let mut by: Vec<_> =
                response.diagnostics().reason().filter_map(|id| self.policies.refs.get(id)).cloned().collect();
            by.sort_by(|a, b| a.id.cmp(&b.id));
            Ok((response.decision() == Decision::Allow, by))
        };
        Sheet::of(|resource| ask(category_uid(resource)))
    }
}

impl Sheet {
    /// The sheet of what is answered about each category and about the BSN: whether it is permitted, and by which
    /// rules it is or is not.
    pub(super) fn of<E>(mut ask: impl FnMut(&str) -> Result<(bool, Vec<Arc<PolicyRef>>), E>) -> Result<Sheet, E> {
        let mut sheet = Sheet::default();
        for &category in Category::ALL {
            let (allowed, by) = ask(category.as_str())?;
            if allowed {
                sheet.permitted.insert(category);
            }
            sheet.by.insert(category, by);
        }
        let (bsn, by) = ask(BSN)?;
        sheet.bsn = bsn;
        sheet.bsn_forbidden_by = by.into_iter().filter(|p| p.forbids).collect();
        Ok(sheet)
    }
}

fn finding(file: &str, line: Option<u64>, place: &str, hint: impl Into<String>) -> Finding {
    Finding::new(format!("policies/{file}"), line, Problem::new(Code::PolicyInvalid, place, hint))
}

/// As the entities below have it.
pub fn same_or_part(resource: &str, whole: &str) -> bool {
    resource == whole || (resource == BSN && whole == Category::Persoonsnummers.as_str())
}

fn entities() -> Entities {
    let plain = |name: &str| Entity::new_no_attrs(category_uid(name), HashSet::new());
    let categories = Category::ALL.iter().map(|c| plain(c.as_str()));
    let parent = HashSet::from([category_uid(Category::Persoonsnummers.as_str())]);
    let bsn = Entity::new_no_attrs(category_uid(BSN), parent);
    Entities::from_entities(categories.chain([bsn]), None).expect("a constant set of entities without cycles")
}

impl Policies {
    fn load_file(&mut self, file: &str, text: &str, schema: &Schema, findings: &mut Vec<Finding>) {
        let parsed = match PolicySet::from_str(text) {
            Ok(parsed) => parsed,
            Err(errors) => {
                findings.extend(errors.iter().map(|error| {
                    let offset = miette_offset(error);
                    finding(file, offset.map(|o| line_of(text, o)), "", error.to_string())
                }));
                return;
            }
        };
        for policy in parsed.policies() {
            let Some(described) = describe(file, text, policy, findings) else {
                continue;
            };
            let id = PolicyId::new(&described.id);
            let policy = policy.new_id(id.clone());
            let Ok(alone) = PolicySet::from_policies([policy.clone()]) else {
                continue;
            };
            let line = line_of_policy(text, &described.id);
            let mut wrong = |hint: String| findings.push(finding(file, line, &described.id, hint));
            let validated = Validator::new(schema.clone()).validate(&alone, ValidationMode::Strict);
            validated.validation_errors().for_each(|error| wrong(error.to_string()));
            unknown_categories(&policy).into_iter().for_each(|name| wrong(format!("`{name}` is no category")));
            if let Some(assessment) =
                described.assessment.as_deref().filter(|name| SoortBeoordeling::parse(name).is_none())
            {
                wrong(format!("`{assessment}` is no kind of assessment"));
            }
            if self.set.add(policy).is_err() {
                wrong("another policy has this @id".to_owned());
            }
            self.refs.insert(id, Arc::new(described));
        }
    }

    fn rules(&self) -> Result<Vec<Rule>, Finding> {
        let mut rules = Vec::new();
        for policy in self.set.policies() {
            let Some(about) = self.refs.get(policy.id()) else {
                continue;
            };
            let when = Formula::of(policy).map_err(|error| finding("", None, &about.id, error.to_string()))?;
            rules.push(Rule { about: about.clone(), when });
        }
        rules.sort_by(|a, b| a.about.id.cmp(&b.about.id));
        Ok(rules)
    }
}

/// The Cedar schema does not list them, because one lies inside another.
fn unknown_categories(policy: &Policy) -> Vec<String> {
    let literals = policy.entity_literals().into_iter().filter(|uid| uid.type_name().basename() == "Categorie");
    let names = literals.map(|uid| uid.id().unescaped().to_owned());
    names.filter(|name| name != BSN && Category::parse(name).is_none()).collect()
}

fn describe(file: &str, text: &str, policy: &Policy, findings: &mut Vec<Finding>) -> Option<PolicyRef> {
    let get = |name: &str| policy.annotation(name).map(str::trim).filter(|text| !text.is_empty());
    let label = get("id").unwrap_or("a policy without @id").to_owned();
    let line = get("id").and_then(|id| line_of_policy(text, id));
    let missing: Vec<_> = REQUIRED.iter().filter(|name| get(name).is_none()).map(|n| format!("@{n}")).collect();
    if !missing.is_empty() {
        findings.push(finding(file, line, &label, format!("annotation missing: {}", missing.join(", "))));
        return None;
    }
    let text = |name: &str| get(name).unwrap_or_default().to_owned();
    if !STATUSES.contains(&text("status").as_str()) {
        findings.push(finding(file, line, &label, "@status is \"bevestigd\" or \"te bevestigen\""));
    }
    Some(PolicyRef {
        id: text("id"),
        title: text("title"),
        legal_basis: text("legal_basis"),
        source: text("source"),
        status: text("status"),
        assessment: get("assessment").map(str::to_owned),
        forbids: policy.effect() == Effect::Forbid,
    })
}

fn miette_offset(error: &cedar_policy::ParseError) -> Option<usize> {
    use miette::Diagnostic;
    error.labels()?.next().map(|label| label.offset())
}

/// Where a policy says its name; the second one of that name stands last.
fn line_of_policy(text: &str, id: &str) -> Option<u64> {
    text.rfind(&format!("@id(\"{id}\")")).map(|offset| line_of(text, offset))
}

fn line_of(text: &str, offset: usize) -> u64 {
    text.as_bytes().iter().take(offset).filter(|&&b| b == b'\n').count() as u64 + 1
}
