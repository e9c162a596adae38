//! The methods of managed groups and instance groups beyond the generic verbs.
//!
//! Source: the API description of each method. `maxSurge` and `maxUnavailable` do not bind the methods
//! that name their machines ("selective updates").

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::operation;
use super::super::refusal::Refusal;
use super::super::timing::Happening;
use super::super::world::{Due, World};
use super::super::{Outcome, identity, page, refs};
use super::group_wish::{Reach, Wish};
use super::groups::{self, Action, Group};
use super::rules::Rule;
use super::{
    Handler, existing, group_configs, group_machine, group_standby, group_state, group_view,
    path_of, unmanaged,
};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &[
            "compute.instanceGroupManagers",
            "compute.regionInstanceGroupManagers",
        ],
        says: "methods that name machines (recreate, delete, abandon, create, apply updates) are not bound by `maxSurge` and `maxUnavailable`, and change the size where they take or add",
        source: "API description of each method",
        test: "machines_leave_by_name",
    },
    Rule {
        of: &["compute.instanceGroups", "compute.regionInstanceGroups"],
        says: "named ports are set, and machines listed; the group beside a managed one comes and goes with it",
        source: "API description of `InstanceGroup`",
        test: "tests/gcloud/groups.txt",
    },
];

pub fn method(id: &str) -> Option<Handler> {
    let (collection, name) = id.rsplit_once('.')?;
    match (collection, name) {
        ("compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers", name) => {
            Some(match name {
                "listManagedInstances" => list_managed,
                "listErrors" => list_errors,
                "resize" => resize,
                "setInstanceTemplate" => set_template,
                "applyUpdatesToInstances" => apply_updates,
                "recreateInstances" => recreate,
                "deleteInstances" => delete,
                "abandonInstances" => abandon,
                "createInstances" => create,
                name => {
                    return group_standby::method(name).or_else(|| group_configs::method(name));
                }
            })
        }
        ("compute.instanceGroups" | "compute.regionInstanceGroups", "setNamedPorts") => {
            Some(set_named_ports)
        }
        ("compute.instanceGroups" | "compute.regionInstanceGroups", "listInstances") => {
            Some(list_instances)
        }
        _ => None,
    }
}

/// The manager of a POST that only reads: the group may be on its way out.
pub fn manager(world: &World, ask: &Ask) -> Result<String, Refusal> {
    let named = ask.target();
    match world.live(&named) {
        Some(_) => Ok(named),
        None => {
            identity::by_number(world, &named).ok_or_else(|| super::super::generic::missing(&named))
        }
    }
}

fn list_managed(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = manager(world, ask)?;
    let items = group_view::machines(world, &key);
    Ok(page::answer(world, ask, items)?.into())
}

fn list_errors(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = manager(world, ask)?;
    let items = group_view::errors(world, &key);
    Ok(page::answer(world, ask, items)?.into())
}

/// "A regional group has up to 2000 machines, a zonal one up to 1000."
fn largest(key: &str) -> i64 {
    match refs::after(key, "regions") {
        Some(_) => 2000,
        None => 1000,
    }
}

fn resize(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let text = ask.param("size").unwrap_or("");
    let most = largest(&key);
    let size: i64 = text
        .parse()
        .ok()
        .filter(|n| (0..=most).contains(n))
        .ok_or_else(|| {
            Refusal::invalid("size", text, &format!("Must be a number from 0 to {most}."))
        })?;
    set_size(world, &key, size);
    Ok(groups::begin(world, ask, &key).into())
}

fn set_size(world: &mut World, key: &str, size: i64) {
    world.change(key, |body| {
        body.insert("targetSize".into(), json!(size));
    });
}

fn set_template(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let given = ask
        .text("instanceTemplate")
        .ok_or_else(|| Refusal::required("instanceTemplate"))?;
    let path = refs::path_of(given, &ask.project)
        .ok_or_else(|| Refusal::invalid("instanceTemplate", given, "The URL is malformed."))?;
    if world.compute(&path).is_none() {
        return Err(Refusal::not_found(&path));
    }
    let link = refs::link(&path);
    world.change(&key, |body| {
        body.insert("instanceTemplate".into(), json!(link));
        body.insert("versions".into(), json!([{ "instanceTemplate": link }]));
    });
    Ok(groups::begin(world, ask, &key).into())
}

/// "You can specify a maximum of 1000 instances with this method per request."
const MOST_NAMED: usize = 1000;

