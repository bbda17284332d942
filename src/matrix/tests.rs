use super::difference::Difference;
use super::*;
use crate::catalogue::Sources;
use crate::policy::tests::{engine, sources};
use crate::policy::truth::tests::question_for;
use crate::policy::{Question, cases};
use cedar_policy::{Authorizer, Entities, PolicyId, PolicySet, Request};
use fastrand::Rng;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

const DAY: Date = jiff::civil::date(2026, 11, 24);
/// What a recipient has as its role where no rule names it.
const UNKNOWN_ROLE: &str = "verzekeraar";

fn matrix_of(files: &Sources, roles: &[String]) -> Matrix {
    Matrix::of(&Engine::load(files).unwrap(), &Glossary::read(files).unwrap(), roles, DAY).unwrap()
}

static SHIPPED: LazyLock<Matrix> = LazyLock::new(|| matrix_of(&sources(), &[]));

/// The cells as anybody would use them who has nothing but the published JSON: one Cedar expression for each.
struct Claims {
    cells: Vec<(Value, String)>,
    sets: HashMap<(String, String), PolicySet>,
    /// All that a reader has to know of categories: the BSN is part of the personal numbers.
    entities: Entities,
}

impl Claims {
    fn of(matrix: &Matrix) -> Claims {
        let published = serde_json::to_value(matrix).unwrap();
        let entity = |name: &str, parents: &[Value]| serde_json::json!({ "uid": { "type": "Categorie", "id": name }, "attrs": {}, "parents": parents });
        let whole = entity("persoonsnummers", &[]);
        let entities = Value::Array(vec![entity("bsn", &[whole["uid"].clone()]), whole]);
        let entities = Entities::from_json_value(entities, None).unwrap();
        let mut claims = Claims { cells: Vec::new(), sets: HashMap::new(), entities };
        for cell in published["cells"].as_array().unwrap() {
            let id = claims.cells.len().to_string();
            let text = format!("permit (principal, action, resource) when {{ {} }};", expression(&cell["when"]));
            let policy: cedar_policy::Policy = text.parse().unwrap();
            let place = ["role", "category"].map(|name| cell[name].as_str().unwrap().to_owned());
            let set = claims.sets.entry(place.into()).or_default();
            set.add(policy.new_id(PolicyId::new(&id))).unwrap();
            claims.cells.push((cell.clone(), id));
        }
        claims
    }

    /// The rules that the matrix says are satisfied, each with its effect.
    fn satisfied(&self, role: &str, category: &str, question: &Question) -> Vec<(String, bool)> {
        let Some(set) = self.sets.get(&(role.to_owned(), category.to_owned())) else {
            return Vec::new();
        };
        let uid = |kind: &str, name: &str| format!("{kind}::{name:?}").parse().unwrap();
        let (principal, resource) = (uid("Rol", question.role.as_str()), uid("Categorie", category));
        let context = question.context().unwrap();
        let request = Request::new(principal, uid("Action", "verstrekken"), resource, context, None).unwrap();
        let response = Authorizer::new().is_authorized(&request, set, &self.entities);
        let said = response.diagnostics().reason().map(|id| {
            let (cell, _) = &self.cells[id.to_string().parse::<usize>().unwrap()];
            (cell["rule"].as_str().unwrap().to_owned(), cell["effect"] == "forbid")
        });
        let mut said: Vec<_> = said.collect();
        said.sort();
        said
    }
}

fn expression(when: &Value) -> String {
    let parts = |parts: &Value, between: &str| {
        let parts: Vec<_> = parts.as_array().unwrap().iter().map(|part| format!("({})", expression(part))).collect();
        parts.join(between)
    };
    match when {
        Value::Object(object) if object.contains_key("all") => match parts(&object["all"], " && ") {
            none if none.is_empty() => "true".to_owned(),
            some => some,
        },
        Value::Object(object) if object.contains_key("any") => parts(&object["any"], " || "),
        met => met["cedar"].as_str().unwrap().to_owned(),
    }
}

#[test]
fn what_the_matrix_claims_is_what_the_engine_answers() {
    let (engine, claims) = (engine(), Claims::of(&SHIPPED));
    let rules = engine.rules().unwrap();
    let mut rng = Rng::with_seed(811);
    let mut questions: Vec<_> = cases::run(&sources(), &engine).questions.into_iter().collect();
    for _ in 0..150 {
        let mut question = question_for(&mut rng, &rules);
        let role = &SHIPPED.roles[rng.usize(..SHIPPED.roles.len())].name;
        question.role = crate::party::Role::new(if role == ANY_OTHER { UNKNOWN_ROLE } else { role.as_str() });
        questions.push(question);
    }
    let mut decided = BTreeSet::new();
    for question in &questions {
        let role = question.role.as_str();
        let row = SHIPPED.roles.iter().find(|known| known.name == role).map_or(ANY_OTHER, |known| &known.name);
        let sheet = engine.answer(question);
        for category in resources() {
            let satisfied = claims.satisfied(row, category, question);
            let is_forbidden = satisfied.iter().any(|(_, forbids)| *forbids);
            let deciding = satisfied.iter().filter(|(_, forbids)| *forbids == is_forbidden);
            let ids: Vec<_> = deciding.map(|(id, _)| id.clone()).collect();
            let is_permitted = !is_forbidden && !ids.is_empty();
            match Category::parse(category) {
                Some(known) => {
                    let engines: Vec<_> = sheet.by[&known].iter().map(|rule| rule.id.clone()).collect();
                    let answer = (sheet.permitted.contains(known), engines);
                    assert_eq!((is_permitted, ids.clone()), answer, "{category} {question:?}");
                }
                None => assert_eq!(is_permitted, sheet.bsn, "{category} {question:?}"),
            }
            decided.extend(ids);
        }
    }
    let all: BTreeSet<_> = SHIPPED.rules.iter().map(|rule| rule.id.clone()).collect();
    assert_eq!(decided, all, "questions in which each rule decides");
}

