//! `r5flow check`

use super::args::Check;
use super::failure::{Exit, Failure};
use super::flow;
use super::settings::Settings;
use crate::diag::render;
use crate::policy;
use crate::report::check::{Findings, finding_json};
use crate::report::head;

pub fn check(args: &Check, settings: &Settings) -> Result<Exit, Failure> {
    let catalog = settings.catalog()?;
    let terminal = &settings.terminal;
    let mut findings = Findings::default();
    if args.json {
        terminal.line(head("check"))?;
    }
    for file in &args.files {
        let (program, parsed) = flow::read(file, &settings.project()?)?;
        let mut checked = flow::check(&program, parsed, &catalog);
        if !checked.has_errors() {
            let found = policy::of_text(&checked, &catalog);
            checked.diagnostics.extend(found);
            checked.diagnostics.sort_by_key(|d| (d.span, d.code));
        }
        let map = &program.sources;
        let fresh = findings.add(map, checked.diagnostics);
        if args.json {
            for finding in &fresh {
                terminal.line(finding_json(map, finding))?;
            }
            continue;
        }
        terminal.print(&render::text(map, &fresh, terminal.out.into()))?;
        if terminal.github {
            for finding in &fresh {
                terminal.line(render::github(map, finding))?;
            }
        }
    }
    match args.json {
        true => terminal.line(findings.summary_json())?,
        false => terminal.print(&findings.summary(terminal.out))?,
    }
    Ok(match findings.errors {
        0 => Exit::Done,
        _ => Exit::Flow,
    })
}
