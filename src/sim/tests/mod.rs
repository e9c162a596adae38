//! The simulated cloud, asked as a client would.

mod autoscale;
mod bulk;
mod collections;
mod durable;
mod explain;
mod groups;
mod network;
mod port;
mod rules;
mod scaling;
mod standby;
mod state;
mod storage;
mod troubles;
mod wire;

use serde_json::{Value as Json, json};

use super::{Call, Reply, Scenario, Sim};
use crate::catalog::Catalog;
use crate::wire::Verb;
use crate::world::{Millis, Timestamp};

pub const START: Timestamp = Timestamp(1_795_000_000_000);

/// A client of its own clock.
pub struct Client {
    pub sim: Sim,
    pub now: Timestamp,
}

impl Client {
    pub fn new() -> Self {
        Self::of(Scenario::default())
    }

    pub fn of(scenario: Scenario) -> Self {
        Client {
            sim: Sim::new(Catalog::embedded(), scenario, START),
            now: START,
        }
    }

    /// Sends `compute/v1/projects/demo/…?a=b`; gives status and body.
    pub fn send(&mut self, verb: Verb, line: &str, body: Json) -> (u16, Json) {
        let reply = self.reply(verb, line, body);
        let body = serde_json::from_slice(&reply.answer.body).unwrap_or(Json::Null);
        (reply.answer.status, body)
    }

    pub fn reply(&mut self, verb: Verb, line: &str, body: Json) -> Reply {
        let call = call(verb, line, body);
        let reply = self.sim.handle(&call, self.now);
        self.now = self.now.max(reply.at);
        reply
    }

    pub fn get(&mut self, line: &str) -> Json {
        let (status, body) = self.send(Verb::Get, line, Json::Null);
        assert_eq!(status, 200, "GET {line}: {body}");
        body
    }

    pub fn post(&mut self, line: &str, body: Json) -> Json {
        let (status, answer) = self.send(Verb::Post, line, body);
        assert_eq!(status, 200, "POST {line}: {answer}");
        answer
    }

    /// Sends a mutation of Compute Engine and waits for its operation.
    pub fn done(&mut self, verb: Verb, path: &str, body: Json) -> Json {
        let line = compute(path);
        let (status, operation) = self.send(verb, &line, body);
        assert_eq!(status, 200, "{} {line}: {operation}", verb.as_str());
        self.wait(operation)
    }

    pub fn wait(&mut self, operation: Json) -> Json {
        let operation = self.ended(operation);
        assert!(operation.get("error").is_none(), "{operation}");
        operation
    }

    /// Follows an operation to its end, whatever that is.
    pub fn ended(&mut self, mut operation: Json) -> Json {
        while operation["status"] != "DONE" {
            let link = operation["selfLink"].as_str().expect("selfLink");
            let path = link.split_once("/compute/v1/").expect("link").1.to_string();
            operation = self.post(&format!("compute/v1/{path}/wait"), Json::Null);
        }
        operation
    }

    pub fn sleep(&mut self, seconds: i64) {
        self.now = self.now.plus(Millis::secs(seconds));
    }

    /// Asks every `every` seconds until it holds; gives how many seconds that took.
    pub fn until(&mut self, every: i64, line: &str, holds: impl Fn(&Json) -> bool) -> i64 {
        let from = self.now;
        for _ in 0..1000 {
            if holds(&self.get(line)) {
                return self.now.since(from).0 / 1000;
            }
            self.sleep(every);
        }
        panic!("never: {line}: {}", self.get(line));
    }
}

pub fn compute(path: &str) -> String {
    format!("compute/v1/projects/demo/{path}")
}

pub fn call(verb: Verb, line: &str, body: Json) -> Call {
    let (path, query) = line.split_once('?').unwrap_or((line, ""));
    Call {
        service: None,
        verb,
        path: path.into(),
        query: query
            .split('&')
            .filter_map(|p| p.split_once('='))
            .map(|(k, v)| (k.into(), super::router::decode(v)))
            .collect(),
        headers: Vec::new(),
        body: match body {
            Json::Null => Vec::new(),
            other => other.to_string().into_bytes(),
        },
    }
}

#[test]
fn the_default_scenario_stands() {
    let mut client = Client::new();
    assert_eq!(client.sim.world.notes, Vec::<String>::new());
    let vm = client.get(&compute("zones/us-central1-a/instances/stream-manager-1"));
    assert_eq!(vm["status"], "RUNNING");
    assert_eq!(vm["disks"][0]["deviceName"], "persistent-disk-0");
    assert_eq!(vm["disks"][0]["autoDelete"], true);
    let disk = client.get(&compute("zones/us-central1-a/disks/stream-manager-1"));
    assert_eq!(disk["sizeGb"], "16");
    assert_eq!(disk["users"][0], vm["selfLink"]);
    let db = client.get("v1/projects/demo/instances/red5");
    assert_eq!(db["state"], "RUNNABLE");
    assert_eq!(db["settings"]["settingsVersion"], "1");
    assert_eq!(db["ipAddresses"][0]["type"], "PRIMARY");
    assert_eq!(
        client.get(&compute("global/networks/default"))["autoCreateSubnetworks"],
        true
    );
    assert_eq!(
        client.get(&compute("regions/us-east1/subnetworks/default"))["ipCidrRange"],
        "10.128.32.0/20"
    );
    let other = client.get("compute/v1/projects/another-one/global/firewalls");
    assert_eq!(other["items"].as_array().map(Vec::len), Some(4));
    let reply = client.reply(Verb::Get, &compute("regions/us-central1"), json!(null));
    assert_eq!(
        reply.answer.date(),
        Some(Timestamp(reply.at.0 / 1000 * 1000))
    );
}
