//! The simulated cloud.
//!
//! [`Sim`] is pure: a call and the moment it arrives go in, an answer and the moment it leaves come
//! out. Its surface is the catalogue's (every collection answers insert, get, list, patch, update and
//! delete); the behaviour that matters stands in `model`, one file a subject. What is neither
//! answers 501 and says so.

mod ask;
mod batch;
mod coding;
mod conform;
pub mod durable;
pub mod explain;
mod failure;
mod refusal;
mod filter;
mod generic;
mod identity;
pub mod limits;
mod mint;
mod model;
mod operation;
mod page;
mod partial;
mod patch;
mod refs;
mod router;
pub mod scenario;
pub mod serve;
mod sim_wire;
mod stamp;
pub mod stream_manager;
#[cfg(test)]
mod tests;
pub mod timing;
mod trouble;
mod world;

use std::sync::Arc;

use serde_json::{Value as Json, json};

pub use ask::below_version;
pub use durable::{Cloud, Durable, SimError};
pub use scenario::Scenario;
pub use serve::{SERVER, Speed, serve};
pub use sim_wire::{SimWire, call_of};
pub use world::Mutation;

use crate::catalog::{Catalog, Method, RequestId};
use crate::wire::{Answer, Verb};
use crate::world::{Millis, Timestamp};
use ask::Ask;
use refusal::Refusal;
use router::Router;
use scenario::FaultKind;
use trouble::Trouble;
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
    pub fate: Fate,
}

/// What becomes of an answer on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Arrives,
    /// The connection breaks: the caller cannot tell whether the call took effect.
    Lost,
}

