//! The integration tests, as one binary.

mod bad_endpoint;
mod bad_input;
mod bad_journal;
mod book;
mod cli;
mod collections;
mod crash;
mod docs;
mod failures;
mod generated;
mod harness;
mod hostile;
mod inputs;
mod kill;
mod methods;
mod model;
#[cfg(debug_assertions)]
mod mutants;
mod pages;
mod prints;
mod reference;
mod rig;
mod secrets;
mod semantics;
mod speed;
mod stopping;
mod suite;
mod tables;
mod tidy;
