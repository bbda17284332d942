//! Difference: what one policy allows or forbids that another does not. Only what changes a decision or what is said
//! of a rule counts; the words of the glossary and the order of conditions do not.

use super::{Cell, Condition, Effect, Matrix, Named, RuleEntry};
use crate::policy::resources;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A public contract: what `ketenpoort matrix --against DIR --json` answers.
#[derive(Debug, Serialize)]
pub struct Difference {
    pub equal: bool,
    pub before: Version,
    pub after: Version,
    pub rules: Vec<Changed<RuleEntry>>,
    pub cells: Vec<CellChange>,
}

#[derive(Debug, Serialize)]
pub struct Version {
    pub policy_version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Added,
    Removed,
    Changed,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Changed<T> {
    pub change: Change,
    pub before: Option<T>,
    pub after: Option<T>,
}

/// Where a rule says something else about these categories of these roles.
#[derive(Debug, Serialize)]
pub struct CellChange {
    pub roles: Vec<String>,
    pub rule: String,
    pub categories: Vec<String>,
    #[serde(flatten)]
    pub what: Changed<Says>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Says {
    pub effect: Effect,
    pub when: Condition,
}

impl Difference {
    /// Of two that have the same roles.
    pub fn between(before: &Matrix, after: &Matrix) -> Difference {
        let rules = rules(before, after);
        let cells = cells(before, after);
        let version = |matrix: &Matrix| Version { policy_version: matrix.policy_version.clone() };
        Difference {
            equal: rules.is_empty() && cells.is_empty(),
            before: version(before),
            after: version(after),
            rules,
            cells,
        }
    }
}

impl<T: Clone> Changed<T> {
    /// `None` where both are there and the same.
    fn of(before: Option<&T>, after: Option<&T>, same: impl Fn(&T, &T) -> bool) -> Option<Changed<T>> {
        let change = match (before, after) {
            (Some(before), Some(after)) if same(before, after) => return None,
            (Some(_), Some(_)) => Change::Changed,
            (None, Some(_)) => Change::Added,
            (Some(_), None) => Change::Removed,
            (None, None) => return None,
        };
        Some(Changed { change, before: before.cloned(), after: after.cloned() })
    }
}

impl Says {
    fn the_same(&self, other: &Says) -> bool {
        self.effect == other.effect && self.when.essence() == other.when.essence()
    }
}

fn rules(before: &Matrix, after: &Matrix) -> Vec<Changed<RuleEntry>> {
    let ids: BTreeSet<_> = before.rules.iter().chain(&after.rules).map(|rule| rule.id.as_str()).collect();
    let changed = |id| Changed::of(before.rule(id), after.rule(id), RuleEntry::eq);
    ids.into_iter().filter_map(changed).collect()
}

fn cells(before: &Matrix, after: &Matrix) -> Vec<CellChange> {
    let by_place = |matrix: &Matrix| -> Places {
        let place = |cell: &Cell| (cell.role.clone(), cell.rule.clone(), cell.category.clone());
        let says = |cell: &Cell| Says { effect: cell.effect, when: cell.when.clone() };
        matrix.cells.iter().map(|cell| (place(cell), says(cell))).collect()
    };
    let (old, new) = (by_place(before), by_place(after));
    let rules: BTreeSet<_> = before.rules.iter().chain(&after.rules).map(|rule| &rule.id).collect();
    let mut changes: Vec<CellChange> = Vec::new();
    for rule in rules {
        let first = changes.len();
        for role in &after.roles {
            for change in of_role(rule, role, after, &old, &new) {
                let same = |known: &&mut CellChange| known.categories == change.categories && known.what == change.what;
                match changes[first..].iter_mut().find(same) {
                    Some(known) => known.roles.extend(change.roles),
                    None => changes.push(change),
                }
            }
        }
    }
    changes
}

type Places = BTreeMap<(String, String, String), Says>;

fn of_role(rule: &str, role: &Named, after: &Matrix, old: &Places, new: &Places) -> Vec<CellChange> {
    let mut changes: Vec<CellChange> = Vec::new();
    for category in &after.categories {
        let place = (role.name.clone(), rule.to_owned(), category.name.clone());
        let Some(what) = Changed::of(old.get(&place), new.get(&place), Says::the_same) else {
            continue;
        };
        match changes.iter_mut().find(|known| known.what == what) {
            Some(known) => known.categories.push(category.name.clone()),
            None => {
                let (roles, categories) = (vec![role.name.clone()], vec![category.name.clone()]);
                changes.push(CellChange { roles, rule: rule.to_owned(), categories, what });
            }
        }
    }
    changes
}

impl Change {
    pub fn word(self) -> &'static str {
        match self {
            Change::Added => "nieuw",
            Change::Removed => "vervallen",
            Change::Changed => "gewijzigd",
        }
    }

