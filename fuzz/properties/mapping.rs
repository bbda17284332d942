//! A whole message through the core: what a recipient gets was permitted to him, by a table that is written down
//! here a second time (shared/domain in words), not by the code that is judged.

use super::{assert_discreet, messages, now, pipeline, text};
use ketenpoort::category::Category;
use ketenpoort::check::raw_message;
use ketenpoort::explain::{Delivery, explain};
use ketenpoort::facts::Facts;
use ketenpoort::validation::schema::{Schema, Shape};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most that each rule gives.
const MOST: [(&str, &str); 16] = [
    (
        "bevoegde-autoriteit",
        "identificatie persoonsnummers titel vonnis justitieel_kader risicoanalyse basisvoorwaarden zorg",
    ),
    ("re-integratie-melding", "identificatie persoonsnummers adres detentie basisvoorwaarden"),
    ("bekende-client", "identificatie persoonsnummers detentie titel vonnis"),
    ("bij-melding", "identificatie persoonsnummers adres titel vonnis detentie"),
    ("18b-met-kader", "justitieel_kader risico_veiligheid"),
    ("bij-met-kader", "justitieel_kader risico_onrust"),
    ("ernstige-bedreiging", "risico_veiligheid risico_onrust"),
    ("kindermishandeling", "risico_veiligheid kind"),
    ("rvdk-behoefte", "kind justitieel_kader risico_veiligheid"),
    ("schriftelijke-toestemming", CONSENTED),
    ("zvh-wgs", "justitieel_kader risicoanalyse basisvoorwaarden"),
    ("wgs-zorg", "zorg"),
    ("43-4", "justitieel_kader risico_veiligheid"),
    ("wmo", CONSENTED),
    ("fz-indicatie", "identificatie persoonsnummers titel risicoanalyse zorg"),
    ("fz-einde", "identificatie justitieel_kader detentie"),
];
const CONSENTED: &str = "what the consents name";
const NEVER: [&str; 3] = ["slachtoffer", "netwerk", "sociaal"];

/// A type, the facts on one line, and the message.
pub fn seeds() -> Vec<Vec<u8>> {
    let known: Value = serde_json::from_str(&text("tests/fixtures/feiten.json")).expect("JSON");
    let mut consented = known.clone();
    consented["toestemmingen"] = serde_json::json!([{
        "id": "t-1", "vorm": "schriftelijk", "categorieen": ["zorg", "basisvoorwaarden", "netwerk", "vrije_tekst"],
        "ontvangers": ["gemeente:0363", "gemeente:0599", "gemeente:0344"], "verleend_op": "2026-01-01",
    }]);
    let mut seeds = Vec::new();
    for (kind, message) in messages("xml").into_iter().chain(messages("json")) {
        for facts in [&known, &consented] {
            seeds.push(format!("{kind}\n{facts}\n{message}").into_bytes());
        }
    }
    seeds
}

pub fn check(data: &[u8]) {
    checked(data);
}

/// How many recipients something was judged of.
pub fn checked(data: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(3, '\n');
    let (name, facts, message) = (parts.next()?, parts.next()?, parts.next()?);
    let kind = pipeline().catalogue.get(name)?;
    let sender = pipeline().directory.parties().find(|party| party.roles.contains(&kind.from[0]))?;
    let body = message.as_bytes().to_vec();
    let raw = raw_message(pipeline(), sender.id.as_str(), name, body, &BTreeMap::new()).expect("a party");
    let known: Option<Facts> = serde_json::from_str(facts).ok();
    let facts: Value = known.as_ref().and_then(|_| serde_json::from_str(facts).ok()).unwrap_or_default();

    if let Err(rejection) = pipeline().open(&raw, now()).and_then(|envelope| pipeline().validate(envelope, now())) {
        assert_discreet(&rejection, &raw);
    }
    let values = values(name, message, &facts);
    let deliveries = explain(pipeline(), &raw, known.as_ref(), now()).deliveries;
    for delivery in &deliveries {
        assert_permitted(delivery, &facts);
        assert_holds_nothing_else(delivery, &values);
    }
    Some(deliveries.iter().filter(|delivery| delivery.payload.is_some()).count())
}

fn assert_permitted(delivery: &Delivery, facts: &Value) {
    for shared in &delivery.decision.shared {
        let category = shared.category.as_str();
        assert!(!NEVER.contains(&category), "{category} left");
        let most = MOST.iter().find(|(policy, _)| *policy == shared.policy).map(|(_, most)| *most);
        let most = most.unwrap_or_else(|| panic!("{} is no policy of the contract", shared.policy));
        let permitted = match most {
            CONSENTED => named(&facts["toestemmingen"], category),
            most => most.split(' ').any(|one| one == category),
        };
        assert!(permitted, "{category} left under {}", shared.policy);
        let free = named(&facts["beoordelingen"], category);
        assert!(category != "vrije_tekst" || free, "free text left and nobody judged it");
    }
}

