//! Configuration: one TOML file into values that are known to be good. Unknown keys are refused, everything
//! wrong is told at once, and secrets come from files or the environment.

mod console;
mod ledger;
mod transport;
mod values;

use crate::catalogue::{Finding, Order};
use crate::code::Code;
use crate::ledger::{Keys, Place};
use crate::outcome::Problem;
use crate::tomlfile::Reader;
use crate::validation::Limits;
use crate::validation::formats::holds_bsn;
pub use console::{Console, Oidc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
pub use values::{Duration, Ratio, Secret, Size};

#[derive(Debug)]
pub struct Config {
    pub broker: Broker,
    pub ledger: Ledger,
    pub files: Files,
    pub iris: Iris,
    pub receipts: Receipts,
    pub delivery: Delivery,
    pub limits: LimitsSection,
    pub http: Http,
    pub processing_log: ProcessingLog,
    pub authzen: Authzen,
    pub telemetry: Telemetry,
    pub pseudonym: Pseudonym,
    pub retention: Retention,
    pub stop: Stop,
    pub console: Console,
    /// The order in which the rows of a route are asked, where it is another one than that of its file.
    pub routing: Vec<Order>,
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty = $default:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind),+ }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default),+ }
            }
        }
    };
}

section! {
    /// The AMQP brokers, tried in turn.
    Broker {
        urls: Vec<Secret> = Vec::new(),
        urls_file: Option<PathBuf> = None,
        urls_env: Option<String> = None,
        /// Messages in flight per inbound queue.
        prefetch: NonZeroU16 = NonZeroU16::MIN.saturating_add(511),
        confirm_timeout: Duration = Duration::seconds(10),
        /// Each carries many messages at once.
        publish_channels: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7),
        /// Certificates that are trusted instead of the system's.
        ca_file: Option<PathBuf> = None,
        /// The gateway's own certificate, and its key. It is the login where a URL names no user.
        cert_file: Option<PathBuf> = None,
        key_file: Option<PathBuf> = None,
        /// Without TLS to a broker on another host: whoever is in between reads and changes everything.
        allow_plaintext: bool = false,
    }
}
section! {
    Ledger {
        /// A file, for one gateway; `ketenpoort.db` where nothing else is set.
        path: Option<PathBuf> = None,
        /// A PostgreSQL database instead, which several gateways may share.
        url: Option<Secret> = None,
        url_file: Option<PathBuf> = None,
        url_env: Option<String> = None,
        /// What this gateway is called among those that share it; the name of the machine where left out.
        node: Option<String> = None,
        /// How long after the database was last heard of what this gateway has in hand is its own.
        lease: Duration = Duration::seconds(15),
        #[serde(skip)]
        place: Place = Place::File(PathBuf::new()),
        max_batch: NonZeroUsize = NonZeroUsize::MIN.saturating_add(511),
        /// Keys for payload at rest, one a line: the first seals, the others still open what is older.
        key_file: Option<PathBuf> = None,
        key_env: Option<String> = None,
        #[serde(skip)]
        keys: Keys = Keys::default(),
    }
}
section! {
    /// Folders with the files that say what messages are, and who takes part.
    Files {
        schemas: PathBuf = PathBuf::from("schemas"),
        policies: PathBuf = PathBuf::from("policies"),
        mappings: PathBuf = PathBuf::from("mappings"),
        partners: PathBuf = PathBuf::from("partners"),
    }
}
section! {
    /// The case system of the probation service, source of all facts.
    Iris {
        base_url: String = String::new(),
        token_file: Option<PathBuf> = None,
        token_env: Option<String> = None,
        connect_timeout: Duration = Duration::seconds(2),
        timeout: Duration = Duration::seconds(5),
        attempts: NonZeroU32 = NonZeroU32::MIN.saturating_add(2),
        /// Failures in a row after which IRIS is left alone for a while.
        breaker_failures: NonZeroU32 = NonZeroU32::MIN.saturating_add(4),
        breaker_open: Duration = Duration::seconds(10),
        /// Certificates that are trusted instead of the system's.
        ca_file: Option<PathBuf> = None,
        /// The gateway's own certificate, and its key.
        cert_file: Option<PathBuf> = None,
        key_file: Option<PathBuf> = None,
        /// As at the broker.
        allow_plaintext: bool = false,
        #[serde(skip)]
        token: Option<Secret> = None,
    }
}
section! {
    Receipts {
        /// PKCS#8 PEM with an Ed25519 key.
        key_file: PathBuf = PathBuf::new(),
        /// Key sets (JWKS) of keys that sign no longer but must still verify.
        retired: Vec<PathBuf> = Vec::new(),
        /// The gateway's own `source`, as in `urn:nld:oin:<OIN>:systeem:ketenpoort`.
        issuer: String = String::new(),
    }
}
section! {
    /// Retries of a delivery: the first delay doubles up to the last.
    Delivery {
        first_delay: Duration = Duration::seconds(1),
        max_delay: Duration = Duration::seconds(900),
        max_attempts: NonZeroU32 = NonZeroU32::MIN.saturating_add(19),
        /// How often what waits for a person's judgement is looked at again.
        recheck: Duration = Duration::seconds(60),
        webhook_timeout: Duration = Duration::seconds(15),
        /// Deliveries on their way to one recipient at once, so that one that hangs takes no room from the others.
        webhook_in_flight: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31),
        /// The same for queues, which our own broker answers for.
        queue_in_flight: NonZeroUsize = NonZeroUsize::MIN.saturating_add(511),
        /// Failures in a row after which a recipient is left alone for a while.
        breaker_failures: NonZeroU32 = NonZeroU32::MIN.saturating_add(4),
        breaker_open: Duration = Duration::seconds(10),
        /// Deliveries a second to one that is back, at the most.
        drain_rate: NonZeroU32 = NonZeroU32::MIN.saturating_add(199),
        /// What waited for its recipient for so long is parked.
        max_age: Duration = Duration::seconds(72 * 3600),
        /// Certificates that are trusted instead of the system's, for all webhooks.
        ca_file: Option<PathBuf> = None,
        /// The certificate that the gateway shows to webhooks, and its key.
        cert_file: Option<PathBuf> = None,
        key_file: Option<PathBuf> = None,
    }
}
section! {
    LimitsSection {
        max_body: Size = Size(1024 * 1024),
        max_xml_depth: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31),
        max_xml_elements: NonZeroUsize = NonZeroUsize::MIN.saturating_add(49_999),
        /// The same of a list that is split into messages of their own.
        max_list_body: Size = Size(4 * 1024 * 1024),
        max_list_xml_elements: NonZeroUsize = NonZeroUsize::MIN.saturating_add(199_999),
        /// Messages worked on at once, over all partners.
        in_flight: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023),
        /// Bytes of them in memory at once, over all partners.
        in_flight_bytes: Size = Size(32 * 1024 * 1024),
        /// Messages a second that are taken from each partner.
        partner_rate: Option<NonZeroU32> = None,
    }
}
section! {
    Http {
        listen: String = "127.0.0.1:8080".to_owned(),
        /// With these it is HTTPS.
        cert_file: Option<PathBuf> = None,
        key_file: Option<PathBuf> = None,
        /// Authorities of those who come with a certificate: what is a partner's own is then for it alone.
        client_ca_file: Option<PathBuf> = None,
    }
}
section! {
    /// What would be decided, for a system that asks before it builds a request.
    Authzen {
        /// Who asks, as the ledger is to name it.
        client: String = String::new(),
        /// Whoever has it may ask. Nobody may without it.
        token_file: Option<PathBuf> = None,
        token_env: Option<String> = None,
        #[serde(skip)]
        token: Option<Secret> = None,
    }
}
section! {
    /// The logs of processings and of decisions, for those who may read them.
    ProcessingLog {
        /// Of processings; its entries are this and the type of a message.
        register: String = String::new(),
        /// Whoever has it may read. Nobody may without it.
        token_file: Option<PathBuf> = None,
        token_env: Option<String> = None,
        #[serde(skip)]
        token: Option<Secret> = None,
    }
}
section! {
    Telemetry {
        /// OTLP over HTTP, as in `http://127.0.0.1:4318`; no traces and no metrics leave without it.
        otlp_endpoint: Option<String> = None,
        metrics_interval: Duration = Duration::seconds(15),
        sample_ratio: Ratio = Ratio::ALL,
        /// As in `info,ketenpoort=debug`; other libraries stay at `warn`.
        log_filter: String = "info".to_owned(),
    }
}
section! {
    /// The key under which persons are recognised in the ledger without being named.
    Pseudonym {
        key_file: Option<PathBuf> = None,
        key_env: Option<String> = None,
        #[serde(skip)]
        key: Secret = Secret::default(),
    }
}
section! {
    /// How long what is over is kept. Payload is not in here: it goes with the delivery that needs it.
    Retention {
        /// Receipts and disclosures; the law asks for four years.
        log_years: NonZeroU16 = NonZeroU16::MIN.saturating_add(4),
        /// How a message came, and its name.
        traffic_months: NonZeroU16 = NonZeroU16::MIN.saturating_add(5),
    }
}
section! {
    Stop { grace: Duration = Duration::seconds(20) }
}

