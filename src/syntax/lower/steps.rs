//! Steps: actions and clauses.

use super::super::ast::*;
use super::super::grammar::{Pair, Rule, parts};
use super::{Lower, take};

impl Lower<'_> {
    pub(super) fn step(&mut self, pair: Pair) -> Step {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        let name = self.next_name(&pair, &mut inner);
        let action = match inner.next() {
            Some(action) => self.action(action),
            None => Action {
                kind: ActionKind::Broken,
                span,
            },
        };
        let clauses = inner.map(|c| self.clause(c)).collect();
        Step {
            name,
            action,
            clauses,
            doc: self.doc(span),
            span,
        }
    }

    fn action(&mut self, pair: Pair) -> Action {
        let span = self.span(&pair);
        let rule = pair.as_rule();
        let mut inner = parts(pair);
        let Some(first) = inner.next() else {
            return Action {
                kind: ActionKind::Broken,
                span,
            };
        };
        let kind = match rule {
            Rule::read_step => ActionKind::Read(self.api_call(first)),
            Rule::ensure_step => ActionKind::Ensure(self.api_call(first)),
            Rule::call_step => ActionKind::Call(self.api_call(first)),
            Rule::http_step => ActionKind::Http(self.http_call(first)),
            Rule::approve_step => ActionKind::Approve(self.expr(first, 0)),
            Rule::wait_step => match first.as_rule() {
                Rule::http_call => ActionKind::WaitHttp(self.http_call(first)),
                Rule::wait_api => ActionKind::WaitApi(self.api_call(first)),
                _ => wait_for(self.expr(first, 0)),
            },
            Rule::run_step => ActionKind::Run {
                path: self.names(first),
                inputs: inner.next().map(|b| self.object(b, 0)),
            },
            Rule::hook_step => ActionKind::Hook {
                name: self.name(&first),
                args: inner.next().map_or(Vec::new(), |a| self.args(a, 0)),
            },
            _ => ActionKind::Broken,
        };
        Action { kind, span }
    }

    fn api_call(&mut self, pair: Pair) -> ApiCall {
        let mut inner = parts(pair.clone()).peekable();
        let path_span;
        let path = match inner.next() {
            Some(path) => {
                path_span = self.span(&path);
                self.names(path)
            }
            None => {
                path_span = self.span(&pair);
                Vec::new()
            }
        };
        let mut args_span = path_span;
        args_span.start = path_span.end;
        let mut args = Vec::new();
        if let Some(pair) = take(&mut inner, Rule::args) {
            args_span = self.span(&pair);
            args = self.args(pair, 0);
        }
        ApiCall {
            path,
            args,
            args_span,
            body: inner.next().map(|b| self.object(b, 0)),
        }
    }

    fn http_call(&mut self, pair: Pair) -> HttpCall {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        HttpCall {
            method: self.next_name(&pair, &mut inner),
            url: self.optional(inner.next(), span, 0),
            options: inner.next().map(|b| self.object(b, 0)),
        }
    }

    pub(super) fn clause(&mut self, pair: Pair) -> Clause {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::after_c => ClauseKind::After(self.references(pair)),
            Rule::require_c => ClauseKind::Require(self.guard(pair)),
            Rule::fail_c => ClauseKind::FailWhen(self.guard(pair)),
            Rule::expect_c => ClauseKind::Expect(self.guard(pair)),
            Rule::retry_c => self.retry(pair),
            Rule::repeat_c => ClauseKind::RepeatSafe,
            Rule::on_c => on(pair),
            Rule::settle_c => self.settle(pair),
            Rule::undo_c => self.undo(pair),
            Rule::protect_c => ClauseKind::Protect,
            Rule::allow_c => self.allow(pair),
            rule => {
                let value = self.optional(parts(pair).next(), span, 0);
                match rule {
                    Rule::when_c => ClauseKind::When(value),
                    Rule::unless_c => ClauseKind::Unless(value),
                    Rule::until_c => ClauseKind::Until(value),
                    Rule::timeout_c => ClauseKind::Timeout(value),
                    Rule::every_c => ClauseKind::Every(value),
                    _ => ClauseKind::Expires(value),
                }
            }
        };
        Clause { kind, span }
    }

    fn retry(&mut self, pair: Pair) -> ClauseKind {
        let span = self.span(&pair);
        let mut inner = parts(pair).peekable();
        if let Some(patience) = inner.next_if(|p| p.as_rule() == Rule::patience) {
            let mut words = parts(patience.clone());
            return ClauseKind::Patience {
                class: self.name(&words.next().unwrap_or(patience)),
                limit: self.optional(words.next(), span, 0),
            };
        }
        ClauseKind::Retry {
            times: self.optional(inner.next(), span, 0),
            every: inner.next().map(|p| self.expr(p, 0)),
        }
    }

    fn settle(&mut self, pair: Pair) -> ClauseKind {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        let http = self.http_call(inner.next().unwrap_or(pair));
        ClauseKind::Settle {
            http,
            when: self.optional(inner.next(), span, 0),
        }
    }

    fn undo(&mut self, pair: Pair) -> ClauseKind {
        let action = parts(pair).next().map(|p| self.action(p).kind);
        ClauseKind::Undo(match action {
            Some(ActionKind::Call(call)) => Undo::Call(call),
            Some(ActionKind::Http(http)) => Undo::Http(http),
            _ => Undo::Delete,
        })
    }

    pub(super) fn references(&mut self, pair: Pair) -> Vec<Expr> {
        parts(pair).map(|r| self.reference(r)).collect()
    }

    fn reference(&mut self, pair: Pair) -> Expr {
        let mut out = Expr::new(ExprKind::Broken, self.span(&pair));
        for (depth, part) in parts(pair).enumerate() {
            let span = self.span(&part);
            out = match part.as_rule() {
                Rule::ident => Expr::new(ExprKind::Name(part.as_str().into()), span),
                _ if depth > super::EXPR_DEPTH => return Expr::new(ExprKind::Broken, span),
                _ => {
                    let whole = out.span.to(span);
                    Expr::new(self.postfix(out, part, depth), whole)
                }
            };
        }
        out
    }

    /// A condition with the text for people when it does not hold.
    pub(super) fn guard(&mut self, pair: Pair) -> Guard {
        let span = self.span(&pair);
        let mut inner = parts(pair);
        let condition = self.optional(inner.next(), span, 0);
        let message = inner
            .next()
            .and_then(|e| parts(e).next())
            .map(|e| self.expr(e, 0));
        Guard {
            condition,
            message,
            span,
        }
    }
}

/// A bare or indexed name is a step; everything else is a pause.
fn wait_for(expr: Expr) -> ActionKind {
    let mut base = &expr;
    while let ExprKind::Index { base: inner, .. } = &*base.kind {
        base = inner;
    }
    match *base.kind {
        ExprKind::Name(_) => ActionKind::WaitStep(expr),
        _ => ActionKind::WaitPause(expr),
    }
}

fn on(pair: Pair) -> ClauseKind {
    let mut outcome = OnOutcome::Failure;
    let mut decision = Decision::Stop;
    for part in parts(pair) {
        match part.as_str() {
            "absent" => outcome = OnOutcome::Absent,
            "change" => outcome = OnOutcome::Change,
            "deny" => outcome = OnOutcome::Deny,
            "timeout" => outcome = OnOutcome::Timeout,
            "doubt" => outcome = OnOutcome::Doubt,
            "update" => decision = Decision::Update,
            "replace" => decision = Decision::Replace,
            "continue" => decision = Decision::Continue,
            "pause" => decision = Decision::Pause,
            "ask" => decision = Decision::Ask,
            _ => {}
        }
    }
    ClauseKind::On { outcome, decision }
}
