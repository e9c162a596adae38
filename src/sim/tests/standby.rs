//! Machines of a group at rest, and those that somebody else stopped.

use serde_json::{Value as Json, json};

use super::groups::{GROUP, fleet, machines, manager};
use super::{Client, compute};
use crate::wire::Verb;

fn stable(client: &mut Client) {
    client.until(5, &compute(GROUP), |g| g["status"]["isStable"] == true);
}

fn links(some: &[Json]) -> Json {
    json!({ "instances": some.iter().map(|m| m["instance"].clone()).collect::<Vec<_>>() })
}

fn sizes(client: &mut Client) -> [i64; 3] {
    let group = manager(client);
    ["targetSize", "targetSuspendedSize", "targetStoppedSize"].map(|f| group[f].as_i64().expect(f))
}

fn with_status(client: &mut Client, status: &str) -> Vec<Json> {
    let all = machines(client).into_iter();
    all.filter(|m| m["instanceStatus"] == *status).collect()
}

fn act(client: &mut Client, method: &str, some: &[Json]) {
    client.done(Verb::Post, &format!("{GROUP}/{method}"), links(some));
}

#[test]
fn machines_rest_in_pools_and_wake() {
    let mut client = fleet("", 3, json!({}));
    let all = machines(&mut client);
    act(&mut client, "suspendInstances", &all[..1]);
    act(&mut client, "stopInstances", &all[1..2]);
    assert_eq!(sizes(&mut client), [1, 1, 1]);
    assert_eq!(manager(&mut client)["currentActions"]["stopping"], 1);
    stable(&mut client);
    assert_eq!(with_status(&mut client, "SUSPENDED").len(), 1);
    assert_eq!(with_status(&mut client, "TERMINATED").len(), 1);
    assert_eq!(machines(&mut client).len(), 3, "nothing takes their place");
    // Who rests is not ill, and is left alone.
    client.sleep(3600);
    assert_eq!(with_status(&mut client, "SUSPENDED").len(), 1);
    act(&mut client, "resumeInstances", &all[..1]);
    act(&mut client, "startInstances", &all[1..2]);
    assert_eq!(manager(&mut client)["currentActions"]["starting"], 1);
    stable(&mut client);
    assert_eq!(sizes(&mut client), [3, 0, 0]);
    assert_eq!(with_status(&mut client, "RUNNING").len(), 3);
    let names = |list: &[Json]| list.iter().map(|m| m["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&machines(&mut client)), names(&all));
}

#[test]
fn only_what_runs_is_suspended_and_only_what_rests_is_woken() {
    let mut client = fleet("", 3, json!({}));
    let all = machines(&mut client);
    act(&mut client, "suspendInstances", &all[..1]);
    stable(&mut client);
    for (method, index) in [
        ("suspendInstances", 0),
        ("startInstances", 0),
        ("resumeInstances", 1),
    ] {
        let line = compute(&format!("{GROUP}/{method}"));
        let (status, body) = client.send(Verb::Post, &line, links(&all[index..=index]));
        assert_eq!(status, 400, "{method}: {body}");
    }
    assert_eq!(sizes(&mut client), [2, 1, 0]);
    act(&mut client, "deleteInstances", &all[..1]);
    assert_eq!(sizes(&mut client), [2, 0, 0], "it leaves its own pool");
}

#[test]
fn pools_are_filled_and_wake_when_the_group_grows() {
    let mut client = fleet("", 3, json!({}));
    let policy = json!({ "mode": "SCALE_OUT_POOL", "initialDelaySec": 120 });
    let patch = json!({ "targetSuspendedSize": 2, "standbyPolicy": policy });
    client.done(Verb::Patch, GROUP, patch);
    client.sleep(90);
    assert_eq!(
        machines(&mut client).len(),
        5,
        "they are made, and run for two minutes first"
    );
    assert_eq!(with_status(&mut client, "SUSPENDED").len(), 0);
    stable(&mut client);
    let pool = with_status(&mut client, "SUSPENDED");
    assert_eq!(pool.len(), 2);
    client.done(Verb::Post, &format!("{GROUP}/resize?size=4"), Json::Null);
    client.sleep(20);
    let running = with_status(&mut client, "RUNNING");
    let woken = pool
        .iter()
        .filter(|p| running.iter().any(|r| r["name"] == p["name"]));
    assert_eq!(woken.count(), 1, "woken, not made");
    stable(&mut client);
    assert_eq!(with_status(&mut client, "RUNNING").len(), 4);
    assert_eq!(
        with_status(&mut client, "SUSPENDED").len(),
        2,
        "and replenished"
    );
    client.done(Verb::Patch, GROUP, json!({ "targetSuspendedSize": 0 }));
    client.sleep(120);
    assert_eq!(machines(&mut client).len(), 4);
    let wrong = json!({ "standbyPolicy": { "initialDelaySec": 3601 } });
    assert_eq!(client.send(Verb::Patch, &compute(GROUP), wrong).0, 400);
}

#[test]
fn what_somebody_else_stopped_or_deleted_is_made_anew() {
    let mut client = fleet("", 3, json!({}));
    let all = machines(&mut client);
    let path = |m: &Json| {
        m["instance"]
            .as_str()
            .and_then(|l| Some(l.split_once("/demo/")?.1.to_string()))
    };
    let (stopped, deleted) = (
        path(&all[0]).expect("a path"),
        path(&all[1]).expect("a path"),
    );
    client.done(Verb::Post, &format!("{stopped}/stop"), Json::Null);
    client.done(Verb::Delete, &deleted, Json::Null);
    client.sleep(10);
    assert_eq!(manager(&mut client)["currentActions"]["recreating"], 2);
    stable(&mut client);
    let now = machines(&mut client);
    assert_eq!(now.len(), 3);
    for old in &all[..2] {
        let new = now
            .iter()
            .find(|m| m["name"] == old["name"])
            .expect("the name stays");
        assert_ne!(new["id"], old["id"]);
        assert_eq!(new["instanceStatus"], "RUNNING");
    }
}
