//! `r5flow plan`

use super::args::Plan as Args;
use super::failure::{Exit, Failure};
use super::order;
use super::session::{self, PlanView};
use super::settings::Settings;
use super::talk::{Speaker, view};
use crate::diag::render;
use crate::journal::Reason;
use crate::report::check::finding_json;
use crate::report::progress::is_assertion;

pub fn plan(args: &Args, settings: &Settings) -> Result<Exit, Failure> {
    let order = order::order(
        &args.file,
        args.workflow.as_deref(),
        &args.driving,
        settings,
    )?;
    let speaker = Speaker::new(settings, args.driving.json, &order.world);
    let mut told: Result<Exit, Failure> = Ok(Exit::Done);
    session::plan(&order, &speaker, args.out.as_deref(), |found| {
        told = show(found, args, settings);
    })
    .map_err(|e| Failure::of(e, settings))?;
    told
}

fn show(found: &PlanView<'_>, args: &Args, settings: &Settings) -> Result<Exit, Failure> {
    let terminal = &settings.terminal;
    let plan = view(found);
    if args.driving.json {
        for line in plan.json() {
            terminal.line(line)?;
        }
    } else {
        terminal.print(&plan.text(terminal.out))?;
    }
    tell(found, args, settings)?;
    Ok(match failing(found) {
        _ if session::has_errors(&found.findings) => Exit::Flow,
        Some(exit) => exit,
        None if args.detailed_exitcode && found.changes() => Exit::Changes,
        None => Exit::Done,
    })
}

/// What the policies say of what would be sent.
fn tell(found: &PlanView<'_>, args: &Args, settings: &Settings) -> Result<(), Failure> {
    let (terminal, map) = (&settings.terminal, &found.program.sources);
    if !args.driving.json {
        terminal.print(&render::text(map, &found.findings, terminal.out.into()))?;
    }
    for finding in &found.findings {
        if args.driving.json {
            terminal.line(finding_json(map, finding))?;
        } else if terminal.github {
            terminal.line(render::github(map, finding))?;
        }
    }
    Ok(())
}

/// The code of the worst thing that fails in the plan already.
fn failing(found: &PlanView<'_>) -> Option<Exit> {
    let exits = found
        .end
        .failures
        .iter()
        .map(|(address, failure)| match failure.reason {
            Reason::Decision => Exit::Decision,
            Reason::Permission => Exit::Permission,
            Reason::Flow => Exit::Flow,
            _ if is_assertion(address) => Exit::Flow,
            Reason::Failed | Reason::Denied => Exit::Failed,
            Reason::TimedOut => Exit::TimedOut,
        });
    exits.max_by_key(|exit| match exit {
        Exit::Decision => 4,
        Exit::Permission => 3,
        Exit::Flow => 2,
        Exit::Failed => 1,
        _ => 0,
    })
}
