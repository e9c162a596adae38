//! Operators: what they take and what they give.

use std::sync::Arc;

use super::Checker;
use super::scope::Scope;
use super::symbols::unparenthesised;
use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind};
use crate::types::{Bounds, Type};

/// A step or `let` of a loop, used outside it as if it were one.
pub(super) struct OverLoop {
    pub name: Arc<str>,
    /// The first name of the loop.
    pub key: Arc<str>,
    pub declared: Span,
}

impl<'p> Checker<'_, 'p> {
    pub(super) fn binary(
        &mut self,
        op: BinaryOp,
        left: &'p Expr,
        right: &'p Expr,
        span: Span,
        scope: &mut Scope,
    ) -> Type {
        match op {
            BinaryOp::And | BinaryOp::Or => self.connective(op, left, right, scope),
            BinaryOp::Coalesce => self.coalesce(left, right, scope),
            BinaryOp::Eq | BinaryOp::Ne => self.equality(left, right, scope),
            BinaryOp::In => self.membership(left, right, scope),
            BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => {
                self.ordering(op, left, right, span, scope)
            }
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div => {
                self.arithmetic(op, left, right, span, scope)
            }
        }
    }

    fn equality(&mut self, left: &'p Expr, right: &'p Expr, scope: &mut Scope) -> Type {
        let (a, sealed) = self.infer(left, scope).unsealed();
        let (b, also) = self.infer(right, scope).unsealed();
        if matches!((&a, &b), (Type::Link, Type::Link)) {
            self.report(
                Diagnostic::warning(
                    Code::LINKS_AS_TEXT,
                    left.span.to(right.span),
                    "links are compared as text here, and one resource has several links",
                )
                .help("compare what they name: `same_resource(a, b)`"),
            );
        }
        self.comparable(&a, left, &b, right);
        Type::Bool.sealed(sealed || also)
    }

    /// Reports a comparison that can never be true.
    fn comparable(&mut self, a: &Type, left: &Expr, b: &Type, right: &Expr) {
        let (a, b) = (a.clone().without_null(), b.clone().without_null());
        match (&a, &b) {
            (Type::Never, _) | (_, Type::Never) => {}
            (choices, Type::Literal(text)) if self.never_equals(choices, text, right.span) => {}
            (Type::Literal(text), choices) if self.never_equals(choices, text, left.span) => {}
            (a, b) if alike(a, b) => {}
            (Type::Union(members), other) | (other, Type::Union(members))
                if members.iter().any(|m| alike(m, other)) => {}
            _ => self.report(
                Diagnostic::error(
                    Code::BAD_OPERANDS,
                    left.span.to(right.span),
                    format!(
                        "`{}` and `{}` are never equal",
                        a.clone().widened(),
                        b.clone().widened()
                    ),
                )
                .help(comparison_help(&a, &b)),
            ),
        }
    }

    /// Reports a text that is none of the values on the other side; true when it was reported.
    fn never_equals(&mut self, choices: &Type, text: &Arc<str>, span: Span) -> bool {
        let known: Vec<Arc<str>> = match choices {
            Type::Enum(choices) => choices.values.iter().map(|(v, _)| Arc::clone(v)).collect(),
            Type::Union(members) if members.iter().all(|m| matches!(m, Type::Literal(_))) => {
                members.iter().filter_map(Type::constant_text).collect()
            }
            _ => return false,
        };
        if known.contains(text) {
            return false;
        }
        let finding = Diagnostic::error(
            Code::WRONG_ENUM,
            span,
            format!("the other side is never {text:?}"),
        );
        self.report(with_choices(finding, text, &known, span));
        true
    }

    fn membership(&mut self, left: &'p Expr, right: &'p Expr, scope: &mut Scope) -> Type {
        let (a, sealed) = self.infer(left, scope).unsealed();
        if let ExprKind::List(items) = &*unparenthesised(right).kind {
            let mut also = false;
            for item in items {
                let (ty, secret) = self.infer(item, scope).unsealed();
                also |= secret;
                self.comparable(&a, left, &ty, item);
            }
            return Type::Bool.sealed(sealed || also);
        }
        let (b, also) = self.infer(right, scope).unsealed();
        let found = Type::Bool.sealed(sealed || also);
        match &b {
            b if b.is_loose() => {}
            Type::List(element) => self.comparable(&a, left, element, right),
            Type::Map(_) | Type::Record(_) => {
                if !a.is_loose() && !a.is_text() && !matches!(a, Type::Int(_)) {
                    self.report(Diagnostic::error(
                        Code::BAD_OPERANDS,
                        left.span,
                        format!("the keys of a map are text, and this is `{a}`"),
                    ));
                }
            }
            b if b.may_be_null() => self.report(
                Diagnostic::error(
                    Code::MAYBE_NULL,
                    right.span,
                    "this may be null, and `in` looks into a list or a map",
                )
                .label(format!("is `{b}`"))
                .help("write `?? []` behind it"),
            ),
            other => self.report(
                Diagnostic::error(
                    Code::BAD_OPERANDS,
                    right.span,
                    format!("`in` looks into a list or a map, and this is `{other}`"),
                )
                .help("write a list: `x in [\"a\", \"b\"]`"),
            ),
        }
        found
    }

    fn ordering(
        &mut self,
        op: BinaryOp,
        left: &'p Expr,
        right: &'p Expr,
        span: Span,
        scope: &mut Scope,
    ) -> Type {
        let (a, sealed) = self.infer(left, scope).unsealed();
        let (b, also) = self.infer(right, scope).unsealed();
        let a = self.operand(a, left, op);
        let b = self.operand(b, right, op);
        let fine = a.is_loose()
            || b.is_loose()
            || (a.is_number() && b.is_number())
            || (a.is_text() && b.is_text())
            || matches!(
                (&a, &b),
                (Type::Duration(_), Type::Duration(_))
                    | (Type::Percent(_), Type::Percent(_))
                    | (Type::Size(_), Type::Size(_))
                    | (Type::Timestamp, Type::Timestamp)
            );
        if !fine {
            self.report(
                Diagnostic::error(
                    Code::BAD_OPERANDS,
                    span,
                    format!(
                        "`{}` and `{}` have no order",
                        a.clone().widened(),
                        b.clone().widened()
                    ),
                )
                .help(comparison_help(&a, &b)),
            );
        }
        Type::Bool.sealed(sealed || also)
    }

    /// An operand that must not be null.
    fn operand(&mut self, ty: Type, expr: &Expr, op: BinaryOp) -> Type {
        if ty.may_be_null() && !ty.is_loose() {
            self.report(
                Diagnostic::error(
                    Code::MAYBE_NULL,
                    expr.span,
                    format!("this may be null, and `{}` needs a value", op.symbol()),
                )
                .label(format!("is `{ty}`"))
                .help("say what counts then: `(… ?? 0)`"),
            );
            return Type::Unknown;
        }
        ty
    }

    fn arithmetic(
        &mut self,
        op: BinaryOp,
        left: &'p Expr,
        right: &'p Expr,
        span: Span,
        scope: &mut Scope,
    ) -> Type {
        let (a, sealed) = self.infer(left, scope).unsealed();
        let (b, also) = self.infer(right, scope).unsealed();
        let a = self.operand(a, left, op);
        let b = self.operand(b, right, op);
        let secret = sealed || also;
        if matches!(a, Type::Unknown) || matches!(b, Type::Unknown) {
            return Type::Unknown;
        }
        match computed(op, &a, &b) {
            Some(ty) => ty.sealed(secret),
            None => {
                self.report(
                    Diagnostic::error(
                        Code::BAD_OPERANDS,
                        span,
                        format!(
                            "`{}` does not take `{}` and `{}`",
                            op.symbol(),
                            a.clone().widened(),
                            b.clone().widened()
                        ),
                    )
                    .help(arithmetic_help(&a, &b)),
                );
                Type::Unknown
            }
        }
    }

    pub(super) fn negated(&mut self, inner: &'p Expr, scope: &mut Scope) -> Type {
        let (ty, secret) = self.infer(inner, scope).unsealed();
        let ty = self.operand(ty, inner, BinaryOp::Sub);
        let negated = match ty {
            Type::Int(b) => Type::Int(Bounds {
                min: b.max.and_then(i64::checked_neg),
                max: b.min.and_then(i64::checked_neg),
            }),
            Type::Number(b) => Type::Number(Bounds {
                min: b.max.map(|n| -n),
                max: b.min.map(|n| -n),
            }),
            Type::Duration(b) => Type::Duration(Bounds {
                min: b.max.and_then(i64::checked_neg),
                max: b.min.and_then(i64::checked_neg),
            }),
            ty if ty.is_loose() => ty,
            other => {
                self.report(Diagnostic::error(
                    Code::BAD_OPERANDS,
                    inner.span,
                    format!("`{other}` has no negative"),
                ));
                Type::Unknown
            }
        };
        negated.sealed(secret)
    }

    pub(super) fn report_over_loop(&mut self, base: &Expr, field: &str, over: OverLoop) {
        let OverLoop {
            name,
            key,
            declared,
        } = over;
        self.report(
            Diagnostic::error(
                Code::OVER_A_LOOP,
                base.span,
                format!("`{name}` is one for each `{key}` here, so it has no `{field}` of its own"),
            )
            .related(declared, "declared inside a `for`")
            .help(format!(
                "write `{name}[{key}].{field}` for one of them, or `[x.{field} for x in {name}]` for all"
            )),
        );
    }
}

