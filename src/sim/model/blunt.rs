//! Handlers that a test switches off: what is sent is stored, and the operation is done.
//!
//! A suite that does not notice this checks nothing. Only debug builds have the switch.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::world::World;
use super::super::{Outcome, operation};
use crate::world::Millis;

/// Whether the method's model is switched off.
pub fn is_off(world: &World, method: &str) -> bool {
    cfg!(debug_assertions) && world.blunt.contains(method)
}

/// Stores the body under the path of the call, and answers as if all were done.
pub fn answer(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let target = ask.target();
    let key = match ask.body.get("name").and_then(Json::as_str) {
        Some(name) if world.live(&target).is_none() => format!("{}/{name}", ask.key()),
        _ => target,
    };
    match world.live(&key).is_some() {
        true => world.change(&key, |body| body.extend(ask.body.clone())),
        false => world.put(&key, ask.family(), ask.body.clone()),
    }
    let body = operation::begin_lasting(world, ask, &key, Vec::new(), Millis(0));
    Ok(match body {
        Json::Object(fields) if fields.is_empty() => json!(ask.body).into(),
        body => body.into(),
    })
}
