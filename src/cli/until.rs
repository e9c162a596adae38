//! Whether the checkpoint of `--until` exists at all: a run that never meets it would go to its end.

use super::session::SessionError;
use crate::check::Checked;
use crate::check::names::FlowId;
use crate::diag::nearest;
use crate::syntax::ast::{Block, Item, Stmt};

/// # Errors
/// No checkpoint of that name can be met: one of the workflow itself or, behind a `/`, one of a
/// workflow that it takes.
pub fn known(checked: &Checked<'_>, flow: FlowId, until: Option<&str>) -> Result<(), SessionError> {
    let Some(until) = until else {
        return Ok(());
    };
    let last = until.rsplit('/').next().unwrap_or(until);
    let name = last.split('[').next().unwrap_or(last);
    let mut all = Vec::new();
    if until.contains('/') {
        for module in &checked.names.program.modules {
            for item in &module.file.items {
                if let Item::Workflow(workflow) = item {
                    checkpoints(&workflow.body, &mut all);
                }
            }
        }
    } else {
        checkpoints(&checked.names.flow(flow).ast.body, &mut all);
    }
    if all.contains(&name) {
        return Ok(());
    }
    let hint = match (nearest(name, all.iter().copied()), all.as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => "it has none".to_owned(),
        (None, all) => format!("it has `{}`", all.join("`, `")),
    };
    Err(SessionError::Usage(format!(
        "`{}` has no checkpoint `{until}` to stop at; {hint}",
        checked.names.flow(flow).name()
    )))
}

fn checkpoints<'p>(block: &'p Block, all: &mut Vec<&'p str>) {
    for stmt in &block.stmts {
        match stmt {
            Stmt::Checkpoint(checkpoint) => all.push(&checkpoint.name.text),
            Stmt::For(inner) => checkpoints(&inner.body, all),
            Stmt::If(inner) => {
                checkpoints(&inner.then, all);
                if let Some(otherwise) = &inner.otherwise {
                    checkpoints(otherwise, all);
                }
            }
            _ => {}
        }
    }
}
