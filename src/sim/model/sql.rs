//! Cloud SQL: one operation at a time for an instance, a settings version that counts, lists that are
//! replaced as a whole.
//!
//! Sources: API description (`settings.settingsVersion` "required for update"), recorded traffic
//! (first answer PENDING, string version, `staleData`, `operationInProgress`), and the guide on
//! authorised networks ("replaces the existing authorized networks list").

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::operation::Then;
use super::super::refs;
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::rules::Rule;
use super::{Change, Effect};
use crate::catalog::OperationStyle;
use crate::world::Millis;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[
    Rule {
        of: &["sqladmin.instances", "sqladmin.databases", "sqladmin.users"],
        says: "one operation at a time for an instance (409 `operationInProgress`)",
        source: "recorded traffic",
        test: "cloud_sql_does_one_thing_at_a_time",
    },
    Rule {
        of: &["sqladmin.instances"],
        says: "a stale `settingsVersion` is refused; lists are replaced as a whole",
        source: "API description of `Settings`; Google, \"Authorize with authorized networks\"",
        test: "tests/gcloud/sql.txt",
    },
];

/// The key of the instance that a key belongs to.
pub fn instance_of(key: &str) -> String {
    key.split('/').take(5).collect::<Vec<_>>().join("/")
}

/// 409 in Cloud SQL's words.
pub fn taken() -> Refusal {
    Refusal::new(
        409,
        "instanceAlreadyExists",
        "The Cloud SQL instance already exists.",
    )
}

/// # Errors
/// 409 while another operation of the same instance runs.
pub fn idle(world: &World, key: &str) -> Result<(), Refusal> {
    let instance = instance_of(key);
    let busy = world.operations.values().any(|o| {
        o.style == OperationStyle::Sql
            && !o.is_done(world.now)
            && instance_of(&o.target) == instance
    });
    match busy {
        true => Err(Refusal::new(
            409,
            "operationInProgress",
            "Operation failed because another operation was already in progress.",
        )),
        false => Ok(()),
    }
}

/// # Errors
/// A busy instance, or a name that Cloud SQL does not take.
pub fn prepare(
    world: &mut World,
    collection: &str,
    key: &str,
    body: &mut Object,
) -> Result<(), Refusal> {
    match collection {
        "sqladmin.instances" => prepare_instance(world, key, body),
        _ => {
            if !world.planting {
                idle(world, key)?;
            }
            let path = key.split_once('/').map_or("", |(_, p)| p);
            body.insert("project".into(), json!(refs::project_of(path)));
            body.insert("instance".into(), json!(refs::after(path, "instances")));
            if collection == "sqladmin.users" {
                body.entry("host").or_insert(json!(""));
            } else {
                body.entry("charset").or_insert(json!("utf8"));
                body.entry("collation").or_insert(json!("utf8_general_ci"));
                body.insert(
                    "selfLink".into(),
                    json!(format!(
                        "https://sqladmin.googleapis.com/sql/v1beta4/{path}"
                    )),
                );
            }
            Ok(())
        }
    }
}

