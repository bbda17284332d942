//! What must not get in, and what cannot go on: each with its code and place, told to the sender, and nothing
//! forwarded.

mod iris;

use crate::messages::{
    Notice, Person, RELEASE, REQUEST, case_file, event, numbered, release, request, supervised, trace_id,
};
use crate::scene::{Proof, Scene, root, run, shared};
use ketenpoort::code::Code;
use ketenpoort::demo::partner::{Access, Event, Partner, UserId};
use ketenpoort::outcome::Outcome;
use ketenpoort::party::PartyId;
use serde_json::json;
use std::sync::Arc;

struct Case {
    name: &'static str,
    from: &'static str,
    event: Event,
    /// As in `KP-2005 /Persoon/Skn`.
    problems: Vec<String>,
    /// The gateway could not even read which message this is.
    nameless: bool,
}

fn case(name: &'static str, event: Event, problems: &[&str]) -> Case {
    let problems = problems.iter().map(|problem| (*problem).to_owned()).collect();
    Case { name, from: "dji", event, problems, nameless: false }
}

impl Case {
    fn from(self, from: &'static str) -> Case {
        Case { from, ..self }
    }

    fn nameless(self) -> Case {
        Case { nameless: true, ..self }
    }
}

/// A release that is good but for what is put in place of something in it.
fn spoilt(what: &str, with: &str) -> Event {
    let good = String::from_utf8(notice().release()).unwrap();
    assert!(good.contains(what), "{what}");
    numbered(1, event(RELEASE, good.replacen(what, with, 1)))
}

fn notice() -> Notice {
    Person::new().notice("0606")
}

/// Data as it is, in binary mode.
fn bytes(kind: &str, content_type: &str, data: impl Into<Vec<u8>>) -> Event {
    let event = numbered(1, event(kind, data));
    Event { structured: false, content_type: Some(content_type.to_owned()), ..event }
}

fn asked(change: impl Fn(&mut serde_json::Value)) -> Event {
    let mut data = Person::new().request("0606", "18b", "toezicht");
    change(&mut data);
    request(&data)
}

fn documents() -> Vec<Case> {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"lachen\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;\">]>\n";
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let latin1: Vec<u8> = "<Invrijheidstelling>M\u{fc}ller".chars().map(|c| u8::try_from(c).unwrap()).collect();
    let huge = |size: usize| "x".repeat(size);
    let gemeente = "gemeente:0606";
    vec![
        case("not XML", bytes(RELEASE, "application/xml", "Betrokkene komt vrij."), &["KP-2002 line 1"]),
        case("JSON for XML", numbered(1, event(RELEASE, "{}")), &["KP-2002 datacontenttype"]),
        case("it breaks off", spoilt("</Invrijheidstelling>", ""), &["KP-2002 line 37"]),
        case("a DTD", spoilt("<Invrijheidstelling ", "<!DOCTYPE x>\n<Invrijheidstelling "), &["KP-2003 line 2"]),
        case(
            "an entity bomb",
            spoilt("<Invrijheidstelling ", &format!("{bomb}<Invrijheidstelling ")),
            &["KP-2003 line 2"],
        ),
        case("10,000 elements deep", spoilt("Dijkhuizen", &deep("<a>", "</a>")), &["KP-2004 line 5"]),
        case("Latin-1", bytes(RELEASE, "application/xml", latin1), &["KP-1009 byte 21"]),
        case("UTF-16 by name", spoilt("UTF-8", "UTF-16"), &["KP-1009 line 1"]),
        case("not JSON", bytes(REQUEST, "application/json", "{\"verzoek\": "), &["KP-2001 line 1, column 12"])
            .from(gemeente),
        case("a key twice", bytes(REQUEST, "application/json", "{\"a\": 1, \"a\": 2}"), &["KP-2001 line 1, column 16"])
            .from(gemeente),
        case(
            "10,000 objects deep",
            bytes(REQUEST, "application/json", deep("{\"a\":", "}")),
            &["KP-2004 line 1, column 636"],
        )
        .from(gemeente),
        case(
            "an event that is not JSON",
            bytes(REQUEST, "application/cloudevents+json", "geen JSON"),
            &["KP-2001 line 1, column 1"],
        )
        .from(gemeente)
        .nameless(),
        case("50 MB", bytes(RELEASE, "application/xml", huge(50 << 20)), &["KP-1008 body"]),
        case("a byte too many", bytes(REQUEST, "application/json", huge((1 << 20) + 1)), &["KP-1008 body"])
            .from(gemeente),
    ]
}

