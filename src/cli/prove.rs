//! `r5flow test --crash-everywhere|--fail-everywhere`

use super::args::Test as Args;
use super::failure::{Exit, Failure};
use super::settings::Settings;
use super::{flow, inputs, session, world};
use crate::check;
use crate::check::names::FlowId;
use crate::report::head;
use crate::run::{self, Mode};
use crate::sim::Sim;
use crate::spec::{self, Case};
use crate::world::{Millis, Timestamp};

/// When runs that are played begin: any moment will do, as long as it is always the same.
const START: Timestamp = Timestamp(1_795_000_000_000);
/// How long the simulated operator takes when the scenario does not say.
const APPROVES_AFTER: Millis = Millis::mins(5);

pub fn prove(args: &Args, settings: &Settings) -> Result<Exit, Failure> {
    let (file, workflow) = subject(args)?;
    let catalog = settings.catalog()?;
    let (program, parsed) = flow::read(file, &settings.project()?)?;
    let checked = flow::check(&program, parsed, &catalog);
    flow::refuse_errors(&checked, settings)?;
    let id = session::choose(&checked, workflow).map_err(|e| Failure::of(e, settings))?;
    let scenario = world::scenario(args.sim.as_ref().and_then(|s| s.as_deref()))
        .map_err(|e| Failure::of(e, settings))?;
    let operator = scenario.operator.approves_after;
    let case = Case {
        inputs: given(&checked, id, args, settings)?,
        secrets: Vec::new(),
        flow: id,
        catalog: catalog.clone(),
        settings: run::Settings {
            parallel: args.parallel.map_or(super::order::PARALLEL, usize::from),
            ..run::Settings::new(Mode::Run)
        },
        approves_after: operator.map_or(APPROVES_AFTER, |span| span.0),
        judgements: Vec::new(),
        checked: &checked,
    };
    let case = Case {
        secrets: check::secrets_of(&checked, id, &case.inputs),
        ..case
    };
    let cloud = Sim::new(catalog, scenario, START);
    disturb(args, settings, &case, &cloud)
}

/// The flow, and which of its workflows.
fn subject(args: &Args) -> Result<(&str, Option<&str>), Failure> {
    match &args.paths[..] {
        [file] => Ok((file, None)),
        [file, workflow] => Ok((file, Some(workflow))),
        _ => Err(Failure::usage("one flow is proved at a time")
            .help("write the flow, and behind it one of its workflows when it has several")),
    }
}

fn given(
    checked: &check::Checked<'_>,
    id: FlowId,
    args: &Args,
    settings: &Settings,
) -> Result<std::collections::BTreeMap<std::sync::Arc<str>, crate::value::Value>, Failure> {
    let mut given = inputs::gather(checked, id, &args.inputs, settings)?;
    inputs::ask_for_secrets(checked, id, &mut given, settings);
    check::inputs(&checked.names, id, given)
        .map_err(|problems| inputs::refusal(&problems, &checked.names.program.sources))
}

fn disturb(
    args: &Args,
    settings: &Settings,
    case: &Case<'_, '_>,
    cloud: &Sim,
) -> Result<Exit, Failure> {
    let options = spec::Options {
        seed: args.seed,
        points: points(args)?,
        rollback: args.rollback,
        ..spec::Options::new(args.all)
    };
    let (proof, mode) = match args.fail_everywhere {
        true => (
            spec::fail_everywhere(case, cloud, &options),
            "--fail-everywhere",
        ),
        false => (
            spec::crash_everywhere(case, cloud, &options),
            "--crash-everywhere",
        ),
    };
    let proof = proof.map_err(unproven)?;
    let replay = replay(args, mode);
    let terminal = &settings.terminal;
    match args.json {
        true => {
            terminal.line(head("test"))?;
            for line in proof.json(&replay) {
                terminal.line(line)?;
            }
        }
        false => terminal.print(&proof.text(terminal.out, &replay))?,
    }
    if proof.total().tried == 0 && !options.points.is_empty() {
        return Err(Failure::usage("the flow has no such point")
            .help("points are numbered by the effects of this flow with these inputs"));
    }
    Ok(match proof.total().differences {
        0 => Exit::Done,
        _ => Exit::Failed,
    })
}

fn unproven(why: String) -> Failure {
    Failure::new(Exit::Failed, why)
        .help("a flow is tested against a run that ends well: try it with `r5flow run --sim`")
}

fn points(args: &Args) -> Result<Vec<spec::Point>, Failure> {
    let parsed = args.point.iter().map(|p| p.parse());
    parsed
        .collect::<Result<Vec<_>, String>>()
        .map_err(Failure::usage)
}

/// The command that tries one point again, but for the point.
fn replay(args: &Args, mode: &str) -> String {
    let mut words = vec!["r5flow test".to_owned(), mode.to_owned()];
    if args.rollback {
        words.push("--rollback".into());
    }
    words.extend(args.paths.iter().map(|p| quoted(p)));
    for file in &args.inputs.inputs {
        words.push(format!("--inputs {}", quoted(&file.display().to_string())));
    }
    for input in &args.inputs.input {
        words.push(format!("--input {}", quoted(input)));
    }
    if let Some(Some(scenario)) = &args.sim {
        words.push(format!("--sim {}", quoted(&scenario.display().to_string())));
    }
    if let Some(parallel) = args.parallel {
        words.push(format!("--parallel {parallel}"));
    }
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,".contains(c);
    match word.chars().all(plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
