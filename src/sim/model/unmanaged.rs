//! Instance groups without a manager: machines join and leave them by name.
//!
//! Sources: API description of `instanceGroups.addInstances` and `removeInstances` (machines of the group's
//! zone and of one network); ingress-gce#1074 for a machine that is a member already;
//! terraform-provider-google#56 for one that is not there. The refusal of a machine that is no member is in
//! the form of the former.

use serde_json::json;

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::super::{Outcome, operation, refs};
use super::rules::Rule;
use super::{Handler, existing, group_health, path_of, reach};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.instanceGroups"],
    says: "machines of the zone and of one network join and leave a group without a manager; who is deleted is no member any more",
    source: "API description of `instanceGroups.addInstances`; ingress-gce#1074; terraform-provider-google#56",
    test: "tests/gcloud/unmanaged.txt",
}];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "compute.instanceGroups.addInstances" => add,
        "compute.instanceGroups.removeInstances" => remove,
        _ => return None,
    })
}

/// The machines of an instance group, with a manager or without.
pub fn members(world: &World, group: &str) -> Vec<String> {
    match world.groups.get(&manager_of(group)) {
        Some(managed) => managed.machines.iter().map(|m| m.key.clone()).collect(),
        None => world.members.get(group).cloned().unwrap_or_default(),
    }
}

pub fn manager_of(group: &str) -> String {
    group.replace("/instanceGroups/", "/instanceGroupManagers/")
}

/// # Errors
/// A group that belongs to a manager goes with it.
pub fn removable(world: &World, group: &str) -> Result<(), Refusal> {
    let manager = manager_of(group);
    match world.groups.contains_key(&manager) {
        true => Err(Refusal::in_use(
            "instance_group",
            path_of(group),
            path_of(&manager),
        )),
        false => Ok(()),
    }
}

/// A machine or a group is gone.
pub fn forget(world: &mut World, key: &str) {
    world.members.remove(key);
    for members in world.members.values_mut() {
        members.retain(|m| m != key);
    }
}

/// Whether a member answers a health check: it runs, its image serves, and probes get through.
pub fn answers(world: &World, member: &str, check: &Object) -> bool {
    let runs = world
        .live(member)
        .is_some_and(|vm| vm.text("status") == "RUNNING");
    let serves = group_health::behaviour(world, member).is_none_or(|b| b.healthy);
    runs && serves && reach::by_probes(world, member, reach::probe_port(check))
}

/// The group, and the machines that a call names.
fn named(world: &World, ask: &Ask) -> Result<(String, Vec<String>), Refusal> {
    let group = existing(world, ask)?;
    removable(world, &group)?;
    let zone = refs::after(path_of(&group), "zones").unwrap_or_default();
    let given = ask.body.get("instances").and_then(|i| i.as_array());
    let mut machines = Vec::new();
    for (place, item) in given.into_iter().flatten().enumerate() {
        let field = format!("instances[{place}].instance");
        let link = item.get("instance").and_then(|i| i.as_str());
        let link = link.ok_or_else(|| Refusal::required(&field))?;
        let malformed = || Refusal::invalid(&field, link, "The URL is malformed.");
        let path = refs::path_of(link, &ask.project).ok_or_else(malformed)?;
        if refs::after(&path, "zones") != Some(zone) {
            let why = "The instance is not in the zone of the instance group.";
            return Err(Refusal::invalid(&field, link, why));
        }
        if world.compute(&path).is_none() {
            return Err(Refusal::not_found(&path));
        }
        machines.push(format!("compute/{path}"));
    }
    match machines.is_empty() {
        true => Err(Refusal::required("instances")),
        false => Ok((group, machines)),
    }
}

fn add(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let (group, machines) = named(world, ask)?;
    let present = members(world, &group);
    let network = |machine: &String| {
        let cards = world.live(machine)?.body.get("networkInterfaces")?;
        cards.get(0)?.get("network").cloned()
    };
    let own = present.iter().chain(&machines).find_map(network);
    for machine in &machines {
        let (path, held) = (path_of(machine), path_of(&group));
        if present.contains(machine) {
            return Err(Refusal::new(
                400,
                "memberAlreadyExists",
                format!("Resource '{path}' is already a member of '{held}'."),
            ));
        }
        if network(machine) != own {
            let why = "The instance is not in the network of the instance group.";
            return Err(Refusal::invalid("instances", path, why));
        }
    }
    world
        .members
        .entry(group.clone())
        .or_default()
        .extend(machines);
    world.change(&group, |body| {
        body.insert("network".into(), json!(own));
    });
    Ok(operation::begin(world, ask, &group, Vec::new()).into())
}

fn remove(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let (group, machines) = named(world, ask)?;
    let present = members(world, &group);
    if let Some(other) = machines.iter().find(|m| !present.contains(m)) {
        return Err(Refusal::new(
            400,
            "memberNotFound",
            format!(
                "Resource '{}' is not a member of '{}'.",
                path_of(other),
                path_of(&group)
            ),
        ));
    }
    if let Some(members) = world.members.get_mut(&group) {
        members.retain(|m| !machines.contains(m));
    }
    Ok(operation::begin(world, ask, &group, Vec::new()).into())
}
