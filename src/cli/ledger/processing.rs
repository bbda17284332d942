use crate::cli::{ConfigArg, check, exit, print_json, report};
use crate::config::Config;
use crate::core::Pipeline;
use crate::ledger::{self, Ledger};
use crate::processinglog::View;
use crate::processinglog::answer::{Page, answer};
use crate::processinglog::question::{Log, Question};
use crate::validation::formats::holds_bsn;
use serde_json::json;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What POST /processing-activities and POST /authorization-decisions answer, of one trace; nobody in it but by \
    pseudonym. That somebody looked, and why, is kept in the ledger.\n\n\
    Example:\n  ketenpoort ledger processing --trace 0af7651916cd43dd8448eb211c80319c --why 'vraag van de FG'"
)]
pub struct Processing {
    /// The trace id, as logs and receipts name it
    #[arg(long)]
    trace: String,
    /// What was decided for each recipient, instead of what was done with the message
    #[arg(long)]
    decisions: bool,
    /// Who looks
    #[arg(long, env = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    who: String,
    /// Kept in the ledger; no personal data
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    why: String,
    #[command(flatten)]
    config: ConfigArg,
}

pub fn run(args: &Processing) -> u8 {
    if holds_bsn(&args.why) || holds_bsn(&args.who) {
        eprintln!("--why and --who are kept in the ledger: no personal data in them");
        return exit::INPUT;
    }
    let Some(question) = Question::of_trace(&args.trace) else {
        eprintln!("a trace id has 32 hexadecimal digits");
        return exit::INPUT;
    };
    let loaded = args.config.read().and_then(|config| Ok((check::read_configured(&config)?.1, config)));
    let (pipeline, config) = match loaded {
        Ok(loaded) => loaded,
        Err(findings) => {
            report(&findings);
            return exit::CONFIG;
        }
    };
    if config.processing_log.register.is_empty() {
        eprintln!("[processing_log] needs register: it names the processings");
        return exit::CONFIG;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return exit::FAILED;
    };
    match runtime.block_on(look_up(args, &question, &pipeline, &config)) {
        Ok((found, _)) => print_json(&json!(found)),
        Err(error) => {
            eprintln!("{}: {error}", config.ledger.place);
            return exit::FAILED;
        }
    }
    exit::OK
}

async fn look_up(
    args: &Processing,
    question: &Question,
    pipeline: &Pipeline,
    config: &Config,
) -> Result<Page, ledger::Error> {
    let ledger = Ledger::open_beside(config.ledger.place.clone()).await?;
    let log = if args.decisions { Log::Decisions } else { Log::Processings };
    let view = View { pipeline, register: &config.processing_log.register };
    let found = answer(&ledger, view, log, question, &args.who, Some(&args.why)).await;
    ledger.close().await;
    found
}
