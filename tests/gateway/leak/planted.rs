//! The messages with marked values in them, and all the marks.

use crate::marked::{Marked, Marker, fill, xml};
use crate::messages::{
    ASSESSMENT, CONSENT, LEAVE, LIST, MEETING, Person, RELEASE, REQUEST, WITHDRAWAL, event, numbered,
};
use crate::scene::{Scene, root};
use jiff::Timestamp;
use ketenpoort::demo::partner::Event;
use ketenpoort::facts::dutch_day;
use ketenpoort::simulators::iris::People;
use serde_json::{Value, json};
use std::fs;

const NAMESPACE: &str = "urn:nl:ketenpoort:dji:detentie:1";

#[derive(Default)]
pub struct Planted {
    /// In what messages hold, and in what IRIS knows.
    pub content: Vec<Marker>,
    /// In what a message is called.
    pub names: Vec<Marker>,
    /// One of each type, to be spoilt.
    samples: Vec<(&'static str, &'static str, Marked)>,
    /// Who IRIS was told about; each with marks of its own.
    told: u32,
}

pub fn marker(value: &str) -> Marker {
    Marker { place: value.to_owned(), value: value.to_owned(), category: None }
}

fn schema(file: &str) -> Value {
    let path = root().join("schemas").join(format!("{file}.schema.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

impl Planted {
    pub fn notice(&mut self, name: &str, seed: u32, [brp, settles]: [&str; 2]) -> Event {
        let given = [
            ("/Adres/Gemeentecode", brp),
            ("/Vestiging/Gemeentecode", settles),
            ("/Detentie/InrichtingCode", "VGT"),
            ("/Detentie/SoortEinde", "VI"),
            ("/Verlof/Soort", "REINTEGRATIE"),
        ];
        let kind = if name == "verlof" { LEAVE } else { RELEASE };
        let marked = fill(&schema(&format!("dji/detentie.{name}-aangekondigd.v1")), seed, &given);
        self.sample("dji", kind, marked)
    }

    pub fn request(&mut self, seed: u32, grond: &str) -> Event {
        let given = [("/verzoek/gemeentecode", "0606"), ("/verzoek/grond", grond)];
        let mut marked = fill(&schema("canonical/re-integratie.informatie-gevraagd.v1"), seed, &given);
        // Claimed exceptions are for where there is no kader.
        marked.document["verzoek"]["uitzondering"] = json!([]);
        self.sample("gemeente:0606", REQUEST, marked)
    }

    pub fn meeting(&mut self, seed: u32, participant: &str) -> Event {
        let given = [("/overleg/deelnemers/oin", participant)];
        let marked = fill(&schema("canonical/casusoverleg.gegevens-gevraagd.v1"), seed, &given);
        self.sample("zvh:rotterdam-rijnmond", MEETING, marked)
    }

    /// A list with one item in it; what the list itself says is not personal.
    pub fn list(&mut self, seed: u32) -> Event {
        let given = [
            ("/Lijst/Kenmerk", "IL-1"),
            ("/Lijst/OpgesteldOp", "20261124"),
            ("/Lijst/Taak", "ADVIES"),
            ("/Lijst/Doel", "DR_PLAN_OPSTELLEN"),
            ("/Inkomst/Volgnummer", "1"),
            ("/Inkomst/InrichtingCode", "VGT"),
            ("/Inkomst/Titel/Parketnummer", "10-204518-22"),
        ];
        let item = fill(&schema("dji/detentie.inkomst-aangeboden.v1"), seed, &given);
        self.sample("dji", LIST, item.in_a_list())
    }

    /// Whatever can be put on record about one person: his numbers are the marks.
    pub fn records(&mut self, request: &Event) -> [Event; 3] {
        let person = json!({ "bsn": Person::new().bsn, "skn": "731990009001" });
        self.content.extend(["bsn", "skn"].map(|number| marker(person[number].as_str().unwrap())));
        let about = |name: &str, fact: Value| json!({ "persoon": person, name: fact });
        let consent = json!({ "id": "T-1", "vorm": "schriftelijk", "categorieen": ["zorg"], "ontvangers": ["gemeente:0606"],
            "verleend_op": "2026-01-05" });
        let judged =
            json!({ "id": "B-1", "soort": "43_4", "betreft": request.id, "categorieen": [], "op": "2026-01-05" });
        [
            sent(CONSENT, &about("toestemming", consent)),
            sent(WITHDRAWAL, &about("intrekking", json!({ "toestemming": "T-1", "ingetrokken_op": "2026-01-06" }))),
            sent(ASSESSMENT, &about("beoordeling", judged)),
        ]
    }

    fn sample(&mut self, from: &'static str, kind: &'static str, marked: Marked) -> Event {
        let event = sent(kind, &marked.document);
        self.content.extend(marked.markers.iter().cloned());
        if self.samples.iter().all(|(_, known, _)| *known != kind) {
            self.samples.push((from, kind, marked));
        }
        event
    }

    /// IRIS knows the person of an event, with marks in everything that it knows.
    pub fn known(&mut self, scene: &Scene, event: &Event) {
        self.told += 1;
        let data = fill(&schema("iris/gegevens"), 20 + self.told, &[("/adres/gemeentecode", "0606")]);
        let mark = |what: &str| format!("merk98{:02}{what}", self.told);
        let [by, note] = ["01", "02"].map(mark);
        let facts = json!({
            "bekend": true, "organisatie": by,
            "justitieel_kader": { "aanwezig": true, "soort": "toezicht", "eindigt_op": "today+14m" },
            "beoordelingen": [{
                "id": note, "soort": "wgs_noodzaak", "betreft": null, "op": "today-7d", "geldig_tot": "today+3m",
                "categorieen": ["justitieel_kader", "risicoanalyse", "basisvoorwaarden", "zorg"]
            }]
        });
        let text = String::from_utf8(event.data.reveal_personal_data().clone()).unwrap();
        let mut person = json!({ "feiten": facts, "gegevens": data.document });
        // The numbers in the message itself, wherever that format has them.
        for marker in self.content.iter().filter(|marker| text.contains(&marker.value)) {
            match marker.place.to_ascii_lowercase().as_str() {
                "/persoon/bsn" => person["bsn"] = marker.value.as_str().into(),
                "/persoon/skn" | "/inkomst/skn" => person["skn"] = marker.value.as_str().into(),
                _ => {}
            }
        }
        let file = json!({ "personen": [person] }).to_string();
        scene.world.iris.know(People::read("planted", &file, dutch_day(Timestamp::now())).unwrap());
        self.content.extend(data.markers);
        self.content.extend([by, note].iter().map(|value| marker(value)));
    }

    /// Each field of each type spoilt in turn, in two ways.
    pub fn spoilt(&self) -> Vec<(&'static str, Event)> {
        let mut all = Vec::new();
        for (from, kind, marked) in &self.samples {
            for Marker { place, .. } in &marked.markers {
                for spoil in [|value: &str| format!("{value}{}", "é".repeat(600)), |value: &str| format!("?{value}")] {
                    let mut document = marked.document.clone();
                    let mut field = document.pointer_mut(place).unwrap();
                    if field.is_array() {
                        field = &mut field[0];
                    }
                    *field = spoil(field.as_str().unwrap()).into();
                    all.push((*from, sent(kind, &document)));
                }
            }
        }
        all
    }

    /// What is hardly a message, and marks in what a message is called: its type, source and content type.
    pub fn strange(&mut self) -> (Vec<(&'static str, Event)>, Vec<Marker>) {
        let good = sent(RELEASE, &self.samples[0].2.document);
        let header = |name: &str, value: &str| {
            let headers = vec![(name.to_owned(), value.to_owned())];
            Event { headers, id: uuid::Uuid::new_v4().to_string(), ..good.clone() }
        };
        let mut all = vec![
            ("dji", header("cloudEvents_subject", "merk990001")),
            ("dji", header("cloudEvents_partij", "merk990002")),
            ("dji", header("tracestate", "naam=merk990003")),
            ("dji", header("x-naam", "merk990004")),
            ("dji", header("traceparent", "00-merk990005-00")),
            ("dji", header("cloudEvents_merk990006", "x")),
            ("dji", header("cloudEvents_sequence", "merk990007")),
            ("dji", header("cloudEvents_time", "merk990008")),
            ("dji", Event { content_type: Some("application/xml; naam=merk990009".to_owned()), ..header("x", "x") }),
            ("dji", Event { content_type: Some("merk990010/xml".to_owned()), ..header("x", "x") }),
        ];
        self.content.extend((1..=10).map(|n| marker(&format!("merk9900{n:02}"))));

        let bodies = [
            "merk991001 731990008".to_owned(),
            "{\"merk991001\": 731990008}".to_owned(),
            "{\"persoon\": {\"merk991001\": \"731990008\"}, \"verzoek\": \"731990008\"}".to_owned(),
            "{\"persoon\": {\"bsn\": 731990008}} merk991001".to_owned(),
            format!(
                "<Invrijheidstelling xmlns=\"{NAMESPACE}\"><merk991001>731990008</merk991001></Invrijheidstelling>"
            ),
            format!("<Invrijheidstelling xmlns=\"{NAMESPACE}\" merk991001=\"731990008\"/>"),
            format!("<Invrijheidstelling xmlns=\"{NAMESPACE}\"><Persoon>731990008</merk991001></Invrijheidstelling>"),
            format!("<Invrijheidstelling xmlns=\"{NAMESPACE}\"><Persoon>&merk991001;731990008</Persoon>"),
            "<merk991001 xmlns=\"731990008\"/>".to_owned(),
            "<!DOCTYPE merk991001 [<!ENTITY a \"731990008\">]><Invrijheidstelling/>".to_owned(),
        ];
        self.content.extend(["merk991001", "731990008"].map(marker));
        for body in bodies {
            for (from, kind, content_type) in
                [("dji", RELEASE, "application/xml"), ("gemeente:0606", REQUEST, "application/json")]
            {
                let event = numbered(1, event(kind, body.clone()));
                all.push((from, Event { structured: false, content_type: Some(content_type.to_owned()), ..event }));
            }
        }

        let named = [
            Event { kind: "nl.ketenpoort.merk992001.v1".to_owned(), ..header("x", "x") },
            Event { source: Some("urn:nld:oin:00000099000900000001:merk992002".to_owned()), ..header("x", "x") },
            Event { source: Some("merk992003".to_owned()), ..header("x", "x") },
            Event { id: "merk992004".to_owned(), ..good },
        ];
        all.extend(named.map(|event| ("dji", event)));
        (all, (1..=4).map(|n| marker(&format!("merk99200{n}"))).collect())
    }
}

fn sent(kind: &str, document: &Value) -> Event {
    let body = match kind {
        RELEASE => xml(document, "Invrijheidstelling", NAMESPACE),
        LEAVE => xml(document, "Verlof", NAMESPACE),
        LIST => xml(document, "Inkomstenlijst", NAMESPACE),
        _ => document.to_string(),
    };
    let event = event(kind, body);
    if kind == RELEASE || kind == LEAVE { numbered(1, event) } else { event }
}
