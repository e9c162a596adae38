//! Autoscalers: they raise a group's target to their minimum. Load is not simulated, so they never
//! raise it further, and they lower it to the maximum only.
//!
//! Source: API description of `Autoscaler` and `AutoscalingPolicy`.

use serde_json::{Value as Json, json};

use super::super::fault::Fault;
use super::super::operation::Then;
use super::super::refs;
use super::super::world::{Object, World};
use super::{groups, path_of};

/// # Errors
/// A target that is missing or already scaled, or a policy that contradicts itself.
pub fn prepare(world: &mut World, key: &str, body: &mut Object) -> Result<(), Fault> {
    let target = body
        .get("target")
        .cloned()
        .ok_or_else(|| Fault::required("resource.target"))?;
    let text = target.as_str().unwrap_or("").to_string();
    let path = text
        .strip_prefix(refs::LINK_ROOT)
        .unwrap_or(&text)
        .to_string();
    if world.linked(&target).is_none() {
        return Err(Fault::not_found(&path));
    }
    if of_group(world, &path).is_some_and(|other| other != path_of(key)) {
        return Err(Fault::invalid(
            "resource.target",
            &text,
            "The target is already being autoscaled by another autoscaler.",
        ));
    }
    let policy = body.entry("autoscalingPolicy").or_insert_with(|| json!({}));
    for (name, value) in [
        ("coolDownPeriodSec", json!(60)),
        ("mode", json!("ON")),
        ("minNumReplicas", json!(2)),
    ] {
        if policy.get(name).is_none() {
            policy[name] = value;
        }
    }
    check(body)?;
    body.insert("status".into(), json!("ACTIVE"));
    Ok(())
}

/// # Errors
/// A maximum that is missing or below the minimum, a utilisation outside (0, 1].
pub fn check(body: &Object) -> Result<(), Fault> {
    const AT: &str = "resource.autoscalingPolicy";
    let policy = body.get("autoscalingPolicy").cloned().unwrap_or_default();
    let number = |name: &str| policy.get(name).and_then(Json::as_i64);
    let max =
        number("maxNumReplicas").ok_or_else(|| Fault::required(&format!("{AT}.maxNumReplicas")))?;
    let min = number("minNumReplicas").unwrap_or(2);
    if max < min {
        return Err(Fault::invalid(
            &format!("{AT}.maxNumReplicas"),
            &max.to_string(),
            "Must be greater than or equal to minNumReplicas.",
        ));
    }
    if let Some(target) = policy
        .pointer("/cpuUtilization/utilizationTarget")
        .and_then(Json::as_f64)
        && !(target > 0.0 && target <= 1.0)
    {
        return Err(Fault::invalid(
            &format!("{AT}.cpuUtilization.utilizationTarget"),
            &target.to_string(),
            "Must be greater than 0 and at most 1.",
        ));
    }
    Ok(())
}

pub fn inserted(world: &mut World, key: &str) -> Vec<Then> {
    apply(world, key);
    Vec::new()
}

/// Moves the group's target into the autoscaler's range; a scale-out-only one never lowers it.
pub fn apply(world: &mut World, key: &str) {
    let Some(scaler) = world.live(key) else {
        return;
    };
    let policy = scaler
        .body
        .get("autoscalingPolicy")
        .cloned()
        .unwrap_or_default();
    let number = |name: &str| policy.get(name).and_then(Json::as_i64);
    let mode = policy
        .get("mode")
        .and_then(Json::as_str)
        .unwrap_or("ON")
        .to_string();
    let Some((group, manager)) = scaler.body.get("target").and_then(|t| world.linked(t)) else {
        return;
    };
    let have = manager
        .body
        .get("targetSize")
        .and_then(Json::as_i64)
        .unwrap_or(0);
    let mut want = have.max(number("minNumReplicas").unwrap_or(2));
    if mode == "ON" {
        want = want.min(number("maxNumReplicas").unwrap_or(want));
    }
    if mode == "OFF" || want == have {
        return;
    }
    world.change(&group, |body| {
        body.insert("targetSize".into(), json!(want));
    });
    groups::noticed_later(world, &group);
}

/// The path of the autoscaler that scales a group.
pub fn of_group(world: &World, group_path: &str) -> Option<String> {
    let project = refs::project_of(group_path)?;
    let link = refs::link(group_path);
    let prefix = format!("compute/projects/{project}/");
    world
        .resources
        .range(prefix.clone()..)
        .take_while(|(key, _)| key.starts_with(&prefix))
        .find(|(_, r)| r.collection.ends_with("utoscalers") && r.text("target") == link)
        .map(|(key, _)| path_of(key).to_string())
}

/// The size that it recommends, and the expected notice of a mode that only grows.
pub fn view(world: &World, body: &mut Object) {
    let size = body
        .get("target")
        .and_then(|t| world.linked(t))
        .and_then(|(_, g)| g.body.get("targetSize").cloned());
    if let Some(size) = size {
        body.insert("recommendedSize".into(), size);
    }
    let mode = body
        .get("autoscalingPolicy")
        .and_then(|p| p.get("mode"))
        .and_then(Json::as_str);
    let kind = match mode {
        Some("ONLY_SCALE_OUT") => "MODE_ONLY_SCALE_OUT",
        Some("ONLY_UP") => "MODE_ONLY_UP",
        Some("OFF") => "MODE_OFF",
        _ => return,
    };
    body.insert(
        "statusDetails".into(),
        json!([{ "type": kind, "message": "The autoscaling mode limits what the autoscaler does." }]),
    );
}
