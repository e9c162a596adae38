//! What a name stands for, and of which type it is where it is used.

use std::sync::Arc;

use super::facts::Binders;
use super::names::{BlockId, BlockKind, Flow, FlowId, Global, Meaning, Symbol};
use super::scope::{Hooks, IT_NOWHERE, It, Phase, Scope};
use super::{Checker, Known};
use crate::diag::{Code, Diagnostic, nearest};
use crate::package::ModuleId;
use crate::source::Span;
use crate::syntax::ast::{self, ClauseKind, Expr, ExprKind};
use crate::types::functions::Function;
use crate::types::{Bounds, Type};

/// Declarations that refer to each other deeper than this are not followed.
const DEEPEST: u32 = 40;

/// So many `let`s are looked at again for one use; each may name several others.
const MOST_AGAIN: u32 = 6;

impl<'p> Checker<'_, 'p> {
    /// The scope of a block of a workflow: its loops' names and the conditions around it.
    pub(super) fn block_scope(&self, flow: &Flow<'p>, block: BlockId) -> Scope {
        let mut scope = Scope {
            flow: Some(flow.id),
            block,
            phase: Phase::Any,
            binders: binders(flow, block),
            ..Scope::of_module(flow.module)
        };
        for id in flow.ancestry(block) {
            match flow.block(id).kind {
                BlockKind::Then(i) => scope.facts.assume(&i.condition, true, &scope.binders),
                BlockKind::Else(i) => scope.facts.assume(&i.condition, false, &scope.binders),
                BlockKind::Root | BlockKind::For(_) | BlockKind::Upon(_) => {}
            }
        }
        scope
    }

    /// The type of a name in an expression.
    pub(super) fn name(&mut self, name: &str, span: Span, scope: &Scope) -> Type {
        if let Some(local) = scope.local(name) {
            return local.ty.clone();
        }
        let names = self.names;
        let meaning = match scope.flow {
            Some(flow) => names.resolve(names.flow(flow), scope.block, name),
            None => names.global(scope.module, name).map(Meaning::Global),
        };
        match meaning {
            None if name == "it" => self.it(span, scope),
            None if name == "run" => {
                Type::record([("id", Type::STR), ("started", Type::Timestamp)])
            }
            None => self.unknown_name(name, span, scope),
            Some(Meaning::Unknown | Meaning::Global(Global::Unknown)) => Type::Unknown,
            Some(Meaning::Global(global)) => self.global(global, name, span),
            Some(meaning) => self.in_flow(meaning, name, span, scope),
        }
    }

    fn it(&mut self, span: Span, scope: &Scope) -> Type {
        match &scope.it {
            It::Is(ty) => ty.clone(),
            It::Not(reason) => {
                let message = format!("`it` {reason}");
                let finding = Diagnostic::error(Code::IT_OUT_OF_PLACE, span, message);
                self.report(finding.label("has no meaning here"));
                Type::Unknown
            }
        }
    }

    fn in_flow(&mut self, meaning: Meaning<'p>, name: &str, span: Span, scope: &Scope) -> Type {
        if let Phase::Text(place) = scope.phase {
            let finding = Diagnostic::error(
                Code::TOO_LATE,
                span,
                format!("{place} cannot use `{name}`, which is known later"),
            );
            self.report(finding.help("only literals, functions and `let`s outside workflows are known from the text alone"));
            return Type::Unknown;
        }
        let Some(flow) = scope.flow.map(|id| self.names.flow(id)) else {
            return Type::Unknown;
        };
        match meaning {
            Meaning::Input(input) => {
                self.used.insert(input.name.span);
                let ty = self.declared_type(flow.module, &input.ty);
                ty.sealed(input.secret)
            }
            Meaning::Loop { block, second } => {
                let node = self.order.block(flow, block);
                self.order.refer(node, span);
                let (first, value) = self.loop_types(flow, block);
                if second { value } else { first }
            }
            Meaning::Event(block) => match flow.block(block).kind {
                BlockKind::Upon(upon) => super::flow::event_type(&upon.event.text),
                _ => Type::Unknown,
            },
            Meaning::Checkpoint(_) => {
                let message = format!("`{name}` is a checkpoint and has no value");
                self.report(
                    Diagnostic::error(Code::NOT_A_VALUE, span, message)
                        .help(format!("to wait for it, write `after {name}`")),
                );
                Type::Unknown
            }
            Meaning::Let(_) | Meaning::Step(_) => match flow.symbol(name) {
                Some(symbol) => self.symbol(flow, *symbol, span, scope),
                None => Type::Unknown,
            },
            Meaning::Global(_) | Meaning::Unknown => Type::Unknown,
        }
    }

    fn global(&mut self, global: Global<'p>, name: &str, span: Span) -> Type {
        let what = match global {
            Global::Let(module, l) => {
                self.used.insert(l.name.span);
                return self.global_let(module, l);
            }
            Global::Unknown => return Type::Unknown,
            Global::Hook(_, hook) => {
                self.used.insert(hook.name.span);
                "a hook: call it with its arguments in parentheses"
            }
            Global::Policy(..) => "a policy: it is in force by being there",
            Global::Type(..) => "a type, no value",
            Global::Workflow(_) => "a workflow: `step x = run` runs it",
            Global::Module(_) => "a module: write the name behind a dot",
        };
        let message = format!("`{name}` is {what}");
        self.report(Diagnostic::error(Code::NOT_A_VALUE, span, message));
        Type::Unknown
    }

    /// A `let` at the top level of a module.
    pub(super) fn global_let(&mut self, module: ModuleId, l: &'p ast::Let) -> Type {
        match self.globals.get(&l.name.span) {
            Some(Known::Done(ty)) => return ty.clone(),
            Some(Known::Now) => {
                let message = format!("`{}` is computed from itself", l.name.text);
                let finding = Diagnostic::error(Code::CYCLE, l.name.span, message);
                self.sink.push(finding);
                return Type::Unknown;
            }
            None => {}
        }
        if self.depth > DEEPEST {
            return Type::Unknown;
        }
        self.globals.insert(l.name.span, Known::Now);
        let mut scope = self.module_scope(module);
        let ty = self.aside(|c| c.infer(&l.value, &mut scope));
        self.globals.insert(l.name.span, Known::Done(ty.clone()));
        ty
    }

    /// Computes a declaration's type out of its turn: findings count, whoever asked first.
    fn aside<T>(&mut self, look: impl FnOnce(&mut Self) -> T) -> T {
        let muted = std::mem::take(&mut self.muted);
        let node = self.order.at.take();
        self.depth += 1;
        let found = look(self);
        self.depth -= 1;
        self.order.at = node;
        self.muted = muted;
        found
    }

    /// A step or a `let` of the workflow, seen from `scope`.
    fn symbol(&mut self, flow: &Flow<'p>, symbol: Symbol<'p>, span: Span, scope: &Scope) -> Type {
        let node = self.order.symbol(flow, &symbol);
        self.order.refer(node, span);
        let (own, skipped) = match symbol.meaning {
            Meaning::Let(l) => {
                self.used.insert(l.name.span);
                let own = self.let_type(flow, l, symbol.block);
                (self.let_under(flow, l, own, symbol.block, scope), false)
            }
            Meaning::Step(step) => {
                self.used.insert(step.name.span);
                let own = self.step_type(flow, step, symbol.block);
                (own, self.may_be_skipped(flow, step, symbol.block, scope))
            }
            _ => return Type::Unknown,
        };
        let own = if skipped { own.nullable() } else { own };
        self.seen_from(flow, own, symbol.block, scope)
    }

    fn may_be_skipped(
        &self,
        flow: &Flow<'p>,
        step: &ast::Step,
        block: BlockId,
        scope: &Scope,
    ) -> bool {
        step.clauses.iter().any(|clause| match &clause.kind {
            ClauseKind::When(condition) => {
                !scope.facts.hold(condition, true, &binders(flow, block))
            }
            _ => false,
        })
    }

    /// Outside an `if` a value may be null, outside a `for` it is a map (rules C5, C7).
    fn seen_from(&self, flow: &Flow<'p>, own: Type, home: BlockId, scope: &Scope) -> Type {
        let mut ty = own;
        if home == scope.block || home == BlockId::ROOT {
            return ty;
        }
        let around: Vec<BlockId> = flow.ancestry(scope.block).collect();
        for id in flow.ancestry(home) {
            if around.contains(&id) {
                break;
            }
            ty = match flow.block(id).kind {
                BlockKind::Then(i) | BlockKind::Else(i) => {
                    let truth = matches!(flow.block(id).kind, BlockKind::Then(_));
                    match scope.facts.hold(&i.condition, truth, &binders(flow, id)) {
                        true => ty,
                        false => ty.nullable(),
                    }
                }
                BlockKind::For(_) => Type::map(ty),
                BlockKind::Root | BlockKind::Upon(_) => ty,
            };
        }
        ty
    }

    /// The type of a `let` in its own block.
    pub(super) fn let_type(&mut self, flow: &Flow<'p>, l: &'p ast::Let, block: BlockId) -> Type {
        let key = (flow.id, &*l.name.text);
        match self.symbols.get(&key) {
            Some(Known::Done(ty)) => return ty.clone(),
            Some(Known::Now) => return Type::Unknown,
            None if self.depth > DEEPEST => return Type::Unknown,
            None => {}
        }
        self.symbols.insert(key, Known::Now);
        let mut scope = self.block_scope(flow, block);
        scope.it = It::Not("is not known in a `let`: use it in the body or a guard of the step");
        let node = flow
            .symbol(&l.name.text)
            .map(|s| self.order.symbol(flow, s));
        let ty = self.aside(|c| {
            c.order.at = node;
            c.infer(&l.value, &mut scope)
        });
        self.symbols.insert(key, Known::Done(ty.clone()));
        ty
    }

    /// A `let` that is null under a condition is not null where the condition is known to be
    /// false: its value is looked at again with what is known here.
    fn let_under(
        &mut self,
        flow: &Flow<'p>,
        l: &'p ast::Let,
        own: Type,
        block: BlockId,
        scope: &Scope,
    ) -> Type {
        let conditional = matches!(&*unparenthesised(&l.value).kind, ExprKind::If { .. });
        let known = !own.may_be_null() || scope.facts.is_empty() || !conditional;
        if known || self.again >= MOST_AGAIN || self.depth > DEEPEST {
            return own;
        }
        let mut inner = self.block_scope(flow, block);
        inner.facts = scope.facts.clone();
        self.again += 1;
        let ty = self.quietly(|c| c.infer(&l.value, &mut inner));
        self.again -= 1;
        ty
    }

    /// The names that a `for` binds: first and second.
    pub(super) fn loop_types(&mut self, flow: &Flow<'p>, block: BlockId) -> (Type, Type) {
        if let Some(known) = self.loops.get(&(flow.id, block)) {
            return known.clone();
        }
        let unknown = (Type::Unknown, Type::Unknown);
        let (BlockKind::For(f), Some(parent)) = (flow.block(block).kind, flow.block(block).parent)
        else {
            return unknown;
        };
        self.loops.insert((flow.id, block), unknown);
        let mut scope = self.block_scope(flow, parent);
        scope.it = It::Not("is not known in the source of a `for`");
        let node = self.order.block(flow, block);
        let types = self.aside(|c| {
            c.order.at = Some(node);
            let source = c.infer(&f.source, &mut scope);
            c.for_secret(&source, f.source.span);
            c.elements(&source, f.source.span, &f.first, f.second.as_ref())
        });
        self.loops.insert((flow.id, block), types.clone());
        types
    }

    fn for_secret(&mut self, source: &Type, span: Span) {
        if matches!(source, Type::Secret(_)) {
            self.leak(
                span,
                "the source of a `for`",
                "its keys are in addresses and reports",
            );
        }
    }

    /// What the names of a loop over `source` stand for: with one name the element or value, with
    /// two the key and the value.
    pub(super) fn elements(
        &mut self,
        source: &Type,
        span: Span,
        first: &ast::Name,
        second: Option<&ast::Name>,
    ) -> (Type, Type) {
        let (bare, secret) = source.clone().unsealed();
        let one = second.is_none();
        let value = match &bare {
            Type::Unknown => Type::Unknown,
            Type::Any => Type::Any,
            Type::Never => Type::Never,
            Type::List(element) if one => (**element).clone(),
            Type::List(_) => {
                self.report(
                    Diagnostic::error(
                        Code::TYPE_MISMATCH,
                        first.span.to(second.map_or(first.span, |s| s.span)),
                        "a list has no keys, so its loop has one name",
                    )
                    .help("write one name, for the element"),
                );
                return (Type::Unknown, Type::Unknown);
            }
            Type::Map(value) => (**value).clone(),
            Type::Record(record) => Type::join(record.fields.values().map(|p| match p.optional {
                true => p.ty.clone().nullable(),
                false => p.ty.clone(),
            })),
            Type::Nullable(_) | Type::Null => {
                self.report(
                    Diagnostic::error(Code::MAYBE_NULL, span, "this may be null")
                        .label(format!("is `{bare}`"))
                        .help("write `?? []` behind it to loop over nothing then"),
                );
                return (Type::Unknown, Type::Unknown);
            }
            other => {
                self.report(Diagnostic::error(
                    Code::TYPE_MISMATCH,
                    span,
                    format!("`{other}` is neither a list nor a map"),
                ));
                return (Type::Unknown, Type::Unknown);
            }
        };
        let value = value.sealed(secret);
        match one {
            true => (value, Type::Unknown),
            false => (Type::STR, value),
        }
    }

    fn unknown_name(&mut self, name: &str, span: Span, scope: &Scope) -> Type {
        let finding = Diagnostic::error(
            Code::UNKNOWN_NAME,
            span,
            format!("nothing is called `{name}` here"),
        );
        if Function::by_name(name).is_some() {
            let finding = Diagnostic::error(
                Code::NOT_A_VALUE,
                span,
                format!("`{name}` is a function: call it with its arguments in parentheses"),
            );
            self.report(finding);
            return Type::Unknown;
        }
        let candidates = self.visible(scope);
        let near = nearest(name, candidates.iter().map(String::as_str));
        self.report(match near {
            Some(near) => finding
                .help(format!("did you mean `{near}`?"))
                .fix(span, near),
            None => finding.help("declare an `input`, a `let` or a `step` of this name"),
        });
        Type::Unknown
    }

    /// Every name that an expression could have meant.
    fn visible(&self, scope: &Scope) -> Vec<String> {
        let mut names: Vec<String> = scope.locals.iter().map(|l| l.name.to_string()).collect();
        names.extend(scope.binders.keys().cloned());
        if let Some(flow) = scope.flow {
            let flow = self.names.flow(flow);
            names.extend(flow.symbols().map(|(n, _)| n.to_owned()));
        }
        names.extend(
            self.names
                .globals(scope.module)
                .into_iter()
                .map(str::to_owned),
        );
        names.sort_unstable();
        names
    }

    /// The outputs of a workflow as `run` gives them.
    pub(super) fn outputs_of(&mut self, id: FlowId) -> Type {
        match self.outputs.get(&id) {
            Some(Known::Done(ty)) => return ty.clone(),
            Some(Known::Now) => return Type::Unknown,
            None => {}
        }
        self.outputs.insert(id, Known::Now);
        let flow = self.names.flow(id);
        let mut scope = self.output_scope(flow);
        let mut fields = Vec::new();
        for output in &flow.outputs {
            let ty = self.aside(|c| c.quietly(|c| c.infer(&output.value, &mut scope)));
            fields.push((&*output.name.text, ty.sealed(output.secret)));
        }
        let ty = Type::record(fields);
        self.outputs.insert(id, Known::Done(ty.clone()));
        ty
    }

    pub(super) fn output_scope(&self, flow: &Flow<'p>) -> Scope {
        let mut scope = self.block_scope(flow, BlockId::ROOT);
        scope.it = It::Not("is not known in an `output`: name the step");
        scope
    }

    /// A scope in which a body, an argument or a guard of a step stands.
    pub(super) fn request_scope(&self, flow: &Flow<'p>, block: BlockId, it: It) -> Scope {
        let mut scope = self.block_scope(flow, block);
        scope.it = it;
        scope.fresh = true;
        scope
    }

    /// A scope of what is asked again and again: `until`, `fail when`, `every`.
    pub(super) fn repeated_scope(
        &self,
        flow: &Flow<'p>,
        block: BlockId,
        it: It,
        clause: &'static str,
    ) -> Scope {
        let mut scope = self.block_scope(flow, block);
        scope.it = it;
        scope.hooks = Hooks::Repeated(clause);
        scope
    }

    /// A place in a workflow where only ordinary values are known.
    pub(super) fn plain_scope(&self, flow: &Flow<'p>, block: BlockId) -> Scope {
        let mut scope = self.block_scope(flow, block);
        scope.it = IT_NOWHERE;
        scope
    }

    pub(super) fn count_type() -> Type {
        Type::Int(Bounds {
            min: Some(0),
            max: None,
        })
    }
}

/// The names that the loops around a block bind, numbered by their block.
pub(super) fn binders(flow: &Flow<'_>, block: BlockId) -> Binders {
    let mut found = Binders::new();
    for id in flow.ancestry(block) {
        let names: Vec<&Arc<str>> = match flow.block(id).kind {
            BlockKind::For(f) => std::iter::once(&f.first)
                .chain(&f.second)
                .map(|n| &n.text)
                .collect(),
            BlockKind::Upon(u) => vec![&u.binder.text],
            _ => Vec::new(),
        };
        for name in names {
            found.entry(name.to_string()).or_insert(id.0);
        }
    }
    found
}

/// The expression without the parentheses around it.
pub(super) fn unparenthesised(expr: &Expr) -> &Expr {
    match &*expr.kind {
        ExprKind::Paren(inner) => unparenthesised(inner),
        _ => expr,
    }
}
