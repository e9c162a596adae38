//! What a scenario lets go wrong: faults, quotas, full zones, APIs that are off, a database that is out of
//! reach; and what its text may say.

use serde_json::{Value as Json, json};

use super::groups::{GROUP, insert, manager, scenario};
use super::{Client, compute};
use crate::sim::scenario::FaultRule;
use crate::sim::{Fate, Scenario};
use crate::wire::Verb;

const VM: &str = "zones/us-central1-a/instances";

fn machine(name: &str) -> Json {
    json!({ "name": name, "machineType": "zones/us-central1-a/machineTypes/n1-standard-2",
        "disks": [{ "boot": true, "initializeParams": { "sourceImage": "global/images/old" } }],
        "networkInterfaces": [{ "network": "global/networks/default", "accessConfigs": [{}] }] })
}

fn check(client: &mut Client, name: &str) -> (Fate, u16, Json) {
    let line = compute("global/healthChecks");
    let reply = client.reply(Verb::Post, &line, json!({ "name": name, "type": "TCP" }));
    let body = serde_json::from_slice(&reply.answer.body).unwrap_or(Json::Null);
    (reply.fate, reply.answer.status, body)
}

fn exists(client: &mut Client, name: &str) -> bool {
    let line = compute(&format!("global/healthChecks/{name}"));
    client.send(Verb::Get, &line, Json::Null).0 == 200
}

fn faulty(kind: &str, more: &str) -> Client {
    let text = format!(
        "[[faults]]\nkind = \"{kind}\"\nmethod = \"compute.healthChecks.insert\"\n{more}\n"
    );
    Client::of(scenario(&text))
}

#[test]
fn answers_are_lost_after_the_effect_and_connections_before() {
    let mut client = faulty("answer lost", "target = \"*/a\"");
    assert_eq!(check(&mut client, "b").0, Fate::Arrives);
    assert_eq!(check(&mut client, "a").0, Fate::Lost);
    assert!(exists(&mut client, "a"));
    let (fate, status, _) = check(&mut client, "a");
    assert_eq!((fate, status), (Fate::Arrives, 409), "one fault, one call");
    let mut client = faulty("connection reset", "");
    assert_eq!(check(&mut client, "a").0, Fate::Lost);
    assert!(!exists(&mut client, "a"));
    assert_eq!(client.sim.mutations(), [], "it never arrived");
}

#[test]
fn refusals_have_no_effect_and_googles_words() {
    for (kind, expected, reason) in [
        ("rate limit", 403, "rateLimitExceeded"),
        ("too many requests", 429, "rateLimitExceeded"),
        ("unavailable", 503, "backendError"),
    ] {
        let mut client = faulty(kind, "nth = 2");
        assert_eq!(check(&mut client, "a").1, 200);
        let (_, status, body) = check(&mut client, "b");
        assert_eq!(status, expected);
        assert_eq!(body["error"]["errors"][0]["reason"], reason, "{body}");
        assert!(!exists(&mut client, "b"));
        assert_eq!(check(&mut client, "b").1, 200);
    }
    let (_, _, body) = {
        let mut client = faulty("rate limit", "");
        check(&mut client, "a")
    };
    assert_eq!(body["error"]["errors"][0]["domain"], "usageLimits");
    assert_eq!(body["error"]["details"][0]["reason"], "RATE_LIMIT_EXCEEDED");
}

#[test]
fn slow_is_slow() {
    let mut client = faulty("slow", "delay = \"40s\"");
    let before = client.now;
    check(&mut client, "a");
    assert_eq!(client.now.since(before).0, 40_300);
}

#[test]
fn an_operation_that_fails_leaves_nothing() {
    let mut client = faulty("operation fails", "error = \"INTERNAL_ERROR\"");
    let (_, status, operation) = check(&mut client, "a");
    assert_eq!((status, &operation["status"]), (200, &json!("RUNNING")));
    let done = client.ended(operation);
    assert_eq!(done["error"]["errors"][0]["code"], "INTERNAL_ERROR");
    assert_eq!(done["httpErrorStatusCode"], 503);
    assert!(!exists(&mut client, "a"));
    assert_eq!(check(&mut client, "a").1, 200);
}

