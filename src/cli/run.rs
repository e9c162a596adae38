//! `r5flow run`

use super::args::Run;
use super::failure::{Exit, Failure};
use super::session::SavedPlan;
use super::settings::Settings;
use super::talk::Speaker;
use super::{order, session};
use crate::package::{Disk, Files};

pub fn run(args: &Run, settings: &Settings) -> Result<Exit, Failure> {
    let workflow = args.workflow.as_deref();
    let order = match saved(&args.file, settings)? {
        Some(plan) => order::of_plan(plan, workflow, &args.driving, settings)?,
        None => order::order(&args.file, workflow, &args.driving, settings)?,
    };
    let speaker = Speaker::new(settings, args.driving.json, &order.world);
    match session::run(&order, &speaker) {
        Ok(report) => speaker.ended(&report),
        Err(_) if speaker.declined() => Err(Failure::new(Exit::Cancelled, "nothing was changed")),
        Err(error) => Err(Failure::of(error, settings)),
    }
}

/// The plan that a file holds; a file that cannot be read is told of as a flow.
fn saved(file: &str, settings: &Settings) -> Result<Option<SavedPlan>, Failure> {
    let text = Disk.read(file).ok().and_then(|b| String::from_utf8(b).ok());
    text.and_then(|text| SavedPlan::in_text(&text))
        .transpose()
        .map_err(|e| Failure::of(e, settings))
}
