//! The methods of Cloud SQL beyond the generic verbs.
//!
//! Source: the API description of each method; operation types are those of `Operation.operationType`.

use serde_json::{Value as Json, json};

use super::super::ask::Ask;
use super::super::operation::{self, Then};
use super::super::refusal::Refusal;
use super::super::world::{Object, World};
use super::super::{Outcome, refs};
use super::rules::Rule;
use super::sql::{idle, instance_of};
use super::{Handler, existing};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &[
        "sqladmin.instances",
        "sqladmin.backupRuns",
        "sqladmin.tiers",
        "sqladmin.flags",
        "sqladmin.connect",
    ],
    says: "restart, failover, import and the like keep the instance busy; a clone is there from the beginning; backups are made",
    source: "API description of each method",
    test: "tests/gcloud/sql.txt",
}];

pub fn method(id: &str) -> Option<Handler> {
    Some(match id.strip_prefix("sqladmin.")? {
        "tiers.list" => tiers,
        "flags.list" => flags,
        "connect.get" => connect_settings,
        "instances.listServerCas" => server_cas,
        "instances.clone" => clone,
        "instances.promoteReplica" => promote,
        "instances.restart"
        | "instances.failover"
        | "instances.import"
        | "instances.restoreBackup"
        | "instances.reencrypt"
        | "instances.resetSslConfig"
        | "instances.rotateServerCa"
        | "instances.addServerCa"
        | "instances.startReplica"
        | "instances.stopReplica"
        | "instances.truncateLog" => work,
        "backupRuns.insert" => back_up,
        _ => return None,
    })
}

/// Keeps the instance busy, and changes nothing that it shows.
fn work(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    idle(world, &key)?;
    Ok(operation::begin(world, ask, &key, Vec::new()).into())
}

/// A copy under the name in `cloneContext.destinationInstanceName`, there from the beginning and RUNNABLE
/// when the operation is done.
fn clone(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    idle(world, &key)?;
    let context = ask.body.get("cloneContext");
    let name = context
        .and_then(|c| c.get("destinationInstanceName"))
        .and_then(Json::as_str)
        .unwrap_or("")
        .to_string();
    if name.is_empty() {
        return Err(Refusal::required("cloneContext.destinationInstanceName"));
    }
    let copy = format!("sqladmin/projects/{}/instances/{name}", ask.project);
    if world.live(&copy).is_some() {
        return Err(super::sql::taken());
    }
    let mut body = world.live(&key).map(|r| r.body.clone()).unwrap_or_default();
    for field in [
        "ipAddresses",
        "serverCaCert",
        "masterInstanceName",
        "replicaNames",
    ] {
        body.shift_remove(field);
    }
    body.insert("name".into(), json!(name));
    super::sql::prepare(world, "sqladmin.instances", &copy, &mut body)?;
    world.put(&copy, "sqladmin.instances", body);
    let then = super::sql::inserted(world, &copy);
    copy_databases(world, &key, &copy);
    // The operation is the source's (`targetId` names it), and both are busy until it is done.
    Ok(operation::begin(world, ask, &key, then).into())
}

fn copy_databases(world: &mut World, from: &str, to: &str) {
    let prefix = format!("{from}/databases/");
    let found: Vec<(String, Object)> = world
        .of("sqladmin.databases", &prefix)
        .map(|(key, r)| (key.clone(), r.body.clone()))
        .collect();
    for (key, mut body) in found {
        body.insert("instance".into(), json!(refs::last(to)));
        world.put(&key.replacen(from, to, 1), "sqladmin.databases", body);
    }
}

/// A read replica becomes an instance of its own.
fn promote(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    idle(world, &key)?;
    let replica = world
        .live(&key)
        .is_some_and(|r| r.text("instanceType") == "READ_REPLICA_INSTANCE");
    if !replica {
        return Err(Refusal::new(
            400,
            "invalidOperation",
            "The requested operation is not valid for the current instance.",
        ));
    }
    super::sql::follow(world, &key, false);
    let mut fields = Object::new();
    fields.insert("instanceType".into(), json!("CLOUD_SQL_INSTANCE"));
    fields.insert("masterInstanceName".into(), json!(""));
    let then = vec![Then::Merge(key.clone(), fields)];
    Ok(operation::begin(world, ask, &key, then).into())
}

