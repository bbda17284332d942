//! Lists: split, looked up and answered one by one, each item with its own outcome, whatever the size of the list
//! and whatever happens to the gateway meanwhile.

use crate::messages::{LIST, Person, event, intake_list, supervised};
use crate::scene::{Arrival, Proof, Scene, run, shared};
use jiff::Timestamp;
use ketenpoort::code::Code;
use ketenpoort::demo::partner::Event;
use ketenpoort::envelope::digest_label;
use ketenpoort::facts::dutch_day;
use ketenpoort::outcome::Outcome;
use ketenpoort::simulators::iris::People;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const BORN: &str = "19870412";
/// There is no such day.
const WRONG: &str = "19870230";

/// Persons with consecutive SKNs, of whom IRIS knows one in three; one of the list is wrong.
struct Crowd {
    first: usize,
    count: usize,
    wrong: usize,
}

impl Crowd {
    fn list(&self) -> Vec<u8> {
        let person = |position| (self.skn(position), if position == self.wrong { WRONG } else { BORN });
        intake_list("IL-2026-1124", (1..=self.count).map(person))
    }

    fn skn(&self, position: usize) -> String {
        (self.first + position).to_string()
    }

    fn is_known(position: usize) -> bool {
        position.is_multiple_of(3)
    }

    fn on_file(&self) -> People {
        let known = (1..=self.count).filter(|position| Crowd::is_known(*position));
        let entry = |position| {
            let kader = json!({ "soort": "toezicht", "organisatie": "SVG", "contactpersoon": format!("toezichthouder {position}") });
            json!({ "skn": self.skn(position), "feiten": supervised(), "gegevens": { "justitieel_kader": kader } })
        };
        let file = json!({ "personen": known.map(entry).collect::<Vec<_>>() }).to_string();
        People::read("test", &file, dutch_day(Timestamp::now())).unwrap()
    }

    /// One answer under one key for each but the one that is wrong, and one receipt for each.
    fn answered(&self, list: &Event, arrivals: &[Arc<Arrival>], proofs: &[Arc<Proof>]) {
        let mut keys: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        for arrival in arrivals {
            let position = position(&arrival.attributes["correlationid"]);
            keys.entry(position).or_default().insert(&arrival.key);
            assert_eq!(arrival.json(), self.answer(position), "{position}");
        }
        let answered: Vec<usize> = keys.keys().copied().collect();
        let right: Vec<usize> = (1..=self.count).filter(|position| *position != self.wrong).collect();
        assert_eq!(answered, right);
        assert!(keys.values().all(|keys| keys.len() == 1), "under one key each");
        let all: BTreeSet<&str> = keys.into_values().flatten().collect();
        assert_eq!(all.len(), self.count - 1, "and each under its own");

        let texts: BTreeSet<&str> = proofs.iter().map(|proof| proof.jws.as_str()).collect();
        assert_eq!(texts.len(), self.count, "one receipt for each");
        let digest = digest_label(list.data.reveal_personal_data());
        for proof in proofs {
            let receipt = &proof.receipt;
            assert_eq!(receipt.message.digest, digest, "of the list, as DJI sent it");
            let position = position(receipt.message.id.as_deref().unwrap());
            if position == self.wrong {
                let reason = receipt.reason.as_ref().unwrap();
                let problems: Vec<_> = reason.problems.iter().map(|p| (p.code, p.place.as_str())).collect();
                assert_eq!(receipt.outcome, Outcome::Rejected);
                assert_eq!(problems, [(Code::InvalidDate, "/Inkomst/Geboortedatum")]);
            } else {
                let shared: Vec<_> =
                    receipt.decision.shared.iter().map(|s| (s.category.as_str(), s.policy.as_str())).collect();
                let policy = if Crowd::is_known(position) { "bevoegde-autoriteit" } else { "bekendheid-bij-instroom" };
                assert_eq!(receipt.outcome, Outcome::Delivered, "{position}");
                assert_eq!(shared, [("justitieel_kader", policy)]);
            }
        }
    }

