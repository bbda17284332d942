//! The command line as a person or a script meets it: the real binary, its output and its exit codes.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn ketenpoort(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ketenpoort")).args(args).env_remove("KETENPOORT_CONFIG").output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A configuration of the shipped files, with nothing to connect to. `change` makes it another.
fn config(folder: &Path, change: impl Fn(String) -> String) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let config = format!(
        r#"
[broker]
urls = ["amqp://127.0.0.1:1"]
[files]
schemas = "{root}/schemas"
policies = "{root}/policies"
mappings = "{root}/mappings"
partners = "{root}/deploy/partners"
[iris]
base_url = "http://127.0.0.1:1"
[receipts]
key_file = "receipt.pem"
issuer = "urn:nld:oin:00000099000900000000:systeem:ketenpoort"
[ledger]
key_file = "ledger.key"
[pseudonym]
key_file = "pseudonym.key"
"#
    );
    std::fs::write(folder.join("pseudonym.key"), "k".repeat(32)).unwrap();
    std::fs::write(folder.join("ledger.key"), ketenpoort::ledger::Keys::generate().unwrap()).unwrap();
    let path = folder.join("ketenpoort.toml");
    std::fs::write(&path, change(config)).unwrap();
    text(&path).to_owned()
}

#[test]
fn help_names_the_commands_and_the_exit_codes() {
    let help = ketenpoort(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for part in [
        "run",
        "check",
        "explain",
        "receipt",
        "matrix",
        "parked",
        "ledger",
        "keys",
        "topology",
        "completions",
        "  64  ",
        "  65  ",
    ] {
        assert!(stdout(&help).contains(part), "{part}");
    }
    let taught: [&[&str]; 16] = [
        &["run"],
        &["check"],
        &["explain"],
        &["matrix"],
        &["parked"],
        &["parked", "list"],
        &["parked", "show"],
        &["parked", "replay"],
        &["parked", "discard"],
        &["receipt", "verify"],
        &["ledger", "subject"],
        &["keys", "generate"],
        &["keys", "ledger"],
        &["keys", "jwks"],
        &["topology"],
        &["completions"],
    ];
    for command in taught {
        let help = ketenpoort(&[command, &["--help"]].concat());
        assert!(stdout(&help).contains("Example"), "{command:?}\n{}", stdout(&help));
    }
}

#[test]
fn the_topology_gives_each_party_its_own_way_in_and_a_login_where_there_is_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords.toml");
    std::fs::write(&passwords, "dji = \"geheim\"\nketenpoort = \"ook geheim\"\n").unwrap();
    let partners = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/partners");
    let with = |passwords: &Path| {
        ketenpoort(&["topology", "--partners", partners, "--vhost", "keten", "--passwords", text(passwords)])
    };
    let output = with(&passwords);
    assert!(!stdout(&output).contains("geheim"));
    let definitions: Value = serde_json::from_str(stdout(&output)).unwrap();
    let users = definitions["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap());
    assert_eq!(users.collect::<Vec<_>>(), ["ketenpoort", "dji"]);
    let of_dji = definitions["permissions"].as_array().unwrap().iter().find(|p| p["user"] == "dji").unwrap();
    assert_eq!((&of_dji["vhost"], &of_dji["configure"]), (&"keten".into(), &"^$".into()));
    assert_eq!(of_dji["write"], r"^(ketenpoort\.in\.dji)$");

    std::fs::write(&passwords, "dji = geheim").unwrap();
    let output = with(&passwords);
    assert_eq!(output.status.code(), Some(65));
    assert!(!stderr(&output).contains("geheim"), "{}", stderr(&output));
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let wrong: [&[&str]; 10] = [
        &["fly"],
        &["receipt", "verify", "x"],
        &["receipt", "verify", "x", "--jwks", "a", "--key", "b"],
        &["keys", "jwks"],
        &["parked", "discard", "1", "--who", "me"],
        &["parked", "list", "--outcome", "delivered"],
        &["ledger", "subject", "bsn"],
        &["ledger", "subject", "bsn", "--why", "AVG 15", "--html", "--json"],
        &["ledger", "subject", "bsn", "--why", "AVG 15", "--years", "0"],
        &["ledger", "subject", "naam", "--why", "AVG 15"],
    ];
    for args in wrong {
        let output = ketenpoort(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!stderr(&output).is_empty(), "{args:?}");
    }
}

#[test]
fn a_person_is_asked_for_by_a_number_in_a_file_and_nowhere_is_it_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), |config| config);
    let number = folder.path().join("nummer.txt");
    let subject = |which: &str, file: &str, why: &str| {
        ketenpoort(&["ledger", "subject", which, file, "--who", "h.visser", "--why", why, "--config", &config])
    };
    let table = [
        ("bsn", "999990341", "inzageverzoek", 65),
        ("bsn", "L. Haverkamp", "inzageverzoek", 65),
        ("bsn", "", "inzageverzoek", 65),
        ("skn", "1234567890123", "inzageverzoek", 65),
        ("bsn", "999990342", "inzageverzoek over 999990342", 65),
        // Well asked, but there is no ledger, and none is made.
        ("bsn", "999990342\n", "inzageverzoek", 1),
    ];
    for (which, content, why, code) in table {
        std::fs::write(&number, content).unwrap();
        let output = subject(which, text(&number), why);
        assert_eq!(output.status.code(), Some(code), "{content}: {}", stderr(&output));
        assert!(!stderr(&output).is_empty());
        for said in [stdout(&output), stderr(&output)] {
            assert!(content.trim().is_empty() || !said.contains(content.trim()), "{said}");
        }
    }
    assert!(!folder.path().join("ledger.db").exists());
    let given = subject("bsn", "999990342", "inzageverzoek");
    assert_eq!(given.status.code(), Some(2));
    assert!(stderr(&given).contains("name the file") && !stderr(&given).contains("999990342"), "{}", stderr(&given));
    assert_eq!(subject("bsn", text(&folder.path().join("none.txt")), "inzageverzoek").status.code(), Some(65));
}

