//! What every change has in common: intent, request, operation, outcome.

use std::cell::Cell;

use serde_json::Value as Json;

use super::super::ids::request_id;
use super::super::mutant::Mutant;
use super::cx::{Attempts, Cx, Halt, no_answer};
use super::operation::{self, Followed, Operation};
use super::settle::{self, Role, Settled, role};
use super::{Result, clauses, patience, spare};
use crate::catalog::{Method, OperationStyle, RequestId};
use crate::eval::EvalError;
use crate::journal::{CallResult, CallState, Event, Intent, Origin, Reason, Undo};
use crate::syntax::ast::Step;
use crate::value::Value;
use crate::wire::error::{ApiError, ErrorClass, classify};
use crate::wire::{NoAnswer, Request};
use crate::world::{Millis, Timestamp};

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
    /// What takes it back; `None`: nothing does, or the step's result tells.
    pub undo: Option<Undo>,
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
    spare::destruction(cx, change.method, change.get.as_ref())?;
    cx.refuse_markers(&change.request)?;
    cx.clear(change.method, &change.request).await;
    if cx.stopping() {
        return Err(Halt::Stopped);
    }
    // Waiting for room may have taken long.
    if cx.now().since(change.guarded) > cx.shared.settings.guard_age {
        return Ok(Changed::Stale);
    }
    let call = cx.next_call();
    let generation = cx.generation(call);
    let mut sent = change.request;
    let id = change.method.request_id.as_ref().map(|id| {
        let drawn = cx.drawn_id(generation, call, &sent);
        sent.query.push((id.param().to_string(), drawn.clone()));
        drawn
    });
    let intent = Intent {
        call,
        generation,
        request: sent,
        request_id: id,
        before: change.before,
        server_time: Some(cx.server_now()),
    };
    let carrier = Carrier {
        cx,
        step,
        method: change.method,
        get: change.get,
        deadline: change.deadline,
        guarded: change.guarded.into(),
        abandons: false,
    };
    let told = change.undo.map(|undo| Event::Undo {
        address: cx.address.clone(),
        call,
        undo: Box::new(undo),
    });
    let event = Event::Intent {
        address: cx.address.clone(),
        intent: Box::new(intent.clone()),
    };
    if !cx.is_mutant(Mutant::IntentNotDurable) {
        cx.append(told.into_iter().chain([event]).collect()).await;
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
    take_up(cx, step, open, get, deadline, false).await
}

/// Finds out what became of the call that an earlier process left open, and never sends it again.
pub async fn abandon_call(
    cx: &Cx<'_>,
    open: CallState,
    get: Option<Request>,
    deadline: Timestamp,
) -> Result<Changed> {
    take_up(cx, None, open, get, deadline, true).await
}

async fn take_up(
    cx: &Cx<'_>,
    step: Option<&Step>,
    open: CallState,
    get: Option<Request>,
    deadline: Timestamp,
    abandons: bool,
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
        abandons,
    };
    if cx.is_mutant(Mutant::GuardBeforeSettle) {
        carrier.guards().await?;
    }
    let begin = match open {
        CallState::Running {
            operation, poll, ..
        } => {
            cx.admit(&intent.request);
            Begin::Follow(Operation {
                name: operation,
                poll: *poll,
            })
        }
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
    /// What had no effect is given up instead of sent again.
    abandons: bool,
}

