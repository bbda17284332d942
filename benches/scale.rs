//! What a message costs where there are few rules and few message types, and where there are many:
//! `cargo bench --bench scale`.
//!
//! 342 municipalities and 41 houses stand in the directory either way. `decided` is a message in a gateway that
//! runs; `first` is the first of its kind since the rules were loaded, which asks every policy.

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use ketenpoort::catalogue::Sources;
use ketenpoort::check::raw_message;
use ketenpoort::core::Pipeline;
use ketenpoort::directory::Directory;
use ketenpoort::facts::Facts;
use ketenpoort::policy::{self, Engine};
use ketenpoort::validation::Limits;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

const KIND: &str = "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1";
const FOLDER: &str = "detentie.invrijheidstelling-aangekondigd.v1";
const RELEASE: &str = include_str!("../tests/fixtures/invrijheidstelling.xml");
/// Policies and message types.
const SIZES: [(usize, usize); 2] = [(16, 20), (160, 200)];
/// What the message needs; the others are made up to the number.
const NEEDED: [&str; 3] = ["detentie.cedar", "verboden.cedar", "ketenpoort.cedarschema"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(policies: usize, types: usize) -> Sources {
    let shipped = Sources::read(&root().join("schemas"), &root().join("policies"), &root().join("mappings"));
    let mut sources = shipped.expect("the shipped files can be read");
    sources.policies.retain(|file, _| NEEDED.contains(&file.as_str()));
    let rules = sources.policies.values().map(|text| text.matches("@id(").count()).sum::<usize>();
    let more: String = (rules..policies).map(rule).collect();
    sources.policies.insert("more.cedar".to_owned(), more);

    let prefix = format!("{FOLDER}/");
    let message: Vec<_> = sources.mappings.iter().filter(|(file, _)| file.starts_with(&prefix)).collect();
    let message: Vec<_> = message.into_iter().map(|(file, text)| (file.clone(), text.clone())).collect();
    let shipped = sources.mappings.keys().filter(|file| file.ends_with("/message.yaml")).count();
    for n in shipped..types {
        let named = |text: &str| text.replace(FOLDER, &format!("schaal.bericht-{n}.v1"));
        for (file, text) in message.iter().filter(|(file, _)| !file.contains("/cases/")) {
            // The schemas serve all of them.
            let text = text.replace(KIND, &named(KIND));
            sources.mappings.insert(named(file), text);
        }
    }
    sources
}

/// As those that ship: about one message, one sender and one recipient.
fn rule(n: usize) -> String {
    format!(
        r#"
@id("schaal-{n}") @title("Schaal {n}") @legal_basis("geen") @source("benchmark") @status("te bevestigen")
permit (principal == Rol::"gemeente-college", action == Action::"verstrekken", resource) when {{
  resource in [Categorie::"identificatie", Categorie::"adres", Categorie::"detentie"] &&
  context.bericht == "schaal.bericht-{n}" && context.afzender == "dji" && context.bron == "afzender" &&
  context.ontvanger.gemeente_van_brp
}};"#
    )
}

fn scale(c: &mut Criterion) {
    let directory = Arc::new(Directory::read(&root().join("deploy/partners")).expect("the shipped directory loads"));
    let now: Timestamp = "2026-11-24T10:00:00Z".parse().expect("a constant");
    let facts: Facts = serde_json::from_str(r#"{"bekend": false}"#).expect("a constant");
    let mut group = c.benchmark_group("scale");
    for (policies, types) in SIZES {
        let sources = sources(policies, types);
        let pipeline = Pipeline::load(&sources, directory.clone(), Limits::default(), &[7; 32]);
        let pipeline = pipeline.expect("the files fit together");
        assert_eq!((pipeline.engine.policies().count(), pipeline.catalogue.types().count()), (policies, types));
        let raw = raw_message(&pipeline, "dji", KIND, RELEASE.as_bytes().to_vec(), &BTreeMap::new()).expect("dji");
        let valid =
            || pipeline.validate(pipeline.open(&raw, now).expect("a good message"), now).expect("a good message");
        let name = format!("{policies} policies, {types} message types");
        group.bench_function(BenchmarkId::new("decided", &name), |b| {
            b.iter(|| black_box(pipeline.complete(&pipeline.decide(valid(), Some(&facts), now), None)));
        });
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("first", &name), |b| {
            let fresh = || (Engine::load(&sources).expect("the policies load"), valid());
            b.iter_batched(
                fresh,
                |(engine, valid)| policy::decide(valid, Some(&facts), &engine, &directory, &pipeline.catalogue, now),
                BatchSize::PerIteration,
            );
        });
        group.sample_size(100);
    }
    group.finish();
}

criterion_group!(benches, scale);
criterion_main!(benches);
