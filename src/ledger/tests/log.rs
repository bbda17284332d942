//! The disclosure log, whatever the ledger lies in. What is so of the log itself, its own tests say.

use super::*;
use crate::disclosurelog::append::{Appender, Progress};
use crate::disclosurelog::prove;
use crate::disclosurelog::verify::{Measure, Report, walk};
use crate::receipt::keys::{KeySet, Signer};

const DAY: i64 = 24 * 3600;

async fn grow(ledger: &Ledger, signer: &Signer) {
    let (keys, progress) = (keys_of(&[KEY]), Progress::new(at(0)));
    let mut appender =
        Appender::new(ledger, signer, "urn:nld:oin:00000099000900000000:systeem:ketenpoort", &keys, &progress);
    while appender.step(at(0)).await.unwrap() > 0 {}
}

async fn verified(ledger: &Ledger, signer: &Signer) -> Report {
    let keys = KeySet { keys: vec![signer.key()] };
    let measure = Measure { keys: &keys, ledger: &keys_of(&[KEY]), since: None, kept_since: micros(at(3 * DAY)) };
    let report = walk(ledger, &measure, |_, _| ()).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
    report
}

#[tokio::test]
async fn the_log_grows_proves_forgets_and_is_purged() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let key = house.ground.folder.path().join("key.pem");
    Signer::generate(&key).unwrap();
    let signer = Signer::read(&key).unwrap();
    let mut receipts = Vec::new();
    for number in 0..5 {
        let (id, seconds) = (number.to_string(), i64::from(number) * DAY);
        let subject = person(Some(number), Some(100 + number));
        let message = NewMessage { received_at: at(seconds), subject, ..message(&id, vec![ready()]) };
        let key = accept_one(ledger, message).await;
        let receipt = receipt();
        ledger.delivered(key, receipt.clone(), at(seconds + 1)).await.unwrap();
        ledger.receipt_sent(key).await.unwrap();
        receipts.push(receipt.id());
    }
    grow(ledger, &signer).await;
    let report = verified(ledger, &signer).await;
    assert_eq!((report.size, report.entries, report.pending), (5, 5, 0));
    let proof = prove::inclusion(ledger, receipts[4]).await.unwrap().unwrap();
    assert_eq!((proof.position, proof.size), (4, 5));
    assert!(prove::consistency(ledger, 3, None).await.unwrap().is_some());

    let kept = ledger.forget(person(Some(3), None), "h.visser", "verzoek", at(9 * DAY), at(3 * DAY)).await;
    assert!(matches!(kept, Err(Error::Kept)));
    assert_eq!(ledger.forget(person(Some(3), None), "h.visser", "verzoek", at(9 * DAY), at(4 * DAY)).await.unwrap(), 1);
    assert_eq!(verified(ledger, &signer).await.anonymous, 1);

    for (what, count) in [(Purge::Log, 3), (Purge::Entries, 3)] {
        assert_eq!(ledger.purge(what, at(3 * DAY), at(9 * DAY), 0, 100).await.unwrap().count, count, "{what:?}");
        verified(ledger, &signer).await;
    }
    grow(ledger, &signer).await;
    let report = verified(ledger, &signer).await;
    assert_eq!((report.purged, report.entries), (3, report.size - 3));
    assert_eq!(prove::inclusion(ledger, receipts[4]).await.unwrap().unwrap().entry, proof.entry);
    assert_eq!(ledger.purge(Purge::Persons, at(99 * DAY), at(99 * DAY), 0, 100).await.unwrap().count, 8);
}
