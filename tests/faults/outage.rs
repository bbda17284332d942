//! Recipients that take nothing for a long time: others do not notice, nobody knocks all the time, and what waited
//! arrives once and in order when they are back.

use crate::books::Sent;
use crate::recipients::partner;
use crate::scene::{Scene, Setting, until};
use crate::traffic::{Message, moved, release};
use crate::webhook::Answer::{self, Close, Hang, Later, Status, Take};
use std::collections::HashSet;
use std::time::{Duration, Instant};

const REST: Duration = Duration::from_millis(500);
/// One at a time, so that the order in which a recipient is asked is the order in which it arrives.
const CONFIG: &str = r#"
    delivery = { first_delay = "100ms", max_delay = "300ms", webhook_timeout = "700ms", max_attempts = 4,
                 webhook_in_flight = 1, breaker_failures = 3, breaker_open = "500ms" }
"#;
const FAILURES: usize = 3;

/// Each down in its own way, with what counts for the others as an attempt in vain.
const DOWN: [(&str, Answer); 4] = [("0014", Status(500)), ("0034", Hang), ("0037", Close), ("0047", Later(503, 1))];
/// By webhook, and off a queue.
const HEALTHY: [&str; 2] = ["0505", "0344"];
/// In each of two batches, for each recipient.
const BATCH: usize = 12;
/// Attempts that a recipient is to have had in vain, so that some time has passed.
const IN_VAIN: usize = 7;

fn path(municipality: &str) -> String {
    format!("/gemeente-{municipality}")
}

