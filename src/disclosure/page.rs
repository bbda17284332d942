//! The page that a person gets: plain language, readable without colour, script or anything from elsewhere.
//! Whatever comes out of a file or the ledger is escaped.

use super::{Disclosure, Report, in_words};
use crate::facts::TIME_ZONE;
use crate::html::escape;
use crate::receipt::Shared;
use jiff::{Timestamp, civil::Date};

const STYLE: &str = "\
body{font:1rem/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;max-width:70rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.15rem}\
table{border-collapse:collapse;width:100%}caption{text-align:left;font-weight:bold;padding:.5rem 0}\
th,td{text-align:left;vertical-align:top;padding:.4rem .75rem .4rem 0;border-bottom:1px solid #767676}\
ul{margin:0;padding-left:1.1rem}.note{font-style:italic}\
@media print{body{margin:0;max-width:none;font-size:10pt}thead{display:table-header-group}tr{break-inside:avoid}}";
const MONTHS: [&str; 12] = [
    "januari",
    "februari",
    "maart",
    "april",
    "mei",
    "juni",
    "juli",
    "augustus",
    "september",
    "oktober",
    "november",
    "december",
];
const TITLE: &str = "Welke gegevens over u zijn verstrekt";

pub fn of(report: &Report) -> String {
    let Report { since, until, disclosures } = report;
    let found = if disclosures.is_empty() {
        "<p>In deze periode zijn via Ketenpoort geen gegevens over u verstrekt.</p>".to_owned()
    } else {
        table(disclosures)
    };
    let doubt = if disclosures.iter().all(|one| one.certain) {
        ""
    } else {
        "<p>Staat er <em>mogelijk</em> bij? Dan is geprobeerd de gegevens te verstrekken, maar is niet bekend of zij zijn \
         aangekomen.</p>"
    };
    format!(
        "<!doctype html><html lang=\"nl\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{TITLE}</title><style>{STYLE}</style></head><body><main><h1>{TITLE}</h1>\
         <p>De reclassering en haar partners wisselen gegevens uit via Ketenpoort. Dit overzicht laat zien welke gegevens over u \
         zo aan wie zijn verstrekt, van {since} tot en met {until}.</p>{found}{doubt}\
         <h2>Wat u hier niet ziet</h2>\
         <p>Wat is gevraagd maar geweigerd, staat er niet bij: daarvan is niets verstrekt. Ook de gegevens zelf staan er niet \
         in. Die bewaart Ketenpoort niet langer dan nodig is om ze te verstrekken. Wilt u ze zien? Vraag het aan de \
         organisatie waarvan ze komen of die ze kreeg.</p>\
         <p>Klopt er iets niet, of hebt u vragen? Neem contact op met de organisatie die u dit overzicht gaf.</p>\
         </main></body></html>\n",
        since = day(*since),
        until = day(*until),
    )
}

fn table(disclosures: &[Disclosure]) -> String {
    let rows: String = disclosures.iter().map(row).collect();
    format!(
        "<table><caption>Verstrekte gegevens, de oudste eerst</caption><thead><tr><th scope=\"col\">Wanneer</th>\
         <th scope=\"col\">Van</th><th scope=\"col\">Aan</th><th scope=\"col\">Waarover het bericht ging</th>\
         <th scope=\"col\">Welke gegevens, en waarom dat mocht</th></tr></thead><tbody>{rows}</tbody></table>"
    )
}

fn row(one: &Disclosure) -> String {
    let asked = match &one.asked_by {
        Some(by) if by.party != one.to.party => format!("<br>op verzoek van {}", escape(&by.name)),
        Some(_) => "<br>op eigen verzoek".to_owned(),
        None => String::new(),
    };
    let certain = if one.certain { "" } else { "<br><em>mogelijk</em>" };
    let linked = if one.linked {
        "<p class=\"note\">Gevonden onder een ander nummer van u, dat in een bericht bij dit stond.</p>"
    } else {
        ""
    };
    format!(
        "<tr><th scope=\"row\">{}{certain}</th><td>{}</td><td>{}{asked}</td><td>{}{linked}</td><td><ul>{}</ul></td></tr>",
        moment(one.at),
        escape(&one.from.name),
        escape(&one.to.name),
        escape(&one.title),
        shared(&one.shared)
    )
}

/// Each kind of data once, with every ground that there was for it.
fn shared(all: &[Shared]) -> String {
    let mut grounds: Vec<(&'static str, Vec<&str>)> = Vec::new();
    for one in all {
        let words = in_words(one.category);
        match grounds.iter_mut().find(|(known, _)| *known == words) {
            Some((_, bases)) => bases.push(&one.legal_basis),
            None => grounds.push((words, vec![&one.legal_basis])),
        }
    }
    grounds.iter().map(|(words, bases)| format!("<li>{words}: {}</li>", escape(&bases.join("; ")))).collect()
}

fn day(date: Date) -> String {
    let month = usize::try_from(date.month() - 1).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or_default();
    format!("{} {month} {}", date.day(), date.year())
}

fn moment(at: Timestamp) -> String {
    match at.in_tz(TIME_ZONE) {
        Ok(there) => format!("{}, {:02}.{:02} uur", day(there.date()), there.hour(), there.minute()),
        Err(_) => at.to_string(),
    }
}
