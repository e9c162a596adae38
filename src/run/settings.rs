//! What a run may be told.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mutant::Mutant;
use crate::world::Millis;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Run,
    /// Read what exists and say what would be done.
    Plan,
    /// Take back what was done.
    Rollback,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub mode: Mode,
    /// How many steps may be observing or changing the cloud at one time; waiting does not count.
    pub parallel: usize,
    /// How long steps took before, by address: the longest way through the graph goes first.
    pub durations: Arc<BTreeMap<Arc<str>, Millis>>,
    /// Stop when this checkpoint of the outermost workflow (or `take/ready`) is reached.
    pub until: Option<String>,
    /// How long one request may take, its answer included.
    pub patience: Millis,
    /// How long a service certainly lists an operation that it has taken.
    pub operations_kept: Millis,
    /// After which a step gives up when it says no `timeout` itself.
    pub step_timeout: Millis,
    /// How long a server that gives no answer is tried.
    pub silence_timeout: Millis,
    /// How long a server that cannot be reached at all is tried.
    pub unreachable_timeout: Millis,
    /// How old a guard may be when its request leaves.
    pub guard_age: Millis,
    /// After which a request that was sent can no longer arrive.
    pub lateness: Millis,
    /// Whether what is created carries the marks of its run.
    pub marks: bool,
    /// Set in a protected environment, with its name: nothing is deleted or replaced.
    pub spares: Option<String>,
    /// A mistake made on purpose.
    #[cfg(debug_assertions)]
    pub mutant: Option<Mutant>,
}

impl Settings {
    pub fn new(mode: Mode) -> Self {
        Settings {
            mode,
            parallel: 16,
            durations: Arc::default(),
            until: None,
            patience: Millis::mins(1),
            operations_kept: Millis::mins(12 * 60),
            step_timeout: Millis::mins(60),
            silence_timeout: Millis::mins(2),
            unreachable_timeout: Millis::secs(30),
            guard_age: Millis::secs(30),
            lateness: Millis::mins(10),
            marks: true,
            spares: None,
            #[cfg(debug_assertions)]
            mutant: None,
        }
    }

    /// Whether this mistake is to be made; never in a release build.
    #[inline]
    pub fn is_mutant(&self, mutant: Mutant) -> bool {
        #[cfg(debug_assertions)]
        return self.mutant == Some(mutant);
        #[cfg(not(debug_assertions))]
        {
            let _ = mutant;
            false
        }
    }
}
