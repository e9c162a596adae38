//! Which recorded step a step of the edited flow goes on from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::recorded::Recorded;
use super::wishes::{Wishes, is_below};
use crate::journal::{Address, Meaning, State};

pub struct Matching {
    recorded: BTreeSet<Address>,
    moved: Vec<(String, String)>,
    claimed: BTreeSet<Address>,
}

impl Matching {
    pub fn new(past: &State, records: &BTreeMap<Address, Recorded>, wishes: &Wishes) -> Self {
        let known = past.order.iter().filter(|a| records.contains_key(*a));
        let known = known.filter(|a| !wishes.forget.contains(&***a));
        Matching {
            recorded: known.cloned().collect(),
            moved: wishes.moved.clone(),
            claimed: BTreeSet::new(),
        }
    }

    /// By the address, or by what the flow's `moved` says of it.
    pub fn by_name(&self, address: &str) -> Option<Address> {
        let declared = self.moved.iter().find_map(|(old, new)| {
            let rest = address
                .strip_prefix(new.as_str())
                .filter(|_| is_below(address, new))?;
            self.recorded.get(format!("{old}{rest}").as_str()).cloned()
        });
        let own = || {
            let left = self.moved.iter().any(|(old, _)| is_below(address, old));
            self.recorded.get(address).filter(|_| !left).cloned()
        };
        declared
            .or_else(own)
            .filter(|from| !self.claimed.contains(from))
    }

    /// The record that a step goes on from, and claims. `there`: whether the edited flow still has a
    /// step of that address.
    pub fn find(
        &mut self,
        guess: Option<Address>,
        meaning: &Meaning,
        records: &BTreeMap<Address, Recorded>,
        there: &dyn Fn(&str) -> bool,
    ) -> Option<Address> {
        let kind = |from: &Address| {
            let recorded = records.get(from).map(|r| comparable(&r.meaning.kind));
            recorded == Some(comparable(&meaning.kind))
        };
        let guess = guess.filter(kind);
        let found = match guess {
            Some(from) if !is_resource(meaning) => Some(from),
            Some(from) if records[&from].meaning.target == meaning.target => Some(from),
            other => self.same_thing(meaning, records, there).or_else(|| {
                // A call of the same name: whether it is the same is judged by its difference.
                other.filter(|_| !is_resource(meaning))
            }),
        };
        if let Some(from) = &found {
            self.claim(from);
        }
        found
    }

    /// The one recorded step that is about the same resource, or asks for the very same.
    fn same_thing(
        &self,
        meaning: &Meaning,
        records: &BTreeMap<Address, Recorded>,
        there: &dyn Fn(&str) -> bool,
    ) -> Option<Address> {
        let equal = |r: &Recorded| {
            r.meaning.kind == meaning.kind
                && r.meaning.target == meaning.target
                && (is_resource(meaning) || r.meaning.body == meaning.body)
        };
        let mut all = records
            .iter()
            .filter(|(a, r)| {
                !self.claimed.contains(*a)
                    && equal(r)
                    && (is_resource(meaning) || !there(a))
                    && self.recorded.contains(*a)
            })
            .map(|(a, _)| Arc::clone(a));
        let one = all.next()?;
        match all.next() {
            None => Some(one),
            Some(_) => None,
        }
    }

    pub fn claim(&mut self, from: &Address) {
        self.claimed.insert(Arc::clone(from));
    }

    pub fn is_claimed(&self, from: &Address) -> bool {
        self.claimed.contains(from)
    }
}

/// The kind of a step as far as it must be the same under one name: looking elsewhere is still looking.
fn comparable(kind: &str) -> &str {
    match kind.split_once(' ') {
        Some((word @ ("read" | "wait"), _)) => word,
        _ => kind,
    }
}

/// Whether a step is about a resource that its target names whatever the step is called.
fn is_resource(meaning: &Meaning) -> bool {
    meaning.kind.starts_with("ensure ") && !meaning.target.is_empty()
}
