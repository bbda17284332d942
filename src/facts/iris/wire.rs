//! What goes over the wire: questions as IRIS expects them, and answers that are believed only where they fit
//! their schema. No IO in here.

use crate::catalogue::Finding;
use crate::category::{Category, CategorySet};
use crate::code::Code;
use crate::facts::{CaseData, Facts, Person, Unavailable};
use crate::outcome::Problem;
use crate::personal::Personal;
use crate::validation::schema::Schema;
use crate::validation::{formats, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Numbers<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    bsn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skn: Option<&'a str>,
}

impl Numbers<'_> {
    fn of(person: &Person) -> Numbers<'_> {
        Numbers {
            bsn: person.bsn.as_ref().map(|bsn| bsn.reveal_personal_data().as_str()),
            skn: person.skn.as_ref().map(|skn| skn.reveal_personal_data().as_str()),
        }
    }
}

/// One person whom IRIS would not understand must not spoil the question about all others.
pub fn can_be_asked(person: &Person) -> bool {
    let Numbers { bsn, skn } = Numbers::of(person);
    let is_skn = |skn: &str| (1..=12).contains(&skn.len()) && skn.bytes().all(|b| b.is_ascii_digit());
    (bsn.is_some() || skn.is_some()) && bsn.is_none_or(formats::is_bsn) && skn.is_none_or(is_skn)
}

pub fn facts_question<'a>(persons: impl Iterator<Item = &'a Person>) -> Personal<Vec<u8>> {
    #[derive(Serialize)]
    struct Question<'a> {
        personen: Vec<Numbers<'a>>,
    }
    as_json(&Question { personen: persons.map(Numbers::of).collect() })
}

pub fn case_data_question(person: &Person, categories: CategorySet) -> Personal<Vec<u8>> {
    #[derive(Serialize)]
    struct Question<'a> {
        persoon: Numbers<'a>,
        categorieen: Vec<Category>,
    }
    as_json(&Question { persoon: Numbers::of(person), categorieen: categories.iter().collect() })
}

fn as_json(question: &impl Serialize) -> Personal<Vec<u8>> {
    // Fails only for maps whose keys are not text.
    Personal::new(serde_json::to_vec(question).unwrap_or_default())
}

/// The schemas of what IRIS answers.
#[derive(Debug)]
pub struct Schemas {
    facts: Schema,
    case_data: Schema,
    /// What a category may hold.
    categories: Schema,
}

impl Schemas {
    /// Out of the texts of the schema folder, by path.
    pub fn compile(files: &BTreeMap<String, String>) -> Result<Schemas, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut schema = |path: &str| {
            let missing = || Problem::new(Code::SchemaInvalid, "", "the file is missing");
            let compiled = files.get(path).ok_or_else(missing).and_then(|text| Schema::compile(text));
            compiled.map_err(|problem| findings.push(Finding::new(format!("schemas/{path}"), None, problem))).ok()
        };
        let facts = schema("iris/feiten-antwoord.schema.json");
        let case_data = schema("iris/gegevens-antwoord.schema.json");
        let categories = schema("iris/gegevens.schema.json");
        match (facts, case_data, categories) {
            (Some(facts), Some(case_data), Some(categories)) => Ok(Schemas { facts, case_data, categories }),
            _ => Err(findings),
        }
    }

    /// One answer for each person asked about, in that order. Each is believed or not by itself: what is wrong
    /// in one file of IRIS must not keep everybody else waiting.
    pub fn read_facts(&self, bytes: &[u8], asked: usize) -> Result<Vec<Result<Facts, Unavailable>>, Unavailable> {
        let Ok(Value::Object(mut answer)) = json::parse(bytes) else { return Err(Unavailable::Invalid) };
        match answer.remove("antwoorden") {
            Some(Value::Array(answers)) if answer.is_empty() && answers.len() == asked => {
                Ok(answers.into_iter().map(|answer| self.facts_of_one(answer)).collect())
            }
            _ => Err(Unavailable::Invalid),
        }
    }

    fn facts_of_one(&self, answer: Value) -> Result<Facts, Unavailable> {
        let alone = Value::from_iter([("antwoorden", Value::Array(vec![answer]))]);
        if !self.facts.is_valid(&alone) {
            return Err(Unavailable::Invalid);
        }
        let facts = Facts::deserialize(&alone["antwoorden"][0]).map_err(|_| Unavailable::Invalid)?;
        // Case data was not asked for here.
        Ok(Facts { gegevens: None, ..facts })
    }

    /// Only what was asked is kept, and looked at.
    pub fn read_case_data(&self, bytes: &[u8], asked: CategorySet) -> Result<CaseData, Unavailable> {
        let mut answer = json::parse(bytes).map_err(|_| Unavailable::Invalid)?;
        if !self.case_data.is_valid(&answer) {
            return Err(Unavailable::Invalid);
        }
        if let Some(data) = answer["gegevens"].as_object_mut() {
            data.retain(|name, _| Category::parse(name).is_some_and(|category| asked.contains(category)));
        }
        match answer["gegevens"].take() {
            data if !self.categories.is_valid(&data) => Err(Unavailable::Invalid),
            data => CaseData::deserialize(data).map_err(|_| Unavailable::Invalid),
        }
    }
}

#[cfg(test)]
mod tests;
