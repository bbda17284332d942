//! A ledger with a log, for tests: real files, real keys, real receipts.

use super::append::{Appender, Progress};
use super::head::Head;
use super::verify::{Measure, Report, walk};
use super::{Error, head};
use crate::code::Code;
use crate::ledger::{Accepted, DeliveryKey, Keys, Ledger, NewDelivery, NewMessage, Order, State};
use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::personal::Personal;
use crate::receipt::keys::{KeySet, Signer};
use crate::receipt::{Decision, MessageRef, Receipt, Recipient, SignedReceipt};
use crate::record::{Pseudonym, Subject};
use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use uuid::Uuid;

pub const ISSUER: &str = "urn:nld:oin:00000099000900000000:systeem:ketenpoort";
pub const KEY: &str = "a2V0ZW5wb29ydCBzbGV1dGVsIHZvb3IgZGUgdG9ldHM=";
pub const NEWER_KEY: &str = "a2V0ZW5wb29ydCBzbGV1dGVsIG5hIGRlIHdpc3NlbHM=";

pub struct Scene {
    pub folder: TempDir,
    pub ledger: Ledger,
    pub signer: Signer,
    pub ledger_keys: Keys,
    pub progress: Progress,
}

/// Days after a day.
pub fn day(days: i64) -> Timestamp {
    "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * days)
}

pub fn person(bsn: Option<u8>, skn: Option<u8>) -> Subject {
    let pseudonym = |number: u8| Pseudonym([number; 16]);
    Subject { bsn: bsn.map(pseudonym), skn: skn.map(pseudonym) }
}

fn keys(texts: &[&str]) -> Keys {
    Keys::parse(&texts.join("\n")).unwrap()
}

async fn open(path: &Path, ledger_keys: &Keys) -> Ledger {
    Ledger::open(path, NonZeroUsize::new(64).unwrap(), ledger_keys.clone()).await.unwrap()
}

impl Scene {
    pub async fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        Signer::generate(&key).unwrap();
        let ledger_keys = keys(&[KEY]);
        let ledger = open(&folder.path().join("ledger.db"), &ledger_keys).await;
        let signer = Signer::read(&key).unwrap();
        Scene { folder, ledger, signer, ledger_keys, progress: Progress::new(day(0)) }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    pub fn keys(&self) -> KeySet {
        KeySet { keys: vec![self.signer.key()] }
    }

    /// As after a kill: what is on disk now, taken up by nobody who knows anything.
    pub async fn killed(&self) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ledger.db", "ledger.db-wal", "key.pem"] {
            let _ = std::fs::copy(self.folder.path().join(name), folder.path().join(name));
        }
        let ledger = open(&folder.path().join("ledger.db"), &self.ledger_keys).await;
        let signer = Signer::read(&folder.path().join("key.pem")).unwrap();
        Scene { folder, ledger, signer, ledger_keys: self.ledger_keys.clone(), progress: Progress::new(day(0)) }
    }

    pub async fn reopened(self, ledger_keys: &[&str]) -> Scene {
        self.ledger.close().await;
        let ledger_keys = keys(ledger_keys);
        let ledger = open(&self.path(), &ledger_keys).await;
        Scene { ledger, ledger_keys, ..self }
    }

    pub fn appender(&self) -> Appender<'_> {
        Appender::new(&self.ledger, &self.signer, ISSUER, &self.ledger_keys, &self.progress)
    }

    /// A message that was refused then, whose receipt went out.
    pub async fn refused(&self, id: &str, subject: Subject, at: Timestamp) -> SignedReceipt {
        let (receipt, key) = self.accepted(id, subject, at).await;
        self.ledger.receipt_sent(key).await.unwrap();
        receipt
    }

    async fn accepted(&self, id: &str, subject: Subject, at: Timestamp) -> (SignedReceipt, DeliveryKey) {
        let message_ref = MessageRef {
            r#type: Some("nl.ketenpoort.test.v1".to_owned()),
            source: Some("urn:nld:oin:00000099000000001000:systeem:tulp".to_owned()),
            id: Some(id.to_owned()),
            digest: "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:".to_owned(),
            signature: None,
        };
        let recipient = (PartyId::new("gemeente:0363"), Role::new("gemeente-college"));
        let reason = Reason::new(Code::NoGround, Code::NoGround.hint());
        let receipt = self.signer.sign(&Receipt {
            id: Uuid::new_v4(),
            issuer: ISSUER.to_owned(),
            message: message_ref.clone(),
            outcome: Outcome::Refused,
            reason: Some(reason.clone()),
            recipient: Some(Recipient { party: recipient.0.clone(), role: recipient.1.clone() }),
            decision: Decision::default(),
            forwarded_digest: None,
            policy_version: "p1".to_owned(),
            mapping_version: "m1".to_owned(),
            time: at,
            trace_id: None,
        });
        let accepted = self.ledger.accept(NewMessage {
            source: message_ref.source.clone().unwrap(),
            id: id.to_owned(),
            kind: message_ref.r#type.clone(),
            sender: PartyId::new("dji"),
            digest: [1; 32],
            conflict: false,
            received_at: at,
            traceparent: None,
            caller: None,
            order: Some(Order { key: subject.bsn.map_or([0; 32], |bsn| [bsn.0[0]; 32]), sequence: at.as_second() }),
            subject,
            record: None,
            mark: None,
            message_ref,
            policy_version: "p1".to_owned(),
            mapping_version: "m1".to_owned(),
            raw: Personal::new(Vec::new()),
            deliveries: vec![NewDelivery {
                idempotency_key: Uuid::new_v4(),
                recipient: Some(recipient),
                decision: Decision::default(),
                volatile: false,
                state: State::Final { outcome: Outcome::Refused, reason, receipt: receipt.clone() },
            }],
        });
        let Accepted::New { deliveries, .. } = accepted.await.unwrap() else { panic!("every message is another one") };
        (receipt, deliveries[0])
    }

    /// Everything that waits comes into the tree.
    pub async fn logged(&self) -> Head {
        self.try_logged().await.unwrap()
    }

    pub async fn try_logged(&self) -> Result<Head, Error> {
        let mut appender = self.appender();
        while appender.step(day(0)).await? > 0 {}
        Ok(self.ledger.log().await?.newest_head().await?.unwrap())
    }

    pub async fn verified(&self) -> Report {
        self.verified_since(None).await
    }

    pub async fn verified_since(&self, held: Option<&Head>) -> Report {
        self.verified_kept(held, day(-1)).await
    }

    /// Where what ended before then may be gone.
    pub async fn verified_kept(&self, held: Option<&Head>, kept_since: Timestamp) -> Report {
        let keys = self.keys();
        let since = held.map(|held| head::verify(&held.jws, &keys).unwrap());
        let kept_since = kept_since.as_microsecond();
        let measure = Measure { keys: &keys, ledger: &self.ledger_keys, since, kept_since };
        walk(&self.ledger, &measure, |_, _| ()).await.unwrap()
    }

    /// Behind the ledger's back, as somebody does who can write the file.
    pub async fn tamper(&self, sql: &str) -> u64 {
        let mut other = self.other().await;
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        done.rows_affected()
    }

    pub async fn other(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.path()).connect().await.unwrap()
    }

    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.other().await).await.unwrap()
    }

    pub async fn text(&self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.other().await).await.unwrap()
    }
}
