//! Reading the directory's files; everything wrong is found in one go.

use super::{Directory, Endpoint, Outlet, Party, Protection, RoleEntry, Signs, WGS_KINDS, subject};
use crate::catalogue::{Finding, sources};
use crate::code::Code;
use crate::jose::keys::Keys;
use crate::outcome::Problem;
use crate::party::{Oin, PartyId, Role};
use crate::tomlfile::Reader;
use crate::validation::formats::is_gemeentecode;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeValue;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleSpec {
    name: String,
    #[serde(default)]
    bsn: bool,
    #[serde(default)]
    ground: String,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartySpec {
    id: String,
    name: String,
    oin: String,
    #[serde(default)]
    users: Vec<String>,
    roles: Vec<String>,
    #[serde(default)]
    gemeentecode: Option<String>,
    #[serde(default)]
    wgs: Option<String>,
    #[serde(default)]
    inbound: Option<String>,
    #[serde(default)]
    receipts: Option<String>,
    /// A JWK Set in the same folder.
    #[serde(default)]
    keys: Option<String>,
    #[serde(default)]
    signature: Option<SignatureSpec>,
    #[serde(default)]
    endpoint: Vec<EndpointSpec>,
    #[serde(default)]
    formats: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointSpec {
    #[serde(default)]
    roles: Vec<String>,
    kind: Kind,
    #[serde(default)]
    queue: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    mode: Mode,
    /// The server's certificate must hold the OIN of the party.
    #[serde(default)]
    oin_in_certificate: bool,
    #[serde(default)]
    sign: bool,
    #[serde(default)]
    encrypt: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum SignatureSpec {
    Checked,
    Required,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Amqp,
    Webhook,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Binary,
    Structured,
}

const KEY_SET: &str = ".jwks.json";

impl Directory {
    /// Reads every `*.toml` in a folder, and the key sets of partners (`*.jwks.json`) beside them.
    pub fn read(folder: &Path) -> Result<Directory, Vec<Finding>> {
        let io = |error: std::io::Error| {
            let problem = Problem::new(Code::DirectoryInvalid, "", error.to_string());
            vec![Finding::new(folder.display().to_string(), None, problem)]
        };
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".toml") || name.ends_with(KEY_SET) {
                files.insert(name, std::fs::read_to_string(&path).map_err(io)?);
            }
        }
        Directory::load(&files)
    }

    pub fn load(files: &BTreeMap<String, String>) -> Result<Directory, Vec<Finding>> {
        let version = sources::version(files);
        let mut directory = Directory {
            parties: BTreeMap::new(),
            by_user: HashMap::new(),
            by_oin: HashMap::new(),
            by_gemeente: HashMap::new(),
            roles: BTreeMap::new(),
            version,
        };
        let mut findings = Vec::new();
        let mut used = Vec::new();
        let key_sets = key_sets(files, &mut findings);
        for (file, text) in files.iter().filter(|(file, _)| !file.ends_with(KEY_SET)) {
            let mut reader = Reader::new(file.as_str(), text, Code::DirectoryInvalid);
            for (key, value) in reader.document().unwrap_or_default() {
                let span = key.span().start;
                let items = match (key.get_ref().as_ref(), value.into_inner()) {
                    ("role" | "party", DeValue::Array(items)) => items,
                    (other, _) => {
                        let hint = format!("unknown key `{other}`: write [[role]] and [[party]]");
                        reader.wrong(Some(span), "", hint);
                        continue;
                    }
                };
                for item in items {
                    if key.get_ref() == "role" {
                        directory.add_role(&mut reader, item);
                    } else {
                        used.extend(directory.add_party(&mut reader, item, &key_sets));
                    }
                }
            }
            findings.append(&mut reader.findings);
        }
        for (file, party, role) in used {
            if !directory.roles.contains_key(&role) {
                let hint = format!("unknown role `{role}`: describe it in a [[role]]");
                findings.push(Finding::new(file, None, Problem::new(Code::DirectoryInvalid, party, hint)));
            }
        }
        if directory.parties.is_empty() && findings.is_empty() {
            let hint = "there is no [[party]]";
            findings.push(Finding::new("partners", None, Problem::new(Code::DirectoryInvalid, "", hint)));
        }
        if findings.is_empty() { Ok(directory) } else { Err(findings) }
    }

    fn add_role<'t>(&mut self, reader: &mut Reader<'t>, item: Spanned<DeValue<'t>>) {
        let at = item.span().start;
        let Some(spec) = reader.section::<RoleSpec>("role", item) else {
            return;
        };
        let entry = RoleEntry { bsn: spec.bsn, ground: spec.ground, status: spec.status };
        if entry.bsn && entry.ground.is_empty() {
            reader.wrong(Some(at), &spec.name, "bsn = true needs the legal `ground`");
        }
        if self.roles.insert(Role::new(spec.name.as_str()), entry).is_some() {
            reader.wrong(Some(at), &spec.name, "this role is described twice");
        }
    }

    /// Answers the roles it names, to be checked once all files are read.
    fn add_party<'t>(
        &mut self,
        reader: &mut Reader<'t>,
        item: Spanned<DeValue<'t>>,
        key_sets: &KeySets<'_>,
    ) -> Vec<(String, String, Role)> {
        let at = item.span().start;
        let Some(spec) = reader.section::<PartySpec>("party", item) else {
            return Vec::new();
        };
        let label = spec.id.clone();
        let file = reader.file().to_owned();
        let mut wrong = |hint: String| reader.wrong(Some(at), &label, hint);
        let oin = Oin::parse(&spec.oin);
        if oin.is_none() {
            wrong("oin must have twenty positions, the first eight digits".to_owned());
        }
        if spec.wgs.as_deref().is_some_and(|wgs| !WGS_KINDS.contains(&wgs)) {
            wrong(format!("wgs must be one of {}", WGS_KINDS.join(", ")));
        }
        if spec.gemeentecode.as_deref().is_some_and(|code| !is_gemeentecode(code)) {
            wrong("gemeentecode must have four digits".to_owned());
        }
        let dotted = spec.id.replace(':', ".");
        let keys = keys(spec.keys.as_deref(), key_sets, &mut wrong);
        let signs = signs(spec.signature, keys.as_ref(), &mut wrong);
        let asks = Asks { keys, audience: format!("urn:nld:oin:{}", spec.oin) };
        let endpoints =
            spec.endpoint.into_iter().filter_map(|e| outlet(e, &dotted, oin.as_ref(), &asks, &mut wrong)).collect();
        let id = PartyId::new(spec.id.as_str());
        for user in &spec.users {
            // Where a certificate names the user, it is the OIN in it that names the party.
            if subject::is_one(user) && subject::oin(user) != oin {
                wrong(format!("broker user `{user}` is the subject of a certificate, and not of one with this oin"));
            }
            if user.len() > subject::LONGEST {
                wrong(format!("broker user `{user}` is longer than a user-id can be, 255 bytes"));
            }
            if self.by_user.insert(user.clone(), id.clone()).is_some() {
                wrong(format!("broker user `{user}` belongs to another party too"));
            }
        }
        let Some(oin) = oin else { return Vec::new() };
        if self.by_oin.insert(oin.clone(), id.clone()).is_some() {
            wrong("another party has this oin".to_owned());
        }
        if let Some(code) = &spec.gemeentecode {
            self.by_gemeente.entry(code.clone()).or_default().push(id.clone());
        }
        let roles: Vec<Role> = spec.roles.iter().map(|r| Role::new(r.as_str())).collect();
        let used = roles.iter().map(|role| (file.clone(), label.clone(), role.clone())).collect();
        let party = Party {
            id: id.clone(),
            name: spec.name,
            oin,
            users: spec.users,
            roles,
            gemeentecode: spec.gemeentecode,
            wgs: spec.wgs,
            inbound: spec.inbound.unwrap_or_else(|| format!("ketenpoort.in.{dotted}")),
            receipts: spec.receipts.unwrap_or_else(|| format!("ketenpoort.receipts.{dotted}")),
            signs,
            endpoints,
            formats: spec.formats,
        };
        self.queue_problems(&party).into_iter().for_each(&mut wrong);
        if self.parties.insert(id, Arc::new(party)).is_some() {
            wrong("this party is described twice".to_owned());
        }
        used
    }

    /// A queue is where one party is heard or addressed: whoever else had it would read or send in its name.
    fn queue_problems(&self, party: &Party) -> Vec<String> {
        let queues: Vec<&str> = party.queues().collect();
        let unfit = queues.iter().filter(|name| !is_queue_name(name));
        let mut problems: Vec<String> = unfit
            .map(|name| format!("queue `{name}`: a name has 1 to 255 characters and does not begin with `amq.`"))
            .collect();
        if party.inbound == party.receipts || party.outbound().any(|q| q == party.inbound || q == party.receipts) {
            problems.push("inbound, receipts and endpoints need different queues".to_owned());
        }
        for other in self.parties.values().filter(|other| other.id != party.id) {
            let shared = other.queues().filter(|queue| queues.contains(queue));
            problems.extend(shared.map(|queue| format!("queue `{queue}` belongs to `{}` too", other.id)));
        }
        problems
    }
}

