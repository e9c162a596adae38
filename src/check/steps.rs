//! Steps by kind: what they address, what they send, what they give.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Checker;
use super::Known;
use super::clauses::{Guards, StepKind};
use super::facts::Facts;
use super::names::{BlockId, Flow, Global, Meaning};
use super::order::Ensured;
use super::scope::{IT_IN_UNDO, IT_NOWHERE, It, Scope};
use super::target::Target;
use super::want::{Api, Want};
use crate::catalog::{Collection, InsertId, Kind, Method, OperationStyle};
use crate::diag::{Code, Diagnostic};
use crate::syntax::ast::{
    self, ActionKind, ApiCall, Clause, ClauseKind, Decision, Field, Key, Object, OnOutcome, Step,
};
use crate::types::Type;
use crate::wire::Verb;

/// What a step of the body sees, and what it may say afterwards.
pub(super) struct StepPlace<'a, 'p> {
    pub flow: &'a Flow<'p>,
    pub block: BlockId,
    pub step: &'p Step,
    /// What is known where the step runs: the conditions around it and its `when`.
    facts: Facts,
    /// What is looked at is the step's `undo`, not what the step does.
    undo: bool,
}

impl<'a, 'p> StepPlace<'a, 'p> {
    /// The same step, for what takes it back.
    pub fn of_undo(&self) -> StepPlace<'a, 'p> {
        StepPlace {
            facts: self.facts.clone(),
            undo: true,
            ..*self
        }
    }
}

