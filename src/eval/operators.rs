//! What operators and quantifiers compute.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{EvalError, Evaluated, Fault, key_text};
use crate::source::Span;
use crate::syntax::ast::BinaryOp;
use crate::value::Value;
use crate::world::{Millis, Timestamp};

/// Every operator but `and`, `or` and `??`, which do not always look at their right side.
pub(super) fn binary(
    op: BinaryOp,
    left: Value,
    right: Value,
    at_left: Span,
    at_right: Span,
) -> Evaluated {
    if let (Value::Later(steps), _) | (_, Value::Later(steps)) = (&left, &right) {
        return Ok(Value::Later(Arc::clone(steps)));
    }
    let both = at_left.to(at_right);
    if let (BinaryOp::Eq | BinaryOp::Ne, Some(later)) = (op, inner_later(&left, &right)) {
        return Ok(later);
    }
    match op {
        BinaryOp::Eq => Ok(Value::Bool(equal(&left, &right))),
        BinaryOp::Ne => Ok(Value::Bool(!equal(&left, &right))),
        BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => {
            let order = compare(&left, &right, both)?;
            Ok(Value::Bool(match op {
                BinaryOp::Lt => order == Ordering::Less,
                BinaryOp::Le => order != Ordering::Greater,
                BinaryOp::Gt => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }))
        }
        BinaryOp::In => contains(&left, &right, at_right),
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div => {
            arithmetic(op, &left, &right, both)
        }
        BinaryOp::And | BinaryOp::Or | BinaryOp::Coalesce => {
            Err(EvalError::new(both, "this operator decides before its right side is known").into())
        }
    }
}

/// What two values still wait for, when either holds something that is not known yet.
fn inner_later(left: &Value, right: &Value) -> Option<Value> {
    deep_later(left).or_else(|| deep_later(right))
}

/// The first thing within a value that is not known yet.
pub(super) fn deep_later(value: &Value) -> Option<Value> {
    match value {
        Value::Later(_) => Some(value.clone()),
        Value::List(items) => items.iter().find_map(deep_later),
        Value::Map(fields) => fields.values().find_map(deep_later),
        _ => None,
    }
}

/// Equality; numbers by value, and a missing boolean of an API is `false`.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => *a as f64 == *b,
        (Value::Null, Value::Bool(b)) | (Value::Bool(b), Value::Null) => !b,
        // int64 fields travel as text.
        (Value::Int(n), Value::Str(s)) | (Value::Str(s), Value::Int(n)) => s.parse() == Ok(*n),
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| equal(v, w)))
        }
        (a, b) => a == b,
    }
}

fn contains(needle: &Value, haystack: &Value, span: Span) -> Evaluated {
    match haystack {
        Value::List(items) if items.iter().any(|item| equal(item, needle)) => Ok(Value::Bool(true)),
        // An element that is not known yet may be the one.
        Value::List(_) => Ok(deep_later(haystack)
            .or_else(|| deep_later(needle))
            .unwrap_or(Value::Bool(false))),
        Value::Map(fields) => Ok(Value::Bool(fields.contains_key(&key_text(needle, span)?))),
        Value::Str(text) => match needle {
            Value::Str(part) => Ok(Value::Bool(text.contains(&**part))),
            other => Err(
                EvalError::new(span, format!("text contains text, not {}", other.noun())).into(),
            ),
        },
        Value::Null => Ok(Value::Bool(false)),
        other => Err(EvalError::new(span, format!("{} contains nothing", other.noun())).into()),
    }
}

pub(super) fn compare(left: &Value, right: &Value, span: Span) -> Result<Ordering, Fault> {
    let order = match (left, right) {
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        (Value::Size(a), Value::Size(b)) => Some(a.cmp(b)),
        (Value::Percent(a), Value::Percent(b)) => a.partial_cmp(b),
        // int64 fields travel as text.
        (Value::Int(a), Value::Str(s)) => s.parse().ok().map(|b| a.cmp(&b)),
        (Value::Str(s), Value::Int(b)) => s.parse().ok().map(|a: i64| a.cmp(b)),
        (a, b) => match (float(a), float(b)) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => None,
        },
    };
    order.ok_or_else(|| {
        EvalError::new(
            span,
            format!("{} and {} have no order", left.noun(), right.noun()),
        )
        .into()
    })
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(n) => Some(*n),
        _ => None,
    }
}

