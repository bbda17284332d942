//! Which recipient a message is for, where a table says so: the first row that holds, in the order that is set.
//! A row names a recipient or the human decision it waits for; what may be shared is not decided in here.

use super::context::{Message, counts};
use crate::catalogue::{Destination, MessageType, RecipientRule, Row};
use crate::facts::{Facts, SoortBeoordeling};
use jiff::Timestamp;
use std::sync::Arc;

#[derive(Debug)]
pub struct Routed<'k> {
    /// Nobody, where no row holds or a person must still say who it is.
    pub to: Option<&'k RecipientRule>,
    /// What a person must decide, or did.
    pub decision: Option<(&'k Row, SoortBeoordeling)>,
    /// For the receipt: the row, and those that hold too and lead elsewhere.
    pub notes: Vec<String>,
}

impl Routed<'_> {
    pub fn needs_facts(&self) -> bool {
        self.decision.is_some()
    }

    /// What a person must judge first.
    pub fn awaits(&self) -> Option<String> {
        let (row, assessment) = self.decision.filter(|_| self.to.is_none())?;
        Some(format!("assessment needed: {} (row {}: {})", assessment.as_str(), row.name, row.title))
    }
}

/// `None` where the message is not routed. `facts` count only where a row waits for a person.
pub fn follow<'k>(
    kind: &'k MessageType,
    conditions: &[Arc<str>],
    facts: Option<&Facts>,
    message: Message<'_>,
    now: Timestamp,
) -> Option<Routed<'k>> {
    let route = kind.route.as_ref()?;
    let all_hold = |names: &[Arc<str>]| names.iter().all(|name| conditions.contains(name));
    let mut holding = route.rows.iter().filter(|row| all_hold(&route.needs) && all_hold(&row.when));
    let Some(row) = holding.next() else {
        return Some(Routed { to: None, decision: None, notes: vec!["routing: no row holds".to_owned()] });
    };
    let with_role = |role: &str| kind.recipients.iter().find(|rule| rule.role.as_str() == role);
    let (to, decision) = match &row.to {
        Destination::Recipient(role) => (with_role(role.as_str()), None),
        Destination::Decision(assessment) => {
            let said = facts.and_then(|facts| said(facts, *assessment, message, now));
            (said.and_then(with_role), Some((row, *assessment)))
        }
    };
    let by_a_person = match (to, decision) {
        (Some(rule), Some(_)) => format!(", which says {}", rule.role),
        _ => String::new(),
    };
    let mut notes = vec![format!("routing: row {} ({}){by_a_person}", row.name, row.to)];
    let elsewhere: Vec<String> =
        holding.filter(|other| other.to != row.to).map(|other| format!("row {} ({})", other.name, other.to)).collect();
    if !elsewhere.is_empty() {
        notes.push(format!("routing conflict: {} would hold too", elsewhere.join(", ")));
    }
    Some(Routed { to, decision, notes })
}

/// Whom the decision about this very message names. Decisions that contradict each other decide nothing.
fn said<'f>(facts: &'f Facts, wanted: SoortBeoordeling, message: Message<'_>, now: Timestamp) -> Option<&'f str> {
    let about_this = facts
        .beoordelingen
        .iter()
        .filter(|recorded| recorded.soort == wanted && recorded.betreft.is_some() && counts(recorded, now, message));
    let mut named = about_this.filter_map(|recorded| recorded.indicatiesteller.as_ref());
    let first = named.next()?;
    named.all(|other| other == first).then_some(first.as_str())
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Destination::Recipient(role) => role.fmt(f),
            Destination::Decision(assessment) => f.write_str(assessment.as_str()),
        }
    }
}
