//! The integration tests, as one binary.

mod collections;
mod crash;
mod dice;
mod docs;
mod generated;
mod methods;
mod model;
mod reference;
mod rig;
mod suite;
mod tidy;
