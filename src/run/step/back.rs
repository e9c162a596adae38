//! How the calls of a step are taken back: told before they are made, as far as it is known then.

use serde_json::{Map, Value as Json};

use super::call;
use super::cx::Cx;
use super::settle::{Role, role};
use super::target::{self, Target};
use super::{Result, clauses, http, observe};
use crate::catalog::compare::Difference;
use crate::catalog::{Method, request};
use crate::journal::{Event, Reason, Undo};
use crate::syntax::ast::{self, Clause, Step};
use crate::syntax::walk;
use crate::wire::Request;

/// What takes back a call that an `ensure` makes: what the flow says, or else what comes by itself.
pub async fn of_ensure(cx: &Cx<'_>, step: &Step, natural: Option<Undo>) -> Result<Option<Undo>> {
    match clauses::undo(step) {
        _ if clauses::protects(step) => Ok(Some(Undo::Protected)),
        None | Some((_, ast::Undo::Delete)) => Ok(natural),
        Some((clause, undo)) => declared(cx, step, clause, undo).await,
    }
}

/// What takes back a `call`: nothing, unless the flow says so.
pub async fn of_call(
    cx: &Cx<'_>,
    step: &Step,
    target: &Target,
    method: &Method,
    sent: &Request,
) -> Result<Option<Undo>> {
    match clauses::undo(step) {
        _ if clauses::protects(step) => Ok(Some(Undo::Protected)),
        None => Ok(None),
        Some((_, ast::Undo::Delete)) => Ok(observe::read_back(target, method, Some(sent))
            .and_then(|get| deletion(target, method, get))),
        Some((clause, undo)) => declared(cx, step, clause, undo).await,
    }
}

/// What takes back an `http` step.
pub async fn of_http(cx: &Cx<'_>, step: &Step) -> Result<Option<Undo>> {
    match clauses::undo(step) {
        Some((clause, undo)) => declared(cx, step, clause, undo).await,
        None => Ok(None),
    }
}

/// The deletion of what an insert creates: `get` reads it.
fn deletion(target: &Target, method: &Method, get: Request) -> Option<Undo> {
    let collection = target.collection.as_ref()?;
    let delete = collection.delete.as_ref()?;
    let mut args = super::operation::args_of(collection.get.as_ref()?, &get);
    args.extend(target.args_for(delete));
    args.retain(|name, _| delete.param(name).is_some() || delete.parts().contains(name));
    (role(method, Some(collection)) == Role::Insert).then_some(())?;
    let delete = request::build(delete, &args, None).ok()?;
    Some(Undo::Delete { get, delete })
}

/// What the flow says, unless it depends on the step's own result.
async fn declared(
    cx: &Cx<'_>,
    step: &Step,
    clause: &Clause,
    undo: &ast::Undo,
) -> Result<Option<Undo>> {
    match looks_at_result(step, clause) {
        true => Ok(None),
        false => resolved(cx, undo).await,
    }
}

fn looks_at_result(step: &Step, clause: &Clause) -> bool {
    let mut looks = false;
    walk::clause(clause, &mut |r| looks |= r.name == &*step.name.text);
    looks
}

/// What is known only now that the step has its result: the last event before its end.
pub async fn with_result(cx: &Cx<'_>, step: &Step) -> Result<Option<Event>> {
    let Some((clause, undo)) = clauses::undo(step) else {
        return Ok(None);
    };
    if cx.calls_made() == 0 || cx.planning() || !looks_at_result(step, clause) {
        return Ok(None);
    }
    Ok(resolved(cx, undo).await?.map(|undo| Event::Undo {
        address: cx.address.clone(),
        call: cx.newest_call(),
        undo: Box::new(undo),
    }))
}

async fn resolved(cx: &Cx<'_>, undo: &ast::Undo) -> Result<Option<Undo>> {
    let request = match undo {
        ast::Undo::Delete => return Ok(None),
        ast::Undo::Http(call) => http::request(cx, call).await?,
        ast::Undo::Call(call) => {
            let target = target::resolve(cx, call, None).await?;
            let Some(method) = target.method.clone() else {
                return Err(cx.failure(Reason::Flow, "`undo call` needs a method"));
            };
            let body = call::body(cx, call, &method, None).await?;
            request::build(&method, &target.strict_args_for(&method), body)
                .map_err(|p| target::problems(cx, call, &p))?
        }
    };
    Ok(Some(Undo::Request { request }))
}

/// The values that the fields had which a write changes: down to whole lists, as the write itself;
/// null where there was none.
pub fn fields_before(wanted: &Json, found: &Json, differences: &[Difference]) -> Json {
    part_before(wanted, found, "", differences)
}

fn part_before(wanted: &Json, found: &Json, path: &str, differences: &[Difference]) -> Json {
    let Json::Object(all) = wanted else {
        return found.clone();
    };
    let mut part = Map::new();
    for (name, value) in all {
        let inner = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let below = |d: &Difference| {
            let rest = d.path.strip_prefix(inner.as_str());
            rest.is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        let before = found.get(name).unwrap_or(&Json::Null);
        if differences.iter().any(|d| d.path == inner) {
            part.insert(name.clone(), before.clone());
        } else if differences.iter().any(below) {
            part.insert(
                name.clone(),
                part_before(value, before, &inner, differences),
            );
        }
    }
    Json::Object(part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fields_before_are_those_that_a_write_changes() {
        let found =
            json!({ "a": 1, "b": { "c": [1], "d": 2 }, "labels": { "role": "old", "other": "x" } });
        let wanted =
            json!({ "a": 2, "b": { "c": [1, 2], "d": 2 }, "labels": { "role": "new" }, "e": true });
        let difference = |path: &str| Difference {
            path: path.into(),
            wanted: Json::Null,
            found: Json::Null,
        };
        let differences = ["a", "b.c[1]", "labels.role", "e"].map(difference);
        assert_eq!(
            fields_before(&wanted, &found, &differences),
            json!({ "a": 1, "b": { "c": [1] }, "labels": { "role": "old" }, "e": null })
        );
    }
}
