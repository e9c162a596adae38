//! Values of the language to values of rhai, and back.

use rhai::{Array, Dynamic, EvalAltResult, ImmutableString, Map};

use crate::value::{Fields, Value};

/// About how many bytes of JSON a result may have.
const RESULT_LIMIT: usize = 1024 * 1024;
const DEPTH_LIMIT: usize = 64;

/// The error says what is wrong with the value, to stand behind its name.
pub fn to_dynamic(value: &Value) -> Result<Dynamic, String> {
    argument(value, 0)
}

fn argument(value: &Value, depth: usize) -> Result<Dynamic, String> {
    if depth > DEPTH_LIMIT {
        return Err(format!("is nested deeper than {DEPTH_LIMIT}"));
    }
    Ok(match value {
        Value::Null | Value::Unset => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Int(n) => (*n).into(),
        Value::Float(n) | Value::Percent(n) => (*n).into(),
        Value::Str(s) => ImmutableString::from(&**s).into(),
        Value::Duration(d) if d.0 % 1000 == 0 => (d.0 / 1000).into(),
        Value::Duration(d) => (d.0 as f64 / 1000.0).into(),
        Value::Size(n) => i64::try_from(*n).map_or_else(|_| (*n as f64).into(), Into::into),
        Value::List(items) => items
            .iter()
            .filter(|item| **item != Value::Unset)
            .map(|item| argument(item, depth + 1))
            .collect::<Result<Array, _>>()?
            .into(),
        Value::Map(fields) => fields
            .iter()
            .filter(|(_, field)| **field != Value::Unset)
            .map(|(key, field)| Ok((key.as_ref().into(), argument(field, depth + 1)?)))
            .collect::<Result<Map, String>>()?
            .into(),
        Value::Later(_) => return Err("is not known yet".into()),
    })
}

/// The error says what is wrong with the result.
pub fn to_value(result: &Dynamic) -> Result<Value, String> {
    let mut room = RESULT_LIMIT;
    read(result, 0, &mut room)
}

fn read(dynamic: &Dynamic, depth: usize, room: &mut usize) -> Result<Value, String> {
    if depth > DEPTH_LIMIT {
        return Err(format!("is nested deeper than {DEPTH_LIMIT}"));
    }
    if dynamic.is_unit() {
        take(room, 4)?;
        return Ok(Value::Null);
    }
    if let Ok(b) = dynamic.as_bool() {
        take(room, 5)?;
        return Ok(Value::Bool(b));
    }
    if let Ok(n) = dynamic.as_int() {
        take(room, 4)?;
        return Ok(Value::Int(n));
    }
    if let Ok(n) = dynamic.as_float() {
        take(room, 8)?;
        return match n.is_finite() {
            true => Ok(Value::Float(n)),
            false => Err(format!("holds the number {n}, which JSON cannot express")),
        };
    }
    if let Ok(c) = dynamic.as_char() {
        take(room, 4)?;
        return Ok(Value::str(c.to_string()));
    }
    if let Some(text) = dynamic.read_lock::<ImmutableString>() {
        take(room, text.len() + 2)?;
        return Ok(Value::str(text.as_str()));
    }
    if let Some(items) = dynamic.read_lock::<Array>() {
        take(room, 2)?;
        let items = items.iter().map(|item| {
            take(room, 1)?;
            read(item, depth + 1, room)
        });
        return Ok(Value::list(items.collect::<Result<_, _>>()?));
    }
    if let Some(fields) = dynamic.read_lock::<Map>() {
        take(room, 2)?;
        let fields = fields.iter().map(|(key, field)| {
            take(room, key.len() + 4)?;
            Ok((key.as_str().into(), read(field, depth + 1, room)?))
        });
        return Ok(Value::map(fields.collect::<Result<Fields, String>>()?));
    }
    Err(format!(
        "holds a value of the type `{}`, which JSON cannot express",
        dynamic.type_name()
    ))
}

fn take(room: &mut usize, bytes: usize) -> Result<(), String> {
    *room = room
        .checked_sub(bytes)
        .ok_or_else(|| format!("is larger than {RESULT_LIMIT} bytes"))?;
    Ok(())
}

/// `parse_json(text)` for scripts.
pub fn parse_json(text: &str) -> Result<Dynamic, Box<EvalAltResult>> {
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|e| format!("`parse_json`: {e}"))?;
    to_dynamic(&Value::from_json(&json))
        .map_err(|e| format!("`parse_json`: the document {e}").into())
}
