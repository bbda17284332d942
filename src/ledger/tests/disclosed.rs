//! What the ledger says of a person's data: to whom it went, and to whom it may have gone.

use super::*;
use crate::category::Category;
use crate::receipt::keys::Signer;
use crate::receipt::{Receipt, Shared};

fn shared(category: Category) -> Decision {
    let (policy, status) = ("18b-met-kader".to_owned(), "bevestigd".to_owned());
    let shared = Shared { category, policy, legal_basis: "Pbw art. 18b".to_owned(), status };
    Decision { shared: vec![shared], ..Decision::default() }
}

/// As the gateway makes them: the ledger reads back what they say.
fn signed(outcome: Outcome, decision: Decision) -> SignedReceipt {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    Signer::generate(&key).unwrap();
    Signer::read(&key).unwrap().sign(&Receipt {
        id: Uuid::new_v4(),
        issuer: "urn:nld:oin:00000099000900000003:systeem:ketenpoort".to_owned(),
        message: message("1", Vec::new()).message_ref,
        outcome,
        reason: None,
        recipient: None,
        decision,
        forwarded_digest: None,
        policy_version: "p1".to_owned(),
        mapping_version: "m1".to_owned(),
        time: at(0),
        trace_id: None,
    })
}

fn about(id: &str, subject: Subject, category: Category) -> NewMessage {
    let sent = NewDelivery { decision: shared(category), ..volatile(State::Ready(outgoing())) };
    NewMessage { subject, ..message(id, vec![sent]) }
}

async fn delivered(ledger: &Ledger, id: &str, subject: Subject, category: Category, seconds: i64) {
    let key = accept_one(ledger, about(id, subject, category)).await;
    ledger.delivered(key, signed(Outcome::Delivered, shared(category)), at(seconds)).await.unwrap();
}

/// Of each: which data, whether it is certain, and whether it was found in a roundabout way.
async fn found(ledger: &Ledger, subject: Subject, since: Timestamp) -> Vec<(&'static str, bool, bool)> {
    let disclosed = ledger.disclosed(subject, since).await.unwrap();
    disclosed.iter().map(|one| (one.decision.shared[0].category.as_str(), one.certain, one.linked)).collect()
}

#[tokio::test]
async fn what_arrived_and_what_may_have_arrived_and_nothing_else() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let subject = person(Some(1), None);
    delivered(ledger, "delivered", subject, Category::Adres, 1).await;

    let unheard = accept_one(ledger, about("unheard", subject, Category::Zorg)).await;
    ledger.retry(unheard, 1, later(), reason(Code::DeliveryFailed)).await.unwrap();
    let parked = accept_one(ledger, about("parked", subject, Category::Kind)).await;
    ledger.wait(parked, Outcome::Parked, reason(Code::AttemptsExhausted), None).await.unwrap();
    let untaken = accept_one(ledger, about("refused by the recipient", subject, Category::Titel)).await;
    ledger.retry_tried(untaken, 1, later(), reason(Code::DeliveryFailed), false).await.unwrap();
    let ended = accept_one(ledger, about("given up", subject, Category::Vonnis)).await;
    let receipt = signed(Outcome::Refused, shared(Category::Vonnis));
    ledger.finish(ended, Outcome::Refused, reason(Code::NoGround), receipt, later()).await.unwrap();
    accept(ledger, NewMessage { subject, ..message("refused by policy", vec![refused()]) }).await;
    accept(ledger, NewMessage { subject, ..message("waits", vec![waiting(Outcome::Held, None)]) }).await;
    delivered(ledger, "somebody else", person(Some(2), Some(3)), Category::Detentie, 1).await;

    let mut all = found(ledger, subject, at(0)).await;
    all.sort_unstable();
    let expected = [("adres", true, false), ("kind", false, false), ("vonnis", false, false), ("zorg", false, false)];
    assert_eq!(all, expected);
    assert_eq!(found(ledger, subject, at(2)).await.len(), 3, "not from before the period");
    assert_eq!(found(ledger, Subject::default(), at(0)).await, []);
}

#[tokio::test]
async fn a_message_with_both_numbers_leads_to_those_with_the_other_but_no_further() {
    let house = House::new().await;
    let ledger = &house.ledger;
    delivered(ledger, "bsn", person(Some(1), None), Category::Adres, 1).await;
    delivered(ledger, "both", person(Some(1), Some(2)), Category::Zorg, 2).await;
    delivered(ledger, "skn", person(None, Some(2)), Category::Detentie, 3).await;
    // Somebody's number is wrong in here.
    delivered(ledger, "mixed", person(Some(5), Some(2)), Category::Titel, 4).await;
    delivered(ledger, "third", person(Some(5), None), Category::Kind, 5).await;
    let table = [
        (person(Some(1), None), vec![("adres", false), ("zorg", false), ("detentie", true), ("titel", true)]),
        (
            person(None, Some(2)),
            vec![("adres", true), ("zorg", false), ("detentie", false), ("titel", false), ("kind", true)],
        ),
    ];
    for (subject, expected) in table {
        let found = found(ledger, subject, at(0)).await;
        let found: Vec<_> = found.into_iter().map(|(category, _, linked)| (category, linked)).collect();
        assert_eq!(found, expected, "{subject:?}");
    }
}

#[tokio::test]
async fn that_somebody_looked_is_kept() {
    let house = House::new().await;
    house.ledger.note(person(Some(1), None), "h.visser", "subject", "inzageverzoek 2026-114").await.unwrap();
    let found = "SELECT count(*) FROM action WHERE who = 'h.visser' AND what = 'subject' AND delivery IS NULL \
                 AND why = 'inzageverzoek 2026-114' AND length(subject_bsn) = 16 AND subject_skn IS NULL";
    assert_eq!(count(&house.killed().await.ledger, found).await, 1);
}
