//! Growth: evaluated once, recorded, and taken from the record by every process that goes on.

use std::sync::Arc;

use super::super::mutant::Mutant;
use super::super::plan_item::PlanAction;
use super::super::task::TaskEnd;
use super::cx::Cx;
use super::{Result, conclude};
use crate::journal::{Event, GrewTo, Iteration, Iterations, Reason};
use crate::plan::{Answer, Entry, Work};
use crate::value::Value;

/// A `for`, an `if` or a `run … when`.
pub async fn growth(cx: &Cx<'_>) -> TaskEnd {
    let recorded = cx.shared.past.grown.get(&cx.address).cloned();
    match recorded {
        Some(_) if cx.is_mutant(Mutant::GrowthReevaluated) => match evaluated(cx).await {
            Ok(answer) => TaskEnd::Grown(answer),
            Err(end) => end,
        },
        Some(GrewTo::Taken(taken)) => TaskEnd::Grown(Answer::Taken(taken)),
        Some(GrewTo::Entries(iterations)) if iterations.plan != plan_hash(cx) => {
            let what = "another loop stood here when the run began";
            conclude(cx, Err(cx.failure(Reason::Decision, what)), None).await
        }
        Some(GrewTo::Entries(iterations)) => TaskEnd::Grown(replayed(*iterations)),
        Some(GrewTo::Keys(keys)) => again(cx, &keys).await,
        None => first(cx).await,
    }
}

async fn first(cx: &Cx<'_>) -> TaskEnd {
    let answer = match evaluated(cx).await {
        Ok(answer) => answer,
        Err(end) => return end,
    };
    let event = Event::Grew {
        address: cx.address.clone(),
        to: record(cx, &answer),
    };
    cx.append(vec![event]).await;
    TaskEnd::Grown(answer)
}

/// Only the keys are recorded: the values are computed again, and must come to the same keys.
async fn again(cx: &Cx<'_>, keys: &[Arc<str>]) -> TaskEnd {
    match evaluated(cx).await {
        Ok(answer) if keys_of(&answer) == keys => TaskEnd::Grown(answer),
        Ok(_) => {
            let what = "the graph grew to something else here when the run began";
            conclude(cx, Err(cx.failure(Reason::Decision, what)), None).await
        }
        Err(end) => end,
    }
}

async fn evaluated(cx: &Cx<'_>) -> std::result::Result<Answer, TaskEnd> {
    match grown(cx).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => {
            // Only in a plan: everything behind it shows as known later.
            let text = vec![cx.growth_text()];
            cx.plan(PlanAction::Undecided, None, Vec::new(), text);
            Err(TaskEnd::Paused("it grows during the run".into()))
        }
        Err(halt) => Err(conclude(cx, Err(halt), None).await),
    }
}

/// What a growth leads to; `None`: a later step decides it.
pub async fn grown(cx: &Cx<'_>) -> Result<Option<Answer>> {
    loop {
        let found = {
            let graph = cx.shared.graph.borrow();
            let memo = cx.shared.memo.borrow();
            graph.answer(cx.node, &memo)
        };
        match found {
            Ok(found) => return Ok(found),
            Err(fault) => cx.bring(fault).await?,
        }
    }
}

fn keys_of(answer: &Answer) -> Vec<Arc<str>> {
    match answer {
        Answer::Entries(entries, _) => entries.iter().map(|e| Arc::clone(&e.key)).collect(),
        Answer::Taken(_) => Vec::new(),
    }
}

/// What JSON does not give back as it was, durations among it, is not recorded.
fn record(cx: &Cx<'_>, answer: &Answer) -> GrewTo {
    let Answer::Entries(entries, turns) = answer else {
        return GrewTo::Taken(matches!(answer, Answer::Taken(true)));
    };
    let faithful = |value: &Value| Value::from_json(&value.to_json()) == *value;
    if !entries
        .iter()
        .all(|e| faithful(&e.first) && faithful(&e.value))
    {
        return GrewTo::Keys(keys_of(answer));
    }
    let iteration = |entry: &Entry| Iteration {
        key: Arc::clone(&entry.key),
        first: entry.first.to_json(),
        value: entry.value.to_json(),
    };
    GrewTo::Entries(Box::new(Iterations {
        plan: plan_hash(cx),
        turns: *turns,
        entries: entries.iter().map(iteration).collect(),
    }))
}

fn replayed(iterations: Iterations) -> Answer {
    let entry = |i: Iteration| Entry {
        key: i.key,
        first: Value::from_json(&i.first),
        value: Value::from_json(&i.value),
    };
    let entries = iterations.entries.into_iter().map(entry).collect();
    Answer::Entries(entries, iterations.turns)
}

/// A hash of the text that grows.
fn plan_hash(cx: &Cx<'_>) -> String {
    let graph = cx.shared.graph.borrow();
    let text = match cx.work() {
        Work::For(f, _) => graph.names.program.sources.slice(f.span),
        _ => "",
    };
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}
