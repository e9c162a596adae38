//! The one canonical layout of a flow.
//!
//! Two spaces a level, at most [`WIDTH`] columns where that is possible, at most one blank line. What
//! an author wrote with a newline behind its opening bracket stays on several lines. Comments stay
//! where they are; a part with a comment in a place that the layout does not know stays as written.

mod containers;
mod diff;
mod exprs;
mod flat;
mod policies;
mod printer;
mod steps;
mod stmts;
mod test_blocks;
mod types;

pub use diff::diff;

use crate::diag::{Diagnostic, Severity};
use crate::source::{Source, SourceId};
use crate::syntax::{self, Parsed};

/// Target width in columns.
pub const WIDTH: usize = 100;

#[derive(Debug, thiserror::Error)]
pub enum FmtError {
    /// The file has mistakes; formatting it might move them.
    #[error("the file does not parse, so it was not formatted")]
    Broken(Vec<Diagnostic>),
    /// Our own mistake, noticed before anything was written.
    #[error(
        "formatting `{0}` would have changed what it means, so nothing was written; \
         this is a bug of r5flow: please report it with the file"
    )]
    ChangedMeaning(String),
}

/// The canonical text of a file. It is parsed again and compared before it is given out.
pub fn format(source: &Source) -> Result<String, FmtError> {
    let parsed = syntax::parse(source);
    let errors: Vec<_> = parsed
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .cloned()
        .collect();
    if !errors.is_empty() {
        return Err(FmtError::Broken(errors));
    }
    let out = printer::Printer::new(source, &parsed.comments).file(&parsed.file);
    let again = Source::new(SourceId(0), source.name.clone(), out.as_str());
    let reparsed = syntax::parse(&again);
    let same = reparsed.diagnostics.is_empty() == parsed.diagnostics.is_empty()
        && syntax::same_meaning(&parsed.file, &reparsed.file)
        && comments(source, &parsed) == comments(&again, &reparsed);
    if same {
        Ok(out)
    } else {
        Err(FmtError::ChangedMeaning(source.name.clone()))
    }
}

fn comments<'s>(source: &'s Source, parsed: &Parsed) -> Vec<&'s str> {
    parsed
        .comments
        .iter()
        .map(|c| source.slice(c.span))
        .collect()
}

#[cfg(test)]
mod tests;