#[test]
fn every_term_of_the_policy_has_words() {
    let words = Glossary::read(&sources()).unwrap();
    assert_eq!(SHIPPED.unexplained(&words), BTreeSet::new());
    let mut files = sources();
    let more = "rollen: {rvdk: een ander, bureau: een bureau}".to_owned();
    files.policies.insert("begrippen/meer.yaml".to_owned(), more);
    let added = Glossary::read(&files).unwrap();
    assert_eq!((added.role("rvdk"), added.role("bureau")), (words.role("rvdk"), "een bureau".to_owned()));
    files.policies.retain(|file, _| !file.starts_with("begrippen"));
    let wordless = matrix_of(&files, &[]);
    let unexplained = wordless.unexplained(&Glossary::default());
    for term in [("zvh-wgs", "context.bekend"), ("", "rvdk"), ("", "zorg"), ("wmo", "context.verzoek.grond == \"wmo\"")]
    {
        assert!(unexplained.contains(&term), "{term:?}");
    }
}

#[test]
fn a_value_without_words_is_shown_as_cedar_has_it_and_never_in_words_for_another() {
    let mut files = sources();
    let rule = files.policies.get_mut("gemeente.cedar").unwrap();
    *rule = rule.replace(
        "context.verzoek.grond == \"18b\" && context.kader.aanwezig",
        "[\"18b\", \"18c\"].contains(context.verzoek.grond) && context.kader.aanwezig",
    );
    let matrix = matrix_of(&files, &[]);
    let cedar = "[\"18b\", \"18c\"].contains(context.verzoek.grond)";
    let words = Glossary::read(&files).unwrap();
    assert_eq!(matrix.unexplained(&words), BTreeSet::from([("18b-met-kader", cedar)]));
    assert!(page::matrix(&matrix).contains("<code translate=\"no\">[&quot;18b&quot;, &quot;18c&quot;].contains("));
}

fn met<'a>(matrix: &'a Matrix, place: (&str, &str, &str)) -> Vec<&'a str> {
    let is_it = |cell: &&Cell| (cell.role.as_str(), cell.category.as_str(), cell.rule.as_str()) == place;
    matrix.cells.iter().find(is_it).unwrap().when.met().into_iter().map(|met| met.text.as_str()).collect()
}

#[test]
fn what_recipient_and_category_settle_is_not_said_again() {
    assert_eq!(
        met(&SHIPPED, ("rvdk", "kind", "kindermishandeling")),
        [
            "de gegevens komen uit de administratie van de reclassering",
            "de ontvanger deed het verzoek zelf",
            "op de dag van de beslissing is geen justitieel kader van kracht",
            "een redelijk vermoeden van kindermishandeling is vastgelegd",
        ]
    );
    let municipal = met(&SHIPPED, ("gemeente-gemandateerde", "kind", "kindermishandeling"));
    assert_eq!(municipal[0], "de genoemde grond of taak is artikel 18b Pbw of de BIJ-regeling");
    let rules_for = |role: &str, category: &str| -> Vec<&str> {
        let cells = SHIPPED.cells.iter().filter(|cell| cell.role == role && cell.category == category);
        cells.filter(|cell| cell.effect == Effect::Permit).map(|cell| cell.rule.as_str()).collect()
    };
    assert!(rules_for("reclassering", "bsn").contains(&"bekende-client"));
    assert_eq!(rules_for("reclassering", "bsn"), rules_for("reclassering", "persoonsnummers"));
    assert_eq!(rules_for(ANY_OTHER, "vonnis"), ["schriftelijke-toestemming"]);
}

