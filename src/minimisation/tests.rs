use super::*;
use crate::category::{Category, CategorySet};
use crate::validation::schema::Schema;
use serde_json::json;

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
