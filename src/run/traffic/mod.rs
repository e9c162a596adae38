//! Who goes first, and what holds the others back: domains, operations in flight, requests a minute.

mod domains;
mod flights;
mod line;
mod pace;
#[cfg(test)]
mod tests;

pub use domains::Domains;
pub use flights::{Flights, Place};
pub use line::{Line, Rank};
pub use pace::Pace;
