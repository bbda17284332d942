//! Payload in the file is sealed, under keys that change, and is never lost for want of one.

use super::*;

const MARKERS: [&str; 2] = ["RAUW persoonsgegeven", "UITGAAND persoonsgegeven"];

/// One that keeps what came in, one that keeps what goes out; both are due.
async fn waits(ledger: &Ledger) -> [DeliveryKey; 2] {
    let raw = accept_one(ledger, message("a", vec![waiting(Outcome::Held, Some(at(1)))])).await;
    let body = accept_one(ledger, message("b", vec![ready()])).await;
    ledger.retry(body, 1, at(1), reason(Code::DeliveryFailed)).await.unwrap();
    [raw, body]
}

fn content(due: &Due) -> Option<&[u8]> {
    let body = due.outgoing.as_ref().map(|outgoing| &outgoing.body);
    due.raw.as_ref().or(body).map(|bytes| bytes.reveal_personal_data().as_slice())
}

#[tokio::test]
async fn what_waits_is_nowhere_in_clear() {
    let house = House::new().await;
    let keys = waits(&house.ledger).await;
    for marker in MARKERS {
        assert!(!house.holds(marker).await, "{marker}");
    }
    assert!(house.holds("urn:nld:oin").await, "the files are those");
    let due = house.ledger.claim_due(at(2), 10, LEASE).await.unwrap();
    assert_eq!(due.iter().map(|due| due.delivery).collect::<Vec<_>>(), keys);
    assert_eq!(due.iter().map(content).collect::<Vec<_>>(), MARKERS.map(|marker| Some(marker.as_bytes())));
}

#[tokio::test]
async fn after_a_rotation_older_payload_is_read_and_newer_is_under_the_new_key_only() {
    let ground = Ground::new().await;
    let ledger = open_with(&ground.place, &[KEY]).await;
    waits(&ledger).await;
    ledger.close().await;

    let ledger = open_with(&ground.place, &[NEWER_KEY, KEY]).await;
    let newer = accept_one(&ledger, message("c", vec![waiting(Outcome::Held, Some(at(1)))])).await;
    let due = ledger.claim_due(at(2), 10, LEASE).await.unwrap();
    assert_eq!(due.iter().filter_map(content).count(), 3);
    ledger.close().await;

    let ledger = open_with(&ground.place, &[NEWER_KEY]).await;
    let due = ledger.claim_due(later(), 10, LEASE).await.unwrap();
    let readable: Vec<_> = due.iter().filter(|due| content(due).is_some()).map(|due| due.delivery).collect();
    assert_eq!((due.len(), readable), (3, vec![newer]));
}

#[tokio::test]
async fn under_an_unknown_key_it_is_told_parked_and_goes_on_when_the_key_is_back() {
    let ground = Ground::new().await;
    let ledger = open_with(&ground.place, &[KEY]).await;
    let keys = waits(&ledger).await;
    ledger.close().await;

    let ledger = open_with(&ground.place, &[NEWER_KEY]).await;
    let due = ledger.claim_due(at(2), 10, LEASE).await.unwrap();
    let unknown = SealError::UnknownKey(keys_of(&[KEY]).current_id().unwrap());
    for due in &due {
        assert_eq!((content(due), due.unreadable.as_ref()), (None, Some(&unknown)));
        ledger.wait(due.delivery, Outcome::Parked, reason(Code::PayloadUnreadable), None).await.unwrap();
    }
    ledger.close().await;

    let ledger = open_with(&ground.place, &[NEWER_KEY, KEY]).await;
    for key in keys {
        ledger.replay(key, "j.jansen", "sleutel is terug", at(3)).await.unwrap();
    }
    let due = ledger.claim_due(at(3), 10, LEASE).await.unwrap();
    assert_eq!(due.iter().map(content).collect::<Vec<_>>(), MARKERS.map(|marker| Some(marker.as_bytes())));
}
