//! Ledgers for one test each: a file in a folder of its own, or a schema of its own on the server that
//! `deploy/postgres.sh` finds or starts.

use super::*;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _};
use std::marker::PhantomData;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

pub struct AtFile;
pub struct OnServer;

/// A place for a ledger of its own, that goes with it.
pub struct Ground<W: Where> {
    pub folder: TempDir,
    pub place: Place,
    kind: PhantomData<W>,
}

/// With the ledger.
pub struct House<W: Where> {
    pub ledger: Ledger,
    pub ground: Ground<W>,
}

pub trait Where {
    fn make(folder: &TempDir) -> impl Future<Output = Place>;
    /// As it is on disk now.
    fn copy(from: &Place, folder: &TempDir) -> impl Future<Output = Place>;
    /// Whether these bytes are anywhere in it.
    fn holds(place: &Place, marker: &[u8]) -> impl Future<Output = bool>;
}

impl<W: Where> Ground<W> {
    pub async fn new() -> Ground<W> {
        let folder = tempfile::tempdir().unwrap();
        Ground { place: W::make(&folder).await, folder, kind: PhantomData }
    }

    pub async fn holds(&self, marker: &[u8]) -> bool {
        W::holds(&self.place, marker).await
    }
}

impl<W: Where> House<W> {
    pub async fn new() -> House<W> {
        let ground = Ground::new().await;
        House { ledger: open(&ground.place).await, ground }
    }

    /// As after a kill: what is on disk now, opened elsewhere by nobody who knows anything.
    pub async fn killed(&self) -> House<W> {
        let folder = tempfile::tempdir().unwrap();
        let place = W::copy(&self.ground.place, &folder).await;
        House { ledger: open(&place).await, ground: Ground { folder, place, kind: PhantomData } }
    }

    pub fn place(&self) -> Place {
        self.ground.place.clone()
    }

    pub async fn holds(&self, marker: &str) -> bool {
        self.ground.holds(marker.as_bytes()).await
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Place {
        place.clone()
    }
}

impl Where for AtFile {
    async fn make(folder: &TempDir) -> Place {
        Place::File(folder.path().join("ledger.db"))
    }

    async fn copy(from: &Place, folder: &TempDir) -> Place {
        for extension in ["db", "db-wal"] {
            let copy = folder.path().join("ledger").with_extension(extension);
            std::fs::copy(path_of(from).with_extension(extension), copy).unwrap();
        }
        AtFile::make(folder).await
    }

    async fn holds(place: &Place, marker: &[u8]) -> bool {
        let in_file = |extension| {
            let bytes = std::fs::read(path_of(place).with_extension(extension)).unwrap_or_default();
            bytes.windows(marker.len()).any(|window| window == marker)
        };
        ["db", "db-wal", "db-shm"].into_iter().any(in_file)
    }
}

pub fn path_of(place: &Place) -> &Path {
    match place {
        Place::File(path) => path,
        Place::Server(..) => panic!("not a file"),
    }
}

pub fn options_of(place: &Place) -> &PgConnectOptions {
    match place {
        Place::Server(options, _) => options,
        Place::File(_) => panic!("not a server"),
    }
}

impl Where for OnServer {
    async fn make(_: &TempDir) -> Place {
        let schema = format!("test_{}_{}", Timestamp::now().as_second(), Uuid::new_v4().simple());
        let options: PgConnectOptions = server().parse().unwrap();
        run(&options, format!("CREATE SCHEMA {schema}")).await;
        Place::Server(Box::new(options.options([("search_path", schema)])), Some(node("een")))
    }

    async fn copy(from: &Place, folder: &TempDir) -> Place {
        let to = OnServer::make(folder).await;
        Store::at(to.clone()).prepare().await.unwrap();
        let (old, new) = (schema(from).await, schema(&to).await);
        let mut text = String::from("BEGIN;");
        for table in tables(from).await.into_iter().filter(|table| table != "ledger") {
            text += &format!("INSERT INTO {new}.{table} OVERRIDING SYSTEM VALUE SELECT * FROM {old}.{table};");
        }
        for table in ["record", "action", "receipt", "purge", "node"] {
            text += &format!(
                "SELECT setval(pg_get_serial_sequence('{new}.{table}', 'key'), max(key)) FROM {new}.{table} HAVING count(*) > 0;"
            );
        }
        run(options_of(&to), text + "COMMIT").await;
        to
    }

