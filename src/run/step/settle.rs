//! Settling: the only way forward from an intent without outcome.
//!
//! It does not matter whether an answer was lost, the process died, or another runner took over.
//! First the operation is looked for, then the target is observed; only when the call demonstrably
//! had no effect is the recorded request sent again, under the recorded id.

use serde_json::Value as Json;

use super::super::mutant::Mutant;
use super::cx::{Cx, Halt};
use super::look::{self, Looked};
use super::operation::{Operation, args_of};
use super::{Result, marks};
use crate::catalog::{
    Collection, InsertId, Method, OperationStyle, RequestId, SettleClass, compare, request,
};
use crate::journal::{Intent, Origin, Reason};
use crate::value::Value;
use crate::wire::Request;
use crate::wire::error::{ApiError, ErrorClass};
use crate::world::{Millis, Timestamp};

/// Reads the target of a recorded request, whatever its step is about by now.
pub fn reads_target(catalog: &crate::catalog::Catalog, sent: &Request) -> Option<Request> {
    let method = catalog.method(&sent.method)?;
    let collection = catalog.collection(&method.collection)?;
    let get = collection.get.as_ref()?;
    let mut args = args_of(&method, sent);
    if let Some(id) = collection.id.as_ref().filter(|id| !args.contains_key(*id)) {
        let in_body = |field: &str| sent.body.as_ref()?.get(field).map(Value::from_json);
        let in_query = |name: &str| {
            let mut query = sent.query.iter();
            query.find(|(n, _)| n == name).map(|(_, v)| Value::str(v))
        };
        let name = match &collection.insert_id {
            InsertId::BodyField(field) | InsertId::EnvelopeField(field) => in_body(field),
            InsertId::QueryParam(param) => in_query(param),
            InsertId::PathParam(_) | InsertId::ServerChosen => None,
        };
        args.insert(std::sync::Arc::clone(id), name?);
    }
    args.retain(|name, _| get.param(name).is_some() || get.parts().contains(name));
    request::build(get, &args, None).ok()
}

/// Whether a call whose answer was lost is simply made again: it leaves the same state, and no resource
/// shows whether it did so already.
pub fn repeats_unseen(catalog: &crate::catalog::Catalog, sent: &Request) -> bool {
    let Some(method) = catalog.method(&sent.method) else {
        return false;
    };
    let collection = catalog.collection(&method.collection);
    let shows_nothing = match role(&method, collection.as_deref()) {
        Role::Other => true,
        Role::Write => collection
            .and_then(|c| c.resource.clone())
            .is_some_and(|resource| {
                let body = sent.body.clone().unwrap_or(Json::Null);
                let none = Default::default();
                let compared = compare::compare(catalog, &resource, &body, &Json::Null, &none);
                !compared.not_comparable.is_empty()
            }),
        Role::Insert | Role::Delete => false,
    };
    method.settle == SettleClass::ConvergingWrite && shows_nothing
}

/// What is known of a call whose answer was lost.
pub enum Settled {
    /// It took effect, as far as anybody can see.
    Done(Origin),
    /// It took effect, says its operation.
    Proved(Json),
    /// An insert whose resource is there: by whom, and which.
    There(Origin, Option<String>),
    /// It is under way.
    Follow(Operation, Origin),
    /// It had no effect: the recorded request may be sent again.
    Unsent,
    /// Nothing shows whether it had an effect; the recorded request may be sent again all the same.
    Unseen,
    /// It was taken, and failed, says its operation.
    Failed(ApiError, Json),
    /// It had no effect: what it was to create is there already, and somebody else's.
    Foreign(ApiError),
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
    /// Whether a repetition was refused because the first one had arrived.
    pub arrived: bool,
    /// When the step gives up.
    pub deadline: Timestamp,
    /// `repeat safe`: the author says that sending it twice does no harm.
    pub repeatable: bool,
}

