//! What a journal tells of calls and steps that are not over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::player::Line;
use crate::catalog::{Catalog, SettleClass};
use crate::journal::Event;
use crate::wire::Verb;

/// Whether a call is open of which the API shows no trace, so that only a person can tell (R0511).
pub(super) fn shows_no_trace(catalog: &Catalog, journal: &[Arc<Line>]) -> bool {
    let mut open = BTreeMap::new();
    for line in journal {
        match &line.event {
            Event::Intent { address, intent } => {
                open.insert(address, &intent.request);
            }
            Event::Called { address, .. } | Event::Voided { address, .. } => {
                open.remove(address);
            }
            _ => {}
        }
    }
    open.values()
        .any(|request| match catalog.method(&request.method) {
            Some(method) => matches!(
                method.settle,
                SettleClass::Unsafe | SettleClass::OnceOnlyResult | SettleClass::MarkedCreate
            ),
            None => !matches!(request.verb, Verb::Put | Verb::Delete),
        })
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
