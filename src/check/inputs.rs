//! Inputs: of a `run` step as expressions, of a run as texts and JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value as Json;

use super::Checker;
use super::declared::Declared;
use super::names::{Flow, FlowId, Names};
use super::scope::Scope;
use super::want::Want;
use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::ast::{Expr, Field, Key, Object};
use crate::types::{Bounds, Record, Type};
use crate::value::{Fields, Value};
use crate::world::{Millis, Timestamp};

/// One given input.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// From a flag, the environment or a prompt: a text that its type reads.
    Text { text: String, origin: String },
    /// From a file.
    Json { value: Json, origin: String },
}

impl Given {
    /// Where it came from, for messages: `--input`, `inputs.toml`, `R5FLOW_INPUT_BUILD`.
    pub fn origin(&self) -> &str {
        match self {
            Given::Text { origin, .. } | Given::Json { origin, .. } => origin,
        }
    }
}

/// What is wrong with the inputs of a run. It has no place in the flow, but in what was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputProblem {
    pub code: Code,
    /// The input, and the path into it: `groups.us-central1.min`.
    pub path: String,
    /// Lower case, without a full stop.
    pub message: String,
    pub help: Option<String>,
    /// Where the value came from; empty for what is missing.
    pub origin: String,
    /// Where the input is declared.
    pub declared: Option<Span>,
}

/// The values of a workflow's inputs. Those that are not given and have a default are left out of
/// the answer: the evaluator computes defaults.
///
/// # Errors
/// Everything that is wrong, at once: unknown and missing names, values that do not fit.
pub fn inputs(
    names: &Names<'_>,
    flow: FlowId,
    given: BTreeMap<String, Given>,
) -> Result<BTreeMap<Arc<str>, Value>, Vec<InputProblem>> {
    let (values, problems) = inputs_known(names, flow, given);
    match problems.is_empty() {
        true => Ok(values),
        false => Err(problems),
    }
}

/// The values that are known, and what is wrong with the others.
pub fn inputs_known(
    names: &Names<'_>,
    flow: FlowId,
    given: BTreeMap<String, Given>,
) -> (BTreeMap<Arc<str>, Value>, Vec<InputProblem>) {
    let flow = names.flow(flow);
    let mut types = Declared::new(names, None);
    let mut values = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, given) in &given {
        if !flow.inputs.iter().any(|i| *i.name.text == **name) {
            problems.push(unknown(flow, name, given));
        }
    }
    for input in &flow.inputs {
        let name = &*input.name.text;
        let ty = types.resolve(flow.module, &input.ty);
        match given.get(name) {
            None if input.default.is_some() => {}
            None if ty.may_be_null() => {
                values.insert(Arc::clone(&input.name.text), Value::Null);
            }
            None => problems.push(InputProblem {
                code: Code::MISSING_INPUT,
                path: name.to_owned(),
                message: format!("the input `{name}` is missing: it is `{ty}`"),
                help: Some(match input.secret {
                    true => format!(
                        "a secret is given by `R5FLOW_INPUT_{}` or a file",
                        name.to_uppercase()
                    ),
                    false => {
                        format!("give it with `--input {name}=…`, or in a file with `--inputs`")
                    }
                }),
                origin: String::new(),
                declared: Some(input.name.span),
            }),
            Some(given) => {
                let mut reader = Reader {
                    secret: input.secret,
                    faults: Vec::new(),
                };
                let value = match given {
                    Given::Text { text, .. } => reader.text(&ty, name, text),
                    Given::Json { value, .. } => reader.json(&ty, name, value),
                };
                for (path, message, help) in reader.faults {
                    problems.push(InputProblem {
                        code: Code::BAD_INPUT,
                        path,
                        message,
                        help,
                        origin: given.origin().to_owned(),
                        declared: Some(input.name.span),
                    });
                }
                values.insert(Arc::clone(&input.name.text), value);
            }
        }
    }
    (values, problems)
}

fn unknown(flow: &Flow<'_>, name: &str, given: &Given) -> InputProblem {
    let known: Vec<&str> = flow.inputs.iter().map(|i| &*i.name.text).collect();
    InputProblem {
        code: Code::UNKNOWN_INPUT,
        path: name.to_owned(),
        message: format!("`{}` has no input `{name}`", flow.name()),
        help: Some(match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "it takes none".to_owned(),
            None => format!("it has {}", known.join(", ")),
        }),
        origin: given.origin().to_owned(),
        declared: None,
    }
}

