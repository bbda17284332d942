//! Validation: an envelope becomes content in our own form that is known to be right. Every problem is
//! reported, none quotes a value. No facts, no policy and no IO in here.

pub mod formats;
pub mod json;
pub mod schema;
pub mod xml;

use crate::catalogue::definition::Format;
use crate::catalogue::{Catalogue, Check, CheckRule, MessageType, Pointer, Split};
use crate::category::CategorySet;
use crate::code::Code;
use crate::codetable::Lookup;
use crate::envelope::{Envelope, Rejection};
use crate::facts::{Person, dutch_day};
use crate::outcome::Problem;
use crate::party::Role;
use crate::personal::Personal;
use crate::record::Record;
use crate::translation::rules::at;
use jiff::{Timestamp, civil::Date};
use serde_json::Value;
use std::sync::Arc;

/// Bounds on what a message may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub body: usize,
    pub xml_depth: usize,
    pub xml_elements: usize,
    /// Of a list, which is split: its body and the elements in it.
    pub list_body: usize,
    pub list_xml_elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body: 1024 * 1024,
            xml_depth: 32,
            xml_elements: 50_000,
            list_body: 4 * 1024 * 1024,
            list_xml_elements: 200_000,
        }
    }
}

/// A message whose content is right. Only [`validate`] makes one.
#[derive(Debug)]
pub struct Valid {
    pub(crate) envelope: Envelope,
    pub(crate) kind: Arc<MessageType>,
    /// The role in which the sender sends this type.
    pub(crate) sender_role: Role,
    pub(crate) content: Personal<Value>,
    /// Of a list: what it is split into, in the sender's form. Not one of them has been looked at.
    pub(crate) items: Personal<Vec<Value>>,
    /// What is kept of it as a fact, where that is what it is for.
    pub(crate) record: Option<Record>,
}

impl Valid {
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    pub fn kind(&self) -> &MessageType {
        &self.kind
    }

    pub fn into_envelope(self) -> Envelope {
        self.envelope
    }

    /// Whom the facts are asked about.
    pub fn person(&self) -> Person {
        let number = |pointer: &Option<Pointer>| {
            let place = pointer.as_ref().and_then(|p| self.text(p));
            place.map(|text| Personal::new(text.to_owned()))
        };
        Person { bsn: number(&self.kind.bsn), skn: number(&self.kind.skn) }
    }

    pub(crate) fn at(&self, pointer: &Pointer) -> Option<&Value> {
        at(self.content.reveal_personal_data(), pointer)
    }

    pub(crate) fn text(&self, pointer: &Pointer) -> Option<&str> {
        self.at(pointer).and_then(Value::as_str)
    }
}

pub fn validate(
    envelope: Envelope,
    catalogue: &Catalogue,
    limits: &Limits,
    now: Timestamp,
) -> Result<Valid, Box<Rejection>> {
    match content(&envelope, catalogue, limits, dutch_day(now)) {
        Ok(Content { kind, sender_role, content, items }) => match record(&envelope, &kind, &content) {
            Ok(record) => {
                let (content, items) = (Personal::new(content), Personal::new(items));
                Ok(Valid { envelope, kind, sender_role, content, items, record })
            }
            Err(problem) => Err(Rejection::from_envelope(&envelope, vec![problem])),
        },
        Err(problems) => Err(Rejection::from_envelope(&envelope, problems)),
    }
}

struct Content {
    kind: Arc<MessageType>,
    sender_role: Role,
    content: Value,
    items: Vec<Value>,
}

fn record(envelope: &Envelope, kind: &MessageType, content: &Value) -> Result<Option<Record>, Problem> {
    let Some(rule) = &kind.record else { return Ok(None) };
    let read = at(content, &rule.at).map(|fact| Record::read(rule.kind, fact, envelope.attributes.sequence));
    match read {
        Some(Ok(record)) if formats::holds_bsn(&record.id) => {
            let hint = "the id of a record is kept in the clear: no personal number in it";
            Err(Problem::new(Code::WrongType, place(&rule.at), hint))
        }
        Some(Ok(record)) => Ok(Some(record)),
        // Its schema and the facts disagree on what a record is.
        Some(Err(_)) | None => Err(Problem::new(Code::WrongType, place(&rule.at), Code::WrongType.hint())),
    }
}

