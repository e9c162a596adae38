//! The pure core: which nodes are ready, which run, what they ask for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::effect::{Effect, Reply, TaskId};
use super::end::{End, NodeStatus, severity, status_of, stuck};
use super::engine::Observer;
use super::mutant::Mutant;
use super::plan_item::PlanItem;
use super::settings::{Mode, Settings};
use super::shared::Shared;
use super::step;
use super::task::{Ask, Given, Port, Task, TaskEnd};
use super::traffic::{Line, Rank};
use crate::catalog::Catalog;
use crate::journal::{Event, Made, Outcome, RunStatus, State, StepFailure, Verdict};
use crate::plan::{FrameId, Graph, Memo, NodeId, PoolId, Work};
use crate::value::Value;
use crate::world::Timestamp;

/// How many tasks may be at work at one time; those that sleep or wait for a person do not count.
/// It bounds memory, not parallelism: talking to the cloud is bounded by `--parallel`.
const TASKS: usize = 512;

/// How long a step is thought to take of which nothing is known, in milliseconds.
const UNKNOWN: Rank = 1000;

/// The task that is no node's.
const OUTPUTS: TaskId = TaskId(u32::MAX);

pub struct Core<'p> {
    shared: Rc<Shared<'p>>,
    status: Vec<NodeStatus>,
    ready: Line<NodeId>,
    /// How long everything behind a node takes, itself included.
    ranks: Vec<Rank>,
    tasks: BTreeMap<TaskId, Task<'p>>,
    /// Tasks that sleep or wait for a person.
    idle_tasks: BTreeSet<TaskId>,
    /// Tasks that were woken before their sleep was over.
    roused: BTreeSet<TaskId>,
    want_permit: Line<TaskId>,
    /// Tasks that wait for a domain, or for room for one more operation.
    parked: BTreeSet<TaskId>,
    turns: BTreeMap<PoolId, Turns>,
    /// Effects given out and not answered.
    outstanding: usize,
    out: Vec<(TaskId, Effect)>,
    stopped_at: Option<String>,
    /// Nodes of `upon` blocks: they notify, and never fail the run.
    notices: BTreeSet<NodeId>,
    finale: bool,
    /// Whether the hooks of the outputs were asked for.
    completed: bool,
    outputs_failed: Option<Box<StepFailure>>,
}

#[derive(Default)]
struct Turns {
    taken: usize,
    waiting: VecDeque<NodeId>,
    closed: bool,
}

impl<'p> Core<'p> {
    /// A core for a graph and what its journal told (nothing, for a fresh run).
    pub fn new(
        graph: Graph<'p>,
        memo: Memo,
        past: State,
        catalog: Catalog,
        settings: Settings,
        observer: Rc<dyn Observer>,
    ) -> Self {
        let mut core = Core {
            shared: Rc::new(Shared::new(graph, memo, past, catalog, settings, observer)),
            status: Vec::new(),
            ready: Line::default(),
            ranks: Vec::new(),
            tasks: BTreeMap::new(),
            idle_tasks: Default::default(),
            roused: Default::default(),
            want_permit: Line::default(),
            parked: BTreeSet::new(),
            turns: BTreeMap::new(),
            outstanding: 0,
            out: Vec::new(),
            stopped_at: None,
            notices: BTreeSet::new(),
            finale: false,
            completed: false,
            outputs_failed: None,
        };
        let nodes: Vec<NodeId> = core.shared.graph.borrow().nodes().collect();
        core.count(&nodes);
        core
    }

    /// What a plan found, step by step; of a run it is empty.
    pub fn plan(&self) -> Vec<PlanItem> {
        self.shared.plan.borrow().clone()
    }

