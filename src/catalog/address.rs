//! The identity of a resource on its way into the methods of its collection.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map as JsonMap, Value as Json};

use super::{Collection, InsertId, Method};
use crate::value::Value;

/// Arguments by name: path and query parameters, and parts of full names.
pub type Args = BTreeMap<Arc<str>, Value>;

/// Those of `values` that a method takes: what get, patch, update and delete want of an identity.
pub fn args_for(method: &Method, values: &Args) -> Args {
    let parts = method.parts();
    values
        .iter()
        .filter(|(name, _)| method.param(name).is_some() || parts.contains(name))
        .map(|(name, value)| (Arc::clone(name), value.clone()))
        .collect()
}

/// The arguments and the body that create a resource: the id goes where the collection wants it,
/// and other parts of the identity that insert has no parameter for go into the body.
///
/// `values` holds the identity by its names, and what else insert takes (`project` of
/// `storage.buckets`). `None` when the collection cannot create under a given name, or when the id
/// is missing.
pub fn for_insert(collection: &Collection, values: &Args, resource: Json) -> Option<(Args, Json)> {
    let insert = collection.insert.as_ref()?;
    let id_name = collection.id.as_ref()?;
    let id = on_insert(collection, values.get(id_name)?);
    let mut args = args_for(insert, values);
    let mut resource = match resource {
        Json::Object(fields) => fields,
        _ => JsonMap::new(),
    };
    for member in &collection.identity {
        if let (Some(field), Some(value)) = (&member.body_field, values.get(&member.name)) {
            resource.insert(field.to_string(), json(value));
        }
    }
    let mut around = JsonMap::new();
    match &collection.insert_id {
        InsertId::BodyField(field) => {
            resource.insert(field.to_string(), json(&id));
        }
        InsertId::EnvelopeField(field) => {
            around.insert(field.to_string(), json(&id));
        }
        InsertId::QueryParam(param) => {
            args.insert(Arc::clone(param), id);
        }
        InsertId::PathParam(param) => {
            args.insert(Arc::clone(param), id);
        }
        InsertId::ServerChosen => return None,
    }
    let body = match &collection.envelope {
        Some(field) => {
            around.insert(field.to_string(), Json::Object(resource));
            around
        }
        None => resource,
    };
    Some((args, Json::Object(body)))
}

fn on_insert(collection: &Collection, id: &Value) -> Value {
    match id {
        Value::Str(text) => Value::str(collection.id_on_insert(text)),
        other => other.clone(),
    }
}

fn json(value: &Value) -> Json {
    match value {
        later if later.is_later() => Json::String(later.to_string()),
        known => known.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Catalog, request};
    use super::*;

    fn insert(path: &str, values: &[(&str, &str)], resource: Json) -> (String, Json) {
        let collection = Catalog::embedded().collection(path).expect("exists");
        let values: Args = values
            .iter()
            .map(|(name, value)| (Arc::from(*name), Value::str(value)))
            .collect();
        let (args, body) = for_insert(&collection, &values, resource).expect("can be created");
        let method = collection.insert.clone().expect("has insert");
        let request = request::build(&method, &args, Some(body)).expect("fits");
        (request.line(), request.body.expect("a body"))
    }

    #[test]
    fn ids_go_where_each_service_wants_them() {
        let p = ("project", "p");
        let cases = [
            (
                insert(
                    "compute.images",
                    &[p, ("image", "i")],
                    json!({"family": "f"}),
                ),
                "POST compute/v1/projects/p/global/images",
                json!({"family": "f", "name": "i"}),
            ),
            (
                insert(
                    "compute.addresses",
                    &[p, ("region", "r"), ("address", "a")],
                    json!({}),
                ),
                "POST compute/v1/projects/p/regions/r/addresses",
                json!({"name": "a"}),
            ),
            (
                insert(
                    "sqladmin.users",
                    &[p, ("instance", "db"), ("name", "red5"), ("host", "%")],
                    json!({"password": "x"}),
                ),
                "POST v1/projects/p/instances/db/users",
                json!({"password": "x", "name": "red5", "host": "%"}),
            ),
            (
                insert(
                    "run.services",
                    &[p, ("location", "l"), ("service", "s")],
                    json!({}),
                ),
                "POST v2/projects/p/locations/l/services?serviceId=s",
                json!({}),
            ),
            (
                insert(
                    "container.projects.locations.clusters",
                    &[p, ("location", "l"), ("cluster", "c")],
                    json!({}),
                ),
                "POST v1/projects/p/locations/l/clusters",
                json!({"cluster": {"name": "c"}}),
            ),
            (
                insert(
                    "iam.projects.serviceAccounts",
                    &[p, ("serviceAccount", "sm@p.iam.gserviceaccount.com")],
                    json!({}),
                ),
                "POST v1/projects/p/serviceAccounts",
                json!({"accountId": "sm", "serviceAccount": {}}),
            ),
            (
                insert("pubsub.topics", &[p, ("topic", "t")], json!({})),
                "PUT v1/projects/p/topics/t",
                json!({}),
            ),
            (
                insert("storage.buckets", &[p, ("bucket", "b")], json!({})),
                "POST storage/v1/b?project=p",
                json!({"name": "b"}),
            ),
            (
                insert(
                    "dns.resourceRecordSets",
                    &[
                        p,
                        ("managedZone", "z"),
                        ("name", "a.example."),
                        ("type", "A"),
                    ],
                    json!({"ttl": 300}),
                ),
                "POST dns/v1/projects/p/managedZones/z/rrsets",
                json!({"ttl": 300, "name": "a.example.", "type": "A"}),
            ),
        ];
        for ((line, body), expected_line, expected_body) in cases {
            assert_eq!(line, expected_line);
            assert_eq!(body, expected_body, "{line}");
        }
    }

    /// Every collection that flows may ensure can be created, read and, where it has the methods,
    /// changed and deleted from its identity alone.
    #[test]
    fn an_identity_reaches_every_method() {
        let catalog = Catalog::embedded();
        let services: Vec<String> = catalog.services().map(|s| s.name.to_string()).collect();
        let mut lacking = Vec::new();
        for path in services.iter().flat_map(|s| catalog.collections(s)) {
            let collection = catalog.collection(&path).expect("exists");
            if !collection.can_ensure() {
                continue;
            }
            let mut values: Args = ["project", "region", "zone", "location", "projectId"]
                .map(|name| (Arc::from(name), Value::later("x")))
                .into();
            for member in &collection.identity {
                values.insert(Arc::clone(&member.name), Value::later("x"));
            }
            let insert = for_insert(&collection, &values, json!({})).map(|(args, _)| args);
            let ways = [
                (&collection.get, None),
                (&collection.patch, None),
                (&collection.update, None),
                (&collection.delete, None),
                (&collection.insert, insert),
            ];
            for (method, args) in ways {
                let Some(method) = method else {
                    continue;
                };
                let args = args.unwrap_or_else(|| args_for(method, &values));
                if let Err(problems) = request::build(method, &args, None) {
                    lacking.push(format!("{}: {}", method.id, problems[0].message));
                }
            }
        }
        // The one insert that wants more than an identity outside its body.
        let known = "compute.nodeGroups.insert: `compute.nodeGroups.insert` needs `initialNodeCount`; write \
                     `initialNodeCount: …`";
        assert_eq!(lacking, [known]);
    }
}
