//! Mapping rules: which place in one document becomes which place in another. A fixed list of steps, no
//! language, so that what a mapping reads can be checked before it ever runs.

use crate::category::CategorySet;
use crate::code::Code;
use crate::codetable::Table;
use crate::outcome::Problem;
use crate::validation::schema::{Leaf, Shape};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::steps;

pub type Tables = BTreeMap<String, Arc<Table>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    pub value: Option<String>,
    pub to: Spanned<String>,
    #[serde(default)]
    pub via: Vec<StepSpec>,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub each: Option<Vec<RuleSpec>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum StepSpec {
    Named(String),
    Lookup { table: String, column: String },
}

/// Rules that are known to fit the documents on both sides.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    source: Source,
    to: Vec<String>,
    steps: Vec<Step>,
    required: bool,
    each: Option<Rules>,
    leaf: Leaf,
}

#[derive(Clone, Debug)]
enum Source {
    At(Vec<String>),
    Fixed(Value),
}

#[derive(Clone, Debug)]
enum Step {
    Named(steps::Named),
    Lookup { table: Arc<Table>, column: String },
}

/// A place that is wrong in a mapping file.
#[derive(Debug)]
pub struct RuleProblem {
    pub line: u64,
    pub hint: String,
}

impl Rules {
    /// `source` and `target` are the shapes of the documents on both sides.
    pub fn compile(
        specs: &[RuleSpec],
        source: &Shape,
        target: Option<&Shape>,
        tables: &Tables,
        problems: &mut Vec<RuleProblem>,
    ) -> Rules {
        let compiled = specs.iter().filter_map(|spec| {
            compile_rule(spec, source, target, tables, problems)
                .map_err(|hint| problems.push(RuleProblem { line: spec.to.referenced.line(), hint }))
                .ok()
        });
        Rules(compiled.collect())
    }

    /// The categories that these rules read.
    pub fn categories(&self) -> CategorySet {
        self.0.iter().fold(CategorySet::EMPTY, |mut all, rule| {
            if let Some(category) = rule.leaf.category {
                all.insert(category);
            }
            rule.each.iter().fold(all, |all, each| all.union(each.categories()))
        })
    }

    /// The places that these rules fill.
    pub fn targets(&self) -> impl Iterator<Item = &[String]> + Clone {
        self.0.iter().map(|rule| rule.to.as_slice())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Builds the target document. `used` collects the categories whose values went into it.
    pub fn apply(&self, input: &Value, today: Date, used: &mut CategorySet) -> Result<Value, Vec<Problem>> {
        let (built, problems) = self.build(input, today, used);
        if problems.is_empty() { Ok(built) } else { Err(problems) }
    }

    /// The target document as far as it can be built, and what stands in the way of the rest.
    pub fn build(&self, input: &Value, today: Date, used: &mut CategorySet) -> (Value, Vec<Problem>) {
        let mut out = Map::new();
        let problems = self.fill(&mut out, input, today, used);
        (Value::Object(out), problems)
    }

    /// Puts what these rules say into a document that there is already.
    pub fn fill(
        &self,
        out: &mut Map<String, Value>,
        input: &Value,
        today: Date,
        used: &mut CategorySet,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for rule in &self.0 {
            match rule.value(input, today, used) {
                Ok(Some(value)) => put(out, &rule.to, value),
                Ok(None) if rule.required => {
                    problems.push(Problem::new(Code::MissingField, rule.place(), Code::MissingField.hint()));
                }
                Ok(None) => {}
                Err(mut wrong) => problems.append(&mut wrong),
            }
        }
        problems
    }

    /// Where the value at a place in the target document came from; `None` where no rule says so.
    pub fn origin(&self, place: &str) -> Option<String> {
        self.0.iter().find_map(|rule| {
            let Source::At(from) = &rule.source else { return None };
            let below = place.strip_prefix('/')?.strip_prefix(&rule.to.join("/"))?;
            (below.is_empty() || below.starts_with('/')).then(|| format!("/{}{below}", from.join("/")))
        })
    }
}

impl Rule {
    fn place(&self) -> String {
        match &self.source {
            Source::At(tokens) => format!("/{}", tokens.join("/")),
            Source::Fixed(_) => format!("/{}", self.to.join("/")),
        }
    }

    fn value(&self, input: &Value, today: Date, used: &mut CategorySet) -> Result<Option<Value>, Vec<Problem>> {
        let found = match &self.source {
            Source::Fixed(value) => return Ok(Some(value.clone())),
            Source::At(tokens) => at(input, tokens),
        };
        let Some(found) = found else { return Ok(None) };
        if let (Some(each), Value::Array(items)) = (&self.each, found) {
            return self.each_item(each, items, today, used);
        }
        let value =
            self.through_steps(found, today).map_err(|code| vec![Problem::new(code, self.place(), code.hint())])?;
        if let Some(category) = self.leaf.category {
            used.insert(category);
        }
        Ok(Some(value))
    }

