//! One decision per recipient: granted, refused, waiting for a human judgement, or waiting for facts.

use super::context::{Bron, Dossier, Message, Question, Verzoek};
use super::engine::{Engine, PolicyRef, Sheet};
use super::hold;
use super::recipients::{self, Recipient};
use super::routing::{self, Routed};
use super::{Address, Grant, address};
use crate::catalogue::{Catalogue, Condition, Day, Pointer, Test};
use crate::category::{Category, CategorySet};
use crate::code::Code;
use crate::codetable::Lookup;
use crate::directory::Directory;
use crate::facts::{Facts, Known, dutch_day};
use crate::outcome::Reason;
use crate::party::{PartyId, Role};
use crate::receipt::{self, Shared, Withheld};
use crate::translation::Mapping;
use crate::validation::Valid;
use jiff::{Timestamp, civil::Date};
use serde_json::Value;
use std::sync::Arc;

/// A valid message with a decision for each of its recipients. Only [`decide`] makes one.
#[derive(Debug)]
pub struct Decided {
    pub(crate) valid: Valid,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) now: Timestamp,
    /// How far the person is known, where that was asked.
    pub(crate) known: Option<Known>,
}

#[derive(Debug)]
pub struct Decision {
    pub recipient: PartyId,
    pub role: Role,
    /// For whom the message is by the message itself: the same for as long as it waits, whoever it turns out to be.
    pub(crate) meant_for: (PartyId, Role),
    pub verdict: Verdict,
    /// What the recipient's directory entry calls its format for this type.
    pub(crate) format_name: String,
    /// Rests on facts that can change before it is carried out.
    pub(crate) volatile: bool,
    /// What the receipt must say besides.
    pub(crate) notes: Vec<String>,
    pub(crate) sheet: Arc<Sheet>,
}

#[derive(Debug)]
pub enum Verdict {
    /// May have what the grant names; without an address it is granted to nobody reachable.
    Granted(Grant, Option<Address>),
    Refused(Reason),
    AwaitingAssessment(Reason),
    /// Too early: decided anew at this moment, which is the first at which it may be granted.
    Held(Timestamp),
    /// Neither shared nor refused: the facts could not be had.
    FactsMissing,
}

impl Decided {
    /// The categories that case data may be asked for: what at least one recipient may have. Of somebody whom nobody
    /// knows there is none.
    pub fn wanted(&self) -> CategorySet {
        let is_known = self.known.as_ref().is_some_and(|known| known.bekend);
        if self.valid.kind.answer.is_none() || !is_known {
            return CategorySet::EMPTY;
        }
        self.granted()
    }

    /// What at least one recipient may have.
    pub fn granted(&self) -> CategorySet {
        self.decisions.iter().fold(CategorySet::EMPTY, |all, decision| match &decision.verdict {
            Verdict::Granted(grant, _) => all.union(grant.categories()),
            _ => all,
        })
    }
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }
    pub fn valid(&self) -> &Valid {
        &self.valid
    }
}

/// `facts` is `None` where they could not be had; only recipients that need them then wait.
pub fn decide(
    valid: Valid,
    facts: Option<&Facts>,
    engine: &Engine,
    directory: &Directory,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Decided {
    let feiten = conditions(&valid, catalogue, now);
    let asker = Asker { valid: &valid, facts, engine, directory, now, feiten };
    let routed = routing::follow(&valid.kind, &asker.feiten, facts, Message::of(&valid.envelope), now);
    let decisions = match routed {
        Some(routed) => asker.routed(routed).into_iter().collect(),
        None => recipients::find(&valid, directory).into_iter().filter_map(|r| asker.decision(r)).collect(),
    };
    let known = facts.map(|facts| Known::on(facts, dutch_day(now)));
    Decided { valid, decisions, now, known }
}

/// Does a decision about this message need what IRIS knows of the person?
pub fn needs_facts(valid: &Valid, directory: &Directory, catalogue: &Catalogue, now: Timestamp) -> bool {
    let kind = &valid.kind;
    if kind.route.is_some() {
        let conditions = conditions(valid, catalogue, now);
        let routed = routing::follow(kind, &conditions, None, Message::of(&valid.envelope), now);
        return routed.is_some_and(|routed| routed.needs_facts());
    }
    kind.answer.is_some() || recipients::find(valid, directory).iter().any(|recipient| recipient.needs_facts)
}

struct Asker<'a> {
    valid: &'a Valid,
    facts: Option<&'a Facts>,
    engine: &'a Engine,
    directory: &'a Directory,
    now: Timestamp,
    feiten: Vec<Arc<str>>,
}

