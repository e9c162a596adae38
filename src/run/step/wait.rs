//! `wait`, and the `until` of other steps: look again until a predicate holds.

use std::cell::Cell;

use serde_json::Value as Json;

use super::super::plan_item::PlanAction;
use super::cx::{Cx, Halt, Stepped};
use super::{Result, clauses, http as http_step, read, target};
use crate::check::names::Meaning;
use crate::eval::{self, EvalError, Fault};
use crate::journal::{Event, Reason, Verdict};
use crate::plan::step_name;
use crate::syntax::ast::{ApiCall, Decision, Expr, HttpCall, OnOutcome, Step};
use crate::value::Value;
use crate::wire::Request;
use crate::world::{Millis, Timestamp};

/// How often a `wait` looks when it says no `every`.
const EVERY: Millis = Millis::secs(10);
/// How often an `until` of another step looks.
const EVERY_UNTIL: Millis = Millis::secs(5);
/// For how long the `until` of a step that changed a managed group has to hold before it counts.
const GROUP_NOTICES: Millis = Millis::secs(10);
/// How often a resource that was just created is looked for before its absence is believed.
const LAG_LOOKS: u32 = 10;

/// The resource as it is; one that was just created may show only after a moment.
pub async fn settled_read(cx: &Cx<'_>, get: &Request, created: bool) -> Result<Option<Json>> {
    let looks = if created { LAG_LOOKS } else { 1 };
    for look in 0..looks {
        if let Some(found) = cx.observe(get).await? {
            return Ok(Some(found));
        }
        if look + 1 < looks {
            cx.sleep(Millis::secs(1)).await;
            if cx.stopping() {
                return Err(Halt::Stopped);
            }
        }
    }
    Ok(None)
}

/// `until` and `fail when` of a step that has done its work already.
pub async fn until<'p>(
    cx: &Cx<'p>,
    step: &'p Step,
    value: Value,
    get: Option<&Request>,
    verdict: Verdict,
) -> Result<Stepped> {
    if clauses::until(step).is_none() && clauses::fail_whens(step).next().is_none() {
        return Ok(Stepped::Done(verdict, value));
    }
    let every = cx.duration(clauses::every(step), EVERY_UNTIL, None).await?;
    let mut looking = Looking::new(cx, step, every).await?;
    // A group tells of the time before its change for some seconds after the operation is done.
    let changed = matches!(verdict, Verdict::Updated | Verdict::Called);
    if changed && get.is_some_and(|get| get.method.ends_with("nstanceGroupManagers.get")) {
        looking.holds_for = GROUP_NOTICES;
    }
    let mut value = value;
    loop {
        if let Some(done) = looking.judge(&value, verdict).await? {
            return Ok(done);
        }
        if let Some(done) = looking.out_of_time(&value)? {
            return Ok(done);
        }
        looking.pause().await?;
        if let Some(get) = get {
            value = cx
                .observe(get)
                .await?
                .map_or(Value::Null, |json| Value::from_json(&json));
        }
    }
}

/// `wait METHOD(…) {…} until …`
pub async fn api<'p>(cx: &Cx<'p>, step: &'p Step, call: &'p ApiCall) -> Result<Stepped> {
    let target = target::resolve(cx, call, None).await?;
    let request = read::build(cx, call, &target).await?;
    let decided = target.known() && !mentions_later(&request);
    if cx.planning() && !decided {
        return Ok(cx.planned(PlanAction::Wait, Some(request)));
    }
    let method = read::method_of(cx, call, &target)?;
    if cx.planning() {
        let found = read::all_pages(cx, &method, &request).await?.ok();
        return Ok(planned(cx, step, Some(request), found.as_ref()).await);
    }
    let absent_is_null = clauses::decision(step, OnOutcome::Absent) == Some(Decision::Continue);
    let look = async || match read::all_pages(cx, &method, &request).await? {
        Ok(json) => Ok(Value::from_json(&json)),
        Err(error) if absent_is_null && error.class == crate::wire::error::ErrorClass::NotFound => {
            Ok(Value::Null)
        }
        Err(error) => Err(cx.api_failure(error, &request)),
    };
    watch(cx, step, look).await
}

