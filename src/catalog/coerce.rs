//! Values of the language into the JSON that a field or parameter wants.
//!
//! Exact or a problem: nothing is rounded, cut or guessed.

mod scalar;

pub(super) use scalar::{duration_nanos, matches as scalar_matches};

use std::sync::Arc;

use serde_json::{Map as JsonMap, Value as Json};

use super::{Catalog, Field, Kind, Method, Param, Problem, Schema, SchemaId, Unit};
use crate::diag::nearest;
use crate::value::{Fields, Value};
use crate::world::Millis;

/// The body of a type from a value. What is known only later becomes the text `(after step)` and is
/// not checked.
///
/// # Errors
/// Every problem of the value, each with the path of its field.
pub fn body(catalog: &Catalog, id: &SchemaId, value: &Value) -> Result<Json, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut walk = Walk {
        catalog,
        method: None,
        problems: &mut problems,
    };
    let json = walk.schema(id, "", value);
    finish(json, problems)
}

/// As [`body`], and the fields that the document requires for this very method are there too.
///
/// # Errors
/// As [`body`]; also when the method takes no body.
pub fn body_for(catalog: &Catalog, method: &Method, value: &Value) -> Result<Json, Vec<Problem>> {
    let Some(id) = &method.request else {
        let message = format!("`{}` takes no body", method.id);
        return Err(vec![Problem::field("", message)]);
    };
    let mut problems = Vec::new();
    let mut walk = Walk {
        catalog,
        method: Some(&method.id),
        problems: &mut problems,
    };
    let json = walk.schema(id, "", value);
    finish(json, problems)
}

/// One field's value, for tools that check single fields.
///
/// # Errors
/// As [`body`]; paths begin with `path`.
pub fn field(
    catalog: &Catalog,
    field: &Field,
    path: &str,
    value: &Value,
) -> Result<Json, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut walk = Walk {
        catalog,
        method: None,
        problems: &mut problems,
    };
    let json = walk.kind(&field.kind, field.unit, path, value);
    finish(json, problems)
}

/// One plain value as its field holds it, whole numbers as such; what does not fit stays as it is.
pub fn leaf(kind: &Kind, unit: Option<Unit>, value: &Value) -> Value {
    let Ok(json) = scalar::scalar(kind, unit, value) else {
        return value.clone();
    };
    match (kind, Value::from_json(&json)) {
        (Kind::Int { .. }, Value::Str(digits)) => {
            digits.parse().map_or(Value::Str(digits), Value::Int)
        }
        (_, other) => other,
    }
}

/// The text of one parameter. Booleans are `true` and `false`.
///
/// # Errors
/// The value is of another kind than the parameter, out of its range, or against its pattern.
pub fn param(param: &Param, value: &Value) -> Result<String, Problem> {
    if value.is_later() {
        return Ok(value.to_string());
    }
    let said = |message: String| Problem::param(&param.name, message);
    let unit = super::rules::units::unit("", &param.name, &param.kind);
    let json = scalar::scalar(&param.kind, unit, value)
        .map_err(|message| said(format!("`{}` {message}", param.name)))?;
    match json {
        Json::String(text) => Ok(text),
        Json::Null => Err(said(format!("`{}` cannot be null", param.name))),
        other => Ok(other.to_string()),
    }
}

fn finish(json: Json, problems: Vec<Problem>) -> Result<Json, Vec<Problem>> {
    if problems.is_empty() {
        Ok(json)
    } else {
        Err(problems)
    }
}

