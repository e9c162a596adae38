//! `r5flow approve`

use super::args::Approve;
use super::failure::{Exit, Failure};
use super::settings::Settings;
use super::{session, world};
use crate::diag::nearest;
use crate::journal::{Gate, State, World};
use crate::report::one_line;
use crate::store::{InboxItem, InboxKind, Posted};
use crate::world::{Machine, Timestamp};

pub fn approve(args: &Approve, settings: &Settings) -> Result<Exit, Failure> {
    let state = settings.state_dir()?;
    let blame = |e| Failure::of(e, settings);
    let id = session::find_run(&state, Some(&args.run)).map_err(blame)?;
    let history = session::history(&state, &id).map_err(blame)?;
    let gate = match history
        .state
        .steps
        .get(args.step.as_str())
        .and_then(|s| s.gate.as_ref())
    {
        Some(gate) => gate,
        None => return Err(not_waiting(&history.state, &args.step)),
    };
    if let Some((approved, by, _, at)) = &gate.answer {
        let by = match &gate.host {
            Some(host) => format!("{by} on {host}"),
            None => by.clone(),
        };
        return said_before(args, *approved, &by, *at, settings);
    }
    if let Some(why) = over(&history.state, &args.step, gate) {
        return Err(Failure::usage(why).help(format!("`r5flow resume {id}` asks again")));
    }
    let item = InboxItem {
        key: world::gate_key(&args.step, &gate.hash),
        kind: match args.deny {
            true => InboxKind::Deny,
            false => InboxKind::Approve,
        },
        by: settings.environment.user(),
        host: Machine::here().host,
        note: args.note.clone().unwrap_or_default(),
        at: Timestamp::now(),
        text_hash: gate.hash.clone(),
    };
    let word = if args.deny { "denied" } else { "approved" };
    match history.folder.inbox()?.post(&item)? {
        Posted::New => {
            let text = one_line(&gate.text);
            settings
                .terminal
                .line(format_args!("`{}` {word}: {text}", args.step))?;
        }
        Posted::Already(first) | Posted::Contrary(first) => {
            let approved = first.kind == InboxKind::Approve;
            let by = match first.host.as_str() {
                "" => first.by,
                host => format!("{} on {host}", first.by),
            };
            said_before(args, approved, &by, first.at, settings)?;
        }
    }
    if history.state.ended.is_some() {
        settings
            .terminal
            .line(format_args!("go on with `r5flow resume {id}`"))?;
    }
    Ok(Exit::Done)
}

/// The gate has its answer: to say the same again is fine, the opposite is refused.
fn said_before(
    args: &Approve,
    approved: bool,
    by: &str,
    at: Timestamp,
    settings: &Settings,
) -> Result<Exit, Failure> {
    let word = if approved { "approved" } else { "denied" };
    let at = at.rfc3339();
    if approved == args.deny {
        return Err(Failure::usage(format!(
            "`{}` was {word} before, by {by} at {at}; the first answer stands",
            args.step
        )));
    }
    settings.terminal.line(format_args!(
        "`{}` was {word} already, by {by} at {at}",
        args.step
    ))?;
    Ok(Exit::Done)
}

/// Why no answer can count any more: the time for it is over.
fn over(state: &State, step: &str, gate: &Gate) -> Option<String> {
    let simulated = matches!(
        state.started.as_ref().map(|s| &s.world),
        Some(World::Sim { .. })
    );
    // The simulator's clock is its own: only what it recorded tells how late it is.
    let now = match simulated {
        true => state.at,
        false => state.at.max(Timestamp::now()),
    };
    let expired = gate.expires.filter(|end| now > *end);
    if let Some(end) = expired {
        return Some(format!("the gate `{step}` expired at {}", end.rfc3339()));
    }
    let finished = state.steps.get(step)?.finished.is_some();
    finished.then(|| format!("the gate `{step}` is closed"))
}

fn not_waiting(state: &State, step: &str) -> Failure {
    let waiting: Vec<&str> = state
        .order
        .iter()
        .filter(|address| {
            let gate = state.steps.get(*address).and_then(|s| s.gate.as_ref());
            gate.is_some_and(|g| g.answer.is_none())
        })
        .map(|address| &**address)
        .collect();
    let failure = Failure::usage(format!("`{step}` does not wait for an approval"));
    match (nearest(step, waiting.iter().copied()), waiting.as_slice()) {
        (Some(near), _) => failure.help(format!("did you mean `{near}`?")),
        (None, []) => failure.help("nothing of this run waits for one"),
        (None, all) => failure.help(format!("these do: {}", all.join(", "))),
    }
}
