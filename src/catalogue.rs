//! Catalogue: every message type, compiled from files and known to fit together before the first message.
//! Data, not code, says what a message is; no IO beyond reading the files once.

pub mod definition;
mod load;
mod route;
pub mod sources;
mod split;

use crate::facts::SoortBeoordeling;
use crate::party::Role;
use crate::record;
use crate::translation::Mapping;
use crate::translation::rules::{Rules, Tables};
use crate::validation::schema::Schema;
use definition::{Format, Given, When};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use route::Order;
pub use sources::{Finding, Sources};

/// What the name of every type starts with.
pub const TYPE_PREFIX: &str = "nl.ketenpoort.";

/// A pointer, split into its tokens.
pub type Pointer = Vec<String>;

#[derive(Debug)]
pub struct Catalogue {
    types: BTreeMap<String, Arc<MessageType>>,
    pub tables: Tables,
    /// Changes whenever a schema, mapping or code table changes.
    pub version: String,
}

#[derive(Debug)]
pub struct MessageType {
    pub kind: String,
    /// The type without prefix and version, as policies name it.
    pub name: String,
    pub title: String,
    pub from: Vec<Role>,
    /// Made by the gateway out of a list that it splits; nobody can send it.
    pub internal: bool,
    pub input: Input,
    pub canonical: Schema,
    pub bsn: Option<Pointer>,
    pub skn: Option<Pointer>,
    /// What the series is about in which a newer message supersedes an older one.
    pub order: Option<Vec<Pointer>>,
    pub in_force: Vec<InForce>,
    pub checks: Vec<Check>,
    pub own_gemeente: Option<Pointer>,
    pub request: Request,
    pub conditions: Vec<Condition>,
    pub hold: Option<Hold>,
    pub recipients: Vec<RecipientRule>,
    /// Where there is one, the message is a list, and goes to nobody itself.
    pub split: Option<Split>,
    pub record: Option<RecordRule>,
    /// Where there is one, it says which of the recipients it is.
    pub route: Option<Route>,
    pub answer: Option<Answer>,
    pub out: Vec<OutMapping>,
}

#[derive(Debug)]
pub struct Input {
    pub format: Format,
    pub root: String,
    pub namespace: String,
    /// The partner's form; absent where the message is canonical as it is.
    pub partner: Option<(Schema, Rules)>,
}

#[derive(Debug)]
pub struct InForce {
    pub at: Pointer,
    pub table: String,
    pub on: Option<Pointer>,
}

#[derive(Debug)]
pub struct Check {
    pub rule: CheckRule,
    pub hint: String,
}

#[derive(Debug)]
pub enum CheckRule {
    NotBefore(Pointer, Pointer),
    Equal(Pointer, Pointer),
    OneOfPresent(Vec<Pointer>),
}

#[derive(Debug, Default)]
pub struct Request {
    pub grond: Option<Pointer>,
    pub doel: Option<Pointer>,
    pub uitzondering: Option<Pointer>,
    pub claims: Vec<(String, Pointer)>,
}

#[derive(Debug)]
pub struct Condition {
    pub name: Arc<str>,
    pub at: Pointer,
    /// All of them must hold.
    pub tests: Vec<Test>,
}

/// Of a list, that it holds for one of its values.
#[derive(Debug)]
pub enum Test {
    Exists,
    OneOf(Vec<Value>),
    /// In force on that day.
    InTable(String, Day),
    AtLeast(i64),
    WithinMonths(i32),
    NotBefore(Day),
    NotAfter(Day),
}

#[derive(Debug)]
pub enum Day {
    Today,
    At(Pointer),
}

/// Too early for a condition that holds from some day on.
#[derive(Debug)]
pub struct Hold {
    pub condition: Arc<str>,
    /// The date that the condition is about, and how many months before it the condition begins to hold.
    pub at: Pointer,
    pub months: i32,
}

/// A message that goes to nobody: what stands at one place of it becomes a fact.
#[derive(Debug)]
pub struct RecordRule {
    pub kind: record::Kind,
    pub at: Pointer,
}

#[derive(Debug)]
pub struct RecipientRule {
    pub role: Role,
    pub who: Who,
    pub given: Vec<Given>,
    pub when: Option<When>,
    pub facts: bool,
}

impl RecipientRule {
    pub fn needs_facts(&self) -> bool {
        self.facts || self.when.is_some()
    }
}

/// Its rows in the order in which they are asked.
#[derive(Clone, Debug)]
pub struct Route {
    pub needs: Vec<Arc<str>>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub title: String,
    pub when: Vec<Arc<str>>,
    pub to: Destination,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// One of the recipients, by its role.
    Recipient(Role),
    /// A person must say which of the recipients it is.
    Decision(SoortBeoordeling),
}

/// How a recipient is found. Whatever the message says, an address comes from the partner directory only.
#[derive(Debug)]
pub enum Who {
    Gemeente(Pointer),
    Party(String),
    Sender,
    Each { list: Pointer, oin: Pointer },
    Oin(Pointer),
}

#[derive(Debug)]
pub struct Answer {
    pub kind: String,
    pub canonical: Schema,
    pub carry: Rules,
    pub facts: Rules,
}

#[derive(Debug)]
pub struct Split {
    /// In the sender's form.
    pub at: Pointer,
    pub into: String,
    pub at_most: usize,
    pub carry: Rules,
}

#[derive(Debug)]
pub struct OutMapping {
    pub role: Option<Role>,
    /// What a party's directory entry calls this format.
    pub format_name: String,
    pub mapping: Mapping,
}

impl Catalogue {
    pub fn get(&self, kind: &str) -> Option<&Arc<MessageType>> {
        self.types.get(kind)
    }
    pub fn types(&self) -> impl Iterator<Item = &Arc<MessageType>> {
        self.types.values()
    }
}

impl MessageType {
    /// The mapping for a recipient: the one for its role wins over the general one.
    pub fn mapping(&self, role: &Role, format_name: &str) -> Option<&Mapping> {
        let of_format = || self.out.iter().filter(|out| out.format_name == format_name);
        of_format()
            .find(|out| out.role.as_ref() == Some(role))
            .or_else(|| of_format().find(|out| out.role.is_none()))
            .map(|out| &out.mapping)
    }

    /// The shape of what is forwarded: the answer where there is one, otherwise the message itself.
    pub fn forwarded(&self) -> &Schema {
        self.answer.as_ref().map_or(&self.canonical, |answer| &answer.canonical)
    }
}
