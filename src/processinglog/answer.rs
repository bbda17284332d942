//! Answers a question to the logs: looked up, and put on record who asked, before anything is told.

use super::View;
use super::question::{Log, Question, in_short};
use crate::ledger::{Error, Ledger, Processed};
use crate::record::Subject;
use serde_json::{Value, json};

/// Messages in one answer.
const PAGE: usize = 100;

/// What is found, and after which message the next page begins where there is more.
pub type Page = (Vec<Value>, Option<i64>);

pub async fn answer(
    ledger: &Ledger,
    view: View<'_>,
    log: Log,
    question: &Question,
    who: &str,
    why: Option<&str>,
) -> Result<Page, Error> {
    let wanted = question.wanted(view);
    let found = match &wanted {
        Some(wanted) => ledger.processed(wanted, PAGE).await?,
        None => Vec::new(),
    };
    let asked = wanted.as_ref().map_or("an entry that the register does not have of us".to_owned(), in_short);
    let why = why.map_or_else(|| asked.clone(), |why| format!("{why} {asked}"));
    let subject = wanted.map_or_else(Subject::default, |wanted| whose(wanted.subject, &found));
    ledger.note(subject, who, log.as_str(), &why).await?;
    let next = found.last().filter(|_| found.len() == PAGE).map(|last| last.key);
    let told = found.iter().flat_map(|message| match log {
        Log::Processings => vec![json!(view.processing(message))],
        Log::Decisions => view.decisions(message).into_iter().map(|decision| json!(decision)).collect(),
    });
    Ok((told.collect(), next))
}

/// Whom somebody asked about. Of a pseudonym it turns out which number it is of; one that nobody has is nobody.
fn whose(asked: Subject, found: &[Processed]) -> Subject {
    let is_bsn = asked.skn.is_none() || found.iter().any(|message| message.subject.bsn == asked.bsn);
    let is_skn = found.iter().any(|message| message.subject.skn.is_some() && message.subject.skn == asked.skn);
    Subject { bsn: asked.bsn.filter(|_| is_bsn), skn: asked.skn.filter(|_| is_skn && !is_bsn) }
}
