//! The machines of a managed group: made, restarted, recreated, taken away.
//!
//! Sources: API description of `ManagedInstance.currentAction` and of the groups' methods; recorded
//! instances of groups (metadata `instance-template` and `created-by` with the project's number).

use serde_json::{Value as Json, json};

use super::super::failure::Failure;
use super::super::refs;
use super::super::timing::Happening;
use super::super::world::{Object, World};
use super::group_configs::Config;
use super::group_wish::{Reach, Version};
use super::groups::{self, Action, Group, GroupError, Machine, Probe};
use super::rules::Rule;
use super::{capacity, group_health, group_standby, group_state, instances, path_of};
use crate::world::{Millis, Timestamp};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &[
        "compute.instanceGroupManagers",
        "compute.regionInstanceGroupManagers",
    ],
    says: "machines start one after another, and carry `instance-template` and `created-by` in their metadata",
    source: "API description of `ManagedInstance`; recorded machines of groups",
    test: "machines_come_one_after_another_and_are_spread",
}];

/// Ends every action whose time has come.
pub fn finish(world: &mut World, key: &str, group: &mut Group) {
    let now = world.now;
    for index in 0..group.machines.len() {
        let machine = &group.machines[index];
        if machine.action.until().is_none_or(|until| until > now) {
            continue;
        }
        match machine.action {
            Action::Creating { made: false, .. } => attempt(world, key, group, index, false),
            Action::Recreating { made: false, .. } => {
                keep(world, group, index);
                discard(world, &group.machines[index], false);
                attempt(world, key, group, index, true);
            }
            Action::Creating { .. } | Action::Recreating { .. } | Action::Restarting { .. } => {
                runs(world, &mut group.machines[index]);
            }
            Action::Refreshing { .. } => group.machines[index].action = Action::None,
            Action::Suspending { .. }
            | Action::Stopping { .. }
            | Action::Resuming { .. }
            | Action::Starting { .. } => group_standby::arrive(world, group, index),
            Action::Deleting { .. } => {
                group.machines[index].carried =
                    group_state::from_policy(world, &group.wish.policy, &group.machines[index]);
                discard(world, &group.machines[index], true);
                group_state::forget(group, index);
            }
            Action::Abandoning { .. } | Action::None => {}
        }
    }
    group
        .machines
        .retain(|m| m.stays() || m.action.until().is_none_or(|until| until > now));
}

/// What a machine has to keep is noted before it is made anew, and its config is the one that is wanted.
fn keep(world: &World, group: &mut Group, index: usize) {
    group_state::take(group, index);
    let carried = group_state::from_policy(world, &group.wish.policy, &group.machines[index]);
    group.machines[index].carried = carried;
}

fn discard(world: &mut World, machine: &Machine, forever: bool) {
    group_state::hold_disks(world, machine, forever);
    if let Some(old) = world.resources.remove(&machine.key) {
        instances::removed(world, &old);
    }
}

fn runs(world: &mut World, machine: &mut Machine) {
    let at = world.stamp();
    machine.action = Action::None;
    if let Some(vm) = world.resources.get_mut(&machine.key) {
        vm.body.insert("status".into(), json!("RUNNING"));
        vm.body.insert("lastStartTimestamp".into(), json!(at));
    }
}

/// Begins a new machine of a version, in the zone that has fewest; machines of one group are started
/// one after another. Gives the moment at which the next one may start.
pub fn start(
    world: &mut World,
    key: &str,
    group: &mut Group,
    version: &Version,
) -> Option<Timestamp> {
    let gap = world.takes(Happening::NextMachine);
    let earliest = group.last_start.map_or(world.now, |t| t.plus(gap));
    if earliest > world.now {
        return Some(earliest);
    }
    let body = &world.live(key)?.body;
    let base = body.get("baseInstanceName")?.as_str()?.to_string();
    let name = format!("{base}-{}", world.mint.suffix());
    let zone = next_zone(world, group, version)?;
    begin(world, key, group, version, &zone, &name);
    group.last_start = Some(world.now);
    Some(world.now.plus(gap))
}