pub async fn settle(cx: &Cx<'_>, call: &Lost<'_>) -> Result<Settled> {
    let Lost { intent, method, .. } = *call;
    let collection = cx.shared.catalog.collection(&method.collection);
    let role = role(method, collection.as_deref());
    let sql = method.operation == OperationStyle::Sql;
    let mut unlisted = false;
    if sql && role == Role::Write && call.get.is_some() {
        // A finished update may be anybody's: only the fields tell.
        look::until_idle(cx, call).await?;
    } else {
        match look::for_operation(cx, call).await? {
            Looked::None if call.get.is_none() || role == Role::Other => {
                return settle_unseen(cx, call, true);
            }
            Looked::None => unlisted = true,
            Looked::Unseen => {}
            seen => return by_operation(cx, intent, seen),
        }
    }
    if cx.is_mutant(Mutant::SettleSkipsObservation) {
        return Ok(Settled::Unsent);
    }
    let collection = collection.as_deref();
    match (role, call.get) {
        (Role::Insert, Some(get)) => match observe_twice(cx, method, get).await? {
            Some(found) => settle_there(cx, call, collection, &found, unlisted).await,
            None => Ok(Settled::Unsent),
        },
        (Role::Delete, Some(get)) => match observe_twice(cx, method, get).await? {
            None => Ok(Settled::Done(Origin::Presumed)),
            Some(found) if incarnation(&found) == incarnation(&intent.before) => {
                Ok(Settled::Unsent)
            }
            // Another resource of the name: ours is gone.
            Some(_) => Ok(Settled::Done(Origin::Presumed)),
        },
        (Role::Write, Some(get)) => settle_write(cx, call, collection, get).await,
        _ => settle_unseen(cx, call, false),
    }
}

/// What the operation of the call says.
fn by_operation(cx: &Cx<'_>, intent: &Intent, looked: Looked) -> Result<Settled> {
    match looked {
        Looked::Found(operation, origin) => Ok(Settled::Follow(operation, origin)),
        Looked::Done(Origin::Created, operation) => Ok(Settled::Proved(operation)),
        Looked::Done(origin, _) => Ok(Settled::Done(origin)),
        Looked::Failed(error, operation) => Ok(Settled::Failed(error, operation)),
        Looked::Several | Looked::None | Looked::Unseen => Err(undecidable(cx, intent)),
    }
}

/// The resource; absent only when it still is after the time by which reads may lag behind writes.
async fn observe_twice(cx: &Cx<'_>, method: &Method, get: &Request) -> Result<Option<Json>> {
    if let Some(found) = cx.observe(get).await? {
        return Ok(Some(found));
    }
    cx.sleep(cx.shared.catalog.lag(&method.service)).await;
    if cx.stopping() {
        return Err(Halt::Stopped);
    }
    cx.observe(get).await
}

/// Whose the resource is that an insert with a lost answer was to create.
///
/// The run's own mark proves it. A service that lists its operations, and does not list ours, never
/// took the request; and what is there otherwise than we wrote it is not what we wrote.
async fn settle_there(
    cx: &Cx<'_>,
    call: &Lost<'_>,
    collection: Option<&Collection>,
    found: &Json,
    unlisted: bool,
) -> Result<Settled> {
    let Lost { intent, .. } = *call;
    let which = crate::journal::incarnation(found);
    if marks::is_of_run(&cx.shared, found) {
        return Ok(Settled::There(Origin::Created, which));
    }
    let still_listed = age(cx, intent).is_some_and(|a| a < cx.shared.settings.operations_kept);
    if unlisted && !call.accepted && still_listed {
        // Its operation may show a moment after its resource.
        match look::for_operation(cx, call).await? {
            Looked::None => return Ok(Settled::Foreign(foreign(intent))),
            Looked::Several | Looked::Unseen => {}
            seen => return by_operation(cx, intent, seen),
        }
    }
    let equal = collection.is_none_or(|c| as_written(cx, c, intent, found));
    Ok(match equal {
        true => Settled::There(Origin::Presumed, which),
        false => Settled::Foreign(foreign(intent)),
    })
}

