//! `call`, and what every change has in common: intent, request, operation, outcome.

use std::cell::Cell;
use std::sync::Arc;

use serde_json::Value as Json;

use super::super::ids::request_id;
use super::super::mutant::Mutant;
use super::super::plan_item::PlanAction;
use super::cx::{Attempts, Cx, Halt, Stepped, known, no_answer};
use super::operation::{self, Followed, Operation};
use super::settle::{self, Role, Settled, role};
use super::target::{self, Target};
use super::{Result, again, clauses, wait};
use crate::catalog::{Method, OperationStyle, RequestId, coerce, request};
use crate::eval::EvalError;
use crate::journal::{CallResult, CallState, Event, Intent, Origin, Reason, Verdict};
use crate::syntax::ast::{ApiCall, Step};
use crate::value::Value;
use crate::wire::error::{ApiError, ErrorClass, classify};
use crate::wire::{NoAnswer, Request};
use crate::world::Timestamp;

/// One change that is to be made.
pub struct Change<'a> {
    pub method: &'a Method,
    pub request: Request,
    /// Reads the resource that it changes.
    pub get: Option<Request>,
    /// What was observed of it.
    pub before: Json,
    /// When its guards were evaluated.
    pub guarded: Timestamp,
    pub deadline: Timestamp,
}

/// What became of a change.
pub enum Changed {
    Done {
        answer: Json,
        origin: Origin,
    },
    /// It certainly had no effect.
    Refused(ApiError),
    /// Too much time passed, or the target changed: look again.
    Stale,
}

/// Makes a change: its intent is durable before it leaves, its outcome before this returns.
pub async fn perform(cx: &Cx<'_>, step: Option<&Step>, change: Change<'_>) -> Result<Changed> {
    let call = cx.next_call();
    let mut sent = change.request;
    let id = change.method.request_id.as_ref().map(|id| {
        let drawn = cx.drawn_id(call, &sent);
        sent.query.push((id.param().to_string(), drawn.clone()));
        drawn
    });
    let intent = Intent {
        call,
        generation: call,
        request: sent,
        request_id: id,
        before: change.before,
        server_time: Some(cx.shared.server_time.get().unwrap_or(cx.now())),
    };
    let carrier = Carrier {
        cx,
        step,
        method: change.method,
        get: change.get,
        deadline: change.deadline,
        guarded: change.guarded.into(),
    };
    let event = Event::Intent {
        address: cx.address.clone(),
        intent: Box::new(intent.clone()),
    };
    if !cx.is_mutant(Mutant::IntentNotDurable) {
        cx.append(vec![event]).await;
    }
    crate::world::failpoint("intent-durable", &change.method.id);
    if cx.stopping() {
        carrier.void(&intent).await;
        return Err(Halt::Stopped);
    }
    if cx.now().since(change.guarded) > cx.shared.settings.guard_age {
        carrier.void(&intent).await;
        return Ok(Changed::Stale);
    }
    carrier.carry(intent, Begin::Send).await
}

/// Takes up the call that an earlier process left open.
pub async fn resume_call(
    cx: &Cx<'_>,
    step: Option<&Step>,
    open: CallState,
    get: Option<Request>,
    deadline: Timestamp,
) -> Result<Changed> {
    let mut intent = open.intent().clone();
    let Some(method) = cx.shared.catalog.method(&intent.request.method) else {
        let what = format!("the catalogue no longer has `{}`", intent.request.method);
        return Err(cx.failure(Reason::Decision, what));
    };
    if cx.is_mutant(Mutant::RequestIdRedrawn) && intent.request_id.is_some() {
        let drawn = request_id("another", &cx.address, 1, 1, &intent.request);
        for (name, value) in &mut intent.request.query {
            if name == "requestId" || name == "clientOperationId" {
                value.clone_from(&drawn);
            }
        }
        intent.request_id = Some(drawn);
    }
    let carrier = Carrier {
        cx,
        step,
        method: &method,
        get,
        deadline,
        guarded: cx.now().into(),
    };
    if cx.is_mutant(Mutant::GuardBeforeSettle) {
        carrier.guards().await?;
    }
    let begin = match open {
        CallState::Running {
            operation, poll, ..
        } => Begin::Follow(Operation {
            name: operation,
            poll: *poll,
        }),
        _ => Begin::Settle,
    };
    carrier.carry(intent, begin).await
}

