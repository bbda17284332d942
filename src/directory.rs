//! The partner directory: who takes part, how a party proves who it is, in which roles it acts, and where it
//! takes its messages. The only source of addresses.

mod load;
mod subject;

pub use subject::is_one as is_certificate;

use crate::jose::keys::Keys;
use crate::party::{Oin, PartyId, Role};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Kinds of participant of a zorg- en veiligheidshuis, the closed list of the WGS.
pub const WGS_KINDS: [&str; 13] = [
    "rvdk",
    "dji",
    "politie",
    "om",
    "burgemeester",
    "college-b-en-w",
    "ggd",
    "reclassering",
    "veilig-thuis",
    "gecertificeerde-instelling",
    "ggz",
    "vg-ggz",
    "maatschappelijke-dienstverlening",
];

#[derive(Debug)]
pub struct Directory {
    parties: BTreeMap<PartyId, Arc<Party>>,
    by_user: HashMap<String, PartyId>,
    by_oin: HashMap<Oin, PartyId>,
    by_gemeente: HashMap<String, Vec<PartyId>>,
    roles: BTreeMap<Role, RoleEntry>,
    version: String,
}

/// What holds for everyone in a role.
#[derive(Clone, Debug)]
pub struct RoleEntry {
    /// May hold a BSN by law.
    pub bsn: bool,
    pub ground: String,
    pub status: String,
}

#[derive(Debug)]
pub struct Party {
    pub id: PartyId,
    pub name: String,
    pub oin: Oin,
    /// Broker users that prove this party.
    pub users: Vec<String>,
    pub roles: Vec<Role>,
    pub gemeentecode: Option<String>,
    /// Which kind of WGS participant it is; absent where it is none.
    pub wgs: Option<String>,
    pub inbound: String,
    pub receipts: String,
    /// Where it can sign what it sends.
    pub signs: Option<Signs>,
    endpoints: Vec<Outlet>,
    formats: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Amqp {
        queue: String,
    },
    Webhook {
        url: String,
        structured: bool,
        /// The OIN that its certificate must hold.
        holder: Option<Oin>,
    },
}

/// With which keys a party signs, and whether it must. What is signed must be right in any case.
#[derive(Debug)]
pub struct Signs {
    pub keys: Arc<Keys>,
    pub required: bool,
}

/// Where and how a party takes what is for some of its roles; for all of them where there is none.
#[derive(Debug)]
struct Outlet {
    roles: Vec<Role>,
    endpoint: Endpoint,
    protection: Option<Arc<Protection>>,
}

/// What is done to a message before it goes out, so that its receiver need not trust whoever carries it.
#[derive(Debug)]
pub struct Protection {
    pub sign: bool,
    /// To one of these keys.
    pub encrypt: Option<Arc<Keys>>,
    /// Whom a signature is for.
    pub audience: String,
}

impl Party {
    /// The endpoint for a role: one that names the role wins over one for all roles.
    pub fn endpoint_for(&self, role: &Role) -> Option<&Endpoint> {
        self.outlet_for(role).map(|outlet| &outlet.endpoint)
    }

    /// What that endpoint asks for.
    pub fn protection_for(&self, role: &Role) -> Option<&Arc<Protection>> {
        self.outlet_for(role)?.protection.as_ref()
    }

    fn outlet_for(&self, role: &Role) -> Option<&Outlet> {
        let named = self.endpoints.iter().find(|outlet| outlet.roles.contains(role));
        named.or_else(|| self.endpoints.iter().find(|outlet| outlet.roles.is_empty()))
    }

    /// Every queue that has to do with it.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        [self.inbound.as_str(), self.receipts.as_str()].into_iter().chain(self.outbound())
    }

    /// The queues that it reads its messages from.
    pub fn outbound(&self) -> impl Iterator<Item = &str> {
        self.endpoints.iter().filter_map(|outlet| match &outlet.endpoint {
            Endpoint::Amqp { queue } => Some(queue.as_str()),
            Endpoint::Webhook { .. } => None,
        })
    }

    pub fn formats(&self) -> impl Iterator<Item = (&str, &str)> {
        self.formats.iter().map(|(kind, format)| (kind.as_str(), format.as_str()))
    }

    /// The name of the outbound mapping that this party wants for a type.
    pub fn format_for(&self, kind: &str) -> &str {
        self.formats.get(kind).map_or("json", String::as_str)
    }
}

impl Directory {
    pub fn by_id(&self, id: &PartyId) -> Option<&Arc<Party>> {
        self.parties.get(id)
    }
    /// By its name; or, of a party that comes with a certificate, by the OIN in a subject that is not listed, as when a
    /// new certificate names it otherwise.
    pub fn by_user(&self, user: &str) -> Option<&Arc<Party>> {
        if let Some(id) = self.by_user.get(user) {
            return self.parties.get(id);
        }
        let party = self.by_oin(&subject::oin(user)?)?;
        party.users.iter().any(|known| subject::is_one(known)).then_some(party)
    }
    pub fn by_oin(&self, oin: &Oin) -> Option<&Arc<Party>> {
        self.by_oin.get(oin).and_then(|id| self.parties.get(id))
    }
    /// The party that acts in a role for a municipality.
    pub fn gemeente(&self, code: &str, role: &Role) -> Option<&Arc<Party>> {
        let candidates = self.by_gemeente.get(code)?;
        candidates.iter().filter_map(|id| self.parties.get(id)).find(|party| party.roles.contains(role))
    }
    pub fn knows_role(&self, role: &Role) -> bool {
        self.roles.contains_key(role)
    }
    pub fn role_may_have_bsn(&self, role: &Role) -> bool {
        self.roles.get(role).is_some_and(|entry| entry.bsn)
    }
    pub fn parties(&self) -> impl Iterator<Item = &Arc<Party>> {
        self.parties.values()
    }
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The inbound queue of every party that can send: those with a broker user.
    pub fn inbound(&self) -> impl Iterator<Item = (&PartyId, &str)> {
        self.parties().filter(|p| !p.users.is_empty()).map(|p| (&p.id, p.inbound.as_str()))
    }

    /// Every queue that the gateway reads from or writes to.
    pub fn queues(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for party in self.parties() {
            if !party.users.is_empty() {
                all.push(party.inbound.clone());
                all.push(party.receipts.clone());
            }
            all.extend(party.outbound().map(str::to_owned));
        }
        all.sort();
        all.dedup();
        all
    }
}
