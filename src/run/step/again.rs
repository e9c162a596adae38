//! Whether a step tries once more after a refusal, and when.

use std::sync::Arc;

use super::cx::{Attempts, Cx, Halt};
use super::{Result, clauses, patience};
use crate::catalog::Method;
use crate::journal::Reason;
use crate::syntax::ast::Step;
use crate::value::Value;
use crate::wire::Request;
use crate::wire::error::ApiError;
use crate::world::Timestamp;

/// Whether a refusal is worth another try: waits as long as that takes, or is the failure.
pub async fn forgive(
    cx: &Cx<'_>,
    error: &ApiError,
    method: &Method,
    refusals: &mut Attempts,
    deadline: Timestamp,
) -> Result<()> {
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
    if patience::anew(error.class) == 0 {
        cx.sleep_within(patience::pause(cx, count, error), deadline)
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
