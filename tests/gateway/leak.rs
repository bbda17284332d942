//! Nothing personal in anything that is said about a message: marked values are planted in every field of every
//! type, in what IRIS knows and in attributes, and then looked for everywhere but in what was forwarded.

mod planted;

use crate::marked::{Marker, found};
use crate::messages::{LIST, Person, event, numbered, release, trace_id};
use crate::scene::{Scene, run};
use axum::http::StatusCode;
use jiff::Timestamp;
use ketenpoort::demo::partner::Event;
use ketenpoort::receipt::Receipt;
use ketenpoort::simulators::iris;
use ketenpoort::simulators::recipient::Behaviour;
use planted::Planted;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

const DOWN: Behaviour = Behaviour::Answer { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: None };

#[test]
fn nothing_personal_is_told_to_anybody_but_the_recipients() {
    run(async {
        let mut scene = Scene::start("leak", "").await;
        let mut planted = Planted::default();
        good(&scene, &mut planted).await;
        let mut said = waiting(&scene, &mut planted).await;
        refused(&scene, &mut planted).await;

        said.insert("metrics".to_owned(), answer(&scene, "/metrics").await);
        said.insert("readiness".to_owned(), answer(&scene, "/health/ready").await);
        for planted in ["merk999001", &Person::new().bsn] {
            let refusal = answer(&scene, &format!("/v1/receipts/{planted}")).await
                + &answer(&scene, &format!("/{planted}")).await;
            assert!(!refusal.contains(planted), "{refusal}");
        }
        // The last spans are sent when it stops.
        scene.world.stop_gateway().await.unwrap();
        assert_eq!(scene.command(&["parked", "list", "--json"]).await.trim(), "[]", "all of it has ended");
        said.insert("log".to_owned(), log(&scene));
        said.insert("spans".to_owned(), spans(&scene));
        said.insert("receipts and headers".to_owned(), receipts_and_headers(&scene));
        said.insert("ledger".to_owned(), ledger(&scene));
        for (what, text) in &said {
            assert!(text.len() > 80, "{what} says nothing: {text}");
            assert_eq!(places(found(&planted.content, text)), [""; 0], "{what}");
            if what != "ledger" && what != "receipts and headers" {
                // What a message is called, its sender is told, and the ledger must know.
                assert_eq!(places(found(&planted.names, text)), [""; 0], "{what}");
            }
        }
    });
}

fn places(markers: Vec<&Marker>) -> Vec<&str> {
    markers.into_iter().map(|marker| marker.place.as_str()).collect()
}

/// Messages that reach somebody, in every format and by every way.
async fn good(scene: &Scene, planted: &mut Planted) {
    let release = planted.notice("invrijheidstelling", 1, ["0606", "0599"]);
    let leave = planted.notice("verlof", 2, ["0344", "0505"]);
    for (event, recipients) in [
        (release, ["gemeente:0606", "gemeente:0599", "reclassering"]),
        (leave, ["gemeente:0344", "gemeente:0505", "reclassering"]),
    ] {
        planted.known(scene, &event);
        scene.send("dji", &event).await;
        arrived(scene, planted, &event, &recipients).await;
    }
    let request = planted.request(3, "18b");
    planted.known(scene, &request);
    scene.send("gemeente:0606", &request).await;
    arrived(scene, planted, &request, &["gemeente:0606"]).await;
    let list = planted.list(11);
    planted.known(scene, &list);
    scene.send("dji", &list).await;
    arrived(scene, planted, &Event { id: format!("{}#1", list.id), ..list }, &["dji"]).await;
    for record in planted.records(&request) {
        scene.send("reclassering", &record).await;
        scene.receipt("reclassering", &record.id, "ketenpoort").await;
    }
    let meeting = planted.meeting(4, "00000099000900000205");
    planted.known(scene, &meeting);
    scene.send("zvh:rotterdam-rijnmond", &meeting).await;
    arrived(scene, planted, &meeting, &["zvh:rotterdam-rijnmond", "wijkteam:delfshaven"]).await;
}

/// Otherwise the search would find nothing because there was nothing.
async fn arrived(scene: &Scene, planted: &Planted, event: &Event, recipients: &[&str]) {
    for recipient in recipients {
        let arrival = scene.arrival(recipient, &event.id).await;
        assert!(found(&planted.content, arrival.text()).len() > 3, "{recipient}: {}", arrival.text());
    }
}