impl LimitsSection {
    pub fn limits(&self) -> Limits {
        Limits {
            body: self.max_body.0,
            xml_depth: self.max_xml_depth.get(),
            xml_elements: self.max_xml_elements.get(),
            list_body: self.max_list_body.0,
            list_xml_elements: self.max_list_xml_elements.get(),
        }
    }
}

pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Config {
    pub fn read(path: &Path, env: Env<'_>) -> Result<Config, Vec<Finding>> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let problem = Problem::new(Code::ConfigInvalid, "", error.to_string());
            vec![Finding::new(path.display().to_string(), None, problem)]
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        Config::load(&path.display().to_string(), &text, base, env)
    }

    /// Relative paths in the file are relative to `base`.
    pub fn load(name: &str, text: &str, base: &Path, env: Env<'_>) -> Result<Config, Vec<Finding>> {
        let mut loader = Loader { reader: Reader::new(name, text, Code::ConfigInvalid), base, env };
        let mut document = loader.reader.document().unwrap_or_default();
        let mut config = Config {
            broker: loader.section(&mut document, "broker"),
            ledger: loader.section(&mut document, "ledger"),
            files: loader.section(&mut document, "files"),
            iris: loader.section(&mut document, "iris"),
            receipts: loader.section(&mut document, "receipts"),
            delivery: loader.section(&mut document, "delivery"),
            limits: loader.section(&mut document, "limits"),
            http: loader.section(&mut document, "http"),
            processing_log: loader.section(&mut document, "processing_log"),
            authzen: loader.section(&mut document, "authzen"),
            telemetry: loader.section(&mut document, "telemetry"),
            pseudonym: loader.section(&mut document, "pseudonym"),
            retention: loader.section(&mut document, "retention"),
            stop: loader.section(&mut document, "stop"),
            console: loader.section(&mut document, "console"),
            routing: loader.routing(&mut document),
        };
        for (key, _) in &document {
            let hint = format!("there is no section `{}`", key.get_ref());
            loader.reader.wrong(Some(key.span().start), "", hint);
        }
        loader.complete(&mut config);
        let findings = loader.reader.findings;
        if findings.is_empty() { Ok(config) } else { Err(findings) }
    }
}

