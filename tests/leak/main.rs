//! Nothing personal in what the core says about a message: its reasons, its logs, its debug output. And of
//! what it forwards, nothing that was not permitted.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod marked;

use jiff::Timestamp;
use ketenpoort::catalogue::Sources;
use ketenpoort::check::raw_message;
use ketenpoort::core::Pipeline;
use ketenpoort::directory::Directory;
use ketenpoort::envelope::RawMessage;
use ketenpoort::explain::{Explanation, explain};
use ketenpoort::facts::Facts;
use ketenpoort::outcome::Outcome;
use ketenpoort::validation::Limits;
use marked::{Marked, Marker, fill, found, xml};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

const NOTICE: &str = "detentie.invrijheidstelling-aangekondigd.v1";
const LEAVE: &str = "detentie.verlof-aangekondigd.v1";
const REQUEST: &str = "re-integratie.informatie-gevraagd.v1";
const BIJ: &str = "detentie.bij-melding.v1";
const MEETING: &str = "dr-plan.mdo-uitgenodigd.v1";
const LIST: &str = "detentie.inkomstenlijst-aangeboden.v1";
const ITEM: &str = "detentie.inkomst-aangeboden.v1";

struct Bench {
    sources: Sources,
    pipeline: Pipeline,
}

impl Bench {
    fn new() -> Bench {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = Sources::read(&root.join("schemas"), &root.join("policies"), &root.join("mappings")).unwrap();
        let directory = Directory::read(&root.join("deploy/partners")).unwrap();
        let pipeline = Pipeline::load(&sources, Arc::new(directory), Limits::default(), &[7; 32]).unwrap();
        Bench { sources, pipeline }
    }

    fn schema(&self, file: &str) -> Value {
        serde_json::from_str(&self.sources.schemas[&format!("{file}.schema.json")]).unwrap()
    }

    fn notice(&self) -> Marked {
        let given = [
            ("/Adres/Gemeentecode", "0363"),
            ("/Vestiging/Gemeentecode", "0344"),
            ("/Detentie/InrichtingCode", "VGT"),
            ("/Detentie/SoortEinde", "VI"),
        ];
        fill(&self.schema(&format!("dji/{NOTICE}")), 1, &given)
    }

    fn leave(&self) -> Marked {
        let given = [
            ("/Adres/Gemeentecode", "0363"),
            ("/Vestiging/Gemeentecode", "0344"),
            ("/Detentie/InrichtingCode", "VGT"),
            ("/Verlof/Soort", "REINTEGRATIE"),
        ];
        fill(&self.schema(&format!("dji/{LEAVE}")), 2, &given)
    }

    fn request(&self) -> Marked {
        fill(&self.schema(&format!("canonical/{REQUEST}")), 3, &[("/verzoek/gemeentecode", "0363")])
    }

    fn bij(&self) -> Marked {
        let given = [
            ("/Adres/Gemeentecode", "0599"),
            ("/Titel/Parketnummer", "10-204518-22"),
            ("/Titel/Misdrijf", "Sr 287"),
            ("/Titel/GepleegdVanaf", "20220912"),
            ("/Titel/GepleegdOp", "20220912"),
            ("/Vonnis/Datum", "20231103"),
            ("/Vonnis/OnherroepelijkOp", "20231118"),
            ("/Vonnis/OnvoorwaardelijkMaanden", "48"),
            ("/Vonnis/Jeugdrecht", "N"),
            ("/Detentie/Begin", "20220913"),
            ("/Terugkeer/Datum", "20270131"),
        ];
        fill(&self.schema(&format!("justid/{BIJ}")), 8, &given)
    }

    fn meeting(&self) -> Marked {
        let given = [("/Detentie/InrichtingCode", "VGT"), ("/Detentie/Parketnummer", "10-204518-22")];
        fill(&self.schema(&format!("dji/{MEETING}")), 9, &given)
    }

    /// A list with one item in it.
    fn list(&self) -> Marked {
        let given = [
            ("/Lijst/OpgesteldOp", "20261124"),
            ("/Lijst/Taak", "ADVIES"),
            ("/Lijst/Doel", "DR_PLAN_OPSTELLEN"),
            ("/Inkomst/Volgnummer", "1"),
            ("/Inkomst/InrichtingCode", "VGT"),
            ("/Inkomst/Titel/Parketnummer", "10-204518-22"),
        ];
        let mut marked = fill(&self.schema(&format!("dji/{ITEM}")), 10, &given).in_a_list();
        marked.markers.retain(|marker| marker.place.starts_with("/Inkomst"));
        marked
    }

