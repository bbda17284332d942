use super::entry::{Entry, Kind};
use super::scene::{KEY, NEWER_KEY, Scene, day, person};
use super::tree::is_consistent;
use super::verify::Report;
use super::{Error, head, prove};
use crate::ledger::{self, Purge};
use crate::receipt::SignedReceipt;
use crate::record::Subject;
use jiff::Timestamp;

mod tampering;

/// Receipts of three persons, some of them known by two numbers, with an action and a purge among them.
async fn filled(receipts: u8) -> (Scene, Vec<SignedReceipt>) {
    let scene = Scene::new().await;
    let mut made = Vec::new();
    for number in 0..receipts {
        let subject =
            [person(Some(1), None), person(Some(2), Some(12)), person(None, Some(3))][usize::from(number % 3)];
        made.push(scene.refused(&format!("m{number}"), subject, day(0)).await);
    }
    scene.ledger.note(person(Some(1), None), "h.visser", "subject", "inzageverzoek").await.unwrap();
    scene.ledger.purge(Purge::Traffic, day(1), day(1), 0, 1).await.unwrap();
    (scene, made)
}

async fn purge(scene: &Scene, what: Purge, before: Timestamp) -> usize {
    let (mut next, mut count) = (Some(0), 0);
    while let Some(after) = next {
        let purged = scene.ledger.purge(what, before, day(6000), after, 3).await.unwrap();
        (count, next) = (count + purged.count, purged.next);
    }
    count
}

async fn inclusion(scene: &Scene, receipt: &SignedReceipt) -> prove::Inclusion {
    prove::inclusion(&scene.ledger, receipt.id()).await.unwrap().unwrap()
}

fn assert_clean(report: &Report) {
    assert!(report.is_clean(), "{:#?}", report.findings);
}

#[tokio::test]
async fn every_record_comes_into_the_tree_once_and_in_order() {
    let (scene, _) = filled(5).await;
    assert_eq!(prove::newest_head(&scene.ledger).await.unwrap(), None);
    assert_eq!(scene.logged().await.size, 7);
    assert_eq!(scene.logged().await.size, 7, "nothing new");
    scene.refused("later", Subject::default(), day(0)).await;
    let head = scene.logged().await;
    assert_eq!(head.size, 8);
    let kinds = scene.text("SELECT kind FROM log_entry ORDER BY position").await;
    assert_eq!(kinds, [["receipt"; 5].as_slice(), &["action", "purge", "receipt"]].concat());
    let report = scene.verified().await;
    assert_clean(&report);
    assert_eq!((report.size, report.entries, report.pending), (8, 8, 0));

    scene.refused("not yet", Subject::default(), day(0)).await;
    assert_eq!(scene.verified().await.pending, 1);
}

#[tokio::test]
async fn an_entry_says_what_it_is_about_and_nothing_that_can_be_guessed() {
    let (scene, receipts) = filled(3).await;
    scene.logged().await;
    let entries = scene.text("SELECT content FROM log_entry ORDER BY position").await;
    let entry: Entry = serde_json::from_str(&entries[1]).unwrap();
    assert_eq!(entry.canonical(), entries[1]);
    let said = [&entry.receipt, &entry.recipient, &entry.role, &entry.sender, &entry.outcome, &entry.policy_version];
    let id = receipts[1].id().to_string();
    let expected = [&id, "gemeente:0363", "gemeente-college", "dji", "refused", "p1"];
    assert_eq!(said.map(|said| said.as_deref().unwrap()), expected.map(|said: &str| said));
    assert!(entry.person_bsn.is_some() && entry.person_skn.is_some() && entry.message.is_some());
    let entry: Entry = serde_json::from_str(&entries[3]).unwrap();
    assert_eq!((entry.kind, entry.what.as_deref()), (Kind::Action, Some("subject")));
    for entry in &entries {
        assert!(!entry.contains("m1\"}") && !entry.contains("visser") && !entry.contains("inzage"), "{entry}");
        let value: serde_json::Value = serde_json::from_str(entry).unwrap();
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        let written = names.clone();
        names.sort();
        assert_eq!(written, names, "the canonical order");
    }
}

#[tokio::test]
async fn each_head_continues_those_before_it_whenever_the_gateway_was_killed() {
    let scene = Scene::new().await;
    let mut heads: Vec<head::Head> = Vec::new();
    for number in 0..12 {
        scene.refused(&format!("m{number}"), person(Some(1), None), day(0)).await;
        // What is on disk now: with a receipt that is not in the tree, or with all that belongs to a head.
        let killed = scene.killed().await;
        assert_clean(&killed.verified().await);
        let again = killed.logged().await;
        let head = scene.logged().await;
        // Where the same went on twice there are two trees; each continues every head that was given out.
        for later in [&again, &head] {
            for earlier in &heads {
                let ledger = if later == &again { &killed.ledger } else { &scene.ledger };
                let proof = prove::consistency(ledger, earlier.size, Some(later.size)).await.unwrap().unwrap();
                let path: Vec<_> = proof.path.iter().map(|hash| head::from_base64(hash).unwrap()).collect();
                assert!(is_consistent((earlier.size, earlier.root), (later.size, later.root), &path));
            }
        }
        heads.push(head);
    }
    assert_clean(&scene.verified().await);
}

