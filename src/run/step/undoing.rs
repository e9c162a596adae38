//! Rolling back: what became of open calls, and each call taken back by a call of its own.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::super::shared::Lock;
use super::act::{self, Change, Changed, abandon_call, perform};
use super::cx::{Attempts, Cx, Stepped};
use super::operation::args_of;
use super::target::Target;
use super::write::{add_preconditions, merged, writable};
use super::{Result, again, http, settle};
use crate::catalog::{Collection, Kind, Method, compare, request};
use crate::journal::{Became, Made, Reason, Undo, Verdict, incarnation};
use crate::value::Value;
use crate::wire::Request;
use crate::wire::error::ErrorClass;
use crate::world::Timestamp;

/// Finds out what became of the call that a step left open. Nothing is sent that changes anything.
pub async fn settle_open(cx: &Cx<'_>, undo: Option<&Undo>) -> Result<()> {
    let Some(open) = cx.open_call() else {
        return Ok(());
    };
    let get = match undo {
        Some(Undo::Delete { get, .. } | Undo::Restore { get, .. }) => Some(get.clone()),
        _ => reading(cx, &open.intent().request),
    };
    let deadline = cx.now().plus(cx.shared.settings.step_timeout);
    abandon_call(cx, open, get, deadline).await?;
    Ok(())
}

/// What reads the resource that a request changes.
fn reading(cx: &Cx<'_>, sent: &Request) -> Option<Request> {
    let method = cx.shared.catalog.method(&sent.method)?;
    let collection = cx.shared.catalog.collection(&method.collection)?;
    let get = collection.get.as_ref()?;
    let mut args = args_of(&method, sent);
    if let (Some(id), Some(body)) = (&collection.id, &sent.body)
        && !args.contains_key(id)
    {
        let resource = match &collection.envelope {
            Some(field) => body.get(&**field).unwrap_or(body),
            None => body,
        };
        args.insert(Arc::clone(id), Value::from_json(resource.get("name")?));
    }
    let parts = get.parts();
    args.retain(|name, _| get.param(name).is_some() || parts.contains(name));
    request::build(get, &args, None).ok()
}

/// Takes one call back.
pub async fn take_back(cx: &Cx<'_>) -> Result<Stepped> {
    let made = cx.shared.undoing.borrow().get(&cx.address).cloned();
    let Some(made) = made else {
        return Err(cx.failure(Reason::Failed, "nothing is known of what is to be undone"));
    };
    cx.set_deadline(cx.now().plus(cx.shared.settings.step_timeout));
    let back = Back {
        cx,
        deadline: cx.now().plus(cx.shared.settings.step_timeout),
        made,
    };
    match &back.made.undo {
        Some(Undo::Delete { get, delete }) => back.delete(get, delete).await,
        Some(Undo::Restore { get, fields }) => back.restore(get, fields).await,
        Some(Undo::Request { request }) if &*request.method == "http" => {
            http::take_back(cx, request, back.deadline).await
        }
        Some(Undo::Request { request }) => back.declared(request).await,
        Some(Undo::Protected) | None => Ok(kept("it stays")),
    }
}

fn undone() -> Stepped {
    Stepped::Done(Verdict::Undone, Value::Null)
}

fn kept(why: &str) -> Stepped {
    Stepped::Done(Verdict::Kept, Value::from_json(&json!({ "why": why })))
}

/// What a request is about, and the method by which it is.
struct Aim {
    method: Arc<Method>,
    target: Target,
}

struct Back<'a, 'p> {
    cx: &'a Cx<'p>,
    made: Rc<Made>,
    deadline: Timestamp,
}

