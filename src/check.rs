//! Check: everything that is wrong with schemas, policies, mappings and directory, and whether every case gives
//! what it expects. Also what a reload and the start of `run` call first.

use crate::catalogue::{Finding, Sources};
use crate::code::Code;
use crate::core::Pipeline;
use crate::envelope::RawMessage;
use crate::explain::{Explanation, explain};
use crate::facts::Facts;
use crate::outcome::{Outcome, Problem};
use crate::party::PartyId;
use crate::personal::Personal;
use crate::policy::{self, cases::Report};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Runs every case of policies and mappings.
pub fn cases(sources: &Sources, pipeline: &Pipeline) -> Report {
    let mut report = policy::cases::run(sources, &pipeline.engine);
    for (file, text) in &sources.mappings {
        let Some((folder, _)) = file.split_once("/cases/").filter(|_| file.ends_with(".yaml")) else {
            continue;
        };
        let case = match serde_saphyr::from_str::<MessageCase>(text) {
            Ok(case) => case,
            Err(error) => {
                let line = error.location().map(|l| l.line());
                let hint = error.to_string().lines().next().unwrap_or_default().to_owned();
                report.findings.push(failed(file, line, "", hint));
                continue;
            }
        };
        match case.run(folder, sources, pipeline) {
            Ok(()) => report.passed += 1,
            Err(hint) => report.findings.push(failed(file, None, &case.name, hint)),
        }
    }
    report
}

