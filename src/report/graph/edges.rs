//! Lines between what is drawn, through what is not.

use std::collections::{BTreeMap, BTreeSet};

use super::Line;
use crate::plan::{Edge, Graph, NodeId};

/// All lines, in the order of the shapes that wait.
pub fn lines(graph: &Graph<'_>, drawn: &[NodeId]) -> Vec<Line> {
    let position: BTreeMap<NodeId, usize> =
        drawn.iter().enumerate().map(|(n, id)| (*id, n)).collect();
    // The checker refuses cycles; should one come here, the nodes' own order draws what it can.
    let order = graph.sorted().unwrap_or_else(|_| graph.nodes().collect());
    let mut feeders: BTreeMap<NodeId, BTreeSet<usize>> = BTreeMap::new();
    let mut found: BTreeMap<(usize, usize), Edge> = BTreeMap::new();
    for node in &order {
        let mut all = BTreeSet::new();
        for (before, why) in graph.before(*node) {
            let Some(from) = feeders.get(&before) else {
                continue;
            };
            all.extend(from);
            let Some(to) = position.get(node) else {
                continue;
            };
            for from in from {
                let edge = found.entry((*to, *from)).or_insert(why);
                *edge = (*edge).min(why);
            }
        }
        let own = position.get(node).map(|n| BTreeSet::from([*n]));
        feeders.insert(*node, own.unwrap_or(all));
    }
    let mut lines: Vec<Line> = found
        .into_iter()
        .map(|((to, from), why)| Line {
            from,
            to,
            why,
            redundant: false,
        })
        .collect();
    let ranks = order
        .iter()
        .filter_map(|n| position.get(n).copied())
        .collect();
    mark_redundant(&mut lines, drawn.len(), ranks);
    lines
}

/// A line without a value is redundant when a longer way leads from its beginning to its end.
fn mark_redundant(lines: &mut [Line], shapes: usize, order: Vec<usize>) {
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); shapes];
    for line in lines.iter() {
        before[line.to].push(line.from);
    }
    let words = shapes.div_ceil(64);
    let mut above: Vec<Vec<u64>> = vec![vec![0; words]; shapes];
    for shape in order {
        let mut set = vec![0u64; words];
        for from in &before[shape] {
            set[from / 64] |= 1 << (from % 64);
            for (word, other) in set.iter_mut().zip(&above[*from]) {
                *word |= other;
            }
        }
        above[shape] = set;
    }
    for line in lines.iter_mut().filter(|l| l.why != Edge::Data) {
        line.redundant = before[line.to]
            .iter()
            .any(|other| above[*other][line.from / 64] >> (line.from % 64) & 1 == 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(from: usize, to: usize, why: Edge) -> Line {
        Line {
            from,
            to,
            why,
            redundant: false,
        }
    }

    #[test]
    fn only_lines_that_say_nothing_new_are_redundant() {
        let mut lines = vec![
            line(0, 1, Edge::After),
            line(1, 2, Edge::After),
            line(0, 2, Edge::Barrier),
            line(2, 3, Edge::After),
            line(1, 3, Edge::Data),
        ];
        mark_redundant(&mut lines, 4, vec![0, 1, 2, 3]);
        let redundant: Vec<(usize, usize)> = lines
            .iter()
            .filter(|l| l.redundant)
            .map(|l| (l.from, l.to))
            .collect();
        assert_eq!(redundant, [(0, 2)]);
    }
}
