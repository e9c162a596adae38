//! How long things take, in seconds of virtual time.
//!
//! Typical values as people see them in the console and in public logs (the guides' "several minutes"
//! for Cloud SQL and certificates, Terraform's `Creation complete after …` lines for the rest); none
//! is a promise of Google. A scenario overrides any of them by name.

use super::scenario::Scenario;
use crate::world::Millis;

/// Operations by method; what is not listed takes [`OTHER`].
const OPERATIONS: &[(&str, f64)] = &[
    ("compute.instances.insert", 12.0),
    ("compute.instances.start", 15.0),
    ("compute.instances.stop", 30.0),
    ("compute.instances.reset", 5.0),
    ("compute.instances.delete", 25.0),
    ("compute.instances.setDiskAutoDelete", 3.0),
    ("compute.instances.setMetadata", 4.0),
    ("compute.instances.setTags", 4.0),
    ("compute.disks.insert", 5.0),
    ("compute.disks.delete", 4.0),
    ("compute.images.insert", 8.0),
    ("compute.images.delete", 8.0),
    ("compute.instanceTemplates.insert", 4.0),
    ("compute.instanceTemplates.delete", 4.0),
    ("compute.healthChecks.insert", 4.0),
    ("compute.firewalls.insert", 8.0),
    ("compute.firewalls.delete", 8.0),
    ("compute.networks.insert", 25.0),
    ("compute.subnetworks.insert", 20.0),
    ("compute.addresses.insert", 3.0),
    ("compute.globalAddresses.insert", 3.0),
    ("compute.routers.insert", 12.0),
    ("compute.routers.patch", 12.0),
    ("compute.regionInstanceGroupManagers.insert", 15.0),
    ("compute.instanceGroupManagers.insert", 12.0),
    ("compute.regionInstanceGroupManagers.patch", 4.0),
    ("compute.instanceGroupManagers.patch", 4.0),
    ("compute.regionInstanceGroups.setNamedPorts", 4.0),
    ("compute.regionAutoscalers.insert", 8.0),
    ("compute.autoscalers.insert", 8.0),
    ("compute.backendServices.insert", 12.0),
    ("compute.backendServices.patch", 12.0),
    ("compute.backendServices.delete", 10.0),
    ("compute.urlMaps.insert", 6.0),
    ("compute.sslCertificates.insert", 3.0),
    ("compute.targetHttpProxies.insert", 6.0),
    ("compute.targetHttpsProxies.insert", 6.0),
    ("compute.globalForwardingRules.insert", 15.0),
    ("compute.globalForwardingRules.delete", 12.0),
    ("sqladmin.instances.insert", 360.0),
    ("sqladmin.instances.delete", 60.0),
    ("sqladmin.instances.patch", 45.0),
    ("sqladmin.instances.update", 45.0),
    ("sqladmin.instances.restart", 60.0),
    ("sqladmin.instances.clone", 400.0),
    ("sqladmin.instances.failover", 60.0),
    ("sqladmin.instances.import", 30.0),
    ("sqladmin.instances.export", 30.0),
    ("sqladmin.backupRuns.insert", 45.0),
    ("sqladmin.databases.insert", 4.0),
    ("sqladmin.users.insert", 3.0),
    ("dns.changes.create", 20.0),
    ("container.projects.locations.clusters.create", 300.0),
    ("run.projects.locations.services.create", 15.0),
];

/// Any operation that is not listed.
const OTHER: f64 = 5.0;

/// What happens on the clock apart from operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// From an image's insert to READY.
    ImageReady,
    /// From a group machine's creation until it is RUNNING.
    MachineStart,
    /// From a machine's creation to the first answer of what it serves.
    MachineBoot,
    /// The restart of a group's machine, until it is RUNNING again.
    MachineRestart,
    /// New labels, tags and metadata for a group's machine.
    MachineRefresh,
    /// Between two looks of an autoscaler at the load.
    ScalerLook,
    /// From the operation that enables an API until it answers everywhere ("wait a few minutes for the
    /// action to propagate").
    ApiSpreads,
    /// From a refused creation of a group's machine to the next try.
    CreationRetry,
    /// Between the starts of two machines of one group.
    NextMachine,
    /// From the deletion of a group's machine to its absence.
    MachineGone,
    /// From the end of a group's operation until its status moves: a group can still call itself
    /// stable right after a patch.
    GroupNotice,
    /// From "the domain points here" to ACTIVE ("up to 60 minutes", Google's troubleshooting guide).
    CertificateIssue,
    /// With `dns = "follows"`: from the standing chain to a domain that points at it.
    DnsFollows,
    /// From a certificate's creation until its invisible domain is reported.
    DomainNotVisible,
}

impl Happening {
    fn name_and_seconds(self) -> (&'static str, f64) {
        match self {
            Happening::ImageReady => ("image ready", 90.0),
            Happening::MachineStart => ("machine start", 20.0),
            Happening::MachineBoot => ("machine boot", 90.0),
            Happening::MachineRestart => ("machine restart", 40.0),
            Happening::MachineRefresh => ("machine refresh", 5.0),
            Happening::ScalerLook => ("scaler look", 15.0),
            Happening::ApiSpreads => ("api spreads", 30.0),
            Happening::CreationRetry => ("creation retry", 30.0),
            Happening::NextMachine => ("next machine", 4.0),
            Happening::MachineGone => ("machine gone", 40.0),
            Happening::GroupNotice => ("group notice", 5.0),
            Happening::CertificateIssue => ("certificate issue", 540.0),
            Happening::DnsFollows => ("dns follows", 60.0),
            Happening::DomainNotVisible => ("domain not visible", 900.0),
        }
    }
}

/// How long the operation of a method runs.
pub fn operation(scenario: &Scenario, method: &str) -> Millis {
    let listed = || {
        OPERATIONS
            .iter()
            .find(|(m, _)| *m == method)
            .map(|(_, s)| *s)
    };
    millis(
        scenario
            .durations
            .get(method)
            .copied()
            .or_else(listed)
            .unwrap_or(OTHER),
    )
}

/// How long something takes that no operation shows.
pub fn happening(scenario: &Scenario, what: Happening) -> Millis {
    let (name, seconds) = what.name_and_seconds();
    millis(scenario.durations.get(name).copied().unwrap_or(seconds))
}

fn millis(seconds: f64) -> Millis {
    Millis((seconds.clamp(0.0, 1e9) * 1000.0) as i64)
}