impl Carrier<'_, '_> {
    async fn carry(&self, intent: Intent, mut begin: Begin) -> Result<Changed> {
        let mut attempts = Attempts::default();
        // Once a request may have left, its intent cannot be voided any more.
        let mut left = !matches!(begin, Begin::Send);
        let (mut accepted, mut arrived) = (false, false);
        let mut origin = Origin::Created;
        let mut waited = false;
        loop {
            begin = match begin {
                Begin::Send => match self.send(&intent).await {
                    Sent::Old => {
                        self.guards().await?;
                        Begin::Send
                    }
                    Sent::Answer(json) => match operation::at_once(self.method, &json) {
                        Some(Ok(done)) => return self.done(&intent, done, Origin::Created).await,
                        Some(Err(error)) => return self.failed(&intent, error, &json).await,
                        None => match operation::of_answer(
                            &self.cx.shared.catalog,
                            self.method,
                            &intent.request,
                            &json,
                        ) {
                            Some(operation) => {
                                left = true;
                                self.learn_principal(&json);
                                self.record_operation(&intent, &operation).await;
                                Begin::Follow(operation)
                            }
                            None => return self.done(&intent, json, Origin::Created).await,
                        },
                    },
                    // An earlier sending under this id took effect.
                    Sent::Refused(error) if left && !arrived && self.is_repeated(&error) => {
                        arrived = true;
                        Begin::Settle
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
                            return self.done(&intent, json, origin).await;
                        }
                        Followed::Failed(error, operation) => {
                            return self.failed(&intent, error, &operation).await;
                        }
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
                        arrived,
                        deadline: self.deadline,
                        repeatable: self.step.is_some_and(clauses::repeats_safely),
                    };
                    match settle::settle(self.cx, &call).await? {
                        Settled::Done(origin) => {
                            return self.done(&intent, Json::Null, origin).await;
                        }
                        Settled::Proved(operation) => {
                            return self.done(&intent, operation, Origin::Created).await;
                        }
                        Settled::There(origin, which) => {
                            return self.recorded(&intent, Json::Null, origin, which).await;
                        }
                        Settled::Failed(error, operation) => {
                            return self.failed(&intent, error, &operation).await;
                        }
                        Settled::Foreign(error) => return self.refused(&intent, error).await,
                        Settled::Overtaken => {
                            let error = settle::overtaken();
                            return self.refused(&intent, error).await;
                        }
                        Settled::Follow(operation, whose) => {
                            origin = whose;
                            self.record_operation(&intent, &operation).await;
                            Begin::Follow(operation)
                        }
                        settled @ (Settled::Unsent | Settled::Unseen) if self.abandons => {
                            match (self.lateness(&intent).filter(|_| !waited), settled) {
                                (Some(wait), _) => {
                                    waited = true;
                                    self.cx.sleep(wait).await;
                                }
                                (None, Settled::Unsent) => {
                                    return self.refused(&intent, settle::abandoned()).await;
                                }
                                // It counts as done, so that what takes it back is not left out.
                                (None, _) => {
                                    return self.done(&intent, Json::Null, Origin::Presumed).await;
                                }
                            }
                            if self.cx.stopping() {
                                return Err(Halt::Stopped);
                            }
                            Begin::Settle
                        }
                        Settled::Unsent | Settled::Unseen => {
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
        self.cx.count(&intent.request).await;
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
            self.cx.leave();
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
        let pause = patience::pause(cx, count, &error);
        let limit = patience::limit(cx, &error).await?;
        if cx.now().plus(pause) >= since.plus(limit).min(self.deadline) {
            if !left {
                self.void(intent).await;
            }
            return Err(cx.api_failure(error, &intent.request));
        }
        match left {
            true => cx.sleep(pause).await,
            // An intent that was never sent is not left behind when the run stops meanwhile.
            false => {
                cx.sleep_lightly(pause).await;
                if cx.stopping() {
                    self.void(intent).await;
                    return Err(Halt::Stopped);
                }
            }
        }
        Ok(())
    }

    /// For how long the request may still arrive late; none when it cannot any more (rule 6 of
    /// settling).
    fn lateness(&self, intent: &Intent) -> Option<Millis> {
        let age = settle::age(self.cx, intent).unwrap_or(Millis(0));
        let left = self.cx.shared.settings.lateness.0 - age.0;
        (left > 0).then_some(Millis(left))
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

    /// Whether a refusal of a repetition says that the first sending arrived: an id that may be used
    /// once only has been used.
    fn is_repeated(&self, error: &ApiError) -> bool {
        let once = matches!(self.method.request_id, Some(RequestId::Unique(_)));
        once && matches!(
            error.class,
            ErrorClass::AlreadyExists | ErrorClass::Conflict
        )
    }

    /// Operations name the account that began them.
    fn learn_principal(&self, operation: &Json) {
        if let Some(user) = operation.get("user").and_then(Json::as_str) {
            *self.cx.shared.principal.borrow_mut() = Some(user.to_owned());
        }
    }

    async fn record_operation(&self, intent: &Intent, operation: &Operation) {
        let event = Event::Operation {
            address: self.cx.address.clone(),
            call: intent.call,
            name: operation.name.clone(),
            poll: Box::new(operation.poll.clone()),
        };
        self.cx.accepted();
        self.cx.append(vec![event]).await;
    }

    async fn done(&self, intent: &Intent, answer: Json, origin: Origin) -> Result<Changed> {
        self.cx.shared.grants.note(&self.method.id, self.cx.now());
        let kept = if self.only_the_answer_tells() {
            answer.clone()
        } else {
            Json::Null
        };
        let incarnation = match self.is_insert() {
            true => operation::incarnation(self.method, &answer),
            false => None,
        };
        let origin = self.claimed(origin);
        let result = CallResult::Ok {
            origin,
            answer: kept,
            incarnation,
        };
        self.called(intent, result).await;
        Ok(Changed::Done { answer, origin })
    }

    async fn recorded(
        &self,
        intent: &Intent,
        answer: Json,
        origin: Origin,
        incarnation: Option<String>,
    ) -> Result<Changed> {
        let origin = self.claimed(origin);
        let result = CallResult::Ok {
            origin,
            answer: answer.clone(),
            incarnation,
        };
        self.called(intent, result).await;
        Ok(Changed::Done { answer, origin })
    }

    /// The mistake of [`Mutant::AdoptedIsCreated`].
    fn claimed(&self, origin: Origin) -> Origin {
        match self.cx.is_mutant(Mutant::AdoptedIsCreated) {
            true => Origin::Created,
            false => origin,
        }
    }

    fn is_insert(&self) -> bool {
        let collection = self.cx.shared.catalog.collection(&self.method.collection);
        role(self.method, collection.as_deref()) == Role::Insert
    }

    /// The operation failed. It may have left a resource that is not whole: that is this run's.
    async fn failed(&self, intent: &Intent, error: ApiError, operation: &Json) -> Result<Changed> {
        let get = self.get.as_ref().filter(|_| self.is_insert());
        let found = match get {
            Some(get) if error.class != ErrorClass::AlreadyExists => self.cx.observe(get).await?,
            _ => None,
        };
        let Some(found) = found else {
            return self.refused(intent, error).await;
        };
        let there = crate::journal::incarnation(&found);
        let ours = match operation::incarnation(self.method, operation) {
            Some(ours) => there.as_ref() == Some(&ours),
            None => intent.before.is_null(),
        };
        if !ours {
            return self.refused(intent, error).await;
        }
        let result = CallResult::Broken {
            error: error.clone(),
            incarnation: there,
        };
        self.called(intent, result).await;
        Ok(Changed::Refused(error))
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
        let refusal = match &result {
            CallResult::Failed { error } | CallResult::Broken { error, .. } => Some(error),
            CallResult::Ok { .. } => None,
        };
        self.cx.land(refusal);
        let event = Event::Called {
            address: self.cx.address.clone(),
            call: intent.call,
            result,
        };
        self.cx.append(vec![event]).await;
    }

    async fn void(&self, intent: &Intent) {
        self.cx.land(None);
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
