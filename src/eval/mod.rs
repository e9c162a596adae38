//! Pure evaluation: no I/O, no clock, no randomness.
//!
//! What an expression cannot know by itself (names, `it`, hooks, resources to be read afresh) it
//! asks of a [`Scope`]. A scope that cannot answer yet says so with a [`Fault`] that names what is
//! needed; the caller brings it and evaluates again. Values that only a later step will bring
//! ([`Value::Later`]) pass through every operator, so that a plan shows as much as can be known.

mod functions;
mod operators;
mod taint;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::source::Span;
use crate::syntax::ast::{self, Arg, Binder, Expr, ExprKind, Field, Key, Quantifier, StrPart};
use crate::types::functions::Function;
use crate::value::{Fields, Value};

pub use taint::Taint;

/// An expression that has no value: what is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalError {
    pub span: Span,
    pub message: String,
    pub help: Option<String>,
}

impl EvalError {
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        EvalError {
            span,
            message: message.into(),
            help: None,
        }
    }

    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// Why an evaluation stopped.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    Error(Box<EvalError>),
    /// This hook must be computed first; it is pure, so its result may be kept.
    Hook {
        name: Arc<str>,
        args: Vec<Value>,
    },
    /// The resource of this step must be read first.
    Fresh {
        step: Arc<str>,
        span: Span,
    },
}

impl From<EvalError> for Fault {
    fn from(error: EvalError) -> Self {
        Fault::Error(Box::new(error))
    }
}

pub type Evaluated = Result<Value, Fault>;

/// What an expression is evaluated in.
pub trait Scope {
    /// The value of a name that no comprehension binds.
    fn name(&self, name: &str, span: Span) -> Evaluated;
    /// The value of `base[index]` or `base.member` where `base` is a name: scopes may answer it
    /// more precisely than through the whole value of the name. `None`: no special answer.
    fn member(&self, _base: &str, _member: &str, _span: Span) -> Option<Evaluated> {
        None
    }
    /// The result of a hook, if it is one of this scope's and has been computed.
    fn hook(&self, name: &str, args: &[Value]) -> Option<Evaluated>;
    /// The resource of the step that `fresh(step)` names.
    fn fresh(&self, step: &Expr) -> Evaluated;
    /// `planned(T)`, `found(T)` or `sources(value, T)`; only the rules of policies see other bodies.
    fn bodies(&self, _function: Function, _value: &Value, _ty: &Expr) -> Option<Evaluated> {
        None
    }
    /// Who is told what is made of secrets; `None` when there are none.
    fn taint(&self) -> Option<&dyn Taint> {
        None
    }
}

/// Names bound by comprehensions, innermost first.
pub struct Locals<'a> {
    name: &'a str,
    value: Value,
    next: Option<&'a Locals<'a>>,
}

impl Locals<'_> {
    fn get(mut self: &Self, name: &str) -> Option<&Value> {
        loop {
            if self.name == name {
                return Some(&self.value);
            }
            self = self.next?;
        }
    }
}

/// The value of an expression.
pub fn eval(expr: &Expr, scope: &dyn Scope) -> Evaluated {
    Evaluator { scope }.expr(expr, None)
}

/// A condition: `null`, which an absent boolean of an API reads as, is false.
pub fn condition(expr: &Expr, scope: &dyn Scope) -> Result<Truth, Fault> {
    truth(&eval(expr, scope)?, expr.span)
}

#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    Known(bool),
    Later(Arc<BTreeSet<Arc<str>>>),
}

fn truth(value: &Value, span: Span) -> Result<Truth, Fault> {
    match value {
        Value::Bool(b) => Ok(Truth::Known(*b)),
        Value::Null => Ok(Truth::Known(false)),
        Value::Later(steps) => Ok(Truth::Later(Arc::clone(steps))),
        other => Err(EvalError::new(
            span,
            format!("a condition is needed here, this is {}", other.noun()),
        )
        .into()),
    }
}

/// The fields of an object, with spreads merged and `unset` fields left out.
pub fn object(object: &ast::Object, scope: &dyn Scope) -> Evaluated {
    Evaluator { scope }.object(object, None)
}

struct Evaluator<'s> {
    scope: &'s dyn Scope,
}

type Env<'a> = Option<&'a Locals<'a>>;

