//! What expressions see from a place in the graph.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::graph::{FrameId, Given, Graph, Inner, Opened, ScopeId};
use super::need::{input_expr, step_name, way};
use crate::check::names::{BlockId, BlockKind, Global, Meaning, Names};
use crate::eval::{self, EvalError, Evaluated, Fault, Scope, Taint};
use crate::package::ModuleId;
use crate::source::Span;
use crate::syntax::ast::{self, Expr};
use crate::value::{Fields, Value};

/// What a run has computed or fixed once and for all: the results of hooks, and its own identity.
#[derive(Debug, Default)]
pub struct Memo {
    /// By the hook's module and name, and its arguments as JSON.
    pub hooks: BTreeMap<String, Value>,
    /// `run.id`, `run.started`.
    pub run: Option<Value>,
    /// Who keeps the run's secrets.
    pub taint: Option<Rc<dyn Taint>>,
}

impl Memo {
    /// Under which a hook's result is kept: the hook in its module, and its arguments.
    pub fn hook_key(function: &str, args: &[Value]) -> String {
        let args: Vec<_> = args.iter().map(Value::to_json).collect();
        format!("{function}({})", serde_json::Value::Array(args))
    }
}

/// The scope of an expression.
pub struct View<'g, 'p> {
    graph: &'g Graph<'p>,
    scope: ScopeId,
    memo: &'g Memo,
    /// `it`, where it may stand.
    it: Option<Value>,
    /// Resources read afresh, by the address of their step.
    fresh: Option<&'g BTreeMap<Arc<str>, Value>>,
    /// A loop whose names are not bound by a scope yet.
    extra: Option<(&'g ast::For, Value, Value)>,
}

impl<'g, 'p> View<'g, 'p> {
    pub fn new(graph: &'g Graph<'p>, scope: ScopeId, memo: &'g Memo) -> Self {
        View {
            graph,
            scope,
            memo,
            it: None,
            fresh: None,
            extra: None,
        }
    }

    pub fn with_it(mut self, it: Option<Value>) -> Self {
        self.it = it;
        self
    }

    pub fn with_fresh(mut self, fresh: &'g BTreeMap<Arc<str>, Value>) -> Self {
        self.fresh = Some(fresh);
        self
    }

    /// The same with the names of a loop bound, for its `by`.
    pub(super) fn with_loop(&self, f: &'g ast::For, first: &Value, value: &Value) -> View<'g, 'p> {
        View {
            extra: Some((f, first.clone(), value.clone())),
            ..View::new(self.graph, self.scope, self.memo)
        }
    }

    fn at(&self, scope: ScopeId) -> View<'g, 'p> {
        View::new(self.graph, scope, self.memo)
    }

    fn looped(&self, block: BlockId, second: bool) -> Evaluated {
        let Some(id) = self.graph.around(self.scope, block) else {
            return Ok(Value::Null);
        };
        let BlockKind::For(f) = self.graph.flow_of(id).block(block).kind else {
            return Ok(Value::Null);
        };
        let Some((first, value)) = &self.graph.scope(id).binding else {
            return Ok(Value::Null);
        };
        if whole(value) {
            return Ok(bound(f, second, first, value));
        }
        // When the loop grew its keys were known, but not all that its elements hold.
        let Some(parent) = self.graph.scope(id).parent else {
            return Ok(Value::Null);
        };
        let source = eval::eval(&f.source, &self.at(parent))?;
        let value = match (&source, first) {
            (Value::Later(_), _) => Some(&source),
            (Value::List(items), Value::Int(at)) => {
                usize::try_from(*at).ok().and_then(|at| items.get(at))
            }
            (Value::Map(fields), Value::Str(key)) => fields.get(key),
            _ => None,
        };
        Ok(bound(f, second, first, value.unwrap_or(&Value::Null)))
    }

    fn event(&self, block: BlockId) -> Evaluated {
        let scope = self.graph.around(self.scope, block);
        let binding = scope.and_then(|id| self.graph.scope(id).binding.as_ref());
        Ok(binding.map_or(Value::Null, |(_, event)| event.clone()))
    }

