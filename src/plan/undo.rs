//! The graph of a rollback: what was begun later is undone earlier.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::graph::{Edge, Frame, FrameId, Given, Graph, NodeId, Scope, ScopeId, Work};
use crate::check::names::{FlowId, Names};

/// Something that is to be undone, and when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Under which it is undone.
    pub address: Arc<str>,
    pub begun: u64,
    /// What was begun after this may depend on it.
    pub over: u64,
}

impl<'p> Graph<'p> {
    /// Nodes that find out what became of open calls, all at one time.
    pub fn settling(names: &'p Names<'p>, flow: FlowId, addresses: Vec<Arc<str>>) -> Graph<'p> {
        let mut graph = Graph::bare(names, flow);
        for address in addresses {
            graph.add_node(Work::Settle, ScopeId(0), address);
        }
        graph
    }

    /// Nodes that undo these: each after everything that was begun when it was over already. What
    /// went on at one time is undone at one time.
    pub fn undoing(names: &'p Names<'p>, flow: FlowId, mut spans: Vec<Span>) -> Graph<'p> {
        let mut graph = Graph::bare(names, flow);
        spans.sort_by_key(|s| s.begun);
        let nodes: Vec<NodeId> = spans
            .iter()
            .map(|s| graph.add_node(Work::Undo, ScopeId(0), Arc::clone(&s.address)))
            .collect();
        // The joint of a place in the row is finished when everything from there on is undone.
        let mut joints: Vec<Option<NodeId>> = vec![None; spans.len() + 1];
        for (at, span) in spans.iter().enumerate().rev() {
            let first_later = spans.partition_point(|s| s.begun <= span.over);
            if let Some(later) = joints.get(first_later).copied().flatten() {
                graph.add_edge(later, nodes[at], Edge::After);
            }
            let joint = graph.add_node(Work::End, ScopeId(0), Arc::from(""));
            graph.add_edge(nodes[at], joint, Edge::Part);
            if let Some(next) = joints[at + 1] {
                graph.add_edge(next, joint, Edge::Part);
            }
            joints[at] = Some(joint);
        }
        graph
    }

    /// A graph with one empty workflow.
    fn bare(names: &'p Names<'p>, flow: FlowId) -> Graph<'p> {
        let mut graph = Graph::empty(names);
        graph.frames.push(Frame {
            flow,
            root: ScopeId(0),
            path: Arc::from(""),
            inputs: Given::Values(BTreeMap::new()),
            checkpoints: Vec::new(),
            section: Vec::new(),
            guard: None,
            gate: None,
            end: None,
        });
        graph.scopes.push(Scope::root(FrameId(0)));
        graph
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::diag::Sink;
    use crate::package;

    /// Everything that a node waits for, through the joints.
    fn before(graph: &Graph<'_>, node: NodeId) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut next = vec![node];
        while let Some(node) = next.pop() {
            for (n, _) in graph.before(node) {
                let address = graph.node(n).address.to_string();
                if !address.is_empty() {
                    all.insert(address);
                }
                next.push(n);
            }
        }
        all
    }

    #[test]
    fn what_was_begun_when_another_was_over_is_undone_before_it() {
        let files = BTreeMap::from([(
            "a.r5flow".to_owned(),
            "workflow main {\n  output a = 1\n}\n".to_owned(),
        )]);
        let (program, _) = package::load("a.r5flow", &files).expect("a flow");
        let names = crate::check::names::bind(&program, &mut Sink::default());
        let span = |address: &str, begun, over| Span {
            address: address.into(),
            begun,
            over,
        };
        // a and b at one time; c after a; d after all of them and never over.
        let spans = vec![
            span("d", 9, u64::MAX),
            span("a", 1, 3),
            span("b", 2, 6),
            span("c", 4, 7),
        ];
        let flow = names.flows[0].id;
        let graph = Graph::undoing(&names, flow, spans);
        assert!(graph.sorted().is_ok());
        let of = |address: &str| {
            let node = graph.find(address).expect("a node");
            before(&graph, node).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(of("d"), Vec::<String>::new());
        assert_eq!(of("c"), ["d"]);
        assert_eq!(of("b"), ["d"]);
        assert_eq!(of("a"), ["c", "d"]);
    }
}
