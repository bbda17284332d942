//! Cases beside the mappings: a message as it comes in, and what every recipient gets of it.

use crate::casetable;
use crate::catalogue::{Finding, Sources};
use crate::code::Code;
use crate::core::Pipeline;
use crate::envelope::RawMessage;
use crate::explain::{Delivery, Explanation, Items, explain_by};
use crate::facts::{Facts, Person};
use crate::outcome::Outcome;
use crate::personal::Personal;
use base64::Engine;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub struct Report {
    pub passed: usize,
    pub findings: Vec<Finding>,
    /// Message types that at least one case held for.
    pub kinds: BTreeSet<String>,
}

pub fn run(sources: &Sources, pipeline: &Pipeline) -> Report {
    let mut report = Report::default();
    for (file, text) in &sources.mappings {
        let Some((folder, _)) = file.split_once("/cases/").filter(|_| file.ends_with(".yaml")) else {
            continue;
        };
        let rows = match casetable::rows(&format!("mappings/{file}"), text) {
            Ok(rows) => rows,
            Err(finding) => {
                report.findings.push(finding);
                continue;
            }
        };
        let surroundings = Surroundings { folder, sources, pipeline };
        for row in rows {
            match row.read::<Case>().and_then(|case| case.run(&surroundings).map_err(|hint| row.failed(hint))) {
                Ok(()) => {
                    report.passed += 1;
                    report.kinds.insert(surroundings.kind());
                }
                Err(finding) => report.findings.push(finding),
            }
        }
    }
    report
}

struct Surroundings<'a> {
    folder: &'a str,
    sources: &'a Sources,
    pipeline: &'a Pipeline,
}

impl Surroundings<'_> {
    fn kind(&self) -> String {
        format!("{}{}", crate::catalogue::TYPE_PREFIX, self.folder)
    }

    fn beside(&self, file: &str) -> Result<&str, String> {
        let path = format!("{}/cases/{file}", self.folder);
        let text = self.sources.mappings.get(&path);
        text.map(String::as_str).ok_or_else(|| format!("there is no file mappings/{path}"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "name")]
    _name: String,
    /// Whose queue the message comes in by, and whose name it carries.
    from: String,
    /// The broker user that is proven, where it is another; empty for none.
    #[serde(default)]
    user: Option<String>,
    /// Context attributes beside or instead of plain ones; `null` leaves one out.
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    content_encoding: Option<String>,
    /// A file beside the case.
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    data: Option<Value>,
    /// What stands in the message once, and what stands there in this case.
    #[serde(default)]
    replace: BTreeMap<String, String>,
    #[serde(default)]
    encode: Encoding,
    now: Timestamp,
    /// Left out or `null`: the facts cannot be had.
    #[serde(default)]
    facts: Option<Facts>,
    /// Of persons in a list, by the number that the facts are asked by; of all others the above.
    #[serde(default)]
    facts_of: BTreeMap<String, Option<Facts>>,
    expect: Expect,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Binary,
    Structured,
    /// Structured, with the data as `data_base64`.
    StructuredBase64,
}

#[derive(Clone, Copy, Default, Deserialize)]
enum Encoding {
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "latin-1")]
    Latin1,
    #[serde(rename = "utf-16")]
    Utf16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(default)]
    outcome: Option<Outcome>,
    /// Of a rejected message: every problem as `CODE place`.
    #[serde(default)]
    problems: Vec<String>,
    #[serde(default)]
    deliveries: Vec<ExpectedDelivery>,
    #[serde(default)]
    items: Option<ExpectedItems>,
}

/// Of a list: how many items end how, and what becomes of one, by its position.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedItems {
    outcomes: BTreeMap<String, usize>,
    #[serde(default)]
    each: BTreeMap<String, Expect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedDelivery {
    recipient: String,
    #[serde(default)]
    role: Option<String>,
    outcome: Outcome,
    #[serde(default)]
    code: Option<Code>,
    #[serde(default)]
    shared: Option<Vec<String>>,
    #[serde(default)]
    withheld: Option<Vec<String>>,
    #[serde(default)]
    notes: Option<Vec<String>>,
    /// Of what is held: the moment at which it is decided anew.
    #[serde(default)]
    until: Option<Timestamp>,
    /// The payload itself, or the name of a file beside the case.
    #[serde(default)]
    payload: Option<Value>,
}

