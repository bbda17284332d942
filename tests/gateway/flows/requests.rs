//! A municipality asks, and a zorg- en veiligheidshuis asks for a case meeting.

use super::{about, all_on, delivered, shared as shared_with};
use crate::messages::{MEETING, Person, case_file, event, request, supervised, trace_id};
use crate::scene::{run, shared};
use ketenpoort::category::Category;
use ketenpoort::code::Code;
use ketenpoort::outcome::Outcome;
use serde_json::{Value, json};

const ANSWER: &str = "nl.ketenpoort.re-integratie.informatie-verstrekt.v1";
const MEETING_ANSWER: &str = "nl.ketenpoort.casusoverleg.gegevens-verstrekt.v1";

fn names(categories: &[Category]) -> Vec<&str> {
    categories.iter().map(|category| category.as_str()).collect()
}

fn kader() -> Value {
    case_file()["justitieel_kader"].clone()
}

/// With a justitieel kader: of all that IRIS has, IRIS is asked for what the ground permits, and that is the answer.
#[test]
fn a_municipality_gets_what_its_ground_permits_and_iris_is_asked_for_nothing_else() {
    run(async {
        let scene = shared().await;
        let table = [
            ("18b", "risico_veiligheid", "18b-met-kader, Pbw art. 18b (te bevestigen)"),
            ("bij", "risico_onrust", "bij-met-kader, Bjsg art. 11a (BIJ) (te bevestigen)"),
        ];
        for (grond, risk, ground) in table {
            let person = Person::new();
            scene.world.iris.know(person.on_file(supervised(), case_file()));
            let event = request(&person.request("0606", grond, "toezicht"));
            scene.send("gemeente:0606", &event).await;
            let (arrival, receipt) = delivered(scene, "gemeente:0606", &event, "gemeente:0606", ANSWER).await;
            let answer = json!({ "kenmerk": "0606-2027-17", "justitieel_kader": kader(), risk: case_file()[risk] });
            assert_eq!(arrival.json(), answer, "{grond}");
            assert_eq!(shared_with(&receipt), all_on(&["justitieel_kader", risk], ground));
            let asked = scene.world.iris.asked_in(trace_id(&event));
            assert_eq!(asked.iter().map(|asked| names(asked)).collect::<Vec<_>>(), [["justitieel_kader", risk]]);
        }
    });
}

#[test]
fn a_request_without_a_ground_is_refused_and_iris_is_asked_for_no_case_data() {
    run(async {
        let scene = shared().await;
        let kader = |soort: &str, ends: &str| json!({ "bekend": true, "justitieel_kader": { "aanwezig": true, "soort": soort, "eindigt_op": ends } });
        let table = [
            ("no kader", json!({ "bekend": true }), "18b", "geen-kader-geen-informatie"),
            ("ended yesterday", kader("toezicht", "today-1d"), "bij", "geen-kader-geen-informatie"),
            ("not known at all", json!({ "bekend": false }), "18b", "geen-kader-geen-informatie"),
            ("community service only", kader("werkstraf", "today+9m"), "18b", "kader-dient-ander-doel"),
            ("another purpose", kader("advies", "today+9m"), "bij", "kader-dient-ander-doel"),
            ("Wmo without consent", supervised(), "wmo", ""),
        ];
        let mut refused = Vec::new();
        for (name, facts, grond, rule) in table {
            let person = Person::new();
            scene.world.iris.know(person.on_file(facts, case_file()));
            let event = request(&person.request("0606", grond, "toezicht"));
            scene.send("gemeente:0606", &event).await;
            let receipt = scene.receipt("gemeente:0606", &event.id, "gemeente:0606").await;
            about(scene, "gemeente:0606", &event, &receipt);
            let reason = receipt.reason.as_ref().unwrap();
            let expected = if rule.is_empty() { Code::NoGround } else { Code::Forbidden };
            assert_eq!((receipt.outcome, reason.code), (Outcome::Refused, expected), "{name}");
            assert!(reason.detail.contains(rule), "{name}: {}", reason.detail);
            assert_eq!((receipt.decision.shared.len(), &receipt.forwarded_digest), (0, &None), "{name}");
            assert!(scene.world.iris.asked_in(trace_id(&event)).is_empty(), "{name}");
            refused.push(event.id);
        }
        let client = Person::new();
        scene.world.iris.know(client.on_file(supervised(), case_file()));
        let later = request(&client.request("0606", "18b", "toezicht"));
        scene.send("gemeente:0606", &later).await;
        scene.arrival("gemeente:0606", &later.id).await;
        for id in refused {
            assert_eq!(scene.recipients_of(&id), [""; 0]);
        }
    });
}

