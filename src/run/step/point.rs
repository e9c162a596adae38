//! The place in the flow that brought the field an API complains about.
//!
//! The API names a field of the request's body; the flow wrote it in the body itself, in a `let`, in
//! what a spread brings, or in what a `run` step gives to its workflow. As far as the text tells, the
//! place is the innermost of these.

use super::cx::Cx;
use crate::check::names::{Flow, Global, Meaning};
use crate::plan::{ScopeId, Work};
use crate::source::Span;
use crate::syntax::ast::{self, ActionKind, ApiCall, Expr, ExprKind, Field, Key, Object, Step};
use crate::wire::error::ApiError;
use crate::wire::named;

/// How many names are followed; a text cannot nest deeper than its calls.
const FUEL: u32 = 64;

/// `file:line:column-column` of what the flow wrote for the field that is wrong.
pub fn place(cx: &Cx<'_>, error: &ApiError) -> Option<String> {
    let Work::Step(step) = cx.work() else {
        return None;
    };
    let call = call_of(step)?;
    let span = named::fields(error).iter().find_map(|field| {
        let path: Vec<&str> = field
            .split(['.', '['])
            .map(|part| part.trim_end_matches(']'))
            .collect();
        Trace { cx, fuel: FUEL }.of_call(call, &path)
    })?;
    Some(cx.shared.stretch(span))
}

fn call_of(step: &Step) -> Option<&ApiCall> {
    match &step.action.kind {
        ActionKind::Read(call)
        | ActionKind::Ensure(call)
        | ActionKind::Call(call)
        | ActionKind::WaitApi(call) => Some(call),
        _ => None,
    }
}

/// Where an expression stands, for its names.
#[derive(Clone, Copy)]
enum Home<'p> {
    Scope(ScopeId),
    /// Constants of a module.
    Module(crate::package::ModuleId),
    /// A field of a loop's element, whose names are its own.
    Bound(&'p ast::Name, ScopeId),
}

struct Trace<'c, 'p> {
    cx: &'c Cx<'p>,
    fuel: u32,
}

