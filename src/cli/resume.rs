//! `r5flow resume`

use std::collections::BTreeMap;

use super::args::{Driving, Resume};
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
    let going = Going {
        run: args.run.as_deref(),
        take_over: args.take_over,
        edited: args.edited,
        driving: &args.driving,
    };
    let (mut order, speaker) = order(&going, settings)?;
    order.wishes = Wishes {
        from: args.from.clone(),
        redo: args.redo.iter().cloned().collect(),
        keep: args.keep.iter().cloned().collect(),
        forget: args.forget.iter().cloned().collect(),
        moved: Vec::new(),
    };
    order.refresh = !args.no_refresh;
    let report = session::resume(&order, &speaker).map_err(|e| Failure::of(e, settings))?;
    speaker.ended(&report)
}

/// With which run it goes on, and how.
pub struct Going<'a> {
    pub run: Option<&'a str>,
    pub take_over: bool,
    /// The flow's files are read anew.
    pub edited: bool,
    pub driving: &'a Driving,
}

/// What it takes to go on with a run, and who tells of it.
///
/// # Errors
/// No such run, and every misuse of the options.
pub fn order<'s>(
    going: &Going<'_>,
    settings: &'s Settings,
) -> Result<(ResumeOrder, Speaker<'s>), Failure> {
    let driving = going.driving;
    let options = order::options(driving, settings)?;
    let transport = order::transport(driving, settings)?;
    let world = order::chosen(driving, &options.catalog, settings)?;
    let state = settings.state_dir()?;
    let blame = |e| Failure::of(e, settings);
    let id = session::find_run(&state, going.run).map_err(blame)?;
    let past = session::history(&state, &id).map_err(blame)?.state;
    if let Some(started) = &past.started {
        same_environment(&started.environment, driving)?;
    }
    let (secrets, recorded) = match &past.started {
        Some(started) => (started.secrets.clone(), Some(started.world.clone())),
        None => (Vec::new(), None),
    };
    let given = match (&past.started, going.edited) {
        (Some(started), true) => edited_inputs(driving, started, &options.catalog, settings)?,
        _ => inputs::gather_again(&secrets, &driving.inputs, settings)?,
    };
    let shown = match (&world, recorded) {
        (None, Some(recorded)) => {
            Choice::recorded(&recorded, &options.catalog, transport.clone()).map_err(blame)?
        }
        (Some(choice), _) => choice.clone(),
        (None, None) => Choice::Sim(None),
    };
    let speaker = Speaker::new(settings, driving.json, &shown).after(finished(&past));
    let order = ResumeOrder {
        run: Some(id),
        given,
        world,
        settings: transport,
        take_over: going.take_over,
        edited: going.edited,
        wishes: Wishes::default(),
        refresh: true,
        options,
    };
    Ok((order, speaker))
}

/// A run stays in its environment.
fn same_environment(recorded: &str, driving: &Driving) -> Result<(), Failure> {
    match driving.environment.as_deref() {
        Some(named) if named != recorded => {
            let what = format!(
                "the run began in the environment `{recorded}`, and is now asked to go on in `{named}`"
            );
            Err(Failure::new(Exit::Decision, what).help("leave `--env` out, or begin another run"))
        }
        _ => Ok(()),
    }
}

/// What is given for the flow as its files say it now; recorded inputs need not be given again.
fn edited_inputs(
    driving: &Driving,
    started: &Started,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<BTreeMap<String, Given>, Failure> {
    let (program, parsed) = flow::read(&started.file, &settings.project()?)?;
    let checked = flow::check(&program, parsed, catalog);
    flow::refuse_errors(&checked, settings)?;
    let id =
        session::choose(&checked, Some(&started.workflow)).map_err(|e| Failure::of(e, settings))?;
    let mut given = inputs::gather(&checked, id, &driving.inputs, settings)?;
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
