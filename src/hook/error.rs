//! What goes wrong in a hook, told with its place in the script.

use rhai::{EvalAltResult, ParseError, Position};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookErrorKind {
    /// The text is no script.
    Syntax,
    /// The arguments do not fit the parameters.
    Arguments,
    /// The script failed, or said `throw`.
    Script,
    /// It hit a wall of the sandbox.
    Limit,
    /// The caller's stop signal ended it.
    Stopped,
    /// JSON cannot express the result.
    Result,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookError {
    pub hook: String,
    pub kind: HookErrorKind,
    /// Lower case, without a full stop, without the place.
    pub message: String,
    /// Line and column in the script, both from 1, columns in characters; `None` when there is none.
    pub place: Option<(usize, usize)>,
}

impl HookError {
    pub(super) fn new(hook: &str, kind: HookErrorKind, message: impl Into<String>) -> Self {
        HookError {
            hook: hook.into(),
            kind,
            message: message.into(),
            place: None,
        }
    }

    pub(super) fn syntax(hook: &str, error: &ParseError) -> Self {
        HookError {
            place: place(error.position()),
            ..HookError::new(
                hook,
                HookErrorKind::Syntax,
                lower(&error.err_type().to_string()),
            )
        }
    }

    pub(super) fn runtime(hook: &str, error: EvalAltResult) -> Self {
        let mut error = innermost(error);
        let position = error.take_position();
        let (kind, message) = match &error {
            EvalAltResult::ErrorTooManyOperations(_) => (
                HookErrorKind::Limit,
                "it takes too many steps; does a loop end?".into(),
            ),
            EvalAltResult::ErrorStackOverflow(_) => (
                HookErrorKind::Limit,
                "its functions call each other too deeply".into(),
            ),
            EvalAltResult::ErrorDataTooLarge(what, _) => (
                HookErrorKind::Limit,
                lower(&format!("{what} is beyond the limit")),
            ),
            EvalAltResult::ErrorTooManyVariables(_) | EvalAltResult::ErrorTooManyModules(_) => {
                (HookErrorKind::Limit, lower(&error.to_string()))
            }
            EvalAltResult::ErrorTerminated(..) => (
                HookErrorKind::Stopped,
                "it was stopped, since its time was over".into(),
            ),
            EvalAltResult::ErrorRuntime(thrown, _) => (HookErrorKind::Script, thrown.to_string()),
            other => (HookErrorKind::Script, lower(&other.to_string())),
        };
        HookError {
            place: place(position),
            ..HookError::new(hook, kind, message)
        }
    }

    /// The place as bytes from the script's start, for an underline in the flow that holds it.
    pub fn offset_in(&self, source: &str) -> Option<usize> {
        let (line, column) = self.place?;
        let start: usize = source
            .split_inclusive('\n')
            .take(line - 1)
            .map(str::len)
            .sum();
        let rest = source.get(start..)?;
        let within = rest
            .char_indices()
            .nth(column - 1)
            .map_or(rest.len(), |(i, _)| i);
        Some(start + within)
    }
}

impl std::fmt::Display for HookError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "hook `{}`", self.hook)?;
        if let Some((line, column)) = self.place {
            write!(f, ", line {line}, column {column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for HookError {}

/// The error itself, not the calls through which it came.
fn innermost(error: EvalAltResult) -> EvalAltResult {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, at)
        | EvalAltResult::ErrorInModule(_, inner, at) => {
            let mut inner = innermost(*inner);
            if inner.position().is_none() {
                inner.set_position(at);
            }
            inner
        }
        other => other,
    }
}

fn place(position: Position) -> Option<(usize, usize)> {
    let line = position.line()?;
    Some((line, position.position().unwrap_or(1)))
}

fn lower(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    let second_is_lower = text.chars().nth(1).is_some_and(char::is_lowercase);
    match chars.next() {
        Some(first) if second_is_lower => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}
