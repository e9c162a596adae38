//! A checked workflow and its inputs as a graph of nodes that wait for each other.
//!
//! The graph holds steps, assertions and checkpoints, and a few nodes of its own: a *growth* stands
//! for a `for`, an `if` or a `run … when` whose answer only the run will bring; when it is finished
//! the graph grows by what stood in its block. What can be decided from the inputs grows at once.
//!
//! ```text
//! build(flow, inputs) → Graph          expand(growth, answer) → new nodes
//! ```
//!
//! petgraph stays private to this module.

mod address;
mod build;
mod graph;
mod need;
mod order;
mod trace;
mod undo;
mod view;
#[cfg(test)]
mod tests;

pub use address::{is_of, without_keys};
pub use build::{Answer, BuildError, Entry};
pub use graph::{Edge, Frame, FrameId, Graph, Node, NodeId, PoolId, Scope, ScopeId, Work};
pub use need::step_name;
pub use order::{CriticalPath, Cycle};
pub use trace::Trace;
pub use undo::Span;
pub use view::{Memo, View, hook_declaration, hook_id};
