//! The REST API 4.0 of Red5's Stream Manager 1.0, as far as it administers groups of nodes.
//!
//! It answers under any host, below `/streammanager/api/4.0/admin`. Its nodes are words: no machine of the
//! simulated cloud belongs to them.
//!
//! Sources: Red5, "Stream Manager API" 4.0 and "API Basics" of its Google Cloud guide; `r5p_create_node_group.sh` of
//! red5pro/terraform-gcp-red5pro.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::wire::{Answer, Verb};
use crate::world::{Millis, Timestamp};

const ADMIN: &str = "/streammanager/api/4.0/admin/";

/// From a node's launch until it is in service.
const BOOT: Millis = Millis::secs(120);

/// The kinds of documents that are kept by name: where, and the field that wraps one.
const KINDS: [(&str, Option<&str>); 3] = [
    ("configurations/scalepolicy", Some("policy")),
    ("configurations/launchconfig", Some("launchconfig")),
    ("nodegroup", None),
];

/// What a Stream Manager keeps, by its address without the parameters.
#[derive(Clone, Debug, Default)]
pub struct StreamManager {
    documents: BTreeMap<String, Json>,
    /// Nodes by the address of their list, each with the moment of its launch.
    nodes: BTreeMap<String, Vec<(Json, Timestamp)>>,
}

/// A request to it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub verb: Verb,
    /// The whole address.
    pub url: &'a str,
    pub query: &'a [(String, String)],
    pub body: &'a Json,
}

/// Whether a Stream Manager answers at this address.
pub fn answers_at(url: &str) -> bool {
    url.starts_with("http") && url.contains(ADMIN)
}

impl StreamManager {
    /// What was kept, for comparing.
    pub fn kept(&self) -> impl Iterator<Item = (String, Json)> {
        let documents = self
            .documents
            .iter()
            .map(|(url, d)| (url.clone(), d.clone()));
        let nodes = self.nodes.iter().map(|(url, nodes)| {
            let nodes: Vec<Json> = nodes.iter().map(|(node, _)| node.clone()).collect();
            (url.clone(), Json::from(nodes))
        });
        documents.chain(nodes)
    }

    /// The answer, and whether anything changed.
    pub fn answer(&mut self, asked: Asked<'_>, now: Timestamp) -> (Answer, bool) {
        let token = asked
            .query
            .iter()
            .any(|(n, v)| n == "accessToken" && !v.is_empty());
        let (status, body, changed) = match token {
            true => self.act(asked, now),
            false => refused(400, "Access token is missing"),
        };
        let answer = Answer {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        };
        (answer, changed)
    }

    fn act(&mut self, asked: Asked<'_>, now: Timestamp) -> (u16, Json, bool) {
        let url = asked.url.trim_end_matches('/');
        let Some((root, path)) = url.split_once(ADMIN) else {
            return refused(404, "No such resource");
        };
        if (asked.verb, path) == (Verb::Get, "debug/cloudcontroller") {
            return (200, json!("Google Compute"), false);
        }
        if let Some(group) = path.strip_suffix("/node/origin") {
            return self.launch(asked.verb, &format!("{root}{ADMIN}{group}"), now);
        }
        if let Some(group) = path.strip_suffix("/node") {
            return self.list(asked.verb, &format!("{root}{ADMIN}{group}"), now);
        }
        match asked.verb {
            Verb::Get => match self.documents.get(url) {
                Some(found) => (200, found.clone(), false),
                None => refused(404, "Not found"),
            },
            Verb::Post => self.keep(url, path, asked.body),
            Verb::Delete => {
                self.nodes.remove(&format!("{url}/node"));
                match self.documents.remove(url) {
                    Some(_) => (200, Json::Null, true),
                    None => refused(404, "Not found"),
                }
            }
            _ => refused(405, "Method not allowed"),
        }
    }

    fn keep(&mut self, url: &str, path: &str, body: &Json) -> (u16, Json, bool) {
        let Some((_, wrapped)) = KINDS.iter().find(|(at, _)| *at == path) else {
            return refused(404, "No such resource");
        };
        let inner = wrapped.map_or(Some(body), |field| body.get(field));
        let Some(name) = inner.and_then(|b| b.get("name")).and_then(Json::as_str) else {
            return refused(400, "A name is missing");
        };
        let at = format!("{url}/{name}");
        if self.documents.contains_key(&at) {
            return refused(400, "It exists already");
        }
        for (field, kind) in [
            ("scalePolicy", "scalepolicy"),
            ("launchConfig", "launchconfig"),
        ] {
            let named = body.get(field).and_then(Json::as_str);
            let admin = url.trim_end_matches("nodegroup");
            let there = |name| {
                self.documents
                    .contains_key(&format!("{admin}configurations/{kind}/{name}"))
            };
            if named.is_some_and(|name| !there(name)) {
                return refused(400, "The policy or the launch configuration is not there");
            }
        }
        self.documents.insert(at, body.clone());
        // A launch configuration is answered without its wrapping.
        let answer = match *wrapped {
            Some("launchconfig") => inner.cloned().unwrap_or_default(),
            _ => body.clone(),
        };
        (201, answer, true)
    }

    /// An origin, and with the first one as many of the others as the policy asks for.
    fn launch(&mut self, verb: Verb, group: &str, now: Timestamp) -> (u16, Json, bool) {
        let Some(found) = self.documents.get(group).filter(|_| verb == Verb::Post) else {
            return refused(404, "No such group");
        };
        let name = found.get("name").and_then(Json::as_str).unwrap_or("");
        let admin = group
            .split_once("nodegroup/")
            .map_or("", |(admin, _)| admin);
        let policy = found
            .get("scalePolicy")
            .and_then(Json::as_str)
            .unwrap_or("");
        let policy = self
            .documents
            .get(&format!("{admin}configurations/scalepolicy/{policy}"));
        let targets = policy
            .and_then(|p| p.pointer("/policy/targets/region/0/target")?.as_array())
            .cloned()
            .unwrap_or_default();
        let list = self.nodes.entry(format!("{group}/node")).or_default();
        let first = list.is_empty();
        for target in targets {
            let role = target.get("role").and_then(Json::as_str).unwrap_or("");
            let count = match role {
                "origin" => 1,
                _ if first => target.get("minLimit").and_then(Json::as_u64).unwrap_or(1),
                _ => 0,
            };
            for _ in 0..count {
                let number = list.len() + 1;
                let node = json!({
                    "identifier": format!("node-{name}-{number}"),
                    "address": format!("198.51.100.{number}"),
                    "group": name,
                    "role": role,
                });
                list.push((node, now));
            }
        }
        (200, json!({ "group": name }), true)
    }

    fn list(&self, verb: Verb, group: &str, now: Timestamp) -> (u16, Json, bool) {
        if verb != Verb::Get || !self.documents.contains_key(group) {
            return refused(404, "No such group");
        }
        let nodes = self
            .nodes
            .get(&format!("{group}/node"))
            .into_iter()
            .flatten();
        let shown = nodes.map(|(node, born)| {
            let mut node = node.clone();
            let up = born.plus(BOOT) <= now;
            node["state"] = json!(if up { "inservice" } else { "pending" });
            node
        });
        (200, shown.collect(), false)
    }
}

fn refused(status: u16, why: &str) -> (u16, Json, bool) {
    (status, json!({ "errorMessage": why }), false)
}
