//! Page: the matrix, or the difference of two, as one HTML file to read, print and sign. It fetches nothing and runs
//! nothing; what matters is in the text, never in colour alone.

use super::difference::{CellChange, Changed, Difference, Says, role_name, role_names, said_otherwise};
use super::{Cell, Condition, Effect, Matrix, RuleEntry};
use jiff::civil::Date;

const STYLE: &str = include_str!("page.css");

/// Who may have what, with a place to sign.
pub fn matrix(matrix: &Matrix) -> String {
    let title = "Wie mag welke gegevens ontvangen";
    page(title, &matrix.policy_version, &format!("<h1>{title}</h1>\n{}", matrix_body(matrix)))
}

/// The same without what stands around it, for a page that has its own.
pub fn matrix_body(matrix: &Matrix) -> String {
    let unconfirmed = matrix.rules.iter().filter(|rule| !rule.is_confirmed()).count();
    let mut body = format!(
        "{}{}",
        facts(&[
            ("Beleidsversie", &matrix.policy_version),
            ("Begrippenlijst", if matrix.glossary_version.is_empty() { "geen" } else { &matrix.glossary_version }),
            ("Datum", &day(matrix.date)),
            ("Regels", &format!("{}, waarvan {unconfirmed} te bevestigen", matrix.rules.len())),
        ]),
        READING
    );
    body.push_str(&overview(matrix));
    body.push_str(&rules(matrix));
    body.push_str(&of_everyone(matrix));
    matrix.roles.iter().for_each(|role| body.push_str(&of_role(matrix, &role.name, &role.text)));
    body.push_str(&signatures(matrix));
    body
}

const READING: &str = "<p>Deze bladzijde is uit het beleid zelf afgeleid. Wat hier niet staat, mag niet. Een verbod gaat \
    voor: wat een verbod tegenhoudt, blijft achter, ook als een andere regel het toestaat. Wat altijd verboden is, staat \
    niet bij wat mag. Wat de verzoeker stelt is nooit een feit; kader, toestemming en beoordelingen komen uit de \
    administratie van de reclassering.</p>\n\
    <p>Een ster (*) of de woorden <strong class=\"open\">te bevestigen</strong> staan bij een regel waarvan de grondslag \
    of de tekst nog door een jurist bevestigd moet worden.</p>\n";

/// What one policy allows that the other does not.
pub fn difference(difference: &Difference, before: &Matrix, after: &Matrix) -> String {
    let (old, new) = (&difference.before.policy_version, &difference.after.policy_version);
    let (title, body) = ("Wat er in het beleid verandert", difference_body(difference, before, after));
    page(title, &format!("{old} naar {new}"), &format!("<h1>{title}</h1>\n{body}"))
}

/// The same without what stands around it.
pub fn difference_body(difference: &Difference, before: &Matrix, after: &Matrix) -> String {
    let (old, new) = (&difference.before.policy_version, &difference.after.policy_version);
    let mut body = facts(&[("Van beleidsversie", old), ("Naar beleidsversie", new), ("Datum", &day(after.date))]);
    if difference.equal {
        body.push_str("<p>Geen verschil: beide staan hetzelfde toe.</p>\n");
    }
    if !difference.rules.is_empty() {
        let rows: String = difference.rules.iter().map(changed_rule).collect();
        body.push_str(&table("Regels", &["Regel", "Verandering", "Wat de regel van zichzelf zegt"], &rows));
    }
    if !difference.cells.is_empty() {
        let rows: String = difference.cells.iter().map(|cell| changed_cell(cell, before, after)).collect();
        body.push_str(&table(
            "Wie wat mag",
            &["Regel en ontvangers", "Verandering", "Categorieën", "Was", "Wordt"],
            &rows,
        ));
    }
    body
}

