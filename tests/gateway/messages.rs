//! Messages as the partners send them, about fictitious persons: no two tests share one.

use jiff::Timestamp;
use ketenpoort::demo::partner::Event;
use ketenpoort::facts::dutch_day;
use ketenpoort::simulators::iris::People;
use ketenpoort::validation::formats::is_bsn;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

pub const RELEASE: &str = "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1";
pub const LEAVE: &str = "nl.ketenpoort.detentie.verlof-aangekondigd.v1";
pub const REQUEST: &str = "nl.ketenpoort.re-integratie.informatie-gevraagd.v1";
pub const LIST: &str = "nl.ketenpoort.detentie.inkomstenlijst-aangeboden.v1";
pub const CONSENT: &str = "nl.ketenpoort.toestemming.vastgelegd.v1";
pub const WITHDRAWAL: &str = "nl.ketenpoort.toestemming.ingetrokken.v1";
pub const ASSESSMENT: &str = "nl.ketenpoort.beoordeling.vastgelegd.v1";
pub const MEETING: &str = "nl.ketenpoort.casusoverleg.gegevens-gevraagd.v1";

/// One detainee in one detention.
#[derive(Clone, Debug)]
pub struct Person {
    pub bsn: String,
    pub skn: String,
    pub detention: String,
}

impl Person {
    /// Somebody whom nobody knows yet.
    pub fn new() -> Person {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        // One in eleven numbers is a BSN; these are a test range.
        let mut candidates = (0..100).map(|i| (999_600_000 + n * 100 + i).to_string());
        let bsn = candidates.find(|number| is_bsn(number)).expect("a BSN among a hundred numbers");
        Person { bsn, skn: format!("{}", 7_000_000 + n), detention: format!("DET-2027-{n:04}") }
    }

    /// What IRIS knows of this person. Days may be relative, as in `today+30d`.
    pub fn on_file(&self, facts: Value, data: Value) -> People {
        let entry = json!({ "bsn": self.bsn, "skn": self.skn, "feiten": facts, "gegevens": data });
        let file = json!({ "personen": [entry] }).to_string();
        People::read("test", &file, dutch_day(Timestamp::now())).unwrap()
    }

    /// A detainee with everything on him that a notification can hold.
    pub fn notice(&self, brp: &str) -> Notice {
        Notice { person: self.clone(), brp: brp.to_owned(), settles: None, ends: "20270312".to_owned() }
    }

    pub fn request(&self, gemeente: &str, grond: &str, doel: &str) -> Value {
        json!({
            "verzoek": { "kenmerk": format!("{gemeente}-2027-17"), "grond": grond, "doel": doel, "gemeentecode": gemeente },
            "persoon": { "bsn": self.bsn, "geslachtsnaam": "Haverkamp", "geboortedatum": "1987-04-12" }
        })
    }
}

