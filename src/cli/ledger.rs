mod forget;
mod log;
mod processing;

use super::{ConfigArg, check, exit, print_bytes, print_json, print_text, report};
use crate::config::Config;
use crate::core::Pipeline;
use crate::disclosure::Report;
use crate::facts::{Person, TIME_ZONE};
use crate::ledger::{self, Ledger};
use crate::personal::Personal;
use crate::validation::formats::{holds_bsn, is_bsn};
use jiff::{Timestamp, ToSpan};
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Tell which data of a person went to whom on which ground
    #[command(
        after_help = "The number is read from a file or from standard input, never from the command line, which others on the \
        machine can read. What was refused is no disclosure; what may have reached a recipient is told as such. A message that \
        has only the other number of the person (BSN or SKN) is found if some message has both.\n\n\
        That somebody looked, and why, is kept in the ledger.\n\n\
        Example:\n  ketenpoort ledger subject bsn bsn.txt --why 'inzageverzoek 2026-114' --html > overzicht.html\n  \
        ketenpoort ledger subject skn --years 2 --why 'inzageverzoek 2026-114' < skn.txt"
    )]
    Subject(Subject),
    /// Verify that nothing that the disclosure log covers was changed or removed
    Verify(log::Verify),
    /// Print the newest signed head of the disclosure log
    Head(log::Head),
    /// Print the proof that a receipt is in the disclosure log
    Proof(log::Proof),
    /// Print the proof that a larger log continues a smaller one
    Consistency(log::Consistency),
    /// Tell what was done with whose data, or decided, in one trace: records for the log of processings
    Processing(processing::Processing),
    /// Forget whom the log is about: make the entries of a person anonymous for good
    Forget(forget::Forget),
}

#[derive(Debug, clap::Args)]
pub struct Subject {
    /// Which number it is
    #[arg(value_enum)]
    number: Number,
    /// The file that holds it; `-` reads standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// How far back
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(i64).range(1..=50))]
    years: i64,
    /// Who looks
    #[arg(long = "who", env = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    who: String,
    /// Kept in the ledger; no personal data
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    why: String,
    /// Answer as a page for the person, in Dutch
    #[arg(long, conflicts_with = "json")]
    html: bool,
    /// Answer as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Number {
    Bsn,
    Skn,
}

pub fn run(command: Command) -> u8 {
    match command {
        Command::Subject(args) => subject(&args),
        Command::Verify(args) => log::verify(&args),
        Command::Head(args) => log::head(&args),
        Command::Proof(args) => log::proof(&args),
        Command::Consistency(args) => log::consistency(&args),
        Command::Processing(args) => processing::run(&args),
        Command::Forget(args) => forget::run(&args),
    }
}

fn subject(args: &Subject) -> u8 {
    let loaded = args.config.read().and_then(|config| Ok((check::read_configured(&config)?.1, config)));
    let (pipeline, config) = match loaded {
        Ok(loaded) => loaded,
        Err(findings) => {
            report(&findings);
            return exit::CONFIG;
        }
    };
    let whose = Whose { number: args.number, file: &args.file, who: &args.who, why: &args.why };
    let person = match whose.person() {
        Ok(person) => person,
        Err((code, error)) => {
            eprintln!("{error}");
            return code;
        }
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return exit::FAILED;
    };
    match runtime.block_on(look_up(args, &person, &pipeline, &config)) {
        Ok(report) => print(args, &report),
        Err(error) => {
            eprintln!("{}: {error}", config.ledger.place);
            return exit::FAILED;
        }
    }
    exit::OK
}

/// A person, and who asks about him.
struct Whose<'a> {
    number: Number,
    file: &'a Path,
    who: &'a str,
    why: &'a str,
}

impl Whose<'_> {
    /// What is wrong is told without the number, with the code to end with.
    fn person(&self) -> Result<Person, (u8, String)> {
        if self.file.to_string_lossy().bytes().all(|b| b.is_ascii_digit()) {
            // Others may have read it by now; at least nobody gets into the habit.
            return Err((exit::USAGE, "name the file that holds the number, not the number itself".to_owned()));
        }
        if holds_bsn(self.why) || holds_bsn(self.who) {
            let wrong = "--why and --who are kept in the ledger: no personal data in them";
            return Err((exit::INPUT, wrong.to_owned()));
        }
        let text = read(self.file).map_err(|error| (exit::INPUT, format!("{}: {error}", self.file.display())))?;
        let number = text.trim();
        let is_skn = (1..=12).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let personal = Some(Personal::new(number.to_owned()));
        match self.number {
            Number::Bsn if is_bsn(number) => Ok(Person { bsn: personal, skn: None }),
            Number::Skn if is_skn => Ok(Person { bsn: None, skn: personal }),
            Number::Bsn => Err((exit::INPUT, "this is no BSN: nine digits that pass the eleven-test".to_owned())),
            Number::Skn => Err((exit::INPUT, "this is no SKN: up to twelve digits".to_owned())),
        }
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let input: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(file)?),
    };
    let mut text = String::new();
    // No number is longer; what is cut off here is none.
    input.take(64).read_to_string(&mut text)?;
    Ok(text)
}

/// That somebody looks is on record before there is anything to see.
async fn look_up(
    args: &Subject,
    person: &Person,
    pipeline: &Pipeline,
    config: &Config,
) -> Result<Report, ledger::Error> {
    let today = Timestamp::now().in_tz(TIME_ZONE).map_err(|_| ledger::Error::Unavailable)?;
    let since = today.checked_sub(args.years.years()).map_err(|_| ledger::Error::Unavailable)?;
    let ledger = Ledger::open_beside(config.ledger.place.clone()).await?;
    let subject = pipeline.subject(person);
    let disclosed = async {
        ledger.note(subject, &args.who, "subject", &args.why).await?;
        ledger.disclosed(subject, since.timestamp()).await
    };
    let disclosed = disclosed.await;
    ledger.close().await;
    Ok(Report::new(disclosed?, since.date(), today.date(), pipeline))
}

fn print(args: &Subject, report: &Report) {
    match (args.html, args.json) {
        (true, _) => print_bytes(report.page().as_bytes()),
        (_, true) => print_json(report),
        _ => print_text(&report.text()),
    }
}
