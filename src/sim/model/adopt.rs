//! Resources as the real API lists them, put there as they are.

use serde_json::Value as Json;

use super::super::refs;
use super::super::world::{Object, World};
use super::group_wish::Wish;
use super::groups::{Group, Machine, Pool, Probe};
use super::{group_spec, path_of, scaling};

/// The service that a `selfLink` leads to, the path below the version, and the whole path.
pub fn place_of(body: &Json) -> Option<(String, String, String)> {
    let link = body.get("selfLink")?.as_str()?;
    let (_, rest) = link.split_once("://")?;
    let (host, full) = rest.split_once('/')?;
    let service = match host.strip_suffix(".googleapis.com")? {
        // The old host of all APIs names the service in the path.
        "www" | "content" => full.split('/').next()?,
        service => service,
    };
    let path = &full[full.find("projects/")?..];
    let full = match service {
        "sqladmin" => format!("v1/{path}"),
        "compute" => format!("compute/v1/{path}"),
        _ => full.to_string(),
    };
    Some((service.to_string(), path.to_string(), full))
}

/// Puts a resource there; references are written as this cloud writes them.
pub fn put(world: &mut World, key: &str, collection: &str, mut body: Json) {
    let project = refs::project_of(path_of(key)).unwrap_or_default();
    if key.starts_with("compute/") {
        refs::canonicalise(&mut body, project);
    }
    if let Json::Object(fields) = body {
        world.put(key, collection, fields);
    }
}

/// Gives every loaded group the machines that say they were made by it, and what stands beside it.
pub fn gather(world: &mut World, project: &str) {
    let prefix = format!("compute/projects/{project}/");
    let managers: Vec<(String, Object)> = world
        .resources
        .range(prefix.clone()..)
        .take_while(|(key, _)| key.starts_with(&prefix))
        .filter(|(key, r)| {
            r.collection.ends_with("nstanceGroupManagers") && !world.groups.contains_key(*key)
        })
        .map(|(key, r)| (key.clone(), r.body.clone()))
        .collect();
    for (key, body) in managers {
        let path = path_of(&key).to_string();
        let beside = path.replace("/instanceGroupManagers/", "/instanceGroups/");
        if world.compute(&beside).is_none() {
            group_spec::make_group(world, &path, &beside, &body);
        }
        let wish = Wish::of(&body, &path);
        let machines = members(world, &prefix, &path, &wish);
        world.groups.insert(key, Group::of(wish, machines));
    }
    let scalers: Vec<String> = world
        .resources
        .range(prefix.clone()..)
        .take_while(|(key, _)| key.starts_with(&prefix))
        .filter(|(_, r)| r.collection.ends_with("utoscalers"))
        .map(|(key, _)| key.clone())
        .filter(|key| !world.scalers.contains_key(key))
        .collect();
    for key in scalers {
        scaling::inserted(world, &key);
    }
}

fn members(world: &World, prefix: &str, manager: &str, wish: &Wish) -> Vec<Machine> {
    let now = world.now;
    world
        .of("compute.instances", prefix)
        .filter_map(|(key, vm)| {
            let items = vm.body.get("metadata")?.get("items")?.as_array()?;
            let value = |name: &str| {
                let item = items.iter().find(|i| i["key"] == name)?;
                // By number there, by id here.
                item.get("value")?.as_str()?.splitn(3, '/').nth(2)
            };
            if value("created-by")? != manager.splitn(3, '/').nth(2)? {
                return None;
            }
            let template = value("instance-template")
                .and_then(|t| wish.versions.iter().find(|v| v.template.ends_with(t)));
            let version = template.or(wish.versions.first())?;
            let status = vm.text("status");
            Some(Machine {
                serves: (status == "RUNNING").then_some(now),
                probe: Probe {
                    answers: true,
                    since: now,
                },
                passed: true,
                ready: Some(now),
                pool: match status {
                    "SUSPENDED" if wish.suspended > 0 => Pool::Suspended,
                    "TERMINATED" if wish.stopped > 0 => Pool::Stopped,
                    _ => Pool::Running,
                },
                ..Machine::new(key.clone(), version, now)
            })
        })
        .collect()
}
