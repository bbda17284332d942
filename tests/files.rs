//! The files that say what messages are: those that ship hold together, what is broken in them is told, and a new
//! partner with a new message is files only.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use jiff::Timestamp;
use ketenpoort::catalogue::{Catalogue, Finding, Order, Sources};
use ketenpoort::check;
use ketenpoort::core::Pipeline;
use ketenpoort::directory::Directory;
use ketenpoort::envelope::RawMessage;
use ketenpoort::explain::{Explanation, explain};
use ketenpoort::facts::Facts;
use ketenpoort::outcome::Outcome;
use ketenpoort::party::PartyId;
use ketenpoort::personal::Personal;
use ketenpoort::policy::Engine;
use ketenpoort::validation::Limits;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every file that is read, in memory.
#[derive(Clone)]
struct Files {
    sources: Sources,
    partners: BTreeMap<String, String>,
}

impl Files {
    fn read(root: &Path, partners: &Path) -> Files {
        let sources = Sources::read(&root.join("schemas"), &root.join("policies"), &root.join("mappings")).unwrap();
        let partners = std::fs::read_dir(partners).unwrap().map(|entry| entry.unwrap().path());
        let partners = partners.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
        let named = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), text(&path));
        Files { sources, partners: partners.map(named).collect() }
    }

    fn shipped() -> Files {
        Files::read(root(), &root().join("deploy/partners"))
    }

    /// With one place in one file changed.
    fn with(&self, path: &str, old: &str, new: &str) -> Files {
        let mut changed = self.clone();
        let (folder, name) = path.split_once('/').unwrap();
        let files = match folder {
            "schemas" => &mut changed.sources.schemas,
            "policies" => &mut changed.sources.policies,
            "mappings" => &mut changed.sources.mappings,
            _ => &mut changed.partners,
        };
        let text = files.get_mut(name).unwrap_or_else(|| panic!("there is no {path}"));
        assert!(text.contains(old), "{path} does not hold {old}");
        *text = text.replacen(old, new, 1);
        changed
    }

    fn load(&self) -> Result<Pipeline, Vec<Finding>> {
        let directory = Directory::load(&self.partners)?;
        Pipeline::load(&self.sources, Arc::new(directory), Limits::default(), &[7; 32])
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn fixture(name: &str) -> String {
    text(&root().join("tests/fixtures").join(name))
}

fn now() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

#[test]
fn the_shipped_files_load_and_every_case_holds() {
    let files = Files::shipped();
    let pipeline = files.load().unwrap_or_else(|findings| panic!("{}", lines(&findings)));
    let report = check::cases(&files.sources, &pipeline);
    assert_eq!(lines(&report.findings), "");
    assert_eq!(lines(&report.gaps), "", "what no case exercises");
    assert!(report.passed > 400, "{} cases", report.passed);
}

#[test]
fn the_fixtures_are_good_messages_in_both_modes() {
    let pipeline = Files::shipped().load().unwrap();
    let facts: Facts = serde_json::from_str(&fixture("feiten.json")).unwrap();
    let table = [
        ("invrijheidstelling", "xml", "dji", "detentie.invrijheidstelling-aangekondigd.v1", 3),
        ("verlof", "xml", "dji", "detentie.verlof-aangekondigd.v1", 3),
        ("informatie-gevraagd", "json", "gemeente:0363", "re-integratie.informatie-gevraagd.v1", 1),
        ("casusoverleg", "json", "zvh:rotterdam-rijnmond", "casusoverleg.gegevens-gevraagd.v1", 4),
    ];
    for (name, ending, from, kind, delivered) in table {
        let (kind, data) = (format!("nl.ketenpoort.{kind}"), fixture(&format!("{name}.{ending}")));
        let binary = check::raw_message(&pipeline, from, &kind, data.into_bytes(), &BTreeMap::new()).unwrap();
        let event = structured(&pipeline, from, fixture(&format!("{name}.event.json")));
        let [binary, event] = [binary, event].map(|raw| explain(&pipeline, &raw, Some(&facts), now()));
        assert_eq!(payloads(&binary).len(), delivered, "{}", binary.for_a_person());
        assert_eq!(payloads(&binary), payloads(&event), "{name}");
    }
}

fn structured(pipeline: &Pipeline, from: &str, event: String) -> RawMessage {
    let party = pipeline.directory.by_id(&PartyId::new(from)).unwrap();
    RawMessage {
        body: Personal::new(event.into_bytes()),
        content_type: Some("application/cloudevents+json".to_owned()),
        user_id: party.users.first().cloned(),
        queue_of: Some(party.id.clone()),
        ..RawMessage::default()
    }
}

fn payloads(explained: &Explanation) -> Vec<(String, String)> {
    let delivered = explained.deliveries.iter().filter(|delivery| delivery.outcome == Outcome::Delivered);
    delivered.map(|d| (d.recipient.to_string(), d.payload.as_ref().unwrap().to_string())).collect()
}

/// One change that breaks a file: where, what, and how the finding begins that then tells it. `~` stands for a line
/// near the change.
struct Broken {
    path: &'static str,
    old: &'static str,
    new: &'static str,
    told: &'static str,
}

const fn broken(path: &'static str, old: &'static str, new: &'static str, told: &'static str) -> Broken {
    Broken { path, old, new, told }
}

const RELEASE: &str = "mappings/detentie.invrijheidstelling-aangekondigd.v1/message.yaml";
const RELEASE_JSON: &str = "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.json.yaml";
const RELEASE_XML: &str = "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.xml.yaml";
const CANONICAL: &str = "schemas/canonical/detentie.invrijheidstelling-aangekondigd.v1.schema.json";
const FZ: &str = "mappings/forensische-zorg.indicatie-gevraagd.v1/message.yaml";
const MEETING: &str = "mappings/casusoverleg.gegevens-gevraagd.v1/message.yaml";
const LIST: &str = "mappings/detentie.inkomstenlijst-aangeboden.v1/message.yaml";
const ITEM: &str = "mappings/detentie.inkomst-aangeboden.v1/message.yaml";
const CONSENT: &str = "mappings/toestemming.vastgelegd.v1/message.yaml";
const BIJ: &str = "mappings/detentie.bij-melding.v1/message.yaml";

#[rustfmt::skip]
const POLICIES: &[Broken] = &[
    broken("policies/gemeente.cedar", "context.verzoek.grond == \"18b\"", "context.verzoek.grnd == \"18b\"",
        "policies/gemeente.cedar:~: KP-7002 18b-met-kader: for policy `18b-met-kader`, attribute `verzoek.grnd`"),
    broken("policies/gemeente.cedar", "context.kader.dient_doel\n", "context.kader.dient_doel == 1\n",
        "policies/gemeente.cedar:~: KP-7002 18b-met-kader: "),
    broken("policies/gemeente.cedar", "permit (", "permit {",
        "policies/gemeente.cedar:~: KP-7002 : unexpected token `{`"),
    broken("policies/gemeente.cedar", "@id(\"bij-met-kader\")\n", "",
        "policies/gemeente.cedar: KP-7002 a policy without @id: annotation missing: @id"),
    broken("policies/gemeente.cedar", "@legal_basis(\"Bjsg art. 11a (BIJ)\")\n", "",
        "policies/gemeente.cedar:~: KP-7002 bij-met-kader: annotation missing: @legal_basis"),
    broken("policies/gemeente.cedar", "@id(\"bij-met-kader\")", "@id(\"18b-met-kader\")",
        "policies/gemeente.cedar:~: KP-7002 18b-met-kader: another policy has this @id"),
    broken("policies/toestemming.cedar", "@id(\"wmo\")", "@id(\"43-4\")",
        "policies/toestemming.cedar:~: KP-7002 43-4: another policy has this @id"),
    broken("policies/toestemming.cedar", "@status(\"bevestigd\")", "@status(\"zeker\")",
        "policies/toestemming.cedar:~: KP-7002 schriftelijke-toestemming: @status is"),
    broken("policies/verboden.cedar", "Categorie::\"slachtoffer\"", "Categorie::\"slachtofer\"",
        "policies/verboden.cedar:~: KP-7002 nooit-slachtoffer-netwerk-sociaal: `slachtofer` is no category"),
    broken("policies/casusoverleg.cedar", "@assessment(\"wgs_noodzaak\")", "@assessment(\"wgs\")",
        "policies/casusoverleg.cedar:~: KP-7002 zvh-wgs: `wgs` is no kind of assessment"),
    broken("policies/ketenpoort.cedarschema", "bekend: Bool,", "bekend: Boolean,",
        "policies/ketenpoort.cedarschema: KP-7002 : "),
];

#[rustfmt::skip]
const CASES: &[Broken] = &[
    broken("policies/cases/wmo.yaml", "categories: [basisvoorwaarden], policies: [wmo]", "categories: [zorg], policies: [wmo]",
        "policies/cases/wmo.yaml:~: KP-7006 Met toestemming mag wat de toestemming noemt: expected categories"),
    broken("policies/cases/wmo.yaml", "request: {grond: wmo,", "verzoek: {grond: wmo,",
        "policies/cases/wmo.yaml:~: KP-7006 Met toestemming mag wat de toestemming noemt: unknown field `verzoek`"),
    broken("policies/cases/wmo.yaml", "policy: wmo", "policy: wmo-2015",
        "policies/cases/wmo.yaml:~: KP-7006 Met toestemming mag wat de toestemming noemt: there is no policy `wmo-2015`"),
    broken("policies/cases/wmo.yaml", "cases:\n", "cases:\n  - {\n",
        "policies/cases/wmo.yaml:~: KP-7006 : "),
    broken("mappings/detentie.verlof-aangekondigd.v1/cases/volledig.gemeente.json", "\"vrouw\"", "\"man\"",
        "mappings/detentie.verlof-aangekondigd.v1/cases/ontvangers.yaml:~: KP-7006 Een volledig bericht gaat naar"),
];

#[rustfmt::skip]
const SCHEMAS: &[Broken] = &[
    broken(CANONICAL, "\"description\": \"Vrije tekst\",", "\"description\": \"Vrije tekst\"",
        "schemas/canonical/detentie.invrijheidstelling-aangekondigd.v1.schema.json: KP-7003 line "),
    broken(CANONICAL, ",\n      \"x-categorie\": \"vrije_tekst\"", "",
        "schemas/canonical/detentie.invrijheidstelling-aangekondigd.v1.schema.json: KP-7003 /toelichting: give the field exactly one"),
    broken(CANONICAL, "\"x-categorie\": \"vrije_tekst\"", "\"x-categorie\": \"proza\"",
        "schemas/canonical/detentie.invrijheidstelling-aangekondigd.v1.schema.json: KP-7003 x-categorie: \"proza\" is not one of"),
    broken(CANONICAL, "\"format\": \"geboortedatum\"", "\"format\": \"verjaardag\"",
        "schemas/canonical/detentie.invrijheidstelling-aangekondigd.v1.schema.json: KP-7003 "),
    broken(CANONICAL, "\"additionalProperties\": false", "\"additionalProperties\": true",
        "schemas/canonical/detentie.invrijheidstelling-aangekondigd.v1.schema.json: KP-7003 /: say `\"additionalProperties\": false`"),
    broken(CANONICAL, "\"format\": \"bsn\"", "\"minLength\": 9",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/message.yaml: KP-7004 : `person.bsn` must point to"),
];

#[rustfmt::skip]
const MAPPINGS: &[Broken] = &[
    broken(RELEASE_JSON, "to: /persoon/naam/voornamen}", "to: /persoon/naam/roepnaam}",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.json.yaml:~: KP-7004 : the target schema has no place `/persoon/naam/roepnaam`"),
    broken(RELEASE_JSON, "from: /persoon/voornamen,", "from: /persoon/roepnaam,",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.json.yaml:~: KP-7004 : the source schema has no place `/persoon/roepnaam`"),
    broken(RELEASE_JSON, "from: /persoon/voornamen,", "from: persoon,",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.json.yaml:~: KP-7004 : `persoon` is not a pointer"),
    broken(RELEASE_JSON, "from: /persoon/voornamen,", "from: /persoon,",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.json.yaml:~: KP-7004 : `/persoon` is an object"),
    broken(RELEASE_JSON, "from: /persoon/voornamen,", "from: /persoon/voornamen, value: x,",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.json.yaml:~: KP-7004 : give exactly one of `from` and `value`"),
    broken(RELEASE_JSON, "from: /persoon/voornamen,", "from: /netwerk/telefoon,",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.json.yaml: KP-7004 rules: reads a field of `netwerk`, which never leaves"),
    broken(RELEASE_XML, "via: [to_stuf_date]", "via: [naar_stuf]",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.xml.yaml:~: KP-7004 : unknown step `naar_stuf`"),
    broken(RELEASE_XML, "{table: geslacht, column: stuf}", "{table: gender, column: stuf}",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.xml.yaml:~: KP-7004 : unknown code table `gender`"),
    broken(RELEASE_XML, "{table: geslacht, column: stuf}", "{table: geslacht, column: zds}",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.xml.yaml:~: KP-7004 : code table `geslacht` has no column `zds`"),
    broken(RELEASE_XML, "root: meldingInvrijheidstelling\n", "",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.xml.yaml: KP-7004 format: XML needs `root` and `namespace`"),
    broken(RELEASE_XML, "rules:", "regels:",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/out.xml.yaml:~: KP-7004 : error: line 6 column 1: unknown field `regels`"),
    broken(RELEASE, "type: nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1", "type: nl.ketenpoort.detentie.vrij.v1",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/message.yaml: KP-7004 type: the folder must be named after the type"),
    broken(RELEASE, "canonical: canonical/", "canonical: eigen/",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/message.yaml: KP-7004 schema: there is no file schemas/eigen/"),
    broken(RELEASE, "table: detentie-einde", "table: einde",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/message.yaml:~: KP-7004 : unknown code table `einde`"),
    broken(RELEASE, "{at: /detentie/soort_einde,", "{at: /detentie/soort,",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/message.yaml:~: KP-7004 : the canonical schema has no place `/detentie/soort`"),
    broken(RELEASE, "gemeente: /vestiging/gemeentecode", "gemeente: /vestiging/gemeente",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/message.yaml:~: KP-7004 : the canonical schema has no place `/vestiging/gemeente`"),
    broken(MEETING, "oin: /oin}", "oin: /organisatie}",
        "mappings/casusoverleg.gegevens-gevraagd.v1/message.yaml:~: KP-7004 : the canonical schema has no place `/organisatie`"),
    broken(MEETING, "{from: /overleg/kenmerk, to: /kenmerk}", "{from: /persoon/skn, to: /kenmerk}",
        "mappings/casusoverleg.gegevens-gevraagd.v1/message.yaml: KP-7004 answer/carry: only bookkeeping"),
    broken(CONSENT, "record: {kind: toestemming, at: /toestemming}", "",
        "mappings/toestemming.vastgelegd.v1/message.yaml: KP-7004 : give `recipients`, or `record`"),
    broken(CONSENT, "at: /toestemming}", "at: /persoon}",
        "mappings/toestemming.vastgelegd.v1/message.yaml: KP-7004 : `record` holds `/persoon/bsn`, which is not"),
    broken(CONSENT, "kind: toestemming,", "kind: volmacht,",
        "mappings/toestemming.vastgelegd.v1/message.yaml:~: KP-7004 : "),
    broken(CONSENT, "record:", "recipients: [{role: om, party: om}]\nrecord:",
        "mappings/toestemming.vastgelegd.v1/message.yaml: KP-7004 : a `record` goes to nobody"),
    broken(CONSENT, "record:", "order: {key: [/persoon/skn]}\nrecord:",
        "mappings/toestemming.vastgelegd.v1/message.yaml: KP-7004 : a `record` is neither sent nor answered"),
    broken(BIJ, "hold: {condition: terugkeer_binnen_drie_maanden}", "hold: {condition: terugkeer}",
        "mappings/detentie.bij-melding.v1/message.yaml:~: KP-7004 : `terugkeer` must be one condition with `within_months`"),
    broken(BIJ, "hold: {condition: terugkeer_binnen_drie_maanden}", "hold: {condition: tbs}",
        "mappings/detentie.bij-melding.v1/message.yaml:~: KP-7004 : `tbs` must be one condition with `within_months`"),
    broken(BIJ, "on: /titel/gepleegd_op", "on: /titel/gepleegd",
        "mappings/detentie.bij-melding.v1/message.yaml:~: KP-7004 : the canonical schema has no place `/titel/gepleegd`"),
    broken(BIJ, "one_of: [tbs]", "one_of: [tbs], on: /titel/gepleegd_op",
        "mappings/detentie.bij-melding.v1/message.yaml: KP-7004 : condition `tbs`: `on` goes with `in_table`"),
    broken(FZ, "when: [klinisch], to: nifp}", "when: [klinisch], to: nifb}",
        "mappings/forensische-zorg.indicatie-gevraagd.v1/message.yaml:~: KP-7004 : route: no recipient has the role `nifb`"),
    broken(FZ, "when: [klinisch], to: nifp}", "when: [klinisch], to: nifp, assessment: fz_mdo}",
        "mappings/forensische-zorg.indicatie-gevraagd.v1/message.yaml: KP-7004 : route: row `0` has exactly one of"),
    broken(FZ, "when: [klinisch], to: nifp}", "when: [kliniek], to: nifp}",
        "mappings/forensische-zorg.indicatie-gevraagd.v1/message.yaml:~: KP-7004 : route: there is no condition `kliniek`"),
    broken(FZ, "needs: [titel_van_kracht]", "needs: [titel_geldt]",
        "mappings/forensische-zorg.indicatie-gevraagd.v1/message.yaml:~: KP-7004 : route: there is no condition `titel_geldt`"),
    broken(FZ, "row: \"0\"", "row: \"2\"",
        "mappings/forensische-zorg.indicatie-gevraagd.v1/message.yaml: KP-7004 : route: row `2` stands there twice"),
    broken(FZ, "{role: nifp, party: nifp,", "{role: nifp, party: sender,",
        "mappings/forensische-zorg.indicatie-gevraagd.v1/message.yaml: KP-7004 : route: each recipient is a `party`"),
    broken(FZ, "assessment: fz_afstemming", "assessment: fz_overleg",
        "mappings/forensische-zorg.indicatie-gevraagd.v1/message.yaml:~: KP-7004 : error: "),
    broken(FZ, "at: /titel/eindigt_op, not_before: today}", "at: /titel/eindigt_op}",
        "mappings/forensische-zorg.indicatie-gevraagd.v1/message.yaml: KP-7004 : condition `titel_van_kracht` is `exists`, or `at` with at least one test"),
    broken(FZ, "at: /titel/eindigt_op, not_before: today}", "at: /titel/eindigt_op, not_before: nu}",
        "mappings/forensische-zorg.indicatie-gevraagd.v1/message.yaml:~: KP-7004 : `nu` is not a pointer"),
    broken(LIST, "at: /Inkomst\n", "at: /Kenmerk\n",
        "mappings/detentie.inkomstenlijst-aangeboden.v1/message.yaml: KP-7004 split/at: the sender's form has no list `/Kenmerk`"),
    broken(LIST, "into: nl.ketenpoort.detentie.inkomst-aangeboden.v1", "into: nl.ketenpoort.detentie.bij-melding.v1",
        "mappings/detentie.inkomstenlijst-aangeboden.v1/message.yaml: KP-7004 split/into: there is no type `nl.ketenpoort.detentie.bij-melding.v1` with `internal: true`"),
    broken(LIST, "to: /Lijst/Taak}", "to: /Lijst/Opdracht}",
        "mappings/detentie.inkomstenlijst-aangeboden.v1/message.yaml: KP-7004 split/into: its form has no place `/Lijst/Opdracht`"),
    broken(LIST, "to: /Lijst/Taak}", "to: /Inkomst/Titel}",
        "mappings/detentie.inkomstenlijst-aangeboden.v1/message.yaml: KP-7004 split/carry: the place of the item itself is taken"),
    broken(LIST, "from: [dji]", "from: [dji, justid]",
        "mappings/detentie.inkomstenlijst-aangeboden.v1/message.yaml: KP-7004 split/into: `justid` sends the list, but not its items"),
    broken(LIST, "split:", "recipients: [{role: dji, party: sender}]\nsplit:",
        "mappings/detentie.inkomstenlijst-aangeboden.v1/message.yaml: KP-7004 : a list goes to nobody itself"),
    broken(ITEM, "recipients:\n  - {role: dji, party: sender, given: [is_verzoeker]}\n", "",
        "mappings/detentie.inkomst-aangeboden.v1/message.yaml: KP-7004 : give `recipients`, or `record` for what is kept as a fact, or `split`"),
    broken(ITEM, "internal: true", "internal: false",
        "mappings/detentie.inkomstenlijst-aangeboden.v1/message.yaml: KP-7004 split/into: there is no type"),
    broken(ITEM, "to: /bekendheid/bekend}", "to: /kenmerk}",
        "mappings/detentie.inkomst-aangeboden.v1/message.yaml: KP-7004 answer/facts: `/kenmerk` has no category"),
    broken("mappings/re-integratie.informatie-gevraagd.v1/message.yaml", "from: [gemeente-gemandateerde]", "from: [gemeente-gemandateerde]\ninternal: true",
        "mappings/re-integratie.informatie-gevraagd.v1/message.yaml: KP-7004 internal: no list is split into this type"),
    broken("mappings/kinderbescherming.informatie-gevraagd.v1/message.yaml", "rvdk_behoefte: /verzoek/behoefte", "rvdk_behoefte: /behoefte",
        "mappings/kinderbescherming.informatie-gevraagd.v1/message.yaml:~: KP-7004 : the canonical schema has no place `/behoefte`"),
    broken("mappings/codes/geslacht.csv", "V,vrouw,,,V", "M,vrouw,,,V",
        "mappings/codes/geslacht.csv: KP-7004 codes/geslacht.csv line 3: this code occurs twice"),
];

#[rustfmt::skip]
const PARTNERS: &[Broken] = &[
    broken("partners/keten.toml", "name = \"Rechtspraak\"", "name = Rechtspraak",
        "keten.toml:~: KP-7005 : "),
    broken("partners/keten.toml", "name = \"Rechtspraak\"", "naam = \"Rechtspraak\"",
        "keten.toml:~: KP-7005 party: unknown field `naam`"),
    broken("partners/keten.toml", "[[party]]", "[[partij]]",
        "keten.toml:~: KP-7005 : unknown key `partij`"),
    broken("partners/keten.toml", "oin = \"00000099000900000002\"", "oin = \"00000099000900000001\"",
        "keten.toml:~: KP-7005 justid: another party has this oin"),
    broken("partners/keten.toml", "oin = \"00000099000900000002\"", "oin = \"1\"",
        "keten.toml:~: KP-7005 justid: oin must have twenty positions"),
    broken("partners/keten.toml", "users = [\"justid\"]", "users = [\"dji\"]",
        "keten.toml:~: KP-7005 justid: broker user `dji` belongs to another party too"),
    broken("partners/keten.toml", "id = \"justid\"", "id = \"dji\"",
        "keten.toml:~: KP-7005 dji: this party is described twice"),
    broken("partners/keten.toml", "roles = [\"justid\"]", "roles = [\"justitie\"]",
        "keten.toml: KP-7005 justid: unknown role `justitie`"),
    broken("partners/keten.toml", "name = \"zvh\"", "name = \"om\"",
        "keten.toml:~: KP-7005 om: this role is described twice"),
    broken("partners/keten.toml", "ground = \"Wabb art. 10; Bjsg 11a\"\n", "",
        "keten.toml:~: KP-7005 burgemeester: bsn = true needs the legal `ground`"),
    broken("partners/keten.toml", "wgs = \"ggd\"", "wgs = \"g.g.d.\"",
        "keten.toml:~: KP-7005 ggd:rotterdam-rijnmond: wgs must be one of"),
    broken("partners/gemeenten.toml", "url = \"http://127.0.0.1:18099/ketenpoort\"", "url = \"http://rotterdam.example/\"",
        "gemeenten.toml:~: KP-7005 gemeente:0599: a webhook url is https://"),
    broken("partners/gemeenten.toml", "gemeentecode = \"0599\"", "gemeentecode = \"599\"",
        "gemeenten.toml:~: KP-7005 gemeente:0599: gemeentecode must have four digits"),
];

#[rustfmt::skip]
const BETWEEN: &[Broken] = &[
    broken(RELEASE, "{role: reclassering, party: reclassering,", "{role: reclasering, party: reclassering,",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/message.yaml: KP-7004 recipients: unknown role `reclasering`"),
    broken(RELEASE, "{role: reclassering, party: reclassering,", "{role: reclassering, party: svg,",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/message.yaml: KP-7004 recipients: the partner directory has no party `svg`"),
    broken(RELEASE, "from: [dji]", "from: [djj]",
        "mappings/detentie.invrijheidstelling-aangekondigd.v1/message.yaml: KP-7004 from: unknown role `djj`"),
    broken("partners/gemeenten.toml", "\"nl.ketenpoort.detentie.verlof-aangekondigd.v1\" = \"xml\"", "\"nl.ketenpoort.detentie.verlof-aangekondigd.v1\" = \"stuf\"",
        "partners: KP-7005 gemeente:0344: formats: `nl.ketenpoort.detentie.verlof-aangekondigd.v1` has no mapping `stuf`"),
    broken("partners/gemeenten.toml", "\"nl.ketenpoort.detentie.verlof-aangekondigd.v1\" = \"xml\"", "\"nl.ketenpoort.detentie.verlof.v1\" = \"xml\"",
        "partners: KP-7005 gemeente:0344: formats: unknown type `nl.ketenpoort.detentie.verlof.v1`"),
];

const ROUTED: &str = "forensische-zorg.indicatie-gevraagd";

fn order(kind: &str, rows: &str) -> Vec<Order> {
    let rows = rows.split(' ').map(str::to_owned).collect();
    vec![Order { kind: kind.to_owned(), rows, file: "ketenpoort.toml".to_owned(), line: Some(7) }]
}

/// A sex offence, two months before the end of the detention: rows 2 and 4 hold.
#[test]
fn the_first_row_of_a_route_in_the_order_that_is_set_decides() {
    let files = Files::shipped();
    let request = &files.sources.mappings[&format!("{ROUTED}.v1/cases/verzoek.json")];
    let request = request.replace("\"anders\"", "\"zeden\"").replace("2027-06-01", "2027-01-24");
    let mut versions = Vec::new();
    for (rows, recipient, elsewhere) in [
        ("0 1a 1b 2 4 5 3", "dji", "row 4 (reclassering)"),
        ("0 1a 1b 4 2 5 3", "reclassering", "row 2 (dji-pmo)"),
        ("3 5 4 2 1b 1a 0", "reclassering", "row 2 (dji-pmo)"),
    ] {
        let pipeline = files.load().unwrap().with_routing(&order(ROUTED, rows)).unwrap();
        let (kind, body) = (format!("nl.ketenpoort.{ROUTED}.v1"), request.clone().into_bytes());
        let raw = check::raw_message(&pipeline, "dji", &kind, body, &BTreeMap::new()).unwrap();
        let explained = explain(&pipeline, &raw, None, now());
        assert_eq!(payloads(&explained)[0].0, recipient, "{rows}");
        assert!(
            explained.for_a_person().contains(&format!("! routing conflict: {elsewhere} would hold too")),
            "{rows}"
        );
        versions.push(pipeline.mapping_version());
    }
    assert_eq!(versions[0], files.load().unwrap().mapping_version(), "the order of the file is no other version");
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 3);
}

#[test]
fn an_order_of_rows_that_does_not_fit_its_route_is_told() {
    let files = Files::shipped();
    for (kind, rows, hint) in [
        (ROUTED, "0 1a 1b 2 4 5", "name every row of the route, also 3"),
        (ROUTED, "0 1a 1b 2 4 5 3 6", "the route has no row `6`"),
        (ROUTED, "0 1a 1b 2 4 5 3 0", "a row stands there twice"),
        ("advies.uitgebracht", "0", "there is no message type of this name with a route"),
        ("forensische-zorg", "0", "there is no message type of this name with a route"),
    ] {
        let told = files.load().unwrap().with_routing(&order(kind, rows)).unwrap_err();
        assert_eq!(lines(&told), format!("ketenpoort.toml:7: KP-7001 routing.{kind}: {hint}"));
    }
}

#[test]
fn each_way_to_break_a_policy_is_told() {
    each_is_told(POLICIES, |files| Engine::load(&files.sources).err());
}

#[test]
fn each_way_to_break_a_schema_or_a_mapping_is_told() {
    each_is_told(SCHEMAS, |files| Catalogue::load(&files.sources).err());
    each_is_told(MAPPINGS, |files| Catalogue::load(&files.sources).err());
}

#[test]
fn each_way_to_break_the_partner_directory_is_told() {
    each_is_told(PARTNERS, |files| Directory::load(&files.partners).err());
}

#[test]
fn each_way_in_which_files_do_not_fit_each_other_is_told() {
    each_is_told(BETWEEN, |files| files.load().err());
}

#[test]
fn a_case_that_does_not_hold_is_told() {
    each_is_told(CASES, |files| {
        let pipeline = files.load().ok()?;
        let mut few = files.sources.clone();
        few.policies.retain(|name, _| name == "cases/wmo.yaml");
        few.mappings.retain(|name, _| name.contains("verlof") && name.contains("/cases/"));
        Some(check::cases(&few, &pipeline).findings)
    });
}

fn each_is_told(table: &[Broken], check: impl Fn(&Files) -> Option<Vec<Finding>>) {
    let shipped = Files::shipped();
    let mut wrong = Vec::new();
    for Broken { path, old, new, told } in table {
        let changed = shipped.with(path, old, new);
        let findings = check(&changed).unwrap_or_default();
        let place = line_of(&shipped, path, old);
        let is_told = |finding: &Finding| {
            let near = finding.line.is_some_and(|line| line.abs_diff(place) < 16);
            let line =
                if near { told.replacen('~', &finding.line.unwrap().to_string(), 1) } else { (*told).to_owned() };
            lines(std::slice::from_ref(finding)).starts_with(&line)
        };
        if !findings.iter().any(is_told) {
            let some = lines(&findings[..findings.len().min(3)]);
            wrong.push(format!("{path}: {old} -> {new}\n  wanted, near line {place}: {told}\n  got: {some}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn line_of(files: &Files, path: &str, what: &str) -> u64 {
    let (folder, name) = path.split_once('/').unwrap();
    let files = match folder {
        "schemas" => &files.sources.schemas,
        "policies" => &files.sources.policies,
        "mappings" => &files.sources.mappings,
        _ => &files.partners,
    };
    let before = files[name].split(what).next().unwrap();
    before.matches('\n').count() as u64 + 1
}

/// `file:line: CODE place: hint`, one a line.
fn lines(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let at = finding.line.map_or(String::new(), |line| format!(":{line}"));
        let hint = finding.problem.hint.lines().next().unwrap_or_default();
        format!("{}{at}: {} {}: {hint}", finding.file, finding.problem.code, finding.problem.place)
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_new_message_and_a_new_partner_are_files_only() {
    let folder = tempfile::tempdir().unwrap();
    for shipped in ["schemas", "policies", "mappings"] {
        copy(&root().join(shipped), &folder.path().join(shipped));
    }
    copy(&root().join("deploy/partners"), &folder.path().join("partners"));
    copy(&root().join("tests/fixtures/nieuw-berichttype"), folder.path());

    let files = Files::read(folder.path(), &folder.path().join("partners"));
    let pipeline = files.load().unwrap_or_else(|findings| panic!("{}", lines(&findings)));
    let report = check::cases(&files.sources, &pipeline);
    assert_eq!(lines(&report.findings) + &lines(&report.gaps), "");

    let kind = "nl.ketenpoort.detentie.overplaatsing-aangekondigd.v1";
    let message = fixture("nieuw-berichttype/mappings/detentie.overplaatsing-aangekondigd.v1/cases/overplaatsing.xml");
    let raw = check::raw_message(&pipeline, "dji", kind, message.into_bytes(), &BTreeMap::new()).unwrap();
    let explained = explain(&pipeline, &raw, None, now());
    assert_eq!(explained.outcome, Outcome::Delivered, "{}", explained.for_a_person());
    let forms = payloads(&explained);
    assert_eq!(forms[0].0, "gemeente:0505");
    assert!(forms[0].1.contains("999995406"));
    assert_eq!(forms[1].0, "regionaal-bureau:drechtsteden");
    assert_eq!(forms[1].1, r#"{"wie":"Iris van Zanten","waarheen":"VGT","wanneer":"20261201"}"#);
}

/// What docs/integration-guide.md tells to write, written.
#[test]
fn the_integration_guide_ends_with_a_message_in_the_partners_own_form() {
    let guide = text(&root().join("docs/integration-guide.md"));
    let block = |start: &str| {
        let lines = guide.lines().skip_while(|line| line.trim() != start).take_while(|line| !line.starts_with('#'));
        let block = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
        block.map(|line| line.get(4..).unwrap_or_default()).collect::<Vec<_>>().join("\n")
    };
    let mut files = Files::read(root(), &root().join("deploy/demo"));
    files.partners.get_mut("partners.toml").unwrap().push_str(&block("[[party]]"));
    let mapping = "detentie.invrijheidstelling-aangekondigd.v1/out.kort.yaml";
    assert!(guide.contains(&format!("mappings/{mapping}")));
    files.sources.mappings.insert(mapping.to_owned(), block("format: json"));
    let pipeline = files.load().unwrap_or_else(|findings| panic!("{}", lines(&findings)));

    let release = text(&root().join("deploy/demo/messages/release-utrecht.xml"));
    let release = release.replace("0344", "0518").replace("0606", "0518");
    let kind = "nl.ketenpoort.detentie.invrijheidstelling-aangekondigd.v1";
    let raw = check::raw_message(&pipeline, "dji", kind, release.into_bytes(), &BTreeMap::new()).unwrap();
    let explained = explain(&pipeline, &raw, None, now());
    let [(party, payload)] = &payloads(&explained)[..] else { panic!("{}", explained.for_a_person()) };
    assert_eq!(party, "gemeente:0518");
    let form: serde_json::Value = serde_json::from_str(payload).unwrap();
    assert_eq!(form.as_object().unwrap().keys().collect::<Vec<_>>(), ["bsn", "naam", "vrij_op", "huisvesting"]);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

const LIST_KIND: &str = "nl.ketenpoort.detentie.inkomstenlijst-aangeboden.v1";

/// An intake list of so many persons.
fn intake_list(count: usize) -> Vec<u8> {
    let item = |n: usize| {
        format!(
            "<Inkomst><Volgnummer>{n}</Volgnummer><Skn>{}</Skn><Geslachtsnaam>Vos</Geslachtsnaam>\
             <Geboortedatum>19800101</Geboortedatum><InrichtingCode>NGN</InrichtingCode>\
             <DatumBinnenkomst>20261123</DatumBinnenkomst></Inkomst>",
            3_000_000 + n
        )
    };
    let items: String = (1..=count).map(item).collect();
    format!(
        "<Inkomstenlijst xmlns=\"urn:nl:ketenpoort:dji:detentie:1\"><Kenmerk>IL-1</Kenmerk><OpgesteldOp>20261124</OpgesteldOp>\
         <Taak>ADVIES</Taak><Doel>DR_PLAN_OPSTELLEN</Doel>{items}</Inkomstenlijst>"
    )
    .into_bytes()
}

#[test]
fn a_list_has_a_bound_of_its_own_and_all_of_it_is_counted_but_not_shown() {
    let pipeline = Files::shipped().load().unwrap();
    let known: Facts = serde_json::from_str(r#"{"bekend": false}"#).unwrap();
    let explained = |count, id: &str| {
        let attributes = BTreeMap::from([("id".to_owned(), id.to_owned())]);
        let raw = check::raw_message(&pipeline, "dji", LIST_KIND, intake_list(count), &attributes).unwrap();
        explain(&pipeline, &raw, Some(&known), now())
    };
    let list = explained(300, "L-1");
    let items = list.items.as_ref().unwrap();
    assert_eq!((list.outcome, items.count, items.shown.len()), (Outcome::Delivered, 300, 20));
    assert_eq!(items.outcomes, BTreeMap::from([("delivered", 300)]));
    let ids: Vec<_> = items.shown.iter().map(|item| item.message.id.as_deref().unwrap()).collect();
    assert_eq!((ids[0], ids[19]), ("L-1#1", "L-1#20"));
    assert!(items.shown.iter().all(|item| item.message.digest == list.message.digest), "of what DJI sent");
    let page = list.for_a_person();
    assert!(page.contains("300 items: 300 delivered") && page.contains("and 280 more"), "{page}");
    assert!(page.lines().count() < 100, "{page}");

    let problems = |explained: Explanation| {
        let reason = explained.reason.unwrap();
        reason.problems.iter().map(|p| format!("{} {}: {}", p.code, p.place, p.hint)).collect::<Vec<_>>()
    };
    assert_eq!(explained(5000, "L-2").items.unwrap().count, 5000);
    assert_eq!(problems(explained(5001, "L-3")), ["KP-2014 /Inkomst: 5001 items; at most 5000 are accepted"]);
    assert_eq!(explained(1, &"L".repeat(250)).outcome, Outcome::Delivered);
    assert_eq!(
        problems(explained(1, &"L".repeat(251))),
        ["KP-1002 id: an id of a list leaves room for the number of an item behind it"]
    );
}

#[test]
fn what_the_gateway_makes_out_of_a_list_nobody_can_send() {
    let files = Files::shipped();
    let pipeline = files.load().unwrap();
    let body = files.sources.mappings["detentie.inkomst-aangeboden.v1/cases/volledig.json"].clone();
    let kind = "nl.ketenpoort.detentie.inkomst-aangeboden.v1";
    let made = check::raw_message(&pipeline, "dji", kind, body.into_bytes(), &BTreeMap::new()).unwrap();
    assert_eq!(explain(&pipeline, &made, None, now()).outcome, Outcome::Retrying);
    let sent = RawMessage { part_of: None, ..made.clone() };
    let refused = explain(&pipeline, &sent, None, now());
    let problems: Vec<_> = refused.reason.unwrap().problems.into_iter().map(|p| p.code.as_str()).collect();
    assert_eq!((refused.outcome, problems), (Outcome::Rejected, vec!["KP-1003"]));

    // Nor is anything else an item.
    let list = check::raw_message(&pipeline, "dji", LIST_KIND, intake_list(1), &BTreeMap::new()).unwrap();
    let list = RawMessage { part_of: made.part_of, ..list };
    assert_eq!(explain(&pipeline, &list, None, now()).outcome, Outcome::Rejected);
}
