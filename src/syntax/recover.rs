//! A file with mistakes: cut into pieces, each parsed by itself.
//!
//! A piece begins at an *anchor*: a line whose first word begins a statement or an item, or any
//! line of the shape `WORD WORD =`, which no field has. A line `}` belongs to the open block of the
//! same indentation, otherwise to the piece above. So an unclosed bracket stays inside its
//! statement, and each piece has at most one syntax error.

mod lines;
mod piece;

use pest::error::Error;

use super::ast::*;
use super::grammar::Rule;
use super::lower::Lower;
use super::refusal::Refusal;
use super::{Parsed, empty, scan};
use crate::diag::{Code, Diagnostic};
use crate::source::{Source, Span};
use lines::{Anchor, Head, Line};

/// `error`: why the whole file did not parse; none when the scanner already found the reason.
pub fn recover(source: &Source, base: usize, error: Option<Error<Rule>>) -> Parsed {
    let scan = scan::scan(source, base, true);
    if let Some(deep) = scan.faults.iter().find(|f| f.code == Code::NESTING) {
        let diagnostics = vec![deep.clone()];
        return Parsed {
            file: empty(source),
            comments: scan.comments,
            diagnostics,
        };
    }
    let mut recovery = Recovery {
        source,
        mask: &scan.mask,
        faults: &scan.faults,
        lower: Lower::new(source, base, &scan.comments),
        items: Vec::new(),
        open: Vec::new(),
        pending: None,
    };
    recovery.run(base);
    let (items, mut diagnostics) = (recovery.items, recovery.lower.diagnostics);
    if diagnostics.is_empty() {
        let whole =
            error.map(|e| Refusal::new(&e, base).diagnostic(source, base, source.text.len()));
        diagnostics.extend(whole.or_else(|| scan.faults.first().cloned()));
    }
    diagnostics.sort_by_key(|d| (d.span, d.code));
    Parsed {
        file: File {
            items,
            ..empty(source)
        },
        comments: scan.comments,
        diagnostics,
    }
}

/// A block whose end has not come yet.
struct Open {
    head: Opened,
    indent: usize,
    /// Indentation of its first statement.
    inner: Option<usize>,
    start: usize,
    brace: usize,
    stmts: Vec<Stmt>,
    /// Of a test.
    lines: Vec<TestStmt>,
    /// The first block of an `if` that has come to its `else`.
    then: Option<Block>,
}

enum Opened {
    Workflow(Name),
    Test(Name),
    For(For),
    If(Expr),
    Upon(Name, Name),
}

/// Lines that belong together and are not parsed yet.
#[derive(Clone, Copy)]
struct Pending {
    start: usize,
    end: usize,
    indent: usize,
}

struct Recovery<'s> {
    source: &'s Source,
    mask: &'s [u8],
    faults: &'s [Diagnostic],
    lower: Lower<'s>,
    items: Vec<Item>,
    open: Vec<Open>,
    pending: Option<Pending>,
}

