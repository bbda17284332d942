//! Delivery: the last room. Sends bytes to an address that policy gave, and tells how it went. Decides nothing.

pub mod amqp;
pub mod webhook;

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::time::Duration;

/// Why an attempt failed. No text from the other side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("there is no connection to the broker")]
    Disconnected,
    #[error("the broker did not confirm in time")]
    Unconfirmed,
    #[error("the broker refused the message")]
    Nacked,
    #[error("the broker has no such queue")]
    Unroutable,
    #[error("the recipient could not be reached")]
    Unreachable,
    #[error("the recipient did not answer in time")]
    Timeout,
    #[error("the recipient answered with status {status}")]
    Status { status: u16, retry_after: Option<Duration> },
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Retry {
        after: Option<Duration>,
    },
    /// The recipient refuses it for good: a person decides.
    Park,
}

impl Failure {
    /// For traces: one of few names, or the status.
    pub fn kind(&self) -> Cow<'static, str> {
        let name = match self {
            Failure::Disconnected => "disconnected",
            Failure::Unconfirmed => "unconfirmed",
            Failure::Nacked => "nacked",
            Failure::Unroutable => "unroutable",
            Failure::Unreachable => "unreachable",
            Failure::Timeout => "timeout",
            Failure::Status { status, .. } => return status.to_string().into(),
        };
        name.into()
    }

    #[allow(clippy::todo)]
    pub fn class(&self) -> Class {
        todo!()
    }
}

/// When to try again.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    pub first_delay: Duration,
    pub max_delay: Duration,
    pub max_attempts: NonZeroU32,
}

impl Retries {
    /// Doubles with each attempt up to the longest, with jitter.
    #[allow(clippy::todo, unused_variables)]
    pub fn backoff(&self, attempts: u32) -> Duration {
        todo!()
    }
}
