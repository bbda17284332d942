//! RabbitMQ definitions: everything a broker needs to know of the directory, in the form of version 3.10 and later.

use super::{DELIVERY_LIMIT, QUEUE_TYPE};
use crate::directory::{Directory, Party, is_certificate};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use serde_json::{Value, json};

pub struct Options<'a> {
    pub vhost: &'a str,
    /// The gateway's own broker user.
    pub user: &'a str,
    /// Passwords by user. A user without one is left out, and must then be there before the import: RabbitMQ
    /// imports no permissions of users that it does not know. Who comes with a certificate needs none.
    pub password: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("vhost", &self.vhost).field("user", &self.user).finish_non_exhaustive()
    }
}

pub fn definitions(directory: &Directory, options: &Options<'_>) -> Value {
    let vhost = options.vhost;
    let queues = directory.queues();
    // A broker matches this pattern again and again, so it is a short one where names follow our custom.
    let custom = queues.iter().filter(|name| !name.starts_with("ketenpoort.")).map(|name| literally(name));
    let own: Vec<String> = std::iter::once(r"ketenpoort\..*".to_owned()).chain(custom).collect();
    let all = own.join("|");
    let mut users = vec![options.user];
    let mut permissions = vec![json!({
        "user": options.user, "vhost": vhost,
        "configure": format!("^({all})$"), "write": format!(r"^(amq\.default|{all})$"), "read": format!("^({all})$"),
    })];
    for party in directory.parties() {
        for user in &party.users {
            users.push(user);
            permissions.push(json!({
                "user": user, "vhost": vhost,
                "configure": "^$", "write": names([party.inbound.as_str()]), "read": names(readable(party)),
            }));
        }
    }
    let login = |user| match is_certificate(user) {
        true => Some(with_certificate_only(user)),
        false => Some(with_password(user, &(options.password)(user)?)),
    };
    let users: Vec<Value> = users.into_iter().filter_map(login).collect();
    let ways_in: Vec<&str> = directory.inbound().map(|(_, queue)| queue).collect();
    json!({
        "vhosts": [{ "name": vhost }],
        "users": users,
        "permissions": permissions,
        "topic_permissions": [],
        "exchanges": ways_in.iter().map(|name| json!({
            "name": name, "vhost": vhost, "type": "fanout", "durable": true, "auto_delete": false, "internal": false,
            "arguments": {},
        })).collect::<Vec<_>>(),
        "queues": queues.iter().map(|name| json!({
            "name": name, "vhost": vhost, "durable": true, "auto_delete": false,
            "arguments": { "x-queue-type": QUEUE_TYPE, "x-delivery-limit": DELIVERY_LIMIT },
        })).collect::<Vec<_>>(),
        "bindings": ways_in.iter().map(|name| json!({
            "source": name, "vhost": vhost, "destination": name, "destination_type": "queue", "routing_key": "",
            "arguments": {},
        })).collect::<Vec<_>>(),
    })
}

/// What is sent to a party, and its receipts; not what it sent itself.
fn readable(party: &Party) -> impl Iterator<Item = &str> {
    party.outbound().chain([party.receipts.as_str()])
}

/// A permission is a regular expression over names of exchanges and queues alike: these names, and nothing else.
fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(literally).collect();
    format!("^({})$", names.join("|"))
}

fn literally(name: &str) -> String {
    let mut pattern = String::new();
    for c in name.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

fn with_password(user: &str, password: &str) -> Value {
    let random = uuid::Uuid::new_v4().into_bytes();
    let salt = &random[..4];
    let hash = digest(&SHA256, &[salt, password.as_bytes()].concat());
    let hash = [salt, hash.as_ref()].concat();
    login(user, &base64::engine::general_purpose::STANDARD.encode(hash))
}

/// An empty hash is that of no password: RabbitMQ lets nobody in with one.
fn with_certificate_only(user: &str) -> Value {
    login(user, "")
}

fn login(user: &str, password_hash: &str) -> Value {
    json!({
        "name": user,
        "password_hash": password_hash,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": [],
        "limits": {},
    })
}
