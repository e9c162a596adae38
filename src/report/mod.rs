//! Views: what people and machines read of a check, a plan, a run, a graph.
//!
//! A view is a function of data; nothing here decides anything. Machine forms are JSON lines, whose
//! first carries the version of the form ([`FORMAT`]) and what follows.

pub mod check;
pub mod edit;
pub mod end;
pub mod failure;
pub mod graph;
pub mod libraries;
pub mod plan;
pub mod progress;
pub mod reference;
pub mod rollback;
pub mod runs;
pub mod simulated;
pub mod tested;
pub mod upgrade;
mod style;

pub use style::{Look, clean, count, elapsed, fit, moment, one_line, span};

use serde_json::{Value as Json, json};

/// The version of all machine forms; it rises when a reader could misread a line.
pub const FORMAT: u32 = 1;

/// The first line of a machine form.
pub fn head(kind: &str) -> Json {
    json!({ "format": FORMAT, "kind": kind })
}
