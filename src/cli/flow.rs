//! A flow from its file: read, parsed, bound, checked.

use super::failure::Failure;
use super::settings::Settings;
use super::{session, terminal};
use crate::catalog::Catalog;
use crate::check::Checked;
use crate::diag::{Diagnostic, Severity, render};
use crate::fetch::Project;
use crate::package::{Files, Program, Refused, load, place};

/// How standard input is called in messages.
pub const STDIN: &str = "<stdin>";

/// The project, and standard input where a command names it.
struct ProjectAndStdin {
    project: Project,
    stdin: Option<String>,
}

impl Files for ProjectAndStdin {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        match &self.stdin {
            Some(text) if path == STDIN => Ok(text.clone().into_bytes()),
            _ => self.project.read(path),
        }
    }

    fn may_use(&self, from: Option<&str>, library: &str, module: &str) -> Result<(), Refused> {
        self.project.may_use(from, library, module)
    }
}

/// Reads a flow and everything it uses; `-` is standard input.
///
/// # Errors
/// The file cannot be read; mistakes in it are findings.
pub fn read(file: &str, project: &Project) -> Result<(Program, Vec<Diagnostic>), Failure> {
    if place::library(file).is_some() {
        return Err(Failure::usage(format!(
            "`{file}` is a module of a library, which is used and not run: a flow of this project takes what it exports \
             with `use`"
        )));
    }
    let (name, stdin) = match file {
        "-" => (STDIN, Some(terminal::stdin_text()?)),
        file => (file, None),
    };
    let project = project.clone();
    load(name, &ProjectAndStdin { project, stdin })
        .map_err(|why| Failure::usage(format!("`{name}` cannot be read: {why}")))
}

/// Checks a program; `parsed` are the findings of reading it, and the answer holds all of them in
/// the order of the text.
pub fn check<'p>(program: &'p Program, parsed: Vec<Diagnostic>, catalog: &Catalog) -> Checked<'p> {
    let (mut checked, all) = session::checked(program, parsed, catalog);
    checked.diagnostics = all;
    checked
}

/// Prints what stands in the way of a plan or a run.
///
/// # Errors
/// There are errors among the findings.
pub fn refuse_errors(checked: &Checked<'_>, settings: &Settings) -> Result<(), Failure> {
    match checked.has_errors() {
        true => Err(refusal(
            checked.names.program,
            &checked.diagnostics,
            settings,
        )),
        false => Ok(()),
    }
}

/// Prints the errors among findings.
pub fn refusal(program: &Program, findings: &[Diagnostic], settings: &Settings) -> Failure {
    let errors: Vec<Diagnostic> = findings
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .cloned()
        .collect();
    let text = render::text(&program.sources, &errors, settings.terminal.err.into());
    settings.terminal.tell(&text);
    Failure::flow_errors()
}
