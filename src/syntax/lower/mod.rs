//! From pest's pairs to the tree.

mod expr;
mod items;
mod literal;
mod policy;
pub(in crate::syntax) use literal::clip;
mod steps;
mod test_block;
mod types;

use std::sync::Arc;

use super::Comment;
use super::ast::*;
use super::grammar::{Pair, Rule, end_of};
use crate::diag::{Code, Diagnostic};
use crate::source::{Source, Span};

/// How deep an expression or a type may become. Later passes recurse over the tree, so that this
/// bounds their stack as well; a chain `a + b + c` counts one for each operator.
pub const EXPR_DEPTH: usize = 600;

pub struct Lower<'s> {
    pub source: &'s Source,
    /// Where the text that pest saw begins in the source.
    pub base: usize,
    pub comments: &'s [Comment],
    pub diagnostics: Vec<Diagnostic>,
}

impl<'s> Lower<'s> {
    pub fn new(source: &'s Source, base: usize, comments: &'s [Comment]) -> Self {
        Lower {
            source,
            base,
            comments,
            diagnostics: Vec::new(),
        }
    }

    /// From the first to the last token.
    fn span(&self, pair: &Pair) -> Span {
        self.range(pair.as_span().start(), end_of(pair))
    }

    fn range(&self, start: usize, end: usize) -> Span {
        Span::new(self.source.id, self.base + start, self.base + end)
    }

    fn name(&self, pair: &Pair) -> Name {
        Name {
            text: pair.as_str().into(),
            span: self.span(pair),
        }
    }

    fn names<'t>(&self, pair: Pair<'t>) -> Vec<Name> {
        super::grammar::parts(pair).map(|p| self.name(&p)).collect()
    }

    /// For what the grammar promises and a changed grammar might break.
    fn missing_name(&self, at: &Pair) -> Name {
        Name {
            text: "".into(),
            span: self.span(at),
        }
    }

    fn next_name<'t>(&self, of: &Pair, parts: &mut impl Iterator<Item = Pair<'t>>) -> Name {
        parts
            .next()
            .map_or_else(|| self.missing_name(of), |p| self.name(&p))
    }

    fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.diagnostics
            .push(Diagnostic::error(code, span, message));
        let last = self.diagnostics.len() - 1;
        &mut self.diagnostics[last]
    }

    /// The `///` lines directly above a node, and the one behind it on its last line.
    fn doc(&self, span: Span) -> Doc {
        let mut lines = self.doc_above(span.start);
        lines.extend(self.doc_behind(span.end));
        if lines.is_empty() {
            None
        } else {
            Some(Arc::from(lines.join("\n")))
        }
    }

    fn doc_above(&self, start: u32) -> Vec<&'s str> {
        let text = &*self.source.text;
        let before = self.comments.partition_point(|c| c.span.end <= start);
        let mut lines = Vec::new();
        let mut next = start as usize;
        for comment in self.comments[..before].iter().rev() {
            let gap = &text[comment.span.end as usize..next];
            if !comment.alone || !gap.trim().is_empty() {
                break;
            }
            if comment.doc {
                lines.push(doc_text(self.source.slice(comment.span)));
            }
            next = comment.span.start as usize;
        }
        lines.reverse();
        lines
    }

    fn doc_behind(&self, end: u32) -> Option<&'s str> {
        let text = &*self.source.text;
        let after = self.comments.partition_point(|c| c.span.start < end);
        let comment = self.comments.get(after).filter(|c| c.doc && !c.alone)?;
        let gap = &text[end as usize..comment.span.start as usize];
        let near = gap.chars().all(|c| matches!(c, ' ' | '\t' | ','));
        near.then(|| doc_text(self.source.slice(comment.span)))
    }
}

fn doc_text(comment: &str) -> &str {
    let text = comment.trim_start_matches('/').trim_end();
    text.strip_prefix(' ').unwrap_or(text)
}

/// Whether a pair is one of these rules; a shorthand for optional parts.
fn take<'t>(
    parts: &mut std::iter::Peekable<impl Iterator<Item = Pair<'t>>>,
    rule: Rule,
) -> Option<Pair<'t>> {
    parts.next_if(|p| p.as_rule() == rule)
}
