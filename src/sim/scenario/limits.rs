//! What there is not enough of: quotas, and room in zones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Span;

/// Limits by metric (`CPUS`), by scope: `global`, `regions` for every region, or a region's own name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quotas(pub BTreeMap<String, BTreeMap<String, f64>>);

impl Quotas {
    /// The scenario's limit of a metric; `None` leaves the built-in one.
    pub fn limit(&self, region: Option<&str>, metric: &str) -> Option<f64> {
        let of = |scope: &str| self.0.get(scope)?.get(metric).copied();
        match region {
            Some(region) => of(region).or_else(|| of("regions")),
            None => of("global"),
        }
    }
}

/// A zone that has no room for new machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockOut {
    pub zone: String,
    /// Only this machine type; `*` stands for anything.
    #[serde(default)]
    pub machine_type: Option<String>,
    /// Since the start of the cloud.
    #[serde(default)]
    pub from: Option<Span>,
    #[serde(default)]
    pub until: Option<Span>,
}
