//! What becomes of a delivery: taken, tried again, decided anew, and its receipt.

use super::*;

#[tokio::test]
async fn what_is_delivered_is_final_and_its_bytes_are_gone() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, message("a", vec![ready()])).await;
    let due = house.ledger.delivered(key, receipt(), at(1)).await.unwrap();
    assert_eq!((due.key, due.attempts, due.to.as_str()), (key, 0, "dji"));
    assert!(due.traceparent.is_some());
    let row = house.ledger.delivery(key).await.unwrap();
    assert_eq!((row.outcome, row.changed_at, row.receipt_id), (Outcome::Delivered, at(1), Some(due.receipt_id)));
    assert_eq!(row.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM pending").await, 0);
    assert_eq!(keys_due(&house.ledger, later()).await, []);
}

#[tokio::test]
async fn there_is_one_receipt_however_often_it_is_delivered() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, message("a", vec![ready()])).await;
    let first = house.ledger.delivered(key, receipt(), at(1)).await.unwrap();
    let again = house.ledger.delivered(key, receipt(), at(2)).await.unwrap();
    let refused = house.ledger.finish(key, Outcome::Refused, reason(Code::NoGround), receipt(), at(3)).await.unwrap();
    assert_eq!([&again.jws, &refused.jws], [&first.jws, &first.jws]);
    assert_eq!(house.ledger.receipt(first.receipt_id).await.unwrap(), Some(first.jws));
    assert_eq!(house.ledger.receipt(receipt().id()).await.unwrap(), None);
    assert!(matches!(house.ledger.attach_receipt(key, receipt()).await, Err(Error::NoSuchRow)));
    assert_eq!(outcome(&house.ledger, key).await, Outcome::Delivered);
}

#[tokio::test]
async fn a_finished_delivery_says_what_its_receipt_says() {
    use crate::receipt::{Receipt, keys::Signer};
    let house = House::new().await;
    let key_file = house.ground.folder.path().join("key.pem");
    Signer::generate(&key_file).unwrap();
    let signed = Signer::read(&key_file).unwrap().sign(&Receipt {
        id: Uuid::new_v4(),
        issuer: "urn:nld:oin:00000099000000009000:systeem:ketenpoort".to_owned(),
        message: message("a", vec![]).message_ref,
        outcome: Outcome::Delivered,
        reason: None,
        recipient: None,
        decision: decision("in het bewijs"),
        forwarded_digest: None,
        policy_version: String::new(),
        mapping_version: String::new(),
        time: at(1),
        trace_id: None,
    });
    let key = accept_one(&house.ledger, message("a", vec![ready()])).await;
    assert_eq!(house.ledger.delivery(key).await.unwrap().decision, decision("toen"));
    house.ledger.delivered(key, signed, at(1)).await.unwrap();
    assert_eq!(house.ledger.delivery(key).await.unwrap().decision, decision("in het bewijs"));
}

#[tokio::test]
async fn what_failed_is_due_again_at_its_time_and_not_before() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, message("a", vec![ready()])).await;
    // Held by whoever accepted it.
    assert_eq!(keys_due(&house.ledger, at(299)).await, []);
    let retried = house.ledger.retry(key, 3, at(100), reason(Code::DeliveryFailed)).await.unwrap();
    assert_eq!(retried, Retry::Scheduled);
    let row = house.ledger.delivery(key).await.unwrap();
    assert_eq!((row.outcome, row.attempts, row.again_at), (Outcome::Retrying, 3, Some(at(100))));
    assert_eq!(row.reason.unwrap().code, Code::DeliveryFailed);
    assert_eq!(keys_due(&house.ledger, at(99)).await, []);
    let due = house.ledger.claim_due(at(100), 10, LEASE).await.unwrap().remove(0);
    assert_eq!((due.delivery, due.attempts, due.raw.is_none()), (key, 3, true));
    assert_eq!(due.outgoing.unwrap().body, outgoing().body);
    // Now it is somebody's, until the lease ends.
    assert_eq!(keys_due(&house.ledger, at(159)).await, []);
    assert_eq!(keys_due(&house.ledger, at(160)).await, [key]);
}