/// `wait STEP until …`: the resource of another step.
pub async fn step<'p>(cx: &Cx<'p>, step: &'p Step, named: &'p Expr) -> Result<Stepped> {
    if is_time(cx, named) {
        return pause(cx, named).await;
    }
    let address = cx
        .with_view(None, |view| {
            let found = step_name(named).and_then(|(name, index)| view.fresh_address(name, index));
            match found {
                Some(address) => Ok(address),
                None => eval::eval(named, view).and_then(|_| {
                    Err(Fault::from(EvalError::new(
                        named.span,
                        "this step has no resource to wait for",
                    )))
                }),
            }
        })
        .await?;
    let request = cx.shared.resources.borrow().get(&address).cloned();
    if cx.planning() {
        let there = cx.shared.graph.borrow().find(&address).is_some_and(|node| {
            let graph = cx.shared.graph.borrow();
            graph.result(node).is_some_and(|v| !v.is_later())
        });
        let found = match &request {
            Some(request) if there => cx.observe(request).await?,
            _ => None,
        };
        return Ok(planned(cx, step, request, found.as_ref()).await);
    }
    let Some(request) = request else {
        return Err(cx.flow_error(&EvalError::new(
            named.span,
            format!("`{address}` has no resource to wait for"),
        )));
    };
    target::keep(cx, request.clone());
    let look = async || {
        let found = cx.observe(&request).await?;
        Ok(found.map_or(Value::Null, |json| Value::from_json(&json)))
    };
    watch(cx, step, look).await
}

/// Whether what a `wait` names is no step: a time that has a name.
pub fn is_time(cx: &Cx<'_>, named: &Expr) -> bool {
    let graph = cx.shared.graph.borrow();
    let flow = graph.flow_of(graph.node(cx.node).scope);
    let symbol = step_name(named).and_then(|(name, _)| flow.symbol(name));
    symbol.is_none_or(|s| !matches!(s.meaning, Meaning::Step(_) | Meaning::Unknown))
}

/// `wait http GET … until …`
pub async fn http<'p>(cx: &Cx<'p>, step: &'p Step, call: &'p HttpCall) -> Result<Stepped> {
    let request = http_step::request(cx, call).await?;
    if cx.planning() {
        return Ok(cx.planned(PlanAction::Wait, Some(request)));
    }
    // Until it answers as wished, not answering at all is one of the things that are waited out.
    let look = async || Ok(http_step::look(cx, &request).await);
    watch(cx, step, look).await
}

/// `wait 30m`
pub async fn pause(cx: &Cx<'_>, span: &Expr) -> Result<Stepped> {
    let span = match cx.eval(span, None).await? {
        Value::Duration(span) => span,
        Value::Later(_) => Millis(0),
        other => {
            let message = format!(
                "a duration or a step is needed here, this is {}",
                other.noun()
            );
            return Err(cx.flow_error(&EvalError::new(span.span, message)));
        }
    };
    if cx.planning() {
        cx.plan(
            PlanAction::Wait,
            None,
            Vec::new(),
            vec![format!("for {span}")],
        );
        return Ok(Stepped::Done(Verdict::Waited, Value::Null));
    }
    if !cx.is_known() {
        let event = Event::Began {
            address: cx.address.clone(),
            at: cx.began,
        };
        cx.append(vec![event]).await;
    }
    let until = cx.began.plus(span);
    if cx.now() < until {
        cx.sleep(until.since(cx.now())).await;
    }
    if cx.stopping() {
        return Err(Halt::Stopped);
    }
    Ok(Stepped::Done(Verdict::Waited, Value::Null))
}

/// What a plan says of a wait: that it is over already, when what is there says so.
async fn planned<'p>(
    cx: &Cx<'p>,
    step: &'p Step,
    request: Option<Request>,
    found: Option<&Json>,
) -> Stepped {
    let value = found.map(Value::from_json);
    let held = match (clauses::until(step), &value) {
        (Some(condition), Some(value)) => cx.condition(condition, Some(value)).await.ok().flatten(),
        (None, Some(_)) => Some(true),
        (_, None) => None,
    };
    match (held, value) {
        (Some(true), Some(value)) => {
            let notes = vec!["it is so already".to_owned()];
            cx.plan(PlanAction::Wait, request, Vec::new(), notes);
            Stepped::Done(Verdict::Waited, value)
        }
        _ => cx.planned(PlanAction::Wait, request),
    }
}