fn content(envelope: &Envelope, catalogue: &Catalogue, limits: &Limits, today: Date) -> Result<Content, Vec<Problem>> {
    let one = |problem: Problem| vec![problem];
    // What only the gateway makes does not exist for anybody else, nor the other way around.
    let Some(kind) = catalogue.get(envelope.kind()).filter(|kind| kind.internal == envelope.internal) else {
        return Err(one(Problem::new(Code::UnknownType, "type", Code::UnknownType.hint())));
    };
    let Some(role) = kind.from.iter().find(|role| envelope.sender.roles.contains(role)) else {
        return Err(one(Problem::new(Code::TypeNotAllowed, "type", Code::TypeNotAllowed.hint())));
    };
    if kind.order.is_some() && envelope.attributes.sequence.is_none() {
        let hint = "this type needs a sequence: a newer notification supersedes an older one";
        return Err(one(Problem::new(Code::MissingAttribute, "sequence", hint)));
    }
    let mut document = document(envelope, kind, limits).map_err(one)?;
    if let Some(split) = &kind.split {
        list_bounds(split, &document, envelope).map_err(one)?;
    }
    let mut problems = partner_problems(&document, kind);
    let items = kind.split.as_ref().map_or_else(Vec::new, |split| take_items(&mut document, &split.at));
    let content = canonical(document, kind, today, &mut problems);
    if problems.is_empty() {
        problems = in_senders_words(kind.canonical.problems(&content), kind);
    }
    let more = in_senders_words(consistency(&content, envelope, kind, catalogue, today), kind);
    add_news(&mut problems, more);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Content { kind: kind.clone(), sender_role: role.clone(), content, items })
}

/// Before anything is looked at one by one.
fn list_bounds(split: &Split, document: &Value, envelope: &Envelope) -> Result<(), Problem> {
    let count = at(document, &split.at).and_then(Value::as_array).map_or(0, Vec::len);
    if count > split.at_most {
        let hint = format!("{count} items; at most {} are accepted", split.at_most);
        return Err(Problem::new(Code::TooManyItems, place(&split.at), hint));
    }
    // An item is called after its list.
    if crate::envelope::item_id(envelope.id(), split.at_most).len() > 255 {
        let hint = "an id of a list leaves room for the number of an item behind it";
        return Err(Problem::new(Code::MissingAttribute, "id", hint));
    }
    Ok(())
}

