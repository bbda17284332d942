use super::*;
use crate::catalogue::Sources;
use crate::check::raw_message;
use crate::core::{Fate, Pipeline};
use crate::outcome::Outcome;
use crate::validation::Limits;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

const REQUEST: &str = "nl.ketenpoort.re-integratie.informatie-gevraagd.v1";

fn pipeline(partners: impl Fn(String) -> String) -> Pipeline {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Sources::read(&root.join("schemas"), &root.join("policies"), &root.join("mappings")).unwrap();
    let read = |name: &str| std::fs::read_to_string(root.join("deploy/partners").join(name)).unwrap();
    let files = ["keten.toml", "gemeenten.toml"].map(|name| (name.to_owned(), partners(read(name))));
    let directory = Arc::new(Directory::load(&files.into()).unwrap());
    Pipeline::load(&sources, directory, Limits::default(), &[7; 32]).unwrap()
}

fn decided(pipeline: &Pipeline, from: &str, kind: &str, body: Vec<u8>, facts: Option<&Value>) -> Decided {
    let now = "2026-11-24T10:00:00Z".parse().unwrap();
    let raw = raw_message(pipeline, from, kind, body, &BTreeMap::new()).unwrap();
    let valid = pipeline.validate(pipeline.open(&raw, now).unwrap(), now).unwrap();
    let facts: Option<Facts> = facts.map(|facts| serde_json::from_value(facts.clone()).unwrap());
    pipeline.decide(valid, facts.as_ref(), now)
}

fn names(set: CategorySet) -> Vec<&'static str> {
    set.iter().map(Category::as_str).collect()
}

#[test]
fn case_data_is_asked_for_only_where_it_may_go_and_has_a_place() {
    let pipeline = pipeline(|text| text);
    let consent = |categories: Value| {
        json!([{"id": "t", "vorm": "schriftelijk", "categorieen": categories,
            "ontvangers": ["gemeente:0363"], "verleend_op": "2026-11-01"}])
    };
    let kader = json!({"aanwezig": true, "soort": "toezicht"});
    let table: &[(Option<Value>, &[&str])] = &[
        (None, &[]),
        (Some(json!({"bekend": true})), &[]),
        (Some(json!({"bekend": true, "justitieel_kader": kader})), &["justitieel_kader", "risico_veiligheid"]),
        (Some(json!({"bekend": true, "toestemmingen": consent(json!(["zorg", "adres", "netwerk"]))})), &["zorg"]),
        (Some(json!({"bekend": true, "toestemmingen": consent(json!(["adres"]))})), &[]),
    ];
    let request = json!({
        "verzoek": {"kenmerk": "k", "grond": "18b", "doel": "toezicht", "gemeentecode": "0363"},
        "persoon": {"bsn": "999993653", "geboortedatum": "1987"},
    });
    for (facts, expected) in table {
        let body = serde_json::to_vec(&request).unwrap();
        let decided = decided(&pipeline, "gemeente:0363", REQUEST, body, facts.as_ref());
        assert_eq!(names(decided.wanted()), *expected, "{facts:?}");
    }
}

#[test]
fn what_stands_in_the_message_is_never_asked_for() {
    let pipeline = pipeline(|text| text);
    let kind = "nl.ketenpoort.detentie.verlof-aangekondigd.v1";
    let body = include_bytes!("../../../tests/fixtures/verlof.xml").to_vec();
    let decided = decided(&pipeline, "dji", kind, body, Some(&json!({"bekend": true})));
    assert_eq!(decided.decisions().len(), 3);
    assert!(decided.wanted().is_empty());
}

#[test]
fn who_has_no_endpoint_waits_for_a_person_and_the_others_do_not() {
    let with_utrecht = |endpoints: &'static str| {
        move |text: String| {
            let (before, utrecht) = text.split_once("id = \"gemeente:0344\"").unwrap_or((&text, ""));
            format!(
                "{before}{}{}",
                if utrecht.is_empty() { "" } else { "id = \"gemeente:0344\"" },
                utrecht.replacen("endpoint = [{ kind = \"amqp\" }]", endpoints, 1)
            )
        }
    };
    let body = include_bytes!("../../../tests/fixtures/verlof.xml").to_vec();
    let kind = "nl.ketenpoort.detentie.verlof-aangekondigd.v1";
    let other_role = "endpoint = [{ kind = \"amqp\", roles = [\"burgemeester\"] }]";
    for (endpoints, reached) in
        [("endpoint = []", false), (other_role, false), ("endpoint = [{ kind = \"amqp\" }]", true)]
    {
        let pipeline = pipeline(with_utrecht(endpoints));
        let plan = pipeline.complete(&decided(&pipeline, "dji", kind, body.clone(), None), None);
        let fate = |id: &str| &plan.deliveries.iter().find(|d| d.recipient.as_str() == id).unwrap().fate;
        assert!(matches!(fate("gemeente:0202"), Fate::Deliver(..)), "{endpoints}");
        match fate("gemeente:0344") {
            Fate::Deliver(..) => assert!(reached, "{endpoints}"),
            Fate::Wait(outcome, reason, _) => {
                assert!(!reached, "{endpoints}");
                assert_eq!((*outcome, reason.code), (Outcome::Parked, Code::NotAddressable));
            }
            Fate::End(outcome, reason) => panic!("{endpoints}: {outcome:?} {reason:?}"),
        }
    }
}

#[test]
fn a_bsn_goes_to_no_role_that_the_directory_does_not_entitle() {
    let kind = "nl.ketenpoort.detentie.verlof-aangekondigd.v1";
    let body = include_bytes!("../../../tests/fixtures/verlof.xml").to_vec();
    let not_entitled =
        |text: String| text.replacen("name = \"gemeente-college\"\nbsn = true", "name = \"gemeente-college\"", 1);
    for (pipeline, entitled) in [(pipeline(|text| text), true), (pipeline(not_entitled), false)] {
        let plan = pipeline.complete(&decided(&pipeline, "dji", kind, body.clone(), None), None);
        for delivery in &plan.deliveries[..2] {
            let Fate::Deliver(outgoing, _) = &delivery.fate else { panic!("{:?}", delivery.fate) };
            let sent = String::from_utf8_lossy(outgoing.body.reveal_personal_data()).into_owned();
            assert_eq!(sent.contains("999996162"), entitled, "{}", delivery.recipient);
            let noted = delivery.decision.notes.contains(&"bsn withheld: bsn-alleen-bij-wet".to_owned());
            assert_eq!(noted, !entitled, "{}", delivery.recipient);
        }
    }
}
