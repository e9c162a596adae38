//! Parsing one piece, and what is left of it when that fails.

use pest::Parser;

use super::super::ast::*;
use super::super::grammar::{Grammar, Pair, Rule, parts};
use super::super::refusal::Refusal;
use super::super::words::{ITEMS, STATEMENTS, TESTS};
use super::lines::{self, Head};
use super::{Opened, Recovery};
use crate::diag::{Code, Diagnostic};
use crate::source::Span;

impl<'s> Recovery<'s> {
    /// Parses the lines that wait, as an item or as a statement.
    pub(super) fn flush(&mut self) {
        let Some(piece) = self.pending.take() else {
            return;
        };
        let (start, end) = (piece.start, piece.end);
        let (first, _) = lines::word(&self.mask[start..end]);
        let top = self.open.is_empty();
        let span = Span::new(self.source.id, start, end);
        let place = Span::new(self.source.id, start, start + first.len());
        let (rule, here, there) = match (top, self.in_test()) {
            (true, _) => (Rule::one_item, ITEMS, STATEMENTS),
            (_, true) => (Rule::one_test_stmt, TESTS, ITEMS),
            _ => (Rule::one_stmt, STATEMENTS, ITEMS),
        };
        let name = self.broken_name(start, end);
        if there.contains(&first) && !here.contains(&first) {
            self.misplaced(first, place, top);
        } else if let Some(pair) = self.parse(rule, start, end) {
            self.lower.base = start;
            match self.open.last_mut() {
                None => {
                    let item = self.lower.item(pair);
                    self.items.push(item);
                }
                Some(open) if rule == Rule::one_test_stmt => {
                    let stmt = self.lower.test_stmt(pair);
                    open.lines.push(stmt);
                }
                Some(open) => {
                    let stmt = self.lower.stmt(pair);
                    open.stmts.push(stmt);
                }
            }
            return;
        }
        match self.open.last_mut() {
            None => self.items.push(Item::Broken(Broken { name, span })),
            Some(open) if rule == Rule::one_test_stmt => {
                open.lines.push(TestStmt::Broken(Broken { name, span }));
            }
            Some(open) => open.stmts.push(Stmt::Broken(Broken { name, span })),
        }
    }

