//! Images, their families, and instance templates.
//!
//! Sources: the API description (`Image.status` PENDING, READY, FAILED; exactly one source; a family
//! means its newest image that is not deprecated), public issues for the refusal of a disk in use
//! (ansible/ansible#61634).

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::operation::{self, Then};
use super::super::refusal::Refusal;
use super::super::timing::Happening;
use super::super::world::{Due, Object, World};
use super::super::{Outcome, generic, page, refs};
use super::rules::Rule;
use super::{Handler, existing, instances};
use crate::wire::Verb;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["compute.images"],
        says: "projects whose ids end in `-cloud` hold public images: families and names of the forms that theirs have are there, and nobody changes them (403)",
        source: "refusals in public issues (`Required 'compute.images.create' permission for …`)",
        test: "public_projects_are_read_and_not_changed",
    },
    Rule {
        of: &["compute.images", "compute.imageFamilyViews"],
        says: "exactly one source; READY a while after PENDING; a family is its newest image that is not deprecated",
        source: "API description of `Image`",
        test: "tests/gcloud/images.txt",
    },
    Rule {
        of: &["compute.images"],
        says: "the disk of a running machine is refused unless `forceCreate` is given",
        source: "ansible/ansible#61634",
        test: "tests/gcloud/images.txt",
    },
    Rule {
        of: &["compute.instanceTemplates"],
        says: "a template cannot be changed, and needs a machine type that there is",
        source: "API description of `InstanceTemplate`",
        test: "tests/gcloud/templates.txt",
    },
];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "compute.images.getFromFamily" => from_family,
        "compute.imageFamilyViews.get" => family_view,
        "compute.images.deprecate" => deprecate,
        "compute.images.get" => get,
        "compute.images.list" => list,
        _ => return None,
    })
}

/// Fields of which an image must have exactly one.
const SOURCES: &[&str] = &["sourceDisk", "sourceImage", "sourceSnapshot"];

/// # Errors
/// No source or several, or a disk that a running machine writes to.
pub fn prepare(world: &mut World, ask: &Ask, body: &mut Object) -> Result<(), Refusal> {
    let raw = body.get("rawDisk").and_then(|r| r.get("source")).is_some();
    let named = SOURCES.iter().filter(|s| body.contains_key(**s)).count();
    if named + usize::from(raw) != 1 {
        return Err(Refusal::invalid(
            "resource",
            "",
            "Exactly one of rawDisk, sourceDisk, sourceImage and sourceSnapshot must be given.",
        ));
    }
    let mut size = json!("10");
    if let Some(source) = body.get("sourceDisk").cloned() {
        let text = source.as_str().unwrap_or("").to_string();
        let path = text.strip_prefix(refs::LINK_ROOT).unwrap_or(&text);
        let (_, disk) = world
            .linked(&source)
            .ok_or_else(|| Refusal::not_found(path))?;
        let user = disk
            .body
            .get("users")
            .and_then(Json::as_array)
            .and_then(|u| u.first());
        let running = user
            .and_then(|u| world.linked(u))
            .is_some_and(|(_, vm)| vm.text("status") != "TERMINATED");
        if let (Some(user), true, false) = (user, running, ask.flag("forceCreate").unwrap_or(false))
        {
            return Err(instances::in_use(path, user));
        }
        size = disk.body.get("sizeGb").cloned().unwrap_or(size);
        let id = disk.body.get("id").cloned().unwrap_or_default();
        body.insert("sourceDiskId".into(), id);
    }
    if let Some(image) = body.get("sourceImage").and_then(Json::as_str) {
        let found = resolve(world, &ask.project, image).ok_or_else(|| {
            Refusal::not_found(image.strip_prefix(refs::LINK_ROOT).unwrap_or(image))
        })?;
        if let Some(found) = world.compute(&found) {
            size = found.body.get("diskSizeGb").cloned().unwrap_or(size);
        }
    }
    let status = if world.planting { "READY" } else { "PENDING" };
    body.insert("status".into(), json!(status));
    body.insert("sourceType".into(), json!("RAW"));
    body.entry("diskSizeGb").or_insert(size);
    body.entry("archiveSizeBytes").or_insert(json!("0"));
    body.entry("architecture").or_insert(json!("X86_64"));
    Ok(())
}