enum Begin {
    Send,
    Settle,
    Follow(Operation),
}

/// Carries one recorded intent to its outcome.
struct Carrier<'a, 'p> {
    cx: &'a Cx<'p>,
    step: Option<&'a Step>,
    method: &'a Method,
    get: Option<Request>,
    deadline: Timestamp,
    /// When the guards were evaluated.
    guarded: Cell<Timestamp>,
}

impl Carrier<'_, '_> {
    async fn carry(&self, intent: Intent, mut begin: Begin) -> Result<Changed> {
        let mut attempts = Attempts::default();
        // Once a request may have left, its intent cannot be voided any more.
        let mut left = !matches!(begin, Begin::Send);
        let mut accepted = false;
        loop {
            begin = match begin {
                Begin::Send => match self.send(&intent).await {
                    Sent::Old => {
                        self.guards().await?;
                        Begin::Send
                    }
                    Sent::Answer(json) => match operation::at_once(self.method, &json) {
                        Some(Ok(done)) => return self.done(&intent, done, Origin::Created).await,
                        Some(Err(error)) => return self.refused(&intent, error).await,
                        None => match operation::of_answer(
                            &self.cx.shared.catalog,
                            self.method,
                            &intent.request,
                            &json,
                        ) {
                            Some(operation) => {
                                left = true;
                                self.record_operation(&intent, &operation).await;
                                Begin::Follow(operation)
                            }
                            None => return self.done(&intent, json, Origin::Created).await,
                        },
                    },
                    Sent::Refused(error) if left && self.repeats(&error) => {
                        return self.done(&intent, Json::Null, Origin::Presumed).await;
                    }
                    Sent::Refused(error) => return self.refused(&intent, error).await,
                    Sent::Unknown(error) => {
                        left = true;
                        self.pause(&intent, &mut attempts, error, left).await?;
                        Begin::Settle
                    }
                    Sent::Never(error) => {
                        self.pause(&intent, &mut attempts, error, left).await?;
                        self.guards().await?;
                        Begin::Send
                    }
                },
                Begin::Follow(operation) => {
                    match operation::follow(self.cx, self.method, &operation.poll, self.deadline)
                        .await?
                    {
                        Followed::Done(json) => {
                            return self.done(&intent, json, Origin::Created).await;
                        }
                        Followed::Failed(error) => return self.refused(&intent, error).await,
                        Followed::Forgotten => {
                            accepted = true;
                            Begin::Settle
                        }
                    }
                }
                Begin::Settle => {
                    let call = settle::Lost {
                        intent: &intent,
                        method: self.method,
                        get: self.get.as_ref(),
                        accepted,
                    };
                    match settle::settle(self.cx, &call).await? {
                        Settled::Done(origin) => {
                            return self.done(&intent, Json::Null, origin).await;
                        }
                        Settled::Refused(error) => return self.refused(&intent, error).await,
                        Settled::Overtaken => {
                            let error = overtaken();
                            return self.refused(&intent, error).await;
                        }
                        Settled::Follow(operation) => {
                            self.record_operation(&intent, &operation).await;
                            Begin::Follow(operation)
                        }
                        Settled::Unsent => {
                            if self.cx.stopping() {
                                return Err(Halt::Stopped);
                            }
                            self.guards().await?;
                            Begin::Send
                        }
                    }
                }
            };
        }
    }