fn senders_and_attributes() -> Vec<Case> {
    let good = || release(&notice());
    let with =
        |name: &str, value: &str| Event { headers: vec![(format!("cloudEvents_{name}"), value.to_owned())], ..good() };
    let elsewhere = "urn:nld:oin:00000099000000000599:systeem:dji";
    let subject = with("subject", &format!("client-{}", Person::new().bsn));
    let unknown = Event { kind: "nl.ketenpoort.detentie.ontsnapping-aangekondigd.v1".to_owned(), ..good() };
    vec![
        case("an unknown type", unknown, &["KP-1003 type"]),
        case("another's type", asked(|_| {}), &["KP-1006 type"]),
        case("no user-id", Event { user_id: UserId::Absent, ..good() }, &["KP-1004 user-id"]),
        case("another's source", Event { source: Some(elsewhere.to_owned()), ..good() }, &["KP-1005 source"]),
        case("no OIN in the source", Event { source: Some("dji".to_owned()), ..good() }, &["KP-1005 source"]),
        case("a BSN in the subject", subject, &["KP-1007 subject"]),
        case("no sequence", Event { sequence: None, ..good() }, &["KP-1002 sequence"]),
        case("another version of CloudEvents", with("specversion", "0.3"), &["KP-1002 specversion"]),
        case("several attributes at once", with("time", "morgen"), &["KP-1002 time"]),
        case(
            "another municipality",
            asked(|data| data["verzoek"]["gemeentecode"] = "0344".into()),
            &["KP-2013 /verzoek/gemeentecode"],
        )
        .from("gemeente:0606"),
    ]
}

fn fields() -> Vec<Case> {
    let everything = spoilt("<Geboortedatum>19870412</Geboortedatum>", "<Kleur>blauw</Kleur>");
    let everything = String::from_utf8(everything.data.into_personal_data()).unwrap();
    let everything = everything
        .replace("<Geslacht>M<", "<Geslacht>man<")
        .replace("3026 GV", "1234")
        .replace("<InrichtingCode>KAD<", "<InrichtingCode>XYZ<")
        .replace("<Begin>20250603<", "<Begin>20250631<");
    vec![
        case(
            "a gemeentecode that never was",
            spoilt("<Gemeentecode>0606", "<Gemeentecode>9999"),
            &["KP-2009 /Adres/Gemeentecode"],
        ),
        case(
            "a gemeentecode that is no more",
            spoilt("<Gemeentecode>0606", "<Gemeentecode>1685"),
            &["KP-2009 /Adres/Gemeentecode"],
        ),
        case("no BSN", spoilt("<Bsn>99", "<Bsn>12"), &["KP-2008 /Persoon/Bsn"]),
        case("a day that does not exist", spoilt("20270312", "20270230"), &["KP-2010 /Detentie/EindeVerwacht"]),
        case("an end before the begin", spoilt("20270312", "20250101"), &["KP-2011 /Detentie/EindeVerwacht"]),
        case(
            "much at once",
            numbered(1, event(RELEASE, everything)),
            &[
                "KP-2005 /Persoon/Geboortedatum",
                "KP-2006 /Persoon/Kleur",
                "KP-2007 /Adres/Postcode",
                "KP-2007 /Persoon/Geslacht",
                "KP-2010 /Detentie/Begin",
                "KP-2012 /Detentie/InrichtingCode",
            ],
        ),
        case(
            "much at once in a request",
            asked(|data| {
                data["verzoek"]["kenmerk"] = 7.into();
                data["verzoek"]["kleur"] = "blauw".into();
                data["persoon"] = json!({ "bsn": "123456789" });
            }),
            &[
                "KP-2005 /persoon/geboortedatum",
                "KP-2006 /verzoek/kleur",
                "KP-2007 /verzoek/kenmerk",
                "KP-2008 /persoon/bsn",
            ],
        )
        .from("gemeente:0606"),
    ]
}

#[test]
fn what_is_wrong_is_told_with_code_and_place_and_goes_nowhere() {
    run(async {
        let scene = shared().await;
        let cases: Vec<Case> = documents().into_iter().chain(senders_and_attributes()).chain(fields()).collect();
        for case in &cases {
            scene.send(case.from, &case.event).await;
        }
        for case in &cases {
            let proof = rejection(scene, case).await;
            let message = &proof.receipt.message;
            assert_eq!(message.id.is_none(), case.nameless, "{}", case.name);
            assert_eq!(problems(&proof), case.problems, "{}", case.name);
        }
        // Whatever would have been forwarded, would have been before these.
        let client = Person::new();
        scene.world.iris.know(client.on_file(supervised(), case_file()));
        let question = request(&client.request("0606", "18b", "toezicht"));
        for (from, event) in [("dji", release(&notice())), ("gemeente:0606", question)] {
            scene.send(from, &event).await;
            scene.arrival("gemeente:0606", &event.id).await;
        }
        for case in &cases {
            assert_eq!(scene.recipients_of(&case.event.id), [""; 0], "{}", case.name);
        }
    });
}

async fn rejection(scene: &Scene, case: &Case) -> Arc<Proof> {
    let mut proofs = match case.nameless {
        true => scene.receipts_for_bytes(case.from, case.event.data.reveal_personal_data(), 1).await,
        false => scene.receipts(case.from, &case.event.id, 1).await,
    };
    assert_eq!(proofs.len(), 1, "{}", case.name);
    let proof = proofs.remove(0);
    let receipt = &proof.receipt;
    assert_eq!((receipt.outcome, &receipt.recipient), (Outcome::Rejected, &None), "{}", case.name);
    assert_eq!(receipt.decision, ketenpoort::receipt::Decision::default(), "{}", case.name);
    assert_eq!(receipt.trace_id.as_deref(), Some(trace_id(&case.event)), "{}", case.name);
    proof
}