struct Loader<'t> {
    reader: Reader<'t>,
    base: &'t Path,
    env: Env<'t>,
}

impl<'t> Loader<'t> {
    fn section<T: DeserializeOwned + Default>(&mut self, document: &mut DeTable<'t>, name: &str) -> T {
        let key = document.keys().find(|key| key.get_ref() == name).cloned();
        let value: Option<Spanned<DeValue<'t>>> = key.and_then(|key| document.remove(&key));
        value.and_then(|value| self.reader.section(name, value)).unwrap_or_default()
    }

    /// `type = ["row", "row"]`: what the rows are called is checked where the message files are known.
    fn routing(&mut self, document: &mut DeTable<'t>) -> Vec<Order> {
        let lines: BTreeMap<String, u64> = document.get("routing").map_or_else(BTreeMap::new, |routing| {
            let keys = routing.get_ref().as_table().into_iter().flatten();
            keys.map(|(key, _)| (key.get_ref().to_string(), self.reader.line(key.span().start))).collect()
        });
        let orders: BTreeMap<String, Vec<String>> = self.section(document, "routing");
        let file = self.reader.file().to_owned();
        let order =
            |(kind, rows): (String, _)| Order { line: lines.get(&kind).copied(), file: file.clone(), kind, rows };
        orders.into_iter().map(order).collect()
    }