/// What AMQP allows, and RabbitMQ does not keep for itself.
fn is_queue_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.starts_with("amq.")
}

/// The key sets that could be read; those that could not are there without keys, as that is told already.
type KeySets<'f> = BTreeMap<&'f str, Option<Arc<Keys>>>;

fn key_sets<'f>(files: &'f BTreeMap<String, String>, findings: &mut Vec<Finding>) -> KeySets<'f> {
    let mut read = KeySets::new();
    for (file, text) in files.iter().filter(|(file, _)| file.ends_with(KEY_SET)) {
        let keys = Keys::read(text);
        let wrong = keys.as_ref().err().into_iter().flatten();
        findings.extend(wrong.map(|(place, hint)| {
            Finding::new(file.as_str(), None, Problem::new(Code::KeySetInvalid, place.as_str(), hint.as_str()))
        }));
        read.insert(file, keys.ok().map(Arc::new));
    }
    read
}

/// What an endpoint can ask for.
struct Asks {
    /// `Some(None)` where there is a set that could not be read.
    keys: Option<Option<Arc<Keys>>>,
    audience: String,
}

fn keys(named: Option<&str>, key_sets: &KeySets<'_>, wrong: &mut impl FnMut(String)) -> Option<Option<Arc<Keys>>> {
    let named = named?;
    let found = key_sets.get(named);
    if found.is_none() {
        wrong(format!("keys: there is no `{named}` in this folder; the name of a key set ends with {KEY_SET}"));
    }
    Some(found.cloned().flatten())
}

