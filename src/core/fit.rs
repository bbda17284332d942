//! Whether the files fit each other: message types, their mappings and the partner directory. What one file can be
//! told to have wrong by itself is found where that file is read.

use crate::catalogue::{Catalogue, Finding, MessageType, TYPE_PREFIX, Who};
use crate::code::Code;
use crate::directory::{Directory, Party};
use crate::outcome::Problem;
use crate::party::{PartyId, Role};

pub fn problems(catalogue: &Catalogue, directory: &Directory) -> Vec<Finding> {
    let of_types = catalogue.types().flat_map(|kind| of_type(kind, directory));
    of_types.chain(directory.parties().flat_map(|party| of_party(party, catalogue))).collect()
}

fn of_type(kind: &MessageType, directory: &Directory) -> Vec<Finding> {
    let file = format!("mappings/{}/message.yaml", kind.kind.strip_prefix(TYPE_PREFIX).unwrap_or(&kind.kind));
    let wrong =
        |place: &str, hint: String| Finding::new(file.as_str(), None, Problem::new(Code::MappingInvalid, place, hint));
    let undescribed = |place: &'static str, role: &Role| {
        let hint = || format!("unknown role `{role}`: no [[role]] in the partner directory describes it");
        (!directory.knows_role(role)).then(|| wrong(place, hint()))
    };
    let mut findings: Vec<Finding> = kind.from.iter().filter_map(|role| undescribed("from", role)).collect();
    for recipient in &kind.recipients {
        findings.extend(undescribed("recipients", &recipient.role));
        if let Who::Party(id) = &recipient.who
            && !directory.by_id(&PartyId::new(id.as_str())).is_some_and(|party| party.roles.contains(&recipient.role))
        {
            let hint = format!("the partner directory has no party `{id}` in the role `{}`", recipient.role);
            findings.push(wrong("recipients", hint));
        }
    }
    let addressed = |role: &Role| kind.recipients.iter().any(|recipient| recipient.role == *role);
    let unused = kind.out.iter().filter_map(|out| out.role.as_ref().filter(|role| !addressed(role)));
    findings.extend(
        unused.map(|role| wrong("recipients", format!("there is a mapping for `{role}`, which is no recipient"))),
    );
    findings
}

fn of_party(party: &Party, catalogue: &Catalogue) -> Vec<Finding> {
    let wrong =
        |hint: String| Finding::new("partners", None, Problem::new(Code::DirectoryInvalid, party.id.as_str(), hint));
    let unknown = party.formats().filter(|(kind, _)| catalogue.get(kind).is_none());
    let mut findings: Vec<Finding> =
        unknown.map(|(kind, _)| wrong(format!("formats: unknown type `{kind}`"))).collect();
    for kind in catalogue.types() {
        let format = party.format_for(&kind.kind);
        let lacks = |role: &&Role| party.roles.contains(role) && kind.mapping(role, format).is_none();
        let roles = kind.recipients.iter().map(|recipient| &recipient.role);
        let without = roles
            .filter(lacks)
            .map(|role| wrong(format!("formats: `{}` has no mapping `{format}` for the role `{role}`", kind.kind)));
        findings.extend(without);
    }
    findings
}
