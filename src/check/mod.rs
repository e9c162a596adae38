//! Is the program right? Names bound, types checked against Google's description, lints applied.
//!
//! Every finding goes into one sink; a broken part never hides the others. What is wrong gets the
//! type `unknown`, which fits everywhere, so that one mistake is one finding.

mod arguments;
mod body;
mod calls;
mod clauses;
mod declared;
mod expr;
mod facts;
mod flow;
mod http;
mod inputs;
mod lints;
mod member;
mod misfit;
mod moved;
pub mod names;
mod operators;
mod order;
mod policies;
mod repeated;
mod scope;
mod secrets;
mod signatures;
mod steps;
mod symbols;
mod target;
pub mod test_blocks;
mod undo;
mod want;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use regex::Regex;

use crate::catalog::{Catalog, Schema};
use crate::diag::{Diagnostic, Sink};
use crate::package::Program;
use crate::source::Span;
use crate::syntax::ast;
use crate::types::Type;

pub use inputs::{Given, InputProblem, inputs, inputs_known};
pub use moved::names_of;
use names::{BlockId, FlowId, Names};
pub use policies::{in_force, type_path};
use scope::Scope;
pub use secrets::secrets_of;
pub use target::Target;

/// Looks at the text of a hook; gives the place within it and the message of a syntax error.
pub type HookSyntax<'a> = &'a dyn Fn(&ast::HookDef, &str) -> Option<(Range<usize>, String)>;

/// What the checker found out about a program, errors or not.
#[derive(Debug)]
pub struct Checked<'p> {
    pub names: Names<'p>,
    /// In the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The declared type of every input, by workflow and name.
    pub inputs: BTreeMap<FlowId, BTreeMap<Arc<str>, Type>>,
    /// The type of every step and `let` as seen from its own block.
    pub types: BTreeMap<FlowId, BTreeMap<Arc<str>, Type>>,
    /// What every workflow gives: a record of its outputs.
    pub outputs: BTreeMap<FlowId, Type>,
    /// What every step that calls an API addresses.
    pub targets: BTreeMap<FlowId, BTreeMap<Arc<str>, Target>>,
}

impl Checked<'_> {
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|d| d.severity == crate::diag::Severity::Error)
    }
}

/// Checks a whole program.
pub fn check<'p>(program: &'p Program, catalog: &Catalog) -> Checked<'p> {
    check_with(program, catalog, &|_, _| None)
}

/// Checks a whole program, the text of its hooks included.
pub fn check_with<'p>(
    program: &'p Program,
    catalog: &Catalog,
    hook_syntax: HookSyntax<'_>,
) -> Checked<'p> {
    let mut sink = Sink::default();
    let names = names::bind(program, &mut sink);
    let mut checker = Checker::new(&names, catalog, sink);
    checker.modules(hook_syntax);
    for flow in &names.flows {
        checker.flow(flow);
    }
    checker.recursion();
    checker.cycles();
    checker.twice();
    checker.unused();
    let Findings {
        sink,
        inputs,
        types,
        outputs,
        targets,
    } = checker.finish();
    Checked {
        names,
        diagnostics: sink.into_sorted(),
        inputs,
        types,
        outputs,
        targets,
    }
}

type PerFlow<T> = BTreeMap<FlowId, BTreeMap<Arc<str>, T>>;

struct Findings {
    sink: Sink,
    inputs: PerFlow<Type>,
    types: PerFlow<Type>,
    outputs: BTreeMap<FlowId, Type>,
    targets: PerFlow<Target>,
}

/// A type that is being computed, or was.
#[derive(Clone, Debug)]
enum Known {
    Now,
    Done(Type),
}

