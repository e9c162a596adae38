//! `r5flow approve`

use super::args::Approve;
use super::failure::{Exit, Failure};
use super::settings::Settings;
use super::{session, world};
use crate::diag::nearest;
use crate::journal::State;
use crate::report::one_line;
use crate::store::{InboxItem, InboxKind, Posted};
use crate::world::Timestamp;

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
        let word = if *approved { "approved" } else { "denied" };
        return Err(Failure::usage(format!(
            "`{}` was {word} by {by} at {}",
            args.step,
            at.rfc3339()
        )));
    }
    let item = InboxItem {
        key: world::gate_key(&args.step, &gate.hash),
        kind: match args.deny {
            true => InboxKind::Deny,
            false => InboxKind::Approve,
        },
        by: settings.environment.user(),
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
        Posted::Already(first) => settings.terminal.line(format_args!(
            "`{}` was {word} already, by {} at {}",
            args.step,
            first.by,
            first.at.rfc3339()
        ))?,
        Posted::Contrary(first) => {
            return Err(Failure::usage(format!(
                "`{}` was answered the other way before, by {} at {}; the first answer stands",
                args.step,
                first.by,
                first.at.rfc3339()
            )));
        }
    }
    if history.state.ended.is_some() {
        settings
            .terminal
            .line(format_args!("go on with `r5flow resume {id}`"))?;
    }
    Ok(Exit::Done)
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
