//! The state of the simulated cloud, and the clock that moves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::failure::Failure;
use super::mint::Mint;
use super::model;
use super::model::autoscalers::Scaler;
use super::model::groups::Group;
use super::operation::{Operation, Then};
use super::refs;
use super::scenario::Scenario;
use super::stream_manager::StreamManager;
use super::timing::{self, Happening};
use super::trouble::Troubles;
use crate::catalog::Catalog;
use crate::world::{Millis, Timestamp};

pub type Object = Map<String, Json>;

/// One resource as the API shows it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// `compute.images`
    pub collection: Arc<str>,
    pub body: Object,
    pub born: Timestamp,
    /// A deletion runs; nothing may be done to it any more.
    pub dying: bool,
}

impl Resource {
    pub fn text(&self, field: &str) -> &str {
        self.body.get(field).and_then(Json::as_str).unwrap_or("")
    }
}

/// Something that happens on the clock.
#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    OperationEnds(String),
    ImageReady(String),
    GroupMoves(String),
    CertificateIssued(String),
    DnsChangeDone(String),
    ScalerLooks(String),
}

/// What a request id was used for.
#[derive(Clone, Debug)]
pub struct UsedId {
    pub at: Timestamp,
    pub operation: String,
    /// Method, path, query and body: what a repetition would have to repeat.
    pub content: String,
}

/// One mutating call and whether it changed anything.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Mutation {
    /// RFC 3339.
    pub at: String,
    pub method: String,
    /// The path of the call, decoded.
    pub target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Hash of the body with its members as sent; empty without a body.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Accepted for the first time; false for replays and refusals.
    pub effective: bool,
    /// HTTP status of the answer.
    pub status: u16,
}

#[derive(Clone)]
pub struct World {
    pub start: Timestamp,
    pub now: Timestamp,
    pub catalog: Catalog,
    pub scenario: Scenario,
    pub mint: Mint,
    /// By key: the service, a slash, and the path below the version (`compute/projects/…`).
    pub resources: BTreeMap<String, Resource>,
    /// By key, as resources.
    pub operations: BTreeMap<String, Operation>,
    /// What the managed groups have, by the manager's key.
    pub groups: BTreeMap<String, Group>,
    /// The machines of instance groups without a manager, by the group's key.
    pub members: BTreeMap<String, Vec<String>>,
    /// Methods whose models a test switched off.
    pub blunt: std::collections::BTreeSet<String>,
    /// Ids of the projects seen so far, by their numbers.
    pub projects: BTreeMap<String, String>,
    pub used_ids: BTreeMap<(String, String), UsedId>,
    pub mutations: Vec<Mutation>,
    /// From when on approvals hold, with `dns = "after approval"`.
    pub approved: Option<Timestamp>,
    /// The scenario's resources are being put there: they are settled, not new.
    pub planting: bool,
    /// Which calls go wrong.
    pub troubles: Troubles,
    /// The failure of the next operation that begins: the call's trouble.
    pub doom: Option<Failure>,
    /// Resources that cannot be read or listed yet, and until when.
    pub hidden: BTreeMap<String, Timestamp>,
    /// From when on an API that was enabled again answers.
    pub apis_ready: BTreeMap<String, Timestamp>,
    /// What the autoscalers remember, by their keys.
    pub scalers: BTreeMap<String, Scaler>,
    /// Red5's, which is no Google API and answers all the same.
    pub stream_manager: StreamManager,
    /// What in the scenario could not be used.
    pub notes: Vec<String>,
    queue: BTreeMap<(Timestamp, u64), Due>,
    sequence: u64,
}

impl World {
    pub fn new(catalog: Catalog, scenario: Scenario, start: Timestamp) -> Self {
        World {
            start,
            now: start,
            catalog,
            mint: Mint::new(scenario.seed),
            troubles: Troubles::new(scenario.seed, &scenario.faults),
            doom: None,
            hidden: BTreeMap::new(),
            apis_ready: BTreeMap::new(),
            scalers: BTreeMap::new(),
            scenario,
            resources: BTreeMap::new(),
            operations: BTreeMap::new(),
            groups: BTreeMap::new(),
            members: BTreeMap::new(),
            blunt: crate::world::switched_off(),
            projects: BTreeMap::new(),
            used_ids: BTreeMap::new(),
            mutations: Vec::new(),
            approved: None,
            planting: false,
            stream_manager: StreamManager::default(),
            notes: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Lets everything happen that is due until `now`; a clock that runs backwards changes nothing.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(entry) = self.queue.first_entry() {
            let (at, _) = *entry.key();
            if at > now {
                break;
            }
            let due = entry.remove();
            self.now = self.now.max(at);
            self.happen(due);
        }
        self.now = self.now.max(now);
    }

    /// When the next thing happens by itself.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    pub fn schedule(&mut self, at: Timestamp, due: Due) {
        self.sequence += 1;
        self.queue.insert((at.max(self.now), self.sequence), due);
    }