/// Adds the nearest right value to a finding, or all of them when they are few.
pub(super) fn with_choices(
    finding: Diagnostic,
    text: &str,
    known: &[Arc<str>],
    span: Span,
) -> Diagnostic {
    if let Some(near) = nearest(text, known.iter().map(|k| &**k)) {
        return finding
            .help(format!("did you mean {near:?}?"))
            .fix(span, format!("{near:?}"));
    }
    let shown: Vec<String> = known.iter().take(12).map(|k| format!("{k:?}")).collect();
    let more = if known.len() > shown.len() {
        ", …"
    } else {
        ""
    };
    finding.help(format!("it is one of {}{more}", shown.join(", ")))
}

/// Whether two values of these types can be equal at all.
fn alike(a: &Type, b: &Type) -> bool {
    if a.is_loose() || b.is_loose() || matches!(a, Type::Null) || matches!(b, Type::Null) {
        return true;
    }
    (a.is_text() && b.is_text())
        || (a.is_number() && b.is_number())
        || match (a, b) {
            (Type::List(a), Type::List(b)) | (Type::Map(a), Type::Map(b)) => alike(a, b),
            _ => {
                let object = |t: &Type| {
                    matches!(
                        t,
                        Type::Record(_) | Type::Map(_) | Type::Schema(_) | Type::Inline(_)
                    )
                };
                (object(a) && object(b)) || std::mem::discriminant(a) == std::mem::discriminant(b)
            }
        }
}