#[test]
fn a_change_whose_operation_fails_changes_nothing() {
    let mut client = Client::of(scenario(
        "[[faults]]\nkind = \"operation fails\"\nerror = \"INTERNAL_ERROR\"\nmethod = \"compute.healthChecks.*\"\ntimes = 2",
    ));
    let path = compute("global/healthChecks/healing");
    let before = client.get(&path);
    client
        .sim
        .inject(FaultRule {
            kind: crate::sim::scenario::FaultKind::Slow,
            delay: Some(crate::sim::scenario::Span(crate::world::Millis(1))),
            ..serde_json::from_value(json!({ "kind": "unavailable", "method": "none" }))
                .expect("rule")
        })
        .expect("a whole rule");
    let (_, patch) = client.send(Verb::Patch, &path, json!({ "checkIntervalSec": 30 }));
    assert_eq!(
        client.ended(patch)["error"]["errors"][0]["code"],
        "INTERNAL_ERROR"
    );
    assert_eq!(client.get(&path), before);
}

#[test]
fn what_is_inserted_may_not_be_visible_yet() {
    let mut client = faulty("not visible yet", "delay = \"30s\"");
    let (_, status, operation) = check(&mut client, "a");
    assert_eq!(status, 200);
    client.wait(operation);
    assert!(!exists(&mut client, "a"));
    let names = |client: &mut Client| client.get(&compute("global/healthChecks")).to_string();
    assert!(!names(&mut client).contains("\"a\""));
    assert_eq!(check(&mut client, "a").1, 409, "it is there all the same");
    client.sleep(30);
    assert!(exists(&mut client, "a"));
    assert!(names(&mut client).contains("\"a\""));
}

#[test]
fn faults_by_chance_come_again() {
    let run = |seed: &str| -> Vec<u16> {
        let text = format!(
            "{seed}\n[[faults]]\nkind = \"unavailable\"\nmethod = \"*insert\"\nchance = 0.3\n"
        );
        let mut client = Client::of(scenario(&text));
        (0..40)
            .map(|i| check(&mut client, &format!("c{i}")).1)
            .collect()
    };
    assert_eq!(run("seed = 1"), run("seed = 1"));
    assert_ne!(run("seed = 1"), run("seed = 2"));
}

#[test]
fn a_quota_of_machines_is_told_by_the_operation() {
    let mut client = Client::of(scenario("[quotas.regions]\nIN_USE_ADDRESSES = 1"));
    client.done(Verb::Post, VM, machine("one"));
    let operation = client.post(&compute(VM), machine("two"));
    let failed = client.ended(operation);
    let error = &failed["error"]["errors"][0];
    assert_eq!(error["code"], "QUOTA_EXCEEDED");
    assert_eq!(
        error["message"],
        "Quota 'IN_USE_ADDRESSES' exceeded.  Limit: 1.0 in region us-central1."
    );
    assert_eq!(
        error["errorDetails"][0]["quotaInfo"]["dimensions"]["region"],
        "us-central1"
    );
    assert_eq!(failed["httpErrorMessage"], "FORBIDDEN");
    for kind in ["instances", "disks"] {
        let line = compute(&format!("zones/us-central1-a/{kind}/two"));
        assert_eq!(client.send(Verb::Get, &line, Json::Null).0, 404, "{kind}");
    }
    client.done(Verb::Delete, &format!("{VM}/one"), Json::Null);
    client.done(Verb::Post, VM, machine("two"));
}

#[test]
fn other_quotas_are_told_at_once() {
    let mut client = Client::of(scenario("[quotas.global]\nHEALTH_CHECKS = 2"));
    assert_eq!(check(&mut client, "a").1, 200);
    let (_, status, body) = check(&mut client, "b");
    assert_eq!(status, 403);
    assert_eq!(body["error"]["errors"][0]["reason"], "quotaExceeded");
    assert_eq!(
        body["error"]["message"],
        "Quota 'HEALTH_CHECKS' exceeded.  Limit: 2.0 globally."
    );
}

