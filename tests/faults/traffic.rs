//! Traffic: messages of every kind as partners send them, drawn from a seed, each with what it makes owed.

use crate::books::{Owed, Sent};
use ketenpoort::demo::partner::{Event, UserId};
use ketenpoort::envelope::digest_label;
use ketenpoort::outcome::Outcome::{self, Delivered, Refused, Superseded};
use ketenpoort::personal::Personal;
use ketenpoort::record::keeper;
use uuid::Uuid;

const RELEASE: &str = "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1";
const REQUEST: &str = "nl.ketenpoort.re-integratie.informatie-gevraagd.v1";
const LIST: &str = "nl.ketenpoort.detentie.inkomstenlijst-aangeboden.v1";
const MEETING: &str = "nl.ketenpoort.casusoverleg.gegevens-gevraagd.v1";

/// Two take their messages off a queue, and two by webhook.
const MUNICIPALITIES: [&str; 4] = ["0344", "0606", "0505", "0599"];
/// BSN and SKN of somebody whom the probation service knows, so that it gets the message too.
const KNOWN: (&str, &str) = ("999993653", "2048113");

/// A message, who sends it, and what it makes owed.
#[derive(Clone, Debug)]
pub struct Message {
    pub from: &'static str,
    pub event: Event,
    pub sent: Sent,
}

#[derive(Debug)]
pub struct Traffic {
    rng: fastrand::Rng,
    /// Counted on, so that no two series are the same.
    series: u32,
    /// The other half of a pair.
    next: Option<Message>,
}

/// Who is released, from where to where.
#[derive(Clone, Copy)]
struct Release<'a> {
    series: &'a str,
    sequence: i64,
    known: bool,
    municipalities: &'a [&'a str],
}

/// The first notification of somebody's release, which must be delivered.
pub fn release(series: &str, municipalities: &[&str]) -> Message {
    Release { series, sequence: 1, known: false, municipalities }.message(&[Delivered])
}

/// A release that moves before the municipality could take the first notification.
pub fn moved(series: &str, municipalities: &[&str]) -> [Message; 2] {
    let first = Release { series, sequence: 1, known: false, municipalities };
    let second = Release { sequence: 2, ..first };
    [first.message(&[Superseded]), second.message(&[Delivered])]
}

/// A release that moves so often, told in one breath: what is not the last may be overtaken by what comes after it.
pub fn moving(series: &str, municipality: &str, often: i64) -> Vec<Message> {
    let outcomes =
        |sequence| -> &'static [Outcome] { if sequence == often { &[Delivered] } else { &[Delivered, Superseded] } };
    let municipalities = [municipality];
    let release = |sequence| Release { series, sequence, known: false, municipalities: &municipalities };
    (1..=often).map(|sequence| release(sequence).message(outcomes(sequence))).collect()
}

/// Persons of whom IRIS never heard; the first is wrong. Each is answered for itself.
pub fn list(name: &str, count: usize) -> Message {
    let item = |number: usize| {
        let born = if number == 1 { "19870230" } else { "19870412" };
        format!(
            "<Inkomst><Volgnummer>{number}</Volgnummer><Skn>{}</Skn><Geslachtsnaam>Haverkamp</Geslachtsnaam>\
             <Voornamen>Lotte</Voornamen><Geboortedatum>{born}</Geboortedatum><InrichtingCode>KAD</InrichtingCode>\
             <DatumBinnenkomst>20261123</DatumBinnenkomst><Titel><Parketnummer>10-118204-25</Parketnummer>\
             <Kwalificatie>diefstal</Kwalificatie></Titel></Inkomst>",
            3_000_000 + number
        )
    };
    let items: String = (1..=count).map(item).collect();
    let data = format!(
        "<Inkomstenlijst xmlns=\"urn:nl:ketenpoort:dji:detentie:1\"><Kenmerk>{name}</Kenmerk>\
         <OpgesteldOp>20261124</OpgesteldOp><Taak>ADVIES</Taak><Doel>DR_PLAN_OPSTELLEN</Doel>{items}</Inkomstenlijst>"
    );
    let of_item = |number| Owed {
        item: Some(number),
        ..if number == 1 { Owed::rejected() } else { Owed::to("dji", &[Delivered]) }
    };
    let owed = std::iter::once(Owed::to(keeper().0.as_str(), &[Delivered])).chain((1..=count).map(of_item));
    Message::new("dji", Event::new(LIST, data.into_bytes()), None, owed.collect())
}