    fn mark(self) -> char {
        match self {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Changed => '~',
        }
    }
}

impl Effect {
    pub fn word(self) -> &'static str {
        match self {
            Effect::Permit => "mag",
            Effect::Forbid => "mag niet",
        }
    }
}

impl RuleEntry {
    /// What a rule says of itself, by name; for comparing.
    pub fn said(&self) -> [(&'static str, &str); 6] {
        [
            ("werking", self.effect.word()),
            ("titel", &self.title),
            ("grondslag", &self.legal_basis),
            ("bron", &self.source),
            ("status", &self.status),
            ("beoordeling", self.assessment.as_deref().unwrap_or("geen")),
        ]
    }
}

/// What is said otherwise, and how it was.
pub fn said_otherwise<'a>(
    before: &'a RuleEntry,
    after: &'a RuleEntry,
) -> impl Iterator<Item = (&'static str, &'a str, &'a str)> {
    let both = before.said().into_iter().zip(after.said());
    both.filter(|((_, was), (_, is))| was != is).map(|((what, was), (_, is))| (what, was, is))
}

/// For a terminal.
impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (before, after) = (&self.before.policy_version, &self.after.policy_version);
        if self.equal {
            return writeln!(f, "Geen verschil: beleid {before} en beleid {after} staan hetzelfde toe.");
        }
        writeln!(f, "Van beleid {before} naar beleid {after}")?;
        if !self.rules.is_empty() {
            writeln!(f, "\nRegels")?;
        }
        for rule in &self.rules {
            let Some(entry) = rule.after.as_ref().or(rule.before.as_ref()) else {
                continue;
            };
            let (mark, word) = (rule.change.mark(), rule.change.word());
            writeln!(f, "  {mark} {} ({word}): {} [{}; {}]", entry.id, entry.title, entry.legal_basis, entry.status)?;
            if let (Some(before), Some(after)) = (&rule.before, &rule.after) {
                for (what, was, is) in said_otherwise(before, after) {
                    writeln!(f, "      {what}: was \"{was}\", wordt \"{is}\"")?;
                }
            }
        }
        if !self.cells.is_empty() {
            writeln!(f, "\nWie wat mag")?;
        }
        for cell in &self.cells {
            let (mark, word) = (cell.what.change.mark(), cell.what.change.word());
            let all = cell.categories.len() == resources().count();
            let what = if all { "alle categorieën".to_owned() } else { cell.categories.join(", ") };
            writeln!(f, "  {mark} regel {} ({word}) voor {}: {what}", cell.rule, role_names(&cell.roles))?;
            for (when, says) in [("was", &cell.what.before), ("wordt", &cell.what.after)] {
                if let Some(Says { effect, when: condition }) = says {
                    writeln!(f, "      {when}: {}, als", effect.word())?;
                    f.write_str(&lines(condition, 8))?;
                }
            }
        }
        Ok(())
    }
}

pub fn role_name(role: &str) -> &str {
    if role == super::ANY_OTHER { "iedere andere rol" } else { role }
}

pub fn role_names(roles: &[String]) -> String {
    roles.iter().map(|role| role_name(role)).collect::<Vec<_>>().join(", ")
}

/// A condition as a list, one line each.
fn lines(condition: &Condition, indent: usize) -> String {
    let (mark, pad) = ("- ", " ".repeat(indent));
    let (head, parts) = match condition {
        Condition::Met(met) => return format!("{pad}{mark}{}\n", met.text),
        Condition::All { all } if all.is_empty() => return format!("{pad}{mark}altijd\n"),
        Condition::All { all } => ("dit alles:", all),
        Condition::Any { any } => ("een van deze:", any),
    };
    let parts: String = parts.iter().map(|part| lines(part, indent + mark.len())).collect();
    format!("{pad}{mark}{head}\n{parts}")
}
