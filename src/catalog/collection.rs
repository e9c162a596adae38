//! Collections: which methods keep a resource, and how one of them is named on every way.

use std::sync::Arc;

use super::full_name::FullName;
use super::model::{
    Collection, IdentityParam, IdentitySource, InsertId, Kind, Method, Param, Place, Schema,
};
use super::service::Service;

/// Collections where the id of a resource is not the last path parameter of `get`.
const ID_PARAM: &[(&str, &str)] = &[
    // rrsets/{name}/{type}: people name the record, and say its type beside it.
    ("dns.resourceRecordSets", "name"),
];

/// Collections whose server picks the name although the body has a field for it.
const SERVER_CHOSEN: &[&str] = &[
    "cloudresourcemanager.folders",
    "cloudresourcemanager.liens",
    "cloudresourcemanager.tagKeys",
    "cloudresourcemanager.tagValues",
    // Policies of organizations and folders are named by a number; `shortName` is the caller's.
    "compute.firewallPolicies",
    "compute.organizationSecurityPolicies",
    "dns.changes",
    "iam.projects.serviceAccounts.keys",
    "monitoring.projects.alertPolicies",
    "monitoring.projects.groups",
    "monitoring.projects.notificationChannels",
    "monitoring.projects.snoozes",
    "monitoring.projects.uptimeCheckConfigs",
    "sqladmin.backupRuns",
    "sqladmin.sslCerts",
    "storage.anywhereCaches",
    "storage.notifications",
    "storage.projects.hmacKeys",
    "storage.rapidCaches",
];

/// Collections whose id travels in a body field of another name than the id or `name`.
const BODY_FIELD: &[(&str, &str)] = &[
    ("cloudresourcemanager.projects", "projectId"),
    ("dns.responsePolicies", "responsePolicyName"),
    ("dns.responsePolicyRules", "ruleName"),
    ("monitoring.projects.metricDescriptors", "type"),
];

/// Query parameters that several methods share without being part of an identity.
fn is_identity_query(param: &Param) -> bool {
    let name = &*param.name;
    let precondition = name.starts_with("if");
    let shared = [
        "generation",
        "updateMask",
        "requestId",
        "clientOperationId",
        "userProject",
        "view",
        "name",
    ];
    !param.deprecated && !precondition && !shared.contains(&name)
}

pub(super) fn collection(service: &Service, path: &Arc<str>) -> Collection {
    let method = |name: &str| {
        service
            .method(&format!("{path}.{name}"))
            .filter(|m| m.collection == *path)
    };
    let get = method("get");
    let insert = method("insert").or_else(|| method("create"));
    let patch = method("patch");
    let mut update = method("update");
    // A few services call their merging PATCH `update`.
    let merging = |m: &Arc<Method>| m.verb == crate::wire::Verb::Patch;
    let patch = match (patch, &update) {
        (None, Some(m)) if merging(m) => update.take(),
        (patch, _) => patch,
    };
    let delete = method("delete");
    let full_name = get.as_deref().and_then(full_name_of);
    let id = id_name(path, get.as_deref(), full_name.as_deref());
    let (insert_id, envelope) = naming(service, path);
    let identity = identity(
        get.as_deref(),
        insert.as_deref(),
        [update.as_deref().or(patch.as_deref()), delete.as_deref()],
        id.as_deref(),
        &insert_id,
    );
    let prefix = format!("{path}.");
    let methods = service
        .methods()
        .iter()
        .filter_map(|m| m.strip_prefix(&prefix))
        .filter(|rest| !rest.contains('.'))
        .map(Arc::from)
        .collect();
    Collection {
        service: Arc::clone(&service.info().name),
        resource: get
            .as_ref()
            .and_then(|g| g.response.clone())
            .or_else(|| insert.as_ref().and_then(|i| i.request.clone())),
        list: method("list"),
        aggregated_list: method("aggregatedList"),
        path: Arc::clone(path),
        get,
        insert,
        patch,
        update,
        delete,
        methods,
        id,
        identity,
        insert_id,
        envelope,
        full_name,
    }
}

fn full_name_of(method: &Method) -> Option<Arc<FullName>> {
    let mut path = method.path_params();
    let only = path.next()?;
    if path.next().is_some() {
        return None;
    }
    only.full_name.clone()
}

fn id_name(path: &str, get: Option<&Method>, full: Option<&FullName>) -> Option<Arc<str>> {
    if let Some(row) = ID_PARAM.iter().find(|row| row.0 == path) {
        return Some(row.1.into());
    }
    match full {
        Some(full) => full.last().cloned(),
        None => Some(Arc::clone(&get?.path_params().last()?.name)),
    }
}

fn identity(
    get: Option<&Method>,
    insert: Option<&Method>,
    writers: [Option<&Method>; 2],
    id: Option<&str>,
    insert_id: &InsertId,
) -> Vec<IdentityParam> {
    let Some(get) = get else {
        return Vec::new();
    };
    if let Some(full) = full_name_of(get) {
        return full
            .values()
            .map(|name| IdentityParam {
                name: Arc::clone(name),
                source: IdentitySource::FullName,
                body_field: None,
            })
            .collect();
    }
    let lacks = |name: &str| insert.is_some_and(|i| i.param(name).is_none());
    let body_field = |name: &Arc<str>| match insert_id {
        _ if !lacks(name) => None,
        InsertId::BodyField(field) if Some(&**name) == id => Some(Arc::clone(field)),
        InsertId::ServerChosen | InsertId::QueryParam(_) | InsertId::EnvelopeField(_) => None,
        _ if Some(&**name) == id => None,
        _ => Some(Arc::clone(name)),
    };
    let mut members: Vec<IdentityParam> = get
        .path_params()
        .map(|p| IdentityParam {
            name: Arc::clone(&p.name),
            source: IdentitySource::Path,
            body_field: body_field(&p.name),
        })
        .collect();
    let shared = |p: &&Param| {
        let name = &*p.name;
        let in_writers = writers
            .iter()
            .all(|m| m.is_some_and(|m| m.param(name).is_some_and(|p| p.place == Place::Query)));
        is_identity_query(p) && lacks(name) && in_writers
    };
    members.extend(get.query_params().filter(shared).map(|p| IdentityParam {
        name: Arc::clone(&p.name),
        source: IdentitySource::QueryShared,
        body_field: body_field(&p.name),
    }));
    members
}

