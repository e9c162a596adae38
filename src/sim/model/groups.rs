//! Managed instance groups, regional and zonal.
//!
//! Sources: the API description (`InstanceGroupManager.currentActions`, `status.isStable`,
//! `status.versionTarget`; "the operation is marked as DONE when the group is scheduled, even if the
//! instances have not been created"), recorded zonal groups for the defaults. Not simulated: surge and
//! unavailability beyond one machine at a time, autohealing, stateful policies.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::fault::Fault;
use super::super::operation::{self, Then};
use super::super::refs;
use super::super::timing::{self, Happening};
use super::super::world::{Due, Object, World};
use super::{Change, balancing, group_spec, instances, path_of};
use crate::world::{Millis, Timestamp};

/// What happens to one machine of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Creating { until: Timestamp },
    None,
    Deleting { until: Timestamp },
}

/// One machine of a group.
#[derive(Clone, Debug)]
pub struct Machine {
    pub key: String,
    pub template: String,
    /// The name of its version; changes of it alone roll the group as well.
    pub version: String,
    pub action: Action,
    pub booted: Option<Timestamp>,
}

/// What a group has, and what it knows of its wishes: those lag behind the resource for a moment.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub machines: Vec<Machine>,
    /// The target size as last noticed.
    size: i64,
    versions: Json,
    last_start: Option<Timestamp>,
    /// Machines are being deleted together with the group.
    closing: bool,
}

pub fn inserted(world: &mut World, key: &str) -> Vec<Then> {
    let body = world.live(key).map(|r| r.body.clone()).unwrap_or_default();
    let group = Group {
        size: body.get("targetSize").and_then(Json::as_i64).unwrap_or(0),
        versions: body.get("versions").cloned().unwrap_or_default(),
        ..Group::default()
    };
    world.groups.insert(key.to_string(), group);
    vec![Then::Happen(Due::GroupMoves(key.to_string()))]
}

/// A patch's or a resize's wishes are noticed a moment after the operation.
pub fn noticed_later(world: &mut World, key: &str) {
    let length = timing::operation(&world.scenario, "compute.regionInstanceGroupManagers.patch");
    let at = world
        .now
        .plus(length)
        .plus(world.takes(Happening::GroupNotice));
    world.schedule(at, Due::GroupMoves(key.to_string()));
}

/// # Errors
/// Versions or limits that the API refuses, or a size that an autoscaler owns.
pub fn changing(world: &World, ask: &Ask, change: &Change, new: &mut Object) -> Result<(), Fault> {
    let _ = world;
    // The template alone in a patch means one version with it.
    if ask.body.contains_key("instanceTemplate") && !ask.body.contains_key("versions") {
        let template = new.get("instanceTemplate").cloned().unwrap_or_default();
        new.insert("versions".into(), json!([{ "instanceTemplate": template }]));
    }
    if new.get("baseInstanceName").is_none()
        && let Some(base) = change.old.get("baseInstanceName")
    {
        new.insert("baseInstanceName".into(), base.clone());
    }
    if let Some(group) = change.old.get("instanceGroup") {
        new.insert("instanceGroup".into(), group.clone());
    }
    group_spec::complete(new)
}

/// One turn of a group: notices its wishes, finishes what is due, and starts at most one thing.
pub fn moves(world: &mut World, key: &str) {
    let Some(mut group) = world.groups.remove(key) else {
        return;
    };
    if let (Some(resource), false) = (world.live(key), group.closing) {
        group.size = resource
            .body
            .get("targetSize")
            .and_then(Json::as_i64)
            .unwrap_or(0);
        group.versions = resource.body.get("versions").cloned().unwrap_or_default();
    }
    finish(world, &mut group);
    let again = match group.closing {
        true => None,
        false => reconcile(world, key, &mut group),
    };
    let next = group
        .machines
        .iter()
        .filter_map(|m| match m.action {
            Action::Creating { until } | Action::Deleting { until } => Some(until),
            Action::None => None,
        })
        .chain(again)
        .min();
    world.groups.insert(key.to_string(), group);
    if let Some(at) = next {
        let due = Due::GroupMoves(key.to_string());
        if !world.is_scheduled_before(&due, at) {
            world.schedule(at, due);
        }
    }
}

