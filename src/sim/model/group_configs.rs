//! Per-instance configs of a managed group: stored, listed and deleted. What they do is in `group_state`.
//!
//! Source: API description of `PerInstanceConfig` and of the methods `listPerInstanceConfigs`,
//! `updatePerInstanceConfigs`, `patchPerInstanceConfigs` and `deletePerInstanceConfigs`.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::super::{Outcome, page, patch, refs};
use super::group_calls::manager;
use super::group_state::{entries, place_of, plain};
use super::groups::{self, Action, Group};
use super::{Handler, autoscalers, existing, path_of};

/// The handler of a method, by its last name.
pub fn method(name: &str) -> Option<Handler> {
    Some(match name {
        "listPerInstanceConfigs" => list,
        "updatePerInstanceConfigs" => |world, ask| store(world, ask, false),
        "patchPerInstanceConfigs" => |world, ask| store(world, ask, true),
        "deletePerInstanceConfigs" => delete,
        _ => return None,
    })
}

/// A per-instance config.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `PreservedState`
    pub preserved: Object,
    pub fingerprint: String,
    /// It is to go, and its machine does not know yet.
    pub deleted: bool,
}

fn config_json(group: &Group, name: &str, config: &Config) -> Json {
    json!({
        "name": name,
        "preservedState": config.preserved,
        "fingerprint": config.fingerprint,
        "status": status(group, name, config),
    })
}

pub fn status(group: &Group, name: &str, config: &Config) -> &'static str {
    let machine = place_of(group, name).map(|i| &group.machines[i]);
    let Some(machine) = machine else {
        return "UNAPPLIED";
    };
    let moves = machine.action != Action::None;
    match (config.deleted, machine.kept == plain(&config.preserved)) {
        (true, _) => "UNAPPLIED_DELETION",
        (false, true) if moves => "APPLYING",
        (false, true) => "EFFECTIVE",
        (false, false) => "UNAPPLIED",
    }
}

fn list(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = manager(world, ask)?;
    let items = match world.groups.get(&key) {
        Some(group) => (group.configs.iter())
            .map(|(name, config)| config_json(group, name, config))
            .collect(),
        None => Vec::new(),
    };
    Ok(page::answer(world, ask, items)?.into())
}

/// Inserts or changes the configs that are given: as a whole, or by merging them in.
fn store(world: &mut World, ask: &Ask, merges: bool) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let given = ask.body.get("perInstanceConfigs").and_then(Json::as_array);
    let given = given.cloned().unwrap_or_default();
    if given.is_empty() {
        return Err(Refusal::required("resource.perInstanceConfigs"));
    }
    let path = path_of(&key).to_string();
    if autoscalers::of_group(world, &path).is_some() {
        let why = "An autoscaled managed instance group cannot have per-instance configs.";
        return Err(Refusal::invalid("resource.perInstanceConfigs", "", why));
    }
    let mut new = Vec::new();
    for one in &given {
        new.push(read(world, ask, &key, one, merges)?);
    }
    if let Some(group) = world.groups.get_mut(&key) {
        group.configs.extend(new);
    }
    Ok(groups::begin(world, ask, &key).into())
}

/// One config as it is to be, under its name.
fn read(
    world: &mut World,
    ask: &Ask,
    key: &str,
    one: &Json,
    merges: bool,
) -> Result<(String, Config), Refusal> {
    const FIELD: &str = "resource.perInstanceConfigs";
    let name = one.get("name").and_then(Json::as_str).unwrap_or_default();
    let group = world.groups.get(key);
    let place = group.and_then(|g| Some((g, place_of(g, name)?)));
    let Some((group, index)) = place else {
        let why = "The instance is not a member of the managed instance group.";
        return Err(Refusal::invalid(&format!("{FIELD}.name"), name, why));
    };
    let zone = refs::after(&group.machines[index].key, "zones");
    let old = group.configs.get(name).filter(|c| !c.deleted);
    let print = one.get("fingerprint").and_then(Json::as_str).unwrap_or("");
    if !print.is_empty() && old.is_some_and(|c| c.fingerprint != print) {
        return Err(Refusal::stale_fingerprint());
    }
    let sent = one.get("preservedState").and_then(Json::as_object);
    let sent = preserved(world, ask, zone, sent.cloned().unwrap_or_default())?;
    let mut state = match old {
        Some(old) if merges => old.preserved.clone(),
        _ => Object::new(),
    };
    patch::merge_into(&mut state, sent);
    let config = Config {
        preserved: state,
        fingerprint: world.mint.fingerprint(),
        deleted: false,
    };
    Ok((name.to_string(), config))
}

/// A preserved state as it is kept: with links, and what they lead to there.
fn preserved(
    world: &World,
    ask: &Ask,
    zone: Option<&str>,
    state: Object,
) -> Result<Object, Refusal> {
    let mut json = Json::Object(state);
    refs::canonicalise(&mut json, &ask.project);
    let state = json.as_object().cloned().unwrap_or_default();
    for (device, disk) in entries(&state, "disks") {
        let field = format!("resource.perInstanceConfigs.preservedState.disks[{device}].source");
        let Some(source) = disk.get("source").and_then(Json::as_str) else {
            continue;
        };
        let path = refs::path_of(source, &ask.project)
            .ok_or_else(|| Refusal::invalid(&field, source, "The URL is malformed."))?;
        if world.compute(&path).is_none() {
            return Err(Refusal::not_found(&path));
        }
        if zone.is_some_and(|zone| refs::after(&path, "zones") != Some(zone)) {
            let why = "The disk is not in the zone of the instance.";
            return Err(Refusal::invalid(&field, source, why));
        }
    }
    Ok(state)
}

/// A config of a machine that is made with it.
///
/// # Errors
/// A disk that is not there, or in another zone.
pub fn of_new(world: &mut World, ask: &Ask, key: &str, given: &Json) -> Result<Config, Refusal> {
    let zone = refs::after(key, "zones");
    let sent = given.as_object().cloned().unwrap_or_default();
    Ok(Config {
        preserved: preserved(world, ask, zone, sent)?,
        fingerprint: world.mint.fingerprint(),
        deleted: false,
    })
}

impl Config {
    /// The zone in which its disks are, and so its machine has to be.
    pub fn zone(&self) -> Option<String> {
        entries(&self.preserved, "disks").find_map(|(_, disk)| {
            let source = disk.get("source")?.as_str()?;
            refs::after(source, "zones").map(str::to_string)
        })
    }
}

fn delete(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let names = ask.body.get("names").and_then(Json::as_array);
    let names: Vec<&str> = names
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    if names.is_empty() {
        return Err(Refusal::required("resource.names"));
    }
    let there = |name: &str| {
        let config = world.groups.get(&key).and_then(|g| g.configs.get(name));
        config.is_some_and(|c| !c.deleted)
    };
    if let Some(name) = names.iter().find(|n| !there(n)) {
        let why = "There is no per-instance config of this name.";
        return Err(Refusal::invalid("resource.names", name, why));
    }
    if let Some(group) = world.groups.get_mut(&key) {
        for name in names {
            let applied = place_of(group, name).is_some_and(|i| !group.machines[i].kept.is_empty());
            match group.configs.get_mut(name) {
                Some(config) if applied => config.deleted = true,
                _ => {
                    group.configs.remove(name);
                }
            }
        }
    }
    Ok(groups::begin(world, ask, &key).into())
}
