//! Who is called what: the names of a program, bound to their declarations.
//!
//! Steps, lets, inputs and checkpoints have names that are unique in their workflow, blocks
//! included, so a name means one thing wherever it is read. The names that a `for`, an `upon` or a
//! comprehension binds live in their block only and may return in a sibling.

use std::collections::HashMap;

use crate::diag::{Code, Diagnostic, Sink};
use crate::package::{ModuleId, Program};
use crate::source::Span;
use crate::syntax::ast::{self, Stmt};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u32);

/// A block of a workflow; block 0 is its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u32);

impl BlockId {
    pub const ROOT: BlockId = BlockId(0);
}

/// What a name at the top level of a module means.
#[derive(Clone, Copy, Debug)]
pub enum Global<'p> {
    Let(ModuleId, &'p ast::Let),
    Type(ModuleId, &'p ast::TypeDef),
    Workflow(FlowId),
    Hook(ModuleId, &'p ast::HookDef),
    Policy(ModuleId, &'p ast::Policy),
    /// `use red5/image as image`
    Module(ModuleId),
    /// Declared, but unreadable: never a reason for a second finding.
    Unknown,
}

/// What a name inside a workflow means.
#[derive(Clone, Copy, Debug)]
pub enum Meaning<'p> {
    Input(&'p ast::Input),
    Let(&'p ast::Let),
    Step(&'p ast::Step),
    Checkpoint(&'p ast::Checkpoint),
    /// The first or the second name of this block's `for`.
    Loop {
        block: BlockId,
        second: bool,
    },
    /// The event of this block's `upon`.
    Event(BlockId),
    Global(Global<'p>),
    Unknown,
}

/// A name that is unique in its workflow.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'p> {
    pub meaning: Meaning<'p>,
    pub span: Span,
    /// The block in which it is declared.
    pub block: BlockId,
    /// How many checkpoints of the workflow stand above it.
    pub section: u32,
}

#[derive(Clone, Copy, Debug)]
pub enum BlockKind<'p> {
    Root,
    For(&'p ast::For),
    Then(&'p ast::If),
    Else(&'p ast::If),
    Upon(&'p ast::Upon),
}

#[derive(Clone, Debug)]
pub struct Block<'p> {
    pub parent: Option<BlockId>,
    pub kind: BlockKind<'p>,
    pub stmts: &'p [Stmt],
    /// The `at` statements directly inside.
    pub at: Vec<&'p ast::At>,
    /// The blocks directly inside, in the order of the text (an `if` gives one or two).
    pub children: Vec<BlockId>,
    /// How many checkpoints of the workflow stand above it.
    pub section: u32,
}

/// One workflow with its names.
#[derive(Debug)]
pub struct Flow<'p> {
    pub id: FlowId,
    pub module: ModuleId,
    pub ast: &'p ast::Workflow,
    pub inputs: Vec<&'p ast::Input>,
    pub outputs: Vec<&'p ast::Output>,
    pub blocks: Vec<Block<'p>>,
    symbols: HashMap<&'p str, Symbol<'p>>,
    order: Vec<&'p str>,
}

impl<'p> Flow<'p> {
    pub fn name(&self) -> &'p str {
        &self.ast.name.text
    }

    pub fn block(&self, id: BlockId) -> &Block<'p> {
        &self.blocks[id.0 as usize]
    }

    /// The declaration of a name that is unique in the workflow.
    pub fn symbol(&self, name: &str) -> Option<&Symbol<'p>> {
        self.symbols.get(name)
    }

    /// Every unique name, in the order of the text.
    pub fn symbols(&self) -> impl Iterator<Item = (&'p str, &Symbol<'p>)> {
        self.order.iter().map(|name| (*name, &self.symbols[name]))
    }

    /// The blocks around a block, itself first, the workflow's body last.
    pub fn ancestry(&self, block: BlockId) -> impl Iterator<Item = BlockId> + '_ {
        std::iter::successors(Some(block), |b| self.block(*b).parent)
    }

    /// The `for` blocks around `inner` that are not around `outer`, outermost first: a value
    /// declared in `inner` is, seen from `outer`, a map by the keys of these loops.
    pub fn loops_between(&self, outer: BlockId, inner: BlockId) -> Vec<BlockId> {
        let around: Vec<BlockId> = self.ancestry(outer).collect();
        let mut loops: Vec<BlockId> = self
            .ancestry(inner)
            .take_while(|b| !around.contains(b))
            .filter(|b| matches!(self.block(*b).kind, BlockKind::For(_)))
            .collect();
        loops.reverse();
        loops
    }
}

/// The names of a whole program.
#[derive(Debug)]
pub struct Names<'p> {
    pub program: &'p Program,
    globals: Vec<HashMap<&'p str, (Global<'p>, Span)>>,
    pub flows: Vec<Flow<'p>>,
}

impl<'p> Names<'p> {
    pub fn flow(&self, id: FlowId) -> &Flow<'p> {
        &self.flows[id.0 as usize]
    }

    /// A name at the top level of a module.
    pub fn global(&self, module: ModuleId, name: &str) -> Option<Global<'p>> {
        self.globals[module.0 as usize].get(name).map(|(g, _)| *g)
    }

    /// All names at the top level of a module, for suggestions.
    pub fn globals(&self, module: ModuleId) -> Vec<&'p str> {
        let mut names: Vec<&str> = self.globals[module.0 as usize].keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// The workflows that a module declares itself, in order.
    pub fn flows_of(&self, module: ModuleId) -> impl Iterator<Item = &Flow<'p>> {
        self.flows.iter().filter(move |f| f.module == module)
    }

    /// What a name means in a block of a workflow; `it`, `run`, functions and the names bound by
    /// comprehensions are the expression's own business.
    pub fn resolve(&self, flow: &Flow<'p>, block: BlockId, name: &str) -> Option<Meaning<'p>> {
        for id in flow.ancestry(block) {
            match flow.block(id).kind {
                BlockKind::For(f) if &*f.first.text == name => {
                    return Some(Meaning::Loop {
                        block: id,
                        second: false,
                    });
                }
                BlockKind::For(f) if f.second.as_ref().is_some_and(|s| &*s.text == name) => {
                    return Some(Meaning::Loop {
                        block: id,
                        second: true,
                    });
                }
                BlockKind::Upon(u) if &*u.binder.text == name => return Some(Meaning::Event(id)),
                _ => {}
            }
        }
        if let Some(symbol) = flow.symbol(name) {
            return Some(symbol.meaning);
        }
        self.global(flow.module, name).map(Meaning::Global)
    }

    /// The workflow that `run a.b` names, seen from a module.
    pub fn workflow(&self, module: ModuleId, path: &[ast::Name]) -> Option<Global<'p>> {
        let mut found = self.global(module, &path.first()?.text)?;
        for part in &path[1..] {
            found = match found {
                Global::Module(id) => self.global(id, &part.text)?,
                _ => return None,
            };
        }
        Some(found)
    }
}

