//! `r5flow completions`

use clap::CommandFactory;

use super::args::{Args, Completions};
use super::failure::{Exit, Failure};
use super::settings::Settings;

pub fn completions(args: &Completions, settings: &Settings) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "r5flow", &mut script);
    settings.terminal.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
