//! Steps that write over what earlier steps wrote: when those write again, so do they.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value as Json;

use super::super::step::cx::Cx;
use super::super::step::judge::writes_a_state;
use crate::catalog::Catalog;
use crate::journal::{Address, Meaning};
use crate::plan::{Graph, NodeId};
use crate::syntax::ast::{ActionKind, Step};

/// What is written anew, in the order of the flow.
#[derive(Default)]
pub struct Anew(Vec<(NodeId, Address, Meaning)>);

impl Anew {
    /// Notes what a step is going to write.
    pub fn note(&mut self, catalog: &Catalog, cx: &Cx<'_>, step: &Step, meaning: &Meaning) {
        if leaves_what_it_says(catalog, step) {
            let address = Arc::clone(&cx.address);
            self.0.push((cx.node, address, meaning.clone()));
        }
    }

    /// The step before this one that is going to write otherwise what this one has written.
    pub fn under(
        &self,
        catalog: &Catalog,
        cx: &Cx<'_>,
        step: &Step,
        meaning: &Meaning,
    ) -> Option<&Address> {
        if !leaves_what_it_says(catalog, step) {
            return None;
        }
        let mut same = self.0.iter().filter(|(_, _, first)| {
            about(first) == about(meaning) && differ(&first.body, &meaning.body)
        });
        let graph = cx.shared.graph.borrow();
        let (_, address, _) = same.find(|(first, ..)| is_behind(&graph, cx.node, *first))?;
        Some(address)
    }
}

fn leaves_what_it_says(catalog: &Catalog, step: &Step) -> bool {
    matches!(step.action.kind, ActionKind::Ensure(_)) || writes_a_state(catalog, step)
}

/// The path of what a step writes, whatever it is written with.
fn about(meaning: &Meaning) -> &str {
    let (_, path) = meaning.target.split_once(' ').unwrap_or_default();
    path.split('?').next().unwrap_or(path)
}

/// Whether a field stands in both with two values.
fn differ(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => a
            .iter()
            .any(|(name, a)| b.get(name).is_some_and(|b| differ(a, b))),
        _ => a != b,
    }
}

fn is_behind(graph: &Graph<'_>, node: NodeId, first: NodeId) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        if node == first {
            return true;
        }
        let before = graph.before(node).map(|(before, _)| before);
        open.extend(before.filter(|b| seen.insert(*b)));
    }
    false
}
