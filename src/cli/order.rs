//! What a session is asked for: options and world of plan, run and resume.

use super::args::Driving;
use super::failure::Failure;
use super::session::{Options, Order};
use super::settings::Settings;
use super::world::{self, Choice};
use super::{flow, inputs, session};
use crate::catalog::Catalog;

/// How many steps may talk to the cloud at one time when nobody says.
pub const PARALLEL: usize = 16;
/// The environment of runs that name none.
const ENVIRONMENT: &str = "default";

/// Everything for a plan or a run.
///
/// # Errors
/// A flow with errors, and every misuse of the options.
pub fn order(
    file: &str,
    workflow: Option<&str>,
    driving: &Driving,
    settings: &Settings,
) -> Result<Order, Failure> {
    let options = options(driving, settings)?;
    let world = match chosen(driving, &options.catalog, settings)? {
        Some(choice) => choice,
        None => Choice::Google(
            Box::new(endpoints(driving, &options.catalog, settings)?),
            Default::default(),
        ),
    };
    let (program, parsed) = flow::read(file)?;
    let checked = flow::check(&program, parsed, &options.catalog);
    flow::refuse_errors(&checked, settings)?;
    let id = session::choose(&checked, workflow).map_err(|e| Failure::of(e, settings))?;
    let mut given = inputs::gather(&checked, id, &driving.inputs, settings)?;
    inputs::ask_for_secrets(&checked, id, &mut given, settings);
    Ok(Order {
        file: file.to_owned(),
        workflow: workflow.map(str::to_owned),
        given,
        world,
        options,
    })
}

/// What plan, run and resume share.
///
/// # Errors
/// The catalogue of `--catalog` cannot be used.
pub fn options(driving: &Driving, settings: &Settings) -> Result<Options, Failure> {
    Ok(Options {
        catalog: settings.catalog()?,
        state: settings.state.clone(),
        environment: driving
            .environment
            .clone()
            .unwrap_or_else(|| ENVIRONMENT.into()),
        parallel: driving.parallel.map_or(PARALLEL, usize::from),
        until: driving.until.clone(),
        yes: driving.yes,
        interactive: settings.terminal.interactive,
        by: settings.environment.user(),
    })
}

/// The world that the options name; `None` when they say nothing of it.
///
/// # Errors
/// An endpoint that is none.
pub fn chosen(
    driving: &Driving,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Option<Choice>, Failure> {
    if let Some(scenario) = &driving.sim {
        return Ok(Some(Choice::Sim(scenario.clone())));
    }
    let endpoints = endpoints(driving, catalog, settings)?;
    Ok(match endpoints.overridden().is_empty() {
        true => None,
        false => Some(Choice::Google(Box::new(endpoints), Default::default())),
    })
}

fn endpoints(
    driving: &Driving,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<crate::cloud::Endpoints, Failure> {
    let mut endpoints = world::google(catalog).map_err(|e| Failure::of(e, settings))?;
    for flag in &driving.endpoint {
        endpoints.add_flag(flag)?;
    }
    endpoints.add_environment(settings.environment.endpoints())?;
    Ok(endpoints)
}
