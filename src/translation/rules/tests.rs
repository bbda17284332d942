use super::*;
use crate::category::Category;
use crate::validation::schema::Schema;
use jiff::civil::date;
use serde_json::json;

const TODAY: Date = date(2026, 11, 24);

fn source() -> Shape {
    let schema = json!({"properties": {
        "naam": {"x-categorie": "identificatie"},
        "dag": {"x-categorie": "detentie"},
        "code": {"x-categorie": "detentie"},
        "voorwaarden": {"items": {"x-categorie": "vonnis"}},
        "contacten": {"items": {"properties": {
            "wie": {"x-categorie": "netwerk"}, "waar": {"x-categorie": "adres"}}}},
    }});
    Schema::compile(&schema.to_string()).unwrap().shape
}

fn tables() -> Tables {
    let table = "code,omschrijving,geldig_van,geldig_tot\nA,aanvang,,\nB,begin,,2026-11-23\n";
    BTreeMap::from([("soort".to_owned(), Arc::new(Table::load("soort", table).unwrap()))])
}

fn compile(rules: &str) -> (Rules, Vec<String>) {
    let specs: Vec<RuleSpec> = serde_saphyr::from_str(rules).unwrap();
    let mut problems = Vec::new();
    let rules = Rules::compile(&specs, &source(), None, &tables(), &mut problems);
    (rules, problems.into_iter().map(|p| format!("{}: {}", p.line, p.hint)).collect())
}

fn apply(rules: &str, input: Value) -> Result<(Value, CategorySet), Vec<String>> {
    let (rules, problems) = compile(rules);
    assert_eq!(problems, [""; 0]);
    let mut used = CategorySet::default();
    let built = rules.apply(&input, TODAY, &mut used);
    built.map(|value| (value, used)).map_err(|p| p.iter().map(|p| format!("{} {}", p.code, p.place)).collect())
}

#[test]
fn values_go_where_the_rules_say_and_their_categories_are_counted() {
    use Category::*;
    let table = [
        ("- {from: /naam, to: /a/b/c}", json!({"naam": "n"}), json!({"a": {"b": {"c": "n"}}}), vec![Identificatie]),
        ("- {from: /naam, to: /a}", json!({}), json!({}), vec![]),
        ("- {value: '1.0', to: /@v}", json!({}), json!({"@v": "1.0"}), vec![]),
        (
            "- {from: /dag, to: /a, via: [to_date_compact]}",
            json!({"dag": "2026-11-24"}),
            json!({"a": "20261124"}),
            vec![Detentie],
        ),
        (
            "- {from: /code, to: /a, via: [{table: soort, column: omschrijving}, upper]}",
            json!({"code": "A"}),
            json!({"a": "AANVANG"}),
            vec![Detentie],
        ),
        (
            "- {from: /voorwaarden, to: /a, via: [upper]}",
            json!({"voorwaarden": ["x", "y"]}),
            json!({"a": ["X", "Y"]}),
            vec![Vonnis],
        ),
        (
            "- {from: /contacten, to: /a, each: [{from: /waar, to: /p}]}",
            json!({"contacten": [{"wie": "w", "waar": "1"}, {"waar": "2"}]}),
            json!({"a": [{"p": "1"}, {"p": "2"}]}),
            vec![Adres],
        ),
    ];
    for (rules, input, expected, categories) in table {
        assert_eq!(apply(rules, input), Ok((expected, categories.into_iter().collect())), "{rules}");
    }
}

#[test]
fn what_cannot_be_translated_is_told_with_its_place_and_the_rest_is_built() {
    let rules = "
      - {from: /naam, to: /naam, required: true}
      - {from: /dag, to: /dag, via: [date_compact]}
      - {from: /code, to: /code, via: [{table: soort, column: omschrijving}]}
      - {from: /contacten, to: /c, each: [{from: /waar, to: /p, required: true}]}";
    let input = json!({"dag": "20260230", "code": "B", "contacten": [{"waar": "1"}, {"wie": "w"}]});
    let expected = ["KP-2005 /naam", "KP-2010 /dag", "KP-2012 /code", "KP-2005 /contacten/1/waar"];
    assert_eq!(apply(rules, input.clone()).unwrap_err(), expected);

    let input = json!({"naam": "n", "dag": "20260230"});
    let (built, problems) = compile(rules).0.build(&input, TODAY, &mut CategorySet::default());
    assert_eq!((built, problems.len()), (json!({"naam": "n"}), 1));
}

#[test]
fn a_place_in_the_result_leads_back_to_where_it_came_from() {
    let (rules, _) = compile("[{from: /naam, to: /a/b}, {from: /voorwaarden, to: /lijst}, {value: x, to: /vast}]");
    let table = [
        ("/a/b", Some("/naam")),
        ("/lijst/3", Some("/voorwaarden/3")),
        ("/a", None),
        ("/a/bc", None),
        ("/vast", None),
        ("", None),
    ];
    for (place, origin) in table {
        assert_eq!(rules.origin(place).as_deref(), origin, "{place}");
    }
}

#[test]
fn a_rule_that_cannot_work_does_not_compile() {
    let table = [
        ("- {from: naam, to: /a}", "`naam` is not a pointer"),
        ("- {from: /naam, to: a}", "`a` is not a pointer"),
        ("- {to: /a}", "give exactly one of"),
        ("- {from: /achternaam, to: /a}", "the source schema has no place `/achternaam`"),
        ("- {from: /contacten, to: /a}", "`/contacten` is a list of objects"),
        ("- {from: /naam, to: /a, each: []}", "`/naam` is no list"),
        ("- {from: /contacten, to: /a, each: [{from: /wat, to: /p}]}", "the source schema has no place `/wat`"),
        ("- {from: /naam, to: /a, via: [omhoog]}", "unknown step `omhoog`"),
        ("- {from: /naam, to: /a, via: [{table: x, column: z}]}", "unknown code table `x`"),
        ("- {from: /naam, to: /a, via: [{table: soort, column: z}]}", "code table `soort` has no column `z`"),
    ];
    for (rules, expected) in table {
        let (_, problems) = compile(rules);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{rules}: {problems:?}");
    }
}
