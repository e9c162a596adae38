//! Values of the language, and their JSON form.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map as JsonMap, Number, Value as Json};

use crate::world::Millis;

pub type Fields = IndexMap<Arc<str>, Value>;

/// A value of the language. Lists and maps are shared: a copy costs a counter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    /// Leaves out the field, item or argument in which it stands.
    Unset,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Arc<str>),
    Duration(Millis),
    /// `60%` is 60.
    Percent(f64),
    /// Bytes.
    Size(u64),
    List(Arc<Vec<Value>>),
    Map(Arc<Fields>),
    /// Known only after these steps have run. Plans carry it; a run never meets it.
    Later(Arc<BTreeSet<Arc<str>>>),
}

impl Value {
    pub fn str(text: impl AsRef<str>) -> Self {
        Value::Str(Arc::from(text.as_ref()))
    }

    pub fn list(items: Vec<Value>) -> Self {
        Value::List(Arc::new(items))
    }

    pub fn map(fields: Fields) -> Self {
        Value::Map(Arc::new(fields))
    }

    /// A map from pairs, in their order.
    pub fn record<'a>(pairs: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        Value::map(pairs.into_iter().map(|(k, v)| (Arc::from(k), v)).collect())
    }

    pub fn later(step: &str) -> Self {
        Value::Later(Arc::new(BTreeSet::from([Arc::from(step)])))
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&Fields> {
        match self {
            Value::Map(fields) => Some(fields),
            _ => None,
        }
    }

    /// A field of a map; `None` for other values.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map().and_then(|fields| fields.get(key))
    }

    pub fn is_later(&self) -> bool {
        matches!(self, Value::Later(_))
    }

    /// What this is, for messages: `a list`, `text`, `null`.
    pub fn noun(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Unset => "unset",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Str(_) => "text",
            Value::Duration(_) => "a duration",
            Value::Percent(_) => "a percentage",
            Value::Size(_) => "a size",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
            Value::Later(_) => "a value that is not known yet",
        }
    }

    /// The plain JSON form: durations as seconds (`"300s"` is a matter of the field it goes into),
    /// percentages as their number, sizes in bytes. `Unset` vanishes from lists and objects.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null | Value::Unset | Value::Later(_) => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(n) => Json::Number((*n).into()),
            Value::Float(n) | Value::Percent(n) => number(*n),
            Value::Str(s) => Json::String(s.to_string()),
            Value::Duration(d) if d.0 % 1000 == 0 => Json::Number((d.0 / 1000).into()),
            Value::Duration(d) => number(d.0 as f64 / 1000.0),
            Value::Size(n) => Json::Number((*n).into()),
            Value::List(items) => Json::Array(
                items
                    .iter()
                    .filter(|v| **v != Value::Unset)
                    .map(Value::to_json)
                    .collect(),
            ),
            Value::Map(fields) => Json::Object(
                fields
                    .iter()
                    .filter(|(_, v)| **v != Value::Unset)
                    .map(|(k, v)| (k.to_string(), v.to_json()))
                    .collect::<JsonMap<_, _>>(),
            ),
        }
    }

    pub fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => match n.as_i64() {
                Some(int) => Value::Int(int),
                None => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(s) => Value::str(s),
            Json::Array(items) => Value::list(items.iter().map(Value::from_json).collect()),
            Json::Object(fields) => Value::map(
                fields
                    .iter()
                    .map(|(k, v)| (Arc::from(k.as_str()), Value::from_json(v)))
                    .collect(),
            ),
        }
    }
}

/// A JSON number; whole floats below 2^53 become integers, since JSON does not tell them apart.
pub fn number(n: f64) -> Json {
    if n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0 {
        return Json::Number((n as i64).into());
    }
    Number::from_f64(n).map_or(Json::Null, Json::Number)
}

/// As interpolation prints it: text bare, everything else as a flow would write it.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Str(s) => f.write_str(s),
            Value::Unset => f.write_str("unset"),
            Value::Duration(d) => d.fmt(f),
            Value::Percent(p) => write!(f, "{p}%"),
            Value::Size(bytes) => f.write_str(&size_text(*bytes)),
            Value::Later(steps) => {
                let names: Vec<&str> = steps.iter().map(AsRef::as_ref).collect();
                write!(f, "(after {})", names.join(", "))
            }
            other => write!(f, "{}", other.to_json()),
        }
    }
}

fn size_text(bytes: u64) -> String {
    for (unit, size) in [
        ("TiB", 1u64 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}
