//! Facts: what the probation service's own records (IRIS) say about a person.
//! The requester's claims never become facts.

pub mod iris;

use crate::category::Category;
use crate::party::Role;
use crate::personal::Personal;
use crate::validation::schema::{Leaf, Shape};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who the facts are asked about. Travels in request bodies only, never in a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Person {
    pub bsn: Option<Personal<String>>,
    pub skn: Option<Personal<String>>,
}

/// What IRIS answers about a person; the shape is `schemas/iris/feiten.schema.json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    pub bekend: bool,
    #[serde(default)]
    pub organisatie: Option<String>,
    #[serde(default)]
    pub justitieel_kader: Option<JustitieelKader>,
    #[serde(default)]
    pub toestemmingen: Vec<Toestemming>,
    #[serde(default)]
    pub beoordelingen: Vec<Beoordeling>,
    /// Case data per category; present only where it was asked for.
    #[serde(default)]
    pub gegevens: Option<CaseData>,
}

/// How far the probation service knows somebody, as its own records say it on the day of the decision.
#[derive(Clone, Debug)]
pub struct Known {
    pub bekend: bool,
    organisatie: Option<Personal<String>>,
    mate: &'static str,
}

impl Known {
    pub fn on(facts: &Facts, today: Date) -> Known {
        let kader = facts.justitieel_kader.as_ref();
        let mate = match kader.is_some_and(|kader| kader.is_in_force(today)) {
            _ if !facts.bekend => "niet_bekend",
            true => "lopend_kader",
            false => "geen_lopend_kader",
        };
        let organisatie = facts.organisatie.clone().filter(|_| facts.bekend).map(Personal::new);
        Known { bekend: facts.bekend, organisatie, mate }
    }

    /// As `answer.facts` of a message type reads it.
    pub fn shape() -> Shape {
        let fields = ["bekend", "organisatie", "mate"];
        Shape::Object(fields.map(|name| (name.to_owned(), Shape::Leaf(Leaf::default()))).into())
    }

    pub fn document(&self) -> Value {
        let mut fields = Map::from_iter([
            ("bekend".to_owned(), Value::Bool(self.bekend)),
            ("mate".to_owned(), Value::from(self.mate)),
        ]);
        let organisatie = self.organisatie.as_ref().map(|name| name.reveal_personal_data().as_str().into());
        fields.extend(organisatie.map(|name| ("organisatie".to_owned(), name)));
        Value::Object(fields)
    }
}

/// Case data: one object per category.
#[derive(Clone, Debug, Default)]
pub struct CaseData(pub Personal<Map<String, Value>>);

