//! Health of a group's machines: what probes see, verification, and autohealing.
//!
//! Sources: API description (`initialDelaySec`: "the MIG ignores unsuccessful health checks because the
//! VM might be in the startup process; if the health check receives a healthy response, the startup
//! process is complete"; "the number of concurrently autohealed instances is smaller than the group's
//! target size" unless it has one machine, or one in each zone; thresholds and interval of
//! `HealthCheck`), `gcloud … list-errors` for the code WAITING_FOR_HEALTHY_TIMEOUT_EXCEEDED.

use serde_json::{Value as Json, json};

use super::super::refs;
use super::super::world::{Due, Object, World};
use super::group_wish::{Healing, Wish};
use super::groups::{Action, Group, GroupError, Machine, Pool, Probe};
use super::rules::Rule;
use super::{group_machine, group_standby, path_of, reach};
use crate::world::{Millis, Timestamp};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &[
        "compute.instanceGroupManagers",
        "compute.regionInstanceGroupManagers",
    ],
    says: "a machine that fails its check is recreated under its name; unsuccessful checks within `initialDelaySec` are ignored",
    source: "API description of `InstanceGroupManagerAutoHealingPolicy`",
    test: "a_machine_that_falls_ill_is_recreated",
}];

/// Whether a machine answers a health check now: it runs, its image serves, probes get through, and
/// what it needs is there.
pub fn answers(world: &World, machine: &Machine, check: &Object) -> bool {
    serves(world, machine) && reach::by_probes(world, &machine.key, reach::probe_port(check))
}

/// Whether what the machine's image runs is up and well, whoever may reach it.
pub fn serves(world: &World, machine: &Machine) -> bool {
    let up = machine.pool == Pool::Running
        && matches!(machine.action, Action::None | Action::Refreshing { .. });
    let Some(since) = machine.serves.filter(|at| up && *at <= world.now) else {
        return false;
    };
    let Some(behaviour) = behaviour(world, &machine.key) else {
        return true;
    };
    let fails = behaviour
        .fails_after
        .is_some_and(|s| since.plus(s.0) <= world.now);
    let database = behaviour
        .database
        .as_ref()
        .is_none_or(|d| reach::database(world, &machine.key, d));
    behaviour.healthy && !fails && database
}

/// What the scenario says about the image that a machine boots from.
pub fn behaviour<'a>(
    world: &'a World,
    machine: &str,
) -> Option<&'a super::super::scenario::ImageBehaviour> {
    let vm = world.live(machine)?;
    let disks = vm.body.get("disks")?.as_array()?;
    let (_, disk) = world.linked(disks.first()?.get("source")?)?;
    let image = disk.body.get("sourceImage")?;
    let name = refs::last(image.as_str()?);
    let family = world.linked(image).map_or("", |(_, i)| i.text("family"));
    world.scenario.image(name, family)
}

fn span(check: &Object, threshold: &str) -> Millis {
    let number = |name: &str, usual: i64| check.get(name).and_then(Json::as_i64).unwrap_or(usual);
    Millis::secs(number("checkIntervalSec", 5) * number(threshold, 2))
}

/// What a machine's health check says about it.
pub fn state(world: &World, machine: &Machine, check: &Object) -> &'static str {
    let answering = answers(world, machine, check);
    let steady = machine.probe.answers == answering;
    let healthy_at = machine.probe.since.plus(span(check, "healthyThreshold"));
    match (answering, steady) {
        (true, true) if healthy_at <= world.now || machine.passed => "HEALTHY",
        (true, _) => "UNKNOWN",
        (false, _) if machine.serves.is_none_or(|at| at > world.now) => "UNKNOWN",
        (false, _)
            if reach::by_probes(world, &machine.key, reach::probe_port(check))
                && machine.action == Action::None =>
        {
            "UNHEALTHY"
        }
        (false, _) => "TIMEOUT",
    }
}

/// The health check of a group's autohealing policy.
pub fn healing_check(world: &World, healing: Option<&Healing>) -> Option<Object> {
    let (_, check) = world.linked(&json!(healing?.check))?;
    Some(check.body.clone())
}

/// With a policy, a machine is being verified until its check has succeeded once.
pub fn verifying(machine: &Machine, wish: &Wish) -> bool {
    let settled = machine.pool == Pool::Running && machine.action == Action::None;
    settled && wish.healing.is_some() && !machine.passed
}

/// "RUNNING, currentAction NONE (in particular its health check was observed to be HEALTHY at least
/// once)", and that for `minReadySec`.
pub fn available(world: &World, machine: &Machine, wish: &Wish) -> bool {
    let settled = matches!(machine.action, Action::None | Action::Refreshing { .. });
    let ready = machine
        .ready
        .is_some_and(|at| at.plus(wish.min_ready) <= world.now);
    machine.works() && settled && ready && !verifying(machine, wish)
}