impl Case {
    fn run(&self, surroundings: &Surroundings<'_>) -> Result<(), String> {
        let raw = self.raw(surroundings)?;
        let explained = explain_by(surroundings.pipeline, &raw, &|person| self.facts(person), self.now);
        self.expect.compare(&explained, surroundings)
    }

    fn facts(&self, person: &Person) -> Option<Facts> {
        let numbers = [&person.bsn, &person.skn].into_iter().flatten();
        let mut own = numbers.filter_map(|number| self.facts_of.get(number.reveal_personal_data()));
        own.next().unwrap_or(&self.facts).clone()
    }

    fn raw(&self, surroundings: &Surroundings<'_>) -> Result<RawMessage, String> {
        let text = self.text(surroundings)?;
        let (mut given, mut left_out) = (BTreeMap::new(), Vec::new());
        for (name, value) in &self.attributes {
            match value {
                Value::Null => left_out.push(format!("cloudEvents_{name}")),
                Value::String(text) => drop(given.insert(name.clone(), text.clone())),
                other => drop(given.insert(name.clone(), other.to_string())),
            }
        }
        let body = self.encode.bytes(&text);
        let mut raw = super::raw_message(surroundings.pipeline, &self.from, &surroundings.kind(), body, &given)?;
        left_out.iter().for_each(|name| drop(raw.headers.remove(name)));
        if let Some(user) = &self.user {
            raw.user_id = Some(user.clone()).filter(|user| !user.is_empty());
        }
        let mut raw = match self.mode {
            Mode::Binary => raw,
            Mode::Structured => structured(raw, false),
            Mode::StructuredBase64 => structured(raw, true),
        };
        raw.content_type = self.content_type.clone().or(raw.content_type);
        raw.content_encoding.clone_from(&self.content_encoding);
        Ok(raw)
    }

    fn text(&self, surroundings: &Surroundings<'_>) -> Result<String, String> {
        let mut text = match (&self.message, &self.data) {
            (Some(file), None) => surroundings.beside(file)?.to_owned(),
            (None, Some(Value::String(text))) => text.clone(),
            (None, Some(data)) => data.to_string(),
            _ => return Err("give exactly one of `message` and `data`".to_owned()),
        };
        for (old, new) in &self.replace {
            if text.matches(old.as_str()).count() != 1 {
                return Err(format!("`{old}` does not stand in the message exactly once"));
            }
            text = text.replacen(old.as_str(), new, 1);
        }
        Ok(text)
    }
}

impl Encoding {
    fn bytes(self, text: &str) -> Vec<u8> {
        match self {
            Encoding::Utf8 => text.as_bytes().to_vec(),
            Encoding::Latin1 => text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
            Encoding::Utf16 => {
                "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
            }
        }
    }
}

/// The same message as one JSON event. XML travels in it as text.
fn structured(raw: RawMessage, base64: bool) -> RawMessage {
    let named = |(header, value): (String, String)| {
        let name = header.strip_prefix("cloudEvents_").unwrap_or(&header).to_owned();
        (name, Value::String(value))
    };
    let mut event: Map<String, Value> = raw.headers.into_iter().map(named).collect();
    let data_type = raw.content_type.unwrap_or_default();
    let is_json = data_type.ends_with("json");
    event.insert("datacontenttype".to_owned(), Value::String(data_type));
    let body = raw.body.into_personal_data();
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    let (name, data) = match is_json {
        _ if base64 => ("data_base64", Value::String(base64::engine::general_purpose::STANDARD.encode(&body))),
        true => ("data", serde_json::from_slice(&body).unwrap_or_else(|_| text())),
        false => ("data", text()),
    };
    event.insert(name.to_owned(), data);
    RawMessage {
        body: Personal::new(Value::Object(event).to_string().into_bytes()),
        content_type: Some("application/cloudevents+json".to_owned()),
        headers: BTreeMap::new(),
        ..raw
    }
}

