//! The graph as data: nodes, the scopes they stand in, and the workflows they belong to.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::check::names::{BlockId, Flow, FlowId, Names};
use crate::syntax::ast;
use crate::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// One block in one iteration of the loops around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub u32);

/// One workflow as it was called: the flow itself, or a `run` step's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub u32);

/// The turns of one `for … limit n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u32);

/// Why one node waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edge {
    /// A value flows.
    Data,
    /// The flow says `after`.
    After,
    /// A checkpoint or an assertion stands between.
    Barrier,
    /// The node exists because of the other, or finishes it.
    Part,
}

/// What a node does when all that it waits for is finished.
#[derive(Clone, Copy, Debug)]
pub enum Work<'p> {
    Step(&'p ast::Step),
    Assert(&'p ast::Assert),
    Checkpoint(&'p ast::Checkpoint),
    /// A `for` whose source the run must bring.
    For(&'p ast::For, BlockId),
    /// An `if` whose condition the run must bring: the blocks of its branches.
    If(&'p ast::If, BlockId, Option<BlockId>),
    /// A `run` step that waits for something or may be skipped.
    Enter(&'p ast::Step),
    /// Begins an iteration of a limited loop, when one of its turns is free.
    Turn(PoolId),
    /// Ends an iteration of a limited loop and frees its turn.
    TurnEnd(PoolId),
    /// Everything of a growth, or of a `run` step, is finished.
    End,
    /// All values of one name from all iterations are there.
    Gather,
    /// Finds out what became of a call that was left open; of a rollback only.
    Settle,
    /// Takes a call back; of a rollback only.
    Undo,
}

#[derive(Clone, Debug)]
pub struct Node<'p> {
    pub work: Work<'p>,
    pub scope: ScopeId,
    /// `take/group["us-central1"]`; unique in a run, the same in every resumed run.
    pub address: Arc<str>,
}

#[derive(Debug)]
pub struct Scope<'p> {
    pub frame: FrameId,
    pub block: BlockId,
    pub parent: Option<ScopeId>,
    /// Key and value of this iteration, or the event of an `upon`.
    pub binding: Option<(Value, Value)>,
    /// The keys of the loops around, in this frame, outermost first.
    pub keys: Vec<Arc<str>>,
    /// The growth that made this scope, when the run had to.
    pub(super) head: Option<NodeId>,
    /// What is finished only when everything in this scope is.
    pub(super) end: Option<NodeId>,
    /// Steps and `run` steps declared directly in this block.
    pub(super) nodes: HashMap<&'p str, NodeId>,
    /// Frames of the `run` steps declared directly in this block.
    pub(super) frames: HashMap<&'p str, Opened>,
    /// The blocks directly inside.
    pub(super) blocks: HashMap<BlockId, Inner>,
}

impl Scope<'_> {
    /// The outermost block of a frame.
    pub(super) fn root(frame: FrameId) -> Self {
        Scope {
            frame,
            block: BlockId::ROOT,
            parent: None,
            binding: None,
            keys: Vec::new(),
            head: None,
            end: None,
            nodes: HashMap::default(),
            frames: HashMap::default(),
            blocks: HashMap::default(),
        }
    }
}

/// A `run` step: not yet decided, skipped, or a frame.
#[derive(Clone, Copy, Debug)]
pub enum Opened {
    Waiting(NodeId),
    Skipped,
    Frame(FrameId),
}

/// A block inside a scope: not yet decided, or one scope for each iteration taken.
#[derive(Clone, Debug)]
pub(super) enum Inner {
    Waiting(NodeId),
    Grown(Vec<(Arc<str>, ScopeId)>),
}

#[derive(Debug)]
pub struct Frame<'p> {
    pub flow: FlowId,
    pub root: ScopeId,
    /// `take/` for a workflow that the step `take` runs; empty for the flow itself.
    pub path: Arc<str>,
    pub(super) inputs: Given<'p>,
    /// The node of each checkpoint, in order.
    pub(super) checkpoints: Vec<NodeId>,
    /// Top-level nodes of the section that is being built, for the next checkpoint.
    pub(super) section: Vec<NodeId>,
    /// The newest assertion above what is being built.
    pub(super) guard: Option<NodeId>,
    /// What holds the whole frame back: the checkpoint above the `run` step.
    pub(super) gate: Option<NodeId>,
    /// Finished when the whole frame is.
    pub(super) end: Option<NodeId>,
}

impl<'p> Frame<'p> {
    /// The `run` step that runs it, and where that stands; `None` for the flow itself.
    pub fn run_step(&self) -> Option<(&'p ast::Step, ScopeId)> {
        match self.inputs {
            Given::Values(_) => None,
            Given::Call { step, scope, .. } => Some((step, scope)),
        }
    }

    /// Where the `run` step stands that gives the inputs, and what it writes; `None` for the flow itself.
    pub fn caller(&self) -> Option<(ScopeId, Option<&'p ast::Object>)> {
        match self.inputs {
            Given::Values(_) => None,
            Given::Call { scope, inputs, .. } => Some((scope, inputs)),
        }
    }
}

/// Where the inputs of a frame come from.
#[derive(Debug)]
pub(super) enum Given<'p> {
    Values(BTreeMap<Arc<str>, Value>),
    Call {
        step: &'p ast::Step,
        scope: ScopeId,
        inputs: Option<&'p ast::Object>,
    },
}