/// A municipality asks about somebody in whom nothing permits it.
pub fn refused(from: &'static str, reference: u32) -> Message {
    request(from, reference, ["18b", "toezicht", "999990172", "1969-02-08"], &[Refused])
}

fn request(from: &'static str, reference: u32, about: [&str; 4], outcomes: &'static [Outcome]) -> Message {
    let ([ground, purpose, bsn, born], municipality) = (about, from.trim_start_matches("gemeente:"));
    let data = format!(
        r#"{{"verzoek":{{"kenmerk":"K-{reference}","grond":"{ground}","doel":"{purpose}","gemeentecode":"{municipality}"}},
            "persoon":{{"bsn":"{bsn}","geslachtsnaam":"Jansen","geboortedatum":"{born}"}}}}"#
    );
    Message::new(from, Event::new(REQUEST, data.into_bytes()), None, vec![Owed::to(from, outcomes)])
}

impl Traffic {
    pub fn new(rng: fastrand::Rng) -> Traffic {
        Traffic { rng, series: 0, next: None }
    }

    pub fn next(&mut self) -> Message {
        if let Some(next) = self.next.take() {
            return next;
        }
        match self.rng.u8(..24) {
            0..=8 => self.release(),
            9..=12 => self.moved(),
            13..=14 => self.invalid(),
            15..=18 => self.request(),
            19 => self.meeting(),
            20..=21 => self.unauthorized(),
            _ => {
                let count = self.rng.usize(1..12);
                list(&format!("IL-{}", self.rng.u32(..)), count)
            }
        }
    }

    fn release(&mut self) -> Message {
        let series = self.new_series();
        let (home, new_home) = (self.municipality(), self.municipality());
        let municipalities = if home == new_home { vec![home] } else { vec![home, new_home] };
        let known = self.rng.u8(..4) == 0;
        let release = Release { series: &series, sequence: 1, known, municipalities: &municipalities };
        release.message(&[Delivered])
    }

    /// A release that moves; now and then the news comes before the old notification.
    fn moved(&mut self) -> Message {
        let series = self.new_series();
        let municipalities = [self.municipality()];
        let first = Release { series: &series, sequence: 1, known: false, municipalities: &municipalities };
        let second = Release { sequence: 2, ..first };
        let (first, second) = (first.message(&[Delivered, Superseded]), second.message(&[Delivered]));
        let (now, later) = if self.rng.u8(..3) == 0 { (second, first) } else { (first, second) };
        self.next = Some(later);
        now
    }

    fn invalid(&mut self) -> Message {
        let data = match self.rng.u8(..3) {
            0 => "<Invrijheidstelling>".to_owned(),
            1 => format!("<!DOCTYPE a [<!ENTITY b \"{}\">]><a>&b;</a>", self.rng.u32(..)),
            _ => "<Invrijheidstelling xmlns=\"urn:nl:ketenpoort:dji:detentie:1\"/>".to_owned(),
        };
        let event = Event { sequence: Some(1), ..Event::new(RELEASE, data.into_bytes()) };
        Message::new("dji", event, None, vec![Owed::rejected()])
    }

    /// From nobody, or in another's name.
    fn unauthorized(&mut self) -> Message {
        let good = release(&self.new_series(), &["0344"]).event;
        let event = match self.rng.bool() {
            true => Event { user_id: UserId::Absent, ..good },
            false => Event { source: Some("urn:nld:oin:00000099000000000599:systeem:dji".to_owned()), ..good },
        };
        Message::new("dji", event, None, vec![Owed::rejected()])
    }

    fn request(&mut self) -> Message {
        let reference = self.rng.u32(..);
        match self.rng.u8(..3) {
            0 => request("gemeente:0606", reference, ["18b", "advies", "999991012", "1979"], &[Delivered]),
            1 => refused("gemeente:0606", reference),
            _ => request("gemeente:0599", reference, ["wmo", "toezicht", "999990342", "1983-06-17"], &[Delivered]),
        }
    }

