//! Machines and their disks.
//!
//! Sources: the API description of `Instance`, `AttachedDisk` and `Disk` (fields, auto-delete on the
//! attachment, not on the disk), recorded resources (`reference` fields and their defaults).

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::operation::Then;
use super::super::patch;
use super::super::refs;
use super::super::refusal::Refusal;
use super::super::world::{Object, Resource, World};
use super::rules::Rule;
use super::{images, path_of};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["compute.instances"],
        says: "boot disks are made from an image; those with `autoDelete` go with the machine; a protected machine stays; a template or a machine image fills in what the call leaves out",
        source: "API description of `Instance` and `AttachedDisk`",
        test: "tests/gcloud/machines.txt",
    },
    Rule {
        of: &["compute.disks"],
        says: "the size follows from image or snapshot, `users` names the machine",
        source: "API description of `Disk`",
        test: "tests/gcloud/disks.txt",
    },
];

/// A machine takes from a template or a machine image what the call does not say itself ("you can override
/// fields": API description of `sourceInstanceTemplate`).
///
/// # Errors
/// 404 for a template or a machine image that is not there.
pub fn filled(world: &World, ask: &Ask, body: &mut Object) -> Result<(), Refusal> {
    let image = ask.text("sourceMachineImage");
    let sources = [
        (ask.param("sourceInstanceTemplate"), "properties"),
        (image, "instanceProperties"),
    ];
    for (text, field) in sources {
        let Some(text) = text.filter(|t| !t.is_empty()) else {
            continue;
        };
        let sent = std::mem::take(body);
        *body = properties_of(world, &ask.project, (text, field))?;
        patch::merge_into(body, sent);
        qualify(body, &ask.rest);
    }
    Ok(())
}

/// The properties that a template or a machine image has for its machines.
///
/// # Errors
/// A reference that is none, or leads nowhere.
pub fn properties_of(
    world: &World,
    project: &str,
    (text, field): (&str, &str),
) -> Result<Object, Refusal> {
    let path = refs::path_of(text, project)
        .ok_or_else(|| Refusal::invalid("sourceInstanceTemplate", text, "The URL is malformed."))?;
    let found = world
        .compute(&path)
        .ok_or_else(|| Refusal::not_found(&path))?;
    let properties = found.body.get(field).and_then(Json::as_object);
    Ok(properties.cloned().unwrap_or_default())
}

/// The short names of a template become those of the zone in which a machine is made.
pub fn qualify(body: &mut Object, rest: &str) {
    let holder = rest.trim_end_matches("/instances");
    let machine = body.get("machineType").and_then(Json::as_str);
    if let Some(machine) = machine.map(refs::last) {
        let machine = format!("{holder}/machineTypes/{machine}");
        body.insert("machineType".into(), json!(machine));
    }
    if let Some(tags) = body.shift_remove("resourceManagerTags") {
        body.insert("params".into(), json!({ "resourceManagerTags": tags }));
    }
}

/// # Errors
/// An unknown machine type, a disk that is missing, attached elsewhere, or has no source.
pub fn prepare(world: &mut World, key: &str, body: &mut Object) -> Result<(), Refusal> {
    let path = path_of(key).to_string();
    let project = refs::project_of(&path).unwrap_or_default().to_string();
    let zone = refs::after(&path, "zones").unwrap_or_default().to_string();
    check_machine(world, body)?;
    check_disks(world, body, &project, &zone)?;
    let interfaces = interfaces(world, body, &project, &zone)?;
    let name = body
        .get("name")
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_string();
    let disks = make_disks(world, body, &path, &name)?;
    body.insert("disks".into(), Json::Array(disks));
    body.insert("networkInterfaces".into(), Json::Array(interfaces));
    let fill = |body: &mut Object, name: &str, value: Json| {
        body.entry(name.to_string()).or_insert(value);
    };
    body.insert("status".into(), json!("PROVISIONING"));
    fill(body, "canIpForward", json!(false));
    fill(body, "cpuPlatform", json!("Intel Haswell"));
    fill(body, "deletionProtection", json!(false));
    fill(body, "startRestricted", json!(false));
    fill_scheduling(body);
    let number = world.project_number(&project);
    if let Some(accounts) = body.get_mut("serviceAccounts").and_then(Json::as_array_mut) {
        for account in accounts {
            if account.get("email").and_then(Json::as_str) == Some("default") {
                account["email"] = json!(format!("{number}-compute@developer.gserviceaccount.com"));
            }
        }
    }
    stamp_metadata(world, body);
    Ok(())
}

