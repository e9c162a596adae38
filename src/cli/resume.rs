//! `r5flow resume`

use super::args::Resume;
use super::failure::{Exit, Failure};
use super::session::{self, ResumeOrder};
use super::settings::Settings;
use super::talk::Speaker;
use super::world::Choice;
use super::{inputs, order};
use crate::journal::{Outcome, State};

pub fn resume(args: &Resume, settings: &Settings) -> Result<Exit, Failure> {
    let options = order::options(&args.driving, settings)?;
    let transport = order::transport(&args.driving)?;
    let world = order::chosen(&args.driving, &options.catalog, settings)?;
    let state = settings.state_dir()?;
    let blame = |e| Failure::of(e, settings);
    let id = session::find_run(&state, args.run.as_deref()).map_err(blame)?;
    let past = session::history(&state, &id).map_err(blame)?.state;
    let (secrets, recorded) = match &past.started {
        Some(started) => (started.secrets.clone(), Some(started.world.clone())),
        None => (Vec::new(), None),
    };
    let given = inputs::gather_again(&secrets, &args.driving.inputs, settings)?;
    let shown = match (&world, recorded) {
        (None, Some(recorded)) => {
            Choice::recorded(&recorded, &options.catalog, transport.clone()).map_err(blame)?
        }
        (Some(choice), _) => choice.clone(),
        (None, None) => Choice::Sim(None),
    };
    let speaker = Speaker::new(settings, args.driving.json, &shown).after(finished(&past));
    let order = ResumeOrder {
        run: Some(id),
        given,
        world,
        settings: transport,
        take_over: args.take_over,
        options,
    };
    let report = session::resume(&order, &speaker).map_err(blame)?;
    speaker.ended(&report)
}

/// Steps that need not be told again.
fn finished(past: &State) -> impl Iterator<Item = String> {
    past.order.iter().filter_map(
        |address| match past.steps.get(address)?.finished.as_ref()?.0 {
            Outcome::Failed {
                tolerated: false, ..
            } => None,
            _ => Some(address.to_string()),
        },
    )
}
