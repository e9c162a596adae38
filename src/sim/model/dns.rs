//! Cloud DNS: zones, record sets, and changes that take a moment.
//!
//! Source: API description of `Change` (status pending, done; additions and deletions are atomic) and of
//! `ManagedZone`.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::operation::USER;
use super::super::refusal::Refusal;
use super::super::timing;
use super::super::world::{Due, Object, World};
use super::super::{Outcome, generic, page, refs};
use super::rules::Rule;
use super::{Handler, certificates};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["dns.managedZones"],
        says: "a zone has its NS and SOA records, and is not deleted while it holds others",
        source: "API description of `ManagedZone`",
        test: "tests/gcloud/dns.txt",
    },
    Rule {
        of: &[
            "dns.changes",
            "dns.resourceRecordSets",
            "dns.managedZoneOperations",
        ],
        says: "a change is atomic: one entry that does not fit refuses all of it; it is pending, and done a moment later",
        source: "API description of `Change`",
        test: "dns_answers_for_a_certificate",
    },
];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id {
        "dns.changes.create" => change,
        "dns.managedZones.patch" | "dns.managedZones.update" => change_zone,
        "dns.resourceRecordSets.list" => records,
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
pub fn removable(world: &World, key: &str) -> Result<(), Refusal> {
    let prefix = format!("{key}/rrsets/");
    let name = refs::last(key);
    let own = world
        .of("dns.resourceRecordSets", &prefix)
        .any(|(_, r)| !matches!(r.text("type"), "NS" | "SOA"));
    match own {
        true => Err(Refusal::new(
            400,
            "containerNotEmpty",
            format!(
                "The resource named '{name}' cannot be deleted because it contains one or more 'resource records'."
            ),
        )),
        false => Ok(()),
    }
}

/// # Errors
/// A record set outside its zone, or with data that its type does not have (both texts from public issues:
/// `Invalid value for 'entity.change.additions[…][A].rrdata[0]': '…'`).
fn fitting(record: &Json, domain: &str, place: &str) -> Result<(), Refusal> {
    let text = |f: &str| record.get(f).and_then(Json::as_str).unwrap_or("");
    let refuse = |what: &str, value: &str| {
        let said = format!("Invalid value for '{place}.{what}': '{value}'");
        Err(Refusal::new(400, "invalid", said))
    };
    let (name, kind) = (text("name"), text("type"));
    let inside = name
        .strip_suffix(domain)
        .is_some_and(|head| head.is_empty() || head.ends_with('.'));
    if !inside {
        return refuse("name", name);
    }
    let data = record.get("rrdatas").and_then(Json::as_array);
    for (i, item) in data.into_iter().flatten().enumerate() {
        let item = item.as_str().unwrap_or("");
        let fits = match kind {
            "A" => item.parse::<std::net::Ipv4Addr>().is_ok(),
            "AAAA" => item.parse::<std::net::Ipv6Addr>().is_ok(),
            "CNAME" | "NS" | "PTR" => item.ends_with('.'),
            _ => true,
        };
        if !fits {
            return refuse(&format!("rrdata[{i}]"), item);
        }
    }
    Ok(())
}

/// [`fitting`] of a record set that is created or changed by itself.
pub fn check_record(world: &World, key: &str, body: &Object) -> Result<(), Refusal> {
    let zone = key.split_once("/rrsets/").map_or("", |(zone, _)| zone);
    let domain = world.live(zone).map_or("", |z| z.text("dnsName"));
    fitting(&Json::Object(body.clone()), domain, "entity.rrset")
}

fn change(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
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
    let domain = world.live(&zone).map_or("", |z| z.text("dnsName"));
    for record in &additions {
        let text = |f: &str| record.get(f).and_then(Json::as_str).unwrap_or("");
        let place = format!(
            "entity.change.additions[{}][{}]",
            text("name"),
            text("type")
        );
        fitting(record, domain, &place)?;
    }
    let shown = |record: &Json| {
        let text = |f: &str| record.get(f).and_then(Json::as_str).unwrap_or("");
        format!("{} ({})", text("name"), text("type"))
    };
    // Both texts are those of pasted refusals.
    for (i, record) in deletions.iter().enumerate() {
        if world.live(&removed[i]).is_none() {
            let name = shown(record);
            return Err(Refusal::new(
                404,
                "notFound",
                format!(
                    "The 'entity.change.deletions[{i}]' resource named '{name}' does not exist."
                ),
            ));
        }
    }
    for (i, record) in additions.iter().enumerate() {
        let key = record_key(record);
        if world.live(&key).is_some() && !removed.contains(&key) {
            let name = shown(record);
            return Err(Refusal::new(
                409,
                "alreadyExists",
                format!(
                    "The resource 'entity.change.additions[{i}]' named '{name}' already exists"
                ),
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
    let id = ask.param("clientOperationId").map(str::to_string);
    let (key, body) = note(world, &zone, id, &ask.body);
    let at = world
        .now
        .plus(timing::operation(&world.scenario, "dns.changes.create"));
    world.schedule(at, Due::DnsChangeDone(key));
    Ok(Json::Object(body).into())
}

/// Writes a change down; unless the caller names it, it has the number of the changes before it.
fn note(world: &mut World, zone: &str, id: Option<String>, what: &Object) -> (String, Object) {
    let prefix = format!("{zone}/changes/");
    let before = world.of("dns.changes", &prefix).count();
    let id = id.unwrap_or_else(|| before.to_string());
    let key = format!("{prefix}{id}");
    let mut body = what.clone();
    body.insert("kind".into(), json!("dns#change"));
    body.insert("id".into(), json!(id));
    body.insert("startTime".into(), json!(world.now.rfc3339()));
    body.insert("status".into(), json!("pending"));
    world.put(&key, "dns.changes", body.clone());
    (key, body)
}

/// A record set that was created, changed or deleted by itself is a change as well.
pub fn record_changed(world: &mut World, key: &str, old: Option<&Object>, new: Option<&Object>) {
    let Some((zone, _)) = key.split_once("/rrsets/") else {
        return;
    };
    let mut what = Object::new();
    for (field, record) in [("additions", new), ("deletions", old)] {
        if let Some(record) = record {
            what.insert(field.into(), json!([record]));
        }
    }
    let (key, _) = note(world, zone, None, &what);
    let length = timing::operation(&world.scenario, "dns.changes.create");
    let at = world.now.plus(length);
    world.schedule(at, Due::DnsChangeDone(key));
}

/// A change of a zone answers with an operation, which is kept below the zone.
fn change_zone(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let collection = ask.collection.clone();
    let collection = collection.ok_or_else(|| Refusal::not_simulated(&ask.method.id))?;
    let key = ask.key();
    let old = generic::view(world, &key);
    generic::change(world, ask, &collection, &*ask.method.name == "patch")?;
    let new = generic::view(world, &key);
    let id = match ask.param("clientOperationId") {
        Some(id) => id.to_string(),
        None => world.mint.uuid(),
    };
    let operation = json!({
        "kind": "dns#operation",
        "id": id,
        "startTime": world.now.rfc3339(),
        "status": "done",
        "user": USER,
        "type": "update",
        "zoneContext": { "oldValue": old, "newValue": new },
    });
    let body = operation.as_object().cloned().unwrap_or_default();
    world.put(
        &format!("{key}/operations/{id}"),
        "dns.managedZoneOperations",
        body,
    );
    Ok(operation.into())
}

/// The record sets of a zone, of one name or of one name and type.
fn records(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let zone = ask.key().trim_end_matches("/rrsets").to_string();
    if world.live(&zone).is_none() {
        return Err(generic::missing(&zone));
    }
    let wanted = |field: &str, have: &str| {
        let given = ask.param(field).filter(|v| !v.is_empty());
        given.is_none_or(|v| v == have)
    };
    let prefix = format!("{zone}/rrsets/");
    let items = world
        .of("dns.resourceRecordSets", &prefix)
        .filter(|(_, r)| wanted("name", r.text("name")) && wanted("type", r.text("type")))
        .map(|(_, r)| Json::Object(r.body.clone()))
        .collect();
    Ok(page::answer(world, ask, items)?.into())
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
