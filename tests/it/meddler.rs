//! A wire that answers in the cloud's place, or loses answers; and remembers when what was sent.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use r5flow::sim::SimWire;
use r5flow::wire::{Answer, NoAnswer, Request, SendFuture, Wire};
use r5flow::world::clock::Clock;
use r5flow::world::{Millis, Timestamp};
use serde_json::Value as Json;

/// What is done with a request.
pub enum Meddling {
    /// It does not reach the cloud.
    Answer(u16, Json),
    AnswerLater(u16, Json, u32),
    /// It takes effect, and its answer is lost.
    Lose,
    /// It is lost on its way.
    Swallow,
}

/// Decides by the request, and by how often its method was sent before.
type Script = Box<dyn Fn(&Request, usize) -> Option<Meddling>>;

pub struct Meddler {
    script: Script,
    /// How far the server's clock is behind ours, as its answers tell.
    behind: Millis,
    sent: RefCell<Vec<(Timestamp, Request)>>,
    counts: RefCell<BTreeMap<String, usize>>,
}

impl Meddler {
    pub fn new(script: impl Fn(&Request, usize) -> Option<Meddling> + 'static) -> Rc<Meddler> {
        Meddler::with(script, Millis(0))
    }

    /// Leaves everything as it is but the server's clock.
    pub fn behind(behind: Millis) -> Rc<Meddler> {
        Meddler::with(|_, _| None, behind)
    }

    fn with(
        script: impl Fn(&Request, usize) -> Option<Meddling> + 'static,
        behind: Millis,
    ) -> Rc<Meddler> {
        Rc::new(Meddler {
            script: Box::new(script),
            behind,
            sent: RefCell::default(),
            counts: RefCell::default(),
        })
    }

    pub fn between(self: &Rc<Self>, wire: Rc<SimWire>, clock: Rc<dyn Clock>) -> Rc<dyn Wire> {
        let meddler = Rc::clone(self);
        Rc::new(Between {
            meddler,
            wire,
            clock,
        })
    }

    fn dated(&self, mut answer: Answer) -> Answer {
        let Some(date) = answer.date() else {
            return answer;
        };
        let told = chrono::DateTime::from_timestamp_millis(date.0 - self.behind.0);
        let told = told.expect("a moment");
        for (name, value) in &mut answer.headers {
            if name == "date" {
                *value = told.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            }
        }
        answer
    }

    /// When requests of a method were sent, in seconds since the first.
    pub fn moments(&self, method: &str) -> Vec<f64> {
        let sent = self.sent.borrow();
        let times: Vec<Timestamp> = sent
            .iter()
            .filter(|(_, r)| &*r.method == method)
            .map(|(at, _)| *at)
            .collect();
        let first = times.first().copied();
        times
            .iter()
            .map(|at| at.since(first.expect("the first")).0 as f64 / 1000.0)
            .collect()
    }
}

struct Between {
    meddler: Rc<Meddler>,
    wire: Rc<SimWire>,
    clock: Rc<dyn Clock>,
}

impl Wire for Between {
    fn send<'a>(&'a self, request: &'a Request, patience: Millis) -> SendFuture<'a> {
        let now = self.clock.now();
        self.meddler.sent.borrow_mut().push((now, request.clone()));
        let before = {
            let mut counts = self.meddler.counts.borrow_mut();
            let count = counts.entry(request.method.to_string()).or_default();
            *count += 1;
            *count - 1
        };
        let meddling = (self.meddler.script)(request, before);
        Box::pin(async move {
            let answer = |status: u16, body: &Json, more: Option<u32>| Answer {
                status,
                headers: more
                    .map(|s| ("retry-after".to_owned(), s.to_string()))
                    .into_iter()
                    .collect(),
                body: body.to_string().into_bytes(),
            };
            match meddling {
                None => {
                    let answered = self.wire.send(request, patience).await;
                    answered.map(|answer| self.meddler.dated(answer))
                }
                Some(Meddling::Answer(status, body)) => Ok(answer(status, &body, None)),
                Some(Meddling::AnswerLater(status, body, s)) => Ok(answer(status, &body, Some(s))),
                Some(Meddling::Lose) => {
                    let _ = self.wire.send(request, patience).await;
                    Err(NoAnswer::Unknown("the connection broke".into()))
                }
                Some(Meddling::Swallow) => Err(NoAnswer::Unknown("the connection broke".into())),
            }
        })
    }
}
