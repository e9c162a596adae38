//! What is known to hold at a place of the text: the conditions around it, and what they say about
//! `null`.
//!
//! Conditions are compared as text in a normal form (rule C7): names bound by a loop carry the
//! number of their block, so that two loops over different things never look alike.

use std::collections::HashMap;
use std::fmt::Write;

use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Field, Key, StrPart};

/// Conditions known to be true or false, by their normal form.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    known: Vec<(String, bool)>,
}

impl Facts {
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Forgets all but the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.known.truncate(len);
    }

    /// Adds what follows from the condition being `truth`.
    pub fn assume(&mut self, condition: &Expr, truth: bool, binders: &Binders) {
        match &*condition.kind {
            ExprKind::Paren(inner) => self.assume(inner, truth, binders),
            ExprKind::Not(inner) => self.assume(inner, !truth, binders),
            ExprKind::Binary { op, left, right } => match (op, truth) {
                (BinaryOp::And, true) | (BinaryOp::Or, false) => {
                    self.assume(left, truth, binders);
                    self.assume(right, truth, binders);
                }
                (BinaryOp::Ne, _) => self.add(equality(left, right, binders), !truth),
                (BinaryOp::Eq, _) => self.add(equality(left, right, binders), truth),
                _ => self.add(key(condition, binders), truth),
            },
            _ => self.add(key(condition, binders), truth),
        }
    }

    fn add(&mut self, key: String, truth: bool) {
        self.known.push((key, truth));
    }

    /// Whether the condition is certainly `truth` here.
    pub fn hold(&self, condition: &Expr, truth: bool, binders: &Binders) -> bool {
        if self.is_empty() {
            return false;
        }
        match &*condition.kind {
            ExprKind::Paren(inner) => self.hold(inner, truth, binders),
            ExprKind::Not(inner) => self.hold(inner, !truth, binders),
            ExprKind::Binary { op, left, right } => match (op, truth) {
                (BinaryOp::And, true) | (BinaryOp::Or, false) => {
                    self.hold(left, truth, binders) && self.hold(right, truth, binders)
                }
                (BinaryOp::And, false) | (BinaryOp::Or, true) => {
                    self.hold(left, truth, binders) || self.hold(right, truth, binders)
                }
                (BinaryOp::Ne, _) => self.has(&equality(left, right, binders), !truth),
                (BinaryOp::Eq, _) => self.has(&equality(left, right, binders), truth),
                _ => self.has(&key(condition, binders), truth),
            },
            _ => self.has(&key(condition, binders), truth),
        }
    }

    /// Whether the value of this expression is certainly not null here.
    pub fn not_null(&self, expr: &Expr, binders: &Binders) -> bool {
        !self.is_empty() && self.has(&format!("({} == null)", key(expr, binders)), false)
    }

    fn has(&self, key: &str, truth: bool) -> bool {
        self.known.iter().any(|(k, t)| *t == truth && k == key)
    }
}

/// A number for every name that a loop or a comprehension binds here.
pub type Binders = HashMap<String, u32>;

/// `null` stands on the right in the normal form.
fn equality(left: &Expr, right: &Expr, binders: &Binders) -> String {
    match &*left.kind {
        ExprKind::Null => format!("({} == null)", key(right, binders)),
        _ => format!("({} == {})", key(left, binders), key(right, binders)),
    }
}

/// The normal form of an expression: equal texts are equal values.
pub fn key(expr: &Expr, binders: &Binders) -> String {
    let mut out = String::new();
    write_key(expr, binders, &mut out);
    out
}

fn write_key(expr: &Expr, binders: &Binders, out: &mut String) {
    // Writing into a String cannot fail.
    let mut put = |text: &str| out.push_str(text);
    match &*expr.kind {
        ExprKind::Null => put("null"),
        ExprKind::Unset => put("unset"),
        ExprKind::Bool(b) => put(&b.to_string()),
        ExprKind::Int(n) => put(&n.to_string()),
        ExprKind::Float(n) => put(&n.to_string()),
        ExprKind::Duration(n) => put(&format!("{n}ms")),
        ExprKind::Size(n) => put(&format!("{n}B")),
        ExprKind::Percent(n) => put(&format!("{n}%")),
        ExprKind::Raw { text, .. } => put(&format!("{text:?}")),
        ExprKind::Name(name) => match binders.get(&**name) {
            Some(n) => put(&format!("{name}@{n}")),
            None => put(name),
        },
        ExprKind::Str(parts) => {
            put("\"");
            for part in parts {
                match part {
                    StrPart::Text(text) => out.push_str(text),
                    StrPart::Value(value) => {
                        out.push_str("${");
                        write_key(value, binders, out);
                        out.push('}');
                    }
                }
            }
            out.push('"');
        }
        ExprKind::Paren(inner) => write_key(inner, binders, out),
        ExprKind::Not(inner) => unary("not ", inner, binders, out),
        ExprKind::Neg(inner) => unary("-", inner, binders, out),
        ExprKind::Binary { op, left, right } => {
            out.push('(');
            write_key(left, binders, out);
            let _ = write!(out, " {} ", op.symbol());
            write_key(right, binders, out);
            out.push(')');
        }
        ExprKind::Member { base, name, .. } => {
            write_key(base, binders, out);
            let _ = write!(out, ".{}", name.text);
        }
        ExprKind::Index { base, index } => {
            write_key(base, binders, out);
            out.push('[');
            write_key(index, binders, out);
            out.push(']');
        }
        ExprKind::Call { callee, args } => {
            write_key(callee, binders, out);
            out.push('(');
            for arg in args {
                if let Some(name) = &arg.name {
                    let _ = write!(out, "{}: ", name.text);
                }
                write_key(&arg.value, binders, out);
                out.push(',');
            }
            out.push(')');
        }
        ExprKind::List(items) => {
            out.push('[');
            for item in items {
                write_key(item, binders, out);
                out.push(',');
            }
            out.push(']');
        }
        ExprKind::Object(object) => write_object(&object.fields, binders, out),
        ExprKind::If {
            condition,
            then,
            otherwise,
        } => {
            out.push_str("if ");
            write_key(condition, binders, out);
            out.push_str(" then ");
            write_key(then, binders, out);
            out.push_str(" else ");
            write_key(otherwise, binders, out);
        }
        // What binds names of its own is equal to nothing but itself.
        ExprKind::ListComp { .. }
        | ExprKind::MapComp { .. }
        | ExprKind::Quantifier { .. }
        | ExprKind::Broken => {
            let _ = write!(out, "#{}:{}", expr.span.source.0, expr.span.start);
        }
    }
}

fn unary(op: &str, inner: &Expr, binders: &Binders, out: &mut String) {
    out.push_str(op);
    write_key(inner, binders, out);
}

fn write_object(fields: &[Field], binders: &Binders, out: &mut String) {
    out.push('{');
    for field in fields {
        match field {
            Field::Pair { key, value, .. } => {
                match key {
                    Key::Name(name) => out.push_str(&name.text),
                    Key::Computed(expr) => write_key(expr, binders, out),
                }
                out.push(':');
                write_key(value, binders, out);
            }
            Field::Spread { value, .. } => {
                out.push_str("...");
                write_key(value, binders, out);
            }
        }
        out.push(',');
    }
    out.push('}');
}