/// An image is READY some time after its operation.
pub fn inserted(world: &mut World, key: &str) -> Vec<Then> {
    if !world.planting {
        let at = world.now.plus(world.takes(Happening::ImageReady));
        world.schedule(at, Due::ImageReady(key.to_string()));
    }
    Vec::new()
}

pub fn ready(world: &mut World, key: &str) {
    if let Some(image) = world.resources.get_mut(key) {
        image.body.insert("status".into(), json!("READY"));
        image
            .body
            .insert("archiveSizeBytes".into(), json!("1073741824"));
    }
}

/// Projects of public images, which exist without being stored.
pub fn is_public(project: &str) -> bool {
    project.ends_with("-cloud")
}

/// Google's projects of public images are read by everybody and changed by nobody here.
///
/// # Errors
/// 403 with the permission that is missing.
pub fn keeps_out(ask: &Ask) -> Result<(), Refusal> {
    let reads = ask.method.reads || ask.method.verb == Verb::Get;
    if reads || !is_public(&ask.project) {
        return Ok(());
    }
    let permission = ask.method.id.replace(".insert", ".create");
    let path = match ask.text("name") {
        Some(name) => format!("{}/{name}", ask.rest),
        None => ask.rest.clone(),
    };
    Err(Refusal::new(
        403,
        "forbidden",
        format!("Required '{permission}' permission for '{path}'"),
    ))
}

/// The forms that the families of public projects have, so that one that is misspelt is not there. Of projects that
/// are not named here any family is.
const FAMILIES: &[(&str, &str)] = &[
    ("centos-cloud", r"centos-(stream-)?\d+(-arm64)?"),
    ("cos-cloud", r"cos-(arm64-)?(stable|beta|dev|\d+-lts)"),
    ("debian-cloud", r"debian-\d+(-arm64)?"),
    ("rhel-cloud", r"rhel-\d+(-arm64)?"),
    (
        "rocky-linux-cloud",
        r"rocky-linux-\d+(-optimized-gcp)?(-arm64)?",
    ),
    (
        "ubuntu-os-cloud",
        r"ubuntu-((minimal|accelerator)-)?\d{4}(-lts)?(-amd64|-arm64)?",
    ),
    ("windows-cloud", r"windows-.+"),
];

fn fits(pattern: &str, text: &str) -> bool {
    regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|r| r.is_match(text))
}

fn is_family(project: &str, family: &str) -> bool {
    let mut all = FAMILIES.iter().filter(|(p, _)| *p == project);
    is_public(project) && all.all(|(_, pattern)| fits(pattern, family))
}

/// Public images carry the day of their making, those of Container-Optimized OS their build.
fn is_image(project: &str, name: &str) -> bool {
    let dated = fits(r".+-v20\d{6}(-.+)?", name) || fits(r"cos-.*\d+-\d+-\d+", name);
    is_public(project) && (dated || !FAMILIES.iter().any(|(p, _)| *p == project))
}

/// What a list of public images shows.
const PUBLIC: &[(&str, &[&str])] = &[
    ("cos-cloud", &["cos-stable"]),
    ("debian-cloud", &["debian-11", "debian-12"]),
    ("rocky-linux-cloud", &["rocky-linux-9"]),
    (
        "ubuntu-os-cloud",
        &["ubuntu-2204-lts", "ubuntu-2404-lts-amd64"],
    ),
];

fn get(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    if !is_public(&ask.project) {
        return Ok(generic::get(world, ask)?.into());
    }
    let name = refs::last(&ask.rest);
    if !is_image(&ask.project, name) {
        return Err(Refusal::not_found(&ask.rest));
    }
    let family = name.trim_end_matches("-v20261101");
    Ok(image_json(world, &ask.rest, family).into())
}

