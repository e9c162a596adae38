//! Many machines by one call.

use serde_json::{Value as Json, json};

use super::{Client, compute};
use crate::sim::Scenario;
use crate::wire::Verb;

const ZONE: &str = "zones/us-central1-a/instances/bulkInsert";
const REGION: &str = "regions/us-central1/instances/bulkInsert";

fn properties() -> Json {
    json!({
        "machineType": "e2-medium",
        "disks": [{ "boot": true, "autoDelete": true,
            "initializeParams": { "sourceImage": "projects/debian-cloud/global/images/family/debian-12" } }],
        "networkInterfaces": [{ "network": "global/networks/default" }],
    })
}

fn call(more: Json) -> Json {
    let mut body = json!({ "instanceProperties": properties() });
    for (name, value) in more.as_object().expect("fields") {
        body[name] = value.clone();
    }
    body
}

/// The machines whose names begin so: their zones' letters and names.
fn machines(client: &mut Client, prefix: &str) -> Vec<String> {
    let list = client.get(&compute("aggregated/instances"));
    let scopes = list["items"].as_object().expect("scopes");
    let mut found = Vec::new();
    for (scope, entry) in scopes {
        for one in entry["instances"].as_array().into_iter().flatten() {
            let name = one["name"].as_str().expect("name");
            if name.starts_with(prefix) {
                found.push(format!("{} {name}", &scope[scope.len() - 1..]));
            }
        }
    }
    found.sort();
    found
}

fn operations_of(client: &mut Client, zone: &str, group: &str) -> Vec<Json> {
    let line = format!("zones/{zone}/operations?filter=operationGroupId%3D{group}");
    let list = client.get(&compute(&line));
    let all = list["items"].as_array().cloned().unwrap_or_default();
    all.into_iter()
        .filter(|o| o["operationType"] == "insert")
        .collect()
}

#[test]
fn a_pattern_counts_on_from_the_biggest_number() {
    let mut client = Client::new();
    let body = call(json!({ "namePattern": "vm-##", "count": "3" }));
    let done = client.done(Verb::Post, ZONE, body.clone());
    assert_eq!(done["operationType"], "bulkInsert");
    let group = done["operationGroupId"]
        .as_str()
        .expect("a group")
        .to_string();
    assert_eq!(
        done["instancesBulkInsertOperationMetadata"]["perLocationStatus"]["zones/us-central1-a"],
        json!({ "targetVmCount": 3, "createdVmCount": 3, "failedToCreateVmCount": 0,
            "deletedVmCount": 0, "status": "DONE" })
    );
    let each = operations_of(&mut client, "us-central1-a", &group);
    assert_eq!(each.len(), 3);
    assert!(
        each.iter()
            .all(|o| o["status"] == "DONE" && o["targetId"].is_string())
    );
    client.done(Verb::Post, ZONE, body);
    let names: Vec<String> = (1..=6).map(|n| format!("a vm-{n:02}")).collect();
    assert_eq!(machines(&mut client, "vm-"), names);
    let one = client.get(&compute("zones/us-central1-a/instances/vm-06"));
    assert_eq!(one["status"], "RUNNING");
    assert_eq!(
        client.get(&compute("zones/us-central1-a/disks/vm-06"))["status"],
        "READY"
    );
}

#[test]
fn a_template_gives_what_the_call_does_not() {
    let mut client = Client::new();
    let template = json!({ "name": "t", "properties": properties() });
    client.done(Verb::Post, "global/instanceTemplates", template);
    client.done(
        Verb::Post,
        ZONE,
        json!({ "sourceInstanceTemplate": "global/instanceTemplates/t",
            "instanceProperties": { "machineType": "e2-small", "labels": { "a": "b" } },
            "perInstanceProperties": { "ada": {}, "bob": { "hostname": "bob.example.com" } } }),
    );
    let bob = client.get(&compute("zones/us-central1-a/instances/bob"));
    assert!(
        bob["machineType"]
            .as_str()
            .is_some_and(|m| m.ends_with("/machineTypes/e2-small"))
    );
    assert_eq!(bob["labels"]["a"], "b");
    assert_eq!(bob["hostname"], "bob.example.com");
    let (status, body) = client.send(
        Verb::Post,
        &compute(ZONE),
        call(json!({ "perInstanceProperties": { "eve": {}, "ada": {} } })),
    );
    assert_eq!(status, 409, "{body}");
    assert_eq!(machines(&mut client, "eve"), [] as [&str; 0]);
}

