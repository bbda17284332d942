//! What is new, what was seen before, and what only looks as if.

use super::*;

#[tokio::test]
async fn a_new_message_gets_keys_in_the_order_of_its_deliveries() {
    let house = House::new().await;
    let third =
        delivery(State::Final { outcome: Outcome::Refused, reason: reason(Code::NoGround), receipt: receipt() });
    let waits = waiting(Outcome::Held, Some(at(60)));
    let deliveries = vec![ready(), waits, third];
    let ids: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.idempotency_key).collect();
    let accepted = house.ledger.accept(message("a", deliveries)).await.unwrap();
    let Accepted::New { deliveries: keys, receipts, .. } = accepted else { panic!("not new") };
    let mut outcomes = Vec::new();
    for key in &keys {
        outcomes.push(outcome(&house.ledger, *key).await);
    }
    assert_eq!(outcomes, [Outcome::Retrying, Outcome::Held, Outcome::Refused]);
    assert_eq!(receipts.iter().map(|receipt| receipt.key).collect::<Vec<_>>(), [keys[2]]);
    let due = house.ledger.claim_due(later(), 10, LEASE).await.unwrap();
    assert_eq!(due.iter().map(|due| due.idempotency_key).collect::<Vec<_>>(), ids[..2]);
}

#[tokio::test]
async fn a_repetition_gets_the_receipts_that_there_are_byte_for_byte() {
    let house = House::new().await;
    let keys = accept(&house.ledger, message("a", vec![ready(), ready(), refused()])).await;
    let jws = receipt();
    house.ledger.delivered(keys[0], jws.clone(), at(1)).await.unwrap();
    let again = house.ledger.accept(message("a", vec![ready(), ready(), refused()])).await.unwrap();
    let Accepted::Duplicate { receipts, .. } = again else { panic!("not a duplicate") };
    assert_eq!(receipts.iter().map(|receipt| receipt.key).collect::<Vec<_>>(), [keys[0], keys[2]]);
    assert_eq!((&receipts[0].jws, receipts[0].receipt_id), (&jws, jws.id()));
    assert_eq!(receipts[0].to, PartyId::new("dji"));
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM delivery").await, 3);
}

#[tokio::test]
async fn two_equal_messages_in_one_batch_are_one() {
    let house = House::new().await;
    let batch = blocked(&house).await;
    let (first, second, _) = tokio::join!(
        house.ledger.accept(message("a", vec![refused()])),
        house.ledger.accept(message("a", vec![refused()])),
        batch.go(),
    );
    let Accepted::New { message: key, receipts, .. } = first.unwrap() else { panic!("not new") };
    let Accepted::Duplicate { message: same, receipts: repeated } = second.unwrap() else { panic!("not a duplicate") };
    assert_eq!(key, same);
    assert_eq!(receipts[0].jws, repeated[0].jws);
}

#[tokio::test]
async fn other_content_under_a_known_id_is_recorded_only_as_a_conflict_of_its_own() {
    let house = House::new().await;
    accept(&house.ledger, message("a", vec![ready()])).await;
    let other = NewMessage { digest: [2; 32], ..message("a", vec![ready()]) };
    assert!(matches!(house.ledger.accept(other.clone()).await.unwrap(), Accepted::Conflict));
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM message").await, 1);

    let conflict = || NewMessage { conflict: true, deliveries: vec![refused()], ..other.clone() };
    let Accepted::New { receipts, .. } = house.ledger.accept(conflict()).await.unwrap() else { panic!("not new") };
    let again = house.ledger.accept(conflict()).await.unwrap();
    let Accepted::Duplicate { receipts: same, .. } = again else { panic!("not a duplicate") };
    assert_eq!(receipts[0].jws, same[0].jws);
    // Yet another content is yet another conflict, and the first message is what it was.
    let third = NewMessage { digest: [3; 32], ..conflict() };
    assert!(matches!(house.ledger.accept(third).await.unwrap(), Accepted::New { .. }));
    let first = house.ledger.accept(message("a", vec![ready()])).await.unwrap();
    assert!(matches!(first, Accepted::Duplicate { .. }));
}

#[tokio::test]
async fn one_that_fails_does_not_take_the_others_of_its_batch_with_it() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, message("a", vec![ready()])).await;
    let batch = blocked(&house).await;
    let (good, bad, new, _) = tokio::join!(
        house.ledger.delivered(key, receipt(), at(1)),
        house.ledger.receipt_sent(DeliveryKey(99)),
        house.ledger.accept(message("b", vec![ready()])),
        batch.go(),
    );
    assert!(good.is_ok());
    assert!(matches!(bad, Err(Error::NoSuchRow)));
    assert!(matches!(new.unwrap(), Accepted::New { .. }));
}

#[tokio::test]
async fn within_a_batch_commands_on_one_row_keep_their_order() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, message("a", vec![ready()])).await;
    let batch = blocked(&house).await;
    let (parked, replayed, discarded, sent, _) = tokio::join!(
        house.ledger.wait(key, Outcome::Parked, reason(Code::RecipientRefused), None),
        house.ledger.replay(key, "beheer", "opnieuw", at(5)),
        house.ledger.discard(key, "beheer", "toch niet", at(6)),
        house.ledger.replay(key, "beheer", "te laat", at(7)),
        batch.go(),
    );
    assert!(parked.is_ok() && replayed.is_ok() && discarded.is_ok());
    assert!(matches!(sent, Err(Error::NoSuchRow)));
    assert_eq!(outcome(&house.ledger, key).await, Outcome::Expired);
}

#[tokio::test]
async fn raw_bytes_are_kept_only_where_something_may_be_decided_anew() {
    let encrypted = Outgoing { content_type: "application/jose".to_owned(), ..outgoing() };
    let cases = [
        ("ready", vec![ready()], 0),
        ("ready, on facts that change", vec![volatile(State::Ready(outgoing()))], 1),
        ("ready, to a key that may be another one by then", vec![delivery(State::Ready(encrypted))], 1),
        ("waiting", vec![waiting(Outcome::Held, None)], 1),
        ("final", vec![refused()], 0),
        ("final and waiting", vec![refused(), waiting(Outcome::Held, None)], 1),
    ];
    for (name, deliveries, kept) in cases {
        let house = House::new().await;
        accept(&house.ledger, message("a", deliveries)).await;
        assert_eq!(count(&house.ledger, "SELECT count(*) FROM raw").await, kept, "{name}");
    }
}
