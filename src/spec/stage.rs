//! Everything outside of a run: the simulated cloud, and servers that are no Google API.

use std::sync::Arc;

use super::compare::{Names, plain};
use super::site::Site;
use crate::catalog::Catalog;
use crate::sim::{Sim, call_of};
use crate::wire::{Answer, Request, Verb};
use crate::world::Timestamp;

/// A request that may have changed something.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    pub method: Arc<str>,
    /// What it addresses, without its request id.
    pub target: String,
    /// Its body without what no two runs share: ids, times, addresses.
    pub body: String,
    /// Whether a process of the run sent it; otherwise somebody else did.
    pub ours: bool,
    /// Accepted for the first time: neither refused nor a repetition.
    pub effective: bool,
    pub status: u16,
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

    /// Answers a request that arrives at `now`; gives the moment at which the answer is back, too.
    pub fn answer(
        &mut self,
        catalog: &Catalog,
        request: &Request,
        now: Timestamp,
        ours: bool,
    ) -> (Answer, Timestamp) {
        let before = self.cloud.mutations().len();
        let (answer, at, effective) = match request.service() {
            Some(_) => {
                let reply = self.cloud.handle(&call_of(request), now);
                let new = self.cloud.mutations().get(before..).unwrap_or(&[]);
                (reply.answer, reply.at, new.iter().any(|m| m.effective))
            }
            None => {
                let (answer, changed) = self.site.answer(request, now);
                let latency = self.cloud.scenario().latency.write.0;
                (answer, now.plus(latency), changed)
            }
        };
        if changes(catalog, request) {
            self.deeds.push(Arc::new(Deed {
                method: Arc::clone(&request.method),
                target: target(request),
                body: request
                    .body
                    .clone()
                    .map(|body| plain(body, &Names::default()).to_string())
                    .unwrap_or_default(),
                ours,
                effective,
                status: answer.status,
                at: now,
            }));
        }
        (answer, at)
    }

    /// What web servers keep, by URL.
    pub fn sites(&self) -> impl Iterator<Item = (String, serde_json::Value)> {
        self.site.kept()
    }
}

fn target(request: &Request) -> String {
    let query: Vec<String> = request
        .query
        .iter()
        .filter(|(name, _)| name != "requestId" && name != "clientOperationId")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    match query.is_empty() {
        true => request.path.clone(),
        false => format!("{}?{}", request.path, query.join("&")),
    }
}