    fn each_item(
        &self,
        each: &Rules,
        items: &[Value],
        today: Date,
        used: &mut CategorySet,
    ) -> Result<Option<Value>, Vec<Problem>> {
        let mut mapped = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let item = each.apply(item, today, used).map_err(|problems| {
                let inside = |p: Problem| Problem { place: format!("{}/{index}{}", self.place(), p.place), ..p };
                problems.into_iter().map(inside).collect::<Vec<_>>()
            })?;
            mapped.push(item);
        }
        Ok(Some(Value::Array(mapped)))
    }

    fn through_steps(&self, value: &Value, today: Date) -> Result<Value, Code> {
        if let Value::Array(items) = value {
            let items: Result<Vec<_>, _> = items.iter().map(|v| self.through_steps(v, today)).collect();
            return items.map(Value::Array);
        }
        let Some((first, rest)) = self.steps.split_first() else { return Ok(value.clone()) };
        rest.iter().try_fold(first.apply(value, today)?, |value, step| step.apply(&value, today))
    }
}

impl Step {
    fn apply(&self, value: &Value, today: Date) -> Result<Value, Code> {
        match self {
            Step::Named(named) => named.apply(value),
            Step::Lookup { table, column } => {
                let code = value.as_str().ok_or(Code::WrongType)?;
                let found = table.value(code, column, today).ok_or(Code::UnknownCode)?;
                Ok(Value::String(found.to_owned()))
            }
        }
    }
}

fn compile_rule(
    spec: &RuleSpec,
    source: &Shape,
    target: Option<&Shape>,
    tables: &Tables,
    problems: &mut Vec<RuleProblem>,
) -> Result<Rule, String> {
    let to = tokens(&spec.to.value)?;
    let target_place = match target {
        Some(shape) => {
            Some(descend(shape, &to).ok_or_else(|| format!("the target schema has no place `{}`", spec.to.value))?)
        }
        None => None,
    };
    let mut steps = Vec::with_capacity(spec.via.len());
    for step in &spec.via {
        steps.push(match step {
            StepSpec::Named(name) => {
                Step::Named(steps::Named::parse(name).ok_or_else(|| format!("unknown step `{name}`"))?)
            }
            StepSpec::Lookup { table, column } => {
                let found = tables.get(table).ok_or_else(|| format!("unknown code table `{table}`"))?;
                if !found.has_column(column) {
                    return Err(format!("code table `{table}` has no column `{column}`"));
                }
                Step::Lookup { table: found.clone(), column: column.clone() }
            }
        });
    }
    let (from, value) = (spec.from.as_ref(), spec.value.as_ref());
    let from = match (from, value) {
        (Some(from), None) => from,
        (None, Some(value)) => {
            let source = Source::Fixed(Value::String(value.clone()));
            return Ok(Rule { source, to, steps, required: false, each: None, leaf: Leaf::default() });
        }
        _ => return Err("give exactly one of `from` and `value`".to_owned()),
    };
    let from_tokens = tokens(from)?;
    let place = descend(source, &from_tokens).ok_or_else(|| format!("the source schema has no place `{from}`"))?;
    let (leaf, each) = match (place, &spec.each) {
        (Shape::Leaf(leaf), None) => (*leaf, None),
        (Shape::Array(items), None) => match &**items {
            Shape::Leaf(leaf) => (*leaf, None),
            _ => {
                return Err(format!("`{from}` is a list of objects: say with `each` what to take from one"));
            }
        },
        (Shape::Array(items), Some(each)) => {
            let inside = match target_place {
                Some(Shape::Array(items)) => Some(&**items),
                Some(_) => {
                    return Err(format!("`{}` is no list in the target schema", spec.to.value));
                }
                None => None,
            };
            (Leaf::default(), Some(Rules::compile(each, items, inside, tables, problems)))
        }
        (Shape::Object(_), _) => {
            return Err(format!("`{from}` is an object: name the fields to take, one rule each"));
        }
        (_, Some(_)) => return Err(format!("`{from}` is no list, `each` does not apply")),
    };
    Ok(Rule { source: Source::At(from_tokens), to, steps, required: spec.required, each, leaf })
}

/// A JSON Pointer without escapes, as tokens.
pub fn tokens(pointer: &str) -> Result<Vec<String>, String> {
    match pointer.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => Ok(rest.split('/').map(str::to_owned).collect()),
        _ => Err(format!("`{pointer}` is not a pointer: start with `/`")),
    }
}

pub fn descend<'s>(shape: &'s Shape, tokens: &[String]) -> Option<&'s Shape> {
    tokens.iter().try_fold(shape, |shape, token| match shape {
        Shape::Object(fields) => fields.get(token),
        _ => None,
    })
}

pub fn at<'v>(value: &'v Value, tokens: &[String]) -> Option<&'v Value> {
    tokens.iter().try_fold(value, |value, token| value.get(token.as_str()))
}

fn put(out: &mut Map<String, Value>, to: &[String], value: Value) {
    let Some((last, parents)) = to.split_last() else {
        return;
    };
    let mut here = out;
    for parent in parents {
        if !here.contains_key(parent) {
            here.insert(parent.clone(), Value::Object(Map::new()));
        }
        match here.get_mut(parent) {
            Some(Value::Object(map)) => here = map,
            _ => return,
        }
    }
    here.insert(last.clone(), value);
}

#[cfg(test)]
mod tests;
