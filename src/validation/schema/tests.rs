use super::*;
use serde_json::json;

fn compile(schema: &Value) -> Schema {
    Schema::compile(&schema.to_string()).unwrap()
}

#[test]
fn everything_wrong_is_told_in_order_of_place_and_without_values() {
    let schema = compile(&json!({
        "type": "object", "additionalProperties": false, "required": ["a", "b"],
        "properties": {
            "a": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
            "b": {"type": "string"},
            "bsn": {"type": "string", "format": "bsn"},
            "kort": {"type": "string", "format": "bsn-met-of-zonder-nul"},
            "gemeente": {"type": "string", "format": "gemeentecode"},
            "dag": {"type": "string", "format": "date"},
            "tijd": {"type": "string", "format": "date-time"},
            "geboren": {"type": "string", "format": "geboortedatum"},
            "stuf": {"type": "string", "format": "stuf-datum"},
            "oin": {"type": "string", "format": "oin"},
            "keus": {"enum": ["ja", "nee"]},
            "vast": {"const": 1},
            "lijst": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "integer"}},
        },
    }));
    let table: &[(Value, &[&str])] = &[
        (json!({"a": "abc", "b": ""}), &[]),
        (json!({}), &["KP-2005 /a", "KP-2005 /b"]),
        (json!([]), &["KP-2007 "]),
        (json!({"a": "ABCDE", "b": 1}), &["KP-2007 /a", "KP-2007 /a", "KP-2007 /b"]),
        (json!({"a": "abc", "b": "", "c": 1, "d": 2}), &["KP-2006 /c", "KP-2006 /d"]),
        (json!({"a": "abc", "b": "", "999993653": 1}), &["KP-2006 /(a field with an unusual name)"]),
        (json!({"a": "abc", "b": "", "bsn": "123456789", "kort": "1234567"}), &["KP-2008 /bsn", "KP-2008 /kort"]),
        (json!({"a": "abc", "b": "", "bsn": "010000008", "kort": "10000008"}), &[]),
        (json!({"a": "abc", "b": "", "bsn": 999993653}), &["KP-2007 /bsn"]),
        (json!({"a": "abc", "b": "", "gemeente": "599", "oin": "1"}), &["KP-2009 /gemeente", "KP-2007 /oin"]),
        (
            json!({"a": "abc", "b": "", "dag": "2026-02-30", "tijd": "2026-02-03", "geboren": "0000", "stuf": "20260230"}),
            &["KP-2010 /dag", "KP-2010 /geboren", "KP-2010 /stuf", "KP-2010 /tijd"],
        ),
        (json!({"a": "abc", "b": "", "keus": "misschien", "vast": 2}), &["KP-2007 /keus", "KP-2007 /vast"]),
        (json!({"a": "abc", "b": "", "lijst": []}), &["KP-2007 /lijst"]),
        (json!({"a": "abc", "b": "", "lijst": [1, "2", 3]}), &["KP-2007 /lijst", "KP-2007 /lijst/1"]),
    ];
    for (document, expected) in table {
        let problems = schema.problems(document);
        let found: Vec<String> = problems.iter().map(|p| format!("{} {}", p.code, p.place)).collect();
        assert_eq!(found, *expected, "{document}");
        for secret in ["ABCDE", "123456789", "999993653", "misschien", "2026-02-30"] {
            assert!(!problems.iter().any(|p| p.hint.contains(secret)), "{problems:?}");
        }
    }
}

#[test]
fn the_shape_knows_category_bookkeeping_and_bsn_of_every_field() {
    let schema = compile(&json!({
        "type": "object",
        "$defs": {
            "tekst": {"type": "string"},
            "bsn": {"type": "string", "format": "bsn", "x-categorie": "persoonsnummers"},
        },
        "properties": {
            "a": {"$ref": "#/$defs/tekst", "x-categorie": "zorg"},
            "b": {"$ref": "#/$defs/bsn"},
            "c": {"$ref": "#/$defs/tekst", "format": "bsn", "x-categorie": "persoonsnummers"},
            "d": {"$ref": "#/$defs/tekst", "x-stuurgegeven": true},
            "e": {"type": "array", "items": {"type": "string"}, "x-categorie": "kind"},
            "f": {"type": "array", "items": {"properties": {"g": {"x-categorie": "adres"}}}},
            "h": {"type": "string"},
            "i": {"type": "string", "x-categorie": "zorg", "x-stuurgegeven": true},
        },
    }));
    let mut leaves = Vec::new();
    schema.shape.leaves("", &mut |place, leaf| {
        leaves.push((place.to_owned(), leaf.category.map_or("", Category::as_str), leaf.control, leaf.bsn));
    });
    let row = |place: &str, category: &'static str, control, bsn| (place.to_owned(), category, control, bsn);
    assert_eq!(
        leaves,
        [
            row("/a", "zorg", false, false),
            row("/b", "persoonsnummers", false, true),
            row("/c", "persoonsnummers", false, true),
            row("/d", "", true, false),
            row("/e", "kind", false, false),
            row("/f/g", "adres", false, false),
            row("/h", "", false, false),
            row("/i", "zorg", true, false),
        ]
    );
    let places: Vec<String> = schema.category_problems().into_iter().map(|p| p.place).collect();
    assert_eq!(places, ["/h", "/i"], "neither or both");
}

#[test]
fn a_schema_that_cannot_be_trusted_does_not_compile() {
    let table = [
        (json!({"type": "objekt"}), ""),
        (json!({"properties": {"a": {"x-categorie": "gezondheid"}}}), "x-categorie"),
        (json!({"properties": {"a": {"x-categorie": 7}}}), "x-categorie"),
        (json!({"properties": {"a": {"$ref": "https://example.org/a"}}}), ""),
        (json!({"properties": {"a": {"$ref": "#"}}}), "schema"),
        (json!({"properties": {"a": {"format": "kenteken"}}}), ""),
    ];
    for (schema, place) in table {
        let problem = Schema::compile(&schema.to_string()).expect_err(&schema.to_string());
        assert_eq!(problem.code, Code::SchemaInvalid);
        assert!(place.is_empty() || problem.place == place, "{problem:?}");
    }
    assert_eq!(Schema::compile("{\n\"a\":\n").unwrap_err().place, "line 3");
}

#[test]
fn an_object_that_accepts_more_than_it_names_is_told() {
    let schema = compile(&json!({
        "additionalProperties": false,
        "properties": {
            "a": {"properties": {"b": {"type": "string"}}},
            "c": {"additionalProperties": true, "properties": {}},
            "d": {"unevaluatedProperties": false, "properties": {}},
            "e": {"items": {"properties": {}}},
        },
    }));
    let places: Vec<String> = schema.open_problems().into_iter().map(|p| p.place).collect();
    assert_eq!(places, ["/properties/a", "/properties/c", "/properties/e/items"]);
}
