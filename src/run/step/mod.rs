//! The protocols of the steps, one file a kind.

mod act;
mod again;
mod back;
mod busy;
mod call;
mod clearance;
pub(super) mod clauses;
pub(super) mod cx;
mod drawn;
mod edited;
mod ensure;
mod gate;
pub(super) mod growth;
mod http;
pub(super) mod judge;
mod look;
mod marks;
pub(super) mod meaning;
mod observe;
mod operation;
mod past;
mod patience;
mod point;
mod read;
pub(super) mod settle;
mod spare;
pub(super) mod target;
mod undoing;
mod wait;
mod write;

pub use marks::{marked_run, without as without_marks};
pub use settle::{reads_target, repeats_unseen};

use std::collections::BTreeMap;
use std::rc::Rc;

use super::effect::{Effect, Reply};
use super::settings::Mode;
use super::shared::Shared;
use super::task::{Ask, Given, Port, TaskEnd, TaskFuture};
use crate::eval::{EvalError, Fault};
use crate::journal::{Event, Outcome, Reason, StepFailure, Verdict};
use crate::plan::{FrameId, Graph, Memo, NodeId, Work};
use crate::syntax::ast::{self, ActionKind, Decision, OnOutcome};
use crate::value::Value;
use cx::{Cx, Halt, Stepped};

/// The task of a node.
pub fn task<'p>(shared: Rc<Shared<'p>>, node: NodeId, port: Port) -> TaskFuture<'p> {
    let cx = Cx::new(shared, node, port);
    Box::pin(async move {
        let work = cx.work();
        match work {
            Work::Step(step) => {
                if let Some(end) = judge::still_counts(&cx, step).await {
                    return end;
                }
                conclude(&cx, step_outcome(&cx, step).await, Some(step)).await
            }
            Work::Assert(assert) => conclude(&cx, gate::assert(&cx, assert).await, None).await,
            Work::Checkpoint(checkpoint) => {
                conclude(&cx, gate::checkpoint(&cx, checkpoint).await, None).await
            }
            Work::For(..) | Work::If(..) | Work::Enter(_) => growth::growth(&cx).await,
            Work::Undo => conclude(&cx, undoing::take_back(&cx).await, None).await,
            Work::Settle => settled(&cx).await,
            Work::Turn(_) | Work::TurnEnd(_) | Work::End | Work::Gather => TaskEnd::Passed,
        }
    })
}

/// What a step came to: how, and with which value.
pub(super) type Result<T> = std::result::Result<T, Halt>;

async fn step_outcome<'p>(cx: &Cx<'p>, step: &'p ast::Step) -> Result<Stepped> {
    if let Some(condition) = clauses::when(step) {
        match cx.condition(condition, None).await? {
            Some(true) => {}
            Some(false) => return Ok(Stepped::Skipped),
            None => {
                return Ok(cx.undecided("whether it runs depends on values that the run brings"));
            }
        }
    }
    match &step.action.kind {
        ActionKind::Read(call) => read::read(cx, step, call).await,
        ActionKind::Ensure(call) => ensure::ensure(cx, step, call).await,
        ActionKind::Call(called) => call::call(cx, step, called).await,
        ActionKind::WaitApi(call) => wait::api(cx, step, call).await,
        ActionKind::WaitStep(target) => wait::step(cx, step, target).await,
        ActionKind::WaitHttp(call) => wait::http(cx, step, call).await,
        ActionKind::WaitPause(span) => wait::pause(cx, span).await,
        ActionKind::Http(call) => http::http(cx, step, call).await,
        ActionKind::Approve(text) => gate::approve(cx, step, text).await,
        ActionKind::Hook { name, args } => cx.hook_step(name, args).await,
        ActionKind::Run { .. } | ActionKind::Broken => Err(cx.flow_error(&EvalError::new(
            step.action.span,
            "this step cannot run by itself",
        ))),
    }
}

/// What became of the call that a step left open: its outcome is the call's.
async fn settled(cx: &Cx<'_>) -> TaskEnd {
    let undo = cx.shared.undoing.borrow().get(&cx.address).cloned();
    let undo = undo.as_ref().and_then(|made| made.undo.as_ref());
    match undoing::settle_open(cx, undo).await {
        Ok(()) => TaskEnd::Passed,
        Err(Halt::Stopped) => TaskEnd::Stopped,
        Err(Halt::Paused(why)) => TaskEnd::Paused(why),
        Err(Halt::Failed(failure)) => TaskEnd::Finished(Outcome::Failed {
            failure,
            tolerated: false,
        }),
    }
}

/// What a step came to, with what only its result tells of how it is taken back.
async fn completed(
    cx: &Cx<'_>,
    stepped: Stepped,
    step: Option<&ast::Step>,
) -> Result<(Stepped, Option<Event>)> {
    let (Stepped::Done(_, value), Some(step)) = (&stepped, step) else {
        return Ok((stepped, None));
    };
    cx.set_value(value);
    let undo = back::with_result(cx, step).await?;
    Ok((stepped, undo))
}

/// What a step brings that changes nothing: a read, or a hook. `None`: it does change something, or
/// brings nothing now.
pub(super) async fn look<'p>(cx: &Cx<'p>, step: &'p ast::Step) -> Result<Option<Value>> {
    let looked = match &step.action.kind {
        ActionKind::Read(call) => read::read(cx, step, call).await?,
        ActionKind::Hook { name, args } => cx.hook_step(name, args).await?,
        _ => return Ok(None),
    };
    Ok(match looked {
        Stepped::Done(_, value) => Some(value),
        Stepped::Skipped => None,
    })
}

