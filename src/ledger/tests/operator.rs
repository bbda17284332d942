//! What a person sees and does, from beside the running gateway.

use super::*;

async fn parked(ledger: &Ledger, id: &str, delivery: NewDelivery) -> DeliveryKey {
    let key = accept_one(ledger, message(id, vec![delivery])).await;
    ledger.wait(key, Outcome::Parked, reason(Code::RecipientRefused), Some(at(1))).await.unwrap();
    key
}

#[tokio::test]
async fn what_is_parked_waits_for_a_person_with_all_that_it_takes_to_go_on() {
    let cases = [
        ("sent as it was", ready(), true),
        ("decided anew", volatile(State::Ready(outgoing())), false),
        ("never ready", waiting(Outcome::Parked, None), false),
    ];
    for (name, delivery, as_it_was) in cases {
        let house = House::new().await;
        let key = parked(&house.ledger, "a", delivery).await;
        assert_eq!(keys_due(&house.ledger, later()).await, [], "{name}");
        let beside = Ledger::open_beside(house.place()).await.unwrap();
        beside.replay(key, "j.jansen", "verholpen", at(70)).await.unwrap();
        beside.close().await;
        let due = house.ledger.claim_due(at(70), 10, LEASE).await.unwrap().remove(0);
        assert_eq!((due.delivery, due.attempts, due.outcome), (key, 0, Outcome::Retrying), "{name}");
        assert_eq!((due.outgoing.is_some(), due.raw.is_some()), (as_it_was, !as_it_was), "{name}");
        assert!(matches!(house.ledger.replay(key, "", "", at(71)).await, Err(Error::NoSuchRow)), "{name}");
    }
}

#[tokio::test]
async fn what_a_person_did_is_recorded_with_who_and_why() {
    let house = House::new().await;
    let key = parked(&house.ledger, "a", ready()).await;
    house.ledger.replay(key, "j.jansen", "verholpen", at(70)).await.unwrap();
    house.ledger.discard(key, "p.peters", "dubbel", at(80)).await.unwrap();
    let actions = found(&house.ledger, "SELECT at, who, what, why, delivery FROM action ORDER BY key").await;
    let read = |row: &Found| {
        let text = |place| row.get::<String>(place).unwrap();
        assert_eq!(row.get::<i64>(4).unwrap(), key.0);
        (row.get::<i64>(0).unwrap(), text(1), text(2), text(3))
    };
    let actions: Vec<_> = actions.iter().map(read).collect();
    let action = |seconds, who: &str, what: &str, why: &str| (micros(at(seconds)), who.into(), what.into(), why.into());
    let expected = [action(70, "j.jansen", "replay", "verholpen"), action(80, "p.peters", "discard", "dubbel")];
    assert_eq!(actions, expected);
}

#[tokio::test]
async fn whatever_waits_can_be_discarded_and_owes_a_receipt() {
    for outcome in [Outcome::Parked, Outcome::Held, Outcome::AwaitingAssessment, Outcome::Retrying] {
        let house = House::new().await;
        let key = accept_one(&house.ledger, message("a", vec![waiting(outcome, Some(at(9)))])).await;
        house.ledger.discard(key, "j.jansen", "vervallen", at(5)).await.unwrap();
        let row = house.ledger.delivery(key).await.unwrap();
        assert_eq!((row.outcome, row.reason.unwrap().code), (Outcome::Expired, Code::Discarded), "{outcome:?}");
        assert_eq!(owing(&house.ledger).await, [key]);
        assert_eq!(count(&house.ledger, "SELECT count(*) FROM raw").await, 0);
        assert!(matches!(house.ledger.discard(key, "", "", at(6)).await, Err(Error::NoSuchRow)));
    }
}

