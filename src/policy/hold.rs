//! Until when something is too early: the arithmetic of "at most so many months away". Dutch days, no clock.

use crate::facts::{dutch_day, start_of_dutch_day};
use jiff::{Span, Timestamp, civil::Date};

/// At most so many months away from `today`. Of a month that is too short, the last day stands for those it lacks.
pub(super) fn is_within(date: Date, months: i32, today: Date) -> bool {
    Span::new().try_months(months).and_then(|span| today.checked_add(span)).is_ok_and(|last| date <= last)
}

/// The first moment at which the date is within so many months; `None` where it is already.
pub(super) fn until(date: Date, months: i32, now: Timestamp) -> Option<Timestamp> {
    if is_within(date, months, dutch_day(now)) {
        return None;
    }
    start_of_dutch_day(first_day(date, months)?)
}

fn first_day(date: Date, months: i32) -> Option<Date> {
    let mut day = date.checked_sub(Span::new().try_months(months).ok()?).ok()?;
    // Counting back from the 31st may end in a shorter month, from which counting forward falls short.
    while !is_within(date, months, day) {
        day = day.tomorrow().ok()?;
    }
    Some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_day_of_three_months() {
        let table = [
            // return, first day on which it may be told
            ("2027-03-14", "2026-12-14"),
            ("2027-02-28", "2026-11-28"),
            ("2028-02-28", "2027-11-28"),
            ("2028-02-29", "2027-11-29"),
            ("2027-03-01", "2026-12-01"),
            ("2027-05-28", "2027-02-28"),
            ("2027-05-29", "2027-03-01"),
            ("2027-05-31", "2027-03-01"),
            ("2028-05-31", "2028-03-01"),
            ("2028-05-29", "2028-02-29"),
            ("2027-07-31", "2027-05-01"),
            ("2027-01-01", "2026-10-01"),
        ];
        for (date, first) in table {
            assert_eq!(first_day(day(date), 3), Some(day(first)), "{date}");
        }
    }

    #[test]
    fn it_is_the_first_day_for_every_date() {
        let mut date = day("2027-01-01");
        while date < day("2031-01-01") {
            let first = first_day(date, 3).unwrap();
            assert!(is_within(date, 3, first) && !is_within(date, 3, first.yesterday().unwrap()), "{date}");
            date = date.tomorrow().unwrap();
        }
    }

    #[test]
    fn a_day_begins_when_it_begins_in_the_netherlands() {
        let now = "2026-11-24T10:00:00Z".parse().unwrap();
        let table = [
            ("2027-03-14", Some("2026-12-13T23:00:00Z")),
            ("2027-07-14", Some("2027-04-13T22:00:00Z")),
            // On the days on which the clock changes.
            ("2027-06-28", Some("2027-03-27T23:00:00Z")),
            ("2028-01-31", Some("2027-10-30T22:00:00Z")),
            ("2027-02-25", Some("2026-11-24T23:00:00Z")),
            ("2027-02-24", None),
            ("2026-11-01", None),
        ];
        for (date, expected) in table {
            let expected = expected.map(|text: &str| text.parse().unwrap());
            assert_eq!(until(day(date), 3, now), expected, "{date}");
        }
        // Already the next day in the Netherlands.
        assert_eq!(until(day("2027-02-25"), 3, "2026-11-24T23:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn what_no_calendar_knows_has_no_moment() {
        assert_eq!(until(Date::MAX, i32::MAX, Timestamp::UNIX_EPOCH), None);
        assert!(!is_within(day("2026-11-24"), i32::MAX, day("2026-11-24")));
    }
}
