//! Somebody else, who works on the same resource.

use std::sync::Arc;

use serde_json::json;

use super::death::Foreign;
use crate::catalog::Catalog;
use crate::run::without_marks;
use crate::wire::{Request, Verb};

/// What somebody else sends to the target of a change; `None` when the API has no such method.
pub fn request(catalog: &Catalog, change: &Request, what: Foreign) -> Option<Request> {
    let method = catalog.method(&change.method)?;
    let collection = catalog.collection(&method.collection)?;
    let is = |other: &Option<Arc<crate::catalog::Method>>| {
        other.as_ref().is_some_and(|m| m.id == method.id)
    };
    let inserts = is(&collection.insert);
    if what == Foreign::Insert {
        let mut same = change.clone();
        same.query
            .retain(|(name, _)| name != "requestId" && name != "clientOperationId");
        // Nobody else marks what he makes as this run's.
        same.body = same.body.map(without_marks);
        return inserts.then_some(same);
    }
    let whole =
        inserts || is(&collection.patch) || is(&collection.update) || is(&collection.delete);
    let path = whole.then(|| resource_of(change))?;
    let (wanted, verb, body) = match what {
        Foreign::Delete => (collection.delete.as_ref()?, Verb::Delete, None),
        _ => {
            let schema = catalog.schema(collection.resource.as_ref()?)?;
            let body = match (schema.field("description"), schema.field("labels")) {
                (Some(_), _) => json!({ "description": "by somebody else" }),
                (None, Some(_)) => json!({ "labels": { "by": "somebody-else" } }),
                (None, None) => return None,
            };
            (collection.patch.as_ref()?, Verb::Patch, Some(body))
        }
    };
    Some(Request {
        method: wanted.id.as_ref().into(),
        verb,
        path,
        query: Vec::new(),
        headers: Vec::new(),
        body,
    })
}

/// The path of the resource that a change is about: for an insert the collection's, with the name.
pub fn resource_of(change: &Request) -> String {
    let name = change
        .body
        .as_ref()
        .filter(|_| change.verb == Verb::Post)
        .and_then(|body| body.get("name"))
        .and_then(|name| name.as_str());
    match name {
        Some(name) => format!("{}/{name}", change.path),
        None => change.path.clone(),
    }
}

/// Whether a change is about a resource, or about the collection that it is in.
pub fn touches(path: &str, resource: &str) -> bool {
    let path = path.split('?').next().unwrap_or(path);
    let collection = resource.rsplit_once('/').map_or(resource, |(c, _)| c);
    path.starts_with(resource) || path == collection
}
