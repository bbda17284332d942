//! AuthZEN: may this category go to this party on this ground? Answered by the policy that decides about messages; the
//! facts are the caller's word, so an answer is an expectation and never a permission. No IO, and IRIS is not asked.

use crate::catalogue::definition::Given;
use crate::category::Category;
use crate::directory::Directory;
use crate::facts::Facts;
use crate::party::{PartyId, Role};
use crate::policy::asked::{Asked, Records, To};
use crate::policy::{Bron, Engine, Message, PolicyRef, Sheet, Verzoek, awaited};
use crate::validation::formats::holds_bsn;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// One question, in the words of AuthZEN.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    subject: Party,
    action: Action,
    resource: Resource,
    context: Context,
    #[serde(skip)]
    now: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Party {
    r#type: String,
    id: String,
    properties: Properties,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Properties {
    rol: String,
    /// What is known about it by the message, as in `is_verzoeker`.
    #[serde(default)]
    hoedanigheid: Vec<Given>,
    /// As the partner directory has them, where they are left out.
    #[serde(default)]
    wgs_soort: Option<String>,
    #[serde(default)]
    bsn_gerechtigd: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Action {
    name: String,
    #[serde(default, rename = "properties")]
    _properties: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    r#type: String,
    id: Category,
    #[serde(default, rename = "properties")]
    _properties: Value,
}

/// What is none of these is refused: who leaves something out must not believe that it was weighed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
    bericht: String,
    afzender: String,
    bron: Bron,
    #[serde(default)]
    verzoek: Verzoek,
    #[serde(default)]
    voorwaarden: Vec<String>,
    #[serde(default)]
    feiten: Facts,
    #[serde(default)]
    registraties: Records,
    #[serde(default)]
    bericht_id: String,
    #[serde(default)]
    bericht_bron: String,
    time: Option<Timestamp>,
    traceparent: Option<String>,
}

impl Evaluation {
    pub fn read(body: &[u8], now: Timestamp) -> Result<Evaluation, &'static str> {
        let read: Evaluation =
            serde_json::from_slice(body).map_err(|_| "the body is not the JSON object of the description")?;
        if (read.subject.r#type.as_str(), read.resource.r#type.as_str()) != ("partij", "categorie") {
            return Err("subject is a `partij`, resource a `categorie`");
        }
        if read.action.name != "verstrekken" {
            return Err("the action is `verstrekken`");
        }
        let read = Evaluation { now: read.context.time.unwrap_or(now), ..read };
        if holds_bsn(&read.said().to_string()) {
            return Err("a personal number stands where none belongs");
        }
        Ok(read)
    }

    pub fn answer(&self, engine: &Engine, directory: &Directory) -> Result<Value, &'static str> {
        let Evaluation { subject: Party { id, properties, .. }, context, .. } = self;
        let party = directory.by_id(&PartyId::new(id.as_str()));
        let wgs = properties.wgs_soort.as_deref().or(party.and_then(|party| party.wgs.as_deref()));
        let has_bsn = || directory.role_may_have_bsn(&Role::new(properties.rol.as_str()));
        let asked = Asked {
            message: &context.bericht,
            from: &context.afzender,
            source: context.bron,
            to: To {
                role: &properties.rol,
                party: id,
                given: &properties.hoedanigheid,
                wgs: wgs.unwrap_or_default(),
                bsn: properties.bsn_gerechtigd.unwrap_or_else(has_bsn),
            },
            request: &context.verzoek,
            about: Message { source: &context.bericht_bron, id: &context.bericht_id },
            conditions: &context.voorwaarden,
            now: self.now,
            facts: &context.feiten,
            records: &context.registraties,
        };
        let question = asked.question().map_err(|_| "context.registraties has what is no record")?;
        Ok(self.said_by(engine, &engine.answer_once(&question), &engine.answer_once(&question.if_judged())))
    }

    fn said_by(&self, engine: &Engine, sheet: &Sheet, judged: &Sheet) -> Value {
        let category = self.resource.id;
        let permitted = !sheet.failed && sheet.permitted.contains(category);
        let awaits = if permitted || sheet.failed { Vec::new() } else { awaited(judged, category) };
        let rules = if awaits.is_empty() { sheet } else { judged }.by.get(&category);
        let rules: Vec<&Arc<PolicyRef>> = rules.into_iter().flatten().collect();
        let reason = match rules.first() {
            _ if sheet.failed => "the policy could not be evaluated, which is a no".to_owned(),
            _ if !awaits.is_empty() => format!("awaits a human judgement: {}", awaits.join(", ")),
            Some(rule) => format!("rule {}: {} ({})", rule.id, rule.title, rule.legal_basis),
            None => "no rule permits this (default deny)".to_owned(),
        };
        let mut obligations = Vec::new();
        if permitted {
            obligations.push(json!({ "id": "minimaliseren", "categorieen": [category] }));
            obligations.push(json!({ "id": "via_ketenpoort" }));
        }
        if permitted && !sheet.bsn {
            obligations.push(json!({ "id": "zonder_bsn" }));
        }
        if !awaits.is_empty() {
            obligations.push(json!({ "id": "beoordeling", "soorten": awaits }));
        }
        let policies = rules.iter().map(|rule| {
            let PolicyRef { id, title, legal_basis, source, status, .. } = &***rule;
            json!({ "id": id, "title": title, "legal_basis": legal_basis, "source": source, "status": status })
        });
        let policies: Vec<Value> = policies.collect();
        json!({ "decision": permitted, "context": {
            "reason": reason, "policies": policies, "obligations": obligations, "policy_version": engine.version,
        }})
    }

    /// For the ledger, in the keys of the Authorization Decision Log; what was said of a person is not in it.
    pub fn record(&self, answer: &Value) -> String {
        json!({ "adl.core.request": self.said(), "adl.core.response": answer }).to_string()
    }

    fn said(&self) -> Value {
        let Evaluation { subject: Party { id, properties, .. }, context, .. } = self;
        json!({
            "subject": { "type": "partij", "id": id, "properties": { "rol": properties.rol } },
            "action": { "name": self.action.name },
            "resource": { "type": "categorie", "id": self.resource.id },
            "context": {
                "bericht": context.bericht, "afzender": context.afzender, "voorwaarden": context.voorwaarden,
                "verzoek": { "grond": context.verzoek.grond, "doel": context.verzoek.doel, "uitzondering": context.verzoek.uitzondering },
                "bericht_id": context.bericht_id, "bericht_bron": context.bericht_bron, "time": self.now,
                "traceparent": context.traceparent,
            }
        })
    }
}

#[cfg(test)]
mod tests;