#[test]
fn a_region_places_them_by_its_shape() {
    let full = "[[stockouts]]\nzone = \"us-central1-a\"";
    let mut client = Client::of(Scenario::parse(full).expect("a scenario"));
    let bulk = |client: &mut Client, name: &str, policy: Json| {
        let body =
            json!({ "namePattern": format!("{name}-#"), "count": 4, "locationPolicy": policy });
        client.done(Verb::Post, REGION, call(body));
        let all = machines(client, name);
        all.iter().map(|m| m[..1].to_string()).collect::<String>()
    };
    assert_eq!(bulk(&mut client, "one", json!({})), "bbbb");
    let even = json!({ "targetShape": "BALANCED",
        "locations": { "zones/us-central1-c": { "preference": "DENY" } } });
    assert_eq!(bulk(&mut client, "even", even), "bbff");
    let few = json!({ "targetShape": "ANY",
        "locations": { "zones/us-central1-b": { "constraints": { "maxCount": 1 } } } });
    assert_eq!(bulk(&mut client, "any", few), "bccc");
    let (status, body) = client.send(
        Verb::Post,
        &compute(REGION),
        call(json!({ "namePattern": "x-#", "count": 1,
            "locationPolicy": { "locations": { "zones/us-east1-b": { "preference": "ALLOW" } } } })),
    );
    assert_eq!(status, 400, "{body}");
}

#[test]
fn fewer_than_the_minimum_are_none() {
    let quota = "[quotas.us-central1]\nCPUS = 8";
    let mut client = Client::of(Scenario::parse(quota).expect("a scenario"));
    // One machine with two processors is there.
    let have = client.get(&compute("regions/us-central1"))["quotas"][0]["usage"].as_f64();
    let room = ((8.0 - have.expect("usage")) / 2.0) as usize;
    let body = |name: &str, more: Json| {
        let mut body = call(json!({ "namePattern": format!("{name}-#"), "count": 6 }));
        for (name, value) in more.as_object().expect("fields") {
            body[name] = value.clone();
        }
        body
    };
    let begun = client.post(&compute(ZONE), body("all", json!({})));
    let done = client.ended(begun);
    assert_eq!(
        done["error"]["errors"][0]["code"], "QUOTA_EXCEEDED",
        "{done}"
    );
    assert_eq!(done["httpErrorStatusCode"], 403);
    let told = &done["instancesBulkInsertOperationMetadata"]["perLocationStatus"];
    assert_eq!(told["zones/us-central1-a"]["deletedVmCount"], 6);
    assert_eq!(machines(&mut client, "all"), [] as [&str; 0]);
    assert_eq!(
        client
            .send(
                Verb::Get,
                &compute("zones/us-central1-a/disks/all-1"),
                Json::Null
            )
            .0,
        404,
        "the disks go with them"
    );
    let done = client.done(Verb::Post, ZONE, body("some", json!({ "minCount": 1 })));
    assert_eq!(machines(&mut client, "some").len(), room, "{done}");
}

#[test]
fn a_bulk_that_contradicts_itself_is_refused() {
    let mut client = Client::new();
    for (more, says) in [
        (json!({ "count": 2 }), "'namePattern' not specified"),
        (json!({ "namePattern": "vm-#" }), "'count' not specified"),
        (json!({ "namePattern": "vm", "count": 1 }), "placeholder"),
        (
            json!({ "namePattern": "vm-#-#", "count": 1 }),
            "placeholder",
        ),
        (json!({ "namePattern": "vm-#", "count": 0 }), "from 1 to"),
        (
            json!({ "namePattern": "vm-#", "count": 1, "minCount": 2 }),
            "minCount",
        ),
        (
            json!({ "namePattern": "Vm-#", "count": 1 }),
            "Must be a match of regex",
        ),
        (
            json!({ "perInstanceProperties": { "a": {} }, "count": 2 }),
            "perInstanceProperties",
        ),
    ] {
        let (status, body) = client.send(Verb::Post, &compute(ZONE), call(more.clone()));
        assert_eq!(status, 400, "{more}: {body}");
        let said = body["error"]["message"].as_str().expect("a message");
        assert!(said.contains(says), "{more}: {said}");
    }
    let unknown = json!({ "namePattern": "vm-#", "count": 1, "sourceInstanceTemplate": "global/instanceTemplates/no" });
    assert_eq!(client.send(Verb::Post, &compute(ZONE), unknown).0, 404);
    assert_eq!(machines(&mut client, "vm"), [] as [&str; 0]);
}