fn as_written(cx: &Cx<'_>, collection: &Collection, intent: &Intent, found: &Json) -> bool {
    let Some(resource) = &collection.resource else {
        return true;
    };
    let body = intent.request.body.clone().unwrap_or(Json::Null);
    let written = match &collection.envelope {
        Some(field) => body.get(&**field).cloned().unwrap_or(Json::Null),
        None => body,
    };
    let wanted = marks::without(written);
    compare::differences(&cx.shared.catalog, resource, &wanted, found).is_empty()
}

fn foreign(intent: &Intent) -> ApiError {
    ApiError {
        class: ErrorClass::AlreadyExists,
        status: 409,
        reason: "alreadyExists".into(),
        message: format!(
            "what `{}` was to create is there already, and this run did not create it",
            intent.request.line()
        ),
        retry_after: None,
        details: Json::Null,
    }
}

/// A write whose target changed while its answer was lost.
pub fn overtaken() -> ApiError {
    ApiError {
        class: ErrorClass::Conflict,
        status: 412,
        reason: "conditionNotMet".into(),
        message: "the target changed while the answer was lost".into(),
        retry_after: None,
        details: Json::Null,
    }
}

/// A recorded request that had no effect, and is not sent any more.
pub fn abandoned() -> ApiError {
    ApiError {
        class: ErrorClass::Transient,
        status: 0,
        reason: "abandoned".into(),
        message: "it had no effect, and a rollback gave it up".into(),
        retry_after: None,
        details: Json::Null,
    }
}

async fn settle_write(
    cx: &Cx<'_>,
    call: &Lost<'_>,
    collection: Option<&Collection>,
    get: &Request,
) -> Result<Settled> {
    let Lost { intent, method, .. } = *call;
    let Some(found) = observe_twice(cx, method, get).await? else {
        return Ok(Settled::Overtaken);
    };
    let written = intent.request.body.clone().unwrap_or(Json::Null);
    let compared = collection
        .and_then(|c| c.resource.as_ref())
        .map(|resource| {
            let wanted = without_preconditions(&written);
            let catalog = &cx.shared.catalog;
            compare::compare(catalog, resource, &wanted, &found, &Default::default())
        });
    if let Some(compared) = &compared
        && compared.differences.is_empty()
        && compared.not_comparable.is_empty()
    {
        return Ok(Settled::Done(Origin::Presumed));
    }
    let unmoved = same_version(&found, &intent.before, &written) == Some(true);
    let hidden = compared.is_some_and(|c| c.differences.is_empty());
    // What nobody can see, such as a password, is written again: that leaves the same state.
    let converges = hidden && method.settle == SettleClass::ConvergingWrite;
    Ok(match converges {
        _ if unmoved => Settled::Unsent,
        true => Settled::Unseen,
        false if within_window(cx, call) => Settled::Unsent,
        false => Settled::Overtaken,
    })
}

