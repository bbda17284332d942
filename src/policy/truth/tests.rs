use super::*;
use crate::party::Role;
use crate::policy::Sheet;
use crate::policy::tests::{engine, question};
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};

impl Satisfied {
    /// The same, had this rule been satisfied elsewhere.
    pub fn with(&self, rule: usize, bits: Bits) -> Satisfied {
        let mut other = self.clone();
        other.rules[rule].1 = bits;
        other
    }

    /// The sheet of the question with this place in the list.
    pub fn sheet(&self, question: usize) -> Sheet {
        let mut point = question * RESOURCES;
        let answer = |_: &str| {
            let satisfied: Vec<_> =
                self.rules.iter().filter(|(_, bits)| bits.has(point)).map(|(about, _)| about).collect();
            let is_forbidden = satisfied.iter().any(|about| about.forbids);
            let by: Vec<_> = satisfied.into_iter().filter(|about| about.forbids == is_forbidden).cloned().collect();
            point += 1;
            Ok::<_, std::convert::Infallible>((!is_forbidden && !by.is_empty(), by))
        };
        match Sheet::of(answer) {
            Ok(sheet) => sheet,
        }
    }
}

impl Bits {
    pub fn has(&self, point: usize) -> bool {
        self.words[point / 64] & (1 << (point % 64)) != 0
    }

    /// The questions that have a point in it.
    pub fn questions(&self) -> Vec<usize> {
        let mut questions: Vec<_> = (0..self.points).filter(|&at| self.has(at)).map(|at| at / RESOURCES).collect();
        questions.dedup();
        questions
    }
}

/// A question in which what the rules compare with, and the facts of messages that they ask for, often occur.
pub fn question_for(rng: &mut Rng, rules: &[Rule]) -> Question {
    let asked = rules.iter().flat_map(|rule| rule.when.literals()).filter_map(|literal| literal.atom.asked());
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for asked in asked {
        let (term, value) = asked.parts();
        values.entry(term).or_default().extend(value);
    }
    let roles = rules.iter().flat_map(|rule| rule.when.literals());
    let roles = roles.filter_map(|literal| Some(literal.atom.entity_for("principal")?.0.id().unescaped().to_owned()));
    values.insert("role".to_owned(), roles.collect());
    let none = BTreeSet::new();
    let of = |term: &str| values.get(term).unwrap_or(&none);
    let mut one_of = |term: &str| rng.choice(of(term)).cloned().unwrap_or_default();
    let [bericht, afzender, grond, doel, role] =
        ["context.bericht", "context.afzender", "context.verzoek.grond", "context.verzoek.doel", "role"]
            .map(&mut one_of);
    let mut question = question(rng);
    if rng.bool() {
        question.bericht = Arc::from(bericht);
        question.afzender = Role::new(afzender);
        question.verzoek.grond = grond;
    }
    if rng.u8(..8) == 0 {
        question.verzoek.doel = doel;
    }
    if rng.bool() {
        question.role = Role::new(role);
    }
    question.feiten = of("context.feiten").iter().filter(|_| rng.bool()).map(|fact| Arc::from(fact.as_str())).collect();
    question
}

fn some(count: usize) -> (Engine, Vec<Rule>, Vec<Question>, Truth) {
    let engine = engine();
    let rules = engine.rules().unwrap();
    let mut rng = Rng::with_seed(2026);
    let questions: Vec<_> = (0..count).map(|_| question_for(&mut rng, &rules)).collect();
    let truth = Truth::of(&engine, &rules, &questions).unwrap();
    (engine, rules, questions, truth)
}

#[test]
fn what_is_put_together_from_conditions_is_what_the_engine_answers() {
    let (engine, rules, questions, truth) = some(100);
    let satisfied = Satisfied::of(&truth, &rules);
    for (index, question) in questions.iter().enumerate() {
        let (ours, engines) = (satisfied.sheet(index), engine.evaluate(question));
        assert!(!engines.failed);
        assert_eq!((ours.permitted, ours.bsn), (engines.permitted, engines.bsn), "{question:?}");
        assert_eq!((&ours.by, &ours.bsn_forbidden_by), (&engines.by, &engines.bsn_forbidden_by), "{question:?}");
    }
}

#[test]
fn a_rule_changed_in_its_parts_is_what_cedar_makes_of_its_text() {
    let (engine, rules, questions, truth) = some(12);
    let mut rng = Rng::with_seed(2026);
    let mut set = PolicySet::new();
    let mut changed = Vec::new();
    for rule in &rules {
        let parts = rule.when.parts();
        for _ in 0..4 {
            let at = rng.usize(0..parts.len());
            let when = rule.when.with_part(at, rng.bool().then(|| parts[at].negated()));
            let text = format!("permit (principal, action, resource) when {{ {when} }};");
            let policy: cedar_policy::Policy = text.parse().unwrap();
            let id = PolicyId::new(changed.len().to_string());
            set.add(policy.new_id(id.clone())).unwrap();
            changed.push((id, truth.at(&when), text));
        }
    }
    let points = questions.iter().flat_map(|question| resources().map(move |resource| (question, resource)));
    for (point, (question, resource)) in points.enumerate() {
        let request = Request::new(
            uid("Rol", question.role.as_str()),
            uid("Action", "verstrekken"),
            category_uid(resource),
            question.context().unwrap(),
            None,
        );
        let response = Authorizer::new().is_authorized(&request.unwrap(), &set, engine.entities());
        let cedars: std::collections::HashSet<_> = response.diagnostics().reason().collect();
        for (id, ours, text) in &changed {
            assert_eq!(ours.has(point), cedars.contains(id), "{text} {resource} {question:?}");
        }
    }
}
