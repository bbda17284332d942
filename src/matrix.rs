//! Matrix: who may receive which category under which rule and conditions, read off the policy itself, for a lawyer
//! to check and sign. Nothing is decided in here, and nothing is listed by hand but the words (`glossary`).

pub mod difference;
pub mod glossary;
pub mod page;

use crate::catalogue::Finding;
use crate::category::Category;
use crate::policy::formula::{Formula, Literal, Within};
use crate::policy::{Engine, PolicyRef, Rule, resources, same_or_part};
use glossary::Glossary;
use jiff::civil::Date;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The role of a recipient that no rule names.
pub const ANY_OTHER: &str = "*";

/// A public contract: what `ketenpoort matrix --json` answers.
#[derive(Debug, Serialize)]
pub struct Matrix {
    pub policy_version: String,
    /// Of the words only; no decision depends on it.
    pub glossary_version: String,
    pub date: Date,
    pub rules: Vec<RuleEntry>,
    pub roles: Vec<Named>,
    pub categories: Vec<Named>,
    /// One for each role, category and rule that has something to say about them. What no permit names is not
    /// shared; what a forbid names is not shared, whatever a permit says.
    pub cells: Vec<Cell>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleEntry {
    pub id: String,
    pub effect: Effect,
    pub title: String,
    pub legal_basis: String,
    pub source: String,
    pub status: String,
    /// The human judgement that it waits for.
    pub assessment: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Permit,
    Forbid,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    pub name: String,
    /// In words; the name again where the glossary has none.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    pub role: String,
    pub category: String,
    pub rule: String,
    pub effect: Effect,
    pub when: Condition,
}

/// What must hold for the rule to permit or forbid. `{"all": []}` is always.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Condition {
    All { all: Vec<Condition> },
    Any { any: Vec<Condition> },
    Met(Met),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Met {
    /// As Cedar has it; what the words stand for.
    pub cedar: String,
    pub text: String,
    /// Whether the glossary has words for it; `text` is the Cedar expression otherwise.
    pub explained: bool,
}

impl Matrix {
    /// `roles` get a row of their own even where no rule names them.
    pub fn of(engine: &Engine, glossary: &Glossary, roles: &[String], date: Date) -> Result<Matrix, Finding> {
        let rules = engine.rules()?;
        let mut named: BTreeSet<String> = roles.iter().cloned().collect();
        named.extend(rules.iter().flat_map(named_roles));
        named.remove(ANY_OTHER);
        let mut roles: Vec<String> = named.into_iter().collect();
        roles.sort_by_key(|role| glossary.place_of_role(role));
        roles.push(ANY_OTHER.to_owned());
        let mut cells = Vec::new();
        for role in &roles {
            for category in resources() {
                cells.extend(rules.iter().filter_map(|rule| cell(rule, role, category, glossary)));
            }
        }
        Ok(Matrix {
            policy_version: engine.version.clone(),
            glossary_version: glossary.version.clone(),
            date,
            rules: rules.iter().map(|rule| RuleEntry::of(&rule.about)).collect(),
            roles: roles.iter().map(|name| Named { name: name.clone(), text: glossary.role(name) }).collect(),
            categories: resources()
                .map(|name| Named { name: name.to_owned(), text: glossary.category(name) })
                .collect(),
            cells,
        })
    }

    pub fn rule(&self, id: &str) -> Option<&RuleEntry> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// What rules say that the glossary has no words for: the rule, or nothing, and the term.
    pub fn unexplained(&self, glossary: &Glossary) -> BTreeSet<(&str, &str)> {
        let in_cells = self.cells.iter().flat_map(|cell| {
            let unknown = cell.when.met().into_iter().filter(|met| !met.explained);
            unknown.map(|met| (cell.rule.as_str(), met.cedar.as_str()))
        });
        let names = self.roles.iter().chain(&self.categories).map(|named| named.name.as_str());
        in_cells.chain(names.filter(|name| !glossary.names(name)).map(|name| ("", name))).collect()
    }
}

/// What could go to a role once this judgement is there: by the rules that wait for it, and by no other.
pub fn awaiting(engine: &Engine, role: &str, assessment: &str) -> Result<Vec<Category>, Finding> {
    let rules = engine.rules()?;
    let says = |rule: &Rule, category: Category| folded(&rule.when, role, category.as_str());
    let could = |category: &&Category| {
        let waits = |rule: &&Rule| !rule.about.forbids && rule.about.assessment.as_deref() == Some(assessment);
        let mut permits = rules.iter().filter(waits).map(|rule| says(rule, **category));
        let never = rules.iter().any(|rule| rule.about.forbids && says(rule, **category) == Formula::always());
        !never && permits.any(|left| left != Formula::never())
    };
    Ok(Category::ALL.iter().filter(could).copied().collect())
}

impl RuleEntry {
    pub(crate) fn of(about: &PolicyRef) -> RuleEntry {
        RuleEntry {
            id: about.id.clone(),
            effect: if about.forbids { Effect::Forbid } else { Effect::Permit },
            title: about.title.clone(),
            legal_basis: about.legal_basis.clone(),
            source: about.source.clone(),
            status: about.status.clone(),
            assessment: about.assessment.clone(),
        }
    }

