//! Which resource a call means: its key is the service and the path below the version.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use regex::Regex;
use serde_json::Value as Json;

use super::ask::Ask;
use super::generic::missing;
use super::refs;
use super::refusal::Refusal;
use super::world::{Object, World};
use crate::catalog::{Collection, IdentitySource, InsertId, Kind};

/// Compute Engine's rule for names (RFC 1035), as its API description states it.
const NAME: &str = "(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)";

/// The id of a resource that is being created.
///
/// # Errors
/// A name that is missing or that the API does not accept.
pub fn of_new(
    world: &mut World,
    ask: &Ask,
    collection: &Collection,
    body: &Object,
) -> Result<String, Refusal> {
    let text = |field: &str| {
        body.get(field)
            .and_then(Json::as_str)
            .unwrap_or("")
            .to_string()
    };
    let id = match &collection.insert_id {
        InsertId::BodyField(field) => match text(field) {
            id if id.is_empty() && &*ask.method.id == "storage.objects.insert" => {
                ask.param("name").unwrap_or("").to_string()
            }
            id => id,
        },
        InsertId::EnvelopeField(field) => ask.text(field).unwrap_or("").to_string(),
        InsertId::QueryParam(name) => ask.param(name).unwrap_or("").to_string(),
        InsertId::PathParam(name) => refs::last(ask.param(name).unwrap_or("")).to_string(),
        InsertId::ServerChosen => return Ok(chosen(world, &text("name"))),
    };
    if id.is_empty() {
        let field = match &collection.insert_id {
            InsertId::QueryParam(name) | InsertId::PathParam(name) => name.to_string(),
            InsertId::EnvelopeField(name) => name.to_string(),
            InsertId::BodyField(name) => format!("resource.{name}"),
            InsertId::ServerChosen => "resource.name".into(),
        };
        return Err(Refusal::required(&field));
    }
    check_name(world, collection, &id)?;
    if &*collection.path == "iam.projects.serviceAccounts" && !id.contains('@') {
        return Ok(format!("{id}@{}.iam.gserviceaccount.com", ask.project));
    }
    Ok(with_siblings(collection, body, id))
}

fn chosen(world: &mut World, name: &str) -> String {
    match refs::last(name) {
        "" => world.mint.id(),
        given => given.to_string(),
    }
}

/// Identity that is more than one name: a record set's type, a user's host.
fn with_siblings(collection: &Collection, body: &Object, id: String) -> String {
    let own = match &collection.insert_id {
        InsertId::BodyField(field) => &**field,
        _ => "",
    };
    let mut out = id;
    for param in &collection.identity {
        let Some(field) = &param.body_field else {
            continue;
        };
        if **field == *own {
            continue;
        }
        let value = body.get(&**field).and_then(Json::as_str).unwrap_or("");
        match param.source {
            IdentitySource::QueryShared if value.is_empty() => {}
            IdentitySource::QueryShared => out = format!("{out}@{value}"),
            _ if value.is_empty() => {}
            _ => out = format!("{out}/{value}"),
        }
    }
    out
}

/// The patterns of names that were met, read once; there are as many as the catalogue has.
static PATTERNS: Mutex<BTreeMap<String, Option<Regex>>> = Mutex::new(BTreeMap::new());

/// Whether a pattern takes the whole text; what is no pattern takes any.
fn takes(pattern: &str, text: &str) -> bool {
    let mut known = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
    if !known.contains_key(pattern) {
        let read = Regex::new(&format!("^(?:{pattern})$")).ok();
        known.insert(pattern.to_string(), read);
    }
    let regex = known.get(pattern).and_then(Option::as_ref);
    regex.is_none_or(|r| r.is_match(text))
}

/// # Errors
/// A name that the collection's pattern does not take.
pub fn check_name(world: &World, collection: &Collection, id: &str) -> Result<(), Refusal> {
    let schema = collection
        .resource
        .as_ref()
        .and_then(|r| world.catalog.schema(r));
    let pattern = schema.as_ref().and_then(|s| match &s.field("name")?.kind {
        Kind::String { pattern, .. } => pattern.clone(),
        _ => None,
    });
    let compute = &*collection.service == "compute";
    let pattern = match (pattern, compute) {
        (Some(pattern), _) if compute => pattern.to_string(),
        (_, true) => NAME.to_string(),
        _ => return Ok(()),
    };
    let bare = pattern.trim_start_matches('^').trim_end_matches('$');
    match takes(bare, id) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            "resource.name",
            id,
            &format!("Must be a match of regex '{}'", grouped(bare)),
        )),
    }
}

/// A pattern as Compute Engine shows it in its refusals: as one group.
fn grouped(pattern: &str) -> String {
    let whole = pattern.starts_with("(?:") && pattern.ends_with(')');
    match whole && !pattern.contains(")|") {
        true => pattern.to_string(),
        false => format!("(?:{pattern})"),
    }
}

/// The key under which a new resource stands.
pub fn key_of_new(ask: &Ask, collection: &Collection, id: &str) -> String {
    let key = normal(&ask.key());
    match &collection.insert_id {
        InsertId::PathParam(_) => key,
        _ => format!("{key}/{id}"),
    }
}

/// The key of the resource that a call on an existing one means: by name, by numeric id, or with the
/// rest of its identity in the query or the body.
///
/// # Errors
/// 404 when there is none.
pub fn find(world: &World, ask: &Ask) -> Result<String, Refusal> {
    let key = normal(&ask.key());
    let Some(collection) = &ask.collection else {
        return Err(missing(&key));
    };
    if &*collection.path == "sqladmin.users" {
        return find_user(world, ask, &key);
    }
    if world.live(&key).is_some() {
        return Ok(key);
    }
    if let Some(id) = &collection.id
        && let Some(name) = ask.param(id).or_else(|| ask.text("name"))
    {
        let named = format!("{key}/{name}");
        if world.live(&named).is_some() {
            return Ok(named);
        }
    }
    // A few methods have their own name at the end of the path.
    let target = ask.target();
    if world.live(&target).is_some() {
        return Ok(target);
    }
    by_number(world, &key).ok_or_else(|| missing(&key))
}

/// Paths take numeric ids where they take names.
pub fn by_number(world: &World, key: &str) -> Option<String> {
    let (holder, id) = key.rsplit_once('/')?;
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let prefix = format!("{holder}/");
    world
        .resources
        .range(prefix.clone()..)
        .take_while(|(key, _)| key.starts_with(&prefix))
        .find(|(_, r)| r.text("id") == id)
        .map(|(key, _)| key.clone())
}

/// A user of Cloud SQL: without a host, the one that there is.
fn find_user(world: &World, ask: &Ask, key: &str) -> Result<String, Refusal> {
    let base = match ask.method.path.ends_with("/users") {
        true => format!(
            "{key}/{}",
            ask.param("name").or_else(|| ask.text("name")).unwrap_or("")
        ),
        false => key.to_string(),
    };
    if let Some(host) = ask.param("host").filter(|h| !h.is_empty()) {
        let exact = format!("{base}@{host}");
        return match world.live(&exact) {
            Some(_) => Ok(exact),
            None => Err(missing(&base)),
        };
    }
    let prefix = format!("{base}@");
    world
        .resources
        .keys()
        .find(|k| **k == base || k.starts_with(&prefix))
        .cloned()
        .ok_or_else(|| missing(&base))
}

/// Kubernetes Engine has two paths for one cluster.
pub fn normal(key: &str) -> String {
    match key.strip_prefix("container/") {
        Some(_) => key.replacen("/zones/", "/locations/", 1),
        None => key.to_string(),
    }
}
