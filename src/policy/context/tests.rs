//! What the proofs of the policy build on: that the context says what the records say, at this very moment. The values
//! that matter are few, so all of them are tried.

use super::{Dossier, Message};
use crate::category::Category;
use crate::facts::Facts;
use crate::party::PartyId;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

fn dossier(facts: Value, doel: &str) -> Dossier {
    let facts: Facts = serde_json::from_value(facts).unwrap();
    let message = Message { source: "bron-1", id: "bericht-1" };
    Dossier::at(now(), &facts, &PartyId::new("gemeente:0599"), message, doel)
}

/// Just before now, now, and just after, with the seconds between.
fn moments() -> Vec<Timestamp> {
    (-2..=2).map(|second: i64| now().checked_add(second.seconds()).unwrap()).collect()
}

fn or_never(moments: &[Timestamp]) -> Vec<Option<Timestamp>> {
    moments.iter().copied().map(Some).chain([None]).collect()
}

#[test]
fn a_consent_counts_exactly_while_it_is_in_force() {
    let moments = moments();
    let mut counted = 0;
    for &given in &moments {
        for until in or_never(&moments) {
            for withdrawn in or_never(&moments) {
                for form in ["schriftelijk", "mondeling"] {
                    for recipient in ["gemeente:0599", "gemeente:0344"] {
                        let dossier = dossier(
                            json!({
                                "bekend": true,
                                "toestemmingen": [{
                                    "id": "t", "vorm": form, "categorieen": ["zorg"], "ontvangers": [recipient],
                                    "verleend_op": given, "geldig_tot": until, "ingetrokken_op": withdrawn,
                                }],
                            }),
                            "",
                        );
                        let in_force = given <= now()
                            && until.is_none_or(|until| now() <= until)
                            && withdrawn.is_none_or(|withdrawn| now() < withdrawn);
                        let counts = in_force && form == "schriftelijk" && recipient == "gemeente:0599";
                        let about = format!("{form} {recipient} from {given} until {until:?} withdrawn {withdrawn:?}");
                        assert_eq!(dossier.toestemming.contains(Category::Zorg), counts, "{about}");
                        assert_eq!(dossier.toestemming.iter().count(), usize::from(counts), "no more: {about}");
                        counted += usize::from(counts);
                    }
                }
            }
        }
    }
    assert_eq!(counted, 3 * 4 * 3);
}

#[test]
fn free_text_takes_an_assessment_of_this_very_message() {
    for about in [Some("bericht-1"), Some("bericht-2"), None] {
        for from in [Some("bron-1"), Some("bron-2"), None] {
            for &on in &moments() {
                for until in or_never(&moments()) {
                    let assessment = json!({
                        "id": "b", "soort": "vrije_tekst", "betreft": about, "betreft_bron": from, "categorieen": [],
                        "op": on, "geldig_tot": until,
                    });
                    let facts = json!({ "bekend": true, "beoordelingen": [assessment] });
                    let in_force = on <= now() && until.is_none_or(|until| now() <= until);
                    let counts = in_force && about == Some("bericht-1") && from != Some("bron-2");
                    let about = format!("{about:?} of {from:?} from {on} until {until:?}");
                    assert_eq!(dossier(facts, "").vrije_tekst, counts, "{about}");
                }
            }
        }
    }
}

/// That a kader serves implies that there is one: some policies ask for both.
#[test]
fn a_kader_is_there_until_its_last_day_and_serves_what_the_request_names() {
    for there in [true, false] {
        for kind in ["toezicht", "advies", "werkstraf", "forensische_zorg"] {
            for (ends, is_over) in [(None, false), (Some("2026-11-24"), false), (Some("2026-11-23"), true)] {
                for purpose in ["toezicht", "advies", "werkstraf", ""] {
                    let kader = json!({ "aanwezig": there, "soort": kind, "eindigt_op": ends });
                    let dossier = dossier(json!({ "bekend": true, "justitieel_kader": kader }), purpose);
                    let in_force = there && !is_over;
                    let serves = in_force && kind == purpose && ["toezicht", "advies"].contains(&kind);
                    let found = (dossier.kader_aanwezig, dossier.kader_dient_doel);
                    assert_eq!(found, (in_force, serves), "{there} {kind} until {ends:?} for {purpose}");
                }
            }
        }
    }
}
