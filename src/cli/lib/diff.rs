//! `r5flow lib diff`

use semver::{Comparator, Op, Version, VersionReq};

use super::args::Diff;
use super::{Files, refused};
use crate::cli::failure::{Exit, Failure};
use crate::cli::order;
use crate::cli::session::{self, EditView, Order, PlanView};
use crate::cli::settings::Settings;
use crate::cli::talk::Speaker;
use crate::fetch::{Project, Remote};
use crate::package::manifest::{At, Dependency, Source};
use crate::package::select::select;
use crate::report::edit::Review;
use crate::report::upgrade::{Outlook, Upgrade, heading, outlook_json, outlook_text};
use crate::run::PlanItem;
use crate::run::plan_diff::{Plan, Planned, changes};
use crate::store::StateDir;
use crate::world::Timestamp;

pub fn diff(args: &Diff, settings: &Settings) -> Result<Exit, Failure> {
    let files = Files::here(settings)?;
    let (name, old, new) = versions(args)?;
    let now = Timestamp::now();
    let with = |version: &Version| with(&files, &name, version);
    let before = seen(args, settings, with(&old)?, now)?;
    let after = seen(args, settings, with(&new)?, now)?;
    let (old, new) = (format!("{name} {old}"), format!("{name} {new}"));
    if args.driving.json {
        settings.terminal.line(heading(&args.file, &old, &new))?;
    }
    if let (Some((_, before)), Some((_, after))) = (&before, &after) {
        compare(args, settings, (&old, before), (&new, after))?;
    }
    runs(args, settings, &new, after.as_ref().map(|(order, _)| order))?;
    let broken = match (&before, &after) {
        (Some(_), Some(_)) => return Ok(Exit::Done),
        (None, Some(_)) => old,
        (Some(_), None) => new,
        (None, None) => format!("{old} and with {new}"),
    };
    let failure = Failure::new(
        Exit::Flow,
        format!(
            "with {broken} the flow has the errors above, so there are no two plans to compare"
        ),
    );
    Err(match after {
        Some(_) => failure.help("what is told of runs that are under way holds all the same"),
        None => failure.help(
            "change the flow until it suits that version, and look again; a run that is under way goes on as it began",
        ),
    })
}

/// A flow with one version of the library, and its plan; nothing when it has errors then, which have been printed.
fn seen(
    args: &Diff,
    settings: &Settings,
    project: Project,
    now: Timestamp,
) -> Result<Option<(Order, Plan)>, Failure> {
    let planned = ordered(args, settings, project, now).and_then(|order| {
        let plan = planned(&order, args, settings)?;
        Ok((order, plan))
    });
    match planned {
        Err(failure) if failure == Failure::flow_errors() => Ok(None),
        planned => planned.map(Some),
    }
}

fn compare(
    args: &Diff,
    settings: &Settings,
    (old, before): (&str, &Plan),
    (new, after): (&str, &Plan),
) -> Result<(), Failure> {
    let open: Vec<String> = after
        .steps
        .iter()
        .filter(|(_, p)| p.is_open())
        .map(|(a, _)| a.clone())
        .collect();
    let upgrade = Upgrade {
        file: &args.file,
        old,
        new,
        changed: &changes(before, after),
        open: &open,
    };
    let terminal = &settings.terminal;
    match args.driving.json {
        true => upgrade
            .json()
            .into_iter()
            .try_for_each(|line| terminal.line(line)),
        false => terminal.print(&upgrade.text(terminal.out)),
    }
}

/// The library and its two versions.
fn versions(args: &Diff) -> Result<(String, Version, Version), Failure> {
    let parse = |text: &str| {
        Version::parse(text).map_err(|e| Failure::usage(format!("`{text}` is no version: {e}")))
    };
    let Some((name, old)) = args.old.split_once('@') else {
        return Err(
            Failure::usage(format!("`{}` names no library and version", args.old)).help(
                "write such as `r5flow lib diff platform@1.0.0 platform@1.1.0 --in flow.r5flow`",
            ),
        );
    };
    let new = match args.new.split_once('@') {
        Some((other, _)) if other != name => {
            return Err(Failure::usage(format!(
                "`{name}` and `{other}` are two libraries; versions of one are compared"
            )));
        }
        Some((_, new)) => new,
        None => &args.new,
    };
    Ok((name.to_owned(), parse(old)?, parse(new)?))
}

