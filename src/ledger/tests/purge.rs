//! What is past its term is gone from every file, what waits is not, and what went is on record.

use super::*;
use crate::record::{Kind, Record};

const DAY: i64 = 24 * 3600;

async fn pass(ledger: &Ledger, what: Purge, before: i64) -> usize {
    let mut next = Some(0);
    let mut count = 0;
    while let Some(after) = next {
        let purged = ledger.purge(what, at(before), at(before + 180 * DAY), after, 2).await.unwrap();
        (count, next) = (count + purged.count, purged.next);
    }
    count
}

/// Received then, delivered and receipted a second later.
async fn over(ledger: &Ledger, id: &str, seconds: i64) -> DeliveryKey {
    let message = NewMessage { received_at: at(seconds), ..message(id, vec![ready()]) };
    let key = accept_one(ledger, message).await;
    let receipt = SignedReceipt::from_ledger(Uuid::new_v4(), format!("bewijs.{seconds}.einde"));
    ledger.delivered(key, receipt, at(seconds + 1)).await.unwrap();
    ledger.receipt_sent(key).await.unwrap();
    key
}

async fn tidied(ledger: &Ledger) {
    // Answered only when what came before is tidied up.
    ledger.claim_due(at(-1), 1, LEASE).await.unwrap();
}

#[tokio::test]
async fn traffic_data_go_from_the_files_and_the_receipt_and_what_makes_a_duplicate_stay() {
    let ground = Ground::new().await;
    let ledger = tidy(&ground.place).await;
    over(&ledger, "GEPLANT-1", 0).await;
    over(&ledger, "GEPLANT-2", 10 * DAY).await;
    assert_eq!(pass(&ledger, Purge::Traffic, 5 * DAY).await, 1);
    tidied(&ledger).await;
    for (marker, stays) in [("GEPLANT-1", false), ("GEPLANT-2", true), ("bewijs.0.einde", true)] {
        assert_eq!(ground.holds(marker.as_bytes()).await, stays, "{marker}");
    }
    assert_eq!(count(&ledger, "SELECT count(*) FROM message WHERE traceparent IS NULL AND source = ''").await, 1);
    let again = ledger.accept(message("GEPLANT-1", vec![ready()])).await.unwrap();
    assert!(matches!(again, Accepted::Duplicate { receipts, .. } if receipts.len() == 1));
    assert_eq!(pass(&ledger, Purge::Traffic, 5 * DAY).await, 0);
}

#[tokio::test]
async fn after_its_term_nothing_of_a_message_is_left_in_any_file() {
    let ground = Ground::new().await;
    let ledger = tidy(&ground.place).await;
    for number in 0..5 {
        over(&ledger, &format!("GEPLANT-{number}-"), number * DAY).await;
    }
    assert_eq!(pass(&ledger, Purge::Log, 3 * DAY).await, 3);
    tidied(&ledger).await;
    for number in 0..3 {
        let (id, receipt) = (format!("GEPLANT-{number}-"), format!("bewijs.{}.einde", number * DAY));
        for marker in [id, receipt] {
            assert!(!ground.holds(marker.as_bytes()).await, "{marker}");
        }
    }
    assert!(ground.holds(b"GEPLANT-3-").await && ground.holds(b"GEPLANT-4-").await, "the others stay");
    for table in ["SELECT count(*) FROM message", "SELECT count(*) FROM delivery", "SELECT count(*) FROM receipt"] {
        assert_eq!(count(&ledger, table).await, 2, "{table}");
    }
}

