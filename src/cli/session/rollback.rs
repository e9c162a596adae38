//! Taking back what a run did.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc::unbounded_channel;

use super::drive::{Ending, listen_for_signals};
use super::history::find_run;
use super::load::{checked, choose, load, runtime};
use super::plan::{Nobody, Planner};
use super::resume::{events, finished_already, held, inputs_again, resumable, world_of};
use super::watch::listen_for_cancel;
use super::{Report, RollbackOrder, SessionError, Talk};
use crate::cli::hooks::RhaiHooks;
use crate::cli::world;
use crate::journal::{Ended, Event, Ledger, RunStatus, Started, State, Verdict};
use crate::plan::{Graph, Memo};
use crate::report::rollback::outcome;
use crate::run::{Core, Embedded, End, Mode, Observer, Parts, Rollback, drive};
use crate::store::{RunFolder, StateDir, Vault};
use crate::world::Machine;

/// What a rollback will do, as it is shown before.
pub struct RollbackView<'v> {
    pub started: &'v Started,
    /// The checkpoint that it goes back to.
    pub to: Option<&'v str>,
    pub rollback: &'v Rollback,
    pub vault: &'v Vault,
    /// The name of the environment, when it is protected and nobody has agreed yet.
    pub spares: Option<&'v str>,
}

/// Takes back what a run did, or goes on doing so.
pub fn rollback(order: &RollbackOrder, talk: &dyn Talk) -> Result<Report, SessionError> {
    let resume = &order.resume;
    let options = &resume.options;
    let state = StateDir::open(&options.state)?;
    let id = find_run(&state, resume.run.as_deref())?;
    let (shown, started) = resumable(&state, &id)?;
    if shown.state.is_rolled_back() {
        let mut report = finished_already(&started, &shown.state, Default::default(), Vec::new())?;
        report.end.status = RunStatus::RolledBack;
        report.end.why = Some("it is rolled back already".into());
        return Ok(report);
    }
    let choice = world_of(resume, &started)?;
    let machine = Machine::here();
    let (_lock, folder) = held(resume, &state, &started, &shown)?;
    let (program, findings) = load(&started.file, &started.program)?;
    let ending = {
        // A rollback needs no more of the flow than its inputs, so mistakes in it are no hindrance.
        let (checked, _) = checked(&program, findings, &options.catalog);
        let flow = choose(&checked, Some(&started.workflow))?;
        let inputs = inputs_again(&checked, flow, &started, resume)?;
        let runtime = runtime()?;
        let _entered = runtime.enter();
        let open = world::open(&choice, &options.catalog, &state, shown.state.at)?;
        let planner = Planner {
            program: &program,
            checked: &checked,
            flow,
            inputs,
            options,
            choice: &choice,
            open: &open,
            state: &state,
            environment: started.environment.clone(),
            consented: false.into(),
        };
        let vault = Rc::new(planner.vault()?);
        let back = Back {
            order,
            planner: &planner,
            talk,
            folder,
            vault,
            machine,
            started,
        };
        runtime.block_on(back.roll())
    }?;
    Ok(ending.report(program))
}

struct Back<'a, 'p> {
    order: &'a RollbackOrder,
    planner: &'a Planner<'a, 'p>,
    talk: &'a dyn Talk,
    folder: RunFolder,
    vault: Rc<Vault>,
    machine: Machine,
    started: Started,
}

/// What a journal tells a rollback.
struct Past {
    state: State,
    ledger: Ledger,
    /// How the last process left the run.
    ended: Option<Ended>,
}

