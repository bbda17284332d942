//! Recipients that fail: each way of failing has its outcome, its number of attempts and one key.

use crate::books::{Books, Owed, Sent};
use crate::scene::{Scene, Setting, until};
use crate::traffic::{Message, release};
use crate::webhook::Answer::{self, Close, Half, Hang, Later, Lost, Status, Take};
use ketenpoort::outcome::Outcome::{self, Delivered, Expired};
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use std::time::Duration;

const CONFIG: &str = r#"
    delivery = { first_delay = "100ms", max_delay = "300ms", webhook_timeout = "700ms", max_attempts = 4 }
"#;

/// A municipality whose webhook answers so: first these, then this for good.
struct Case {
    municipality: &'static str,
    first: &'static [Answer],
    then: Answer,
    attempts: usize,
    /// Delivered, or parked with this code.
    parked: Option<&'static str>,
}

const fn case(
    municipality: &'static str,
    first: &'static [Answer],
    then: Answer,
    attempts: usize,
    parked: Option<&'static str>,
) -> Case {
    Case { municipality, first, then, attempts, parked }
}

const EXHAUSTED: &str = "KP-5004";
const REFUSED: &str = "KP-5005";
const DISCARDED: &str = "KP-5007";

const CASES: &[Case] = &[
    case("0014", &[], Take, 1, None),
    case("0034", &[Status(503), Status(502), Status(500)], Take, 4, None),
    case("0037", &[Later(429, 1)], Take, 2, None),
    case("0047", &[Status(401)], Take, 2, None),
    case("0050", &[Status(404)], Take, 2, None),
    case("0059", &[Close], Take, 2, None),
    case("0060", &[Hang], Take, 2, None),
    case("0072", &[Lost], Take, 2, None),
    // Its status line said that it has it.
    case("0074", &[Half], Take, 1, None),
    case("0080", &[], Status(503), 4, Some(EXHAUSTED)),
    case("0085", &[], Close, 4, Some(EXHAUSTED)),
    case("0086", &[], Hang, 4, Some(EXHAUSTED)),
    case("0088", &[], Status(410), 1, Some(REFUSED)),
    case("0090", &[], Status(422), 1, Some(REFUSED)),
];

/// A municipality that takes its messages by webhook.
pub fn partner(municipality: &str) -> String {
    format!(
        "\n[[party]]\nid = \"gemeente:{municipality}\"\nname = \"{municipality}\"\noin = \"0000009900000000{municipality}\"\n\
         roles = [\"gemeente-college\"]\ngemeentecode = \"{municipality}\"\n\
         endpoint = [{{ kind = \"webhook\", url = \"WEBHOOK/gemeente-{municipality}\" }}]\n"
    )
}

impl Case {
    fn path(&self) -> String {
        format!("/gemeente-{}", self.municipality)
    }

