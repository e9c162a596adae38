//! The settle class of every method: rules, and a table for what no rule can know.

use super::super::model::{InsertId, Method, OperationStyle, RequestId, SettleClass};
use crate::wire::Verb;
use SettleClass::{
    ConvergingWrite, IdAndOperation, MarkedCreate, MatchedOperation, NamedCreate, OnceOnlyResult,
    Unsafe,
};

/// Method, class, reason. A row wins over every rule.
const TABLE: &[(&str, SettleClass, &str)] = &[
    // Secrets that the answer shows once.
    (
        "iam.projects.serviceAccounts.keys.create",
        OnceOnlyResult,
        "the private key is in this answer only",
    ),
    (
        "storage.projects.hmacKeys.create",
        OnceOnlyResult,
        "the secret is in this answer only",
    ),
    (
        "sqladmin.sslCerts.insert",
        OnceOnlyResult,
        "the client's private key is in this answer only",
    ),
    (
        "iam.locations.workforcePools.providers.scimTenants.tokens.create",
        OnceOnlyResult,
        "the token is in this answer only",
    ),
    // Answers that are theirs alone and leave nothing behind.
    (
        "sqladmin.connect.generateEphemeralCert",
        ConvergingWrite,
        "a second certificate disturbs nobody and expires by itself",
    ),
    (
        "sqladmin.sslCerts.createEphemeral",
        ConvergingWrite,
        "a second certificate disturbs nobody and expires by itself",
    ),
    (
        "sqladmin.instances.acquireSsrsLease",
        Unsafe,
        "the lease is told in this answer only",
    ),
    (
        "sqladmin.instances.releaseSsrsLease",
        ConvergingWrite,
        "a released lease stays released",
    ),
    (
        "sqladmin.instances.executeSql",
        Unsafe,
        "runs statements of any effect",
    ),
    // Names that the server picks, with a key of their own.
    (
        "cloudresourcemanager.folders.create",
        NamedCreate,
        "one parent never holds two folders of one displayName",
    ),
    (
        "cloudresourcemanager.tagKeys.create",
        NamedCreate,
        "shortName is unique below its parent",
    ),
    (
        "cloudresourcemanager.tagValues.create",
        NamedCreate,
        "shortName is unique below its key",
    ),
    (
        "cloudresourcemanager.tagBindings.create",
        NamedCreate,
        "a pair of parent and value exists once",
    ),
    (
        "cloudresourcemanager.tagValues.tagHolds.create",
        NamedCreate,
        "a pair of holder and value exists once",
    ),
    (
        "cloudresourcemanager.liens.create",
        MarkedCreate,
        "`origin` takes the mark",
    ),
    (
        "storage.notifications.insert",
        MarkedCreate,
        "`custom_attributes` take the mark",
    ),
    (
        "storage.anywhereCaches.insert",
        NamedCreate,
        "a bucket has one cache in a zone",
    ),
    (
        "storage.rapidCaches.insert",
        NamedCreate,
        "a bucket has one cache in a zone",
    ),
    (
        "sqladmin.backupRuns.insert",
        MatchedOperation,
        "its operation names the instance and the user",
    ),
    (
        "sqladmin.Backups.CreateBackup",
        MatchedOperation,
        "its operation names the instance and the user",
    ),
    (
        "servicenetworking.services.connections.create",
        NamedCreate,
        "a network has one connection to a service",
    ),
    (
        "servicenetworking.services.addSubnetwork",
        NamedCreate,
        "the body names the subnetwork",
    ),
    (
        "servicenetworking.services.searchRange",
        ConvergingWrite,
        "searching twice reserves nothing",
    ),
    (
        "servicenetworking.services.dnsZones.add",
        NamedCreate,
        "the body names the zone",
    ),
    (
        "servicenetworking.services.dnsRecordSets.add",
        NamedCreate,
        "a record set of one name and type exists once",
    ),
    (
        "servicenetworking.services.dnsRecordSets.update",
        ConvergingWrite,
        "writes the whole record set",
    ),
    (
        "servicenetworking.services.dnsZones.remove",
        SettleClass::Delete,
        "gone is done",
    ),
    (
        "servicenetworking.services.dnsRecordSets.remove",
        SettleClass::Delete,
        "gone is done",
    ),
    (
        "servicenetworking.services.roles.add",
        ConvergingWrite,
        "a granted role stays granted",
    ),
    (
        "servicenetworking.services.connections.deleteConnection",
        SettleClass::Delete,
        "gone is done",
    ),
    // Changes to a state that a second call finds as it wants it.
    (
        "serviceusage.services.batchEnable",
        ConvergingWrite,
        "an enabled API stays enabled",
    ),
    (
        "secretmanager.projects.secrets.versions.destroy",
        ConvergingWrite,
        "destroyed stays destroyed",
    ),
    (
        "secretmanager.projects.locations.secrets.versions.destroy",
        ConvergingWrite,
        "destroyed stays destroyed",
    ),
    (
        "dns.changes.create",
        ConvergingWrite,
        "what was added and removed shows in the record sets",
    ),
    (
        "storage.buckets.lockRetentionPolicy",
        ConvergingWrite,
        "locked stays locked, and the metageneration is a precondition",
    ),
    (
        "storage.anywhereCaches.pause",
        ConvergingWrite,
        "paused stays paused",
    ),
    (
        "storage.anywhereCaches.resume",
        ConvergingWrite,
        "running stays running",
    ),
    ("storage.folders.rename", NamedCreate, "the new name tells"),
    (
        "storage.folders.deleteRecursive",
        SettleClass::Delete,
        "gone is done",
    ),
    (
        "storage.objects.compose",
        NamedCreate,
        "the destination's name and generation tell",
    ),
    (
        "storage.objects.copy",
        NamedCreate,
        "the destination's name and generation tell",
    ),
    (
        "storage.objects.move",
        NamedCreate,
        "the destination's name tells",
    ),
    (
        "storage.objects.rewrite",
        NamedCreate,
        "the destination's name tells; the token carries on where it stood",
    ),
    (
        "pubsub.projects.subscriptions.modifyAckDeadline",
        ConvergingWrite,
        "sets a deadline",
    ),
    (
        "pubsub.projects.subscriptions.modifyPushConfig",
        ConvergingWrite,
        "sets the whole configuration",
    ),
    (
        "pubsub.projects.subscriptions.acknowledge",
        ConvergingWrite,
        "acknowledged stays acknowledged",
    ),
    (
        "pubsub.projects.subscriptions.detach",
        ConvergingWrite,
        "detached stays detached",
    ),
    (
        "pubsub.projects.subscriptions.seek",
        ConvergingWrite,
        "seeks to a point that the body names",
    ),
    (
        "pubsub.projects.schemas.deleteRevision",
        SettleClass::Delete,
        "gone is done",
    ),
    (
        "monitoring.projects.notificationChannels.verify",
        ConvergingWrite,
        "verified stays verified",
    ),
    (
        "monitoring.projects.notificationChannels.getVerificationCode",
        ConvergingWrite,
        "a further code disturbs nobody",
    ),
    (
        "monitoring.projects.metricDescriptors.create",
        NamedCreate,
        "the metric's type is its name",
    ),
    (
        "monitoring.projects.timeSeries.create",
        ConvergingWrite,
        "a point of one time and series is written once",
    ),
    (
        "monitoring.projects.timeSeries.createService",
        ConvergingWrite,
        "a point of one time and series is written once",
    ),
    (
        "monitoring.projects.collectdTimeSeries.create",
        ConvergingWrite,
        "a point of one time and series is written once",
    ),
    (
        "logging.entries.write",
        ConvergingWrite,
        "entries of one insertId and time are stored once",
    ),
    (
        "run.projects.locations.instances.start",
        ConvergingWrite,
        "started stays started",
    ),
    (
        "run.projects.locations.instances.stop",
        ConvergingWrite,
        "stopped stays stopped",
    ),
    (
        "run.projects.locations.jobs.executions.cancel",
        ConvergingWrite,
        "cancelled stays cancelled",
    ),
    (
        "cloudresourcemanager.folders.move",
        ConvergingWrite,
        "the parent tells",
    ),
    (
        "cloudresourcemanager.projects.move",
        ConvergingWrite,
        "the parent tells",
    ),
    (
        "container.projects.locations.clusters.nodePools.completeUpgrade",
        ConvergingWrite,
        "completed stays completed",
    ),
    // Compute Engine's few without a request id that change something.
    (
        "compute.instanceGroupManagers.applyUpdatesToInstances",
        ConvergingWrite,
        "instances that are at their version already are left alone",
    ),
    (
        "compute.regionInstanceGroupManagers.applyUpdatesToInstances",
        ConvergingWrite,
        "instances that are at their version already are left alone",
    ),
    (
        "compute.securityPolicies.addRule",
        NamedCreate,
        "the priority names the rule",
    ),
    (
        "compute.securityPolicies.patchRule",
        ConvergingWrite,
        "writes the rule of a priority",
    ),
    (
        "compute.securityPolicies.removeRule",
        SettleClass::Delete,
        "gone is done",
    ),
    (
        "compute.regionSecurityPolicies.addRule",
        NamedCreate,
        "the priority names the rule",
    ),
    (
        "compute.regionSecurityPolicies.patchRule",
        ConvergingWrite,
        "writes the rule of a priority",
    ),
    (
        "compute.regionSecurityPolicies.removeRule",
        SettleClass::Delete,
        "gone is done",
    ),
    (
        "compute.interconnectGroups.createMembers",
        NamedCreate,
        "the body names the members",
    ),
];

