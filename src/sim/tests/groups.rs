//! Managed groups, looked at every second of virtual time.

use serde_json::{Value as Json, json};

use super::{Client, compute};
use crate::sim::Scenario;
use crate::sim::model::group_health;
use crate::wire::Verb;

pub const GROUP: &str = "regions/us-central1/instanceGroupManagers/fleet";

/// What the groups of these tests stand on: two good images and a bad one, a template of each, a health
/// check, and the rule that lets its probes in.
const BASE: &str = r#"
[[images]]
image = "bad"
healthy = false

[[resources]]
collection = "compute.networks"
body = { name = "default", autoCreateSubnetworks = true }

[[resources]]
collection = "compute.firewalls"
body = { name = "probes", network = "global/networks/default", sourceRanges = ["130.211.0.0/22", "35.191.0.0/16"], allowed = [{ IPProtocol = "tcp", ports = ["80"] }] }

[[resources]]
collection = "compute.healthChecks"
body = { name = "healing", type = "HTTP", httpHealthCheck = { port = 80 } }
"#;

pub fn scenario(more: &str) -> Scenario {
    let mut text = format!("{more}\n{BASE}");
    for name in ["old", "new", "bad"] {
        text += &format!(
            r#"
[[resources]]
collection = "compute.images"
body = {{ name = "{name}", family = "{name}s", sourceImage = "projects/debian-cloud/global/images/family/debian-12" }}

[[resources]]
collection = "compute.instanceTemplates"

[resources.body]
name = "{name}"

[resources.body.properties]
machineType = "n1-standard-2"
disks = [{{ boot = true, autoDelete = true, initializeParams = {{ sourceImage = "global/images/{name}" }} }}]
networkInterfaces = [{{ network = "global/networks/default" }}]
"#
        );
    }
    Scenario::parse(&text).expect("scenario")
}

pub fn version(name: &str) -> Json {
    json!({ "name": name, "instanceTemplate": format!("global/instanceTemplates/{name}") })
}

/// A group of so many machines over three zones that is stable.
pub fn fleet(more: &str, size: i64, policy: Json) -> Client {
    let mut client = Client::of(scenario(more));
    assert_eq!(client.sim.world.notes, Vec::<String>::new());
    insert(&mut client, size, policy);
    client.until(5, &compute(GROUP), |g| g["status"]["isStable"] == true);
    client
}

pub fn insert(client: &mut Client, size: i64, policy: Json) {
    let zones = ["a", "b", "c"].map(|z| json!({ "zone": format!("zones/us-central1-{z}") }));
    client.done(
        Verb::Post,
        "regions/us-central1/instanceGroupManagers",
        json!({ "name": "fleet", "targetSize": size, "versions": [version("old")],
            "distributionPolicy": { "zones": zones }, "updatePolicy": policy,
            "autoHealingPolicies": [{ "healthCheck": "global/healthChecks/healing", "initialDelaySec": 300 }] }),
    );
}

pub fn manager(client: &mut Client) -> Json {
    client.get(&compute(GROUP))
}

