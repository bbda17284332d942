//! Formula: a rule as Cedar itself holds it, taken apart into and, or, and yes-or-no conditions. What a condition
//! is worth only Cedar says (`truth`); it does not get evaluated in here.
//!
//! It is made from Cedar's JSON form of a policy, which is stable. Cedar's own partial evaluation (features `tpe`
//! and `partial-eval`) is experimental, and answers a request; it does not name the conditions that cases must show.

use cedar_policy::{EntityUid, Policy, PolicyId};
use serde_json::{Value, json};
use std::sync::Arc;

/// Negation stands at the conditions only, so that all and any are the only ways to combine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formula {
    Is(Literal),
    All(Vec<Formula>),
    Any(Vec<Formula>),
}

/// A condition that must hold, or must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    pub atom: Arc<Atom>,
    pub holds: bool,
}

/// A condition that is not made of others.
#[derive(Debug, PartialEq, Eq)]
pub struct Atom {
    /// As Cedar writes it; equal text is the same condition.
    pub cedar: String,
    /// As Cedar's JSON has it.
    pub json: Value,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot be taken apart into conditions: {0}")]
pub struct FormulaError(String);

const ACTION: &str = "verstrekken";

impl Formula {
    /// When the policy is satisfied: its scope and all its conditions.
    pub fn of(policy: &Policy) -> Result<Formula, FormulaError> {
        let json = policy.to_json().map_err(|error| FormulaError(error.to_string()))?;
        let mut parts = Vec::new();
        for variable in ["principal", "resource"] {
            parts.extend(scope(variable, &json[variable])?);
        }
        if !applies_to_action(&json["action"]) {
            parts.push(Formula::never());
        }
        for condition in json["conditions"].as_array().into_iter().flatten() {
            push_flat(&mut parts, taken_apart(&condition["body"], condition["kind"] == "when")?);
        }
        Ok(Formula::All(parts))
    }

    pub fn always() -> Formula {
        Formula::All(Vec::new())
    }

    pub fn never() -> Formula {
        Formula::Any(Vec::new())
    }

    pub fn negated(&self) -> Formula {
        let each = |parts: &[Formula]| parts.iter().map(Formula::negated).collect();
        match self {
            Formula::Is(Literal { atom, holds }) => Formula::Is(Literal { atom: atom.clone(), holds: !holds }),
            Formula::All(parts) => Formula::Any(each(parts)),
            Formula::Any(parts) => Formula::All(each(parts)),
        }
    }

    pub fn literal(&self) -> Option<&Literal> {
        if let Formula::Is(literal) = self { Some(literal) } else { None }
    }

    pub fn literals(&self) -> Vec<&Literal> {
        self.parts().into_iter().filter_map(Formula::literal).collect()
    }

    /// Every part, itself first; [`Formula::with_part`] counts in the same order.
    pub fn parts(&self) -> Vec<&Formula> {
        let mut all = vec![self];
        if let Formula::All(parts) | Formula::Any(parts) = self {
            all.extend(parts.iter().flat_map(Formula::parts));
        }
        all
    }

    /// The same with another part in the place of one, or with none. Without the whole it is never satisfied.
    pub fn with_part(&self, part: usize, other: Option<Formula>) -> Formula {
        self.rebuilt(&mut 0, part, &other).unwrap_or_else(Formula::never)
    }

    fn rebuilt(&self, next: &mut usize, part: usize, other: &Option<Formula>) -> Option<Formula> {
        let this = *next;
        *next += 1;
        let mut each = |parts: &[Formula]| parts.iter().filter_map(|p| p.rebuilt(next, part, other)).collect();
        let same = match self {
            Formula::Is(_) => self.clone(),
            Formula::All(parts) => Formula::All(each(parts)),
            Formula::Any(parts) => Formula::Any(each(parts)),
        };
        if this == part { other.clone() } else { Some(same) }
    }
}

/// As Cedar would write it.
impl std::fmt::Display for Formula {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (parts, between, empty) = match self {
            Formula::Is(literal) => return literal.fmt(f),
            Formula::All(parts) => (parts, " && ", "true"),
            Formula::Any(parts) => (parts, " || ", "false"),
        };
        if parts.is_empty() {
            return f.write_str(empty);
        }
        for (index, part) in parts.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { between })?;
            match part {
                Formula::All(more) | Formula::Any(more) if more.len() > 1 => write!(f, "({part})")?,
                _ => part.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Atom { cedar, json } = &*self.atom;
        let is = |operator| json.get(operator).is_some();
        if self.holds {
            f.write_str(cedar)
        } else if is("==") {
            f.write_str(&cedar.replacen(" == ", " != ", 1))
        } else if is(".") || is("contains") {
            // What is one word to Cedar needs no brackets.
            write!(f, "!{cedar}")
        } else {
            write!(f, "!({cedar})")
        }
    }
}

