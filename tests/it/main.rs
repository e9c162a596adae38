//! The integration tests, as one binary.

mod cli;
mod collections;
mod crash;
mod dice;
mod docs;
mod harness;
mod rig;
mod suite;
mod tidy;
