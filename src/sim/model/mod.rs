//! Behaviour beyond the generic verbs: one file a subject, and the one registry that calls them.

pub mod addresses;
pub mod adopt;
pub mod autoscalers;
pub mod balancing;
pub mod blunt;
pub mod bulk;
pub mod capacity;
pub mod certificates;
pub mod dispatch;
pub mod dns;
pub mod exports;
pub mod furnish;
pub mod group_calls;
pub mod group_configs;
pub mod group_health;
pub mod group_machine;
pub mod group_roll;
pub mod group_spec;
pub mod group_standby;
pub mod group_state;
pub mod group_view;
pub mod group_wish;
pub mod groups;
pub mod images;
pub mod instance_calls;
pub mod instances;
pub mod machine_calls;
pub mod network_calls;
pub mod networks;
pub mod objects;
pub mod operations;
pub mod places;
pub mod policies;
pub mod projects;
pub mod quotas;
pub mod reach;
pub mod rules;
pub mod scaling;
pub mod schedules;
pub mod secrets;
pub mod services;
pub mod setters;
pub mod snapshots;
pub mod sql;
pub mod sql_calls;
pub mod sql_certs;
pub mod unmanaged;
pub mod usage;

use serde_json::Value as Json;

use super::ask::Ask;
use super::operation::Then;
use super::refusal::Refusal;
use super::world::{Due, Object, Resource, World};
use super::{Outcome, generic};
use crate::catalog::Collection;
use crate::world::Millis;

type Handler = fn(&mut World, &Ask) -> Result<Outcome, Refusal>;

/// A change of a resource: what it was.
pub struct Change<'a> {
    pub key: &'a str,
    pub old: &'a Object,
}

/// What a change does: the new body at once, or things that happen when the operation ends.
pub struct Effect {
    pub now: Option<Object>,
    pub later: Vec<Then>,
}

/// The key of the resource that a custom method works on.
///
/// # Errors
/// 404 when it is not there, 400 while it is being deleted.
pub fn existing(world: &World, ask: &Ask) -> Result<String, Refusal> {
    let named = ask.target();
    let key = match world.live(&named) {
        Some(_) => named,
        None => {
            super::identity::by_number(world, &named).ok_or_else(|| generic::missing(&named))?
        }
    };
    match world.live(&key) {
        Some(r) if r.dying => Err(Refusal::not_ready(path_of(&key))),
        _ => Ok(key),
    }
}

/// `projects/…` of `compute/projects/…`.
pub fn path_of(key: &str) -> &str {
    key.split_once('/').map_or("", |(_, path)| path)
}

/// Adds to a new resource what it takes from another that the call names.
///
/// # Errors
/// 404 when that is not there.
pub fn filled(
    world: &World,
    ask: &Ask,
    collection: &Collection,
    body: &mut Object,
) -> Result<(), Refusal> {
    match &*collection.path {
        "compute.instances" => instances::filled(world, ask, body),
        _ => Ok(()),
    }
}

