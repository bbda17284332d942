//! Cases beside the policies: a table that a privacy officer reads and extends, run by `check`.

use super::asked::{self, Asked, Records};
use super::context::{Bron, Message, Question, Verzoek};
use super::decide::{assessments, forbidding};
use super::engine::{Engine, Sheet};
use crate::casetable::{self, Row};
use crate::catalogue::definition::Given;
use crate::catalogue::{Finding, Sources};
use crate::category::{Category, CategorySet};
use crate::facts::Facts;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

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
    message_source: String,
    #[serde(default)]
    conditions: Vec<String>,
    now: Timestamp,
    #[serde(default)]
    facts: Facts,
    #[serde(default)]
    records: Records,
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
    /// What is permitted, all of it; nothing else is looked at unless the outcome is `permitted`.
    #[serde(default)]
    categories: Vec<Category>,
    /// Policies that permit at least one of the categories.
    #[serde(default)]
    policies: Vec<String>,
    /// The forbid that decides where the outcome is `refused`; left out, that no policy permits.
    #[serde(default)]
    rule: Option<String>,
    /// Per category, or for the `bsn`, the forbid that keeps it back.
    #[serde(default)]
    withheld: BTreeMap<String, String>,
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

/// How many cases held, and what did not; of those that did, the questions that were put, each once, and the
/// policies that a case saw decide.
#[derive(Debug, Default)]
pub struct Report {
    pub passed: usize,
    pub findings: Vec<Finding>,
    pub questions: HashSet<Question>,
    pub decided: BTreeSet<String>,
}

pub fn run(files: &Sources, engine: &Engine) -> Report {
    let mut report = Report::default();
    for row in rows(files, &mut report.findings) {
        match row.read::<Case>().and_then(|case| case.run(engine).map_err(|hint| row.failed(hint))) {
            Ok((question, decided)) => {
                report.passed += 1;
                report.questions.insert(question);
                report.decided.extend(decided);
            }
            Err(finding) => report.findings.push(finding),
        }
    }
    report
}

/// What the cases ask, whether they hold or not.
pub fn questions(files: &Sources) -> Vec<Question> {
    let cases = rows(files, &mut Vec::new());
    cases.iter().filter_map(|row| row.read::<Case>().ok()?.question().ok()).collect()
}

fn rows(files: &Sources, findings: &mut Vec<Finding>) -> Vec<Row> {
    let tables = files.policies.iter().filter(|(file, _)| file.starts_with("cases/") && file.ends_with(".yaml"));
    let read = tables.map(|(file, text)| casetable::rows(&format!("policies/{file}"), text));
    read.flat_map(|table| table.map_err(|finding| findings.push(finding)).unwrap_or_default()).collect()
}

impl Case {
    fn question(&self) -> Result<Question, String> {
        let To { role, party, given, wgs, bsn } = &self.to;
        let asked = Asked {
            message: &self.message,
            from: &self.from,
            source: self.source,
            to: asked::To { role, party, given, wgs, bsn: *bsn },
            request: &self.request,
            about: Message { source: &self.message_source, id: &self.message_id },
            conditions: &self.conditions,
            now: self.now,
            facts: &self.facts,
            records: &self.records,
        };
        asked.question()
    }

    fn run(&self, engine: &Engine) -> Result<(Question, Vec<String>), String> {
        if !engine.policies().any(|policy| policy.id == self.policy) {
            return Err(format!("there is no policy `{}`", self.policy));
        }
        let question = self.question()?;
        let decided = verdict(&self.expect, &engine.answer(&question), &engine.answer(&question.if_judged()))?;
        Ok((question, decided))
    }
}

/// The policies that decided, if the case gives what it expects: those that permit, and the rules it names.
/// `judged` is the answer once every judgement is made that still could be.
fn verdict(expect: &Expect, sheet: &Sheet, judged: &Sheet) -> Result<Vec<String>, String> {
    if sheet.failed {
        return Err("the policy could not be evaluated".to_owned());
    }
    let missing = assessments(judged, CategorySet::ALL);
    let outcome = match (sheet.permitted.is_empty(), missing.is_empty()) {
        (false, _) => Expected::Permitted,
        (true, false) => Expected::AwaitingAssessment,
        (true, true) => Expected::Refused,
    };
    if outcome != expect.outcome {
        return Err(format!("expected {:?}, got {outcome:?} {}", expect.outcome, because(sheet)));
    }
    let permitting = permitting(sheet);
    match outcome {
        Expected::Permitted => expect.permitted(sheet, &permitting)?,
        Expected::Refused => expect.refused(sheet)?,
        Expected::AwaitingAssessment if sorted(&expect.assessments) != missing => {
            return Err(format!("expected assessments {:?}, got {missing:?}", expect.assessments));
        }
        Expected::AwaitingAssessment => {}
    }
    for (what, rule) in &expect.withheld {
        let rules = rules_against(sheet, what)?;
        if !rules.contains(rule) {
            return Err(format!("expected rule {rule} against {what}, got {rules:?}"));
        }
    }
    if expect.bsn.is_some_and(|bsn| bsn != sheet.bsn) {
        return Err(format!("expected bsn {:?}, got {}", expect.bsn, sheet.bsn));
    }
    let rule = expect.rule.clone().filter(|_| outcome == Expected::Refused);
    Ok(permitting.into_iter().chain(rule).chain(expect.withheld.values().cloned()).collect())
}

impl Expect {
    fn permitted(&self, sheet: &Sheet, permitting: &[String]) -> Result<(), String> {
        let wanted: CategorySet = self.categories.iter().copied().collect();
        if wanted != sheet.permitted {
            return Err(format!("expected categories {wanted:?}, got {:?}", sheet.permitted));
        }
        if !self.policies.is_empty() && sorted(&self.policies) != permitting {
            return Err(format!("expected policies {:?}, got {permitting:?}", self.policies));
        }
        Ok(())
    }

    fn refused(&self, sheet: &Sheet) -> Result<(), String> {
        let rules = forbidding(sheet);
        let as_expected = match &self.rule {
            Some(rule) => rules.iter().any(|p| p.id == *rule),
            None => rules.is_empty(),
        };
        if as_expected { Ok(()) } else { Err(format!("expected rule {:?}, got {}", self.rule, because(sheet))) }
    }
}

/// The rules that forbid one category, or the BSN.
fn rules_against(sheet: &Sheet, what: &str) -> Result<Vec<String>, String> {
    let rules = match Category::parse(what) {
        Some(category) => sheet.by.get(&category),
        None if what == "bsn" => Some(&sheet.bsn_forbidden_by),
        None => return Err(format!("`{what}` is no category")),
    };
    Ok(rules.into_iter().flatten().filter(|p| p.forbids).map(|p| p.id.clone()).collect())
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

#[cfg(test)]
pub(crate) mod mutants;
