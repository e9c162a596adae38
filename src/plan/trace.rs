//! The place in the flow that brought a field of a request.
//!
//! The flow wrote the field in the body itself, in a `let`, in what a spread brings, in what a loop goes
//! through, or in what a `run` step gives to its workflow. As far as the text tells, the place is the
//! innermost of these.

use super::graph::{Given, Graph, ScopeId};
use crate::check::names::{BlockKind, Flow, Global, Meaning};
use crate::source::Span;
use crate::syntax::ast::{self, ApiCall, Expr, ExprKind, Field, Key, Object};
use crate::value::Value;

/// How many names are followed; a text cannot nest deeper than its calls.
const FUEL: u32 = 64;

/// Where the flow wrote a field of a call's body; or a parameter, which stands in the parentheses or in
/// an `at`. `id` is the parameter that the resource's own name fills.
pub fn written(
    graph: &Graph<'_>,
    scope: ScopeId,
    call: &ApiCall,
    path: &[&str],
    id: Option<&str>,
) -> Option<Span> {
    let trace = Trace { graph, fuel: FUEL };
    trace.of_call(call, path, scope, id)
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

struct Trace<'g, 'p> {
    graph: &'g Graph<'p>,
    fuel: u32,
}

impl<'p> Trace<'_, 'p> {
    fn of_call(
        mut self,
        call: &'p ApiCall,
        path: &[&str],
        scope: ScopeId,
        id: Option<&str>,
    ) -> Option<Span> {
        let home = Home::Scope(scope);
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
                (*first == "name" || id == Some(*first)).then_some(positional)
            });
            match arg {
                Some(arg) => self.expr(&arg.value, rest, home),
                None if rest.is_empty() => self.location(first, scope),
                None => None,
            }
        })
    }

    /// A parameter that an `at` gives.
    fn location(&mut self, name: &str, scope: ScopeId) -> Option<Span> {
        let flow: &'p Flow<'p> = self.graph.flow_of(scope);
        let mut fields = flow
            .ancestry(self.graph.scope(scope).block)
            .flat_map(|block| flow.block(block).at.iter())
            .flat_map(|at| &at.fields);
        let found = fields.find_map(|field| match field {
            Field::Pair {
                key: Key::Name(key),
                value,
                ..
            } if &*key.text == name => Some(value),
            _ => None,
        });
        self.expr(found?, &[], Home::Scope(scope))
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
        let graph = self.graph;
        let flow = graph.flow_of(scope);
        let mut longer = vec![name];
        longer.extend(path);
        match graph.names.resolve(flow, graph.scope(scope).block, name) {
            Some(Meaning::Let(l)) => self.exactly(&l.value, path, Home::Scope(scope)),
            Some(Meaning::Input(input)) => {
                let frame = graph.frame(graph.scope(scope).frame);
                let caller = frame.caller();
                let told = matches!(&frame.inputs, Given::Values(all) if all.contains_key(name));
                let given = caller
                    .and_then(|(scope, inputs)| self.object(inputs?, &longer, Home::Scope(scope)));
                // Nobody gave it: the default stands.
                let default = || {
                    let default = input.default.as_ref().filter(|_| !told)?;
                    self.exactly(default, path, Home::Module(flow.module))
                };
                given.or_else(default).or(Some(input.name.span))
            }
            Some(Meaning::Loop { block, second }) => {
                let BlockKind::For(f) = flow.block(block).kind else {
                    return None;
                };
                // Of two names the first is the key, which the text writes as no value.
                if f.second.is_some() && !second {
                    return None;
                }
                let around = graph.scope(graph.around(scope, block)?);
                let key = match &around.binding.as_ref()?.0 {
                    Value::Later(_) => return None,
                    key => key.to_string(),
                };
                longer[0] = &key;
                self.exactly(&f.source, &longer, Home::Scope(around.parent?))
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
        match self.graph.names.global(module, name)? {
            Global::Let(module, l) => self.exactly(&l.value, path, Home::Module(module)),
            _ => None,
        }
    }
}
