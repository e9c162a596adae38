//! pest's refusals in the words of the language: what was expected, what was found, and the mistake
//! that people most often make there.

use pest::error::{Error, ErrorVariant, InputLocation};

use super::grammar::Rule;
use super::lower::clip;
use super::words;
use crate::diag::{Code, Diagnostic, nearest};
use crate::source::{Source, Span};

/// What pest refused at which byte of the source.
pub struct Refusal {
    pub at: usize,
    expected: Vec<Rule>,
}

impl Refusal {
    /// `base`: where the text that pest saw begins.
    pub fn new(error: &Error<Rule>, base: usize) -> Self {
        let at = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => base + at,
        };
        let expected = match &error.variant {
            ErrorVariant::ParsingError { positives, .. } => positives.clone(),
            ErrorVariant::CustomError { .. } => Vec::new(),
        };
        Refusal { at, expected }
    }

    /// pest itself gave up: its guard of the stack, which has no rules to name.
    fn exhausted(&self) -> bool {
        self.expected.is_empty()
    }

    /// `start` and `end`: of the piece that was parsed.
    pub fn diagnostic(&self, source: &Source, start: usize, end: usize) -> Diagnostic {
        let place = Place::of(source, self.at, end);
        if self.exhausted() {
            return Diagnostic::error(
                Code::NESTING,
                place.span,
                "the text is nested too deeply here",
            )
            .help("give inner parts names with `let`");
        }
        let place = (self.at > start && !never_continues(&place.word))
            .then(|| self.line_above(source, end))
            .flatten()
            .unwrap_or(place);
        let expected = self.describe();
        let found = match place.word.as_str() {
            "" => "the end of the line".to_string(),
            word => format!("`{}`", clip(word)),
        };
        let message = match expected.is_empty() {
            true => format!("{found} cannot stand here"),
            false => format!("expected {}, found {found}", list(&expected)),
        };
        let out = Diagnostic::error(Code::SYNTAX, place.span, message);
        self.hint(source, &place, out)
    }

    /// Where a line begins as it should but the one above has no end, the mistake is above.
    fn line_above(&self, source: &Source, end: usize) -> Option<Place> {
        let text = &source.text[..self.at.min(end)];
        let line = text.rfind('\n')?;
        let first_on_line = text[line..].trim().is_empty();
        let may_start = self.expects(|r| {
            is_clause(r) || is_statement(r) || is_test(r) || r == Rule::field || is_start(r)
        });
        if !first_on_line || may_start {
            return None;
        }
        let above = text[..line].trim_end();
        let comment = above.rfind('\n').map_or(above, |n| &above[n..]);
        if comment.contains("//") {
            return None;
        }
        Some(Place {
            span: Span::new(source.id, above.len(), above.len()),
            word: String::new(),
            first_on_line: false,
        })
    }

    fn expects(&self, test: impl Fn(Rule) -> bool) -> bool {
        self.expected.iter().any(|r| test(*r))
    }

    fn describe(&self) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let value = self.expects(|r| r == Rule::ident) && self.expects(|r| r == Rule::number);
        for rule in self.expected.iter().filter(|r| !self.implied(**r)) {
            if value && is_value(*rule) {
                push(&mut out, "a value");
            } else if let Some(text) = describe(*rule) {
                push(&mut out, &text);
            }
        }
        out.sort_by_key(|t| !t.starts_with('`'));
        out
    }

    /// Said already by a wider word, or true nearly everywhere and so no help.
    fn implied(&self, rule: Rule) -> bool {
        use Rule::*;
        match rule {
            kw_every | kw_when => self.expects(is_clause),
            kw_expect | kw_run | kw_wait if self.expects(is_test) => true,
            kw_approve | kw_http => self.expects(is_action),
            kw_hook => self.expects(is_action) || self.expects(is_item),
            kw_input | kw_let | kw_for | kw_if | secret | let_stmt => {
                self.expects(is_statement) || self.expects(is_item) || self.expects(is_test)
            }
            lparen | lbrack | args | index => self.expects(is_operator),
            _ => false,
        }
    }

    fn hint(&self, source: &Source, place: &Place, out: Diagnostic) -> Diagnostic {
        let operator = self.expects(|r| r == Rule::eq);
        let word = place.word.as_str();
        let span = place.span;
        match word {
            "=" if operator => out.help("to compare, write `==`: `=` only gives a name its value").fix(span, "=="),
            "=" if self.expects(|r| r == Rule::colon) => {
                out.help("write `:` between the name and what belongs to it").fix(span, ":")
            }
            ":" if self.expects(|r| r == Rule::assign) => out.help("write `=` between the name and its value"),
            "&&" | "&" => out.help("write `and`").fix(span, "and"),
            "||" | "|" if operator => out.help("write `or`").fix(span, "or"),
            "!" => out.help("write `not`").fix(span, "not "),
            ";" => out.help("remove it: the end of the line ends a statement").fix(span, ""),
            "'" => out.help("strings stand in double quotes: `\"…\"`"),
            "#" => out.help("comments begin with `//`"),
            "?" if operator => out.help("write `if CONDITION then A else B`"),
            _ if place.first_on_line && never_continues(word) => out.help(format!(
                "a line that begins with `{word}` never continues the one above: put the operator or bracket at the end of that line"
            )),
            "undo" | "protect" => out.help("this version of the language has no such clause"),
            _ => self.hint_word(source, place, out),
        }
    }

    fn hint_word(&self, source: &Source, place: &Place, out: Diagnostic) -> Diagnostic {
        let word = place.word.as_str();
        if !word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return out;
        }
        let names = self.expects(|r| r == Rule::ident) && !self.expects(|r| r == Rule::number);
        if names && RESERVED.contains(&word) {
            return out.help(format!(
                "`{word}` is a word of the language: choose another name"
            ));
        }
        let known = self.candidates();
        if known.contains(&word) {
            return out;
        }
        match nearest(word, known.iter().copied()) {
            Some(right) if right != word => out
                .help(format!("did you mean `{right}`?"))
                .fix(place.span, right),
            _ => self.hint_missing_operator(source, place, out),
        }
    }

    fn hint_missing_operator(&self, source: &Source, place: &Place, out: Diagnostic) -> Diagnostic {
        let before = source.text[..place.span.start as usize].trim_end();
        if self.expects(|r| r == Rule::assign) && before.ends_with(|c: char| c.is_alphanumeric()) {
            return out.help("write `=` before it");
        }
        out
    }

    fn candidates(&self) -> Vec<&'static str> {
        let mut out = Vec::new();
        for (test, list) in [
            (is_clause as fn(Rule) -> bool, words::CLAUSES),
            (is_statement, words::STATEMENTS),
            (is_item, words::ITEMS),
            (is_test, words::TESTS),
            (is_action, words::ACTIONS),
        ] {
            if self.expects(test) {
                out.extend_from_slice(list);
            }
        }
        for (rule, list) in [
            (
                Rule::outcome,
                &["absent", "change", "deny", "timeout", "failure"][..],
            ),
            (
                Rule::decision,
                &["stop", "update", "replace", "continue", "pause"],
            ),
            (Rule::eq, &["and", "or", "in"]),
            (Rule::kw_then, &["then"]),
            (Rule::kw_else, &["else"]),
            (Rule::kw_in, &["in"]),
            (Rule::kw_input, &["input", "output"]),
            (Rule::kw_as, &["as"]),
            (Rule::kw_from, &["from"]),
            (Rule::kw_where, &["where"]),
            (Rule::kw_limit, &["limit", "by"]),
        ] {
            if self.expected.contains(&rule) {
                out.extend_from_slice(list);
            }
        }
        out
    }
}

