//! What the server itself writes into a resource: kind, ids, links, times, fingerprints.

use serde_json::{Value as Json, json};

use super::generic;
use super::refs;
use super::world::{Object, World};
use crate::catalog::{Collection, Schema};

/// What the server adds to every new resource of a kind.
pub fn stamp_new(
    world: &mut World,
    collection: &Collection,
    key: &str,
    id: &str,
    sent: Object,
) -> Object {
    let path = key.split_once('/').map_or("", |(_, p)| p).to_string();
    let schema = generic::schema_of(world, collection);
    let has = |name: &str| schema.as_ref().is_some_and(|s| s.field(name).is_some());
    let mut body = Object::new();
    if let Some(kind) = schema.as_ref().and_then(|s| kind_of(s)) {
        body.insert("kind".into(), json!(kind));
    }
    let service = collection.service.to_string();
    if has("id") && matches!(service.as_str(), "compute" | "dns" | "storage") {
        let minted = match service.as_str() {
            "storage" => id.to_string(),
            _ => world.mint.id(),
        };
        body.insert("id".into(), json!(minted));
    }
    let created = world.stamp();
    for name in [
        "creationTimestamp",
        "creationTime",
        "createTime",
        "timeCreated",
    ] {
        if has(name) {
            let text = match service.as_str() {
                "compute" => created.clone(),
                _ => world.now.rfc3339(),
            };
            body.insert(name.into(), json!(text));
        }
    }
    body.extend(sent);
    body.retain(|_, v| !v.is_null());
    if has("name") {
        let name = match &collection.full_name {
            Some(_) if keeps_short_name(&service) => id.to_string(),
            Some(_) => path.clone(),
            None => id.rsplit('@').next_back().unwrap_or(id).to_string(),
        };
        if !(body.contains_key("name") && collection.full_name.is_none()) {
            body.insert("name".into(), json!(name));
        }
    }
    place_fields(world, collection, &path, &mut body, &has);
    refresh(world, &schema, &mut body);
    body
}

/// The text of `kind`: the type's name behind the service's, as the API descriptions have it nearly
/// everywhere; Cloud SQL shortens its names.
pub fn kind_of(schema: &Schema) -> Option<String> {
    let prefix = match &*schema.id.service {
        "sqladmin" => "sql",
        service @ ("compute" | "dns" | "storage") => service,
        _ => return None,
    };
    schema.field("kind")?;
    let name = match &*schema.id.name {
        "DatabaseInstance" => "Instance",
        name if prefix == "sql" => name.trim_end_matches("Response"),
        name => name,
    };
    let mut letters = name.chars();
    let first = letters.next()?.to_ascii_lowercase();
    Some(format!("{prefix}#{first}{}", letters.as_str()))
}

/// Services whose resources show their short names although their paths are full names.
fn keeps_short_name(service: &str) -> bool {
    matches!(service, "container")
}

fn place_fields(
    world: &mut World,
    collection: &Collection,
    path: &str,
    body: &mut Object,
    has: &dyn Fn(&str) -> bool,
) {
    if &*collection.service != "compute" {
        for (name, value) in [("uid", world.mint.uuid()), ("uniqueId", world.mint.id())] {
            if has(name) {
                body.entry(name.to_string()).or_insert(json!(value));
            }
        }
        return;
    }
    for (field, word) in [("zone", "zones"), ("region", "regions")] {
        if let (true, Some(place)) = (has(field), refs::after(path, word)) {
            let project = refs::project_of(path).unwrap_or_default();
            body.insert(
                field.into(),
                json!(refs::link(&format!("projects/{project}/{word}/{place}"))),
            );
        }
    }
    if has("selfLink") {
        body.insert("selfLink".into(), json!(refs::link(path)));
    }
}

/// New fingerprints and etags: after every write.
pub fn refresh(world: &mut World, schema: &Option<std::sync::Arc<Schema>>, body: &mut Object) {
    let has = |name: &str| schema.as_ref().is_some_and(|s| s.field(name).is_some());
    if has("fingerprint") {
        body.insert("fingerprint".into(), json!(world.mint.fingerprint()));
    }
    if has("labelFingerprint") {
        let empty = body
            .get("labels")
            .and_then(Json::as_object)
            .is_none_or(|l| l.is_empty());
        let print = match empty {
            // The fingerprint of no labels, as recorded from the real API.
            true => "42WmSpB8rSM=".to_string(),
            false => world.mint.fingerprint(),
        };
        body.insert("labelFingerprint".into(), json!(print));
    }
    if has("etag") {
        body.insert("etag".into(), json!(world.mint.hex(64)));
    }
    for name in ["updateTime", "updated"] {
        if has(name) {
            body.insert(name.into(), json!(world.now.rfc3339()));
        }
    }
}