impl<'p> Back<'_, 'p> {
    fn method(&self, request: &Request) -> Result<Arc<Method>> {
        self.cx
            .shared
            .catalog
            .method(&request.method)
            .ok_or_else(|| {
                let what = format!("the catalogue no longer has `{}`", request.method);
                self.cx.failure(Reason::Decision, what)
            })
    }

    fn target(&self, request: &Request) -> Result<Aim> {
        let method = self.method(request)?;
        let target = Target::of_request(&self.cx.shared.catalog, &method, request);
        Ok(Aim { method, target })
    }

    /// Waits until nobody else of this run works where the request does.
    async fn alone(&self, aim: &Aim, request: &Request) -> Lock<'p> {
        let body = request.body.as_ref().map(Value::from_json);
        let domains = aim.target.domains_with(&self.cx.address, body.as_ref());
        self.cx.lock(domains).await
    }

    /// Carries on the call that an earlier process of the rollback left open; says whether it did it.
    async fn finished_before(&self, get: Option<&Request>) -> Result<bool> {
        if self.cx.made_call().is_some() {
            return Ok(true);
        }
        let Some(open) = self.cx.open_call() else {
            return Ok(false);
        };
        let target = self.target(&open.intent().request)?;
        let changed = act::resume_call(self.cx, None, open, get.cloned(), self.deadline).await?;
        self.judge(changed, &target, &mut Attempts::default()).await
    }

    /// Whether a call did it; if not, it is worth another try.
    async fn judge(&self, changed: Changed, target: &Aim, refusals: &mut Attempts) -> Result<bool> {
        let Aim { method, target } = target;
        match changed {
            Changed::Done { .. } => Ok(true),
            Changed::Stale => Ok(false),
            // It is gone: by an earlier sending, by somebody else, or since it never came to be.
            Changed::Refused(error) if error.class == ErrorClass::NotFound => Ok(true),
            Changed::Refused(error) => {
                let tried = again::Tried {
                    method,
                    target,
                    deadline: self.deadline,
                };
                again::forgive(self.cx, &error, tried, refusals).await?;
                Ok(false)
            }
        }
    }

    /// Deletes what the call created, if it is still that: by its number, where the API takes one.
    async fn delete(&self, get: &Request, delete: &Request) -> Result<Stepped> {
        let aim = self.target(delete)?;
        let method = &aim.method;
        let _lock = self.alone(&aim, delete).await;
        if self.finished_before(Some(get)).await? {
            return Ok(undone());
        }
        let mut refusals = Attempts::default();
        loop {
            let Some(found) = self.cx.observe(get).await? else {
                return Ok(undone());
            };
            let there = incarnation(&found);
            if let (Some(ours), Some(there)) = (self.incarnation(), &there)
                && ours != there
            {
                return Ok(kept(
                    "another resource has its name now; it is not this run's",
                ));
            }
            let by_number = there.and_then(|number| numbered(method, delete, &number));
            let change = self.change(
                method,
                by_number.unwrap_or_else(|| delete.clone()),
                Some(get.clone()),
                Some(&found),
            );
            let changed = perform(self.cx, None, change).await?;
            if self.judge(changed, &aim, &mut refusals).await? {
                return Ok(undone());
            }
        }
    }

    fn incarnation(&self) -> Option<&String> {
        match &self.made.became {
            Became::Took { incarnation, .. } | Became::Broken { incarnation } => {
                incarnation.as_ref()
            }
            Became::Open | Became::Nothing => None,
        }
    }

    fn change<'m>(
        &self,
        method: &'m Method,
        request: Request,
        get: Option<Request>,
        found: Option<&Json>,
    ) -> Change<'m> {
        Change {
            method,
            request,
            get,
            before: settle::before(found, None, self.cx.shared.principal.borrow().clone()),
            guarded: self.cx.now(),
            deadline: self.deadline,
            undo: None,
        }
    }

    /// Puts back the fields that the call changed, if they are still as it wrote them.
    async fn restore(&self, get: &Request, fields: &Json) -> Result<Stepped> {
        let sent = &self.made.intent.request;
        let aim = self.target(sent)?;
        let method = &aim.method;
        let _lock = self.alone(&aim, sent).await;
        let collection = self.cx.shared.catalog.collection(&method.collection);
        let Some(collection) = collection else {
            return Err(self
                .cx
                .failure(Reason::Decision, "the catalogue lost its collection"));
        };
        if self.finished_before(Some(get)).await? {
            return Ok(undone());
        }
        let writing = Writing {
            cx: self.cx,
            method,
            collection: &collection,
            sent,
        };
        let mut refusals = Attempts::default();
        loop {
            let Some(found) = self.cx.observe(get).await? else {
                return Ok(kept("it is gone, so nothing can be put back"));
            };
            if writing.is_as(fields, &found) {
                return Ok(undone());
            }
            if !writing.is_as(&in_shape(fields, &writing.resource()), &found) {
                return Ok(kept("somebody has changed it since"));
            }
            let request = writing.back(fields, &found);
            let change = self.change(method, request, Some(get.clone()), Some(&found));
            let changed = perform(self.cx, None, change).await?;
            if self.judge(changed, &aim, &mut refusals).await? {
                return Ok(undone());
            }
        }
    }

    /// What the flow says takes it back. The version that a change must carry is that of now.
    async fn declared(&self, recorded: &Request) -> Result<Stepped> {
        let aim = self.target(recorded)?;
        let method = &aim.method;
        let _lock = self.alone(&aim, recorded).await;
        let get = reading(self.cx, recorded);
        if self.finished_before(get.as_ref()).await? {
            return Ok(undone());
        }
        let mut refusals = Attempts::default();
        loop {
            let found = match &get {
                Some(get) => self.cx.observe(get).await?,
                None => None,
            };
            let mut request = recorded.clone();
            if let (Some(body), Some(found)) = (&mut request.body, &found) {
                with_versions(body, found);
            }
            let change = self.change(method, request, get.clone(), found.as_ref());
            let changed = perform(self.cx, None, change).await?;
            if self.judge(changed, &aim, &mut refusals).await? {
                return Ok(undone());
            }
        }
    }
}