/// Reads one value by its type and gathers what is wrong with it.
struct Reader {
    /// Secrets are never shown, not even in a message about them.
    secret: bool,
    /// Path, message, help.
    faults: Vec<(String, String, Option<String>)>,
}

impl Reader {
    fn fault(&mut self, path: &str, message: String) -> Value {
        self.faults.push((path.to_owned(), message, None));
        Value::Null
    }

    fn shown(&self, text: &str) -> String {
        match self.secret {
            true => "the secret given".to_owned(),
            false => format!("`{text}`"),
        }
    }

    /// A text from the command line or the environment.
    fn text(&mut self, ty: &Type, path: &str, text: &str) -> Value {
        match ty {
            Type::Nullable(_) if text == "null" => Value::Null,
            Type::Nullable(inner) | Type::Secret(inner) => self.text(inner, path, text),
            Type::Str(_) | Type::Literal(_) | Type::Enum(_) | Type::Link => {
                self.json(ty, path, &Json::String(text.to_owned()))
            }
            Type::Union(members) => {
                let plain = members.iter().any(|m| fits_text(m, text));
                let json = serde_json::from_str(text)
                    .ok()
                    .filter(|_| !plain)
                    .unwrap_or_else(|| Json::String(text.to_owned()));
                self.json(ty, path, &json)
            }
            Type::Int(_) | Type::Number(_) | Type::Bool | Type::Any | Type::Unknown => {
                match serde_json::from_str(text) {
                    Ok(json) => self.json(ty, path, &json),
                    Err(_) if matches!(ty, Type::Any | Type::Unknown) => Value::str(text),
                    Err(_) => {
                        let message =
                            format!("`{path}` takes `{ty}`, and {} is none", self.shown(text));
                        self.fault(path, message)
                    }
                }
            }
            Type::List(_) | Type::Map(_) | Type::Record(_) | Type::Schema(_) | Type::Inline(_) => {
                match serde_json::from_str(text) {
                    Ok(json) => self.json(ty, path, &json),
                    Err(e) => {
                        let message =
                            format!("`{path}` takes `{ty}` as JSON, and this is none: {e}");
                        let help = "for example `{\"a\": 1}` or `[\"a\", \"b\"]`; a file is easier to write";
                        self.faults
                            .push((path.to_owned(), message, Some(help.to_owned())));
                        Value::Null
                    }
                }
            }
            _ => self.json(ty, path, &Json::String(text.to_owned())),
        }
    }

    fn json(&mut self, ty: &Type, path: &str, json: &Json) -> Value {
        match (ty, json) {
            (Type::Unknown | Type::Any | Type::Never | Type::Schema(_) | Type::Inline(_), json) => {
                Value::from_json(json)
            }
            (Type::Secret(inner), json) => self.json(inner, path, json),
            (Type::Nullable(_) | Type::Null, Json::Null) => Value::Null,
            (Type::Nullable(inner), json) => self.json(inner, path, json),
            (Type::Union(members), json) => self.union(members, ty, path, json),
            (Type::Bool, Json::Bool(b)) => Value::Bool(*b),
            (Type::Int(bounds), Json::Number(n)) => match whole(n) {
                Some(n) if within(bounds, n) => Value::Int(n),
                _ => self.misfit(ty, path, json),
            },
            (Type::Number(bounds), Json::Number(n)) => match n.as_f64() {
                Some(f) if within(bounds, f) => match whole(n) {
                    Some(n) => Value::Int(n),
                    None => Value::Float(f),
                },
                _ => self.misfit(ty, path, json),
            },
            (Type::Str(pattern), Json::String(text)) => self.string(pattern.as_ref(), path, text),
            (Type::Link, Json::String(text)) => Value::str(text),
            (Type::Literal(wanted), Json::String(text)) if **wanted == **text => Value::str(text),
            (Type::Enum(choices), Json::String(text))
                if choices.values.iter().any(|(v, _)| **v == **text) =>
            {
                Value::str(text)
            }
            (Type::Duration(bounds), Json::String(text)) => match duration(text) {
                Some(ms) if within(bounds, ms) => Value::Duration(Millis(ms)),
                _ => self.misfit(ty, path, json),
            },
            (Type::Percent(bounds), Json::String(text)) => match percent(text) {
                Some(p) if within(bounds, p) => Value::Percent(p),
                _ => self.misfit(ty, path, json),
            },
            (Type::Size(bounds), Json::String(text)) => match size(text) {
                Some(bytes) if within(bounds, bytes) => Value::Size(bytes),
                _ => self.misfit(ty, path, json),
            },
            (Type::Timestamp, Json::String(text)) if Timestamp::parse(text).is_some() => {
                Value::str(text)
            }
            (Type::List(element), Json::Array(items)) => Value::list(
                items
                    .iter()
                    .enumerate()
                    .map(|(n, item)| self.json(element, &format!("{path}[{n}]"), item))
                    .collect(),
            ),
            (Type::Map(value), Json::Object(fields)) => Value::map(
                fields
                    .iter()
                    .map(|(k, v)| {
                        (
                            Arc::from(k.as_str()),
                            self.json(value, &format!("{path}.{k}"), v),
                        )
                    })
                    .collect(),
            ),
            (Type::Record(record), Json::Object(fields)) => self.record(record, path, fields),
            (ty, json) => self.misfit(ty, path, json),
        }
    }

