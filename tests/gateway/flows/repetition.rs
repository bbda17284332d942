//! What comes twice, and what must be sent twice.

use super::delivered;
use crate::messages::{Person, RELEASE, release, request, supervised, trace_id};
use crate::scene::{Proof, Scene, run, shared};
use axum::http::StatusCode;
use ketenpoort::code::Code;
use ketenpoort::demo::partner::Event;
use ketenpoort::outcome::Outcome;
use ketenpoort::simulators::recipient::Behaviour;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Sends it once more: the very same receipts come, and nothing else.
async fn again(scene: &Scene, event: &Event, recipients: &[&str]) {
    let texts = |proofs: Vec<Arc<Proof>>| proofs.into_iter().map(|proof| proof.jws.clone()).collect::<Vec<_>>();
    let before = texts(scene.receipts("dji", &event.id, recipients.len()).await);
    let repeated = Event { traceparent: release(&Person::new().notice("0606")).traceparent, ..event.clone() };
    scene.send("dji", &repeated).await;
    let all = texts(scene.receipts("dji", &event.id, before.len() + recipients.len()).await);
    let (first, second) = all.split_at(before.len());
    let set = |texts: &[String]| texts.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(set(first), set(second));
    assert_eq!(all.len(), before.len() + recipients.len());

    let later = release(&Person::new().notice("0606"));
    scene.send("dji", &later).await;
    scene.arrival("gemeente:0606", &later.id).await;
    for recipient in recipients {
        scene.arrival(recipient, &event.id).await;
    }
    assert_eq!(scene.recipients_of(&event.id), recipients);
}

#[test]
fn a_duplicate_gets_the_very_same_receipts_and_is_not_forwarded_again() {
    run(async {
        let scene = shared().await;
        let notice = Person::new().notice("0606");
        scene.world.iris.know(notice.person.on_file(supervised(), json!({})));
        let event = release(&notice);
        scene.send("dji", &event).await;
        again(scene, &event, &["gemeente:0606", "reclassering"]).await;
    });
}

#[test]
fn a_duplicate_is_known_after_a_crash_and_after_a_stop() {
    run(async {
        let mut scene = Scene::start("restarted", "").await;
        let notice = Person::new().notice("0606");
        scene.world.iris.know(notice.person.on_file(supervised(), json!({})));
        let event = release(&notice);
        scene.send("dji", &event).await;
        again(&scene, &event, &["gemeente:0606", "reclassering"]).await;
        scene.world.kill_gateway().await.unwrap();
        scene.world.start_gateway().await.unwrap();
        again(&scene, &event, &["gemeente:0606", "reclassering"]).await;
        scene.world.stop_gateway().await.unwrap();
        scene.world.start_gateway().await.unwrap();
        again(&scene, &event, &["gemeente:0606", "reclassering"]).await;
    });
}

#[test]
fn what_is_sent_again_has_the_same_idempotency_key() {
    run(async {
        let scene = shared().await;
        scene.world.webhooks.behave_at("/gemeente-0502", Behaviour::TakeUnheard, Some(2));
        let event = release(&Person::new().notice("0502"));
        scene.send("dji", &event).await;
        let receipt = scene.receipt("dji", &event.id, "gemeente:0502").await;
        assert_eq!(receipt.outcome, Outcome::Delivered);
        let arrivals = scene.arrivals("gemeente:0502", &event.id);
        assert_eq!(arrivals.iter().map(|arrival| arrival.offered).collect::<Vec<_>>(), [3], "one event, sent thrice");
        delivered(scene, "dji", &event, "gemeente:0502", RELEASE).await;
    });
}

#[test]
fn a_consent_that_is_withdrawn_before_delivery_permits_nothing_any_more() {
    run(async {
        let scene = shared().await;
        let person = Person::new();
        let consent = |withdrawn: Option<&str>| {
            let consent = json!({
                "id": "T-1", "vorm": "schriftelijk", "categorieen": ["basisvoorwaarden"], "ontvangers": ["gemeente:0489"],
                "verleend_op": "today-20d", "geldig_tot": "today+6m", "ingetrokken_op": withdrawn
            });
            let data = json!({ "basisvoorwaarden": { "huisvesting": "tijdelijk" } });
            person.on_file(json!({ "bekend": true, "toestemmingen": [consent] }), data)
        };
        scene.world.iris.know(consent(None));
        let down = Behaviour::Answer { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: None };
        scene.world.webhooks.behave_at("/gemeente-0489", down, None);
        let event = request(&person.request("0489", "wmo", "toezicht"));
        scene.send("gemeente:0489", &event).await;
        scene.waits_as(trace_id(&event), "retrying").await;
        assert!(!scene.world.iris.asked_in(trace_id(&event)).is_empty(), "it was permitted, and asked for");

        scene.world.iris.know(consent(Some("today")));
        let receipt = scene.receipt("gemeente:0489", &event.id, "gemeente:0489").await;
        assert_eq!(receipt.outcome, Outcome::Refused);
        assert_eq!(receipt.reason.unwrap().code, Code::Forbidden);
        assert_eq!((receipt.decision.shared.len(), receipt.forwarded_digest), (0, None));

        scene.world.webhooks.behave_at("/gemeente-0489", Behaviour::Take, None);
        scene.world.iris.know(consent(None));
        let later = request(&person.request("0489", "wmo", "toezicht"));
        scene.send("gemeente:0489", &later).await;
        scene.arrival("gemeente:0489", &later.id).await;
        assert_eq!(scene.recipients_of(&event.id), [""; 0]);
    });
}
