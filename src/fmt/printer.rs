//! Lines, blank lines and comments.

use super::WIDTH;
use crate::source::{Source, Span};
use crate::syntax::{Comment, ast::File};

pub(super) struct Printer<'s> {
    pub source: &'s Source,
    comments: &'s [Comment],
    /// The first comment that is not printed yet.
    next: usize,
    pub out: String,
    line_start: usize,
    /// Where the last printed part ends in the source.
    last: usize,
    /// A comment was met where the layout has no place for one.
    stray: bool,
}

/// A state to which a trial goes back.
pub(super) struct Mark {
    out: usize,
    next: usize,
    line_start: usize,
    last: usize,
    stray: bool,
}

/// A list of parts on lines of their own.
pub(super) struct Lines {
    pub indent: usize,
    /// Behind the opening bracket and at the closing one, in the source.
    pub open: usize,
    pub close: usize,
    /// Follows every part.
    pub suffix: &'static str,
}

impl<'s> Printer<'s> {
    pub fn new(source: &'s Source, comments: &'s [Comment]) -> Self {
        Printer {
            source,
            comments,
            next: 0,
            out: String::new(),
            line_start: 0,
            last: 0,
            stray: false,
        }
    }

    pub fn file(mut self, file: &File) -> String {
        let end = self.source.text.len();
        let lines = Lines {
            indent: 0,
            open: 0,
            close: end,
            suffix: "",
        };
        self.lines(&lines, &file.items, super::stmts::item_span, |p, item| {
            p.item(item)
        });
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }

    pub fn text(&mut self, text: &str) {
        self.out.push_str(text);
        if let Some(at) = text.rfind('\n') {
            self.line_start = self.out.len() - (text.len() - at - 1);
        }
    }

    pub fn slice(&mut self, span: Span) {
        let source = self.source;
        self.text(source.slice(span));
    }

    pub fn newline(&mut self, indent: usize) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.line_start = self.out.len();
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    pub fn column(&self) -> usize {
        self.out[self.line_start..].chars().count()
    }

    /// Whether a text still fits on this line, with a little behind it.
    pub fn fits(&self, text: &str) -> bool {
        self.column() + text.chars().count() <= WIDTH - 2
    }

    pub fn mark(&self) -> Mark {
        Mark {
            out: self.out.len(),
            next: self.next,
            line_start: self.line_start,
            last: self.last,
            stray: self.stray,
        }
    }

    pub fn back(&mut self, mark: &Mark) {
        self.out.truncate(mark.out);
        self.next = mark.next;
        self.line_start = mark.line_start;
        self.last = mark.last;
        self.stray = mark.stray;
    }

    /// Whether everything since a mark stands on one line that is not too long.
    pub fn one_line_since(&self, mark: &Mark) -> bool {
        !self.out[mark.out..].contains('\n') && self.column() <= WIDTH
    }

    pub fn has_comment(&self, span: Span) -> bool {
        let first = self.comments.partition_point(|c| c.span.start < span.start);
        self.comments
            .get(first)
            .is_some_and(|c| c.span.start < span.end)
    }

    pub fn newline_between(&self, from: usize, to: usize) -> bool {
        self.source
            .text
            .get(from..to)
            .is_some_and(|gap| gap.contains('\n'))
    }

    /// Prints each part on its own line with the comments around it, up to the closing bracket.
    pub fn lines<T>(
        &mut self,
        lines: &Lines,
        parts: &[T],
        span: impl Fn(&Self, &T) -> Span,
        mut print: impl FnMut(&mut Self, &T),
    ) {
        if self
            .comments
            .get(self.next)
            .is_some_and(|c| (c.span.start as usize) < lines.open)
        {
            self.stray = true;
        }
        self.last = lines.open;
        let mut first = true;
        // A comment inside the next part is that part's.
        let start = |p: &Self, n: usize| {
            let next: Option<&T> = parts.get(n);
            next.map_or(lines.close, |part| span(p, part).start as usize)
        };
        if lines.open > 0 {
            self.behind(start(self, 0));
        }
        for (n, part) in parts.iter().enumerate() {
            let place = span(self, part);
            self.above(place.start as usize, lines.indent, &mut first);
            self.blank_line(place.start as usize, &mut first);
            self.newline(lines.indent);
            self.part(place, lines.indent, |p| print(p, part));
            self.text(lines.suffix);
            self.behind(start(self, n + 1));
        }
        self.above(lines.close, lines.indent, &mut first);
        self.last = lines.close;
    }

    /// Comments on lines of their own before a place.
    fn above(&mut self, upto: usize, indent: usize, first: &mut bool) {
        while let Some(comment) = self.comments.get(self.next).copied() {
            if comment.span.start as usize >= upto {
                return;
            }
            self.blank_line(comment.span.start as usize, first);
            self.newline(indent);
            self.slice(comment.span);
            self.last = comment.span.end as usize;
            self.next += 1;
        }
    }

    /// Keeps one blank line where the author left some.
    fn blank_line(&mut self, upto: usize, first: &mut bool) {
        let gap = self.source.text.get(self.last..upto).unwrap_or("");
        if !*first && gap.bytes().filter(|b| *b == b'\n').count() > 1 {
            self.out.push('\n');
        }
        *first = false;
    }

    /// A comment behind the last part, on its line.
    fn behind(&mut self, close: usize) {
        let Some(comment) = self.comments.get(self.next).copied() else {
            return;
        };
        let start = comment.span.start as usize;
        if start < self.last || start >= close || self.newline_between(self.last, start) {
            return;
        }
        self.text(" ");
        self.slice(comment.span);
        self.last = comment.span.end as usize;
        self.next += 1;
    }

    /// Prints one part; where a comment of it found no place, the part stays as it was written.
    pub fn part(&mut self, span: Span, indent: usize, print: impl FnOnce(&mut Self)) {
        let mark = self.mark();
        self.stray = false;
        print(self);
        let left = self
            .comments
            .get(self.next)
            .is_some_and(|c| c.span.start < span.end);
        if self.stray || left {
            self.back(&mark);
            self.verbatim(span, indent);
            self.next = self.comments.partition_point(|c| c.span.start < span.end);
        }
        self.stray = mark.stray;
        self.last = span.end as usize;
    }

    fn verbatim(&mut self, span: Span, indent: usize) {
        let source = self.source;
        let start = span.start as usize;
        let line = source.text[..start].rfind('\n').map_or(0, |n| n + 1);
        let before = &source.text[line..start];
        let was = before.len() - before.trim_start_matches([' ', '\t']).len();
        for (n, text) in source.slice(span).split('\n').enumerate() {
            let text = text.strip_suffix('\r').unwrap_or(text);
            if n == 0 {
                self.text(text);
                continue;
            }
            let blanks = text.len() - text.trim_start_matches([' ', '\t']).len();
            let rest = &text[blanks.min(was)..];
            self.newline(if rest.is_empty() { 0 } else { indent });
            self.text(rest);
        }
    }
}