#[test]
fn a_full_zone_takes_no_machine_and_starts_none() {
    let mut client = Client::of(scenario(
        "[[stockouts]]\nzone = \"us-central1-a\"\nmachine_type = \"n1-*\"\nfrom = \"5m\"\nuntil = \"10m\"",
    ));
    client.done(Verb::Post, VM, machine("one"));
    client.done(Verb::Post, &format!("{VM}/one/stop"), Json::Null);
    client.sleep(300);
    let operation = client.post(&compute(VM), machine("two"));
    let failed = client.ended(operation);
    assert_eq!(
        failed["error"]["errors"][0]["code"],
        "ZONE_RESOURCE_POOL_EXHAUSTED"
    );
    assert_eq!(failed["httpErrorStatusCode"], 503);
    let started = client.post(&compute(&format!("{VM}/one/start")), Json::Null);
    let failed = client.ended(started);
    assert_eq!(
        failed["error"]["errors"][0]["code"],
        "ZONE_RESOURCE_POOL_EXHAUSTED"
    );
    assert_eq!(
        client.get(&compute(&format!("{VM}/one")))["status"],
        "TERMINATED"
    );
    client.sleep(300);
    client.done(Verb::Post, &format!("{VM}/one/start"), Json::Null);
    assert_eq!(
        client.get(&compute(&format!("{VM}/one")))["status"],
        "RUNNING"
    );
}

#[test]
fn an_api_that_is_off_says_so_and_needs_a_moment() {
    let mut client = Client::of(scenario("disabled_apis = [\"dns.googleapis.com\"]"));
    let zones = "dns/v1/projects/demo/managedZones";
    let (status, body) = client.send(Verb::Get, zones, Json::Null);
    assert_eq!(status, 403);
    let error = &body["error"];
    assert_eq!(error["errors"][0]["reason"], "accessNotConfigured");
    assert_eq!(error["status"], "PERMISSION_DENIED");
    assert_eq!(error["details"][0]["reason"], "SERVICE_DISABLED");
    assert_eq!(
        error["details"][0]["metadata"]["service"],
        "dns.googleapis.com"
    );
    let service = "v1/projects/demo/services/dns.googleapis.com";
    assert_eq!(client.get(service)["state"], "DISABLED");
    client.post(&format!("{service}:enable"), json!({}));
    client.until(1, service, |s| s["state"] == "ENABLED");
    client.sleep(10);
    assert_eq!(
        client.send(Verb::Get, zones, Json::Null).0,
        403,
        "not everywhere yet"
    );
    client.sleep(40);
    client.get(zones);
}

#[test]
fn a_machine_without_its_database_is_ill() {
    let database = r#"
[[images]]
image = "olds"
database = "main"

[[resources]]
collection = "sqladmin.instances"

[resources.body]
name = "main"
region = "us-central1"
databaseVersion = "MYSQL_8_0"
settings = { tier = "db-custom-2-7680", ipConfiguration = { ipv4Enabled = true, authorizedNetworks = [] } }
"#;
    let mut client = Client::of(scenario(database));
    client.done(
        Verb::Post,
        "regions/us-central1/addresses",
        json!({ "name": "nat" }),
    );
    client.done(
        Verb::Post,
        "regions/us-central1/routers",
        json!({ "name": "r", "network": "global/networks/default", "nats": [{ "name": "n",
            "natIpAllocateOption": "MANUAL_ONLY", "natIps": ["regions/us-central1/addresses/nat"],
            "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES" }] }),
    );
    let address = client.get(&compute("regions/us-central1/addresses/nat"))["address"].clone();
    insert(&mut client, 3, json!({}));
    client.sleep(200);
    assert_eq!(manager(&mut client)["currentActions"]["verifying"], 3);
    let body = json!({ "settings": { "ipConfiguration": { "authorizedNetworks": [
        { "value": format!("{}/32", address.as_str().expect("address")) }] } } });
    client.send(Verb::Patch, "v1/projects/demo/instances/main", body);
    client.until(5, &compute(GROUP), |g| g["status"]["isStable"] == true);
}

#[test]
fn mistakes_in_a_scenario_are_told_with_their_line() {
    let error = |text: &str| Scenario::parse(text).expect_err(text);
    let unknown = error("seed = 3\n\n[latency]\nreed = \"1s\"");
    assert!(unknown.contains("line 4"), "{unknown}");
    assert!(unknown.contains("did you mean `read`?"), "{unknown}");
    let key = error("stokouts = []");
    assert!(key.contains("did you mean `stockouts`?"), "{key}");
    let kind = error("[[faults]]\nkind = \"answer loss\"\nmethod = \"*\"");
    assert!(kind.contains("did you mean `answer lost`?"), "{kind}");
    assert!(error("[[faults]]\nkind = \"slow\"\nmethod = \"*\"").contains("needs a `delay`"));
    assert!(error("[[loads]]\ngroup = \"g\"\ncurve = []").contains("needs points"));
    assert!(error("[latency]\nread = \"soon\"").contains("is no duration"));
    let quota = error("[quotas.us-centrall1]\nCPUS = 4");
    assert!(quota.contains("did you mean `us-central1`?"), "{quota}");
    let zone = error("[[stockouts]]\nzone = \"us-central1-z\"");
    assert!(zone.contains("there is no such zone"), "{zone}");
    let load = Scenario::parse("load = \"project.json\"").expect("scenario");
    assert!(load.resources.is_empty(), "what is loaded is all there is");
}

