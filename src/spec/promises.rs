//! The promises that every trace keeps, whatever happens to the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::created::{Operation, Seen, id_of};
use super::player::{Line, Played};
use super::stage::changes;
use crate::catalog::Catalog;
use crate::journal::{CallResult, Event, Intent, Outcome};
use crate::wire::Request;

/// What happened, in the order in which it happened.
#[derive(Clone, Debug)]
pub enum Mark {
    /// Everything that a step waits for is there.
    Began(Arc<str>),
    Sent(Arc<Request>),
    /// The answer to a change says that the API took it, now or before.
    Taken(Arc<Request>),
    /// An answer shows an operation.
    Operation(Operation),
    /// What stands at this path carries the mark of this run.
    Shown(String, String),
    Durable(Event),
}

/// What a journal tells so far.
#[derive(Default)]
struct Told {
    open: BTreeMap<Arc<str>, Intent>,
    over: BTreeSet<Arc<str>>,
    /// Requests by their ids.
    ids: BTreeMap<String, Request>,
    /// Ids of requests that were certainly refused.
    refused: BTreeSet<String>,
    seen: Seen,
}

impl Told {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Started(started) => self.seen.run = Some(started.run.clone()),
            Event::Called {
                address,
                result: CallResult::Failed { .. },
                ..
            } => {
                let open = self.open.remove(address);
                let id = open.and_then(|intent| id_of(&intent.request));
                self.refused.extend(id);
            }
            Event::Intent { address, intent } => {
                self.open.insert(Arc::clone(address), (**intent).clone());
            }
            Event::Called { address, .. } | Event::Voided { address, .. } => {
                self.open.remove(address);
            }
            Event::Finished {
                address, outcome, ..
            } => {
                let stops = matches!(
                    outcome,
                    Outcome::Failed {
                        tolerated: false,
                        ..
                    }
                );
                if !stops {
                    self.over.insert(Arc::clone(address));
                }
            }
            _ => {}
        }
    }
}

/// No change leaves without a durable intent; nothing begins before what it waits for has a durable
/// outcome; nothing counts as created without proof; an id stands for one request only, and for none that was refused. `before`: the journal that the process found.
///
/// # Errors
/// What broke which promise.
pub fn keeps_the_order(
    catalog: &Catalog,
    before: &[Arc<Line>],
    played: &Played,
) -> Result<(), String> {
    let mut told = Told::default();
    for line in before {
        told.seen.inherit(&line.event);
        told.take(&line.event);
    }
    for mark in &played.trace {
        told.seen.take(mark);
        match mark {
            Mark::Durable(event) => {
                told.seen.proves(catalog, &told.open, event)?;
                told.take(event);
            }
            Mark::Sent(request) if changes(catalog, request) => {
                if !told.open.values().any(|open| open.request == **request) {
                    return Err(format!("{} left without a durable intent", request.line()));
                }
                if let Some(id) = id_of(request) {
                    if told.refused.contains(&id) {
                        let line = request.line();
                        return Err(format!("{line} left under the id of a refused request"));
                    }
                    let first = told.ids.entry(id).or_insert_with(|| (**request).clone());
                    if *first != **request {
                        let line = request.line();
                        return Err(format!("{line} left under the id of another request"));
                    }
                }
            }
            Mark::Sent(_) | Mark::Taken(_) | Mark::Operation(_) | Mark::Shown(..) => {}
            Mark::Began(address) => {
                for wanted in played.seen.waits.get(address).into_iter().flatten() {
                    if !told.over.contains(wanted) {
                        return Err(format!("{address} began before {wanted} was durable"));
                    }
                }
            }
        }
    }
    Ok(())
}