/// The same deletion by the resource's number instead of its name: nobody else's resource has it.
fn numbered(method: &Method, delete: &Request, number: &str) -> Option<Request> {
    let last = method.path_params().last()?;
    let Kind::String {
        pattern: Some(pattern),
        ..
    } = &last.kind
    else {
        return None;
    };
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    let takes = regex::Regex::new(&format!("^(?:{pattern})$")).ok()?;
    if !digits || !takes.is_match(number) || !method.path.ends_with(&format!("{{{}}}", last.name)) {
        return None;
    }
    let (around, _) = delete.path.rsplit_once('/')?;
    Some(Request {
        path: format!("{around}/{number}"),
        ..delete.clone()
    })
}

/// Fingerprints and versions in a body, as they are now.
fn with_versions(body: &mut Json, found: &Json) {
    let Some(fields) = body.as_object_mut() else {
        return;
    };
    for name in ["fingerprint", "etag", "labelFingerprint", "settingsVersion"] {
        if let (Some(held), Some(now)) = (fields.get_mut(name), found.get(name)) {
            *held = now.clone();
        }
    }
    if let (Some(inner), Some(found)) = (fields.get_mut("settings"), found.get("settings")) {
        with_versions(inner, found);
    }
}

/// A write that is to be taken back.
struct Writing<'a, 'p> {
    cx: &'a Cx<'p>,
    method: &'a Method,
    collection: &'a Collection,
    sent: &'a Request,
}

impl Writing<'_, '_> {
    /// The field of the request that holds the resource, where it is no resource itself.
    fn holder(&self) -> Option<Arc<str>> {
        let resource = self.collection.resource.as_ref()?;
        let request = self.method.request.as_ref().filter(|r| *r != resource)?;
        let schema = self.cx.shared.catalog.schema(request)?;
        let held = schema
            .fields
            .iter()
            .find(|(_, field)| matches!(&field.kind, Kind::Schema(id) if id == resource));
        held.map(|(name, _)| Arc::clone(name))
    }