impl<'p> Checker<'_, 'p> {
    pub(super) fn step(&mut self, flow: &Flow<'p>, block: BlockId, step: &'p Step) {
        self.step_type(flow, step, block);
        let symbol = flow
            .symbol(&step.name.text)
            .filter(|s| s.span == step.name.span);
        let Some(symbol) = symbol else {
            // Declared twice: the first one has the name, this one is checked all the same.
            return self.step_parts(flow, block, step, None);
        };
        let node = self.order.symbol(flow, symbol);
        if !Self::in_event(flow, block) {
            self.order
                .enter(flow, block, node, mutates(&step.action.kind));
        }
        self.order.at = Some(node);
        self.step_parts(flow, block, step, Some(node));
        self.order.at = None;
    }

    fn step_parts(
        &mut self,
        flow: &Flow<'p>,
        block: BlockId,
        step: &'p Step,
        node: Option<super::order::Node>,
    ) {
        let mut scope = self.plain_scope(flow, block);
        let whens = step.clauses.iter().filter_map(|c| match &c.kind {
            ClauseKind::When(condition) => Some(condition),
            _ => None,
        });
        for condition in whens {
            scope.it = It::Not("is not known in `when`: use `unless` or `require`");
            if self.condition(condition, &mut scope) {
                self.report(
                    Diagnostic::warning(
                        Code::SECRET_LEAK,
                        condition.span,
                        "whether this step runs tells something of a secret",
                    )
                    .help("decide by an input of its own"),
                );
            }
            scope.facts.assume(condition, true, &scope.binders);
        }
        let place = StepPlace {
            flow,
            block,
            step,
            facts: scope.facts,
            undo: false,
        };
        let (kind, guards) = self.action(&place, node);
        self.clauses(&place, kind, &guards);
    }

    /// A scope of the step with what is known where it runs.
    pub(super) fn placed(&self, place: &StepPlace<'_, 'p>, it: It) -> Scope {
        let it = if place.undo { IT_IN_UNDO } else { it };
        let mut scope = self.request_scope(place.flow, place.block, it);
        scope.facts = place.facts.clone();
        scope.fresh &= !place.undo;
        scope
    }

    fn action(
        &mut self,
        place: &StepPlace<'_, 'p>,
        node: Option<super::order::Node>,
    ) -> (StepKind, Guards) {
        let flow = place.flow;
        match &place.step.action.kind {
            ActionKind::Read(call) => (StepKind::Read, self.read(place, call, "read")),
            ActionKind::WaitApi(call) => (StepKind::Wait, self.read(place, call, "wait")),
            ActionKind::Ensure(call) => (StepKind::Ensure, self.ensure(place, call, node)),
            ActionKind::Call(call) => (StepKind::Call, self.api_call(place, call)),
            ActionKind::WaitStep(expr) if self.names_step(flow, expr) => {
                let mut scope = self.placed(place, IT_NOWHERE);
                scope.fresh = false;
                let ty = self.infer(expr, &mut scope);
                let ty = self.waited(ty, expr);
                (StepKind::Wait, Guards::after(ty))
            }
            ActionKind::WaitStep(expr) | ActionKind::WaitPause(expr) => {
                let mut scope = self.placed(place, IT_NOWHERE);
                self.fit(expr, &Want::declared("wait", Type::DURATION), &mut scope);
                (StepKind::Pause, Guards::none())
            }
            ActionKind::WaitHttp(http) => {
                self.http(place, http);
                (StepKind::Wait, Guards::after(super::http::answer()))
            }
            ActionKind::Http(http) => {
                self.http(place, http);
                self.unsettled(place, http);
                (StepKind::Http, Guards::after(super::http::answer()))
            }
            ActionKind::Approve(text) => {
                let mut scope = self.placed(place, IT_NOWHERE);
                scope.fresh = false;
                self.message(text, &mut scope, "the text of an approval");
                (StepKind::Approve, Guards::none())
            }
            ActionKind::Run { path, inputs } => {
                self.run(place, path, inputs.as_ref());
                (StepKind::Run, Guards::none())
            }
            ActionKind::Hook { name, args } => {
                self.hook_step(place, name, args);
                (StepKind::Hook, Guards::none())
            }
            ActionKind::Broken => (StepKind::Broken, Guards::unknown()),
        }
    }

    fn waited(&mut self, ty: Type, expr: &ast::Expr) -> Type {
        if ty.may_be_null() && !ty.is_loose() {
            self.report(
                Diagnostic::error(
                    Code::MAYBE_NULL,
                    expr.span,
                    "this step may be skipped, and then there is nothing to wait for",
                )
                .label(format!("is `{ty}`"))
                .help("put the `wait` under the same condition"),
            );
        }
        if let Type::Map(_) = &ty {
            self.report(
                Diagnostic::error(
                    Code::OVER_A_LOOP,
                    expr.span,
                    "this step is in a loop, so here it is many",
                )
                .help("wait inside the same loop, or for one of them: `wait step[key]`"),
            );
            return Type::Unknown;
        }
        ty.without_null()
    }

    /// Whether the expression names a step, possibly one of a loop.
    fn names_step(&self, flow: &Flow<'p>, expr: &ast::Expr) -> bool {
        let (Some(name), _) = super::calls::root_name(expr) else {
            return false;
        };
        flow.symbol(name)
            .is_some_and(|s| matches!(s.meaning, Meaning::Step(_) | Meaning::Unknown))
    }

    fn found_target(&mut self, place: &StepPlace<'_, 'p>, call: &'p ApiCall) -> Option<Target> {
        match self.target(&call.path) {
            Ok(target) if place.undo => Some(target),
            Ok(target) => {
                self.targets
                    .entry(place.flow.id)
                    .or_default()
                    .insert(Arc::clone(&place.step.name.text), target.clone());
                Some(target)
            }
            Err(finding) => {
                self.report(*finding);
                self.loosely(place, call);
                None
            }
        }
    }

    /// Looks at arguments and body of a call that is wrong already: only for the names in them.
    fn loosely(&mut self, place: &StepPlace<'_, 'p>, call: &'p ApiCall) {
        let mut scope = self.placed(place, It::Is(Type::Unknown));
        for arg in &call.args {
            self.infer_item(&arg.value, &mut scope);
        }
        if let Some(body) = &call.body {
            self.object(body, &mut scope);
        }
    }

    /// `read` and `wait` of the catalogue.
    fn read(&mut self, place: &StepPlace<'_, 'p>, call: &'p ApiCall, word: &str) -> Guards {
        let Some(target) = self.found_target(place, call) else {
            return Guards::unknown();
        };
        let last = &call.path[call.path.len() - 1];
        let (signature, method) = match &target {
            Target::Collection(c) => match &c.get {
                Some(get) => (self.collection_signature(c, false), Arc::clone(get)),
                None => {
                    let reading: Vec<&str> = c
                        .methods
                        .iter()
                        .map(|m| &**m)
                        .filter(|m| m.starts_with("list") || m.starts_with("get"))
                        .collect();
                    self.report(
                        Diagnostic::error(
                            Code::WRONG_TARGET,
                            last.span,
                            format!("a single resource of `{}` cannot be read", c.path),
                        )
                        .help(format!("name a method that reads: {}", reading.join(", "))),
                    );
                    self.loosely(place, call);
                    return Guards::unknown();
                }
            },
            Target::Method(m) if !m.reads => {
                self.report(
                    Diagnostic::error(
                        Code::WRONG_TARGET,
                        last.span,
                        format!("`{}` may change something, and `{word}` never does", m.id),
                    )
                    .help("write `call`"),
                );
                self.loosely(place, call);
                return Guards::unknown();
            }
            Target::Method(m) => (self.method_signature(m), Arc::clone(m)),
        };
        let why = "is what is being read: it is known in `until` and `fail when` of a `wait`";
        let mut scope = self.placed(place, It::Not(why));
        self.arguments(place.flow, call, &signature, &mut scope);
        self.body(place, call, &method, &mut scope);
        self.deprecated(&method, last.span);
        Guards::after(self.answer_type(&target))
    }

    fn deprecated(&mut self, method: &Method, span: crate::source::Span) {
        if method.deprecated {
            let message = format!("the method `{}` is deprecated", method.id);
            self.report(Diagnostic::warning(Code::DEPRECATED, span, message));
        }
    }

    fn ensure(
        &mut self,
        place: &StepPlace<'_, 'p>,
        call: &'p ApiCall,
        node: Option<super::order::Node>,
    ) -> Guards {
        let Some(target) = self.found_target(place, call) else {
            return Guards::unknown();
        };
        let last = &call.path[call.path.len() - 1];
        let collection = match target {
            Target::Collection(c) => c,
            Target::Method(m) => {
                self.report(
                    Diagnostic::error(
                        Code::WRONG_TARGET,
                        last.span,
                        format!("`{}` is a method, and `ensure` takes a collection", m.id),
                    )
                    .help(format!(
                        "write `ensure {}(…)`, or `call {}(…)`",
                        m.collection, m.id
                    )),
                );
                self.loosely(place, call);
                return Guards::unknown();
            }
        };
        let must_exist = decides(place.step, OnOutcome::Absent, Decision::Stop);
        let updates = collection.patch.as_ref().or(collection.update.as_ref());
        let possible = collection.can_ensure()
            || (must_exist && collection.get.is_some() && updates.is_some());
        if !possible {
            self.cannot_ensure(&collection, must_exist, last.span);
            self.loosely(place, call);
            return Guards::unknown();
        }
        let resource = resource_type(&collection);
        let before = match must_exist {
            true => resource.clone(),
            false => resource.clone().nullable(),
        };
        let mut signature = self.collection_signature(&collection, true);
        if !must_exist {
            signature.creates(&collection);
        }
        let mut scope = self.placed(place, It::Is(before.clone()));
        let given = self.arguments(place.flow, call, &signature, &mut scope);
        let method = match must_exist {
            true => updates.or(collection.insert.as_ref()),
            false => collection.insert.as_ref().or(updates),
        };
        let mut leaves = BTreeSet::new();
        if let (Some(body), Some(schema)) = (&call.body, self.schema(&resource)) {
            let want = body_want(&resource, method);
            let identity = identity_fields(&collection);
            self.body_object(body, &schema, &want, &identity, &mut scope);
            written(body, "", &mut leaves);
        }
        if let Some(method) = method {
            self.deprecated(method, last.span);
        }
        self.repeated(place.flow, place.block, place.step, call);
        if let Some(node) = node {
            let identity = given
                .into_iter()
                .filter(|(name, _)| signature.identity.contains(name))
                .collect::<BTreeMap<_, _>>();
            self.ensures.push(Ensured {
                flow: place.flow.id,
                block: place.block,
                node,
                name: Arc::clone(&place.step.name.text),
                span: place.step.name.span,
                collection: Arc::clone(&collection.path),
                identity,
                leaves,
            });
        }
        Guards {
            before: It::Is(before),
            after: It::Is(resource),
            retries: true,
        }
    }

    fn cannot_ensure(&mut self, c: &Collection, must_exist: bool, span: crate::source::Span) {
        let finding = Diagnostic::error(
            Code::WRONG_TARGET,
            span,
            format!("`ensure` cannot keep a resource of `{}`", c.path),
        );
        let finding = match (&c.insert, &c.get) {
            (Some(insert), Some(_)) if c.insert_id == InsertId::ServerChosen => finding
                .label("the server picks the name")
                .help(format!("write `call {}(…)`", insert.id)),
            (_, None) => finding
                .label("it cannot be read back")
                .help("name one of its methods with `call`"),
            (None, _) if !must_exist && (c.patch.is_some() || c.update.is_some()) => finding
                .label("it cannot be created")
                .help("add `on absent stop` to change one that is there"),
            _ => finding.help("name one of its methods with `call`"),
        };
        self.report(finding);
    }

    pub(super) fn api_call(&mut self, place: &StepPlace<'_, 'p>, call: &'p ApiCall) -> Guards {
        let Some(target) = self.found_target(place, call) else {
            return Guards::unknown();
        };
        let last = &call.path[call.path.len() - 1];
        let method = match &target {
            Target::Method(m) if m.reads => {
                self.report(
                    Diagnostic::error(
                        Code::WRONG_TARGET,
                        last.span,
                        format!("`{}` only reads", m.id),
                    )
                    .help("write `read`: its answer is recorded, and nothing is repeated"),
                );
                self.loosely(place, call);
                return Guards::unknown();
            }
            Target::Method(m) => Arc::clone(m),
            Target::Collection(c) => {
                let methods: Vec<&str> = c.methods.iter().map(|m| &**m).collect();
                self.report(
                    Diagnostic::error(
                        Code::WRONG_TARGET,
                        last.span,
                        format!("`{}` is a collection, and `call` takes a method", c.path),
                    )
                    .help(format!("add one of {}", methods.join(", "))),
                );
                self.loosely(place, call);
                return Guards::unknown();
            }
        };
        let resource = self
            .catalog
            .collection(&method.collection)
            .filter(|c| c.get.is_some())
            .map(|c| resource_type(&c));
        let before = match &resource {
            Some(ty) => It::Is(ty.clone()),
            None => It::Not("has no meaning here: resources of this collection cannot be read"),
        };
        let signature = self.method_signature(&method);
        let mut scope = self.placed(place, before.clone());
        self.arguments(place.flow, call, &signature, &mut scope);
        self.body(place, call, &method, &mut scope);
        self.deprecated(&method, last.span);
        self.unsettled_call(place.step, &method, last.span);
        let after = match &resource {
            Some(ty) => It::Is(ty.clone()),
            None => It::Is(self.answer_type(&target)),
        };
        Guards {
            before,
            after,
            retries: method.request_id.is_some() || method.verb == Verb::Delete,
        }
    }

    /// The body of a method.
    fn body(
        &mut self,
        _place: &StepPlace<'_, 'p>,
        call: &'p ApiCall,
        method: &Arc<Method>,
        scope: &mut Scope,
    ) {
        let Some(body) = &call.body else { return };
        let Some(id) = &method.request else {
            self.report(
                Diagnostic::error(
                    Code::NO_BODY,
                    crate::source::Span {
                        end: body.span.start + 1,
                        ..body.span
                    },
                    format!("`{}` takes no body", method.id),
                )
                .help("parameters stand in the parentheses"),
            );
            self.quietly(|c| c.object(body, scope));
            return;
        };
        let ty = Type::Schema(id.clone());
        match self.schema(&ty) {
            Some(schema) => {
                let want = body_want(&ty, Some(method));
                self.body_object(body, &schema, &want, &[], scope);
            }
            None => {
                self.object(body, scope);
            }
        }
    }

    fn run(
        &mut self,
        place: &StepPlace<'_, 'p>,
        path: &'p [ast::Name],
        inputs: Option<&'p Object>,
    ) {
        let span = path.first().map_or(place.step.action.span, |first| {
            path.last()
                .map_or(first.span, |last| first.span.to(last.span))
        });
        let mut scope = self.placed(place, IT_NOWHERE);
        scope.fresh = false;
        let Some(id) = self.run_target(place.flow.module, path, span) else {
            if let Some(inputs) = inputs {
                self.quietly(|c| c.object(inputs, &mut scope));
            }
            return;
        };
        self.runs.push((place.flow.id, id, span));
        self.run_inputs(id, inputs, span, &mut scope);
    }

    fn hook_step(&mut self, place: &StepPlace<'_, 'p>, name: &'p ast::Name, args: &'p [ast::Arg]) {
        let mut scope = self.placed(place, IT_NOWHERE);
        match self.hook_named(place.flow, name) {
            Some((home, def)) => {
                self.hook_call(home, def, args, name.span, &mut scope);
            }
            None => {
                for arg in args {
                    self.infer(&arg.value, &mut scope);
                }
            }
        }
    }

    fn hook_named(
        &mut self,
        flow: &Flow<'p>,
        name: &ast::Name,
    ) -> Option<(crate::package::ModuleId, &'p ast::HookDef)> {
        let names = self.names;
        match names.global(flow.module, &name.text) {
            Some(Global::Hook(home, def)) => {
                self.used.insert(def.name.span);
                Some((home, def))
            }
            Some(Global::Unknown) => None,
            _ => {
                let known: Vec<&str> = names
                    .globals(flow.module)
                    .into_iter()
                    .filter(|n| matches!(names.global(flow.module, n), Some(Global::Hook(..))))
                    .collect();
                let finding = Diagnostic::error(
                    Code::UNKNOWN_NAME,
                    name.span,
                    format!("no hook is called `{}`", name.text),
                );
                self.report(match crate::diag::nearest(&name.text, known) {
                    Some(near) => finding
                        .help(format!("did you mean `{near}`?"))
                        .fix(name.span, near),
                    None => finding
                        .help("declare it at the top level: `hook name(a: string) -> string = …`"),
                });
                None
            }
        }
    }

    /// The type of a step in its own block; findings are raised elsewhere.
    pub(super) fn step_type(&mut self, flow: &Flow<'p>, step: &'p Step, block: BlockId) -> Type {
        let key = (flow.id, &*step.name.text);
        match self.symbols.get(&key) {
            Some(Known::Done(ty)) => return ty.clone(),
            Some(Known::Now) => return Type::Unknown,
            None => {}
        }
        self.symbols.insert(key, Known::Now);
        self.muted += 1;
        let at = self.order.at.take();
        let ty = self.action_type(flow, step, block);
        self.order.at = at;
        self.muted -= 1;
        self.symbols.insert(key, Known::Done(ty.clone()));
        ty
    }

    fn action_type(&mut self, flow: &Flow<'p>, step: &'p Step, block: BlockId) -> Type {
        match &step.action.kind {
            ActionKind::Read(call) | ActionKind::WaitApi(call) => match self.target(&call.path) {
                Ok(target) => {
                    let ty = self.answer_type(&target);
                    match decides(step, OnOutcome::Absent, Decision::Continue) {
                        true => ty.nullable(),
                        false => ty,
                    }
                }
                Err(_) => Type::Unknown,
            },
            ActionKind::Ensure(call) => match self.target(&call.path) {
                Ok(Target::Collection(c)) => resource_type(&c),
                _ => Type::Unknown,
            },
            ActionKind::Call(call) => match self.target(&call.path) {
                Ok(Target::Method(m)) => self.result_type(&m, step),
                _ => Type::Unknown,
            },
            ActionKind::WaitStep(expr) if self.names_step(flow, expr) => {
                if self.depth > 40 {
                    return Type::Unknown;
                }
                self.depth += 1;
                let mut scope = self.plain_scope(flow, block);
                let ty = self.infer(expr, &mut scope).without_null();
                self.depth -= 1;
                ty
            }
            ActionKind::WaitStep(_) | ActionKind::WaitPause(_) => Type::Null,
            ActionKind::WaitHttp(_) | ActionKind::Http(_) => super::http::answer(),
            ActionKind::Approve(_) => Type::record([
                ("approved", Type::Bool),
                ("by", Type::STR),
                ("at", Type::Timestamp),
                ("note", Type::STR.nullable()),
            ]),
            ActionKind::Run { path, .. } => match self.names.workflow(flow.module, path) {
                Some(Global::Workflow(id)) => self.outputs_of(id),
                _ => Type::Unknown,
            },
            ActionKind::Hook { name, .. } => match self.names.global(flow.module, &name.text) {
                Some(Global::Hook(home, def)) => self.declared_type(home, &def.result),
                _ => Type::Unknown,
            },
            ActionKind::Broken => Type::Unknown,
        }
    }

    /// What reading a target gives.
    fn answer_type(&self, target: &Target) -> Type {
        match target {
            Target::Collection(c) => resource_type(c),
            Target::Method(m) => match &m.response {
                Some(id) => Type::Schema(id.clone()),
                None => Type::Null,
            },
        }
    }

    /// The result of a `call` (rule C10). Of a delete with `unless` it is what stays.
    fn result_type(&self, method: &Method, step: &Step) -> Type {
        if &*method.name == "delete" || method.verb == Verb::Delete {
            let spares = |c: &Clause| matches!(c.kind, ClauseKind::Unless(_));
            let kept = self.catalog.collection(&method.collection);
            return match kept.filter(|c| c.get.is_some() && step.clauses.iter().any(spares)) {
                Some(collection) => resource_type(&collection).nullable(),
                None => Type::Null,
            };
        }
        if method.operation != OperationStyle::None {
            return match self.catalog.collection(&method.collection) {
                Some(c) if c.get.is_some() => resource_type(&c),
                _ => Type::Any,
            };
        }
        match &method.response {
            Some(id) => Type::Schema(id.clone()),
            None => Type::Null,
        }
    }
}

