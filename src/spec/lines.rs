//! What a journal tells of calls and steps that are not over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::player::Line;
use crate::catalog::{Catalog, SettleClass};
use crate::journal::Event;
use crate::run::repeats_unseen;
use crate::wire::{Request, Verb};

/// Calls that deaths left open.
pub(super) struct LeftOpen(Vec<Request>);

impl LeftOpen {
    pub fn of(journal: &[Arc<Line>]) -> LeftOpen {
        let mut open = BTreeMap::new();
        let mut left = Vec::new();
        for line in journal {
            match &line.event {
                Event::Intent { address, intent } => {
                    open.insert(address, &intent.request);
                }
                Event::Called { address, .. } | Event::Voided { address, .. } => {
                    open.remove(address);
                }
                Event::Resumed { .. } => left.extend(open.values().copied()),
                _ => {}
            }
        }
        left.extend(open.into_values());
        LeftOpen(left.into_iter().cloned().collect())
    }

    /// Those of which the API shows no trace: a person is asked (R0511), or the author has said that
    /// twice does no harm.
    pub fn untraced(&self, catalog: &Catalog) -> Vec<Request> {
        let all = self.0.iter().filter(|r| leaves_no_trace(catalog, r));
        all.cloned().collect()
    }

    /// Those that are made again unseen, since that leaves the same state.
    pub fn repeated(&self, catalog: &Catalog) -> Vec<Request> {
        let all = self.0.iter().filter(|r| repeats_unseen(catalog, r));
        all.cloned().collect()
    }
}

/// Whether nothing tells if a request took effect.
pub(super) fn leaves_no_trace(catalog: &Catalog, request: &Request) -> bool {
    match catalog.method(&request.method) {
        Some(method) => matches!(
            method.settle,
            SettleClass::Unsafe | SettleClass::OnceOnlyResult | SettleClass::MarkedCreate
        ),
        None => !matches!(request.verb, Verb::Put | Verb::Delete),
    }
}

/// How many intents are open after each line of a journal.
pub(super) fn open_intents(journal: &[Arc<Line>]) -> Vec<usize> {
    let mut open = 0usize;
    let mut all = vec![0];
    for line in journal {
        match &line.event {
            Event::Intent { .. } => open += 1,
            Event::Called { .. } | Event::Voided { .. } => open = open.saturating_sub(1),
            _ => {}
        }
        all.push(open);
    }
    all
}

/// Steps that a journal tells of, and that are not over.
pub(super) fn begun_steps(journal: &[Arc<Line>]) -> usize {
    let mut begun = BTreeSet::new();
    for line in journal {
        if let Some(address) = line.event.address() {
            match &line.event {
                Event::Finished { .. } | Event::Grew { .. } => begun.remove(address),
                _ => begun.insert(Arc::clone(address)),
            };
        }
    }
    begun.len()
}