impl Back<'_, '_> {
    async fn roll(self) -> Result<Ending, SessionError> {
        let mut past = self.past()?;
        let to = self.to(&past)?;
        let entry = entry(&past.ledger, to.as_deref())?;
        let catalog = &self.planner.options.catalog;
        let mut found = Rollback::of(&past.ledger, catalog, entry);
        if self.order.dry_run {
            self.show(&found, to.as_deref());
            let end = over(RunStatus::Cancelled, "nothing was changed".into());
            return Ok(self.ending(&past, end));
        }
        let observer = self
            .talk
            .observer(Rc::clone(&self.vault), Rc::clone(&self.planner.open.clock));
        let mut writer = None;
        let before = past.ended.clone();
        if !found.open.is_empty() {
            let mut engine = self.engine(&past, &observer)?;
            engine.record(self.resumed()).await?;
            let end = self.settle(&found, &past, &observer, &mut engine).await?;
            past = self.past()?;
            found = Rollback::of(&past.ledger, catalog, entry);
            if end.status != RunStatus::Done {
                engine
                    .record(Event::Ended(Box::new(end.event(Vec::new()))))
                    .await?;
                return Ok(self.ending(&past, end));
            }
            writer = Some(engine);
        }
        if let Err(refused) = self.consent(&found, to.as_deref(), &past) {
            if let Some(mut engine) = writer {
                let left = before.unwrap_or(Ended {
                    status: RunStatus::Cancelled,
                    ..over(RunStatus::Cancelled, "it was not rolled back".into()).event(Vec::new())
                });
                engine.record(Event::Ended(Box::new(left))).await?;
            }
            return Err(refused);
        }
        let mut engine = match writer {
            Some(engine) => engine,
            None => self.engine(&past, &observer)?,
        };
        engine
            .record(Event::RollingBack {
                to: to.clone(),
                by: self.planner.options.by.clone(),
                host: self.machine.host.clone(),
                pid: self.machine.pid,
            })
            .await?;
        let end = self.undo(&found, &past, &observer, &mut engine).await?;
        Ok(self.ending(&past, end))
    }

    fn past(&self) -> Result<Past, SessionError> {
        let mut past = Past {
            state: State::default(),
            ledger: Ledger::default(),
            ended: None,
        };
        for (seq, at, event) in events(&self.vault, &self.folder)? {
            past.state
                .apply(seq, at, &event)
                .map_err(|e| SessionError::Journal(e.to_string()))?;
            past.ledger.apply(seq, &event);
        }
        past.ended = past.state.ended.clone();
        Ok(past)
    }

    /// Where the rollback goes back to; one that is under way goes where it was begun to go.
    fn to(&self, past: &Past) -> Result<Option<Arc<str>>, SessionError> {
        let wanted = self.order.to.as_deref();
        let under_way = past.state.rollback.as_ref().filter(|r| !r.over);
        match under_way {
            None => Ok(wanted.map(Arc::from)),
            Some(rollback) if wanted.is_none() || wanted == rollback.to.as_deref() => {
                Ok(rollback.to.clone())
            }
            Some(rollback) => Err(SessionError::Usage(format!(
                "a rollback to {} is under way; finish it first: `r5flow rollback {}`",
                match &rollback.to {
                    Some(to) => format!("the checkpoint `{to}`"),
                    None => "the beginning".into(),
                },
                self.started.run
            ))),
        }
    }

