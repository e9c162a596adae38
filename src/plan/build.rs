//! Growing the graph: nodes for the statements of a block, and edges for what they use.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::graph::{
    Edge, Frame, FrameId, Given, Graph, Inner, NodeId, Opened, PoolId, Scope, ScopeId, Work,
};
use super::view::{Memo, View};
use crate::check::names::{BlockId, BlockKind, FlowId, Global, Names};
use crate::eval::{self, EvalError, Fault, Pairs, Truth};
use crate::syntax::ast::{self, ActionKind, ClauseKind, Stmt};
use crate::value::Value;

/// A graph that cannot be built: what is wrong, and where in the flow.
pub type BuildError = EvalError;

/// One iteration: its key as text, the value bound to the first name of a pair, the element.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: Arc<str>,
    pub first: Value,
    pub value: Value,
}

/// What a growth turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The iterations of a `for`, and how many may be in flight.
    Entries(Vec<Entry>, Option<usize>),
    /// The condition of an `if`, or of a `run` step.
    Taken(bool),
}

impl<'p> Graph<'p> {
    /// The graph of a workflow, grown as far as its inputs decide.
    pub fn build(
        names: &'p Names<'p>,
        flow: FlowId,
        inputs: BTreeMap<Arc<str>, Value>,
        memo: &Memo,
    ) -> Result<Graph<'p>, BuildError> {
        let mut graph = Graph::empty(names);
        let mut builder = Builder {
            graph: &mut graph,
            memo,
            added: Vec::new(),
        };
        builder.frame(
            flow,
            Arc::from(""),
            Given::Values(inputs),
            Around::default(),
        )?;
        builder.connect()?;
        Ok(graph)
    }

    /// Grows the graph by what a finished growth leads to; returns the nodes that wait for other
    /// ones than before, new ones included.
    pub fn expand(
        &mut self,
        node: NodeId,
        answer: &Answer,
        memo: &Memo,
    ) -> Result<Vec<NodeId>, BuildError> {
        let first = self.len() as u32;
        self.touched.clear();
        let mut builder = Builder {
            graph: self,
            memo,
            added: Vec::new(),
        };
        builder.expand(node, answer)?;
        builder.connect()?;
        self.settle_pending(node, memo)?;
        let mut changed = std::mem::take(&mut self.touched);
        changed.extend((first..self.len() as u32).map(NodeId));
        Ok(changed.into_iter().collect())
    }

    /// Scopes for the `upon` blocks of an event, in the frame where it happened and in those around.
    pub fn notify(
        &mut self,
        frame: FrameId,
        event: &str,
        key: &str,
        value: &Value,
        memo: &Memo,
    ) -> Result<(), BuildError> {
        let mut next = Some(frame);
        while let Some(frame) = next {
            next = match self.frame(frame).inputs {
                Given::Call { scope, .. } => Some(self.scope(scope).frame),
                Given::Values(_) => None,
            };
            let root = self.frame(frame).root;
            let flow = self.flow_of(root);
            for block in &flow.block(BlockId::ROOT).children {
                let BlockKind::Upon(upon) = flow.block(*block).kind else {
                    continue;
                };
                if &*upon.event.text == event {
                    self.fire(root, *block, format!("{event}:{key}").into(), value, memo)?;
                }
            }
        }
        Ok(())
    }

    fn fire(
        &mut self,
        parent: ScopeId,
        block: BlockId,
        key: Arc<str>,
        event: &Value,
        memo: &Memo,
    ) -> Result<(), BuildError> {
        let mut builder = Builder {
            graph: self,
            memo,
            added: Vec::new(),
        };
        let around = Around {
            apart: true,
            ..Around::default()
        };
        builder.inner_scope(
            parent,
            block,
            Some((key, event.clone(), event.clone())),
            around,
        )?;
        builder.connect()
    }

    /// What a growth leads to, when that is known already.
    pub fn answer(&self, node: NodeId, memo: &Memo) -> Result<Option<Answer>, Fault> {
        let scope = self.node(node).scope;
        let view = View::new(self, scope, memo);
        match self.node(node).work {
            Work::For(f, _) => entries(f, &view),
            Work::If(i, _, _) => taken(&i.condition, &view),
            Work::Enter(step) => match when_of(step) {
                Some(condition) => taken(condition, &view),
                None => Ok(Some(Answer::Taken(true))),
            },
            _ => Ok(None),
        }
    }
}