/// A backup run on demand; it is there at once, and SUCCESSFUL when the operation is done.
fn back_up(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let instance = instance_of(&ask.key());
    if world.live(&instance).is_none() {
        return Err(super::super::generic::missing(&instance));
    }
    idle(world, &instance)?;
    let id = world.now.0.to_string();
    let key = format!("{instance}/backupRuns/{id}");
    let name = refs::last(&instance).to_string();
    let now = world.now.rfc3339();
    let mut body = ask.body.clone();
    for (field, value) in [
        ("kind", json!("sql#backupRun")),
        ("id", json!(id)),
        ("instance", json!(name)),
        ("status", json!("RUNNING")),
        ("type", json!("ON_DEMAND")),
        ("backupKind", json!("SNAPSHOT")),
        ("enqueuedTime", json!(now)),
        ("startTime", json!(now)),
        ("windowStartTime", json!(now)),
        ("location", json!("us")),
        (
            "selfLink",
            json!(format!(
                "https://sqladmin.googleapis.com/sql/v1beta4/projects/{}/instances/{name}/backupRuns/{id}",
                ask.project
            )),
        ),
    ] {
        body.insert(field.into(), value);
    }
    world.put(&key, "sqladmin.backupRuns", body);
    let ends = world.now.plus(super::super::timing::operation(
        &world.scenario,
        &ask.method.id,
    ));
    let mut fields = Object::new();
    fields.insert("status".into(), json!("SUCCESSFUL"));
    fields.insert("endTime".into(), json!(ends.rfc3339()));
    let then = vec![Then::Merge(key, fields)];
    Ok(operation::begin(world, ask, &instance, then).into())
}

/// Tier, bytes of memory, bytes of the largest disk (the guide's table of MySQL's shared and N1 tiers).
const TIERS: &[(&str, u64, u64)] = &[
    ("db-f1-micro", 643_825_664, 3_298_534_883_328),
    ("db-g1-small", 1_825_361_101, 3_298_534_883_328),
    ("db-n1-standard-1", 4_026_531_840, 70_368_744_177_664),
    ("db-n1-standard-2", 8_053_063_680, 70_368_744_177_664),
    ("db-n1-standard-4", 16_106_127_360, 70_368_744_177_664),
    ("db-n1-standard-8", 32_212_254_720, 70_368_744_177_664),
    ("db-n1-highmem-2", 13_958_643_712, 70_368_744_177_664),
    ("db-n1-highmem-4", 27_917_287_424, 70_368_744_177_664),
];

fn tiers(world: &mut World, _ask: &Ask) -> Result<Outcome, Refusal> {
    let regions: Vec<&String> = world.scenario.regions.keys().collect();
    let items: Vec<Json> = TIERS
        .iter()
        .map(|(tier, ram, disk)| {
            json!({
                "kind": "sql#tier",
                "tier": tier,
                "RAM": ram.to_string(),
                "DiskQuota": disk.to_string(),
                "region": regions,
            })
        })
        .collect();
    Ok(json!({ "kind": "sql#tiersList", "items": items }).into())
}

/// Flags of MySQL that the guides of streaming servers mention: name, type, whether a change restarts.
const FLAGS: &[(&str, &str, bool)] = &[
    ("general_log", "BOOLEAN", false),
    ("log_bin_trust_function_creators", "BOOLEAN", false),
    ("long_query_time", "FLOAT", false),
    ("max_connections", "INTEGER", true),
    ("max_allowed_packet", "INTEGER", false),
    ("slow_query_log", "BOOLEAN", false),
    ("wait_timeout", "INTEGER", false),
];

fn flags(_world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let version = ask.param("databaseVersion").unwrap_or("MYSQL_8_0");
    let items: Vec<Json> = FLAGS
        .iter()
        .map(|(name, kind, restarts)| {
            json!({
                "kind": "sql#flag",
                "name": name,
                "type": kind,
                "appliesTo": [version],
                "requiresRestart": restarts,
            })
        })
        .collect();
    Ok(json!({ "kind": "sql#flagsList", "items": items }).into())
}

fn connect_settings(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = instance_of(&ask.key());
    let Some(found) = world.live(&key) else {
        return Err(super::super::generic::missing(&key));
    };
    Ok(json!({
        "kind": "sql#connectSettings",
        "ipAddresses": found.body.get("ipAddresses"),
        "region": found.text("region"),
        "databaseVersion": found.text("databaseVersion"),
        "backendType": "SECOND_GEN",
        "serverCaCert": found.body.get("serverCaCert"),
    })
    .into())
}

fn server_cas(world: &mut World, ask: &Ask) -> Result<Outcome, Refusal> {
    let key = existing(world, ask)?;
    let cert = world.live(&key).and_then(|r| r.body.get("serverCaCert"));
    let certs: Vec<Json> = cert.cloned().into_iter().collect();
    let active = certs
        .first()
        .and_then(|c| c.get("sha1Fingerprint").cloned())
        .unwrap_or_default();
    Ok(
        json!({ "kind": "sql#instancesListServerCas", "certs": certs, "activeVersion": active })
            .into(),
    )
}
