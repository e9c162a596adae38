//! What an edit of the flow, or the wish to do steps again, makes of a run that is under way.
//!
//! The recorded flow and the edited one are both walked with the recorded values, and each recorded
//! step is compared by what it *means*: its whole request, with every value in it. Nothing is hashed,
//! so a newer catalogue or another way to write the same changes nothing.
//!
//! ```text
//! recorded flow + journal → meanings ─┐
//! edited flow   + journal → meanings ─┴→ verdicts → Event::Edited → State
//! ```

mod compare;
mod matching;
mod observed;
mod recorded;
mod review;
mod walk;

pub use compare::{FieldChange, Unlike, hidden_changes, unlike};
pub use review::{Compared, Reviewed, Unknown, Wishes, review};
pub use walk::Side;
