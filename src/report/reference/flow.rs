//! A workflow as what it takes, gives and calls.

use std::collections::BTreeSet;

use super::module::doc;
use super::{Around, Port, Step, Workflow, words};
use crate::catalog::{Catalog, Collection, Method};
use crate::check::names::{Flow, FlowId, Global};
use crate::check::{Checked, Target};
use crate::report::one_line;
use crate::source::Source;
use crate::syntax::ast::{
    self, Action, ActionKind, ApiCall, ClauseKind, Decision, HttpCall, Input, Name, OnOutcome,
    Output, Stmt, Undo,
};
use crate::types::Type;

pub fn workflow(checked: &Checked<'_>, catalog: &Catalog, flow: &Flow<'_>) -> Workflow {
    let reader = Reader {
        checked,
        catalog,
        flow,
        source: &checked.names.program.module(flow.module).source,
    };
    let mut steps = Vec::new();
    reader.steps(&flow.ast.body.stmts, &[], &mut steps);
    let mut reach = Reach::default();
    reach.follow(checked, catalog, flow.id);
    Workflow {
        name: flow.name().to_owned(),
        doc: doc(&flow.ast.doc),
        inputs: flow.inputs.iter().map(|i| reader.input(i)).collect(),
        outputs: flow.outputs.iter().map(|o| reader.output(o)).collect(),
        steps,
        apis: reach.apis.into_iter().collect(),
        destroys: reach.destroys.into_iter().collect(),
    }
}

/// What a workflow reaches with all that it runs.
#[derive(Default)]
struct Reach {
    seen: BTreeSet<FlowId>,
    apis: BTreeSet<String>,
    destroys: BTreeSet<String>,
}

impl Reach {
    fn follow(&mut self, checked: &Checked<'_>, catalog: &Catalog, id: FlowId) {
        if !self.seen.insert(id) {
            return;
        }
        let flow = checked.names.flow(id);
        for (_, step) in steps_of(flow) {
            if let ActionKind::Run { path, .. } = &step.action.kind
                && let Some(Global::Workflow(id)) = checked.names.workflow(flow.module, path)
            {
                self.follow(checked, catalog, id);
            }
            for method in methods(checked, flow, step) {
                self.apis.extend(host(catalog, method));
                if method.destroys() {
                    self.destroys.insert(method.id.to_string());
                }
            }
        }
    }
}

/// `compute.googleapis.com`
fn host(catalog: &Catalog, method: &Method) -> Option<String> {
    let root = &catalog.service(&method.service)?.root_url;
    Some(
        root.trim_start_matches("https://")
            .trim_end_matches('/')
            .to_owned(),
    )
}

fn steps_of<'f, 'p>(flow: &'f Flow<'p>) -> impl Iterator<Item = (&'p str, &'p ast::Step)> + 'f {
    flow.symbols()
        .filter_map(|(name, symbol)| match symbol.meaning {
            crate::check::names::Meaning::Step(step) => Some((name, step)),
            _ => None,
        })
}

/// The methods that a step may call, in the order in which it would.
fn methods<'c>(checked: &'c Checked<'_>, flow: &Flow<'_>, step: &ast::Step) -> Vec<&'c Method> {
    let target = |name: &str| checked.targets.get(&flow.id)?.get(name);
    let waited = match &step.action.kind {
        ActionKind::WaitStep(expr) => root(expr),
        _ => None,
    };
    let found = match (waited, target(waited.unwrap_or(&step.name.text))) {
        (_, None) => Vec::new(),
        (Some(_), Some(Target::Collection(of))) => vec![&of.get],
        (Some(_), Some(Target::Method(method))) => return vec![method],
        (None, Some(Target::Method(method))) => return vec![method],
        (None, Some(Target::Collection(of))) => match step.action.kind {
            ActionKind::Ensure(_) => ensured(of, step),
            _ => vec![&of.get],
        },
    };
    found.into_iter().filter_map(|m| m.as_deref()).collect()
}

