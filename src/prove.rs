//! Prove: that no rule ever permits what an invariant forbids, and that every rule can decide, for every request there
//! can be. Cedar's symbolic compiler says it in logic, the solver cvc5 judges; nothing is sampled in here.

pub mod counterexample;
mod shown;
mod solver;

pub use counterexample::Counterexample;
pub use solver::{Cvc5, NoSolver};

use crate::matrix::RuleEntry;
use crate::matrix::glossary::Glossary;
use crate::policy::{Engine, Question, Rule, resources, same_or_part};
use cedar_policy::{Effect, Policy, PolicyId, PolicySet, Request, RequestEnv};
use cedar_policy_symcc::err::Error as SymccError;
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet};
use serde::Serialize;
use std::time::Instant;

/// A public contract: what `ketenpoort-prove --json` answers.
#[derive(Debug, Serialize)]
pub struct Report {
    /// All invariants proved, and nothing wrong with any policy.
    pub proved: bool,
    pub policy_version: String,
    pub solver: String,
    /// Kinds of request that the schema knows: role, action, category.
    pub request_environments: usize,
    pub invariants: Vec<Proof>,
    pub policies: Vec<Examined>,
}

#[derive(Debug, Serialize)]
pub struct Proof {
    #[serde(flatten)]
    pub invariant: RuleEntry,
    pub outcome: Outcome,
    pub counterexample: Option<Counterexample>,
    pub milliseconds: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Proved,
    Broken,
    /// The solver gave up in the time it had.
    Undecided,
}

/// What holds of one policy by itself.
#[derive(Debug, Serialize)]
pub struct Examined {
    pub id: String,
    /// It can fail, and is then skipped.
    pub errs: bool,
    /// There is a request that it permits and nothing forbids; of a forbid, one that it forbids.
    pub can_decide: bool,
    /// Without it another answer would be given somewhere. A forbid that changes nothing is a second lock.
    pub changes_something: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the policies cannot be put to the solver: {0}")]
    Symbolic(Box<SymccError>),
    #[error("{0}")]
    Policy(String),
}

impl From<SymccError> for Error {
    fn from(error: SymccError) -> Self {
        Error::Symbolic(Box::new(error))
    }
}

impl Error {
    fn policy(error: impl std::fmt::Display) -> Error {
        Error::Policy(error.to_string())
    }
}

type Result<T> = std::result::Result<T, Error>;

/// A policy set as logic, once for each kind of request.
#[derive(Debug)]
struct Compiled(Vec<CompiledPolicySet>);

pub struct Prover<'a> {
    engine: &'a Engine,
    environments: Vec<RequestEnv>,
    solver: CedarSymCompiler<LocalSolver>,
}

impl std::fmt::Debug for Prover<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prover").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// Everything about one policy. The `questions` are any that show what rules do: what they do not show is searched, and
/// of what is broken they are the likelier examples. The solver is a process: this needs a Tokio runtime.
pub async fn prove(engine: &Engine, glossary: &Glossary, questions: &[Question], cvc5: &Cvc5) -> Result<Report> {
    let mut prover = Prover::new(engine, cvc5)?;
    let invariants = prover.invariants(glossary, questions).await?;
    let policies = prover.policies(questions).await?;
    let is_well = |policy: &Examined| !policy.errs && policy.can_decide;
    Ok(Report {
        proved: invariants.iter().all(|proof| proof.outcome == Outcome::Proved) && policies.iter().all(is_well),
        policy_version: engine.version.clone(),
        solver: cvc5.version.clone(),
        request_environments: prover.environments.len(),
        invariants,
        policies,
    })
}