    /// What was written.
    fn resource(&self) -> Json {
        let body = self.sent.body.clone().unwrap_or(Json::Null);
        match self.holder() {
            Some(name) => body.get(&*name).cloned().unwrap_or(Json::Null),
            None => body,
        }
    }

    /// Whether these fields have these values now.
    fn is_as(&self, fields: &Json, found: &Json) -> bool {
        let resource = self.collection.resource.as_ref();
        resource.is_some_and(|id| {
            compare::differences(&self.cx.shared.catalog, id, fields, found).is_empty()
        })
    }

    /// The request that writes the old values: as the one that wrote the new ones.
    fn back(&self, fields: &Json, found: &Json) -> Request {
        let catalog = &self.cx.shared.catalog;
        let patches = self
            .collection
            .patch
            .as_ref()
            .is_some_and(|p| p.id == self.method.id);
        let mut body = match &self.collection.resource {
            Some(id) if !patches => writable(catalog, id, &without_nulls(merged(found, fields))),
            _ => fields.clone(),
        };
        if let Some(id) = &self.collection.resource {
            add_preconditions(catalog, id, found, &mut body);
        }
        let mut request = self.sent.clone();
        if let Some(id) = &self.method.request_id {
            request.query.retain(|(name, _)| **name != **id.param());
        }
        let body = match (self.holder(), self.sent.body.clone()) {
            (Some(name), Some(Json::Object(mut outer))) => {
                outer.insert(name.to_string(), body);
                Json::Object(outer)
            }
            _ => body,
        };
        request.body = Some(body);
        request
    }
}

/// The part of `from` that has the shape of `fields`.
fn in_shape(fields: &Json, from: &Json) -> Json {
    match (fields, from) {
        (Json::Object(fields), Json::Object(from)) => Json::Object(
            fields
                .iter()
                .map(|(name, inner)| {
                    let there = from.get(name).unwrap_or(&Json::Null);
                    (name.clone(), in_shape(inner, there))
                })
                .collect::<Map<_, _>>(),
        ),
        _ => from.clone(),
    }
}

fn without_nulls(json: Json) -> Json {
    match json {
        Json::Object(fields) => Json::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::wire::Verb;

    fn delete(method: &str, path: &str) -> (Arc<Method>, Request) {
        let method = Catalog::embedded().method(method).expect("a method");
        let request = Request {
            method: Arc::clone(&method.id),
            verb: Verb::Delete,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        };
        (method, request)
    }

    #[test]
    fn a_deletion_names_the_number_where_the_api_takes_one() {
        let (method, request) = delete(
            "compute.images.delete",
            "compute/v1/projects/p/global/images/i",
        );
        let by_number = numbered(&method, &request, "4711").expect("takes a number");
        assert_eq!(by_number.path, "compute/v1/projects/p/global/images/4711");
        assert!(numbered(&method, &request, "2026-01-01T00:00:00Z").is_none());
        let (method, request) = delete("sqladmin.instances.delete", "v1/projects/p/instances/db");
        assert!(numbered(&method, &request, "4711").is_none());
    }

    #[test]
    fn versions_are_those_of_now() {
        let mut body =
            json!({ "fingerprint": "old", "settings": { "settingsVersion": "1", "tier": "a" } });
        with_versions(
            &mut body,
            &json!({ "fingerprint": "new", "etag": "e", "settings": { "settingsVersion": "2" } }),
        );
        assert_eq!(
            body,
            json!({ "fingerprint": "new", "settings": { "settingsVersion": "2", "tier": "a" } })
        );
    }

    #[test]
    fn what_was_written_is_looked_at_in_the_shape_of_what_was_there() {
        let fields = json!({ "a": null, "b": { "c": 1 } });
        let written = json!({ "a": { "x": 1 }, "b": { "c": 2, "d": 3 }, "fingerprint": "f" });
        assert_eq!(
            in_shape(&fields, &written),
            json!({ "a": { "x": 1 }, "b": { "c": 2 } })
        );
    }
}
