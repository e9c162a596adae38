//! Machines of a managed group at rest: suspended and stopped pools.
//!
//! Sources: API description of `suspendInstances`, `stopInstances`, `resumeInstances` and `startInstances` ("You can
//! only specify instances that are running"; "reduces the targetSize and increases the targetSuspendedSize of the
//! managed instance group by the number of instances that you suspend"), of `targetSuspendedSize`,
//! `targetStoppedSize`, and of `InstanceGroupManagerStandbyPolicy` (`initialDelaySec` from 0 to 3600; SCALE_OUT_POOL
//! "automatically resumes or starts VMs in the standby pool when the group scales out, and replenishes the standby
//! pool afterwards"). The words of the refusals are not established.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::timing::{self, Happening};
use super::super::world::{Object, World};
use super::super::{Outcome, refs};
use super::group_calls::{at_once, named};
use super::group_wish::Wish;
use super::groups::{Action, Group, GroupError, Machine, Pool};
use super::rules::Rule;
use super::{Handler, capacity, existing, group_machine};
use crate::world::{Millis, Timestamp};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &[
        "compute.instanceGroupManagers",
        "compute.regionInstanceGroupManagers",
    ],
    says: "machines are suspended, stopped, resumed and started by name, which moves them between the group's three sizes; the pools are filled, and wake when the standby policy is SCALE_OUT_POOL",
    source: "API description of each method and of `InstanceGroupManagerStandbyPolicy`",
    test: "machines_rest_in_pools_and_wake",
}];

/// The pools of machines at rest.
const RESTING: [Pool; 2] = [Pool::Suspended, Pool::Stopped];

impl Pool {
    /// The field of the group that counts it.
    pub fn size_field(self) -> &'static str {
        match self {
            Pool::Running => "targetSize",
            Pool::Suspended => "targetSuspendedSize",
            Pool::Stopped => "targetStoppedSize",
        }
    }

    /// What its machines are when they have arrived.
    fn status(self) -> &'static str {
        match self {
            Pool::Running => "RUNNING",
            Pool::Suspended => "SUSPENDED",
            Pool::Stopped => "TERMINATED",
        }
    }
}

/// The handler of a method, by its last name.
pub fn method(name: &str) -> Option<Handler> {
    Some(match name {
        "suspendInstances" => |world, ask| moved(world, ask, Pool::Running, Pool::Suspended),
        "stopInstances" => |world, ask| moved(world, ask, Pool::Running, Pool::Stopped),
        "resumeInstances" => |world, ask| moved(world, ask, Pool::Suspended, Pool::Running),
        "startInstances" => |world, ask| moved(world, ask, Pool::Stopped, Pool::Running),
        _ => return None,
    })
}

/// # Errors
/// A delay that the API does not take.
pub fn check(body: &Object) -> Result<(), Refusal> {
    let policy = body.get("standbyPolicy");
    let delay = policy.and_then(|p| p.get("initialDelaySec")?.as_i64());
    match delay.filter(|d| !(0..=3600).contains(d)) {
        Some(delay) => Err(Refusal::invalid(
            "resource.standbyPolicy.initialDelaySec",
            &delay.to_string(),
            "Must be from 0 to 3600.",
        )),
        None => Ok(()),
    }
}

/// Moves the named machines from one pool to another; the group's sizes move with them.
fn moved(world: &mut World, ask: &Ask, from: Pool, to: Pool) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let chosen = named(world, ask, &key)?;
    let machines = world.groups.get(&key).map(|g| &g.machines[..]);
    for index in &chosen {
        let Some(machine) = machines.and_then(|m| m.get(*index)) else {
            continue;
        };
        if machine.pool != from || status(world, machine) != from.status() {
            let why = format!("The instance is not {}.", from.status());
            let name = refs::last(&machine.key);
            return Err(Refusal::invalid("resource.instances", name, &why));
        }
    }
    let forced = ["forceSuspend", "forceStop"]
        .iter()
        .any(|name| ask.body.get(*name) == Some(&json!(true)));
    resize(world, &key, from, -(chosen.len() as i64));
    resize(world, &key, to, chosen.len() as i64);
    Ok(at_once(world, ask, &key, |world, group| {
        for index in chosen {
            group.machines[index].pool = to;
            group.machines[index].forced = forced;
            if to == Pool::Running {
                rise(world, group, index, from);
            }
        }
    }))
}

