//! What a plan says of one step.

use std::sync::Arc;

use crate::catalog::compare::Difference;
use crate::plan::NodeId;
use crate::wire::{Request, Verb};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlanAction {
    Read,
    /// It is there already as the flow wants it.
    Adopt,
    Create,
    Update,
    /// Delete, then create.
    Replace,
    Call,
    /// A call that removes something.
    Delete,
    Wait,
    Approve,
    Http,
    Compute,
    Skip,
    /// What it does depends on values that only the run brings.
    Undecided,
}

impl PlanAction {
    pub fn as_str(self) -> &'static str {
        match self {
            PlanAction::Read => "read",
            PlanAction::Adopt => "adopt",
            PlanAction::Create => "create",
            PlanAction::Update => "update",
            PlanAction::Replace => "replace",
            PlanAction::Call => "call",
            PlanAction::Delete => "delete",
            PlanAction::Wait => "wait",
            PlanAction::Approve => "approve",
            PlanAction::Http => "http",
            PlanAction::Compute => "compute",
            PlanAction::Skip => "skip",
            PlanAction::Undecided => "undecided",
        }
    }

    /// Whether a run would change something here.
    pub fn changes(self) -> bool {
        matches!(
            self,
            PlanAction::Create
                | PlanAction::Update
                | PlanAction::Replace
                | PlanAction::Call
                | PlanAction::Delete
                | PlanAction::Http
                | PlanAction::Undecided
        )
    }
}

#[derive(Clone, Debug)]
pub struct PlanItem {
    pub node: NodeId,
    pub address: Arc<str>,
    pub action: PlanAction,
    /// The request as far as it is known: `(after step)` stands for what is not.
    pub request: Option<Request>,
    pub differences: Vec<Difference>,
    /// What a reader should know besides: the text of a gate, fields that cannot be compared.
    pub notes: Vec<String>,
}

impl PlanItem {
    /// Whether something is removed, for good or for a moment.
    pub fn destroys(&self) -> bool {
        let deletes = |request: &Request| {
            let name = request.method.rsplit('.').next().unwrap_or("");
            request.verb == Verb::Delete || name.starts_with("delete")
        };
        matches!(self.action, PlanAction::Delete | PlanAction::Replace)
            || self.action.changes() && self.request.as_ref().is_some_and(deletes)
    }
}
