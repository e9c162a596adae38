//! How a run ended, told from what became of its nodes.

use crate::journal::{Reason, RunStatus, StepFailure};

/// Nothing is left to do, and a node still waits: never the flow's mistake, and never a success.
pub fn stuck(address: &str) -> StepFailure {
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

/// Which of several failures decides the exit code.
pub fn severity(reason: Reason) -> u8 {
    match reason {
        Reason::Decision => 5,
        Reason::Permission => 4,
        Reason::Failed | Reason::Flow => 3,
        Reason::Denied => 2,
        Reason::TimedOut => 1,
    }
}

pub fn status_of(reason: Reason) -> RunStatus {
    match reason {
        Reason::Decision => RunStatus::Decision,
        Reason::Permission => RunStatus::Permission,
        Reason::TimedOut => RunStatus::TimedOut,
        Reason::Failed | Reason::Denied | Reason::Flow => RunStatus::Failed,
    }
}
