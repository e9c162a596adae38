//! Whether what a run made is still as it left it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::super::effect::{Effect, Reply, TaskId};
use super::super::engine::{Engine, Happening};
use super::super::shared::Shared;
use super::super::step::cx::{Cx, Halt};
use super::super::step::settle::incarnation;
use super::super::step::target;
use super::super::task::{Ask, Given, Port};
use super::compare::FieldChange;
use super::recorded::{later_writers, meaning_of, removed_later, took_effect, value};
use super::walk::{Side, Walk, carry};
use crate::catalog::compare::compare;
use crate::catalog::{Catalog, SchemaId};
use crate::journal::{Address, State};
use crate::plan::Work;
use crate::syntax::ast::ActionKind;
use crate::wire::Request;
use crate::world::Timestamp;
use serde_json::Value as Json;

/// How many resources are read at one time.
const AT_ONCE: usize = 16;

/// What became of a resource since the run made it.
#[derive(Clone, Debug, PartialEq)]
pub enum Drift {
    /// Fields that the flow writes are otherwise now.
    Changed(Vec<FieldChange>),
    /// Another resource has its name.
    Remade,
    Gone,
    /// It cannot be read now, and why.
    Unread(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Drifted {
    pub address: Address,
    pub drift: Drift,
}

/// A resource that the run made or changed.
struct Made {
    address: Address,
    get: Request,
    /// What the flow writes; nothing where later steps wrote to it too.
    body: Json,
    schema: SchemaId,
    recorded: Json,
}

/// Reads what the `ensure`s of a run made or changed, and tells what is not as they left it.
pub async fn drift(
    side: Side<'_>,
    past: &State,
    catalog: &Catalog,
    now: Timestamp,
    engine: &mut dyn Engine,
) -> Vec<Drifted> {
    let mut walk = Walk::new(side, past.clone(), catalog.clone(), now);
    let made = made(&mut walk, past, catalog, engine).await;
    let found = read_all(engine, &walk.shared, &made).await;
    let mut drifted = Vec::new();
    for (made, found) in made.iter().zip(found) {
        let drift = match found {
            Some(Ok(Some(found))) => compared(&walk.shared, made, &found),
            Some(Ok(None)) => Some(Drift::Gone),
            Some(Err(Halt::Failed(failure))) => Some(Drift::Unread(failure.message)),
            Some(Err(Halt::Paused(_) | Halt::Stopped)) | None => None,
        };
        drifted.extend(drift.map(|drift| Drifted {
            address: Arc::clone(&made.address),
            drift,
        }));
    }
    drifted
}

async fn made(
    walk: &mut Walk<'_>,
    past: &State,
    catalog: &Catalog,
    engine: &mut dyn Engine,
) -> Vec<Made> {
    let mut all = Vec::new();
    while let Some((cx, port)) = walk.next(engine).await {
        let Some(state) = past.steps.get(&cx.address) else {
            continue;
        };
        let Some(recorded) = value(state) else {
            continue;
        };
        cx.set_value(&recorded);
        let Work::Step(step) = cx.work() else {
            continue;
        };
        let ActionKind::Ensure(call) = &step.action.kind else {
            continue;
        };
        if !took_effect(state) || removed_later(catalog, past, &cx.address) {
            continue;
        }
        let shared = Rc::clone(&walk.shared);
        let looking = async {
            let meaning = meaning_of(&cx, &recorded).await;
            Ok::<_, Halt>((meaning, target::resolve(&cx, call, None).await?))
        };
        let Some(Ok((meaning, target))) = carry(engine, &shared, &port, looking).await else {
            continue;
        };
        let schema = target.collection.as_ref().and_then(|c| c.resource.clone());
        let (Some(Ok(get)), Some(schema)) = (target.get(), schema) else {
            continue;
        };
        let written_since = !later_writers(catalog, past, &cx.address).is_empty();
        all.push(Made {
            address: Arc::clone(&cx.address),
            get,
            body: match written_since {
                true => Json::Object(Default::default()),
                false => meaning.body,
            },
            schema,
            recorded: recorded.to_json(),
        });
    }
    all
}

fn compared(shared: &Shared<'_>, made: &Made, found: &Json) -> Option<Drift> {
    if incarnation(found) != incarnation(&made.recorded) {
        return Some(Drift::Remade);
    }
    let none = Default::default();
    let differ =
        |found: &Json| compare(&shared.catalog, &made.schema, &made.body, found, &none).differences;
    // What differed right after the step was done is no change since.
    let before = differ(&made.recorded);
    let differences = differ(found);
    shared.conceal(&differences);
    let fields: Vec<FieldChange> = differences
        .into_iter()
        .filter(|d| !before.contains(d))
        .map(|d| FieldChange {
            path: d.path,
            old: d.wanted,
            new: d.found,
        })
        .collect();
    (!fields.is_empty()).then_some(Drift::Changed(fields))
}

type Looking<'a> = Pin<Box<dyn Future<Output = Result<Option<Json>, Halt>> + 'a>>;
type Looked = Option<Result<Option<Json>, Halt>>;

/// Reads the resources, several at a time; the answers stand in the order of the questions.
async fn read_all(engine: &mut dyn Engine, shared: &Rc<Shared<'_>>, made: &[Made]) -> Vec<Looked> {
    let mut found: Vec<Looked> = made.iter().map(|_| None).collect();
    let mut waiting = made.iter().enumerate();
    let mut at_work: BTreeMap<TaskId, (Port, Looking<'_>)> = BTreeMap::new();
    loop {
        while at_work.len() < AT_ONCE {
            let Some((i, made)) = waiting.next() else {
                break;
            };
            let port = Port::default();
            let node = shared.graph.borrow().find(&made.address);
            let Some(node) = node else { continue };
            let cx = Cx::new(Rc::clone(shared), node, port.clone());
            let looking: Looking<'_> = Box::pin(async move { cx.observe(&made.get).await });
            let task = TaskId(i as u32);
            at_work.insert(task, (port, looking));
            step(engine, task, &mut at_work, &mut found);
        }
        if at_work.is_empty() {
            return found;
        }
        let (happening, now) = engine.next().await;
        shared.now.set(now);
        let Happening::Reply(task, reply) = happening else {
            return found;
        };
        if let Some((port, _)) = at_work.get(&task) {
            port.give(Given::Reply(reply));
            step(engine, task, &mut at_work, &mut found);
        }
    }
}

/// Polls one look until it waits for the engine, or is over.
fn step(
    engine: &mut dyn Engine,
    task: TaskId,
    at_work: &mut BTreeMap<TaskId, (Port, Looking<'_>)>,
    found: &mut [Looked],
) {
    while let Some((port, looking)) = at_work.get_mut(&task) {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(value) = looking.as_mut().poll(&mut context) {
            at_work.remove(&task);
            if let Some(place) = found.get_mut(task.0 as usize) {
                *place = Some(value);
            }
            return;
        }
        match port.take_ask() {
            Some(Ask::Permit | Ask::Domains(_) | Ask::Flight(_)) => port.give(Given::Granted),
            Some(Ask::Effect(Effect::Append(_))) => port.give(Given::Reply(Reply::Appended)),
            Some(Ask::Effect(effect)) => return engine.begin(task, effect),
            None => {
                at_work.remove(&task);
            }
        }
    }
}