/// Whether a request holds something that only a later step brings.
fn mentions_later(request: &Request) -> bool {
    let body = request
        .body
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    body.contains("\"(after ")
}

async fn watch<'p>(
    cx: &Cx<'p>,
    step: &'p Step,
    look: impl AsyncFn() -> Result<Value>,
) -> Result<Stepped> {
    let every = cx.duration(clauses::every(step), EVERY, None).await?;
    let looking = Looking::new(cx, step, every).await?;
    loop {
        let value = look().await?;
        if let Some(done) = looking.judge(&value, Verdict::Waited).await? {
            return Ok(done);
        }
        if let Some(done) = looking.out_of_time(&value)? {
            return Ok(done);
        }
        looking.pause().await?;
    }
}

struct Looking<'a, 'p> {
    cx: &'a Cx<'p>,
    step: &'p Step,
    every: Millis,
    deadline: Timestamp,
    /// How long the predicate has to hold.
    holds_for: Millis,
    held_since: Cell<Option<Timestamp>>,
}

impl<'a, 'p> Looking<'a, 'p> {
    async fn new(cx: &'a Cx<'p>, step: &'p Step, every: Millis) -> Result<Looking<'a, 'p>> {
        Ok(Looking {
            cx,
            step,
            every: Millis(every.0.max(100)),
            deadline: cx.deadline(step).await?,
            holds_for: Millis(0),
            held_since: Cell::new(None),
        })
    }

    /// Whether the wait is over with this value: well, or badly.
    async fn judge(&self, value: &Value, verdict: Verdict) -> Result<Option<Stepped>> {
        for guard in clauses::fail_whens(self.step) {
            if self.cx.condition(&guard.condition, Some(value)).await? == Some(true) {
                let words = self.cx.words(guard.message.as_ref(), Some(value)).await?;
                let message =
                    words.unwrap_or_else(|| "the `fail when` of this step came true".into());
                let error = EvalError::new(guard.condition.span, message);
                return Err(self.cx.flow_error(&error).into_failed());
            }
        }
        let held = match clauses::until(self.step) {
            Some(condition) => self.cx.condition(condition, Some(value)).await? == Some(true),
            None => true,
        };
        let now = self.cx.now();
        let since = held.then(|| self.held_since.get().unwrap_or(now));
        self.held_since.set(since);
        let long = since.is_some_and(|since| now.since(since) >= self.holds_for);
        Ok(long.then(|| Stepped::Done(verdict, value.clone())))
    }

    async fn pause(&self) -> Result<()> {
        self.cx.sleep_within(self.every, self.deadline).await;
        if self.cx.stopping() {
            return Err(Halt::Stopped);
        }
        Ok(())
    }

    /// What happens when the time is up; the look at the very deadline has counted by then.
    fn out_of_time(&self, value: &Value) -> Result<Option<Stepped>> {
        if self.cx.now() < self.deadline {
            return Ok(None);
        }
        match clauses::decision(self.step, OnOutcome::Timeout) {
            Some(Decision::Continue) => Ok(Some(Stepped::Done(Verdict::GaveUp, value.clone()))),
            Some(Decision::Pause) => Err(Halt::Paused(
                "its time ran out; `r5flow resume` waits again".into(),
            )),
            _ => Err(self.cx.failure_with_help(
                Reason::TimedOut,
                "its time ran out before its `until` came true",
                "`r5flow resume` waits again; `timeout` gives it more time",
            )),
        }
    }
}

impl Cx<'_> {
    /// When the step gives up: counted from when this process took it up.
    pub async fn deadline(&self, step: &Step) -> Result<Timestamp> {
        let span = self
            .duration(
                clauses::timeout(step),
                self.shared.settings.step_timeout,
                None,
            )
            .await?;
        let deadline = self.began_here().plus(span);
        self.set_deadline(deadline);
        Ok(deadline)
    }
}
