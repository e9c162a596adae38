//! Tests of flows.

use super::printer::{Lines, Printer};
use crate::syntax::ast::*;

impl Printer<'_> {
    pub(super) fn test(&mut self, test: &Test) {
        self.text("test ");
        self.slice(test.name.span);
        let (open, close) = (test.body.start as usize + 1, test.body.end as usize - 1);
        if test.stmts.is_empty() && !self.has_comment_between(open, close) {
            return self.text(" {}");
        }
        self.text(" {");
        let lines = Lines {
            indent: 2,
            open,
            close,
            suffix: "",
        };
        self.lines(
            &lines,
            &test.stmts,
            |_, s| s.span(),
            |p, s| p.test_stmt(s, 2),
        );
        self.newline(0);
        self.text("}");
    }

    fn test_stmt(&mut self, stmt: &TestStmt, indent: usize) {
        match stmt {
            TestStmt::Given(given) => self.worded("given ", &given.value, indent),
            TestStmt::Wait(wait) => self.worded("wait ", &wait.time, indent),
            TestStmt::Expect(expect) => self.worded("expect ", &expect.condition, indent + 2),
            TestStmt::Let(item) => self.let_stmt(item, indent),
            TestStmt::Fault(fault) => {
                let on = match &fault.on {
                    FaultOn::Method(method) => method.text.to_string(),
                    FaultOn::Step(step) => format!("step {}", step.text),
                };
                self.text(&format!("fault {} on {on}", fault.kind.text));
                self.body(&fault.options, indent);
            }
            TestStmt::Answer(answer) => {
                let word = if answer.approves { "approve" } else { "deny" };
                self.text(&format!("answer {} {word}", answer.gate.text));
                if let Some(after) = &answer.after {
                    self.worded(" after ", after, indent);
                }
            }
            TestStmt::Run(run) => {
                let path: Vec<&str> = run.path.iter().map(|n| &*n.text).collect();
                self.text(&format!("run {}", path.join(".")));
                self.body(&run.inputs, indent);
                if let Some(name) = &run.name {
                    self.text(&format!(" as {}", name.text));
                }
            }
            TestStmt::Broken(broken) => self.slice(broken.span),
        }
    }
}
