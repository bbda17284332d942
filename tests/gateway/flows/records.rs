//! What the probation service puts on record by message: it counts at once, whatever waits, and whatever happens.

use super::{about, all_on, delivered, shared as shared_with};
use crate::messages::{ASSESSMENT, CONSENT, Person, WITHDRAWAL, case_file, event, request, supervised, trace_id};
use crate::scene::{Scene, run, shared};
use axum::http::StatusCode;
use ketenpoort::code::Code;
use ketenpoort::demo::partner::Event;
use ketenpoort::outcome::Outcome;
use ketenpoort::simulators::iris;
use ketenpoort::simulators::recipient::Behaviour;
use ketenpoort::telemetry::collector::Span;
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

const ANSWER: &str = "nl.ketenpoort.re-integratie.informatie-verstrekt.v1";
const BINARY: &str = env!("CARGO_BIN_EXE_ketenpoort");

/// Sent, kept, and told so in one receipt.
async fn put_on_record(scene: &Scene, kind: &str, data: Value) -> Event {
    let event = event(kind, data.to_string());
    scene.send("reclassering", &event).await;
    let receipt = scene.receipt("reclassering", &event.id, "ketenpoort").await;
    about(scene, "reclassering", &event, &receipt);
    assert_eq!((receipt.outcome, receipt.reason.unwrap().code), (Outcome::Delivered, Code::Recorded));
    assert_eq!((receipt.decision.shared.len(), receipt.forwarded_digest), (0, None), "it went to nobody");
    event
}

fn consent(person: &Person, id: &str, recipient: &str) -> Value {
    json!({
        "persoon": { "bsn": person.bsn, "skn": person.skn },
        "toestemming": { "id": id, "vorm": "schriftelijk", "categorieen": ["basisvoorwaarden"], "ontvangers": [recipient],
                         "verleend_op": "2026-01-05", "geldig_tot": null }
    })
}

fn judged(person: &Person, id: &str, request: &Event, categories: &[&str]) -> Value {
    json!({
        "persoon": { "bsn": person.bsn },
        "beoordeling": { "id": id, "soort": "43_4", "betreft": request.id, "categorieen": categories, "op": "2026-01-05" }
    })
}

/// A request that nobody may answer before somebody judged it.
async fn waits(scene: &Scene, person: &Person) -> Event {
    scene.world.iris.know(person.on_file(supervised(), case_file()));
    let event = request(&person.request("0606", "43_4", "toezicht"));
    scene.send("gemeente:0606", &event).await;
    scene.waits_as(trace_id(&event), "awaiting_assessment").await;
    event
}

#[test]
fn a_consent_by_message_counts_until_it_is_withdrawn_by_message() {
    run(async {
        let scene = shared().await;
        let person = Person::new();
        // A request has the BSN only, this withdrawal the SKN: the consent has both.
        let withdrawal = json!({
            "persoon": { "skn": person.skn }, "intrekking": { "toestemming": "T-71", "ingetrokken_op": "2026-01-06" }
        });
        scene.world.iris.know(person.on_file(json!({ "bekend": true }), case_file()));
        put_on_record(scene, CONSENT, consent(&person, "T-71", "gemeente:0597")).await;
        let first = request(&person.request("0597", "wmo", "toezicht"));
        scene.send("gemeente:0597", &first).await;
        let (arrival, receipt) = delivered(scene, "gemeente:0597", &first, "gemeente:0597", ANSWER).await;
        assert_eq!(arrival.json()["basisvoorwaarden"], case_file()["basisvoorwaarden"]);
        let ground = "wmo, AVG art. 6 lid 1 onder a; Wmo 2015 art. 5.2.1 (te bevestigen)";
        assert_eq!(shared_with(&receipt), all_on(&["basisvoorwaarden"], ground));

        let down = Behaviour::Answer { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: None };
        scene.world.webhooks.behave_at("/gemeente-0597", down, None);
        let second = request(&person.request("0597", "wmo", "toezicht"));
        scene.send("gemeente:0597", &second).await;
        scene.waits_as(trace_id(&second), "retrying").await;
        put_on_record(scene, WITHDRAWAL, withdrawal.clone()).await;
        scene.world.webhooks.behave_at("/gemeente-0597", Behaviour::Take, None);
        let receipt = scene.receipt("gemeente:0597", &second.id, "gemeente:0597").await;
        assert_eq!((receipt.outcome, receipt.reason.unwrap().code), (Outcome::Refused, Code::Forbidden));
        assert_eq!((receipt.decision.shared.len(), receipt.forwarded_digest), (0, None));

        // Not by the same consent once more, only by another.
        put_on_record(scene, CONSENT, consent(&person, "T-71", "gemeente:0597")).await;
        let third = request(&person.request("0597", "wmo", "toezicht"));
        scene.send("gemeente:0597", &third).await;
        assert_eq!(scene.receipt("gemeente:0597", &third.id, "gemeente:0597").await.outcome, Outcome::Refused);
        let given = put_on_record(scene, CONSENT, consent(&person, "T-72", "gemeente:0597")).await;
        // A rejected message puts nothing on record.
        let withdrawal = withdrawal.to_string().replace("T-71", "T-72");
        scene.send("reclassering", &Event { id: given.id.clone(), ..event(WITHDRAWAL, withdrawal) }).await;
        let outcomes = scene.receipts("reclassering", &given.id, 2).await;
        assert!(outcomes.iter().any(|proof| proof.receipt.outcome == Outcome::Rejected));
        let fourth = request(&person.request("0597", "wmo", "toezicht"));
        scene.send("gemeente:0597", &fourth).await;
        delivered(scene, "gemeente:0597", &fourth, "gemeente:0597", ANSWER).await;
        for refused in [second, third] {
            assert_eq!(scene.recipients_of(&refused.id), [""; 0]);
        }
    });
}

