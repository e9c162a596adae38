//! Operations: what a mutating call answers with, and what moves on the clock afterwards.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::ask::Ask;
use super::failure::Failure;
use super::generic;
use super::model::bulk;
use super::refs;
use super::timing;
use super::world::{Due, Object, World, pacific};
use crate::catalog::rules::sql_operations::sql_types;
use crate::catalog::{OperationStyle, Piece};
use crate::world::{Millis, Timestamp};

/// Who calls; the simulator knows one caller.
pub const USER: &str = "operator@r5flow.example";

/// What the end of an operation does.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    Remove(String),
    /// Sets these fields of a resource.
    Merge(String, Object),
    Happen(Due),
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub key: String,
    pub name: String,
    pub id: String,
    pub style: OperationStyle,
    /// `insert`, `compute.instanceTemplates.delete`, `UPDATE`.
    pub kind: String,
    /// Who began it.
    pub user: String,
    pub project: String,
    /// The key of what it works on.
    pub target: String,
    pub target_id: Option<String>,
    pub request_id: Option<String>,
    /// `operationGroupId`: the call that several operations come from.
    pub group: Option<String>,
    pub inserted: Timestamp,
    pub starts: Timestamp,
    pub ends: Timestamp,
    pub failure: Option<Failure>,
    pub then: Vec<Then>,
}

impl Operation {
    pub fn is_done(&self, at: Timestamp) -> bool {
        at >= self.ends
    }

    fn status(&self, at: Timestamp) -> &'static str {
        if at >= self.ends {
            "DONE"
        } else if at >= self.starts {
            "RUNNING"
        } else {
            "PENDING"
        }
    }

    /// The path below the version: the key without its service.
    fn path(&self) -> &str {
        self.key.split_once('/').map_or("", |(_, path)| path)
    }

    fn target_path(&self) -> &str {
        self.target.split_once('/').map_or("", |(_, path)| path)
    }
}

/// Compute Engine's verbose operation types (seen in recorded traffic); others are the method's name.
fn compute_kind(method: &str, name: &str) -> String {
    let verbose = [
        "compute.instanceTemplates.",
        "compute.networks.patch",
        "compute.sslPolicies.patch",
    ];
    if verbose.iter().any(|v| method.starts_with(v)) {
        method.to_string()
    } else if method == "compute.targetHttpsProxies.setUrlMap" {
        "SetUrlMap".to_string()
    } else {
        name.to_string()
    }
}

/// Cloud SQL's operation types.
fn sql_kind(method: &str) -> &'static str {
    sql_types(method).map_or("UPDATE", |types| types.names[0])
}

/// Begins the operation of a call on `target` and gives the answer to the call. Methods whose answer
/// is the result have no operation: what would happen at its end happens now.
pub fn begin(world: &mut World, ask: &Ask, target: &str, then: Vec<Then>) -> Json {
    let length = timing::operation(&world.scenario, &ask.method.id);
    begin_lasting(world, ask, target, then, length)
}

/// [`begin`] with a length that the model decides.
pub fn begin_lasting(
    world: &mut World,
    ask: &Ask,
    target: &str,
    then: Vec<Then>,
    length: Millis,
) -> Json {
    match world.doom.take() {
        Some(failure) => begin_failing(world, ask, target, Vec::new(), failure),
        None => run(world, ask, target, then, (length, None)),
    }
}

/// How long an operation runs that ends with a quota's or a zone's refusal ("about six seconds in").
pub const FAILS_AFTER: Millis = Millis::secs(6);

/// [`begin`] for an operation that ends with an error: `then` is what remains to be undone.
pub fn begin_failing(
    world: &mut World,
    ask: &Ask,
    target: &str,
    then: Vec<Then>,
    failure: Failure,
) -> Json {
    run(world, ask, target, then, (FAILS_AFTER, Some(failure)))
}

fn run(
    world: &mut World,
    ask: &Ask,
    target: &str,
    then: Vec<Then>,
    (length, failure): (Millis, Option<Failure>),
) -> Json {
    let style = ask.method.operation.clone();
    if matches!(style, OperationStyle::None | OperationStyle::Dns { .. }) {
        for step in then {
            apply_now(world, step);
        }
        return generic::answer_of(world, ask, target);
    }
    let (name, path) = place(world, ask, target, &style);
    let service = &ask.method.service;
    let key = format!("{service}/{path}");
    let starts = match style {
        OperationStyle::Sql => world.now.plus(Millis(700)),
        _ => world.now,
    };
    let ends = starts.plus(length);
    let kind = match style {
        OperationStyle::Sql => sql_kind(&ask.method.id).to_string(),
        OperationStyle::Container { .. } => container_kind(&ask.method.id),
        _ => compute_kind(&ask.method.id, &ask.method.name),
    };
    let target_id = world
        .live(target)
        .and_then(|r| r.body.get("id"))
        .and_then(Json::as_str)
        .map(str::to_string);
    let operation = Operation {
        key: key.clone(),
        name,
        id: world.mint.id(),
        style,
        kind,
        user: USER.to_owned(),
        project: ask.project.clone(),
        target: target.to_string(),
        target_id,
        request_id: ask.request_id.clone(),
        group: None,
        inserted: world.now,
        starts,
        ends,
        failure,
        then,
    };
    let answer = render(world, &operation, world.now);
    world.operations.insert(key.clone(), operation);
    if length.0 <= 0 {
        let now = world.now;
        world.schedule(now, Due::OperationEnds(key));
        world.advance(now);
        return answer;
    }
    world.schedule(ends, Due::OperationEnds(key));
    answer
}

