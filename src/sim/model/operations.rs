//! Reading operations: get, wait, list and delete of every service that has them.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::operation::{self, Operation};
use super::super::refusal::Refusal;
use super::super::world::World;
use super::super::{LONGEST_WAIT, Outcome, identity, page};
use super::Handler;
use super::rules::Rule;
use crate::catalog::OperationStyle;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["*.operations", "compute.*Operations"],
    says: "PENDING, RUNNING, DONE on the clock; `wait` answers after two minutes at the latest; forgotten after a day",
    source: "API description of `Operation` and of `wait`",
    test: "operations_have_googles_shape",
}];

/// Whether a collection is a service's operations.
pub fn is_operations(collection: &str) -> bool {
    let last = collection.rsplit('.').next().unwrap_or("");
    matches!(
        last,
        "operations"
            | "zoneOperations"
            | "regionOperations"
            | "globalOperations"
            | "globalOrganizationOperations"
    )
}

/// The handler of a method of such a collection, by its last name.
pub fn method(name: &str) -> Option<Handler> {
    Some(match name {
        "get" => get,
        "wait" => wait,
        "list" => list,
        "aggregatedList" => aggregated,
        "delete" => delete,
        _ => return None,
    })
}

fn is_kept(world: &World, operation: &Operation) -> bool {
    world.now.since(operation.ends) <= world.scenario.operations_kept.0
}

fn find<'a>(world: &'a World, key: &str) -> Result<&'a Operation, Refusal> {
    let key = identity::normal(key);
    let path = key.split_once('/').map_or("", |(_, p)| p);
    let by_id = || {
        let (holder, id) = key.rsplit_once('/')?;
        let prefix = format!("{holder}/");
        world
            .operations
            .range(prefix.clone()..)
            .take_while(|(k, _)| k.starts_with(&prefix))
            .map(|(_, o)| o)
            .find(|o| o.id == id)
    };
    // `v1/operations/…` says no service; the operation's own name does.
    let elsewhere = || {
        let same = |o: &&Operation| o.key.split_once('/').is_some_and(|(_, p)| p == path);
        let bare = path.starts_with("operations/");
        world.operations.values().filter(|_| bare).find(same)
    };
    world
        .operations
        .get(&key)
        .or_else(by_id)
        .or_else(elsewhere)
        .filter(|o| is_kept(world, o))
        .ok_or_else(|| Refusal::not_found(path))
}

fn get(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let operation = find(world, &ask.key())?;
    Ok(operation::render(world, operation, world.now).into())
}

/// Answers when the operation is done, after two minutes at the latest.
fn wait(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let operation = find(world, &ask.target())?;
    let latest = world.now.plus(LONGEST_WAIT);
    let at = operation.ends.max(world.now).min(latest);
    Ok(Outcome {
        body: operation::render(world, operation, at),
        at: Some(at),
        replay: false,
    })
}

fn delete(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let operation = find(world, &ask.key())?;
    if !operation.is_done(world.now) {
        return Err(Refusal::not_ready(&ask.rest));
    }
    let key = operation.key.clone();
    world.operations.remove(&key);
    Ok(json!({}).into())
}

/// Newest first, as Google lists them.
fn list(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let prefix = format!("{}/", identity::normal(&ask.key()));
    let instance = ask.param("instance").map(str::to_string);
    let mut found: Vec<&Operation> = world
        .operations
        .range(prefix.clone()..)
        .take_while(|(key, _)| key.starts_with(&prefix))
        .map(|(_, o)| o)
        .filter(|o| is_kept(world, o))
        .filter(|o| match (&instance, &o.style) {
            (Some(name), OperationStyle::Sql) => o.target.split('/').any(|s| s == name),
            _ => true,
        })
        .collect();
    found.sort_by_key(|o| std::cmp::Reverse((o.inserted, o.name.clone())));
    let items = found
        .into_iter()
        .map(|o| operation::render(world, o, world.now))
        .collect();
    Ok(page::answer(world, ask, items)?.into())
}

fn aggregated(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let prefix = format!("compute/projects/{}/", ask.project);
    let items: Vec<(String, Json)> = world
        .operations
        .range(prefix.clone()..)
        .take_while(|(key, _)| key.starts_with(&prefix))
        .filter(|(_, o)| is_kept(world, o))
        .map(|(key, o)| (key.clone(), operation::render(world, o, world.now)))
        .collect();
    Ok(page::aggregated(world, ask, items)?.into())
}