#[test]
fn a_request_waits_for_a_judgement_and_goes_on_once_it_is_recorded() {
    run(async {
        let scene = shared().await;
        let judged = |soort: &str| {
            json!({ "id": "B-1", "soort": soort, "betreft": null, "categorieen": ["risico_veiligheid"],
                    "op": "today", "geldig_tot": "today+14d" })
        };
        let table = [
            ("18b", json!(["ernstige_bedreiging"]), json!({ "bekend": true }), "ernstige_bedreiging"),
            ("43_4", json!([]), supervised(), "43_4"),
        ];
        for (grond, claimed, facts, needed) in table {
            let person = Person::new();
            scene.world.iris.know(person.on_file(facts.clone(), case_file()));
            let mut data = person.request("0606", grond, "toezicht");
            data["verzoek"]["uitzondering"] = claimed;
            let event = request(&data);
            scene.send("gemeente:0606", &event).await;
            scene.waits_as(trace_id(&event), "awaiting_assessment").await;
            let rows = scene.parked(&event.id).await;
            assert_eq!(rows.len(), 1);
            assert_eq!(rows[0]["outcome"], "awaiting_assessment");
            assert_eq!(rows[0]["reason"]["code"], Code::AssessmentNeeded.as_str());
            assert_eq!(rows[0]["reason"]["detail"], format!("assessment needed: {needed}"));
            assert!(scene.world.iris.asked_in(trace_id(&event)).is_empty(), "{grond}: not before it is permitted");

            let mut facts = facts;
            facts["beoordelingen"] = json!([judged(needed)]);
            scene.world.iris.know(person.on_file(facts, case_file()));
            let (arrival, receipt) = delivered(scene, "gemeente:0606", &event, "gemeente:0606", ANSWER).await;
            let answer = json!({ "kenmerk": "0606-2027-17", "risico_veiligheid": case_file()["risico_veiligheid"] });
            assert_eq!(arrival.json(), answer, "{grond}");
            assert_eq!(receipt.decision.shared.len(), 1, "{grond}");
            assert!(scene.parked(&event.id).await.is_empty());
        }
    });
}

#[test]
fn each_participant_of_a_case_meeting_is_a_decision_of_its_own() {
    run(async {
        let scene = shared().await;
        let person = Person::new();
        let mut facts = supervised();
        facts["beoordelingen"] = json!([{
            "id": "B-2", "soort": "wgs_noodzaak", "betreft": null, "categorieen": ["justitieel_kader", "risicoanalyse"],
            "op": "today-7d", "geldig_tot": "today+3m"
        }]);
        scene.world.iris.know(person.on_file(facts, case_file()));
        let unknown = "00000099000900000999";
        let participants = ["00000099000900000201", "00000099000900000205", "00000099000900000301", unknown];
        let meeting = json!({
            "overleg": {
                "kenmerk": "ZVH-2027-007", "datum": "2027-01-20", "doel": "toezicht",
                "deelnemers": participants.map(|oin| json!({ "oin": oin }))
            },
            "persoon": { "bsn": person.bsn, "geboortedatum": "1998-03-05" }
        });
        let event = event(MEETING, meeting.to_string());
        let zvh = "zvh:rotterdam-rijnmond";
        scene.send(zvh, &event).await;

        let answer = json!({
            "kenmerk": "ZVH-2027-007", "justitieel_kader": kader(), "risicoanalyse": case_file()["risicoanalyse"]
        });
        let ground = "zvh-wgs, Wet gegevensverwerking door samenwerkingsverbanden (WGS) (te bevestigen)";
        let mut keys = Vec::new();
        for recipient in [zvh, "politie:rotterdam", "wijkteam:delfshaven"] {
            let (arrival, receipt) = delivered(scene, zvh, &event, recipient, MEETING_ANSWER).await;
            assert_eq!(arrival.json(), answer, "{recipient}");
            assert_eq!(shared_with(&receipt), all_on(&["justitieel_kader", "risicoanalyse"], ground), "{recipient}");
            keys.push(arrival.key.clone());
        }
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 3, "each its own key");
        for recipient in ["woningcorporatie:havenlicht", &format!("oin:{unknown}")] {
            let receipt = scene.receipt(zvh, &event.id, recipient).await;
            let reason = receipt.reason.unwrap();
            assert_eq!((receipt.outcome, reason.code), (Outcome::Refused, Code::Forbidden), "{recipient}");
            assert!(reason.detail.contains("niet-op-de-wgs-lijst"), "{}", reason.detail);
        }
        assert_eq!(scene.receipts(zvh, &event.id, 5).await.len(), 5);
        assert_eq!(scene.recipients_of(&event.id).len(), 3);
        let asked = scene.world.iris.asked_in(trace_id(&event));
        assert_eq!(asked.iter().map(|asked| names(asked)).collect::<Vec<_>>(), [["justitieel_kader", "risicoanalyse"]]);
    });
}
