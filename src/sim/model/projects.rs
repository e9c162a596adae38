//! Projects: their shared metadata, and the older Resource Manager that gcloud still calls.
//!
//! Sources: API descriptions of `compute.projects.*` and of Resource Manager v1 and v3 (`projectNumber`,
//! `lifecycleState` and `parent {type, id}` in v1; `name`, `state` and a parent's name in v3).

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::filter::Filter;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::super::{Call, Outcome, operation, page, refs};
use super::Handler;
use super::rules::Rule;
use crate::world::Millis;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.projects", "cloudresourcemanager.projects"],
    says: "shared metadata wants its fingerprint; Resource Manager answers in version 1 and 3, by id and by number; a project is renamed, and undeleted",
    source: "API descriptions of Compute Engine and of Resource Manager v1 and v3",
    test: "a_project_goes_by_its_number_as_well",
}];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "compute.projects.setCommonInstanceMetadata" => set_metadata,
        "compute.projects.setDefaultNetworkTier" => set_network_tier,
        "compute.projects.setUsageExportBucket" => set_usage_bucket,
        "cloudresourcemanager.projects.search" | "cloudresourcemanager.projects.list" => search,
        "cloudresourcemanager.projects.patch" => update,
        "cloudresourcemanager.projects.undelete" => undelete,
        _ => return None,
    })
}

/// What was set on a project; it exists without being stored.
pub fn own(world: &World, project: &str) -> Object {
    world
        .live(&key_of(project))
        .map(|r| r.body.clone())
        .unwrap_or_default()
}

fn key_of(project: &str) -> String {
    format!("compute/projects/{project}")
}

fn set(world: &mut World, ask: &Ask, field: &str, value: Json) -> Outcome {
    let key = key_of(&ask.project);
    let mut body = own(world, &ask.project);
    body.insert(field.into(), value);
    world.put(&key, "compute.projects", body);
    operation::begin(world, ask, &key, Vec::new()).into()
}

fn set_metadata(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let have = super::places::project_json(world, &ask.project);
    let have = have["commonInstanceMetadata"]["fingerprint"].clone();
    let given = ask.text("fingerprint").unwrap_or("");
    if !given.is_empty() && have != *given {
        let mut stale = Refusal::stale_fingerprint();
        stale.message = "Supplied fingerprint does not match current metadata fingerprint.".into();
        return Err(stale);
    }
    let mut value = Json::Object(ask.body.clone());
    value["kind"] = json!("compute#metadata");
    value["fingerprint"] = json!(world.mint.fingerprint());
    Ok(set(world, ask, "commonInstanceMetadata", value))
}

fn set_network_tier(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let tier = ask.text("networkTier").unwrap_or("PREMIUM").to_string();
    Ok(set(world, ask, "defaultNetworkTier", json!(tier)))
}

fn set_usage_bucket(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let place = Json::Object(ask.body.clone());
    Ok(set(world, ask, "usageExportLocation", place))
}

/// The scenario's projects, and those that were created.
fn search(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let mut names: Vec<String> = world.scenario.projects.clone();
    let prefix = "cloudresourcemanager/projects/";
    let created = world
        .of("cloudresourcemanager.projects", prefix)
        .map(|(key, _)| refs::last(key).to_string());
    names.extend(created);
    names.sort();
    names.dedup();
    let items = names
        .iter()
        .map(|name| super::places::managed_json(world, name));
    let filter = match ask.param("filter").filter(|f| !f.trim().is_empty()) {
        Some(text) => Some(Filter::parse(text)?),
        None => None,
    };
    // Only v1 has a filter, over its own fields and `id`.
    let wanted = |project: &Json| {
        let mut shown = as_v1(project.clone());
        shown["id"] = project["projectId"].clone();
        filter.as_ref().is_none_or(|f| f.accepts(&shown))
    };
    let items = items.filter(wanted).collect();
    Ok(page::unfiltered(world, ask, items)?.into())
}

/// The project that a call means, stored so that it can be changed: the scenario's are there without that.
fn stored(world: &mut World, ask: &Ask) -> Result<String, Refusal> {
    let name = ask.rest.strip_prefix("projects/").unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    let key = format!("cloudresourcemanager/projects/{name}");
    if world.live(&key).is_none() {
        if !world.scenario.projects.iter().any(|p| p == name) {
            return Err(super::super::generic::missing(&key));
        }
        world.put(&key, "cloudresourcemanager.projects", Object::new());
    }
    Ok(key)
}

