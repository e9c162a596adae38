//! The rules of a policy over one body or one wait, and the place that a finding underlines.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::Scene;
use super::bodies::Body;
use super::complete::{Part, parts};
use super::waits::Wait;
use crate::catalog::SchemaId;
use crate::check::type_path;
use crate::diag::{Code, Diagnostic};
use crate::eval::{self, EvalError, Evaluated, Fault, Pairs, Taint, Truth};
use crate::package::ModuleId;
use crate::plan::{NodeId, Trace, View};
use crate::source::Span;
use crate::syntax::ast::{Binder, Expr, ExprKind, Policy, Rule, StrPart, TypeExpr, TypeKind};
use crate::types::functions::Function;
use crate::value::Value;

/// How often the loops of a policy's rules may go round for one subject: a rule that binds lists in lists would
/// otherwise hold up every command.
const ROUNDS: usize = 10_000;

/// All that the rules of a program look at.
pub struct Room<'s, 'p> {
    scene: &'s Scene<'s, 'p>,
    bodies: Vec<Body<'p>>,
    /// What is of some type, with the position of its body.
    parts: Vec<(usize, Part)>,
    grows: bool,
    /// What `planned` and `found` gave, by function and type.
    lists: RefCell<HashMap<(Function, SchemaId), Value>>,
}

/// What a policy looks at, one at a time.
pub struct Subject {
    pub node: NodeId,
    what: What,
    value: Value,
    it: Value,
}

#[derive(Clone, Copy)]
enum What {
    /// A part of a body, by its position.
    Part(usize),
    /// The place of its condition.
    Wait(Span),
}

/// What the rules of one policy say of one subject.
#[derive(Default)]
pub struct Told {
    pub findings: Vec<Diagnostic>,
    /// Rules that have no value although all is known.
    pub broken: Vec<Diagnostic>,
    /// Some rule leans on what only a run brings.
    pub undecided: bool,
    /// How often the loops of its rules went round.
    rounds: usize,
}

/// A field of a body, by the body's position.
type Place = (usize, Vec<String>);

/// A name that a rule's `for` binds.
#[derive(Clone)]
struct Local {
    name: Arc<str>,
    value: Value,
    place: Option<Place>,
}

impl<'s, 'p> Room<'s, 'p> {
    pub fn of(scene: &'s Scene<'s, 'p>) -> Self {
        let bodies = scene.bodies();
        let of_body = |(at, body): (usize, &Body<'_>)| {
            let parts = parts(scene.catalog, &body.ty, &body.value);
            parts.into_iter().map(move |part| (at, part))
        };
        Room {
            scene,
            parts: bodies.iter().enumerate().flat_map(of_body).collect(),
            bodies,
            grows: scene.grows(),
            lists: RefCell::default(),
        }
    }

    /// Everything that a policy looks at.
    pub fn subjects(&self, policy: &Policy) -> Vec<Subject> {
        let Some(ty) = schema_of(&policy.on) else {
            return Vec::new();
        };
        if policy.waits {
            let waits = self.scene.waits(&ty).into_iter();
            return waits
                .map(|Wait { node, value, until }| Subject {
                    node,
                    what: What::Wait(until),
                    value,
                    it: self.scene.later(node),
                })
                .collect();
        }
        let parts = self.parts.iter().enumerate();
        parts
            .filter(|(_, (_, part))| part.ty == ty)
            .map(|(n, (at, part))| Subject {
                node: self.bodies[*at].node,
                what: What::Part(n),
                value: part.value.clone(),
                it: self.read_part(*at, &part.path),
            })
            .collect()
    }

    /// What was read in the place of a part; of an element nobody can tell which it was.
    fn read_part(&self, at: usize, path: &[String]) -> Value {
        let body = &self.bodies[at];
        let mut it = &body.it;
        for part in path {
            it = match it {
                Value::Map(fields) => fields.get(&**part).unwrap_or(&Value::Null),
                Value::Null => it,
                _ => return self.scene.later(body.node),
            };
        }
        it.clone()
    }

    pub fn rules(&self, module: ModuleId, policy: &Policy, subject: &Subject) -> Told {
        let mut told = Told::default();
        for rule in &policy.rules {
            let asked = Asked {
                room: self,
                module,
                policy,
                rule,
                subject,
            };
            match asked.each(&rule.loops, &mut Vec::new(), &mut told) {
                Ok(()) => {}
                Err(Fault::Error(error)) => told.broken.push(asked.broken(&error)),
                Err(Fault::Hook { .. } | Fault::Fresh { .. }) => told.undecided = true,
            }
        }
        told
    }

