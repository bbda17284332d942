//! The broker's side of a world: a virtual host of its own on whatever broker `deploy/broker.sh` finds, with its
//! own users; both are deleted when the world ends.

use super::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `deploy/broker.sh`.
#[derive(Clone, Debug)]
pub struct Script(PathBuf);

impl Script {
    pub fn of(root: &Path) -> Script {
        Script(root.join("deploy/broker.sh"))
    }

    /// Starts a broker if need be, and answers the URL of its administrator.
    pub async fn start(&self) -> Result<reqwest::Url, Error> {
        let output = self.run(&["start"]).await?;
        let url = output.lines().last().unwrap_or_default().trim();
        url.parse().map_err(|_| Error::Broker("start".to_owned(), "it named no URL".to_owned()))
    }

    pub async fn import(&self, definitions: &Path) -> Result<(), Error> {
        self.run(&["import", &definitions.to_string_lossy()]).await.map(drop)
    }

    async fn run(&self, arguments: &[&str]) -> Result<String, Error> {
        let output = tokio::process::Command::new(&self.0).args(arguments).output().await?;
        self.answer(arguments[0], output)
    }

    fn answer(&self, command: &str, output: Output) -> Result<String, Error> {
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Broker(command.to_owned(), String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// What a world made on the broker; dropped, it is gone.
#[derive(Debug)]
pub struct Made {
    pub script: Script,
    pub vhost: String,
    pub users: Vec<String>,
}

impl Drop for Made {
    /// Best effort: what stays behind is in nobody's way, as its names are not used again.
    fn drop(&mut self) {
        let users: Vec<String> = self.users.iter().map(|user| format!("<<\"{user}\">>")).collect();
        // One start of the tool for all of it; there is no command for many users at once.
        let everything = format!(
            "_ = rabbit_vhost:delete(<<\"{}\">>, <<\"demo\">>), \
             [catch rabbit_auth_backend_internal:delete_user(U, <<\"demo\">>) || U <- [{}]], ok.",
            self.vhost,
            users.join(",")
        );
        let _ = Command::new(&self.script.0).arg("ctl").arg("eval").arg(everything).output();
    }
}