impl<'a> Prover<'a> {
    pub fn new(engine: &'a Engine, cvc5: &Cvc5) -> Result<Prover<'a>> {
        let solver = cvc5.start().map_err(SymccError::from)?;
        let environments = engine.schema().request_envs().collect();
        Ok(Prover { engine, environments, solver: CedarSymCompiler::new(solver)? })
    }

    async fn invariants(&mut self, glossary: &Glossary, questions: &[Question]) -> Result<Vec<Proof>> {
        let ours = self.compile(in_our_world(self.engine.policy_set())?)?;
        let rules = self.engine.rules().map_err(Error::policy)?;
        let mut proofs = Vec::new();
        for invariant in self.engine.invariants().map_err(Error::policy)? {
            let started = Instant::now();
            let forbid = one(self.engine.invariant_set(), &invariant.about.id)?;
            let bound = self.compile(set_of([everything()?, forbid])?)?;
            let (outcome, counterexample) = match self.permitted_beyond(&ours, &bound).await {
                Ok(None) => (Outcome::Proved, None),
                Ok(Some(request)) => {
                    let likelier = shown::breaking(questions, &rules, &invariant, self.engine);
                    let found = Counterexample::of(&request, likelier, self.engine, glossary, &invariant);
                    (Outcome::Broken, Some(found.map_err(Error::Policy)?))
                }
                Err(Error::Symbolic(error)) if matches!(*error, SymccError::SolverUnknown) => {
                    (Outcome::Undecided, None)
                }
                Err(error) => return Err(error),
            };
            let invariant = RuleEntry::of(&invariant.about);
            proofs.push(Proof { invariant, outcome, counterexample, milliseconds: started.elapsed().as_millis() });
        }
        Ok(proofs)
    }

    /// A request that the one permits and the other does not.
    async fn permitted_beyond(&mut self, ours: &Compiled, bound: &Compiled) -> Result<Option<Request>> {
        for (ours, bound) in ours.0.iter().zip(&bound.0) {
            if let Some(found) = self.solver.check_implies_with_counterexample_opt(ours, bound).await? {
                return Ok(Some(found.request));
            }
        }
        Ok(None)
    }

    async fn policies(&mut self, questions: &[Question]) -> Result<Vec<Examined>> {
        let rules = self.engine.rules().map_err(Error::policy)?;
        let shown = shown::by(questions, &rules, self.engine);
        let mut examined = Vec::new();
        for (rule, shown) in rules.iter().zip(shown) {
            let policy = one(self.engine.policy_set(), &rule.about.id)?;
            examined.push(Examined {
                id: rule.about.id.clone(),
                errs: !self.never_errs(&policy).await?,
                can_decide: shown.can_decide || self.can_decide(rule, policy).await?,
                changes_something: shown.changes_something || self.changes_something(rule).await?,
            });
        }
        Ok(examined)
    }

    async fn can_decide(&mut self, rule: &Rule, policy: Policy) -> Result<bool> {
        let forbids = self.engine.policy_set().policies().filter(|policy| policy.effect() == Effect::Forbid);
        let set = match rule.about.forbids {
            true => set_of([as_permit(&policy)?])?,
            false => set_of(forbids.cloned().chain([policy]))?,
        };
        let set = self.compile(in_our_world(&set)?)?;
        for set in &set.0 {
            if !self.solver.check_always_denies_opt(set).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn changes_something(&mut self, rule: &Rule) -> Result<bool> {
        let mut without = self.engine.policy_set().clone();
        without.remove_static(PolicyId::new(&rule.about.id)).map_err(Error::policy)?;
        let (ours, without) = (in_our_world(self.engine.policy_set())?, in_our_world(&without)?);
        let (ours, without) = (self.compile(ours)?, self.compile(without)?);
        self.differ(&ours, &without).await
    }

    async fn differ(&mut self, one: &Compiled, other: &Compiled) -> Result<bool> {
        for (one, other) in one.0.iter().zip(&other.0) {
            if !self.solver.check_equivalent_opt(one, other).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn never_errs(&mut self, policy: &Policy) -> Result<bool> {
        for environment in &self.environments {
            let policy = CompiledPolicy::compile(policy, environment, self.engine.schema())?;
            if !self.solver.check_never_errors_opt(&policy).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn compile(&self, set: PolicySet) -> Result<Compiled> {
        let compiled = |environment| Ok(CompiledPolicySet::compile(&set, environment, self.engine.schema())?);
        Ok(Compiled(self.environments.iter().map(compiled).collect::<Result<_>>()?))
    }
}

/// The same set, that answers about the categories there are. The schema does not say that they lie in nothing but
/// themselves, and the BSN in the personal numbers; the solver would think of others.
fn in_our_world(set: &PolicySet) -> Result<PolicySet> {
    let category = |name: &str| format!("Categorie::\"{name}\"");
    let is = |name: &str| format!("resource == {}", category(name));
    let known: Vec<_> = resources().map(is).collect();
    let lies_in = |whole: &str| {
        let parts: Vec<_> = resources().filter(|part| same_or_part(part, whole)).map(is).collect();
        format!("(resource in {}) == ({})", category(whole), parts.join(" || "))
    };
    let lie: Vec<_> = resources().map(lies_in).collect();
    let conditions = format!("({}) && {}", known.join(" || "), lie.join(" && "));
    let mut set = set.clone();
    add(&mut set, parsed("world", &format!("forbid (principal, action, resource) unless {{ {conditions} }};"))?)?;
    Ok(set)
}

fn everything() -> Result<Policy> {
    parsed("everything", "permit (principal, action, resource);")
}

fn as_permit(policy: &Policy) -> Result<Policy> {
    let mut json = policy.to_json().map_err(Error::policy)?;
    json["effect"] = "permit".into();
    Policy::from_json(Some(policy.id().clone()), json).map_err(Error::policy)
}

fn parsed(id: &str, text: &str) -> Result<Policy> {
    Policy::parse(Some(PolicyId::new(id)), text).map_err(Error::policy)
}

fn one(set: &PolicySet, id: &str) -> Result<Policy> {
    let found = set.policy(&PolicyId::new(id)).cloned();
    found.ok_or_else(|| Error::Policy(format!("there is no policy `{id}`")))
}

fn set_of(policies: impl IntoIterator<Item = Policy>) -> Result<PolicySet> {
    let mut set = PolicySet::new();
    policies.into_iter().try_for_each(|policy| add(&mut set, policy))?;
    Ok(set)
}

fn add(set: &mut PolicySet, policy: Policy) -> Result<()> {
    set.add(policy).map_err(Error::policy)
}

#[cfg(test)]
mod tests;