fn batch(name: &str, municipalities: impl Iterator<Item = &'static str>) -> Vec<Message> {
    let of = |to: &'static str| (0..BATCH).map(move |number| (number, to));
    let mut all: Vec<(usize, &str)> = municipalities.flat_map(of).collect();
    // All of them mixed, as they would come.
    all.sort_by_key(|(number, _)| *number);
    all.iter().map(|(number, to)| release(&format!("{name}-{to}-{number}"), &[to])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_down_slows_nobody_and_gets_everything_once_it_is_back() {
    let partners: String = DOWN.iter().map(|(municipality, _)| partner(municipality)).collect();
    let scene = Scene::start(Setting { config: CONFIG, partners: &partners, ..Setting::default() }).await;
    DOWN.iter().for_each(|(municipality, answer)| scene.webhook.plan(&path(municipality), &[], *answer));
    let down = || DOWN.iter().map(|(municipality, _)| *municipality);
    let started = Instant::now();
    let mut senders = scene.senders();

    let (first, second) = (batch("een", down()), batch("twee", down()));
    let moved: Vec<Message> = down().flat_map(|to| moved(&format!("verplaatst-{to}"), &[to])).collect();
    senders.send_all(&first).await;
    waiting(&scene, first.len()).await;
    senders.send_all(&second).await;
    senders.send_all(&moved).await;

    // Nobody else notices.
    let others = batch("ander", HEALTHY.into_iter());
    senders.send_all(&others).await;
    scene.settled(&sent(&others)).await;
    waiting(&scene, first.len() + second.len() + moved.len() / 2).await;

    // A while later nobody was asked more often than a rest allows.
    let is_tired = |attempts: &[crate::webhook::Attempt]| {
        down().all(|to| attempts.iter().filter(|attempt| attempt.path == path(to)).count() >= IN_VAIN)
    };
    scene.webhook.until(is_tired).await;
    for (municipality, _) in DOWN {
        let attempts = scene.webhook.attempts_of(&path(municipality)).len();
        let rests = started.elapsed().as_millis() / REST.as_millis();
        assert!(
            attempts <= FAILURES + usize::try_from(rests).unwrap() + 1,
            "{municipality}: {attempts} in {rests} rests"
        );
        says(&scene, &format!("ketenpoort_recipient_breaker_open{{party=\"gemeente:{municipality}\"}} 1")).await;
        let waiting = 2 * BATCH + 1;
        says(&scene, &format!("ketenpoort_recipient_waiting{{party=\"gemeente:{municipality}\"}} {waiting}")).await;
    }

    down().for_each(|to| scene.webhook.plan(&path(to), &[], Take));
    let all: Vec<Sent> = [&first, &second, &moved, &others].into_iter().flat_map(|some| sent(some)).collect();
    scene.settled(&all).await;
    for to in down() {
        in_order(&scene, to, &first, &second);
        says(&scene, &format!("ketenpoort_recipient_breaker_open{{party=\"gemeente:{to}\"}} 0")).await;
        says(&scene, &format!("ketenpoort_recipient_waiting{{party=\"gemeente:{to}\"}} 0")).await;
    }
    let log = std::fs::read_to_string(scene.world.home.join("gateway.log")).unwrap();
    for told in ["a recipient is down", "a recipient is back"] {
        assert_eq!(log.lines().filter(|line| line.contains(told)).count(), DOWN.len(), "{told}");
    }
    let tally = scene.close(all).await.balance();
    tally.assert_balanced();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_too_long_is_parked_and_a_person_decides() {
    let config =
        "delivery = { first_delay = \"100ms\", breaker_failures = 1, breaker_open = \"200ms\", max_age = \"1s\" }";
    let mut scene = Scene::start(Setting { config, partners: &partner("0014"), ..Setting::default() }).await;
    scene.webhook.plan(&path("0014"), &[], Status(500));
    let message = release("DET-1", &["0014"]);
    scene.senders().send(&message).await;
    waiting(&scene, 1).await;
    // Who waits for whom is in the ledger.
    scene.world.kill_gateway().await.unwrap();
    scene.world.start_gateway().await.unwrap();
    let parked =
        until("parked", async || scene.waiting().await.into_iter().find(|row| row["outcome"] == "parked")).await;
    assert_eq!(parked["reason"]["code"], "KP-5010", "{parked}");
    scene.webhook.plan(&path("0014"), &[], Take);
    let delivery = parked["delivery"].to_string();
    let done = scene.parked(&["replay", &delivery, "--who", "m.visser", "--why", "weer bereikbaar"]).await;
    assert!(done.status.success(), "{done:?}");
    scene.settled(std::slice::from_ref(&message.sent)).await;
    scene.close(vec![message.sent]).await.balance().assert_balanced();
}

fn sent(messages: &[Message]) -> Vec<Sent> {
    messages.iter().map(|message| message.sent.clone()).collect()
}

async fn waiting(scene: &Scene, count: usize) {
    until(&format!("{count} wait"), async || (scene.waiting().await.len() == count).then_some(())).await;
}

async fn says(scene: &Scene, line: &str) {
    let url = format!("{}/metrics", scene.world.note.http);
    until(line, async || {
        let text = reqwest::get(&url).await.ok()?.text().await.ok()?;
        text.lines().any(|said| said == line).then_some(())
    })
    .await;
}

/// All of the first batch before any of the second, and none of them twice.
fn in_order(scene: &Scene, municipality: &str, first: &[Message], second: &[Message]) {
    let attempts = scene.webhook.attempts_of(&path(municipality));
    let taken: Vec<_> = attempts.iter().filter(|attempt| attempt.answer.takes()).collect();
    let keys: HashSet<_> = taken.iter().map(|attempt| &attempt.key).collect();
    assert_eq!((taken.len(), keys.len()), (2 * BATCH + 1, 2 * BATCH + 1), "{municipality}: once each");
    let place = |message: &Message| taken.iter().position(|attempt| attempt.message == message.event.id);
    let last_of_first = first.iter().filter_map(place).max().unwrap();
    let first_of_second = second.iter().filter_map(place).min().unwrap();
    assert!(last_of_first < first_of_second, "{municipality}: {last_of_first}, then {first_of_second}");
}