    fn input(&self, frame: FrameId, input: &'p ast::Input) -> Evaluated {
        let key = (frame, Arc::clone(&input.name.text));
        if let Some(known) = self.graph.input_values.borrow().get(&key) {
            return Ok(known.clone());
        }
        let root = self.graph.frame(frame).root;
        let default = || match &input.default {
            Some(default) => eval::eval(default, &self.at(root)),
            None => Ok(Value::Null),
        };
        let value = match &self.graph.frame(frame).inputs {
            Given::Values(values) => match values.get(&input.name.text) {
                Some(value) => Ok(value.clone()),
                None => default(),
            },
            Given::Call { scope, inputs, .. } => {
                match inputs.and_then(|o| input_expr(o, &input.name.text)) {
                    Some(given) => eval::eval(given, &self.at(*scope)),
                    None => match inputs {
                        Some(object) => match eval::object(object, &self.at(*scope))? {
                            Value::Map(fields) => fields
                                .get(&input.name.text)
                                .cloned()
                                .map_or_else(default, Ok),
                            other => Ok(other),
                        },
                        None => default(),
                    },
                }
            }
        }?;
        let value = match value {
            Value::Unset => default()?,
            value => value,
        };
        if whole(&value) {
            self.graph
                .input_values
                .borrow_mut()
                .insert(key, value.clone());
        }
        Ok(value)
    }

    /// The value of a name declared below `scope`, behind the blocks of `path`.
    fn below(
        &self,
        scope: ScopeId,
        path: &[BlockId],
        name: &str,
        meaning: Meaning<'p>,
    ) -> Evaluated {
        let Some((block, rest)) = path.split_first() else {
            return self.here(scope, name, meaning);
        };
        let looped = matches!(
            self.graph.flow_of(scope).block(*block).kind,
            BlockKind::For(_)
        );
        match self.graph.scope(scope).blocks.get(block) {
            None => Ok(Value::Null),
            Some(Inner::Waiting(growth)) => Ok(Value::later(&self.graph.node(*growth).address)),
            Some(Inner::Grown(children)) if looped => {
                let mut fields = Fields::with_capacity(children.len());
                for (key, child) in children {
                    fields.insert(Arc::clone(key), self.below(*child, rest, name, meaning)?);
                }
                Ok(Value::map(fields))
            }
            Some(Inner::Grown(children)) => match children.first() {
                Some((_, child)) => self.below(*child, rest, name, meaning),
                None => Ok(Value::Null),
            },
        }
    }

    fn here(&self, scope: ScopeId, name: &str, meaning: Meaning<'p>) -> Evaluated {
        if let Meaning::Let(l) = meaning {
            return self.r#let(scope, l);
        }
        let here = self.graph.scope(scope);
        match here.frames.get(name) {
            Some(Opened::Frame(frame)) => return self.outputs(*frame),
            Some(Opened::Skipped) => return Ok(Value::Null),
            Some(Opened::Waiting(enter)) => {
                return Ok(Value::later(&self.graph.node(*enter).address));
            }
            None => {}
        }
        Ok(match here.nodes.get(name) {
            None => Value::Null,
            Some(node) => match self.graph.result(*node) {
                Some(value) => value.clone(),
                None => Value::later(&self.graph.node(*node).address),
            },
        })
    }

    fn r#let(&self, scope: ScopeId, l: &'p ast::Let) -> Evaluated {
        let key = (scope, std::ptr::from_ref(l));
        if let Some(known) = self.graph.lets.borrow().get(&key) {
            return Ok(known.clone());
        }
        let value = eval::eval(&l.value, &self.at(scope))?;
        if whole(&value) {
            self.graph.lets.borrow_mut().insert(key, value.clone());
        }
        Ok(value)
    }

    /// All outputs of a frame, as the object that a `run` step is.
    pub fn outputs(&self, frame: FrameId) -> Evaluated {
        let root = self.graph.frame(frame).root;
        let mut fields = Fields::new();
        for output in &self.graph.flow_of(root).outputs {
            let value = eval::eval(&output.value, &self.at(root))?;
            fields.insert(Arc::clone(&output.name.text), value);
        }
        Ok(Value::map(fields))
    }

