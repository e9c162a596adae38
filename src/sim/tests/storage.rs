//! Objects that are made of others.

use serde_json::{Value as Json, json};

use super::Client;
use crate::wire::Verb;

fn buckets() -> Client {
    let mut client = Client::new();
    for name in ["here", "there"] {
        client.post("storage/v1/b?project=demo", json!({ "name": name }));
    }
    let one = json!({ "name": "in/one.txt", "contentType": "text/plain", "size": "7", "metadata": { "a": "b" } });
    client.post("storage/v1/b/here/o", one);
    client
}

fn names(client: &mut Client, line: &str) -> Vec<String> {
    let list = client.get(line);
    let items = list["items"].as_array().into_iter().flatten();
    items
        .filter_map(|i| Some(i["name"].as_str()?.to_string()))
        .collect()
}

#[test]
fn an_object_is_made_of_others() {
    let mut client = buckets();
    const ONE: &str = "storage/v1/b/here/o/in%2Fone.txt";
    let done = client.post(
        &format!("{ONE}/rewriteTo/b/there/o/out%2Fone.txt"),
        Json::Null,
    );
    assert_eq!(done["done"], true);
    assert_eq!(done["resource"]["contentType"], "text/plain");
    assert_eq!(done["resource"]["metadata"]["a"], "b");
    assert_eq!(done["resource"]["bucket"], "there");
    let first = client.get("storage/v1/b/there/o/out%2Fone.txt");
    assert_eq!(first, done["resource"]);
    let other = json!({ "contentType": "text/html" });
    let second = client.post(&format!("{ONE}/copyTo/b/there/o/out%2Fone.txt"), other);
    assert_eq!(second["contentType"], "text/html");
    assert_eq!(
        second["metadata"],
        Json::Null,
        "the call's own metadata replace all"
    );
    let generation = |o: &Json| o["generation"].as_str().and_then(|g| g.parse::<i64>().ok());
    assert!(generation(&second) > generation(&first));
    let parts = json!({ "sourceObjects": [{ "name": "in/one.txt" }, { "name": "in/one.txt" }],
        "destination": { "contentType": "text/plain" } });
    let whole = client.post("storage/v1/b/here/o/whole.txt/compose", parts);
    assert_eq!(
        (&whole["size"], &whole["componentCount"]),
        (&json!("14"), &json!(2))
    );
    let all = names(&mut client, "storage/v1/b/here/o");
    assert_eq!(all, ["in/one.txt", "whole.txt"]);
    let list = client.get("storage/v1/b/here/o?delimiter=/");
    assert_eq!(list["prefixes"], json!(["in/"]));
    assert_eq!(
        names(&mut client, "storage/v1/b/here/o?prefix=in/&delimiter=/"),
        ["in/one.txt"]
    );
}

#[test]
fn conditions_hold_and_what_is_not_there_is_told() {
    let mut client = buckets();
    let send = |client: &mut Client, line: &str| {
        let (status, body) = client.send(Verb::Post, &format!("storage/v1/b/{line}"), Json::Null);
        (
            status,
            body["error"]["message"].as_str().unwrap_or("").to_string(),
        )
    };
    const TO: &str = "here/o/in%2Fone.txt/rewriteTo/b";
    assert_eq!(
        send(&mut client, &format!("{TO}/here/o/two?ifGenerationMatch=0")).0,
        200
    );
    assert_eq!(
        send(&mut client, &format!("{TO}/here/o/two?ifGenerationMatch=0")).0,
        412
    );
    assert_eq!(
        send(
            &mut client,
            &format!("{TO}/here/o/two?ifSourceGenerationMatch=1")
        )
        .0,
        412
    );
    assert_eq!(
        send(&mut client, "here/o/none/rewriteTo/b/here/o/x"),
        (404, "No such object: here/none".into())
    );
    assert_eq!(
        send(&mut client, &format!("{TO}/nowhere/o/x")),
        (404, "The specified bucket does not exist.".into())
    );
    assert_eq!(
        client.send(Verb::Delete, "storage/v1/b/here", Json::Null).0,
        409
    );
    let twice = json!({ "name": "here" });
    assert_eq!(
        client
            .send(Verb::Post, "storage/v1/b?project=demo", twice)
            .0,
        409
    );
    assert_eq!(
        names(&mut client, "storage/v1/b?project=other"),
        [] as [&str; 0]
    );
}
