//! Health checks, backend services, URL maps and proxies: defaults, and who is healthy.
//!
//! Sources: the API description for defaults and limits; Google's firewall guide for the ranges that
//! probes come from.

use serde_json::{Value as Json, json};

use super::super::Outcome;
use super::super::ask::Ask;
use super::super::fault::Fault;
use super::super::operation;
use super::super::refs;
use super::super::world::{Object, World};
use super::certificates;
use super::groups::{Action, Machine};
use super::{Handler, existing};

/// Where Google's probes and front ends come from
/// (cloud.google.com/load-balancing/docs/firewall-rules).
const PROBES: [&str; 2] = ["130.211.0.0/22", "35.191.0.0/16"];

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
pub fn prepare(world: &mut World, collection: &str, body: &mut Object) -> Result<(), Fault> {
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
                return Err(Fault::required("resource.urlMap"));
            }
            let none = body
                .get("sslCertificates")
                .and_then(Json::as_array)
                .is_none_or(|c| c.is_empty());
            if none && !body.contains_key("certificateMap") {
                return Err(Fault::required("resource.sslCertificates"));
            }
        }
        "compute.targetHttpProxies" if !body.contains_key("urlMap") => {
            return Err(Fault::required("resource.urlMap"));
        }
        "compute.urlMaps" => {
            let routed = ["defaultService", "defaultUrlRedirect", "defaultRouteAction"];
            if !routed.iter().any(|f| body.contains_key(*f)) {
                return Err(Fault::required("resource.defaultService"));
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
pub fn check(world: &World, collection: &str, body: &Object) -> Result<(), Fault> {
    let _ = world;
    let number = |name: &str| body.get(name).and_then(Json::as_i64);
    if collection == "compute.healthChecks" {
        if body.get("type").is_none() {
            return Err(Fault::required("resource.type"));
        }
        if let (Some(timeout), Some(interval)) = (number("timeoutSec"), number("checkIntervalSec"))
            && timeout > interval
        {
            return Err(Fault::invalid(
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
        if checks > 1 || (checks == 0 && backends > 0) {
            return Err(Fault::invalid(
                "resource.healthChecks",
                &checks.to_string(),
                "Exactly one health check must be specified.",
            ));
        }
    }
    Ok(())
}

/// The port that a health check asks, with the group's named ports for the serving port.
fn probe_port(check: &Json) -> Option<i64> {
    let fields = [
        "httpHealthCheck",
        "httpsHealthCheck",
        "http2HealthCheck",
        "tcpHealthCheck",
        "sslHealthCheck",
    ];
    fields
        .iter()
        .find_map(|f| check.get(f)?.get("port")?.as_i64())
}

/// Whether a machine of a group answers a health check: it runs what the group's image serves, so it
/// does once it has booted and a firewall rule lets the probes in.
pub fn answers(world: &World, machine: &Machine, check: &Json) -> bool {
    let up = matches!(machine.action, Action::None) && machine.booted.is_some();
    up && reachable(world, &machine.key, probe_port(check))
}

fn reachable(world: &World, vm_key: &str, port: Option<i64>) -> bool {
    let Some(vm) = world.live(vm_key) else {
        return false;
    };
    let Some(network) = vm
        .body
        .get("networkInterfaces")
        .and_then(|n| n.get(0)?.get("network").cloned())
    else {
        return false;
    };
    let tags: Vec<&str> = vm
        .body
        .get("tags")
        .and_then(|t| t.get("items"))
        .and_then(Json::as_array)
        .map(|items| items.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default();
    PROBES
        .iter()
        .all(|range| admitted(world, vm_key, &network, &tags, range, port))
}

/// The rule with the smallest priority number decides; at equal priority a denial wins; with no rule
/// the implied denial holds (VPC firewall documentation).
fn admitted(
    world: &World,
    vm_key: &str,
    network: &Json,
    tags: &[&str],
    from: &str,
    port: Option<i64>,
) -> bool {
    let project = refs::project_of(super::path_of(vm_key)).unwrap_or_default();
    let prefix = format!("compute/projects/{project}/global/firewalls/");
    let mut best: Option<(i64, bool)> = None;
    for (_, rule) in world.of("compute.firewalls", &prefix) {
        let body = &rule.body;
        let ingress = rule.text("direction") != "EGRESS";
        let on = body.get("disabled").and_then(Json::as_bool) != Some(true);
        if !ingress
            || !on
            || body.get("network") != Some(network)
            || !targets(body, tags)
            || !covers(body, from)
        {
            continue;
        }
        let priority = body.get("priority").and_then(Json::as_i64).unwrap_or(1000);
        for (list, allows) in [("allowed", true), ("denied", false)] {
            let hit = body
                .get(list)
                .and_then(Json::as_array)
                .is_some_and(|rules| rules.iter().any(|r| opens(r, port)));
            let better = best.is_none_or(|(p, a)| priority < p || priority == p && a && !allows);
            if hit && better {
                best = Some((priority, allows));
            }
        }
    }
    best.is_some_and(|(_, allows)| allows)
}

fn texts<'a>(body: &'a Object, field: &str) -> Vec<&'a str> {
    body.get(field)
        .and_then(Json::as_array)
        .map(|v| v.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default()
}

fn targets(rule: &Object, tags: &[&str]) -> bool {
    let wanted = texts(rule, "targetTags");
    wanted.is_empty() || wanted.iter().any(|t| tags.contains(t))
}

/// A rule covers a range when one of its own contains it.
fn covers(rule: &Object, range: &str) -> bool {
    let sources = texts(rule, "sourceRanges");
    let any = sources.is_empty() && texts(rule, "sourceTags").is_empty();
    any || sources.iter().any(|s| contains(s, range))
}

fn parse_range(text: &str) -> Option<(u32, u32)> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    let bits: u32 = bits.parse().ok().filter(|b| *b <= 32)?;
    Some((u32::from(address), bits))
}

fn contains(outer: &str, inner: &str) -> bool {
    let (Some((o, obits)), Some((i, ibits))) = (parse_range(outer), parse_range(inner)) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - obits).unwrap_or(0);
    obits <= ibits && o & mask == i & mask
}

fn opens(rule: &Json, port: Option<i64>) -> bool {
    let protocol = rule
        .get("IPProtocol")
        .and_then(Json::as_str)
        .unwrap_or("")
        .to_ascii_lowercase();
    if protocol == "all" {
        return true;
    }
    if protocol != "tcp" && protocol != "6" {
        return false;
    }
    let Some(ports) = rule
        .get("ports")
        .and_then(Json::as_array)
        .filter(|p| !p.is_empty())
    else {
        return true;
    };
    let Some(port) = port else {
        return true;
    };
    ports.iter().filter_map(Json::as_str).any(|p| {
        let (from, to) = p.split_once('-').unwrap_or((p, p));
        let number = |t: &str| t.trim().parse::<i64>().ok();
        matches!((number(from), number(to)), (Some(a), Some(b)) if a <= port && port <= b)
    })
}

/// One entry for each machine of the group, at the named port; nothing while the group has no such port.
fn get_health(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    let key = existing(world, ask)?;
    let given = ask.text("group").ok_or_else(|| Fault::required("group"))?;
    let path = refs::path_of(given, &ask.project)
        .ok_or_else(|| Fault::invalid("group", given, "The URL is malformed."))?;
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
        return Err(Fault::invalid(
            "group",
            given,
            "It is not a backend of this backend service.",
        ));
    }
    let check = texts(&service, "healthChecks")
        .first()
        .and_then(|c| world.linked(&json!(c)))
        .map(|(_, c)| Json::Object(c.body.clone()));
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
    let manager = format!(
        "compute/{}",
        path.replace("/instanceGroups/", "/instanceGroupManagers/")
    );
    let machines = world
        .groups
        .get(&manager)
        .map(|g| g.machines.as_slice())
        .unwrap_or_default();
    let mut out = json!({ "kind": "compute#backendServiceGroupHealth" });
    let statuses: Vec<Json> = machines
        .iter()
        .filter(|m| m.booted.is_some() && m.action == Action::None)
        .map(|m| {
            let healthy = port.is_some() && check.as_ref().is_some_and(|c| answers(world, m, c));
            let vm = world.live(&m.key);
            json!({
                "instance": refs::link(super::path_of(&m.key)),
                "ipAddress": vm.and_then(|v| v.body.get("networkInterfaces")?.get(0)?.get("networkIP").cloned()),
                "port": port.clone().unwrap_or(json!(80)),
                "healthState": if healthy { "HEALTHY" } else { "UNHEALTHY" },
            })
        })
        .collect();
    if !statuses.is_empty() {
        out["healthStatus"] = json!(statuses);
    }
    Ok(out.into())
}

fn set_certificates(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    let key = existing(world, ask)?;
    let given = texts(&ask.body, "sslCertificates");
    // "At least one SSL certificate must be specified", fifteen at most (API description).
    if given.is_empty() || given.len() > 15 {
        return Err(Fault::invalid(
            "sslCertificates",
            &given.len().to_string(),
            "From 1 to 15 certificates must be given.",
        ));
    }
    let mut links = Vec::new();
    for text in given {
        let path = refs::path_of(text, &ask.project)
            .ok_or_else(|| Fault::invalid("sslCertificates", text, "The URL is malformed."))?;
        if world.compute(&path).is_none() {
            return Err(Fault::not_found(&path));
        }
        links.push(json!(refs::link(&path)));
    }
    world.change(&key, |body| {
        body.insert("sslCertificates".into(), Json::Array(links));
    });
    certificates::review(world);
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn set_link(world: &mut World, ask: &Ask, field: &str) -> Result<Outcome, Fault> {
    let key = existing(world, ask)?;
    let given = ask.text(field).ok_or_else(|| Fault::required(field))?;
    let path = refs::path_of(given, &ask.project)
        .ok_or_else(|| Fault::invalid(field, given, "The URL is malformed."))?;
    if world.compute(&path).is_none() {
        return Err(Fault::not_found(&path));
    }
    world.change(&key, |body| {
        body.insert(field.to_string(), json!(refs::link(&path)));
    });
    certificates::review(world);
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn set_url_map(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    set_link(world, ask, "urlMap")
}

fn set_target(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    set_link(world, ask, "target")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_ranges() {
        assert!(contains("0.0.0.0/0", "35.191.0.0/16"));
        assert!(contains("130.211.0.0/22", "130.211.0.0/22"));
        assert!(!contains("130.211.0.0/24", "130.211.0.0/22"));
        assert!(!contains("10.128.0.0/9", "35.191.0.0/16"));
    }

    #[test]
    fn ports_open() {
        assert!(opens(
            &json!({"IPProtocol": "tcp", "ports": ["22", "5000-6000"]}),
            Some(5080)
        ));
        assert!(!opens(
            &json!({"IPProtocol": "tcp", "ports": ["22"]}),
            Some(5080)
        ));
        assert!(opens(&json!({"IPProtocol": "tcp"}), Some(5080)));
        assert!(!opens(&json!({"IPProtocol": "udp"}), Some(5080)));
    }
}
