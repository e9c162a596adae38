//! How the calls of a step are taken back: told before they are made, as far as it is known then.

use serde_json::{Map, Value as Json};

use super::call;
use super::cx::Cx;
use super::settle::{Role, role};
use super::target::{self, Target};
use super::{Result, clauses, http, observe};
use crate::catalog::compare::Difference;
use crate::catalog::{Catalog, Kind, Method, Schema, SchemaId, request};
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
pub fn fields_before(
    catalog: &Catalog,
    resource: &SchemaId,
    wanted: &Json,
    found: &Json,
    differences: &[Difference],
) -> Json {
    let before = Before {
        catalog,
        differences,
    };
    before.part(&Kind::Schema(resource.clone()), wanted, found, "")
}

struct Before<'a> {
    catalog: &'a Catalog,
    differences: &'a [Difference],
}

impl Before<'_> {
    fn part(&self, kind: &Kind, wanted: &Json, found: &Json, path: &str) -> Json {
        let Json::Object(all) = wanted else {
            return found.clone();
        };
        // An entry that was not there goes as a whole: what would be left of it is none.
        let entries = matches!(kind, Kind::Map(_));
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
            let differs = self.differences.iter().any(|d| d.path == inner);
            let differs_below = self.differences.iter().any(below);
            if differs || differs_below && entries && before.is_null() {
                part.insert(name.clone(), before.clone());
            } else if differs_below {
                let kind = self.kind_below(kind, name);
                part.insert(name.clone(), self.part(&kind, value, before, &inner));
            }
        }
        Json::Object(part)
    }

    fn kind_below(&self, kind: &Kind, name: &str) -> Kind {
        let field = |schema: &Schema| schema.field(name).map(|f| f.kind.clone());
        let below = match kind {
            Kind::Map(entry) => Some((**entry).clone()),
            Kind::Inline(schema) => field(schema),
            Kind::Schema(id) => self.catalog.schema(id).and_then(|schema| field(&schema)),
            _ => None,
        };
        below.unwrap_or(Kind::Any)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fields_before_are_those_that_a_write_changes() {
        let autoscaler = SchemaId::new("compute", "Autoscaler");
        let found = json!({ "autoscalingPolicy": {
            "minNumReplicas": 1, "maxNumReplicas": 9, "scalingSchedules": { "old": { "schedule": "1", "durationSec": 5 } },
            "customMetricUtilizations": [{ "metric": "a" }],
        }, "description": "d" });
        let entry = json!({ "schedule": "2", "durationSec": 6 });
        let wanted = json!({ "autoscalingPolicy": {
            "minNumReplicas": 2, "scalingSchedules": { "old": { "schedule": "2" }, "new": entry },
            "customMetricUtilizations": [{ "metric": "b" }], "coolDownPeriodSec": 60,
            "cpuUtilization": { "utilizationTarget": 0.5 },
        }, "description": "d" });
        let differences = [
            "minNumReplicas",
            "scalingSchedules.old.schedule",
            "scalingSchedules.new.schedule",
            "scalingSchedules.new.durationSec",
            "customMetricUtilizations[0].metric",
            "coolDownPeriodSec",
            "cpuUtilization.utilizationTarget",
        ]
        .map(|path| Difference {
            path: format!("autoscalingPolicy.{path}"),
            wanted: Json::Null,
            found: Json::Null,
        });
        assert_eq!(
            fields_before(
                &Catalog::embedded(),
                &autoscaler,
                &wanted,
                &found,
                &differences
            ),
            json!({ "autoscalingPolicy": {
                "minNumReplicas": 1, "scalingSchedules": { "old": { "schedule": "1" }, "new": null },
                "customMetricUtilizations": [{ "metric": "a" }], "coolDownPeriodSec": null,
                "cpuUtilization": { "utilizationTarget": null },
            } })
        );
    }
}
