//! Snapshots of disks, by their own collection and by the disk's method, and images of whole machines.
//!
//! Source: API description of `Snapshot` (status CREATING, UPLOADING, READY; `diskSizeGb` and `sourceDiskId`
//! are the disk's), of `disks.createSnapshot`, and of `MachineImage` (`sourceInstanceProperties`: those of the
//! machine).

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::operation::{self, Then};
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::super::{Outcome, generic, refs, stamp};
use super::rules::Rule;
use super::{Handler, existing, path_of};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["compute.snapshots", "compute.disks", "compute.regionDisks"],
        says: "a snapshot has the size of its disk, is CREATING and then READY, by either method",
        source: "API description of `Snapshot` and of `disks.createSnapshot`",
        test: "tests/gcloud/disks.txt",
    },
    Rule {
        of: &["compute.machineImages"],
        says: "a machine image tells what its machine was, is CREATING and then READY",
        source: "API description of `MachineImage`",
        test: "tests/gcloud/unmanaged.txt",
    },
];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "compute.disks.createSnapshot" | "compute.regionDisks.createSnapshot" => of_disk,
        _ => return None,
    })
}

/// Completes a new snapshot.
///
/// # Errors
/// A source disk that is not there, or none.
pub fn prepare(world: &World, body: &mut Object) -> Result<(), Refusal> {
    let source = body.get("sourceDisk").cloned().unwrap_or_default();
    let Some((_, disk)) = world.linked(&source) else {
        return Err(match source.as_str() {
            Some(text) => Refusal::not_found(text.strip_prefix(refs::LINK_ROOT).unwrap_or(text)),
            None => Refusal::required("resource.sourceDisk"),
        });
    };
    body.insert("status".into(), json!("CREATING"));
    body.insert("diskSizeGb".into(), json!(disk.text("sizeGb")));
    body.insert("sourceDiskId".into(), json!(disk.text("id")));
    body.insert("storageBytes".into(), json!("0"));
    body.entry("storageLocations").or_insert(json!(["us"]));
    body.entry("snapshotType").or_insert(json!("STANDARD"));
    Ok(())
}

/// Completes a new machine image.
///
/// # Errors
/// No machine is named, or one that is not there.
pub fn prepare_machine(world: &World, ask: &Ask, body: &mut Object) -> Result<(), Refusal> {
    let given = body.get("sourceInstance").and_then(Json::as_str);
    let given = given
        .or(ask.param("sourceInstance"))
        .ok_or_else(|| Refusal::required("resource.sourceInstance"))?;
    let path = refs::path_of(given, &ask.project).ok_or_else(|| {
        Refusal::invalid("resource.sourceInstance", given, "The URL is malformed.")
    })?;
    let machine = world
        .compute(&path)
        .ok_or_else(|| Refusal::not_found(&path))?;
    let mut properties = Object::new();
    for name in [
        "disks",
        "labels",
        "metadata",
        "networkInterfaces",
        "scheduling",
        "tags",
    ] {
        if let Some(value) = machine.body.get(name) {
            properties.insert(name.into(), value.clone());
        }
    }
    let kind = refs::last(machine.text("machineType"));
    properties.insert("machineType".into(), json!(kind));
    let template = as_template(world, &properties);
    body.insert("instanceProperties".into(), Json::Object(template));
    body.insert("sourceInstance".into(), json!(refs::link(&path)));
    body.insert("sourceInstanceProperties".into(), Json::Object(properties));
    body.insert("status".into(), json!("CREATING"));
    Ok(())
}

/// What new machines are made of: disks of their own, and no addresses of the old one.
fn as_template(world: &World, properties: &Object) -> Object {
    let mut out = properties.clone();
    let list = |out: &mut Object, name: &str, change: &dyn Fn(&mut Object)| {
        let items = out.get_mut(name).and_then(Json::as_array_mut);
        let items = items.into_iter().flatten();
        items.filter_map(Json::as_object_mut).for_each(change);
    };
    list(&mut out, "disks", &|disk| {
        let source = disk.shift_remove("source");
        let found = source.as_ref().and_then(|s| world.linked(s));
        let image = found.and_then(|(_, d)| d.body.get("sourceImage").cloned());
        let mut params = json!({ "diskSizeGb": disk.get("diskSizeGb") });
        if let Some(image) = image {
            params["sourceImage"] = image;
        }
        disk.insert("initializeParams".into(), params);
    });
    list(&mut out, "networkInterfaces", &|card| {
        card.shift_remove("networkIP");
        card.shift_remove("fingerprint");
        let configs = card.get_mut("accessConfigs").and_then(Json::as_array_mut);
        for config in configs.into_iter().flatten() {
            if let Some(config) = config.as_object_mut() {
                config.shift_remove("natIP");
            }
        }
    });
    out
}

/// READY when the operation is done.
pub fn machine_inserted(key: &str) -> Vec<Then> {
    let mut fields = Object::new();
    fields.insert("status".into(), json!("READY"));
    vec![Then::Merge(key.to_string(), fields)]
}

/// READY when the operation is done.
pub fn inserted(key: &str) -> Vec<Then> {
    let mut fields = Object::new();
    fields.insert("status".into(), json!("READY"));
    fields.insert("storageBytes".into(), json!("1073741824"));
    fields.insert("storageBytesStatus".into(), json!("UP_TO_DATE"));
    vec![Then::Merge(key.to_string(), fields)]
}

fn of_disk(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let disk = existing(world, ask)?;
    let Some(name) = ask.text("name").map(str::to_string) else {
        return Err(Refusal::required("resource.name"));
    };
    let key = format!("compute/projects/{}/global/snapshots/{name}", ask.project);
    if world.live(&key).is_some() {
        return Err(Refusal::exists(path_of(&key)));
    }
    let Some(collection) = world.catalog.collection("compute.snapshots") else {
        return Err(Refusal::not_simulated(&ask.method.id));
    };
    let mut body = ask.body.clone();
    body.insert("sourceDisk".into(), Json::from(refs::link(path_of(&disk))));
    if let Some(schema) = generic::schema_of(world, &collection) {
        body.retain(|field, _| schema.field(field).is_some());
    }
    let mut body = stamp::stamp_new(world, &collection, &key, &name, body);
    prepare(world, &mut body)?;
    world.put(&key, "compute.snapshots", body);
    let then = inserted(&key);
    // The method is the disk's, and so is its operation.
    Ok(operation::begin(world, ask, &disk, then).into())
}
