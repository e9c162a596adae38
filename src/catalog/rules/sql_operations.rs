//! Under which types Cloud SQL lists the operations of a method: the words of `Operation.operationType`
//! (discovery document, revision 20261018), where the description of a word names the method.

/// The types that the operation of a method may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqlTypes {
    pub names: &'static [&'static str],
    /// Whether the documents say so. Where they do not, an operation of another type may be the
    /// method's own as well.
    pub certain: bool,
}

const fn certain(names: &'static [&'static str]) -> SqlTypes {
    SqlTypes {
        names,
        certain: true,
    }
}

/// No word names the method; a change of an instance is `UPDATE` otherwise.
const fn presumed(names: &'static [&'static str]) -> SqlTypes {
    SqlTypes {
        names,
        certain: false,
    }
}

#[rustfmt::skip]
const TABLE: &[(&str, SqlTypes)] = &[
    ("Backups.CreateBackup", certain(&["BACKUP_VOLUME", "ENHANCED_BACKUP"])),
    ("Backups.DeleteBackup", certain(&["DELETE_BACKUP", "DELETE_VOLUME"])),
    ("Backups.UpdateBackup", certain(&["UPDATE_BACKUP"])),
    ("backupRuns.delete", certain(&["DELETE_VOLUME", "DELETE_BACKUP"])),
    ("backupRuns.insert", certain(&["BACKUP_VOLUME", "ENHANCED_BACKUP"])),
    ("blueGreenDeployments.create", certain(&["CREATE_BLUE_GREEN_DEPLOYMENT"])),
    ("blueGreenDeployments.delete", certain(&["DELETE_BLUE_GREEN_DEPLOYMENT"])),
    ("blueGreenDeployments.switchover", certain(&["SWITCHOVER_BLUE_GREEN_DEPLOYMENT"])),
    ("databases.delete", certain(&["DELETE_DATABASE"])),
    ("databases.insert", certain(&["CREATE_DATABASE"])),
    ("databases.patch", certain(&["UPDATE_DATABASE"])),
    ("databases.update", certain(&["UPDATE_DATABASE"])),
    ("instances.RotateEntraIdCertificate", presumed(&["UPDATE"])),
    ("instances.RotateServerCertificate", presumed(&["UPDATE"])),
    ("instances.addEntraIdCertificate", presumed(&["UPDATE"])),
    ("instances.addServerCa", presumed(&["UPDATE"])),
    ("instances.addServerCertificate", presumed(&["UPDATE"])),
    ("instances.clone", certain(&["CLONE", "CREATE"])),
    ("instances.delete", certain(&["DELETE"])),
    ("instances.demote", presumed(&["DEMOTE_MASTER", "UPDATE"])),
    ("instances.demoteMaster", certain(&["DEMOTE_MASTER"])),
    ("instances.export", certain(&["EXPORT"])),
    ("instances.failover", certain(&["FAILOVER"])),
    ("instances.import", certain(&["IMPORT"])),
    ("instances.insert", certain(&["CREATE", "CREATE_REPLICA", "CREATE_READ_POOL"])),
    ("instances.patch", certain(&["UPDATE", "MAJOR_VERSION_UPGRADE"])),
    ("instances.pointInTimeRestore", presumed(&["CLONE", "CREATE", "RESTORE_VOLUME"])),
    ("instances.preCheckMajorVersionUpgrade", certain(&["PRE_CHECK_MAJOR_VERSION_UPGRADE"])),
    ("instances.promoteReplica", certain(&["PROMOTE_REPLICA", "SWITCHOVER_TO_REPLICA"])),
    ("instances.reencrypt", certain(&["REENCRYPT"])),
    ("instances.resetSslConfig", presumed(&["UPDATE"])),
    ("instances.restart", certain(&["RESTART"])),
    ("instances.restoreBackup", certain(&["RESTORE_VOLUME"])),
    ("instances.rotateServerCa", presumed(&["UPDATE"])),
    ("instances.startReplica", certain(&["START_REPLICA"])),
    ("instances.stopReplica", certain(&["STOP_REPLICA"])),
    ("instances.switchover", certain(&["SWITCHOVER", "SWITCHOVER_TO_REPLICA"])),
    ("instances.truncateLog", certain(&["TRUNCATE_LOG"])),
    ("instances.update", certain(&["UPDATE", "MAJOR_VERSION_UPGRADE"])),
    ("projects.instances.performDiskShrink", presumed(&["UPDATE"])),
    ("projects.instances.rescheduleMaintenance", certain(&["RESCHEDULE_MAINTENANCE"])),
    ("projects.instances.resetReplicaSize", presumed(&["RECREATE_REPLICA", "UPDATE"])),
    ("projects.instances.startExternalSync", certain(&["START_EXTERNAL_SYNC"])),
    ("sslCerts.delete", presumed(&["UPDATE"])),
    ("users.delete", certain(&["DELETE_USER"])),
    ("users.insert", certain(&["CREATE_USER", "INJECT_USER"])),
    ("users.update", certain(&["UPDATE_USER"])),
    ("workloadCaptures.start", presumed(&["UPDATE"])),
    ("workloadCaptures.startReplay", presumed(&["UPDATE"])),
    ("workloadCaptures.stop", presumed(&["UPDATE"])),
    ("workloadCaptures.stopReplay", presumed(&["UPDATE"])),
];

/// Types that Cloud SQL gives to work of its own; no call is behind them.
pub const OWN_WORK: &[&str] = &[
    "MAINTENANCE",
    "LOG_CLEANUP",
    "AUTO_RESTART",
    "RECONFIGURE_OLD_PRIMARY",
    "REPAIR_READ_POOL",
];

/// The types of a method's operations, by its full id; `None` for what starts no operation.
pub fn sql_types(method: &str) -> Option<SqlTypes> {
    let name = method.strip_prefix("sqladmin.")?;
    TABLE.iter().find(|row| row.0 == name).map(|row| row.1)
}

#[cfg(test)]
pub(in crate::catalog) fn table() -> impl Iterator<Item = (&'static str, SqlTypes)> {
    TABLE.iter().copied()
}
