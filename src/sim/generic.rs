//! The verbs that every collection has: create, get, list, change, remove.

use serde_json::{Value as Json, json};

use super::ask::Ask;
use super::conform;
use super::failure::Failure;
use super::identity;
use super::model;
use super::model::rules::Rule;
use super::operation::{self, Then};
use super::patch;
use super::refs;
use super::refusal::Refusal;
use super::stamp;
use super::world::{Object, World};
use crate::catalog::{Collection, OperationStyle, Schema, SchemaId};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["*"],
    says: "the name, the holder and what the type requires are checked; 409 `alreadyExists`, 404 `notFound` in the words of the service; a stale fingerprint or etag is refused",
    source: "API descriptions; refusals in public issues",
    test: "errors_are_worded_as_googles",
}];

/// A resource as `get` shows it now.
pub fn view(world: &World, key: &str) -> Option<Object> {
    let resource = world.live(key)?;
    let mut body = resource.body.clone();
    model::view(world, &resource.collection, key, &mut body);
    Some(body)
}

/// The answer of a method whose answer is its result: the resource, or nothing.
pub fn answer_of(world: &World, ask: &Ask, key: &str) -> Json {
    let resource = ask.collection.as_ref().and_then(|c| c.resource.clone());
    match view(world, key) {
        Some(body) if ask.method.response.is_some() && ask.method.response == resource => {
            Json::Object(body)
        }
        _ => json!({}),
    }
}

pub fn get(world: &World, ask: &Ask) -> Result<Json, Refusal> {
    let key = identity::find(world, ask)?;
    view(world, &key)
        .filter(|_| !world.is_hidden(&key))
        .map(Json::Object)
        .ok_or_else(|| missing(&key))
}

/// 404 in the words of the service. DNS's, IAM's and Secret Manager's are those of pasted refusals.
pub fn missing(key: &str) -> Refusal {
    let (service, path) = key.split_once('/').unwrap_or(("", key));
    let name = refs::last(path);
    let segments: Vec<&str> = path.split('/').collect();
    let said = |reason, message: String| Refusal::new(404, reason, message);
    match (service, segments.as_slice()) {
        ("sqladmin", [_, _, "instances", _]) => said(
            "instanceDoesNotExist",
            "The Cloud SQL instance does not exist.".into(),
        ),
        ("dns", [_, _, "managedZones", _]) => said(
            "notFound",
            format!("The 'parameters.managedZone' resource named '{name}' does not exist."),
        ),
        ("dns", [_, _, "managedZones", _, "rrsets", record, kind]) => said(
            "notFound",
            format!("The 'parameters.name' resource named '{record} ({kind})' does not exist."),
        ),
        ("iam", [_, _, "serviceAccounts", _]) => said("notFound", "Unknown service account".into()),
        ("storage", ["b", _]) => said("notFound", "The specified bucket does not exist.".into()),
        ("storage", ["b", bucket, "o", object @ ..]) => said(
            "notFound",
            format!("No such object: {bucket}/{}", object.join("/")),
        ),
        ("secretmanager", [_, _, "secrets", _]) => {
            said("notFound", format!("Secret [{path}] not found."))
        }
        _ => Refusal::not_found(path),
    }
}

pub fn insert(world: &mut World, ask: &Ask, collection: &Collection) -> Result<Json, Refusal> {
    let mut body = resource_body(ask, collection);
    let id = identity::of_new(world, ask, collection, &body)?;
    let key = identity::key_of_new(ask, collection, &id);
    model::places::known_scope(world, &key)?;
    if world.live(&key).is_some() {
        return Err(already(&key));
    }
    parent_exists(world, collection, &key)?;
    model::filled(world, ask, collection, &mut body)?;
    required(world, ask, collection, &body)?;
    if &*ask.method.service == "compute" {
        refs_of(world, &mut body, &ask.project, &collection.path)?;
    }
    for field in output_only(world, collection) {
        body.remove(&field);
    }
    let stamped = stamp::stamp_new(world, collection, &key, &id, body);
    let mut body = stamped;
    model::prepare(world, collection, &key, ask, &mut body)?;
    let refused = match world.doom.take() {
        Some(failure) => Some(failure),
        None => model::refused_later(world, &collection.path, &key, &body),
    };
    world.put(&key, &collection.path, body);
    if let Some(failure) = refused {
        model::sweep(world, ask, &key);
        let then = vec![Then::Remove(key.clone())];
        return Ok(operation::begin_failing(world, ask, &key, then, failure));
    }
    let then = model::inserted(world, &collection.path, &key, ask);
    Ok(operation::begin(world, ask, &key, then))
}

