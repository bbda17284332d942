//! Who the recipients of a message are. The message names them at most by a code or an OIN; everything else
//! about them comes from the partner directory.

use super::context::Ontvanger;
use crate::catalogue::definition::When;
use crate::catalogue::{RecipientRule, Who};
use crate::directory::{Directory, Party};
use crate::party::{Oin, PartyId, Role};
use crate::translation::rules::at;
use crate::validation::Valid;
use serde_json::Value;
use std::sync::Arc;

/// A recipient as found, before any decision.
#[derive(Debug)]
pub struct Recipient {
    pub id: PartyId,
    pub role: Role,
    /// Absent for one that is not connected.
    pub party: Option<Arc<Party>>,
    pub about: Ontvanger,
    pub when: Option<When>,
}

pub fn find(valid: &Valid, directory: &Directory) -> Vec<Recipient> {
    let mut found: Vec<Recipient> = Vec::new();
    for rule in &valid.kind.recipients {
        for (id, party) in parties(rule, valid, directory) {
            match found.iter_mut().find(|known| known.id == id && known.role == rule.role) {
                Some(known) => rule.given.iter().for_each(|&given| known.about.give(given)),
                None => found.push(recipient(id, party, rule, directory)),
            }
        }
    }
    found
}

fn recipient(id: PartyId, party: Option<Arc<Party>>, rule: &RecipientRule, directory: &Directory) -> Recipient {
    let mut about = Ontvanger {
        bsn_gerechtigd: directory.role_may_have_bsn(&rule.role),
        wgs_soort: party.as_ref().and_then(|p| p.wgs.clone()).unwrap_or_default(),
        ..Ontvanger::default()
    };
    rule.given.iter().for_each(|&given| about.give(given));
    Recipient { id, role: rule.role.clone(), party, about, when: rule.when }
}

type Found = (PartyId, Option<Arc<Party>>);

fn parties(rule: &RecipientRule, valid: &Valid, directory: &Directory) -> Vec<Found> {
    let known = |party: &Arc<Party>| (party.id.clone(), Some(party.clone()));
    match &rule.who {
        Who::Sender => vec![known(&valid.envelope.sender)],
        Who::Party(id) => {
            let id = PartyId::new(id.as_str());
            let party = directory.by_id(&id).filter(|p| p.roles.contains(&rule.role)).cloned();
            vec![(id, party)]
        }
        Who::Gemeente(pointer) => valid.text(pointer).map_or(Vec::new(), |code| {
            let party = directory.gemeente(code, &rule.role).cloned();
            vec![(PartyId::new(format!("gemeente:{code}")), party)]
        }),
        Who::Each { list, oin } => {
            let items = valid.at(list).and_then(Value::as_array);
            let oins = items.into_iter().flatten().filter_map(|item| at(item, oin)?.as_str());
            oins.map(|text| {
                let party = Oin::parse(text).and_then(|oin| directory.by_oin(&oin));
                let in_role = |party: &Arc<Party>| party.roles.contains(&rule.role).then(|| party.clone());
                let id = party.map_or_else(|| PartyId::new(format!("oin:{text}")), |party| party.id.clone());
                (id, party.and_then(in_role))
            })
            .collect()
        }
    }
}
