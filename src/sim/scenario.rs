//! What the simulated cloud holds at its start, and how it behaves. Written in TOML; the default
//! (`demo.toml`, beside this file) is also the example.

mod behaviour;
mod faults;
mod limits;
mod read;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

pub use behaviour::{ImageBehaviour, Load, Point, fits};
pub use faults::{FaultKind, FaultRule, StepCalls};
pub use limits::{Quotas, StockOut};

use super::limits::{Foreign, Limits};
use crate::world::Millis;

/// A span of time as TOML writes it: `"90s"`, `"5m"`, `"1h30m"`, `"250ms"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span(pub Millis);

/// Reads `1d2h`, `30m`, `1500ms`, `0s`; `None` for anything else.
pub fn parse_span(text: &str) -> Option<Millis> {
    let mut total: i64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(count.checked_mul(unit)?)?;
        rest = &rest[letters..];
    }
    Some(Millis(total))
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        parse_span(&text).map(Span).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is no duration; write it like 90s, 5m or 1h30m"
            ))
        })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// When a domain begins to point at the load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DnsMode {
    /// As soon as somebody told the simulator that a person approved ([`super::Sim::approved`]).
    #[serde(rename = "after approval")]
    AfterApproval,
    /// A minute after the chain from certificate to port 443 stands.
    #[serde(rename = "follows")]
    Follows,
}

/// Where one domain points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pointing {
    Mode(DnsMode),
    Address(String),
}

/// The world's name service: one mode for every domain, or a table of domains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dns {
    Mode(DnsMode),
    /// Domains that are not listed point nowhere.
    Table(BTreeMap<String, Pointing>),
}

/// What a repeated request id with another body gets. No source says which Google does; replaying
/// silently is the worse one for a caller, so it is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOtherBody {
    Replay,
    Refuse,
}

/// How repeated request ids are treated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestIds {
    pub on_other_body: OnOtherBody,
    /// After this an id is forgotten. Compute Engine documents no period.
    pub kept: Span,
}

impl Default for RequestIds {
    fn default() -> Self {
        RequestIds {
            on_other_body: OnOtherBody::Replay,
            kept: Span(Millis::mins(60)),
        }
    }
}

/// How long the answer to a call travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    pub read: Span,
    pub write: Span,
    /// By method; `*` stands for anything, the first that fits counts.
    pub methods: IndexMap<String, Span>,
}

impl Default for Latency {
    fn default() -> Self {
        Latency {
            read: Span(Millis(80)),
            write: Span(Millis(300)),
            methods: IndexMap::new(),
        }
    }
}

/// The person at the other end of `approve`; read by the command line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operator {
    pub approves_after: Option<Span>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineType {
    pub name: String,
    pub cpus: u32,
    pub memory_mb: u32,
}

/// A resource that is there at the start, in every project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Existing {
    /// `compute.disks`.
    pub collection: String,
    /// Path parameters other than the project and the resource's own id, such as `zone`.
    #[serde(default)]
    pub at: BTreeMap<String, String>,
    /// The resource's own id, when the body does not carry it as `name`.
    #[serde(default)]
    pub id: Option<String>,
    /// `{project}` inside any text is replaced by the project's id.
    pub body: Json,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default = "Scenario::empty", deny_unknown_fields)]