/// Puts a resource there as if it had been for a while: the scenario's.
///
/// # Errors
/// What an insert would be refused for.
pub fn plant(
    world: &mut World,
    ask: &Ask,
    collection: &Collection,
    id: Option<String>,
) -> Result<String, Refusal> {
    let mut body = ask.body.clone();
    conform_to(world, collection.resource.as_ref(), &mut body)?;
    let id = match id {
        Some(id) => id,
        None => identity::of_new(world, ask, collection, &body)?,
    };
    let key = identity::key_of_new(ask, collection, &id);
    if &*ask.method.service == "compute" {
        refs_of(world, &mut body, &ask.project, &collection.path)?;
    }
    let mut body = stamp::stamp_new(world, collection, &key, &id, body);
    model::prepare(world, collection, &key, ask, &mut body)?;
    world.put(&key, &collection.path, body);
    for then in model::inserted(world, &collection.path, &key, ask) {
        if let (Then::Merge(key, fields), true) = (then, world.planting)
            && let Some(resource) = world.resources.get_mut(&key)
        {
            resource.body.extend(fields);
        }
    }
    Ok(key)
}

fn conform_to(world: &World, schema: Option<&SchemaId>, body: &mut Object) -> Result<(), Refusal> {
    match schema {
        Some(id) => conform::check(&world.catalog, id, body),
        None => Ok(()),
    }
}

fn already(key: &str) -> Refusal {
    let (service, path) = key.split_once('/').unwrap_or(("", key));
    let name = refs::last(path);
    let segments: Vec<&str> = path.split('/').collect();
    let said = |message: String| Refusal::new(409, "alreadyExists", message);
    match (service, segments.as_slice()) {
        ("sqladmin", [_, _, "instances", _]) => model::sql::taken(),
        ("dns", [_, _, "managedZones", _]) => said(format!(
            "The resource 'entity.managedZone' named '{name}' already exists"
        )),
        ("dns", [_, _, "managedZones", _, "rrsets", record, kind]) => said(format!(
            "The resource 'entity.rrset' named '{record} ({kind})' already exists"
        )),
        ("iam", [_, project, "serviceAccounts", _]) => {
            let id = name.split('@').next().unwrap_or(name);
            said(format!(
                "Service account {id} already exists within project projects/{project}."
            ))
        }
        ("secretmanager", [_, _, "secrets", _]) => said(format!("Secret [{path}] already exists.")),
        ("storage", ["b", _]) => Refusal::new(
            409,
            "conflict",
            "Your previous request to create the named bucket succeeded and you already own it.",
        ),
        _ => Refusal::exists(path),
    }
}

/// What the call says about the resource: the body, or the field of the request that holds it.
fn resource_body(ask: &Ask, collection: &Collection) -> Object {
    match &collection.envelope {
        Some(field) if ask.body.contains_key(&**field) => ask
            .body
            .get(&**field)
            .and_then(Json::as_object)
            .cloned()
            .unwrap_or_default(),
        Some(_) if ask.method.request != collection.resource => Object::new(),
        _ => ask.body.clone(),
    }
}

/// The resource that holds a new one must exist, when it is one that callers create.
pub fn parent_exists(world: &World, collection: &Collection, key: &str) -> Result<(), Refusal> {
    let depth = match &*collection.service {
        // `projects/p/instances/i/…`, `projects/p/managedZones/z/…`, `b/bucket/…`
        "sqladmin" | "dns" => 5,
        "storage" if key.starts_with("storage/b/") => 3,
        _ => return named_parent_exists(world, collection, key),
    };
    let holder: Vec<&str> = key.split('/').take(depth).collect();
    let holder = holder.join("/");
    let elsewhere = holder.contains("/locations");
    match holder != key && !elsewhere && world.live(&holder).is_none() {
        true => Err(missing(&holder)),
        false => Ok(()),
    }
}

