//! IAM policies of any resource: read, replaced as a whole under an etag, asked about.
//!
//! Sources: the API descriptions of `getIamPolicy`, `setIamPolicy` and `testIamPermissions` (an etag that is
//! not the current one is refused; without one the policy is replaced), and Resource Manager's words for
//! that refusal, which public issues paste.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::super::{Outcome, generic};
use super::Handler;
use super::rules::Rule;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["*"],
    says: "`getIamPolicy`, `setIamPolicy` and `testIamPermissions` of any resource: replaced as a whole under an etag; nothing is forbidden by a policy",
    source: "API description of `setIamPolicy`",
    test: "a_policy_is_replaced_under_its_etag",
}];

pub fn method(id: &str) -> Option<Handler> {
    let (_, name) = id.rsplit_once('.')?;
    Some(match name {
        "getIamPolicy" => get,
        "setIamPolicy" => set,
        "testIamPermissions" => test,
        _ => return None,
    })
}

/// Resources that are there without anybody creating them.
fn is_given(service: &str, path: &str) -> bool {
    let segments = path.split('/').count();
    service == "cloudresourcemanager"
        || path.starts_with("organizations/") && segments == 2
        || path.contains("/subscriptions/_")
}

/// The path of the resource whose policy is meant.
fn resource(world: &World, ask: &Ask) -> Result<String, Refusal> {
    let mut path = ask.target();
    for ending in ["/iam/testPermissions", "/iam"] {
        if let Some(bare) = path.strip_suffix(ending) {
            path = bare.to_string();
        }
    }
    let path = super::super::identity::normal(&path);
    let (service, rest) = path.split_once('/').unwrap_or(("", &path));
    match is_given(service, rest) || world.live(&path).is_some() {
        true => Ok(path),
        false => Err(generic::missing(&path)),
    }
}

fn key_of(resource: &str) -> String {
    format!("policies/{resource}")
}

fn shown(world: &World, resource: &str) -> Json {
    match world.live(&key_of(resource)) {
        Some(policy) => Json::Object(policy.body.clone()),
        // What Google answers for a resource that never had a policy of its own.
        None => json!({ "etag": "ACAB" }),
    }
}

fn get(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let resource = resource(world, ask)?;
    Ok(shown(world, &resource).into())
}

fn set(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let resource = resource(world, ask)?;
    let sent = match ask.body.get("policy") {
        Some(policy) => policy.as_object().cloned().unwrap_or_default(),
        None => ask.body.clone(),
    };
    let have = shown(world, &resource);
    let given = sent.get("etag").and_then(Json::as_str).unwrap_or("");
    if !given.is_empty() && have["etag"] != *given {
        return Err(Refusal::new(
            409,
            "aborted",
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.",
        ));
    }
    let mut policy = Object::new();
    policy.insert("version".into(), json!(1));
    policy.extend(sent);
    policy.shift_remove("resourceId");
    let bindings = policy.get_mut("bindings").and_then(Json::as_array_mut);
    if let Some(bindings) = bindings {
        bindings.retain(|b| b["members"].as_array().is_some_and(|m| !m.is_empty()));
    }
    policy.insert("etag".into(), json!(world.mint.fingerprint()));
    if ask.method.service.as_ref() == "storage" {
        policy.insert("kind".into(), json!("storage#policy"));
    }
    let answer = Json::Object(policy.clone());
    world.put(&key_of(&resource), "policies", policy);
    Ok(answer.into())
}

/// The simulator's one caller may do everything.
fn test(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    resource(world, ask)?;
    let asked = match ask.body.get("permissions") {
        Some(list) => list.clone(),
        None => json!(ask.param("permissions").into_iter().collect::<Vec<_>>()),
    };
    Ok(json!({ "permissions": asked }).into())
}