    fn xml_message(&self, name: &str, document: &Value) -> RawMessage {
        let kind = self.pipeline.catalogue.get(&format!("nl.ketenpoort.{name}")).unwrap();
        // Whoever sends XML here is called as the role in which it does.
        let from = kind.from[0].as_str();
        self.message(from, name, xml(document, &kind.input.root, &kind.input.namespace))
    }

    fn message(&self, from: &str, name: &str, body: String) -> RawMessage {
        raw_message(&self.pipeline, from, &format!("nl.ketenpoort.{name}"), body.into_bytes(), &BTreeMap::new())
            .unwrap()
    }

    /// What the core makes of a message, and everything that it said on the way but the payloads.
    fn walk(&self, raw: &RawMessage, facts: Option<&Facts>) -> (Explanation, String) {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let lines = Lines::default();
        let writer = lines.clone();
        let logs = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
        let mut explained =
            tracing::subscriber::with_default(logs.finish(), || explain(&self.pipeline, raw, facts, now));
        let mut said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let of_items =
            explained.items.iter_mut().flat_map(|items| &mut items.shown).flat_map(|item| &mut item.deliveries);
        let deliveries: Vec<_> = explained.deliveries.iter_mut().chain(of_items).collect();
        let payloads: Vec<_> = deliveries.into_iter().map(|delivery| delivery.payload.take()).collect();
        said += &serde_json::to_string(&explained).unwrap();
        said += &explained.for_a_person();
        said += &format!("{raw:?} {facts:?} {explained:?}");
        let of_items =
            explained.items.iter_mut().flat_map(|items| &mut items.shown).flat_map(|item| &mut item.deliveries);
        let deliveries = explained.deliveries.iter_mut().chain(of_items);
        deliveries.zip(payloads).for_each(|(delivery, payload)| delivery.payload = payload);
        (explained, said)
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn facts(data: Value) -> Facts {
    let kader = json!({ "aanwezig": true, "soort": "toezicht", "eindigt_op": "2099-01-31" });
    serde_json::from_value(json!({ "bekend": true, "justitieel_kader": kader, "gegevens": data })).unwrap()
}

fn places<'m>(markers: impl IntoIterator<Item = &'m Marker>) -> Vec<&'m str> {
    markers.into_iter().map(|marker| marker.place.as_str()).collect()
}

#[test]
fn a_notice_forwards_only_what_may_leave_and_tells_nothing_else() {
    let bench = Bench::new();
    for (name, marked) in [(NOTICE, bench.notice()), (LEAVE, bench.leave())] {
        assert!(marked.markers.len() > 35, "{name}");
        let raw = bench.xml_message(name, &marked.document);
        let (explained, said) = bench.walk(&raw, Some(&facts(json!({}))));
        assert_eq!(explained.deliveries.len(), 3, "{name}: {said}");
        assert_eq!(places(found(&marked.markers, &said)), [""; 0], "{name}");
        for delivery in &explained.deliveries {
            let payload = delivery.payload.as_ref().unwrap().to_string();
            let forwarded = places(found(&marked.markers, &payload));
            assert!(forwarded.contains(&"/Persoon/Geslachtsnaam"), "{name} {}", delivery.recipient);
            let never = ["/Zorg", "/Netwerk", "/Slachtoffer", "/SocialeKwalificatie", "/Toelichting"];
            let leaked = forwarded.iter().find(|place| never.iter().any(|never| place.starts_with(never)));
            assert_eq!(leaked, None, "{name} {}", delivery.recipient);
        }
    }
}

#[test]
fn what_has_one_recipient_forwards_only_what_may_leave_and_tells_nothing_else() {
    let bench = Bench::new();
    for (name, marked, never) in [(BIJ, bench.bij(), &["/SocialeKwalificatie"][..]), (MEETING, bench.meeting(), &[])] {
        let raw = bench.xml_message(name, &marked.document);
        let (explained, said) = bench.walk(&raw, Some(&facts(json!({}))));
        assert_eq!(places(found(&marked.markers, &said)), [""; 0], "{name}");
        let [delivery] = explained.deliveries.as_slice() else { panic!("{said}") };
        let payload = delivery.payload.as_ref().unwrap_or_else(|| panic!("{said}")).to_string();
        let forwarded = places(found(&marked.markers, &payload));
        let stayed: Vec<_> = places(&marked.markers).into_iter().filter(|place| !forwarded.contains(place)).collect();
        assert_eq!(stayed, never, "{name}");
    }
}