#[tokio::test]
async fn a_claim_gives_all_that_the_gateway_needs_to_go_on() {
    let house = House::new().await;
    let accepted = in_series("a", 7, 12, vec![waiting(Outcome::Retrying, Some(at(5)))]);
    let key = accept_one(&house.ledger, accepted.clone()).await;
    let due = house.ledger.claim_due(at(5), 10, LEASE).await.unwrap().remove(0);
    let head = &due.message;
    assert_eq!((head.id.as_str(), &head.source, &head.kind), ("a", &accepted.source, &accepted.kind));
    assert_eq!((&head.sender, head.received_at, &head.traceparent), (&accepted.sender, at(0), &accepted.traceparent));
    assert_eq!((head.order, &head.message_ref), (accepted.order, &accepted.message_ref));
    assert_eq!((head.policy_version.as_str(), head.mapping_version.as_str()), ("p1", "m1"));
    assert_eq!((due.delivery, due.outcome), (key, Outcome::Retrying));
    assert_eq!((&due.recipient, &due.decision), (&accepted.deliveries[0].recipient, &decision("toen")));
    assert_eq!(due.reason.unwrap().code, Code::FactsUnavailable);
    assert_eq!(due.raw.unwrap(), accepted.raw);
    assert!(due.outgoing.is_none());
}

#[tokio::test]
async fn what_rests_on_changing_facts_is_decided_anew_from_the_message() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, message("a", vec![volatile(State::Ready(outgoing()))])).await;
    house.ledger.retry(key, 1, at(10), reason(Code::DeliveryFailed)).await.unwrap();
    let due = house.ledger.claim_due(at(10), 10, LEASE).await.unwrap().remove(0);
    assert!(due.raw.is_some() && due.outgoing.is_none());
    house.ledger.make_ready(key, outgoing(), decision("nu")).await.unwrap();
    house.ledger.retry(key, 2, at(20), reason(Code::DeliveryFailed)).await.unwrap();
    let due = house.ledger.claim_due(at(20), 10, LEASE).await.unwrap().remove(0);
    assert!(due.raw.is_some() && due.outgoing.is_none());
    assert_eq!(due.decision, decision("nu"));
    // The message goes when it is over.
    house.ledger.delivered(key, receipt(), at(21)).await.unwrap();
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM raw").await, 0);
}

#[tokio::test]
async fn what_waited_for_its_date_is_ready_once_decided_and_then_sent_as_it_is() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, message("a", vec![waiting(Outcome::Held, Some(at(10)))])).await;
    assert_eq!(keys_due(&house.ledger, at(10)).await, [key]);
    house.ledger.make_ready(key, outgoing(), decision("nu")).await.unwrap();
    let row = house.ledger.delivery(key).await.unwrap();
    assert_eq!((row.outcome, row.reason, row.decision), (Outcome::Retrying, None, decision("nu")));
    // Still the caller's.
    assert_eq!(keys_due(&house.ledger, at(20)).await, []);
    house.ledger.retry(key, 1, at(30), reason(Code::DeliveryFailed)).await.unwrap();
    let due = house.ledger.claim_due(at(30), 10, LEASE).await.unwrap().remove(0);
    assert!(due.raw.is_none() && due.outgoing.is_some());
    // Decided anew once more: what was ready is not any longer.
    house.ledger.wait(key, Outcome::Held, reason(Code::Held), Some(at(90))).await.unwrap();
    let due = house.ledger.claim_due(at(90), 10, LEASE).await.unwrap().remove(0);
    assert!(due.raw.is_some() && due.outgoing.is_none());
}

#[tokio::test]
async fn what_waits_says_so_until_its_time() {
    for outcome in [Outcome::Held, Outcome::AwaitingAssessment, Outcome::Retrying] {
        let house = House::new().await;
        let key = accept_one(&house.ledger, message("a", vec![waiting(outcome, Some(at(10)))])).await;
        assert_eq!(keys_due(&house.ledger, at(10)).await, [key]);
        house.ledger.wait(key, outcome, reason(Code::AssessmentNeeded), Some(at(50))).await.unwrap();
        let row = house.ledger.delivery(key).await.unwrap();
        assert_eq!((row.outcome, row.again_at), (outcome, Some(at(50))));
        assert_eq!(keys_due(&house.ledger, at(49)).await, []);
        assert_eq!(keys_due(&house.ledger, at(50)).await, [key]);
    }
}

