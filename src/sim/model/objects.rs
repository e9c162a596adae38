//! Cloud Storage: buckets, and objects that are made of others.
//!
//! Sources: API description of `Bucket`, `Object`, `RewriteResponse` and of each method ("if the request body is
//! empty, the editable metadata of the source object is applied": `rewrite`); the words of refusals from public issues
//! (`No such object: …`, `The specified bucket does not exist.`, `The bucket you tried to delete is not empty.`).

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::super::{Outcome, generic, page, stamp};
use super::Handler;
use super::rules::Rule;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["storage.buckets"],
        says: "a bucket has its place, class and project, is listed with its project's, and is not deleted while it holds objects",
        source: "API description of `Bucket`; refusals in public issues",
        test: "tests/gcloud/storage.txt",
    },
    Rule {
        of: &["storage.objects"],
        says: "copy, rewrite, compose and move make an object of others that are there, under the call's preconditions; a rewrite is done in one call; lists know prefixes",
        source: "API description of each method; refusals in public issues",
        test: "an_object_is_made_of_others",
    },
];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "storage.buckets.list" => list_buckets,
        "storage.buckets.getStorageLayout" => layout,
        "storage.objects.list" => list,
        "storage.objects.copy" => copy,
        "storage.objects.rewrite" => rewrite,
        "storage.objects.compose" => compose,
        "storage.objects.move" => move_object,
        _ => return None,
    })
}

const ROOT: &str = "https://www.googleapis.com/storage/v1/";

pub fn key_of(bucket: &str, object: &str) -> String {
    format!("storage/b/{bucket}/o/{object}")
}

/// Completes a new bucket.
pub fn prepare_bucket(world: &World, project: &str, key: &str, body: &mut Object) {
    let name = key.rsplit('/').next().unwrap_or_default();
    let number = world.project_number(project).to_string();
    for (field, value) in [
        ("id", json!(name)),
        ("selfLink", json!(format!("{ROOT}b/{name}"))),
        ("projectNumber", json!(number)),
        ("metageneration", json!("1")),
    ] {
        body.insert(field.into(), value);
    }
    for field in ["location", "storageClass"] {
        if let Some(text) = body.get(field).and_then(Json::as_str) {
            body.insert(field.into(), json!(text.to_uppercase()));
        }
    }
    body.entry("location").or_insert(json!("US"));
    body.entry("storageClass").or_insert(json!("STANDARD"));
    let location = body.get("location").and_then(Json::as_str).unwrap_or("");
    let kind = match location.contains('-') {
        true => "region",
        false => "multi-region",
    };
    body.insert("locationType".into(), json!(kind));
    let access = json!({
        "uniformBucketLevelAccess": { "enabled": false },
        "bucketPolicyOnly": { "enabled": false },
        "publicAccessPrevention": "inherited",
    });
    let access = access.as_object().cloned().unwrap_or_default();
    let own = body
        .entry("iamConfiguration")
        .or_insert_with(|| json!({}))
        .as_object_mut();
    if let Some(own) = own {
        for (field, value) in access {
            own.entry(field).or_insert(value);
        }
    }
}

/// # Errors
/// A bucket that still holds objects.
pub fn removable(world: &World, bucket: &str) -> Result<(), Refusal> {
    let prefix = format!("{bucket}/o/");
    match world.of("storage.objects", &prefix).next().is_some() {
        true => Err(Refusal::new(
            409,
            "conflict",
            "The bucket you tried to delete is not empty.",
        )),
        false => Ok(()),
    }
}

/// What the server writes into a new object.
pub fn prepare(world: &World, key: &str, body: &mut Object) {
    let path = key.strip_prefix("storage/b/").unwrap_or_default();
    let (bucket, name) = path.split_once("/o/").unwrap_or_default();
    let class = world
        .live(&format!("storage/b/{bucket}"))
        .map_or("", |b| b.text("storageClass"));
    let class = if class.is_empty() { "STANDARD" } else { class };
    // The next generation of a name is always greater than the one before.
    let before = world.live(key).map_or("0", |o| o.text("generation"));
    let before: i64 = before.parse().unwrap_or(0);
    let generation = (world.now.0 * 1000).max(before + 1);
    let link = format!("{ROOT}b/{bucket}/o/{}", escaped(name));
    let media = format!(
        "https://www.googleapis.com/download/storage/v1/b/{bucket}/o/{}?generation={generation}&alt=media",
        escaped(name)
    );
    for (field, value) in [
        ("id", json!(format!("{bucket}/{name}/{generation}"))),
        ("bucket", json!(bucket)),
        ("name", json!(name)),
        ("generation", json!(generation.to_string())),
        ("metageneration", json!("1")),
        ("selfLink", json!(link)),
        ("mediaLink", json!(media)),
    ] {
        body.insert(field.into(), value);
    }
    body.entry("size").or_insert(json!("0"));
    body.entry("storageClass").or_insert(json!(class));
}

