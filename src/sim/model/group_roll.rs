//! Decisions of a managed group: what to start, update and take away next.
//!
//! Sources: API description of `InstanceGroupManagerUpdatePolicy` (`maxSurge`: "how many instances
//! above targetSize can be created during the update"; `maxUnavailable`; `replacementMethod`;
//! `minimalAction`; `mostDisruptiveAllowedAction`: an update that needs more "is not performed";
//! `instanceRedistributionType`).

use super::super::refs;
use super::super::world::World;
use super::group_health::available;
use super::group_wish::{Reach, Version};
use super::groups::{Action, Group};
use super::rules::Rule;
use super::{group_machine, group_state};
use crate::world::Timestamp;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &[
        "compute.instanceGroupManagers",
        "compute.regionInstanceGroupManagers",
    ],
    says: "a roll keeps to `maxSurge`, `maxUnavailable`, `replacementMethod`, `minimalAction` and `mostDisruptiveAllowedAction`; zones are evened out",
    source: "API description of `InstanceGroupManagerUpdatePolicy`",
    test: "a_roll_with_surge_never_serves_with_fewer",
}];

/// Starts what can be started now; gives the moment of the next look when something has to wait for
/// the clock alone.
pub fn turn(world: &mut World, key: &str, group: &mut Group) -> Option<Timestamp> {
    let filled = fill(world, key, group);
    let updated = update(world, key, group);
    trim(world, key, group);
    let evened = even_out(world, key, group);
    filled.into_iter().chain(updated).chain(evened).min()
}

fn available_count(world: &World, group: &Group) -> i64 {
    group
        .machines
        .iter()
        .filter(|m| available(world, m, &group.wish))
        .count() as i64
}

/// The version of the next new machine.
fn next_version(group: &Group) -> Option<Version> {
    let rest = || group.wish.versions.iter().max_by_key(|v| v.count);
    group.lacking().or_else(rest).cloned()
}

/// Makes machines up to the size, one in a turn.
fn fill(world: &mut World, key: &str, group: &mut Group) -> Option<Timestamp> {
    if group.staying() >= group.wish.size {
        return None;
    }
    let version = next_version(group)?;
    group_machine::start(world, key, group, &version)
}

/// What an outdated machine needs to become the version that lacks one.
fn needed(world: &World, group: &Group, index: usize, version: &Version) -> Reach {
    let template = &group.machines[index].template;
    group_machine::difference(world, template, &version.template).max(group.wish.minimal)
}

/// Machines of versions that have too many, as far as the policy lets them be updated.
fn outdated(world: &World, group: &Group) -> Vec<(usize, Reach)> {
    let Some(version) = group.lacking().cloned() else {
        return surplus(group)
            .into_iter()
            .map(|i| (i, Reach::Replace))
            .collect();
    };
    surplus(group)
        .into_iter()
        .map(|i| (i, needed(world, group, i, &version)))
        .filter(|(_, reach)| *reach != Reach::None && *reach <= group.wish.most)
        .collect()
}

/// Of each version, as many machines as it has too many; those that do not run yet come first.
fn surplus(group: &Group) -> Vec<usize> {
    let mut order: Vec<usize> = (0..group.machines.len())
        .filter(|i| group.machines[*i].works())
        .collect();
    order.sort_by_key(|i| (group.machines[*i].ready.is_some(), *i));
    let mut taken: Vec<usize> = Vec::new();
    for index in order {
        let machine = &group.machines[index];
        let before = taken
            .iter()
            .filter(|t| {
                let other = &group.machines[**t];
                other.version == machine.version && other.template == machine.template
            })
            .count() as i64;
        let have = group.count(&machine.version, &machine.template);
        if have - before > group.wish.count(&machine.version, &machine.template) {
            taken.push(index);
        }
    }
    taken
}

/// Whether a proactive update is still to do something.
pub fn is_rolling(world: &World, group: &Group) -> bool {
    group.wish.proactive && !outdated(world, group).is_empty()
}

/// Carries a proactive update on, within its surge and its unavailability.
fn update(world: &mut World, key: &str, group: &mut Group) -> Option<Timestamp> {
    if !group.wish.proactive {
        return None;
    }
    let todo = outdated(world, group);
    align(world, group);
    let mut substitutes = 0;
    for (index, reach) in todo {
        let in_place = reach < Reach::Replace || group.wish.recreates;
        if !in_place {
            substitutes += 1;
        }
        let up = available(world, &group.machines[index], &group.wish);
        let spare = available_count(world, group) - group.wish.size + group.wish.unavailable;
        if up && spare <= 0 {
            continue;
        }
        match in_place {
            true => replace_in_place(world, key, group, index, reach),
            false => {
                group_machine::delete(world, key, group, index);
            }
        }
    }
    surge(world, key, group, substitutes)
}

