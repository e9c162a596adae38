//! Policies, their rules, and what silences them.

use super::super::ast::*;
use super::super::grammar::{Pair, Rule as R, parts};
use super::{Lower, take};

impl Lower<'_> {
    pub(super) fn policy(&mut self, pair: Pair) -> Policy {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        let head = inner.next().unwrap_or(pair);
        let mut words = parts(head.clone()).peekable();
        let name = self.next_name(&head, &mut words);
        let waits = take(&mut words, R::on_wait).is_some();
        let on = self.target_type(words.next(), &head);
        let binder = self.next_name(&head, &mut words);
        Policy {
            name,
            waits,
            on,
            binder,
            rules: inner.map(|r| self.rule(r)).collect(),
            doc: self.doc(span),
            span,
        }
    }

    fn target_type(&mut self, path: Option<Pair>, head: &Pair) -> TypeExpr {
        let span = self.span(path.as_ref().unwrap_or(head));
        let kind = match path {
            Some(path) => TypeKind::Path(self.names(path)),
            None => TypeKind::Broken,
        };
        TypeExpr { kind, span }
    }

    fn rule(&mut self, pair: Pair) -> Rule {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone()).peekable();
        let severity = self.next_name(&pair, &mut inner);
        let place = self.optional(inner.next(), span, 0);
        let mut loops = Vec::new();
        while let Some(bound) = take(&mut inner, R::rule_for) {
            loops.extend(parts(bound).map(|b| self.binder(b, 0)));
        }
        let condition = self.optional(inner.next(), span, 0);
        let mut text =
            |pair: Option<Pair>| self.optional(pair.and_then(|p| parts(p).next()), span, 0);
        let message = text(inner.next());
        let hint = inner.next().map(|p| text(Some(p)));
        Rule {
            severity,
            place,
            loops,
            condition,
            message,
            hint,
            span,
        }
    }

    pub(super) fn allow(&mut self, pair: Pair) -> ClauseKind {
        let mut inner = parts(pair.clone());
        ClauseKind::Allow {
            policy: self.next_name(&pair, &mut inner),
            reason: inner.next().map(|p| {
                let span = self.span(&p);
                Expr::new(ExprKind::Str(self.string(p, 0)), span)
            }),
        }
    }
}