fn prepare_instance(world: &mut World, key: &str, body: &mut Object) -> Result<(), Refusal> {
    let path = key.split_once('/').map_or("", |(_, p)| p).to_string();
    let project = refs::project_of(&path).unwrap_or_default().to_string();
    let name = body
        .get("name")
        .and_then(Json::as_str)
        .unwrap_or("")
        .to_string();
    // "lowercase letters, numbers, and hyphens, must start with a letter, maximum length of 98" (types reference).
    let fits = name.len() <= 98
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !fits {
        return Err(Refusal::new(
            400,
            "invalid",
            format!("Invalid value for: instance name ({name})."),
        ));
    }
    if body.get("settings").and_then(|s| s.get("tier")).is_none() {
        return Err(Refusal::new(
            400,
            "required",
            "Missing parameter: settings.tier.",
        ));
    }
    let region = body
        .get("region")
        .and_then(Json::as_str)
        .unwrap_or("us-central1")
        .to_string();
    let master = master_of(key, body);
    if let Some(master) = master.as_ref().filter(|m| world.live(m).is_none()) {
        return Err(super::super::generic::missing(master));
    }
    let kind = match master {
        Some(_) => "READ_REPLICA_INSTANCE",
        None => "CLOUD_SQL_INSTANCE",
    };
    if !world.scenario.regions.contains_key(&region) {
        return Err(Refusal::new(
            400,
            "invalid",
            format!("Invalid value for region: {region}."),
        ));
    }
    for (field, value) in [
        ("kind", json!("sql#instance")),
        ("state", json!("PENDING_CREATE")),
        ("project", json!(project)),
        ("region", json!(region)),
        (
            "connectionName",
            json!(format!("{project}:{region}:{name}")),
        ),
        (
            "selfLink",
            json!(format!(
                "https://sqladmin.googleapis.com/sql/v1beta4/{path}"
            )),
        ),
        ("createTime", json!(world.now.rfc3339())),
        ("instanceType", json!(kind)),
        ("backendType", json!("SECOND_GEN")),
        ("gceZone", json!(format!("{region}-a"))),
        ("etag", json!(world.mint.hex(64))),
        ("serverCaCert", server_ca(world, &name)),
        (
            "serviceAccountEmailAddress",
            json!(format!(
                "p{}-{}@gcp-sa-cloud-sql.iam.gserviceaccount.com",
                world.project_number(&project),
                &world.mint.hex(6)
            )),
        ),
    ] {
        body.insert(field.into(), value);
    }
    body.shift_remove("rootPassword");
    body.entry("databaseVersion").or_insert(json!("MYSQL_8_0"));
    if let Some(settings) = body.get_mut("settings") {
        settings["kind"] = json!("sql#settings");
        settings["settingsVersion"] = json!("1");
        for (name, value) in [
            ("activationPolicy", json!("ALWAYS")),
            ("availabilityType", json!("ZONAL")),
            ("pricingPlan", json!("PER_USE")),
            ("edition", json!("ENTERPRISE")),
            ("dataDiskType", json!("PD_SSD")),
            ("dataDiskSizeGb", json!("10")),
            ("storageAutoResize", json!(true)),
        ] {
            if settings.get(name).is_none() {
                settings[name] = value;
            }
        }
        complete_networks(settings);
    }
    Ok(())
}

/// The certificate of the instance's own authority, valid for ten years (API description of `SslCert`).
fn server_ca(world: &mut World, instance: &str) -> Json {
    let body = world.mint.hex(64);
    json!({
        "kind": "sql#sslCert",
        "certSerialNumber": "0",
        "cert": format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----"),
        "commonName": "C=US,O=Google\\, Inc,CN=Google Cloud SQL Server CA",
        "sha1Fingerprint": world.mint.hex(40),
        "instance": instance,
        "createTime": world.now.rfc3339(),
        "expirationTime": world.now.plus(Millis::secs(315_360_000)).rfc3339(),
    })
}

fn complete_networks(settings: &mut Json) {
    if settings.get("ipConfiguration").is_none() {
        settings["ipConfiguration"] = json!({});
    }
    let ip = &mut settings["ipConfiguration"];
    if ip.get("ipv4Enabled").is_none() {
        ip["ipv4Enabled"] = json!(true);
    }
    for entry in ip
        .get_mut("authorizedNetworks")
        .and_then(Json::as_array_mut)
        .into_iter()
        .flatten()
    {
        entry["kind"] = json!("sql#aclEntry");
    }
}

/// The instance that a replica follows ("the name of the instance which will act as primary in the replication
/// setup": API description of `masterInstanceName`; a client may put the project before it).
fn master_of(key: &str, body: &Object) -> Option<String> {
    let given = body.get("masterInstanceName").and_then(Json::as_str);
    let name = given.filter(|n| !n.is_empty())?.rsplit(':').next()?;
    Some(format!("{}/{name}", key.rsplit_once('/')?.0))
}

