//! Policy: who may have which category of this message, on which ground. Default deny; a forbid beats every
//! permit; an error is a deny. Only this stage grants, and only it makes an address, out of the directory.

pub mod asked;
pub mod cases;
mod context;
pub mod coverage;
mod decide;
mod engine;
pub mod formula;
mod hold;
mod recipients;
mod routing;
pub(crate) mod truth;

pub use context::{Bron, Message, Question, Verzoek};
pub(crate) use decide::awaited;
pub use decide::{Decided, Decision, Verdict, decide, needs_facts};
pub use engine::{Engine, PolicyRef, Rule, Sheet, same_or_part};
pub use truth::resources;

use crate::category::{Category, CategorySet};
use crate::directory::{Directory, Endpoint, Protection};
use crate::party::{PartyId, Role};
use std::sync::Arc;

/// What a recipient may have. Minimisation keeps nothing beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    categories: CategorySet,
    bsn: bool,
}

impl Grant {
    #[cfg(test)]
    pub(crate) fn of(categories: CategorySet, bsn: bool) -> Grant {
        Grant { categories, bsn }
    }
    pub fn permits(&self, category: Category) -> bool {
        self.categories.contains(category)
    }
    pub fn permits_bsn(&self) -> bool {
        self.bsn
    }
    pub fn categories(&self) -> CategorySet {
        self.categories
    }
}

/// Where a recipient takes its messages. Nothing in a message can make one.
#[derive(Clone, Debug)]
pub struct Address {
    party: PartyId,
    endpoint: Endpoint,
    protection: Option<Arc<Protection>>,
}

impl Address {
    pub fn party(&self) -> &PartyId {
        &self.party
    }
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
    /// What is to be done to whatever goes there.
    pub fn protection(&self) -> Option<&Protection> {
        self.protection.as_deref()
    }
}

/// The address of a party in a role, if the directory has one. A recorded decision is delivered to whatever
/// address its recipient has now.
pub fn address(directory: &Directory, party: &PartyId, role: &Role) -> Option<Address> {
    let party = directory.by_id(party).filter(|party| party.roles.contains(role))?;
    let endpoint = party.endpoint_for(role)?;
    let protection = party.protection_for(role).cloned();
    Some(Address { party: party.id.clone(), endpoint: endpoint.clone(), protection })
}

#[cfg(test)]
pub(crate) mod tests;
