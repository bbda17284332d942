//! The gateway is told to stop while messages flow: it finishes what it holds, within its grace.

use crate::scene::{Scene, Setting, seed};
use crate::webhook::Answer;
use std::time::{Duration, Instant};

const GRACE: Duration = Duration::from_secs(3);
const CONFIG: &str = r#"
    delivery = { first_delay = "100ms", max_delay = "1s", webhook_timeout = "20s" }
    stop = { grace = "3s" }
"#;
/// For the process to go once it has drained.
const GOING: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_is_under_way_and_the_next_start_does_the_rest() {
    let mut rng = seed();
    let mut scene = Scene::start(Setting { config: CONFIG, ..Setting::default() }).await;
    let flow = scene.flow(rng.fork());
    for _ in 0..3 {
        scene.slips.until(scene.slips.count() + rng.usize(10..50)).await;
        stop(&mut scene).await;
        scene.world.start_gateway().await.unwrap();
    }
    // What was under way was finished: nothing had to be sent again.
    let attempts = scene.webhook.attempts();
    let mut keys: Vec<_> = attempts.iter().map(|attempt| &attempt.key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(attempts.len(), keys.len());

    // Nor does a recipient that says nothing keep it from going.
    scene.webhook.plan("/gemeente-0505", &[], Answer::Lost);
    scene.webhook.until(|attempts| attempts.iter().any(|attempt| attempt.answer == Answer::Lost)).await;
    stop(&mut scene).await;
    scene.webhook.plan("/gemeente-0505", &[], Answer::Take);
    scene.world.start_gateway().await.unwrap();
    let sent = flow.stop().await;
    scene.settled(&sent).await;
    scene.close(sent).await.balance().assert_balanced();
}

/// It says that all went well, and it is in time.
async fn stop(scene: &mut Scene) {
    let told = Instant::now();
    scene.world.stop_gateway().await.unwrap();
    assert!(told.elapsed() < GRACE + GOING, "{:?}", told.elapsed());
}
