//! Many machines by one call: `bulkInsert`, in a zone or in a region.
//!
//! Sources: API description of `BulkInsertInstanceResource` ("If min_count instances cannot be created, then no
//! instances will be created and instances already created will be deleted"; "the generated instance numbers start
//! after the biggest existing number"; template and properties are merged as RFC 7396 has it), of `LocationPolicy`
//! (the three shapes; zones that are not named are allowed), and of `Operation.operationGroupId`. What the operation
//! itself links to is not established: here the collection of the machines.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::failure::Failure;
use super::super::operation::{self, Operation, Then};
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::super::{Outcome, generic, patch, refs, timing};
use super::rules::Rule;
use super::{Handler, capacity, instances, path_of};
use crate::world::Timestamp;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.instances", "compute.regionInstances"],
    says: "`bulkInsert` makes machines by pattern or by name, in the zones of its shape; each has an operation of the same `operationGroupId`; fewer than `minCount` are none",
    source: "API description of `BulkInsertInstanceResource`, `LocationPolicy` and `Operation`",
    test: "fewer_than_the_minimum_are_none",
}];

pub fn method(id: &str) -> Option<Handler> {
    let bulk = matches!(
        id,
        "compute.instances.bulkInsert" | "compute.regionInstances.bulkInsert"
    );
    bulk.then_some(bulk_insert as Handler)
}

/// One call makes no more than this.
const MOST: i64 = 1000;

/// A machine to be: its name, and what stands under that name in the call.
struct Wanted {
    name: String,
    own: Object,
}

/// A machine that was begun.
struct Begun {
    ask: Ask,
    machine: String,
    operation: String,
}

fn bulk_insert(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let properties = properties(world, ask)?;
    let count = count(ask)?;
    let places = places(world, ask, &properties, count)?;
    let wanted = wanted(world, ask, &places, count)?;
    let least = number(ask, "minCount").unwrap_or(count);
    if !(0..=count).contains(&least) {
        let why = "Must be from 0 to count.";
        return Err(Refusal::invalid("minCount", &least.to_string(), why));
    }
    let doom = world.doom.take();
    let mut begun: Vec<Begun> = Vec::new();
    for (one, zone) in wanted.into_iter().zip(&places) {
        match begin(world, ask, properties.clone(), one, zone) {
            Ok(done) => begun.push(done),
            Err(refusal) => {
                forget(world, &begun);
                return Err(refusal);
            }
        }
    }
    let failed = |world: &World, b: &Begun| world.operations.get(&b.operation)?.failure.clone();
    let failures: Vec<Failure> = begun.iter().filter_map(|b| failed(world, b)).collect();
    let enough = begun.len() as i64 - failures.len() as i64 >= least;
    let why = match enough {
        true => doom,
        false => doom.or_else(|| failures.first().cloned()),
    };
    let group = world.mint.uuid();
    let answer = match why {
        Some(failure) => roll_back(world, ask, &begun, failure),
        None => {
            let length = timing::operation(&world.scenario, "compute.instances.insert");
            operation::begin_lasting(world, ask, &ask.target(), Vec::new(), length)
        }
    };
    for key in begun.iter().map(|b| b.operation.clone()) {
        join(world, &key, &group);
    }
    let Some(own) = operation::key_of(&answer) else {
        return Ok(answer.into());
    };
    join(world, &own, &group);
    let shown = world.operations.get(&own);
    let shown = shown.map(|o| operation::render(world, o, world.now));
    Ok(shown.unwrap_or(answer).into())
}

fn join(world: &mut World, operation: &str, group: &str) {
    if let Some(operation) = world.operations.get_mut(operation) {
        operation.group = Some(group.to_string());
    }
}

