//! A newer message of a series ends the older ones; what may be going out just now ends when it is known.

use super::*;

const SENT_PERHAPS: &str = "a newer notification was processed; an attempt may have reached the recipient before";

/// What whoever holds a delivery may say of it.
#[derive(Clone, Copy, Debug)]
enum Report {
    Delivered,
    Retry,
    Wait,
    MakeReady,
}

#[tokio::test]
async fn what_waits_ends_at_once_when_a_newer_one_comes() {
    for state in [Outcome::Held, Outcome::AwaitingAssessment, Outcome::Retrying, Outcome::Parked] {
        let house = House::new().await;
        let older = in_series("a", 7, 1, vec![waiting(state, Some(at(50)))]);
        let key = accept_one(&house.ledger, older).await;
        let newer = accept_one(&house.ledger, in_series("b", 7, 2, vec![ready()])).await;
        let row = house.ledger.delivery(key).await.unwrap();
        assert_eq!(row.outcome, Outcome::Superseded, "{state:?}");
        assert_eq!(row.reason.unwrap().detail, Code::Superseded.hint(), "{state:?}");
        assert_eq!(owing(&house.ledger).await, [key]);
        assert_eq!(count(&house.ledger, "SELECT count(*) FROM raw").await, 0);
        assert_eq!(keys_due(&house.ledger, later()).await, [newer]);
    }
}

#[tokio::test]
async fn what_was_tried_says_that_it_may_have_arrived() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, in_series("a", 7, 1, vec![ready()])).await;
    house.ledger.retry(key, 1, at(50), reason(Code::DeliveryFailed)).await.unwrap();
    accept(&house.ledger, in_series("b", 7, 2, vec![ready()])).await;
    let row = house.ledger.delivery(key).await.unwrap();
    assert_eq!((row.outcome, row.reason.unwrap().detail.as_str()), (Outcome::Superseded, SENT_PERHAPS));
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM pending WHERE body IS NOT NULL").await, 1);
}

#[tokio::test]
async fn what_is_being_sent_ends_when_its_holder_reports() {
    let cases = [
        (Report::Delivered, Outcome::Delivered),
        (Report::Retry, Outcome::Superseded),
        (Report::Wait, Outcome::Superseded),
        (Report::MakeReady, Outcome::Superseded),
    ];
    for (report, ends) in cases {
        let house = House::new().await;
        let ledger = &house.ledger;
        let key = accept_one(ledger, in_series("a", 7, 1, vec![ready()])).await;
        accept(ledger, in_series("b", 7, 2, vec![refused()])).await;
        assert_eq!(outcome(ledger, key).await, Outcome::Retrying, "nobody knows yet");
        assert!(ledger.is_superseded(key).await.unwrap(), "but it is not to be sent any more");
        match report {
            Report::Delivered => drop(ledger.delivered(key, receipt(), at(1)).await.unwrap()),
            Report::Retry => {
                let retried = ledger.retry(key, 1, at(9), reason(Code::DeliveryFailed)).await.unwrap();
                assert_eq!(retried, Retry::Superseded);
            }
            Report::Wait => {
                let waits = ledger.wait(key, Outcome::Held, reason(Code::Held), Some(at(9))).await;
                assert!(matches!(waits, Err(Error::NoSuchRow)));
            }
            Report::MakeReady => {
                let made = ledger.make_ready(key, outgoing(), decision("nu")).await;
                assert!(matches!(made, Err(Error::NoSuchRow)));
            }
        }
        let row = ledger.delivery(key).await.unwrap();
        assert_eq!(row.outcome, ends, "{report:?}");
        if ends == Outcome::Superseded {
            assert_eq!(row.reason.unwrap().detail, SENT_PERHAPS);
            assert_eq!(owing(ledger).await, [key]);
        }
    }
}

#[tokio::test]
async fn a_holder_that_never_reports_does_not_keep_it_for_ever() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, in_series("a", 7, 1, vec![ready()])).await;
    accept(&house.ledger, in_series("b", 7, 2, vec![refused()])).await;
    assert_eq!(keys_due(&house.ledger, at(300)).await, []);
    assert_eq!(outcome(&house.ledger, key).await, Outcome::Superseded);
    assert_eq!(owing(&house.ledger).await, [key]);
}

#[tokio::test]
async fn what_comes_late_is_recorded_as_superseded() {
    let house = House::new().await;
    accept(&house.ledger, in_series("b", 7, 2, vec![refused()])).await;
    let late = in_series("a", 7, 1, vec![ready(), waiting(Outcome::Held, Some(at(9))), refused()]);
    assert!(matches!(house.ledger.accept(late.clone()).await.unwrap(), Accepted::Superseded { .. }));
    let owing = house.ledger.unreceipted(10).await.unwrap();
    assert_eq!(owing.len(), 2);
    for due in &owing {
        assert_eq!((due.outcome, due.reason.as_ref().unwrap().code), (Outcome::Superseded, Code::Superseded));
        assert_eq!(due.reason.as_ref().unwrap().detail, Code::Superseded.hint(), "it was never sent");
        assert_eq!(due.decision, decision("toen"));
        assert!(due.outgoing.is_none() && due.raw.is_none());
    }
    assert_eq!(count(&house.ledger, "SELECT count(*) FROM raw").await, 0);
    // The receipt of the refusal is told to nobody, and so is due at once.
    let due = house.ledger.receipts_due(at(0), 10, LEASE).await.unwrap();
    assert_eq!(due.iter().map(|due| due.receipt_id).collect::<Vec<_>>(), [final_receipt(&late)]);
    // A repetition is a repetition, also of what came late.
    let again = house.ledger.accept(late).await.unwrap();
    assert!(matches!(again, Accepted::Duplicate { receipts, .. } if receipts.len() == 1));
}

