//! Cloud DNS: zones, record sets, and changes that take a moment.
//!
//! Source: API description of `Change` (status pending, done; additions and deletions are atomic) and of
//! `ManagedZone`.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::fault::Fault;
use super::super::timing;
use super::super::world::{Due, Object, World};
use super::super::{Outcome, generic};
use super::{Handler, certificates};

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "dns.changes.create" => change,
        _ => return None,
    })
}

/// Completes a zone (with its NS and SOA records) or a record set.
pub fn prepare(world: &mut World, collection: &str, key: &str, body: &mut Object) {
    if collection == "dns.resourceRecordSets" {
        body.entry("ttl").or_insert(json!(300));
        body.insert("kind".into(), json!("dns#resourceRecordSet"));
        return;
    }
    let servers = ["a", "b", "c", "d"].map(|l| format!("ns-cloud-{l}1.googledomains.com."));
    body.insert("nameServers".into(), json!(servers));
    body.entry("visibility").or_insert(json!("public"));
    let domain = body
        .get("dnsName")
        .and_then(Json::as_str)
        .unwrap_or("")
        .to_string();
    for (kind, ttl, data) in [
        ("NS", 21600, json!(servers)),
        (
            "SOA",
            21600,
            json!([format!(
                "{} cloud-dns-hostmaster.google.com. 1 21600 3600 259200 300",
                servers[0]
            )]),
        ),
    ] {
        let record = json!({ "kind": "dns#resourceRecordSet", "name": domain, "type": kind, "ttl": ttl, "rrdatas": data });
        world.put(
            &format!("{key}/rrsets/{domain}/{kind}"),
            "dns.resourceRecordSets",
            record.as_object().cloned().unwrap_or_default(),
        );
    }
}

/// # Errors
/// A zone that still has records of the caller's.
pub fn removable(world: &World, key: &str) -> Result<(), Fault> {
    let prefix = format!("{key}/rrsets/");
    let own = world
        .of("dns.resourceRecordSets", &prefix)
        .any(|(_, r)| !matches!(r.text("type"), "NS" | "SOA"));
    match own {
        true => Err(Fault::new(
            400,
            "containerNotEmpty",
            "The resource named 'managedZone' cannot be deleted because it contains one or more 'resource records'.",
        )),
        false => Ok(()),
    }
}

fn change(world: &mut World, ask: &Ask) -> Result<Outcome, Fault> {
    let zone = ask.key().trim_end_matches("/changes").to_string();
    if world.live(&zone).is_none() {
        return Err(generic::missing(&zone));
    }
    let list = |field: &str| {
        ask.body
            .get(field)
            .and_then(Json::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let (additions, deletions) = (list("additions"), list("deletions"));
    let record_key = |record: &Json| {
        let text = |f: &str| record.get(f).and_then(Json::as_str).unwrap_or("");
        format!("{zone}/rrsets/{}/{}", text("name"), text("type"))
    };
    let removed: Vec<String> = deletions.iter().map(&record_key).collect();
    for key in &removed {
        if world.live(key).is_none() {
            return Err(Fault::new(
                404,
                "notFound",
                format!("The 'entity.change.deletions' resource named '{key}' does not exist."),
            ));
        }
    }
    for record in &additions {
        let key = record_key(record);
        if world.live(&key).is_some() && !removed.contains(&key) {
            return Err(Fault::new(
                409,
                "alreadyExists",
                format!("The resource 'entity.change.additions' named '{key}' already exists."),
            ));
        }
    }
    for key in &removed {
        world.resources.remove(key);
    }
    for record in &additions {
        let mut body = record.as_object().cloned().unwrap_or_default();
        body.insert("kind".into(), json!("dns#resourceRecordSet"));
        body.entry("ttl").or_insert(json!(300));
        world.put(&record_key(record), "dns.resourceRecordSets", body);
    }
    let id = ask
        .param("clientOperationId")
        .map_or_else(|| world.mint.id(), str::to_string);
    let key = format!("{zone}/changes/{id}");
    let mut body = ask.body.clone();
    body.insert("kind".into(), json!("dns#change"));
    body.insert("id".into(), json!(id));
    body.insert("startTime".into(), json!(world.now.rfc3339()));
    body.insert("status".into(), json!("pending"));
    world.put(&key, "dns.changes", body.clone());
    let at = world
        .now
        .plus(timing::operation(&world.scenario, "dns.changes.create"));
    world.schedule(at, Due::DnsChangeDone(key));
    Ok(Json::Object(body).into())
}

/// The servers answer with the change from now on.
pub fn done(world: &mut World, key: &str) {
    if let Some(change) = world.resources.get_mut(key) {
        change.body.insert("status".into(), json!("done"));
    }
    certificates::review(world);
}

/// Where a domain points by a zone of this cloud whose change is served.
pub fn address_of(world: &World, domain: &str) -> Option<String> {
    let wanted = format!("{}.", domain.trim_end_matches('.'));
    world
        .resources
        .iter()
        .filter(|(_, r)| &*r.collection == "dns.resourceRecordSets")
        .find(|(_, r)| r.text("name") == wanted && r.text("type") == "A")
        .and_then(|(_, r)| r.body.get("rrdatas")?.get(0)?.as_str().map(str::to_string))
}
