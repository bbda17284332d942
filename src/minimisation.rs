//! Minimisation: a new document that holds the granted categories and nothing else.
//! Only the policy stage can make the grant, and only this stage can make what translation accepts.

use crate::policy::Grant;
use crate::validation::schema::Shape;
use serde_json::{Map, Value};

/// Content in our own form from which everything that was not granted is gone.
pub struct Minimised(Value);

impl std::fmt::Debug for Minimised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Minimised([persoonsgegeven])")
    }
}

impl Minimised {
    pub(crate) fn document(&self) -> &Value {
        &self.0
    }
}

/// Keeps what the shape knows and the grant names. What the schema does not know does not survive.
pub fn minimise(content: &Value, shape: &Shape, grant: &Grant) -> Minimised {
    Minimised(keep(content, shape, grant).unwrap_or_else(|| Value::Object(Map::new())))
}

fn keep(value: &Value, shape: &Shape, grant: &Grant) -> Option<Value> {
    match (shape, value) {
        // Nothing can hide in what the schema knows as a single value.
        (Shape::Leaf(_), Value::Object(_) | Value::Array(_) | Value::Null) => None,
        (Shape::Leaf(leaf), _) => {
            let granted = match leaf.category {
                Some(category) => grant.permits(category) && (!leaf.bsn || grant.permits_bsn()),
                None => leaf.control,
            };
            granted.then(|| value.clone())
        }
        (Shape::Object(fields), Value::Object(map)) => {
            let kept: Map<String, Value> = map
                .iter()
                .filter_map(|(name, value)| {
                    let shape = fields.get(name)?;
                    keep(value, shape, grant).map(|value| (name.clone(), value))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        (Shape::Array(items), Value::Array(values)) => {
            let kept: Vec<Value> = values.iter().filter_map(|value| keep(value, items, grant)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

/// The categories that a document holds values of.
pub fn present(content: &Value, shape: &Shape) -> crate::category::CategorySet {
    let mut found = crate::category::CategorySet::EMPTY;
    collect(content, shape, &mut found);
    found
}

fn collect(value: &Value, shape: &Shape, found: &mut crate::category::CategorySet) {
    match (shape, value) {
        (Shape::Leaf(leaf), _) => leaf.category.into_iter().for_each(|c| found.insert(c)),
        (Shape::Object(fields), Value::Object(map)) => {
            for (name, value) in map {
                if let Some(shape) = fields.get(name) {
                    collect(value, shape, found);
                }
            }
        }
        (Shape::Array(items), Value::Array(values)) => values.iter().for_each(|v| collect(v, items, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
