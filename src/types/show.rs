//! Types as authors write them.

use std::fmt;

use super::{Bounds, Type};
use crate::world::Millis;

/// Longer lists of values are cut in messages.
const SHOWN_CHOICES: usize = 5;

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Unknown => f.write_str("unknown"),
            Type::Any => f.write_str("any"),
            Type::Never => f.write_str("nothing"),
            Type::Null => f.write_str("null"),
            Type::Unset => f.write_str("unset"),
            Type::Bool => f.write_str("bool"),
            Type::Int(b) => ranged(f, "int", b, i64::to_string),
            Type::Number(b) => ranged(f, "number", b, f64::to_string),
            Type::Duration(b) => ranged(f, "duration", b, |n| Millis(*n).to_string()),
            Type::Percent(b) => ranged(f, "percent", b, |n| format!("{n}%")),
            Type::Size(b) => ranged(f, "size", b, |n| crate::value::Value::Size(*n).to_string()),
            Type::Str(None) | Type::Link => f.write_str("string"),
            Type::Str(Some(pattern)) => write!(f, "string matches {pattern:?}"),
            Type::Literal(text) => write!(f, "{text:?}"),
            Type::Enum(choices) => {
                for (n, (value, _)) in choices.values.iter().take(SHOWN_CHOICES).enumerate() {
                    write!(f, "{}{value:?}", if n > 0 { " | " } else { "" })?;
                }
                match choices.values.len() > SHOWN_CHOICES {
                    true => f.write_str(" | …"),
                    false => Ok(()),
                }
            }
            Type::Timestamp => f.write_str("timestamp"),
            Type::List(t) => write!(f, "list<{t}>"),
            Type::Map(t) => write!(f, "map<{t}>"),
            Type::Record(record) if record.fields.is_empty() => f.write_str("{}"),
            Type::Record(record) => {
                f.write_str("{ ")?;
                for (n, (name, part)) in record.fields.iter().enumerate() {
                    let comma = if n > 0 { ", " } else { "" };
                    let mark = if part.optional { "?" } else { "" };
                    write!(f, "{comma}{name}{mark}: {}", part.ty)?;
                }
                f.write_str(" }")
            }
            Type::Schema(id) => write!(f, "{id}"),
            Type::Inline(_) => f.write_str("an object"),
            Type::Union(members) => {
                for (n, member) in members.iter().enumerate() {
                    write!(f, "{}{member}", if n > 0 { " | " } else { "" })?;
                }
                Ok(())
            }
            Type::Nullable(t) if matches!(**t, Type::Union(_)) => write!(f, "({t})?"),
            Type::Nullable(t) => write!(f, "{t}?"),
            Type::Secret(t) => write!(f, "secret {t}"),
        }
    }
}

/// A constant shows as its type: `5` is an `int`.
fn ranged<T: PartialOrd + Copy>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    bounds: &Bounds<T>,
    show: impl Fn(&T) -> String,
) -> fmt::Result {
    let side = |b: &Option<T>| b.as_ref().map(&show).unwrap_or_default();
    match (bounds.constant(), bounds.min, bounds.max) {
        (Some(_), ..) | (None, None, None) => f.write_str(name),
        _ => write!(f, "{name}({}..{})", side(&bounds.min), side(&bounds.max)),
    }
}
