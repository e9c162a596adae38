//! A run from its first event to its last.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc::unbounded_channel;

use super::load::{checked, choose, has_errors, load, runtime, secret_names};
use super::plan::Planner;
use super::recorded::tagged;
use super::watch::listen_for_cancel;
use super::{Options, Order, PlanView, Report, SavedPlan, SessionError, Talk};
use crate::check::names::FlowId;
use crate::check::{self, Checked};
use crate::cli::hooks::RhaiHooks;
use crate::cli::until;
use crate::cli::world::{self, Mailbox, Operator, RemoteOperator};
use crate::diag::{Diagnostic, Severity};
use crate::journal::{self, Event, RunStatus, Started, State};
use crate::package::Program;
use crate::policy;
use crate::run::{Embedded, End, InboxSource, Mode, Parts, drive};
use crate::store::{LockInfo, RunFolder, StateDir, Vault};
use crate::value::Value;
use crate::world::{Machine, Timestamp};

/// Plans, asks, and runs.
pub fn run(order: &Order, talk: &dyn Talk) -> Result<Report, SessionError> {
    let (program, findings) = load(&order.file, &order.options.files)?;
    if let Some(saved) = &order.saved {
        saved.same_flow(&program)?;
    }
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
            Ok(inputs) => match run_checked(order, talk, &program, &checked, flow, inputs) {
                Err(SessionError::Refused(findings)) => {
                    drop(checked);
                    return Err(SessionError::Findings(Box::new(program), findings));
                }
                ended => ended,
            },
            Err(problems) => {
                drop(checked);
                return Err(SessionError::Inputs(Box::new(program), problems));
            }
        }
    }?;
    Ok(ended.report(program))
}

/// A report whose program is still borrowed.
pub(super) struct Ending {
    pub(super) run: String,
    pub(super) end: End,
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) secret_outputs: Vec<String>,
}

impl Ending {
    pub(super) fn report(self, program: Program) -> Report {
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

pub(super) fn run_checked<'p>(
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
        environment: options.environment.clone(),
        consented: false.into(),
    };
    runtime.block_on(async {
        if let Some(saved) = &order.saved {
            still_holds(&planner, saved).await?;
        }
        consent(&planner, talk, order.saved.is_some()).await?;
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
            principal: order.world.principal().await,
            by: options.by.clone(),
            host: machine.host.clone(),
            pid: machine.pid,
        };
        let mut past = State::default();
        let first = Event::Started(Box::new(started));
        let now = open.clock.now();
        past.apply(1, now, &first)
            .map_err(|e| SessionError::Journal(e.to_string()))?;
        let driven = Driving {
            vault: Rc::new(planner.vault()?),
            planner: &planner,
            talk,
            folder,
            past,
            first,
            edited: None,
            resumed: false,
        };
        driven.drive().await
    })
}

/// The plan that was approved must still be the plan.
async fn still_holds(planner: &Planner<'_, '_>, saved: &SavedPlan) -> Result<(), SessionError> {
    let mut held = Ok(());
    planner.plan(|view| held = saved.holds(view)).await?;
    held
}

/// Shows the plan and asks whether it may be run; a kept plan was agreed to already. What it destroys
/// in a protected environment is asked for by itself, and no yes covers what a policy calls an error.
async fn consent(
    planner: &Planner<'_, '_>,
    talk: &dyn Talk,
    agreed: bool,
) -> Result<(), SessionError> {
    let agreed = agreed || planner.options.yes;
    let settled = agreed && planner.spares().is_none();
    if settled && !policy::any(planner.checked) {
        return Ok(());
    }
    let mut answer = Ok(None);
    let mut destroys = 0;
    planner
        .plan(|view| {
            destroys = view.items.iter().filter(|i| i.destroys()).count();
            let of_error = |d: &Diagnostic| d.severity == Severity::Error;
            let (errors, others): (Vec<_>, _) = view.findings.iter().cloned().partition(of_error);
            talk.warnings(view.program, &others);
            answer = match (first_failure(view), agreed) {
                _ if !errors.is_empty() => Err(SessionError::Refused(errors)),
                (Some(failure), _) if !settled => Err(failure),
                (_, true) => Ok(Some(true)),
                (_, false) => Ok(talk.confirm(view)),
            };
        })
        .await?;
    match answer? {
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
    match planner.spares().filter(|_| destroys > 0) {
        Some(environment) => planner.ask_to_destroy(talk, environment, destroys),
        None => Ok(()),
    }
}

/// An assertion or a read that fails in the plan already.
pub(super) fn first_failure(view: &PlanView<'_>) -> Option<SessionError> {
    let (address, failure) = view.end.failures.first()?;
    Some(SessionError::Flow {
        place: failure.place.clone(),
        message: format!("{address}: {}", failure.message),
        help: failure.help.clone(),
    })
}

pub(super) struct Driving<'a, 'p> {
    pub(super) planner: &'a Planner<'a, 'p>,
    /// Knows also what hooks made of secrets in earlier processes.
    pub(super) vault: Rc<Vault>,
    pub(super) talk: &'a dyn Talk,
    pub(super) folder: RunFolder,
    pub(super) past: State,
    /// The first event of this process.
    pub(super) first: Event,
    /// What an edit makes of the past; recorded behind the first event.
    pub(super) edited: Option<Event>,
    pub(super) resumed: bool,
}

impl Driving<'_, '_> {
    pub(super) async fn drive(self) -> Result<Ending, SessionError> {
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
        let newer = world::other_revisions(&started.catalog, &options.catalog);
        if !newer.is_empty() {
            self.talk.other_descriptions(&newer);
        }
        let mut past = self.past.clone();
        if let Some(edited) = &self.edited {
            past.apply(past.seq, open.clock.now(), edited)
                .map_err(|e| SessionError::Journal(e.to_string()))?;
        }
        let mut core = planner.core(Mode::Run, past, &vault)?;
        core.watch(Rc::clone(&observer));
        let next_seq = if self.resumed { self.past.seq + 1 } else { 1 };
        let inbox = self.inbox(options).await?;
        let began = self.past.began;
        // A fresh run's first event is yet to come.
        let past = match self.resumed {
            true => self.past,
            false => State::default(),
        };
        let cancelled = listen_for_cancel(self.folder.clone(), stop.clone(), self.resumed)?;
        let mut engine = Embedded::new(Parts {
            journal: Box::new(self.folder.committer()?),
            next_seq,
            vault: Rc::clone(&vault),
            wire: Rc::clone(&open.wire),
            clock: Rc::clone(&open.clock),
            hooks: Rc::new(RhaiHooks::of(planner.program)),
            inbox,
            observer,
            stops,
        })
        .lawful(past);
        listen_for_signals(stop);
        engine.record(self.first).await?;
        if let Some(edited) = self.edited {
            engine.record(edited).await?;
        }
        let mut end = drive(&mut core, &mut engine, open.clock.now()).await?;
        if end.status == RunStatus::Cancelled {
            end.why = cancelled.told();
        }
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
            began,
            ended: open.clock.now(),
            secret_outputs,
        })
    }

    pub(super) async fn inbox(
        &self,
        options: &Options,
    ) -> Result<Rc<dyn InboxSource>, SessionError> {
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
pub(super) fn listen_for_signals(stop: tokio::sync::mpsc::UnboundedSender<()>) {
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