    fn output(&self, frame: FrameId, name: &str) -> Option<Evaluated> {
        let root = self.graph.frame(frame).root;
        let output = self
            .graph
            .flow_of(root)
            .outputs
            .iter()
            .find(|o| &*o.name.text == name)?;
        Some(eval::eval(&output.value, &self.at(root)))
    }

    /// The value that a module calls `name`.
    pub fn of_module(&self, module: ModuleId, name: &str, span: Span) -> Evaluated {
        let view = self;
        Constants { view, module }.name(name, span)
    }

    /// The value that a module calls `library.name`.
    pub fn of_library(&self, module: ModuleId, library: &str, name: &str) -> Option<Evaluated> {
        match self.graph.names.global(module, library)? {
            Global::Module(library) => Some(self.of_module(library, name, Span::default())),
            _ => None,
        }
    }

    fn constant(&self, global: Global<'p>, name: &str, span: Span) -> Evaluated {
        match global {
            Global::Let(module, l) => eval::eval(&l.value, &Constants { view: self, module }),
            _ => Err(EvalError::new(span, format!("`{name}` is not a value")).into()),
        }
    }

    fn hook_in(&self, module: ModuleId, name: &str, args: &[Value]) -> Option<Evaluated> {
        let function = hook_id(self.graph, module, name)?;
        Some(
            match self.memo.hooks.get(&Memo::hook_key(&function, args)) {
                Some(value) => Ok(value.clone()),
                None => Err(Fault::Hook {
                    name: function,
                    args: args.to_vec(),
                }),
            },
        )
    }
}

/// The identity of the hook that a module calls `name`: the module that declares it, and its name there.
pub fn hook_id(graph: &Graph<'_>, module: ModuleId, name: &str) -> Option<Arc<str>> {
    match graph.names.global(module, name)? {
        Global::Hook(home, def) => Some(Arc::from(format!("{}:{}", home.0, def.name.text))),
        _ => None,
    }
}

/// The declaration behind a hook's identity, with its module.
pub fn hook_declaration<'p>(names: &Names<'p>, id: &str) -> Option<(ModuleId, &'p ast::HookDef)> {
    let (module, name) = id.split_once(':')?;
    match names.global(ModuleId(module.parse().ok()?), name)? {
        Global::Hook(home, def) => Some((home, def)),
        _ => None,
    }
}

impl Scope for View<'_, '_> {
    fn taint(&self) -> Option<&dyn Taint> {
        self.memo.taint.as_deref().filter(|taint| !taint.is_idle())
    }

    fn name(&self, name: &str, span: Span) -> Evaluated {
        if let Some((f, first, value)) = &self.extra {
            if &*f.first.text == name {
                return Ok(bound(f, false, first, value));
            }
            if f.second.as_ref().is_some_and(|s| &*s.text == name) {
                return Ok(value.clone());
            }
        }
        if name == "it"
            && let Some(it) = &self.it
        {
            return Ok(it.clone());
        }
        let flow = self.graph.flow_of(self.scope);
        let block = self.graph.scope(self.scope).block;
        let Some(meaning) = self.graph.names.resolve(flow, block, name) else {
            if let ("run", Some(run)) = (name, &self.memo.run) {
                return Ok(run.clone());
            }
            return Err(EvalError::new(span, format!("nothing here is called `{name}`")).into());
        };
        match meaning {
            Meaning::Input(input) => self.input(self.graph.scope(self.scope).frame, input),
            Meaning::Loop { block, second } => self.looped(block, second),
            Meaning::Event(block) => self.event(block),
            Meaning::Global(global) => self.constant(global, name, span),
            Meaning::Let(_) | Meaning::Step(_) | Meaning::Checkpoint(_) => {
                let (top, path) = way(self.graph, flow, self.scope, name);
                self.below(top, &path, name, meaning)
            }
            Meaning::Unknown => {
                Err(EvalError::new(span, format!("`{name}` does not parse")).into())
            }
        }
    }