/// Display name and labels; v1 answers with the project, so the operation is done at once.
fn update(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = stored(world, ask)?;
    let sent = ask.body.clone();
    world.change(&key, |body| {
        for field in ["displayName", "labels"] {
            if let Some(value) = sent.get(field) {
                body.insert(field.into(), value.clone());
            }
        }
    });
    let mut done = operation::begin_lasting(world, ask, &key, Vec::new(), Millis(0));
    done["response"] = super::places::managed_json(world, refs::last(&key));
    Ok(done.into())
}

fn undelete(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = stored(world, ask)?;
    if world
        .live(&key)
        .is_some_and(|p| p.text("state") != "DELETE_REQUESTED")
    {
        let said = "The project is not in a state in which it can be restored.";
        return Err(Refusal::new(400, "failedPrecondition", said));
    }
    world.change(&key, |body| {
        body.insert("state".into(), json!("ACTIVE"));
    });
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

/// The path of Resource Manager v3 for one of v1: `projects/p:getIamPolicy`, `projects/p`, `projects`.
pub fn newer_path(path: &str) -> Option<String> {
    let rest = path
        .strip_prefix("v1/")
        .or_else(|| path.strip_prefix("v1beta1/"))?;
    let mut segments = rest.split('/');
    let (first, second, third) = (segments.next()?, segments.next(), segments.next());
    match (first, second, third) {
        ("projects", None, None) => Some("v3/projects".into()),
        ("projects", Some(name), None) if !name.is_empty() => Some(format!("v3/projects/{name}")),
        ("operations", Some(name), None) if name.starts_with("cp.") => {
            Some(format!("v3/operations/{name}"))
        }
        _ => None,
    }
}

/// A call of v1 with the body that v3 takes; none when it is no call of v1.
pub fn newer_call(call: &Call) -> Option<Call> {
    newer_path(&call.path)?;
    let Ok(Json::Object(body)) = serde_json::from_slice(&call.body) else {
        return None;
    };
    Some(Call {
        body: Json::Object(as_v3(body)).to_string().into_bytes(),
        ..call.clone()
    })
}

/// A project, or a list of them, as v1 shows it.
pub fn as_v1(json: Json) -> Json {
    match json {
        Json::Object(mut fields) => {
            if let Some(Json::Array(items)) = fields.remove("projects") {
                let items: Vec<Json> = items.into_iter().map(as_v1).collect();
                fields.insert("projects".into(), Json::Array(items));
            }
            match fields.contains_key("projectId") && fields.contains_key("state") {
                true => Json::Object(older(fields)),
                false => Json::Object(fields),
            }
        }
        other => other,
    }
}

fn older(project: Object) -> Object {
    let mut out = Object::new();
    for (name, value) in project {
        let text = value.as_str().unwrap_or("").to_string();
        match name.as_str() {
            "name" => out.insert("projectNumber".into(), json!(refs::last(&text))),
            "state" => out.insert("lifecycleState".into(), value),
            "displayName" => out.insert("name".into(), value),
            "parent" => match text.split_once('/') {
                Some((kind, id)) => out.insert(
                    "parent".into(),
                    json!({ "type": kind.trim_end_matches('s'), "id": id }),
                ),
                None => None,
            },
            "etag" | "updateTime" | "deleteTime" => None,
            _ => out.insert(name, value),
        };
    }
    out
}

/// The body of a v1 request as v3 takes it.
fn as_v3(body: Object) -> Object {
    let mut out = Object::new();
    for (name, value) in body {
        match name.as_str() {
            "name" => out.insert("displayName".into(), value),
            "projectNumber" | "lifecycleState" | "createTime" => None,
            "parent" if value.is_object() => out.insert(
                "parent".into(),
                json!(format!(
                    "{}s/{}",
                    value["type"].as_str().unwrap_or(""),
                    value["id"].as_str().unwrap_or("")
                )),
            ),
            _ => out.insert(name, value),
        };
    }
    out
}
