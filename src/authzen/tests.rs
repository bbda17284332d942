use super::*;
use crate::casetable;
use crate::catalogue::Sources;
use crate::policy::cases;
use std::path::Path;

fn shipped() -> (Sources, Engine, Directory) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Sources::read(&root.join("schemas"), &root.join("policies"), &root.join("mappings")).unwrap();
    let engine = Engine::load(&sources).unwrap();
    (sources, engine, Directory::read(&root.join("deploy/partners")).unwrap())
}

/// A case as another system would ask it, about one category.
fn body(case: &Value, category: Category) -> Value {
    let or = |place: &str, default: Value| case.pointer(place).cloned().unwrap_or(default);
    json!({
        "subject": { "type": "partij", "id": or("/to/party", json!("")), "properties": {
            "rol": case["to"]["role"], "hoedanigheid": or("/to/given", json!([])),
            "wgs_soort": or("/to/wgs", json!("")), "bsn_gerechtigd": or("/to/bsn", json!(false)),
        }},
        "action": { "name": "verstrekken" },
        "resource": { "type": "categorie", "id": category },
        "context": {
            "bericht": case["message"], "afzender": case["from"], "bron": case["source"], "time": case["now"],
            "verzoek": or("/request", json!({})), "voorwaarden": or("/conditions", json!([])),
            "feiten": or("/facts", json!({ "bekend": false })), "registraties": or("/records", json!([])),
            "bericht_id": or("/message_id", json!("")), "bericht_bron": or("/message_source", json!("")),
        }
    })
}

fn ask(body: &Value, engine: &Engine, directory: &Directory) -> Value {
    let evaluation = Evaluation::read(body.to_string().as_bytes(), Timestamp::UNIX_EPOCH);
    evaluation.unwrap_or_else(|wrong| panic!("{wrong}: {body}")).answer(engine, directory).unwrap()
}

fn all_cases(sources: &Sources) -> Vec<Value> {
    let tables = sources.policies.iter().filter(|(file, _)| file.starts_with("cases/") && file.ends_with(".yaml"));
    let rows = tables.flat_map(|(file, text)| casetable::rows(file, text).unwrap());
    rows.map(|row| row.read().unwrap()).collect()
}

#[test]
fn every_case_has_the_same_decision_as_in_the_gateway() {
    let (sources, engine, directory) = shipped();
    let (cases, questions) = (all_cases(&sources), cases::questions(&sources));
    assert!(cases.len() > 100 && cases.len() == questions.len());
    for (case, question) in cases.iter().zip(&questions) {
        let sheet = engine.answer(question);
        let judged = engine.answer(&question.if_judged());
        for &category in Category::ALL {
            let answer = ask(&body(case, category), &engine, &directory);
            let permitted = sheet.permitted.contains(category);
            assert_eq!(answer["decision"], permitted, "{} {category:?}: {answer}", case["name"]);
            let obliged = |id: &str| {
                let obligations = answer["context"]["obligations"].as_array().unwrap();
                obligations.iter().any(|obligation| obligation["id"] == id)
            };
            assert_eq!(obliged("zonder_bsn"), permitted && !sheet.bsn, "{} {category:?}", case["name"]);
            assert_eq!((obliged("minimaliseren"), obliged("via_ketenpoort")), (permitted, permitted));
            let awaits = !permitted && !awaited(&judged, category).is_empty();
            assert_eq!(obliged("beoordeling"), awaits, "{} {category:?}", case["name"]);
            let policies = answer["context"]["policies"].as_array().unwrap();
            assert!(!(permitted || awaits) || !policies.is_empty(), "{} {category:?}", case["name"]);
        }
    }
}

#[test]
fn what_is_asked_in_other_words_is_not_answered_and_not_repeated() {
    let (sources, engine, directory) = shipped();
    let good = body(&all_cases(&sources)[0], Category::Adres);
    ask(&good, &engine, &directory);
    let table = [
        ("/subject/type", json!("persoon")),
        ("/subject/id", json!("bsn:999990342")),
        ("/action/name", json!("lezen")),
        ("/resource/type", json!("bestand")),
        ("/resource/id", json!("alles")),
        ("/context", json!({})),
        ("/context/bron", json!("derde")),
        ("/context/feiten", json!({ "bekend": true, "bsn": "999990342" })),
        ("/context/verzoek/grond", json!("999990342")),
        ("/context/time", json!("gisteren")),
    ];
    for (place, value) in table {
        let mut wrong = good.clone();
        *wrong.pointer_mut(place).unwrap() = value;
        let error = Evaluation::read(wrong.to_string().as_bytes(), Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(!error.contains("999990342"), "{place}");
    }
    let mut more = good.clone();
    more["context"]["toestemming"] = json!(true);
    assert!(Evaluation::read(more.to_string().as_bytes(), Timestamp::UNIX_EPOCH).is_err());
}

#[test]
fn what_is_recorded_has_request_and_answer_but_no_facts() {
    let (sources, engine, directory) = shipped();
    let mut asked = body(&all_cases(&sources)[0], Category::Adres);
    asked["context"]["feiten"]["organisatie"] = json!("Haverkamp");
    let evaluation = Evaluation::read(asked.to_string().as_bytes(), Timestamp::UNIX_EPOCH).unwrap();
    let answer = evaluation.answer(&engine, &directory).unwrap();
    let record: Value = serde_json::from_str(&evaluation.record(&answer)).unwrap();
    assert_eq!(
        (&record["adl.core.response"], &record["adl.core.request"]["subject"]["id"]),
        (&answer, &asked["subject"]["id"])
    );
    assert!(!record.to_string().contains("feiten") && !record.to_string().contains("Haverkamp"));
}
