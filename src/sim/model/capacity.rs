//! Whether a zone takes a machine: quotas and room. Both are told by the operation, not by the call
//! ("VM CPU quota is reported by the operation, about six seconds in": ai-on-gke#849), and the instance
//! is gone afterwards (nodejs-compute#377).

use serde_json::{Value as Json, json};

use super::super::failure::Failure;
use super::super::refs;
use super::super::scenario::fits;
use super::super::world::{Object, World};
use super::rules::Rule;
use super::{path_of, quotas};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.instances"],
    says: "a quota, a full zone or a public address that is in use is told by the operation, some seconds in, and the machine is gone afterwards",
    source: "ai-on-gke#849; nodejs-compute#377",
    test: "a_quota_of_machines_is_told_by_the_operation",
}];

/// Why a new machine cannot run; none when it can.
pub fn refused_machine(world: &World, key: &str, body: &Object) -> Option<Failure> {
    if world.planting {
        return None;
    }
    let path = path_of(key);
    let project = refs::project_of(path).unwrap_or_default();
    let zone = refs::after(path, "zones").unwrap_or_default();
    let wanted = quotas::of_machine(world, zone, body);
    if let Some((metric, limit, region)) = quotas::exceeded(world, project, &wanted) {
        return Some(Failure::quota(&metric, limit, region.as_deref()));
    }
    address_in_use(world, key, body).or_else(|| no_room(world, key, body))
}

/// A public address that is reserved serves one machine (`External IP address: … is already in-use.`, in public issues; the code is not
/// established).
fn address_in_use(world: &World, key: &str, body: &Object) -> Option<Failure> {
    let project = refs::project_of(path_of(key)).unwrap_or_default();
    let regions = format!("compute/projects/{project}/regions/");
    let reserved = |ip: &&str| {
        let mut all = world.of("compute.addresses", &regions);
        all.any(|(_, a)| a.text("address") == *ip)
    };
    let wanted: Vec<&str> = public_addresses(body).filter(reserved).collect();
    let prefix = format!("compute/projects/{project}/zones/");
    if wanted.is_empty() {
        return None;
    }
    let others = world.of("compute.instances", &prefix);
    let taken = others
        .filter(|(other, _)| *other != key)
        .flat_map(|(_, vm)| public_addresses(&vm.body))
        .find(|ip| wanted.contains(ip))?;
    let said = format!("External IP address: {taken} is already in-use.");
    Some(Failure::new("IP_IN_USE_BY_ANOTHER_RESOURCE", said, 400))
}

fn public_addresses(vm: &Object) -> impl Iterator<Item = &str> {
    let cards = vm.get("networkInterfaces").and_then(Json::as_array);
    let configs = cards
        .into_iter()
        .flatten()
        .filter_map(|c| c.get("accessConfigs")?.as_array());
    configs.flatten().filter_map(|c| c.get("natIP")?.as_str())
}

/// Why a machine that is stopped cannot start: its processors were given away, or the zone is full.
pub fn refused_start(world: &World, key: &str, body: &Object) -> Option<Failure> {
    let path = path_of(key);
    let project = refs::project_of(path).unwrap_or_default();
    let zone = refs::after(path, "zones").unwrap_or_default();
    let mut running = body.clone();
    running.insert("status".into(), json!("RUNNING"));
    let wanted = quotas::of_machine(world, zone, &running)
        .into_iter()
        .filter(|(metric, _, _)| metric != "INSTANCES")
        .collect();
    if let Some((metric, limit, region)) = quotas::exceeded(world, project, &wanted) {
        return Some(Failure::quota(&metric, limit, region.as_deref()));
    }
    no_room(world, key, body)
}

fn no_room(world: &World, key: &str, body: &Object) -> Option<Failure> {
    let path = path_of(key);
    let project = refs::project_of(path).unwrap_or_default();
    let zone = refs::after(path, "zones").unwrap_or_default();
    let machine = body.get("machineType").and_then(Json::as_str).unwrap_or("");
    let machine = refs::last(machine);
    is_full(world, zone, machine).then(|| Failure::stocked_out(project, zone, machine))
}

/// Whether a zone has no room for machines of a type.
pub fn is_full(world: &World, zone: &str, machine: &str) -> bool {
    let since = world.now.since(world.start);
    world.scenario.stockouts.iter().any(|s| {
        s.zone == zone
            && s.machine_type.as_ref().is_none_or(|m| fits(m, machine))
            && s.from.is_none_or(|from| from.0 <= since)
            && s.until.is_none_or(|until| since < until.0)
    })
}

/// Whether a zone has no room for machines of a template.
pub fn is_out_of(world: &World, zone: &str, template: &str) -> bool {
    let machine = world
        .linked(&json!(template))
        .and_then(|(_, t)| t.body.get("properties")?.get("machineType")?.as_str())
        .map_or("", refs::last);
    is_full(world, zone, machine)
}
