//! Faults on demand.

use serde::{Deserialize, Serialize};

use super::Span;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// The call takes effect, and its answer never arrives.
    #[serde(rename = "answer lost")]
    AnswerLost,
    /// The connection breaks before the call has any effect.
    #[serde(rename = "connection reset")]
    ConnectionReset,
    /// 403 rateLimitExceeded, as Compute Engine limits rates.
    #[serde(rename = "rate limit")]
    RateLimit,
    /// 429, as the newer APIs do.
    #[serde(rename = "too many requests")]
    TooManyRequests,
    /// 503 backendError.
    #[serde(rename = "unavailable")]
    Unavailable,
    /// The answer comes late by `delay`.
    #[serde(rename = "slow")]
    Slow,
    /// The operation ends with `error`, and nothing remains of what it began.
    #[serde(rename = "operation fails")]
    OperationFails,
    /// What is inserted cannot be read or listed for `delay`.
    #[serde(rename = "not visible yet")]
    NotVisibleYet,
}

/// Calls of one step of a flow; only a test of the flow knows them.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCalls {
    /// Its address; without keys all iterations, of a `run` step all that it runs.
    pub step: String,
    /// Those that read, else those that may change something.
    pub reads: bool,
}

/// Which calls go wrong, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    pub kind: FaultKind,
    /// `compute.instances.insert`; `*` stands for anything.
    pub method: String,
    #[serde(skip)]
    pub step: Option<StepCalls>,
    /// The path below the version, for an insert with the new name behind it; any when left out.
    #[serde(default)]
    pub target: Option<String>,
    /// The first of the calls that fit to go wrong, from 1.
    #[serde(default)]
    pub nth: Option<u32>,
    /// How many of them go wrong; one when left out, all with `chance`.
    #[serde(default)]
    pub times: Option<u32>,
    /// From 0 to 1: each call that fits goes wrong with this probability, drawn from the seed.
    #[serde(default)]
    pub chance: Option<f64>,
    /// For `slow` and `not visible yet`.
    #[serde(default)]
    pub delay: Option<Span>,
    /// For `operation fails`: `QUOTA_EXCEEDED`, `ZONE_RESOURCE_POOL_EXHAUSTED` or any other code.
    #[serde(default)]
    pub error: Option<String>,
}
