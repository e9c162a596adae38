//! Every body that a graph sends, and every resource that it reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Scene;
use super::complete::{Completer, Rest};
use crate::catalog::{Collection, Kind, Method, SchemaId};
use crate::check::Target;
use crate::eval::{self, Truth};
use crate::plan::{NodeId, View, Work};
use crate::syntax::ast::{
    ActionKind, ApiCall, ClauseKind, Decision, Expr, ExprKind, Field, Key, Object, OnOutcome, Step,
};
use crate::value::{Fields, Value};

/// The body of one `ensure` or `call`.
pub struct Body<'p> {
    pub node: NodeId,
    pub call: &'p ApiCall,
    pub ty: SchemaId,
    pub value: Value,
    /// What was read of its resource.
    pub it: Value,
    /// Whether it is certainly sent.
    pub sure: bool,
    /// The parameter that the resource's own name fills.
    pub id: Option<Arc<str>>,
}

/// What addresses one resource, as far as two steps can be compared by it.
type Address = (Arc<str>, Vec<(Arc<str>, String)>);

/// What a step made of a resource; the next one that writes it adds to that.
struct Written {
    address: Address,
    ty: SchemaId,
    value: Value,
}

impl<'p> Scene<'_, 'p> {
    /// The step of a node, when it is one.
    pub fn step(&self, node: NodeId) -> Option<&'p Step> {
        match self.graph.node(node).work {
            Work::Step(step) => Some(step),
            _ => None,
        }
    }

    pub fn target(&self, node: NodeId, step: &Step) -> Option<&Target> {
        let flow = self.graph.flow_of(self.graph.node(node).scope).id;
        self.checked.targets.get(&flow)?.get(&step.name.text)
    }

    pub fn later(&self, node: NodeId) -> Value {
        Value::later(&self.graph.node(node).address)
    }

    pub fn view(&self, node: NodeId) -> View<'_, 'p> {
        View::new(self.graph, self.graph.node(node).scope, self.memo)
    }

    /// Whether the graph may still grow by steps that nobody knows yet.
    pub fn grows(&self) -> bool {
        self.graph.nodes().any(|node| self.graph.is_open(node))
    }

    pub fn bodies(&self) -> Vec<Body<'p>> {
        let mut before: Vec<Written> = Vec::new();
        let nodes = self.graph.nodes();
        nodes
            .filter_map(|node| self.body(node, &mut before))
            .collect()
    }

    fn body(&self, node: NodeId, before: &mut Vec<Written>) -> Option<Body<'p>> {
        let step = self.step(node)?;
        let (call, ensures) = match &step.action.kind {
            ActionKind::Ensure(call) => (call, true),
            ActionKind::Call(call) => (call, false),
            _ => return None,
        };
        let (collection, method) = match self.target(node, step)? {
            Target::Collection(collection) => (Some(Arc::clone(collection)), None),
            Target::Method(method) => (
                self.catalog.collection(&method.collection),
                Some(Arc::clone(method)),
            ),
        };
        let resource = collection.as_ref().and_then(|c| c.resource.clone());
        let ty = match &method {
            Some(method) => method.request.clone()?,
            None => resource.clone()?,
        };
        let sent = self.sent(node, step)?;
        let seen = self.seen.get(&node);
        let mut written = match &call.body {
            Some(object) => self.object(node, object, seen),
            None => Value::map(Fields::new()),
        };
        let args = self.args(node, call, collection.as_deref(), method.as_deref());
        let address = address(collection.as_deref(), &args);
        let earlier = before
            .iter()
            .rev()
            .find(|w| Some(&w.address) == address.as_ref());
        let earlier = earlier.filter(|w| w.ty == ty).map(|w| w.value.clone());
        if resource.as_ref() == Some(&ty) {
            written = self.named(&ty, written, &args, collection.as_deref());
        }
        let creates = match &method {
            Some(method) => matches!(&*method.name, "insert" | "create"),
            None => ensures && !stops_when_absent(step),
        };
        let rest = match earlier.as_ref().or(seen) {
            // What an earlier step wrote, or what is there.
            Some(read @ Value::Map(_)) => Rest::Read(read),
            Some(Value::Null) => Rest::Defaults,
            _ if creates => Rest::Defaults,
            _ if resource.as_ref() == Some(&ty) => Rest::Unknown,
            _ => Rest::Defaults,
        };
        let completer = Completer {
            catalog: self.catalog,
            later: self.later(node),
        };
        let value = completer.body(&ty, &written, rest);
        before.extend(address.map(|address| Written {
            address,
            ty: ty.clone(),
            value: value.clone(),
        }));
        Some(Body {
            node,
            call,
            value,
            ty,
            it: seen.cloned().unwrap_or_else(|| self.later(node)),
            sure: sent && self.is_sure(node),
            id: collection.and_then(|c| c.id.clone()),
        })
    }

    /// Whether a step's conditions hold: `None` when they do not, false when only the run can tell.
    fn sent(&self, node: NodeId, step: &Step) -> Option<bool> {
        let view = self.view(node);
        let mut sure = true;
        for clause in &step.clauses {
            if let ClauseKind::When(condition) = &clause.kind {
                match eval::condition(condition, &view) {
                    Ok(Truth::Known(true)) => {}
                    Ok(Truth::Known(false)) => return None,
                    _ => sure = false,
                }
            }
        }
        Some(sure)
    }

    fn is_sure(&self, node: NodeId) -> bool {
        let scope = self.graph.node(node).scope;
        !self.graph.outward(scope).any(|s| self.unsure.contains(&s))
    }

    /// The fields of an object, each as far as it is known.
    fn object(&self, node: NodeId, object: &Object, it: Option<&Value>) -> Value {
        let mut fields = Fields::new();
        for field in &object.fields {
            match field {
                Field::Pair { key, value, .. } => {
                    let name = match key {
                        Key::Name(name) => Some(Arc::clone(&name.text)),
                        Key::Computed(key) => match self.value(node, key, it) {
                            Value::Str(text) => Some(text),
                            _ => None,
                        },
                    };
                    let Some(name) = name else {
                        return self.later(node);
                    };
                    match self.value(node, value, it) {
                        Value::Unset => fields.shift_remove(&name),
                        value => fields.insert(name, value),
                    };
                }
                Field::Spread { value, .. } => match self.value(node, value, it) {
                    Value::Map(more) => {
                        fields.extend(more.iter().map(|(k, v)| (Arc::clone(k), v.clone())));
                    }
                    Value::Null => {}
                    _ => return self.later(node),
                },
            }
        }
        Value::map(fields)
    }

    /// A value; what cannot be told yet is known later.
    fn value(&self, node: NodeId, expr: &Expr, it: Option<&Value>) -> Value {
        match &*expr.kind {
            ExprKind::Object(object) => self.object(node, object, it),
            ExprKind::List(items) => Value::list(
                items
                    .iter()
                    .map(|item| self.value(node, item, it))
                    .filter(|value| *value != Value::Unset)
                    .collect(),
            ),
            _ => {
                let it = it.cloned().unwrap_or_else(|| self.later(node));
                let view = self.view(node).with_it(Some(it));
                eval::eval(expr, &view).unwrap_or_else(|_| self.later(node))
            }
        }
    }

    /// The arguments by name, those of `at` included.
    fn args(
        &self,
        node: NodeId,
        call: &ApiCall,
        collection: Option<&Collection>,
        method: Option<&Method>,
    ) -> BTreeMap<Arc<str>, Value> {
        let mut args = BTreeMap::new();
        let id = || {
            let last = method.and_then(|m| m.path_params().last());
            let id = collection.and_then(|c| c.id.clone());
            id.or_else(|| last.map(|p| Arc::clone(&p.name)))
        };
        for (position, arg) in call.args.iter().enumerate() {
            let name = match (&arg.name, &*arg.value.kind) {
                (Some(name), _) => Some(Arc::clone(&name.text)),
                (None, ExprKind::Name(name)) if position > 0 => Some(Arc::clone(name)),
                (None, _) => id(),
            };
            if let Some(name) = name {
                args.insert(name, self.value(node, &arg.value, None));
            }
        }
        let scope = self.graph.node(node).scope;
        let flow = self.graph.flow_of(scope);
        let blocks = flow.ancestry(self.graph.scope(scope).block);
        let at = blocks.flat_map(|b| flow.block(b).at.iter());
        for field in at.flat_map(|at| &at.fields) {
            if let Field::Pair {
                key: Key::Name(name),
                value,
                ..
            } = field
                && !args.contains_key(&name.text)
            {
                args.insert(Arc::clone(&name.text), self.value(node, value, None));
            }
        }
        args
    }

    /// A body with the name and the place that its step addresses it by.
    fn named(
        &self,
        ty: &SchemaId,
        written: Value,
        args: &BTreeMap<Arc<str>, Value>,
        collection: Option<&Collection>,
    ) -> Value {
        let (Some(schema), Value::Map(fields)) = (self.catalog.schema(ty), &written) else {
            return written;
        };
        let mut fields = (**fields).clone();
        let id = collection.and_then(|c| c.id.as_ref());
        let name = id.and_then(|id| args.get(id));
        // What has no place is in none: a global address has no region.
        let nowhere = Value::Null;
        let places = ["region", "zone"].map(|place| (place, args.get(place).or(Some(&nowhere))));
        for (field, value) in std::iter::once(("name", name)).chain(places) {
            if let (Some(value), Some(_), None) = (value, schema.field(field), fields.get(field)) {
                fields.insert(Arc::from(field), value.clone());
            }
        }
        Value::map(fields)
    }

    /// Every resource of a type that was read, alone or in a list.
    pub fn found(&self, ty: &SchemaId) -> Vec<Value> {
        let mut found = Vec::new();
        for node in self.graph.nodes() {
            let Some(step) = self.step(node) else {
                continue;
            };
            match (&step.action.kind, self.target(node, step)) {
                (ActionKind::Read(_), Some(target)) => self.read(node, target, ty, &mut found),
                (ActionKind::Ensure(_), Some(Target::Collection(c)))
                    if c.resource.as_ref() == Some(ty) =>
                {
                    found.extend(self.seen.get(&node).filter(|v| **v != Value::Null).cloned());
                }
                _ => {}
            }
        }
        if self.grows() {
            found.push(Value::later("the run"));
        }
        found
    }

    /// The resources of a type that steps read, with what their steps address them by.
    pub fn reads(&self, ty: &SchemaId) -> Vec<(NodeId, Value)> {
        let nodes = self.graph.nodes();
        nodes
            .filter_map(|node| {
                let step = self.step(node)?;
                let (ActionKind::Read(call), Some(Target::Collection(collection))) =
                    (&step.action.kind, self.target(node, step))
                else {
                    return None;
                };
                if collection.resource.as_ref() != Some(ty) {
                    return None;
                }
                let args = self.args(node, call, Some(collection), None);
                let named = self.named(ty, Value::map(Fields::new()), &args, Some(collection));
                let completer = Completer {
                    catalog: self.catalog,
                    later: self.later(node),
                };
                Some((node, completer.body(ty, &named, Rest::Unknown)))
            })
            .collect()
    }

    fn read(&self, node: NodeId, target: &Target, ty: &SchemaId, found: &mut Vec<Value>) {
        let answer = match target {
            Target::Method(method) => method.response.as_ref(),
            Target::Collection(collection) => collection.resource.as_ref(),
        };
        let Some(answer) = answer else { return };
        let result = self.graph.result(node);
        if answer == ty {
            match result {
                Some(Value::Null) => {}
                Some(value) => found.push(value.clone()),
                None => found.push(self.later(node)),
            }
            return;
        }
        let Some(schema) = self.catalog.schema(answer) else {
            return;
        };
        for (name, field) in &schema.fields {
            let Kind::List(element) = &field.kind else {
                continue;
            };
            if **element != Kind::Schema(ty.clone()) {
                continue;
            }
            match result.map(|value| value.get(name)) {
                Some(Some(Value::List(items))) => found.extend(items.iter().cloned()),
                Some(Some(Value::Null) | None) if !result.is_some_and(Value::is_later) => {}
                _ => found.push(self.later(node)),
            }
        }
    }
}

/// Which resource a step addresses, when all of that is known.
fn address(collection: Option<&Collection>, args: &BTreeMap<Arc<str>, Value>) -> Option<Address> {
    let collection = collection?;
    let known = |(name, value): (&Arc<str>, &Value)| {
        (!value.is_later()).then(|| (Arc::clone(name), value.to_string()))
    };
    let args: Option<Vec<_>> = args.iter().map(known).collect();
    Some((Arc::clone(&collection.path), args?))
}

/// Whether a step changes what is there, and never makes it.
pub fn stops_when_absent(step: &Step) -> bool {
    step.clauses.iter().any(|clause| {
        matches!(
            clause.kind,
            ClauseKind::On {
                outcome: OnOutcome::Absent,
                decision: Decision::Stop | Decision::Continue,
            }
        )
    })
}
