//! `http`: one request that is no Google API.

use serde_json::{Value as Json, json};

use super::super::plan_item::PlanAction;
use super::again::retry;
use super::cx::{Cx, Halt, Stepped, no_answer};
use super::operation::decode;
use super::{Result, back, clauses, patience, spare};
use crate::eval::EvalError;
use crate::journal::{CallResult, CallState, Event, Intent, Origin, Reason, Verdict};
use crate::syntax::ast::{HttpCall, Step};
use crate::value::Value;
use crate::wire::error::{ApiError, ErrorClass, retry_after};
use crate::wire::{Answer, NoAnswer, Request, Verb};
use crate::world::Timestamp;

/// How often `settle` asks before only a person can tell.
const LOOKS: u32 = 8;

/// How often a request that may safely be repeated is sent.
const ATTEMPTS: u32 = 5;

pub async fn http<'p>(cx: &Cx<'p>, step: &'p Step, call: &'p HttpCall) -> Result<Stepped> {
    let request = request(cx, call).await?;
    if cx.planning() {
        return Ok(cx.planned(PlanAction::Http, Some(request)));
    }
    let deadline = cx.deadline(step).await?;
    // An answer that the flow did not accept is asked for again when the run is resumed.
    let mut made = cx
        .made_call()
        .filter(|_| !cx.failed_before())
        .map(|(_, answer)| Value::from_json(&answer));
    // What settling found is no answer of the request, so `expect` does not judge it.
    if let Some(found) = made.take_if(|_| was_settled(cx)) {
        return Ok(Stepped::Done(Verdict::Called, found));
    }
    let mut retries = None;
    loop {
        let answer = match (request.verb, made.take()) {
            (Verb::Get | Verb::Head, _) => reading(cx, &request).await?,
            (_, Some(answer)) => answer,
            (_, None) => match changing(cx, Some(step), &request, deadline).await? {
                Sent::Answered(answer) => answer,
                // What `settle` read is no answer of the request, so `expect` does not judge it.
                Sent::Settled(found) => return Ok(Stepped::Done(Verdict::Called, found)),
            },
        };
        match expected(cx, step, &answer).await {
            Ok(()) => return Ok(Stepped::Done(Verdict::Called, answer)),
            Err(halt) => retry(cx, step, &mut retries, halt).await?,
        }
    }
}

/// The request that the options describe.
pub async fn request(cx: &Cx<'_>, call: &HttpCall) -> Result<Request> {
    let url = cx.eval(&call.url, None).await?.to_string();
    let Some(verb) = Verb::parse(&call.method.text) else {
        let message = format!(
            "`{}` is no method of HTTP that a flow may use",
            call.method.text
        );
        return Err(cx.flow_error(&EvalError::new(call.method.span, message)));
    };
    let (path, in_url) = match url.split_once('?') {
        Some((path, query)) => (path.to_owned(), pairs_of(query)),
        None => (url, Vec::new()),
    };
    let options = match &call.options {
        Some(object) => cx.object(object, None).await?,
        None => Value::Null,
    };
    let mut query = in_url;
    query.extend(texts(options.get("query")));
    let mut headers = texts(options.get("headers"));
    let mut body = None;
    if let Some(json) = options.get("json").filter(|v| **v != Value::Null) {
        body = Some(json.to_json());
    }
    if let Some(text) = options.get("text").and_then(Value::as_str) {
        body = Some(Json::String(text.to_owned()));
        let given = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if !given {
            headers.push(("content-type".into(), "text/plain; charset=utf-8".into()));
        }
    }
    Ok(Request {
        method: "http".into(),
        verb,
        path,
        query,
        headers,
        body,
    })
}

fn texts(options: Option<&Value>) -> Vec<(String, String)> {
    let Some(Value::Map(fields)) = options else {
        return Vec::new();
    };
    fields
        .iter()
        .filter(|(_, v)| !matches!(v, Value::Unset | Value::Null))
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect()
}

fn pairs_of(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once('=') {
            Some((k, v)) => (decoded(k), decoded(v)),
            None => (decoded(part), String::new()),
        })
        .collect()
}

/// A part of a query as it is meant; sending encodes it again.
fn decoded(text: &str) -> String {
    decode(&text.replace('+', " "))
}

