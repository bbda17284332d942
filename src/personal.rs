//! Personal data in a type of its own: it can be carried anywhere and printed nowhere.

use std::fmt;

/// Wraps a value that may identify or describe a person. `Debug`, `Display` and `Serialize` print a
/// placeholder; [`Personal::reveal_personal_data`] is the one way to the value.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Personal<T>(T);

const PLACEHOLDER: &str = "[persoonsgegeven]";

impl<T> Personal<T> {
    pub fn new(value: T) -> Self {
        Personal(value)
    }
    pub fn reveal_personal_data(&self) -> &T {
        &self.0
    }
    pub fn into_personal_data(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PLACEHOLDER)
    }
}

impl<T> fmt::Display for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PLACEHOLDER)
    }
}

impl<T> serde::Serialize for Personal<T> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(PLACEHOLDER)
    }
}
