//! The fixed list of steps that a rule may send a value through.

use crate::code::Code;
use crate::validation::formats;
use serde_json::Value;

macro_rules! steps {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Named { $($variant),+ }

        impl Named {
            pub fn parse(name: &str) -> Option<Named> {
                match name { $($name => Some(Named::$variant),)+ _ => None }
            }
        }
    };
}

steps! {
    Trim = "trim",
    Upper = "upper",
    Lower = "lower",
    StufDate = "stuf_date",
    ToStufDate = "to_stuf_date",
    DateCompact = "date_compact",
    ToDateCompact = "to_date_compact",
    Integer = "integer",
    ToText = "to_text",
    BooleanJn = "boolean_jn",
    ToBooleanJn = "to_boolean_jn",
    BsnPad = "bsn_pad",
    Parketnummer = "parketnummer",
    Postcode = "postcode",
}

impl Named {
    pub fn apply(self, value: &Value) -> Result<Value, Code> {
        let text = match (value, self) {
            (Value::String(text), _) => text.as_str(),
            (Value::Bool(yes), Named::ToBooleanJn) => {
                return Ok(Value::String(if *yes { "J" } else { "N" }.to_owned()));
            }
            (Value::Number(_) | Value::Bool(_), Named::ToText) => {
                return Ok(Value::String(value.to_string()));
            }
            _ => return Err(Code::WrongType),
        };
        let changed = match self {
            Named::Trim => text.trim().to_owned(),
            Named::Upper => text.to_uppercase(),
            Named::Lower => text.to_lowercase(),
            Named::StufDate => formats::from_stuf_datum(text).ok_or(Code::InvalidDate)?,
            Named::ToStufDate => to_stuf_date(text).ok_or(Code::InvalidDate)?,
            Named::DateCompact => {
                let date = formats::from_stuf_datum(text).ok_or(Code::InvalidDate)?;
                if !formats::is_date(&date) {
                    return Err(Code::InvalidDate);
                }
                date
            }
            Named::ToDateCompact if formats::is_date(text) => text.replace('-', ""),
            Named::ToDateCompact => return Err(Code::InvalidDate),
            Named::Integer => {
                return text.parse::<i64>().map(Value::from).map_err(|_| Code::WrongType);
            }
            Named::ToText => text.to_owned(),
            Named::BooleanJn => {
                return match text {
                    "J" => Ok(Value::Bool(true)),
                    "N" => Ok(Value::Bool(false)),
                    _ => Err(Code::WrongType),
                };
            }
            Named::ToBooleanJn => return Err(Code::WrongType),
            Named::BsnPad => format!("{text:0>9}"),
            Named::Postcode => text.replace(' ', ""),
            Named::Parketnummer => parketnummer(text).ok_or(Code::WrongType)?,
        };
        Ok(Value::String(changed))
    }
}

fn to_stuf_date(text: &str) -> Option<String> {
    formats::is_geboortedatum(text).then(|| format!("{:0<8}", text.replace('-', "")))
}

/// Eight digits for the case, two for the year, however the sender separates them: `10-123456-26` → `10/123456-26`.
fn parketnummer(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let separators_only = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '/' | '.' | ' '));
    (digits.len() == 10 && separators_only).then(|| format!("{}/{}-{}", &digits[..2], &digits[2..8], &digits[8..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_gives_what_its_name_says_and_refuses_the_rest() {
        let table: &[(&str, &str, Result<Value, Code>)] = &[
            ("trim", " a ", Ok("a".into())),
            ("upper", "abc", Ok("ABC".into())),
            ("lower", "ABC", Ok("abc".into())),
            ("stuf_date", "19800500", Ok("1980-05".into())),
            ("stuf_date", "1980", Err(Code::InvalidDate)),
            ("to_stuf_date", "1980", Ok("19800000".into())),
            ("to_stuf_date", "1980-05-17", Ok("19800517".into())),
            ("to_stuf_date", "80", Err(Code::InvalidDate)),
            ("date_compact", "20261124", Ok("2026-11-24".into())),
            ("date_compact", "20261100", Err(Code::InvalidDate)),
            ("to_date_compact", "2026-11-24", Ok("20261124".into())),
            ("to_date_compact", "2026-11", Err(Code::InvalidDate)),
            ("integer", "12", Ok(12.into())),
            ("integer", "12a", Err(Code::WrongType)),
            ("boolean_jn", "J", Ok(true.into())),
            ("boolean_jn", "ja", Err(Code::WrongType)),
            ("bsn_pad", "12345678", Ok("012345678".into())),
            ("parketnummer", "10-123456-26", Ok("10/123456-26".into())),
            ("postcode", "3011 AB", Ok("3011AB".into())),
            ("parketnummer", "10-1234-26", Err(Code::WrongType)),
        ];
        for (step, input, expected) in table {
            let step = Named::parse(step).unwrap();
            assert_eq!(&step.apply(&Value::String((*input).to_owned())), expected, "{step:?} of {input}");
        }
        assert_eq!(Named::ToBooleanJn.apply(&true.into()), Ok("J".into()));
        assert_eq!(Named::ToText.apply(&5.into()), Ok("5".into()));
    }
}
