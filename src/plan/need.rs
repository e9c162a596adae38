//! What a node uses, as edges.
//!
//! A name that stands outside the loops of its declaration means all iterations. One *gather* node
//! collects them, so that edges stay linear; while the loop has not grown yet the gather waits for
//! its growth, and gets its edges when that is finished.

use std::sync::Arc;

use super::graph::{Edge, FrameId, Given, Graph, Inner, NodeId, Opened, ScopeId, Work};
use super::view::{Memo, View, whole};
use crate::check::names::{BlockId, BlockKind, Flow, Meaning};
use crate::eval::{self, EvalError};
use crate::syntax::ast::{self, ActionKind, ClauseKind, Expr, ExprKind, Field, Key};
use crate::syntax::walk::{self, Part, Reference};
use crate::value::Value;

/// A gather that waits for a growth: what to collect when it has grown.
#[derive(Clone, Debug)]
pub(super) struct Pending<'p> {
    gather: NodeId,
    scope: ScopeId,
    /// The blocks still to go through, from the outside in.
    path: Vec<BlockId>,
    wanted: Wanted<'p>,
}

/// A name, and the one output of it that is used when it is a `run` step's.
#[derive(Clone, Copy, Debug)]
struct Wanted<'p> {
    name: &'p str,
    meaning: Meaning<'p>,
    member: Option<&'p str>,
}

impl<'p> Graph<'p> {
    /// Adds the edges of one node; returns the gathers that this took.
    pub(super) fn connect(&mut self, node: NodeId, memo: &Memo) -> Result<Vec<NodeId>, EvalError> {
        let scope = self.node(node).scope;
        let mut uses = Uses::default();
        match self.node(node).work {
            Work::Step(step) => {
                walk::action(&step.action, &mut |r| uses.data.push(r));
                uses.clauses(step);
                if let ActionKind::Read(_)
                | ActionKind::Ensure(_)
                | ActionKind::Call(_)
                | ActionKind::WaitApi(_) = step.action.kind
                {
                    self.at_uses(scope, &mut uses);
                }
            }
            Work::Enter(step) => uses.clauses(step),
            Work::Assert(assert) => {
                walk::expr(&assert.condition, &mut |r| uses.data.push(r));
                assert
                    .message
                    .iter()
                    .for_each(|e| walk::expr(e, &mut |r| uses.data.push(r)));
            }
            Work::Checkpoint(checkpoint) => uses.checkpoint(checkpoint),
            Work::For(f, _) => {
                walk::expr(&f.source, &mut |r| uses.data.push(r));
                f.by.iter()
                    .for_each(|e| walk::expr(e, &mut |r| uses.data.push(r)));
                f.limit
                    .iter()
                    .for_each(|e| walk::expr(e, &mut |r| uses.data.push(r)));
            }
            Work::If(i, ..) => walk::expr(&i.condition, &mut |r| uses.data.push(r)),
            Work::Turn(_)
            | Work::TurnEnd(_)
            | Work::End
            | Work::Gather
            | Work::Settle
            | Work::Undo => {}
        }
        let mut finder = Finder {
            graph: self,
            memo,
            found: Vec::new(),
            gathers: Vec::new(),
        };
        for reference in uses.data {
            finder.reference(scope, reference)?;
        }
        let data = std::mem::take(&mut finder.found);
        for reference in uses.after {
            finder.reference(scope, reference)?;
        }
        let after = std::mem::take(&mut finder.found);
        let gathers = finder.gathers;
        for (needs, why) in [(data, Edge::Data), (after, Edge::After)] {
            for needed in needs {
                self.add_edge(needed, node, why);
            }
        }
        Ok(gathers)
    }

    fn at_uses(&self, scope: ScopeId, uses: &mut Uses<'p>) {
        let flow = self.flow_of(scope);
        for block in flow.ancestry(self.scope(scope).block) {
            for at in &flow.block(block).at {
                for field in &at.fields {
                    if let Field::Pair { value, .. } = field {
                        walk::expr(value, &mut |r| uses.data.push(r));
                    }
                }
            }
        }
    }

