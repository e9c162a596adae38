//! What a number counts: from the format, else the name, else a short table.

use super::super::model::{Kind, Unit};

/// Fields that say their unit only in prose, by type and field.
const BY_PROSE: &[(&str, &str, Unit)] = &[
    (
        "compute.BackendServiceCdnPolicy",
        "defaultTtl",
        Unit::Seconds,
    ),
    (
        "compute.BackendServiceCdnPolicy",
        "clientTtl",
        Unit::Seconds,
    ),
    ("compute.BackendServiceCdnPolicy", "maxTtl", Unit::Seconds),
    (
        "compute.BackendServiceCdnPolicy",
        "serveWhileStale",
        Unit::Seconds,
    ),
    (
        "compute.BackendServiceCdnPolicyNegativeCachingPolicy",
        "ttl",
        Unit::Seconds,
    ),
    (
        "compute.BackendBucketCdnPolicy",
        "defaultTtl",
        Unit::Seconds,
    ),
    ("compute.BackendBucketCdnPolicy", "clientTtl", Unit::Seconds),
    ("compute.BackendBucketCdnPolicy", "maxTtl", Unit::Seconds),
    (
        "compute.BackendBucketCdnPolicy",
        "serveWhileStale",
        Unit::Seconds,
    ),
    (
        "compute.BackendBucketCdnPolicyNegativeCachingPolicy",
        "ttl",
        Unit::Seconds,
    ),
    ("compute.CorsPolicy", "maxAge", Unit::Seconds),
    ("compute.Duration", "seconds", Unit::Seconds),
    ("compute.Duration", "nanos", Unit::Nanos),
    ("compute.RouterBgp", "keepaliveInterval", Unit::Seconds),
    (
        "compute.RouterBgpPeerBfd",
        "minReceiveInterval",
        Unit::Millis,
    ),
    (
        "compute.RouterBgpPeerBfd",
        "minTransmitInterval",
        Unit::Millis,
    ),
    ("dns.ResourceRecordSet", "ttl", Unit::Seconds),
    (
        "sqladmin.MySqlReplicaConfiguration",
        "connectRetryInterval",
        Unit::Seconds,
    ),
    (
        "sqladmin.MySqlReplicaConfiguration",
        "masterHeartbeatPeriod",
        Unit::Millis,
    ),
    (
        "sqladmin.PasswordValidationPolicy",
        "passwordChangeInterval",
        Unit::GoogleDuration,
    ),
    ("storage.Bucket.cors", "maxAgeSeconds", Unit::Seconds),
    (
        "storage.Bucket.retentionPolicy",
        "retentionPeriod",
        Unit::Seconds,
    ),
    ("storage.Bucket.lifecycle.rule.condition", "age", Unit::Days),
];

/// Ends of names, longest first where one ends in another. Durations of a name apply to numbers.
const DURATION_ENDS: &[(&str, Unit)] = &[
    ("Millis", Unit::Millis),
    ("Milliseconds", Unit::Millis),
    ("Ms", Unit::Millis),
    ("Micros", Unit::Micros),
    ("Nanos", Unit::Nanos),
    ("Seconds", Unit::Seconds),
    ("Secs", Unit::Seconds),
    ("Sec", Unit::Seconds),
    ("Minutes", Unit::Minutes),
    ("Hours", Unit::Hours),
    ("Days", Unit::Days),
];

const FRACTION_ENDS: &[&str] = &[
    "Utilization",
    "Rate",
    "Ratio",
    "utilizationTarget",
    "UtilizationTarget",
];

const PERCENT_ENDS: &[&str] = &["Percent", "Percentage"];

const SIZE_ENDS: &[(&str, Unit)] = &[
    ("Gb", Unit::GiB),
    ("GB", Unit::GiB),
    ("Gib", Unit::GiB),
    ("Mb", Unit::MiB),
    ("MB", Unit::MiB),
    ("Mib", Unit::MiB),
    ("Bytes", Unit::Bytes),
];

/// The unit of a field. The name wins over the number format: `mirrorPercent` is a double of
/// 0 to 100, and `percent: 20%` must not become 0.
pub(in crate::catalog) fn unit(owner: &str, field: &str, kind: &Kind) -> Option<Unit> {
    if let Kind::String { format, .. } = kind {
        return (format.as_deref() == Some("google-duration")).then_some(Unit::GoogleDuration);
    }
    if !matches!(kind, Kind::Int { .. } | Kind::Number { .. }) {
        return None;
    }
    let row = BY_PROSE.iter().find(|r| r.0 == owner && r.1 == field);
    if let Some(row) = row {
        return Some(row.2);
    }
    if ends(field, PERCENT_ENDS) {
        return Some(Unit::Percent);
    }
    // `seconds` alone is a part of a time of day, and a timestamp is no duration.
    let duration = DURATION_ENDS
        .iter()
        .find(|(end, _)| field.ends_with(end) && !field.contains("imestamp"));
    if let Some((_, unit)) = duration {
        return Some(*unit);
    }
    let size = SIZE_ENDS.iter().find(|(end, _)| ends(field, &[end]));
    if let Some((_, unit)) = size {
        return Some(*unit);
    }
    if matches!(kind, Kind::Number { .. }) {
        let fraction = ends(field, FRACTION_ENDS) || field == "capacityScaler";
        return fraction.then_some(Unit::Fraction);
    }
    None
}

/// Whether the name ends in one of these words, or is one in lower case.
fn ends(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| {
        let whole = name.len() == word.len() && name.eq_ignore_ascii_case(word);
        whole || name.ends_with(word)
    })
}

/// Type and field of every row.
#[cfg(test)]
pub(in crate::catalog) fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    BY_PROSE.iter().map(|row| (row.0, row.1))
}
