//! A job takes each delivery of its frozen list at most once, whoever else does something with it.

use super::*;
use crate::ledger::{JobState, NewJob, What};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

async fn parked(ledger: &Ledger, id: &str) -> DeliveryKey {
    accept_one(ledger, message(id, vec![waiting(Outcome::Parked, None)])).await
}

fn replay_all(most: usize) -> NewJob {
    NewJob {
        what: What::Replay,
        who: "j.jansen".to_owned(),
        why: "verholpen".to_owned(),
        rate: 10,
        outcomes: vec![Outcome::Parked],
        recipient: String::new(),
        most,
    }
}

async fn run(ledger: &Ledger, job: i64, holder: &str) {
    loop {
        let items = ledger.take_of_job(job, holder, MINUTE, 2).await.unwrap();
        if items.is_empty() {
            return;
        }
        let mut results = Vec::new();
        for item in items {
            let done = ledger.replay_as_seen(item.delivery, item.seen, "j.jansen", "x", at(90)).await;
            results.push((item.place, done.is_ok()));
        }
        ledger.mark_of_job(job, results).await.unwrap();
    }
}

#[tokio::test]
async fn the_list_is_frozen_and_what_changed_meanwhile_is_passed_over() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let mut keys = Vec::new();
    for id in ["a", "b", "c", "d"] {
        keys.push(parked(ledger, id).await);
    }
    let job = ledger.make_job(replay_all(3)).await.unwrap();
    parked(ledger, "later").await;
    // Replayed by somebody else and parked again: not as it was seen.
    ledger.replay(keys[1], "p.peters", "x", at(70)).await.unwrap();
    ledger.wait(keys[1], Outcome::Parked, reason(Code::RecipientRefused), None).await.unwrap();
    let dry = ledger.try_job_dry(job).await.unwrap();
    assert_eq!(dry.iter().map(|of| (of.would, of.count)).collect::<Vec<_>>(), [(2, 3)]);
    assert!(matches!(ledger.take_of_job(job, "one", MINUTE, 2).await, Err(Error::NoSuchRow)), "not begun");

    ledger.start_job(job).await.unwrap();
    run(ledger, job, "one").await;
    let ended = ledger.job(job).await.unwrap();
    assert_eq!((ended.state, ended.count, ended.done, ended.changed), (JobState::Finished, 3, 2, 1));
    for (key, expected) in keys.iter().zip([Outcome::Retrying, Outcome::Parked, Outcome::Retrying, Outcome::Parked]) {
        assert_eq!(outcome(ledger, *key).await, expected, "{key}");
    }
    assert!(matches!(ledger.start_job(job).await, Err(Error::NoSuchRow)), "over is over");
}

#[tokio::test]
async fn one_holds_it_at_a_time_and_after_a_crash_nothing_is_done_twice() {
    let house = House::new().await;
    let ledger = &house.ledger;
    let keys = [parked(ledger, "a").await, parked(ledger, "b").await];
    let job = ledger.make_job(replay_all(10)).await.unwrap();
    ledger.start_job(job).await.unwrap();
    let items = ledger.take_of_job(job, "one", SignedDuration::from_millis(1), 1).await.unwrap();
    // Done, but not marked: whoever held it is gone.
    ledger.replay_as_seen(items[0].delivery, items[0].seen, "j.jansen", "x", at(90)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(ledger.take_of_job(job, "two", MINUTE, 1).await.unwrap(), items);
    assert!(matches!(ledger.take_of_job(job, "three", MINUTE, 1).await, Err(Error::NoSuchRow)));
    run(ledger, job, "two").await;
    let ended = ledger.job(job).await.unwrap();
    assert_eq!((ended.done, ended.changed), (1, 1));
    let acted = ledger.actions(i64::MAX, 10).await.unwrap();
    for key in keys {
        assert_eq!(acted.iter().filter(|acted| acted.delivery == Some(key)).count(), 1, "{key}");
    }
}

#[tokio::test]
async fn it_can_be_stopped_and_goes_on_where_it_was() {
    let house = House::new().await;
    let ledger = &house.ledger;
    for id in ["a", "b", "c"] {
        parked(ledger, id).await;
    }
    let job = ledger.make_job(replay_all(10)).await.unwrap();
    ledger.start_job(job).await.unwrap();
    let first = ledger.take_of_job(job, "one", MINUTE, 1).await.unwrap();
    ledger.mark_of_job(job, vec![(first[0].place, true)]).await.unwrap();
    ledger.stop_job(job).await.unwrap();
    assert!(matches!(ledger.take_of_job(job, "one", MINUTE, 1).await, Err(Error::NoSuchRow)));
    assert!(ledger.running_jobs().await.unwrap().is_empty());
    ledger.start_job(job).await.unwrap();
    assert_eq!(ledger.take_of_job(job, "two", MINUTE, 1).await.unwrap()[0].place, 2);
}

#[tokio::test]
async fn it_is_forgotten_with_what_persons_did_unless_it_still_runs() {
    let house = House::new().await;
    let ledger = &house.ledger;
    parked(ledger, "a").await;
    let over = ledger.make_job(replay_all(10)).await.unwrap();
    let running = ledger.make_job(replay_all(10)).await.unwrap();
    ledger.start_job(running).await.unwrap();
    let forget = async |before| {
        ledger.purge(Purge::Actions, before, later(), 0, 100).await.unwrap();
        ledger.jobs().await.unwrap().iter().map(|job| job.key).collect::<Vec<_>>()
    };
    assert_eq!(forget(at(0)).await, [running, over]);
    assert_eq!(forget(later()).await, [running]);
    assert_eq!(count(ledger, "SELECT count(*) FROM job_item").await, 1);
}
