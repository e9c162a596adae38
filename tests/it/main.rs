//! The integration tests, as one binary.

mod inputs;
mod pages;
mod speed;
mod suite;