    pub fn is_confirmed(&self) -> bool {
        self.status == "bevestigd"
    }
}

impl Condition {
    pub const ALWAYS: Condition = Condition::All { all: Vec::new() };

    /// All that must hold or could, wherever it stands.
    pub fn met(&self) -> Vec<&Met> {
        match self {
            Condition::Met(met) => vec![met],
            Condition::All { all: parts } | Condition::Any { any: parts } => {
                parts.iter().flat_map(Condition::met).collect()
            }
        }
    }

    /// The Cedar expression alone, in an order of its own: what compares equal says the same.
    fn essence(&self) -> String {
        let sorted = |parts: &[Condition]| {
            let mut parts: Vec<_> = parts.iter().map(Condition::essence).collect();
            parts.sort();
            parts.dedup();
            parts
        };
        match self {
            Condition::Met(met) => met.cedar.clone(),
            Condition::All { all } => format!("all({})", sorted(all).join("; ")),
            Condition::Any { any } => format!("any({})", sorted(any).join("; ")),
        }
    }
}

fn named_roles(rule: &Rule) -> Vec<String> {
    let entities = rule.when.literals().into_iter().filter_map(|literal| literal.atom.entity_for("principal"));
    entities.map(|(uid, _)| uid.id().unescaped().to_owned()).collect()
}

fn cell(rule: &Rule, role: &str, category: &str, glossary: &Glossary) -> Option<Cell> {
    let left = folded(&rule.when, role, category);
    if left == Formula::never() {
        return None;
    }
    let effect = if rule.about.forbids { Effect::Forbid } else { Effect::Permit };
    let (role, category, rule) = (role.to_owned(), category.to_owned(), rule.about.id.clone());
    Some(Cell { role, category, rule, effect, when: glossary.condition(&left) })
}

/// What is left of a rule once recipient and category are known. What is settled is gone; what is the same twice is
/// there once; a list in a list of its own kind is one.
fn folded(formula: &Formula, role: &str, category: &str) -> Formula {
    let each = |parts: &[Formula]| parts.iter().map(|part| folded(part, role, category)).collect::<Vec<_>>();
    let gathered = |parts: Vec<Formula>, more_of: fn(&Formula) -> Option<&[Formula]>| {
        let mut all: Vec<Formula> = Vec::new();
        for part in &parts {
            let more = more_of(part).unwrap_or(std::slice::from_ref(part));
            more.iter().for_each(|one| {
                if !all.contains(one) {
                    all.push(one.clone())
                }
            });
        }
        all
    };
    let (mut parts, combine): (_, fn(Vec<Formula>) -> Formula) = match formula {
        Formula::Is(literal) => return settled(literal, role, category),
        Formula::All(parts) => {
            let parts = gathered(each(parts), |part| if let Formula::All(more) = part { Some(more) } else { None });
            if parts.contains(&Formula::never()) {
                return Formula::never();
            }
            (parts, Formula::All)
        }
        Formula::Any(parts) => {
            let parts = gathered(each(parts), |part| if let Formula::Any(more) = part { Some(more) } else { None });
            if parts.contains(&Formula::always()) {
                return Formula::always();
            }
            (parts, Formula::Any)
        }
    };
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            combine(parts)
        }
    }
}

fn settled(literal: &Literal, role: &str, category: &str) -> Formula {
    let Literal { atom, holds } = literal;
    let is_so = match (atom.entity_for("principal"), atom.entity_for("resource")) {
        // Roles do not lie in one another.
        (Some((uid, _)), _) => uid.id().unescaped() == role,
        (_, Some((uid, Within::Itself))) => uid.id().unescaped() == category,
        (_, Some((uid, Within::OrPart))) => same_or_part(category, uid.id().unescaped()),
        (None, None) => return Formula::Is(Literal { atom: Arc::clone(atom), holds: *holds }),
    };
    if is_so == *holds { Formula::always() } else { Formula::never() }
}

#[cfg(test)]
mod tests;
