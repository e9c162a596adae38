//! Everything outside of a run: the simulated cloud, and servers that are no Google API.

use std::sync::Arc;

use super::compare::{Names, plain};
use super::site::Site;
use crate::catalog::Catalog;
use crate::sim::{Fate, Sim, call_of, target_of};
use crate::wire::{Answer, NoAnswer, Request, Verb};
use crate::world::Timestamp;

/// A request that may have changed something.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    pub method: Arc<str>,
    /// What it addresses, without its request id and the numbers of resources.
    pub target: String,
    /// The path below the version, for an insert with the new name behind it; of what is no API, the URL.
    pub path: String,
    /// Its body without what no two runs share: ids, times, addresses.
    pub body: String,
    /// Its body as it was sent.
    pub sent: Option<serde_json::Value>,
    /// Whether a process of the run sent it; otherwise somebody else did.
    pub ours: bool,
    /// Accepted for the first time: neither refused nor a repetition.
    pub effective: bool,
    pub status: u16,
    pub at: Timestamp,
}

/// What became of a request, and when its answer is back.
pub struct Returned {
    pub answer: Result<Answer, NoAnswer>,
    pub at: Timestamp,
}

/// The outside, as it is at one moment.
#[derive(Clone)]
pub struct Stage {
    pub cloud: Sim,
    site: Site,
    deeds: Vec<Arc<Deed>>,
}

/// Whether a request may change something.
pub fn changes(catalog: &Catalog, request: &Request) -> bool {
    request.verb != Verb::Get
        && request.verb != Verb::Head
        && catalog.method(&request.method).is_none_or(|m| !m.reads)
}

impl Stage {
    pub fn new(cloud: Sim) -> Self {
        Stage {
            cloud,
            site: Site::default(),
            deeds: Vec::new(),
        }
    }

    /// What arrived and could have changed something, in order.
    pub fn deeds(&self) -> &[Arc<Deed>] {
        &self.deeds
    }

    /// Answers a request that arrives at `now`.
    pub fn answer(
        &mut self,
        catalog: &Catalog,
        request: &Request,
        now: Timestamp,
        ours: bool,
    ) -> Returned {
        let before = self.cloud.mutations().len();
        let (answer, fate, at, effective) = match request.service() {
            Some(_) => {
                let reply = self.cloud.handle(&call_of(request), now);
                let new = self.cloud.mutations().get(before..).unwrap_or(&[]);
                let effective = new.iter().any(|m| m.effective);
                (reply.answer, reply.fate, reply.at, effective)
            }
            None => {
                let (answer, changed) = self.site.answer(request, now);
                let latency = self.cloud.scenario().latency.write.0;
                (answer, Fate::Arrives, now.plus(latency), changed)
            }
        };
        if changes(catalog, request) {
            self.deeds.push(Arc::new(Deed {
                method: Arc::clone(&request.method),
                target: target(request),
                path: path(request),
                body: request
                    .body
                    .clone()
                    .map(|body| plain(body, &Names::default()).to_string())
                    .unwrap_or_default(),
                sent: request.body.clone(),
                ours,
                effective,
                status: answer.status,
                at: now,
            }));
        }
        let answer = match fate {
            Fate::Arrives => Ok(answer),
            Fate::Lost => Err(NoAnswer::Unknown("the connection was reset".into())),
        };
        Returned { answer, at }
    }

    /// What web servers keep, by URL.
    pub fn sites(&self) -> impl Iterator<Item = (String, serde_json::Value)> {
        self.site.kept()
    }
}

fn path(request: &Request) -> String {
    match request.service() {
        Some(_) => target_of(&call_of(request)),
        None => request.path.clone(),
    }
}

fn target(request: &Request) -> String {
    let query: Vec<String> = request
        .query
        .iter()
        .filter(|(name, _)| name != "requestId" && name != "clientOperationId")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let path = without_number(&request.path);
    match query.is_empty() {
        true => path,
        false => format!("{path}?{}", query.join("&")),
    }
}

/// How a path ends that addresses a resource by its number.
pub(super) const NUMBER: &str = "/(number)";

/// A path without the number of its resource, which Google draws.
fn without_number(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((around, last)) if last.len() >= 10 && last.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{around}{NUMBER}")
        }
        _ => path.to_owned(),
    }
}
