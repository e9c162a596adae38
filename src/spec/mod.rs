//! Proves flows: dies, or fails, everywhere and compares.
//!
//! A flow runs on a copy of the simulated cloud, in process and in virtual time ([`Player`]). Every
//! effect that it asks for has a number, so the places where a process can die are the effects of
//! its trace: complete, and nobody has to name them. From what a dead process leaves (the durable
//! part of its journal, and the cloud) the next one goes on, and must end as the run that nobody
//! disturbed ([`Reference`]).

mod actor;
mod compare;
mod created;
mod death;
pub mod dice;
mod everywhere;
mod failures;
mod fault;
mod lines;
mod meddle;
mod player;
mod process;
mod promises;
mod proof;
mod undone;
mod site;
mod stage;
mod tape;
pub mod test_blocks;
mod told;
mod work;

pub use compare::{Difference, Reference, contents};
pub use death::{Course, Death, Fate, Foreign, Point, fates_of, remains};
pub use everywhere::{Options, crash_everywhere};
pub use failures::fail_everywhere;
pub use fault::FaultKind;
pub use player::{Act, Case, Fault, How, Judgement, Left, Line, Played, Player, Trouble, finish};
pub use process::Seen;
pub use promises::{Mark, keeps_the_order};
pub use proof::{Crash, Proof, Row, Tally, Tried};
pub use stage::{Deed, Stage};
pub use tape::{Kind, Moment, Tape};
pub use work::in_parallel;
