//! State of the machines of a managed group: per-instance configs, the stateful policy, and what all have in common.
//!
//! Sources: API description of `PerInstanceConfig` (its statuses; "an attempt to create a per-instance configuration
//! for a VM instance that either doesn't exist or is not part of the group will result in an error"), of
//! `PreservedState` ("these stateful disks will never be deleted during autohealing, update, instance recreate
//! operations"; `autoDelete` says what becomes of them with the instance), of `StatefulPolicy`, and gcloud's own
//! refusal of a regional stateful group that redistributes. That a proactive update of a stateful group needs RECREATE
//! is told by terraform-google-vm#187. The words of the refusals are not established, and that a change of an internal
//! address replaces the machine is an assumption: a running machine cannot take one.

use serde_json::{Value as Json, json};

use super::super::refs;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::group_configs::status;
use super::group_wish::Reach;
use super::groups::{Group, Machine};
use super::rules::Rule;
use super::{instances, path_of};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &[
        "compute.instanceGroupManagers",
        "compute.regionInstanceGroupManagers",
    ],
    says: "`allInstancesConfig` sets labels and metadata of all machines; per-instance configs and the stateful policy keep disks, metadata and addresses of a machine through its recreation; a config is applied by name, or when its machine is made anew",
    source: "API description of `PerInstanceConfig`, `PreservedState` and `StatefulPolicy`; terraform-google-vm#187",
    test: "a_config_keeps_what_it_names",
}];

const KINDS: [&str; 3] = ["disks", "internalIPs", "externalIPs"];

pub fn entries<'a>(state: &'a Object, kind: &str) -> impl Iterator<Item = (&'a String, &'a Json)> {
    let map = state.get(kind).and_then(Json::as_object);
    map.into_iter().flatten()
}

