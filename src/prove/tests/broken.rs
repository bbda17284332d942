use super::*;

type Edit = (&'static str, &'static str);

/// The file of a policy, and where in it the policy stands.
fn place(sources: &Sources, id: &str) -> (String, usize, usize) {
    let mark = format!("@id(\"{id}\")");
    let decides = |file: &str| file.ends_with(".cedar") && !file.starts_with("invarianten/");
    let mut files = sources.policies.iter().filter(|(file, _)| decides(file));
    let (file, text) = files.find(|(_, text)| text.contains(&mark)).unwrap();
    let start = text.find(&mark).unwrap();
    let length = text[start + 1..].find("\n@id(").map_or(text.len() - start, |next| next + 1);
    (file.clone(), start, start + length)
}

fn edited(id: &str, edit: Option<Edit>) -> Sources {
    let mut sources = sources();
    edit_in(&mut sources, id, edit);
    sources
}

/// Without an edit the policy goes.
fn edit_in(sources: &mut Sources, id: &str, edit: Option<Edit>) {
    let (file, start, end) = place(sources, id);
    let text = sources.policies.get_mut(&file).unwrap();
    let rule = edit.map_or(String::new(), |(from, to)| {
        assert!(text[start..end].contains(from), "{id} has no {from}");
        text[start..end].replacen(from, to, 1)
    });
    text.replace_range(start..end, &rule);
}

fn broken(proofs: &[Proof]) -> Vec<&str> {
    let broken = proofs.iter().filter(|proof| proof.outcome == Outcome::Broken);
    broken.map(|proof| proof.invariant.id.as_str()).collect()
}

#[tokio::test]
async fn without_a_forbid_the_invariant_it_guards_is_broken() {
    let Some(cvc5) = solver() else { return };
    let table: [(&str, &[&str]); 8] = [
        ("nooit-slachtoffer-netwerk-sociaal", &["4-slachtoffer-netwerk-sociaal"]),
        ("vrije-tekst-na-beoordeling", &["4-vrije-tekst"]),
        ("bsn-alleen-bij-wet", &["4-bsn"]),
        ("geen-kader-geen-informatie", &["1-zonder-kader"]),
        ("niet-op-de-wgs-lijst", &["3-wgs-deelnemers"]),
        ("fz-alleen-met-titel", &["fz-zonder-titel"]),
        ("fz-alleen-wie-indiceert", &["fz-niet-aangewezen"]),
        // A second lock: what it forbids nothing permits.
        ("kader-dient-ander-doel", &[]),
    ];
    let engine = Engine::load(&sources()).unwrap();
    let forbids = engine.policies().filter(|policy| policy.forbids);
    assert!(forbids.count() == table.len(), "a forbid is missing in the table");
    for (forbid, expected) in table {
        let proofs = invariants(&edited(forbid, None), &cvc5).await;
        assert_eq!(broken(&proofs), expected, "without {forbid}");
    }
}

#[tokio::test]
async fn a_rule_that_permits_too_much_breaks_what_it_goes_against() {
    let Some(cvc5) = solver() else { return };
    const NAMED: &str = "2-wie-zonder-toestemming";
    const CONSENT: &str = "5-toestemming-die-geldt";
    const GROUND: &str = "6-alleen-op-een-grond";
    let table: [(&str, Edit, &[&str]); 10] = [
        ("18b-met-kader", (" && context.kader.aanwezig", ""), &[NAMED, GROUND]),
        ("43-4", ("resource in context.beoordeling.artikel_43_4", "true"), &[GROUND]),
        ("ernstige-bedreiging", ("&& context.beoordeling.ernstige_bedreiging &&", "&&"), &[NAMED, GROUND]),
        ("zvh-wgs", ("resource in context.beoordeling.wgs_noodzaak", "true"), &[NAMED, CONSENT, GROUND]),
        (
            "wgs-zorg",
            ("context.beoordeling.wgs_noodzaak.contains(Categorie::\"zorg\")", "true"),
            &[NAMED, CONSENT, GROUND],
        ),
        ("niet-op-de-wgs-lijst", ("\"ggd\"", "\"ggd\", \"woningcorporatie\""), &["3-wgs-deelnemers"]),
        ("wmo", ("resource in context.toestemming", "true"), &[NAMED, CONSENT, "5-wmo", GROUND]),
        ("bij-melding", ("context.feiten.contains(\"onherroepelijk\") &&", ""), &[GROUND]),
        ("bevoegde-autoriteit", ("context.verzoek.doel != \"\" &&", ""), &[GROUND]),
        // The forbid about another purpose is what the condition is: it makes no difference.
        ("bij-met-kader", (" && context.kader.dient_doel", ""), &[]),
    ];
    for (rule, edit, expected) in table {
        let proofs = invariants(&edited(rule, Some(edit)), &cvc5).await;
        assert_eq!(broken(&proofs), expected, "{rule} without {}", edit.0);
        for proof in proofs.iter().filter(|proof| proof.outcome == Outcome::Broken) {
            let found = proof.counterexample.as_ref().unwrap();
            // Of a forbid that forbids too little, the rule that then permits.
            let by: Vec<_> = found.rules.iter().map(|rule| rule.id.as_str()).collect();
            assert!(by.contains(&rule) || rule == "niet-op-de-wgs-lijst", "{rule}: {by:?}");
            assert!(!found.facts.iter().any(|fact| fact.contains("context.")), "not in words: {:?}", found.facts);
        }
    }
}