fn taken(condition: &ast::Expr, view: &View<'_, '_>) -> Result<Option<Answer>, Fault> {
    match eval::condition(condition, view)? {
        Truth::Known(b) => Ok(Some(Answer::Taken(b))),
        Truth::Later(_) => Ok(None),
    }
}

fn entries(f: &ast::For, view: &View<'_, '_>) -> Result<Option<Answer>, Fault> {
    let source = eval::eval(&f.source, view)?;
    let Pairs::Known(pairs) = eval::pairs(&source, f.source.span)? else {
        return Ok(None);
    };
    let limit = match &f.limit {
        None => None,
        Some(limit) => match eval::eval(limit, view)? {
            Value::Int(n) if n >= 1 => Some(n as usize),
            Value::Later(_) => return Ok(None),
            other => {
                return Err(EvalError::new(
                    limit.span,
                    format!("a limit is a whole number from 1, not `{other}`"),
                )
                .into());
            }
        },
    };
    let mut entries: Vec<Entry> = Vec::with_capacity(pairs.len());
    let over_map = matches!(source, Value::Map(_));
    for (first, value) in pairs {
        let key = match &f.by {
            None if over_map => first.clone(),
            None => value.clone(),
            Some(by) => match eval::eval(by, &view.with_loop(f, &first, &value))? {
                Value::Later(_) => return Ok(None),
                key => key,
            },
        };
        if key.is_later() {
            return Ok(None);
        }
        let span = f.by.as_ref().unwrap_or(&f.source).span;
        let key = eval::key_text(&key, span).map_err(|fault| match fault {
            Fault::Error(e) => Fault::Error(Box::new(
                e.help("say what names an iteration: `for x in xs by x.name`"),
            )),
            other => other,
        })?;
        entries.push(Entry { key, first, value });
    }
    let mut keys: Vec<&str> = entries.iter().map(|e| &*e.key).collect();
    keys.sort_unstable();
    if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(EvalError::new(
            f.source.span,
            format!("the key `{}` comes twice in this loop", pair[0]),
        )
        .help(
            "keys name the steps of an iteration, so each may come once; choose another with `by`",
        )
        .into());
    }
    Ok(Some(Answer::Entries(entries, limit)))
}

pub(super) fn when_of(step: &ast::Step) -> Option<&ast::Expr> {
    step.clauses.iter().find_map(|c| match &c.kind {
        ClauseKind::When(e) => Some(e),
        _ => None,
    })
}

/// What everything in a new scope waits for, and what waits for it.
#[derive(Clone, Copy, Default)]
struct Around {
    head: Option<NodeId>,
    end: Option<NodeId>,
    /// The newest assertion above.
    guard: Option<NodeId>,
    /// A notification: nothing waits for it, and it holds nothing up.
    apart: bool,
}

struct Builder<'g, 'p> {
    graph: &'g mut Graph<'p>,
    memo: &'g Memo,
    added: Vec<NodeId>,
}

