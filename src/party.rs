//! Names of parties and their roles. A party's id comes from the partner directory only.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                $name(name.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A party in the directory, such as `gemeente:0363` or `dji`.
    PartyId
);
name!(
    /// The capacity in which a party sends or receives, such as `gemeente-college`.
    Role
);

/// Organisatie-identificatienummer: twenty positions, digits and capitals.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Oin(String);

impl Oin {
    pub fn parse(text: &str) -> Option<Oin> {
        let well_formed = text.len() == 20
            && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
            && text.bytes().take(8).all(|b| b.is_ascii_digit());
        well_formed.then(|| Oin(text.to_owned()))
    }
    /// `urn:nld:oin:<OIN>:systeem:<name>` → the OIN.
    pub fn of_source(source: &str) -> Option<Oin> {
        Oin::parse(source.strip_prefix("urn:nld:oin:")?.split(':').next()?)
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