/// Binds every name of a program.
pub fn bind<'p>(program: &'p Program, sink: &mut Sink) -> Names<'p> {
    let mut names = Names {
        program,
        globals: vec![HashMap::new(); program.modules.len()],
        flows: Vec::new(),
    };
    for module in &program.modules {
        for item in &module.file.items {
            declare_item(&mut names, module.id, item, sink);
        }
    }
    for module in &program.modules {
        import(&mut names, module, sink);
    }
    names
}

fn declare_item<'p>(names: &mut Names<'p>, module: ModuleId, item: &'p ast::Item, sink: &mut Sink) {
    let (name, global) = match item {
        ast::Item::Use(_) | ast::Item::Moved(_) | ast::Item::Test(_) => return,
        ast::Item::Let(l) => (&l.name, Global::Let(module, l)),
        ast::Item::Type(t) => (&t.name, Global::Type(module, t)),
        ast::Item::Hook(h) => (&h.name, Global::Hook(module, h)),
        ast::Item::Policy(p) => (&p.name, Global::Policy(module, p)),
        ast::Item::Broken(ast::Broken {
            name: Some(name), ..
        }) => (name, Global::Unknown),
        ast::Item::Broken(_) => return,
        ast::Item::Workflow(w) => {
            let id = FlowId(names.flows.len() as u32);
            let flow = bind_flow(id, module, w, sink);
            names.flows.push(flow);
            (&w.name, Global::Workflow(id))
        }
    };
    declare_global(names, module, name, global, sink);
}

fn declare_global<'p>(
    names: &mut Names<'p>,
    module: ModuleId,
    name: &'p ast::Name,
    global: Global<'p>,
    sink: &mut Sink,
) {
    let scope = &mut names.globals[module.0 as usize];
    match scope.get(&*name.text) {
        Some((_, first)) => sink.push(twice(name, *first)),
        None => {
            scope.insert(&name.text, (global, name.span));
        }
    }
}

fn twice(name: &ast::Name, first: Span) -> Diagnostic {
    Diagnostic::error(
        Code::DUPLICATE_NAME,
        name.span,
        format!("`{}` is declared twice", name.text),
    )
    .related(first, "declared here first")
    .help("names are unique in a file, and in a workflow, blocks included: rename one of the two")
}

fn import<'p>(names: &mut Names<'p>, module: &'p crate::package::Module, sink: &mut Sink) {
    let uses = module.file.items.iter().filter_map(|item| match item {
        ast::Item::Use(used) => Some(used),
        _ => None,
    });
    for (used, target) in uses.zip(&module.uses) {
        if let Some(alias) = &used.alias {
            let global = target.map_or(Global::Unknown, Global::Module);
            declare_global(names, module.id, alias, global, sink);
        }
        for name in &used.names {
            let global = match target {
                None => Global::Unknown,
                Some(target) => own_global(names, *target, name).unwrap_or_else(|| {
                    sink.push(not_exported(names, *target, used, name));
                    Global::Unknown
                }),
            };
            declare_global(names, module.id, name, global, sink);
        }
    }
}