/// `{ status, headers, text, json }`
fn value_of(answer: &Answer) -> Value {
    let headers: serde_json::Map<String, Json> = answer
        .headers
        .iter()
        .map(|(k, v)| (k.clone(), Json::String(v.clone())))
        .collect();
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let parsed: Json = serde_json::from_str(&text).unwrap_or(Json::Null);
    Value::from_json(&json!({
        "status": answer.status,
        "headers": headers,
        "text": text,
        "json": parsed,
    }))
}

/// One look, for `wait`: no answer at all is an answer with status 0.
pub async fn look(cx: &Cx<'_>, request: &Request) -> Value {
    let answer = {
        let _permit = cx.permit().await;
        cx.send(request, cx.patience()).await
    };
    match answer {
        Ok(answer) => value_of(&answer),
        Err(lost) => {
            let why = lost.into_why();
            Value::from_json(&json!({ "status": 0, "headers": {}, "text": why, "json": null }))
        }
    }
}

async fn reading(cx: &Cx<'_>, request: &Request) -> Result<Value> {
    for attempt in 0..ATTEMPTS {
        let answer = {
            let _permit = cx.permit().await;
            cx.send(request, cx.patience()).await
        };
        let error = match answer {
            Ok(answer) if !matches!(answer.status, 429 | 502..=504) || attempt + 1 == ATTEMPTS => {
                return Ok(value_of(&answer));
            }
            Ok(answer) => stumbled(&answer),
            Err(lost) if attempt + 1 == ATTEMPTS => {
                let why = lost.into_why();
                return Err(cx.failure(Reason::Failed, format!("{}: {why}", request.path)));
            }
            Err(lost) => no_answer(lost),
        };
        cx.sleep(patience::pause(cx, attempt, &error)).await;
        if cx.stopping() {
            return Err(Halt::Stopped);
        }
    }
    Err(cx.failure(Reason::Failed, format!("{}: no answer", request.path)))
}

/// What came of a request that changes something.
enum Sent {
    Answered(Value),
    /// Its answer was lost; this is what `settle` found.
    Settled(Value),
}

/// Whether what `settle` read can be believed: a server that stumbles or refuses says nothing.
fn tells(found: &Value) -> bool {
    !matches!(
        found.get("status"),
        Some(Value::Int(0 | 401 | 403 | 408 | 429 | 500..=599))
    )
}