fn list(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    if !is_public(&ask.project) {
        return Ok(page::list(world, ask)?.into());
    }
    let families = PUBLIC.iter().find(|(project, _)| *project == ask.project);
    let items = families
        .map_or(&[][..], |(_, families)| families)
        .iter()
        .filter_map(|family| Some((newest(world, &ask.project, family)?, family)))
        .map(|(path, family)| image_json(world, &path, family))
        .collect();
    Ok(page::answer(world, ask, items)?.into())
}

/// The path of the image that any reference to one means: an image, a family, a family in a zone.
pub fn resolve(world: &World, project: &str, reference: &str) -> Option<String> {
    let path = match reference.strip_prefix(refs::LINK_ROOT) {
        Some(path) => path.to_string(),
        None => refs::path_of(reference, project)?,
    };
    let holder = refs::project_of(&path)?.to_string();
    let family = refs::after(&path, "family").or_else(|| refs::after(&path, "imageFamilyViews"));
    match family {
        Some(family) => newest(world, &holder, family),
        None if is_public(&holder) => is_image(&holder, refs::last(&path)).then_some(path),
        None => world.compute(&path).map(|_| path),
    }
}

/// The newest image of a family that is not deprecated.
pub fn newest(world: &World, project: &str, family: &str) -> Option<String> {
    let prefix = format!("compute/projects/{project}/global/images/");
    let own = world
        .of("compute.images", &prefix)
        .filter(|(_, r)| {
            r.text("family") == family && !r.dying && !r.body.contains_key("deprecated")
        })
        .max_by_key(|(key, r)| (r.born, (*key).clone()))
        .map(|(key, _)| key.trim_start_matches("compute/").to_string());
    own.or_else(|| {
        is_family(project, family)
            .then(|| format!("projects/{project}/global/images/{family}-v20261101"))
    })
}

fn image_json(world: &World, path: &str, family: &str) -> Json {
    match generic::view(world, &format!("compute/{path}")) {
        Some(body) => Json::Object(body),
        None => json!({
            "kind": "compute#image",
            "id": "1000000001",
            "name": refs::last(path),
            "family": family,
            "status": "READY",
            "sourceType": "RAW",
            "diskSizeGb": "10",
            "archiveSizeBytes": "1073741824",
            "architecture": "X86_64",
            "selfLink": refs::link(path),
        }),
    }
}

fn from_family(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let family = ask.param("family").unwrap_or("");
    let path = newest(world, &ask.project, family).ok_or_else(|| Refusal::not_found(&ask.rest))?;
    Ok(image_json(world, &path, family).into())
}

fn family_view(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let family = ask.param("family").unwrap_or("");
    let path = newest(world, &ask.project, family).ok_or_else(|| Refusal::not_found(&ask.rest))?;
    Ok(json!({ "image": image_json(world, &path, family) }).into())
}

/// `state` ACTIVE or nothing takes the mark away (API description of `DeprecationStatus`).
fn deprecate(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let mut mark = Json::Object(ask.body.clone());
    refs::canonicalise(&mut mark, &ask.project);
    let active = matches!(ask.text("state"), None | Some("ACTIVE"));
    world.change(&key, |body| {
        match active {
            true => body.shift_remove("deprecated"),
            false => body.insert("deprecated".into(), mark),
        };
    });
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

/// What a template takes from a machine: everything but its names and addresses (API description of
/// `InstanceTemplate.sourceInstance`).
fn properties_of(world: &World, source: &Json) -> Result<Json, Refusal> {
    let Some((_, machine)) = world.linked(source) else {
        let text = source.as_str().unwrap_or("");
        let path = text.strip_prefix(refs::LINK_ROOT).unwrap_or(text);
        return Err(Refusal::not_found(path));
    };
    let mut out = Object::new();
    for field in [
        "labels",
        "metadata",
        "tags",
        "scheduling",
        "serviceAccounts",
        "networkInterfaces",
        "canIpForward",
    ] {
        if let Some(value) = machine.body.get(field) {
            out.insert(field.into(), value.clone());
        }
    }
    out.insert(
        "machineType".into(),
        json!(refs::last(machine.text("machineType"))),
    );
    for nic in list_mut(&mut out, "networkInterfaces") {
        forget(nic, &["networkIP", "fingerprint"]);
        for config in nic
            .get_mut("accessConfigs")
            .and_then(Json::as_array_mut)
            .into_iter()
            .flatten()
        {
            forget(config, &["natIP"]);
        }
    }
    let disks = machine.body.get("disks").and_then(Json::as_array);
    let disks: Vec<Json> = disks
        .into_iter()
        .flatten()
        .map(|d| disk_of(world, d))
        .collect();
    out.insert("disks".into(), json!(disks));
    Ok(Json::Object(out))
}

fn list_mut<'a>(body: &'a mut Object, field: &str) -> impl Iterator<Item = &'a mut Json> {
    body.get_mut(field)
        .and_then(Json::as_array_mut)
        .into_iter()
        .flatten()
}

