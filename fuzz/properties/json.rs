//! JSON: what we take is JSON to others too, with the same content; of the rest a place is told, and no value.

use super::{assert_repeats_nothing, messages, text};
use ketenpoort::code::Code;
use ketenpoort::validation::json::{parse, top_level};
use serde_json::Value;

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = messages("json").into_iter().map(|(_, text)| text.into_bytes()).collect();
    seeds.push(text("tests/fixtures/informatie-gevraagd.event.json").into_bytes());
    seeds.push(text("tests/fixtures/feiten.json").into_bytes());
    seeds.push(br#"[1e400, -0.0, 18446744073709551616, "\ud83d\ude00", {"a": {"a": null}}]"#.to_vec());
    seeds
}

pub fn check(data: &[u8]) {
    let others: Result<Value, _> = serde_json::from_slice(data);
    match (parse(data), others) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(ours, theirs, "another content than others read");
            let written = serde_json::to_vec(&ours).expect("a value can be written");
            assert_eq!(parse(&written).as_ref(), Ok(&ours), "written and read again it is another");
        }
        (Ok(_), Err(error)) => panic!("taken, and no JSON to others: {:?}", error.classify()),
        (Err(problem), others) => {
            assert!(matches!(problem.code, Code::NotJson | Code::WrongEncoding | Code::TooDeep), "{problem:?}");
            // A key that occurs twice is what others let pass.
            assert!(others.is_err() || problem.hint == "a key occurs twice", "{problem:?}");
            assert_repeats_nothing(&problem, data);
        }
    }
    match top_level(data) {
        Ok(members) => {
            for (_, value) in members {
                parse(value.get().as_bytes()).map_or_else(|problem| assert_repeats_nothing(&problem, data), drop);
            }
        }
        Err(problem) => {
            assert!(!matches!(parse(data), Ok(Value::Object(_))), "an object whose members cannot be had");
            assert_repeats_nothing(&problem, data);
        }
    }
}
