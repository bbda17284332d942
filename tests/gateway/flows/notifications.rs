//! DJI announces a release or a leave.

use super::{all_on, delivered, shared, withheld};
use crate::messages::{LEAVE, Notice, Person, RELEASE, leave, release, supervised};
use crate::scene::{run, shared as shared_scene};
use serde_json::{Value, json};

const GROUND: &str = "re-integratie-melding, Pbw art. 18a jo. Penitentiaire maatregel art. 20d (te bevestigen)";
const PERMITTED: [&str; 5] = ["identificatie", "persoonsnummers", "adres", "detentie", "basisvoorwaarden"];
const WITHHELD: [&str; 7] = [
    "titel: no rule permits it",
    "vonnis: no rule permits it",
    "zorg: no rule permits it",
    "netwerk: rule nooit-slachtoffer-netwerk-sociaal",
    "slachtoffer: rule nooit-slachtoffer-netwerk-sociaal",
    "sociaal: rule nooit-slachtoffer-netwerk-sociaal",
    "vrije_tekst: rule vrije-tekst-na-beoordeling",
];

/// What a municipality may know of a release, and nothing else.
fn for_municipality(notice: &Notice) -> Value {
    let Notice { person, brp, .. } = notice;
    json!({
        "persoon": {
            "burgerservicenummer": person.bsn,
            "strafrechtsketennummer": person.skn,
            "naam": { "geslachtsnaam": "Dijkhuizen", "voorvoegsel": "van der", "voornamen": "Jeroen Wïllem" },
            "geboorte": { "datum": "1987-04-12", "plaats": "'s-Gravenhage" },
            "geslacht": "man"
        },
        "brpAdres": {
            "straat": "Mathenesserdijk", "huisnummer": "412", "toevoeging": "B", "postcode": "3026GV",
            "woonplaats": "Rotterdam", "gemeentecode": brp
        },
        "detentie": {
            "registratienummer": person.detention,
            "inrichting": { "code": "KAD", "naam": "PI Krimpen aan den IJssel" },
            "begindatum": "2025-06-03",
            "verwachteEinddatum": "2027-03-12",
            "soortEinde": "voorwaardelijke invrijheidstelling"
        },
        "basisvoorwaarden": {
            "identiteitsbewijs": "aangevraagd", "inkomen": "geen", "huisvesting": "tijdelijk",
            "schulden": "problematisch", "zorgThuis": "nvt"
        }
    })
}

#[test]
fn a_release_reaches_the_municipality_as_json_and_the_probation_service_that_knows_the_client() {
    run(async {
        let scene = shared_scene().await;
        let notice = Person::new().notice("0606");
        scene.world.iris.know(notice.person.on_file(supervised(), json!({})));
        let event = release(&notice);
        scene.send("dji", &event).await;

        let (arrival, receipt) = delivered(scene, "dji", &event, "gemeente:0606", RELEASE).await;
        assert_eq!(arrival.content_type, "application/json");
        assert_eq!(arrival.json(), for_municipality(&notice));
        assert_eq!(receipt.recipient.as_ref().unwrap().role.as_str(), "gemeente-college");
        assert_eq!(shared(&receipt), all_on(&PERMITTED, GROUND));
        assert_eq!(withheld(&receipt), WITHHELD);

        let (arrival, receipt) = delivered(scene, "dji", &event, "reclassering", RELEASE).await;
        let person = &notice.person;
        let expected = json!({
            "persoon": {
                "bsn": person.bsn, "skn": person.skn, "geslachtsnaam": "Dijkhuizen", "voorvoegsel": "van der",
                "voornamen": "Jeroen Wïllem", "geboortedatum": "1987-04-12"
            },
            "detentie": {
                "registratienummer": person.detention, "inrichtingCode": "KAD", "begin": "2025-06-03",
                "eindeVerwacht": "2027-03-12", "soortEinde": "VI"
            },
            "titel": {
                "parketnummer": "10/118204-25", "wettelijkeBepaling": "Sr 310, 311", "kwalificatie": "diefstal & braak"
            },
            "vonnis": {
                "instantie": "Rechtbank Rotterdam", "datum": "2025-10-14", "beslissing": "24 maanden",
                "voorwaarden": ["meldplicht", "ambulante behandeling"], "onherroepelijkOp": "2025-10-29"
            }
        });
        assert_eq!(arrival.json(), expected);
        let categories = ["identificatie", "persoonsnummers", "detentie", "titel", "vonnis"];
        let ground = "bekende-client, Reclasseringsregeling 1995 art. 8 (te bevestigen)";
        assert_eq!(shared(&receipt), all_on(&categories, ground));

        assert_eq!(scene.receipts("dji", &event.id, 2).await.len(), 2);
    });
}

