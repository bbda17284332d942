//! The files of a world: everything a gateway reads, written into one work folder.

use super::Error;
use crate::ledger::Keys;
use crate::receipt::keys::Signer;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const ISSUER: &str = "urn:nld:oin:00000099000900000003:systeem:ketenpoort";

/// The work folder, for nobody else as it holds keys and passwords, and for one world at a time: it is taken until
/// what this answers is dropped. That of an earlier world is emptied; any other folder must be empty.
pub fn take_home(home: &Path) -> Result<File, Error> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
    let wrong = |hint: &str| Error::File(home.to_owned(), hint.to_owned());
    let lock = home.join("demo.lock");
    if !lock.exists() && std::fs::read_dir(home)?.next().is_some() {
        return Err(wrong("is not empty, and not the folder of an earlier demo"));
    }
    let taken = File::create(&lock)?;
    taken.try_lock().map_err(|_| wrong("another demo runs in this folder"))?;
    for entry in std::fs::read_dir(home)? {
        let path = entry?.path();
        if path.is_dir() {
            std::fs::remove_dir_all(path)?;
        } else if path != lock {
            std::fs::remove_file(path)?;
        }
    }
    Ok(taken)
}

/// A file that only its owner can read.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    Ok(options.open(path)?.write_all(content)?)
}

/// The partner directory as this world has it: users under a name of its own, as users are the whole broker's, and
/// the webhooks on this machine at the world's own recipient.
pub fn partners(from: &Path, to: &Path, own: &str, webhooks: SocketAddr) -> Result<(), Error> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".jwks.json") {
            std::fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
            continue;
        }
        let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|e| e == "toml")) else { continue };
        let wrong = |error: &dyn std::fmt::Display| Error::File(path.clone(), error.to_string());
        let mut file: Table = std::fs::read_to_string(&path)?.parse().map_err(|e| wrong(&e))?;
        for party in file.get_mut("party").and_then(Value::as_array_mut).into_iter().flatten() {
            for user in party.get_mut("users").and_then(Value::as_array_mut).into_iter().flatten() {
                *user = Value::String(format!("{own}.{}", user.as_str().unwrap_or_default()));
            }
            for endpoint in party.get_mut("endpoint").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(Value::String(url)) = endpoint.get_mut("url") {
                    *url = redirected(url, webhooks);
                }
            }
        }
        std::fs::write(to.join(name), toml::to_string(&file).map_err(|e| wrong(&e))?)?;
    }
    Ok(())
}

fn redirected(url: &str, webhooks: SocketAddr) -> String {
    let path = url.strip_prefix("http://127.0.0.1").map(|rest| rest.find('/').map_or("/", |at| &rest[at..]));
    path.map_or_else(|| url.to_owned(), |path| format!("http://{webhooks}{path}"))
}

/// Where the gateway of this world finds what is around it.
#[derive(Debug)]
pub struct Around<'a> {
    /// Of schemas, policies and mappings.
    pub root: &'a Path,
    pub broker: &'a str,
    pub iris: SocketAddr,
    pub traces: &'a str,
    pub listen: SocketAddr,
}

/// Keys and `ketenpoort.toml`.
pub fn configuration(extra: &str, home: &Path, around: &Around<'_>) -> Result<PathBuf, Error> {
    Signer::generate(&home.join("signing-key.pem"))?;
    let key = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    write(&home.join("pseudonym.key"), key.as_bytes())?;
    let ledger_key = Keys::generate().map_err(|error| Error::File(home.join("ledger.key"), error.to_string()))?;
    write(&home.join("ledger.key"), ledger_key.as_bytes())?;
    let text = |text: &str| Value::from(text).to_string();
    let folder = |name: &str| text(&around.root.join(name).to_string_lossy());
    let config = format!(
        r#"
        broker = {{ urls = [{broker}] }}
        ledger = {{ path = "ledger.db", key_file = "ledger.key" }}
        files = {{ schemas = {schemas}, policies = {policies}, mappings = {mappings}, partners = "partners" }}
        iris = {{ base_url = "http://{iris}" }}
        receipts = {{ key_file = "signing-key.pem", issuer = "{ISSUER}" }}
        delivery = {{ first_delay = "300ms", max_delay = "5s" }}
        http = {{ listen = "{listen}" }}
        telemetry = {{ otlp_endpoint = {traces} }}
        pseudonym = {{ key_file = "pseudonym.key" }}
        stop = {{ grace = "10s" }}
        "#,
        broker = text(around.broker),
        schemas = folder("schemas"),
        policies = folder("policies"),
        mappings = folder("mappings"),
        iris = around.iris,
        listen = around.listen,
        traces = text(around.traces),
    );
    let path = home.join("ketenpoort.toml");
    let wrong = |error: toml::de::Error| Error::File(path.clone(), error.to_string());
    let mut config: Table = config.parse().map_err(wrong)?;
    let extra: Table = extra.parse().map_err(wrong)?;
    for (section, keys) in extra {
        match (config.get_mut(&section), keys) {
            (Some(Value::Table(section)), Value::Table(keys)) => section.extend(keys),
            (_, keys) => drop(config.insert(section, keys)),
        }
    }
    // A ledger on a server is in no file beside it.
    if let Some(Value::Table(ledger)) = config.get_mut("ledger").filter(|ledger| ledger.get("url").is_some()) {
        ledger.remove("path");
    }
    write(&path, config.to_string().as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_work_folder_is_for_one_world_at_a_time_and_never_somebody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("demo");
        let taken = take_home(&home).unwrap();
        write(&home.join("ledger.db"), b"").unwrap();
        assert!(take_home(&home).unwrap_err().to_string().contains("another demo"));
        drop(taken);
        take_home(&home).unwrap();
        assert!(!home.join("ledger.db").exists());

        let other = folder.path().join("other");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("thesis.txt"), "").unwrap();
        assert!(take_home(&other).is_err() && other.join("thesis.txt").exists());
    }

    #[test]
    fn only_webhooks_on_this_machine_go_to_the_worlds_own_recipient() {
        let own = "127.0.0.1:4711".parse().unwrap();
        for (url, expected) in [
            ("http://127.0.0.1:0/gemeente-0599", "http://127.0.0.1:4711/gemeente-0599"),
            ("http://127.0.0.1:18099", "http://127.0.0.1:4711/"),
            ("https://gemeente.example/in", "https://gemeente.example/in"),
        ] {
            assert_eq!(redirected(url, own), expected);
        }
    }
}
