//! The simulated cloud as a [`Wire`]: in process, on a clock that is passed in.

use std::cell::RefCell;
use std::rc::Rc;

use super::durable::Cloud;
use super::{Call, Fate, stream_manager};
use crate::wire::{NoAnswer, Request, SendFuture, Wire};
use crate::world::{Clock, Millis};

/// Carries requests to a cloud in the same process. Answers take their time on the clock.
#[derive(Clone)]
pub struct SimWire {
    cloud: Rc<RefCell<dyn Cloud>>,
    clock: Rc<dyn Clock>,
}

impl SimWire {
    pub fn new(cloud: Rc<RefCell<dyn Cloud>>, clock: Rc<dyn Clock>) -> Self {
        SimWire { cloud, clock }
    }

    /// The cloud itself, for approvals and for looking at its state.
    pub fn cloud(&self) -> Rc<RefCell<dyn Cloud>> {
        Rc::clone(&self.cloud)
    }
}

impl Wire for SimWire {
    fn send<'a>(&'a self, request: &'a Request, patience: Millis) -> SendFuture<'a> {
        Box::pin(async move {
            if request.service().is_none() && !stream_manager::answers_at(&request.path) {
                return Err(NoAnswer::NotSent(format!(
                    "the simulator has no network: nothing answers at {}",
                    request.path
                )));
            }
            let now = self.clock.now();
            let reply = self
                .cloud
                .borrow_mut()
                .call(&call_of(request), now)
                .map_err(|e| NoAnswer::NotSent(e.to_string()))?;
            let latest = now.plus(patience);
            if reply.at > latest {
                self.clock.sleep_until(latest).await;
                return Err(NoAnswer::Unknown(format!("no answer within {patience}")));
            }
            self.clock.sleep_until(reply.at).await;
            match reply.fate {
                Fate::Arrives => Ok(reply.answer),
                Fate::Lost => Err(NoAnswer::Unknown("the connection was reset".into())),
            }
        })
    }
}

/// A request as the cloud takes it.
pub fn call_of(request: &Request) -> Call {
    Call {
        service: request.service().map(str::to_string),
        verb: request.verb,
        path: request.path.clone(),
        query: request.query.clone(),
        headers: request.headers.clone(),
        body: request
            .body
            .as_ref()
            .map(|b| b.to_string().into_bytes())
            .unwrap_or_default(),
    }
}
