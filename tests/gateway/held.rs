//! What comes too early is held, visibly, until the day on which it may be shared; then it is decided anew.

use crate::messages::{Person, event, numbered, trace_id};
use crate::scene::{Scene, root, run};
use crate::start::copy;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use ketenpoort::code::Code;
use ketenpoort::demo::partner::Event;
use ketenpoort::facts::{TIME_ZONE, dutch_day};
use ketenpoort::outcome::Outcome;
use ketenpoort::telemetry::collector::Span;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::fs;
use tempfile::TempDir;

const BIJ: &str = "nl.ketenpoort.detentie.bij-melding.v1";
const MAYOR: &str = "gemeente:0606";

/// The notification that somebody returns to Schiedam on a day.
fn bij(person: &Person, sequence: i64, returns: Date) -> Event {
    let (Person { bsn, skn, detention }, day) = (person, returns.strftime("%Y%m%d"));
    let xml = format!(
        r#"<BijMelding xmlns="urn:nl:ketenpoort:justid:bij:1">
  <Persoon>
    <Bsn>{bsn}</Bsn><Skn>{skn}</Skn><Geslachtsnaam>Terpstra</Geslachtsnaam><Geboortedatum>19750311</Geboortedatum>
  </Persoon>
  <Adres><Gemeentecode>0606</Gemeentecode></Adres>
  <Titel>
    <Parketnummer>10-661209-21</Parketnummer><Misdrijf>Sr 287</Misdrijf><GepleegdOp>20210509</GepleegdOp>
  </Titel>
  <Vonnis>
    <OnherroepelijkOp>20220305</OnherroepelijkOp><Tenuitvoerlegging>ONVOORWAARDELIJK</Tenuitvoerlegging>
    <Jeugdrecht>N</Jeugdrecht>
  </Vonnis>
  <Detentie><Registratienummer>{detention}</Registratienummer></Detentie>
  <Terugkeer><Nummer>1</Nummer><Soort>DEFINITIEF</Soort><Datum>{day}</Datum></Terugkeer>
</BijMelding>"#
    );
    numbered(sequence, event(BIJ, xml))
}

/// The fifteenth of a month, so many months from now: whatever today is, three months before it is a fifteenth too.
fn fifteenth_in(months: i64) -> Date {
    dutch_day(Timestamp::now()).first_of_month().checked_add(months.months().days(14)).unwrap()
}

/// Sends it and waits until the gateway says that it is held; until when, as an operator sees it.
async fn held(scene: &Scene, event: &Event) -> Timestamp {
    scene.send("justid", event).await;
    scene.waits_as(trace_id(event), "held").await;
    held_until(scene, event).await
}

async fn held_until(scene: &Scene, event: &Event) -> Timestamp {
    let rows = scene.parked(&event.id).await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((&row["outcome"], &row["reason"]["code"]), (&"held".into(), &Code::Held.as_str().into()));
    assert_eq!((&row["recipient"], &row["role"]), (&MAYOR.into(), &"burgemeester".into()));
    row["again_at"].as_str().unwrap().parse().unwrap()
}

/// Its moment has come, as far as the ledger knows. The gateway must have stopped.
async fn make_due(scene: &Scene, event: &Event) {
    let delivery = scene.parked(&event.id).await[0]["delivery"].as_i64().unwrap();
    let file = SqliteConnectOptions::new().filename(scene.world.home.join("ledger.db"));
    let mut ledger = SqliteConnection::connect_with(&file).await.unwrap();
    let made = sqlx::query("UPDATE delivery SET due_at = 0 WHERE key = $1").bind(delivery).execute(&mut ledger).await;
    assert_eq!(made.unwrap().rows_affected(), 1);
    ledger.close().await.unwrap();
}

#[test]
fn what_is_held_waits_for_its_day_through_a_restart_until_something_changes() {
    run(async {
        let mappings = TempDir::new().unwrap();
        copy(&root().join("mappings"), mappings.path());
        let mut scene = Scene::start("held", &format!("[files]\nmappings = {:?}\n", mappings.path())).await;
        let returns = fifteenth_in(9);
        let may_be_told = fifteenth_in(6).in_tz(TIME_ZONE).unwrap();

        let (moved, waits) = (Person::new(), Person::new());
        let (older, early) = (bij(&moved, 1, returns), bij(&waits, 1, returns));
        for event in [&older, &early] {
            assert_eq!(held(&scene, event).await, may_be_told.timestamp());
        }
        let listed = scene.command(&["parked", "list", "--outcome", "held"]).await;
        let day = may_be_told.strftime("%Y-%m-%d 00:00").to_string();
        assert_eq!(listed.matches(&day).count(), 2, "{listed}");

        scene.world.kill_gateway().await.unwrap();
        scene.world.start_gateway().await.unwrap();
        for event in [&older, &early] {
            assert_eq!(held_until(&scene, event).await, may_be_told.timestamp(), "after a restart");
        }

        // Taken up before its day, as when a clock was wrong, it is decided anew and held again.
        scene.world.stop_gateway().await.unwrap();
        make_due(&scene, &early).await;
        scene.world.start_gateway().await.unwrap();
        let says = |span: &Span| span.attributes.get("ketenpoort.outcome").is_some_and(|outcome| outcome == "held");
        scene.trace(trace_id(&early), |spans| spans.iter().filter(|span| says(span)).count() > 1).await;
        assert_eq!(held_until(&scene, &early).await, may_be_told.timestamp(), "taken up too early");

        // The return moved nearer: the newer notification goes out, and the older one is over.
        let newer = bij(&moved, 2, fifteenth_in(1));
        scene.send("justid", &newer).await;
        let arrival = scene.arrival(MAYOR, &newer.id).await;
        assert_eq!(arrival.json()["terugkeer"]["verwachtOp"], fifteenth_in(1).to_string());
        assert_eq!(scene.receipt("justid", &newer.id, MAYOR).await.outcome, Outcome::Delivered);
        assert_eq!(scene.receipt("justid", &older.id, MAYOR).await.outcome, Outcome::Superseded);

        // Taken up when the condition holds, whatever made it hold, it is delivered.
        scene.world.stop_gateway().await.unwrap();
        let file = mappings.path().join("detentie.bij-melding.v1/message.yaml");
        let rules = fs::read_to_string(&file).unwrap();
        assert!(rules.contains("within_months: 3"));
        fs::write(&file, rules.replace("within_months: 3", "within_months: 12")).unwrap();
        make_due(&scene, &early).await;
        scene.world.start_gateway().await.unwrap();
        assert_eq!(scene.receipt("justid", &early.id, MAYOR).await.outcome, Outcome::Delivered);
        let arrival = scene.arrival(MAYOR, &early.id).await;
        assert_eq!(arrival.json()["terugkeer"]["verwachtOp"], returns.to_string());
        assert_eq!(scene.recipients_of(&older.id), [""; 0]);
    });
}