fn apply_now(world: &mut World, then: Then) {
    match then {
        Then::Remove(target) => {
            if let Some(old) = world.resources.remove(&target) {
                super::model::removed(world, &target, &old);
            }
        }
        Then::Merge(target, fields) => {
            if let Some(resource) = world.resources.get_mut(&target) {
                resource.body.extend(fields);
            }
        }
        Then::Happen(due) => {
            let now = world.now;
            world.schedule(now, due);
        }
    }
}

fn container_kind(method: &str) -> String {
    match method.rsplit_once('.') {
        Some((collection, name)) => {
            let noun = if collection.ends_with("nodePools") {
                "NODE_POOL"
            } else {
                "CLUSTER"
            };
            match name {
                "create" | "delete" => format!("{}_{noun}", name.to_uppercase()),
                _ => format!("UPDATE_{noun}"),
            }
        }
        None => "UPDATE_CLUSTER".into(),
    }
}

/// The operation's name, and its path below the version.
fn place(world: &mut World, ask: &Ask, target: &str, style: &OperationStyle) -> (String, String) {
    let now = world.now;
    let path = target.split_once('/').map_or("", |(_, path)| path);
    match style {
        OperationStyle::Sql => {
            let name = world.mint.uuid();
            let path = format!("projects/{}/operations/{name}", ask.project);
            (name, path)
        }
        OperationStyle::LongRunning { get } => {
            let id = format!("operation-{}-{}", now.0, world.mint.hex(13));
            let name = operation_name(world, get, path, &id);
            (name.clone(), name)
        }
        OperationStyle::Container { .. } => {
            let name = format!("operation-{}-{}", now.0, world.mint.hex(8));
            let location = refs::after(path, "locations").unwrap_or("-");
            let path = format!(
                "projects/{}/locations/{location}/operations/{name}",
                ask.project
            );
            (name, path)
        }
        _ => {
            let name = world.mint.compute_operation(now);
            let project = &ask.project;
            let scope = match (refs::after(path, "zones"), refs::after(path, "regions")) {
                _ if path.starts_with("locations/") => {
                    return (name.clone(), format!("locations/global/operations/{name}"));
                }
                (Some(zone), _) => format!("zones/{zone}"),
                (_, Some(region)) => format!("regions/{region}"),
                _ => "global".to_string(),
            };
            let path = format!("projects/{project}/{scope}/operations/{name}");
            (name, path)
        }
    }
}

/// A name that the service's `operations.get` accepts, with the locations of the target.
fn operation_name(world: &World, get: &str, target: &str, id: &str) -> String {
    let full = world
        .catalog
        .method(get)
        .and_then(|m| m.params.iter().find_map(|p| p.full_name.clone()));
    let Some(full) = full else {
        return format!("operations/{id}");
    };
    let mut parts: Vec<String> = Vec::new();
    let end = full.pieces.len().saturating_sub(1);
    for (i, piece) in full.pieces.iter().enumerate() {
        match piece {
            Piece::Literal(text) => parts.push(text.to_string()),
            _ if i == end => parts.push(id.to_string()),
            _ => {
                let before = parts.last().cloned().unwrap_or_default();
                parts.push(refs::after(target, &before).unwrap_or("-").to_string());
            }
        }
    }
    parts.join("/")
}

/// The operation as it stands at `at`, which may lie in the future.
pub fn render(world: &World, operation: &Operation, at: Timestamp) -> Json {
    match &operation.style {
        OperationStyle::Sql => render_sql(operation, at),
        OperationStyle::LongRunning { .. } => render_long_running(world, operation, at),
        OperationStyle::Container { .. } => render_container(operation, at),
        _ => {
            let mut out = render_compute(operation, at);
            if operation.kind == "bulkInsert"
                && let Some(told) = bulk::told(world, operation, at)
            {
                out["instancesBulkInsertOperationMetadata"] = told;
            }
            out
        }
    }
}

/// The key of an operation of Compute Engine that was answered.
pub fn key_of(answer: &Json) -> Option<String> {
    let path = answer.get("selfLink")?.as_str()?;
    Some(format!("compute/{}", path.strip_prefix(refs::LINK_ROOT)?))
}

