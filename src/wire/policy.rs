//! What follows from each class of error: one table, read by every step, and by the docs.

use super::error::ErrorClass;
use crate::world::Millis;

/// What a caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same once more, after a pause, until the limit is over.
    Again,
    /// As `Again`; a change may have taken effect, so it is settled first.
    Settle,
    /// Read the target again and compute the request anew, at once, this many times.
    Anew(u32),
    /// Give up, unless the step says `retry CLASS for …`.
    Stop,
    /// Give up; no repetition helps.
    Never,
}

/// How the run ends when the error stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Exit code 1.
    Failed,
    /// Exit code 4.
    Permission,
}

impl Ends {
    pub fn exit_code(self) -> u8 {
        match self {
            Ends::Failed => 1,
            Ends::Permission => 4,
        }
    }
}

/// Pauses between attempts: the first, doubled each time, up to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    pub first: Millis,
    pub longest: Millis,
}

impl Pauses {
    /// The pause after attempt number `attempt`, counted from 0, without spread.
    pub fn after(self, attempt: u32) -> Millis {
        let doubled = self.first.0 << attempt.min(20);
        Millis(doubled.min(self.longest.0))
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub class: ErrorClass,
    /// What has happened, for readers.
    pub means: &'static str,
    pub next: Next,
    pub pauses: Pauses,
    /// For how long the error is taken for passing; a step's `retry CLASS for …` says otherwise.
    pub limit: Millis,
    pub ends: Ends,
    /// What the reader can do now. `{name|words}` stands for what the API named, or else the words.
    pub advice: &'static str,
}

const fn row(class: ErrorClass, means: &'static str, next: Next, advice: &'static str) -> Policy {
    let limit = match next {
        Next::Again | Next::Settle => Millis::mins(15),
        Next::Anew(_) | Next::Stop | Next::Never => Millis(0),
    };
    Policy {
        class,
        means,
        next,
        pauses: pauses(1, 32),
        limit,
        ends: Ends::Failed,
        advice,
    }
}

const fn pauses(first_seconds: i64, longest_seconds: i64) -> Pauses {
    Pauses {
        first: Millis::secs(first_seconds),
        longest: Millis::secs(longest_seconds),
    }
}

use ErrorClass::*;

/// One row for each class, in their order.
#[rustfmt::skip]
pub const POLICIES: [Policy; 15] = [
    row(Transient, "the server stumbled (408, 500, 502–504, `backendError`)", Next::Settle,
        "`r5flow resume` tries again"),
    // Per-minute quotas are filled again when the minute turns (docs: compute/docs/api-rate-limits).
    Policy { limit: Millis::mins(60), pauses: pauses(1, 60), ..row(RateLimit, "too many requests (429, `rateLimitExceeded`)", Next::Again,
        "others use up {quota|the quota of requests}: try again later with `r5flow resume`") },
    Policy { pauses: pauses(30, 300), ..row(Quota, "the project may not have more", Next::Stop,
        "ask for more of {quota|this quota}, or choose another place, then `r5flow resume`") },
    Policy { pauses: pauses(30, 300), ..row(StockOut, "the zone has no such machines left", Next::Stop,
        "there is none left in {zone|the zone}: try again later with `r5flow resume`, or choose another zone") },
    row(Conflict, "a fingerprint, version or condition no longer holds (412)", Next::Anew(10),
        "somebody else keeps changing it: see who, then `r5flow resume`"),
    row(InUse, "another resource refers to it", Next::Again,
        "remove {user|what uses it}, then `r5flow resume`"),
    row(OperationInProgress, "another operation works on the target, or it is not ready yet", Next::Again,
        "`r5flow resume` waits again"),
    row(AlreadyExists, "the name is taken", Next::Never,
        "choose another name, or write `ensure`, which adopts what is there"),
    row(NotFound, "404 and 410 of the API itself", Next::Never,
        "create it first, or correct the name or place, then `r5flow resume`"),
    Policy { ends: Ends::Permission, pauses: pauses(5, 30), ..row(Permission, "the caller may not (403)", Next::Stop,
        "give the caller {permission|the permission that the message names}{on|}, then `r5flow resume`") },
    Policy { ends: Ends::Permission, pauses: pauses(5, 30), ..row(ApiDisabled, "the API is not enabled in the project", Next::Stop,
        "enable it: `gcloud services enable {api|NAME}{project|}`, then `r5flow resume`") },
    Policy { ends: Ends::Permission, ..row(Credentials, "401, or a token without the scope", Next::Never,
        "log in again (`gcloud auth application-default login`), then `r5flow resume`") },
    row(Invalid, "the request is wrong, and stays so", Next::Never,
        "correct the flow and run it again; what is done stays done"),
    row(Redirect, "an API does not redirect: some other server answered", Next::Settle,
        "this is no answer of a Google API: check the endpoint and what stands in between"),
    row(Unreadable, "no answer of an API: HTML, a cut body", Next::Settle,
        "this is no answer of a Google API: check the endpoint and what stands in between"),
];

/// How long a permission that this run gave, or an API that it enabled, may take to be in force
/// (docs: iam/docs/access-change-propagation, "typically 2 minutes, up to 7 or more").
pub const PROPAGATION: Millis = Millis::mins(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_stand_in_the_order_of_the_classes() {
        for (at, policy) in POLICIES.iter().enumerate() {
            assert_eq!(policy.class as usize, at, "{:?}", policy.class);
            assert_eq!(ErrorClass::ALL[at], policy.class);
            assert_eq!(policy.class.policy().class, policy.class);
            let word = serde_json::to_value(policy.class).expect("a word");
            assert_eq!(word, policy.class.word());
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = pauses(1, 32);
        let after = |attempt| pauses.after(attempt).0;
        assert_eq!(
            [0, 1, 4, 5, 6, 4000].map(after),
            [1000, 2000, 16_000, 32_000, 32_000, 32_000]
        );
    }
}
