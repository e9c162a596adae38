//! Looking for the operation of a call whose answer was lost.
//!
//! Compute Engine shows the request id as `clientOperationId`. Cloud SQL shows nothing of the call:
//! its operation is told by type, target, user and time. What is not listed is believed only when it
//! still is not after the time by which reads may lag behind writes.

use serde_json::Value as Json;

use super::super::mutant::Mutant;
use super::Result;
use super::cx::{Cx, Halt};
use super::operation::{self, Operation, args_of};
use super::settle::Lost;
use crate::catalog::address::Args;
use crate::catalog::rules::sql_operations::{OWN_WORK, sql_types};
use crate::catalog::{Method, OperationStyle, request};
use crate::journal::{Intent, Origin, Reason};
use crate::value::Value;
use crate::wire::Request;
use crate::wire::error::ApiError;
use crate::world::{Millis, Timestamp};

/// What a look at the operations brought.
pub enum Looked {
    /// It runs. The origin says whether it is certainly that of the call.
    Found(Operation, Origin),
    /// It is done already: whose it is, and the operation.
    Done(Origin, Json),
    /// It had no effect.
    Failed(ApiError, Json),
    /// Several may be it, and nobody can tell.
    Several,
    /// Not among the operations.
    None,
    /// The service shows no operations.
    Unseen,
}

/// How often a list is asked for while foreign work is under way.
const EVERY: Millis = Millis::secs(5);

pub async fn for_operation(cx: &Cx<'_>, call: &Lost<'_>) -> Result<Looked> {
    let Lost { intent, method, .. } = *call;
    let list = match &method.operation {
        _ if cx.is_mutant(Mutant::SettleSkipsOperation) => None,
        OperationStyle::Compute(_) if intent.request_id.is_some() => {
            compute_list(cx, intent, method)
        }
        OperationStyle::Sql => sql_list(cx, intent, method),
        _ => None,
    };
    let Some(list) = list else {
        return Ok(Looked::Unseen);
    };
    let sql = method.operation == OperationStyle::Sql;
    let mut looks = 0;
    loop {
        let items = listed(cx, &list).await?;
        let ours = match sql {
            true => match matching(&items, intent, method) {
                Some(ours) => ours,
                None => return Ok(Looked::Several),
            },
            false => by_request_id(&items, intent),
        };
        match ours.as_slice() {
            [] if sql && newer(&items, intent).iter().any(|op| is_pending(op)) => {
                // Ours may stand behind it, and nothing else can start anyway.
                pause(cx, EVERY, call.deadline).await?;
            }
            [] if looks == 0 => {
                looks += 1;
                pause(cx, cx.shared.catalog.lag(&method.service), call.deadline).await?;
            }
            [] => return Ok(Looked::None),
            [one] => return Ok(found(cx, one, intent, method)),
            _ if sql => return Ok(Looked::Several),
            _ => return Ok(Looked::Unseen),
        }
    }
}

/// Waits until nothing works on the Cloud SQL instance of a call.
pub async fn until_idle(cx: &Cx<'_>, call: &Lost<'_>) -> Result<()> {
    let Some(list) = sql_list(cx, call.intent, call.method) else {
        return Ok(());
    };
    let mut looks = 0;
    loop {
        let busy = listed(cx, &list).await?.iter().any(is_pending);
        match (busy, looks) {
            (true, _) => pause(cx, EVERY, call.deadline).await?,
            (false, 0) => {
                looks = 1;
                pause(
                    cx,
                    cx.shared.catalog.lag(&call.method.service),
                    call.deadline,
                )
                .await?;
            }
            (false, _) => return Ok(()),
        }
    }
}

async fn pause(cx: &Cx<'_>, span: Millis, deadline: Timestamp) -> Result<()> {
    if cx.now() >= deadline {
        let what = "another operation still works on the target";
        return Err(cx.failure(Reason::TimedOut, what));
    }
    cx.sleep(span).await;
    match cx.stopping() {
        true => Err(Halt::Stopped),
        false => Ok(()),
    }
}

async fn listed(cx: &Cx<'_>, list: &Request) -> Result<Vec<Json>> {
    match cx.read(list).await? {
        Ok(json) => {
            let items = json.get("items").and_then(Json::as_array);
            Ok(items.cloned().unwrap_or_default())
        }
        Err(error) => Err(cx.api_failure(error, list)),
    }
}

fn found(cx: &Cx<'_>, one: &Json, intent: &Intent, method: &Method) -> Looked {
    // A request id proves it, and so does the caller's own account.
    let proved = intent.request_id.is_some() || text(&intent.before, "user").is_some();
    let origin = match proved {
        true => Origin::Created,
        false => Origin::Presumed,
    };
    match operation::at_once(method, one) {
        Some(Err(error)) => Looked::Failed(error, one.clone()),
        Some(Ok(_)) => Looked::Done(origin, one.clone()),
        None => operation::of_answer(&cx.shared.catalog, method, &intent.request, one)
            .map_or(Looked::Unseen, |operation| Looked::Found(operation, origin)),
    }
}

fn by_request_id<'o>(items: &'o [Json], intent: &Intent) -> Vec<&'o Json> {
    let id = intent.request_id.as_deref();
    items
        .iter()
        .filter(|op| text(op, "clientOperationId") == id)
        .collect()
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
pub fn newest_operations(cx: &Cx<'_>, args: &Args) -> Option<Request> {
    let list = cx.shared.catalog.method("sqladmin.operations.list")?;
    let mut wanted = args.clone();
    wanted.retain(|name, _| ["project", "instance"].contains(&&**name));
    request::build(&list, &wanted, None).ok()
}

/// Operations that may be that of the call: of its types and its user, newer than the newest one
/// from before. `None` where the documents do not name the type and something else may be it too.
fn matching<'o>(items: &'o [Json], intent: &Intent, method: &Method) -> Option<Vec<&'o Json>> {
    let types = sql_types(&method.id);
    let mine: Vec<&Json> = newer(items, intent)
        .into_iter()
        .filter(|op| {
            let user = text(op, "user").zip(text(&intent.before, "user"));
            user.is_none_or(|(theirs, ours)| theirs == ours)
        })
        .filter(|op| text(op, "operationType").is_none_or(|t| !OWN_WORK.contains(&t)))
        .collect();
    let is_ours = |op: &&Json| {
        let kind = text(op, "operationType");
        kind.is_none_or(|kind| types.is_none_or(|t| t.names.contains(&kind)))
    };
    let certain = types.is_some_and(|t| t.certain);
    let ours: Vec<&Json> = mine.iter().copied().filter(is_ours).collect();
    let doubtful = !certain && ours.is_empty() && !mine.is_empty();
    (!doubtful).then_some(ours)
}

/// What began after the newest operation that was there before the call.
fn newer<'o>(items: &'o [Json], intent: &Intent) -> Vec<&'o Json> {
    let newest = text(&intent.before, "newestOperation");
    items
        .iter()
        .take_while(|op| newest.is_none() || text(op, "name") != newest)
        .filter(|op| {
            // Without a recorded newest one, only the time can tell.
            let inserted = text(op, "insertTime").and_then(Timestamp::parse);
            newest.is_some()
                || inserted
                    .zip(intent.server_time)
                    .is_none_or(|(at, then)| at >= then)
        })
        .collect()
}

fn is_pending(operation: &Json) -> bool {
    matches!(text(operation, "status"), Some("PENDING" | "RUNNING"))
}

fn text<'j>(json: &'j Json, field: &str) -> Option<&'j str> {
    json.get(field).and_then(Json::as_str)
}
