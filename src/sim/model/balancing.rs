//! Health checks, backend services, URL maps and proxies: defaults, and who is healthy.
//!
//! Source: the API description for defaults, limits and `HealthStatus`.

use serde_json::{Value as Json, json};

use super::super::Outcome;
use super::super::ask::Ask;
use super::super::operation;
use super::super::refs;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::certificates;
use super::groups::Action;
use super::reach::texts;
use super::rules::Rule;
use super::{Handler, existing, group_health, unmanaged};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["compute.healthChecks"],
        says: "defaults are filled in; a timeout longer than the interval is refused",
        source: "API description of `HealthCheck`",
        test: "tests/gcloud/templates.txt",
    },
    Rule {
        of: &["compute.backendServices"],
        says: "`getHealth` answers HEALTHY for machines that serve, once their probes pass a firewall rule and the threshold is reached",
        source: "API description of `HealthStatus`",
        test: "without_the_firewall_rule_nothing_is_healthy",
    },
    Rule {
        of: &[
            "compute.urlMaps",
            "compute.targetHttpsProxies",
            "compute.targetHttpProxies",
            "compute.globalForwardingRules",
        ],
        says: "a URL map needs its default service, a proxy its URL map and certificates; setters replace one reference",
        source: "API descriptions of the resources",
        test: "tests/gcloud/balancing.txt",
    },
];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "compute.backendServices.getHealth" => get_health,
        "compute.targetHttpsProxies.setSslCertificates" => set_certificates,
        "compute.targetHttpsProxies.setUrlMap" | "compute.targetHttpProxies.setUrlMap" => {
            set_url_map
        }
        "compute.globalForwardingRules.setTarget" => set_target,
        _ => return None,
    })
}

/// # Errors
/// See [`check`].
pub fn prepare(world: &mut World, collection: &str, body: &mut Object) -> Result<(), Refusal> {
    let fill = |body: &mut Object, pairs: &[(&str, Json)]| {
        for (name, value) in pairs {
            body.entry(name.to_string()).or_insert(value.clone());
        }
    };
    match collection {
        "compute.healthChecks" => {
            fill(
                body,
                &[
                    ("checkIntervalSec", json!(5)),
                    ("timeoutSec", json!(5)),
                    ("healthyThreshold", json!(2)),
                    ("unhealthyThreshold", json!(2)),
                ],
            );
            complete_probe(body);
        }
        "compute.backendServices" => {
            fill(
                body,
                &[
                    ("description", json!("")),
                    ("affinityCookieTtlSec", json!(0)),
                    ("connectionDraining", json!({ "drainingTimeoutSec": 300 })),
                    ("enableCDN", json!(false)),
                    ("portName", json!("http")),
                    ("port", json!(80)),
                    ("protocol", json!("HTTP")),
                    ("sessionAffinity", json!("NONE")),
                    ("timeoutSec", json!(30)),
                    ("loadBalancingScheme", json!("EXTERNAL")),
                ],
            );
            for backend in body
                .get_mut("backends")
                .and_then(Json::as_array_mut)
                .into_iter()
                .flatten()
            {
                if let Some(backend) = backend.as_object_mut() {
                    fill(
                        backend,
                        &[
                            ("balancingMode", json!("UTILIZATION")),
                            ("capacityScaler", json!(1.0)),
                        ],
                    );
                }
            }
        }
        "compute.targetHttpsProxies" => {
            fill(
                body,
                &[
                    ("quicOverride", json!("NONE")),
                    ("tlsEarlyData", json!("DISABLED")),
                ],
            );
            if !body.contains_key("urlMap") {
                return Err(Refusal::required("resource.urlMap"));
            }
            let none = body
                .get("sslCertificates")
                .and_then(Json::as_array)
                .is_none_or(|c| c.is_empty());
            if none && !body.contains_key("certificateMap") {
                return Err(Refusal::required("resource.sslCertificates"));
            }
        }
        "compute.targetHttpProxies" if !body.contains_key("urlMap") => {
            return Err(Refusal::required("resource.urlMap"));
        }
        "compute.urlMaps" => {
            let routed = ["defaultService", "defaultUrlRedirect", "defaultRouteAction"];
            if !routed.iter().any(|f| body.contains_key(*f)) {
                return Err(Refusal::required("resource.defaultService"));
            }
        }
        _ => {}
    }
    check(world, collection, body)
}

