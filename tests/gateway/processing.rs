//! The log of processings in the hands of a privacy officer: over HTTP and by command, of a gateway that samples nothing.

use crate::messages::{Person, RELEASE, release, request, supervised, trace_id};
use crate::scene::{Scene, run};
use ketenpoort::demo::partner::Event;
use serde_json::{Value, json};
use std::path::Path;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const REGISTER: &str = "https://register.example/processing-activities/";
const SUBJECT: &str = "dpl.core.data_subject_id";

async fn scene(name: &str) -> Scene {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.token"));
    std::fs::write(&file, TOKEN).unwrap();
    let log = format!(
        "processing_log.token_file = {:?}\nprocessing_log.register = {REGISTER:?}\n",
        file.display().to_string()
    );
    let authzen = format!("authzen.token_file = {:?}\nauthzen.client = \"raadsysteem\"\n", file.display().to_string());
    Scene::start(name, &format!("{log}{authzen}telemetry.sample_ratio = 0.0\n")).await
}

async fn ask(scene: &Scene, log: &str, body: &Value) -> (Vec<Value>, String) {
    let url = format!("{}/{log}", scene.world.note.http);
    let answer = reqwest::Client::new().post(url).bearer_auth(TOKEN).json(body).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{body}");
    let text = answer.text().await.unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    let (_, records) = answer.as_object().unwrap().iter().next().unwrap();
    (records.as_array().unwrap().clone(), text)
}

/// Not sampled by its sender either.
fn unsampled(event: Event) -> Event {
    let traceparent = event.traceparent.as_ref().map(|parent| parent.replace("-01", "-00"));
    Event { traceparent, ..event }
}

#[test]
fn every_message_is_one_processing_with_a_decision_for_each_recipient() {
    run(async {
        let scene = scene("processing").await;
        let (notice, stranger) = (Person::new().notice("0599"), Person::new());
        scene.world.iris.know(notice.person.on_file(supervised(), json!({})));
        let sent = unsampled(release(&notice));
        scene.send("dji", &sent).await;
        scene.receipts("dji", &sent.id, 2).await;
        let denied = unsampled(request(&stranger.request("0606", "18b", "toezicht")));
        scene.send("gemeente:0606", &denied).await;
        scene.receipts("gemeente:0606", &denied.id, 1).await;

        let of_trace = json!({ "traceId": trace_id(&sent) });
        let (processings, told) = ask(&scene, "processing-activities", &of_trace).await;
        let [processing] = &processings[..] else { panic!("{told}") };
        let span = sent.traceparent.as_deref().unwrap().split('-').nth(2).unwrap();
        assert_eq!((&processing["parentSpanId"], &processing["status"]), (&json!(span), &json!("Ok")));
        let attributes = &processing["attributes"];
        assert_eq!(attributes["dpl.core.processing_activity_id"], format!("{REGISTER}{RELEASE}"));
        assert!(attributes["dpl.core.foreign_operation.processor"].as_str().unwrap().starts_with("urn:nld:oin:"));
        assert_eq!(attributes["dpl.core.data_subject_id_type"], "BSN");

        let (decisions, decided) = ask(&scene, "authorization-decisions", &of_trace).await;
        let mut recipients: Vec<_> =
            decisions.iter().map(|one| one["body"]["adl.core.request"]["subject"]["id"].as_str().unwrap()).collect();
        recipients.sort_unstable();
        assert_eq!(recipients, ["gemeente:0599", "reclassering"]);
        for decision in &decisions {
            assert_eq!(decision["body"]["adl.core.response"]["decision"], true);
            assert_eq!(
                (&decision["trace_id"], &decision["parent_span_id"]),
                (&processing["traceId"], &processing["spanId"])
            );
            assert_eq!(decision["attributes"]["adl.core.policies"], scene.versions.0);
        }

        let (refused, _) = ask(&scene, "processing-activities", &json!({ "traceId": trace_id(&denied) })).await;
        assert_eq!(refused[0]["status"], "Unset");
        let (refused, _) = ask(&scene, "authorization-decisions", &json!({ "traceId": trace_id(&denied) })).await;
        assert_eq!(
            (&refused[0]["status"], &refused[0]["body"]["adl.core.response"]["decision"]),
            (&json!("Ok"), &json!(false))
        );

        // The person by number and by pseudonym: the same one message, and nobody else's.
        let by_number = json!({ SUBJECT: notice.person.bsn, "dpl.core.data_subject_id_type": "BSN" });
        assert_eq!(ask(&scene, "processing-activities", &by_number).await.0, processings);
        assert_eq!(ask(&scene, "processing-activities", &json!({ SUBJECT: attributes[SUBJECT] })).await.0, processings);
        let activity = json!({ "dpl.core.processing_activity_id": format!("{REGISTER}{RELEASE}") });
        assert_eq!(ask(&scene, "processing-activities", &activity).await.0, processings);

        let command = ["ledger", "processing", "--trace", trace_id(&sent), "--who", "fg", "--why", "toets"];
        let by_command: Value = serde_json::from_str(&scene.command(&command).await).unwrap();
        assert_eq!(by_command, json!(processings));

        let log = scene.log();
        for personal in [&notice.person.bsn, &notice.person.skn, "Dijkhuizen", "Mathenesserdijk", "Haverkamp"] {
            assert!(![&told, &decided, &log].iter().any(|said| said.contains(personal)), "{personal}");
        }
        let actions = actions(&scene.world.home.join("ledger.db")).await;
        assert_eq!(actions.len(), 8, "{actions:?}");
        assert!(
            actions.iter().all(|(_, what, _)| what == "processing-activities" || what == "authorization-decisions")
        );
        assert!(actions.iter().any(|(who, _, why)| who == "fg" && why.starts_with("toets ")));
        let pseudonym = attributes[SUBJECT].as_str().unwrap();
        assert!(!actions.iter().any(|(_, _, why)| why.contains(&notice.person.bsn) || why.contains(pseudonym)));
    });
}