    fn meeting(&mut self) -> Message {
        let data = format!(
            r#"{{"overleg":{{"kenmerk":"Z-{}","datum":"2027-01-20","doel":"toezicht","deelnemers":[
                {{"oin":"00000099000900000201"}},{{"oin":"00000099000900000006"}},
                {{"oin":"00000099000900000205"}},{{"oin":"00000099000900000301"}}]}},
                "persoon":{{"bsn":"999990561","geslachtsnaam":"El Idrissi","geboortedatum":"1998-03-05"}}}}"#,
            self.rng.u32(..)
        );
        let owed = vec![
            Owed::to("zvh:rotterdam-rijnmond", &[Delivered]),
            Owed::to("politie:rotterdam", &[Delivered]),
            Owed::to("rvdk", &[Delivered]),
            Owed::to("wijkteam:delfshaven", &[Delivered]),
            Owed::to("woningcorporatie:havenlicht", &[Refused]),
        ];
        Message::new("zvh:rotterdam-rijnmond", Event::new(MEETING, data.into_bytes()), None, owed)
    }

    fn municipality(&mut self) -> &'static str {
        MUNICIPALITIES[self.rng.usize(..MUNICIPALITIES.len())]
    }

    fn new_series(&mut self) -> String {
        self.series += 1;
        format!("DET-{}-{}", self.rng.u16(..), self.series)
    }
}

impl Message {
    fn new(from: &'static str, event: Event, series: Option<(String, i64)>, owed: Vec<Owed>) -> Message {
        let digest = digest_label(event.data.reveal_personal_data());
        Message { from, sent: Sent { id: event.id.clone(), digest, series, owed }, event }
    }

    /// Under the same id, with other content; of an XML message.
    pub fn contradicted(&self) -> Message {
        let mut data = self.event.data.reveal_personal_data().clone();
        data.extend_from_slice(format!("<!-- {} -->", Uuid::new_v4()).as_bytes());
        let event = Event { data: Personal::new(data), ..self.event.clone() };
        Message::new(self.from, event, None, vec![Owed::rejected()])
    }
}

impl Release<'_> {
    fn message(&self, outcomes: &'static [Outcome]) -> Message {
        let event = Event { sequence: Some(self.sequence), ..Event::new(RELEASE, self.xml().into_bytes()) };
        let municipalities = self.municipalities.iter().map(|code| format!("gemeente:{code}"));
        let reclassering = self.known.then(|| "reclassering".to_owned());
        let owed = municipalities.chain(reclassering).map(|party| Owed::to(&party, outcomes));
        Message::new("dji", event, Some((self.series.to_owned(), self.sequence)), owed.collect())
    }

    fn xml(&self) -> String {
        let series = self.series;
        // Of the rest IRIS never heard.
        let (bsn, skn) = if self.known { KNOWN } else { ("999991103", "2048243") };
        let home = self.municipalities[0];
        let settles = self.municipalities.get(1).map_or_else(String::new, |code| {
            format!("<Vestiging><Woonplaats>Elders</Woonplaats><Gemeentecode>{code}</Gemeentecode></Vestiging>")
        });
        let day = 10 + self.sequence;
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<Invrijheidstelling xmlns="urn:nl:ketenpoort:dji:detentie:1">
  <Persoon>
    <Bsn>{bsn}</Bsn><Skn>{skn}</Skn>
    <Geslachtsnaam>Jansen</Geslachtsnaam><Voornamen>Noor</Voornamen>
    <Geboortedatum>19870412</Geboortedatum><Geboorteplaats>Delft</Geboorteplaats>
    <Geslacht>V</Geslacht><Nationaliteit>Nederlandse</Nationaliteit>
  </Persoon>
  <Adres>
    <Straat>Voorstraat</Straat><Huisnummer>251</Huisnummer><Postcode>3311 EN</Postcode>
    <Woonplaats>Ergens</Woonplaats><Gemeentecode>{home}</Gemeentecode>
  </Adres>
  {settles}
  <Detentie>
    <Registratienummer>{series}</Registratienummer><InrichtingCode>VHZ</InrichtingCode>
    <Begin>20261002</Begin><EindeVerwacht>202702{day}</EindeVerwacht>
  </Detentie>
</Invrijheidstelling>"#
        )
    }
}
