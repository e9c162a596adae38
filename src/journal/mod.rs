//! What happened, in order, and what follows from it.
//!
//! A run is the fold of its events. Its recovery and the history that people read both use the one
//! table of legal transitions in `state`; the stored form is versioned ([`FORMAT`]).

mod event;
mod state;
#[cfg(test)]
mod tests;

pub use event::{
    CallResult, Ended, Event, FORMAT, GrewTo, Intent, Iteration, Iterations, OWN_WORDS, Origin,
    Outcome, Reason, RunStatus, Started, StepFailure, Verdict, World,
};
pub use state::{CallState, Gate, Illegal, State, StepState};
