//! What an operator reads and watches agrees with what the gateway says: a page for each code and alert, and no
//! alert or panel about something that is not measured.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use ketenpoort::code::Code;
use ketenpoort::config::Config;
use ketenpoort::telemetry::metrics::Metrics;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn guide() -> PathBuf {
    root().join("docs/operator")
}

/// Of the pages in a folder of the guide, what they are called after.
fn pages(folder: &str) -> BTreeSet<String> {
    let names = std::fs::read_dir(guide().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let names = names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| name != "README").collect()
}

#[test]
fn each_code_has_a_page_and_each_page_a_code() {
    let codes: BTreeSet<String> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(pages("codes"), codes, "pages in docs/operator/codes, codes in src/code.rs");
    let index = text(&guide().join("codes/README.md"));
    for code in Code::ALL {
        let page = text(&guide().join(format!("codes/{code}.md")));
        assert!(page.starts_with(&format!("# {code}: {}\n", code.title())), "the title of the page of {code}");
        for part in ["**What happened.**", "**The message.**", "**Check.**", "**Do.**", "**Who.**"] {
            assert_eq!(page.matches(part).count(), 1, "{part} in the page of {code}");
        }
        assert!(index.contains(&format!("| [{code}]({code}.md) | {} |", code.title())), "{code} in the index");
    }
}

/// As much of a file of rules as this looks at.
#[derive(serde::Deserialize)]
struct Rules {
    groups: Vec<Group>,
}
#[derive(serde::Deserialize)]
struct Group {
    rules: Vec<Rule>,
}
#[derive(serde::Deserialize)]
struct Rule {
    alert: String,
    expr: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn rules() -> Vec<Rule> {
    let rules: Rules = serde_saphyr::from_str(&text(&root().join("deploy/prometheus/ketenpoort.rules.yml"))).unwrap();
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

#[test]
fn each_alert_has_a_page_and_each_page_an_alert() {
    let rules = rules();
    let alerts: BTreeSet<String> = rules.iter().map(|rule| rule.alert.clone()).collect();
    assert_eq!(pages("alerts"), alerts, "pages in docs/operator/alerts, alerts in the rules");
    let (index, tests) =
        (text(&guide().join("alerts/README.md")), text(&root().join("deploy/prometheus/ketenpoort.test.yml")));
    for Rule { alert, labels, annotations, .. } in rules {
        let severity = &labels["severity"];
        assert!(["critical", "warning"].contains(&severity.as_str()), "{alert}");
        let page = text(&root().join(&annotations["runbook"]));
        assert!(page.starts_with(&format!("# {alert} ({severity})\n")), "the title of the page of {alert}");
        assert!(index.contains(&format!("| [{alert}]({alert}.md) | {severity} |")), "{alert} in the index");
        for said in ["summary", "description"] {
            assert!(!annotations[said].is_empty(), "{said} of {alert}");
        }
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} is never seen to fire in a test");
    }
}

/// Each series with its labels.
fn measured() -> BTreeMap<String, BTreeSet<String>> {
    // What Prometheus adds, and the one series that it makes itself.
    let added = ["job", "instance"].map(str::to_owned);
    let mut measured = BTreeMap::from([("up".to_owned(), BTreeSet::from(added.clone()))]);
    for metric in Metrics::new().unwrap().declared() {
        let mut labels: BTreeSet<String> = metric.labels.iter().cloned().chain(added.clone()).collect();
        if metric.kind == "histogram" {
            labels.insert("le".to_owned());
            measured.insert(format!("{}_bucket", metric.name), labels);
        } else {
            measured.insert(metric.name.clone(), labels);
        }
    }
    measured
}

/// The words of an expression that could name a metric or a label, without what stands between quotes.
fn words(expression: &str) -> BTreeSet<&str> {
    let outside = expression.split('"').step_by(2);
    outside.flat_map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_')).collect()
}

/// What an expression asks for that is not there. A label is known by what follows it, or by its `by (...)`.
fn unknown(expression: &str, measured: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let is_metric = |word: &&str| word.starts_with("ketenpoort_") || *word == "up";
    let asked: Vec<&str> = words(expression).into_iter().filter(is_metric).collect();
    let mut unknown: Vec<String> =
        asked.iter().filter(|name| !measured.contains_key(**name)).map(|name| (*name).to_owned()).collect();
    if asked.is_empty() {
        unknown.push("it asks for nothing of ours".to_owned());
    }
    let labels: BTreeSet<&str> =
        asked.iter().filter_map(|name| measured.get(*name)).flatten().map(String::as_str).collect();
    let outside: String = expression.split('"').step_by(2).collect::<Vec<_>>().join("\"");
    let selected = outside.split(['{', ',']).filter_map(|part| {
        let (name, rest) = part.split_at(part.find(['=', '!'])?);
        let is_matcher = ["=\"", "!=\"", "=~\"", "!~\""].iter().any(|sign| rest.starts_with(sign));
        is_matcher.then_some(name.trim())
    });
    let grouped = outside.split("by (").skip(1).flat_map(|rest| rest.split(')').next().unwrap_or_default().split(','));
    let is_unknown = |name: &&str| !name.is_empty() && !labels.contains(name);
    unknown.extend(selected.chain(grouped.map(str::trim)).filter(is_unknown).map(|name| format!("label {name}")));
    unknown
}

#[test]
fn no_alert_is_about_something_that_is_not_measured() {
    let measured = measured();
    for Rule { alert, expr, .. } in rules() {
        assert_eq!(unknown(&expr, &measured), Vec::<String>::new(), "{alert}: {expr}");
    }
}

#[test]
fn the_dashboard_asks_only_for_what_is_measured_and_says_in_which_unit() {
    let measured = measured();
    let dashboard: Value = serde_json::from_str(&text(&root().join("deploy/grafana/ketenpoort.json"))).unwrap();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: an id twice");
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            assert_eq!(unknown(expression, &measured), Vec::<String>::new(), "{title}: {expression}");
        }
    }
}

