//! The invariants of the domain, for questions that nobody thought of.

use super::context::{Beoordeeld, Dossier, Ontvanger, Verzoek};
use super::{Bron, Engine, Question};
use crate::catalogue::Sources;
use crate::category::{Category, CategorySet};
use crate::directory::WGS_KINDS;
use crate::facts::SoortKader;
use crate::party::Role;
use fastrand::Rng;
use std::path::Path;
use std::sync::Arc;

const ROLES: [&str; 13] = [
    "gemeente-college",
    "gemeente-gemandateerde",
    "burgemeester",
    "zvh",
    "zvh-deelnemer",
    "rvdk",
    "om",
    "zm",
    "dji",
    "reclassering",
    "zorgaanbieder",
    "nifp",
    "dji-pmo",
];
const MUNICIPAL: [&str; 3] = ["gemeente-college", "gemeente-gemandateerde", "burgemeester"];

pub fn sources() -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Sources::read(&root.join("schemas"), &root.join("policies"), &root.join("mappings")).unwrap()
}

pub fn engine() -> Engine {
    Engine::load(&sources()).unwrap()
}

fn pick(rng: &mut Rng, from: &[&str]) -> String {
    from[rng.usize(..from.len())].to_owned()
}

fn categories(rng: &mut Rng) -> CategorySet {
    let some = rng.u8(..4);
    Category::ALL.iter().copied().filter(|_| rng.u8(..4) < some).collect()
}

pub fn question(rng: &mut Rng) -> Question {
    let mut wgs = vec!["", "woningcorporatie"];
    wgs.extend(WGS_KINDS);
    let kader_aanwezig = rng.bool();
    Question {
        role: Role::new(pick(rng, &ROLES)),
        bericht: Arc::from(pick(
            rng,
            &[
                "re-integratie.informatie-gevraagd",
                "casusoverleg.gegevens-gevraagd",
                "kinderbescherming.informatie-gevraagd",
                "detentie.invrijheidstelling-aangekondigd",
                "forensische-zorg.indicatie-gevraagd",
                "forensische-zorg.titel-eindigt",
            ],
        )),
        afzender: Role::new(pick(rng, &["dji", "zvh", "rvdk", "gemeente-gemandateerde", "reclassering"])),
        bron: if rng.u8(..4) == 0 { Bron::Afzender } else { Bron::Reclassering },
        ontvanger: Ontvanger {
            bsn_gerechtigd: rng.bool(),
            is_verzoeker: rng.u8(..4) > 0,
            gemeente_van_brp: rng.bool(),
            gemeente_van_vestiging: rng.bool(),
            indiceert: rng.bool(),
            behandelt: rng.bool(),
            wgs_soort: pick(rng, &wgs),
        },
        verzoek: Verzoek {
            grond: pick(rng, &["", "18b", "bij", "43_4", "wmo", "advies", "toezicht", "indiceren_fz"]),
            doel: pick(rng, &["", "toezicht", "advies"]),
            uitzondering: ["ernstige_bedreiging", "kindermishandeling", "rvdk_behoefte"]
                .into_iter()
                .filter(|_| rng.bool())
                .map(str::to_owned)
                .collect(),
        },
        feiten: ["behoefte_kind", "titel_eindigt", "titel_van_kracht"]
            .into_iter()
            .filter(|_| rng.bool())
            .map(Arc::from)
            .collect(),
        dossier: Dossier {
            bekend: rng.bool(),
            kader_aanwezig,
            kader_soort: kader_aanwezig.then_some(SoortKader::Toezicht),
            kader_dient_doel: kader_aanwezig && rng.bool(),
            toestemming: categories(rng),
            ernstige_bedreiging: rng.u8(..3) == 0,
            kindermishandeling: rng.u8(..3) == 0,
            rvdk_behoefte: rng.u8(..3) == 0,
            vrije_tekst: rng.bool(),
            wgs_noodzaak: categories(rng),
            artikel_43_4: categories(rng),
            beoordeeld: Beoordeeld::default(),
        },
    }
}

