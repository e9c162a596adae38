//! Rules that hold for every call: request ids, operations, errors, determinism.

use serde_json::{Value as Json, json};

use super::super::scenario::{OnOtherBody, Span};
use super::{Client, Scenario, compute};
use crate::wire::Verb;
use crate::world::Millis;

const ID: &str = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

fn check(name: &str) -> Json {
    json!({ "name": name, "type": "TCP" })
}

fn insert(client: &mut Client, id: &str, name: &str) -> (u16, Json) {
    client.send(
        Verb::Post,
        &compute(&format!("global/healthChecks?requestId={id}")),
        check(name),
    )
}

#[test]
fn a_repeated_request_id_is_the_same_operation() {
    let mut client = Client::new();
    let (_, first) = insert(&mut client, ID, "a");
    let (status, again) = insert(&mut client, ID, "a");
    assert_eq!((status, &again["name"]), (200, &first["name"]));
    assert_eq!(first["clientOperationId"], ID);
    let (status, other) = insert(&mut client, ID, "b");
    assert_eq!(
        (status, &other["name"]),
        (200, &first["name"]),
        "another body is replayed silently"
    );
    let (missing, _) = client.send(Verb::Get, &compute("global/healthChecks/b"), Json::Null);
    assert_eq!(missing, 404);
    let effective: Vec<bool> = client.sim.mutations().iter().map(|m| m.effective).collect();
    assert_eq!(effective, [true, false, false]);
    assert_eq!(
        client.sim.mutations()[0].method,
        "compute.healthChecks.insert"
    );
    assert_eq!(client.sim.mutations()[0].request_id.as_deref(), Some(ID));
}

#[test]
fn request_ids_can_be_compared_and_are_forgotten() {
    let mut scenario = Scenario::default();
    scenario.request_ids.on_other_body = OnOtherBody::Refuse;
    scenario.request_ids.kept = Span(Millis::mins(10));
    let mut client = Client::of(scenario);
    assert_eq!(insert(&mut client, ID, "a").0, 200);
    assert_eq!(insert(&mut client, ID, "b").0, 400);
    client.sleep(601);
    assert_eq!(insert(&mut client, ID, "b").0, 200);
    assert_eq!(
        insert(&mut client, "00000000-0000-0000-0000-000000000000", "c").0,
        400
    );
    assert_eq!(insert(&mut client, "seven", "c").0, 400);
}

#[test]
fn operations_have_googles_shape() {
    let mut client = Client::new();
    let vm = "zones/us-central1-a/instances/stream-manager-1";
    let stop = client.post(&compute(&format!("{vm}/stop?requestId={ID}")), Json::Null);
    assert_eq!(stop["kind"], "compute#operation");
    assert_eq!(stop["status"], "RUNNING");
    assert_eq!(stop["operationType"], "stop");
    assert_eq!(stop["progress"], 0);
    assert_eq!(
        stop["zone"],
        "https://www.googleapis.com/compute/v1/projects/demo/zones/us-central1-a"
    );
    assert_eq!(
        stop["targetLink"],
        format!("https://www.googleapis.com/compute/v1/projects/demo/{vm}")
    );
    assert!(
        stop["insertTime"]
            .as_str()
            .expect("time")
            .ends_with("-08:00")
    );
    assert_eq!(stop.get("endTime"), None);
    assert_eq!(stop["targetId"], client.get(&compute(vm))["id"]);
    let name = stop["name"].as_str().expect("name").to_string();
    let found = client.get(&compute(&format!(
        "zones/us-central1-a/operations?filter=clientOperationId=\"{ID}\""
    )));
    assert_eq!(found["items"][0]["name"], name.as_str());
    let before = client.now;
    let done = client.post(
        &compute(&format!("zones/us-central1-a/operations/{name}/wait")),
        Json::Null,
    );
    assert_eq!(
        (&done["status"], &done["progress"]),
        (&json!("DONE"), &json!(100))
    );
    assert!(
        client.now.since(before).0 > 25_000,
        "wait lasts as long as the operation"
    );
    client.sleep(25 * 3600);
    let (gone, _) = client.send(
        Verb::Get,
        &compute(&format!("zones/us-central1-a/operations/{name}")),
        Json::Null,
    );
    assert_eq!(gone, 404, "operations are kept for a day");
}

#[test]
fn wait_answers_after_two_minutes() {
    let mut scenario = Scenario::default();
    scenario
        .durations
        .insert("compute.healthChecks.insert".into(), 300.0);
    let mut client = Client::of(scenario);
    let (_, operation) = insert(&mut client, ID, "a");
    let name = operation["name"].as_str().expect("name");
    let before = client.now;
    let reply = client.post(
        &compute(&format!("global/operations/{name}/wait")),
        Json::Null,
    );
    assert_eq!(reply["status"], "RUNNING");
    assert_eq!(client.now.since(before), Millis::mins(2));
}

