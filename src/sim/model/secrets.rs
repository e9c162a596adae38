//! Secret Manager: versions that are counted, read, switched off and destroyed.
//!
//! Source: API description of `SecretVersion` (states ENABLED, DISABLED, DESTROYED; "latest" is the newest
//! version) and of `AccessSecretVersionResponse` (the payload with its CRC-32C); the words of a refused
//! access are from google-github-actions/get-secretmanager-secrets#268.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::super::{Outcome, generic, page, refs};
use super::Handler;
use super::rules::Rule;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &[
        "secretmanager.projects.secrets",
        "secretmanager.projects.secrets.versions",
        "secretmanager.projects.locations.secrets",
        "secretmanager.projects.locations.secrets.versions",
    ],
    says: "versions are counted, `latest` is the newest; a version that is disabled or destroyed is not given out",
    source: "API description of `SecretVersion`; get-secretmanager-secrets#268",
    test: "tests/gcloud/accounts.txt",
}];

const COLLECTION: &str = "secretmanager.projects.secrets.versions";

pub fn method(id: &str) -> Option<Handler> {
    let rest = id.strip_prefix("secretmanager.projects.")?;
    let rest = rest.strip_prefix("locations.").unwrap_or(rest);
    Some(match rest {
        "secrets.addVersion" => add,
        "secrets.versions.list" => list,
        "secrets.versions.get" => get,
        "secrets.versions.access" => access,
        "secrets.versions.enable" | "secrets.versions.disable" | "secrets.versions.destroy" => {
            switch
        }
        _ => return None,
    })
}

/// The secret of a key, under the id of its project: Google shows numbers and takes both.
fn with_id(world: &World, ask: &Ask, key: &str) -> String {
    let number = world.project_number(&ask.project).to_string();
    key.replacen(&format!("/{number}/"), &format!("/{}/", ask.project), 1)
}

fn versions<'a>(world: &'a World, secret: &str) -> Vec<(&'a String, u64)> {
    let prefix = format!("{secret}/versions/");
    let mut found: Vec<(&String, u64)> = world
        .resources
        .range(prefix.clone()..)
        .map(|(key, _)| key)
        .take_while(|key| key.starts_with(&prefix))
        .filter_map(|key| Some((key, refs::last(key).parse().ok()?)))
        .collect();
    found.sort_by_key(|(_, number)| *number);
    found
}

fn shown(body: &Object) -> Json {
    let mut out = body.clone();
    out.shift_remove("payload");
    Json::Object(out)
}

fn add(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let secret = with_id(world, ask, &ask.target());
    if world.live(&secret).is_none() {
        return Err(missing_secret(&secret));
    }
    let payload = ask.body.get("payload").and_then(|p| p.get("data"));
    let data = payload.and_then(Json::as_str).unwrap_or("").to_string();
    let next = versions(world, &secret).last().map_or(1, |(_, n)| n + 1);
    let key = format!("{secret}/versions/{next}");
    let path = key.split_once('/').map_or("", |(_, p)| p);
    let body = json!({
        "name": path,
        "createTime": world.now.rfc3339(),
        "state": "ENABLED",
        "replicationStatus": { "automatic": {} },
        "etag": format!("\"{}\"", world.mint.hex(14)),
        "clientSpecifiedPayloadChecksum": true,
        "payload": data,
    });
    let body = body.as_object().cloned().unwrap_or_default();
    let answer = shown(&body);
    world.put(&key, COLLECTION, body);
    Ok(answer.into())
}

fn missing_secret(key: &str) -> Refusal {
    let path = key.split_once('/').map_or("", |(_, p)| p);
    let mut refusal = generic::missing(key);
    refusal.message = format!("Secret [{path}] not found.");
    refusal
}

/// The key of the version that a call means; `latest` is the newest one, whatever its state
/// (get-secretmanager-secrets#268).
fn version(world: &World, ask: &Ask) -> Result<String, Refusal> {
    let key = with_id(world, ask, &ask.target());
    let missing = || {
        let path = key.split_once('/').map_or("", |(_, p)| p);
        let mut refusal = generic::missing(&key);
        refusal.message = format!("Secret Version [{path}] not found.");
        refusal
    };
    let Some((secret, last)) = key.rsplit_once("/versions/") else {
        return Err(missing());
    };
    if last == "latest" {
        let newest = versions(world, secret)
            .last()
            .map(|(key, _)| (*key).clone());
        return newest.ok_or_else(missing);
    }
    match world.live(&key) {
        Some(_) => Ok(key),
        None => Err(missing()),
    }
}

fn get(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = version(world, ask)?;
    let body = world.live(&key).map(|r| shown(&r.body));
    body.map(Outcome::from)
        .ok_or_else(|| generic::missing(&key))
}

/// Newest first.
fn list(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let secret = with_id(world, ask, ask.key().trim_end_matches("/versions"));
    if world.live(&secret).is_none() {
        return Err(missing_secret(&secret));
    }
    let items: Vec<Json> = versions(world, &secret)
        .iter()
        .rev()
        .filter_map(|(key, _)| world.live(key))
        .map(|r| shown(&r.body))
        .collect();
    let total = items.len();
    let mut answer = page::answer(world, ask, items)?;
    answer["totalSize"] = json!(total);
    Ok(answer.into())
}

fn access(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = version(world, ask)?;
    let Some(found) = world.live(&key) else {
        return Err(generic::missing(&key));
    };
    let path = key.split_once('/').map_or("", |(_, p)| p);
    let state = found.text("state");
    if state != "ENABLED" {
        return Err(Refusal::new(
            400,
            "resourceNotReady",
            format!("Secret Version [{path}] is in {state} state."),
        ));
    }
    let data = found.text("payload");
    let mut payload = json!({ "data": data });
    if let Some(bytes) = super::super::mint::from_base64(data) {
        payload["dataCrc32c"] = json!(crc32c(&bytes).to_string());
    }
    Ok(json!({ "name": path, "payload": payload }).into())
}

fn switch(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = version(world, ask)?;
    let path = key.split_once('/').map_or("", |(_, p)| p).to_string();
    let gone = world
        .live(&key)
        .is_some_and(|r| r.text("state") == "DESTROYED");
    if gone {
        return Err(Refusal::new(
            400,
            "resourceNotReady",
            format!("Secret Version [{path}] is in DESTROYED state."),
        ));
    }
    let now = world.now.rfc3339();
    let etag = format!("\"{}\"", world.mint.hex(14));
    let state = match &*ask.method.name {
        "enable" => "ENABLED",
        "disable" => "DISABLED",
        _ => "DESTROYED",
    };
    world.change(&key, |body| {
        body.insert("state".into(), json!(state));
        body.insert("etag".into(), json!(etag));
        if state == "DESTROYED" {
            body.insert("destroyTime".into(), json!(now));
            body.shift_remove("payload");
        }
    });
    let body = world.live(&key).map(|r| shown(&r.body));
    body.map(Outcome::from)
        .ok_or_else(|| generic::missing(&key))
}

/// CRC-32C (Castagnoli), bit by bit: payloads are at most 64 KiB.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_castagnolis() {
        // The check value of RFC 3720.
        assert_eq!(super::crc32c(b"123456789"), 0xe306_9283);
    }
}
