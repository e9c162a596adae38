//! The place in the flow that brought a field of a request.
//!
//! The flow wrote the field in the body itself, in a `let`, in what a spread brings, in what a loop goes
//! through, or in what a `run` step gives to its workflow. As far as the text tells, the place is the
//! innermost of these.

use std::rc::Rc;

use super::graph::{Given, Graph, ScopeId};
use super::view::{Memo, View};
use crate::check::names::{BlockKind, Flow, Global, Meaning};
use crate::eval::{self, Pairs};
use crate::package::ModuleId;
use crate::source::Span;
use crate::syntax::ast::{self, ApiCall, Expr, ExprKind, Field, Key, Object};
use crate::types::functions::Function;
use crate::value::Value;

/// How many names are followed; a text cannot nest deeper than its calls.
const FUEL: u32 = 64;

/// Where the fields of one call's body come from.
pub struct Trace<'g, 'p> {
    pub graph: &'g Graph<'p>,
    pub memo: &'g Memo,
    /// Where the call stands.
    pub scope: ScopeId,
    pub call: &'p ApiCall,
    /// What is known of the resource that the call addresses.
    pub it: Option<&'g Value>,
    /// The parameter that the resource's own name fills.
    pub id: Option<&'g str>,
}

impl Trace<'_, '_> {
    /// Where the flow wrote a field of the body; or a parameter, which stands in the parentheses or in
    /// an `at`.
    pub fn place(&self, path: &[&str]) -> Option<Span> {
        let walk = Walk {
            trace: self,
            fuel: FUEL,
        };
        walk.of_call(path)
    }
}

/// Where an expression stands, for its names.
#[derive(Clone)]
enum Home<'p> {
    Scope(ScopeId),
    /// Constants of a module.
    Module(ModuleId),
    /// A field of a loop's element, whose names are its own; with the key of the element in the loop's
    /// source, where that can be told.
    Bound(&'p ast::Binder, Option<Rc<str>>, ScopeId),
}

struct Walk<'t, 'g, 'p> {
    trace: &'t Trace<'g, 'p>,
    fuel: u32,
}

