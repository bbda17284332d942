//! Kills, full disks, strange files, and bytes that must be gone.

use super::*;
use sqlx::Connection;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

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
async fn a_batch_that_cannot_be_written_leaves_nothing_and_the_next_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::at(&folder.path().join("ledger.db"));
    let most_pages = file.most_pages.clone();
    most_pages.store(100, Ordering::Relaxed);
    let ledger = Ledger::open_file(file, NonZeroUsize::new(64).unwrap(), keys_of(&[KEY]), QUIET).await.unwrap();
    let house = House { folder, ledger };
    let ledger = &house.ledger;
    let key = accept_one(ledger, message("a", vec![ready()])).await;
    let large = |id: &str| {
        let outgoing = Outgoing { body: Personal::new(vec![7; 1_000_000]), ..outgoing() };
        message(id, vec![delivery(State::Ready(outgoing))])
    };
    let batch = blocked(&house).await;
    let (retried, refused, _) =
        tokio::join!(ledger.retry(key, 9, at(9), reason(Code::DeliveryFailed)), ledger.accept(large("c")), batch.go(),);
    assert!(matches!(retried, Err(Error::Unavailable)));
    assert!(matches!(refused, Err(Error::Unavailable)));
    assert!(!ledger.is_writable());
    let row = ledger.delivery(key).await.unwrap();
    assert_eq!((row.attempts, row.again_at), (0, None), "nothing of the batch was done");

    most_pages.store(0, Ordering::Relaxed);
    assert!(ledger.retry(key, 9, at(9), reason(Code::DeliveryFailed)).await.is_ok());
    assert!(ledger.is_writable());
    accept(ledger, large("c")).await;
}

#[tokio::test]
async fn bytes_that_are_no_longer_needed_are_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path).await;
    // Long enough to lie on pages of their own, too.
    let long = |marker: &str| Personal::new(marker.repeat(2000).into_bytes());
    let mut keys = Vec::new();
    for number in 0..20 {
        let outgoing = Outgoing { body: long("UITGAAND-BSN"), ..outgoing() };
        let deliveries = vec![delivery(State::Ready(outgoing.clone())), volatile(State::Ready(outgoing)), ready()];
        let message = NewMessage { raw: long("INKOMEND-BSN"), ..message(&number.to_string(), deliveries) };
        keys.extend(accept(&ledger, message).await);
    }
    let stored = stored_payload(&ledger).await;
    assert!(stored.iter().all(|sealed| holds_bytes(&path, sealed)), "it lies there sealed");
    for key in keys {
        ledger.delivered(key, receipt(), at(1)).await.unwrap();
    }
    ledger.close().await;
    assert!(!path.with_extension("db-wal").exists());
    assert!(!stored.iter().any(|sealed| holds_bytes(&path, sealed)), "nor sealed");
    for marker in ["UITGAAND-BSN", "INKOMEND-BSN", "UITGAAND persoon", "RAUW"] {
        assert!(!holds(&path, marker), "{marker}");
    }
    assert!(holds(&path, "handtekening"), "the receipts stay");
}

#[tokio::test]
async fn once_it_is_quiet_the_log_holds_nothing_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = Ledger::open_file(File::at(&path), NonZeroUsize::MIN, keys_of(&[KEY]), Duration::ZERO).await.unwrap();
    let key = accept_one(&ledger, message("a", vec![ready()])).await;
    let stored = stored_payload(&ledger).await;
    ledger.delivered(key, receipt(), at(1)).await.unwrap();
    // Answered only when what came before is tidied up.
    ledger.claim_due(at(1), 10, LEASE).await.unwrap();
    assert_eq!(std::fs::metadata(path.with_extension("db-wal")).unwrap().len(), 0);
    assert!(!holds(&path, "UITGAAND persoon") && !holds_bytes(&path, &stored[0]));
}

/// The beginning of every sealed value.
async fn stored_payload(ledger: &Ledger) -> Vec<Vec<u8>> {
    let sealed = "SELECT substr(content, 1, 24) FROM raw UNION ALL SELECT substr(body, 1, 24) FROM pending WHERE body IS NOT NULL";
    sqlx::query_scalar(sealed).fetch_all(&ledger.readers).await.unwrap()
}

pub(super) fn holds(path: &Path, marker: &str) -> bool {
    holds_bytes(path, marker.as_bytes())
}

fn holds_bytes(path: &Path, marker: &[u8]) -> bool {
    let in_file = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(marker.len()).any(|window| window == marker)
    };
    ["db", "db-wal", "db-shm"].iter().any(|extension| in_file(&path.with_extension(extension)))
}

#[tokio::test]
async fn only_a_file_of_ours_and_of_this_version_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(&text, "dit is geen databank, maar wel een lang genoeg bestand".repeat(100)).unwrap();
    let foreign = folder.path().join("foreign.db");
    let newer = folder.path().join("newer.db");
    open(&newer).await.close().await;
    for (path, statement) in [(&foreign, "CREATE TABLE theirs (a)"), (&newer, "PRAGMA user_version = 99")] {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::query(statement).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    for path in [&text, &foreign, &newer] {
        let before = std::fs::read(path).unwrap();
        assert!(
            matches!(Ledger::open(path, NonZeroUsize::MIN, keys_of(&[KEY])).await, Err(Error::Unusable)),
            "{}",
            path.display()
        );
        assert!(matches!(Ledger::open_beside(path).await, Err(Error::Unusable)), "{}", path.display());
        assert_eq!(std::fs::read(path).unwrap(), before, "{} is left as it was", path.display());
    }
    let nowhere = folder.path().join("no such folder/ledger.db");
    assert!(matches!(Ledger::open(&nowhere, NonZeroUsize::MIN, keys_of(&[KEY])).await, Err(Error::Unavailable)));
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    let house = House::new().await;
    accept(&house.ledger, message("a", vec![ready()])).await;
    for name in ["ledger.db", "ledger.db-wal"] {
        let mode = std::fs::metadata(house.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
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
    let ledger = open(&house.path()).await;
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
    let beside = Ledger::open_beside(&house.path()).await.unwrap();
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

#[tokio::test]
async fn who_reads_for_long_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::at(&folder.path().join("ledger.db"));
    let ledger = Ledger::open_file(file, NonZeroUsize::MIN, keys_of(&[KEY]), Duration::ZERO).await.unwrap();
    let mut reader = ledger.log().await.unwrap();
    reader.last().await.unwrap();
    accept_one(&ledger, message("a", vec![ready()])).await;
    // Its log cannot be emptied now.
    let meanwhile = accept_one(&ledger, message("b", vec![ready()]));
    assert!(tokio::time::timeout(Duration::from_secs(4), meanwhile).await.is_ok());
}
