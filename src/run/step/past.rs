//! What earlier processes did of a step.

use super::cx::Cx;
use crate::journal::{CallResult, CallState, Origin};
use crate::wire::Request;

impl Cx<'_> {
    /// The newest call, when an earlier process saw it through but did not conclude the step: its
    /// request and the recorded answer. It is not made again.
    pub fn made_call(&self) -> Option<(Request, serde_json::Value)> {
        let past = self.shared.past.steps.get(&self.address)?;
        match past.calls.last()? {
            CallState::Closed {
                intent,
                result: CallResult::Ok { answer, .. },
            } => Some((intent.request.clone(), answer.clone())),
            _ => None,
        }
    }

    /// Whether the journal tells of this step already.
    pub fn is_known(&self) -> bool {
        self.shared.past.steps.contains_key(&self.address)
    }

    /// Whether an earlier process gave the step up.
    pub fn failed_before(&self) -> bool {
        let past = self.shared.past.steps.get(&self.address);
        past.is_some_and(|s| s.finished.is_some())
    }

    /// The request of the newest call of earlier processes that took effect.
    pub fn last_success(&self) -> Option<(Request, Origin)> {
        let past = self.shared.past.steps.get(&self.address)?;
        past.calls.iter().rev().find_map(success)
    }

    /// The requests of all calls of earlier processes that took effect.
    pub fn successes(&self) -> Vec<Request> {
        let past = self.shared.past.steps.get(&self.address);
        let calls = past.iter().flat_map(|s| &s.calls).filter_map(success);
        calls.map(|(request, _)| request).collect()
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
