//! The statements of a workflow, in the order of the text.

use super::Checker;
use super::names::{BlockId, BlockKind, Flow, FlowId, Global};
use super::scope::{It, Phase};
use super::want::Want;
use crate::diag::{Code, Diagnostic, nearest};
use crate::package::ModuleId;
use crate::source::Span;
use crate::syntax::ast::{self, Stmt};
use crate::types::Type;

const EVENTS: [&str; 4] = [
    "step_failed",
    "checkpoint_reached",
    "gate_waiting",
    "run_ended",
];

/// What an event of the run tells.
pub(super) fn event_type(event: &str) -> Type {
    match event {
        "step_failed" => Type::record([
            ("step", Type::STR),
            (
                "error",
                Type::record([("message", Type::STR), ("class", Type::STR)]),
            ),
        ]),
        "checkpoint_reached" => Type::record([("name", Type::STR)]),
        "gate_waiting" => Type::record([("step", Type::STR), ("text", Type::STR)]),
        "run_ended" => Type::record([("status", Type::STR)]),
        _ => Type::Unknown,
    }
}

impl<'p> Checker<'_, 'p> {
    pub(super) fn flow(&mut self, flow: &Flow<'p>) {
        self.order.begin_flow();
        self.block(flow, BlockId::ROOT);
        self.order.at = None;
    }

    fn block(&mut self, flow: &Flow<'p>, id: BlockId) {
        let block = flow.block(id);
        let mut children = block.children.iter().copied();
        for stmt in block.stmts {
            self.order.at = None;
            match stmt {
                Stmt::Input(input) => self.input(flow, input),
                Stmt::Output(output) => self.output(flow, id, output),
                Stmt::Let(l) => self.let_statement(flow, id, l),
                Stmt::At(at) => self.at(flow, id, at),
                Stmt::Assert(assert) => self.assert(flow, id, assert),
                Stmt::Checkpoint(checkpoint) => self.checkpoint(flow, id, checkpoint),
                Stmt::Step(step) => self.step(flow, id, step),
                Stmt::For(f) => {
                    if let Some(child) = children.next() {
                        self.for_statement(flow, child, f);
                        self.block(flow, child);
                    }
                }
                Stmt::If(i) => {
                    let then = children.next();
                    let otherwise = i.otherwise.as_ref().and_then(|_| children.next());
                    self.if_statement(flow, id, i, then, otherwise);
                    for child in [then, otherwise].into_iter().flatten() {
                        self.block(flow, child);
                    }
                }
                Stmt::Upon(upon) => {
                    if let Some(child) = children.next() {
                        self.event(upon);
                        self.block(flow, child);
                    }
                }
                Stmt::Broken(_) => {}
            }
        }
    }

    fn input(&mut self, flow: &Flow<'p>, input: &'p ast::Input) {
        let ty = self.declared_type(flow.module, &input.ty);
        let Some(default) = &input.default else {
            return;
        };
        let mut scope = self.plain_scope(flow, BlockId::ROOT);
        scope.phase = Phase::Text("a default");
        self.fit(default, &Want::declared(&input.name.text, ty), &mut scope);
    }

    fn output(&mut self, flow: &Flow<'p>, block: BlockId, output: &'p ast::Output) {
        let mut scope = self.output_scope(flow);
        scope.block = block;
        let ty = self.infer(&output.value, &mut scope);
        if ty.holds_secret() && !output.secret {
            self.report(
                Diagnostic::error(
                    Code::SECRET_LEAK,
                    output.value.span,
                    format!("the output `{}` would show a secret", output.name.text),
                )
                .label("is secret")
                .help("declare it `secret output`, or leave it out"),
            );
        }
    }

    fn let_statement(&mut self, flow: &Flow<'p>, block: BlockId, l: &'p ast::Let) {
        self.let_type(flow, l, block);
        let symbol = flow.symbol(&l.name.text).filter(|s| s.span == l.name.span);
        if let Some(symbol) = symbol
            && block != BlockId::ROOT
        {
            let node = self.order.symbol(flow, symbol);
            let around = self.order.block(flow, block);
            self.order.needs(node, around);
        }
    }

    /// A text for people: a message, a title.
    pub(super) fn message(
        &mut self,
        text: &'p ast::Expr,
        scope: &mut super::scope::Scope,
        place: &str,
    ) {
        let ty = self.infer(text, scope);
        if ty.holds_secret() {
            self.leak(text.span, place, "people and logs read it");
        }
        let (bare, _) = ty.unsealed();
        if !bare.is_loose() && !bare.is_text() {
            self.report(Diagnostic::error(
                Code::TYPE_MISMATCH,
                text.span,
                format!("{place} is text, and this is `{bare}`"),
            ));
        }
    }

    fn assert(&mut self, flow: &Flow<'p>, block: BlockId, assert: &'p ast::Assert) {
        let node = self.order.assertion(flow, block, assert.condition.span);
        self.order.at = Some(node);
        let mut scope = self.plain_scope(flow, block);
        self.condition(&assert.condition, &mut scope);
        if let Some(message) = &assert.message {
            self.message(message, &mut scope, "a message");
        }
    }

    fn checkpoint(&mut self, flow: &Flow<'p>, block: BlockId, checkpoint: &'p ast::Checkpoint) {
        if block != BlockId::ROOT {
            self.report(
                Diagnostic::error(
                    Code::CHECKPOINT_PLACE,
                    checkpoint.name.span,
                    "a checkpoint stands at the top level of a workflow",
                )
                .help("move it out of the block: it holds everything above it, blocks included"),
            );
        }
        let symbol = flow
            .symbol(&checkpoint.name.text)
            .filter(|s| s.span == checkpoint.name.span);
        let node = symbol.map(|s| self.order.symbol(flow, s));
        self.order.at = node;
        let it = It::Not("is not known at a checkpoint, which addresses no resource: name a step");
        let mut scope = self.request_scope(flow, block, it);
        for guard in &checkpoint.requires {
            self.guard(guard, &mut scope);
        }
        self.after(flow, block, &checkpoint.after);
        if let Some(text) = &checkpoint.approve {
            self.message(text, &mut scope, "the text of an approval");
        }
        self.order.at = None;
        if let Some(node) = node {
            self.order.passed(node);
        }
    }

    pub(super) fn guard(&mut self, guard: &'p ast::Guard, scope: &mut super::scope::Scope) {
        self.condition(&guard.condition, scope);
        if let Some(message) = &guard.message {
            self.message(message, scope, "a message");
        }
    }

    fn for_statement(&mut self, flow: &Flow<'p>, child: BlockId, f: &'p ast::For) {
        let (first, second) = self.loop_types(flow, child);
        let node = self.order.block(flow, child);
        self.inside(flow, child, node);
        let element = if f.second.is_some() { second } else { first };
        let parent = flow.block(child).parent.unwrap_or(BlockId::ROOT);
        let source = {
            let mut scope = self.block_scope(flow, parent);
            self.quietly(|c| c.infer(&f.source, &mut scope))
        };
        self.order.at = Some(node);
        match &f.by {
            Some(by) => {
                let mut scope = self.plain_scope(flow, child);
                self.map_key(by, &mut scope);
            }
            None => self.key_needed(&source.unsealed().0, &element, f),
        }
        if let Some(limit) = &f.limit {
            let mut scope = self.plain_scope(flow, parent);
            let at_least_one = Type::Int(crate::types::Bounds {
                min: Some(1),
                max: None,
            });
            self.fit(limit, &Want::declared("limit", at_least_one), &mut scope);
        }
        self.order.at = None;
    }

    fn key_needed(&mut self, source: &Type, element: &Type, f: &ast::For) {
        let Type::List(_) = source else { return };
        let bare = element.clone().unsealed().0;
        let scalar = bare.is_text() || matches!(bare, Type::Int(_)) || bare.is_loose();
        if !scalar {
            self.report(
                Diagnostic::error(
                    Code::NEEDS_KEY,
                    f.source.span,
                    format!("the elements are `{bare}`, which is no key"),
                )
                .help(format!(
                    "say what tells them apart: `by {}.name`; positions would shift when the list changes",
                    f.first.text
                )),
            );
        }
    }

    /// A block waits for the block around it.
    fn inside(&mut self, flow: &Flow<'p>, block: BlockId, node: super::order::Node) {
        if let Some(parent) = flow.block(block).parent
            && parent != BlockId::ROOT
        {
            let around = self.order.block(flow, parent);
            self.order.needs(node, around);
        }
    }

    fn if_statement(
        &mut self,
        flow: &Flow<'p>,
        block: BlockId,
        i: &'p ast::If,
        then: Option<BlockId>,
        otherwise: Option<BlockId>,
    ) {
        let Some(then) = then else { return };
        let node = self.order.block(flow, then);
        self.inside(flow, then, node);
        if let Some(other) = otherwise {
            let other = self.order.block(flow, other);
            self.order.needs(other, node);
        }
        self.order.at = Some(node);
        let mut scope = self.plain_scope(flow, block);
        scope.it = It::Not(
            "is not known in the condition of an `if`: use `unless` or `require` at the step",
        );
        self.condition(&i.condition, &mut scope);
        self.order.at = None;
    }

    fn event(&mut self, upon: &ast::Upon) {
        if EVENTS.contains(&&*upon.event.text) {
            return;
        }
        let finding = Diagnostic::error(
            Code::UNKNOWN_EVENT,
            upon.event.span,
            format!("a run has no event `{}`", upon.event.text),
        );
        self.report(match nearest(&upon.event.text, EVENTS) {
            Some(near) => finding
                .help(format!("did you mean `{near}`?"))
                .fix(upon.event.span, near),
            None => finding.help(format!("it has {}", EVENTS.join(", "))),
        });
    }

    /// Whether a block stands inside an `upon`, outside the order of the workflow.
    pub(super) fn in_event(flow: &Flow<'p>, block: BlockId) -> bool {
        flow.ancestry(block)
            .any(|id| matches!(flow.block(id).kind, BlockKind::Upon(_)))
    }

    /// Workflows that run themselves, directly or through others.
    pub(super) fn recursion(&mut self) {
        let runs = self.runs.clone();
        for (from, to, span) in &runs {
            if reaches(&runs, *to, *from) {
                let name = self.names.flow(*to).name();
                self.sink.push(
                    Diagnostic::error(
                        Code::RECURSION,
                        *span,
                        format!("`{name}` would run itself, and never end"),
                    )
                    .help("loop over a list or a map with `for` instead"),
                );
            }
        }
    }

    /// The workflow that `run a.b` names; what is wrong is reported.
    pub(super) fn run_target(
        &mut self,
        module: ModuleId,
        path: &[ast::Name],
        span: Span,
    ) -> Option<FlowId> {
        if let [alias, ..] = path {
            self.mark_import(module, &alias.text);
        }
        match self.names.workflow(module, path) {
            Some(Global::Workflow(id)) => {
                self.used.insert(self.names.flow(id).ast.name.span);
                Some(id)
            }
            Some(Global::Unknown) => None,
            Some(_) => {
                self.report(Diagnostic::error(
                    Code::NOT_A_VALUE,
                    span,
                    format!("`{}` is no workflow", super::target::joined(path)),
                ));
                None
            }
            None => {
                self.unknown_workflow(module, path);
                None
            }
        }
    }

    fn unknown_workflow(&mut self, module: ModuleId, path: &[ast::Name]) {
        let names = self.names;
        let (home, wrong) = match path {
            [alias, name] => match names.global(module, &alias.text) {
                Some(Global::Module(id)) => (id, name),
                Some(Global::Unknown) => return,
                _ => (module, alias),
            },
            [name, ..] => (module, name),
            [] => return,
        };
        let known: Vec<&str> = names
            .globals(home)
            .into_iter()
            .filter(|n| {
                matches!(
                    names.global(home, n),
                    Some(Global::Workflow(_) | Global::Module(_))
                )
            })
            .collect();
        let finding = Diagnostic::error(
            Code::UNKNOWN_NAME,
            wrong.span,
            format!("no workflow is called `{}`", wrong.text),
        );
        self.report(match nearest(&wrong.text, known) {
            Some(near) => finding
                .help(format!("did you mean `{near}`?"))
                .fix(wrong.span, near),
            None => finding.help("bring one of a library with `use`"),
        });
    }
}

fn reaches(runs: &[(FlowId, FlowId, Span)], from: FlowId, to: FlowId) -> bool {
    let mut seen = vec![from];
    let mut next = 0;
    while next < seen.len() {
        if seen[next] == to {
            return true;
        }
        for (a, b, _) in runs {
            if *a == seen[next] && !seen.contains(b) {
                seen.push(*b);
            }
        }
        next += 1;
    }
    false
}
