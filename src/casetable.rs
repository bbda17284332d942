//! A table of cases in YAML: on top what holds for all of them, under `cases` one row each. What a row means
//! is for whoever runs the table; no case is run in here.

use crate::catalogue::Finding;
use crate::code::Code;
use crate::outcome::Problem;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

/// One case, with the defaults of its table filled in.
#[derive(Debug)]
pub struct Row {
    file: String,
    line: Option<u64>,
    name: String,
    whole: Value,
}

/// Where the cases stand, for findings only.
#[derive(Deserialize)]
struct Lines {
    cases: Vec<Spanned<IgnoredAny>>,
}

pub fn rows(file: &str, text: &str) -> Result<Vec<Row>, Finding> {
    let wrong = |line, hint: &str| Finding::new(file, line, Problem::new(Code::CaseFailed, "", hint));
    let unreadable = |error: serde_saphyr::Error| {
        let line = error.location().map(|l| l.line());
        wrong(line, error.to_string().lines().next().unwrap_or_default())
    };
    let document: Value = serde_saphyr::from_str(text).map_err(unreadable)?;
    let lines: Lines = serde_saphyr::from_str(text).map_err(unreadable)?;
    let mut defaults = document.as_object().cloned().unwrap_or_default();
    let Some(Value::Array(cases)) = defaults.remove("cases").filter(|cases| *cases != Value::Array(Vec::new())) else {
        return Err(wrong(None, "there is no case in this table"));
    };
    let row = |(case, at): (Value, Spanned<IgnoredAny>)| {
        let name = case.get("name").and_then(Value::as_str).unwrap_or("a case without a name").to_owned();
        let mut whole = Value::Object(defaults.clone());
        merge(&mut whole, case);
        Row { file: file.to_owned(), line: Some(at.referenced.line()), name, whole }
    };
    Ok(cases.into_iter().zip(lines.cases).map(row).collect())
}

impl Row {
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Finding> {
        serde_json::from_value(self.whole.clone()).map_err(|error| self.failed(error.to_string()))
    }

    pub fn failed(&self, hint: String) -> Finding {
        Finding::new(self.file.as_str(), self.line, Problem::new(Code::CaseFailed, &*self.name, hint))
    }
}

/// Objects are laid over each other; anything else replaces what was there.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_lies_over_the_defaults_and_knows_its_line() {
        let text = "from: dji\nfacts: {bekend: true, list: [1]}\ncases:\n  - name: one\n    facts: {list: [2]}\n  \
                    - name: two\n    from: om\n";
        let rows = rows("t.yaml", text).unwrap();
        let read: Vec<Value> = rows.iter().map(|row| row.read().unwrap()).collect();
        assert_eq!(read[0], serde_json::json!({"from": "dji", "facts": {"bekend": true, "list": [2]}, "name": "one"}));
        assert_eq!(read[1]["from"], "om");
        assert_eq!(rows[1].failed(String::new()).line, Some(6));
    }

    #[test]
    fn a_table_that_proves_nothing_is_told() {
        for (text, line) in [("cases: []", None), ("from: dji", Some(1)), ("cases: [\n", Some(1))] {
            assert_eq!(rows("t.yaml", text).unwrap_err().line, line, "{text}");
        }
    }
}
