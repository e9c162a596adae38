//! The integration tests, as one binary.

mod crash;
mod dice;
mod rig;
mod suite;
