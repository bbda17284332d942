//! Counterexample: a request that the policy permits and an invariant forbids, made as small as it can be and put into
//! words. Whether it is one Cedar's own authorizer says, not the solver.

use crate::matrix::glossary::Glossary;
use crate::matrix::{ANY_OTHER, Named, RuleEntry};
use crate::policy::formula::{Atom, Formula, Literal};
use crate::policy::{Engine, Question, Rule, resources};
use cedar_policy::{Authorizer, Context, Decision, EntityId, EntityUid, PolicyId, PolicySet, Request};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

#[derive(Debug, Serialize)]
pub struct Counterexample {
    pub role: Named,
    pub category: Named,
    /// What permits it.
    pub rules: Vec<RuleEntry>,
    /// What must be so for that, and what the invariant misses; in words.
    pub facts: Vec<String>,
    /// As the policy's schema has it; what is empty or false in it makes no difference.
    pub context: Value,
}

#[derive(Clone)]
struct Point {
    principal: EntityUid,
    action: EntityUid,
    resource: EntityUid,
    context: Value,
}

struct Judge<'a> {
    engine: &'a Engine,
    invariant: PolicySet,
}

impl Counterexample {
    pub(super) fn of(
        found: &Request,
        likelier: Option<(&Question, &str)>,
        engine: &Engine,
        glossary: &Glossary,
        invariant: &Rule,
    ) -> Result<Counterexample, String> {
        let id = PolicyId::new(&invariant.about.id);
        let forbid = engine.invariant_set().policy(&id).cloned().ok_or("there is no such invariant")?;
        let judge = Judge { engine, invariant: PolicySet::from_policies([forbid]).map_err(|e| e.to_string())? };
        let point = Point::of(found).ok_or("the solver's request is incomplete")?;
        if !judge.breaks(&point) {
            return Err(format!("Cedar does not confirm what the solver found against {}", invariant.about.id));
        }
        let likelier = likelier.and_then(|(question, resource)| point.as_in(question, resource));
        let likelier = likelier.filter(|likelier| judge.breaks(likelier));
        let point = judge.smallest(likelier.unwrap_or_else(|| judge.better_known(point, glossary)));
        let rules = engine.rules().map_err(|finding| finding.to_string())?;
        let by = judge.permitting(&point);
        let rules: Vec<&Rule> = rules.iter().filter(|rule| by.contains(&rule.about.id)).collect();
        let (role, category) = (point.principal.id().unescaped(), point.resource.id().unescaped());
        let facts = judge.facts(&point, &rules, invariant)?;
        let facts = glossary.condition(&Formula::All(facts));
        let known_role = if glossary.names(role) { role } else { ANY_OTHER };
        Ok(Counterexample {
            role: Named { name: role.to_owned(), text: glossary.role(known_role) },
            category: Named { name: category.to_owned(), text: glossary.category(category) },
            rules: rules.iter().map(|rule| RuleEntry::of(&rule.about)).collect(),
            facts: facts.met().into_iter().map(|met| met.text.clone()).collect(),
            context: point.context,
        })
    }
}

impl Point {
    fn of(request: &Request) -> Option<Point> {
        Some(Point {
            principal: request.principal()?.clone(),
            action: request.action()?.clone(),
            resource: request.resource()?.clone(),
            context: request.context()?.to_json_value().ok()?,
        })
    }

    fn as_in(&self, question: &Question, resource: &str) -> Option<Point> {
        Some(Point {
            principal: named(&self.principal, question.role.as_str()),
            action: self.action.clone(),
            resource: named(&self.resource, resource),
            context: question.context().ok()?.to_json_value().ok()?,
        })
    }

    /// The same about another category: what consents and assessments named, they name now of that one.
    fn about(&self, resource: EntityUid) -> Point {
        let mut context = self.context.clone();
        rename(&mut context, &self.resource, &resource);
        Point { resource, context, ..self.clone() }
    }

    fn request(&self, engine: &Engine) -> Option<Request> {
        let schema = engine.schema();
        let context = Context::from_json_value(self.context.clone(), Some((schema, &self.action))).ok()?;
        let (principal, resource) = (self.principal.clone(), self.resource.clone());
        Request::new(principal, self.action.clone(), resource, context, Some(schema)).ok()
    }
}

