//! Numbers, quantities and strings.

use std::sync::Arc;

use super::super::ast::*;
use super::super::grammar::{Pair, Rule, parts};
use super::Lower;
use crate::diag::Code;
use crate::source::Span;

/// Units of durations with their milliseconds, the longest word first.
const TIME_UNITS: [(&str, i64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Lower<'_> {
    pub(super) fn number(&mut self, pair: &Pair) -> ExprKind {
        let digits = pair.as_str().replace('_', "");
        let float = digits.contains(['.', 'e', 'E']);
        if float {
            match digits.parse::<f64>() {
                Ok(value) if value.is_finite() => return ExprKind::Float(value),
                _ => {}
            }
        } else if let Ok(value) = digits.parse::<i64>() {
            return ExprKind::Int(value);
        }
        let (what, most) = if float {
            ("a number", "about 1.8e308")
        } else {
            ("an integer", "9223372036854775807")
        };
        self.too_large(pair, what, most)
    }

    fn too_large(&mut self, pair: &Pair, what: &str, most: &str) -> ExprKind {
        let span = self.span(pair);
        let word = clip(pair.as_str());
        self.error(
            Code::NUMBER_RANGE,
            span,
            format!("`{word}` is too large for {what}"),
        )
        .help = Some(format!("the largest is {most}"));
        ExprKind::Broken
    }

    pub(super) fn duration(&mut self, pair: &Pair) -> ExprKind {
        match milliseconds(pair.as_str()) {
            Some(total) => ExprKind::Duration(total),
            None => self.too_large(pair, "a duration", "about 106751991167d"),
        }
    }

    pub(super) fn size(&mut self, pair: &Pair) -> ExprKind {
        let text = pair.as_str();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = &text[digits.len()..];
        if !unit.contains('i') {
            let span = self.span(pair);
            let right = format!("{digits}{}iB", &unit[..1]);
            let error = self.error(
                Code::BAD_UNIT,
                span,
                format!("`{}` is no unit of this language", unit),
            );
            error.help = Some(format!(
                "write `{}`: what Google calls {unit} is binary, so this language asks for the exact word",
                clip(&right)
            ));
            *error = error.clone().fix(span, right);
        }
        let shift = match unit.as_bytes().first() {
            Some(b'K') => 10,
            Some(b'M') => 20,
            Some(b'G') => 30,
            _ => 40,
        };
        match digits
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(1 << shift))
        {
            Some(bytes) => ExprKind::Size(bytes),
            None => self.too_large(pair, "a size", "16777215TiB"),
        }
    }

    pub(super) fn percent(&mut self, pair: &Pair) -> ExprKind {
        match pair.as_str().trim_end_matches('%').parse::<f64>() {
            Ok(value) if value.is_finite() => ExprKind::Percent(value),
            _ => self.too_large(pair, "a percentage", "about 1.8e308%"),
        }
    }

    pub(super) fn bad_unit(&mut self, pair: &Pair) -> ExprKind {
        let text = pair.as_str();
        let split = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let span = self.span(pair);
        let message = format!(
            "`{}` is neither a number nor a quantity with a known unit",
            clip(text)
        );
        let error = self.error(Code::BAD_UNIT, span, message);
        match meant_unit(unit) {
            Some(right) if !digits.contains('.') => {
                error.help = Some(format!("write `{}{right}`", clip(digits)));
                *error = error.clone().fix(span, format!("{digits}{right}"));
            }
            _ => {
                error.help = Some(
                    "durations are whole: `500ms`, `30s`, `10m`, `1h30m`, `7d`; sizes are `16GiB` (KiB, MiB, GiB, TiB)"
                        .into(),
                )
            }
        }
        ExprKind::Broken
    }

    pub(super) fn string(&mut self, pair: Pair, depth: usize) -> Vec<StrPart> {
        let mut out = Vec::new();
        let mut text = String::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::interp => {
                    if !text.is_empty() {
                        out.push(StrPart::Text(Arc::from(std::mem::take(&mut text))));
                    }
                    let value = parts(part).next().map(|p| self.expr(p, depth + 1));
                    out.extend(value.map(StrPart::Value));
                }
                Rule::escape => self.escape(&part, &mut text),
                Rule::bad_escape => self.bad_escape(&part),
                _ => text.push_str(part.as_str()),
            }
        }
        if !text.is_empty() {
            out.push(StrPart::Text(Arc::from(text)));
        }
        out
    }

    fn escape(&mut self, pair: &Pair, text: &mut String) {
        let code = &pair.as_str()[1..];
        match code {
            "n" => text.push('\n'),
            "t" => text.push('\t'),
            _ => match code
                .strip_prefix("u{")
                .and_then(|rest| rest.strip_suffix('}'))
            {
                Some(hex) => match u32::from_str_radix(hex, 16).ok().and_then(char::from_u32) {
                    Some(c) => text.push(c),
                    None => {
                        let span = self.span(pair);
                        self.error(
                            Code::BAD_ESCAPE,
                            span,
                            format!("`\\{code}` is no Unicode character"),
                        );
                    }
                },
                None => text.push_str(code),
            },
        }
    }

    fn bad_escape(&mut self, pair: &Pair) {
        let span = self.span(pair);
        let text = pair.as_str();
        let error = self.error(Code::BAD_ESCAPE, span, format!("`{text}` is no escape"));
        error.help = Some(format!(
            "write `\\{text}` for a backslash; the escapes are \\n \\t \\\" \\\\ \\$ and \\u{{…}}"
        ));
        *error = error.clone().fix(span, format!("\\{text}"));
    }

    /// A string that must be plain, such as a pattern or a path.
    pub(super) fn plain(&mut self, pair: Pair, what: &str) -> Name {
        let span = self.span(&pair);
        let parts = self.string(pair, 0);
        if parts.iter().any(|p| matches!(p, StrPart::Value(_))) {
            self.error(
                Code::SYNTAX,
                span,
                format!("{what} cannot contain `${{…}}`"),
            )
            .help = Some("write the text itself; `\\$` stands for a dollar sign".into());
        }
        Name {
            text: plain_text(&parts),
            span,
        }
    }

    /// Tag and dedented text of a raw string: what stands before the closing quotes is taken off
    /// every line.
    pub(super) fn raw(&mut self, pair: Pair) -> (Arc<str>, Arc<str>) {
        let (mut tag, mut text) = (Arc::from(""), Arc::from(""));
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::raw_tag => tag = part.as_str().into(),
                Rule::raw_body => text = self.dedent(&part).into(),
                _ => {}
            }
        }
        (tag, text)
    }

    fn dedent(&mut self, body: &Pair) -> String {
        let whole = body.as_str();
        let start = body.as_span().start();
        let (lines, margin) = match whole.rfind('\n') {
            Some(at) => (&whole[..at], &whole[at + 1..]),
            None => ("", whole),
        };
        if !margin.trim().is_empty() {
            let end = start + whole.len();
            let span = self.range(end - margin.trim_start().len(), end);
            self.error(
                Code::RAW_INDENT,
                span,
                "text stands before the closing quotes of a raw string",
            )
            .help = Some("put the closing quotes on a line of their own".into());
            return whole.into();
        }
        if !whole.contains('\n') {
            return String::new();
        }
        let mut out = String::with_capacity(lines.len() + 1);
        let mut offset = start;
        let mut reported = false;
        for line in lines.split('\n') {
            let content = line.strip_suffix('\r').unwrap_or(line);
            match content.strip_prefix(margin) {
                Some(rest) => out.push_str(rest),
                None if content.trim().is_empty() => {}
                None => {
                    if !reported {
                        self.shallow_line(offset, content);
                    }
                    reported = true;
                    out.push_str(content.trim_start());
                }
            }
            out.push('\n');
            offset += line.len() + 1;
        }
        out
    }

    fn shallow_line(&mut self, offset: usize, line: &str) {
        let indent = line.len() - line.trim_start().len();
        let span: Span = self.range(offset + indent, offset + line.trim_end().len());
        self.error(
            Code::RAW_INDENT,
            span,
            "this line begins further left than the closing quotes of its raw string",
        )
        .help = Some("indent the line, or move the closing quotes left: their column is where the text begins".into());
    }
}

/// The text of a string without values; values count as nothing.
pub(super) fn plain_text(parts: &[StrPart]) -> Arc<str> {
    match parts {
        [StrPart::Text(text)] => Arc::clone(text),
        _ => Arc::from(""),
    }
}

fn milliseconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let (unit, factor) = TIME_UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        total = total.checked_add(count.checked_mul(*factor)?)?;
        rest = &rest[unit.len()..];
    }
    Some(total)
}

fn meant_unit(unit: &str) -> Option<&'static str> {
    let right = match unit.to_ascii_lowercase().as_str() {
        "msec" | "msecs" | "millis" | "milliseconds" => "ms",
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hrs" | "hour" | "hours" => "h",
        "day" | "days" => "d",
        "k" | "kb" | "kib" | "ki" => "KiB",
        "mb" | "mib" | "mi" => "MiB",
        "g" | "gb" | "gib" | "gi" => "GiB",
        "t" | "tb" | "tib" | "ti" => "TiB",
        _ => return None,
    };
    Some(right)
}

/// A word of the author that is short enough for a message.
pub(in crate::syntax) fn clip(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST {
        return text.into();
    }
    let mut short: String = text.chars().take(MOST).collect();
    short.push('…');
    short
}
