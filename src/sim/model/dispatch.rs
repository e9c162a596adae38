//! Which method is answered by what: a model of its own, a verb that every collection has, or nothing.

use super::super::ask::Ask;
use super::super::operation;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::super::{Outcome, generic, page};
use super::*;
use crate::catalog::{Catalog, Collection, Method};

/// By what a method is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// By a model of its own.
    Modelled,
    /// As every collection answers it; what the collection's rules say holds.
    Generic,
    /// Not at all: 501.
    Refused,
}

impl How {
    pub const ALL: [How; 3] = [How::Modelled, How::Generic, How::Refused];

    pub fn as_str(self) -> &'static str {
        match self {
            How::Modelled => "modelled",
            How::Generic => "generic",
            How::Refused => "refused",
        }
    }
}

/// Answers a call: by the model of its method, else by a generic verb, else not at all.
pub fn answer(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    if blunt::is_off(world, &ask.method.id) {
        return blunt::answer(world, ask);
    }
    match handler(&world.catalog, &ask.method) {
        Some((_, handler)) => handler(world, ask),
        None => Err(Refusal::not_simulated(&ask.method.id)),
    }
}

pub fn how(catalog: &Catalog, method: &Method) -> How {
    handler(catalog, method).map_or(How::Refused, |(how, _)| how)
}

fn handler(catalog: &Catalog, method: &Method) -> Option<(How, Handler)> {
    if let Some(handler) = own(&method.id) {
        return Some((How::Modelled, handler));
    }
    if operations::is_operations(&method.collection) {
        return operations::method(&method.name).map(|handler| (How::Modelled, handler));
    }
    generic_verb(catalog, method).map(|handler| (How::Generic, handler))
}

fn own(method: &str) -> Option<Handler> {
    instance_calls::method(method)
        .or_else(|| bulk::method(method))
        .or_else(|| images::method(method))
        .or_else(|| group_calls::method(method))
        .or_else(|| unmanaged::method(method))
        .or_else(|| balancing::method(method))
        .or_else(|| places::method(method))
        .or_else(|| dns::method(method))
        .or_else(|| services::method(method))
        .or_else(|| setters::method(method))
        .or_else(|| policies::method(method))
        .or_else(|| projects::method(method))
        .or_else(|| secrets::method(method))
        .or_else(|| sql_calls::method(method))
        .or_else(|| sql_certs::method(method))
        .or_else(|| machine_calls::method(method))
        .or_else(|| network_calls::method(method))
        .or_else(|| snapshots::method(method))
        .or_else(|| exports::method(method))
        .or_else(|| objects::method(method))
}

/// Collections that can be read although nobody inserts into them.
const READ_ONLY: &[&str] = &[
    "compute.regionInstanceGroups",
    "dns.changes",
    "dns.managedZoneOperations",
];

fn generic_verb(catalog: &Catalog, method: &Method) -> Option<Handler> {
    let collection = catalog.collection(&method.collection)?;
    let kept = collection.insert.is_some() || READ_ONLY.contains(&&*collection.path);
    let compute = &*method.service == "compute";
    Some(match &*method.name {
        _ if !kept => return None,
        "get" => |world, ask| Ok(generic::get(world, ask)?.into()),
        "list" => |world, ask| Ok(page::list(world, ask)?.into()),
        "insert" | "create" => |world, ask| with(world, ask, generic::insert),
        "patch" => |world, ask| with(world, ask, |w, a, c| generic::change(w, a, c, true)),
        "update" => |world, ask| with(world, ask, |w, a, c| generic::change(w, a, c, false)),
        "delete" => |world, ask| with(world, ask, generic::delete),
        "aggregatedList" if compute => |world, ask| Ok(page::aggregated_list(world, ask)?.into()),
        "setLabels" => |world, ask| Ok(set_labels(world, ask)?.into()),
        _ => return None,
    })
}

/// A generic verb, told what the catalogue knows of the collection.
fn with(
    world: &mut World,
    ask: &Ask,
    verb: fn(&mut World, &Ask, &Collection) -> Result<Json, Refusal>,
) -> Result<Outcome, Refusal> {
    let refuse = || Refusal::not_simulated(&ask.method.id);
    let collection = ask.collection.clone().ok_or_else(refuse)?;
    Ok(verb(world, ask, &collection)?.into())
}

/// `setLabels` of Compute Engine replaces all labels under their fingerprint; its operation is done
/// at once (47 of 47 in recorded traffic).
fn set_labels(world: &mut World, ask: &Ask) -> Result<Json, Refusal> {
    let key = existing(world, ask)?;
    let have = world
        .live(&key)
        .map(|r| r.text("labelFingerprint").to_string())
        .unwrap_or_default();
    let given = ask
        .text("labelFingerprint")
        .ok_or_else(|| Refusal::required("labelFingerprint"))?;
    if given != have {
        return Err(Refusal::stale_fingerprint());
    }
    let print = world.mint.fingerprint();
    let labels = ask
        .body
        .get("labels")
        .cloned()
        .unwrap_or_else(|| Json::Object(Object::new()));
    if let Some(resource) = world.resources.get_mut(&key) {
        resource.body.insert("labels".into(), labels);
        resource
            .body
            .insert("labelFingerprint".into(), print.into());
    }
    Ok(operation::begin_lasting(
        world,
        ask,
        &key,
        Vec::new(),
        Millis(0),
    ))
}
