//! `r5flow runs export` and `r5flow runs import`

use std::io::Write;
use std::path::Path;

use super::args::{RunsExport, RunsImport};
use super::failure::{Exit, Failure};
use super::session::{self, understood};
use super::settings::Settings;
use super::terminal;
use crate::store::{Exported, StateDir, StoreError};

pub fn export(args: &RunsExport, settings: &Settings) -> Result<Exit, Failure> {
    let state = settings.state_dir()?;
    let id = session::find_run(&state, Some(&args.run)).map_err(|e| Failure::of(e, settings))?;
    let exported = Exported::of(&id, state.open_run(&id)?.read()?)?;
    let text = exported.text();
    let Some(file) = &args.out else {
        settings.terminal.print(&text)?;
        return Ok(Exit::Done);
    };
    written(file, &text).map_err(|e| {
        Failure::new(
            Exit::Failed,
            format!("`{}` cannot be written: {e}", file.display()),
        )
    })?;
    settings.terminal.line(format_args!(
        "run {id} was written to {}, {} entries",
        file.display(),
        exported.entries.len()
    ))?;
    Ok(Exit::Done)
}

/// What it tells of a project is not for everybody on the machine.
fn written(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

pub fn import(args: &RunsImport, settings: &Settings) -> Result<Exit, Failure> {
    let name = args.file.display();
    let text = match args.file.to_str() {
        Some("-") => terminal::stdin_text()?,
        _ => std::fs::read_to_string(&args.file)
            .map_err(|e| Failure::usage(format!("`{name}` cannot be read: {e}")))?,
    };
    let refused = |why: String| {
        Failure::new(Exit::Failed, format!("`{name}` was not imported: {why}"))
            .help("nothing was changed here; export the run again")
    };
    let exported = Exported::parse(&text).map_err(|e| refused(e.to_string()))?;
    let id = &exported.run;
    understood(id, &exported.entries).map_err(refused)?;
    let state = StateDir::open(&settings.state)?;
    match state.import_run(&exported) {
        Ok(_) => {}
        Err(StoreError::RunExists(id)) => {
            return Err(Failure::usage(format!(
                "there is a run {id} here already; it is left as it is"
            ))
            .help("name another state directory with `--state`"));
        }
        Err(StoreError::BadRunId(_)) => {
            return Err(refused(format!("`{}` is no run's id", id.escape_debug())));
        }
        Err(error) => return Err(error.into()),
    }
    settings.terminal.line(format_args!(
        "run {id} was imported, {} entries: `r5flow runs {id}` shows it, `r5flow resume {id} --take-over` goes on with it",
        exported.entries.len()
    ))?;
    Ok(Exit::Done)
}