fn page(title: &str, version: &str, body: &str) -> String {
    let (title, version) = (text(title), text(version));
    // The margin of every printed page says what it is a page of.
    let margin = format!("@page {{ @bottom-left {{ content: \"Beleid {version}\"; }} }}");
    format!(
        "<!doctype html>\n<html lang=\"nl\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} ({version})</title>\n\
         <style>\n{STYLE}{margin}\n</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn text(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

fn code(name: &str) -> String {
    format!("<code translate=\"no\">{}</code>", text(name))
}

fn day(date: Date) -> String {
    format!("{}-{}-{}", date.day(), date.month(), date.year())
}

fn facts(facts: &[(&str, &str)]) -> String {
    let rows: String =
        facts.iter().map(|(what, is)| format!("<dt>{}</dt><dd>{}</dd>\n", text(what), text(is))).collect();
    format!("<dl>\n{rows}</dl>\n")
}

/// `rows` are whole rows, each with a header cell of its own.
fn table(caption: &str, heads: &[&str], rows: &str) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    format!(
        "<div class=\"wide\" role=\"group\" aria-label=\"{0}\" tabindex=\"0\"><table>\n<caption>{0}</caption>\n<thead>\n\
         <tr>{heads}</tr>\n</thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n",
        text(caption)
    )
}

fn row(head: &str, cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
    format!("<tr><th scope=\"row\">{head}</th>{cells}</tr>\n")
}

fn status(rule: &RuleEntry) -> String {
    if rule.is_confirmed() {
        text(&rule.status)
    } else {
        format!("<strong class=\"open\">{}</strong>", text(&rule.status))
    }
}

fn anchor(kind: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("{kind}-{}", name.chars().map(plain).collect::<String>())
}

fn number(matrix: &Matrix, rule: &str) -> String {
    let place = matrix.rules.iter().position(|known| known.id == rule).map_or(0, |at| at + 1);
    let star = if matrix.rule(rule).is_some_and(|rule| rule.is_confirmed()) { "" } else { "*" };
    format!("<a href=\"#{}\">{place}{star}</a>", anchor("regel", rule))
}

/// Categories by recipients, and in each the numbers of the rules that permit under some condition.
fn overview(matrix: &Matrix) -> String {
    let heads: Vec<String> = matrix
        .roles
        .iter()
        .map(|role| format!("<a href=\"#{}\">{}</a>", anchor("rol", &role.name), text(role_name(&role.name))))
        .collect();
    let heads: Vec<&str> = ["Categorie"].into_iter().chain(heads.iter().map(String::as_str)).collect();
    let rows = matrix.categories.iter().map(|category| {
        let cells = matrix.roles.iter().map(|role| {
            let (permits, never) = permits(matrix, &role.name, &category.name);
            let numbers: Vec<_> = permits.map(|cell| number(matrix, &cell.rule)).collect();
            match (never, numbers.is_empty()) {
                (true, _) => "nooit".to_owned(),
                (_, true) => "nee".to_owned(),
                (_, false) => numbers.join(", "),
            }
        });
        row(&code(&category.name), &cells.collect::<Vec<_>>())
    });
    let caption = "Overzicht: welke regels een categorie onder voorwaarden toestaan aan een ontvanger";
    let table = table(caption, &heads, &rows.collect::<String>());
    format!("<section class=\"overview\">\n<h2>Overzicht</h2>\n{table}</section>\n")
}

/// The permits for a category, and whether a forbid always beats them.
fn permits<'a>(matrix: &'a Matrix, role: &'a str, category: &'a str) -> (impl Iterator<Item = &'a Cell>, bool) {
    let of = move |effect| {
        let mine = move |cell: &&Cell| cell.role == role && cell.category == category && cell.effect == effect;
        matrix.cells.iter().filter(mine)
    };
    let never = of(Effect::Forbid).any(|cell| cell.when == Condition::ALWAYS);
    (of(Effect::Permit), never)
}

