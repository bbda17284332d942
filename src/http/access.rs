//! Access: what is told to whom, where partners come with a certificate. The OIN in it says who they are.

use crate::party::{Oin, PartyId};
use crate::receipt::SignedReceipt;
use crate::tls::Peer;
use std::fmt;

type PartyOf = dyn Fn(&Oin) -> Option<PartyId> + Send + Sync;

pub struct Access {
    /// Of the gateway's owner.
    own: Option<Oin>,
    /// As the partner directory has it now.
    party_of: Box<PartyOf>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Access {
    /// `issuer` is the gateway's own `source`.
    pub fn new(issuer: &str, party_of: impl Fn(&Oin) -> Option<PartyId> + Send + Sync + 'static) -> Access {
        Access { own: Oin::of_source(issuer), party_of: Box::new(party_of) }
    }

    pub(super) fn is_own(&self, peer: Option<&Peer>) -> bool {
        self.own.is_some() && oin(peer) == self.own.as_ref()
    }

    /// The sender whom the receipt names, and its recipient.
    pub(super) fn is_concerned(&self, peer: Option<&Peer>, receipt: &SignedReceipt) -> bool {
        let (Some(oin), Some(receipt)) = (oin(peer), receipt.content()) else { return false };
        let sender = receipt.message.source.as_deref().and_then(Oin::of_source);
        let is_recipient = || {
            let party = (self.party_of)(oin);
            party.is_some() && receipt.recipient.map(|recipient| recipient.party) == party
        };
        sender.as_ref() == Some(oin) || is_recipient()
    }
}

fn oin(peer: Option<&Peer>) -> Option<&Oin> {
    peer?.oin.as_ref()
}
