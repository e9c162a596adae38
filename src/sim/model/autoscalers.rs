//! Autoscalers: their checks, and how they show themselves. What they decide is in `scaling`.
//!
//! Source: API description of `Autoscaler`, `AutoscalingPolicy` and `AutoscalerStatusDetails`.

use serde_json::{Value as Json, json};

use super::super::refs;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::rules::Rule;
use super::scaling::{Mode, Policy};
pub use super::scaling::{Scaler, apply, inserted, look};
use super::{group_state, path_of, schedules};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.autoscalers", "compute.regionAutoscalers"],
    says: "modes ON, ONLY_SCALE_OUT and OFF; `status`, `recommendedSize` and `statusDetails` tell what it thinks",
    source: "API description of `Autoscaler` and `AutoscalerStatusDetails`",
    test: "off_recommends_and_does_nothing",
}];

/// # Errors
/// A target that is missing or already scaled, or a policy that contradicts itself.
pub fn prepare(world: &mut World, key: &str, body: &mut Object) -> Result<(), Refusal> {
    let target = body
        .get("target")
        .cloned()
        .ok_or_else(|| Refusal::required("resource.target"))?;
    let text = target.as_str().unwrap_or("").to_string();
    let path = text
        .strip_prefix(refs::LINK_ROOT)
        .unwrap_or(&text)
        .to_string();
    if world.linked(&target).is_none() {
        return Err(Refusal::not_found(&path));
    }
    if of_group(world, &path).is_some_and(|other| other != path_of(key)) {
        return Err(Refusal::invalid(
            "resource.target",
            &text,
            "The target is already being autoscaled by another autoscaler.",
        ));
    }
    if world
        .linked(&target)
        .is_some_and(|(_, g)| group_state::is_stateful(&g.body))
    {
        let why = "A managed instance group with a stateful configuration cannot be autoscaled.";
        return Err(Refusal::invalid("resource.target", &text, why));
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
/// A maximum that is missing or below the minimum, a utilisation outside (0, 1], a schedule that is none.
pub fn check(body: &mut Object) -> Result<(), Refusal> {
    const AT: &str = "resource.autoscalingPolicy";
    let policy = body.get("autoscalingPolicy").cloned().unwrap_or_default();
    let number = |name: &str| policy.get(name).and_then(Json::as_i64);
    let max = number("maxNumReplicas")
        .ok_or_else(|| Refusal::required(&format!("{AT}.maxNumReplicas")))?;
    let min = number("minNumReplicas").unwrap_or(2);
    if max < min {
        return Err(Refusal::invalid(
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
        return Err(Refusal::invalid(
            &format!("{AT}.cpuUtilization.utilizationTarget"),
            &target.to_string(),
            "Must be greater than 0 and at most 1.",
        ));
    }
    schedules::check(body)
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

/// `recommendedSize`, the status, and what the status is explained by.
pub fn view(world: &World, key: &str, body: &mut Object) {
    let policy = Policy::of(body);
    let Some(scaler) = world.scalers.get(key) else {
        return;
    };
    body.insert("recommendedSize".into(), json!(scaler.recommended));
    if let Some(status) = schedules::status(body, world.now) {
        body.insert("scalingScheduleStatus".into(), status);
    }
    let mut details = schedules::details(body, policy.min, policy.max);
    let group = body.get("target").and_then(|t| world.linked(t));
    match policy.mode {
        Mode::OnlyOut if policy.legacy => details.push((
            "MODE_ONLY_UP",
            "Autoscaling is only allowed to increase the number of instances.",
        )),
        Mode::OnlyOut => details.push((
            "MODE_ONLY_SCALE_OUT",
            "Autoscaling is only allowed to increase the number of instances.",
        )),
        Mode::Off => details.push(("MODE_OFF", "Autoscaling is turned off.")),
        Mode::On => {}
    }
    if policy.min == policy.max {
        details.push((
            "MIN_EQUALS_MAX",
            "The minimum number of replicas equals the maximum: the group keeps its size.",
        ));
    }
    if scaler.capped {
        details.push((
            "CAPPED_AT_MAX_NUM_REPLICAS",
            "The recommended size is larger than the maximum number of replicas.",
        ));
    }
    let codes: Vec<&str> = group
        .as_ref()
        .and_then(|(key, _)| world.groups.get(key))
        .into_iter()
        .flat_map(|g| g.refusals())
        .collect();
    if codes.contains(&"QUOTA_EXCEEDED") {
        details.push((
            "NOT_ENOUGH_QUOTA_AVAILABLE",
            "There is not enough quota available to create the recommended instances.",
        ));
    }
    if codes.contains(&"ZONE_RESOURCE_POOL_EXHAUSTED") {
        details.push((
            "ZONE_RESOURCE_STOCKOUT",
            "A zone does not have enough resources to create the recommended instances.",
        ));
    }
    if group.is_none() {
        details.push((
            "SCALING_TARGET_DOES_NOT_EXIST",
            "The scaling target does not exist.",
        ));
        body.insert("status".into(), json!("ERROR"));
    }
    let details: Vec<Json> = details
        .into_iter()
        .map(|(kind, message)| json!({ "type": kind, "message": message }))
        .collect();
    if !details.is_empty() {
        body.insert("statusDetails".into(), json!(details));
    }
}
