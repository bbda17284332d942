//! One batch in one transaction: all of it, or nothing.

use super::command::Command;
use super::memory::Memory;
use super::seal::Keys;
use super::stored::Result;
use super::work::{Answer, Work};
use super::{Accepted, Error, MessageKey, purge, read};
use sqlx::{Connection, SqliteConnection};
use std::collections::HashMap;

/// What the callers are to be told, once this returns. If it fails, the connection must be given up: then nothing
/// was done, but the transaction may still be open and the memory not be right.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    memory: &mut Memory,
    keys: &Keys,
    commands: Vec<Command>,
) -> Result<Vec<Answer>> {
    // Plain statements: sqlx's own transactions cost a second exchange with its thread for each of them.
    let begin = sqlx::query_scalar("BEGIN IMMEDIATE; PRAGMA data_version");
    memory.check(begin.fetch_one(&mut *connection).await?);
    let mut answers = Vec::with_capacity(commands.len());
    let (claims, changes): (Vec<_>, Vec<_>) = commands.into_iter().partition(Command::is_claim);
    if !changes.is_empty() {
        let mut work = Work::load(connection, memory, &changes).await?;
        let made: Vec<Answer> = changes.into_iter().filter_map(|command| work.apply(command)).collect();
        memory.keep(work.save(connection, keys).await?);
        for answer in made {
            answers.push(with_receipts(connection, answer).await?);
        }
    }
    // Last, so that they see what the batch did.
    for command in claims {
        answers.extend(claim(connection, memory, keys, command).await?);
    }
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(answers)
}

/// Whoever held something is gone: it is due, or it ends.
pub(super) async fn release(connection: &mut SqliteConnection, keys: &Keys, now: i64) -> Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut work = Work::leased(&mut transaction).await?;
    work.rows.values_mut().for_each(|row| row.progress.release(now));
    work.save(&mut transaction, keys).await?;
    sqlx::query("UPDATE delivery SET receipt_at = finished_at WHERE receipt_at IS NOT NULL")
        .execute(&mut *transaction)
        .await?;
    clock_went_back(&mut transaction, now).await?;
    transaction.commit().await
}

/// What was put off at a moment that is yet to come waits from now for as long as it was to. What is held waits for a
/// day, whatever the clock said meanwhile.
async fn clock_went_back(connection: &mut SqliteConnection, now: i64) -> Result<()> {
    const DELIVERIES: &str = "UPDATE delivery SET due_at = $1 + max(0, due_at - changed_at), changed_at = $1 \
                              WHERE finished_at IS NULL AND due_at > $1 AND changed_at > $1 AND leased = 0 \
                              AND outcome <> 'held'";
    sqlx::query(DELIVERIES).bind(now).execute(&mut *connection).await?;
    sqlx::query("UPDATE delivery SET receipt_at = $1 WHERE receipt_at > $1").bind(now).execute(connection).await?;
    Ok(())
}

async fn claim(
    connection: &mut SqliteConnection,
    memory: &mut Memory,
    keys: &Keys,
    command: Command,
) -> Result<Option<Answer>> {
    match command {
        Command::ClaimDue { now, limit, lease, reply } => {
            let mut work = Work::due(connection, now, limit).await?;
            let claimed =
                work.rows.values_mut().filter_map(|row| row.progress.claim(now, lease).is_ok().then_some(row.key));
            let claimed = claimed.collect();
            memory.keep(work.save(connection, keys).await?);
            Ok(Some(Answer::known(reply, Ok(read::due(connection, keys, claimed).await?))))
        }
        Command::ClaimWaiting { asked, now, lease, reply } => {
            let mut work = Work::waiting(connection, &asked).await?;
            let mut tried = HashMap::new();
            for row in work.rows.values_mut() {
                let before = row.progress.tried;
                if row.progress.claim(now, lease).is_ok() {
                    tried.insert(row.key, before);
                    row.progress.tried |= !row.volatile;
                }
            }
            memory.keep(work.save(connection, keys).await?);
            let mut claimed = read::due(connection, keys, tried.keys().copied().collect()).await?;
            // Whoever claims it must know how it was until now.
            claimed.iter_mut().for_each(|due| due.tried = tried.get(&due.delivery.0).copied().unwrap_or(due.tried));
            Ok(Some(Answer::known(reply, Ok(claimed))))
        }
        Command::ClaimReceipts { now, limit, lease, reply } => {
            let mut work = Work::receipts_due(connection, now, limit).await?;
            let claimed = work.rows.keys().copied().collect();
            work.rows.values_mut().for_each(|row| row.progress.receipt_at = Some(now.saturating_add(lease)));
            memory.keep(work.save(connection, keys).await?);
            Ok(Some(Answer::known(reply, Ok(read::receipts(connection, claimed).await?))))
        }
        Command::ClockWentBack { now, reply } => {
            memory.forget();
            clock_went_back(connection, now).await?;
            Ok(Some(Answer::known(reply, Ok(()))))
        }
        Command::Purge { step, reply } => Ok(Some(Answer::known(reply, Ok(purge::step(connection, step).await?)))),
        _ => Ok(None),
    }
}

/// A receipt that there was already is given as it was.
async fn with_receipts(connection: &mut SqliteConnection, answer: Answer) -> Result<Answer> {
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