    fn answer(&self, position: usize) -> Value {
        let (kenmerk, volgnummer) = ("IL-2026-1124", position.to_string());
        if !Crowd::is_known(position) {
            let bekendheid = json!({ "bekend": false, "mate": "niet_bekend" });
            return json!({ "kenmerk": kenmerk, "volgnummer": volgnummer, "bekendheid": bekendheid });
        }
        json!({
            "kenmerk": kenmerk, "volgnummer": volgnummer,
            "bekendheid": { "bekend": true, "mate": "lopend_kader", "organisatie": "SVG" },
            "justitieel_kader": {
                "soort": "toezicht", "organisatie": "SVG", "contactpersoon": format!("toezichthouder {position}")
            }
        })
    }
}

fn position(id: &str) -> usize {
    id.rsplit_once('#').unwrap().1.parse().unwrap()
}

fn list(data: Vec<u8>) -> Event {
    Event { traceparent: None, ..event(LIST, data) }
}

/// The most memory that the gateway's process ever had, in KiB.
fn peak(scene: &Scene) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.world.pid().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn three_thousand_are_answered_one_by_one_in_bounded_memory() {
    run(async {
        let scene = Scene::quiet("list").await;
        let at_rest = peak(&scene);
        let mut peaks = Vec::new();
        for crowd in
            [Crowd { first: 100_000, count: 300, wrong: 7 }, Crowd { first: 200_000, count: 3000, wrong: 1234 }]
        {
            scene.world.iris.know(crowd.on_file());
            let event = list(crowd.list());
            scene.send("dji", &event).await;
            let (arrivals, proofs, own) = tokio::join!(
                scene.arrivals_of_items("dji", &event.id, crowd.count - 1),
                scene.receipts_of_items("dji", &event.id, crowd.count),
                scene.receipt("dji", &event.id, "ketenpoort"),
            );
            assert_eq!((arrivals.len(), proofs.len()), (crowd.count - 1, crowd.count), "nothing comes twice");
            crowd.answered(&event, &arrivals, &proofs);
            let reason = own.reason.unwrap();
            assert_eq!((own.outcome, reason.code), (Outcome::Delivered, Code::Split));
            assert_eq!(reason.detail, format!("split into {0}: {1}#1 to {1}#{0}", crowd.count, event.id));
            peaks.push(peak(&scene));
        }
        println!("peak memory: {at_rest} KiB at rest, {} KiB with 300 items, {} KiB with 3000", peaks[0], peaks[1]);
        assert!(peaks[1] < 2 * peaks[0], "{peaks:?}");
    });
}

#[test]
fn a_crash_in_the_middle_leaves_each_answered_under_one_key() {
    run(async {
        let mut scene = Scene::quiet("list-killed").await;
        let crowd = Crowd { first: 300_000, count: 1000, wrong: 400 };
        scene.world.iris.know(crowd.on_file());
        let event = list(crowd.list());
        scene.send("dji", &event).await;
        // Of the one that is wrong, by itself: the list is just being split.
        scene.receipts_of_items("dji", &event.id, 1).await;
        scene.world.kill_gateway().await.unwrap();
        let waiting = scene.waiting(5000).await;
        let unsplit = waiting.iter().any(|row| row["id"] == event.id.as_str());
        println!(
            "killed with {} waiting, the list itself {}",
            waiting.len(),
            if unsplit { "among them" } else { "not" }
        );
        scene.world.start_gateway().await.unwrap();
        scene.arrivals_of_items("dji", &event.id, 200).await;
        scene.world.kill_gateway().await.unwrap();
        scene.world.start_gateway().await.unwrap();
        let all = |proofs: &[Arc<Proof>]| proofs.iter().map(|proof| proof.jws.clone()).collect::<BTreeSet<_>>().len();
        let mut proofs = scene.receipts_of_items("dji", &event.id, crowd.count).await;
        while all(&proofs) < crowd.count {
            // A receipt may come twice, as an answer may.
            proofs = scene.receipts_of_items("dji", &event.id, proofs.len() + 1).await;
        }
        let own = scene.receipt("dji", &event.id, "ketenpoort").await;
        assert_eq!(own.outcome, Outcome::Delivered);
        crowd.answered(&event, &scene.arrivals_of_items("dji", &event.id, crowd.count - 1).await, &proofs);
        scene.world.stop_gateway().await.unwrap();
    });
}

