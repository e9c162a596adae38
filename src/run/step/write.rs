//! Bodies of writes: what differs, what is there besides, and what guards it.

use serde_json::{Map, Value as Json};

use crate::catalog::compare::Difference;
use crate::catalog::{Kind, SchemaId};

/// The part of a body in which something differs, down to whole lists; notes the paths it took.
pub fn changed_part(
    wanted: &Json,
    path: &str,
    differences: &[Difference],
    fields: &mut Vec<String>,
) -> Json {
    let Json::Object(all) = wanted else {
        fields.push(path.to_owned());
        return wanted.clone();
    };
    let mut part = Map::new();
    for (name, value) in all {
        let inner = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let touched = differences.iter().any(|d| {
            d.path == inner
                || d.path
                    .strip_prefix(inner.as_str())
                    .is_some_and(|rest| rest.starts_with(['.', '[']))
        });
        if !touched {
            continue;
        }
        let exactly = differences.iter().any(|d| d.path == inner);
        let value = if exactly {
            fields.push(inner);
            value.clone()
        } else {
            changed_part(value, &inner, differences, fields)
        };
        part.insert(name.clone(), value);
    }
    Json::Object(part)
}

/// What is there, with what the flow writes on top.
pub fn merged(found: &Json, wanted: &Json) -> Json {
    match (found, wanted) {
        (Json::Object(found), Json::Object(wanted)) => {
            let mut out = found.clone();
            for (name, value) in wanted {
                let value = match out.get(name) {
                    Some(old) => merged(old, value),
                    None => value.clone(),
                };
                out.insert(name.clone(), value);
            }
            Json::Object(out)
        }
        _ => wanted.clone(),
    }
}

/// A resource without the fields that only the server writes.
pub fn writable(catalog: &crate::catalog::Catalog, id: &SchemaId, resource: &Json) -> Json {
    let (Some(schema), Json::Object(fields)) = (catalog.schema(id), resource) else {
        return resource.clone();
    };
    let kept = fields.iter().filter_map(|(name, value)| {
        let field = schema.field(name)?;
        if field.output_only && name != "fingerprint" {
            return None;
        }
        let value = match &field.kind {
            Kind::Schema(inner) => writable(catalog, inner, value),
            _ => value.clone(),
        };
        Some((name.clone(), value))
    });
    Json::Object(kept.collect())
}

/// Fingerprint, etag or version as observed: the write fails when somebody else was faster.
pub fn add_preconditions(
    catalog: &crate::catalog::Catalog,
    id: &SchemaId,
    found: &Json,
    body: &mut Json,
) {
    let Some(schema) = catalog.schema(id) else {
        return;
    };
    let Some(fields) = body.as_object_mut() else {
        return;
    };
    for name in ["fingerprint", "etag"] {
        if let (Some(_), Some(value)) = (schema.field(name), found.get(name)) {
            fields.entry(name).or_insert_with(|| value.clone());
        }
    }
    if fields.contains_key("labels")
        && let Some(value) = found.get("labelFingerprint")
        && schema.field("labelFingerprint").is_some()
    {
        fields
            .entry("labelFingerprint")
            .or_insert_with(|| value.clone());
    }
    if let (Some(Json::Object(settings)), Some(version)) = (
        fields.get_mut("settings"),
        found.pointer("/settings/settingsVersion"),
    ) {
        settings
            .entry("settingsVersion")
            .or_insert_with(|| version.clone());
    }
}