pub fn machines(client: &mut Client) -> Vec<Json> {
    let list = client.post(
        &compute(&format!("{GROUP}/listManagedInstances")),
        Json::Null,
    );
    list["managedInstances"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn errors(client: &mut Client) -> Vec<Json> {
    let list = client.get(&compute(&format!("{GROUP}/listErrors")));
    list["items"].as_array().cloned().unwrap_or_default()
}

fn roll(client: &mut Client, versions: Json, policy: Json) {
    client.done(
        Verb::Patch,
        GROUP,
        json!({ "versions": versions, "updatePolicy": policy }),
    );
}

/// How many machines answer their users, how many there are that stay, and how many at all.
fn serving(client: &Client) -> (usize, usize, usize) {
    let world = &client.sim.world;
    let group = world.groups.values().next().expect("the group is there");
    let staying = || group.machines.iter().filter(|m| m.stays());
    let up = staying().filter(|m| group_health::serves(world, m));
    (up.count(), staying().count(), group.machines.len())
}

/// One second after another until it holds; gives what was seen: the fewest serving and the most
/// machines there were, and how many seconds it took.
struct Seen {
    fewest: usize,
    most: usize,
    seconds: i64,
}

fn watch(client: &mut Client, holds: impl Fn(&Json) -> bool) -> Seen {
    let (up, staying, _) = serving(client);
    let mut seen = Seen {
        fewest: up,
        most: staying,
        seconds: 0,
    };
    for second in 0..7200 {
        client.sleep(1);
        let now = client.now;
        client.sim.advance(now);
        let (up, staying, all) = serving(client);
        seen.fewest = seen.fewest.min(up);
        seen.most = seen.most.max(staying);
        let shown = client
            .sim
            .resource("compute", &format!("projects/demo/{GROUP}"))
            .expect("the group is there");
        counters_add_up(&shown, all);
        if holds(&shown) {
            seen.seconds = second;
            return seen;
        }
    }
    panic!("never: {}", manager(client));
}

/// Every machine is in exactly one of the counters.
fn counters_add_up(group: &Json, machines: usize) {
    let counters = group["currentActions"].as_object().expect("counters");
    assert_eq!(counters.len(), 13);
    let sum: u64 = counters.values().filter_map(Json::as_u64).sum();
    assert_eq!(sum, machines as u64, "{group}");
}

fn rolled(group: &Json) -> bool {
    group["status"]["versionTarget"]["isReached"] == true && group["status"]["isStable"] == true
}

fn is_old(machine: &Json) -> bool {
    machine["version"]["name"] == "old"
}

fn surge(surge: i64, unavailable: i64) -> Json {
    json!({ "type": "PROACTIVE", "maxSurge": { "fixed": surge }, "maxUnavailable": { "fixed": unavailable } })
}

#[test]
fn machines_come_one_after_another_and_are_spread() {
    let mut client = Client::of(scenario(""));
    insert(&mut client, 6, json!({}));
    assert_eq!(
        machines(&mut client).len(),
        1,
        "the operation is done before the machines are there"
    );
    client.sleep(4);
    assert_eq!(machines(&mut client).len(), 2);
    client.sleep(17);
    let early = manager(&mut client);
    assert_eq!(early["currentActions"]["creating"], 5);
    assert_eq!(early["currentActions"]["verifying"], 1);
    assert_eq!(early["status"]["isStable"], false);
    client.until(1, &compute(GROUP), |g| g["status"]["isStable"] == true);
    let mut zones: Vec<String> = machines(&mut client)
        .iter()
        .filter_map(|m| Some(m["instance"].as_str()?.split('/').nth(8)?.to_string()))
        .collect();
    zones.sort();
    let each = ["us-central1-a", "us-central1-b", "us-central1-c"];
    assert_eq!(
        zones,
        each.into_iter().flat_map(|z| [z, z]).collect::<Vec<_>>()
    );
}

#[test]
fn a_roll_with_surge_never_serves_with_fewer() {
    let mut client = fleet("", 6, json!({}));
    roll(&mut client, json!([version("new")]), surge(3, 0));
    let patched = manager(&mut client);
    assert_eq!(patched["status"]["isStable"], true, "not noticed yet");
    let noticed = watch(&mut client, |g| g["status"]["isStable"] == false);
    assert!((2..8).contains(&noticed.seconds), "{}", noticed.seconds);
    let seen = watch(&mut client, rolled);
    assert_eq!((seen.fewest, seen.most), (6, 9));
    assert!(machines(&mut client).iter().all(|m| !is_old(m)));
    assert!((150..900).contains(&seen.seconds), "{}", seen.seconds);
}

#[test]
fn a_roll_without_surge_takes_three_at_a_time() {
    let mut client = fleet("", 6, json!({}));
    roll(&mut client, json!([version("new")]), surge(0, 3));
    watch(&mut client, |g| g["status"]["isStable"] == false);
    let seen = watch(&mut client, rolled);
    assert_eq!(seen.fewest, 3);
    assert!(machines(&mut client).iter().all(|m| !is_old(m)));
}

#[test]
fn a_canary_stays_a_canary() {
    let mut client = fleet("", 10, json!({}));
    let mut canary = version("new");
    canary["targetSize"] = json!({ "percent": 20 });
    roll(&mut client, json!([version("old"), canary]), surge(3, 0));
    watch(&mut client, |g| g["status"]["isStable"] == false);
    watch(&mut client, rolled);
    let old = machines(&mut client).iter().filter(|m| is_old(m)).count();
    assert_eq!(old, 8);
    client.sleep(3600);
    let old = machines(&mut client).iter().filter(|m| is_old(m)).count();
    assert_eq!(old, 8, "an hour later");
    let shown = manager(&mut client);
    assert_eq!(
        shown["versions"][1]["targetSize"],
        json!({ "percent": 20, "calculated": 2 })
    );
    assert_eq!(
        shown["versions"][0]["targetSize"],
        json!({ "calculated": 8 })
    );
}

#[test]
fn a_roll_is_cut_short_by_patching_it_back() {
    let mut client = fleet("", 6, json!({}));
    roll(&mut client, json!([version("new")]), surge(3, 0));
    watch(&mut client, |g| {
        g["status"]["isStable"] == false && g["currentActions"]["deleting"] == 1
    });
    roll(&mut client, json!([version("old")]), surge(3, 0));
    client.sleep(6);
    let seen = watch(&mut client, rolled);
    assert!(seen.fewest >= 6, "{}", seen.fewest);
    assert!(machines(&mut client).iter().all(is_old));
    assert_eq!(machines(&mut client).len(), 6);
}

#[test]
fn an_image_that_never_answers_stops_the_roll() {
    let mut client = fleet("", 6, json!({}));
    roll(&mut client, json!([version("bad")]), surge(3, 0));
    let quarter = client.now.plus(crate::world::Millis::mins(30));
    let seen = watch(&mut client, |_| true);
    assert_eq!(seen.fewest, 6);
    while client.now < quarter {
        assert_eq!(serving(&client).0, 6, "the old ones go on");
        client.sleep(1);
        let now = client.now;
        client.sim.advance(now);
    }
    let shown = manager(&mut client);
    assert_eq!(shown["status"]["isStable"], false);
    assert_eq!(shown["status"]["versionTarget"]["isReached"], false);
    let old = machines(&mut client).iter().filter(|m| is_old(m)).count();
    assert_eq!(old, 6);
    let found = errors(&mut client);
    assert!(found.len() >= 3, "{found:?}");
    assert_eq!(
        found[0]["error"]["code"],
        "WAITING_FOR_HEALTHY_TIMEOUT_EXCEEDED"
    );
    let text = found[0]["error"]["message"].as_str().expect("text");
    assert!(text.contains("initialDelay=300 sec"), "{text}");
    assert_eq!(found[0]["instanceActionDetails"]["version"]["name"], "bad");
    roll(&mut client, json!([version("old")]), surge(3, 0));
    client.sleep(6);
    watch(&mut client, rolled);
    assert_eq!(machines(&mut client).len(), 6);
}

#[test]
fn opportunistic_waits_and_a_selected_machine_does_not() {
    let mut client = fleet("", 3, json!({ "type": "OPPORTUNISTIC" }));
    roll(&mut client, json!([version("new")]), json!({}));
    client.sleep(600);
    assert!(machines(&mut client).iter().all(is_old));
    let shown = manager(&mut client);
    assert_eq!(shown["status"]["isStable"], true);
    assert_eq!(shown["status"]["versionTarget"]["isReached"], false);
    let one = machines(&mut client)[0].clone();
    client.done(
        Verb::Post,
        &format!("{GROUP}/applyUpdatesToInstances"),
        json!({ "instances": [one["instance"]], "minimalAction": "NONE" }),
    );
    assert_eq!(manager(&mut client)["currentActions"]["recreating"], 1);
    watch(&mut client, |g| g["status"]["isStable"] == true);
    let after = machines(&mut client);
    let updated: Vec<&Json> = after.iter().filter(|m| !is_old(m)).collect();
    assert_eq!(updated.len(), 1);
    assert_eq!(updated[0]["name"], one["name"], "it keeps its name");
    assert_ne!(updated[0]["id"], one["id"], "and is another machine");
}

#[test]
fn a_changed_version_name_restarts_in_place() {
    let mut client = fleet("", 6, json!({}));
    let before: Vec<Json> = machines(&mut client)
        .iter()
        .map(|m| m["id"].clone())
        .collect();
    let mut again = version("old");
    again["name"] = json!("0/2026-11-23 18:00");
    roll(
        &mut client,
        json!([again]),
        json!({ "type": "PROACTIVE", "minimalAction": "RESTART", "maxSurge": { "fixed": 0 }, "maxUnavailable": { "fixed": 3 } }),
    );
    watch(&mut client, |g| g["currentActions"]["restarting"] == 3);
    let seen = watch(&mut client, rolled);
    assert_eq!(seen.fewest, 3);
    assert_eq!(seen.most, 6);
    let after: Vec<Json> = machines(&mut client)
        .iter()
        .map(|m| m["id"].clone())
        .collect();
    assert_eq!(before, after, "the same machines");
}

#[test]
fn recreate_keeps_names_and_needs_no_surge() {
    let mut client = fleet("", 6, json!({}));
    let names = |client: &mut Client| -> Vec<Json> {
        let mut list: Vec<Json> = machines(client).iter().map(|m| m["name"].clone()).collect();
        list.sort_by_key(Json::to_string);
        list
    };
    let before = names(&mut client);
    let policy = json!({ "type": "PROACTIVE", "replacementMethod": "RECREATE", "maxSurge": { "fixed": 0 }, "maxUnavailable": { "fixed": 3 } });
    roll(&mut client, json!([version("new")]), policy);
    watch(&mut client, |g| g["currentActions"]["recreating"] == 3);
    let seen = watch(&mut client, rolled);
    assert_eq!((seen.fewest, seen.most), (3, 6));
    assert_eq!(names(&mut client), before);
}

#[test]
fn what_is_not_allowed_is_not_done() {
    let mut client = fleet("", 3, json!({}));
    let mut policy = surge(0, 3);
    policy["minimalAction"] = json!("REFRESH");
    policy["mostDisruptiveAllowedAction"] = json!("RESTART");
    roll(&mut client, json!([version("new")]), policy);
    client.sleep(900);
    assert!(
        machines(&mut client).iter().all(is_old),
        "another disk needs a replacement"
    );
    assert_eq!(
        manager(&mut client)["status"]["versionTarget"]["isReached"],
        false
    );
}

#[test]
fn the_api_refuses_impossible_limits() {
    let mut client = fleet("", 6, json!({}));
    let mut refused = |policy: Json| {
        let (status, body) = client.send(
            Verb::Patch,
            &compute(GROUP),
            json!({ "updatePolicy": policy }),
        );
        (
            status,
            body["error"]["message"].as_str().unwrap_or("").to_string(),
        )
    };
    for policy in [
        surge(2, 0),
        surge(0, 1),
        surge(0, 0),
        json!({ "maxSurge": { "percent": 50 } }),
        json!({ "minimalAction": "RESTART", "maxUnavailable": { "fixed": 0 } }),
        json!({ "replacementMethod": "RECREATE", "maxSurge": { "fixed": 3 } }),
        json!({ "minimalAction": "REPLACE", "mostDisruptiveAllowedAction": "RESTART" }),
    ] {
        assert_eq!(refused(policy.clone()).0, 400, "{policy}");
    }
    let (_, text) = refused(surge(2, 0));
    assert!(
        text.contains("either 0 or at least equal to the number of zones"),
        "{text}"
    );
}

#[test]
fn machines_leave_by_name() {
    let mut client = fleet("", 6, json!({}));
    let named = |client: &mut Client, index: usize| machines(client)[index]["instance"].clone();
    let (first, second) = (named(&mut client, 0), named(&mut client, 1));
    client.done(
        Verb::Post,
        &format!("{GROUP}/deleteInstances"),
        json!({ "instances": [first] }),
    );
    client.done(
        Verb::Post,
        &format!("{GROUP}/abandonInstances"),
        json!({ "instances": [second] }),
    );
    assert_eq!(manager(&mut client)["targetSize"], 4);
    watch(&mut client, |g| g["status"]["isStable"] == true);
    assert_eq!(machines(&mut client).len(), 4);
    let path = |link: &Json| {
        link.as_str()
            .expect("link")
            .split_once("/compute/")
            .expect("path")
            .1
            .to_string()
    };
    let (gone, _) = client.send(Verb::Get, &format!("compute/{}", path(&first)), Json::Null);
    assert_eq!(gone, 404);
    let runs = client.get(&format!("compute/{}", path(&second)));
    assert_eq!(runs["status"], "RUNNING");
    client.done(
        Verb::Post,
        &format!("{GROUP}/createInstances"),
        json!({ "instances": [{ "name": "by-hand" }] }),
    );
    watch(&mut client, |g| g["status"]["isStable"] == true);
    assert_eq!(machines(&mut client).len(), 5);
    assert!(machines(&mut client).iter().any(|m| m["name"] == "by-hand"));
    let (status, _) = client.send(
        Verb::Post,
        &compute(&format!("{GROUP}/recreateInstances")),
        json!({ "instances": [second] }),
    );
    assert_eq!(status, 400, "an abandoned machine is no member");
}

#[test]
fn zones_are_evened_out() {
    let mut client = fleet("", 6, json!({}));
    let in_zone_a: Vec<Json> = machines(&mut client)
        .iter()
        .map(|m| m["instance"].clone())
        .filter(|m| m.as_str().is_some_and(|l| l.contains("us-central1-a")))
        .collect();
    assert_eq!(in_zone_a.len(), 2);
    client.done(
        Verb::Post,
        &format!("{GROUP}/deleteInstances"),
        json!({ "instances": in_zone_a }),
    );
    watch(&mut client, |g| g["currentActions"]["creating"] == 1);
    let seen = watch(&mut client, |g| g["status"]["isStable"] == true);
    assert_eq!(seen.fewest, 4);
    let left: Vec<usize> = ["a", "b", "c"]
        .iter()
        .map(|z| {
            let part = format!("us-central1-{z}/");
            let list = machines(&mut client);
            list.iter()
                .filter(|m| m["instance"].as_str().is_some_and(|l| l.contains(&part)))
                .count()
        })
        .collect();
    assert_eq!(left.iter().sum::<usize>(), 4);
    assert!(
        left.iter().max() <= left.iter().min().map(|n| n + 1).as_ref(),
        "{left:?}"
    );
}

#[test]
fn a_machine_that_falls_ill_is_recreated() {
    let more = "[[images]]\nimage = \"olds\"\nfails_after = \"20m\"";
    let mut client = fleet(more, 3, json!({}));
    let before = machines(&mut client);
    let ill = watch(&mut client, |g| g["currentActions"]["recreating"] != 0);
    assert!((900..1300).contains(&ill.seconds), "{}", ill.seconds);
    watch(&mut client, |g| g["status"]["isStable"] == true);
    let after = machines(&mut client);
    assert_eq!(before[0]["name"], after[0]["name"]);
    assert_ne!(before[0]["id"], after[0]["id"]);
}

#[test]
fn a_group_never_gives_up_on_a_quota() {
    let more = "[quotas.us-central1]\nCPUS = 8";
    let mut client = Client::of(scenario(more));
    insert(&mut client, 6, json!({}));
    client.sleep(300);
    let shown = manager(&mut client);
    assert_eq!(shown["currentActions"]["creating"], 2, "{shown}");
    assert_eq!(shown["status"]["isStable"], false);
    let found = errors(&mut client);
    assert_eq!(found[0]["error"]["code"], "QUOTA_EXCEEDED");
    let stuck = machines(&mut client)
        .into_iter()
        .find(|m| m["currentAction"] == "CREATING")
        .expect("one that waits");
    assert_eq!(
        stuck["lastAttempt"]["errors"]["errors"][0]["code"],
        "QUOTA_EXCEEDED"
    );
    assert_eq!(stuck.get("instanceStatus"), None);
    let region = client.get(&compute("regions/us-central1"));
    let cpus = region["quotas"]
        .as_array()
        .and_then(|q| q.iter().find(|q| q["metric"] == "CPUS"))
        .expect("CPUS");
    assert_eq!(
        cpus,
        &json!({ "metric": "CPUS", "limit": 8.0, "usage": 8.0 })
    );
    client.done(Verb::Post, &format!("{GROUP}/resize?size=4"), Json::Null);
    client.until(5, &compute(GROUP), |g| g["status"]["isStable"] == true);
}

#[test]
fn the_same_rolls_give_the_same_bytes() {
    let run = || {
        let mut client = fleet("", 6, json!({}));
        roll(&mut client, json!([version("new")]), surge(3, 0));
        client.sleep(250);
        let now = client.now;
        client.sim.advance(now);
        Json::Object(client.sim.resources()).to_string()
    };
    assert_eq!(run(), run());
}