fn taken_apart(json: &Value, holds: bool) -> Result<Formula, FormulaError> {
    let operator = json.as_object().and_then(|object| object.iter().next());
    let Some((operator, of)) = operator else {
        return Err(FormulaError(format!("unexpected {json}")));
    };
    let both = |way: fn(Vec<Formula>) -> Formula| -> Result<Formula, FormulaError> {
        let mut parts = Vec::new();
        for side in ["left", "right"] {
            let part = taken_apart(&of[side], holds)?;
            // `a && b && c` is one list of three, however it nests; a list of its own in it stays one.
            let is_same_operator = of[side].get(operator).is_some();
            if is_same_operator { push_flat(&mut parts, part) } else { parts.push(part) }
        }
        Ok(way(parts))
    };
    match operator.as_str() {
        "&&" => both(if holds { Formula::All } else { Formula::Any }),
        "||" => both(if holds { Formula::Any } else { Formula::All }),
        "!" => taken_apart(&of["arg"], !holds),
        "!=" => taken_apart(&json!({ "==": of }), !holds),
        "if-then-else" => {
            let branch = |condition: bool, name: &str| -> Result<Formula, FormulaError> {
                Ok(Formula::All(vec![taken_apart(&of["if"], condition)?, taken_apart(&of[name], holds)?]))
            };
            Ok(Formula::Any(vec![branch(true, "then")?, branch(false, "else")?]))
        }
        "Value" if of.is_boolean() => Ok(if *of == Value::Bool(holds) { Formula::always() } else { Formula::never() }),
        _ => match members(operator, of) {
            Some((members, any)) => {
                let parts = members.iter().map(|member| taken_apart(member, holds)).collect::<Result<_, _>>()?;
                Ok(if any == holds { Formula::Any(parts) } else { Formula::All(parts) })
            }
            None => literal(json, holds),
        },
    }
}

/// What is asked of each member of a list that stands in the policy, and whether one is enough.
fn members(operator: &str, of: &Value) -> Option<(Vec<Value>, bool)> {
    let listed = |side: &str| of[side].get("Set").and_then(Value::as_array);
    let (left, right) = (&of["left"], &of["right"]);
    let each = |list: &Vec<Value>, ask: &dyn Fn(&Value) -> Value| list.iter().map(ask).collect();
    match operator {
        "in" => Some((each(listed("right")?, &|one| json!({ "in": { "left": left, "right": one } })), true)),
        "contains" => Some((each(listed("left")?, &|one| json!({ "==": { "left": right, "right": one } })), true)),
        "containsAny" | "containsAll" => {
            let ask = |one: &Value| json!({ "contains": { "left": left, "right": one } });
            Some((each(listed("right")?, &ask), operator == "containsAny"))
        }
        _ => None,
    }
}

fn push_flat(parts: &mut Vec<Formula>, part: Formula) {
    match part {
        Formula::All(more) => parts.extend(more),
        other => parts.push(other),
    }
}

fn scope(variable: &str, json: &Value) -> Result<Option<Formula>, FormulaError> {
    let this = json!({ "Var": variable });
    let entity = json!({ "Value": { "__entity": json["entity"] } });
    let expression = match json["op"].as_str() {
        Some("All") => return Ok(None),
        Some("==") if json["entity"].is_object() => json!({ "==": { "left": this, "right": entity } }),
        Some("in") if json["entity"].is_object() => json!({ "in": { "left": this, "right": entity } }),
        _ => return Err(FormulaError(format!("scope {json}"))),
    };
    literal(&expression, true).map(Some)
}

