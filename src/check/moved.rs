//! `moved OLD to NEW`: the new end is a step, the old one is none any more.

use super::Checker;
use super::names::{Flow, Global, Meaning, Names};
use crate::diag::{Code, Diagnostic};
use crate::package::ModuleId;
use crate::syntax::ast::{self, ActionKind, Moved, Name};

impl<'p> Checker<'_, 'p> {
    pub(super) fn moved(&mut self, module: ModuleId, moved: &'p Moved) {
        if !self.is_step(module, &moved.new) {
            let message = format!("`{}` is no step of this file", moved.new.text);
            let found = Diagnostic::error(Code::BAD_MOVE, moved.new.span, message);
            self.report(found.help("behind `to` stands where the step is now: `take.group` for a step of the workflow that `take` runs"));
        }
        // Which iterations a loop has, only the run tells.
        let iteration = moved.old.text.contains('[');
        if !iteration && self.is_step(module, &moved.old) {
            let message = format!("`{}` is still a step, so it was not moved", moved.old.text);
            let found = Diagnostic::error(Code::BAD_MOVE, moved.old.span, message);
            self.report(found.help("take this line out, or name the step that is gone"));
        }
    }

    fn is_step(&self, module: ModuleId, path: &Name) -> bool {
        let names: Vec<String> = names_of(&path.text);
        let flows: Vec<&Flow<'p>> = self.names.flows_of(module).collect();
        flows.iter().any(|flow| self.leads_to_step(flow, &names))
    }

    fn leads_to_step(&self, flow: &Flow<'p>, names: &[String]) -> bool {
        matches!(
            self.names.leads_to(flow, names),
            Some(Meaning::Step(_) | Meaning::Checkpoint(_) | Meaning::Unknown)
        )
    }
}

impl<'p> Names<'p> {
    /// What a path of names is, as seen from a workflow.
    pub fn leads_to(&self, flow: &Flow<'p>, names: &[String]) -> Option<Meaning<'p>> {
        let (first, rest) = names.split_first()?;
        let found = flow.symbol(first)?.meaning;
        let step: &ast::Step = match found {
            Meaning::Step(step) if !rest.is_empty() => step,
            found => return Some(found),
        };
        let ActionKind::Run { path, .. } = &step.action.kind else {
            return None;
        };
        match self.workflow(flow.module, path) {
            Some(Global::Workflow(inner)) => self.leads_to(self.flow(inner), rest),
            _ => None,
        }
    }
}

/// The names of a path, without the keys of its loops.
pub fn names_of(path: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut quoted = false;
    let mut inside = false;
    for c in path.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '[' => inside = true,
            ']' => inside = false,
            '.' if !inside => names.push(String::new()),
            c => {
                if let Some(last) = names.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    names
}
