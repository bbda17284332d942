use super::question::{Question, in_short};
use super::*;
use crate::catalogue::Sources;
use crate::category::Category;
use crate::directory::Directory;
use crate::party::{PartyId, Role};
use crate::receipt::{self, Shared, Withheld};
use crate::validation::Limits;
use std::path::Path;
use std::sync::{Arc, LazyLock};

const RELEASE: &str = "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1";
const REGISTER: &str = "https://register.example/processing-activities/";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const BSN: &str = "999990019";

static PIPELINE: LazyLock<Pipeline> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Sources::read(&root.join("schemas"), &root.join("policies"), &root.join("mappings")).unwrap();
    let directory = Arc::new(Directory::read(&root.join("deploy/partners")).unwrap());
    Pipeline::load(&sources, directory, Limits::default(), &[7; 32]).unwrap()
});

fn view() -> View<'static> {
    View { pipeline: &PIPELINE, register: REGISTER }
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
}

fn delivery(key: i64, outcome: Outcome, code: Option<Code>, shared: &[Category]) -> ProcessedDelivery {
    let shared = shared.iter().map(|&category| Shared {
        category,
        policy: "re-integratie-melding".to_owned(),
        legal_basis: "Pbw art. 18a".to_owned(),
        status: "bevestigd".to_owned(),
    });
    let withheld = vec![Withheld { category: Category::Slachtoffer, reason: "no rule permits it".to_owned() }];
    ProcessedDelivery {
        key,
        recipient: Some((PartyId::new("gemeente:0599"), Role::new("gemeente-college"))),
        outcome,
        reason: code.map(|code| Reason::new(code, code.hint())),
        changed_at: at(20 + key),
        finished_at: outcome.is_final().then(|| at(20 + key)),
        decision: receipt::Decision { shared: shared.collect(), withheld, notes: Vec::new() },
    }
}

fn message(deliveries: Vec<ProcessedDelivery>) -> Processed {
    Processed {
        key: 41,
        kind: Some(RELEASE.to_owned()),
        sender: PartyId::new("dji"),
        source: Some("urn:nld:oin:00000099000000001000:systeem:tulp".to_owned()),
        received_at: at(0),
        trace_id: Some(TRACE.to_owned()),
        caller: Some([0xb7; 8]),
        subject: Subject { bsn: Some(Pseudonym([1; 16])), skn: Some(Pseudonym([2; 16])) },
        policy_version: "p1".to_owned(),
        mapping_version: "m1".to_owned(),
        deliveries,
    }
}

/// Out of the table of fields of the standard, beside what our own description says.
fn is_as_the_standard_has_it(record: &Value) -> bool {
    let hex = |digits: usize| json!({ "type": "string", "pattern": format!("^[0-9a-f]{{{digits}}}$") });
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "required": ["traceId", "spanId", "status", "name", "startTime", "endTime", "attributes"],
        "properties": {
            "traceId": hex(32), "spanId": hex(16), "parentSpanId": hex(16),
            "status": { "enum": ["Unset", "Ok", "Error"] },
            "name": { "type": "string", "minLength": 1 },
            "startTime": { "type": "integer", "minimum": 0 }, "endTime": { "type": "integer", "minimum": 0 },
            "resource": { "type": "object", "required": ["attributes"] },
            "attributes": {
                "type": "object", "additionalProperties": false,
                "required": ["dpl.core.processing_activity_id"],
                "dependentRequired": {
                    "dpl.core.data_subject_id": ["dpl.core.data_subject_id_type"],
                    "dpl.core.data_subject_id_type": ["dpl.core.data_subject_id"]
                },
                "properties": {
                    "dpl.core.processing_activity_id": { "type": "string", "pattern": "^https://" },
                    "dpl.core.data_subject_id": { "type": "string", "minLength": 1 },
                    "dpl.core.data_subject_id_type": { "type": "string" },
                    "dpl.core.foreign_operation.processor": { "type": "string", "pattern": "^(urn:|https://)" }
                }
            }
        }
    });
    jsonschema::validator_for(&schema).unwrap().is_valid(record)
}

