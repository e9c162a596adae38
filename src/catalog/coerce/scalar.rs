//! Single values: units, numbers, texts. The errors are ends of sentences: "`timeoutSec` takes …".

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::Regex;
use serde_json::Value as Json;

use super::super::{EnumValue, Kind, Unit};
use crate::diag::nearest;
use crate::value::{Value, number};
use crate::world::Millis;

pub(super) fn scalar(kind: &Kind, unit: Option<Unit>, value: &Value) -> Result<Json, String> {
    match value {
        Value::Duration(span) => duration(kind, unit, *span),
        Value::Percent(percent) => percentage(kind, unit, *percent),
        Value::Size(bytes) => size(kind, unit, *bytes),
        plain => plain_value(kind, plain),
    }
}

fn plain_value(kind: &Kind, value: &Value) -> Result<Json, String> {
    match (kind, value) {
        (Kind::Bool, Value::Bool(b)) => Ok(Json::Bool(*b)),
        (Kind::Int { .. }, Value::Int(n)) => int(kind, i128::from(*n)),
        (Kind::Int { .. }, Value::Float(n)) if n.fract() == 0.0 && n.abs() < 9.0e15 => {
            int(kind, *n as i128)
        }
        (Kind::Int { .. }, Value::Str(text)) => match text.parse::<i128>() {
            Ok(n) => int(kind, n),
            Err(_) => Err(format!("takes a whole number, not \"{text}\"")),
        },
        (Kind::Int { .. }, Value::Float(n)) => Err(format!("takes a whole number, not {n}")),
        (Kind::Number { .. }, Value::Int(n)) => float(kind, *n as f64),
        (Kind::Number { .. }, Value::Float(n)) => float(kind, *n),
        (Kind::Number { .. }, Value::Str(text)) => match text.parse::<f64>() {
            Ok(n) if n.is_finite() => float(kind, n),
            _ => Err(format!("takes a number, not \"{text}\"")),
        },
        (Kind::String { .. }, Value::Str(text)) => string(kind, text),
        (Kind::String { .. }, Value::Int(n)) => string(kind, &n.to_string()),
        (Kind::Any, value) => Ok(value.to_json()),
        (kind, value) => Err(format!("takes {}, not {}", wanted(kind), value.noun())),
    }
}

fn wanted(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "true or false",
        Kind::String { .. } => "text",
        Kind::Int { .. } => "a whole number",
        Kind::Number { .. } => "a number",
        Kind::Any => "any value",
        Kind::List(_) => "a list",
        Kind::Map(_) | Kind::Schema(_) | Kind::Inline(_) => "an object",
    }
}

fn int(kind: &Kind, n: i128) -> Result<Json, String> {
    let Kind::Int {
        as_string,
        min,
        max,
    } = kind
    else {
        return float(kind, n as f64);
    };
    if n < *min || n > *max {
        return Err(format!("takes {min} to {max}, and {n} is outside"));
    }
    if *as_string {
        return Ok(Json::String(n.to_string()));
    }
    i64::try_from(n)
        .map(Json::from)
        .map_err(|_| format!("takes {min} to {max}, and {n} is outside"))
}

fn float(kind: &Kind, n: f64) -> Result<Json, String> {
    if let Kind::Number { min, max } = kind {
        let low = min.is_some_and(|least| n < least);
        let high = max.is_some_and(|greatest| n > greatest);
        if low || high {
            let text = |bound: &Option<f64>| bound.map_or("…".to_owned(), |b| b.to_string());
            return Err(format!(
                "takes {} to {}, and {n} is outside",
                text(min),
                text(max)
            ));
        }
    }
    Ok(number(n))
}

fn string(kind: &Kind, text: &str) -> Result<Json, String> {
    let Kind::String {
        format,
        pattern,
        values,
    } = kind
    else {
        return Err("takes no text".into());
    };
    if !values.is_empty() && !values.iter().any(|v| *v.name == *text) {
        return Err(not_in_enum(values, text));
    }
    if let Some(pattern) = pattern
        && !matches(pattern, text)
    {
        let hint = if text.contains('/') && !pattern.contains('/') {
            "; it wants the bare name, such as `basename(…)` gives"
        } else {
            ""
        };
        return Err(format!(
            "does not take `{text}`: it must match `{pattern}`{hint}"
        ));
    }
    if format.as_deref() == Some("google-duration") && duration_nanos(text).is_none() {
        return Err(format!("takes a duration such as 300s, not \"{text}\""));
    }
    Ok(Json::from(text))
}

