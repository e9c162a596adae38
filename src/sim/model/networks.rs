//! Networks with their subnetworks, firewall rules, routers.
//!
//! Source: API description; auto-mode ranges from the VPC documentation (10.128.0.0/9, one /20 for each
//! region).

use serde_json::{Value as Json, json};

use super::super::failure::Failure;
use super::super::operation::Then;
use super::super::refs;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::path_of;
use super::rules::Rule;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["compute.networks", "compute.subnetworks"],
        says: "an auto-mode network has a /20 in each region from 10.128.0.0/9; a network lists its subnetworks, whose ranges may not overlap (told by the operation)",
        source: "Google, \"VPC networks\"; API description of `Network`",
        test: "google_api_python_client_accepts_the_simulator",
    },
    Rule {
        of: &["compute.firewalls", "compute.routers"],
        says: "a rule needs a network and something that it allows or denies; protocols, ranges and priorities are checked",
        source: "API description of `Firewall` and `Router`",
        test: "tests/gcloud/network.txt",
    },
];

/// # Errors
/// A firewall rule without rules, with ranges that are none, or with a bad priority; a subnetwork
/// without network or range.
pub fn prepare(world: &mut World, collection: &str, body: &mut Object) -> Result<(), Refusal> {
    let _ = world;
    match collection {
        "compute.networks" => {
            body.entry("autoCreateSubnetworks").or_insert(json!(true));
            body.entry("routingConfig")
                .or_insert(json!({ "routingMode": "REGIONAL" }));
            body.entry("networkFirewallPolicyEnforcementOrder")
                .or_insert(json!("AFTER_CLASSIC_FIREWALL"));
        }
        "compute.subnetworks" => {
            for field in ["network", "ipCidrRange"] {
                if !body.contains_key(field) {
                    return Err(Refusal::required(&format!("resource.{field}")));
                }
            }
            let range = body.get("ipCidrRange").and_then(Json::as_str).unwrap_or("");
            if let Some(wrong) = ranges(body).find(|r| !r.contains(':') && span(r).is_none()) {
                let why = "Must be a CIDR address range.";
                return Err(Refusal::invalid("resource.ipCidrRange", wrong, why));
            }
            body.insert("gatewayAddress".into(), json!(gateway(range)));
            for (name, value) in [
                ("privateIpGoogleAccess", json!(false)),
                ("purpose", json!("PRIVATE")),
                ("stackType", json!("IPV4_ONLY")),
            ] {
                body.entry(name.to_string()).or_insert(value);
            }
        }
        "compute.firewalls" => firewall(body)?,
        "compute.routers" if !body.contains_key("network") => {
            return Err(Refusal::required("resource.network"));
        }
        _ => {}
    }
    Ok(())
}

/// First and last address of a range of IPv4.
fn span(range: &str) -> Option<(u32, u32)> {
    let (address, bits) = range.split_once('/')?;
    let address = u32::from(address.parse::<std::net::Ipv4Addr>().ok()?);
    let bits: u32 = bits.parse().ok().filter(|b| *b <= 32)?;
    let mask = u32::MAX.checked_shr(bits).unwrap_or(0);
    Some((address & !mask, address | mask))
}

/// The ranges of a subnetwork: its own and the secondary ones.
fn ranges(body: &Object) -> impl Iterator<Item = &str> {
    let own = body.get("ipCidrRange").and_then(Json::as_str);
    let more = body.get("secondaryIpRanges").and_then(Json::as_array);
    let more = more.into_iter().flatten();
    own.into_iter()
        .chain(more.filter_map(|r| r.get("ipCidrRange")?.as_str()))
}

/// Why the operation of a new subnetwork ends with an error: another one of the network has its addresses
/// (`Invalid IPCidrRange: … conflicts with existing subnetwork '…' in region '…'.` in public issues).
pub fn overlaps(world: &World, key: &str, body: &Object) -> Option<Failure> {
    let (network, _) = world.linked(body.get("network")?)?;
    for other in below(world, &network).filter(|k| *k != key) {
        let Some(found) = world.live(other) else {
            continue;
        };
        for range in ranges(body) {
            let (low, high) = span(range)?;
            let meets = |r: &str| span(r).is_some_and(|(l, h)| l <= high && low <= h);
            if ranges(&found.body).any(meets) {
                let (name, region) = (refs::last(other), refs::after(other, "regions"));
                let said = format!(
                    "Invalid IPCidrRange: {range} conflicts with existing subnetwork '{name}' in region '{}'.",
                    region.unwrap_or_default()
                );
                return Some(Failure::new("INVALID_USAGE", said, 400));
            }
        }
    }
    None
}

/// What a firewall rule may name: these, or a number ("The IP protocol number, or one of tcp, udp, icmp, esp, ah,
/// ipip, sctp": API description of `Firewall.allowed[].IPProtocol`).
const PROTOCOLS: [&str; 8] = ["all", "ah", "esp", "icmp", "ipip", "sctp", "tcp", "udp"];