/// Names of methods that set a state, where a second call finds it set.
const CONVERGING: &[&str] = &[
    "patch", "update", "cancel", "undelete", "pause", "disable", "enable",
];

/// Beginnings of such names.
const CONVERGING_BEGINNINGS: &[&str] = &["set", "update", "patch", "enable", "disable"];

/// `insert_id` and `markable` tell how a create of this method's collection names its resource, and
/// whether the resource has labels or annotations for a mark.
pub(in crate::catalog) fn settle(
    method: &Method,
    insert_id: impl FnOnce() -> InsertId,
    markable: impl FnOnce() -> bool,
) -> SettleClass {
    if method.reads {
        return SettleClass::Reads;
    }
    if let Some(row) = TABLE.iter().find(|row| row.0 == &*method.id) {
        return row.1;
    }
    if matches!(method.request_id, Some(RequestId::Replay(_))) {
        return IdAndOperation;
    }
    let name = &*method.name;
    if method.verb == Verb::Delete || name.starts_with("delete") {
        return SettleClass::Delete;
    }
    if matches!(name, "insert" | "create" | "createAsync") {
        return match insert_id() {
            InsertId::ServerChosen if markable() => MarkedCreate,
            InsertId::ServerChosen => Unsafe,
            _ => NamedCreate,
        };
    }
    let begins = || CONVERGING_BEGINNINGS.iter().any(|b| name.starts_with(b));
    let writes = matches!(method.verb, Verb::Put | Verb::Patch);
    if writes || CONVERGING.contains(&name) || begins() {
        return ConvergingWrite;
    }
    match method.operation {
        OperationStyle::Sql | OperationStyle::Container { .. } => MatchedOperation,
        _ => Unsafe,
    }
}

#[cfg(test)]
pub(in crate::catalog) fn table() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.0)
}
