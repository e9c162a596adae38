//! The methods of machines about power, public addresses and what one sees of them from outside.
//!
//! Source: the API description of each method; the states SUSPENDING and SUSPENDED are those of
//! `Instance.status`.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::operation::{self, Then};
use super::super::refusal::Refusal;
use super::super::world::World;
use super::super::{Outcome, refs};
use super::instances::{fields, inserted};
use super::rules::Rule;
use super::{Handler, existing, path_of};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.instances"],
    says: "suspend and resume, access configs, network interfaces, serial output, effective firewalls, referrers",
    source: "API description of each method",
    test: "tests/gcloud/machines.txt",
}];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id.strip_prefix("compute.instances.")? {
        "suspend" => suspend,
        "resume" => resume,
        "addAccessConfig" => add_access_config,
        "deleteAccessConfig" => delete_access_config,
        "updateAccessConfig" => update_access_config,
        "updateNetworkInterface" => update_interface,
        "getSerialPortOutput" => serial_output,
        "getEffectiveFirewalls" => effective_firewalls,
        "listReferrers" => referrers,
        _ => return None,
    })
}

fn status(world: &World, key: &str) -> String {
    world
        .live(key)
        .map(|r| r.text("status").to_string())
        .unwrap_or_default()
}

fn suspend(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    if status(world, &key) != "RUNNING" {
        return Err(Refusal::not_ready(path_of(&key)));
    }
    let at = world.stamp();
    world.change(&key, |body| {
        body.insert("status".into(), json!("SUSPENDING"));
    });
    let then = Then::Merge(
        key.clone(),
        fields(&[
            ("status", json!("SUSPENDED")),
            ("lastSuspendedTimestamp", json!(at)),
        ]),
    );
    Ok(operation::begin(world, ask, &key, vec![then]).into())
}

fn resume(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    if status(world, &key) != "SUSPENDED" {
        return Err(Refusal::not_ready(path_of(&key)));
    }
    world.change(&key, |body| {
        body.insert("status".into(), json!("STAGING"));
    });
    let then = inserted(world, &key);
    Ok(operation::begin(world, ask, &key, then).into())
}

/// The interface that the call names, for a change.
fn interface(
    world: &mut World,
    ask: &Ask,
    change: impl FnOnce(&mut Json) -> Result<(), Refusal>,
) -> Result<String, Refusal> {
    let key = existing(world, ask)?;
    let wanted = ask.param("networkInterface").unwrap_or("nic0").to_string();
    let mut done = None;
    world.change(&key, |body| {
        let all = body.get_mut("networkInterfaces");
        let found = all
            .and_then(Json::as_array_mut)
            .into_iter()
            .flatten()
            .find(|i| i["name"] == *wanted);
        done = found.map(change);
    });
    match done {
        Some(done) => done.map(|()| key),
        None => Err(Refusal::invalid(
            "networkInterface",
            &wanted,
            "The specified network interface does not exist.",
        )),
    }
}

