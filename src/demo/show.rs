//! Showing a person what happened, in plain text that reads well at a hundred columns. Of what a recipient got
//! only the form is shown: the names of its fields, not what is in them.

use super::bag::{End, Got, Item, Told};
use crate::explain::dutch_time;
use crate::outcome::{Outcome, Reason};
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::Path;

const WIDTH: usize = 100;
/// Where the name of a recipient starts, a label under it, and the value of that.
const PARTY: usize = 4;
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
        let mut out = format!("\n{}\n", self.title(&format!("{number:>2}  {}", item.title)));
        let kind = item.r#type.trim_start_matches("nl.ketenpoort.");
        let format = if item.file.ends_with(".xml") { "XML" } else { "JSON" };
        let sequence = item.sequence.map(|sequence| format!(", sequence {sequence}")).unwrap_or_default();
        let size = item.data.len();
        let text = format!("{} sends {kind}, id {}{sequence}, {format}, {size} bytes", item.from, item.id);
        wrapped(&mut out, &" ".repeat(PARTY), &text);
        out
    }

    /// What became of it.
    pub fn told(self, item: &Item, told: &Told, traces: &str) -> String {
        let mut out = String::new();
        let mut say = |text: &str| wrapped(&mut out, &" ".repeat(PARTY), text);
        if told.surprises.is_empty() && item.repeated {
            say("the very same receipts came again, byte for byte; nothing was forwarded again");
        }
        if told.surprises.is_empty() && item.fails_once {
            say("the first attempt failed; it was sent again");
        }
        let mut ends = told.ends.as_slice();
        while let [first, ..] = ends {
            let alike = ends.iter().take_while(|end| end.is_like(first)).count();
            out.push_str(&self.ends(&ends[..alike]));
            ends = &ends[alike..];
        }
        if let Some(trace) = told.ends.iter().find_map(|end| end.trace_id.as_deref()) {
            wrapped(&mut out, &" ".repeat(PARTY), &format!("trace {traces}/traces/{trace}"));
        }
        for surprise in &told.surprises {
            let _ = writeln!(out, "    {}", self.paint(Colour::Red, &format!("NOT AS EXPECTED: {surprise}")));
        }
        out
    }

    /// Of one recipient, or of several for whom it ended alike.
    pub fn ends(self, ends: &[End]) -> String {
        let mut out = String::new();
        for end in ends {
            let colour = match end.outcome {
                Outcome::Delivered => Colour::Green,
                Outcome::Refused | Outcome::Rejected => Colour::Red,
                _ => Colour::Yellow,
            };
            let outcome = self.paint(colour, end.outcome.as_str());
            let item = end.item.map_or(String::new(), |item| format!("#{item} "));
            match &end.recipient {
                Some((party, role)) => drop(writeln!(out, "{:PARTY$}{item}{party} as {role}: {outcome}", "")),
                None => drop(writeln!(out, "{:PARTY$}{item}{outcome}", "")),
            }
        }
        let Some(first) = ends.first() else { return out };
        first.reason.iter().for_each(|reason| because(&mut out, reason));
        first.until.iter().for_each(|until| labelled(&mut out, "until", &dutch_time(*until)));
        let shared = first.decision.shared.iter();
        grouped(&mut out, "shared", shared.map(|s| (s.category.as_str(), format!("{}: {}", s.policy, s.legal_basis))));
        let withheld = first.decision.withheld.iter();
        grouped(&mut out, "withheld", withheld.map(|w| (w.category.as_str(), w.reason.clone())));
        first.decision.notes.iter().for_each(|note| labelled(&mut out, "note", note));
        first.got.iter().for_each(|got| labelled(&mut out, "got", &form(got)));
        for (index, end) in ends.iter().enumerate() {
            let receipt = end.receipt.as_deref().map(shortened);
            let receipt =
                receipt.unwrap_or_else(|| "none yet: it waits, and is in `ketenpoort parked list`".to_owned());
            labelled(&mut out, if index == 0 { "receipt" } else { "" }, &receipt);
        }
        out
    }

    /// Something that a recipient got, whoever sent it.
    pub fn arrival(self, party: &str, got: &Got) -> String {
        format!("{} {party} got {}", self.paint(Colour::Green, "->"), form(got))
    }
}

fn because(out: &mut String, reason: &Reason) {
    let Reason { code, title, detail, problems } = reason;
    match problems.as_slice() {
        [] => labelled(out, "because", &format!("{code} {title}: {detail}")),
        [only] => labelled(out, "because", &format!("{code} {title}: {}: {}", only.place, only.hint)),
        many => {
            labelled(out, "because", &format!("{} things are wrong with it:", many.len()));
            for problem in many.iter().take(PROBLEMS) {
                labelled(out, "", &format!("{} {}: {}", problem.code, problem.place, problem.hint));
            }
            if many.len() > PROBLEMS {
                labelled(out, "", &format!("and {} more", many.len() - PROBLEMS));
            }
        }
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

/// A label, and its text in a column of its own.
fn labelled(out: &mut String, label: &str, text: &str) {
    wrapped(out, &format!("{:LABEL$}{label:<width$}", "", width = VALUE - LABEL), text);
}

/// The lines after the first start where the text of the first does.
fn wrapped(out: &mut String, start: &str, text: &str) {
    let indent = start.chars().count();
    let mut line = start.to_owned();
    let mut length = indent;
    for word in text.split_whitespace() {
        if length > indent && length + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(indent);
            length = indent;
        }
        if length > indent {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += word.chars().count();
    }
    let _ = writeln!(out, "{line}");
}

/// As in `application/json by webhook (binary), 812 bytes: persoon, brpAdres`.
fn form(got: &Got) -> String {
    let data = got.data.reveal_personal_data();
    let fields = if got.content_type.contains("xml") { xml_fields(data) } else { json_fields(data) };
    format!("{} by {}, {} bytes: {}", got.content_type, got.way, data.len(), fields.join(", "))
}

fn json_fields(data: &[u8]) -> Vec<String> {
    let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(data).unwrap_or_default();
    parsed.into_iter().map(|(name, _)| name).collect()
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
            ["kenmerk", "persoon"]
        );
    }
}