fn render_compute(o: &Operation, at: Timestamp) -> Json {
    let status = o.status(at);
    let mut out = json!({
        "kind": "compute#operation",
        "id": o.id,
        "name": o.name,
        "operationType": o.kind,
        "targetLink": refs::link(o.target_path()),
    });
    let path = o.path();
    if let Some(id) = &o.target_id {
        out["targetId"] = json!(id);
    }
    if let Some(zone) = refs::after(path, "zones") {
        out["zone"] = json!(refs::link(&format!("projects/{}/zones/{zone}", o.project)));
    } else if let Some(region) = refs::after(path, "regions") {
        out["region"] = json!(refs::link(&format!(
            "projects/{}/regions/{region}",
            o.project
        )));
    }
    if let Some(id) = &o.request_id {
        out["clientOperationId"] = json!(id);
    }
    if let Some(group) = &o.group {
        out["operationGroupId"] = json!(group);
    }
    out["status"] = json!(status);
    out["user"] = json!(o.user);
    out["progress"] = json!(match status {
        "DONE" => 100,
        "RUNNING" => progress(o, at),
        _ => 0,
    });
    out["insertTime"] = json!(pacific(o.inserted));
    if at >= o.starts {
        out["startTime"] = json!(pacific(o.starts));
    }
    if status == "DONE" {
        out["endTime"] = json!(pacific(o.ends));
        if let Some(f) = &o.failure {
            out["error"] = json!({ "errors": [f.entry()] });
            out["httpErrorStatusCode"] = json!(f.http);
            out["httpErrorMessage"] = json!(f.http_message);
        }
    }
    out["selfLink"] = json!(refs::link(path));
    out
}

fn progress(o: &Operation, at: Timestamp) -> i64 {
    let whole = o.ends.since(o.starts).0.max(1);
    (at.since(o.starts).0 * 100 / whole).clamp(0, 99)
}

fn render_sql(o: &Operation, at: Timestamp) -> Json {
    const ROOT: &str = "https://sqladmin.googleapis.com/sql/v1beta4/";
    let instance = refs::after(o.target_path(), "instances").unwrap_or("");
    let project = &o.project;
    let mut out = json!({
        "kind": "sql#operation",
        "targetLink": format!("{ROOT}projects/{project}/instances/{instance}"),
        "status": o.status(at),
        "user": o.user,
        "insertTime": o.inserted.rfc3339(),
    });
    if at >= o.starts {
        out["startTime"] = json!(o.starts.rfc3339());
    }
    if o.is_done(at) {
        out["endTime"] = json!(o.ends.rfc3339());
        if let Some(f) = &o.failure {
            out["error"] = json!({ "kind": "sql#operationErrors", "errors": [
                { "kind": "sql#operationError", "code": f.code, "message": f.message }
            ] });
        }
    }
    out["name"] = json!(o.name);
    out["operationType"] = json!(o.kind);
    out["targetId"] = json!(instance);
    out["targetProject"] = json!(project);
    out["selfLink"] = json!(format!("{ROOT}projects/{project}/operations/{}", o.name));
    out
}

fn render_long_running(world: &World, o: &Operation, at: Timestamp) -> Json {
    let mut out = json!({
        "name": o.name,
        "metadata": {
            "@type": "type.googleapis.com/google.cloud.common.OperationMetadata",
            "createTime": o.inserted.rfc3339(),
            "target": o.target_path(),
            "verb": o.kind,
        },
    });
    if !o.is_done(at) {
        return out;
    }
    out["metadata"]["endTime"] = json!(o.ends.rfc3339());
    out["done"] = json!(true);
    if let Some(f) = &o.failure {
        out["error"] = json!({ "code": 9, "message": f.message });
        return out;
    }
    let deleted = &*o.kind == "delete";
    let resource = if deleted {
        None
    } else {
        generic::view(world, &o.target)
    };
    out["response"] = match resource {
        Some(mut body) => {
            let kind = world
                .live(&o.target)
                .map(|r| Arc::clone(&r.collection))
                .unwrap_or_default();
            body.insert(
                "@type".into(),
                json!(format!("type.googleapis.com/{}", type_of(world, &kind))),
            );
            Json::Object(body)
        }
        None => json!({ "@type": "type.googleapis.com/google.protobuf.Empty" }),
    };
    out
}

/// `google.run.v2.Service`, as far as the catalogue tells: service, version, and the schema's name.
fn type_of(world: &World, collection: &str) -> String {
    let found = world.catalog.collection(collection);
    let schema = found.as_ref().and_then(|c| c.resource.clone());
    match schema {
        Some(id) => format!(
            "google.cloud.{}.{}",
            id.service,
            id.name.trim_start_matches("GoogleCloudRunV2")
        ),
        None => "google.protobuf.Struct".into(),
    }
}

fn render_container(o: &Operation, at: Timestamp) -> Json {
    let location = refs::after(o.path(), "locations").unwrap_or("-");
    let number = &o.project;
    let mut out = json!({
        "name": o.name,
        "operationType": o.kind,
        "status": o.status(at),
        "location": location,
        "selfLink": format!("https://container.googleapis.com/v1/projects/{number}/locations/{location}/operations/{}", o.name),
        "targetLink": format!("https://container.googleapis.com/v1/{}", o.target_path()),
        "startTime": o.starts.rfc3339(),
    });
    if o.is_done(at) {
        out["endTime"] = json!(o.ends.rfc3339());
        if let Some(f) = &o.failure {
            out["error"] = json!({ "code": 9, "message": f.message });
        }
    }
    out
}
