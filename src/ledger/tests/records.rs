//! Records: kept with the message that brought them, found by either number of a person, and what waits is woken.

use super::*;
use crate::record::{Kind, Record};

fn record(kind: Kind, id: &str) -> Record {
    Record { kind, id: id.to_owned(), sequence: None, content: format!("{{\"id\":\"{id}\"}}") }
}

fn recorded(message_id: &str, subject: Subject, record: Record) -> NewMessage {
    let state = State::Final { outcome: Outcome::Delivered, reason: reason(Code::Recorded), receipt: receipt() };
    NewMessage { subject, record: Some(record), ..message(message_id, vec![delivery(state)]) }
}

fn consent(message_id: &str, subject: Subject, id: &str) -> NewMessage {
    recorded(message_id, subject, record(Kind::Toestemming, id))
}

async fn found(ledger: &Ledger, subject: Subject, consents: &[&str]) -> Vec<String> {
    let consents: Vec<String> = consents.iter().map(|id| (*id).to_owned()).collect();
    let records = ledger.records(subject, &consents).await.unwrap();
    records.into_iter().map(|record| format!("{} {}", record.kind.as_str(), record.id)).collect()
}

/// Waits for a judgement about somebody until long after the test.
fn undecided(id: &str, subject: Subject, outcome: Outcome) -> NewMessage {
    let waits = volatile(State::Waiting { outcome, reason: reason(Code::AssessmentNeeded), again_at: Some(later()) });
    NewMessage { subject, ..message(id, vec![waits]) }
}

#[tokio::test]
async fn a_person_is_found_by_either_number_and_a_withdrawal_by_its_consent_as_well() {
    let house = House::new().await;
    let ledger = &house.ledger;
    for (id, subject, record) in [
        ("1", person(Some(1), None), record(Kind::Toestemming, "a")),
        ("2", person(None, Some(2)), record(Kind::Beoordeling, "b")),
        ("3", person(None, Some(9)), record(Kind::Intrekking, "a")),
        ("4", person(Some(7), Some(8)), record(Kind::Toestemming, "c")),
    ] {
        accept(ledger, recorded(id, subject, record)).await;
    }
    let table: [(Subject, &[&str], &[&str]); 7] = [
        (person(Some(1), None), &[], &["toestemming a", "intrekking a"]),
        (person(Some(1), Some(2)), &[], &["toestemming a", "beoordeling b", "intrekking a"]),
        (person(None, Some(2)), &[], &["beoordeling b"]),
        (person(Some(3), Some(4)), &[], &[]),
        (person(Some(3), Some(4)), &["a"], &["intrekking a"]),
        (person(Some(7), None), &[], &["toestemming c"]),
        (person(None, None), &["b", "c"], &[]),
    ];
    for house in [&house, &house.killed().await] {
        for (subject, consents, expected) in table {
            assert_eq!(found(&house.ledger, subject, consents).await, expected, "{subject:?} {consents:?}");
        }
    }
}

#[tokio::test]
async fn the_same_message_twice_is_one_record() {
    let house = House::new().await;
    let subject = person(Some(1), None);
    let consent = consent("1", subject, "a");
    let first = accept(&house.ledger, consent.clone()).await;
    let again = house.ledger.accept(consent).await.unwrap();
    assert!(matches!(again, Accepted::Duplicate { receipts, .. } if receipts[0].key == first[0]));
    assert_eq!(found(&house.ledger, subject, &[]).await, ["toestemming a"]);
}

#[tokio::test]
async fn a_record_wakes_what_waits_about_its_person_and_nothing_else() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let (ours, other) = (person(Some(1), None), person(Some(2), Some(3)));
    let mut woken = Vec::new();
    woken.push(accept_one(ledger, undecided("bsn", ours, Outcome::AwaitingAssessment)).await);
    woken.push(accept_one(ledger, undecided("both", person(Some(1), Some(4)), Outcome::AwaitingAssessment)).await);
    woken.push(accept_one(ledger, undecided("facts", ours, Outcome::Retrying)).await);
    for (id, subject, outcome) in [
        ("held", ours, Outcome::Held),
        ("parked", ours, Outcome::Parked),
        ("other", other, Outcome::AwaitingAssessment),
    ] {
        accept(ledger, undecided(id, subject, outcome)).await;
    }
    assert_eq!(keys_due(ledger, at(1)).await, []);
    accept(ledger, recorded("record", ours, record(Kind::Beoordeling, "b"))).await;
    assert_eq!(keys_due(&house.killed().await.ledger, at(1)).await, woken, "that survives");
    assert_eq!(keys_due(ledger, at(1)).await, woken);
}

/// Somebody decided before the record was there, and tells only afterwards that it waits.
#[tokio::test]
async fn a_record_reaches_also_what_waits_for_its_recipient() {
    let house = House::new().await;
    let waits = NewMessage { subject: person(Some(1), None), ..message("a", vec![volatile(State::Ready(outgoing()))]) };
    let waits = accept_one(&house.ledger, waits).await;
    house.ledger.wait_for_recipient(waits, 0, reason(Code::RecipientBusy), false).await.unwrap();
    accept(&house.ledger, consent("b", person(Some(2), None), "c1")).await;
    assert_eq!(keys_due(&house.ledger, at(9)).await, []);
    accept(&house.ledger, consent("c", person(Some(1), None), "c2")).await;
    // A withdrawal must not lie until the recipient is back.
    assert_eq!(keys_due(&house.ledger, at(9)).await, [waits]);
    assert!(house.ledger.waiting_for().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_record_that_came_while_it_was_decided_is_not_missed() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let subject = person(Some(1), None);
    let mark = ledger.mark(subject).await;
    let held = accept_one(ledger, undecided("held", subject, Outcome::AwaitingAssessment)).await;
    assert_eq!(keys_due(ledger, later()).await, [held]);
    accept(ledger, recorded("record", subject, record(Kind::Beoordeling, "b"))).await;
    assert!(!ledger.is_current(&mark).await);

    let because = reason(Code::AssessmentNeeded);
    let wait = ledger.wait_since(held, Outcome::AwaitingAssessment, because, Some(later()), Some(mark.clone()));
    wait.await.unwrap();
    let late = NewMessage { mark: Some(mark), ..undecided("late", subject, Outcome::AwaitingAssessment) };
    let late = accept_one(ledger, late).await;
    let now = Timestamp::now();
    let mut due = keys_due(ledger, now).await;
    due.sort_unstable_by_key(|key| key.0);
    assert_eq!(due, [held, late]);

    let mark = ledger.mark(subject).await;
    assert!(ledger.is_current(&mark).await);
    let informed = NewMessage { mark: Some(mark), ..undecided("informed", subject, Outcome::AwaitingAssessment) };
    accept(ledger, informed).await;
    assert_eq!(keys_due(ledger, now).await, []);
}
