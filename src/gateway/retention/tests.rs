use super::*;
use crate::ledger::Keys;
use std::num::{NonZeroU16, NonZeroUsize};

fn terms(log_years: u16, traffic_months: u16) -> Retention {
    let number = |number| NonZeroU16::new(number).unwrap();
    Retention { log_years: number(log_years), traffic_months: number(traffic_months) }
}

#[test]
fn terms_are_counted_back_by_the_calendar() {
    let now: Timestamp = "2032-02-29T12:00:00Z".parse().unwrap();
    for (what, expected) in [
        // In summer time there.
        (Purge::Traffic, "2031-08-29T11:00:00Z"),
        (Purge::Log, "2027-02-28T12:00:00Z"),
        (Purge::Actions, "2027-02-28T12:00:00Z"),
        (Purge::Records, "2027-02-28T12:00:00Z"),
    ] {
        assert_eq!(before(what, &terms(5, 6), now), Some(expected.parse().unwrap()), "{what:?}");
    }
}

#[tokio::test]
async fn a_pass_goes_on_until_nothing_is_past_its_term() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::parse(&Keys::generate().unwrap()).unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = Ledger::open(&path, NonZeroUsize::MIN, keys).await.unwrap();
    let many = 2 * AT_ONCE + 1;
    for _ in 0..many {
        let noted = ledger.note(crate::record::Subject::default(), "j.jansen", "subject", "inzageverzoek");
        noted.await.unwrap();
    }
    let years = |years: i32| Timestamp::now() + jiff::SignedDuration::from_hours(i64::from(years) * 366 * 24);
    let pass = async |now| pass(&ledger, &terms(5, 6), now, Duration::ZERO).await.unwrap();
    assert_eq!(pass(years(4)).await, 0);
    assert_eq!(pass(years(6)).await, many);
    assert_eq!(pass(years(6)).await, 0);
}