/// The answer is decided on, and its data still on the way, when the consent is withdrawn.
#[test]
fn once_a_withdrawal_is_acknowledged_nothing_goes_out_that_was_decided_without_it() {
    run(async {
        let scene = Scene::start("overtaken", "iris.timeout = \"1m\"\n").await;
        let person = Person::new();
        scene.world.iris.know(person.on_file(json!({ "bekend": true }), case_file()));
        put_on_record(&scene, CONSENT, consent(&person, "T-81", "gemeente:0606")).await;
        scene.world.iris.behave(iris::Behaviour::Slow { millis: 4000 }.times(2));
        let overtaken = request(&person.request("0606", "wmo", "toezicht"));
        scene.send("gemeente:0606", &overtaken).await;
        let asked = async {
            while scene.world.iris.asked_in(trace_id(&overtaken)).is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        scene.in_time("the question for the data", asked).await;
        let withdrawn = json!({ "toestemming": "T-81", "ingetrokken_op": "2026-01-06" });
        put_on_record(&scene, WITHDRAWAL, json!({ "persoon": { "bsn": person.bsn }, "intrekking": withdrawn })).await;
        let receipt = scene.receipt("gemeente:0606", &overtaken.id, "gemeente:0606").await;
        assert_eq!((receipt.outcome, receipt.forwarded_digest), (Outcome::Refused, None));
        assert_eq!(receipt.decision.shared.len(), 0, "and nothing can have reached it");
        assert_eq!(scene.recipients_of(&overtaken.id), [""; 0]);
    });
}

/// Nothing is looked at again by itself in this world: what goes on does so because of a record.
#[test]
fn what_waits_for_a_judgement_goes_on_when_it_comes_also_after_a_crash_and_a_stop() {
    run(async {
        let mut scene = Scene::start("judged", "delivery.recheck = \"1h\"\n").await;
        let answer = json!({ "kenmerk": "0606-2027-17", "risico_veiligheid": case_file()["risico_veiligheid"] });

        let person = Person::new();
        let waiting = waits(&scene, &person).await;
        let mut elsewhere = judged(&person, "B-0", &waiting, &["justitieel_kader"]);
        elsewhere["beoordeling"]["betreft_bron"] = "urn:nld:oin:00000099000000000344:systeem:zaak".into();
        put_on_record(&scene, ASSESSMENT, elsewhere).await;
        let mut here = judged(&person, "B-1", &waiting, &["risico_veiligheid", "zorg"]);
        here["beoordeling"]["betreft_bron"] = scene.partner("gemeente:0606").access.source.clone().into();
        let judgement = put_on_record(&scene, ASSESSMENT, here).await;
        let (arrival, receipt) = delivered(&scene, "gemeente:0606", &waiting, "gemeente:0606", ANSWER).await;
        assert_eq!(arrival.json(), answer, "what the judgement of this very message names, and no more than 18b");
        assert_eq!(receipt.decision.shared.len(), 1);
        // Its trace leads to the judgement on which it went on.
        let waited =
            |span: &&Span| span.name == "resume" && span.attributes["ketenpoort.waited_as"] == "awaiting_assessment";
        let linked = |span: &&Span| span.name == "facts" && span.links.iter().any(|of| of == trace_id(&judgement));
        let spans = scene.trace(trace_id(&waiting), |spans| {
            spans.iter().any(|span| waited(&span) && span.attributes["ketenpoort.outcome"] == "delivered")
                && spans.iter().any(|span| linked(&span))
        });
        spans.await;

        let nobody = Person::new();
        let refused = waits(&scene, &nobody).await;
        put_on_record(&scene, ASSESSMENT, judged(&nobody, "B-2", &refused, &[])).await;
        let receipt = scene.receipt("gemeente:0606", &refused.id, "gemeente:0606").await;
        assert_eq!(receipt.outcome, Outcome::Refused, "it was judged that nothing may be shared");

        let (killed, stopped) = (Person::new(), Person::new());
        let across_a_crash = waits(&scene, &killed).await;
        scene.world.kill_gateway().await.unwrap();
        scene.world.start_gateway().await.unwrap();
        put_on_record(&scene, ASSESSMENT, judged(&killed, "B-3", &across_a_crash, &["risico_veiligheid"])).await;
        let (arrival, _) = delivered(&scene, "gemeente:0606", &across_a_crash, "gemeente:0606", ANSWER).await;
        assert_eq!(arrival.json(), answer);

        // The record is there before the request, and the gateway was stopped in between.
        let early = request(&stopped.request("0606", "43_4", "toezicht"));
        put_on_record(&scene, ASSESSMENT, judged(&stopped, "B-4", &early, &["risico_veiligheid"])).await;
        scene.world.stop_gateway().await.unwrap();
        scene.world.start_gateway().await.unwrap();
        scene.world.iris.know(stopped.on_file(supervised(), case_file()));
        scene.send("gemeente:0606", &early).await;
        delivered(&scene, "gemeente:0606", &early, "gemeente:0606", ANSWER).await;

        for (id, receipts) in [(&waiting.id, 1), (&refused.id, 1), (&across_a_crash.id, 1), (&early.id, 1)] {
            assert_eq!(scene.receipts("gemeente:0606", id, receipts).await.len(), receipts);
            assert!(scene.parked(id).await.is_empty());
        }
        assert_eq!(scene.recipients_of(&refused.id), [""; 0]);
        subject_report(&scene, &person, &nobody).await;
    });
}

/// What the person may be told, by BSN over standard input.
async fn subject_report(scene: &Scene, person: &Person, nobody: &Person) {
    let report = |number: &str, form: &str| {
        let mut command = std::process::Command::new(BINARY);
        command.args(["ledger", "subject", "bsn", "--who", "h.visser", "--why", "inzageverzoek 2026-114"]);
        command.args(["--config", scene.world.note.config.to_str().unwrap()]).args((!form.is_empty()).then_some(form));
        let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        writeln!(running.stdin.take().unwrap(), "{number}").unwrap();
        let output = running.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let told: Value = serde_json::from_str(&report(&person.bsn, "--json")).unwrap();
    let all = told["disclosures"].as_array().unwrap();
    assert_eq!(all.len(), 1, "{told}");
    let one = &all[0];
    assert_eq!((&one["certain"], &one["linked"]), (&true.into(), &false.into()));
    assert_eq!(one["to"], json!({ "party": "gemeente:0606", "name": "Gemeente Schiedam" }));
    assert_eq!((&one["from"]["party"], &one["asked_by"]["party"]), (&"reclassering".into(), &"gemeente:0606".into()));
    assert_eq!(one["shared"][0]["category"], "risico_veiligheid");
    assert_eq!(one["shared"][0]["legal_basis"], "Pbw art. 43 lid 4");
    let page = report(&person.bsn, "--html");
    for part in ["Gemeente Schiedam", "veiligheid van anderen: Pbw art. 43 lid 4", "Een gemeente vraagt informatie"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(report(&nobody.bsn, "").starts_with("0 disclosures"), "what was refused is no disclosure");
    for said in [told.to_string(), page, scene.log()] {
        assert!(!said.contains(&person.bsn));
    }
}