fn resource_type(collection: &Collection) -> Type {
    match &collection.resource {
        Some(id) => Type::Schema(id.clone()),
        None => Type::Any,
    }
}

fn body_want(ty: &Type, method: Option<&Arc<Method>>) -> Want {
    let null = method.is_some_and(|m| m.verb == Verb::Patch || &*m.name == "patch");
    Want {
        ty: ty.clone(),
        name: Arc::from("the body"),
        api: Some(Api {
            kind: match ty {
                Type::Schema(id) => Kind::Schema(id.clone()),
                _ => Kind::Any,
            },
            unit: None,
            method: method.cloned(),
            null,
        }),
        unset: false,
    }
}

/// The fields of the body that the arguments give.
fn identity_fields(collection: &Collection) -> Vec<Arc<str>> {
    let mut fields: Vec<Arc<str>> = collection
        .identity
        .iter()
        .filter_map(|i| i.body_field.clone())
        .collect();
    match &collection.insert_id {
        InsertId::BodyField(field) if !fields.contains(field) => {
            fields.push(Arc::clone(field));
        }
        _ => {}
    }
    fields
}

/// Paths of the leaves that an object writes.
fn written(object: &Object, prefix: &str, leaves: &mut BTreeSet<String>) {
    for field in &object.fields {
        let Field::Pair {
            key: Key::Name(name),
            value,
            ..
        } = field
        else {
            continue;
        };
        let path = match prefix {
            "" => name.text.to_string(),
            prefix => format!("{prefix}.{}", name.text),
        };
        match &*value.kind {
            ast::ExprKind::Object(inner) => written(inner, &path, leaves),
            _ => {
                leaves.insert(path);
            }
        }
    }
}

/// Whether the step says `on OUTCOME DECISION`.
pub(super) fn decides(step: &Step, outcome: OnOutcome, decision: Decision) -> bool {
    step.clauses.iter().any(|c| {
        matches!(&c.kind, ClauseKind::On { outcome: o, decision: d } if *o == outcome && *d == decision)
    })
}

/// Whether a step of this kind may change something.
fn mutates(kind: &ActionKind) -> bool {
    !matches!(
        kind,
        ActionKind::Read(_)
            | ActionKind::WaitApi(_)
            | ActionKind::WaitStep(_)
            | ActionKind::WaitPause(_)
            | ActionKind::WaitHttp(_)
    )
}
