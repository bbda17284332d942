//! Check: everything that is wrong with schemas, policies, mappings and directory, and whether every case gives
//! what it expects.

mod messages;

use crate::catalogue::{Finding, Sources};
use crate::code::Code;
use crate::core::Pipeline;
use crate::envelope::RawMessage;
use crate::matrix::Matrix;
use crate::matrix::glossary::{self, Glossary};
use crate::outcome::Problem;
use crate::party::PartyId;
use crate::personal::Personal;
use crate::policy::{self, coverage};
use jiff::civil::Date;
use std::collections::BTreeMap;

/// How many cases held, what did not, and what no case exercises.
#[derive(Debug, Default)]
pub struct Report {
    pub passed: usize,
    pub findings: Vec<Finding>,
    pub gaps: Vec<Finding>,
}

/// Runs every case of policies and mappings.
pub fn cases(sources: &Sources, pipeline: &Pipeline) -> Report {
    let policies = policy::cases::run(sources, &pipeline.engine);
    let messages = messages::run(sources, pipeline);
    let gap =
        |file: String, place: &str, hint: &str| Finding::new(file, None, Problem::new(Code::NotExercised, place, hint));
    let ids: std::collections::BTreeSet<_> = pipeline.engine.policies().map(|policy| &policy.id).collect();
    let idle = ids.into_iter().filter(|id| !policies.decided.contains(*id));
    let unproven = pipeline.catalogue.types().filter(|kind| !messages.kinds.contains(&kind.kind));
    let (not_shown, wrong) = not_shown(sources, pipeline, &policies);
    let (no_words, unreadable) = match wordless(sources, pipeline) {
        Ok(gaps) => (gaps, None),
        Err(finding) => (Vec::new(), Some(finding)),
    };
    let gaps = idle
        .map(|id| gap("policies".to_owned(), id, "add a case that sees this policy decide"))
        .chain(not_shown)
        .chain(no_words)
        .chain(unproven.map(|kind| {
            let folder = kind.kind.strip_prefix(crate::catalogue::TYPE_PREFIX).unwrap_or(&kind.kind);
            gap(format!("mappings/{folder}"), "", "add a case for this message type")
        }))
        .collect();
    Report {
        passed: policies.passed + messages.passed,
        findings: policies.findings.into_iter().chain(messages.findings).chain(wrong).chain(unreadable).collect(),
        gaps,
    }
}

/// The conditions of rules that no case shows the difference of, and what is wrong with the list of those that none
/// can.
fn not_shown(sources: &Sources, pipeline: &Pipeline, cases: &policy::cases::Report) -> (Vec<Finding>, Vec<Finding>) {
    let read = coverage::Exempt::read(sources).and_then(|exempt| Ok((exempt, pipeline.engine.rules()?)));
    match read {
        Ok((exempt, rules)) => coverage::check(&pipeline.engine, &rules, cases, &exempt),
        Err(finding) => (Vec::new(), vec![finding]),
    }
}

/// What a lawyer could read on the page of `matrix` only as Cedar has it.
fn wordless(sources: &Sources, pipeline: &Pipeline) -> Result<Vec<Finding>, Finding> {
    let glossary = Glossary::read(sources)?;
    let matrix = Matrix::of(&pipeline.engine, &glossary, &[], Date::default())?;
    let gap = |(rule, term): (&str, &str)| {
        let hint = format!("add words for `{term}`");
        Finding::new(format!("policies/{}", glossary::FILE), None, Problem::new(Code::NoWords, rule, hint))
    };
    Ok(matrix.unexplained(&glossary).into_iter().map(gap).collect())
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
    let is_item = pipeline.catalogue.get(kind).is_some_and(|kind| kind.internal);
    let part_of = is_item.then(|| crate::envelope::digest_label(&body));
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
        part_of,
        admitted: true,
        ..RawMessage::default()
    })
}
