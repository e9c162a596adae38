//! The marks of a run: labels on what it creates, which tell whose it is.
//!
//! They are given at creation only. Flows do not write them, so that they make no difference to an
//! `ensure`, and a later run leaves them as they are.

use serde_json::{Map, Value as Json, json};

use super::super::shared::Shared;
use super::cx::Cx;
use super::settle::{Role, role};
use crate::catalog::{Collection, Method};

/// The environment of the run that created a resource.
const ENVIRONMENT: &str = "r5flow-environment";
/// The run that created it.
const RUN: &str = "r5flow-run";

/// The body of an insert with the marks of this run, where its resource can carry them.
pub fn on_insert(cx: &Cx<'_>, method: &Method, body: Option<Json>) -> Option<Json> {
    let mut body = body?;
    let collection = cx.shared.catalog.collection(&method.collection);
    if let Some(collection) = collection.filter(|c| role(method, Some(c)) == Role::Insert) {
        put(cx, &collection, &mut body);
    }
    Some(body)
}

/// Puts the marks into the body of an insert.
pub fn put(cx: &Cx<'_>, collection: &Collection, body: &mut Json) {
    let Some(marks) = of_run(&cx.shared).filter(|_| !cx.planning()) else {
        return;
    };
    if !cx.shared.catalog.takes_labels(collection) {
        return;
    }
    let resource = match &collection.envelope {
        Some(field) => body.get_mut(&**field),
        None => Some(body),
    };
    let Some(resource) = resource.and_then(Json::as_object_mut) else {
        return;
    };
    let labels = resource.entry("labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        for (name, value) in marks {
            labels.entry(name).or_insert(Json::String(value));
        }
    }
}

fn of_run(shared: &Shared<'_>) -> Option<[(&'static str, String); 2]> {
    let started = shared.past.started.as_ref()?;
    shared.settings.marks.then(|| {
        [
            (ENVIRONMENT, label(&started.environment)),
            (RUN, label(&started.run)),
        ]
    })
}

/// Whether a resource carries the mark of this run.
pub fn is_of_run(shared: &Shared<'_>, resource: &Json) -> bool {
    let run = shared.past.started.as_ref().map(|s| label(&s.run));
    marked_run(resource).is_some_and(|marked| run.as_deref() == Some(marked))
}

/// The run whose mark a resource carries, as its label says it.
pub fn marked_run(resource: &Json) -> Option<&str> {
    resource.get("labels")?.get(RUN)?.as_str()
}

/// A body without the marks, which say nothing of what the flow wants.
pub fn without(mut body: Json) -> Json {
    if let Some(labels) = body.get_mut("labels").and_then(Json::as_object_mut) {
        let kept: Map<String, Json> = std::mem::take(labels)
            .into_iter()
            .filter(|(name, _)| name != ENVIRONMENT && name != RUN)
            .collect();
        *labels = kept;
    }
    body
}

/// A text as the value of a label: lower case letters, digits, `_` and `-`, 63 at most
/// (cloud.google.com/compute/docs/labeling-resources#requirements).
fn label(text: &str) -> String {
    text.to_lowercase()
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '_' | '-' => c,
            _ => '-',
        })
        .take(63)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_of_an_environment_makes_a_label() {
        assert_eq!(label("Production/EU west"), "production-eu-west");
        assert_eq!(label("ÄB"), "-b");
        assert_eq!(label(&"x".repeat(80)).len(), 63);
    }

    #[test]
    fn what_the_flow_wants_has_no_marks() {
        let body =
            json!({ "labels": { "r5flow-run": "a", "r5flow-environment": "b", "role": "web" } });
        assert_eq!(without(body), json!({ "labels": { "role": "web" } }));
    }
}