/// The simulated cloud: all of its state.
#[derive(Clone)]
pub struct Sim {
    router: Router,
    world: World,
    furnished: std::collections::BTreeSet<String>,
    minute: limits::Minute,
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
            minute: limits::Minute::default(),
        };
        for project in projects {
            sim.furnish(&project);
        }
        limits::begin_foreign(&mut sim.world);
        sim
    }

    /// Answers one call at `now`; everything that is due by then has happened before.
    pub fn handle(&mut self, call: &Call, now: Timestamp) -> Reply {
        self.world.advance(now);
        if stream_manager::answers_at(&call.path) {
            return self.at_stream_manager(call);
        }
        let (service, found) = self.route(call);
        let method = found.as_ref().map(|m| Arc::clone(&m.method));
        let reads = method
            .as_ref()
            .is_none_or(|m| m.reads || m.verb == Verb::Get);
        if let (Some(method), false) = (&method, reads) {
            self.world.mint.begin(&drawer(method, call));
        }
        let id = method.as_ref().map(|m| m.id.to_string());
        let trouble = self.trouble(call, id.as_deref(), reads);
        let latency = self.world.scenario.latency_of(id.as_deref(), reads);
        let slow = trouble.as_ref().filter(|t| t.kind == FaultKind::Slow);
        let arrival = self
            .world
            .now
            .plus(latency)
            .plus(slow.map_or(Millis(0), |t| t.delay));
        let empty = method.is_some_and(|m| m.response.is_none());
        let project = ask::below_version(&router::decode(&call.path));
        let number = (self.world).project_number(refs::project_of(&project).unwrap_or_default());
        let outcome = match trouble.as_ref().and_then(|t| t.refusal(number)) {
            Some(refusal) => Err(refusal),
            None => self.dispatch(call, found),
        };
        self.world.doom = None;
        let kind = trouble.as_ref().map(|t| t.kind);
        if let (Some(method), false) = (&id, reads || kind == Some(FaultKind::ConnectionReset)) {
            self.log(method, call, &outcome);
        }
        if let (Some(trouble), Ok(_)) = (&trouble, &outcome)
            && trouble.kind == FaultKind::NotVisibleYet
        {
            let until = self.world.now.plus(trouble.delay);
            let key = format!("{}/{}", service.as_deref().unwrap_or(""), target_of(call));
            self.world.hidden.insert(key, until);
        }
        let fate = match kind {
            Some(FaultKind::AnswerLost | FaultKind::ConnectionReset) => Fate::Lost,
            _ => Fate::Arrives,
        };
        let answered = outcome.and_then(|done| {
            let at = done.at.map_or(arrival, |at| at.max(arrival));
            match empty && done.body.as_object().is_some_and(|o| o.is_empty()) {
                true => Ok((at, answer(204, String::new(), arrival))),
                false => Ok((at, answer(200, wanted(call, done.body)?, at))),
            }
        });
        let (at, answer) = answered.unwrap_or_else(|refusal| {
            let body = refusal.body(service.as_deref()).to_string();
            (arrival, answer(refusal.status, body, arrival))
        });
        Reply { at, answer, fate }
    }

    fn at_stream_manager(&mut self, call: &Call) -> Reply {
        let body = serde_json::from_slice(&call.body).unwrap_or_default();
        let asked = stream_manager::Asked {
            verb: call.verb,
            url: &call.path,
            query: &call.query,
            body: &body,
        };
        let now = self.world.now;
        let (answer, _) = self.world.stream_manager.answer(asked, now);
        let at = now.plus(self.world.scenario.latency.write.0);
        Reply {
            at,
            answer,
            fate: Fate::Arrives,
        }
    }

    /// What goes wrong with this call, as the scenario and the injected rules have it.
    fn trouble(&mut self, call: &Call, method: Option<&str>, reads: bool) -> Option<Trouble> {
        let method = method.filter(|m| self.world.troubles.watches(m))?;
        let target = target_of(call);
        let trouble = self.world.troubles.strike(method, reads, &target)?;
        if trouble.kind == FaultKind::OperationFails {
            self.world.doom = Some(trouble.failure());
        }
        Some(trouble)
    }

    /// Lets calls go wrong from now on as a rule says.
    ///
    /// # Errors
    /// What the rule lacks.
    pub fn inject(&mut self, rule: scenario::FaultRule) -> Result<(), String> {
        rule.check()?;
        self.world.troubles.inject(rule);
        Ok(())
    }

    /// Tells whose calls come next: those of a step, which a rule may mean.
    pub fn asks(&mut self, step: Option<&Arc<str>>) {
        self.world.troubles.asks = step.cloned();
    }

    /// Tells the simulator that a person approved: with `dns = "after approval"` every managed
    /// certificate's domain points at its load balancer from now on.
    pub fn approved(&mut self, now: Timestamp) {
        self.world.advance(now);
        self.world.mint.begin("approved");
        self.world.approved.get_or_insert(self.world.now);
        model::certificates::review(&mut self.world);
    }

    /// Whether a call may change something, which a rule that counts it is: a durable cloud records
    /// it.
    pub fn mutates(&mut self, call: &Call) -> bool {
        if stream_manager::answers_at(&call.path) {
            return call.verb != Verb::Get;
        }
        let (_, found) = self.route(call);
        let watched = |id: &str| self.world.troubles.watches(id);
        found
            .is_some_and(|m| !m.method.reads && m.method.verb != Verb::Get || watched(&m.method.id))
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

    /// All resources that are there: the collection of each, its key, and how its `get` shows it.
    pub fn holdings(&self) -> impl Iterator<Item = (&str, &str, Json)> {
        self.world.resources.iter().filter_map(|(key, resource)| {
            let body = generic::view(&self.world, key)?;
            Some((&*resource.collection, &**key, Json::Object(body)))
        })
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
        let (hint, path) = family(&self.world.catalog, call);
        let verb = match model::projects::newer_path(&call.path) {
            // Version 1 of Resource Manager replaces where version 3 patches.
            Some(_) if call.verb == Verb::Put => Verb::Patch,
            _ => call.verb,
        };
        let found = self.router.find(hint.as_deref(), verb, &path);
        let service = found
            .as_ref()
            .map(|m| m.method.service.to_string())
            .or(hint);
        (service, found)
    }

    fn dispatch(&mut self, call: &Call, found: Option<router::Match>) -> Result<Outcome, Refusal> {
        let Some(found) = found else {
            return Err(self.nothing_at(call));
        };
        let request = (&*found.method.id, call.verb, &*call.path);
        self.minute
            .count(&self.world.scenario.limits, request, self.world.now)?;
        let newer = model::projects::newer_call(call);
        let call = newer.as_ref().unwrap_or(call);
        let ask = Ask::new(&self.world, call, found)?;
        if !ask.project.is_empty() {
            let created = format!("cloudresourcemanager/projects/{}", ask.project);
            let known = self.world.scenario.knows_project(&ask.project)
                || model::images::is_public(&ask.project);
            if !known && self.world.live(&created).is_none() {
                return Err(Refusal::not_found(&format!("projects/{}", ask.project)));
            }
            let project = ask.project.clone();
            self.furnish(&project);
        }
        model::images::keeps_out(&ask)?;
        if !matches!(ask.family(), "compute.zones" | "compute.regions") {
            model::places::known_scope(&self.world, &ask.key())?;
        }
        model::services::usable(&self.world, &ask.project, &ask.method.service)?;
        if let Some(replay) = self.replay(&ask, call)? {
            return Ok(replay);
        }
        limits::room(&self.world, &ask, &call.path)?;
        let outcome = model::dispatch::answer(&mut self.world, &ask)?;
        self.remember(&ask, call, &outcome);
        Ok(outcome)
    }

    /// Why no method answers at a path: another verb does, the API is not simulated, or it is no API's.
    fn nothing_at(&mut self, call: &Call) -> Refusal {
        let (hint, path) = family(&self.world.catalog, call);
        let verbs = [Verb::Get, Verb::Post, Verb::Put, Verb::Patch, Verb::Delete];
        let verb = call.verb.as_str();
        let other = verbs
            .into_iter()
            .find(|v| self.router.find(hint.as_deref(), *v, &path).is_some());
        // A name behind a colon is a method, not a part of the resource's name.
        let named = refs::last(&call.path).contains(':');
        if let Some(other) = other.filter(|_| !named) {
            return Refusal::not_allowed(verb, other.as_str(), &call.path);
        }
        match ask::below_version(&call.path) == call.path {
            true => Refusal::no_such_url(&call.path),
            false => Refusal::not_simulated(&format!(
                "{verb} {}: no API of the catalogue has it",
                call.path
            )),
        }
    }

    /// The operation of an earlier call under the same request id.
    fn replay(&self, ask: &Ask, call: &Call) -> Result<Option<Outcome>, Refusal> {
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
            return Err(Refusal::exists(&format!("clientOperationId {id}")));
        }
        let refuses = world.scenario.request_ids.on_other_body == scenario::OnOtherBody::Refuse;
        if refuses && used.content != content(ask, call) {
            return Err(Refusal::invalid(
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
        let text = |field: &str| outcome.body.get(field).and_then(Json::as_str);
        let link = text("selfLink").and_then(|l| refs::path_of(l, &ask.project));
        let named = link.or_else(|| text("name").map(str::to_string));
        let key = named
            .map(|path| format!("{}/{path}", ask.service()))
            .filter(|key| self.world.operations.contains_key(key))
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

    fn log(&mut self, method: &str, call: &Call, outcome: &Result<Outcome, Refusal>) {
        let id = ["requestId", "clientOperationId"]
            .iter()
            .find_map(|name| call.query.iter().find(|(k, _)| k == name));
        let body = match call.body.is_empty() {
            true => String::new(),
            false => blake3::hash(&call.body).to_hex()[..16].to_string(),
        };
        let (effective, status) = match outcome {
            Ok(done) => (!done.replay, 200),
            Err(refusal) => (false, refusal.status),
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
        self.world.forget();
    }

    /// Puts the scenario's resources into a project that is seen for the first time.
    fn furnish(&mut self, project: &str) {
        if self.furnished.insert(project.to_string()) {
            model::furnish::furnish(&mut self.world, project);
            self.load(project);
        }
    }

    /// Puts what was listed from a real project there as it is.
    fn load(&mut self, project: &str) {
        let now = std::mem::replace(&mut self.world.now, self.world.start);
        self.world.planting = true;
        for body in self.world.scenario.loaded.clone() {
            let Some((service, path, full)) = model::adopt::place_of(&body) else {
                continue;
            };
            if refs::project_of(&path) != Some(project) {
                continue;
            }
            match self.router.find(Some(&service), Verb::Get, &full) {
                Some(found) => {
                    let collection = found.method.collection.to_string();
                    let key = format!("{service}/{path}");
                    model::adopt::put(&mut self.world, &key, &collection, body);
                }
                None => self.world.notes.push(format!(
                    "load: no API of the catalogue has {service} {path}"
                )),
            }
        }
        model::adopt::gather(&mut self.world, project);
        self.world.planting = false;
        self.world.now = now;
    }
}

/// The service and the path as the catalogue has it: Cloud SQL's second path family and Compute
/// Engine's beta mean the same methods. A host that names no service says nothing.
fn family(catalog: &Catalog, call: &Call) -> (Option<String>, String) {
    let path = call.path.as_str();
    if let Some(rest) = ["sql/v1beta4/", "sql/v1/", "v1beta4/"]
        .iter()
        .find_map(|p| path.strip_prefix(p))
    {
        return (Some("sqladmin".into()), format!("v1/{rest}"));
    }
    if let Some(rest) = ["compute/beta/", "compute/alpha/"]
        .iter()
        .find_map(|p| path.strip_prefix(p))
    {
        return (Some("compute".into()), format!("compute/v1/{rest}"));
    }
    if let Some(newer) = model::projects::newer_path(path) {
        return (Some("cloudresourcemanager".into()), newer);
    }
    let named = call
        .service
        .clone()
        .filter(|s| catalog.services().any(|known| *known.name == **s));
    (named, call.path.clone())
}

/// An answer's links carry the version of the request (recorded: `compute/beta/…` for beta).
fn in_version_of(call: &Call, body: String) -> String {
    match ["compute/beta/", "compute/alpha/"]
        .iter()
        .find(|p| call.path.starts_with(**p))
    {
        Some(version) => body.replace(
            refs::LINK_ROOT,
            &format!("https://www.googleapis.com/{version}"),
        ),
        None => body,
    }
}

/// The path below the version that a call addresses; for an insert with the new name behind it.
pub fn target_of(call: &Call) -> String {
    let path = ask::below_version(&router::decode(&call.path));
    let body: Json = match call.verb {
        Verb::Post => serde_json::from_slice(&call.body).unwrap_or_default(),
        _ => Json::Null,
    };
    match body.get("name").and_then(Json::as_str) {
        Some(name) => format!("{path}/{}", refs::last(name)),
        None => path,
    }
}

/// What of a call its draws follow from: what it asks and of what, but not by whom. A body may carry
/// the mark of a run.
fn drawer(method: &Method, call: &Call) -> String {
    format!("{} {} {}", method.id, target_of(call), query(method, call))
}

fn content(ask: &Ask, call: &Call) -> String {
    format!(
        "{} {} {} {}",
        ask.method.id,
        call.path,
        query(&ask.method, call),
        json!(ask.body)
    )
}

/// The query of a call, without its request id.
fn query(method: &Method, call: &Call) -> String {
    let id = method.request_id.as_ref().map(|r| &**r.param());
    let others = call.query.iter().filter(|(k, _)| Some(&**k) != id);
    let pairs: Vec<String> = others.map(|(k, v)| format!("{k}={v}")).collect();
    pairs.join("&")
}

/// The body as the call wants it: the fields that it selects, links in its version.
fn wanted(call: &Call, body: Json) -> Result<String, Refusal> {
    let body = match model::projects::newer_path(&call.path).is_some() {
        true if call.verb == Verb::Put => model::projects::as_v1(body["response"].clone()),
        true => model::projects::as_v1(body),
        false => body,
    };
    let selector = call
        .query
        .iter()
        .find(|(k, v)| (k == "fields" || k == "$fields") && !v.is_empty());
    let body = match selector {
        Some((_, text)) => partial::Selector::parse(text)
            .ok_or_else(|| {
                Refusal::new(
                    400,
                    "invalidParameter",
                    format!("Invalid field selection {text}"),
                )
            })?
            .of(body),
        None => body,
    };
    Ok(in_version_of(call, body.to_string()))
}

fn answer(status: u16, body: String, at: Timestamp) -> Answer {
    let date = chrono::DateTime::<chrono::Utc>::from_timestamp_millis(at.0)
        .unwrap_or_default()
        .format("%a, %d %b %Y %H:%M:%S GMT");
    let mut headers = vec![("date".to_string(), date.to_string())];
    if !body.is_empty() {
        let kind = "application/json; charset=UTF-8";
        headers.insert(0, ("content-type".into(), kind.into()));
    }
    Answer {
        status,
        headers,
        body: body.into_bytes(),
    }
}
