//! The one task that writes. It takes as many commands as there are, does them in one transaction, and answers
//! once that is durable; meanwhile the next batch collects by itself.

use super::batch;
use super::command::Command;
use super::file::{Alone, BUSY_TIMEOUT};
use super::memory::Memory;
use super::node::Standing;
use super::seal::Keys;
use super::store::{Connection, Store, Uncertain, query};
use super::stored::Result;
use super::work::Answer;
use sqlx::AssertSqlSafe;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// From one commit to the next, at the least. Each commit writes every page that it touches as a whole, and they are
/// largely the same pages: under load, fewer and larger commits write much less. Who comes alone does not wait.
const PACE: Duration = Duration::from_millis(20);
/// How long and how often a server is asked whether a commit was done.
const CERTAINTY: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Writer {
    pub store: Store,
    /// `None` after an error: what state it was left in is not worth finding out.
    pub connection: Option<Connection>,
    pub standing: Standing,
    /// Kept for as long as this writes, so that no other gateway opens the same file.
    pub alone: Option<Alone>,
    pub memory: Memory,
    pub commands: mpsc::Receiver<Command>,
    pub max_batch: NonZeroUsize,
    pub keys: Keys,
    pub quiet: Duration,
    /// Since when there is something in the write-ahead log.
    pub changed: Option<Instant>,
    /// False from a write that failed until one that does not.
    pub writable: Arc<AtomicBool>,
    pub watch: Watch,
}

/// Who is told of each commit: how many writes shared it, and how long it took.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<OnceLock<Box<Told>>>);
type Told = dyn Fn(usize, Duration) + Send + Sync;

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    pub fn by(&self, told: impl Fn(usize, Duration) + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(told));
    }

    fn tell(&self, writes: usize, took: Duration) {
        if let Some(told) = self.0.get() {
            told(writes, took);
        }
    }
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
        if let Some(mut connection) = self.connection.take() {
            if connection.is_server() {
                log_failure(batch::leave(&mut connection, &mut self.standing, &self.keys).await);
            }
            // The last connection to go copies the log into the file.
            log_failure(connection.close().await);
        }
        drop(self.alone.take());
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
        let (writes, begun) = (batch.len(), Instant::now());
        let changes = batch.iter().any(|command| !command.is_claim() || command.is_housekeeping());
        match self.try_write(batch).await {
            Ok(answers) => {
                // A claim that finds nothing also succeeds on a full disk.
                if changes {
                    self.changed = Some(Instant::now());
                    self.writable.store(true, Ordering::Relaxed);
                }
                self.watch.tell(writes, begun.elapsed());
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
            none => none.insert(self.store.writer().await?),
        };
        let answers = batch::run(connection, &mut self.memory, &mut self.standing, &self.keys, batch).await?;
        match connection.commit().await {
            Ok(()) => self.standing.tell(),
            Err(uncertain) => self.make_certain(uncertain).await?,
        }
        Ok(answers)
    }

    /// A server may have done what it could not answer any more. Callers would ask again, and be told that their message
    /// is a repetition, while nobody sends it.
    async fn make_certain(&mut self, Uncertain { error, transaction }: Uncertain) -> Result<()> {
        let Some(transaction) = transaction else { return Err(error) };
        self.abandon().await;
        let begun = Instant::now();
        while begun.elapsed() < CERTAINTY {
            if let Ok(mut connection) = self.store.writer().await {
                match connection.was_committed(&transaction).await {
                    Ok(Some(true)) => {
                        // What is in hand was not renewed as far as anybody was told; the next turn does that.
                        tracing::warn!(%error, "a batch was written although the database could not say so");
                        self.connection = Some(connection);
                        return Ok(());
                    }
                    Ok(Some(false)) => return Err(error),
                    Ok(None) | Err(_) => {}
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
        Err(error)
    }

    /// The gateway looks for what is due twice a second, so that this is done in time without a clock of its own.
    async fn tidy(&mut self) {
        if self.changed.is_none_or(|changed| changed.elapsed() < self.quiet) {
            return;
        }
        let Some(connection) = self.connection.as_mut().filter(|connection| !connection.is_server()) else { return };
        match empty_log(connection).await {
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
        self.standing.undo();
        if let Some(connection) = self.connection.take() {
            log_failure(connection.close_hard().await);
        }
    }
}

/// 0 where it is empty. Waits for nobody: somebody may read for minutes.
async fn empty_log(connection: &mut Connection) -> Result<i64> {
    query("PRAGMA busy_timeout = 0").execute(connection).await?;
    let emptied = query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await?;
    let timeout = format!("PRAGMA busy_timeout = {}", BUSY_TIMEOUT.as_millis());
    query(AssertSqlSafe(timeout)).execute(connection).await?;
    Ok(emptied)
}

fn log_failure<T>(result: Result<T>) {
    if let Err(error) = result {
        tracing::warn!(%error, "the ledger's connection");
    }
}