impl Asker<'_> {
    /// `None` where the party turns out not to be a recipient at all.
    fn decision(&self, recipient: Recipient) -> Option<Decision> {
        let needs_facts = self.valid.kind.answer.is_some() || recipient.needs_facts;
        let format_name = recipient.party.as_ref().map_or("json", |p| p.format_for(&self.valid.kind.kind));
        let decision = |verdict, sheet| Decision {
            recipient: recipient.id.clone(),
            role: recipient.role.clone(),
            meant_for: (recipient.id.clone(), recipient.role.clone()),
            verdict,
            format_name: format_name.to_owned(),
            volatile: needs_facts,
            notes: Vec::new(),
            sheet,
        };
        let facts = match (needs_facts, self.facts) {
            (true, None) => return Some(decision(Verdict::FactsMissing, Arc::default())),
            (true, Some(facts)) => Some(facts),
            (false, _) => None,
        };
        if recipient.when.is_some() && !facts.is_some_and(|f| f.bekend) {
            return None;
        }
        let question = self.question(&recipient, facts);
        let sheet = self.engine.answer(&question);
        // What the recipient's form has no place for is not granted, so that nobody asks for it either.
        let places = self.valid.kind.mapping(&recipient.role, format_name).map_or(CategorySet::ALL, Mapping::reads);
        let categories = sheet.permitted.and(places);
        let verdict = if sheet.failed {
            Verdict::Refused(Reason::new(Code::PolicyError, Code::PolicyError.hint()))
        } else if categories.is_empty() {
            self.not_permitted(&question, &sheet, places)
        } else {
            let grant = Grant { categories, bsn: sheet.bsn };
            Verdict::Granted(grant, address(self.directory, &recipient.id, &recipient.role))
        };
        Some(decision(verdict, sheet))
    }

    /// The one decision about a message that goes where its route leads.
    fn routed(&self, routed: Routed<'_>) -> Option<Decision> {
        let mut decision = self.decision(recipients::routed(&routed, self.directory))?;
        if let (Verdict::Refused(_), Some(detail)) = (&decision.verdict, routed.awaits())
            && self.somebody_may_have_it()
        {
            decision.verdict = Verdict::AwaitingAssessment(Reason::new(Code::AssessmentNeeded, detail));
        }
        decision.meant_for = recipients::whoever();
        decision.notes = routed.notes;
        Some(decision)
    }

    /// Whichever recipient a person chooses; otherwise there is nothing to wait for.
    fn somebody_may_have_it(&self) -> bool {
        let mut candidates = recipients::find(self.valid, self.directory).into_iter();
        candidates.any(|candidate| !self.engine.answer(&self.question(&candidate, self.facts)).permitted.is_empty())
    }

    fn question(&self, recipient: &Recipient, facts: Option<&Facts>) -> Question {
        let verzoek = verzoek(self.valid);
        let message = Message::of(&self.valid.envelope);
        let dossier = facts
            .map_or_else(Dossier::default, |facts| Dossier::at(self.now, facts, &recipient.id, message, &verzoek.doel));
        let bron = if self.valid.kind.answer.is_some() || self.valid.sender_role.as_str() == "reclassering" {
            Bron::Reclassering
        } else {
            Bron::Afzender
        };
        Question {
            role: recipient.role.clone(),
            bericht: Arc::from(self.valid.kind.name.as_str()),
            afzender: self.valid.sender_role.clone(),
            bron,
            ontvanger: recipient.about.clone(),
            verzoek,
            feiten: self.feiten.clone(),
            dossier,
        }
    }

    fn not_permitted(&self, question: &Question, sheet: &Sheet, places: CategorySet) -> Verdict {
        if let Some(until) = self.held_until(question, places) {
            return Verdict::Held(until);
        }
        let judged = self.engine.answer(&question.if_judged());
        let missing = assessments(&judged, places);
        if !missing.is_empty() {
            let detail = format!("assessment needed: {}", missing.join(", "));
            return Verdict::AwaitingAssessment(Reason::new(Code::AssessmentNeeded, detail));
        }
        if !sheet.permitted.is_empty() {
            return Verdict::Refused(Reason::new(Code::NothingToShare, Code::NothingToShare.hint()));
        }
        Verdict::Refused(refusal(sheet))
    }

    /// Where nothing but the day stands in the way.
    fn held_until(&self, question: &Question, places: CategorySet) -> Option<Timestamp> {
        let hold = self.valid.kind.hold.as_ref()?;
        let date = self.valid.text(&hold.at)?.parse().ok()?;
        let until = hold::until(date, hold.months, self.now)?;
        let sheet = self.engine.answer(&question.once(&hold.condition));
        (!sheet.failed && !sheet.permitted.and(places).is_empty()).then_some(until)
    }
}

/// The judgements that policies would wait for, given that they were the ones to permit what has a place.
pub(super) fn assessments(judged: &Sheet, places: CategorySet) -> Vec<String> {
    let mut all: Vec<String> = judged
        .permitted
        .and(places)
        .iter()
        .flat_map(|category| judged.by.get(&category).into_iter().flatten())
        .filter_map(|policy| policy.assessment.clone())
        .collect();
    all.sort();
    all.dedup();
    all
}

/// The judgements that would let a category go.
pub(crate) fn awaited(judged: &Sheet, category: Category) -> Vec<String> {
    assessments(judged, CategorySet::from_iter([category]))
}

