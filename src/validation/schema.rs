//! A schema file, compiled: the validator, the shape for XML, and the category of each field.

use super::formats;
use crate::category::Category;
use crate::code::Code;
use crate::outcome::Problem;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug)]
pub struct Schema {
    validator: jsonschema::Validator,
    pub shape: Shape,
    /// Objects that accept fields which they do not name.
    open: Vec<String>,
}

/// What stands where in a document that fits the schema.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Object(BTreeMap<String, Shape>),
    Array(Box<Shape>),
    Leaf(Leaf),
}

#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Leaf {
    /// Absent in partner schemas and for the bookkeeping of a message (`x-stuurgegeven`).
    pub category: Option<Category>,
    pub control: bool,
    pub bsn: bool,
}

impl Shape {
    pub fn child(&self, name: &str) -> Option<&Shape> {
        match self {
            Shape::Object(fields) => fields.get(name),
            Shape::Array(items) => items.child(name),
            Shape::Leaf(_) => None,
        }
    }
    pub fn is_array(&self) -> bool {
        matches!(self, Shape::Array(_))
    }
    pub fn is_object(&self) -> bool {
        match self {
            Shape::Object(_) => true,
            Shape::Array(items) => items.is_object(),
            Shape::Leaf(_) => false,
        }
    }
    pub fn leaves<'a>(&'a self, at: &str, visit: &mut dyn FnMut(&str, &'a Leaf)) {
        match self {
            Shape::Object(fields) => {
                fields.iter().for_each(|(name, shape)| shape.leaves(&format!("{at}/{name}"), visit));
            }
            Shape::Array(items) => items.leaves(at, visit),
            Shape::Leaf(leaf) => visit(at, leaf),
        }
    }
}

impl Schema {
    pub fn compile(text: &str) -> Result<Schema, Problem> {
        let document: Value = serde_json::from_str(text).map_err(|e| {
            Problem::new(Code::SchemaInvalid, format!("line {}", e.line()), "the file must be one JSON document")
        })?;
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .with_format("bsn", formats::is_bsn)
            .with_format("bsn-met-of-zonder-nul", formats::is_bsn_with_or_without_zero)
            .with_format("gemeentecode", formats::is_gemeentecode)
            .with_format("geboortedatum", formats::is_geboortedatum)
            .with_format("stuf-datum", formats::is_stuf_datum)
            .with_format("date", formats::is_date)
            .with_format("date-time", formats::is_date_time)
            .with_format("oin", formats::is_oin)
            .build(&document)
            .map_err(|e| Problem::new(Code::SchemaInvalid, e.schema_path().to_string(), e.to_string()))?;
        let shape = shape_of(&document, &document, 0)?;
        let mut open = Vec::new();
        open_objects(&document, "", &mut open);
        Ok(Schema { validator, shape, open })
    }

    /// A schema says the most that a message may hold: an object that accepts more does not say it.
    pub fn open_problems(&self) -> Vec<Problem> {
        let hint = "say `\"additionalProperties\": false`: a message holds nothing that its schema does not name";
        self.open.iter().map(|place| Problem::new(Code::SchemaInvalid, place.as_str(), hint)).collect()
    }

    /// Every field of a canonical schema carries exactly one category, or is bookkeeping of the message.
    pub fn category_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.shape.leaves("", &mut |place, leaf| {
            if leaf.category.is_some() == leaf.control {
                let hint = "give the field exactly one of `x-categorie` and `x-stuurgegeven`";
                problems.push(Problem::new(Code::SchemaInvalid, place, hint));
            }
        });
        problems
    }

    pub fn is_valid(&self, document: &Value) -> bool {
        self.validator.is_valid(document)
    }

    /// Everything that is wrong with the document, in order of place; no value is quoted.
    pub fn problems(&self, document: &Value) -> Vec<Problem> {
        if self.is_valid(document) {
            return Vec::new();
        }
        let mut problems: Vec<Problem> = self.validator.iter_errors(document).flat_map(|e| explain(&e)).collect();
        problems.sort_by(|a, b| (&a.place, a.code.as_str()).cmp(&(&b.place, b.code.as_str())));
        problems.dedup();
        problems
    }
}

