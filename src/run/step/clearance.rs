//! What a step must have before a request leaves: its domains, a place in the air, a share of the minute.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::super::shared::{Flight, Lock, Permit};
use super::super::task::Ask;
use super::super::traffic::Place;
use super::cx::Cx;
use crate::catalog::traffic::{self, Domain};
use crate::catalog::{Method, OperationStyle};
use crate::wire::error::{ApiError, ErrorClass, classify};
use crate::wire::{Answer, Request};
use crate::world::{Millis, Timestamp};

/// What the next change of a step has got already.
#[derive(Default)]
pub struct Clearance<'p> {
    flight: RefCell<Option<Flight<'p>>>,
    /// Whether the change is counted in its minute.
    counted: Cell<bool>,
}

impl<'p> Cx<'p> {
    /// Waits until the step is the only one of the run at work in all of these domains.
    pub async fn lock(&self, domains: Vec<Domain>) -> Lock<'p> {
        let keys: Vec<Arc<str>> = domains.iter().map(|d| Arc::clone(&d.key)).collect();
        let taken = {
            let traffic = self.shared.traffic.borrow();
            let taken = traffic.domains.taken(&keys).next().cloned();
            domains.iter().find(|d| Some(&d.key) == taken.as_ref())
        };
        if let Some(domain) = taken {
            self.waits(Some(&domain.to_string()));
        }
        self.port.ask(Ask::Domains(keys.clone())).await;
        if taken.is_some() {
            self.waits(None);
            self.begin_here();
        }
        Lock {
            shared: Rc::clone(&self.shared),
            keys,
        }
    }

    /// Tells who watches what the step waits for.
    pub fn waits(&self, for_what: Option<&str>) {
        let observer = self.shared.observer();
        observer.waits(&self.address, for_what, self.now());
    }

    /// Waits until one more change may leave. What it got it keeps until the change has
    /// [landed](Self::land), so a change that has become stale in the meantime does not wait again.
    pub async fn clear(&self, method: &Method, request: &Request) {
        if method.operation != OperationStyle::None
            && self.clearance.flight.borrow().is_none()
            && let Some(lane) = traffic::container(request)
        {
            let lane = Arc::from(lane);
            self.port.ask(Ask::Flight(Arc::clone(&lane))).await;
            let place = self.shared.traffic.borrow_mut().flights.enter(&lane);
            self.board(place);
        }
        self.count(request).await;
    }

    /// The operation of an earlier process counts as well.
    pub fn admit(&self, request: &Request) {
        if let Some(lane) = traffic::container(request) {
            let lane = Arc::from(lane);
            let mut place = self.shared.traffic.borrow_mut().flights.admit(&lane);
            self.shared
                .traffic
                .borrow_mut()
                .flights
                .accepted(&mut place);
            self.board(place);
        }
    }

    fn board(&self, place: Place) {
        let shared = Rc::clone(&self.shared);
        *self.clearance.flight.borrow_mut() = Some(Flight { shared, place });
    }

    /// Counts the change in its minute, unless it is counted and has not left yet.
    pub async fn count(&self, request: &Request) {
        if !self.clearance.counted.replace(true) {
            self.pace(request).await;
        }
    }

    /// The change leaves: the next one is counted anew.
    pub fn leave(&self) {
        self.clearance.counted.set(false);
    }

    /// Its operation runs.
    pub fn accepted(&self) {
        if let Some(flight) = &mut *self.clearance.flight.borrow_mut() {
            self.shared
                .traffic
                .borrow_mut()
                .flights
                .accepted(&mut flight.place);
        }
    }

    /// The change is over.
    pub fn land(&self, refusal: Option<&ApiError>) {
        let flight = self.clearance.flight.borrow_mut().take();
        if let (Some(flight), Some(error)) = (&flight, refusal)
            && error.too_many_operations()
        {
            let mut traffic = self.shared.traffic.borrow_mut();
            traffic.flights.refused(&flight.place, self.now());
        }
    }

    /// Waits while the quota group of a request rests, and counts the request.
    pub async fn pace(&self, request: &Request) {
        while let Err(until) = self.try_pace(request) {
            self.rest(until).await;
        }
    }

    /// The right to send this request now, which is counted in its minute.
    pub async fn turn(&self, request: &Request) -> Permit<'p> {
        loop {
            let permit = self.permit().await;
            match self.try_pace(request) {
                Ok(()) => return permit,
                Err(until) => {
                    drop(permit);
                    self.rest(until).await;
                }
            }
        }
    }

    /// Counts a request in its minute; else says until when its quota group rests.
    fn try_pace(&self, request: &Request) -> Result<(), Timestamp> {
        match traffic::quota_group(&request.method, request.verb, &request.path) {
            Some(group) if !self.stopping() => {
                let mut traffic = self.shared.traffic.borrow_mut();
                traffic.pace.ask(&group, self.now())
            }
            _ => Ok(()),
        }
    }

    /// Sleeps until a moment, and a little longer: not everybody wakes at once.
    async fn rest(&self, until: Timestamp) {
        let spread = super::patience::spread(self, 0, Millis::secs(1));
        self.sleep(until.plus(spread).since(self.now())).await;
    }

    /// What an answer tells of the server's clock, and of the limits of the quota group.
    pub fn heed(&self, request: &Request, answer: &Answer) {
        let mut traffic = self.shared.traffic.borrow_mut();
        if let Some(date) = answer.date() {
            self.shared.server_time.set(Some((date, self.now())));
            traffic.pace.synchronise(date, self.now());
        }
        let (Some(group), Some(service)) = (
            traffic::quota_group(&request.method, request.verb, &request.path),
            request.service(),
        ) else {
            return;
        };
        let refusal = match answer.status {
            403 | 429 => classify(service, true, answer).err(),
            _ => None,
        };
        match refusal {
            Some(error) if error.too_many_operations() => {}
            Some(error) if error.class == ErrorClass::RateLimit => {
                traffic.pace.refused(&group, self.now(), error.retry_after);
            }
            _ => traffic.pace.taken(&group),
        }
    }
}