    pub fn is_scheduled(&self, due: &Due) -> bool {
        self.queue.values().any(|d| d == due)
    }

    /// Whether the same is due at `at` or before.
    pub fn is_scheduled_before(&self, due: &Due, at: Timestamp) -> bool {
        self.queue.range(..=(at, u64::MAX)).any(|(_, d)| d == due)
    }

    pub fn takes(&self, what: Happening) -> Millis {
        timing::happening(&self.scenario, what)
    }

    fn happen(&mut self, due: Due) {
        // What the scenario puts there is the same whenever that is.
        if !self.planting {
            self.mint.begin(&format!("{due:?}"));
        }
        match due {
            Due::OperationEnds(key) => self.end_operation(&key),
            other => model::happen(self, other),
        }
    }

    fn end_operation(&mut self, key: &str) {
        let Some(operation) = self.operations.get_mut(key) else {
            return;
        };
        let steps = std::mem::take(&mut operation.then);
        let failed = operation.failure.is_some();
        let target = operation.target.clone();
        for then in steps {
            match then {
                Then::Remove(target) => {
                    if let Some(old) = self.resources.remove(&target) {
                        model::removed(self, &target, &old);
                    }
                }
                Then::Merge(target, fields) => {
                    if let Some(resource) = self.resources.get_mut(&target) {
                        resource.body.extend(fields);
                    }
                }
                Then::Happen(due) => self.happen(due),
            }
        }
        if !failed {
            model::settled(self, &target);
        }
    }

    /// Lets go of the oldest entries of the log, and of operations and request ids that nobody may ask
    /// for any more: by the quarter, so that it costs nothing.
    pub fn forget(&mut self) {
        let kept = self.scenario.log_kept.max(1);
        if self.mutations.len() <= kept + kept / 4 {
            return;
        }
        let old = self.mutations.len() - kept;
        self.mutations.drain(..old);
        let (now, ids) = (self.now, self.scenario.request_ids.kept.0);
        let operations = self.scenario.operations_kept.0.max(ids);
        self.operations
            .retain(|_, o| now.since(o.ends) <= operations);
        self.used_ids.retain(|_, used| now.since(used.at) <= ids);
        self.hidden.retain(|_, until| now < *until);
        self.apis_ready.retain(|_, at| now < *at);
    }

    /// Whether a resource was inserted so lately that reads do not see it.
    pub fn is_hidden(&self, key: &str) -> bool {
        self.hidden.get(key).is_some_and(|until| self.now < *until)
    }

    pub fn live(&self, key: &str) -> Option<&Resource> {
        self.resources.get(key)
    }

    /// A Compute Engine resource by its path from `projects/` on.
    pub fn compute(&self, path: &str) -> Option<&Resource> {
        self.resources.get(&format!("compute/{path}"))
    }

    /// The resource that a link or path of a body means.
    pub fn linked(&self, reference: &Json) -> Option<(String, &Resource)> {
        let text = reference.as_str()?;
        let path = text.strip_prefix(refs::LINK_ROOT).unwrap_or(text);
        let key = format!("compute/{path}");
        self.resources.get(&key).map(|r| (key, r))
    }

    /// Resources of one collection below a prefix of their keys.
    pub fn of<'a>(
        &'a self,
        collection: &'a str,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a Resource)> {
        self.resources
            .range(prefix.to_string()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .filter(move |(_, r)| &*r.collection == collection)
    }

    /// Puts a resource there and lets its model do what follows from it.
    pub fn put(&mut self, key: &str, collection: &str, body: Object) {
        let resource = Resource {
            collection: collection.into(),
            body,
            born: self.now,
            dying: false,
        };
        self.resources.insert(key.to_string(), resource);
    }

    /// Changes a resource's body in place, with a new fingerprint where it has one.
    pub fn change(&mut self, key: &str, edit: impl FnOnce(&mut Object)) {
        let fingerprint = self.mint.fingerprint();
        if let Some(resource) = self.resources.get_mut(key) {
            edit(&mut resource.body);
            if resource.body.contains_key("fingerprint") {
                resource
                    .body
                    .insert("fingerprint".into(), fingerprint.into());
            }
        }
    }

    pub fn project_number(&self, project: &str) -> u64 {
        let hash = blake3::hash(format!("{}/{project}", self.scenario.seed).as_bytes());
        let mut number = 0u64;
        for byte in &hash.as_bytes()[..5] {
            number = number * 256 + u64::from(*byte);
        }
        100_000_000_000 + number % 899_999_999_999
    }

    pub fn stamp(&self) -> String {
        pacific(self.now)
    }
}

/// RFC 3339 in Google's own time zone with milliseconds, as Compute Engine writes it. Always the
/// winter offset: the moment is right, the hour of the day is not asked for.
pub fn pacific(at: Timestamp) -> String {
    let shifted = Timestamp(at.0 - 8 * 3_600_000).rfc3339();
    format!("{}-08:00", shifted.trim_end_matches('Z'))
}
