use super::{Number, Whose};
use crate::cli::{ConfigArg, check, exit, print_text, report};
use crate::code::Code;
use crate::facts::{Person, TIME_ZONE};
use crate::ledger::{self, Ledger, Place};
use crate::record::Subject;
use jiff::{Timestamp, ToSpan};
use std::path::PathBuf;

/// Every disclosure is kept so long, whatever is configured (Wjsg art. 19 and 39j).
const LAW_YEARS: i64 = 4;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What is kept of the person stays, but nothing says any more whom it is about: pseudonyms go, and with them the \
    key under which the disclosure log knows him. No proof changes. It is refused while something about the person waits, or ended less than \
    four years ago. Numbers that stand beside the given one in a message go with it.\n\n\
    There is no way back. That it was done, by whom and why, is kept in the ledger and in the log.\n\n\
    Example:\n  ketenpoort ledger forget bsn bsn.txt --why 'verzoek 2026-114'"
)]
pub struct Forget {
    /// Which number it is
    #[arg(value_enum)]
    number: Number,
    /// The file that holds it; `-` reads standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Who decides
    #[arg(long = "who", env = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    who: String,
    /// Kept in the ledger; no personal data
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    why: String,
    #[command(flatten)]
    config: ConfigArg,
}

pub fn run(args: &Forget) -> u8 {
    let whose = Whose { number: args.number, file: &args.file, who: &args.who, why: &args.why };
    let person = match whose.person() {
        Ok(person) => person,
        Err((code, error)) => {
            eprintln!("{error}");
            return code;
        }
    };
    let loaded = args.config.read().and_then(|config| Ok((check::read_configured(&config)?.1, config)));
    let (subject, place) = match loaded {
        Ok((pipeline, config)) => (pipeline.subject(&person), config.ledger.place),
        Err(findings) => {
            report(&findings);
            return exit::CONFIG;
        }
    };
    drop::<Person>(person);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return exit::FAILED;
    };
    match runtime.block_on(forget(args, subject, place.clone())) {
        Ok(count) => {
            print_text(&format!("forgotten; {count} entries of the disclosure log are anonymous now\n"));
            exit::OK
        }
        Err(ledger::Error::Kept) => {
            let code = Code::NotForgotten;
            eprintln!("{code} {}: {}", code.title(), code.hint());
            exit::INPUT
        }
        Err(error) => {
            eprintln!("{place}: {error}");
            exit::FAILED
        }
    }
}

async fn forget(args: &Forget, subject: Subject, place: Place) -> Result<i64, ledger::Error> {
    let now = Timestamp::now();
    let before = now.in_tz(TIME_ZONE).and_then(|now| now.checked_sub(LAW_YEARS.years()));
    let before = before.map_err(|_| ledger::Error::Unavailable)?.timestamp();
    let ledger = Ledger::open_beside(place).await?;
    let forgotten = ledger.forget(subject, &args.who, &args.why, now, before).await;
    ledger.close().await;
    forgotten
}