/// Machines that may be taken away are neither moved nor started again.
fn fill_scheduling(body: &mut Object) {
    let given = body.entry("scheduling").or_insert_with(|| json!({}));
    let passing = given["preemptible"] == true || given["provisioningModel"] == "SPOT";
    let (model, maintenance) = match passing {
        true => ("SPOT", "TERMINATE"),
        false => ("STANDARD", "MIGRATE"),
    };
    let Some(fields) = given.as_object_mut() else {
        return;
    };
    for (name, value) in [
        ("automaticRestart", json!(!passing)),
        ("onHostMaintenance", json!(maintenance)),
        ("preemptible", json!(passing)),
        ("provisioningModel", json!(model)),
    ] {
        fields.entry(name).or_insert(value);
    }
}

/// `metadata` and `tags` carry fingerprints of their own.
pub fn stamp_metadata(world: &mut World, body: &mut Object) {
    let print = world.mint.fingerprint();
    let metadata = body.entry("metadata").or_insert_with(|| json!({}));
    metadata["kind"] = json!("compute#metadata");
    metadata["fingerprint"] = json!(print);
    let tags = body.entry("tags").or_insert_with(|| json!({}));
    let empty = tags
        .get("items")
        .and_then(Json::as_array)
        .is_none_or(|t| t.is_empty());
    tags["fingerprint"] = match empty {
        true => json!("42WmSpB8rSM="),
        false => json!(world.mint.fingerprint()),
    };
}

fn check_machine(world: &World, body: &Object) -> Result<(), Refusal> {
    let machine = body.get("machineType").and_then(Json::as_str).unwrap_or("");
    if machine.is_empty() {
        return Err(Refusal::required("resource.machineType"));
    }
    if !machine.contains("/machineTypes/") {
        return Err(Refusal::invalid(
            "resource.machineType",
            machine,
            "The URL is malformed.",
        ));
    }
    match super::places::knows_machine(world, refs::last(machine)) {
        true => Ok(()),
        false => Err(Refusal::not_found(
            machine.strip_prefix(refs::LINK_ROOT).unwrap_or(machine),
        )),
    }
}

