//! What all tasks of a run see.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::effect::TaskId;
use super::engine::Observer;
use super::plan_item::PlanItem;
use super::settings::Settings;
use super::traffic::{Domains, Flights, Pace, Place};
use crate::catalog::Catalog;
use crate::journal::State;
use crate::plan::{Graph, Memo};
use crate::source::Span;
use crate::world::Timestamp;

/// One thread owns all of it: the cells are for tasks that take turns, not for threads.
pub struct Shared<'p> {
    pub graph: RefCell<Graph<'p>>,
    pub memo: RefCell<Memo>,
    pub catalog: Catalog,
    pub settings: Settings,
    /// What the journal told when this process began.
    pub past: State,
    pub nonce: String,
    pub now: Cell<Timestamp>,
    /// The server's clock when it last answered.
    pub server_time: Cell<Option<Timestamp>>,
    /// Set by the first Ctrl-C: nothing new is sent.
    pub stopping: Cell<bool>,
    pub permits: Cell<usize>,
    pub traffic: RefCell<Traffic>,
    pub observer: RefCell<Rc<dyn Observer>>,
    /// Addresses of steps whose resource can be read again, with the request that does it.
    pub resources: RefCell<HashMap<Arc<str>, crate::wire::Request>>,
    pub plan: RefCell<Vec<PlanItem>>,
    /// In a plan: what reads the resources that steps so far would change.
    pub would_change: RefCell<BTreeSet<String>>,
}

/// Who waits for whom before anything is sent.
#[derive(Debug)]
pub struct Traffic {
    pub domains: Domains,
    pub flights: Flights,
    pub pace: Pace,
}

impl Traffic {
    /// `abreast`: how many requests are sent at a time.
    pub fn new(abreast: usize) -> Self {
        Traffic {
            domains: Domains::default(),
            flights: Flights::new(abreast),
            pace: Pace::default(),
        }
    }
}

impl<'p> Shared<'p> {
    /// The next task that gets its domains, or its place in the air.
    pub fn admit(&self) -> Option<TaskId> {
        let mut traffic = self.traffic.borrow_mut();
        let now = self.now.get();
        traffic
            .domains
            .grant()
            .or_else(|| traffic.flights.grant(now))
    }

    /// Nobody waits for a domain or a place any more.
    pub fn dismiss(&self) {
        let mut traffic = self.traffic.borrow_mut();
        traffic.domains.dismiss();
        traffic.flights.dismiss();
    }

    pub fn observer(&self) -> Rc<dyn Observer> {
        Rc::clone(&self.observer.borrow())
    }

    pub fn place(&self, span: Span) -> String {
        self.graph.borrow().names.program.sources.place(span)
    }
}

/// The right to talk to the cloud; given back when dropped.
pub struct Permit<'p>(pub Rc<Shared<'p>>);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.permits.set(self.0.permits.get() + 1);
    }
}

/// The only one at work in these domains; given back when dropped.
pub struct Lock<'p> {
    pub shared: Rc<Shared<'p>>,
    pub keys: Vec<Arc<str>>,
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        self.shared.traffic.borrow_mut().domains.free(&self.keys);
    }
}

/// One operation in flight; given back when dropped.
pub struct Flight<'p> {
    pub shared: Rc<Shared<'p>>,
    pub place: Place,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.shared.traffic.borrow_mut().flights.leave(&self.place);
    }
}
