//! Shown: what one question is enough to show. Where a case beside the policies shows it nobody needs to search, and
//! what comes from a case is likelier to happen than what a solver thinks of.

use crate::policy::truth::{Bits, Satisfied, Truth};
use crate::policy::{Engine, Question, Rule};

/// Of each rule, in their order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown {
    /// It permits where nothing forbids, or it forbids.
    pub can_decide: bool,
    /// The answer would be another one without it.
    pub changes_something: bool,
}

pub(super) fn by(questions: &[Question], rules: &[Rule], engine: &Engine) -> Vec<Shown> {
    let Ok(truth) = Truth::of(engine, rules, questions) else {
        return vec![Shown::default(); rules.len()];
    };
    let satisfied = Satisfied::of(&truth, rules);
    let free = satisfied.not_forbidden();
    let others = |at: usize, forbids: bool| -> Bits {
        let rest = rules.iter().enumerate().filter(|(other, rule)| *other != at && rule.about.forbids == forbids);
        rest.fold(free.and_not(&free), |all, (other, _)| all.or(satisfied.by(other)))
    };
    let shown = |(at, rule): (usize, &Rule)| {
        let by = satisfied.by(at);
        let (decides, alone) = if rule.about.forbids {
            (by.clone(), by.and(&others(at, false)).and_not(&others(at, true)))
        } else {
            let decides = by.and(&free);
            (decides.clone(), decides.and_not(&others(at, false)))
        };
        Shown { can_decide: !decides.is_empty(), changes_something: !alone.is_empty() }
    };
    rules.iter().enumerate().map(shown).collect()
}

/// A question, and a category, about which the policy goes against the invariant.
pub(super) fn breaking<'a>(
    questions: &'a [Question],
    rules: &[Rule],
    invariant: &Rule,
    engine: &Engine,
) -> Option<(&'a Question, &'static str)> {
    let asked: Vec<_> = rules.iter().chain([invariant]).cloned().collect();
    let truth = Truth::of(engine, &asked, questions).ok()?;
    let satisfied = Satisfied::of(&truth, rules);
    let wrong = satisfied.not_forbidden().and(&truth.at(&invariant.when));
    let permits = (0..rules.len()).filter(|&at| !rules[at].about.forbids);
    let (question, resource) = permits.filter_map(|at| satisfied.by(at).and(&wrong).first()).min()?;
    Some((&questions[question], resource))
}
