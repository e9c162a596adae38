//! The words that begin something, for recovery and for messages.

/// Begin a statement of a workflow.
pub const STATEMENTS: &[&str] = &[
    "step",
    "let",
    "input",
    "secret",
    "output",
    "at",
    "assert",
    "checkpoint",
    "for",
    "if",
    "upon",
];

/// Begin an item of a file.
pub const ITEMS: &[&str] = &[
    "use", "type", "let", "workflow", "hook", "policy", "moved", "test",
];

/// Begin a statement of a test.
pub const TESTS: &[&str] = &["given", "fault", "answer", "run", "wait", "expect", "let"];

/// Begin a clause of a step or a checkpoint.
pub const CLAUSES: &[&str] = &[
    "after", "when", "unless", "require", "until", "fail", "timeout", "every", "retry", "repeat",
    "on", "expires", "expect", "settle", "undo", "protect", "allow", "approve",
];

/// Begin what a step does.
pub const ACTIONS: &[&str] = &[
    "read", "ensure", "call", "wait", "approve", "http", "run", "hook",
];

/// Whether a line with this first word begins a statement or an item.
pub fn starts_line(word: &str) -> bool {
    STATEMENTS.contains(&word) || ITEMS.contains(&word)
}
