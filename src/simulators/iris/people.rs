//! The fictitious people of the simulated IRIS, out of a JSON or YAML file. Dates may be relative, so that the
//! file stays right: `today`, `today-1d`, `today+30d`, `today+6m`, `today-2y`.

use crate::catalogue::Finding;
use crate::category::Category;
use crate::code::Code;
use crate::facts::{CaseData, Facts};
use crate::outcome::Problem;
use crate::personal::Personal;
use crate::validation::schema::Schema;
use jiff::{Span, civil::Date};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

#[derive(Debug, Default)]
pub struct People {
    all: Vec<Person>,
    by_number: HashMap<String, usize>,
}

#[derive(Debug)]
struct Person {
    facts: Value,
    data: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    personen: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// What the entry is there for; for the reader of the file.
    #[serde(default, rename = "toelichting")]
    _about: String,
    #[serde(default)]
    bsn: Option<String>,
    #[serde(default)]
    skn: Option<String>,
    feiten: Value,
    #[serde(default)]
    gegevens: Map<String, Value>,
}

/// A schema that is part of the program.
pub(super) fn own_schema(text: &str) -> Schema {
    Schema::compile(text).expect("a schema of our own, which the tests compile")
}

impl People {
    /// Everything that is wrong with the file is told at once: what the simulator answers fits its schemas.
    pub fn read(name: &str, text: &str, today: Date) -> Result<People, Vec<Finding>> {
        let wrong = |place: String, hint: &str| Finding::new(name, None, Problem::new(Code::FactsInvalid, place, hint));
        let file: File = serde_saphyr::from_str(text).map_err(|error| {
            let line = error.location().map(|location| location.line());
            let hint = error.to_string().lines().next().unwrap_or_default().to_owned();
            vec![Finding::new(name, line, Problem::new(Code::FactsInvalid, "", hint))]
        })?;
        let question = own_schema(include_str!("../../../schemas/iris/gegevens-vraag.schema.json"));
        let facts = own_schema(include_str!("../../../schemas/iris/feiten.schema.json"));
        let categories = own_schema(include_str!("../../../schemas/iris/gegevens.schema.json"));
        let mut findings = Vec::new();
        let mut people = People::default();
        for (index, mut entry) in file.personen.into_iter().enumerate() {
            resolve(&mut entry.feiten, today);
            entry.gegevens.values_mut().for_each(|value| resolve(value, today));
            let data = Value::Object(std::mem::take(&mut entry.gegevens));
            let mut numbers = Map::new();
            for (name, number) in [("bsn", &entry.bsn), ("skn", &entry.skn)] {
                numbers.extend(number.iter().map(|number| (name.to_owned(), number.as_str().into())));
                if number.as_ref().is_some_and(|n| people.by_number.insert(key(name, n), index).is_some()) {
                    findings.push(wrong(format!("/personen/{index}/{name}"), "somebody else has this number"));
                }
            }
            let asked = json!({ "persoon": numbers, "categorieen": ["identificatie"] });
            let parts =
                [(&question, &asked, ""), (&facts, &entry.feiten, "/feiten"), (&categories, &data, "/gegevens")];
            for (schema, part, at) in parts {
                findings.extend(schema.problems(part).into_iter().map(|problem| {
                    let place = format!("/personen/{index}{at}{}", problem.place);
                    Finding::new(name, None, Problem { place, ..problem })
                }));
            }
            let Value::Object(data) = data else { continue };
            people.all.push(Person { facts: entry.feiten, data });
        }
        if findings.is_empty() { Ok(people) } else { Err(findings) }
    }

    pub(super) fn learn(&mut self, newer: People) {
        let known = self.all.len();
        self.all.extend(newer.all);
        self.by_number.extend(newer.by_number.into_iter().map(|(number, index)| (number, known + index)));
    }

    fn find(&self, numbers: &Value) -> Option<&Person> {
        let found = ["bsn", "skn"].iter().find_map(|name| self.by_number.get(&key(name, numbers[name].as_str()?)));
        found.and_then(|index| self.all.get(*index))
    }