/// Begins a machine with a name of the caller's choice.
pub fn begin(
    world: &mut World,
    key: &str,
    group: &mut Group,
    version: &Version,
    zone: &str,
    name: &str,
) {
    let project = refs::project_of(path_of(key)).unwrap_or_default();
    let vm = format!("compute/projects/{project}/zones/{zone}/instances/{name}");
    group.machines.push(Machine::new(vm, version, world.now));
    group_state::take(group, group.machines.len() - 1);
    attempt(world, key, group, group.machines.len() - 1, false);
}

/// [`begin`] in the zone that has fewest, with the version that lacks a machine.
pub fn begin_named(world: &mut World, key: &str, group: &mut Group, name: &str) {
    let versions = &group.wish.versions;
    let rest = versions.iter().max_by_key(|v| v.count);
    let Some(version) = group.lacking().or(rest).cloned() else {
        return;
    };
    let own = group.configs.get(name).and_then(Config::zone);
    if let Some(zone) = own.or_else(|| next_zone(world, group, &version)) {
        begin(world, key, group, &version, &zone, name);
    }
}

/// Makes a machine that the group has decided on. A refusal (quota, no room in the zone) is noted and
/// tried again: a group never gives up.
fn attempt(world: &mut World, key: &str, group: &mut Group, index: usize, again: bool) {
    group.machines[index].properties = group.wish.properties.clone();
    let machine = group.machines[index].clone();
    let made = make(world, key, &machine);
    let now = world.now;
    let until = match made {
        Ok(()) => now.plus(world.takes(Happening::MachineStart)),
        Err(_) => now.plus(world.takes(Happening::CreationRetry)),
    };
    let machine = &mut group.machines[index];
    let made = match made {
        Ok(()) => true,
        Err(failure) => {
            let note = creation_error(machine, &failure, again, now);
            group.note(note);
            false
        }
    };
    let machine = &mut group.machines[index];
    machine.action = match again {
        true => Action::Recreating { until, made },
        false => Action::Creating { until, made },
    };
    if made {
        machine.born = now;
        machine.probe = Probe {
            answers: false,
            since: now,
        };
        machine.passed = false;
        machine.ready = None;
        let boot = group_health::behaviour(world, &machine.key).and_then(|b| b.boots_in);
        let boot = boot.map_or(world.takes(Happening::MachineBoot), |s| s.0);
        machine.serves = Some(now.plus(boot).max(until));
    }
}

fn creation_error(machine: &Machine, failure: &Failure, again: bool, at: Timestamp) -> GroupError {
    GroupError {
        at,
        machine: machine.key.clone(),
        action: if again { "RECREATING" } else { "CREATING" },
        template: machine.template.clone(),
        version: machine.version.clone(),
        code: failure.code.clone(),
        message: failure.message.clone(),
    }
}

/// Takes a machine down and makes it anew under its name.
pub fn recreate(
    world: &mut World,
    key: &str,
    group: &mut Group,
    index: usize,
) -> Option<Timestamp> {
    let until = world.now.plus(gone_in(world, key));
    let machine = group.machines.get_mut(index)?;
    machine.action = Action::Recreating { until, made: false };
    machine.ready = None;
    machine.serves = None;
    instances::stopping(world, &machine.key);
    Some(until)
}

fn gone_in(world: &World, key: &str) -> Millis {
    let gone = world.takes(Happening::MachineGone);
    Millis(gone.0 + groups::draining(world, key).0)
}

/// Takes a machine away for good.
pub fn delete(world: &mut World, key: &str, group: &mut Group, index: usize) -> Option<Timestamp> {
    let drained = gone_in(world, key);
    let machine = group.machines.get_mut(index)?;
    let exists = world.live(&machine.key).is_some();
    let until = match exists {
        true => world.now.plus(drained),
        false => world.now,
    };
    machine.action = Action::Deleting { until };
    instances::stopping(world, &machine.key);
    Some(until)
}

