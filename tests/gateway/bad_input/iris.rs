//! IRIS cannot tell: what needs its facts waits, and the rest goes on.

use crate::messages::{Person, case_file, release, request, supervised, trace_id};
use crate::scene::{Scene, run};
use ketenpoort::code::Code;
use ketenpoort::demo::partner::Event;
use ketenpoort::outcome::Outcome;
use ketenpoort::simulators::iris::Behaviour;
use serde_json::json;

const CONFIG: &str = "[iris]\ntimeout = \"300ms\"\nattempts = 1\nbreaker_failures = 3\nbreaker_open = \"300ms\"\n";

#[test]
fn what_needs_facts_waits_until_iris_is_back_and_the_municipality_does_not_wait_for_it() {
    run(async {
        let scene = Scene::start("iris", CONFIG).await;
        let table = [
            Behaviour::Down,
            Behaviour::Slow { millis: 3_600_000 },
            Behaviour::NotJson,
            Behaviour::WrongShape,
            Behaviour::TooFew,
            Behaviour::TooLarge,
        ];
        for behaviour in table {
            let person = Person::new();
            scene.world.iris.know(person.on_file(supervised(), json!({})));
            scene.world.iris.behave(behaviour);
            let event = release(&person.notice("0606"));
            scene.send("dji", &event).await;
            let told = scene.receipt("dji", &event.id, "gemeente:0606").await;
            assert_eq!(told.outcome, Outcome::Delivered, "{behaviour:?}");
            waits_for_facts(&scene, &event, "reclassering").await;

            scene.world.iris.behave(Behaviour::Normal);
            let told = scene.receipt("dji", &event.id, "reclassering").await;
            assert_eq!(told.outcome, Outcome::Delivered, "{behaviour:?}");
            scene.arrival("gemeente:0606", &event.id).await;
            scene.arrival("reclassering", &event.id).await;
            assert_eq!(scene.recipients_of(&event.id), ["gemeente:0606", "reclassering"], "{behaviour:?}");
        }

        let client = Person::new();
        scene.world.iris.know(client.on_file(supervised(), case_file()));
        scene.world.iris.behave(Behaviour::Down);
        let event = request(&client.request("0606", "18b", "toezicht"));
        scene.send("gemeente:0606", &event).await;
        waits_for_facts(&scene, &event, "gemeente:0606").await;
        // Back, with more than anybody asked for.
        scene.world.iris.behave(Behaviour::Unasked);
        let answer = scene.arrival("gemeente:0606", &event.id).await.json();
        let names: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["kenmerk", "justitieel_kader", "risico_veiligheid"]);
    });
}

/// However long IRIS may take by its own settings: longer than this test.
#[test]
fn a_municipality_does_not_wait_for_an_iris_that_hangs() {
    run(async {
        let scene = Scene::start("iris-hangs", "[iris]\ntimeout = \"1h\"\n").await;
        scene.world.iris.behave(Behaviour::Slow { millis: 3_600_000 });
        let event = release(&Person::new().notice("0606"));
        scene.send("dji", &event).await;
        assert_eq!(scene.receipt("dji", &event.id, "gemeente:0606").await.outcome, Outcome::Delivered);
        waits_for_facts(&scene, &event, "reclassering").await;
    });
}

async fn waits_for_facts(scene: &Scene, event: &Event, recipient: &str) {
    scene.waits_as(trace_id(event), "retrying").await;
    let rows = scene.parked(&event.id).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["outcome"], &rows[0]["recipient"]), (&json!("retrying"), &json!(recipient)));
    assert_eq!(rows[0]["reason"]["code"], Code::FactsUnavailable.as_str());
}
