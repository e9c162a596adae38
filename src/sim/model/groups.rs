//! Managed instance groups, regional and zonal: their state, and one turn of it.
//!
//! A group is a state machine on the clock. Its wishes are noticed a moment after an operation; then
//! each turn finishes what is due, looks at the health of the machines, and starts what is missing.
//!
//! Sources: the API description ("the operation is marked as DONE when the group is scheduled, even if
//! the instances have not been created"; `InstanceGroupManager.currentActions`, `status.isStable`),
//! recorded zonal groups for the defaults.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::operation::{self, Then};
use super::super::refusal::Refusal;
use super::super::timing::{self, Happening};
use super::super::world::{Due, Object, World};
use super::group_configs::Config;
use super::group_wish::{Version, Wish};
use super::rules::Rule;
use super::{
    Change, group_health, group_machine, group_roll, group_spec, group_standby, instances, path_of,
    scaling, usage,
};
use crate::world::{Millis, Timestamp};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &[
        "compute.instanceGroupManagers",
        "compute.regionInstanceGroupManagers",
    ],
    says: "the operation is done before the machines are; a change is noticed some seconds later",
    source: "API description of `regionInstanceGroupManagers.insert`",
    test: "a_new_template_rolls_one_machine_at_a_time",
}];

/// What happens to one machine of a group (`ManagedInstance.currentAction`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    None,
    /// `made`: the machine exists; else its creation was refused and is tried again at `until`.
    Creating {
        until: Timestamp,
        made: bool,
    },
    /// `made`: the new machine exists; else the old one is going, or the creation was refused.
    Recreating {
        until: Timestamp,
        made: bool,
    },
    Restarting {
        until: Timestamp,
    },
    Refreshing {
        until: Timestamp,
    },
    /// On its way into a pool of machines at rest, or out of it.
    Suspending {
        until: Timestamp,
    },
    Resuming {
        until: Timestamp,
    },
    Stopping {
        until: Timestamp,
    },
    Starting {
        until: Timestamp,
    },
    Deleting {
        until: Timestamp,
    },
    Abandoning {
        until: Timestamp,
    },
}

impl Action {
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Action::None => None,
            Action::Creating { until, .. }
            | Action::Recreating { until, .. }
            | Action::Restarting { until }
            | Action::Refreshing { until }
            | Action::Suspending { until }
            | Action::Resuming { until }
            | Action::Stopping { until }
            | Action::Starting { until }
            | Action::Deleting { until }
            | Action::Abandoning { until } => Some(until),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Action::None => "NONE",
            Action::Creating { .. } => "CREATING",
            Action::Recreating { .. } => "RECREATING",
            Action::Restarting { .. } => "RESTARTING",
            Action::Refreshing { .. } => "REFRESHING",
            Action::Suspending { .. } => "SUSPENDING",
            Action::Resuming { .. } => "RESUMING",
            Action::Stopping { .. } => "STOPPING",
            Action::Starting { .. } => "STARTING",
            Action::Deleting { .. } => "DELETING",
            Action::Abandoning { .. } => "ABANDONING",
        }
    }
}

/// Whether the group's health check was answered, and since when that has been so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    pub answers: bool,
    pub since: Timestamp,
}

/// Which of a group's sizes a machine counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pool {
    /// `targetSize`
    #[default]
    Running,
    /// `targetSuspendedSize`
    Suspended,
    /// `targetStoppedSize`
    Stopped,
}

