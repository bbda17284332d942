//! The question that is put to the policy: few-valued facts only, so that equal questions are one question.

use crate::catalogue::definition::Given;
use crate::category::{Category, CategorySet};
use crate::envelope::Envelope;
use crate::facts::{Beoordeling, Facts, SoortBeoordeling, SoortKader, VormToestemming, dutch_day};
use crate::party::{PartyId, Role};
use cedar_policy::{Context, EntityUid, RestrictedExpression};
use jiff::Timestamp;
use std::str::FromStr;
use std::sync::Arc;

/// Whose data the question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bron {
    /// They stand in the message.
    Afzender,
    /// They come from the probation service's own records.
    Reclassering,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    pub role: Role,
    pub bericht: Arc<str>,
    pub afzender: Role,
    pub bron: Bron,
    pub ontvanger: Ontvanger,
    pub verzoek: Verzoek,
    pub feiten: Vec<Arc<str>>,
    pub dossier: Dossier,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ontvanger {
    pub bsn_gerechtigd: bool,
    pub is_verzoeker: bool,
    pub gemeente_van_brp: bool,
    pub gemeente_van_vestiging: bool,
    pub indiceert: bool,
    pub behandelt: bool,
    pub wgs_soort: String,
}

impl Ontvanger {
    pub fn give(&mut self, given: Given) {
        match given {
            Given::IsVerzoeker => self.is_verzoeker = true,
            Given::GemeenteVanBrp => self.gemeente_van_brp = true,
            Given::GemeenteVanVestiging => self.gemeente_van_vestiging = true,
            Given::Indiceert => self.indiceert = true,
            Given::Behandelt => self.behandelt = true,
        }
    }
}

/// What the requester claims: it may narrow a decision, never carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verzoek {
    pub grond: String,
    pub doel: String,
    pub uitzondering: Vec<String>,
}

/// What an assessment can be about.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub source: &'a str,
    pub id: &'a str,
}

impl<'a> Message<'a> {
    pub fn of(envelope: &'a Envelope) -> Message<'a> {
        Message { source: &envelope.identity().source, id: &envelope.identity().id }
    }
}

/// What the records say about the person, for this recipient and this message, at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dossier {
    pub bekend: bool,
    pub kader_aanwezig: bool,
    pub kader_soort: Option<SoortKader>,
    pub kader_dient_doel: bool,
    pub toestemming: CategorySet,
    pub ernstige_bedreiging: bool,
    pub kindermishandeling: bool,
    pub rvdk_behoefte: bool,
    pub vrije_tekst: bool,
    pub wgs_noodzaak: CategorySet,
    pub artikel_43_4: CategorySet,
    /// Judgements that were made about this very message: what they do not name was judged not to be shared.
    pub beoordeeld: Beoordeeld,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Beoordeeld {
    pub wgs_noodzaak: bool,
    pub artikel_43_4: bool,
}

impl Dossier {
    pub fn at(now: Timestamp, facts: &Facts, recipient: &PartyId, message: Message<'_>, doel: &str) -> Dossier {
        let mut dossier = Dossier { bekend: facts.bekend, ..Dossier::default() };
        if let Some(kader) = &facts.justitieel_kader {
            dossier.kader_aanwezig = kader.is_in_force(dutch_day(now));
            dossier.kader_soort = kader.soort.filter(|_| dossier.kader_aanwezig);
            dossier.kader_dient_doel = matches!(
                (dossier.kader_soort, doel),
                (Some(SoortKader::Toezicht), "toezicht") | (Some(SoortKader::Advies), "advies")
            );
        }
        for toestemming in &facts.toestemmingen {
            let counts = toestemming.vorm == VormToestemming::Schriftelijk
                && toestemming.ontvangers.iter().any(|o| o == recipient.as_str())
                && toestemming.verleend_op.has_begun(now)
                && !toestemming.geldig_tot.is_some_and(|until| until.is_over(now))
                && !toestemming.ingetrokken_op.is_some_and(|at| at.has_begun(now));
            if counts {
                let categories = toestemming.categorieen.iter().copied().collect();
                dossier.toestemming = dossier.toestemming.union(categories);
            }
        }
        facts.beoordelingen.iter().filter(|b| counts(b, now, message)).for_each(|b| dossier.assess(b));
        dossier
    }

