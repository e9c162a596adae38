//! The methods of managed groups and instance groups beyond the generic verbs.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::fault::Fault;
use super::super::operation;
use super::super::world::World;
use super::super::{Outcome, identity, page, refs};
use super::groups::{self, Action, Machine};
use super::{Handler, balancing, existing, path_of};

pub fn method(id: &str) -> Option<Handler> {
    let (collection, name) = id.rsplit_once('.')?;
    match (collection, name) {
        ("compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers", name) => {
            Some(match name {
                "listManagedInstances" => list_managed,
                "listErrors" => list_errors,
                "resize" => resize,
                "setInstanceTemplate" => set_template,
                _ => return None,
            })
        }
        ("compute.instanceGroups" | "compute.regionInstanceGroups", "setNamedPorts") => {
            Some(set_named_ports)
        }
        ("compute.instanceGroups" | "compute.regionInstanceGroups", "listInstances") => {
            Some(list_instances)
        }
        _ => None,
    }
}

/// The manager of a POST that only reads: the group may be on its way out.
fn manager(world: &World, ask: &Ask) -> Result<String, Fault> {
    let named = ask.target();
    match world.live(&named) {
        Some(_) => Ok(named),
        None => {
            identity::by_number(world, &named).ok_or_else(|| super::super::generic::missing(&named))
        }
    }
}

fn list_managed(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    let key = manager(world, ask)?;
    let check = groups::healing_check(world, &key);
    let check_link = world.live(&key).and_then(|r| {
        r.body
            .get("autoHealingPolicies")?
            .get(0)?
            .get("healthCheck")
            .cloned()
    });
    let machines = world
        .groups
        .get(&key)
        .map(|g| g.machines.as_slice())
        .unwrap_or_default();
    let items = machines
        .iter()
        .map(|m| managed(world, &key, m, check.as_ref(), check_link.as_ref()))
        .collect();
    Ok(page::answer(world, ask, items)?.into())
}

fn managed(
    world: &World,
    key: &str,
    machine: &Machine,
    check: Option<&Json>,
    link: Option<&Json>,
) -> Json {
    let path = path_of(&machine.key);
    let vm = world.live(&machine.key);
    let action = match machine.action {
        Action::Creating { .. } => "CREATING",
        Action::Deleting { .. } => "DELETING",
        Action::None if groups::verifying(world, key, machine) => "VERIFYING",
        Action::None => "NONE",
    };
    let mut out = json!({
        "instance": refs::link(path),
        "name": refs::last(path),
        "instanceStatus": vm.map_or("", |r| r.text("status")),
        "currentAction": action,
        "version": { "instanceTemplate": machine.template, "name": machine.version },
    });
    if let Some(id) = vm.and_then(|r| r.body.get("id")) {
        out["id"] = id.clone();
    }
    if let (Some(check), Some(_), false) = (
        check,
        machine.booted,
        matches!(machine.action, Action::Deleting { .. }),
    ) {
        let state = match balancing::answers(world, machine, check) {
            true => "HEALTHY",
            false => "TIMEOUT",
        };
        out["instanceHealth"] = json!([{ "healthCheck": link, "detailedHealthState": state }]);
    }
    out
}

/// Nothing fails to start in this cloud, so the list is empty.
fn list_errors(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    manager(world, ask)?;
    Ok(page::answer(world, ask, Vec::new())?.into())
}

fn resize(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    let key = existing(world, ask)?;
    let text = ask.param("size").unwrap_or("");
    let size: i64 = text
        .parse()
        .ok()
        .filter(|n| (0..=2000).contains(n))
        .ok_or_else(|| Fault::invalid("size", text, "Must be a number from 0 to 2000."))?;
    world.change(&key, |body| {
        body.insert("targetSize".into(), json!(size));
    });
    Ok(groups::begin(world, ask, &key).into())
}

fn set_template(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    let key = existing(world, ask)?;
    let given = ask
        .text("instanceTemplate")
        .ok_or_else(|| Fault::required("instanceTemplate"))?;
    let path = refs::path_of(given, &ask.project)
        .ok_or_else(|| Fault::invalid("instanceTemplate", given, "The URL is malformed."))?;
    if world.compute(&path).is_none() {
        return Err(Fault::not_found(&path));
    }
    let link = refs::link(&path);
    world.change(&key, |body| {
        body.insert("instanceTemplate".into(), json!(link));
        body.insert("versions".into(), json!([{ "instanceTemplate": link }]));
    });
    Ok(groups::begin(world, ask, &key).into())
}

/// Replaces the whole list, under the group's fingerprint when one is given.
fn set_named_ports(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    let key = existing(world, ask)?;
    let have = world
        .live(&key)
        .map(|r| r.text("fingerprint").to_string())
        .unwrap_or_default();
    if let Some(given) = ask.text("fingerprint").filter(|f| !f.is_empty())
        && given != have
    {
        return Err(Fault::stale_fingerprint());
    }
    let ports = ask
        .body
        .get("namedPorts")
        .cloned()
        .unwrap_or_else(|| json!([]));
    for port in ports.as_array().map(Vec::as_slice).unwrap_or_default() {
        let number = port.get("port").and_then(Json::as_i64).unwrap_or(0);
        if !(1..=65535).contains(&number) {
            return Err(Fault::invalid(
                "namedPorts[0].port",
                &number.to_string(),
                "Must be from 1 to 65535.",
            ));
        }
    }
    world.change(&key, |body| {
        body.insert("namedPorts".into(), ports);
    });
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn list_instances(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    let key = manager(world, ask)?;
    let group = key.replace("/instanceGroups/", "/instanceGroupManagers/");
    let ports = world
        .live(&key)
        .and_then(|r| r.body.get("namedPorts").cloned());
    let running_only = ask.text("instanceState") == Some("RUNNING");
    let machines = world
        .groups
        .get(&group)
        .map(|g| g.machines.as_slice())
        .unwrap_or_default();
    let items = machines
        .iter()
        .filter_map(|m| {
            let status = world.live(&m.key)?.text("status");
            if running_only && status != "RUNNING" {
                return None;
            }
            let mut item = json!({ "instance": refs::link(path_of(&m.key)), "status": status });
            if let Some(ports) = &ports {
                item["namedPorts"] = ports.clone();
            }
            Some(item)
        })
        .collect();
    Ok(page::answer(world, ask, items)?.into())
}
