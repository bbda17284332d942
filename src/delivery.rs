//! Delivery: the last room. Sends bytes to an address that policy gave, and tells how it went. Decides nothing.

pub mod amqp;
pub mod gate;
pub mod pace;
pub mod webhook;

use crate::backoff;
use gate::Health;
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
    #[error("the recipient's certificate or its TLS is not accepted: nothing was sent")]
    Mistrusted,
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
            Failure::Mistrusted => "mistrusted",
            Failure::Timeout => "timeout",
            Failure::Status { status, .. } => return status.to_string().into(),
        };
        name.into()
    }

    pub fn class(&self) -> Class {
        match *self {
            // The message itself is refused, or there is nobody to take it any more.
            Failure::Status { status: 400..=499, .. } if !self.may_pass() => Class::Park,
            Failure::Status { retry_after, .. } => Class::Retry { after: retry_after },
            Failure::Disconnected
            | Failure::Unconfirmed
            | Failure::Nacked
            | Failure::Unroutable
            | Failure::Unreachable
            | Failure::Mistrusted
            | Failure::Timeout => Class::Retry { after: None },
        }
    }

    /// What it says about the recipient, for whom others may be waiting.
    pub fn health(&self) -> Health {
        match *self {
            Failure::Disconnected | Failure::Unconfirmed => Health::Unknown,
            // It answers, and what it says is about this one message.
            Failure::Status { .. } if self.class() == Class::Park => Health::Up,
            Failure::Status { status: 429 | 503, retry_after } => Health::Down { asked: retry_after },
            Failure::Status { .. }
            | Failure::Nacked
            | Failure::Unroutable
            | Failure::Unreachable
            | Failure::Mistrusted
            | Failure::Timeout => Health::Down { asked: None },
        }
    }

    /// Nothing of it is with the recipient: he said so himself, or our own broker did. Who says nothing, or answers
    /// for somebody behind him, may have it.
    pub fn is_refusal(&self) -> bool {
        match self {
            Failure::Nacked | Failure::Unroutable | Failure::Mistrusted => true,
            Failure::Status { status, .. } => matches!(status, 400..=407 | 409..=499 | 501 | 503),
            Failure::Disconnected | Failure::Unconfirmed | Failure::Unreachable | Failure::Timeout => false,
        }
    }

    /// A 4xx that says something about credentials, routing or load, which get repaired, and not about the message.
    fn may_pass(&self) -> bool {
        matches!(self, Failure::Status { status: 401 | 403 | 404 | 407 | 408 | 421 | 423 | 425 | 429, .. })
    }
}

/// When to try again.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    pub first_delay: Duration,
    pub max_delay: Duration,
    pub max_attempts: NonZeroU32,
    /// Of what waits for a person's judgement.
    pub recheck: Duration,
}

impl Retries {
    pub fn backoff(&self, attempts: u32) -> Duration {
        backoff::delay(self.first_delay, self.max_delay, attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failure_means() {
        const RETRY: Class = Class::Retry { after: None };
        let status = |status| Failure::Status { status, retry_after: None };
        let table = [
            (Failure::Disconnected, RETRY),
            (Failure::Unconfirmed, RETRY),
            (Failure::Nacked, RETRY),
            (Failure::Unroutable, RETRY),
            (Failure::Unreachable, RETRY),
            (Failure::Mistrusted, RETRY),
            (Failure::Timeout, RETRY),
        ];
        let retried = [301, 302, 307, 308, 401, 403, 404, 407, 408, 421, 423, 425, 429, 500, 501, 502, 503, 504, 599];
        let parked = [400, 402, 405, 406, 409, 410, 411, 412, 413, 414, 415, 422, 426, 431, 451, 499];
        let retried = retried.map(|s| (status(s), RETRY));
        let parked = parked.map(|s| (status(s), Class::Park));
        for (failure, class) in table.into_iter().chain(retried).chain(parked) {
            assert_eq!(failure.class(), class, "{failure}");
        }
    }

    #[test]
    fn what_may_have_arrived_in_spite_of_a_failure() {
        let status = |status| Failure::Status { status, retry_after: None };
        let ours = [Failure::Nacked, Failure::Unroutable, Failure::Mistrusted];
        for refused in ours.into_iter().chain([400, 404, 429, 503].map(status)) {
            assert!(refused.is_refusal(), "{refused}");
        }
        let heard_nothing = [Failure::Disconnected, Failure::Unconfirmed, Failure::Unreachable, Failure::Timeout];
        for unknown in heard_nothing.into_iter().chain([302, 408, 500, 502, 504].map(status)) {
            assert!(!unknown.is_refusal(), "{unknown}");
        }
    }

    #[test]
    fn what_a_failure_says_about_the_recipient() {
        const DOWN: Health = Health::Down { asked: None };
        let asked = Some(Duration::from_secs(90));
        let status = |status| Failure::Status { status, retry_after: asked };
        for (failure, health) in [
            (Failure::Disconnected, Health::Unknown),
            (Failure::Unconfirmed, Health::Unknown),
            (Failure::Nacked, DOWN),
            (Failure::Unroutable, DOWN),
            (Failure::Unreachable, DOWN),
            (Failure::Mistrusted, DOWN),
            (Failure::Timeout, DOWN),
            (status(401), DOWN),
            (status(404), DOWN),
            (status(422), Health::Up),
            (status(429), Health::Down { asked }),
            (status(500), DOWN),
            (status(503), Health::Down { asked }),
        ] {
            assert_eq!(failure.health(), health, "{failure}");
        }
    }

    #[test]
    fn the_recipient_says_when() {
        let asked = |status, seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            Failure::Status { status, retry_after }.class()
        };
        let after = |seconds| Class::Retry { after: Some(Duration::from_secs(seconds)) };
        assert_eq!(asked(429, 90), after(90));
        assert_eq!(asked(503, 90), after(90));
        assert_eq!(asked(413, 90), Class::Park);
    }
}