fn rules(matrix: &Matrix) -> String {
    let rows = matrix.rules.iter().enumerate().map(|(at, rule)| {
        let head = format!("<span id=\"{}\">{}. {}</span>", anchor("regel", &rule.id), at + 1, code(&rule.id));
        let cells = [rule.effect.word(), &rule.title, &rule.legal_basis, &rule.source].map(text);
        row(&head, &cells.into_iter().chain([status(rule)]).collect::<Vec<_>>())
    });
    let heads = ["Regel", "Werking", "Wat de regel zegt", "Grondslag", "Bron", "Status"];
    let table = table("De regels, hun grondslag en status", &heads, &rows.collect::<String>());
    format!("<section>\n<h2>Regels</h2>\n{table}</section>\n")
}

const EVERYONE: &str = "iedereen";

fn of_everyone(matrix: &Matrix) -> String {
    let tables = said(matrix, "iedere ontvanger", &|effect| for_everyone(matrix, effect));
    section(EVERYONE, "Iedere ontvanger", &tables)
}

/// What is said of this role, beside what is said of everyone.
fn of_role(matrix: &Matrix, role: &str, words: &str) -> String {
    let name = role_name(role);
    let own = |effect| {
        let common = for_everyone(matrix, effect);
        groups(matrix, role, effect).into_iter().filter(|group| !common.contains(group)).collect()
    };
    let tables = said(matrix, name, &own);
    let also =
        format!("<p>Voor {name} geldt ook wat voor <a href=\"#rol-{EVERYONE}\">iedere ontvanger</a> geldt.</p>\n");
    section(role, &format!("{} <small>({})</small>", text(&capital(words)), text(name)), &(also + &tables))
}

fn section(id: &str, title: &str, body: &str) -> String {
    format!("<section id=\"{}\">\n<h2>{title}</h2>\n{body}</section>\n", anchor("rol", id))
}

fn said<'a>(matrix: &Matrix, who: &str, groups: &dyn Fn(Effect) -> Vec<Group<'a>>) -> String {
    let heads = ["Regel", "Grondslag", "Categorieën", "Voorwaarden", "Status"];
    let part = |effect: Effect, caption: String| {
        let rows: String = groups(effect).iter().map(|group| rule_row(matrix, group)).collect();
        if rows.is_empty() { String::new() } else { table(&caption, &heads, &rows) }
    };
    let permits = part(Effect::Permit, format!("Wat {who} mag ontvangen, als de voorwaarden vervuld zijn"));
    permits + &part(Effect::Forbid, format!("Wat {who} niet mag ontvangen, welke regel het ook toestaat"))
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[derive(PartialEq)]
struct Group<'a> {
    rule: &'a str,
    when: &'a Condition,
    categories: Vec<&'a str>,
}

/// The cells of a role in which a rule says the same, rule by rule.
fn groups<'a>(matrix: &'a Matrix, role: &'a str, effect: Effect) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for cell in matrix.cells.iter().filter(|cell| cell.role == role && cell.effect == effect) {
        let (_, never) = permits(matrix, role, &cell.category);
        if effect == Effect::Permit && never {
            continue;
        }
        match groups.iter_mut().find(|group| group.rule == cell.rule && *group.when == cell.when) {
            Some(group) => group.categories.push(&cell.category),
            None => groups.push(Group { rule: &cell.rule, when: &cell.when, categories: vec![&cell.category] }),
        }
    }
    groups.sort_by_key(|group| matrix.rules.iter().position(|rule| rule.id == group.rule));
    groups
}

/// What is said of every role alike.
fn for_everyone(matrix: &Matrix, effect: Effect) -> Vec<Group<'_>> {
    let mut of_each = matrix.roles.iter().map(|role| groups(matrix, &role.name, effect));
    let first = of_each.next().unwrap_or_default();
    of_each.fold(first, |common, of_one| common.into_iter().filter(|group| of_one.contains(group)).collect())
}

fn rule_row(matrix: &Matrix, group: &Group) -> String {
    let Some(rule) = matrix.rule(group.rule) else {
        return String::new();
    };
    let head = format!(
        "{} {}<br><span class=\"title\">{}</span>",
        number(matrix, &rule.id),
        code(&rule.id),
        text(&rule.title)
    );
    row(&head, &[text(&rule.legal_basis), categories(matrix, &group.categories), condition(group.when), status(rule)])
}