/// There is one action that anybody ever asks about.
fn applies_to_action(json: &Value) -> bool {
    let ours = |entity: &Value| entity["type"] == "Action" && entity["id"] == ACTION;
    let listed = json["entities"].as_array();
    json["op"] == "All" || ours(&json["entity"]) || listed.is_some_and(|entities| entities.iter().any(ours))
}

fn literal(json: &Value, holds: bool) -> Result<Formula, FormulaError> {
    let atom = Arc::new(Atom { cedar: cedar_text(json)?, json: json.clone() });
    Ok(Formula::Is(Literal { atom, holds }))
}

impl Atom {
    /// A policy that permits where the condition is true.
    pub fn probe(&self, id: PolicyId) -> Result<Policy, FormulaError> {
        probe(&self.json, Some(id))
    }

    pub fn mentions(&self, variable: &str) -> bool {
        mentions(&self.json, variable)
    }

    pub fn asked(&self) -> Option<Asked> {
        let (operator, of) = self.json.as_object()?.iter().next()?;
        let (left, right) = (&of["left"], &of["right"]);
        match operator.as_str() {
            "==" => Some(Asked::Is { term: path(left)?, value: named(right)? }),
            "contains" => Some(Asked::Member { term: path(left)?, value: Some(named(right)?) }),
            "in" if left["Var"] == "resource" => Some(Asked::Member { term: path(right)?, value: None }),
            _ => None,
        }
    }

    /// The entity that the variable must be or be in, where that is all the condition asks.
    pub fn entity_for(&self, variable: &str) -> Option<(EntityUid, Within)> {
        let (of, within) = match (self.json.get("=="), self.json.get("in")) {
            (Some(of), _) => (of, Within::Itself),
            (_, Some(of)) => (of, Within::OrPart),
            _ => return None,
        };
        let is_about = of["left"]["Var"] == variable;
        let entity = of["right"]["Value"].get("__entity").filter(|_| is_about)?;
        EntityUid::from_json(entity.clone()).ok().map(|uid| (uid, within))
    }
}

/// `==` or `in`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    Itself,
    OrPart,
}

/// The commonest conditions: a term of the context, and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Is {
        term: String,
        value: String,
    },
    /// The term is a set; without a value, it is to contain the category in question.
    Member {
        term: String,
        value: Option<String>,
    },
}

impl Asked {
    pub fn parts(self) -> (String, Option<String>) {
        match self {
            Asked::Is { term, value } => (term, Some(value)),
            Asked::Member { term, value } => (term, value),
        }
    }
}

/// `context.a.b`
fn path(json: &Value) -> Option<String> {
    let Some(access) = json.get(".") else {
        return json["Var"].as_str().filter(|name| *name == "context").map(str::to_owned);
    };
    Some(format!("{}.{}", path(&access["left"])?, access["attr"].as_str()?))
}

/// A text, or the name of an entity.
fn named(json: &Value) -> Option<String> {
    let value = json.get("Value")?;
    value.as_str().or_else(|| value["__entity"]["id"].as_str()).map(str::to_owned)
}

fn mentions(json: &Value, variable: &str) -> bool {
    match json {
        Value::Object(object) => object.iter().any(|(k, v)| (k == "Var" && v == variable) || mentions(v, variable)),
        Value::Array(items) => items.iter().any(|item| mentions(item, variable)),
        _ => false,
    }
}

fn probe(body: &Value, id: Option<PolicyId>) -> Result<Policy, FormulaError> {
    let all = json!({ "op": "All" });
    let json = json!({
        "effect": "permit", "principal": all, "action": all, "resource": all,
        "conditions": [{ "kind": "when", "body": body }],
    });
    Policy::from_json(id, json).map_err(|error| FormulaError(error.to_string()))
}

fn cedar_text(json: &Value) -> Result<String, FormulaError> {
    let whole = probe(json, None)?.to_cedar().unwrap_or_default();
    let body = whole.split_once("when {").and_then(|(_, rest)| rest.rsplit_once('}'));
    Ok(body.map_or_else(|| json.to_string(), |(body, _)| body.trim().to_owned()))
}

#[cfg(test)]
mod tests;
