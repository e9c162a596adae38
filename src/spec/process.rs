//! What a process does from its first effect to its last: a run, or a rollback.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::actor::Actor;
use super::player::{Line, Marks, Player, Trouble, nonce, run_id};
use crate::diag::Diagnostic;
use crate::eval::Taint;
use crate::journal::{self, Event, FORMAT, Ledger, RunStatus, Started, State};
use crate::plan::{Graph, Memo, NodeId, Work};
use crate::policy;
use crate::run::{Core, End, Mode, NodeStatus, Observer, Rollback, Settings, TaskId, drive};
use crate::store::StoreError;
use crate::value::Value;
use crate::world::Timestamp;

/// The graph of a process, at its end.
#[derive(Default)]
pub struct Seen {
    /// Which step waits for the outcome of which, helper nodes left out.
    pub waits: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    pub status: BTreeMap<Arc<str>, NodeStatus>,
    /// The step of each task.
    pub addresses: BTreeMap<TaskId, Arc<str>>,
}

/// What a journal tells.
pub(super) fn past(journal: &[Arc<Line>]) -> Result<(State, Ledger), Trouble> {
    let (mut state, mut ledger) = (State::default(), Ledger::default());
    for line in journal {
        state
            .apply(line.seq, line.at, &line.event)
            .map_err(|e| Trouble::Journal(e.to_string()))?;
        ledger.apply(line.seq, &line.event);
    }
    Ok((state, ledger))
}

pub(super) struct Process<'a, 'b, 'p> {
    pub player: &'b Player<'a, 'p>,
    pub actor: Actor<'a, 'b, 'p>,
    pub marks: Rc<Marks>,
    pub seen: Seen,
}

impl<'b> Process<'_, 'b, '_> {
    /// Begins the run, or goes on with it.
    pub async fn run(&mut self) -> Result<End, Trouble> {
        let (mut past, _) = past(self.actor.journal())?;
        let first = match past.started {
            Some(_) => resumed(),
            None => {
                let started = Event::Started(Box::new(self.started()));
                past.apply(1, self.actor.now(), &started)
                    .map_err(|e| Trouble::Journal(e.to_string()))?;
                started
            }
        };
        let mut core = self.core(past, self.actor.now(), Mode::Run)?;
        self.record(first).await?;
        let end = self.drive(&mut core).await?;
        self.record(Event::Ended(Box::new(end.event(Vec::new()))))
            .await?;
        Ok(end)
    }

    /// What the policies say of a run with these inputs in this cloud, as a plan would. Nothing is changed.
    pub async fn foresee(&mut self) -> Result<Vec<Diagnostic>, Trouble> {
        let mut core = self.core(State::default(), self.actor.now(), Mode::Plan)?;
        self.drive(&mut core).await?;
        let case = self.player.case;
        let (graph, memo, seen) = (core.graph(), core.memo(), core.seen());
        let all = |_| true;
        Ok(policy::of_plan(
            case.checked,
            &case.catalog,
            &graph,
            &memo,
            &seen,
            &all,
        ))
    }

    /// What became of open calls, then everything taken back: the order of `r5flow rollback`.
    pub async fn roll_back(&mut self) -> Result<End, Trouble> {
        let case = self.player.case;
        let names = &case.checked.names;
        let (state, ledger) = past(self.actor.journal())?;
        if state.is_rolled_back() {
            return Ok(over());
        }
        let mut found = Rollback::of(&ledger, &case.catalog, 0);
        if !found.open.is_empty() {
            self.record(resumed()).await?;
            let open = found.open_by_address().map(|(address, _)| address);
            let graph = Graph::settling(names, case.flow, open.collect());
            let mut core = self.rolling(graph, state);
            core.undo(found.open_by_address());
            let end = self.drive(&mut core).await?;
            if end.status != RunStatus::Done {
                self.record(Event::Ended(Box::new(end.event(Vec::new()))))
                    .await?;
                return Ok(end);
            }
            found = Rollback::of(&past(self.actor.journal())?.1, &case.catalog, 0);
        }
        self.record(Event::RollingBack {
            to: None,
            by: "test".into(),
            host: "here".into(),
            pid: 2,
        })
        .await?;
        let (state, _) = past(self.actor.journal())?;
        let graph = Graph::undoing(names, case.flow, found.spans());
        let mut core = self.rolling(graph, state);
        core.undo(found.by_address());
        let end = self.drive(&mut core).await?;
        if end.status == RunStatus::Done {
            let addresses = found.addresses;
            self.record(Event::Undone { addresses }).await?;
        }
        self.record(Event::Ended(Box::new(end.event(Vec::new()))))
            .await?;
        Ok(end)
    }

