//! Faults on demand: which call goes wrong, decided by the scenario's rules and those injected later.
//! Counted and seeded, so a failure comes again when the same calls are made again.

use std::sync::Arc;

use serde_json::json;

use super::failure::Failure;
use super::refs;
use super::refusal::Refusal;
use super::scenario::{FaultKind, FaultRule, StepCalls, fits, region_of};
use crate::plan::is_of;
use crate::world::Millis;

/// The rules, and how many calls each has fitted.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    seed: u64,
    rules: Vec<(FaultRule, u32)>,
    /// The step that asks now, when a test of a flow plays it.
    pub asks: Option<Arc<str>>,
}

/// What goes wrong with one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    pub kind: FaultKind,
    pub delay: Millis,
    pub error: String,
    /// The path that the call addresses.
    pub target: String,
}

impl Trouble {
    /// The refusal that it is, for kinds that refuse. A call whose connection breaks before it has any
    /// effect is refused as well: nobody reads why.
    pub fn refusal(&self, project_number: u64) -> Option<Refusal> {
        match self.kind {
            FaultKind::RateLimit => Some(rate_limited(project_number)),
            FaultKind::TooManyRequests => {
                let text = "Too many requests; try again later.";
                Some(Refusal::new(429, "rateLimitExceeded", text))
            }
            FaultKind::Unavailable | FaultKind::ConnectionReset => {
                Some(Refusal::new(503, "backendError", "Backend Error"))
            }
            _ => None,
        }
    }

    /// The error that an operation ends with, in the words of the API where they are known.
    pub fn failure(&self) -> Failure {
        let zone = refs::after(&self.target, "zones");
        let region = refs::after(&self.target, "regions").or(zone.map(region_of));
        let project = refs::project_of(&self.target).unwrap_or_default();
        match self.error.as_str() {
            "QUOTA_EXCEEDED" if region.is_none() => Failure::quota("CPUS_ALL_REGIONS", 12.0, None),
            "QUOTA_EXCEEDED" => Failure::quota("CPUS", 24.0, region),
            "ZONE_RESOURCE_POOL_EXHAUSTED" => {
                Failure::stocked_out(project, zone.unwrap_or("-"), "-")
            }
            "RESOURCE_NOT_FOUND" => Failure::not_found(&self.target),
            other => Failure::new(other, "An internal error occurred.", 503),
        }
    }
}

/// 403 in the words of Compute Engine (hail#10613).
fn rate_limited(number: u64) -> Refusal {
    const GROUP: &str = "compute.googleapis.com/default_requests";
    let message = format!(
        "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service 'compute.googleapis.com' for consumer 'project_number:{number}'."
    );
    let info = json!({
        "service": "compute.googleapis.com",
        "consumer": format!("projects/{number}"),
        "quota_metric": GROUP,
    });
    Refusal::usage_limit("rateLimitExceeded", message).with_info(
        "RATE_LIMIT_EXCEEDED",
        "googleapis.com",
        info,
    )
}

impl Troubles {
    pub fn new(seed: u64, rules: &[FaultRule]) -> Troubles {
        Troubles {
            seed,
            rules: rules.iter().map(|r| (r.clone(), 0)).collect(),
            asks: None,
        }
    }

    /// Adds a rule; it counts from now on.
    pub fn inject(&mut self, rule: FaultRule) {
        self.rules.push((rule, 0));
    }

    /// Whether any rule looks at calls of this method.
    pub fn watches(&self, method: &str) -> bool {
        self.rules.iter().any(|(r, _)| fits(&r.method, method))
    }

    /// The trouble of a call; the first rule that strikes counts, and every rule that fits is counted.
    pub fn strike(&mut self, method: &str, reads: bool, target: &str) -> Option<Trouble> {
        let mut struck = None;
        let asks = self.asks.as_deref();
        let of_step = |calls: &StepCalls| {
            calls.reads == reads && asks.is_some_and(|step| is_of(step, &calls.step))
        };
        for (index, (rule, count)) in self.rules.iter_mut().enumerate() {
            let there = rule.target.as_ref().is_none_or(|t| fits(t, target));
            let meant = rule.step.as_ref().is_none_or(of_step);
            if !there || !meant || !fits(&rule.method, method) {
                continue;
            }
            *count += 1;
            if struck.is_none() && strikes(rule, *count, self.seed, index) {
                struck = Some(Trouble {
                    kind: rule.kind,
                    delay: rule.delay.map_or(Millis(0), |d| d.0),
                    error: rule.error.clone().unwrap_or_default(),
                    target: target.to_string(),
                });
            }
        }
        struck
    }
}

fn strikes(rule: &FaultRule, count: u32, seed: u64, index: usize) -> bool {
    let first = rule.nth.unwrap_or(1);
    let times = match rule.chance {
        Some(_) => rule.times.unwrap_or(u32::MAX),
        None => rule.times.unwrap_or(1),
    };
    let due = count >= first && count - first < times;
    due && rule
        .chance
        .is_none_or(|chance| draw(seed, index, count) < chance)
}

/// A number from 0 to 1.
fn draw(seed: u64, index: usize, count: u32) -> f64 {
    let hash = blake3::hash(format!("fault {seed} {index} {count}").as_bytes());
    let bytes = hash.as_bytes();
    f64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) / 2f64.powi(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(toml: &str) -> FaultRule {
        toml::from_str(&format!("kind = \"unavailable\"\nmethod = \"a.*\"\n{toml}")).expect("rule")
    }

    fn strikes_of(toml: &str, calls: usize) -> Vec<usize> {
        let mut troubles = Troubles::new(7, &[rule(toml)]);
        (1..=calls)
            .filter(|_| troubles.strike("a.b", false, "projects/p/x").is_some())
            .collect()
    }

    #[test]
    fn rules_strike_when_they_say() {
        assert_eq!(strikes_of("", 4), [1]);
        assert_eq!(strikes_of("nth = 2\ntimes = 2", 5), [2, 3]);
        assert_eq!(strikes_of("target = \"*/y\"", 3), [] as [usize; 0]);
        let some = strikes_of("chance = 0.5", 40);
        assert!((10..30).contains(&some.len()), "{some:?}");
        assert_eq!(some, strikes_of("chance = 0.5", 40));
    }
}