fn number(ask: &Ask, field: &str) -> Option<i64> {
    let value = ask.body.get(field)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// How many machines: the count, or as many as are named.
fn count(ask: &Ask) -> Result<i64, Refusal> {
    let named = named(ask).map(|n| n.len() as i64);
    let count = number(ask, "count")
        .or(named)
        .ok_or_else(|| Refusal::required("count"))?;
    let text = count.to_string();
    if !(1..=MOST).contains(&count) {
        let why = format!("Must be from 1 to {MOST}.");
        return Err(Refusal::invalid("count", &text, &why));
    }
    if named.is_some_and(|n| n != count) {
        let why = "Must equal the number of entries of perInstanceProperties.";
        return Err(Refusal::invalid("count", &text, why));
    }
    Ok(count)
}

fn named(ask: &Ask) -> Option<&Object> {
    let named = ask.body.get("perInstanceProperties")?.as_object()?;
    (!named.is_empty()).then_some(named)
}

/// The template's properties with those of the call merged in.
fn properties(world: &World, ask: &Ask) -> Result<Object, Refusal> {
    let own = ask.body.get("instanceProperties").and_then(Json::as_object);
    let mut out = match ask.text("sourceInstanceTemplate") {
        None if own.is_none() => return Err(Refusal::required("instanceProperties")),
        None => Object::new(),
        Some(text) => instances::properties_of(world, &ask.project, (text, "properties"))?,
    };
    patch::merge_into(&mut out, own.cloned().unwrap_or_default());
    Ok(out)
}

/// The zone of each machine.
fn places(
    world: &World,
    ask: &Ask,
    properties: &Object,
    count: i64,
) -> Result<Vec<String>, Refusal> {
    let count = usize::try_from(count).unwrap_or_default();
    let Some(region) = refs::after(&ask.rest, "regions") else {
        let zone = refs::after(&ask.rest, "zones").unwrap_or_default();
        return Ok(vec![zone.to_string(); count]);
    };
    let machine = properties.get("machineType").and_then(Json::as_str);
    let machine = refs::last(machine.unwrap_or_default());
    let mut open = allowed(world, ask, region)?;
    // Where nothing has room, the operation says so.
    let roomy = |(zone, _): &(String, usize)| !capacity::is_full(world, zone, machine);
    if open.iter().any(roomy) {
        open.retain(roomy);
    }
    let policy = ask.body.get("locationPolicy");
    let shape = policy.and_then(|p| p.get("targetShape")?.as_str());
    let spread = match shape {
        Some("ANY") => fill(&open, count, false),
        Some("BALANCED") => fill(&open, count, true),
        _ => {
            let one = open.iter().find(|(_, most)| *most >= count);
            one.map(|(zone, _)| vec![zone.clone(); count])
        }
    };
    spread.ok_or_else(|| {
        let why = "The zones that are allowed may not hold so many instances.";
        Refusal::invalid("locationPolicy.locations", &count.to_string(), why)
    })
}

/// The zones of a region that the call allows, with the most that each may get.
fn allowed(world: &World, ask: &Ask, region: &str) -> Result<Vec<(String, usize)>, Refusal> {
    const FIELD: &str = "locationPolicy.locations";
    let policy = ask.body.get("locationPolicy");
    let given = policy.and_then(|p| p.get("locations")?.as_object());
    let known = world.scenario.zones_of(region);
    for name in given.iter().flat_map(|g| g.keys()) {
        if !known.iter().any(|z| z == refs::last(name)) {
            let why = "The location is no zone of the region.";
            return Err(Refusal::invalid(FIELD, name, why));
        }
    }
    let said = |zone: &str| {
        let mut all = given?.iter();
        all.find(|(name, _)| refs::last(name) == zone)
            .map(|(_, v)| v)
    };
    let open: Vec<(String, usize)> = known
        .into_iter()
        .filter(|zone| said(zone).is_none_or(|s| s["preference"] != "DENY"))
        .map(|zone| {
            let most = said(&zone).and_then(|s| s.pointer("/constraints/maxCount")?.as_u64());
            let most = most.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
            (zone, most)
        })
        .collect();
    match open.is_empty() {
        true => Err(Refusal::invalid(FIELD, "", "No zone is allowed.")),
        false => Ok(open),
    }
}

/// One zone after another until it has its most; or always the zone with the fewest.
fn fill(open: &[(String, usize)], count: usize, evenly: bool) -> Option<Vec<String>> {
    let mut have = vec![0; open.len()];
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        let free = (0..open.len()).filter(|i| have[*i] < open[*i].1);
        let next = match evenly {
            true => free.min_by_key(|i| have[*i]),
            false => free.min(),
        }?;
        have[next] += 1;
        out.push(open[next].0.clone());
    }
    Some(out)
}

/// The machines by name: as they are given, or by the pattern.
fn wanted(world: &World, ask: &Ask, places: &[String], count: i64) -> Result<Vec<Wanted>, Refusal> {
    let pattern = ask.text("namePattern").filter(|p| !p.is_empty());
    let wanted: Vec<Wanted> = match (named(ask), pattern) {
        (Some(_), Some(pattern)) => {
            let why = "Either namePattern or perInstanceProperties must be set, not both.";
            return Err(Refusal::invalid("namePattern", pattern, why));
        }
        (None, None) => return Err(Refusal::required("namePattern")),
        (Some(named), None) => named
            .iter()
            .map(|(name, own)| Wanted {
                name: name.clone(),
                own: own.as_object().cloned().unwrap_or_default(),
            })
            .collect(),
        (None, Some(pattern)) => numbered(world, ask, places, (pattern, count))?,
    };
    for (one, zone) in wanted.iter().zip(places) {
        let path = format!(
            "projects/{}/zones/{zone}/instances/{}",
            ask.project, one.name
        );
        if world.compute(&path).is_some() {
            return Err(Refusal::exists(&path));
        }
    }
    Ok(wanted)
}

