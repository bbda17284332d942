//! What is asked of the logs, as the read interface of the standard has it. What it says is never repeated to anybody:
//! a number of a person may stand in it.

use super::View;
use crate::facts::Person;
use crate::ledger::Wanted;
use crate::personal::Personal;
use crate::record::{Pseudonym, Subject};
use crate::validation::formats::is_bsn;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    Processings,
    Decisions,
}

/// At least one of the first three is there.
#[derive(Clone, Debug)]
pub struct Question {
    trace_id: Option<String>,
    activity: Option<String>,
    whose: Option<Whose>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    pub after: i64,
}

#[derive(Clone, Debug)]
enum Whose {
    Pseudonym(Pseudonym),
    Bsn(Personal<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Body {
    trace_id: Option<String>,
    #[serde(rename = "dpl.core.processing_activity_id")]
    activity: Option<String>,
    #[serde(rename = "dpl.core.data_subject_id")]
    subject: Option<String>,
    #[serde(rename = "dpl.core.data_subject_id_type")]
    subject_type: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
}

impl Log {
    pub fn as_str(self) -> &'static str {
        match self {
            Log::Processings => "processing-activities",
            Log::Decisions => "authorization-decisions",
        }
    }
}

impl Question {
    pub fn read(body: &[u8]) -> Result<Question, &'static str> {
        let body: Body =
            serde_json::from_slice(body).map_err(|_| "the body is not the JSON object of the description")?;
        let trace_id = body.trace_id.map(|id| trace_id(&id).ok_or("traceId is 32 hexadecimal digits")).transpose()?;
        let is_bsn = body.subject_type.as_deref() == Some("BSN");
        let whose = body.subject.map(|subject| whose(Personal::new(subject), is_bsn)).transpose()?;
        if trace_id.is_none() && body.activity.is_none() && whose.is_none() {
            return Err("ask for a traceId, a dpl.core.processing_activity_id or a dpl.core.data_subject_id");
        }
        let at = |time: Option<i64>| {
            let time = time.map(Timestamp::from_millisecond).transpose();
            time.map_err(|_| "startTime and endTime are milliseconds since 1970")
        };
        let (since, until) = (at(body.start_time)?, at(body.end_time)?);
        Ok(Question { trace_id, activity: body.activity, whose, since, until, after: 0 })
    }

    pub fn of_trace(text: &str) -> Option<Question> {
        let trace_id = Some(trace_id(text)?);
        Some(Question { trace_id, activity: None, whose: None, since: None, until: None, after: 0 })
    }

    /// `None` where the register has no such entry of ours.
    pub fn wanted(&self, view: View<'_>) -> Option<Wanted> {
        let kind = match &self.activity {
            None => None,
            Some(activity) => {
                let kind = activity.strip_prefix(view.register)?;
                Some(view.pipeline.catalogue.get(kind)?.kind.clone())
            }
        };
        let subject = match &self.whose {
            None => Subject::default(),
            // Under which number it is known is not said.
            Some(Whose::Pseudonym(pseudonym)) => Subject { bsn: Some(*pseudonym), skn: Some(*pseudonym) },
            Some(Whose::Bsn(bsn)) => view.pipeline.subject(&Person { bsn: Some(bsn.clone()), skn: None }),
        };
        let (trace_id, since, until, after) = (self.trace_id.clone(), self.since, self.until, self.after);
        Some(Wanted { trace_id, kind, subject, since, until, after })
    }
}

/// For the record of who asked: without the person, whom the record names by itself.
pub fn in_short(wanted: &Wanted) -> String {
    let period = |time: Option<Timestamp>| time.map(|time| time.as_millisecond());
    let mut said = json!({
        "traceId": wanted.trace_id, "type": wanted.kind, "startTime": period(wanted.since), "endTime": period(wanted.until),
        "person": (wanted.subject != Subject::default()).then_some(true),
    });
    if let Some(said) = said.as_object_mut() {
        said.retain(|_, value| *value != Value::Null);
    }
    said.to_string()
}

/// Also in the form of a UUID, as which the standard describes it elsewhere.
fn trace_id(text: &str) -> Option<String> {
    let text = text.replace('-', "").to_ascii_lowercase();
    (text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())).then_some(text)
}

fn whose(subject: Personal<String>, is_of_bsn: bool) -> Result<Whose, &'static str> {
    let text = subject.reveal_personal_data();
    if text.len() == 32
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && let Ok(pseudonym) = u128::from_str_radix(text, 16)
    {
        return Ok(Whose::Pseudonym(Pseudonym(pseudonym.to_be_bytes())));
    }
    if is_of_bsn && is_bsn(text) {
        return Ok(Whose::Bsn(subject));
    }
    Err("dpl.core.data_subject_id is the pseudonym out of a record, or a BSN where its type says so")
}
