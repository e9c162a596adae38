//! Types as authors write them.

use std::fmt;

use super::{Bounds, Type};
use crate::world::Millis;

/// Longer lists of values are cut in messages.
const SHOWN_CHOICES: usize = 5;

/// Deeper records are shown as `{ … }`: a message is no place for them, and types share parts, so
/// that a short declaration can have a very long text.
const SHOWN_DEPTH: u32 = 3;

/// Of an object with more fields than this, only so many names are shown.
const MANY: usize = 7;

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f, SHOWN_DEPTH)
    }
}

impl Type {
    fn show(&self, f: &mut fmt::Formatter<'_>, depth: u32) -> fmt::Result {
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
            Type::List(t) => around(f, "list<", t, ">", depth),
            Type::Map(t) => around(f, "map<", t, ">", depth),
            Type::Record(record) if record.fields.is_empty() => f.write_str("{}"),
            Type::Record(_) if depth == 0 => f.write_str("{ … }"),
            Type::Record(record) if record.fields.len() > MANY => {
                let names: Vec<&str> = record.fields.keys().take(MANY).map(|n| &**n).collect();
                write!(f, "{{ {}, … }}", names.join(", "))
            }
            Type::Record(record) => {
                f.write_str("{ ")?;
                for (n, (name, part)) in record.fields.iter().enumerate() {
                    let comma = if n > 0 { ", " } else { "" };
                    let mark = if part.optional { "?" } else { "" };
                    write!(f, "{comma}{name}{mark}: ")?;
                    part.ty.show(f, depth - 1)?;
                }
                f.write_str(" }")
            }
            Type::Schema(id) => write!(f, "{id}"),
            Type::Inline(_) => f.write_str("an object"),
            Type::Union(members) => {
                for (n, member) in members.iter().enumerate() {
                    f.write_str(if n > 0 { " | " } else { "" })?;
                    member.show(f, depth)?;
                }
                Ok(())
            }
            Type::Nullable(t) if matches!(**t, Type::Union(_)) => around(f, "(", t, ")?", depth),
            Type::Nullable(t) => around(f, "", t, "?", depth),
            Type::Secret(t) => around(f, "secret ", t, "", depth),
        }
    }
}

fn around(
    f: &mut fmt::Formatter<'_>,
    before: &str,
    inner: &Type,
    after: &str,
    depth: u32,
) -> fmt::Result {
    f.write_str(before)?;
    inner.show(f, depth)?;
    f.write_str(after)
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
