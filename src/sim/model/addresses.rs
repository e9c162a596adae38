//! Static addresses and forwarding rules.
//!
//! Sources: API description of `Address` (RESERVED, IN_USE) and `ForwardingRule` ("443" is answered as
//! "443-443", the address as a literal: recorded traffic; two rules may not share address, protocol and
//! port).

use serde_json::{Value as Json, json};

use super::super::refs;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::path_of;
use super::rules::Rule;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["compute.addresses", "compute.globalAddresses"],
        says: "an address is RESERVED, and IN_USE while a rule, a router or a machine has it; `users` names them",
        source: "API description of `Address`",
        test: "addresses_know_their_router",
    },
    Rule {
        of: &["compute.forwardingRules", "compute.globalForwardingRules"],
        says: "a port is answered as a range (443-443), an address by name as its number; two rules may not share address, protocol and port",
        source: "recorded traffic",
        test: "tests/gcloud/balancing.txt",
    },
];

/// # Errors
/// An address that is given twice.
pub fn prepare(world: &mut World, key: &str, body: &mut Object) -> Result<(), Refusal> {
    let global = key.contains("/global/");
    let given = body
        .get("address")
        .and_then(Json::as_str)
        .map(str::to_string);
    let external = body.get("addressType").and_then(Json::as_str) != Some("INTERNAL");
    let address = match given {
        Some(address) => address,
        None if external => fresh(world),
        None => format!("10.128.0.{}", 2 + world.mint.number() % 250),
    };
    body.insert("address".into(), json!(address));
    body.insert("status".into(), json!("RESERVED"));
    body.entry("addressType").or_insert(json!("EXTERNAL"));
    if external {
        body.entry("networkTier").or_insert(json!("PREMIUM"));
        if global && body.get("networkTier").and_then(Json::as_str) != Some("PREMIUM") {
            return Err(Refusal::invalid(
                "resource.networkTier",
                "STANDARD",
                "Global addresses are always in the PREMIUM tier.",
            ));
        }
    }
    Ok(())
}

/// An address that nothing has yet.
fn fresh(world: &mut World) -> String {
    loop {
        let address = world.mint.public_address();
        let taken = world
            .resources
            .values()
            .any(|r| r.text("address") == address || r.text("IPAddress") == address);
        if !taken {
            return address;
        }
    }
}

/// Who uses an address: rules by literal, routers and machines by link or literal.
pub fn users(world: &World, key: &str) -> Vec<String> {
    let Some(address) = world.live(key) else {
        return Vec::new();
    };
    let literal = address.text("address");
    let path = path_of(key);
    let link = refs::link(path);
    let Some(project) = refs::project_of(path) else {
        return Vec::new();
    };
    let prefix = format!("compute/projects/{project}/");
    world
        .resources
        .range(prefix.clone()..)
        .take_while(|(k, _)| k.starts_with(&prefix))
        .filter(|(_, r)| match &*r.collection {
            "compute.globalForwardingRules" | "compute.forwardingRules" => {
                r.text("IPAddress") == literal
            }
            "compute.routers" => mentions(r.body.get("nats"), &link),
            "compute.instances" => mentions(r.body.get("networkInterfaces"), literal),
            _ => false,
        })
        .map(|(k, _)| refs::link(path_of(k)))
        .collect()
}

fn mentions(json: Option<&Json>, text: &str) -> bool {
    match json {
        Some(Json::String(s)) => s == text,
        Some(Json::Array(items)) => items.iter().any(|i| mentions(Some(i), text)),
        Some(Json::Object(fields)) => fields.values().any(|v| mentions(Some(v), text)),
        _ => false,
    }
}

pub fn view(world: &World, key: &str, body: &mut Object) {
    let users = users(world, key);
    if !users.is_empty() {
        body.insert("status".into(), json!("IN_USE"));
        body.insert("users".into(), json!(users));
    }
}

