//! What a project has without creating it: regions, zones, machine and disk types, and itself.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::scenario::region_of;
use super::super::world::World;
use super::super::{Outcome, page, refs};
use super::rules::Rule;
use super::{Handler, quotas};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["compute.*"],
        says: "a zone or region that the scenario has not is refused with 400, whatever is asked of it",
        source: "what gcloud prints in public issues (`Unknown zone.`)",
        test: "a_zone_that_is_unknown_is_refused_whatever_is_asked_of_it",
    },
    Rule {
        of: &[
            "compute.projects",
            "compute.regions",
            "compute.zones",
            "compute.machineTypes",
            "compute.diskTypes",
        ],
        says: "regions, zones and types are the scenario's; quotas are told with their use",
        source: "API description of `Region`, `Zone` and `MachineType`",
        test: "tests/gcloud/wire.txt",
    },
    Rule {
        of: &["cloudresourcemanager.projects"],
        says: "every project of the scenario is there and ACTIVE",
        source: "API description of `Project`",
        test: "tests/gcloud/accounts.txt",
    },
];

/// Types of persistent disks.
const DISK_TYPES: &[&str] = &[
    "pd-standard",
    "pd-balanced",
    "pd-ssd",
    "pd-extreme",
    "local-ssd",
];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "compute.projects.get" => project,
        "compute.regions.get" => region,
        "compute.regions.list" => regions,
        "compute.zones.get" => zone,
        "compute.zones.list" => zones,
        "compute.machineTypes.get" => machine_type,
        "compute.machineTypes.list" => machine_types,
        "compute.machineTypes.aggregatedList" => all_machine_types,
        "compute.diskTypes.get" => disk_type,
        "compute.diskTypes.list" => disk_types,
        "compute.diskTypes.aggregatedList" => all_disk_types,
        "cloudresourcemanager.projects.get" => managed_project,
        _ => return None,
    })
}

/// # Errors
/// A zone or region in the path that does not exist, in the words of the zone's API.
pub fn known_scope(world: &World, key: &str) -> Result<(), Refusal> {
    if !key.starts_with("compute/") {
        return Ok(());
    }
    if let Some(zone) = refs::after(key, "zones")
        && !world.scenario.knows_zone(zone)
    {
        return Err(Refusal::invalid("zone", zone, "Unknown zone."));
    }
    if let Some(region) = refs::after(key, "regions")
        && !world.scenario.regions.contains_key(region)
    {
        return Err(Refusal::invalid("region", region, "Unknown region."));
    }
    Ok(())
}

pub fn knows_machine(world: &World, name: &str) -> bool {
    let custom = name.contains("custom-");
    custom || world.scenario.machine_types.iter().any(|m| m.name == name)
}

/// Ids of places do not change from run to run: they follow from their paths.
fn id_of(path: &str) -> String {
    let hash = blake3::hash(path.as_bytes());
    let bytes = &hash.as_bytes()[..2];
    (1000 + u32::from(bytes[0]) * 256 + u32::from(bytes[1])).to_string()
}

fn project(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    Ok(project_json(world, &ask.project).into())
}

/// A project as Compute Engine shows it.
pub fn project_json(world: &World, project: &str) -> Json {
    let number = world.project_number(project);
    let mut out = json!({
        "kind": "compute#project",
        "id": number.to_string(),
        "creationTimestamp": "2020-01-01T00:00:00.000-08:00",
        "name": project,
        "commonInstanceMetadata": { "kind": "compute#metadata", "fingerprint": "42WmSpB8rSM=" },
        "quotas": quotas::of_project(world, project),
        "selfLink": refs::link(&format!("projects/{project}")),
        "defaultServiceAccount": format!("{number}-compute@developer.gserviceaccount.com"),
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
        "defaultNetworkTier": "PREMIUM",
    });
    for (name, value) in super::projects::own(world, project) {
        out[name] = value;
    }
    out
}

fn managed_project(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    Ok(managed_json(world, refs::last(&ask.rest)).into())
}

/// A project as Resource Manager shows it.
pub fn managed_json(world: &World, id: &str) -> Json {
    let mut out = json!({
        "name": format!("projects/{}", world.project_number(id)),
        "projectId": id,
        "displayName": id,
        "state": "ACTIVE",
        "createTime": "2020-01-01T00:00:00Z",
    });
    let created =
        super::super::generic::view(world, &format!("cloudresourcemanager/projects/{id}"));
    for (name, value) in created.into_iter().flatten() {
        if name != "name" {
            out[name] = value;
        }
    }
    out
}

fn region_json(world: &World, project: &str, name: &str) -> Json {
    let path = format!("projects/{project}/regions/{name}");
    let zones: Vec<String> = world
        .scenario
        .zones_of(name)
        .iter()
        .map(|z| refs::link(&format!("projects/{project}/zones/{z}")))
        .collect();
    json!({
        "kind": "compute#region",
        "id": id_of(&path),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": name,
        "description": name,
        "status": "UP",
        "zones": zones,
        "quotas": quotas::of_region(world, project, name),
        "selfLink": refs::link(&path),
        "supportsPzs": false,
    })
}

