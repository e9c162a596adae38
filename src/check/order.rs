//! What has to be finished before what: cycles (rule C8) and two steps on one resource (rule C3).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::Checker;
use super::names::{BlockId, BlockKind, Flow, FlowId, Meaning, Symbol};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;

/// A step, a `let`, a block's condition, a checkpoint or an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Node(u32);

#[derive(Debug)]
struct Vertex {
    label: Arc<str>,
    span: Span,
    checkpoint: bool,
    /// Blocks are on the way of a cycle, but authors did not name them.
    named: bool,
}

#[derive(Debug)]
struct Edge {
    from: Node,
    to: Node,
    /// The words that make the edge; None for what the order of the text makes.
    span: Option<Span>,
}

/// The graph of a program as it is found, and where the checker is in it.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// What is being checked: references found now are its edges.
    pub at: Option<Node>,
    /// What is being checked takes `at` back afterwards, and may look at it.
    pub undoing: bool,
    vertices: Vec<Vertex>,
    edges: Vec<Edge>,
    symbols: HashMap<(FlowId, Span), Node>,
    blocks: HashMap<(FlowId, BlockId), Node>,
    /// Of the workflow that is walked now: the last checkpoint and assertion above.
    checkpoint: Option<Node>,
    assertion: Option<Node>,
    since: Vec<Node>,
}

/// An `ensure`, as far as two of them can be compared.
#[derive(Debug)]
pub(super) struct Ensured {
    pub flow: FlowId,
    pub block: BlockId,
    pub node: Node,
    pub name: Arc<str>,
    pub span: Span,
    pub collection: Arc<str>,
    pub identity: BTreeMap<Arc<str>, String>,
    /// Paths of the fields that it writes.
    pub leaves: BTreeSet<String>,
}

impl Order {
    fn add(&mut self, label: Arc<str>, span: Span, named: bool) -> Node {
        self.vertices.push(Vertex {
            label,
            span,
            checkpoint: false,
            named,
        });
        Node(self.vertices.len() as u32 - 1)
    }

    pub fn symbol(&mut self, flow: &Flow<'_>, symbol: &Symbol<'_>) -> Node {
        if let Some(node) = self.symbols.get(&(flow.id, symbol.span)) {
            return *node;
        }
        let label = match symbol.meaning {
            Meaning::Step(s) => Arc::clone(&s.name.text),
            Meaning::Let(l) => Arc::clone(&l.name.text),
            Meaning::Checkpoint(c) => Arc::clone(&c.name.text),
            _ => Arc::from("?"),
        };
        let node = self.add(label, symbol.span, true);
        self.vertices[node.0 as usize].checkpoint =
            matches!(symbol.meaning, Meaning::Checkpoint(_));
        self.symbols.insert((flow.id, symbol.span), node);
        node
    }

    pub fn block(&mut self, flow: &Flow<'_>, block: BlockId) -> Node {
        if let Some(node) = self.blocks.get(&(flow.id, block)) {
            return *node;
        }
        let (label, span) = match flow.block(block).kind {
            BlockKind::For(f) => ("for", f.source.span),
            BlockKind::Then(i) | BlockKind::Else(i) => ("if", i.condition.span),
            BlockKind::Upon(u) => ("upon", u.event.span),
            BlockKind::Root => ("workflow", flow.ast.name.span),
        };
        let node = self.add(Arc::from(label), span, false);
        self.blocks.insert((flow.id, block), node);
        node
    }

    /// What is checked now refers to `to`.
    pub fn refer(&mut self, to: Node, span: Span) {
        // A loop's `by` names what the loop itself binds.
        let own = |from: Node| from == to && (self.undoing || !self.vertices[to.0 as usize].named);
        if let Some(from) = self.at.filter(|from| !own(*from)) {
            self.edges.push(Edge {
                from,
                to,
                span: Some(span),
            });
        }
    }

    pub fn needs(&mut self, from: Node, to: Node) {
        self.edges.push(Edge {
            from,
            to,
            span: None,
        });
    }

    pub fn begin_flow(&mut self) {
        self.checkpoint = None;
        self.assertion = None;
        self.since.clear();
    }

