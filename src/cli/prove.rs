use super::{ConfigArg, exit, print_json, print_text, report};
use crate::catalogue::{Finding, Sources};
use crate::matrix::glossary::Glossary;
use crate::policy::{Engine, Question, cases};
use crate::prove::{Counterexample, Cvc5, Examined, Outcome, Proof, Report, prove};
use clap::Parser;
use std::fmt::Write;
use std::path::PathBuf;

/// Proves that the sharing policy never permits what an invariant forbids, for every request there can be.
///
/// The invariants are the forbids in `invarianten` beside the policies. Cedar's symbolic compiler puts them and the
/// policies into logic, and the solver cvc5 looks for a request that the policies permit and an invariant forbids. If
/// there is one it is shown in the words of begrippen.yaml, with the rule that permits it. Of every policy it is proved
/// besides that it never fails, and that it can decide.
#[derive(Debug, Parser)]
#[command(name = "ketenpoort-prove", version, about, long_about, after_long_help = HELP)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The folder of the policy, instead of the one in the configuration
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Answer as one JSON object
    #[arg(long)]
    json: bool,
    /// The program of the solver; cvc5 on the path where left out
    #[arg(long, value_name = "PROGRAM", env = "CVC5")]
    cvc5: Option<String>,
}

const HELP: &str = "The JSON:
  {\"proved\", \"policy_version\", \"solver\", \"request_environments\",
   \"invariants\": [{\"id\", \"effect\", \"title\", \"legal_basis\", \"source\", \"status\", \"assessment\",
                   \"outcome\": \"proved\"|\"broken\"|\"undecided\", \"counterexample\": null | {\"role\": {\"name\", \"text\"},
                   \"category\": {\"name\", \"text\"}, \"rules\": [...], \"facts\": [...], \"context\"}, \"milliseconds\"}],
   \"policies\": [{\"id\", \"errs\", \"can_decide\", \"changes_something\"}]}

Exit codes:
  0   all is proved
  1   an invariant is broken or undecided, or a policy can fail or never decide
  2   the command line is wrong
  64  the policies are wrong
  69  there is no solver: install it (Debian: apt-get install cvc5), or name it in CVC5

Example:
  ketenpoort-prove --policies policies";

pub fn main() -> u8 {
    let args = Args::parse();
    let (engine, glossary, questions) = match read(&args) {
        Ok(read) => read,
        Err(findings) => {
            report(&findings);
            return exit::CONFIG;
        }
    };
    let cvc5 = match Cvc5::find(args.cvc5) {
        Ok(cvc5) => cvc5,
        Err(error) => {
            eprintln!("{error}");
            return exit::UNAVAILABLE;
        }
    };
    let proved =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string()).and_then(
            |runtime| runtime.block_on(prove(&engine, &glossary, &questions, &cvc5)).map_err(|error| error.to_string()),
        );
    match proved {
        Ok(proved) => {
            if args.json {
                print_json(&proved)
            } else {
                print_text(&for_a_person(&proved))
            }
            if proved.proved { exit::OK } else { exit::FAILED }
        }
        Err(error) => {
            eprintln!("{error}");
            exit::FAILED
        }
    }
}

fn read(args: &Args) -> Result<(Engine, Glossary, Vec<Question>), Vec<Finding>> {
    let folder = match &args.policies {
        Some(folder) => folder.clone(),
        None => args.config.read()?.files.policies,
    };
    let sources = Sources::read_policies(&folder)?;
    let glossary = Glossary::read(&sources).map_err(|finding| vec![finding])?;
    let engine = Engine::load(&sources)?;
    Ok((engine, glossary, cases::questions(&sources)))
}

fn for_a_person(report: &Report) -> String {
    let mut out = String::new();
    for proof in &report.invariants {
        proof_lines(&mut out, proof);
    }
    let broken = report.invariants.iter().filter(|proof| proof.outcome != Outcome::Proved).count();
    let kinds = match report.request_environments {
        1 => "het ene soort verzoek dat".to_owned(),
        kinds => format!("elk van de {kinds} soorten verzoeken die"),
    };
    let _ = writeln!(
        out,
        "{} invarianten, {broken} niet bewezen; voor alle waarden van {kinds} het schema kent.\nBeleid {}, {}.",
        report.invariants.len(),
        report.policy_version,
        report.solver
    );
    policy_lines(&mut out, &report.policies);
    out
}

fn proof_lines(out: &mut String, proof: &Proof) {
    let Proof { invariant, outcome, counterexample, milliseconds } = proof;
    let outcome = match outcome {
        Outcome::Proved => "bewezen",
        Outcome::Broken => "NIET BEWEZEN, er is een tegenvoorbeeld",
        Outcome::Undecided => "NIET BEWEZEN, de solver kwam er niet uit",
    };
    let _ = writeln!(out, "{}: {}", invariant.id, invariant.title);
    let _ = writeln!(out, "  {outcome} ({milliseconds} ms)");
    if let Some(found) = counterexample {
        counterexample_lines(out, found);
    }
    out.push('\n');
}

fn counterexample_lines(out: &mut String, found: &Counterexample) {
    let _ = writeln!(out, "  {} krijgt: {}", found.role.text, found.category.text);
    for rule in &found.rules {
        let _ = writeln!(out, "  volgens regel {}: {} ({})", rule.id, rule.title, rule.legal_basis);
    }
    for (index, fact) in found.facts.iter().enumerate() {
        let _ = writeln!(out, "  {} {fact}", if index == 0 { "terwijl" } else { "     en" });
    }
}

fn policy_lines(out: &mut String, policies: &[Examined]) {
    let mut line = |text: &str, is: fn(&Examined) -> bool| {
        let named: Vec<_> = policies.iter().filter(|policy| is(policy)).map(|policy| policy.id.as_str()).collect();
        if !named.is_empty() {
            let _ = writeln!(out, "{text}: {}.", named.join(", "));
        }
    };
    line("Kan mislukken", |policy| policy.errs);
    line("Kan nooit beslissen", |policy| !policy.can_decide);
    line("Tweede slot, ook zonder deze regel is de uitkomst dezelfde", |policy| !policy.changes_something);
}
