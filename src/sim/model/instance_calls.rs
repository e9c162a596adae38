//! The methods of machines and disks beyond the generic verbs.
//!
//! Source: the API description of each method.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::operation::{self, Then};
use super::super::refusal::Refusal;
use super::super::world::World;
use super::super::{Outcome, refs};
use super::instances::{fields, free_disk, inserted, release, stopping};
use super::rules::Rule;
use super::{Handler, capacity, existing, path_of};
use crate::world::Millis;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["compute.instances"],
        says: "stop and start take their time; metadata and tags want their fingerprint; disks are attached and detached by device name",
        source: "API description of each method",
        test: "tests/gcloud/machines.txt",
    },
    Rule {
        of: &["compute.disks"],
        says: "a disk only grows",
        source: "API description of `disks.resize`",
        test: "tests/gcloud/disks.txt",
    },
];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "compute.instances.setDiskAutoDelete" => set_disk_auto_delete,
        "compute.instances.stop" => stop,
        "compute.instances.start" => start,
        "compute.instances.reset" => reset,
        "compute.instances.setMetadata" => set_metadata,
        "compute.instances.setTags" => set_tags,
        "compute.instances.setDeletionProtection" => set_deletion_protection,
        "compute.instances.attachDisk" => attach_disk,
        "compute.instances.detachDisk" => detach_disk,
        "compute.disks.resize" => resize_disk,
        _ => return None,
    })
}

fn set_disk_auto_delete(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let device = ask.param("deviceName").unwrap_or("").to_string();
    let wanted = ask.flag("autoDelete").unwrap_or(false);
    let mut found = false;
    world.change(&key, |body| {
        let disks = body.get_mut("disks").and_then(Json::as_array_mut);
        for disk in disks.into_iter().flatten() {
            if disk.get("deviceName").and_then(Json::as_str) == Some(&device) {
                disk["autoDelete"] = json!(wanted);
                found = true;
            }
        }
    });
    match found {
        true => Ok(operation::begin(world, ask, &key, Vec::new()).into()),
        false => Err(Refusal::invalid(
            "deviceName",
            &device,
            "No attached disk found with this device name.",
        )),
    }
}

fn stop(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    stopping(world, &key);
    let at = world.stamp();
    let then = Then::Merge(
        key.clone(),
        fields(&[
            ("status", json!("TERMINATED")),
            ("lastStopTimestamp", json!(at)),
        ]),
    );
    Ok(operation::begin(world, ask, &key, vec![then]).into())
}

fn start(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let status = world
        .live(&key)
        .map(|r| r.text("status").to_string())
        .unwrap_or_default();
    if status == "STOPPING" {
        return Err(Refusal::not_ready(path_of(&key)));
    }
    if status != "RUNNING"
        && let Some(failure) = world
            .live(&key)
            .and_then(|r| capacity::refused_start(world, &key, &r.body))
    {
        let failed = operation::begin_failing(world, ask, &key, Vec::new(), failure);
        return Ok(failed.into());
    }
    if status != "RUNNING"
        && world.doom.is_none()
        && let Some(resource) = world.resources.get_mut(&key)
    {
        resource.body.insert("status".into(), json!("STAGING"));
    }
    let then = inserted(world, &key);
    Ok(operation::begin(world, ask, &key, then).into())
}

fn reset(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let status = world
        .live(&key)
        .map(|r| r.text("status").to_string())
        .unwrap_or_default();
    if status != "RUNNING" {
        return Err(Refusal::not_ready(path_of(&key)));
    }
    let then = inserted(world, &key);
    Ok(operation::begin(world, ask, &key, then).into())
}

