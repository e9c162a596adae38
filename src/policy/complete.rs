//! A body as the API will hold it: units converted, and filled in where the flow says nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::coerce::leaf;
use crate::catalog::{Catalog, Kind, Schema, SchemaId, Unit};
use crate::value::{Fields, Value};

/// What stands in the fields that the flow does not write.
#[derive(Clone, Copy)]
pub enum Rest<'v> {
    /// The documented defaults: the resource is made by this body.
    Defaults,
    /// What was read.
    Read(&'v Value),
    /// Nobody can tell yet.
    Unknown,
}

/// What is of some type in a body: the body itself, or a field at a path.
pub struct Part {
    pub path: Vec<String>,
    pub ty: SchemaId,
    pub value: Value,
}

/// Every part of a body that has a type of its own, the body first. Of what is known only later each type
/// that may stand in it is a part that is known only later, too.
pub fn parts(catalog: &Catalog, ty: &SchemaId, value: &Value) -> Vec<Part> {
    let mut found = Vec::new();
    Finder {
        catalog,
        path: Vec::new(),
        hidden: BTreeSet::new(),
        found: &mut found,
    }
    .kind(&Kind::Schema(ty.clone()), value);
    found
}

struct Finder<'c, 'f> {
    catalog: &'c Catalog,
    path: Vec<String>,
    /// Types that were met in what is known only later.
    hidden: BTreeSet<SchemaId>,
    found: &'f mut Vec<Part>,
}

impl Finder<'_, '_> {
    fn kind(&mut self, kind: &Kind, value: &Value) {
        match (kind, value) {
            (Kind::Schema(ty), Value::Map(_)) => {
                self.found.push(Part {
                    path: self.path.clone(),
                    ty: ty.clone(),
                    value: value.clone(),
                });
                if let Some(schema) = self.catalog.schema(ty) {
                    self.fields(&schema, value);
                }
            }
            (Kind::Inline(schema), Value::Map(_)) => self.fields(schema, value),
            (Kind::Schema(ty), Value::Later(_)) if self.hidden.insert(ty.clone()) => {
                self.found.push(Part {
                    path: self.path.clone(),
                    ty: ty.clone(),
                    value: value.clone(),
                });
                if let Some(schema) = self.catalog.schema(ty) {
                    self.hidden(&schema, value);
                }
            }
            (Kind::Inline(schema), Value::Later(_)) => self.hidden(schema, value),
            (Kind::List(element) | Kind::Map(element), Value::Later(_)) => {
                self.kind(element, value)
            }
            (Kind::List(element), Value::List(items)) => {
                for (n, item) in items.iter().enumerate() {
                    self.below(n.to_string(), element, item);
                }
            }
            (Kind::Map(element), Value::Map(fields)) => {
                for (key, item) in fields.iter() {
                    self.below(key.to_string(), element, item);
                }
            }
            _ => {}
        }
    }

    fn fields(&mut self, schema: &Schema, value: &Value) {
        for (name, field) in &schema.fields {
            let shown = value.get(name);
            if let Some(value) = shown.filter(|v| !v.is_later() || !field.output_only) {
                self.below(name.to_string(), &field.kind, value);
            }
        }
    }

    fn hidden(&mut self, schema: &Schema, later: &Value) {
        let written = schema.fields.values().filter(|field| !field.output_only);
        for field in written {
            self.kind(&field.kind, later);
        }
    }

    fn below(&mut self, part: String, kind: &Kind, value: &Value) {
        self.path.push(part);
        self.kind(kind, value);
        self.path.pop();
    }
}

pub struct Completer<'c> {
    pub catalog: &'c Catalog,
    /// Stands for what only the run brings.
    pub later: Value,
}

impl Completer<'_> {
    pub fn body(&self, ty: &SchemaId, written: &Value, rest: Rest<'_>) -> Value {
        match self.catalog.schema(ty) {
            Some(schema) => self.object(&schema, written, rest),
            None => written.clone(),
        }
    }

    fn object(&self, schema: &Arc<Schema>, written: &Value, rest: Rest<'_>) -> Value {
        let (None, Value::Map(fields)) = (&schema.other, written) else {
            return written.clone();
        };
        let mut out = Fields::with_capacity(schema.fields.len());
        for (name, field) in &schema.fields {
            let inner = match rest {
                Rest::Read(read) => read.get(name).map_or(Rest::Defaults, Rest::Read),
                other => other,
            };
            let value = match fields.get(name) {
                Some(Value::Unset) | None => match inner {
                    Rest::Unknown => self.later.clone(),
                    Rest::Read(read) => self.kind(&field.kind, field.unit, read, Rest::Read(read)),
                    Rest::Defaults if field.output_only => self.later.clone(),
                    Rest::Defaults => match &field.default {
                        Some(default) => Value::from_json(default),
                        None => continue,
                    },
                },
                Some(value) => self.kind(&field.kind, field.unit, value, inner),
            };
            out.insert(Arc::clone(name), value);
        }
        Value::map(out)
    }

    fn kind(&self, kind: &Kind, unit: Option<Unit>, value: &Value, rest: Rest<'_>) -> Value {
        match (kind, value) {
            (_, Value::Later(_) | Value::Null) | (Kind::Any, _) => value.clone(),
            (Kind::Schema(id), _) => self.body(id, value, rest),
            (Kind::Inline(schema), _) => self.object(schema, value, rest),
            // An element is written as a whole.
            (Kind::List(element), Value::List(items)) => Value::list(
                items
                    .iter()
                    .filter(|item| **item != Value::Unset)
                    .map(|item| self.kind(element, unit, item, Rest::Defaults))
                    .collect(),
            ),
            (Kind::Map(element), Value::Map(fields)) => Value::map(
                fields
                    .iter()
                    .map(|(k, v)| (Arc::clone(k), self.kind(element, None, v, Rest::Defaults)))
                    .collect(),
            ),
            (Kind::List(_) | Kind::Map(_), _) => value.clone(),
            (scalar, _) => leaf(scalar, unit, value),
        }
    }
}