impl Recovery<'_> {
    fn run(&mut self, base: usize) {
        let lines = lines::code_lines(self.mask, base);
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            at += 1;
            let before = at.checked_sub(2).map(|n| lines[n].text(self.mask));
            if line.text(self.mask).starts_with(b"}") {
                self.close_line(*line, &lines[at..]);
                continue;
            }
            let anchor = match self.in_test() {
                true => lines::test_anchor(*line, before, self.mask),
                false => lines::anchor(*line, before, self.mask),
            };
            match anchor {
                Some(Anchor::Head(head)) => at += self.head(head, *line, &lines[at..]),
                Some(Anchor::Plain { item }) => {
                    self.begin(*line, item);
                    self.pending = Some(line.into());
                }
                None => match &mut self.pending {
                    Some(piece) => piece.end = line.end,
                    None => self.pending = Some(line.into()),
                },
            }
        }
        self.flush();
        while !self.open.is_empty() {
            self.never_closed(self.source.text.trim_end().len());
        }
    }

    /// Whether the innermost block is a test.
    fn in_test(&self) -> bool {
        let top = self.open.last();
        top.is_some_and(|open| matches!(open.head, Opened::Test(_)))
    }

    /// A statement begins here: what stood before is over, and so are blocks that were left open.
    fn begin(&mut self, line: Line, item: bool) {
        self.flush();
        while let Some(open) = self.open.last_mut() {
            let shallow =
                line.indent <= open.indent && (item || open.inner.is_some_and(|i| i > open.indent));
            if !shallow {
                open.inner.get_or_insert(line.indent);
                break;
            }
            self.never_closed(line.start);
        }
    }

    /// Opens a block; gives how many further lines its head took.
    fn head(&mut self, head: Head, line: Line, rest: &[Line]) -> usize {
        let item = Anchor::Head(head).is_item();
        let Some((end, taken)) = lines::head_end(line, rest, self.mask) else {
            self.begin(line, item);
            self.pending = Some((&line).into());
            return 0;
        };
        self.begin(line, item);
        let opened = self.opened(head, line.start, end);
        self.open.push(Open {
            head: opened,
            indent: line.indent,
            inner: None,
            start: line.start,
            brace: end.saturating_sub(1),
            stmts: Vec::new(),
            lines: Vec::new(),
            then: None,
        });
        taken
    }

    /// A line that begins with `}`.
    fn close_line(&mut self, line: Line, rest: &[Line]) {
        let own = self.pending.is_some_and(|p| {
            let open = !piece::unclosed(&self.mask[p.start..p.end]).is_empty();
            open && (p.indent == line.indent || !self.open.iter().any(|o| o.indent == line.indent))
        });
        if own {
            if let Some(piece) = &mut self.pending {
                piece.end = line.end;
            }
            return;
        }
        self.flush();
        let same = self.open.iter().rposition(|o| o.indent == line.indent);
        let index = match same {
            Some(index) => Some(index),
            // Closed at another indentation, unless the right bracket is still to come.
            None => self.open.last().and_then(|top| {
                let later = rest
                    .iter()
                    .any(|l| l.indent == top.indent && l.text(self.mask).starts_with(b"}"));
                (!later).then_some(self.open.len() - 1)
            }),
        };
        let goes_on = rest.first().is_some_and(|next| {
            next.indent > line.indent
                && matches!(lines::anchor(*next, None, self.mask), Some(a) if !a.is_item())
        });
        match index {
            Some(index) if !(index == 0 && goes_on && line.end == line.start + 1) => {
                while self.open.len() > index + 1 {
                    self.never_closed(line.start);
                }
                self.close(line);
            }
            _ => self.extra(line.start, line.end),
        }
    }

    /// Closes the innermost block, or turns to its `else`.
    fn close(&mut self, line: Line) {
        let behind = self.mask[line.start + 1..line.end].trim_ascii();
        let is_if = self
            .open
            .last()
            .is_some_and(|o| matches!(o.head, Opened::If(_)) && o.then.is_none());
        if is_if && behind.starts_with(b"else") && behind.ends_with(b"{") {
            if let Some(open) = self.open.last_mut() {
                let span = Span::new(self.source.id, open.brace, line.start + 1);
                open.then = Some(Block {
                    stmts: std::mem::take(&mut open.stmts),
                    span,
                });
                open.brace = line.end - 1;
            }
            let middle = &self.mask[line.start + 1..line.end - 1].trim_ascii()[4..];
            if !middle.trim_ascii().is_empty() {
                self.else_condition(line);
            }
            return;
        }
        self.finish(line.start + 1);
        if behind.is_empty() {
            return;
        }
        let start = line.end - behind.len();
        if behind
            .iter()
            .all(|b| matches!(b, b'}' | b')' | b']' | b' '))
        {
            self.extra(start, line.end);
        } else {
            self.pending = Some(Pending {
                start,
                end: line.end,
                indent: line.indent,
            });
        }
    }

    fn else_condition(&mut self, line: Line) {
        let span = Span::new(self.source.id, line.start + 1, line.end);
        self.lower.diagnostics.push(
            Diagnostic::error(Code::SYNTAX, span, "expected `{` behind `else`")
                .help("put a whole `if … { … }` into the block of the `else`"),
        );
    }

    fn extra(&mut self, start: usize, end: usize) {
        let bracket = self.source.text[start..].chars().next().unwrap_or('}');
        let span = Span::new(self.source.id, start, (start + 1).min(end.max(start + 1)));
        self.lower.diagnostics.push(
            Diagnostic::error(
                Code::EXTRA_CLOSE,
                span,
                format!("nothing is open that this `{bracket}` could close"),
            )
            .help("remove it, or look for a missing opening bracket above"),
        );
    }

    fn never_closed(&mut self, noticed: usize) {
        if let Some(open) = self.open.last() {
            let brace = Span::new(self.source.id, open.brace, open.brace + 1);
            let noticed_at = Span::new(self.source.id, noticed, noticed);
            let error = Diagnostic::error(Code::UNCLOSED, brace, "this `{` is never closed")
                .related(noticed_at, "it would have to end before this")
                .help("write `}` where the block ends, indented like the line that opens it");
            self.lower.diagnostics.push(error);
        }
        self.finish(noticed);
    }

    /// The innermost block ends at `end`; it becomes a node of the one around it.
    fn finish(&mut self, end: usize) {
        let Some(open) = self.open.pop() else { return };
        let span = Span::new(self.source.id, open.start, end);
        let body = Block {
            stmts: open.stmts,
            span: Span::new(self.source.id, open.brace, end),
        };
        let stmt = match open.head {
            Opened::Workflow(name) => {
                let doc = self.lower.doc_of(span);
                return self.item(Item::Workflow(Workflow {
                    name,
                    body,
                    doc,
                    span,
                }));
            }
            Opened::Test(name) => {
                let doc = self.lower.doc_of(span);
                return self.item(Item::Test(Test {
                    name,
                    stmts: open.lines,
                    body: body.span,
                    doc,
                    span,
                }));
            }
            Opened::For(head) => Stmt::For(For { body, span, ..head }),
            Opened::Upon(event, binder) => Stmt::Upon(Upon {
                event,
                binder,
                body,
                span,
            }),
            Opened::If(condition) => {
                let (then, otherwise) = match open.then {
                    Some(then) => (then, Some(body)),
                    None => (body, None),
                };
                Stmt::If(If {
                    condition,
                    then,
                    otherwise,
                    span,
                })
            }
        };
        self.stmt(stmt, span);
    }

    fn item(&mut self, item: Item) {
        match self.open.last_mut() {
            None => self.items.push(item),
            Some(_) => {
                if let Item::Workflow(workflow) = &item {
                    self.misplaced("workflow", workflow.name.span, false);
                }
                self.items.push(item);
            }
        }
    }

    fn stmt(&mut self, stmt: Stmt, span: Span) {
        match self.open.last_mut() {
            Some(open) => open.stmts.push(stmt),
            None => {
                let source = self.source;
                let word = source
                    .slice(span)
                    .split(|c: char| !c.is_alphanumeric())
                    .next()
                    .unwrap_or("");
                let place = Span {
                    end: span.start + word.len() as u32,
                    ..span
                };
                self.misplaced(word, place, true);
                self.items.push(Item::Broken(Broken { name: None, span }));
            }
        }
    }

    fn misplaced(&mut self, word: &str, span: Span, inside: bool) {
        let (message, help) = match inside {
            true => (
                format!("`{word}` cannot stand outside a workflow"),
                "move it between the braces of a `workflow`",
            ),
            false => (
                format!("`{word}` cannot stand inside a workflow"),
                "move it to the top of the file, or close the block above with `}`",
            ),
        };
        self.lower
            .diagnostics
            .push(Diagnostic::error(Code::SYNTAX, span, message).help(help));
    }
}