#[test]
fn errors_are_worded_as_googles() {
    let mut client = Client::new();
    let reason = |body: &Json| body["error"]["errors"][0]["reason"].clone();
    let (status, body) = client.send(Verb::Get, &compute("global/images/none"), Json::Null);
    assert_eq!((status, reason(&body)), (404, json!("notFound")));
    assert_eq!(
        body["error"]["message"],
        "The resource 'projects/demo/global/images/none' was not found"
    );
    let (status, body) = client.send(
        Verb::Post,
        &compute("global/networks"),
        json!({ "name": "default" }),
    );
    assert_eq!((status, reason(&body)), (409, json!("alreadyExists")));
    let (status, body) = client.send(
        Verb::Post,
        &compute("global/networks"),
        json!({ "name": "Default" }),
    );
    assert_eq!((status, reason(&body)), (400, json!("invalid")));
    assert_eq!(
        body["error"]["message"],
        "Invalid value for field 'resource.name': 'Default'. Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'"
    );
    let (status, body) = client.send(
        Verb::Post,
        &compute("global/networks"),
        json!({ "name": "n", "x": 1 }),
    );
    assert_eq!(
        (status, &body["error"]["status"]),
        (400, &json!("INVALID_ARGUMENT"))
    );
    assert_eq!(
        body["error"]["message"],
        "Invalid JSON payload received. Unknown name \"x\" at 'resource': Cannot find field."
    );
    let (status, body) = client.send(
        Verb::Post,
        &compute("global/urlMaps"),
        json!({ "name": "m", "defaultService": "global/backendServices/none" }),
    );
    assert_eq!((status, reason(&body)), (404, json!("notFound")));
    let (status, body) = client.send(
        Verb::Post,
        &compute("zones/mars-a/disks"),
        json!({ "name": "d" }),
    );
    assert_eq!((status, reason(&body)), (400, json!("invalid")));
    let (status, body) = client.send(
        Verb::Post,
        &compute("global/networks/default/requestRemovePeering"),
        Json::Null,
    );
    assert_eq!(status, 501);
    assert_eq!(body["error"]["status"], "UNIMPLEMENTED");
    assert_eq!(
        body["error"]["message"],
        "r5flow sim does not simulate compute.networks.requestRemovePeering"
    );
    let (status, _) = client.send(Verb::Post, &compute("global/networks"), json!([1]));
    assert_eq!(status, 400);
}

#[test]
fn a_stale_fingerprint_is_refused() {
    let mut client = Client::new();
    insert(&mut client, ID, "a");
    client.done(Verb::Post, "global/backendServices", json!({ "name": "b" }));
    let path = compute("global/backendServices/b");
    let old = client.get(&path)["fingerprint"].clone();
    client.done(
        Verb::Patch,
        "global/backendServices/b",
        json!({ "timeoutSec": 60, "fingerprint": old }),
    );
    let (status, body) = client.send(
        Verb::Patch,
        &path,
        json!({ "timeoutSec": 90, "fingerprint": old }),
    );
    assert_eq!(
        (status, &body["error"]["errors"][0]["reason"]),
        (412, &json!("conditionNotMet"))
    );
    let now = client.get(&path);
    assert_eq!(now["timeoutSec"], 60);
    client.done(
        Verb::Patch,
        "global/backendServices/b",
        json!({ "sessionAffinity": null, "timeoutSec": 61 }),
    );
    assert_eq!(
        client.get(&path).get("sessionAffinity"),
        None,
        "null removes"
    );
    let mut whole = now.clone();
    whole["fingerprint"] = client.get(&path)["fingerprint"].clone();
    whole["timeoutSec"] = json!(62);
    client.done(Verb::Put, "global/backendServices/b", whole);
    assert_eq!(client.get(&path)["timeoutSec"], 62);
    assert_eq!(client.get(&path)["id"], now["id"]);
}

#[test]
fn lists_come_in_pages() {
    let mut client = Client::new();
    let first = client.get(&compute("global/firewalls?maxResults=3"));
    assert_eq!(first["kind"], "compute#firewallList");
    assert_eq!(first["items"].as_array().map(Vec::len), Some(3));
    let token = first["nextPageToken"].as_str().expect("token");
    let rest = client.get(&compute(&format!(
        "global/firewalls?maxResults=3&pageToken={token}"
    )));
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest.get("nextPageToken"), None);
    assert_eq!(client.get(&compute("global/images")).get("items"), None);
    let all = client.get(&compute("aggregated/instances?returnPartialSuccess=True"));
    assert_eq!(
        all["items"]["zones/us-central1-a"]["instances"][0]["name"],
        "stream-manager-1"
    );
    assert_eq!(
        all["items"]["zones/us-east1-b"]["warning"]["code"],
        "NO_RESULTS_ON_PAGE"
    );
}

