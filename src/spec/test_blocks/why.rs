//! Why an expectation is false: the part that decides, with what stands on both sides of it.

use super::no_value;
use super::seen::Bound;
use crate::diag::{Code, Diagnostic};
use crate::eval::{self, Pairs, Scope, Truth};
use crate::fmt;
use crate::syntax::ast::{BinaryOp, Binder, Expr, ExprKind, Quantifier};
use crate::value::Value;

/// So many elements are told one by one.
const MOST: usize = 5;
/// So many characters of a value are shown on a line.
const WIDE: usize = 160;

/// What is wrong with an expectation; nothing when it holds.
pub(super) fn refuted(expr: &Expr, scope: &dyn Scope) -> Option<Diagnostic> {
    match eval::condition(expr, scope) {
        Ok(Truth::Known(true)) => None,
        Ok(_) => Some(told(expr, scope)),
        Err(stopped) => Some(*no_value(expr.span, stopped)),
    }
}

/// An expression that is false.
fn told(expr: &Expr, scope: &dyn Scope) -> Diagnostic {
    let finding = Diagnostic::error(Code::FAILED_TEST, expr.span, "this is not as expected")
        .label("is false");
    match &*expr.kind {
        ExprKind::Paren(inner) => told(inner, scope),
        ExprKind::Binary {
            op: BinaryOp::And,
            left,
            right,
        } => refuted(left, scope)
            .or_else(|| refuted(right, scope))
            .unwrap_or(finding),
        ExprKind::Binary { op, left, right } if compares(*op) => {
            match (eval::eval(left, scope), eval::eval(right, scope)) {
                (Ok(actual), Ok(expected)) => {
                    let counted = counted(left, scope).or_else(|| counted(right, scope));
                    let sides = sides(*op, &actual, &expected);
                    finding.help(match counted {
                        Some(elements) => format!("{sides}\n{elements}"),
                        None => sides,
                    })
                }
                _ => finding,
            }
        }
        ExprKind::Quantifier {
            quantifier: quantifier @ (Quantifier::All | Quantifier::Any),
            binder,
            body,
        } => {
            let wrong = elements(binder, body.as_ref(), scope, false);
            let head = match quantifier {
                Quantifier::All => "it does not hold for",
                _ if wrong.is_empty() => "there is no element",
                _ => "it holds for none of",
            };
            finding.help(listed(head, &wrong))
        }
        _ => finding,
    }
}

fn compares(op: BinaryOp) -> bool {
    use BinaryOp::{Eq, Ge, Gt, In, Le, Lt, Ne};
    matches!(op, Eq | Ne | Lt | Le | Gt | Ge | In)
}

/// Both sides of a comparison: one below the other, or as a difference of lines where they are large.
fn sides(op: BinaryOp, actual: &Value, expected: &Value) -> String {
    let large = |v: &Value| matches!(v, Value::List(_) | Value::Map(_));
    if op == BinaryOp::Eq && large(actual) && large(expected) {
        let (a, b) = (pretty(expected), pretty(actual));
        let lines = fmt::diff(&a, &b, "");
        let lines = lines.lines().skip(2).filter(|l| !l.starts_with("@@"));
        let lines: Vec<&str> = lines.collect();
        return format!("- expected\n+ actual\n{}", lines.join("\n"));
    }
    let sign = match op {
        BinaryOp::Eq => String::new(),
        op => format!("{} ", op.symbol()),
    };
    format!(
        "expected: {sign}{}\nactual:   {}",
        short(expected),
        short(actual)
    )
}

fn pretty(value: &Value) -> String {
    let text = serde_json::to_string_pretty(&value.to_json());
    format!("{}\n", text.unwrap_or_default())
}

/// The elements that a `count` counts.
fn counted(expr: &Expr, scope: &dyn Scope) -> Option<String> {
    let ExprKind::Quantifier {
        quantifier: Quantifier::Count,
        binder,
        body,
    } = &*expr.kind
    else {
        return None;
    };
    let all = elements(binder, body.as_ref(), scope, true);
    Some(match all.is_empty() {
        true => "nothing is counted".to_owned(),
        false => listed("counted:", &all),
    })
}

/// Those elements of a binder for which the body is what is wanted, each on a line.
fn elements(binder: &Binder, body: Option<&Expr>, scope: &dyn Scope, wanted: bool) -> Vec<String> {
    let source = eval::eval(&binder.source, scope);
    let Ok(Pairs::Known(pairs)) =
        source.and_then(|source| eval::pairs(&source, binder.source.span))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (key, value) in pairs {
        let inner = Bound {
            outer: scope,
            names: match &binder.second {
                Some(second) => [
                    Some((&*binder.first.text, key.clone())),
                    Some((&*second.text, value.clone())),
                ],
                None => [Some((&*binder.first.text, value.clone())), None],
            },
        };
        let holds = |expr: &Expr| matches!(eval::condition(expr, &inner), Ok(Truth::Known(true)));
        let counts = binder.filter.as_ref().is_none_or(holds);
        if counts && body.is_none_or(holds) == wanted {
            found.push(match key {
                Value::Str(key) => format!("{key}: {}", short(&value)),
                _ => short(&value),
            });
        }
    }
    found
}

fn listed(head: &str, elements: &[String]) -> String {
    let mut lines = vec![head.to_owned()];
    lines.extend(elements.iter().take(MOST).map(|e| format!("  {e}")));
    if let Some(more) = elements.len().checked_sub(MOST).filter(|n| *n > 0) {
        lines.push(format!("  and {more} more"));
    }
    lines.join("\n")
}

/// A value on one line, as a flow would write it.
fn short(value: &Value) -> String {
    let text = match value {
        Value::Str(_) => value.to_json().to_string(),
        other => other.to_string(),
    };
    match text.char_indices().nth(WIDE) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}
