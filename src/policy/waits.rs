//! What steps wait for: the fields that an `until` looks at, and what was done before.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Scene;
use super::bodies::stops_when_absent;
use crate::catalog::SchemaId;
use crate::check::Target;
use crate::check::names::Meaning;
use crate::plan::NodeId;
use crate::source::Span;
use crate::syntax::ast::{ActionKind, ClauseKind, Expr, ExprKind, Step};
use crate::value::Value;

/// One step that waits for a resource.
pub struct Wait {
    pub node: NodeId,
    /// `{ until, after }`
    pub value: Value,
    /// The condition.
    pub until: Span,
}

impl<'p> Scene<'_, 'p> {
    /// The steps that wait for a resource of a type.
    pub fn waits(&self, ty: &SchemaId) -> Vec<Wait> {
        let nodes = self.graph.nodes();
        nodes.filter_map(|node| self.wait(node, ty)).collect()
    }

    fn wait(&self, node: NodeId, ty: &SchemaId) -> Option<Wait> {
        let step = self.step(node)?;
        let until = step.clauses.iter().find_map(|clause| match &clause.kind {
            ClauseKind::Until(condition) => Some(condition),
            _ => None,
        })?;
        let looked_at = match &step.action.kind {
            ActionKind::WaitStep(named) => self.named_step(node, named)?,
            _ => step,
        };
        if self.resource(node, looked_at)? != *ty {
            return None;
        }
        let mut fields = BTreeSet::new();
        of_it(until, &mut fields);
        let mut after = self.changes_before(node, ty);
        after.extend(self.change(node, step, ty));
        let texts = |all: BTreeSet<String>| Value::list(all.iter().map(Value::str).collect());
        Some(Wait {
            node,
            value: Value::record([("until", texts(fields)), ("after", texts(after))]),
            until: until.span,
        })
    }

    fn named_step(&self, node: NodeId, named: &Expr) -> Option<&'p Step> {
        let (name, _) = crate::plan::step_name(named)?;
        let flow = self.graph.flow_of(self.graph.node(node).scope);
        match flow.symbol(name)?.meaning {
            Meaning::Step(step) => Some(step),
            _ => None,
        }
    }

    /// The type of what a step reads again and again.
    fn resource(&self, node: NodeId, step: &Step) -> Option<SchemaId> {
        match self.target(node, step)? {
            Target::Collection(collection) => collection.resource.clone(),
            Target::Method(method) if method.reads => method.response.clone(),
            Target::Method(method) => self
                .catalog
                .collection(&method.collection)?
                .resource
                .clone(),
        }
    }

    /// How resources of the type are changed by all that a node waits for.
    fn changes_before(&self, node: NodeId, ty: &SchemaId) -> BTreeSet<String> {
        let steps = self.graph.all_before(node).into_iter();
        let steps = steps.filter_map(|before| Some((before, self.step(before)?)));
        let changes = steps.filter_map(|(before, step)| self.change(before, step, ty));
        changes.collect()
    }

    /// The method by which a step changes a resource of the type; `ensure` where it may make or change it.
    fn change(&self, node: NodeId, step: &Step, ty: &SchemaId) -> Option<String> {
        if self.resource(node, step)? != *ty {
            return None;
        }
        match (&step.action.kind, self.target(node, step)?) {
            (ActionKind::Ensure(_), _) => Some(match self.seen.get(&node) {
                Some(Value::Null) => "insert".into(),
                None if !stops_when_absent(step) => "ensure".into(),
                _ => "patch".into(),
            }),
            (ActionKind::Call(_), Target::Method(method)) => Some(method.name.to_string()),
            _ => None,
        }
    }
}

/// The fields of `it` that an expression looks at: `status.isStable`.
fn of_it(expr: &Expr, out: &mut BTreeSet<String>) {
    if let Some(path) = path_of_it(expr) {
        out.insert(path.join("."));
        return;
    }
    let mut all = |exprs: &[&Expr]| exprs.iter().for_each(|e| of_it(e, out));
    match &*expr.kind {
        ExprKind::Not(e) | ExprKind::Neg(e) | ExprKind::Paren(e) => all(&[e]),
        ExprKind::Binary { left, right, .. } => all(&[left, right]),
        ExprKind::Member { base, .. } => all(&[base]),
        ExprKind::Index { base, index } => all(&[base, index]),
        ExprKind::If {
            condition,
            then,
            otherwise,
        } => all(&[condition, then, otherwise]),
        ExprKind::List(items) => items.iter().for_each(|e| of_it(e, out)),
        ExprKind::Call { args, .. } => args.iter().for_each(|a| of_it(&a.value, out)),
        ExprKind::Quantifier { binder, body, .. } => {
            let inner = std::iter::once(&binder.source).chain(&binder.filter);
            inner.chain(body).for_each(|e| of_it(e, out));
        }
        ExprKind::ListComp { element, binder } => {
            let inner = std::iter::once(&binder.source).chain(&binder.filter);
            inner
                .chain(std::iter::once(element))
                .for_each(|e| of_it(e, out));
        }
        _ => {}
    }
}

fn path_of_it(expr: &Expr) -> Option<Vec<Arc<str>>> {
    match &*expr.kind {
        ExprKind::Name(name) if &**name == "it" => Some(Vec::new()),
        ExprKind::Member { base, name, .. } => {
            let mut path = path_of_it(base)?;
            path.push(Arc::clone(&name.text));
            Some(path)
        }
        _ => None,
    }
}
