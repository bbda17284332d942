use super::*;
use serde_json::json;

fn schemas() -> Schemas {
    Schemas::compile(&crate::facts::iris::tests::schema_files()).unwrap()
}

#[test]
fn every_schema_that_is_missing_or_broken_is_told() {
    let mut files = crate::facts::iris::tests::schema_files();
    files.remove("iris/gegevens.schema.json");
    files.insert("iris/feiten-antwoord.schema.json".to_owned(), "{".to_owned());
    let findings = Schemas::compile(&files).unwrap_err();
    let found: Vec<_> = findings.iter().map(|finding| finding.file.as_str()).collect();
    assert_eq!(found, ["schemas/iris/feiten-antwoord.schema.json", "schemas/iris/gegevens.schema.json"]);
}

#[test]
fn answers_that_are_not_one_for_each_person_are_no_answers() {
    let schemas = schemas();
    let table = [
        ("two for two", r#"{"antwoorden": [{"bekend": true}, {"bekend": false}]}"#, true),
        ("one for two", r#"{"antwoorden": [{"bekend": true}]}"#, false),
        ("three for two", r#"{"antwoorden": [{"bekend": true}, {"bekend": true}, {"bekend": true}]}"#, false),
        ("a field beside", r#"{"antwoorden": [{"bekend": true}, {"bekend": true}], "meer": 1}"#, false),
        ("a key twice", r#"{"antwoorden": [{"bekend": true}, {"bekend": false, "bekend": true}]}"#, false),
        ("a list", r#"[{"bekend": true}, {"bekend": true}]"#, false),
        ("cut off", r#"{"antwoorden": [{"bekend": true}, {"bekend""#, false),
        ("nothing", "", false),
    ];
    for (name, body, good) in table {
        let read = schemas.read_facts(body.as_bytes(), 2);
        assert_eq!(read.as_ref().err(), (!good).then_some(&Unavailable::Invalid), "{name}");
    }
}

#[test]
fn a_wrong_answer_about_one_does_not_spoil_the_others() {
    let wrong = [
        json!({ "bekend": "ja" }),
        json!({ "bekend": true, "verzonnen": 1 }),
        json!({ "bekend": true, "justitieel_kader": { "aanwezig": true, "soort": "borgtocht" } }),
        json!({ "bekend": true, "justitieel_kader": { "aanwezig": true, "eindigt_op": "2027-02-30" } }),
        json!({ "bekend": true, "beoordelingen": [{ "id": "1", "soort": "43_4", "op": "gisteren" }] }),
        json!(null),
    ];
    for wrong in wrong {
        let body = json!({ "antwoorden": [{ "bekend": true }, wrong, { "bekend": false }] }).to_string();
        let answers = schemas().read_facts(body.as_bytes(), 3).unwrap();
        let known: Vec<_> = answers.into_iter().map(|answer| answer.map(|facts| facts.bekend)).collect();
        assert_eq!(known, [Ok(true), Err(Unavailable::Invalid), Ok(false)], "{wrong}");
    }
}

#[test]
fn case_data_that_was_not_asked_is_dropped_and_what_is_kept_must_fit() {
    let schemas = schemas();
    let asked = CategorySet::from_iter([Category::RisicoVeiligheid]);
    let table = [
        ("as asked", json!({ "risico_veiligheid": { "niveau": "laag" } }), true),
        ("nothing known", json!({}), true),
        ("more than asked", json!({ "risico_veiligheid": { "niveau": "laag" }, "slachtoffer": { "naam": "X" } }), true),
        ("wrong, but not asked", json!({ "risico_veiligheid": { "niveau": "laag" }, "zorg": { "kleur": 1 } }), true),
        ("a field that has no category", json!({ "risico_veiligheid": { "niveau": "laag", "naam": "X" } }), false),
        ("something hidden in a field", json!({ "risico_veiligheid": { "niveau": { "naam": "X" } } }), false),
        ("a category that is none", json!({ "hobby": {} }), false),
        ("no object", json!({ "risico_veiligheid": "laag" }), false),
    ];
    for (name, data, good) in table {
        let body = json!({ "gegevens": data }).to_string();
        let read = schemas.read_case_data(body.as_bytes(), asked);
        assert_eq!(read.is_ok(), good, "{name}");
        let kept = read.unwrap_or_default().0.into_personal_data();
        assert!(kept.keys().all(|category| category == "risico_veiligheid"), "{name}: {kept:?}");
    }
}

#[test]
fn only_numbers_that_iris_understands_are_asked_about() {
    let table = [
        (Some("999993653"), None, true),
        (None, Some("2048113"), true),
        (Some("999993653"), Some("2048113"), true),
        (None, None, false),
        (Some("999993654"), Some("2048113"), false),
        (Some("999993653"), Some("20-48"), false),
        (None, Some(""), false),
        (None, Some("1234567890123"), false),
    ];
    for (bsn, skn, good) in table {
        let number = |text: Option<&str>| text.map(|text| Personal::new(text.to_owned()));
        assert_eq!(can_be_asked(&Person { bsn: number(bsn), skn: number(skn) }), good, "{bsn:?} {skn:?}");
    }
}
