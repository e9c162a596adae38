//! Mistakes in the protocol that tests make on purpose, to see that they are noticed.
//!
//! They exist in debug builds only; a release binary has none of them.

/// One mistake. Each must turn the enumeration of crashes or of failures red (`tests/it/mutants.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The request leaves before its intent is durable.
    IntentNotDurable,
    /// Dependents start before the outcome is durable.
    OutcomeAfterDependents,
    /// A resumed call is sent under a new request id.
    RequestIdRedrawn,
    /// The request id says nothing of the request.
    IdWithoutHash,
    /// A definite failure leaves the generation, and so the request id, as it was.
    GenerationNotRaised,
    /// Settling does not look for the operation.
    SettleSkipsOperation,
    /// Settling does not look at the target.
    SettleSkipsObservation,
    /// What may not be read counts as absent.
    ForbiddenIsAbsent,
    /// A guard counts as it was before the process died.
    GuardNotReevaluated,
    /// The guard is asked before the open call is settled.
    GuardBeforeSettle,
    /// What was found after a lost answer counts as created.
    AdoptedIsCreated,
    /// The journal acknowledges before it is durable.
    AcknowledgedBeforeSync,
    /// What a loop or a branch stands on is read again when the run is resumed.
    GrowthReevaluated,
}