/// The machines that a call names, by their places in the group.
pub fn named(world: &World, ask: &Ask, key: &str) -> Result<Vec<usize>, Refusal> {
    let given: Vec<&str> = ask
        .body
        .get("instances")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    if given.is_empty() {
        return Err(Refusal::required("resource.instances"));
    }
    if given.len() > MOST_NAMED {
        return Err(Refusal::invalid(
            "resource.instances",
            &given.len().to_string(),
            "At most 1000 instances may be given.",
        ));
    }
    let machines = world.groups.get(key).map(|g| &g.machines[..]);
    given
        .into_iter()
        .map(|text| {
            let path = refs::path_of(text, &ask.project).unwrap_or_else(|| text.to_string());
            let wanted = format!("compute/{path}");
            machines
                .unwrap_or_default()
                .iter()
                .position(|m| m.key == wanted && m.stays())
                .ok_or_else(|| {
                    Refusal::invalid(
                        "resource.instances",
                        text,
                        "It is not a member of the managed instance group.",
                    )
                })
        })
        .collect()
}

/// Lets a call do something to a group at once, which then knows its wishes, and answers with its
/// operation.
pub fn at_once(
    world: &mut World,
    ask: &Ask,
    key: &str,
    act: impl FnOnce(&mut World, &mut Group),
) -> Outcome {
    let wish = world.live(key).map(|r| Wish::of(&r.body, path_of(key)));
    if let Some(mut group) = world.groups.remove(key) {
        group.wish = wish.unwrap_or_default();
        act(world, &mut group);
        world.groups.insert(key.to_string(), group);
    }
    let now = world.now;
    world.schedule(now, Due::GroupMoves(key.to_string()));
    operation::begin(world, ask, key, Vec::new()).into()
}

/// Brings the named machines, or all, to their target version at once.
fn apply_updates(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let all = ask.body.get("allInstances").and_then(Json::as_bool) == Some(true);
    let chosen = match (all, ask.body.contains_key("instances")) {
        (true, true) => {
            return Err(Refusal::invalid(
                "resource.allInstances",
                "true",
                "instances must not be given together with allInstances.",
            ));
        }
        (true, false) => (0..world.groups.get(&key).map_or(0, |g| g.machines.len())).collect(),
        (false, _) => named(world, ask, &key)?,
    };
    // "minimalAction: by default NONE. mostDisruptiveAllowedAction: by default REPLACE."
    let least = Reach::parse(ask.text("minimalAction").or(Some("NONE")));
    let most = Reach::parse(ask.text("mostDisruptiveAllowedAction"));
    if least > most {
        return Err(Refusal::invalid(
            "resource.minimalAction",
            ask.text("minimalAction").unwrap_or(""),
            "Must not be more disruptive than mostDisruptiveAllowedAction.",
        ));
    }
    Ok(at_once(world, ask, &key, |world, group| {
        for index in chosen {
            update_one(world, &key, group, index, least, most);
        }
    }))
}

fn update_one(
    world: &mut World,
    key: &str,
    group: &mut Group,
    index: usize,
    least: Reach,
    most: Reach,
) {
    if group.machines[index].action != Action::None {
        return;
    }
    let target = match group.is_surplus(index) {
        true => group.lacking().cloned(),
        false => None,
    };
    let machine = &group.machines[index];
    let version = target.unwrap_or_else(|| super::group_wish::Version {
        name: machine.version.clone(),
        template: machine.template.clone(),
        count: 0,
    });
    let reach = group_machine::difference(world, &machine.template, &version.template)
        .max(group_state::pending(group, index))
        .max(least);
    if reach > most {
        return;
    }
    match reach {
        Reach::None => {
            group.machines[index].version = version.name;
            group.machines[index].template = version.template;
        }
        Reach::Replace => {
            group.machines[index].version = version.name;
            group.machines[index].template = version.template;
            group_machine::recreate(world, key, group, index);
        }
        _ => {
            group_machine::update_in_place(world, group, index, &version, reach);
        }
    }
}

/// Recreated machines get the target version ("deletes the selected VM and recreates it using the
/// latest instance template").
fn recreate(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let chosen = named(world, ask, &key)?;
    Ok(at_once(world, ask, &key, |world, group| {
        for index in chosen {
            update_one(world, &key, group, index, Reach::Replace, Reach::Replace);
        }
    }))
}

