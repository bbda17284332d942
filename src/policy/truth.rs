//! Truth: what each condition is worth at many points at once, as Cedar says it. A point is a question about one
//! category; a formula over the conditions is then a few words of bits, however many points there are.

use super::Question;
use super::context::{category_uid, uid};
use super::engine::{BSN, Engine, EvaluationError, PolicyRef, Rule};
use super::formula::{Atom, Formula};
use crate::category::Category;
use cedar_policy::{Authorizer, Context, PolicyId, PolicySet, Request};
use std::collections::HashMap;
use std::sync::Arc;

/// What every question is asked about: the categories, and the BSN by itself.
pub fn resources() -> impl Iterator<Item = &'static str> {
    Category::ALL.iter().map(|category| category.as_str()).chain([BSN])
}

const RESOURCES: usize = Category::ALL.len() + 1;

/// One bit a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    points: usize,
    words: Vec<u64>,
}

#[derive(Debug)]
pub struct Truth {
    points: usize,
    of: HashMap<String, Bits>,
}

impl Truth {
    /// Asks Cedar for every condition of the rules at every question.
    pub fn of(engine: &Engine, rules: &[Rule], questions: &[Question]) -> Result<Truth, EvaluationError> {
        let points = questions.len() * RESOURCES;
        let mut atoms: Vec<&Arc<Atom>> = Vec::new();
        let mut truth = Truth { points, of: HashMap::new() };
        for literal in rules.iter().flat_map(|rule| rule.when.literals()) {
            let known = truth.of.insert(literal.atom.cedar.clone(), Bits::all(points, false));
            if known.is_none() {
                atoms.push(&literal.atom);
            }
        }
        let (by_category, by_question): (Vec<_>, Vec<_>) =
            atoms.into_iter().partition(|atom| atom.mentions("resource"));
        let (by_category, by_question) = (Probe::of(&by_category)?, Probe::of(&by_question)?);
        for (index, question) in questions.iter().enumerate() {
            let context = question.context()?;
            let first = index * RESOURCES;
            for name in by_question.true_ones(engine, question, context.clone(), BSN)? {
                (first..first + RESOURCES).for_each(|point| truth.set(name, point));
            }
            for (resource, point) in resources().zip(first..) {
                for name in by_category.true_ones(engine, question, context.clone(), resource)? {
                    truth.set(name, point);
                }
            }
        }
        Ok(truth)
    }

    fn set(&mut self, atom: &str, point: usize) {
        if let Some(bits) = self.of.get_mut(atom) {
            bits.set(point);
        }
    }

    /// Where the formula is satisfied.
    pub fn at(&self, formula: &Formula) -> Bits {
        match formula {
            Formula::Is(literal) => {
                let never = || Bits::all(self.points, false);
                let bits = self.of.get(&literal.atom.cedar).cloned().unwrap_or_else(never);
                if literal.holds { bits } else { Bits::all(self.points, true).and_not(&bits) }
            }
            Formula::All(parts) => parts.iter().fold(Bits::all(self.points, true), |all, part| all.and(&self.at(part))),
            Formula::Any(parts) => parts.iter().fold(Bits::all(self.points, false), |any, part| any.or(&self.at(part))),
        }
    }
}

/// Where each rule is satisfied, and what follows from that, as Cedar's authorizer combines them.
#[derive(Clone, Debug)]
pub struct Satisfied {
    points: usize,
    rules: Vec<(Arc<PolicyRef>, Bits)>,
}

impl Satisfied {
    pub fn of(truth: &Truth, rules: &[Rule]) -> Satisfied {
        let rules = rules.iter().map(|rule| (rule.about.clone(), truth.at(&rule.when))).collect();
        Satisfied { points: truth.points, rules }
    }

    pub fn by(&self, rule: usize) -> &Bits {
        &self.rules[rule].1
    }

    /// Where nothing forbids.
    pub fn not_forbidden(&self) -> Bits {
        let free = Bits::all(self.points, true);
        self.rules.iter().filter(|(about, _)| about.forbids).fold(free, |free, (_, bits)| free.and_not(bits))
    }
}

impl Bits {
    fn all(points: usize, value: bool) -> Bits {
        let mut words = vec![if value { u64::MAX } else { 0 }; points.div_ceil(64)];
        // INVARIANT: no bit beyond the last point is ever set.
        if let Some(last) = words.last_mut().filter(|_| !points.is_multiple_of(64)) {
            *last &= (1 << (points % 64)) - 1;
        }
        Bits { points, words }
    }

    fn set(&mut self, point: usize) {
        self.words[point / 64] |= 1 << (point % 64);
    }

    pub fn and(&self, other: &Bits) -> Bits {
        self.with(other, |a, b| a & b)
    }

    pub fn or(&self, other: &Bits) -> Bits {
        self.with(other, |a, b| a | b)
    }

    pub fn and_not(&self, other: &Bits) -> Bits {
        self.with(other, |a, b| a & !b)
    }

    pub fn differing(&self, other: &Bits) -> Bits {
        self.with(other, |a, b| a ^ b)
    }

    fn with(&self, other: &Bits, combine: fn(u64, u64) -> u64) -> Bits {
        let words = self.words.iter().zip(&other.words).map(|(a, b)| combine(*a, *b)).collect();
        Bits { points: self.points, words }
    }

    /// The place of the question, and what it is about.
    #[cfg(feature = "prove")]
    pub fn first(&self) -> Option<(usize, &'static str)> {
        let word = self.words.iter().position(|word| *word != 0)?;
        let point = word * 64 + self.words[word].trailing_zeros() as usize;
        Some((point / RESOURCES, resources().nth(point % RESOURCES)?))
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }
}

/// Conditions as policies of their own, so that one request to Cedar answers all of them.
struct Probe {
    set: PolicySet,
    names: HashMap<PolicyId, String>,
}

impl Probe {
    fn of(atoms: &[&Arc<Atom>]) -> Result<Probe, EvaluationError> {
        let mut probe = Probe { set: PolicySet::new(), names: HashMap::new() };
        for (index, atom) in atoms.iter().enumerate() {
            let id = PolicyId::new(index.to_string());
            let policy = atom.probe(id.clone()).map_err(|_| EvaluationError)?;
            probe.set.add(policy).map_err(|_| EvaluationError)?;
            probe.names.insert(id, atom.cedar.clone());
        }
        Ok(probe)
    }

    /// A condition that fails is none of them: in its policy another one keeps Cedar from asking it.
    fn true_ones(
        &self,
        engine: &Engine,
        question: &Question,
        context: Context,
        resource: &str,
    ) -> Result<impl Iterator<Item = &String>, EvaluationError> {
        let (principal, action) = (uid("Rol", question.role.as_str()), uid("Action", "verstrekken"));
        let request = Request::new(principal, action, category_uid(resource), context, None);
        let response =
            Authorizer::new().is_authorized(&request.map_err(|_| EvaluationError)?, &self.set, engine.entities());
        let reasons: Vec<_> = response.diagnostics().reason().cloned().collect();
        Ok(reasons.into_iter().filter_map(|id| self.names.get(&id)))
    }
}

#[cfg(test)]
pub(crate) mod tests;