#[test]
fn the_page_is_whole_and_readable_without_colour_or_mouse() {
    let html = page::matrix(&SHIPPED);
    assert!(html.starts_with("<!doctype html>\n<html lang=\"nl\">"));
    let (links, ids) = page::link_targets(&html);
    assert!(links.is_subset(&ids), "{:?}", links.difference(&ids));
    let count = |part: &str| html.matches(part).count();
    assert_eq!(count("<table>"), count("<caption>"));
    assert_eq!(count("<th"), count("<th scope=\"col\"") + count("<th scope=\"row\"") + count("<thead>"));
    assert_eq!(count("<tr>"), count("<tr><th scope="), "every row has a head");
    for outside in ["http:", "https:", "src=", "<script", "<link", "@import", "url("] {
        assert_eq!(count(outside), 0, "{outside}");
    }
    for rule in &SHIPPED.rules {
        assert!(html.contains(&rule.id), "{}", rule.id);
    }
    let open = SHIPPED.rules.iter().filter(|rule| !rule.is_confirmed()).count();
    assert!(count("<strong class=\"open\">te bevestigen</strong>") > open);
    for part in [SHIPPED.policy_version.as_str(), "24-11-2026", "Handtekening", "Juridisch getoetst door"] {
        assert!(html.contains(part), "{part}");
    }
}

type Edit = fn(&mut BTreeMap<String, String>);

fn edited(file: &'static str, from: &'static str, to: &'static str) -> impl Fn(&mut BTreeMap<String, String>) {
    move |policies| {
        let text = policies.get_mut(file).unwrap();
        assert!(text.contains(from), "{from}");
        *text = text.replacen(from, to, 1);
    }
}

fn difference(edit: impl Fn(&mut BTreeMap<String, String>)) -> (Difference, String) {
    let (before, mut after) = (sources(), sources());
    edit(&mut after.policies);
    let both = [matrix_of(&before, &[]), matrix_of(&after, &[])].map(|matrix| matrix.roles).concat();
    let roles: Vec<String> = both.into_iter().map(|role| role.name).collect();
    let (before, after) = (matrix_of(&before, &roles), matrix_of(&after, &roles));
    let difference = Difference::between(&before, &after);
    let html = page::difference(&difference, &before, &after);
    (difference, html)
}

#[test]
fn what_says_the_same_does_not_differ() {
    let same: [Edit; 3] = [
        |_| {},
        |policies| {
            edited("begrippen.yaml", "de ontvanger deed het verzoek zelf", "de ontvanger vroeg er zelf om")(policies)
        },
        |policies| {
            let (from, to) = ("context.bekend &&\n  resource in", "resource in");
            edited("casusoverleg.cedar", from, to)(policies);
            edited("casusoverleg.cedar", "wgs_noodzaak\n", "wgs_noodzaak && context.bekend\n")(policies);
        },
    ];
    for (at, edit) in same.into_iter().enumerate() {
        let (difference, html) = difference(edit);
        assert!(difference.equal, "{at}\n{difference}");
        assert!(html.contains("Geen verschil"));
        assert!(difference.to_string().starts_with("Geen verschil"), "{difference}");
    }
}

#[test]
fn what_one_allows_and_the_other_does_not_is_told() {
    let table: [(Edit, &[&str]); 6] = [
        (
            |policies| edited("casusoverleg.cedar", ", Categorie::\"basisvoorwaarden\"]", "]")(policies),
            &["- regel zvh-wgs (vervallen) voor zvh, zvh-deelnemer: basisvoorwaarden\n"],
        ),
        (
            |policies| edited("casusoverleg.cedar", "  context.bekend &&\n  resource", "  resource")(policies),
            &[
                "~ regel zvh-wgs (gewijzigd) voor zvh, zvh-deelnemer: justitieel_kader, basisvoorwaarden, risicoanalyse\n",
            ],
        ),
        (
            |policies| {
                edited("detentie.cedar", "principal == Rol::\"reclassering\"", "principal == Rol::\"om\"")(policies)
            },
            &[
                "+ regel bekende-client (nieuw) voor om: identificatie",
                "- regel bekende-client (vervallen) voor reclassering",
            ],
        ),
        (
            |policies| edited("toestemming.cedar", "@status(\"bevestigd\")", "@status(\"te bevestigen\")")(policies),
            &["~ schriftelijke-toestemming (gewijzigd)", "status: was \"bevestigd\", wordt \"te bevestigen\"\n"],
        ),
        (
            |policies| edited("casusoverleg.cedar", "@id(\"zvh-wgs\")", "@id(\"zvh\")")(policies),
            &["+ zvh (nieuw): Deelnemers aan het casusoverleg", "- zvh-wgs (vervallen): Deelnemers"],
        ),
        (
            |policies| edited("verboden.cedar", "resource == Categorie::\"bsn\"", "resource")(policies),
            &["iedere andere rol: identificatie, persoonsnummers, adres"],
        ),
    ];
    for (edit, expected) in table {
        let (difference, html) = difference(edit);
        let told = difference.to_string();
        assert!(!difference.equal);
        for part in expected {
            assert!(told.contains(part), "{part}\n{told}");
        }
        // What is told on the terminal stands on the page and in the JSON as well.
        let json = serde_json::to_value(&difference).unwrap();
        let (rules, cells) = (json["rules"].as_array().unwrap().len(), json["cells"].as_array().unwrap().len());
        assert_eq!(
            told.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).count(),
            rules + cells
        );
        assert_eq!(html.matches("<th scope=\"row\">").count(), rules + cells);
    }
}