/// Brings labels and metadata of all machines to those that are wanted, without stopping any.
fn align(world: &mut World, group: &mut Group) {
    let late = |group: &Group, i: usize| {
        let machine = &group.machines[i];
        let idle = machine.works() && machine.action == Action::None;
        idle && !group.is_surplus(i) && !group_state::is_uniform(group, machine)
    };
    for index in 0..group.machines.len() {
        if group.wish.most >= Reach::Refresh && late(group, index) {
            let machine = &group.machines[index];
            let same = Version {
                name: machine.version.clone(),
                template: machine.template.clone(),
                count: 0,
            };
            group_machine::update_in_place(world, group, index, &same, Reach::Refresh);
        }
    }
}

/// Updates a machine under its name; one that already moves is left to finish.
fn replace_in_place(world: &mut World, key: &str, group: &mut Group, index: usize, reach: Reach) {
    let Some(version) = group.lacking().cloned() else {
        return;
    };
    if group.machines[index].action != Action::None {
        return;
    }
    if reach < Reach::Replace {
        group_machine::update_in_place(world, group, index, &version, reach);
        return;
    }
    group.machines[index].version = version.name;
    group.machines[index].template = version.template;
    group_machine::recreate(world, key, group, index);
}

/// Makes machines above the size for those that will be replaced by others.
fn surge(world: &mut World, key: &str, group: &mut Group, substitutes: i64) -> Option<Timestamp> {
    let room = group.wish.size + group.wish.surge.min(substitutes);
    if substitutes == 0 || group.staying() >= room {
        return None;
    }
    let version = group.lacking()?.clone();
    group_machine::start(world, key, group, &version)
}

/// Takes away what is too many: at once after a smaller size, and what an update made above the size
/// only when it may.
fn trim(world: &mut World, key: &str, group: &mut Group) {
    let extra = match (is_rolling(world, group), group.evening) {
        (true, _) => group.wish.surge,
        (false, true) => i64::from(available_count(world, group) <= group.wish.size),
        (false, false) => 0,
    };
    while group.staying() > group.wish.size + extra {
        let Some(victim) = victim(world, group) else {
            return;
        };
        group_machine::delete(world, key, group, victim);
    }
}

/// Surplus versions first, then what is not available, then the fullest zone, then the newest.
fn victim(world: &World, group: &Group) -> Option<usize> {
    let outdated = surplus(group);
    let here = |index: usize| {
        let zone = refs::after(&group.machines[index].key, "zones");
        let same = |key: &str| refs::after(key, "zones") == zone;
        group
            .machines
            .iter()
            .filter(|m| m.works() && same(&m.key))
            .count()
    };
    (0..group.machines.len())
        .filter(|i| group.machines[*i].works())
        .max_by_key(|i| {
            let up = available(world, &group.machines[*i], &group.wish);
            (outdated.contains(i) && !group.evening, !up, here(*i), *i)
        })
}

/// Moves machines from full zones to empty ones, by one more than the size at a time.
fn even_out(world: &mut World, key: &str, group: &mut Group) -> Option<Timestamp> {
    let wish = &group.wish;
    let settled = group.staying() == wish.size && group.has_its_versions();
    if !settled || !wish.even || !wish.redistributes {
        group.evening = group.evening && group.staying() > group.wish.size;
        return None;
    }
    let counts: Vec<usize> = wish
        .zones
        .iter()
        .map(|z| {
            let here = |key: &str| refs::after(key, "zones") == Some(z.as_str());
            group
                .machines
                .iter()
                .filter(|m| m.works() && here(&m.key))
                .count()
        })
        .collect();
    let (most, least) = (
        counts.iter().max().copied().unwrap_or(0),
        counts.iter().min().copied().unwrap_or(0),
    );
    let calm = group.machines.iter().all(|m| m.action == Action::None);
    group.evening = most > least + 1 && calm;
    if !group.evening {
        return None;
    }
    let version = next_version(group)?;
    group_machine::start(world, key, group, &version)
}