fn add_access_config(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let address = world.mint.public_address();
    let mut config = Json::Object(ask.body.clone());
    config["kind"] = json!("compute#accessConfig");
    for (field, value) in [
        ("type", json!("ONE_TO_ONE_NAT")),
        ("name", json!("External NAT")),
        ("natIP", json!(address)),
        ("networkTier", json!("PREMIUM")),
    ] {
        if config.get(field).is_none() {
            config[field] = value;
        }
    }
    let key = interface(world, ask, |nic| {
        let taken = nic["accessConfigs"]
            .as_array()
            .is_some_and(|c| !c.is_empty());
        if taken {
            return Err(Refusal::invalid(
                "networkInterface",
                nic["name"].as_str().unwrap_or(""),
                "At most one access config currently supported.",
            ));
        }
        nic["accessConfigs"] = json!([config]);
        Ok(())
    })?;
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn no_such_config(name: &str) -> Refusal {
    Refusal::invalid(
        "accessConfig",
        name,
        "The specified access config does not exist.",
    )
}

fn delete_access_config(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let name = ask.param("accessConfig").unwrap_or("").to_string();
    let key = interface(world, ask, |nic| {
        let configs = nic.get_mut("accessConfigs").and_then(Json::as_array_mut);
        let Some(configs) = configs.filter(|c| c.iter().any(|c| c["name"] == *name)) else {
            return Err(no_such_config(&name));
        };
        configs.retain(|c| c["name"] != *name);
        if configs.is_empty()
            && let Some(nic) = nic.as_object_mut()
        {
            nic.shift_remove("accessConfigs");
        }
        Ok(())
    })?;
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn update_access_config(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let sent = ask.body.clone();
    let name = ask.text("name").unwrap_or("").to_string();
    let key = interface(world, ask, |nic| {
        let configs = nic.get_mut("accessConfigs").and_then(Json::as_array_mut);
        let mut configs = configs.into_iter().flatten();
        let found = configs.find(|c| name.is_empty() || c["name"] == *name);
        let Some(config) = found.and_then(Json::as_object_mut) else {
            return Err(no_such_config(&name));
        };
        super::super::patch::merge_into(config, sent);
        Ok(())
    })?;
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

fn update_interface(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let sent = ask.body.clone();
    let print = world.mint.fingerprint();
    let key = interface(world, ask, |nic| {
        let given = sent.get("fingerprint").and_then(Json::as_str);
        if given.is_some_and(|g| nic["fingerprint"] != *g) {
            return Err(Refusal::stale_fingerprint());
        }
        if let Some(nic) = nic.as_object_mut() {
            super::super::patch::merge_into(nic, sent);
            nic.insert("fingerprint".into(), json!(print));
        }
        Ok(())
    })?;
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

/// The first line of a boot; nothing else is ever printed.
fn serial_output(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let mut path = ask.key();
    path.truncate(path.rfind("/serialPort").unwrap_or(path.len()));
    let name = refs::last(&path).to_string();
    let Some(machine) = world.live(&path) else {
        return Err(super::super::generic::missing(&path));
    };
    let text = match machine.text("status") {
        "RUNNING" => format!("{name} login: "),
        _ => return Err(Refusal::not_ready(path_of(&path))),
    };
    let start: usize = ask.param("start").and_then(|s| s.parse().ok()).unwrap_or(0);
    let rest = text.get(start..).unwrap_or("");
    Ok(json!({
        "kind": "compute#serialPortOutput",
        "selfLink": refs::link(&format!("{}/serialPort", path_of(&path))),
        "contents": rest,
        "start": start.to_string(),
        "next": text.len().to_string(),
    })
    .into())
}

fn effective_firewalls(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let nic = ask.param("networkInterface").unwrap_or("nic0").to_string();
    let network = world.live(&key).and_then(|r| {
        let all = r.body.get("networkInterfaces")?.as_array()?;
        let found = all.iter().find(|i| i["name"] == *nic)?;
        found.get("network").cloned()
    });
    let prefix = format!("compute/projects/{}/global/firewalls/", ask.project);
    let rules: Vec<Json> = world
        .of("compute.firewalls", &prefix)
        .filter(|(_, r)| r.body.get("network") == network.as_ref())
        .map(|(_, r)| Json::Object(r.body.clone()))
        .collect();
    Ok(json!({ "firewalls": rules }).into())
}

/// The groups that a machine is in.
fn referrers(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let mut path = ask.key();
    path.truncate(path.rfind("/referrers").unwrap_or(path.len()));
    let groups: Vec<Json> = world
        .groups
        .iter()
        .flat_map(|(manager, g)| g.machines.iter().map(move |m| (manager, m)))
        .filter(|(_, m)| m.key == path)
        .map(|(manager, m)| {
            json!({
                "kind": "compute#reference",
                "referenceType": "MEMBER_OF",
                "referrer": refs::link(path_of(manager)),
                "target": refs::link(path_of(&m.key)),
            })
        })
        .collect();
    Ok(super::super::page::answer(world, ask, groups)?.into())
}
