//! The core per release notification, stage by stage: `cargo bench --bench core`.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use ketenpoort::catalogue::Sources;
use ketenpoort::check::raw_message;
use ketenpoort::core::Pipeline;
use ketenpoort::directory::Directory;
use ketenpoort::facts::Facts;
use ketenpoort::validation::Limits;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

const KIND: &str = "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1";
const RELEASE: &str = include_str!("../tests/fixtures/invrijheidstelling.xml");

fn pipeline() -> Pipeline {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Sources::read(&root.join("schemas"), &root.join("policies"), &root.join("mappings"));
    let directory = Directory::read(&root.join("deploy/partners")).expect("the shipped directory loads");
    let sources = sources.expect("the shipped files can be read");
    Pipeline::load(&sources, Arc::new(directory), Limits::default(), &[7; 32]).expect("the shipped files load")
}

fn release(c: &mut Criterion) {
    let pipeline = pipeline();
    let now: Timestamp = "2026-11-24T10:00:00Z".parse().expect("a constant");
    let raw = raw_message(&pipeline, "dji", KIND, RELEASE.as_bytes().to_vec(), &BTreeMap::new()).expect("dji");
    let facts: Facts = serde_json::from_str(r#"{"bekend": false}"#).expect("a constant");
    let open = || pipeline.open(&raw, now).expect("a good message");
    let valid = || pipeline.validate(open(), now).expect("a good message");

    let mut group = c.benchmark_group("release");
    group.bench_function("envelope", |b| b.iter(|| black_box(open())));
    group.bench_function("validation", |b| {
        b.iter_batched(open, |envelope| pipeline.validate(envelope, now), BatchSize::SmallInput);
    });
    group.bench_function("policy, answer known", |b| {
        b.iter_batched(valid, |valid| pipeline.decide(valid, Some(&facts), now), BatchSize::SmallInput);
    });
    group.bench_function("minimisation and translation, two recipients", |b| {
        let decided = pipeline.decide(valid(), Some(&facts), now);
        b.iter(|| black_box(pipeline.complete(&decided, None)));
    });
    group.bench_function("whole core", |b| {
        b.iter(|| {
            let decided = pipeline.decide(valid(), Some(&facts), now);
            black_box(pipeline.complete(&decided, None))
        });
    });
    group.finish();
}

criterion_group!(benches, release);
criterion_main!(benches);