/// A request that changes something: recorded before it leaves, and settled when its answer is lost.
async fn changing<'p>(
    cx: &Cx<'p>,
    step: Option<&'p Step>,
    request: &Request,
    deadline: Timestamp,
) -> Result<Sent> {
    let open = cx.open_call();
    let earlier = open.as_ref().is_some_and(|call| cx.is_earlier(call));
    if open.is_none() && cx.overtaken().is_some() {
        return Err(one_too_many(cx, request));
    }
    let (mut intent, lost) = match open {
        Some(CallState::Open(intent)) => (intent, true),
        _ => (record_intent(cx, step, request).await?, false),
    };
    let mut settle_first = lost;
    let mut left = lost;
    let mut edited = earlier && intent.request != *request;
    let mut attempt = 0;
    loop {
        if settle_first {
            if let Some(value) = settled(cx, step, &intent, deadline).await? {
                called(
                    cx,
                    &intent,
                    CallResult::Ok {
                        origin: Origin::Presumed,
                        incarnation: None,
                        answer: value.to_json(),
                    },
                )
                .await;
                if edited {
                    return Err(one_too_many(cx, request));
                }
                return Ok(Sent::Settled(value));
            }
            settle_first = false;
            if edited {
                // It had no effect, and is not wanted any more.
                voided(cx, &intent).await;
                intent = record_intent(cx, step, request).await?;
                (edited, left) = (false, false);
            }
        }
        if cx.stopping() {
            if !left {
                voided(cx, &intent).await;
            }
            return Err(Halt::Stopped);
        }
        let repeated = left;
        let answer = {
            let _permit = cx.permit().await;
            if cx.stopping() {
                continue;
            }
            cx.send(&intent.request, cx.patience()).await
        };
        left |= answer
            .as_ref()
            .map_or_else(NoAnswer::may_have_left, |_| true);
        let error = match &answer {
            Ok(answer) => stumbled(answer),
            Err(lost) => no_answer(lost.clone()),
        };
        match answer {
            // It was turned away at the door.
            Ok(answer) if answer.status == 429 && attempt + 1 < ATTEMPTS => {}
            // The first time it was removed, and nobody heard of it.
            Ok(answer)
                if repeated
                    && intent.request.verb == Verb::Delete
                    && matches!(answer.status, 404 | 410) =>
            {
                let value = value_of(&answer);
                let result = CallResult::Ok {
                    origin: Origin::Presumed,
                    incarnation: None,
                    answer: value.to_json(),
                };
                called(cx, &intent, result).await;
                return Ok(Sent::Settled(value));
            }
            // A server that stumbled may have done it before.
            Ok(answer) if !matches!(answer.status, 408 | 500..=599) => {
                let value = value_of(&answer);
                let result = match answer.status {
                    200..=399 => CallResult::Ok {
                        origin: Origin::Created,
                        incarnation: None,
                        answer: value.to_json(),
                    },
                    status => CallResult::Failed {
                        error: refused(status),
                    },
                };
                called(cx, &intent, result).await;
                return Ok(Sent::Answered(value));
            }
            Ok(_) | Err(NoAnswer::Unknown(_)) if cx.now() >= deadline => {
                let what = format!(
                    "{}: its time ran out without an answer",
                    intent.request.path
                );
                return Err(cx.failure(Reason::TimedOut, what));
            }
            Ok(_) | Err(NoAnswer::Unknown(_)) => settle_first = true,
            Err(NoAnswer::NotSent(why) | NoAnswer::NoCredentials(why))
                if attempt + 1 >= ATTEMPTS =>
            {
                if !left {
                    voided(cx, &intent).await;
                }
                return Err(cx.failure(Reason::Failed, format!("{}: {why}", intent.request.path)));
            }
            Err(NoAnswer::NotSent(_) | NoAnswer::NoCredentials(_)) => {}
        }
        cx.sleep(patience::pause(cx, attempt, &error)).await;
        attempt += 1;
    }
}

/// Whether an earlier process settled the newest call, rather than hearing its answer.
fn was_settled(cx: &Cx<'_>) -> bool {
    let past = cx.shared.past.steps.get(&cx.address);
    let newest = past.and_then(|step| step.calls.last());
    matches!(
        newest,
        Some(CallState::Closed {
            result: CallResult::Ok {
                origin: Origin::Presumed,
                ..
            },
            ..
        })
    )
}

/// The request that takes an `http` step back: what it was to remove may be gone already.
pub async fn take_back(cx: &Cx<'_>, request: &Request, deadline: Timestamp) -> Result<Stepped> {
    let done = Stepped::Done(Verdict::Undone, Value::Null);
    if cx.made_call().is_some() {
        return Ok(done);
    }
    match changing(cx, None, request, deadline).await? {
        Sent::Settled(_) => Ok(done),
        Sent::Answered(answer) => match answer.get("status") {
            Some(Value::Int(200..=399 | 404 | 410)) => Ok(done),
            status => {
                let status = status.map(Value::to_string).unwrap_or_default();
                let what = format!(
                    "{} {}: answered {status}",
                    request.verb.as_str(),
                    request.path
                );
                Err(cx.failure(Reason::Failed, what))
            }
        },
    }
}

/// What an edit found open took effect: whether the edited request is wanted besides, nobody can tell.
fn one_too_many(cx: &Cx<'_>, request: &Request) -> Halt {
    cx.failure_with_help(
        Reason::Decision,
        format!(
            "this request took effect as it was before the edit; whether {} {} is wanted besides, only a person knows",
            request.verb.as_str(),
            request.path
        ),
        format!(
            "`r5flow resume --redo {0}` sends it, `--keep {0}` lets the first one stand",
            cx.address
        ),
    )
}

