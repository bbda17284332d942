//! What was made of some files, and is made anew when they change. A set that is not good changes nothing.

use super::files::{Content, Material};
use super::{Error, Files};
use jiff::Timestamp;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// When a certificate is not valid any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// `own` or `authority`.
    pub part: &'static str,
    pub at: Timestamp,
}

impl Expiry {
    pub(super) fn own(at: Timestamp) -> Expiry {
        Expiry { part: "own", at }
    }
    pub(super) fn authority(at: Timestamp) -> Expiry {
        Expiry { part: "authority", at }
    }

    /// Of a chain and of several authorities, that which ends first.
    pub(super) fn first_of_each(mut all: Vec<Expiry>) -> Vec<Expiry> {
        all.sort_by_key(|expiry| (expiry.part, expiry.at));
        all.dedup_by_key(|expiry| expiry.part);
        all
    }
}

/// What came of looking at the files once more.
#[derive(Debug)]
pub enum Renewed {
    Same,
    /// New connections use what is new.
    Changed,
    /// The old set goes on. Told once for each content.
    Refused(Error),
}

pub struct Kept<T> {
    /// What it is for, as in the configuration.
    pub usage: &'static str,
    files: Files,
    make: fn(Material) -> Result<T, Error>,
    now: RwLock<(Arc<T>, Vec<Expiry>)>,
    seen: Mutex<Seen>,
}

/// The files as they were when we last looked.
struct Seen {
    /// None where they could not be read.
    content: Option<Content>,
    is_good: bool,
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("usage", &self.usage).field("files", &self.files).finish_non_exhaustive()
    }
}

impl<T> Kept<T> {
    pub(super) fn read(
        usage: &'static str,
        files: Files,
        make: fn(Material) -> Result<T, Error>,
    ) -> Result<Self, Error> {
        let content = files.read()?;
        let (made, expiries) = made(&files, &content, make)?;
        Ok(Kept {
            usage,
            files,
            make,
            now: RwLock::new((Arc::new(made), expiries)),
            seen: Mutex::new(Seen { content: Some(content), is_good: true }),
        })
    }

    pub fn now(&self) -> Arc<T> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    pub fn expiries(&self) -> Vec<Expiry> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Looks at the files. Where somebody `asked` for it, what is wrong is told again, and the system's authorities are
    /// read anew as well.
    pub fn renew(&self, asked: bool) -> Renewed {
        if self.files.has_none() && !asked {
            return Renewed::Same;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.files.read();
        let is_same = seen.content.as_ref() == read.as_ref().ok();
        let is_known = is_same && seen.is_good;
        // The system's authorities are not among our files, and loading them is more than a look.
        if is_same && (!asked || (seen.is_good && self.files.ca.is_some())) {
            return Renewed::Same;
        }
        let (content, made) = match read {
            Ok(content) => {
                let made = made(&self.files, &content, self.make);
                (Some(content), made)
            }
            Err(error) => (None, Err(error)),
        };
        *seen = Seen { content, is_good: made.is_ok() };
        match made {
            Ok((made, expiries)) => {
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(made), expiries);
                if is_known { Renewed::Same } else { Renewed::Changed }
            }
            Err(error) => Renewed::Refused(error),
        }
    }
}

fn made<T>(
    files: &Files,
    content: &Content,
    make: fn(Material) -> Result<T, Error>,
) -> Result<(T, Vec<Expiry>), Error> {
    let material = files.understand(content)?;
    let expiries = material.expiries.clone();
    Ok((make(material)?, expiries))
}
