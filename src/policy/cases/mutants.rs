//! Rules with one thing changed, each of which some case must notice: a condition, a list or one of its members
//! left out or turned round, a category added, the whole rule gone.

use super::*;
use crate::policy::coverage::Exempt;
use crate::policy::formula::Literal;
use crate::policy::tests::{engine, sources};
use crate::policy::truth::tests::question_for;
use crate::policy::truth::{Satisfied, Truth};
use crate::policy::{Rule, formula::Formula};
use std::sync::Arc;

pub(crate) struct Mutant {
    pub name: String,
    pub rule: usize,
    pub when: Formula,
    pub kind: Kind,
}

#[derive(PartialEq)]
pub(crate) enum Kind {
    /// A part is left out; of an exempt one no case can see that.
    Without {
        exempt: Option<usize>,
    },
    TurnedRound,
    /// A category is added, which is no change where the rule permits it already.
    Wider,
}

#[test]
fn every_change_of_a_rule_is_noticed_by_a_case() {
    let (sources, engine) = (sources(), engine());
    let rules = engine.rules().unwrap();
    let exempt = Exempt::read(&sources).unwrap();
    let cases: Vec<Case> = rows(&sources, &mut Vec::new()).iter().map(|row| row.read().unwrap()).collect();
    let asked: Vec<Question> = cases.iter().map(|case| case.question().unwrap()).collect();
    // Every case's question stands before all of those in which everything is judged.
    let questions: Vec<_> = asked.iter().cloned().chain(asked.iter().map(Question::if_judged)).collect();
    let categories = categories();
    let asked_about: Vec<_> = rules.iter().cloned().chain([categories.clone()]).collect();
    let truth = Truth::of(&engine, &asked_about, &questions).unwrap();
    let satisfied = Satisfied::of(&truth, &rules);
    let holds = |case: usize, satisfied: &Satisfied| {
        let (sheet, judged) = (satisfied.sheet(case), satisfied.sheet(cases.len() + case));
        verdict(&cases[case].expect, &sheet, &judged).is_ok()
    };
    for (case, row) in rows(&sources, &mut Vec::new()).iter().enumerate() {
        assert!(holds(case, &satisfied), "{:?}", row.failed(String::new()));
    }

    let (mut caught, mut survivors, mut needed) = (0, Vec::new(), vec![false; exempt.len()]);
    for mutant in mutants(&rules, &exempt, &categories.when) {
        let bits = truth.at(&mutant.when);
        let differing = bits.differing(satisfied.by(mutant.rule));
        if mutant.kind == Kind::Wider && differing.is_empty() {
            continue;
        }
        let changed = satisfied.with(mutant.rule, bits);
        let mut affected: Vec<_> = differing.questions().into_iter().map(|question| question % cases.len()).collect();
        affected.sort_unstable();
        affected.dedup();
        match (affected.into_iter().any(|case| !holds(case, &changed)), mutant.kind) {
            (true, _) => caught += 1,
            (false, Kind::Without { exempt: Some(at) }) => needed[at] = true,
            (false, _) => survivors.push(mutant.name),
        }
    }
    let equivalent = needed.iter().filter(|needed| **needed).count();
    println!(
        "{caught} changes of {} rules caught, {equivalent} change nothing, {} survive",
        rules.len(),
        survivors.len()
    );
    assert!(survivors.is_empty(), "no case notices:\n{}", survivors.join("\n"));
    assert_eq!(equivalent, exempt.len(), "policies/dekking.yaml names what a case does notice");
}

