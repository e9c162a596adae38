//! `r5flow cancel`

use super::args::Cancel;
use super::failure::{Exit, Failure};
use super::session;
use super::settings::Settings;
use crate::store::{InboxItem, InboxKind};
use crate::world::{Machine, Timestamp};

pub fn cancel(args: &Cancel, settings: &Settings) -> Result<Exit, Failure> {
    let state = settings.state_dir()?;
    let blame = |e| Failure::of(e, settings);
    let id = session::find_run(&state, Some(&args.run)).map_err(blame)?;
    let history = session::history(&state, &id).map_err(blame)?;
    if let Some(ended) = &history.state.ended {
        return Err(Failure::usage(format!(
            "no process drives run {id}: it is {}",
            ended.status.as_str()
        )));
    }
    // Before its first record nothing tells which environment it holds.
    let started = history.state.started.as_ref();
    let driven = match started {
        Some(started) => {
            let holder = state.holder(&started.environment)?;
            holder.is_some_and(|holder| holder.run == id)
        }
        None => true,
    };
    if !driven {
        return Err(
            Failure::usage(format!("no process drives run {id}: the last one died"))
                .help(format!("`r5flow resume {id}` goes on with it")),
        );
    }
    let at = Timestamp::now();
    let by = settings.environment.user();
    history.folder.inbox()?.post(&InboxItem {
        // Each wish is one of its own.
        key: format!("cancel#{}#{}", at.0, std::process::id()),
        kind: InboxKind::Cancel,
        by,
        host: Machine::here().host,
        note: String::new(),
        at,
        text_hash: String::new(),
    })?;
    settings.terminal.line(format_args!(
        "run {id} was asked to stop; what it has sent is brought to its end first"
    ))?;
    Ok(Exit::Done)
}
