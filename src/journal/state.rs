//! What follows from the events: one table of legal transitions, used on recovery
//! and for the history.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;

use super::event::{Address, CallResult, Ended, Event, GrewTo, Intent, Outcome, Started, Verdict};
use crate::value::Value;
use crate::wire::Request;
use crate::world::Timestamp;

/// An event that cannot follow what is there: the journal was not written by this protocol.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("entry {seq}: {what}")]
pub struct Illegal {
    pub seq: u64,
    pub what: String,
}

/// A call of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum CallState {
    /// The intent is durable; nothing is known of the request.
    Open(Intent),
    /// The cloud works on it.
    Running {
        intent: Intent,
        operation: String,
        poll: Box<Request>,
    },
    Closed {
        intent: Intent,
        result: CallResult,
    },
    /// Never sent.
    Voided(Intent),
    /// A rollback undid it, as far as it could be undone.
    Undone(Intent),
}

impl CallState {
    pub fn intent(&self) -> &Intent {
        match self {
            CallState::Open(intent)
            | CallState::Running { intent, .. }
            | CallState::Closed { intent, .. }
            | CallState::Voided(intent)
            | CallState::Undone(intent) => intent,
        }
    }

    /// Whether the call must be settled before anything else happens to its step.
    pub fn is_open(&self) -> bool {
        matches!(self, CallState::Open(_) | CallState::Running { .. })
    }

    fn apply(&mut self, event: &Event) -> Result<(), &'static str> {
        let next = match (&*self, event) {
            (CallState::Closed { .. } | CallState::Voided(_) | CallState::Undone(_), _) => {
                return Err("the call is over already");
            }
            (CallState::Running { .. }, Event::Voided { .. }) => {
                return Err("a request that was accepted cannot be voided");
            }
            (CallState::Open(intent), Event::Voided { .. }) => CallState::Voided(intent.clone()),
            (
                CallState::Open(intent) | CallState::Running { intent, .. },
                Event::Operation { name, poll, .. },
            ) => CallState::Running {
                intent: intent.clone(),
                operation: name.clone(),
                poll: poll.clone(),
            },
            (
                CallState::Open(intent) | CallState::Running { intent, .. },
                Event::Called { result, .. },
            ) => CallState::Closed {
                intent: intent.clone(),
                result: result.clone(),
            },
            (CallState::Open(_) | CallState::Running { .. }, _) => {
                return Err("this event is not about a call");
            }
        };
        *self = next;
        Ok(())
    }
}

/// A gate of an `approve`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    pub text: String,
    pub hash: String,
    pub asked: Timestamp,
    pub expires: Option<Timestamp>,
    pub answer: Option<(bool, String, Option<String>, Timestamp)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepState {
    pub calls: Vec<CallState>,
    pub gate: Option<Gate>,
    pub began: Option<Timestamp>,
    pub finished: Option<(Outcome, Timestamp)>,
}

impl StepState {
    /// How the step came to be done.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.finished.as_ref()?.0 {
            Outcome::Done { verdict, .. } => Some(verdict),
            _ => None,
        }
    }

    /// A step that failed may be tried again; one that is done may not.
    fn reopen(&mut self) -> Result<(), &'static str> {
        match &self.finished {
            None => Ok(()),
            Some((Outcome::Failed { .. }, _)) => {
                self.finished = None;
                Ok(())
            }
            Some((Outcome::Done { .. } | Outcome::Skipped, _)) => {
                Err("the step is finished already")
            }
        }
    }

    fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), &'static str> {
        match event {
            Event::Intent { intent, .. } => {
                self.reopen()?;
                if self.calls.last().is_some_and(CallState::is_open) {
                    return Err("the call before it is still open");
                }
                self.calls.push(CallState::Open((**intent).clone()));
                Ok(())
            }
            Event::Voided { call, .. }
            | Event::Operation { call, .. }
            | Event::Called { call, .. } => {
                let known = self.calls.iter_mut().rfind(|c| c.intent().call == *call);
                known.ok_or("no intent for this call")?.apply(event)
            }
            Event::Began { at, .. } => {
                self.reopen()?;
                self.began = Some(*at);
                Ok(())
            }
            Event::Asked {
                text,
                hash,
                expires,
                ..
            } => {
                self.reopen()?;
                self.gate = Some(Gate {
                    text: text.clone(),
                    hash: hash.clone(),
                    asked: at,
                    expires: *expires,
                    answer: None,
                });
                Ok(())
            }
            Event::Answered {
                approved,
                by,
                note,
                at,
                ..
            } => match &mut self.gate {
                Some(gate) if gate.answer.is_none() => {
                    gate.answer = Some((*approved, by.clone(), note.clone(), *at));
                    Ok(())
                }
                Some(_) => Err("the gate was answered already"),
                None => Err("no gate was opened"),
            },
            Event::Finished { began, outcome, .. } => {
                self.reopen()?;
                if self.calls.last().is_some_and(CallState::is_open)
                    && matches!(outcome, Outcome::Done { .. })
                {
                    return Err("a call is still open");
                }
                self.began = Some(*began);
                self.finished = Some((outcome.clone(), at));
                Ok(())
            }
            // The ledger keeps it.
            Event::Undo { .. } => Ok(()),
            Event::Grew { .. }
            | Event::Started(_)
            | Event::Resumed { .. }
            | Event::Hooked { .. }
            | Event::RollingBack { .. }
            | Event::Undone { .. }
            | Event::Ended(_) => Err("this event is not about a step"),
        }
    }

    /// As if the step had never begun; its calls go on counting.
    fn forget(&mut self) {
        let calls = self.calls.iter().map(|c| match c {
            CallState::Voided(intent) => CallState::Voided(intent.clone()),
            other => CallState::Undone(other.intent().clone()),
        });
        *self = StepState {
            calls: calls.collect(),
            ..StepState::default()
        };
    }

    /// The call that must be settled first.
    pub fn open_call(&self) -> Option<&CallState> {
        self.calls.last().filter(|c| c.is_open())
    }
}