    /// `planned(T)` or `found(T)`.
    fn list(&self, function: Function, ty: &SchemaId) -> Value {
        let key = (function, ty.clone());
        if let Some(known) = self.lists.borrow().get(&key) {
            return known.clone();
        }
        let list = Value::list(match function {
            Function::Planned => self.planned(ty),
            _ => self.scene.found(ty),
        });
        self.lists.borrow_mut().insert(key, list.clone());
        list
    }

    fn planned(&self, ty: &SchemaId) -> Vec<Value> {
        let mut all = self.sent(ty, &|_| true);
        if self.grows {
            all.push(Value::later("the run"));
        }
        all
    }

    /// What the steps before one send.
    fn earlier(&self, node: NodeId, ty: &SchemaId) -> Vec<Value> {
        let before = self.scene.graph.all_before(node);
        let mut all = self.sent(ty, &|sender| before.contains(&sender));
        if before.iter().any(|node| self.scene.graph.is_open(*node)) {
            all.push(Value::later("the run"));
        }
        all
    }

    fn sent(&self, ty: &SchemaId, by: &dyn Fn(NodeId) -> bool) -> Vec<Value> {
        let body = |at: usize| &self.bodies[at];
        let of_type = self.parts.iter().filter(|(_, part)| part.ty == *ty);
        of_type
            .filter(|(at, _)| by(body(*at).node))
            .map(|(at, part)| match body(*at).sure {
                true => part.value.clone(),
                false => self.scene.later(body(*at).node),
            })
            .collect()
    }

    /// The resources, written or read, of the steps that a value waits for.
    fn sources(&self, value: &Value, ty: &SchemaId) -> Vec<Value> {
        let Value::Later(steps) = value else {
            return Vec::new();
        };
        let sent = self.bodies.iter().filter(|body| body.ty == *ty);
        let sent = sent.map(|body| (body.node, body.value.clone()));
        sent.chain(self.scene.reads(ty))
            .filter(|(node, _)| steps.contains(&self.scene.graph.node(*node).address))
            .map(|(_, value)| value)
            .collect()
    }

    /// The place of an element of `planned(T)`.
    fn nth(&self, ty: &SchemaId, n: usize) -> Option<Place> {
        let mut of_type = self.parts.iter().filter(|(_, part)| part.ty == *ty);
        let (at, part) = of_type.nth(n)?;
        Some((*at, part.path.clone()))
    }

    /// What the flow wrote for a field, or else the name of what it addresses.
    fn span(&self, (at, path): &Place) -> Span {
        let body = &self.bodies[*at];
        let trace = Trace {
            graph: self.scene.graph,
            memo: self.scene.memo,
            scope: self.scene.graph.node(body.node).scope,
            call: body.call,
            it: Some(&body.it),
            id: body.id.as_deref(),
        };
        let found = (1..=path.len()).rev().find_map(|n| {
            let path: Vec<&str> = path[..n].iter().map(String::as_str).collect();
            trace.place(&path)
        });
        found.unwrap_or_else(|| self.addressed(body.node))
    }

    /// The words of a step that say what it addresses.
    fn addressed(&self, node: NodeId) -> Span {
        use crate::syntax::ast::ActionKind::{Call, Ensure, Read, WaitApi};
        let Some(step) = self.scene.step(node) else {
            return Span::default();
        };
        match &step.action.kind {
            Read(call) | Ensure(call) | Call(call) | WaitApi(call) => {
                match (call.path.first(), call.path.last()) {
                    (Some(first), Some(last)) => first.span.to(last.span),
                    _ => step.name.span,
                }
            }
            _ => step.name.span,
        }
    }
}

/// One rule, asked of one subject.
struct Asked<'a, 's, 'p> {
    room: &'a Room<'s, 'p>,
    module: ModuleId,
    policy: &'a Policy,
    rule: &'a Rule,
    subject: &'a Subject,
}

