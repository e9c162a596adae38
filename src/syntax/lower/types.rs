//! Types.

use super::super::ast::*;
use super::super::grammar::{Pair, Rule, parts};
use super::{EXPR_DEPTH, Lower, take};
use crate::diag::Code;

impl Lower<'_> {
    pub(super) fn type_expr(&mut self, pair: Pair, depth: usize) -> TypeExpr {
        let span = self.span(&pair);
        if depth > EXPR_DEPTH {
            self.error(Code::NESTING, span, "this type is nested too deeply");
            return TypeExpr {
                kind: TypeKind::Broken,
                span,
            };
        }
        let mut options: Vec<TypeExpr> = parts(pair).map(|p| self.type_one(p, depth + 1)).collect();
        match options.len() {
            1 => options.remove(0),
            _ => TypeExpr {
                kind: TypeKind::Union(options),
                span,
            },
        }
    }

    fn type_one(&mut self, pair: Pair, depth: usize) -> TypeExpr {
        let span = self.span(&pair);
        let mut inner = parts(pair).peekable();
        let Some(atom) = inner.next() else {
            return TypeExpr {
                kind: TypeKind::Broken,
                span,
            };
        };
        let plain = TypeExpr {
            span: self.span(&atom),
            kind: self.type_atom(atom, depth),
        };
        match inner.next() {
            Some(_) => TypeExpr {
                kind: TypeKind::Nullable(Box::new(plain)),
                span,
            },
            None => plain,
        }
    }

    fn type_atom(&mut self, atom: Pair, depth: usize) -> TypeKind {
        match atom.as_rule() {
            Rule::string => TypeKind::Literal(self.plain(atom, "a literal type").text),
            Rule::generic => self.generic(atom, depth),
            Rule::ranged => self.ranged(atom),
            Rule::record => {
                TypeKind::Record(parts(atom).map(|f| self.type_field(f, depth)).collect())
            }
            Rule::type_path => TypeKind::Path(self.names(atom)),
            _ => TypeKind::Broken,
        }
    }

    fn generic(&mut self, pair: Pair, depth: usize) -> TypeKind {
        let mut inner = parts(pair);
        let list = inner.next().is_some_and(|c| c.as_str() == "list");
        let Some(element) = inner.next() else {
            return TypeKind::Broken;
        };
        let element = Box::new(self.type_expr(element, depth + 1));
        if list {
            TypeKind::List(element)
        } else {
            TypeKind::Map(element)
        }
    }

    fn ranged(&mut self, pair: Pair) -> TypeKind {
        let mut inner = parts(pair).peekable();
        let base = inner.next().map_or(Base::Any, |b| base(b.as_str()));
        let (mut min, mut max) = (None, None);
        if let Some(range) = take(&mut inner, Rule::range) {
            for bound in parts(range) {
                let low = bound.as_rule() == Rule::low;
                let value = Some(Box::new(self.bound(bound)));
                if low { min = value } else { max = value }
            }
        }
        let matches = inner.next().map(|s| self.plain(s, "a pattern"));
        TypeKind::Base {
            base,
            min,
            max,
            matches,
        }
    }

    fn bound(&mut self, pair: Pair) -> Expr {
        let span = self.span(&pair);
        let mut negative = false;
        let mut value = Expr::new(ExprKind::Broken, span);
        for part in parts(pair) {
            if part.as_rule() == Rule::neg {
                negative = true;
            } else {
                value = self.primary(part, 0);
            }
        }
        if negative {
            Expr::new(ExprKind::Neg(value), span)
        } else {
            value
        }
    }

    fn type_field(&mut self, pair: Pair, depth: usize) -> TypeField {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone()).peekable();
        let name = match inner.next() {
            Some(key) if key.as_rule() == Rule::string => self.plain(key, "the name of a field"),
            Some(key) => self.name(&key),
            None => self.missing_name(&pair),
        };
        let optional = take(&mut inner, Rule::question).is_some();
        let ty = match inner.next() {
            Some(ty) => self.type_expr(ty, depth + 1),
            None => TypeExpr {
                kind: TypeKind::Broken,
                span,
            },
        };
        TypeField {
            name,
            optional,
            ty,
            doc: self.doc(span),
        }
    }
}

fn base(word: &str) -> Base {
    match word {
        "int" => Base::Int,
        "number" => Base::Number,
        "string" => Base::String,
        "bool" => Base::Bool,
        "duration" => Base::Duration,
        "percent" => Base::Percent,
        "size" => Base::Size,
        "timestamp" => Base::Timestamp,
        _ => Base::Any,
    }
}
