//! Jobs: one decision of a person over a list of deliveries that was frozen when it was made. What is to be done with
//! each is a change like any other; here stands only how far the list is.

use super::command::{Command, Reply};
use super::rows::Statement;
use super::store::{Connection, Found, query};
use super::stored::{Columns, Result, bounded, undecodable};
use super::{DeliveryKey, Error, Ledger, Seen, micros, unavailable};
use crate::outcome::Outcome;
use crate::party::PartyId;
use jiff::{SignedDuration, Timestamp};

static NEW_ITEMS: Statement = Statement {
    head: "INSERT INTO job_item (job, place, delivery, outcome, seen) SELECT * FROM",
    columns: 5,
    tail: "AS v WHERE v.column1 IS NOT NULL",
};
static RESULTS: Statement = Statement {
    head: "UPDATE job_item SET result = v.column3 FROM",
    columns: 3,
    tail: "AS v WHERE job_item.job = v.column1 AND job_item.place = v.column2",
};
/// The oldest first; a list is no longer than it can be looked over.
const FROZEN: &str = "SELECT key, outcome, changed_at FROM delivery WHERE finished_at IS NULL AND outcome IN ($1, $2, $3, $4) \
                      AND ($5 = '' OR recipient = $5) ORDER BY key LIMIT $6";
const MAKE: &str = "INSERT INTO job (what, who, why, rate, made_at, state, lease_until, holder) \
                    VALUES ($1, $2, $3, $4, $5, 'frozen', 0, '') RETURNING key";
const TAKE: &str = "UPDATE job SET lease_until = $1, holder = $2 WHERE key = $3 AND state = 'running' \
                    AND (lease_until < $4 OR holder = $2) RETURNING key";
const LEFT: &str =
    "SELECT place, delivery, outcome, seen FROM job_item WHERE job = $1 AND result IS NULL ORDER BY place LIMIT $2";
const FINISH: &str = "UPDATE job SET state = 'finished' WHERE key = $1 AND state = 'running'";
const START: &str = "UPDATE job SET state = 'running' WHERE key = $1 AND state IN ('frozen', 'stopped') RETURNING key";
const STOP: &str = "UPDATE job SET state = 'stopped', holder = '', lease_until = 0 WHERE key = $1 \
                    AND state IN ('frozen', 'running') RETURNING key";
macro_rules! jobs_where {
    ($condition:literal) => {
        concat!(
            "SELECT j.key, j.what, j.who, j.why, j.rate, j.made_at, j.state, count(i.place),",
            " count(CASE WHEN i.result = 'done' THEN 1 END), count(CASE WHEN i.result = 'changed' THEN 1 END)",
            " FROM job AS j LEFT JOIN job_item AS i ON i.job = j.key WHERE ",
            $condition,
            " GROUP BY j.key, j.what, j.who, j.why, j.rate, j.made_at, j.state ORDER BY j.key DESC LIMIT 100"
        )
    };
}
const ONE: &str = jobs_where!("j.key = $1");
const ALL: &str = jobs_where!("j.key > $1");
const RUNNING: &str = "SELECT key, what, who, why, rate FROM job WHERE state = 'running' ORDER BY key LIMIT 100";
const DRY: &str = "SELECT d.recipient, d.outcome, count(CASE WHEN d.outcome = i.outcome AND (d.changed_at = i.seen OR d.outcome <> 'parked') THEN 1 END), \
                   count(*) FROM job_item AS i JOIN delivery AS d ON d.key = i.delivery \
                   WHERE i.job = $1 AND i.result IS NULL GROUP BY d.recipient, d.outcome ORDER BY 4 DESC LIMIT 500";

const FORGET_ITEMS: &str =
    "DELETE FROM job_item WHERE job = (SELECT min(key) FROM job WHERE made_at < $1 AND state <> 'running')";
const FORGET: &str = "DELETE FROM job WHERE key = (SELECT min(key) FROM job WHERE made_at < $1 AND state <> 'running')";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Replay,
    Discard,
}