fn signs(
    spec: Option<SignatureSpec>,
    keys: Option<&Option<Arc<Keys>>>,
    wrong: &mut impl FnMut(String),
) -> Option<Signs> {
    let Some(keys) = keys else {
        if spec.is_some() {
            wrong("signature needs `keys`: the key set that it is checked with".to_owned());
        }
        return None;
    };
    let keys = keys.as_ref()?;
    if keys.can_verify() {
        return Some(Signs { keys: keys.clone(), required: spec == Some(SignatureSpec::Required) });
    }
    if spec.is_some() {
        wrong("signature needs a key for signing (`use`: sig) in the key set".to_owned());
    }
    None
}

fn outlet(
    spec: EndpointSpec,
    dotted: &str,
    oin: Option<&Oin>,
    asks: &Asks,
    wrong: &mut impl FnMut(String),
) -> Option<Outlet> {
    let encrypt = match (&asks.keys, spec.encrypt) {
        (_, false) | (Some(None), true) => None,
        (Some(Some(keys)), true) if keys.can_encrypt() => Some(keys.clone()),
        (_, true) => {
            wrong("encrypt needs `keys` with a key for encryption (`use`: enc)".to_owned());
            None
        }
    };
    let protection = (spec.sign || encrypt.is_some())
        .then(|| Arc::new(Protection { sign: spec.sign, encrypt, audience: asks.audience.clone() }));
    let (roles, endpoint) = endpoint(spec, dotted, oin, wrong)?;
    Some(Outlet { roles, endpoint, protection })
}

fn endpoint(
    spec: EndpointSpec,
    dotted: &str,
    oin: Option<&Oin>,
    wrong: &mut impl FnMut(String),
) -> Option<(Vec<Role>, Endpoint)> {
    let roles = spec.roles.iter().map(|r| Role::new(r.as_str())).collect();
    let pinned = spec.oin_in_certificate;
    if pinned && !spec.url.as_deref().is_some_and(|url| url.starts_with("https:")) {
        wrong("oin_in_certificate is for a webhook with an https:// url".to_owned());
    }
    let endpoint = match (spec.kind, spec.queue, spec.url) {
        (Kind::Amqp, queue, None) => {
            Endpoint::Amqp { queue: queue.unwrap_or_else(|| format!("ketenpoort.out.{dotted}")) }
        }
        (Kind::Webhook, None, Some(url)) if is_allowed_url(&url) => Endpoint::Webhook {
            url,
            structured: spec.mode == Mode::Structured,
            holder: oin.filter(|_| pinned).cloned(),
        },
        (Kind::Webhook, None, Some(_)) => {
            wrong("a webhook url is https:// (http:// only for 127.0.0.1)".to_owned());
            return None;
        }
        _ => {
            wrong("an amqp endpoint has a `queue`, a webhook endpoint has a `url`".to_owned());
            return None;
        }
    };
    Some((roles, endpoint))
}

