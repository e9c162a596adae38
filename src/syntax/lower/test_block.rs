//! Tests of flows.

use super::super::ast::*;
use super::super::grammar::{Pair, Rule, parts};
use super::{Lower, take};
use crate::source::Span;

impl Lower<'_> {
    pub(super) fn test(&mut self, pair: Pair) -> Test {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone());
        let head = inner.next().unwrap_or(pair);
        let brace = self.span(&head).end - 1;
        let name = self.test_head(head);
        Test {
            name,
            stmts: inner.map(|s| self.test_stmt(s)).collect(),
            body: Span {
                start: brace,
                ..span
            },
            doc: self.doc(span),
            span,
        }
    }

    pub fn test_head(&mut self, pair: Pair) -> Name {
        match parts(pair.clone()).next() {
            Some(title) => self.plain(title, "the name of a test"),
            None => self.missing_name(&pair),
        }
    }

    pub fn test_stmt(&mut self, pair: Pair) -> TestStmt {
        let span = self.span(&pair);
        let rule = pair.as_rule();
        if rule == Rule::let_stmt {
            return TestStmt::Let(self.let_stmt(pair));
        }
        let mut inner = parts(pair.clone()).peekable();
        match rule {
            Rule::given_t => TestStmt::Given(Given {
                value: self.optional(inner.next(), span, 0),
                span,
            }),
            Rule::fault_t => TestStmt::Fault(Fault {
                kind: self.next_name(&pair, &mut inner),
                on: match inner.peek().map(|p| p.as_rule()) {
                    Some(Rule::moved_path) => FaultOn::Step(self.next_name(&pair, &mut inner)),
                    _ => FaultOn::Method(self.next_name(&pair, &mut inner)),
                },
                options: inner.next().map(|b| self.object(b, 0)),
                span,
            }),
            Rule::answer_t => TestStmt::Answer(Answer {
                gate: self.next_name(&pair, &mut inner),
                approves: inner.next().is_some_and(|p| p.as_str() == "approve"),
                after: inner.next().map(|e| self.expr(e, 0)),
                span,
            }),
            Rule::run_t => TestStmt::Run(TestRun {
                path: inner.next().map_or(Vec::new(), |p| self.names(p)),
                inputs: take(&mut inner, Rule::body).map(|b| self.object(b, 0)),
                name: inner.next().map(|p| self.name(&p)),
                span,
            }),
            Rule::wait_t => TestStmt::Wait(TestWait {
                time: self.optional(inner.next(), span, 0),
                span,
            }),
            Rule::expect_t => TestStmt::Expect(Expectation {
                condition: self.optional(inner.next(), span, 0),
                span,
            }),
            _ => TestStmt::Broken(Broken { name: None, span }),
        }
    }
}
