//! Expressions that do not fit on one line.

use super::containers::is_container;
use super::flat::quantifier_word;
use super::printer::Printer;
use crate::syntax::ast::*;

impl Printer<'_> {
    pub fn expr(&mut self, expr: &Expr, indent: usize) {
        match self.flat(expr) {
            Some(flat) if self.fits(&flat) => self.text(&flat),
            _ => self.broken(expr, indent),
        }
    }

    fn broken(&mut self, expr: &Expr, indent: usize) {
        match &*expr.kind {
            ExprKind::Raw { tag, text } => self.raw(expr, tag, text, indent),
            ExprKind::List(items) => self.list(expr, items, indent),
            ExprKind::Object(object) => self.object(object, indent),
            ExprKind::ListComp { element, binder } => {
                self.comp(expr, ("[", "]"), element, binder, indent, |p, indent| {
                    p.expr(element, indent)
                });
            }
            ExprKind::MapComp { key, value, binder } => {
                self.comp(expr, ("{", "}"), key, binder, indent, |p, indent| {
                    p.text("[");
                    p.expr(key, indent);
                    p.text("]: ");
                    p.expr(value, indent);
                });
            }
            ExprKind::Quantifier {
                quantifier,
                binder,
                body,
            } => {
                self.text(quantifier_word(*quantifier));
                self.text("(");
                self.binder(binder, indent);
                if let Some(body) = body {
                    self.text(":");
                    self.newline(indent + 2);
                    self.expr(body, indent + 2);
                }
                self.text(")");
            }
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => self.if_expr((condition, then, otherwise), indent),
            ExprKind::Not(inner) => {
                self.text("not ");
                self.expr(inner, indent);
            }
            ExprKind::Neg(inner) => {
                self.text("-");
                self.expr(inner, indent);
            }
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right, indent),
            ExprKind::Member {
                base,
                name,
                optional,
            } => {
                self.expr(base, indent);
                self.text(if *optional { "?." } else { "." });
                self.text(&name.text);
            }
            ExprKind::Index { base, index } => {
                self.expr(base, indent);
                self.text("[");
                self.expr(index, indent);
                self.text("]");
            }
            ExprKind::Call { callee, args } => {
                self.expr(callee, indent);
                self.args(
                    args,
                    callee.span.end as usize,
                    expr.span.end as usize,
                    indent,
                );
            }
            ExprKind::Paren(inner) => {
                self.text("(");
                self.expr(inner, indent);
                self.text(")");
            }
            _ => self.slice(expr.span),
        }
    }

    /// The closing quotes give the margin, so that the text itself stays as it is.
    fn raw(&mut self, expr: &Expr, tag: &str, text: &str, indent: usize) {
        let source = self.source.slice(expr.span);
        let quotes: String = source.chars().take_while(|c| *c == '"').collect();
        self.text(&quotes);
        self.text(tag);
        for line in text.lines_kept() {
            self.newline(if line.is_empty() { 0 } else { indent + 2 });
            self.text(line);
        }
        self.newline(indent + 2);
        self.text(&quotes);
    }

    fn comp(
        &mut self,
        whole: &Expr,
        (open, close): (&str, &str),
        first: &Expr,
        binder: &Binder,
        indent: usize,
        element: impl Fn(&mut Self, usize),
    ) {
        let inside = whole.span.start as usize + 1;
        let forced = self.newline_between(inside, first.span.start as usize);
        self.text(open);
        if !forced && is_container(first) {
            element(self, indent);
            self.text(" for ");
            self.binder(binder, indent);
            return self.text(close);
        }
        self.newline(indent + 2);
        element(self, indent + 2);
        match self.flat_binder(binder).map(|b| format!(" for {b}")) {
            Some(flat) if self.fits(&flat) => self.text(&flat),
            _ => {
                self.newline(indent + 2);
                self.text("for ");
                self.binder(binder, indent + 2);
            }
        }
        self.newline(indent);
        self.text(close);
    }

    pub(super) fn binder(&mut self, binder: &Binder, indent: usize) {
        self.text(&binder.first.text);
        if let Some(second) = &binder.second {
            self.text(", ");
            self.text(&second.text);
        }
        self.text(" in ");
        self.expr(&binder.source, indent);
        let Some(filter) = &binder.filter else { return };
        match self.flat(filter).map(|f| format!(" where {f}")) {
            Some(flat) if self.fits(&flat) => self.text(&flat),
            _ => {
                self.newline(indent + 2);
                self.text("where ");
                self.expr(filter, indent + 2);
            }
        }
    }

    fn if_expr(&mut self, (condition, then, otherwise): (&Expr, &Expr, &Expr), indent: usize) {
        if is_container(otherwise)
            && let (Some(c), Some(t)) = (self.flat(condition), self.flat(then))
            && self.fits(&format!("if {c} then {t} else {{"))
        {
            self.text(&format!("if {c} then {t} else "));
            return self.expr(otherwise, indent);
        }
        self.text("if ");
        self.expr(condition, indent + 2);
        self.newline(indent + 2);
        self.text("then ");
        self.expr(then, indent + 2);
        self.newline(indent + 2);
        self.text("else ");
        let chain = matches!(*otherwise.kind, ExprKind::If { .. });
        self.expr(otherwise, if chain { indent } else { indent + 2 });
    }

    /// `and` and `or` begin a line each; other operators stay where they fit. A minus sign never
    /// begins a line: it would end the expression.
    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr, indent: usize) {
        let logical = matches!(op, BinaryOp::And | BinaryOp::Or);
        match &*left.kind {
            ExprKind::Binary {
                op: inner,
                left: l,
                right: r,
            } if *inner == op => match self.flat(left).filter(|f| !logical && self.fits(f)) {
                Some(flat) => self.text(&flat),
                None => self.binary(op, l, r, indent),
            },
            _ => self.expr(left, indent),
        }
        let word = op.symbol();
        let fits = self
            .flat(right)
            .is_some_and(|f| self.fits(&format!(" {word} {f}")));
        if op == BinaryOp::Sub || (!logical && (fits || is_container(right))) {
            self.text(&format!(" {word} "));
        } else {
            self.newline(indent + 2);
            self.text(&format!("{word} "));
        }
        self.expr(right, indent + 2 * usize::from(logical));
    }
}

trait LinesKept {
    fn lines_kept(&self) -> std::str::Split<'_, char>;
}

impl LinesKept for str {
    /// Lines without the last newline; an empty text has none.
    fn lines_kept(&self) -> std::str::Split<'_, char> {
        let mut lines = self.strip_suffix('\n').unwrap_or(self).split('\n');
        if self.is_empty() {
            lines.next();
        }
        lines
    }
}
