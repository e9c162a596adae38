//! Lists, objects and arguments over several lines.

use super::flat::arg_span;
use super::printer::{Lines, Printer};
use crate::syntax::ast::*;

impl Printer<'_> {
    pub fn object(&mut self, object: &Object, indent: usize) {
        let mut flat = String::new();
        let one = !self.has_comment(object.span) && self.flat_object(object, &mut flat).is_some();
        if one && self.fits(&flat) {
            return self.text(&flat);
        }
        let open = object.span.start as usize + 1;
        if let [
            Field::Pair {
                key,
                value,
                shorthand: false,
            },
        ] = &object.fields[..]
            && is_container(value)
            && !self.has_comment_between(open, value.span.start as usize)
            && !self.newline_between(open, self.field_span(&object.fields[0]).start as usize)
            && let Some(key) = self.key_text(key)
        {
            self.text(&format!("{{ {key}: "));
            self.expr(value, indent);
            return self.text(" }");
        }
        self.text("{");
        let close = object.span.end as usize - 1;
        let lines = Lines {
            indent: indent + 2,
            open,
            close,
            suffix: "",
        };
        self.lines(
            &lines,
            &object.fields,
            |p, f| p.field_span(f),
            |p, f| p.field(f, indent + 2),
        );
        self.newline(indent);
        self.text("}");
    }

    pub fn has_comment_between(&self, from: usize, to: usize) -> bool {
        let source = self.source.id;
        from < to && self.has_comment(crate::source::Span::new(source, from, to))
    }

    fn key_text(&self, key: &Key) -> Option<String> {
        let mut out = String::new();
        self.push_key(key, &mut out).map(|()| out)
    }

    fn field(&mut self, field: &Field, indent: usize) {
        match field {
            Field::Spread { value, .. } => {
                self.text("...");
                self.expr(value, indent);
            }
            Field::Pair {
                key: Key::Name(name),
                shorthand: true,
                ..
            } => self.text(&name.text),
            Field::Pair { key, value, .. } => {
                match (self.key_text(key), key) {
                    (Some(text), _) => self.text(&text),
                    (None, Key::Computed(expr)) => {
                        self.text("[");
                        self.expr(expr, indent);
                        self.text("]");
                    }
                    (None, Key::Name(name)) => self.slice(name.span),
                }
                self.text(": ");
                self.expr(value, indent);
            }
        }
    }

    pub fn list(&mut self, expr: &Expr, items: &[Expr], indent: usize) {
        let open = expr.span.start as usize + 1;
        if let [only] = items
            && is_container(only)
            && !self.newline_between(open, only.span.start as usize)
        {
            self.text("[");
            self.expr(only, indent);
            return self.text("]");
        }
        self.text("[");
        let close = expr.span.end as usize - 1;
        let lines = Lines {
            indent: indent + 2,
            open,
            close,
            suffix: ",",
        };
        self.lines(&lines, items, |_, e| e.span, |p, e| p.expr(e, indent + 2));
        self.newline(indent);
        self.text("]");
    }

    /// Arguments in parentheses; `from`: where the name before them ends; `end`: behind `)`.
    pub fn args(&mut self, args: &[Arg], from: usize, end: usize, indent: usize) {
        let commented = self.has_comment_between(from, end);
        if !commented
            && let Some(flat) = self.flat_args(args, from)
            && self.fits(&flat)
        {
            return self.text(&flat);
        }
        let open = self.source.text[from..end]
            .find('(')
            .map_or(from, |n| from + n + 1);
        if self.hug_last(args, open, indent) {
            return;
        }
        self.text("(");
        let lines = Lines {
            indent: indent + 2,
            open,
            close: end - 1,
            suffix: ",",
        };
        self.lines(
            &lines,
            args,
            |_, a| arg_span(a),
            |p, a| p.arg(a, indent + 2),
        );
        self.newline(indent);
        self.text(")");
    }

    /// `f(a, b, [` … `])`: only the last argument takes several lines.
    fn hug_last(&mut self, args: &[Arg], open: usize, indent: usize) -> bool {
        let [init @ .., last] = args else {
            return false;
        };
        let start = arg_span(last).start as usize;
        let plain = is_container(&last.value)
            && !self.newline_between(open, arg_span(&args[0]).start as usize)
            && !self.has_comment_between(open, last.value.span.start as usize);
        let Some(flat) = plain.then(|| self.flat_args(init, start)).flatten() else {
            return false;
        };
        let mark = self.mark();
        self.text(&flat[..flat.len() - 1]);
        if !init.is_empty() {
            self.text(", ");
        }
        if !self.fits("{") {
            self.back(&mark);
            return false;
        }
        self.arg(last, indent);
        self.text(")");
        true
    }

    fn arg(&mut self, arg: &Arg, indent: usize) {
        if let Some(name) = &arg.name {
            self.text(&format!("{}: ", name.text));
        }
        self.expr(&arg.value, indent);
    }
}

/// What carries its own brackets, between which it can take several lines.
pub(super) fn is_container(expr: &Expr) -> bool {
    match &*expr.kind {
        ExprKind::List(items) => !items.is_empty(),
        ExprKind::Object(object) => !object.fields.is_empty(),
        ExprKind::ListComp { .. } | ExprKind::MapComp { .. } => true,
        _ => false,
    }
}