#[test]
fn the_invariants_hold_for_any_question() {
    let engine = engine();
    let mut rng = Rng::with_seed(1995);
    for _ in 0..300 {
        let question = question(&mut rng);
        let sheet = engine.evaluate(&question);
        let (role, dossier) = (question.role.as_str(), &question.dossier);
        assert!(!sheet.failed, "{question:?}");
        let from_reclassering = question.bron == Bron::Reclassering;

        let at_the_table = role == "zvh-deelnemer"
            && ["burgemeester", "college-b-en-w"].contains(&question.ontvanger.wgs_soort.as_str());
        let exception = dossier.ernstige_bedreiging || dossier.kindermishandeling || dossier.rvdk_behoefte;
        if from_reclassering && (MUNICIPAL.contains(&role) || at_the_table) && !dossier.kader_aanwezig && !exception {
            assert!(sheet.permitted.minus(dossier.toestemming).is_empty(), "1: {question:?}");
        }
        let named_grounds = ["gemeente-gemandateerde", "zvh", "zvh-deelnemer", "rvdk", "om", "zm", "dji"];
        let forensic_care = match &*question.bericht {
            "forensische-zorg.indicatie-gevraagd" => question.ontvanger.indiceert,
            "forensische-zorg.titel-eindigt" => question.ontvanger.behandelt && role == "zorgaanbieder",
            _ => false,
        };
        if from_reclassering && !named_grounds.contains(&role) && !forensic_care {
            assert!(sheet.permitted.minus(dossier.toestemming).is_empty(), "2: {question:?}");
        }
        let has_a_title = question.feiten.iter().any(|fact| **fact == *"titel_van_kracht");
        if *question.bericht == *"forensische-zorg.indicatie-gevraagd" && !(has_a_title && question.ontvanger.indiceert)
        {
            assert!(sheet.permitted.is_empty(), "forensic care: {question:?}");
        }
        if role == "zvh-deelnemer" && !WGS_KINDS.contains(&question.ontvanger.wgs_soort.as_str()) {
            assert!(sheet.permitted.is_empty(), "3: {question:?}");
        }
        for never in [Category::Slachtoffer, Category::Netwerk, Category::Sociaal] {
            assert!(!sheet.permitted.contains(never), "4: {question:?}");
        }
        assert!(dossier.vrije_tekst || !sheet.permitted.contains(Category::VrijeTekst), "4: {question:?}");
        for category in sheet.permitted.iter() {
            let by = &sheet.by[&category];
            assert!(!by.is_empty() && by.iter().all(|policy| !policy.forbids), "6: {category} {question:?}");
        }
        assert!(!sheet.bsn || question.ontvanger.bsn_gerechtigd, "BSN: {question:?}");
        assert!(!sheet.bsn || sheet.permitted.contains(Category::Persoonsnummers), "BSN: {question:?}");

        let mut silent = question.clone();
        silent.verzoek.uitzondering.clear();
        assert_eq!(engine.evaluate(&silent).permitted, sheet.permitted, "a claim is no fact: {question:?}");
    }
}

/// In the directory, in the rule that forbids, and in the invariant that holds the rule to it.
#[test]
fn the_closed_list_is_the_same_everywhere() {
    let engine = engine();
    let lists = [(engine.rules().unwrap(), "niet-op-de-wgs-lijst"), (engine.invariants().unwrap(), "3-wgs-deelnemers")];
    for (rules, id) in lists {
        let rule = rules.iter().find(|rule| rule.about.id == id).unwrap();
        let asked = rule.when.literals().into_iter().filter_map(|literal| literal.atom.asked());
        let kinds: Vec<_> = asked.filter_map(|asked| asked.parts().1).collect();
        assert_eq!(kinds, WGS_KINDS, "{id}");
    }
}

#[test]
fn an_invariant_decides_nothing_and_is_a_forbid() {
    let mut files = sources();
    files.policies.retain(|file, _| !file.starts_with("invarianten/"));
    let (with, without) = (engine(), Engine::load(&files).unwrap());
    assert_eq!(
        (with.version.as_str(), with.policies().count()),
        (without.version.as_str(), without.policies().count())
    );
    assert_eq!(without.invariants().unwrap().len(), 0);

    let permit = "@id(\"x\") @title(\"x\") @legal_basis(\"x\") @source(\"x\") @status(\"bevestigd\") permit (principal, action, resource);";
    files.policies.insert("invarianten/x.cedar".to_owned(), permit.to_owned());
    let findings = Engine::load(&files).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert!(findings[0].to_string().contains("it is a forbid"), "{}", findings[0]);
}
