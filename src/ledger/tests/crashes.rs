//! Kills, ends, and bytes that must be gone.

use super::*;

#[tokio::test]
async fn after_a_kill_everything_unfinished_is_due_at_once() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let sent = accept_one(ledger, message("a", vec![ready()])).await;
    let held = accept_one(ledger, message("b", vec![ready()])).await;
    let waits = accept_one(ledger, message("c", vec![waiting(Outcome::Held, Some(at(3600)))])).await;
    let parked = accept_one(ledger, message("d", vec![waiting(Outcome::Parked, None)])).await;
    let receipt = ledger.delivered(sent, receipt(), at(1)).await.unwrap();

    let after = house.killed().await;
    assert_eq!(keys_due(&after.ledger, at(2)).await, [held]);
    let due = after.ledger.receipts_due(at(2), 10, LEASE).await.unwrap();
    assert_eq!(due.iter().map(|due| &due.jws).collect::<Vec<_>>(), [&receipt.jws]);
    assert_eq!(outcome(&after.ledger, parked).await, Outcome::Parked);
    assert_eq!(keys_due(&after.ledger, at(3600)).await, [held, waits]);
    // The broker gives the message again, for it was perhaps not acknowledged.
    let again = after.ledger.accept(message("a", vec![ready()])).await.unwrap();
    assert!(matches!(again, Accepted::Duplicate { receipts, .. } if receipts[0].jws == receipt.jws));
}

#[tokio::test]
async fn after_a_kill_what_was_overtaken_while_it_was_sent_ends() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, in_series("a", 7, 1, vec![ready()])).await;
    let newer = accept_one(&house.ledger, in_series("b", 7, 2, vec![ready()])).await;
    let after = house.killed().await;
    assert_eq!(keys_due(&after.ledger, at(1)).await, [newer]);
    let row = after.ledger.delivery(key).await.unwrap();
    assert_eq!(row.outcome, Outcome::Superseded);
    assert!(row.reason.unwrap().detail.contains("may have reached the recipient"));
    assert_eq!(owing(&after.ledger).await, [key]);
}

#[tokio::test]
async fn bytes_that_are_no_longer_needed_are_gone() {
    let house = House::new().await;
    // Long enough to lie on pages of their own, too.
    let long = |marker: &str| Personal::new(marker.repeat(2000).into_bytes());
    let mut keys = Vec::new();
    for number in 0..20 {
        let outgoing = Outgoing { body: long("UITGAAND-BSN"), ..outgoing() };
        let deliveries = vec![delivery(State::Ready(outgoing.clone())), volatile(State::Ready(outgoing)), ready()];
        let message = NewMessage { raw: long("INKOMEND-BSN"), ..message(&number.to_string(), deliveries) };
        keys.extend(accept(&house.ledger, message).await);
    }
    let stored = stored_payload(&house.ledger).await;
    for sealed in &stored {
        assert!(house.ground.holds(sealed).await, "it lies there sealed");
    }
    for key in keys {
        house.ledger.delivered(key, receipt(), at(1)).await.unwrap();
    }
    house.ledger.close().await;
    for sealed in &stored {
        assert!(!house.ground.holds(sealed).await, "nor sealed");
    }
    for marker in ["UITGAAND-BSN", "INKOMEND-BSN", "UITGAAND persoon", "RAUW"] {
        assert!(!house.holds(marker).await, "{marker}");
    }
    assert!(house.holds("handtekening").await, "the receipts stay");
}

#[tokio::test]
async fn what_is_queued_at_the_close_is_done_and_nothing_after() {
    let house = House::new().await;
    let batch = blocked(&house).await;
    let (accepted, (), _) =
        tokio::join!(house.ledger.accept(message("a", vec![ready()])), house.ledger.close(), batch.go());
    assert!(matches!(accepted.unwrap(), Accepted::New { .. }));
    let late = house.ledger.accept(message("b", vec![ready()])).await;
    assert!(matches!(late, Err(Error::Unavailable)));
    assert!(matches!(house.ledger.list(&[], 1).await, Err(Error::Unavailable)));
    let ledger = open(house.place()).await;
    assert_eq!(count(&ledger, "SELECT count(*) FROM message").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_end_with_one_receipt_each() {
    const TASKS: usize = 24;
    const EACH: usize = 12;
    let house = House::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let ledger = house.ledger.clone();
        tasks.spawn(async move {
            for number in 0..EACH {
                // Everything comes twice, from two sides at once.
                let id = format!("{}-{number}", task / 2);
                if let Accepted::New { deliveries, .. } = ledger.accept(message(&id, vec![ready()])).await.unwrap() {
                    let due = ledger.delivered(deliveries[0], receipt(), at(1)).await.unwrap();
                    ledger.receipt_sent(due.key).await.unwrap();
                }
            }
        });
    }
    let beside = Ledger::open_beside(house.place()).await.unwrap();
    let key = accept_one(&house.ledger, message("geparkeerd", vec![waiting(Outcome::Parked, None)])).await;
    beside.replay(key, "j.jansen", "terwijl het druk is", at(2)).await.unwrap();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let messages = i64::try_from(TASKS / 2 * EACH).unwrap();
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM message").await, messages + 1);
    assert_eq!(count(&house.ledger, "SELECT count(DISTINCT delivery) FROM receipt").await, messages);
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM delivery WHERE outcome = 'delivered'").await, messages);
    assert_eq!(keys_due(&house.ledger, at(2)).await, [key]);
    assert!(house.ledger.receipts_due(later(), 10, LEASE).await.unwrap().is_empty());
}