/// A preserved state without what says nothing.
pub fn plain(state: &Object) -> Object {
    let says = |value: &&Json| value.as_object().is_some_and(|o| !o.is_empty());
    let all = state.iter().filter(|(_, v)| says(v));
    all.map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn name_of(machine: &Machine) -> &str {
    refs::last(&machine.key)
}

pub fn place_of(group: &Group, name: &str) -> Option<usize> {
    let mut all = group.machines.iter();
    all.position(|m| name_of(m) == name && m.stays())
}

/// Whether a body of a group asks for state of any kind.
pub fn is_stateful(body: &Object) -> bool {
    let policy = body.get("statefulPolicy").and_then(Json::as_object);
    let kept = policy.and_then(|p| p.get("preservedState")?.as_object());
    kept.is_some_and(|kept| !plain(kept).is_empty())
}

/// # Errors
/// A stateful group whose machines would change their names or their zones.
pub fn check(body: &Object, path: &str) -> Result<(), Refusal> {
    if !is_stateful(body) {
        return Ok(());
    }
    let policy = body.get("updatePolicy");
    let said = |name: &str| policy.and_then(|p| p.get(name)?.as_str());
    let refuse = |name: &str, why: &str| {
        let field = format!("resource.updatePolicy.{name}");
        let given = said(name).unwrap_or_default();
        Err(Refusal::invalid(&field, given, why))
    };
    let regional = refs::after(path, "regions").is_some();
    if regional && said("instanceRedistributionType") != Some("NONE") {
        return refuse(
            "instanceRedistributionType",
            "Stateful regional managed instance groups need the instance redistribution type NONE.",
        );
    }
    if said("type") == Some("PROACTIVE") && said("replacementMethod") != Some("RECREATE") {
        return refuse(
            "replacementMethod",
            "Stateful managed instance groups need the replacement method RECREATE.",
        );
    }
    Ok(())
}

/// Labels and metadata of all machines of a group, over those of the template ("overrides": API description of
/// `InstanceGroupManagerAllInstancesConfig`).
pub fn overlay(body: &mut Object, properties: &Object) {
    let labels: Vec<(String, Json)> = entries(properties, "labels")
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if !labels.is_empty() {
        let own = body.entry("labels").or_insert_with(|| json!({}));
        for (key, value) in labels {
            own[key] = value;
        }
    }
    if entries(properties, "metadata").next().is_some() {
        dress(body, properties, &Object::new());
    }
}

/// Whether a machine has what all machines of its group are to have.
pub fn is_uniform(group: &Group, machine: &Machine) -> bool {
    plain(&machine.properties) == plain(&group.wish.properties)
}

/// How far the config of a machine, as it is wanted, reaches into it.
pub fn pending(group: &Group, index: usize) -> Reach {
    let machine = &group.machines[index];
    let uniform = match is_uniform(group, machine) {
        true => Reach::None,
        false => Reach::Refresh,
    };
    let wanted = wanted(group, machine);
    let differs = |kind: &str| wanted.get(kind) != machine.kept.get(kind);
    match (wanted == machine.kept, differs("internalIPs")) {
        (true, _) => uniform,
        (false, true) => Reach::Replace,
        (false, false) => Reach::Refresh,
    }
}

fn wanted(group: &Group, machine: &Machine) -> Object {
    let config = group.configs.get(name_of(machine));
    config
        .filter(|c| !c.deleted)
        .map_or_else(Object::new, |c| plain(&c.preserved))
}

/// A machine takes its config over; gives what it had of it before.
pub fn take(group: &mut Group, index: usize) -> Object {
    let wanted = wanted(group, &group.machines[index]);
    let machine = &mut group.machines[index];
    let name = name_of(machine).to_string();
    let before = std::mem::replace(&mut machine.kept, wanted);
    if group.configs.get(&name).is_some_and(|c| c.deleted) {
        group.configs.remove(&name);
    }
    before
}

/// A machine that is taken away for good has no config any more.
pub fn forget(group: &mut Group, index: usize) {
    let name = name_of(&group.machines[index]).to_string();
    group.configs.remove(&name);
}

/// A machine that runs becomes what its config says now: its disks come and go, its addresses change.
pub fn refresh(world: &mut World, machine: &Machine, before: &Object) {
    let devices = |state: &Object| -> Vec<(String, Json)> {
        let all = entries(state, "disks");
        all.map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let (old, new) = (devices(before), devices(&machine.kept));
    for (device, _) in old.iter().filter(|d| !new.contains(d)) {
        detach(world, &machine.key, device);
    }
    for (device, disk) in &new {
        attach(world, &machine.key, device, disk);
    }
    let kept = machine.kept.clone();
    let literal: Vec<(String, Option<String>)> = entries(&kept, "externalIPs")
        .map(|(nic, ip)| (nic.clone(), address_of(world, ip)))
        .collect();
    world.change(&machine.key, |vm| {
        for (nic, ip) in &literal {
            set_external(vm, nic, ip.as_deref());
        }
        dress(vm, &kept, before);
    });
}

/// Sets the metadata of a preserved state, and takes that of another away.
pub fn dress(vm: &mut Object, kept: &Object, before: &Object) {
    let metadata = vm.entry("metadata").or_insert_with(|| json!({}));
    let items = metadata.get("items").and_then(Json::as_array).cloned();
    let mut items = items.unwrap_or_default();
    for (key, _) in entries(before, "metadata") {
        items.retain(|i| i["key"] != **key);
    }
    for (key, value) in entries(kept, "metadata") {
        items.retain(|i| i["key"] != **key);
        items.push(json!({ "key": key, "value": value }));
    }
    metadata["items"] = json!(items);
}

fn disks_of(vm: &mut Object) -> Option<&mut Vec<Json>> {
    vm.get_mut("disks")?.as_array_mut()
}

fn detach(world: &mut World, machine: &str, device: &str) {
    let mut source = None;
    world.change(machine, |vm| {
        if let Some(disks) = disks_of(vm)
            && let Some(at) = disks.iter().position(|d| d["deviceName"] == *device)
        {
            source = Some(disks.remove(at)["source"].clone());
        }
    });
    if let Some((disk, _)) = source.as_ref().and_then(|s| world.linked(s)) {
        instances::release(world, &disk);
    }
}

fn attach(world: &mut World, machine: &str, device: &str, disk: &Json) {
    let Some(source) = disk.get("source").filter(|s| world.linked(s).is_some()) else {
        return;
    };
    let has = world
        .live(machine)
        .and_then(|vm| vm.body.get("disks")?.as_array());
    let has = has.and_then(|d| d.iter().find(|d| d["deviceName"] == *device));
    if has.is_some_and(|d| d.get("source") == Some(source)) {
        return;
    }
    detach(world, machine, device);
    let user = json!([refs::link(path_of(machine))]);
    if let Some((key, _)) = world.linked(source)
        && let Some(resource) = world.resources.get_mut(&key)
    {
        resource.body.insert("users".into(), user);
    }
    let mode = disk.get("mode").cloned().unwrap_or(json!("READ_WRITE"));
    world.change(machine, |vm| {
        if let Some(disks) = disks_of(vm) {
            let index = disks.len();
            disks.push(json!({
                "kind": "compute#attachedDisk", "type": "PERSISTENT", "mode": mode, "source": source,
                "deviceName": device, "index": index, "boot": false, "autoDelete": false,
                "interface": "SCSI",
            }));
        }
    });
}

/// The number of an address that is given as such, or as a reservation.
fn address_of(world: &World, ip: &Json) -> Option<String> {
    let given = ip.get("ipAddress")?;
    let literal = given.get("literal").and_then(Json::as_str);
    let reserved = || {
        let (_, found) = world.linked(given.get("address")?)?;
        Some(found.text("address").to_string())
    };
    literal.map(str::to_string).or_else(reserved)
}

fn card_of<'a>(vm: &'a mut Object, nic: &str) -> Option<&'a mut Json> {
    let place = nic.strip_prefix("nic")?.parse::<usize>().ok()?;
    vm.get_mut("networkInterfaces")?.get_mut(place)
}

