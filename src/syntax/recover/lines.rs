//! Lines of a masked text, and which of them begin something.

use super::super::words::{CLAUSES, ITEMS, STATEMENTS, TESTS};
use super::Pending;
use crate::diag::nearest;

/// A line with code on it, from its first to its last byte that is no blank.
#[derive(Clone, Copy)]
pub struct Line {
    pub start: usize,
    pub end: usize,
    pub indent: usize,
}

impl Line {
    pub fn text<'m>(&self, mask: &'m [u8]) -> &'m [u8] {
        &mask[self.start..self.end]
    }
}

impl From<&Line> for Pending {
    fn from(line: &Line) -> Pending {
        Pending {
            start: line.start,
            end: line.end,
            indent: line.indent,
        }
    }
}

pub fn code_lines(mask: &[u8], base: usize) -> Vec<Line> {
    let mut out = Vec::new();
    let mut at = base;
    for line in mask[base..].split(|b| *b == b'\n') {
        let content = line.trim_ascii_start();
        let indent = line.len() - content.len();
        let start = at + indent;
        let end = start + content.trim_ascii_end().len();
        if end > start {
            out.push(Line { start, end, indent });
        }
        at += line.len() + 1;
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Head {
    Workflow,
    Test,
    For,
    If,
    Upon,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Head(Head),
    /// `item`: it can only stand at the top of a file.
    Plain {
        item: bool,
    },
}

impl Anchor {
    pub fn is_item(self) -> bool {
        matches!(
            self,
            Anchor::Head(Head::Workflow | Head::Test) | Anchor::Plain { item: true }
        )
    }
}

/// What a line begins, if it begins anything. `before`: the line above, whose end may ask for more.
pub fn anchor(line: Line, before: Option<&[u8]>, mask: &[u8]) -> Option<Anchor> {
    let text = line.text(mask);
    if before.is_some_and(asks_for_more) {
        return None;
    }
    let (first, rest) = word(text);
    let (second, behind) = word(rest);
    let opens = text.ends_with(b"{");
    let named = !second.is_empty() && rest.len() < text.len() - first.len();
    match first {
        "workflow" if named => Some(Anchor::Head(Head::Workflow)),
        "test" if rest.starts_with(b"\"") => Some(Anchor::Head(Head::Test)),
        "upon" if named => Some(Anchor::Head(Head::Upon)),
        "for" if opens && !asks_in_list(text) => Some(Anchor::Head(Head::For)),
        "if" if !has_word(text, "then") && !rest.is_empty() && !matches!(rest[0], b':' | b',') => {
            Some(Anchor::Head(Head::If))
        }
        "at" if rest.starts_with(b"{") => Some(Anchor::Plain { item: false }),
        "assert" if !rest.is_empty() && !matches!(rest[0], b':' | b',' | b'=' | b'.') => {
            Some(Anchor::Plain { item: false })
        }
        "use" if !rest.is_empty() && !matches!(rest[0], b':' | b',' | b'=') => {
            Some(Anchor::Plain { item: true })
        }
        "at" | "for" | "if" | "assert" | "use" => None,
        _ if STATEMENTS.contains(&first) && named => Some(Anchor::Plain { item: false }),
        _ if ITEMS.contains(&first) && named => Some(Anchor::Plain {
            item: first != "let",
        }),
        _ => shape(first, second, behind, opens),
    }
}

/// What a line of a test begins.
pub fn test_anchor(line: Line, before: Option<&[u8]>, mask: &[u8]) -> Option<Anchor> {
    let (first, rest) = word(line.text(mask));
    let field = rest.first().is_none_or(|b| b":,=.".contains(b));
    let item = ITEMS.contains(&first) && first != "let";
    let meant = !item && nearest(first, TESTS.iter().copied()).is_some();
    match meant && !field && !before.is_some_and(asks_for_more) {
        true => Some(Anchor::Plain { item: false }),
        false => anchor(line, before, mask),
    }
}

/// `WORD WORD =` and `WORD WORD:` begin a statement whose first word is misspelt; `WORD WORD {` a
/// block, when the first word is near to the right one.
fn shape(first: &str, second: &str, behind: &[u8], opens: bool) -> Option<Anchor> {
    if first.is_empty()
        || second.is_empty()
        || CLAUSES.contains(&first)
        || is_operator(first)
        || is_operator(second)
    {
        return None;
    }
    if opens && behind == b"{" && nearest(first, ["workflow"]).is_some() {
        return Some(Anchor::Head(Head::Workflow));
    }
    let sets = behind.starts_with(b"=") && !behind.starts_with(b"==");
    let clause = nearest(first, CLAUSES.iter().copied()).is_some()
        && nearest(first, STATEMENTS.iter().copied()).is_none();
    let types = behind.starts_with(b":") && nearest(first, ["input", "secret"]).is_some();
    ((sets && !clause) || types).then_some(Anchor::Plain { item: false })
}

fn is_operator(word: &str) -> bool {
    matches!(
        word,
        "and" | "or" | "not" | "in" | "else" | "then" | "where"
    )
}

/// Where the head of a block ends, just behind its `{`, and how many further lines it takes. None
/// when the block is closed on the same line, or when nothing is opened.
pub fn head_end(line: Line, rest: &[Line], mask: &[u8]) -> Option<(usize, usize)> {
    let text = line.text(mask);
    if text.ends_with(b"{") {
        return Some((line.end, 0));
    }
    if text.ends_with(b"}") && text.contains(&b'{') {
        return None;
    }
    for (taken, next) in rest.iter().enumerate().take(20) {
        let before = if taken == 0 {
            text
        } else {
            rest[taken - 1].text(mask)
        };
        if anchor(*next, Some(before), mask).is_some() || next.text(mask).starts_with(b"}") {
            // The bracket is missing, but what follows stands deeper: it is the block.
            let deeper = taken == 0 && next.indent > line.indent;
            return deeper.then_some((line.end, 0));
        }
        if next.text(mask).ends_with(b"{") {
            return Some((next.end, taken + 1));
        }
    }
    None
}

/// Splits off the first word; the rest begins at the next byte that is no blank.
pub fn word(text: &[u8]) -> (&str, &[u8]) {
    let len = text
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .count();
    let word = std::str::from_utf8(&text[..len]).unwrap_or("");
    (word, text[len..].trim_ascii_start())
}

fn has_word(text: &[u8], wanted: &str) -> bool {
    text.split(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))
        .any(|w| w == wanted.as_bytes())
}

/// `for x in xs` behind an element of a list has no block.
fn asks_in_list(text: &[u8]) -> bool {
    !has_word(text, "in") && text.ends_with(b"[")
}

fn asks_for_more(before: &[u8]) -> bool {
    let last = before.last().copied().unwrap_or(b' ');
    let ends = matches!(
        last,
        b'=' | b'+' | b'*' | b'(' | b'[' | b',' | b':' | b'|' | b'?' | b'<' | b'>'
    );
    // `list<string>` is whole, `a >` is not.
    let count = |c: u8| before.iter().filter(|b| **b == c).count();
    if last == b'>' && count(b'<') == count(b'>') {
        return false;
    }
    // A field list may end with a comma before the statement that an unclosed bracket swallowed.
    ends && last != b','
}