/// How a create of this collection names its resource.
pub(super) fn insert_id(service: &Service, path: &str) -> InsertId {
    naming(service, path).0
}

fn bare(service: &Service, path: &str, names: &[&str]) -> Option<Method> {
    names
        .iter()
        .find_map(|name| service.bare_method(&format!("{path}.{name}")))
}

fn naming(service: &Service, path: &str) -> (InsertId, Option<Arc<str>>) {
    let Some(insert) = bare(service, path, &["insert", "create"]) else {
        return (InsertId::ServerChosen, None);
    };
    let get = bare(service, path, &["get"]);
    let request = insert
        .request
        .as_ref()
        .and_then(|r| service.schema(&r.name));
    let resource_name = get.as_ref().and_then(|g| g.response.clone());
    let envelope = request
        .as_deref()
        .filter(|_| insert.request != resource_name)
        .and_then(|request| envelope(request, resource_name.as_ref().map(|r| &*r.name)));
    if SERVER_CHOSEN.contains(&path) {
        return (InsertId::ServerChosen, envelope);
    }
    let full = get.as_ref().and_then(full_name_of);
    let id = id_name(path, get.as_ref(), full.as_deref());
    let way = travelling(path, &insert, full.as_deref(), id.as_deref())
        .or_else(|| {
            let resource = match &envelope {
                Some(_) => resource_name.as_ref().and_then(|r| service.schema(&r.name)),
                None => request.clone(),
            };
            body_way(
                path,
                request.as_deref(),
                envelope.is_some(),
                resource.as_deref(),
                id.as_deref(),
            )
        })
        .unwrap_or(InsertId::ServerChosen);
    (way, envelope)
}

/// The id in the path or the query of insert.
fn travelling(
    path: &str,
    insert: &Method,
    full: Option<&FullName>,
    id: Option<&str>,
) -> Option<InsertId> {
    let same_name = insert
        .path_params()
        .find(|p| full.is_some() && p.full_name.as_deref() == full);
    if let Some(param) = same_name {
        return Some(InsertId::PathParam(Arc::clone(&param.name)));
    }
    let last = path.rsplit('.').next().unwrap_or(path);
    let by_rule = insert.query_params().find(|p| {
        let stem = p.name.strip_suffix("Id").unwrap_or("");
        let counts = !matches!(
            stem,
            "" | "request" | "clientOperation" | "project" | "parent"
        );
        counts
            && (last.to_lowercase().contains(&stem.to_lowercase())
                || stem.ends_with(|c: char| c.is_lowercase()))
    });
    let named = || {
        let id = id?;
        insert.query_params().find(|p| &*p.name == id)
    };
    by_rule
        .or_else(named)
        .map(|p| InsertId::QueryParam(Arc::clone(&p.name)))
}

/// The id in the body: a table row, `name`, or a field named like the id (only then: `address` of an
/// address is its number, not its name); in an envelope, a field beside the resource that ends in `Id`.
fn body_way(
    path: &str,
    request: Option<&Schema>,
    in_envelope: bool,
    resource: Option<&Schema>,
    id: Option<&str>,
) -> Option<InsertId> {
    if let Some(row) = BODY_FIELD.iter().find(|row| row.0 == path) {
        return Some(InsertId::BodyField(row.1.into()));
    }
    if in_envelope {
        let beside = request?.fields.keys().find(|name| {
            let stem = name.strip_suffix("Id").unwrap_or("");
            !matches!(stem, "" | "project" | "cluster")
        });
        if let Some(name) = beside {
            return Some(InsertId::EnvelopeField(Arc::clone(name)));
        }
    }
    let resource = resource?;
    let writable = |name: &str| resource.field(name).is_some_and(|f| !f.output_only);
    let field = ["name", id.unwrap_or("name")]
        .into_iter()
        .find(|n| writable(n))?;
    Some(InsertId::BodyField(field.into()))
}

/// The field of a request that holds the resource.
fn envelope(request: &Schema, resource: Option<&str>) -> Option<Arc<str>> {
    let resource = resource?;
    request
        .fields
        .iter()
        .find(|(_, field)| matches!(&field.kind, Kind::Schema(id) if &*id.name == resource))
        .map(|(name, _)| Arc::clone(name))
}

/// Whether the resource has labels or annotations that can hold a mark.
pub(super) fn is_markable(service: &Service, path: &str) -> bool {
    let resource = bare(service, path, &["insert", "create"])
        .and_then(|m| m.request)
        .and_then(|r| service.schema(&r.name));
    let marks = ["labels", "userLabels", "annotations"];
    resource.is_some_and(|schema| {
        marks
            .iter()
            .any(|name| schema.field(name).is_some_and(|f| !f.output_only))
    })
}