/// What an `ensure` may call, as its clauses decide.
fn ensured<'c>(of: &'c Collection, step: &ast::Step) -> Vec<&'c Option<std::sync::Arc<Method>>> {
    let mut all = vec![&of.get];
    if creates(step) {
        all.push(&of.insert);
    }
    match decision(step, OnOutcome::Change) {
        Some(Decision::Stop) => {}
        Some(Decision::Replace) => all.extend([&of.delete, &of.insert]),
        _ if of.patch.is_some() => all.push(&of.patch),
        _ => all.push(&of.update),
    }
    all
}

fn creates(step: &ast::Step) -> bool {
    decision(step, OnOutcome::Absent).is_none()
}

fn decision(step: &ast::Step, of: OnOutcome) -> Option<Decision> {
    step.clauses.iter().find_map(|c| match c.kind {
        ClauseKind::On { outcome, decision } if outcome == of => Some(decision),
        _ => None,
    })
}

/// `group` of `group["a"].name`
fn root(expr: &ast::Expr) -> Option<&str> {
    match &*expr.kind {
        ast::ExprKind::Name(name) => Some(name),
        ast::ExprKind::Member { base, .. } | ast::ExprKind::Index { base, .. } => root(base),
        ast::ExprKind::Paren(inner) => root(inner),
        _ => None,
    }
}

fn path(names: &[Name]) -> String {
    let words: Vec<&str> = names.iter().map(|n| &*n.text).collect();
    words.join(".")
}

struct Reader<'r, 'p> {
    checked: &'r Checked<'p>,
    catalog: &'r Catalog,
    flow: &'r Flow<'p>,
    source: &'r Source,
}

impl Reader<'_, '_> {
    fn input(&self, input: &Input) -> Port {
        Port {
            name: input.name.text.to_string(),
            ty: words::ty(self.source, &input.ty),
            uses: words::types_in(&self.checked.names, self.flow.module, &input.ty),
            default: input.default.as_ref().map(|e| match input.secret {
                true => "•••".to_owned(),
                false => self.expression(e),
            }),
            secret: input.secret,
            doc: doc(&input.doc),
        }
    }

    fn output(&self, output: &Output) -> Port {
        let all = self.checked.outputs.get(&self.flow.id);
        let ty = match all {
            Some(Type::Record(record)) => record.fields.get(&output.name.text).map(|p| &p.ty),
            _ => None,
        };
        Port {
            name: output.name.text.to_string(),
            ty: ty.map_or_else(|| "any".to_owned(), |t| t.clone().widened().to_string()),
            uses: Vec::new(),
            default: None,
            secret: output.secret,
            doc: doc(&output.doc),
        }
    }

    fn expression(&self, expr: &ast::Expr) -> String {
        words::expression(self.source, expr)
    }

    fn steps(&self, stmts: &[Stmt], around: &[Around], out: &mut Vec<Step>) {
        let within = |word, what| [around, &[Around { word, what }]].concat();
        for stmt in stmts {
            match stmt {
                Stmt::Step(step) => out.push(self.step(step, around)),
                Stmt::Checkpoint(checkpoint) => out.push(Step {
                    name: checkpoint.name.text.to_string(),
                    doc: doc(&checkpoint.doc),
                    around: around.to_vec(),
                    does: "checkpoint",
                    what: checkpoint
                        .approve
                        .as_ref()
                        .map_or_else(String::new, |e| self.expression(e)),
                    runs: None,
                    calls: Vec::new(),
                    undo: Vec::new(),
                }),
                Stmt::For(f) => {
                    let around = within("for each of", self.expression(&f.source));
                    self.steps(&f.body.stmts, &around, out);
                }
                Stmt::If(i) => {
                    let condition = self.expression(&i.condition);
                    self.steps(&i.then.stmts, &within("if", condition.clone()), out);
                    if let Some(otherwise) = &i.otherwise {
                        self.steps(&otherwise.stmts, &within("if not", condition), out);
                    }
                }
                Stmt::Upon(u) => {
                    let event = u.event.text.to_string();
                    self.steps(&u.body.stmts, &within("upon", event), out);
                }
                Stmt::Input(_)
                | Stmt::Output(_)
                | Stmt::Let(_)
                | Stmt::At(_)
                | Stmt::Assert(_)
                | Stmt::Broken(_) => {}
            }
        }
    }