/// The part of a health check that belongs to its type, with port and path filled in.
fn complete_probe(body: &mut Object) {
    let (field, port, path) = match body.get("type").and_then(Json::as_str) {
        Some("HTTP") => ("httpHealthCheck", 80, true),
        Some("HTTPS") => ("httpsHealthCheck", 443, true),
        Some("HTTP2") => ("http2HealthCheck", 443, true),
        Some("TCP") => ("tcpHealthCheck", 80, false),
        Some("SSL") => ("sslHealthCheck", 443, false),
        _ => return,
    };
    let probe = body.entry(field).or_insert_with(|| json!({}));
    let named = probe.get("portName").is_some()
        || probe.get("portSpecification").and_then(Json::as_str) == Some("USE_SERVING_PORT");
    if probe.get("port").is_none() && !named {
        probe["port"] = json!(port);
    }
    if path && probe.get("requestPath").is_none() {
        probe["requestPath"] = json!("/");
    }
    if probe.get("proxyHeader").is_none() {
        probe["proxyHeader"] = json!("NONE");
    }
}

/// # Errors
/// Ranges of the API description: a probe's timeout within its interval, one health check for a backend
/// service, one protocol for a health check.
pub fn check(world: &World, collection: &str, body: &Object) -> Result<(), Refusal> {
    let _ = world;
    let number = |name: &str| body.get(name).and_then(Json::as_i64);
    if collection == "compute.healthChecks" {
        if body.get("type").is_none() {
            return Err(Refusal::required("resource.type"));
        }
        if let (Some(timeout), Some(interval)) = (number("timeoutSec"), number("checkIntervalSec"))
            && timeout > interval
        {
            return Err(Refusal::invalid(
                "resource.timeoutSec",
                &timeout.to_string(),
                &format!("Must be less than or equal to checkIntervalSec ({interval})."),
            ));
        }
    }
    if collection == "compute.backendServices" {
        let checks = body
            .get("healthChecks")
            .and_then(Json::as_array)
            .map_or(0, Vec::len);
        let backends = body
            .get("backends")
            .and_then(Json::as_array)
            .map_or(0, Vec::len);
        let groups = texts_of(body, "backends", "group");
        let twice = (0..groups.len()).find(|i| groups[..*i].contains(&groups[*i]));
        if let Some(i) = twice {
            let why = "The instance group is a backend already.";
            let field = format!("resource.backends[{i}].group");
            return Err(Refusal::invalid(&field, &groups[i], why));
        }
        if checks > 1 || (checks == 0 && backends > 0) {
            return Err(Refusal::invalid(
                "resource.healthChecks",
                &checks.to_string(),
                "Exactly one health check must be specified.",
            ));
        }
    }
    Ok(())
}

/// One field of every entry of a list.
fn texts_of(body: &Object, list: &str, field: &str) -> Vec<String> {
    let entries = body.get(list).and_then(Json::as_array);
    let all = entries.into_iter().flatten();
    all.filter_map(|e| Some(e.get(field)?.as_str()?.to_string()))
        .collect()
}