impl<'p> Builder<'_, 'p> {
    fn frame(
        &mut self,
        flow: FlowId,
        path: Arc<str>,
        inputs: Given<'p>,
        around: Around,
    ) -> Result<FrameId, BuildError> {
        let id = FrameId(self.graph.frames.len() as u32);
        let root = ScopeId(self.graph.scopes.len() as u32);
        self.graph.frames.push(Frame {
            flow,
            root,
            path,
            inputs,
            checkpoints: Vec::new(),
            section: Vec::new(),
            guard: around.guard,
            gate: around.head,
            end: around.end,
        });
        self.graph.scopes.push(Scope::root(id));
        self.block(root)?;
        Ok(id)
    }

    fn inner_scope(
        &mut self,
        parent: ScopeId,
        block: BlockId,
        binding: Option<(Arc<str>, Value, Value)>,
        around: Around,
    ) -> Result<ScopeId, BuildError> {
        let id = ScopeId(self.graph.scopes.len() as u32);
        let outer = self.graph.scope(parent);
        let mut keys = outer.keys.clone();
        let (head, end) = if around.apart {
            (None, None)
        } else {
            (around.head.or(outer.head), around.end.or(outer.end))
        };
        let frame = outer.frame;
        let binding = binding.map(|(key, first, value)| {
            keys.push(key);
            (first, value)
        });
        self.graph.scopes.push(Scope {
            frame,
            block,
            parent: Some(parent),
            binding,
            keys,
            head,
            end,
            nodes: Default::default(),
            frames: Default::default(),
            blocks: Default::default(),
        });
        self.block(id)?;
        Ok(id)
    }

    /// Nodes for every statement of a scope's block.
    fn block(&mut self, scope: ScopeId) -> Result<(), BuildError> {
        let flow = self.graph.flow_of(scope);
        let block = flow.block(self.graph.scope(scope).block);
        let mut children = block.children.iter().copied();
        let asserts = |id: BlockId| has_assert(flow.block(id).stmts);
        for (position, stmt) in block.stmts.iter().enumerate() {
            match stmt {
                Stmt::Step(step) => self.step(scope, step)?,
                Stmt::Assert(assert) => self.assert(scope, assert, position)?,
                Stmt::Checkpoint(checkpoint) => self.checkpoint(scope, checkpoint),
                Stmt::For(f) => {
                    let inner = next(&mut children);
                    self.growth(scope, Work::For(f, inner), asserts(inner))?;
                }
                Stmt::If(i) => {
                    let then = next(&mut children);
                    let otherwise = i.otherwise.as_ref().map(|_| next(&mut children));
                    let guarded = asserts(then) || otherwise.is_some_and(asserts);
                    self.growth(scope, Work::If(i, then, otherwise), guarded)?;
                }
                Stmt::Upon(_) => {
                    next(&mut children);
                }
                Stmt::Input(_) | Stmt::Output(_) | Stmt::Let(_) | Stmt::At(_) | Stmt::Broken(_) => {
                }
            }
        }
        Ok(())
    }

    /// A node with its place in the order of the whole: behind the checkpoint or the growth that
    /// holds its scope back, and in front of what waits for all of the scope.
    fn place(&mut self, scope: ScopeId, work: Work<'p>, name: &str) -> NodeId {
        let s = self.graph.scope(scope);
        let (frame_id, head, end) = (s.frame, s.head, s.end);
        let apart = self.is_apart(scope);
        let node = self.bare(scope, work, name);
        if apart {
            return node;
        }
        let frame = &mut self.graph.frames[frame_id.0 as usize];
        let barrier = head.or(frame.checkpoints.last().copied()).or(frame.gate);
        let frame_end = frame.end;
        if end.is_none() {
            frame.section.push(node);
        }
        if let Some(barrier) = barrier {
            self.graph.add_edge(barrier, node, Edge::Barrier);
        }
        if let Some(end) = end.or(frame_end) {
            self.graph.add_edge(node, end, Edge::Part);
        }
        node
    }

    /// A node that waits for nothing yet.
    fn bare(&mut self, scope: ScopeId, work: Work<'p>, name: &str) -> NodeId {
        let s = self.graph.scope(scope);
        let address = address(&self.graph.frame(s.frame).path, name, &s.keys);
        let node = self.graph.add_node(work, scope, address);
        self.added.push(node);
        node
    }

    fn is_apart(&self, scope: ScopeId) -> bool {
        let flow = self.graph.flow_of(scope);
        let block = self.graph.scope(scope).block;
        flow.ancestry(block)
            .any(|b| matches!(flow.block(b).kind, BlockKind::Upon(_)))
    }

    fn step(&mut self, scope: ScopeId, step: &'p ast::Step) -> Result<(), BuildError> {
        let name: &'p str = &step.name.text;
        if let ActionKind::Run { .. } = step.action.kind {
            return self.run_step(scope, step);
        }
        let node = self.place(scope, Work::Step(step), name);
        self.graph.scopes[scope.0 as usize].nodes.insert(name, node);
        let frame = self.graph.scope(scope).frame;
        if let (true, Some(guard)) = (changes_something(step), self.graph.frame(frame).guard) {
            self.graph.add_edge(guard, node, Edge::Barrier);
        }
        Ok(())
    }

    fn run_step(&mut self, scope: ScopeId, step: &'p ast::Step) -> Result<(), BuildError> {
        let waits = step
            .clauses
            .iter()
            .any(|c| matches!(c.kind, ClauseKind::When(_) | ClauseKind::After(_)));
        let name: &'p str = &step.name.text;
        let end = self.place(scope, Work::End, name);
        self.graph.scopes[scope.0 as usize].nodes.insert(name, end);
        if waits {
            let enter = self.place(scope, Work::Enter(step), &format!("{name}/"));
            self.graph.add_edge(enter, end, Edge::Part);
            self.graph.ends.insert(enter, end);
            self.remember_guard(scope, enter);
            let opened = &mut self.graph.scopes[scope.0 as usize].frames;
            opened.insert(name, Opened::Waiting(enter));
            return Ok(());
        }
        self.open(scope, step, None, end)
    }

    /// The frame of a `run` step; `enter` holds it back where there is one.
    fn open(
        &mut self,
        scope: ScopeId,
        step: &'p ast::Step,
        enter: Option<NodeId>,
        end: NodeId,
    ) -> Result<(), BuildError> {
        let ActionKind::Run { path, inputs } = &step.action.kind else {
            return Ok(());
        };
        let caller = self.graph.flow_of(scope);
        let Some(Global::Workflow(flow)) = self.graph.names.workflow(caller.module, path) else {
            return Err(EvalError::new(step.action.span, "no such workflow"));
        };
        let s = self.graph.scope(scope);
        let frame = self.graph.frame(s.frame);
        let path = format!("{}/", address(&frame.path, &step.name.text, &s.keys));
        let head = enter
            .or(s.head)
            .or(frame.checkpoints.last().copied())
            .or(frame.gate);
        let guard = frame.guard;
        let id = FrameId(self.graph.frames.len() as u32);
        let opened = &mut self.graph.scopes[scope.0 as usize].frames;
        opened.insert(&step.name.text, Opened::Frame(id));
        let around = Around {
            head,
            end: Some(end),
            guard,
            apart: false,
        };
        let inputs = Given::Call {
            step,
            scope,
            inputs: inputs.as_ref(),
        };
        self.frame(flow, Arc::from(path), inputs, around)?;
        Ok(())
    }

    /// A growth waits for the assertions above it, and what it brings stands below those only.
    fn remember_guard(&mut self, scope: ScopeId, growth: NodeId) {
        let frame = self.graph.scope(scope).frame;
        if let Some(guard) = self.graph.frame(frame).guard {
            self.graph.add_edge(guard, growth, Edge::Barrier);
            self.graph.guards.insert(growth, guard);
        }
    }

    fn assert(
        &mut self,
        scope: ScopeId,
        assert: &'p ast::Assert,
        position: usize,
    ) -> Result<(), BuildError> {
        if self.is_decided(scope, assert)? {
            return Ok(());
        }
        let block = self.graph.scope(scope).block.0;
        let node = self.place(
            scope,
            Work::Assert(assert),
            &format!("assert:{block}.{position}"),
        );
        self.raise_guard(scope, node);
        Ok(())
    }

    /// Whether the inputs decide an assertion before anything runs; one that is false is the error.
    fn is_decided(&self, scope: ScopeId, assert: &'p ast::Assert) -> Result<bool, BuildError> {
        let view = View::new(self.graph, scope, self.memo);
        match eval::condition(&assert.condition, &view) {
            Ok(Truth::Known(true)) => Ok(true),
            Ok(Truth::Known(false)) => {
                let words = assert.message.as_ref().map(|m| eval::eval(m, &view));
                let message = match words {
                    Some(Ok(value)) => value.to_string(),
                    _ => "an assertion does not hold".into(),
                };
                Err(EvalError::new(assert.condition.span, message))
            }
            Ok(Truth::Later(_)) | Err(Fault::Hook { .. } | Fault::Fresh { .. }) => Ok(false),
            Err(Fault::Error(error)) => Err(*error),
        }
    }

    /// `node` becomes the newest assertion of the frame, behind the one before.
    fn raise_guard(&mut self, scope: ScopeId, node: NodeId) {
        let frame = self.graph.scope(scope).frame;
        let older = self.graph.frames[frame.0 as usize].guard.replace(node);
        if let Some(older) = older {
            self.graph.add_edge(older, node, Edge::Barrier);
        }
    }

    fn checkpoint(&mut self, scope: ScopeId, checkpoint: &'p ast::Checkpoint) {
        let frame = self.graph.scope(scope).frame;
        let above = std::mem::take(&mut self.graph.frames[frame.0 as usize].section);
        let node = self.place(scope, Work::Checkpoint(checkpoint), &checkpoint.name.text);
        for earlier in above {
            self.graph.add_edge(earlier, node, Edge::Barrier);
        }
        let frame = &mut self.graph.frames[frame.0 as usize];
        frame.section.clear();
        frame.checkpoints.push(node);
        let named = &mut self.graph.scopes[scope.0 as usize].nodes;
        named.insert(&checkpoint.name.text, node);
    }

    /// A `for` or an `if`: grown at once when its answer is known.
    fn growth(&mut self, scope: ScopeId, work: Work<'p>, guarded: bool) -> Result<(), BuildError> {
        let view = View::new(self.graph, scope, self.memo);
        let known = match work {
            Work::For(f, _) => entries(f, &view),
            Work::If(i, _, _) => taken(&i.condition, &view),
            _ => Ok(None),
        };
        match known {
            Ok(Some(answer)) => self.grow(scope, work, &answer, Around::default()),
            Ok(None) | Err(Fault::Hook { .. } | Fault::Fresh { .. }) => {
                self.wait_to_grow(scope, work, guarded);
                Ok(())
            }
            Err(Fault::Error(error)) => Err(*error),
        }
    }

    fn wait_to_grow(&mut self, scope: ScopeId, work: Work<'p>, guarded: bool) {
        let (block, other, word) = match work {
            Work::For(_, block) => (block, None, "for"),
            Work::If(_, then, otherwise) => (then, otherwise, "if"),
            _ => return,
        };
        let head = self.place(scope, work, &format!("{word}:{}", block.0));
        let end = self.place(scope, Work::End, &format!("{word}:{}/end", block.0));
        self.graph.add_edge(head, end, Edge::Part);
        self.graph.ends.insert(head, end);
        self.remember_guard(scope, head);
        let inner = &mut self.graph.scopes[scope.0 as usize].blocks;
        for block in std::iter::once(block).chain(other) {
            inner.insert(block, Inner::Waiting(head));
        }
        if guarded {
            self.raise_guard(scope, end);
        }
    }

    fn expand(&mut self, node: NodeId, answer: &Answer) -> Result<(), BuildError> {
        let scope = self.graph.node(node).scope;
        let work = self.graph.node(node).work;
        let end = self.graph.ends.get(&node).copied();
        let around = Around {
            head: Some(node),
            end,
            ..Around::default()
        };
        let frame = self.graph.scope(scope).frame.0 as usize;
        let above = self.graph.guards.get(&node).copied();
        let newest = std::mem::replace(&mut self.graph.frames[frame].guard, above);
        let grown = self.expand_below(work, scope, answer, around, node);
        self.graph.frames[frame].guard = newest;
        grown
    }

    fn expand_below(
        &mut self,
        work: Work<'p>,
        scope: ScopeId,
        answer: &Answer,
        around: Around,
        node: NodeId,
    ) -> Result<(), BuildError> {
        match (work, answer) {
            (Work::Enter(step), Answer::Taken(true)) => match around.end {
                Some(end) => self.open(scope, step, Some(node), end),
                None => Ok(()),
            },
            (Work::Enter(step), _) => {
                let opened = &mut self.graph.scopes[scope.0 as usize].frames;
                opened.insert(&step.name.text, Opened::Skipped);
                Ok(())
            }
            (work, answer) => self.grow(scope, work, answer, around),
        }
    }

    fn grow(
        &mut self,
        scope: ScopeId,
        work: Work<'p>,
        answer: &Answer,
        around: Around,
    ) -> Result<(), BuildError> {
        match (work, answer) {
            (Work::For(_, block), Answer::Entries(entries, limit)) => {
                let pool = limit.map(|turns| {
                    self.graph.pools.push(turns);
                    PoolId(self.graph.pools.len() as u32 - 1)
                });
                let mut scopes = Vec::with_capacity(entries.len());
                // Registered first: lets and steps inside may look at each other from outside.
                self.graph.scopes[scope.0 as usize]
                    .blocks
                    .insert(block, Inner::Grown(Vec::new()));
                let frame = self.graph.scope(scope).frame.0 as usize;
                let above = self.graph.frames[frame].guard;
                let mut guards = Vec::new();
                for entry in entries {
                    // An assertion holds back its own iteration, not the others.
                    self.graph.frames[frame].guard = above;
                    let around = match pool {
                        Some(pool) => self.turn(scope, block, pool, &entry.key, around),
                        None => around,
                    };
                    let binding = (
                        Arc::clone(&entry.key),
                        entry.first.clone(),
                        entry.value.clone(),
                    );
                    let child = self.inner_scope(scope, block, Some(binding), around)?;
                    scopes.push((Arc::clone(&entry.key), child));
                    guards.extend(self.graph.frames[frame].guard.filter(|g| Some(*g) != above));
                }
                self.graph.frames[frame].guard = above;
                self.join_guards(scope, block, &guards);
                let inner = &mut self.graph.scopes[scope.0 as usize].blocks;
                inner.insert(block, Inner::Grown(scopes));
            }
            (Work::If(_, then, otherwise), Answer::Taken(taken)) => {
                for (block, chosen) in [(Some(then), *taken), (otherwise, !*taken)] {
                    let Some(block) = block else { continue };
                    let mut scopes = Vec::new();
                    if chosen {
                        scopes.push((Arc::from(""), self.inner_scope(scope, block, None, around)?));
                    }
                    let inner = &mut self.graph.scopes[scope.0 as usize].blocks;
                    inner.insert(block, Inner::Grown(scopes));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What stands below a loop waits for the assertions of all its iterations.
    fn join_guards(&mut self, scope: ScopeId, block: BlockId, guards: &[NodeId]) {
        if guards.is_empty() {
            return;
        }
        let node = self.place(scope, Work::End, &format!("for:{}/asserts", block.0));
        for guard in guards {
            self.graph.add_edge(*guard, node, Edge::Barrier);
        }
        let frame = self.graph.scope(scope).frame.0 as usize;
        self.graph.frames[frame].guard = Some(node);
    }

    /// An iteration of a limited loop begins with its turn and ends by giving it back.
    fn turn(
        &mut self,
        scope: ScopeId,
        block: BlockId,
        pool: PoolId,
        key: &str,
        around: Around,
    ) -> Around {
        let head_name = format!("for:{}[{key:?}]/turn", block.0);
        let end_name = format!("for:{}[{key:?}]/end", block.0);
        // What grows stands behind its growth; the newest checkpoint may be one far below it.
        let (head, end) = match around.head {
            Some(_) => (
                self.bare(scope, Work::Turn(pool), &head_name),
                self.bare(scope, Work::TurnEnd(pool), &end_name),
            ),
            None => (
                self.place(scope, Work::Turn(pool), &head_name),
                self.place(scope, Work::TurnEnd(pool), &end_name),
            ),
        };
        self.graph.add_edge(head, end, Edge::Part);
        if let Some(outer) = around.head {
            self.graph.add_edge(outer, head, Edge::Part);
        }
        if let Some(outer) = around.end {
            self.graph.add_edge(end, outer, Edge::Part);
        }
        Around {
            head: Some(head),
            end: Some(end),
            ..Around::default()
        }
    }

    /// Edges for everything that the new nodes use.
    fn connect(&mut self) -> Result<(), BuildError> {
        let first_wave = self.added.clone();
        for node in first_wave {
            let gathers = self.graph.connect(node, self.memo)?;
            self.added.extend(gathers);
        }
        Ok(())
    }
}

fn next(children: &mut impl Iterator<Item = BlockId>) -> BlockId {
    children
        .next()
        .expect("invariant: names and graph walk one tree")
}

/// `take/group["us-central1"]`: the frame's path, the name, the keys from the outside in.
fn address(path: &str, name: &str, keys: &[Arc<str>]) -> Arc<str> {
    let mut text = format!("{path}{name}");
    for key in keys {
        text.push_str(&format!("[{key:?}]"));
    }
    Arc::from(text)
}

fn has_assert(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Assert(_) => true,
        Stmt::For(f) => has_assert(&f.body.stmts),
        Stmt::If(i) => {
            has_assert(&i.then.stmts) || i.otherwise.as_ref().is_some_and(|b| has_assert(&b.stmts))
        }
        _ => false,
    })
}

/// Whether a step may change the cloud; only those wait for the assertions above them.
pub(super) fn changes_something(step: &ast::Step) -> bool {
    match &step.action.kind {
        ActionKind::Ensure(_) | ActionKind::Call(_) => true,
        ActionKind::Http(http) => !matches!(&*http.method.text, "GET" | "HEAD"),
        _ => false,
    }
}
