//! Code tables with dates: which codes there are, what they mean, and from when until when.

use crate::code::Code;
use crate::outcome::Problem;
use jiff::civil::Date;
use std::collections::HashMap;

/// A table out of a CSV file with at least `code,omschrijving,geldig_van,geldig_tot`.
#[derive(Debug)]
pub struct Table {
    columns: Vec<String>,
    entries: HashMap<String, Entry>,
}

#[derive(Debug)]
pub struct Entry {
    values: Vec<String>,
    from: Option<Date>,
    /// The last day on which the code is in force.
    until: Option<Date>,
}

#[derive(Debug)]
pub enum Lookup<'t> {
    Valid(&'t Entry),
    NotInForce,
    Unknown,
}

const REQUIRED: [&str; 4] = ["code", "omschrijving", "geldig_van", "geldig_tot"];

impl Table {
    /// Lines that start with `#` are comments.
    pub fn load(name: &str, text: &str) -> Result<Table, Vec<Problem>> {
        let wrong = |line: usize, hint: String| {
            Problem::new(Code::MappingInvalid, format!("codes/{name}.csv line {line}"), hint)
        };
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let Some((_, header)) = lines.next() else {
            return Err(vec![wrong(1, "the table is empty".to_owned())]);
        };
        let columns = fields(header);
        let place = |column: &str| columns.iter().position(|known| known == column);
        let [Some(code), Some(_), Some(from), Some(until)] = REQUIRED.map(place) else {
            return Err(vec![wrong(1, format!("the first line names at least {}", REQUIRED.join(",")))]);
        };
        let mut problems = Vec::new();
        let mut entries = HashMap::new();
        for (index, line) in lines {
            let values = fields(line);
            if values.len() != columns.len() {
                problems.push(wrong(index + 1, format!("{} values for {} columns", values.len(), columns.len())));
                continue;
            }
            let mut date = |at: usize| match values[at].as_str() {
                "" => None,
                text => text
                    .parse::<Date>()
                    .map_err(|_| problems.push(wrong(index + 1, format!("`{text}` is not a date YYYY-MM-DD"))))
                    .ok(),
            };
            let (from, until) = (date(from), date(until));
            let key = values[code].clone();
            if entries.insert(key, Entry { values, from, until }).is_some() {
                problems.push(wrong(index + 1, "this code occurs twice".to_owned()));
            }
        }
        if problems.is_empty() { Ok(Table { columns, entries }) } else { Err(problems) }
    }

    pub fn lookup(&self, code: &str, on: Date) -> Lookup<'_> {
        match self.entries.get(code) {
            None => Lookup::Unknown,
            Some(entry) if entry.in_force(on) => Lookup::Valid(entry),
            Some(_) => Lookup::NotInForce,
        }
    }

    pub fn has_column(&self, column: &str) -> bool {
        self.columns.iter().any(|known| known == column)
    }

    /// The value in a column for a code that is in force.
    pub fn value(&self, code: &str, column: &str, on: Date) -> Option<&str> {
        let at = self.columns.iter().position(|known| known == column)?;
        match self.lookup(code, on) {
            Lookup::Valid(entry) => Some(&entry.values[at]),
            _ => None,
        }
    }

    pub fn in_force(&self, on: Date) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(move |(_, entry)| entry.in_force(on)).map(|(code, _)| code.as_str())
    }
}

impl Entry {
    fn in_force(&self, on: Date) -> bool {
        self.from.is_none_or(|from| from <= on) && self.until.is_none_or(|until| on <= until)
    }
}

/// One CSV line; a field in double quotes may hold commas and doubled quotes.
fn fields(line: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let last = all.len() - 1;
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                all[last].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(String::new()),
            other => all[last].push(other),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const TABLE: &str = "# a comment\ncode,omschrijving,geldig_van,geldig_tot,opvolger\n\
        0363,Amsterdam,,,\n0457,Weesp,,2022-03-23,0363\n1992,\"Voorne, aan Zee\",2023-01-01,,\n";

    #[test]
    fn a_code_is_in_force_from_its_first_to_its_last_day() {
        let table = Table::load("gemeenten", TABLE).unwrap();
        let rows = [
            ("0363", date(1900, 1, 1), "valid"),
            ("0457", date(2022, 3, 23), "valid"),
            ("0457", date(2022, 3, 24), "not in force"),
            ("1992", date(2022, 12, 31), "not in force"),
            ("1992", date(2023, 1, 1), "valid"),
            ("9999", date(2023, 1, 1), "unknown"),
        ];
        for (code, on, expected) in rows {
            let found = match table.lookup(code, on) {
                Lookup::Valid(_) => "valid",
                Lookup::NotInForce => "not in force",
                Lookup::Unknown => "unknown",
            };
            assert_eq!(found, expected, "{code} on {on}");
        }
        assert_eq!(table.value("1992", "omschrijving", date(2024, 1, 1)), Some("Voorne, aan Zee"));
        assert_eq!(table.value("0457", "opvolger", date(2024, 1, 1)), None);
    }

    #[test]
    fn everything_wrong_is_told_with_its_line() {
        let text = "code,omschrijving,geldig_van,geldig_tot\n1,a,,\n1,b,,\n2,c,yesterday,\n3,d\n";
        let problems = Table::load("t", text).unwrap_err();
        let places: Vec<_> = problems.iter().map(|p| p.place.as_str()).collect();
        assert_eq!(places, ["codes/t.csv line 3", "codes/t.csv line 4", "codes/t.csv line 5"]);
        assert!(Table::load("t", "code,omschrijving\n").is_err());
    }
}
