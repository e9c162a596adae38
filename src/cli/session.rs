//! A run, assembled: program, inputs, world, graph, core, engine; and its end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::mpsc::unbounded_channel;

use super::hooks::RhaiHooks;
use super::until;
use super::world::{self, Choice, Mailbox, Open, Operator, RemoteOperator};
use crate::catalog::Catalog;
use crate::check::names::FlowId;
use crate::check::{self, Checked, Given, InputProblem};
use crate::diag::Diagnostic;
use crate::eval::EvalError;
use crate::journal::{self, Event, RunStatus, Started, State};
use crate::package::{self, Files, Program};
use crate::plan::{CriticalPath, Graph, Memo, NodeId};
use crate::run::{
    Core, Embedded, End, InboxSource, Mode, Observer, Parts, PlanItem, Settings, drive, unsealed,
};
use crate::store::{
    Journal, LockInfo, MemoryJournal, RunFolder, StateDir, StoreError, Vault, VaultError,
};
use crate::value::Value;
use crate::world::clock::Clock;
use crate::world::{Machine, Millis, Timestamp};

/// Why a session cannot begin or go on; the command line turns it into words and an exit code.
#[derive(Debug)]
pub enum SessionError {
    /// The command was misused.
    Usage(String),
    /// A file of the flow cannot be read.
    Unreadable {
        file: String,
        why: String,
    },
    /// The flow has errors.
    Findings(Box<Program>, Vec<Diagnostic>),
    Inputs(Box<Program>, Vec<InputProblem>),
    /// The flow does not fit these inputs: place, message, help.
    Flow {
        place: String,
        message: String,
        help: Option<String>,
    },
    Secret(VaultError),
    Store(StoreError),
    /// The journal tells something that no r5flow writes.
    Journal(String),
    World(String),
    /// Only a person can decide.
    Decision(String),
    /// A needed answer, and nobody to give it.
    NoAnswer(String),
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        SessionError::Store(error)
    }
}

impl From<VaultError> for SessionError {
    fn from(error: VaultError) -> Self {
        SessionError::Secret(error)
    }
}

/// What plan and run need to know.
#[derive(Clone, Debug)]
pub struct Order {
    pub file: String,
    pub workflow: Option<String>,
    pub given: BTreeMap<String, Given>,
    pub world: Choice,
    pub options: Options,
}

/// What plan, run and resume share.
#[derive(Clone, Debug)]
pub struct Options {
    pub catalog: Catalog,
    pub state: PathBuf,
    pub environment: String,
    pub parallel: usize,
    pub until: Option<String>,
    /// Nobody is asked.
    pub yes: bool,
    /// Whether gates may wait here for an answer from elsewhere.
    pub interactive: bool,
    /// Who runs it.
    pub by: String,
}

impl Options {
    fn settings(&self, mode: Mode) -> Settings {
        Settings {
            parallel: self.parallel,
            until: self.until.clone(),
            ..Settings::new(mode)
        }
    }
}

/// What resume needs to know.
#[derive(Clone, Debug)]
pub struct ResumeOrder {
    /// The start of a run's id; the newest run when there is none.
    pub run: Option<String>,
    /// Secrets again, and nothing else.
    pub given: BTreeMap<String, Given>,
    /// `None`: the world in which it began.
    pub world: Option<Choice>,
    pub settings: crate::cloud::Settings,
    pub take_over: bool,
    pub options: Options,
}

/// What a plan found.
pub struct PlanView<'v> {
    pub program: &'v Program,
    pub workflow: &'v str,
    pub world: journal::World,
    pub items: Vec<PlanItem>,
    pub graph: &'v Graph<'v>,
    /// Steps that fail already, with why.
    pub end: End,
    /// How long each step will take, as far as the simulator or an earlier run can tell.
    pub durations: BTreeMap<Arc<str>, Millis>,
    pub estimate: Option<CriticalPath>,
    pub mask: Rc<Vault>,
}

impl PlanView<'_> {
    pub fn changes(&self) -> bool {
        self.items.iter().any(|i| i.action.changes())
    }
}

