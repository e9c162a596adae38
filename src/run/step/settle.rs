//! Settling: the only way forward from an intent without outcome.
//!
//! It does not matter whether an answer was lost, the process died, or another runner took over.
//! First the operation is looked for, then the target is observed; only when the call demonstrably
//! had no effect is the recorded request sent again, under the recorded id.

use serde_json::Value as Json;

use super::super::mutant::Mutant;
use super::Result;
use super::cx::{Cx, Halt};
use super::operation::{self, Operation, args_of};
use crate::catalog::{
    Collection, Method, OperationStyle, RequestId, SettleClass, compare, request,
};
use crate::journal::{Intent, Origin, Reason};
use crate::value::Value;
use crate::wire::Request;
use crate::wire::error::ApiError;
use crate::world::Millis;

/// How long an absence must last before it is believed: reads may lag behind writes.
const LAG: Millis = Millis::secs(2);

/// What is known of a call whose answer was lost.
pub enum Settled {
    /// It took effect, as far as anybody can see.
    Done(Origin),
    /// It is under way.
    Follow(Operation),
    /// It had no effect: the recorded request may be sent again.
    Unsent,
    /// It was taken, and failed.
    Refused(ApiError),
    /// It may not be repeated, since what it was based on has changed: compute it anew.
    Overtaken,
}

/// What a call does to its collection's resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Insert,
    /// Patch or update of the whole resource.
    Write,
    Delete,
    Other,
}

pub fn role(method: &Method, collection: Option<&Collection>) -> Role {
    let is =
        |other: &Option<std::sync::Arc<Method>>| other.as_ref().is_some_and(|m| m.id == method.id);
    match collection {
        Some(c) if is(&c.insert) => Role::Insert,
        Some(c) if is(&c.patch) || is(&c.update) => Role::Write,
        Some(c) if is(&c.delete) => Role::Delete,
        _ => Role::Other,
    }
}

/// A call whose outcome is not known.
pub struct Lost<'a> {
    pub intent: &'a Intent,
    pub method: &'a Method,
    /// Reads the resource that it changes.
    pub get: Option<&'a Request>,
    /// Whether the service is known to have taken it.
    pub accepted: bool,
}

pub async fn settle(cx: &Cx<'_>, call: &Lost<'_>) -> Result<Settled> {
    let Lost { intent, method, .. } = *call;
    let looked = look_for_operation(cx, intent, method).await?;
    match looked {
        Looked::Found(operation) => return Ok(Settled::Follow(operation)),
        Looked::Done => return Ok(Settled::Done(Origin::Created)),
        Looked::Failed(error) => return Ok(Settled::Refused(error)),
        Looked::Several => return Err(undecidable(cx, intent)),
        Looked::None | Looked::Unseen => {}
    }
    if cx.is_mutant(Mutant::SettleSkipsObservation) {
        return Ok(Settled::Unsent);
    }
    let collection = cx.shared.catalog.collection(&method.collection);
    match (role(method, collection.as_deref()), call.get) {
        (Role::Insert, Some(get)) => {
            if cx.observe(get).await?.is_some() {
                return Ok(Settled::Done(Origin::Presumed));
            }
            cx.sleep(LAG).await;
            match cx.observe(get).await? {
                Some(_) => Ok(Settled::Done(Origin::Presumed)),
                None => Ok(Settled::Unsent),
            }
        }
        (Role::Delete, Some(get)) => match cx.observe(get).await? {
            None => Ok(Settled::Done(Origin::Presumed)),
            Some(found) if incarnation(&found) == incarnation(&intent.before) => {
                Ok(Settled::Unsent)
            }
            // Another resource of the name: ours is gone.
            Some(_) => Ok(Settled::Done(Origin::Presumed)),
        },
        (Role::Write, Some(get)) => settle_write(cx, intent, collection.as_deref(), get).await,
        _ => settle_unseen(cx, call, matches!(looked, Looked::None)),
    }
}

async fn settle_write(
    cx: &Cx<'_>,
    intent: &Intent,
    collection: Option<&Collection>,
    get: &Request,
) -> Result<Settled> {
    let Some(found) = cx.observe(get).await? else {
        return Ok(Settled::Overtaken);
    };
    let written = intent.request.body.clone().unwrap_or(Json::Null);
    let equal = collection
        .and_then(|c| c.resource.as_ref())
        .is_some_and(|resource| {
            let wanted = without_preconditions(&written);
            compare::differences(&cx.shared.catalog, resource, &wanted, &found).is_empty()
        });
    if equal {
        return Ok(Settled::Done(Origin::Presumed));
    }
    let same_version = version(&found) == version(&intent.before);
    Ok(if same_version || within_window(cx, intent) {
        Settled::Unsent
    } else {
        Settled::Overtaken
    })
}