/// Changes one of a group's sizes.
pub fn resize(world: &mut World, key: &str, pool: Pool, by: i64) {
    world.change(key, |body| {
        let have = body.get(pool.size_field()).and_then(Json::as_i64);
        let size = (have.unwrap_or(0) + by).max(0);
        body.insert(pool.size_field().into(), json!(size));
    });
}

fn status<'a>(world: &'a World, machine: &Machine) -> &'a str {
    world.live(&machine.key).map_or("", |vm| vm.text("status"))
}

fn takes(world: &World, method: &str) -> Millis {
    timing::operation(&world.scenario, &format!("compute.instances.{method}"))
}

fn set(world: &mut World, machine: &Machine, status: &str, stamp: Option<&str>) {
    let now = world.stamp();
    if let Some(vm) = world.resources.get_mut(&machine.key) {
        vm.body.insert("status".into(), json!(status));
        if let Some(field) = stamp {
            vm.body.insert(field.into(), json!(now));
        }
    }
}

/// A machine leaves its rest; where there is no room for it, it is tried again.
fn rise(world: &mut World, group: &mut Group, index: usize, from: Pool) {
    let machine = group.machines[index].clone();
    let body = world.live(&machine.key).map(|vm| vm.body.clone());
    let refused = body.and_then(|body| capacity::refused_start(world, &machine.key, &body));
    let (method, action): (_, fn(Timestamp) -> Action) = match from {
        Pool::Stopped => ("start", |until| Action::Starting { until }),
        _ => ("resume", |until| Action::Resuming { until }),
    };
    let until = match &refused {
        None => world.now.plus(takes(world, method)),
        Some(_) => world.now.plus(world.takes(Happening::CreationRetry)),
    };
    let action = action(until);
    match refused {
        None => set(world, &machine, "STAGING", None),
        Some(failure) => group.note(GroupError {
            at: world.now,
            machine: machine.key.clone(),
            action: action.name(),
            template: machine.template.clone(),
            version: machine.version.clone(),
            code: failure.code,
            message: failure.message,
        }),
    }
    // What was in memory goes on at once; what was stopped boots.
    let boots = world.takes(Happening::MachineBoot);
    let machine = &mut group.machines[index];
    machine.action = action;
    machine.forced = false;
    machine.passed = false;
    machine.ready = None;
    machine.serves = Some(match from {
        Pool::Stopped => until.plus(boots),
        _ => until,
    });
}

/// An action that led to rest or out of it is over.
pub fn arrive(world: &mut World, group: &mut Group, index: usize) {
    let machine = group.machines[index].clone();
    match machine.action {
        Action::Suspending { .. } => {
            set(world, &machine, "SUSPENDED", Some("lastSuspendedTimestamp"));
        }
        Action::Stopping { .. } => set(world, &machine, "TERMINATED", Some("lastStopTimestamp")),
        Action::Resuming { .. } if status(world, &machine) != "STAGING" => {
            return rise(world, group, index, Pool::Suspended);
        }
        Action::Starting { .. } if status(world, &machine) != "STAGING" => {
            return rise(world, group, index, Pool::Stopped);
        }
        _ => set(world, &machine, "RUNNING", Some("lastStartTimestamp")),
    }
    let machine = &mut group.machines[index];
    machine.action = Action::None;
    machine.born = world.now;
    machine.probe.answers = false;
    machine.probe.since = world.now;
}

