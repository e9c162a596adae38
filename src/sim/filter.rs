//! List filters, in both syntaxes of Compute Engine and in the one of the newer APIs.
//!
//! Sources: the API description of `filter` on Compute Engine's lists (`labels.owner:*`,
//! `name != example-instance`, `(a = 1) (b = 2)`, `eq` and `ne` with RE2 expressions that match the whole
//! value, `:` as "has"), AIP-160 (OR binds stronger than AND; `-` and NOT negate; `*` in a text stands for
//! anything), and what gcloud sends (`name eq ".*\bvm\b.*"`).

use serde_json::Value as Json;

use super::model::rules::Rule;
use super::refusal::Refusal;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["*"],
    says: "`filter` in both syntaxes of Compute Engine and in that of the newer APIs",
    source: "API description of `filter`; AIP-160",
    test: "both_syntaxes",
}];

#[derive(Debug, PartialEq)]
enum Test {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    /// Old syntax: the whole value matches the expression.
    Matches,
    MatchesNot,
    /// `:` contains, or is there at all with `*`.
    Has,
}

#[derive(Debug)]
enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Not(Box<Tree>),
    Term {
        field: String,
        test: Test,
        wanted: String,
    },
}

#[derive(Debug)]
pub struct Filter(Tree);

impl Filter {
    /// # Errors
    /// 400 for what is no filter.
    pub fn parse(text: &str) -> Result<Filter, Refusal> {
        let refuse = || Refusal::invalid("filter", text, "Invalid list filter expression.");
        let mut words = Words {
            tokens: tokens(text),
            at: 0,
        };
        let tree = words.all(0).ok_or_else(refuse)?;
        match words.at == words.tokens.len() {
            true => Ok(Filter(tree)),
            false => Err(refuse()),
        }
    }

    pub fn accepts(&self, item: &Json) -> bool {
        holds(&self.0, item)
    }
}

/// Filters nested deeper are refused.
const DEEPEST: usize = 32;

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Sign(&'static str),
}

struct Words {
    tokens: Vec<Token>,
    at: usize,
}

impl Words {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn takes(&mut self, word: &str) -> bool {
        let here = match self.peek() {
            Some(Token::Word(w)) => w == word,
            Some(Token::Sign(s)) => *s == word,
            _ => false,
        };
        self.at += usize::from(here);
        here
    }

    /// Terms beside each other, with or without AND.
    fn all(&mut self, depth: usize) -> Option<Tree> {
        let mut terms = vec![self.any(depth)?];
        loop {
            let joined = self.takes("AND");
            let ends = matches!(self.peek(), None | Some(Token::Sign(")")));
            if ends {
                return (!joined).then(|| one_or(terms, Tree::All));
            }
            terms.push(self.any(depth)?);
        }
    }

    fn any(&mut self, depth: usize) -> Option<Tree> {
        let mut terms = vec![self.not(depth)?];
        while self.takes("OR") {
            terms.push(self.not(depth)?);
        }
        Some(one_or(terms, Tree::Any))
    }

