//! A release moves: the newer notification counts.

use super::{about, delivered};
use crate::messages::{Notice, Person, RELEASE, event, numbered, trace_id};
use crate::scene::{run, shared};
use axum::http::StatusCode;
use ketenpoort::code::Code;
use ketenpoort::demo::partner::Event;
use ketenpoort::outcome::Outcome;
use ketenpoort::simulators::recipient::Behaviour;

/// The same release, announced for another day.
fn moved(notice: &Notice, sequence: i64, ends: &str) -> Event {
    let notice = Notice { ends: ends.to_owned(), ..notice.clone() };
    numbered(sequence, event(RELEASE, notice.release()))
}

#[test]
fn a_newer_notification_goes_out_after_an_older_one() {
    run(async {
        let scene = shared().await;
        let notice = Person::new().notice("0606");
        for (sequence, day) in [(1, "20270215"), (2, "20270301")] {
            let event = moved(&notice, sequence, day);
            scene.send("dji", &event).await;
            let (arrival, _) = delivered(scene, "dji", &event, "gemeente:0606", RELEASE).await;
            let told = arrival.json()["detentie"]["verwachteEinddatum"].as_str().unwrap().replace('-', "");
            assert_eq!(told, day);
        }
    });
}

#[test]
fn an_older_notification_that_comes_late_is_superseded() {
    run(async {
        let scene = shared().await;
        let notice = Person::new().notice("0606");
        let newer = moved(&notice, 2, "20270301");
        scene.send("dji", &newer).await;
        delivered(scene, "dji", &newer, "gemeente:0606", RELEASE).await;

        let older = moved(&notice, 1, "20270215");
        scene.send("dji", &older).await;
        let receipt = scene.receipt("dji", &older.id, "gemeente:0606").await;
        assert_eq!(receipt.outcome, Outcome::Superseded);
        assert_eq!(receipt.reason.as_ref().unwrap().code, Code::Superseded);
        assert_eq!(receipt.forwarded_digest, None);
        about(scene, "dji", &older, &receipt);

        // Another detention of the same person is another matter.
        let mut other = notice.clone();
        other.person.detention += "-B";
        let other = moved(&other, 1, "20270215");
        scene.send("dji", &other).await;
        delivered(scene, "dji", &other, "gemeente:0606", RELEASE).await;
        assert_eq!(scene.recipients_of(&older.id), [""; 0]);
    });
}

#[test]
fn an_older_notification_that_still_waits_ends_when_a_newer_one_comes() {
    run(async {
        let scene = shared().await;
        let down = Behaviour::Answer { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: None };
        scene.world.webhooks.behave_at("/gemeente-0556", down, None);
        let notice = Person::new().notice("0556");
        let older = moved(&notice, 1, "20270215");
        scene.send("dji", &older).await;
        scene.waits_as(trace_id(&older), "retrying").await;

        let newer = moved(&notice, 2, "20270301");
        scene.send("dji", &newer).await;
        assert_eq!(scene.receipt("dji", &older.id, "gemeente:0556").await.outcome, Outcome::Superseded);
        scene.world.webhooks.behave_at("/gemeente-0556", Behaviour::Take, None);
        delivered(scene, "dji", &newer, "gemeente:0556", RELEASE).await;
        assert_eq!(scene.recipients_of(&older.id), [""; 0]);
    });
}
