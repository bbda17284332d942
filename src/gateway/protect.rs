//! What a recipient wants signed or encrypted is so before it goes out. Encrypted once, before it is recorded: every
//! attempt has the same bytes, and the receipt tells the digest of those. Nothing leaves in here.

use super::outbox::{Event, Job};
use super::{Became, Gateway};
use crate::code::Code;
use crate::delivery::amqp::Publication;
use crate::directory::Protection;
use crate::envelope::digest_label;
use crate::jose::{self, detached, encrypted};
use crate::ledger::Outgoing;
use crate::outcome::{Outcome, Reason};
use crate::personal::Personal;
use crate::policy::Address;
use jiff::Timestamp;
use std::sync::Arc;
use uuid::Uuid;

/// What the event of a delivery is made of that is not in its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'a> {
    pub key: Uuid,
    /// The message that it came of.
    pub id: &'a str,
    pub received_at: Timestamp,
}

/// As the ledger keeps it, so that it is the same when it is sent again.
pub(super) fn event_time(received_at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(received_at.as_microsecond()).unwrap_or(received_at)
}

impl Gateway {
    /// As it is recorded and sent; or why it cannot be, and then nothing of it goes out.
    pub(super) fn protected(
        &self,
        outgoing: Outgoing,
        address: &Address,
        of: Of<'_>,
        now: Timestamp,
    ) -> Result<Outgoing, Reason> {
        let Some((protection, keys)) = address.protection().and_then(|p| Some((p, p.encrypt.as_ref()?))) else {
            return Ok(outgoing);
        };
        let no_key = || Reason::new(Code::NoRecipientKey, Code::NoRecipientKey.hint());
        let key = keys.encrypting(now).ok_or_else(no_key)?;
        let event = Event {
            id: of.key,
            kind: &outgoing.kind,
            content_type: jose::CONTENT_TYPE,
            correlation_id: Some(of.id),
            time: event_time(of.received_at),
        };
        let attributes = self.attributes(&event);
        let event = jose::Event { attributes: &attributes, content_type: jose::CONTENT_TYPE };
        let (content, content_type) = self.whole(&outgoing, protection, &event);
        let jwe = key.encrypt(&content, content_type, &event).map_err(|_| no_key())?.into_bytes();
        Ok(Outgoing {
            digest: digest_label(&jwe),
            body: Personal::new(jwe),
            content_type: jose::CONTENT_TYPE.to_owned(),
            kind: outgoing.kind,
        })
    }

    /// What is encrypted: signed before that, so that nobody else can check a guess of it by the signature.
    fn whole<'a>(
        &self,
        outgoing: &'a Outgoing,
        protection: &Protection,
        event: &jose::Event<'_>,
    ) -> (Personal<Vec<u8>>, &'a str) {
        if !protection.sign {
            return (outgoing.body.clone(), &outgoing.content_type);
        }
        let (data, content_type) = (outgoing.body.reveal_personal_data(), outgoing.content_type.as_str());
        let jws = detached::sign_whole(&self.signer, event, &protection.audience, data, content_type);
        (Personal::new(jws.into_bytes()), jose::CONTENT_TYPE)
    }

    /// With its signature, where it is not inside already.
    pub(super) fn signed(&self, mut publication: Publication, address: &Address) -> Publication {
        if let Some(protection) = address.protection().filter(|p| p.sign && p.encrypt.is_none()) {
            let event = jose::Event { attributes: &publication.attributes, content_type: &publication.content_type };
            let data = publication.body.reveal_personal_data();
            let jws = detached::sign(&self.signer, &event, &protection.audience, data);
            publication.attributes.push((jose::SIGNATURE, jws));
        }
        publication
    }

    /// Since it was recorded, the recipient began to want it encrypted, or no longer does; or its key is not to be used
    /// any more. As it may go out now, where it may.
    pub(super) async fn refit(self: &Arc<Self>, job: Job, address: &Address) -> Result<Job, Became> {
        let now = Timestamp::now();
        if job.outgoing.is_encrypted() {
            // What is in it only the recipient could tell. The message as it came in is there still.
            let reason = Reason::new(Code::ProtectionChanged, Code::ProtectionChanged.hint());
            let wait = || self.ledger.wait(job.delivery, Outcome::Retrying, reason.clone(), Some(now));
            let _ = self.until_recorded(wait).await;
            self.due.notify_one();
            return Err((Outcome::Retrying, Some(Code::ProtectionChanged)));
        }
        // The message that it was made from may be gone: it stays as it is recorded, and is encrypted on its way.
        let of = Of { key: job.key, id: &job.head.id, received_at: job.head.received_at };
        match self.protected(job.outgoing.clone(), address, of, now) {
            Ok(outgoing) => Ok(Job { outgoing, ..job }),
            Err(reason) => Err(self.park(job.delivery, reason).await),
        }
    }
}

/// Is it encrypted where it must be, to a key that is valid now, and only there?
pub(super) fn is_fit(outgoing: &Outgoing, address: &Address) -> bool {
    let kid = || encrypted::kid_of(outgoing.body.reveal_personal_data());
    match address.protection().and_then(|p| p.encrypt.as_deref()) {
        None => !outgoing.is_encrypted(),
        Some(keys) => outgoing.is_encrypted() && kid().is_some_and(|kid| keys.may_encrypt(&kid, Timestamp::now())),
    }
}
