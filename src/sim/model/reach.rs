//! What reaches what: probes through firewalls, machines to their database.
//!
//! Sources: VPC firewall documentation (the smallest priority number decides, at equal priority a
//! denial wins, an implied denial at the end), Google's load balancing guide for the ranges that probes
//! come from, Cloud SQL's guides on authorised networks and private addresses, Cloud NAT's (it serves
//! only machines without an external address).

use serde_json::Value as Json;

use super::super::refs;
use super::super::world::{Object, World};
use super::path_of;
use super::rules::Rule;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &[
        "compute.instanceGroupManagers",
        "compute.regionInstanceGroupManagers",
        "compute.backendServices",
    ],
    says: "probes reach a machine through the firewall rules; a machine its database over a shared network or authorised addresses",
    source: "Google, \"VPC firewall rules\", \"Authorize with authorized networks\", \"Cloud NAT\"",
    test: "a_machine_without_its_database_is_ill",
}];

/// Where Google's probes and front ends come from
/// (cloud.google.com/load-balancing/docs/firewall-rules).
const PROBES: [&str; 2] = ["130.211.0.0/22", "35.191.0.0/16"];

pub fn texts<'a>(body: &'a Object, field: &str) -> Vec<&'a str> {
    body.get(field)
        .and_then(Json::as_array)
        .map(|v| v.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default()
}

/// The port that a health check asks; none when it asks the serving port, which every rule of the
/// group's named ports decides.
pub fn probe_port(check: &Object) -> Option<i64> {
    let fields = [
        "httpHealthCheck",
        "httpsHealthCheck",
        "http2HealthCheck",
        "tcpHealthCheck",
        "sslHealthCheck",
    ];
    fields
        .iter()
        .find_map(|f| check.get(*f)?.get("port")?.as_i64())
}

/// Whether probes to a port get through to a machine.
pub fn by_probes(world: &World, vm_key: &str, port: Option<i64>) -> bool {
    let Some(vm) = world.live(vm_key) else {
        return false;
    };
    let Some(network) = network_of(&vm.body) else {
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
        .all(|range| admitted(world, vm_key, network, &tags, range, port))
}

fn network_of(vm: &Object) -> Option<&Json> {
    vm.get("networkInterfaces")?.get(0)?.get("network")
}

fn admitted(
    world: &World,
    vm_key: &str,
    network: &Json,
    tags: &[&str],
    from: &str,
    port: Option<i64>,
) -> bool {
    let project = refs::project_of(path_of(vm_key)).unwrap_or_default();
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

/// Whether a machine reaches a Cloud SQL instance: over the network that both are in, or from addresses
/// that the instance's authorised networks all contain.
pub fn database(world: &World, vm_key: &str, instance: &str) -> bool {
    let project = refs::project_of(path_of(vm_key)).unwrap_or_default();
    let key = format!("sqladmin/projects/{project}/instances/{instance}");
    let (Some(vm), Some(db)) = (world.live(vm_key), world.live(&key)) else {
        return false;
    };
    if db.text("state") != "RUNNABLE" {
        return false;
    }
    let Some(settings) = db
        .body
        .get("settings")
        .and_then(|s| s.get("ipConfiguration"))
    else {
        return false;
    };
    let shared = network_of(&vm.body)
        .and_then(Json::as_str)
        .zip(settings.get("privateNetwork").and_then(Json::as_str))
        .is_some_and(|(a, b)| same_path(a, b));
    if shared {
        return true;
    }
    if settings.get("ipv4Enabled").and_then(Json::as_bool) == Some(false) {
        return false;
    }
    let allowed: Vec<&str> = settings
        .get("authorizedNetworks")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(|n| n.get("value").and_then(Json::as_str))
        .collect();
    let from = egress(world, vm_key, &vm.body);
    !from.is_empty()
        && from
            .iter()
            .all(|a| allowed.iter().any(|range| contains(range, a)))
}

fn same_path(a: &str, b: &str) -> bool {
    let path = |t: &str| t.find("projects/").map(|at| t[at..].to_string());
    path(a).is_some() && path(a) == path(b)
}

/// The addresses that a machine may appear under; none when it has no way out.
fn egress(world: &World, vm_key: &str, vm: &Object) -> Vec<String> {
    let own = vm
        .get("networkInterfaces")
        .and_then(|n| n.get(0)?.get("accessConfigs")?.get(0)?.get("natIP"));
    if let Some(address) = own.and_then(Json::as_str) {
        return vec![address.to_string()];
    }
    let project = refs::project_of(path_of(vm_key)).unwrap_or_default();
    let zone = refs::after(vm_key, "zones").unwrap_or_default();
    let region = super::super::scenario::region_of(zone);
    let prefix = format!("compute/projects/{project}/regions/{region}/routers/");
    let network = network_of(vm);
    world
        .of("compute.routers", &prefix)
        .filter(|(_, r)| r.body.get("network") == network)
        .filter_map(|(_, r)| r.body.get("nats")?.as_array())
        .flatten()
        .filter_map(|nat| nat.get("natIps")?.as_array())
        .flatten()
        .filter_map(|link| {
            let (_, address) = world.linked(link)?;
            Some(address.text("address").to_string())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