impl Asked<'_, '_, '_> {
    /// Goes through what the rule's loops bind, and asks its condition there.
    fn each(
        &self,
        loops: &[Binder],
        locals: &mut Vec<Local>,
        told: &mut Told,
    ) -> Result<(), Fault> {
        let Some((binder, rest)) = loops.split_first() else {
            return self.ask(locals, told);
        };
        let source = eval::eval(&binder.source, &self.names(locals))?;
        let Pairs::Known(pairs) = eval::pairs(&source, binder.source.span)? else {
            told.undecided = true;
            return Ok(());
        };
        let place = self.place(&binder.source, locals);
        for (n, (key, value)) in pairs.into_iter().enumerate() {
            told.rounds += 1;
            if told.rounds > ROUNDS {
                return Err(EvalError::new(
                    binder.source.span,
                    format!("its loops go round more than {ROUNDS} times"),
                )
                .help("bind fewer lists, or ask with `any` and `all`, which stop early")
                .into());
            }
            let element = self.element(&binder.source, place.as_ref(), &key, n);
            let outside = locals.len();
            let (first, second) = match &binder.second {
                Some(second) => (key, Some(second)),
                None => (value.clone(), None),
            };
            locals.push(Local {
                name: Arc::clone(&binder.first.text),
                value: first,
                place: element.clone(),
            });
            locals.extend(second.map(|name| Local {
                name: Arc::clone(&name.text),
                value,
                place: element,
            }));
            let truth = match &binder.filter {
                Some(filter) => eval::condition(filter, &self.names(locals))?,
                None => Truth::Known(true),
            };
            match truth {
                Truth::Known(true) => self.each(rest, locals, told)?,
                Truth::Known(false) => {}
                Truth::Later(_) => told.undecided = true,
            }
            locals.truncate(outside);
        }
        Ok(())
    }

    fn ask(&self, locals: &[Local], told: &mut Told) -> Result<(), Fault> {
        match eval::condition(&self.rule.condition, &self.names(locals))? {
            Truth::Known(true) => {
                let finding = self.finding(locals)?;
                told.findings.push(finding);
            }
            Truth::Known(false) => {}
            Truth::Later(_) => told.undecided = true,
        }
        Ok(())
    }

    fn finding(&self, locals: &[Local]) -> Result<Diagnostic, Fault> {
        let span = match self.subject.what {
            What::Wait(until) => until,
            What::Part(_) => match self.place(&self.rule.place, locals) {
                Some(place) => self.room.span(&place),
                None => self.room.addressed(self.subject.node),
            },
        };
        let message = self.text(&self.rule.message, locals)?;
        let message = message.trim_end_matches('.').to_owned();
        let finding = match &*self.rule.severity.text {
            "error" => Diagnostic::error(Code::POLICY, span, message),
            "warning" => Diagnostic::warning(Code::POLICY, span, message),
            _ => Diagnostic::advice(Code::POLICY, span, message),
        };
        let name = &self.policy.name.text;
        let help = match &self.rule.hint {
            Some(hint) => self.text(hint, locals)?,
            None => format!("if it may be so, say why at the step: `allow {name} \"…\"`"),
        };
        let mut finding = finding.of_policy(name).help(help);
        let sent = self.room.addressed(self.subject.node);
        let step = self.room.scene.step(self.subject.node);
        if !step.is_some_and(|step| step.span.contains(span)) {
            finding = finding.related(sent, "sent here");
        }
        Ok(finding)
    }

    /// A message; what of it only the run brings is named.
    fn text(&self, expr: &Expr, locals: &[Local]) -> Result<String, Fault> {
        let names = self.names(locals);
        let ExprKind::Str(parts) = &*expr.kind else {
            return Ok(eval::eval(expr, &names)?.to_string());
        };
        let mut out = String::new();
        for part in parts {
            match part {
                StrPart::Text(text) => out.push_str(text),
                StrPart::Value(value) => out.push_str(&eval::eval(value, &names)?.to_string()),
            }
        }
        Ok(out)
    }

    /// A rule whose expressions have no value for a body that is known.
    fn broken(&self, error: &EvalError) -> Diagnostic {
        let finding = Diagnostic::warning(
            Code::BAD_POLICY,
            error.span,
            format!(
                "`{}` cannot be asked here: {}",
                self.policy.name.text, error.message
            ),
        )
        .related(self.room.addressed(self.subject.node), "of this step");
        match &error.help {
            Some(help) => finding.help(help.clone()),
            None => finding,
        }
    }

    fn names<'n>(&'n self, locals: &'n [Local]) -> RuleNames<'n> {
        RuleNames {
            asked: self,
            locals,
        }
    }

    /// The field that an expression names, when it is one of a body's.
    fn place(&self, expr: &Expr, locals: &[Local]) -> Option<Place> {
        let deeper = |base: &Expr, part: String| {
            let (body, mut path) = self.place(base, locals)?;
            path.push(part);
            Some((body, path))
        };
        match &*expr.kind {
            ExprKind::Name(name) => {
                if let Some(local) = locals.iter().rev().find(|l| l.name == *name) {
                    return local.place.clone();
                }
                match self.subject.what {
                    What::Part(n) if *name == self.policy.binder.text => {
                        let (at, part) = &self.room.parts[n];
                        Some((*at, part.path.clone()))
                    }
                    _ => None,
                }
            }
            ExprKind::Member { base, name, .. } => deeper(base, name.text.to_string()),
            ExprKind::Index { base, index } => {
                let index = eval::eval(index, &self.names(locals)).ok()?;
                deeper(base, index.to_string())
            }
            ExprKind::Paren(inner) => self.place(inner, locals),
            ExprKind::Binary {
                op: crate::syntax::ast::BinaryOp::Coalesce,
                left,
                ..
            } => self.place(left, locals),
            _ => None,
        }
    }

    /// The place of an element of what a loop goes through.
    fn element(
        &self,
        source: &Expr,
        place: Option<&Place>,
        key: &Value,
        n: usize,
    ) -> Option<Place> {
        if let Some((body, path)) = place {
            let mut path = path.clone();
            path.push(key.to_string());
            return Some((*body, path));
        }
        let (Function::Planned, ty) = bodies_call(source)? else {
            return None;
        };
        self.room.nth(&ty, n)
    }
}

