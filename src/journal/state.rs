//! What follows from the events: one table of legal transitions, used on recovery
//! and for the history.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;

use super::edited::{Again, CarriedOver, Edited, Meaning};
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
    /// On which machine it was answered.
    pub host: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepState {
    pub calls: Vec<CallState>,
    pub gate: Option<Gate>,
    /// The hash of the last question of an earlier beginning: its answer must not count again.
    pub asked_earlier: Option<String>,
    pub began: Option<Timestamp>,
    pub finished: Option<(Outcome, Timestamp)>,
    /// How many of the calls were made before the step was begun anew.
    pub earlier: usize,
    /// The call that was open when an edit began the step anew, by its number: if it took effect,
    /// the edited step may be one too many.
    pub unsettled: Option<u32>,
    /// What the step meant when it was done, after an edit of it or of what it stands on.
    pub meant: Option<Meaning>,
}

impl StepState {
    /// How the step came to be done.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.finished.as_ref()?.0 {
            Outcome::Done { verdict, .. } => Some(verdict),
            _ => None,
        }
    }

    /// Begins the step anew; what it did stays recorded.
    pub fn begin_anew(&mut self, why: Again) {
        let open = self.open_call().map(|c| c.intent().call);
        self.unsettled = open.filter(|_| why == Again::Edited);
        self.earlier = self.calls.len();
        self.finished = None;
        self.began = None;
        self.asked_earlier = self
            .gate
            .take()
            .map(|g| g.hash)
            .or(self.asked_earlier.take());
    }

    /// The calls since the step was begun, or begun anew.
    pub fn current_calls(&self) -> &[CallState] {
        self.calls.get(self.earlier..).unwrap_or_default()
    }

    /// A step that failed may be tried again; one that is done may not, unless it must be compared
    /// once more and turned out different.
    fn reopen(&mut self) -> Result<(), &'static str> {
        match &self.finished {
            None => Ok(()),
            Some((
                Outcome::Failed {
                    tolerated: false, ..
                },
                _,
            )) => {
                self.finished = None;
                Ok(())
            }
            Some(_) if self.meant.is_some() => {
                self.begin_anew(Again::Asked);
                Ok(())
            }
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
                    host: None,
                });
                Ok(())
            }
            Event::Answered {
                approved,
                by,
                host,
                note,
                at,
                ..
            } => match &mut self.gate {
                Some(gate) if gate.answer.is_none() => {
                    gate.host = host.clone();
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
                if matches!(outcome, Outcome::Done { .. } | Outcome::Skipped) {
                    self.meant = None;
                }
                self.finished = Some((outcome.clone(), at));
                Ok(())
            }
            // The ledger keeps it.
            Event::Undo { .. } => Ok(()),
            Event::Grew { .. }
            | Event::Started(_)
            | Event::Resumed { .. }
            | Event::Edited(_)
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

impl CarriedOver {
    fn apply(&self, step: &mut StepState) {
        if let Some(why) = self.again {
            step.begin_anew(why);
        }
        if self.again.is_some() || self.meant.is_some() {
            step.meant = self.meant.clone();
        }
    }
}

/// Everything that a journal tells.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub started: Option<Started>,
    pub began: Timestamp,
    /// When, by whom, and on which machine.
    pub resumed: Vec<(Timestamp, String, String)>,
    /// Every edit with the moment at which it was made.
    pub edits: Vec<(Timestamp, Edited)>,
    /// No intent before the newest edit had a higher generation; those after it go on from here.
    pub generation: u32,
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
    /// What a plan of the rest leans on: nothing is under way in it.
    pub fn finished(&self) -> State {
        let done = |step: &StepState| {
            let outcome = step.finished.as_ref().map(|(outcome, _)| outcome);
            step.meant.is_none()
                && match outcome {
                    Some(Outcome::Failed { tolerated, .. }) => *tolerated,
                    other => other.is_some(),
                }
        };
        let mut rest = self.clone();
        rest.steps.retain(|_, step| done(step));
        rest.ended = None;
        rest
    }

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
            Event::Resumed { by, host, .. } => {
                self.ended = None;
                self.resumed.push((at, by.clone(), host.clone()));
            }
            Event::Edited(edited) => {
                self.edit(edited).map_err(|what| illegal(&what))?;
                self.ended = None;
                self.edits.push((at, (**edited).clone()));
            }
            Event::Hooked { key, value } => {
                self.hooks.insert(key.clone(), Value::from_json(value));
            }
            Event::Grew { address, to } => {
                if self.grown.insert(Arc::clone(address), to.clone()).is_some() {
                    return Err(illegal("the graph grew here already"));
                }
            }
            Event::RollingBack { to, by, host, .. } => {
                self.ended = None;
                self.resumed.push((at, by.clone(), host.clone()));
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

    /// What an edit makes of what is known.
    fn edit(&mut self, edited: &Edited) -> Result<(), String> {
        let calls = self.steps.values().flat_map(|s| &s.calls);
        self.generation = calls
            .map(|c| c.intent().generation)
            .fold(self.generation, u32::max);
        let mut old = std::mem::take(&mut self.steps);
        let mut order = std::mem::take(&mut self.order);
        if let Some(source) = &edited.source {
            self.grown.clear();
            self.hooks.clear();
            if let Some(started) = &mut self.started {
                started.program = source.program.clone();
                started.inputs = source.inputs.clone();
                started.secrets = source.secrets.clone();
                started.catalog = source.catalog.clone();
            }
        }
        let mut moved: BTreeMap<Address, Address> = BTreeMap::new();
        for became in &edited.steps {
            let Some(mut step) = old.remove(&became.from) else {
                return Err(format!("{}: nothing of it is recorded", became.from));
            };
            let Some(to) = &became.to else { continue };
            became.apply(&mut step);
            if self.steps.insert(Arc::clone(to), step).is_some() {
                return Err(format!("{to}: two steps became one"));
            }
            moved.insert(Arc::clone(&became.from), Arc::clone(to));
        }
        if edited.source.is_none() {
            let left: BTreeMap<Address, StepState> = old.into_iter().collect();
            for (address, step) in left {
                moved.insert(Arc::clone(&address), Arc::clone(&address));
                self.steps.entry(address).or_insert(step);
            }
        }
        order.retain_mut(|address| match moved.get(address) {
            Some(to) => {
                *address = Arc::clone(to);
                true
            }
            None => false,
        });
        self.order = order;
        Ok(())
    }

    /// The recorded value of a finished step.
    pub fn value(&self, address: &str) -> Option<Json> {
        match self.steps.get(address)?.finished.as_ref()? {
            (Outcome::Done { value, .. }, _) => Some(value.clone()),
            _ => None,
        }
    }
}
