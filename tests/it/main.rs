//! The integration tests, as one binary.

mod cli;
mod crash;
mod docs;
mod harness;
mod rig;
mod suite;
mod tidy;
