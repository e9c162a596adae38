//! What the journals of a state directory tell.

use serde_json::Value as Json;

use super::SessionError;
use crate::journal::{self, Event, State};
use crate::store::{Entry, RunFolder, StateDir};
use crate::world::Timestamp;

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

/// Whether every entry is an event that may stand where it does.
///
/// # Errors
/// Why not, for people.
pub fn understood(id: &str, entries: &[Entry]) -> Result<(), String> {
    if let Some(first) = entries.first() {
        not_newer(id, &first.body).map_err(|e| match e {
            SessionError::Journal(why) => why,
            other => format!("{other:?}"),
        })?;
    }
    let mut state = State::default();
    for entry in entries {
        let event: Event = serde_json::from_str(&entry.body)
            .map_err(|e| format!("entry {} cannot be understood: {e}", entry.seq))?;
        state
            .apply(entry.seq, entry.at, &event)
            .map_err(|illegal| illegal.to_string())?;
    }
    match state.started {
        Some(started) if started.run != id => Err(format!(
            "its head names run {id}, and its entries run {}",
            started.run
        )),
        _ => Ok(()),
    }
}

/// What a newer r5flow recorded may mean what this one cannot know: it is left alone.
pub(super) fn not_newer(id: &str, first: &str) -> Result<(), SessionError> {
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
