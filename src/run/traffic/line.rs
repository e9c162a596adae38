//! A waiting line: the longest remaining path first, and of equals who came first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How long everything behind a node takes, itself included, in milliseconds.
pub type Rank = u64;

/// A place in a line.
pub type Ticket = (Reverse<Rank>, u64);

#[derive(Debug)]
pub struct Line<T> {
    places: BTreeMap<Ticket, T>,
    arrivals: u64,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Line {
            places: BTreeMap::new(),
            arrivals: 0,
        }
    }
}

impl<T> Line<T> {
    pub fn push(&mut self, rank: Rank, item: T) {
        self.arrivals += 1;
        self.places.insert((Reverse(rank), self.arrivals), item);
    }

    pub fn pop(&mut self) -> Option<T> {
        self.places.pop_first().map(|(_, item)| item)
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub fn clear(&mut self) {
        self.places.clear();
    }

    /// Everybody who waits, in order; the line is empty afterwards.
    pub fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.places).into_values().collect()
    }
}
