//! What the functions of the language compute; their names and parameters stand in `types`.

use std::sync::Arc;

use super::operators::{compare, deep_later, equal};
use super::{EvalError, Evaluated, Fault, Later};
use crate::catalog::compare::same_resource;
use crate::source::Span;
use crate::types::functions::Function;
use crate::value::{Fields, Value};

/// The longest list that `range` makes; a flow has no use for more steps than this.
const RANGE_LIMIT: i64 = 100_000;

pub(super) fn call(function: Function, args: &[Value], span: Span) -> Evaluated {
    let needed = function
        .params()
        .iter()
        .filter(|p| !p.ends_with('?'))
        .count();
    if args.len() < needed || args.len() > function.params().len() {
        return Err(EvalError::new(
            span,
            format!(
                "`{}` takes {} values: {}",
                function.name(),
                needed,
                function.params().join(", ")
            ),
        )
        .into());
    }
    if let Some(later) = Later::of(args) {
        return Ok(later);
    }
    Call {
        function,
        args,
        span,
    }
    .value()
}

struct Call<'a> {
    function: Function,
    args: &'a [Value],
    span: Span,
}

impl Call<'_> {
    fn value(&self) -> Evaluated {
        match self.function {
            Function::Len => self.len(),
            Function::Keys => Ok(Value::list(
                self.sorted_keys(0)?.into_iter().map(Value::Str).collect(),
            )),
            Function::Values => {
                let map = self.map(0)?;
                let keys = self.sorted_keys(0)?;
                Ok(Value::list(keys.iter().map(|k| map[k].clone()).collect()))
            }
            Function::Join => {
                if let Some(later) = deep_later(&self.args[0]) {
                    return Ok(later);
                }
                let parts: Vec<String> = self.list(0)?.iter().map(Value::to_string).collect();
                Ok(Value::str(parts.join(self.text(1)?)))
            }
            Function::Split => {
                let between = self.text(1)?;
                if between.is_empty() {
                    return self.wrong("the text to split at is empty");
                }
                Ok(Value::list(
                    self.text(0)?.split(between).map(Value::str).collect(),
                ))
            }
            Function::Basename => {
                let path = self.text(0)?.trim_end_matches('/');
                Ok(Value::str(path.rsplit('/').next().unwrap_or(path)))
            }
            Function::Lower => Ok(Value::str(self.text(0)?.to_lowercase())),
            Function::Upper => Ok(Value::str(self.text(0)?.to_uppercase())),
            Function::Trim => Ok(Value::str(self.text(0)?.trim())),
            Function::Replace => Ok(Value::str(
                self.text(0)?.replace(self.text(1)?, self.text(2)?),
            )),
            Function::StartsWith => Ok(Value::Bool(self.text(0)?.starts_with(self.text(1)?))),
            Function::EndsWith => Ok(Value::Bool(self.text(0)?.ends_with(self.text(1)?))),
            Function::Matches => self.matches(),
            Function::Fill => self.fill(),
            Function::Text if deep_later(&self.args[0]).is_some() => {
                Ok(deep_later(&self.args[0]).unwrap_or(Value::Null))
            }
            Function::Text => Ok(Value::str(self.args[0].to_string())),
            Function::Int => self.int(),
            Function::Number => self.number(),
            Function::Seconds => match &self.args[0] {
                Value::Duration(d) if d.0 % 1000 == 0 => Ok(Value::Int(d.0 / 1000)),
                Value::Duration(d) => Ok(Value::Float(d.0 as f64 / 1000.0)),
                other => self.wrong(format!("a duration is needed, this is {}", other.noun())),
            },
            Function::Abs => self.on_number(f64::abs, |n| n.checked_abs()),
            Function::Round => self.on_number(f64::round, Some),
            Function::Floor => self.on_number(f64::floor, Some),
            Function::Ceil => self.on_number(f64::ceil, Some),
            Function::Range => self.range(),
            Function::Reverse => Ok(Value::list(self.list(0)?.iter().rev().cloned().collect())),
            Function::Sort => self.sort(),
            Function::Distinct => {
                let mut out: Vec<Value> = Vec::new();
                if let Some(later) = deep_later(&self.args[0]) {
                    return Ok(later);
                }
                for item in self.list(0)? {
                    if !out.iter().any(|seen| equal(seen, item)) {
                        out.push(item.clone());
                    }
                }
                Ok(Value::list(out))
            }
            Function::Flatten => {
                let mut out = Vec::new();
                for inner in self.list(0)? {
                    match inner {
                        Value::List(items) => out.extend(items.iter().cloned()),
                        Value::Later(_) => return Ok(inner.clone()),
                        other => {
                            return self.wrong(format!(
                                "a list of lists is needed, one element is {}",
                                other.noun()
                            ));
                        }
                    }
                }
                Ok(Value::list(out))
            }
            Function::MergeBy => self.merge_by(),
            Function::SameResource => match (&self.args[0], &self.args[1]) {
                (Value::Str(a), Value::Str(b)) => Ok(Value::Bool(same_resource(a, b))),
                _ => Ok(Value::Bool(false)),
            },
            Function::Fresh => self.wrong("`fresh` takes the name of a step"),
            Function::Earlier | Function::Found | Function::Planned | Function::Sources => {
                self.wrong("only a policy sees other bodies")
            }
        }
    }

    fn wrong<T>(&self, what: impl std::fmt::Display) -> Result<T, Fault> {
        Err(EvalError::new(self.span, format!("`{}`: {what}", self.function.name())).into())
    }

    fn text(&self, n: usize) -> Result<&str, Fault> {
        match &self.args[n] {
            Value::Str(text) => Ok(text),
            other => self.wrong(format!(
                "`{}` must be text, this is {}",
                self.function.params()[n],
                other.noun()
            )),
        }
    }

    fn list(&self, n: usize) -> Result<&[Value], Fault> {
        match &self.args[n] {
            Value::List(items) => Ok(items),
            other => self.wrong(format!(
                "`{}` must be a list, this is {}",
                self.function.params()[n],
                other.noun()
            )),
        }
    }

    fn map(&self, n: usize) -> Result<&Fields, Fault> {
        match &self.args[n] {
            Value::Map(fields) => Ok(fields),
            other => self.wrong(format!(
                "`{}` must be a map, this is {}",
                self.function.params()[n],
                other.noun()
            )),
        }
    }

    fn sorted_keys(&self, n: usize) -> Result<Vec<Arc<str>>, Fault> {
        let mut keys: Vec<Arc<str>> = self.map(n)?.keys().cloned().collect();
        keys.sort();
        Ok(keys)
    }

    fn len(&self) -> Evaluated {
        let count = match &self.args[0] {
            Value::List(items) => items.len(),
            Value::Map(fields) => fields.len(),
            Value::Str(text) => text.chars().count(),
            other => {
                return self.wrong(format!(
                    "{} has no length; `x ?? []` helps where it may be missing",
                    other.noun()
                ));
            }
        };
        Ok(Value::Int(count as i64))
    }

    fn matches(&self) -> Evaluated {
        let pattern = self.text(1)?;
        match regex::Regex::new(&format!("^(?:{pattern})$")) {
            Ok(regex) => Ok(Value::Bool(regex.is_match(self.text(0)?))),
            Err(error) => self.wrong(format!("`{pattern}` is no regular expression: {error}")),
        }
    }

    /// `@NAME@` by value; a placeholder without a value and a value without a placeholder are
    /// mistakes that would otherwise show only on the machine that runs the script.
    fn fill(&self) -> Evaluated {
        let mut text = self.text(0)?.to_owned();
        for (name, value) in self.map(1)? {
            if let Value::Later(_) = value {
                return Ok(value.clone());
            }
            let mark = format!("@{name}@");
            if !text.contains(&mark) {
                return self.wrong(format!("the text has no placeholder `{mark}`"));
            }
            text = text.replace(&mark, &value.to_string());
        }
        let left = regex::Regex::new("@[A-Z][A-Z0-9_]*@")
            .ok()
            .and_then(|r| r.find(&text).map(|m| m.as_str().to_owned()));
        match left {
            Some(mark) => self.wrong(format!("no value for the placeholder `{mark}`")),
            None => Ok(Value::str(text)),
        }
    }

    fn int(&self) -> Evaluated {
        let found = match &self.args[0] {
            Value::Int(n) => Some(*n),
            Value::Float(n) if n.fract() == 0.0 && n.abs() < 9e15 => Some(*n as i64),
            Value::Str(text) => text.trim().parse().ok(),
            _ => None,
        };
        match found {
            Some(n) => Ok(Value::Int(n)),
            None => self.wrong(format!("`{}` is no whole number", self.args[0])),
        }
    }

    fn number(&self) -> Evaluated {
        match &self.args[0] {
            value @ (Value::Int(_) | Value::Float(_)) => Ok(value.clone()),
            Value::Percent(p) => Ok(Value::Float(p / 100.0)),
            Value::Str(text) => match text.trim().parse::<f64>() {
                Ok(n) if n.is_finite() => Ok(Value::Float(n)),
                _ => self.wrong(format!("`{text}` is no number")),
            },
            other => self.wrong(format!("{} is no number", other.noun())),
        }
    }

    fn on_number(&self, float: fn(f64) -> f64, int: fn(i64) -> Option<i64>) -> Evaluated {
        match &self.args[0] {
            Value::Int(n) => match int(*n) {
                Some(n) => Ok(Value::Int(n)),
                None => self.wrong("the result is too large"),
            },
            Value::Float(n) => {
                let result = float(*n);
                let whole = self.function != Function::Abs && result.abs() < 9e15;
                Ok(if whole {
                    Value::Int(result as i64)
                } else {
                    Value::Float(result)
                })
            }
            other => self.wrong(format!("a number is needed, this is {}", other.noun())),
        }
    }

    fn range(&self) -> Evaluated {
        let (Value::Int(from), Value::Int(to)) = (&self.args[0], &self.args[1]) else {
            return self.wrong("two whole numbers are needed");
        };
        if to.saturating_sub(*from) > RANGE_LIMIT {
            return self.wrong(format!("more than {RANGE_LIMIT} numbers"));
        }
        Ok(Value::list((*from..*to).map(Value::Int).collect()))
    }

    fn sort(&self) -> Evaluated {
        let mut items = self.list(0)?.to_vec();
        if let Some(later) = Later::of(&items) {
            return Ok(later);
        }
        let mut fault = None;
        items.sort_by(|a, b| {
            compare(a, b, self.span).unwrap_or_else(|f| {
                fault.get_or_insert(f);
                std::cmp::Ordering::Equal
            })
        });
        fault.map_or(Ok(Value::list(items)), Err)
    }

    fn merge_by(&self) -> Evaluated {
        let key = self.text(0)?;
        let mut out: Vec<Value> = match &self.args[1] {
            Value::Null | Value::Unset => Vec::new(),
            Value::List(items) => items.to_vec(),
            other => return self.wrong(format!("`list` must be a list, this is {}", other.noun())),
        };
        for item in self.list(2)? {
            let wanted = item.get(key).cloned().unwrap_or(Value::Null);
            if wanted.is_later() {
                return Ok(wanted);
            }
            let same = |old: &Value| old.get(key).is_some_and(|k| equal(k, &wanted));
            match out.iter().position(same) {
                Some(at) => out[at] = merged(&out[at], item),
                None => out.push(item.clone()),
            }
        }
        Ok(Value::list(out))
    }
}

/// The old element with the fields of the new one: what a server added to it stays.
fn merged(old: &Value, new: &Value) -> Value {
    match (old, new) {
        (Value::Map(old), Value::Map(new)) => {
            let mut fields = (**old).clone();
            for (k, v) in new.iter() {
                fields.insert(Arc::clone(k), v.clone());
            }
            Value::map(fields)
        }
        _ => new.clone(),
    }
}