impl Evaluator<'_> {
    fn expr(&self, expr: &Expr, env: Env<'_>) -> Evaluated {
        match &*expr.kind {
            ExprKind::Null => Ok(Value::Null),
            ExprKind::Unset => Ok(Value::Unset),
            ExprKind::Bool(b) => Ok(Value::Bool(*b)),
            ExprKind::Int(n) => Ok(Value::Int(*n)),
            ExprKind::Float(n) => Ok(Value::Float(*n)),
            ExprKind::Duration(ms) => Ok(Value::Duration(crate::world::Millis(*ms))),
            ExprKind::Size(bytes) => Ok(Value::Size(*bytes)),
            ExprKind::Percent(p) => Ok(Value::Percent(*p)),
            ExprKind::Raw { text, .. } => Ok(Value::Str(Arc::clone(text))),
            ExprKind::Str(parts) => self.text(parts, env),
            ExprKind::Name(name) => self.name(name, expr.span, env),
            ExprKind::Paren(inner) => self.expr(inner, env),
            ExprKind::List(items) => self.list(items, env),
            ExprKind::Object(o) => self.object(o, env),
            ExprKind::ListComp { element, binder } => self.list_comp(element, binder, env),
            ExprKind::MapComp { key, value, binder } => self.map_comp(key, value, binder, env),
            ExprKind::Quantifier {
                quantifier,
                binder,
                body,
            } => self.quantifier(*quantifier, binder, body.as_ref(), expr.span, env),
            ExprKind::If {
                condition,
                then,
                otherwise,
            } => self.choice(condition, then, otherwise, env),
            ExprKind::Not(inner) => match truth(&self.expr(inner, env)?, inner.span)? {
                Truth::Known(b) => Ok(Value::Bool(!b)),
                Truth::Later(steps) => Ok(Value::Later(steps)),
            },
            ExprKind::Neg(inner) => {
                let value = self.expr(inner, env)?;
                let negated = value.clone();
                self.made(std::slice::from_ref(&value), || {
                    operators::negate(negated, expr.span)
                })
            }
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right, env),
            ExprKind::Member {
                base,
                name,
                optional,
            } => self.member(base, name, *optional, env),
            ExprKind::Index { base, index } => self.index(base, index, env),
            ExprKind::Call { callee, args } => self.call(callee, args, expr.span, env),
            ExprKind::Broken => Err(EvalError::new(expr.span, "this text does not parse").into()),
        }
    }

    /// Computes a value from others, and tells when these were secret.
    fn made(&self, from: &[Value], compute: impl FnOnce() -> Evaluated) -> Evaluated {
        let value = compute()?;
        if let Some(taint) = self.scope.taint() {
            taint.made(from, &value);
        }
        Ok(value)
    }

    fn name(&self, name: &Arc<str>, span: Span, env: Env<'_>) -> Evaluated {
        match env.and_then(|locals| locals.get(name)) {
            Some(value) => Ok(value.clone()),
            None => self.scope.name(name, span),
        }
    }

    fn text(&self, parts: &[StrPart], env: Env<'_>) -> Evaluated {
        if parts.is_empty() {
            return Ok(Value::str(""));
        }
        if let [StrPart::Text(text)] = parts {
            return Ok(Value::Str(Arc::clone(text)));
        }
        let mut out = String::new();
        let mut later = Later::default();
        for part in parts {
            match part {
                StrPart::Text(text) => out.push_str(text),
                StrPart::Value(expr) => match self.expr(expr, env)? {
                    Value::Later(steps) => later.add(&steps),
                    Value::Null => {
                        return Err(EvalError::new(
                            expr.span,
                            "this is null and cannot stand in text",
                        )
                        .help("say what to write instead: `${x ?? \"none\"}`")
                        .into());
                    }
                    value => out.push_str(&value.to_string()),
                },
            }
        }
        Ok(later.or(|| Value::str(&out)))
    }

    fn list(&self, items: &[Expr], env: Env<'_>) -> Evaluated {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let value = self.expr(item, env)?;
            if value != Value::Unset {
                out.push(value);
            }
        }
        Ok(Value::list(out))
    }

    fn object(&self, object: &ast::Object, env: Env<'_>) -> Evaluated {
        let mut fields = Fields::new();
        for field in &object.fields {
            match field {
                Field::Pair { key, value, .. } => {
                    let (name, span) = match key {
                        Key::Name(name) => (Arc::clone(&name.text), name.span),
                        Key::Computed(expr) => match self.expr(expr, env)? {
                            Value::Later(steps) => return Ok(Value::Later(steps)),
                            value => (key_text(&value, expr.span)?, expr.span),
                        },
                    };
                    let value = self.expr(value, env)?;
                    if let (Key::Computed(_), true) = (key, fields.contains_key(&name)) {
                        return Err(EvalError::new(
                            span,
                            format!("the key `{name}` stands here twice"),
                        )
                        .into());
                    }
                    match value {
                        Value::Unset => fields.shift_remove(&name),
                        value => fields.insert(name, value),
                    };
                }
                Field::Spread { value, .. } => match self.expr(value, env)? {
                    Value::Map(more) => {
                        for (k, v) in more.iter() {
                            fields.insert(Arc::clone(k), v.clone());
                        }
                    }
                    Value::Null => {}
                    Value::Later(steps) => return Ok(Value::Later(steps)),
                    other => {
                        return Err(EvalError::new(
                            value.span,
                            format!("only an object can be spread, this is {}", other.noun()),
                        )
                        .into());
                    }
                },
            }
        }
        Ok(Value::map(fields))
    }

    fn choice(&self, condition: &Expr, then: &Expr, otherwise: &Expr, env: Env<'_>) -> Evaluated {
        match truth(&self.expr(condition, env)?, condition.span)? {
            Truth::Known(true) => self.expr(then, env),
            Truth::Known(false) => self.expr(otherwise, env),
            Truth::Later(steps) => Ok(Value::Later(steps)),
        }
    }

    fn binary(&self, op: ast::BinaryOp, left: &Expr, right: &Expr, env: Env<'_>) -> Evaluated {
        use ast::BinaryOp::{And, Coalesce, Or};
        let l = self.expr(left, env)?;
        match op {
            And | Or => {
                let decided = op == Or;
                match truth(&l, left.span)? {
                    Truth::Known(b) if b == decided => return Ok(Value::Bool(b)),
                    Truth::Known(_) => {}
                    Truth::Later(steps) => {
                        // The other side may decide alone.
                        return match truth(&self.expr(right, env)?, right.span)? {
                            Truth::Known(b) if b == decided => Ok(Value::Bool(b)),
                            _ => Ok(Value::Later(steps)),
                        };
                    }
                }
                match truth(&self.expr(right, env)?, right.span)? {
                    Truth::Known(b) => Ok(Value::Bool(b)),
                    Truth::Later(steps) => Ok(Value::Later(steps)),
                }
            }
            Coalesce => match l {
                Value::Null => self.expr(right, env),
                value => Ok(value),
            },
            _ => {
                let sides = [l, self.expr(right, env)?];
                let [l, r] = sides.clone();
                self.made(&sides, || {
                    operators::binary(op, l, r, left.span, right.span)
                })
            }
        }
    }

    fn member(&self, base: &Expr, name: &ast::Name, optional: bool, env: Env<'_>) -> Evaluated {
        if let ExprKind::Name(root) = &*base.kind
            && env.and_then(|l| l.get(root)).is_none()
            && let Some(answer) = self.scope.member(root, &name.text, base.span)
        {
            return answer;
        }
        match self.expr(base, env)? {
            Value::Map(fields) => Ok(fields.get(&name.text).cloned().unwrap_or(Value::Null)),
            Value::Null if optional => Ok(Value::Null),
            Value::Null => Err(EvalError::new(
                base.span,
                format!("this is null, so it has no `{}`", name.text),
            )
            .help(format!("write `?.{}` where it may be missing", name.text))
            .into()),
            Value::Later(steps) => Ok(Value::Later(steps)),
            other => {
                Err(EvalError::new(name.span, format!("{} has no fields", other.noun())).into())
            }
        }
    }

    fn index(&self, base: &Expr, index: &Expr, env: Env<'_>) -> Evaluated {
        let container = self.expr(base, env)?;
        let at = self.expr(index, env)?;
        match (&container, &at) {
            (Value::Later(steps), _) | (_, Value::Later(steps)) => {
                Ok(Value::Later(Arc::clone(steps)))
            }
            (Value::List(items), Value::Int(n)) => usize::try_from(*n)
                .ok()
                .and_then(|i| items.get(i).cloned())
                .ok_or_else(|| {
                    let count = items.len();
                    EvalError::new(
                        index.span,
                        format!("there is no element {n}: the list has {count}"),
                    )
                    .into()
                }),
            (Value::Map(fields), key) => {
                let key = key_text(key, index.span)?;
                Ok(fields.get(&key).cloned().unwrap_or(Value::Null))
            }
            (Value::Null, _) => Err(EvalError::new(
                base.span,
                "this is null, so it has no elements",
            )
            .help("say what to use instead: `(x ?? [])[0]`")
            .into()),
            (other, _) => {
                Err(EvalError::new(base.span, format!("{} has no elements", other.noun())).into())
            }
        }
    }

    fn call(&self, callee: &Expr, args: &[Arg], span: Span, env: Env<'_>) -> Evaluated {
        let ExprKind::Name(name) = &*callee.kind else {
            return Err(
                EvalError::new(callee.span, "only functions and hooks can be called").into(),
            );
        };
        if let Some(
            function
            @ (Function::Earlier | Function::Found | Function::Planned | Function::Sources),
        ) = Function::by_name(name)
            && let Some((ty, before)) = args.split_last()
        {
            let value = match before.first() {
                Some(value) => self.expr(&value.value, env)?,
                None => Value::Null,
            };
            if let Some(bodies) = self.scope.bodies(function, &value, &ty.value) {
                return bodies;
            }
        }
        if let (Some(Function::Fresh), [step]) = (Function::by_name(name), args) {
            return self.scope.fresh(&step.value);
        }
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(self.expr(&arg.value, env)?);
        }
        if let Some(function) = Function::by_name(name) {
            return self.made(&values, || functions::call(function, &values, span));
        }
        if let Some(later) = Later::of(&values) {
            return Ok(later);
        }
        match self.scope.hook(name, &values) {
            Some(answer) => answer,
            None => {
                Err(EvalError::new(callee.span, format!("no function or hook `{name}`")).into())
            }
        }
    }

    /// Calls `each` for every element that passes the filter, with its names bound.
    fn each(
        &self,
        binder: &Binder,
        env: Env<'_>,
        mut each: impl FnMut(Env<'_>, &Value) -> Result<Flow, Fault>,
    ) -> Result<Option<Value>, Fault> {
        let source = self.expr(&binder.source, env)?;
        let pairs = match pairs(&source, binder.source.span)? {
            Pairs::Known(pairs) => pairs,
            Pairs::Later(steps) => return Ok(Some(Value::Later(steps))),
        };
        for (key, value) in pairs {
            let (first, second) = match &binder.second {
                Some(_) => (key, value.clone()),
                None => (value.clone(), Value::Null),
            };
            let outer = Locals {
                name: &binder.first.text,
                value: first,
                next: env,
            };
            let inner = binder.second.as_ref().map(|name| Locals {
                name: &name.text,
                value: second,
                next: Some(&outer),
            });
            let env = Some(inner.as_ref().unwrap_or(&outer));
            if let Some(filter) = &binder.filter {
                match truth(&self.expr(filter, env)?, filter.span)? {
                    Truth::Known(true) => {}
                    Truth::Known(false) => continue,
                    Truth::Later(steps) => return Ok(Some(Value::Later(steps))),
                }
            }
            if let Flow::Stop = each(env, &value)? {
                break;
            }
        }
        Ok(None)
    }

    fn list_comp(&self, element: &Expr, binder: &Binder, env: Env<'_>) -> Evaluated {
        let mut out = Vec::new();
        let later = self.each(binder, env, |env, _| {
            let value = self.expr(element, env)?;
            if value != Value::Unset {
                out.push(value);
            }
            Ok(Flow::Go)
        })?;
        Ok(later.unwrap_or_else(|| Value::list(out)))
    }

    fn map_comp(&self, key: &Expr, value: &Expr, binder: &Binder, env: Env<'_>) -> Evaluated {
        let mut out = Fields::new();
        let mut unknown_key = Later::default();
        let later = self.each(binder, env, |env, _| {
            let at = self.expr(key, env)?;
            if let Value::Later(steps) = &at {
                unknown_key.add(steps);
                return Ok(Flow::Stop);
            }
            let name = key_text(&at, key.span)?;
            let item = self.expr(value, env)?;
            if item == Value::Unset {
                return Ok(Flow::Go);
            }
            if out.insert(Arc::clone(&name), item).is_some() {
                return Err(
                    EvalError::new(key.span, format!("the key `{name}` comes twice")).into(),
                );
            }
            Ok(Flow::Go)
        })?;
        Ok(later.unwrap_or_else(|| unknown_key.or(|| Value::map(out))))
    }

    fn quantifier(
        &self,
        quantifier: Quantifier,
        binder: &Binder,
        body: Option<&Expr>,
        span: Span,
        env: Env<'_>,
    ) -> Evaluated {
        let mut later = Later::default();
        let mut seen: Vec<Value> = Vec::new();
        let mut decided = None;
        let stopped = self.each(binder, env, |env, value| {
            let item = match body {
                Some(body) => self.expr(body, env)?,
                None => value.clone(),
            };
            match quantifier {
                Quantifier::All | Quantifier::Any => {
                    let stop_at = quantifier == Quantifier::Any;
                    match truth(&item, body.map_or(span, |b| b.span))? {
                        Truth::Known(b) if b == stop_at => {
                            decided = Some(Value::Bool(b));
                            return Ok(Flow::Stop);
                        }
                        Truth::Known(_) => {}
                        Truth::Later(steps) => later.add(&steps),
                    }
                }
                Quantifier::First => {
                    decided = Some(item);
                    return Ok(Flow::Stop);
                }
                Quantifier::Count => match body {
                    None => seen.push(Value::Null),
                    Some(body) => match truth(&item, body.span)? {
                        Truth::Known(true) => seen.push(Value::Null),
                        Truth::Known(false) => {}
                        Truth::Later(steps) => later.add(&steps),
                    },
                },
                Quantifier::One | Quantifier::Sum | Quantifier::Min | Quantifier::Max => {
                    match &item {
                        Value::Later(steps) => later.add(steps),
                        _ => seen.push(item),
                    }
                }
            }
            Ok(Flow::Go)
        })?;
        if let Some(value) = stopped.or(decided) {
            return Ok(value);
        }
        if let Some(value) = later.value() {
            return Ok(value);
        }
        match quantifier {
            Quantifier::All => Ok(Value::Bool(true)),
            Quantifier::Any => Ok(Value::Bool(false)),
            Quantifier::First => Ok(Value::Null),
            Quantifier::Count => Ok(Value::Int(seen.len() as i64)),
            Quantifier::One => operators::only(seen, span),
            Quantifier::Sum => self.made(&seen.clone(), || operators::sum(seen, span)),
            Quantifier::Min => operators::extreme(seen, std::cmp::Ordering::Less, span),
            Quantifier::Max => operators::extreme(seen, std::cmp::Ordering::Greater, span),
        }
    }
}

