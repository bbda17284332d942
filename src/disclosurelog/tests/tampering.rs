//! Whatever somebody changes who can write the ledger, `ledger verify` names it.

use super::*;
use crate::disclosurelog::head::Head;
use crate::disclosurelog::verify::Finding;

/// How one byte of a value is changed, by what it is.
fn flip(column: &str, kind: &str) -> String {
    match kind {
        "text" => format!(
            "CASE WHEN substr({column}, length({column}) / 2 + 1, 1) = 'a' THEN \
             substr({column}, 1, length({column}) / 2) || 'b' || substr({column}, length({column}) / 2 + 2) ELSE \
             substr({column}, 1, length({column}) / 2) || 'a' || substr({column}, length({column}) / 2 + 2) END"
        ),
        "blob" => format!(
            "CAST(substr({column}, 1, length({column}) / 2) || \
             CASE WHEN substr({column}, length({column}) / 2 + 1, 1) = x'01' THEN x'02' ELSE x'01' END || \
             substr({column}, length({column}) / 2 + 2) AS BLOB)"
        ),
        _ => format!("{column} + 65536 * 16"),
    }
}

/// Every column that says something about a disclosure: table, column, what it is, which row, and how it is named.
const COLUMNS: [(&str, &str, &str, &str, &str); 39] = [
    ("log_entry", "position", "number", "position = 1", "log_entry.position"),
    ("log_entry", "kind", "text", "position = 1", "log_entry.kind"),
    ("log_entry", "record", "number", "position = 1", "log_entry.record"),
    ("log_entry", "at", "number", "position = 1", "log_entry.at"),
    ("log_entry", "digest_key", "blob", "position = 1", "log_entry.digest_key"),
    ("log_entry", "digest_key", "blob", "kind = 'action'", "action.who or why, or log_entry.digest_key"),
    ("log_entry", "digest_key", "blob", "kind = 'purge'", "log_entry.digest_key"),
    ("log_entry", "content", "text", "position = 1", "log_entry.content"),
    ("log_entry", "content", "text", "position = 300", "log_entry.content"),
    ("log_tile", "level", "number", "level = 0 AND number = 0", "log_tile.hashes"),
    ("log_tile", "number", "number", "level = 0 AND number = 1", "log_tile.hashes"),
    ("log_tile", "hashes", "blob", "level = 0 AND number = 0", "log_tile.hashes"),
    ("log_tile", "hashes", "blob", "level = 0 AND number = 1", "log_tile.hashes"),
    ("log_tile", "hashes", "blob", "level = 1", "log_tile.hashes"),
    ("log_head", "size", "number", "1 = 1", "log_head.size"),
    ("log_head", "at", "number", "1 = 1", "log_head.at"),
    ("log_head", "hour", "number", "1 = 1", "log_head.hour"),
    ("log_head", "root", "blob", "1 = 1", "log_head.root"),
    ("log_head", "jws", "text", "1 = 1", "log_head.jws"),
    ("person_key", "pseudonym", "blob", "hex(pseudonym) LIKE '01%'", "person_key.key or pseudonym"),
    ("person_key", "key", "blob", "hex(pseudonym) LIKE '01%'", "person_key.key or pseudonym"),
    ("receipt", "key", "number", "key = 2", "receipt.key"),
    ("receipt", "delivery", "number", "key = 2", "receipt.delivery"),
    ("receipt", "id", "blob", "key = 2", "receipt.id"),
    ("receipt", "jws", "text", "key = 2", "receipt.jws"),
    ("delivery", "outcome", "text", "key = 2", "delivery.outcome"),
    ("delivery", "recipient", "text", "key = 2", "delivery.recipient"),
    ("delivery", "role", "text", "key = 2", "delivery.role"),
    ("message", "kind", "text", "key = 2", "message.kind"),
    ("message", "sender", "text", "key = 2", "message.sender"),
    ("message", "policy_version", "text", "key = 2", "message.policy_version"),
    ("message", "mapping_version", "text", "key = 2", "message.mapping_version"),
    ("message", "subject_bsn", "blob", "key = 2", "message.subject_bsn"),
    ("action", "at", "number", "key = 1", "action.at"),
    ("action", "who", "text", "key = 1", "action.who or why, or log_entry.digest_key"),
    ("action", "why", "text", "key = 1", "action.who or why, or log_entry.digest_key"),
    ("action", "subject_bsn", "blob", "key = 1", "action.subject_bsn"),
    ("purge", "count", "number", "key = 1", "purge.count"),
    ("purge", "before", "number", "key = 1", "purge.before"),
];