impl Expect {
    fn compare(&self, got: &Explanation, surroundings: &Surroundings<'_>) -> Result<(), String> {
        let problems = got.reason.iter().flat_map(|reason| &reason.problems);
        let problems: Vec<String> = problems.map(|p| format!("{} {}", p.code, p.place)).collect();
        same_set("problems", &self.problems, problems)?;
        if self.outcome.is_some_and(|wanted| wanted != got.outcome) {
            return Err(format!("got {}", got.outcome.as_str()));
        }
        if got.deliveries.len() != self.deliveries.len() {
            let all: Vec<_> = got.deliveries.iter().map(|d| format!("{} as {}", d.recipient, d.role)).collect();
            return Err(format!("got {} deliveries: {}", all.len(), all.join(", ")));
        }
        match (&self.items, &got.items) {
            (Some(wanted), Some(got)) => wanted.compare(got, surroundings)?,
            (None, None) => {}
            (wanted, _) => return Err(format!("got {} list", if wanted.is_some() { "no" } else { "a" })),
        }
        self.deliveries.iter().try_for_each(|wanted| {
            let found = got.deliveries.iter().find(|d| wanted.is_to(d));
            let found = found.ok_or_else(|| format!("no delivery to {}", wanted.recipient))?;
            wanted.compare(found, surroundings).map_err(|hint| format!("{}: {hint}", wanted.recipient))
        })
    }
}

impl ExpectedItems {
    fn compare(&self, got: &Items, surroundings: &Surroundings<'_>) -> Result<(), String> {
        let outcomes: BTreeMap<String, usize> =
            got.outcomes.iter().map(|(&name, &count)| (name.to_owned(), count)).collect();
        if outcomes != self.outcomes {
            return Err(format!("items: got {outcomes:?}"));
        }
        self.each.iter().try_for_each(|(position, wanted)| {
            let shown = position.parse().ok().and_then(|position: usize| got.shown.get(position.checked_sub(1)?));
            let shown = shown.ok_or_else(|| format!("item {position} is not shown"))?;
            wanted.compare(shown, surroundings).map_err(|hint| format!("item {position}: {hint}"))
        })
    }
}

impl ExpectedDelivery {
    fn is_to(&self, got: &Delivery) -> bool {
        let role = self.role.as_deref();
        got.recipient.as_str() == self.recipient && role.is_none_or(|role| role == got.role.as_str())
    }

    fn compare(&self, got: &Delivery, surroundings: &Surroundings<'_>) -> Result<(), String> {
        let code = got.reason.as_ref().map(|r| r.code);
        if got.outcome != self.outcome || (self.code.is_some() && self.code != code) {
            let why =
                got.reason.as_ref().map_or(String::new(), |r| format!("{} {} {:?}", r.code, r.detail, r.problems));
            return Err(format!("got {} {why}", got.outcome.as_str()));
        }
        let mut shared: Vec<String> = got.decision.shared.iter().map(|s| s.category.to_string()).collect();
        shared.dedup();
        let withheld = got.decision.withheld.iter().map(|w| w.category.to_string()).collect();
        for (name, wanted, got) in [
            ("shared", &self.shared, shared),
            ("withheld", &self.withheld, withheld),
            ("notes", &self.notes, got.decision.notes.clone()),
        ] {
            wanted.as_ref().map_or(Ok(()), |wanted| same_set(name, wanted, got))?;
        }
        if self.until.is_some_and(|wanted| got.until != Some(wanted)) {
            return Err(format!("got until {:?}", got.until));
        }
        let Some(wanted) = &self.payload else { return Ok(()) };
        let wanted = match wanted {
            Value::String(file) => {
                let text = surroundings.beside(file)?;
                serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
            }
            inline => inline.clone(),
        };
        let got = got.payload.clone().unwrap_or_default();
        let same = match (&wanted, &got) {
            (Value::String(wanted), Value::String(got)) => squeeze(wanted) == squeeze(got),
            _ => wanted == got,
        };
        if same { Ok(()) } else { Err(format!("another payload: {got}")) }
    }
}

fn same_set(name: &str, wanted: &[String], got: Vec<String>) -> Result<(), String> {
    let (mut wanted, mut got) = (wanted.to_vec(), got);
    wanted.sort_unstable();
    got.sort_unstable();
    if wanted == got { Ok(()) } else { Err(format!("{name}: expected {wanted:?}, got {got:?}")) }
}

/// XML without the white space between its elements.
fn squeeze(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().concat()
}
