//! Following an operation until it is done.

use std::sync::Arc;

use serde_json::Value as Json;

use super::cx::{Cx, Halt, no_answer};
use super::{Result, patience};
use crate::catalog::address::Args;
use crate::catalog::{Catalog, Method, OperationScope, OperationStyle, request};
use crate::journal::Reason;
use crate::value::Value;
use crate::wire::error::{
    ApiError, ErrorClass, classify, classify_operation_error, operation_status,
};
use crate::wire::{NoAnswer, Request};
use crate::world::{Millis, Timestamp};

/// `wait` of Compute Engine blocks for two minutes at most.
const WAIT_PATIENCE: Millis = Millis::secs(150);

/// What an operation came to.
#[derive(Debug)]
pub enum Followed {
    /// Done: the operation, or its response.
    Done(Json),
    /// Done, with an error: the operation besides, which may name what it left behind.
    Failed(ApiError, Json),
    /// The service does not know it any more; only the target can tell.
    Forgotten,
}

/// An operation as the answer of a mutation describes it.
pub struct Operation {
    pub name: String,
    /// Asks how far it is.
    pub poll: Request,
}

/// The operation that an answer stands for, unless the answer is the result already.
pub fn of_answer(
    catalog: &Catalog,
    method: &Method,
    sent: &Request,
    answer: &Json,
) -> Option<Operation> {
    if state(method, answer).is_some() {
        return None;
    }
    let text = |field: &str| answer.get(field).and_then(Json::as_str);
    let (poll, name, extra) = match &method.operation {
        OperationStyle::None => return None,
        OperationStyle::Compute(scope) => {
            let name = text("name")?;
            let last = |field: &str| {
                text(field).map(|url| Value::str(url.rsplit('/').next().unwrap_or(url)))
            };
            let (method, place) = match (last("zone"), last("region"), scope) {
                (Some(zone), ..) => ("compute.zoneOperations.wait", Some(("zone", zone))),
                (_, Some(region), _) => ("compute.regionOperations.wait", Some(("region", region))),
                (_, _, OperationScope::Organization) => {
                    ("compute.globalOrganizationOperations.get", None)
                }
                _ => ("compute.globalOperations.wait", None),
            };
            let mut extra = vec![("operation", Value::str(name))];
            extra.extend(place);
            (catalog.method(method)?, name, extra)
        }
        OperationStyle::Sql => {
            let name = text("name")?;
            let method = catalog.method("sqladmin.operations.get")?;
            (method, name, vec![("operation", Value::str(name))])
        }
        OperationStyle::LongRunning { get } => {
            let name = text("name")?;
            (catalog.method(get)?, name, vec![("name", Value::str(name))])
        }
        OperationStyle::Container { get } => {
            let name = text("name")?;
            let link = text("selfLink").unwrap_or(name);
            let full = link.find("projects/").map_or(name, |at| &link[at..]);
            (
                catalog.method(get)?,
                name,
                vec![("name", Value::str(full)), ("operation", Value::str(name))],
            )
        }
        OperationStyle::Dns { get } => {
            let name = text("id")?;
            (
                catalog.method(get)?,
                name,
                vec![("changeId", Value::str(name))],
            )
        }
    };
    let mut args = args_of(method, sent);
    for (key, value) in extra {
        args.insert(Arc::from(key), value);
    }
    let parts = poll.parts();
    args.retain(|k, _| {
        poll.param(k)
            .is_some_and(|p| p.place == crate::catalog::Place::Path)
            || parts.contains(k)
    });
    let request = request::build(&poll, &args, None).ok()?;
    Some(Operation {
        name: name.to_owned(),
        poll: request,
    })
}

