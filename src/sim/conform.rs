//! Whether a body fits the method's type: unknown names are refused, and so are values of the wrong
//! kind, as Google's front end does before a service sees them.

use std::sync::Arc;

use serde_json::Value as Json;

use super::model::rules::Rule;
use super::refusal::Refusal;
use super::world::Object;
use crate::catalog::{Catalog, Kind, Schema, SchemaId};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["*"],
    says: "unknown fields and values of the wrong kind are refused with 400",
    source: "recorded refusals of the front end",
    test: "errors_are_worded_as_googles",
}];

/// Nesting deeper than this is refused; no type of Google's needs it.
const DEEPEST: usize = 64;

/// # Errors
/// The first name or value that does not fit.
pub fn check(catalog: &Catalog, id: &SchemaId, body: &mut Object) -> Result<(), Refusal> {
    let Some(schema) = catalog.schema(id) else {
        return Ok(());
    };
    fields(catalog, &schema, body, "", 0)
}

fn fields(
    catalog: &Catalog,
    schema: &Arc<Schema>,
    body: &mut Object,
    at: &str,
    depth: usize,
) -> Result<(), Refusal> {
    if schema.other.is_some() || schema.fields.is_empty() {
        return Ok(());
    }
    for (name, value) in body.iter_mut() {
        if name == "@type" {
            continue;
        }
        let Some(field) = schema.field(name) else {
            let place = if at.is_empty() { "resource" } else { at };
            return Err(Refusal::unknown_name(name, place));
        };
        let place = match at {
            "" => format!("resource.{name}"),
            _ => format!("{at}.{name}"),
        };
        value_of(catalog, &field.kind, value, &place, depth + 1)?;
    }
    Ok(())
}

fn value_of(
    catalog: &Catalog,
    kind: &Kind,
    value: &mut Json,
    at: &str,
    depth: usize,
) -> Result<(), Refusal> {
    if depth > DEEPEST {
        return Err(Refusal::new(
            400,
            "parseError",
            "Message too deep. Max recursion depth reached.",
        ));
    }
    let refuse = |what: &str, value: &Json| {
        Err(Refusal::new(
            400,
            "invalid",
            format!("Invalid value at '{at}' ({what}), {value}"),
        ))
    };
    match (kind, &mut *value) {
        (_, Json::Null) | (Kind::Any, _) => Ok(()),
        (Kind::Bool, Json::Bool(_)) => Ok(()),
        (Kind::Bool, Json::String(s)) if matches!(s.as_str(), "true" | "false") => {
            *value = Json::Bool(s == "true");
            Ok(())
        }
        (Kind::Bool, other) => refuse("TYPE_BOOL", other),
        (Kind::String { values, .. }, Json::String(text)) => {
            if values.is_empty() || values.iter().any(|v| *v.name == **text) {
                return Ok(());
            }
            Err(Refusal::invalid(
                at,
                text,
                "Must be a value of its enumeration.",
            ))
        }
        (Kind::String { .. }, other) => refuse("TYPE_STRING", other),
        (
            Kind::Int {
                as_string,
                min,
                max,
            },
            other,
        ) => {
            let number = match other {
                Json::Number(n) => n
                    .as_i64()
                    .map(i128::from)
                    .or_else(|| n.as_u64().map(i128::from))
                    .or_else(|| n.as_f64().filter(|f| f.fract() == 0.0).map(|f| f as i128)),
                Json::String(s) => s.parse::<i128>().ok(),
                _ => None,
            };
            match number {
                Some(n) if n >= *min && n <= *max => {
                    *other = int_json(n, *as_string);
                    Ok(())
                }
                _ => refuse(
                    if *as_string {
                        "TYPE_INT64"
                    } else {
                        "TYPE_INT32"
                    },
                    other,
                ),
            }
        }
        (Kind::Number { .. }, Json::Number(_)) => Ok(()),
        (Kind::Number { .. }, other) => refuse("TYPE_DOUBLE", other),
        (Kind::List(inner), Json::Array(items)) => {
            for (i, item) in items.iter_mut().enumerate() {
                value_of(catalog, inner, item, &format!("{at}[{i}]"), depth + 1)?;
            }
            Ok(())
        }
        (Kind::List(_), other) => refuse("repeated field", other),
        (Kind::Map(inner), Json::Object(entries)) => {
            for (name, item) in entries.iter_mut() {
                value_of(catalog, inner, item, &format!("{at}[{name}]"), depth + 1)?;
            }
            Ok(())
        }
        (Kind::Schema(id), Json::Object(body)) => match catalog.schema(id) {
            Some(schema) => fields(catalog, &schema, body, at, depth),
            None => Ok(()),
        },
        (Kind::Inline(schema), Json::Object(body)) => fields(catalog, schema, body, at, depth),
        (Kind::Schema(id), other) if catalog.schema(id).is_none_or(|s| s.other.is_some()) => {
            let _ = other;
            Ok(())
        }
        (_, other) => refuse("message", other),
    }
}

fn int_json(n: i128, as_string: bool) -> Json {
    if as_string {
        return Json::String(n.to_string());
    }
    i64::try_from(n).map_or_else(|_| Json::String(n.to_string()), Json::from)
}
