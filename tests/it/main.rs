//! The integration tests, as one binary.

mod bad_endpoint;
mod bad_input;
mod bad_journal;
mod cli;
mod collections;
mod crash;
mod dice;
mod docs;
mod harness;
mod hostile;
mod inputs;
mod methods;
mod pages;
mod rig;
mod secrets;
mod speed;
mod stopping;
mod suite;
mod tidy;
