//! Which names an expression uses, without those that its own comprehensions bind.

use super::ast::{
    Action, ActionKind, ApiCall, Arg, Binder, Clause, ClauseKind, Expr, ExprKind, Field, Guard,
    HttpCall, Key, Name, Object, StrPart, Undo,
};
use crate::source::Span;

/// One use of a name, with the first thing that is taken out of it.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'p> {
    pub name: &'p str,
    pub span: Span,
    pub part: Part<'p>,
}

#[derive(Clone, Copy, Debug)]
pub enum Part<'p> {
    Whole,
    Member(&'p Name),
    Index(&'p Expr),
}

type Visit<'v, 'p> = dyn FnMut(Reference<'p>) + 'v;

/// Every use in an expression, in the order of the text.
pub fn expr<'p>(expr: &'p Expr, visit: &mut Visit<'_, 'p>) {
    Walker {
        locals: Vec::new(),
        visit,
    }
    .expr(expr);
}

/// Every use in an object's keys and values.
pub fn object<'p>(object: &'p Object, visit: &mut Visit<'_, 'p>) {
    Walker {
        locals: Vec::new(),
        visit,
    }
    .object(object);
}

/// Every use in what a step does: target, arguments, body, inputs.
pub fn action<'p>(action: &'p Action, visit: &mut Visit<'_, 'p>) {
    let mut walker = Walker {
        locals: Vec::new(),
        visit,
    };
    match &action.kind {
        ActionKind::Read(call)
        | ActionKind::Ensure(call)
        | ActionKind::Call(call)
        | ActionKind::WaitApi(call) => {
            walker.api(call);
        }
        ActionKind::WaitStep(e) | ActionKind::WaitPause(e) | ActionKind::Approve(e) => {
            walker.expr(e)
        }
        ActionKind::WaitHttp(http) | ActionKind::Http(http) => walker.http(http),
        ActionKind::Run { inputs, .. } => inputs.iter().for_each(|o| walker.object(o)),
        ActionKind::Hook { args, .. } => walker.args(args),
        ActionKind::Broken => {}
    }
}

/// Every use in a clause; `after` is not an expression and is left out.
pub fn clause<'p>(clause: &'p Clause, visit: &mut Visit<'_, 'p>) {
    let mut walker = Walker {
        locals: Vec::new(),
        visit,
    };
    match &clause.kind {
        ClauseKind::After(_)
        | ClauseKind::On { .. }
        | ClauseKind::RepeatSafe
        | ClauseKind::Protect
        | ClauseKind::Allow { .. } => {}
        ClauseKind::When(e)
        | ClauseKind::Unless(e)
        | ClauseKind::Until(e)
        | ClauseKind::Timeout(e)
        | ClauseKind::Every(e)
        | ClauseKind::Expires(e) => walker.expr(e),
        ClauseKind::Require(guard) | ClauseKind::FailWhen(guard) | ClauseKind::Expect(guard) => {
            walker.guard(guard)
        }
        ClauseKind::Patience { limit, .. } => walker.expr(limit),
        ClauseKind::Retry { times, every } => {
            walker.expr(times);
            every.iter().for_each(|e| walker.expr(e));
        }
        ClauseKind::Settle { http, when } => {
            walker.http(http);
            walker.expr(when);
        }
        ClauseKind::Undo(undo) => match undo {
            Undo::Delete => {}
            Undo::Call(call) => walker.api(call),
            Undo::Http(http) => walker.http(http),
        },
    }
}

struct Walker<'v, 'p> {
    locals: Vec<&'p str>,
    visit: &'v mut Visit<'v, 'p>,
}

impl<'p> Walker<'_, 'p> {
    fn used(&mut self, name: &'p str, span: Span, part: Part<'p>) {
        if !self.locals.contains(&name) {
            (self.visit)(Reference { name, span, part });
        }
    }

    fn expr(&mut self, expr: &'p Expr) {
        match &*expr.kind {
            ExprKind::Null
            | ExprKind::Unset
            | ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Duration(_)
            | ExprKind::Size(_)
            | ExprKind::Percent(_)
            | ExprKind::Raw { .. }
            | ExprKind::Broken => {}
            ExprKind::Str(parts) => {
                for part in parts {
                    if let StrPart::Value(e) = part {
                        self.expr(e);
                    }
                }
            }
            ExprKind::Name(name) => self.used(name, expr.span, Part::Whole),
            ExprKind::List(items) => items.iter().for_each(|e| self.expr(e)),
            ExprKind::Object(o) => self.object(o),
            ExprKind::ListComp { element, binder } => self.bound(binder, &[element]),
            ExprKind::MapComp { key, value, binder } => self.bound(binder, &[key, value]),
            ExprKind::Quantifier { binder, body, .. } => match body {
                Some(body) => self.bound(binder, &[body]),
                None => self.bound(binder, &[]),
            },
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => [condition, then, otherwise]
                .into_iter()
                .for_each(|e| self.expr(e)),
            ExprKind::Not(e) | ExprKind::Neg(e) | ExprKind::Paren(e) => self.expr(e),
            ExprKind::Binary { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Member { base, name, .. } => match &*base.kind {
                ExprKind::Name(root) => self.used(root, base.span, Part::Member(name)),
                _ => self.expr(base),
            },
            ExprKind::Index { base, index } => {
                match &*base.kind {
                    ExprKind::Name(root) => self.used(root, base.span, Part::Index(index)),
                    _ => self.expr(base),
                }
                self.expr(index);
            }
            ExprKind::Call { callee, args } => {
                self.expr(callee);
                self.args(args);
            }
        }
    }

    fn bound(&mut self, binder: &'p Binder, inner: &[&'p Expr]) {
        self.expr(&binder.source);
        let outside = self.locals.len();
        self.locals.push(&binder.first.text);
        self.locals.extend(binder.second.as_ref().map(|n| &*n.text));
        binder.filter.iter().for_each(|e| self.expr(e));
        inner.iter().for_each(|e| self.expr(e));
        self.locals.truncate(outside);
    }

    fn object(&mut self, object: &'p Object) {
        for field in &object.fields {
            match field {
                Field::Pair { key, value, .. } => {
                    if let Key::Computed(e) = key {
                        self.expr(e);
                    }
                    self.expr(value);
                }
                Field::Spread { value, .. } => self.expr(value),
            }
        }
    }

    fn args(&mut self, args: &'p [Arg]) {
        args.iter().for_each(|arg| self.expr(&arg.value));
    }

    fn api(&mut self, call: &'p ApiCall) {
        self.args(&call.args);
        call.body.iter().for_each(|o| self.object(o));
    }

    fn http(&mut self, http: &'p HttpCall) {
        self.expr(&http.url);
        http.options.iter().for_each(|o| self.object(o));
    }

    fn guard(&mut self, guard: &'p Guard) {
        self.expr(&guard.condition);
        guard.message.iter().for_each(|e| self.expr(e));
    }
}
