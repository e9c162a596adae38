//! What a process did, so that the state of the outside at any of its moments can be had again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::stage::Stage;
use crate::catalog::Catalog;
use crate::run::TaskId;
use crate::wire::Request;
use crate::world::Timestamp;

/// What an effect asks, as far as deaths go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Append,
    Read,
    Change,
    Sleep,
    Inbox,
    Hook,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Append => "append",
            Kind::Read => "read",
            Kind::Change => "change",
            Kind::Sleep => "sleep",
            Kind::Inbox => "inbox",
            Kind::Hook => "hook",
        }
    }
}

/// A process right before it asks for an effect.
#[derive(Clone, Debug)]
pub struct Moment {
    /// From 1.
    pub number: usize,
    pub task: TaskId,
    pub kind: Kind,
    /// The effect in short: `POST compute/v1/…`, `intent`, `until …`.
    pub label: String,
    pub at: Timestamp,
    /// Journal entries that are durable for certain.
    pub durable: usize,
    /// Journal entries that were handed over.
    pub written: usize,
    /// Entries of this append.
    pub adds: usize,
    /// The request of this send.
    pub request: Option<Arc<Request>>,
    /// How much stands on the tape.
    pub touches: usize,
    /// How many of these could have changed something.
    pub changes: usize,
    /// How many requests left before.
    pub requests: usize,
    /// Changes that arrived, and are not answered yet: places on the tape.
    pub unanswered: Vec<usize>,
    /// Changes that left, and have not arrived yet.
    pub leaving: Vec<Arc<Request>>,
    /// Over all effects up to this one.
    pub hash: u64,
    /// When a change is answered: the moment, and how much stands on the tape then.
    pub answered: Option<Answered>,
}

/// The moment at which the answer to a change arrives.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    pub at: Timestamp,
    pub touches: usize,
    pub changes: usize,
    pub durable: usize,
    pub written: usize,
}

/// Something that reached the outside.
#[derive(Clone, Debug)]
pub enum Touch {
    Request {
        request: Arc<Request>,
        at: Timestamp,
        ours: bool,
    },
    Approved(Timestamp),
}

/// After how many touches the outside is kept as it is.
const EVERY: usize = 16;

/// Everything that reached the outside, with copies of it in between.
#[derive(Default)]
pub struct Tape {
    touches: Vec<Touch>,
    copies: Vec<(usize, Stage)>,
}

impl Tape {
    pub fn len(&self) -> usize {
        self.touches.len()
    }

    pub fn is_empty(&self) -> bool {
        self.touches.is_empty()
    }

    /// `before`: the outside before the touch.
    pub(super) fn push(&mut self, before: &Stage, touch: Touch) {
        if self.touches.len().is_multiple_of(EVERY) {
            self.copies.push((self.touches.len(), before.clone()));
        }
        self.touches.push(touch);
    }

    /// The outside after the first `touches`, as if those in `without` had never arrived.
    pub fn stage(
        &self,
        catalog: &Catalog,
        start: &Stage,
        touches: usize,
        without: &BTreeSet<usize>,
    ) -> Stage {
        let from = without.first().copied().unwrap_or(touches).min(touches);
        let copy = self.copies.iter().rev().find(|(at, _)| *at <= from);
        let (first, mut stage) = copy.map_or((0, start.clone()), |(at, s)| (*at, s.clone()));
        for (i, touch) in self.touches.iter().enumerate().take(touches).skip(first) {
            if without.contains(&i) {
                continue;
            }
            match touch {
                Touch::Request { request, at, ours } => {
                    stage.answer(catalog, request, *at, *ours);
                }
                Touch::Approved(at) => stage.cloud.approved(*at),
            }
        }
        stage
    }
}
