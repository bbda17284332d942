//! The three uses: what goes in, what each recipient gets of it, and what the sender is told.

mod forensic_care;
mod notifications;
mod order;
mod records;
mod repetition;
mod requests;

use crate::messages::trace_id;
use crate::scene::{Arrival, Scene};
use ketenpoort::demo::partner::Event;
use ketenpoort::envelope::digest_label;
use ketenpoort::outcome::Outcome;
use ketenpoort::receipt::Receipt;
use std::sync::Arc;

const ISSUER: &str = "urn:nld:oin:00000099000900000003:systeem:ketenpoort";

/// What holds for everything that is delivered, whatever it is: the event around it, and the receipt for it.
async fn delivered(scene: &Scene, from: &str, event: &Event, recipient: &str, kind: &str) -> (Arc<Arrival>, Receipt) {
    let (arrival, receipt) =
        tokio::join!(scene.arrival(recipient, &event.id), scene.receipt(from, &event.id, recipient));
    let attribute = |name: &str| arrival.attributes.get(name).map(String::as_str);
    assert_eq!(attribute("specversion"), Some("1.0"));
    assert_eq!(attribute("type"), Some(kind));
    assert_eq!(attribute("source"), Some(ISSUER));
    assert_eq!(attribute("id"), Some(arrival.key.as_str()), "the idempotency key is the event's id");
    let mut names: Vec<_> = arrival.attributes.keys().map(String::as_str).collect();
    names.retain(|name| *name != "datacontenttype");
    assert_eq!(names, ["correlationid", "id", "source", "specversion", "time", "type"]);

    assert_eq!((receipt.outcome, &receipt.reason), (Outcome::Delivered, &None), "{recipient}");
    assert_eq!(receipt.forwarded_digest, Some(digest_label(&arrival.body)), "what went out is what arrived");
    about(scene, from, event, &receipt);
    (arrival, receipt)
}

/// What every receipt says of the message, and of what decided on it.
fn about(scene: &Scene, from: &str, event: &Event, receipt: &Receipt) {
    let message = &receipt.message;
    assert_eq!(message.r#type.as_deref(), Some(event.kind.as_str()));
    assert_eq!(message.source.as_deref(), Some(scene.partner(from).access.source.as_str()));
    assert_eq!(message.id.as_deref(), Some(event.id.as_str()));
    assert_eq!(message.digest, digest_label(event.data.reveal_personal_data()));
    assert_eq!(receipt.issuer, ISSUER);
    assert_eq!(receipt.trace_id.as_deref(), Some(trace_id(event)));
    let versions = (receipt.policy_version.clone(), receipt.mapping_version.clone());
    assert_eq!(versions, scene.versions);
}

/// As in `detentie: re-integratie-melding, Pbw art. 18a (te bevestigen)`.
fn shared(receipt: &Receipt) -> Vec<String> {
    let line =
        |s: &ketenpoort::receipt::Shared| format!("{}: {}, {} ({})", s.category, s.policy, s.legal_basis, s.status);
    receipt.decision.shared.iter().map(line).collect()
}

fn withheld(receipt: &Receipt) -> Vec<String> {
    receipt.decision.withheld.iter().map(|w| format!("{}: {}", w.category, w.reason)).collect()
}

/// The same ground for each category.
fn all_on(categories: &[&str], ground: &str) -> Vec<String> {
    categories.iter().map(|category| format!("{category}: {ground}")).collect()
}
