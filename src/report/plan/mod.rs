//! What a run would do.

mod json;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::journal::World;
use crate::plan::{CriticalPath, Graph, NodeId, Work};
use crate::run::{End, PlanAction, PlanItem};
use crate::source::SourceMap;
use crate::store::Vault;
use crate::syntax::ast::ClauseKind;
use crate::wire::Verb;
use crate::world::Millis;

/// A plan and what is known besides.
pub struct Plan<'a> {
    pub workflow: &'a str,
    pub world: &'a World,
    pub items: &'a [PlanItem],
    pub graph: &'a Graph<'a>,
    /// Steps that fail already.
    pub end: &'a End,
    /// How long steps take, as far as anybody can tell.
    pub durations: &'a BTreeMap<Arc<str>, Millis>,
    pub estimate: Option<&'a CriticalPath>,
    pub sources: &'a SourceMap,
    pub vault: &'a Vault,
}

impl Plan<'_> {
    /// The items in the waves in which they can run: each wave needs only those before it.
    fn waves(&self) -> Vec<Vec<&PlanItem>> {
        let by_node: BTreeMap<NodeId, &PlanItem> = self.items.iter().map(|i| (i.node, i)).collect();
        let mut depth: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut waves: Vec<Vec<&PlanItem>> = Vec::new();
        let order = self
            .graph
            .sorted()
            .unwrap_or_else(|_| self.graph.nodes().collect());
        for node in order {
            let before = self
                .graph
                .before(node)
                .filter_map(|(n, _)| depth.get(&n).copied())
                .max();
            let before = before.unwrap_or(0);
            let item = by_node.get(&node);
            depth.insert(node, before + usize::from(item.is_some()));
            if let Some(item) = item {
                if waves.len() <= before {
                    waves.resize_with(before + 1, Vec::new);
                }
                waves[before].push(item);
            }
        }
        waves
            .iter_mut()
            .for_each(|wave| wave.sort_by_key(|i| i.node));
        waves
    }

    /// Blocks whose content only the run can tell.
    fn open_blocks(&self) -> Vec<Arc<str>> {
        self.graph
            .nodes()
            .filter(|n| self.graph.is_open(*n))
            .map(|n| Arc::clone(&self.graph.node(n).address))
            .collect()
    }

    /// How many items there are of each action, in the order of the actions.
    fn counts(&self) -> BTreeMap<PlanAction, usize> {
        let mut counts = BTreeMap::new();
        for item in self.items {
            *counts.entry(item.action).or_insert(0) += 1;
        }
        counts
    }

    /// Steps that a rollback could not take back: they delete, replace, call or send, and have no `undo`.
    fn lasting(&self) -> Vec<&PlanItem> {
        let takes_back = |item: &&PlanItem| match self.graph.node(item.node).work {
            Work::Step(step) => step
                .clauses
                .iter()
                .any(|c| matches!(c.kind, ClauseKind::Undo(_))),
            _ => true,
        };
        let lasts = |item: &&PlanItem| match item.action {
            PlanAction::Call | PlanAction::Delete | PlanAction::Replace => true,
            PlanAction::Http => item.request.as_ref().is_some_and(|r| r.verb != Verb::Get),
            _ => false,
        };
        let items = self.items.iter().filter(lasts);
        items.filter(|item| !takes_back(item)).collect()
    }

    fn changes(&self) -> bool {
        self.items.iter().any(|i| i.action.changes())
    }
}