fn sql_done(client: &mut Client, operation: Json) -> Json {
    let line = format!(
        "sql/v1beta4/projects/demo/operations/{}",
        operation["name"].as_str().expect("name")
    );
    client.until(2, &line, |o| o["status"] == "DONE");
    client.get(&line)
}

#[test]
fn cloud_sql_does_one_thing_at_a_time() {
    let mut client = Client::new();
    let line = "v1/projects/demo/instances/red5";
    let network = |value: &str| {
        json!({ "settings": { "settingsVersion": "1", "ipConfiguration": {
            "authorizedNetworks": [{ "name": "nat", "value": value }] } } })
    };
    let (status, operation) = client.send(Verb::Patch, line, network("198.51.100.7/32"));
    assert_eq!((status, &operation["status"]), (200, &json!("PENDING")));
    assert_eq!(operation["operationType"], "UPDATE");
    assert_eq!(operation.get("startTime"), None);
    let (status, busy) = client.send(Verb::Patch, line, network("198.51.100.8/32"));
    assert_eq!(
        (status, &busy["error"]["errors"][0]["reason"]),
        (409, &json!("operationInProgress"))
    );
    let done = sql_done(&mut client, operation);
    assert_eq!(done["targetId"], "red5");
    let after = client.get(line);
    assert_eq!(after["settings"]["settingsVersion"], "2");
    assert_eq!(
        after["settings"]["ipConfiguration"]["authorizedNetworks"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(after["settings"]["tier"], "db-custom-2-7680");
    assert_eq!(after["state"], "RUNNABLE");
    let (status, stale) = client.send(Verb::Patch, line, network("198.51.100.8/32"));
    assert_eq!(
        (status, &stale["error"]["errors"][0]["reason"]),
        (412, &json!("staleData"))
    );
    let user = client.post(
        &format!("{line}/users"),
        json!({ "name": "red5", "host": "%", "password": "x" }),
    );
    sql_done(&mut client, user);
    let found = client.get(&format!("{line}/users/red5?host=%25"));
    assert_eq!(
        (&found["name"], found.get("password")),
        (&json!("red5"), None)
    );
    let listed = client.get("v1/projects/demo/operations?instance=red5");
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn dns_answers_for_a_certificate() {
    let mut client = Client::new();
    client.post(
        "dns/v1/projects/demo/managedZones",
        json!({ "name": "z", "dnsName": "example.com.", "description": "" }),
    );
    let record =
        json!({ "name": "sm.example.com.", "type": "A", "ttl": 300, "rrdatas": ["203.0.113.9"] });
    let change = client.post(
        "dns/v1/projects/demo/managedZones/z/changes",
        json!({ "additions": [record] }),
    );
    assert_eq!(change["status"], "pending");
    let line = format!(
        "dns/v1/projects/demo/managedZones/z/changes/{}",
        change["id"].as_str().expect("id")
    );
    client.until(5, &line, |c| c["status"] == "done");
    let sets = client.get("dns/v1/projects/demo/managedZones/z/rrsets");
    assert_eq!(sets["rrsets"].as_array().map(Vec::len), Some(3));
    let (status, _) = client.send(
        Verb::Delete,
        "dns/v1/projects/demo/managedZones/z",
        Json::Null,
    );
    assert_eq!(status, 400);
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let run = || {
        let mut client = Client::new();
        super::autoscale::image(&mut client);
        super::autoscale::template(&mut client);
        super::autoscale::group(&mut client);
        client.sleep(600);
        let line = compute("regions/us-central1/instanceGroupManagers/sm-1-us");
        let last = client.reply(Verb::Get, &line, Json::Null);
        (last, Json::Object(client.sim.resources()).to_string())
    };
    assert_eq!(run(), run());
}

#[test]
fn any_project_is_furnished_alike_whenever_it_is_mentioned() {
    let mut early = Client::new();
    let mut late = Client::new();
    let line = "compute/v1/projects/acme/zones/us-central1-a/instances/stream-manager-1";
    let first = early.get(line);
    insert(&mut late, ID, "a");
    late.sleep(5000);
    assert_eq!(late.get(line), first);
    let scenario = Scenario {
        any_project: false,
        ..Scenario::default()
    };
    let (status, _) = Client::of(scenario).send(Verb::Get, line, Json::Null);
    assert_eq!(status, 404);
}

#[test]
fn numeric_ids_name_resources() {
    let mut client = Client::new();
    let id = client.get(&compute("global/networks/default"))["id"]
        .as_str()
        .expect("id")
        .to_string();
    assert_eq!(
        client.get(&compute(&format!("global/networks/{id}")))["name"],
        "default"
    );
}

#[test]
fn domains_that_follow_need_no_approval() {
    let scenario = Scenario::parse("dns = \"follows\"").expect("scenario");
    assert!(Scenario::parse("dnz = 1").is_err());
    let mut client = Client::of(scenario);
    super::autoscale::image(&mut client);
    super::autoscale::template(&mut client);
    super::autoscale::group(&mut client);
    super::autoscale::balancer(&mut client);
    let line = compute("global/sslCertificates/sm-1-certificate");
    let took = client.until(30, &line, |c| c["managed"]["status"] == "ACTIVE");
    assert!((540..720).contains(&took), "{took}");
}

#[test]
fn addresses_know_their_router() {
    let mut client = Client::new();
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
    let address = client.get(&compute("regions/us-central1/addresses/nat"));
    assert_eq!(address["status"], "IN_USE");
    assert!(
        address["users"][0]
            .as_str()
            .expect("user")
            .ends_with("/routers/r")
    );
    let (status, _) = client.send(
        Verb::Delete,
        &compute("regions/us-central1/addresses/nat"),
        Json::Null,
    );
    assert_eq!(status, 400);
}

#[test]
fn subnetworks_of_one_network_do_not_overlap() {
    let mut client = Client::new();
    let insert = |client: &mut Client, region: &str, name: &str, range: &str| {
        let path = compute(&format!("regions/{region}/subnetworks"));
        let body = json!({ "name": name, "network": "global/networks/own", "ipCidrRange": range });
        let (status, begun) = client.send(Verb::Post, &path, body);
        match status {
            200 => client.ended(begun)["error"]["errors"][0]["message"].clone(),
            _ => begun["error"]["message"].clone(),
        }
    };
    let own = json!({ "name": "own", "autoCreateSubnetworks": false });
    client.done(Verb::Post, "global/networks", own);
    assert_eq!(
        insert(&mut client, "us-central1", "one", "10.0.0.0/24"),
        Json::Null
    );
    assert_eq!(
        insert(&mut client, "us-east1", "two", "10.0.0.128/25"),
        "Invalid IPCidrRange: 10.0.0.128/25 conflicts with existing subnetwork 'one' in region 'us-central1'."
    );
    let gone = compute("regions/us-east1/subnetworks/two");
    assert_eq!(client.send(Verb::Get, &gone, Json::Null).0, 404);
    assert_eq!(
        insert(&mut client, "us-east1", "two", "10.0.1.0/24"),
        Json::Null
    );
    let wrong = insert(&mut client, "us-east1", "three", "10.0.1.0/33");
    assert!(
        wrong.as_str().is_some_and(|w| w.contains("CIDR")),
        "{wrong}"
    );
}

#[test]
fn a_holder_that_is_not_there_has_no_list() {
    let mut client = Client::new();
    for line in [
        "v1/projects/demo/instances/none/databases",
        "v1/projects/demo/serviceAccounts/none@demo.iam.gserviceaccount.com/keys",
    ] {
        let (status, body) = client.send(Verb::Get, line, Json::Null);
        assert_eq!(status, 404, "{line}: {body}");
    }
}

#[test]
fn a_reserved_address_serves_one_machine() {
    let mut client = Client::new();
    client.done(
        Verb::Post,
        "regions/us-central1/addresses",
        json!({ "name": "ip" }),
    );
    let ip = client.get(&compute("regions/us-central1/addresses/ip"))["address"].clone();
    let machine = |name: &str| {
        json!({ "name": name, "machineType": "zones/us-central1-a/machineTypes/custom-4-8192",
            "disks": [{ "boot": true, "initializeParams": { "sourceImage": "projects/debian-cloud/global/images/family/debian-12" } }],
            "networkInterfaces": [{ "accessConfigs": [{ "natIP": ip }] }] })
    };
    const MACHINES: &str = "zones/us-central1-a/instances";
    client.done(Verb::Post, MACHINES, machine("one"));
    let begun = client.post(&compute(MACHINES), machine("two"));
    let ended = client.ended(begun);
    let said = ended["error"]["errors"][0]["message"]
        .as_str()
        .expect("an error");
    assert!(said.contains("already in-use"), "{said}");
    let two = compute("zones/us-central1-a/instances/two");
    assert_eq!(client.send(Verb::Get, &two, Json::Null).0, 404);
    let custom = client.get(&compute("zones/us-central1-a/machineTypes/custom-4-8192"));
    assert_eq!(
        (&custom["guestCpus"], &custom["memoryMb"]),
        (&json!(4), &json!(8192))
    );
    let none =
        json!({ "resourcePolicies": ["projects/demo/regions/us-central1/resourcePolicies/none"] });
    let line = compute("zones/us-central1-a/instances/one/addResourcePolicies");
    assert_eq!(client.send(Verb::Post, &line, none).0, 404);
}