fn finish(world: &mut World, group: &mut Group) {
    let now = world.now;
    let mut gone = Vec::new();
    for machine in &mut group.machines {
        match machine.action {
            Action::Creating { until } if until <= now => {
                machine.action = Action::None;
                machine.booted = Some(until);
                if let Some(vm) = world.resources.get_mut(&machine.key) {
                    vm.body.insert("status".into(), json!("RUNNING"));
                }
            }
            Action::Deleting { until } if until <= now => gone.push(machine.key.clone()),
            _ => {}
        }
    }
    group.machines.retain(|m| !gone.contains(&m.key));
    for key in gone {
        if let Some(old) = world.resources.remove(&key) {
            instances::removed(world, &old);
        }
    }
}

/// Starts what is missing; gives the moment of the next look when something has to wait.
fn reconcile(world: &mut World, key: &str, group: &mut Group) -> Option<Timestamp> {
    let alive = group
        .machines
        .iter()
        .filter(|m| !matches!(m.action, Action::Deleting { .. }))
        .count() as i64;
    let gap = world.takes(Happening::NextMachine);
    if alive < group.size {
        return start_next(world, key, group, gap);
    }
    let busy = group.machines.iter().any(|m| m.action != Action::None);
    let wanted = wanted_versions(&group.versions, group.size);
    if alive > group.size {
        // While a replacement boots, the group has one machine too many.
        let waits = proactive(world, key)
            && group
                .machines
                .iter()
                .any(|m| matches!(m.action, Action::Creating { .. }));
        if waits || (proactive(world, key) && !all_verified(world, key, group)) {
            return Some(world.now.plus(Millis::secs(5)));
        }
        let victim = surplus(group, &wanted);
        return delete_machine(world, group, victim);
    }
    if !proactive(world, key) || outdated(group, &wanted).is_none() {
        return None;
    }
    if busy || !all_verified(world, key, group) {
        return Some(world.now.plus(Millis::secs(5)));
    }
    let surge = world
        .live(key)
        .and_then(|r| {
            r.body
                .get("updatePolicy")?
                .get("maxSurge")?
                .get("fixed")?
                .as_i64()
        })
        .unwrap_or(1);
    if surge > 0 {
        return start_next(world, key, group, gap);
    }
    let victim = outdated(group, &wanted);
    delete_machine(world, group, victim)
}

fn proactive(world: &World, key: &str) -> bool {
    world
        .live(key)
        .and_then(|r| r.body.get("updatePolicy")?.get("type")?.as_str())
        == Some("PROACTIVE")
}

fn start_next(world: &mut World, key: &str, group: &mut Group, gap: Millis) -> Option<Timestamp> {
    let earliest = group.last_start.map_or(world.now, |t| t.plus(gap));
    if earliest > world.now {
        return Some(earliest);
    }
    group.last_start = Some(world.now);
    if let Some(machine) = create(world, key, group) {
        group.machines.push(machine);
    }
    Some(world.now.plus(gap))
}

fn delete_machine(
    world: &mut World,
    group: &mut Group,
    victim: Option<usize>,
) -> Option<Timestamp> {
    let until = world.now.plus(world.takes(Happening::MachineGone));
    let machine = group.machines.get_mut(victim?)?;
    machine.action = Action::Deleting { until };
    let key = machine.key.clone();
    instances::stopping(world, &key);
    Some(world.now.plus(Millis::secs(1)))
}

/// How many machines each version is to have, as (version name, template, count).
fn wanted_versions(versions: &Json, size: i64) -> Vec<(String, String, i64)> {
    let list = versions.as_array().map(Vec::as_slice).unwrap_or_default();
    let share = |v: &Json| {
        if group_spec::takes_the_rest(v) {
            return None;
        }
        let target = v.get("targetSize")?;
        let fixed = target.get("fixed").and_then(Json::as_i64);
        let percent = target.get("percent").and_then(Json::as_i64);
        Some(
            fixed
                .or(percent.map(|p| (size * p + 99) / 100))
                .unwrap_or(0)
                .clamp(0, size),
        )
    };
    let taken: i64 = list.iter().filter_map(share).sum();
    list.iter()
        .map(|v| {
            let text = |name: &str| v.get(name).and_then(Json::as_str).unwrap_or("").to_string();
            let count = share(v).unwrap_or((size - taken).max(0));
            (text("name"), text("instanceTemplate"), count)
        })
        .collect()
}