const RESERVED: &[&str] = &[
    "and", "or", "not", "if", "then", "else", "for", "in", "where", "true", "false", "null",
    "unset",
];

/// The token at a refusal.
struct Place {
    span: Span,
    /// Empty at the end of a line.
    word: String,
    first_on_line: bool,
}

impl Place {
    fn of(source: &Source, at: usize, end: usize) -> Place {
        let end = end.min(source.text.len());
        let at = at.min(end);
        let rest = source.text.get(at..end).unwrap_or("");
        let word = token(rest);
        let before = &source.text[..at];
        if word.is_empty() {
            let behind = before.trim_end().len();
            return Place {
                span: Span::new(source.id, behind, behind),
                word: String::new(),
                first_on_line: false,
            };
        }
        let line = before.rfind('\n').map_or(before, |n| &before[n..]);
        Place {
            span: Span::new(source.id, at, at + word.len()),
            word: word.to_string(),
            first_on_line: line.trim().is_empty(),
        }
    }
}

/// The first token of a text; nothing where a blank or a comment comes first.
fn token(text: &str) -> &str {
    let Some(first) = text.chars().next() else {
        return "";
    };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let len = if first.is_whitespace() || text.starts_with("//") {
        0
    } else if is_word(first) {
        text.find(|c| !is_word(c)).unwrap_or(text.len())
    } else if ["&&", "||", "==", "!=", "<=", ">=", "->", "??", "?."]
        .iter()
        .any(|op| text.starts_with(op))
    {
        2
    } else {
        first.len_utf8()
    };
    &text[..len]
}

/// Such a line is a line of its own, or a mistake.
fn never_continues(word: &str) -> bool {
    matches!(word, "-" | "(" | "[")
}

fn push(out: &mut Vec<String>, text: &str) {
    if !out.iter().any(|t| t == text) {
        out.push(text.to_string());
    }
}

fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}

fn is_value(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        ident
            | raw
            | string
            | duration
            | size
            | percent
            | number
            | bad_unit
            | if_expr
            | literal
            | list
            | object
            | paren
            | quantifier
            | quant
            | not
            | neg
            | expr
            | raw_open
            | kw_if
            | lparen
            | lbrack
            | lbrace
            | wait_api
            | long_path
            | http_call
            | kw_http
    )
}