/// Calls whose effect no resource shows. `looked`: their operations were listed, and ours was not
/// among them.
fn settle_unseen(cx: &Cx<'_>, call: &Lost<'_>, looked: bool) -> Result<Settled> {
    let Lost { intent, method, .. } = *call;
    if call.arrived {
        // The service knows the id of this call: it was taken.
        return Ok(Settled::Done(Origin::Created));
    }
    let replays = matches!(method.request_id, Some(RequestId::Replay(_)));
    let still_listed = age(cx, intent).is_some_and(|a| a < cx.shared.settings.operations_kept);
    match method.settle {
        _ if replays && within_window(cx, call) => Ok(match looked {
            true => Settled::Unsent,
            false => Settled::Unseen,
        }),
        // It was taken, and is over since; whether it succeeded nobody knows any more.
        SettleClass::MatchedOperation if call.accepted => Err(undecidable(cx, intent)),
        SettleClass::MatchedOperation | SettleClass::IdAndOperation
            if looked && still_listed && !call.accepted =>
        {
            Ok(Settled::Unsent)
        }
        SettleClass::ConvergingWrite | SettleClass::Delete | SettleClass::Reads => {
            Ok(Settled::Unseen)
        }
        SettleClass::MatchedOperation
        | SettleClass::IdAndOperation
        | SettleClass::NamedCreate
        | SettleClass::MarkedCreate
        | SettleClass::OnceOnlyResult
        | SettleClass::Unsafe
            if call.repeatable =>
        {
            Ok(Settled::Unseen)
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

/// Whether a repetition under the recorded id is certainly answered with the first one's operation.
fn within_window(cx: &Cx<'_>, call: &Lost<'_>) -> bool {
    let window = cx.shared.catalog.replay_window(&call.method.service);
    matches!(call.method.request_id, Some(RequestId::Replay(_)))
        && call.intent.request_id.is_some()
        && age(cx, call.intent).is_some_and(|a| a < window)
}

/// How long ago the request was made, by the server's clock.
pub fn age(cx: &Cx<'_>, intent: &Intent) -> Option<Millis> {
    intent.server_time.map(|then| cx.server_now().since(then))
}

/// What tells a resource from a later one of the same name.
pub fn incarnation(resource: &Json) -> Option<&Json> {
    ["id", "uid", "createTime", "creationTimestamp"]
        .iter()
        .find_map(|field| resource.get(field).filter(|v| !v.is_null()))
}

/// Whether nothing was written since: the versions that both reads carry are equal. `None` where no
/// version tells; two reads without one are not the same.
fn same_version(found: &Json, before: &Json, written: &Json) -> Option<bool> {
    let only_labels = written.as_object().is_some_and(|body| {
        body.keys()
            .all(|k| k == "labels" || k == "labelFingerprint")
    });
    let label = only_labels.then_some("/labelFingerprint");
    let found_settings = found.pointer("/settings/settingsVersion");
    let settings = found_settings.zip(before.get("settingsVersion"));
    let others = ["/fingerprint", "/etag"]
        .into_iter()
        .chain(label)
        .map(|at| found.pointer(at).zip(before.pointer(at)));
    let mut compared = others.chain([settings]).flatten().peekable();
    compared.peek()?;
    Some(compared.all(|(found, before)| found == before))
}

/// What an intent keeps of the target as it was observed.
pub fn before(
    found: Option<&Json>,
    newest_operation: Option<String>,
    principal: Option<String>,
) -> Json {
    let mut kept = serde_json::Map::new();
    if let Some(found) = found {
        for field in [
            "id",
            "uid",
            "createTime",
            "creationTimestamp",
            "fingerprint",
            "etag",
            "labelFingerprint",
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
    if let Some(user) = principal.filter(|_| kept.contains_key("newestOperation")) {
        kept.insert("user".into(), Json::String(user));
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
        fields.remove("labelFingerprint");
        if let Some(settings) = fields.get_mut("settings").and_then(Json::as_object_mut) {
            settings.remove("settingsVersion");
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_counts_only_when_both_reads_carry_it() {
        let body = json!({ "description": "d" });
        let same = |found: Json, before: Json| same_version(&found, &before, &body);
        let one = json!({ "fingerprint": "a", "id": "1" });
        let two = json!({ "fingerprint": "b", "id": "1" });
        assert_eq!(same(one.clone(), one.clone()), Some(true));
        assert_eq!(same(two, one.clone()), Some(false));
        assert_eq!(same(json!({ "id": "1" }), json!({ "id": "1" })), None);
        assert_eq!(same(one, Json::Null), None);
        let sql = json!({ "etag": "e", "settings": { "settingsVersion": "7" } });
        let kept = before(Some(&sql), Some("op".into()), Some("u@x".into()));
        assert_eq!(kept["user"], "u@x");
        assert_eq!(same(sql, kept.clone()), Some(true));
        let moved = json!({ "etag": "e", "settings": { "settingsVersion": "8" } });
        assert_eq!(same(moved, kept), Some(false));
    }

    #[test]
    fn the_version_of_labels_tells_about_labels_only() {
        let found = json!({ "labelFingerprint": "a" });
        let labels = json!({ "labels": {}, "labelFingerprint": "a" });
        assert_eq!(same_version(&found, &found, &labels), Some(true));
        let more = json!({ "labels": {}, "description": "d" });
        assert_eq!(same_version(&found, &found, &more), None);
        assert_eq!(without_preconditions(&labels), json!({ "labels": {} }));
    }
}