/// Looks at every machine's probes and repairs what is ill; gives the moment of the next look.
pub fn look(world: &mut World, key: &str, group: &mut Group) -> Option<Timestamp> {
    let wish = group.wish.clone();
    replace_lost(world, key, group);
    let Some(healing) = wish.healing.clone() else {
        return ready_without_policy(world, group, &wish);
    };
    let check = healing_check(world, Some(&healing)).unwrap_or_default();
    let mut next = None;
    let mut ill = Vec::new();
    for index in 0..group.machines.len() {
        if group.machines[index].action != Action::None || !group.machines[index].works() {
            continue;
        }
        let answering = answers(world, &group.machines[index], &check);
        let machine = &mut group.machines[index];
        if machine.probe.answers != answering {
            machine.probe = Probe {
                answers: answering,
                since: world.now,
            };
        }
        let at = match answering {
            true => machine.probe.since.plus(span(&check, "healthyThreshold")),
            false => deadline(machine, &check, &healing),
        };
        if at > world.now {
            next = earlier(next, Some(at));
        } else if answering {
            machine.passed = true;
            machine.ready.get_or_insert(world.now);
        } else {
            ill.push(index);
        }
        if let Some(up) = machine.serves.filter(|at| *at > world.now) {
            next = earlier(next, Some(up));
        }
        next = earlier(next, failing_at(world, &group.machines[index]));
        next = earlier(next, ready_at(world, &group.machines[index], &wish));
    }
    for index in ill {
        next = earlier(next, repair(world, key, group, index, &healing));
    }
    next
}

/// Machines that somebody else stopped or deleted are made anew under their names.
fn replace_lost(world: &mut World, key: &str, group: &mut Group) {
    for index in 0..group.machines.len() {
        if group.wish.repairs && group_standby::is_lost(world, &group.machines[index]) {
            group_machine::recreate(world, key, group, index);
        }
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

/// When a machine that answers today stops doing so, as the scenario has it.
fn failing_at(world: &World, machine: &Machine) -> Option<Timestamp> {
    let fails = behaviour(world, &machine.key)?.fails_after?;
    let at = machine.serves?.plus(fails.0);
    (at > world.now).then_some(at)
}

fn ready_at(world: &World, machine: &Machine, wish: &Wish) -> Option<Timestamp> {
    let at = machine.ready?.plus(wish.min_ready);
    (at > world.now).then_some(at)
}

fn ready_without_policy(world: &World, group: &mut Group, wish: &Wish) -> Option<Timestamp> {
    let mut next = None;
    for machine in &mut group.machines {
        if machine.works() && machine.action == Action::None {
            machine.ready.get_or_insert(world.now);
            next = earlier(next, ready_at(world, machine, wish));
        }
    }
    next
}

/// Until when an unanswered check is put up with.
fn deadline(machine: &Machine, check: &Object, healing: &Healing) -> Timestamp {
    let ill = machine.probe.since.plus(span(check, "unhealthyThreshold"));
    match machine.passed {
        true => ill,
        false => ill.max(machine.born.plus(healing.initial_delay)),
    }
}

/// Recreates an ill machine under its name, unless repairs are off or too many run already.
fn repair(
    world: &mut World,
    key: &str,
    group: &mut Group,
    index: usize,
    healing: &Healing,
) -> Option<Timestamp> {
    let wish = group.wish.clone();
    let first = !group.machines[index].passed;
    if first {
        group.note(timed_out(world, &group.machines[index], healing));
    }
    if !wish.repairs {
        group.machines[index].passed = true;
        group.machines[index].ready.get_or_insert(world.now);
        return None;
    }
    let under_repair = group
        .machines
        .iter()
        .filter(|m| matches!(m.action, Action::Recreating { .. }))
        .count() as i64;
    let few = wish.size <= wish.zones.len() as i64;
    if !few && under_repair >= (wish.size - 1).max(1) {
        return Some(world.now.plus(Millis::secs(5)));
    }
    if wish.updates_on_repair
        && let Some(version) = group.lacking().cloned()
        && group.is_surplus(index)
    {
        group.machines[index].version = version.name;
        group.machines[index].template = version.template;
    }
    group_machine::recreate(world, key, group, index)
}

fn timed_out(world: &World, machine: &Machine, healing: &Healing) -> GroupError {
    let check = healing
        .check
        .strip_prefix(refs::LINK_ROOT)
        .unwrap_or(&healing.check);
    GroupError {
        at: world.now,
        machine: machine.key.clone(),
        action: "VERIFYING",
        template: machine.template.clone(),
        version: machine.version.clone(),
        code: "WAITING_FOR_HEALTHY_TIMEOUT_EXCEEDED".into(),
        message: format!(
            "Waiting for HEALTHY state timed out (autohealingPolicy.initialDelay={} sec) for instance {} and health check {check}.",
            healing.initial_delay.0 / 1000,
            path_of(&machine.key),
        ),
    }
}

/// Something changed that may decide who answers: every group looks again.
pub fn review(world: &mut World) {
    let keys: Vec<String> = world.groups.keys().cloned().collect();
    for key in keys {
        let (now, due) = (world.now, Due::GroupMoves(key));
        world.schedule(now, due);
    }
}
