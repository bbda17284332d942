//! Showing a person what happened, in plain text that reads well at a hundred columns. Of what a recipient got
//! only the form is shown: the names of its fields, not what is in them.

use super::bag::{End, Got, Item, Told};
use crate::outcome::{Outcome, Reason};
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::Path;

const WIDTH: usize = 100;
/// Where a label starts, and where its value does.
const LABEL: usize = 6;
const VALUE: usize = 16;
/// More problems than this are counted, not listed.
const PROBLEMS: usize = 6;

#[derive(Clone, Copy, Debug)]
pub struct Screen {
    colour: bool,
}

#[derive(Clone, Copy)]
enum Colour {
    Bold = 1,
    Red = 31,
    Green = 32,
    Yellow = 33,
}

impl Screen {
    /// In colour on a terminal, unless somebody asked for none.
    pub fn of_this_terminal() -> Screen {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen { colour: wanted && std::io::stdout().is_terminal() }
    }

    fn paint(self, colour: Colour, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
    }

    pub fn title(self, text: &str) -> String {
        self.paint(Colour::Bold, text)
    }

    /// What is sent.
    pub fn sent(self, number: usize, item: &Item) -> String {
        let kind = item.r#type.trim_start_matches("nl.ketenpoort.");
        let format = if item.file.ends_with(".xml") { "XML" } else { "JSON" };
        let sequence = item.sequence.map(|sequence| format!(", sequence {sequence}")).unwrap_or_default();
        let title = self.title(&format!("{number:>2}  {}", item.title));
        let id = format!("id {}{sequence}, {format}, {}", item.id, bytes(item.data.len()));
        format!("\n{title}\n    {} sends {kind}\n    {id}\n", item.from)
    }

    /// What became of it.
    pub fn told(self, item: &Item, told: &Told, traces: &str) -> String {
        let mut out = String::new();
        if item.repeated && told.surprises.is_empty() {
            out.push_str("    the very same receipts came again, byte for byte; nothing was forwarded again\n");
        }
        told.ends.iter().for_each(|end| out.push_str(&self.end(end)));
        if let Some(trace) = told.ends.iter().find_map(|end| end.trace_id.as_deref()) {
            let _ = writeln!(out, "    trace {traces}/traces/{trace}");
        }
        for surprise in &told.surprises {
            let _ = writeln!(out, "    {}", self.paint(Colour::Red, &format!("NOT AS EXPECTED: {surprise}")));
        }
        out
    }

    pub fn end(self, end: &End) -> String {
        let mut out = String::new();
        let colour = match end.outcome {
            Outcome::Delivered => Colour::Green,
            Outcome::Refused | Outcome::Rejected => Colour::Red,
            _ => Colour::Yellow,
        };
        let outcome = self.paint(colour, end.outcome.as_str());
        match &end.recipient {
            Some((party, role)) => drop(writeln!(out, "    {party} as {role}: {outcome}")),
            None => drop(writeln!(out, "    {outcome}")),
        }
        end.reason.iter().for_each(|reason| because(&mut out, reason));
        let shared =
            end.decision.shared.iter().map(|s| (s.category.as_str(), format!("{}, {}", s.policy, s.legal_basis)));
        grouped(&mut out, "shared", shared);
        let withheld = end.decision.withheld.iter().map(|w| (w.category.as_str(), w.reason.clone()));
        grouped(&mut out, "withheld", withheld);
        end.decision.notes.iter().for_each(|note| labelled(&mut out, "note", note));
        end.got.iter().for_each(|got| labelled(&mut out, "got", &form(got)));
        end.receipt.iter().for_each(|file| labelled(&mut out, "receipt", &shortened(file)));
        out
    }

    /// Something that a recipient got, whoever sent it.
    pub fn arrival(self, party: &str, got: &Got) -> String {
        format!("{} {party} got {}", self.paint(Colour::Green, "->"), form(got))
    }
}

fn because(out: &mut String, reason: &Reason) {
    labelled(out, "because", &format!("{} {}: {}", reason.code, reason.title, reason.detail));
    for problem in reason.problems.iter().take(PROBLEMS) {
        labelled(out, "", &format!("{} {}: {}", problem.code, problem.place, problem.hint));
    }
    if reason.problems.len() > PROBLEMS {
        labelled(out, "", &format!("and {} more", reason.problems.len() - PROBLEMS));
    }
}

/// Categories with the same reason go together.
fn grouped<'a>(out: &mut String, label: &str, all: impl Iterator<Item = (&'a str, String)>) {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for (category, reason) in all {
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, categories)) => categories.push(category),
            None => groups.push((reason, vec![category])),
        }
    }
    for (index, (reason, categories)) in groups.iter().enumerate() {
        let everything = categories.len() == crate::category::Category::ALL.len();
        let categories = if everything { "everything".to_owned() } else { categories.join(", ") };
        labelled(out, if index == 0 { label } else { "" }, &format!("{categories} ({reason})"));
    }
}

/// A label and its text, wrapped in its own column.
fn labelled(out: &mut String, label: &str, text: &str) {
    let mut line = format!("{:LABEL$}{label:<width$}", "", width = VALUE - LABEL);
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(VALUE);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let _ = writeln!(out, "{line}");
}

/// As in `application/json, 812 bytes, by webhook (binary): persoon, brpAdres`.
fn form(got: &Got) -> String {
    let data = got.data.reveal_personal_data();
    let fields = if got.content_type.contains("xml") { xml_fields(data) } else { json_fields(data) };
    format!("{}, {}, by {}: {}", got.content_type, bytes(data.len()), got.way, fields.join(", "))
}

fn json_fields(data: &[u8]) -> Vec<String> {
    let parsed: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
    let fields = parsed.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| format!("{name}{}", value.as_object().map_or(String::new(), |o| format!("/{}", o.len()))))
        .collect()
}

/// The root, and what is directly in it.
fn xml_fields(data: &[u8]) -> Vec<String> {
    use quick_xml::events::{BytesStart, Event};
    let mut reader = quick_xml::Reader::from_reader(data);
    let (mut depth, mut names) = (0, Vec::new());
    loop {
        let name = |start: &BytesStart<'_>| start.local_name().as_ref().to_owned();
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                if depth < 2 {
                    names.push(name(&start));
                }
                depth += 1;
            }
            Ok(Event::Empty(start)) if depth < 2 => names.push(name(&start)),
            Ok(Event::End(_)) => depth -= 1,
            Ok(Event::Eof) | Err(_) => return names,
            Ok(_) => {}
        }
    }
}

fn bytes(count: usize) -> String {
    format!("{count} bytes")
}

/// The last two parts of a path: enough within the work folder.
fn shortened(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_wrap_in_their_own_column() {
        let mut out = String::new();
        labelled(&mut out, "withheld", &"slachtoffer, ".repeat(12));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(
            lines[0].starts_with("      withheld  slachtoffer,")
                && lines[1].starts_with("                slachtoffer,")
        );
    }

    #[test]
    fn of_a_message_only_names_are_shown() {
        let xml = br#"<m:melding xmlns:m="urn:x"><persoon><naam>Dijkhuizen</naam></persoon><leeg/></m:melding>"#;
        assert_eq!(xml_fields(xml), ["melding", "persoon", "leeg"]);
        assert_eq!(
            json_fields(br#"{"kenmerk": "A-1", "persoon": {"naam": "Dijkhuizen", "bsn": "1"}}"#),
            ["kenmerk", "persoon/2"]
        );
    }
}