#[test]
fn a_ledger_key_is_made_once_and_rotated_before_the_older_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.key");
    let made = ketenpoort(&["keys", "ledger", text(&file)]);
    assert_eq!(made.status.code(), Some(0));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read_to_string(&file).unwrap();
    assert_eq!(ketenpoort(&["keys", "ledger", text(&file)]).status.code(), Some(65), "never overwritten");

    let rotated = ketenpoort(&["keys", "ledger", "--rotate", text(&file)]);
    assert_eq!(rotated.status.code(), Some(0), "{}", stderr(&rotated));
    assert_ne!(stdout(&rotated), stdout(&made), "the id of the new one");
    let both = std::fs::read_to_string(&file).unwrap();
    assert!(both.ends_with(&first) && both.lines().count() == 2);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    std::fs::write(&file, "geen sleutel").unwrap();
    assert_eq!(ketenpoort(&["keys", "ledger", "--rotate", text(&file)]).status.code(), Some(65));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "geen sleutel");
}

#[test]
fn keys_are_made_once_and_published_without_their_secret() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.pem"), folder.path().join("second.pem"));
    let made = ketenpoort(&["keys", "generate", text(&first)]);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    assert_eq!(std::fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o600);
    let again = ketenpoort(&["keys", "generate", text(&first)]);
    assert_eq!((again.status.code(), stdout(&again)), (Some(65), ""));
    assert!(stderr(&again).contains("first.pem"), "{}", stderr(&again));

    assert_eq!(ketenpoort(&["keys", "generate", text(&second)]).status.code(), Some(0));
    let set = ketenpoort(&["keys", "jwks", text(&first), text(&second)]);
    let set: Value = serde_json::from_str(stdout(&set)).unwrap();
    assert_eq!(set["keys"].as_array().unwrap().len(), 2);
    assert_eq!(set["keys"][0]["kid"], stdout(&made).trim());
    let mut names: Vec<_> = set["keys"][0].as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"]);

    std::fs::write(&second, "not a key").unwrap();
    let wrong = ketenpoort(&["keys", "jwks", text(&first), text(&second)]);
    assert_eq!((wrong.status.code(), stdout(&wrong)), (Some(65), ""));
}

