//! Serialisation domains: a task gets all that it needs at once, or waits for all of them.
//!
//! Everybody has one place in the lines of all domains that he waits for, so somebody is the first in
//! all of his: nobody waits in a circle, and nobody is passed over for ever by those who need less.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::line::{Rank, Ticket};
use crate::run::effect::TaskId;

#[derive(Debug, Default)]
pub struct Domains {
    held: BTreeSet<Arc<str>>,
    waiting: BTreeMap<Ticket, (TaskId, Vec<Arc<str>>)>,
    lines: BTreeMap<Arc<str>, BTreeSet<Ticket>>,
    /// Who may have become able to go on.
    hopeful: BTreeSet<Ticket>,
    arrivals: u64,
}

impl Domains {
    /// Joins the lines of all of these; [`grant`](Self::grant) says when they are the task's.
    pub fn ask(&mut self, task: TaskId, rank: Rank, keys: Vec<Arc<str>>) {
        self.arrivals += 1;
        let ticket = (Reverse(rank), self.arrivals);
        for key in &keys {
            self.lines
                .entry(Arc::clone(key))
                .or_default()
                .insert(ticket);
        }
        self.waiting.insert(ticket, (task, keys));
        self.hopeful.insert(ticket);
    }

    /// Gives one task what it waits for, if there is one that can have it.
    pub fn grant(&mut self) -> Option<TaskId> {
        while let Some(ticket) = self.hopeful.pop_first() {
            let Some((task, keys)) = self.waiting.get(&ticket) else {
                continue;
            };
            let free = |key: &Arc<str>| {
                let first = self.lines.get(key).and_then(|line| line.first());
                !self.held.contains(key) && first == Some(&ticket)
            };
            if !keys.iter().all(free) {
                continue;
            }
            let task = *task;
            for key in self.leave(ticket) {
                self.held.insert(key);
            }
            return Some(task);
        }
        None
    }

    fn leave(&mut self, ticket: Ticket) -> Vec<Arc<str>> {
        let Some((_, keys)) = self.waiting.remove(&ticket) else {
            return Vec::new();
        };
        for key in &keys {
            if let Some(line) = self.lines.get_mut(key) {
                line.remove(&ticket);
                if line.is_empty() {
                    self.lines.remove(key);
                }
            }
        }
        keys
    }

    /// Gives back what was granted together.
    pub fn free(&mut self, keys: &[Arc<str>]) {
        for key in keys {
            self.held.remove(key);
            let first = self.lines.get(key).and_then(|line| line.first());
            self.hopeful.extend(first);
        }
    }

    /// Those of the keys that somebody holds, or is ahead of a new one in the line for.
    pub fn taken<'k>(&self, keys: &'k [Arc<str>]) -> impl Iterator<Item = &'k Arc<str>> {
        keys.iter()
            .filter(|key| self.held.contains(*key) || self.lines.contains_key(*key))
    }

    /// Sends everybody home who waits.
    pub fn dismiss(&mut self) -> Vec<TaskId> {
        self.lines.clear();
        self.hopeful.clear();
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().map(|(task, _)| task).collect()
    }
}
