//! The clauses of a step, found by their kind.

use crate::syntax::ast::{
    Clause, ClauseKind, Decision, Expr, Guard, HttpCall, OnOutcome, Step, Undo,
};

fn find<'p, T>(step: &'p Step, pick: impl Fn(&'p Clause) -> Option<T>) -> Option<T> {
    step.clauses.iter().find_map(pick)
}

macro_rules! clause_expr {
    ($($name:ident $kind:ident;)*) => {
        $(pub fn $name(step: &Step) -> Option<&Expr> {
            find(step, |c| match &c.kind {
                ClauseKind::$kind(e) => Some(e),
                _ => None,
            })
        })*
    };
}

clause_expr! {
    when When;
    unless Unless;
    until Until;
    timeout Timeout;
    every Every;
    expires Expires;
}

pub fn requires(step: &Step) -> impl Iterator<Item = &Guard> {
    step.clauses.iter().filter_map(|c| match &c.kind {
        ClauseKind::Require(guard) => Some(guard),
        _ => None,
    })
}

pub fn fail_whens(step: &Step) -> impl Iterator<Item = &Guard> {
    step.clauses.iter().filter_map(|c| match &c.kind {
        ClauseKind::FailWhen(guard) => Some(guard),
        _ => None,
    })
}

pub fn expects(step: &Step) -> impl Iterator<Item = &Guard> {
    step.clauses.iter().filter_map(|c| match &c.kind {
        ClauseKind::Expect(guard) => Some(guard),
        _ => None,
    })
}

pub fn retry(step: &Step) -> Option<(&Expr, Option<&Expr>)> {
    find(step, |c| match &c.kind {
        ClauseKind::Retry { times, every } => Some((times, every.as_ref())),
        _ => None,
    })
}

pub fn settle(step: &Step) -> Option<(&HttpCall, &Expr)> {
    find(step, |c| match &c.kind {
        ClauseKind::Settle { http, when } => Some((http, when)),
        _ => None,
    })
}

/// What takes the step back when its run is rolled back.
pub fn undo(step: &Step) -> Option<(&Clause, &Undo)> {
    find(step, |c| match &c.kind {
        ClauseKind::Undo(undo) => Some((c, undo)),
        _ => None,
    })
}

pub fn protects(step: &Step) -> bool {
    find(step, |c| {
        matches!(c.kind, ClauseKind::Protect).then_some(())
    })
    .is_some()
}

/// What the flow says should happen on an exceptional outcome.
pub fn decision(step: &Step, wanted: OnOutcome) -> Option<Decision> {
    find(step, |c| match &c.kind {
        ClauseKind::On { outcome, decision } if *outcome == wanted => Some(*decision),
        _ => None,
    })
}