/// Everything that the checks share.
struct Checker<'c, 'p> {
    names: &'c Names<'p>,
    catalog: &'c Catalog,
    sink: Sink,
    /// Above zero, findings are dropped: an expression is looked at a second time.
    muted: u32,
    declared: declared::Declared<'c, 'p>,
    symbols: HashMap<(FlowId, &'p str), Known>,
    globals: HashMap<Span, Known>,
    outputs: HashMap<FlowId, Known>,
    loops: HashMap<(FlowId, BlockId), (Type, Type)>,
    locations: HashMap<(FlowId, BlockId), Arc<arguments::Locations<'p>>>,
    order: order::Order,
    /// The steps that must not meet: each `ensure` with what it addresses and writes.
    ensures: Vec<order::Ensured>,
    targets: PerFlow<Target>,
    /// Names of declarations that something refers to.
    used: HashSet<Span>,
    patterns: HashMap<Arc<str>, Option<Regex>>,
    /// Which workflow runs which, and where it says so.
    runs: Vec<(FlowId, FlowId, Span)>,
    depth: u32,
    /// How many `let`s are being looked at again.
    again: u32,
    /// How deep in expressions the checker is.
    nesting: u32,
    /// How deep a comparison of two types is.
    compared: u32,
    binder: u32,
}

impl<'c, 'p> Checker<'c, 'p> {
    fn new(names: &'c Names<'p>, catalog: &'c Catalog, sink: Sink) -> Self {
        Checker {
            names,
            catalog,
            sink,
            muted: 0,
            declared: declared::Declared::new(names, Some(catalog)),
            symbols: HashMap::new(),
            globals: HashMap::new(),
            outputs: HashMap::new(),
            loops: HashMap::new(),
            locations: HashMap::new(),
            order: order::Order::default(),
            ensures: Vec::new(),
            targets: BTreeMap::new(),
            used: HashSet::new(),
            patterns: HashMap::new(),
            runs: Vec::new(),
            depth: 0,
            again: 0,
            nesting: 0,
            compared: 0,
            binder: 1 << 20,
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.muted == 0 {
            self.sink.push(diagnostic);
        }
    }

    /// Looks at something again without saying anything about it.
    fn quietly<T>(&mut self, look: impl FnOnce(&mut Self) -> T) -> T {
        self.muted += 1;
        let found = look(self);
        self.muted -= 1;
        found
    }

    /// The declared type; what is wrong in it is said once, where it is declared.
    fn declared_type(&mut self, module: crate::package::ModuleId, ty: &'p ast::TypeExpr) -> Type {
        let found = self.declared.resolve(module, ty);
        for span in self.declared.used.drain(..) {
            self.used.insert(span);
        }
        let problems = std::mem::take(&mut self.declared.problems);
        problems.into_iter().for_each(|d| self.report(d));
        found
    }

    /// The fields of a resource or of a part of one.
    fn schema(&self, ty: &Type) -> Option<Arc<Schema>> {
        match ty {
            Type::Schema(id) => self.catalog.schema(id),
            Type::Inline(schema) => Some(Arc::clone(schema)),
            _ => None,
        }
    }

    /// Whether the whole text matches; a pattern that cannot be compiled matches everything.
    fn matches(&mut self, pattern: &Arc<str>, text: &str) -> bool {
        let regex = self
            .patterns
            .entry(Arc::clone(pattern))
            .or_insert_with(|| Regex::new(&format!("^(?:{pattern})$")).ok());
        regex.as_ref().is_none_or(|r| r.is_match(text))
    }

    fn modules(&mut self, hook_syntax: HookSyntax<'_>) {
        let program = self.names.program;
        for module in &program.modules {
            self.titles(module.id);
            for item in &module.file.items {
                match item {
                    ast::Item::Let(l) => {
                        self.global_let(module.id, l);
                    }
                    ast::Item::Type(t) => {
                        self.declared_type(module.id, &t.ty);
                    }
                    ast::Item::Hook(hook) => {
                        self.hook(module.id, hook, hook_syntax);
                    }
                    ast::Item::Policy(policy) => self.policy(module.id, policy),
                    ast::Item::Moved(moved) => self.moved(module.id, moved),
                    ast::Item::Test(test) => self.test(module.id, test),
                    ast::Item::Use(_) | ast::Item::Workflow(_) | ast::Item::Broken(_) => {}
                }
            }
        }
    }

    fn finish(mut self) -> Findings {
        let mut inputs = PerFlow::new();
        let mut types = PerFlow::new();
        let mut outputs = BTreeMap::new();
        for flow in &self.names.flows {
            let declared: BTreeMap<Arc<str>, Type> = flow
                .inputs
                .iter()
                .map(|i| {
                    let ty = self.declared.resolve(flow.module, &i.ty);
                    (Arc::clone(&i.name.text), ty.sealed(i.secret))
                })
                .collect();
            inputs.insert(flow.id, declared);
            let known = flow
                .symbols()
                .filter_map(|(name, _)| match self.symbols.get(&(flow.id, name)) {
                    Some(Known::Done(ty)) => Some((Arc::from(name), ty.clone())),
                    _ => None,
                })
                .collect();
            types.insert(flow.id, known);
            outputs.insert(flow.id, self.outputs_of(flow.id));
        }
        Findings {
            sink: self.sink,
            inputs,
            types,
            outputs,
            targets: self.targets,
        }
    }

    /// A place at the top level of a module: nothing of a workflow can be seen from there.
    fn module_scope(&self, module: crate::package::ModuleId) -> Scope {
        Scope::of_module(module)
    }
}