    async fn record(&mut self, event: Event) -> Result<(), Trouble> {
        let recorded = self.actor.record(event).await;
        recorded.map_err(|e| self.stopped(&e))
    }

    async fn drive(&mut self, core: &mut Core<'_>) -> Result<End, Trouble> {
        let now = self.actor.now();
        let end = drive(core, &mut self.actor, now).await;
        self.seen = Seen::of(core);
        end.map_err(|e| self.stopped(&e))
    }

    /// Why the actor went no further.
    fn stopped(&self, error: &StoreError) -> Trouble {
        let trouble = self.actor.trouble();
        trouble.unwrap_or_else(|| Trouble::Journal(error.to_string()))
    }

    fn core(&self, past: State, now: Timestamp, mode: Mode) -> Result<Core<'b>, Trouble> {
        let began = match past.seq {
            0 | 1 => now,
            _ => past.began,
        };
        let memo = Memo {
            hooks: past.hooks.clone(),
            run: Some(Value::record([
                ("id", Value::str(run_id(self.actor.runs()))),
                ("started", Value::str(began.rfc3339())),
            ])),
            taint: Some(Rc::clone(self.player.vault()) as Rc<dyn Taint>),
        };
        let case = self.player.case;
        let graph = Graph::build(&case.checked.names, case.flow, case.inputs.clone(), &memo)
            .map_err(|e| {
                let place = case.program().sources.place(e.span);
                Trouble::Flow(format!("{place}: {}", e.message))
            })?;
        if graph.sorted().is_err() {
            return Err(Trouble::Flow("some steps wait for each other".into()));
        }
        Ok(Core::new(
            graph,
            memo,
            past,
            case.catalog.clone(),
            Settings {
                mode,
                ..case.settings.clone()
            },
            self.observer(),
        ))
    }

    fn rolling<'g>(&self, graph: Graph<'g>, past: State) -> Core<'g> {
        let case = self.player.case;
        let settings = Settings {
            mode: Mode::Rollback,
            ..case.settings.clone()
        };
        let catalog = case.catalog.clone();
        Core::new(
            graph,
            Memo::default(),
            past,
            catalog,
            settings,
            self.observer(),
        )
    }

    fn observer(&self) -> Rc<dyn Observer> {
        Rc::clone(&self.marks) as Rc<dyn Observer>
    }

    fn started(&self) -> Started {
        let case = self.player.case;
        Started {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            run: run_id(self.actor.runs()),
            nonce: nonce(self.actor.runs()),
            file: case.program().root().path.clone(),
            workflow: case.checked.names.flow(case.flow).name().to_owned(),
            program: case.program().texts(),
            inputs: case
                .inputs
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_json()))
                .collect(),
            secrets: Vec::new(),
            environment: "test".into(),
            world: journal::World::Sim { scenario: None },
            catalog: BTreeMap::new(),
            principal: None,
            by: "test".into(),
            host: "here".into(),
            pid: 1,
        }
    }
}

fn resumed() -> Event {
    Event::Resumed {
        by: "test".into(),
        host: "here".into(),
        pid: 2,
    }
}

/// Everything was taken back before.
fn over() -> End {
    End {
        status: RunStatus::Done,
        why: None,
        failures: Vec::new(),
        outputs: BTreeMap::new(),
        gates: Vec::new(),
        stopped_at: None,
    }
}

impl Seen {
    fn of(core: &Core<'_>) -> Seen {
        let graph = core.graph();
        let named = |n: NodeId| Arc::clone(&graph.node(n).address);
        Seen {
            waits: waits(&graph),
            status: graph
                .nodes()
                .map(|n| (named(n), core.status(n).clone()))
                .collect(),
            addresses: graph.nodes().map(|n| (TaskId(n.0), named(n))).collect(),
        }
    }
}

/// Whether a node's end is an event of its own.
fn is_recorded(graph: &Graph<'_>, node: NodeId) -> bool {
    matches!(
        graph.node(node).work,
        Work::Step(_) | Work::Undo | Work::Assert(_) | Work::Checkpoint(_)
    )
}

fn waits(graph: &Graph<'_>) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
    let mut all = BTreeMap::new();
    for node in graph.nodes().filter(|n| is_recorded(graph, *n)) {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut next: Vec<NodeId> = graph.before(node).map(|(n, _)| n).collect();
        while let Some(before) = next.pop() {
            if !seen.insert(before) {
                continue;
            }
            if is_recorded(graph, before) {
                found.insert(Arc::clone(&graph.node(before).address));
            } else {
                next.extend(graph.before(before).map(|(n, _)| n));
            }
        }
        all.insert(Arc::clone(&graph.node(node).address), found);
    }
    all
}
