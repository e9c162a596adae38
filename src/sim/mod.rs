//! The simulated cloud.
//!
//! [`Sim`] is pure: a call and the moment it arrives go in, an answer and the moment it leaves come
//! out. Its surface is the catalogue's (every collection answers insert, get, list, patch, update and
//! delete); the behaviour that matters stands in `model`, one file a subject. What is neither
//! answers 501 and says so.

mod ask;
mod conform;
pub mod durable;
mod fault;
mod filter;
mod generic;
mod identity;
mod mint;
mod model;
mod operation;
mod page;
mod patch;
mod refs;
mod router;
pub mod scenario;
pub mod serve;
mod sim_wire;
mod stamp;
#[cfg(test)]
mod tests;
pub mod timing;
mod world;

use serde_json::{Value as Json, json};

pub use durable::{Cloud, Durable, SimError};
pub use scenario::Scenario;
pub use serve::{SERVER, serve};
pub use sim_wire::{SimWire, call_of};
pub use world::Mutation;

use crate::catalog::{Catalog, RequestId};
use crate::wire::{Answer, Verb};
use crate::world::{Millis, Timestamp};
use ask::Ask;
use fault::Fault;
use router::Router;
use world::{UsedId, World};

/// One call as it arrives.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Call {
    /// The service, when the caller knows it; paths alone are not always unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    pub verb: Verb,
    /// Below the root, without a leading slash, percent-encoded: `compute/v1/projects/…`.
    pub path: String,
    /// Decoded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub body: Vec<u8>,
}

/// The answer to a call, and when it leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub answer: Answer,
    /// The moment of the call plus the way there and back; for `wait`, when the operation is done.
    pub at: Timestamp,
}

/// The simulated cloud: all of its state.
#[derive(Clone)]
pub struct Sim {
    router: Router,
    world: World,
    furnished: std::collections::BTreeSet<String>,
}

/// What a handler gives: the body, and the moment at which it leaves when that is not "at once".
pub(crate) struct Outcome {
    body: Json,
    at: Option<Timestamp>,
    replay: bool,
}

impl From<Json> for Outcome {
    fn from(body: Json) -> Self {
        Outcome {
            body,
            at: None,
            replay: false,
        }
    }
}

/// Google's own limit: a wait answers after two minutes at the latest.
const LONGEST_WAIT: Millis = Millis::mins(2);

impl Sim {
    pub fn new(catalog: Catalog, scenario: Scenario, start: Timestamp) -> Sim {
        let projects = scenario.projects.clone();
        let mut sim = Sim {
            router: Router::new(catalog.clone()),
            world: World::new(catalog, scenario, start),
            furnished: std::collections::BTreeSet::new(),
        };
        for project in projects {
            sim.furnish(&project);
        }
        sim
    }

    /// Answers one call at `now`; everything that is due by then has happened before.
    pub fn handle(&mut self, call: &Call, now: Timestamp) -> Reply {
        self.world.advance(now);
        let now = self.world.now;
        let (service, found) = self.route(call);
        let reads = found
            .as_ref()
            .is_none_or(|m| m.method.reads || m.method.verb == Verb::Get);
        let method = found.as_ref().map(|m| m.method.id.to_string());
        let empty = found.as_ref().is_some_and(|m| m.method.response.is_none());
        let outcome = self.dispatch(call, found);
        if let (Some(method), false) = (&method, reads) {
            self.log(method, call, &outcome);
        }
        let latency = match reads {
            true => self.world.scenario.latency.read.0,
            false => self.world.scenario.latency.write.0,
        };
        let arrival = now.plus(latency);
        match outcome {
            Ok(done) => Reply {
                at: done.at.map_or(arrival, |at| at.max(arrival)),
                answer: match empty && done.body.as_object().is_some_and(|o| o.is_empty()) {
                    true => answer(204, None, arrival),
                    false => answer(200, Some(&done.body), done.at.unwrap_or(arrival)),
                },
            },
            Err(fault) => Reply {
                at: arrival,
                answer: answer(fault.status, Some(&fault.body(service.as_deref())), arrival),
            },
        }
    }