fn problems(proof: &Proof) -> Vec<String> {
    let reason = proof.receipt.reason.as_ref().unwrap();
    assert_eq!(reason.code, reason.problems[0].code);
    let mut problems: Vec<_> = reason.problems.iter().map(|p| format!("{} {}", p.code, p.place)).collect();
    problems.sort();
    problems
}

/// The broker itself proves who sends: nobody can name another, or write where another writes.
#[test]
fn nobody_can_send_in_the_name_of_another() {
    run(async {
        let scene = shared().await;
        let of = |party: &str| scene.world.note.partners[&PartyId::new(party)].clone();
        let (dji, schiedam) = (of("dji"), of("gemeente:0606"));
        let good = release(&notice());
        let in_its_name = Event { user_id: UserId::Other(dji.user.clone()), ..good.clone() };
        let in_its_place = Access { inbound: dji.inbound.clone(), ..schiedam.clone() };
        for (access, event) in [(schiedam, &in_its_name), (in_its_place, &good)] {
            // What the broker forbids, it closes the channel for: not that of other tests.
            let partner = Partner::connect(access).await.unwrap();
            assert!(partner.publish(event).await.is_err());
        }
        scene.send("dji", &good).await;
        scene.arrival("gemeente:0606", &good.id).await;
        assert_eq!(scene.recipients_of(&good.id).len(), 1);
    });
}

/// Where the broker lets somebody in by mistake, the gateway does not.
#[test]
fn who_writes_in_the_queue_of_another_is_told_and_not_believed() {
    run(async {
        let scene = shared().await;
        let intruder = scene.partner("wijkteam:delfshaven");
        let (vhost, _) = intruder.access.user.split_once('.').unwrap();
        let script = root().join("deploy/broker.sh");
        let allowed = ["ctl", "set_permissions", "-p", vhost, &intruder.access.user, "", ".*", ".*"];
        let status = tokio::process::Command::new(script).args(allowed).status().await.unwrap();
        assert!(status.success());
        let dji = scene.partner("dji").access.clone();
        let access = Access { inbound: dji.inbound, ..intruder.access.clone() };
        let event = Event { source: Some(dji.source), ..release(&notice()) };
        Partner::connect(access).await.unwrap().publish(&event).await.unwrap();

        let proofs = scene.receipts("wijkteam:delfshaven", &event.id, 1).await;
        assert_eq!(problems(&proofs[0]), ["KP-1005 user-id"]);
        // It did not use up the name that it gave itself.
        scene.send("dji", &event).await;
        scene.arrival("gemeente:0606", &event.id).await;
        assert_eq!(scene.recipients_of(&event.id), ["gemeente:0606"]);
    });
}

#[test]
fn another_content_under_a_known_id_is_rejected() {
    run(async {
        let scene = shared().await;
        let notice = notice();
        let event = release(&notice);
        scene.send("dji", &event).await;
        scene.receipt("dji", &event.id, "gemeente:0606").await;
        let changed = release(&Notice { ends: "20270402".to_owned(), ..notice });
        let changed = Event { id: event.id.clone(), ..changed };
        for count in [2, 3] {
            scene.send("dji", &changed).await;
            let proofs = scene.receipts("dji", &event.id, count).await;
            let proof = proofs.last().unwrap();
            assert_eq!(proof.receipt.outcome, Outcome::Rejected);
            assert_eq!(problems(proof), ["KP-1010 id"]);
            assert_eq!(proof.receipt.trace_id.as_deref(), Some(trace_id(&changed)));
        }
        let later = release(&self::notice());
        scene.send("dji", &later).await;
        scene.arrival("gemeente:0606", &later.id).await;
        assert_eq!(scene.recipients_of(&event.id), ["gemeente:0606"]);
    });
}

#[test]
fn what_is_for_a_recipient_without_an_endpoint_is_parked_until_a_person_decides() {
    run(async {
        let scene = shared().await;
        let event = release(&Person::new().notice("0622"));
        scene.send("dji", &event).await;
        scene.waits_as(trace_id(&event), "parked").await;
        let rows = scene.parked(&event.id).await;
        assert_eq!(rows.len(), 1);
        assert_eq!((&rows[0]["outcome"], &rows[0]["recipient"]), (&json!("parked"), &json!("gemeente:0622")));
        assert_eq!(rows[0]["reason"]["code"], Code::NotAddressable.as_str());

        let delivery = rows[0]["delivery"].to_string();
        scene.command(&["parked", "discard", &delivery, "--who", "test", "--why", "not connected"]).await;
        let receipt = scene.receipt("dji", &event.id, "gemeente:0622").await;
        assert_eq!((receipt.outcome, receipt.reason.unwrap().code), (Outcome::Expired, Code::Discarded));
        assert!(scene.parked(&event.id).await.is_empty());
    });
}