impl What {
    pub fn as_str(self) -> &'static str {
        match self {
            What::Replay => "replay",
            What::Discard => "discard",
        }
    }
    fn parse(name: &str) -> Result<What> {
        match name {
            "replay" => Ok(What::Replay),
            "discard" => Ok(What::Discard),
            _ => Err(sqlx::Error::Decode("a job that this version does not know".into())),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    Frozen,
    Running,
    Stopped,
    Finished,
}

#[derive(Clone, Debug)]
pub struct NewJob {
    pub what: What,
    pub who: String,
    pub why: String,
    /// Deliveries a second.
    pub rate: u32,
    pub outcomes: Vec<Outcome>,
    /// Empty: all.
    pub recipient: String,
    pub most: usize,
}

#[derive(Clone, Debug)]
pub struct Job {
    pub key: i64,
    pub what: What,
    pub who: String,
    pub why: String,
    pub rate: u32,
    pub made_at: Timestamp,
    pub state: JobState,
    pub count: i64,
    pub done: i64,
    /// Passed over, as something happened to it meanwhile.
    pub changed: i64,
}

/// What a job that runs needs to go on.
#[derive(Clone, Debug)]
pub struct Running {
    pub key: i64,
    pub what: What,
    pub who: String,
    pub why: String,
    pub rate: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobItem {
    pub place: i64,
    pub delivery: DeliveryKey,
    /// As the list was frozen.
    pub seen: Seen,
}

/// What would happen to the deliveries of one kind.
#[derive(Clone, Debug)]
pub struct Dry {
    pub recipient: Option<PartyId>,
    pub outcome: Outcome,
    /// Still as it was frozen.
    pub would: i64,
    pub count: i64,
}

pub(super) enum Step {
    Make(NewJob, i64),
    Start(i64),
    Stop(i64),
    Take { job: i64, holder: String, now: i64, lease: i64, limit: usize },
    Mark(i64, Vec<(i64, bool)>),
}

pub(super) enum Told {
    Made(i64),
    Done,
    Items(Vec<JobItem>),
    Refused,
}

impl Ledger {
    /// Freezes the list: what waits so now, and is as it is now.
    pub async fn make_job(&self, job: NewJob) -> Result<i64, Error> {
        match self.job_step(Step::Make(job, micros(Timestamp::now()))).await? {
            Told::Made(key) => Ok(key),
            _ => Err(Error::NoSuchRow),
        }
    }

    pub async fn start_job(&self, job: i64) -> Result<(), Error> {
        self.job_done(Step::Start(job)).await
    }

    pub async fn stop_job(&self, job: i64) -> Result<(), Error> {
        self.job_done(Step::Stop(job)).await
    }

    /// The next of the list; it is for whoever holds the job, until the lease ends. Nothing is left: it is finished.
    /// [`Error::NoSuchRow`] where somebody else holds it, or it does not run.
    pub async fn take_of_job(
        &self,
        job: i64,
        holder: &str,
        lease: SignedDuration,
        limit: usize,
    ) -> Result<Vec<JobItem>, Error> {
        let (now, lease) = (micros(Timestamp::now()), super::duration(lease));
        match self.job_step(Step::Take { job, holder: holder.to_owned(), now, lease, limit }).await? {
            Told::Items(items) => Ok(items),
            _ => Err(Error::NoSuchRow),
        }
    }

    /// What became of some of them: done, or passed over.
    pub async fn mark_of_job(&self, job: i64, results: Vec<(i64, bool)>) -> Result<(), Error> {
        self.job_done(Step::Mark(job, results)).await
    }

    pub async fn job(&self, job: i64) -> Result<Job, Error> {
        let row = query(ONE).bind(job).fetch_optional(&mut self.reader().await?).await.map_err(unavailable)?;
        row.as_ref().map(read_job).transpose().map_err(unavailable)?.ok_or(Error::NoSuchRow)
    }

    /// The newest first.
    pub async fn jobs(&self) -> Result<Vec<Job>, Error> {
        let rows = query(ALL).bind(0_i64).fetch_all(&mut self.reader().await?).await.map_err(unavailable)?;
        rows.iter().map(read_job).collect::<Result<_>>().map_err(unavailable)
    }

    pub async fn running_jobs(&self) -> Result<Vec<Running>, Error> {
        let rows = query(RUNNING).fetch_all(&mut self.reader().await?).await.map_err(unavailable)?;
        let read = |row: &Found| {
            let mut columns = Columns::of(row);
            let (key, what) = (columns.take()?, What::parse(columns.take()?)?);
            Ok(Running { key, what, who: columns.take()?, why: columns.take()?, rate: columns.count()? })
        };
        rows.iter().map(read).collect::<Result<_>>().map_err(unavailable)
    }

    /// What would happen to what is left of the list, and changes nothing.
    pub async fn try_job_dry(&self, job: i64) -> Result<Vec<Dry>, Error> {
        let rows = query(DRY).bind(job).fetch_all(&mut self.reader().await?).await.map_err(unavailable)?;
        let read = |row: &Found| {
            let mut columns = Columns::of(row);
            let recipient = columns.take::<Option<&str>>()?.map(PartyId::new);
            Ok(Dry { recipient, outcome: columns.outcome()?, would: columns.take()?, count: columns.take()? })
        };
        rows.iter().map(read).collect::<Result<_>>().map_err(unavailable)
    }

    async fn job_done(&self, step: Step) -> Result<(), Error> {
        match self.job_step(step).await? {
            Told::Done => Ok(()),
            _ => Err(Error::NoSuchRow),
        }
    }

    async fn job_step(&self, step: Step) -> Result<Told, Error> {
        self.ask(|reply: Reply<Told>| Command::Job { step, reply }).await
    }
}

/// In the writer's transaction.
pub(super) async fn step(connection: &mut Connection, step: Step) -> Result<Told> {
    match step {
        Step::Make(job, now) => make(connection, job, now).await,
        Step::Start(job) => moved(connection, START, job).await,
        Step::Stop(job) => moved(connection, STOP, job).await,
        Step::Take { job, holder, now, lease, limit } => {
            let take = query(TAKE).bind(now.saturating_add(lease)).bind(holder).bind(job).bind(now);
            if take.returning(connection).await?.is_empty() {
                return Ok(Told::Refused);
            }
            let rows = query(LEFT).bind(job).bind(bounded(limit)).fetch_all(connection).await?;
            if rows.is_empty() {
                query(FINISH).bind(job).execute(connection).await?;
            }
            rows.iter().map(read_item).collect::<Result<_>>().map(Told::Items)
        }
        Step::Mark(job, results) => {
            let mark = RESULTS.with(results, move |(place, done), values| {
                values.put(job).put(place).put(if done { "done" } else { "changed" });
            });
            mark.execute(connection).await?;
            Ok(Told::Done)
        }
    }
}

/// What persons decided so goes with whatever else they did: of what was made before, the oldest in each step.
pub(super) async fn forget(connection: &mut Connection, before: i64) -> Result<()> {
    query(FORGET_ITEMS).bind(before).execute(connection).await?;
    query(FORGET).bind(before).execute(connection).await.map(drop)
}

async fn make(connection: &mut Connection, job: NewJob, now: i64) -> Result<Told> {
    let mut frozen = query(FROZEN);
    for outcome in Outcome::ALL.iter().filter(|outcome| !outcome.is_final()) {
        frozen = frozen.bind(job.outcomes.contains(outcome).then(|| outcome.as_str()));
    }
    let frozen = frozen.bind(job.recipient).bind(bounded(job.most)).fetch_all(connection).await?;
    let made = query(MAKE).bind(job.what.as_str()).bind(job.who).bind(job.why).bind(i64::from(job.rate));
    let made = made.bind(now).returning(connection).await?;
    let key: i64 = made.first().map(|row| Columns::of(row).take()).transpose()?.unwrap_or_default();
    let items: Vec<(i64, i64, String, i64)> = frozen
        .iter()
        .zip(1_i64..)
        .map(|(row, place)| {
            let mut columns = Columns::of(row);
            Ok((place, columns.take()?, columns.take()?, columns.take()?))
        })
        .collect::<Result<_>>()?;
    let items = NEW_ITEMS.with(items, move |(place, delivery, outcome, seen), values| {
        values.put(key).put(place).put(delivery).put(outcome).put(seen);
    });
    items.execute(connection).await?;
    Ok(Told::Made(key))
}

async fn moved(connection: &mut Connection, text: &'static str, job: i64) -> Result<Told> {
    let moved = query(text).bind(job).returning(connection).await?;
    Ok(if moved.is_empty() { Told::Refused } else { Told::Done })
}

fn read_item(row: &Found) -> Result<JobItem> {
    let mut columns = Columns::of(row);
    let (place, delivery) = (columns.take()?, DeliveryKey(columns.take()?));
    Ok(JobItem { place, delivery, seen: Seen { outcome: columns.outcome()?, changed_at: columns.timestamp()? } })
}

fn read_job(row: &Found) -> Result<Job> {
    let mut columns = Columns::of(row);
    let (key, what) = (columns.take()?, What::parse(columns.take()?)?);
    let (who, why) = (columns.take()?, columns.take()?);
    let rate = u32::try_from(columns.take::<i64>()?).map_err(undecodable)?;
    let made_at = columns.timestamp()?;
    let state = match columns.take::<&str>()? {
        "frozen" => JobState::Frozen,
        "running" => JobState::Running,
        "stopped" => JobState::Stopped,
        _ => JobState::Finished,
    };
    Ok(Job {
        key,
        what,
        who,
        why,
        rate,
        made_at,
        state,
        count: columns.take()?,
        done: columns.take()?,
        changed: columns.take()?,
    })
}
