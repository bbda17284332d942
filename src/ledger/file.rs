//! The file: how it is opened, that it is one of ours, and how an older one becomes a newer one.

use super::Error;
use super::stored::Result;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use std::fs::{OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Each brings a file from the version that is its place to the next.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/sqlite/0001_ledger.sql")];
const VERSION: i64 = MIGRATIONS.len() as i64;
/// `Ktnp`; it tells our files from those of others.
const APPLICATION: i64 = 0x4b74_6e70;
/// Pages in the write-ahead log after which they are copied into the file.
const CHECKPOINT: &str = "8000";

/// What the write-ahead log is cut back to; the rest of it is used again.
const LOG_SIZE: &str = "67108864";
const READERS: u32 = 4;
/// For whoever else writes, such as an operator's command.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// In KiB, negated. The system caches the file too: this saves a copy of each page, not a read from disk.
const WRITER_CACHE: &str = "-8192";
const READER_CACHE: &str = "-1024";
/// SQLite's word for a file that is not a database.
const NOT_A_DATABASE: &str = "26";

/// Where the ledger lies and how its connections are made.
#[derive(Clone, Debug)]
pub(super) struct File {
    path: PathBuf,
    /// Where the disk is full, for tests.
    #[cfg(test)]
    pub most_pages: std::sync::Arc<std::sync::atomic::AtomicU32>,
}

impl File {
    pub fn at(path: &Path) -> File {
        File {
            path: path.to_owned(),
            #[cfg(test)]
            most_pages: std::sync::Arc::default(),
        }
    }

    /// For the gateway, of which there is one at a file.
    pub fn alone(&self) -> Result<Alone, Error> {
        let mut name = self.path.clone().into_os_string();
        name.push("-lock");
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name);
        let file = opened.map_err(|error| {
            tracing::error!(%error, path = %name.display(), "the ledger cannot be taken");
            Error::Unavailable
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Alone(file)),
            Err(TryLockError::WouldBlock) => Err(Error::InUse),
            Err(TryLockError::Error(error)) => {
                tracing::error!(%error, path = %name.display(), "the ledger cannot be taken");
                Err(Error::Unavailable)
            }
        }
    }

    pub async fn writer(&self) -> Result<SqliteConnection> {
        self.options().pragma("cache_size", WRITER_CACHE).connect().await
    }

    pub fn readers(&self) -> SqlitePool {
        let options = SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false);
        options.connect_lazy_with(self.options().pragma("cache_size", READER_CACHE).read_only(true))
    }

    /// Makes the file where there is none, and brings it to this version.
    pub async fn prepare(&self) -> Result<(), Error> {
        // Ours alone, for it holds personal data; the files beside it get the same permissions.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                tracing::error!(%error, path = %self.path.display(), "the ledger cannot be made");
                return Err(Error::Unavailable);
            }
            _ => {}
        }
        self.with_plain(migrate).await
    }

    /// Refuses a file that is not there, or not of this very version.
    pub async fn check(&self) -> Result<(), Error> {
        self.with_plain(async |connection| Ok(version(connection).await? == Some(VERSION))).await
    }

    /// Before it is known to be ours, nothing about the file is changed by opening it.
    async fn with_plain(&self, is_ours: impl AsyncFnOnce(&mut SqliteConnection) -> Result<bool>) -> Result<(), Error> {
        let done: Result<bool> = async {
            let mut connection = SqliteConnectOptions::new().filename(&self.path).connect().await?;
            let ours = is_ours(&mut connection).await;
            connection.close().await?;
            ours
        }
        .await;
        match done {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Unusable),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NOT_A_DATABASE) => {
                Err(Error::Unusable)
            }
            Err(error) => {
                tracing::error!(%error, path = %self.path.display(), "the ledger cannot be opened");
                Err(Error::Unavailable)
            }
        }
    }

    fn options(&self) -> SqliteConnectOptions {
        let options = SqliteConnectOptions::new();
        #[cfg(test)]
        let options = match self.most_pages.load(std::sync::atomic::Ordering::Relaxed) {
            0 => options,
            pages => options.pragma("max_page_count", pages.to_string()),
        };
        options
            .filename(&self.path)
            .journal_mode(SqliteJournalMode::Wal)
            // A commit that was answered survives the loss of power.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            // What is deleted was personal: its bytes are overwritten.
            .pragma("secure_delete", "ON")
            .pragma("wal_autocheckpoint", CHECKPOINT)
            .pragma("journal_size_limit", LOG_SIZE)
            .pragma("temp_store", "MEMORY")
            .foreign_keys(false)
            .statement_cache_capacity(256)
            .row_buffer_size(256)
            .disable_statement_logging()
    }
}

/// Nobody else has the file as long as this is there, which the system sees to: also after a kill. A file of its own, as
/// SQLite loses its own locks where somebody else opens and closes the database in the same process.
#[derive(Debug)]
pub(super) struct Alone(#[expect(dead_code, reason = "the lock goes when it is closed")] std::fs::File);

/// The version of one of our files, 0 for an empty one; `None` if it is somebody else's.
async fn version(connection: &mut SqliteConnection) -> Result<Option<i64>> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
    let is_empty = application == 0 && version == 0 && tables == 0;
    Ok((is_empty || application == APPLICATION).then_some(version))
}

async fn migrate(connection: &mut SqliteConnection) -> Result<bool> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let missing = version(&mut transaction).await?.and_then(|found| MIGRATIONS.get(usize::try_from(found).ok()?..));
    let Some(missing) = missing else { return Ok(false) };
    for step in missing {
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
    }
    let stamp = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}");
    sqlx::raw_sql(AssertSqlSafe(stamp)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}
