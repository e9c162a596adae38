//! Expressions on one line.

use super::printer::Printer;
use crate::source::Span;
use crate::syntax::ast::*;

/// Longer than any line: what is longer is not worth building.
const MOST: usize = 400;

impl Printer<'_> {
    /// The expression on one line; nothing where it must not, or cannot, stand on one.
    pub fn flat(&self, expr: &Expr) -> Option<String> {
        let mut out = String::new();
        (!self.has_comment(expr.span) && self.flat_expr(expr, &mut out).is_some()).then_some(out)
    }

    pub fn flat_args(&self, args: &[Arg], from: usize) -> Option<String> {
        let mut out = String::new();
        self.flat_arg_list(args, from, &mut out).map(|()| out)
    }

    pub fn flat_binder(&self, binder: &Binder) -> Option<String> {
        let mut out = String::new();
        (!self.has_comment(binder.span) && self.push_binder(binder, &mut out).is_some())
            .then_some(out)
    }

    fn flat_expr(&self, expr: &Expr, out: &mut String) -> Option<()> {
        if out.len() > MOST {
            return None;
        }
        match &*expr.kind {
            ExprKind::Raw { .. } | ExprKind::Broken => return None,
            ExprKind::List(items) => {
                self.same_line(expr.span, items.first().map(|e| e.span))?;
                self.joined(items, "[", "]", out, |p, e, out| p.flat_expr(e, out))?;
            }
            ExprKind::Object(object) => self.flat_object(object, out)?,
            ExprKind::ListComp { element, binder } => {
                self.same_line(expr.span, Some(element.span))?;
                out.push('[');
                self.flat_expr(element, out)?;
                out.push_str(" for ");
                self.push_binder(binder, out)?;
                out.push(']');
            }
            ExprKind::MapComp { key, value, binder } => {
                self.same_line(expr.span, Some(key.span))?;
                out.push_str("{ [");
                self.flat_expr(key, out)?;
                out.push_str("]: ");
                self.flat_expr(value, out)?;
                out.push_str(" for ");
                self.push_binder(binder, out)?;
                out.push_str(" }");
            }
            ExprKind::Quantifier {
                quantifier,
                binder,
                body,
            } => {
                out.push_str(quantifier_word(*quantifier));
                out.push('(');
                self.push_binder(binder, out)?;
                if let Some(body) = body {
                    out.push_str(": ");
                    self.flat_expr(body, out)?;
                }
                out.push(')');
            }
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => {
                for (word, part) in [("if ", condition), (" then ", then), (" else ", otherwise)] {
                    out.push_str(word);
                    self.flat_expr(part, out)?;
                }
            }
            ExprKind::Not(inner) => {
                out.push_str("not ");
                self.flat_expr(inner, out)?;
            }
            ExprKind::Neg(inner) => {
                out.push('-');
                self.flat_expr(inner, out)?;
            }
            ExprKind::Binary { op, left, right } => {
                self.flat_expr(left, out)?;
                out.push_str(&format!(" {} ", op.symbol()));
                self.flat_expr(right, out)?;
            }
            ExprKind::Member {
                base,
                name,
                optional,
            } => {
                self.flat_expr(base, out)?;
                out.push_str(if *optional { "?." } else { "." });
                out.push_str(&name.text);
            }
            ExprKind::Index { base, index } => {
                self.flat_expr(base, out)?;
                out.push('[');
                self.flat_expr(index, out)?;
                out.push(']');
            }
            ExprKind::Call { callee, args } => {
                self.flat_expr(callee, out)?;
                self.flat_arg_list(args, callee.span.end as usize, out)?;
            }
            ExprKind::Paren(inner) => {
                out.push('(');
                self.flat_expr(inner, out)?;
                out.push(')');
            }
            _ => out.push_str(self.source.slice(expr.span)),
        }
        Some(())
    }

    /// Nothing where the author began a new line behind the opening bracket.
    fn same_line(&self, whole: Span, first: Option<Span>) -> Option<()> {
        let broken =
            first.is_some_and(|f| self.newline_between(whole.start as usize, f.start as usize));
        (!broken).then_some(())
    }

    fn joined<T>(
        &self,
        items: &[T],
        open: &str,
        close: &str,
        out: &mut String,
        mut print: impl FnMut(&Self, &T, &mut String) -> Option<()>,
    ) -> Option<()> {
        out.push_str(open);
        for (n, item) in items.iter().enumerate() {
            if n > 0 {
                out.push_str(", ");
            }
            print(self, item, out)?;
        }
        out.push_str(close);
        Some(())
    }

    pub fn flat_object(&self, object: &Object, out: &mut String) -> Option<()> {
        if object.fields.is_empty() {
            out.push_str("{}");
            return (!self.has_comment(object.span)).then_some(());
        }
        self.same_line(
            object.span,
            object.fields.first().map(|f| self.field_span(f)),
        )?;
        self.joined(&object.fields, "{ ", " }", out, |p, f, out| {
            p.push_field(f, out)
        })
    }

    fn push_field(&self, field: &Field, out: &mut String) -> Option<()> {
        match field {
            Field::Spread { value, .. } => {
                out.push_str("...");
                self.flat_expr(value, out)
            }
            Field::Pair {
                key: Key::Name(name),
                shorthand: true,
                ..
            } => {
                out.push_str(&name.text);
                Some(())
            }
            Field::Pair { key, value, .. } => {
                self.push_key(key, out)?;
                out.push_str(": ");
                self.flat_expr(value, out)
            }
        }
    }

    pub fn push_key(&self, key: &Key, out: &mut String) -> Option<()> {
        match key {
            Key::Name(name) => out.push_str(self.source.slice(name.span)),
            Key::Computed(expr) if is_interpolated(expr) => {
                out.push_str(self.source.slice(expr.span))
            }
            Key::Computed(expr) => {
                out.push('[');
                self.flat_expr(expr, out)?;
                out.push(']');
            }
        }
        Some(())
    }

    fn flat_arg_list(&self, args: &[Arg], from: usize, out: &mut String) -> Option<()> {
        if args
            .first()
            .is_some_and(|a| self.newline_between(from, arg_span(a).start as usize))
        {
            return None;
        }
        self.joined(args, "(", ")", out, |p, arg, out| {
            if let Some(name) = &arg.name {
                out.push_str(&name.text);
                out.push_str(": ");
            }
            p.flat_expr(&arg.value, out)
        })
    }

    fn push_binder(&self, binder: &Binder, out: &mut String) -> Option<()> {
        out.push_str(&binder.first.text);
        if let Some(second) = &binder.second {
            out.push_str(", ");
            out.push_str(&second.text);
        }
        out.push_str(" in ");
        self.flat_expr(&binder.source, out)?;
        if let Some(filter) = &binder.filter {
            out.push_str(" where ");
            self.flat_expr(filter, out)?;
        }
        Some(())
    }

    pub fn field_span(&self, field: &Field) -> Span {
        match field {
            Field::Spread { span, .. } => *span,
            Field::Pair {
                key: Key::Name(name),
                value,
                ..
            } => name.span.to(value.span),
            Field::Pair {
                key: Key::Computed(key),
                value,
                ..
            } => {
                let mut span = key.span.to(value.span);
                let before = self.source.text[..span.start as usize].trim_end();
                if before.ends_with('[') && !is_interpolated(key) {
                    span.start = before.len() as u32 - 1;
                }
                span
            }
        }
    }
}

fn is_interpolated(expr: &Expr) -> bool {
    match &*expr.kind {
        ExprKind::Str(parts) => parts.iter().any(|p| matches!(p, StrPart::Value(_))),
        _ => false,
    }
}

pub(super) fn arg_span(arg: &Arg) -> Span {
    match &arg.name {
        Some(name) => name.span.to(arg.value.span),
        None => arg.value.span,
    }
}

pub(super) fn quantifier_word(quantifier: Quantifier) -> &'static str {
    match quantifier {
        Quantifier::One => "one",
        Quantifier::First => "first",
        Quantifier::All => "all",
        Quantifier::Any => "any",
        Quantifier::Count => "count",
        Quantifier::Sum => "sum",
        Quantifier::Min => "min",
        Quantifier::Max => "max",
    }
}
