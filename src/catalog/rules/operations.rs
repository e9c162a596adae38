//! How one learns that an accepted request has taken effect.

use std::sync::Arc;

use super::super::model::{Method, OperationScope, OperationStyle};

/// `method_ids` are all ids of the service, from which the method that reads an operation is picked.
pub(in crate::catalog) fn operation(method: &Method, method_ids: &[Arc<str>]) -> OperationStyle {
    let Some(response) = method.response.as_ref().filter(|_| !method.reads) else {
        return OperationStyle::None;
    };
    if &*method.id == "dns.changes.create" {
        return OperationStyle::Dns {
            get: "dns.changes.get".into(),
        };
    }
    let get = || nearest_get(method, method_ids);
    match (&*method.service, &*response.name) {
        ("compute", "Operation") => OperationStyle::Compute(compute_scope(&method.path)),
        ("sqladmin", "Operation") => OperationStyle::Sql,
        ("dns", "Operation") => OperationStyle::Dns {
            get: "dns.managedZoneOperations.get".into(),
        },
        ("container", "Operation") => match get() {
            Some(get) => OperationStyle::Container { get },
            None => OperationStyle::None,
        },
        (_, "Operation" | "GoogleLongrunningOperation") => match get() {
            Some(get) => OperationStyle::LongRunning { get },
            None => OperationStyle::None,
        },
        _ => OperationStyle::None,
    }
}

fn compute_scope(path: &str) -> OperationScope {
    if path.contains("/zones/{zone}/") {
        OperationScope::Zone
    } else if path.contains("/regions/{region}/") {
        OperationScope::Region
    } else if path.contains("projects/{project}") {
        OperationScope::Global
    } else {
        OperationScope::Organization
    }
}

/// The `operations.get` whose collection shares the most segments with the method's, the shortest
/// of these.
fn nearest_get(method: &Method, method_ids: &[Arc<str>]) -> Option<Arc<str>> {
    let own: Vec<&str> = method.collection.split('.').collect();
    let shared = |id: &str| id.split('.').zip(&own).take_while(|(a, b)| a == *b).count();
    method_ids
        .iter()
        .filter(|id| id.ends_with(".operations.get"))
        .max_by_key(|id| (shared(id), std::cmp::Reverse(id.len())))
        .cloned()
}
