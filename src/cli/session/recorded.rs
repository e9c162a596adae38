//! Inputs in the journal: values with their types, which JSON does not have.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::value::Value;
use crate::world::Millis;

/// A value with its type: durations, percentages and sizes are no JSON.
pub(super) fn tagged(value: &Value) -> Json {
    let one = |kind: &str, json: Json| serde_json::json!({ "$r5flow": kind, "value": json });
    match value {
        Value::Duration(span) => one("duration", span.0.into()),
        Value::Percent(p) => one("percent", (*p).into()),
        Value::Size(bytes) => one("size", (*bytes).into()),
        Value::List(items) => Json::Array(items.iter().map(tagged).collect()),
        Value::Map(fields) => Json::Object(
            fields
                .iter()
                .map(|(k, v)| (k.to_string(), tagged(v)))
                .collect(),
        ),
        plain => plain.to_json(),
    }
}

pub(super) fn untagged(json: &Json) -> Value {
    let kind = json.get("$r5flow").and_then(Json::as_str);
    let inner = json.get("value");
    match (kind, inner) {
        (Some("duration"), Some(ms)) => Value::Duration(Millis(ms.as_i64().unwrap_or(0))),
        (Some("percent"), Some(p)) => Value::Percent(p.as_f64().unwrap_or(0.0)),
        (Some("size"), Some(bytes)) => Value::Size(bytes.as_u64().unwrap_or(0)),
        _ => match json {
            Json::Array(items) => Value::list(items.iter().map(untagged).collect()),
            Json::Object(fields) => Value::map(
                fields
                    .iter()
                    .map(|(k, v)| (Arc::from(k.as_str()), untagged(v)))
                    .collect(),
            ),
            plain => Value::from_json(plain),
        },
    }
}

/// A recorded input as a file would give it.
pub(super) fn plain(json: &Json) -> Json {
    match untagged(json) {
        value @ (Value::Duration(_) | Value::Percent(_) | Value::Size(_)) => {
            Json::String(value.to_string())
        }
        Value::List(_) => json
            .as_array()
            .map(|a| a.iter().map(plain).collect())
            .unwrap_or_default(),
        Value::Map(_) => Json::Object(
            json.as_object()
                .map(|o| o.iter().map(|(k, v)| (k.clone(), plain(v))).collect())
                .unwrap_or_default(),
        ),
        value => value.to_json(),
    }
}
