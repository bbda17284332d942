//! What the ledger costs per message (accepted, delivered, receipt sent): `cargo bench --bench ledger`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use ketenpoort::category::Category;
use ketenpoort::ledger::{Accepted, Keys, Ledger, NewDelivery, NewMessage, Order, Outgoing, State};
use ketenpoort::outcome::Outcome;
use ketenpoort::party::{PartyId, Role};
use ketenpoort::personal::Personal;
use ketenpoort::receipt::keys::Signer;
use ketenpoort::receipt::{Decision, MessageRef, Receipt, Recipient, Shared, SignedReceipt, Withheld};
use ketenpoort::record::{Pseudonym, Subject};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use uuid::Uuid;

const KIND: &str = "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1";

fn decision() -> Decision {
    let shared = |category| Shared {
        category,
        policy: "re-integratie-melding".to_owned(),
        legal_basis: "Penitentiaire beginselenwet art. 18a jo. Penitentiaire maatregel art. 20d".to_owned(),
        status: "bevestigd".to_owned(),
    };
    let withheld = |category| Withheld { category, reason: "geen grondslag voor deze ontvanger".to_owned() };
    Decision {
        shared: Category::ALL.iter().take(5).copied().map(shared).collect(),
        withheld: Category::ALL.iter().skip(5).take(4).copied().map(withheld).collect(),
        notes: Vec::new(),
    }
}

fn message(number: u64, volatile: bool, raw: usize, body: usize) -> NewMessage {
    let id = Uuid::new_v4().to_string();
    let source = "urn:nld:oin:00000099000000001000:systeem:tulp".to_owned();
    let mut key = [0; 32];
    key[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    let digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:".to_owned();
    let outgoing = Outgoing {
        kind: KIND.to_owned(),
        content_type: "application/json".to_owned(),
        body: Personal::new(vec![b'x'; body]),
        digest: digest.clone(),
    };
    NewMessage {
        id: id.clone(),
        kind: Some(KIND.to_owned()),
        sender: PartyId::new("dji"),
        digest: [7; 32],
        conflict: false,
        received_at: Timestamp::now(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        caller: None,
        order: Some(Order { key, sequence: i64::try_from(number).expect("small") }),
        subject: Subject {
            bsn: Some(Pseudonym(*Uuid::new_v4().as_bytes())),
            skn: Some(Pseudonym(*Uuid::new_v4().as_bytes())),
        },
        record: None,
        mark: None,
        message_ref: MessageRef {
            r#type: Some(KIND.to_owned()),
            source: Some(source.clone()),
            id: Some(id),
            digest,
            signature: None,
        },
        source,
        policy_version: "3f9a5e0c11d2".to_owned(),
        mapping_version: "77ab01cd-90ef3412".to_owned(),
        raw: Personal::new(vec![b'r'; raw]),
        deliveries: vec![NewDelivery {
            idempotency_key: Uuid::new_v4(),
            recipient: Some((PartyId::new("gemeente:0363"), Role::new("gemeente-college"))),
            decision: decision(),
            volatile,
            state: State::Ready(outgoing),
        }],
    }
}

/// Begins with the time, as the gateway's own do.
fn receipt_id(message: &NewMessage) -> Uuid {
    let mut bytes = *Uuid::new_v4().as_bytes();
    bytes[..6].copy_from_slice(&message.received_at.as_millisecond().to_be_bytes()[2..]);
    Uuid::new_v8(bytes)
}

fn receipt(signer: &Signer, message: &NewMessage) -> SignedReceipt {
    signer.sign(&Receipt {
        id: receipt_id(message),
        issuer: "urn:nld:oin:00000099000000009000:systeem:ketenpoort".to_owned(),
        message: message.message_ref.clone(),
        outcome: Outcome::Delivered,
        reason: None,
        recipient: message.deliveries[0].recipient.clone().map(|(party, role)| Recipient { party, role }),
        decision: message.deliveries[0].decision.clone(),
        forwarded_digest: Some(message.message_ref.digest.clone()),
        policy_version: message.policy_version.clone(),
        mapping_version: message.mapping_version.clone(),
        time: Timestamp::now(),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
    })
}

async fn one(ledger: &Ledger, message: NewMessage, receipt: SignedReceipt) {
    let accepted = ledger.accept(message).await.expect("the ledger takes it");
    let Accepted::New { deliveries, .. } = accepted else { unreachable!("every message is another one") };
    ledger.delivered(deliveries[0], receipt, Timestamp::now()).await.expect("the ledger takes it");
    ledger.receipt_sent(deliveries[0]).await.expect("the ledger takes it");
}

/// Time on a processor, of all threads together.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this is Linux");
    let spent = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    Duration::from_nanos(tasks.filter_map(spent).sum())
}

/// What all of it together takes of a clock, with so many messages in flight at once.
fn run(
    runtime: &Runtime,
    ledger: &Ledger,
    in_flight: usize,
    work: Vec<(NewMessage, SignedReceipt)>,
    clock: fn() -> Duration,
) -> Duration {
    let work = Arc::new(Mutex::new(work));
    let before = clock();
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..in_flight {
            let (ledger, work) = (ledger.clone(), work.clone());
            tasks.spawn(async move {
                while let Some((message, receipt)) = next(&work) {
                    one(&ledger, message, receipt).await;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("nobody panics");
        }
    });
    clock() - before
}

fn next<T>(work: &Mutex<Vec<T>>) -> Option<T> {
    work.lock().expect("nobody panics").pop()
}

fn wall() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}

fn per_message(c: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("a folder");
    let key = folder.path().join("key.pem");
    Signer::generate(&key).expect("a key");
    let signer = Signer::read(&key).expect("a key");
    let keys = Keys::parse(&Keys::generate().expect("a key")).expect("a key");
    let max_batch = NonZeroUsize::new(256).expect("not zero");
    let numbers = AtomicU64::new(1);
    let mut group = c.benchmark_group("message");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(10));
    // The first two are what most messages are; the last are those that are decided anew before a later attempt.
    let cases = [("100 in flight", 100, false), ("400 in flight", 400, false), ("400 in flight, raw kept", 400, true)];
    for (name, in_flight, volatile) in cases {
        for (clock_name, clock) in [("processor", processor_time as fn() -> Duration), ("wall", wall)] {
            let path = folder.path().join(format!("{name} {clock_name}.db"));
            let ledger = runtime.block_on(Ledger::open(&path, max_batch, keys.clone())).expect("a new ledger");
            group.bench_function(format!("{name}, {clock_name}"), |b| {
                b.iter_custom(|count| {
                    let make = |_| {
                        let message = message(numbers.fetch_add(1, Ordering::Relaxed), volatile, 3_500, 2_000);
                        let receipt = receipt(&signer, &message);
                        (message, receipt)
                    };
                    run(&runtime, &ledger, in_flight, (0..count).map(make).collect(), clock)
                });
            });
            runtime.block_on(ledger.close());
        }
    }
    group.finish();
}

criterion_group!(benches, per_message);
criterion_main!(benches);