/// More than one tile, so that there is a level above.
async fn large() -> (Scene, Head) {
    let scene = Scene::new().await;
    for number in 0..301_u32 {
        let person = person(Some((number % 5) as u8), (number % 2 == 1).then_some(50));
        scene.refused(&format!("m{number}"), person, day(0)).await;
    }
    scene.ledger.note(person(Some(1), None), "h.visser", "subject", "inzageverzoek").await.unwrap();
    scene.ledger.purge(Purge::Traffic, day(1), day(1), 0, 1).await.unwrap();
    let head = scene.logged().await;
    (scene, head)
}

fn named(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}.{}", finding.table, finding.field)).collect()
}

#[tokio::test]
async fn one_byte_anywhere_is_found_and_named() {
    let (scene, _) = large().await;
    assert_clean(&scene.verified().await);
    for (table, column, kind, row, name) in COLUMNS {
        let tampered = scene.killed().await;
        let rows = tampered.tamper(&format!("UPDATE {table} SET {column} = {} WHERE {row}", flip(column, kind))).await;
        assert!(rows > 0, "{table}.{column}");
        let report = tampered.verified().await;
        assert!(
            named(&report.findings).iter().any(|found| found == name),
            "{table}.{column} {row}: {:#?}",
            report.findings
        );
        assert!(report.findings.len() <= 3, "{table}.{column} {row}: {:#?}", report.findings);
    }
}

#[tokio::test]
async fn the_place_is_named() {
    let (scene, _) = large().await;
    for (table, row, position) in [("delivery", "key = 2", 1), ("delivery", "key = 301", 300)] {
        let tampered = scene.killed().await;
        tampered.tamper(&format!("UPDATE {table} SET outcome = 'delivered' WHERE {row}")).await;
        let report = tampered.verified().await;
        let [finding] = report.findings.as_slice() else { panic!("{:#?}", report.findings) };
        let key = i64::try_from(position).unwrap() + 1;
        let hex = tampered.text(&format!("SELECT lower(hex(id)) FROM receipt WHERE key = {key}")).await;
        assert_eq!(finding.position, Some(position));
        assert_eq!(finding.record.clone().unwrap().replace('-', ""), hex[0]);
    }
}

#[tokio::test]
async fn what_was_removed_is_missed() {
    let (scene, _) = large().await;
    for (removed, name) in [
        ("DELETE FROM receipt WHERE key = 2", "receipt.key"),
        ("DELETE FROM log_entry WHERE position = 7", "log_entry.position"),
        ("DELETE FROM receipt WHERE key = 8; DELETE FROM log_entry WHERE position = 7", "log_entry.position"),
        ("DELETE FROM action", "action.key"),
        ("DELETE FROM purge", "purge.key"),
        ("DELETE FROM log_tile WHERE number = 0", "log_tile.hashes"),
        ("DELETE FROM delivery WHERE key = 2", "delivery.key"),
        ("DELETE FROM message WHERE key = 2", "message.key, or delivery.message"),
        ("DELETE FROM person_key WHERE hex(pseudonym) LIKE '01%'", "message.subject_bsn"),
        ("UPDATE message SET subject_skn = NULL WHERE key = 2", "message.subject_bsn or subject_skn"),
        ("UPDATE message SET subject_skn = zeroblob(16) WHERE key = 1", "message.subject_skn"),
        ("DELETE FROM log_head", "log_entry.position"),
        ("INSERT INTO receipt (key, delivery, id, jws) VALUES (-5, 999, zeroblob(16), 'x')", "receipt.key"),
    ] {
        let tampered = scene.killed().await;
        tampered.tamper(removed).await;
        let report = tampered.verified().await;
        assert!(named(&report.findings).iter().any(|found| found == name), "{removed}: {:#?}", report.findings);
    }
}

/// With the database alone an entry can be made anew, but not signed; with the key it can, but not under a head that
/// somebody else holds.
#[tokio::test]
async fn who_has_the_signing_key_too_is_found_out_by_a_head_kept_elsewhere() {
    let (scene, _) = filled(6).await;
    let held = scene.logged().await;
    let rewritten = Scene { ..scene.killed().await };
    rewritten
        .tamper(
            "UPDATE delivery SET recipient = 'gemeente:0599' WHERE key = 3; DELETE FROM log_entry; DELETE FROM log_tile; \
             DELETE FROM log_head; DELETE FROM person_key",
        )
        .await;
    let other = rewritten.logged().await;
    assert_eq!(other.size, held.size);
    assert_clean(&rewritten.verified().await);
    let report = rewritten.verified_since(Some(&held)).await;
    assert!(report.findings[0].detail.contains("the head that you hold"), "{:#?}", report.findings);

    rewritten
        .tamper("DELETE FROM log_head; DELETE FROM log_entry; DELETE FROM log_tile; DELETE FROM receipt WHERE key > 3")
        .await;
    rewritten.logged().await;
    let report = rewritten.verified_since(Some(&held)).await;
    assert!(named(&report.findings).contains(&"log_head.size".to_owned()), "{:#?}", report.findings);
    assert_clean(&scene.verified_since(Some(&held)).await);
}