/// A rollback as far as it got.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollback {
    /// `None`: to the beginning of the run.
    pub to: Option<Address>,
    /// Whether everything is undone that was to be.
    pub over: bool,
}

/// Everything that a journal tells.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub started: Option<Started>,
    pub began: Timestamp,
    pub resumed: Vec<(Timestamp, String)>,
    pub steps: HashMap<Address, StepState>,
    /// Addresses in the order in which they were first heard of.
    pub order: Vec<Address>,
    pub grown: HashMap<Address, GrewTo>,
    pub hooks: BTreeMap<String, Value>,
    /// The rollback that is under way, or the last one that came to its end.
    pub rollback: Option<Rollback>,
    /// How the last process left the run; none while one drives it, or after it died.
    pub ended: Option<Ended>,
    pub seq: u64,
    pub at: Timestamp,
}

impl State {
    /// Folds one event in.
    pub fn apply(&mut self, seq: u64, at: Timestamp, event: &Event) -> Result<(), Illegal> {
        let illegal = |what: &str| Illegal {
            seq,
            what: what.to_owned(),
        };
        if self.started.is_none() && !matches!(event, Event::Started(_)) {
            return Err(illegal("a run begins with its `started` event"));
        }
        match event {
            Event::Started(_) if self.started.is_some() => {
                return Err(illegal("the run was started already"));
            }
            Event::Started(started) => {
                self.started = Some((**started).clone());
                self.began = at;
            }
            Event::Resumed { by, .. } => {
                self.ended = None;
                self.resumed.push((at, by.clone()));
            }
            Event::Hooked { key, value } => {
                self.hooks.insert(key.clone(), Value::from_json(value));
            }
            Event::Grew { address, to } => {
                if self.grown.insert(Arc::clone(address), to.clone()).is_some() {
                    return Err(illegal("the graph grew here already"));
                }
            }
            Event::RollingBack { to, by, .. } => {
                self.ended = None;
                self.resumed.push((at, by.clone()));
                self.rollback = Some(Rollback {
                    to: to.clone(),
                    over: false,
                });
            }
            Event::Undone { addresses } => {
                let Some(rollback) = &mut self.rollback else {
                    return Err(illegal("nothing is undone without a rollback"));
                };
                rollback.over = true;
                for address in addresses {
                    self.grown.remove(address);
                    if let Some(step) = self.steps.get_mut(address) {
                        step.forget();
                    }
                }
            }
            Event::Ended(ended) => self.ended = Some((**ended).clone()),
            about_step => {
                if let Some(address) = about_step.address() {
                    if !self.steps.contains_key(address) {
                        self.order.push(Arc::clone(address));
                    }
                    let step = self.steps.entry(Arc::clone(address)).or_default();
                    step.apply(about_step, at)
                        .map_err(|what| illegal(&format!("{address}: {what}")))?;
                }
            }
        }
        self.seq = seq;
        self.at = self.at.max(at);
        Ok(())
    }

    /// Whether a rollback was begun and not brought to its end.
    pub fn is_rolling_back(&self) -> bool {
        self.rollback.as_ref().is_some_and(|r| !r.over)
    }

    /// Whether nothing of the run is left to go on from.
    pub fn is_rolled_back(&self) -> bool {
        self.rollback
            .as_ref()
            .is_some_and(|r| r.over && r.to.is_none())
    }

    /// The recorded value of a finished step.
    pub fn value(&self, address: &str) -> Option<Json> {
        match self.steps.get(address)?.finished.as_ref()? {
            (Outcome::Done { value, .. }, _) => Some(value.clone()),
            _ => None,
        }
    }
}
