//! What a managed group may look like: its checks and defaults, and the instance group beside it.
//!
//! Sources: the API description, and the API's own error texts where a rule cites them.

use serde_json::{Value as Json, json};

use super::super::fault::Fault;
use super::super::refs;
use super::super::world::{Object, World};
use super::path_of;

/// # Errors
/// Missing versions, a bad size, zones outside the region, or limits that contradict each other.
pub fn prepare(world: &mut World, key: &str, body: &mut Object) -> Result<(), Fault> {
    let path = path_of(key).to_string();
    let project = refs::project_of(&path).unwrap_or_default().to_string();
    let name = body
        .get("name")
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_string();
    body.entry("baseInstanceName").or_insert(json!(name));
    if !body.contains_key("targetSize") {
        return Err(Fault::required("resource.targetSize"));
    }
    place(world, &path, &project, body)?;
    complete(body)?;
    defaults(body, &path);
    let group_path = path.replace("/instanceGroupManagers/", "/instanceGroups/");
    body.insert("instanceGroup".into(), json!(refs::link(&group_path)));
    make_group(world, &path, &group_path, body);
    Ok(())
}

/// Zones of a regional group; each must be one of the region's.
fn place(world: &World, path: &str, project: &str, body: &mut Object) -> Result<(), Fault> {
    let Some(region) = refs::after(path, "regions") else {
        return Ok(());
    };
    let known = world.scenario.zones_of(region);
    let given = body
        .get("distributionPolicy")
        .and_then(|d| d.get("zones"))
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    for zone in &given {
        let name = refs::last(zone.get("zone").and_then(Json::as_str).unwrap_or("")).to_string();
        if !known.contains(&name) {
            return Err(Fault::invalid(
                "resource.distributionPolicy.zones",
                &name,
                "The zone must exist in the region where the managed instance group is located.",
            ));
        }
    }
    let policy = body
        .entry("distributionPolicy")
        .or_insert_with(|| json!({}));
    if given.is_empty() {
        let zones: Vec<Json> = known
            .iter()
            .take(3)
            .map(|z| json!({ "zone": refs::link(&format!("projects/{project}/zones/{z}")) }))
            .collect();
        policy["zones"] = json!(zones);
    }
    if policy.get("targetShape").is_none() {
        policy["targetShape"] = json!("EVEN");
    }
    Ok(())
}

/// Whether a version sets no size of its own. What the server calculated and a client sends back is
/// none.
pub fn takes_the_rest(version: &Json) -> bool {
    let set = |name: &str| {
        version
            .get("targetSize")
            .and_then(|t| t.get(name))
            .is_some_and(|n| !n.is_null())
    };
    !set("fixed") && !set("percent")
}

/// Versions and template say the same thing; one of them may be left out.
///
/// # Errors
/// No version, or not exactly one that takes the rest; limits that contradict each other.
pub fn complete(body: &mut Object) -> Result<(), Fault> {
    let versions = body
        .get("versions")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    let template = body.get("instanceTemplate").cloned();
    let versions = match (versions.is_empty(), template) {
        (true, None) => return Err(Fault::required("resource.instanceTemplate")),
        (true, Some(template)) => vec![json!({ "instanceTemplate": template })],
        (false, _) => versions,
    };
    let open = versions.iter().filter(|v| takes_the_rest(v)).count();
    if open != 1 {
        return Err(Fault::invalid(
            "resource.versions",
            &versions.len().to_string(),
            "Exactly one version must leave targetSize unset.",
        ));
    }
    for version in &versions {
        if version.get("instanceTemplate").is_none() {
            return Err(Fault::required("resource.versions[0].instanceTemplate"));
        }
    }
    let main = versions.iter().find(|v| takes_the_rest(v)).cloned();
    if let Some(main) = main {
        body.insert("instanceTemplate".into(), main["instanceTemplate"].clone());
    }
    body.insert("versions".into(), Json::Array(versions));
    check_limits(body)
}