    /// Facts and case data together, as they are asked for one after the other.
    pub fn about(&self, person: &crate::facts::Person) -> Option<Facts> {
        let number = |number: &Option<Personal<String>>| number.as_ref().map(|n| n.reveal_personal_data().clone());
        let numbers = json!({ "bsn": number(&person.bsn), "skn": number(&person.skn) });
        let facts: Facts = serde_json::from_value(self.facts(&numbers)).ok()?;
        Some(Facts { gegevens: Some(CaseData(Personal::new(self.case_data(&numbers, |_| true)))), ..facts })
    }

    /// Of somebody who is not in the file, that he is not known.
    pub(super) fn facts(&self, numbers: &Value) -> Value {
        self.find(numbers).map_or_else(|| json!({ "bekend": false }), |person| person.facts.clone())
    }

    pub(super) fn case_data(&self, numbers: &Value, asked: impl Fn(Category) -> bool) -> Map<String, Value> {
        let data = self.find(numbers).map(|person| person.data.clone()).unwrap_or_default();
        data.into_iter().filter(|(name, _)| Category::parse(name).is_some_and(&asked)).collect()
    }
}

fn key(name: &str, number: &str) -> String {
    format!("{name}:{number}")
}

fn resolve(value: &mut Value, today: Date) {
    match value {
        Value::String(text) => {
            if let Some(date) = relative(text, today) {
                *text = date.to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| resolve(item, today)),
        Value::Object(fields) => fields.values_mut().for_each(|field| resolve(field, today)),
        _ => {}
    }
}

/// `today`, or so many days, months or years from it.
pub(crate) fn relative(text: &str, today: Date) -> Option<Date> {
    let rest = text.strip_prefix("today")?;
    if rest.is_empty() {
        return Some(today);
    }
    let (number, unit) = rest.split_at_checked(rest.len() - 1)?;
    let number: i32 = number.strip_prefix('+').unwrap_or(number).parse().ok()?;
    let span = match unit {
        "d" => Span::new().days(number),
        "m" => Span::new().months(number),
        "y" => Span::new().years(number),
        _ => return None,
    };
    today.checked_add(span).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = jiff::civil::date(2026, 11, 24);

    #[test]
    fn relative_dates() {
        let table = [
            ("today", Some("2026-11-24")),
            ("today+30d", Some("2026-12-24")),
            ("today-1d", Some("2026-11-23")),
            ("today+3m", Some("2027-02-24")),
            ("today-2y", Some("2024-11-24")),
            ("today+", None),
            ("today+3w", None),
            ("2026-01-01", None),
        ];
        for (text, date) in table {
            assert_eq!(relative(text, TODAY).map(|d| d.to_string()).as_deref(), date, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_the_schemas_is_told_with_its_place() {
        let text = r#"{"personen": [
            {"bsn": "999993653", "feiten": {"bekend": true}},
            {"bsn": "999993653", "feiten": {"bekend": "ja"}, "gegevens": {"zorg": {"kleur": "rood"}}},
            {"bsn": "123456789", "feiten": {"bekend": false}},
            {"feiten": {"bekend": false}}
        ]}"#;
        let findings = People::read("iris.json", text, TODAY).unwrap_err();
        let places: Vec<_> = findings.iter().map(|f| f.problem.place.as_str()).collect();
        let expected = [
            "/personen/1/bsn",
            "/personen/1/feiten/bekend",
            "/personen/1/gegevens/zorg/kleur",
            "/personen/2/persoon/bsn",
            "/personen/3/persoon",
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn the_people_of_the_demo_fit_whatever_the_day() {
        let text = include_str!("../../../deploy/demo/iris.json");
        for today in [TODAY, jiff::civil::date(2028, 2, 29)] {
            let people = People::read("deploy/demo/iris.json", text, today).unwrap();
            assert!(people.all.len() >= 12);
        }
    }
}
