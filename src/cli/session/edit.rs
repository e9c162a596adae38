//! Going on with an edited flow, or doing steps again: the verdicts first, then consent, then the run.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::drift::looked_after;
use super::drive::Driving;
use super::history::{History, history};
use super::load::{checked, choose, has_errors, load, runtime, secret_names};
use super::plan::{Planner, Silent};
use super::recorded::{plain, tagged, untagged};
use super::resume::{held, resumable, world_of};
use super::{EditView, Order, Report, ResumeOrder, SessionError, Talk};
use crate::check::names::FlowId;
use crate::check::{self, Checked, Given};
use crate::cli::until;
use crate::cli::world::{self, Choice};
use crate::diag::Diagnostic;
use crate::eval::Taint;
use crate::journal::{CarriedOver, Edited, Event, RunStatus, Source, Started, State};
use crate::package::Program;
use crate::plan::{Graph, Memo};
use crate::run::edit::{Compared, Reviewed, Side, Wishes, review};
use crate::run::unsealed_as_known;
use crate::store::{Entry, MemoryJournal, StateDir, Vault};
use crate::syntax::ast::Item;
use crate::value::Value;
use crate::world::{Machine, Timestamp};

type Inputs = BTreeMap<Arc<str>, Value>;

pub(super) fn resume_edited(
    order: &ResumeOrder,
    talk: &dyn Talk,
    state: StateDir,
    shown: History,
    started: Started,
) -> Result<Report, SessionError> {
    let choice = world_of(order, &started)?;
    let (_lock, folder) = held(order, &state, &started, &shown)?;
    let run = Run {
        state: &state,
        choice: &choice,
        at: shown.state.at,
        started: &started,
        entries: folder.read()?.entries,
    };
    let warn = |program: &Program, findings: &[Diagnostic]| {
        if order.edited {
            talk.warnings(program, findings);
        }
    };
    let (ended, program) = compared(order, &run, &warn, |runtime, editing, old| {
        runtime.block_on(async {
            looked_after(order, talk, old, editing.past, &editing.vault).await?;
            let lines = editing.review(old).await?;
            let edited = editing.event(&lines);
            editing.obeys(&edited, talk).await?;
            editing.consent(&lines, talk)?;
            let machine = Machine::here();
            let driving = Driving {
                planner: editing.planner,
                vault: Rc::clone(&editing.vault),
                talk,
                folder,
                past: editing.past.clone(),
                first: Event::Resumed {
                    by: order.options.by.clone(),
                    host: machine.host,
                    pid: machine.pid,
                },
                edited: Some(edited),
                resumed: true,
            };
            driving.drive().await
        })
    })?;
    Ok(ended.report(program))
}

/// Whether a run of this flow has not come to its end.
pub fn under_way(state: &StateDir, id: &str, file: &str, workflow: Option<&str>) -> bool {
    let Ok(past) = history(state, id).map(|h| h.state) else {
        return false;
    };
    let plain = |file: &str| file.trim_start_matches("./").to_owned();
    let done = past
        .ended
        .as_ref()
        .is_some_and(|e| e.status == RunStatus::Done);
    let same = past
        .started
        .as_ref()
        .is_some_and(|s| plain(&s.file) == plain(file) && workflow.is_none_or(|w| w == s.workflow));
    same && !done && !past.is_rolled_back()
}

/// What a run would make of the flow as the order has it, and of how many steps only a person can say what
/// they are. Nothing is held, recorded or changed.
pub fn foresee(
    order: &Order,
    state: &StateDir,
    id: &str,
    show: impl FnOnce(&EditView<'_>),
) -> Result<usize, SessionError> {
    let (shown, started) = resumable(state, id)?;
    if shown.state.is_rolling_back() {
        return Err(SessionError::Usage("it is being rolled back".into()));
    }
    let mut given = order.given.clone();
    given.retain(|name, _| started.secrets.contains(name));
    let order = ResumeOrder {
        run: Some(id.to_owned()),
        given,
        world: None,
        settings: Default::default(),
        take_over: false,
        edited: true,
        wishes: Wishes::default(),
        refresh: false,
        options: order.options.clone(),
    };
    let run = Run {
        state,
        choice: &world_of(&order, &started)?,
        at: shown.state.at,
        started: &started,
        entries: shown.folder.read()?.entries,
    };
    let (undecided, _) = compared(&order, &run, &|_, _| {}, |runtime, editing, old| {
        let lines = runtime.block_on(editing.review(old))?;
        let view = EditView {
            run: id,
            lines: &lines,
            mask: &editing.vault,
        };
        show(&view);
        Ok(view.undecided())
    })?;
    Ok(undecided)
}

/// A run that has an end still before it.
struct Run<'r> {
    state: &'r StateDir,
    choice: &'r Choice,
    /// When it recorded last.
    at: Timestamp,
    started: &'r Started,
    entries: Vec<Entry>,
}