fn arithmetic(op: BinaryOp, left: &Value, right: &Value, span: Span) -> Evaluated {
    use BinaryOp::{Add, Div, Mul, Sub};
    let too_large = || Fault::from(EvalError::new(span, "the result is too large"));
    let by_zero = || Fault::from(EvalError::new(span, "division by zero"));
    let result = match (op, left, right) {
        (Add, Value::Str(a), Value::Str(b)) => Value::str(format!("{a}{b}")),
        (Add, Value::List(a), Value::List(b)) => {
            Value::list(a.iter().chain(b.iter()).cloned().collect())
        }
        (Div, Value::Int(_), Value::Int(0)) => return Err(by_zero()),
        (Div, Value::Int(a), Value::Int(b)) if a % b == 0 => Value::Int(a / b),
        (_, Value::Int(a), Value::Int(b)) if op != Div => Value::Int(
            match op {
                Add => a.checked_add(*b),
                Sub => a.checked_sub(*b),
                _ => a.checked_mul(*b),
            }
            .ok_or_else(too_large)?,
        ),
        (Add | Sub, Value::Duration(a), Value::Duration(b)) => {
            let sum = if op == Add {
                a.0.checked_add(b.0)
            } else {
                a.0.checked_sub(b.0)
            };
            Value::Duration(Millis(sum.ok_or_else(too_large)?))
        }
        (Add | Sub, Value::Size(a), Value::Size(b)) => {
            let sum = if op == Add {
                a.checked_add(*b)
            } else {
                a.checked_sub(*b)
            };
            Value::Size(sum.ok_or_else(too_large)?)
        }
        (Add, Value::Percent(a), Value::Percent(b)) => Value::Percent(a + b),
        (Sub, Value::Percent(a), Value::Percent(b)) => Value::Percent(a - b),
        (Mul, Value::Duration(d), n) | (Mul, n, Value::Duration(d)) => {
            scaled(d.0 as f64, n, span).map(|ms| Value::Duration(Millis(ms.round() as i64)))?
        }
        (Mul, Value::Size(s), n) | (Mul, n, Value::Size(s)) => {
            scaled(*s as f64, n, span).map(|bytes| Value::Size(bytes.round() as u64))?
        }
        (Mul, Value::Percent(p), n) | (Mul, n, Value::Percent(p)) => {
            scaled(*p / 100.0, n, span).map(Value::Float)?
        }
        (Div, Value::Duration(a), Value::Duration(b)) if b.0 != 0 => {
            Value::Float(a.0 as f64 / b.0 as f64)
        }
        (Div, Value::Size(a), Value::Size(b)) if *b != 0 => Value::Float(*a as f64 / *b as f64),
        (Div, Value::Size(s), n) if float(n).is_some_and(|n| n > 0.0) => {
            Value::Size((*s as f64 / float(n).unwrap_or(1.0)).round() as u64)
        }
        (Sub, Value::Str(a), Value::Str(b)) => match (Timestamp::parse(a), Timestamp::parse(b)) {
            (Some(a), Some(b)) => Value::Duration(a.since(b)),
            _ => return Err(unfit(op, left, right, span)),
        },
        (Add | Sub, Value::Str(at), Value::Duration(by)) => match Timestamp::parse(at) {
            Some(at) if op == Add => Value::str(at.plus(*by).rfc3339()),
            Some(at) => Value::str(at.plus(Millis(-by.0)).rfc3339()),
            None => return Err(unfit(op, left, right, span)),
        },
        (Div, Value::Duration(d), n) => match float(n) {
            Some(0.0) => return Err(by_zero()),
            Some(n) => Value::Duration(Millis((d.0 as f64 / n).round() as i64)),
            None => return Err(unfit(op, left, right, span)),
        },
        (_, a, b) => match (float(a), float(b)) {
            (Some(_), Some(0.0)) if op == Div => return Err(by_zero()),
            (Some(a), Some(b)) => Value::Float(match op {
                Add => a + b,
                Sub => a - b,
                Mul => a * b,
                _ => a / b,
            }),
            _ => return Err(unfit(op, left, right, span)),
        },
    };
    match result {
        Value::Float(n) if !n.is_finite() => Err(too_large()),
        result => Ok(result),
    }
}

fn scaled(base: f64, by: &Value, span: Span) -> Result<f64, Fault> {
    match float(by) {
        Some(n) if (base * n).is_finite() => Ok(base * n),
        Some(_) => Err(EvalError::new(span, "the result is too large").into()),
        None => {
            Err(EvalError::new(span, format!("this cannot be multiplied by {}", by.noun())).into())
        }
    }
}

fn unfit(op: BinaryOp, left: &Value, right: &Value, span: Span) -> Fault {
    let word = match op {
        BinaryOp::Add => "added",
        BinaryOp::Sub => "subtracted",
        BinaryOp::Mul => "multiplied",
        _ => "divided",
    };
    EvalError::new(
        span,
        format!("{} and {} cannot be {word}", left.noun(), right.noun()),
    )
    .into()
}

pub(super) fn negate(value: Value, span: Span) -> Evaluated {
    match value {
        Value::Int(n) => n
            .checked_neg()
            .map(Value::Int)
            .ok_or_else(|| EvalError::new(span, "the result is too large").into()),
        Value::Float(n) => Ok(Value::Float(-n)),
        Value::Duration(d) => Ok(Value::Duration(Millis(d.0.saturating_neg()))),
        Value::Later(steps) => Ok(Value::Later(steps)),
        other => Err(EvalError::new(span, format!("{} has no negative", other.noun())).into()),
    }
}

/// The one element that there must be.
pub(super) fn only(mut seen: Vec<Value>, span: Span) -> Evaluated {
    match (seen.pop(), seen.is_empty()) {
        (Some(value), true) => Ok(value),
        (None, _) => Err(EvalError::new(
            span,
            "none of the elements fits; `one` needs exactly one",
        )
        .help("where there may be none, use `first(…)`, which is then null")
        .into()),
        (Some(_), false) => {
            let count = seen.len() + 1;
            Err(EvalError::new(
                span,
                format!("{count} elements fit; `one` needs exactly one"),
            )
            .into())
        }
    }
}

pub(super) fn sum(seen: Vec<Value>, span: Span) -> Evaluated {
    let mut values = seen.into_iter();
    let Some(first) = values.next() else {
        return Ok(Value::Int(0));
    };
    values.try_fold(first, |total, value| {
        arithmetic(BinaryOp::Add, &total, &value, span)
    })
}

/// The smallest or the largest; null of none.
pub(super) fn extreme(seen: Vec<Value>, wanted: Ordering, span: Span) -> Evaluated {
    let mut values = seen.into_iter();
    let Some(mut best) = values.next() else {
        return Ok(Value::Null);
    };
    for value in values {
        if compare(&value, &best, span)? == wanted {
            best = value;
        }
    }
    Ok(best)
}