#[tokio::test]
async fn a_party_that_is_no_recipient_after_all_leaves_no_row() {
    let house = House::new().await;
    let keys = accept(&house.ledger, message("a", vec![ready(), waiting(Outcome::Retrying, Some(at(1)))])).await;
    house.ledger.delivered(keys[0], receipt(), at(1)).await.unwrap();
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM raw").await, 1);
    house.ledger.not_addressed(keys[1]).await.unwrap();
    assert!(matches!(house.ledger.delivery(keys[1]).await, Err(Error::NoSuchRow)));
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM raw").await, 0);
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM pending").await, 0);
    assert!(matches!(house.ledger.not_addressed(keys[1]).await, Err(Error::NoSuchRow)));
    assert!(matches!(house.ledger.not_addressed(keys[0]).await, Err(Error::NoSuchRow)));
}

#[tokio::test]
async fn what_waits_for_whom_it_is_gets_its_recipient_later_and_never_after_an_attempt() {
    let house = House::new().await;
    let (party, role) = (PartyId::new("nifp"), Role::new("nifp"));
    let waits = accept_one(&house.ledger, message("a", vec![waiting(Outcome::AwaitingAssessment, Some(at(5)))])).await;
    house.ledger.address(waits, party.clone(), role.clone()).await.unwrap();
    let row = house.killed().await.ledger.delivery(waits).await.unwrap();
    assert_eq!((row.recipient, row.role), (Some(party.clone()), Some(role.clone())));

    let tried = accept_one(&house.ledger, message("b", vec![volatile(State::Ready(outgoing()))])).await;
    let over = accept_one(&house.ledger, message("c", vec![refused()])).await;
    for key in [tried, over] {
        let addressed = house.ledger.address(key, party.clone(), role.clone()).await;
        assert!(matches!(addressed, Err(Error::NoSuchRow)));
        assert_eq!(house.ledger.delivery(key).await.unwrap().recipient, Some(PartyId::new("gemeente:0363")));
    }
}

#[tokio::test]
async fn the_message_is_kept_until_its_last_delivery_is_over() {
    let house = House::new().await;
    let deliveries = vec![volatile(State::Ready(outgoing())), waiting(Outcome::Held, Some(at(1)))];
    let keys = accept(&house.ledger, message("a", deliveries)).await;
    house.ledger.delivered(keys[0], receipt(), at(1)).await.unwrap();
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM raw").await, 1);
    house.ledger.finish(keys[1], Outcome::Refused, reason(Code::NoGround), receipt(), at(2)).await.unwrap();
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM raw").await, 0);
}

#[tokio::test]
async fn claims_are_limited_and_the_oldest_come_first() {
    let house = House::new().await;
    let mut keys = Vec::new();
    for (id, again_at) in [("a", 30), ("b", 10), ("c", 20)] {
        keys.push(accept_one(&house.ledger, message(id, vec![waiting(Outcome::Held, Some(at(again_at)))])).await);
    }
    let two = house.ledger.claim_due(at(60), 2, LEASE).await.unwrap();
    assert_eq!(two.iter().map(|due| due.delivery).collect::<Vec<_>>(), [keys[1], keys[2]]);
    assert_eq!(keys_due(&house.ledger, at(60)).await, [keys[0]]);
}

#[tokio::test]
async fn a_receipt_is_due_until_it_was_sent() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, message("a", vec![ready()])).await;
    let jws = house.ledger.delivered(key, receipt(), at(0)).await.unwrap().jws;
    let due = async |now| house.ledger.receipts_due(now, 10, LEASE).await.unwrap();
    assert!(due(at(29)).await.is_empty(), "whoever recorded it is sending it");
    assert_eq!(due(at(30)).await[0].jws, jws);
    assert!(due(at(31)).await.is_empty(), "it is claimed");
    house.ledger.receipt_retry(key, 4, at(200)).await.unwrap();
    assert!(due(at(199)).await.is_empty());
    assert_eq!(due(at(200)).await[0].attempts, 4);
    house.ledger.receipt_sent(key).await.unwrap();
    assert!(due(later()).await.is_empty());
    // A repetition of the message is answered by sending it again, which can fail as well.
    house.ledger.receipt_retry(key, 5, at(300)).await.unwrap();
    assert_eq!(due(at(300)).await[0].jws, jws);
}

