//! The tree of a `.r5flow` file, as written: no names are resolved here.
//!
//! Every node knows its span, from its first to its last token. Text that did not parse stays in
//! the tree as a `Broken` node, so that its siblings can still be checked.

use std::sync::Arc;

pub use super::test_block::*;
use crate::source::Span;

/// A word with its place.
#[derive(Clone, Debug)]
pub struct Name {
    pub text: Arc<str>,
    pub span: Span,
}

/// Documentation comment (`///`), joined with newlines, without the slashes.
pub type Doc = Option<Arc<str>>;

#[derive(Clone, Debug)]
pub struct File {
    pub items: Vec<Item>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Item {
    Use(Use),
    Let(Let),
    Type(TypeDef),
    Workflow(Workflow),
    Hook(HookDef),
    Policy(Policy),
    Moved(Moved),
    Test(Test),
    Broken(Broken),
}

/// A piece that did not parse. It keeps its name where one could be read, so that references to
/// it do not raise further errors.
#[derive(Clone, Debug)]
pub struct Broken {
    pub name: Option<Name>,
    pub span: Span,
}

/// `use red5/stream_manager { startup_script, Group }`, `use red5/image as image`.
#[derive(Clone, Debug)]
pub struct Use {
    /// The path as written, for example `red5/image` or `./local`.
    pub path: Name,
    pub alias: Option<Name>,
    pub names: Vec<Name>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct TypeDef {
    pub name: Name,
    pub ty: TypeExpr,
    pub doc: Doc,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Workflow {
    pub name: Name,
    pub body: Block,
    pub doc: Doc,
    pub span: Span,
}

/// `moved group to regional.group`: what is recorded of the one belongs to the other.
#[derive(Clone, Debug)]
pub struct Moved {
    /// As written: names with dots, keys in brackets.
    pub old: Name,
    pub new: Name,
    pub span: Span,
}

impl Moved {
    /// Both ends as addresses of a run.
    pub fn addresses(&self) -> (String, String) {
        (address(&self.old.text), address(&self.new.text))
    }
}

/// `take.group["a.b"]` as `take/group["a.b"]`.
pub(super) fn address(path: &str) -> String {
    let mut quoted = false;
    path.chars()
        .map(|c| {
            quoted ^= c == '"';
            match c {
                '.' if !quoted => '/',
                c => c,
            }
        })
        .collect()
}

/// `hook spread(zones: list<string>) -> map<int> = """rhai … """`
#[derive(Clone, Debug)]
pub struct HookDef {
    pub name: Name,
    pub params: Vec<Param>,
    pub result: TypeExpr,
    pub body: HookBody,
    pub doc: Doc,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum HookBody {
    /// The text between the quotes, dedented, and the place of its literal.
    Inline(Arc<str>, Span),
    /// `from "hooks/naming.rhai"`, relative to the file.
    File(Name),
}

/// `policy open_database on sqladmin.DatabaseInstance as db { … }`: rules over what a program sends.
#[derive(Clone, Debug)]
pub struct Policy {
    pub name: Name,
    /// `on wait T`: the policy looks at what steps wait for.
    pub waits: bool,
    /// The type of the bodies: `compute.BackendService`.
    pub on: TypeExpr,
    pub binder: Name,
    pub rules: Vec<Rule>,
    pub doc: Doc,
    pub span: Span,
}

/// `error at n.value for n in networks when n.value == "0.0.0.0/0" "It is open." hint "Close it."`
#[derive(Clone, Debug)]
pub struct Rule {
    /// `error`, `warning` or `advice`, if it is right.
    pub severity: Name,
    /// The field that a finding underlines.
    pub place: Expr,
    pub loops: Vec<Binder>,
    pub condition: Expr,
    pub message: Expr,
    pub hint: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: Name,
    pub ty: TypeExpr,
}

#[derive(Clone, Debug)]
pub struct TypeExpr {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum TypeKind {
    /// `int`, `int(1..)`, `string`, `string matches "…"`, `number`, `duration`, `percent`, `size`,
    /// `bool`, `timestamp`, `any`. The range's bounds are literals of the base type.
    Base {
        base: Base,
        min: Option<Box<Expr>>,
        max: Option<Box<Expr>>,
        matches: Option<Name>,
    },
    /// `"nat"`
    Literal(Arc<str>),
    List(Box<TypeExpr>),
    Map(Box<TypeExpr>),
    Record(Vec<TypeField>),
    /// A type of this file, of a `use`, or of the catalogue: `Group`, `compute.BackendService`.
    Path(Vec<Name>),
    /// `T?`
    Nullable(Box<TypeExpr>),
    /// `A | B`
    Union(Vec<TypeExpr>),
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    Int,
    Number,
    String,
    Bool,
    Duration,
    Percent,
    Size,
    Timestamp,
    Any,
}

#[derive(Clone, Debug)]
pub struct TypeField {
    pub name: Name,
    /// `name?: T`: the field may be missing; its value is then `null`.
    pub optional: bool,
    pub ty: TypeExpr,
    pub doc: Doc,
}

#[derive(Clone, Debug)]
pub struct Block {
    pub stmts: Vec<Stmt>,
    /// From `{` to `}`.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Stmt {
    Input(Input),
    Output(Output),
    Let(Let),
    At(At),
    Assert(Assert),
    Checkpoint(Checkpoint),
    Step(Step),
    For(For),
    If(If),
    Upon(Upon),
    Broken(Broken),
}

#[derive(Clone, Debug)]
pub struct Input {
    pub name: Name,
    pub secret: bool,
    pub ty: TypeExpr,
    pub default: Option<Expr>,
    pub doc: Doc,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Output {
    pub name: Name,
    pub secret: bool,
    pub value: Expr,
    pub doc: Doc,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Let {
    pub name: Name,
    pub value: Expr,
    pub doc: Doc,
    pub span: Span,
}

/// `at { project, region }`: defaults for location parameters, in this block and below it.
#[derive(Clone, Debug)]
pub struct At {
    pub fields: Vec<Field>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Assert {
    pub condition: Expr,
    pub message: Option<Expr>,
    pub span: Span,
}

/// `checkpoint NAME require COND else TEXT after x approve TEXT`
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub name: Name,
    pub requires: Vec<Guard>,
    pub after: Vec<Expr>,
    pub approve: Option<Expr>,
    pub doc: Doc,
    pub span: Span,
}

/// `for KEY, VALUE in SOURCE by KEY limit N { … }`
#[derive(Clone, Debug)]
pub struct For {
    pub first: Name,
    pub second: Option<Name>,
    pub source: Expr,
    pub by: Option<Expr>,
    pub limit: Option<Expr>,
    pub body: Block,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct If {
    pub condition: Expr,
    pub then: Block,
    pub otherwise: Option<Block>,
    pub span: Span,
}

/// `upon step_failed as e { … }`: steps that run on an event of the run and never fail it.
#[derive(Clone, Debug)]
pub struct Upon {
    pub event: Name,
    pub binder: Name,
    pub body: Block,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub name: Name,
    pub action: Action,
    pub clauses: Vec<Clause>,
    pub doc: Doc,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Action {
    pub kind: ActionKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ActionKind {
    /// `read TARGET {…}`: a collection (its `get`) or a reading method.
    Read(ApiCall),
    /// `ensure COLLECTION(id, …) {…}`
    Ensure(ApiCall),
    /// `call METHOD(…) {…}`
    Call(ApiCall),
    /// `wait group until …`, `wait METHOD(…) {…} until …`. With no parentheses it is a step.
    WaitApi(ApiCall),
    /// `wait STEP until …`: the expression names a step, possibly indexed.
    WaitStep(Expr),
    /// `wait http GET url {…} until …`
    WaitHttp(HttpCall),
    /// `wait 30m`, `wait pause_input`: a pause; any expression that is no step.
    WaitPause(Expr),
    Http(HttpCall),
    Approve(Expr),
    /// `run image.from_instance { inputs }`
    Run {
        path: Vec<Name>,
        inputs: Option<Object>,
    },
    /// `hook f(args)`
    Hook {
        name: Name,
        args: Vec<Arg>,
    },
    Broken,
}

/// `compute.instances.delete(source.instance, zone: z) { body }`
#[derive(Clone, Debug)]
pub struct ApiCall {
    /// `compute`, `instances`, `delete`.
    pub path: Vec<Name>,
    pub args: Vec<Arg>,
    /// From `(` to `)`, or the end of the path where there are none.
    pub args_span: Span,
    pub body: Option<Object>,
}

#[derive(Clone, Debug)]
pub struct HttpCall {
    /// `GET`, `POST`, …
    pub method: Name,
    pub url: Expr,
    /// `query`, `headers`, `json`, `text`, `auth`.
    pub options: Option<Object>,
}

#[derive(Clone, Debug)]
pub struct Arg {
    /// None: positional.
    pub name: Option<Name>,
    pub value: Expr,
}

#[derive(Clone, Debug)]
pub struct Object {
    pub fields: Vec<Field>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Field {
    /// `key: value`; also the shorthand `key`, then `value` is the name and `shorthand` is set.
    Pair {
        key: Key,
        value: Expr,
        shorthand: bool,
    },
    /// `...expr`
    Spread { value: Expr, span: Span },
}

#[derive(Clone, Debug)]
pub enum Key {
    /// A word or a string literal without interpolation.
    Name(Name),
    /// `[expr]`, or a string with interpolation.
    Computed(Box<Expr>),
}

#[derive(Clone, Debug)]
pub struct Guard {
    pub condition: Expr,
    pub message: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Clause {
    pub kind: ClauseKind,
    /// The clause with its keyword.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ClauseKind {
    /// Each is a step, a checkpoint, or a path into them: `take`, `group["us-central1"]`.
    After(Vec<Expr>),
    When(Expr),
    Unless(Expr),
    Require(Guard),
    Until(Expr),
    FailWhen(Guard),
    Timeout(Expr),
    Every(Expr),
    Retry {
        times: Expr,
        every: Option<Expr>,
    },
    /// `retry in_use for 20m`: for how long an error of this class is taken for passing.
    Patience {
        class: Name,
        limit: Expr,
    },
    /// `repeat safe`: what was sent twice is as good as sent once.
    RepeatSafe,
    On {
        outcome: OnOutcome,
        decision: Decision,
    },
    Expires(Expr),
    Expect(Guard),
    /// `settle http GET url {…} when COND`
    Settle {
        http: HttpCall,
        when: Expr,
    },
    Undo(Undo),
    /// Nothing of r5flow deletes or replaces what the step keeps.
    Protect,
    /// `allow open_database "the reason"`: the policy has nothing to say here.
    Allow {
        policy: Name,
        reason: Option<Expr>,
    },
}

/// What takes a step back when its run is rolled back.
#[derive(Clone, Debug)]
pub enum Undo {
    /// Deletes what the step created.
    Delete,
    Call(ApiCall),
    Http(HttpCall),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnOutcome {
    Absent,
    Change,
    Deny,
    Timeout,
    Failure,
    /// Nobody can tell whether a call took effect.
    Doubt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    Stop,
    Update,
    Replace,
    Continue,
    Pause,
    /// A person decides.
    Ask,
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: Box<ExprKind>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    Null,
    /// Leaves the field, item or argument out in which it stands.
    Unset,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Milliseconds.
    Duration(i64),
    /// Bytes.
    Size(u64),
    /// `60%` is 60.
    Percent(f64),
    /// An interpolated string; a plain one has at most one `Text` part.
    Str(Vec<StrPart>),
    /// A raw string, dedented, with its final newline; the tag is for editors.
    Raw {
        tag: Arc<str>,
        text: Arc<str>,
    },
    /// A name, `it` included.
    Name(Arc<str>),
    List(Vec<Expr>),
    Object(Object),
    /// `[element for binder]`
    ListComp {
        element: Expr,
        binder: Binder,
    },
    /// `{ [key]: value for binder }`
    MapComp {
        key: Expr,
        value: Expr,
        binder: Binder,
    },
    /// `one(x in xs where c)`, `all(x in xs: p)`, `count(…)`, `sum(x in xs: e)` …
    Quantifier {
        quantifier: Quantifier,
        binder: Binder,
        body: Option<Expr>,
    },
    If {
        condition: Expr,
        then: Expr,
        otherwise: Expr,
    },
    Not(Expr),
    Neg(Expr),
    Binary {
        op: BinaryOp,
        left: Expr,
        right: Expr,
    },
    /// `base.name`, or `base?.name` when `optional`.
    Member {
        base: Expr,
        name: Name,
        optional: bool,
    },
    Index {
        base: Expr,
        index: Expr,
    },
    /// `len(x)`, `naming(build)`, `fresh(vm)`, `run.id` is a member, not a call.
    Call {
        callee: Expr,
        args: Vec<Arg>,
    },
    Paren(Expr),
    Broken,
}

#[derive(Clone, Debug)]
pub enum StrPart {
    Text(Arc<str>),
    Value(Expr),
}

/// `x in xs where c`, `k, v in m where c`
#[derive(Clone, Debug)]
pub struct Binder {
    pub first: Name,
    pub second: Option<Name>,
    pub source: Expr,
    pub filter: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantifier {
    One,
    First,
    All,
    Any,
    Count,
    Sum,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    Coalesce,
    Add,
    Sub,
    Mul,
    Div,
}

impl Expr {
    pub fn new(kind: ExprKind, span: Span) -> Self {
        Expr {
            kind: Box::new(kind),
            span,
        }
    }
}

impl BinaryOp {
    /// The operator as authors write it.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::In => "in",
            BinaryOp::Coalesce => "??",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
        }
    }
}