fn protocols(body: &Object) -> Result<(), Refusal> {
    for field in ["allowed", "denied"] {
        let rules = body.get(field).and_then(Json::as_array);
        for (i, rule) in rules.into_iter().flatten().enumerate() {
            let given = rule.get("IPProtocol").and_then(Json::as_str).unwrap_or("");
            let lower = given.to_lowercase();
            if !PROTOCOLS.contains(&&*lower) && lower.parse::<u8>().is_err() {
                let place = format!("resource.{field}[{i}].IPProtocol");
                let why = "Must be a well known protocol or its number.";
                return Err(Refusal::invalid(&place, given, why));
            }
        }
    }
    Ok(())
}

/// The first host of a range.
fn gateway(range: &str) -> String {
    let address = range.split('/').next().unwrap_or("");
    match address.parse::<std::net::Ipv4Addr>() {
        Ok(ip) => std::net::Ipv4Addr::from(u32::from(ip).wrapping_add(1)).to_string(),
        Err(_) => String::new(),
    }
}

fn firewall(body: &mut Object) -> Result<(), Refusal> {
    for (name, value) in [
        ("direction", json!("INGRESS")),
        ("priority", json!(1000)),
        ("disabled", json!(false)),
        ("logConfig", json!({ "enable": false })),
    ] {
        body.entry(name.to_string()).or_insert(value);
    }
    let priority = body.get("priority").and_then(Json::as_i64).unwrap_or(1000);
    if !(0..=65535).contains(&priority) {
        return Err(Refusal::invalid(
            "resource.priority",
            &priority.to_string(),
            "Must be from 0 to 65535.",
        ));
    }
    if !body.contains_key("allowed") && !body.contains_key("denied") {
        return Err(Refusal::invalid(
            "resource.allowed",
            "",
            "One of allowed and denied must be given.",
        ));
    }
    protocols(body)?;
    let ingress = body.get("direction").and_then(Json::as_str) == Some("INGRESS");
    let from_anywhere = ["sourceRanges", "sourceTags", "sourceServiceAccounts"]
        .iter()
        .all(|f| !body.contains_key(*f));
    if ingress && from_anywhere {
        body.insert("sourceRanges".into(), json!(["0.0.0.0/0"]));
    }
    for range in body
        .get("sourceRanges")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        let text = range.as_str().unwrap_or("");
        let address = text.split('/').next().unwrap_or("");
        if address.parse::<std::net::IpAddr>().is_err() {
            return Err(Refusal::invalid(
                "resource.sourceRanges",
                text,
                "Must be a valid CIDR address range.",
            ));
        }
    }
    Ok(())
}

/// An auto-mode network gets a subnetwork in every region.
pub fn inserted(world: &mut World, key: &str) -> Vec<Then> {
    let Some(network) = world.live(key) else {
        return Vec::new();
    };
    if network
        .body
        .get("autoCreateSubnetworks")
        .and_then(Json::as_bool)
        != Some(true)
    {
        return Vec::new();
    }
    let name = network.text("name").to_string();
    let path = path_of(key).to_string();
    let project = refs::project_of(&path).unwrap_or_default().to_string();
    let regions: Vec<String> = world.scenario.regions.keys().cloned().collect();
    for (i, region) in regions.iter().enumerate() {
        let sub = format!("projects/{project}/regions/{region}/subnetworks/{name}");
        let body = json!({
            "kind": "compute#subnetwork",
            "id": world.mint.id(),
            "creationTimestamp": world.stamp(),
            "name": name,
            "network": refs::link(&path),
            "ipCidrRange": format!("10.{}.{}.0/20", 128 + (i * 16) / 256, (i * 16) % 256),
            "gatewayAddress": format!("10.{}.{}.1", 128 + (i * 16) / 256, (i * 16) % 256),
            "region": refs::link(&format!("projects/{project}/regions/{region}")),
            "privateIpGoogleAccess": false,
            "purpose": "PRIVATE",
            "stackType": "IPV4_ONLY",
            "fingerprint": world.mint.fingerprint(),
            "selfLink": refs::link(&sub),
        });
        world.put(
            &format!("compute/{sub}"),
            "compute.subnetworks",
            body.as_object().cloned().unwrap_or_default(),
        );
    }
    Vec::new()
}

/// The subnetworks of a network, by their keys.
fn below<'a>(world: &'a World, network: &str) -> impl Iterator<Item = &'a String> + use<'a> {
    let path = path_of(network);
    let link = refs::link(path);
    let project = refs::project_of(path).unwrap_or_default();
    let prefix = format!("compute/projects/{project}/regions/");
    world
        .resources
        .range(prefix.clone()..)
        .take_while(move |(key, _)| key.starts_with(&prefix))
        .filter(move |(_, r)| &*r.collection == "compute.subnetworks" && r.text("network") == link)
        .map(|(key, _)| key)
}

/// A network lists its subnetworks, whoever made them.
pub fn view(world: &World, key: &str, body: &mut Object) {
    let links: Vec<Json> = below(world, key)
        .map(|sub| json!(refs::link(path_of(sub))))
        .collect();
    if !links.is_empty() {
        body.insert("subnetworks".into(), Json::Array(links));
    }
}

/// The subnetworks that Google made go with their network.
pub fn removed(world: &mut World, key: &str) {
    let gone: Vec<String> = below(world, key).cloned().collect();
    for key in gone {
        world.resources.remove(&key);
    }
}
