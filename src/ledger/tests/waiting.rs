//! What waits for its recipient: in the order in which it came, for no moment, through crashes.

use super::*;

async fn waits(ledger: &Ledger, id: &str, state: NewDelivery, tried: bool) -> DeliveryKey {
    let key = accept_one(ledger, message(id, vec![state])).await;
    let waiting = ledger.wait_for_recipient(key, 2, reason(Code::RecipientBusy), tried).await.unwrap();
    assert_eq!(waiting, Retry::Scheduled);
    key
}

fn dordrecht() -> PartyId {
    PartyId::new("gemeente:0363")
}

async fn claim(ledger: &Ledger, skip: u32, limit: usize) -> Vec<Due> {
    ledger.claim_waiting(&dordrecht(), skip, limit, Timestamp::MAX, LEASE).await.unwrap()
}

fn keys(due: &[Due]) -> Vec<DeliveryKey> {
    due.iter().map(|due| due.delivery).collect()
}

#[tokio::test]
async fn what_waits_comes_up_by_no_clock_and_in_the_order_in_which_it_came() {
    let house = House::new().await;
    let (first, second) =
        (waits(&house.ledger, "a", ready(), false).await, waits(&house.ledger, "b", ready(), false).await);
    let third = waits(&house.ledger, "c", ready(), false).await;
    assert_eq!(keys_due(&house.ledger, later()).await, []);
    let row = house.ledger.delivery(first).await.unwrap();
    assert_eq!((row.outcome, row.attempts, row.again_at), (Outcome::Retrying, 2, None));
    let expected = WaitingFor { recipient: dordrecht(), count: 3, oldest: at(0) };
    assert_eq!(house.ledger.waiting_for().await.unwrap(), [expected]);

    assert_eq!(keys(&claim(&house.ledger, 0, 2).await), [first, second]);
    // Those are somebody's now; after their lease they are due like anything else.
    assert_eq!(keys(&claim(&house.ledger, 0, 9).await), [third]);
    assert_eq!(keys(&claim(&house.ledger, 0, 9).await), []);
    assert_eq!(house.ledger.waiting_for().await.unwrap(), []);
    assert_eq!(keys_due(&house.ledger, later()).await, [first, second, third]);
}

#[tokio::test]
async fn some_are_passed_over_where_there_are_so_many_and_nobody_elses() {
    let house = House::new().await;
    let mut all = Vec::new();
    for id in ["a", "b", "c"] {
        all.push(waits(&house.ledger, id, ready(), false).await);
    }
    let other = PartyId::new("gemeente:0599");
    assert!(house.ledger.claim_waiting(&other, 0, 9, Timestamp::MAX, LEASE).await.unwrap().is_empty());
    // Of three: the second; then of two, the sixth is again the first.
    assert_eq!(keys(&claim(&house.ledger, 1, 1).await), [all[1]]);
    assert_eq!(keys(&claim(&house.ledger, 6, 1).await), [all[0]]);
    assert_eq!(keys(&claim(&house.ledger, 7, 1).await), [all[2]]);
}

#[tokio::test]
async fn only_what_waits_for_too_long_is_asked_for_by_age() {
    let house = House::new().await;
    let old = waits(&house.ledger, "a", ready(), false).await;
    let new = NewMessage { received_at: at(60), ..message("b", vec![ready()]) };
    let new = accept_one(&house.ledger, new).await;
    house.ledger.wait_for_recipient(new, 0, reason(Code::RecipientBusy), false).await.unwrap();
    let by = async |by| keys(&house.ledger.claim_waiting(&dordrecht(), 0, 9, by, LEASE).await.unwrap());
    assert_eq!(by(at(-1)).await, []);
    assert_eq!(by(at(59)).await, [old]);
    assert_eq!(by(at(60)).await, [new]);
}

#[tokio::test]
async fn what_was_never_attempted_says_so_until_it_may_have_been() {
    let house = House::new().await;
    let never = waits(&house.ledger, "a", ready(), false).await;
    let maybe = waits(&house.ledger, "b", ready(), true).await;
    let tried = |due: &[Due]| due.iter().map(|due| due.tried).collect::<Vec<_>>();
    assert_eq!(tried(&claim(&house.ledger, 0, 9).await), [false, true]);
    // From then on it may be on its way, and a crash would not tell.
    let killed = house.killed().await;
    let due = killed.ledger.claim_due(later(), 9, LEASE).await.unwrap();
    assert_eq!((keys(&due), tried(&due)), (vec![never, maybe], vec![true, true]));
}

#[tokio::test]
async fn what_waits_does_so_after_a_crash_and_ends_as_anything_that_waits() {
    let house = House::new().await;
    let key = waits(&house.ledger, "a", ready(), false).await;
    let house = house.killed().await;
    assert_eq!(house.ledger.waiting_for().await.unwrap()[0].count, 1);
    house.ledger.discard(key, "m.visser", "niet meer nodig", at(9)).await.unwrap();
    assert_eq!(outcome(&house.ledger, key).await, Outcome::Expired);
    assert!(house.ledger.waiting_for().await.unwrap().is_empty() && claim(&house.ledger, 0, 9).await.is_empty());
}

#[tokio::test]
async fn a_newer_one_of_its_series_ends_what_waits() {
    let house = House::new().await;
    let older = accept_one(&house.ledger, in_series("a", 1, 1, vec![ready()])).await;
    house.ledger.wait_for_recipient(older, 0, reason(Code::RecipientBusy), false).await.unwrap();
    accept_one(&house.ledger, in_series("b", 1, 2, vec![ready()])).await;
    assert_eq!(outcome(&house.ledger, older).await, Outcome::Superseded);
    assert!(claim(&house.ledger, 0, 9).await.is_empty());
}