/// The arguments that a request's path was filled with.
pub fn args_of(method: &Method, sent: &Request) -> Args {
    let mut args = Args::new();
    let template: Vec<&str> = method.path.split('/').collect();
    let path: Vec<&str> = sent.path.split('/').collect();
    // A full name takes several segments; what the template has behind it stands that much later.
    let longer = path.len().saturating_sub(template.len());
    let mut shift = 0;
    for (i, part) in template.iter().enumerate() {
        let at = i + shift;
        let Some(open) = part.find('{') else { continue };
        let name = part[open + 1..]
            .split('}')
            .next()
            .unwrap_or("")
            .trim_start_matches('+');
        if part.contains("{+") {
            let rest = path.get(at..=at + longer);
            let rest = rest.map(|p| p.join("/")).unwrap_or_default();
            shift = longer;
            let tail = part.split('}').nth(1).unwrap_or("");
            let full = rest.strip_suffix(tail).unwrap_or(&rest);
            if let Some(parsed) = method
                .param(name)
                .and_then(|p| p.full_name.as_ref()?.parse(full))
            {
                args.extend(parsed.into_iter().map(|(k, v)| (k, Value::str(v))));
            }
            args.insert(Arc::from(name), Value::str(full));
        } else if let Some(value) = path.get(at) {
            let tail = part.split('}').nth(1).unwrap_or("");
            let value = value.strip_suffix(tail).unwrap_or(value);
            args.insert(Arc::from(name), Value::str(decode(value)));
        }
    }
    args
}

/// Undoes percent-encoding.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = text
            .get(i + 1..i + 3)
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether an operation is done, and how; `None` while it runs.
fn state(method: &Method, operation: &Json) -> Option<std::result::Result<Json, ApiError>> {
    let status = operation.get("status").and_then(Json::as_str);
    let failed = operation.get("error").is_some_and(|e| !e.is_null())
        || operation_status(operation).is_some();
    let done = match &method.operation {
        OperationStyle::None => true,
        OperationStyle::Compute(_) | OperationStyle::Sql => {
            // A method of these services may answer with its result at once.
            match status {
                Some("PENDING" | "RUNNING") => false,
                Some("DONE") => true,
                _ => !is_operation(operation),
            }
        }
        OperationStyle::Container { .. } => {
            !matches!(status, Some("PENDING" | "RUNNING" | "ABORTING"))
        }
        OperationStyle::Dns { .. } => status != Some("pending"),
        OperationStyle::LongRunning { .. } => operation
            .get("done")
            .and_then(Json::as_bool)
            .unwrap_or(false),
    };
    if !done {
        return None;
    }
    if failed && method.operation != OperationStyle::None {
        return Some(Err(classify_operation_error(operation)));
    }
    let response = match &method.operation {
        OperationStyle::LongRunning { .. } => operation.get("response"),
        _ => None,
    };
    Some(Ok(response.unwrap_or(operation).clone()))
}

/// Which resource a done operation, or an answer that is the resource, tells of.
pub fn incarnation(method: &Method, answer: &Json) -> Option<String> {
    match &method.operation {
        OperationStyle::Compute(_) => answer
            .get("targetId")
            .and_then(Json::as_str)
            .map(str::to_owned),
        OperationStyle::Sql | OperationStyle::Container { .. } | OperationStyle::Dns { .. } => None,
        OperationStyle::None | OperationStyle::LongRunning { .. } => {
            crate::journal::incarnation(answer)
        }
    }
}

/// Whether a document of Compute Engine or Cloud SQL is an operation, its status set aside.
fn is_operation(json: &Json) -> bool {
    let kind = json.get("kind").and_then(Json::as_str);
    json.get("operationType").is_some() || kind.is_some_and(|k| k.ends_with("#operation"))
}

/// Whether a poll was answered with an operation at all.
fn tells_state(method: &Method, json: &Json) -> bool {
    match &method.operation {
        OperationStyle::Compute(_) | OperationStyle::Sql => {
            json.get("status").is_some_and(Json::is_string)
        }
        _ => json.is_object(),
    }
}