/// # Errors
/// No target, a bad port range, or a rule that has this address and port already.
pub fn prepare_rule(world: &mut World, key: &str, body: &mut Object) -> Result<(), Refusal> {
    if !body.contains_key("target") && !body.contains_key("backendService") {
        return Err(Refusal::required("resource.target"));
    }
    let address = rule_address(world, body)?;
    body.insert("IPAddress".into(), json!(address));
    let protocol = body
        .get("IPProtocol")
        .and_then(Json::as_str)
        .unwrap_or("TCP")
        .to_string();
    body.insert("IPProtocol".into(), json!(protocol));
    if let Some(range) = body.get("portRange").and_then(Json::as_str) {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (Ok(from), Ok(to)) = (from.parse::<u16>(), to.parse::<u16>()) else {
            return Err(Refusal::invalid(
                "resource.portRange",
                range,
                "Must be a match of regex '\\d+(?:-\\d+)?'",
            ));
        };
        body.insert("portRange".into(), json!(format!("{from}-{to}")));
        conflict(world, key, &address, &protocol, (from, to))?;
    }
    for (name, value) in [
        ("loadBalancingScheme", json!("EXTERNAL")),
        ("networkTier", json!("PREMIUM")),
    ] {
        body.entry(name.to_string()).or_insert(value);
    }
    scheme(world, body)
}

/// The literal behind whatever the caller wrote; without anything, an address of its own.
fn rule_address(world: &mut World, body: &Object) -> Result<String, Refusal> {
    let Some(given) = body
        .get("IPAddress")
        .and_then(Json::as_str)
        .filter(|a| !a.is_empty())
    else {
        return Ok(fresh(world));
    };
    if given.parse::<std::net::IpAddr>().is_ok() {
        return Ok(given.to_string());
    }
    let path = given.strip_prefix(refs::LINK_ROOT).unwrap_or(given);
    world
        .compute(path)
        .map(|a| a.text("address").to_string())
        .ok_or_else(|| Refusal::not_found(path))
}

fn conflict(
    world: &World,
    key: &str,
    address: &str,
    protocol: &str,
    range: (u16, u16),
) -> Result<(), Refusal> {
    let holder = key.rsplit_once('/').map_or("", |(h, _)| h);
    let prefix = format!("{holder}/");
    let rules = world
        .resources
        .range(prefix.clone()..)
        .take_while(|(k, _)| k.starts_with(&prefix));
    for (other, rule) in rules {
        let same = rule.text("IPAddress") == address && rule.text("IPProtocol") == protocol;
        let ports = rule
            .text("portRange")
            .split_once('-')
            .map(|(a, b)| (a.parse::<u16>(), b.parse::<u16>()));
        if let (true, Some((Ok(from), Ok(to)))) = (same, ports)
            && from <= range.1
            && range.0 <= to
        {
            return Err(Refusal::invalid(
                "resource.IPAddress",
                address,
                &format!(
                    "Specified IP address is in-use and would result in a conflict: '{}' has port range {from}-{to}.",
                    path_of(other)
                ),
            ));
        }
    }
    Ok(())
}

/// "A backend service created for one type of load balancer cannot be used with another" (API
/// description of `loadBalancingScheme`).
fn scheme(world: &World, body: &Object) -> Result<(), Refusal> {
    let own = body
        .get("loadBalancingScheme")
        .and_then(Json::as_str)
        .unwrap_or("");
    let backend = body
        .get("target")
        .and_then(|t| world.linked(t))
        .and_then(|(_, proxy)| proxy.body.get("urlMap").cloned())
        .and_then(|m| {
            world
                .linked(&m)
                .and_then(|(_, map)| map.body.get("defaultService").cloned())
        });
    let theirs = backend
        .as_ref()
        .and_then(|b| world.linked(b))
        .map(|(_, b)| b.text("loadBalancingScheme").to_string());
    match theirs {
        Some(theirs) if !theirs.is_empty() && theirs != own => Err(Refusal::invalid(
            "resource.loadBalancingScheme",
            own,
            &format!("The load balancing scheme must match that of the backend service, {theirs}."),
        )),
        _ => Ok(()),
    }
}
