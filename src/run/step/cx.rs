//! What the protocol of a step stands on: evaluation, the journal, requests, time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::super::effect::{Effect, Reply};
use super::super::mutant::Mutant;
use super::super::plan_item::{PlanAction, PlanItem};
use super::super::shared::{Permit, Shared};
use super::super::task::{Ask, Given, Port};
use super::clearance::Clearance;
use super::{Result, patience};
use crate::eval::{self, EvalError, Fault, Truth};
use crate::journal::{CallState, Event, Reason, StepFailure, StepState, Verdict};
use crate::plan::{Memo, NodeId, ScopeId, View, Work};
use crate::syntax::ast::{self, Arg, Expr};
use crate::value::Value;
use crate::wire::error::{ApiError, ErrorClass, classify};
use crate::wire::named;
use crate::wire::policy::Ends;
use crate::wire::{Answer, NoAnswer, Request};
use crate::world::{Millis, Timestamp};

/// How a step's protocol ended well.
#[derive(Clone, Debug)]
pub enum Stepped {
    Done(Verdict, Value),
    Skipped,
}

/// Why a step's protocol did not end well.
#[derive(Clone, Debug)]
pub enum Halt {
    Failed(Box<StepFailure>),
    /// The run goes on without it and takes it up again when it is resumed.
    Paused(String),
    /// The run is stopping.
    Stopped,
}

impl Halt {
    /// The flow asked for this failure; it is not a mistake in the flow.
    pub fn into_failed(mut self) -> Self {
        if let Halt::Failed(failure) = &mut self {
            failure.reason = Reason::Failed;
        }
        self
    }
}

pub struct Cx<'p> {
    pub shared: Rc<Shared<'p>>,
    pub node: NodeId,
    pub scope: ScopeId,
    pub address: Arc<str>,
    /// When everything that the step waits for was there.
    pub began: Timestamp,
    /// When this process took the step up.
    here: Cell<Timestamp>,
    /// When the step gives up.
    deadline: Cell<Timestamp>,
    /// Calls made so far, those of earlier processes included.
    pub(super) calls: Cell<u32>,
    /// The call that an earlier process left open; settled once.
    pub(super) open: RefCell<Option<CallState>>,
    /// Whether the newest intent has no outcome yet.
    call_open: Cell<bool>,
    /// What the journal tells of the step.
    pub(super) past: RefCell<StepState>,
    /// Whether only its meaning is wanted: `fresh` stands for what will be read.
    symbolic: Cell<bool>,
    pub(super) port: Port,
    pub(super) clearance: Clearance<'p>,
}

/// Under which value the newest state of the resource stands in an expression.
pub type It<'v> = Option<&'v Value>;

impl<'p> Cx<'p> {
    pub fn new(shared: Rc<Shared<'p>>, node: NodeId, port: Port) -> Self {
        let (scope, address) = {
            let graph = shared.graph.borrow();
            let found = graph.node(node);
            (found.scope, Arc::clone(&found.address))
        };
        let here = shared.now.get();
        let past = shared.past.steps.get(&address).cloned();
        let past = past.unwrap_or_default();
        let began = past.began.unwrap_or(here);
        let calls = past.calls.last().map_or(0, |c| c.intent().call);
        let open = past.open_call().cloned();
        Cx {
            shared,
            node,
            scope,
            address,
            began,
            here: here.into(),
            deadline: Timestamp(i64::MAX).into(),
            calls: calls.into(),
            call_open: open.is_some().into(),
            open: open.into(),
            past: past.into(),
            symbolic: false.into(),
            port,
            clearance: Clearance::default(),
        }
    }

    /// From here on `fresh` reads nothing.
    pub fn only_mean(&self) {
        self.symbolic.set(true);
    }

    /// The meaning is known, and the step goes on.
    pub fn mean_it(&self) {
        self.symbolic.set(false);
    }

    /// The number of the next call of this step.
    pub fn next_call(&self) -> u32 {
        self.calls.set(self.calls.get() + 1);
        self.calls.get()
    }