impl Judge<'_> {
    fn breaks(&self, point: &Point) -> bool {
        let Some(request) = point.request(self.engine) else {
            return false;
        };
        let answer = |set| Authorizer::new().is_authorized(&request, set, self.engine.entities());
        let ours = answer(self.engine.policy_set());
        let is_forbidden = answer(&self.invariant).diagnostics().reason().next().is_some();
        ours.decision() == Decision::Allow && is_forbidden
    }

    fn permitting(&self, point: &Point) -> BTreeSet<String> {
        let Some(request) = point.request(self.engine) else {
            return BTreeSet::new();
        };
        let answer = Authorizer::new().is_authorized(&request, self.engine.policy_set(), self.engine.entities());
        answer.diagnostics().reason().map(ToString::to_string).collect()
    }

    /// The same with the first role and the first category that will do; the solver takes any.
    fn better_known(&self, point: Point, glossary: &Glossary) -> Point {
        let breaks = |other: &Point| self.breaks(other);
        let mut roles =
            glossary.roles().map(|role| Point { principal: named(&point.principal, role), ..point.clone() });
        let point = roles.find(breaks).unwrap_or_else(|| point.clone());
        let mut categories = resources().map(|name| point.about(named(&point.resource, name)));
        categories.find(breaks).unwrap_or_else(|| point.clone())
    }

    /// With nothing in the context that need not be there.
    fn smallest(&self, mut point: Point) -> Point {
        let mut leaves = Vec::new();
        pointers(&point.context, String::new(), &mut leaves);
        for leaf in leaves {
            let Some(value) = point.context.pointer(&leaf).cloned() else { continue };
            for less in less_than(&value) {
                let mut other = point.clone();
                if let Some(place) = other.context.pointer_mut(&leaf) {
                    *place = less;
                }
                if self.breaks(&other) {
                    point = other;
                    break;
                }
            }
        }
        point
    }

    /// What the rules that permit ask for and is so, and what the invariant would want otherwise: each of its
    /// conditions that alone would let it rest.
    fn facts(&self, point: &Point, rules: &[&Rule], invariant: &Rule) -> Result<Vec<Formula>, String> {
        let mut worth = HashMap::new();
        for rule in rules.iter().copied().chain([invariant]) {
            for literal in rule.when.literals() {
                let holds = self.holds(&literal.atom, point)?;
                worth.insert(literal.atom.cedar.clone(), holds);
            }
        }
        let is = |atom: &Atom| worth.get(&atom.cedar).copied().unwrap_or_default();
        let asked =
            rules.iter().flat_map(|rule| rule.when.literals()).filter(|literal| is(&literal.atom) == literal.holds);
        let missed = invariant.when.literals().into_iter().filter(|literal| {
            let turned = |atom: &Atom| is(atom) != (atom.cedar == literal.atom.cedar);
            !value(&invariant.when, &turned)
        });
        let mut facts: Vec<Formula> = Vec::new();
        for literal in asked.chain(missed) {
            let about_whom = ["principal", "resource"].iter().any(|var| literal.atom.entity_for(var).is_some());
            let fact = Formula::Is(Literal { atom: literal.atom.clone(), holds: is(&literal.atom) });
            if !about_whom && !facts.contains(&fact) {
                facts.push(fact);
            }
        }
        Ok(facts)
    }

    fn holds(&self, atom: &Atom, point: &Point) -> Result<bool, String> {
        let probe = atom.probe(PolicyId::new("probe")).map_err(|error| error.to_string())?;
        let probe = PolicySet::from_policies([probe]).map_err(|error| error.to_string())?;
        let request = point.request(self.engine).ok_or("the request does not fit the schema")?;
        let answer = Authorizer::new().is_authorized(&request, &probe, self.engine.entities());
        Ok(answer.decision() == Decision::Allow)
    }
}

fn value(formula: &Formula, is: &impl Fn(&Atom) -> bool) -> bool {
    match formula {
        Formula::Is(literal) => is(&literal.atom) == literal.holds,
        Formula::All(parts) => parts.iter().all(|part| value(part, is)),
        Formula::Any(parts) => parts.iter().any(|part| value(part, is)),
    }
}

/// Another one of the same kind.
fn named(uid: &EntityUid, name: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(uid.type_name().clone(), EntityId::new(name))
}

fn rename(json: &mut Value, from: &EntityUid, to: &EntityUid) {
    match json {
        Value::Object(fields) => match fields.get_mut("__entity").and_then(|entity| entity.get_mut("id")) {
            Some(id) if *id == from.id().unescaped() => *id = to.id().unescaped().into(),
            Some(_) => {}
            None => fields.values_mut().for_each(|value| rename(value, from, to)),
        },
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        _ => {}
    }
}

/// Where the values of the context stand; a list is one value.
fn pointers(json: &Value, at: String, all: &mut Vec<String>) {
    match json {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| pointers(value, format!("{at}/{name}"), all)),
        _ => all.push(at),
    }
}

/// The same value with less in it, the least first.
fn less_than(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(true) => vec![Value::Bool(false)],
        Value::String(text) if !text.is_empty() => vec![Value::String(String::new())],
        Value::Array(items) if !items.is_empty() => {
            let only = items.iter().map(|item| Value::Array(vec![item.clone()]));
            let without = (0..items.len()).map(|at| {
                let kept = items.iter().enumerate().filter(|(index, _)| *index != at);
                Value::Array(kept.map(|(_, item)| item.clone()).collect())
            });
            [Value::Array(Vec::new())].into_iter().chain(only).chain(without).collect()
        }
        _ => Vec::new(),
    }
}
