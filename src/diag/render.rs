//! Diagnostics as people and machines read them; the only user of miette.

use std::borrow::Cow;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};
use serde_json::{Value, json};

use super::{Diagnostic, Severity};
use crate::source::{Source, SourceMap, Span};

/// How diagnostics are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub color: bool,
    /// In columns.
    pub width: usize,
}

/// Bytes of one line that are shown; what is longer is cut around the underlined place.
const WINDOW: usize = 240;
/// Characters of the author's text in the machine form.
const MOST_TEXT: usize = 200;

/// All diagnostics, each with its source underlined.
pub fn text(map: &SourceMap, diagnostics: &[Diagnostic], style: Style) -> String {
    let theme = if style.color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(style.width.max(40))
        .with_links(false)
        .with_context_lines(1);
    let mut out = String::new();
    for diagnostic in diagnostics {
        let report = Report::new(map, diagnostic);
        if handler.render_report(&mut out, &report).is_err() {
            out.push_str(&format!(
                "{}: {}: {}\n",
                map.place(diagnostic.span),
                diagnostic.code,
                diagnostic.message
            ));
        }
        for label in diagnostic
            .related
            .iter()
            .filter(|l| l.span.source != diagnostic.span.source)
        {
            out.push_str(&format!("  {}: {}\n", map.place(label.span), label.text));
        }
    }
    out
}

/// One diagnostic for machines.
pub fn json(map: &SourceMap, diagnostic: &Diagnostic) -> Value {
    let mut out = place(map, diagnostic.span);
    out["code"] = json!(diagnostic.code.to_string());
    out["severity"] = json!(diagnostic.severity.as_str());
    out["message"] = json!(diagnostic.message);
    out["text"] = json!(clip(map.slice(diagnostic.span)));
    out["label"] = json!(diagnostic.label);
    out["help"] = json!(diagnostic.help);
    out["fix"] = diagnostic.fix.as_ref().map_or(Value::Null, |fix| {
        let mut value = place(map, fix.span);
        value["replacement"] = json!(fix.replacement);
        value
    });
    out["related"] = diagnostic
        .related
        .iter()
        .map(|label| {
            let mut value = place(map, label.span);
            value["text"] = json!(label.text);
            value
        })
        .collect();
    out
}

/// One diagnostic as a workflow command of GitHub Actions, which shows it beside the changed line.
pub fn github(map: &SourceMap, diagnostic: &Diagnostic) -> String {
    let source = map.get(diagnostic.span.source);
    let name = source.map_or("", |s| s.name.as_str());
    let (line, column) = source.map_or((1, 1), |s| s.line_column(diagnostic.span.start));
    let (end_line, _) = source.map_or((1, 1), |s| s.line_column(diagnostic.span.end));
    let mut message = diagnostic.message.clone();
    if let Some(help) = help(map, diagnostic) {
        message.push('\n');
        message.push_str(&help);
    }
    format!(
        "::{} file={},line={line},endLine={end_line},col={column},title={}::{}",
        match diagnostic.severity {
            Severity::Advice => "notice",
            other => other.as_str(),
        },
        escape(name, true),
        diagnostic.code,
        escape(&message, false)
    )
}

/// The escapes of workflow commands; a property also hides its separators.
fn escape(text: &str, property: bool) -> String {
    let mut out = text
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A");
    if property {
        out = out.replace(':', "%3A").replace(',', "%2C");
    }
    out
}

fn place(map: &SourceMap, span: Span) -> Value {
    let source = map.get(span.source);
    let (line, column) = source.map_or((1, 1), |s| s.line_column(span.start));
    let (end_line, end_column) = source.map_or((1, 1), |s| s.line_column(span.end));
    json!({
        "file": source.map(|s| s.name.as_str()),
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    })
}

fn clip(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MOST_TEXT) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// What to do; a fix without words is put into words.
fn help(map: &SourceMap, diagnostic: &Diagnostic) -> Option<String> {
    let of_fix = || {
        let fix = diagnostic.fix.as_ref()?;
        let old = clip(map.slice(fix.span));
        Some(match (old.is_empty(), fix.replacement.is_empty()) {
            (_, true) => format!("remove `{old}`"),
            (true, _) => format!("write `{}` here", clip(&fix.replacement)),
            _ => format!("write `{}` instead of `{old}`", clip(&fix.replacement)),
        })
    };
    diagnostic.help.clone().or_else(of_fix)
}

/// A diagnostic as miette wants it.
#[derive(Debug)]
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    help: Option<String>,
    source: Option<Clipped<'a>>,
}

impl<'a> Report<'a> {
    fn new(map: &'a SourceMap, diagnostic: &'a Diagnostic) -> Self {
        let source = map.get(diagnostic.span.source).map(|s| Clipped(s));
        Report {
            diagnostic,
            help: help(map, diagnostic),
            source,
        }
    }

    /// A place as miette can show it: inside the text, and not longer than the window.
    fn shown(&self, span: Span, label: &str) -> LabeledSpan {
        let length = self.source.as_ref().map_or(0, |s| s.0.text.len());
        let start = (span.start as usize).min(length);
        let end = (span.end as usize).clamp(start, length);
        let text = self
            .source
            .as_ref()
            .and_then(|s| s.0.text.get(start..end))
            .unwrap_or("");
        let line = text.find('\n').map_or(end, |n| start + n);
        let end = match end - start > WINDOW {
            true => floor(text, (line - start).min(WINDOW)) + start,
            false => end,
        };
        LabeledSpan::new(
            (!label.is_empty()).then(|| label.to_string()),
            start,
            end - start,
        )
    }
}

