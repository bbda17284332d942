//! The gateway as a process of its own: started, killed and stopped as an operator or a crash would.

use super::afterwards::Afterwards;
use super::{Error, Note};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const READY_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// How to run it.
#[derive(Clone, Debug)]
pub struct Program {
    pub binary: PathBuf,
    pub config: PathBuf,
    pub log: PathBuf,
    pub environment: Vec<(String, String)>,
    /// Where it answers over HTTP.
    pub http: String,
}

impl Program {
    /// For questions to the ledger of a gateway that somebody else started.
    pub fn beside(note: &Note, binary: PathBuf) -> Program {
        let (config, http) = (note.config.clone(), note.http.clone());
        Program { binary, config, log: PathBuf::new(), environment: Vec::new(), http }
    }

    /// What `ketenpoort COMMAND --json` answers, with the configuration that the gateway has.
    pub async fn ask<T: DeserializeOwned>(&self, command: &[&str]) -> Result<T, Error> {
        let output = Command::new(&self.binary)
            .args(command)
            .arg("--json")
            .arg("--config")
            .arg(&self.config)
            .envs(self.environment.iter().cloned())
            .output()
            .await?;
        let wrong = || {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Error::Gateway(format!("`ketenpoort {}` ended with {}", command.join(" "), output.status), said)
        };
        if !output.status.success() {
            return Err(wrong());
        }
        serde_json::from_slice(&output.stdout).map_err(|_| wrong())
    }
}

/// It runs; dropped, it is killed, and so it is when we are.
#[derive(Debug)]
pub struct Process {
    child: Child,
    afterwards: Option<Afterwards>,
    log: PathBuf,
}

impl Process {
    /// Ready to take messages when this returns.
    pub async fn start(program: &Program) -> Result<Process, Error> {
        let log = File::options().create(true).append(true).open(&program.log)?;
        let child = Command::new(&program.binary)
            .arg("run")
            .arg("--config")
            .arg(&program.config)
            .envs(program.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().map(|pid| pid.to_string()).unwrap_or_default();
        let mut killed = std::process::Command::new("kill");
        let afterwards = Some(Afterwards::run(killed.arg("-KILL").arg(pid))?);
        let mut process = Process { child, afterwards, log: program.log.clone() };
        process.until_ready(&format!("{}/health/ready", program.http)).await?;
        Ok(process)
    }

    async fn until_ready(&mut self, url: &str) -> Result<(), Error> {
        let client = reqwest::Client::new();
        let started = Instant::now();
        while started.elapsed() < READY_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                return Err(Error::Gateway(format!("it ended with {status}"), tail(&self.log)));
            }
            if client.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Error::Gateway(format!("not ready within {READY_WITHIN:?}"), tail(&self.log)))
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns once it has ended by itself, which it should not.
    pub async fn ended(&mut self) -> Error {
        match self.child.wait().await {
            Ok(status) => {
                self.has_ended();
                Error::Gateway(format!("it ended with {status}"), tail(&self.log))
            }
            Err(error) => error.into(),
        }
    }

    /// Its number may be another's by now.
    fn has_ended(&mut self) {
        self.afterwards.take().into_iter().for_each(Afterwards::forget);
    }

    /// As a crash: at once, with nothing said.
    pub async fn kill(mut self) -> Result<(), Error> {
        self.child.kill().await?;
        self.has_ended();
        Ok(())
    }

    pub async fn signal(&self, name: &str) -> Result<(), Error> {
        if let Some(pid) = self.child.id() {
            // The standard library sends no signal but SIGKILL, and every system has a shell that does.
            Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().await?;
        }
        Ok(())
    }

    /// As an operator: it may finish what it is doing, and must end well.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.signal("TERM").await?;
        let late = |_| Error::Gateway(format!("not stopped within {STOPPED_WITHIN:?}"), tail(&self.log));
        let status = tokio::time::timeout(STOPPED_WITHIN, self.child.wait()).await.map_err(late)??;
        self.has_ended();
        if status.success() {
            return Ok(());
        }
        Err(Error::Gateway(format!("it ended with {status}"), tail(&self.log)))
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
