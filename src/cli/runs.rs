//! `r5flow runs`

use super::args::{Runs, RunsCommand};
use super::exchange;
use super::failure::{Exit, Failure};
use super::session::{self, History};
use super::settings::Settings;
use crate::report::head;
use crate::report::runs as report;
use crate::report::runs::{Detail, Row};
use crate::store::StateDir;

pub fn runs(args: &Runs, settings: &Settings) -> Result<Exit, Failure> {
    match &args.command {
        Some(RunsCommand::Export(args)) => return exchange::export(args, settings),
        Some(RunsCommand::Import(args)) => return exchange::import(args, settings),
        None => {}
    }
    match &args.run {
        Some(run) => one(run, args.json, settings),
        None if !settings.state.exists() => list(args.json, Vec::new(), settings),
        None => {
            let state = settings.state_dir()?;
            let rows = state.list_runs()?.into_iter().map(|id| row(&state, id));
            list(args.json, rows.collect(), settings)
        }
    }
}

fn row(state: &StateDir, id: String) -> Row {
    match session::history(state, &id) {
        Ok(History { state, damage, .. }) => Row::of(id, &state, damage),
        Err(error) => Row::unreadable(id, error_text(error)),
    }
}

fn error_text(error: session::SessionError) -> String {
    match error {
        session::SessionError::Store(error) => error.to_string(),
        session::SessionError::Journal(why) => why,
        other => format!("{other:?}"),
    }
}

fn list(json: bool, rows: Vec<Row>, settings: &Settings) -> Result<Exit, Failure> {
    let terminal = &settings.terminal;
    if json {
        terminal.line(head("runs"))?;
        for row in &rows {
            terminal.line(row.json())?;
        }
    } else {
        terminal.print(&report::table(&rows, terminal.out))?;
    }
    Ok(match rows.iter().any(Row::is_damaged) {
        true => Exit::Failed,
        false => Exit::Done,
    })
}

fn one(run: &str, json: bool, settings: &Settings) -> Result<Exit, Failure> {
    let state = settings.state_dir()?;
    let blame = |e| Failure::of(e, settings);
    let id = session::find_run(&state, Some(run)).map_err(blame)?;
    let history = session::history(&state, &id).map_err(blame)?;
    let detail = Detail {
        id: &id,
        state: &history.state,
        events: &history.events,
    };
    let terminal = &settings.terminal;
    if json {
        for line in detail.json() {
            terminal.line(line)?;
        }
    } else {
        terminal.print(&detail.text(terminal.out))?;
    }
    match history.damage {
        None => Ok(Exit::Done),
        Some(damage) => Err(Failure::new(
            Exit::Failed,
            format!("the journal of run {id} is damaged: {damage}"),
        )
        .help("everything before the damage is shown above; restore the run's folder before it goes on")),
    }
}
