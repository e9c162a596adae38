//! Methods that set one field of a resource: a table.
//!
//! Source: the API description of each method, and of its request type.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::world::World;
use super::super::{Outcome, operation, refs};
use super::rules::Rule;
use super::{Handler, certificates, existing, path_of};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.*"],
    says: "methods that set one field do so: what they name must be there, and some want the machine stopped",
    source: "API description of each method and of its request",
    test: "what_a_setter_names_must_be_there",
}];

/// Where the new value comes from.
enum Source {
    /// The whole body.
    Body,
    /// A list of which the body is the only item.
    OneItem,
    /// A field of the body.
    Field(&'static str),
    No,
}

use Source::{Body, Field, No, OneItem};

/// The method, the field that it sets, and to what.
const SETTERS: &[(&str, &str, Source)] = &[
    (
        "compute.instances.setMachineType",
        "machineType",
        Field("machineType"),
    ),
    (
        "compute.instances.setMinCpuPlatform",
        "minCpuPlatform",
        Field("minCpuPlatform"),
    ),
    (
        "compute.instances.setMachineResources",
        "guestAccelerators",
        Field("guestAccelerators"),
    ),
    (
        "compute.instances.setServiceAccount",
        "serviceAccounts",
        OneItem,
    ),
    ("compute.instances.setScheduling", "scheduling", Body),
    (
        "compute.instances.setShieldedInstanceIntegrityPolicy",
        "shieldedInstanceIntegrityPolicy",
        Body,
    ),
    (
        "compute.instances.updateShieldedInstanceConfig",
        "shieldedInstanceConfig",
        Body,
    ),
    (
        "compute.instances.updateDisplayDevice",
        "displayDevice",
        Body,
    ),
    (
        "compute.subnetworks.setPrivateIpGoogleAccess",
        "privateIpGoogleAccess",
        Field("privateIpGoogleAccess"),
    ),
    (
        "compute.subnetworks.expandIpCidrRange",
        "ipCidrRange",
        Field("ipCidrRange"),
    ),
    (
        "compute.networks.switchToCustomMode",
        "autoCreateSubnetworks",
        No,
    ),
    (
        "compute.forwardingRules.setTarget",
        "target",
        Field("target"),
    ),
    (
        "compute.globalForwardingRules.setTarget",
        "target",
        Field("target"),
    ),
    (
        "compute.targetHttpsProxies.setSslPolicy",
        "sslPolicy",
        Field("sslPolicy"),
    ),
    (
        "compute.targetHttpsProxies.setQuicOverride",
        "quicOverride",
        Field("quicOverride"),
    ),
    (
        "compute.targetHttpsProxies.setCertificateMap",
        "certificateMap",
        Field("certificateMap"),
    ),
    (
        "compute.regionTargetHttpProxies.setUrlMap",
        "urlMap",
        Field("urlMap"),
    ),
    (
        "compute.regionTargetHttpsProxies.setUrlMap",
        "urlMap",
        Field("urlMap"),
    ),
    (
        "compute.regionTargetHttpsProxies.setSslCertificates",
        "sslCertificates",
        Field("sslCertificates"),
    ),
    (
        "compute.targetSslProxies.setBackendService",
        "service",
        Field("service"),
    ),
    (
        "compute.targetSslProxies.setProxyHeader",
        "proxyHeader",
        Field("proxyHeader"),
    ),
    (
        "compute.targetSslProxies.setSslCertificates",
        "sslCertificates",
        Field("sslCertificates"),
    ),
    (
        "compute.targetSslProxies.setSslPolicy",
        "sslPolicy",
        Field("sslPolicy"),
    ),
    (
        "compute.targetSslProxies.setCertificateMap",
        "certificateMap",
        Field("certificateMap"),
    ),
    (
        "compute.targetTcpProxies.setBackendService",
        "service",
        Field("service"),
    ),
    (
        "compute.targetTcpProxies.setProxyHeader",
        "proxyHeader",
        Field("proxyHeader"),
    ),
    (
        "compute.backendServices.setSecurityPolicy",
        "securityPolicy",
        Field("securityPolicy"),
    ),
    (
        "compute.backendServices.setEdgeSecurityPolicy",
        "edgeSecurityPolicy",
        Field("securityPolicy"),
    ),
    (
        "compute.regionBackendServices.setSecurityPolicy",
        "securityPolicy",
        Field("securityPolicy"),
    ),
    (
        "compute.backendBuckets.setEdgeSecurityPolicy",
        "edgeSecurityPolicy",
        Field("securityPolicy"),
    ),
    (
        "compute.targetPools.setBackup",
        "backupPool",
        Field("target"),
    ),
    ("compute.regionDisks.resize", "sizeGb", Field("sizeGb")),
];

/// The machine must be stopped for these (Google's guides). The words of the refusal are not established;
/// `resourceNotReady` is what stands nearest.
const NEEDS_STOPPED: &[&str] = &[
    "setMachineType",
    "setMinCpuPlatform",
    "setMachineResources",
    "setServiceAccount",
    "updateShieldedInstanceConfig",
    "updateDisplayDevice",
];

/// Methods that put entries into a list of texts, or take them out: the field of the resource, that of
/// the body, and whether they put.
const LISTS: &[(&str, &str, &str, bool)] = &[
    (
        "compute.disks.addResourcePolicies",
        "resourcePolicies",
        "resourcePolicies",
        true,
    ),
    (
        "compute.disks.removeResourcePolicies",
        "resourcePolicies",
        "resourcePolicies",
        false,
    ),
    (
        "compute.regionDisks.addResourcePolicies",
        "resourcePolicies",
        "resourcePolicies",
        true,
    ),
    (
        "compute.regionDisks.removeResourcePolicies",
        "resourcePolicies",
        "resourcePolicies",
        false,
    ),
    (
        "compute.instances.addResourcePolicies",
        "resourcePolicies",
        "resourcePolicies",
        true,
    ),
    (
        "compute.instances.removeResourcePolicies",
        "resourcePolicies",
        "resourcePolicies",
        false,
    ),
    (
        "compute.targetPools.addHealthCheck",
        "healthChecks",
        "healthChecks",
        true,
    ),
    (
        "compute.targetPools.removeHealthCheck",
        "healthChecks",
        "healthChecks",
        false,
    ),
    (
        "compute.targetPools.addInstance",
        "instances",
        "instances",
        true,
    ),
    (
        "compute.targetPools.removeInstance",
        "instances",
        "instances",
        false,
    ),
];

pub fn method(id: &str) -> Option<Handler> {
    if SETTERS.iter().any(|(method, ..)| *method == id) {
        return Some(set);
    }
    LISTS
        .iter()
        .any(|(method, ..)| *method == id)
        .then_some(change_list as Handler)
}

fn set(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let row = SETTERS.iter().find(|(m, ..)| *m == &*ask.method.id);
    let Some((method, field, source)) = row else {
        return Err(Refusal::not_simulated(&ask.method.id));
    };
    let running = world
        .live(&key)
        .is_some_and(|r| r.text("status") == "RUNNING");
    let name = refs::last(method).rsplit('.').next().unwrap_or("");
    if running && NEEDS_STOPPED.contains(&name) {
        return Err(Refusal::not_ready(path_of(&key)));
    }
    let mut value = match source {
        Body => Json::Object(ask.body.clone()),
        OneItem => json!([ask.body]),
        Field(name) => ask
            .body
            .get(*name)
            .cloned()
            .ok_or_else(|| Refusal::required(&format!("resource.{name}")))?,
        No => json!(false),
    };
    refs::canonicalise(&mut value, &ask.project);
    check_links(world, ask, &value)?;
    // Setting a reference to nothing takes it away (API descriptions of the setters of policies).
    let cleared = matches!(&value, Json::String(s) if s.is_empty());
    world.change(&key, |body| {
        match cleared {
            true => body.shift_remove(*field),
            false => body.insert((*field).to_string(), value),
        };
    });
    certificates::review(world);
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn check_links(world: &World, ask: &Ask, value: &Json) -> Result<(), Refusal> {
    if let Some((place, text)) = refs::malformed(&Json::Object(ask.body.clone())) {
        return Err(Refusal::invalid(&place, &text, "The URL is malformed."));
    }
    for (_, path) in refs::links(value) {
        let own = refs::project_of(&path) == Some(ask.project.as_str());
        if own && !super::linkable(world, &path, &ask.method.collection) {
            return Err(Refusal::not_found(&path));
        }
    }
    Ok(())
}

fn change_list(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let row = LISTS.iter().find(|(m, ..)| *m == &*ask.method.id);
    let Some((_, field, sent, puts)) = row else {
        return Err(Refusal::not_simulated(&ask.method.id));
    };
    let mut value = ask.body.get(*sent).cloned().unwrap_or_else(|| json!([]));
    refs::canonicalise(&mut value, &ask.project);
    check_links(world, ask, &value)?;
    let texts: Vec<String> = value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(text_of)
        .collect();
    world.change(&key, |body| {
        let list = body.entry(*field).or_insert_with(|| json!([]));
        let Some(list) = list.as_array_mut() else {
            return;
        };
        list.retain(|have| !texts.iter().any(|t| have.as_str() == Some(t)));
        if *puts {
            list.extend(texts.into_iter().map(Json::from));
        }
    });
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

/// `{"instance": "…"}` and `{"healthCheck": "…"}` stand for their only text.
fn text_of(item: &Json) -> Option<String> {
    match item {
        Json::String(text) => Some(text.clone()),
        Json::Object(fields) => fields.values().find_map(Json::as_str).map(str::to_string),
        _ => None,
    }
}