#[test]
fn completions_for_every_common_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = ketenpoort(&["completions", shell]);
        assert_eq!(script.status.code(), Some(0));
        assert!(stdout(&script).contains("parked"), "{shell}");
    }
    assert_eq!(ketenpoort(&["completions", "cobol"]).status.code(), Some(2));
}

#[test]
fn run_tells_everything_that_is_wrong_before_it_connects() {
    let folder = tempfile::tempdir().unwrap();
    let made = ketenpoort(&["keys", "generate", text(&folder.path().join("receipt.pem"))]);
    assert_eq!(made.status.code(), Some(0));
    let replace = |from: &'static str, to: &'static str| move |config: String| config.replace(from, to);
    let policies = replace("/policies\"", "/no-policies\"");
    type Change<'a> = &'a dyn Fn(String) -> String;
    let table: [(Change, &[&str]); 4] = [
        (&|_| "[broker]\nspeed = 1\n[wrong]".to_owned(), &["ketenpoort.toml:2", "ketenpoort.toml:3", "issuer"]),
        (&|config| policies(config).replace("receipt.pem", "none.pem"), &["no-policies", "none.pem"]),
        (&|config| config.replace("[ledger]", "retired = [\"receipt.pem\"]\n[ledger]"), &["not a key set"]),
        (&|config| config + "[telemetry]\nlog_filter = \"ketenpoort=loud\"", &["log_filter"]),
    ];
    for (change, expected) in table {
        let output = ketenpoort(&["run", "--config", &config(folder.path(), change)]);
        assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
        for part in expected {
            assert!(stderr(&output).contains(part), "{part} in\n{}", stderr(&output));
        }
        assert!(!stderr(&output).contains("127.0.0.1:1"), "{}", stderr(&output));
    }
}

