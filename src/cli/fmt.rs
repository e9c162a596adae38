//! `r5flow fmt`

use std::path::Path;

use super::args::Fmt;
use super::failure::{Exit, Failure};
use super::flow::STDIN;
use super::settings::Settings;
use super::terminal;
use crate::diag::render;
use crate::fmt::{FmtError, diff, format};
use crate::package::{Disk, Files, decoded};
use crate::source::{Source, SourceMap};

pub fn fmt(args: &Fmt, settings: &Settings) -> Result<Exit, Failure> {
    let mut changes = false;
    let mut worst = Exit::Done;
    for file in &args.files {
        match one(file, args, settings) {
            Ok(changed) => changes |= changed,
            // The other files are formatted all the same.
            Err(failure) => {
                settings.terminal.blame(&failure);
                worst = failure.exit;
            }
        }
    }
    Ok(match worst {
        Exit::Done if changes && args.check => Exit::Changes,
        worst => worst,
    })
}

/// Formats one file and says whether that changed it, or would.
fn one(file: &str, args: &Fmt, settings: &Settings) -> Result<bool, Failure> {
    let (name, text) = match file {
        "-" => (STDIN, terminal::stdin_text()?),
        file => (file, text_of(file)?),
    };
    let mut map = SourceMap::default();
    let source = map.add(name, text);
    let formatted = format(&source).map_err(|error| refusal(error, &map, settings))?;
    let changed = *formatted != *source.text;
    let terminal = &settings.terminal;
    if args.diff {
        terminal.print(&diff(&source.text, &formatted, name))?;
    }
    match (args.check, args.diff) {
        (true, false) if changed => terminal.line(format_args!("{name} would change"))?,
        (false, false) if file == "-" => terminal.print(&formatted)?,
        (false, false) if changed => {
            write(file, &source, &formatted)?;
            terminal.tell(&format!("{name} formatted\n"));
        }
        _ => {}
    }
    Ok(changed)
}

fn refusal(error: FmtError, map: &SourceMap, settings: &Settings) -> Failure {
    match error {
        FmtError::Broken(findings) => {
            let text = render::text(map, &findings, settings.terminal.err.into());
            settings.terminal.tell(&text);
            Failure::new(Exit::Flow, FmtError::Broken(Vec::new()).to_string())
        }
        error @ FmtError::ChangedMeaning(_) => Failure::new(Exit::Bug, error.to_string()),
    }
}

fn text_of(file: &str) -> Result<String, Failure> {
    Disk.read(file)
        .and_then(decoded)
        .map_err(|why| Failure::usage(format!("`{file}` cannot be read: {why}")))
}

/// Replaces the file at once, so that no crash leaves half of it.
fn write(file: &str, source: &Source, text: &str) -> Result<(), Failure> {
    let fail =
        |e: std::io::Error| Failure::usage(format!("`{}` cannot be written: {e}", source.name));
    let path = std::fs::canonicalize(Path::new(file)).map_err(fail)?;
    let draft = path.with_extension(format!("r5flow-{}", std::process::id()));
    std::fs::write(&draft, text).map_err(fail)?;
    let replaced = std::fs::metadata(&path)
        .and_then(|old| std::fs::set_permissions(&draft, old.permissions()))
        .and_then(|()| std::fs::rename(&draft, &path));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    replaced.map_err(fail)
}