fn count_of(group: &Group, name: &str, template: &str) -> i64 {
    group
        .machines
        .iter()
        .filter(|m| !matches!(m.action, Action::Deleting { .. }))
        .filter(|m| m.version == name && m.template == template)
        .count() as i64
}

/// A machine of a version that has more than it should.
fn outdated(group: &Group, wanted: &[(String, String, i64)]) -> Option<usize> {
    group.machines.iter().position(|m| {
        let target = wanted
            .iter()
            .find(|(n, t, _)| *n == m.version && *t == m.template)
            .map_or(0, |w| w.2);
        !matches!(m.action, Action::Deleting { .. })
            && count_of(group, &m.version, &m.template) > target
    })
}

fn surplus(group: &Group, wanted: &[(String, String, i64)]) -> Option<usize> {
    outdated(group, wanted).or_else(|| {
        group
            .machines
            .iter()
            .rposition(|m| !matches!(m.action, Action::Deleting { .. }))
    })
}

/// Makes one machine of the version that lacks most, in the zone that has fewest.
fn create(world: &mut World, key: &str, group: &Group) -> Option<Machine> {
    let resource = world.live(key)?.body.clone();
    let path = path_of(key).to_string();
    let project = refs::project_of(&path)?.to_string();
    let wanted = wanted_versions(&group.versions, group.size);
    let (version, template, _) = wanted
        .iter()
        .find(|(n, t, count)| count_of(group, n, t) < *count)
        .or_else(|| wanted.last())?
        .clone();
    let zone = next_zone(&resource, &path, group)?;
    let base = resource
        .get("baseInstanceName")
        .and_then(Json::as_str)?
        .to_string();
    let name = format!("{base}-{}", world.mint.suffix());
    let vm_path = format!("projects/{project}/zones/{zone}/instances/{name}");
    let (_, found) = world.linked(&json!(template))?;
    let mut body = found.body.get("properties")?.as_object()?.clone();
    qualify(&mut body, &project, &zone, &name);
    let number = world.project_number(&project);
    let template_path = template.strip_prefix(refs::LINK_ROOT).unwrap_or(&template);
    let by_number = |p: &str| {
        p.replacen(
            &format!("projects/{project}/"),
            &format!("projects/{number}/"),
            1,
        )
    };
    let mut items = body
        .get("metadata")
        .and_then(|m| m.get("items"))
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    items.push(json!({ "key": "instance-template", "value": by_number(template_path) }));
    items.push(json!({ "key": "created-by", "value": by_number(&path) }));
    body.insert("metadata".into(), json!({ "items": items }));
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
    let vm_key = format!("compute/{vm_path}");
    instances::prepare(world, &vm_key, &mut body).ok()?;
    body.insert("status".into(), json!("STAGING"));
    world.put(&vm_key, "compute.instances", body);
    let until = world.now.plus(world.takes(Happening::MachineBoot));
    Some(Machine {
        key: vm_key,
        template,
        version,
        action: Action::Creating { until },
        booted: None,
    })
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

fn zones_of(resource: &Object, path: &str) -> Vec<String> {
    if let Some(zone) = refs::after(path, "zones") {
        return vec![zone.to_string()];
    }
    resource
        .get("distributionPolicy")
        .and_then(|d| d.get("zones"))
        .and_then(Json::as_array)
        .map(|zones| {
            zones
                .iter()
                .filter_map(|z| z.get("zone").and_then(Json::as_str))
                .map(|z| refs::last(z).to_string())
                .collect()
        })
        .unwrap_or_default()
}

fn next_zone(resource: &Object, path: &str, group: &Group) -> Option<String> {
    let here = |zone: &str| {
        group
            .machines
            .iter()
            .filter(|m| refs::after(&m.key, "zones") == Some(zone))
            .count()
    };
    zones_of(resource, path).into_iter().min_by_key(|z| here(z))
}

/// Whether every machine that should answer its health check does; groups without a policy ask nothing.
fn all_verified(world: &World, key: &str, group: &Group) -> bool {
    !group
        .machines
        .iter()
        .any(|m| m.action == Action::None && verifying(world, key, m))
}

/// With a health check, a machine counts as being verified until it answers.
pub fn verifying(world: &World, key: &str, machine: &Machine) -> bool {
    match healing_check(world, key) {
        Some(check) => !balancing::answers(world, machine, &check),
        None => false,
    }
}

/// The health check of a group's autohealing policy.
pub fn healing_check(world: &World, key: &str) -> Option<Json> {
    let policy = world
        .live(key)?
        .body
        .get("autoHealingPolicies")?
        .as_array()?
        .first()?;
    let (_, check) = world.linked(policy.get("healthCheck")?)?;
    Some(Json::Object(check.body.clone()))
}

/// `currentActions` and `status`, as they stand now.
pub fn view(world: &World, key: &str, body: &mut Object) {
    let Some(group) = world.groups.get(key) else {
        return;
    };
    let mut counts = [0i64; 4];
    for machine in &group.machines {
        let index = match machine.action {
            Action::Creating { .. } => 0,
            Action::Deleting { .. } => 1,
            Action::None if verifying(world, key, machine) => 2,
            Action::None => 3,
        };
        counts[index] += 1;
    }
    let [creating, deleting, verifying, none] = counts;
    body.insert(
        "currentActions".into(),
        json!({
            "none": none, "creating": creating, "creatingWithoutRetries": 0, "verifying": verifying,
            "recreating": 0, "deleting": deleting, "abandoning": 0, "restarting": 0, "refreshing": 0,
            "suspending": 0, "resuming": 0, "stopping": 0, "starting": 0,
        }),
    );
    let wanted = wanted_versions(&group.versions, group.size);
    let is_reached = wanted
        .iter()
        .all(|(n, t, count)| count_of(group, n, t) == *count);
    let stable = creating + deleting + verifying == 0 && none == group.size;
    let mut status = json!({
        "isStable": stable,
        "allInstancesConfig": { "effective": true },
        "versionTarget": { "isReached": is_reached },
        "stateful": { "hasStatefulConfig": false, "isStateful": false, "perInstanceConfigs": { "allEffective": true } },
    });
    let path = path_of(key);
    if let Some(scaler) = super::autoscalers::of_group(world, path) {
        status["autoscaler"] = json!(refs::link(&scaler));
    }
    body.insert("status".into(), status);
    view_versions(body, &wanted);
    if let Some(ports) = world
        .compute(&path.replace("/instanceGroupManagers/", "/instanceGroups/"))
        .and_then(|g| g.body.get("namedPorts"))
    {
        body.insert("namedPorts".into(), ports.clone());
    }
}

fn view_versions(body: &mut Object, wanted: &[(String, String, i64)]) {
    let Some(versions) = body.get_mut("versions").and_then(Json::as_array_mut) else {
        return;
    };
    for version in versions {
        let template = version
            .get("instanceTemplate")
            .and_then(Json::as_str)
            .unwrap_or("")
            .to_string();
        let name = version
            .get("name")
            .and_then(Json::as_str)
            .unwrap_or("")
            .to_string();
        if let Some((_, _, count)) = wanted.iter().find(|(n, t, _)| *n == name && *t == template) {
            let target = version
                .as_object_mut()
                .map(|v| v.entry("targetSize").or_insert_with(|| json!({})));
            if let Some(target) = target {
                target["calculated"] = json!(count);
            }
        }
    }
}

/// The size of the group beside a manager.
pub fn view_members(world: &World, key: &str, body: &mut Object) {
    let manager = key.replace("/instanceGroups/", "/instanceGroupManagers/");
    if let Some(group) = world.groups.get(&manager) {
        body.insert("size".into(), json!(group.machines.len()));
    }
}

/// Deletes all machines; the operation lasts until they are gone.
pub fn removing(world: &mut World, key: &str) -> Millis {
    let span = world.takes(Happening::MachineGone);
    let until = world.now.plus(span);
    let Some(mut group) = world.groups.remove(key) else {
        return span;
    };
    group.closing = true;
    group.size = 0;
    for machine in &mut group.machines {
        machine.action = Action::Deleting { until };
        instances::stopping(world, &machine.key);
    }
    world.groups.insert(key.to_string(), group);
    world.schedule(until, Due::GroupMoves(key.to_string()));
    span.max(Millis::secs(5))
}

pub fn removed(world: &mut World, key: &str) {
    moves(world, key);
    world.groups.remove(key);
    let beside = key.replace("/instanceGroupManagers/", "/instanceGroups/");
    world.resources.remove(&beside);
}

/// The answer to a call that only changes what a group wants.
pub fn begin(world: &mut World, ask: &Ask, key: &str) -> Json {
    noticed_later(world, key);
    operation::begin(world, ask, key, Vec::new())
}