/// The parent by the collection's own name: `a.b.c` lies in `a.b`.
fn named_parent_exists(world: &World, collection: &Collection, key: &str) -> Result<(), Refusal> {
    let Some((parent_path, _)) = collection.path.rsplit_once('.') else {
        return Ok(());
    };
    let parent = match parent_path.contains('.') {
        true => world.catalog.collection(parent_path),
        false => None,
    };
    if parent.is_none_or(|p| p.insert.is_none() || p.get.is_none()) {
        return Ok(());
    }
    let Some((holder, _)) = key
        .rsplit_once('/')
        .and_then(|(rest, _)| rest.rsplit_once('/'))
    else {
        return Ok(());
    };
    // Projects exist without Resource Manager having created them.
    let project = holder.split('/').count() == 3 && holder.contains("/projects/");
    match project || world.live(holder).is_some() {
        true => Ok(()),
        false => Err(missing(holder)),
    }
}

/// Fields that the method's annotations require. `baseInstanceName` has a default although its
/// annotation asks for it (gcloud leaves it out).
fn required(
    world: &World,
    ask: &Ask,
    collection: &Collection,
    body: &Object,
) -> Result<(), Refusal> {
    let Some(schema) = schema_of(world, collection) else {
        return Ok(());
    };
    for (name, field) in &schema.fields {
        let wanted = field.required_for.iter().any(|m| **m == *ask.method.id);
        let given = body.get(&**name).is_some_and(|v| !v.is_null());
        if wanted && !given && !matches!(&**name, "baseInstanceName" | "name") {
            return Err(Refusal::required(&format!("resource.{name}")));
        }
    }
    Ok(())
}

pub fn schema_of(world: &World, collection: &Collection) -> Option<std::sync::Arc<Schema>> {
    world.catalog.schema(collection.resource.as_ref()?)
}

/// Fields of a resource that callers cannot set. A group's named ports are described as such, and yet
/// taken at insert (Terraform relies on it).
fn output_only(world: &World, collection: &Collection) -> Vec<String> {
    let Some(schema) = schema_of(world, collection) else {
        return Vec::new();
    };
    schema
        .fields
        .iter()
        .filter(|(name, f)| f.output_only && !matches!(&***name, "namedPorts" | "name"))
        .map(|(name, _)| name.to_string())
        .collect()
}

/// Links instead of every form of reference, and 404 for what is not there.
fn refs_of(
    world: &World,
    body: &mut Object,
    project: &str,
    collection: &str,
) -> Result<(), Refusal> {
    let mut json = Json::Object(std::mem::take(body));
    if let Some((place, text)) = refs::malformed(&json) {
        return Err(Refusal::invalid(&place, &text, "The URL is malformed."));
    }
    refs::canonicalise(&mut json, project);
    if let Json::Object(fields) = json {
        *body = fields;
    }
    let holder = Json::Object(body.clone());
    for (place, path) in refs::links(&holder) {
        if refs::project_of(&path) == Some(project) && !model::linkable(world, &path, collection) {
            return Err(broken_link(&place, &path));
        }
    }
    Ok(())
}

/// Networks are refused as a bad value, other resources as not found (both texts from public issues).
fn broken_link(place: &str, path: &str) -> Refusal {
    for (kind, noun) in [("/networks/", "network"), ("/subnetworks/", "subnetwork")] {
        if path.contains(kind) {
            return Refusal::invalid(
                place,
                &refs::link(path),
                &format!("The referenced {noun} resource cannot be found."),
            );
        }
    }
    Refusal::not_found(path)
}

/// PATCH (merge) and PUT (replace).
pub fn change(
    world: &mut World,
    ask: &Ask,
    collection: &Collection,
    merge: bool,
) -> Result<Json, Refusal> {
    let key = identity::find(world, ask)?;
    let resource = world.live(&key).ok_or_else(|| missing(&key))?;
    if resource.dying {
        return Err(Refusal::not_ready(
            key.split_once('/').map_or("", |(_, p)| p),
        ));
    }
    let old = resource.body.clone();
    let mut sent = changed_body(ask, collection);
    preconditions(&sent, &old, &ask.method.service)?;
    if &*ask.method.service == "compute" {
        refs_of(world, &mut sent, &ask.project, &collection.path)?;
    }
    for field in output_only(world, collection) {
        sent.remove(&field);
    }
    let mask = ask
        .param("updateMask")
        .or_else(|| ask.text("updateMask"))
        .map(str::to_string);
    let mut new = old.clone();
    match mask {
        Some(mask) if !mask.is_empty() && mask != "*" => patch::apply_mask(&mut new, &sent, &mask),
        _ if merge || collection.envelope.is_some() => patch::merge_into(&mut new, sent),
        _ => new = replaced(world, collection, &old, sent),
    }
    stamp::refresh(world, &schema_of(world, collection), &mut new);
    let change = model::Change {
        key: &key,
        old: &old,
    };
    if world.doom.is_some() {
        return Ok(operation::begin(world, ask, &key, Vec::new()));
    }
    let then = model::changing(world, collection, ask, change, &mut new)?;
    if let Some(new) = then.now {
        if let Some(resource) = world.resources.get_mut(&key) {
            resource.body = new;
        }
        model::changed(world, &collection.path, &key);
    }
    Ok(operation::begin(world, ask, &key, then.later))
}

