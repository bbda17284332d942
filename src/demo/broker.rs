//! The broker's side of a world: a virtual host of its own on whatever broker `deploy/broker.sh` finds, with its
//! own users; both are deleted when the world ends.

use super::Error;
use super::afterwards::Afterwards;
use super::partner::Access;
use crate::directory::{Directory, Party};
use crate::party::PartyId;
use crate::topology;
use reqwest::Url;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `deploy/broker.sh`.
#[derive(Clone, Debug)]
pub struct Script {
    path: PathBuf,
    environment: Vec<(String, String)>,
}

impl Script {
    pub fn of(root: &Path, environment: &[(String, String)]) -> Script {
        Script { path: root.join("deploy/broker.sh"), environment: environment.to_vec() }
    }

    /// Starts a broker if need be, and answers the URL of its administrator.
    pub async fn start(&self) -> Result<Url, Error> {
        let output = self.run(&["start"]).await?;
        let url = output.lines().last().unwrap_or_default().trim();
        url.parse().map_err(|_| Error::Broker("start".to_owned(), "it named no URL".to_owned()))
    }

    pub async fn import(&self, definitions: &Path) -> Result<(), Error> {
        self.run(&["import", &definitions.to_string_lossy()]).await.map(drop)
    }

    /// A virtual host and users; what stays behind is in nobody's way, as its names are not used again.
    fn delete_afterwards<'a>(&self, vhost: &str, users: impl Iterator<Item = &'a String>) -> Result<Afterwards, Error> {
        let users: Vec<String> = users.map(|user| format!("<<\"{user}\">>")).collect();
        // One start of the tool for all of it; there is no command for many users at once.
        let everything = format!(
            "_ = rabbit_vhost:delete(<<\"{vhost}\">>, <<\"demo\">>), \
             [catch rabbit_auth_backend_internal:delete_user(U, <<\"demo\">>) || U <- [{}]], ok.",
            users.join(",")
        );
        Ok(Afterwards::run(&self.command(&["ctl", "eval", &everything]))?)
    }

    async fn run(&self, arguments: &[&str]) -> Result<String, Error> {
        let output = tokio::process::Command::from(self.command(arguments)).output().await?;
        self.answer(arguments[0], output)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).envs(self.environment.iter().cloned());
        command
    }

    fn answer(&self, command: &str, output: Output) -> Result<String, Error> {
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Broker(command.to_owned(), String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// What a world made on the broker; with this it goes.
#[derive(Debug)]
pub struct Made {
    _afterwards: Afterwards,
}

/// How everybody gets in.
#[derive(Debug)]
pub struct Urls {
    pub gateway: String,
    pub partners: BTreeMap<PartyId, Access>,
}

impl Urls {
    /// By another way, on this machine.
    pub fn gateway_through(&mut self, port: u16) {
        if let Ok(mut url) = self.gateway.parse::<Url>()
            && url.set_host(Some("127.0.0.1")).is_ok()
            && url.set_port(Some(port)).is_ok()
        {
            self.gateway = url.to_string();
        }
    }
}

impl Made {
    /// A virtual host with the queues of every party, and users whose passwords only this world knows.
    pub async fn make(
        script: Script,
        admin: &Url,
        directory: &Directory,
        vhost: &str,
        home: &Path,
    ) -> Result<(Made, Urls), Error> {
        let gateway = format!("{vhost}.gateway");
        let users = directory.parties().flat_map(|party| party.users.iter().cloned()).chain([gateway.clone()]);
        let passwords: BTreeMap<String, String> =
            users.map(|user| (user, uuid::Uuid::new_v4().simple().to_string())).collect();
        let definitions = topology::definitions(
            directory,
            &topology::Options { vhost, user: &gateway, password: &|user| passwords.get(user).cloned() },
        );
        let file = home.join("definitions.json");
        super::files::write(&file, &serde_json::to_vec_pretty(&definitions).unwrap_or_default())?;
        // From here on something may be there to be deleted, also if the import fails.
        let made = Made { _afterwards: script.delete_afterwards(vhost, passwords.keys())? };
        script.import(&file).await?;

        let url = |user: &str| {
            let mut url = admin.clone();
            // Fails only for a URL that has no host.
            let _ = url.set_username(user).and_then(|()| url.set_password(passwords.get(user).map(String::as_str)));
            url.set_path(vhost);
            url.to_string()
        };
        let partners = directory.parties().filter_map(|party| {
            let user = party.users.first()?;
            Some((party.id.clone(), access(party, user, url(user))))
        });
        let urls = Urls { partners: partners.collect(), gateway: url(&gateway) };
        Ok((made, urls))
    }
}

fn access(party: &Party, user: &str, url: String) -> Access {
    Access {
        url,
        user: user.to_owned(),
        source: format!("urn:nld:oin:{}:systeem:{}", party.oin.as_str(), party.id.as_str().replace(':', "-")),
        inbound: party.inbound.clone(),
        receipts: party.receipts.clone(),
        out: party.outbound().next().map(str::to_owned),
    }
}
