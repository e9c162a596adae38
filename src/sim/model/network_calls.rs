//! The methods of networks, routers and what stands in front of a load balancer, beyond the generic verbs.
//!
//! Source: the API description of each method.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::world::World;
use super::super::{Outcome, operation, page, refs};
use super::rules::Rule;
use super::{Handler, existing, path_of};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["compute.routers", "compute.networks", "compute.subnetworks"],
        says: "peerings are ACTIVE once both sides have them; a router tells its NATs; usable subnetworks and effective firewalls are found",
        source: "API description of each method",
        test: "tests/gcloud/network.txt",
    },
    Rule {
        of: &[
            "compute.urlMaps",
            "compute.regionUrlMaps",
            "compute.sslPolicies",
            "dns.projects",
        ],
        says: "caches are invalidated, URL maps validated, features and quotas told",
        source: "API description of each method",
        test: "tests/gcloud/dns.txt",
    },
];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "compute.routers.getRouterStatus" => router_status,
        "compute.routers.getNatMappingInfo" => nat_mapping,
        "compute.networks.addPeering" => add_peering,
        "compute.networks.removePeering" => remove_peering,
        "compute.networks.updatePeering" => update_peering,
        "compute.networks.getEffectiveFirewalls" => effective_firewalls,
        "compute.subnetworks.listUsable" => usable_subnetworks,
        "compute.urlMaps.invalidateCache" => invalidate_cache,
        "compute.urlMaps.validate" | "compute.regionUrlMaps.validate" => validate,
        "compute.sslPolicies.listAvailableFeatures" => cipher_suites,
        "dns.projects.get" => dns_project,
        _ => return None,
    })
}

fn router_status(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let mut key = ask.key();
    key.truncate(key.rfind("/getRouterStatus").unwrap_or(key.len()));
    let Some(router) = world.live(&key) else {
        return Err(super::super::generic::missing(&key));
    };
    let nats: Vec<Json> = nats(router)
        .map(|nat| {
            let pool = nat.get("natIps").cloned().unwrap_or_else(|| json!([]));
            json!({
                "name": nat["name"],
                "minExtraNatIpsNeeded": 0,
                "numVmEndpointsWithNatMappings": 0,
                "userAllocatedNatIpResources": pool,
            })
        })
        .collect();
    let mut result = json!({ "network": router.text("network") });
    if !nats.is_empty() {
        result["natStatus"] = json!(nats);
    }
    Ok(json!({ "kind": "compute#routerStatusResponse", "result": result }).into())
}

fn nats(router: &super::super::world::Resource) -> impl Iterator<Item = &Json> {
    let list = router.body.get("nats").and_then(Json::as_array);
    list.into_iter().flatten()
}

fn nat_mapping(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let mut key = ask.key();
    key.truncate(key.rfind("/getNatMappingInfo").unwrap_or(key.len()));
    match world.live(&key) {
        Some(_) => Ok(page::answer(world, ask, Vec::new())?.into()),
        None => Err(super::super::generic::missing(&key)),
    }
}

fn peerings(world: &World, key: &str) -> Vec<Json> {
    let list = world
        .live(key)
        .and_then(|r| r.body.get("peerings")?.as_array().cloned());
    list.unwrap_or_default()
}

fn put_peerings(world: &mut World, ask: &Ask, key: &str, list: Vec<Json>) -> Outcome {
    world.change(key, |body| {
        body.insert("peerings".into(), json!(list));
    });
    operation::begin(world, ask, key, Vec::new()).into()
}

/// ACTIVE once both sides have one (API description of `NetworkPeering.state`).
fn add_peering(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let mut peering = ask
        .body
        .get("networkPeering")
        .cloned()
        .unwrap_or_else(|| json!({}));
    for (old, new) in [("name", "name"), ("peerNetwork", "network")] {
        if let (Some(value), None) = (ask.body.get(old), peering.get(new)) {
            peering[new] = value.clone();
        }
    }
    if let Some(auto) = ask.body.get("autoCreateRoutes") {
        peering["autoCreateRoutes"] = auto.clone();
    }
    refs::canonicalise(&mut peering, &ask.project);
    let name = peering["name"].as_str().unwrap_or("").to_string();
    let mut list = peerings(world, &key);
    if name.is_empty() {
        return Err(Refusal::required("networkPeering.name"));
    }
    if list.iter().any(|p| p["name"] == *name) {
        return Err(Refusal::exists(&format!(
            "{}/peerings/{name}",
            path_of(&key)
        )));
    }
    let here = refs::link(path_of(&key));
    let there = world.linked(&peering["network"]).map(|(key, _)| key);
    let mut state = "INACTIVE";
    if let Some(there) = there {
        let mut theirs = peerings(world, &there);
        for peer in theirs.iter_mut().filter(|p| p["network"] == *here) {
            state = "ACTIVE";
            peer["state"] = json!(state);
        }
        world.change(&there, |body| {
            if state == "ACTIVE" {
                body.insert("peerings".into(), json!(theirs));
            }
        });
    }
    peering["state"] = json!(state);
    list.push(peering);
    Ok(put_peerings(world, ask, &key, list))
}