    fn assess(&mut self, recorded: &Beoordeling) {
        let categories = recorded.categorieen.iter().copied().collect();
        let about_this = recorded.betreft.is_some();
        match recorded.soort {
            SoortBeoordeling::ErnstigeBedreiging => self.ernstige_bedreiging = true,
            SoortBeoordeling::Kindermishandeling => self.kindermishandeling = true,
            SoortBeoordeling::RvdkBehoefte => self.rvdk_behoefte = true,
            SoortBeoordeling::WgsNoodzaak => {
                self.wgs_noodzaak = self.wgs_noodzaak.union(categories);
                self.beoordeeld.wgs_noodzaak |= about_this;
            }
            SoortBeoordeling::Artikel43Lid4 => {
                self.artikel_43_4 = self.artikel_43_4.union(categories);
                self.beoordeeld.artikel_43_4 |= about_this;
            }
            // Free text never in general: only for the message that the assessment names.
            SoortBeoordeling::VrijeTekst => self.vrije_tekst |= about_this,
            // They say who it is, not what he may have.
            SoortBeoordeling::FzAfstemming | SoortBeoordeling::FzMdo => {}
        }
    }
}

pub(super) fn counts(beoordeling: &Beoordeling, now: Timestamp, message: Message<'_>) -> bool {
    beoordeling.op.has_begun(now)
        && !beoordeling.geldig_tot.is_some_and(|until| until.is_over(now))
        && beoordeling.betreft.as_deref().is_none_or(|about| about == message.id)
        && beoordeling.betreft_bron.as_deref().is_none_or(|about| about == message.source)
}

impl Question {
    /// The same question with every human judgement made that could still be made.
    pub fn if_judged(&self) -> Question {
        let all = Category::ALL.iter().copied().collect();
        let claims = |soort: &str| self.verzoek.uitzondering.iter().any(|claimed| claimed == soort);
        let mut judged = self.clone();
        let dossier = &mut judged.dossier;
        dossier.ernstige_bedreiging |= claims("ernstige_bedreiging");
        dossier.kindermishandeling |= claims("kindermishandeling");
        dossier.rvdk_behoefte |= claims("rvdk_behoefte");
        if !dossier.beoordeeld.wgs_noodzaak {
            dossier.wgs_noodzaak = all;
        }
        if !dossier.beoordeeld.artikel_43_4 {
            dossier.artikel_43_4 = all;
        }
        judged
    }

    /// The same question at a time when a condition holds that does not yet.
    pub fn once(&self, condition: &Arc<str>) -> Question {
        let mut later = self.clone();
        later.feiten.push(condition.clone());
        later.feiten.sort();
        later.feiten.dedup();
        later
    }

    /// As the policy's schema wants it.
    pub fn context(&self) -> Result<Context, super::engine::EvaluationError> {
        use RestrictedExpression as E;
        let text = |s: &str| E::new_string(s.to_owned());
        let set = |set: CategorySet| E::new_set(set.iter().map(|c| E::new_entity_uid(category_uid(c.as_str()))));
        let record = |fields: Vec<(&str, E)>| {
            E::new_record(fields.into_iter().map(|(k, v)| (k.to_owned(), v)))
                .map_err(|_| super::engine::EvaluationError)
        };
        let d = &self.dossier;
        let soort = d.kader_soort.map_or("", soort_name);
        let pairs = vec![
            ("bericht", text(&self.bericht)),
            ("afzender", text(self.afzender.as_str())),
            ("bron", text(if self.bron == Bron::Reclassering { "reclassering" } else { "afzender" })),
            (
                "ontvanger",
                record(vec![
                    ("bsn_gerechtigd", E::new_bool(self.ontvanger.bsn_gerechtigd)),
                    ("is_verzoeker", E::new_bool(self.ontvanger.is_verzoeker)),
                    ("gemeente_van_brp", E::new_bool(self.ontvanger.gemeente_van_brp)),
                    ("gemeente_van_vestiging", E::new_bool(self.ontvanger.gemeente_van_vestiging)),
                    ("indiceert", E::new_bool(self.ontvanger.indiceert)),
                    ("behandelt", E::new_bool(self.ontvanger.behandelt)),
                    ("wgs_soort", text(&self.ontvanger.wgs_soort)),
                ])?,
            ),
            (
                "verzoek",
                record(vec![
                    ("grond", text(&self.verzoek.grond)),
                    ("doel", text(&self.verzoek.doel)),
                    ("uitzondering", E::new_set(self.verzoek.uitzondering.iter().map(|u| text(u)))),
                ])?,
            ),
            ("bekend", E::new_bool(d.bekend)),
            (
                "kader",
                record(vec![
                    ("aanwezig", E::new_bool(d.kader_aanwezig)),
                    ("soort", text(soort)),
                    ("dient_doel", E::new_bool(d.kader_dient_doel)),
                ])?,
            ),
            ("toestemming", set(d.toestemming)),
            (
                "beoordeling",
                record(vec![
                    ("ernstige_bedreiging", E::new_bool(d.ernstige_bedreiging)),
                    ("kindermishandeling", E::new_bool(d.kindermishandeling)),
                    ("rvdk_behoefte", E::new_bool(d.rvdk_behoefte)),
                    ("vrije_tekst", E::new_bool(d.vrije_tekst)),
                    ("wgs_noodzaak", set(d.wgs_noodzaak)),
                    ("artikel_43_4", set(d.artikel_43_4)),
                ])?,
            ),
            ("feiten", E::new_set(self.feiten.iter().map(|f| text(f)))),
        ];
        Context::from_pairs(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)))
            .map_err(|_| super::engine::EvaluationError)
    }
}

fn soort_name(soort: SoortKader) -> &'static str {
    match soort {
        SoortKader::Toezicht => "toezicht",
        SoortKader::Advies => "advies",
        SoortKader::Werkstraf => "werkstraf",
        SoortKader::ForensischeZorg => "forensische_zorg",
    }
}

pub(super) fn category_uid(name: &str) -> EntityUid {
    uid("Categorie", name)
}

pub(super) fn uid(kind: &str, name: &str) -> EntityUid {
    use cedar_policy::{EntityId, EntityTypeName};
    let kind = EntityTypeName::from_str(kind).expect("a constant, well-formed type name");
    EntityUid::from_type_name_and_id(kind, EntityId::new(name))
}

#[cfg(test)]
mod tests;
