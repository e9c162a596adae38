//! Waiting for an operation of somebody else on the target of a step.

use serde_json::Value as Json;

use super::Result;
use super::cx::{Cx, Halt};
use super::target::Target;
use crate::catalog::{Method, OperationStyle, request};
use crate::journal::Reason;
use crate::value::Value;
use crate::wire::Request;
use crate::world::{Millis, Timestamp};

const FIRST_LOOK: Millis = Millis::secs(2);
const LONGEST_PAUSE: Millis = Millis::secs(30);

/// An operation as its service lists it.
struct Foreign {
    name: String,
    kind: String,
    user: String,
}

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "operation `{}` ({})", self.name, self.kind)?;
        match &*self.user {
            "" => Ok(()),
            user => write!(f, " of {user}"),
        }
    }
}

/// Waits for whatever works on the target, until the step's own time is over. Says whether there was
/// anything to wait for that the service lists.
///
/// # Errors
/// The time is over; the failure names the operation and its user.
pub async fn wait_out(
    cx: &Cx<'_>,
    target: &Target,
    method: &Method,
    deadline: Timestamp,
) -> Result<bool> {
    let Some(list) = list(cx, target, method) else {
        return Ok(false);
    };
    let mut pause = FIRST_LOOK;
    let mut waited = false;
    while let Some(foreign) = look(cx, &list, target, method).await? {
        if cx.now() >= deadline {
            let what = format!("{foreign} still works on the target of this step");
            return Err(cx.failure_with_help(
                Reason::TimedOut,
                what,
                "`r5flow resume` waits for it again; `timeout` in the step says how long",
            ));
        }
        cx.waits(Some(&foreign.to_string()));
        cx.sleep_within(pause, deadline).await;
        if cx.stopping() {
            return Err(Halt::Stopped);
        }
        waited = true;
        pause = Millis((pause.0 * 3 / 2).min(LONGEST_PAUSE.0));
    }
    if waited {
        cx.waits(None);
    }
    Ok(waited)
}

/// The request that lists the operations among which those of the target are.
fn list(cx: &Cx<'_>, target: &Target, method: &Method) -> Option<Request> {
    let id = match &method.operation {
        OperationStyle::Sql => "sqladmin.operations.list",
        OperationStyle::Compute(_) if target.args.contains_key("zone") => {
            "compute.zoneOperations.list"
        }
        OperationStyle::Compute(_) if target.args.contains_key("region") => {
            "compute.regionOperations.list"
        }
        OperationStyle::Compute(_) => "compute.globalOperations.list",
        OperationStyle::Container { .. } => "container.projects.locations.operations.list",
        OperationStyle::None | OperationStyle::LongRunning { .. } | OperationStyle::Dns { .. } => {
            return None;
        }
    };
    let list = cx.shared.catalog.method(id)?;
    let parts = list.parts();
    let mut args = target.args.clone();
    args.retain(|name, _| {
        parts.contains(name)
            || ["project", "zone", "region", "instance"].contains(&&**name)
                && list.param(name).is_some()
    });
    if let OperationStyle::Compute(_) = method.operation {
        args.insert("filter".into(), Value::str("status != DONE"));
    }
    request::build(&list, &args, None).ok()
}

/// The first operation that runs on the target.
async fn look(
    cx: &Cx<'_>,
    list: &Request,
    target: &Target,
    method: &Method,
) -> Result<Option<Foreign>> {
    let Ok(json) = cx.read(list).await? else {
        // Whoever may not list operations waits as if there were none.
        return Ok(None);
    };
    let text = |op: &Json, field: &str| {
        let value = op.get(field).and_then(Json::as_str);
        value.unwrap_or_default().to_owned()
    };
    let operations = ["items", "operations"]
        .iter()
        .find_map(|field| json.get(*field)?.as_array());
    let found = operations.into_iter().flatten().find(|op| {
        let status = text(op, "status");
        // Cloud SQL lists the operations of one instance only.
        let on_target = method.operation == OperationStyle::Sql
            || target.args.values().any(|value| {
                let link = text(op, "targetLink");
                matches!(value, Value::Str(name) if link.rsplit('/').next() == Some(name))
            });
        status != "DONE" && on_target
    });
    Ok(found.map(|op| Foreign {
        name: text(op, "name"),
        kind: text(op, "operationType"),
        user: text(op, "user"),
    }))
}
