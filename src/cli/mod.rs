//! What people type: arguments to settings, one short file per command.

pub mod hooks;
pub mod session;
pub mod world;