    /// Gives the gathers that waited for a growth their edges.
    pub(super) fn settle_pending(&mut self, growth: NodeId, memo: &Memo) -> Result<(), EvalError> {
        for pending in self.pending.remove(&growth).unwrap_or_default() {
            let mut finder = Finder {
                graph: self,
                memo,
                found: Vec::new(),
                gathers: Vec::new(),
            };
            finder.grown(&pending)?;
            for needed in finder.found {
                self.add_edge(needed, pending.gather, Edge::Data);
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Uses<'p> {
    data: Vec<Reference<'p>>,
    after: Vec<Reference<'p>>,
}

impl<'p> Uses<'p> {
    fn clauses(&mut self, step: &'p ast::Step) {
        for clause in &step.clauses {
            match &clause.kind {
                ClauseKind::After(refs) => self.after(refs),
                _ => walk::clause(clause, &mut |r| self.data.push(r)),
            }
        }
    }

    fn after(&mut self, refs: &'p [Expr]) {
        for expr in refs {
            walk::expr(expr, &mut |r| self.after.push(r));
        }
    }

    fn checkpoint(&mut self, checkpoint: &'p ast::Checkpoint) {
        for guard in &checkpoint.requires {
            walk::expr(&guard.condition, &mut |r| self.data.push(r));
            guard
                .message
                .iter()
                .for_each(|e| walk::expr(e, &mut |r| self.data.push(r)));
        }
        checkpoint
            .approve
            .iter()
            .for_each(|e| walk::expr(e, &mut |r| self.data.push(r)));
        self.after(&checkpoint.after);
    }
}

struct Finder<'g, 'p> {
    graph: &'g mut Graph<'p>,
    memo: &'g Memo,
    found: Vec<NodeId>,
    gathers: Vec<NodeId>,
}

impl<'p> Finder<'_, 'p> {
    /// Collects the nodes behind one use of a name.
    fn reference(&mut self, scope: ScopeId, reference: Reference<'p>) -> Result<(), EvalError> {
        let flow = self.graph.flow_of(scope);
        let block = self.graph.scope(scope).block;
        let Some(meaning) = self.graph.names.resolve(flow, block, reference.name) else {
            return Ok(());
        };
        match meaning {
            Meaning::Input(input) => self.input(self.graph.scope(scope).frame, input),
            Meaning::Let(_) | Meaning::Step(_) | Meaning::Checkpoint(_) => {
                let member = match reference.part {
                    Part::Member(name) => Some(&*name.text),
                    _ => None,
                };
                let index = match reference.part {
                    Part::Index(index) => Some((scope, index)),
                    _ => None,
                };
                let wanted = Wanted {
                    name: reference.name,
                    meaning,
                    member,
                };
                let (top, path) = way(self.graph, flow, scope, reference.name);
                self.below(top, &path, wanted, index)
            }
            Meaning::Loop { block, .. } => self.element(scope, block),
            Meaning::Event(_) | Meaning::Global(_) | Meaning::Unknown => Ok(()),
        }
    }

    /// The nodes behind an iteration's element, when its loop grew before all of it was known.
    fn element(&mut self, scope: ScopeId, block: BlockId) -> Result<(), EvalError> {
        let Some(id) = self.graph.around(scope, block) else {
            return Ok(());
        };
        let BlockKind::For(f) = self.graph.flow_of(id).block(block).kind else {
            return Ok(());
        };
        let here = self.graph.scope(id);
        let (Some((first, value)), Some(parent)) = (&here.binding, here.parent) else {
            return Ok(());
        };
        if whole(value) {
            return Ok(());
        }
        let key: Option<Arc<str>> = first.as_str().map(Arc::from);
        let mut uses = Vec::new();
        walk::expr(&f.source, &mut |r| uses.push(r));
        for reference in uses {
            match (&*f.source.kind, &key) {
                (ExprKind::Name(_), Some(key)) => self.one_of(parent, reference, key)?,
                _ => self.reference(parent, reference)?,
            }
        }
        Ok(())
    }

    /// The nodes of one iteration's value of a name that is seen from outside its loop.
    fn one_of(
        &mut self,
        scope: ScopeId,
        reference: Reference<'p>,
        key: &Arc<str>,
    ) -> Result<(), EvalError> {
        let flow = self.graph.flow_of(scope);
        let block = self.graph.scope(scope).block;
        let (top, path) = way(self.graph, flow, scope, reference.name);
        let meaning = self.graph.names.resolve(flow, block, reference.name);
        let inner = path
            .first()
            .and_then(|b| self.graph.scope(top).blocks.get(b));
        let child = match inner {
            Some(Inner::Grown(children)) => children.iter().find(|(k, _)| k == key),
            _ => None,
        };
        match (child.map(|(_, child)| *child), meaning) {
            (Some(child), Some(meaning @ (Meaning::Step(_) | Meaning::Let(_)))) => {
                let wanted = Wanted {
                    name: reference.name,
                    meaning,
                    member: None,
                };
                self.below(child, &path[1..], wanted, None)
            }
            _ => self.reference(scope, reference),
        }
    }

    fn input(&mut self, frame: FrameId, input: &'p ast::Input) -> Result<(), EvalError> {
        let key = (frame, Arc::clone(&input.name.text));
        if let Some(known) = self.graph.input_needs.get(&key) {
            self.found.extend(known.iter());
            return Ok(());
        }
        let Given::Call { scope, inputs, .. } = &self.graph.frame(frame).inputs else {
            return Ok(());
        };
        let (scope, inputs) = (*scope, *inputs);
        let mut uses = Vec::new();
        match inputs.and_then(|o| input_expr(o, &input.name.text)) {
            Some(given) => walk::expr(given, &mut |r| uses.push(r)),
            // A spread may bring it; then the step waits for all that the object uses.
            None => inputs
                .iter()
                .for_each(|o| walk::object(o, &mut |r| uses.push(r))),
        }
        let needs = self.all(scope, uses)?;
        self.graph.input_needs.insert(key, needs);
        Ok(())
    }

    /// The nodes behind these uses, kept apart so that they can be remembered.
    fn all(
        &mut self,
        scope: ScopeId,
        uses: Vec<Reference<'p>>,
    ) -> Result<Arc<Vec<NodeId>>, EvalError> {
        let before = std::mem::take(&mut self.found);
        for reference in uses {
            self.reference(scope, reference)?;
        }
        let mut needs = std::mem::replace(&mut self.found, before);
        needs.sort_unstable();
        needs.dedup();
        self.found.extend(needs.iter());
        Ok(Arc::new(needs))
    }

    /// The nodes of a name that is declared below `scope`, behind the blocks of `path`.
    fn below(
        &mut self,
        scope: ScopeId,
        path: &[BlockId],
        wanted: Wanted<'p>,
        index: Option<(ScopeId, &'p Expr)>,
    ) -> Result<(), EvalError> {
        let Some((block, rest)) = path.split_first() else {
            return self.here(scope, wanted);
        };
        match self.graph.scope(scope).blocks.get(block).cloned() {
            None => Ok(()),
            Some(Inner::Waiting(growth)) => {
                self.gather_later(scope, *block, growth, path, wanted);
                Ok(())
            }
            Some(Inner::Grown(children)) => {
                let looped = matches!(
                    self.graph.flow_of(scope).block(*block).kind,
                    BlockKind::For(_)
                );
                if !looped {
                    for (_, child) in children {
                        self.below(child, rest, wanted, index)?;
                    }
                    return Ok(());
                }
                if let Some(key) = index.and_then(|(at, index)| self.known_key(at, index)) {
                    return match children.iter().find(|(k, _)| *k == key) {
                        Some((_, child)) => self.below(*child, rest, wanted, None),
                        None => Ok(()),
                    };
                }
                self.gather(scope, *block, &children, rest, wanted)
            }
        }
    }

    /// What a gather waits for now that its growth is known. The gather itself stands for the
    /// loop already, so its iterations are looked into here.
    fn grown(&mut self, pending: &Pending<'p>) -> Result<(), EvalError> {
        let inner = pending.path.split_first().and_then(|(block, rest)| {
            match self.graph.scope(pending.scope).blocks.get(block).cloned() {
                Some(Inner::Grown(children)) => Some((children, rest)),
                _ => None,
            }
        });
        let Some((children, rest)) = inner else {
            return self.below(pending.scope, &pending.path, pending.wanted, None);
        };
        for (_, child) in children {
            self.below(child, rest, pending.wanted, None)?;
        }
        Ok(())
    }

    fn known_key(&self, scope: ScopeId, index: &Expr) -> Option<Arc<str>> {
        let value = eval::eval(index, &View::new(self.graph, scope, self.memo)).ok()?;
        match value {
            Value::Later(_) => None,
            value => eval::key_text(&value, index.span).ok(),
        }
    }

    fn gather_node(
        &mut self,
        scope: ScopeId,
        block: BlockId,
        wanted: Wanted<'p>,
    ) -> (NodeId, bool) {
        let label: Arc<str> = match wanted.member {
            Some(member) => Arc::from(format!("{}.{member}", wanted.name)),
            None => Arc::from(wanted.name),
        };
        let key = (scope, block, Arc::clone(&label));
        if let Some(node) = self.graph.gathers.get(&key) {
            return (*node, false);
        }
        let address = Arc::from(format!("gather:{}.{}:{label}", scope.0, block.0));
        let node = self.graph.add_node(Work::Gather, scope, address);
        self.graph.gathers.insert(key, node);
        self.gathers.push(node);
        (node, true)
    }

    fn gather(
        &mut self,
        scope: ScopeId,
        block: BlockId,
        children: &[(Arc<str>, ScopeId)],
        rest: &[BlockId],
        wanted: Wanted<'p>,
    ) -> Result<(), EvalError> {
        let (node, new) = self.gather_node(scope, block, wanted);
        if new {
            let before = std::mem::take(&mut self.found);
            for (_, child) in children {
                self.below(*child, rest, wanted, None)?;
            }
            for needed in std::mem::replace(&mut self.found, before) {
                self.graph.add_edge(needed, node, Edge::Data);
            }
        }
        self.found.push(node);
        Ok(())
    }

    fn gather_later(
        &mut self,
        scope: ScopeId,
        block: BlockId,
        growth: NodeId,
        path: &[BlockId],
        wanted: Wanted<'p>,
    ) {
        let (gather, new) = self.gather_node(scope, block, wanted);
        if new {
            self.graph.add_edge(growth, gather, Edge::Data);
            self.graph.pending.entry(growth).or_default().push(Pending {
                gather,
                scope,
                path: path.to_vec(),
                wanted,
            });
        }
        self.found.push(gather);
    }

    /// The nodes of a name that is declared directly in this scope's block.
    fn here(&mut self, scope: ScopeId, wanted: Wanted<'p>) -> Result<(), EvalError> {
        if let Meaning::Let(l) = wanted.meaning {
            return self.r#let(scope, l);
        }
        let opened = self.graph.scope(scope).frames.get(wanted.name).copied();
        match (opened, wanted.member) {
            (Some(Opened::Frame(frame)), Some(member)) => self.output(frame, member),
            (Some(Opened::Waiting(enter)), Some(member)) => {
                let block = self.graph.scope(scope).block;
                self.gather_later(
                    scope,
                    block,
                    enter,
                    &[],
                    Wanted {
                        member: Some(member),
                        ..wanted
                    },
                );
                Ok(())
            }
            (Some(Opened::Skipped), _) => Ok(()),
            _ => {
                self.found
                    .extend(self.graph.scope(scope).nodes.get(wanted.name).copied());
                Ok(())
            }
        }
    }

    fn r#let(&mut self, scope: ScopeId, l: &'p ast::Let) -> Result<(), EvalError> {
        let key = (scope, std::ptr::from_ref(l));
        if let Some(known) = self.graph.let_needs.get(&key) {
            self.found.extend(known.iter());
            return Ok(());
        }
        // A `let` that leads back to itself is the checker's finding; here it must only end.
        self.graph.let_needs.insert(key, Arc::default());
        let mut uses = Vec::new();
        walk::expr(&l.value, &mut |r| uses.push(r));
        let needs = self.all(scope, uses)?;
        self.graph.let_needs.insert(key, needs);
        Ok(())
    }

    /// The nodes behind one output of a frame.
    fn output(&mut self, frame: FrameId, member: &str) -> Result<(), EvalError> {
        let root = self.graph.frame(frame).root;
        let flow = self.graph.flow_of(root);
        let mut uses = Vec::new();
        for output in &flow.outputs {
            if &*output.name.text == member {
                walk::expr(&output.value, &mut |r| uses.push(r));
            }
        }
        uses.into_iter().try_for_each(|r| self.reference(root, r))
    }
}

/// The scope from which a name's declaration is reached, and the blocks on the way down to it.
pub(super) fn way(
    graph: &Graph<'_>,
    flow: &Flow<'_>,
    from: ScopeId,
    name: &str,
) -> (ScopeId, Vec<BlockId>) {
    let declared = flow.symbol(name).map_or(BlockId::ROOT, |s| s.block);
    let mut scope = from;
    loop {
        let here = graph.scope(scope);
        let mut path: Vec<BlockId> = flow
            .ancestry(declared)
            .take_while(|b| *b != here.block)
            .collect();
        let reached = flow.ancestry(declared).any(|b| b == here.block);
        match here.parent {
            Some(parent) if !reached => scope = parent,
            _ => {
                path.reverse();
                return (scope, path);
            }
        }
    }
}

/// The expression that an object gives to one input.
pub(super) fn input_expr<'p>(object: &'p ast::Object, name: &str) -> Option<&'p Expr> {
    object.fields.iter().rev().find_map(|field| match field {
        Field::Pair {
            key: Key::Name(key),
            value,
            ..
        } if &*key.text == name => Some(value),
        _ => None,
    })
}

/// The step that an expression names: `group`, `group["us"]`, `take`.
pub fn step_name(expr: &Expr) -> Option<(&str, Option<&Expr>)> {
    match &*expr.kind {
        ExprKind::Name(name) => Some((name, None)),
        ExprKind::Index { base, index } => match &*base.kind {
            ExprKind::Name(name) => Some((name, Some(index))),
            _ => None,
        },
        ExprKind::Paren(inner) => step_name(inner),
        _ => None,
    }
}