fn set_external(vm: &mut Object, nic: &str, ip: Option<&str>) {
    let (Some(card), Some(ip)) = (card_of(vm, nic), ip) else {
        return;
    };
    if let Some(config) = card.get_mut("accessConfigs").and_then(|c| c.get_mut(0)) {
        config["natIP"] = json!(ip);
    }
}

/// What a machine that is about to go has of the kinds that the group's stateful policy keeps.
pub fn from_policy(world: &World, policy: &Object, machine: &Machine) -> Object {
    let Some(vm) = world.live(&machine.key) else {
        return machine.carried.clone();
    };
    let mut out = Object::new();
    let put = |out: &mut Object, kind: &str, name: &str, value: Json| {
        out.entry(kind.to_string()).or_insert_with(|| json!({}))[name] = value;
    };
    for (device, wish) in entries(policy, "disks") {
        let disks = vm.body.get("disks").and_then(Json::as_array);
        let disk = disks.and_then(|d| d.iter().find(|d| d["deviceName"] == **device));
        if let Some(disk) = disk {
            let keeps = wish.get("autoDelete").cloned().unwrap_or(json!("NEVER"));
            let kept =
                json!({ "autoDelete": keeps, "mode": disk["mode"], "source": disk["source"] });
            put(&mut out, "disks", device, kept);
        }
    }
    for (kind, inner) in [("internalIPs", true), ("externalIPs", false)] {
        for (nic, wish) in entries(policy, kind) {
            let place = nic
                .strip_prefix("nic")
                .and_then(|n| n.parse::<usize>().ok());
            let card = place.and_then(|n| vm.body.get("networkInterfaces")?.get(n));
            let ip = card.and_then(|c| match inner {
                true => c.get("networkIP"),
                false => c.pointer("/accessConfigs/0/natIP"),
            });
            if let Some(ip) = ip {
                let keeps = wish.get("autoDelete").cloned().unwrap_or(json!("NEVER"));
                let kept = json!({ "autoDelete": keeps, "ipAddress": { "literal": ip } });
                put(&mut out, kind, nic, kept);
            }
        }
    }
    out
}

