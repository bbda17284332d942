//! What the console looks up.

use super::*;
use crate::ledger::{Seen, Sought};

#[tokio::test]
async fn a_message_is_found_by_its_names_with_all_that_belongs_to_it() {
    let house = House::new().await;
    let ledger = &house.ledger;
    accept_one(ledger, message("other", vec![refused()])).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let many = NewMessage {
        traceparent: Some(format!("00-{trace}-00f067aa0ba902b7-01")),
        ..message("a", vec![waiting(Outcome::Held, Some(at(9))), refused()])
    };
    let deliveries = accept(ledger, many).await;
    let receipt = ledger.delivery(deliveries[1]).await.unwrap().receipt_id.unwrap();
    let cases = [
        (Sought::Id("a".to_owned()), vec![deliveries[0]]),
        (Sought::TraceId(trace.to_owned()), vec![deliveries[0]]),
        (Sought::Receipt(receipt), vec![deliveries[1]]),
        (Sought::Id("b".to_owned()), vec![]),
        (Sought::TraceId(String::new()), vec![]),
    ];
    for (sought, expected) in cases {
        assert_eq!(ledger.find(&sought).await.unwrap(), expected, "{sought:?}");
    }
    for key in &deliveries {
        let beside: Vec<i64> = ledger.beside(*key).await.unwrap().iter().map(|row| row.delivery).collect();
        assert_eq!(beside, deliveries.iter().map(|key| key.0).collect::<Vec<_>>());
    }
    assert!(ledger.beside(DeliveryKey(99)).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_queue_is_the_oldest_first_a_page_at_a_time_and_for_one_recipient_where_one_is_named() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let mut keys = Vec::new();
    for (id, outcome) in [("a", Outcome::Parked), ("b", Outcome::Held), ("c", Outcome::Parked)] {
        keys.push(accept_one(ledger, message(id, vec![waiting(outcome, None)])).await.0);
    }
    accept_one(ledger, message("d", vec![refused()])).await;
    let recipient = ledger.delivery(DeliveryKey(keys[0])).await.unwrap().recipient.unwrap();
    let cases = [
        (vec![Outcome::Parked], "", 0, 10, vec![keys[0], keys[2]]),
        (vec![Outcome::Parked, Outcome::Held], "", keys[0], 1, vec![keys[1]]),
        (vec![Outcome::Held], recipient.as_str(), 0, 10, vec![keys[1]]),
        (vec![Outcome::Held], "nobody", 0, 10, vec![]),
    ];
    for (outcomes, whose, after, limit, expected) in cases {
        let rows = ledger.queue(&outcomes, whose, after, limit).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.delivery).collect::<Vec<_>>(), expected, "{outcomes:?} {whose}");
    }
    let waiting = ledger.waiting_at().await.unwrap();
    let parked = waiting.iter().find(|of| of.outcome == Outcome::Parked).unwrap();
    assert_eq!((parked.recipient.as_ref(), parked.count), (Some(&recipient), 2));
}

#[tokio::test]
async fn what_is_not_as_it_was_seen_stays_as_it_is() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let key = accept_one(ledger, message("a", vec![waiting(Outcome::Parked, None)])).await;
    let row = ledger.delivery(key).await.unwrap();
    let seen = Seen { outcome: row.outcome, changed_at: row.changed_at };
    let earlier = Seen { changed_at: row.changed_at - SignedDuration::from_micros(1), ..seen };
    assert!(matches!(ledger.replay_as_seen(key, earlier, "a", "x", at(70)).await, Err(Error::NoSuchRow)));
    assert!(matches!(ledger.discard_as_seen(key, earlier, "a", "x", at(70)).await, Err(Error::NoSuchRow)));
    ledger.replay_as_seen(key, seen, "a", "x", at(70)).await.unwrap();
    assert!(matches!(ledger.discard_as_seen(key, seen, "b", "x", at(71)).await, Err(Error::NoSuchRow)));
    let acted = ledger.actions_on(key, key).await.unwrap();
    let acted: Vec<_> =
        acted.iter().map(|acted| (acted.who.as_str(), acted.what.as_str(), acted.about_a_person)).collect();
    assert_eq!(acted, [("a", "replay", false)]);
}

#[tokio::test]
async fn that_it_was_looked_at_again_by_itself_makes_it_no_other_thing_to_decide_about() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let key = accept_one(ledger, message("a", vec![waiting(Outcome::AwaitingAssessment, None)])).await;
    let row = ledger.delivery(key).await.unwrap();
    let seen = Seen { outcome: row.outcome, changed_at: row.changed_at };
    ledger.wait(key, Outcome::AwaitingAssessment, reason(Code::AssessmentNeeded), None).await.unwrap();
    assert_ne!(ledger.delivery(key).await.unwrap().changed_at, row.changed_at);
    let parked = Seen { outcome: Outcome::Parked, ..seen };
    assert!(matches!(ledger.discard_as_seen(key, parked, "a", "x", at(70)).await, Err(Error::NoSuchRow)));
    ledger.discard_as_seen(key, seen, "a", "x", at(70)).await.unwrap();
}
