//! What must hold whatever the bytes are: one room per way in. The fuzzer calls it (`fuzz_targets/`), and so does
//! the ordinary test suite (`tests/fuzz.rs`), so that both judge alike. No randomness in here.

pub mod envelope;
pub mod json;
pub mod mapping;
pub mod receipt;
pub mod signature;
pub mod xml;

use ketenpoort::catalogue::Sources;
use ketenpoort::core::Pipeline;
use ketenpoort::directory::Directory;
use ketenpoort::envelope::{RawMessage, Rejection};
use ketenpoort::explain::rejection_reason;
use ketenpoort::outcome::Problem;
use ketenpoort::validation::{Limits, formats};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    /// Panics where something does not hold.
    pub check: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: [Target; 6] = [
    Target { name: "envelope", check: envelope::check, seeds: envelope::seeds },
    Target { name: "json", check: json::check, seeds: json::seeds },
    Target { name: "mapping", check: mapping::check, seeds: mapping::seeds },
    Target { name: "receipt", check: receipt::check, seeds: receipt::seeds },
    Target { name: "signature", check: signature::check, seeds: signature::seeds },
    Target { name: "xml", check: xml::check, seeds: xml::seeds },
];

/// Of the product, whichever of the two crates this is built into.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if here.join("schemas").is_dir() { here } else { here.parent().expect("fuzz/ lies in the product") }
}

fn text(file: impl AsRef<Path>) -> String {
    let path = root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The messages beside the mappings, by the type that they are of.
fn messages(ending: &str) -> Vec<(String, String)> {
    let folders = std::fs::read_dir(root().join("mappings")).expect("there are mappings");
    let mut folders: Vec<PathBuf> = folders.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let mut found = Vec::new();
    for folder in folders {
        for name in ["volledig", "minimaal", "verzoek"] {
            let file = folder.join("cases").join(format!("{name}.{ending}"));
            if let (Ok(text), Some(kind)) = (std::fs::read_to_string(file), folder.file_name()) {
                found.push((format!("nl.ketenpoort.{}", kind.to_string_lossy()), text));
            }
        }
    }
    assert!(!found.is_empty(), "no mapping has a case in {ending}");
    found
}

/// Everything that ships, loaded once.
fn pipeline() -> &'static Pipeline {
    static LOADED: OnceLock<Pipeline> = OnceLock::new();
    LOADED.get_or_init(|| {
        let [schemas, policies, mappings] = ["schemas", "policies", "mappings"].map(|folder| root().join(folder));
        let sources = Sources::read(&schemas, &policies, &mappings).expect("the files that ship can be read");
        let directory = Directory::read(&root().join("deploy/partners")).expect("the directory that ships is right");
        Pipeline::load(&sources, Arc::new(directory), Limits::default(), &[7; 32]).expect("the files that ship fit")
    })
}

fn now() -> jiff::Timestamp {
    "2026-11-24T10:00:00Z".parse().expect("a moment")
}

/// A rejection names a code and a place for everything that is wrong, and tells nothing that it was told.
fn assert_discreet(rejection: &Rejection, raw: &RawMessage) {
    assert!(!rejection.problems.is_empty(), "rejected without a reason");
    assert_eq!(rejection_reason(rejection).code, rejection.problems[0].code);
    let body = raw.body.reveal_personal_data();
    rejection.problems.iter().for_each(|problem| assert_repeats_nothing(problem, body));
    let named = rejection.identity().message;
    for name in [named.r#type, named.source, named.id].into_iter().flatten() {
        assert!(!formats::holds_bsn(&name), "an attribute with a BSN is repeated");
    }
}

/// Numbers are what persons are known by; a name of a field has none. A value of some words is no name of a field.
fn assert_repeats_nothing(problem: &Problem, input: &[u8]) {
    let said = format!("{} {}", problem.place, problem.hint);
    let input = String::from_utf8_lossy(input);
    let numbers = said.split(|c: char| !c.is_ascii_digit()).filter(|number| number.len() > 5);
    for number in numbers {
        assert!(!input.contains(number), "{} repeats a number of the input", problem.code);
    }
    for (open, close) in [('>', '<'), ('"', '"')] {
        let values = input.split(open).filter_map(|rest| rest.split(close).next()).map(str::trim);
        let mut sentences = values.filter(|value| value.len() > 8 && value.contains(' '));
        let own = problem.code.hint();
        let repeated = sentences.find(|value| problem.place.contains(value) && !own.contains(value));
        assert!(repeated.is_none(), "{} repeats a value of the input", problem.code);
    }
    assert!(problem.place.len() < 2000, "a place grows with the input");
    assert!(!said.contains(char::is_control), "what moves a cursor is repeated");
}