fn failed(file: &str, line: Option<u64>, place: &str, hint: String) -> Finding {
    Finding::new(format!("mappings/{file}"), line, Problem::new(Code::CaseFailed, place, hint))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageCase {
    name: String,
    from: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// A file beside the case.
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    data: Option<Value>,
    now: Timestamp,
    /// Left out: the facts cannot be had.
    #[serde(default)]
    facts: Option<Facts>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(default)]
    outcome: Option<Outcome>,
    #[serde(default)]
    problems: Vec<ExpectedProblem>,
    #[serde(default)]
    deliveries: Vec<ExpectedDelivery>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedProblem {
    code: Code,
    place: String,
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
    /// The payload itself, or the name of a file beside the case.
    #[serde(default)]
    payload: Option<Value>,
}

impl MessageCase {
    fn run(&self, folder: &str, sources: &Sources, pipeline: &Pipeline) -> Result<(), String> {
        let raw = self.raw(folder, sources, pipeline)?;
        let explained = explain(pipeline, &raw, self.facts.as_ref(), self.now);
        self.compare(folder, sources, &explained)
    }

    fn raw(&self, folder: &str, sources: &Sources, pipeline: &Pipeline) -> Result<RawMessage, String> {
        let body = match (&self.message, &self.data) {
            (Some(file), None) => beside(folder, file, sources)?.as_bytes().to_vec(),
            (None, Some(Value::String(text))) => text.clone().into_bytes(),
            (None, Some(data)) => serde_json::to_vec(data).map_err(|e| e.to_string())?,
            _ => return Err("give exactly one of `message` and `data`".to_owned()),
        };
        let kind = format!("nl.ketenpoort.{folder}");
        Ok(raw_message(pipeline, &self.from, &kind, body, &self.attributes)?)
    }

    fn compare(&self, folder: &str, sources: &Sources, got: &Explanation) -> Result<(), String> {
        let reason = got.reason.as_ref();
        if self.expect.outcome == Some(Outcome::Rejected) || got.outcome == Outcome::Rejected {
            let mut wanted: Vec<_> = self.expect.problems.iter().map(|p| (p.code.as_str(), p.place.as_str())).collect();
            let problems = reason.map(|r| r.problems.as_slice()).unwrap_or_default();
            let mut found: Vec<_> = problems.iter().map(|p| (p.code.as_str(), p.place.as_str())).collect();
            wanted.sort_unstable();
            found.sort_unstable();
            let same = self.expect.outcome == Some(got.outcome) && wanted == found;
            return if same { Ok(()) } else { Err(format!("got {} {found:?}", got.outcome.as_str())) };
        }
        if self.expect.outcome.is_some_and(|wanted| wanted != got.outcome) {
            return Err(format!("got {}", got.outcome.as_str()));
        }
        if got.deliveries.len() != self.expect.deliveries.len() {
            let all: Vec<_> = got.deliveries.iter().map(|d| format!("{} as {}", d.recipient, d.role)).collect();
            return Err(format!("got {} deliveries: {}", all.len(), all.join(", ")));
        }
        self.expect.deliveries.iter().try_for_each(|wanted| {
            let found = got.deliveries.iter().find(|d| {
                d.recipient.as_str() == wanted.recipient
                    && wanted.role.as_deref().is_none_or(|role| role == d.role.as_str())
            });
            let found = found.ok_or_else(|| format!("no delivery to {}", wanted.recipient))?;
            wanted.compare(found, folder, sources).map_err(|hint| format!("{}: {hint}", wanted.recipient))
        })
    }
}

impl ExpectedDelivery {
    fn compare(&self, got: &crate::explain::Delivery, folder: &str, sources: &Sources) -> Result<(), String> {
        let code = got.reason.as_ref().map(|r| r.code);
        if got.outcome != self.outcome || (self.code.is_some() && self.code != code) {
            let code = code.map_or("", Code::as_str);
            return Err(format!("got {} {code}", got.outcome.as_str()));
        }
        let mut shared: Vec<&str> = got.decision.shared.iter().map(|s| s.category.as_str()).collect();
        shared.dedup();
        let withheld: Vec<&str> = got.decision.withheld.iter().map(|w| w.category.as_str()).collect();
        same_set("shared", self.shared.as_deref(), shared)?;
        same_set("withheld", self.withheld.as_deref(), withheld)?;
        let Some(wanted) = &self.payload else {
            return Ok(());
        };
        let wanted = match wanted {
            Value::String(file) => {
                let text = beside(folder, file, sources)?;
                serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
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

fn same_set(name: &str, wanted: Option<&[String]>, got: Vec<&str>) -> Result<(), String> {
    let Some(wanted) = wanted else { return Ok(()) };
    let mut wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let mut sorted = got;
    wanted.sort_unstable();
    sorted.sort_unstable();
    if wanted == sorted { Ok(()) } else { Err(format!("{name} is {sorted:?}")) }
}

/// XML without the white space between its elements.
fn squeeze(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().concat()
}

fn beside<'a>(folder: &str, file: &str, sources: &'a Sources) -> Result<&'a String, String> {
    let path = format!("{folder}/cases/{file}");
    sources.mappings.get(&path).ok_or_else(|| format!("there is no file mappings/{path}"))
}

/// A message as a party would send it in binary mode; what is not given gets a plain value.
pub fn raw_message(
    pipeline: &Pipeline,
    from: &str,
    kind: &str,
    body: Vec<u8>,
    attributes: &BTreeMap<String, String>,
) -> Result<RawMessage, String> {
    let party = pipeline.directory.by_id(&PartyId::new(from)).ok_or_else(|| format!("there is no party `{from}`"))?;
    let is_xml = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'<');
    let mut headers = BTreeMap::from(
        [
            ("id", "6f2f4d3e-0000-4000-8000-000000000001".to_owned()),
            ("source", format!("urn:nld:oin:{}:systeem:{}", party.oin.as_str(), from.replace(':', "-"))),
            ("specversion", "1.0".to_owned()),
            ("type", kind.to_owned()),
            ("sequence", "1".to_owned()),
        ]
        .map(|(name, value)| (format!("cloudEvents_{name}"), value)),
    );
    headers.extend(attributes.iter().map(|(name, value)| (format!("cloudEvents_{name}"), value.clone())));
    Ok(RawMessage {
        body: Personal::new(body),
        content_type: Some(if is_xml { "application/xml" } else { "application/json" }.to_owned()),
        headers,
        user_id: party.users.first().cloned(),
        queue_of: Some(party.id.clone()),
        ..RawMessage::default()
    })
}
