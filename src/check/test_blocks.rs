//! Tests of flows: what stands in a `test` block, statement by statement.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Checker;
use super::moved::names_of;
use super::names::{FlowId, Meaning};
use super::scope::{Hooks, IT_NOWHERE, Local, Phase, Scope};
use super::want::Want;
use crate::catalog::NameKind;
use crate::diag::{Code, Diagnostic, nearest};
use crate::package::ModuleId;
use crate::source::Span;
use crate::syntax::ast::{
    ActionKind, Answer, Expr, ExprKind, Fault, FaultOn, Field, Given, Key, Name, Object, Test,
    TestRun, TestStmt,
};
use crate::types::{Part, Record, Type};

/// What the cloud of a test is called in it.
pub const CLOUD: &str = "cloud";

/// How a run can end, as `status` tells it.
pub const STATUSES: [&str; 8] = [
    "done",
    "failed",
    "paused",
    "cancelled",
    "timed out",
    "needs a decision",
    "lacks permission",
    REFUSED,
];

/// The status of a run that could not begin with these inputs.
pub const REFUSED: &str = "refused";

/// What can go wrong with a call, as the simulator names it, with `_` for blanks.
pub const FAULTS: [&str; 8] = [
    "answer_lost",
    "connection_reset",
    "rate_limit",
    "too_many_requests",
    "unavailable",
    "slow",
    "operation_fails",
    "not_visible_yet",
];

/// What more a fault may say.
pub const FAULT_OPTIONS: [&str; 6] = ["target", "nth", "times", "chance", "delay", "error"];

/// What a scenario may say.
pub const SCENARIO: [&str; 22] = [
    "projects",
    "any_project",
    "seed",
    "dns",
    "request_ids",
    "operations_kept",
    "regions",
    "machine_types",
    "latency",
    "durations",
    "operator",
    "resources",
    "limits",
    "operations",
    "disabled_apis",
    "quotas",
    "stockouts",
    "images",
    "loads",
    "faults",
    "certificate_failures",
    "log_kept",
];

/// What is known of a test while its statements are looked at.
struct Seen {
    scope: Scope,
    /// Where each name is given.
    names: BTreeMap<Arc<str>, Span>,
    /// The workflows that the test runs.
    flows: Vec<FlowId>,
    /// A run whose workflow is not known may have any gate.
    any_gate: bool,
}