#[test]
fn a_processing_is_told_as_the_standard_has_it() {
    let message = message(vec![delivery(1, Outcome::Delivered, None, &[Category::Adres])]);
    let record = json!(view().processing(&message));
    assert!(is_as_the_standard_has_it(&record), "{record}");
    assert_eq!((&record["traceId"], &record["parentSpanId"]), (&json!(TRACE), &json!("b7b7b7b7b7b7b7b7")));
    assert_eq!(
        (&record["startTime"], &record["endTime"]),
        (&json!(1_800_000_000_000_i64), &json!(1_800_000_000_021_i64))
    );
    let expected = json!({
        ACTIVITY: format!("{REGISTER}{RELEASE}"), SUBJECT: "01".repeat(16), SUBJECT_TYPE: "BSN",
        PROCESSOR: "urn:nld:oin:00000099000000001000:systeem:tulp",
    });
    assert_eq!(record["attributes"], expected);
}

#[test]
fn what_could_not_be_read_has_no_words_of_its_sender() {
    let unread = Processed {
        kind: Some("haverkamp".to_owned()),
        source: Some("urn:haverkamp".to_owned()),
        trace_id: None,
        caller: None,
        subject: Subject::default(),
        ..message(vec![ProcessedDelivery {
            recipient: None,
            ..delivery(1, Outcome::Rejected, Some(Code::NotJson), &[])
        }])
    };
    let record = json!(view().processing(&unread));
    assert!(is_as_the_standard_has_it(&record) && !record.to_string().contains("haverkamp"), "{record}");
    assert_eq!(record["status"], "Unset");
    assert!(view().decisions(&unread).is_empty());
}

