//! What a managed group may look like: its checks and defaults, and the instance group beside it.
//!
//! Sources: the API description, and the API's own error texts where a rule cites them.

use serde_json::{Value as Json, json};

use super::super::refs;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::group_wish::{Reach, takes_the_rest};
use super::rules::Rule;
use super::{group_standby, group_state, path_of};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &[
        "compute.instanceGroupManagers",
        "compute.regionInstanceGroupManagers",
    ],
    says: "limits that contradict each other, versions without a rest and unknown zones are refused",
    source: "API description of `InstanceGroupManager`; the texts of the API",
    test: "the_api_refuses_impossible_limits",
}];

/// # Errors
/// Missing versions, a bad size, zones outside the region, or limits that contradict each other.
pub fn prepare(world: &mut World, key: &str, body: &mut Object) -> Result<(), Refusal> {
    let path = path_of(key).to_string();
    let project = refs::project_of(&path).unwrap_or_default().to_string();
    let name = body
        .get("name")
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_string();
    body.entry("baseInstanceName").or_insert(json!(name));
    if !body.contains_key("targetSize") {
        return Err(Refusal::required("resource.targetSize"));
    }
    place(world, &path, &project, body)?;
    group_standby::check(body)?;
    complete(body, &path)?;
    defaults(body, &path);
    let group_path = path.replace("/instanceGroupManagers/", "/instanceGroups/");
    body.insert("instanceGroup".into(), json!(refs::link(&group_path)));
    make_group(world, &path, &group_path, body);
    Ok(())
}