    fn message(&self) -> Message {
        release(self.municipality, &[self.municipality])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_ends_as_it_must_and_a_person_decides_about_the_rest() {
    let partners: String = CASES.iter().map(|case| partner(case.municipality)).collect();
    let scene = Scene::start(Setting { config: CONFIG, partners: &partners, ..Setting::default() }).await;
    CASES.iter().for_each(|case| scene.webhook.plan(&case.path(), case.first, case.then));
    let messages: Vec<_> = CASES.iter().map(Case::message).collect();
    scene.senders().send_all(&messages).await;

    let (delivered, parked): (Vec<_>, Vec<_>) =
        CASES.iter().zip(&messages).partition(|(case, _)| case.parked.is_none());
    let expected: Vec<Sent> = delivered.iter().map(|(_, message)| message.sent.clone()).collect();
    scene.settled(&expected).await;
    for (case, message) in &parked {
        let row = until("parked", async || row(&scene, message, "parked").await).await;
        assert_eq!(row["reason"]["code"].as_str(), case.parked, "{}: {row}", case.municipality);
    }
    for case in CASES {
        let attempts = scene.webhook.attempts_of(&case.path());
        assert_eq!(attempts.len(), case.attempts, "{}: {attempts:?}", case.municipality);
        assert!(attempts.iter().all(|attempt| attempt.key == attempts[0].key), "{}", case.municipality);
    }
    asked_to_stay_away(&scene);
    nobody_waits_for_another(&scene);

    let mut sent = expected;
    for (number, (case, message)) in parked.into_iter().enumerate() {
        let outcome = decide(&scene, case, message, number % 2 == 0).await;
        let owed = message.sent.owed.iter().map(|owed| Owed { outcomes: outcome, ..owed.clone() }).collect();
        sent.push(Sent { owed, ..message.sent.clone() });
    }
    scene.settled(&sent).await;
    remembered(&scene).await;
    let books = scene.close(sent).await;
    books.balance().assert_balanced();
    discarded_says_so(&books);
}

async fn row(scene: &Scene, message: &Message, outcome: &str) -> Option<Value> {
    let rows = scene.waiting().await;
    rows.into_iter().find(|row| row["id"] == message.event.id && row["outcome"] == outcome)
}

fn asked_to_stay_away(scene: &Scene) {
    let attempts = scene.webhook.attempts_of("/gemeente-0037");
    assert!(attempts[1].at - attempts[0].at >= Duration::from_secs(1), "{attempts:?}");
}

/// Everybody had his turn before the one that hangs was given up.
fn nobody_waits_for_another(scene: &Scene) {
    let attempts = scene.webhook.attempts();
    let given_up = attempts.iter().rposition(|attempt| attempt.path == "/gemeente-0086").unwrap();
    for case in CASES {
        let first = attempts.iter().position(|attempt| attempt.path == case.path()).unwrap();
        assert!(first < given_up, "{}", case.municipality);
    }
}

/// A person decides, in a process beside the gateway.
async fn decide(scene: &Scene, case: &Case, message: &Message, again: bool) -> &'static [Outcome] {
    let row = row(scene, message, "parked").await.unwrap();
    let delivery = row["delivery"].to_string();
    let shown = scene.parked(&["show", &delivery]).await;
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((&shown["id"], &shown["attempts"]), (&row["id"], &row["attempts"]));
    let (decision, outcome): (_, &[Outcome]) = if again {
        scene.webhook.plan(&case.path(), &[], Take);
        ("replay", &[Delivered])
    } else {
        ("discard", &[Expired])
    };
    let done = scene.parked(&[decision, &delivery, "--who", "m.visser", "--why", case.municipality]).await;
    assert!(done.status.success(), "{decision}: {done:?}");
    if !again {
        let twice = scene.parked(&["discard", &delivery, "--who", "m.visser", "--why", "twice"]).await;
        assert!(!twice.status.success(), "discarded twice: {twice:?}");
    }
    outcome
}

/// Who decided what, and why, is in the ledger.
async fn remembered(scene: &Scene) {
    let options = SqliteConnectOptions::new().filename(scene.world.home.join("ledger.db")).read_only(true);
    let mut ledger: SqliteConnection = options.connect().await.unwrap();
    let rows = sqlx::query("SELECT who, what, why FROM action ORDER BY key").fetch_all(&mut ledger).await.unwrap();
    let actions: Vec<[String; 3]> = rows.iter().map(|row| [row.get(0), row.get(1), row.get(2)]).collect();
    let parked = CASES.iter().filter(|case| case.parked.is_some()).enumerate();
    let expected = parked.map(|(number, case)| {
        ["m.visser", if number % 2 == 0 { "replay" } else { "discard" }, case.municipality].map(str::to_owned)
    });
    assert_eq!(actions, expected.collect::<Vec<_>>());
}

fn discarded_says_so(books: &Books) {
    let expired: Vec<_> = books.slips.iter().filter(|slip| slip.receipt.outcome == Expired).collect();
    assert!(!expired.is_empty());
    for slip in expired {
        assert_eq!(slip.receipt.reason.as_ref().unwrap().code.as_str(), DISCARDED);
    }
}