/// Type, sender, what stands at places with a meaning of their own, and what its first recipient may have.
type Sent = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

const SENT: [Sent; 5] = [
    (
        "forensische-zorg.indicatie-gevraagd.v1",
        "dji",
        &[
            ("/titel/eindigt_op", "2028-01-31"),
            ("/detentie/einde", "2027-06-01"),
            ("/detentie/vi_datum", "2027-06-01"),
            ("/toezicht/begint_op", "2027-06-01"),
            ("/toezicht/eindigt_op", "2028-01-31"),
            ("/zorg/start_op", "2027-06-01"),
        ],
        // What stands there about care comes out of closed lists.
        &["identificatie", "persoonsnummers", "risicoanalyse", "titel"],
    ),
    (
        "forensische-zorg.titel-eindigt.v1",
        "reclassering",
        &[("/zorgaanbieder/oin", "00000099000900000204"), ("/gemeente/gemeentecode", "0363")],
        &["detentie", "identificatie", "justitieel_kader"],
    ),
    (
        "advies.uitgebracht.v1",
        "reclassering",
        &[("/ontvanger/oin", "00000099000900000005")],
        &[
            "basisvoorwaarden",
            "identificatie",
            "justitieel_kader",
            "persoonsnummers",
            "risicoanalyse",
            "titel",
            "vonnis",
            "zorg",
        ],
    ),
    (
        "dr-plan.informatie-gedeeld.v1",
        "reclassering",
        &[],
        &["identificatie", "justitieel_kader", "persoonsnummers", "risicoanalyse", "titel", "vonnis", "zorg"],
    ),
    (
        "dr-plan.toezicht-voorbereid.v1",
        "reclassering",
        &[("/justitieel_kader/begint_op", "2027-02-15"), ("/justitieel_kader/eindigt_op", "2029-02-15")],
        &["identificatie", "justitieel_kader", "persoonsnummers", "titel", "vonnis"],
    ),
];

#[test]
fn what_is_sent_on_holds_only_the_permitted_categories_and_nothing_else_is_told() {
    let bench = Bench::new();
    for (seed, (name, from, given, permitted)) in (5..).zip(SENT) {
        let marked = fill(&bench.schema(&format!("canonical/{name}")), seed, given);
        let raw = bench.message(from, name, marked.document.to_string());
        let (explained, said) = bench.walk(&raw, Some(&facts(json!({}))));
        assert_eq!(places(found(&marked.markers, &said)), [""; 0], "{name}");
        let payload = explained.deliveries[0].payload.as_ref().unwrap_or_else(|| panic!("{said}")).to_string();
        let mut categories: Vec<_> =
            found(&marked.markers, &payload).iter().filter_map(|marker| marker.category.as_deref()).collect();
        categories.sort_unstable();
        categories.dedup();
        assert_eq!(categories, permitted, "{name}");
        assert!(explained.deliveries[1..].iter().all(|other| other.payload.is_none()), "{said}");
    }
}

#[test]
fn an_answer_holds_only_the_permitted_categories_of_what_iris_knows() {
    let bench = Bench::new();
    let (asked, known) = (bench.request(), bench.schema("iris/gegevens"));
    let known = fill(&known, 4, &[("/adres/gemeentecode", "0363")]);
    let raw = bench.message("gemeente:0363", REQUEST, asked.document.to_string());
    let (explained, said) = bench.walk(&raw, Some(&facts(known.document)));
    let all: Vec<_> = asked.markers.into_iter().chain(known.markers).collect();
    assert_eq!(places(found(&all, &said)), [""; 0]);
    let [delivery] = explained.deliveries.as_slice() else { panic!("{said}") };
    let payload = delivery.payload.as_ref().unwrap().to_string();
    let forwarded = found(&all, &payload);
    let mut categories: Vec<_> = forwarded.iter().filter_map(|marker| marker.category.as_deref()).collect();
    categories.sort_unstable();
    categories.dedup();
    assert_eq!(categories, ["justitieel_kader", "risico_veiligheid"], "{payload}");
}

