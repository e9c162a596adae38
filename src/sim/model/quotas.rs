//! Quotas: how much of each metric there may be, and how much there is.
//!
//! Sources: API description (`Quota.metric`), Google's "Allocation quotas" page for which machine
//! family counts against which metric; the limits are those of a project that has been in use for some
//! time, and a scenario sets others.

use serde_json::{Value as Json, json};

use super::super::failure::quota_text;
use super::super::refs;
use super::super::refusal::Refusal;
use super::super::scenario::region_of;
use super::super::world::{Resource, World};
use super::path_of;
use super::rules::Rule;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.*"],
    says: "quotas of each region and of the project: more than there is left is 403 `quotaExceeded`",
    source: "Google, \"Allocation quotas\"",
    test: "other_quotas_are_told_at_once",
}];

/// Metrics of a region and their built-in limits.
const REGIONAL: &[(&str, f64)] = &[
    ("CPUS", 1000.0),
    ("C2_CPUS", 500.0),
    ("C3_CPUS", 500.0),
    ("N2_CPUS", 500.0),
    ("N2D_CPUS", 500.0),
    ("T2D_CPUS", 500.0),
    ("INSTANCES", 2000.0),
    ("IN_USE_ADDRESSES", 500.0),
    ("STATIC_ADDRESSES", 100.0),
    ("DISKS_TOTAL_GB", 100_000.0),
    ("SSD_TOTAL_GB", 100_000.0),
    ("AUTOSCALERS", 500.0),
    ("REGIONAL_AUTOSCALERS", 100.0),
    ("INSTANCE_GROUP_MANAGERS", 500.0),
    ("REGIONAL_INSTANCE_GROUP_MANAGERS", 100.0),
];

/// Metrics of a project, their built-in limits, and what they count.
const GLOBAL: &[(&str, f64, &[&str])] = &[
    ("CPUS_ALL_REGIONS", 3000.0, &[]),
    ("STATIC_ADDRESSES", 100.0, &["compute.globalAddresses"]),
    ("NETWORKS", 50.0, &["compute.networks"]),
    ("SUBNETWORKS", 500.0, &["compute.subnetworks"]),
    ("FIREWALLS", 500.0, &["compute.firewalls"]),
    ("ROUTERS", 100.0, &["compute.routers"]),
    ("IMAGES", 2000.0, &["compute.images"]),
    ("SNAPSHOTS", 10_000.0, &["compute.snapshots"]),
    ("INSTANCE_TEMPLATES", 5000.0, &["compute.instanceTemplates"]),
    ("HEALTH_CHECKS", 500.0, &["compute.healthChecks"]),
    ("BACKEND_SERVICES", 500.0, &["compute.backendServices"]),
    ("URL_MAPS", 500.0, &["compute.urlMaps"]),
    ("TARGET_HTTP_PROXIES", 500.0, &["compute.targetHttpProxies"]),
    (
        "TARGET_HTTPS_PROXIES",
        500.0,
        &["compute.targetHttpsProxies"],
    ),
    ("SSL_CERTIFICATES", 500.0, &["compute.sslCertificates"]),
    (
        "FORWARDING_RULES",
        500.0,
        &["compute.globalForwardingRules", "compute.forwardingRules"],
    ),
];

/// Some metrics as (name, region or none, how much a change adds).
pub type Wanted = Vec<(String, Option<String>, f64)>;

/// The metric of a machine type's processors: the older and the shared families count as CPUS.
fn cpu_metric(machine: &str) -> String {
    match machine.split('-').next().unwrap_or("") {
        family @ ("c2" | "c3" | "n2" | "n2d" | "t2d") => format!("{}_CPUS", family.to_uppercase()),
        _ => "CPUS".into(),
    }
}

/// Processors of a machine type; a custom one names them (`n2-custom-4-8192`).
fn cpus(world: &World, machine: &str) -> f64 {
    let known = world
        .scenario
        .machine_types
        .iter()
        .find(|m| m.name == machine);
    let custom = || {
        let (_, rest) = machine.split_once("custom-")?;
        rest.split('-').next()?.parse().ok()
    };
    known.map_or_else(|| custom().unwrap_or(1.0), |m| f64::from(m.cpus))
}

/// What a machine takes of its region and of the project.
pub fn of_machine(world: &World, zone: &str, body: &super::super::world::Object) -> Wanted {
    let region = Some(region_of(zone).to_string());
    let text = |name: &str| body.get(name).and_then(Json::as_str).unwrap_or("");
    let machine = refs::last(text("machineType"));
    let running = text("status") != "TERMINATED";
    let mut out: Wanted = vec![("INSTANCES".into(), region.clone(), 1.0)];
    if running {
        let cpus = cpus(world, machine);
        out.push((cpu_metric(machine), region.clone(), cpus));
        out.push(("CPUS_ALL_REGIONS".into(), None, cpus));
        let external = body
            .get("networkInterfaces")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter(|n| n.get("accessConfigs").is_some())
            .count();
        if external > 0 {
            out.push(("IN_USE_ADDRESSES".into(), region, external as f64));
        }
    }
    out
}