/// Nodes, what they wait for, and what is known of their results.
#[derive(Debug)]
pub struct Graph<'p> {
    pub names: &'p Names<'p>,
    pub(super) dag: DiGraph<Node<'p>, Edge, u32>,
    /// The ends of every edge: a node may have thousands, too many to look through.
    edges: HashSet<(NodeId, NodeId)>,
    pub(super) scopes: Vec<Scope<'p>>,
    pub(super) frames: Vec<Frame<'p>>,
    /// Nodes that wait for more than before, since the graph last grew.
    pub(super) touched: BTreeSet<NodeId>,
    /// How many iterations of each limited loop may be in flight.
    pub(super) pools: Vec<usize>,
    pub(super) results: Vec<Option<Value>>,
    /// What is finished when a growth's children are.
    pub(super) ends: HashMap<NodeId, NodeId>,
    /// The newest assertion above a growth.
    pub(super) guards: HashMap<NodeId, NodeId>,
    /// Gathering nodes by where they gather and what.
    pub(super) gathers: HashMap<(ScopeId, BlockId, Arc<str>), NodeId>,
    /// Gathers that wait for a growth: the growth, the gather, the path still to go, the name.
    pub(super) pending: HashMap<NodeId, Vec<super::need::Pending<'p>>>,
    /// Values of `let`s that are wholly known.
    pub(super) lets: RefCell<HashMap<(ScopeId, *const ast::Let), Value>>,
    pub(super) let_needs: HashMap<(ScopeId, *const ast::Let), Arc<Vec<NodeId>>>,
    pub(super) input_values: RefCell<HashMap<(FrameId, Arc<str>), Value>>,
    pub(super) input_needs: HashMap<(FrameId, Arc<str>), Arc<Vec<NodeId>>>,
}

impl<'p> Graph<'p> {
    pub(super) fn empty(names: &'p Names<'p>) -> Self {
        Graph {
            names,
            dag: DiGraph::default(),
            edges: HashSet::new(),
            scopes: Vec::new(),
            frames: Vec::new(),
            touched: BTreeSet::new(),
            pools: Vec::new(),
            results: Vec::new(),
            ends: HashMap::new(),
            guards: HashMap::new(),
            gathers: HashMap::new(),
            pending: HashMap::new(),
            lets: RefCell::default(),
            let_needs: HashMap::new(),
            input_values: RefCell::default(),
            input_needs: HashMap::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.dag.node_count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.dag.node_count() as u32).map(NodeId)
    }

