//! `r5flow resume`

use super::args::{Driving, Resume};
use super::failure::{Exit, Failure};
use super::session::{self, ResumeOrder};
use super::settings::Settings;
use super::talk::Speaker;
use super::world::Choice;
use super::{inputs, order};
use crate::journal::{Outcome, State};

pub fn resume(args: &Resume, settings: &Settings) -> Result<Exit, Failure> {
    let (order, speaker) = order(args.run.as_deref(), args.take_over, &args.driving, settings)?;
    let report = session::resume(&order, &speaker).map_err(|e| Failure::of(e, settings))?;
    speaker.ended(&report)
}

/// What it takes to go on with a run, and who tells of it.
///
/// # Errors
/// No such run, and every misuse of the options.
pub fn order<'s>(
    run: Option<&str>,
    take_over: bool,
    driving: &Driving,
    settings: &'s Settings,
) -> Result<(ResumeOrder, Speaker<'s>), Failure> {
    let options = order::options(driving, settings)?;
    let world = order::chosen(driving, &options.catalog, settings)?;
    let state = settings.state_dir()?;
    let blame = |e| Failure::of(e, settings);
    let id = session::find_run(&state, run).map_err(blame)?;
    let past = session::history(&state, &id).map_err(blame)?.state;
    let (secrets, recorded) = match &past.started {
        Some(started) => (started.secrets.clone(), Some(started.world.clone())),
        None => (Vec::new(), None),
    };
    let given = inputs::gather_again(&secrets, &driving.inputs, settings)?;
    let shown = match (&world, recorded) {
        (None, Some(recorded)) => {
            Choice::recorded(&recorded, &options.catalog, Default::default()).map_err(blame)?
        }
        (Some(choice), _) => choice.clone(),
        (None, None) => Choice::Sim(None),
    };
    let speaker = Speaker::new(settings, driving.json, &shown).after(finished(&past));
    let order = ResumeOrder {
        run: Some(id),
        given,
        world,
        settings: Default::default(),
        take_over,
        options,
    };
    Ok((order, speaker))
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