fn of_disk(resource: &Resource, region: &str) -> Wanted {
    let metric = match refs::last(resource.text("type")) {
        "pd-standard" => "DISKS_TOTAL_GB",
        _ => "SSD_TOTAL_GB",
    };
    let size = resource.text("sizeGb").parse().unwrap_or(0.0);
    vec![(metric.into(), Some(region.into()), size)]
}

fn region_in(key: &str) -> Option<&str> {
    refs::after(key, "regions").or(refs::after(key, "zones").map(region_of))
}

/// What one resource of a collection takes by being there.
fn counted(collection: &str, region: Option<&str>) -> Wanted {
    let one = |metric: &str| vec![(metric.to_string(), region.map(str::to_string), 1.0)];
    match collection {
        "compute.addresses" => one("STATIC_ADDRESSES"),
        "compute.autoscalers" => one("AUTOSCALERS"),
        "compute.regionAutoscalers" => one("REGIONAL_AUTOSCALERS"),
        "compute.instanceGroupManagers" => one("INSTANCE_GROUP_MANAGERS"),
        "compute.regionInstanceGroupManagers" => one("REGIONAL_INSTANCE_GROUP_MANAGERS"),
        _ => GLOBAL
            .iter()
            .filter(|(_, _, counted)| counted.contains(&collection))
            .map(|(metric, _, _)| (metric.to_string(), None, 1.0))
            .collect(),
    }
}

/// What a resource that is there takes.
fn of_resource(world: &World, key: &str, resource: &Resource) -> Wanted {
    let region = region_in(key);
    match (&*resource.collection, region) {
        ("compute.instances", _) => {
            let zone = refs::after(key, "zones").unwrap_or("");
            of_machine(world, zone, &resource.body)
        }
        ("compute.disks", Some(region)) => of_disk(resource, region),
        (collection, region) => counted(collection, region),
    }
}

fn used(world: &World, project: &str, metric: &str, region: Option<&str>) -> f64 {
    let prefix = format!("compute/projects/{project}/");
    let there = world
        .resources
        .range(prefix.clone()..)
        .take_while(|(key, _)| key.starts_with(&prefix));
    let counted = GLOBAL
        .iter()
        .find(|(name, ..)| *name == metric && region.is_none())
        .map(|(_, _, collections)| *collections);
    if let Some(collections @ [_, ..]) = counted {
        let counts = |r: &Resource| collections.contains(&&*r.collection);
        return there.filter(|(_, r)| counts(r)).count() as f64;
    }
    there
        .flat_map(|(key, resource)| of_resource(world, key, resource))
        .filter(|(name, at, _)| name == metric && at.as_deref() == region)
        .map(|(_, _, amount)| amount)
        .sum()
}

fn limit(world: &World, metric: &str, region: Option<&str>) -> Option<f64> {
    let built_in = || match region {
        Some(_) => REGIONAL
            .iter()
            .find(|(m, _)| *m == metric)
            .map(|(_, limit)| *limit),
        None => GLOBAL
            .iter()
            .find(|(m, _, _)| *m == metric)
            .map(|(_, limit, _)| *limit),
    };
    world
        .scenario
        .quotas
        .limit(region, metric)
        .or_else(built_in)
}

/// The first of some amounts that is more than its quota leaves: metric, limit and region.
pub fn exceeded(
    world: &World,
    project: &str,
    wanted: &Wanted,
) -> Option<(String, f64, Option<String>)> {
    if world.planting {
        return None;
    }
    wanted.iter().find_map(|(metric, region, amount)| {
        let limit = limit(world, metric, region.as_deref())?;
        let have = used(world, project, metric, region.as_deref());
        (have + amount > limit).then(|| (metric.clone(), limit, region.clone()))
    })
}

/// Refuses a new resource at once, as the API does for everything but machines and their disks.
///
/// # Errors
/// 403 quotaExceeded.
pub fn admit(world: &World, collection: &str, key: &str) -> Result<(), Refusal> {
    let wanted = counted(collection, region_in(key));
    let project = refs::project_of(path_of(key)).unwrap_or_default();
    match exceeded(world, project, &wanted) {
        Some((metric, limit, region)) => Err(Refusal::usage_limit(
            "quotaExceeded",
            quota_text(&metric, limit, region.as_deref()),
        )),
        None => Ok(()),
    }
}

fn quota_json(world: &World, project: &str, metric: &str, region: Option<&str>) -> Json {
    json!({
        "metric": metric,
        "limit": limit(world, metric, region).unwrap_or(0.0),
        "usage": used(world, project, metric, region),
    })
}

/// `quotas` of a region.
pub fn of_region(world: &World, project: &str, region: &str) -> Vec<Json> {
    REGIONAL
        .iter()
        .map(|(metric, _)| quota_json(world, project, metric, Some(region)))
        .collect()
}

/// `quotas` of a project.
pub fn of_project(world: &World, project: &str) -> Vec<Json> {
    GLOBAL
        .iter()
        .map(|(metric, _, _)| quota_json(world, project, metric, None))
        .collect()
}