/// How a run ended.
pub struct Report {
    pub run: String,
    pub end: End,
    pub began: Timestamp,
    pub ended: Timestamp,
    pub secret_outputs: Vec<String>,
    pub program: Program,
}

/// Who is talked to meanwhile.
pub trait Talk {
    /// Findings that do not stop anything.
    fn warnings(&self, program: &Program, findings: &[Diagnostic]);
    /// The plan of a run, before anything changes. `None`: nobody is there to answer.
    fn confirm(&self, plan: &PlanView<'_>) -> Option<bool>;
    /// A run begins, or goes on.
    fn begins(&self, run: &str, started: &Started, resumed: bool);
    /// Sees the events of the run; what it shows is masked by the vault.
    fn observer(&self, vault: Rc<Vault>, clock: Rc<dyn Clock>) -> Rc<dyn Observer>;
}

/// Reads a flow with everything it uses.
pub fn load(file: &str, files: &dyn Files) -> Result<(Program, Vec<Diagnostic>), SessionError> {
    package::load(file, files).map_err(|why| SessionError::Unreadable {
        file: file.to_owned(),
        why,
    })
}

/// Checks a program; errors end here.
pub fn checked<'p>(
    program: &'p Program,
    findings: Vec<Diagnostic>,
    catalog: &Catalog,
) -> (Checked<'p>, Vec<Diagnostic>) {
    let checked = check::check_with(program, catalog, &super::hooks::syntax);
    let mut all = findings;
    all.extend(checked.diagnostics.iter().cloned());
    all.sort_by_key(|d| (d.span, d.code));
    (checked, all)
}

/// The workflow that is meant.
pub fn choose(checked: &Checked<'_>, wanted: Option<&str>) -> Result<FlowId, SessionError> {
    let root = checked.names.program.root();
    let flows: Vec<_> = checked.names.flows_of(root.id).collect();
    let names: Vec<&str> = flows.iter().map(|f| f.name()).collect();
    let list = || {
        names
            .iter()
            .map(|n| format!("`{n}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (wanted, flows.as_slice()) {
        (None, [one]) => Ok(one.id),
        (None, []) => Err(SessionError::Usage(format!(
            "`{}` has no workflow",
            root.path
        ))),
        (None, _) => Err(SessionError::Usage(format!(
            "`{}` has several workflows; name one of {}",
            root.path,
            list()
        ))),
        (Some(wanted), _) => match flows.iter().find(|f| f.name() == wanted) {
            Some(flow) => Ok(flow.id),
            None => {
                let near = crate::diag::nearest(wanted, names.iter().copied());
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has {}", list()),
                };
                Err(SessionError::Usage(format!(
                    "`{}` has no workflow `{wanted}`; {hint}",
                    root.path
                )))
            }
        },
    }
}

fn has_errors(findings: &[Diagnostic]) -> bool {
    findings
        .iter()
        .any(|d| d.severity == crate::diag::Severity::Error)
}

fn flow_error(program: &Program, error: &EvalError) -> SessionError {
    SessionError::Flow {
        place: program.sources.place(error.span),
        message: error.message.clone(),
        help: error.help.clone(),
    }
}

/// The secrets among the inputs of a workflow, as the vault wants them.
fn secrets_of(
    checked: &Checked<'_>,
    flow: FlowId,
    inputs: &BTreeMap<Arc<str>, Value>,
) -> Vec<(String, String)> {
    let mut secrets = Vec::new();
    for input in checked.names.flow(flow).inputs.iter().filter(|i| i.secret) {
        if let Some(value) = inputs.get(&input.name.text) {
            leaves(&input.name.text, value, &mut secrets);
        }
    }
    secrets
}

/// Whether a secret could stand in any text by chance, the journal's own words among them.
fn too_plain(value: &str) -> bool {
    value.chars().count() < 4 || journal::OWN_WORDS.contains(value)
}

fn leaves(name: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Str(text) if !text.is_empty() => out.push((name.to_owned(), text.to_string())),
        Value::List(items) => {
            for (i, item) in items.iter().enumerate() {
                leaves(&format!("{name}.{i}"), item, out);
            }
        }
        Value::Map(fields) => {
            for (key, item) in fields.iter() {
                leaves(&format!("{name}.{key}"), item, out);
            }
        }
        _ => {}
    }
}

