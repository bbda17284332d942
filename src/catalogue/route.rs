//! Routes: the table in a message file that says which one of its recipients a message goes to. Checked here, so
//! that every row can be followed; which rows hold for a message is for the policy stage.

use super::definition::{MessageSpec, RouteSpec, RowSpec};
use super::load::Pointers;
use super::{Catalogue, Destination, Finding, Route, Row, sources};
use crate::code::Code;
use crate::outcome::Problem;
use crate::party::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Pointers<'_, '_> {
    pub(super) fn route(&mut self, route: &RouteSpec, message: &MessageSpec) -> Route {
        let mut names = BTreeSet::new();
        for row in route.rows.iter().filter(|row| !names.insert(&row.row)) {
            self.wrong(format!("route: row `{}` stands there twice", row.row));
        }
        // A role is enough to name one of them, and the message has no say in who it is.
        if message.recipients.iter().any(|recipient| recipient.party.as_deref().is_none_or(|id| id == "sender")) {
            self.wrong("route: each recipient is a `party` of the directory");
        }
        let rows = route.rows.iter().filter_map(|row| self.row(row, message)).collect();
        Route { needs: self.named(&route.needs, message), rows }
    }

    fn row(&mut self, row: &RowSpec, message: &MessageSpec) -> Option<Row> {
        let to = match (&row.to, row.assessment) {
            (Some(role), None) => Destination::Recipient(Role::new(role.as_str())),
            (None, Some(assessment)) => Destination::Decision(assessment),
            _ => {
                self.wrong(format!("route: row `{}` has exactly one of `to` and `assessment`", row.row));
                return None;
            }
        };
        if let Destination::Recipient(role) = &to
            && !message.recipients.iter().any(|recipient| recipient.role == role.as_str())
        {
            self.wrong_at(&format!("to: {role}"), format!("route: no recipient has the role `{role}`"));
        }
        let when = self.named(&row.when, message);
        Some(Row { name: row.row.clone(), title: row.title.clone(), when, to })
    }

    fn named(&mut self, names: &[String], message: &MessageSpec) -> Vec<Arc<str>> {
        for name in names {
            if !message.conditions.iter().any(|condition| condition.name == *name) {
                self.wrong_at(name, format!("route: there is no condition `{name}`"));
            }
        }
        names.iter().map(|name| Arc::from(name.as_str())).collect()
    }
}

/// The order of a route's rows that a configuration sets, and where it does.
#[derive(Clone, Debug)]
pub struct Order {
    /// The message type, without prefix and version.
    pub kind: String,
    pub rows: Vec<String>,
    pub file: String,
    pub line: Option<u64>,
}

impl Catalogue {
    /// Lets the rows of routes be asked in other orders than those of their files. The version tells that they are.
    pub fn reorder(&mut self, orders: &[Order]) -> Result<(), Vec<Finding>> {
        let mut findings = Vec::new();
        let mut changed = BTreeMap::from([(String::new(), self.version.clone())]);
        for order in orders {
            match self.reorder_one(order) {
                Ok(true) => drop(changed.insert(order.kind.clone(), order.rows.join(" "))),
                Ok(false) => {}
                Err(hint) => {
                    let problem = Problem::new(Code::ConfigInvalid, format!("routing.{}", order.kind), hint);
                    findings.push(Finding::new(order.file.as_str(), order.line, problem));
                }
            }
        }
        if changed.len() > 1 {
            self.version = sources::version(&changed);
        }
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// Whether it is another order than that of the file.
    fn reorder_one(&mut self, order: &Order) -> Result<bool, String> {
        let kind = self.types.values_mut().find(|kind| kind.name == order.kind && kind.route.is_some());
        // Nobody else has it yet: the catalogue is still being loaded.
        let Some(route) = kind.and_then(Arc::get_mut).and_then(|kind| kind.route.as_mut()) else {
            return Err("there is no message type of this name with a route".to_owned());
        };
        let place = |row: &Row| order.rows.iter().position(|name| *name == row.name);
        let missing: Vec<&str> = route.rows.iter().filter(|r| place(r).is_none()).map(|r| r.name.as_str()).collect();
        if !missing.is_empty() {
            return Err(format!("name every row of the route, also {}", missing.join(", ")));
        }
        if let Some(unknown) = order.rows.iter().find(|name| !route.rows.iter().any(|row| row.name == **name)) {
            return Err(format!("the route has no row `{unknown}`"));
        }
        if order.rows.len() != route.rows.len() {
            return Err("a row stands there twice".to_owned());
        }
        let changed = !route.rows.is_sorted_by_key(place);
        route.rows.sort_by_key(place);
        Ok(changed)
    }
}
