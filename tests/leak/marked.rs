//! Documents in which every field holds a value found nowhere else, so that a search of any output tells
//! whether, and from where, content leaked into it.

use ketenpoort::validation::formats::is_bsn;
use serde_json::{Map, Value};

/// A value to search for, and the field that it was planted in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    pub place: String,
    pub value: String,
    /// As the schema says; absent in a partner's schema.
    pub category: Option<String>,
}

#[derive(Debug)]
pub struct Marked {
    pub document: Value,
    pub markers: Vec<Marker>,
}

impl Marked {
    /// An item of an intake list, as the list that it is the only item of.
    pub fn in_a_list(mut self) -> Marked {
        let item = self.document["Inkomst"].take();
        self.document = self.document["Lijst"].take();
        self.document["Inkomst"] = item;
        self
    }
}

/// Fills every field of a schema. `given` are the places whose value a code table or a rule dictates; they, and
/// values out of a closed list, are no markers. Two documents that are searched together need another `seed`.
pub fn fill(schema: &Value, seed: u32, given: &[(&str, &str)]) -> Marked {
    let mut filler = Filler { root: schema, given, count: seed * 1000, markers: Vec::new() };
    let document = filler.value(schema, "");
    Marked { document, markers: filler.markers }
}

/// The markers that a text holds.
pub fn found<'m>(markers: &'m [Marker], text: &str) -> Vec<&'m Marker> {
    markers.iter().filter(|marker| text.contains(&marker.value)).collect()
}

/// The XML form of a filled document.
pub fn xml(document: &Value, root: &str, namespace: &str) -> String {
    let mut out = format!("<{root} xmlns=\"{namespace}\">");
    children(&mut out, document);
    out + &format!("</{root}>")
}

fn children(out: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
            Value::Array(items) => items.iter().for_each(|item| element(out, name, item)),
            one => element(out, name, one),
        }),
        Value::String(text) => out.push_str(text),
        other => out.push_str(&other.to_string()),
    }
}

fn element(out: &mut String, name: &str, value: &Value) {
    *out += &format!("<{name}>");
    children(out, value);
    *out += &format!("</{name}>");
}

struct Filler<'s> {
    root: &'s Value,
    given: &'s [(&'s str, &'s str)],
    count: u32,
    markers: Vec<Marker>,
}

impl Filler<'_> {
    fn value(&mut self, schema: &Value, place: &str) -> Value {
        if let Some((_, value)) = self.given.iter().find(|(at, _)| *at == place) {
            return (*value).into();
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.root.pointer(reference.trim_start_matches('#'));
            return self.value(&target.expect("a reference within the file").clone(), place);
        }
        if let Some(fields) = schema["properties"].as_object() {
            let fill = |(name, field): (&String, &Value)| (name.clone(), self.value(field, &format!("{place}/{name}")));
            return Value::Object(fields.iter().map(fill).collect::<Map<_, _>>());
        }
        if schema["items"].is_object() {
            let mut items = schema["items"].clone();
            if items["x-categorie"].is_null() {
                items["x-categorie"] = schema["x-categorie"].clone();
            }
            return Value::Array(vec![self.value(&items, place)]);
        }
        if let Some(options) = schema["enum"].as_array() {
            return options[0].clone();
        }
        match schema["type"].as_str() {
            Some("boolean") => true.into(),
            Some("integer") => schema["minimum"].as_i64().unwrap_or(1).into(),
            _ => self.text(schema, place).into(),
        }
    }

    /// The value, each spelling of which becomes a marker.
    fn text(&mut self, schema: &Value, place: &str) -> String {
        self.count += 1;
        let n = self.count;
        let (value, also) = match (schema["format"].as_str(), schema["pattern"].as_str()) {
            (Some("bsn" | "bsn-met-of-zonder-nul"), _) => (bsn(n), None),
            (Some("gemeentecode" | "oin"), _) => panic!("{place}: give its value"),
            (Some("date" | "geboortedatum"), _) => (day(n, "-"), Some(day(n, ""))),
            (Some("stuf-datum"), _) => (day(n, ""), Some(day(n, "-"))),
            (Some("date-time"), _) => (format!("{}T09:00:00Z", day(n, "-")), Some(day(n, "-"))),
            (Some(other), _) => panic!("{place}: say here how to fill format `{other}`"),
            (_, Some("^[0-9]{1,12}$")) => (format!("73100{n:07}"), None),
            // Five digits stand anywhere by chance: filled, and not searched for.
            (_, Some("^[0-9]{1,5}$")) => return n.to_string(),
            (_, Some("^[0-9]{2}/[0-9]{6}-[0-9]{2}$" | "^[0-9]{2}[-/][0-9]{6}-[0-9]{2}$")) => {
                (format!("73/{n:06}-31"), Some(format!("73-{n:06}-31")))
            }
            (_, Some("^[1-9][0-9]{3} ?[A-Z]{2}$" | "^[1-9][0-9]{3}[A-Z]{2}$")) => {
                let letters = [n / 26 % 26, n % 26].map(|i| char::from(b'A' + i as u8));
                let letters: String = letters.iter().collect();
                (format!("7319{letters}"), Some(format!("7319 {letters}")))
            }
            (_, None | Some("^[A-Za-z0-9._/-]+$")) => (format!("merk{n:06}"), None),
            (_, Some(other)) => panic!("{place}: say here how to fill pattern `{other}`"),
        };
        let limit = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
        assert!(value.len() as u64 <= limit, "{place}: no marker fits into {limit} characters");
        let category = schema["x-categorie"].as_str().map(str::to_owned);
        let spellings = std::iter::once(value.clone()).chain(also);
        self.markers.extend(spellings.map(|value| Marker {
            place: place.to_owned(),
            value,
            category: category.clone(),
        }));
        value
    }
}

/// Distinct for each `n`, and past every day that a log would name.
fn day(n: u32, separator: &str) -> String {
    let (year, month, day) = (1930 + n / 336 % 40, n / 28 % 12 + 1, n % 28 + 1);
    format!("{year}{separator}{month:02}{separator}{day:02}")
}

fn bsn(n: u32) -> String {
    // One in eleven numbers is a BSN.
    let mut candidates = (0..100).map(|i| (731_000_000 + n * 100 + i).to_string());
    candidates.find(|number| is_bsn(number)).expect("a BSN among a hundred numbers")
}
