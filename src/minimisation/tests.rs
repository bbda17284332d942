use super::*;
use crate::catalogue::{MessageType, Sources, TYPE_PREFIX};
use crate::category::{Category, CategorySet};
use crate::check::raw_message;
use crate::core::Pipeline;
use crate::directory::Directory;
use crate::validation::Limits;
use crate::validation::formats::is_bsn;
use crate::validation::schema::Schema;
use jiff::civil::date;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn shape() -> Shape {
    let schema = json!({
        "type": "object",
        "properties": {
            "kenmerk": {"x-stuurgegeven": true},
            "naam": {"x-categorie": "identificatie"},
            "bsn": {"format": "bsn", "x-categorie": "persoonsnummers"},
            "skn": {"x-categorie": "persoonsnummers"},
            "vonnis": {"properties": {
                "datum": {"x-categorie": "vonnis"},
                "voorwaarden": {"items": {"x-categorie": "vonnis"}},
            }},
            "contacten": {"items": {"properties": {
                "naam": {"x-categorie": "netwerk"},
                "adres": {"x-categorie": "adres"},
            }}},
        },
    });
    Schema::compile(&schema.to_string()).unwrap().shape
}

fn full() -> Value {
    json!({
        "kenmerk": "k",
        "naam": "n",
        "bsn": "999993653",
        "skn": "1",
        "vonnis": {"datum": "d", "voorwaarden": ["a", "b"]},
        "contacten": [{"naam": "c1", "adres": "a1"}, {"naam": "c2"}],
    })
}

fn kept(categories: &[Category], bsn: bool, content: &Value) -> Value {
    let grant = Grant::of(categories.iter().copied().collect(), bsn);
    minimise(content, &shape(), &grant).document().clone()
}

#[test]
fn what_is_granted_stays_and_nothing_else() {
    use Category::*;
    let table: &[(&[Category], bool, Value)] = &[
        (&[], true, json!({"kenmerk": "k"})),
        (&[Identificatie], true, json!({"kenmerk": "k", "naam": "n"})),
        (&[Persoonsnummers], true, json!({"kenmerk": "k", "bsn": "999993653", "skn": "1"})),
        (&[Persoonsnummers], false, json!({"kenmerk": "k", "skn": "1"})),
        (&[Vonnis], false, json!({"kenmerk": "k", "vonnis": {"datum": "d", "voorwaarden": ["a", "b"]}})),
        (&[Adres], false, json!({"kenmerk": "k", "contacten": [{"adres": "a1"}]})),
        (&[Zorg, Slachtoffer], false, json!({"kenmerk": "k"})),
        (Category::ALL, true, full()),
    ];
    for (categories, bsn, expected) in table {
        assert_eq!(kept(categories, *bsn, &full()), *expected, "{categories:?} {bsn}");
    }
}

#[test]
fn what_the_schema_does_not_know_does_not_survive() {
    let strange = json!({
        "naam": {"achter": "een object waar tekst hoort"},
        "skn": ["een lijst"],
        "bsn": null,
        "vonnis": "tekst waar een object hoort",
        "contacten": {"naam": "een object waar een lijst hoort"},
        "extra": "n",
    });
    assert_eq!(kept(Category::ALL, true, &strange), json!({}));
    assert_eq!(kept(Category::ALL, true, &json!("tekst")), json!({}));
}

#[test]
fn what_a_document_holds_is_told_per_category() {
    use Category::*;
    let table = [
        (full(), vec![Identificatie, Persoonsnummers, Adres, Vonnis, Netwerk]),
        (json!({"kenmerk": "k"}), vec![]),
        (json!({"contacten": [{"naam": "c"}], "vonnis": {"voorwaarden": []}}), vec![Netwerk]),
    ];
    for (content, expected) in table {
        let expected: CategorySet = expected.into_iter().collect();
        assert_eq!(present(&content, &shape()), expected, "{content}");
    }
}

/// Every text of a document with the category of its field.
fn values(content: &Value, shape: &Shape, found: &mut Vec<(Option<Category>, String)>) {
    match (shape, content) {
        (Shape::Leaf(leaf), Value::String(text)) => found.push((leaf.category, text.clone())),
        (Shape::Object(fields), Value::Object(map)) => {
            map.iter().for_each(|(name, value)| fields.get(name).into_iter().for_each(|f| values(value, f, found)));
        }
        (Shape::Array(items), Value::Array(list)) => list.iter().for_each(|v| values(v, items, found)),
        _ => {}
    }
}

