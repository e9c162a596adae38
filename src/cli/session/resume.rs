//! Going on where a run stopped.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::drift::looked_after;
use super::drive::Driving;
use super::edit;
use super::history::{History, find_run, history};
use super::load::{checked, choose, has_errors, load, runtime};
use super::plan::Planner;
use super::recorded::{plain, untagged};
use super::rollback::rollback;
use super::{Report, ResumeOrder, RollbackOrder, SessionError, Talk};
use crate::check::names::FlowId;
use crate::check::{self, Checked, Given};
use crate::cli::until;
use crate::cli::world::{self, Choice};
use crate::journal::{Event, RunStatus, Started, State};
use crate::package::Program;
use crate::run::{End, unsealed, unsealed_as_known};
use crate::store::{EnvLock, LockInfo, RunFolder, StateDir, StoreError, Vault};
use crate::value::Value;
use crate::world::{Machine, Timestamp};

/// Goes on where a run stopped.
pub fn resume(order: &ResumeOrder, talk: &dyn Talk) -> Result<Report, SessionError> {
    let options = &order.options;
    let state = StateDir::open(&options.state)?;
    let id = find_run(&state, order.run.as_deref())?;
    let (shown, started) = resumable(&state, &id)?;
    if shown.state.is_rolling_back() {
        if order.edits() {
            return Err(SessionError::Usage(format!(
                "run {id} is being rolled back, so its flow cannot be edited now: finish that first with \
                 `r5flow rollback {id}`"
            )));
        }
        return rollback(
            &RollbackOrder {
                resume: order.clone(),
                to: None,
                dry_run: false,
            },
            talk,
        );
    }
    if shown.state.is_rolled_back() {
        return Err(SessionError::Usage(format!(
            "run {id} was rolled back, so nothing is left to go on from: start anew with `r5flow run`"
        )));
    }
    if order.edits() {
        return edit::resume_edited(order, talk, state, shown, started);
    }
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
    let choice = world_of(order, &started)?;
    let machine = Machine::here();
    let (_lock, folder) = held(order, &state, &started, &shown)?;
    let (program, findings) = load(&started.file, &started.program)?;
    let ended = {
        let (checked, findings) = checked(&program, findings, &options.catalog);
        if has_errors(&findings) {
            drop(checked);
            return Err(SessionError::Findings(Box::new(program), findings));
        }
        let flow = choose(&checked, Some(&started.workflow))?;
        until::known(&checked, flow, options.until.as_deref())?;
        let inputs = inputs_again(&checked, flow, &started, order)?;
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
            environment: started.environment.clone(),
            consented: false.into(),
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
            edited: None,
            resumed: true,
        };
        runtime.block_on(async {
            let (past, vault) = (&driving.past, &driving.vault);
            looked_after(order, talk, &planner, past, vault).await?;
            planner.may_go_on(past, vault, talk).await?;
            driving.drive().await
        })
    };
    let ended = match ended {
        Err(SessionError::Refused(findings)) => {
            return Err(SessionError::Findings(Box::new(program), findings));
        }
        ended => ended?,
    };
    Ok(ended.report(program))
}

/// The world in which the run began, or the one that is named, if it is the same.
pub(super) fn world_of(order: &ResumeOrder, started: &Started) -> Result<Choice, SessionError> {
    let choice = match &order.world {
        Some(choice) => {
            world::same_world(&started.world, &choice.pinned()).map_err(SessionError::Decision)?;
            choice.clone()
        }
        None => {
            let settings = order.settings.clone();
            Choice::recorded(&started.world, &order.options.catalog, settings)?
        }
    };
    if !order.take_over && started.principal.is_some() && choice.sends_credentials() {
        let runtime = runtime()?;
        let now = runtime.block_on(choice.principal());
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        world::same_principal(started.principal.as_deref(), now.as_deref())
            .map_err(SessionError::Decision)?;
    }
    Ok(choice)
}