#[test]
fn a_deny_is_no_error_and_what_waits_is_not_done() {
    use Outcome::*;
    type Ends<'e> = &'e [(Outcome, Option<Code>)];
    let table: [(Ends<'_>, Status); 9] = [
        (&[(Delivered, None)], Status::Ok),
        (&[(Delivered, None), (Refused, Some(Code::NoGround))], Status::Ok),
        (&[(Refused, Some(Code::NoGround))], Status::Unset),
        (&[(Rejected, Some(Code::NotJson))], Status::Unset),
        (&[(Held, Some(Code::Held))], Status::Unset),
        (&[(Delivered, None), (AwaitingAssessment, Some(Code::AssessmentNeeded))], Status::Unset),
        (&[(Delivered, None), (Retrying, Some(Code::DeliveryFailed))], Status::Unset),
        (&[(Delivered, None), (Parked, Some(Code::MappingFailed))], Status::Error),
        (&[(Refused, Some(Code::PolicyError))], Status::Error),
    ];
    for (ends, status) in table {
        let message = message(ends.iter().map(|(outcome, code)| delivery(1, *outcome, *code, &[])).collect());
        assert_eq!(view().processing(&message).status, status, "{ends:?}");
        for decision in view().decisions(&message) {
            let failed = ends.contains(&(Refused, Some(Code::PolicyError)));
            assert_eq!(decision.status, if failed { Status::Error } else { Status::Ok }, "{ends:?}");
        }
    }
}

#[test]
fn a_decision_says_what_was_asked_and_answered_by_which_rules() {
    let refused = delivery(2, Outcome::Refused, Some(Code::NoGround), &[]);
    let message = message(vec![delivery(1, Outcome::Delivered, None, &[Category::Adres]), refused]);
    let [shared, refused] = &view().decisions(&message)[..] else { panic!("two decisions") };
    assert_eq!(shared.parent_span_id, view().processing(&message).span_id);
    assert_ne!(shared.span_id, refused.span_id);
    let keys = |map: &Map<String, Value>| map.keys().filter(|key| key.starts_with("adl.")).cloned().collect::<Vec<_>>();
    assert_eq!(keys(&shared.attributes), ["adl.core.policies", "adl.core.information", "adl.core.configuration"]);
    assert_eq!(keys(&shared.body), ["adl.core.request", "adl.core.response"]);
    assert_eq!(
        (&shared.attributes["adl.core.policies"], &shared.attributes[SUBJECT]),
        (&json!("p1"), &json!("01".repeat(16)))
    );
    let request = &shared.body["adl.core.request"];
    assert_eq!(request["subject"]["id"], "gemeente:0599");
    assert_eq!(request["resource"]["properties"]["categorieen"], json!([Category::Adres, Category::Slachtoffer]));
    let response = &shared.body["adl.core.response"];
    assert_eq!(
        (&response["decision"], &response["context"]["verstrekt"][0]["policy"]),
        (&json!(true), &json!("re-integratie-melding"))
    );
    let response = &refused.body["adl.core.response"];
    assert_eq!((&response["decision"], &response["context"]["reden"]["code"]), (&json!(false), &json!(Code::NoGround)));
}

#[test]
fn a_record_has_the_same_id_each_time_also_when_traffic_data_are_gone() {
    let known = message(vec![delivery(1, Outcome::Delivered, None, &[Category::Adres])]);
    let later = Processed { caller: None, source: None, ..known.clone() };
    let (before, after) = (view().processing(&known), view().processing(&later));
    assert_eq!((&before.trace_id, &before.span_id), (&after.trace_id, &after.span_id));
    assert_eq!(view().decisions(&known)[0].span_id, view().decisions(&later)[0].span_id);
    let other = Processed { key: 42, ..known };
    assert_ne!(view().processing(&other).span_id, before.span_id);
}

#[test]
fn a_question_names_what_it_is_about_and_its_error_repeats_nothing() {
    let pseudonym = "0a".repeat(16);
    let good = [
        json!({ "traceId": TRACE }),
        json!({ "traceId": "0AF76519-16CD-43DD-8448-EB211C80319C", "startTime": 0, "endTime": 1_800_000_000_000_i64 }),
        json!({ ACTIVITY: format!("{REGISTER}{RELEASE}") }),
        json!({ SUBJECT: pseudonym }),
        json!({ SUBJECT: pseudonym, SUBJECT_TYPE: "BSN" }),
        json!({ SUBJECT: BSN, SUBJECT_TYPE: "BSN" }),
    ];
    for body in good {
        let question = Question::read(body.to_string().as_bytes()).unwrap();
        let wanted = question.wanted(view()).unwrap();
        assert!(!format!("{question:?} {wanted:?} {}", in_short(&wanted)).contains(BSN), "{body}");
    }
    let wrong = [
        json!({}),
        json!({ "startTime": 0 }),
        json!([BSN]),
        json!({ "traceId": BSN }),
        json!({ SUBJECT: BSN }),
        json!({ SUBJECT: "999990018", SUBJECT_TYPE: "BSN" }),
        json!({ SUBJECT: format!("+{}", "a".repeat(31)) }),
        json!({ "traceId": TRACE, "bsn": BSN }),
        json!({ "traceId": TRACE, "startTime": i64::MAX }),
    ];
    for body in wrong {
        let error = Question::read(body.to_string().as_bytes()).unwrap_err();
        assert!(!error.contains(BSN), "{body}");
    }
    assert!(Question::read(b"{").is_err());
}

#[test]
fn a_person_is_found_by_his_number_under_the_pseudonym_of_his_messages() {
    let asked = json!({ SUBJECT: BSN, SUBJECT_TYPE: "BSN" }).to_string();
    let wanted = Question::read(asked.as_bytes()).unwrap().wanted(view()).unwrap();
    let person = crate::facts::Person { bsn: Some(crate::personal::Personal::new(BSN.to_owned())), skn: None };
    assert_eq!(wanted.subject, PIPELINE.subject(&person));
    let elsewhere = json!({ ACTIVITY: "https://elsewhere.example/1" }).to_string();
    assert_eq!(Question::read(elsewhere.as_bytes()).unwrap().wanted(view()), None);
}
