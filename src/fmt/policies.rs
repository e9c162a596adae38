//! Policies, and what silences them.

use super::printer::{Lines, Printer};
use crate::syntax::ast::*;

impl Printer<'_> {
    pub(super) fn policy(&mut self, policy: &Policy) {
        let wait = if policy.waits { "wait " } else { "" };
        self.text(&format!("policy {} on {wait}", policy.name.text));
        self.type_expr(&policy.on, 0);
        self.text(&format!(" as {} {{", policy.binder.text));
        let end = policy.span.end as usize;
        let head = policy.binder.span.end as usize;
        let open = self.source.text[head..end]
            .find('{')
            .map_or(head, |n| head + n + 1);
        if policy.rules.is_empty() && !self.has_comment_between(open, end - 1) {
            return self.text("}");
        }
        let lines = Lines {
            indent: 2,
            open,
            close: end - 1,
            suffix: "",
        };
        self.lines(&lines, &policy.rules, |_, r| r.span, |p, r| p.rule(r));
        self.newline(0);
        self.text("}");
    }

    /// The head on one line where it fits, and the texts below it.
    fn rule(&mut self, rule: &Rule) {
        self.text(&format!("{} at ", rule.severity.text));
        self.expr(&rule.place, 4);
        for binder in &rule.loops {
            match self.flat_binder(binder).map(|b| format!(" for {b}")) {
                Some(flat) if self.fits(&flat) => self.text(&flat),
                _ => {
                    self.newline(4);
                    self.text("for ");
                    self.binder(binder, 4);
                }
            }
        }
        match self.flat(&rule.condition).map(|c| format!(" when {c}")) {
            Some(flat) if self.fits(&flat) => self.text(&flat),
            _ => {
                self.newline(4);
                self.text("when ");
                self.expr(&rule.condition, 6);
            }
        }
        self.newline(4);
        self.expr(&rule.message, 4);
        if let Some(hint) = &rule.hint {
            self.newline(4);
            self.text("hint ");
            self.expr(hint, 4);
        }
    }

    pub(super) fn allow(&mut self, policy: &Name, reason: &Option<Expr>, indent: usize) {
        self.text(&format!("allow {}", policy.text));
        if let Some(reason) = reason {
            self.text(" ");
            self.expr(reason, indent);
        }
    }
}
