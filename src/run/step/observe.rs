//! Looks at the target of a call: before it, and what reads it afterwards.

use std::sync::Arc;

use serde_json::Value as Json;

use super::cx::{Cx, known};
use super::settle::{self, Role, role};
use super::target::{self, Target};
use super::{Result, clauses};
use crate::catalog::{Method, request};
use crate::syntax::ast::{ApiCall, Step};
use crate::value::Value;
use crate::wire::Request;

/// What a look at the target brought.
pub enum Look {
    NotNeeded,
    Absent,
    Found(Json),
    /// Only the run can look.
    Later,
}

impl Look {
    pub fn it(&self) -> Option<Value> {
        match self {
            Look::NotNeeded => None,
            Look::Absent => Some(Value::Null),
            Look::Found(json) => Some(Value::from_json(json)),
            Look::Later => Some(Value::later("it")),
        }
    }
}

/// Looks at the target when the step's text asks for it, or when settling may need it.
pub async fn observe_for(
    cx: &Cx<'_>,
    step: &Step,
    call: &ApiCall,
    target: &Target,
) -> Result<Look> {
    if !uses_it(step, call) && !settles_by_version(target) {
        return Ok(Look::NotNeeded);
    }
    if !target.known() {
        return Ok(Look::Later);
    }
    match target.get() {
        None => Ok(Look::NotNeeded),
        Some(Err(_)) => Ok(Look::NotNeeded),
        Some(Ok(get)) if cx.will_have_changed(&get) => Ok(Look::Later),
        Some(Ok(get)) => {
            let found = cx.observe(&get).await?;
            Ok(found.map_or(Look::Absent, Look::Found))
        }
    }
}

/// Deletes compare the incarnation, and writes the version, when an answer is lost.
fn settles_by_version(target: &Target) -> bool {
    target.method.as_ref().is_some_and(|m| {
        matches!(
            role(m, target.collection.as_deref()),
            Role::Delete | Role::Write
        )
    })
}

fn uses_it(step: &Step, call: &ApiCall) -> bool {
    let mut used = clauses::unless(step).is_some() || clauses::requires(step).next().is_some();
    let mut look = |r: crate::syntax::walk::Reference<'_>| used |= r.name == "it";
    if let Some(object) = &call.body {
        crate::syntax::walk::object(object, &mut look);
    }
    used |= call.args.iter().any(|a| target::uses_it(&a.value));
    used
}

/// What the intent keeps of the target: its incarnation and version, and the newest operation where
/// operations can only be told by time.
pub async fn before(cx: &Cx<'_>, target: &Target, found: Option<&Json>) -> Result<Json> {
    let sql = target
        .collection
        .as_ref()
        .is_some_and(|c| &*c.service == "sqladmin");
    let newest = match super::look::newest_operations(cx, &target.args).filter(|_| sql) {
        Some(list) => match cx.read(&list).await? {
            Ok(json) => json
                .pointer("/items/0/name")
                .and_then(Json::as_str)
                .map(str::to_owned),
            Err(_) => None,
        },
        None => None,
    };
    let principal = cx.shared.principal.borrow().clone();
    Ok(settle::before(found, newest, principal))
}

/// The request that reads what the call left: for an insert the resource of the name in its body.
pub fn read_back(target: &Target, method: &Method, sent: Option<&Request>) -> Option<Request> {
    let collection = target.collection.as_ref()?;
    let get = collection.get.as_ref()?;
    let mut args = target.args_for(get);
    if role(method, Some(collection)) == Role::Insert
        && let Some(id) = &collection.id
        && !args.contains_key(id)
    {
        let name = sent?.body.as_ref()?.get("name")?.as_str()?;
        args.insert(Arc::clone(id), Value::str(name));
    }
    args.values().all(known).then_some(())?;
    request::build(get, &args, None).ok()
}