    /// Tells the simulator that a person approved: with `dns = "after approval"` every managed
    /// certificate's domain points at its load balancer from now on.
    pub fn approved(&mut self, now: Timestamp) {
        self.world.advance(now);
        self.world.approved.get_or_insert(self.world.now);
        model::certificates::review(&mut self.world);
    }

    /// Whether a call may change something: it is then logged, and a durable cloud records it.
    pub fn mutates(&mut self, call: &Call) -> bool {
        let (_, found) = self.route(call);
        found.is_some_and(|m| !m.method.reads && m.method.verb != Verb::Get)
    }

    /// Lets virtual time pass without a call.
    pub fn advance(&mut self, now: Timestamp) {
        self.world.advance(now);
    }

    pub fn now(&self) -> Timestamp {
        self.world.now
    }

    /// When the cloud next moves by itself.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.world.next_due()
    }

    /// Every mutating call so far, in order.
    pub fn mutations(&self) -> &[Mutation] {
        &self.world.mutations
    }

    pub fn scenario(&self) -> &Scenario {
        &self.world.scenario
    }

    /// All resources by key, as their `get` shows them: for tests, for `expect`, and for `/_r5flow/state`.
    pub fn resources(&self) -> serde_json::Map<String, Json> {
        self.world
            .resources
            .keys()
            .filter_map(|key| Some((key.clone(), Json::Object(generic::view(&self.world, key)?))))
            .collect()
    }

    /// One resource by service and path below the version (`compute`, `projects/p/global/images/i`).
    pub fn resource(&self, service: &str, path: &str) -> Option<Json> {
        generic::view(&self.world, &format!("{service}/{path}")).map(Json::Object)
    }

    /// Whether nothing is left that would happen by itself.
    pub fn is_quiet(&self) -> bool {
        self.world.next_due().is_none()
    }

    fn route(&mut self, call: &Call) -> (Option<String>, Option<router::Match>) {
        let (hint, path) = family(call);
        let found = self.router.find(hint.as_deref(), call.verb, &path);
        let service = found
            .as_ref()
            .map(|m| m.method.service.to_string())
            .or(hint);
        (service, found)
    }

    fn dispatch(&mut self, call: &Call, found: Option<router::Match>) -> Result<Outcome, Fault> {
        let Some(found) = found else {
            let line = format!(
                "{} {}: no API of the catalogue has it",
                call.verb.as_str(),
                call.path
            );
            return Err(Fault::not_simulated(&line));
        };
        let ask = Ask::new(&self.world, call, found)?;
        if !ask.project.is_empty() {
            let created = format!("cloudresourcemanager/projects/{}", ask.project);
            let known = self.world.scenario.knows_project(&ask.project);
            if !known && self.world.live(&created).is_none() {
                return Err(Fault::not_found(&format!("projects/{}", ask.project)));
            }
            let project = ask.project.clone();
            self.furnish(&project);
        }
        if let Some(replay) = self.replay(&ask, call)? {
            return Ok(replay);
        }
        let outcome = model::answer(&mut self.world, &ask)?;
        self.remember(&ask, call, &outcome);
        Ok(outcome)
    }

    /// The operation of an earlier call under the same request id.
    fn replay(&self, ask: &Ask, call: &Call) -> Result<Option<Outcome>, Fault> {
        let Some(id) = &ask.request_id else {
            return Ok(None);
        };
        let world = &self.world;
        let Some(used) = world.used_ids.get(&(ask.project.clone(), id.clone())) else {
            return Ok(None);
        };
        if world.now.since(used.at) > world.scenario.request_ids.kept.0 {
            return Ok(None);
        }
        if matches!(ask.method.request_id, Some(RequestId::Unique(_))) {
            return Err(Fault::exists(&format!("clientOperationId {id}")));
        }
        let refuses = world.scenario.request_ids.on_other_body == scenario::OnOtherBody::Refuse;
        if refuses && used.content != content(ask, call) {
            return Err(Fault::invalid(
                "requestId",
                id,
                "It was used for a request with other parameters.",
            ));
        }
        let Some(operation) = world.operations.get(&used.operation) else {
            return Ok(None);
        };
        Ok(Some(Outcome {
            body: operation::render(world, operation, world.now),
            at: None,
            replay: true,
        }))
    }

    fn remember(&mut self, ask: &Ask, call: &Call, outcome: &Outcome) {
        let Some(id) = &ask.request_id else {
            return;
        };
        let operation = outcome
            .body
            .get("name")
            .and_then(Json::as_str)
            .unwrap_or("");
        let key = self
            .world
            .operations
            .iter()
            .rev()
            .find(|(_, o)| o.name == operation)
            .map(|(key, _)| key.clone())
            .unwrap_or_default();
        let used = UsedId {
            at: self.world.now,
            operation: key,
            content: content(ask, call),
        };
        self.world
            .used_ids
            .insert((ask.project.clone(), id.clone()), used);
    }

    fn log(&mut self, method: &str, call: &Call, outcome: &Result<Outcome, Fault>) {
        let id = ["requestId", "clientOperationId"]
            .iter()
            .find_map(|name| call.query.iter().find(|(k, _)| k == name));
        let body = match call.body.is_empty() {
            true => String::new(),
            false => blake3::hash(&call.body).to_hex()[..16].to_string(),
        };
        let (effective, status) = match outcome {
            Ok(done) => (!done.replay, 200),
            Err(fault) => (false, fault.status),
        };
        self.world.mutations.push(Mutation {
            at: self.world.now.rfc3339(),
            method: method.to_string(),
            target: router::decode(&call.path),
            request_id: id.map(|(_, v)| v.clone()),
            body,
            effective,
            status,
        });
    }

    /// Puts the scenario's resources into a project that is seen for the first time.
    fn furnish(&mut self, project: &str) {
        if self.furnished.insert(project.to_string()) {
            model::furnish::furnish(&mut self.world, project);
        }
    }
}

