//! Steps: actions and clauses.

use super::printer::{Lines, Printer};
use super::types::path;
use crate::source::Span;
use crate::syntax::ast::*;

impl Printer<'_> {
    pub fn step(&mut self, step: &Step, indent: usize) {
        self.text(&format!("step {} = ", step.name.text));
        if step.clauses.is_empty() {
            return self.action(&step.action, indent);
        }
        let mark = self.mark();
        if !self.source.slice(step.span).contains('\n') {
            self.action(&step.action, indent);
            for clause in &step.clauses {
                self.text(" ");
                self.clause(clause, indent + 2);
            }
            if self.one_line_since(&mark) {
                return;
            }
            self.back(&mark);
        }
        self.action(&step.action, indent);
        let open = step.action.span.end as usize;
        let lines = Lines {
            indent: indent + 2,
            open,
            close: step.span.end as usize,
            suffix: "",
        };
        self.lines(
            &lines,
            &step.clauses,
            |_, c| c.span,
            |p, c| p.clause(c, indent + 2),
        );
    }

    fn action(&mut self, action: &Action, indent: usize) {
        match &action.kind {
            ActionKind::Read(call) => self.api("read ", call, indent),
            ActionKind::Ensure(call) => self.api("ensure ", call, indent),
            ActionKind::Call(call) => self.api("call ", call, indent),
            ActionKind::WaitApi(call) => self.api("wait ", call, indent),
            ActionKind::WaitStep(expr) | ActionKind::WaitPause(expr) => {
                self.worded("wait ", expr, indent)
            }
            ActionKind::WaitHttp(http) => {
                self.text("wait ");
                self.http(http, indent);
            }
            ActionKind::Http(http) => self.http(http, indent),
            ActionKind::Approve(text) => self.worded("approve ", text, indent),
            ActionKind::Run {
                path: names,
                inputs,
            } => {
                self.text(&format!("run {}", path(names)));
                self.body(inputs, indent);
            }
            ActionKind::Hook { name, args } => {
                self.text(&format!("hook {}", name.text));
                self.args(
                    args,
                    name.span.end as usize,
                    action.span.end as usize,
                    indent,
                );
            }
            ActionKind::Broken => self.slice(action.span),
        }
    }

    pub(super) fn worded(&mut self, word: &str, expr: &Expr, indent: usize) {
        self.text(word);
        self.expr(expr, indent);
    }

    pub(super) fn body(&mut self, body: &Option<Object>, indent: usize) {
        if let Some(object) = body {
            self.text(" ");
            self.object(object, indent);
        }
    }

    fn api(&mut self, word: &str, call: &ApiCall, indent: usize) {
        self.text(word);
        self.text(&path(&call.path));
        if call.args_span.start < call.args_span.end {
            let (start, end) = (call.args_span.start as usize, call.args_span.end as usize);
            self.args(&call.args, start, end, indent);
        }
        self.body(&call.body, indent);
    }

    fn http(&mut self, http: &HttpCall, indent: usize) {
        self.text(&format!("http {} ", http.method.text));
        self.expr(&http.url, indent);
        self.body(&http.options, indent);
    }

    fn clause(&mut self, clause: &Clause, indent: usize) {
        match &clause.kind {
            ClauseKind::After(steps) => self.after(steps, indent),
            ClauseKind::When(e) => self.worded("when ", e, indent),
            ClauseKind::Unless(e) => self.worded("unless ", e, indent),
            ClauseKind::Until(e) => self.worded("until ", e, indent),
            ClauseKind::Timeout(e) => self.worded("timeout ", e, indent),
            ClauseKind::Every(e) => self.worded("every ", e, indent),
            ClauseKind::Expires(e) => self.worded("expires ", e, indent),
            ClauseKind::Require(g) => self.guard("require ", &g.condition, &g.message, indent),
            ClauseKind::FailWhen(g) => self.guard("fail when ", &g.condition, &g.message, indent),
            ClauseKind::Expect(g) => self.guard("expect ", &g.condition, &g.message, indent),
            ClauseKind::Retry { times, every } => {
                self.worded("retry ", times, indent);
                if let Some(every) = every {
                    self.worded(" every ", every, indent);
                }
            }
            ClauseKind::Patience { class, limit } => {
                self.text(&format!("retry {}", class.text));
                self.worded(" for ", limit, indent);
            }
            ClauseKind::RepeatSafe => self.text("repeat safe"),
            ClauseKind::On { outcome, decision } => {
                self.text(&format!(
                    "on {} {}",
                    outcome_word(*outcome),
                    decision_word(*decision)
                ));
            }
            ClauseKind::Undo(undo) => match undo {
                Undo::Delete => self.text("undo delete"),
                Undo::Call(call) => self.api("undo call ", call, indent),
                Undo::Http(http) => {
                    self.text("undo ");
                    self.http(http, indent);
                }
            },
            ClauseKind::Protect => self.text("protect"),
            ClauseKind::Allow { policy, reason } => self.allow(policy, reason, indent),
            ClauseKind::Settle { http, when } => {
                self.text("settle ");
                self.http(http, indent);
                match self.flat(when).map(|w| format!(" when {w}")) {
                    Some(flat) if self.fits(&flat) => self.text(&flat),
                    _ => {
                        self.newline(indent + 2);
                        self.worded("when ", when, indent + 2);
                    }
                }
            }
        }
    }

    fn after(&mut self, steps: &[Expr], indent: usize) {
        self.text("after ");
        for (n, step) in steps.iter().enumerate() {
            if n > 0 {
                self.text(",");
                let flat = self.flat(step).unwrap_or_default();
                match self.fits(&flat) {
                    true => self.text(" "),
                    false => self.newline(indent + 2),
                }
            }
            self.expr(step, indent);
        }
    }

    pub fn guard(&mut self, word: &str, condition: &Expr, message: &Option<Expr>, indent: usize) {
        self.worded(word, condition, indent);
        let Some(message) = message else { return };
        match self.flat(message).map(|m| format!(" else {m}")) {
            Some(flat) if self.fits(&flat) => self.text(&flat),
            _ => {
                self.newline(indent + 2);
                self.worded("else ", message, indent + 2);
            }
        }
    }

    pub fn checkpoint(&mut self, checkpoint: &Checkpoint, indent: usize) {
        self.text(&format!("checkpoint {}", checkpoint.name.text));
        let parts = checkpoint_parts(checkpoint);
        let mark = self.mark();
        if !self.source.slice(checkpoint.span).contains('\n') {
            for (_, part) in &parts {
                self.text(" ");
                self.checkpoint_part(part, indent + 2);
            }
            if parts.is_empty() || self.one_line_since(&mark) {
                return;
            }
            self.back(&mark);
        }
        let open = checkpoint.name.span.end as usize;
        let lines = Lines {
            indent: indent + 2,
            open,
            close: checkpoint.span.end as usize,
            suffix: "",
        };
        self.lines(
            &lines,
            &parts,
            |_, (span, _)| *span,
            |p, (_, part)| p.checkpoint_part(part, indent + 2),
        );
    }

    fn checkpoint_part(&mut self, part: &Part, indent: usize) {
        match part {
            Part::Require(g) => self.guard("require ", &g.condition, &g.message, indent),
            Part::After(steps) => self.after(steps, indent),
            Part::Approve(text) => self.worded("approve ", text, indent),
        }
    }
}

