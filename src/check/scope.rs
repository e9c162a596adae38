//! What an expression sees from where it stands.

use std::sync::Arc;

use super::facts::{Binders, Facts};
use super::names::{BlockId, FlowId};
use crate::package::ModuleId;
use crate::types::Type;

/// What `it` means here, or why it means nothing.
#[derive(Clone, Debug)]
pub(super) enum It {
    Is(Type),
    /// The reason, as the end of a sentence that begins with "`it`".
    Not(&'static str),
}

pub(super) const IT_NOWHERE: It = It::Not(
    "stands for the resource that a step addresses: it is known in the body, the arguments and \
     the guards of a step, in its `until`, `fail when` and `expect`",
);

pub(super) const IT_IN_UNDO: It =
    It::Not("is not known in an `undo`: the step's result stands under the step's own name");

/// How much may be known when the expression is computed (rule C6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The text alone; says what demands it.
    Text(&'static str),
    Any,
}

/// Whether a hook may be called here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hooks {
    Allowed,
    /// What is computed many times, named as authors write it.
    Repeated(&'static str),
    /// Where nothing is recorded: in a test.
    Nowhere,
}

#[derive(Clone, Debug)]
pub(super) struct Local {
    pub name: Arc<str>,
    pub ty: Type,
}

#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub module: ModuleId,
    /// None at the top level of a module.
    pub flow: Option<FlowId>,
    pub block: BlockId,
    /// Names of comprehensions and quantifiers, innermost last.
    pub locals: Vec<Local>,
    pub binders: Binders,
    pub facts: Facts,
    pub it: It,
    /// Whether `fresh(x)` may stand here.
    pub fresh: bool,
    pub phase: Phase,
    pub hooks: Hooks,
    /// Whether other bodies can be seen: `planned(T)`, `found(T)`.
    pub bodies: bool,
}

impl Scope {
    pub fn of_module(module: ModuleId) -> Scope {
        Scope {
            module,
            flow: None,
            block: BlockId::ROOT,
            locals: Vec::new(),
            binders: Binders::new(),
            facts: Facts::default(),
            it: IT_NOWHERE,
            fresh: false,
            phase: Phase::Text("a `let` outside a workflow"),
            hooks: Hooks::Allowed,
            bodies: false,
        }
    }

    pub fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|l| &*l.name == name)
    }
}