    pub fn node(&self, id: NodeId) -> &Node<'p> {
        &self.dag[index(id)]
    }

    pub fn scope(&self, id: ScopeId) -> &Scope<'p> {
        &self.scopes[id.0 as usize]
    }

    /// How many scopes there are; they are numbered in the order in which the graph grew.
    pub fn scope_count(&self) -> u32 {
        self.scopes.len() as u32
    }

    /// The scopes around a scope, itself first, those of the `run` steps around it included.
    pub fn outward(&self, from: ScopeId) -> impl Iterator<Item = ScopeId> + '_ {
        std::iter::successors(Some(from), |id| {
            let scope = self.scope(*id);
            let caller = || self.frame(scope.frame).run_step().map(|(_, scope)| scope);
            scope.parent.or_else(caller)
        })
    }

    /// The scope of a block, seen from a scope inside it.
    pub(super) fn around(&self, from: ScopeId, block: BlockId) -> Option<ScopeId> {
        std::iter::successors(Some(from), |id| self.scope(*id).parent)
            .find(|id| self.scope(*id).block == block)
    }

    /// The limited loops around a node, those around its `run` step included.
    pub fn pools_around(&self, node: NodeId) -> Vec<PoolId> {
        let mut pools = Vec::new();
        let mut next = Some(self.node(node).scope);
        while let Some(id) = next {
            let scope = self.scope(id);
            if let Some(Work::Turn(pool)) = scope.head.map(|head| self.node(head).work) {
                pools.push(pool);
            }
            next = scope.parent.or(match self.frame(scope.frame).inputs {
                Given::Call { scope, .. } => Some(scope),
                Given::Values(_) => None,
            });
        }
        pools
    }

    pub fn frame(&self, id: FrameId) -> &Frame<'p> {
        &self.frames[id.0 as usize]
    }

    pub fn flow_of(&self, scope: ScopeId) -> &'p Flow<'p> {
        self.names.flow(self.frame(self.scope(scope).frame).flow)
    }

    /// How many iterations of a limited loop may be in flight.
    pub fn turns(&self, pool: PoolId) -> usize {
        self.pools[pool.0 as usize]
    }

    pub fn result(&self, id: NodeId) -> Option<&Value> {
        self.results[id.0 as usize].as_ref()
    }

    pub fn set_result(&mut self, id: NodeId, value: Value) {
        self.results[id.0 as usize] = Some(value);
    }

    /// What a node waits for, each with the reason.
    pub fn before(&self, id: NodeId) -> impl Iterator<Item = (NodeId, Edge)> + '_ {
        self.dag
            .edges_directed(index(id), Direction::Incoming)
            .map(|e| (NodeId(e.source().index() as u32), *e.weight()))
    }

    /// Everything that a node waits for, however far before it.
    pub fn all_before(&self, id: NodeId) -> BTreeSet<NodeId> {
        let mut been = BTreeSet::new();
        let mut next = vec![id];
        while let Some(node) = next.pop() {
            let before = self.before(node).map(|(before, _)| before);
            next.extend(before.filter(|before| been.insert(*before)));
        }
        been
    }

    /// Whether only the run can tell what a growth leads to.
    pub fn is_open(&self, id: NodeId) -> bool {
        let node = self.node(id);
        let scope = self.scope(node.scope);
        match node.work {
            Work::For(_, block) | Work::If(_, block, _) => {
                matches!(scope.blocks.get(&block), Some(Inner::Waiting(_)))
            }
            Work::Enter(step) => {
                matches!(scope.frames.get(&*step.name.text), Some(Opened::Waiting(_)))
            }
            _ => false,
        }
    }

    /// What waits for a node, in the order of the text.
    pub fn behind(&self, id: NodeId) -> Vec<NodeId> {
        let mut behind: Vec<NodeId> = self
            .dag
            .neighbors_directed(index(id), Direction::Outgoing)
            .map(|n| NodeId(n.index() as u32))
            .collect();
        behind.sort_unstable();
        behind
    }

    pub(super) fn add_node(&mut self, work: Work<'p>, scope: ScopeId, address: Arc<str>) -> NodeId {
        let id = self.dag.add_node(Node {
            work,
            scope,
            address,
        });
        self.results.push(None);
        NodeId(id.index() as u32)
    }

    /// `to` waits for `from`; a second edge between the two adds nothing.
    pub(super) fn add_edge(&mut self, from: NodeId, to: NodeId, why: Edge) {
        if from != to && self.edges.insert((from, to)) {
            self.dag.add_edge(index(from), index(to), why);
            self.touched.insert(to);
        }
    }

    /// The node of a step of the outermost workflow, by its address.
    pub fn find(&self, address: &str) -> Option<NodeId> {
        self.nodes().find(|n| &*self.node(*n).address == address)
    }
}

pub(super) fn index(id: NodeId) -> NodeIndex<u32> {
    NodeIndex::new(id.0 as usize)
}