impl<'p> Trace<'_, 'p> {
    /// A field of the body; or a parameter, which stands in the parentheses or in an `at`.
    fn of_call(mut self, call: &'p ApiCall, path: &[&str]) -> Option<Span> {
        let home = Home::Scope(self.cx.scope);
        let in_body = call.body.as_ref().and_then(|b| self.object(b, path, home));
        let (first, rest) = path.split_first()?;
        in_body.or_else(|| {
            let named = call
                .args
                .iter()
                .find(|a| a.name.as_ref().is_some_and(|n| &*n.text == *first));
            // The name of a resource stands first, without its own name.
            let arg = named.or_else(|| {
                let positional = call.args.first().filter(|a| a.name.is_none())?;
                (*first == "name" || self.is_identity(call, first)).then_some(positional)
            });
            match arg {
                Some(arg) => self.expr(&arg.value, rest, home),
                None if rest.is_empty() => self.location(first),
                None => None,
            }
        })
    }

    fn is_identity(&self, call: &ApiCall, field: &str) -> bool {
        let path = super::target::path_text(&call.path);
        let catalog = &self.cx.shared.catalog;
        let collection = catalog
            .method(&path)
            .and_then(|m| catalog.collection(&m.collection))
            .or_else(|| catalog.collection(&path));
        collection.is_some_and(|c| c.id.as_deref() == Some(field))
    }

    /// A parameter that an `at` gives.
    fn location(&mut self, name: &str) -> Option<Span> {
        let found = {
            let graph = self.cx.shared.graph.borrow();
            let flow: &'p Flow<'p> = graph.flow_of(self.cx.scope);
            let mut fields = flow
                .ancestry(graph.scope(self.cx.scope).block)
                .flat_map(|block| flow.block(block).at.iter())
                .flat_map(|at| &at.fields);
            fields.find_map(|field| match field {
                Field::Pair {
                    key: Key::Name(key),
                    value,
                    ..
                } if &*key.text == name => Some(value),
                _ => None,
            })
        };
        self.expr(found?, &[], Home::Scope(self.cx.scope))
    }

    fn object(&mut self, object: &'p Object, path: &[&str], home: Home<'p>) -> Option<Span> {
        let (first, rest) = path.split_first()?;
        // Later fields win.
        object.fields.iter().rev().find_map(|field| match field {
            Field::Pair {
                key: Key::Name(key),
                value,
                ..
            } if &*key.text == *first => self.expr(value, rest, home),
            Field::Spread { value, .. } => self.exactly(value, path, home),
            Field::Pair { .. } => None,
        })
    }

    /// The value of a path below an expression, or as near to it as the text tells.
    fn expr(&mut self, expr: &'p Expr, path: &[&str], home: Home<'p>) -> Option<Span> {
        Some(self.exactly(expr, path, home).unwrap_or(expr.span))
    }

    /// As [`expr`](Self::expr); `None` where the text does not show that the path is there.
    fn exactly(&mut self, expr: &'p Expr, path: &[&str], home: Home<'p>) -> Option<Span> {
        self.fuel = self.fuel.checked_sub(1)?;
        match &*expr.kind {
            ExprKind::Object(object) if !path.is_empty() => self.object(object, path, home),
            ExprKind::List(items) if !path.is_empty() => {
                let item = items.get(path[0].parse::<usize>().ok()?)?;
                self.expr(item, &path[1..], home)
            }
            ExprKind::ListComp { element, binder } if !path.is_empty() => {
                path[0].parse::<usize>().ok()?;
                let home = match home {
                    Home::Scope(scope) => Home::Bound(&binder.first, scope),
                    home => home,
                };
                self.expr(element, &path[1..], home)
            }
            ExprKind::Paren(inner) => self.exactly(inner, path, home),
            ExprKind::If {
                then, otherwise, ..
            } => {
                let branches = [then, otherwise].map(|e| self.exactly(e, path, home));
                match branches {
                    [Some(span), None] | [None, Some(span)] => Some(span),
                    // Which of them it was, the text does not tell.
                    [Some(_), Some(_)] => Some(expr.span),
                    [None, None] => None,
                }
            }
            ExprKind::Name(name) => self
                .name(name, path, home)
                .or_else(|| path.is_empty().then_some(expr.span)),
            ExprKind::Member { base, name, .. } => {
                let mut longer = vec![&*name.text];
                longer.extend(path);
                let found = self.exactly(base, &longer, home);
                found.or_else(|| path.is_empty().then_some(expr.span))
            }
            _ if path.is_empty() => Some(expr.span),
            _ => None,
        }
    }

    fn name(&mut self, name: &str, path: &[&str], home: Home<'p>) -> Option<Span> {
        let scope = match home {
            Home::Bound(bound, _) if &*bound.text == name => return None,
            Home::Scope(scope) | Home::Bound(_, scope) => scope,
            Home::Module(module) => return self.constant(module, name, path),
        };
        let (flow, frame) = {
            let graph = self.cx.shared.graph.borrow();
            (graph.flow_of(scope), graph.scope(scope).frame)
        };
        let meaning = flow.symbol(name).map(|s| s.meaning);
        match meaning {
            Some(Meaning::Let(l)) => self.exactly(&l.value, path, Home::Scope(scope)),
            Some(Meaning::Input(input)) => {
                let caller = self.cx.shared.graph.borrow().frame(frame).caller();
                let mut longer = vec![name];
                longer.extend(path);
                let written = caller
                    .and_then(|(scope, inputs)| self.object(inputs?, &longer, Home::Scope(scope)));
                written.or(Some(input.name.span))
            }
            None | Some(Meaning::Global(_)) => self.constant(flow.module, name, path),
            _ => None,
        }
    }

    fn constant(
        &mut self,
        module: crate::package::ModuleId,
        name: &str,
        path: &[&str],
    ) -> Option<Span> {
        let found = {
            let graph = self.cx.shared.graph.borrow();
            graph.names.global(module, name)
        };
        match found? {
            Global::Let(module, l) => self.exactly(&l.value, path, Home::Module(module)),
            _ => None,
        }
    }
}
