use super::{ConfigArg, exit, print_bytes, print_json, print_text, report};
use crate::catalogue::{Finding, Sources};
use crate::facts::dutch_day;
use crate::matrix::difference::Difference;
use crate::matrix::glossary::Glossary;
use crate::matrix::{Matrix, page};
use crate::policy::Engine;
use jiff::{Timestamp, civil::Date};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The folder of the policy, instead of the one in the configuration
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Show what changes from the policy in this folder to ours
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// Answer as one JSON object
    #[arg(long, conflicts_with = "html")]
    json: bool,
    /// Answer as an HTML page; so without --against anyway
    #[arg(long)]
    html: bool,
    /// Write to this file instead of the standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The day that the page names; today where left out
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<Date>,
}

const HELP: &str = "The page is made from the rules themselves: for every recipient's role and every category, which rule \
permits or forbids it, on which legal basis, and what must hold. Words come from begrippen.yaml beside the policy, and from the folder begrippen; what \
has none is shown as Cedar. The role * is every role that no rule names; the category bsn is part of persoonsnummers.

The JSON:
  {\"policy_version\", \"glossary_version\", \"date\",
   \"rules\": [{\"id\", \"effect\": \"permit\"|\"forbid\", \"title\", \"legal_basis\", \"source\", \"status\", \"assessment\"}],
   \"roles\": [{\"name\", \"text\"}], \"categories\": [{\"name\", \"text\"}],
   \"cells\": [{\"role\", \"category\", \"rule\", \"effect\", \"when\": CONDITION}]}
  CONDITION is {\"all\": [CONDITION, ...]} (empty: always), {\"any\": [CONDITION, ...]} or {\"cedar\", \"text\", \"explained\"}
With --against:
  {\"equal\", \"before\": {\"policy_version\"}, \"after\": {\"policy_version\"},
   \"rules\": [{\"change\": \"added\"|\"removed\"|\"changed\", \"before\": RULE|null, \"after\": RULE|null}],
   \"cells\": [{\"roles\": [...], \"rule\", \"categories\": [...], \"change\", \"before\": {\"effect\", \"when\"}|null, \"after\": ...}]}

With --against the exit code is 0 where both policies say the same, and 1 where they differ; other words in \
begrippen.yaml or another order of conditions make no difference.

Examples:
  ketenpoort matrix --policies policies --output matrix.html
  ketenpoort matrix --policies policies --against ../previous/policies";

/// A policy by itself: no message type and no partner is needed to say what it allows.
struct Policy {
    engine: Engine,
    glossary: Glossary,
}

pub fn run(args: Args) -> u8 {
    match answer(&args) {
        Ok(code) => code,
        Err(findings) => {
            report(&findings);
            exit::CONFIG
        }
    }
}

fn answer(args: &Args) -> Result<u8, Vec<Finding>> {
    let folder = match &args.policies {
        Some(folder) => folder.clone(),
        None => args.config.read()?.files.policies,
    };
    let date = args.date.unwrap_or_else(|| dutch_day(Timestamp::now()));
    let mut ours = read(&folder)?;
    let Some(against) = &args.against else {
        let matrix = Matrix::of(&ours.engine, &ours.glossary, &[], date).map_err(|finding| vec![finding])?;
        return Ok(write(args, exit::OK, || page::matrix(&matrix), &matrix));
    };
    let theirs = read(against)?;
    // Where both have words, ours; so that nothing seems to differ that is only called otherwise.
    ours.glossary.supplement(theirs.glossary);
    let matrix =
        |engine: &Engine, roles: &[String]| Matrix::of(engine, &ours.glossary, roles, date).map_err(|f| vec![f]);
    let roles = [matrix(&theirs.engine, &[])?, matrix(&ours.engine, &[])?].map(|matrix| matrix.roles).concat();
    let roles: Vec<String> = roles.into_iter().map(|role| role.name).collect();
    let (before, after) = (matrix(&theirs.engine, &roles)?, matrix(&ours.engine, &roles)?);
    let difference = Difference::between(&before, &after);
    let code = if difference.equal { exit::OK } else { exit::FAILED };
    let html = || page::difference(&difference, &before, &after);
    if args.html || args.json || args.output.is_some() {
        return Ok(write(args, code, html, &difference));
    }
    print_text(&difference.to_string());
    Ok(code)
}

fn read(folder: &Path) -> Result<Policy, Vec<Finding>> {
    let sources = Sources::read_policies(folder)?;
    let engine = Engine::load(&sources)?;
    let glossary = Glossary::read(&sources).map_err(|finding| vec![finding])?;
    Ok(Policy { engine, glossary })
}

fn write(args: &Args, code: u8, html: impl Fn() -> String, json: &impl serde::Serialize) -> u8 {
    let Some(file) = &args.output else {
        if args.json {
            print_json(json)
        } else {
            print_bytes(html().as_bytes())
        }
        return code;
    };
    let text = if args.json { serde_json::to_string_pretty(json).unwrap_or_default() + "\n" } else { html() };
    match std::fs::write(file, text) {
        Ok(()) => code,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            exit::FAILED
        }
    }
}
