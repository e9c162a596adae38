//! Text to tree.
//!
//! [`parse`] never fails: what does not parse becomes a diagnostic and a `Broken` node. A good file
//! is parsed once, by the plain grammar in `grammar/`. Only where that fails is the file cut at the
//! lines that begin statements, and each piece parsed by itself (`recover`), so that one mistake
//! gives one error.

pub mod ast;
pub mod walk;
mod grammar;
mod lower;
mod recover;
mod refusal;
mod same;
mod scan;
mod test_block;
mod words;

use pest::Parser;

use crate::diag::{Code, Diagnostic};
use crate::source::{Source, Span};
use grammar::{Grammar, Rule};
pub use same::same_meaning;

/// A `//` or `///` comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comment {
    /// With its slashes, without blanks at its end.
    pub span: Span,
    /// `///`: it documents what it stands behind, or what follows it.
    pub doc: bool,
    /// Nothing stands before it on its line.
    pub alone: bool,
}

/// What came of a text.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub file: ast::File,
    /// In the order of the text.
    pub comments: Vec<Comment>,
    /// In the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a whole file. Text with mistakes gives diagnostics and a tree of the rest.
pub fn parse(source: &Source) -> Parsed {
    let text = &*source.text;
    if let Some(refused) = not_text(source) {
        return Parsed {
            file: empty(source),
            comments: Vec::new(),
            diagnostics: vec![refused],
        };
    }
    let base = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let scan = scan::scan(source, base, false);
    if !scan.faults.is_empty() {
        return recover::recover(source, base, None);
    }
    match Grammar::parse(Rule::file, &text[base..]) {
        Ok(pairs) => {
            let mut lower = lower::Lower::new(source, base, &scan.comments);
            let items = pairs
                .flat_map(grammar::parts)
                .map(|p| lower.item(p))
                .collect();
            let mut diagnostics = lower.diagnostics;
            diagnostics.sort_by_key(|d| (d.span, d.code));
            let file = ast::File {
                items,
                ..empty(source)
            };
            Parsed {
                file,
                comments: scan.comments,
                diagnostics,
            }
        }
        Err(error) => recover::recover(source, base, Some(error)),
    }
}

fn empty(source: &Source) -> ast::File {
    ast::File {
        items: Vec::new(),
        span: Span::new(source.id, 0, source.text.len()),
    }
}

/// What is no text at all gets one clear message instead of many odd ones.
fn not_text(source: &Source) -> Option<Diagnostic> {
    if source.text.len() > u32::MAX as usize {
        let span = Span::new(source.id, 0, 0);
        return Some(
            Diagnostic::error(Code::NOT_TEXT, span, "this file is larger than 4 GiB")
                .help("a flow is text written by people; check the path"),
        );
    }
    let at = source.text.bytes().position(|b| b == 0)?;
    Some(
        Diagnostic::error(
            Code::NOT_TEXT,
            Span::new(source.id, at, at + 1),
            "this is no text: it contains a NUL byte",
        )
        .help("check the path; if an editor wrote UTF-16, save the file as UTF-8"),
    )
}

#[cfg(test)]
mod tests;
