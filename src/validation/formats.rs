//! The forms that values must have beyond what JSON Schema knows: Dutch numbers and dates.

use jiff::civil::Date;

/// Nine digits that pass the eleven-test. `000000000` passes the arithmetic and is refused by name.
pub fn is_bsn(text: &str) -> bool {
    if text.len() != 9 || !text.bytes().all(|b| b.is_ascii_digit()) || text == "000000000" {
        return false;
    }
    let weights = [9, 8, 7, 6, 5, 4, 3, 2, -1];
    let sum: i32 = text.bytes().zip(weights).map(|(b, w)| i32::from(b - b'0') * w).sum();
    sum % 11 == 0
}

/// As some senders write it: without the zero that it starts with.
pub fn is_bsn_with_or_without_zero(text: &str) -> bool {
    text.len() >= 8 && is_bsn(&format!("{text:0>9}"))
}

pub fn is_gemeentecode(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit())
}

pub fn is_oin(text: &str) -> bool {
    crate::party::Oin::parse(text).is_some()
}

/// `YYYY-MM-DD`, and a day that exists.
pub fn is_date(text: &str) -> bool {
    text.len() == 10 && text.as_bytes()[4] == b'-' && text.parse::<Date>().is_ok()
}

/// RFC 3339, and no other form of ISO 8601: a moment with its seconds and its offset.
pub fn is_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let punctuated = |marks: &[(usize, u8)]| marks.iter().all(|&(at, mark)| bytes.get(at) == Some(&mark));
    let has_offset = match bytes {
        [.., b'Z'] => true,
        [.., b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit),
        _ => false,
    };
    punctuated(&[(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')])
        && bytes.get(17..19).is_some_and(|seconds| seconds.iter().all(u8::is_ascii_digit))
        && has_offset
        && text.parse::<jiff::Timestamp>().is_ok()
}

/// A birth date as the registers hold it: the day, the month, or only the year is known.
pub fn is_geboortedatum(text: &str) -> bool {
    if text.starts_with("0000") {
        return false;
    }
    match text.len() {
        4 => text.bytes().all(|b| b.is_ascii_digit()),
        7 => is_date(&format!("{text}-01")),
        10 => is_date(text),
        _ => false,
    }
}

/// `YYYYMMDD`, with `00` for a month or day that is not known.
pub fn is_stuf_datum(text: &str) -> bool {
    from_stuf_datum(text).is_some_and(|date| is_geboortedatum(&date))
}

/// `19800000` → `1980`, `19800500` → `1980-05`, `19800517` → `1980-05-17`.
pub fn from_stuf_datum(text: &str) -> Option<String> {
    if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, month, day) = (&text[..4], &text[4..6], &text[6..]);
    match (month, day) {
        ("00", "00") => Some(year.to_owned()),
        ("00", _) => None,
        (_, "00") => Some(format!("{year}-{month}")),
        _ => Some(format!("{year}-{month}-{day}")),
    }
}

/// Is there a BSN in this text, standing by itself?
pub fn holds_bsn(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_bsn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bsn() {
        for good in ["123456782", "111222333", "999990342", "999993653", "900070511", "249566758"] {
            assert!(is_bsn(good), "{good}");
        }
        for good in ["10000008", "010000008", "999993653"] {
            assert!(is_bsn_with_or_without_zero(good), "{good}");
        }
        for bad in ["0000000", "00000000", "1000008", "10000009", "0010000008"] {
            assert!(!is_bsn_with_or_without_zero(bad), "{bad}");
        }
        for bad in ["123456789", "000000000", "12345678", "1234567820", "12345678a", "", " 23456782"] {
            assert!(!is_bsn(bad), "{bad}");
        }
    }

    #[test]
    fn dates() {
        let table = [
            ("19800000", Some("1980")),
            ("19800500", Some("1980-05")),
            ("19800517", Some("1980-05-17")),
            ("19800017", None),
            ("1980-5-1", None),
            ("198005", None),
        ];
        for (stuf, iso) in table {
            assert_eq!(from_stuf_datum(stuf).as_deref(), iso, "{stuf}");
        }
        assert!(!is_stuf_datum("19800230"));
        assert!(is_date("2024-02-29") && !is_date("2023-02-29") && !is_date("20240229"));
        for good in ["1980", "1980-05", "1980-05-17"] {
            assert!(is_geboortedatum(good));
        }
        for bad in ["0000", "0000-05", "0000-05-17", "1980-13", "1980-00-00", "80", "1980-5-17", "1980-é"] {
            assert!(!is_geboortedatum(bad), "{bad}");
        }
        for bad in ["2026-W48-2", "2026-11-24T", "+2026-11-24", "2026/11/24", "24-11-2026"] {
            assert!(!is_date(bad), "{bad}");
        }
    }

    #[test]
    fn moments() {
        for good in ["2026-11-24T10:00:00Z", "2026-11-24T10:00:00.123+01:00", "2024-02-29T23:59:59-05:30"] {
            assert!(is_date_time(good), "{good}");
        }
        for bad in [
            "2026-11-24",
            "2026-11-24T10:00:00",
            "2026-11-24T10:00Z",
            "2026-11-24 10:00:00Z",
            "20261124T100000Z",
            "2026-11-24T10:00:00+0100",
            "2026-11-24T10:00:00+01",
            "2026-11-24T10:00:00+01:00[Europe/Amsterdam]",
            "2026-11-24T25:00:00Z",
            "2026-02-30T10:00:00Z",
            "2026-11-24T10:00:00é",
        ] {
            assert!(!is_date_time(bad), "{bad}");
        }
    }

    #[test]
    fn a_bsn_in_an_attribute_is_seen_and_a_uuid_is_not_one() {
        assert!(holds_bsn("123456782") && holds_bsn("bsn:123456782") && holds_bsn("urn:x:123456782:y"));
        assert!(!holds_bsn("3f0c9a12-1234-5678-9abc-a123456782bc") && !holds_bsn("00000099000000363000"));
    }
}