fn categories(matrix: &Matrix, names: &[&str]) -> String {
    let missing = |name: &&str| !names.contains(name);
    let missing: Vec<_> = matrix.categories.iter().map(|category| category.name.as_str()).filter(missing).collect();
    if missing.is_empty() {
        return "alle categorieën".to_owned();
    }
    let is_never = |name: &&str| matrix.roles.iter().all(|role| permits(matrix, &role.name, name).1);
    if missing.iter().all(is_never) {
        return format!("alle categorieën, behalve wat nooit mag ({})", missing.join(", "));
    }
    let words = |name: &str| {
        let named = matrix.categories.iter().find(|category| category.name == name);
        text(named.map_or(name, |category| &category.text))
    };
    let items: String = names.iter().map(|name| format!("<li>{}</li>", words(name))).collect();
    format!("<ul>{items}</ul>")
}

fn condition(when: &Condition) -> String {
    let (parts, head) = match when {
        Condition::Met(met) if met.explained => return text(&met.text),
        Condition::Met(met) => return code(&met.cedar),
        Condition::All { all } if all.is_empty() => return "altijd".to_owned(),
        Condition::All { all } => (all, "dit alles:"),
        Condition::Any { any } => (any, "een van deze:"),
    };
    let items: String = parts.iter().map(|part| format!("<li>{}</li>", condition(part))).collect();
    format!("{head}<ul>{items}</ul>")
}

fn signatures(matrix: &Matrix) -> String {
    let heads = ["Wie", "Naam", "Functie", "Datum", "Handtekening"];
    let empty = vec![String::new(); 4];
    let rows: String =
        ["Opgesteld door", "Juridisch getoetst door", "Vastgesteld door"].map(|who| row(who, &empty)).concat();
    let version = text(&matrix.policy_version);
    let table = table(&format!("Ondertekening van beleid {version} van {}", day(matrix.date)), &heads, &rows);
    format!("<section class=\"sign\">\n<h2>Ondertekening</h2>\n{table}</section>\n")
}

fn changed_rule(rule: &Changed<RuleEntry>) -> String {
    let Some(entry) = rule.after.as_ref().or(rule.before.as_ref()) else {
        return String::new();
    };
    let said = match (&rule.before, &rule.after) {
        (Some(before), Some(after)) => said_otherwise(before, after)
            .map(|(what, was, is)| format!("<li>{what}: was “{}”, wordt “{}”</li>", text(was), text(is)))
            .collect::<String>(),
        _ => entry.said().map(|(what, is)| format!("<li>{what}: {}</li>", text(is))).concat(),
    };
    row(&code(&entry.id), &[rule.change.word().to_owned(), format!("<ul>{said}</ul>")])
}

fn changed_cell(cell: &CellChange, before: &Matrix, after: &Matrix) -> String {
    let head = format!("{}<br>{}", code(&cell.rule), text(&role_names(&cell.roles)));
    let names: Vec<&str> = cell.categories.iter().map(String::as_str).collect();
    let says = |says: &Option<Says>| match says {
        Some(says) => format!("{}: {}", says.effect.word(), condition(&says.when)),
        None => "de regel zegt hier niets over".to_owned(),
    };
    let matrix = if cell.what.after.is_some() { after } else { before };
    let cells = [
        cell.what.change.word().to_owned(),
        categories(matrix, &names),
        says(&cell.what.before),
        says(&cell.what.after),
    ];
    row(&head, &cells)
}

/// The ids that the page links to, so that a test can tell whether they are there.
#[cfg(test)]
pub fn link_targets(html: &str) -> (std::collections::BTreeSet<&str>, std::collections::BTreeSet<&str>) {
    let all = |mark: &str| html.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).collect();
    (all("href=\"#"), all("id=\""))
}
