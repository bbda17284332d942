//! What the disclosure log costs, and how long `ledger verify` walks a million entries: `cargo bench --bench log`.
//! `LOG_ENTRIES=10000` makes fewer of them.

use jiff::Timestamp;
use ketenpoort::code::Code;
use ketenpoort::disclosurelog::append::{AT_ONCE, Appender, Progress};
use ketenpoort::disclosurelog::verify::{Measure, walk};
use ketenpoort::ledger::{Accepted, Keys, Ledger, NewDelivery, NewMessage, State};
use ketenpoort::outcome::{Outcome, Reason};
use ketenpoort::party::{PartyId, Role};
use ketenpoort::personal::Personal;
use ketenpoort::receipt::keys::{KeySet, Signer};
use ketenpoort::receipt::{Decision, MessageRef, Receipt, Recipient, Withheld};
use ketenpoort::record::{Pseudonym, Subject};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;
use uuid::Uuid;

const ISSUER: &str = "urn:nld:oin:00000099000000009000:systeem:ketenpoort";
const PERSONS: u64 = 50_000;

/// Refused, with the receipt that says so.
fn message(number: u64, signer: &Signer) -> NewMessage {
    let now = Timestamp::now();
    let digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:".to_owned();
    let kind = "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1".to_owned();
    let source = "urn:nld:oin:00000099000000001000:systeem:tulp".to_owned();
    let message_ref = MessageRef {
        r#type: Some(kind.clone()),
        source: Some(source.clone()),
        id: Some(Uuid::new_v4().to_string()),
        digest,
        signature: None,
    };
    let withheld = |category| Withheld { category, reason: "geen grondslag voor deze ontvanger".to_owned() };
    let recipient = (PartyId::new("gemeente:0363"), Role::new("gemeente-college"));
    let decision = Decision {
        shared: Vec::new(),
        withheld: ketenpoort::category::Category::ALL.iter().take(8).copied().map(withheld).collect(),
        notes: Vec::new(),
    };
    let reason = Reason::new(Code::NoGround, Code::NoGround.hint());
    let mut id = *Uuid::new_v4().as_bytes();
    id[..6].copy_from_slice(&now.as_millisecond().to_be_bytes()[2..]);
    let receipt = signer.sign(&Receipt {
        id: Uuid::new_v8(id),
        issuer: ISSUER.to_owned(),
        message: message_ref.clone(),
        outcome: Outcome::Refused,
        reason: Some(reason.clone()),
        recipient: Some(Recipient { party: recipient.0.clone(), role: recipient.1.clone() }),
        decision: decision.clone(),
        forwarded_digest: None,
        policy_version: "3f9a5e0c11d2".to_owned(),
        mapping_version: "77ab01cd-90ef3412".to_owned(),
        time: now,
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
    });
    let mut pseudonym = [0; 16];
    pseudonym[..8].copy_from_slice(&((number % PERSONS).wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes());
    NewMessage {
        source,
        id: message_ref.id.clone().unwrap_or_default(),
        kind: Some(kind),
        sender: PartyId::new("dji"),
        digest: [7; 32],
        conflict: false,
        received_at: now,
        traceparent: None,
        caller: None,
        order: None,
        subject: Subject { bsn: Some(Pseudonym(pseudonym)), skn: None },
        record: None,
        mark: None,
        message_ref,
        policy_version: "3f9a5e0c11d2".to_owned(),
        mapping_version: "77ab01cd-90ef3412".to_owned(),
        raw: Personal::new(Vec::new()),
        deliveries: vec![NewDelivery {
            idempotency_key: Uuid::new_v4(),
            recipient: Some(recipient),
            decision,
            volatile: false,
            state: State::Final { outcome: Outcome::Refused, reason, receipt },
        }],
    }
}

async fn fill(ledger: &Ledger, signer: &Arc<Signer>, count: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..256 {
        let (ledger, signer, next) = (ledger.clone(), signer.clone(), next.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                let accepted = ledger.accept(message(number, &signer)).await.expect("the ledger takes it");
                let Accepted::New { deliveries, .. } = accepted else { unreachable!("every message is another one") };
                ledger.receipt_sent(deliveries[0]).await.expect("the ledger takes it");
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("nobody panics");
    }
}

/// The most memory since the last time that this was asked.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim().to_owned();
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    peak
}

fn main() {
    // `cargo test` runs benches too, to see that they start.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let count = std::env::var("LOG_ENTRIES").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("a folder");
    let key = folder.path().join("key.pem");
    Signer::generate(&key).expect("a key");
    let signer = Arc::new(Signer::read(&key).expect("a key"));
    let keys = Keys::parse(&Keys::generate().expect("a key")).expect("a key");
    let path = folder.path().join("ledger.db");
    runtime.block_on(async {
        let ledger = Ledger::open(&path, NonZeroUsize::MIN.saturating_add(255), keys.clone()).await.expect("a ledger");
        let start = Instant::now();
        fill(&ledger, &signer, count).await;
        println!("recorded   {count} messages in {:.1?}", start.elapsed());

        let progress = Progress::new(Timestamp::now());
        let mut appender = Appender::new(&ledger, &signer, ISSUER, &keys, &progress);
        peak_memory();
        let start = Instant::now();
        while appender.step(Timestamp::now()).await.expect("the log grows") == AT_ONCE {}
        let took = start.elapsed();
        println!("appended   in {took:.1?}: {:.1?} an entry, peak {}", took.div_f64(count as f64), peak_memory());

        let key_set = KeySet { keys: vec![signer.key()] };
        let measure = Measure { keys: &key_set, ledger: &keys, since: None, kept_since: i64::MIN };
        let start = Instant::now();
        let report = walk(&ledger, &measure, |_, _| ()).await.expect("the log can be read");
        let took = start.elapsed();
        assert!(report.is_clean() && report.entries == count, "{report:?}");
        println!("verified   in {took:.1?}: {:.1?} an entry, peak {}", took.div_f64(count as f64), peak_memory());
        let size = std::fs::metadata(&path).map_or(0, |file| file.len());
        println!("the file has {} MB, {} bytes an entry", size / 1_000_000, size / count.max(1));
        ledger.close().await;
    });
}