enum Part<'a> {
    Require(&'a Guard),
    After(&'a [Expr]),
    Approve(&'a Expr),
}

/// The clauses of a checkpoint in the order of the text.
fn checkpoint_parts(checkpoint: &Checkpoint) -> Vec<(Span, Part<'_>)> {
    let mut parts: Vec<_> = checkpoint
        .requires
        .iter()
        .map(|g| (g.span, Part::Require(g)))
        .collect();
    if let [first, .., last] | [first @ last] = &checkpoint.after[..] {
        parts.push((first.span.to(last.span), Part::After(&checkpoint.after)));
    }
    parts.extend(
        checkpoint
            .approve
            .iter()
            .map(|e| (e.span, Part::Approve(e))),
    );
    parts.sort_by_key(|(span, _)| span.start);
    parts
}

fn outcome_word(outcome: OnOutcome) -> &'static str {
    match outcome {
        OnOutcome::Absent => "absent",
        OnOutcome::Change => "change",
        OnOutcome::Deny => "deny",
        OnOutcome::Timeout => "timeout",
        OnOutcome::Failure => "failure",
        OnOutcome::Doubt => "doubt",
    }
}

fn decision_word(decision: Decision) -> &'static str {
    match decision {
        Decision::Stop => "stop",
        Decision::Update => "update",
        Decision::Replace => "replace",
        Decision::Continue => "continue",
        Decision::Pause => "pause",
        Decision::Ask => "ask",
    }
}