/// One entry for each machine of the group, at the named port; nothing while the group has no such port.
fn get_health(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let given = ask
        .text("group")
        .ok_or_else(|| Refusal::required("group"))?;
    let path = refs::path_of(given, &ask.project)
        .ok_or_else(|| Refusal::invalid("group", given, "The URL is malformed."))?;
    let service = world.live(&key).map(|r| r.body.clone()).unwrap_or_default();
    let backends = service
        .get("backends")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    let link = refs::link(&path);
    if !backends
        .iter()
        .any(|b| b.get("group").and_then(Json::as_str) == Some(&link))
    {
        return Err(Refusal::invalid(
            "group",
            given,
            "It is not a backend of this backend service.",
        ));
    }
    let check = texts(&service, "healthChecks")
        .first()
        .and_then(|c| world.linked(&json!(c)))
        .map(|(_, c)| c.body.clone());
    let name = service
        .get("portName")
        .and_then(Json::as_str)
        .unwrap_or("http");
    let port = world
        .compute(&path)
        .and_then(|g| g.body.get("namedPorts")?.as_array().cloned())
        .and_then(|ports| {
            ports
                .iter()
                .find(|p| p["name"] == name)?
                .get("port")
                .cloned()
        });
    let group = format!("compute/{path}");
    let health = |member: &str, answers: bool| {
        let card = world.live(member)?.body.get("networkInterfaces")?.get(0)?;
        Some(json!({
            "instance": refs::link(super::path_of(member)),
            "ipAddress": card.get("networkIP"),
            "port": port.clone().unwrap_or(json!(80)),
            "healthState": if port.is_some() && answers { "HEALTHY" } else { "UNHEALTHY" },
        }))
    };
    let statuses: Vec<Json> = match world.groups.get(&unmanaged::manager_of(&group)) {
        Some(managed) => managed
            .machines
            .iter()
            .filter_map(|m| {
                let answers = check
                    .as_ref()
                    .is_some_and(|c| group_health::answers(world, m, c));
                let mut said = health(&m.key, answers)?;
                match m.action {
                    Action::Creating { .. } | Action::Recreating { .. } => return None,
                    Action::Deleting { .. } | Action::Abandoning { .. } => {
                        said["healthState"] = json!("DRAINING");
                    }
                    _ => {}
                }
                Some(said)
            })
            .collect(),
        None => unmanaged::members(world, &group)
            .iter()
            .filter_map(|member| {
                let answers = check
                    .as_ref()
                    .is_some_and(|c| unmanaged::answers(world, member, c));
                health(member, answers)
            })
            .collect(),
    };
    let mut out = json!({ "kind": "compute#backendServiceGroupHealth" });
    if !statuses.is_empty() {
        out["healthStatus"] = json!(statuses);
    }
    Ok(out.into())
}

fn set_certificates(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let given = texts(&ask.body, "sslCertificates");
    // "At least one SSL certificate must be specified", fifteen at most (API description).
    if given.is_empty() || given.len() > 15 {
        return Err(Refusal::invalid(
            "sslCertificates",
            &given.len().to_string(),
            "From 1 to 15 certificates must be given.",
        ));
    }
    let mut links = Vec::new();
    for text in given {
        let path = refs::path_of(text, &ask.project)
            .ok_or_else(|| Refusal::invalid("sslCertificates", text, "The URL is malformed."))?;
        if world.compute(&path).is_none() {
            return Err(Refusal::not_found(&path));
        }
        links.push(json!(refs::link(&path)));
    }
    world.change(&key, |body| {
        body.insert("sslCertificates".into(), Json::Array(links));
    });
    certificates::review(world);
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn set_link(world: &mut World, ask: &Ask, field: &str) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let given = ask.text(field).ok_or_else(|| Refusal::required(field))?;
    let path = refs::path_of(given, &ask.project)
        .ok_or_else(|| Refusal::invalid(field, given, "The URL is malformed."))?;
    if world.compute(&path).is_none() {
        return Err(Refusal::not_found(&path));
    }
    world.change(&key, |body| {
        body.insert(field.to_string(), json!(refs::link(&path)));
    });
    certificates::review(world);
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn set_url_map(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    set_link(world, ask, "urlMap")
}

fn set_target(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    set_link(world, ask, "target")
}
