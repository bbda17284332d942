//! Which data of a person went to whom on which ground, for that person to read. Made of what receipts say; no IO,
//! and no personal data: nobody can tell from it whom it is about.

mod page;

use crate::catalogue::Catalogue;
use crate::category::Category;
use crate::core::Pipeline;
use crate::directory::Directory;
use crate::ledger::Disclosed;
use crate::party::{PartyId, Role};
use crate::receipt::Shared;
use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use std::fmt::Write;
use uuid::Uuid;

/// A public contract, as `ketenpoort ledger subject --json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    pub since: Date,
    pub until: Date,
    pub disclosures: Vec<Disclosure>,
}

#[derive(Debug, Serialize)]
pub struct Disclosure {
    pub at: Timestamp,
    /// `false`: an attempt of which nothing was heard may have reached the recipient.
    pub certain: bool,
    /// Found under another number than was asked for; see [`crate::ledger::Disclosed`].
    pub linked: bool,
    pub r#type: Option<String>,
    pub title: String,
    /// Whose data it was.
    pub from: Named,
    /// Who asked for it, where somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<Named>,
    pub to: Named,
    pub role: Role,
    pub shared: Vec<Shared>,
    pub delivery: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Uuid>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Named {
    pub party: PartyId,
    pub name: String,
}

impl Report {
    pub fn new(disclosed: Vec<Disclosed>, since: Date, until: Date, pipeline: &Pipeline) -> Report {
        let (catalogue, directory) = (&pipeline.catalogue, &pipeline.directory);
        let disclosures = disclosed.into_iter().map(|one| disclosure(one, catalogue, directory)).collect();
        Report { since, until, disclosures }
    }

    /// For the person himself: one page to print, in Dutch.
    pub fn page(&self) -> String {
        page::of(self)
    }

    /// For whoever looks into it.
    pub fn text(&self) -> String {
        let Report { since, until, disclosures } = self;
        let mut out = format!("{} disclosures from {since} to {until}\n", disclosures.len());
        for one in disclosures {
            let certain = if one.certain { "delivered" } else { "may have been delivered" };
            let _ = writeln!(out, "\n{} {certain}, delivery {}", one.at, one.delivery);
            let _ = writeln!(out, "  to    {} ({}) as {}", one.to.name, one.to.party, one.role);
            let _ = writeln!(out, "  from  {} ({})", one.from.name, one.from.party);
            if let Some(by) = &one.asked_by {
                let _ = writeln!(out, "  asked {} ({})", by.name, by.party);
            }
            let _ = writeln!(out, "  type  {} ({})", one.title, one.r#type.as_deref().unwrap_or("unknown"));
            for Shared { category, policy, legal_basis, status } in &one.shared {
                let _ = writeln!(out, "  + {:<18} {policy} ({legal_basis}; {status})", category.as_str());
            }
            if one.linked {
                out.push_str("  ! found under the other number that a message had beside the one asked for\n");
            }
        }
        out
    }
}

fn disclosure(one: Disclosed, catalogue: &Catalogue, directory: &Directory) -> Disclosure {
    let kind = one.kind.as_deref().and_then(|kind| catalogue.get(kind));
    let sender = named(one.sender, directory);
    // What answers a request was the probation service's.
    let is_answer = kind.is_some_and(|kind| kind.answer.is_some());
    let (from, asked_by) = if is_answer { (probation_service(directory), Some(sender)) } else { (sender, None) };
    Disclosure {
        at: one.at,
        certain: one.certain,
        linked: one.linked,
        title: kind.map_or_else(|| one.kind.clone().unwrap_or_default(), |kind| kind.title.clone()),
        r#type: one.kind,
        from,
        asked_by,
        to: named(one.recipient, directory),
        role: one.role,
        shared: one.decision.shared,
        delivery: one.delivery.0,
        receipt: one.receipt_id,
    }
}

/// A party that left the directory keeps its id.
fn named(party: PartyId, directory: &Directory) -> Named {
    let name = directory.by_id(&party).map_or_else(|| party.to_string(), |known| known.name.clone());
    Named { party, name }
}

fn probation_service(directory: &Directory) -> Named {
    let role = Role::new("reclassering");
    let party = directory.parties().find(|party| party.roles.contains(&role)).map(|party| party.id.clone());
    named(party.unwrap_or_else(|| PartyId::new("reclassering")), directory)
}

/// As the person himself would say it.
pub(crate) fn in_words(category: Category) -> &'static str {
    match category {
        Category::Identificatie => "naam, geboortedatum en geslacht",
        Category::Persoonsnummers => "persoonsnummers, zoals het burgerservicenummer (BSN)",
        Category::Adres => "adres",
        Category::Detentie => "detentie: de inrichting, het begin, het einde en verlof",
        Category::Titel => "parketnummer en strafbaar feit",
        Category::Vonnis => "vonnis en voorwaarden",
        Category::JustitieelKader => "toezicht of advies van de reclassering, en wie daar contactpersoon is",
        Category::Basisvoorwaarden => "identiteitsbewijs, werk en inkomen, wonen, schulden en zorg thuis",
        Category::RisicoOnrust => "inschatting van het risico op onrust in de omgeving",
        Category::RisicoVeiligheid => "inschatting van het risico voor de veiligheid van anderen",
        Category::Risicoanalyse => "risicoanalyse: de kans op herhaling en wat daartegen beschermt",
        Category::Zorg => "zorg: welke zorg nodig is en wie die geeft",
        Category::Kind => "minderjarige kinderen die erbij betrokken zijn",
        Category::Netwerk => "mensen in de omgeving",
        Category::Slachtoffer => "slachtoffers",
        Category::Sociaal => "sociale kwalificatie",
        Category::VrijeTekst => "tekst die een medewerker zelf schreef",
    }
}

#[cfg(test)]
mod tests;
