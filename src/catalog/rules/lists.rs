//! Which lists have no order, and which are told apart by a key.

use super::super::model::ListKind;

/// Lists whose elements are objects with a key, by type and field.
///
/// Each key is unique in its list by the description of the field, or because the server refuses
/// two elements that share it.
const KEYED: &[(&str, &str, &str)] = &[
    ("compute.Metadata", "items", "key"),
    ("compute.InstanceGroup", "namedPorts", "name"),
    ("compute.InstanceGroupManager", "namedPorts", "name"),
    (
        "compute.InstanceGroupsSetNamedPortsRequest",
        "namedPorts",
        "name",
    ),
    (
        "compute.RegionInstanceGroupsSetNamedPortsRequest",
        "namedPorts",
        "name",
    ),
    ("compute.BackendService", "backends", "group"),
    ("compute.DistributionPolicy", "zones", "zone"),
    ("compute.UrlMap", "pathMatchers", "name"),
    ("compute.Router", "nats", "name"),
    ("compute.Router", "interfaces", "name"),
    ("compute.Router", "bgpPeers", "name"),
    ("compute.RouterNat", "subnetworks", "name"),
    ("compute.Subnetwork", "secondaryIpRanges", "rangeName"),
    ("compute.Network", "peerings", "name"),
    ("compute.SecurityPolicy", "rules", "priority"),
    ("compute.FirewallPolicy", "rules", "priority"),
    ("compute.Instance", "guestAccelerators", "acceleratorType"),
    (
        "compute.InstanceProperties",
        "guestAccelerators",
        "acceleratorType",
    ),
    ("compute.Instance", "serviceAccounts", "email"),
    ("compute.InstanceProperties", "serviceAccounts", "email"),
    ("compute.Image", "guestOsFeatures", "type"),
    ("compute.Disk", "guestOsFeatures", "type"),
    ("compute.AttachedDisk", "guestOsFeatures", "type"),
    ("sqladmin.IpConfiguration", "authorizedNetworks", "value"),
    ("sqladmin.Settings", "databaseFlags", "name"),
    (
        "sqladmin.PscConfig",
        "pscAutoConnections",
        "consumerNetwork",
    ),
    ("container.Cluster", "nodePools", "name"),
    ("run.GoogleCloudRunV2Container", "env", "name"),
    ("run.GoogleCloudRunV2RevisionTemplate", "volumes", "name"),
    ("run.GoogleCloudRunV2TaskTemplate", "volumes", "name"),
    ("run.GoogleCloudRunV2RevisionTemplate", "containers", "name"),
    (
        "dns.ManagedZonePrivateVisibilityConfig",
        "networks",
        "networkUrl",
    ),
    ("dns.Policy", "networks", "networkUrl"),
    ("secretmanager.UserManaged", "replicas", "location"),
];

/// Lists of texts whose order the services do not keep or do not heed, by field, with the type
/// where the name alone would say too much.
const SETS: &[(Option<&str>, &str)] = &[
    (Some("compute.Tags"), "items"),
    (None, "sourceRanges"),
    (None, "destinationRanges"),
    (None, "sourceTags"),
    (None, "targetTags"),
    (None, "sourceServiceAccounts"),
    (None, "targetServiceAccounts"),
    (None, "domains"),
    (None, "sanDnsnames"),
    (None, "scopes"),
    (None, "healthChecks"),
    (None, "zones"),
    (None, "instances"),
    (None, "users"),
    (None, "licenses"),
    (None, "resourcePolicies"),
    (None, "storageLocations"),
    (None, "natIps"),
    (None, "drainNatIps"),
    (None, "sourceIpRangesToNat"),
    (None, "targetPools"),
    (None, "selfManaged"),
    (None, "srcIpRanges"),
    (None, "destIpRanges"),
    (None, "includedPermissions"),
    (None, "members"),
    (None, "serviceIds"),
    (None, "allowedConsumerProjects"),
    (None, "vpcConnectionNames"),
    (Some("compute.HostRule"), "hosts"),
    (Some("compute.PathRule"), "paths"),
    (Some("compute.PathMatcher"), "pathRules"),
    (Some("compute.Firewall"), "allowed"),
    (Some("compute.Firewall"), "denied"),
    (Some("compute.Firewall.allowed"), "ports"),
    (Some("compute.Firewall.denied"), "ports"),
    (Some("compute.ForwardingRule"), "ports"),
    (Some("compute.UrlMap"), "hostRules"),
    (Some("dns.ResourceRecordSet"), "rrdatas"),
    (Some("dns.ManagedZone"), "nameServers"),
    (Some("dns.Change"), "additions"),
    (Some("dns.Change"), "deletions"),
    (
        Some("servicenetworking.Connection"),
        "reservedPeeringRanges",
    ),
    (Some("monitoring.AlertPolicy"), "notificationChannels"),
    (
        Some("certificatemanager.ManagedCertificate"),
        "dnsAuthorizations",
    ),
];

/// `owner` is the type as `compute.Firewall`, an inline one as `compute.Firewall.allowed`.
pub(in crate::catalog) fn list_kind(owner: &str, field: &str) -> ListKind {
    let keyed = KEYED.iter().find(|row| row.0 == owner && row.1 == field);
    if let Some(row) = keyed {
        return ListKind::KeyedBy(row.2);
    }
    let set = SETS
        .iter()
        .any(|row| row.1 == field && row.0.is_none_or(|type_| type_ == owner));
    if set {
        ListKind::Set
    } else {
        ListKind::Ordered
    }
}

/// Type and field of every row that names a type.
#[cfg(test)]
pub(in crate::catalog) fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    let keyed = KEYED.iter().map(|row| (row.0, row.1));
    keyed.chain(SETS.iter().filter_map(|row| Some((row.0?, row.1))))
}
