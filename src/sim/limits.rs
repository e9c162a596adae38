//! Limits as Google sets them: operations in flight, and requests a minute; and operations of others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ask::Ask;
use super::model::rules::Rule;
use super::operation::Operation;
use super::refs;
use super::refusal::Refusal;
use super::scenario::Span;
use super::world::{Due, World};
use crate::catalog::{OperationStyle, traffic};
use crate::wire::Verb;
use crate::world::Timestamp;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["*"],
    says: "requests a minute by quota group, and operations in flight, as the scenario limits them",
    source: "Google, \"Rate quotas\"",
    test: "the_bound_on_operations_in_flight_is_learned",
}];

/// `[limits]` of a scenario. What is not said is not limited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How many operations of Compute Engine may be in flight in one region of a project.
    pub operations: Option<usize>,
    /// Requests a minute by quota group: `"compute writes"`, as `docs/scheduling.md` names them.
    pub requests: BTreeMap<String, u32>,
}

/// An operation of somebody else, from the beginning of the cloud on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    /// The instance of Cloud SQL that it works on: `projects/demo/instances/main`.
    pub target: String,
    /// `BACKUP_VOLUME`
    pub kind: String,
    pub user: String,
    pub lasts: Span,
}

/// How many requests each group has had in this minute.
#[derive(Clone, Debug, Default)]
pub struct Minute {
    number: i64,
    sent: BTreeMap<String, u32>,
}

/// The limits count by the minutes of the cloud's own clock.
const MINUTE: i64 = 60_000;

impl Minute {
    /// Counts a request.
    ///
    /// # Errors
    /// Its group has had all of this minute's.
    pub fn count(
        &mut self,
        limits: &Limits,
        request: (&str, Verb, &str),
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if limits.requests.is_empty() {
            return Ok(());
        }
        let (method, verb, path) = request;
        let Some(group) = traffic::quota_group(method, verb, path) else {
            return Ok(());
        };
        let name = group.split(" of ").next().unwrap_or(&group);
        let Some(most) = limits.requests.get(name) else {
            return Ok(());
        };
        let number = now.0.div_euclid(MINUTE);
        if number != self.number {
            self.number = number;
            self.sent.clear();
        }
        let sent = self.sent.entry(group.clone()).or_default();
        if *sent >= *most {
            return Err(too_many_requests(method, name, *most));
        }
        *sent += 1;
        Ok(())
    }
}

/// Compute Engine answers 403, the others 429 (section 4 of the reference on the wire).
fn too_many_requests(method: &str, group: &str, most: u32) -> Refusal {
    let service = method.split('.').next().unwrap_or_default();
    let metric = group.replace(' ', "_");
    let message = format!(
        "Quota exceeded for quota metric '{metric}' and limit '{metric} per minute' of service \
         '{service}.googleapis.com' for consumer 'project_number:1'. The limit is {most}."
    );
    match service {
        "compute" => Refusal::usage_limit("rateLimitExceeded", message),
        _ => Refusal::new(429, "rateLimitExceeded", message),
    }
}

/// Whether one more operation may begin.
///
/// # Errors
/// 403 `CONCURRENT_OPERATIONS_QUOTA_EXCEEDED` (cirrus-ci in podman#28212 shows a whole body).
pub fn room(world: &World, ask: &Ask, path: &str) -> Result<(), Refusal> {
    let Some(most) = world.scenario.limits.operations else {
        return Ok(());
    };
    if !matches!(ask.method.operation, OperationStyle::Compute(_)) {
        return Ok(());
    }
    let region = traffic::region(path);
    let flying = world
        .operations
        .values()
        .filter(|o| matches!(o.style, OperationStyle::Compute(_)))
        .filter(|o| o.project == ask.project && !o.is_done(world.now))
        .filter(|o| traffic::region(&o.key) == region)
        .count();
    if flying < most {
        return Ok(());
    }
    let details = json!([
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED",
            "domain": "compute.googleapis.com",
            "metadata": { "containerType": "PROJECT", "containerId": ask.project, "location": region },
        },
        {
            "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
            "locale": "en-US",
            "message": format!("Quota on concurrent operations exceeded for project {} in {region}.", ask.project),
        },
    ]);
    Err(Refusal::usage_limit("rateLimitExceeded", "Rate Limit Exceeded").with_details(details))
}

/// Begins the operations of others that the scenario tells of.
pub fn begin_foreign(world: &mut World) {
    for foreign in world.scenario.operations.clone() {
        let project = refs::project_of(&foreign.target)
            .unwrap_or_default()
            .to_owned();
        let name = world.mint.uuid();
        let key = format!("sqladmin/projects/{project}/operations/{name}");
        let ends = world.now.plus(foreign.lasts.0);
        let operation = Operation {
            key: key.clone(),
            name,
            id: world.mint.id(),
            style: OperationStyle::Sql,
            kind: foreign.kind,
            user: foreign.user,
            project,
            target: format!("sqladmin/{}", foreign.target),
            target_id: None,
            request_id: None,
            group: None,
            inserted: world.now,
            starts: world.now,
            ends,
            failure: None,
            then: Vec::new(),
        };
        world.operations.insert(key.clone(), operation);
        world.schedule(ends, Due::OperationEnds(key));
    }
}