#[tokio::test]
async fn two_that_extend_the_log_make_one_tree() {
    let (scene, _) = filled(2).await;
    let (mut one, mut other) = (scene.appender(), scene.appender());
    assert_eq!(one.step(day(0)).await.unwrap(), 4);
    assert_eq!(other.step(day(0)).await.unwrap(), 0);
    scene.refused("more", Subject::default(), day(0)).await;
    assert_eq!(one.step(day(0)).await.unwrap(), 1);
    scene.refused("and more", Subject::default(), day(0)).await;
    // It does not know of what the first did.
    assert!(matches!(other.step(day(0)).await, Err(Error::Ledger(ledger::Error::NoSuchRow))));
    assert_eq!(other.step(day(0)).await.unwrap(), 1);
    let report = scene.verified().await;
    assert_clean(&report);
    assert_eq!(report.size, 6);
}

#[tokio::test]
async fn nothing_is_signed_that_does_not_continue_what_was_and_nothing_else_is_held_up() {
    let (scene, _) = filled(3).await;
    let head = scene.logged().await;
    scene.tamper("UPDATE log_tile SET hashes = zeroblob(length(hashes))").await;
    scene.refused("more", Subject::default(), day(0)).await;
    assert!(matches!(scene.try_logged().await, Err(Error::Damaged)));
    assert_eq!(prove::newest_head(&scene.ledger).await.unwrap(), Some(head.jws));
    scene.refused("and more", Subject::default(), day(0)).await;
    assert!(!scene.verified().await.is_clean());
}

#[tokio::test]
async fn a_step_that_cannot_be_stored_leaves_the_rest_of_its_batch() {
    let (scene, _) = filled(1).await;
    let mut appender = scene.appender();
    appender.step(day(0)).await.unwrap();
    scene.tamper("INSERT INTO log_entry VALUES (3, 'receipt', 99, 0, zeroblob(32), 'x')").await;
    scene.refused("more", Subject::default(), day(0)).await;
    assert!(matches!(appender.step(day(0)).await, Err(Error::Ledger(ledger::Error::NoSuchRow))));
    scene.refused("and more", Subject::default(), day(0)).await;
    assert_eq!(scene.count("SELECT count(*) FROM log_entry").await, 4);
}

#[tokio::test]
async fn how_far_the_log_is_behind_is_known() {
    let (scene, _) = filled(1).await;
    assert!(!scene.progress.is_in_time(day(1)));
    scene.appender().step(day(1)).await.unwrap();
    assert!(scene.progress.is_in_time(day(1)) && scene.progress.size() == 3);
    assert_eq!(scene.progress.behind(day(2)).as_secs(), 24 * 3600);
}

#[tokio::test]
async fn a_receipt_is_proved_to_be_in_the_log_and_no_other_is() {
    let (scene, receipts) = filled(9).await;
    scene.logged().await;
    let keys = scene.keys();
    for receipt in &receipts {
        let proof = inclusion(&scene, receipt).await;
        let stated = prove::check_inclusion(&proof, receipt.as_str(), &keys).unwrap();
        assert_eq!(stated.size, 11);
        let mut others = vec![proof.clone(); 6];
        others[0].path[0] = head::base64(&[7; 32]);
        others[1].position ^= 1;
        others[2].entry = others[2].entry.replace("refused", "delivered");
        others[3].digest_key = head::base64(&[7; 32]);
        others[4].size += 1;
        let other = if others[5].head[60..].starts_with('A') { "B" } else { "A" };
        others[5].head.replace_range(60..61, other);
        for other in others {
            assert!(prove::check_inclusion(&other, receipt.as_str(), &keys).is_err(), "{other:?}");
        }
        let stranger = receipts.iter().find(|other| other.id() != receipt.id()).unwrap();
        assert_eq!(
            prove::check_inclusion(&proof, stranger.as_str(), &keys),
            Err(prove::ProofError::Receipt),
            "of another receipt"
        );
    }
    assert_eq!(prove::inclusion(&scene.ledger, uuid::Uuid::nil()).await.unwrap(), None);
}

#[tokio::test]
async fn the_keys_of_persons_follow_the_keys_of_the_ledger() {
    let (scene, _) = filled(3).await;
    scene.logged().await;
    let scene = scene.reopened(&[NEWER_KEY, KEY]).await;
    assert_eq!(scene.appender().reseal().await.unwrap(), 4);
    assert_eq!(scene.appender().reseal().await.unwrap(), 0);
    let scene = scene.reopened(&[NEWER_KEY]).await;
    assert_clean(&scene.verified().await);
}