#[tokio::test]
async fn what_waits_or_owes_a_receipt_stays_however_long_it_takes() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let waits = accept_one(ledger, message("a", vec![waiting(Outcome::Parked, None)])).await;
    let owes = accept_one(ledger, message("b", vec![ready()])).await;
    ledger.delivered(owes, receipt(), at(1)).await.unwrap();
    over(ledger, "c", 2).await;
    over(ledger, "d", 3).await;
    for what in [Purge::Traffic, Purge::Log] {
        assert!(pass(ledger, what, 9 * DAY).await > 0, "{what:?}");
    }
    let row = ledger.delivery(waits).await.unwrap();
    assert_eq!((row.outcome, row.id.as_str()), (Outcome::Parked, "a"));
    assert_eq!(ledger.delivery(owes).await.unwrap().id, "b");
    assert_eq!(count(ledger, "SELECT count(*) FROM raw").await, 1);

    // Once it is over, its own term begins.
    ledger.receipt_sent(owes).await.unwrap();
    ledger.discard(waits, "j.jansen", "vervallen", at(20 * DAY)).await.unwrap();
    ledger.attach_receipt(waits, receipt()).await.unwrap();
    ledger.receipt_sent(waits).await.unwrap();
    assert_eq!(pass(ledger, Purge::Traffic, 19 * DAY).await, 1);
    assert_eq!(ledger.delivery(waits).await.unwrap().id, "a");
    assert_eq!(pass(ledger, Purge::Traffic, 21 * DAY).await, 1);
    assert_eq!(ledger.delivery(waits).await.unwrap().id, "");
}

#[tokio::test]
async fn a_message_from_a_clock_that_was_wrong_holds_up_nothing() {
    let house = House::new().await;
    over(&house.ledger, "a", 9999 * DAY).await;
    over(&house.ledger, "b", 1).await;
    over(&house.ledger, "c", 2).await;
    assert_eq!(pass(&house.ledger, Purge::Log, DAY).await, 1);
}

#[tokio::test]
async fn a_series_is_forgotten_with_its_newest_message_only() {
    let house = House::new().await;
    let ledger = &house.ledger;
    for (id, sequence, seconds) in [("a", 1, 0), ("b", 2, 5 * DAY)] {
        let message = NewMessage { received_at: at(seconds), ..in_series(id, 7, sequence, vec![refused()]) };
        let key = accept_one(ledger, message).await;
        ledger.receipt_sent(key).await.unwrap();
    }
    over(ledger, "c", 9 * DAY).await;
    for (before, left) in [(DAY, 1), (6 * DAY, 0)] {
        assert_eq!(pass(ledger, Purge::Log, before).await, 1);
        assert_eq!(count(ledger, "SELECT count(*) FROM series").await, left);
    }
}

#[tokio::test]
async fn a_record_goes_when_no_version_of_it_can_count_and_a_withdrawal_never() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let until = |day: &str| format!(r#"{{"geldig_tot":"{day}"}}"#);
    for (number, (kind, id, content)) in [
        (Kind::Toestemming, "ended", until("2026-03-02")),
        (Kind::Beoordeling, "ended too", until("2026-03-02T08:00:00+01:00")),
        (Kind::Toestemming, "counts", until("2026-03-05")),
        (Kind::Toestemming, "without end", "{}".to_owned()),
        (Kind::Toestemming, "older version counts", until("2027-01-01")),
        (Kind::Toestemming, "older version counts", until("2026-03-02")),
        (Kind::Intrekking, "ended", "{}".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let record = Record { kind, id: id.to_owned(), sequence: None, content };
        let message = NewMessage {
            subject: person(Some(1), None),
            record: Some(record),
            ..message(&number.to_string(), vec![refused()])
        };
        accept(ledger, message).await;
    }
    // On 4 March.
    assert_eq!(pass(ledger, Purge::Records, 3 * DAY).await, 2);
    let left = ledger.records(person(Some(1), None), &[]).await.unwrap();
    let left: Vec<_> = left.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(left, ["counts", "without end", "older version counts", "older version counts", "ended"]);
}

#[tokio::test]
async fn what_went_is_on_record_by_day() {
    let house = House::new().await;
    let ledger = &house.ledger;
    for number in 0..6 {
        over(ledger, &number.to_string(), number).await;
    }
    pass(ledger, Purge::Log, 3).await;
    pass(ledger, Purge::Log, 4).await;
    pass(ledger, Purge::Log, DAY).await;
    let rows = found(ledger, "SELECT what, before, at, count FROM purge ORDER BY day").await;
    let read = |row: &Found| {
        let number = |place| row.get::<i64>(place).unwrap();
        (row.get::<String>(0).unwrap(), number(1), number(2), number(3))
    };
    let rows: Vec<_> = rows.iter().map(read).collect();
    let row = |before, count| ("log".to_owned(), micros(at(before)), micros(at(before + 180 * DAY)), count);
    assert_eq!(rows, [row(4, 3), row(DAY, 2)]);
}
