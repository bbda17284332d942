//! The demo through the real program: a broker, a gateway and everything around them, and each message ends as
//! `deploy/demo/messages.yaml` expects.

use ketenpoort::demo::partner::Event;
use ketenpoort::demo::{Options, World};
use ketenpoort::outcome::Outcome;
use std::process::Command;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(20);

#[test]
fn every_message_of_the_demo_ends_as_expected() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("demo");
    let output = Command::new(env!("CARGO_BIN_EXE_ketenpoort"))
        .args(["demo", "--once", "--home"])
        .arg(&home)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{complaints}");
    for line in [
        "29 messages, each ended as expected.",
        "#7 rejected",
        "the very same receipts came again, byte for byte; nothing was forwarded again",
        "woningcorporatie:havenlicht as zvh-deelnemer: refused",
        "gemeente:0344 as gemeente-gemandateerde: awaiting_assessment",
        "gemeente:0606 as burgemeester: held",
        "routing conflict: row 5 (reclassering), row 3 (fz_mdo)",
    ] {
        assert!(shown.contains(line), "{line:?} is not in:\n{shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    // Nobody of whom a message told something is shown.
    assert!(!shown.contains("Dijkhuizen") && !shown.contains("999993653"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_survives_that_the_gateway_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("world");
    let options = Options::new(env!("CARGO_MANIFEST_DIR"), home, env!("CARGO_BIN_EXE_ketenpoort"));
    let mut world = World::start(&options).await.unwrap();
    let (dji, schiedam) =
        (world.note.partner("dji").await.unwrap(), world.note.partner("gemeente:0606").await.unwrap());
    let (mut receipts, mut inbox) = (dji.receipts().await.unwrap(), schiedam.inbox().await.unwrap());
    let leave = include_bytes!("../deploy/demo/messages/leave-schiedam.xml").to_vec();
    let kind = "nl.ketenpoort.detentie.verlof-aangekondigd.v1";
    let event = Event { sequence: Some(1), ..Event::new(kind, leave) };

    world.kill_gateway().await.unwrap();
    dji.publish(&event).await.unwrap();
    world.start_gateway().await.unwrap();

    let received = inbox.next(WITHIN).await.unwrap();
    assert_eq!(received.attribute("correlationid"), Some(event.id.as_str()));
    let keys = world.note.keys().await.unwrap();
    let (receipt, jws) = receipts.next(WITHIN).await.unwrap().receipt(&keys).unwrap();
    assert_eq!((receipt.outcome, receipt.message.id.as_deref()), (Outcome::Delivered, Some(event.id.as_str())));

    // Again on the same ledger: what was sent before is known, and its receipt is the very same.
    world.kill_gateway().await.unwrap();
    world.start_gateway().await.unwrap();
    dji.publish(&event).await.unwrap();
    let (_, again) = receipts.next(WITHIN).await.unwrap().receipt(&keys).unwrap();
    assert_eq!(again, jws);
    world.stop_gateway().await.unwrap();
}
