//! State of single machines: per-instance configs and stateful policies.

use serde_json::{Value as Json, json};

use super::groups::{GROUP, fleet, machines, version};
use super::{Client, compute};
use crate::wire::Verb;

const NO_MOVING: &str = r#"{ "instanceRedistributionType": "NONE" }"#;

fn still() -> Json {
    serde_json::from_str(NO_MOVING).expect("a policy")
}

fn stable(client: &mut Client) {
    client.until(5, &compute(GROUP), |g| g["status"]["isStable"] == true);
}

fn path(machine: &Json) -> String {
    let link = machine["instance"].as_str().expect("a link");
    link.split_once("/demo/").expect("a path").1.to_string()
}

fn vm(client: &mut Client, machine: &Json) -> Json {
    client.get(&compute(&path(machine)))
}

fn call(client: &mut Client, method: &str, body: Json) {
    client.done(Verb::Post, &format!("{GROUP}/{method}"), body);
}

fn configs(client: &mut Client) -> Vec<Json> {
    let line = compute(&format!("{GROUP}/listPerInstanceConfigs"));
    let list = client.post(&line, Json::Null);
    list["items"].as_array().cloned().unwrap_or_default()
}

fn value(vm: &Json, key: &str) -> Option<String> {
    let items = vm["metadata"]["items"].as_array()?;
    let item = items.iter().find(|i| i["key"] == *key)?;
    Some(item["value"].as_str()?.to_string())
}

/// A disk beside a machine, and a config that keeps it.
fn with_disk(client: &mut Client, machine: &Json) -> Json {
    let zone = path(machine).split('/').nth(1).expect("a zone").to_string();
    let disk = format!("zones/{zone}/disks");
    client.done(Verb::Post, &disk, json!({ "name": "data", "sizeGb": "20" }));
    let source = format!("projects/demo/{disk}/data");
    json!({ "perInstanceConfigs": [{ "name": machine["name"], "preservedState": {
        "disks": { "data": { "source": source, "autoDelete": "ON_PERMANENT_INSTANCE_DELETION" } },
        "metadata": { "shard": "7" } } }] })
}

/// The machine that stands in the place of one that was recreated.
fn made_anew(client: &mut Client, one: &Json, before: &Json) -> Json {
    call(
        client,
        "recreateInstances",
        json!({ "instances": [one["instance"]] }),
    );
    stable(client);
    let after = vm(client, one);
    assert_ne!(after["id"], before["id"]);
    after
}

#[test]
fn a_config_keeps_what_it_names() {
    let mut client = fleet("", 3, still());
    let one = machines(&mut client).remove(0);
    let config = with_disk(&mut client, &one);
    call(&mut client, "updatePerInstanceConfigs", config);
    assert_eq!(configs(&mut client)[0]["status"], "UNAPPLIED");
    assert_eq!(value(&vm(&mut client, &one), "shard"), None);
    call(
        &mut client,
        "applyUpdatesToInstances",
        json!({ "instances": [one["instance"]] }),
    );
    stable(&mut client);
    assert_eq!(configs(&mut client)[0]["status"], "EFFECTIVE");
    let before = vm(&mut client, &one);
    assert_eq!(value(&before, "shard").as_deref(), Some("7"));
    let source = before["disks"][1]["source"].clone();
    assert!(source.as_str().is_some_and(|s| s.ends_with("/disks/data")));
    let shown = machines(&mut client).remove(0);
    assert_eq!(shown["preservedStateFromConfig"]["metadata"]["shard"], "7");
    let after = made_anew(&mut client, &one, &before);
    assert_eq!(value(&after, "shard").as_deref(), Some("7"));
    let disks = after["disks"].as_array().expect("disks");
    let kept = disks.iter().find(|d| d["deviceName"] == "data");
    assert_eq!(kept.expect("the disk is kept")["source"], source);
    let group = client.get(&compute(GROUP));
    assert_eq!(group["status"]["stateful"]["hasStatefulConfig"], true);
    // For good, it takes the disk along.
    call(
        &mut client,
        "deleteInstances",
        json!({ "instances": [one["instance"]] }),
    );
    stable(&mut client);
    let disk = source
        .as_str()
        .and_then(|s| s.split_once("/demo/"))
        .expect("a path")
        .1;
    assert_eq!(client.send(Verb::Get, &compute(disk), Json::Null).0, 404);
    assert_eq!(configs(&mut client), [] as [Json; 0]);
}

#[test]
fn a_config_that_is_deleted_is_taken_back_when_it_is_applied() {
    let mut client = fleet("", 3, still());
    let one = machines(&mut client).remove(0);
    let config = with_disk(&mut client, &one);
    let named = json!({ "instances": [one["instance"]] });
    call(&mut client, "patchPerInstanceConfigs", config);
    call(&mut client, "applyUpdatesToInstances", named.clone());
    stable(&mut client);
    call(
        &mut client,
        "deletePerInstanceConfigs",
        json!({ "names": [one["name"]] }),
    );
    assert_eq!(configs(&mut client)[0]["status"], "UNAPPLIED_DELETION");
    call(&mut client, "applyUpdatesToInstances", named);
    stable(&mut client);
    assert_eq!(configs(&mut client), [] as [Json; 0]);
    let now = vm(&mut client, &one);
    assert_eq!(value(&now, "shard"), None);
    assert_eq!(now["disks"].as_array().map(Vec::len), Some(1));
    let disk = path(&one)
        .split("/instances/")
        .next()
        .map(|z| format!("{z}/disks/data"));
    let disk = client.get(&compute(&disk.expect("a path")));
    assert_eq!(disk["users"], Json::Null, "it is free again");
}

