//! What a session is asked for: options and world of plan, run and resume.

use std::collections::BTreeSet;

use super::args::Driving;
use super::failure::{Exit, Failure};
use super::project;
use super::session::{Options, Order, Protection, SavedPlan};
use super::settings::Settings;
use super::world::{self, Choice};
use super::{flow, inputs, session};
use crate::catalog::Catalog;
use crate::cloud::{Authorities, Locations, Settings as Transport, is_email};
use crate::fetch::Project;

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
    order_in(settings.project()?, file, workflow, driving, settings)
}

/// The same for the files of a project that need not be the one in the working directory.
///
/// # Errors
/// A flow with errors, and every misuse of the options.
pub fn order_in(
    project: Project,
    file: &str,
    workflow: Option<&str>,
    driving: &Driving,
    settings: &Settings,
) -> Result<Order, Failure> {
    let options = Options {
        files: project,
        ..options(driving, settings)?
    };
    let world = match chosen(driving, &options.catalog, settings)? {
        Some(choice) => choice,
        None => Choice::Google(
            Box::new(endpoints(driving, &options.catalog, settings)?),
            transport(driving, settings)?,
        ),
    };
    let (program, parsed) = flow::read(file, &options.files)?;
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
        saved: None,
    })
}

/// Everything for running a plan that was kept in a file.
///
/// # Errors
/// Options that contradict the plan, and every misuse of the options.
pub fn of_plan(
    saved: SavedPlan,
    workflow: Option<&str>,
    driving: &Driving,
    settings: &Settings,
) -> Result<Order, Failure> {
    let mut options = options(driving, settings)?;
    let named = [
        ("the workflow", workflow.map(str::to_owned), &saved.workflow),
        ("`--env`", driving.environment.clone(), &saved.environment),
    ];
    for (what, said, planned) in named {
        if said.is_some_and(|said| said != *planned) {
            let message = format!("this plan was made for `{planned}`: {what} cannot be another");
            return Err(Failure::usage(message).help("leave it out, or make another plan"));
        }
    }
    let blame = |e| Failure::of(e, settings);
    let world = match chosen(driving, &options.catalog, settings)? {
        Some(choice) => {
            world::same_world(&saved.world, &choice.pinned())
                .map_err(|why| Failure::new(Exit::Decision, why))?;
            choice
        }
        None => {
            let transport = transport(driving, settings)?;
            Choice::recorded(&saved.world, &options.catalog, transport).map_err(blame)?
        }
    };
    let mut given = saved.given();
    given.extend(inputs::gather_again(
        &saved.secrets,
        &driving.inputs,
        settings,
    )?);
    options.environment.clone_from(&saved.environment);
    options.planned_at = Some(saved.made);
    Ok(Order {
        file: saved.file.clone(),
        workflow: Some(saved.workflow.clone()),
        given,
        world,
        options,
        saved: Some(Box::new(saved)),
    })
}

/// What plan, run and resume share.
///
/// # Errors
/// The catalogue of `--catalog` cannot be used.
pub fn options(driving: &Driving, settings: &Settings) -> Result<Options, Failure> {
    let project = project::Project::here()?;
    Ok(Options {
        catalog: settings.catalog()?,
        files: settings.project()?,
        state: settings.state.clone(),
        environment: driving
            .environment
            .clone()
            .unwrap_or_else(|| ENVIRONMENT.into()),
        parallel: driving.parallel.map_or(PARALLEL, usize::from),
        until: driving.until.clone(),
        yes: driving.yes,
        protection: Protection {
            protected: project.protected(),
            consented: driving.destroy.clone(),
        },
        marks: project.marks(),
        interactive: settings.terminal.interactive,
        by: settings.environment.user(),
        planned_at: None,
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
        false => Some(Choice::Google(
            Box::new(endpoints),
            transport(driving, settings)?,
        )),
    })
}

/// What the options and the environment say about the transport and the credentials.
///
/// # Errors
/// A host or an account that is none, and a file of authorities that cannot be used.
pub fn transport(driving: &Driving, settings: &Settings) -> Result<Transport, Failure> {
    let mut hosts = BTreeSet::new();
    for host in &driving.send_credentials_to {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        let port = !host.starts_with('[') && host.contains(':');
        if host.is_empty() || !host.chars().all(plain) || port {
            return Err(Failure::usage(format!(
                "`--send-credentials-to {host}` names no host: expected something like compute.example.com, without \
                 scheme, port and path"
            )));
        }
        hosts.insert(host.clone());
    }
    if let Some(email) = driving.impersonate.as_deref().filter(|e| !is_email(e)) {
        return Err(Failure::usage(format!(
            "`--impersonate {email}` names no account: expected something like deploy@my-project.iam.gserviceaccount.com"
        )));
    }
    let environment = &settings.environment;
    let payer = driving.quota_project.as_deref();
    let authorities = match driving.ca.clone().or_else(|| environment.ca()) {
        Some(file) => Authorities::read(&file).map_err(|why| {
            Failure::usage(format!(
                "certificate authorities (`--ca`, R5FLOW_CA): {why}"
            ))
        })?,
        None => Authorities::default(),
    };
    Ok(Transport {
        send_credentials_to: hosts,
        quota_project: payer.or(environment.quota_project()).map(str::to_owned),
        impersonate: driving.impersonate.clone(),
        authorities,
        locations: Locations::here(),
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
