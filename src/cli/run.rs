//! `r5flow run`

use super::args::Run;
use super::failure::{Exit, Failure};
use super::settings::Settings;
use super::talk::Speaker;
use super::{order, session};

pub fn run(args: &Run, settings: &Settings) -> Result<Exit, Failure> {
    let order = order::order(
        &args.file,
        args.workflow.as_deref(),
        &args.driving,
        settings,
    )?;
    let speaker = Speaker::new(settings, args.driving.json, &order.world);
    match session::run(&order, &speaker) {
        Ok(report) => speaker.ended(&report),
        Err(_) if speaker.declined() => Err(Failure::new(Exit::Cancelled, "nothing was changed")),
        Err(error) => Err(Failure::of(error, settings)),
    }
}
