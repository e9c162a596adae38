//! Types.

use super::printer::{Lines, Printer};
use crate::source::Span;
use crate::syntax::ast::*;

impl Printer<'_> {
    pub fn type_expr(&mut self, ty: &TypeExpr, indent: usize) {
        match self.flat_type(ty) {
            Some(flat) if self.fits(&flat) => self.text(&flat),
            _ => self.broken_type(ty, indent),
        }
    }

    fn flat_type(&self, ty: &TypeExpr) -> Option<String> {
        if self.has_comment(ty.span) {
            return None;
        }
        Some(match &ty.kind {
            TypeKind::Base {
                base,
                min,
                max,
                matches,
            } => self.base(*base, min, max, matches),
            TypeKind::Literal(_) => self.source.slice(ty.span).to_string(),
            TypeKind::List(inner) => format!("list<{}>", self.flat_type(inner)?),
            TypeKind::Map(inner) => format!("map<{}>", self.flat_type(inner)?),
            TypeKind::Record(fields) => self.flat_record(ty, fields)?,
            TypeKind::Path(names) => path(names),
            TypeKind::Nullable(inner) => format!("{}?", self.flat_type(inner)?),
            TypeKind::Union(options) => {
                let options: Option<Vec<_>> = options.iter().map(|o| self.flat_type(o)).collect();
                options?.join(" | ")
            }
            TypeKind::Broken => return None,
        })
    }

    fn base(
        &self,
        base: Base,
        min: &Option<Box<Expr>>,
        max: &Option<Box<Expr>>,
        matches: &Option<Name>,
    ) -> String {
        let mut out = base_word(base).to_string();
        if min.is_some() || max.is_some() {
            let bound =
                |b: &Option<Box<Expr>>| b.as_ref().and_then(|e| self.flat(e)).unwrap_or_default();
            out.push_str(&format!("({}..{})", bound(min), bound(max)));
        }
        if let Some(pattern) = matches {
            out.push_str(&format!(" matches {}", self.source.slice(pattern.span)));
        }
        out
    }

    fn flat_record(&self, ty: &TypeExpr, fields: &[TypeField]) -> Option<String> {
        let Some(first) = fields.first() else {
            return Some("{}".into());
        };
        if self.newline_between(ty.span.start as usize, first.name.span.start as usize) {
            return None;
        }
        let fields: Option<Vec<_>> = fields
            .iter()
            .map(|f| Some(format!("{}{}", self.field_head(f), self.flat_type(&f.ty)?)))
            .collect();
        Some(format!("{{ {} }}", fields?.join(", ")))
    }

    fn field_head(&self, field: &TypeField) -> String {
        let mark = if field.optional { "?" } else { "" };
        format!("{}{mark}: ", self.source.slice(field.name.span))
    }

    fn broken_type(&mut self, ty: &TypeExpr, indent: usize) {
        match &ty.kind {
            TypeKind::Record(fields) => self.record(ty.span, fields, indent),
            TypeKind::List(inner) | TypeKind::Map(inner) => {
                let word = if matches!(ty.kind, TypeKind::List(_)) {
                    "list<"
                } else {
                    "map<"
                };
                self.text(word);
                self.type_expr(inner, indent);
                self.text(">");
            }
            TypeKind::Nullable(inner) => {
                self.type_expr(inner, indent);
                self.text("?");
            }
            TypeKind::Union(options) => {
                for (n, option) in options.iter().enumerate() {
                    if n > 0 {
                        self.newline(indent + 2);
                        self.text("| ");
                    }
                    self.type_expr(option, indent + 2);
                }
            }
            TypeKind::Base {
                base,
                min,
                max,
                matches,
            } => {
                let text = self.base(*base, min, max, matches);
                self.text(&text);
            }
            TypeKind::Path(names) => self.text(&path(names)),
            TypeKind::Literal(_) | TypeKind::Broken => self.slice(ty.span),
        }
    }

    fn record(&mut self, span: Span, fields: &[TypeField], indent: usize) {
        self.text("{");
        let lines = Lines {
            indent: indent + 2,
            open: span.start as usize + 1,
            close: span.end as usize - 1,
            suffix: ",",
        };
        self.lines(
            &lines,
            fields,
            |_, f| f.name.span.to(f.ty.span),
            |p, f| {
                let head = p.field_head(f);
                p.text(&head);
                p.type_expr(&f.ty, indent + 2);
            },
        );
        self.newline(indent);
        self.text("}");
    }
}

pub(super) fn path(names: &[Name]) -> String {
    names.iter().map(|n| &*n.text).collect::<Vec<_>>().join(".")
}

fn base_word(base: Base) -> &'static str {
    match base {
        Base::Int => "int",
        Base::Number => "number",
        Base::String => "string",
        Base::Bool => "bool",
        Base::Duration => "duration",
        Base::Percent => "percent",
        Base::Size => "size",
        Base::Timestamp => "timestamp",
        Base::Any => "any",
    }
}
