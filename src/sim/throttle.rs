//! How many calls a minute, and how many operations at a time.
//!
//! Sources: docs.cloud.google.com/compute/docs/api-rate-limits ("per minute, refilled at the next
//! synchronised minute", 403 rateLimitExceeded; lists, reads and reads of operations count apart);
//! terraform-provider-google for the refusal of concurrent operations.

use std::collections::BTreeMap;

use serde_json::json;

use super::fault::Fault;
use super::refs;
use super::world::World;
use crate::catalog::{Method, OperationStyle};
use crate::wire::Verb;

/// Calls of the current minute, by project and group.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    minute: i64,
    calls: BTreeMap<(String, &'static str), u32>,
}

/// The group that a method counts against.
fn group_of(method: &Method) -> &'static str {
    let operations = method.collection.ends_with("Operations");
    let reads = method.reads || method.verb == Verb::Get;
    match (operations, &*method.name) {
        (true, _) => "operation_reads",
        (false, "list" | "aggregatedList") => "lists",
        _ if reads => "reads",
        _ => "writes",
    }
}

/// Counts a call.
///
/// # Errors
/// 403 when the minute's calls are used up.
pub fn count(world: &mut World, method: &Method, project: &str) -> Result<(), Fault> {
    if &*method.service != "compute" {
        return Ok(());
    }
    let group = group_of(method);
    let limits = &world.scenario.rate_limits;
    let limit = match group {
        "operation_reads" => limits.operation_reads,
        "lists" => limits.lists,
        "reads" => limits.reads,
        _ => limits.writes,
    };
    let Some(limit) = limit else {
        return Ok(());
    };
    let minute = world.now.0.div_euclid(60_000);
    if world.throttle.minute != minute {
        world.throttle = Throttle {
            minute,
            calls: BTreeMap::new(),
        };
    }
    let key = (project.to_string(), group);
    let calls = world.throttle.calls.entry(key).or_insert(0);
    *calls += 1;
    match *calls > limit {
        true => Err(rate_limited(world, project, group)),
        false => Ok(()),
    }
}

/// 403 in the words of Compute Engine (hail#10613).
pub fn rate_limited(world: &World, project: &str, group: &str) -> Fault {
    let number = world.project_number(project);
    let message = format!(
        "Quota exceeded for quota metric '{group}' and limit '{group} per minute' of service 'compute.googleapis.com' for consumer 'project_number:{number}'."
    );
    let info = json!({
        "service": "compute.googleapis.com",
        "consumer": format!("projects/{number}"),
        "quota_metric": format!("compute.googleapis.com/{group}"),
    });
    Fault::usage_limit("rateLimitExceeded", message).with_info(
        "RATE_LIMIT_EXCEEDED",
        "googleapis.com",
        info,
    )
}

/// # Errors
/// 403 when as many operations run in the call's zone, region or global scope as may at a time.
pub fn room(world: &World, method: &Method, key: &str, project: &str) -> Result<(), Fault> {
    let Some(limit) = world.scenario.operations.concurrent else {
        return Ok(());
    };
    let starts = !matches!(method.operation, OperationStyle::None);
    if &*method.service != "compute" || !starts {
        return Ok(());
    }
    let container = container_of(key);
    let running = world
        .operations
        .values()
        .filter(|o| o.project == project && o.key.starts_with("compute/"))
        .filter(|o| !o.is_done(world.now) && container_of(&o.key) == container)
        .count();
    if running < limit {
        return Ok(());
    }
    let (kind, location) = &container;
    let info = json!({
        "containerId": world.project_number(project).to_string(),
        "containerType": kind,
        "location": location,
    });
    Err(
        Fault::usage_limit("rateLimitExceeded", "Rate Limit Exceeded").with_info(
            "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED",
            "compute.googleapis.com",
            info,
        ),
    )
}

fn container_of(key: &str) -> (&'static str, String) {
    match (refs::after(key, "zones"), refs::after(key, "regions")) {
        (Some(zone), _) => ("ZONE", zone.to_string()),
        (None, Some(region)) => ("REGION", region.to_string()),
        (None, None) => ("GLOBAL", "global".to_string()),
    }
}
