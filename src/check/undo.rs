//! What takes a step back, and what must never be taken back (rule C14).

use super::Checker;
use super::clauses::StepKind;
use super::steps::{StepPlace, decides};
use super::target::Target;
use crate::diag::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{ActionKind, ClauseKind, Decision, OnOutcome, Undo};

impl<'p> Checker<'_, 'p> {
    /// `undo delete`, `undo call …`, `undo http …`: sees the step's own result under its name.
    pub(super) fn undo(&mut self, place: &StepPlace<'_, 'p>, undo: &'p Undo, span: Span) {
        let place = place.of_undo();
        self.order.undoing = true;
        match undo {
            Undo::Delete => self.undo_delete(&place, span),
            Undo::Call(call) => {
                self.api_call(&place, call);
            }
            Undo::Http(http) => self.http(&place, http),
        }
        self.order.undoing = false;
    }

    fn undo_delete(&mut self, place: &StepPlace<'_, 'p>, span: Span) {
        let (path, created) = match &place.step.action.kind {
            ActionKind::Ensure(call) => (&call.path, true),
            ActionKind::Call(call) => (&call.path, false),
            _ => {
                let finding = Diagnostic::error(
                    Code::BAD_CLAUSE,
                    span,
                    "`undo delete` deletes a resource that a step created, and this step creates none",
                );
                return self.report(finding.help("write `undo http …` or `undo call …`"));
            }
        };
        // What is wrong with the target is said at the step itself.
        let Ok(target) = self.target(path) else {
            return;
        };
        let collection = match &target {
            Target::Collection(c) => Some(c.clone()),
            Target::Method(m) => self.catalog.collection(&m.collection),
        };
        let creates = created
            || matches!((&target, &collection), (Target::Method(m), Some(c))
                if c.insert.as_ref().is_some_and(|i| i.id == m.id));
        let deletes = collection.as_ref().is_some_and(|c| c.delete.is_some());
        let why = match (creates, deletes) {
            (true, true) => return,
            (false, _) => "this call creates no resource that could be deleted",
            (true, false) => "nothing in this collection can be deleted",
        };
        let finding = Diagnostic::error(Code::BAD_CLAUSE, span, why);
        self.report(finding.help("say what takes it back: `undo call …`, or leave `undo` out"));
    }

    /// `protect` beside what would delete all the same.
    pub(super) fn protect(&mut self, place: &StepPlace<'_, 'p>, kind: StepKind, span: Span) {
        let undo = place
            .step
            .clauses
            .iter()
            .any(|c| matches!(c.kind, ClauseKind::Undo(_)));
        let replaces =
            kind == StepKind::Ensure && decides(place.step, OnOutcome::Change, Decision::Replace);
        let other = match (undo, replaces) {
            (true, _) => "undo",
            (_, true) => "on change replace",
            (false, false) => return,
        };
        self.report(
            Diagnostic::error(
                Code::BAD_CLAUSE,
                span,
                format!("`protect` and `{other}` contradict each other"),
            )
            .help(format!(
                "`protect` keeps the resource whatever happens: remove it, or remove `{other}`"
            )),
        );
    }
}