fn forget(json: &mut Json, fields: &[&str]) {
    if let Some(body) = json.as_object_mut() {
        body.retain(|name, _| !fields.contains(&name.as_str()));
    }
}

fn disk_of(world: &World, attached: &Json) -> Json {
    let mut out = attached.clone();
    forget(&mut out, &["source", "licenses", "guestOsFeatures"]);
    let disk = world.linked(&attached["source"]).map(|(_, r)| r);
    let mut init = json!({});
    for (from, to) in [("sourceImage", "sourceImage"), ("sizeGb", "diskSizeGb")] {
        if let Some(value) = disk.and_then(|d| d.body.get(from)) {
            init[to] = value.clone();
        }
    }
    if let Some(kind) = disk.map(|d| refs::last(d.text("type")).to_string()) {
        init["diskType"] = json!(kind);
    }
    out["initializeParams"] = init;
    out
}

/// # Errors
/// A machine type that is a URL ("a URL gives INTERNAL_ERROR", API description), or an unknown one.
pub fn prepare_template(world: &mut World, body: &mut Object) -> Result<(), Refusal> {
    if let Some(source) = body.get("sourceInstance").cloned() {
        let properties = properties_of(world, &source)?;
        body.insert("properties".into(), properties);
    }
    let Some(properties) = body.get_mut("properties").and_then(Json::as_object_mut) else {
        return Err(Refusal::required("resource.properties"));
    };
    let machine = properties
        .get("machineType")
        .and_then(Json::as_str)
        .unwrap_or("")
        .to_string();
    if machine.is_empty() {
        return Err(Refusal::required("resource.properties.machineType"));
    }
    if machine.contains('/') || !super::places::knows_machine(world, &machine) {
        return Err(Refusal::invalid(
            "resource.properties.machineType",
            &machine,
            "The resource must be the name of a machine type, not its URL.",
        ));
    }
    let disks = properties
        .get("disks")
        .and_then(Json::as_array)
        .is_none_or(|d| d.is_empty());
    if disks {
        return Err(Refusal::invalid(
            "resource.properties.disks",
            "",
            "No disks are specified.",
        ));
    }
    if let Some(disks) = properties.get_mut("disks").and_then(Json::as_array_mut) {
        for (i, disk) in disks.iter_mut().enumerate() {
            if let Some(disk) = disk.as_object_mut() {
                disk.insert("kind".into(), json!("compute#attachedDisk"));
                disk.insert("index".into(), json!(i));
                disk.entry("deviceName")
                    .or_insert(json!(format!("persistent-disk-{i}")));
            }
        }
    }
    let print = world.mint.fingerprint();
    let metadata = properties.entry("metadata").or_insert_with(|| json!({}));
    metadata["kind"] = json!("compute#metadata");
    metadata["fingerprint"] = json!(print);
    properties.entry("tags").or_insert_with(|| json!({}));
    properties.entry("scheduling").or_insert(
        json!({ "automaticRestart": true, "onHostMaintenance": "MIGRATE", "preemptible": false }),
    );
    Ok(())
}
