//! `call`: one method, once.

use std::sync::Arc;

use serde_json::Value as Json;

use super::super::plan_item::PlanAction;
use super::act::{Change, Changed, perform, require, resume_call};
use super::cx::{Attempts, Cx, Stepped};
use super::observe::{Look, before, observe_for, read_back};
use super::settle::{self, Role, role};
use super::target::{self, Target};
use super::{Result, again, back, clauses, marks, spare, wait};
use crate::catalog::{Method, coerce, request};
use crate::journal::{Reason, Verdict};
use crate::syntax::ast::{ApiCall, Step};
use crate::value::Value;
use crate::wire::Request;
use crate::wire::error::{ApiError, ErrorClass};
use crate::world::Timestamp;

/// `call`: one method, once for the run; `unless` says when it is already so.
pub async fn call<'p>(cx: &Cx<'p>, step: &'p Step, call: &'p ApiCall) -> Result<Stepped> {
    cx.deadline(step).await?;
    let target = target::resolve(cx, call, None).await?;
    let Some(method) = target.method.clone() else {
        return Err(cx.failure(Reason::Flow, "`call` needs a method"));
    };
    let _lock = cx.lock(target.domains(cx, call).await?).await;
    let deadline = cx.deadline(step).await?;
    if role(&method, target.collection.as_deref()) == Role::Delete
        && let Some(Ok(get)) = target.get().filter(|_| target.known())
    {
        spare::removal(cx, &method, Some(&get))?;
    }
    if let Some((sent, answer)) = cx.made_call() {
        return finish(cx, step, &target, &method, answer, Some(&sent)).await;
    }
    if let Some(open) = cx.open_call() {
        let sent = open.intent().request.clone();
        let earlier = cx.is_earlier(&open);
        let get = match earlier {
            true => settle::reads_target(&cx.shared.catalog, &sent),
            false => read_back(&target, &method, Some(&sent)),
        };
        match resume_call(cx, Some(step), open, get, deadline).await? {
            Changed::Done { .. } if earlier => overtaken(cx, &sent, &method, &target)?,
            Changed::Refused(_) if earlier => {}
            Changed::Done { answer, .. } => {
                return finish(cx, step, &target, &method, answer, Some(&sent)).await;
            }
            Changed::Refused(error) if is_gone(&error, &method, &target) => {
                return Ok(Stepped::Done(Verdict::Adopted, Value::Null));
            }
            Changed::Refused(error) => {
                let tried = again::Tried {
                    method: &method,
                    target: &target,
                    deadline,
                };
                again::forgive(cx, &error, tried, &mut Attempts::default()).await?
            }
            Changed::Stale => {}
        }
    } else if let Some(sent) = cx.overtaken() {
        overtaken(cx, &sent, &method, &target)?;
    }
    attempt(cx, step, call, target, &method, deadline).await
}

/// What an edit found open took effect. A write may follow it; of anything else only a person knows
/// whether the edited call is wanted besides.
fn overtaken(cx: &Cx<'_>, sent: &Request, method: &Method, target: &Target) -> Result<()> {
    let known_first = cx.past().unsettled.is_none();
    if known_first || converges(method, target.collection.as_deref()) {
        return Ok(());
    }
    Err(cx.failure_with_help(
        Reason::Decision,
        format!(
            "`{}` took effect as it was before the edit; whether the edited call is wanted besides, only a person knows",
            sent.line()
        ),
        format!(
            "`r5flow resume --redo {0}` makes the edited call, `--keep {0}` lets the first one stand",
            cx.address
        ),
    ))
}

/// Whether making the call once more, with other values, leaves just those values.
pub fn converges(method: &Method, collection: Option<&crate::catalog::Collection>) -> bool {
    use crate::wire::Verb;
    role(method, collection) == Role::Write
        || method.settle == crate::catalog::SettleClass::ConvergingWrite
        || matches!(method.verb, Verb::Put | Verb::Patch)
}