/// Messages that wait for somebody or something, what is said about them meanwhile, and their end.
async fn waiting(scene: &Scene, planted: &mut Planted) -> BTreeMap<String, String> {
    let parked = planted.notice("invrijheidstelling", 5, ["0622", "0622"]);
    let assessed = planted.request(6, "43_4");
    let retried = planted.notice("verlof", 7, ["0613", "0613"]);
    let questioned = planted.notice("invrijheidstelling", 8, ["0606", "0606"]);
    [&assessed, &retried, &questioned].into_iter().for_each(|event| planted.known(scene, event));
    scene.world.webhooks.behave_at("/gemeente-0613", DOWN, None);
    for (from, event, outcome) in
        [("dji", &parked, "parked"), ("gemeente:0606", &assessed, "awaiting_assessment"), ("dji", &retried, "retrying")]
    {
        scene.send(from, event).await;
        scene.waits_as(trace_id(event), outcome).await;
    }
    for nonsense in [iris::Behaviour::Down, iris::Behaviour::NotJson, iris::Behaviour::WrongShape] {
        scene.world.iris.behave(nonsense.times(1));
        let event = Event { id: uuid::Uuid::new_v4().to_string(), ..questioned.clone() };
        scene.send("dji", &event).await;
        scene.receipts("dji", &event.id, 1).await;
    }
    scene.world.iris.behave(iris::Behaviour::Normal);

    let mut said = BTreeMap::from([("parked list".to_owned(), scene.command(&["parked", "list"]).await)]);
    let rows = scene.command(&["parked", "list", "--json"]).await;
    for row in serde_json::from_str::<Vec<Value>>(&rows).unwrap() {
        let delivery = row["delivery"].to_string();
        said.insert(format!("parked show {delivery}"), scene.command(&["parked", "show", &delivery]).await);
        if row["id"] == parked.id || row["id"] == assessed.id {
            scene.command(&["parked", "discard", &delivery, "--who", "test", "--why", "at its end"]).await;
        }
    }
    said.insert("parked list --json".to_owned(), rows);
    scene.world.webhooks.behave_at("/gemeente-0613", Behaviour::Take, None);
    for (from, event) in [("dji", &parked), ("gemeente:0606", &assessed), ("dji", &retried)] {
        scene.receipts(from, &event.id, 1).await;
    }
    scene.arrival("gemeente:0613", &retried.id).await;
    said
}

/// Messages that are not let in, or not again: each field spoilt in turn, and what is no message at all.
async fn refused(scene: &Scene, planted: &mut Planted) {
    let mut sent: Vec<(&str, Event)> = Vec::new();
    for (from, event) in planted.spoilt() {
        sent.push((from, event));
    }
    let (strange, names) = planted.strange();
    planted.names = names;
    sent.extend(strange);
    let twice = planted.notice("invrijheidstelling", 9, ["0606", "0606"]);
    let older = numbered(1, event(&twice.kind, twice.data.reveal_personal_data().clone()));
    let other = Event { id: twice.id.clone(), ..planted.notice("invrijheidstelling", 10, ["0606", "0606"]) };
    for event in [numbered(2, twice.clone()), older, twice, other] {
        scene.send("dji", &event).await;
        scene.receipts("dji", &event.id, 1).await;
    }
    for (from, event) in &sent {
        scene.send(from, event).await;
    }
    for (from, event) in &sent {
        scene.receipts(from, &event.id, 1).await;
        if event.kind == LIST {
            scene.receipts(from, &format!("{}#1", event.id), 1).await;
        }
    }
    assert!(sent.len() > 150, "{}", sent.len());
    // Of what is spoilt and still good, every delivery: this comes after all of them.
    let last = release(&Person::new().notice("0606"));
    scene.send("dji", &last).await;
    scene.receipts("dji", &last.id, 1).await;
}

async fn answer(scene: &Scene, path: &str) -> String {
    reqwest::get(format!("{}{path}", scene.world.note.http)).await.unwrap().text().await.unwrap()
}

/// Without the moments: their digits would be found sooner or later.
fn log(scene: &Scene) -> String {
    let lines = scene.log();
    let lines = lines.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line["timestamp"].take();
        line.to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn spans(scene: &Scene) -> String {
    let spans = scene.world.traces.spans();
    spans.iter().map(|span| format!("{} {:?}\n", span.name, span.attributes)).collect()
}

fn receipts_and_headers(scene: &Scene) -> String {
    let mut text = String::new();
    let mut say = |all: &BTreeMap<String, String>| {
        let lasting = all.iter().filter(|(name, _)| !name.ends_with("time"));
        text += &format!("{:?}\n", lasting.collect::<Vec<_>>());
    };
    for (_, arrival) in scene.everything() {
        say(&arrival.attributes);
        say(&arrival.headers);
    }
    let proofs = scene.proofs();
    proofs.iter().for_each(|proof| say(&proof.headers));
    for proof in proofs {
        text += &serde_json::to_string(&Receipt { time: Timestamp::UNIX_EPOCH, ..proof.receipt.clone() }).unwrap();
    }
    text
}

/// Every byte of it: what was deleted must be gone, not only forgotten.
fn ledger(scene: &Scene) -> String {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(&scene.world.home).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("ledger.db") {
            bytes.extend(fs::read(path).unwrap());
        }
    }
    // Each byte as a character of its own, so that text is found whatever stands around it.
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    assert!(text.contains("nl.ketenpoort."), "it is not there in plain text, so nothing would be found");
    text
}