async fn record_intent(cx: &Cx<'_>, step: Option<&Step>, request: &Request) -> Result<Intent> {
    cx.refuse_markers(request)?;
    spare::http_destruction(cx, request)?;
    let undo = match step {
        Some(step) => back::of_http(cx, step).await?,
        None => None,
    };
    let call = cx.next_call();
    let intent = Intent {
        call,
        generation: cx.generation(call),
        request: request.clone(),
        request_id: None,
        before: Json::Null,
        server_time: Some(cx.now()),
    };
    let event = Event::Intent {
        address: cx.address.clone(),
        intent: Box::new(intent.clone()),
    };
    let told = undo.map(|undo| Event::Undo {
        address: cx.address.clone(),
        call,
        undo: Box::new(undo),
    });
    cx.append(told.into_iter().chain([event]).collect()).await;
    Ok(intent)
}

/// The request never left.
async fn voided(cx: &Cx<'_>, intent: &Intent) {
    let event = Event::Voided {
        address: cx.address.clone(),
        call: intent.call,
    };
    cx.append(vec![event]).await;
}

async fn called(cx: &Cx<'_>, intent: &Intent, result: CallResult) {
    let event = Event::Called {
        address: cx.address.clone(),
        call: intent.call,
        result,
    };
    cx.append(vec![event]).await;
}

/// A server's wish to be asked later.
fn stumbled(answer: &Answer) -> ApiError {
    ApiError {
        class: match answer.status {
            429 => ErrorClass::RateLimit,
            _ => ErrorClass::Transient,
        },
        retry_after: retry_after(answer),
        ..refused(answer.status)
    }
}

fn refused(status: u16) -> ApiError {
    ApiError {
        class: ErrorClass::Invalid,
        status,
        reason: String::new(),
        message: format!("answered {status}"),
        retry_after: None,
        details: Json::Null,
    }
}

/// Whether a request whose answer was lost took effect: `None` means it did not, and may be repeated.
async fn settled<'p>(
    cx: &Cx<'p>,
    step: Option<&'p Step>,
    intent: &Intent,
    deadline: Timestamp,
) -> Result<Option<Value>> {
    match step.and_then(clauses::settle) {
        Some((http, when)) => {
            let request = request(cx, http).await?;
            for attempt in 0.. {
                let found = look(cx, &request).await;
                if cx.condition(when, Some(&found)).await? == Some(true) {
                    return Ok(Some(found));
                }
                if tells(&found) {
                    return Ok(None);
                }
                let pause = patience::pause(cx, attempt, &refused(0));
                if cx.now().plus(pause) >= deadline || attempt >= LOOKS {
                    break;
                }
                cx.sleep(pause).await;
                if cx.stopping() {
                    return Err(Halt::Stopped);
                }
            }
            Err(cx.failure_with_help(
                Reason::Decision,
                format!(
                    "nobody can tell whether {} {} took effect: what `settle` asks gives no clear answer",
                    intent.request.verb.as_str(),
                    intent.request.path
                ),
                "`r5flow resume` asks again",
            ))
        }
        // Repeating these leaves the same state.
        None if matches!(intent.request.verb, Verb::Put | Verb::Delete) => Ok(None),
        None if step.is_some_and(clauses::repeats_safely) => Ok(None),
        None => Err(cx.failure_with_help(
            Reason::Decision,
            format!(
                "nobody can tell whether {} {} took effect: its answer was lost",
                intent.request.verb.as_str(),
                intent.request.path
            ),
            "find out by hand; the flow can say how: `settle http GET … when it.status == 200`, or `repeat safe`",
        )),
    }
}

async fn expected<'p>(cx: &Cx<'p>, step: &'p Step, answer: &Value) -> Result<()> {
    let mut said = false;
    for guard in clauses::expects(step) {
        said = true;
        if cx.condition(&guard.condition, Some(answer)).await? != Some(true) {
            let words = cx.words(guard.message.as_ref(), Some(answer)).await?;
            let status = answer
                .get("status")
                .map(Value::to_string)
                .unwrap_or_default();
            let message = words.unwrap_or_else(|| {
                format!("answered {status}, which is not what the step expects")
            });
            return Err(cx
                .flow_error(&EvalError::new(guard.condition.span, message))
                .into_failed());
        }
    }
    match answer.get("status") {
        Some(Value::Int(200..=299)) => Ok(()),
        _ if said => Ok(()),
        status => {
            let status = status.map(Value::to_string).unwrap_or_default();
            Err(cx.failure(Reason::Failed, format!("answered {status}")))
        }
    }
}
