//! The console's section: off unless it says who may come in.

use super::{Duration, Loader, Secret};
use crate::console::access::Role;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Where browsers find the gateway, without a path.
    pub public_url: String,
    /// For a machine of one's own; `ketenpoort users` writes it.
    pub users_file: Option<PathBuf>,
    pub oidc: Option<Oidc>,
    /// Of the trace viewer, with `{trace_id}` in it.
    pub trace_url: Option<String>,
    /// A folder of policies, to see what they would change.
    pub proposed_policies: Option<PathBuf>,
    /// A session that is not used ends after this.
    pub idle: Duration,
    /// Any session ends after this.
    pub longest: Duration,
    /// The address of a browser is what the last proxy says it is.
    pub behind_proxy: bool,
}

impl Default for Console {
    fn default() -> Self {
        Console {
            public_url: String::new(),
            users_file: None,
            oidc: None,
            trace_url: None,
            proposed_policies: None,
            idle: Duration::seconds(30 * 60),
            longest: Duration::seconds(10 * 3600),
            behind_proxy: false,
        }
    }
}

/// OpenID Connect: who is in, is said by an identity provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    pub issuer: String,
    pub client_id: String,
    pub client_secret_file: Option<PathBuf>,
    pub client_secret_env: Option<String>,
    #[serde(default = "default_scope")]
    pub scope: String,
    /// What somebody is called in the audit log.
    #[serde(default = "default_name_claim")]
    pub name_claim: String,
    /// Where the provider says what somebody is; a dot leads into an object.
    #[serde(default = "default_role_claim")]
    pub role_claim: String,
    /// What makes somebody what: role of the console = values of the claim.
    #[serde(default)]
    pub roles: BTreeMap<String, Vec<String>>,
    /// Certificates that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    #[serde(skip)]
    pub client_secret: Option<Secret>,
}

fn default_scope() -> String {
    "openid profile".to_owned()
}
fn default_name_claim() -> String {
    "preferred_username".to_owned()
}
fn default_role_claim() -> String {
    "roles".to_owned()
}

impl Console {
    pub fn is_on(&self) -> bool {
        self.users_file.is_some() || self.oidc.is_some()
    }
}

/// Over plain HTTP only what does not leave this machine.
fn is_safe(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    match url.scheme() {
        "https" => true,
        "http" => matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
        _ => false,
    }
}

impl Loader<'_> {
    pub(super) fn console(&mut self, console: &mut Console) {
        let base = self.base;
        let files = [
            Some(&mut console.users_file),
            Some(&mut console.proposed_policies),
            console.oidc.as_mut().map(|oidc| &mut oidc.ca_file),
        ];
        files.into_iter().flatten().flatten().for_each(|path| *path = base.join(&*path));
        if !console.is_on() {
            return;
        }
        console.public_url = console.public_url.trim_end_matches('/').to_owned();
        let has_path =
            reqwest::Url::parse(&console.public_url).is_ok_and(|url| url.path() != "/" || url.query().is_some());
        if !is_safe(&console.public_url) || has_path {
            self.wrong(
                "console",
                "needs public_url, as in https://ketenpoort.example, without a path (http only on this machine)",
            );
        }
        if console.trace_url.as_ref().is_some_and(|url| !url.contains("{trace_id}") || !url.starts_with("http")) {
            self.wrong("console", "trace_url is an address with {trace_id} in it");
        }
        let Some(oidc) = &mut console.oidc else { return };
        if !is_safe(&oidc.issuer) {
            self.wrong("console.oidc", "issuer is an https:// address (http only on this machine)");
        }
        if !oidc.scope.split(' ').any(|scope| scope == "openid") {
            self.wrong("console.oidc", "scope has openid in it");
        }
        for role in oidc.roles.keys().filter(|role| Role::parse(role).is_none()) {
            let known: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
            self.wrong("console.oidc", format!("roles: `{role}` is none of {}", known.join(", ")));
        }
        if oidc.roles.values().all(Vec::is_empty) {
            self.wrong("console.oidc", "needs roles, as in operator = [\"team-keten\"]: nobody would be let in");
        }
        oidc.client_secret =
            self.secret("console.oidc", "client_secret", &oidc.client_secret_file, &oidc.client_secret_env);
    }
}