    /// What goes beyond one key: required values, paths, secrets, and values that must agree.
    fn complete(&mut self, config: &mut Config) {
        let base = self.base;
        let absolute = |path: &mut PathBuf| *path = base.join(&*path);
        let files = &mut config.files;
        [&mut files.schemas, &mut files.policies, &mut files.mappings, &mut files.partners]
            .into_iter()
            .for_each(absolute);
        config.receipts.retired.iter_mut().for_each(absolute);
        self.certificates(config);

        let urls = self.secret("broker", "urls", &config.broker.urls_file, &config.broker.urls_env);
        if let Some(urls) = urls {
            config.broker.urls = urls.reveal().split_whitespace().map(Secret::new).collect();
        }
        self.require("broker", "urls (or urls_file, urls_env)", !config.broker.urls.is_empty());
        if config.broker.urls.iter().any(|url| !url.reveal().starts_with("amqp")) {
            self.wrong("broker", "urls start with amqp:// or amqps://");
        }
        self.plaintext(config);
        self.require("iris", "base_url, as in https://iris.example", is_http(&config.iris.base_url));
        config.iris.token = self.secret("iris", "token", &config.iris.token_file, &config.iris.token_env);
        self.processing_log(config);
        self.authzen(config);
        self.require("receipts", "key_file", !config.receipts.key_file.as_os_str().is_empty());
        absolute(&mut config.receipts.key_file);
        let issuer_ok = config.receipts.issuer.starts_with("urn:nld:oin:");
        self.require("receipts", "issuer, as in urn:nld:oin:<OIN>:systeem:ketenpoort", issuer_ok);
        if config.delivery.first_delay > config.delivery.max_delay {
            self.wrong("delivery", "first_delay must not be longer than max_delay");
        }
        if !(4..=50).contains(&config.retention.log_years.get()) {
            self.wrong("retention", "log_years must be from 4 to 50");
        }
        if config.retention.traffic_months.get() > 6 {
            self.wrong("retention", "traffic_months must be 6 at most");
        }
        self.console(&mut config.console);
        self.ledger(config);
        let told = self.reader.findings.len();
        match self.secret("ledger", "key", &config.ledger.key_file, &config.ledger.key_env) {
            // That there is no such file or variable is told already.
            Some(_) if self.reader.findings.len() > told => {}
            Some(text) => match Keys::parse(text.reveal()) {
                Ok(keys) => config.ledger.keys = keys,
                Err(error) => self.wrong("ledger", format!("the key set {error}")),
            },
            None => self.require("ledger", "key_file or key_env: payload is stored encrypted only", false),
        }
        let Pseudonym { key_file, key_env, .. } = &config.pseudonym;
        match self.secret("pseudonym", "key", key_file, key_env) {
            Some(key) if key.reveal().len() >= 32 => config.pseudonym.key = key,
            Some(_) => self.wrong("pseudonym", "the key must have at least 32 characters"),
            None => self.require("pseudonym", "key_file or key_env", false),
        }
    }

    fn processing_log(&mut self, config: &mut Config) {
        let log = &mut config.processing_log;
        log.token = self.secret("processing_log", "token", &log.token_file, &log.token_env);
        let is_register = log.register.ends_with('/') && is_http(&log.register);
        if !(is_register || log.register.is_empty() && log.token.is_none()) {
            self.wrong(
                "processing_log",
                "needs register, a URL that ends in `/`, as in https://example.nl/processing-activities/",
            );
        }
        self.bearer("processing_log", &config.processing_log.token, &config.http);
    }

    fn authzen(&mut self, config: &mut Config) {
        let authzen = &mut config.authzen;
        authzen.token = self.secret("authzen", "token", &authzen.token_file, &authzen.token_env);
        let named = !authzen.client.trim().is_empty() && !holds_bsn(&authzen.client);
        self.require("authzen", "client, the system that has the token", named || authzen.token.is_none());
        self.bearer("authzen", &config.authzen.token, &config.http);
    }

    /// A token that comes to us over HTTP.
    fn bearer(&mut self, section: &str, token: &Option<Secret>, http: &Http) {
        let Some(token) = token else { return };
        if token.reveal().len() < 32 || !token.reveal().bytes().all(|b| b.is_ascii_graphic()) {
            self.wrong(section, "the token must have at least 32 characters, without white space");
        }
        if http.cert_file.is_none() && !transport::is_here(&http.listen) {
            self.wrong(section, "http.listen leaves this machine without TLS: set http.cert_file and key_file");
        }
    }

    fn secret(
        &mut self,
        section: &str,
        name: &str,
        file: &Option<PathBuf>,
        variable: &Option<String>,
    ) -> Option<Secret> {
        if let Some(file) = file {
            let path = self.base.join(file);
            return match std::fs::read_to_string(&path) {
                Ok(text) => Some(Secret::new(text.trim())),
                Err(error) => {
                    self.wrong(section, format!("{name}_file {}: {error}", path.display()));
                    Some(Secret::default())
                }
            };
        }
        let variable = variable.as_ref()?;
        let value = (self.env)(variable);
        if value.is_none() {
            self.wrong(section, format!("{name}_env: the environment has no {variable}"));
        }
        Some(Secret::new(value.unwrap_or_default().trim()))
    }

    fn require(&mut self, section: &str, what: &str, present: bool) {
        if !present {
            self.wrong(section, format!("needs {what}"));
        }
    }

    fn wrong(&mut self, section: &str, hint: impl Into<String>) {
        self.reader.wrong(None, section, hint);
    }
}

fn is_http(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| url.scheme().starts_with("http"))
}

#[cfg(test)]
mod tests;