fn is_allowed_url(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| match url.scheme() {
        "https" => url.host_str().is_some(),
        "http" => url.host_str() == Some("127.0.0.1"),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_endpoint_cannot_have_is_refused_and_not_ignored() {
        let table = [
            (r#"kind = "webhook", url = "https://x.example/", ca_file = "ca.pem""#, "unknown field `ca_file`"),
            (r#"kind = "webhook", url = "http://x.example/""#, "https://"),
            (r#"kind = "webhook", url = "https://x.example/", queue = "q""#, "a webhook endpoint has a `url`"),
            (r#"kind = "amqp", url = "https://x.example/""#, "an amqp endpoint has a `queue`"),
            (r#"kind = "amqp", oin_in_certificate = true"#, "oin_in_certificate is for"),
            (r#"kind = "webhook", url = "http://127.0.0.1/", oin_in_certificate = true"#, "oin_in_certificate is for"),
        ];
        for (endpoint, hint) in table {
            let text = format!(
                "[[role]]\nname = \"om\"\n[[party]]\nid = \"om\"\nname = \"OM\"\noin = \"00000099000900000004\"\n\
                 roles = [\"om\"]\nendpoint = [{{ {endpoint} }}]\n"
            );
            let findings = Directory::load(&BTreeMap::from([("om.toml".to_owned(), text)])).unwrap_err();
            let found: Vec<_> = findings.iter().map(|f| (f.line, f.problem.hint.as_str())).collect();
            assert!(found.iter().any(|(line, h)| line.is_some() && h.contains(hint)), "{endpoint}: {found:?}");
        }
    }

    #[test]
    fn who_comes_with_a_certificate_has_one_with_the_partys_oin() {
        let load = |users: &str| {
            let text = format!(
                "[[role]]\nname = \"om\"\n[[party]]\nid = \"om\"\nname = \"OM\"\noin = \"00000099000900000004\"\n\
                 roles = [\"om\"]\nusers = [{users}]\n"
            );
            Directory::load(&BTreeMap::from([("om.toml".to_owned(), text)]))
        };
        let listed = "CN=om.example,SERIALNUMBER=00000099000900000004,C=NL";
        let directory = load(&format!("'om', '{listed}'")).unwrap();
        let known = |user: &str| directory.by_user(user).is_some();
        assert!(known("om") && known(listed) && known("CN=new,SERIALNUMBER=00000099000900000004"));
        assert!(!known("CN=00000099000900000004") && !known("CN=om.example,SERIALNUMBER=00000099000900000005,C=NL"));

        let passwords_only = load("'om'").unwrap();
        assert!(passwords_only.by_user(listed).is_none(), "it does not come with a certificate");

        for wrong in ["CN=om.example,C=NL", "CN=om,SERIALNUMBER=00000099000900000005", "CN=om,SERIALNUMBER=1"] {
            let findings = load(&format!("'{wrong}'")).unwrap_err();
            assert!(findings[0].problem.hint.contains("not of one with this oin"), "{wrong}: {findings:?}");
        }
        let long = format!("'{listed},O={}'", "x".repeat(255));
        assert!(load(&long).unwrap_err()[0].problem.hint.contains("255 bytes"));
    }

    #[test]
    fn a_queue_has_one_use_and_one_owner() {
        let long = format!(r#"inbound = "{}""#, "q".repeat(256));
        let table = [
            (r#"inbound = "amq.om""#, "queue `amq.om`"),
            (r#"receipts = """#, "queue ``"),
            (long.as_str(), "1 to 255 characters"),
            ("inbound = \"q\"\nreceipts = \"q\"", "different queues"),
            ("receipts = \"ketenpoort.out.zm\"\nendpoint = [{ kind = \"amqp\" }]", "different queues"),
            (r#"endpoint = [{ kind = "amqp", queue = "ketenpoort.receipts.om" }]"#, "belongs to `om` too"),
            (r#"receipts = "ketenpoort.in.om""#, "belongs to `om` too"),
        ];
        for (keys, hint) in table {
            let text = format!(
                "[[role]]\nname = \"om\"\n\
                 [[party]]\nid = \"om\"\nname = \"OM\"\noin = \"00000099000900000004\"\nroles = [\"om\"]\n\
                 [[party]]\nid = \"zm\"\nname = \"ZM\"\noin = \"00000099000900000005\"\nroles = [\"om\"]\n{keys}\n"
            );
            let findings = Directory::load(&BTreeMap::from([("om.toml".to_owned(), text)])).unwrap_err();
            let found: Vec<_> = findings.iter().map(|f| f.problem.hint.as_str()).collect();
            assert!(found.iter().any(|h| h.contains(hint)), "{keys}: {found:?}");
        }
    }
}