/// Records how a node ended; only then may anything depend on it.
async fn conclude(cx: &Cx<'_>, stepped: Result<Stepped>, step: Option<&ast::Step>) -> TaskEnd {
    let mut events = Vec::new();
    let stepped = match stepped {
        Ok(stepped) => completed(cx, stepped, step).await.map(|(stepped, undo)| {
            events.extend(undo);
            stepped
        }),
        Err(halt) => Err(halt),
    };
    let outcome = match stepped {
        Ok(Stepped::Done(verdict, value)) => {
            cx.set_value(&value);
            Outcome::Done {
                verdict,
                value: value.to_json(),
            }
        }
        Ok(Stepped::Skipped) => Outcome::Skipped,
        Err(Halt::Stopped) => return TaskEnd::Stopped,
        Err(Halt::Paused(why)) => return TaskEnd::Paused(why),
        // A call that may still take effect cannot be passed over.
        Err(Halt::Failed(failure)) if cx.is_call_open() => Outcome::Failed {
            tolerated: false,
            failure,
        },
        Err(Halt::Failed(failure)) => match step.and_then(|s| forgiveness(s, &failure)) {
            Some(Forgiven::Pause) => return TaskEnd::Paused(failure.message),
            forgiven => Outcome::Failed {
                tolerated: forgiven.is_some(),
                failure,
            },
        },
    };
    let event = Event::Finished {
        address: cx.address.clone(),
        began: cx.began,
        outcome: outcome.clone(),
    };
    events.push(event);
    cx.append(events).await;
    TaskEnd::Finished(outcome)
}

/// What the flow says should follow from a failure.
enum Forgiven {
    Continue,
    Pause,
}

fn forgiveness(step: &ast::Step, failure: &StepFailure) -> Option<Forgiven> {
    let said = match failure.reason {
        Reason::Decision => None,
        Reason::TimedOut => clauses::decision(step, OnOutcome::Timeout)
            .or_else(|| clauses::decision(step, OnOutcome::Failure)),
        Reason::Failed | Reason::Denied | Reason::Permission | Reason::Flow => {
            clauses::decision(step, OnOutcome::Failure)
        }
    };
    match said {
        Some(Decision::Continue) => Some(Forgiven::Continue),
        Some(Decision::Pause) => Some(Forgiven::Pause),
        Some(Decision::Stop | Decision::Update | Decision::Replace | Decision::Ask) | None => None,
    }
}

/// A failure that the flow itself causes with these values.
pub fn flow_failure(shared: &Shared<'_>, error: &EvalError) -> StepFailure {
    StepFailure {
        reason: Reason::Flow,
        message: error.message.clone(),
        place: shared.place(error.span),
        help: error.help.clone(),
        api: None,
    }
}

/// The outputs of the outermost workflow.
pub fn outputs(
    graph: &Graph<'_>,
    memo: &Memo,
) -> std::result::Result<BTreeMap<String, Value>, EvalError> {
    let root = graph.frame(FrameId(0)).root;
    let view = crate::plan::View::new(graph, root, memo);
    match view.outputs(FrameId(0)) {
        Ok(value) => Ok(value
            .as_map()
            .map(|fields| {
                fields
                    .iter()
                    .map(|(k, v)| (k.to_string(), v.clone()))
                    .collect()
            })
            .unwrap_or_default()),
        Err(Fault::Error(error)) => Err(*error),
        Err(Fault::Hook { .. } | Fault::Fresh { .. }) => Err(EvalError::new(
            graph.flow_of(root).ast.name.span,
            "an output calls a hook whose result is not known; call it in a step",
        )),
    }
}

/// Computes the hooks that the outputs call and no step did. What else may be wrong with them shows
/// when they are evaluated.
pub fn complete_outputs<'p>(shared: Rc<Shared<'p>>, port: Port) -> TaskFuture<'p> {
    let frame = FrameId(0);
    Box::pin(async move {
        loop {
            let found = {
                let graph = shared.graph.borrow();
                let memo = shared.memo.borrow();
                let root = graph.frame(frame).root;
                crate::plan::View::new(&graph, root, &memo).outputs(frame)
            };
            let Err(Fault::Hook { name, args }) = found else {
                return TaskEnd::Passed;
            };
            let key = Memo::hook_key(&name, &args);
            let ask = Ask::Effect(Effect::Hook {
                function: name,
                args,
            });
            let value = match port.ask(ask).await {
                Given::Reply(Reply::Hook(Ok(value))) => value,
                Given::Reply(Reply::Hook(Err(message))) => return hook_failed(message),
                _ => return TaskEnd::Stopped,
            };
            let event = Event::Hooked {
                key: key.clone(),
                value: value.to_json(),
            };
            port.ask(Ask::Effect(Effect::Append(vec![event]))).await;
            shared.memo.borrow_mut().hooks.insert(key, value);
        }
    })
}

fn hook_failed(message: String) -> TaskEnd {
    TaskEnd::Finished(Outcome::Failed {
        failure: Box::new(StepFailure {
            reason: Reason::Failed,
            message,
            place: String::new(),
            help: None,
            api: None,
        }),
        tolerated: false,
    })
}

/// Lets `fresh(step)` and `wait step` find the resource of a step that an earlier process finished.
pub fn remember_resource<'p>(shared: &Rc<Shared<'p>>, node: NodeId) {
    let cx = Cx::new(Rc::clone(shared), node, Port::default());
    if let Work::Step(step) = cx.work() {
        target::remember(&cx, step);
    }
}

impl Shared<'_> {
    pub(super) fn planning(&self) -> bool {
        self.settings.mode == Mode::Plan
    }
}

pub(super) fn read_verdict(value: Value) -> Stepped {
    Stepped::Done(Verdict::Read, value)
}