    fn view<'v>(&'v self, rollback: &'v Rollback, to: Option<&'v str>) -> RollbackView<'v> {
        RollbackView {
            started: &self.started,
            to,
            rollback,
            vault: &self.vault,
            spares: self.planner.spares(),
        }
    }

    fn show(&self, rollback: &Rollback, to: Option<&str>) {
        self.talk.rollback(&self.view(rollback, to));
    }

    /// Whether it may begin: by an answer, by `--yes`, or since it was begun before.
    fn consent(
        &self,
        rollback: &Rollback,
        to: Option<&str>,
        past: &Past,
    ) -> Result<(), SessionError> {
        let options = self.planner.options;
        let view = self.view(rollback, to);
        self.talk.rollback(&view);
        let destroys = rollback.deletions();
        if let (Some(environment), true) = (self.planner.spares(), destroys > 0) {
            return self
                .planner
                .ask_to_destroy(self.talk, environment, destroys);
        }
        if options.yes || past.state.is_rolling_back() {
            return Ok(());
        }
        match self.talk.confirm_rollback() {
            Some(true) => Ok(()),
            Some(false) => Err(SessionError::NoAnswer("nothing was undone".into())),
            None => Err(SessionError::NoAnswer(
                "the rollback waits for a yes, and there is no terminal to give it; say `--yes`"
                    .into(),
            )),
        }
    }

    fn resumed(&self) -> Event {
        Event::Resumed {
            by: self.planner.options.by.clone(),
            host: self.machine.host.clone(),
            pid: self.machine.pid,
        }
    }

    fn engine(&self, past: &Past, observer: &Rc<dyn Observer>) -> Result<Embedded, SessionError> {
        let open = self.planner.open;
        let (stop, stops) = unbounded_channel();
        listen_for_signals(stop.clone());
        listen_for_cancel(self.folder.clone(), stop, true)?;
        Ok(Embedded::new(Parts {
            journal: Box::new(self.folder.committer()?),
            next_seq: past.state.seq + 1,
            vault: Rc::clone(&self.vault),
            wire: Rc::clone(&open.wire),
            clock: Rc::clone(&open.clock),
            hooks: Rc::new(RhaiHooks::of(self.planner.program)),
            inbox: Rc::new(Nobody),
            observer: Rc::clone(observer),
            stops,
        })
        .lawful(past.state.clone()))
    }

    fn core<'g>(&self, graph: Graph<'g>, past: &Past, observer: &Rc<dyn Observer>) -> Core<'g> {
        let options = self.planner.options;
        let mut settings = options.settings(Mode::Rollback);
        settings.until = None;
        settings.spares = self.planner.spares().map(str::to_owned);
        Core::new(
            graph,
            Memo::default(),
            past.state.clone(),
            options.catalog.clone(),
            settings,
            Rc::clone(observer),
        )
    }

    /// Finds out what became of every open call; nothing is sent that changes anything.
    async fn settle(
        &self,
        found: &Rollback,
        past: &Past,
        observer: &Rc<dyn Observer>,
        engine: &mut Embedded,
    ) -> Result<End, SessionError> {
        let names = &self.planner.checked.names;
        let addresses = found.open_by_address().map(|(address, _)| address);
        let graph = Graph::settling(names, self.planner.flow, addresses.collect());
        let mut core = self.core(graph, past, observer);
        core.undo(found.open_by_address());
        Ok(drive(&mut core, engine, self.planner.open.clock.now()).await?)
    }

    async fn undo(
        &self,
        found: &Rollback,
        past: &Past,
        observer: &Rc<dyn Observer>,
        engine: &mut Embedded,
    ) -> Result<End, SessionError> {
        let graph = Graph::undoing(
            &self.planner.checked.names,
            self.planner.flow,
            found.spans(),
        );
        let mut core = self.core(graph, past, observer);
        core.undo(found.by_address());
        let mut end = drive(&mut core, engine, self.planner.open.clock.now()).await?;
        drop(core);
        if end.status == RunStatus::Done {
            let addresses = found.addresses.clone();
            engine.record(Event::Undone { addresses }).await?;
            end = over(RunStatus::RolledBack, self.told(found)?);
        }
        engine
            .record(Event::Ended(Box::new(end.event(Vec::new()))))
            .await?;
        if let Some(sim) = &self.planner.open.sim {
            let mut cloud = sim.cloud.borrow_mut();
            cloud
                .passed(self.planner.open.clock.now())
                .map_err(|e| SessionError::World(e.to_string()))?;
        }
        Ok(end)
    }

    /// How many calls were taken back, and how many were left.
    fn told(&self, found: &Rollback) -> Result<String, SessionError> {
        let now = self.past()?;
        let kept = found
            .spans()
            .iter()
            .filter_map(|span| now.state.steps.get(&span.address)?.verdict())
            .filter(|verdict| *verdict == Verdict::Kept)
            .count();
        Ok(outcome(found.undoing.len() - kept, kept))
    }

    fn ending(&self, past: &Past, end: End) -> Ending {
        Ending {
            run: self.started.run.clone(),
            end,
            began: past.state.began,
            ended: self.planner.open.clock.now(),
            secret_outputs: Vec::new(),
        }
    }
}

/// The entry behind which everything is undone.
fn entry(ledger: &Ledger, to: Option<&str>) -> Result<u64, SessionError> {
    let Some(to) = to else { return Ok(0) };
    ledger.reached(to).ok_or_else(|| {
        let reached: Vec<String> = ledger
            .checkpoints()
            .iter()
            .map(|c| format!("`{c}`"))
            .collect();
        SessionError::Usage(match reached.is_empty() {
            true => format!("the run has not reached the checkpoint `{to}`, nor any other"),
            false => format!(
                "the run has not reached the checkpoint `{to}`; it has reached {}",
                reached.join(", ")
            ),
        })
    })
}

fn over(status: RunStatus, why: String) -> End {
    End {
        status,
        why: Some(why),
        failures: Vec::new(),
        outputs: Default::default(),
        gates: Vec::new(),
        stopped_at: None,
    }
}
