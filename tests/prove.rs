//! The tool that proves the policy, as a person or a script meets it: the real binary, the real solver.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn prove(policies: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ketenpoort-prove"));
    command.arg("--policies").arg(policies).args(args).env_remove("KETENPOORT_CONFIG").output().unwrap()
}

fn there_is_a_solver() -> bool {
    let there_is = Command::new(std::env::var("CVC5").unwrap_or("cvc5".to_owned())).arg("--version").output().is_ok();
    if !there_is {
        eprintln!("skipped: there is no cvc5 (apt-get install cvc5, or name it in CVC5)");
    }
    there_is
}

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// The shipped policies without their cases, and with one file changed.
fn changed(file: &str, change: impl Fn(&str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("invarianten")).unwrap();
    for from in ["", "invarianten"] {
        for entry in std::fs::read_dir(shipped().join(from)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, folder.path().join(from).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    let path = folder.path().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let new = change(&text);
    assert_ne!(new, text);
    std::fs::write(&path, new).unwrap();
    folder
}

#[test]
fn the_shipped_policy_is_proved() {
    if !there_is_a_solver() {
        return;
    }
    let output = prove(&shipped(), &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["proved"], &report["request_environments"]), (&true.into(), &1.into()));
    let invariants = report["invariants"].as_array().unwrap();
    assert_eq!(invariants.len(), 11);
    for number in 1..=6 {
        let is = |invariant: &&Value| invariant["id"].as_str().unwrap().starts_with(&format!("{number}-"));
        let of_this: Vec<_> = invariants.iter().filter(is).collect();
        assert!(!of_this.is_empty() && of_this.iter().all(|one| one["outcome"] == "proved"), "{number}: {of_this:?}");
    }
}

#[test]
fn a_broken_policy_ends_with_1_and_a_counterexample_in_words() {
    if !there_is_a_solver() {
        return;
    }
    let folder = changed("verboden.cedar", |text| text.replace("\"ggd\",", "\"ggd\", \"woningcorporatie\","));
    let output = prove(folder.path(), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let (_, about) = text.split_once("3-wgs-deelnemers: ").unwrap();
    for part in [
        "NIET BEWEZEN, er is een tegenvoorbeeld",
        "een deelnemer aan een casusoverleg krijgt: naam, geboortedatum en geslacht",
        "volgens regel schriftelijke-toestemming: ",
        "en de betrokkene gaf schriftelijk toestemming",
        "en de ontvanger zit niet aan tafel als Raad voor de Kinderbescherming, DJI",
    ] {
        assert!(about.contains(part), "{part}\n{text}");
    }
    assert!(text.contains("11 invarianten, 1 niet bewezen"), "{text}");
}

#[test]
fn what_is_wrong_with_the_policy_or_the_machine_has_an_exit_code_of_its_own() {
    let no_solver = prove(&shipped(), &["--cvc5", "/there/is/no/cvc5"]);
    assert_eq!(no_solver.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&no_solver.stderr).contains("apt-get install cvc5"), "{no_solver:?}");
    let another = prove(&shipped(), &["--cvc5", "true"]);
    assert_eq!(another.status.code(), Some(69), "{another:?}");

    let folder = changed("invarianten/3-wgs-deelnemers.cedar", |text| text.replacen("forbid", "permit", 1));
    let not_an_invariant = prove(folder.path(), &[]);
    assert_eq!(not_an_invariant.status.code(), Some(64), "{not_an_invariant:?}");

    let help = prove(&shipped(), &["--help"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("69  there is no solver"));
}
