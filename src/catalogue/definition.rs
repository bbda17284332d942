//! What stands in `message.yaml` and `out.*.yaml`, word for word.

use crate::facts::SoortBeoordeling;
use crate::record;
use crate::translation::rules::RuleSpec;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageSpec {
    pub r#type: String,
    pub title: String,
    pub from: Vec<String>,
    /// Made by the gateway out of a list that it splits; nobody can send it.
    #[serde(default)]
    pub internal: bool,
    pub r#in: InSpec,
    pub canonical: String,
    #[serde(default)]
    pub person: PersonSpec,
    #[serde(default)]
    pub order: Option<OrderSpec>,
    #[serde(default)]
    pub tables: Vec<TableSpec>,
    #[serde(default)]
    pub checks: Vec<CheckSpec>,
    #[serde(default)]
    pub own_gemeente: Option<String>,
    #[serde(default)]
    pub request: Option<RequestSpec>,
    #[serde(default)]
    pub conditions: Vec<ConditionSpec>,
    #[serde(default)]
    pub hold: Option<HoldSpec>,
    #[serde(default)]
    pub recipients: Vec<RecipientSpec>,
    #[serde(default)]
    pub split: Option<SplitSpec>,
    #[serde(default)]
    pub record: Option<RecordSpec>,
    #[serde(default)]
    pub route: Option<RouteSpec>,
    #[serde(default)]
    pub answer: Option<AnswerSpec>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Xml,
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InSpec {
    pub format: Format,
    #[serde(default)]
    pub root: Option<String>,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default)]
    pub schema: Option<String>,
    #[serde(default)]
    pub rules: Option<Vec<RuleSpec>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonSpec {
    #[serde(default)]
    pub bsn: Option<String>,
    #[serde(default)]
    pub skn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderSpec {
    pub key: Vec<String>,
}

/// A value that must be in force in a dated code table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    pub at: String,
    pub table: String,
    #[serde(default)]
    pub on: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckSpec {
    #[serde(default)]
    pub not_before: Option<[String; 2]>,
    #[serde(default)]
    pub equal: Option<[String; 2]>,
    #[serde(default)]
    pub one_of_present: Option<Vec<String>>,
    pub hint: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    #[serde(default)]
    pub grond: Option<String>,
    #[serde(default)]
    pub doel: Option<String>,
    #[serde(default)]
    pub uitzondering: Option<String>,
    /// Exceptions that are claimed by giving something: what stands at the place.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
}

/// A name for what holds: all tests of one condition, or of another one of the same name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionSpec {
    pub name: String,
    #[serde(default)]
    pub exists: Option<String>,
    #[serde(default)]
    pub at: Option<String>,
    #[serde(default)]
    pub one_of: Option<Vec<Value>>,
    #[serde(default)]
    pub in_table: Option<String>,
    /// With `in_table`: the day on which the code must be in force, where it is not today.
    #[serde(default)]
    pub on: Option<String>,
    #[serde(default)]
    pub at_least: Option<i64>,
    #[serde(default)]
    pub within_months: Option<i32>,
    /// `today`, or a pointer to a date.
    #[serde(default)]
    pub not_before: Option<String>,
    #[serde(default)]
    pub not_after: Option<String>,
}

/// What would be permitted once this condition holds is held until the day on which it does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldSpec {
    pub condition: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientSpec {
    pub role: String,
    /// Pointer to a gemeentecode.
    #[serde(default)]
    pub gemeente: Option<String>,
    /// A party's id, or `sender`.
    #[serde(default)]
    pub party: Option<String>,
    /// Pointer to a list of objects, with `oin` the pointer inside one.
    #[serde(default)]
    pub each: Option<String>,
    /// Pointer to an OIN: a recipient where the directory has that party in this role.
    #[serde(default)]
    pub oin: Option<String>,
    /// What may be shared with it depends on what IRIS knows of the person.
    #[serde(default)]
    pub facts: bool,
    #[serde(default)]
    pub given: Vec<Given>,
    #[serde(default)]
    pub when: Option<When>,
}

/// What is known about a recipient by the way it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    IsVerzoeker,
    GemeenteVanBrp,
    GemeenteVanVestiging,
    /// A row of the route names it.
    Indiceert,
    /// The message names it as the one who treats the person.
    Behandelt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    Bekend,
}

/// Instead of recipients: what is kept of the message as a fact.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSpec {
    pub kind: record::Kind,
    pub at: String,
}

/// Which one of the recipients it is: what the first row says whose conditions all hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// Conditions without which no row holds.
    #[serde(default)]
    pub needs: Vec<String>,
    pub rows: Vec<RowSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowSpec {
    pub row: String,
    pub title: String,
    pub when: Vec<String>,
    /// The role of one of the recipients ...
    #[serde(default)]
    pub to: Option<String>,
    /// ... or the human decision that names it.
    #[serde(default)]
    pub assessment: Option<SoortBeoordeling>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerSpec {
    pub r#type: String,
    pub canonical: String,
    #[serde(default)]
    pub carry: Vec<RuleSpec>,
    /// What IRIS says of the person, beside the case data; each goes as the category of its place.
    #[serde(default)]
    pub facts: Vec<RuleSpec>,
}

/// Instead of recipients: each item of the list becomes a message of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSpec {
    /// The list, in the sender's form: an item is checked in the sender's words, as any other message.
    pub at: String,
    /// An internal type, whose form holds the item under the name of the list, and what is carried beside it.
    pub into: String,
    pub at_most: NonZeroUsize,
    /// What the list says of all its items, in its canonical form.
    #[serde(default)]
    pub carry: Vec<RuleSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutSpec {
    pub format: Format,
    #[serde(default)]
    pub root: Option<String>,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default)]
    pub schema: Option<String>,
    pub rules: Vec<RuleSpec>,
}