impl std::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn std::fmt::Display + 'b>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Advice => miette::Severity::Advice,
        })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn std::fmt::Display + 'b>> {
        self.help
            .as_ref()
            .map(|h| Box::new(h) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let d = self.diagnostic;
        let first = self.shown(d.span, &d.label);
        let related = d
            .related
            .iter()
            .filter(move |l| l.span.source == d.span.source);
        Some(Box::new(
            std::iter::once(first).chain(related.map(|l| self.shown(l.span, &l.text))),
        ))
    }
}

/// A source whose long lines are cut around the place that is read.
#[derive(Debug)]
struct Clipped<'a>(&'a Source);

impl SourceCode for Clipped<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let text = &*self.0.text;
        let (start, end) = (span.offset(), span.offset() + span.len());
        if end > text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let from = window_start(text, start, before);
        let to = window_end(text, end, after);
        let (line, column) = self.0.line_column(from as u32);
        Ok(Box::new(MietteSpanContents::new_named(
            self.0.name.clone(),
            &text.as_bytes()[from..to],
            (from, to - from).into(),
            line - 1,
            column - 1,
            text[from..to].lines().count(),
        )))
    }
}

/// The beginning of the line `before` lines above, or nearer where a line is long.
fn window_start(text: &str, at: usize, before: usize) -> usize {
    let mut start = text[..floor(text, at)].rfind('\n').map_or(0, |n| n + 1);
    if before > 0 && at - start > WINDOW {
        return floor(text, at - WINDOW / 2);
    }
    if before == 0 {
        return floor(text, at);
    }
    for _ in 0..before {
        let above = text[..start.saturating_sub(1)]
            .rfind('\n')
            .map_or(0, |n| n + 1);
        if start - above > WINDOW {
            break;
        }
        start = above;
    }
    start
}

/// The end of the line `after` lines below, or nearer where a line is long.
fn window_end(text: &str, at: usize, after: usize) -> usize {
    let mut end = at;
    for n in 0..=after {
        if n > 0 && end < text.len() {
            end += 1;
        }
        let rest = text.get(end..).unwrap_or("");
        let length = rest.find('\n').unwrap_or(rest.len());
        if length > WINDOW {
            return if n == 0 {
                end + floor(rest, WINDOW / 2)
            } else {
                end.saturating_sub(1)
            };
        }
        end += length;
        if after == 0 {
            break;
        }
    }
    end
}

/// The nearest boundary of a character at or before an offset.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|n| text.is_char_boundary(*n))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::Code;
    use super::*;

    fn map(text: &str) -> SourceMap {
        let mut map = SourceMap::default();
        map.add("a.r5flow", text);
        map
    }

    fn at(start: usize, end: usize) -> Diagnostic {
        let id = crate::source::SourceId(0);
        Diagnostic::error(Code::SYNTAX, Span::new(id, start, end), "expected `:`").label("here")
    }

    const STYLE: Style = Style {
        color: false,
        width: 80,
    };

    #[test]
    fn shows_code_place_line_and_help() {
        let shown = text(
            &map("one\ntwo three\nfour\n"),
            &[at(8, 13).help("write it")],
            STYLE,
        );
        for part in [
            "R0101",
            "expected `:`",
            "a.r5flow:2:5",
            "two three",
            "here",
            "write it",
        ] {
            assert!(shown.contains(part), "{part} is missing in:\n{shown}");
        }
    }

    #[test]
    fn a_fix_without_words_becomes_the_help() {
        let d = at(0, 3).fix(at(0, 3).span, "uno");
        assert!(text(&map("one\n"), &[d], STYLE).contains("write `uno` instead of `one`"));
    }

    #[test]
    fn a_huge_line_is_cut_around_the_place() {
        let long = format!("{} BAD {}", "x".repeat(5_000_000), "ü".repeat(2_000_000));
        let shown = text(&map(&long), &[at(5_000_001, 5_000_004)], STYLE);
        assert!(
            shown.contains("BAD") && shown.len() < 5_000,
            "{} bytes",
            shown.len()
        );
        assert!(shown.contains("a.r5flow:1:5000002"), "{shown}");
        let whole = text(&map(&long), &[at(0, long.len())], STYLE);
        assert!(whole.len() < 5_000, "{} bytes", whole.len());
    }

    #[test]
    fn places_at_the_end_and_beyond_do_not_fail() {
        assert!(text(&map("one"), &[at(3, 3)], STYLE).contains("one"));
        assert!(text(&map("one"), &[at(30, 90)], STYLE).contains("expected"));
        assert!(text(&map(""), &[at(0, 0)], STYLE).contains("expected"));
    }

    #[test]
    fn json_counts_from_one_and_clips() {
        let got = json(&map(&format!("a\n{}", "é".repeat(300))), &at(2, 602));
        assert_eq!(
            (&got["line"], &got["column"], &got["end_column"]),
            (&json!(2), &json!(1), &json!(301))
        );
        assert_eq!(got["text"].as_str().map(|t| t.chars().count()), Some(201));
        assert_eq!(
            (&got["code"], &got["severity"]),
            (&json!("R0101"), &json!("error"))
        );
    }

    #[test]
    fn github_commands_are_escaped() {
        let mut d = at(0, 3);
        d.message = "50% of\nit".into();
        assert_eq!(
            github(&map("one"), &d),
            "::error file=a.r5flow,line=1,endLine=1,col=1,title=R0101::50%25 of%0Ait"
        );
    }
}
