//! A clock that goes back: nothing waits for a time of day that was there already.

use super::*;

/// Waits for ten seconds, since a moment that is an hour away.
async fn put_off(ledger: &Ledger, id: &str, outcome: Outcome) -> DeliveryKey {
    let since = Timestamp::now() + SignedDuration::from_hours(1);
    let state = State::Waiting { outcome, reason: reason(Code::FactsUnavailable), again_at: Some(since + TEN) };
    let delivery = NewDelivery { state, ..ready() };
    accept_one(ledger, NewMessage { received_at: since, ..message(id, vec![delivery]) }).await
}

const TEN: SignedDuration = SignedDuration::from_secs(10);

#[tokio::test]
async fn what_was_put_off_waits_no_longer_than_it_was_to_and_what_is_held_until_its_day() {
    let house = House::new().await;
    let retried = put_off(&house.ledger, "a", Outcome::Retrying).await;
    let held = put_off(&house.ledger, "b", Outcome::Held).await;
    let now = Timestamp::now();
    assert_eq!(keys_due(&house.ledger, now + TEN).await, []);
    house.ledger.clock_went_back(now).await.unwrap();
    assert_eq!(keys_due(&house.ledger, now + TEN / 2).await, []);
    assert_eq!(keys_due(&house.ledger, now + TEN).await, [retried]);
    assert_eq!(keys_due(&house.ledger, now + SignedDuration::from_hours(1) + TEN * 2).await, [retried, held]);
}

#[tokio::test]
async fn a_start_after_it_sees_so_itself() {
    let house = House::new().await;
    let retried = put_off(&house.ledger, "a", Outcome::Retrying).await;
    let house = house.killed().await;
    assert_eq!(keys_due(&house.ledger, Timestamp::now() + TEN).await, [retried]);
}