fn final_receipt(message: &NewMessage) -> Uuid {
    let receipt = message.deliveries.iter().find_map(|delivery| match &delivery.state {
        State::Final { receipt, .. } => Some(receipt.id()),
        _ => None,
    });
    receipt.unwrap()
}

#[tokio::test]
async fn what_was_superseded_gets_its_receipt_once() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, in_series("a", 7, 1, vec![waiting(Outcome::Held, None)])).await;
    accept(&house.ledger, in_series("b", 7, 2, vec![refused()])).await;
    let signed = receipt();
    let due = house.ledger.attach_receipt(key, signed.clone()).await.unwrap();
    assert_eq!(due.jws, signed);
    assert!(matches!(house.ledger.attach_receipt(key, receipt()).await, Err(Error::NoSuchRow)));
    assert_eq!(owing(&house.ledger).await, []);
    assert_eq!(house.ledger.receipts_due(later(), 10, LEASE).await.unwrap().len(), 2);
    // Too late to have been delivered otherwise: the receipt is out.
    let delivered = house.ledger.delivered(key, receipt(), at(9)).await.unwrap();
    assert_eq!(delivered.jws, signed);
}

#[tokio::test]
async fn that_it_went_out_weighs_more_than_a_newer_one() {
    let house = House::new().await;
    let key = accept_one(&house.ledger, in_series("a", 7, 1, vec![ready()])).await;
    house.ledger.retry(key, 1, at(50), reason(Code::DeliveryFailed)).await.unwrap();
    accept(&house.ledger, in_series("b", 7, 2, vec![refused()])).await;
    let finished = house.ledger.finish(key, Outcome::Refused, reason(Code::NoGround), receipt(), at(9)).await;
    assert!(matches!(finished, Err(Error::NoSuchRow)));
    house.ledger.delivered(key, receipt(), at(9)).await.unwrap();
    assert_eq!(outcome(&house.ledger, key).await, Outcome::Delivered);
    assert_eq!(owing(&house.ledger).await, []);
}

#[tokio::test]
async fn equal_sequences_and_other_series_leave_each_other_alone() {
    let house = House::new().await;
    let batch = blocked(&house).await;
    let held = |id| in_series(id, 7, 2, vec![waiting(Outcome::Held, Some(at(9)))]);
    let (first, equal, _) =
        tokio::join!(accept_one(&house.ledger, held("a")), accept_one(&house.ledger, held("b")), batch.go());
    let later = accept_one(&house.ledger, held("e")).await;
    let other = accept_one(&house.ledger, in_series("c", 8, 3, vec![waiting(Outcome::Held, Some(at(9)))])).await;
    let none = accept_one(&house.ledger, message("d", vec![waiting(Outcome::Held, Some(at(9)))])).await;
    let all = [first, equal, later, other, none];
    for key in all {
        assert!(!house.ledger.is_superseded(key).await.unwrap());
    }
    assert_eq!(keys_due(&house.ledger, at(9)).await, all);
    assert!(matches!(house.ledger.is_superseded(DeliveryKey(99)).await, Err(Error::NoSuchRow)));
}

#[tokio::test]
async fn a_newer_one_in_the_same_batch_counts_as_well() {
    let house = House::new().await;
    let batch = blocked(&house).await;
    let (first, waits, newer, late, _) = tokio::join!(
        house.ledger.accept(in_series("a", 7, 1, vec![ready()])),
        house.ledger.accept(in_series("b", 7, 2, vec![waiting(Outcome::Held, None)])),
        house.ledger.accept(in_series("c", 7, 5, vec![ready()])),
        house.ledger.accept(in_series("d", 7, 4, vec![ready()])),
        batch.go(),
    );
    let Accepted::New { deliveries: first, .. } = first.unwrap() else { panic!("not new") };
    let Accepted::New { deliveries: waits, .. } = waits.unwrap() else { panic!("not new") };
    assert!(matches!(newer.unwrap(), Accepted::New { .. }));
    assert!(matches!(late.unwrap(), Accepted::Superseded { .. }));
    assert_eq!(outcome(&house.ledger, waits[0]).await, Outcome::Superseded);
    let retried = house.ledger.retry(first[0], 1, at(9), reason(Code::DeliveryFailed)).await.unwrap();
    assert_eq!(retried, Retry::Superseded);
}

#[tokio::test]
async fn a_refused_newer_one_counts_too_and_the_highest_is_remembered() {
    let house = House::new().await;
    accept(&house.ledger, in_series("a", 7, 5, vec![refused()])).await;
    let reopened = house.killed().await;
    let late = reopened.ledger.accept(in_series("b", 7, 4, vec![ready()])).await.unwrap();
    assert!(matches!(late, Accepted::Superseded { .. }));
}
