//! XML into the JSON form that a partner schema describes. Bounded, and without anything that XML can do
//! beyond elements, attributes and text.

use super::Limits;
use super::schema::{Shape, safe_name};
use crate::code::Code;
use crate::outcome::Problem;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;
use serde_json::{Map, Value};

/// One open element on the way down.
struct Frame<'s> {
    name: String,
    shape: Option<&'s Shape>,
    children: Map<String, Value>,
    text: String,
}

/// Parses a document whose root is `root` in `namespace`. The answer is the content of the root element.
pub fn parse(bytes: &[u8], root: &str, namespace: &str, shape: &Shape, limits: &Limits) -> Result<Value, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Problem::new(Code::WrongEncoding, format!("byte {}", e.valid_up_to()), Code::WrongEncoding.hint())
    })?;
    let mut parser = Parser {
        reader: NsReader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)),
        text,
        namespace,
        limits,
        stack: Vec::with_capacity(8),
        elements: 0,
    };
    parser.run(root, shape)
}

struct Parser<'x, 's> {
    reader: NsReader<&'x [u8]>,
    text: &'x str,
    namespace: &'x str,
    limits: &'x Limits,
    stack: Vec<Frame<'s>>,
    elements: usize,
}

impl<'x, 's> Parser<'x, 's> {
    fn run(&mut self, root: &str, shape: &'s Shape) -> Result<Value, Problem> {
        if let Some((position, _)) = self.text.char_indices().find(|&(_, character)| !may_stand(character)) {
            return Err(self.problem_at(position, Code::NotXml));
        }
        let mut document = None;
        loop {
            let (resolved, event) = match self.reader.read_resolved_event() {
                Ok(next) => next,
                Err(_) => return Err(self.problem(Code::NotXml)),
            };
            let in_namespace = matches!(resolved, ResolveResult::Bound(ns) if ns.as_ref() == self.namespace);
            match event {
                Event::Start(start) => self.open(&start, in_namespace, root, shape, document.is_some())?,
                Event::Empty(start) => {
                    self.open(&start, in_namespace, root, shape, document.is_some())?;
                    self.close(&mut document)?;
                }
                Event::End(_) => self.close(&mut document)?,
                Event::Text(text) => self.push_text(&text.xml10_content())?,
                Event::CData(data) => self.push_text(&data.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref() {
                        Ok(Some(character)) if may_stand(character) => character,
                        Ok(None) => self.named_entity(reference.as_ref())?,
                        Ok(Some(_)) | Err(_) => return Err(self.problem(Code::NotXml)),
                    };
                    self.push_text(character.encode_utf8(&mut [0; 4]))?;
                }
                Event::Decl(declaration) => {
                    if self.elements > 0 {
                        return Err(self.problem(Code::NotXml));
                    }
                    if let Some(Ok(encoding)) = declaration.encoding()
                        && !AsRef::<str>::as_ref(&encoding).eq_ignore_ascii_case("utf-8")
                    {
                        return Err(self.problem(Code::WrongEncoding));
                    }
                }
                Event::DocType(_) | Event::PI(_) => return Err(self.problem(Code::ForbiddenXml)),
                Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        match document {
            Some(document) if self.stack.is_empty() => Ok(document),
            _ => Err(self.problem(Code::NotXml)),
        }
    }

    fn open(
        &mut self,
        start: &BytesStart<'_>,
        in_namespace: bool,
        root: &str,
        shape: &'s Shape,
        ended: bool,
    ) -> Result<(), Problem> {
        self.elements += 1;
        if self.elements > self.limits.xml_elements || self.stack.len() >= self.limits.xml_depth {
            return Err(self.problem(Code::TooDeep));
        }
        let name = AsRef::<str>::as_ref(&start.local_name()).to_owned();
        if !is_name(&name) {
            return Err(self.problem(Code::NotXml));
        }
        let shape = match self.stack.last() {
            Some(parent) => parent.shape.and_then(|s| s.child(&name)),
            None if ended => return Err(self.problem(Code::NotXml)),
            None if name != root => {
                return Err(Problem::new(Code::ExtraField, "/", format!("the root element must be `{root}`")));
            }
            None => Some(shape),
        };
        if !in_namespace {
            let hint = format!("elements must be in namespace `{}`", self.namespace);
            return Err(Problem::new(Code::WrongType, self.place(&name, shape), hint));
        }
        let mut children = Map::new();
        for attribute in start.attributes() {
            let Ok(attribute) = attribute else {
                return Err(self.problem(Code::NotXml));
            };
            let key: &str = attribute.key.as_ref();
            if key == "xmlns" || key.starts_with("xmlns:") {
                continue;
            }
            if !key.split(':').all(is_name) {
                return Err(self.problem(Code::NotXml));
            }
            let Ok(value) = attribute.normalized_value(quick_xml::XmlVersion::Explicit1_0) else {
                return Err(self.problem(Code::ForbiddenXml));
            };
            if !value.chars().all(may_stand) {
                return Err(self.problem(Code::NotXml));
            }
            children.insert(format!("@{key}"), Value::String(value.into_owned()));
        }
        self.stack.push(Frame { name, shape, children, text: String::new() });
        Ok(())
    }

    fn close(&mut self, document: &mut Option<Value>) -> Result<(), Problem> {
        let Some(frame) = self.stack.pop() else {
            return Err(self.problem(Code::NotXml));
        };
        let place = || self.place(&frame.name, frame.shape);
        let text = frame.text.trim();
        let is_object = frame.shape.is_some_and(Shape::is_object);
        let value = if frame.children.is_empty() && !(is_object && text.is_empty()) {
            Value::String(text.to_owned())
        } else if text.is_empty() {
            Value::Object(frame.children)
        } else if frame.children.keys().all(|key| key.starts_with('@')) {
            let mut children = frame.children;
            children.insert("#text".to_owned(), Value::String(text.to_owned()));
            Value::Object(children)
        } else {
            return Err(Problem::new(Code::WrongType, place(), "text between elements is not accepted"));
        };
        let Some(parent) = self.stack.last_mut() else {
            *document = Some(value);
            return Ok(());
        };
        if frame.shape.is_some_and(Shape::is_array) {
            match parent.children.entry(&*frame.name).or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(items) => items.push(value),
                _ => unreachable!("an array shape always holds an array"),
            }
            return Ok(());
        }
        // What the form says nothing about here is judged elsewhere, as an item of a list is.
        if let (None, Some(known)) = (frame.shape, parent.children.get_mut(&frame.name)) {
            gather(known, value);
            return Ok(());
        }
        if parent.children.contains_key(&frame.name) {
            let place = self.place(&frame.name, frame.shape);
            return Err(Problem::new(Code::ExtraField, place, "this element may occur once"));
        }
        parent.children.insert(frame.name, value);
        Ok(())
    }

    fn push_text(&mut self, text: &str) -> Result<(), Problem> {
        match self.stack.last_mut() {
            Some(frame) => frame.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(self.problem(Code::NotXml)),
        }
        Ok(())
    }

    fn named_entity(&self, name: &str) -> Result<char, Problem> {
        match name {
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "amp" => Ok('&'),
            "apos" => Ok('\''),
            "quot" => Ok('"'),
            _ => Err(self.problem(Code::ForbiddenXml)),
        }
    }

    /// Where the reader is, as a line number: for what has no place in the content.
    fn problem(&self, code: Code) -> Problem {
        self.problem_at((self.reader.buffer_position() as usize).min(self.text.len()), code)
    }

    fn problem_at(&self, position: usize, code: Code) -> Problem {
        let line = self.text.as_bytes()[..position].iter().filter(|&&b| b == b'\n').count() + 1;
        Problem::new(code, format!("line {line}"), code.hint())
    }

    fn place(&self, name: &str, shape: Option<&Shape>) -> String {
        let open = self.stack.iter().skip(1).map(|frame| shown(&frame.name, frame.shape));
        let names: Vec<&str> = open.chain((!self.stack.is_empty()).then_some(shown(name, shape))).collect();
        format!("/{}", names.join("/"))
    }
}

/// A tag that lacks its `>` has a value in its name: what no schema knows is shown only if it looks like a name.
fn shown<'n>(name: &'n str, shape: Option<&Shape>) -> &'n str {
    if shape.is_some() { name } else { safe_name(name) }
}

