//! A first look at the text that never fails: comments, strings that are never closed, and how
//! deep brackets nest.
//!
//! It knows what hides brackets and slashes (comments, strings with their `${…}`, raw strings), and
//! can give the text with all of that blanked out, which recovery reads.

use super::{Comment, words};
use crate::diag::{Code, Diagnostic};
use crate::source::{Source, Span};

/// How deep brackets of all kinds may nest.
pub const DEPTH: usize = 256;

/// What stands in the mask for every byte of a string.
pub const STRING: u8 = b'"';

pub struct Scan {
    pub comments: Vec<Comment>,
    /// In the order of the text; after the first one of a piece the others may be consequences.
    pub faults: Vec<Diagnostic>,
    /// As long as the text: comments are blanks, strings are [`STRING`] throughout, newlines in raw
    /// strings too. Only where it was asked for.
    pub mask: Vec<u8>,
}

pub fn scan(source: &Source, base: usize, masked: bool) -> Scan {
    let mut scanner = Scanner {
        source,
        text: source.text.as_bytes(),
        at: base,
        line_start: base,
        depth: 0,
        too_deep: false,
        out: Scan {
            comments: Vec::new(),
            faults: Vec::new(),
            mask: if masked {
                source.text.as_bytes().to_vec()
            } else {
                Vec::new()
            },
        },
    };
    scanner.run();
    scanner.out
}

