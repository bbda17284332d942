//! The disk is full: what cannot be recorded is neither acknowledged nor sent, and it goes on once there is room.

use crate::scene::{GATEWAY, Scene, Setting, seed, until};
use crate::traffic::release;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// A write beyond the limit fails, as on a full disk, instead of ending the process.
const PROGRAM: &str = "#!/bin/sh\ntrap '' XFSZ\nexec GATEWAY \"$@\"\n";

/// The gateway as a program whose room on disk can be taken away.
pub fn program(folder: &Path) -> PathBuf {
    let program = folder.join("gateway");
    std::fs::write(&program, PROGRAM.replace("GATEWAY", GATEWAY)).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    program
}

/// How large a file may become that the gateway writes. Needs no rights, unlike a disk of one's own.
pub async fn room(scene: &Scene, bytes: &str) {
    let pid = scene.world.pid().unwrap().to_string();
    let limit = format!("--fsize={bytes}:");
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().await.unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_or_sent_that_cannot_be_recorded() {
    let mut rng = seed();
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let mut scene = Scene::start(Setting { program: Some(&program), ..Setting::default() }).await;

    // It becomes full in the middle.
    let flow = scene.flow(rng.fork());
    scene.slips.until(30).await;
    room(&scene, "0").await;
    scene.until_part("ledger", "down").await;
    let mut sent = {
        // The flow stands still: whatever it sends now comes to nothing.
        let messages: Vec<_> = (0..10).map(|n| release(&format!("DET-{n}"), &["0505"])).collect();
        scene.senders().send_all(&messages).await;
        until("the gateway holds them all", async || held(&scene).await.filter(|held| *held >= messages.len())).await;
        let arrived =
            scene.webhook.attempts().iter().filter(|a| messages.iter().any(|m| m.event.id == a.message)).count();
        assert_eq!(arrived, 0, "sent before it was recorded");
        assert!(messages.iter().all(|message| scene.slips.of(&message.event.id).is_empty()));
        messages.into_iter().map(|message| message.sent).collect::<Vec<_>>()
    };
    assert!(!scene.is_ready().await);
    room(&scene, "unlimited").await;
    scene.until_part("ledger", "up").await;
    scene.slips.until(scene.slips.count() + 60).await;

    // It is full again, and then the machine fails.
    room(&scene, "0").await;
    scene.until_part("ledger", "down").await;
    scene.world.kill_gateway().await.unwrap();
    scene.world.start_gateway().await.unwrap();
    sent.extend(flow.stop().await);
    scene.settled(&sent).await;
    scene.close(sent).await.balance().assert_balanced();
}

/// How many messages of the DJI the gateway has and did not acknowledge, once it has all there are.
async fn held(scene: &Scene) -> Option<usize> {
    let queues = scene.ctl(&["list_queues", "name", "messages_ready", "messages_unacknowledged"]).await;
    let counts = queues.lines().find_map(|line| line.strip_prefix("ketenpoort.in.dji\t0\t"))?;
    counts.trim().parse().ok()
}