/// What arithmetic gives, where it is defined.
fn computed(op: BinaryOp, a: &Type, b: &Type) -> Option<Type> {
    use BinaryOp::{Add, Div, Mul, Sub};
    use Type::{Duration, Int, Percent, Size, Timestamp};
    if a.is_loose() || b.is_loose() {
        return Some(Type::Unknown);
    }
    let (number_a, number_b) = (a.is_number(), b.is_number());
    Some(match (op, a, b) {
        (Add | Sub | Mul, Int(_), Int(_)) => Type::INT,
        _ if number_a && number_b => Type::NUMBER,
        (Add | Sub, Duration(_), Duration(_)) => Type::DURATION,
        (Mul, Duration(_), _) if number_b => Type::DURATION,
        (Mul, _, Duration(_)) if number_a => Type::DURATION,
        (Div, Duration(_), _) if number_b => Type::DURATION,
        (Div, Duration(_), Duration(_)) => Type::NUMBER,
        (Add | Sub, Size(_), Size(_)) => Type::SIZE,
        (Mul, Size(_), _) if number_b => Type::SIZE,
        (Mul, _, Size(_)) if number_a => Type::SIZE,
        (Div, Size(_), _) if number_b => Type::SIZE,
        (Div, Size(_), Size(_)) => Type::NUMBER,
        (Add | Sub, Percent(_), Percent(_)) => Type::PERCENT,
        (Add | Sub, Timestamp, Duration(_)) | (Add, Duration(_), Timestamp) => Timestamp,
        (Sub, Timestamp, Timestamp) => Type::DURATION,
        _ => return None,
    })
}

fn comparison_help(a: &Type, b: &Type) -> &'static str {
    match (a, b) {
        (Type::Duration(_), n) | (n, Type::Duration(_)) if n.is_number() => {
            "compare numbers of seconds: `seconds(1d)`"
        }
        (t, n) | (n, t) if t.is_text() && n.is_number() => {
            "make a number of the text with `int(…)` or `number(…)`, or a text of the number: `\"${n}\"`"
        }
        (Type::Bool, t) | (t, Type::Bool) if t.is_text() => {
            "truth values are written `true` and `false`"
        }
        _ => "compare values of one type",
    }
}

fn arithmetic_help(a: &Type, b: &Type) -> &'static str {
    match (a, b) {
        (t, _) | (_, t) if t.is_text() => "put texts together inside one: `\"${a}${b}\"`",
        (Type::List(_), Type::List(_)) => "put lists together with `flatten([a, b])`",
        (Type::Duration(_), n) | (n, Type::Duration(_)) if n.is_number() => {
            "write a unit: `10s`, `5m`"
        }
        _ => "use values of one type",
    }
}