#[tokio::test]
async fn forgetting_a_person_makes_entries_anonymous_and_breaks_no_proof() {
    let (scene, receipts) = filled(6).await;
    let head = scene.logged().await;
    let before = inclusion(&scene, &receipts[1]).await;
    let entries = scene.text("SELECT content FROM log_entry ORDER BY position").await;
    let handle = |entry: &str| serde_json::from_str::<Entry>(entry).unwrap().person_bsn.unwrap();
    assert_ne!(handle(&entries[1]), handle(&entries[4]), "nobody sees that two entries are about one person");

    // The person has two numbers; either will do.
    let forget = async |subject, before| scene.ledger.forget(subject, "h.visser", "verzoek", day(1500), before).await;
    assert!(matches!(forget(person(None, Some(12)), day(0)).await, Err(ledger::Error::Kept)));
    assert_eq!(scene.count("SELECT count(*) FROM person_key").await, 4);
    assert_eq!(forget(person(None, Some(12)), day(1)).await.unwrap(), 2);

    assert_eq!(scene.count("SELECT count(*) FROM person_key").await, 2);
    assert_eq!(scene.count("SELECT count(*) FROM message WHERE subject_bsn IS NULL AND subject_skn IS NULL").await, 2);
    assert_eq!(scene.count("SELECT count(*) FROM series WHERE key = x'0202020202020202020202020202020202020202020202020202020202020202'").await, 0);
    assert_eq!(inclusion(&scene, &receipts[1]).await, before);
    let report = scene.verified_since(Some(&head)).await;
    assert_clean(&report);
    assert_eq!(report.anonymous, 2);
    assert_eq!(scene.ledger.disclosed(person(Some(2), None), day(-1)).await.unwrap().len(), 0);

    // It is on record, and in the log itself.
    assert_eq!(scene.logged().await.size, head.size + 2);
    let last = scene.text("SELECT content FROM log_entry ORDER BY position DESC LIMIT 2").await;
    assert!(last[0].contains(r#""what":"person""#) && last[1].contains(r#""what":"forget""#), "{last:?}");
    assert_clean(&scene.verified().await);
}

#[tokio::test]
async fn who_waits_for_something_is_not_forgotten() {
    let (scene, _) = filled(3).await;
    scene.logged().await;
    scene.tamper("UPDATE delivery SET receipt_at = 1 WHERE key = 2").await;
    let forgotten = scene.ledger.forget(person(Some(2), None), "h.visser", "verzoek", day(9000), day(8000)).await;
    assert!(matches!(forgotten, Err(ledger::Error::Kept)));
}

#[tokio::test]
async fn after_its_term_an_entry_goes_with_its_record_and_every_other_proof_holds() {
    let scene = Scene::new().await;
    let mut receipts = Vec::new();
    for number in 0..7 {
        receipts.push(
            scene.refused(&format!("m{number}"), person(Some(200 + number), None), day(i64::from(number) * 100)).await,
        );
    }
    let head = scene.logged().await;
    assert_eq!(purge(&scene, Purge::Entries, day(250)).await, 0, "their records are still there");
    assert_eq!(purge(&scene, Purge::Log, day(250)).await, 3);
    // Their entries go in the same pass.
    assert_clean(&scene.verified_kept(None, day(250)).await);
    assert!(!scene.verified_kept(None, day(0)).await.is_clean());
    assert_eq!(purge(&scene, Purge::Entries, day(250)).await, 3);
    assert_eq!(purge(&scene, Purge::Persons, day(250)).await, 3);
    let check = async |position: usize| {
        let proof = prove::inclusion(&scene.ledger, receipts[position].id()).await.unwrap();
        proof.map(|proof| prove::check_inclusion(&proof, receipts[position].as_str(), &scene.keys()).is_ok())
    };
    assert_eq!((check(2).await, check(3).await), (None, Some(true)));
    let report = scene.verified_since(Some(&head)).await;
    assert_clean(&report);
    assert_eq!((report.entries, report.purged), (head.size - 3, 3));
    // What was purged is in the log, once it grows again.
    scene.logged().await;
    let report = scene.verified().await;
    assert_clean(&report);
    assert!(scene.text("SELECT content FROM log_entry").await.iter().any(|entry| entry.contains(r#""entries":"0-2""#)));
    // Nothing of the person is left but the hash of a leaf that had a random key in it.
    let id = receipts[1].id().to_string();
    scene.ledger.close().await;
    let bytes = std::fs::read(scene.path()).unwrap();
    assert!(!bytes.windows(id.len()).any(|window| window == id.as_bytes()));
    assert!(!bytes.windows(16).any(|window| window == [201; 16]), "the pseudonym");
}

#[tokio::test]
async fn keys_of_records_are_never_given_twice() {
    let scene = Scene::new().await;
    for number in 0..3 {
        scene.refused(&format!("m{number}"), Subject::default(), day(number * 100)).await;
    }
    scene.logged().await;
    // The newest message stays, and nothing else; then the newest receipt is not the one with the highest key.
    scene.tamper("DELETE FROM receipt WHERE key = 3; DELETE FROM log_entry WHERE record = 3").await;
    scene.refused("next", Subject::default(), day(300)).await;
    assert_eq!(scene.count("SELECT max(key) FROM receipt").await, 4);
}
