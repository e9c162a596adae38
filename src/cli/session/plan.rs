//! Plans: a dry run of the same core, and how long the real one will take.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc::unbounded_channel;

use super::history::history;
use super::load::{checked, choose, flow_error, has_errors, load, runtime, too_plain};
use super::{Options, Order, PlanView, SavedPlan, SessionError, Talk};
use crate::check::names::FlowId;
use crate::check::{self, Checked};
use crate::cli::hooks::RhaiHooks;
use crate::cli::world::{self, Choice, Open, Operator};
use crate::diag::{Diagnostic, Severity};
use crate::eval::Taint;
use crate::journal::{Event, RunStatus, Started, State};
use crate::package::Program;
use crate::plan::{CriticalPath, Graph, Memo, NodeId};
use crate::policy;
use crate::run::{Core, Embedded, InboxSource, Mode, Observer, Parts, PlanItem, Settings, drive};
use crate::store::{Journal, MemoryJournal, StateDir, Vault};
use crate::value::Value;
use crate::world::clock::Clock;
use crate::world::{Millis, Timestamp};

/// Makes the plan of a run, shows it, and keeps it in the file `out`.
pub fn plan(
    order: &Order,
    talk: &dyn Talk,
    out: Option<&Path>,
    show: impl FnOnce(&PlanView<'_>),
) -> Result<(), SessionError> {
    let (program, findings) = load(&order.file, &order.options.files)?;
    let (checked, findings) = checked(&program, findings, &order.options.catalog);
    if has_errors(&findings) {
        drop(checked);
        return Err(SessionError::Findings(Box::new(program), findings));
    }
    talk.warnings(&program, &findings);
    let flow = choose(&checked, order.workflow.as_deref())?;
    let inputs = match check::inputs(&checked.names, flow, order.given.clone()) {
        Ok(inputs) => inputs,
        Err(problems) => {
            drop(checked);
            return Err(SessionError::Inputs(Box::new(program), problems));
        }
    };
    let state = StateDir::open(&order.options.state)?;
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let open = world::open(&order.world, &order.options.catalog, &state, Timestamp(0))?;
    let planner = Planner {
        program: &program,
        checked: &checked,
        flow,
        inputs,
        options: &order.options,
        choice: &order.world,
        open: &open,
        state: &state,
        environment: order.options.environment.clone(),
        consented: false.into(),
    };
    let mut kept = Ok(());
    runtime.block_on(planner.plan(|view| {
        show(view);
        let sound = view.end.failures.is_empty() && !has_errors(&view.findings);
        if let Some(file) = out.filter(|_| sound) {
            kept = SavedPlan::of(&planner, view).and_then(|saved| saved.write(file));
        }
    }))?;
    kept
}

pub(super) struct Planner<'a, 'p> {
    pub(super) program: &'p Program,
    pub(super) checked: &'a Checked<'p>,
    pub(super) flow: FlowId,
    pub(super) inputs: BTreeMap<Arc<str>, Value>,
    pub(super) options: &'a Options,
    pub(super) choice: &'a Choice,
    pub(super) open: &'a Open,
    pub(super) state: &'a StateDir,
    /// The environment of the run.
    pub(super) environment: String,
    /// Somebody agreed that things are deleted in a protected environment.
    pub(super) consented: Cell<bool>,
}

impl Planner<'_, '_> {
    /// The name of the environment, when nothing is deleted in it yet.
    pub(super) fn spares(&self) -> Option<&str> {
        let spares = self.options.protection.spares(&self.environment) && !self.consented.get();
        spares.then_some(&self.environment)
    }

    /// Asks whether things may be deleted in a protected environment; `--yes` is no answer to that.
    pub(super) fn ask_to_destroy(
        &self,
        talk: &dyn Talk,
        environment: &str,
        count: usize,
    ) -> Result<(), SessionError> {
        match talk.confirm_destruction(environment, count) {
            Some(true) => {
                self.consented.set(true);
                Ok(())
            }
            Some(false) => Err(SessionError::NoAnswer("nothing was changed".into())),
            None => Err(SessionError::Decision(format!(
                "`{environment}` is protected, and {} would be deleted or replaced in it; `--yes` does not cover \
                 that: answer at a terminal, or say `--destroy {environment}`",
                crate::report::count(count, "thing")
            ))),
        }
    }

    pub(super) async fn plan(&self, show: impl FnOnce(&PlanView<'_>)) -> Result<(), SessionError> {
        let vault = Rc::new(self.vault()?);
        let made = self.starts(Mode::Plan);
        let mut core = self.core(Mode::Plan, State::default(), &vault)?;
        let mut engine = self.engine(
            Box::new(MemoryJournal::new()),
            Rc::clone(&vault),
            Rc::new(Silent),
        );
        let end = drive(&mut core, &mut engine, self.open.clock.now()).await?;
        let durations = self.durations().await;
        let graph = core.graph();
        let estimate = self.estimate(&graph, &durations);
        let findings = self.judged(&core, &vault, &|_| true);
        show(&PlanView {
            findings,
            program: self.program,
            workflow: self.checked.names.flow(self.flow).name(),
            world: self.choice.pinned(),
            made,
            items: in_order(core.plan()),
            graph: &graph,
            end,
            estimate,
            durations,
            mask: vault,
        });
        Ok(())
    }

    /// Nothing of what a resumed run has still before it may be what a policy calls an error.
    pub(super) async fn may_go_on(
        &self,
        past: &State,
        vault: &Rc<Vault>,
        talk: &dyn Talk,
    ) -> Result<(), SessionError> {
        if !policy::any(self.checked) {
            return Ok(());
        }
        let past = past.finished();
        let mut core = self.core(Mode::Plan, past.clone(), vault)?;
        let journal = Box::new(MemoryJournal::new());
        let mut engine = self.engine(journal, Rc::clone(vault), Rc::new(Silent));
        let _ = drive(&mut core, &mut engine, self.open.clock.now()).await?;
        let ahead = |node| {
            let address = Arc::clone(&core.graph().node(node).address);
            !past.steps.contains_key(&address)
        };
        let (errors, others): (Vec<_>, _) = self
            .judged(&core, vault, &ahead)
            .into_iter()
            .partition(|d| d.severity == Severity::Error);
        talk.warnings(self.program, &others);
        match errors.is_empty() {
            true => Ok(()),
            false => Err(SessionError::Refused(errors)),
        }
    }

    /// The findings of the policies about steps that send something, with secrets masked: messages show
    /// values of bodies.
    fn judged(
        &self,
        core: &Core<'_>,
        vault: &Vault,
        sends: &dyn Fn(NodeId) -> bool,
    ) -> Vec<Diagnostic> {
        let catalog = &self.options.catalog;
        let (graph, memo, seen) = (core.graph(), core.memo(), core.seen());
        let mut findings = policy::of_plan(self.checked, catalog, &graph, &memo, &seen, sends);
        for finding in &mut findings {
            finding.message = vault.mask(&finding.message);
            finding.help = finding.help.as_ref().map(|help| vault.mask(help));
        }
        findings
    }

    pub(super) fn vault(&self) -> Result<Vault, SessionError> {
        let key = self.state.key(&mut crate::world::random_bytes)?;
        let secrets = check::secrets_of(self.checked, self.flow, &self.inputs);
        if let Some((name, _)) = secrets.iter().find(|(_, value)| too_plain(value)) {
            return Err(SessionError::Usage(format!(
                "the secret `{name}` is so short or so plain a word that nothing could be told from it; \
                 choose a better one"
            )));
        }
        Ok(Vault::new(key, secrets)?)
    }

    pub(super) fn core(
        &self,
        mode: Mode,
        past: State,
        vault: &Rc<Vault>,
    ) -> Result<Core<'_>, SessionError> {
        let settings = Settings {
            spares: self.spares().map(str::to_owned),
            ..self.options.settings(mode)
        };
        self.core_with(settings, past, vault)
    }

    fn core_with(
        &self,
        settings: Settings,
        past: State,
        vault: &Rc<Vault>,
    ) -> Result<Core<'_>, SessionError> {
        let memo = Memo {
            hooks: past.hooks.clone(),
            run: Some(identity(
                past.started.as_ref(),
                past.began,
                self.starts(settings.mode),
            )),
            taint: Some(Rc::clone(vault) as Rc<dyn Taint>),
        };
        let graph = Graph::build(&self.checked.names, self.flow, self.inputs.clone(), &memo)
            .map_err(|e| flow_error(self.program, &e))?;
        if let Err(cycle) = graph.sorted() {
            let names: Vec<String> = cycle
                .0
                .iter()
                .map(|n| graph.node(*n).address.to_string())
                .collect();
            return Err(SessionError::Flow {
                place: self.program.root().path.clone(),
                message: format!("these steps wait for each other: {}", names.join(" → ")),
                help: None,
            });
        }
        let mut settings = settings;
        if settings.mode == Mode::Run && graph.len() > settings.parallel {
            settings.durations = Arc::new(self.remembered().unwrap_or_default());
        }
        Ok(Core::new(
            graph,
            memo,
            past,
            self.options.catalog.clone(),
            settings,
            Rc::new(Silent),
        ))
    }

    /// The moment at which a new run begins, or a plan thinks that it does.
    fn starts(&self, mode: Mode) -> Timestamp {
        let planned = self.options.planned_at.filter(|_| mode == Mode::Plan);
        planned.unwrap_or_else(|| self.open.clock.now())
    }

    pub(super) fn engine(
        &self,
        journal: Box<dyn Journal>,
        vault: Rc<Vault>,
        observer: Rc<dyn Observer>,
    ) -> Embedded {
        let (_, stops) = unbounded_channel();
        Embedded::new(Parts {
            journal,
            next_seq: 1,
            vault,
            wire: Rc::clone(&self.open.wire),
            clock: Rc::clone(&self.open.clock),
            hooks: Rc::new(RhaiHooks::of(self.program)),
            inbox: Rc::new(Nobody),
            observer,
            stops,
        })
    }

    /// How long steps take: on a copy of the simulated cloud the whole flow is simply run; elsewhere
    /// the newest finished run of the workflow tells.
    pub(super) async fn durations(&self) -> BTreeMap<Arc<str>, Millis> {
        match &self.open.sim {
            Some(sim) => self.rehearse(sim).await.unwrap_or_default(),
            None => self.remembered().unwrap_or_default(),
        }
    }

    pub(super) async fn rehearse(
        &self,
        sim: &world::SimWorld,
    ) -> Result<BTreeMap<Arc<str>, Millis>, SessionError> {
        use crate::sim::SimWire;
        use crate::world::clock::VirtualClock;
        let cloud: Rc<std::cell::RefCell<dyn crate::sim::durable::Cloud>> =
            Rc::new(std::cell::RefCell::new(sim.cloud.borrow().sim().clone()));
        let clock: Rc<dyn Clock> = Rc::new(VirtualClock::new(self.open.clock.now()));
        let watch = Rc::new(Durations::default());
        let vault = Rc::new(self.vault()?);
        let settings = self.options.settings(Mode::Run);
        let mut core = self.core_with(settings, State::default(), &vault)?;
        let (_, stops) = unbounded_channel();
        let mut engine = Embedded::new(Parts {
            journal: Box::new(MemoryJournal::new()),
            next_seq: 1,
            vault,
            wire: Rc::new(SimWire::new(Rc::clone(&cloud), Rc::clone(&clock))),
            clock: Rc::clone(&clock),
            hooks: Rc::new(RhaiHooks::of(self.program)),
            inbox: Rc::new(Operator::new(cloud, Rc::clone(&clock), &sim.scenario)),
            observer: Rc::clone(&watch) as Rc<dyn Observer>,
            stops,
        });
        drive(&mut core, &mut engine, clock.now()).await?;
        Ok(watch.0.borrow().clone())
    }

    pub(super) fn remembered(&self) -> Result<BTreeMap<Arc<str>, Millis>, SessionError> {
        let wanted = self.checked.names.flow(self.flow).name();
        for id in self.state.list_runs()?.into_iter().take(50) {
            let Ok(past) = history(self.state, &id) else {
                continue;
            };
            let same = past
                .state
                .started
                .as_ref()
                .is_some_and(|s| s.workflow == wanted);
            let done = past
                .state
                .ended
                .as_ref()
                .is_some_and(|e| e.status == RunStatus::Done);
            if same && done {
                return Ok(past
                    .state
                    .steps
                    .iter()
                    .filter_map(|(address, step)| {
                        let (_, at) = step.finished.as_ref()?;
                        Some((Arc::clone(address), at.since(step.began?)))
                    })
                    .collect());
            }
        }
        Ok(BTreeMap::new())
    }

    pub(super) fn estimate(
        &self,
        graph: &Graph<'_>,
        durations: &BTreeMap<Arc<str>, Millis>,
    ) -> Option<CriticalPath> {
        if durations.is_empty() {
            return None;
        }
        graph
            .critical_path(|n: NodeId| {
                durations
                    .get(&graph.node(n).address)
                    .copied()
                    .unwrap_or_default()
            })
            .ok()
    }
}

