//! Whether a step tries once more after a refusal, and when.

use std::sync::Arc;

use super::busy;
use super::cx::{Attempts, Cx, Halt};
use super::target::Target;
use super::{Result, clauses, patience};
use crate::catalog::Method;
use crate::journal::Reason;
use crate::syntax::ast::Step;
use crate::value::Value;
use crate::wire::Request;
use crate::wire::error::{ApiError, ErrorClass};
use crate::world::Timestamp;

/// What was refused, and until when it may be tried.
pub struct Tried<'a> {
    pub method: &'a Method,
    pub target: &'a Target,
    pub deadline: Timestamp,
}

/// After a refusal for want of quota the run's own pace holds a step back; this is besides.
const LIMITED: u32 = 2;

/// Whether a refusal is worth another try: waits as long as that takes, or is the failure.
pub async fn forgive(
    cx: &Cx<'_>,
    error: &ApiError,
    tried: Tried<'_>,
    refusals: &mut Attempts,
) -> Result<()> {
    let Tried {
        method,
        target,
        deadline,
    } = tried;
    if error.class == ErrorClass::OperationInProgress
        && busy::wait_out(cx, target, method, deadline).await?
    {
        *refusals = Attempts::default();
        return Ok(());
    }
    let request_like = Request {
        method: Arc::clone(&method.id),
        verb: method.verb,
        path: String::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
    };
    let (count, since) = refusals.failed(cx.now());
    let again = match patience::anew(error.class) {
        0 => {
            let limit = patience::limit(cx, error).await?;
            let until = since.plus(limit).min(deadline);
            cx.now() < until
        }
        times => count < times,
    };
    if !again {
        return Err(cx.api_failure(error.clone(), &request_like));
    }
    let attempt = match error.class {
        ErrorClass::RateLimit => count.min(LIMITED),
        _ => count,
    };
    if patience::anew(error.class) == 0 {
        cx.sleep_within(patience::pause(cx, attempt, error), deadline)
            .await;
    }
    if cx.stopping() {
        return Err(Halt::Stopped);
    }
    Ok(())
}

/// `retry N every D`: further attempts after a failed one.
pub async fn retry(cx: &Cx<'_>, step: &Step, left: &mut Option<i64>, halt: Halt) -> Result<()> {
    let Halt::Failed(failure) = &halt else {
        return Err(halt);
    };
    let Some((times, every)) = clauses::retry(step).filter(|_| failure.reason == Reason::Failed)
    else {
        return Err(halt);
    };
    let remaining = match left {
        Some(n) => *n,
        None => match cx.eval(times, None).await? {
            Value::Int(n) => n,
            _ => 0,
        },
    };
    if remaining <= 0 {
        return Err(halt);
    }
    *left = Some(remaining - 1);
    let pause = cx
        .duration(every, crate::world::Millis::secs(10), None)
        .await?;
    cx.sleep(pause).await;
    if cx.stopping() {
        return Err(Halt::Stopped);
    }
    Ok(())
}
