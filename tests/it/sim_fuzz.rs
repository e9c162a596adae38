//! Requests by chance at the simulator: every method of the catalogue, with parameters and bodies
//! that are right, nearly right and hostile. No panic, and every answer in Google's envelope.

use r5flow::catalog::{Catalog, Field, FullName, Kind, Method, Param, Piece, Place, SchemaId};
use r5flow::sim::{Call, Reply, Scenario, Sim};
use r5flow::wire::Verb;
use r5flow::world::Timestamp;
use serde_json::{Map, Value as Json, json};

use crate::rig::START;
use r5flow::spec::dice::Dice;

/// Names that some resources have, so that requests meet each other.
const NAMES: [&str; 6] = ["a", "b", "c", "stream-manager-1", "default", "red5"];

/// What nobody should send.
const HOSTILE: [&str; 14] = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "%2e%2e%2f",
    "A_B",
    "é",
    "a/b/c",
    "\u{0}",
    "-",
    "projects/other/global/networks/default",
    "https://evil.example/compute/v1/projects/demo/global/images/x",
    "a?b=c#d",
    "0",
];

struct Fuzzer<'c> {
    catalog: &'c Catalog,
    dice: Dice,
}

impl Fuzzer<'_> {
    fn call(&mut self, method: &Method) -> Call {
        let mut path = method.path.to_string();
        for param in method.path_params() {
            let value = self.param(param);
            let encoded = encode(&value, path.contains(&format!("{{+{}}}", param.name)));
            for hole in [
                format!("{{{}}}", param.name),
                format!("{{+{}}}", param.name),
            ] {
                path = path.replace(&hole, &encoded);
            }
        }
        let mut query = Vec::new();
        for param in &method.params {
            if param.place == Place::Query && (param.required || self.dice.chance(10)) {
                query.push((param.name.to_string(), self.param(param)));
            }
        }
        let body = match &method.request {
            Some(_) if self.dice.chance(2) => self.broken(),
            Some(schema) => self.object(schema, 0).to_string().into_bytes(),
            None if self.dice.chance(3) => self.broken(),
            None => Vec::new(),
        };
        Call {
            service: Some(method.service.to_string()),
            verb: method.verb,
            path,
            query,
            headers: Vec::new(),
            body,
        }
    }

    fn broken(&mut self) -> Vec<u8> {
        let bodies: [&[u8]; 7] = [
            b"{",
            b"[]",
            b"null",
            b"\"text\"",
            b"\xff\xfe",
            b"{\"name\": 1e999}",
            b"{\"a\": {\"a\": {\"a\": [[[[[[[[{}]]]]]]]]}}}",
        ];
        self.dice.pick(&bodies).to_vec()
    }

    fn param(&mut self, param: &Param) -> String {
        if let Some(full) = param.full_name.as_ref().filter(|_| self.dice.chance(92)) {
            return self.full_name(full);
        }
        match &param.kind {
            Kind::String { values, .. } if !values.is_empty() && self.dice.chance(90) => {
                self.dice.pick(values).name.to_string()
            }
            Kind::Int { .. } => self.dice.pick(&["1", "0", "-1", "500", "x"]).to_string(),
            Kind::Bool => self
                .dice
                .pick(&["true", "True", "false", "maybe"])
                .to_string(),
            _ => self.name(&param.name),
        }
    }

    /// A value for something of this name: mostly one that fits the simulated world.
    fn name(&mut self, of: &str) -> String {
        if self.dice.chance(4) {
            return self.dice.pick(&HOSTILE).to_string();
        }
        let known = match of {
            "project" | "projectId" | "projectsId" => "demo",
            "zone" => "us-central1-a",
            "region" | "location" => "us-central1",
            "filter" => *self
                .dice
                .pick(&["name = a", "name eq .*a.*", "(a", "a.b:*", ""]),
            "orderBy" => *self
                .dice
                .pick(&["name", "creationTimestamp desc", "nonsense x y"]),
            "pageToken" => *self.dice.pick(&["", "x", "0"]),
            "requestId" => "00000000-0000-4000-8000-00000000000a",
            _ => self.dice.pick(&NAMES),
        };
        known.to_owned()
    }

    fn full_name(&mut self, full: &FullName) -> String {
        let parts: Vec<String> = full
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text.to_string(),
                Piece::Value(name) | Piece::Rest(name) => self.name(name),
            })
            .collect();
        parts.join("/")
    }

    fn object(&mut self, id: &SchemaId, depth: usize) -> Json {
        let Some(schema) = self.catalog.schema(id) else {
            return json!({});
        };
        if let Some(other) = &schema.other {
            return self.value(other, "", depth);
        }
        let mut out = Map::new();
        // Few fields of large types, so that some requests pass.
        let percent = (300 / schema.fields.len().max(1)).clamp(4, 60);
        for (name, field) in &schema.fields {
            let wanted = match &**name {
                "name" => self.dice.chance(90),
                _ => field.required || self.dice.chance(percent),
            };
            if wanted && (!field.output_only || self.dice.chance(10)) {
                out.insert(name.to_string(), self.field(name, field, depth));
            }
        }
        if self.dice.chance(3) {
            out.insert("nonsense".into(), json!(1));
        }
        Json::Object(out)
    }

    fn field(&mut self, name: &str, field: &Field, depth: usize) -> Json {
        if self.dice.chance(3) {
            return self
                .dice
                .pick(&[
                    json!(null),
                    json!([]),
                    json!({}),
                    json!("x"),
                    json!(-1),
                    json!(true),
                ])
                .clone();
        }
        if field.reference && matches!(field.kind, Kind::String { .. }) {
            return json!(self.reference());
        }
        self.value(&field.kind, name, depth)
    }

    fn reference(&mut self) -> String {
        let kinds = [
            "global/networks",
            "global/images",
            "global/healthChecks",
            "global/backendServices",
            "global/urlMaps",
            "global/instanceTemplates",
            "regions/us-central1/instanceGroupManagers",
            "zones/us-central1-a/disks",
            "zones/us-central1-a/instances",
        ];
        let kind = *self.dice.pick(&kinds);
        let name = self.name("");
        match self.dice.below(4) {
            0 => name,
            1 => format!("{kind}/{name}"),
            2 => format!("projects/demo/{kind}/{name}"),
            _ => format!("https://www.googleapis.com/compute/v1/projects/demo/{kind}/{name}"),
        }
    }

    fn value(&mut self, kind: &Kind, name: &str, depth: usize) -> Json {
        let some = if depth > 4 { 0 } else { self.dice.below(3) };
        match kind {
            Kind::Bool => json!(self.dice.chance(50)),
            Kind::String { values, .. } if !values.is_empty() && self.dice.chance(92) => {
                json!(&*self.dice.pick(values).name)
            }
            Kind::String { .. } => json!(self.name(name)),
            Kind::Int {
                as_string,
                min,
                max,
            } => {
                let pick = [1, 0, 2, 60, 443, *min, *max];
                let number = *self.dice.pick(&pick);
                match as_string {
                    true => json!(number.to_string()),
                    false => i64::try_from(number).map_or(json!(number.to_string()), |n| json!(n)),
                }
            }
            Kind::Number { .. } => self
                .dice
                .pick(&[json!(0.6), json!(0), json!(-1.5), json!(1e300)])
                .clone(),
            Kind::Any => json!({ "any": "thing" }),
            Kind::List(of) => (0..some).map(|_| self.value(of, name, depth + 1)).collect(),
            Kind::Map(of) => Json::Object(
                (0..some)
                    .map(|_| (self.name(""), self.value(of, name, depth + 1)))
                    .collect(),
            ),
            Kind::Schema(_) | Kind::Inline(_) if depth > 4 => json!({}),
            Kind::Schema(id) => self.object(id, depth + 1),
            Kind::Inline(schema) => {
                let fields: Vec<_> = schema.fields.iter().collect();
                let mut out = Map::new();
                for (name, field) in fields {
                    if self.dice.chance(40) {
                        out.insert(name.to_string(), self.field(name, field, depth + 1));
                    }
                }
                Json::Object(out)
            }
        }
    }
}

