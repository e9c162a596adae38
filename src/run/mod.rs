//! The scheduler: what is ready runs, and keeps its promises.
//!
//! A pure core ([`Core`]: no I/O, no clock, no engine) takes what happened and answers with what to
//! do next. Each node of the graph that runs is a *task*, a sequence of [`Effect`]s with exactly one
//! outstanding: append to the journal, send a request, sleep, look into the inbox, compute a hook. An
//! [`Engine`] carries the effects out and reports back; [`drive`] connects the two.
//!
//! ```text
//! core: (task, reply) → [(task, effect)]        engine: begin(task, effect); next() → (task, reply)
//! ```
//!
//! The write-ahead order is in the sequence: a task asks to send only after the reply to its append.
//! The same core makes plans, on an engine that never sees a mutation ([`Mode::Plan`]).

mod conceal;
mod core;
pub mod edit;
mod effect;
mod embedded;
#[cfg(test)]
mod embedded_tests;
mod end;
mod engine;
mod grants;
mod ids;
mod law;
mod mutant;
pub mod plan_diff;
mod plan_item;
mod rollback;
mod settings;
mod shared;
mod step;
mod task;
mod traffic;
#[cfg(test)]
mod tests;

pub use core::Core;
pub use effect::{Effect, GateAnswer, GateQuestion, Reply, TaskId};
pub use embedded::{
    Embedded, Hooks, InboxSource, Local, Parts, compute, sealed, unsealed, unsealed_as_known,
};
pub use end::{End, NodeStatus};
pub use engine::{Engine, Happening, Observer, drive};
pub use grants::may_end as grant_may_end;
pub use ids::request_id;
pub use mutant::Mutant;
pub use plan_item::{PlanAction, PlanItem};
pub use rollback::{Lasting, Rollback, Stay, Stays};
pub use settings::{Mode, Settings};
pub use step::{marked_run, reads_target, repeats_unseen, without_marks};
