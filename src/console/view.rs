//! What pages have in common: what stands around them, and how times, ages and names are put. No IO.

use super::access::{Power, Role};
use super::session::Session;
use super::text::Text;
use crate::directory::Directory;
use crate::facts::TIME_ZONE;
use crate::party::PartyId;
use jiff::Timestamp;
use std::fmt;

/// Around every page.
pub struct Frame {
    pub title: String,
    pub nav: Vec<Entry>,
    pub who: Option<Who>,
    /// This page in the other language.
    pub other: String,
    pub other_lang: &'static str,
}

pub struct Entry {
    pub href: &'static str,
    pub text: &'static str,
    pub current: bool,
}

pub struct Who {
    pub name: String,
    pub roles: String,
    pub csrf: String,
}

type NameOf = fn(Text) -> &'static str;

const PAGES: [(&str, Power, NameOf); 8] = [
    ("/console/overzicht", Power::Overview, Text::overview),
    ("/console/bericht", Power::Messages, Text::message),
    ("/console/wachtrij", Power::Queue, Text::queue),
    ("/console/beoordelingen", Power::Assess, Text::assessments),
    ("/console/beleid", Power::Policy, Text::policy),
    ("/console/inzage", Power::Disclosures, Text::disclosures),
    ("/console/logboek", Power::Audit, Text::audit),
    ("/console/beheer", Power::Users, Text::users),
];

/// The pages that there are for somebody.
fn pages(session: &Session) -> impl Iterator<Item = &'static (&'static str, Power, NameOf)> {
    PAGES.iter().filter(|(_, power, _)| session.may(*power))
}

pub fn first_page(session: &Session) -> &'static str {
    pages(session).next().map_or("/console/aanmelden", |(href, ..)| href)
}

impl Frame {
    pub fn new(t: Text, title: String, session: Option<&Session>, path: &str, query: &[(String, String)]) -> Frame {
        let entry = |(href, _, name): &(&'static str, Power, NameOf)| {
            let current = path.strip_prefix(href).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            Entry { href, text: name(t), current }
        };
        let mut other = form_urlencoded::Serializer::new(format!("{path}?"));
        other.extend_pairs(query.iter().filter(|(key, _)| key != "taal"));
        other.append_pair("taal", t.0.other().code());
        let who = |session: &Session| Who {
            name: session.name.clone(),
            roles: role_names(t, &session.roles),
            csrf: session.csrf().to_owned(),
        };
        Frame {
            title,
            nav: session.map(|session| pages(session).map(entry).collect()).unwrap_or_default(),
            who: session.map(who),
            other: other.finish(),
            other_lang: t.0.other().code(),
        }
    }

    /// To stand in each form.
    pub fn csrf(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.csrf)
    }
}

pub fn role_names(t: Text, roles: &[Role]) -> String {
    roles.iter().map(|role| t.role_name(*role)).collect::<Vec<_>>().join(", ")
}

/// A moment, as it is called in the Netherlands: HTML, made of a time alone.
#[derive(Clone, Copy)]
pub struct When(pub Timestamp);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = self.0.in_tz(TIME_ZONE);
        let text = there.map_or_else(|_| self.0.to_string(), |there| there.strftime("%d-%m-%Y %H:%M:%S").to_string());
        write!(f, "<time datetime=\"{}\">{text}</time>", self.0)
    }
}

/// The two largest units, as in `3 d 4 u`.
pub fn age(t: Text, since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    let hour = if t.lang() == "nl" { "u" } else { "h" };
    let units = [("d", seconds / 86_400), (hour, seconds / 3600 % 24), ("min", seconds / 60 % 60), ("s", seconds % 60)];
    let first = units.iter().position(|(_, count)| *count > 0).unwrap_or(units.len() - 1);
    let two = units[first..].iter().take(2).filter(|(unit, count)| *count > 0 || *unit == units[first].0);
    two.map(|(unit, count)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

/// With what somebody reads before what a machine calls it.
pub fn party_name(directory: &Directory, party: &PartyId) -> String {
    directory.by_id(party).map_or_else(|| party.to_string(), |known| known.name.clone())
}

/// A number to read, with one digit where it is small.
pub fn rate(t: Text, rate: f64) -> String {
    let text = if rate == 0.0 || rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.1}") };
    if t.lang() == "nl" { text.replace('.', ",") } else { text }
}

/// Text that may be nothing but an explanation: not empty, not long, and no personal number in it.
pub fn is_reason(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.chars().count() <= 500 && !crate::validation::formats::holds_bsn(text)
}

/// `text` as it stands in an address.
pub fn in_query(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The address of a trace, where there is a viewer.
pub fn trace_url(template: Option<&str>, trace_id: Option<&str>) -> Option<String> {
    let is_id = |id: &&str| id.bytes().all(|b| b.is_ascii_hexdigit());
    Some(template?.replace("{trace_id}", trace_id.filter(is_id)?))
}
