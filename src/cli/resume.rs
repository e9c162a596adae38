//! `r5flow resume`

use std::collections::BTreeMap;

use super::args::Resume;
use super::failure::{Exit, Failure};
use super::session::{self, ResumeOrder};
use super::settings::Settings;
use super::talk::Speaker;
use super::world::Choice;
use super::{flow, inputs, order};
use crate::catalog::Catalog;
use crate::check::Given;
use crate::journal::{Outcome, Started, State};
use crate::run::edit::Wishes;

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
    let given = match (&past.started, args.edited) {
        (Some(started), true) => edited_inputs(args, started, &options.catalog, settings)?,
        _ => inputs::gather_again(&secrets, &args.driving.inputs, settings)?,
    };
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
        edited: args.edited,
        wishes: Wishes {
            from: args.from.clone(),
            redo: args.redo.iter().cloned().collect(),
            keep: args.keep.iter().cloned().collect(),
            forget: args.forget.iter().cloned().collect(),
            moved: Vec::new(),
        },
        refresh: !args.no_refresh,
        options,
    };
    let report = session::resume(&order, &speaker).map_err(blame)?;
    speaker.ended(&report)
}

/// What is given for the flow as its files say it now; recorded inputs need not be given again.
fn edited_inputs(
    args: &Resume,
    started: &Started,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<BTreeMap<String, Given>, Failure> {
    let (program, parsed) = flow::read(&started.file)?;
    let checked = flow::check(&program, parsed, catalog);
    flow::refuse_errors(&checked, settings)?;
    let id =
        session::choose(&checked, Some(&started.workflow)).map_err(|e| Failure::of(e, settings))?;
    let mut given = inputs::gather(&checked, id, &args.driving.inputs, settings)?;
    inputs::ask_for_secrets(&checked, id, &mut given, settings);
    Ok(given)
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
