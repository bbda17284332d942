use super::*;
use serde_json::json;

const TODAY: &str = "2026-11-24T10:00:00Z";

fn record(kind: Kind, content: Value) -> Record {
    Record::read(kind, &content, None).unwrap()
}

fn numbered(sequence: i64, record: Record) -> Record {
    Record { sequence: Some(sequence), ..record }
}

fn consent(categories: &[&str]) -> Value {
    json!({
        "id": "t", "vorm": "schriftelijk", "categorieen": categories, "ontvangers": ["gemeente:0599"],
        "verleend_op": "2026-11-01", "geldig_tot": null
    })
}

fn given(categories: &[&str]) -> Record {
    record(Kind::Toestemming, consent(categories))
}

fn withdrawn(on: &str) -> Record {
    record(Kind::Intrekking, json!({ "toestemming": "t", "ingetrokken_op": on }))
}

fn judged(content: Value) -> Record {
    let mut whole = json!({ "id": "b", "soort": "43_4", "betreft": "m", "categorieen": ["zorg"], "op": "2026-11-20" });
    content.as_object().unwrap().iter().for_each(|(name, value)| whole[name] = value.clone());
    record(Kind::Beoordeling, whole)
}

fn iris(consents: &[Value]) -> Facts {
    serde_json::from_value(json!({ "bekend": true, "toestemmingen": consents })).unwrap()
}

/// What consents permit now, by their categories.
fn permitted(facts: &Facts) -> Vec<String> {
    let now = TODAY.parse().unwrap();
    let counts = |consent: &&Toestemming| {
        consent.verleend_op.has_begun(now)
            && !consent.geldig_tot.is_some_and(|until| until.is_over(now))
            && !consent.ingetrokken_op.is_some_and(|at| at.has_begun(now))
    };
    facts.toestemmingen.iter().filter(counts).flat_map(|c| &c.categorieen).map(ToString::to_string).collect()
}