#[test]
fn a_list_that_comes_again_gets_the_same_receipts_and_one_with_its_id_none_of_them() {
    run(async {
        let scene = shared().await;
        let crowd = Crowd { first: 400_000, count: 30, wrong: 3 };
        scene.world.iris.know(crowd.on_file());
        let event = list(crowd.list());
        scene.send("dji", &event).await;
        scene.receipt("dji", &event.id, "ketenpoort").await;
        let texts = |proofs: Vec<Arc<Proof>>| proofs.into_iter().map(|proof| proof.jws.clone()).collect::<Vec<_>>();
        let first = texts(scene.receipts_of_items("dji", &event.id, 30).await);
        scene.arrivals_of_items("dji", &event.id, 29).await;

        scene.send("dji", &event).await;
        let own = scene.receipts("dji", &event.id, 2).await;
        assert_eq!(own[0].jws, own[1].jws);
        let all = texts(scene.receipts_of_items("dji", &event.id, 60).await);
        assert_eq!(all.iter().collect::<BTreeSet<_>>(), first.iter().collect());

        let longer = Crowd { count: 31, ..crowd };
        let other = Event { id: event.id.clone(), ..list(longer.list()) };
        scene.send("dji", &other).await;
        let rejected = &scene.receipts("dji", &event.id, 3).await[2].receipt;
        assert_eq!(
            (rejected.outcome, rejected.reason.as_ref().unwrap().code),
            (Outcome::Rejected, Code::ReplayedWithOtherContent)
        );

        // What came of them would have come before what came of a later one.
        let later = list(Crowd { first: 410_000, count: 1, wrong: 0 }.list());
        scene.send("dji", &later).await;
        scene.arrivals_of_items("dji", &later.id, 1).await;
        assert_eq!(scene.arrivals_of_items("dji", &event.id, 29).await.len(), 29);
        assert_eq!(scene.receipts_of_items("dji", &event.id, 60).await.len(), 60);
    });
}

#[test]
fn who_stands_on_a_list_twice_is_answered_twice() {
    run(async {
        let scene = shared().await;
        let person = Person::new();
        scene.world.iris.know(person.on_file(supervised(), json!({})));
        let event = list(intake_list("IL-2026-1124", [(person.skn.clone(), BORN), (person.skn.clone(), BORN)]));
        scene.send("dji", &event).await;
        let arrivals = scene.arrivals_of_items("dji", &event.id, 2).await;
        let answers: BTreeSet<String> =
            arrivals.iter().map(|a| a.json()["volgnummer"].as_str().unwrap().to_owned()).collect();
        assert_eq!(answers, BTreeSet::from(["1".to_owned(), "2".to_owned()]));
        assert!(arrivals.iter().all(|a| a.json()["bekendheid"]["mate"] == "lopend_kader"));
        assert_ne!(arrivals[0].key, arrivals[1].key);
    });
}

#[test]
fn an_item_cannot_be_sent_and_a_wrong_list_is_not_split() {
    run(async {
        let scene = shared().await;
        let item = json!({ "Lijst": {}, "Inkomst": {} });
        let sent = event("nl.ketenpoort.detentie.inkomst-aangeboden.v1", item.to_string());
        let wrong = list(String::from_utf8(intake_list("IL 1", [("1".to_owned(), BORN)])).unwrap().into_bytes());
        for (event, code) in [(sent, Code::UnknownType), (wrong, Code::WrongType)] {
            scene.send("dji", &event).await;
            let receipt = &scene.receipts("dji", &event.id, 1).await[0].receipt;
            assert_eq!((receipt.outcome, receipt.reason.as_ref().unwrap().code), (Outcome::Rejected, code));
        }
    });
}