/// A name as one segment of a path.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// A change of the metadata of a bucket or an object is counted.
pub fn changing(old: &Object, new: &mut Object) {
    let have = old.get("metageneration").and_then(Json::as_str);
    let have: i64 = have.and_then(|n| n.parse().ok()).unwrap_or(1);
    new.insert("metageneration".into(), json!((have + 1).to_string()));
}

/// Puts an object there, in place of what stands under its name; gives it back as it is shown.
///
/// # Errors
/// A service without objects.
pub fn write(
    world: &mut World,
    (bucket, name): (&str, &str),
    fields: Object,
) -> Result<Json, Refusal> {
    let key = key_of(bucket, name);
    let collection = world.catalog.collection("storage.objects");
    let collection = collection.ok_or_else(|| Refusal::not_simulated("storage.objects"))?;
    let mut body = stamp::stamp_new(world, &collection, &key, name, fields);
    prepare(world, &key, &mut body);
    world.put(&key, "storage.objects", body.clone());
    Ok(Json::Object(body))
}

fn existing_bucket(world: &World, bucket: &str) -> Result<(), Refusal> {
    let key = format!("storage/b/{bucket}");
    match world.live(&key) {
        Some(_) => Ok(()),
        None => Err(generic::missing(&key)),
    }
}

/// An object that is there, of the generation that is asked for.
fn source(
    world: &World,
    bucket: &str,
    name: &str,
    generation: Option<&str>,
) -> Result<Object, Refusal> {
    existing_bucket(world, bucket)?;
    let key = key_of(bucket, name);
    let found = world
        .live(&key)
        .filter(|_| !world.is_hidden(&key))
        .filter(|o| generation.is_none_or(|g| o.text("generation") == g));
    let found = found.ok_or_else(|| generic::missing(&key))?;
    Ok(found.body.clone())
}

/// # Errors
/// 412 when the object is not as the call's conditions want it; 0 stands for none.
fn conditions(ask: &Ask, of: &str, object: Option<&Object>) -> Result<(), Refusal> {
    let have = |field: &str| {
        let value = object.and_then(|o| o.get(field)?.as_str());
        value.unwrap_or("0").to_string()
    };
    for (what, field) in [
        ("Generation", "generation"),
        ("Metageneration", "metageneration"),
    ] {
        for (word, wanted) in [("Match", true), ("NotMatch", false)] {
            let given = ask.param(&format!("if{of}{what}{word}"));
            if given.is_some_and(|given| (given == have(field)) != wanted) {
                let why = "At least one of the pre-conditions you specified did not hold.";
                return Err(Refusal::new(412, "conditionNotMet", why));
            }
        }
    }
    Ok(())
}

/// What a caller says of an object; the rest is the server's.
const EDITABLE: [&str; 11] = [
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "contexts",
    "customTime",
    "eventBasedHold",
    "metadata",
    "storageClass",
    "temporaryHold",
];

/// What follows from the bytes.
const OF_CONTENT: [&str; 4] = ["componentCount", "crc32c", "md5Hash", "size"];

