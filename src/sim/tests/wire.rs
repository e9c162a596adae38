//! What clients send in other forms than the API description has.

use serde_json::{Value as Json, json};

use super::{Client, compute};
use crate::wire::Verb;

#[test]
fn answers_have_the_fields_and_the_version_that_are_asked_for() {
    let mut client = Client::new();
    let zone = client.get("compute/beta/projects/demo/zones/us-central1-a?fields=name,selfLink");
    assert_eq!(
        zone,
        json!({
            "name": "us-central1-a",
            "selfLink": "https://www.googleapis.com/compute/beta/projects/demo/zones/us-central1-a",
        })
    );
    let (status, body) = client.send(Verb::Get, &compute("zones?fields=items("), Json::Null);
    assert_eq!(status, 400, "{body}");
}

#[test]
fn aggregated_lists_come_in_pages() {
    let mut client = Client::new();
    let mut names: Vec<String> = Vec::new();
    let mut token = String::new();
    for _ in 0..10 {
        let line = compute(&format!(
            "aggregated/subnetworks?maxResults=2&pageToken={token}"
        ));
        let page = client.get(&line);
        let scopes = page["items"].as_object().expect("scopes");
        let here: Vec<&Json> = scopes
            .values()
            .flat_map(|s| s["subnetworks"].as_array())
            .flatten()
            .collect();
        assert!(here.len() <= 2, "{page}");
        names.extend(
            here.iter()
                .map(|s| s["selfLink"].as_str().expect("a link").to_string()),
        );
        match page["nextPageToken"].as_str() {
            Some(next) => token = next.to_string(),
            None => break,
        }
    }
    assert_eq!(names.len(), 3, "{names:?}");
    names.dedup();
    assert_eq!(names.len(), 3);
}

#[test]
fn a_project_goes_by_its_number_as_well() {
    let mut client = Client::new();
    let project = client.get("v1/projects/demo");
    assert_eq!(project["lifecycleState"], "ACTIVE");
    let number = project["projectNumber"].as_str().expect("a number");
    let zone = client.get(&format!("compute/v1/projects/{number}/zones/us-central1-a"));
    assert_eq!(zone["name"], "us-central1-a");
    let newer = client.get(&format!("v3/projects/{number}"));
    assert_eq!(newer["state"], "ACTIVE");
}

#[test]
fn a_policy_is_replaced_under_its_etag() {
    let mut client = Client::new();
    let before = client.post("v1/projects/demo:getIamPolicy", json!({}));
    let bindings = json!([{ "role": "roles/viewer", "members": ["user:ada@example.com"] }]);
    let policy = json!({ "policy": { "bindings": bindings, "etag": before["etag"] } });
    let after = client.post("v1/projects/demo:setIamPolicy", policy.clone());
    assert_eq!(after["bindings"], bindings);
    let (status, body) = client.send(Verb::Post, "v1/projects/demo:setIamPolicy", policy);
    assert_eq!(status, 409, "{body}");
    assert_eq!(body["error"]["status"], "ABORTED");
    let read = client.post("v3/projects/demo:getIamPolicy", json!({}));
    assert_eq!(read, after);
    let (status, _) = client.send(
        Verb::Get,
        &compute("global/images/none/getIamPolicy"),
        Json::Null,
    );
    assert_eq!(status, 404);
}

#[test]
fn what_a_setter_names_must_be_there() {
    let mut client = Client::new();
    let stopped = compute("zones/us-central1-a/instances/stream-manager-1");
    let machine = json!({ "machineType": "zones/us-central1-a/machineTypes/giant-1" });
    let path = "zones/us-central1-a/instances/stream-manager-1";
    let line = compute(&format!("{path}/setMachineType"));
    let (status, body) = client.send(Verb::Post, &line, machine.clone());
    assert_eq!(
        (status, &body["error"]["errors"][0]["reason"]),
        (400, &json!("resourceNotReady"))
    );
    client.done(Verb::Post, &format!("{path}/stop"), Json::Null);
    assert_eq!(client.send(Verb::Post, &line, machine).0, 404);
    let known = json!({ "machineType": "zones/us-central1-a/machineTypes/n1-standard-4" });
    client.done(Verb::Post, &format!("{path}/setMachineType"), known);
    let link = client.get(&stopped)["machineType"].clone();
    assert!(
        link.as_str()
            .is_some_and(|l| l.starts_with("https://") && l.ends_with("/n1-standard-4"))
    );
}

#[test]
fn public_projects_are_read_and_not_changed() {
    let mut client = Client::new();
    let images = "compute/v1/projects/debian-cloud/global/images";
    let family = client.get(&format!("{images}/family/debian-12"));
    let body = json!({ "name": "mine", "sourceImage": family["selfLink"] });
    let (status, refusal) = client.send(Verb::Post, images, body);
    assert_eq!(status, 403, "{refusal}");
    assert_eq!(
        refusal["error"]["message"],
        "Required 'compute.images.create' permission for \
         'projects/debian-cloud/global/images/mine'"
    );
}

#[test]
fn a_zone_that_is_unknown_is_refused_whatever_is_asked_of_it() {
    let mut client = Client::new();
    for (place, what) in [("zones/mars-1", "zone"), ("regions/mars", "region")] {
        let (_, name) = place.split_once('/').expect("a place");
        let path = compute(&format!("{place}/instanceGroupManagers/g"));
        let (status, refusal) = client.send(Verb::Get, &path, Json::Null);
        assert_eq!(status, 400, "{refusal}");
        assert_eq!(
            refusal["error"]["message"],
            format!("Invalid value for field '{what}': '{name}'. Unknown {what}.")
        );
        let (status, _) = client.send(Verb::Get, &compute(place), Json::Null);
        assert_eq!(status, 404, "the place itself is not found");
    }
}
