//! What an edit of the flow, or the wish to do steps again, makes of a run that is under way.

mod compare;
mod walk;

pub use compare::{FieldChange, Unlike, hidden_changes, unlike};
pub use walk::Side;
