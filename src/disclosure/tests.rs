use super::*;

fn named(party: &str, name: &str) -> Named {
    Named { party: PartyId::new(party), name: name.to_owned() }
}

fn shared(category: Category, legal_basis: &str) -> Shared {
    let (policy, status) = ("18b-met-kader".to_owned(), "te bevestigen".to_owned());
    Shared { category, policy, legal_basis: legal_basis.to_owned(), status }
}

fn answer() -> Disclosure {
    Disclosure {
        at: "2027-03-04T23:30:00Z".parse().unwrap(),
        certain: true,
        linked: false,
        r#type: Some("nl.ketenpoort.test.v1".to_owned()),
        title: "Een gemeente vraagt informatie".to_owned(),
        from: named("reclassering", "Reclassering"),
        asked_by: Some(named("gemeente:0599", "Gemeente Rotterdam")),
        to: named("gemeente:0599", "Gemeente Rotterdam"),
        role: Role::new("gemeente-gemandateerde"),
        shared: vec![shared(Category::Zorg, "Pbw art. 18b"), shared(Category::Zorg, "AVG art. 6 lid 1 onder a")],
        delivery: 7,
        receipt: None,
    }
}

fn report(disclosures: Vec<Disclosure>) -> Report {
    Report { since: "2022-03-05".parse().unwrap(), until: "2027-03-05".parse().unwrap(), disclosures }
}

#[test]
fn the_page_says_when_from_whom_to_whom_what_and_why() {
    let page = report(vec![answer()]).page();
    for part in [
        "5 maart 2022",
        "5 maart 2027, 00.30 uur",
        "<td>Reclassering</td>",
        "<td>Gemeente Rotterdam<br>op eigen verzoek</td>",
        "Een gemeente vraagt informatie",
        "welke zorg nodig is en wie die geeft: Pbw art. 18b; AVG art. 6 lid 1 onder a</li></ul>",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("mogelijk") && !page.contains("ander nummer"), "{page}");
}

#[test]
fn what_is_not_certain_or_found_in_another_way_is_marked() {
    let doubtful = Disclosure { certain: false, linked: true, ..answer() };
    let report = report(vec![answer(), doubtful]);
    let page = report.page();
    assert_eq!(page.matches("<br><em>mogelijk</em>").count(), 1);
    assert!(page.contains("niet bekend of zij zijn"), "it is explained");
    assert_eq!(page.matches("Gevonden onder een ander nummer").count(), 1);
    let text = report.text();
    assert_eq!((text.matches("may have been delivered").count(), text.matches("the other number").count()), (1, 1));
}

#[test]
fn somebody_else_may_have_asked() {
    let participant = Disclosure { to: named("politie:rotterdam", "Politie"), ..answer() };
    assert!(report(vec![participant]).page().contains("<td>Politie<br>op verzoek van Gemeente Rotterdam</td>"));
    let notice = Disclosure { asked_by: None, ..answer() };
    assert!(report(vec![notice]).page().contains("<td>Gemeente Rotterdam</td>"));
}

#[test]
fn whatever_comes_out_of_a_file_stays_text() {
    let hostile = |text: &str| format!("{text}<script>\"'&");
    let mut one = answer();
    (one.from.name, one.to.name, one.title) = (hostile("van"), hostile("aan"), hostile("titel"));
    one.asked_by = Some(named("x", &hostile("vrager")));
    one.shared[0].legal_basis = hostile("grond");
    let page = report(vec![one]).page();
    assert!(!page.contains("<script"), "{page}");
    for part in ["van", "aan", "titel", "vrager", "grond"] {
        assert!(page.contains(&format!("{part}&lt;script&gt;&quot;&#39;&amp;")), "{part}");
    }
}

#[test]
fn nothing_is_also_an_answer() {
    let page = report(Vec::new()).page();
    assert!(page.contains("geen gegevens over u verstrekt") && !page.contains("<table"), "{page}");
    assert_eq!(report(Vec::new()).text(), "0 disclosures from 2022-03-05 to 2027-03-05\n");
}