#[tokio::test]
async fn a_receipt_of_a_refusal_is_with_whoever_accepted_the_message() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, message("a", vec![refused()])).await;
    let due = async |now| house.ledger.receipts_due(now, 10, LEASE).await.unwrap();
    assert!(due(at(29)).await.is_empty());
    assert_eq!(due(at(30)).await[0].key, key);
}

#[tokio::test]
async fn a_row_that_is_not_there_is_told() {
    let house = House::new().await;
    let none = DeliveryKey(7);
    let ledger = &house.ledger;
    let answers = [
        ledger.delivered(none, receipt(), at(0)).await.err(),
        ledger.finish(none, Outcome::Refused, reason(Code::NoGround), receipt(), at(0)).await.err(),
        ledger.retry(none, 1, at(0), reason(Code::DeliveryFailed)).await.err(),
        ledger.wait(none, Outcome::Held, reason(Code::Held), None).await.err(),
        ledger.make_ready(none, outgoing(), decision("")).await.err(),
        ledger.not_addressed(none).await.err(),
        ledger.attach_receipt(none, receipt()).await.err(),
        ledger.receipt_sent(none).await.err(),
        ledger.receipt_retry(none, 1, at(0)).await.err(),
        ledger.replay(none, "", "", at(0)).await.err(),
        ledger.discard(none, "", "", at(0)).await.err(),
        ledger.delivery(none).await.err(),
    ];
    for (place, answer) in answers.into_iter().enumerate() {
        assert!(matches!(answer, Some(Error::NoSuchRow)), "{place}: {answer:?}");
    }
    let unreceipted = accept_one(ledger, message("a", vec![ready()])).await;
    assert!(matches!(ledger.receipt_sent(unreceipted).await, Err(Error::NoSuchRow)));
    assert!(matches!(ledger.receipt_retry(unreceipted, 1, at(0)).await, Err(Error::NoSuchRow)));
    assert!(matches!(ledger.attach_receipt(unreceipted, receipt()).await, Err(Error::NoSuchRow)));
}

/// A refusal leaves nothing behind; but what goes out again as it was says nothing before it does, and must not be
/// forgotten by a crash.
#[tokio::test]
async fn what_was_refused_was_not_tried_where_the_next_attempt_says_so_first() {
    for (volatile, tried) in [(true, false), (false, true)] {
        let house = House::new().await;
        let delivery = NewDelivery { volatile, ..ready() };
        let key = accept_one(&house.ledger, message("1", vec![delivery])).await;
        house.ledger.retry_tried(key, 1, at(9), reason(Code::DeliveryFailed), false).await.unwrap();
        let due = house.ledger.claim_due(later(), 1, LEASE).await.unwrap();
        assert_eq!(due[0].tried, tried, "volatile: {volatile}");
        if volatile {
            house.ledger.make_ready(key, outgoing(), decision("nu")).await.unwrap();
        }
        let after_a_crash = house.killed().await.ledger.claim_due(later(), 1, LEASE).await.unwrap();
        assert!(after_a_crash[0].tried, "volatile: {volatile}");
    }
}

/// A message's deliveries are found by their keys, from the first to the last.
#[tokio::test]
async fn the_key_of_a_party_that_was_no_recipient_is_not_given_again() {
    let house = House::new().await;
    let waits = || {
        volatile(State::Waiting { outcome: Outcome::Retrying, reason: reason(Code::FactsUnavailable), again_at: None })
    };
    let keys = accept(&house.ledger, message("a", vec![refused(), waits()])).await;
    house.ledger.not_addressed(keys[1]).await.unwrap();
    let next = accept_one(&house.ledger, message("b", vec![refused()])).await;
    assert!(next.0 > keys[1].0, "{next} after {keys:?}");
    let again = house.ledger.accept(message("a", vec![refused(), waits()])).await.unwrap();
    assert!(matches!(again, Accepted::Duplicate { receipts, .. } if receipts.len() == 1));
}