    fn step(&self, step: &ast::Step, around: &[Around]) -> Step {
        let when = step.clauses.iter().filter_map(|c| match &c.kind {
            ClauseKind::When(e) => Some(Around {
                word: "if",
                what: self.expression(e),
            }),
            _ => None,
        });
        let (does, what) = self.action(&step.action);
        let runs = match &step.action.kind {
            ActionKind::Run { path, .. } => {
                words::link(&self.checked.names, self.flow.module, path)
            }
            ActionKind::Hook { name, .. } => words::link(
                &self.checked.names,
                self.flow.module,
                std::slice::from_ref(name),
            ),
            _ => None,
        };
        let mut calls: Vec<String> = methods(self.checked, self.flow, step)
            .iter()
            .map(|m| m.id.to_string())
            .collect();
        calls.dedup();
        Step {
            name: step.name.text.to_string(),
            doc: doc(&step.doc),
            around: around.iter().cloned().chain(when).collect(),
            does,
            what,
            runs,
            calls,
            undo: self.undo(step),
        }
    }

    fn action(&self, action: &Action) -> (&'static str, String) {
        let api = |call: &ApiCall| path(&call.path);
        let http = |call: &HttpCall| format!("{} {}", call.method.text, self.expression(&call.url));
        match &action.kind {
            ActionKind::Read(call) => ("read", api(call)),
            ActionKind::Ensure(call) => ("ensure", api(call)),
            ActionKind::Call(call) => ("call", api(call)),
            ActionKind::WaitApi(call) => ("wait", api(call)),
            ActionKind::WaitStep(e) | ActionKind::WaitPause(e) => ("wait", self.expression(e)),
            ActionKind::WaitHttp(call) => ("wait", http(call)),
            ActionKind::Http(call) => ("http", http(call)),
            ActionKind::Approve(text) => ("approve", one_line(self.source.slice(text.span))),
            ActionKind::Run { path: names, .. } => ("run", path(names)),
            ActionKind::Hook { name, .. } => ("hook", name.text.to_string()),
            ActionKind::Broken => ("", String::new()),
        }
    }

    /// What a rollback may call for a step.
    fn undo(&self, step: &ast::Step) -> Vec<String> {
        let declared = step.clauses.iter().find_map(|c| match &c.kind {
            ClauseKind::Undo(undo) => Some(undo),
            _ => None,
        });
        let target = self.checked.targets.get(&self.flow.id);
        let target = target.and_then(|all| all.get(&step.name.text));
        let protected = step
            .clauses
            .iter()
            .any(|c| matches!(c.kind, ClauseKind::Protect));
        let own = match (target, &step.action.kind) {
            (Some(Target::Collection(of)), ActionKind::Ensure(_)) if !protected => Some(of),
            _ => None,
        };
        match declared {
            Some(Undo::Call(call)) => {
                let named = path(&call.path);
                let method = self.catalog.method(&named);
                vec![method.map_or(named, |m| m.id.to_string())]
            }
            Some(Undo::Http(call)) => {
                vec![format!(
                    "{} {}",
                    call.method.text,
                    self.expression(&call.url)
                )]
            }
            Some(Undo::Delete) | None => own
                .filter(|_| creates(step))
                .and_then(|of| of.delete.as_ref())
                .map(|m| m.id.to_string())
                .into_iter()
                .collect(),
        }
    }
}
