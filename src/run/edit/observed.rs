//! What an edited `ensure` finds: whether the cloud has it so already, and whether it can be changed.

use serde_json::Value as Json;

use super::super::step::clauses;
use super::super::step::cx::{Cx, Halt};
use super::super::step::target;
use super::compare::{FieldChange, Unlike};
use crate::catalog::compare::compare;
use crate::catalog::{Catalog, Collection, Kind, Schema, SchemaId};
use crate::journal::Reason;
use crate::syntax::ast::{ActionKind, Decision, OnOutcome, Step};

/// What the cloud says to a change.
pub enum Observed {
    AsWanted,
    /// These fields differ from what the flow wants, and can be changed.
    Differs(Vec<FieldChange>),
    /// They differ, and the flow says to make the resource anew.
    Replaces(Vec<FieldChange>),
    /// They differ, and cannot be changed.
    Fixed(Vec<FieldChange>),
    Gone,
}

/// Reads the resource of an `ensure` and compares it with the body that the flow wants now.
pub async fn observe<'p>(
    cx: &Cx<'p>,
    step: &'p Step,
    wanted: &Json,
    unlike: &Unlike,
) -> Result<Observed, Halt> {
    let ActionKind::Ensure(call) = &step.action.kind else {
        return Ok(Observed::AsWanted);
    };
    let target = target::resolve(cx, call, None).await?;
    let get = match target.get() {
        Some(Ok(get)) => get,
        Some(Err(found)) => return Err(target::problems(cx, call, &found)),
        None => return Err(cx.failure(Reason::Flow, "it cannot be read")),
    };
    let (Some(collection), Some(found)) = (&target.collection, cx.observe(&get).await?) else {
        return Ok(Observed::Gone);
    };
    let Some(resource) = &collection.resource else {
        return Ok(Observed::AsWanted);
    };
    let catalog = &cx.shared.catalog;
    let none = Default::default();
    let compared = compare(catalog, resource, wanted, &found, &none);
    cx.shared.conceal(&compared.differences);
    let mut fields: Vec<FieldChange> = compared
        .differences
        .into_iter()
        .map(|d| FieldChange {
            path: d.path,
            old: d.found,
            new: d.wanted,
        })
        .collect();
    fields.extend(unlike.hidden.iter().cloned());
    if fields.is_empty() {
        return Ok(Observed::AsWanted);
    }
    Ok(match clauses::decision(step, OnOutcome::Change) {
        Some(Decision::Replace) => Observed::Replaces(fields),
        Some(Decision::Stop) => Observed::Fixed(fields),
        _ if !can_change(catalog, collection, resource, &fields) => Observed::Fixed(fields),
        _ => Observed::Differs(fields),
    })
}

fn can_change(
    catalog: &Catalog,
    collection: &Collection,
    resource: &SchemaId,
    fields: &[FieldChange],
) -> bool {
    let writable = collection.patch.is_some() || collection.update.is_some();
    writable && !fields.iter().any(|f| is_fixed(catalog, resource, &f.path))
}

/// Whether the catalogue says that a field, or one around it, counts at creation only.
fn is_fixed(catalog: &Catalog, resource: &SchemaId, path: &str) -> bool {
    let mut schema: Option<std::sync::Arc<Schema>> = catalog.schema(resource);
    for part in path.split('.') {
        let name = part.split('[').next().unwrap_or(part);
        let Some(field) = schema.as_ref().and_then(|s| s.field(name)).cloned() else {
            return false;
        };
        // What only creates something else is over when the resource is there.
        let origin = name.starts_with("source") && field.reference;
        if field.immutable || origin || name == "initializeParams" {
            return true;
        }
        let mut kind = &field.kind;
        while let Kind::List(inner) | Kind::Map(inner) = kind {
            kind = inner;
        }
        schema = match kind {
            Kind::Schema(id) => catalog.schema(id),
            Kind::Inline(inner) => Some(inner.clone()),
            _ => None,
        };
    }
    false
}