fn not_in_enum(values: &[EnumValue], text: &str) -> String {
    let names = || values.iter().map(|v| &*v.name);
    match nearest(text, names()) {
        Some(right) => format!("has no value `{text}`; did you mean `{right}`?"),
        None => {
            let current: Vec<&str> = (values.iter().filter(|v| !v.deprecated))
                .map(|v| &*v.name)
                .take(8)
                .collect();
            format!("has no value `{text}`; it takes {}", current.join(", "))
        }
    }
}

/// Whether the whole text matches. Patterns that this program cannot compile hold nobody up.
pub(in crate::catalog) fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<BTreeMap<String, Option<Regex>>>> =
        LazyLock::new(|| Mutex::new(BTreeMap::new()));
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if !compiled.contains_key(pattern) {
        let regex = Regex::new(&format!("^(?:{pattern})$")).ok();
        compiled.insert(pattern.to_owned(), regex);
    }
    match compiled.get(pattern) {
        Some(Some(regex)) => regex.is_match(text),
        _ => true,
    }
}

/// Nanoseconds of `300s` or `0.5s`.
pub(in crate::catalog) fn duration_nanos(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let digits = digits.strip_suffix('s')?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let numeric = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !numeric(whole) || !numeric(fraction) || fraction.len() > 9 || whole.len() > 12 {
        return None;
    }
    let nanos: i128 = format!("{fraction:0<9}").parse().ok()?;
    let seconds: i128 = whole.parse().ok()?;
    Some(sign * (seconds * 1_000_000_000 + nanos))
}

fn duration(kind: &Kind, unit: Option<Unit>, span: Millis) -> Result<Json, String> {
    let (per, name) = match unit {
        Some(Unit::GoogleDuration) => return Ok(Json::String(google_duration(span))),
        Some(Unit::Nanos) => return int(kind, i128::from(span.0) * 1_000_000),
        Some(Unit::Micros) => return int(kind, i128::from(span.0) * 1000),
        Some(Unit::Millis) => (1, "milliseconds"),
        Some(Unit::Seconds) => (1000, "seconds"),
        Some(Unit::Minutes) => (60_000, "minutes"),
        Some(Unit::Hours) => (3_600_000, "hours"),
        Some(Unit::Days) => (86_400_000, "days"),
        _ if is_google_duration(kind) => return Ok(Json::String(google_duration(span))),
        _ => {
            return Err(format!(
                "is no duration: it takes {}, not {span}",
                plain(kind)
            ));
        }
    };
    if span.0 % per != 0 {
        return Err(format!("takes whole {name}, and {span} is none"));
    }
    int(kind, i128::from(span.0 / per))
}

/// Items of lists have no unit of their own; their format says it.
fn is_google_duration(kind: &Kind) -> bool {
    matches!(kind, Kind::String { format: Some(format), .. } if &**format == "google-duration")
}

fn google_duration(span: Millis) -> String {
    let sign = if span.0 < 0 { "-" } else { "" };
    let ms = span.0.unsigned_abs();
    match ms % 1000 {
        0 => format!("{sign}{}s", ms / 1000),
        rest => format!("{sign}{}.{rest:03}s", ms / 1000),
    }
}

fn plain(kind: &Kind) -> &'static str {
    match kind {
        Kind::Int { .. } | Kind::Number { .. } => "a plain number",
        other => wanted(other),
    }
}

fn percentage(kind: &Kind, unit: Option<Unit>, percent: f64) -> Result<Json, String> {
    match unit {
        Some(Unit::Fraction) => float(kind, percent / 100.0),
        Some(Unit::Percent) if matches!(kind, Kind::Int { .. }) => {
            if percent.fract() != 0.0 {
                return Err(format!("takes whole percents, and {percent}% is none"));
            }
            int(kind, percent as i128)
        }
        Some(Unit::Percent) => float(kind, percent),
        _ => Err(format!(
            "is no percentage: it takes {}, not {percent}%",
            plain(kind)
        )),
    }
}

fn size(kind: &Kind, unit: Option<Unit>, bytes: u64) -> Result<Json, String> {
    let (per, name) = match unit {
        Some(Unit::GiB) => (1u64 << 30, "GiB"),
        Some(Unit::MiB) => (1 << 20, "MiB"),
        Some(Unit::Bytes) => (1, "bytes"),
        _ => {
            let text = Value::Size(bytes);
            return Err(format!("is no size: it takes {}, not {text}", plain(kind)));
        }
    };
    if !bytes.is_multiple_of(per) {
        return Err(format!(
            "takes whole {name}, and {} is none",
            Value::Size(bytes)
        ));
    }
    int(kind, i128::from(bytes / per))
}