impl<'p> Checker<'_, 'p> {
    pub(super) fn test(&mut self, module: ModuleId, test: &'p Test) {
        let mut seen = Seen {
            scope: Scope {
                phase: Phase::Any,
                it: IT_NOWHERE,
                hooks: Hooks::Nowhere,
                ..Scope::of_module(module)
            },
            names: BTreeMap::new(),
            flows: Vec::new(),
            any_gate: false,
        };
        let cloud = Local {
            name: Arc::from(CLOUD),
            ty: self.cloud_type(),
        };
        seen.scope.locals.push(cloud);
        self.test_begins_once(test);
        for stmt in &test.stmts {
            self.test_stmt(stmt, &mut seen);
        }
        for stmt in &test.stmts {
            match stmt {
                TestStmt::Answer(answer) => self.gate(answer, &seen),
                TestStmt::Fault(fault) => self.faulty_step(fault, &seen),
                _ => {}
            }
        }
        let broken = |s: &TestStmt| matches!(s, TestStmt::Broken(_) | TestStmt::Expect(_));
        if !test.stmts.iter().any(broken) {
            self.report(
                Diagnostic::warning(
                    Code::EXPECTS_NOTHING,
                    test.name.span,
                    "this test expects nothing, so it can only fail when it cannot be run",
                )
                .help("say what must hold behind a `run … as r`: `expect r.status == \"done\"`"),
            );
        }
    }

    /// Titles are unique in their file.
    pub(super) fn titles(&mut self, module: ModuleId) {
        let mut known: BTreeMap<&str, Span> = BTreeMap::new();
        let program = self.names.program;
        for item in &program.module(module).file.items {
            let crate::syntax::ast::Item::Test(test) = item else {
                continue;
            };
            match known.get(&*test.name.text) {
                Some(first) => {
                    let message = format!("two tests are called `{}`", test.name.text);
                    self.report(
                        Diagnostic::error(Code::DUPLICATE_NAME, test.name.span, message)
                            .related(*first, "the first one")
                            .help("say what each of them shows"),
                    );
                }
                None => {
                    known.insert(&test.name.text, test.name.span);
                }
            }
        }
    }

    /// The cloud is given once, before anything happens in it.
    fn test_begins_once(&mut self, test: &'p Test) {
        let late = test.stmts.iter().skip_while(|s| {
            matches!(
                s,
                TestStmt::Given(_) | TestStmt::Let(_) | TestStmt::Broken(_)
            )
        });
        let late: Vec<&Given> = late.filter_map(given).collect();
        let all: Vec<&Given> = test.stmts.iter().filter_map(given).collect();
        let wrong = all
            .iter()
            .enumerate()
            .find(|(n, g)| *n > 0 || late.iter().any(|l| l.span == g.span));
        if let Some((_, given)) = wrong {
            self.report(
                Diagnostic::error(
                    Code::BAD_SCENARIO,
                    given.span,
                    "the cloud of a test is given once, before anything happens in it",
                )
                .help("put all of it into one `given` at the top of the test"),
            );
        }
    }

    fn test_stmt(&mut self, stmt: &'p TestStmt, seen: &mut Seen) {
        match stmt {
            TestStmt::Given(given) => self.given(&given.value, &mut seen.scope),
            TestStmt::Fault(fault) => self.fault(fault, &mut seen.scope),
            TestStmt::Answer(answer) => {
                if let Some(after) = &answer.after {
                    let want = Want::declared("after", Type::DURATION);
                    self.fit(after, &want, &mut seen.scope);
                }
            }
            TestStmt::Run(run) => self.test_run(run, seen),
            TestStmt::Wait(wait) => {
                let want = Want::declared("wait", Type::DURATION);
                self.fit(&wait.time, &want, &mut seen.scope);
            }
            TestStmt::Let(l) => {
                let ty = self.infer(&l.value, &mut seen.scope);
                self.test_name(&l.name, ty, seen);
            }
            TestStmt::Expect(expect) => {
                self.condition(&expect.condition, &mut seen.scope);
            }
            TestStmt::Broken(broken) => {
                if let Some(name) = &broken.name {
                    self.test_name(name, Type::Unknown, seen);
                }
            }
        }
    }

    fn test_name(&mut self, name: &Name, ty: Type, seen: &mut Seen) {
        if let Some(first) = seen.names.get(&name.text) {
            let message = format!("`{}` is declared twice", name.text);
            let first = *first;
            self.report(
                Diagnostic::error(Code::DUPLICATE_NAME, name.span, message)
                    .related(first, "declared here first")
                    .help("names are unique in a test: rename one of the two"),
            );
        } else if *name.text == *CLOUD {
            self.report(
                Diagnostic::error(
                    Code::DUPLICATE_NAME,
                    name.span,
                    "`cloud` is what the simulator holds",
                )
                .help("choose another name"),
            );
        } else {
            seen.names.insert(Arc::clone(&name.text), name.span);
        }
        seen.scope.locals.push(Local {
            name: Arc::clone(&name.text),
            ty,
        });
    }

    fn given(&mut self, value: &'p Expr, scope: &mut Scope) {
        self.infer(value, scope);
        if let ExprKind::Object(object) = &*value.kind {
            self.known_keys(object, "a scenario", &SCENARIO, Code::BAD_SCENARIO);
        }
    }

    fn known_keys(&mut self, object: &Object, whose: &str, known: &[&str], code: Code) {
        for field in &object.fields {
            let Field::Pair {
                key: Key::Name(name),
                ..
            } = field
            else {
                continue;
            };
            if known.contains(&&*name.text) {
                continue;
            }
            let message = format!("{whose} has no `{}`", name.text);
            let found = Diagnostic::error(code, name.span, message);
            self.report(match nearest(&name.text, known.iter().copied()) {
                Some(near) => found
                    .help(format!("did you mean `{near}`?"))
                    .fix(name.span, near),
                None => found.help(format!("it has {}", known.join(", "))),
            });
        }
    }

    fn fault(&mut self, fault: &'p Fault, scope: &mut Scope) {
        if !FAULTS.contains(&&*fault.kind.text) {
            let message = format!("no fault is called `{}`", fault.kind.text);
            let found = Diagnostic::error(Code::BAD_FAULT, fault.kind.span, message);
            self.report(match nearest(&fault.kind.text, FAULTS) {
                Some(near) => found
                    .help(format!("did you mean `{near}`?"))
                    .fix(fault.kind.span, near),
                None => found.help(format!("there are {}", FAULTS.join(", "))),
            });
        }
        if let FaultOn::Method(method) = &fault.on
            && !method.text.contains('*')
            && self.catalog.method(&method.text).is_none()
        {
            let message = format!("there is no method `{}`", method.text);
            let found = Diagnostic::error(Code::BAD_FAULT, method.span, message);
            self.report(match self.catalog.suggest(NameKind::Method, &method.text) {
                Some(near) => found
                    .help(format!("did you mean `{near}`?"))
                    .fix(method.span, near),
                None => found.help("`*` stands for anything: `compute.*.insert`"),
            });
        }
        if let Some(options) = &fault.options {
            self.object(options, scope);
            self.known_keys(options, "a fault", &FAULT_OPTIONS, Code::BAD_FAULT);
        }
    }

    fn test_run(&mut self, run: &'p TestRun, seen: &mut Seen) {
        let place = run.place();
        let target = self.run_target(seen.scope.module, &run.path, place);
        let outputs = match target {
            Some(id) => {
                seen.flows.push(id);
                self.run_inputs(id, run.inputs.as_ref(), place, &mut seen.scope);
                self.outputs_of(id)
            }
            None => {
                seen.any_gate = true;
                if let Some(inputs) = &run.inputs {
                    self.quietly(|c| c.object(inputs, &mut seen.scope));
                }
                Type::Unknown
            }
        };
        if let Some(name) = &run.name {
            self.test_name(name, run_type(outputs), seen);
        }
    }

    /// Whether what a fault names makes calls of Google's.
    fn faulty_step(&mut self, fault: &Fault, seen: &Seen) {
        let FaultOn::Step(step) = &fault.on else {
            return;
        };
        let names = names_of(&step.text);
        let mut met = seen.flows.iter().filter_map(|flow| {
            let flow = self.names.flow(*flow);
            self.names.leads_to(flow, &names)
        });
        let calls = |meaning: &Meaning<'_>| match meaning {
            Meaning::Step(step) => calls(&step.action.kind),
            Meaning::Unknown => true,
            _ => false,
        };
        let (message, help) = match (met.next(), seen.any_gate) {
            (None, true) => return,
            (None, false) => (
                format!("`{}` is no step of what this test runs", step.text),
                "name it as seen from the workflow that is run: `front.address`, `group[\"us-east1\"]`",
            ),
            (Some(first), _) if calls(&first) || met.any(|m| calls(&m)) => return,
            _ => (
                format!(
                    "`{}` sends nothing to Google that could go wrong",
                    step.text
                ),
                "name a step that reads, ensures, calls or waits for a resource, or a `run` of such steps",
            ),
        };
        let finding = Diagnostic::error(Code::BAD_FAULT, step.span, message).help(help);
        self.report(finding);
    }

    /// Whether an answer has a question.
    fn gate(&mut self, answer: &Answer, seen: &Seen) {
        let names = names_of(&answer.gate.text);
        let asks = |c: &Self, flow: &FlowId| match c.names.leads_to(c.names.flow(*flow), &names) {
            Some(Meaning::Step(step)) => {
                matches!(
                    step.action.kind,
                    ActionKind::Approve(_) | ActionKind::Broken
                )
            }
            Some(Meaning::Checkpoint(checkpoint)) => checkpoint.approve.is_some(),
            Some(Meaning::Unknown) => true,
            _ => false,
        };
        if seen.any_gate || seen.flows.iter().any(|flow| asks(self, flow)) {
            return;
        }
        let message = format!("`{}` is no gate of what this test runs", answer.gate.text);
        self.report(
            Diagnostic::error(Code::NO_GATE, answer.gate.span, message).help(
                "name an `approve` step, or a checkpoint that approves, as seen from the workflow that is run: `named.dns`",
            ),
        );
    }

    /// What the cloud holds: by service, collection and key.
    fn cloud_type(&self) -> Type {
        let services = self.catalog.services().map(|service| {
            let name = &*service.name;
            let prefix = format!("{name}.");
            let collections = self.catalog.collections(name);
            let fields: Vec<(String, Type)> = collections
                .iter()
                .filter_map(|path| {
                    let found = self.catalog.collection(path)?;
                    found.get.as_ref()?;
                    let resource = found.resource.clone().map_or(Type::Any, Type::Schema);
                    let field = path.strip_prefix(&prefix).unwrap_or(path);
                    Some((field.to_owned(), Type::map(resource)))
                })
                .collect();
            let fields = fields.iter().map(|(name, ty)| (name.as_str(), ty.clone()));
            (name, Type::record(fields))
        });
        Type::record(services)
    }
}

