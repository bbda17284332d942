use super::*;
use crate::catalogue::Sources;
use crate::check::raw_message;
use crate::directory::Directory;
use crate::validation::Limits;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const RELEASE: &str = "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1";

fn release(changed: impl Fn(String) -> String, facts: Option<&str>) -> Explanation {
    explained("dji", RELEASE, "tests/fixtures/invrijheidstelling.xml", changed, facts)
}

fn explained(
    from: &str,
    kind: &str,
    file: &str,
    changed: impl Fn(String) -> String,
    facts: Option<&str>,
) -> Explanation {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Sources::read(&root.join("schemas"), &root.join("policies"), &root.join("mappings")).unwrap();
    let directory = Arc::new(Directory::read(&root.join("deploy/partners")).unwrap());
    let pipeline = Pipeline::load(&sources, directory, Limits::default(), &[7; 32]).unwrap();
    let text = std::fs::read_to_string(root.join(file)).unwrap();
    let raw = raw_message(&pipeline, from, kind, changed(text).into_bytes(), &BTreeMap::new()).unwrap();
    let facts: Option<Facts> = facts.map(|facts| serde_json::from_str(facts).unwrap());
    explain(&pipeline, &raw, facts.as_ref(), "2026-11-24T10:00:00Z".parse().unwrap())
}

#[test]
fn the_answer_keeps_its_public_form() {
    let explained = serde_json::to_value(release(|text| text, None)).unwrap();
    assert_eq!(explained["message"]["type"], RELEASE);
    assert_eq!(explained["outcome"], "retrying", "what still waits comes before what is done");
    let first = &explained["deliveries"][0];
    assert_eq!(
        (&first["recipient"], &first["role"], &first["outcome"], &first["format"]),
        (&"gemeente:0363".into(), &"gemeente-college".into(), &"delivered".into(), &"json".into())
    );
    let shared = &first["shared"][0];
    assert_eq!((&shared["category"], &shared["policy"]), (&"identificatie".into(), &"re-integratie-melding".into()));
    assert!(shared["legal_basis"].is_string() && shared["status"].is_string());
    let withheld = &first["withheld"][0];
    assert!(withheld["category"].is_string() && withheld["reason"].is_string());
    assert_eq!(first["payload"]["persoon"]["naam"]["geslachtsnaam"], "Dijkhuizen");
    let waiting = &explained["deliveries"][2];
    assert_eq!((&waiting["outcome"], &waiting["reason"]["code"]), (&"retrying".into(), &"KP-4001".into()));
    assert!(waiting.get("payload").is_none());
}

#[test]
fn what_is_held_says_until_when() {
    let (file, kind) = ("mappings/detentie.bij-melding.v1/cases/minimaal.xml", "nl.ketenpoort.detentie.bij-melding.v1");
    let held = explained("justid", kind, file, |text| text.replace("20270114", "20270714"), None);
    let text = held.for_a_person();
    assert!(text.contains("as burgemeester: held") && text.contains("until 2027-04-14 00:00 CEST"), "{text}");
    let json = serde_json::to_value(held).unwrap();
    assert_eq!(json["deliveries"][0]["until"], "2027-04-13T22:00:00Z");
    let told = explained("justid", kind, file, |text| text, None);
    assert!(serde_json::to_value(told).unwrap()["deliveries"][0].get("until").is_none());
}

#[test]
fn a_rejected_message_has_a_reason_and_no_recipients() {
    let explained = release(|text| text.replace("999993653", "999993654"), None);
    assert_eq!(explained.outcome, Outcome::Rejected);
    assert!(explained.deliveries.is_empty());
    let reason = explained.reason.as_ref().unwrap();
    assert_eq!(reason.code, reason.problems[0].code);
    assert!(!explained.for_a_person().contains("999993654"));
}

#[test]
fn a_person_reads_who_gets_what_on_which_ground_and_why_not() {
    let text = release(|text| text, Some(r#"{"bekend": true}"#)).for_a_person();
    for expected in [
        "=> delivered",
        "gemeente:0363 as gemeente-college: delivered",
        "+ detentie           re-integratie-melding (Pbw art. 18a",
        "- slachtoffer        rule nooit-slachtoffer-netwerk-sociaal",
        "- zorg               no rule permits it",
        "gemeente:0344 as gemeente-college: delivered",
        "as xml:",
        "reclassering as reclassering: delivered",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let rejected = release(|_| "<a/>".to_owned(), None).for_a_person();
    assert!(rejected.contains("=> rejected") && rejected.contains("KP-2006 /: the root element must be"), "{rejected}");
}