/// The part of a change request that holds the resource; update requests have envelopes of their own.
fn changed_body(ask: &Ask, collection: &Collection) -> Object {
    let nested = collection
        .resource
        .iter()
        .filter(|r| ask.method.request.as_ref() != Some(r))
        .filter_map(|r| {
            let short = r.name.strip_prefix("GoogleCloudRunV2").unwrap_or(&r.name);
            let mut letters = short.chars();
            let first = letters.next()?.to_ascii_lowercase();
            ask.body.get(&format!("{first}{}", letters.as_str()))
        })
        .next();
    let mut body = nested
        .and_then(Json::as_object)
        .cloned()
        .unwrap_or_else(|| ask.body.clone());
    body.remove("updateMask");
    body
}

fn preconditions(sent: &Object, old: &Object, service: &str) -> Result<(), Refusal> {
    let differs = |name: &str| match (sent.get(name).and_then(Json::as_str), old.get(name)) {
        (Some(given), Some(have)) => !given.is_empty() && have.as_str() != Some(given),
        _ => false,
    };
    if differs("fingerprint") || differs("labelFingerprint") && sent.contains_key("labels") {
        return Err(Refusal::stale_fingerprint());
    }
    if differs("etag") {
        return Err(match service {
            "sqladmin" => Refusal::new(412, "staleData", "Condition does not match."),
            _ => Refusal::new(
                409,
                "aborted",
                "The etag does not match: the resource was changed meanwhile.",
            ),
        });
    }
    Ok(())
}

/// PUT: what is not sent falls away, except what the server owns.
fn replaced(world: &World, collection: &Collection, old: &Object, sent: Object) -> Object {
    let kept = output_only(world, collection);
    let mut new = Object::new();
    for (name, value) in old {
        let own = kept.iter().any(|k| k == name)
            || matches!(
                name.as_str(),
                "kind"
                    | "id"
                    | "name"
                    | "selfLink"
                    | "creationTimestamp"
                    | "zone"
                    | "region"
                    | "status"
                    | "creationTime"
            );
        if own {
            new.insert(name.clone(), value.clone());
        }
    }
    patch::merge_into(&mut new, sent);
    new
}

pub fn delete(world: &mut World, ask: &Ask, collection: &Collection) -> Result<Json, Refusal> {
    let key = identity::find(world, ask)?;
    let resource = world.live(&key).ok_or_else(|| missing(&key))?;
    if resource.dying {
        return Err(Refusal::not_ready(
            key.split_once('/').map_or("", |(_, p)| p),
        ));
    }
    if let Some(etag) = ask.param("etag")
        && !etag.is_empty()
        && resource
            .body
            .get("etag")
            .and_then(Json::as_str)
            .is_some_and(|e| e != etag)
    {
        return Err(Refusal::new(
            409,
            "aborted",
            "The etag does not match: the resource was changed meanwhile.",
        ));
    }
    if let Err(refusal) = model::removable(world, collection, &key) {
        if !model::refuses_in_operation(&collection.path, &refusal) {
            return Err(refusal);
        }
        let failure = Failure::of(&refusal);
        return Ok(operation::begin_failing(
            world,
            ask,
            &key,
            Vec::new(),
            failure,
        ));
    }
    if world.doom.is_some() {
        return Ok(operation::begin(world, ask, &key, Vec::new()));
    }
    if !matches!(ask.method.operation, OperationStyle::None)
        && let Some(resource) = world.resources.get_mut(&key)
    {
        resource.dying = true;
    }
    let length = model::removing(world, &collection.path, &key, ask);
    let then = vec![Then::Remove(key.clone())];
    Ok(match length {
        Some(length) => operation::begin_lasting(world, ask, &key, then, length),
        None => operation::begin(world, ask, &key, then),
    })
}
