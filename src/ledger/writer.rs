//! The one task that writes. It takes as many commands as there are, does them in one transaction, and answers
//! once that is durable; meanwhile the next batch collects by itself.

use super::batch;
use super::command::Command;
use super::file::File;
use super::memory::Memory;
use super::seal::Keys;
use super::stored::Result;
use super::work::Answer;
use sqlx::{Connection, SqliteConnection};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// From one commit to the next, at the least. Each commit writes every page that it touches as a whole, and they are
/// largely the same pages: under load, fewer and larger commits write much less. Who comes alone does not wait.
const PACE: Duration = Duration::from_millis(20);

pub(super) struct Writer {
    pub file: File,
    /// `None` after an error: what state it was left in is not worth finding out.
    pub connection: Option<SqliteConnection>,
    pub memory: Memory,
    pub commands: mpsc::Receiver<Command>,
    pub max_batch: NonZeroUsize,
    pub keys: Keys,
    pub quiet: Duration,
    /// Since when there is something in the write-ahead log.
    pub changed: Option<Instant>,
    /// False from a write that failed until one that does not.
    pub writable: Arc<AtomicBool>,
}

impl Writer {
    /// On a thread of its own: it is woken without a detour, and nothing that computes holds it up.
    pub fn start(self) -> std::io::Result<()> {
        let runtime = Handle::current();
        let thread = std::thread::Builder::new().name("ledger".to_owned());
        thread.spawn(move || runtime.block_on(self.run())).map(drop)
    }

    async fn run(mut self) {
        let mut closing = None;
        let mut batch = Vec::new();
        let mut last: Option<Instant> = None;
        while self.commands.recv_many(&mut batch, self.max_batch.get()).await > 0 {
            if let Some(rest) = last.and_then(|last| PACE.checked_sub(last.elapsed())) {
                std::thread::sleep(rest);
                self.collect(&mut batch);
            }
            last = Some(Instant::now());
            closing = closing.or(self.stop(&mut batch));
            if !batch.is_empty() {
                self.write(std::mem::take(&mut batch)).await;
            }
            self.tidy().await;
        }
        if let Some(connection) = self.connection.take() {
            // The last connection to go copies the log into the file.
            log_failure(connection.close().await);
        }
        if let Some(closed) = closing {
            let _ = closed.send(());
        }
    }

    /// What came in the meantime.
    fn collect(&mut self, batch: &mut Vec<Command>) {
        while batch.len() < self.max_batch.get() {
            let Ok(command) = self.commands.try_recv() else { return };
            batch.push(command);
        }
    }

    /// When asked to close, takes nothing new; what is queued is still done.
    fn stop(&mut self, batch: &mut Vec<Command>) -> Option<oneshot::Sender<()>> {
        let place = batch.iter().position(|command| matches!(command, Command::Close(_)))?;
        self.commands.close();
        match batch.remove(place) {
            Command::Close(closed) => Some(closed),
            _ => None,
        }
    }

    /// Where this fails, nobody is answered, which says that nothing was done.
    async fn write(&mut self, batch: Vec<Command>) {
        let changes = batch.iter().any(|command| {
            !command.is_claim() || matches!(command, Command::Purge { .. } | Command::ClockWentBack { .. })
        });
        match self.try_write(batch).await {
            Ok(answers) => {
                // A claim that finds nothing also succeeds on a full disk.
                if changes {
                    self.changed = Some(Instant::now());
                    self.writable.store(true, Ordering::Relaxed);
                }
                answers.into_iter().for_each(Answer::give);
            }
            Err(error) => {
                tracing::error!(%error, "a batch was not written");
                self.writable.store(false, Ordering::Relaxed);
                self.abandon().await;
            }
        }
    }

    async fn try_write(&mut self, batch: Vec<Command>) -> Result<Vec<Answer>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.file.writer().await?),
        };
        batch::run(connection, &mut self.memory, &self.keys, batch).await
    }

    /// The gateway looks for what is due twice a second, so that this is done in time without a clock of its own.
    async fn tidy(&mut self) {
        if self.changed.is_none_or(|changed| changed.elapsed() < self.quiet) {
            return;
        }
        let Some(connection) = &mut self.connection else { return };
        let emptied = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await;
        match emptied {
            Ok(0) => self.changed = None,
            // Somebody reads from it; another time.
            Ok(_) => self.changed = Some(Instant::now()),
            Err(error) => {
                log_failure::<()>(Err(error));
                self.changed = Some(Instant::now());
                self.abandon().await;
            }
        }
    }

    async fn abandon(&mut self) {
        self.memory = Memory::default();
        if let Some(connection) = self.connection.take() {
            log_failure(connection.close_hard().await);
        }
    }
}

fn log_failure<T>(result: Result<T>) {
    if let Err(error) = result {
        tracing::warn!(%error, "the ledger's connection");
    }
}
