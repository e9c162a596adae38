//! `ensure`: converge one resource.

use std::cell::Cell;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::super::edit::hidden_changes;
use super::super::plan_item::PlanAction;
use super::act::{self, Change, Changed, perform};
use super::cx::{Attempts, Cx, Stepped};
use super::edited::Edit;
use super::settle::{self, Role, role};
use super::target::{self, Target};
use super::write::{add_preconditions, changed_part, merged, writable};
use super::{Result, again, back, clauses, marks, observe, spare, wait};
use crate::catalog::compare::{Comparison, Difference};
use crate::catalog::{Collection, Kind, Method, SchemaId, address, coerce, compare, request};
use crate::journal::{Origin, Reason, Undo, Verdict};
use crate::syntax::ast::{ApiCall, Decision, OnOutcome, Step};
use crate::value::Value;
use crate::wire::Request;
use crate::wire::error::ErrorClass;
use crate::world::Timestamp;

/// How often a resource is created or written before the step tells that it has no effect.
const WRITES: u32 = 4;

/// What there is to do.
enum Todo {
    Adopt,
    /// It is absent, and the flow leaves it so.
    Leave,
    Insert,
    Write(Comparison),
    Replace(Comparison),
}

pub async fn ensure<'p>(cx: &Cx<'p>, step: &'p Step, call: &'p ApiCall) -> Result<Stepped> {
    let deadline = cx.deadline(step).await?;
    let target = target::resolve(cx, call, None).await?;
    let Some(collection) = target.collection.clone() else {
        return Err(cx.failure(Reason::Flow, "`ensure` needs a collection"));
    };
    let Some(resource) = collection.resource.clone() else {
        return Err(cx.failure(
            Reason::Flow,
            format!("`{}` keeps no resource", collection.path),
        ));
    };
    let ensuring = Ensuring {
        cx,
        step,
        call,
        target,
        collection,
        resource,
        deadline,
        made_anew: false.into(),
        removed: false.into(),
        edit: Edit::of(cx, step).await?,
    };
    ensuring.removed.set(ensuring.removed_before());
    ensuring.converge().await
}

struct Ensuring<'a, 'p> {
    cx: &'a Cx<'p>,
    step: &'p Step,
    call: &'p ApiCall,
    target: Target,
    collection: Arc<Collection>,
    resource: SchemaId,
    deadline: Timestamp,
    /// Whether the newest call created the resource, which may then take a moment to show.
    made_anew: Cell<bool>,
    /// Whether this step deleted the resource in order to create it anew.
    removed: Cell<bool>,
    edit: Edit,
}

