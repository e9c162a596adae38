//! The integration tests, as one binary.

mod crash;
mod rig;
mod suite;
