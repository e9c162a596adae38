//! The integration tests, as one binary.

mod docs;
mod suite;
mod tidy;