/// Checks and completes a new resource.
///
/// # Errors
/// What the service refuses.
pub fn prepare(
    world: &mut World,
    collection: &Collection,
    key: &str,
    ask: &Ask,
    body: &mut Object,
) -> Result<(), Refusal> {
    places::known_scope(world, key)?;
    quotas::admit(world, &collection.path, key)?;
    match &*collection.path {
        "compute.instances" => instances::prepare(world, key, body),
        "compute.disks" => instances::prepare_disk(world, key, body),
        "compute.images" => images::prepare(world, ask, body),
        "compute.snapshots" => snapshots::prepare(world, body),
        "compute.machineImages" => snapshots::prepare_machine(world, ask, body),
        "compute.instanceTemplates" => images::prepare_template(world, body),
        "compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers" => {
            group_spec::prepare(world, key, body)
        }
        "compute.autoscalers" | "compute.regionAutoscalers" => {
            autoscalers::prepare(world, key, body)
        }
        "compute.addresses" | "compute.globalAddresses" => addresses::prepare(world, key, body),
        "compute.forwardingRules" | "compute.globalForwardingRules" => {
            addresses::prepare_rule(world, key, body)
        }
        "compute.sslCertificates" => certificates::prepare(world, body),
        "compute.networks" | "compute.subnetworks" | "compute.firewalls" | "compute.routers" => {
            networks::prepare(world, &collection.path, body)
        }
        "compute.healthChecks"
        | "compute.backendServices"
        | "compute.urlMaps"
        | "compute.targetHttpsProxies"
        | "compute.targetHttpProxies" => balancing::prepare(world, &collection.path, body),
        "sqladmin.instances" | "sqladmin.databases" | "sqladmin.users" => {
            sql::prepare(world, &collection.path, key, body)
        }
        "dns.managedZones" | "dns.resourceRecordSets" => {
            if &*collection.path == "dns.resourceRecordSets" {
                dns::check_record(world, key, body)?;
            }
            dns::prepare(world, &collection.path, key, body);
            Ok(())
        }
        "iam.projects.serviceAccounts" => services::prepare_account(key, &ask.project, body),
        "storage.buckets" => {
            objects::prepare_bucket(world, &ask.project, key, body);
            Ok(())
        }
        "storage.objects" => {
            objects::prepare(world, key, body);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Why the operation of an insert will end with an error: a quota, or a zone without room.
pub fn refused_later(
    world: &World,
    collection: &str,
    key: &str,
    body: &Object,
) -> Option<super::failure::Failure> {
    match collection {
        "compute.instances" => capacity::refused_machine(world, key, body),
        "compute.subnetworks" if !world.planting => networks::overlaps(world, key, body),
        _ => None,
    }
}

/// Makes what an insert put there besides its resource go with it.
pub fn sweep(world: &mut World, ask: &Ask, key: &str) {
    if key.contains("/instances/") {
        instances::sweep(world, ask, key);
    }
}

/// An operation has ended well: what looks at others looks again.
pub fn settled(world: &mut World, target: &str) {
    const SEEN: [&str; 5] = [
        "/firewalls/",
        "/healthChecks/",
        "/routers/",
        "/addresses/",
        "sqladmin/",
    ];
    if SEEN.iter().any(|part| target.contains(part)) {
        group_health::review(world);
    }
    if target.contains("/instances/") {
        groups::touched(world, target);
    }
}

/// What follows from a new resource: now, and at the end of its operation.
pub fn inserted(world: &mut World, collection: &str, key: &str, ask: &Ask) -> Vec<Then> {
    let _ = ask;
    match collection {
        "compute.instances" => instances::inserted(world, key),
        "compute.images" => images::inserted(world, key),
        "compute.snapshots" => snapshots::inserted(key),
        "compute.machineImages" => snapshots::machine_inserted(key),
        "compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers" => {
            groups::inserted(world, key)
        }
        "compute.autoscalers" | "compute.regionAutoscalers" => autoscalers::inserted(world, key),
        "compute.networks" => networks::inserted(world, key),
        "compute.sslCertificates"
        | "compute.targetHttpsProxies"
        | "compute.globalForwardingRules" => {
            certificates::review(world);
            Vec::new()
        }
        "dns.resourceRecordSets" => {
            let new = world.live(key).map(|r| r.body.clone());
            dns::record_changed(world, key, None, new.as_ref());
            certificates::review(world);
            Vec::new()
        }
        "sqladmin.instances" => sql::inserted(world, key),
        _ => Vec::new(),
    }
}

/// Checks a change and says when it shows.
///
/// # Errors
/// What the service refuses.
pub fn changing(
    world: &mut World,
    collection: &Collection,
    ask: &Ask,
    change: Change,
    new: &mut Object,
) -> Result<Effect, Refusal> {
    match &*collection.path {
        "compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers" => {
            groups::changing(ask, &change, new)?;
        }
        "compute.autoscalers" | "compute.regionAutoscalers" => autoscalers::check(new)?,
        "compute.backendServices" | "compute.healthChecks" => {
            balancing::check(world, &collection.path, new)?;
        }
        "sqladmin.instances" => return sql::changing(world, ask, &change, new),
        "sqladmin.databases" | "sqladmin.users" => sql::idle(world, change.key)?,
        "dns.resourceRecordSets" => {
            dns::check_record(world, change.key, new)?;
            dns::record_changed(world, change.key, Some(change.old), Some(new));
        }
        "storage.buckets" | "storage.objects" => objects::changing(change.old, new),
        _ => {}
    }
    Ok(Effect {
        now: Some(std::mem::take(new)),
        later: Vec::new(),
    })
}

/// What follows from a change that took effect.
pub fn changed(world: &mut World, collection: &str, key: &str) {
    match collection {
        "compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers" => {
            groups::noticed_later(world, key)
        }
        "compute.autoscalers" | "compute.regionAutoscalers" => autoscalers::apply(world, key),
        "compute.targetHttpsProxies"
        | "compute.globalForwardingRules"
        | "dns.resourceRecordSets" => {
            certificates::review(world);
        }
        _ => {}
    }
}

/// Adds what is computed at each read.
pub fn view(world: &World, collection: &str, key: &str, body: &mut Object) {
    match collection {
        "compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers" => {
            group_view::view(world, key, body);
        }
        "compute.instanceGroups" | "compute.regionInstanceGroups" => {
            group_view::view_members(world, key, body)
        }
        "compute.addresses" | "compute.globalAddresses" => addresses::view(world, key, body),
        "compute.networks" => networks::view(world, key, body),
        "compute.sslCertificates" => certificates::view(world, key, body),
        "compute.autoscalers" | "compute.regionAutoscalers" => autoscalers::view(world, key, body),
        "sqladmin.users" => {
            body.remove("password");
        }
        "sqladmin.instances" => {
            body.remove("rootPassword");
        }
        _ => {}
    }
}

/// # Errors
/// When something else still uses the resource, or it is protected.
pub fn removable(world: &World, collection: &Collection, key: &str) -> Result<(), Refusal> {
    usage::free(world, &collection.path, key)?;
    match &*collection.path {
        "compute.instances" => instances::removable(world, key),
        "compute.instanceGroups" => unmanaged::removable(world, key),
        "sqladmin.instances" | "sqladmin.databases" | "sqladmin.users" => {
            sql::removable(world, key)
        }
        "dns.managedZones" => dns::removable(world, key),
        "storage.buckets" => objects::removable(world, key),
        _ => Ok(()),
    }
}

/// Whether a deletion is refused by its operation and not by the call: recorded for networks, told of
/// templates (pulumi-gcp#680).
pub fn refuses_in_operation(collection: &str, refusal: &Refusal) -> bool {
    refusal.reason == "resourceInUseByAnotherResource"
        && matches!(collection, "compute.networks" | "compute.instanceTemplates")
}

/// What the beginning of a deletion does; gives the operation's length where the model decides it.
pub fn removing(world: &mut World, collection: &str, key: &str, ask: &Ask) -> Option<Millis> {
    match collection {
        "compute.instances" => {
            instances::stopping(world, key);
            None
        }
        "compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers" => {
            Some(groups::removing(world, key))
        }
        "sqladmin.instances" => {
            sql::follow(world, key, false);
            None
        }
        "dns.resourceRecordSets" => {
            let old = world.live(key).map(|r| r.body.clone());
            dns::record_changed(world, key, old.as_ref(), None);
            None
        }
        _ => {
            let _ = ask;
            None
        }
    }
}

/// What follows from a resource that is gone.
pub fn removed(world: &mut World, key: &str, old: &Resource) {
    match &*old.collection {
        "compute.instances" => {
            instances::removed(world, old);
            unmanaged::forget(world, key);
        }
        "compute.instanceGroups" => unmanaged::forget(world, key),
        "compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers" => {
            groups::removed(world, key)
        }
        "compute.networks" => networks::removed(world, key),
        "compute.autoscalers" | "compute.regionAutoscalers" => {
            world.scalers.remove(key);
        }
        "sqladmin.instances" | "dns.managedZones" => remove_below(world, key),
        _ => remove_children(world, old, key),
    }
}

/// Children go with their holder where the holder's API has no other rule.
fn remove_children(world: &mut World, old: &Resource, key: &str) {
    if !old.collection.starts_with("compute.") {
        remove_below(world, key);
    }
}

fn remove_below(world: &mut World, key: &str) {
    let prefix = format!("{key}/");
    let below: Vec<String> = world
        .resources
        .range(prefix.clone()..)
        .take_while(|(k, _)| k.starts_with(&prefix))
        .map(|(k, _)| k.clone())
        .collect();
    for key in below {
        world.resources.remove(&key);
    }
}

/// Lets a scheduled thing happen.
pub fn happen(world: &mut World, due: Due) {
    match due {
        Due::ImageReady(key) => images::ready(world, &key),
        Due::GroupMoves(key) => groups::moves(world, &key),
        Due::CertificateIssued(key) => certificates::issued(world, &key),
        Due::DnsChangeDone(key) => dns::done(world, &key),
        Due::ScalerLooks(key) => autoscalers::look(world, &key),
        Due::OperationEnds(_) => {}
    }
}

/// Whether a link of a body leads somewhere.
pub fn linkable(world: &World, path: &str, holder: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        ["projects", _, "zones", zone] => world.scenario.knows_zone(zone),
        ["projects", _, "regions", region] => world.scenario.regions.contains_key(*region),
        [
            "projects",
            _,
            "zones",
            zone,
            "machineTypes" | "diskTypes",
            kind,
        ] => {
            world.scenario.knows_zone(zone)
                && (path.contains("/diskTypes/") || places::knows_machine(world, kind))
        }
        ["projects", project, "global", "images", "family", family] => {
            images::newest(world, project, family).is_some()
        }
        ["projects", project, "zones", _, "imageFamilyViews", family] => {
            images::newest(world, project, family).is_some()
        }
        ["projects", _, "global", kind, _] | ["projects", _, "zones" | "regions", _, kind, _] => {
            !tracked(kind, holder)
                || world.compute(path).is_some()
                || super::identity::by_number(world, &format!("compute/{path}")).is_some()
        }
        _ => true,
    }
}

/// Kinds whose absence is noticed; others (licences, accelerator types, tags) are taken as they are.
fn tracked(kind: &str, _holder: &str) -> bool {
    matches!(
        kind,
        "addresses"
            | "backendServices"
            | "backendBuckets"
            | "disks"
            | "healthChecks"
            | "images"
            | "instanceGroupManagers"
            | "instanceGroups"
            | "instanceTemplates"
            | "instances"
            | "networks"
            | "resourcePolicies"
            | "routers"
            | "snapshots"
            | "sslCertificates"
            | "sslPolicies"
            | "subnetworks"
            | "targetHttpProxies"
            | "targetHttpsProxies"
            | "targetPools"
            | "urlMaps"
    )
}
