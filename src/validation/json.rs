//! JSON without surprises: UTF-8, one document, no key twice.

use crate::code::Code;
use crate::outcome::Problem;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::fmt;

/// The members of the outermost object, unparsed.
pub fn top_level(bytes: &[u8]) -> Result<Vec<(String, Box<RawValue>)>, Problem> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Box<RawValue>)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members: Self::Value = Vec::new();
            let mut names = HashSet::new();
            while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                if !names.insert(name.clone()) {
                    return Err(de::Error::custom(DUPLICATE));
                }
                members.push((name, value));
            }
            Ok(members)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(utf8(bytes)?);
    let members = reader.deserialize_map(Members).map_err(|e| problem(&e))?;
    reader.end().map_err(|e| problem(&e))?;
    Ok(members)
}

/// A whole document.
pub fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let mut reader = serde_json::Deserializer::from_str(utf8(bytes)?);
    let value = Strict.deserialize(&mut reader).map_err(|e| problem(&e))?;
    reader.end().map_err(|e| problem(&e))?;
    Ok(value)
}

const DUPLICATE: &str = "a key occurs twice";

fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes)
        .map_err(|e| Problem::new(Code::WrongEncoding, format!("byte {}", e.valid_up_to()), Code::WrongEncoding.hint()))
}

/// The text of the error may quote the input, so only its place is kept.
fn problem(error: &serde_json::Error) -> Problem {
    let place = format!("line {}, column {}", error.line(), error.column());
    let text = error.to_string();
    if text.starts_with("recursion limit") {
        return Problem::new(Code::TooDeep, place, Code::TooDeep.hint());
    }
    let hint = if text.starts_with(DUPLICATE) { DUPLICATE } else { Code::NotJson.hint() };
    Problem::new(Code::NotJson, place, hint)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Strict)?;
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom(DUPLICATE));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests;
