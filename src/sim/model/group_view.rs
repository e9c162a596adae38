//! How a managed group shows itself: `currentActions`, `status`, its machines and its errors.
//!
//! Source: API description (`status.isStable`: "none of the instances in the group is currently
//! undergoing any type of change; no future changes are scheduled"; `status.versionTarget.isReached`:
//! "all instances are in their target version"; `ManagedInstance`; `InstanceManagedByIgmError`).

use serde_json::{Value as Json, json};

use super::super::refs;
use super::super::world::{Object, World};
use super::group_wish::{Wish, absolute};
use super::groups::{Action, Group, GroupError, Machine};
use super::rules::Rule;
use super::{
    autoscalers, group_health, group_roll, group_standby, group_state, path_of, unmanaged,
};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &[
        "compute.instanceGroupManagers",
        "compute.regionInstanceGroupManagers",
    ],
    says: "`isStable`, `versionTarget.isReached`, `currentActions`, managed machines and errors follow from what the group does",
    source: "API description of `InstanceGroupManagerStatus`, `ManagedInstance` and `InstanceManagedByIgmError`",
    test: "a_canary_is_a_share_of_the_group",
}];

/// `ManagedInstance.currentAction`.
pub fn action_of(machine: &Machine, wish: &Wish) -> &'static str {
    match group_health::verifying(machine, wish) {
        true => "VERIFYING",
        false => machine.action.name(),
    }
}

/// The counters of `currentActions`; all of them are always there (recorded groups).
const COUNTERS: [(&str, &str); 13] = [
    ("none", "NONE"),
    ("creating", "CREATING"),
    ("creatingWithoutRetries", "CREATING_WITHOUT_RETRIES"),
    ("verifying", "VERIFYING"),
    ("recreating", "RECREATING"),
    ("deleting", "DELETING"),
    ("abandoning", "ABANDONING"),
    ("restarting", "RESTARTING"),
    ("refreshing", "REFRESHING"),
    ("suspending", "SUSPENDING"),
    ("resuming", "RESUMING"),
    ("stopping", "STOPPING"),
    ("starting", "STARTING"),
];

fn is_stable(world: &World, group: &Group) -> bool {
    let calm = group
        .machines
        .iter()
        .all(|m| action_of(m, &group.wish) == "NONE");
    calm && group.staying() == group.wish.size
        && group_standby::is_filled(world, group)
        && !group_roll::is_rolling(world, group)
}

/// `currentActions`, `status` and what the versions' sizes come to, as they stand now.
pub fn view(world: &World, key: &str, body: &mut Object) {
    let Some(group) = world.groups.get(key) else {
        return;
    };
    let mut counts = Object::new();
    for (name, action) in COUNTERS {
        let count = group
            .machines
            .iter()
            .filter(|m| action_of(m, &group.wish) == action)
            .count();
        counts.insert(name.into(), json!(count));
    }
    body.insert("currentActions".into(), Json::Object(counts));
    let mut status = json!({
        "isStable": is_stable(world, group),
        "allInstancesConfig": { "effective": group.machines.iter().all(|m| group_state::is_uniform(group, m)) },
        "versionTarget": { "isReached": group.has_its_versions() },
        "stateful": group_state::summary(group, body),
    });
    let path = path_of(key);
    if let Some(scaler) = autoscalers::of_group(world, path) {
        status["autoscaler"] = json!(refs::link(&scaler));
    }
    body.insert("status".into(), status);
    view_sizes(body, path);
    if let Some(ports) = world
        .compute(&path.replace("/instanceGroupManagers/", "/instanceGroups/"))
        .and_then(|g| g.body.get("namedPorts"))
    {
        body.insert("namedPorts".into(), ports.clone());
    }
}

/// `calculated` of the versions' sizes and of the update policy's limits.
fn view_sizes(body: &mut Object, path: &str) {
    let wish = Wish::of(body, path);
    let versions = body.get_mut("versions").and_then(Json::as_array_mut);
    for (version, wanted) in versions.into_iter().flatten().zip(&wish.versions) {
        if let Some(fields) = version.as_object_mut() {
            fields.entry("targetSize").or_insert_with(|| json!({}))["calculated"] =
                json!(wanted.count);
        }
    }
    let Some(policy) = body.get_mut("updatePolicy") else {
        return;
    };
    for name in ["maxSurge", "maxUnavailable"] {
        if let Some(limit) = policy.get_mut(name)
            && let Some(number) = absolute(limit, wish.size)
        {
            limit["calculated"] = json!(number);
        }
    }
}

/// The size of an instance group.
pub fn view_members(world: &World, key: &str, body: &mut Object) {
    let size = unmanaged::members(world, key).len();
    body.insert("size".into(), json!(size));
}

/// `listManagedInstances`.
pub fn machines(world: &World, key: &str) -> Vec<Json> {
    let Some(group) = world.groups.get(key) else {
        return Vec::new();
    };
    let check = group_health::healing_check(world, group.wish.healing.as_ref());
    group
        .machines
        .iter()
        .map(|m| managed(world, group, m, check.as_ref()))
        .collect()
}

fn managed(world: &World, group: &Group, machine: &Machine, check: Option<&Object>) -> Json {
    let path = path_of(&machine.key);
    let vm = world.live(&machine.key);
    let mut out = json!({
        "instance": refs::link(path),
        "name": refs::last(path),
        "currentAction": action_of(machine, &group.wish),
        "version": { "instanceTemplate": machine.template, "name": machine.version },
    });
    if let Some(vm) = vm {
        out["instanceStatus"] = json!(vm.text("status"));
        out["id"] = vm.body.get("id").cloned().unwrap_or_default();
    }
    group_state::show(world, group, machine, &mut out);
    let last = group.errors.iter().rev().find(|e| e.machine == machine.key);
    let failing = !matches!(machine.action, Action::None) || !machine.passed;
    if let (Some(error), true) = (last, failing) {
        out["lastAttempt"] = json!({ "errors": { "errors": [
            { "code": error.code, "message": error.message }
        ] } });
    }
    if let (Some(check), Some(_), true) = (check, machine.serves, machine.stays()) {
        let link = group.wish.healing.as_ref().map(|h| h.check.as_str());
        let state = group_health::state(world, machine, check);
        out["instanceHealth"] = json!([{ "healthCheck": link, "detailedHealthState": state }]);
    }
    out
}

/// `listErrors`, the newest first.
pub fn errors(world: &World, key: &str) -> Vec<Json> {
    let Some(group) = world.groups.get(key) else {
        return Vec::new();
    };
    group.errors.iter().rev().map(error_json).collect()
}

fn error_json(error: &GroupError) -> Json {
    json!({
        "error": { "code": error.code, "message": error.message },
        "instanceActionDetails": {
            "action": error.action,
            "instance": refs::link(path_of(&error.machine)),
            "version": { "instanceTemplate": error.template, "name": error.version },
        },
        "timestamp": super::super::world::pacific(error.at),
    })
}