impl<'de> Deserialize<'de> for CaseData {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Map::deserialize(d).map(|map| CaseData(Personal::new(map)))
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JustitieelKader {
    pub aanwezig: bool,
    #[serde(default)]
    pub soort: Option<SoortKader>,
    #[serde(default)]
    pub eindigt_op: Option<Date>,
}

impl JustitieelKader {
    pub fn is_in_force(&self, today: Date) -> bool {
        self.aanwezig && self.eindigt_op.is_none_or(|end| end >= today)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SoortKader {
    Toezicht,
    Advies,
    Werkstraf,
    ForensischeZorg,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toestemming {
    pub id: String,
    pub vorm: VormToestemming,
    pub categorieen: Vec<Category>,
    pub ontvangers: Vec<String>,
    pub verleend_op: Moment,
    #[serde(default)]
    pub geldig_tot: Option<Moment>,
    #[serde(default)]
    pub ingetrokken_op: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VormToestemming {
    Schriftelijk,
    Mondeling,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beoordeling {
    pub id: String,
    pub soort: SoortBeoordeling,
    /// The message it is about; `null` is about the person in general.
    #[serde(default)]
    pub betreft: Option<String>,
    /// The source of that message: an id is unique within its source only.
    #[serde(default)]
    pub betreft_bron: Option<String>,
    #[serde(default)]
    pub categorieen: Vec<Category>,
    /// Who indicates forensic care, where that is what was decided.
    #[serde(default)]
    pub indicatiesteller: Option<Role>,
    pub op: Moment,
    #[serde(default)]
    pub geldig_tot: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SoortBeoordeling {
    #[serde(rename = "ernstige_bedreiging")]
    ErnstigeBedreiging,
    #[serde(rename = "kindermishandeling")]
    Kindermishandeling,
    #[serde(rename = "rvdk_behoefte")]
    RvdkBehoefte,
    #[serde(rename = "wgs_noodzaak")]
    WgsNoodzaak,
    #[serde(rename = "43_4")]
    Artikel43Lid4,
    #[serde(rename = "vrije_tekst")]
    VrijeTekst,
    #[serde(rename = "fz_afstemming")]
    FzAfstemming,
    #[serde(rename = "fz_mdo")]
    FzMdo,
}

impl SoortBeoordeling {
    pub fn parse(name: &str) -> Option<SoortBeoordeling> {
        serde_json::from_value(name.into()).ok()
    }

    pub fn as_str(self) -> &'static str {
        match self {
            SoortBeoordeling::ErnstigeBedreiging => "ernstige_bedreiging",
            SoortBeoordeling::Kindermishandeling => "kindermishandeling",
            SoortBeoordeling::RvdkBehoefte => "rvdk_behoefte",
            SoortBeoordeling::WgsNoodzaak => "wgs_noodzaak",
            SoortBeoordeling::Artikel43Lid4 => "43_4",
            SoortBeoordeling::VrijeTekst => "vrije_tekst",
            SoortBeoordeling::FzAfstemming => "fz_afstemming",
            SoortBeoordeling::FzMdo => "fz_mdo",
        }
    }
}

/// A moment that may be given as a whole day or to the second. A day starts at 00:00 and ends at 24:00
/// in the Netherlands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Moment {
    At(Timestamp),
    Day(Date),
}

/// The legal day of a moment: dates in law and in records are Dutch days.
pub const TIME_ZONE: &str = "Europe/Amsterdam";

pub fn dutch_day(at: Timestamp) -> Date {
    match at.in_tz(TIME_ZONE) {
        Ok(zoned) => zoned.date(),
        Err(_) => unreachable!("the time zone database is part of the binary"),
    }
}

/// The moment at which a Dutch day begins.
pub fn start_of_dutch_day(day: Date) -> Option<Timestamp> {
    day.in_tz(TIME_ZONE).ok().map(|zoned| zoned.timestamp())
}

impl Moment {
    /// Has it begun at `now`?
    pub fn has_begun(self, now: Timestamp) -> bool {
        match self {
            Moment::At(at) => at <= now,
            Moment::Day(day) => day <= dutch_day(now),
        }
    }
    /// Is it over at `now`? A day is over only when the next one has begun.
    pub fn is_over(self, now: Timestamp) -> bool {
        match self {
            Moment::At(at) => at < now,
            Moment::Day(day) => day < dutch_day(now),
        }
    }

    /// Of two beginnings.
    pub fn earlier(self, other: Moment) -> Moment {
        if other.begins() < self.begins() { other } else { self }
    }
    pub fn later(self, other: Moment) -> Moment {
        if other.begins() > self.begins() { other } else { self }
    }
    /// Of two ends the first.
    pub fn first_end(self, other: Moment) -> Moment {
        if other.ends() < self.ends() { other } else { self }
    }

    fn begins(self) -> Timestamp {
        match self {
            Moment::At(at) => at,
            Moment::Day(day) => midnight(day),
        }
    }
    fn ends(self) -> Timestamp {
        match self {
            Moment::At(at) => at,
            Moment::Day(day) => day.tomorrow().map_or(Timestamp::MAX, midnight),
        }
    }
}

fn midnight(day: Date) -> Timestamp {
    match day.in_tz(TIME_ZONE) {
        Ok(zoned) => zoned.timestamp(),
        Err(_) => unreachable!("the time zone database is part of the binary"),
    }
}

/// Why facts could not be had. The message waits; it is neither shared nor refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unavailable {
    #[error("the facts source could not be reached")]
    Unreachable,
    #[error("the certificate of the facts source or its TLS is not accepted: nothing was asked")]
    Mistrusted,
    #[error("the facts source did not answer in time")]
    Timeout,
    #[error("the facts source answered with status {0}")]
    Status(u16),
    #[error("the facts source gave an answer that does not fit its schema")]
    Invalid,
    #[error("the circuit breaker is open after repeated failures")]
    BreakerOpen,
}
