//! What all tasks of a run see.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::effect::TaskId;
use super::engine::Observer;
use super::grants::Grants;
use super::plan_item::PlanItem;
use super::settings::Settings;
use super::traffic::{Domains, Flights, Pace, Place};
use crate::catalog::Catalog;
use crate::journal::{Made, State};
use crate::plan::{Graph, Memo, NodeId};
use crate::source::Span;
use crate::value::Value;
use crate::world::Timestamp;

/// One thread owns all of it: the cells are for tasks that take turns, not for threads.
pub struct Shared<'p> {
    pub graph: RefCell<Graph<'p>>,
    pub memo: RefCell<Memo>,
    pub catalog: Catalog,
    pub settings: Settings,
    pub grants: Grants,
    /// The account that operations of this run name as theirs.
    pub principal: RefCell<Option<String>>,
    /// What the journal told when this process began.
    pub past: State,
    pub nonce: String,
    pub now: Cell<Timestamp>,
    /// The server's clock when it last answered, and ours then.
    pub server_time: Cell<Option<(Timestamp, Timestamp)>>,
    /// Set by the first Ctrl-C: nothing new is sent.
    pub stopping: Cell<bool>,
    pub permits: Cell<usize>,
    pub traffic: RefCell<Traffic>,
    pub observer: RefCell<Rc<dyn Observer>>,
    /// Addresses of steps whose resource can be read again, with the request that does it.
    pub resources: RefCell<HashMap<Arc<str>, crate::wire::Request>>,
    pub plan: RefCell<Vec<PlanItem>>,
    /// In a plan: what was read of the resource that a step addresses; `null` when it is absent.
    pub seen: RefCell<BTreeMap<NodeId, Value>>,
    /// In a plan: what reads the resources that steps so far would change.
    pub would_change: RefCell<BTreeSet<String>>,
    /// What reads a resource that a step protects, with the step's address.
    pub protected: RefCell<BTreeMap<String, Arc<str>>>,
    /// What reads a resource that a step removes, with the step's address.
    pub removed: RefCell<BTreeMap<String, Arc<str>>>,
    /// What a rollback undoes, by the address under which it does.
    pub undoing: RefCell<BTreeMap<Arc<str>, Rc<Made>>>,
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
    pub fn stretch(&self, span: Span) -> String {
        self.graph.borrow().names.program.sources.stretch(span)
    }

    pub fn new(
        graph: Graph<'p>,
        memo: Memo,
        past: State,
        catalog: Catalog,
        settings: Settings,
        observer: Rc<dyn Observer>,
    ) -> Self {
        let nonce = past.started.as_ref().map(|s| s.nonce.clone());
        let permits = settings.parallel.max(1);
        Shared {
            graph: graph.into(),
            memo: memo.into(),
            catalog,
            settings,
            grants: Grants::of(&past),
            principal: Default::default(),
            past,
            nonce: nonce.unwrap_or_default(),
            now: Timestamp(0).into(),
            server_time: None.into(),
            stopping: false.into(),
            permits: permits.into(),
            traffic: Traffic::new(permits).into(),
            observer: observer.into(),
            resources: Default::default(),
            plan: Default::default(),
            seen: Default::default(),
            would_change: Default::default(),
            protected: Default::default(),
            removed: Default::default(),
            undoing: Default::default(),
        }
    }

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
