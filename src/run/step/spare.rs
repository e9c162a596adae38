//! What must not be deleted: what the flow protects, and everything in a protected environment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Result;
use super::cx::Cx;
use super::settle::{Role, role};
use crate::catalog::Method;
use crate::journal::Reason;
use crate::syntax::ast::Step;
use crate::wire::{Request, Verb};

/// Holds for the resource that `get` reads, from now on: no step of the run removes it.
pub fn protect(cx: &Cx<'_>, step: &Step, get: &Request) -> Result<()> {
    if !super::clauses::protects(step) {
        return Ok(());
    }
    note(&mut cx.shared.protected.borrow_mut(), get, &cx.address);
    let remover = cx.shared.removed.borrow().get(&get.line()).cloned();
    match remover {
        Some(remover) => Err(cx.failure_with_help(
            Reason::Flow,
            format!("`{remover}` deletes what this step protects"),
            "remove `protect`, or the step that deletes",
        )),
        None => Ok(()),
    }
}

/// Whether a step may remove what `get` reads. A plan asks too, so that it shows before anything is
/// done.
pub fn removal(cx: &Cx<'_>, method: &Method, get: Option<&Request>) -> Result<()> {
    let Some(get) = get.filter(|_| destroys(cx, method)) else {
        return Ok(());
    };
    note(&mut cx.shared.removed.borrow_mut(), get, &cx.address);
    let owner = cx.shared.protected.borrow().get(&get.line()).cloned();
    match owner.filter(|owner| *owner != cx.address) {
        Some(owner) => Err(cx.failure_with_help(
            Reason::Flow,
            format!("`{}` would delete what `{owner}` protects", method.id),
            format!("remove `protect` from `{owner}`, or this step"),
        )),
        None => Ok(()),
    }
}

fn note(all: &mut BTreeMap<String, Arc<str>>, get: &Request, address: &Arc<str>) {
    all.insert(get.line(), Arc::clone(address));
}

/// Whether a change may be made, now that it is about to be.
pub fn destruction(cx: &Cx<'_>, method: &Method, get: Option<&Request>) -> Result<()> {
    removal(cx, method, get)?;
    match destroys(cx, method) {
        true => consented(cx, &method.id),
        false => Ok(()),
    }
}

/// A request that is none of Google's API.
pub fn http_destruction(cx: &Cx<'_>, request: &Request) -> Result<()> {
    match request.verb {
        Verb::Delete => consented(cx, "http DELETE"),
        _ => Ok(()),
    }
}

fn consented(cx: &Cx<'_>, what: &str) -> Result<()> {
    let Some(environment) = &cx.shared.settings.spares else {
        return Ok(());
    };
    Err(cx.failure_with_help(
        Reason::Decision,
        format!("`{environment}` is protected, and nobody has agreed that `{what}` removes something in it"),
        format!("say so: `--destroy {environment}`"),
    ))
}

fn destroys(cx: &Cx<'_>, method: &Method) -> bool {
    let collection = cx.shared.catalog.collection(&method.collection);
    role(method, collection.as_deref()) == Role::Delete || method.destroys()
}