/// The primary knows its replicas by `replicaNames`.
pub fn follow(world: &mut World, key: &str, follows: bool) {
    let master = world.live(key).and_then(|r| master_of(key, &r.body));
    let Some(master) = master.and_then(|m| world.resources.get_mut(&m)) else {
        return;
    };
    let names = master.body.get("replicaNames").and_then(Json::as_array);
    let mut names = names.cloned().unwrap_or_default();
    let own = json!(refs::last(key));
    names.retain(|n| *n != own);
    if follows {
        names.push(own);
    }
    match names.is_empty() {
        true => master.body.shift_remove("replicaNames"),
        false => master.body.insert("replicaNames".into(), json!(names)),
    };
}

/// A new instance is RUNNABLE, and has its addresses, when its operation is done.
pub fn inserted(world: &mut World, key: &str) -> Vec<Then> {
    follow(world, key, true);
    let address = world.mint.public_address();
    let outgoing = world.mint.public_address();
    let public = world
        .live(key)
        .and_then(|r| {
            r.body
                .get("settings")?
                .get("ipConfiguration")?
                .get("ipv4Enabled")?
                .as_bool()
        })
        .unwrap_or(true);
    let mut addresses = Vec::new();
    if public {
        addresses.push(json!({ "type": "PRIMARY", "ipAddress": address }));
        addresses.push(json!({ "type": "OUTGOING", "ipAddress": outgoing }));
    } else {
        addresses.push(json!({ "type": "PRIVATE", "ipAddress": "10.60.0.3" }));
    }
    let mut fields = Object::new();
    fields.insert("state".into(), json!("RUNNABLE"));
    fields.insert("ipAddresses".into(), json!(addresses));
    vec![Then::Merge(key.to_string(), fields)]
}

/// A change shows when its operation is done, under a version one higher.
///
/// # Errors
/// A busy instance, or a version that is not the current one.
pub fn changing(
    world: &mut World,
    ask: &Ask,
    change: &Change,
    new: &mut Object,
) -> Result<Effect, Refusal> {
    idle(world, change.key)?;
    let version = |body: &Object| {
        body.get("settings")
            .and_then(|s| s.get("settingsVersion"))
            .and_then(Json::as_str)
            .unwrap_or("")
            .to_string()
    };
    let have = version(change.old);
    let given = version(&ask.body);
    if !given.is_empty() && given != have {
        return Err(Refusal::new(412, "staleData", "Condition does not match."));
    }
    let next = have.parse::<u64>().unwrap_or(0) + 1;
    if let Some(settings) = new.get_mut("settings") {
        settings["settingsVersion"] = json!(next.to_string());
        settings["kind"] = json!("sql#settings");
        complete_networks(settings);
    }
    new.shift_remove("rootPassword");
    for field in [
        "state",
        "ipAddresses",
        "connectionName",
        "selfLink",
        "project",
        "kind",
        "createTime",
    ] {
        if let Some(value) = change.old.get(field) {
            new.insert(field.to_string(), value.clone());
        }
    }
    Ok(Effect {
        now: None,
        later: vec![Then::Merge(change.key.to_string(), std::mem::take(new))],
    })
}

/// # Errors
/// A busy instance, or one that is protected.
pub fn removable(world: &World, key: &str) -> Result<(), Refusal> {
    idle(world, key)?;
    let guarded = world
        .live(key)
        .and_then(|r| {
            r.body
                .get("settings")?
                .get("deletionProtectionEnabled")?
                .as_bool()
        })
        .unwrap_or(false);
    match guarded {
        true => Err(Refusal::new(
            400,
            "invalid",
            "The instance is protected. Please disable the deletion protection and try again.",
        )),
        false => Ok(()),
    }
}