/// Deletes the named machines; the target size shrinks with them.
fn delete(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let chosen = named(world, ask, &key)?;
    shrink(world, &key, &chosen);
    Ok(at_once(world, ask, &key, |world, group| {
        for index in chosen {
            group_machine::delete(world, &key, group, index);
        }
    }))
}

/// The named machines leave the group and run on.
fn abandon(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let chosen = named(world, ask, &key)?;
    shrink(world, &key, &chosen);
    Ok(at_once(world, ask, &key, |world, group| {
        let until = world.now.plus(world.takes(Happening::GroupNotice));
        for index in chosen {
            group_state::forget(group, index);
            group.machines[index].action = Action::Abandoning { until };
        }
    }))
}

fn size_of(world: &World, key: &str) -> i64 {
    world
        .live(key)
        .and_then(|r| r.body.get("targetSize")?.as_i64())
        .unwrap_or(0)
}

/// Each machine counts for the size of its own pool.
fn shrink(world: &mut World, key: &str, chosen: &[usize]) {
    for index in chosen {
        let group = world.groups.get(key);
        if let Some(pool) = group.map(|g| g.machines[*index].pool) {
            group_standby::resize(world, key, pool, -1);
        }
    }
}

/// Machines with names of the caller's choice; the target size grows with them.
fn create(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let mut names = Vec::new();
    let given = ask.body.get("instances").and_then(Json::as_array).cloned();
    for one in given.unwrap_or_default() {
        let name = one.get("name").and_then(Json::as_str).unwrap_or("");
        if let Some(instances) = world.catalog.collection("compute.instances") {
            identity::check_name(world, &instances, name)?;
        }
        let taken = world.groups.get(&key).is_some_and(|g| {
            g.machines
                .iter()
                .any(|m| refs::last(path_of(&m.key)) == name)
        });
        if taken || names.iter().any(|(n, _)| n == name) {
            return Err(Refusal::exists(&format!("{}/{name}", path_of(&key))));
        }
        let config = match one.get("preservedState") {
            Some(state) => Some(group_configs::of_new(world, ask, &key, state)?),
            None => None,
        };
        // gcloud sends a state to preserve in which nothing is.
        let config = config.filter(|c| !group_state::plain(&c.preserved).is_empty());
        names.push((name.to_string(), config));
    }
    if names.is_empty() {
        return Err(Refusal::required("resource.instances"));
    }
    let size = size_of(world, &key) + names.len() as i64;
    set_size(world, &key, size);
    Ok(at_once(world, ask, &key, |world, group| {
        for (name, config) in names {
            if let Some(config) = config {
                group.configs.insert(name.clone(), config);
            }
            group_machine::begin_named(world, &key, group, &name);
        }
    }))
}

/// Replaces the whole list, under the group's fingerprint when one is given.
fn set_named_ports(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let have = world
        .live(&key)
        .map(|r| r.text("fingerprint").to_string())
        .unwrap_or_default();
    if let Some(given) = ask.text("fingerprint").filter(|f| !f.is_empty())
        && given != have
    {
        return Err(Refusal::stale_fingerprint());
    }
    let ports = ask
        .body
        .get("namedPorts")
        .cloned()
        .unwrap_or_else(|| json!([]));
    for port in ports.as_array().map(Vec::as_slice).unwrap_or_default() {
        let number = port.get("port").and_then(Json::as_i64).unwrap_or(0);
        if !(1..=65535).contains(&number) {
            return Err(Refusal::invalid(
                "namedPorts[0].port",
                &number.to_string(),
                "Must be from 1 to 65535.",
            ));
        }
    }
    world.change(&key, |body| {
        body.insert("namedPorts".into(), ports);
    });
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn list_instances(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = manager(world, ask)?;
    let ports = world
        .live(&key)
        .and_then(|r| r.body.get("namedPorts").cloned());
    let running_only = ask.text("instanceState") == Some("RUNNING");
    let items = unmanaged::members(world, &key)
        .iter()
        .filter_map(|machine| {
            let status = world.live(machine)?.text("status");
            if running_only && status != "RUNNING" {
                return None;
            }
            let mut item = json!({ "instance": refs::link(path_of(machine)), "status": status });
            if let Some(ports) = &ports {
                item["namedPorts"] = ports.clone();
            }
            Some(item)
        })
        .collect();
    Ok(page::answer(world, ask, items)?.into())
}
