//! The integration tests, as one binary.

mod crash;
mod docs;
mod rig;
mod suite;
mod tidy;
