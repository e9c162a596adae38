//! What we tell authors about their text.
//!
//! A diagnostic is data: a code, a severity, a message, underlined places, and what to do now. The
//! wording stands beside the check that raises it. Only [`render`] turns one into text.

mod codes;
pub mod render;

use std::collections::HashSet;
use std::sync::Arc;

use crate::source::Span;
pub use codes::{CODES, Code, story};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
    /// Worth a thought; nothing is wrong.
    Advice,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Advice => "advice",
        }
    }
}

/// A second place that explains the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// A replacement that certainly mends the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    pub span: Span,
    pub replacement: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// One sentence without a full stop: lower case, the author's words in backticks.
    pub message: String,
    /// The text that is wrong.
    pub span: Span,
    /// What stands below the underline; often empty.
    pub label: String,
    pub related: Vec<Label>,
    /// What to do now.
    pub help: Option<String>,
    pub fix: Option<Fix>,
    /// The policy that finds it.
    pub policy: Option<Arc<str>>,
}

impl Diagnostic {
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            related: Vec::new(),
            help: None,
            fix: None,
            policy: None,
        }
    }

    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(code, span, message)
        }
    }

    pub fn advice(code: Code, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Advice,
            ..Diagnostic::error(code, span, message)
        }
    }

    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// As the finding of a policy, which its label names.
    pub fn of_policy(self, name: &Arc<str>) -> Self {
        Diagnostic {
            policy: Some(Arc::clone(name)),
            ..self.label(format!("policy `{name}`"))
        }
    }

    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    pub fn fix(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.fix = Some(Fix {
            span,
            replacement: replacement.into(),
        });
        self
    }
}

/// Where findings go. Checks push and carry on; the caller decides whether errors are fatal.
#[derive(Debug, Default)]
pub struct Sink {
    items: Vec<Diagnostic>,
}

impl Sink {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.items.push(diagnostic);
    }

    pub fn extend(&mut self, more: impl IntoIterator<Item = Diagnostic>) {
        self.items.extend(more);
    }

    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|d| d.severity == Severity::Error)
    }

    /// Findings in the order of the text, each place and code once.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.items.sort_by_key(|d| (d.span, d.code));
        let mut seen = HashSet::new();
        self.items
            .retain(|d| seen.insert((d.span, d.code, d.message.clone())));
        self.items
    }

    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.items
    }
}

/// The nearest of `candidates` to a misspelt word, when one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&lower, &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= 1 + c.len().max(word.len()) / 4)
        .min_by_key(|(distance, c)| (*distance, c.len()))
        .map(|(_, c)| c)
}