/// Brings a machine to a version without replacing it.
pub fn update_in_place(
    world: &mut World,
    group: &mut Group,
    index: usize,
    version: &Version,
    reach: Reach,
) -> Option<Timestamp> {
    let restart = world.takes(Happening::MachineRestart);
    let boot = world.takes(Happening::MachineBoot);
    let start = world.takes(Happening::MachineStart);
    let refresh = world.takes(Happening::MachineRefresh);
    let machine = group.machines.get_mut(index)?;
    machine.template = version.template.clone();
    machine.version = version.name.clone();
    let before = group_state::take(group, index);
    let slot = group.machines.get_mut(index)?;
    slot.properties = group.wish.properties.clone();
    let machine = slot.clone();
    apply_template(world, &machine, reach);
    group_state::refresh(world, &machine, &before);
    let slot = group.machines.get_mut(index)?;
    let until = match reach {
        Reach::Restart => {
            let until = world.now.plus(restart);
            instances::stopping(world, &slot.key);
            slot.born = world.now;
            slot.serves = Some(until.plus(Millis((boot.0 - start.0).max(0))));
            slot.passed = false;
            slot.ready = None;
            slot.probe = Probe {
                answers: false,
                since: world.now,
            };
            slot.action = Action::Restarting { until };
            until
        }
        _ => {
            let until = world.now.plus(refresh);
            slot.action = Action::Refreshing { until };
            until
        }
    };
    Some(until)
}

/// Parts of a template that a running machine takes, and those that need a restart ("Updating
/// instances in a MIG": labels, metadata and tags are refreshed; machine type, service account and
/// scheduling need a restart; boot disks and networks a replacement).
const REFRESHED: [&str; 3] = ["labels", "metadata", "tags"];
const RESTARTED: [&str; 6] = [
    "machineType",
    "minCpuPlatform",
    "scheduling",
    "serviceAccounts",
    "shieldedInstanceConfig",
    "guestAccelerators",
];

/// How far the difference of two templates reaches.
pub fn difference(world: &World, old: &str, new: &str) -> Reach {
    if old == new {
        return Reach::None;
    }
    let properties = |link: &str| {
        let (_, template) = world.linked(&json!(link))?;
        template.body.get("properties")?.as_object().cloned()
    };
    let (Some(old), Some(new)) = (properties(old), properties(new)) else {
        return Reach::Replace;
    };
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter(|name| plain(&old, name) != plain(&new, name))
        .map(|name| match name.as_str() {
            "description" => Reach::None,
            n if REFRESHED.contains(&n) => Reach::Refresh,
            n if RESTARTED.contains(&n) => Reach::Restart,
            _ => Reach::Replace,
        })
        .max()
        .unwrap_or(Reach::None)
}

/// A property without the fingerprints that every template has of its own.
fn plain(properties: &Object, name: &str) -> Option<Json> {
    let mut value = properties.get(name)?.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("fingerprint");
    }
    Some(value)
}

fn apply_template(world: &mut World, machine: &Machine, reach: Reach) {
    let Some((_, template)) = world.linked(&json!(machine.template)) else {
        return;
    };
    let Some(mut fresh) = template
        .body
        .get("properties")
        .and_then(Json::as_object)
        .cloned()
    else {
        return;
    };
    let project = refs::project_of(path_of(&machine.key)).unwrap_or_default();
    let zone = refs::after(&machine.key, "zones").unwrap_or_default();
    let name = refs::last(&machine.key);
    qualify(&mut fresh, project, zone, name);
    let by = world
        .live(&machine.key)
        .and_then(|vm| created_by(&vm.body))
        .unwrap_or_default();
    let template = numbered(world, project, &machine.template);
    mark(&mut fresh, &template, &by);
    group_state::overlay(&mut fresh, &machine.properties);
    instances::stamp_metadata(world, &mut fresh);
    let taken = REFRESHED
        .iter()
        .chain(RESTARTED.iter().filter(|_| reach == Reach::Restart));
    world.change(&machine.key, |body| {
        for name in taken {
            if let Some(value) = fresh.get(*name) {
                body.insert(name.to_string(), value.clone());
            }
        }
    });
}

fn created_by(vm: &Object) -> Option<String> {
    let items = vm.get("metadata")?.get("items")?.as_array()?;
    let item = items.iter().find(|i| i["key"] == "created-by")?;
    Some(item.get("value")?.as_str()?.to_string())
}

