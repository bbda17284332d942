//! Message types that are lists: how they are split, and whether they fit the types that their items become.

use super::definition::{Format, SplitSpec};
use super::load::Loader;
use super::{Finding, Input, MessageType, OutMapping, Split, TYPE_PREFIX};
use crate::code::Code;
use crate::outcome::Problem;
use crate::translation::rules::{descend, tokens};
use crate::validation::schema::{Schema, Shape};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn load(
    loader: &mut Loader<'_>,
    file: &str,
    spec: &SplitSpec,
    input: &Input,
    canonical: &Schema,
) -> Option<Split> {
    let carry = loader.rules(file, &spec.carry, &canonical.shape, None);
    let form = input.partner.as_ref().map(|(schema, _)| &schema.shape);
    let found = tokens(&spec.at).and_then(|at| match form.and_then(|shape| descend(shape, &at)) {
        Some(Shape::Array(_)) => Ok(at),
        _ => Err(format!("the sender's form has no list `{}`", spec.at)),
    });
    let at = found.map_err(|hint| loader.wrong(file, None, Code::MappingInvalid, "split/at", hint)).ok()?;
    Some(Split { at, into: spec.into.clone(), at_most: spec.at_most.get(), carry })
}

/// Of a list: its items go to recipients, it does not itself.
pub fn goes_elsewhere(list: &MessageType, out: &[OutMapping]) -> Option<&'static str> {
    let addressed = !list.recipients.is_empty() || list.record.is_some() || list.order.is_some();
    match addressed || !out.is_empty() || list.answer.is_some() {
        true => Some("a list goes to nobody itself: no `recipients`, `record`, out.*, `answer` or `order`"),
        false => list.internal.then_some("what a list is split into is not split again"),
    }
}

pub fn problems(types: &BTreeMap<String, Arc<MessageType>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut wrong = |kind: &MessageType, place: &str, hint: String| {
        let file = format!("mappings/{}/message.yaml", kind.kind.strip_prefix(TYPE_PREFIX).unwrap_or(&kind.kind));
        findings.push(Finding::new(file, None, Problem::new(Code::MappingInvalid, place, hint)));
    };
    for list in types.values() {
        let Some(split) = &list.split else { continue };
        match types.get(&split.into).filter(|item| item.internal) {
            Some(item) => misfits(list, split, item).into_iter().for_each(|(place, hint)| wrong(list, place, hint)),
            None => wrong(list, "split/into", format!("there is no type `{}` with `internal: true`", split.into)),
        }
    }
    let is_made =
        |kind: &MessageType| types.values().any(|list| list.split.as_ref().is_some_and(|s| s.into == kind.kind));
    for kind in types.values().filter(|kind| kind.internal && !is_made(kind)) {
        wrong(kind, "internal", "no list is split into this type, and nobody can send it".to_owned());
    }
    findings
}

fn misfits(list: &MessageType, split: &Split, item: &MessageType) -> Vec<(&'static str, String)> {
    let form = item.input.partner.as_ref().map_or(&item.canonical.shape, |(schema, _)| &schema.shape);
    let mut all = Vec::new();
    if item.input.format != Format::Json {
        all.push(("split/into", "an item is made as JSON".to_owned()));
    }
    if item.order.is_some() {
        all.push(("split/into", "an item has no sequence: its type has no `order`".to_owned()));
    }
    if let Some(role) = list.from.iter().find(|role| !item.from.contains(role)) {
        all.push(("split/into", format!("`{role}` sends the list, but not its items")));
    }
    let name = split.at.last().map(std::slice::from_ref).unwrap_or_default();
    let carried = split.carry.targets();
    if carried.clone().any(|to| to.first() == name.first()) {
        all.push(("split/carry", "the place of the item itself is taken".to_owned()));
    }
    let lacking = carried.chain([name]).filter(|to| descend(form, to).is_none());
    all.extend(lacking.map(|to| ("split/into", format!("its form has no place `/{}`", to.join("/")))));
    all
}
