//! The integration tests, as one binary.

mod inputs;
mod speed;
mod suite;