    /// A step waits for its block, for the checkpoint above, and for the assertions above when it
    /// may change something.
    pub fn enter(&mut self, flow: &Flow<'_>, block: BlockId, node: Node, mutates: bool) {
        if block != BlockId::ROOT {
            let around = self.block(flow, block);
            self.needs(node, around);
        }
        if let Some(checkpoint) = self.checkpoint {
            self.needs(node, checkpoint);
        }
        if mutates && let Some(assertion) = self.assertion {
            self.needs(node, assertion);
        }
        self.since.push(node);
    }

    pub fn assertion(&mut self, flow: &Flow<'_>, block: BlockId, span: Span) -> Node {
        let node = self.add(Arc::from("assert"), span, false);
        if let Some(before) = self.assertion {
            self.needs(node, before);
        }
        self.enter(flow, block, node, false);
        self.assertion = Some(node);
        node
    }

    pub fn passed(&mut self, checkpoint: Node) {
        if let Some(before) = self.checkpoint {
            self.needs(checkpoint, before);
        }
        for node in std::mem::take(&mut self.since) {
            self.needs(checkpoint, node);
        }
        self.checkpoint = Some(checkpoint);
    }
}

impl Checker<'_, '_> {
    /// One finding for every knot of steps that wait for each other.
    pub(super) fn cycles(&mut self) {
        let mut graph: DiGraph<(), usize> =
            DiGraph::with_capacity(self.order.vertices.len(), self.order.edges.len());
        for _ in &self.order.vertices {
            graph.add_node(());
        }
        for (n, edge) in self.order.edges.iter().enumerate() {
            graph.add_edge(
                NodeIndex::new(edge.from.0 as usize),
                NodeIndex::new(edge.to.0 as usize),
                n,
            );
        }
        let mut findings = Vec::new();
        for knot in kosaraju_scc(&graph) {
            let single = knot.len() == 1;
            if single && !graph.contains_edge(knot[0], knot[0]) {
                continue;
            }
            let members: HashSet<usize> = knot.iter().map(|n| n.index()).collect();
            if let Some(cycle) = self.shortest(&graph, &members) {
                findings.push(self.cycle(&cycle));
            }
        }
        findings.into_iter().for_each(|d| self.sink.push(d));
    }

