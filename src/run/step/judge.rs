//! Whether the recorded result of a step still counts, once what it stands on was done again.

use super::super::edit::{Unlike, unlike};
use super::call::converges;
use super::cx::Cx;
use super::meaning::{in_words, meaning};
use super::{clauses, target};
use crate::catalog::Catalog;
use crate::journal::{Outcome, Reason};
use crate::run::task::TaskEnd;
use crate::syntax::ast::{ActionKind, Decision, OnOutcome, Step};
use crate::value::Value;

/// What follows when a finished step no longer means what it meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Doing it again leads to what the flow says, and to nothing else.
    Again,
    /// Only a person knows.
    Ask,
}

/// What may be done about a difference without asking.
pub fn then(catalog: &Catalog, step: &Step, unlike: &Unlike) -> Then {
    let again = match &step.action.kind {
        ActionKind::Ensure(_) => {
            let replaces = clauses::decision(step, OnOutcome::Change) == Some(Decision::Replace);
            !unlike.is_remade_only() || replaces
        }
        ActionKind::Call(_) => writes_a_state(catalog, step) && !unlike.elsewhere,
        ActionKind::Http(call) => {
            let safe = matches!(&*call.method.text, "GET" | "HEAD");
            safe || writes_a_state(catalog, step) && !unlike.elsewhere
        }
        _ => true,
    };
    match again {
        true => Then::Again,
        false => Then::Ask,
    }
}

/// Whether a request is one that leaves just what it says, however often it is made.
pub fn writes_a_state(catalog: &Catalog, step: &Step) -> bool {
    match &step.action.kind {
        ActionKind::Call(call) => {
            let method = catalog.method(&target::path_text(&call.path));
            method.is_some_and(|method| {
                let collection = catalog.collection(&method.collection);
                converges(&method, collection.as_deref())
            })
        }
        ActionKind::Http(call) => &*call.method.text == "PUT",
        _ => false,
    }
}

/// The recorded end of a step that must be compared once more; `None`: it is to be done.
pub async fn still_counts<'p>(cx: &Cx<'p>, step: &'p Step) -> Option<TaskEnd> {
    let (outcome, meant) = {
        let past = cx.past();
        let (outcome, _) = past.finished.as_ref()?;
        (outcome.clone(), past.meant.clone()?)
    };
    let value = match &outcome {
        Outcome::Done { value, .. } => Value::from_json(value),
        Outcome::Skipped => {
            cx.begin_anew();
            return None;
        }
        Outcome::Failed { .. } => Value::Null,
    };
    let now = match meaning(cx, step, &value).await {
        Ok(now) => now,
        Err(_) => in_words(cx, step),
    };
    cx.mean_it();
    let found = unlike(&cx.shared.catalog, &meant, &now);
    if found.is_same() {
        target::remember(cx, step);
        return Some(TaskEnd::Finished(outcome));
    }
    match then(&cx.shared.catalog, step, &found) {
        Then::Again => {
            cx.begin_anew();
            None
        }
        // Not recorded: the question stays until a person has answered it.
        Then::Ask => Some(TaskEnd::Finished(Outcome::Failed {
            failure: question(cx, &found),
            tolerated: false,
        })),
    }
}

fn question(cx: &Cx<'_>, found: &Unlike) -> Box<crate::journal::StepFailure> {
    let what = match (found.remade.first(), found.fields.first()) {
        (Some(link), _) => format!("`{link}`, which it is about, was made anew"),
        (None, Some(field)) => format!(
            "`{}` was {}, and would be {} now",
            field.path, field.old, field.new
        ),
        (None, None) => "it would be about something else now".into(),
    };
    let halt = cx.failure_with_help(
        Reason::Decision,
        format!("it is done already, and what it stands on has changed: {what}"),
        format!(
            "`r5flow resume --redo {0}` does it again, `--keep {0}` lets it stand",
            cx.address
        ),
    );
    match halt {
        super::cx::Halt::Failed(failure) => failure,
        _ => unreachable!("invariant: a failure is a failure"),
    }
}