/// Replaces one part of a machine that has a fingerprint of its own.
fn set_part(world: &mut World, ask: &Ask, part: &str) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let have = world
        .live(&key)
        .and_then(|r| {
            r.body
                .get(part)?
                .get("fingerprint")?
                .as_str()
                .map(str::to_string)
        })
        .unwrap_or_default();
    let given = ask.text("fingerprint").unwrap_or("");
    if given.is_empty() {
        return Err(Refusal::required("resource.fingerprint"));
    }
    if given != have {
        let mut stale = Refusal::stale_fingerprint();
        stale.message = format!("Supplied fingerprint does not match current {part} fingerprint.");
        return Err(stale);
    }
    let mut value = Json::Object(ask.body.clone());
    value["fingerprint"] = json!(world.mint.fingerprint());
    world.change(&key, |body| {
        body.insert(part.to_string(), value);
    });
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn set_metadata(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    set_part(world, ask, "metadata")
}

fn set_tags(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    set_part(world, ask, "tags")
}

fn set_deletion_protection(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    // "Whether the resource should be protected against deletion", default true (API description).
    let wanted = ask.flag("deletionProtection").unwrap_or(true);
    world.change(&key, |body| {
        body.insert("deletionProtection".into(), json!(wanted));
    });
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn attach_disk(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let path = path_of(&key).to_string();
    let source = ask
        .text("source")
        .ok_or_else(|| Refusal::required("resource.source"))?;
    let disk_path = refs::path_of(source, &ask.project)
        .ok_or_else(|| Refusal::invalid("resource.source", source, "The URL is malformed."))?;
    let disk = world
        .compute(&disk_path)
        .ok_or_else(|| Refusal::not_found(&disk_path))?;
    free_disk(disk, &disk_path)?;
    let size = disk.body.get("sizeGb").cloned().unwrap_or_default();
    if let Some(disk) = world.resources.get_mut(&format!("compute/{disk_path}")) {
        disk.body.insert("users".into(), json!([refs::link(&path)]));
    }
    let mut entry = ask.body.clone();
    world.change(&key, |body| {
        let disks = body.entry("disks").or_insert_with(|| json!([]));
        if let Some(disks) = disks.as_array_mut() {
            let index = disks.len();
            entry.insert("source".into(), json!(refs::link(&disk_path)));
            for (field, value) in [
                ("kind", json!("compute#attachedDisk")),
                ("type", json!("PERSISTENT")),
                ("mode", json!("READ_WRITE")),
                ("index", json!(index)),
                ("boot", json!(false)),
                ("autoDelete", json!(false)),
                ("deviceName", json!(format!("persistent-disk-{index}"))),
                ("diskSizeGb", size),
            ] {
                entry.entry(field.to_string()).or_insert(value);
            }
            disks.push(Json::Object(entry));
        }
    });
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn detach_disk(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let device = ask.param("deviceName").unwrap_or("").to_string();
    let mut source = None;
    world.change(&key, |body| {
        if let Some(disks) = body.get_mut("disks").and_then(Json::as_array_mut) {
            let at = disks
                .iter()
                .position(|d| d.get("deviceName").and_then(Json::as_str) == Some(&device));
            source = at.map(|i| disks.remove(i)["source"].clone());
        }
    });
    let Some(source) = source else {
        return Err(Refusal::invalid(
            "deviceName",
            &device,
            "No attached disk found with this device name.",
        ));
    };
    if let Some((disk, _)) = world.linked(&source) {
        release(world, &disk);
    }
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

/// Disks grow only (API description of `disks.resize`).
fn resize_disk(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let number = |v: &str| v.parse::<u64>().unwrap_or(0);
    let wanted = ask.text("sizeGb").unwrap_or("").to_string();
    let have = world
        .live(&key)
        .map(|r| number(r.text("sizeGb")))
        .unwrap_or(0);
    if number(&wanted) <= have {
        return Err(Refusal::invalid(
            "sizeGb",
            &wanted,
            &format!(
                "New disk size '{wanted}' GiB must be larger than existing size '{have}' GiB."
            ),
        ));
    }
    world.change(&key, |body| {
        body.insert("sizeGb".into(), json!(wanted));
    });
    Ok(operation::begin_lasting(world, ask, &key, Vec::new(), Millis::secs(3)).into())
}