#[test]
fn check_and_parked_read_the_same_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let good = config(folder.path(), |config| config);
    let output = ketenpoort(&["check", "--config", &good, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(answer["findings"], Value::Array(Vec::new()));
    let none = text(&folder.path().join("none.toml")).to_owned();
    let subject = ["ledger", "subject", "bsn", "--who", "h.visser", "--why", "AVG 15"];
    for command in [&["check"][..], &["parked", "list"], &subject, &["run"]] {
        let output = ketenpoort(&[command, &["--config", &none]].concat());
        assert_eq!(output.status.code(), Some(64), "{command:?}");
    }
}

/// As docs/privacy-officer.md has it.
#[test]
fn a_root_stands_for_all_folders_and_explain_tells_what_the_guide_shows() {
    let kind = "nl.ketenpoort.re-integratie.informatie-gevraagd.v1";
    let message = ["deploy/demo/messages/request-18b-kader.json", "--from", "gemeente:0606", "--type", kind];
    let facts = ["--facts", "docs/voorbeeld-feiten.json", "--root", env!("CARGO_MANIFEST_DIR"), "--json"];
    let outcome = |now: &str| {
        let output = ketenpoort(&[&["explain"], &message[..], &facts, &["--now", now]].concat());
        serde_json::from_str::<Value>(stdout(&output)).unwrap()["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(outcome("2026-11-24T10:00:00Z"), "delivered");
    assert_eq!(outcome("2030-04-01T10:00:00Z"), "refused");
}

#[test]
fn explain_tells_of_a_list_what_each_of_its_items_would_get() {
    let kind = "nl.ketenpoort.detentie.inkomstenlijst-aangeboden.v1";
    let folder = tempfile::tempdir().unwrap();
    let facts = folder.path().join("iris.json");
    let known = r#"{"skn": "3301165", "feiten": {"bekend": true, "organisatie": "RN"}}"#;
    std::fs::write(&facts, format!(r#"{{"personen": [{known}]}}"#)).unwrap();
    let list = ["mappings/detentie.inkomstenlijst-aangeboden.v1/cases/lijst.xml", "--from", "dji", "--type", kind];
    let more = ["--facts", text(&facts), "--now", "2026-11-24T10:00:00Z", "--root", env!("CARGO_MANIFEST_DIR")];
    let page = ketenpoort(&[&["explain"], &list[..], &more].concat());
    for line in ["3 items: 2 delivered, 1 rejected", "KP-2010 /Inkomst/Geboortedatum", "bekendheid-bij-instroom"] {
        assert!(stdout(&page).contains(line), "{line}\n{}", stdout(&page));
    }
    let answer = ketenpoort(&[&["explain", "--json"], &list[..], &more].concat());
    let answer: Value = serde_json::from_str(stdout(&answer)).unwrap();
    let payload = |item: usize| answer["items"]["shown"][item]["deliveries"][0]["payload"].as_str().unwrap().to_owned();
    assert!(payload(0).contains("<Mate>NIET_BEKEND</Mate>"), "{}", payload(0));
    assert!(payload(1).contains("<Mate>GEEN_LOPEND_KADER</Mate><Organisatie>RN<"), "{}", payload(1));
}

#[test]
fn check_names_what_no_case_exercises_and_fails_on_it_if_asked() {
    let folder = policies_without_cases();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let policies = text(folder.path());
    let [schemas, mappings, partners] = ["schemas", "mappings", "deploy/partners"].map(|name| root.join(name));
    let check = |more: &[&str]| {
        let files = ["--schemas", text(&schemas), "--mappings", text(&mappings), "--partners", text(&partners)];
        ketenpoort(&[&["check", "--policies", policies, "--json"], &files[..], more].concat())
    };
    let named = |output: &Output, list: &str| {
        let answer: Value = serde_json::from_str(stdout(output)).unwrap();
        let places =
            answer[list].as_array().unwrap().iter().map(|finding| finding["place"].as_str().unwrap().to_owned());
        places.collect::<Vec<_>>()
    };
    let told = check(&[]);
    assert_eq!(told.status.code(), Some(0), "{}", stdout(&told));
    assert!(named(&told, "not_exercised").contains(&"18b-met-kader".to_owned()));
    assert_eq!(named(&told, "findings"), [""; 0]);
    let failed = check(&["--coverage"]);
    assert_eq!(failed.status.code(), Some(64));
    assert_eq!(named(&failed, "findings"), named(&told, "not_exercised"));
}

fn policies_without_cases() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/policies")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_file() {
            std::fs::copy(&path, folder.path().join(name)).unwrap();
        }
    }
    folder
}

#[test]
fn the_matrix_is_a_page_or_json_and_says_by_its_exit_code_whether_two_policies_differ() {
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
    let other = policies_without_cases();
    let matrix = |more: &[&str]| ketenpoort(&[&["matrix", "--policies", ours, "--date", "2026-11-24"], more].concat());
    let page = matrix(&[]);
    assert_eq!(page.status.code(), Some(0), "{}", stderr(&page));
    assert!(stdout(&page).starts_with("<!doctype html>"));
    let file = other.path().join("matrix.json");
    assert_eq!(matrix(&["--json", "--output", text(&file)]).status.code(), Some(0));
    let written: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(written["date"], "2026-11-24");

    let against = |more: &[&str]| matrix(&[&["--against", text(other.path())], more].concat());
    let same = against(&[]);
    assert_eq!((same.status.code(), stderr(&same)), (Some(0), ""), "{}", stdout(&same));
    let rules = other.path().join("toestemming.cedar");
    let changed = std::fs::read_to_string(&rules).unwrap().replacen("wmo\" &&", "wmo\" && context.bekend &&", 1);
    std::fs::write(&rules, changed).unwrap();
    let told = against(&[]);
    assert_eq!(told.status.code(), Some(1));
    assert!(stdout(&told).contains("(gewijzigd)"), "{}", stdout(&told));
    let json: Value = serde_json::from_str(stdout(&against(&["--json"]))).unwrap();
    assert_eq!(json["equal"], false);
    assert!(stdout(&against(&["--html"])).starts_with("<!doctype html>"));
    std::fs::write(&rules, "permit (").unwrap();
    assert_eq!(against(&[]).status.code(), Some(64));
    assert_eq!(matrix(&["--json", "--html"]).status.code(), Some(2));
}