/// Puts the recorded flow and the edited one side by side.
fn compared<R>(
    order: &ResumeOrder,
    run: &Run<'_>,
    warn: &dyn Fn(&Program, &[Diagnostic]),
    work: impl FnOnce(&Runtime, &Editing<'_, '_>, &Planner<'_, '_>) -> Result<R, SessionError>,
) -> Result<(R, Program), SessionError> {
    let started = run.started;
    let catalog = &order.options.catalog;
    let (recorded, _) = load(&started.file, &started.program)?;
    let (program, findings) = match order.edited {
        true => load(&started.file, &order.options.files)?,
        false => load(&started.file, &started.program)?,
    };
    let done = {
        let (old_checked, _) = checked(&recorded, Vec::new(), catalog);
        let (new_checked, findings) = checked(&program, findings, catalog);
        if has_errors(&findings) {
            drop(new_checked);
            return Err(SessionError::Findings(Box::new(program), findings));
        }
        warn(&program, &findings);
        let old_flow = choose(&old_checked, Some(&started.workflow))?;
        let flow = choose(&new_checked, Some(&started.workflow))?;
        until::known(&new_checked, flow, order.options.until.as_deref())?;
        let inputs = inputs(&new_checked, flow, started, order)?;
        let runtime = runtime()?;
        let _entered = runtime.enter();
        let open = world::open(run.choice, catalog, run.state, run.at)?;
        let planner = Planner {
            program: &program,
            checked: &new_checked,
            flow,
            inputs,
            options: &order.options,
            choice: run.choice,
            open: &open,
            state: run.state,
            environment: started.environment.clone(),
            consented: false.into(),
        };
        let vault = Rc::new(planner.vault()?);
        let past = known(&vault, &run.entries)?;
        let editing = Editing {
            order,
            planner: &planner,
            vault: Rc::clone(&vault),
            past: &past,
        };
        let old = Planner {
            program: &recorded,
            checked: &old_checked,
            flow: old_flow,
            inputs: recorded_inputs(&past),
            environment: started.environment.clone(),
            consented: false.into(),
            ..planner
        };
        work(&runtime, &editing, &old)
    };
    match done {
        Err(SessionError::Refused(findings)) => {
            Err(SessionError::Findings(Box::new(program), findings))
        }
        done => Ok((done?, program)),
    }
}

struct Editing<'a, 'p> {
    order: &'a ResumeOrder,
    planner: &'a Planner<'a, 'p>,
    vault: Rc<Vault>,
    past: &'a State,
}

impl Editing<'_, '_> {
    async fn review(&self, old: &Planner<'_, '_>) -> Result<Vec<Reviewed>, SessionError> {
        let memo = |hooks| Memo {
            hooks,
            run: Some(super::plan::identity(
                self.past.started.as_ref(),
                self.past.began,
                self.past.began,
            )),
            taint: Some(Rc::clone(&self.vault) as Rc<dyn Taint>),
        };
        let mut old_engine = self.engine(old);
        let mut new_engine = self.engine(self.planner);
        let recorded = side(old, memo(self.past.hooks.clone()))?;
        // What a hook brought counts only as long as its text is the same; computing is cheap.
        let hooks = match self.order.edited {
            true => BTreeMap::new(),
            false => self.past.hooks.clone(),
        };
        let compared = Compared {
            past: self.past.clone(),
            old: recorded,
            new: side(self.planner, memo(hooks))?,
            catalog: self.planner.options.catalog.clone(),
            now: self.planner.open.clock.now(),
            wishes: Wishes {
                moved: moved(self.planner.program),
                ..self.order.wishes.clone()
            },
            edited: self.order.edited,
        };
        review(compared, &mut old_engine, &mut new_engine)
            .await
            .map_err(|unknown| SessionError::Usage(unknown.0))
    }

    fn engine(&self, planner: &Planner<'_, '_>) -> crate::run::Embedded {
        let journal = Box::new(MemoryJournal::new());
        planner.engine(journal, Rc::clone(&self.vault), Rc::new(Silent))
    }