#[test]
fn a_municipality_that_wants_xml_gets_xml() {
    run(async {
        let scene = shared_scene().await;
        let notice = Person::new().notice("0344");
        let event = release(&notice);
        scene.send("dji", &event).await;
        let (arrival, receipt) = delivered(scene, "dji", &event, "gemeente:0344", RELEASE).await;
        assert_eq!(arrival.content_type, "application/xml");
        let Person { bsn, detention, .. } = &notice.person;
        let expected = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <meldingInvrijheidstelling xmlns=\"urn:nl:ketenpoort:gemeente:detentie:1\" versie=\"1.0\">\
             <persoon><inp.bsn>{bsn}</inp.bsn><geslachtsnaam>Dijkhuizen</geslachtsnaam>\
             <voorvoegselGeslachtsnaam>van der</voorvoegselGeslachtsnaam><voornamen>Jeroen Wïllem</voornamen>\
             <geboortedatum>19870412</geboortedatum><geslachtsaanduiding>M</geslachtsaanduiding></persoon>\
             <verblijfsadres><gor.straatnaam>Mathenesserdijk</gor.straatnaam><aoa.huisnummer>412</aoa.huisnummer>\
             <aoa.huisnummertoevoeging>B</aoa.huisnummertoevoeging><aoa.postcode>3026GV</aoa.postcode>\
             <wpl.woonplaatsNaam>Rotterdam</wpl.woonplaatsNaam><gem.gemeenteCode>0344</gem.gemeenteCode></verblijfsadres>\
             <detentie><nummer>{detention}</nummer><inrichting>PI Krimpen aan den IJssel</inrichting>\
             <begin>20250603</begin><eindeVerwacht>20270312</eindeVerwacht></detentie>\
             <basisvoorwaarden><identiteitsbewijs>aangevraagd</identiteitsbewijs><inkomen>geen</inkomen>\
             <huisvesting>tijdelijk</huisvesting><schulden>problematisch</schulden><zorgThuis>nvt</zorgThuis>\
             </basisvoorwaarden></meldingInvrijheidstelling>\n"
        );
        assert_eq!(arrival.text(), expected);
        assert_eq!(shared(&receipt), all_on(&PERMITTED, GROUND));
    });
}

#[test]
fn a_municipality_can_take_it_over_a_webhook_in_binary_or_structured_mode() {
    run(async {
        let scene = shared_scene().await;
        for (code, structured) in [("0599", false), ("0505", true)] {
            let notice = Person::new().notice(code);
            let event = release(&notice);
            scene.send("dji", &event).await;
            let (arrival, _) = delivered(scene, "dji", &event, &format!("gemeente:{code}"), RELEASE).await;
            assert_eq!((arrival.structured, arrival.content_type.as_str()), (structured, "application/json"));
            assert_eq!(arrival.json(), for_municipality(&notice));
            assert_eq!(arrival.offered, 1);
        }
    });
}

#[test]
fn a_leave_reaches_the_municipality() {
    run(async {
        let scene = shared_scene().await;
        let notice = Person::new().notice("0606");
        let event = leave(&notice);
        scene.send("dji", &event).await;
        let (arrival, receipt) = delivered(scene, "dji", &event, "gemeente:0606", LEAVE).await;
        let mut expected = for_municipality(&notice);
        expected["detentie"] = json!({
            "registratienummer": notice.person.detention,
            "inrichting": { "code": "KAD", "naam": "PI Krimpen aan den IJssel" },
            "begindatum": "2025-06-03",
            "verlof": {
                "nummer": "3", "soort": "re-integratieverlof",
                "begin": "2027-01-08T09:00:00+01:00", "einde": "2027-01-10T20:00:00+01:00"
            }
        });
        assert_eq!(arrival.json(), expected);
        assert_eq!(shared(&receipt), all_on(&PERMITTED, GROUND));
        assert_eq!(withheld(&receipt), WITHHELD);
    });
}

/// And of somebody whom it does not know, the probation service hears nothing.
#[test]
fn whoever_settles_elsewhere_is_announced_to_both_municipalities() {
    run(async {
        let scene = shared_scene().await;
        let notice = Notice { settles: Some("0344".to_owned()), ..Person::new().notice("0606") };
        let event = release(&notice);
        scene.send("dji", &event).await;
        let (schiedam, _) = delivered(scene, "dji", &event, "gemeente:0606", RELEASE).await;
        let (utrecht, _) = delivered(scene, "dji", &event, "gemeente:0344", RELEASE).await;
        let mut expected = for_municipality(&notice);
        expected["vestigingsadres"] = json!({ "straat": "Amsterdamsestraatweg", "gemeentecode": "0344" });
        assert_eq!(schiedam.json(), expected);
        assert!(utrecht.text().contains("<gem.gemeenteCode>0344</gem.gemeenteCode>"));
        assert_ne!(schiedam.key, utrecht.key, "each recipient its own key");

        let known = Person::new();
        scene.world.iris.know(known.on_file(supervised(), json!({})));
        let later = release(&known.notice("0606"));
        scene.send("dji", &later).await;
        scene.arrival("reclassering", &later.id).await;
        assert_eq!(scene.receipts("dji", &event.id, 2).await.len(), 2);
        assert_eq!(scene.recipients_of(&event.id).len(), 2);
    });
}
