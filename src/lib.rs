//! r5flow: a workflow language and its interpreter for provisioning on Google Cloud.
//!
//! From text to finished run:
//!
//! ```text
//! Source → Parsed → Program → Checked → Graph → Run
//! Run = fold(events);  core: event → actions;  engine: action → recorded event;  report = view(events)
//! ```
//!
//! The modules stand in reading order: each may use those above it, never one below. A test holds
//! that (`tests/it/tidy.rs`); `docs/architecture.md` explains it.

pub mod source;
pub mod diag;
pub mod world;
pub mod value;
pub mod wire;
pub mod syntax;
pub mod fmt;
pub mod package;
pub mod fetch;
pub mod catalog;
pub mod types;
pub mod check;
pub mod eval;
pub mod plan;
pub mod policy;
pub mod journal;
pub mod store;
pub mod run;
pub mod cloud;
pub mod hook;
pub mod sim;
pub mod report;
pub mod spec;
pub mod cli;