fn secret_names(checked: &Checked<'_>, flow: FlowId) -> (Vec<String>, Vec<String>) {
    let flow = checked.names.flow(flow);
    let inputs = flow
        .inputs
        .iter()
        .filter(|i| i.secret)
        .map(|i| i.name.text.to_string());
    let outputs = flow
        .outputs
        .iter()
        .filter(|o| o.secret)
        .map(|o| o.name.text.to_string());
    (inputs.collect(), outputs.collect())
}

fn runtime() -> Result<tokio::runtime::Runtime, SessionError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| SessionError::World(format!("this machine gives no event loop: {e}")))
}

/// Makes the plan of a run and shows it.
pub fn plan(
    order: &Order,
    talk: &dyn Talk,
    show: impl FnOnce(&PlanView<'_>),
) -> Result<(), SessionError> {
    let (program, findings) = load(&order.file, &package::Disk)?;
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
    };
    runtime.block_on(planner.plan(show))
}

struct Planner<'a, 'p> {
    program: &'p Program,
    checked: &'a Checked<'p>,
    flow: FlowId,
    inputs: BTreeMap<Arc<str>, Value>,
    options: &'a Options,
    choice: &'a Choice,
    open: &'a Open,
    state: &'a StateDir,
}

impl Planner<'_, '_> {
    async fn plan(&self, show: impl FnOnce(&PlanView<'_>)) -> Result<(), SessionError> {
        let vault = Rc::new(self.vault()?);
        let mut core = self.core(Mode::Plan, State::default())?;
        let mut engine = self.engine(
            Box::new(MemoryJournal::new()),
            Rc::clone(&vault),
            Rc::new(Silent),
        );
        let end = drive(&mut core, &mut engine, self.open.clock.now()).await?;
        let durations = self.durations().await;
        let graph = core.graph();
        let estimate = self.estimate(&graph, &durations);
        show(&PlanView {
            program: self.program,
            workflow: self.checked.names.flow(self.flow).name(),
            world: self.choice.pinned(),
            items: in_order(core.plan()),
            graph: &graph,
            end,
            estimate,
            durations,
            mask: vault,
        });
        Ok(())
    }

    fn vault(&self) -> Result<Vault, SessionError> {
        let key = self.state.key(&mut crate::world::random_bytes)?;
        let secrets = secrets_of(self.checked, self.flow, &self.inputs);
        if let Some((name, _)) = secrets.iter().find(|(_, value)| too_plain(value)) {
            return Err(SessionError::Usage(format!(
                "the secret `{name}` is so short or so plain a word that nothing could be told from it; \
                 choose a better one"
            )));
        }
        Ok(Vault::new(key, secrets)?)
    }

    fn core(&self, mode: Mode, past: State) -> Result<Core<'_>, SessionError> {
        let memo = Memo {
            hooks: past.hooks.clone(),
            run: Some(identity(
                past.started.as_ref(),
                past.began,
                self.open.clock.now(),
            )),
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
        Ok(Core::new(
            graph,
            memo,
            past,
            self.options.catalog.clone(),
            self.options.settings(mode),
            Rc::new(Silent),
        ))
    }

    fn engine(
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
    async fn durations(&self) -> BTreeMap<Arc<str>, Millis> {
        match &self.open.sim {
            Some(sim) => self.rehearse(sim).await.unwrap_or_default(),
            None => self.remembered().unwrap_or_default(),
        }
    }

    async fn rehearse(
        &self,
        sim: &world::SimWorld,
    ) -> Result<BTreeMap<Arc<str>, Millis>, SessionError> {
        use crate::sim::SimWire;
        use crate::world::clock::VirtualClock;
        let cloud: Rc<std::cell::RefCell<dyn crate::sim::durable::Cloud>> =
            Rc::new(std::cell::RefCell::new(sim.cloud.borrow().sim().clone()));
        let clock: Rc<dyn Clock> = Rc::new(VirtualClock::new(self.open.clock.now()));
        let watch = Rc::new(Durations::default());
        let mut core = self.core(Mode::Run, State::default())?;
        let (_, stops) = unbounded_channel();
        let mut engine = Embedded::new(Parts {
            journal: Box::new(MemoryJournal::new()),
            next_seq: 1,
            vault: Rc::new(self.vault()?),
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

    fn remembered(&self) -> Result<BTreeMap<Arc<str>, Millis>, SessionError> {
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

    fn estimate(
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
fn identity(started: Option<&Started>, began: Timestamp, now: Timestamp) -> Value {
    let (id, at) = match started {
        Some(started) => (started.run.clone(), began),
        None => ("00000000-0000-7000-8000-000000000000".to_owned(), now),
    };
    Value::record([
        ("id", Value::str(id)),
        ("started", Value::str(at.rfc3339())),
    ])
}

fn in_order(mut items: Vec<PlanItem>) -> Vec<PlanItem> {
    items.sort_by_key(|i| i.node);
    items
}

/// Sees nothing.
struct Silent;

impl Observer for Silent {}

/// Remembers how long each step took.
#[derive(Default)]
struct Durations(std::cell::RefCell<BTreeMap<Arc<str>, Millis>>);

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
struct Nobody;

impl InboxSource for Nobody {
    fn ask(&self, _: crate::run::GateQuestion) -> crate::run::Local<'_, crate::run::GateAnswer> {
        Box::pin(std::future::pending())
    }

    fn patient(&self) -> bool {
        false
    }
}

/// Plans, asks, and runs.
pub fn run(order: &Order, talk: &dyn Talk) -> Result<Report, SessionError> {
    let (program, findings) = load(&order.file, &package::Disk)?;
    let ended = {
        let (checked, findings) = checked(&program, findings, &order.options.catalog);
        if has_errors(&findings) {
            drop(checked);
            return Err(SessionError::Findings(Box::new(program), findings));
        }
        talk.warnings(&program, &findings);
        let flow = choose(&checked, order.workflow.as_deref())?;
        until::known(&checked, flow, order.options.until.as_deref())?;
        match check::inputs(&checked.names, flow, order.given.clone()) {
            Ok(inputs) => run_checked(order, talk, &program, &checked, flow, inputs),
            Err(problems) => {
                drop(checked);
                return Err(SessionError::Inputs(Box::new(program), problems));
            }
        }
    }?;
    Ok(ended.report(program))
}

/// A report whose program is still borrowed.
struct Ending {
    run: String,
    end: End,
    began: Timestamp,
    ended: Timestamp,
    secret_outputs: Vec<String>,
}

impl Ending {
    fn report(self, program: Program) -> Report {
        Report {
            run: self.run,
            end: self.end,
            began: self.began,
            ended: self.ended,
            secret_outputs: self.secret_outputs,
            program,
        }
    }
}

fn run_checked<'p>(
    order: &Order,
    talk: &dyn Talk,
    program: &'p Program,
    checked: &Checked<'p>,
    flow: FlowId,
    inputs: BTreeMap<Arc<str>, Value>,
) -> Result<Ending, SessionError> {
    let options = &order.options;
    let state = StateDir::open(&options.state)?;
    let machine = Machine::here();
    let run = crate::world::run_id(Timestamp::now(), &mut crate::world::random_bytes);
    let _lock = state.lock(
        &options.environment,
        LockInfo::new(&run, &machine, Timestamp::now()),
    )?;
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let open = world::open(&order.world, &options.catalog, &state, Timestamp(0))?;
    let planner = Planner {
        program,
        checked,
        flow,
        inputs,
        options,
        choice: &order.world,
        open: &open,
        state: &state,
    };
    runtime.block_on(async {
        if !options.yes {
            let mut answer = None;
            let mut broken = None;
            planner
                .plan(|view| match first_failure(view) {
                    Some(failure) => broken = Some(failure),
                    None => answer = talk.confirm(view),
                })
                .await?;
            if let Some(failure) = broken {
                return Err(failure);
            }
            match answer {
                Some(true) => {}
                Some(false) => return Err(SessionError::NoAnswer("nothing was changed".into())),
                None => {
                    return Err(SessionError::NoAnswer(
                        "the plan waits for a yes, and there is no terminal to give it; look at `r5flow plan`, \
                         then run again with `--yes`"
                            .into(),
                    ));
                }
            }
        }
        let folder = state.create_run(&run)?;
        let mut nonce = [0u8; 16];
        crate::world::random_bytes(&mut nonce);
        let (secrets, _) = secret_names(checked, flow);
        let started = Started {
            format: journal::FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            run: run.clone(),
            nonce: nonce.iter().map(|b| format!("{b:02x}")).collect(),
            file: order.file.clone(),
            workflow: checked.names.flow(flow).name().to_owned(),
            program: program.texts(),
            inputs: planner
                .inputs
                .iter()
                .map(|(k, v)| (k.to_string(), tagged(v)))
                .collect(),
            secrets,
            environment: options.environment.clone(),
            world: order.world.pinned(),
            catalog: world::revisions(&options.catalog),
            by: options.by.clone(),
            host: machine.host.clone(),
            pid: machine.pid,
        };
        let mut past = State::default();
        let first = Event::Started(Box::new(started));
        let now = open.clock.now();
        past.apply(1, now, &first).map_err(|e| SessionError::Journal(e.to_string()))?;
        let driven = Driving {
            vault: Rc::new(planner.vault()?),
            planner: &planner,
            talk,
            folder,
            past,
            first,
            resumed: false,
        };
        driven.drive().await
    })
}

/// An assertion or a read that fails in the plan already.
fn first_failure(view: &PlanView<'_>) -> Option<SessionError> {
    let (address, failure) = view.end.failures.first()?;
    Some(SessionError::Flow {
        place: failure.place.clone(),
        message: format!("{address}: {}", failure.message),
        help: failure.help.clone(),
    })
}

struct Driving<'a, 'p> {
    planner: &'a Planner<'a, 'p>,
    /// Knows also what hooks made of secrets in earlier processes.
    vault: Rc<Vault>,
    talk: &'a dyn Talk,
    folder: RunFolder,
    past: State,
    /// The first event of this process.
    first: Event,
    resumed: bool,
}

impl Driving<'_, '_> {
    async fn drive(self) -> Result<Ending, SessionError> {
        let planner = self.planner;
        let open = planner.open;
        let options = planner.options;
        let vault = Rc::clone(&self.vault);
        let (stop, stops) = unbounded_channel();
        let observer = self
            .talk
            .observer(Rc::clone(&vault), Rc::clone(&open.clock));
        let Some(started) = self.past.started.clone() else {
            return Err(SessionError::Journal("the journal has no beginning".into()));
        };
        self.talk.begins(&started.run, &started, self.resumed);
        let mut core = planner.core(Mode::Run, self.past.clone())?;
        core.watch(Rc::clone(&observer));
        let next_seq = if self.resumed { self.past.seq + 1 } else { 1 };
        let mut engine = Embedded::new(Parts {
            journal: Box::new(self.folder.committer()?),
            next_seq,
            vault: Rc::clone(&vault),
            wire: Rc::clone(&open.wire),
            clock: Rc::clone(&open.clock),
            hooks: Rc::new(RhaiHooks::of(planner.program)),
            inbox: self.inbox(options).await?,
            observer,
            stops,
        });
        engine.record(self.first.clone()).await?;
        listen_for_signals(stop.clone());
        listen_for_cancel(self.folder.clone(), stop);
        let end = drive(&mut core, &mut engine, open.clock.now()).await?;
        let (_, secret_outputs) = secret_names(planner.checked, planner.flow);
        let last = Event::Ended(Box::new(end.event(secret_outputs.clone())));
        engine.record(last).await?;
        engine.close();
        if let Some(sim) = &open.sim {
            let mut cloud = sim.cloud.borrow_mut();
            cloud
                .passed(open.clock.now())
                .map_err(|e| SessionError::World(e.to_string()))?;
        }
        Ok(Ending {
            run: started.run,
            end,
            began: self.past.began,
            ended: open.clock.now(),
            secret_outputs,
        })
    }

    async fn inbox(&self, options: &Options) -> Result<Rc<dyn InboxSource>, SessionError> {
        let open = self.planner.open;
        if options.yes
            && let Some(operator) = RemoteOperator::of(self.planner.choice, &open.wire).await
        {
            return Ok(Rc::new(operator));
        }
        Ok(match &open.sim {
            Some(sim) if options.yes => Rc::new(Operator::new(
                Rc::clone(&sim.cloud),
                Rc::clone(&open.clock),
                &sim.scenario,
            )),
            sim => Rc::new(Mailbox {
                inbox: self.folder.inbox()?,
                cloud: sim.as_ref().map(|s| Rc::clone(&s.cloud)),
                clock: Rc::clone(&open.clock),
                patient: options.interactive,
            }),
        })
    }
}

/// The first signal stops the run, the second ends the process; both leave it resumable.
fn listen_for_signals(stop: tokio::sync::mpsc::UnboundedSender<()>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    tokio::spawn(async move {
        for count in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if count > 0 {
                std::process::exit(8);
            }
            let _ = stop.send(());
        }
    });
}

/// How often a run looks whether somebody cancelled it.
const CANCEL_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

/// `r5flow cancel` of another process.
fn listen_for_cancel(folder: RunFolder, stop: tokio::sync::mpsc::UnboundedSender<()>) {
    tokio::spawn(async move {
        let mut seen = None;
        loop {
            tokio::time::sleep(CANCEL_EVERY).await;
            let items = folder
                .inbox()
                .and_then(|inbox| inbox.poll(0))
                .unwrap_or_default();
            let cancels = items
                .iter()
                .filter(|(_, i)| i.kind == crate::store::InboxKind::Cancel)
                .map(|(n, _)| *n)
                .max();
            if seen.is_none() {
                // A cancel of an earlier process was for that process.
                seen = Some(cancels);
            } else if seen != Some(cancels) {
                seen = Some(cancels);
                let _ = stop.send(());
            }
        }
    });
}

/// What a journal tells, damaged or not.
pub struct History {
    pub folder: RunFolder,
    pub state: State,
    pub events: Vec<(u64, Timestamp, Event)>,
    pub damage: Option<String>,
}

/// Reads a run for showing it; secrets stay sealed.
pub fn history(state: &StateDir, id: &str) -> Result<History, SessionError> {
    let folder = state.open_run(id)?;
    let contents = folder.read()?;
    let mut history = History {
        folder,
        state: State::default(),
        events: Vec::new(),
        damage: contents.damage.map(|d| d.to_string()),
    };
    if let Some(first) = contents.entries.first() {
        not_newer(id, &first.body)?;
    }
    for entry in &contents.entries {
        let event: Event = match serde_json::from_str(&entry.body) {
            Ok(event) => event,
            Err(error) => {
                let what = format!("entry {} cannot be understood: {error}", entry.seq);
                history.damage.get_or_insert(what);
                break;
            }
        };
        if let Err(illegal) = history.state.apply(entry.seq, entry.at, &event) {
            history.damage.get_or_insert(illegal.to_string());
            break;
        }
        history.events.push((entry.seq, entry.at, event));
    }
    Ok(history)
}

/// What a newer r5flow recorded may mean what this one cannot know: it is left alone.
fn not_newer(id: &str, first: &str) -> Result<(), SessionError> {
    let started: Json = serde_json::from_str(first).unwrap_or_default();
    match started["format"].as_u64() {
        Some(format) if format > u64::from(journal::FORMAT) => Err(SessionError::Journal(format!(
            "run {id} was written by a newer r5flow ({}; its journal has format {format}, this one reads up to {}); update r5flow",
            started["version"].as_str().unwrap_or("?").escape_debug(),
            journal::FORMAT
        ))),
        _ => Ok(()),
    }
}

/// The run that is meant: by the start of its id, or the newest.
pub fn find_run(state: &StateDir, wanted: Option<&str>) -> Result<String, SessionError> {
    match wanted {
        Some(start) => match state.find_run(start)? {
            Some(id) => Ok(id),
            None => {
                let fitting = state
                    .list_runs()?
                    .into_iter()
                    .filter(|id| id.starts_with(start))
                    .count();
                Err(SessionError::Usage(match fitting {
                    0 => format!(
                        "there is no run `{start}` here; `r5flow runs` lists those there are"
                    ),
                    n => format!("{n} runs begin with `{start}`; write more of the id"),
                }))
            }
        },
        None => state.list_runs()?.into_iter().next().ok_or_else(|| {
            SessionError::Usage(
                "there is no run here; `--state` names another state directory".into(),
            )
        }),
    }
}

/// Goes on where a run stopped.
pub fn resume(order: &ResumeOrder, talk: &dyn Talk) -> Result<Report, SessionError> {
    let options = &order.options;
    let state = StateDir::open(&options.state)?;
    let id = find_run(&state, order.run.as_deref())?;
    let shown = history(&state, &id)?;
    if let Some(damage) = shown.damage {
        return Err(SessionError::Journal(format!(
            "the journal of run {id} is damaged: {damage}. `r5flow runs {id}` shows what it still tells; \
             restore the run's folder before it goes on"
        )));
    }
    let Some(started) = shown.state.started.clone() else {
        return Err(SessionError::Journal(format!(
            "run {id} stopped before it had recorded anything, so nothing was done: start anew with `r5flow run`"
        )));
    };
    if let Some(ended) = shown
        .state
        .ended
        .as_ref()
        .filter(|e| e.status == RunStatus::Done)
    {
        let outputs = ended
            .outputs
            .iter()
            .map(|(k, v)| (k.clone(), Value::from_json(v)))
            .collect();
        return finished_already(
            &started,
            &shown.state,
            outputs,
            ended.secret_outputs.clone(),
        );
    }
    let choice = match &order.world {
        Some(choice) => {
            world::same_world(&started.world, &choice.pinned()).map_err(SessionError::Decision)?;
            choice.clone()
        }
        None => Choice::recorded(&started.world, &options.catalog, order.settings.clone())?,
    };
    let machine = Machine::here();
    let info = LockInfo::new(&id, &machine, Timestamp::now());
    let _lock = match order.take_over {
        true => state.take_over_lock(&started.environment, info)?,
        false => state.lock(&started.environment, info)?,
    };
    let folder = match order.take_over {
        true => shown.folder.take_over()?,
        false => shown.folder,
    };
    let (program, findings) = load(&started.file, &started.program)?;
    let ended = {
        let (checked, findings) = checked(&program, findings, &options.catalog);
        if has_errors(&findings) {
            drop(checked);
            return Err(SessionError::Findings(Box::new(program), findings));
        }
        let flow = choose(&checked, Some(&started.workflow))?;
        until::known(&checked, flow, options.until.as_deref())?;
        let mut inputs: BTreeMap<Arc<str>, Value> = started
            .inputs
            .iter()
            .filter(|(name, _)| !started.secrets.contains(name))
            .map(|(name, json)| (Arc::from(name.as_str()), untagged(json)))
            .collect();
        inputs.extend(secrets_again(&checked, flow, &started, order)?);
        let runtime = runtime()?;
        let _entered = runtime.enter();
        let earliest = shown.state.at;
        let open = world::open(&choice, &options.catalog, &state, earliest)?;
        let planner = Planner {
            program: &program,
            checked: &checked,
            flow,
            inputs,
            options,
            choice: &choice,
            open: &open,
            state: &state,
        };
        let vault = Rc::new(planner.vault()?);
        let past = recovered(&vault, &folder)?;
        let resumed = Event::Resumed {
            by: options.by.clone(),
            host: machine.host.clone(),
            pid: machine.pid,
        };
        let driving = Driving {
            planner: &planner,
            vault,
            talk,
            folder,
            past,
            first: resumed,
            resumed: true,
        };
        runtime.block_on(driving.drive())
    }?;
    Ok(ended.report(program))
}

fn finished_already(
    started: &Started,
    state: &State,
    outputs: BTreeMap<String, Value>,
    secret_outputs: Vec<String>,
) -> Result<Report, SessionError> {
    Ok(Report {
        run: started.run.clone(),
        end: End {
            status: RunStatus::Done,
            why: Some("the run is done already; nothing was left to do".into()),
            failures: Vec::new(),
            outputs,
            gates: Vec::new(),
            stopped_at: None,
        },
        began: state.began,
        ended: state.at,
        secret_outputs,
        program: Program::default(),
    })
}

/// The journal with its secrets put back.
///
/// The vault learns from it what hooks made of secrets, so it must be the one that seals what follows.
fn recovered(vault: &Vault, folder: &RunFolder) -> Result<State, SessionError> {
    let mut past = State::default();
    for entry in folder.read()?.entries {
        let event = unsealed(vault, &entry).map_err(|why| {
            SessionError::Decision(format!("entry {} of the journal: {why}", entry.seq))
        })?;
        past.apply(entry.seq, entry.at, &event)
            .map_err(|e| SessionError::Journal(e.to_string()))?;
    }
    Ok(past)
}

/// The secrets that a resumed run needs again, given anew.
fn secrets_again(
    checked: &Checked<'_>,
    flow: FlowId,
    started: &Started,
    order: &ResumeOrder,
) -> Result<BTreeMap<Arc<str>, Value>, SessionError> {
    let mut given = order.given.clone();
    given.retain(|name, _| started.secrets.contains(name));
    let lacking: Vec<String> = started
        .secrets
        .iter()
        .filter(|name| started.inputs.contains_key(*name) && !given.contains_key(*name))
        .map(|name| format!("`{name}` (`R5FLOW_INPUT_{}`)", name.to_uppercase()))
        .collect();
    if !lacking.is_empty() {
        return Err(SessionError::Usage(format!(
            "resuming needs these secrets again, which no journal keeps: {}",
            lacking.join(", ")
        )));
    }
    // The other inputs are recorded; the reader only wants to see that they are there.
    for (name, json) in &started.inputs {
        given.entry(name.clone()).or_insert_with(|| Given::Json {
            value: plain(json),
            origin: "the journal".into(),
        });
    }
    let values = check::inputs(&checked.names, flow, given).map_err(|problems| {
        let list: Vec<String> = problems.iter().map(|p| p.message.clone()).collect();
        SessionError::Usage(list.join("; "))
    })?;
    Ok(values
        .into_iter()
        .filter(|(name, _)| started.secrets.iter().any(|s| **s == **name))
        .collect())
}

/// A value with its type: durations, percentages and sizes are no JSON.
fn tagged(value: &Value) -> Json {
    let one = |kind: &str, json: Json| serde_json::json!({ "$r5flow": kind, "value": json });
    match value {
        Value::Duration(span) => one("duration", span.0.into()),
        Value::Percent(p) => one("percent", (*p).into()),
        Value::Size(bytes) => one("size", (*bytes).into()),
        Value::List(items) => Json::Array(items.iter().map(tagged).collect()),
        Value::Map(fields) => Json::Object(
            fields
                .iter()
                .map(|(k, v)| (k.to_string(), tagged(v)))
                .collect(),
        ),
        plain => plain.to_json(),
    }
}

fn untagged(json: &Json) -> Value {
    let kind = json.get("$r5flow").and_then(Json::as_str);
    let inner = json.get("value");
    match (kind, inner) {
        (Some("duration"), Some(ms)) => Value::Duration(Millis(ms.as_i64().unwrap_or(0))),
        (Some("percent"), Some(p)) => Value::Percent(p.as_f64().unwrap_or(0.0)),
        (Some("size"), Some(bytes)) => Value::Size(bytes.as_u64().unwrap_or(0)),
        _ => match json {
            Json::Array(items) => Value::list(items.iter().map(untagged).collect()),
            Json::Object(fields) => Value::map(
                fields
                    .iter()
                    .map(|(k, v)| (Arc::from(k.as_str()), untagged(v)))
                    .collect(),
            ),
            plain => Value::from_json(plain),
        },
    }
}

/// A recorded input as a file would give it.
fn plain(json: &Json) -> Json {
    match untagged(json) {
        value @ (Value::Duration(_) | Value::Percent(_) | Value::Size(_)) => {
            Json::String(value.to_string())
        }
        Value::List(_) => json
            .as_array()
            .map(|a| a.iter().map(plain).collect())
            .unwrap_or_default(),
        Value::Map(_) => Json::Object(
            json.as_object()
                .map(|o| o.iter().map(|(k, v)| (k.clone(), plain(v))).collect())
                .unwrap_or_default(),
        ),
        value => value.to_json(),
    }
}
