//! The gateway is told to stop while messages flow: it finishes what it holds, within its grace.

use crate::scene::{Scene, Setting, seed};
use crate::webhook::Answer;
use std::collections::HashSet;
use std::time::{Duration, Instant};

const GRACE: Duration = Duration::from_secs(3);
const CONFIG: &str = r#"
    delivery = { first_delay = "100ms", max_delay = "1s", webhook_timeout = "20s" }
    stop = { grace = "3s" }
"#;
const SILENT: &str = "/gemeente-0505";
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
    // A recipient that says nothing does not keep it from going.
    scene.webhook.plan(SILENT, &[], Answer::Lost);
    scene.webhook.until(|attempts| attempts.iter().any(|attempt| attempt.answer == Answer::Lost)).await;
    stop(&mut scene).await;
    scene.webhook.plan(SILENT, &[], Answer::Take);
    scene.world.start_gateway().await.unwrap();
    let sent = flow.stop().await;
    scene.settled(&sent).await;
    let books = scene.close(sent).await;
    books.balance().assert_balanced();
    // With the others what was under way was finished, so that nothing had to be sent again.
    let others: Vec<_> = books.arrivals.iter().filter(|arrival| arrival.recipient != "gemeente:0505").collect();
    let keys: HashSet<_> = others.iter().map(|arrival| &arrival.key).collect();
    assert_eq!(others.len(), keys.len());
}

/// It says that all went well, and it is in time.
async fn stop(scene: &mut Scene) {
    let told = Instant::now();
    scene.world.stop_gateway().await.unwrap();
    assert!(told.elapsed() < GRACE + GOING, "{:?}", told.elapsed());
}
