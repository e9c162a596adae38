//! The order that the edges imply: waves, cycles, the critical path.

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::visit::EdgeRef;

use super::graph::{Graph, NodeId, Work, index};
use crate::world::Millis;

/// Nodes that wait for each other in a circle, in order.
#[derive(Debug, PartialEq)]
pub struct Cycle(pub Vec<NodeId>);

/// The chain of nodes that decides how long everything takes.
#[derive(Clone, Debug, PartialEq)]
pub struct CriticalPath {
    pub nodes: Vec<NodeId>,
    pub length: Millis,
}

impl Graph<'_> {
    /// All nodes, each behind what it waits for.
    pub fn sorted(&self) -> Result<Vec<NodeId>, Cycle> {
        toposort(&self.dag, None)
            .map(|order| {
                order
                    .into_iter()
                    .map(|n| NodeId(n.index() as u32))
                    .collect()
            })
            .map_err(|_| self.cycle())
    }

    fn cycle(&self) -> Cycle {
        let circle = tarjan_scc(&self.dag)
            .into_iter()
            .find(|c| c.len() > 1)
            .unwrap_or_default();
        Cycle(
            circle
                .into_iter()
                .map(|n| NodeId(n.index() as u32))
                .collect(),
        )
    }

    /// Steps in the waves in which they can run: each wave needs only those before it.
    pub fn waves(&self) -> Result<Vec<Vec<NodeId>>, Cycle> {
        let mut depth = vec![0usize; self.len()];
        let mut waves: Vec<Vec<NodeId>> = Vec::new();
        for node in self.sorted()? {
            let before = self
                .before(node)
                .map(|(n, _)| depth[n.0 as usize])
                .max()
                .unwrap_or(0);
            let shown = matches!(
                self.node(node).work,
                Work::Step(_) | Work::For(..) | Work::If(..)
            );
            depth[node.0 as usize] = before + usize::from(shown);
            if shown {
                if waves.len() <= before {
                    waves.resize(before + 1, Vec::new());
                }
                waves[before].push(node);
            }
        }
        waves.iter_mut().for_each(|wave| wave.sort_unstable());
        Ok(waves)
    }

    /// Ranks the nodes that have no rank yet: how long the longest way from each to the end is when a
    /// step takes as long as `duration` says of its address.
    pub fn rank(&self, ranks: &mut Vec<u64>, duration: impl Fn(&str) -> u64) {
        let first = ranks.len();
        ranks.resize(self.len(), 0);
        let mut seen = vec![false; self.len() - first];
        for node in first..self.len() {
            // Each node twice: when it is entered, and when all behind it have their ranks.
            let mut stack = vec![(node, false)];
            while let Some((node, complete)) = stack.pop() {
                let outgoing = || {
                    let at = petgraph::graph::NodeIndex::new(node);
                    self.dag
                        .neighbors_directed(at, petgraph::Direction::Outgoing)
                };
                if complete {
                    let behind = outgoing().map(|n| ranks[n.index()]).max().unwrap_or(0);
                    let found = self.node(NodeId(node as u32));
                    let own = match found.work {
                        Work::Step(_) => duration(&found.address),
                        _ => 0,
                    };
                    ranks[node] = behind.saturating_add(own);
                } else if !std::mem::replace(&mut seen[node - first], true) {
                    stack.push((node, true));
                    let fresh = |n: &usize| *n >= first && !seen[*n - first];
                    stack.extend(
                        outgoing()
                            .map(|n| n.index())
                            .filter(fresh)
                            .map(|n| (n, false)),
                    );
                }
            }
        }
    }

    /// The longest way through the graph when each node takes as long as `duration` says.
    pub fn critical_path(
        &self,
        duration: impl Fn(NodeId) -> Millis,
    ) -> Result<CriticalPath, Cycle> {
        let mut until = vec![Millis(0); self.len()];
        let mut via: Vec<Option<NodeId>> = vec![None; self.len()];
        let mut last: Option<NodeId> = None;
        for node in self.sorted()? {
            let latest = self
                .dag
                .edges_directed(index(node), petgraph::Direction::Incoming)
                .map(|e| NodeId(e.source().index() as u32))
                .max_by_key(|n| (until[n.0 as usize], std::cmp::Reverse(n.0)));
            let start = latest.map_or(Millis(0), |n| until[n.0 as usize]);
            via[node.0 as usize] = latest;
            until[node.0 as usize] = Millis(start.0 + duration(node).0);
            if last.is_none_or(|l| until[l.0 as usize] < until[node.0 as usize]) {
                last = Some(node);
            }
        }
        let length = last.map_or(Millis(0), |n| until[n.0 as usize]);
        let mut nodes: Vec<NodeId> = std::iter::successors(last, |n| via[n.0 as usize]).collect();
        nodes.reverse();
        nodes.retain(|n| matches!(self.node(*n).work, Work::Step(_)));
        Ok(CriticalPath { nodes, length })
    }
}