/// The rule that says no: a forbid that concerns every category, or else that no ground permits.
pub(super) fn refusal(sheet: &Sheet) -> Reason {
    match forbidding(sheet).first() {
        Some(rule) => {
            let detail = format!("rule {}: {} ({})", rule.id, rule.title, rule.legal_basis);
            Reason::new(Code::Forbidden, detail)
        }
        None => Reason::new(Code::NoGround, "no rule permits sharing with this recipient (default deny)"),
    }
}

/// Forbids that hold for all categories, so that they are about the message and not about one kind of data.
pub(super) fn forbidding(sheet: &Sheet) -> Vec<Arc<PolicyRef>> {
    let Some(first) = sheet.by.get(&Category::ALL[0]) else {
        return Vec::new();
    };
    let everywhere =
        |rule: &&Arc<PolicyRef>| rule.forbids && sheet.by.values().all(|by| by.iter().any(|p| p.id == rule.id));
    first.iter().filter(everywhere).cloned().collect()
}

fn verzoek(valid: &Valid) -> Verzoek {
    let request = &valid.kind.request;
    let text = |p: &Option<Pointer>| p.as_ref().and_then(|p| valid.text(p)).unwrap_or_default().to_owned();
    let mut uitzondering: Vec<String> = match request.uitzondering.as_ref().and_then(|p| valid.at(p)) {
        Some(Value::Array(items)) => items.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    };
    uitzondering.extend(request.claims.iter().filter(|(_, at)| valid.at(at).is_some()).map(|(name, _)| name.clone()));
    uitzondering.sort();
    uitzondering.dedup();
    Verzoek { grond: text(&request.grond), doel: text(&request.doel), uitzondering }
}

fn conditions(valid: &Valid, catalogue: &Catalogue, now: Timestamp) -> Vec<Arc<str>> {
    let today = dutch_day(now);
    let day = |day: &Day| match day {
        Day::Today => Some(today),
        Day::At(pointer) => valid.text(pointer).and_then(|text| text.parse().ok()),
    };
    let test = |value: &Value, test: &Test| holds(test, value, catalogue, today, &day);
    let is_so = |c: &&Condition| valid.at(&c.at).is_some_and(|value| c.tests.iter().all(|t| test(value, t)));
    let mut names: Vec<_> = valid.kind.conditions.iter().filter(is_so).map(|c| c.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

fn holds(test: &Test, value: &Value, catalogue: &Catalogue, today: Date, day: &impl Fn(&Day) -> Option<Date>) -> bool {
    // Of a list, one that passes is enough.
    if let (Value::Array(items), false) = (value, matches!(test, Test::Exists)) {
        return items.iter().any(|item| holds(test, item, catalogue, today, day));
    }
    let date = || value.as_str().and_then(|text| text.parse::<Date>().ok());
    match test {
        Test::Exists => true,
        Test::OneOf(values) => values.contains(value),
        Test::AtLeast(least) => value.as_i64().is_some_and(|n| n >= *least),
        Test::InTable(table, on) => {
            let found = catalogue.tables.get(table).zip(value.as_str()).zip(day(on));
            found.is_some_and(|((table, code), on)| matches!(table.lookup(code, on), Lookup::Valid(_)))
        }
        Test::WithinMonths(months) => date().is_some_and(|date| hold::is_within(date, *months, today)),
        Test::NotBefore(first) => date().zip(day(first)).is_some_and(|(date, first)| date >= first),
        Test::NotAfter(last) => date().zip(day(last)).is_some_and(|(date, last)| date <= last),
    }
}

impl Decision {
    /// What the receipt says: `shared` is what is in the bytes that go out, `present` what there was to share.
    pub(crate) fn record(&self, shared: CategorySet, present: CategorySet, has_bsn: bool) -> receipt::Decision {
        let mut record = receipt::Decision { notes: self.notes.clone(), ..receipt::Decision::default() };
        for category in shared.iter() {
            let grounds = self.sheet.by.get(&category).into_iter().flatten().filter(|p| !p.forbids);
            record.shared.extend(grounds.map(|policy| Shared {
                category,
                policy: policy.id.clone(),
                legal_basis: policy.legal_basis.clone(),
                status: policy.status.clone(),
            }));
        }
        for category in present.minus(shared).iter() {
            record.withheld.push(Withheld { category, reason: self.why_withheld(category, shared) });
        }
        if has_bsn && self.sheet.permitted.contains(Category::Persoonsnummers) && !self.sheet.bsn {
            let rules: Vec<_> = self.sheet.bsn_forbidden_by.iter().map(|p| p.id.as_str()).collect();
            record.notes.push(format!("bsn withheld: {}", rules.join(", ")));
        }
        record
    }

    fn why_withheld(&self, category: Category, shared: CategorySet) -> String {
        let forbid = self.sheet.by.get(&category).and_then(|by| by.iter().find(|p| p.forbids));
        match forbid {
            Some(rule) => format!("rule {}", rule.id),
            None if matches!(self.verdict, Verdict::Held(_)) => "no rule permits it yet".to_owned(),
            None if !self.sheet.permitted.contains(category) => "no rule permits it".to_owned(),
            None if shared.is_empty() => "it was not sent".to_owned(),
            None => "no place for it in the recipient's form".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
