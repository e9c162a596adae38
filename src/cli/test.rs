//! `r5flow test`: the test blocks of flows, against the built-in simulator.

use std::path::Path;

use super::args::Test as Args;
use super::failure::{Exit, Failure};
use super::settings::Settings;
use super::{flow, prove};
use crate::check::Checked;
use crate::diag::{Diagnostic, render};
use crate::fetch::Project;
use crate::package::Program;
use crate::report::head;
use crate::report::tested::{self, Tested, TestedFile};
use crate::spec::in_parallel;
use crate::spec::test_blocks::{has_tests, run_test, tests_of};
use crate::syntax::ast::Test;

pub fn test(args: &Args, settings: &Settings) -> Result<Exit, Failure> {
    if args.crash_everywhere || args.fail_everywhere {
        return prove::prove(args, settings);
    }
    refuse_inputs(args)?;
    let read = read_all(&args.paths, &settings.project()?)?;
    let catalog = settings.catalog()?;
    let mut checked = Vec::with_capacity(read.len());
    for (program, parsed) in &read {
        let found = flow::check(program, parsed.clone(), &catalog);
        flow::refuse_errors(&found, settings)?;
        checked.push(found);
    }
    let jobs = chosen(&checked, args.only.as_deref());
    if jobs.is_empty() {
        return Err(no_tests(args));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut came_of = in_parallel(&jobs, threads, || {
        |(n, test): &(usize, &Test)| run_test(&checked[*n], test, &catalog)
    })
    .into_iter();
    let mut files: Vec<TestedFile<'_>> = Vec::new();
    for (n, checked) in checked.iter().enumerate() {
        let own = jobs.iter().filter(|(of, _)| *of == n).count();
        let tests: Vec<Tested> = came_of.by_ref().take(own).collect();
        if !tests.is_empty() {
            files.push(TestedFile {
                sources: &checked.names.program.sources,
                name: checked.names.program.root().path.clone(),
                tests,
            });
        }
    }
    tell(&files, args, settings)
}

/// The tests that are meant, each with the number of its file.
fn chosen<'p>(checked: &[Checked<'p>], only: Option<&str>) -> Vec<(usize, &'p Test)> {
    let all = checked.iter().enumerate();
    all.flat_map(|(n, checked)| tests_of(checked).into_iter().map(move |test| (n, test)))
        .filter(|(_, test)| only.is_none_or(|part| test.name.text.contains(part)))
        .collect()
}

fn tell(files: &[TestedFile<'_>], args: &Args, settings: &Settings) -> Result<Exit, Failure> {
    let terminal = &settings.terminal;
    match args.json {
        true => {
            terminal.line(head("test"))?;
            for line in tested::lines(files) {
                terminal.line(line)?;
            }
        }
        false => terminal.print(&tested::text(files, terminal.out.into()))?,
    }
    if let Some(file) = &args.junit {
        std::fs::write(file, tested::junit(files))
            .map_err(|e| Failure::usage(format!("`{}` cannot be written: {e}", file.display())))?;
    }
    if terminal.github && !args.json {
        for file in files {
            for finding in file.tests.iter().flat_map(|t| &t.failures) {
                terminal.line(render::github(file.sources, finding))?;
            }
        }
    }
    Ok(match tested::tally(files) {
        (_, 0) => Exit::Done,
        _ => Exit::Failed,
    })
}

/// What belongs to the proofs, and is said in a test block here.
fn refuse_inputs(args: &Args) -> Result<(), Failure> {
    let inputs = !args.inputs.input.is_empty() || !args.inputs.inputs.is_empty();
    let proof = args.sim.is_some() || args.rollback || args.all || args.parallel.is_some();
    match inputs || proof || !args.point.is_empty() {
        true => Err(Failure::usage(
            "inputs, scenarios and points belong to `--crash-everywhere` and `--fail-everywhere`",
        )
        .help("a test block says its inputs itself, and its scenario with `given`")),
        false => Ok(()),
    }
}

fn no_tests(args: &Args) -> Failure {
    match &args.only {
        Some(part) => Failure::usage(format!("no test has `{part}` in its title")),
        None => Failure::usage("there is no test here")
            .help("a flow holds tests: `test \"…\" { run … as r  expect … }`"),
    }
}

/// Every flow that is named, and every flow with tests in the folders that are named.
fn read_all(
    paths: &[String],
    project: &Project,
) -> Result<Vec<(Program, Vec<Diagnostic>)>, Failure> {
    let here = [".".to_owned()];
    let paths = if paths.is_empty() { &here[..] } else { paths };
    let mut read = Vec::new();
    for path in paths {
        if !Path::new(path).is_dir() {
            read.push(flow::read(path, project)?);
            continue;
        }
        let mut files = Vec::new();
        flows_below(Path::new(path), &mut files)
            .map_err(|e| Failure::usage(format!("`{path}` cannot be read: {e}")))?;
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if has_tests(&file, &text) {
                read.push(flow::read(&file, project)?);
            }
        }
    }
    Ok(read)
}

/// The flows below a folder in the order of their names; hidden folders, such as `.r5flow`, are not
/// looked into.
fn flows_below(folder: &Path, found: &mut Vec<String>) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden || entry.file_type()?.is_symlink() {
            continue;
        }
        if path.is_dir() {
            flows_below(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "r5flow") {
            let path = path.strip_prefix("./").unwrap_or(&path);
            found.push(path.display().to_string());
        }
    }
    Ok(())
}
