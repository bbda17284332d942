//! The collector's pages: plain HTML that works without script, pictures or anything from elsewhere.
//! Everything that was exported is escaped.

use super::Span;
use crate::html::escape;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

const SHOWN_TRACES: usize = 100;

const STYLE: &str = "\
body{font:1rem/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;margin:1.5rem}\
a{color:#154273}a:focus-visible{outline:3px solid #154273;outline-offset:2px}\
table{border-collapse:collapse;width:100%}caption{text-align:left;padding:.5rem 0}\
th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #767676}\
td.number{text-align:right;font-variant-numeric:tabular-nums}\
.line{position:relative;min-width:12rem;height:1.25rem}\
.bar{position:absolute;top:.25rem;height:.75rem;min-width:2px;background:#154273}\
.failed .bar{background:#a90000}.failed .name{color:#a90000;font-weight:bold}\
dl{margin:0;display:grid;grid-template-columns:max-content 1fr;gap:0 .75rem}dd{margin:0;overflow-wrap:anywhere}\
code{overflow-wrap:anywhere}";

/// The latest traces first.
pub fn recent(spans: &[Span]) -> String {
    let mut rows = String::new();
    let mut seen = HashSet::new();
    let latest = spans.iter().rev().filter(|span| seen.insert(span.trace_id.as_str())).take(SHOWN_TRACES);
    for id in latest.map(|span| span.trace_id.as_str()) {
        let trace: Vec<_> = spans.iter().filter(|span| span.trace_id == id).collect();
        let Some(first) = trace.iter().min_by_key(|span| span.start_unix_nano) else { continue };
        let outcome = trace.iter().find_map(|span| span.attributes.get("ketenpoort.outcome")?.as_str());
        let end = trace.iter().map(|span| span.end_unix_nano).max().unwrap_or_default();
        let _ = write!(
            rows,
            "<tr><th scope=\"row\"><a href=\"/traces/{id}\"><code>{id}</code></a></th><td>{}</td><td>{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            escape(&first.name),
            escape(outcome.unwrap_or_default()),
            trace.len(),
            millis(end.saturating_sub(first.start_unix_nano)),
        );
    }
    let head = "<th scope=\"col\">Trace</th><th scope=\"col\">Starts with</th><th scope=\"col\">Outcome</th>\
                <th scope=\"col\">Spans</th><th scope=\"col\">Milliseconds</th>";
    document("Recent traces", &table("The latest traces first", head, &rows))
}

/// One trace as an indented timeline; `spans` are of one trace, by start, and at least one.
pub fn trace(spans: &[Span]) -> String {
    let from = spans.iter().map(|span| span.start_unix_nano).min().unwrap_or_default();
    let to = spans.iter().map(|span| span.end_unix_nano).max().unwrap_or_default();
    let whole = to.saturating_sub(from).max(1);
    let mut rows = String::new();
    for (depth, span) in by_descent(spans) {
        let offset = span.start_unix_nano.saturating_sub(from);
        let took = span.end_unix_nano.saturating_sub(span.start_unix_nano);
        let attributes: String = span
            .attributes
            .iter()
            .map(|(name, value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(&text))
            })
            .collect();
        let _ = write!(
            rows,
            "<tr{failed}><th scope=\"row\" class=\"name\" style=\"padding-left:{indent}rem\">{name}{note}</th>\
             <td>{service}</td><td>{kind}</td><td class=\"number\">{at}</td><td class=\"number\">{took_ms}</td>\
             <td><div class=\"line\" aria-hidden=\"true\">\
             <div class=\"bar\" style=\"left:{left:.2}%;width:{width:.2}%\"></div></div></td>\
             <td><dl>{attributes}</dl></td></tr>",
            failed = if span.failed { " class=\"failed\"" } else { "" },
            indent = depth.min(20),
            name = escape(&span.name),
            note = if span.failed { " (failed)" } else { "" },
            service = escape(&span.service),
            kind = span.kind,
            at = millis(offset),
            took_ms = millis(took),
            left = percent(offset, whole),
            width = percent(took, whole),
        );
    }
    let head = "<th scope=\"col\">Span</th><th scope=\"col\">Service</th><th scope=\"col\">Kind</th>\
                <th scope=\"col\">Starts at (ms)</th><th scope=\"col\">Takes (ms)</th>\
                <th scope=\"col\">Timeline</th><th scope=\"col\">Attributes</th>";
    let id = spans.first().map_or("", |span| span.trace_id.as_str());
    let body = format!(
        "<p><a href=\"/\">Recent traces</a></p>{}",
        table("Each span under the one that caused it, in order of start", head, &rows)
    );
    document(&format!("Trace {id}"), &body)
}

/// Each span under its parent, with its depth. One whose parent was not exported, or that is its own ancestor,
/// stands at the left.
pub(super) fn by_descent(spans: &[Span]) -> Vec<(usize, &Span)> {
    let known: HashSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
    let parent = |span: &Span| span.parent_span_id.clone().filter(|parent| known.contains(parent.as_str()));
    let mut children: HashMap<String, Vec<&Span>> = HashMap::new();
    for span in spans {
        children.entry(parent(span).unwrap_or_default()).or_default().push(span);
    }
    let mut listed = Vec::with_capacity(spans.len());
    let mut seen = HashSet::new();
    // At the bottom of the stack everything once more, for those that nothing leads to.
    let mut stack: Vec<(usize, &Span)> = spans.iter().rev().map(|span| (0, span)).collect();
    stack.extend(children.remove("").unwrap_or_default().into_iter().rev().map(|span| (0, span)));
    while let Some((depth, span)) = stack.pop() {
        if !seen.insert(span.span_id.as_str()) {
            continue;
        }
        listed.push((depth, span));
        let below = children.remove(&span.span_id).unwrap_or_default();
        stack.extend(below.into_iter().rev().map(|span| (depth + 1, span)));
    }
    listed
}

fn document(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title} - Ketenpoort demo</title>\
         <style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>\n"
    )
}

fn table(caption: &str, head: &str, rows: &str) -> String {
    format!("<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
}

fn millis(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1_000_000, nanos % 1_000_000 / 1_000)
}

fn percent(part: u64, whole: u64) -> f64 {
    (part as f64 / whole as f64 * 100.0).min(100.0)
}