/// Calls whose effect no resource shows. `looked`: their operations were listed, and ours was not
/// among them.
fn settle_unseen(cx: &Cx<'_>, call: &Lost<'_>, looked: bool) -> Result<Settled> {
    let Lost { intent, method, .. } = *call;
    let replays = matches!(method.request_id, Some(RequestId::Replay(_)));
    let still_listed = age(cx, intent).is_some_and(|a| a < cx.shared.settings.operations_kept);
    match method.settle {
        _ if replays && within_window(cx, intent) => Ok(Settled::Unsent),
        // It was taken, and is over since; whether it succeeded nobody knows any more.
        SettleClass::MatchedOperation if call.accepted => Err(undecidable(cx, intent)),
        SettleClass::MatchedOperation | SettleClass::IdAndOperation
            if looked && still_listed && !call.accepted =>
        {
            Ok(Settled::Unsent)
        }
        SettleClass::ConvergingWrite | SettleClass::Delete | SettleClass::Reads => {
            Ok(Settled::Unsent)
        }
        SettleClass::MatchedOperation
        | SettleClass::IdAndOperation
        | SettleClass::NamedCreate
        | SettleClass::MarkedCreate
        | SettleClass::OnceOnlyResult
        | SettleClass::Unsafe => Err(undecidable(cx, intent)),
    }
}

fn undecidable(cx: &Cx<'_>, intent: &Intent) -> Halt {
    let what = format!(
        "nobody can tell whether `{}` took effect: its answer was lost, and the API shows no trace of it",
        intent.request.method
    );
    let help = format!(
        "look at the target of `{}`; if it took effect, or must not be repeated, remove the step from the flow; \
         if it did not, repeat it by hand",
        intent.request.line()
    );
    cx.failure_with_help(Reason::Decision, what, help)
}

fn within_window(cx: &Cx<'_>, intent: &Intent) -> bool {
    age(cx, intent).is_some_and(|a| a < cx.shared.settings.id_window) && intent.request_id.is_some()
}

/// How long ago the request was made, by the server's clock.
fn age(cx: &Cx<'_>, intent: &Intent) -> Option<Millis> {
    let now = cx.shared.server_time.get().unwrap_or(cx.now());
    intent.server_time.map(|then| now.since(then))
}

/// What tells a resource from a later one of the same name.
fn incarnation(resource: &Json) -> Option<&Json> {
    ["id", "uid", "createTime", "creationTimestamp"]
        .iter()
        .find_map(|field| resource.get(field).filter(|v| !v.is_null()))
}

/// What changes with every write.
fn version(resource: &Json) -> Option<String> {
    ["fingerprint", "etag", "settingsVersion"]
        .iter()
        .find_map(|field| match resource.get(field) {
            Some(Json::String(text)) => Some(text.clone()),
            _ => None,
        })
        .or_else(|| {
            resource
                .pointer("/settings/settingsVersion")
                .and_then(Json::as_str)
                .map(str::to_owned)
        })
}

/// What an intent keeps of the target as it was observed.
pub fn before(found: Option<&Json>, newest_operation: Option<String>) -> Json {
    let mut kept = serde_json::Map::new();
    if let Some(found) = found {
        for field in [
            "id",
            "uid",
            "createTime",
            "creationTimestamp",
            "fingerprint",
            "etag",
        ] {
            if let Some(value) = found.get(field) {
                kept.insert(field.to_owned(), value.clone());
            }
        }
        if let Some(version) = found.pointer("/settings/settingsVersion") {
            kept.insert("settingsVersion".into(), version.clone());
        }
    }
    if let Some(newest) = newest_operation {
        kept.insert("newestOperation".into(), Json::String(newest));
    }
    if kept.is_empty() {
        Json::Null
    } else {
        Json::Object(kept)
    }
}

/// A body without what only guards it.
fn without_preconditions(body: &Json) -> Json {
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("fingerprint");
        fields.remove("etag");
        if let Some(settings) = fields.get_mut("settings").and_then(Json::as_object_mut) {
            settings.remove("settingsVersion");
        }
    }
    body
}

enum Looked {
    Found(Operation),
    /// Found, and done already.
    Done,
    /// Found, and it had no effect.
    Failed(ApiError),
    Several,
    /// Not among the operations.
    None,
    /// The service shows no operations.
    Unseen,
}

