//! For how long an error is taken for passing, and how long to pause between attempts: the table of
//! classes, unless the step says otherwise.

use super::super::settings::Mode;
use super::cx::{Cx, UNREACHABLE};
use super::{Result, clauses};
use crate::plan::Work;
use crate::wire::error::{ApiError, ErrorClass};
use crate::wire::policy::{Next, PROPAGATION};
use crate::world::Millis;

/// A rollback waits so long for what it created to be let go: whoever uses it is no part of the run.
const IN_USE: Millis = Millis::mins(2);

/// Whether the same request may succeed later without anybody doing anything.
pub async fn passes(cx: &Cx<'_>, error: &ApiError) -> Result<bool> {
    let foreign = matches!(error.class, ErrorClass::Redirect | ErrorClass::Unreadable);
    Ok(!foreign && limit(cx, error).await? > Millis(0))
}

/// For how long the error is taken for passing. Zero: not at all.
pub async fn limit(cx: &Cx<'_>, error: &ApiError) -> Result<Millis> {
    let policy = error.class.policy();
    let settings = &cx.shared.settings;
    let usual = match (error.status, &*error.reason) {
        _ if policy.limit == Millis(0) => {
            match cx.shared.grants.may_be_on_its_way(error.class, cx.now()) {
                true => PROPAGATION,
                false => Millis(0),
            }
        }
        _ if settings.mode == Mode::Rollback && error.class == ErrorClass::InUse => IN_USE,
        (0, UNREACHABLE) => settings.unreachable_timeout,
        (0, _) => settings.silence_timeout,
        _ => policy.limit,
    };
    let said = match cx.work() {
        Work::Step(step) => clauses::patience(step, error.class.word()),
        _ => None,
    };
    match said {
        // Boxed: an expression may read afresh, and a read has its patience too.
        Some(said) => Box::pin(cx.duration(Some(said), usual, None)).await,
        None => Ok(usual),
    }
}

/// How long to wait after attempt number `attempt`, counted from 0: by the table, spread by up to a
/// quarter so that many steps do not return at once; the server's own word counts when it is longer.
/// The spread follows from the run's nonce, so a run can be repeated exactly.
pub fn pause(cx: &Cx<'_>, attempt: u32, error: &ApiError) -> Millis {
    let base = error.class.policy().pauses.after(attempt);
    let spread = spread(cx, attempt, Millis(base.0 / 4));
    let asked = error.retry_after.unwrap_or(Millis(0));
    Millis((base.0 + spread.0).max(asked.0))
}

/// A part of `most`, another one for each step and attempt.
pub fn spread(cx: &Cx<'_>, attempt: u32, most: Millis) -> Millis {
    let seed = format!("{}/{}#{attempt}", cx.shared.nonce, cx.address);
    Millis(i64::from(blake3::hash(seed.as_bytes()).as_bytes()[0]) * most.0 / 256)
}

/// How often a request is computed anew at once; zero for errors that are waited for.
pub fn anew(class: ErrorClass) -> u32 {
    match class.policy().next {
        Next::Anew(times) => times,
        Next::Again | Next::Settle | Next::Stop | Next::Never => 0,
    }
}
