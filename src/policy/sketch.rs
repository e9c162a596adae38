//! The graph of a workflow without its inputs: what no input decides is gone through once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::Scene;
use crate::catalog::Catalog;
use crate::check::Checked;
use crate::check::names::{BlockId, Flow, FlowId};
use crate::plan::{Answer, Entry, Graph, Memo, NodeId, ScopeId, Work};
use crate::value::Value;

/// How many sketches of one workflow are drawn, so that both blocks of each `if` are seen.
const SKETCHES: usize = 16;

/// How many growths of one sketch are gone into.
const GROWTHS: usize = 2_000;

type Block = (FlowId, BlockId);

/// Every workflow of the flow's own file, as often as it takes to see all of its blocks: with the
/// defaults of its inputs, and with nothing given at all.
pub fn each<'p>(checked: &'p Checked<'p>, catalog: &Catalog, see: &mut dyn FnMut(&Scene<'_, 'p>)) {
    let root = checked.names.program.root().id;
    let memo = Memo {
        run: Some(Value::record([
            ("id", Value::later("run.id")),
            ("started", Value::later("run.started")),
        ])),
        ..Memo::default()
    };
    let flows = checked.names.flows_of(root);
    let ways = flows.flat_map(|flow| [(flow, true), (flow, false)]);
    for (flow, defaults) in ways {
        if !defaults && flow.inputs.iter().all(|i| i.default.is_none()) {
            continue;
        }
        let mut blocks = Blocks::default();
        for _ in 0..SKETCHES {
            let Some((graph, unsure)) = sketch(checked, (flow, defaults), &memo, &mut blocks)
            else {
                break;
            };
            see(&Scene {
                checked,
                catalog,
                graph: &graph,
                memo: &memo,
                seen: &BTreeMap::new(),
                unsure,
            });
            if blocks.ahead.is_empty() {
                break;
            }
        }
    }
}

/// The blocks of `if`s that nothing decides.
#[derive(Default)]
struct Blocks {
    been: HashSet<Block>,
    /// Met, and not gone into yet.
    ahead: HashSet<Block>,
}

impl Blocks {
    fn go_into(&mut self, block: Block) {
        self.ahead.remove(&block);
        self.been.insert(block);
    }

    /// The first block, unless only the other one is still ahead.
    fn takes_first(&mut self, first: Block, other: Option<Block>) -> bool {
        let fresh = |block: &Block| !self.been.contains(block);
        let other = other.filter(fresh);
        let first_is_next = fresh(&first) || other.is_none();
        match (first_is_next, other) {
            (true, other) => {
                self.ahead.extend(other);
                self.go_into(first);
            }
            (false, Some(other)) => self.go_into(other),
            (false, None) => {}
        }
        first_is_next
    }
}

fn sketch<'p>(
    checked: &'p Checked<'p>,
    (flow, defaults): (&Flow<'p>, bool),
    memo: &Memo,
    blocks: &mut Blocks,
) -> Option<(Graph<'p>, BTreeSet<ScopeId>)> {
    let inputs = flow.inputs.iter();
    let unknown = inputs.filter(|i| !defaults || i.default.is_none());
    let inputs = unknown
        .map(|i| (Arc::clone(&i.name.text), Value::later(&i.name.text)))
        .collect();
    let mut graph = Graph::build(&checked.names, flow.id, inputs, memo).ok()?;
    let mut unsure = BTreeSet::new();
    let mut tried = BTreeSet::new();
    while let Some(node) = next_open(&graph, &tried).filter(|_| tried.len() < GROWTHS) {
        tried.insert(node);
        let first = graph.scope_count();
        let answer = assumed(&graph, node, blocks);
        if graph.expand(node, &answer, memo).is_ok() {
            unsure.extend((first..graph.scope_count()).map(ScopeId));
        }
    }
    Some((graph, unsure))
}

fn next_open(graph: &Graph<'_>, tried: &BTreeSet<NodeId>) -> Option<NodeId> {
    graph
        .nodes()
        .find(|node| !tried.contains(node) && graph.is_open(*node))
}

/// What a growth is taken for when only inputs or the run can tell: one iteration, or the block that
/// has not been seen yet.
fn assumed(graph: &Graph<'_>, node: NodeId, blocks: &mut Blocks) -> Answer {
    let here = graph.node(node);
    let flow = graph.frame(graph.scope(here.scope).frame).flow;
    match here.work {
        Work::For(..) => {
            let any = Value::later(&here.address);
            let entry = Entry {
                key: Arc::from("*"),
                first: any.clone(),
                value: any,
            };
            Answer::Entries(vec![entry], None)
        }
        Work::If(_, then, otherwise) => {
            let other = otherwise.map(|block| (flow, block));
            Answer::Taken(blocks.takes_first((flow, then), other))
        }
        _ => Answer::Taken(true),
    }
}