    fn string(&mut self, pattern: Option<&Arc<str>>, path: &str, text: &str) -> Value {
        if let Some(pattern) = pattern {
            let regex = Regex::new(&format!("^(?:{pattern})$"));
            if regex.is_ok_and(|r| !r.is_match(text)) {
                let message = format!(
                    "`{path}` takes text that matches `{pattern}` as a whole, and {} does not",
                    self.shown(text)
                );
                return self.fault(path, message);
            }
        }
        Value::str(text)
    }

    fn union(&mut self, members: &[Type], ty: &Type, path: &str, json: &Json) -> Value {
        for member in members {
            let mut attempt = Reader {
                secret: self.secret,
                faults: Vec::new(),
            };
            let value = attempt.json(member, path, json);
            if attempt.faults.is_empty() {
                return value;
            }
        }
        self.misfit(ty, path, json);
        let literals: Vec<Arc<str>> = members.iter().filter_map(Type::constant_text).collect();
        if let (Json::String(text), Some(last)) = (json, self.faults.last_mut())
            && let Some(near) = nearest(text, literals.iter().map(|l| &**l))
        {
            last.2 = Some(format!("did you mean {near:?}?"));
        }
        Value::Null
    }

    fn record(
        &mut self,
        record: &Record,
        path: &str,
        given: &serde_json::Map<String, Json>,
    ) -> Value {
        let mut fields = Fields::new();
        for (name, part) in &record.fields {
            let at = format!("{path}.{name}");
            match given.get(&**name) {
                Some(Json::Null) | None if part.optional => {}
                None if part.ty.may_be_null() => {
                    fields.insert(Arc::clone(name), Value::Null);
                }
                None => {
                    let message = format!("`{at}` is missing: it is `{}`", part.ty);
                    self.fault(&at, message);
                }
                Some(json) => {
                    let value = self.json(&part.ty, &at, json);
                    fields.insert(Arc::clone(name), value);
                }
            }
        }
        for name in given
            .keys()
            .filter(|k| !record.fields.contains_key(k.as_str()))
        {
            let near = nearest(name, record.fields.keys().map(|k| &**k));
            let help = near.map(|near| format!("did you mean `{near}`?"));
            let message = format!("`{path}` has no field `{name}`");
            self.faults.push((format!("{path}.{name}"), message, help));
        }
        Value::map(fields)
    }

    fn misfit(&mut self, ty: &Type, path: &str, json: &Json) -> Value {
        let shown = match json {
            Json::String(text) => self.shown(text),
            Json::Array(_) => "a list".to_owned(),
            Json::Object(_) => "an object".to_owned(),
            other => self.shown(&other.to_string()),
        };
        let help = match ty {
            Type::Duration(_) => Some("durations are written `\"30m\"` or `\"1h30m\"`"),
            Type::Percent(_) => Some("percentages are written `\"20%\"`"),
            Type::Size(_) => Some("sizes are written `\"16GiB\"`"),
            _ => None,
        };
        let message = format!("`{path}` takes `{ty}`, and {shown} is none");
        self.faults
            .push((path.to_owned(), message, help.map(str::to_owned)));
        Value::Null
    }
}

fn fits_text(ty: &Type, text: &str) -> bool {
    match ty {
        Type::Literal(wanted) => **wanted == *text,
        Type::Str(_) => true,
        _ => false,
    }
}

fn whole(n: &serde_json::Number) -> Option<i64> {
    n.as_i64().or_else(|| {
        n.as_f64()
            .filter(|f| f.fract() == 0.0 && f.abs() < 9.0e15)
            .map(|f| f as i64)
    })
}

