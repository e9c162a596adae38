//! What may not be deleted because something else uses it.
//!
//! Source: recorded and pasted answers `resourceInUseByAnotherResource` (terraform-google-vm#45 and
//! others); which kinds refer to which is the API description's.

use serde_json::Value as Json;

use super::super::refs;
use super::super::refusal::Refusal;
use super::super::world::{Resource, World};
use super::rules::Rule;
use super::{addresses, path_of};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.*"],
    says: "what something else uses is not deleted: 400 `resourceInUseByAnotherResource`; for networks and templates told by the operation",
    source: "terraform-google-vm#45; pulumi-gcp#680",
    test: "what_is_used_stays",
}];

/// Which collections hold references that keep a resource from being deleted, and the noun with which
/// Google names that resource.
fn holders(collection: &str) -> Option<(&'static str, &'static [&'static str])> {
    const GROUPS: &[&str] = &[
        "compute.instanceGroupManagers",
        "compute.regionInstanceGroupManagers",
    ];
    Some(match collection {
        "compute.instanceTemplates" | "compute.regionInstanceTemplates" => {
            ("instance_template", GROUPS)
        }
        "compute.healthChecks" | "compute.regionHealthChecks" => (
            "health_check",
            &[
                "compute.backendServices",
                "compute.regionBackendServices",
                "compute.instanceGroupManagers",
                "compute.regionInstanceGroupManagers",
            ],
        ),
        "compute.instanceGroupManagers" | "compute.regionInstanceGroupManagers" => (
            "instance_group_manager",
            &["compute.autoscalers", "compute.regionAutoscalers"],
        ),
        "compute.backendServices" => (
            "backend_service",
            &[
                "compute.urlMaps",
                "compute.targetTcpProxies",
                "compute.targetSslProxies",
            ],
        ),
        "compute.instanceGroups" => (
            "instance_group",
            &["compute.backendServices", "compute.regionBackendServices"],
        ),
        "compute.backendBuckets" => ("backend_bucket", &["compute.urlMaps"]),
        "compute.urlMaps" => (
            "url_map",
            &["compute.targetHttpProxies", "compute.targetHttpsProxies"],
        ),
        "compute.targetHttpProxies" => ("target_http_proxy", &["compute.globalForwardingRules"]),
        "compute.targetHttpsProxies" => ("target_https_proxy", &["compute.globalForwardingRules"]),
        "compute.sslCertificates" => (
            "ssl_certificate",
            &["compute.targetHttpsProxies", "compute.targetSslProxies"],
        ),
        "compute.sslPolicies" => (
            "ssl_policy",
            &["compute.targetHttpsProxies", "compute.targetSslProxies"],
        ),
        "compute.networks" => (
            "network",
            &[
                "compute.firewalls",
                "compute.instances",
                "compute.routers",
                "compute.subnetworks",
            ],
        ),
        "compute.subnetworks" => (
            "subnetwork",
            &["compute.instances", "compute.forwardingRules"],
        ),
        "compute.routers" => ("router", &["compute.vpnTunnels"]),
        _ => return None,
    })
}

/// # Errors
/// 400 that names the user.
pub fn free(world: &World, collection: &str, key: &str) -> Result<(), Refusal> {
    let path = path_of(key);
    if let Some(user) = special_user(world, collection, key) {
        let noun = if collection == "compute.disks" {
            "disk"
        } else {
            "address"
        };
        return Err(Refusal::in_use(noun, path, &user));
    }
    if collection.ends_with("nstanceGroupManagers") {
        backend_use(world, path)?;
    }
    if collection == "compute.instanceTemplates"
        && let Some(group) = group_with_machines_of(world, path)
    {
        return Err(Refusal::in_use("instance_template", path, &group));
    }
    let Some((noun, holders)) = holders(collection) else {
        return Ok(());
    };
    match user_of(world, path, holders) {
        Some(user) => Err(Refusal::in_use(noun, path, &user)),
        None => Ok(()),
    }
}

/// A group that still has machines of a template, whatever its versions are by now.
fn group_with_machines_of(world: &World, template: &str) -> Option<String> {
    let link = refs::link(template);
    world
        .groups
        .iter()
        .find(|(_, group)| group.machines.iter().any(|m| m.template == link))
        .map(|(key, _)| path_of(key).to_string())
}

/// A group cannot go while its instance group is a backend.
fn backend_use(world: &World, manager: &str) -> Result<(), Refusal> {
    let group = manager.replace("/instanceGroupManagers/", "/instanceGroups/");
    match user_of(
        world,
        &group,
        &["compute.backendServices", "compute.regionBackendServices"],
    ) {
        Some(user) => Err(Refusal::in_use("instance_group", &group, &user)),
        None => Ok(()),
    }
}

/// The backend services that an instance group is a backend of.
pub fn backend_services_of<'a>(
    world: &'a World,
    group: &str,
) -> impl Iterator<Item = &'a Resource> + use<'a> {
    let link = refs::link(group);
    let project = refs::project_of(group).unwrap_or_default();
    let prefix = format!("compute/projects/{project}/");
    world
        .resources
        .range(prefix.clone()..)
        .take_while(move |(key, _)| key.starts_with(&prefix))
        .filter(|(_, r)| {
            matches!(
                &*r.collection,
                "compute.backendServices" | "compute.regionBackendServices"
            )
        })
        .filter(move |(_, r)| holds(r.body.get("backends").unwrap_or(&Json::Null), &link))
        .map(|(_, r)| r)
}

fn special_user(world: &World, collection: &str, key: &str) -> Option<String> {
    let strip = |link: &str| {
        link.strip_prefix(refs::LINK_ROOT)
            .unwrap_or(link)
            .to_string()
    };
    match collection {
        "compute.disks" => world
            .live(key)?
            .body
            .get("users")?
            .as_array()?
            .first()?
            .as_str()
            .map(strip),
        "compute.addresses" | "compute.globalAddresses" => {
            addresses::users(world, key).first().map(|u| strip(u))
        }
        _ => None,
    }
}

/// The path of a resource of these collections that links to `path`.
fn user_of(world: &World, path: &str, holders: &[&str]) -> Option<String> {
    let link = refs::link(path);
    let project = refs::project_of(path)?;
    let prefix = format!("compute/projects/{project}/");
    world
        .resources
        .range(prefix.clone()..)
        .take_while(|(key, _)| key.starts_with(&prefix))
        .filter(|(_, r)| holders.contains(&&*r.collection))
        .find(|(_, r)| keeps(r, &link))
        .map(|(key, _)| path_of(key).to_string())
}

/// Subnetworks that Google made itself do not keep their network.
fn keeps(holder: &Resource, link: &str) -> bool {
    if &*holder.collection == "compute.subnetworks" && holder.text("name") == refs::last(link) {
        return false;
    }
    holder.body.iter().any(|(_, value)| holds(value, link))
}

fn holds(json: &Json, link: &str) -> bool {
    match json {
        Json::String(text) => text == link,
        Json::Array(items) => items.iter().any(|i| holds(i, link)),
        Json::Object(fields) => fields.values().any(|v| holds(v, link)),
        _ => false,
    }
}