fn picked(from: &Object, names: &[&str]) -> Object {
    let known = from
        .iter()
        .filter(|(name, value)| names.contains(&name.as_str()) && !value.is_null());
    known.map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// A copy of an object in another place, by the names of the path.
fn copied(world: &mut World, ask: &Ask, from: (&str, &str)) -> Result<(Object, Json), Refusal> {
    let place = |name: &str| ask.param(name).unwrap_or_default().to_string();
    let bucket = match ask.param("destinationBucket") {
        Some(bucket) => bucket.to_string(),
        None => from.0.to_string(),
    };
    let name = place("destinationObject");
    let old = source(world, from.0, from.1, ask.param("sourceGeneration"))?;
    conditions(ask, "Source", Some(&old))?;
    existing_bucket(world, &bucket)?;
    let there = world.live(&key_of(&bucket, &name)).map(|o| &o.body);
    conditions(ask, "", there)?;
    let said = match ask.body.is_empty() {
        true => &old,
        false => &ask.body,
    };
    let mut fields = picked(said, &EDITABLE);
    fields.extend(picked(&old, &OF_CONTENT));
    let new = write(world, (&bucket, &name), fields)?;
    Ok((old, new))
}

fn from_of(ask: &Ask) -> (String, String) {
    let text = |name: &str| ask.param(name).unwrap_or_default().to_string();
    let bucket = ask.param("sourceBucket").or_else(|| ask.param("bucket"));
    (bucket.unwrap_or_default().to_string(), text("sourceObject"))
}

fn copy(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let (bucket, name) = from_of(ask);
    let (_, new) = copied(world, ask, (&bucket, &name))?;
    Ok(new.into())
}

fn rewrite(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let (bucket, name) = from_of(ask);
    let (_, new) = copied(world, ask, (&bucket, &name))?;
    let size = new["size"].clone();
    Ok(json!({
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": size,
        "objectSize": size,
        "done": true,
        "resource": new,
    })
    .into())
}

/// "Moves the source object to the destination object in the same bucket."
fn move_object(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let (bucket, name) = from_of(ask);
    let (_, new) = copied(world, ask, (&bucket, &name))?;
    if ask.param("destinationObject") != Some(&*name) {
        world.resources.remove(&key_of(&bucket, &name));
    }
    Ok(new.into())
}

/// "Concatenates a list of existing objects into a new object in the same bucket"; at most 32.
fn compose(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    const MOST: usize = 32;
    let text = |name: &str| ask.param(name).unwrap_or_default().to_string();
    let (bucket, name) = (text("destinationBucket"), text("destinationObject"));
    let given = ask.body.get("sourceObjects").and_then(Json::as_array);
    let given = given.map(Vec::as_slice).unwrap_or_default();
    if given.is_empty() {
        return Err(Refusal::required("sourceObjects"));
    }
    if given.len() > MOST {
        let why = format!(
            "The number of source components provided ({}) exceeds the maximum ({MOST})",
            given.len()
        );
        return Err(Refusal::new(400, "invalid", why));
    }
    existing_bucket(world, &bucket)?;
    let there = world.live(&key_of(&bucket, &name)).map(|o| &o.body);
    conditions(ask, "", there)?;
    let (mut size, mut parts) = (0i64, 0i64);
    for one in given {
        let field = |value: Option<&Json>| value.and_then(Json::as_str).map(str::to_string);
        let part = field(one.get("name")).ok_or_else(|| Refusal::required("sourceObjects.name"))?;
        let wanted = field(one.get("generation"))
            .or_else(|| field(one.pointer("/objectPreconditions/ifGenerationMatch")));
        let found = source(world, &bucket, &part, wanted.as_deref())?;
        let text = found.get("size").and_then(Json::as_str).unwrap_or("0");
        size = size.saturating_add(text.parse().unwrap_or(0));
        parts += found
            .get("componentCount")
            .and_then(Json::as_i64)
            .unwrap_or(1);
    }
    let said = ask.body.get("destination").and_then(Json::as_object);
    let mut fields = picked(said.unwrap_or(&Object::new()), &EDITABLE);
    fields.insert("size".into(), json!(size.to_string()));
    fields.insert("componentCount".into(), json!(parts));
    Ok(write(world, (&bucket, &name), fields)?.into())
}

/// Where a bucket is, for callers who may not read all of it: gcloud asks before it moves or deletes.
fn layout(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let name = ask.param("bucket").unwrap_or_default();
    existing_bucket(world, name)?;
    let bucket = world.live(&format!("storage/b/{name}"));
    let field = |field: &str| bucket.and_then(|b| b.body.get(field).cloned());
    Ok(json!({
        "kind": "storage#storageLayout",
        "bucket": name,
        "location": field("location"),
        "locationType": field("locationType"),
        "hierarchicalNamespace": field("hierarchicalNamespace").unwrap_or(json!({ "enabled": false })),
    })
    .into())
}

fn list_buckets(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let number = world.project_number(&ask.project).to_string();
    let prefix = ask.param("prefix").unwrap_or_default();
    let items = world
        .of("storage.buckets", "storage/b/")
        .filter(|(_, b)| b.text("projectNumber") == number && b.text("name").starts_with(prefix))
        .map(|(_, b)| Json::Object(b.body.clone()))
        .collect();
    Ok(page::answer(world, ask, items)?.into())
}

/// With a delimiter, objects whose names go on behind it are told by their common beginnings.
fn list(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let bucket = ask.param("bucket").unwrap_or_default();
    existing_bucket(world, bucket)?;
    let prefix = ask.param("prefix").unwrap_or_default();
    let delimiter = ask.param("delimiter").filter(|d| !d.is_empty());
    let holder = key_of(bucket, "");
    let mut folders = BTreeSet::new();
    let mut items = Vec::new();
    for (key, object) in world.of("storage.objects", &holder) {
        let Some(rest) = object.text("name").strip_prefix(prefix) else {
            continue;
        };
        if world.is_hidden(key) {
            continue;
        }
        match delimiter.and_then(|d| Some(&rest[..rest.find(d)? + d.len()])) {
            Some(folder) => {
                folders.insert(format!("{prefix}{folder}"));
            }
            None => items.push(Json::Object(object.body.clone())),
        }
    }
    let mut out = page::answer(world, ask, items)?;
    let first = ask.param("pageToken").is_none_or(str::is_empty);
    if !folders.is_empty() && first {
        out["prefixes"] = json!(folders);
    }
    Ok(out.into())
}