impl<'p> Walk<'_, '_, 'p> {
    fn of_call(mut self, path: &[&str]) -> Option<Span> {
        let Trace {
            call, scope, id, ..
        } = *self.trace;
        let home = || Home::Scope(scope);
        let in_body = call
            .body
            .as_ref()
            .and_then(|b| self.object(b, path, &home()));
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
                Some(arg) => self.expr(&arg.value, rest, &home()),
                None if rest.is_empty() => self.location(first, scope),
                None => None,
            }
        })
    }

    /// The value of an expression, where that is known.
    fn value(&self, expr: &Expr, home: &Home<'p>) -> Option<Value> {
        let Home::Scope(scope) = home else {
            return None;
        };
        let view = View::new(self.trace.graph, *scope, self.trace.memo);
        let view = view.with_it(self.trace.it.cloned());
        eval::eval(expr, &view).ok().filter(|v| !v.is_later())
    }

    /// A parameter that an `at` gives.
    fn location(&mut self, name: &str, scope: ScopeId) -> Option<Span> {
        let flow: &'p Flow<'p> = self.trace.graph.flow_of(scope);
        let mut fields = flow
            .ancestry(self.trace.graph.scope(scope).block)
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
        self.expr(found?, &[], &Home::Scope(scope))
    }

    fn object(&mut self, object: &'p Object, path: &[&str], home: &Home<'p>) -> Option<Span> {
        let (first, rest) = path.split_first()?;
        // Later fields win.
        object.fields.iter().rev().find_map(|field| match field {
            Field::Pair {
                key: Key::Name(key),
                value,
                ..
            } if &*key.text == *first => self.expr(value, rest, home),
            Field::Pair {
                key: Key::Computed(key),
                value,
                ..
            } if self.value(key, home)?.to_string() == *first => self.expr(value, rest, home),
            Field::Spread { value, .. } => self.exactly(value, path, home),
            Field::Pair { .. } => None,
        })
    }

    /// The value of a path below an expression, or as near to it as the text tells.
    fn expr(&mut self, expr: &'p Expr, path: &[&str], home: &Home<'p>) -> Option<Span> {
        Some(self.exactly(expr, path, home).unwrap_or(expr.span))
    }

    /// As [`expr`](Self::expr); `None` where the text does not show that the path is there.
    fn exactly(&mut self, expr: &'p Expr, path: &[&str], home: &Home<'p>) -> Option<Span> {
        self.fuel = self.fuel.checked_sub(1)?;
        match &*expr.kind {
            ExprKind::Object(object) if !path.is_empty() => self.object(object, path, home),
            ExprKind::List(items) if !path.is_empty() => {
                let item = items.get(path[0].parse::<usize>().ok()?)?;
                self.expr(item, &path[1..], home)
            }
            ExprKind::ListComp { element, binder } if !path.is_empty() => {
                let n = path[0].parse::<usize>().ok()?;
                let home = match home {
                    Home::Scope(scope) => Home::Bound(binder, self.key(binder, n, home), *scope),
                    home => home.clone(),
                };
                self.expr(element, &path[1..], &home)
            }
            ExprKind::Call { callee, args } if !path.is_empty() && is_merge(callee) => {
                self.merged(expr, args, path, home)
            }
            ExprKind::Paren(inner) => self.exactly(inner, path, home),
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => {
                match self.value(condition, home) {
                    Some(Value::Bool(true)) => return self.exactly(then, path, home),
                    Some(Value::Bool(false)) => return self.exactly(otherwise, path, home),
                    _ => {}
                }
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

    /// The key of the nth element of a comprehension in what it goes through.
    fn key(&self, binder: &ast::Binder, n: usize, home: &Home<'p>) -> Option<Rc<str>> {
        if binder.filter.is_some() {
            return None;
        }
        let source = self.value(&binder.source, home)?;
        match eval::pairs(&source, binder.source.span).ok()? {
            Pairs::Known(pairs) => pairs.get(n).map(|(key, _)| Rc::from(key.to_string())),
            Pairs::Later(_) => None,
        }
    }

    /// An element of `merge_by(key, list, more)` that `more` brought.
    fn merged(
        &mut self,
        expr: &Expr,
        args: &'p [ast::Arg],
        path: &[&str],
        home: &Home<'p>,
    ) -> Option<Span> {
        let [key, _, more] = args else { return None };
        let key = self.value(&key.value, home)?.to_string();
        let (all, brought) = (self.value(expr, home)?, self.value(&more.value, home)?);
        let element = all.as_list()?.get(path[0].parse::<usize>().ok()?)?;
        let same = |item: &Value| item.get(&key) == element.get(&key);
        let at = brought.as_list()?.iter().rposition(same)?.to_string();
        let mut longer = vec![&*at];
        longer.extend(&path[1..]);
        self.exactly(&more.value, &longer, home)
    }

    fn name(&mut self, name: &str, path: &[&str], home: &Home<'p>) -> Option<Span> {
        let scope = match home {
            Home::Bound(binder, key, scope) => {
                let element = binder.second.as_ref().unwrap_or(&binder.first);
                if *element.text == *name {
                    let key = key.clone()?;
                    let mut longer = vec![&*key];
                    longer.extend(path);
                    return self.exactly(&binder.source, &longer, &Home::Scope(*scope));
                }
                if *binder.first.text == *name {
                    return None;
                }
                *scope
            }
            Home::Scope(scope) => *scope,
            Home::Module(module) => return self.constant(*module, name, path),
        };
        let graph = self.trace.graph;
        let flow = graph.flow_of(scope);
        let mut longer = vec![name];
        longer.extend(path);
        match graph.names.resolve(flow, graph.scope(scope).block, name) {
            Some(Meaning::Let(l)) => self.exactly(&l.value, path, &Home::Scope(scope)),
            Some(Meaning::Input(input)) => {
                let frame = graph.frame(graph.scope(scope).frame);
                let caller = frame.caller();
                let told = matches!(&frame.inputs, Given::Values(all) if all.contains_key(name));
                let given = caller
                    .and_then(|(scope, inputs)| self.object(inputs?, &longer, &Home::Scope(scope)));
                // Nobody gave it: the default stands.
                let default = || {
                    let default = input.default.as_ref().filter(|_| !told)?;
                    self.exactly(default, path, &Home::Module(flow.module))
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
                self.exactly(&f.source, &longer, &Home::Scope(around.parent?))
            }
            None | Some(Meaning::Global(_)) => self.constant(flow.module, name, path),
            _ => None,
        }
    }

    fn constant(&mut self, module: ModuleId, name: &str, path: &[&str]) -> Option<Span> {
        match self.trace.graph.names.global(module, name)? {
            Global::Let(module, l) => self.exactly(&l.value, path, &Home::Module(module)),
            _ => None,
        }
    }
}

fn is_merge(callee: &Expr) -> bool {
    matches!(&*callee.kind, ExprKind::Name(name) if Function::by_name(name) == Some(Function::MergeBy))
}