fn shape_of(schema: &Value, root: &Value, depth: usize) -> Result<Shape, Problem> {
    let invalid = |hint: &str| Problem::new(Code::SchemaInvalid, "schema", hint);
    if depth > 32 {
        return Err(invalid("schemas may not be recursive"));
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let target = target.ok_or_else(|| invalid("`$ref` must point into the same file"))?;
        let mut shape = shape_of(target, root, depth + 1)?;
        // A category beside the reference wins over none at the target.
        if let (Shape::Leaf(leaf), true) = (&mut shape, schema.get("x-categorie").is_some()) {
            leaf.category = category_of(schema)?;
        }
        if let Shape::Leaf(leaf) = &mut shape {
            leaf.control |= schema.get("x-stuurgegeven") == Some(&Value::Bool(true));
            leaf.bsn |= is_bsn(schema);
        }
        return Ok(shape);
    }
    if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
        let fields = fields
            .iter()
            .map(|(name, field)| Ok((name.clone(), shape_of(field, root, depth + 1)?)))
            .collect::<Result<_, Problem>>()?;
        return Ok(Shape::Object(fields));
    }
    if let Some(items) = schema.get("items") {
        let mut items = shape_of(items, root, depth + 1)?;
        if let Shape::Leaf(leaf) = &mut items {
            leaf.category = leaf.category.or(category_of(schema)?);
            leaf.control |= schema.get("x-stuurgegeven") == Some(&Value::Bool(true));
        }
        return Ok(Shape::Array(Box::new(items)));
    }
    Ok(Shape::Leaf(Leaf {
        category: category_of(schema)?,
        control: schema.get("x-stuurgegeven") == Some(&Value::Bool(true)),
        bsn: is_bsn(schema),
    }))
}

fn is_bsn(schema: &Value) -> bool {
    schema.get("format").and_then(Value::as_str) == Some("bsn")
}

/// Looks into every corner of the schema, definitions included.
fn open_objects(schema: &Value, place: &str, open: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            let closed =
                ["additionalProperties", "unevaluatedProperties"].map(|key| map.get(key) == Some(&Value::Bool(false)));
            if map.get("properties").is_some_and(Value::is_object) && !closed.contains(&true) {
                open.push(if place.is_empty() { "/".to_owned() } else { place.to_owned() });
            }
            map.iter().for_each(|(key, inner)| open_objects(inner, &format!("{place}/{key}"), open));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, inner)| open_objects(inner, &format!("{place}/{at}"), open));
        }
        _ => {}
    }
}

fn category_of(schema: &Value) -> Result<Option<Category>, Problem> {
    let Some(name) = schema.get("x-categorie") else {
        return Ok(None);
    };
    let category = name.as_str().and_then(Category::parse);
    category
        .map(Some)
        .ok_or_else(|| Problem::new(Code::SchemaInvalid, "x-categorie", format!("{name} is not one of the categories")))
}

fn explain(error: &jsonschema::ValidationError<'_>) -> Vec<Problem> {
    let place = error.instance_path().to_string();
    let at = |code: Code, hint: String| vec![Problem::new(code, place.clone(), hint)];
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![Problem::new(Code::MissingField, format!("{place}/{name}"), Code::MissingField.hint())]
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected
            .iter()
            .map(|name| {
                let place = format!("{place}/{}", safe_name(name));
                Problem::new(Code::ExtraField, place, Code::ExtraField.hint())
            })
            .collect(),
        ValidationErrorKind::Format { format } => match format.as_str() {
            "bsn" | "bsn-met-of-zonder-nul" => at(Code::InvalidBsn, Code::InvalidBsn.hint().to_owned()),
            "gemeentecode" => at(Code::UnknownGemeentecode, "four digits".to_owned()),
            "date" | "date-time" | "geboortedatum" | "stuf-datum" => {
                at(Code::InvalidDate, format!("must be a {format} that exists"))
            }
            other => at(Code::WrongType, format!("must have the form `{other}`")),
        },
        ValidationErrorKind::Enum { options } => at(Code::WrongType, format!("must be one of {options}")),
        ValidationErrorKind::Constant { expected_value } => at(Code::WrongType, format!("must be {expected_value}")),
        ValidationErrorKind::Pattern { pattern } => at(Code::WrongType, format!("must match `{pattern}`")),
        ValidationErrorKind::MaxLength { limit } => at(Code::WrongType, format!("at most {limit} characters")),
        ValidationErrorKind::MinLength { limit } => at(Code::WrongType, format!("at least {limit} characters")),
        ValidationErrorKind::MaxItems { limit } => at(Code::WrongType, format!("at most {limit} items")),
        ValidationErrorKind::MinItems { limit } => at(Code::WrongType, format!("at least {limit} items")),
        _ => at(Code::WrongType, format!("breaks the schema rule `{}`", error.kind().keyword())),
    }
}

/// A name from the input is shown only if it looks like a name of a field.
pub(crate) fn safe_name(name: &str) -> &str {
    let is_name = name.len() <= 40
        && name.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'@' | b'#' | b'-' | b':'));
    if is_name { name } else { "(a field with an unusual name)" }
}

#[cfg(test)]
mod tests;