    fn not(&mut self, depth: usize) -> Option<Tree> {
        if depth > DEEPEST {
            return None;
        }
        if self.takes("NOT") || self.takes("-") {
            return Some(Tree::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.takes("(") {
            let inner = self.all(depth + 1)?;
            return self.takes(")").then_some(inner);
        }
        self.term()
    }

    fn term(&mut self) -> Option<Tree> {
        let field = self.text()?;
        let test = match self.tokens.get(self.at)? {
            Token::Sign("=" | "==") => Test::Equal,
            Token::Sign("!=") => Test::Unequal,
            Token::Sign("<") => Test::Less,
            Token::Sign("<=") => Test::AtMost,
            Token::Sign(">") => Test::Greater,
            Token::Sign(">=") => Test::AtLeast,
            Token::Sign("=~" | "~") => Test::Matches,
            Token::Sign("!~") => Test::MatchesNot,
            Token::Sign(":") => Test::Has,
            Token::Word(word) => match word.as_str() {
                "eq" => Test::Matches,
                "ne" => Test::MatchesNot,
                _ => return None,
            },
            _ => return None,
        };
        self.at += 1;
        let wanted = self.text()?;
        Some(Tree::Term {
            field,
            test,
            wanted,
        })
    }

    fn text(&mut self) -> Option<String> {
        let minus = self.takes("-");
        let text = match self.peek()? {
            Token::Word(text) | Token::Quoted(text) => text.clone(),
            Token::Sign(_) => return None,
        };
        self.at += 1;
        Some(match minus {
            true => format!("-{text}"),
            false => text,
        })
    }
}

fn one_or(mut terms: Vec<Tree>, many: fn(Vec<Tree>) -> Tree) -> Tree {
    match (terms.len(), terms.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            terms.extend(last);
            many(terms)
        }
    }
}

fn holds(tree: &Tree, item: &Json) -> bool {
    match tree {
        Tree::All(terms) => terms.iter().all(|t| holds(t, item)),
        Tree::Any(terms) => terms.iter().any(|t| holds(t, item)),
        Tree::Not(inner) => !holds(inner, item),
        Tree::Term {
            field,
            test,
            wanted,
        } => compares(&found(item, field), test, wanted),
    }
}

/// The values at a path; through a list, those of each of its items.
fn found(item: &Json, field: &str) -> Vec<Json> {
    let mut here = vec![item.clone()];
    for name in field.split('.') {
        here = here
            .iter()
            .flat_map(|value| match value {
                Json::Array(items) => items.iter().filter_map(|i| member(i, name)).collect(),
                value => member(value, name).into_iter().collect::<Vec<_>>(),
            })
            .collect();
    }
    here.into_iter()
        .flat_map(|value| match value {
            Json::Array(items) => items,
            value => vec![value],
        })
        .collect()
}

/// Names may be written in snake case.
fn member(value: &Json, name: &str) -> Option<Json> {
    value
        .get(name)
        .or_else(|| value.get(super::patch::camel(name)))
        .cloned()
}

fn compares(found: &[Json], test: &Test, wanted: &str) -> bool {
    let any = |holds: &dyn Fn(&str) -> bool| found.iter().any(|v| holds(&plain(v)));
    match test {
        Test::Equal => any(&|v| equal(v, wanted)),
        Test::Unequal => !any(&|v| equal(v, wanted)),
        Test::Matches => any(&|v| whole_match(v, wanted)),
        Test::MatchesNot => !any(&|v| whole_match(v, wanted)),
        Test::Has if wanted == "*" => !found.is_empty(),
        Test::Has => {
            let keyed = found.iter().any(|v| v.get(wanted).is_some());
            keyed || any(&|v| has(v, wanted))
        }
        Test::Less => any(&|v| order(v, wanted).is_lt()),
        Test::AtMost => any(&|v| order(v, wanted).is_le()),
        Test::Greater => any(&|v| order(v, wanted).is_gt()),
        Test::AtLeast => any(&|v| order(v, wanted).is_ge()),
    }
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn equal(have: &str, wanted: &str) -> bool {
    if wanted.contains('*') {
        let pattern: Vec<String> = wanted.split('*').map(regex::escape).collect();
        return regex::Regex::new(&format!("^(?s:{})$", pattern.join(".*")))
            .is_ok_and(|r| r.is_match(have));
    }
    let booleans = matches!(have, "true" | "false") && have.eq_ignore_ascii_case(wanted);
    have == wanted || booleans || numbers(have, wanted).is_some_and(|(a, b)| a == b)
}

fn has(have: &str, wanted: &str) -> bool {
    let bare = wanted.trim_matches('*').to_lowercase();
    have.to_lowercase().contains(&bare)
}

fn numbers(a: &str, b: &str) -> Option<(f64, f64)> {
    Some((a.parse().ok()?, b.parse().ok()?))
}

fn order(have: &str, wanted: &str) -> std::cmp::Ordering {
    let moment = |t: &str| chrono::DateTime::parse_from_rfc3339(t).ok();
    if let Some((a, b)) = numbers(have, wanted) {
        return a.total_cmp(&b);
    }
    match (moment(have), moment(wanted)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => have.cmp(wanted),
    }
}

fn whole_match(found: &str, pattern: &str) -> bool {
    // Old gcloud writes `\b` and escaped hyphens, which the expression library accepts as well.
    regex::Regex::new(&format!("^(?:{})$", pattern.replace("\\-", "-")))
        .map_or(found == pattern, |r| r.is_match(found))
}

/// Signs, the longer ones first.
const SIGNS: &[&str] = &[
    "!=", "<=", ">=", "=~", "!~", "==", "=", "<", ">", "~", ":", "(", ")",
];

fn tokens(text: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(sign) = SIGNS.iter().find(|s| rest.starts_with(**s)) {
            out.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else if first == '"' || first == '\'' {
            let (word, after) = quoted(&rest[1..], first);
            out.push(Token::Quoted(word));
            rest = after;
        } else if first == '-' {
            out.push(Token::Sign("-"));
            rest = &rest[1..];
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || "()=!~:\"<>".contains(c))
                .filter(|at| *at > 0)
                .unwrap_or(if "!".contains(first) { 1 } else { rest.len() });
            // A value may hold colons and signs once its sign is past: an address, a moment.
            let end = match out.last() {
                Some(Token::Sign(s)) if !matches!(*s, "(" | ")" | "-") => rest
                    .find(|c: char| c.is_whitespace() || "()\"".contains(c))
                    .unwrap_or(rest.len()),
                _ => end,
            };
            out.push(Token::Word(rest[..end].to_string()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    out
}

/// The text up to the closing quote, and what follows; a backslash keeps a quote from closing.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return (word, &text[at + c.len_utf8()..]),
            '\\' => match chars.next() {
                Some((_, next)) if next == quote => word.push(next),
                Some((_, next)) => word.extend(['\\', next]),
                None => word.push('\\'),
            },
            c => word.push(c),
        }
    }
    (word, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn accepts(filter: &str) -> bool {
        let item = json!({
            "name": "sm-1",
            "status": "RUNNING",
            "zone": "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a",
            "labels": {"role": "x"},
            "tags": {"items": ["http", "sm"]},
            "disks": [{"boot": true, "sizeGb": "16"}, {"boot": false}],
            "creationTimestamp": "2026-01-02T03:04:05.000-08:00",
            "progress": 100,
            "ok": true,
        });
        match Filter::parse(filter) {
            Ok(f) => f.accepts(&item),
            Err(e) => panic!("{filter}: {}", e.message),
        }
    }

    #[test]
    fn both_syntaxes() {
        for holds in [
            "labels.role=x",
            "labels.role = \"x\" AND status = RUNNING",
            "(name eq \"sm-.*\") (status ne STOPPED)",
            "name eq \".*\\bsm\\-1\\b.*\"",
            "zone eq \".*\\bus\\-central1\\-a\\b.*\"",
            "name:sm",
            "name:SM*",
            "progress=100",
            "progress > 99 progress<=100",
            "name = \"sm-*\"",
            "labels.role:*",
            "labels:role",
            "NOT name = other",
            "-name = other",
            "name = other OR status = RUNNING",
            "name = sm-1 AND status = STOPPED OR status = RUNNING",
            "(name = a AND status = b) OR (name = sm-1)",
            "tags.items = sm",
            "disks.boot = true",
            "disks.sizeGb >= 16",
            "ok = True",
            "creationTimestamp > 2026-01-01T00:00:00Z",
            "creation_timestamp < \"2026-02-01\"",
            "name != 'other'",
        ] {
            assert!(accepts(holds), "{holds}");
        }
        for fails in [
            "name != sm-1",
            "name = sm",
            "NOT (status = RUNNING OR name = x)",
            "labels.other:*",
            "name = sm-1 AND status = STOPPED",
            "status ne RUNNING",
            "progress < 100",
            "tags.items = s",
        ] {
            assert!(!accepts(fails), "{fails}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for wrong in [
            "name",
            "a =",
            "(a = 1",
            "a = 1)",
            "a = 1 AND",
            "OR a = 1",
            "= 1",
            "a is 1",
            "!",
        ] {
            assert!(Filter::parse(wrong).is_err(), "{wrong}");
        }
        let deep = format!("{}a = 1{}", "(".repeat(99), ")".repeat(99));
        assert!(Filter::parse(&deep).is_err());
    }
}