/// Zones of a regional group; each must be one of the region's.
fn place(world: &World, path: &str, project: &str, body: &mut Object) -> Result<(), Refusal> {
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
            return Err(Refusal::invalid(
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

/// Versions and template say the same thing; one of them may be left out.
///
/// # Errors
/// No version, or not exactly one that takes the rest; limits that contradict each other, or the state that
/// the group keeps.
pub fn complete(body: &mut Object, path: &str) -> Result<(), Refusal> {
    let versions = body
        .get("versions")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    let template = body.get("instanceTemplate").cloned();
    let versions = match (versions.is_empty(), template) {
        (true, None) => return Err(Refusal::required("resource.instanceTemplate")),
        (true, Some(template)) => vec![json!({ "instanceTemplate": template })],
        (false, _) => versions,
    };
    let open = versions.iter().filter(|v| takes_the_rest(v)).count();
    if open != 1 {
        return Err(Refusal::invalid(
            "resource.versions",
            &versions.len().to_string(),
            "Exactly one version must leave targetSize unset.",
        ));
    }
    for version in &versions {
        if version.get("instanceTemplate").is_none() {
            return Err(Refusal::required("resource.versions[0].instanceTemplate"));
        }
    }
    let main = versions.iter().find(|v| takes_the_rest(v)).cloned();
    if let Some(main) = main {
        body.insert("instanceTemplate".into(), main["instanceTemplate"].clone());
    }
    body.insert("versions".into(), Json::Array(versions));
    // gcloud clears the policies by one that is empty.
    let healing = body
        .get_mut("autoHealingPolicies")
        .and_then(Json::as_array_mut);
    if let Some(healing) = healing {
        healing.retain(|p| p.as_object().is_some_and(|p| !p.is_empty()));
        if healing.is_empty() {
            body.shift_remove("autoHealingPolicies");
        }
    }
    check_names(body)?;
    group_state::check(body, path)?;
    check_limits(body, path)
}

/// "Names must be unique"; each template at most once (API description of `versions`).
fn check_names(body: &Object) -> Result<(), Refusal> {
    let versions = body.get("versions").and_then(Json::as_array);
    let mut seen: Vec<(&Json, &Json)> = Vec::new();
    for version in versions.into_iter().flatten() {
        let (name, template) = (&version["name"], &version["instanceTemplate"]);
        let twice = seen.iter().find(|(n, t)| {
            !name.is_null() && *n == name || name.is_null() && n.is_null() && *t == template
        });
        if twice.is_some() {
            return Err(Refusal::invalid(
                "resource.versions",
                name.as_str().or(template.as_str()).unwrap_or(""),
                "Versions must have different names.",
            ));
        }
        seen.push((name, template));
    }
    Ok(())
}

/// "Regional managed instance groups: the zones cannot be changed" once the group is there (API
/// description of `distributionPolicy`).
///
/// # Errors
/// Other zones than before.
pub fn fixed_zones(old: &Object, new: &Object) -> Result<(), Refusal> {
    let zones = |body: &Object| {
        body.get("distributionPolicy")
            .and_then(|d| d.get("zones"))
            .cloned()
    };
    match zones(new) {
        Some(given) if Some(&given) != zones(old).as_ref() => Err(Refusal::invalid(
            "resource.distributionPolicy.zones",
            "",
            "The zones of a regional managed instance group cannot be changed.",
        )),
        _ => Ok(()),
    }
}

/// A limit of the update policy as it was given.
fn given(policy: &Json, name: &str, kind: &str) -> Option<i64> {
    policy.get(name)?.get(kind)?.as_i64()
}

/// Rules quoted from the API's own error texts (terraform-example-foundation#427, and the Terraform
/// provider's tests for RESTART and RECREATE), percentages from the API description ("only if the group
/// has 10 or more instances" for a regional one).
fn check_limits(body: &Object, path: &str) -> Result<(), Refusal> {
    let Some(policy) = body.get("updatePolicy") else {
        return Ok(());
    };
    let regional = refs::after(path, "regions").is_some();
    let zones = body
        .get("distributionPolicy")
        .and_then(|d| d.get("zones"))
        .and_then(Json::as_array)
        .map_or(0, Vec::len) as i64;
    let size = body.get("targetSize").and_then(Json::as_i64).unwrap_or(0);
    for name in ["maxSurge", "maxUnavailable"] {
        let few = given(policy, name, "fixed").filter(|n| regional && *n != 0 && *n < zones);
        if let Some(number) = few {
            return refuse_limit(
                name,
                number,
                &format!(
                    "Fixed updatePolicy.{name} for regional managed instance group has to be either 0 or at least equal to the number of zones."
                ),
            );
        }
        let share = given(policy, name, "percent")
            .filter(|n| !(0..=100).contains(n) || regional && size < 10 && *n != 0);
        if let Some(number) = share {
            return refuse_limit(
                name,
                number,
                "A percentage is from 0 to 100, and for a regional group only if it has 10 or more instances.",
            );
        }
    }
    check_combination(policy)
}

fn refuse_limit(name: &str, value: i64, why: &str) -> Result<(), Refusal> {
    Err(Refusal::invalid(
        &format!("resource.updatePolicy.{name}"),
        &value.to_string(),
        why,
    ))
}

fn check_combination(policy: &Json) -> Result<(), Refusal> {
    let none = |name: &str| {
        ["fixed", "percent"]
            .iter()
            .find_map(|kind| given(policy, name, kind))
            == Some(0)
    };
    let is = |name: &str, value: &str| policy.get(name).and_then(Json::as_str) == Some(value);
    if none("maxSurge") && none("maxUnavailable") {
        return refuse_limit(
            "maxUnavailable",
            0,
            "At least one of maxSurge and maxUnavailable must be greater than 0.",
        );
    }
    if is("minimalAction", "RESTART") && none("maxUnavailable") {
        return refuse_limit(
            "maxUnavailable",
            0,
            "maxUnavailable must be greater than 0 when minimal action is set to RESTART.",
        );
    }
    let surge = given(policy, "maxSurge", "fixed").unwrap_or(0);
    if is("replacementMethod", "RECREATE") && surge > 0 {
        return refuse_limit(
            "maxSurge",
            surge,
            "maxSurge must be 0 when replacement method is set to RECREATE.",
        );
    }
    let order = |name: &str| Reach::parse(policy.get(name).and_then(Json::as_str));
    let limited = policy.get("mostDisruptiveAllowedAction").is_some();
    if limited && order("minimalAction") > order("mostDisruptiveAllowedAction") {
        return Err(Refusal::invalid(
            "resource.updatePolicy.minimalAction",
            policy["minimalAction"].as_str().unwrap_or(""),
            "Must not be more disruptive than mostDisruptiveAllowedAction.",
        ));
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
pub fn make_group(world: &mut World, path: &str, group_path: &str, body: &Object) {
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
