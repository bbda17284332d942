//! The fuzzer's targets, on stable Rust and in seconds: every seed, everything that was ever found, and a bounded
//! number of mutations that are the same in every run. `fuzz/run.sh` searches for longer, and guided.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

#[path = "../fuzz/properties/mod.rs"]
mod properties;

use fastrand::Rng;
use properties::{TARGETS, Target};
use std::path::Path;

/// What tells inputs apart that random bytes never would.
const WORDS: [&str; 26] = [
    "<!DOCTYPE x [<!ENTITY a \"b\">]>",
    "&#13;",
    "&#x9;",
    "&a;",
    "<![CDATA[",
    "]]>",
    "<?x?>",
    "<!--",
    "-->",
    "xmlns",
    "xmlns:p=\"urn:p\"",
    "p:",
    " a=\"1\"",
    "\u{feff}",
    "\u{a0}",
    "\u{0}",
    "\\u0000",
    "\\ud800",
    "{\"a\":",
    "[[[[",
    "null",
    "1e999",
    "-0",
    "999993653",
    "data_base64",
    "cloudEvents_",
];

fn mutated(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut bytes = seeds[random.usize(..seeds.len())].clone();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=bytes.len());
        let until = (at + random.usize(..24)).min(bytes.len());
        match random.u8(..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            1 => drop(bytes.drain(at..until)),
            2 => drop(bytes.splice(at..at, WORDS[random.usize(..WORDS.len())].bytes())),
            3 => {
                let again = bytes[at..until].to_vec();
                drop(bytes.splice(at..at, again));
            }
            4 => {
                let other = &seeds[random.usize(..seeds.len())];
                let from = random.usize(..=other.len());
                let piece = other[from..(from + random.usize(..80)).min(other.len())].to_vec();
                drop(bytes.splice(at..until, piece));
            }
            // The name of one thing becomes the name of another.
            5 if at < bytes.len() => bytes[at] = random.alphanumeric() as u8,
            _ => bytes.truncate(bytes.len() - random.usize(..=bytes.len() / 8)),
        }
    }
    bytes
}

/// On failure the input is kept in a file, to be looked at and to become a case in `fuzz/kept/`.
fn hold(target: &Target, input: &[u8]) {
    if let Err(failure) = std::panic::catch_unwind(|| (target.check)(input)) {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
        std::fs::write(&file, input).unwrap();
        eprintln!("{}: the input is in {}", target.name, file.display());
        std::panic::resume_unwind(failure);
    }
}

fn hold_for_mutations_of_seeds(name: &str, rounds: usize) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let mut seeds = (target.seeds)();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/kept").join(name);
    let kept = std::fs::read_dir(kept).into_iter().flatten().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    seeds.extend(kept);
    // An order that does not depend on the file system.
    seeds.sort();
    seeds.iter().for_each(|seed| hold(target, seed));
    let seed = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124);
    let mut random = Rng::with_seed(seed);
    for _ in 0..rounds * std::env::var("FUZZ_TIMES").map_or(1, |times| times.parse().unwrap()) {
        hold(target, &mutated(&seeds, &mut random));
    }
}

#[test]
fn an_envelope_never_has_another_sender_than_the_broker_proved() {
    hold_for_mutations_of_seeds("envelope", 2_000);
}

#[test]
fn json_is_read_as_others_read_it_and_never_repeated() {
    hold_for_mutations_of_seeds("json", 3_000);
}

#[test]
fn xml_that_is_written_and_read_again_is_the_same() {
    hold_for_mutations_of_seeds("xml", 3_000);
}

#[test]
fn no_message_gives_a_recipient_what_no_rule_gives_him() {
    hold_for_mutations_of_seeds("mapping", 500);
}

#[test]
fn the_seeds_of_the_mappings_reach_recipients() {
    let reached: usize =
        properties::mapping::seeds().iter().filter_map(|seed| properties::mapping::checked(seed)).sum();
    assert!(reached >= 20, "{reached}");
}

#[test]
fn a_receipt_that_was_changed_does_not_verify() {
    let target = TARGETS.iter().find(|target| target.name == "receipt").unwrap();
    properties::receipt::every_byte().for_each(|change| hold(target, &change));
    hold_for_mutations_of_seeds("receipt", 500);
}

#[test]
fn a_signature_that_was_changed_does_not_verify() {
    hold_for_mutations_of_seeds("signature", 3_000);
}