struct Scanner<'s> {
    source: &'s Source,
    text: &'s [u8],
    at: usize,
    line_start: usize,
    depth: usize,
    too_deep: bool,
    out: Scan,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'/' if self.text.get(self.at + 1) == Some(&b'/') => self.comment(),
                b'"' => self.quotes(),
                b'(' | b'[' | b'{' => {
                    self.deeper(self.depth + 1);
                    self.depth += 1;
                    self.at += 1;
                }
                b')' | b']' | b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.at += 1;
                }
                b'\n' => {
                    self.at += 1;
                    self.line_start = self.at;
                }
                _ => self.at += 1,
            }
        }
    }

    fn deeper(&mut self, depth: usize) {
        if depth > DEPTH && !self.too_deep {
            self.too_deep = true;
            let span = self.span(self.at, self.at + 1);
            self.out.faults.push(
                Diagnostic::error(Code::NESTING, span, format!("brackets nest more than {DEPTH} deep here"))
                    .help("give inner parts names with `let`, or close a bracket that was left open further up"),
            );
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.source.id, start, end)
    }

    fn line_end(&self, from: usize) -> usize {
        let rest = &self.text[from..];
        rest.iter()
            .position(|b| *b == b'\n')
            .map_or(self.text.len(), |n| from + n)
    }

    fn blank(&mut self, start: usize, end: usize, with: u8) {
        if let Some(mask) = self.out.mask.get_mut(start..end) {
            mask.fill(with);
        }
    }

    fn comment(&mut self) {
        let start = self.at;
        let end = self.line_end(start);
        let text = &self.text[start..end];
        let trimmed = start + text.trim_ascii_end().len();
        let alone = self.text[self.line_start..start].trim_ascii().is_empty();
        let doc = text.starts_with(b"///") && !text.starts_with(b"////");
        let span = self.span(start, trimmed);
        self.out.comments.push(Comment { span, doc, alone });
        self.blank(start, end, b' ');
        self.at = end;
    }

    fn quotes(&mut self) {
        let start = self.at;
        let count = self.text[start..]
            .iter()
            .take_while(|b| **b == b'"')
            .count();
        self.at = if count >= 3 {
            self.raw(start, count)
        } else {
            self.string(start)
        };
        self.blank(start, self.at, STRING);
    }

    /// Where the string that begins at `start` ends. Only `${…}` nests, so that a stack of open
    /// brackets for each interpolation is all there is to remember.
    fn string(&mut self, start: usize) -> usize {
        let mut open: Vec<usize> = Vec::new();
        let mut brackets_open = 0;
        let mut inside = true;
        let mut at = start + 1;
        while let Some(&byte) = self.text.get(at) {
            let next = self.text.get(at + 1).copied();
            match (inside, byte) {
                (_, b'\n') => break,
                (true, b'\\') if next != Some(b'\n') => at += 1,
                (true, b'"') if open.is_empty() => return at + 1,
                (true, b'"') => inside = false,
                (true, b'$') if next == Some(b'{') => {
                    open.push(0);
                    inside = false;
                    at += 1;
                }
                (false, b'"') => inside = true,
                (false, b'/') if next == Some(b'/') => break,
                (false, b'{' | b'(' | b'[') => {
                    if let Some(brackets) = open.last_mut() {
                        *brackets += 1;
                        brackets_open += 1;
                    }
                }
                (false, b')' | b']' | b'}') => match open.last_mut() {
                    Some(0) if byte == b'}' => {
                        open.pop();
                        inside = true;
                    }
                    Some(brackets) if *brackets > 0 => {
                        *brackets -= 1;
                        brackets_open -= 1;
                    }
                    Some(_) => {}
                    None => {}
                },
                _ => {}
            }
            if !inside && matches!(byte, b'{' | b'(' | b'[' | b'$') {
                self.at = at;
                self.deeper(self.depth + open.len() + brackets_open);
            }
            at += 1;
        }
        let end = self.line_end(at.min(self.text.len()));
        self.unclosed(start, end, !open.is_empty());
        end
    }

    fn unclosed(&mut self, start: usize, end: usize, interpolation: bool) {
        let end = start + self.text[start..end].trim_ascii_end().len();
        let fault = if interpolation {
            let text = String::from_utf8_lossy(&self.text[start..end]).into_owned();
            let at = text.rfind("${").map_or(start, |n| start + n);
            Diagnostic::error(Code::UNCLOSED, self.span(at.min(end), end), "`${` is never closed on its line")
                .related(self.span(start, start + 1), "the string begins here")
                .help("write `}` behind the value; a value inside a string stands on one line and has no comment")
        } else {
            Diagnostic::error(Code::UNCLOSED, self.span(start, end), "this string is never closed on its line")
                .help("write `\"` at its end; text over several lines stands in a raw string between `\"\"\"` and `\"\"\"`")
        };
        self.out.faults.push(fault);
    }

    fn raw(&mut self, start: usize, count: usize) -> usize {
        let tag = start + count;
        let blank = tag
            + self.text[tag..]
                .iter()
                .take_while(|b| b.is_ascii_alphabetic())
                .count();
        let line_end = self.line_end(blank);
        if !self.text[blank..line_end].trim_ascii().is_empty() {
            let span = self.span(
                start,
                start + self.text[start..line_end].trim_ascii_end().len(),
            );
            let quotes = "\"".repeat(count.min(8));
            self.out.faults.push(
                Diagnostic::error(Code::UNCLOSED, span, "the text of a raw string begins on the line below its quotes")
                    .help(format!(
                        "put only a tag such as `bash` behind `{quotes}`, the text below it, and `{quotes}` on a line of its own"
                    )),
            );
            return line_end;
        }
        match self.closing(line_end, count) {
            Some(end) => end,
            None => {
                self.out.faults.push(
                    Diagnostic::error(
                        Code::UNCLOSED,
                        self.span(start, blank),
                        "this raw string is never closed",
                    )
                    .help(format!(
                        "write {count} quotes on a line of their own where its text ends"
                    )),
                );
                self.raw_resync(line_end)
            }
        }
    }

    fn closing(&self, from: usize, count: usize) -> Option<usize> {
        let mut run = 0;
        for (offset, byte) in self.text[from..].iter().enumerate() {
            run = if *byte == b'"' { run + 1 } else { 0 };
            if run == count {
                return Some(from + offset + 1);
            }
        }
        None
    }

    /// The text of a raw string stands deeper than the statement that holds it: it is over at a
    /// line that begins like a statement no deeper than that.
    fn raw_resync(&self, from: usize) -> usize {
        let first = &self.text[self.line_start..];
        let indent = first.len() - first.trim_ascii_start().len();
        let mut at = from;
        while at < self.text.len() {
            let start = at + 1;
            let end = self.line_end(start.min(self.text.len()));
            let line = self.text.get(start..end).unwrap_or_default();
            let content = line.trim_ascii_start();
            let word_len = content
                .iter()
                .take_while(|b| b.is_ascii_alphanumeric())
                .count();
            let starts = std::str::from_utf8(&content[..word_len]).is_ok_and(words::starts_line);
            if line.len() - content.len() <= indent && (starts || content == b"}") {
                return at;
            }
            at = end;
        }
        self.text.len()
    }
}
