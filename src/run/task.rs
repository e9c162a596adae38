//! A task: the protocol of one node, written as a sequence and polled by the core.
//!
//! The future never sees an executor. It hands one [`Ask`] to its port and is polled again when the
//! answer is there, so that the whole of a run stays a function of what came back, in order.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::effect::{Effect, Reply};
use crate::journal::Outcome;
use crate::plan::Answer;

/// What a task waits for.
#[derive(Debug)]
pub enum Ask {
    Effect(Effect),
    /// The right to talk to the cloud.
    Permit,
    /// To be the only one at work in all of these domains.
    Domains(Vec<Arc<str>>),
    /// Room for one more operation in this container.
    Flight(Arc<str>),
}

#[derive(Debug)]
pub enum Given {
    Reply(Reply),
    /// What was asked for is the task's.
    Granted,
}

/// How a task ended.
#[derive(Clone, Debug)]
pub enum TaskEnd {
    /// Recorded, unless the node needs no record.
    Finished(Outcome),
    Grown(Answer),
    /// Not recorded: the run pauses here and takes the step up again when it is resumed.
    Paused(String),
    /// Not recorded: the run is stopping.
    Stopped,
    /// Nothing to record: the node has no outcome of its own.
    Passed,
}

#[derive(Clone, Default)]
pub struct Port {
    ask: Rc<RefCell<Option<Ask>>>,
    given: Rc<RefCell<Option<Given>>>,
    wakes_on_stop: Rc<Cell<bool>>,
}

impl Port {
    /// Whether the task wants to see the end of the run although it sleeps: it has to put something in
    /// order first.
    pub fn wake_on_stop(&self, wakes: bool) {
        self.wakes_on_stop.set(wakes);
    }

    pub fn wakes_on_stop(&self) -> bool {
        self.wakes_on_stop.get()
    }

    /// Hands the ask to the core and waits for what it gives.
    pub fn ask(&self, ask: Ask) -> impl Future<Output = Given> + use<> {
        Asking {
            port: self.clone(),
            ask: Some(ask),
        }
    }

    pub fn take_ask(&self) -> Option<Ask> {
        self.ask.borrow_mut().take()
    }

    pub fn give(&self, given: Given) {
        *self.given.borrow_mut() = Some(given);
    }
}

struct Asking {
    port: Port,
    ask: Option<Ask>,
}

impl Future for Asking {
    type Output = Given;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Given> {
        if let Some(ask) = self.ask.take() {
            *self.port.ask.borrow_mut() = Some(ask);
            return Poll::Pending;
        }
        let given = self.port.given.borrow_mut().take();
        given.map_or(Poll::Pending, Poll::Ready)
    }
}

pub type TaskFuture<'p> = Pin<Box<dyn Future<Output = TaskEnd> + 'p>>;

pub struct Task<'p> {
    pub future: TaskFuture<'p>,
    pub port: Port,
}

impl Task<'_> {
    pub fn poll(&mut self) -> Poll<TaskEnd> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        self.future.as_mut().poll(&mut context)
    }
}