    /// The pair inside an entry rule, or one diagnostic.
    fn parse(&mut self, rule: Rule, start: usize, end: usize) -> Option<Pair<'s>> {
        let fault = self
            .faults
            .iter()
            .find(|f| (start..end.max(start + 1)).contains(&(f.span.start as usize)));
        if let Some(fault) = fault {
            self.lower.diagnostics.push(fault.clone());
            return None;
        }
        match Grammar::parse(rule, &self.source.text[start..end]) {
            Ok(mut pairs) => pairs.next().and_then(|p| parts(p).next()),
            Err(error) => {
                let refusal = Refusal::new(&error, start);
                let diagnostic = self.brackets(&refusal, start, end);
                let diagnostic =
                    diagnostic.unwrap_or_else(|| refusal.diagnostic(self.source, start, end));
                self.lower.diagnostics.push(diagnostic);
                None
            }
        }
    }

    /// A bracket before the refusal that has no partner is the likelier mistake.
    fn brackets(&self, refusal: &Refusal, start: usize, end: usize) -> Option<Diagnostic> {
        let mask = &self.mask[start..end];
        let source = self.source.id;
        let one = |at: usize| Span::new(source, start + at, start + at + 1);
        if let Some((closer, opener)) =
            wrong_closer(mask).filter(|(at, _)| refusal.at >= start + at)
        {
            let bracket = mask[closer] as char;
            let message = format!("nothing is open that this `{bracket}` could close");
            let out = Diagnostic::error(Code::EXTRA_CLOSE, one(closer), message);
            return Some(match opener {
                Some(at) => out
                    .related(
                        one(at),
                        format!("this `{}` is still open", mask[at] as char),
                    )
                    .help("close that one first, or remove this bracket"),
                None => out.help("remove it, or look for a missing opening bracket before it"),
            });
        }
        let opener = unclosed(mask)
            .into_iter()
            .rfind(|at| refusal.at > start + at)?;
        let head_brace = opener + 1 == mask.len();
        if head_brace {
            return None;
        }
        let bracket = mask[opener] as char;
        Some(
            Diagnostic::error(
                Code::UNCLOSED,
                one(opener),
                format!("this `{bracket}` is never closed"),
            )
            .related(Span::new(source, end, end), "the statement ends here")
            .help(format!(
                "write `{}` where it ends",
                partner(mask[opener]) as char
            )),
        )
    }

    pub(super) fn opened(&mut self, head: Head, start: usize, end: usize) -> Opened {
        let rule = match head {
            Head::Workflow => Rule::one_workflow,
            Head::Test => Rule::one_test,
            Head::For => Rule::one_for,
            Head::If => Rule::one_if,
            Head::Upon => Rule::one_upon,
        };
        let Some(pair) = self.parse(rule, start, end) else {
            return self.guess(head, start, &self.mask[start..end]);
        };
        self.lower.base = start;
        match head {
            Head::Workflow => Opened::Workflow(self.lower.workflow_head(pair)),
            Head::Test => Opened::Test(self.lower.test_head(pair)),
            Head::For => Opened::For(self.lower.for_head(pair)),
            Head::If => Opened::If(self.lower.if_head(pair)),
            Head::Upon => {
                let (event, binder) = self.lower.upon_head(pair);
                Opened::Upon(event, binder)
            }
        }
    }

    /// The names that a broken head still tells.
    fn guess(&self, head: Head, start: usize, mask: &[u8]) -> Opened {
        let span = Span::new(self.source.id, start, start + mask.len());
        let broken = || Expr::new(ExprKind::Broken, span);
        let words = words_of(mask, start);
        let name = |n: usize| {
            let (text, at) = words.get(n).copied().unwrap_or(("_", start));
            Name {
                text: text.into(),
                span: Span::new(self.source.id, at, at + text.len()),
            }
        };
        let comma = mask.iter().position(|b| *b == b',').is_some_and(|c| {
            words.get(2).is_some_and(|w| w.1 > start + c)
                && words.get(1).is_some_and(|w| w.1 < start + c)
        });
        match head {
            Head::Workflow => Opened::Workflow(name(1)),
            Head::Test => Opened::Test(name(usize::MAX)),
            Head::If => Opened::If(broken()),
            Head::Upon => Opened::Upon(
                name(1),
                if words.len() > 3 {
                    name(3)
                } else {
                    name(usize::MAX)
                },
            ),
            Head::For => Opened::For(For {
                first: name(1),
                second: comma.then(|| name(2)),
                source: broken(),
                by: None,
                limit: None,
                body: Block {
                    stmts: Vec::new(),
                    span,
                },
                span,
            }),
        }
    }

    fn broken_name(&self, start: usize, end: usize) -> Option<Name> {
        let mask = &self.mask[start..end];
        let words = words_of(mask.split(|b| *b == b'\n').next().unwrap_or(mask), start);
        if words.first()?.0 == "run" {
            let (text, at) = run_name(mask, start)?;
            return Some(Name {
                text: text.into(),
                span: Span::new(self.source.id, at, at + text.len()),
            });
        }
        let skip = if words.first().is_some_and(|w| w.0 == "secret") {
            2
        } else {
            1
        };
        let unnamed = ["at", "assert", "if", "for", "use"];
        let (first, _) = *words.first()?;
        let (text, at) = *words.get(skip)?;
        let head = self.source.text.get(start + first.len()..at)?;
        let beside = skip == 2 || head.trim().is_empty();
        (beside && !unnamed.contains(&first)).then(|| Name {
            text: text.into(),
            span: Span::new(self.source.id, at, at + text.len()),
        })
    }
}

/// `r` of `run … as r`.
fn run_name(mask: &[u8], start: usize) -> Option<(&str, usize)> {
    let at = mask.windows(4).rposition(|w| w == b" as ")? + 4;
    let (word, _) = lines::word(&mask[at..]);
    (!word.is_empty()).then_some((word, start + at))
}

fn words_of(mask: &[u8], start: usize) -> Vec<(&str, usize)> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < mask.len() && out.len() < 8 {
        let (word, _) = lines::word(&mask[at..]);
        if !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit()) {
            out.push((word, start + at));
        }
        at += word.len().max(1);
    }
    out
}

fn partner(opener: u8) -> u8 {
    match opener {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}

/// Opening brackets without a partner, the outermost first.
pub(super) fn unclosed(mask: &[u8]) -> Vec<usize> {
    let mut open = Vec::new();
    for (at, byte) in mask.iter().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => open.push(at),
            b')' | b']' | b'}' if open.last().is_some_and(|o| partner(mask[*o]) == *byte) => {
                open.pop();
            }
            _ => {}
        }
    }
    open
}

/// The first closing bracket without a partner, and the bracket that is open there.
fn wrong_closer(mask: &[u8]) -> Option<(usize, Option<usize>)> {
    let mut open: Vec<usize> = Vec::new();
    for (at, byte) in mask.iter().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => open.push(at),
            b')' | b']' | b'}' => match open.pop() {
                Some(o) if partner(mask[o]) == *byte => {}
                other => return Some((at, other)),
            },
            _ => {}
        }
    }
    None
}