fn no_peering(name: &str, key: &str) -> Refusal {
    Refusal::invalid(
        "peering",
        name,
        &format!(
            "There is no peering named '{name}' in network '{}'.",
            path_of(key)
        ),
    )
}

fn remove_peering(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let name = ask.text("name").unwrap_or("").to_string();
    let mut list = peerings(world, &key);
    let before = list.len();
    list.retain(|p| p["name"] != *name);
    match list.len() == before {
        true => Err(no_peering(&name, &key)),
        false => Ok(put_peerings(world, ask, &key, list)),
    }
}

fn update_peering(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let sent = ask.body.get("networkPeering").and_then(Json::as_object);
    let sent = sent.cloned().unwrap_or_default();
    let name = sent
        .get("name")
        .and_then(Json::as_str)
        .unwrap_or("")
        .to_string();
    let mut list = peerings(world, &key);
    let found = list.iter_mut().find(|p| p["name"] == *name);
    let Some(peering) = found.and_then(Json::as_object_mut) else {
        return Err(no_peering(&name, &key));
    };
    super::super::patch::merge_into(peering, sent);
    Ok(put_peerings(world, ask, &key, list))
}

fn effective_firewalls(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let link = refs::link(path_of(&key));
    let prefix = format!("compute/projects/{}/global/firewalls/", ask.project);
    let rules: Vec<Json> = world
        .of("compute.firewalls", &prefix)
        .filter(|(_, r)| r.text("network") == link)
        .map(|(_, r)| Json::Object(r.body.clone()))
        .collect();
    Ok(json!({ "firewalls": rules }).into())
}

fn usable_subnetworks(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let prefix = format!("compute/projects/{}/regions/", ask.project);
    let items: Vec<Json> = world
        .of("compute.subnetworks", &prefix)
        .map(|(key, r)| {
            json!({
                "subnetwork": refs::link(path_of(key)),
                "network": r.text("network"),
                "ipCidrRange": r.text("ipCidrRange"),
                "purpose": "PRIVATE",
                "stackType": "IPV4_ONLY",
            })
        })
        .collect();
    Ok(page::answer(world, ask, items)?.into())
}

fn invalidate_cache(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

/// Whether each service that the map names is there.
fn validate(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let mut map = ask
        .body
        .get("resource")
        .cloned()
        .unwrap_or_else(|| json!({}));
    refs::canonicalise(&mut map, &ask.project);
    let missing: Vec<String> = refs::links(&map)
        .into_iter()
        .filter(|(_, path)| !super::linkable(world, path, "compute.urlMaps"))
        .map(|(_, path)| Refusal::not_found(&path).message)
        .collect();
    let mut result = json!({ "loadSucceeded": missing.is_empty() });
    match missing.is_empty() {
        true => result["testPassed"] = json!(true),
        false => result["loadErrors"] = json!(missing),
    }
    Ok(json!({ "result": result }).into())
}

/// The suites of the RESTRICTED profile (Google's page on SSL policies).
fn cipher_suites(_world: &mut World, _ask: &Ask) -> Result<Outcome, Refusal> {
    Ok(json!({ "features": [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    ] })
    .into())
}

fn dns_project(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let number = world.project_number(&ask.project);
    Ok(json!({
        "kind": "dns#project",
        "id": ask.project,
        "number": number.to_string(),
        "quota": {
            "kind": "dns#quota",
            "managedZones": 10000,
            "rrsetsPerManagedZone": 10000,
            "rrsetAdditionsPerChange": 1000,
            "rrsetDeletionsPerChange": 1000,
            "resourceRecordsPerRrset": 100,
        },
    })
    .into())
}
