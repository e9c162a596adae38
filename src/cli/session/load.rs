//! From a file to a checked program and the workflow that is meant.

use super::SessionError;
use crate::catalog::Catalog;
use crate::check::names::FlowId;
use crate::check::{self, Checked};
use crate::diag::Diagnostic;
use crate::eval::EvalError;
use crate::journal;
use crate::package::{self, Files, Program};

/// Reads a flow with everything it uses.
pub fn load(file: &str, files: &dyn Files) -> Result<(Program, Vec<Diagnostic>), SessionError> {
    package::load(file, files).map_err(|why| SessionError::Unreadable {
        file: file.to_owned(),
        why,
    })
}

/// Checks a program; errors end here.
pub fn checked<'p>(
    program: &'p Program,
    findings: Vec<Diagnostic>,
    catalog: &Catalog,
) -> (Checked<'p>, Vec<Diagnostic>) {
    let checked = check::check_with(program, catalog, &crate::cli::hooks::syntax);
    let mut all = findings;
    all.extend(checked.diagnostics.iter().cloned());
    all.sort_by_key(|d| (d.span, d.code));
    (checked, all)
}

/// The workflow that is meant.
pub fn choose(checked: &Checked<'_>, wanted: Option<&str>) -> Result<FlowId, SessionError> {
    let root = checked.names.program.root();
    let flows: Vec<_> = checked.names.flows_of(root.id).collect();
    let names: Vec<&str> = flows.iter().map(|f| f.name()).collect();
    let list = || {
        names
            .iter()
            .map(|n| format!("`{n}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (wanted, flows.as_slice()) {
        (None, [one]) => Ok(one.id),
        (None, []) => Err(SessionError::Usage(format!(
            "`{}` has no workflow",
            root.path
        ))),
        (None, _) => Err(SessionError::Usage(format!(
            "`{}` has several workflows; name one of {}",
            root.path,
            list()
        ))),
        (Some(wanted), _) => match flows.iter().find(|f| f.name() == wanted) {
            Some(flow) => Ok(flow.id),
            None => {
                let near = crate::diag::nearest(wanted, names.iter().copied());
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has {}", list()),
                };
                Err(SessionError::Usage(format!(
                    "`{}` has no workflow `{wanted}`; {hint}",
                    root.path
                )))
            }
        },
    }
}

pub fn has_errors(findings: &[Diagnostic]) -> bool {
    findings
        .iter()
        .any(|d| d.severity == crate::diag::Severity::Error)
}

pub(super) fn flow_error(program: &Program, error: &EvalError) -> SessionError {
    SessionError::Flow {
        place: program.sources.place(error.span),
        message: error.message.clone(),
        help: error.help.clone(),
    }
}

/// Whether a secret could stand in any text by chance, the journal's own words among them.
pub(super) fn too_plain(value: &str) -> bool {
    value.chars().count() < 4 || journal::OWN_WORDS.contains(value)
}

pub(super) fn secret_names(checked: &Checked<'_>, flow: FlowId) -> (Vec<String>, Vec<String>) {
    let flow = checked.names.flow(flow);
    let inputs = flow
        .inputs
        .iter()
        .filter(|i| i.secret)
        .map(|i| i.name.text.to_string());
    let outputs = flow
        .outputs
        .iter()
        .filter(|o| o.secret)
        .map(|o| o.name.text.to_string());
    (inputs.collect(), outputs.collect())
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, SessionError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| SessionError::World(format!("this machine gives no event loop: {e}")))
}
