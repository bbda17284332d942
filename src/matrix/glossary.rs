//! Glossary: what the terms of the policy are called in plain words. The words are data beside the policies; they
//! decide nothing.

use super::{ANY_OTHER, Condition, Met};
use crate::catalogue::{Finding, Sources, sources};
use crate::code::Code;
use crate::outcome::Problem;
use crate::policy::formula::{Asked, Formula, Literal};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub const FILE: &str = "begrippen.yaml";
const FOLDER: &str = "begrippen/";

#[derive(Debug, Default)]
pub struct Glossary {
    words: Words,
    pub version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Words {
    /// In the order in which they are to be read.
    rollen: Map<String, Value>,
    categorieen: BTreeMap<String, String>,
    voorwaarden: BTreeMap<String, Term>,
}

/// Where a term is met, and where it is not. `{waarde}` is what it is compared with, or is to contain.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Term {
    ja: String,
    nee: String,
    waarden: BTreeMap<String, String>,
}

impl Glossary {
    /// The glossary and what the folder beside it adds, so that who brings rules of his own can bring their words.
    pub fn read(files: &Sources) -> Result<Glossary, Finding> {
        let is_one = |file: &str| file == FILE || (file.starts_with(FOLDER) && file.ends_with(".yaml"));
        let texts: Vec<_> = files.policies.iter().filter(|(file, _)| is_one(file)).collect();
        let mut glossary = Glossary::default();
        for (file, text) in &texts {
            let words: Words = serde_saphyr::from_str(text).map_err(|error| {
                let hint = error.to_string().lines().next().unwrap_or_default().to_owned();
                let line = error.location().map(|at| at.line());
                Finding::new(format!("policies/{file}"), line, Problem::new(Code::PolicyInvalid, "", hint))
            })?;
            glossary.supplement(Glossary { words, version: String::new() });
        }
        if !texts.is_empty() {
            glossary.version = sources::version(texts);
        }
        Ok(glossary)
    }

    /// What another one has words for and this one has not.
    pub fn supplement(&mut self, other: Glossary) {
        for (name, text) in other.words.rollen {
            self.words.rollen.entry(name).or_insert(text);
        }
        for (name, text) in other.words.categorieen {
            self.words.categorieen.entry(name).or_insert(text);
        }
        for (name, term) in other.words.voorwaarden {
            let known = self.words.voorwaarden.entry(name).or_insert_with(|| term.clone());
            for (words, more) in [(&mut known.ja, term.ja), (&mut known.nee, term.nee)] {
                if words.is_empty() {
                    *words = more;
                }
            }
            for (value, text) in term.waarden {
                known.waarden.entry(value).or_insert(text);
            }
        }
    }

    pub fn place_of_role(&self, role: &str) -> usize {
        self.words.rollen.keys().position(|known| known == role).unwrap_or(usize::MAX)
    }

    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.words.rollen.keys().map(String::as_str).filter(|role| *role != ANY_OTHER)
    }

    /// Whether this role or category has words.
    pub fn names(&self, name: &str) -> bool {
        self.words.rollen.contains_key(name) || self.words.categorieen.contains_key(name)
    }

    pub fn role(&self, role: &str) -> String {
        let otherwise = if role == ANY_OTHER { "iedere andere ontvanger" } else { role };
        self.words.rollen.get(role).and_then(Value::as_str).unwrap_or(otherwise).to_owned()
    }

    pub fn category(&self, category: &str) -> String {
        self.words.categorieen.get(category).cloned().unwrap_or_else(|| category.to_owned())
    }

    /// In words. Conditions that compare one thing with several values are one.
    pub fn condition(&self, formula: &Formula) -> Condition {
        let (parts, holds) = match formula {
            Formula::Is(literal) => return Condition::Met(self.met(&[literal])),
            Formula::All(parts) => (parts, false),
            Formula::Any(parts) => (parts, true),
        };
        let mut parts = self.grouped(parts, holds);
        match parts.pop() {
            Some(only) if parts.is_empty() => only,
            last => {
                parts.extend(last);
                if holds { Condition::Any { any: parts } } else { Condition::All { all: parts } }
            }
        }
    }

    /// Of several the same term is one condition where it is one of these values, or none of these.
    fn grouped(&self, parts: &[Formula], holds: bool) -> Vec<Condition> {
        let compared = |part: &Formula| match part.literal().filter(|literal| literal.holds == holds)?.atom.asked()? {
            Asked::Is { term, .. } => Some(term),
            _ => None,
        };
        let mut done: Vec<String> = Vec::new();
        let mut conditions = Vec::new();
        for part in parts {
            match compared(part) {
                Some(term) if done.contains(&term) => {}
                Some(term) => {
                    let same = parts.iter().filter(|part| compared(part).as_ref() == Some(&term));
                    let literals: Vec<_> = same.filter_map(Formula::literal).collect();
                    conditions.push(Condition::Met(self.met(&literals)));
                    done.push(term);
                }
                None => conditions.push(self.condition(part)),
            }
        }
        conditions
    }

    /// One literal, or several that compare the same term.
    fn met(&self, literals: &[&Literal]) -> Met {
        let cedar = match literals {
            [only] => only.to_string(),
            several => in_a_list(several),
        };
        match self.text(literals) {
            Some(text) => Met { cedar, text, explained: true },
            None => Met { text: cedar.clone(), cedar, explained: false },
        }
    }

    fn text(&self, literals: &[&Literal]) -> Option<String> {
        let Literal { atom, holds } = literals.first()?;
        let way = |term: &Term| Some(if *holds { term.ja.clone() } else { term.nee.clone() }).filter(|t| !t.is_empty());
        if let (Some(term), 1) = (self.words.voorwaarden.get(&atom.cedar), literals.len()) {
            return way(term);
        }
        let (term, _) = atom.asked()?.parts();
        let term = self.words.voorwaarden.get(&term)?;
        let text = way(term)?;
        if !text.contains("{waarde}") {
            // "This category" is right for the category in question only.
            return matches!(atom.asked(), Some(Asked::Member { value: None, .. })).then_some(text);
        }
        let values = literals.iter().map(|literal| {
            let (_, value) = literal.atom.asked()?.parts();
            let value = value?;
            term.waarden.get(&value).or_else(|| self.words.categorieen.get(&value)).cloned()
        });
        Some(text.replace("{waarde}", &one_of(&values.collect::<Option<Vec<_>>>()?)))
    }
}

fn in_a_list(literals: &[&Literal]) -> String {
    let sides: Vec<_> = literals.iter().filter_map(|literal| literal.atom.cedar.split_once(" == ")).collect();
    let term = sides.first().map_or("", |(term, _)| *term);
    let values: Vec<_> = sides.iter().map(|(_, value)| *value).collect();
    let not = if literals.first().is_some_and(|literal| literal.holds) { "" } else { "!" };
    format!("{not}[{}].contains({term})", values.join(", "))
}

fn one_of(values: &[String]) -> String {
    match values {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} of {last}", most.join(", ")),
    }
}