/// Waits until the operation is done. Holds no slot while it waits.
pub async fn follow(
    cx: &Cx<'_>,
    method: &Method,
    poll: &Request,
    deadline: Timestamp,
) -> Result<Followed> {
    let mut pause = Millis::secs(1);
    let mut failures = 0;
    let blocking = poll.method.ends_with(".wait");
    loop {
        let patience = if blocking {
            WAIT_PATIENCE
        } else {
            cx.shared.settings.patience
        };
        let left = deadline.since(cx.now());
        let patience = Millis(patience.0.min(left.0).max(1000));
        cx.pace(poll).await;
        let error = match cx.send(poll, patience).await {
            Ok(answer) => match classify(&method.service, true, &answer) {
                Ok(json) if !tells_state(method, &json) => Some(no_answer(NoAnswer::Unknown(
                    "the answer is no operation".into(),
                ))),
                Ok(json) => match state(method, &json) {
                    Some(Ok(done)) => return Ok(Followed::Done(done)),
                    Some(Err(error)) => return Ok(Followed::Failed(error, json)),
                    None => None,
                },
                Err(error) if error.class == ErrorClass::NotFound => {
                    return Ok(Followed::Forgotten);
                }
                Err(error) => Some(error),
            },
            Err(lost) => Some(no_answer(lost)),
        };
        if let Some(error) = &error
            && !patience::passes(cx, error).await?
        {
            return Err(cx.api_failure(error.clone(), poll));
        }
        if cx.stopping() {
            return Err(Halt::Stopped);
        }
        if cx.now() >= deadline {
            let what = format!("the operation behind {} is still running", poll.method);
            return Err(cx.failure(Reason::TimedOut, what));
        }
        let wait = match error {
            Some(error) => {
                failures += 1;
                patience::pause(cx, failures - 1, &error)
            }
            None => {
                failures = 0;
                pause
            }
        };
        cx.sleep_within(wait, deadline).await;
        if !blocking {
            pause = Millis((pause.0 * 3 / 2).min(10_000));
        }
    }
}

/// Whether the first answer of a mutation says already how it ended.
pub fn at_once(method: &Method, answer: &Json) -> Option<std::result::Result<Json, ApiError>> {
    state(method, answer)
}

/// Whether the first answer of a mutation has the form that the method promises: its operation, or
/// its result. What has another form says nothing about what happened.
pub fn understands(catalog: &Catalog, method: &Method, sent: &Request, answer: &Json) -> bool {
    match method.operation {
        OperationStyle::None => answer.is_object() || answer.is_null(),
        _ if !answer.is_object() => false,
        _ => state(method, answer).is_some() || of_answer(catalog, method, sent, answer).is_some(),
    }
}

/// A document, but not one that the method answers.
pub fn misshapen(json: &Json) -> ApiError {
    let start: String = json.to_string().chars().take(120).collect();
    ApiError {
        class: ErrorClass::Unreadable,
        status: 200,
        reason: "misshapen".into(),
        message: format!("expected an operation or a resource, got `{start}`"),
        retry_after: None,
        details: Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_what_it_was_filled_with() {
        let catalog = Catalog::embedded();
        let args = |id: &str, path: &str| {
            let method = catalog.method(id).expect("a method");
            let sent = Request {
                method: Arc::clone(&method.id),
                verb: method.verb,
                path: path.into(),
                query: Vec::new(),
                headers: Vec::new(),
                body: None,
            };
            let args = args_of(&method, &sent);
            let one = |(k, v): (Arc<str>, Value)| format!("{k}={v}");
            args.into_iter().map(one).collect::<Vec<_>>()
        };
        assert_eq!(
            args(
                "secretmanager.projects.secrets.create",
                "v1/projects/demo/secrets"
            ),
            ["parent=projects/demo", "project=demo"]
        );
        assert_eq!(
            args(
                "secretmanager.projects.secrets.addVersion",
                "v1/projects/demo/secrets/s:addVersion"
            ),
            ["parent=projects/demo/secrets/s", "project=demo", "secret=s"]
        );
        assert_eq!(
            args(
                "compute.instances.stop",
                "compute/v1/projects/demo/zones/z/instances/a%2Db/stop"
            ),
            ["instance=a-b", "project=demo", "zone=z"]
        );
    }
}