/// The project as it would be with just this version of the library.
fn with(files: &Files, name: &str, version: &Version) -> Result<Project, Failure> {
    let named = files.manifest.dependencies.get(name).map(|d| &d.source);
    let source = named.or(files.lock.libraries.get(name).map(|l| &l.source));
    let Some(source) = source else {
        return Err(Failure::usage(format!(
            "the project needs no library `{name}`"
        )));
    };
    if !matches!(source, Source::Git(git) if git.at == At::Versions) {
        return Err(Failure::usage(format!(
            "`{name}` comes from {source}, which has no versions to compare"
        )));
    }
    let mut manifest = files.manifest.clone();
    let dependency = Dependency {
        source: source.clone(),
        version: exactly(version),
    };
    manifest.dependencies.insert(name.to_owned(), dependency);
    let remote = Remote::new(&files.places, files.lock.libraries.clone());
    let mut floors = files.floors();
    floors.remove(name);
    let chosen = select(&manifest, &floors, &files.places.here, &remote)
        .map_err(|why| refused(why.to_string()))?;
    Ok(Project::with(
        files.places.clone(),
        manifest,
        files.locked(chosen),
    ))
}

fn exactly(version: &Version) -> VersionReq {
    VersionReq {
        comparators: vec![Comparator {
            op: Op::Exact,
            major: version.major,
            minor: Some(version.minor),
            patch: Some(version.patch),
            pre: version.pre.clone(),
        }],
    }
}

fn ordered(
    args: &Diff,
    settings: &Settings,
    project: Project,
    now: Timestamp,
) -> Result<Order, Failure> {
    let mut order = order::order_in(
        project,
        &args.file,
        args.workflow.as_deref(),
        &args.driving,
        settings,
    )?;
    // Both plans begin at the same moment, or every mention of it would differ.
    order.options.planned_at = Some(now);
    Ok(order)
}

fn planned(order: &Order, args: &Diff, settings: &Settings) -> Result<Plan, Failure> {
    let speaker = Speaker::new(settings, args.driving.json, &order.world);
    let mut plan = Plan::default();
    let show = |view: &PlanView<'_>| {
        let step = |item: &PlanItem| {
            let address = view.mask.mask(&item.address);
            (address, Planned::of(item, |json| view.mask.mask_json(json)))
        };
        plan.steps = view.items.iter().map(step).collect();
        let masked = |text: &str| view.mask.mask(text);
        let fails = view.end.failures.iter();
        plan.fails = fails
            .map(|(address, failure)| (masked(address), masked(&failure.message)))
            .collect();
    };
    session::plan(order, &speaker, None, show).map_err(|e| Failure::of(e, settings))?;
    Ok(plan)
}

/// What the runs of this flow that are under way would make of it; without an order the flow has errors then.
fn runs(args: &Diff, settings: &Settings, new: &str, order: Option<&Order>) -> Result<(), Failure> {
    if !settings.has_state() {
        return Ok(());
    }
    let state = StateDir::open(&settings.state)?;
    let terminal = &settings.terminal;
    let flow = format!("the flow with {new}");
    for id in state.list_runs()?.into_iter().rev() {
        if !session::under_way(&state, &id, &args.file, args.workflow.as_deref()) {
            continue;
        }
        let mut told: Result<(), Failure> = Ok(());
        let foreseen = order.map(|order| {
            session::foresee(order, &state, &id, |view| {
                told = tell(view, &flow, args, settings);
            })
        });
        let outlook = match foreseen {
            None => Outlook::Errors,
            Some(Ok(0)) => Outlook::Goes,
            Some(Ok(undecided)) => Outlook::Undecided(undecided),
            Some(Err(error)) => match Failure::of(error, settings) {
                failure if failure == Failure::flow_errors() => Outlook::Errors,
                failure => Outlook::Unknown(failure.message),
            },
        };
        told?;
        match args.driving.json {
            true => terminal.line(outlook_json(&id, &outlook))?,
            false => terminal.print(&outlook_text(&id, &outlook))?,
        }
    }
    Ok(())
}

fn tell(view: &EditView<'_>, flow: &str, args: &Diff, settings: &Settings) -> Result<(), Failure> {
    let terminal = &settings.terminal;
    let review = Review {
        run: view.run,
        flow,
        lines: view.lines,
        vault: view.mask,
    };
    match args.driving.json {
        true => review
            .json()
            .into_iter()
            .try_for_each(|line| terminal.line(line)),
        false => terminal.print(&review.text(terminal.out)),
    }
}
