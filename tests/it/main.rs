//! The integration tests, as one binary.

mod collections;
mod crash;
mod dice;
mod docs;
mod methods;
mod rig;
mod suite;
mod tidy;