#[test]
fn a_policy_keeps_disks_and_addresses_through_a_recreation() {
    let mut client = fleet("", 3, still());
    let policy = json!({ "statefulPolicy": { "preservedState": {
        "disks": { "persistent-disk-0": { "autoDelete": "NEVER" } },
        "internalIPs": { "nic0": { "autoDelete": "NEVER" } } } } });
    client.done(Verb::Patch, GROUP, policy);
    stable(&mut client);
    client.sleep(10);
    let one = machines(&mut client).remove(0);
    let kept = &one["preservedStateFromPolicy"];
    assert!(
        kept["disks"]["persistent-disk-0"]["source"].is_string(),
        "{one}"
    );
    let before = vm(&mut client, &one);
    let disk = path(&one).replace("/instances/", "/disks/");
    let disk_id = client.get(&compute(&disk))["id"].clone();
    let after = made_anew(&mut client, &one, &before);
    let ip = |vm: &Json| vm["networkInterfaces"][0]["networkIP"].clone();
    assert_eq!(ip(&after), ip(&before));
    assert_eq!(client.get(&compute(&disk))["id"], disk_id);
    assert_eq!(after["disks"][0]["boot"], true);
    // When it goes for good, a disk that is never deleted stays.
    call(
        &mut client,
        "deleteInstances",
        json!({ "instances": [one["instance"]] }),
    );
    stable(&mut client);
    assert_eq!(client.get(&compute(&disk))["id"], disk_id);
}

#[test]
fn a_machine_is_created_with_its_state() {
    let mut client = fleet("", 3, still());
    call(
        &mut client,
        "createInstances",
        json!({ "instances": [{ "name": "ada", "preservedState": { "metadata": { "a": "b" } } }] }),
    );
    stable(&mut client);
    let all = machines(&mut client);
    let ada = all
        .iter()
        .find(|m| m["name"] == "ada")
        .expect("it is there");
    assert_eq!(value(&vm(&mut client, ada), "a").as_deref(), Some("b"));
    assert_eq!(configs(&mut client)[0]["status"], "EFFECTIVE");
}

#[test]
fn state_that_cannot_be_kept_is_refused() {
    let mut client = fleet("", 3, json!({}));
    let state = json!({ "preservedState": { "disks": { "d": { "autoDelete": "NEVER" } } } });
    let moves = json!({ "statefulPolicy": state });
    let (status, body) = client.send(Verb::Patch, &compute(GROUP), moves);
    assert_eq!(status, 400, "{body}");
    let rolls = json!({ "statefulPolicy": state, "versions": [version("new")],
        "updatePolicy": { "type": "PROACTIVE", "instanceRedistributionType": "NONE" } });
    let (status, body) = client.send(Verb::Patch, &compute(GROUP), rolls);
    assert_eq!(status, 400, "{body}");
    let update = compute(&format!("{GROUP}/updatePerInstanceConfigs"));
    let name = machines(&mut client)[0]["name"].clone();
    for (config, wanted) in [
        (json!({ "name": "nobody" }), 400),
        (
            json!({ "name": name, "preservedState": { "disks": { "d": { "source": "zones/us-central1-a/disks/none" } } } }),
            404,
        ),
    ] {
        let body = json!({ "perInstanceConfigs": [config] });
        let (status, said) = client.send(Verb::Post, &update, body);
        assert_eq!(status, wanted, "{said}");
    }
    let delete = compute(&format!("{GROUP}/deletePerInstanceConfigs"));
    assert_eq!(
        client
            .send(Verb::Post, &delete, json!({ "names": [name] }))
            .0,
        400
    );
}

#[test]
fn what_all_machines_have_is_over_the_template() {
    let mut client = fleet("", 3, json!({ "type": "PROACTIVE" }));
    let before = machines(&mut client);
    let config = json!({ "allInstancesConfig": { "properties": {
        "labels": { "of": "all" }, "metadata": { "a": "b" } } } });
    client.done(Verb::Patch, GROUP, config);
    stable(&mut client);
    client.sleep(10);
    stable(&mut client);
    let group = client.get(&compute(GROUP));
    assert_eq!(group["status"]["allInstancesConfig"]["effective"], true);
    for machine in &before {
        let vm = vm(&mut client, machine);
        assert_eq!(vm["labels"]["of"], "all");
        assert_eq!(value(&vm, "a").as_deref(), Some("b"));
    }
    // An opportunistic group keeps it for the machines that come.
    let policy = json!({ "updatePolicy": { "type": "OPPORTUNISTIC" },
        "allInstancesConfig": { "properties": { "labels": { "of": "new" } } } });
    client.done(Verb::Patch, GROUP, policy);
    client.sleep(10);
    let group = client.get(&compute(GROUP));
    assert_eq!(group["status"]["allInstancesConfig"]["effective"], false);
    client.done(Verb::Post, &format!("{GROUP}/resize?size=4"), Json::Null);
    client.sleep(15);
    stable(&mut client);
    let all = machines(&mut client);
    let new = all
        .iter()
        .find(|m| before.iter().all(|b| b["name"] != m["name"]));
    assert_eq!(
        vm(&mut client, new.expect("a new one"))["labels"]["of"],
        "new"
    );
    assert_eq!(vm(&mut client, &before[0])["labels"]["of"], "all");
}