/// Who came into detention, by SKN and date of birth.
pub fn intake_list(kenmerk: &str, persons: impl IntoIterator<Item = (String, &'static str)>) -> Vec<u8> {
    let item = |(index, (skn, born)): (usize, (String, &str))| {
        format!(
            "<Inkomst><Volgnummer>{}</Volgnummer><Skn>{skn}</Skn><Geslachtsnaam>Haverkamp</Geslachtsnaam>\
             <Voorvoegsel>van</Voorvoegsel><Voornamen>Lotte</Voornamen><Geboortedatum>{born}</Geboortedatum>\
             <InrichtingCode>KAD</InrichtingCode><DatumBinnenkomst>20261123</DatumBinnenkomst>\
             <Titel><Parketnummer>10-118204-25</Parketnummer><Kwalificatie>diefstal</Kwalificatie></Titel></Inkomst>",
            index + 1
        )
    };
    let items: String = persons.into_iter().enumerate().map(item).collect();
    format!(
        "<Inkomstenlijst xmlns=\"urn:nl:ketenpoort:dji:detentie:1\"><Kenmerk>{kenmerk}</Kenmerk>\
         <OpgesteldOp>20261124</OpgesteldOp><Taak>ADVIES</Taak><Doel>DR_PLAN_OPSTELLEN</Doel>{items}</Inkomstenlijst>"
    )
    .into_bytes()
}

/// In force for as long as any test runs.
pub fn supervised() -> Value {
    json!({
        "bekend": true, "organisatie": "SVG",
        "justitieel_kader": { "aanwezig": true, "soort": "toezicht", "eindigt_op": "today+14m" }
    })
}

/// Of every category something.
pub fn case_file() -> Value {
    json!({
        "identificatie": { "geslachtsnaam": "Haverkamp", "voornamen": "Lotte" },
        "adres": { "woonplaats": "Schiedam" },
        "detentie": { "inrichting": "PI Almere" },
        "titel": { "parketnummer": "10-118204-25" },
        "vonnis": { "beslissing": "gevangenisstraf van 24 maanden" },
        "justitieel_kader": {
            "soort": "toezicht", "eindigt_op": "2028-01-31", "organisatie": "SVG",
            "contactpersoon": "M. Bouali", "telefoon": "010-0000001"
        },
        "basisvoorwaarden": { "identiteitsbewijs": "aangevraagd", "inkomen": "geen", "huisvesting": "tijdelijk" },
        "risico_veiligheid": { "niveau": "gemiddeld", "beoordeeld_op": "2026-10-15", "signalen": ["contactverbod"] },
        "risico_onrust": { "niveau": "laag", "beoordeeld_op": "2026-10-15" },
        "risicoanalyse": { "instrument": "RISC", "recidiverisico": "gemiddeld" },
        "zorg": { "indicatie": "ambulante verslavingszorg" },
        "kind": { "minderjarigen_betrokken": false },
        "netwerk": { "contactpersoon": "mevrouw A. Dijkhuizen-Bos, zus" },
        "slachtoffer": { "naam": "P. de Groot" },
        "sociaal": { "kwalificatie": "zorgmijder" },
        "vrije_tekst": { "rapport": "Betrokkene zoekt werk in de haven." }
    })
}

/// What DJI sends.
#[derive(Clone, Debug)]
pub struct Notice {
    pub person: Person,
    pub brp: String,
    pub settles: Option<String>,
    pub ends: String,
}

impl Notice {
    pub fn release(&self) -> Vec<u8> {
        let detention = format!("<EindeVerwacht>{}</EindeVerwacht><SoortEinde>VI</SoortEinde>", self.ends);
        self.xml("Invrijheidstelling", &detention, "")
    }

    pub fn leave(&self) -> Vec<u8> {
        let leave = "<Verlof><Nummer>3</Nummer><Soort>REINTEGRATIE</Soort>\
            <Begin>2027-01-08T09:00:00+01:00</Begin><Einde>2027-01-10T20:00:00+01:00</Einde></Verlof>";
        self.xml("Verlof", "", leave)
    }

    fn xml(&self, root: &str, detention: &str, after: &str) -> Vec<u8> {
        let Notice { person: Person { bsn, skn, detention: number }, brp, settles, .. } = self;
        let settles = settles.as_ref().map_or(String::new(), |code| {
            format!("<Vestiging><Straat>Amsterdamsestraatweg</Straat><Gemeentecode>{code}</Gemeentecode></Vestiging>")
        });
        let xml = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<{root} xmlns="urn:nl:ketenpoort:dji:detentie:1">
  <Persoon>
    <Bsn>{bsn}</Bsn><Skn>{skn}</Skn>
    <Geslachtsnaam>Dijkhuizen</Geslachtsnaam><Voorvoegsel>van der</Voorvoegsel><Voornamen>Jeroen Wïllem</Voornamen>
    <Geboortedatum>19870412</Geboortedatum><Geboorteplaats>'s-Gravenhage</Geboorteplaats><Geslacht>M</Geslacht>
    <Nationaliteit>Nederlandse</Nationaliteit>
  </Persoon>
  <Adres>
    <Straat>Mathenesserdijk</Straat><Huisnummer>412</Huisnummer><Toevoeging>B</Toevoeging><Postcode>3026 GV</Postcode>
    <Woonplaats>Rotterdam</Woonplaats><Gemeentecode>{brp}</Gemeentecode>
  </Adres>
  {settles}
  <Detentie>
    <Registratienummer>{number}</Registratienummer><InrichtingCode>KAD</InrichtingCode><Begin>20250603</Begin>
    {detention}
  </Detentie>
  {after}
  <Titel>
    <Parketnummer>10-118204-25</Parketnummer><WettelijkeBepaling>Sr 310, 311</WettelijkeBepaling>
    <Kwalificatie>diefstal &amp; braak</Kwalificatie>
  </Titel>
  <Vonnis>
    <Instantie>Rechtbank Rotterdam</Instantie><Datum>20251014</Datum><Beslissing>24 maanden</Beslissing>
    <Voorwaarde>meldplicht</Voorwaarde><Voorwaarde>ambulante behandeling</Voorwaarde>
    <OnherroepelijkOp>20251029</OnherroepelijkOp>
  </Vonnis>
  <Basisvoorwaarden>
    <Identiteitsbewijs>aangevraagd</Identiteitsbewijs><Inkomen>geen</Inkomen><Huisvesting>tijdelijk</Huisvesting>
    <Schulden>problematisch</Schulden><ZorgThuis>nvt</ZorgThuis>
  </Basisvoorwaarden>
  <Zorg><Indicatie>ambulante verslavingszorg</Indicatie></Zorg>
  <Netwerk><Contactpersoon>mevrouw A. Dijkhuizen-Bos, zus</Contactpersoon><Telefoon>0612345678</Telefoon></Netwerk>
  <Slachtoffer><Naam>P. de Groot</Naam><Contactverbod>tot 2028</Contactverbod></Slachtoffer>
  <SocialeKwalificatie>zorgmijder</SocialeKwalificatie>
  <Toelichting>Betrokkene wil niet terug naar de oude buurt.</Toelichting>
</{root}>"#
        );
        xml.into_bytes()
    }
}

/// In a trace of its own.
pub fn event(kind: &str, data: impl Into<Vec<u8>>) -> Event {
    let (trace, span) = (uuid::Uuid::new_v4().simple(), &uuid::Uuid::new_v4().simple().to_string()[..16]);
    Event { traceparent: Some(format!("00-{trace}-{span}-01")), ..Event::new(kind, data.into()) }
}

pub fn release(notice: &Notice) -> Event {
    numbered(1, event(RELEASE, notice.release()))
}

pub fn leave(notice: &Notice) -> Event {
    numbered(1, event(LEAVE, notice.leave()))
}

pub fn numbered(sequence: i64, event: Event) -> Event {
    Event { sequence: Some(sequence), ..event }
}

pub fn request(data: &Value) -> Event {
    event(REQUEST, data.to_string())
}

pub fn trace_id(event: &Event) -> &str {
    event.traceparent.as_deref().unwrap().split('-').nth(1).unwrap()
}