    async fn send(&self, intent: &Intent) -> Sent {
        let answer = {
            let _permit = self.cx.permit().await;
            // Waiting for the permit may have taken long.
            if self.cx.stopping() {
                let why = "the run is stopping".to_owned();
                return Sent::Never(no_answer(NoAnswer::NotSent(why)));
            }
            if self.cx.now().since(self.guarded.get()) > self.cx.shared.settings.guard_age {
                return Sent::Old;
            }
            self.cx.send(&intent.request, self.cx.patience()).await
        };
        if self.cx.is_mutant(Mutant::IntentNotDurable) {
            let address = self.cx.address.clone();
            let intent = Box::new(intent.clone());
            self.cx
                .append(vec![Event::Intent { address, intent }])
                .await;
        }
        match answer {
            Ok(answer) => match classify(&self.method.service, false, &answer) {
                Ok(json)
                    if operation::understands(
                        &self.cx.shared.catalog,
                        self.method,
                        &intent.request,
                        &json,
                    ) =>
                {
                    Sent::Answer(json)
                }
                Ok(json) => Sent::Unknown(operation::misshapen(&json)),
                Err(error) if error.class.ambiguous() => Sent::Unknown(error),
                Err(error) => Sent::Refused(error),
            },
            Err(lost) if lost.may_have_left() => Sent::Unknown(no_answer(lost)),
            Err(lost) => Sent::Never(no_answer(lost)),
        }
    }

    /// Whether a refusal says that the call was made before, under the same id.
    fn repeats(&self, error: &ApiError) -> bool {
        let unique = matches!(self.method.request_id, Some(RequestId::Unique(_)));
        unique && error.class == ErrorClass::AlreadyExists
    }

    /// Waits before the next attempt, or gives up at the step's deadline.
    async fn pause(
        &self,
        intent: &Intent,
        attempts: &mut Attempts,
        error: ApiError,
        left: bool,
    ) -> Result<()> {
        let cx = self.cx;
        if cx.stopping() {
            if !left {
                self.void(intent).await;
            }
            return Err(Halt::Stopped);
        }
        let (count, since) = attempts.failed(cx.now());
        let pause = cx.backoff(count, error.retry_after);
        let limit = since.plus(cx.tolerance(&error)).min(self.deadline);
        let hopeless = error.class == ErrorClass::Credentials;
        if hopeless || cx.now().plus(pause) >= limit {
            if !left {
                self.void(intent).await;
            }
            return Err(cx.api_failure(error, &intent.request));
        }
        cx.sleep(pause).await;
        Ok(())
    }

    /// The step's guards once more, on a fresh look at its resource.
    async fn guards(&self) -> Result<()> {
        self.guarded.set(self.cx.now());
        if self.cx.is_mutant(Mutant::GuardNotReevaluated) {
            return Ok(());
        }
        let Some(step) = self.step.filter(|s| clauses::requires(s).next().is_some()) else {
            return Ok(());
        };
        let it = match &self.get {
            Some(get) => self
                .cx
                .observe(get)
                .await?
                .map(|json| Value::from_json(&json)),
            None => None,
        };
        require(self.cx, step, it.as_ref()).await
    }

    async fn record_operation(&self, intent: &Intent, operation: &Operation) {
        let event = Event::Operation {
            address: self.cx.address.clone(),
            call: intent.call,
            name: operation.name.clone(),
            poll: Box::new(operation.poll.clone()),
        };
        self.cx.append(vec![event]).await;
    }

    async fn done(&self, intent: &Intent, answer: Json, origin: Origin) -> Result<Changed> {
        let kept = if self.only_the_answer_tells() {
            answer.clone()
        } else {
            Json::Null
        };
        let origin = match self.cx.is_mutant(Mutant::AdoptedIsCreated) {
            true => Origin::Created,
            false => origin,
        };
        let result = CallResult::Ok {
            origin,
            answer: kept,
        };
        self.called(intent, result).await;
        Ok(Changed::Done { answer, origin })
    }

    /// Whether reading the target again would not bring what the answer says.
    fn only_the_answer_tells(&self) -> bool {
        let collection = self.cx.shared.catalog.collection(&self.method.collection);
        let other = role(self.method, collection.as_deref()) == Role::Other;
        self.get.is_none() || other && self.method.operation == OperationStyle::None
    }

