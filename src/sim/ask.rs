//! One call, understood: the method, what it addresses, and its checked body.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::conform;
use super::refs;
use super::refusal::Refusal;
use super::world::{Object, World};
use super::{Call, router::Match};
use crate::catalog::{Collection, Method, RequestId};

pub struct Ask {
    pub method: Arc<Method>,
    pub collection: Option<Arc<Collection>>,
    /// The path below the API's version, decoded: `projects/p/global/images/i`.
    pub rest: String,
    /// Path and query parameters by name; the last of several values.
    pub params: BTreeMap<String, String>,
    /// The body as sent; empty without one.
    pub body: Object,
    pub project: String,
    pub request_id: Option<String>,
}

impl Ask {
    /// # Errors
    /// A body that is no JSON object or does not fit the method, or a bad request id.
    pub fn new(world: &World, call: &Call, found: Match) -> Result<Ask, Refusal> {
        let method = found.method;
        // What stands in the path cannot be said otherwise in the query.
        let mut params: BTreeMap<String, String> = call.query.iter().cloned().collect();
        let in_path = found.params.iter();
        params.extend(in_path.map(|(name, value)| (name.to_string(), value.clone())));
        let rest = below_version(&super::router::decode(&call.path));
        let rest = named_project(world, &method.service, rest);
        let project = project_in(&params, &rest).unwrap_or_default();
        let project = world.projects.get(&project).cloned().unwrap_or(project);
        let body = read_body(world, &method, &call.body)?;
        let request_id = request_id(&method, &params)?;
        for param in method.params.iter().filter(|p| p.required) {
            if !params.contains_key(&*param.name) {
                return Err(Refusal::required(&param.name));
            }
        }
        let collection = world.catalog.collection(&method.collection);
        Ok(Ask {
            method,
            collection,
            rest,
            params,
            body,
            project,
            request_id,
        })
    }

    pub fn service(&self) -> &str {
        &self.method.service
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    /// A boolean parameter; Google takes any case (`True` comes from gcloud).
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.param(name).map(|v| v.eq_ignore_ascii_case("true"))
    }

    /// The collection's own name, for the model's tables.
    pub fn family(&self) -> &str {
        &self.method.collection
    }

    pub fn key(&self) -> String {
        format!("{}/{}", self.method.service, self.rest)
    }

    /// The key of the resource on which a method with its own name works: the path without that name.
    pub fn target(&self) -> String {
        let path = match self.rest.rsplit_once(['/', ':']) {
            Some((path, last)) if last == &*self.method.name => path,
            _ => &self.rest,
        };
        let mut path = path.to_string();
        // `projects/p/targetHttpsProxies/x/setUrlMap` has no scope in its path.
        if &*self.method.service == "compute" {
            let scoped = ["/global/", "/zones/", "/regions/", "/locations/"];
            let tail = path.strip_prefix(&format!("projects/{}/", self.project));
            if let Some(tail) = tail
                && !scoped.iter().any(|s| path.contains(s))
            {
                path = format!("projects/{}/global/{tail}", self.project);
            }
        }
        format!("{}/{path}", self.method.service)
    }

    pub fn text<'a>(&'a self, field: &str) -> Option<&'a str> {
        self.body.get(field).and_then(Json::as_str)
    }
}

/// `projects/…` of `compute/v1/projects/…`.
pub fn below_version(path: &str) -> String {
    let mut rest = path;
    while let Some((head, tail)) = rest.split_once('/') {
        let version = head
            .strip_prefix('v')
            .is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
        rest = tail;
        if version {
            return rest.to_string();
        }
    }
    path.to_string()
}

/// A path whose project is a name: every API takes the project's number as well, and IAM takes `-` for
/// the project that a service account's address tells.
fn named_project(world: &World, service: &str, rest: String) -> String {
    let Some(given) = refs::project_of(&rest) else {
        return rest;
    };
    let after = &rest["projects/".len() + given.len()..];
    if let Some(name) = world.projects.get(given) {
        return format!("projects/{name}{after}");
    }
    let account = after.strip_prefix("/serviceAccounts/");
    let domain = account.and_then(|a| a.split(['/', ':']).next()?.split_once('@'));
    let owner = domain.and_then(|(_, d)| d.strip_suffix(".iam.gserviceaccount.com"));
    match (service, given, owner) {
        ("iam", "-", Some(owner)) => format!("projects/{owner}{after}"),
        _ => rest,
    }
}

fn project_in(params: &BTreeMap<String, String>, rest: &str) -> Option<String> {
    params
        .get("project")
        .or_else(|| params.get("projectId"))
        .map(String::as_str)
        .or_else(|| refs::project_of(rest))
        .map(|p| p.split(':').next().unwrap_or(p).to_string())
}

fn read_body(world: &World, method: &Method, bytes: &[u8]) -> Result<Object, Refusal> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Object::new());
    }
    let json: Json = serde_json::from_slice(bytes).map_err(|e| {
        Refusal::new(
            400,
            "parseError",
            format!("Invalid JSON payload received. {e}"),
        )
    })?;
    let Json::Object(mut body) = json else {
        return Err(Refusal::new(
            400,
            "parseError",
            "Invalid JSON payload received. Unknown name \"\": Root element must be a message.",
        ));
    };
    if let Some(schema) = &method.request {
        conform::check(&world.catalog, schema, &mut body)?;
    }
    Ok(body)
}

fn request_id(
    method: &Method,
    params: &BTreeMap<String, String>,
) -> Result<Option<String>, Refusal> {
    let Some(kind) = &method.request_id else {
        return Ok(None);
    };
    let name = kind.param();
    let Some(id) = params.get(&**name) else {
        return Ok(None);
    };
    if matches!(kind, RequestId::Replay(_)) {
        let valid = uuid::Uuid::try_parse(id).is_ok_and(|u| !u.is_nil());
        if !valid {
            return Err(Refusal::invalid(
                name,
                id,
                "Request ID must be a valid UUID, and not the zero UUID.",
            ));
        }
    }
    Ok(Some(id.clone()))
}
