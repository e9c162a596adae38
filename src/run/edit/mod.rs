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
mod drift;
mod line;
mod matching;
mod observed;
mod over;
mod recorded;
mod review;
mod walk;
mod wishes;

pub use compare::{FieldChange, Unlike, field_changes, hidden_changes, unlike};
pub use drift::{Drift, Drifted, drift};
pub use line::Reviewed;
pub use review::{Compared, review};
pub use walk::Side;
pub use wishes::{Unknown, Wishes};
