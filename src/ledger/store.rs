//! The two databases that a ledger may lie in behind one face: connections, statements and their rows. Knows no table
//! but the one whose lock is the writer's turn.

use super::file::{Alone, File};
use super::node::Node;
use super::server::Server;
use super::stored::Result;
use super::values::{Value, for_file, for_server};
use super::{Error, Place};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{
    Connection as _, Decode, Postgres, Row as _, SqlSafeStr, SqlStr, Sqlite, SqliteConnection, Transaction, Type,
};
use std::time::Duration;
use tokio::time::timeout;

/// A server that answers nothing for so long is gone, and so is what was asked of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a ledger lies.
#[derive(Clone)]
pub(super) enum Store {
    File(File),
    Server(Box<Server>),
}

#[derive(Clone, Debug)]
pub(super) enum Readers {
    File(SqlitePool),
    Server(PgPool),
}

#[derive(Debug)]
pub(super) struct Connection {
    link: Link,
    /// Something was changed since the turn began.
    changed: bool,
}

#[derive(Debug)]
enum Link {
    File(SqliteConnection),
    FileReader(PoolConnection<Sqlite>),
    Server(PgConnection),
    ServerReader(PoolConnection<Postgres>),
    FileSnapshot(Transaction<'static, Sqlite>),
    ServerSnapshot(Transaction<'static, Postgres>),
}

enum Target<'c> {
    File(&'c mut SqliteConnection),
    Server(&'c mut PgConnection),
}

/// A row of an answer.
pub(super) enum Found {
    File(SqliteRow),
    Server(PgRow),
}

/// One statement with its values, of which each place `$1`, `$2` takes one.
pub(super) struct Query {
    text: SqlStr,
    values: Vec<Value>,
    /// The values are rows of so many, of which a server gets each column as one list.
    columns: Option<usize>,
}

/// What a writer finds where its turn begins.
pub(super) struct Turn {
    /// Another one where somebody else has written since.
    pub version: i64,
    /// On a server: whether this node is registered, and whether the time of another one is over.
    pub is_registered: bool,
    pub others_are_over: bool,
}

/// A commit of which it is not known whether it was done.
#[derive(Debug)]
pub(super) struct Uncertain {
    pub error: sqlx::Error,
    /// How the server knows the transaction.
    pub transaction: Option<String>,
}

impl Store {
    pub fn at(place: Place) -> Store {
        match place {
            Place::File(path) => Store::File(File::at(&path)),
            Place::Server(options, node) => Store::Server(Box::new(Server::new(*options, node))),
        }
    }

    pub fn node(&self) -> Option<Node> {
        match self {
            Store::File(_) => None,
            Store::Server(server) => server.node.clone(),
        }
    }

    /// Of a file, which is for one gateway.
    pub fn alone(&self) -> Result<Option<Alone>, Error> {
        match self {
            Store::File(file) => file.alone().map(Some),
            Store::Server(_) => Ok(None),
        }
    }

    pub async fn prepare(&self) -> Result<(), Error> {
        match self {
            Store::File(file) => file.prepare().await,
            Store::Server(server) => server.prepare().await,
        }
    }

    /// Refuses what is not there, or not of this very version.
    pub async fn check(&self) -> Result<(), Error> {
        match self {
            Store::File(file) => file.check().await,
            Store::Server(server) => server.check().await,
        }
    }

    pub async fn writer(&self) -> Result<Connection> {
        Ok(match self {
            Store::File(file) => Connection::from(file.writer().await?),
            Store::Server(server) => Connection::from(server.connect().await?),
        })
    }

    pub fn readers(&self) -> Readers {
        match self {
            Store::File(file) => Readers::File(file.readers()),
            Store::Server(server) => Readers::Server(server.readers()),
        }
    }
}

impl Readers {
    pub async fn acquire(&self) -> Result<Connection> {
        let link = match self {
            Readers::File(pool) => Link::FileReader(pool.acquire().await?),
            Readers::Server(pool) => Link::ServerReader(pool.acquire().await?),
        };
        Ok(Connection { link, changed: false })
    }

    /// All that is read with it is of one moment; it ends when it is dropped.
    pub async fn snapshot(&self) -> Result<Connection> {
        let link = match self {
            Readers::File(pool) => Link::FileSnapshot(pool.begin().await?),
            Readers::Server(pool) => {
                Link::ServerSnapshot(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        };
        Ok(Connection { link, changed: false })
    }

    pub async fn close(&self) {
        match self {
            Readers::File(pool) => pool.close().await,
            Readers::Server(pool) => pool.close().await,
        }
    }
}

impl From<SqliteConnection> for Connection {
    fn from(connection: SqliteConnection) -> Connection {
        Connection { link: Link::File(connection), changed: false }
    }
}

impl From<PgConnection> for Connection {
    fn from(connection: PgConnection) -> Connection {
        Connection { link: Link::Server(connection), changed: false }
    }
}

impl Connection {
    pub fn is_server(&self) -> bool {
        matches!(self.link, Link::Server(_) | Link::ServerReader(_) | Link::ServerSnapshot(_))
    }

    fn target(&mut self) -> Target<'_> {
        match &mut self.link {
            Link::File(connection) => Target::File(connection),
            Link::FileReader(connection) => Target::File(connection),
            Link::Server(connection) => Target::Server(connection),
            Link::ServerReader(connection) => Target::Server(connection),
            Link::FileSnapshot(transaction) => Target::File(transaction),
            Link::ServerSnapshot(transaction) => Target::Server(transaction),
        }
    }

    /// From here to the commit nobody else writes: not in this process, not on another node.
    pub async fn begin(&mut self, node: i64) -> Result<Turn> {
        self.changed = false;
        match self.target() {
            Target::File(connection) => {
                // Plain statements: sqlx's own transactions cost a second exchange with its thread for each of them.
                let begin = sqlx::query_scalar("BEGIN IMMEDIATE; PRAGMA data_version");
                let version = begin.fetch_one(connection).await?;
                Ok(Turn { version, is_registered: true, others_are_over: false })
            }
            Target::Server(connection) => super::server::begin(connection, node).await,
        }
    }

    /// Tells where it cannot be known whether it was done.
    pub async fn commit(&mut self) -> Result<(), Uncertain> {
        let changed = std::mem::take(&mut self.changed);
        match self.target() {
            Target::File(connection) => {
                let done = sqlx::query("COMMIT").execute(connection).await;
                done.map(drop).map_err(|error| Uncertain { error, transaction: None })
            }
            Target::Server(connection) => super::server::commit(connection, changed).await,
        }
    }

    pub async fn was_committed(&mut self, transaction: &str) -> Result<Option<bool>> {
        match self.target() {
            Target::File(_) => Ok(Some(false)),
            Target::Server(connection) => super::server::was_committed(connection, transaction).await,
        }
    }

    /// What the version is after a commit.
    pub fn next_version(&self, version: i64) -> i64 {
        if self.is_server() && self.changed { version + 1 } else { version }
    }

    pub async fn close(self) -> Result<()> {
        match self.link {
            Link::File(connection) => connection.close().await,
            Link::FileReader(connection) => connection.close().await,
            Link::Server(connection) => connection.close().await,
            Link::ServerReader(connection) => connection.close().await,
            Link::FileSnapshot(transaction) => transaction.rollback().await,
            Link::ServerSnapshot(transaction) => transaction.rollback().await,
        }
    }

    pub async fn close_hard(self) -> Result<()> {
        match self.link {
            Link::File(connection) => connection.close_hard().await,
            Link::Server(connection) => connection.close_hard().await,
            _ => Ok(()),
        }
    }
}

pub(super) fn query(text: impl SqlSafeStr) -> Query {
    Query::new(text, Vec::new())
}

impl Query {
    pub fn new(text: impl SqlSafeStr, values: Vec<Value>) -> Query {
        Query { text: text.into_sql_str(), values, columns: None }
    }

    pub fn by_column(text: impl SqlSafeStr, values: Vec<Value>, columns: usize) -> Query {
        Query { text: text.into_sql_str(), values, columns: Some(columns) }
    }

    pub fn bind(mut self, value: impl Into<Value>) -> Query {
        self.values.push(value.into());
        self
    }

    /// How many rows it changed.
    pub async fn execute(self, connection: &mut Connection) -> Result<u64> {
        connection.changed = true;
        match connection.target() {
            Target::File(connection) => {
                let query = sqlx::query_with(self.text, for_file(self.values)?);
                Ok(query.execute(connection).await?.rows_affected())
            }
            Target::Server(connection) => {
                let query = sqlx::query_with(self.text, for_server(self.values, self.columns)?);
                Ok(answered(query.execute(connection)).await?.rows_affected())
            }
        }
    }

    pub async fn fetch_all(self, connection: &mut Connection) -> Result<Vec<Found>> {
        match connection.target() {
            Target::File(connection) => {
                let query = sqlx::query_with(self.text, for_file(self.values)?);
                Ok(query.fetch_all(connection).await?.into_iter().map(Found::File).collect())
            }
            Target::Server(connection) => {
                let query = sqlx::query_with(self.text, for_server(self.values, self.columns)?);
                let rows = answered(query.fetch_all(connection)).await?;
                Ok(rows.into_iter().map(Found::Server).collect())
            }
        }
    }

    /// The rows of a statement that changes some and gives them back.
    pub async fn returning(self, connection: &mut Connection) -> Result<Vec<Found>> {
        connection.changed = true;
        self.fetch_all(connection).await
    }

    pub async fn fetch_optional(self, connection: &mut Connection) -> Result<Option<Found>> {
        Ok(self.fetch_all(connection).await?.into_iter().next())
    }

    /// The first column of the first row.
    pub async fn fetch_one<T>(self, connection: &mut Connection) -> Result<T>
    where
        T: for<'r> Storable<'r>,
    {
        self.fetch_optional(connection).await?.ok_or(sqlx::Error::RowNotFound)?.get(0)
    }
}

/// Every column by its place, where both databases can hold it.
pub(super) trait Storable<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}
impl<'r, T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>> Storable<'r> for T {}

impl Found {
    pub fn text(&self, place: usize) -> Result<Option<String>> {
        match self {
            Found::File(row) => {
                let bytes: Option<&[u8]> = row.try_get(place)?;
                Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
            }
            Found::Server(row) => row.try_get(place),
        }
    }

    pub fn get<'r, T: Storable<'r>>(&'r self, place: usize) -> Result<T> {
        match self {
            Found::File(row) => row.try_get(place),
            Found::Server(row) => row.try_get(place),
        }
    }
}

async fn answered<T>(asked: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}
