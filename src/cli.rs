//! The command line: what there is to ask, and the exit codes.

mod check;
mod demo;
mod explain;
mod keys;
mod ledger;
mod matrix;
mod parked;
#[cfg(feature = "prove")]
pub mod prove;
mod receipt;
mod run;
mod topology;
mod users;

use crate::catalogue::Finding;
use crate::config::Config;
use clap::{CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;

/// Message gateway for the probation service and its chain partners.
///
/// Takes messages from partners off a broker, validates them, applies the sharing policy, minimises and
/// translates what may be shared, delivers it, and proves with a signed receipt what became of it.
#[derive(Debug, Parser)]
#[command(name = "ketenpoort", version, about, long_about, after_long_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0   well
  1   it failed while running; of matrix --against, that the two policies differ
  2   the command line is wrong
  64  configuration, policies, mappings, schemas, partners or keys are wrong; nothing was connected
  65  the input is wrong: a message is rejected, a receipt or the ledger does not verify, there is no such
      delivery, receipt or number, or the person must still be known

Start with:
  ketenpoort check --config ketenpoort.toml
  ketenpoort explain --help";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Run(run::Args),
    /// Tell everything that is wrong with the files, and run every case
    Check(check::Args),
    /// Show what would happen to one message, and why, without a broker
    Explain(explain::Args),
    /// Write who may receive what on which ground, from the policy itself, to print and sign
    Matrix(matrix::Args),
    /// Run a gateway among simulated partners, and see what becomes of messages
    Demo(demo::Args),
    /// Look at a receipt
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// Decide about deliveries that wait
    Parked(parked::Args),
    /// Ask the ledger about the past
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Make signing keys, and the set that verifies what they sign
    #[command(subcommand)]
    Keys(keys::Command),
    /// Say who may use the console, on a machine of one's own
    #[command(subcommand)]
    Users(users::Command),
    /// Write queues, exchanges, users and permissions as RabbitMQ definitions
    Topology(topology::Args),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  ketenpoort completions bash > /etc/bash_completion.d/ketenpoort")]
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, clap::Args)]
pub struct ConfigArg {
    /// The configuration file
    #[arg(long, short, env = "KETENPOORT_CONFIG", default_value = "ketenpoort.toml", global = true)]
    pub config: PathBuf,
}

impl ConfigArg {
    fn read(&self) -> Result<Config, Vec<Finding>> {
        Config::read(&self.config, &|name| std::env::var(name).ok())
    }
}

/// Where the files are: from the configuration, or named one by one.
#[derive(Debug, clap::Args)]
pub struct FilesArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Holds schemas, policies, mappings and deploy/partners, as this repository does: the configuration need then
    /// not exist
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub root: Option<PathBuf>,
    /// One folder instead of that in the configuration, or of all four
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub schemas: Option<PathBuf>,
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub policies: Option<PathBuf>,
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub mappings: Option<PathBuf>,
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub partners: Option<PathBuf>,
}

pub mod exit {
    pub const OK: u8 = 0;
    pub const FAILED: u8 = 1;
    /// As clap ends where it finds so itself.
    pub const USAGE: u8 = 2;
    /// `EX_USAGE` of sysexits.h, as for a configuration that does not load.
    pub const CONFIG: u8 = 64;
    /// `EX_DATAERR`.
    pub const INPUT: u8 = 65;
    /// `EX_UNAVAILABLE`.
    pub const UNAVAILABLE: u8 = 69;
}

pub fn main() -> u8 {
    match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Matrix(args) => matrix::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Receipt(command) => receipt::run(command),
        Command::Parked(args) => parked::run(args),
        Command::Ledger(command) => ledger::run(command),
        Command::Keys(command) => keys::run(command),
        Command::Users(command) => users::run(command),
        Command::Topology(args) => topology::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ketenpoort", &mut script);
            print_bytes(&script);
            exit::OK
        }
    }
}

/// Prints what is wrong, one line each.
pub(crate) fn report(findings: &[Finding]) {
    for finding in findings {
        eprintln!("{finding}");
    }
}

/// For a terminal: a control character that a partner put into an id moves no cursor.
fn print_text(text: &str) {
    let plain = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    print_bytes(text.chars().map(plain).collect::<String>().as_bytes());
}

fn print_json(value: &impl serde::Serialize) {
    print_bytes(format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default()).as_bytes());
}

/// A reader that has seen enough, such as `head`, is no failure of ours.
fn print_bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}
