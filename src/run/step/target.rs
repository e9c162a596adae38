//! What a step addresses: method, arguments, identity, the request that reads the resource.

use std::sync::Arc;

use super::Result;
use super::cx::{Cx, Halt};
use crate::catalog::address::{self, Args};
use crate::catalog::traffic::{Domain, Parts};
use crate::catalog::{Catalog, Collection, Method, Problem, ProblemPlace, request};
use crate::eval::{self, EvalError};
use crate::journal::Reason;
use crate::source::Span;
use crate::syntax::ast::{self, ActionKind, ApiCall, Field, Key};
use crate::syntax::walk;
use crate::value::Value;
use crate::wire::Request;

/// The parameters that `at` may give.
const LOCATIONS: [&str; 4] = ["project", "region", "zone", "location"];

/// A collection or a method of the catalogue with the arguments of one step.
pub struct Target {
    pub collection: Option<Arc<Collection>>,
    /// The method that the path names; `None` when it names a collection.
    pub method: Option<Arc<Method>>,
    pub args: Args,
}

pub fn path_text(path: &[ast::Name]) -> String {
    path.iter().map(|n| &*n.text).collect::<Vec<_>>().join(".")
}

/// Resolves the path of a call and evaluates its arguments.
pub async fn resolve(cx: &Cx<'_>, call: &ApiCall, it: Option<&Value>) -> Result<Target> {
    let path = path_text(&call.path);
    let catalog = &cx.shared.catalog;
    let span = call
        .path
        .first()
        .map_or(call.args_span, |n| n.span)
        .to(call.args_span);
    let method = catalog.method(&path);
    let collection = match &method {
        Some(method) => catalog.collection(&method.collection),
        None => catalog.collection(&path),
    };
    if method.is_none() && collection.is_none() {
        let error = EvalError::new(span, format!("the catalogue has no `{path}`"));
        return Err(cx.flow_error(&error));
    }
    let mut args = Args::new();
    for (position, arg) in call.args.iter().enumerate() {
        // These are evaluated again when the resource has been read.
        if it.is_none() && uses_it(&arg.value) {
            continue;
        }
        let value = cx.eval(&arg.value, it).await?;
        let name = match (&arg.name, &*arg.value.kind) {
            (Some(name), _) => Arc::clone(&name.text),
            // `compute.addresses(name, region)`: behind the id a bare name stands for itself.
            (None, ast::ExprKind::Name(name)) if position > 0 => Arc::clone(name),
            (None, _) => positional(method.as_deref(), collection.as_deref()).ok_or_else(|| {
                cx.flow_error(&EvalError::new(
                    arg.value.span,
                    "this parameter needs its name",
                ))
            })?,
        };
        if value != Value::Unset {
            args.insert(name, value);
        }
    }
    defaults(cx, &mut args, it).await?;
    Ok(Target {
        collection,
        method,
        args,
    })
}

/// Whether an expression looks at the resource that its step addresses.
pub fn uses_it(expr: &ast::Expr) -> bool {
    let mut used = false;
    walk::expr(expr, &mut |r| used |= r.name == "it");
    used
}

/// The parameter that a positional argument is for.
fn positional(method: Option<&Method>, collection: Option<&Collection>) -> Option<Arc<str>> {
    let id = collection.and_then(|c| c.id.clone());
    match method {
        Some(method) => id
            .filter(|id| method.param(id).is_some() || method.parts().contains(id))
            .or_else(|| method.path_params().last().map(|p| Arc::clone(&p.name))),
        None => id,
    }
}

/// Fills location parameters from the `at` statements around the step, the innermost first.
async fn defaults(cx: &Cx<'_>, args: &mut Args, it: Option<&Value>) -> Result<()> {
    let found = cx
        .with_view(it, |view| {
            let graph = cx.shared.graph.borrow();
            let flow = graph.flow_of(cx.scope);
            let mut found = Args::new();
            for block in flow.ancestry(graph.scope(cx.scope).block) {
                for field in flow.block(block).at.iter().flat_map(|at| &at.fields) {
                    if let Field::Pair {
                        key: Key::Name(name),
                        value,
                        ..
                    } = field
                        && LOCATIONS.contains(&&*name.text)
                        && !args.contains_key(&name.text)
                        && !found.contains_key(&name.text)
                    {
                        found.insert(Arc::clone(&name.text), eval::eval(value, view)?);
                    }
                }
            }
            Ok(found)
        })
        .await?;
    args.extend(found);
    Ok(())
}

impl Target {
    /// The arguments that a method takes; the others belong to its neighbours.
    pub fn args_for(&self, method: &Method) -> Args {
        address::args_for(method, &self.args)
    }

    /// Arguments that a method needs as they are: unknown ones are the author's mistake.
    pub fn strict_args_for(&self, method: &Method) -> Args {
        let parts = method.parts();
        self.args
            .iter()
            .filter(|(name, _)| {
                !LOCATIONS.contains(&&***name)
                    || method.param(name).is_some()
                    || parts.contains(name)
            })
            .map(|(name, value)| (Arc::clone(name), value.clone()))
            .collect()
    }