/// Whether a step of this kind asks an API of Google's.
fn calls(kind: &ActionKind) -> bool {
    use ActionKind::{Broken, Call, Ensure, Run};
    let run = matches!(kind, Run { .. });
    run || reads(kind) || matches!(kind, Ensure(_) | Call(_) | Broken)
}

/// Whether a step of this kind only looks.
pub fn reads(kind: &ActionKind) -> bool {
    use ActionKind::{Read, WaitApi, WaitStep};
    matches!(kind, Read(_) | WaitApi(_) | WaitStep(_))
}

fn given(stmt: &TestStmt) -> Option<&Given> {
    match stmt {
        TestStmt::Given(given) => Some(given),
        _ => None,
    }
}

/// An output as a test looks at it: which of several shapes it has, the test knows.
fn observed(ty: Type) -> Type {
    let shaped = |ty: &Type| {
        use Type::{Inline, List, Map, Record, Schema};
        matches!(ty, List(_) | Map(_) | Record(_) | Schema(_) | Inline(_))
    };
    match ty {
        Type::Union(members) if members.iter().any(shaped) => Type::Any,
        Type::Nullable(inner) => observed((*inner).clone()).nullable(),
        Type::Secret(inner) => observed((*inner).clone()).sealed(true),
        Type::List(element) => Type::list(observed((*element).clone())),
        Type::Map(value) => Type::map(observed((*value).clone())),
        Type::Record(record) => {
            let fields = record.fields.iter().map(|(name, part)| {
                let part = Part {
                    ty: observed(part.ty.clone()),
                    optional: part.optional,
                };
                (Arc::clone(name), part)
            });
            let fields = fields.collect();
            Type::Record(Arc::new(Record { fields }))
        }
        other => other,
    }
}

/// What `run … as r` gives.
fn run_type(outputs: Type) -> Type {
    let failure = Type::record([
        ("step", Type::STR),
        ("class", Type::STR),
        ("message", Type::STR),
    ]);
    let call = Type::record([
        ("method", Type::STR),
        ("target", Type::STR),
        ("body", Type::Any),
        ("status", Type::INT),
        ("took_effect", Type::Bool),
        ("at", Type::DURATION),
    ]);
    let step = Type::record([("verdict", Type::STR), ("at", Type::DURATION)]);
    let event = Type::record([
        ("event", Type::STR),
        ("step", Type::STR.nullable()),
        ("at", Type::DURATION),
    ]);
    let finding = Type::record([
        ("code", Type::STR),
        ("policy", Type::STR),
        ("severity", Type::STR),
        ("message", Type::STR),
    ]);
    Type::record([
        ("status", Type::join(STATUSES.map(Type::literal))),
        ("outputs", observed(outputs)),
        ("elapsed", Type::DURATION),
        ("error", failure.clone()),
        ("failures", Type::list(failure)),
        ("calls", Type::list(call)),
        ("steps", Type::map(step)),
        ("events", Type::list(event)),
        ("findings", Type::list(finding)),
    ])
}
