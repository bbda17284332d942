//! Who indicates forensic care: what the table says, what of it the sender is told, and what a person decides.

use super::{all_on, delivered, shared as shared_with, withheld};
use crate::messages::{ASSESSMENT, Person, event, trace_id};
use crate::scene::{run, shared};
use ketenpoort::code::Code;
use ketenpoort::demo::partner::Event;
use ketenpoort::outcome::Outcome;
use serde_json::{Value, json};

const KIND: &str = "nl.ketenpoort.forensische-zorg.indicatie-gevraagd.v1";
const GROUND: &str = "fz-indicatie, Besluit forensische zorg (te bevestigen)";

/// As long as any test runs, the end of the detention is more than three months away.
fn request(person: &Person, delict: &str, start: &str) -> Event {
    let request = json!({
        "aanvraag": { "kenmerk": "FZ-2027-1" },
        "persoon": { "bsn": person.bsn, "skn": person.skn, "geslachtsnaam": "Haverkamp", "geboortedatum": "1987-04-12" },
        "titel": { "delictsoort": delict, "eindigt_op": "2090-01-01" },
        "detentie": { "inrichting": "PI Almere", "einde": "2080-06-01" },
        "zorg": {
            "vorm": "ambulant", "start_op": start, "pmo_actief_betrokken": false, "nodig_volgens": ["casemanager"]
        },
        "toelichting": "Betrokkene wil niet terug naar de oude buurt."
    });
    event(KIND, request.to_string())
}

fn forwarded(person: &Person, delict: &str, start: &str) -> Value {
    json!({
        "kenmerk": "FZ-2027-1",
        "persoon": { "bsn": person.bsn, "skn": person.skn, "geslachtsnaam": "Haverkamp", "geboortedatum": "1987-04-12" },
        "titel": { "delictsoort": delict, "eindigt_op": "2090-01-01" },
        "zorg": {
            "vorm": "ambulant", "start_op": start, "pmo_actief_betrokken": false, "nodig_volgens": ["casemanager"]
        }
    })
}

#[test]
fn the_table_routes_a_request_and_its_receipt_tells_of_the_conflict() {
    run(async {
        let (scene, person) = (shared().await, Person::new());
        let event = request(&person, "zeden", "2080-06-01");
        scene.send("dji", &event).await;
        let (arrival, receipt) = delivered(scene, "dji", &event, "dji", KIND).await;
        assert_eq!(arrival.json(), forwarded(&person, "zeden", "2080-06-01"));
        assert_eq!(receipt.recipient.as_ref().unwrap().role.as_str(), "dji-pmo");
        let categories = ["identificatie", "persoonsnummers", "titel", "zorg"];
        assert_eq!(shared_with(&receipt), all_on(&categories, GROUND));
        let expected = ["detentie: no rule permits it", "vrije_tekst: rule vrije-tekst-na-beoordeling"];
        assert_eq!(withheld(&receipt), expected);
        let notes =
            ["routing: row 2 (dji-pmo)", "routing conflict: row 5 (reclassering), row 3 (fz_mdo) would hold too"];
        assert_eq!(receipt.decision.notes, notes);
        assert_eq!(scene.recipients_of(&event.id), ["dji"]);
    });
}

/// It waits for nobody in particular, and goes to whom the meeting names: once, with one receipt.
#[test]
fn what_a_meeting_must_decide_waits_and_then_goes_to_whom_it_names() {
    run(async {
        let (scene, person) = (shared().await, Person::new());
        let event = request(&person, "anders", "2027-03-01");
        scene.send("dji", &event).await;
        scene.waits_as(trace_id(&event), "awaiting_assessment").await;
        let rows = scene.parked(&event.id).await;
        assert_eq!(rows.len(), 1);
        assert_eq!((&rows[0]["recipient"], &rows[0]["outcome"]), (&json!("onbepaald"), &json!("awaiting_assessment")));
        assert_eq!(rows[0]["reason"]["code"], json!(Code::AssessmentNeeded.as_str()));
        assert!(rows[0]["reason"]["detail"].as_str().unwrap().starts_with("assessment needed: fz_mdo (row 3:"));
        assert!(scene.recipients_of(&event.id).is_empty());

        let decided =
            json!({ "id": "b-1", "soort": "fz_mdo", "betreft": event.id, "indicatiesteller": "nifp", "op": "today" });
        scene.world.iris.know(person.on_file(json!({ "bekend": true, "beoordelingen": [decided] }), json!({})));
        let (arrival, receipt) = delivered(scene, "dji", &event, "nifp", KIND).await;
        assert_eq!(arrival.json(), forwarded(&person, "anders", "2027-03-01"));
        assert_eq!(receipt.decision.notes, ["routing: row 3 (fz_mdo), which says nifp"]);
        assert_eq!(scene.receipts("dji", &event.id, 1).await.len(), 1);
        assert_eq!(scene.recipients_of(&event.id), ["nifp"]);
        let rows = scene.parked(&event.id).await;
        assert!(rows.is_empty(), "{rows:?}");
    });
}

/// The same, where the probation service says it by message.
#[test]
fn a_decision_that_comes_by_message_says_who_indicates() {
    run(async {
        let (scene, person) = (shared().await, Person::new());
        let request = request(&person, "anders", "2027-03-01");
        scene.send("dji", &request).await;
        scene.waits_as(trace_id(&request), "awaiting_assessment").await;
        let decision = json!({
            "persoon": { "skn": person.skn },
            "beoordeling": { "id": format!("B-{}", person.skn), "soort": "fz_mdo", "indicatiesteller": "reclassering",
                             "betreft": request.id, "categorieen": [], "op": "2026-01-05" }
        });
        scene.send("reclassering", &event(ASSESSMENT, decision.to_string())).await;
        let (arrival, receipt) = delivered(scene, "dji", &request, "reclassering", KIND).await;
        assert_eq!(arrival.json(), forwarded(&person, "anders", "2027-03-01"));
        assert_eq!(receipt.decision.notes, ["routing: row 3 (fz_mdo), which says reclassering"]);
        assert_eq!(scene.recipients_of(&request.id), ["reclassering"]);
    });
}

/// Refused, and the rule says why: nobody may have it, whoever would indicate.
#[test]
fn a_request_after_the_title_goes_to_nobody() {
    run(async {
        let (scene, person) = (shared().await, Person::new());
        let text = String::from_utf8(request(&person, "zeden", "2020-01-01").data.into_personal_data()).unwrap();
        let event = event(KIND, text.replace("2090-01-01", "2026-01-01"));
        scene.send("dji", &event).await;
        let receipt = scene.receipt("dji", &event.id, "onbepaald").await;
        let reason = receipt.reason.unwrap();
        assert_eq!((receipt.outcome, reason.code), (Outcome::Refused, Code::Forbidden));
        assert!(reason.detail.contains("fz-alleen-met-titel"), "{}", reason.detail);
        assert_eq!(receipt.decision.notes, ["routing: no row holds"]);
        assert!(scene.recipients_of(&event.id).is_empty());
    });
}