    async fn refused(&self, intent: &Intent, error: ApiError) -> Result<Changed> {
        self.called(
            intent,
            CallResult::Failed {
                error: error.clone(),
            },
        )
        .await;
        Ok(Changed::Refused(error))
    }

    async fn called(&self, intent: &Intent, result: CallResult) {
        let event = Event::Called {
            address: self.cx.address.clone(),
            call: intent.call,
            result,
        };
        self.cx.append(vec![event]).await;
    }

    async fn void(&self, intent: &Intent) {
        let event = Event::Voided {
            address: self.cx.address.clone(),
            call: intent.call,
        };
        self.cx.append(vec![event]).await;
    }
}

enum Sent {
    Answer(Json),
    Refused(ApiError),
    /// It may have taken effect.
    Unknown(ApiError),
    /// It never left.
    Never(ApiError),
    /// It was held back, since its guards were evaluated too long ago.
    Old,
}

fn overtaken() -> ApiError {
    ApiError {
        class: ErrorClass::Conflict,
        status: 412,
        reason: "conditionNotMet".into(),
        message: "the target changed while the answer was lost".into(),
        retry_after: None,
        details: Json::Null,
    }
}

/// Evaluates the step's `require` clauses.
pub async fn require(cx: &Cx<'_>, step: &Step, it: Option<&Value>) -> Result<()> {
    let null = Value::Null;
    let it = it.or(Some(&null));
    for guard in clauses::requires(step) {
        if cx.condition(&guard.condition, it).await? == Some(false) {
            let words = cx.words(guard.message.as_ref(), it).await?;
            let message = words.unwrap_or_else(|| "a `require` of this step does not hold".into());
            return Err(cx
                .flow_error(&EvalError::new(guard.condition.span, message))
                .into_failed());
        }
    }
    Ok(())
}

