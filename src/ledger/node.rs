//! A gateway among others at one database: the name under which it is registered, and until when what it holds is its
//! own. One whose time is over has lost what it held; it comes back under a new number. Alone at a file it has it all.

use super::Error;
use super::store::{Connection, Found, Turn, query};
use super::stored::Result;
use sqlx::postgres::PgConnection;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Whoever is alone with a file holds what is in it, always.
pub(super) const ALONE: i64 = 1;
/// How long a session of the same name may take to go once its process is gone.
const TAKING: Duration = Duration::from_secs(3);

/// Its lock is the session's: it goes with the connection, so that a gateway which is started again need not wait.
const TAKE_NAME: &str = "SELECT pg_try_advisory_lock('node'::regclass::oid::int, hashtext($1))";
const LEAVE: &str = "DELETE FROM node WHERE name = $1 RETURNING key";
const ENTER: &str = "INSERT INTO node (name, term, until) VALUES ($1, $2 * interval '1 millisecond', \
                     clock_timestamp() + $2 * interval '1 millisecond') RETURNING key";
const RENEW: &str = "UPDATE node SET until = clock_timestamp() + term WHERE key = $1";
const DISMISS: &str = "DELETE FROM node WHERE key <> $1 AND over_at(until, term) < clock_timestamp() RETURNING key";

/// How a gateway takes part.
#[derive(Clone, Debug)]
pub struct Node {
    /// No other has it.
    pub name: String,
    /// What it holds is its own for so long after the database last heard of it.
    pub lease: Duration,
    /// What an attempt that was begun then may still take; others wait for that long in addition.
    pub longest_attempt: Duration,
}

/// Who holds a delivery that was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold(pub(super) i64);

/// Who the writer is now, and until when what it holds is its own; always, without an end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub node: i64,
    pub until: Option<Instant>,
}

/// A writer among others.
#[derive(Debug)]
pub(super) struct Standing {
    node: Option<Node>,
    /// As of the turn that goes on; told once that is committed.
    now: Held,
    told: watch::Sender<Held>,
}

impl Node {
    fn term(&self) -> i64 {
        i64::try_from((self.lease + self.longest_attempt).as_millis()).unwrap_or(i64::MAX)
    }

    /// Refused where another process has it.
    pub async fn take_name(&self, connection: &mut PgConnection) -> Result<()> {
        let begun = Instant::now();
        loop {
            let taken = sqlx::query_scalar(TAKE_NAME).bind(&self.name).fetch_one(&mut *connection).await?;
            if taken {
                return Ok(());
            }
            if begun.elapsed() > TAKING {
                return Err(sqlx::Error::Configuration(Box::new(Error::InUse)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Standing {
    pub fn new(node: Option<Node>, is_server: bool) -> Standing {
        let now = match is_server {
            true => Held { node: 0, until: Some(Instant::now()) },
            false => Held { node: ALONE, until: None },
        };
        Standing { node, now, told: watch::Sender::new(now) }
    }

    pub fn me(&self) -> i64 {
        self.now.node
    }

    pub fn watch(&self) -> watch::Receiver<Held> {
        self.told.subscribe()
    }

    /// In each turn. Gives the numbers of those whose time is over, whose deliveries are to be released.
    pub async fn renew(&mut self, turn: &Turn, begun: Instant, connection: &mut Connection) -> Result<Vec<i64>> {
        let Some(node) = &self.node else { return Ok(Vec::new()) };
        let mut over = Vec::new();
        let until = Some(begun + node.lease);
        if !turn.is_registered {
            over.extend(numbers(query(LEAVE).bind(node.name.as_str()).returning(connection).await?)?);
            let enter = query(ENTER).bind(node.name.as_str()).bind(node.term());
            let entered = numbers(enter.returning(connection).await?)?;
            self.now = Held { node: entered.into_iter().next().ok_or(sqlx::Error::RowNotFound)?, until };
        } else if self.now.until.is_none_or(|until| until < begun + node.lease * 2 / 3) {
            query(RENEW).bind(self.now.node).execute(connection).await?;
            self.now.until = until;
        }
        if turn.others_are_over {
            over.extend(numbers(query(DISMISS).bind(self.now.node).returning(connection).await?)?);
        }
        Ok(over)
    }

    /// The turn was committed.
    pub fn tell(&self) {
        if self.now.until.is_some() {
            self.told.send_if_modified(|told| {
                let lost = told.node != 0 && told.node != self.now.node;
                if lost {
                    tracing::warn!(code = %crate::code::Code::LeaseLost, "the time of this node was over: others have what it held");
                }
                let changed = told.node != self.now.node || told.until != self.now.until;
                *told = self.now;
                changed
            });
        }
    }

    /// The turn was not.
    pub fn undo(&mut self) {
        self.now = *self.told.borrow();
    }

    /// What it still holds goes to the others at once.
    pub async fn leave(&mut self, connection: &mut Connection) -> Result<Vec<i64>> {
        match &self.node {
            Some(node) => numbers(query(LEAVE).bind(node.name.as_str()).returning(connection).await?),
            None => Ok(Vec::new()),
        }
    }
}

fn numbers(rows: Vec<Found>) -> Result<Vec<i64>> {
    rows.iter().map(|row| row.get(0)).collect()
}
