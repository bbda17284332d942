//! Where the ledger lies: a file beside the configuration, or a database server that is reached safely.

use super::{Config, Loader};
use crate::delivery::amqp::CONNECTION_WAIT;
use crate::ledger::{Node, Place};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::net::IpAddr;

/// What a machine is called.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

impl Loader<'_> {
    pub(super) fn ledger(&mut self, config: &mut Config) {
        let found = self.secret("ledger", "url", &config.ledger.url_file, &config.ledger.url_env);
        let ways = [config.ledger.url.is_some(), config.ledger.url_file.is_some(), config.ledger.url_env.is_some()];
        let ways = ways.into_iter().filter(|way| *way).count();
        if ways + usize::from(config.ledger.path.is_some()) > 1 {
            return self.wrong("ledger", "one of path, url, url_file and url_env: the ledger lies in one place");
        }
        let Some(url) = config.ledger.url.take().or(found) else {
            let path = config.ledger.path.clone().unwrap_or_else(|| "ketenpoort.db".into());
            config.ledger.place = Place::File(self.base.join(path));
            return;
        };
        // Of a secret that could not be had it is told already.
        if url.reveal().is_empty() {
            return;
        }
        let options = url.reveal().parse::<PgConnectOptions>();
        let Some(options) = options.ok().filter(|_| url.reveal().starts_with("postgres")) else {
            // What it says would be in the answer, with its password.
            return self.wrong("ledger", "the url is none of PostgreSQL, as in postgres://user:password@host/database");
        };
        if !is_safe(&options) {
            self.wrong("ledger", "a database on another machine needs sslmode=verify-full in the url");
        }
        match self.node(config) {
            Some(node) => config.ledger.place = Place::Server(Box::new(options), Some(node)),
            None => self.wrong("ledger", "needs node: a name that no other gateway on this database has"),
        }
    }

    fn node(&self, config: &Config) -> Option<Node> {
        let name = config.ledger.node.clone().or_else(|| std::fs::read_to_string(HOSTNAME).ok())?.trim().to_owned();
        let is_name = !name.is_empty() && name.len() <= 63 && !name.contains(char::is_control);
        let to_queue = CONNECTION_WAIT + config.broker.confirm_timeout.get();
        let longest_attempt = config.delivery.webhook_timeout.get().max(to_queue);
        is_name.then(|| Node { name, lease: config.ledger.lease.get(), longest_attempt })
    }
}

/// It is this machine, or who it is gets proved.
fn is_safe(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_here || matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull)
}