fn check_disks(world: &World, body: &Object, project: &str, _zone: &str) -> Result<(), Refusal> {
    let disks = body
        .get("disks")
        .and_then(Json::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if disks.is_empty() {
        return Err(Refusal::invalid(
            "resource.disks",
            "",
            "No disks are specified.",
        ));
    }
    for (i, disk) in disks.iter().enumerate() {
        let field = format!("resource.disks[{i}]");
        if let Some(source) = disk.get("source").filter(|s| !s.is_null()) {
            let text = source.as_str().unwrap_or("");
            let path = text.strip_prefix(refs::LINK_ROOT).unwrap_or(text);
            let (_, found) = world
                .linked(source)
                .ok_or_else(|| Refusal::not_found(path))?;
            free_disk(found, path)?;
        } else if let Some(init) = disk.get("initializeParams") {
            if let Some(image) = init.get("sourceImage").and_then(Json::as_str) {
                images::resolve(world, project, image).ok_or_else(|| {
                    Refusal::not_found(image.strip_prefix(refs::LINK_ROOT).unwrap_or(image))
                })?;
            }
        } else if disk.get("type").and_then(Json::as_str) != Some("SCRATCH") {
            return Err(Refusal::invalid(
                &field,
                "",
                "Either source or initializeParams must be given.",
            ));
        }
    }
    Ok(())
}

/// A disk that is attached for writing cannot be attached a second time.
pub fn free_disk(disk: &Resource, path: &str) -> Result<(), Refusal> {
    match disk
        .body
        .get("users")
        .and_then(Json::as_array)
        .and_then(|u| u.first())
    {
        Some(user) => Err(in_use(path, user)),
        None => Ok(()),
    }
}

pub fn in_use(disk_path: &str, user: &Json) -> Refusal {
    let user = user.as_str().unwrap_or("");
    let user = user.strip_prefix(refs::LINK_ROOT).unwrap_or(user);
    Refusal::in_use("disk", disk_path, user)
}

fn make_disks(
    world: &mut World,
    body: &Object,
    path: &str,
    name: &str,
) -> Result<Vec<Json>, Refusal> {
    let mut out = Vec::new();
    let given = body
        .get("disks")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    for (i, mut disk) in given.into_iter().enumerate() {
        let Some(fields) = disk.as_object_mut() else {
            continue;
        };
        let init = fields.shift_remove("initializeParams");
        let boot = fields.get("boot").and_then(Json::as_bool).unwrap_or(i == 0);
        let source = match fields.get("source").and_then(Json::as_str) {
            Some(source) => source.to_string(),
            None => {
                let init = init.unwrap_or_else(|| json!({}));
                let own = match i {
                    0 => name.to_string(),
                    _ => format!("{name}-{i}"),
                };
                let disk_name = init
                    .get("diskName")
                    .and_then(Json::as_str)
                    .map_or(own, str::to_string);
                new_disk(world, path, &disk_name, &init)
            }
        };
        let disk_key = format!(
            "compute/{}",
            source.strip_prefix(refs::LINK_ROOT).unwrap_or(&source)
        );
        let now = world.stamp();
        let mut size = json!("10");
        if let Some(resource) = world.resources.get_mut(&disk_key) {
            resource
                .body
                .insert("users".into(), json!([refs::link(path)]));
            resource
                .body
                .insert("lastAttachTimestamp".into(), json!(now));
            size = resource.body.get("sizeGb").cloned().unwrap_or(size);
        }
        fields.insert("kind".into(), json!("compute#attachedDisk"));
        fields.insert("index".into(), json!(i));
        fields.insert("boot".into(), json!(boot));
        fields.insert("source".into(), json!(source));
        for (field, value) in [
            ("type", json!("PERSISTENT")),
            ("mode", json!("READ_WRITE")),
            ("interface", json!("SCSI")),
            ("autoDelete", json!(false)),
            ("deviceName", json!(format!("persistent-disk-{i}"))),
            ("diskSizeGb", size),
        ] {
            fields.entry(field.to_string()).or_insert(value);
        }
        out.push(disk);
    }
    Ok(out)
}

/// Makes the disk that `initializeParams` describe; gives its link.
fn new_disk(world: &mut World, instance_path: &str, name: &str, init: &Json) -> String {
    let project = refs::project_of(instance_path)
        .unwrap_or_default()
        .to_string();
    let zone = refs::after(instance_path, "zones").unwrap_or_default();
    let zone_path = format!("projects/{project}/zones/{zone}");
    let path = format!("{zone_path}/disks/{name}");
    let kind = init
        .get("diskType")
        .and_then(Json::as_str)
        .unwrap_or("pd-standard");
    let image = init
        .get("sourceImage")
        .and_then(Json::as_str)
        .and_then(|i| images::resolve(world, &project, i));
    let mut body = json!({
        "kind": "compute#disk",
        "id": world.mint.id(),
        "creationTimestamp": world.stamp(),
        "name": name,
        "zone": refs::link(&zone_path),
        "status": "READY",
        "type": refs::link(&format!("{zone_path}/diskTypes/{}", refs::last(kind))),
        "sizeGb": init.get("diskSizeGb").cloned().unwrap_or(json!("10")),
        "physicalBlockSizeBytes": "4096",
        "labelFingerprint": "42WmSpB8rSM=",
        "selfLink": refs::link(&path),
    });
    if let Some(image) = image {
        body["sourceImage"] = json!(refs::link(&image));
        if let Some(found) = world.compute(&image) {
            body["sourceImageId"] = found.body.get("id").cloned().unwrap_or_default();
        }
    }
    if let Some(labels) = init.get("labels") {
        body["labels"] = labels.clone();
    }
    world.put(
        &format!("compute/{path}"),
        "compute.disks",
        body.as_object().cloned().unwrap_or_default(),
    );
    refs::link(&path)
}

/// A disk that a caller creates.
pub fn prepare_disk(world: &mut World, key: &str, body: &mut Object) -> Result<(), Refusal> {
    let path = path_of(key);
    let holder = path.rsplit_once("/disks/").map_or("", |(h, _)| h);
    body.insert("status".into(), json!("READY"));
    let kind = body
        .get("type")
        .and_then(Json::as_str)
        .map_or("pd-standard", refs::last)
        .to_string();
    body.insert(
        "type".into(),
        json!(refs::link(&format!("{holder}/diskTypes/{kind}"))),
    );
    if let Some(image) = body.get("sourceImage").and_then(Json::as_str) {
        let project = refs::project_of(path).unwrap_or_default();
        let found = images::resolve(world, project, image).ok_or_else(|| {
            Refusal::not_found(image.strip_prefix(refs::LINK_ROOT).unwrap_or(image))
        })?;
        body.insert("sourceImage".into(), json!(refs::link(&found)));
    }
    // "If you specify this field along with a source, its value must not be less than the size of the source."
    let snapshot = body.get("sourceSnapshot").and_then(|s| world.linked(s));
    let least = snapshot.map_or("10".to_string(), |(_, s)| s.text("diskSizeGb").to_string());
    let size = body
        .get("sizeGb")
        .and_then(Json::as_str)
        .unwrap_or(&least)
        .to_string();
    if size.parse::<u64>().unwrap_or(0) < 10 && kind != "pd-standard" {
        return Err(Refusal::invalid(
            "resource.sizeGb",
            &size,
            "Disk size: the minimum is 10 GB.",
        ));
    }
    body.insert("sizeGb".into(), json!(size));
    body.entry("physicalBlockSizeBytes")
        .or_insert(json!("4096"));
    Ok(())
}

fn interfaces(
    world: &mut World,
    body: &Object,
    project: &str,
    zone: &str,
) -> Result<Vec<Json>, Refusal> {
    let mut given = body
        .get("networkInterfaces")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    if given.is_empty() {
        given.push(json!({}));
    }
    let region = super::super::scenario::region_of(zone);
    let default_network = refs::link(&format!("projects/{project}/global/networks/default"));
    let mut out = Vec::new();
    for (i, mut card) in given.into_iter().enumerate() {
        let Some(fields) = card.as_object_mut() else {
            continue;
        };
        fields.insert("kind".into(), json!("compute#networkInterface"));
        fields.insert("name".into(), json!(format!("nic{i}")));
        if !fields.contains_key("network") {
            let network = fields
                .get("subnetwork")
                .and_then(|s| world.linked(s))
                .and_then(|(_, s)| s.body.get("network").cloned());
            fields.insert(
                "network".into(),
                network.unwrap_or_else(|| json!(default_network)),
            );
        }
        let network = fields.get("network").cloned().unwrap_or_default();
        if world.linked(&network).is_none() {
            return Err(Refusal::invalid(
                "resource.networkInterfaces[0].network",
                network.as_str().unwrap_or(""),
                "The referenced network resource cannot be found.",
            ));
        }
        if !fields.contains_key("subnetwork") {
            let name = refs::last(network.as_str().unwrap_or("")).to_string();
            let path = format!("projects/{project}/regions/{region}/subnetworks/{name}");
            if world.compute(&path).is_some() {
                fields.insert("subnetwork".into(), json!(refs::link(&path)));
            }
        }
        let inner = world.mint.number();
        let address = format!("10.128.{}.{}", (inner >> 8) % 16, 2 + inner % 250);
        fields.entry("networkIP").or_insert(json!(address));
        fields.entry("stackType").or_insert(json!("IPV4_ONLY"));
        fields.insert("fingerprint".into(), json!(world.mint.fingerprint()));
        if let Some(configs) = fields.get_mut("accessConfigs").and_then(Json::as_array_mut) {
            for config in configs {
                let address = world.mint.public_address();
                let Some(config) = config.as_object_mut() else {
                    continue;
                };
                config.insert("kind".into(), json!("compute#accessConfig"));
                for (field, value) in [
                    ("type", json!("ONE_TO_ONE_NAT")),
                    ("name", json!("external-nat")),
                    ("natIP", json!(address)),
                    ("networkTier", json!("PREMIUM")),
                ] {
                    config.entry(field.to_string()).or_insert(value);
                }
            }
        }
        out.push(card);
    }
    Ok(out)
}

pub fn fields(pairs: &[(&str, Json)]) -> Object {
    pairs
        .iter()
        .map(|(k, v)| (k.to_string(), v.clone()))
        .collect()
}

pub fn inserted(world: &mut World, key: &str) -> Vec<Then> {
    let at = world.stamp();
    vec![Then::Merge(
        key.to_string(),
        fields(&[
            ("status", json!("RUNNING")),
            ("lastStartTimestamp", json!(at)),
        ]),
    )]
}

/// # Errors
/// 400 while the machine is protected.
pub fn removable(world: &World, key: &str) -> Result<(), Refusal> {
    let guarded = world
        .live(key)
        .and_then(|r| r.body.get("deletionProtection"))
        .and_then(Json::as_bool)
        .unwrap_or(false);
    match guarded {
        true => Err(Refusal::new(
            400,
            "invalid",
            "Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion. Please disable the deletion protection before deletion.'.",
        )),
        false => Ok(()),
    }
}

/// Disks that were made for a machine go with it, whatever they were to do later.
pub fn sweep(world: &mut World, ask: &Ask, key: &str) {
    let given = ask.body.get("disks").and_then(Json::as_array).cloned();
    let named: Vec<bool> = given
        .iter()
        .flatten()
        .map(|d| d.get("source").is_some_and(|s| !s.is_null()))
        .collect();
    let machine = world.resources.get_mut(key);
    let disks = machine.and_then(|m| m.body.get_mut("disks")?.as_array_mut());
    for (i, disk) in disks.into_iter().flatten().enumerate() {
        if named.get(i) != Some(&true) {
            disk["autoDelete"] = json!(true);
        }
    }
}

pub fn stopping(world: &mut World, key: &str) {
    if let Some(resource) = world.resources.get_mut(key) {
        resource.body.insert("status".into(), json!("STOPPING"));
    }
}

/// Disks that are to go with the machine go, the others are free again.
pub fn removed(world: &mut World, old: &Resource) {
    let disks = old
        .body
        .get("disks")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    for disk in disks {
        let Some((key, _)) = disk.get("source").and_then(|s| world.linked(s)) else {
            continue;
        };
        if disk.get("autoDelete").and_then(Json::as_bool) == Some(true) {
            world.resources.remove(&key);
        } else {
            release(world, &key);
        }
    }
}

pub fn release(world: &mut World, disk_key: &str) {
    let at = world.stamp();
    if let Some(resource) = world.resources.get_mut(disk_key) {
        resource.body.shift_remove("users");
        resource
            .body
            .insert("lastDetachTimestamp".into(), json!(at));
    }
}