enum Flow {
    Go,
    Stop,
}

/// What a loop or a comprehension goes through: keys with values.
pub enum Pairs {
    Known(Vec<(Value, Value)>),
    Later(Arc<BTreeSet<Arc<str>>>),
}

/// The elements of a list with their positions, or of a map in the order of its keys.
pub fn pairs(source: &Value, span: Span) -> Result<Pairs, Fault> {
    match source {
        Value::List(items) => Ok(Pairs::Known(
            items
                .iter()
                .enumerate()
                .map(|(i, v)| (Value::Int(i as i64), v.clone()))
                .collect(),
        )),
        Value::Map(fields) => {
            let mut pairs: Vec<_> = fields
                .iter()
                .map(|(k, v)| (Value::Str(Arc::clone(k)), v.clone()))
                .collect();
            pairs.sort_by(|(a, _), (b, _)| a.as_str().cmp(&b.as_str()));
            Ok(Pairs::Known(pairs))
        }
        Value::Later(steps) => Ok(Pairs::Later(Arc::clone(steps))),
        Value::Null => Err(
            EvalError::new(span, "this is null; a list or a map is needed")
                .help("where it may be missing, write `x ?? []`")
                .into(),
        ),
        other => Err(EvalError::new(
            span,
            format!("a list or a map is needed, this is {}", other.noun()),
        )
        .into()),
    }
}

/// A value as a key: text, or a whole number.
pub fn key_text(value: &Value, span: Span) -> Result<Arc<str>, Fault> {
    match value {
        Value::Str(text) => Ok(Arc::clone(text)),
        Value::Int(n) => Ok(Arc::from(n.to_string())),
        Value::Bool(b) => Ok(Arc::from(b.to_string())),
        other => Err(EvalError::new(span, format!("{} cannot be a key", other.noun())).into()),
    }
}

/// Steps that must run before a value is known.
#[derive(Default)]
struct Later(BTreeSet<Arc<str>>);

impl Later {
    fn add(&mut self, steps: &BTreeSet<Arc<str>>) {
        self.0.extend(steps.iter().cloned());
    }

    fn value(&self) -> Option<Value> {
        (!self.0.is_empty()).then(|| Value::Later(Arc::new(self.0.clone())))
    }

    fn or(self, known: impl FnOnce() -> Value) -> Value {
        self.value().unwrap_or_else(known)
    }

    /// The first of these values that is not known yet.
    fn of(values: &[Value]) -> Option<Value> {
        values.iter().find(|v| v.is_later()).cloned()
    }
}