#[test]
fn an_expression_about_something_that_is_not_there_is_told() {
    let measured = measured();
    for (expression, told) in [
        ("ketenpoort_wating > 0", "ketenpoort_wating"),
        ("ketenpoort_waiting{outcom=\"parked\"} > 0", "label outcom"),
        ("sum by (recipient) (ketenpoort_recipient_waiting)", "label recipient"),
        ("vector(1)", "it asks for nothing of ours"),
    ] {
        assert_eq!(unknown(expression, &measured), [told], "{expression}");
    }
}

#[test]
fn the_settings_that_are_deployed_load_once_their_secrets_are_there() {
    let secrets = tempfile::tempdir().unwrap();
    let ledger_keys = ketenpoort::ledger::Keys::generate().unwrap();
    let pseudonym_key = "x".repeat(32);
    for (name, content) in [
        ("broker-urls", "amqps://ketenpoort:password@broker:5671/keten"),
        ("ledger-keys", &*ledger_keys),
        ("pseudonym-key", &*pseudonym_key),
        ("iris-token", "token"),
    ] {
        std::fs::write(secrets.path().join(name), content).unwrap();
    }
    for (file, given) in [
        ("debian/ketenpoort.toml", "/run/credentials/ketenpoort.service/"),
        ("compose/ketenpoort.toml", "/run/secrets/"),
        ("kubernetes/sqlite/ketenpoort.toml", "/run/secrets/ketenpoort/"),
    ] {
        let settings = text(&root().join("deploy").join(file));
        assert!(settings.matches(given).count() >= 4, "{file} has its secrets under {given}");
        let settings = settings.replace(given, &format!("{}/", secrets.path().display()));
        let config = Config::load(file, &settings, Path::new("/etc/ketenpoort"), &|_| None);
        let config = config.unwrap_or_else(|findings| panic!("{findings:?}"));
        assert_eq!(config.files.partners, Path::new("/etc/ketenpoort/partners"), "{file}");
        assert_eq!(config.ledger.place.to_string(), "/var/lib/ketenpoort/ketenpoort.db", "{file}");
    }
}

#[test]
fn no_link_in_the_guide_leads_nowhere() {
    let folders = ["", "codes", "alerts"].map(|folder| guide().join(folder));
    let mut followed = 0;
    for folder in folders {
        for file in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_none_or(|ending| ending != "md") {
                continue;
            }
            for link in text(&file).split("](").skip(1) {
                let target = link.split([')', '#']).next().unwrap_or_default();
                if target.is_empty() || target.contains("://") {
                    continue;
                }
                assert!(folder.join(target).exists(), "{}: {target}", file.display());
                followed += 1;
            }
        }
    }
    assert!(followed > 100, "only {followed} links");
}
