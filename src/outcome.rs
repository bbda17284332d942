//! How a message can end for one recipient, and the reason that goes with it.

use crate::code::Code;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Delivered,
    Refused,
    Rejected,
    Superseded,
    Expired,
    Held,
    AwaitingAssessment,
    Retrying,
    Parked,
}

impl Outcome {
    pub const ALL: &'static [Outcome] = &[
        Outcome::Delivered,
        Outcome::Refused,
        Outcome::Rejected,
        Outcome::Superseded,
        Outcome::Expired,
        Outcome::Held,
        Outcome::AwaitingAssessment,
        Outcome::Retrying,
        Outcome::Parked,
    ];

    /// A final outcome never changes again and owes the sender a receipt.
    pub fn is_final(self) -> bool {
        use Outcome::*;
        matches!(self, Delivered | Refused | Rejected | Superseded | Expired)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Delivered => "delivered",
            Outcome::Refused => "refused",
            Outcome::Rejected => "rejected",
            Outcome::Superseded => "superseded",
            Outcome::Expired => "expired",
            Outcome::Held => "held",
            Outcome::AwaitingAssessment => "awaiting_assessment",
            Outcome::Retrying => "retrying",
            Outcome::Parked => "parked",
        }
    }

    /// One word for many recipients: what still needs somebody comes before what is done.
    pub fn most_pressing(all: impl IntoIterator<Item = Outcome>) -> Option<Outcome> {
        use Outcome::*;
        let order = [Parked, AwaitingAssessment, Retrying, Held, Delivered, Refused, Expired, Superseded, Rejected];
        all.into_iter().min_by_key(|outcome| order.iter().position(|o| o == outcome))
    }

    pub fn parse(name: &str) -> Option<Outcome> {
        Outcome::ALL.iter().copied().find(|o| o.as_str() == name)
    }
}

/// Why an outcome is what it is. Never holds a personal value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: Code,
    pub title: String,
    pub detail: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

impl Reason {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Reason { code, title: code.title().to_owned(), detail: detail.into(), problems: Vec::new() }
    }

    /// `tried`: an attempt may have reached the recipient before.
    pub fn superseded(tried: bool) -> Self {
        let hint = Code::Superseded.hint();
        let before = "a newer notification was processed; an attempt may have reached the recipient before";
        Reason::new(Code::Superseded, if tried { before } else { hint })
    }

    pub fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.problems = problems;
        self
    }
}

/// One thing that is wrong with an input: a code, a place and a hint, and no value from the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub code: Code,
    pub place: String,
    pub hint: String,
}

impl Problem {
    pub fn new(code: Code, place: impl Into<String>, hint: impl Into<String>) -> Self {
        Problem { code, place: place.into(), hint: hint.into() }
    }
}