fn is_clause(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        after_c
            | when_c
            | unless_c
            | require_c
            | until_c
            | fail_c
            | timeout_c
            | every_c
            | retry_c
            | repeat_c
            | on_c
            | expires_c
            | expect_c
            | settle_c
            | undo_c
            | protect_c
            | allow_c
            | approve_c
            | kw_after
            | kw_unless
            | kw_repeat
            | kw_require
            | kw_until
            | kw_fail
            | kw_timeout
            | kw_retry
            | kw_on
            | kw_expires
            | kw_expect
            | kw_settle
            | kw_undo
            | kw_protect
            | kw_allow
    )
}

fn is_statement(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        step | input
            | output
            | at
            | assert
            | checkpoint
            | for_stmt
            | if_stmt
            | upon
            | for_head
            | if_head
            | upon_head
            | one_stmt
            | kw_step
            | kw_output
            | kw_at
            | kw_assert
            | kw_checkpoint
            | kw_upon
    )
}

fn is_item(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        use_item
            | type_def
            | workflow
            | hook_def
            | policy
            | policy_head
            | moved
            | test_item
            | test_head
            | workflow_head
            | one_item
            | file
            | kw_use
            | kw_type
            | kw_workflow
            | kw_policy
            | kw_moved
            | kw_test
    )
}

fn is_test(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        given_t
            | fault_t
            | answer_t
            | run_t
            | wait_t
            | expect_t
            | one_test_stmt
            | kw_given
            | kw_fault
            | kw_answer
    )
}

fn is_start(rule: Rule) -> bool {
    use Rule::*;
    is_item(rule)
        || is_action(rule)
        || matches!(
            rule,
            key | arg | type_field | ident | word | rbrace | rparen | rbrack
        )
}

fn is_action(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        read_step
            | ensure_step
            | call_step
            | wait_step
            | http_step
            | approve_step
            | run_step
            | hook_step
            | kw_read
            | kw_ensure
            | kw_call
            | kw_wait
            | kw_run
    )
}

fn is_operator(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        or | and
            | contains
            | eq
            | ne
            | le
            | ge
            | lt
            | gt
            | plus
            | minus
            | times
            | divide
            | coalesce
    )
}

fn describe(rule: Rule) -> Option<String> {
    use Rule::*;
    let text = match rule {
        r if is_operator(r) => "an operator",
        r if is_clause(r) => "a clause (`after`, `when`, `until`, …)",
        r if is_statement(r) => "a statement (`step`, `let`, `input`, …)",
        r if is_item(r) => "an item (`use`, `type`, `let`, `workflow`, `hook`, `policy`, `test`)",
        r if is_test(r) => {
            "a line of a test (`given`, `fault`, `answer`, `run`, `wait`, `expect`, `let`)"
        }
        judgement => "`approve` or `deny`",
        method_pattern => "a method such as `compute.images.insert`",
        r if is_action(r) => {
            "an action (`read`, `ensure`, `call`, `wait`, `approve`, `http`, `run`, `hook`)"
        }
        let_stmt => "`let`",
        lparen | args | params => "`(`",
        rparen => "`)`",
        lbrack | index => return matches!(rule, lbrack).then(|| "`[`".into()),
        rbrack => "`]`",
        lbrace | block | body | record | object | use_names => "`{`",
        rbrace => "`}`",
        langle => "`<`",
        rangle => "`>`",
        comma => "`,`",
        colon => "`:`",
        assign => "`=`",
        arrow => "`->`",
        dots => "`..`",
        bar => "`|`",
        not => "`not`",
        line_end | EOI => "the end of the line",
        member | opt_member | dot | opt_dot | question => return None,
        ident | word => "a name",
        string | raw | raw_open => "a string",
        number => "a number",
        method => "an HTTP method such as `GET`",
        outcome => "`absent`, `change`, `deny`, `timeout` or `failure`",
        decision => "`stop`, `update`, `replace`, `continue` or `pause`",
        path | long_path | api_call | wait_api => "a name such as `compute.instances`",
        type_expr | type_one | generic | ranged | type_path | base | container => "a type",
        field | key | spread | ellipsis => "a field",
        arg => "an argument",
        type_field => "a field",
        comp => "`for`",
        range | low | high => "a range such as `1..10`",
        use_path => "a path such as `red5/image`",
        reference => "the name of a step",
        binder | on_wait => "a name",
        severity => "`error`, `warning` or `advice`",
        rule_def => "a rule (`error at … when … \"…\"`)",
        rule_text => "a message",
        rule_for => "`for`",
        hint => "`hint`",
        else_text => "`else`",
        by => "`by`",
        limit => "`limit`",
        http_call => "`http`",
        secret => "`secret`",
        r if super::grammar::is_keyword(r) => {
            return Some(format!("`{}`", format!("{r:?}").trim_start_matches("kw_")));
        }
        expr | quantifier | duration | size | percent | bad_unit | if_expr | literal | list
        | paren | neg => "a value",
        _ => return None,
    };
    Some(text.into())
}
