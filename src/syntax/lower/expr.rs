//! Expressions: pest gives operands and operators as a flat list, binding is done here.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::super::ast::*;
use super::super::grammar::{Pair, Rule, parts};
use super::literal::plain_text;
use super::{EXPR_DEPTH, Lower, take};
use crate::diag::Code;
use crate::source::Span;

enum Token {
    Not(Span),
    Neg(Span),
    Operand(Expr),
    Op(BinaryOp),
}

/// Binding power of `not`: below the comparisons, above `and`.
const NOT: u8 = 3;
/// Binding power of a minus sign before an operand: above everything.
const NEG: u8 = 8;

fn power(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And => 2,
        BinaryOp::Eq
        | BinaryOp::Ne
        | BinaryOp::Lt
        | BinaryOp::Le
        | BinaryOp::Gt
        | BinaryOp::Ge
        | BinaryOp::In => 4,
        BinaryOp::Coalesce => 5,
        BinaryOp::Add | BinaryOp::Sub => 6,
        BinaryOp::Mul | BinaryOp::Div => 7,
    }
}

impl Lower<'_> {
    /// `depth`: how many nodes already stand above this one.
    pub(in crate::syntax) fn expr(&mut self, pair: Pair, depth: usize) -> Expr {
        let span = self.span(&pair);
        let mut inner = pair.into_inner();
        if inner.len() == 1
            && let Some(only) = inner.next()
        {
            return match depth < EXPR_DEPTH {
                true => self.primary(only, depth + 1),
                false => self.too_deep(span),
            };
        }
        let links = inner.clone().filter(|p| is_link(p.as_rule())).count();
        let depth = depth + links + 1;
        if depth > EXPR_DEPTH {
            return self.too_deep(span);
        }
        let mut tokens = Vec::new();
        for part in inner {
            self.token(part, depth, &mut tokens);
        }
        climb(&mut tokens.into_iter().peekable(), 0).unwrap_or(Expr::new(ExprKind::Broken, span))
    }

    fn too_deep(&mut self, span: Span) -> Expr {
        let told = self.diagnostics.iter().any(|d| d.code == Code::NESTING);
        if !told {
            self.error(Code::NESTING, span, "this expression is nested too deeply")
                .help = Some(format!(
                "brackets, operators, `if … else if` and members count, at most {EXPR_DEPTH} in one expression; give a part of it a name with `let`"
            ));
        }
        Expr::new(ExprKind::Broken, span)
    }

    fn token(&mut self, part: Pair, depth: usize, tokens: &mut Vec<Token>) {
        let rule = part.as_rule();
        let span = self.span(&part);
        match rule {
            Rule::not => tokens.push(Token::Not(span)),
            Rule::neg => tokens.push(Token::Neg(span)),
            Rule::member | Rule::opt_member | Rule::index | Rule::args => {
                if let Some(Token::Operand(base)) = tokens.pop() {
                    let whole = base.span.to(span);
                    let kind = self.postfix(base, part, depth);
                    tokens.push(Token::Operand(Expr::new(kind, whole)));
                }
            }
            _ => match binary(rule) {
                Some(op) => tokens.push(Token::Op(op)),
                None => tokens.push(Token::Operand(self.primary(part, depth))),
            },
        }
    }

    pub(super) fn postfix(&mut self, base: Expr, part: Pair, depth: usize) -> ExprKind {
        let rule = part.as_rule();
        if rule == Rule::args {
            return ExprKind::Call {
                callee: base,
                args: self.args(part, depth),
            };
        }
        let Some(inner) = parts(part).next() else {
            return ExprKind::Broken;
        };
        if rule == Rule::index {
            return ExprKind::Index {
                base,
                index: self.expr(inner, depth),
            };
        }
        ExprKind::Member {
            base,
            name: self.name(&inner),
            optional: rule == Rule::opt_member,
        }
    }

    pub(super) fn args(&mut self, pair: Pair, depth: usize) -> Vec<Arg> {
        parts(pair).map(|arg| self.arg(arg, depth)).collect()
    }

    fn arg(&mut self, pair: Pair, depth: usize) -> Arg {
        let span = self.span(&pair);
        let mut inner = parts(pair).peekable();
        let name = take(&mut inner, Rule::word).map(|p| self.name(&p));
        Arg {
            name,
            value: self.optional(inner.next(), span, depth),
        }
    }

    /// The expression of a pair, or a broken one where the grammar gave none.
    pub(super) fn optional(&mut self, pair: Option<Pair>, span: Span, depth: usize) -> Expr {
        match pair {
            Some(pair) => self.expr(pair, depth),
            None => Expr::new(ExprKind::Broken, span),
        }
    }

    pub(super) fn primary(&mut self, pair: Pair, depth: usize) -> Expr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::ident => ExprKind::Name(pair.as_str().into()),
            Rule::string => ExprKind::Str(self.string(pair, depth)),
            Rule::raw => {
                let (tag, text) = self.raw(pair);
                ExprKind::Raw { tag, text }
            }
            Rule::number => self.number(&pair),
            Rule::duration => self.duration(&pair),
            Rule::size => self.size(&pair),
            Rule::percent => self.percent(&pair),
            Rule::bad_unit => self.bad_unit(&pair),
            Rule::literal => match pair.as_str() {
                "true" => ExprKind::Bool(true),
                "false" => ExprKind::Bool(false),
                "null" => ExprKind::Null,
                _ => ExprKind::Unset,
            },
            Rule::paren => ExprKind::Paren(self.optional(parts(pair).next(), span, depth)),
            Rule::list => self.list(pair, depth),
            Rule::object => self.object_or_map(pair, depth),
            Rule::if_expr => self.if_expr(pair, depth),
            Rule::quantifier => self.quantifier(pair, depth),
            _ => ExprKind::Broken,
        };
        Expr::new(kind, span)
    }

    fn if_expr(&mut self, pair: Pair, depth: usize) -> ExprKind {
        let span = self.span(&pair);
        let mut inner = parts(pair);
        let condition = self.optional(inner.next(), span, depth);
        let then = self.optional(inner.next(), span, depth);
        let otherwise = self.optional(inner.next(), span, depth);
        ExprKind::If {
            condition,
            then,
            otherwise,
        }
    }

    fn quantifier(&mut self, pair: Pair, depth: usize) -> ExprKind {
        let mut inner = parts(pair);
        let (Some(word), Some(binder)) = (inner.next(), inner.next()) else {
            return ExprKind::Broken;
        };
        ExprKind::Quantifier {
            quantifier: quantifier(word.as_str()),
            binder: self.binder(binder, depth),
            body: inner.next().map(|p| self.expr(p, depth)),
        }
    }

    pub(super) fn binder(&mut self, pair: Pair, depth: usize) -> Binder {
        let span = self.span(&pair);
        let mut inner = parts(pair.clone()).peekable();
        Binder {
            first: self.next_name(&pair, &mut inner),
            second: take(&mut inner, Rule::ident).map(|p| self.name(&p)),
            source: self.optional(inner.next(), span, depth),
            filter: inner.next().map(|p| self.expr(p, depth)),
            span,
        }
    }

    fn comp(&mut self, pair: Pair, depth: usize) -> Option<Binder> {
        parts(pair).next().map(|b| self.binder(b, depth))
    }

    fn list(&mut self, pair: Pair, depth: usize) -> ExprKind {
        let mut items = Vec::new();
        for part in parts(pair) {
            if part.as_rule() == Rule::comp {
                return match (items.pop(), self.comp(part, depth)) {
                    (Some(element), Some(binder)) => ExprKind::ListComp { element, binder },
                    _ => ExprKind::Broken,
                };
            }
            items.push(self.expr(part, depth));
        }
        ExprKind::List(items)
    }

    fn object_or_map(&mut self, pair: Pair, depth: usize) -> ExprKind {
        let span = self.span(&pair);
        let mut fields = Vec::new();
        for part in parts(pair) {
            if part.as_rule() == Rule::comp {
                let Some(binder) = self.comp(part, depth) else {
                    return ExprKind::Broken;
                };
                return self.map_comp(fields.pop(), binder);
            }
            fields.push(self.field(part, depth));
        }
        ExprKind::Object(Object { fields, span })
    }

    fn map_comp(&mut self, field: Option<Field>, binder: Binder) -> ExprKind {
        match field {
            Some(Field::Pair {
                key: Key::Computed(key),
                value,
                shorthand: false,
            }) => ExprKind::MapComp {
                key: *key,
                value,
                binder,
            },
            Some(Field::Pair {
                key: Key::Name(name),
                ..
            }) => {
                let right = format!("[{}]", self.source.slice(name.span));
                let error = self.error(
                    Code::SYNTAX,
                    name.span,
                    format!("the key `{}` is the same for every item", name.text),
                );
                error.help = Some(format!(
                    "write `{right}: …`: a computed key stands in square brackets"
                ));
                ExprKind::Broken
            }
            _ => {
                self.error(
                    Code::SYNTAX,
                    binder.span,
                    "only `[key]: value` can be repeated with `for`",
                );
                ExprKind::Broken
            }
        }
    }

    /// A body: an object that is no comprehension.
    pub(super) fn object(&mut self, pair: Pair, depth: usize) -> Object {
        let span = self.span(&pair);
        let fields = parts(pair).map(|f| self.field(f, depth)).collect();
        Object { fields, span }
    }

    fn field(&mut self, pair: Pair, depth: usize) -> Field {
        let span = self.span(&pair);
        let mut inner = parts(pair);
        match inner.next() {
            Some(p) if p.as_rule() == Rule::spread => Field::Spread {
                value: self.optional(parts(p).next(), span, depth),
                span,
            },
            Some(p) if p.as_rule() == Rule::key => {
                let key = self.key(p, depth);
                Field::Pair {
                    key,
                    value: self.optional(inner.next(), span, depth),
                    shorthand: false,
                }
            }
            Some(p) => {
                let name = self.name(&p);
                let value = Expr::new(ExprKind::Name(name.text.clone()), span);
                Field::Pair {
                    key: Key::Name(name),
                    value,
                    shorthand: true,
                }
            }
            None => Field::Spread {
                value: Expr::new(ExprKind::Broken, span),
                span,
            },
        }
    }

    fn key(&mut self, pair: Pair, depth: usize) -> Key {
        let span = self.span(&pair);
        match parts(pair).next() {
            Some(p) if p.as_rule() == Rule::word => Key::Name(self.name(&p)),
            Some(p) if p.as_rule() == Rule::string => {
                let parts = self.string(p, depth);
                match parts.iter().any(|p| matches!(p, StrPart::Value(_))) {
                    true => Key::Computed(Box::new(Expr::new(ExprKind::Str(parts), span))),
                    false => Key::Name(Name {
                        text: plain_text(&parts),
                        span,
                    }),
                }
            }
            inner => Key::Computed(Box::new(self.optional(inner, span, depth))),
        }
    }
}