    fn member(&self, base: &str, member: &str, _span: Span) -> Option<Evaluated> {
        let flow = self.graph.flow_of(self.scope);
        let block = self.graph.scope(self.scope).block;
        match self.graph.names.resolve(flow, block, base)? {
            Meaning::Step(_) => {
                let (top, path) = way(self.graph, flow, self.scope, base);
                if !path.is_empty() {
                    return None;
                }
                match self.graph.scope(top).frames.get(base)? {
                    Opened::Frame(frame) => self.output(*frame, member),
                    _ => None,
                }
            }
            Meaning::Global(Global::Module(module)) => {
                match self.graph.names.global(module, member)? {
                    Global::Let(module, l) => {
                        Some(eval::eval(&l.value, &Constants { view: self, module }))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn hook(&self, name: &str, args: &[Value]) -> Option<Evaluated> {
        self.hook_in(self.graph.flow_of(self.scope).module, name, args)
    }

    fn fresh(&self, step: &Expr) -> Evaluated {
        let named = step_name(step).and_then(|(name, index)| self.fresh_address(name, index));
        let Some(address) = named else {
            return Err(
                EvalError::new(step.span, "`fresh` takes a step that has a resource").into(),
            );
        };
        match self.fresh.and_then(|known| known.get(&address)) {
            Some(value) => Ok(value.clone()),
            None => Err(Fault::Fresh {
                step: address,
                span: step.span,
            }),
        }
    }
}

impl View<'_, '_> {
    /// The address of the step that an expression names.
    pub fn fresh_address(&self, name: &str, index: Option<&Expr>) -> Option<Arc<str>> {
        let flow = self.graph.flow_of(self.scope);
        let (mut scope, path) = way(self.graph, flow, self.scope, name);
        for block in path {
            let Some(Inner::Grown(children)) = self.graph.scope(scope).blocks.get(&block) else {
                return None;
            };
            let wanted = match index {
                Some(index) => eval::key_text(&eval::eval(index, self).ok()?, index.span).ok()?,
                None => Arc::from(""),
            };
            let looped = matches!(flow.block(block).kind, BlockKind::For(_));
            scope = children.iter().find(|(k, _)| !looped || *k == wanted)?.1;
        }
        let node = self.graph.scope(scope).nodes.get(name)?;
        Some(Arc::clone(&self.graph.node(*node).address))
    }
}

/// The top level of a module, where only its own lets, hooks and imports exist.
struct Constants<'v, 'g, 'p> {
    view: &'v View<'g, 'p>,
    module: ModuleId,
}

impl Scope for Constants<'_, '_, '_> {
    fn name(&self, name: &str, span: Span) -> Evaluated {
        match self.view.graph.names.global(self.module, name) {
            Some(Global::Let(module, l)) => eval::eval(
                &l.value,
                &Constants {
                    view: self.view,
                    module,
                },
            ),
            _ => Err(EvalError::new(span, format!("nothing here is called `{name}`")).into()),
        }
    }

    fn hook(&self, name: &str, args: &[Value]) -> Option<Evaluated> {
        self.view.hook_in(self.module, name, args)
    }

    fn fresh(&self, step: &Expr) -> Evaluated {
        Err(EvalError::new(
            step.span,
            "`fresh` has no place at the top level of a module",
        )
        .into())
    }
}

/// What the names of a `for` stand for: one name takes the element (of a map: the value), two take
/// key and value.
fn bound(f: &ast::For, second: bool, first: &Value, value: &Value) -> Value {
    match (second, &f.second) {
        (true, _) | (false, None) => value.clone(),
        (false, Some(_)) => first.clone(),
    }
}

/// Whether nothing in a value waits for a later step.
pub(super) fn whole(value: &Value) -> bool {
    match value {
        Value::Later(_) => false,
        Value::List(items) => items.iter().all(whole),
        Value::Map(fields) => fields.values().all(whole),
        _ => true,
    }
}