async fn attempt<'p>(
    cx: &Cx<'p>,
    step: &'p Step,
    call: &'p ApiCall,
    target: Target,
    method: &Arc<Method>,
    deadline: Timestamp,
) -> Result<Stepped> {
    let mut refusals = Attempts::default();
    let mut retries = None;
    loop {
        let look = observe_for(cx, step, call, &target).await?;
        let it = look.it();
        if let Some(it) = it.as_ref().filter(|_| cx.planning()) {
            cx.saw(it);
        }
        let again = match call.args.iter().any(|a| target::uses_it(&a.value)) {
            true => Some(target::resolve(cx, call, it.as_ref()).await?),
            false => None,
        };
        let target = again.as_ref().unwrap_or(&target);
        // A delete of what is not there is done, and nothing is asked of it.
        let removes = role(method, target.collection.as_deref()) == Role::Delete;
        let gone = removes && matches!(look, Look::Absent);
        let done = match clauses::unless(step) {
            _ if gone => true,
            Some(condition) if !matches!(look, Look::Later) => {
                cx.condition(condition, it.as_ref()).await? == Some(true)
            }
            _ => false,
        };
        if done {
            if cx.planning() {
                let why = gone.then(|| "it is gone already".to_owned());
                cx.plan(
                    PlanAction::Adopt,
                    None,
                    Vec::new(),
                    why.into_iter().collect(),
                );
            }
            return Ok(Stepped::Done(Verdict::Adopted, it.unwrap_or(Value::Null)));
        }
        let body = body(cx, call, method, it.as_ref()).await?;
        let body = marks::on_insert(cx, method, body);
        let request = request::build(method, &target.strict_args_for(method), body)
            .map_err(|p| target::problems(cx, call, &p))?;
        if cx.planning() {
            let action = if removes {
                PlanAction::Delete
            } else {
                PlanAction::Call
            };
            if let Some(Ok(get)) = target.get() {
                cx.would_change(&get);
            }
            return Ok(cx.planned(action, Some(request)));
        }
        if let Some(get) = read_back(target, method, Some(&request)) {
            spare::protect(cx, step, &get)?;
        }
        require(cx, step, it.as_ref()).await?;
        let found = it.as_ref().map(Value::to_json);
        let change = Change {
            method,
            before: before(cx, target, found.as_ref()).await?,
            get: read_back(target, method, Some(&request)),
            guarded: cx.now(),
            deadline,
            undo: back::of_call(cx, step, target, method, &request).await?,
            request,
        };
        let request = change.request.clone();
        match perform(cx, Some(step), change).await? {
            Changed::Done { answer, .. } => {
                return finish(cx, step, target, method, answer, Some(&request)).await;
            }
            Changed::Stale => {}
            Changed::Refused(error) if is_gone(&error, method, target) => {
                return Ok(Stepped::Done(Verdict::Adopted, Value::Null));
            }
            Changed::Refused(error) => {
                let tried = again::Tried {
                    method,
                    target,
                    deadline,
                };
                let forgiven = again::forgive(cx, &error, tried, &mut refusals).await;
                if let Err(halt) = forgiven {
                    again::retry(cx, step, &mut retries, halt).await?;
                }
            }
        }
    }
}

/// Whether a delete found nothing to delete, which is what it wanted.
fn is_gone(error: &ApiError, method: &Method, target: &Target) -> bool {
    error.class == ErrorClass::NotFound
        && role(method, target.collection.as_deref()) == Role::Delete
}

pub async fn body(
    cx: &Cx<'_>,
    call: &ApiCall,
    method: &Method,
    it: Option<&Value>,
) -> Result<Option<Json>> {
    let Some(object) = &call.body else {
        return Ok(None);
    };
    let value = cx.object(object, it).await?;
    coerce::body_for(&cx.shared.catalog, method, &value)
        .map(Some)
        .map_err(|p| target::problems(cx, call, &p))
}

/// After the call: the resource as it is now, and the predicate that the step waits for.
async fn finish<'p>(
    cx: &Cx<'p>,
    step: &'p Step,
    target: &Target,
    method: &Method,
    answer: Json,
    sent: Option<&Request>,
) -> Result<Stepped> {
    let which = role(method, target.collection.as_deref());
    let operation = method.operation != crate::catalog::OperationStyle::None;
    let get = match which {
        Role::Delete => None,
        _ => read_back(target, method, sent),
    };
    let value = match &get {
        _ if which == Role::Delete => Value::Null,
        Some(get) if operation || answer.is_null() => {
            let found = wait::settled_read(cx, get, which == Role::Insert).await?;
            if which == Role::Insert && found.is_none() {
                let what = format!(
                    "`{}` succeeded, says the API, and nothing is there",
                    method.id
                );
                return Err(cx.failure(Reason::Failed, what));
            }
            found.map_or(Value::Null, |json| Value::from_json(&json))
        }
        _ => Value::from_json(&answer),
    };
    if let Some(get) = &get {
        target::keep(cx, get.clone());
    }
    wait::until(cx, step, value, get.as_ref(), Verdict::Called).await
}
