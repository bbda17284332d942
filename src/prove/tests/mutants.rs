//! How much the invariants see: of every change of a rule that the cases are held to, whether it lets the policy permit
//! what an invariant forbids. The rest shares less, or more than our rules do but not than the law.

use super::*;
use crate::policy::cases::mutants::{Kind, Mutant, categories, mutants};
use crate::policy::coverage::Exempt;
use crate::policy::formula::Formula;
use crate::policy::truth::tests::question_for;
use crate::policy::truth::{Bits, Satisfied, Truth};
use std::time::Duration;

/// What no question shows is searched for no longer than this; what is left is counted as such.
const AT_MOST: Duration = Duration::from_secs(40);

#[tokio::test]
async fn what_no_case_can_notice_is_noticed_or_changes_nothing() {
    let Some(cvc5) = solver() else { return };
    let engine = Engine::load(&sources()).unwrap();
    let (rules, exempt) = (engine.rules().unwrap(), Exempt::read(&sources()).unwrap());
    for rule in &rules {
        let same = Formula::of(&written(rule, &rule.when)).unwrap();
        assert!(implies(&same, &rule.when) && implies(&rule.when, &same), "{same} is not {}", rule.when);
    }
    let asked = Asked::new(&engine, &rules);
    let mut search = Search::new(&engine, &cvc5);
    let all = mutants(&rules, &exempt, &categories().when);
    let (mut shown, mut found, mut harmless) = (0, 0, 0);
    let (of_exempt, others): (Vec<_>, Vec<_>) =
        all.iter().partition(|mutant| matches!(mutant.kind, Kind::Without { exempt: Some(_) }));
    assert_eq!(of_exempt.len(), exempt.len());
    for Mutant { name, rule, when, .. } in of_exempt {
        let rule = &rules[*rule];
        if search.breaks(rule, when).await {
            found += 1;
        } else {
            harmless += 1;
            assert!(!search.changes(rule, when).await, "no case can notice this, and no invariant does: {name}");
        }
    }
    let (mut left, started) = (0, Instant::now());
    for mutant in others {
        let rule = &rules[mutant.rule];
        if shares_no_more(rule, &mutant.when) {
            harmless += 1;
        } else if asked.show(mutant) {
            // The solver has to find those too; a few are enough to see that it does.
            assert!(shown % 50 > 0 || search.breaks(rule, &mutant.when).await, "not found: {}", mutant.name);
            shown += 1;
        } else if started.elapsed() > AT_MOST {
            left += 1;
        } else if search.breaks(rule, &mutant.when).await {
            found += 1;
        } else {
            harmless += 1;
        }
    }
    println!(
        "of {} changes of {} rules the proof notices {} ({shown} that a question shows, {found} that the solver finds); \
         {harmless} break no invariant, {left} were not searched, in {:.1} s",
        all.len(),
        rules.len(),
        shown + found,
        started.elapsed().as_secs_f32()
    );
}

/// The changes of one rule, put to the solver: one query tells whether any invariant is broken.
struct Search<'a> {
    prover: Prover<'a>,
    bound: Compiled,
}

impl<'a> Search<'a> {
    fn new(engine: &'a Engine, cvc5: &Cvc5) -> Search<'a> {
        let prover = Prover::new(engine, cvc5).unwrap();
        let invariants = engine.invariant_set().policies().cloned();
        let bound = prover.compile(set_of(invariants.chain([everything().unwrap()])).unwrap()).unwrap();
        Search { prover, bound }
    }

    async fn breaks(&mut self, rule: &Rule, when: &Formula) -> bool {
        let changed = self.changed(rule, when);
        self.prover.permitted_beyond(&changed, &self.bound).await.unwrap().is_some()
    }

    /// Whether any answer is another one.
    async fn changes(&mut self, rule: &Rule, when: &Formula) -> bool {
        let ours = self.prover.compile(in_our_world(self.prover.engine.policy_set()).unwrap()).unwrap();
        let changed = self.changed(rule, when);
        self.prover.differ(&ours, &changed).await.unwrap()
    }

    fn changed(&self, rule: &Rule, when: &Formula) -> Compiled {
        let mut set = self.prover.engine.policy_set().clone();
        set.remove_static(PolicyId::new(&rule.about.id)).unwrap();
        add(&mut set, written(rule, when)).unwrap();
        self.prover.compile(in_our_world(&set).unwrap()).unwrap()
    }
}

/// What the cases ask and what else may come up, and where an invariant forbids it.
struct Asked<'a> {
    rules: &'a [Rule],
    truth: Truth,
    satisfied: Satisfied,
    forbidden: Bits,
}

impl<'a> Asked<'a> {
    fn new(engine: &Engine, rules: &'a [Rule]) -> Asked<'a> {
        let invariants = engine.invariants().unwrap();
        let mut rng = fastrand::Rng::with_seed(6);
        let mut questions = cases::questions(&sources());
        questions.extend((0..1000).map(|_| question_for(&mut rng, rules)));
        let asked: Vec<_> = rules.iter().chain(&invariants).cloned().chain([categories()]).collect();
        let truth = Truth::of(engine, &asked, &questions).unwrap();
        let satisfied = Satisfied::of(&truth, rules);
        let forbidden = truth.at(&Formula::Any(invariants.into_iter().map(|invariant| invariant.when).collect()));
        Asked { rules, truth, satisfied, forbidden }
    }

    fn show(&self, mutant: &Mutant) -> bool {
        let changed = self.satisfied.with(mutant.rule, self.truth.at(&mutant.when));
        let wrong = changed.not_forbidden().and(&self.forbidden);
        let mut permits = (0..self.rules.len()).filter(|&at| !self.rules[at].about.forbids);
        permits.any(|at| !changed.by(at).and(&wrong).is_empty())
    }
}

fn written(rule: &Rule, when: &Formula) -> Policy {
    let effect = if rule.about.forbids { "forbid" } else { "permit" };
    parsed(&rule.about.id, &format!("{effect} (principal, action, resource) when {{ {when} }};")).unwrap()
}

/// A permit that asks for more, or a forbid that asks for less.
fn shares_no_more(rule: &Rule, changed: &Formula) -> bool {
    if rule.about.forbids { implies(&rule.when, changed) } else { implies(changed, &rule.when) }
}

/// Whether the one can be seen to imply the other from how they are made. Conditions are negated nowhere but at
/// themselves.
fn implies(one: &Formula, other: &Formula) -> bool {
    match (one, other) {
        _ if one == other => true,
        (Formula::Any(parts), _) => parts.iter().all(|part| implies(part, other)),
        (_, Formula::All(parts)) => parts.iter().all(|part| implies(one, part)),
        (Formula::All(parts), _) if parts.iter().any(|part| implies(part, other)) => true,
        (_, Formula::Any(parts)) => parts.iter().any(|part| implies(one, part)),
        _ => false,
    }
}
