//! The command line: what there is to ask, and the exit codes.

mod check;
mod explain;

use crate::catalogue::Finding;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Message gateway for the probation service and its chain partners.
///
/// Exit codes: 0 well; 1 it failed while running; 2 the command line is wrong; 64 configuration, policies,
/// mappings, schemas or partners are wrong, before anything was connected; 65 the input is wrong.
#[derive(Debug, Parser)]
#[command(name = "ketenpoort", version, about, long_about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell everything that is wrong with the files, and run every case
    Check(check::Args),
    /// Show what would happen to one message, and why, without a broker
    Explain(explain::Args),
}

/// Where the files are: from the configuration, or named one by one.
#[derive(Debug, clap::Args)]
pub struct FilesArgs {
    /// The configuration file
    #[arg(long, short, env = "KETENPOORT_CONFIG", default_value = "ketenpoort.toml")]
    pub config: PathBuf,
    /// Folders instead of those in the configuration: it then need not exist
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
    /// `EX_USAGE` of sysexits.h, as for a configuration that does not load.
    pub const CONFIG: u8 = 64;
    /// `EX_DATAERR`.
    pub const INPUT: u8 = 65;
}

pub fn main() -> u8 {
    match Cli::parse().command {
        Command::Check(args) => check::run(args),
        Command::Explain(args) => explain::run(args),
    }
}

/// Prints what is wrong, one line each.
pub(crate) fn report(findings: &[Finding]) {
    for finding in findings {
        eprintln!("{finding}");
    }
}