fn climb(tokens: &mut Peekable<IntoIter<Token>>, least: u8) -> Option<Expr> {
    let mut left = match tokens.next()? {
        Token::Operand(expr) => expr,
        Token::Not(span) => {
            let inner = climb(tokens, NOT)?;
            let whole = span.to(inner.span);
            Expr::new(ExprKind::Not(inner), whole)
        }
        Token::Neg(span) => {
            let inner = climb(tokens, NEG)?;
            let whole = span.to(inner.span);
            Expr::new(ExprKind::Neg(inner), whole)
        }
        Token::Op(_) => return None,
    };
    while let Some(Token::Op(op)) =
        tokens.next_if(|t| matches!(t, Token::Op(op) if power(*op) >= least))
    {
        let right = climb(tokens, power(op) + 1)?;
        let span = left.span.to(right.span);
        left = Expr::new(ExprKind::Binary { op, left, right }, span);
    }
    Some(left)
}

/// What makes the tree of a flat expression one deeper.
fn is_link(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::not | Rule::neg | Rule::member | Rule::opt_member | Rule::index | Rule::args
    ) || binary(rule).is_some()
}

fn binary(rule: Rule) -> Option<BinaryOp> {
    Some(match rule {
        Rule::or => BinaryOp::Or,
        Rule::and => BinaryOp::And,
        Rule::eq => BinaryOp::Eq,
        Rule::ne => BinaryOp::Ne,
        Rule::lt => BinaryOp::Lt,
        Rule::le => BinaryOp::Le,
        Rule::gt => BinaryOp::Gt,
        Rule::ge => BinaryOp::Ge,
        Rule::contains => BinaryOp::In,
        Rule::coalesce => BinaryOp::Coalesce,
        Rule::plus => BinaryOp::Add,
        Rule::minus => BinaryOp::Sub,
        Rule::times => BinaryOp::Mul,
        Rule::divide => BinaryOp::Div,
        _ => return None,
    })
}

fn quantifier(word: &str) -> Quantifier {
    match word {
        "one" => Quantifier::One,
        "first" => Quantifier::First,
        "all" => Quantifier::All,
        "any" => Quantifier::Any,
        "count" => Quantifier::Count,
        "sum" => Quantifier::Sum,
        "min" => Quantifier::Min,
        _ => Quantifier::Max,
    }
}