/// One machine of a group.
#[derive(Clone, Debug)]
pub struct Machine {
    pub key: String,
    pub template: String,
    /// The name of its version; changes of it alone roll the group as well.
    pub version: String,
    pub action: Action,
    /// The start of its last creation.
    pub born: Timestamp,
    /// From when on what its image runs is up.
    pub serves: Option<Timestamp>,
    pub probe: Probe,
    /// Its health check has succeeded since it was made.
    pub passed: bool,
    /// Since when it counts as ready, before `minReadySec`.
    pub ready: Option<Timestamp>,
    pub pool: Pool,
    /// It goes to its rest without the standby policy's delay.
    pub forced: bool,
    /// What its per-instance config has made of it (`PreservedState`).
    pub kept: Object,
    /// What it has of the group's `allInstancesConfig`.
    pub properties: Object,
    /// What the group's stateful policy keeps while it is made anew.
    pub carried: Object,
}

impl Machine {
    pub fn new(key: String, version: &Version, now: Timestamp) -> Machine {
        Machine {
            key,
            template: version.template.clone(),
            version: version.name.clone(),
            action: Action::None,
            born: now,
            serves: None,
            probe: Probe {
                answers: false,
                since: now,
            },
            passed: false,
            ready: None,
            pool: Pool::Running,
            forced: false,
            kept: Object::new(),
            properties: Object::new(),
            carried: Object::new(),
        }
    }

    /// It counts for the group's `targetSize`.
    pub fn works(&self) -> bool {
        self.stays() && self.pool == Pool::Running
    }

    /// Not on its way out of the group.
    pub fn stays(&self) -> bool {
        !matches!(
            self.action,
            Action::Deleting { .. } | Action::Abandoning { .. }
        )
    }
}

/// What `listErrors` shows.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupError {
    pub at: Timestamp,
    /// The machine's key.
    pub machine: String,
    pub action: &'static str,
    pub template: String,
    pub version: String,
    pub code: String,
    pub message: String,
}

/// Older errors are forgotten.
const ERRORS_KEPT: usize = 100;

/// What a group has, and what it knows of its wishes: those lag behind the resource for a moment.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub machines: Vec<Machine>,
    /// As last noticed.
    pub wish: Wish,
    pub errors: VecDeque<GroupError>,
    /// Per-instance configs, by the names of their machines.
    pub configs: BTreeMap<String, Config>,
    pub last_start: Option<Timestamp>,
    /// A machine too many was made to even out the zones.
    pub evening: bool,
    /// When the resource is read again.
    notice: Option<Timestamp>,
    /// Machines are being deleted together with the group.
    closing: bool,
}

impl Group {
    pub fn of(wish: Wish, machines: Vec<Machine>) -> Group {
        Group {
            machines,
            wish,
            ..Group::default()
        }
    }

    pub fn note(&mut self, error: GroupError) {
        if self.errors.len() == ERRORS_KEPT {
            self.errors.pop_front();
        }
        self.errors.push_back(error);
    }

    /// Why machines that it is trying to make cannot be made.
    pub fn refusals(&self) -> impl Iterator<Item = &str> {
        self.machines
            .iter()
            .filter(|m| matches!(m.action, Action::Creating { made: false, .. }))
            .filter_map(|m| self.errors.iter().rev().find(|e| e.machine == m.key))
            .map(|e| e.code.as_str())
    }

    /// How many machines there are, stay, and are not at rest.
    pub fn staying(&self) -> i64 {
        self.machines.iter().filter(|m| m.works()).count() as i64
    }

    /// How many machines of a pool there are and stay.
    pub fn pooled(&self, pool: Pool) -> i64 {
        let here = |m: &&Machine| m.stays() && m.pool == pool;
        self.machines.iter().filter(here).count() as i64
    }

    pub fn count(&self, name: &str, template: &str) -> i64 {
        self.machines
            .iter()
            .filter(|m| m.works() && m.version == name && m.template == template)
            .count() as i64
    }

    /// The version that has fewer machines than it should.
    pub fn lacking(&self) -> Option<&Version> {
        self.wish
            .versions
            .iter()
            .find(|v| self.count(&v.name, &v.template) < v.count)
    }

