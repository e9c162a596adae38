//! Items and statements.

use super::printer::{Lines, Printer};
use crate::source::Span;
use crate::syntax::ast::*;

impl Printer<'_> {
    pub fn item(&mut self, item: &Item) {
        match item {
            Item::Use(item) => self.use_item(item),
            Item::Let(item) => self.let_stmt(item, 0),
            Item::Type(item) => {
                self.text(&format!("type {} = ", item.name.text));
                self.type_expr(&item.ty, 0);
            }
            Item::Workflow(item) => {
                self.text(&format!("workflow {} ", item.name.text));
                self.block(&item.body, 0);
            }
            Item::Hook(item) => self.hook_def(item),
            Item::Policy(item) => self.policy(item),
            Item::Moved(item) => {
                self.text(&format!("moved {} to {}", item.old.text, item.new.text));
            }
            Item::Test(item) => self.test(item),
            Item::Broken(item) => self.slice(item.span),
        }
    }

    fn use_item(&mut self, item: &Use) {
        self.text(&format!("use {}", item.path.text));
        if let Some(alias) = &item.alias {
            self.text(&format!(" as {}", alias.text));
        }
        if item.names.is_empty() {
            return;
        }
        let names: Vec<_> = item.names.iter().map(|n| &*n.text).collect();
        let flat = format!(" {{ {} }}", names.join(", "));
        let head = item.alias.as_ref().unwrap_or(&item.path).span.end as usize;
        if self.fits(&flat) && !self.newline_between(head, item.names[0].span.start as usize) {
            return self.text(&flat);
        }
        let open = self.source.text[head..]
            .find('{')
            .map_or(head, |n| head + n + 1);
        self.text(" {");
        let lines = Lines {
            indent: 2,
            open,
            close: item.span.end as usize - 1,
            suffix: ",",
        };
        self.lines(&lines, &item.names, |_, n| n.span, |p, n| p.text(&n.text));
        self.newline(0);
        self.text("}");
    }

    fn hook_def(&mut self, item: &HookDef) {
        self.text(&format!("hook {}(", item.name.text));
        for (n, param) in item.params.iter().enumerate() {
            self.text(if n > 0 { ", " } else { "" });
            self.text(&format!("{}: ", param.name.text));
            self.type_expr(&param.ty, 2);
        }
        self.text(") -> ");
        self.type_expr(&item.result, 0);
        match &item.body {
            HookBody::File(path) => {
                self.text(" from ");
                self.slice(path.span);
            }
            HookBody::Inline(text, span) => {
                self.text(" = ");
                let tag = self.source.slice(*span).trim_start_matches('"');
                let tag: String = tag
                    .chars()
                    .take_while(|c| c.is_ascii_alphabetic())
                    .collect();
                let kind = ExprKind::Raw {
                    tag: tag.into(),
                    text: text.clone(),
                };
                self.expr(&Expr::new(kind, *span), 0);
            }
        }
    }

    /// Statements between braces; on one line where the author wrote a single one so.
    fn block(&mut self, block: &Block, indent: usize) {
        let (open, close) = (block.span.start as usize + 1, block.span.end as usize - 1);
        if block.stmts.is_empty() && !self.has_comment_between(open, close) {
            return self.text("{}");
        }
        if let [only] = &block.stmts[..]
            && !self.newline_between(open, close)
        {
            let mark = self.mark();
            self.text("{ ");
            self.stmt(only, indent + 2);
            self.text(" }");
            if self.one_line_since(&mark) {
                return;
            }
            self.back(&mark);
        }
        self.text("{");
        let lines = Lines {
            indent: indent + 2,
            open,
            close,
            suffix: "",
        };
        self.lines(
            &lines,
            &block.stmts,
            |_, s| stmt_span(s),
            |p, s| p.stmt(s, indent + 2),
        );
        self.newline(indent);
        self.text("}");
    }

    fn stmt(&mut self, stmt: &Stmt, indent: usize) {
        match stmt {
            Stmt::Input(input) => self.input(input, indent),
            Stmt::Output(output) => {
                self.text(if output.secret {
                    "secret output "
                } else {
                    "output "
                });
                self.text(&format!("{} = ", output.name.text));
                self.expr(&output.value, indent);
            }
            Stmt::Let(item) => self.let_stmt(item, indent),
            Stmt::At(at) => {
                self.text("at ");
                let brace = self.source.slice(at.span).find('{').unwrap_or(0) as u32;
                let span = Span {
                    start: at.span.start + brace,
                    ..at.span
                };
                self.object(
                    &Object {
                        fields: at.fields.clone(),
                        span,
                    },
                    indent,
                );
            }
            Stmt::Assert(a) => self.guard("assert ", &a.condition, &a.message, indent),
            Stmt::Checkpoint(checkpoint) => self.checkpoint(checkpoint, indent),
            Stmt::Step(step) => self.step(step, indent),
            Stmt::For(item) => self.for_stmt(item, indent),
            Stmt::If(item) => {
                self.text("if ");
                self.expr(&item.condition, indent + 2);
                self.text(" ");
                self.block(&item.then, indent);
                if let Some(otherwise) = &item.otherwise {
                    self.text(" else ");
                    self.block(otherwise, indent);
                }
            }
            Stmt::Upon(item) => {
                self.text(&format!(
                    "upon {} as {} ",
                    item.event.text, item.binder.text
                ));
                self.block(&item.body, indent);
            }
            Stmt::Broken(broken) => self.slice(broken.span),
        }
    }

    pub(super) fn let_stmt(&mut self, item: &Let, indent: usize) {
        self.text(&format!("let {} = ", item.name.text));
        self.expr(&item.value, indent);
    }

    fn input(&mut self, input: &Input, indent: usize) {
        self.text(if input.secret {
            "secret input "
        } else {
            "input "
        });
        self.text(&format!("{}: ", input.name.text));
        self.type_expr(&input.ty, indent);
        if let Some(default) = &input.default {
            self.text(" = ");
            self.expr(default, indent);
        }
    }

    fn for_stmt(&mut self, item: &For, indent: usize) {
        self.text(&format!("for {}", item.first.text));
        if let Some(second) = &item.second {
            self.text(&format!(", {}", second.text));
        }
        for (word, expr) in [
            (" in ", Some(&item.source)),
            (" by ", item.by.as_ref()),
            (" limit ", item.limit.as_ref()),
        ] {
            if let Some(expr) = expr {
                self.text(word);
                self.expr(expr, indent);
            }
        }
        self.text(" ");
        self.block(&item.body, indent);
    }
}

pub(super) fn item_span(_: &Printer, item: &Item) -> Span {
    match item {
        Item::Use(i) => i.span,
        Item::Let(i) => i.span,
        Item::Type(i) => i.span,
        Item::Workflow(i) => i.span,
        Item::Hook(i) => i.span,
        Item::Policy(i) => i.span,
        Item::Moved(i) => i.span,
        Item::Test(i) => i.span,
        Item::Broken(i) => i.span,
    }
}

fn stmt_span(stmt: &Stmt) -> Span {
    match stmt {
        Stmt::Input(s) => s.span,
        Stmt::Output(s) => s.span,
        Stmt::Let(s) => s.span,
        Stmt::At(s) => s.span,
        Stmt::Assert(s) => s.span,
        Stmt::Checkpoint(s) => s.span,
        Stmt::Step(s) => s.span,
        Stmt::For(s) => s.span,
        Stmt::If(s) => s.span,
        Stmt::Upon(s) => s.span,
        Stmt::Broken(s) => s.span,
    }
}
