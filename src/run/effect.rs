//! What a task may ask of the outside, and what comes back.

use std::sync::Arc;

use crate::journal::Event;
use crate::value::Value;
use crate::wire::{Answer, NoAnswer, Request};
use crate::world::{Millis, Timestamp};

/// A task of the core; the number of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u32);

/// The only ways out of the process.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answered when the events are durable.
    Append(Vec<Event>),
    Send {
        request: Box<Request>,
        patience: Millis,
    },
    Sleep {
        until: Timestamp,
    },
    /// Waits for a person's answer, until the gate expires.
    Inbox(Box<GateQuestion>),
    /// `function` is the identity of the hook in the program.
    Hook {
        function: Arc<str>,
        args: Vec<Value>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct GateQuestion {
    pub address: Arc<str>,
    pub text: String,
    /// An answer counts only for the text that was shown.
    pub hash: String,
    pub expires: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GateAnswer {
    pub approved: bool,
    pub by: String,
    /// Where they said it, when they said it on a machine.
    pub host: Option<String>,
    pub note: Option<String>,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Appended,
    Answered(Result<Answer, NoAnswer>),
    Woke,
    /// `None`: the gate expired.
    Inbox(Option<GateAnswer>),
    Hook(Result<Value, String>),
}