pub struct Scenario {
    /// Projects that exist.
    pub projects: Vec<String>,
    /// Whether every other project id exists as well.
    pub any_project: bool,
    /// Ids, addresses and fingerprints follow from it.
    pub seed: u64,
    pub dns: Dns,
    pub request_ids: RequestIds,
    /// After this a finished operation answers 404.
    pub operations_kept: Span,
    /// Letters of the zones by region.
    pub regions: IndexMap<String, Vec<String>>,
    pub machine_types: Vec<MachineType>,
    pub latency: Latency,
    /// Seconds by method (`compute.instances.stop`) or by event (`image ready`); see
    /// [`super::timing`] for the names.
    pub durations: BTreeMap<String, f64>,
    pub operator: Operator,
    pub resources: Vec<Existing>,
    pub limits: Limits,
    /// Operations of others on Cloud SQL.
    pub operations: Vec<Foreign>,
    /// A JSON file of resources as the real API lists them; see [`Scenario::read`].
    #[serde(rename = "load")]
    pub load_file: Option<String>,
    /// What that file holds.
    #[serde(skip_deserializing)]
    pub loaded: Vec<Json>,
    /// APIs that are not enabled at the start: `dns.googleapis.com`.
    pub disabled_apis: Vec<String>,
    pub quotas: Quotas,
    pub stockouts: Vec<StockOut>,
    pub images: Vec<ImageBehaviour>,
    pub loads: Vec<Load>,
    pub faults: Vec<FaultRule>,
    /// Domains for which no certificate is issued although they point here, and why:
    /// `FAILED_CAA_CHECKING`, `FAILED_CAA_FORBIDDEN`, `FAILED_RATE_LIMITED`.
    pub certificate_failures: BTreeMap<String, String>,
    /// How many entries the log of changes keeps.
    pub log_kept: usize,
}

impl Default for Scenario {
    fn default() -> Self {
        toml::from_str(DEMO).unwrap_or_else(|_| Scenario::empty())
    }
}

/// The default scenario as text.
pub const DEMO: &str = include_str!("demo.toml");

impl Scenario {
    /// A cloud with places, but without resources.
    pub fn empty() -> Self {
        Scenario {
            projects: vec!["demo".into()],
            any_project: true,
            seed: 1,
            dns: Dns::Mode(DnsMode::AfterApproval),
            request_ids: RequestIds::default(),
            operations_kept: Span(Millis(24 * 3_600_000)),
            regions: IndexMap::new(),
            machine_types: Vec::new(),
            latency: Latency::default(),
            durations: BTreeMap::new(),
            operator: Operator::default(),
            resources: Vec::new(),
            limits: Limits::default(),
            operations: Vec::new(),
            load_file: None,
            loaded: Vec::new(),
            disabled_apis: Vec::new(),
            quotas: Quotas::default(),
            stockouts: Vec::new(),
            images: Vec::new(),
            loads: Vec::new(),
            faults: Vec::new(),
            certificate_failures: BTreeMap::new(),
            log_kept: 100_000,
        }
    }

    /// How what boots from an image behaves, when the scenario says it.
    pub fn image(&self, name: &str, family: &str) -> Option<&ImageBehaviour> {
        self.images
            .iter()
            .find(|b| fits(&b.image, name) || !family.is_empty() && fits(&b.image, family))
    }

    /// How long the answer to a method travels: its own latency, or that of reads or writes.
    pub fn latency_of(&self, method: Option<&str>, reads: bool) -> Millis {
        let latency = &self.latency;
        let own = method.and_then(|m| {
            let mut methods = latency.methods.iter();
            methods.find(|(pattern, _)| fits(pattern, m))
        });
        match (own, reads) {
            (Some((_, span)), _) => span.0,
            (None, true) => latency.read.0,
            (None, false) => latency.write.0,
        }
    }

    pub fn knows_project(&self, project: &str) -> bool {
        self.any_project || self.projects.iter().any(|p| p == project)
    }

    /// Full names of a region's zones.
    pub fn zones_of(&self, region: &str) -> Vec<String> {
        self.regions
            .get(region)
            .map(|letters| letters.iter().map(|l| format!("{region}-{l}")).collect())
            .unwrap_or_default()
    }

    pub fn knows_zone(&self, zone: &str) -> bool {
        zone.rsplit_once('-')
            .and_then(|(region, letter)| {
                Some(self.regions.get(region)?.iter().any(|l| l == letter))
            })
            .unwrap_or(false)
    }
}

/// `us-central1` of `us-central1-a`.
pub fn region_of(zone: &str) -> &str {
    zone.rsplit_once('-').map_or(zone, |(region, _)| region)
}
