//! What is so of a file only: full disks, strange files, and a log that is emptied.

use super::houses::path_of;
use super::*;
use crate::record::{Kind, Record};
use file::File;
use sqlx::Connection as _;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

type House = super::House<AtFile>;
type Ground = houses::Ground<AtFile>;

#[tokio::test]
async fn a_batch_that_cannot_be_written_leaves_nothing_and_the_next_one_goes_on() {
    let ground = Ground::new().await;
    let file = File::at(path_of(&ground.place));
    let most_pages = file.most_pages.clone();
    most_pages.store(100, Ordering::Relaxed);
    let batch = NonZeroUsize::new(64).unwrap();
    let ledger = Ledger::open_store(Store::File(file), batch, keys_of(&[KEY]), QUIET).await.unwrap();
    let house = House { ledger, ground };
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
async fn once_it_is_quiet_the_log_holds_nothing_either() {
    let ground = Ground::new().await;
    let ledger = tidy(&ground.place).await;
    let key = accept_one(&ledger, message("a", vec![ready()])).await;
    let stored = stored_payload(&ledger).await;
    ledger.delivered(key, receipt(), at(1)).await.unwrap();
    // Answered only when what came before is tidied up.
    ledger.claim_due(at(1), 10, LEASE).await.unwrap();
    assert_eq!(std::fs::metadata(path_of(&ground.place).with_extension("db-wal")).unwrap().len(), 0);
    assert!(!ground.holds(b"UITGAAND persoon").await && !ground.holds(&stored[0]).await);
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
        let mode = std::fs::metadata(house.ground.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// Two would each take what the other has in hand for what a crash left behind.
#[tokio::test]
async fn a_second_gateway_at_the_same_file_is_refused_and_an_operators_command_is_not() {
    let house = House::new().await;
    let second = Ledger::open(house.place(), NonZeroUsize::MIN, keys_of(&[KEY])).await;
    let Err(refused) = second else { panic!("two gateways at one file") };
    assert!(refused.to_string().starts_with("KP-6010 another gateway has this ledger"), "{refused}");
    Ledger::open_beside(house.place()).await.unwrap().close().await;
    house.ledger.close().await;
    open(house.place()).await;
}

#[tokio::test]
async fn there_is_nothing_beside_a_file_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    assert!(matches!(Ledger::open_beside(&path).await, Err(Error::Unavailable)));
    assert!(!path.exists());
}

fn consent(subject: Subject) -> NewMessage {
    let record = Record { kind: Kind::Toestemming, id: "a".to_owned(), sequence: None, content: "{}".to_owned() };
    NewMessage { subject, record: Some(record), ..message("1", vec![refused()]) }
}

#[tokio::test]
async fn nothing_is_current_while_a_record_is_being_written() {
    let house = House::new().await;
    let subject = person(Some(1), None);
    let before = house.ledger.mark(subject).await;
    let blocked = blocked(&house).await;
    let writing = house.ledger.accept(consent(subject));
    let looking = async {
        // Polled after the other, which has begun by then.
        let during = house.ledger.mark(subject).await;
        assert!(!house.ledger.is_current(&before).await && !house.ledger.is_current(&during).await);
        blocked.go().await;
        during
    };
    let (written, during) = tokio::join!(writing, looking);
    written.unwrap();
    assert!(!house.ledger.is_current(&during).await, "what was read meanwhile may have missed it");
    let after = house.ledger.mark(subject).await;
    assert!(house.ledger.is_current(&after).await);
}

const FULL: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) \
    INSERT INTO message SELECT i, randomblob(16), 'urn:nld:oin:00000099000900000001:systeem:tulp', hex(randomblob(16)), \
    randomblob(32), 0, 'nl.ketenpoort.detentie.verlof-aangekondigd.v1', 'dji', i, printf('%055d', i), randomblob(32), 1, \
    randomblob(16), randomblob(16), printf('%0240d', i), '3f9a5e0c11d2', '77ab01cd-90ef3412', i, i, 0 FROM n; \
    INSERT INTO delivery SELECT key, key, identity, 'gemeente:0363', 'gemeente-college', 1, 'retrying', '{}', 1, NULL, 0, NULL, \
    0, NULL, 1, NULL, NULL, 0, NULL, 0 FROM message WHERE key > 900000";

/// `cargo test --lib a_million_messages -- --ignored --nocapture` (about 800 MB on disk): what looking through all of
/// them takes, and what a record takes that looks through a hundred thousand that wait.
#[tokio::test]
#[ignore = "a measurement"]
async fn a_million_messages() {
    let house = House::new().await;
    query(FULL).execute(&mut houses::beside(&house.place()).await).await.unwrap();
    let subject = person(Some(1), Some(2));
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(house.ledger.disclosed(subject, at(0)).await.unwrap().len(), 0);
        println!("disclosed: {:?}", begun.elapsed());
    }
    for id in ["a", "b", "c"] {
        let content = "{}".to_owned();
        let record = Record { kind: Kind::Toestemming, id: id.to_owned(), sequence: None, content };
        let begun = Instant::now();
        accept(&house.ledger, NewMessage { subject, record: Some(record), ..message(id, vec![refused()]) }).await;
        println!("a record: {:?}", begun.elapsed());
    }
}
