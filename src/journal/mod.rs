//! What happened, in order, and what follows from it.
//!
//! A run is the fold of its events. Its recovery and the history that people read both use the one
//! table of legal transitions in `state`; the stored form is versioned ([`FORMAT`]).

mod edited;
mod event;
mod ledger;
mod state;
#[cfg(test)]
mod tests;
mod undo;

pub use edited::{Again, CarriedOver, EditVerdict, Edited, Meaning, Source};
pub use event::{
    Address, CallResult, Ended, Event, FORMAT, GrewTo, Intent, Iteration, Iterations, OWN_WORDS,
    Origin, Outcome, Reason, RunStatus, Started, StepFailure, Verdict, World,
};
pub use ledger::{Became, Ledger, Made, Stayed, incarnation, is_undoing};
pub use state::{CallState, Gate, Illegal, Rollback, State, StepState};
pub use undo::Undo;
