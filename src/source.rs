//! Source texts and places in them.
//!
//! A [`Span`] is small and `Copy`; it names its source by [`SourceId`], so a diagnostic can point
//! into any file of a program. Lines and columns exist only when something is printed.

use std::sync::Arc;

/// Which text of a [`SourceMap`] a span points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SourceId(pub u16);

/// A half-open range of bytes in one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    pub source: SourceId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        Span {
            source,
            start: start as u32,
            end: end as u32,
        }
    }

    /// The smallest span that covers both; both must be of one source.
    pub fn to(self, other: Span) -> Span {
        Span {
            source: self.source,
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// Whether all of another span lies in this one.
    pub fn contains(self, other: Span) -> bool {
        self.source == other.source && self.start <= other.start && other.end <= self.end
    }

    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One text: a file, a module of the standard library, or standard input.
#[derive(Debug)]
pub struct Source {
    pub id: SourceId,
    /// How people call it: a path as they wrote it, or `stdlib/red5/stream_manager.r5flow`.
    pub name: String,
    pub text: Arc<str>,
}

impl Source {
    pub fn new(id: SourceId, name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        Source {
            id,
            name: name.into(),
            text: text.into(),
        }
    }

    /// The text below a span; empty when the span does not fit this text.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    /// Line and column, both from 1; the column counts characters.
    pub fn line_column(&self, offset: u32) -> (usize, usize) {
        let upto = &self.text.as_bytes()[..(offset as usize).min(self.text.len())];
        let line = upto.iter().filter(|b| **b == b'\n').count() + 1;
        let start = upto.iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1);
        let column = String::from_utf8_lossy(&upto[start..]).chars().count() + 1;
        (line, column)
    }
}

/// All texts of one program, in the order in which they were read.
#[derive(Debug, Default)]
pub struct SourceMap {
    sources: Vec<Arc<Source>>,
}

impl SourceMap {
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> Arc<Source> {
        let id = SourceId(self.sources.len() as u16);
        let source = Arc::new(Source::new(id, name, text));
        self.sources.push(Arc::clone(&source));
        source
    }

    pub fn get(&self, id: SourceId) -> Option<&Arc<Source>> {
        self.sources.get(id.0 as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.sources.iter()
    }

    /// The text below a span.
    pub fn slice(&self, span: Span) -> &str {
        self.get(span.source).map_or("", |s| s.slice(span))
    }

    /// `file:line:column-column`: a span with the column of its last character, as far as its first
    /// line goes.
    pub fn stretch(&self, span: Span) -> String {
        let place = self.place(span);
        let Some(source) = self.get(span.source) else {
            return place;
        };
        let text = source.text.get(span.start as usize..span.end as usize);
        let line = text.and_then(|t| t.lines().next()).unwrap_or("");
        let (_, column) = source.line_column(span.start);
        let length = line.trim_end().chars().count().max(1);
        format!("{place}-{}", column + length - 1)
    }

    /// `file:line:column` of the start of a span.
    pub fn place(&self, span: Span) -> String {
        match self.get(span.source) {
            Some(source) => {
                let (line, column) = source.line_column(span.start);
                format!("{}:{line}:{column}", source.name)
            }
            None => "?".into(),
        }
    }
}
