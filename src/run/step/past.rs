//! What earlier processes, and earlier beginnings, did of a step.

use std::cell::Ref;

use super::Result;
use super::cx::Cx;
use crate::journal::{Again, CallResult, CallState, Origin, Reason, StepState};
use crate::store::holds_marker;
use crate::wire::Request;

impl Cx<'_> {
    /// What the journal tells of the step; nothing, of one that never began.
    pub fn past(&self) -> Ref<'_, StepState> {
        self.past.borrow()
    }

    /// The step is done again, since it no longer means what it meant.
    pub fn begin_anew(&self) {
        self.past.borrow_mut().begin_anew(Again::Edited);
    }

    /// The number of the newest call of the step; 0 before the first.
    pub fn newest_call(&self) -> u32 {
        self.calls.get()
    }

    /// Calls since the step was begun, or begun anew.
    pub fn calls_made(&self) -> usize {
        (self.calls.get() as usize).saturating_sub(self.past().earlier)
    }

    /// The call that an earlier process left open, the first time it is asked for.
    pub fn open_call(&self) -> Option<CallState> {
        self.open.borrow_mut().take()
    }

    /// The newest call, when an earlier process saw it through but did not conclude the step: its
    /// request and the recorded answer. It is not made again.
    pub fn made_call(&self) -> Option<(Request, serde_json::Value)> {
        match self.past().current_calls().last()? {
            CallState::Closed {
                intent,
                result: CallResult::Ok { answer, .. },
            } => Some((intent.request.clone(), answer.clone())),
            _ => None,
        }
    }

    /// The call that an edit found open, once it is known that it took effect: what the step asks
    /// for now may be one too many.
    pub fn overtaken(&self) -> Option<Request> {
        let past = self.past();
        let number = past.unsettled?;
        past.calls.iter().find_map(|call| match call {
            CallState::Closed {
                intent,
                result: CallResult::Ok { .. },
            } if intent.call == number => Some(intent.request.clone()),
            _ => None,
        })
    }

    /// Whether a call belongs to what the step was before it was begun anew.
    pub fn is_earlier(&self, call: &CallState) -> bool {
        let past = self.past();
        let earlier = past.calls.get(..past.earlier).unwrap_or_default();
        earlier
            .iter()
            .any(|c| c.intent().call == call.intent().call)
    }

    /// Whether the journal tells of this step already.
    pub fn is_known(&self) -> bool {
        self.past().began.is_some()
    }

    /// Whether an earlier process gave the step up.
    pub fn failed_before(&self) -> bool {
        self.past().finished.is_some()
    }

    /// The request of the newest call of earlier processes that took effect.
    pub fn last_success(&self) -> Option<(Request, Origin)> {
        let past = self.past();
        past.current_calls().iter().rev().find_map(success)
    }

    /// The requests of all calls of earlier processes that took effect.
    pub fn successes(&self) -> Vec<Request> {
        let past = self.past();
        let calls = past.current_calls().iter().filter_map(success);
        calls.map(|(request, _)| request).collect()
    }

    /// The generation of a call: above all that an edit or a redo left behind.
    pub fn generation(&self, call: u32) -> u32 {
        self.shared.past.generation + call
    }

    /// What an earlier step recorded may hold a secret that is another one since: then only its marker
    /// is left, which must not be sent for a value.
    pub fn refuse_markers(&self, request: &Request) -> Result<()> {
        let body = request.body.as_ref().map(ToString::to_string);
        let headers = request.headers.iter().map(|(_, value)| value.as_str());
        let mut texts = headers
            .chain(body.as_deref())
            .chain([request.path.as_str()]);
        if !texts.any(holds_marker) {
            return Ok(());
        }
        Err(self.failure_with_help(
            Reason::Decision,
            "the request would hold a secret as an earlier step recorded it, and the secret is another one now",
            "`r5flow resume --redo STEP` does the step again that brought it",
        ))
    }
}

fn success(call: &CallState) -> Option<(Request, Origin)> {
    match call {
        CallState::Closed {
            intent,
            result: CallResult::Ok { origin, .. },
        } => Some((intent.request.clone(), *origin)),
        _ => None,
    }
}