/// A group that grows takes the machines of its pools first, where its policy says so.
pub fn wake(world: &mut World, group: &mut Group) {
    if !group.wish.wakes {
        return;
    }
    for pool in RESTING {
        for index in 0..group.machines.len() {
            let machine = &group.machines[index];
            let rests = machine.pool == pool
                && machine.action == Action::None
                && status(world, machine) == pool.status();
            if rests && group.staying() < group.wish.size {
                group.machines[index].pool = Pool::Running;
                rise(world, group, index, pool);
            }
        }
    }
}

fn wanted(wish: &Wish, pool: Pool) -> i64 {
    match pool {
        Pool::Running => wish.size,
        Pool::Suspended => wish.suspended,
        Pool::Stopped => wish.stopped,
    }
}

/// Whether the pools have what they should, and all of it rests.
pub fn is_filled(world: &World, group: &Group) -> bool {
    let rests = |m: &Machine| status(world, m) == m.pool.status();
    RESTING.into_iter().all(|pool| {
        let mut here = group.machines.iter().filter(|m| m.pool == pool);
        group.pooled(pool) == wanted(&group.wish, pool) && here.all(rests)
    })
}

/// Fills the pools, and lays to rest what belongs there; gives the moment of the next look.
pub fn turn(world: &mut World, key: &str, group: &mut Group) -> Option<Timestamp> {
    let rest = lay_to_rest(world, group);
    let mut next: Vec<Timestamp> = rest.into_iter().collect();
    for pool in RESTING {
        while group.pooled(pool) > wanted(&group.wish, pool) {
            let last = group
                .machines
                .iter()
                .rposition(|m| m.stays() && m.pool == pool);
            let Some(last) = last else { break };
            group_machine::delete(world, key, group, last);
        }
        if group.pooled(pool) < wanted(&group.wish, pool)
            && group.staying() >= group.wish.size
            && let Some(version) = group.wish.versions.iter().max_by_key(|v| v.count).cloned()
        {
            let before = group.machines.len();
            next.extend(group_machine::start(world, key, group, &version));
            if let Some(new) = group.machines.get_mut(before) {
                new.pool = pool;
            }
        }
    }
    next.into_iter().min()
}

/// Machines of the pools that still run go to their rest once the policy's delay is over.
fn lay_to_rest(world: &mut World, group: &mut Group) -> Option<Timestamp> {
    let delay = group.wish.standby_delay;
    let mut next = None;
    for index in 0..group.machines.len() {
        let machine = group.machines[index].clone();
        let (method, leaving) = match machine.pool {
            Pool::Running => continue,
            Pool::Suspended => ("suspend", "SUSPENDING"),
            Pool::Stopped => ("stop", "STOPPING"),
        };
        if machine.action != Action::None || status(world, &machine) != "RUNNING" {
            continue;
        }
        let at = machine.born.plus(delay);
        if !machine.forced && at > world.now {
            next = [next, Some(at)].into_iter().flatten().min();
            continue;
        }
        let until = world.now.plus(takes(world, method));
        set(world, &machine, leaving, None);
        let slot = &mut group.machines[index];
        slot.serves = None;
        slot.ready = None;
        slot.action = match machine.pool {
            Pool::Stopped => Action::Stopping { until },
            _ => Action::Suspending { until },
        };
        next = [next, Some(until)].into_iter().flatten().min();
    }
    next
}

/// Whether a machine stands still although its group has nothing to do with that: somebody else stopped or
/// deleted it ("if a VM stops, crashes, or is deleted by an action that the group did not start, the group
/// recreates it": Google, "About repairing VMs in a MIG").
pub fn is_lost(world: &World, machine: &Machine) -> bool {
    let rests = match machine.pool {
        Pool::Running => false,
        _ => world.live(&machine.key).is_some(),
    };
    let gone = matches!(status(world, machine), "" | "TERMINATED" | "SUSPENDED");
    machine.action == Action::None && gone && !rests
}