/// What IRIS says, what came by message, and what is permitted then.
type Row = (&'static str, Vec<Value>, Vec<Record>, &'static [&'static str]);

#[test]
fn of_consents_and_withdrawals_in_whatever_order() {
    let until = |day: &str| {
        let mut consent = consent(&["zorg"]);
        consent["geldig_tot"] = day.into();
        consent
    };
    let both = consent(&["zorg", "kind"]);
    let none: &[Value] = &[];
    let table: [Row; 16] = [
        ("nothing on record", vec![both.clone()], vec![], &["zorg", "kind"]),
        ("by message", none.to_vec(), vec![given(&["zorg"])], &["zorg"]),
        ("twice is once", none.to_vec(), vec![given(&["zorg"]), given(&["zorg"])], &["zorg"]),
        ("the last counts", none.to_vec(), vec![given(&["zorg"]), given(&["kind"])], &["kind"]),
        (
            "not an older one",
            none.to_vec(),
            vec![numbered(2, given(&["zorg"])), numbered(1, given(&["kind"]))],
            &["zorg"],
        ),
        (
            "but a newer one",
            none.to_vec(),
            vec![numbered(1, given(&["zorg"])), numbered(2, given(&["kind"]))],
            &["kind"],
        ),
        ("both ways", vec![both.clone()], vec![given(&["zorg", "adres"])], &["zorg"]),
        ("both ways, one ended", vec![until("2026-11-23")], vec![given(&["zorg"])], &[]),
        ("both ways, the other ended", vec![both], vec![record(Kind::Toestemming, until("2026-11-23"))], &[]),
        ("withdrawn", none.to_vec(), vec![given(&["zorg"]), withdrawn("2026-11-24")], &[]),
        ("withdrawn before it came", none.to_vec(), vec![withdrawn("2026-11-24"), given(&["zorg"])], &[]),
        ("withdrawn, known to IRIS", vec![consent(&["zorg"])], vec![withdrawn("2026-11-24")], &[]),
        ("withdrawn, known both ways", vec![consent(&["zorg"])], vec![withdrawn("2026-11-24"), given(&["zorg"])], &[]),
        ("from tomorrow on", none.to_vec(), vec![given(&["zorg"]), withdrawn("2026-11-25")], &["zorg"]),
        ("a second ago", none.to_vec(), vec![given(&["zorg"]), withdrawn("2026-11-24T09:59:59Z")], &[]),
        ("given again under its id", none.to_vec(), vec![withdrawn("2026-11-02"), numbered(9, given(&["zorg"]))], &[]),
    ];
    for (name, iris_says, records, expected) in table {
        let facts = iris(&iris_says).with(&records).unwrap();
        assert_eq!(permitted(&facts), expected, "{name}");
        assert!(facts.toestemmingen.len() <= 1, "{name}: {facts:?}");
    }
}

#[test]
fn iris_says_it_was_withdrawn_and_no_message_undoes_that() {
    let mut said = consent(&["zorg"]);
    said["ingetrokken_op"] = "2026-11-10".into();
    for records in
        [vec![given(&["zorg"])], vec![withdrawn("2027-01-01")], vec![given(&["zorg"]), withdrawn("2027-01-01")]]
    {
        let facts = iris(std::slice::from_ref(&said)).with(&records).unwrap();
        assert_eq!(permitted(&facts), [""; 0], "{records:?}");
    }
}

#[test]
fn a_consent_of_another_id_is_not_withdrawn() {
    let mut other = consent(&["kind"]);
    other["id"] = "u".into();
    let facts = iris(&[other]).with(&[given(&["zorg"]), withdrawn("2026-11-01")]).unwrap();
    assert_eq!(permitted(&facts), ["kind"]);
}

#[test]
fn of_assessments_what_both_say() {
    let said =
        json!({ "id": "b", "soort": "43_4", "betreft": "m", "categorieen": ["zorg", "kind"], "op": "2026-11-01" });
    let table: [(Value, Option<&[&str]>); 7] = [
        (json!({}), Some(&["zorg"])),
        (json!({ "categorieen": [] }), Some(&[])),
        (json!({ "betreft_bron": "s" }), Some(&["zorg"])),
        (json!({ "betreft": "n" }), None),
        (json!({ "betreft": null }), None),
        (json!({ "soort": "wgs_noodzaak" }), None),
        (json!({ "id": "c" }), Some(&["zorg", "kind", "zorg"])),
    ];
    for (content, expected) in table {
        let facts: Facts = serde_json::from_value(json!({ "bekend": true, "beoordelingen": [said] })).unwrap();
        let facts = facts.with(&[judged(content.clone())]).unwrap();
        let names = facts.beoordelingen.iter().flat_map(|b| &b.categorieen).map(|c| c.as_str()).collect::<Vec<_>>();
        assert_eq!((!facts.beoordelingen.is_empty()).then_some(&names[..]), expected, "{content}");
        if content.get("betreft_bron").is_some() {
            assert_eq!(facts.beoordelingen[0].betreft_bron.as_deref(), Some("s"), "the narrower of both");
        }
    }
}

#[test]
fn who_indicates_care_is_named_only_where_both_name_the_same() {
    let table = [
        (Some("nifp"), Some("nifp"), Some("nifp")),
        (Some("nifp"), Some("dji-pmo"), None),
        (None, Some("nifp"), None),
        (Some("nifp"), None, None),
    ];
    for (said, recorded, expected) in table {
        let statement = |named: Option<&str>| json!({ "id": "b", "soort": "fz_mdo", "betreft": "m", "op": "2026-11-01", "indicatiesteller": named });
        let facts = json!({ "bekend": true, "beoordelingen": [statement(said)] });
        let facts: Facts = serde_json::from_value(facts).unwrap();
        let facts = facts.with(&[record(Kind::Beoordeling, statement(recorded))]).unwrap();
        let named = facts.beoordelingen[0].indicatiesteller.as_ref();
        assert_eq!(named.map(Role::as_str), expected, "{said:?} {recorded:?}");
    }
}

#[test]
fn who_cannot_read_what_is_on_record_cannot_decide() {
    let broken = Record { content: r#"{"toestemming":"t"}"#.to_owned(), ..withdrawn("2026-11-24") };
    assert_eq!(iris(&[consent(&["zorg"])]).with(&[broken]).err(), Some(Unreadable));
}