/// Percent-encodes as clients do.
fn encode(text: &str, keeps_slashes: bool) -> String {
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || b"-_.~:".contains(&b) || keeps_slashes && b == b'/';
    text.bytes()
        .map(|b| match plain(b) {
            true => char::from(b).to_string(),
            false => format!("%{b:02X}"),
        })
        .collect()
}

/// What is wrong with an answer as one of Google's.
fn complaint(reply: &Reply) -> Option<String> {
    let answer = &reply.answer;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status == 204 {
        return (!answer.body.is_empty()).then(|| format!("204 with a body: {text}"));
    }
    let Ok(body) = serde_json::from_slice::<Json>(&answer.body) else {
        return Some(format!("{}: no JSON: {text}", answer.status));
    };
    if answer.status < 300 {
        return (!body.is_object()).then(|| format!("no object: {text}"));
    }
    let error = &body["error"];
    let message = error["message"].as_str().unwrap_or_default();
    let envelope = error["code"] == answer.status && !message.is_empty();
    let named = answer.status != 501 || message.starts_with("r5flow sim does not simulate ");
    let known = [400, 403, 404, 405, 409, 412, 413, 429, 501, 503].contains(&answer.status);
    (!envelope || !named || !known).then(|| format!("{}: {text}", answer.status))
}

fn rounds() -> usize {
    let times = std::env::var("R5FLOW_TEST_CASES").ok();
    4 * times.and_then(|t| t.parse().ok()).unwrap_or(1)
}

#[test]
fn requests_by_chance_get_answers_of_google_s_form() {
    let catalog = Catalog::embedded();
    let services: Vec<_> = catalog.services().map(|s| s.name.clone()).collect();
    let ids: Vec<_> = services.iter().flat_map(|s| catalog.methods(s)).collect();
    let mut accepted = 0;
    for seed in 0..rounds() as u64 {
        let mut sim = Sim::new(catalog.clone(), Scenario::default(), START);
        let mut now = START;
        let mut fuzzer = Fuzzer {
            catalog: &catalog,
            dice: Dice::new(seed),
        };
        for _ in 0..ids.len() {
            let id = fuzzer.dice.pick(&ids);
            let method = catalog.method(id).expect("a method of the list");
            let call = fuzzer.call(&method);
            let reply = sim.handle(&call, now);
            if let Some(wrong) = complaint(&reply) {
                let body = String::from_utf8_lossy(&call.body);
                panic!(
                    "seed {seed}: {id} {} {:?} {body}\n{wrong}",
                    call.path, call.query
                );
            }
            if call.verb != Verb::Get && reply.answer.status < 300 {
                accepted += 1;
            }
            now = Timestamp(now.0.max(reply.at.0) + fuzzer.dice.below(60_000) as i64);
        }
        assert!(!sim.resources().is_empty());
    }
    // Requests that are all refused would prove little.
    assert!(accepted > 20 * rounds(), "{accepted} changes were accepted");
}