/// `run.id` and `run.started`.
pub(super) fn identity(started: Option<&Started>, began: Timestamp, now: Timestamp) -> Value {
    let (id, at) = match started {
        Some(started) => (started.run.clone(), began),
        None => ("00000000-0000-7000-8000-000000000000".to_owned(), now),
    };
    Value::record([
        ("id", Value::str(id)),
        ("started", Value::str(at.rfc3339())),
    ])
}

pub(super) fn in_order(mut items: Vec<PlanItem>) -> Vec<PlanItem> {
    items.sort_by_key(|i| i.node);
    items
}

/// Sees nothing.
pub(super) struct Silent;

impl Observer for Silent {}

/// Remembers how long each step took.
#[derive(Default)]
pub(super) struct Durations(std::cell::RefCell<BTreeMap<Arc<str>, Millis>>);

impl Observer for Durations {
    fn recorded(&self, event: &Event, at: Timestamp) {
        if let Event::Finished { address, began, .. } = event {
            self.0
                .borrow_mut()
                .insert(Arc::clone(address), at.since(*began));
        }
    }
}

/// Never answers a gate; a plan asks none.
pub(super) struct Nobody;

impl InboxSource for Nobody {
    fn ask(&self, _: crate::run::GateQuestion) -> crate::run::Local<'_, crate::run::GateAnswer> {
        Box::pin(std::future::pending())
    }

    fn patient(&self) -> bool {
        false
    }
}