#[test]
fn an_answer_about_an_item_of_a_list_holds_nothing_of_the_item_and_nothing_else_is_told() {
    let bench = Bench::new();
    let (asked, known) = (bench.list(), bench.schema("iris/gegevens"));
    assert!(asked.markers.len() > 7);
    let known = fill(&known, 11, &[("/adres/gemeentecode", "0363")]);
    let raw = bench.xml_message(LIST, &asked.document);
    let (explained, said) = bench.walk(&raw, Some(&facts(known.document)));
    let all: Vec<_> = asked.markers.into_iter().chain(known.markers).collect();
    assert_eq!(places(found(&all, &said)), [""; 0]);
    let item = &explained.items.as_ref().unwrap_or_else(|| panic!("{said}")).shown[0];
    let payload = item.deliveries[0].payload.as_ref().unwrap_or_else(|| panic!("{said}")).to_string();
    let forwarded = found(&all, &payload);
    assert_eq!(forwarded.len(), 3, "{payload}");
    assert!(forwarded.iter().all(|marker| marker.category.as_deref() == Some("justitieel_kader")), "{payload}");
}

/// Every field spoilt in turn: whatever is said about it, its value is not.
#[test]
fn a_rejection_quotes_no_value_of_any_field() {
    let bench = Bench::new();
    let mut rejections = 0;
    let all = [
        (NOTICE, bench.notice()),
        (LEAVE, bench.leave()),
        (BIJ, bench.bij()),
        (MEETING, bench.meeting()),
        (LIST, bench.list()),
        (REQUEST, bench.request()),
    ];
    for (name, marked) in all {
        for place in places(&marked.markers) {
            for spoil in [|value: &str| format!("{value}{}", "é".repeat(600)), |value: &str| format!("?{value}")] {
                let mut document = marked.document.clone();
                let mut field = document.pointer_mut(place).unwrap();
                if field.is_array() {
                    field = &mut field[0];
                }
                *field = spoil(field.as_str().unwrap()).into();
                let raw = match name {
                    REQUEST => bench.message("gemeente:0363", name, document.to_string()),
                    _ => bench.xml_message(name, &document),
                };
                let (explained, said) = bench.walk(&raw, None);
                rejections += usize::from(explained.outcome == Outcome::Rejected);
                assert_eq!(places(found(&marked.markers, &said)), [""; 0], "{name} {place}");
            }
        }
    }
    assert!(rejections > 100, "{rejections}");
}

#[test]
fn broken_documents_and_strange_names_are_not_quoted() {
    let bench = Bench::new();
    let marker = |value: &str| Marker { place: value.to_owned(), value: value.to_owned(), category: None };
    let planted = [marker("merk000001"), marker("731000008")];
    let namespace = "urn:nl:ketenpoort:dji:detentie:1";
    let bodies = [
        "merk000001 731000008".to_owned(),
        "{\"merk000001\": 731000008}".to_owned(),
        "{\"persoon\": {\"merk000001\": \"731000008\"}, \"verzoek\": \"731000008\"}".to_owned(),
        "{\"persoon\": {\"bsn\": 731000008}} merk000001".to_owned(),
        format!("<Invrijheidstelling xmlns=\"{namespace}\"><merk000001>731000008</merk000001></Invrijheidstelling>"),
        format!("<Invrijheidstelling xmlns=\"{namespace}\" merk000001=\"731000008\"/>"),
        format!("<Invrijheidstelling xmlns=\"{namespace}\"><Persoon>731000008</merk000001></Invrijheidstelling>"),
        format!("<Invrijheidstelling xmlns=\"{namespace}\"><Persoon>&merk000001;731000008</Persoon>"),
        "<merk000001 xmlns=\"731000008\"/>".to_owned(),
        "<!DOCTYPE merk000001 [<!ENTITY a \"731000008\">]><Invrijheidstelling/>".to_owned(),
    ];
    for body in bodies {
        for (from, name) in [("dji", NOTICE), ("gemeente:0363", REQUEST)] {
            let (explained, said) = bench.walk(&bench.message(from, name, body.clone()), None);
            assert_eq!(explained.outcome, Outcome::Rejected, "{body}");
            assert_eq!(places(found(&planted, &said)), [""; 0], "{body}\n{said}");
        }
    }
}
