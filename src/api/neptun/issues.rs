//! Zod's issues: how the dialect tells what is wrong with input. Clients compare codes and messages.
//!
//! The shapes are those of zod 3.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::error::{FieldError, Kind, Rule};

/// One thing that is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = neptun::Issue)]
pub struct Issue {
    /// What kind of thing.
    #[schema(example = "invalid_type")]
    code: &'static str,
    /// What belongs to the code: `expected` and `received`, `minimum`, `options` and the like.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    details: Map<String, Value>,
    /// Where: names, and numbers for places in lists.
    #[schema(value_type = Vec<Value>, example = json!(["message"]))]
    path: Vec<Value>,
    /// A sentence.
    #[schema(example = "Required")]
    message: String,
}

impl From<&FieldError> for Issue {
    fn from(error: &FieldError) -> Self {
        let (code, details, message) = shape(&error.field, &error.rule);
        let details = if let Value::Object(details) = details { details } else { Map::new() };
        Self { code, details, path: path(&error.field), message }
    }
}

fn path(field: &str) -> Vec<Value> {
    let step = |step: &str| step.parse::<u32>().map_or_else(|_| Value::from(step), Value::from);
    if field.is_empty() { Vec::new() } else { field.split('.').map(step).collect() }
}

fn shape(field: &str, rule: &Rule) -> (&'static str, Value, String) {
    match rule {
        Rule::Type { want, got } => wrong_type(word(*want), *got),
        Rule::Choice { got: Kind::String, word, choices } => {
            let message = format!("Invalid enum value. Expected {}, received '{word}'", quoted(choices));
            ("invalid_enum_value", json!({"received": word, "options": **choices}), message)
        }
        Rule::Choice { got, choices, .. } => wrong_type(&quoted(choices), *got),
        Rule::OneOf { got, choices } => {
            let choices: Vec<_> = choices.iter().map(|choice| (*choice).to_owned()).collect();
            let message = format!("Invalid enum value. Expected {}, received '{got}'", quoted(&choices));
            ("invalid_enum_value", json!({"received": got, "options": choices}), message)
        }
        Rule::Required | Rule::NotNull => ("invalid_type", json!({}), "Required".to_owned()),
        Rule::NotBlank => too_small("string", 1, true),
        Rule::CharsMin(min) => too_small("string", *min, true),
        Rule::CountMin(min) => too_small("array", *min, true),
        Rule::Positive => too_small("number", 0, false),
        Rule::CharsMax(max) => too_big("string", *max),
        Rule::CountMax(max) => too_big("array", *max),
        Rule::Email => ("invalid_string", json!({"validation": "email"}), "Invalid email".to_owned()),
        Rule::Uuid => ("invalid_string", json!({"validation": "uuid"}), "Invalid uuid".to_owned()),
        Rule::String => wrong_type("string", Kind::Undefined),
        Rule::Integer => wrong_type("integer", Kind::Undefined),
        Rule::Boolean => wrong_type("boolean", Kind::Undefined),
        Rule::Object => wrong_type("object", Kind::Undefined),
        Rule::Array => wrong_type("array", Kind::Undefined),
        other => ("custom", json!({}), custom(field, other)),
    }
}

fn wrong_type(expected: &str, got: Kind) -> (&'static str, Value, String) {
    let received = word(got);
    let message = match got {
        Kind::Undefined => "Required".to_owned(),
        _ => format!("Expected {expected}, received {received}"),
    };
    ("invalid_type", json!({"expected": expected, "received": received}), message)
}

fn too_small(kind: &'static str, minimum: usize, inclusive: bool) -> (&'static str, Value, String) {
    let message = match kind {
        "string" => format!("String must contain at least {minimum} character(s)"),
        "array" => format!("Array must contain at least {minimum} element(s)"),
        _ => format!("Number must be greater than {minimum}"),
    };
    ("too_small", json!({"minimum": minimum, "type": kind, "inclusive": inclusive, "exact": false}), message)
}

fn too_big(kind: &'static str, maximum: usize) -> (&'static str, Value, String) {
    let message = match kind {
        "string" => format!("String must contain at most {maximum} character(s)"),
        _ => format!("Array must contain at most {maximum} element(s)"),
    };
    ("too_big", json!({"maximum": maximum, "type": kind, "inclusive": true, "exact": false}), message)
}

/// The sentences of checks that are none of zod's own.
fn custom(field: &str, rule: &Rule) -> String {
    match rule {
        Rule::Mixed => {
            "Password must contain at least one lower-case letter, one upper-case letter, one digit and one special \
             character"
        }
        Rule::Confirmed => "Passwords do not match",
        Rule::NoNul => "May not contain NUL characters",
        Rule::Unique => "Already taken",
        Rule::Valid if field == "order_by" => "order_by must be a comma-separated list of 'column:direction' pairs",
        _ => "Invalid input",
    }
    .to_owned()
}

fn quoted(choices: &[String]) -> String {
    choices.iter().map(|choice| format!("'{choice}'")).collect::<Vec<_>>().join(" | ")
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Undefined => "undefined",
        Kind::Null => "null",
        Kind::Boolean => "boolean",
        Kind::Number => "number",
        Kind::Integer => "integer",
        Kind::Float => "float",
        Kind::Nan => "nan",
        Kind::String => "string",
        Kind::Array => "array",
        Kind::Object => "object",
    }
}
