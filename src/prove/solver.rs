//! Solver: which cvc5 there is to ask, and how long it may think.

use cedar_policy_symcc::solver::{LocalSolver, SolverError};
use std::process::{Command, Stdio};

/// What one question takes is some hundredths of a second.
const AT_MOST: &str = "--tlimit-per=30000";

/// cvc5 as found on this machine. Only [`Cvc5::find`] makes one.
#[derive(Clone, Debug)]
pub struct Cvc5 {
    program: String,
    pub version: String,
}

#[derive(Debug, thiserror::Error)]
#[error("the solver `{program}` does not run: {why}\ninstall it (Debian: apt-get install cvc5), or name it in CVC5")]
pub struct NoSolver {
    program: String,
    why: String,
}

impl Cvc5 {
    /// The program that `named` names, or `cvc5` on the path.
    pub fn find(named: Option<String>) -> Result<Cvc5, NoSolver> {
        let program = named.unwrap_or_else(|| "cvc5".to_owned());
        let answer = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
        let why = match answer {
            Ok(answer) => match version(&String::from_utf8_lossy(&answer.stdout)) {
                Some(version) => return Ok(Cvc5 { program, version }),
                None => "it is not cvc5".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        Err(NoSolver { program, why })
    }

    #[cfg(test)]
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    pub(super) fn start(&self) -> Result<LocalSolver, SolverError> {
        let mut command = tokio::process::Command::new(&self.program);
        LocalSolver::from_command(command.args(["--lang", "smt", AT_MOST]).kill_on_drop(true))
    }
}

/// `This is cvc5 version 1.0.3`
fn version(text: &str) -> Option<String> {
    let (_, rest) = text.lines().next()?.split_once("cvc5 version ")?;
    let number = rest.split_whitespace().next()?;
    Some(format!("cvc5 {number}"))
}