fn zone_json(project: &str, name: &str) -> Json {
    let path = format!("projects/{project}/zones/{name}");
    json!({
        "kind": "compute#zone",
        "id": id_of(&path),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": name,
        "description": name,
        "status": "UP",
        "region": refs::link(&format!("projects/{project}/regions/{}", region_of(name))),
        "selfLink": refs::link(&path),
        "supportsPzs": false,
    })
}

fn region(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let name = refs::last(&ask.rest);
    match world.scenario.regions.contains_key(name) {
        true => Ok(region_json(world, &ask.project, name).into()),
        false => Err(Refusal::not_found(&ask.rest)),
    }
}

fn regions(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let items = world
        .scenario
        .regions
        .keys()
        .map(|name| region_json(world, &ask.project, name))
        .collect();
    Ok(page::answer(world, ask, items)?.into())
}

fn zone(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let name = refs::last(&ask.rest);
    match world.scenario.knows_zone(name) {
        true => Ok(zone_json(&ask.project, name).into()),
        false => Err(Refusal::not_found(&ask.rest)),
    }
}

fn all_zones(world: &World) -> Vec<String> {
    world
        .scenario
        .regions
        .keys()
        .flat_map(|r| world.scenario.zones_of(r))
        .collect()
}

fn zones(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let items = all_zones(world)
        .iter()
        .map(|z| zone_json(&ask.project, z))
        .collect();
    Ok(page::answer(world, ask, items)?.into())
}

/// Processors and memory of a custom machine type, which its name tells: `custom-4-8192`, `n2-custom-4-8192-ext`.
fn custom(name: &str) -> Option<(&str, u32, u64)> {
    let (_, sizes) = name.split_once("custom-")?;
    let mut sizes = sizes.split('-');
    let (cpus, memory) = (sizes.next()?.parse().ok()?, sizes.next()?.parse().ok()?);
    Some((name, cpus, memory))
}

fn machine_json(world: &World, project: &str, zone: &str, name: &str) -> Option<Json> {
    let known = world.scenario.machine_types.iter();
    let known = known.map(|m| (&*m.name, m.cpus, u64::from(m.memory_mb)));
    let (_, cpus, memory) = known.chain(custom(name)).find(|m| m.0 == name)?;
    let path = format!("projects/{project}/zones/{zone}/machineTypes/{name}");
    Some(json!({
        "kind": "compute#machineType",
        "id": id_of(&path),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": name,
        "description": format!("{cpus} vCPUs, {memory} MB RAM"),
        "guestCpus": cpus,
        "memoryMb": memory,
        "imageSpaceGb": 0,
        "maximumPersistentDisks": 128,
        "maximumPersistentDisksSizeGb": "263168",
        "zone": zone,
        "isSharedCpu": name.starts_with("e2-m") || name.starts_with("e2-sm"),
        "architecture": "X86_64",
        "selfLink": refs::link(&path),
    }))
}

fn machine_type(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    known_scope(world, &ask.key())?;
    let zone = ask.param("zone").unwrap_or("").to_string();
    machine_json(world, &ask.project, &zone, refs::last(&ask.rest))
        .map(Outcome::from)
        .ok_or_else(|| Refusal::not_found(&ask.rest))
}

fn machine_types_of(world: &World, project: &str, zone: &str) -> Vec<Json> {
    world
        .scenario
        .machine_types
        .iter()
        .filter_map(|m| machine_json(world, project, zone, &m.name))
        .collect()
}

fn machine_types(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    known_scope(world, &ask.key())?;
    let items = machine_types_of(world, &ask.project, ask.param("zone").unwrap_or(""));
    Ok(page::answer(world, ask, items)?.into())
}

fn all_machine_types(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let mut items = Vec::new();
    for zone in all_zones(world) {
        for machine in machine_types_of(world, &ask.project, &zone) {
            items.push((
                format!("projects/{}/zones/{zone}/machineTypes/x", ask.project),
                machine,
            ));
        }
    }
    Ok(page::aggregated(world, ask, items)?.into())
}

fn all_disk_types(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let mut items = Vec::new();
    for zone in all_zones(world) {
        for kind in DISK_TYPES {
            let path = format!("projects/{}/zones/{zone}/diskTypes/{kind}", ask.project);
            items.push((path, disk_type_json(&ask.project, &zone, kind)));
        }
    }
    Ok(page::aggregated(world, ask, items)?.into())
}

fn disk_type_json(project: &str, zone: &str, name: &str) -> Json {
    let path = format!("projects/{project}/zones/{zone}/diskTypes/{name}");
    json!({
        "kind": "compute#diskType",
        "id": id_of(&path),
        "name": name,
        "description": name,
        "validDiskSize": "10GB-65536GB",
        "zone": refs::link(&format!("projects/{project}/zones/{zone}")),
        "selfLink": refs::link(&path),
    })
}

fn disk_type(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    known_scope(world, &ask.key())?;
    let name = refs::last(&ask.rest);
    match DISK_TYPES.contains(&name) {
        true => Ok(disk_type_json(&ask.project, ask.param("zone").unwrap_or(""), name).into()),
        false => Err(Refusal::not_found(&ask.rest)),
    }
}

fn disk_types(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    known_scope(world, &ask.key())?;
    let zone = ask.param("zone").unwrap_or("");
    let items = DISK_TYPES
        .iter()
        .map(|t| disk_type_json(&ask.project, zone, t))
        .collect();
    Ok(page::answer(world, ask, items)?.into())
}
