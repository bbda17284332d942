//! Days in the demo's messages, counted from the day on which it runs, so that a message stays right:
//! `{today+40d}` as JSON writes a day, `{today+40d:compact}` as XML does. Nothing else is filled in.

use crate::simulators::iris::relative;
use jiff::civil::Date;

const OPEN: &str = "{today";

/// `None` where a day is malformed.
pub fn fill_in(text: &str, today: Date) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let (given, behind) = after.split_once('}')?;
        let (offset, compact) = given.strip_suffix(":compact").map_or((given, false), |offset| (offset, true));
        let day = relative(&format!("today{offset}"), today)?.to_string();
        out.push_str(before);
        out.push_str(&if compact { day.replace('-', "") } else { day });
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_filled_in_and_nothing_else() {
        let today = jiff::civil::date(2026, 11, 24);
        let table = [
            (r#"{"op": "{today+3m}T09:00:00Z", "x": {}}"#, Some(r#"{"op": "2027-02-24T09:00:00Z", "x": {}}"#)),
            ("<A>{today:compact}</A><B>{today-1d:compact}</B>", Some("<A>20261124</A><B>20261123</B>")),
            ("<A/>", Some("<A/>")),
            ("{today+3w}", None),
            ("{today+3d", None),
        ];
        for (text, expected) in table {
            assert_eq!(fill_in(text, today).as_deref(), expected, "{text}");
        }
    }
}