    /// Whether a machine's version has more machines than it should.
    pub fn is_surplus(&self, index: usize) -> bool {
        let machine = &self.machines[index];
        machine.works()
            && self.count(&machine.version, &machine.template)
                > self.wish.count(&machine.version, &machine.template)
    }

    /// Whether every version has what it should.
    pub fn has_its_versions(&self) -> bool {
        let wanted = self
            .wish
            .versions
            .iter()
            .all(|v| self.count(&v.name, &v.template) == v.count);
        wanted && self.staying() == self.wish.size
    }
}

pub fn inserted(world: &mut World, key: &str) -> Vec<Then> {
    let body = world.live(key).map(|r| r.body.clone()).unwrap_or_default();
    let group = Group::of(Wish::of(&body, path_of(key)), Vec::new());
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
    noticed_at(world, key, at);
    scaling::group_changed(world, key);
}

/// The wishes are noticed at `at`: those of several changes at the last one's moment.
pub fn noticed_at(world: &mut World, key: &str, at: Timestamp) {
    if let Some(group) = world.groups.get_mut(key) {
        group.notice = Some(group.notice.map_or(at, |t| t.max(at)));
    }
    world.schedule(at, Due::GroupMoves(key.to_string()));
}

/// # Errors
/// Versions, limits or state that the API refuses.
pub fn changing(ask: &Ask, change: &Change, new: &mut Object) -> Result<(), Refusal> {
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
    group_spec::fixed_zones(change.old, new)?;
    group_standby::check(new)?;
    group_spec::complete(new, path_of(change.key))
}

/// One turn of a group.
pub fn moves(world: &mut World, key: &str) {
    let Some(mut group) = world.groups.remove(key) else {
        return;
    };
    notice(world, key, &mut group);
    group_machine::finish(world, key, &mut group);
    let mut next: Vec<Timestamp> = Vec::new();
    if !group.closing {
        next.extend(group_health::look(world, key, &mut group));
        group_standby::wake(world, &mut group);
        next.extend(group_roll::turn(world, key, &mut group));
        next.extend(group_standby::turn(world, key, &mut group));
        next.extend(group.notice);
    }
    next.extend(group.machines.iter().filter_map(|m| m.action.until()));
    world.groups.insert(key.to_string(), group);
    if let Some(at) = next.into_iter().min() {
        let due = Due::GroupMoves(key.to_string());
        if !world.is_scheduled_before(&due, at) {
            world.schedule(at, due);
        }
    }
}

/// Reads the resource again once its change is noticed.
fn notice(world: &World, key: &str, group: &mut Group) {
    if group.closing || group.notice.is_none_or(|at| at > world.now) {
        return;
    }
    group.notice = None;
    if let Some(resource) = world.live(key) {
        group.wish = Wish::of(&resource.body, path_of(key));
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
    group.wish.size = 0;
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

/// How long connections of a group's machines are drained before they go: the longest of the backend
/// services that the group is in ("it can take up to 60 seconds after the connection draining duration
/// has elapsed before the VM instance is removed or deleted", API description of `deleteInstances`).
pub fn draining(world: &World, key: &str) -> Millis {
    let group = path_of(key).replace("/instanceGroupManagers/", "/instanceGroups/");
    let seconds = usage::backend_services_of(world, &group)
        .filter_map(|s| {
            s.body
                .get("connectionDraining")?
                .get("drainingTimeoutSec")?
                .as_i64()
        })
        .max()
        .unwrap_or(0);
    Millis::secs(seconds.clamp(0, 3600))
}

/// Somebody else stopped or deleted a machine: the group that it belongs to looks at it.
pub fn touched(world: &mut World, machine: &str) {
    let mut groups = world.groups.iter();
    let found = groups.find(|(_, g)| g.machines.iter().any(|m| m.key == machine));
    if let Some(key) = found.map(|(key, _)| key.clone()) {
        let at = world.now.plus(world.takes(Happening::GroupNotice));
        world.schedule(at, Due::GroupMoves(key));
    }
}
