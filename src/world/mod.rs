//! The outside as small values: moments, spans of time, and who asks for them.
//!
//! Nothing else in the crate may ask the machine for the time or for randomness.

pub mod clock;
mod machine;

pub use clock::Clock;

use chrono::{DateTime, SecondsFormat, Utc};
pub use machine::Machine;

/// Fills `bytes` from the system's generator; the crate's only source of randomness.
pub fn random_bytes(bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        // A v4 UUID fixes 6 of its 128 bits; its last 8 bytes hold two of them, so each half of
        // 8 bytes is folded from two UUIDs' halves.
        let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        for (i, byte) in chunk.iter_mut().enumerate() {
            *byte = a.as_bytes()[i] ^ b.as_bytes()[15 - i];
        }
    }
}

/// A new run's id: a UUIDv7 text, so that ids sort by the time of their start.
pub fn run_id(at: Timestamp, random: &mut dyn FnMut(&mut [u8])) -> String {
    let mut tail = [0u8; 10];
    random(&mut tail);
    uuid::Builder::from_unix_timestamp_millis(at.0.max(0) as u64, &tail)
        .into_uuid()
        .to_string()
}

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment by this machine's clock.
    pub fn now() -> Self {
        Timestamp(Utc::now().timestamp_millis())
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-23T15:32:15.000Z`.
    pub fn rfc3339(self) -> String {
        DateTime::<Utc>::from_timestamp_millis(self.0)
            .unwrap_or_default()
            .to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Reads any RFC 3339 text, whatever its offset.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|t| Timestamp(t.timestamp_millis()))
    }

    pub fn plus(self, span: Millis) -> Self {
        Timestamp(self.0.saturating_add(span.0))
    }

    /// How long after `earlier` this is; negative when it is before.
    pub fn since(self, earlier: Timestamp) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub i64);

impl Millis {
    pub const fn secs(n: i64) -> Self {
        Millis(n * 1000)
    }

    pub const fn mins(n: i64) -> Self {
        Millis(n * 60_000)
    }

    pub fn std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.max(0) as u64)
    }
}

/// As flows write durations: `1d2h`, `30m`, `1500ms`, `0s`.
impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1000),
            ("ms", 1),
        ] {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

/// Methods whose models a test build's simulator does without: `R5FLOW_SIM_BLUNT=METHOD,METHOD` in the
/// environment. In release builds there are none.
pub fn switched_off() -> std::collections::BTreeSet<String> {
    let named = match cfg!(debug_assertions) {
        true => std::env::var("R5FLOW_SIM_BLUNT").unwrap_or_default(),
        false => String::new(),
    };
    let methods = named.split(',').filter(|m| !m.is_empty());
    methods.map(str::to_string).collect()
}

/// Where a test build dies on purpose, as a crash would: `R5FLOW_FAILPOINT=NAME:METHOD` in the
/// environment. In release builds this is nothing.
pub fn failpoint(name: &str, method: &str) {
    if cfg!(debug_assertions)
        && let Ok(wanted) = std::env::var("R5FLOW_FAILPOINT")
        && wanted == format!("{name}:{method}")
    {
        std::process::abort();
    }
}

/// Where a test build stops itself with SIGSTOP, once, as if it were frozen from outside:
/// `R5FLOW_STOPPOINT=NAME:NUMBER` in the environment, reached by the first `number` that is not below.
/// In release builds this is nothing.
pub fn stop_point(name: &str, number: u64) {
    #[cfg(all(unix, debug_assertions))]
    {
        use std::sync::Once;
        static STOPPED: Once = Once::new();
        let wanted = std::env::var("R5FLOW_STOPPOINT").ok();
        let least = wanted
            .as_deref()
            .and_then(|w| w.split_once(':'))
            .filter(|(n, _)| *n == name)
            .and_then(|(_, least)| least.parse::<u64>().ok());
        if least.is_some_and(|least| number >= least) {
            STOPPED.call_once(|| {
                let me = rustix::process::getpid();
                // A process may always signal itself.
                let _ = rustix::process::kill_process(me, rustix::process::Signal::STOP);
            });
        }
    }
    #[cfg(not(all(unix, debug_assertions)))]
    let _ = (name, number);
}

/// How many cases a test by chance tries: the usual number, times `R5FLOW_TEST_CASES`.
#[cfg(test)]
pub fn cases(usual: usize) -> usize {
    let times = std::env::var("R5FLOW_TEST_CASES").ok();
    usual * times.and_then(|n| n.parse().ok()).unwrap_or(1)
}
