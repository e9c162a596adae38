//! The pest parser; its rules stand in `grammar/`.

use pest_derive::Parser;

#[derive(Parser)]
#[grammar = "grammar/1-words.pest"]
#[grammar = "grammar/2-expressions.pest"]
#[grammar = "grammar/3-types.pest"]
#[grammar = "grammar/4-steps.pest"]
#[grammar = "grammar/5-files.pest"]
#[grammar = "grammar/6-policies.pest"]
#[grammar = "grammar/7-tests.pest"]
pub struct Grammar;

pub type Pair<'t> = pest::iterators::Pair<'t, Rule>;

/// Keywords and punctuation: they lead the parser and carry no meaning of their own.
pub fn is_noise(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        lparen
            | rparen
            | lbrack
            | rbrack
            | lbrace
            | rbrace
            | langle
            | rangle
            | comma
            | colon
            | assign
            | arrow
            | dot
            | opt_dot
            | dots
            | ellipsis
            | bar
            | line_end
            | interp_open
            | raw_open
            | raw_close
            | EOI
    ) || is_keyword(rule)
}

pub fn is_keyword(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        kw_after
            | kw_allow
            | kw_answer
            | kw_approve
            | kw_as
            | kw_assert
            | kw_at
            | kw_by
            | kw_call
            | kw_checkpoint
            | kw_else
            | kw_ensure
            | kw_every
            | kw_expect
            | kw_expires
            | kw_fail
            | kw_fault
            | kw_for
            | kw_from
            | kw_given
            | kw_hint
            | kw_hook
            | kw_http
            | kw_if
            | kw_in
            | kw_input
            | kw_let
            | kw_limit
            | kw_matches
            | kw_moved
            | kw_on
            | kw_output
            | kw_policy
            | kw_protect
            | kw_read
            | kw_repeat
            | kw_require
            | kw_retry
            | kw_run
            | kw_safe
            | kw_settle
            | kw_step
            | kw_test
            | kw_then
            | kw_timeout
            | kw_to
            | kw_type
            | kw_undo
            | kw_unless
            | kw_until
            | kw_upon
            | kw_use
            | kw_wait
            | kw_when
            | kw_where
            | kw_workflow
    )
}

/// What a pair says, without noise.
pub fn parts<'t>(pair: Pair<'t>) -> impl Iterator<Item = Pair<'t>> {
    pair.into_inner().filter(|p| !is_noise(p.as_rule()))
}

/// Where the last token of a pair ends. The pair itself may reach over blanks and comments behind.
pub fn end_of(pair: &Pair) -> usize {
    let mut last = pair.clone();
    loop {
        if matches!(last.as_rule(), Rule::string | Rule::raw) {
            return last.as_span().end();
        }
        match last.clone().into_inner().next_back() {
            Some(inner) => last = inner,
            None => return last.as_span().end(),
        }
    }
}
