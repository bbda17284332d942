use crate::cli::{ConfigArg, exit, print_json, print_text, report, run};
use crate::config::Config;
use crate::disclosurelog::head::Statement;
use crate::disclosurelog::verify::{Measure, Report, walk};
use crate::disclosurelog::{Error, head, prove};
use crate::facts::TIME_ZONE;
use crate::ledger::{Ledger, Place};
use crate::receipt::keys::{KeySet, read_key_set};
use jiff::{Timestamp, ToSpan};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Works beside a running gateway, on the state of one moment. What is wrong is told with its table, field and place \
    in the log, and it ends with 65. A head that was kept elsewhere (`ketenpoort ledger head`) also shows that nobody \
    who has the signing key made another history.\n\n\
    Example:\n  ketenpoort ledger verify\n  ketenpoort ledger verify --since-head head-2026-03.jws --json"
)]
pub struct Verify {
    /// A signed head that was kept elsewhere: the log must continue it
    #[arg(long, value_name = "FILE")]
    since_head: Option<PathBuf>,
    /// The keys that verify heads and receipts, instead of those of the configuration
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Another ledger than that of the configuration, such as a backup
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Answer as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Keep it where nobody who can write the ledger can reach it: with an auditor, on paper.\n\n\
    Example:\n  ketenpoort ledger head > head-2026-03.jws")]
pub struct Head {
    /// What it says, instead of the signed bytes
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Anybody verifies it with the receipt and the key set, without us: docs/disclosure-log.md says how.\n\n\
    Example:\n  ketenpoort ledger proof 019b0c2e-6b1f-8c3d-9a55-0d6f1c2b3a49 > proof.json\n  \
    ketenpoort receipt verify receipt.jws --jwks keys.json --proof proof.json"
)]
pub struct Proof {
    /// The id of the receipt
    receipt: Uuid,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ketenpoort ledger consistency 1000 2000 > consistency.json")]
pub struct Consistency {
    /// The size in the older head
    from: u64,
    /// The size in the newer head; the newest one where it is not given
    to: Option<u64>,
    #[command(flatten)]
    config: ConfigArg,
}

pub fn verify(args: &Verify) -> u8 {
    with_config(&args.config, async |config| {
        let keys = match keys(args, config) {
            Ok(keys) => keys,
            Err(error) => {
                eprintln!("{error}");
                return Ok(exit::CONFIG);
            }
        };
        let since = match args.since_head.as_deref().map(|file| read_head(file, &keys)).transpose() {
            Ok(since) => since,
            Err(error) => {
                eprintln!("{error}");
                return Ok(exit::INPUT);
            }
        };
        let years = i64::from(config.retention.log_years.get()).years();
        let kept_since = Timestamp::now().in_tz(TIME_ZONE).and_then(|now| now.checked_sub(years));
        let kept_since = kept_since.map_or(i64::MIN, |since| since.timestamp().as_microsecond());
        let measure = Measure { keys: &keys, ledger: &config.ledger.keys, since, kept_since };
        let place = args.ledger.clone().map_or_else(|| config.ledger.place.clone(), Place::File);
        let ledger = Ledger::open_beside(place).await?;
        let walked = walk(&ledger, &measure, bar()).await;
        ledger.close().await;
        let report = walked?;
        if args.json {
            print_json(&report);
        } else {
            tell(&report);
        }
        Ok(if report.is_clean() { exit::OK } else { exit::INPUT })
    })
}

pub fn head(args: &Head) -> u8 {
    asked(&args.config, async |ledger| {
        let Some(jws) = prove::newest_head(ledger).await? else { return Ok(false) };
        let said = args.json.then(|| head::read(&jws)).flatten();
        match said {
            Some(said) => print_json(&said),
            None => print_text(&format!("{jws}\n")),
        }
        Ok(true)
    })
}

pub fn proof(args: &Proof) -> u8 {
    asked(&args.config, async |ledger| {
        let proof = prove::inclusion(ledger, args.receipt).await?;
        Ok(proof.map(|proof| print_json(&proof)).is_some())
    })
}

pub fn consistency(args: &Consistency) -> u8 {
    asked(&args.config, async |ledger| {
        let proof = prove::consistency(ledger, args.from, args.to).await?;
        Ok(proof.map(|proof| print_json(&proof)).is_some())
    })
}

/// Something that the log has, or has not.
fn asked(config: &ConfigArg, ask: impl AsyncFnOnce(&Ledger) -> Result<bool, Error>) -> u8 {
    with_config(config, async |config| {
        let ledger = Ledger::open_beside(config.ledger.place.clone()).await?;
        let found = ask(&ledger).await;
        ledger.close().await;
        if found? {
            return Ok(exit::OK);
        }
        let code = crate::code::Code::NotLogged;
        eprintln!("{code} {}: {}", code.title(), code.hint());
        Ok(exit::INPUT)
    })
}

fn with_config(config: &ConfigArg, act: impl AsyncFnOnce(&Config) -> Result<u8, Error>) -> u8 {
    let config = match config.read() {
        Ok(config) => config,
        Err(findings) => {
            report(&findings);
            return exit::CONFIG;
        }
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return exit::FAILED;
    };
    runtime.block_on(act(&config)).unwrap_or_else(|error| {
        eprintln!("{}: {error}", config.ledger.place);
        exit::FAILED
    })
}

fn keys(args: &Verify, config: &Config) -> Result<KeySet, String> {
    let keys = match &args.jwks {
        Some(file) => read_key_set(file),
        None => run::keys(&config.receipts).map(|(_, keys)| keys),
    };
    keys.map_err(|error| error.to_string())
}

fn read_head(file: &Path, keys: &KeySet) -> Result<Statement, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let jws = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    head::verify(&jws, keys).map_err(|error| wrong(&error))
}

/// One line that grows, for a person who watches; nothing where nobody does.
fn bar() -> impl FnMut(u64, u64) {
    const WIDTH: u64 = 40;
    let watched = std::io::stderr().is_terminal();
    let mut told = None;
    move |done, all| {
        let percent = (done * 100).checked_div(all).unwrap_or(0);
        if !watched || told.replace(percent) == Some(percent) {
            return;
        }
        let filled = "#".repeat(usize::try_from(percent * WIDTH / 100).unwrap_or_default());
        let end = if percent == 100 { "\n" } else { "" };
        let mut out = std::io::stderr().lock();
        let _ = write!(out, "\r[{filled:-<40}] {percent:>3}%  {done} of {all} entries{end}").and_then(|()| out.flush());
    }
}

fn tell(report: &Report) {
    for finding in &report.findings {
        eprintln!("{finding}");
    }
    if report.more > 0 {
        eprintln!("and {} more", report.more);
    }
    let Report { size, entries, purged, anonymous, heads, pending, .. } = report;
    let verdict = if report.is_clean() { "is what was signed" } else { "is NOT what was signed" };
    print_text(&format!(
        "The log of {size} leaves {verdict}: {entries} entries, {purged} past their term and gone, {anonymous} of \
         forgotten persons, {heads} heads. {pending} records are not in it yet.\n"
    ));
}