/// Does one of these consents or assessments name the category?
fn named(records: &Value, category: &str) -> bool {
    let mut records = records.as_array().into_iter().flatten();
    records.any(|record| record["categorieen"].as_array().is_some_and(|all| all.iter().any(|one| one == category)))
}

/// No value of a category that was not shared stands in what went out.
fn assert_holds_nothing_else(delivery: &Delivery, values: &[(Option<Category>, String)]) {
    let Some(payload) = &delivery.payload else { return };
    let shared: BTreeSet<Category> = delivery.decision.shared.iter().map(|shared| shared.category).collect();
    let may_stand = |category: &Option<Category>| category.is_none_or(|category| shared.contains(&category));
    let permitted: String = values.iter().filter(|(c, _)| may_stand(c)).map(|(_, v)| format!("{v}\n")).collect();
    let sent = sent(payload);
    for (category, value) in values {
        if may_stand(category) || value.len() < 8 || permitted.contains(value.as_str()) {
            continue;
        }
        assert!(!sent.contains(value), "a value of {category:?} went to {}", delivery.recipient);
    }
}

/// The values of a payload, without what stands around them.
fn sent(payload: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    match payload {
        Value::String(xml) => all.extend(xml.split('>').filter_map(|part| part.split('<').next()).map(str::to_owned)),
        json => scalars(json, &mut |value| _ = all.insert(value)),
    }
    all
}

fn scalars(value: &Value, visit: &mut dyn FnMut(String)) {
    match value {
        Value::Object(fields) => fields.values().for_each(|field| scalars(field, visit)),
        Value::Array(items) => items.iter().for_each(|item| scalars(item, visit)),
        Value::String(text) => visit(text.clone()),
        other => visit(other.to_string()),
    }
}

/// What stands in message and facts, with its category; without one where it is bookkeeping, or not known here.
fn values(kind: &str, message: &str, facts: &Value) -> Vec<(Option<Category>, String)> {
    let mut all = Vec::new();
    match serde_json::from_str::<Value>(message) {
        Ok(document) => collect(&document, shape(kind), &mut all),
        Err(_) => in_xml(message, &mut all),
    }
    for (name, data) in facts["gegevens"].as_object().into_iter().flatten() {
        scalars(data, &mut |value| all.push((Category::parse(name), value)));
    }
    all
}

fn collect(value: &Value, shape: Option<&Shape>, all: &mut Vec<(Option<Category>, String)>) {
    match (value, shape) {
        (Value::Object(fields), _) => {
            fields.iter().for_each(|(name, field)| collect(field, shape.and_then(|shape| shape.child(name)), all));
        }
        (Value::Array(items), Some(Shape::Array(inside))) => {
            items.iter().for_each(|item| collect(item, Some(inside), all));
        }
        (leaf, Some(Shape::Leaf(known))) => scalars(leaf, &mut |text| all.push((known.category, text))),
        (other, _) => scalars(other, &mut |text| all.push((None, text))),
    }
}

/// Our own form of a type.
fn shape(kind: &str) -> Option<&'static Shape> {
    use std::sync::{Mutex, OnceLock};
    static COMPILED: OnceLock<Mutex<BTreeMap<String, &'static Schema>>> = OnceLock::new();
    let mut compiled = COMPILED.get_or_init(Mutex::default).lock().ok()?;
    if !compiled.contains_key(kind) {
        let name = kind.strip_prefix("nl.ketenpoort.")?;
        let schema = Schema::compile(&text(format!("schemas/canonical/{name}.schema.json"))).ok()?;
        compiled.insert(kind.to_owned(), Box::leak(Box::new(schema)));
    }
    compiled.get(kind).map(|schema| &schema.shape)
}

/// By the section that a value stands in; what stands anywhere else is not judged.
fn in_xml(message: &str, all: &mut Vec<(Option<Category>, String)>) {
    let sections = [
        ("Adres", Category::Adres),
        ("Titel", Category::Titel),
        ("Vonnis", Category::Vonnis),
        ("Basisvoorwaarden", Category::Basisvoorwaarden),
        ("Zorg", Category::Zorg),
        ("Netwerk", Category::Netwerk),
        ("Slachtoffer", Category::Slachtoffer),
        ("SocialeKwalificatie", Category::Sociaal),
        ("Toelichting", Category::VrijeTekst),
    ];
    let mut section = None;
    for part in message.split('<').skip(1) {
        let Some((tag, value)) = part.split_once('>') else { continue };
        if let Some((_, category)) = sections.iter().find(|(name, _)| *name == tag) {
            section = Some(*category);
        }
        if !value.trim().is_empty() {
            all.push((section, value.trim().to_owned()));
        }
        if tag.strip_prefix('/').is_some_and(|end| sections.iter().any(|(name, _)| *name == end)) {
            section = None;
        }
    }
}
