//! How nodes and runs end.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::journal::{Ended, Reason, RunStatus, StepFailure};
use crate::value::Value;

#[derive(Clone, Debug, PartialEq)]
pub enum NodeStatus {
    /// Waits for this many nodes.
    Waiting(u32),
    Running,
    Done,
    Skipped,
    Failed(Box<StepFailure>),
    /// Will be taken up when the run is resumed.
    Paused(String),
    Stopped,
}

impl NodeStatus {
    /// Whether dependents may start.
    pub(super) fn lets_pass(&self) -> bool {
        matches!(self, NodeStatus::Done | NodeStatus::Skipped)
    }
}

/// How a run ended, for now.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    pub status: RunStatus,
    pub why: Option<String>,
    pub failures: Vec<(Arc<str>, StepFailure)>,
    /// Outputs of the outermost workflow, when all of them are known.
    pub outputs: BTreeMap<String, Value>,
    /// Gates that wait for an answer.
    pub gates: Vec<(Arc<str>, String)>,
    /// Checkpoint at which the run stopped on request.
    pub stopped_at: Option<String>,
}

impl End {
    /// The last event of this process.
    pub fn event(&self, secret_outputs: Vec<String>) -> Ended {
        Ended {
            status: self.status,
            outputs: self
                .outputs
                .iter()
                .map(|(k, v)| (k.clone(), v.to_json()))
                .collect(),
            secret_outputs,
            why: self.why.clone(),
        }
    }
}

/// Which of several failures decides the exit code.
pub(super) fn severity(reason: Reason) -> u8 {
    match reason {
        Reason::Decision => 5,
        Reason::Permission => 4,
        Reason::Failed | Reason::Flow => 3,
        Reason::Denied => 2,
        Reason::TimedOut => 1,
    }
}

pub(super) fn status_of(reason: Reason) -> RunStatus {
    match reason {
        Reason::Decision => RunStatus::Decision,
        Reason::Permission => RunStatus::Permission,
        Reason::TimedOut => RunStatus::TimedOut,
        Reason::Failed | Reason::Denied | Reason::Flow => RunStatus::Failed,
    }
}

/// Nothing is left to do, and a node still waits: never the flow's mistake, and never a success.
pub(super) fn stuck(address: &str) -> StepFailure {
    StepFailure {
        reason: Reason::Failed,
        message: format!("`{address}` was never reached, although nothing before it failed"),
        place: String::new(),
        help: Some(
            "this is a mistake in r5flow, please report it with the flow; `r5flow resume` goes on"
                .into(),
        ),
        api: None,
    }
}