async fn look_for_operation(cx: &Cx<'_>, intent: &Intent, method: &Method) -> Result<Looked> {
    let listed = match &method.operation {
        _ if cx.is_mutant(Mutant::SettleSkipsOperation) => None,
        OperationStyle::Compute(_) if intent.request_id.is_some() => {
            compute_list(cx, intent, method)
        }
        OperationStyle::Sql => sql_list(cx, intent, method),
        _ => None,
    };
    let Some(list) = listed else {
        return Ok(Looked::Unseen);
    };
    let items = match cx.read(&list).await? {
        Ok(json) => json
            .get("items")
            .and_then(Json::as_array)
            .cloned()
            .unwrap_or_default(),
        Err(error) => return Err(cx.api_failure(error, &list)),
    };
    let ours: Vec<&Json> = match &method.operation {
        OperationStyle::Sql => newer_of_type(&items, intent, method),
        _ => items
            .iter()
            .filter(|op| {
                op.get("clientOperationId").and_then(Json::as_str) == intent.request_id.as_deref()
            })
            .collect(),
    };
    match ours.as_slice() {
        [] => Ok(Looked::None),
        [one] => Ok(match operation::at_once(method, one) {
            Some(Err(error)) => Looked::Failed(error),
            Some(Ok(_)) => Looked::Done,
            None => operation::of_answer(&cx.shared.catalog, method, &intent.request, one)
                .map_or(Looked::Unseen, Looked::Found),
        }),
        _ if method.settle == SettleClass::MatchedOperation => Ok(Looked::Several),
        _ => Ok(Looked::Unseen),
    }
}

fn compute_list(cx: &Cx<'_>, intent: &Intent, method: &Method) -> Option<Request> {
    let mut args = args_of(method, &intent.request);
    let list = match (args.contains_key("zone"), args.contains_key("region")) {
        (true, _) => "compute.zoneOperations.list",
        (_, true) => "compute.regionOperations.list",
        _ => "compute.globalOperations.list",
    };
    let list = cx.shared.catalog.method(list)?;
    args.retain(|name, _| list.param(name).is_some());
    let id = intent.request_id.as_deref()?;
    args.insert(
        "filter".into(),
        Value::str(format!("clientOperationId = \"{id}\"")),
    );
    request::build(&list, &args, None).ok()
}

fn sql_list(cx: &Cx<'_>, intent: &Intent, method: &Method) -> Option<Request> {
    let mut args = args_of(method, &intent.request);
    if !args.contains_key("instance")
        && let Some(name) = intent.request.body.as_ref().and_then(|b| b.get("name"))
    {
        args.insert("instance".into(), Value::from_json(name));
    }
    newest_operations(cx, &args)
}

/// The request that lists the operations of a Cloud SQL instance, newest first.
pub fn newest_operations(cx: &Cx<'_>, args: &crate::catalog::address::Args) -> Option<Request> {
    let list = cx.shared.catalog.method("sqladmin.operations.list")?;
    let mut wanted = args.clone();
    wanted.retain(|name, _| ["project", "instance"].contains(&&**name));
    request::build(&list, &wanted, None).ok()
}

/// Operations that began after the newest one that was there before, of the type of the call.
fn newer_of_type<'o>(items: &'o [Json], intent: &Intent, method: &Method) -> Vec<&'o Json> {
    let newest = intent.before.get("newestOperation").and_then(Json::as_str);
    let wanted = sql_operation_type(method);
    items
        .iter()
        .take_while(|op| op.get("name").and_then(Json::as_str) != newest || newest.is_none())
        .filter(|op| {
            let found = op.get("operationType").and_then(Json::as_str);
            wanted.is_none() || found == wanted.as_deref()
        })
        .filter(|op| {
            // Without a recorded newest one, only the time can tell.
            let inserted = op
                .get("insertTime")
                .and_then(Json::as_str)
                .and_then(crate::world::Timestamp::parse);
            newest.is_some()
                || inserted
                    .zip(intent.server_time)
                    .is_none_or(|(at, then)| at >= then)
        })
        .collect()
}

/// The word under which Cloud SQL lists the operations of a method (SqlOperationType of the API).
fn sql_operation_type(method: &Method) -> Option<String> {
    let verb = match &*method.name {
        "insert" => "CREATE",
        "patch" | "update" => "UPDATE",
        "delete" => "DELETE",
        "restart" => return Some("RESTART".into()),
        "failover" => return Some("FAILOVER".into()),
        "export" => return Some("EXPORT".into()),
        "import" => return Some("IMPORT".into()),
        "clone" => return Some("CLONE".into()),
        _ => return None,
    };
    match method.collection.rsplit('.').next() {
        Some("instances") => Some(verb.into()),
        Some("users") => Some(format!("{verb}_USER")),
        Some("databases") => Some(format!("{verb}_DATABASE")),
        Some("backupRuns") if verb == "CREATE" => Some("BACKUP_VOLUME".into()),
        _ => None,
    }
}
