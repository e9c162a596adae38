//! What is recorded of a run, step by step, with what each step meant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::engine::Engine;
use super::super::step::cx::Cx;
use super::super::step::meaning::{in_words, meaning, of_checkpoint};
use super::super::step::settle::reads_target;
use super::walk::{Walk, carry};
use crate::catalog::Catalog;
use crate::journal::{Address, CallResult, CallState, Meaning, Outcome, State, StepState};
use crate::plan::{NodeId, Work};
use crate::value::Value;

/// A recorded step.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub meaning: Meaning,
    /// Its value for what depends on it; `None`: it has none yet.
    pub value: Option<Value>,
}

/// The steps of the recorded program that have a record, by address.
pub async fn recorded(walk: &mut Walk<'_>, engine: &mut dyn Engine) -> BTreeMap<Address, Recorded> {
    let mut all = BTreeMap::new();
    while let Some((cx, port)) = walk.next(engine).await {
        let Some(state) = walk.shared.past.steps.get(&cx.address) else {
            continue;
        };
        let value = value(state);
        let it = value.clone().unwrap_or(Value::Null);
        let shared = std::rc::Rc::clone(&walk.shared);
        let meant = carry(engine, &shared, &port, meaning_of(&cx, &it)).await;
        let meaning = match &state.meant {
            // An edit before this one left it to be compared.
            Some(meant) => meant.clone(),
            None => meant.unwrap_or_default(),
        };
        if let Some(value) = &value {
            cx.set_value(value);
        }
        all.insert(Arc::clone(&cx.address), Recorded { meaning, value });
    }
    all
}

/// The meaning of a step or a checkpoint; its words, where its expressions have no values.
pub async fn meaning_of<'p>(cx: &Cx<'p>, it: &Value) -> Meaning {
    match cx.work() {
        Work::Step(step) => match meaning(cx, step, it).await {
            Ok(meaning) => meaning,
            Err(_) => in_words(cx, step),
        },
        Work::Checkpoint(checkpoint) => of_checkpoint(cx, checkpoint).await.unwrap_or_default(),
        _ => Meaning::default(),
    }
}

/// The value of a finished step.
pub fn value(state: &StepState) -> Option<Value> {
    match &state.finished.as_ref()?.0 {
        Outcome::Done { value, .. } => Some(Value::from_json(value)),
        Outcome::Skipped
        | Outcome::Failed {
            tolerated: true, ..
        } => Some(Value::Null),
        Outcome::Failed { .. } => None,
    }
}

/// Whether a step is over, and dependents went on from it.
pub fn is_over(state: &StepState) -> bool {
    value(state).is_some()
}

pub fn is_skipped(state: &StepState) -> bool {
    matches!(state.finished, Some((Outcome::Skipped, _)))
}

/// Whether a call of the step took effect, in this or an earlier beginning of it.
pub fn took_effect(state: &StepState) -> bool {
    state.calls.iter().any(|call| {
        matches!(
            call,
            CallState::Closed {
                result: CallResult::Ok { .. },
                ..
            }
        )
    })
}

/// What the calls of a step are about: the lines that read their targets.
pub fn targets(catalog: &Catalog, state: &StepState) -> BTreeSet<String> {
    let requests = state.calls.iter().map(|call| &call.intent().request);
    requests
        .filter_map(|sent| Some(reads_target(catalog, sent)?.line()))
        .collect()
}

/// The steps that write what `first` writes, and began after it: they must write again after it.
pub fn later_writers(catalog: &Catalog, past: &State, first: &str) -> Vec<Address> {
    let Some(state) = past.steps.get(first) else {
        return Vec::new();
    };
    let own = targets(catalog, state);
    if own.is_empty() {
        return Vec::new();
    }
    let behind = past.order.iter().skip_while(|a| &***a != first).skip(1);
    behind
        .filter(|address| {
            let other = past.steps.get(*address);
            other.is_some_and(|s| !targets(catalog, s).is_disjoint(&own))
        })
        .cloned()
        .collect()
}

/// Whether a later step of the run removed what `address` made.
pub fn removed_later(catalog: &Catalog, past: &State, address: &str) -> bool {
    let deletes = |state: &StepState| {
        state.calls.iter().any(|call| {
            matches!(
                call,
                CallState::Closed {
                    result: CallResult::Ok { .. },
                    ..
                }
            ) && call.intent().request.verb == crate::wire::Verb::Delete
        })
    };
    later_writers(catalog, past, address)
        .iter()
        .any(|later| past.steps.get(later).is_some_and(deletes))
}

/// The recorded steps behind a checkpoint.
pub fn behind_checkpoint(walk: &Walk<'_>, checkpoint: NodeId) -> Vec<Address> {
    let graph = walk.shared.graph.borrow();
    let mut seen = BTreeSet::new();
    let mut open = vec![checkpoint];
    while let Some(node) = open.pop() {
        open.extend(graph.behind(node).into_iter().filter(|n| seen.insert(*n)));
    }
    let steps = seen.into_iter().map(|n| Arc::clone(&graph.node(n).address));
    steps
        .filter(|address| walk.shared.past.steps.contains_key(address))
        .collect()
}