    /// Whether a call of this step has an intent and no outcome yet.
    pub fn is_call_open(&self) -> bool {
        self.call_open.get()
    }

    pub fn set_deadline(&self, at: Timestamp) {
        self.deadline.set(at);
    }

    /// The step's own time begins now: what it waited for so far was the run's doing.
    pub fn begin_here(&self) {
        self.here.set(self.now());
    }

    pub fn began_here(&self) -> Timestamp {
        self.here.get()
    }

    pub fn work(&self) -> Work<'p> {
        self.shared.graph.borrow().node(self.node).work
    }

    pub fn now(&self) -> Timestamp {
        self.shared.now.get()
    }

    /// The server's clock, as far as its last answer tells.
    pub fn server_now(&self) -> Timestamp {
        match self.shared.server_time.get() {
            Some((date, heard)) => date.plus(self.now().since(heard)),
            None => self.now(),
        }
    }

    pub fn planning(&self) -> bool {
        self.shared.planning()
    }

    /// Evaluates, and brings what the evaluation finds missing until it has a value.
    pub async fn with_view<T>(
        &self,
        it: It<'_>,
        evaluate: impl Fn(&View<'_, 'p>) -> std::result::Result<T, Fault>,
    ) -> Result<T> {
        let mut fresh: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        loop {
            let found = {
                let graph = self.shared.graph.borrow();
                let memo = self.shared.memo.borrow();
                let view = View::new(&graph, self.scope, &memo)
                    .with_it(it.cloned())
                    .with_fresh(&fresh);
                evaluate(&view)
            };
            match found {
                Ok(value) => return Ok(value),
                Err(Fault::Fresh { step, span }) => {
                    let value = self.read_afresh(&step, span).await?;
                    fresh.insert(step, value);
                }
                Err(fault) => self.bring(fault).await?,
            }
        }
    }

    pub async fn eval(&self, expr: &Expr, it: It<'_>) -> Result<Value> {
        self.with_view(it, |view| eval::eval(expr, view)).await
    }

    /// A condition; `None` when only the run can tell.
    pub async fn condition(&self, expr: &Expr, it: It<'_>) -> Result<Option<bool>> {
        match self
            .with_view(it, |view| eval::condition(expr, view))
            .await?
        {
            Truth::Known(known) => Ok(Some(known)),
            Truth::Later(_) => Ok(None),
        }
    }

    pub async fn object(&self, object: &ast::Object, it: It<'_>) -> Result<Value> {
        self.with_view(it, |view| eval::object(object, view)).await
    }

    pub async fn args(&self, args: &[Arg]) -> Result<Vec<Value>> {
        let all = |view: &View<'_, 'p>| args.iter().map(|a| eval::eval(&a.value, view)).collect();
        self.with_view(None, all).await
    }

    /// A guard's or an assertion's own words, or none.
    pub async fn words(&self, message: Option<&Expr>, it: It<'_>) -> Result<Option<String>> {
        match message {
            Some(expr) => Ok(Some(self.eval(expr, it).await?.to_string())),
            None => Ok(None),
        }
    }

    pub async fn duration(
        &self,
        expr: Option<&Expr>,
        default: Millis,
        it: It<'_>,
    ) -> Result<Millis> {
        let Some(expr) = expr else {
            return Ok(default);
        };
        match self.eval(expr, it).await? {
            Value::Duration(span) => Ok(span),
            Value::Later(_) if self.planning() => Ok(default),
            other => Err(self.flow_error(&EvalError::new(
                expr.span,
                format!("a duration is needed here, this is {}", other.noun()),
            ))),
        }
    }

    /// Brings what an evaluation lacked.
    pub async fn bring(&self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Error(error) => Err(self.flow_error(&error)),
            Fault::Fresh { span, .. } => {
                Err(self.flow_error(&EvalError::new(span, "`fresh` cannot be used here")))
            }
            Fault::Hook { name, args } => {
                let key = Memo::hook_key(&name, &args);
                let value = self.compute(&name, args).await?;
                let event = Event::Hooked {
                    key: key.clone(),
                    value: value.to_json(),
                };
                self.append(vec![event]).await;
                self.shared.memo.borrow_mut().hooks.insert(key, value);
                Ok(())
            }
        }
    }

    async fn compute(&self, function: &Arc<str>, args: Vec<Value>) -> Result<Value> {
        let effect = Effect::Hook {
            function: Arc::clone(function),
            args,
        };
        match self.effect(effect).await {
            Reply::Hook(Ok(value)) => Ok(value),
            Reply::Hook(Err(message)) => Err(self.failure(Reason::Failed, message)),
            _ => Err(Halt::Stopped),
        }
    }

    /// A step that is a hook: its outcome is its record, so the result needs no other.
    pub async fn hook_step(&self, name: &ast::Name, args: &[Arg]) -> Result<Stepped> {
        let values = self.args(args).await?;
        let known = |v: &Value| !v.is_later();
        if !values.iter().all(known) {
            return Ok(self.planned(PlanAction::Compute, None));
        }
        let function = {
            let graph = self.shared.graph.borrow();
            let module = graph.flow_of(self.scope).module;
            crate::plan::hook_id(&graph, module, &name.text)
        };
        let Some(function) = function else {
            return Err(self.flow_error(&EvalError::new(
                name.span,
                format!("no hook `{}`", name.text),
            )));
        };
        let value = self.compute(&function, values).await?;
        if self.planning() {
            self.plan(PlanAction::Compute, None, Vec::new(), Vec::new());
        }
        Ok(Stepped::Done(Verdict::Computed, value))
    }

    async fn read_afresh(&self, step: &Arc<str>, span: crate::source::Span) -> Result<Value> {
        if self.symbolic.get() {
            return Ok(Value::later(step));
        }
        let request = self.shared.resources.borrow().get(step).cloned();
        let Some(request) = request else {
            if self.planning() {
                return Ok(Value::later(step));
            }
            return Err(self.flow_error(&EvalError::new(
                span,
                format!("`{step}` has no resource to read"),
            )));
        };
        let found = self.observe(&request).await?;
        Ok(found.map_or(Value::Null, |json| Value::from_json(&json)))
    }

    pub fn flow_error(&self, error: &EvalError) -> Halt {
        Halt::Failed(Box::new(super::flow_failure(&self.shared, error)))
    }

    pub fn failure(&self, reason: Reason, message: impl Into<String>) -> Halt {
        Halt::Failed(Box::new(StepFailure {
            reason,
            message: message.into(),
            place: self.place(),
            help: None,
            api: None,
        }))
    }

    pub fn failure_with_help(
        &self,
        reason: Reason,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Halt {
        match self.failure(reason, message) {
            Halt::Failed(mut failure) => {
                failure.help = Some(help.into());
                Halt::Failed(failure)
            }
            other => other,
        }
    }

    /// Where the step stands in the flow.
    fn place(&self) -> String {
        let span = match self.work() {
            Work::Step(step) | Work::Enter(step) => step.name.span,
            Work::Assert(assert) => assert.span,
            Work::Checkpoint(checkpoint) => checkpoint.name.span,
            Work::For(f, _) => f.source.span,
            Work::If(i, ..) => i.condition.span,
            Work::Undo | Work::Settle => return String::new(),
            Work::Turn(_) | Work::TurnEnd(_) | Work::End | Work::Gather => return String::new(),
        };
        self.shared.place(span)
    }

    /// What grows here, in the flow's own words.
    pub fn growth_text(&self) -> String {
        let graph = self.shared.graph.borrow();
        let text = |span| graph.names.program.sources.slice(span).to_owned();
        match self.work() {
            Work::For(f, _) => format!("steps for each of `{}`", text(f.source.span)),
            Work::If(i, ..) => format!("steps if `{}`", text(i.condition.span)),
            Work::Enter(step) => format!("the workflow of `{}`", step.name.text),
            _ => String::new(),
        }
    }

    pub fn api_failure(&self, error: ApiError, request: &Request) -> Halt {
        let reason = match error.class.policy().ends {
            Ends::Failed => Reason::Failed,
            Ends::Permission => Reason::Permission,
        };
        let help = match error.status {
            0 if error.class == ErrorClass::Transient => {
                "check the network and the endpoint, then `r5flow resume`".to_owned()
            }
            _ => named::advice(&error),
        };
        Halt::Failed(Box::new(StepFailure {
            reason,
            message: format!("{}: {}", request.method, error.message),
            place: super::point::place(self, &error).unwrap_or_else(|| self.place()),
            help: Some(help),
            api: Some(Box::new(error)),
        }))
    }

    /// A plan's word on the step, whose value only the run brings.
    pub fn planned(&self, action: PlanAction, request: Option<Request>) -> Stepped {
        self.plan(action, request, Vec::new(), Vec::new());
        self.later()
    }

    pub fn undecided(&self, why: &str) -> Stepped {
        self.plan(
            PlanAction::Undecided,
            None,
            Vec::new(),
            vec![why.to_owned()],
        );
        self.later()
    }

    pub fn later(&self) -> Stepped {
        Stepped::Done(Verdict::Computed, Value::later(&self.address))
    }

    pub fn plan(
        &self,
        action: PlanAction,
        request: Option<Request>,
        differences: Vec<crate::catalog::compare::Difference>,
        notes: Vec<String>,
    ) {
        self.shared.plan.borrow_mut().push(PlanItem {
            node: self.node,
            address: Arc::clone(&self.address),
            action,
            request,
            differences,
            notes,
        });
    }

    /// In a plan: remembers what was read of the step's resource.
    pub fn saw(&self, it: &Value) {
        self.shared.seen.borrow_mut().insert(self.node, it.clone());
    }

    /// In a plan: remembers that this step would change what `get` reads.
    pub fn would_change(&self, get: &Request) {
        self.shared.would_change.borrow_mut().insert(get.line());
    }

    /// In a plan: whether an earlier step would change what `get` reads, so that a look at it now
    /// tells nothing.
    pub fn will_have_changed(&self, get: &Request) -> bool {
        self.planning() && self.shared.would_change.borrow().contains(&get.line())
    }

    /// Puts the value into the graph as it is, `Later` included.
    pub fn set_value(&self, value: &Value) {
        self.shared
            .graph
            .borrow_mut()
            .set_result(self.node, value.clone());
    }

    pub async fn effect(&self, effect: Effect) -> Reply {
        match self.port.ask(Ask::Effect(effect)).await {
            Given::Reply(reply) => reply,
            Given::Granted => Reply::Woke,
        }
    }

    /// Returns when the events are durable. A plan records nothing.
    pub async fn append(&self, events: Vec<Event>) {
        for event in &events {
            match event {
                Event::Intent { .. } => self.call_open.set(true),
                Event::Called { .. } | Event::Voided { .. } => self.call_open.set(false),
                _ => {}
            }
        }
        if !self.planning() {
            self.effect(Effect::Append(events)).await;
        }
    }

    pub async fn permit(&self) -> Permit<'p> {
        self.port.ask(Ask::Permit).await;
        Permit(Rc::clone(&self.shared))
    }

    pub async fn sleep(&self, span: Millis) {
        let until = self.now().plus(span);
        self.effect(Effect::Sleep { until }).await;
    }

    /// Sleeps, and wakes at once when the run stops.
    pub async fn sleep_lightly(&self, span: Millis) {
        self.port.wake_on_stop(true);
        self.sleep(span).await;
        self.port.wake_on_stop(false);
    }

    /// Sleeps, but not beyond the deadline.
    pub async fn sleep_within(&self, span: Millis, deadline: Timestamp) {
        let until = self.now().plus(span).min(deadline);
        self.effect(Effect::Sleep { until }).await;
    }

    pub fn stopping(&self) -> bool {
        self.shared.stopping.get()
    }

    /// Sends once, whatever comes.
    pub async fn send(
        &self,
        request: &Request,
        patience: Millis,
    ) -> std::result::Result<Answer, NoAnswer> {
        let effect = Effect::Send {
            request: Box::new(request.clone()),
            patience,
        };
        match self.effect(effect).await {
            Reply::Answered(answer) => {
                if let Ok(answer) = &answer {
                    self.shared.conceal_answer(request, answer);
                    self.heed(request, answer);
                }
                answer
            }
            _ => Err(NoAnswer::NotSent("the run is stopping".into())),
        }
    }

    /// Reads once more for as long as the answers say that another time may bring more.
    pub async fn read(
        &self,
        request: &Request,
    ) -> Result<std::result::Result<serde_json::Value, ApiError>> {
        let service = request.service().unwrap_or("http").to_owned();
        let begun = self.now();
        let mut attempt = 0;
        loop {
            let answer = {
                let _permit = self.turn(request).await;
                if self.stopping() {
                    return Err(Halt::Stopped);
                }
                let patience = self.patience();
                self.send(request, patience).await
            };
            let error = match answer {
                Ok(answer) => match classify(&service, true, &answer) {
                    Ok(json) => return Ok(Ok(json)),
                    Err(error) => error,
                },
                Err(lost) => no_answer(lost),
            };
            if !patience::passes(self, &error).await? {
                return Ok(Err(error));
            }
            let pause = patience::pause(self, attempt, &error);
            attempt += 1;
            let limit = patience::limit(self, &error).await?;
            let until = begun.plus(limit).min(self.deadline.get());
            if self.now().plus(pause) >= until {
                return Ok(Err(error));
            }
            self.sleep(pause).await;
            if self.stopping() {
                return Err(Halt::Stopped);
            }
        }
    }

    /// How long one request may take now: never beyond the step's own time.
    pub fn patience(&self) -> Millis {
        let left = self.deadline.get().since(self.now());
        Millis(self.shared.settings.patience.0.min(left.0).max(1000))
    }

    /// The resource that a request reads: `None` when it is absent. Forbidden is never absent.
    pub async fn observe(&self, request: &Request) -> Result<Option<serde_json::Value>> {
        match self.read(request).await? {
            Ok(json) => Ok(Some(json)),
            Err(error) if error.class == ErrorClass::NotFound => Ok(None),
            Err(error)
                if error.class == ErrorClass::Permission
                    && self.is_mutant(Mutant::ForbiddenIsAbsent) =>
            {
                Ok(None)
            }
            Err(error) => Err(self.api_failure(error, request)),
        }
    }
}

