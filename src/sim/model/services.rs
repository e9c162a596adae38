//! Service Usage and service accounts: every API is enabled, as the manual expects.
//!
//! Source: API description of Service Usage (`Service.state`) and IAM (`ServiceAccount`).

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::fault::Fault;
use super::super::operation;
use super::super::world::{Object, World};
use super::super::{Outcome, page, refs};
use super::Handler;

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "serviceusage.services.get" => get,
        "serviceusage.services.list" => list,
        "serviceusage.services.enable"
        | "serviceusage.services.disable"
        | "serviceusage.services.batchEnable" => set,
        "serviceusage.services.batchGet" => batch_get,
        _ => return None,
    })
}

fn disabled_key(project: &str, service: &str) -> String {
    format!("serviceusage/projects/{project}/services/{service}")
}

fn service_json(world: &World, project: &str, name: &str) -> Json {
    let off = world
        .live(&disabled_key(project, name))
        .is_some_and(|r| r.text("state") == "DISABLED");
    let number = world.project_number(project);
    json!({
        "name": format!("projects/{number}/services/{name}"),
        "parent": format!("projects/{number}"),
        "config": { "name": name },
        "state": if off { "DISABLED" } else { "ENABLED" },
    })
}

fn known(world: &World) -> Vec<String> {
    world
        .catalog
        .services()
        .map(|s| format!("{}.googleapis.com", s.name))
        .collect()
}

fn get(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    Ok(service_json(world, &ask.project, refs::last(&ask.rest)).into())
}

fn list(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    let wanted = ask
        .param("filter")
        .and_then(|f| f.trim().strip_prefix("state:"))
        .map(str::to_string);
    let items: Vec<Json> = known(world)
        .iter()
        .map(|name| service_json(world, &ask.project, name))
        .filter(|s| wanted.as_ref().is_none_or(|w| s["state"] == json!(w)))
        .collect();
    Ok(page::unfiltered(world, ask, items)?.into())
}

fn batch_get(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    let names = ask.param("names").map(|n| refs::last(n).to_string());
    let items: Vec<Json> = names
        .iter()
        .map(|n| service_json(world, &ask.project, n))
        .collect();
    Ok(json!({ "services": items }).into())
}

fn set(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    let state = if &*ask.method.name == "disable" {
        "DISABLED"
    } else {
        "ENABLED"
    };
    let listed = ask.body.get("serviceIds").and_then(Json::as_array).cloned();
    let names: Vec<String> = match listed {
        Some(ids) => ids
            .iter()
            .filter_map(Json::as_str)
            .map(str::to_string)
            .collect(),
        None => {
            let path = ask.target();
            vec![refs::last(&path).to_string()]
        }
    };
    let mut target = format!("serviceusage/projects/{}", ask.project);
    for name in names {
        target = disabled_key(&ask.project, &name);
        let mut body = Object::new();
        body.insert("name".into(), json!(name));
        body.insert("state".into(), json!(state));
        world.put(&target, "serviceusage.services", body);
    }
    Ok(operation::begin(world, ask, &target, Vec::new()).into())
}

/// What IAM adds to a service account.
pub fn prepare_account(key: &str, project: &str, body: &mut Object) {
    let email = refs::last(key).to_string();
    body.insert("email".into(), json!(email));
    body.insert("projectId".into(), json!(project));
    body.insert(
        "name".into(),
        json!(format!("projects/{project}/serviceAccounts/{email}")),
    );
}