/// `vm-##` as vm-01, vm-02 and so on, from the biggest number on that there is.
fn numbered(
    world: &World,
    ask: &Ask,
    places: &[String],
    (pattern, count): (&str, i64),
) -> Result<Vec<Wanted>, Refusal> {
    const LONGEST: usize = 18;
    let begin = pattern.find('#').unwrap_or(pattern.len());
    let tail = pattern[begin..].trim_start_matches('#');
    let width = pattern.len() - begin - tail.len();
    let head = &pattern[..begin];
    if !(1..=LONGEST).contains(&width) || tail.contains('#') {
        let why = "It must contain one continuous sequence of 1 to 18 placeholder characters (#).";
        return Err(Refusal::invalid("namePattern", pattern, why));
    }
    let number_of = |name: &str| -> Option<u64> {
        let digits = name.strip_prefix(head)?.strip_suffix(tail)?;
        let fits = digits.len() >= width && digits.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| digits.parse().ok()).flatten()
    };
    let zones: std::collections::BTreeSet<&String> = places.iter().collect();
    let biggest = zones
        .into_iter()
        .flat_map(|zone| {
            let prefix = format!("compute/projects/{}/zones/{zone}/instances/", ask.project);
            let there = world.resources.range(prefix.clone()..);
            there
                .map_while(move |(key, _)| key.strip_prefix(&prefix))
                .filter_map(number_of)
                .collect::<Vec<_>>()
        })
        .max()
        .unwrap_or(0);
    let name = |n: u64| format!("{head}{n:0width$}{tail}");
    Ok((1..=count.unsigned_abs())
        .map(|n| Wanted {
            name: name(biggest.saturating_add(n)),
            own: Object::new(),
        })
        .collect())
}

/// Inserts one machine as `instances.insert` would.
fn begin(
    world: &mut World,
    ask: &Ask,
    properties: Object,
    one: Wanted,
    zone: &str,
) -> Result<Begun, Refusal> {
    let lacks = || Refusal::not_simulated(&ask.method.id);
    let method = world.catalog.method("compute.instances.insert");
    let collection = world.catalog.collection("compute.instances");
    let (method, collection) = (method.ok_or_else(lacks)?, collection.ok_or_else(lacks)?);
    let holder = format!("projects/{}/zones/{zone}", ask.project);
    let mut body = properties;
    instances::qualify(&mut body, &holder);
    if let Some(host) = one.own.get("hostname") {
        body.insert("hostname".into(), host.clone());
    }
    body.insert("name".into(), json!(one.name));
    let params = [("project", ask.project.as_str()), ("zone", zone)];
    let insert = Ask {
        method,
        collection: Some(std::sync::Arc::clone(&collection)),
        rest: format!("{holder}/instances"),
        params: params
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        body,
        project: ask.project.clone(),
        request_id: None,
    };
    let answer = generic::insert(world, &insert, &collection)?;
    Ok(Begun {
        machine: format!("compute/{holder}/instances/{}", one.name),
        operation: operation::key_of(&answer).unwrap_or_default(),
        ask: insert,
    })
}

/// Takes machines back that were begun by a call that is refused after all.
fn forget(world: &mut World, begun: &[Begun]) {
    for one in begun {
        world.operations.remove(&one.operation);
        instances::sweep(world, &one.ask, &one.machine);
        if let Some(old) = world.resources.remove(&one.machine) {
            instances::removed(world, &old);
        }
    }
}

/// Ends the operation of every machine, and that of the call, with an error; the machines go.
fn roll_back(world: &mut World, ask: &Ask, begun: &[Begun], failure: Failure) -> Json {
    let ends = world.now.plus(operation::FAILS_AFTER);
    for one in begun {
        instances::sweep(world, &one.ask, &one.machine);
        if let Some(own) = world.operations.get_mut(&one.operation) {
            own.failure.get_or_insert_with(|| failure.clone());
            own.then.clear();
            own.ends = ends;
        }
    }
    let gone = begun.iter().map(|b| Then::Remove(b.machine.clone()));
    operation::begin_failing(world, ask, &ask.target(), gone.collect(), failure)
}

/// `instancesBulkInsertOperationMetadata` of an operation: what became of its machines by zone.
pub fn told(world: &World, own: &Operation, at: Timestamp) -> Option<Json> {
    let group = own.group.as_ref()?;
    let mut zones: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    let scope = format!("compute/projects/{}/zones/", own.project);
    let others = world.operations.range(scope.clone()..);
    for (key, one) in others.take_while(|(key, _)| key.starts_with(&scope)) {
        if one.group.as_ref() != Some(group) || one.kind == own.kind {
            continue;
        }
        let zone = refs::after(path_of(key), "zones").unwrap_or_default();
        let [all, made, failed] = zones.entry(format!("zones/{zone}")).or_default();
        *all += 1;
        match (one.is_done(at), one.failure.is_some()) {
            (false, _) => {}
            (true, false) => *made += 1,
            (true, true) => *failed += 1,
        }
    }
    let (done, back) = (own.is_done(at), own.failure.is_some());
    let status = match (done, back) {
        (true, _) => "DONE",
        (false, true) => "ROLLING_BACK",
        (false, false) => "CREATING",
    };
    let shown: Object = zones
        .into_iter()
        .map(|(zone, [all, made, failed])| {
            let deleted = if done && back { all } else { 0 };
            let told = json!({
                "targetVmCount": all, "createdVmCount": made, "failedToCreateVmCount": failed,
                "deletedVmCount": deleted, "status": status,
            });
            (zone, told)
        })
        .collect();
    Some(json!({ "perLocationStatus": shown }))
}