/// `call`: one method, once for the run; `unless` says when it is already so.
pub async fn call<'p>(cx: &Cx<'p>, step: &'p Step, call: &'p ApiCall) -> Result<Stepped> {
    let deadline = cx.deadline(step).await?;
    let target = target::resolve(cx, call, None).await?;
    let Some(method) = target.method.clone() else {
        return Err(cx.failure(Reason::Flow, "`call` needs a method"));
    };
    let _lock = cx.lock(target.domain(&cx.address)).await;
    if let Some((sent, answer)) = cx.made_call() {
        return finish(cx, step, &target, &method, answer, Some(&sent)).await;
    }
    if let Some(open) = cx.open_call() {
        let sent = open.intent().request.clone();
        let get = read_back(&target, &method, Some(&sent));
        match resume_call(cx, Some(step), open, get, deadline).await? {
            Changed::Done { answer, .. } => {
                return finish(cx, step, &target, &method, answer, Some(&sent)).await;
            }
            Changed::Refused(error) if is_gone(&error, &method, &target) => {
                return Ok(Stepped::Done(Verdict::Adopted, Value::Null));
            }
            Changed::Refused(error) => {
                again::forgive(cx, &error, &method, &mut Attempts::default(), deadline).await?
            }
            Changed::Stale => {}
        }
    }
    attempt(cx, step, call, target, &method, deadline).await
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
        let again = match call.args.iter().any(|a| target::uses_it(&a.value)) {
            true => Some(target::resolve(cx, call, it.as_ref()).await?),
            false => None,
        };
        let target = again.as_ref().unwrap_or(&target);
        if let Some(condition) = clauses::unless(step)
            && !matches!(look, Look::Later)
            && cx.condition(condition, it.as_ref()).await? == Some(true)
        {
            if cx.planning() {
                cx.plan(PlanAction::Adopt, None, Vec::new(), Vec::new());
            }
            return Ok(Stepped::Done(Verdict::Adopted, it.unwrap_or(Value::Null)));
        }
        let body = body(cx, call, method, it.as_ref()).await?;
        let request = request::build(method, &target.strict_args_for(method), body)
            .map_err(|p| target::problems(cx, call, &p))?;
        if cx.planning() {
            let removes = role(method, target.collection.as_deref()) == Role::Delete;
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
        require(cx, step, it.as_ref()).await?;
        let found = it.as_ref().map(Value::to_json);
        let change = Change {
            method,
            before: before(cx, target, found.as_ref()).await?,
            get: read_back(target, method, Some(&request)),
            request,
            guarded: cx.now(),
            deadline,
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
                let forgiven = again::forgive(cx, &error, method, &mut refusals, deadline).await;
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

async fn body(
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

/// What a look at the target brought.
enum Look {
    NotNeeded,
    Absent,
    Found(Json),
    /// Only the run can look.
    Later,
}

impl Look {
    fn it(&self) -> Option<Value> {
        match self {
            Look::NotNeeded => None,
            Look::Absent => Some(Value::Null),
            Look::Found(json) => Some(Value::from_json(json)),
            Look::Later => Some(Value::later("it")),
        }
    }
}

/// Looks at the target when the step's text asks for it, or when settling may need it.
async fn observe_for(cx: &Cx<'_>, step: &Step, call: &ApiCall, target: &Target) -> Result<Look> {
    if !uses_it(step, call) && !settles_by_version(target) {
        return Ok(Look::NotNeeded);
    }
    if !target.known() {
        return Ok(Look::Later);
    }
    match target.get() {
        None => Ok(Look::NotNeeded),
        Some(Err(_)) => Ok(Look::NotNeeded),
        Some(Ok(get)) if cx.will_have_changed(&get) => Ok(Look::Later),
        Some(Ok(get)) => {
            let found = cx.observe(&get).await?;
            Ok(found.map_or(Look::Absent, Look::Found))
        }
    }
}

/// Deletes compare the incarnation, and writes the version, when an answer is lost.
fn settles_by_version(target: &Target) -> bool {
    target.method.as_ref().is_some_and(|m| {
        matches!(
            role(m, target.collection.as_deref()),
            Role::Delete | Role::Write
        )
    })
}

fn uses_it(step: &Step, call: &ApiCall) -> bool {
    let mut used = clauses::unless(step).is_some() || clauses::requires(step).next().is_some();
    let mut look = |r: crate::syntax::walk::Reference<'_>| used |= r.name == "it";
    if let Some(object) = &call.body {
        crate::syntax::walk::object(object, &mut look);
    }
    used |= call.args.iter().any(|a| target::uses_it(&a.value));
    used
}

/// What the intent keeps of the target: its incarnation and version, and the newest operation where
/// operations can only be told by time.
pub async fn before(cx: &Cx<'_>, target: &Target, found: Option<&Json>) -> Result<Json> {
    let sql = target
        .collection
        .as_ref()
        .is_some_and(|c| &*c.service == "sqladmin");
    let newest = match settle::newest_operations(cx, &target.args).filter(|_| sql) {
        Some(list) => match cx.read(&list).await? {
            Ok(json) => json
                .pointer("/items/0/name")
                .and_then(Json::as_str)
                .map(str::to_owned),
            Err(_) => None,
        },
        None => None,
    };
    Ok(settle::before(found, newest))
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

/// The request that reads what the call left: for an insert the resource of the name in its body.
fn read_back(target: &Target, method: &Method, sent: Option<&Request>) -> Option<Request> {
    let collection = target.collection.as_ref()?;
    let get = collection.get.as_ref()?;
    let mut args = target.args_for(get);
    if role(method, Some(collection)) == Role::Insert
        && let Some(id) = &collection.id
        && !args.contains_key(id)
    {
        let name = sent?.body.as_ref()?.get("name")?.as_str()?;
        args.insert(Arc::clone(id), Value::str(name));
    }
    args.values().all(known).then_some(())?;
    request::build(get, &args, None).ok()
}