fn take_items(document: &mut Value, tokens: &[String]) -> Vec<Value> {
    match tokens.iter().try_fold(document, |value, token| value.get_mut(token.as_str())).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// A place that is known to be wrong, or that lies inside one, has no more to say.
fn add_news(problems: &mut Vec<Problem>, more: Vec<Problem>) {
    let covers = |known: &Problem, place: &str| {
        place.strip_prefix(&known.place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let (_, news): (Vec<_>, Vec<_>) =
        more.into_iter().partition(|p| problems.iter().any(|known| covers(known, &p.place)));
    problems.extend(news);
}

fn document(envelope: &Envelope, kind: &MessageType, limits: &Limits) -> Result<Value, Problem> {
    let data = envelope.data.reveal_personal_data();
    let content_type = envelope.attributes.data_content_type.as_deref().unwrap_or_default().to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let expected = match kind.input.format {
        Format::Xml => matches!(media_type, "" | "application/xml" | "text/xml"),
        Format::Json => media_type.is_empty() || media_type.ends_with("json"),
    };
    if !expected {
        let code = if kind.input.format == Format::Xml { Code::NotXml } else { Code::NotJson };
        return Err(Problem::new(code, "datacontenttype", code.hint()));
    }
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    if charset.is_some_and(|charset| !matches!(charset.trim_matches('"'), "utf-8" | "us-ascii")) {
        return Err(Problem::new(Code::WrongEncoding, "datacontenttype", Code::WrongEncoding.hint()));
    }
    match (&kind.input.partner, kind.input.format) {
        (Some((schema, _)), Format::Xml) => {
            let data = unwrap_text(data);
            let xml_elements = if kind.split.is_some() { limits.list_xml_elements } else { limits.xml_elements };
            let limits = Limits { xml_elements, ..*limits };
            xml::parse(&data, &kind.input.root, &kind.input.namespace, &schema.shape, &limits)
        }
        _ => json::parse(data),
    }
}

/// XML in a structured JSON event travels as a JSON string.
fn unwrap_text(data: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if data.first() == Some(&b'"')
        && let Ok(text) = serde_json::from_slice::<String>(data)
    {
        return text.into_bytes().into();
    }
    data.into()
}

fn partner_problems(document: &Value, kind: &MessageType) -> Vec<Problem> {
    kind.input.partner.as_ref().map_or_else(Vec::new, |(schema, _)| schema.problems(document))
}

/// Our own form, as far as it can be made, and what else stands in the way.
fn canonical(document: Value, kind: &MessageType, today: Date, problems: &mut Vec<Problem>) -> Value {
    let Some((_, rules)) = &kind.input.partner else { return document };
    let (content, failed) = rules.build(&document, today, &mut CategorySet::default());
    add_news(problems, failed);
    content
}

/// A sender is told of places in the message that he sent, not of places in our own form.
fn in_senders_words(problems: Vec<Problem>, kind: &MessageType) -> Vec<Problem> {
    let Some((_, rules)) = &kind.input.partner else {
        return problems;
    };
    let there = |problem: Problem| match rules.origin(&problem.place) {
        Some(place) => Problem { place, ..problem },
        None => problem,
    };
    problems.into_iter().map(there).collect()
}

fn consistency(
    content: &Value,
    envelope: &Envelope,
    kind: &MessageType,
    catalogue: &Catalogue,
    today: Date,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let text = |pointer: &Pointer| at(content, pointer).and_then(Value::as_str);
    for rule in &kind.in_force {
        let on = rule.on.as_ref().and_then(text).and_then(|day| day.parse().ok()).unwrap_or(today);
        let (Some(code), Some(table)) = (text(&rule.at), catalogue.tables.get(&rule.table)) else {
            continue;
        };
        let problem = if rule.table == "gemeenten" { Code::UnknownGemeentecode } else { Code::UnknownCode };
        let hint = match table.lookup(code, on) {
            Lookup::Valid(_) => continue,
            Lookup::NotInForce => {
                format!("no longer or not yet in force in table `{}`", rule.table)
            }
            Lookup::Unknown => format!("not in table `{}`", rule.table),
        };
        problems.push(Problem::new(problem, place(&rule.at), hint));
    }
    for check in &kind.checks {
        if let Some(at) = contradiction(check, content) {
            problems.push(Problem::new(Code::Inconsistent, at, check.hint.as_str()));
        }
    }
    if let Some(pointer) = &kind.own_gemeente
        && text(pointer) != envelope.sender.gemeentecode.as_deref()
    {
        problems.push(Problem::new(Code::ForeignGemeente, place(pointer), Code::ForeignGemeente.hint()));
    }
    problems
}

/// The place where a check fails, if it does. A field that is absent contradicts nothing.
fn contradiction(check: &Check, content: &Value) -> Option<String> {
    let text = |pointer: &Pointer| at(content, pointer).and_then(Value::as_str);
    match &check.rule {
        CheckRule::NotBefore(later, earlier) => {
            let (late, early) = (text(later)?, text(earlier)?);
            let is_before = match (late.parse::<Timestamp>(), early.parse::<Timestamp>()) {
                (Ok(late), Ok(early)) => late < early,
                _ => late < early,
            };
            is_before.then(|| place(later))
        }
        CheckRule::Equal(one, other) => (text(one)? != text(other)?).then(|| place(one)),
        CheckRule::OneOfPresent(places) => {
            let none = places.iter().all(|p| at(content, p).is_none());
            none.then(|| places.iter().map(place).collect::<Vec<_>>().join(" | "))
        }
    }
}

pub(crate) fn place(pointer: &Pointer) -> String {
    format!("/{}", pointer.join("/"))
}