#[tokio::test]
async fn a_permit_without_a_ground_is_no_ground() {
    let Some(cvc5) = solver() else { return };
    let mut sources = sources();
    let about = "@title(\"t\") @legal_basis(\"l\") @source(\"s\") @status(\"te bevestigen\")";
    let text =
        format!("@id(\"x\") {about} permit (principal, action, resource) when {{ context.bron == \"reclassering\" }};");
    sources.policies.insert("x.cedar".to_owned(), text);
    let proofs = invariants(&sources, &cvc5).await;
    let expected = ["2-wie-zonder-toestemming", "5-toestemming-die-geldt", "5-wmo", "6-alleen-op-een-grond"];
    assert_eq!(broken(&proofs), expected);
}

/// The solver, left to itself, thinks of a care provider that sits at the table as a municipality.
#[tokio::test]
async fn a_counterexample_is_one_that_a_case_tries_where_there_is_one() {
    let Some(cvc5) = solver() else { return };
    let sources = edited("geen-kader-geen-informatie", None);
    let engine = Engine::load(&sources).unwrap();
    let questions = cases::questions(&sources);
    let proofs = Prover::new(&engine, &cvc5).unwrap().invariants(&glossary(), &questions).await.unwrap();
    let proof = proofs.iter().find(|proof| proof.outcome == Outcome::Broken).unwrap();
    let found = proof.counterexample.as_ref().unwrap();
    assert_eq!((proof.invariant.id.as_str(), found.role.name.as_str()), ("1-zonder-kader", "zvh-deelnemer"));
    assert!(found.facts.iter().any(|fact| fact.contains("zit aan tafel als")), "{:?}", found.facts);
}

#[tokio::test]
async fn a_counterexample_says_who_gets_what_by_which_rule_and_what_is_missing() {
    let Some(cvc5) = solver() else { return };
    let mut sources = edited("geen-kader-geen-informatie", None);
    edit_in(&mut sources, "18b-met-kader", Some((" && context.kader.aanwezig && context.kader.dient_doel", "")));
    let proofs = invariants(&sources, &cvc5).await;
    let proof = proofs.iter().find(|proof| proof.invariant.id == "1-zonder-kader").unwrap();
    let found = proof.counterexample.as_ref().unwrap();
    assert_eq!(
        (found.role.name.as_str(), found.category.name.as_str()),
        ("gemeente-gemandateerde", "justitieel_kader")
    );
    assert_eq!(found.role.text, "een gemandateerde van een gemeente");
    assert_eq!(found.rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["18b-met-kader"]);
    let expected = [
        "de gegevens komen uit de administratie van de reclassering",
        "de ontvanger deed het verzoek zelf",
        "de genoemde grond of taak is artikel 18b Pbw",
        "op de dag van de beslissing is geen justitieel kader van kracht",
        "er is geen ernstige bedreiging van personen of de maatschappij vastgelegd",
        "er is geen redelijk vermoeden van kindermishandeling vastgelegd",
        "er is niet vastgelegd dat de Raad voor de Kinderbescherming deze informatie nodig heeft",
        "er geldt nu geen schriftelijke toestemming om deze categorie aan deze ontvanger te geven",
    ];
    assert_eq!(found.facts, expected);
    // What makes no difference is not in it.
    assert_eq!(found.context["toestemming"], serde_json::json!([]));
    assert_eq!(found.context["verzoek"], serde_json::json!({ "doel": "", "grond": "18b", "uitzondering": [] }));
}
