//! The tree of a `test` block.

use super::ast::{Broken, Doc, Expr, Let, Name, Object};
use crate::source::Span;

/// `test "…" { … }`: what `r5flow test` runs against the simulator, statement by statement.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its title.
    pub name: Name,
    pub stmts: Vec<TestStmt>,
    /// From `{` to `}`.
    pub body: Span,
    pub doc: Doc,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum TestStmt {
    Given(Given),
    Fault(Fault),
    Answer(Answer),
    Run(TestRun),
    Wait(TestWait),
    Let(Let),
    Expect(Expectation),
    Broken(Broken),
}

/// `given { dns: "follows" }`, `given "scenario.toml"`: the cloud in which the test begins.
#[derive(Clone, Debug)]
pub struct Given {
    pub value: Expr,
    pub span: Span,
}

/// `fault answer_lost on compute.*.insert { times: 2 }`, `fault unavailable on step front.address`
#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: Name,
    pub on: FaultOn,
    pub options: Option<Object>,
    pub span: Span,
}

impl FaultOn {
    /// The step as an address of a run.
    pub fn address(&self) -> Option<String> {
        match self {
            FaultOn::Step(step) => Some(super::ast::address(&step.text)),
            FaultOn::Method(_) => None,
        }
    }
}

/// Whose calls go wrong.
#[derive(Clone, Debug)]
pub enum FaultOn {
    /// As written, with `*` for anything.
    Method(Name),
    /// As seen from the workflow that is run: names with dots, keys in brackets.
    Step(Name),
}

/// `answer named.dns deny after 5m`
#[derive(Clone, Debug)]
pub struct Answer {
    /// The gate as seen from the workflow that is run: names with dots, keys in brackets.
    pub gate: Name,
    pub approves: bool,
    pub after: Option<Expr>,
    pub span: Span,
}

impl Answer {
    /// The gate as an address of a run.
    pub fn address(&self) -> String {
        super::ast::address(&self.gate.text)
    }
}

/// `run image.from_instance { inputs } as r`
#[derive(Clone, Debug)]
pub struct TestRun {
    pub path: Vec<Name>,
    pub inputs: Option<Object>,
    pub name: Option<Name>,
    pub span: Span,
}

impl TestRun {
    /// Where the workflow is named.
    pub fn place(&self) -> Span {
        match &self.path[..] {
            [first, .., last] => first.span.to(last.span),
            [only] => only.span,
            [] => self.span,
        }
    }
}

/// `wait 30m`: time passes.
#[derive(Clone, Debug)]
pub struct TestWait {
    pub time: Expr,
    pub span: Span,
}

/// `expect r.status == "done"`
#[derive(Clone, Debug)]
pub struct Expectation {
    pub condition: Expr,
    pub span: Span,
}

impl TestStmt {
    pub fn span(&self) -> Span {
        match self {
            TestStmt::Given(s) => s.span,
            TestStmt::Fault(s) => s.span,
            TestStmt::Answer(s) => s.span,
            TestStmt::Run(s) => s.span,
            TestStmt::Wait(s) => s.span,
            TestStmt::Let(s) => s.span,
            TestStmt::Expect(s) => s.span,
            TestStmt::Broken(s) => s.span,
        }
    }
}
