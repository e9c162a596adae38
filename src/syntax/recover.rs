//! A file with mistakes: cut into pieces, each parsed by itself.

use super::grammar::Rule;
use super::{Parsed, empty, scan};
use crate::diag::{Code, Diagnostic};
use crate::source::{Source, Span};

pub fn recover(source: &Source, base: usize, error: Option<pest::error::Error<Rule>>) -> Parsed {
    let scan = scan::scan(source, base, true);
    let mut diagnostics = scan.faults;
    if let Some(error) = error {
        let at = match error.location {
            pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => {
                base + at
            }
        };
        diagnostics.push(Diagnostic::error(
            Code::SYNTAX,
            Span::new(source.id, at, at),
            "unexpected text",
        ));
    }
    Parsed {
        file: empty(source),
        comments: scan.comments,
        diagnostics,
    }
}
