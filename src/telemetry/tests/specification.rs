//! docs/telemetry.md says what there is: no more, and no less.

use super::super::metrics::{Declared, Metrics};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The rows of the table under a heading, by cell.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = read("docs/telemetry.md");
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.skip(1).map(cells).collect()
}

/// What stands between backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, into);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            into.push(path);
        }
    }
}

/// The text between a macro's parentheses.
fn arguments(after: &str) -> &str {
    let (mut depth, mut in_text, mut escaped) = (1, false, false);
    for (at, c) in after.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_text = !in_text,
            '(' if !in_text => depth += 1,
            ')' if !in_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &after[..at];
        }
    }
    panic!("a macro without an end")
}

/// The fields before the message: `name`, `%name`, or `name = value`.
fn fields(before: &str) -> Vec<String> {
    let (mut depth, mut all, mut now) = (0, Vec::new(), String::new());
    for line in before.lines().map(|line| line.split("//").next().unwrap()) {
        for c in line.chars() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
            if c == ',' && depth == 0 { all.push(std::mem::take(&mut now)) } else { now.push(c) }
        }
    }
    let name = |field: &String| {
        let name = field.split('=').next().unwrap().trim().trim_start_matches(['%', '?']);
        name.to_owned()
    };
    all.iter().map(name).filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_metric_is_specified_with_kind_unit_labels_and_meaning() {
    let metrics = Metrics::new().unwrap();
    let row = |d: &Declared| {
        let labels: Vec<_> = d.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} | {} | {} |", d.name, d.kind, d.unit, labels.join(", "), d.help)
    };
    let mut expected: Vec<_> = metrics.declared().iter().map(row).collect();
    expected.sort();
    let mut found: Vec<_> = table("Metrics").iter().map(|cells| format!("| {} |", cells.join(" | "))).collect();
    found.sort();
    assert_eq!(found, expected, "the page should have\n{}", expected.join("\n"));
}

#[test]
fn every_log_line_is_specified_with_its_level_and_fields() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut expected = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for level in ["error", "warn", "info", "debug"] {
            for (at, start) in text.match_indices(&format!("tracing::{level}!(")) {
                let arguments = arguments(&text[at + start.len()..]);
                let mut quoted = arguments.rsplitn(3, '"');
                let (message, before) = (quoted.nth(1).unwrap(), quoted.next().unwrap());
                let fields: Vec<_> = fields(before).iter().map(|field| format!("`{field}`")).collect();
                expected.insert(format!("| {level} | {message} | {} |", fields.join(", ")));
            }
        }
    }
    let found: BTreeSet<_> = table("Log lines").iter().map(|cells| format!("| {} |", cells.join(" | "))).collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing: {missing:#?}\nsurplus: {surplus:#?}");
}

#[test]
fn every_attribute_of_a_span_is_specified() {
    let page: BTreeSet<_> = table("Spans").iter().flat_map(|cells| names(&cells[3])).collect();
    let source = read("src/telemetry/spans.rs");
    let named = |name: &str| source.contains(&format!("{name} =")) || source.contains(&format!("note(\"{name}\""));
    let missing: Vec<_> = page.iter().filter(|name| !named(name)).collect();
    assert!(missing.is_empty(), "not in the sources: {missing:?}");
    // An attribute has a dot in its name, and stands before `=` or as the key of a note.
    let assigned = source.lines().filter_map(|line| line.trim().split_once(" = ")).map(|(name, _)| name);
    let noted = source
        .match_indices("note(\"")
        .map(|(at, start)| source[at + start.len()..].split('"').next().unwrap_or_default());
    let used = assigned.chain(noted).filter(|name| name.contains('.') && !name.contains([' ', '(', '"']));
    let known = |name: &&str| page.contains(*name) || ["otel.name", "otel.kind", "error.type"].contains(name);
    let surplus: Vec<_> = used.filter(|name| !known(name)).collect();
    assert!(surplus.is_empty(), "not on the page: {surplus:?}");
}
