//! The integration tests, as one binary.

mod hostile;
mod inputs;
mod pages;
mod speed;
mod suite;