/// A template's short names become the instance's links.
fn qualify(body: &mut Object, project: &str, zone: &str, name: &str) {
    let holder = format!("projects/{project}/zones/{zone}");
    let machine = body
        .get("machineType")
        .and_then(Json::as_str)
        .unwrap_or("")
        .to_string();
    body.insert(
        "machineType".into(),
        json!(refs::link(&format!("{holder}/machineTypes/{machine}"))),
    );
    body.insert("name".into(), json!(name));
}

fn numbered(world: &World, project: &str, link: &str) -> String {
    let path = link.strip_prefix(refs::LINK_ROOT).unwrap_or(link);
    let number = world.project_number(project);
    path.replacen(
        &format!("projects/{project}/"),
        &format!("projects/{number}/"),
        1,
    )
}

fn mark(body: &mut Object, template: &str, created_by: &str) {
    let mut items = body
        .get("metadata")
        .and_then(|m| m.get("items"))
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    items.push(json!({ "key": "instance-template", "value": template }));
    items.push(json!({ "key": "created-by", "value": created_by }));
    body.insert("metadata".into(), json!({ "items": items }));
}

/// Puts the instance there, or says why there is none.
fn make(world: &mut World, key: &str, machine: &Machine) -> Result<(), Failure> {
    let path = path_of(key).to_string();
    let vm_path = path_of(&machine.key).to_string();
    let project = refs::project_of(&path).unwrap_or_default().to_string();
    let zone = refs::after(&vm_path, "zones")
        .unwrap_or_default()
        .to_string();
    let name = refs::last(&vm_path).to_string();
    let found = world.linked(&json!(machine.template));
    let properties = found.and_then(|(_, t)| t.body.get("properties")?.as_object().cloned());
    let mut body = properties.ok_or_else(|| {
        Failure::not_found(machine.template.strip_prefix(refs::LINK_ROOT).unwrap_or(""))
    })?;
    qualify(&mut body, &project, &zone, &name);
    let template = numbered(world, &project, &machine.template);
    let by = numbered(world, &project, &path);
    mark(&mut body, &template, &by);
    group_state::overlay(&mut body, &machine.properties);
    group_state::restore(world, machine, &mut body);
    for (field, value) in [
        ("kind", json!("compute#instance")),
        ("id", json!(world.mint.id())),
        ("creationTimestamp", json!(world.stamp())),
        (
            "zone",
            json!(refs::link(&format!("projects/{project}/zones/{zone}"))),
        ),
        ("selfLink", json!(refs::link(&vm_path))),
        ("fingerprint", json!(world.mint.fingerprint())),
        ("labelFingerprint", json!(world.mint.fingerprint())),
    ] {
        body.insert(field.into(), value);
    }
    if let Some(failure) = capacity::refused_machine(world, &machine.key, &body) {
        return Err(failure);
    }
    instances::prepare(world, &machine.key, &mut body).map_err(|f| Failure::of(&f))?;
    body.insert("status".into(), json!("STAGING"));
    world.put(&machine.key, "compute.instances", body);
    Ok(())
}

/// The zone with the fewest machines; a shape other than EVEN passes zones by that have no room.
fn next_zone(world: &World, group: &Group, version: &Version) -> Option<String> {
    let counted = |zone: &str| {
        let here = |m: &&Machine| m.works() && refs::after(&m.key, "zones") == Some(zone);
        let of_version = |m: &&Machine| m.version == version.name && m.template == version.template;
        let machines = || group.machines.iter().filter(here);
        (machines().filter(of_version).count(), machines().count())
    };
    let shut = |zone: &str| !group.wish.even && capacity::is_out_of(world, zone, &version.template);
    group
        .wish
        .zones
        .iter()
        .min_by_key(|z| {
            let (of_version, all) = counted(z);
            // While versions change, the new ones are spread; the old ones leave anyway.
            let spread = match group.has_its_versions() || group.evening {
                true => (all, of_version),
                false => (of_version, all),
            };
            (shut(z), spread)
        })
        .cloned()
}
