//! Cases beside the policies: a table that a privacy officer reads and extends, run by `check`.

use super::context::{Bron, Dossier, Ontvanger, Question, Verzoek};
use super::decide::{assessments, forbidding};
use super::engine::{Engine, Sheet};
use crate::catalogue::definition::Given;
use crate::catalogue::{Finding, Sources};
use crate::category::{Category, CategorySet};
use crate::code::Code;
use crate::facts::Facts;
use crate::outcome::Problem;
use crate::party::{PartyId, Role};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "name")]
    _name: String,
    policy: String,
    message: String,
    from: String,
    source: Bron,
    to: To,
    #[serde(default)]
    request: Verzoek,
    #[serde(default)]
    message_id: String,
    #[serde(default)]
    conditions: Vec<String>,
    now: Timestamp,
    #[serde(default)]
    facts: Facts,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct To {
    role: String,
    #[serde(default)]
    party: String,
    #[serde(default)]
    given: Vec<Given>,
    #[serde(default)]
    wgs: String,
    #[serde(default)]
    bsn: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    outcome: Expected,
    #[serde(default)]
    categories: Vec<Category>,
    /// Policies that permit at least one of the categories.
    #[serde(default)]
    policies: Vec<String>,
    /// The forbid that decides.
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    assessments: Vec<String>,
    #[serde(default)]
    bsn: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expected {
    Permitted,
    Refused,
    AwaitingAssessment,
}

/// How many cases held, and what did not.
#[derive(Debug, Default)]
pub struct Report {
    pub passed: usize,
    pub findings: Vec<Finding>,
}

pub fn run(files: &Sources, engine: &Engine) -> Report {
    let mut report = Report::default();
    for (file, text) in files.policies.iter().filter(|(file, _)| file.ends_with(".yaml")) {
        let file = format!("policies/{file}");
        let mut wrong = |place: &str, hint: String| {
            report.findings.push(Finding::new(file.as_str(), None, Problem::new(Code::CaseFailed, place, hint)));
        };
        let document: Value = match serde_saphyr::from_str(text) {
            Ok(document) => document,
            Err(error) => {
                wrong("", error.to_string().lines().next().unwrap_or_default().to_owned());
                continue;
            }
        };
        for (name, merged) in cases(&document) {
            match serde_json::from_value::<Case>(merged) {
                Err(error) => wrong(&name, error.to_string()),
                Ok(case) => match verdict(&case, engine) {
                    Ok(()) => report.passed += 1,
                    Err(hint) => wrong(&name, hint),
                },
            }
        }
    }
    report
}

/// Each case over the defaults of its file.
fn cases(document: &Value) -> Vec<(String, Value)> {
    let mut defaults = document.as_object().cloned().unwrap_or_default();
    let Some(Value::Array(items)) = defaults.remove("cases") else {
        return Vec::new();
    };
    let merged = items.into_iter().map(|case| {
        let name = case.get("name").and_then(Value::as_str).unwrap_or("a case without a name").to_owned();
        let mut whole = Value::Object(defaults.clone());
        merge(&mut whole, case);
        (name, whole)
    });
    merged.collect()
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (base, over) => *base = over,
    }
}

fn question(case: &Case) -> Question {
    let mut ontvanger =
        Ontvanger { bsn_gerechtigd: case.to.bsn, wgs_soort: case.to.wgs.clone(), ..Ontvanger::default() };
    case.to.given.iter().for_each(|&given| ontvanger.give(given));
    let party = PartyId::new(case.to.party.as_str());
    Question {
        role: Role::new(case.to.role.as_str()),
        bericht: Arc::from(case.message.as_str()),
        afzender: Role::new(case.from.as_str()),
        bron: case.source,
        ontvanger,
        verzoek: case.request.clone(),
        feiten: case.conditions.iter().map(|c| Arc::from(c.as_str())).collect(),
        dossier: Dossier::at(case.now, &case.facts, &party, &case.message_id, &case.request.doel),
    }
}

fn verdict(case: &Case, engine: &Engine) -> Result<(), String> {
    if !engine.policies().any(|policy| policy.id == case.policy) {
        return Err(format!("there is no policy `{}`", case.policy));
    }
    let question = question(case);
    let sheet = engine.evaluate(&question);
    if sheet.failed {
        return Err("the policy could not be evaluated".to_owned());
    }
    let missing = assessments(&engine.evaluate(&question.if_judged()));
    let outcome = match (sheet.permitted.is_empty(), missing.is_empty()) {
        (false, _) => Expected::Permitted,
        (true, false) => Expected::AwaitingAssessment,
        (true, true) => Expected::Refused,
    };
    let expect = &case.expect;
    if outcome != expect.outcome {
        return Err(format!("expected {:?}, got {outcome:?} {}", expect.outcome, because(&sheet)));
    }
    let wanted: CategorySet = expect.categories.iter().copied().collect();
    if wanted != sheet.permitted {
        return Err(format!("expected categories {wanted:?}, got {:?}", sheet.permitted));
    }
    let permitting = permitting(&sheet);
    if !expect.policies.is_empty() && sorted(&expect.policies) != permitting {
        return Err(format!("expected policies {:?}, got {permitting:?}", expect.policies));
    }
    if let Some(rule) = &expect.rule
        && !forbidding(&sheet).iter().any(|p| p.id == *rule)
    {
        return Err(format!("expected rule {rule}, got {}", because(&sheet)));
    }
    if outcome == Expected::AwaitingAssessment && sorted(&expect.assessments) != missing {
        return Err(format!("expected assessments {:?}, got {missing:?}", expect.assessments));
    }
    if expect.bsn.is_some_and(|bsn| bsn != sheet.bsn) {
        return Err(format!("expected bsn {:?}, got {}", expect.bsn, sheet.bsn));
    }
    Ok(())
}

fn permitting(sheet: &Sheet) -> Vec<String> {
    let by = sheet.permitted.iter().flat_map(|c| sheet.by.get(&c).into_iter().flatten());
    let ids: Vec<String> = by.filter(|p| !p.forbids).map(|p| p.id.clone()).collect();
    sorted(&ids)
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

fn because(sheet: &Sheet) -> String {
    let rules: Vec<_> = forbidding(sheet).iter().map(|p| p.id.clone()).collect();
    format!("(permitted by {:?}, forbidden by {rules:?})", permitting(sheet))
}