#[test]
fn the_scenarios_of_the_docs_are_scenarios() {
    let page = include_str!("../../../docs/simulator.md");
    let blocks: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(blocks.len() >= 3);
    for block in blocks {
        if let Err(why) = Scenario::parse(block) {
            panic!("{block}\n{why}");
        }
    }
}

#[test]
fn a_domain_that_no_authority_certifies_is_named() {
    let text = "dns = \"follows\"\ncertificate_failures = { \"sm.example.com\" = \"FAILED_CAA_FORBIDDEN\" }";
    let mut client = Client::of(Scenario::parse(text).expect("scenario"));
    super::autoscale::image(&mut client);
    super::autoscale::template(&mut client);
    super::autoscale::group(&mut client);
    super::autoscale::balancer(&mut client);
    client.sleep(3600);
    let shown = client.get(&compute("global/sslCertificates/sm-1-certificate"));
    assert_eq!(shown["managed"]["status"], "PROVISIONING");
    assert_eq!(
        shown["managed"]["domainStatus"]["sm.example.com"],
        "FAILED_CAA_FORBIDDEN"
    );
}

#[test]
fn methods_have_latencies_of_their_own() {
    let text = "[latency]\nwrite = \"1s\"\nmethods = { \"compute.healthChecks.*\" = \"7s\" }";
    let mut client = Client::of(scenario(text));
    let before = client.now;
    check(&mut client, "a");
    assert_eq!(client.now.since(before).0, 7000);
}

#[test]
fn the_log_keeps_the_newest() {
    let mut client = Client::of(scenario("log_kept = 8"));
    for i in 0..50 {
        check(&mut client, &format!("c{i}"));
    }
    let log = client.sim.mutations();
    assert!((8..=10).contains(&log.len()), "{}", log.len());
    assert!(log.last().is_some_and(|m| m.effective));
    assert_eq!(client.sim.world.operations.len(), 50, "kept for a day");
    client.sleep(2 * 86_400);
    for i in 50..60 {
        check(&mut client, &format!("c{i}"));
    }
    assert!(client.sim.world.operations.len() <= 10);
}

#[test]
fn a_listed_project_is_there_as_it_was() {
    // A cloud with a group, listed as a client would, becomes the start of another one.
    let mut first = super::groups::fleet("", 3, json!({}));
    let mut lists = Vec::new();
    for path in [
        "global/networks",
        "global/images",
        "global/instanceTemplates",
        "global/healthChecks",
        "global/firewalls",
        "regions/us-central1/instanceGroupManagers",
        "regions/us-central1/subnetworks",
        "aggregated/instances",
        "aggregated/disks",
    ] {
        lists.push(first.get(&compute(path)));
    }
    let dir = tempfile::tempdir().expect("dir");
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).expect("written");
    };
    write("project.json", &json!(lists).to_string());
    write("scenario.toml", "load = \"project.json\"");
    let scenario = Scenario::read(&dir.path().join("scenario.toml")).expect("scenario");
    let mut client = Client::of(scenario);
    let shown = manager(&mut client);
    assert_eq!(client.sim.world.notes, Vec::<String>::new());
    assert_eq!(shown["status"]["isStable"], true, "{shown}");
    assert_eq!(shown["id"], manager(&mut first)["id"]);
    let names = |client: &mut Client| -> Vec<Json> {
        let list = super::groups::machines(client);
        list.iter().map(|m| m["name"].clone()).collect()
    };
    let mut before = names(&mut first);
    let mut after = names(&mut client);
    before.sort_by_key(Json::to_string);
    after.sort_by_key(Json::to_string);
    assert_eq!(before, after);
    client.done(Verb::Post, &format!("{GROUP}/resize?size=5"), Json::Null);
    client.until(5, &compute(GROUP), |g| {
        g["status"]["isStable"] == true && g["currentActions"]["none"] == 5
    });
    write("scenario.toml", "load = \"none.json\"");
    let missing = Scenario::read(&dir.path().join("scenario.toml")).expect_err("no file");
    assert!(missing.contains("none.json"), "{missing}");
}
