//! On the real solver: that the policy is proved, that a broken one is not, and what a person is told then. Where there
//! is no solver nothing is tested, and it says so.

use super::*;
use crate::catalogue::Sources;
use crate::policy::cases;
use crate::policy::tests::sources;

mod broken;
mod mutants;

fn solver() -> Option<Cvc5> {
    let found = Cvc5::find(std::env::var("CVC5").ok());
    found.inspect_err(|error| eprintln!("skipped: {error}")).ok()
}

fn glossary() -> Glossary {
    Glossary::read(&sources()).unwrap()
}

async fn invariants(sources: &Sources, cvc5: &Cvc5) -> Vec<Proof> {
    let engine = Engine::load(sources).unwrap();
    Prover::new(&engine, cvc5).unwrap().invariants(&glossary(), &[]).await.unwrap()
}

#[tokio::test]
async fn the_policy_never_permits_what_an_invariant_forbids() {
    let Some(cvc5) = solver() else { return };
    let engine = Engine::load(&sources()).unwrap();
    let questions = cases::questions(&sources());
    let report = prove(&engine, &glossary(), &questions, &cvc5).await.unwrap();
    assert!(report.proved, "{report:#?}");
    assert_eq!((report.request_environments, report.invariants.len()), (1, 11));
    assert_eq!(report.policies.len(), engine.policies().count());
    // It is the reason that is given where 18b, BIJ and 43-4 do not permit either.
    let second_locks = report.policies.iter().filter(|policy| !policy.changes_something);
    assert_eq!(second_locks.map(|policy| policy.id.as_str()).collect::<Vec<_>>(), ["kader-dient-ander-doel"]);
}

/// What the cases show of the policies the solver finds by itself, and what nobody can find is told.
#[tokio::test]
async fn a_policy_that_can_never_decide_is_found() {
    let Some(cvc5) = solver() else { return };
    let mut sources = sources();
    let about = "@title(\"t\") @legal_basis(\"l\") @source(\"s\") @status(\"te bevestigen\")";
    let table = [
        // id, effect, condition, whether it can decide and whether that makes a difference
        ("x-verboden", "permit", "resource == Categorie::\"netwerk\"", (false, false)),
        ("x-onmogelijk", "forbid", "context.bekend && !context.bekend", (false, false)),
        (
            "x-dubbel",
            "permit",
            "principal == Rol::\"burgemeester\" && context.bron == \"reclassering\" && context.verzoek.grond == \"18b\" && resource in context.toestemming",
            (true, false),
        ),
        ("x-nieuw", "permit", "principal == Rol::\"nieuw\"", (true, true)),
    ];
    let texts = table.map(|(id, effect, condition, _)| {
        format!("@id(\"{id}\") {about} {effect} (principal, action, resource) when {{ {condition} }};")
    });
    sources.policies.insert("x.cedar".to_owned(), texts.join("\n"));
    let engine = Engine::load(&sources).unwrap();
    let rules = engine.rules().unwrap();
    let mut prover = Prover::new(&engine, &cvc5).unwrap();
    for (id, _, _, expected) in table {
        let rule = rules.iter().find(|rule| rule.about.id == id).unwrap();
        let policy = one(engine.policy_set(), id).unwrap();
        let found = (prover.can_decide(rule, policy).await.unwrap(), prover.changes_something(rule).await.unwrap());
        assert_eq!(found, expected, "{id}");
    }
}

#[tokio::test]
async fn what_the_solver_has_no_time_for_is_not_proved() {
    let Some(cvc5) = solver() else { return };
    let folder = tempfile::tempdir().unwrap();
    let hurried = folder.path().join("cvc5");
    std::fs::write(&hurried, format!("#!/bin/sh\nexec {} \"$@\" --rlimit-per=1\n", cvc5.program())).unwrap();
    std::fs::set_permissions(&hurried, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let hurried = Cvc5::find(hurried.to_str().map(str::to_owned)).unwrap();
    let proofs = invariants(&sources(), &hurried).await;
    assert!(proofs.iter().any(|proof| proof.outcome == Outcome::Undecided), "{proofs:#?}");
    assert!(proofs.iter().all(|proof| proof.counterexample.is_none()), "{proofs:#?}");
}