/// The content of each shipped type as it stands before minimisation: of its fullest message, or of its answer.
fn contents(pipeline: &Pipeline, sources: &Sources) -> Vec<(Arc<MessageType>, Value)> {
    let facts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/feiten.json");
    let facts: Value = serde_json::from_slice(&std::fs::read(facts).unwrap()).unwrap();
    let content = |kind: &Arc<MessageType>| {
        if kind.answer.is_some() {
            let known = json!({"bekend": true, "mate": "lopend_kader", "organisatie": "Exodus"});
            return json!({"kenmerk": "K-1", "bekendheid": known, "gegevens": facts["gegevens"]});
        }
        let folder = kind.kind.strip_prefix(TYPE_PREFIX).unwrap();
        let file = ["xml", "json"].map(|ending| format!("{folder}/cases/volledig.{ending}"));
        let text = file.iter().find_map(|file| sources.mappings.get(file));
        let text = text.unwrap_or_else(|| panic!("{folder}/cases has no full message, volledig.xml or .json"));
        let sender = pipeline.directory.parties().find(|p| p.roles.contains(&kind.from[0])).unwrap();
        let body = text.clone().into_bytes();
        let raw = raw_message(pipeline, sender.id.as_str(), &kind.kind, body, &BTreeMap::new()).unwrap();
        let now = "2026-11-24T10:00:00Z".parse().unwrap();
        let valid = pipeline.validate(pipeline.open(&raw, now).unwrap(), now).unwrap();
        valid.content.reveal_personal_data().clone()
    };
    // A list is split, a record is kept: neither goes to anybody.
    let sent_on = pipeline.catalogue.types().filter(|kind| kind.split.is_none() && kind.record.is_none());
    sent_on.map(|kind| (kind.clone(), content(kind))).collect()
}

#[test]
fn whatever_is_granted_nothing_else_comes_through_any_mapping() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Sources::read(&root.join("schemas"), &root.join("policies"), &root.join("mappings")).unwrap();
    let directory = Arc::new(Directory::read(&root.join("deploy/partners")).unwrap());
    let pipeline = Pipeline::load(&sources, directory, Limits::default(), &[7; 32]).unwrap();
    let mut rng = fastrand::Rng::with_seed(39);
    for (kind, content) in contents(&pipeline, &sources) {
        let shape = &kind.forwarded().shape;
        let mut all = Vec::new();
        values(&content, shape, &mut all);
        let mut translated = 0;
        for _ in 0..300 {
            let most = rng.u8(1..=8);
            let granted: CategorySet = Category::ALL.iter().copied().filter(|_| rng.u8(..8) < most).collect();
            let grant = Grant::of(granted, rng.bool());
            let minimised = minimise(&content, shape, &grant);
            let kept = minimised.document().to_string();
            let may_stay = |(category, text): &&(Option<Category>, String)| match category {
                Some(category) => granted.contains(*category) && (grant.permits_bsn() || !is_bsn(text)),
                None => true,
            };
            // What stands in a granted field too, or is too short to tell, says nothing about a leak.
            let stays: Vec<&str> = all.iter().filter(may_stay).map(|(_, text)| text.as_str()).collect();
            let secret = |text: &&str| text.len() > 4 && !stays.iter().any(|stays| stays.contains(*text));
            let secrets: Vec<&str> =
                all.iter().filter(|v| !may_stay(v)).map(|(_, text)| text.as_str()).filter(secret).collect();
            let leaked =
                |out: &str| secrets.iter().find(|s| out.contains(**s) || out.contains(&s.replace('-', ""))).copied();
            assert_eq!(leaked(&kept), None, "{} {granted:?}", kind.kind);
            assert!(stays.iter().all(|text| kept.contains(&*json!(text).to_string())), "{} {granted:?}", kind.kind);
            for out in &kind.out {
                let Ok(done) = out.mapping.translate(&minimised, &kind.kind, date(2026, 11, 24)) else { continue };
                translated += 1;
                let body = String::from_utf8(done.outgoing.body.into_personal_data()).unwrap();
                assert_eq!(leaked(&body), None, "{} {} {granted:?}", kind.kind, out.format_name);
                assert_eq!(done.shared.minus(granted), CategorySet::EMPTY, "{} {}", kind.kind, out.format_name);
            }
        }
        assert!(translated > 20, "{}: only {translated} translations", kind.kind);
    }
}