    /// Text as it is, bytes as the server writes them.
    async fn holds(place: &Place, marker: &[u8]) -> bool {
        let hex: String = marker.iter().map(|byte| format!("{byte:02x}")).collect();
        let marker = str::from_utf8(marker).unwrap_or(&hex);
        let mut connection = options_of(place).connect().await.unwrap();
        for table in tables(place).await {
            let text =
                format!("SELECT count(*) FROM {table} AS t WHERE strpos(t::text, $1) > 0 OR strpos(t::text, $2) > 0");
            let query = sqlx::query_scalar(AssertSqlSafe(text)).bind(marker).bind(&hex);
            let count: i64 = query.fetch_one(&mut connection).await.unwrap();
            if count > 0 {
                return true;
            }
        }
        false
    }
}

/// A gateway of the tests.
pub fn node(name: &str) -> Node {
    let (lease, longest_attempt) = (Duration::from_secs(60), Duration::from_secs(60));
    Node { name: name.to_owned(), lease, longest_attempt }
}

async fn schema(place: &Place) -> String {
    let mut connection = options_of(place).connect().await.unwrap();
    sqlx::query_scalar("SELECT current_schema()").fetch_one(&mut connection).await.unwrap()
}

async fn tables(place: &Place) -> Vec<String> {
    let mut connection = options_of(place).connect().await.unwrap();
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()";
    sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap()
}

pub async fn run(options: &PgConnectOptions, text: String) {
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Schemas of an hour ago: a test that ends cannot wait until nobody uses its own any more.
const SWEEP: &str = "DO $$ DECLARE old text; BEGIN FOR old IN SELECT nspname FROM pg_namespace WHERE \
    nspname ~ '^test_[0-9]+_' AND split_part(nspname, '_', 2)::bigint < extract(epoch FROM now()) - 3600 \
    LOOP EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', old); END LOOP; END $$";

/// Its URL.
pub fn server() -> &'static str {
    static SERVER: OnceLock<String> = OnceLock::new();
    SERVER.get_or_init(|| {
        let mut script = Process::new("deploy/postgres.sh");
        script.current_dir(env!("CARGO_MANIFEST_DIR")).arg("start").stdin(Stdio::null());
        let output = script.output().unwrap();
        assert!(output.status.success(), "there is no PostgreSQL: {}", String::from_utf8_lossy(&output.stderr));
        let url = String::from_utf8(output.stdout).unwrap().trim().lines().last().unwrap().to_owned();
        let options = url.parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // One of its own, as this is called in another.
        std::thread::spawn(move || runtime.block_on(run(&options, SWEEP.to_owned()))).join().unwrap();
        url
    })
}

/// Holds up the writer, so that what is asked meanwhile becomes one batch.
pub struct Blocked {
    other: Connection,
}

pub async fn blocked<W: Where>(house: &House<W>) -> Blocked {
    let mut other = beside(&house.ground.place).await;
    other.begin(0).await.unwrap();
    let commands = &house.ledger.commands;
    let nothing = Command::ClaimDue { now: 0, limit: 0, lease: 0, reply: oneshot::channel().0 };
    assert!(commands.try_send(nothing).is_ok());
    // Once it has taken this one, it cannot take another.
    while commands.capacity() < commands.max_capacity() {
        tokio::task::yield_now().await;
    }
    Blocked { other }
}

/// Somebody else who may write.
pub async fn beside(place: &Place) -> Connection {
    let store = match place.clone() {
        Place::Server(options, _) => Store::at(Place::Server(options, None)),
        file => Store::at(file),
    };
    store.writer().await.unwrap()
}

impl Blocked {
    /// To be awaited last, beside what is asked.
    pub async fn go(mut self) {
        query("ROLLBACK").execute(&mut self.other).await.unwrap();
    }
}