impl<'p> Ensuring<'_, 'p> {
    async fn converge(mut self) -> Result<Stepped> {
        let cx = self.cx;
        if !self.target.known() {
            let wanted = self.wanted(Some(&Value::later("it"))).await?;
            return Ok(cx.planned(PlanAction::Undecided, self.insert_request(wanted).ok()));
        }
        let get = self.get()?;
        target::keep(cx, get.clone());
        spare::protect(cx, self.step, &get)?;
        if cx.will_have_changed(&get) {
            let wanted = self.wanted(Some(&Value::later("it"))).await?;
            return Ok(cx.planned(PlanAction::Update, self.patch_like(wanted)));
        }
        let lock = cx.lock(self.target.domains(cx, self.call).await?).await;
        self.deadline = cx.deadline(self.step).await?;
        let mut verdict = Verdict::Adopted;
        if let Some(open) = cx.open_call() {
            let was = self.verdict_of(&open.intent().request);
            let earlier = cx.is_earlier(&open);
            let target = match earlier {
                true => settle::reads_target(&cx.shared.catalog, &open.intent().request),
                false => Some(get.clone()),
            };
            let same = target.as_ref() == Some(&get);
            match act::resume_call(cx, Some(self.step), open, target, self.deadline).await? {
                Changed::Done { .. } if !same => {}
                Changed::Done { origin, .. } => {
                    self.removed
                        .set(self.removed.get() || was == Verdict::Replaced);
                    verdict = proven(was, origin, verdict);
                }
                Changed::Refused(_) if earlier => {}
                Changed::Refused(error) if error.class == ErrorClass::AlreadyExists => {}
                Changed::Refused(error) => {
                    let method = self.method_like(&was);
                    let mut refusals = Attempts::default();
                    again::forgive(cx, &error, self.tried(&method), &mut refusals).await?;
                }
                Changed::Stale => {}
            }
        }
        verdict = self.earlier(verdict);
        let mut refusals = Attempts::default();
        let mut retries = None;
        let (mut writes, mut creations) = (0, 0);
        loop {
            let made =
                matches!(verdict, Verdict::Created | Verdict::Presumed) || self.made_anew.get();
            let found = wait::settled_read(cx, &get, made).await?;
            let it = found.as_ref().map_or(Value::Null, Value::from_json);
            let wanted = self.wanted(Some(&it)).await?;
            let todo = self.todo(&wanted, found.as_ref())?;
            if cx.planning() {
                cx.saw(&it);
                return self.planned(todo, wanted, found, it);
            }
            if let Todo::Leave = todo {
                return Ok(Stepped::Skipped);
            }
            if let Todo::Adopt = todo {
                drop(lock);
                return wait::until(cx, self.step, it, Some(&get), verdict).await;
            }
            if let (Todo::Write(comparison) | Todo::Replace(comparison), WRITES..) = (&todo, writes)
            {
                return Err(self.differs(
                    &comparison.differences,
                    "the API took what the flow wrote and shows something else: write these fields as it shows \
                     them, or leave them out",
                ));
            }
            let late = creations > 0 && cx.now() >= self.deadline;
            if matches!(todo, Todo::Insert) && (late || creations >= WRITES) {
                return Err(self.vanished(creations));
            }
            if let Some(condition) = clauses::unless(self.step)
                && cx.condition(condition, Some(&it)).await? == Some(true)
            {
                return Ok(Stepped::Done(Verdict::Adopted, it));
            }
            act::require(cx, self.step, Some(&it)).await?;
            match self.act(&todo, wanted, found.as_ref(), &get).await? {
                (Changed::Done { origin, .. }, how) => {
                    self.edit.is_written();
                    refusals = Attempts::default();
                    let created = matches!(todo, Todo::Insert);
                    self.made_anew.set(created);
                    self.removed
                        .set(self.removed.get() || matches!(todo, Todo::Replace(_)));
                    writes += u32::from(!created);
                    creations += u32::from(created);
                    verdict = proven(how, origin, verdict);
                }
                (Changed::Stale, _) => {}
                (Changed::Refused(error), how)
                    if matches!(todo, Todo::Insert) && error.class == ErrorClass::AlreadyExists =>
                {
                    if refusals.failed(cx.now()).0 >= 3 {
                        let method = self.method_like(&how);
                        let like = request::build(&method, &self.target.args_for(&method), None);
                        let like = like.unwrap_or_else(|_| get.clone());
                        return Err(cx.api_failure(error, &like));
                    }
                }
                // Somebody else was faster: what was to be deleted is gone.
                (Changed::Refused(error), _)
                    if matches!(todo, Todo::Replace(_)) && error.class == ErrorClass::NotFound => {}
                (Changed::Refused(error), how) => {
                    let method = self.method_like(&how);
                    let forgiven =
                        again::forgive(cx, &error, self.tried(&method), &mut refusals).await;
                    if let Err(halt) = forgiven {
                        again::retry(cx, self.step, &mut retries, halt).await?;
                    }
                }
            }
        }
    }

    fn tried<'t>(&'t self, method: &'t Method) -> again::Tried<'t> {
        again::Tried {
            method,
            target: &self.target,
            deadline: self.deadline,
        }
    }

    /// The API took every creation, and shows nothing.
    fn vanished(&self, creations: u32) -> super::cx::Halt {
        self.cx.failure_with_help(
            Reason::Failed,
            format!(
                "`{}` was created {creations} times, says the API, and is not there",
                self.collection.path
            ),
            "check the endpoint, and who removes it again; then `r5flow resume`",
        )
    }

    /// A change whose extent only the run can tell.
    fn patch_like(&self, wanted: Json) -> Option<Request> {
        let method = self
            .collection
            .patch
            .as_ref()
            .or(self.collection.update.as_ref())?;
        self.request(method, Some(wanted)).ok()
    }

    fn get(&self) -> Result<Request> {
        match self.target.get() {
            Some(Ok(get)) => Ok(get),
            Some(Err(found)) => Err(target::problems(self.cx, self.call, &found)),
            None => Err(self.cx.failure(
                Reason::Flow,
                format!(
                    "`{}` cannot be read, so it cannot be ensured",
                    self.collection.path
                ),
            )),
        }
    }

    /// The fields that the flow writes, as the API writes them.
    async fn wanted(&self, it: Option<&Value>) -> Result<Json> {
        let value = match &self.call.body {
            Some(object) => self.cx.object(object, it).await?,
            None => Value::map(Default::default()),
        };
        coerce::body(&self.cx.shared.catalog, &self.resource, &value)
            .map_err(|p| target::problems(self.cx, self.call, &p))
    }

    fn todo(&self, wanted: &Json, found: Option<&Json>) -> Result<Todo> {
        let cx = self.cx;
        let path = &self.collection.path;
        let Some(found) = found else {
            let decision = clauses::decision(self.step, OnOutcome::Absent);
            if decision == Some(Decision::Continue) && !self.removed.get() {
                return Ok(Todo::Leave);
            }
            let stops = clauses::decision(self.step, OnOutcome::Absent) == Some(Decision::Stop)
                && !self.removed.get();
            return if stops || !self.collection.can_ensure() {
                Err(cx.failure(
                    Reason::Failed,
                    format!("there is no such resource in `{path}`"),
                ))
            } else {
                Ok(Todo::Insert)
            };
        };
        let comparison = self.compare(wanted, found);
        if self.edit.remade.get() {
            return Ok(Todo::Replace(comparison));
        }
        if comparison.differences.is_empty() {
            return Ok(Todo::Adopt);
        }
        let writable = self.collection.patch.is_some() || self.collection.update.is_some();
        match clauses::decision(self.step, OnOutcome::Change) {
            Some(Decision::Stop) => {
                Err(self.differs(&comparison.differences, "the flow says `on change stop`"))
            }
            Some(Decision::Replace) => Ok(Todo::Replace(comparison)),
            _ if !writable => Err(self.differs(
                &comparison.differences,
                "it cannot be changed; choose another name, or say `on change replace`",
            )),
            _ => Ok(Todo::Write(comparison)),
        }
    }

    fn compare(&self, wanted: &Json, found: &Json) -> Comparison {
        let mut wanted = wanted.clone();
        drop_created_only(&self.resource, &mut wanted, found);
        let catalog = &self.cx.shared.catalog;
        let mut compared =
            compare::compare(catalog, &self.resource, &wanted, found, &Default::default());
        if let Some(written) = &*self.edit.written.borrow() {
            let hidden = hidden_changes(written, &wanted, &compared.not_comparable);
            compared
                .differences
                .extend(hidden.into_iter().map(|f| Difference {
                    path: f.path,
                    wanted: f.new,
                    found: f.old,
                }));
        }
        self.cx.shared.conceal(&compared.differences);
        compared
    }

    fn differs(&self, differences: &[Difference], help: &str) -> super::cx::Halt {
        let list: Vec<String> = differences
            .iter()
            .take(8)
            .map(|d| format!("`{}` is {}, the flow wants {}", d.path, d.found, d.wanted))
            .collect();
        self.cx.failure_with_help(
            Reason::Failed,
            format!("what is there differs: {}", list.join("; ")),
            help,
        )
    }

    fn planned(&self, todo: Todo, wanted: Json, found: Option<Json>, it: Value) -> Result<Stepped> {
        let cx = self.cx;
        let notes = |comparison: &Comparison| {
            comparison
                .not_comparable
                .iter()
                .map(|field| format!("`{field}` is never shown by the API, so it is not compared"))
                .collect::<Vec<_>>()
        };
        match todo {
            Todo::Adopt => {
                let comparison = self.compare(&wanted, found.as_ref().unwrap_or(&Json::Null));
                cx.plan(PlanAction::Adopt, None, Vec::new(), notes(&comparison));
                Ok(Stepped::Done(Verdict::Adopted, it))
            }
            Todo::Leave => {
                cx.plan(PlanAction::Skip, None, Vec::new(), Vec::new());
                Ok(Stepped::Skipped)
            }
            Todo::Insert => {
                cx.would_change(&self.get()?);
                Ok(cx.planned(PlanAction::Create, Some(self.insert_request(wanted)?)))
            }
            Todo::Write(comparison) => {
                let notes = notes(&comparison);
                let (_, request) = self.write_request(&wanted, found.as_ref(), &comparison)?;
                cx.would_change(&self.get()?);
                cx.plan(
                    PlanAction::Update,
                    Some(request),
                    comparison.differences,
                    notes,
                );
                Ok(cx.later())
            }
            Todo::Replace(comparison) => {
                let notes = notes(&comparison);
                let request = self.insert_request(wanted)?;
                if let Some(delete) = &self.collection.delete {
                    spare::removal(cx, delete, Some(&self.get()?))?;
                }
                cx.plan(
                    PlanAction::Replace,
                    Some(request),
                    comparison.differences,
                    notes,
                );
                Ok(cx.later())
            }
        }
    }

    async fn act(
        &self,
        todo: &Todo,
        wanted: Json,
        found: Option<&Json>,
        get: &Request,
    ) -> Result<(Changed, Verdict)> {
        let (method, request, verdict, undo) = match todo {
            Todo::Insert => {
                let method = self.need(&self.collection.insert, "created")?;
                let verdict = match self.removed.get() {
                    true => Verdict::Replaced,
                    false => Verdict::Created,
                };
                let request = self.insert_request(wanted)?;
                // What was there before is gone for good: without the new one nothing would be there.
                let undo = match self.removed.get() {
                    true => None,
                    false => self.deletion(get),
                };
                (method, request, verdict, undo)
            }
            Todo::Replace(_) => {
                let method = self.need(&self.collection.delete, "deleted")?;
                let request = self.request(&method, None)?;
                (method, request, Verdict::Replaced, None)
            }
            Todo::Write(comparison) => {
                let (method, request) = self.write_request(&wanted, found, comparison)?;
                let before = found.unwrap_or(&Json::Null);
                let undo = Undo::Restore {
                    get: get.clone(),
                    fields: back::fields_before(
                        &self.cx.shared.catalog,
                        &self.resource,
                        &wanted,
                        before,
                        &comparison.differences,
                    ),
                };
                (method, request, Verdict::Updated, Some(undo))
            }
            Todo::Adopt | Todo::Leave => return Ok((Changed::Stale, Verdict::Adopted)),
        };
        let change = Change {
            method: &method,
            request,
            get: Some(get.clone()),
            before: observe::before(self.cx, &self.target, found).await?,
            guarded: self.cx.now(),
            deadline: self.deadline,
            undo: back::of_ensure(self.cx, self.step, undo).await?,
        };
        let changed = perform(self.cx, Some(self.step), change).await?;
        Ok((changed, verdict))
    }

    /// Whether an earlier process saw this step delete the resource.
    fn removed_before(&self) -> bool {
        self.cx
            .successes()
            .iter()
            .any(|request| self.is_delete(request))
    }

    fn is_delete(&self, request: &Request) -> bool {
        let delete = self.collection.delete.as_ref();
        delete.is_some_and(|method| method.id == request.method)
    }

    /// What takes an insert back.
    fn deletion(&self, get: &Request) -> Option<Undo> {
        let delete = self.collection.delete.as_ref()?;
        let delete = request::build(delete, &self.target.args_for(delete), None).ok()?;
        Some(Undo::Delete {
            get: get.clone(),
            delete,
        })
    }

    fn need(&self, method: &Option<Arc<Method>>, what: &str) -> Result<Arc<Method>> {
        method.clone().ok_or_else(|| {
            self.cx.failure(
                Reason::Flow,
                format!("nothing in `{}` can be {what}", self.collection.path),
            )
        })
    }

    fn request(&self, method: &Method, body: Option<Json>) -> Result<Request> {
        request::build(method, &self.target.args_for(method), body)
            .map_err(|p| target::problems(self.cx, self.call, &p))
    }

    fn insert_request(&self, wanted: Json) -> Result<Request> {
        let insert = self.need(&self.collection.insert, "created")?;
        let Some((args, body)) = address::for_insert(&self.collection, &self.target.args, wanted)
        else {
            let what = format!(
                "nothing in `{}` can be created under a name of one's own",
                self.collection.path
            );
            return Err(self.cx.failure(Reason::Flow, what));
        };
        let mut body = body;
        marks::put(self.cx, &self.collection, &mut body);
        request::build(&insert, &args, Some(body))
            .map_err(|p| target::problems(self.cx, self.call, &p))
    }

    /// A patch with the fields that differ, or an update with all that is there; both carry what the
    /// API offers against losing somebody else's change.
    fn write_request(
        &self,
        wanted: &Json,
        found: Option<&Json>,
        comparison: &Comparison,
    ) -> Result<(Arc<Method>, Request)> {
        let none = Json::Null;
        let found = found.unwrap_or(&none);
        let catalog = &self.cx.shared.catalog;
        let (method, mut body, fields) = match (&self.collection.patch, &self.collection.update) {
            (Some(patch), _) => {
                let mut fields = Vec::new();
                let body = changed_part(wanted, "", &comparison.differences, &mut fields);
                (Arc::clone(patch), body, fields)
            }
            (None, Some(update)) => {
                let body = writable(catalog, &self.resource, &merged(found, wanted));
                (Arc::clone(update), body, Vec::new())
            }
            (None, None) => {
                return Err(self.cx.failure(
                    Reason::Flow,
                    format!("nothing in `{}` can be changed", self.collection.path),
                ));
            }
        };
        add_preconditions(catalog, &self.resource, found, &mut body);
        let mut args = self.target.args_for(&method);
        let mask = fields.join(",");
        if method.param("updateMask").is_some() && !fields.is_empty() {
            args.entry("updateMask".into())
                .or_insert_with(|| Value::str(&mask));
        }
        let body = self.enveloped(&method, body, &mask);
        self.takes(&method, &body)?;
        let request = request::build(&method, &args, Some(body))
            .map_err(|p| target::problems(self.cx, self.call, &p))?;
        Ok((method, request))
    }

    /// Some APIs change a resource by wishes (`desiredNodeVersion`), not by its fields.
    fn takes(&self, method: &Method, body: &Json) -> Result<()> {
        let catalog = &self.cx.shared.catalog;
        let request = method.request.as_ref().and_then(|id| catalog.schema(id));
        let foreign = request.and_then(|schema| {
            let mut names = body.as_object()?.keys();
            names.find(|name| schema.field(name).is_none()).cloned()
        });
        match foreign {
            None => Ok(()),
            Some(field) => Err(self.cx.failure_with_help(
                Reason::Failed,
                format!(
                    "`{}` differs, and `{}` takes no such field",
                    field, method.id
                ),
                format!(
                    "change it with a step of its own: `call {}(…) {{ … }}`",
                    method.id
                ),
            )),
        }
    }

    /// Some APIs wrap the resource in a request of its own (`UpdateTopicRequest`).
    fn enveloped(&self, method: &Method, body: Json, mask: &str) -> Json {
        let Some(request) = method.request.as_ref().filter(|r| **r != self.resource) else {
            return body;
        };
        let Some(schema) = self.cx.shared.catalog.schema(request) else {
            return body;
        };
        let holder = schema
            .fields
            .iter()
            .find(|(_, field)| matches!(&field.kind, Kind::Schema(id) if *id == self.resource));
        let Some((name, _)) = holder else {
            return body;
        };
        let mut outer = Map::new();
        outer.insert(name.to_string(), body);
        if schema.field("updateMask").is_some() && !mask.is_empty() {
            outer.insert("updateMask".into(), Json::String(mask.to_owned()));
        }
        Json::Object(outer)
    }

    fn verdict_of(&self, request: &Request) -> Verdict {
        let method = self.cx.shared.catalog.method(&request.method);
        match method.map(|m| role(&m, Some(&self.collection))) {
            Some(Role::Insert) if self.removed.get() => Verdict::Replaced,
            Some(Role::Insert) => Verdict::Created,
            Some(Role::Delete) => Verdict::Replaced,
            _ => Verdict::Updated,
        }
    }

    /// What the calls of earlier processes already made of the resource.
    fn earlier(&self, verdict: Verdict) -> Verdict {
        if verdict != Verdict::Adopted {
            return verdict;
        }
        let made = self.cx.last_success();
        made.map_or(verdict, |(request, origin)| {
            proven(self.verdict_of(&request), origin, verdict)
        })
    }

    fn method_like(&self, verdict: &Verdict) -> Arc<Method> {
        let wanted = match verdict {
            Verdict::Created | Verdict::Presumed => &self.collection.insert,
            Verdict::Replaced => &self.collection.delete,
            _ => &self.collection.patch,
        };
        let any = [
            wanted,
            &self.collection.update,
            &self.collection.insert,
            &self.collection.get,
        ];
        any.into_iter()
            .flatten()
            .next()
            .cloned()
            .expect("invariant: a collection that is ensured can be read")
    }
}

/// How a change is reported: what was only found after a lost answer may be somebody else's.
fn proven(how: Verdict, origin: Origin, before: Verdict) -> Verdict {
    match (how, origin, before) {
        (Verdict::Updated, _, Verdict::Created | Verdict::Replaced) => before,
        (Verdict::Created, Origin::Presumed, _) => Verdict::Presumed,
        (how, ..) => how,
    }
}

/// Fields that count at creation only: an autoscaler moves its group's size, and a second run must
/// not move it back (docs: compute/docs/autoscaler, "autoscaling ignores targetSize afterwards").
fn drop_created_only(resource: &SchemaId, wanted: &mut Json, found: &Json) {
    let scaled = found
        .pointer("/status/autoscaler")
        .is_some_and(|a| !a.is_null());
    if &*resource.name == "InstanceGroupManager"
        && scaled
        && let Some(fields) = wanted.as_object_mut()
    {
        fields.remove("targetSize");
    }
}
