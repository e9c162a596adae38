//! Ranges that the documents state in prose only.

/// Type, field, least, greatest. From the descriptions of the fields (revision 20261106) unless a
/// row says otherwise.
const BOUNDS: &[(&str, &str, f64, f64)] = &[
    ("compute.HTTPHealthCheck", "port", 1.0, 65535.0),
    ("compute.HTTPSHealthCheck", "port", 1.0, 65535.0),
    ("compute.HTTP2HealthCheck", "port", 1.0, 65535.0),
    ("compute.TCPHealthCheck", "port", 1.0, 65535.0),
    ("compute.SSLHealthCheck", "port", 1.0, 65535.0),
    ("compute.GRPCHealthCheck", "port", 1.0, 65535.0),
    ("compute.NamedPort", "port", 1.0, 65535.0),
    // The four below: gcloud's own bounds for `health-checks create`.
    ("compute.HealthCheck", "checkIntervalSec", 1.0, 300.0),
    ("compute.HealthCheck", "timeoutSec", 1.0, 300.0),
    ("compute.HealthCheck", "healthyThreshold", 1.0, 10.0),
    ("compute.HealthCheck", "unhealthyThreshold", 1.0, 10.0),
    (
        "compute.InstanceGroupManagerAutoHealingPolicy",
        "initialDelaySec",
        0.0,
        3600.0,
    ),
    (
        "compute.AutoscalingPolicyCpuUtilization",
        "utilizationTarget",
        0.0,
        1.0,
    ),
    (
        "compute.AutoscalingPolicyLoadBalancingUtilization",
        "utilizationTarget",
        0.0,
        1.0,
    ),
    (
        "compute.AutoscalingPolicyScalingSchedule",
        "durationSec",
        300.0,
        2_147_483_647.0,
    ),
    ("compute.FixedOrPercent", "percent", 0.0, 100.0),
    ("compute.FixedOrPercent", "fixed", 0.0, 2_147_483_647.0),
    ("compute.BackendService", "timeoutSec", 1.0, 2_147_483_647.0),
    (
        "compute.BackendService",
        "affinityCookieTtlSec",
        0.0,
        1_209_600.0,
    ),
    // cloud.google.com/load-balancing/docs/enabling-connection-draining
    (
        "compute.ConnectionDraining",
        "drainingTimeoutSec",
        0.0,
        3600.0,
    ),
    ("compute.Backend", "capacityScaler", 0.0, 1.0),
    ("compute.Backend", "maxUtilization", 0.0, 1.0),
    ("compute.BackendServiceLogConfig", "sampleRate", 0.0, 1.0),
    (
        "compute.TargetHttpsProxy",
        "httpKeepAliveTimeoutSec",
        5.0,
        1200.0,
    ),
    (
        "compute.TargetHttpProxy",
        "httpKeepAliveTimeoutSec",
        5.0,
        1200.0,
    ),
    ("compute.Firewall", "priority", 0.0, 65535.0),
    ("compute.HttpFaultAbort", "percentage", 0.0, 100.0),
    ("compute.HttpFaultDelay", "percentage", 0.0, 100.0),
    ("compute.RequestMirrorPolicy", "mirrorPercent", 0.0, 100.0),
    // The document says 1 to 7; instances of the edition Enterprise Plus keep up to 35.
    (
        "sqladmin.BackupConfiguration",
        "transactionLogRetentionDays",
        1.0,
        35.0,
    ),
    (
        "sqladmin.Settings",
        "dataDiskSizeGb",
        10.0,
        9_007_199_254_740_992.0,
    ),
];

pub(in crate::catalog) fn bounds(owner: &str, field: &str) -> Option<(f64, f64)> {
    BOUNDS
        .iter()
        .find(|row| row.0 == owner && row.1 == field)
        .map(|row| (row.2, row.3))
}

/// Type and field of every row.
#[cfg(test)]
pub(in crate::catalog) fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    BOUNDS.iter().map(|row| (row.0, row.1))
}
