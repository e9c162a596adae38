//! Gates: `approve`, `checkpoint`, `assert`.

use serde_json::json;

use super::super::effect::{Effect, GateAnswer, GateQuestion, Reply};
use super::super::plan_item::PlanAction;
use super::cx::{Cx, Halt, Stepped};
use super::{Result, clauses};
use crate::eval::EvalError;
use crate::journal::{Event, Reason, Verdict};
use crate::syntax::ast::{Assert, Checkpoint, Decision, Expr, OnOutcome, Step};
use crate::value::Value;
use crate::world::Millis;

pub async fn approve<'p>(cx: &Cx<'p>, step: &'p Step, text: &'p Expr) -> Result<Stepped> {
    let text = cx.eval(text, None).await?.to_string();
    let expires = match clauses::expires(step) {
        Some(span) => Some(cx.duration(Some(span), Millis(0), None).await?),
        None => None,
    };
    if cx.planning() {
        cx.plan(
            PlanAction::Approve,
            None,
            Vec::new(),
            vec![text.trim().to_owned()],
        );
        return Ok(cx.later());
    }
    let answer = match ask(cx, text, expires).await {
        Err(Halt::Failed(failure))
            if failure.reason == Reason::Denied
                && clauses::decision(step, OnOutcome::Deny) == Some(Decision::Continue) =>
        {
            GateAnswer {
                approved: false,
                by: "nobody".into(),
                host: None,
                note: Some(failure.message),
                at: cx.now(),
            }
        }
        asked => asked?,
    };
    let value = Value::from_json(&json!({
        "approved": answer.approved,
        "by": answer.by,
        "at": answer.at.rfc3339(),
        "note": answer.note,
    }));
    if answer.approved {
        return Ok(Stepped::Done(Verdict::Approved, value));
    }
    if clauses::decision(step, OnOutcome::Deny) == Some(Decision::Continue) {
        return Ok(Stepped::Done(Verdict::Denied, value));
    }
    Err(denied(cx, &answer))
}

fn denied(cx: &Cx<'_>, answer: &GateAnswer) -> Halt {
    let note = answer
        .note
        .as_deref()
        .map(|n| format!(": {n}"))
        .unwrap_or_default();
    cx.failure_with_help(
        Reason::Denied,
        format!("{} denied it{note}", answer.by),
        "`r5flow resume` asks again",
    )
}

/// Asks once; an answer that the journal has for this very text counts.
async fn ask(cx: &Cx<'_>, text: String, expires: Option<Millis>) -> Result<GateAnswer> {
    let (past, failed_before, asked_earlier) = {
        let step = cx.past();
        let earlier = step.asked_earlier.clone();
        (step.gate.clone(), step.finished.is_some(), earlier)
    };
    // A question that is asked again is another one: the answer to the first must not count.
    let seed = past.as_ref().map(|g| g.hash.clone()).or(asked_earlier);
    let seed = seed.unwrap_or_default();
    let fresh = blake3::hash(format!("{seed}\n{text}").as_bytes()).to_hex()[..16].to_owned();
    let open = past.filter(|g| g.text == text && !failed_before);
    let hash = open.as_ref().map_or(fresh, |g| g.hash.clone());
    let expires_at = match open {
        Some(gate) => {
            if let Some((approved, by, note, at)) = gate.answer {
                return Ok(GateAnswer {
                    approved,
                    by,
                    host: gate.host,
                    note,
                    at,
                });
            }
            gate.expires
        }
        None => {
            let expires = expires.map(|span| cx.now().plus(span));
            let event = Event::Asked {
                address: cx.address.clone(),
                text: text.clone(),
                hash: hash.clone(),
                expires,
            };
            cx.append(vec![event]).await;
            expires
        }
    };
    let question = GateQuestion {
        address: cx.address.clone(),
        text,
        hash,
        expires: expires_at,
    };
    let answered = cx.effect(Effect::Inbox(Box::new(question))).await;
    let late = |answer: &GateAnswer| expires_at.is_some_and(|end| answer.at > end);
    match answered {
        Reply::Inbox(Some(answer)) if late(&answer) => Err(expired(cx)),
        Reply::Inbox(Some(answer)) => {
            let event = Event::Answered {
                address: cx.address.clone(),
                approved: answer.approved,
                by: answer.by.clone(),
                host: answer.host.clone(),
                note: answer.note.clone(),
                at: answer.at,
            };
            cx.append(vec![event]).await;
            Ok(answer)
        }
        Reply::Inbox(None) if expires_at.is_some_and(|at| at <= cx.now()) => Err(expired(cx)),
        Reply::Inbox(None) => Err(Halt::Paused("waits for an approval".into())),
        _ => Err(Halt::Stopped),
    }
}

fn expired(cx: &Cx<'_>) -> Halt {
    cx.failure_with_help(
        Reason::Denied,
        "nobody answered before the gate expired",
        "`r5flow resume` asks again",
    )
}

pub async fn checkpoint<'p>(cx: &Cx<'p>, checkpoint: &'p Checkpoint) -> Result<Stepped> {
    for guard in &checkpoint.requires {
        if cx.condition(&guard.condition, None).await? == Some(false) {
            let words = cx.words(guard.message.as_ref(), None).await?;
            let message = words.unwrap_or_else(|| {
                format!("the checkpoint `{}` is not reached", checkpoint.name.text)
            });
            return Err(cx
                .flow_error(&EvalError::new(guard.condition.span, message))
                .into_failed());
        }
    }
    if let Some(text) = &checkpoint.approve {
        let text = cx.eval(text, None).await?.to_string();
        if cx.planning() {
            cx.plan(
                PlanAction::Approve,
                None,
                Vec::new(),
                vec![text.trim().to_owned()],
            );
        } else {
            let answer = ask(cx, text, None).await?;
            if !answer.approved {
                return Err(denied(cx, &answer));
            }
        }
    }
    Ok(Stepped::Done(Verdict::Passed, Value::Null))
}

pub async fn assert<'p>(cx: &Cx<'p>, assert: &'p Assert) -> Result<Stepped> {
    if cx.condition(&assert.condition, None).await? == Some(false) {
        let words = cx.words(assert.message.as_ref(), None).await?;
        let message = words.unwrap_or_else(|| "an assertion does not hold".into());
        return Err(cx
            .flow_error(&EvalError::new(assert.condition.span, message))
            .into_failed());
    }
    Ok(Stepped::Done(Verdict::Passed, Value::Null))
}