    /// The edges of a short cycle through the first named member.
    fn shortest(&self, graph: &DiGraph<(), usize>, members: &HashSet<usize>) -> Option<Vec<usize>> {
        let order = &self.order;
        let start = members
            .iter()
            .copied()
            .filter(|m| order.vertices[*m].named && !order.vertices[*m].checkpoint)
            .min_by_key(|m| order.vertices[*m].span)
            .or_else(|| members.iter().copied().min())?;
        let mut came: HashMap<usize, usize> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            let mut next: Vec<usize> = graph
                .edges(NodeIndex::new(at))
                .map(|e| *e.weight())
                .collect();
            next.sort_unstable();
            for edge in next {
                let to = order.edges[edge].to.0 as usize;
                if !members.contains(&to) {
                    continue;
                }
                if to == start {
                    return Some(self.unwind(start, at, edge, &came));
                }
                if let Entry::Vacant(unseen) = came.entry(to) {
                    unseen.insert(edge);
                    queue.push_back(to);
                }
            }
        }
        None
    }

    fn unwind(
        &self,
        start: usize,
        end: usize,
        last: usize,
        came: &HashMap<usize, usize>,
    ) -> Vec<usize> {
        let mut edges = vec![last];
        let mut at = end;
        while at != start {
            let Some(edge) = came.get(&at) else { break };
            edges.push(*edge);
            at = self.order.edges[*edge].from.0 as usize;
        }
        edges.reverse();
        edges
    }

    fn cycle(&self, edges: &[usize]) -> Diagnostic {
        let order = &self.order;
        let vertex = |n: Node| &order.vertices[n.0 as usize];
        let mut names: Vec<String> = Vec::new();
        for edge in edges {
            let from = vertex(order.edges[*edge].from);
            if from.named {
                names.push(format!("`{}`", from.label));
            }
        }
        let references: Vec<(Span, Node, Node)> = edges
            .iter()
            .filter_map(|e| {
                let edge = &order.edges[*e];
                edge.span.map(|span| (span, edge.from, edge.to))
            })
            .collect();
        let checkpoint = edges
            .iter()
            .map(|e| vertex(order.edges[*e].from))
            .find(|v| v.checkpoint);
        let first = names.first().cloned().unwrap_or_default();
        let primary = references.first().map_or_else(
            || {
                order
                    .edges
                    .get(edges[0])
                    .map_or(Span::default(), |e| vertex(e.from).span)
            },
            |r| r.0,
        );
        let mut finding = match checkpoint {
            Some(checkpoint) => Diagnostic::error(
                Code::CYCLE,
                primary,
                format!(
                    "{first} stands above the checkpoint `{}` and needs what stands below it",
                    checkpoint.label
                ),
            )
            .related(
                checkpoint.span,
                "everything above this is finished before anything below it starts",
            )
            .help("move the step below the checkpoint, or the checkpoint down"),
            None if names.len() < 2 => {
                Diagnostic::error(Code::CYCLE, primary, format!("{first} waits for itself"))
                    .help("a step knows its own resource as `it`")
            }
            None => Diagnostic::error(
                Code::CYCLE,
                primary,
                format!("{} wait for each other", listed(&names)),
            )
            .help("remove one of these references"),
        };
        for (span, from, to) in references.iter().skip(1) {
            let text = format!(
                "`{}` needs `{}` here",
                vertex(*from).label,
                vertex(*to).label
            );
            finding = finding.related(*span, text);
        }
        finding
    }

    /// Two `ensure` steps of one resource, unless one follows the other and they write different
    /// fields, or only one of them can happen.
    pub(super) fn twice(&mut self) {
        let mut groups: BTreeMap<(FlowId, Arc<str>, String), Vec<usize>> = BTreeMap::new();
        for (n, ensured) in self.ensures.iter().enumerate() {
            let identity = format!("{:?}", ensured.identity);
            let key = (ensured.flow, Arc::clone(&ensured.collection), identity);
            groups.entry(key).or_default().push(n);
        }
        let mut findings = Vec::new();
        for group in groups.into_values().filter(|g| g.len() > 1) {
            for pair in group.windows(2) {
                let (a, b) = (&self.ensures[pair[0]], &self.ensures[pair[1]]);
                if self.exclusive(a, b) {
                    continue;
                }
                let both: Vec<&String> = a.leaves.intersection(&b.leaves).collect();
                let ordered = self.reaches(a.node, b.node) || self.reaches(b.node, a.node);
                let (message, help) = match (both.first(), ordered) {
                    (None, true) => continue,
                    (Some(leaf), _) => (
                        format!(
                            "`{}` and `{}` both write `{leaf}` of one resource",
                            a.name, b.name
                        ),
                        "write the field in one of them: otherwise every run changes it twice"
                            .to_owned(),
                    ),
                    (None, false) => (
                        format!(
                            "`{}` and `{}` change one resource in no order",
                            a.name, b.name
                        ),
                        format!("add `after {}` to the second", a.name),
                    ),
                };
                findings.push(
                    Diagnostic::error(Code::SAME_RESOURCE_TWICE, b.span, message)
                        .related(a.span, "the other one")
                        .help(help),
                );
            }
        }
        findings.into_iter().for_each(|d| self.sink.push(d));
    }

    /// Whether the two stand in different branches of one `if`.
    fn exclusive(&self, a: &Ensured, b: &Ensured) -> bool {
        let flow = self.names.flow(a.flow);
        let branches = |block: BlockId| -> Vec<(Span, bool)> {
            flow.ancestry(block)
                .filter_map(|id| match flow.block(id).kind {
                    BlockKind::Then(i) => Some((i.span, true)),
                    BlockKind::Else(i) => Some((i.span, false)),
                    _ => None,
                })
                .collect()
        };
        let of_a = branches(a.block);
        branches(b.block)
            .iter()
            .any(|(span, side)| of_a.contains(&(*span, !side)))
    }

    fn reaches(&self, from: Node, to: Node) -> bool {
        let mut next: HashMap<Node, Vec<Node>> = HashMap::new();
        for edge in &self.order.edges {
            next.entry(edge.from).or_default().push(edge.to);
        }
        let mut seen = HashSet::from([from]);
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if at == to {
                return true;
            }
            for node in next.get(&at).into_iter().flatten() {
                if seen.insert(*node) {
                    open.push(*node);
                }
            }
        }
        false
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