/// What the expressions of a rule see.
struct RuleNames<'n> {
    asked: &'n dyn RuleRoom,
    locals: &'n [Local],
}

/// What is known where a rule is asked, whatever its lifetimes are.
trait RuleRoom {
    fn named(&self, name: &str, span: Span) -> Evaluated;
    fn library(&self, library: &str, name: &str) -> Option<Evaluated>;
    fn taint(&self) -> Option<&dyn Taint>;
    fn bodies(&self, function: Function, value: &Value, ty: &SchemaId) -> Value;
}

impl RuleRoom for Asked<'_, '_, '_> {
    fn named(&self, name: &str, span: Span) -> Evaluated {
        match name {
            _ if *name == *self.policy.binder.text => Ok(self.subject.value.clone()),
            "it" => Ok(self.subject.it.clone()),
            _ => self.view().of_module(self.module, name, span),
        }
    }

    fn library(&self, library: &str, name: &str) -> Option<Evaluated> {
        self.view().of_library(self.module, library, name)
    }

    fn taint(&self) -> Option<&dyn Taint> {
        let taint = self.room.scene.memo.taint.as_deref();
        taint.filter(|taint| !taint.is_idle())
    }

    fn bodies(&self, function: Function, value: &Value, ty: &SchemaId) -> Value {
        match function {
            Function::Sources => Value::list(self.room.sources(value, ty)),
            Function::Earlier => Value::list(self.room.earlier(self.subject.node, ty)),
            list => self.room.list(list, ty),
        }
    }
}

impl<'p> Asked<'_, '_, 'p> {
    fn view(&self) -> View<'_, 'p> {
        self.room.scene.view(self.subject.node)
    }
}

impl eval::Scope for RuleNames<'_> {
    fn name(&self, name: &str, span: Span) -> Evaluated {
        match self.locals.iter().rev().find(|l| *l.name == *name) {
            Some(local) => Ok(local.value.clone()),
            None => self.asked.named(name, span),
        }
    }

    fn member(&self, base: &str, member: &str, _: Span) -> Option<Evaluated> {
        let bound = self.locals.iter().any(|l| *l.name == *base);
        (!bound).then(|| self.asked.library(base, member)).flatten()
    }

    fn taint(&self) -> Option<&dyn Taint> {
        self.asked.taint()
    }

    fn hook(&self, _: &str, _: &[Value]) -> Option<Evaluated> {
        None
    }

    fn fresh(&self, step: &Expr) -> Evaluated {
        Err(EvalError::new(step.span, "a policy reads nothing").into())
    }

    fn bodies(&self, function: Function, value: &Value, ty: &Expr) -> Option<Evaluated> {
        let ty = SchemaId::parse(&type_path(ty)?.0)?;
        Some(Ok(self.asked.bodies(function, value, &ty)))
    }
}

/// `planned(T)` or `found(T)`, taken apart.
fn bodies_call(expr: &Expr) -> Option<(Function, SchemaId)> {
    let ExprKind::Call { callee, args } = &*expr.kind else {
        return None;
    };
    let (ExprKind::Name(name), [ty]) = (&*callee.kind, &args[..]) else {
        return None;
    };
    let ty = SchemaId::parse(&type_path(&ty.value)?.0)?;
    Some((Function::by_name(name)?, ty))
}

fn schema_of(ty: &TypeExpr) -> Option<SchemaId> {
    match &ty.kind {
        TypeKind::Path(path) => {
            let words: Vec<&str> = path.iter().map(|n| &*n.text).collect();
            SchemaId::parse(&words.join("."))
        }
        _ => None,
    }
}
