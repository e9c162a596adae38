//! The promises that every trace keeps, whatever happens to the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::player::{Line, Played};
use super::stage::changes;
use crate::catalog::Catalog;
use crate::journal::{CallResult, Event, Origin, Outcome};
use crate::run::{marked_run, reads_target};
use crate::wire::{Answer, Request, Verb};

/// What happened, in the order in which it happened.
#[derive(Clone, Debug)]
pub enum Mark {
    /// Everything that a step waits for is there.
    Began(Arc<str>),
    Sent(Arc<Request>),
    /// What stands at this path carries the mark of this run.
    Shown(String, String),
    Durable(Event),
}

impl Mark {
    /// What an answer shows of the run that created its resource.
    pub fn shown(request: &Request, answer: &Answer) -> Option<Mark> {
        if request.verb != Verb::Get {
            return None;
        }
        let resource = serde_json::from_slice(&answer.body).ok()?;
        let run = marked_run(&resource)?.to_owned();
        Some(Mark::Shown(request.path.clone(), run))
    }
}

/// What a journal tells so far.
#[derive(Default)]
struct Told {
    open: BTreeMap<Arc<str>, Request>,
    over: BTreeSet<Arc<str>>,
    /// Requests by their ids.
    ids: BTreeMap<String, Request>,
    /// Ids of requests that were certainly refused.
    refused: BTreeSet<String>,
    /// Steps whose operation is known.
    followed: BTreeSet<Arc<str>>,
    run: Option<String>,
    /// Paths at which something with the run's own mark was seen.
    own: BTreeSet<String>,
}

impl Told {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Started(started) => self.run = Some(started.run.clone()),
            Event::Called {
                address,
                result: CallResult::Failed { .. },
                ..
            } => {
                let id = self.open.remove(address).as_ref().and_then(id_of);
                self.refused.extend(id);
            }
            Event::Operation { address, .. } => {
                self.followed.insert(Arc::clone(address));
            }
            Event::Intent { address, intent } => {
                self.open
                    .insert(Arc::clone(address), intent.request.clone());
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

impl Told {
    /// What only was found after a lost answer must not be recorded as made.
    fn has_seen(&self, catalog: &Catalog, event: &Event, sent: &[&Request]) -> Result<(), String> {
        let Event::Called {
            address,
            result:
                CallResult::Ok {
                    origin: Origin::Created,
                    ..
                },
            ..
        } = event
        else {
            return Ok(());
        };
        let open = self.open.get(address);
        let marked = || {
            let reads = open.and_then(|sent| reads_target(catalog, sent));
            reads.is_some_and(|get| self.own.contains(&get.path))
        };
        let seen = self.followed.contains(address)
            || sent.iter().any(|request| open == Some(*request))
            || sent.iter().any(|r| r.method.contains("perations."))
            || marked();
        match seen {
            true => Ok(()),
            false => Err(format!(
                "{address} is recorded as created, and nothing was seen that proves it"
            )),
        }
    }
}

/// The id by which the API tells a repetition of a request.
fn id_of(request: &Request) -> Option<String> {
    let mut query = request.query.iter();
    let id = query.find(|(name, _)| name == "requestId" || name == "clientOperationId");
    id.map(|(_, id)| id.clone())
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
        told.take(&line.event);
    }
    let mut sent: Vec<&Request> = Vec::new();
    for mark in &played.trace {
        if let Mark::Sent(request) = mark {
            sent.push(request);
        }
        match mark {
            Mark::Durable(event) => {
                told.has_seen(catalog, event, &sent)?;
                told.take(event);
            }
            Mark::Sent(request) if changes(catalog, request) => {
                if !told.open.values().any(|open| open == &**request) {
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
            Mark::Shown(path, run) if told.run.as_ref() == Some(run) => {
                told.own.insert(path.clone());
            }
            Mark::Sent(_) | Mark::Shown(..) => {}
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