    /// What the edit leaves to do is judged before anybody is asked.
    async fn obeys(&self, edited: &Event, talk: &dyn Talk) -> Result<(), SessionError> {
        let mut past = self.past.clone();
        let now = self.planner.open.clock.now();
        past.apply(past.seq, now, edited)
            .map_err(|e| SessionError::Journal(e.to_string()))?;
        self.planner.may_go_on(&past, &self.vault, talk).await
    }

    /// Nothing that is recorded is given up, and nothing done again, without a person's yes.
    fn consent(&self, lines: &[Reviewed], talk: &dyn Talk) -> Result<(), SessionError> {
        let run = self.past.started.as_ref().map_or("", |s| s.run.as_str());
        let view = EditView {
            run,
            lines,
            mask: &self.vault,
        };
        let undecided = view.undecided();
        let asks = undecided == 0 && view.changes() && !self.order.options.yes;
        let answer = talk.review(&view, asks);
        if undecided > 0 {
            let steps = crate::report::count(undecided, "step");
            return Err(SessionError::Decision(format!(
                "{steps} could be meant in two ways, and nothing was changed; each says above what decides it"
            )));
        }
        match answer {
            Some(true) => Ok(()),
            Some(false) => Err(SessionError::NoAnswer("nothing was changed".into())),
            None => Err(SessionError::NoAnswer(
                "the edit waits for a yes, and there is no terminal to give it; look at what it does above, \
                 then resume again with `--yes`"
                    .into(),
            )),
        }
    }

    fn event(&self, lines: &[Reviewed]) -> Event {
        let planner = self.planner;
        let (secrets, _) = secret_names(planner.checked, planner.flow);
        let source = Source {
            program: planner.program.texts(),
            inputs: planner
                .inputs
                .iter()
                .map(|(k, v)| (k.to_string(), tagged(v)))
                .collect(),
            secrets,
            catalog: world::revisions(&planner.options.catalog),
        };
        let steps: Vec<CarriedOver> = lines.iter().filter_map(|l| l.became.clone()).collect();
        Event::Edited(Box::new(Edited {
            by: planner.options.by.clone(),
            source: self.order.edited.then_some(source),
            steps,
        }))
    }
}

pub(super) fn side<'a>(planner: &'a Planner<'_, '_>, memo: Memo) -> Result<Side<'a>, SessionError> {
    let graph = Graph::build(
        &planner.checked.names,
        planner.flow,
        planner.inputs.clone(),
        &memo,
    )
    .map_err(|e| super::load::flow_error(planner.program, &e))?;
    Ok(Side { graph, memo })
}

/// The journal with its secrets put back as far as they are the same still.
fn known(vault: &Vault, entries: &[Entry]) -> Result<State, SessionError> {
    let mut past = State::default();
    for entry in entries {
        let event = unsealed_as_known(vault, entry).map_err(|why| {
            SessionError::Journal(format!("entry {} of the journal: {why}", entry.seq))
        })?;
        past.apply(entry.seq, entry.at, &event)
            .map_err(|e| SessionError::Journal(e.to_string()))?;
    }
    Ok(past)
}

fn recorded_inputs(past: &State) -> Inputs {
    let recorded = past.started.as_ref().map(|s| &s.inputs);
    let all = recorded.into_iter().flatten();
    all.map(|(name, json)| (Arc::from(name.as_str()), untagged(json)))
        .collect()
}

/// The recorded inputs, with what is given now over them, as the edited flow wants them.
fn inputs(
    checked: &Checked<'_>,
    flow: FlowId,
    started: &Started,
    order: &ResumeOrder,
) -> Result<Inputs, SessionError> {
    let wanted = &checked.names.flow(flow).inputs;
    let mut given = order.given.clone();
    for input in wanted {
        let name = input.name.text.to_string();
        if let Some(json) = started.inputs.get(&name)
            && !started.secrets.contains(&name)
        {
            given.entry(name).or_insert_with(|| Given::Json {
                value: plain(json),
                origin: "the journal".into(),
            });
        }
    }
    check::inputs(&checked.names, flow, given).map_err(|problems| {
        let list: Vec<String> = problems.iter().map(|p| p.message.clone()).collect();
        SessionError::Usage(list.join("; "))
    })
}

/// What the file of the flow says of moved steps.
fn moved(program: &Program) -> Vec<(String, String)> {
    let items = program.root().file.items.iter();
    items
        .filter_map(|item| match item {
            Item::Moved(moved) => Some(moved.addresses()),
            _ => None,
        })
        .collect()
}
