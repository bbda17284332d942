//! The gateway is killed, again and again, while messages flow.

use crate::scene::{PATIENCE, Scene, Setting, seed};
use crate::webhook::Answer;
use ketenpoort::simulators::iris::Behaviour;
use std::time::Duration;
use tokio::time::timeout;

/// A recipient that does not answer is given up soon, and tried again soon.
const IMPATIENT: &str = r#"
    delivery = { first_delay = "100ms", max_delay = "1s", webhook_timeout = "1s" }
    iris = { timeout = "1s", attempts = 1, breaker_open = "500ms" }
"#;

#[derive(Clone, Copy, Debug)]
enum Moment {
    /// After so many milliseconds.
    Random(u64),
    /// After so many receipts.
    Receipt(usize),
    /// A recipient took it, and never got to say so.
    Taken,
    /// So many milliseconds into the start.
    Starting(u64),
}

impl Moment {
    fn draw(rng: &mut fastrand::Rng) -> Moment {
        match rng.u8(..8) {
            0..=2 => Moment::Random(rng.u64(..500)),
            3..=4 => Moment::Receipt(rng.usize(1..30)),
            5..=6 => Moment::Taken,
            _ => Moment::Starting(rng.u64(..2000)),
        }
    }

    async fn come(self, scene: &Scene) {
        match self {
            Moment::Random(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Moment::Receipt(count) => scene.slips.until(scene.slips.count() + count).await,
            Moment::Taken => {
                let before = scene.webhook.attempts().len();
                scene.webhook.plan(HEALTHY, &[Answer::Lost], Answer::Take);
                let is_lost = |attempt: &crate::webhook::Attempt| attempt.answer == Answer::Lost;
                scene.webhook.until(|attempts| attempts[before..].iter().any(is_lost)).await;
            }
            Moment::Starting(_) => {}
        }
    }
}

const HEALTHY: &str = "/gemeente-0505";
const MOODY: &str = "/gemeente-0599";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_however_often_the_gateway_is_killed() {
    let kills: usize = std::env::var("KETENPOORT_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let mut rng = seed();
    let mut scene = Scene::start(Setting { config: IMPATIENT, ..Setting::default() }).await;
    scene.webhook.moody(MOODY, rng.fork());
    let flow = scene.flow(rng.fork());
    for number in 0..kills {
        let moment = Moment::draw(&mut rng);
        println!("kill {number}: {moment:?}, {} receipts so far", scene.slips.count());
        if rng.bool() {
            scene.world.iris.behave(Behaviour::Down.times(rng.u32(1..40)));
        }
        timeout(PATIENCE, moment.come(&scene)).await.unwrap_or_else(|_| panic!("{moment:?} never comes"));
        scene.world.kill_gateway().await.unwrap();
        if let Moment::Starting(millis) = moment {
            // Dropped, it is killed.
            let starting = timeout(Duration::from_millis(millis), scene.world.start_gateway()).await;
            starting.unwrap_or(Ok(())).unwrap();
            let _ = scene.world.kill_gateway().await;
        }
        scene.world.start_gateway().await.unwrap();
    }
    let sent = flow.stop().await;
    scene.settled(&sent).await;
    let tally = scene.close(sent).await.balance();
    println!("{kills} kills: {tally}");
    tally.assert_balanced();
    // Otherwise nothing was ever under way when it was killed.
    assert!(tally.repeated > 0, "{tally}");
}
