//! Translation: minimised content into the form that one recipient takes. It is only ever given what
//! minimisation left, so a mapping cannot leak what it was never given.

pub mod rules;
mod steps;

use crate::category::CategorySet;
use crate::code::Code;
use crate::ledger::Outgoing;
use crate::minimisation::Minimised;
use crate::outcome::Problem;
use crate::personal::Personal;
use crate::validation::{schema::Schema, xml};
use jiff::civil::Date;
use rules::Rules;

/// How our own form of a message becomes a partner's.
#[derive(Debug)]
pub struct Mapping {
    rules: Rules,
    /// Root element and namespace; JSON where absent.
    xml: Option<(String, String)>,
    /// What the result must look like.
    schema: Option<Schema>,
}

/// What goes out, and which categories are in it.
#[derive(Debug)]
pub struct Translated {
    pub outgoing: Outgoing,
    pub shared: CategorySet,
}

impl Mapping {
    pub fn new(rules: Rules, xml: Option<(String, String)>, schema: Option<Schema>) -> Self {
        Mapping { rules, xml, schema }
    }

    pub fn reads(&self) -> CategorySet {
        self.rules.categories()
    }

    pub fn format(&self) -> &'static str {
        if self.xml.is_some() { "xml" } else { "json" }
    }

    pub fn translate(&self, content: &Minimised, kind: &str, today: Date) -> Result<Translated, Vec<Problem>> {
        let mut shared = CategorySet::EMPTY;
        let document = self.rules.apply(content.document(), today, &mut shared)?;
        if let Some(schema) = &self.schema {
            let problems = schema.problems(&document);
            if !problems.is_empty() {
                return Err(problems);
            }
        }
        let (content_type, body) = match &self.xml {
            Some((root, namespace)) => {
                let unwritable = || vec![Problem::new(Code::WrongType, "", "holds a character that XML does not have")];
                ("application/xml", xml::write(&document, root, namespace).ok_or_else(unwritable)?)
            }
            None => ("application/json", serde_json::to_vec(&document).unwrap_or_default()),
        };
        let outgoing = Outgoing {
            kind: kind.to_owned(),
            content_type: content_type.to_owned(),
            digest: crate::envelope::digest_label(&body),
            body: Personal::new(body),
        };
        Ok(Translated { outgoing, shared })
    }
}