/// Attempts that failed in a row, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempts {
    pub count: u32,
    since: Option<Timestamp>,
}

impl Attempts {
    /// Counts one more; gives how many there were before, and when the first one was.
    pub fn failed(&mut self, now: Timestamp) -> (u32, Timestamp) {
        let since = *self.since.get_or_insert(now);
        self.count += 1;
        (self.count - 1, since)
    }
}

/// The reason of requests that never left.
pub const UNREACHABLE: &str = "unreachable";
/// The reason of requests that may have left, and were not answered.
const SILENT: &str = "no answer";

/// What the lack of an answer means, in the form of a refusal with the status 0.
pub fn no_answer(lost: NoAnswer) -> ApiError {
    let (class, reason) = match &lost {
        NoAnswer::NotSent(_) => (ErrorClass::Transient, UNREACHABLE),
        NoAnswer::Unknown(_) => (ErrorClass::Transient, SILENT),
        NoAnswer::NoCredentials(_) => (ErrorClass::Credentials, ""),
    };
    ApiError {
        class,
        status: 0,
        reason: reason.to_owned(),
        message: lost.into_why(),
        retry_after: None,
        details: serde_json::Value::Null,
    }
}

/// Whether evaluating these gives only known values.
pub fn known(value: &Value) -> bool {
    match value {
        Value::Later(_) => false,
        Value::List(items) => items.iter().all(known),
        Value::Map(fields) => fields.values().all(known),
        _ => true,
    }
}
