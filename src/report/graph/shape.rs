//! One node as it is drawn.

use crate::plan::{Graph, NodeId, Work};
use crate::report::{fit, one_line};
use crate::source::Span;
use crate::syntax::ast::{ActionKind, Block, ClauseKind, Name, Step, Stmt};

/// Characters of a condition in a label.
const CONDITION: usize = 48;
/// Names of inner steps in a label.
const INSIDE: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Step(Action),
    Assert,
    Checkpoint,
    /// What is inside, and whether anything is, only the run can tell.
    Growth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Read,
    Ensure,
    Call,
    Wait,
    Http,
    Approve,
    Compute,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Ensure => "ensure",
            Action::Call => "call",
            Action::Wait => "wait",
            Action::Http => "http",
            Action::Approve => "approve",
            Action::Compute => "hook",
        }
    }
}

#[derive(Debug)]
pub struct Shape {
    pub address: String,
    /// The name as the author wrote it.
    pub title: String,
    /// What it does; empty for checkpoints.
    pub detail: String,
    pub kind: Kind,
    /// It removes something.
    pub destructive: bool,
    /// `file:line:column`
    pub place: String,
    pub group: Option<usize>,
}

/// Whether an author wrote this node.
pub fn is_drawn(graph: &Graph<'_>, node: NodeId) -> bool {
    match graph.node(node).work {
        Work::Step(_) | Work::Assert(_) | Work::Checkpoint(_) | Work::For(..) | Work::If(..) => {
            true
        }
        Work::Enter(step) => condition(step).is_some(),
        Work::Turn(_) | Work::TurnEnd(_) | Work::End | Work::Gather | Work::Settle | Work::Undo => {
            false
        }
    }
}

impl Shape {
    pub fn of(graph: &Graph<'_>, node: NodeId, group: Option<usize>) -> Shape {
        let sources = &graph.names.program.sources;
        let text = |span: Span| fit(&one_line(sources.slice(span)), CONDITION);
        let (title, detail, kind, span) = match graph.node(node).work {
            Work::Step(step) => {
                let (action, target) = action(&step.action.kind);
                let detail = format!("{} {target}", action.as_str());
                let title = step.name.text.to_string();
                (
                    title,
                    detail.trim_end().to_owned(),
                    Kind::Step(action),
                    step.name.span,
                )
            }
            Work::Assert(assert) => {
                let detail = text(assert.condition.span);
                ("assert".to_owned(), detail, Kind::Assert, assert.span)
            }
            Work::Checkpoint(c) => {
                let title = c.name.text.to_string();
                (title, String::new(), Kind::Checkpoint, c.name.span)
            }
            Work::For(f, _) => {
                let second = f.second.as_ref().map(|s| format!(", {}", s.text));
                let second = second.unwrap_or_default();
                let title = format!("for {}{second} in {}", f.first.text, text(f.source.span));
                (title, inside(&[&f.body]), Kind::Growth, f.span)
            }
            Work::If(i, _, _) => {
                let mut blocks = vec![&i.then];
                blocks.extend(i.otherwise.as_ref());
                let title = format!("if {}", text(i.condition.span));
                (title, inside(&blocks), Kind::Growth, i.span)
            }
            Work::Enter(step) => {
                let when = condition(step).map(|span| format!(" when {}", text(span)));
                let title = format!("run {}{}", step.name.text, when.unwrap_or_default());
                (title, String::new(), Kind::Growth, step.name.span)
            }
            Work::Turn(_)
            | Work::TurnEnd(_)
            | Work::End
            | Work::Gather
            | Work::Settle
            | Work::Undo => (String::new(), String::new(), Kind::Growth, Span::default()),
        };
        Shape {
            address: graph.node(node).address.to_string(),
            destructive: kind == Kind::Step(Action::Call) && removes(&detail),
            place: sources.place(span),
            title,
            detail,
            kind,
            group,
        }
    }
}

/// Google's names for calls that remove something begin so.
fn removes(detail: &str) -> bool {
    let method = detail.rsplit('.').next().unwrap_or_default();
    method.starts_with("delete") || method.starts_with("remove") || method.starts_with("destroy")
}

fn condition(step: &Step) -> Option<Span> {
    step.clauses.iter().find_map(|c| match &c.kind {
        ClauseKind::When(e) => Some(e.span),
        _ => None,
    })
}

/// What a step does, and to what.
fn action(kind: &ActionKind) -> (Action, String) {
    match kind {
        ActionKind::Read(api) => (Action::Read, dotted(&api.path)),
        ActionKind::Ensure(api) => (Action::Ensure, dotted(&api.path)),
        ActionKind::Call(api) => (Action::Call, dotted(&api.path)),
        ActionKind::WaitApi(api) => (Action::Wait, dotted(&api.path)),
        ActionKind::WaitHttp(http) => (Action::Wait, format!("http {}", http.method.text)),
        ActionKind::WaitStep(_) | ActionKind::WaitPause(_) => (Action::Wait, String::new()),
        ActionKind::Http(http) => (Action::Http, http.method.text.to_string()),
        ActionKind::Approve(_) => (Action::Approve, String::new()),
        ActionKind::Hook { name, .. } => (Action::Compute, name.text.to_string()),
        ActionKind::Run { path, .. } => (Action::Compute, dotted(path)),
        ActionKind::Broken => (Action::Compute, String::new()),
    }
}

fn dotted(path: &[Name]) -> String {
    path.iter().map(|n| &*n.text).collect::<Vec<_>>().join(".")
}

/// The names of the steps in blocks: `place, template, group …`.
fn inside(blocks: &[&Block]) -> String {
    let mut names = Vec::new();
    blocks.iter().for_each(|b| gather(&b.stmts, &mut names));
    let more = names.len() > INSIDE;
    names.truncate(INSIDE);
    format!("{}{}", names.join(", "), if more { ", …" } else { "" })
}

fn gather<'a>(stmts: &'a [Stmt], names: &mut Vec<&'a str>) {
    for stmt in stmts {
        match stmt {
            Stmt::Step(step) => names.push(&step.name.text),
            Stmt::For(f) => gather(&f.body.stmts, names),
            Stmt::If(i) => {
                gather(&i.then.stmts, names);
                i.otherwise.iter().for_each(|b| gather(&b.stmts, names));
            }
            _ => {}
        }
    }
}
