//! Values in the configuration that are more than a number: durations, sizes, ratios, secrets.

use serde::de::{Deserialize, Deserializer, Error};
use std::fmt;

/// As in `"500ms"`, `"10s"`, `"15m"`, `"1h"`; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

impl Duration {
    pub const fn seconds(seconds: u64) -> Self {
        Duration(std::time::Duration::from_secs(seconds))
    }
    pub fn get(self) -> std::time::Duration {
        self.0
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let millis = number_and_unit(&text, &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]);
        match millis {
            Some(millis @ 1..) => Ok(Duration(std::time::Duration::from_millis(millis))),
            _ => Err(D::Error::custom("a duration above zero, as in \"500ms\", \"10s\", \"15m\" or \"1h\"")),
        }
    }
}

/// As in `"64 KiB"` or `"1 MiB"`; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let bytes = number_and_unit(&text, &[("KiB", 1 << 10), ("MiB", 1 << 20), ("B", 1)]);
        match bytes.and_then(|b| usize::try_from(b).ok()) {
            Some(bytes @ 1..) => Ok(Size(bytes)),
            _ => Err(D::Error::custom("a size above zero, as in \"64 KiB\" or \"1 MiB\"")),
        }
    }
}

fn number_and_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (unit, factor) = units.iter().find(|(unit, _)| {
        text.strip_suffix(unit).is_some_and(|rest| rest.trim_end().bytes().all(|b| b.is_ascii_digit()))
    })?;
    text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?.checked_mul(*factor)
}

/// From 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

impl Ratio {
    pub const ALL: Ratio = Ratio(1.0);
    pub fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let ratio = f64::deserialize(d)?;
        if (0.0..=1.0).contains(&ratio) { Ok(Ratio(ratio)) } else { Err(D::Error::custom("a number from 0 to 1")) }
    }
}

/// Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Secret)
    }
}
