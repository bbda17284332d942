//! Coverage: whether the cases show of every condition of every rule what it does, both where the rule decides
//! because of it and where nothing but it keeps the rule from deciding.

use super::cases;
use super::engine::{Engine, Rule};
use super::formula::Formula;
use super::truth::{Satisfied, Truth};
use crate::catalogue::{Finding, Sources};
use crate::code::Code;
use crate::outcome::Problem;
use serde::Deserialize;

const FILE: &str = "dekking.yaml";

/// A condition of which no case can show the difference, and why not.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exempt {
    policy: String,
    /// As Cedar writes it.
    condition: String,
    #[serde(rename = "reason")]
    _reason: String,
}

impl Exempt {
    pub fn read(files: &Sources) -> Result<Vec<Exempt>, Finding> {
        let Some(text) = files.policies.get(FILE) else {
            return Ok(Vec::new());
        };
        serde_saphyr::from_str(text).map_err(|error| {
            let hint = error.to_string().lines().next().unwrap_or_default().to_owned();
            finding(FILE, error.location().map(|at| at.line()), Code::PolicyInvalid, "", hint)
        })
    }

    pub(super) fn is_about(&self, policy: &str, condition: &Formula) -> bool {
        self.policy == policy && self.condition == condition.to_string()
    }
}

/// What no case shows, and what is wrong with the list of exempt conditions.
pub fn check(
    engine: &Engine,
    rules: &[Rule],
    cases: &cases::Report,
    exempt: &[Exempt],
) -> (Vec<Finding>, Vec<Finding>) {
    let questions: Vec<_> = cases.questions.iter().cloned().collect();
    let Ok(truth) = Truth::of(engine, rules, &questions) else {
        let hint = "the conditions could not be evaluated one by one";
        return (Vec::new(), vec![finding("", None, Code::PolicyInvalid, "", hint.to_owned())]);
    };
    let satisfied = Satisfied::of(&truth, rules);
    let mut needed = vec![false; exempt.len()];
    let mut gaps = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let id = &rule.about.id;
        for (condition, hint) in not_shown(index, rule, &truth, &satisfied) {
            match exempt.iter().position(|exempt| exempt.is_about(id, condition)) {
                Some(at) => needed[at] = true,
                // Of a rule that never decides, that is told once and for all.
                None if !cases.decided.contains(id) => {}
                None => gaps.push(finding("", None, Code::NotExercised, id, hint)),
            }
        }
    }
    let idle = exempt.iter().zip(needed).filter(|(_, needed)| !needed).map(|(exempt, _)| {
        let hint = format!("`{}` is no condition of this policy, or cases show what it does", exempt.condition);
        finding(FILE, None, Code::PolicyInvalid, &exempt.policy, hint)
    });
    (gaps, idle.collect())
}

/// Conditions of one rule, and what kind of case is missing.
fn not_shown<'a>(index: usize, rule: &'a Rule, truth: &Truth, satisfied: &Satisfied) -> Vec<(&'a Formula, String)> {
    let is = satisfied.by(index);
    let seen = if rule.about.forbids { None } else { Some(satisfied.not_forbidden()) };
    let mut missing = Vec::new();
    for (part, condition) in rule.when.parts().into_iter().enumerate() {
        if !matches!(condition, Formula::Is(_)) {
            continue;
        }
        let mut turned = truth.at(&rule.when.with_part(part, Some(condition.negated()))).differing(is);
        // What a permit says is not seen where something forbids.
        if let Some(seen) = &seen {
            turned = turned.and(seen);
        }
        if turned.and(is).is_empty() {
            missing.push((condition, format!("add a case in which it decides because `{condition}` is met")));
        }
        if turned.and_not(is).is_empty() {
            missing.push((
                condition,
                format!("add a case in which it does not decide only because `{condition}` is not met"),
            ));
        }
    }
    missing
}

fn finding(file: &str, line: Option<u64>, code: Code, place: &str, hint: String) -> Finding {
    let file = if file.is_empty() { "policies".to_owned() } else { format!("policies/{file}") };
    Finding::new(file, line, Problem::new(code, place, hint))
}

#[cfg(test)]
mod tests;