#[tokio::test]
async fn what_is_being_sent_is_discarded_unless_it_went_out() {
    for (went_out, ends) in [(true, Outcome::Delivered), (false, Outcome::Expired)] {
        let house = House::new().await;
        let key = accept_one(&house.ledger, message("a", vec![ready()])).await;
        house.ledger.discard(key, "j.jansen", "vervallen", at(5)).await.unwrap();
        assert_eq!(outcome(&house.ledger, key).await, Outcome::Retrying);
        if went_out {
            house.ledger.delivered(key, receipt(), at(6)).await.unwrap();
        } else {
            house.ledger.retry(key, 1, at(9), reason(Code::DeliveryFailed)).await.unwrap();
        }
        assert_eq!(outcome(&house.ledger, key).await, ends);
    }
}

#[tokio::test]
async fn the_gateway_sees_what_was_done_beside_it() {
    let house = House::new().await;
    let key = parked(&house.ledger, "a", ready()).await;
    let beside = Ledger::open_beside(house.place()).await.unwrap();
    beside.discard(key, "j.jansen", "vervallen", at(5)).await.unwrap();
    let signed = receipt();
    beside.attach_receipt(key, signed.clone()).await.unwrap();
    let delivered = house.ledger.delivered(key, receipt(), at(6)).await.unwrap();
    assert_eq!(delivered.jws, signed);
    // And the other way round.
    let other = parked(&house.ledger, "b", ready()).await;
    beside.replay(other, "j.jansen", "opnieuw", at(7)).await.unwrap();
    house.ledger.delivered(other, receipt(), at(8)).await.unwrap();
    assert!(matches!(beside.discard(other, "j.jansen", "toch niet", at(9)).await, Err(Error::NoSuchRow)));
}

#[tokio::test]
async fn a_command_beside_the_gateway_takes_nothing_from_it() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, message("a", vec![ready()])).await;
    let beside = Ledger::open_beside(house.place()).await.unwrap();
    assert_eq!(outcome(&beside, key).await, Outcome::Retrying);
    beside.close().await;
    assert_eq!(keys_due(&house.ledger, at(299)).await, [], "it is still held");
}

#[tokio::test]
async fn lists_are_of_what_was_asked_with_the_newest_first() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let mut keys = Vec::new();
    for (id, delivery) in [
        ("a", waiting(Outcome::Held, Some(at(9)))),
        ("b", refused()),
        ("c", waiting(Outcome::Parked, None)),
        ("d", waiting(Outcome::Held, Some(at(9)))),
    ] {
        keys.push(accept_one(ledger, message(id, vec![delivery])).await.0);
    }
    let cases = [
        (&[Outcome::Held][..], 10, vec![keys[3], keys[0]]),
        (&[Outcome::Held], 1, vec![keys[3]]),
        (&[Outcome::Held, Outcome::Parked], 10, vec![keys[3], keys[2], keys[0]]),
        (&[Outcome::Refused, Outcome::Parked], 10, vec![keys[2], keys[1]]),
        (&[Outcome::Delivered], 10, vec![]),
        (&[], 10, vec![]),
    ];
    for (outcomes, limit, expected) in cases {
        let rows = ledger.list(outcomes, limit).await.unwrap();
        let found: Vec<i64> = rows.iter().map(|row| row.delivery).collect();
        assert_eq!(found, expected, "{outcomes:?}");
    }
}

#[tokio::test]
async fn what_waits_is_counted_with_the_oldest_of_each() {
    let house = House::new().await;
    let received = |id: &str, seconds, delivery| NewMessage { received_at: at(seconds), ..message(id, vec![delivery]) };
    for (id, seconds, delivery) in [
        ("a", 40, waiting(Outcome::Held, Some(at(9)))),
        ("b", 50, waiting(Outcome::Held, Some(at(9)))),
        ("c", 60, waiting(Outcome::Parked, None)),
        ("d", 70, refused()),
    ] {
        accept(&house.ledger, received(id, seconds, delivery)).await;
    }
    let mut waiting = house.ledger.waiting().await.unwrap();
    waiting.sort_by_key(|waiting| waiting.count);
    let found: Vec<_> = waiting.iter().map(|w| (w.outcome, w.count, w.oldest)).collect();
    assert_eq!(found, [(Outcome::Parked, 1, at(60)), (Outcome::Held, 2, at(40))]);
}
