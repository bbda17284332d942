//! Who the recipients of a message are. The message names them at most by a code or an OIN; everything else
//! about them comes from the partner directory.

use super::context::Ontvanger;
use super::routing::Routed;
use crate::catalogue::definition::When;
use crate::catalogue::{RecipientRule, Who};
use crate::directory::{Directory, Party};
use crate::party::{Oin, PartyId, Role};
use crate::translation::rules::at;
use crate::validation::Valid;
use serde_json::Value;
use std::sync::Arc;

/// Of whom nothing tells in which role it could be a recipient, or that it is one.
const UNKNOWN: &str = "onbepaald";

/// A recipient as found, before any decision.
#[derive(Debug)]
pub struct Recipient {
    pub id: PartyId,
    pub role: Role,
    /// Absent for one that is not connected.
    pub party: Option<Arc<Party>>,
    pub about: Ontvanger,
    pub when: Option<When>,
    /// What may be shared with it depends on what IRIS knows of the person.
    pub needs_facts: bool,
}

pub fn find(valid: &Valid, directory: &Directory) -> Vec<Recipient> {
    let mut found: Vec<Recipient> = Vec::new();
    let rules = &valid.kind.recipients;
    for rule in rules {
        for (id, party) in parties(rule, valid, directory) {
            match found.iter_mut().find(|known| known.id == id && known.role == rule.role) {
                Some(known) => rule.given.iter().for_each(|&given| known.about.give(given)),
                None => found.push(recipient(id, party, rule, directory)),
            }
        }
    }
    let named = rules.iter().filter_map(|rule| match &rule.who {
        Who::Oin(pointer) => valid.text(pointer),
        _ => None,
    });
    for (id, party) in named.map(|oin| by_oin(oin, directory)) {
        if !found.iter().any(|known| known.id == id) {
            found.push(unknown(id, party));
        }
    }
    found
}

/// The one that a route leads to; nobody, as long as it leads nowhere.
pub fn routed(routed: &Routed<'_>, directory: &Directory) -> Recipient {
    let found = routed.to.and_then(|rule| match &rule.who {
        Who::Party(id) => Some((rule, in_role(id, rule, directory))),
        _ => None,
    });
    let found = found.map(|(rule, (id, party))| recipient(id, party, rule, directory));
    let nobody = || unknown(PartyId::new(UNKNOWN), None);
    Recipient { when: None, needs_facts: routed.needs_facts(), ..found.unwrap_or_else(nobody) }
}

/// Whom a message that is routed is for, as long as nobody knows who that is.
pub fn whoever() -> (PartyId, Role) {
    (PartyId::new(UNKNOWN), Role::new(UNKNOWN))
}

fn unknown(id: PartyId, party: Option<Arc<Party>>) -> Recipient {
    let about = Ontvanger::default();
    Recipient { id, role: Role::new(UNKNOWN), party, about, when: None, needs_facts: false }
}

fn recipient(id: PartyId, party: Option<Arc<Party>>, rule: &RecipientRule, directory: &Directory) -> Recipient {
    let mut about = Ontvanger {
        bsn_gerechtigd: directory.role_may_have_bsn(&rule.role),
        wgs_soort: party.as_ref().and_then(|p| p.wgs.clone()).unwrap_or_default(),
        ..Ontvanger::default()
    };
    rule.given.iter().for_each(|&given| about.give(given));
    let (role, needs_facts) = (rule.role.clone(), rule.needs_facts());
    Recipient { id, role, party, about, when: rule.when, needs_facts }
}

type Found = (PartyId, Option<Arc<Party>>);

fn parties(rule: &RecipientRule, valid: &Valid, directory: &Directory) -> Vec<Found> {
    let known = |party: &Arc<Party>| (party.id.clone(), Some(party.clone()));
    match &rule.who {
        Who::Sender => vec![known(&valid.envelope.sender)],
        Who::Party(id) => vec![in_role(id, rule, directory)],
        Who::Oin(pointer) => {
            let named = valid.text(pointer).map(|oin| by_oin(oin, directory));
            let in_role = |(_, party): &Found| party.as_ref().is_some_and(|party| party.roles.contains(&rule.role));
            named.filter(in_role).into_iter().collect()
        }
        Who::Gemeente(pointer) => valid.text(pointer).map_or(Vec::new(), |code| {
            let party = directory.gemeente(code, &rule.role).cloned();
            vec![(PartyId::new(format!("gemeente:{code}")), party)]
        }),
        Who::Each { list, oin } => {
            let items = valid.at(list).and_then(Value::as_array);
            let oins = items.into_iter().flatten().filter_map(|item| at(item, oin)?.as_str());
            oins.map(|text| {
                let (id, party) = by_oin(text, directory);
                (id, party.filter(|party| party.roles.contains(&rule.role)))
            })
            .collect()
        }
    }
}

fn in_role(id: &str, rule: &RecipientRule, directory: &Directory) -> Found {
    let id = PartyId::new(id);
    let party = directory.by_id(&id).filter(|party| party.roles.contains(&rule.role)).cloned();
    (id, party)
}

fn by_oin(text: &str, directory: &Directory) -> Found {
    let party = Oin::parse(text).and_then(|oin| directory.by_oin(&oin));
    let id = party.map_or_else(|| PartyId::new(format!("oin:{text}")), |party| party.id.clone());
    (id, party.cloned())
}