    /// What a plan read of the resources that steps address.
    pub fn seen(&self) -> std::cell::Ref<'_, BTreeMap<NodeId, Value>> {
        self.shared.seen.borrow()
    }

    pub fn memo(&self) -> std::cell::Ref<'_, Memo> {
        self.shared.memo.borrow()
    }

    pub fn graph(&self) -> std::cell::Ref<'_, Graph<'p>> {
        self.shared.graph.borrow()
    }

    pub fn status(&self, node: NodeId) -> &NodeStatus {
        &self.status[node.0 as usize]
    }

    /// What a rollback undoes, each under the address of its node.
    pub fn undo(&mut self, all: impl IntoIterator<Item = (Arc<str>, Made)>) {
        let all = all
            .into_iter()
            .map(|(address, made)| (address, Rc::new(made)));
        self.shared.undoing.borrow_mut().extend(all);
    }

    /// Who sees the run from now on.
    pub fn watch(&mut self, observer: Rc<dyn Observer>) {
        *self.shared.observer.borrow_mut() = observer;
    }

    /// Whether anything is still going on.
    pub fn is_busy(&self) -> bool {
        self.outstanding > 0
    }

    /// The first effects of a run.
    pub fn start(&mut self, now: Timestamp) -> Vec<(TaskId, Effect)> {
        self.shared.now.set(now);
        self.advance()
    }

    /// Nothing is going on any more: tells the `upon run_ended` blocks, once.
    pub fn finale(&mut self, now: Timestamp) -> Vec<(TaskId, Effect)> {
        self.shared.now.set(now);
        if std::mem::replace(&mut self.finale, true) {
            return Vec::new();
        }
        let status = self.end().status.as_str();
        let event = Value::record([("status", Value::str(status))]);
        self.notify(FrameId(0), "run_ended", status, event);
        self.advance()
    }

    /// Fires the `upon` blocks for an event in a workflow, and in those that run it.
    fn notify(&mut self, frame: FrameId, event: &str, key: &str, value: Value) {
        if self.shared.settings.mode != Mode::Run || self.shared.stopping.get() {
            return;
        }
        let first = self.shared.graph.borrow().len() as u32;
        let fired = {
            let memo = self.shared.memo.borrow();
            self.shared
                .graph
                .borrow_mut()
                .notify(frame, event, key, &value, &memo)
        };
        let added: Vec<NodeId> = (first..self.shared.graph.borrow().len() as u32)
            .map(NodeId)
            .collect();
        self.notices.extend(added.iter().copied());
        self.count(&added);
        if let Err(error) = fired {
            let failure = step::flow_failure(&self.shared, &error);
            for node in added {
                self.status[node.0 as usize] = NodeStatus::Failed(Box::new(failure.clone()));
            }
        }
    }

    fn frame_of(&self, node: NodeId) -> FrameId {
        let graph = self.shared.graph.borrow();
        graph.scope(graph.node(node).scope).frame
    }

    /// A reply came.
    pub fn on(&mut self, task: TaskId, reply: Reply, now: Timestamp) -> Vec<(TaskId, Effect)> {
        self.shared.now.set(now);
        if reply == Reply::Woke && self.roused.remove(&task) {
            return self.advance();
        }
        // A task that was stopped while it waited is not asked for any more.
        if let Some(running) = self.tasks.get(&task) {
            running.port.give(Given::Reply(reply));
            self.outstanding -= 1;
            self.idle_tasks.remove(&task);
            self.poll(task);
        }
        self.advance()
    }

    /// Nothing new is sent. What was sent is brought to its recorded end; what only waits is left.
    pub fn stop(&mut self, now: Timestamp) -> Vec<(TaskId, Effect)> {
        self.shared.now.set(now);
        self.shared.stopping.set(true);
        self.ready.clear();
        let sleeping = std::mem::take(&mut self.idle_tasks);
        self.outstanding -= sleeping.len();
        self.shared.dismiss();
        let (light, sleeping): (Vec<_>, Vec<_>) = sleeping.into_iter().partition(|task| {
            let running = self.tasks.get(task);
            running.is_some_and(|t| t.port.wakes_on_stop())
        });
        for task in sleeping.into_iter().chain(std::mem::take(&mut self.parked)) {
            self.tasks.remove(&task);
            self.status[task.0 as usize] = NodeStatus::Stopped;
        }
        for task in light {
            if let Some(running) = self.tasks.get(&task) {
                // The sleep itself still ends some time; nobody waits for it any more.
                self.roused.insert(task);
                running.port.give(Given::Reply(Reply::Woke));
                self.poll(task);
            }
        }
        // These may have recorded an intent that was not sent: they see the stop, and void it.
        for task in self.want_permit.take() {
            self.granted(task);
        }
        self.advance()
    }

    /// Nobody answers now: every gate pauses its step until the run is resumed.
    pub fn leave_gates(&mut self, now: Timestamp) -> Vec<(TaskId, Effect)> {
        self.shared.now.set(now);
        for task in std::mem::take(&mut self.idle_tasks) {
            if let Some(running) = self.tasks.get(&task) {
                running.port.give(Given::Reply(Reply::Inbox(None)));
                self.outstanding -= 1;
                self.poll(task);
            }
        }
        self.advance()
    }

    /// Starts what is ready, grants what is free, until nothing moves.
    fn advance(&mut self) -> Vec<(TaskId, Effect)> {
        loop {
            if self.grant() {
                continue;
            }
            if self.tasks.len() - self.idle_tasks.len() - self.parked.len() >= TASKS {
                break;
            }
            match self.ready.pop() {
                Some(node) => self.begin(node),
                None => break,
            }
        }
        if self.outstanding == 0 {
            self.complete_outputs();
        }
        std::mem::take(&mut self.out)
    }

    /// When everything is over: computes the hooks that only the outputs call.
    fn complete_outputs(&mut self) {
        let nodes = (0..self.status.len()).map(|n| NodeId(n as u32));
        let ended_well = nodes
            .filter(|n| !self.notices.contains(n))
            .all(|n| self.status(n).lets_pass());
        let runs = self.shared.settings.mode == Mode::Run && !self.shared.stopping.get();
        if self.completed || !ended_well || !runs {
            return;
        }
        self.completed = true;
        let port = Port::default();
        let future = step::complete_outputs(Rc::clone(&self.shared), port.clone());
        self.tasks.insert(OUTPUTS, Task { future, port });
        self.poll(OUTPUTS);
    }

    /// Gives one free domain, place in the air or permit to who is first in its line; says whether
    /// it did.
    fn grant(&mut self) -> bool {
        let parked = self.shared.admit();
        let task = match parked {
            Some(task) => {
                self.parked.remove(&task);
                Some(task)
            }
            None if self.shared.permits.get() > 0 => self.want_permit.pop().inspect(|_| {
                self.shared.permits.set(self.shared.permits.get() - 1);
            }),
            None => None,
        };
        if let Some(task) = task {
            self.granted(task);
        }
        task.is_some()
    }

    fn granted(&mut self, task: TaskId) {
        if let Some(running) = self.tasks.get(&task) {
            running.port.give(Given::Granted);
            self.poll(task);
        }
    }

    fn begin(&mut self, node: NodeId) {
        let (work, address) = {
            let graph = self.shared.graph.borrow();
            let found = graph.node(node);
            (found.work, Arc::clone(&found.address))
        };
        match work {
            Work::End | Work::Gather => self.finish(node, NodeStatus::Done),
            Work::Turn(pool) => self.take_turn(node, pool),
            Work::TurnEnd(pool) => {
                self.finish(node, NodeStatus::Done);
                self.free_turn(pool);
            }
            _ => {
                let now = self.shared.now.get();
                if let Work::Step(_) | Work::Undo = work {
                    let task = TaskId(node.0);
                    self.shared.observer().began(task, &address, now);
                }
                if self.recorded(node, &address) {
                    return;
                }
                self.status[node.0 as usize] = NodeStatus::Running;
                let port = Port::default();
                let future = step::task(Rc::clone(&self.shared), node, port.clone());
                let task = TaskId(node.0);
                self.tasks.insert(task, Task { future, port });
                self.poll(task);
            }
        }
    }

    /// A step that an earlier process finished keeps its result.
    fn recorded(&mut self, node: NodeId, address: &str) -> bool {
        let past = self.shared.past.steps.get(address);
        // What it stands on was done again: its task compares first.
        let past = past.filter(|s| s.meant.is_none());
        let outcome = match past.and_then(|s| s.finished.as_ref()) {
            Some((outcome @ (Outcome::Done { .. } | Outcome::Skipped), _)) => outcome.clone(),
            Some((
                outcome @ Outcome::Failed {
                    tolerated: true, ..
                },
                _,
            )) => outcome.clone(),
            _ => return false,
        };
        let reads = matches!(&outcome, Outcome::Done { verdict, .. } if *verdict == Verdict::Read);
        if reads && self.shared.settings.is_mutant(Mutant::GrowthReevaluated) {
            return false;
        }
        step::remember_resource(&self.shared, node);
        self.settle_outcome(node, outcome);
        true
    }

    fn poll(&mut self, task: TaskId) {
        let Some(running) = self.tasks.get_mut(&task) else {
            return;
        };
        match running.poll() {
            Poll::Ready(end) if task == OUTPUTS => {
                self.tasks.remove(&task);
                if let TaskEnd::Finished(Outcome::Failed { failure, .. }) = end {
                    self.outputs_failed = Some(failure);
                }
            }
            Poll::Ready(end) => {
                self.tasks.remove(&task);
                self.ended(NodeId(task.0), end);
            }
            Poll::Pending => match running.port.take_ask() {
                Some(Ask::Permit) => self.want_permit.push(self.rank(task), task),
                Some(Ask::Domains(keys)) => {
                    self.parked.insert(task);
                    let rank = self.rank(task);
                    self.shared
                        .traffic
                        .borrow_mut()
                        .domains
                        .ask(task, rank, keys);
                }
                Some(Ask::Flight(lane)) => {
                    self.parked.insert(task);
                    let rank = self.rank(task);
                    self.shared
                        .traffic
                        .borrow_mut()
                        .flights
                        .ask(task, rank, &lane);
                }
                Some(Ask::Effect(effect)) => {
                    self.announce(NodeId(task.0), &effect);
                    if matches!(effect, Effect::Sleep { .. } | Effect::Inbox(_)) {
                        self.idle_tasks.insert(task);
                    }
                    self.outstanding += 1;
                    self.run_ahead(NodeId(task.0), &effect);
                    self.out.push((task, effect));
                }
                // Only asks make a task wait.
                None => {}
            },
        }
    }

    fn rank(&self, task: TaskId) -> Rank {
        self.ranks.get(task.0 as usize).copied().unwrap_or_default()
    }

    /// A node can begin.
    fn make_ready(&mut self, node: NodeId) {
        let rank = self.rank(TaskId(node.0));
        self.ready.push(rank, node);
    }

    /// The mistake of [`Mutant::OutcomeAfterDependents`].
    fn run_ahead(&mut self, node: NodeId, effect: &Effect) {
        if let Effect::Append(events) = effect
            && let Some(Event::Finished { outcome, .. }) = events.last()
            && self
                .shared
                .settings
                .is_mutant(Mutant::OutcomeAfterDependents)
        {
            self.settle_outcome(node, outcome.clone());
        }
    }

    fn announce(&mut self, node: NodeId, effect: &Effect) {
        if let Effect::Inbox(question) = effect {
            let event = Value::record([
                ("step", Value::str(&*question.address)),
                ("text", Value::str(&question.text)),
            ]);
            let key = format!("{}#{}", question.address, question.hash);
            self.notify(self.frame_of(node), "gate_waiting", &key, event);
        }
    }

    fn ended(&mut self, node: NodeId, end: TaskEnd) {
        match end {
            TaskEnd::Finished(_) if self.status(node).lets_pass() => {}
            TaskEnd::Finished(outcome) => self.settle_outcome(node, outcome),
            TaskEnd::Passed => self.finish(node, NodeStatus::Done),
            TaskEnd::Paused(why) => self.status[node.0 as usize] = NodeStatus::Paused(why),
            TaskEnd::Stopped => self.status[node.0 as usize] = NodeStatus::Stopped,
            TaskEnd::Grown(answer) => {
                let grown = {
                    let memo = self.shared.memo.borrow();
                    self.shared.graph.borrow_mut().expand(node, &answer, &memo)
                };
                match grown {
                    Ok(grown) => {
                        self.count(&grown);
                        self.finish(node, NodeStatus::Done);
                    }
                    Err(error) => {
                        let failure = step::flow_failure(&self.shared, &error);
                        self.status[node.0 as usize] = NodeStatus::Failed(Box::new(failure));
                    }
                }
            }
        }
    }

    fn settle_outcome(&mut self, node: NodeId, outcome: Outcome) {
        let (value, status) = match outcome {
            Outcome::Done { value, .. } => (Value::from_json(&value), NodeStatus::Done),
            Outcome::Skipped => (Value::Null, NodeStatus::Skipped),
            Outcome::Failed {
                tolerated: true, ..
            } => (Value::Null, NodeStatus::Done),
            Outcome::Failed { failure, .. } => {
                self.failed(node, failure);
                return;
            }
        };
        let held = self.holds_here(node);
        self.checkpoint_reached(node);
        {
            let mut graph = self.shared.graph.borrow_mut();
            // In a plan the task has put what it knows there already.
            if graph.result(node).is_none() {
                graph.set_result(node, value);
            }
        }
        if held {
            self.status[node.0 as usize] = status;
            return;
        }
        self.finish(node, status);
    }

    fn failed(&mut self, node: NodeId, failure: Box<StepFailure>) {
        if !self.notices.contains(&node) {
            let address = Arc::clone(&self.shared.graph.borrow().node(node).address);
            let error = Value::record([
                ("message", Value::str(&failure.message)),
                ("class", Value::str(failure.reason.as_str())),
            ]);
            let event = Value::record([("step", Value::str(&*address)), ("error", error)]);
            self.notify(self.frame_of(node), "step_failed", &address, event);
        }
        self.status[node.0 as usize] = NodeStatus::Failed(failure);
        self.close_turns(node);
    }

    fn checkpoint_reached(&mut self, node: NodeId) {
        let work = self.shared.graph.borrow().node(node).work;
        if let Work::Checkpoint(checkpoint) = work {
            let name = &*checkpoint.name.text;
            let event = Value::record([("name", Value::str(name))]);
            let address = Arc::clone(&self.shared.graph.borrow().node(node).address);
            self.notify(self.frame_of(node), "checkpoint_reached", &address, event);
        }
    }

    /// Whether the run was asked to stop at this checkpoint.
    fn holds_here(&mut self, node: NodeId) -> bool {
        let graph = self.shared.graph.borrow();
        let found = graph.node(node);
        let wanted = matches!(found.work, Work::Checkpoint(_))
            && self.shared.settings.until.as_deref() == Some(&*found.address);
        if wanted {
            self.stopped_at = Some(found.address.to_string());
        }
        wanted
    }

    /// A node is over: those behind it have one thing less to wait for.
    fn finish(&mut self, node: NodeId, status: NodeStatus) {
        self.status[node.0 as usize] = status;
        let behind = self.shared.graph.borrow().behind(node);
        for next in behind {
            if let NodeStatus::Waiting(n) = &mut self.status[next.0 as usize] {
                *n -= 1;
                if *n == 0 && !self.shared.stopping.get() {
                    self.make_ready(next);
                }
            }
        }
    }

    /// Counts what new nodes wait for.
    fn count(&mut self, nodes: &[NodeId]) {
        let total = self.shared.graph.borrow().len();
        self.status.resize(total, NodeStatus::Waiting(u32::MAX));
        let known = &self.shared.settings.durations;
        self.shared.graph.borrow().rank(&mut self.ranks, |address| {
            known
                .get(address)
                .map_or(UNKNOWN, |span| span.0.max(1) as Rank)
        });
        self.recount(nodes);
    }

    fn recount(&mut self, nodes: &[NodeId]) {
        let shared = Rc::clone(&self.shared);
        let graph = shared.graph.borrow();
        for node in nodes {
            let waiting = graph
                .before(*node)
                .filter(|(n, _)| !self.status[n.0 as usize].lets_pass())
                .count();
            if let NodeStatus::Waiting(before) = self.status[node.0 as usize] {
                self.status[node.0 as usize] = NodeStatus::Waiting(waiting as u32);
                if waiting == 0 && before != 0 {
                    self.make_ready(*node);
                }
            }
        }
    }

    fn take_turn(&mut self, node: NodeId, pool: PoolId) {
        let most = self.shared.graph.borrow().turns(pool);
        let turns = self.turns.entry(pool).or_default();
        if turns.closed {
            return;
        }
        if turns.taken < most {
            turns.taken += 1;
            self.finish(node, NodeStatus::Done);
        } else {
            turns.waiting.push_back(node);
        }
    }

    fn free_turn(&mut self, pool: PoolId) {
        let turns = self.turns.entry(pool).or_default();
        turns.taken = turns.taken.saturating_sub(1);
        if let (false, Some(next)) = (turns.closed, turns.waiting.pop_front()) {
            self.take_turn(next, pool);
        }
    }

    /// After a failure in a limited loop no further iteration of it starts.
    fn close_turns(&mut self, failed: NodeId) {
        for pool in self.shared.graph.borrow().pools_around(failed) {
            self.turns.entry(pool).or_default().closed = true;
        }
    }

    /// How it stands now that nothing is going on any more.
    pub fn end(&self) -> End {
        let graph = self.shared.graph.borrow();
        let mut end = End {
            status: RunStatus::Done,
            why: None,
            failures: Vec::new(),
            outputs: BTreeMap::new(),
            gates: Vec::new(),
            stopped_at: self.stopped_at.clone(),
        };
        let mut paused = None;
        let mut unfinished = None;
        let mut stopped = self.shared.stopping.get();
        for node in graph.nodes() {
            if self.notices.contains(&node) {
                continue;
            }
            let address = &graph.node(node).address;
            match &self.status[node.0 as usize] {
                NodeStatus::Failed(failure) => end
                    .failures
                    .push((Arc::clone(address), (**failure).clone())),
                NodeStatus::Paused(why) => {
                    paused.get_or_insert_with(|| format!("{address}: {why}"));
                    end.gates.push((Arc::clone(address), why.clone()));
                }
                NodeStatus::Stopped => stopped = true,
                NodeStatus::Waiting(_) | NodeStatus::Running => {
                    unfinished.get_or_insert_with(|| Arc::clone(address));
                }
                NodeStatus::Done | NodeStatus::Skipped => {}
            }
        }
        end.status =
            if let Some((_, worst)) = end.failures.iter().max_by_key(|(_, f)| severity(f.reason)) {
                status_of(worst.reason)
            } else if stopped {
                RunStatus::Cancelled
            } else if let Some(name) = &self.stopped_at {
                end.why = Some(format!("stopped at the checkpoint `{name}`"));
                RunStatus::Paused
            } else if paused.is_some() {
                end.why = paused;
                RunStatus::Paused
            } else if let (Some(address), Mode::Run | Mode::Rollback) =
                (unfinished, self.shared.settings.mode)
            {
                end.failures.push((Arc::clone(&address), stuck(&address)));
                RunStatus::Failed
            } else {
                RunStatus::Done
            };
        if end.status == RunStatus::Done && self.shared.settings.mode == Mode::Run {
            drop(graph);
            self.outputs(&mut end);
        }
        end
    }

    fn outputs(&self, end: &mut End) {
        if let Some(failure) = &self.outputs_failed {
            end.status = RunStatus::Failed;
            end.failures
                .push((Arc::from("outputs"), (**failure).clone()));
            return;
        }
        let graph = self.shared.graph.borrow();
        let memo = self.shared.memo.borrow();
        match step::outputs(&graph, &memo) {
            Ok(outputs) => end.outputs = outputs,
            Err(error) => {
                let failure = step::flow_failure(&self.shared, &error);
                end.status = RunStatus::Failed;
                end.failures.push((Arc::from("outputs"), failure));
            }
        }
    }
}