/// Rules quoted from the API's own error texts (terraform-example-foundation#427, and the Terraform
/// provider's tests for RESTART and RECREATE).
fn check_limits(body: &Object) -> Result<(), Fault> {
    let Some(policy) = body.get("updatePolicy") else {
        return Ok(());
    };
    let fixed = |name: &str| {
        policy
            .get(name)
            .and_then(|l| l.get("fixed"))
            .and_then(Json::as_i64)
    };
    let zones = body
        .get("distributionPolicy")
        .and_then(|d| d.get("zones"))
        .and_then(Json::as_array)
        .map_or(0, Vec::len) as i64;
    let refuse = |name: &str, value: i64, why: String| {
        Err(Fault::invalid(
            &format!("resource.updatePolicy.{name}"),
            &value.to_string(),
            &why,
        ))
    };
    for name in ["maxSurge", "maxUnavailable"] {
        if let Some(n) = fixed(name)
            && zones > 0
            && n != 0
            && n < zones
        {
            return refuse(
                name,
                n,
                format!(
                    "Fixed updatePolicy.{name} for regional managed instance group has to be either 0 or at least equal to the number of zones."
                ),
            );
        }
    }
    if fixed("maxSurge") == Some(0) && fixed("maxUnavailable") == Some(0) {
        return refuse(
            "maxUnavailable",
            0,
            "At least one of maxSurge and maxUnavailable must be greater than 0.".into(),
        );
    }
    let restarts = policy.get("minimalAction").and_then(Json::as_str) == Some("RESTART");
    if restarts && fixed("maxUnavailable") == Some(0) {
        return refuse(
            "maxUnavailable",
            0,
            "maxUnavailable must be greater than 0 when minimal action is set to RESTART.".into(),
        );
    }
    let recreates = policy.get("replacementMethod").and_then(Json::as_str) == Some("RECREATE");
    if recreates && fixed("maxSurge").is_some_and(|n| n > 0) {
        return refuse(
            "maxSurge",
            fixed("maxSurge").unwrap_or(0),
            "maxSurge must be 0 when replacement method is set to RECREATE.".into(),
        );
    }
    Ok(())
}

fn defaults(body: &mut Object, path: &str) {
    let limit = match refs::after(path, "regions") {
        Some(_) => body
            .get("distributionPolicy")
            .and_then(|d| d.get("zones"))
            .and_then(Json::as_array)
            .map_or(3, Vec::len),
        None => 1,
    };
    let policy = body.entry("updatePolicy").or_insert_with(|| json!({}));
    for (name, value) in [
        ("type", json!("OPPORTUNISTIC")),
        ("minimalAction", json!("REPLACE")),
        ("replacementMethod", json!("SUBSTITUTE")),
        ("maxSurge", json!({ "fixed": limit, "calculated": limit })),
        (
            "maxUnavailable",
            json!({ "fixed": limit, "calculated": limit }),
        ),
    ] {
        if policy.get(name).is_none() {
            policy[name] = value;
        }
    }
    for (name, value) in [
        ("listManagedInstancesResults", json!("PAGELESS")),
        (
            "standbyPolicy",
            json!({ "mode": "MANUAL", "initialDelaySec": 0 }),
        ),
        ("targetSizePolicy", json!({ "mode": "INDIVIDUAL" })),
        ("targetStoppedSize", json!(0)),
        ("targetSuspendedSize", json!(0)),
        (
            "instanceLifecyclePolicy",
            json!({ "defaultActionOnFailure": "REPAIR", "forceUpdateOnRepair": "NO" }),
        ),
    ] {
        body.entry(name.to_string()).or_insert(value);
    }
}

/// The instance group that stands beside the manager: named ports, network, fingerprint.
fn make_group(world: &mut World, path: &str, group_path: &str, body: &Object) {
    let project = refs::project_of(path).unwrap_or_default();
    let name = body.get("name").cloned().unwrap_or_default();
    let template = main_template(world, body);
    let network = template
        .as_ref()
        .and_then(|t| {
            t.pointer("/properties/networkInterfaces/0/network")
                .cloned()
        })
        .unwrap_or_else(|| {
            json!(refs::link(&format!(
                "projects/{project}/global/networks/default"
            )))
        });
    let mut group = json!({
        "kind": "compute#instanceGroup",
        "id": world.mint.id(),
        "creationTimestamp": world.stamp(),
        "name": name,
        "description": "This instance group is controlled by Instance Group Manager.",
        "network": network,
        "fingerprint": world.mint.fingerprint(),
        "selfLink": refs::link(group_path),
        "size": 0,
    });
    if let Some(ports) = body.get("namedPorts") {
        group["namedPorts"] = ports.clone();
    }
    let mut collection = "compute.instanceGroups";
    if let Some(zone) = refs::after(path, "zones") {
        group["zone"] = json!(refs::link(&format!("projects/{project}/zones/{zone}")));
    } else if let Some(region) = refs::after(path, "regions") {
        group["region"] = json!(refs::link(&format!("projects/{project}/regions/{region}")));
        collection = "compute.regionInstanceGroups";
    }
    world.put(
        &format!("compute/{group_path}"),
        collection,
        group.as_object().cloned().unwrap_or_default(),
    );
}

fn main_template(world: &World, body: &Object) -> Option<Json> {
    let link = body.get("instanceTemplate")?;
    let (_, template) = world.linked(link)?;
    Some(Json::Object(template.body.clone()))
}
