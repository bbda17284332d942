//! The PostgreSQL database: how it is reached, that what is in it is ours, and whose turn it is to write. Several
//! gateways may share it. Knows no rule of the ledger.

use super::Error;
use super::node::Node;
use super::store::{Turn, Uncertain};
use super::stored::Result;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use std::time::Duration;
use tokio::time::timeout;

/// Each brings the tables from the format that is its place to the next.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/postgres/0001_ledger.sql")];
const FORMAT: i64 = MIGRATIONS.len() as i64;
/// `Ktnp`: who makes the tables holds this lock meanwhile.
const MIGRATING: i64 = 0x4b74_6e70;
const READERS: u32 = 4;
/// What a connection and a question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A session whose process hangs in the middle of its turn loses it; one whose machine is gone is noticed.
const SESSION: [(&str, &str); 6] = [
    ("idle_in_transaction_session_timeout", "10s"),
    ("lock_timeout", "20s"),
    ("statement_timeout", "25s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];
/// A commit that was answered survives the loss of power, whatever the server's default.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) \
                       WHERE current_setting('synchronous_commit') = 'off'";
/// PostgreSQL's words for a table or column that is not there.
const NOT_OURS: [&str; 2] = ["42703", "42P01"];

#[derive(Clone)]
pub(super) struct Server {
    options: PgConnectOptions,
    /// Of a gateway; an operator's command has none.
    pub node: Option<Node>,
}

impl Server {
    pub fn new(options: PgConnectOptions, node: Option<Node>) -> Server {
        let name = node.as_ref().map_or_else(|| "ketenpoort".to_owned(), |node| format!("ketenpoort {}", node.name));
        Server { options: options.application_name(&name).options(SESSION).disable_statement_logging(), node }
    }

    pub async fn connect(&self) -> Result<PgConnection> {
        let mut connection = self.plain().await?;
        sqlx::query(DURABLE).execute(&mut connection).await?;
        if let Some(node) = &self.node {
            node.take_name(&mut connection).await?;
        }
        Ok(connection)
    }

    async fn plain(&self) -> Result<PgConnection> {
        let connected = timeout(PATIENCE, self.options.connect()).await;
        connected.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
    }

    pub fn readers(&self) -> PgPool {
        let options = PgPoolOptions::new().max_connections(READERS).acquire_timeout(PATIENCE);
        options.connect_lazy_with(self.options.clone())
    }

    /// Makes the tables where there are none, and brings them to this format.
    pub async fn prepare(&self) -> Result<(), Error> {
        ours(self.migrate().await)
    }

    /// Refuses what is not of this very format.
    pub async fn check(&self) -> Result<(), Error> {
        let format = async { format(&mut self.plain().await?).await };
        ours(format.await.map(|format| format == Some(FORMAT)))
    }

    async fn migrate(&self) -> Result<bool> {
        let mut connection = self.plain().await?;
        let mut transaction = connection.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATING).execute(&mut *transaction).await?;
        let missing = format(&mut transaction).await?.and_then(|found| MIGRATIONS.get(usize::try_from(found).ok()?..));
        let Some(missing) = missing else { return Ok(false) };
        for step in missing {
            sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        }
        sqlx::query("UPDATE ledger SET format = $1").bind(FORMAT).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// The format of our tables, 0 where there are none at all; `None` if they are somebody else's.
async fn format(connection: &mut PgConnection) -> Result<Option<i64>> {
    let tables =
        "SELECT to_regclass('ledger') IS NOT NULL, count(*) FROM pg_tables WHERE schemaname = current_schema()";
    let row = sqlx::query(tables).fetch_one(&mut *connection).await?;
    match (row.try_get(0)?, row.try_get::<i64, _>(1)?) {
        (true, _) => sqlx::query_scalar("SELECT format FROM ledger").fetch_optional(connection).await,
        (false, 0) => Ok(Some(0)),
        (false, _) => Ok(None),
    }
}

fn ours(found: Result<bool>) -> Result<(), Error> {
    match found {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Unusable),
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| NOT_OURS.contains(&&*code)) => {
            Err(Error::Unusable)
        }
        Err(error) => {
            tracing::error!(%error, "the database of the ledger cannot be opened");
            Err(Error::Unavailable)
        }
    }
}

/// One exchange. The lock comes in a statement of its own, so that what follows sees what the last one wrote.
pub(super) async fn begin(connection: &mut PgConnection, node: i64) -> Result<Turn> {
    let text = format!(
        "BEGIN; LOCK TABLE ledger IN EXCLUSIVE MODE; \
         SELECT turns, format, EXISTS (SELECT FROM node WHERE key = {node}), \
         EXISTS (SELECT FROM node WHERE key <> {node} AND over_at(until, term) < clock_timestamp()) FROM ledger"
    );
    let row = simple(connection, text).await?.ok_or(sqlx::Error::RowNotFound)?;
    if row.try_get::<i64, _>(1)? != FORMAT {
        // Somebody brought the tables to another format meanwhile.
        return Err(sqlx::Error::Decode("the tables of the ledger are of another version".into()));
    }
    Ok(Turn { version: row.try_get(0)?, is_registered: row.try_get(2)?, others_are_over: row.try_get(3)? })
}

pub(super) async fn commit(connection: &mut PgConnection, changed: bool) -> Result<(), Uncertain> {
    let mut transaction = None;
    let done = async {
        if changed {
            let text = "UPDATE ledger SET turns = turns + 1; SELECT pg_current_xact_id()::text".to_owned();
            let row = simple(connection, text).await?.ok_or(sqlx::Error::RowNotFound)?;
            transaction = Some(row.try_get(0)?);
        }
        simple(connection, "COMMIT".to_owned()).await
    };
    let done = done.await;
    done.map(drop).map_err(|error| Uncertain { error, transaction })
}

/// Whether a transaction was committed, asked on a new connection; `None` where it still goes on.
pub(super) async fn was_committed(connection: &mut PgConnection, transaction: &str) -> Result<Option<bool>> {
    let query = sqlx::query_scalar("SELECT pg_xact_status($1::text::xid8)").bind(transaction);
    let status: Option<String> = query.fetch_one(connection).await?;
    Ok(status.filter(|status| status != "in progress").map(|status| status == "committed"))
}

/// The last row of several statements.
async fn simple(connection: &mut PgConnection, text: String) -> Result<Option<PgRow>> {
    let asked = sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(connection);
    let rows = timeout(PATIENCE * 3, asked).await;
    Ok(rows.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))?.pop())
}