/// A name that the module declares itself; what it imports is not passed on.
fn own_global<'p>(names: &Names<'p>, module: ModuleId, name: &ast::Name) -> Option<Global<'p>> {
    let (global, span) = names.globals[module.0 as usize].get(&*name.text)?;
    let own = span.source == names.program.module(module).source.id;
    own.then_some(*global)
}

fn not_exported(
    names: &Names<'_>,
    module: ModuleId,
    used: &ast::Use,
    name: &ast::Name,
) -> Diagnostic {
    let finding = Diagnostic::error(
        Code::UNKNOWN_NAME,
        name.span,
        format!("`{}` has no `{}`", used.path.text, name.text),
    );
    match crate::diag::nearest(&name.text, names.globals(module)) {
        Some(near) => finding
            .help(format!("did you mean `{near}`?"))
            .fix(name.span, near),
        None => finding,
    }
}

fn bind_flow<'p>(
    id: FlowId,
    module: ModuleId,
    ast: &'p ast::Workflow,
    sink: &mut Sink,
) -> Flow<'p> {
    let mut flow = Flow {
        id,
        module,
        ast,
        inputs: Vec::new(),
        outputs: Vec::new(),
        blocks: Vec::new(),
        symbols: HashMap::new(),
        order: Vec::new(),
    };
    let mut section = 0;
    bind_block(
        &mut flow,
        None,
        BlockKind::Root,
        &ast.body.stmts,
        &mut section,
        sink,
    );
    flow
}

fn bind_block<'p>(
    flow: &mut Flow<'p>,
    parent: Option<BlockId>,
    kind: BlockKind<'p>,
    stmts: &'p [Stmt],
    section: &mut u32,
    sink: &mut Sink,
) -> BlockId {
    let id = BlockId(flow.blocks.len() as u32);
    flow.blocks.push(Block {
        parent,
        kind,
        stmts,
        at: Vec::new(),
        children: Vec::new(),
        section: *section,
    });
    for stmt in stmts {
        match stmt {
            Stmt::At(at) => flow.blocks[id.0 as usize].at.push(at),
            Stmt::For(f) => bind_inner(flow, id, BlockKind::For(f), &f.body.stmts, section, sink),
            Stmt::If(i) => {
                bind_inner(flow, id, BlockKind::Then(i), &i.then.stmts, section, sink);
                if let Some(otherwise) = &i.otherwise {
                    bind_inner(
                        flow,
                        id,
                        BlockKind::Else(i),
                        &otherwise.stmts,
                        section,
                        sink,
                    );
                }
            }
            Stmt::Upon(u) => bind_inner(flow, id, BlockKind::Upon(u), &u.body.stmts, section, sink),
            other => declare_stmt(flow, id, other, section, sink),
        }
    }
    id
}

fn bind_inner<'p>(
    flow: &mut Flow<'p>,
    outer: BlockId,
    kind: BlockKind<'p>,
    stmts: &'p [Stmt],
    section: &mut u32,
    sink: &mut Sink,
) {
    let child = bind_block(flow, Some(outer), kind, stmts, section, sink);
    flow.blocks[outer.0 as usize].children.push(child);
}

fn declare_stmt<'p>(
    flow: &mut Flow<'p>,
    block: BlockId,
    stmt: &'p Stmt,
    section: &mut u32,
    sink: &mut Sink,
) {
    let (name, meaning) = match stmt {
        Stmt::Input(i) => {
            flow.inputs.push(i);
            (&i.name, Meaning::Input(i))
        }
        Stmt::Output(o) => {
            flow.outputs.push(o);
            return;
        }
        Stmt::Let(l) => (&l.name, Meaning::Let(l)),
        Stmt::Step(s) => (&s.name, Meaning::Step(s)),
        Stmt::Checkpoint(c) => (&c.name, Meaning::Checkpoint(c)),
        Stmt::Broken(ast::Broken {
            name: Some(name), ..
        }) => (name, Meaning::Unknown),
        Stmt::At(_) | Stmt::Assert(_) | Stmt::Broken(_) => return,
        Stmt::For(_) | Stmt::If(_) | Stmt::Upon(_) => return,
    };
    let symbol = Symbol {
        meaning,
        span: name.span,
        block,
        section: *section,
    };
    if let Stmt::Checkpoint(_) = stmt {
        *section += 1;
    }
    match flow.symbols.get(&*name.text) {
        Some(first) => sink.push(twice(name, first.span)),
        None => {
            flow.symbols.insert(&name.text, symbol);
            flow.order.push(&name.text);
        }
    }
}
