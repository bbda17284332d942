//! One batch in one transaction: all of it, or nothing.

use super::command::Command;
use super::memory::Memory;
use super::node::{Hold, Standing};
use super::seal::Keys;
use super::store::{Connection, query};
use super::stored::Result;
use super::work::{Answer, Row, Work};
use super::{Accepted, Error, MessageKey, jobs, log, micros, purge, read};
use jiff::Timestamp;
use std::collections::HashMap;
use std::time::Instant;

/// What the callers are to be told, once it is committed, which is left to the caller. If this fails, the connection
/// must be given up: then nothing was done, but the transaction may still be open and the memory not be right.
pub(super) async fn run(
    connection: &mut Connection,
    memory: &mut Memory,
    standing: &mut Standing,
    keys: &Keys,
    commands: Vec<Command>,
) -> Result<Vec<Answer>> {
    begin(connection, memory, standing, keys).await?;
    let me = standing.me();
    let mut answers = Vec::with_capacity(commands.len());
    let (claims, changes): (Vec<_>, Vec<_>) = commands.into_iter().partition(Command::is_claim);
    if !changes.is_empty() {
        let mut work = Work::load(connection, memory, me, &changes).await?;
        let made: Vec<Answer> = changes.into_iter().filter_map(|command| work.apply(command)).collect();
        memory.keep(work.save(connection, keys).await?);
        for answer in made {
            answers.push(with_receipts(connection, answer).await?);
        }
    }
    // Last, so that they see what the batch did.
    for command in claims {
        answers.extend(claim(connection, memory, me, keys, command).await?);
    }
    memory.wrote(connection);
    Ok(answers)
}

/// A gateway starts: it takes its place among the others, or what was in hand at its file is nobody's any more.
pub(super) async fn start(connection: &mut Connection, standing: &mut Standing, keys: &Keys) -> Result<()> {
    begin(connection, &mut Memory::default(), standing, keys).await?;
    if !connection.is_server() {
        release(connection, keys, vec![standing.me()]).await?;
    }
    clock_went_back(connection, micros(Timestamp::now())).await?;
    connection.commit().await.map_err(|uncertain| uncertain.error)?;
    standing.tell();
    Ok(())
}

/// It ends: the others need not wait until its time is over.
pub(super) async fn leave(connection: &mut Connection, standing: &mut Standing, keys: &Keys) -> Result<()> {
    connection.begin(standing.me()).await?;
    let over = standing.leave(connection).await?;
    release(connection, keys, over).await?;
    connection.commit().await.map_err(|uncertain| uncertain.error)
}

async fn begin(connection: &mut Connection, memory: &mut Memory, standing: &mut Standing, keys: &Keys) -> Result<()> {
    let begun = Instant::now();
    let turn = connection.begin(standing.me()).await?;
    memory.check(turn.version);
    let over = standing.renew(&turn, begun, connection).await?;
    if !over.is_empty() {
        memory.keep(release(connection, keys, over).await?);
    }
    Ok(())
}

/// Whoever held something is gone: it is due, or it ends.
async fn release(connection: &mut Connection, keys: &Keys, holders: Vec<i64>) -> Result<Vec<Row>> {
    let now = micros(Timestamp::now());
    let mut work = Work::held(connection, holders).await?;
    work.rows.values_mut().for_each(|row| row.progress.release(now));
    work.save(connection, keys).await
}

/// What was put off at a moment that is yet to come waits from now for as long as it was to. What is held waits for a
/// day, whatever the clock said meanwhile.
async fn clock_went_back(connection: &mut Connection, now: i64) -> Result<()> {
    const DELIVERIES: &str = "UPDATE delivery SET changed_at = $1, due_at = $1 + \
                              (CASE WHEN due_at > changed_at THEN due_at - changed_at ELSE 0 END) \
                              WHERE finished_at IS NULL AND due_at > $1 AND changed_at > $1 AND holder IS NULL \
                              AND outcome <> 'held'";
    query(DELIVERIES).bind(now).execute(connection).await.map(drop)
}

async fn claim(
    connection: &mut Connection,
    memory: &mut Memory,
    me: i64,
    keys: &Keys,
    command: Command,
) -> Result<Option<Answer>> {
    match command {
        Command::ClaimDue { now, limit, lease, reply } => {
            let mut work = Work::due(connection, me, now, limit).await?;
            let claim = |row: &mut Row| row.progress.claim(now, lease, me).is_ok().then_some(row.key);
            let claimed = work.rows.values_mut().filter_map(claim).collect();
            memory.keep(work.save(connection, keys).await?);
            Ok(Some(Answer::known(reply, Ok(read::due(connection, keys, Hold(me), claimed).await?))))
        }
        Command::ClaimWaiting { asked, now, lease, reply } => {
            let mut work = Work::waiting(connection, me, &asked).await?;
            let mut tried = HashMap::new();
            for row in work.rows.values_mut() {
                let before = row.progress.tried;
                if row.progress.claim(now, lease, me).is_ok() {
                    tried.insert(row.key, before);
                    row.progress.tried |= !row.volatile;
                }
            }
            memory.keep(work.save(connection, keys).await?);
            let mut claimed = read::due(connection, keys, Hold(me), tried.keys().copied().collect()).await?;
            // Whoever claims it must know how it was until now.
            claimed.iter_mut().for_each(|due| due.tried = tried.get(&due.delivery.0).copied().unwrap_or(due.tried));
            Ok(Some(Answer::known(reply, Ok(claimed))))
        }
        Command::ClaimReceipts { now, limit, lease, reply } => {
            let mut work = Work::receipts_due(connection, me, now, limit).await?;
            let claimed = work.rows.keys().copied().collect();
            work.rows.values_mut().for_each(|row| row.progress.claim_receipt(now, lease, me));
            memory.keep(work.save(connection, keys).await?);
            Ok(Some(Answer::known(reply, Ok(read::receipts(connection, claimed).await?))))
        }
        Command::ClockWentBack { now, reply } => {
            memory.forget();
            clock_went_back(connection, now).await?;
            let receipts = query("UPDATE delivery SET receipt_at = $1 WHERE receipt_at > $1");
            receipts.bind(now).execute(connection).await?;
            Ok(Some(Answer::known(reply, Ok(()))))
        }
        Command::Purge { step, reply } => Ok(Some(Answer::known(reply, Ok(purge::step(connection, step).await?)))),
        Command::Job { step, reply } => Ok(Some(Answer::known(reply, Ok(jobs::step(connection, step).await?)))),
        Command::ExtendLog(extension, reply) => {
            Ok(Some(Answer::known(reply, log::write::extend(connection, *extension).await?)))
        }
        Command::ResealPersons(resealed, reply) => {
            Ok(Some(Answer::known(reply, Ok(log::write::reseal(connection, resealed).await?))))
        }
        Command::Forget(forget, reply) => {
            Ok(Some(Answer::known(reply, log::forget::forget(connection, forget).await?)))
        }
        _ => Ok(None),
    }
}

/// A receipt that there was already is given as it was.
async fn with_receipts(connection: &mut Connection, answer: Answer) -> Result<Answer> {
    Ok(match answer {
        Answer::Known(_) => answer,
        Answer::Duplicate { message, first, last, reply } => {
            let receipts = read::receipts_between(connection, first, last).await?;
            Answer::known(reply, Ok(Accepted::Duplicate { message: MessageKey(message), receipts }))
        }
        Answer::Receipt { delivery, reply } => {
            let receipt = read::receipts_between(connection, delivery, delivery).await?.pop();
            Answer::known(reply, receipt.ok_or(Error::NoSuchRow))
        }
    })
}