struct Walk<'a> {
    catalog: &'a Catalog,
    method: Option<&'a str>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn problem(&mut self, path: &str, message: impl Into<String>) -> Json {
        self.problems.push(Problem::field(path, message));
        Json::Null
    }

    fn schema(&mut self, id: &SchemaId, path: &str, value: &Value) -> Json {
        match self.catalog.schema(id) {
            Some(schema) => self.object(&schema, path, value),
            None => self.problem(path, format!("the catalogue has no type `{id}`")),
        }
    }

    fn object(&mut self, schema: &Arc<Schema>, path: &str, value: &Value) -> Json {
        if let Some(kind) = &schema.other {
            return self.kind(kind, None, path, value);
        }
        match value {
            Value::Later(_) => Json::String(value.to_string()),
            Value::Null => Json::Null,
            Value::Duration(span) if is_duration_message(schema) => duration_message(*span),
            Value::Map(fields) => self.fields(schema, path, fields),
            other => {
                let message = format!(
                    "an object is wanted here (`{}`), not {}",
                    schema.id,
                    other.noun()
                );
                self.problem(path, message)
            }
        }
    }

    fn fields(&mut self, schema: &Schema, path: &str, fields: &Fields) -> Json {
        let mut object = JsonMap::new();
        for (name, value) in fields {
            if *value == Value::Unset {
                continue;
            }
            let at = join(path, name);
            let Some(field) = schema.field(name) else {
                self.unknown(schema, &at, name);
                continue;
            };
            if field.output_only {
                let message =
                    format!("`{name}` is set by Google and cannot be written; leave it out");
                self.problem(&at, message);
                continue;
            }
            let json = self.kind(&field.kind, field.unit, &at, value);
            object.insert(name.to_string(), json);
        }
        self.required(schema, path, &object);
        Json::Object(object)
    }

    fn unknown(&mut self, schema: &Schema, at: &str, name: &str) {
        let names = schema.fields.keys().map(|n| &**n);
        let message = match nearest(name, names) {
            Some(right) => format!(
                "`{}` has no field `{name}`; did you mean `{right}`?",
                schema.id
            ),
            None => format!("`{}` has no field `{name}`", schema.id),
        };
        self.problem(at, message);
    }

    fn required(&mut self, schema: &Schema, path: &str, object: &JsonMap<String, Json>) {
        let Some(method) = self.method else {
            return;
        };
        for (name, field) in &schema.fields {
            let wanted = field.required_for.iter().any(|id| **id == *method);
            if wanted && !object.contains_key(&**name) {
                let message = format!("`{method}` needs `{name}`; write it");
                self.problem(&join(path, name), message);
            }
        }
    }

    fn kind(&mut self, kind: &Kind, unit: Option<Unit>, path: &str, value: &Value) -> Json {
        match (kind, value) {
            (_, Value::Later(_)) => Json::String(value.to_string()),
            (_, Value::Null) => Json::Null,
            (Kind::Any, value) => value.to_json(),
            (Kind::Schema(id), value) => self.schema(id, path, value),
            (Kind::Inline(schema), value) => self.object(schema, path, value),
            (Kind::List(element), Value::List(items)) => {
                let written = items.iter().filter(|v| **v != Value::Unset);
                let each = written
                    .enumerate()
                    .map(|(i, item)| self.kind(element, unit, &format!("{path}[{i}]"), item));
                Json::Array(each.collect())
            }
            (Kind::List(_), other) => {
                let message = format!("a list is wanted here, not {}", other.noun());
                self.problem(path, message)
            }
            (Kind::Map(element), Value::Map(fields)) => {
                let written = fields.iter().filter(|(_, v)| **v != Value::Unset);
                let each = written.map(|(key, item)| {
                    let json = self.kind(element, None, &join(path, key), item);
                    (key.to_string(), json)
                });
                Json::Object(each.collect())
            }
            (Kind::Map(_), other) => {
                let message = format!("an object is wanted here, not {}", other.noun());
                self.problem(path, message)
            }
            (scalar, value) => match scalar::scalar(scalar, unit, value) {
                Ok(json) => json,
                Err(message) => {
                    let name = path.rsplit('.').next().unwrap_or(path);
                    self.problem(path, format!("`{name}` {message}"))
                }
            },
        }
    }
}

/// `{ seconds, nanos }`, the form that a few fields of Compute Engine take a duration in.
fn is_duration_message(schema: &Schema) -> bool {
    &*schema.id.name == "Duration" && schema.field("seconds").is_some()
}

fn duration_message(span: Millis) -> Json {
    let mut object = JsonMap::new();
    object.insert("seconds".into(), Json::from((span.0 / 1000).to_string()));
    if span.0 % 1000 != 0 {
        object.insert("nanos".into(), Json::from(span.0 % 1000 * 1_000_000));
    }
    Json::Object(object)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests;
