use super::*;
use crate::policy::Question;
use crate::policy::tests::{engine, sources};
use std::sync::LazyLock;

/// Run once; each test looks at what it keeps of them.
static CASES: LazyLock<cases::Report> = LazyLock::new(|| cases::run(&sources(), &engine()));

/// What is missing once the cases whose question is not kept are gone.
fn missing(keep: impl Fn(&Question) -> bool) -> Vec<String> {
    let engine = engine();
    let kept = CASES.questions.iter().filter(|question| keep(question)).cloned();
    let cases = cases::Report { questions: kept.collect(), decided: CASES.decided.clone(), ..cases::Report::default() };
    let exempt = Exempt::read(&sources()).unwrap();
    let (gaps, wrong) = check(&engine, &engine.rules().unwrap(), &cases, &exempt);
    assert_eq!(wrong, []);
    gaps.into_iter().map(|gap| format!("{}: {}", gap.problem.place, gap.problem.hint)).collect()
}

#[test]
fn the_shipped_cases_show_what_every_condition_does() {
    assert_eq!(missing(|_| true), [""; 0]);
}

#[test]
fn a_condition_that_no_case_shows_is_named_with_the_way_that_is_missing() {
    let zvh = "casusoverleg.gegevens-gevraagd";
    let unknown = missing(|question| question.dossier.bekend || &*question.bericht != zvh);
    let only =
        |id: &str| format!("{id}: add a case in which it does not decide only because `context.bekend` is not met");
    assert_eq!(unknown, [only("wgs-zorg"), only("zvh-wgs")]);

    let no_ggd = missing(|question| question.ontvanger.wgs_soort != "ggd");
    let listed = "niet-op-de-wgs-lijst: add a case in which it does not decide only because \
                  `context.ontvanger.wgs_soort != \"ggd\"` is not met";
    assert_eq!(no_ggd, [listed]);

    let no_settlement = missing(|question| !question.ontvanger.gemeente_van_vestiging);
    let alternative = "re-integratie-melding: add a case in which it decides because \
                       `context.ontvanger.gemeente_van_vestiging` is met";
    assert_eq!(no_settlement, [alternative]);
}

#[test]
fn an_exemption_that_is_not_needed_or_not_readable_is_wrong() {
    let (engine, mut files) = (engine(), sources());
    let entry = "- {policy: zvh-wgs, condition: context.bekend, reason: zomaar}\n";
    files.policies.get_mut(FILE).unwrap().push_str(entry);
    let rules = engine.rules().unwrap();
    let (gaps, wrong) = check(&engine, &rules, &CASES, &Exempt::read(&files).unwrap());
    assert_eq!(gaps, []);
    assert_eq!(wrong.iter().map(|wrong| wrong.problem.place.as_str()).collect::<Vec<_>>(), ["zvh-wgs"]);
    files.policies.insert(FILE.to_owned(), "- {policy: zvh-wgs}".to_owned());
    assert_eq!(Exempt::read(&files).unwrap_err().file, "policies/dekking.yaml");
}