/// Makes this process the one that drives the run.
///
/// A take-over fences the run's own holder, and only that: an environment in which another run works is
/// held as before. The fence comes first, so that an environment is never free for others while the
/// old holder may still act in it.
pub(super) fn held(
    order: &ResumeOrder,
    state: &StateDir,
    started: &Started,
    shown: &History,
) -> Result<(EnvLock, RunFolder), SessionError> {
    let environment = &started.environment;
    let folder = shown.folder.clone();
    let info = LockInfo::new(&started.run, &Machine::here(), Timestamp::now());
    let held = match state.lock(environment, info.clone()) {
        Ok(lock) if order.take_over => (lock, folder.take_over()?),
        Ok(lock) => (lock, folder),
        Err(StoreError::Held(holder)) if order.take_over && holder.run == info.run => {
            let folder = folder.take_over()?;
            (state.take_over_lock(environment, info)?, folder)
        }
        Err(error) => return Err(error.into()),
    };
    unmoved(&shown.state, &history(state, &started.run)?.state)?;
    Ok(held)
}

/// What to do was chosen by what the journal told before the run was held: it must still hold.
fn unmoved(before: &State, now: &State) -> Result<(), SessionError> {
    let course = |state: &State| {
        let done = state.ended.as_ref().map(|e| e.status) == Some(RunStatus::Done);
        let back = (state.is_rolling_back(), state.is_rolled_back());
        (back, state.edits.len(), done)
    };
    match course(before) == course(now) {
        true => Ok(()),
        false => Err(SessionError::Usage(
            "another process has gone on with the run meanwhile; say it again".into(),
        )),
    }
}

/// A run that can be gone on with, as far as its journal goes.
pub(super) fn resumable(state: &StateDir, id: &str) -> Result<(History, Started), SessionError> {
    let mut shown = history(state, id)?;
    if let Some(damage) = &shown.damage {
        return Err(SessionError::Journal(format!(
            "the journal of run {id} is damaged: {damage}. `r5flow runs {id}` shows what it still tells; \
             restore the run's folder before it goes on"
        )));
    }
    match shown.state.started.take() {
        Some(started) => {
            shown.state.started = Some(started.clone());
            Ok((shown, started))
        }
        None => Err(SessionError::Journal(format!(
            "run {id} stopped before it had recorded anything, so nothing was done: start anew with `r5flow run`"
        ))),
    }
}

/// The recorded inputs, and the secrets given again.
pub(super) fn inputs_again(
    checked: &Checked<'_>,
    flow: FlowId,
    started: &Started,
    order: &ResumeOrder,
) -> Result<BTreeMap<Arc<str>, Value>, SessionError> {
    let mut inputs: BTreeMap<Arc<str>, Value> = started
        .inputs
        .iter()
        .filter(|(name, _)| !started.secrets.contains(name))
        .map(|(name, json)| (Arc::from(name.as_str()), untagged(json)))
        .collect();
    inputs.extend(secrets_again(checked, flow, started, order)?);
    Ok(inputs)
}

pub(super) fn finished_already(
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
pub(super) fn recovered(vault: &Vault, folder: &RunFolder) -> Result<State, SessionError> {
    let mut past = State::default();
    for (seq, at, event) in events(vault, folder)? {
        past.apply(seq, at, &event)
            .map_err(|e| SessionError::Journal(e.to_string()))?;
    }
    Ok(past)
}

/// The events of a journal with their secrets put back.
pub(super) fn events(
    vault: &Vault,
    folder: &RunFolder,
) -> Result<Vec<(u64, Timestamp, Event)>, SessionError> {
    let entries = folder.read()?.entries;
    // An edit may have come with other secrets; those from then on are the ones that count.
    let edited =
        |body: &str| body.starts_with("{\"event\":\"edited\"") && body.contains("\"source\"");
    let newest = entries
        .iter()
        .filter(|e| edited(&e.body))
        .map(|e| e.seq)
        .max();
    let opened = entries.iter().map(|entry| {
        let event = match newest.is_some_and(|newest| entry.seq < newest) {
            true => unsealed_as_known(vault, entry),
            false => unsealed(vault, entry),
        };
        event
            .map(|event| (entry.seq, entry.at, event))
            .map_err(|why| {
                SessionError::Decision(format!("entry {} of the journal: {why}", entry.seq))
            })
    });
    opened.collect()
}

/// The secrets that a resumed run needs again, given anew.
pub(super) fn secrets_again(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_did_before_the_lock_is_noticed() {
        let begun = State::default();
        let rolling = State {
            rollback: Some(crate::journal::Rollback {
                to: None,
                over: false,
            }),
            ..State::default()
        };
        assert!(unmoved(&begun, &begun).is_ok());
        assert!(unmoved(&begun, &rolling).is_err());
        assert!(unmoved(&rolling, &rolling).is_ok());
    }
}