/// What is said to change nothing changes nothing for whatever question there can be.
#[test]
fn a_change_that_no_case_can_notice_changes_no_answer() {
    let (sources, engine) = (sources(), engine());
    let (rules, exempt) = (engine.rules().unwrap(), Exempt::read(&sources).unwrap());
    let mut rng = fastrand::Rng::with_seed(43);
    let questions: Vec<_> = (0..600).map(|_| question_for(&mut rng, &rules)).collect();
    let truth = Truth::of(&engine, &rules, &questions).unwrap();
    let satisfied = Satisfied::of(&truth, &rules);
    let is_exempt = |mutant: &Mutant| matches!(mutant.kind, Kind::Without { exempt: Some(_) });
    for mutant in mutants(&rules, &exempt, &categories().when).into_iter().filter(is_exempt) {
        let changed = satisfied.with(mutant.rule, truth.at(&mutant.when));
        for (at, question) in questions.iter().enumerate() {
            let (was, is) = (satisfied.sheet(at), changed.sheet(at));
            assert_eq!(
                (was.permitted, was.bsn, was.by),
                (is.permitted, is.bsn, is.by),
                "{}\n{question:?}",
                mutant.name
            );
        }
    }
}

pub(crate) fn mutants(rules: &[Rule], exempt: &[Exempt], categories: &Formula) -> Vec<Mutant> {
    let mut all = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let id = &rule.about.id;
        let parts = rule.when.parts();
        let in_a_list: Vec<_> = parts
            .iter()
            .filter_map(|part| if let Formula::Any(members) = part { Some(members) } else { None })
            .flatten()
            .collect();
        for (at, part) in parts.iter().copied().enumerate() {
            let mut add = |what: String, other: Option<Formula>, kind: Kind| {
                let name = format!("{id}: {what}");
                all.push(Mutant { name, rule: index, when: rule.when.with_part(at, other), kind });
            };
            let exempt = exempt.iter().position(|exempt| exempt.is_about(id, part));
            add(format!("without {part}"), None, Kind::Without { exempt });
            if at > 0 {
                add(format!("turned round: {part}"), Some(part.negated()), Kind::TurnedRound);
            }
            let is_member = in_a_list.iter().any(|member| std::ptr::eq(*member, part));
            for (category, wider) in wider(part, categories).filter(|_| !is_member) {
                add(format!("{category} || {part}"), Some(wider), Kind::Wider);
            }
        }
    }
    all
}

/// A condition on the category, or a list of them, with each category that it does not have.
fn wider<'a>(part: &'a Formula, categories: &'a Formula) -> impl Iterator<Item = (&'a Literal, Formula)> {
    let members: &[Formula] = match part {
        Formula::Any(parts) => parts,
        Formula::Is(_) => std::slice::from_ref(part),
        Formula::All(_) => &[],
    };
    let positive = members.iter().filter_map(Formula::literal).filter(|literal| literal.holds);
    let named: Vec<_> = positive.filter_map(|literal| literal.atom.entity_for("resource")).collect();
    let is_list = !named.is_empty();
    let missing = categories.literals().into_iter().filter(move |literal| {
        let category = literal.atom.entity_for("resource");
        is_list && !named.iter().any(|(uid, _)| Some(uid) == category.as_ref().map(|(uid, _)| uid))
    });
    missing.map(|literal| (literal, Formula::Any(vec![part.clone(), Formula::Is(literal.clone())])))
}

/// A rule that asks about each category that some rule could permit; not one of ours.
pub(crate) fn categories() -> Rule {
    use Category::{Netwerk, Slachtoffer, Sociaal, VrijeTekst};
    let forbidden_anyhow = [Netwerk, Slachtoffer, Sociaal, VrijeTekst];
    let ordinary = Category::ALL.iter().filter(|category| !forbidden_anyhow.contains(category));
    let each: Vec<_> = ordinary.map(|name| format!("resource == Categorie::\"{name}\"")).collect();
    let text = format!("permit (principal, action, resource) when {{ {} }};", each.join(" || "));
    let when = Formula::of(&text.parse().unwrap()).unwrap();
    let Formula::All(mut parts) = when else { unreachable!() };
    let about = crate::policy::PolicyRef {
        id: String::new(),
        title: String::new(),
        legal_basis: String::new(),
        source: String::new(),
        status: String::new(),
        assessment: None,
        forbids: false,
    };
    Rule { about: Arc::new(about), when: parts.remove(0) }
}
