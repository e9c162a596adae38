//! Why an expectation is false: the part that decides, with what stands on both sides of it.

use super::no_value;
use super::seen::Bound;
use crate::diag::{Code, Diagnostic};
use crate::eval::{self, Pairs, Scope, Truth};
use crate::fmt;
use crate::store::Vault;
use crate::syntax::ast::{BinaryOp, Binder, Expr, ExprKind, Quantifier};
use crate::value::Value;

/// So many elements are told one by one.
const MOST: usize = 5;
/// So many characters of a value are shown on a line.
const WIDE: usize = 120;

/// Tells what stands in the expectations of a test, without its secrets.
pub(super) struct Why<'a> {
    pub scope: &'a dyn Scope,
    pub vault: &'a Vault,
}

impl Why<'_> {
    /// What is wrong with an expectation; nothing when it holds.
    pub fn refuted(&self, expr: &Expr) -> Option<Diagnostic> {
        match eval::condition(expr, self.scope) {
            Ok(Truth::Known(true)) => None,
            Ok(_) => Some(self.told(expr)),
            Err(stopped) => Some(*no_value(expr.span, stopped)),
        }
    }

    /// An expression that is false.
    fn told(&self, expr: &Expr) -> Diagnostic {
        let finding = Diagnostic::error(Code::FAILED_TEST, expr.span, "this is not as expected")
            .label("is false");
        match &*expr.kind {
            ExprKind::Paren(inner) => self.told(inner),
            ExprKind::Binary {
                op: BinaryOp::And,
                left,
                right,
            } => self
                .refuted(left)
                .or_else(|| self.refuted(right))
                .unwrap_or(finding),
            ExprKind::Binary { op, left, right } if compares(*op) => {
                let Some(sides) = self.sides(*op, left, right) else {
                    return finding;
                };
                let counted = self.counted(left).or_else(|| self.counted(right));
                finding.help(
                    [Some(sides), counted]
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>()
                        .join("\n"),
                )
            }
            ExprKind::Quantifier {
                quantifier: quantifier @ (Quantifier::All | Quantifier::Any),
                binder,
                body,
            } => {
                let wrong = self.elements(binder, body.as_ref(), false);
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

    /// Both sides of a comparison: one below the other, or as a difference of lines where they are
    /// large.
    fn sides(&self, op: BinaryOp, left: &Expr, right: &Expr) -> Option<String> {
        let actual = eval::eval(left, self.scope).ok()?;
        let expected = eval::eval(right, self.scope).ok()?;
        let large = |v: &Value| matches!(v, Value::List(_) | Value::Map(_));
        if op == BinaryOp::Eq && large(&actual) && large(&expected) {
            let difference = fmt::diff(&self.pretty(&expected), &self.pretty(&actual), "");
            let lines = difference.lines().skip(2).filter(|l| !l.starts_with("@@"));
            let lines: Vec<&str> = lines.collect();
            return Some(format!("- expected\n+ actual\n{}", lines.join("\n")));
        }
        let sign = match op {
            BinaryOp::Eq => String::new(),
            op => format!("{} ", op.symbol()),
        };
        Some(format!(
            "expected: {sign}{}\nactual:   {}",
            self.short(&expected),
            self.short(&actual)
        ))
    }

    fn pretty(&self, value: &Value) -> String {
        let text = serde_json::to_string_pretty(&self.vault.mask_json(&value.to_json()));
        format!("{}\n", text.unwrap_or_default())
    }

    /// The elements that a `count` counts.
    fn counted(&self, expr: &Expr) -> Option<String> {
        let ExprKind::Quantifier {
            quantifier: Quantifier::Count,
            binder,
            body,
        } = &*expr.kind
        else {
            return None;
        };
        let all = self.elements(binder, body.as_ref(), true);
        Some(match all.is_empty() {
            true => "nothing is counted".to_owned(),
            false => listed("counted:", &all),
        })
    }

    /// Those elements of a binder for which the body is what is wanted, each on a line.
    fn elements(&self, binder: &Binder, body: Option<&Expr>, wanted: bool) -> Vec<String> {
        let source = eval::eval(&binder.source, self.scope);
        let Ok(Pairs::Known(pairs)) =
            source.and_then(|source| eval::pairs(&source, binder.source.span))
        else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (key, value) in pairs {
            let first = &*binder.first.text;
            let inner = Bound {
                outer: self.scope,
                names: match &binder.second {
                    Some(second) => [
                        Some((first, key.clone())),
                        Some((&*second.text, value.clone())),
                    ],
                    None => [Some((first, value.clone())), None],
                },
            };
            let holds =
                |expr: &Expr| matches!(eval::condition(expr, &inner), Ok(Truth::Known(true)));
            let counts = binder.filter.as_ref().is_none_or(holds);
            if counts && body.is_none_or(holds) == wanted {
                found.push(match key {
                    Value::Str(key) => format!("{}: {}", self.vault.mask(&key), self.short(&value)),
                    _ => self.short(&value),
                });
            }
        }
        found
    }

    /// A value on one line, as a flow would write it; of a call, what was asked of whom.
    fn short(&self, value: &Value) -> String {
        let field = |name: &str| value.get(name).and_then(Value::as_str);
        let text = match (value, field("method"), field("target")) {
            (_, Some(method), Some(target)) => format!("{method} {target}"),
            (Value::Str(_), ..) => value.to_json().to_string(),
            (other, ..) => other.to_string(),
        };
        // Masked before it is cut: half a secret is not found.
        let text = self.vault.mask(&text);
        match text.char_indices().nth(WIDE) {
            Some((end, _)) => format!("{} …", &text[..end]),
            None => text,
        }
    }
}

fn compares(op: BinaryOp) -> bool {
    use BinaryOp::{Eq, Ge, Gt, In, Le, Lt, Ne};
    matches!(op, Eq | Ne | Lt | Le | Gt | Ge | In)
}

fn listed(head: &str, elements: &[String]) -> String {
    let mut lines = vec![head.to_owned()];
    lines.extend(elements.iter().take(MOST).map(|e| format!("  {e}")));
    if let Some(more) = elements.len().checked_sub(MOST).filter(|n| *n > 0) {
        lines.push(format!("  and {more} more"));
    }
    lines.join("\n")
}