/// Policy and config together; the config has the last word.
fn all_of(machine: &Machine) -> Object {
    let mut out = machine.carried.clone();
    for kind in KINDS {
        for (name, value) in entries(&machine.kept, kind) {
            out.entry(kind).or_insert_with(|| json!({}))[name] = value.clone();
        }
    }
    out
}

/// Before a machine goes: its preserved disks stay, unless it goes for good and they are to go with it.
pub fn hold_disks(world: &mut World, machine: &Machine, forever: bool) {
    let mut kept = machine.clone();
    for (kind, map) in kept.carried.iter_mut() {
        if kind != "disks" {
            *map = json!({});
        }
    }
    let all = all_of(&kept);
    let goes = |wish: &Json| forever && wish["autoDelete"] == "ON_PERMANENT_INSTANCE_DELETION";
    if entries(&all, "disks").next().is_none() {
        return;
    }
    world.change(&machine.key, |vm| {
        for (device, wish) in entries(&all, "disks") {
            let disks = disks_of(vm).into_iter().flatten();
            for disk in disks.filter(|d| d["deviceName"] == **device) {
                disk["autoDelete"] = json!(goes(wish));
            }
        }
    });
}

/// The instance of a template becomes that of a machine with state.
pub fn restore(world: &World, machine: &Machine, body: &mut Object) {
    let all = all_of(machine);
    let disks = body.entry("disks").or_insert_with(|| json!([]));
    for (device, kept) in entries(&all, "disks") {
        let Some(source) = kept.get("source").filter(|s| world.linked(s).is_some()) else {
            continue;
        };
        let Some(list) = disks.as_array_mut() else {
            continue;
        };
        let named = |(at, d): (usize, &Json)| match d.get("deviceName").and_then(Json::as_str) {
            Some(name) => name == device,
            None => *device == format!("persistent-disk-{at}"),
        };
        let at = list.iter().enumerate().position(named);
        let boot = at.is_some_and(|at| list[at]["boot"] == true);
        let mode = kept.get("mode").cloned().unwrap_or(json!("READ_WRITE"));
        let entry = json!({ "source": source, "deviceName": device, "mode": mode, "boot": boot, "autoDelete": false });
        match at {
            Some(at) => list[at] = entry,
            None => list.push(entry),
        }
    }
    for (nic, kept) in entries(&all, "internalIPs") {
        if let (Some(card), Some(ip)) = (card_of(body, nic), address_of(world, kept)) {
            card["networkIP"] = json!(ip);
        }
    }
    for (nic, kept) in entries(&all, "externalIPs") {
        set_external(body, nic, address_of(world, kept).as_deref());
    }
    if entries(&machine.kept, "metadata").next().is_some() {
        dress(body, &machine.kept, &Object::new());
    }
}

/// `preservedStateFromConfig` and `preservedStateFromPolicy` of a managed instance.
pub fn show(world: &World, group: &Group, machine: &Machine, out: &mut Json) {
    if !machine.kept.is_empty() {
        out["preservedStateFromConfig"] = json!(machine.kept);
    }
    if !plain(&group.wish.policy).is_empty() {
        let policy = from_policy(world, &group.wish.policy, machine);
        out["preservedStateFromPolicy"] = json!(policy);
    }
}

/// `status.stateful` of a group.
pub fn summary(group: &Group, body: &Object) -> Json {
    let live = || group.configs.iter().filter(|(_, c)| !c.deleted);
    let has = is_stateful(body) || live().next().is_some();
    let effective = group
        .configs
        .iter()
        .all(|(name, config)| status(group, name, config) == "EFFECTIVE");
    json!({
        "hasStatefulConfig": has,
        "isStateful": has,
        "perInstanceConfigs": { "allEffective": effective },
    })
}