/// The service and the path as the catalogue has it: Cloud SQL's second path family and Compute
/// Engine's beta mean the same methods.
fn family(call: &Call) -> (Option<String>, String) {
    if let Some(rest) = ["sql/v1beta4/", "sql/v1/"]
        .iter()
        .find_map(|p| call.path.strip_prefix(p))
    {
        return (Some("sqladmin".into()), format!("v1/{rest}"));
    }
    if let Some(rest) = call.path.strip_prefix("compute/beta/") {
        return (Some("compute".into()), format!("compute/v1/{rest}"));
    }
    (call.service.clone(), call.path.clone())
}

fn content(ask: &Ask, call: &Call) -> String {
    let query: Vec<String> = call
        .query
        .iter()
        .filter(|(k, _)| {
            ask.method
                .request_id
                .as_ref()
                .is_none_or(|r| **r.param() != **k)
        })
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    format!(
        "{} {} {} {}",
        ask.method.id,
        call.path,
        query.join("&"),
        json!(ask.body)
    )
}

fn answer(status: u16, body: Option<&Json>, at: Timestamp) -> Answer {
    let date = chrono::DateTime::<chrono::Utc>::from_timestamp_millis(at.0)
        .unwrap_or_default()
        .format("%a, %d %b %Y %H:%M:%S GMT");
    Answer {
        status,
        headers: vec![
            (
                "content-type".into(),
                "application/json; charset=UTF-8".into(),
            ),
            ("date".into(), date.to_string()),
        ],
        body: body.map(|b| b.to_string().into_bytes()).unwrap_or_default(),
    }
}