fn within<T: PartialOrd + Copy>(bounds: &Bounds<T>, value: T) -> bool {
    bounds.meets(&Bounds::exactly(value))
}

/// `1h30m` in milliseconds; units go from large to small, each once.
fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let mut rest = text.trim();
    let mut sum = 0i64;
    let mut from = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let at = UNITS[from..].iter().position(|(u, _)| *u == &rest[..end])? + from;
        sum = sum.checked_add(number.checked_mul(UNITS[at].1)?)?;
        from = at + 1;
        rest = &rest[end..];
    }
    (!text.trim().is_empty()).then_some(sum)
}

fn percent(text: &str) -> Option<f64> {
    let number: f64 = text.trim().strip_suffix('%')?.parse().ok()?;
    number.is_finite().then_some(number)
}

fn size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let (unit, factor) = UNITS.iter().find(|(u, _)| text.trim().ends_with(u))?;
    let number: u64 = text.trim().strip_suffix(unit)?.parse().ok()?;
    number.checked_mul(*factor)
}

impl<'p> Checker<'_, 'p> {
    /// The inputs that a `run` step gives to a workflow (rule C13).
    pub(super) fn run_inputs(
        &mut self,
        id: FlowId,
        inputs: Option<&'p Object>,
        span: Span,
        scope: &mut Scope,
    ) {
        let flow = self.names.flow(id);
        let mut given: Vec<&str> = Vec::new();
        let mut open = false;
        if let Some(object) = inputs {
            self.written_twice(object);
            for field in &object.fields {
                match field {
                    Field::Pair {
                        key: Key::Name(name),
                        value,
                        ..
                    } => {
                        given.push(&name.text);
                        // A misspelt input was meant to be one of those that are missing.
                        open |= !flow.inputs.iter().any(|i| i.name.text == name.text);
                        self.run_input(flow, name, value, scope);
                    }
                    Field::Pair {
                        key: Key::Computed(key),
                        value,
                        ..
                    } => {
                        open = true;
                        self.map_key(key, scope);
                        self.infer_item(value, scope);
                    }
                    Field::Spread { value, .. } => {
                        open = true;
                        self.infer(value, scope);
                    }
                }
            }
        }
        let missing: Vec<String> = flow
            .inputs
            .iter()
            .filter(|i| i.default.is_none() && !given.contains(&&*i.name.text))
            .filter(|i| {
                let ty = self.quietly(|c| c.declared_type(flow.module, &i.ty));
                !ty.may_be_null()
            })
            .map(|i| format!("`{}`", i.name.text))
            .collect();
        if !open && !missing.is_empty() {
            self.report(
                Diagnostic::error(
                    Code::MISSING_INPUT,
                    span,
                    format!("`{}` needs {}", flow.name(), missing.join(", ")),
                )
                .help("give it in the braces; a name alone stands for the value of that name"),
            );
        }
    }

    fn run_input(
        &mut self,
        flow: &Flow<'p>,
        name: &crate::syntax::ast::Name,
        value: &'p Expr,
        scope: &mut Scope,
    ) {
        let Some(input) = flow.inputs.iter().find(|i| i.name.text == name.text) else {
            let finding = Diagnostic::error(
                Code::UNKNOWN_INPUT,
                name.span,
                format!("`{}` has no input `{}`", flow.name(), name.text),
            );
            let known: Vec<&str> = flow.inputs.iter().map(|i| &*i.name.text).collect();
            self.report(match nearest(&name.text, known.iter().copied()) {
                Some(near) => finding
                    .help(format!("did you mean `{near}`?"))
                    .fix(name.span, near),
                None => finding.help(format!("it has {}", known.join(", "))),
            });
            self.quietly(|c| c.infer_item(value, scope));
            return;
        };
        let ty = self.quietly(|c| c.declared_type(flow.module, &input.ty));
        let mut want = Want::declared(&name.text, ty);
        want.unset = input.default.is_some();
        self.fit(value, &want, scope);
        let found = self.quietly(|c| c.infer_item(value, scope));
        if found.holds_secret() && !input.secret {
            self.report(
                Diagnostic::error(
                    Code::SECRET_LEAK,
                    value.span,
                    format!("the input `{}` would show a secret", name.text),
                )
                .related(input.name.span, "this input is no secret one")
                .help("declare it `secret input` there"),
            );
        }
    }
}
