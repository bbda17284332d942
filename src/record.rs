//! Records: consents, withdrawals and assessments that the probation service sends by message, and how they are added
//! to what IRIS says. No IO and no clock; of the person there is a pseudonym only.

use crate::facts::{Beoordeling, Facts, Moment, Toestemming};
use crate::party::{PartyId, Role};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// A personal number under the key of this gateway: nobody without it can guess the number back.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pseudonym(pub [u8; 16]);

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[pseudoniem]")
    }
}

/// Whom something is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub bsn: Option<Pseudonym>,
    pub skn: Option<Pseudonym>,
}

impl Subject {
    pub fn pseudonyms(self) -> impl Iterator<Item = Pseudonym> {
        self.bsn.into_iter().chain(self.skn)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Toestemming,
    Intrekking,
    Beoordeling,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Toestemming => "toestemming",
            Kind::Intrekking => "intrekking",
            Kind::Beoordeling => "beoordeling",
        }
    }

    pub fn parse(name: &str) -> Option<Kind> {
        [Kind::Toestemming, Kind::Intrekking, Kind::Beoordeling].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One record as it is kept. A withdrawal has the id of the consent that it withdraws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: Kind,
    pub id: String,
    /// Of the event that brought it, where it has one.
    pub sequence: Option<i64>,
    /// JSON: ids, kinds, categories, recipients and dates. The catalogue lets nothing personal in here.
    pub content: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Intrekking {
    toestemming: String,
    ingetrokken_op: Moment,
}

/// A record that this version cannot read. Who does not know what it says cannot decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record cannot be read")]
pub struct Unreadable;

/// What keeps records, and splits lists: the gateway itself. Nothing is sent to it.
pub fn keeper() -> (PartyId, Role) {
    (PartyId::new("ketenpoort"), Role::new("ketenpoort"))
}

impl Record {
    pub fn read(kind: Kind, content: &Value, sequence: Option<i64>) -> Result<Record, Unreadable> {
        let content = content.to_string();
        let id = match kind {
            Kind::Toestemming => parse::<Toestemming>(&content)?.id,
            Kind::Intrekking => parse::<Intrekking>(&content)?.toestemming,
            Kind::Beoordeling => parse::<Beoordeling>(&content)?.id,
        };
        Ok(Record { kind, id, sequence, content })
    }
}

fn parse<'a, T: Deserialize<'a>>(content: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(content).map_err(|_| Unreadable)
}

impl Facts {
    /// What IRIS says and what is on record, in the order in which it came. What both know under one id counts as far
    /// as they agree. A withdrawal counts whichever way the consent came, and in whatever order.
    pub fn with(mut self, records: &[Record]) -> Result<Facts, Unreadable> {
        let mut withdrawals = Vec::new();
        for record in newest(records) {
            match record.kind {
                Kind::Toestemming => add(&mut self.toestemmingen, parse(&record.content)?),
                Kind::Beoordeling => add(&mut self.beoordelingen, parse(&record.content)?),
                Kind::Intrekking => withdrawals.push(parse::<Intrekking>(&record.content)?),
            }
        }
        for Intrekking { toestemming, ingetrokken_op: at } in withdrawals {
            for consent in self.toestemmingen.iter_mut().filter(|consent| consent.id == toestemming) {
                consent.ingetrokken_op = Some(consent.ingetrokken_op.map_or(at, |known| known.earlier(at)));
            }
        }
        Ok(self)
    }
}

/// Of each id the one that counts: the last that came, unless its sequence says that it is an older one.
fn newest(records: &[Record]) -> Vec<&Record> {
    let mut newest: Vec<&Record> = Vec::new();
    for record in records {
        match newest.iter_mut().find(|known| known.kind == record.kind && known.id == record.id) {
            Some(known) if record.sequence.zip(known.sequence).is_some_and(|(new, old)| new < old) => {}
            Some(known) => *known = record,
            None => newest.push(record),
        }
    }
    newest
}

/// Something that both IRIS and a message can state.
trait Statement: Sized {
    fn id(&self) -> &str;
    /// What both say; nothing where they contradict each other in what it is about.
    fn agreed(self, other: Self) -> Option<Self>;
}

fn add<T: Statement>(known: &mut Vec<T>, new: T) {
    match known.iter().position(|statement| statement.id() == new.id()) {
        Some(at) => {
            let agreed = known.swap_remove(at).agreed(new);
            known.extend(agreed);
        }
        None => known.push(new),
    }
}

impl Statement for Toestemming {
    fn id(&self) -> &str {
        &self.id
    }

    fn agreed(mut self, other: Toestemming) -> Option<Toestemming> {
        self.categorieen.retain(|category| other.categorieen.contains(category));
        self.ontvangers.retain(|recipient| other.ontvangers.contains(recipient));
        self.verleend_op = self.verleend_op.later(other.verleend_op);
        self.geldig_tot = both(self.geldig_tot, other.geldig_tot, Moment::first_end);
        self.ingetrokken_op = both(self.ingetrokken_op, other.ingetrokken_op, Moment::earlier);
        (self.vorm == other.vorm).then_some(self)
    }
}

impl Statement for Beoordeling {
    fn id(&self) -> &str {
        &self.id
    }

    fn agreed(mut self, other: Beoordeling) -> Option<Beoordeling> {
        self.categorieen.retain(|category| other.categorieen.contains(category));
        self.op = self.op.later(other.op);
        self.geldig_tot = both(self.geldig_tot, other.geldig_tot, Moment::first_end);
        let sources = self.betreft_bron.as_ref().zip(other.betreft_bron.as_ref());
        let agree = self.soort == other.soort
            && self.betreft == other.betreft
            && sources.is_none_or(|(one, other)| one == other);
        self.indicatiesteller = self.indicatiesteller.filter(|role| other.indicatiesteller.as_ref() == Some(role));
        self.betreft_bron = self.betreft_bron.or(other.betreft_bron);
        agree.then_some(self)
    }
}

fn both<T>(one: Option<T>, other: Option<T>, choose: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(choose(one, other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