/// What the gateway would decide about a message is what it decides when the message comes.
#[test]
fn who_asks_beforehand_is_told_what_the_gateway_then_decides() {
    run(async {
        let scene = scene("authzen").await;
        let facts = json!({ "bekend": true, "justitieel_kader": { "aanwezig": true, "soort": "toezicht" } });
        let ask = async |category: &str, facts: &Value| {
            let body = json!({
                "subject": { "type": "partij", "id": "gemeente:0606", "properties": {
                    "rol": "gemeente-gemandateerde", "hoedanigheid": ["is_verzoeker"]
                }},
                "action": { "name": "verstrekken" },
                "resource": { "type": "categorie", "id": category },
                "context": {
                    "bericht": "re-integratie.informatie-gevraagd", "afzender": "gemeente-gemandateerde",
                    "bron": "reclassering", "verzoek": { "grond": "18b", "doel": "toezicht" }, "feiten": facts
                }
            });
            let url = format!("{}/access/v1/evaluation", scene.world.note.http);
            let request = reqwest::Client::new().post(url).bearer_auth(TOKEN).header("x-request-id", "7").json(&body);
            let answer = request.send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.headers()["x-request-id"].as_bytes()), (200, &b"7"[..]));
            serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()
        };
        let yes = ask("justitieel_kader", &facts).await;
        let no = [ask("slachtoffer", &facts).await, ask("justitieel_kader", &json!({ "bekend": false })).await];
        assert_eq!(yes["decision"], true, "{yes}");
        assert_eq!(yes["context"]["policy_version"], scene.versions.0);

        let client = Person::new();
        scene.world.iris.know(client.on_file(supervised(), crate::messages::case_file()));
        let sent = request(&client.request("0606", "18b", "toezicht"));
        scene.send("gemeente:0606", &sent).await;
        let receipt = scene.receipt("gemeente:0606", &sent.id, "gemeente:0606").await;
        let shared: Vec<_> =
            receipt.decision.shared.iter().map(|shared| (shared.category.as_str(), &*shared.policy)).collect();
        let policy = yes["context"]["policies"][0]["id"].as_str().unwrap();
        assert!(shared.contains(&("justitieel_kader", policy)), "{shared:?}");
        assert!(no.iter().all(|no| no["decision"] == false), "{no:?}");

        let actions = actions(&scene.world.home.join("ledger.db")).await;
        assert_eq!(actions.len(), 3);
        for (who, what, why) in &actions {
            assert_eq!((who.as_str(), what.as_str()), ("raadsysteem", "evaluate"));
            let said: Value = serde_json::from_str(why).unwrap();
            assert!(said["adl.core.response"]["decision"].is_boolean() && !why.contains("kader_aanwezig"), "{why}");
        }
    });
}

/// Who, what and why.
async fn actions(ledger: &Path) -> Vec<(String, String, String)> {
    use sqlx::{ConnectOptions, Connection};
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(ledger).connect().await.unwrap();
    let rows =
        sqlx::query_as("SELECT who, what, why FROM action ORDER BY key").fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows
}
