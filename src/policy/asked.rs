//! A question in words: what a case in a file and another system ask alike. What it says is taken as it is.

use super::context::{Bron, Dossier, Message, Ontvanger, Question, Verzoek};
use crate::catalogue::definition::Given;
use crate::facts::Facts;
use crate::party::{PartyId, Role};
use crate::record::{self, Record};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// What came by message, in that order: each `toestemming`, `intrekking` or `beoordeling`.
pub type Records = Vec<HashMap<record::Kind, Value>>;

#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub message: &'a str,
    pub from: &'a str,
    pub source: Bron,
    pub to: To<'a>,
    pub request: &'a Verzoek,
    pub about: Message<'a>,
    pub conditions: &'a [String],
    pub now: Timestamp,
    pub facts: &'a Facts,
    pub records: &'a Records,
}

#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    pub role: &'a str,
    pub party: &'a str,
    pub given: &'a [Given],
    pub wgs: &'a str,
    pub bsn: bool,
}

impl Asked<'_> {
    pub fn question(&self) -> Result<Question, String> {
        let Asked { to, request, .. } = self;
        let mut ontvanger = Ontvanger { bsn_gerechtigd: to.bsn, wgs_soort: to.wgs.to_owned(), ..Ontvanger::default() };
        to.given.iter().for_each(|&given| ontvanger.give(given));
        Ok(Question {
            role: Role::new(to.role),
            bericht: Arc::from(self.message),
            afzender: Role::new(self.from),
            bron: self.source,
            ontvanger,
            verzoek: (*request).clone(),
            feiten: self.conditions.iter().map(|c| Arc::from(c.as_str())).collect(),
            dossier: Dossier::at(self.now, &self.facts()?, &PartyId::new(to.party), self.about, &request.doel),
        })
    }

    fn facts(&self) -> Result<Facts, String> {
        let records = self.records.iter().flatten().map(|(kind, content)| Record::read(*kind, content, None));
        let records = records.collect::<Result<Vec<_>, _>>().map_err(|_| "a record that is none".to_owned())?;
        self.facts.clone().with(&records).map_err(|error| error.to_string())
    }
}