/// Fewer than XML allows, and enough for every schema: the reader itself takes anything for a name.
fn is_name(name: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(inside)
}

fn gather(known: &mut Value, value: Value) {
    match known {
        Value::Array(values) => values.push(value),
        one => *one = Value::Array(vec![one.take(), value]),
    }
}

/// The characters that XML 1.0 has.
fn may_stand(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

/// Writes the JSON form back as XML: the reverse of [`parse`]. `None` if it holds a character that XML has not.
pub fn write(content: &Value, root: &str, namespace: &str) -> Option<Vec<u8>> {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    write_element(&mut out, root, Some(namespace), content);
    out.push('\n');
    out.chars().all(may_stand).then(|| out.into_bytes())
}

fn write_element(out: &mut String, name: &str, namespace: Option<&str>, content: &Value) {
    if let Value::Array(items) = content {
        items.iter().for_each(|item| write_element(out, name, namespace, item));
        return;
    }
    out.push('<');
    out.push_str(name);
    if let Some(namespace) = namespace {
        out.push_str(" xmlns=\"");
        out.push_str(&quick_xml::escape::escape(namespace));
        out.push('"');
    }
    let Value::Object(children) = content else {
        out.push('>');
        out.push_str(&quick_xml::escape::escape(scalar(content).as_ref()));
        close_element(out, name);
        return;
    };
    for (key, value) in children {
        if let Some(attribute) = key.strip_prefix('@') {
            // White space as it stands would be read as a blank.
            let value = quick_xml::escape::escape(scalar(value)).replace('\t', "&#9;").replace('\n', "&#10;");
            out.push_str(&format!(" {attribute}=\"{value}\""));
        }
    }
    out.push('>');
    for (key, value) in children {
        match key.as_str() {
            "#text" => out.push_str(&quick_xml::escape::escape(scalar(value).as_ref())),
            key if key.starts_with('@') => {}
            key => write_element(out, key, None, value),
        }
    }
    close_element(out, name);
}

fn close_element(out: &mut String, name: &str) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn scalar(value: &Value) -> std::borrow::Cow<'_, str> {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Null => "".into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests;