    /// The request that reads the resource, when the collection can be read and the identity is known.
    /// What a recorded request was about.
    pub fn of_request(catalog: &Catalog, method: &Arc<Method>, sent: &Request) -> Target {
        Target {
            collection: catalog.collection(&method.collection),
            method: Some(Arc::clone(method)),
            args: super::operation::args_of(method, sent),
        }
    }

    pub fn get(&self) -> Option<std::result::Result<Request, Vec<Problem>>> {
        let get = self.collection.as_ref()?.get.as_ref()?;
        Some(request::build(get, &self.args_for(get), None))
    }

    /// What the scheduler serialises: the resource itself, and the domains of the catalogue.
    pub async fn domains(&self, cx: &Cx<'_>, call: &ApiCall) -> Result<Vec<Domain>> {
        let body = match &call.body {
            Some(object) if self.parts().need_body() => {
                Some(cx.object(object, Some(&Value::later("it"))).await?)
            }
            _ => None,
        };
        Ok(self.domains_with(&cx.address, body.as_ref()))
    }

    /// The same, for a body that is known.
    pub fn domains_with(&self, address: &str, body: Option<&Value>) -> Vec<Domain> {
        let mut domains = self.parts().domains(body);
        domains.extend(self.own_domain(address));
        domains.sort();
        domains
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            collection: self.collection.as_deref(),
            method: self.method.as_deref(),
            args: &self.args,
        }
    }

    /// One resource takes one change at a time.
    fn own_domain(&self, address: &str) -> Option<Domain> {
        let collection = self.collection.as_ref()?;
        let text = |name: &str| {
            self.args
                .get(name)
                .map(Value::to_string)
                .unwrap_or_default()
        };
        let mut parts: Vec<String> = LOCATIONS.iter().map(|p| text(p)).collect();
        parts.extend(collection.identity.iter().map(|p| text(&p.name)));
        // A resource whose name stands in the body only is nobody else's target.
        if parts[LOCATIONS.len()..].iter().any(String::is_empty) {
            parts.push(address.to_owned());
        }
        Some(Domain::new(&collection.path, &parts))
    }

    /// Whether every argument is known already.
    pub fn known(&self) -> bool {
        self.args.values().all(super::cx::known)
    }
}

/// The failure of a request that cannot be built, pointing at the argument or field.
pub fn problems(cx: &Cx<'_>, call: &ApiCall, found: &[Problem]) -> Halt {
    let Some(first) = found.first() else {
        return cx.failure(Reason::Flow, "the request cannot be built");
    };
    let span = match &first.place {
        ProblemPlace::Param(name) => call
            .args
            .iter()
            .find(|a| a.name.as_ref().is_some_and(|n| n.text == *name))
            .map_or(call.args_span, |a| a.value.span),
        ProblemPlace::Field(path) => field_span(call, path).unwrap_or(call.args_span),
    };
    let mut error = EvalError::new(span, first.message.clone());
    if found.len() > 1 {
        let more: Vec<&str> = found[1..].iter().map(|p| p.message.as_str()).collect();
        error = error.help(format!("besides: {}", more.join("; ")));
    }
    cx.flow_error(&error)
}

/// The place of a body's field, as deep as the flow writes it out.
fn field_span(call: &ApiCall, path: &str) -> Option<Span> {
    let mut object = call.body.as_ref()?;
    let mut found = None;
    for part in path.split(['.', '[']) {
        let part = part.trim_end_matches(']');
        let value = object.fields.iter().find_map(|f| match f {
            Field::Pair {
                key: Key::Name(name),
                value,
                ..
            } if &*name.text == part => Some((name.span, value)),
            _ => None,
        });
        let Some((span, value)) = value else { break };
        found = Some(span.to(value.span));
        match &*value.kind {
            ast::ExprKind::Object(inner) => object = inner,
            _ => break,
        }
    }
    found
}

/// Remembers how the resource of a finished step is read, for `fresh` and `wait`.
pub fn remember(cx: &Cx<'_>, step: &ast::Step) {
    let (ActionKind::Read(call) | ActionKind::Ensure(call) | ActionKind::Call(call)) =
        &step.action.kind
    else {
        return;
    };
    // Everything it needs is recorded already, so this resolves at its first poll.
    let mut future = Box::pin(resolve(cx, call, None));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    if let std::task::Poll::Ready(Ok(target)) = future.as_mut().poll(&mut context)
        && let Some(Ok(request)) = target.get()
    {
        if super::clauses::protects(step) {
            let mut protected = cx.shared.protected.borrow_mut();
            protected.insert(request.line(), Arc::clone(&cx.address));
        }
        keep(cx, request);
    }
}

pub fn keep(cx: &Cx<'_>, request: Request) {
    let mut resources = cx.shared.resources.borrow_mut();
    resources.insert(Arc::clone(&cx.address), request);
}
