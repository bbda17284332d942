//! Reading TOML so that everything wrong is told at once, with its line.

use crate::catalogue::Finding;
use crate::code::Code;
use crate::outcome::Problem;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

#[derive(Debug)]
pub struct Reader<'t> {
    file: String,
    text: &'t str,
    code: Code,
    pub findings: Vec<Finding>,
}

impl<'t> Reader<'t> {
    pub fn new(file: impl Into<String>, text: &'t str, code: Code) -> Self {
        Reader { file: file.into(), text, code, findings: Vec::new() }
    }

    pub fn file(&self) -> &str {
        &self.file
    }

    pub fn line(&self, offset: usize) -> u64 {
        self.text.as_bytes()[..offset.min(self.text.len())].split(|&b| b == b'\n').count() as u64
    }

    pub fn wrong(&mut self, offset: Option<usize>, place: &str, hint: impl Into<String>) {
        let line = offset.map(|offset| self.line(offset));
        self.findings.push(Finding::new(self.file.clone(), line, Problem::new(self.code, place, hint)));
    }

    pub fn document(&mut self) -> Option<DeTable<'t>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(table.into_inner()),
            Err(error) => {
                self.wrong(error.span().map(|s| s.start), "", error.message().to_owned());
                None
            }
        }
    }

    /// One section into its type. A key that is wrong is reported and left out, and the rest is read on.
    pub fn section<T: DeserializeOwned>(&mut self, place: &str, value: Spanned<DeValue<'t>>) -> Option<T> {
        let span = value.span();
        let DeValue::Table(mut table) = value.into_inner() else {
            self.wrong(Some(span.start), place, "must be a table");
            return None;
        };
        loop {
            let attempt = Spanned::new(span.clone(), DeValue::Table(table.clone()));
            let error = match T::deserialize(ValueDeserializer::from(attempt)) {
                Ok(section) => return Some(section),
                Err(error) => error,
            };
            let at = error.span().map_or(span.start, |s| s.start);
            self.wrong(Some(at), place, error.message().lines().next().unwrap_or_default().to_owned());
            let culprit = table
                .iter()
                .find(|(key, value)| key.span().contains(&at) || value.span().contains(&at))
                .map(|(key, _)| key.clone());
            table.remove(&culprit?);
        }
    }
}
