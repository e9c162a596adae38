//! The types of the language, and the signatures of its functions.
//!
//! A type is small to copy: everything that can be large stands behind an `Arc`. The fields of an
//! API's schema are not copied into types at all; [`Type::Schema`] names the schema, and who needs
//! its fields asks the catalogue.

pub mod functions;
mod join;
mod show;

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::catalog::{Schema, SchemaId};

/// Inclusive bounds; `None` is unbounded. The constant 5 has the bounds 5 and 5.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Bounds<T> {
    pub min: Option<T>,
    pub max: Option<T>,
}

impl<T: PartialOrd + Copy> Bounds<T> {
    pub const NONE: Bounds<T> = Bounds {
        min: None,
        max: None,
    };

    pub fn exactly(value: T) -> Self {
        Bounds {
            min: Some(value),
            max: Some(value),
        }
    }

    /// The only value within, if there is only one.
    pub fn constant(&self) -> Option<T> {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => Some(min),
            _ => None,
        }
    }

    /// Whether some value lies within both.
    pub fn meets(&self, other: &Bounds<T>) -> bool {
        let below = |max: Option<T>, min: Option<T>| match (max, min) {
            (Some(max), Some(min)) => max < min,
            _ => false,
        };
        !below(self.max, other.min) && !below(other.max, self.min)
    }

    fn hull(self, other: Bounds<T>) -> Bounds<T> {
        let pick = |a: Option<T>, b: Option<T>, first: fn(&T, &T) -> bool| match (a, b) {
            (Some(a), Some(b)) => Some(if first(&a, &b) { a } else { b }),
            _ => None,
        };
        Bounds {
            min: pick(self.min, other.min, |a, b| a < b),
            max: pick(self.max, other.max, |a, b| a > b),
        }
    }
}

/// A field of a [`Record`].
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub ty: Type,
    /// It may be missing, and is `null` then.
    pub optional: bool,
}

/// An object whose fields are known by name.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Record {
    pub fields: IndexMap<Arc<str>, Part>,
}

/// The values that an API documents for a text field.
#[derive(Debug)]
pub struct Choices {
    /// Each with whether it is deprecated.
    pub values: Vec<(Arc<str>, bool)>,
}

/// What is known of a value before the run.
#[derive(Clone, Debug)]
pub enum Type {
    /// Of something that is wrong already: fits everywhere and is never reported.
    Unknown,
    /// JSON of unknown shape, such as the answer of an `http` step.
    Any,
    /// No value at all: the elements of `[]`.
    Never,
    Null,
    /// `unset`
    Unset,
    Bool,
    Int(Bounds<i64>),
    Number(Bounds<f64>),
    /// Text; with a pattern that the whole text matches.
    Str(Option<Arc<str>>),
    /// This text and no other.
    Literal(Arc<str>),
    /// Text that names a resource: `selfLink`, `network`.
    Link,
    /// Text of an API field whose values are documented.
    Enum(Arc<Choices>),
    /// Milliseconds.
    Duration(Bounds<i64>),
    Percent(Bounds<f64>),
    /// Bytes.
    Size(Bounds<u64>),
    Timestamp,
    List(Arc<Type>),
    /// By text.
    Map(Arc<Type>),
    Record(Arc<Record>),
    /// A resource or a part of one, as the catalogue describes it.
    Schema(SchemaId),
    /// A part that the catalogue describes without a name.
    Inline(Arc<Schema>),
    Union(Arc<[Type]>),
    /// `T?`
    Nullable(Arc<Type>),
    /// A mark that survives everything that is computed from the value.
    Secret(Arc<Type>),
}

impl Type {
    pub const INT: Type = Type::Int(Bounds::NONE);
    pub const NUMBER: Type = Type::Number(Bounds::NONE);
    pub const STR: Type = Type::Str(None);
    pub const DURATION: Type = Type::Duration(Bounds::NONE);
    pub const PERCENT: Type = Type::Percent(Bounds::NONE);
    pub const SIZE: Type = Type::Size(Bounds::NONE);

    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }

    pub fn map(value: Type) -> Type {
        Type::Map(Arc::new(value))
    }

    pub fn literal(text: &str) -> Type {
        Type::Literal(Arc::from(text))
    }

    /// A record whose fields are all there.
    pub fn record<'a>(fields: impl IntoIterator<Item = (&'a str, Type)>) -> Type {
        let fields = fields
            .into_iter()
            .map(|(name, ty)| {
                let part = Part {
                    ty,
                    optional: false,
                };
                (Arc::from(name), part)
            })
            .collect();
        Type::Record(Arc::new(Record { fields }))
    }

    /// `T?`, with the marks in their order: secret outside, nullable inside, never twice.
    pub fn nullable(self) -> Type {
        match self {
            Type::Unknown | Type::Any | Type::Null | Type::Nullable(_) => self,
            Type::Never => Type::Null,
            Type::Secret(inner) => Type::Secret(Arc::new((*inner).clone().nullable())),
            other => Type::Nullable(Arc::new(other)),
        }
    }

    /// Marked as secret when `secret`.
    pub fn sealed(self, secret: bool) -> Type {
        match self {
            Type::Secret(_) | Type::Unknown => self,
            other if secret => Type::Secret(Arc::new(other)),
            other => other,
        }
    }

    /// Without the mark, and whether it was there.
    pub fn unsealed(self) -> (Type, bool) {
        match self {
            Type::Secret(inner) => ((*inner).clone(), true),
            other => (other, false),
        }
    }

    /// Without `null`, the secret mark kept.
    pub fn without_null(self) -> Type {
        match self {
            Type::Nullable(inner) => (*inner).clone(),
            Type::Null => Type::Never,
            Type::Secret(inner) => (*inner).clone().without_null().sealed(true),
            other => other,
        }
    }

    /// Without `unset`, and whether it was a possibility.
    pub fn without_unset(self) -> (Type, bool) {
        match self {
            Type::Unset => (Type::Never, true),
            Type::Nullable(inner) => {
                let (inner, unset) = (*inner).clone().without_unset();
                (inner.nullable(), unset)
            }
            Type::Secret(inner) => {
                let (inner, unset) = (*inner).clone().without_unset();
                (inner.sealed(true), unset)
            }
            Type::Union(members) if members.iter().any(|m| matches!(m, Type::Unset)) => {
                let rest = members
                    .iter()
                    .filter(|m| !matches!(m, Type::Unset))
                    .cloned();
                (Type::join(rest), true)
            }
            other => (other, false),
        }
    }

    pub fn may_be_null(&self) -> bool {
        match self {
            Type::Null | Type::Nullable(_) => true,
            Type::Secret(inner) => inner.may_be_null(),
            _ => false,
        }
    }

    /// Nothing can be said about it, so nothing is.
    pub fn is_loose(&self) -> bool {
        match self {
            Type::Unknown | Type::Any | Type::Never => true,
            Type::Secret(inner) | Type::Nullable(inner) => inner.is_loose(),
            _ => false,
        }
    }

    pub fn is_text(&self) -> bool {
        match self {
            Type::Str(_) | Type::Literal(_) | Type::Link | Type::Enum(_) => true,
            Type::Union(members) => members.iter().all(Type::is_text),
            _ => false,
        }
    }

    pub fn is_number(&self) -> bool {
        match self {
            Type::Int(_) | Type::Number(_) => true,
            Type::Union(members) => members.iter().all(Type::is_number),
            _ => false,
        }
    }

    /// Whether a secret is in it, at any depth.
    pub fn holds_secret(&self) -> bool {
        self.finds_secret(&mut HashSet::new())
    }

    /// Types share their parts: each record is looked at once.
    fn finds_secret(&self, seen: &mut HashSet<*const Record>) -> bool {
        match self {
            Type::Secret(_) => true,
            Type::List(inner) | Type::Map(inner) | Type::Nullable(inner) => {
                inner.finds_secret(seen)
            }
            Type::Record(record) => {
                seen.insert(Arc::as_ptr(record))
                    && record.fields.values().any(|p| p.ty.finds_secret(seen))
            }
            Type::Union(members) => members.iter().any(|m| m.finds_secret(seen)),
            _ => false,
        }
    }

    /// The text, where only one is possible: literals, and whole numbers as interpolation prints them.
    pub fn constant_text(&self) -> Option<Arc<str>> {
        match self {
            Type::Literal(text) => Some(Arc::clone(text)),
            Type::Int(bounds) => bounds.constant().map(|n| Arc::from(n.to_string())),
            _ => None,
        }
    }

    /// Constants widened to their type: what an author would declare.
    pub fn widened(self) -> Type {
        match self {
            Type::Int(_) => Type::INT,
            Type::Number(_) => Type::NUMBER,
            Type::Literal(_) => Type::STR,
            Type::Duration(_) => Type::DURATION,
            Type::Percent(_) => Type::PERCENT,
            Type::Size(_) => Type::SIZE,
            Type::List(inner) => Type::list((*inner).clone().widened()),
            Type::Map(inner) => Type::map((*inner).clone().widened()),
            other => other,
        }
    }
}

impl PartialEq for Type {
    fn eq(&self, other: &Type) -> bool {
        use Type::*;
        match (self, other) {
            (Unknown, Unknown) | (Any, Any) | (Never, Never) | (Null, Null) | (Unset, Unset) => {
                true
            }
            (Bool, Bool) | (Link, Link) | (Timestamp, Timestamp) => true,
            (Int(a), Int(b)) | (Duration(a), Duration(b)) => a == b,
            (Number(a), Number(b)) | (Percent(a), Percent(b)) => a == b,
            (Size(a), Size(b)) => a == b,
            (Str(a), Str(b)) => a == b,
            (Literal(a), Literal(b)) => a == b,
            (Enum(a), Enum(b)) => Arc::ptr_eq(a, b) || a.values == b.values,
            (List(a), List(b))
            | (Map(a), Map(b))
            | (Nullable(a), Nullable(b))
            | (Secret(a), Secret(b)) => Arc::ptr_eq(a, b) || a == b,
            (Record(a), Record(b)) => Arc::ptr_eq(a, b) || a == b,
            (Schema(a), Schema(b)) => a == b,
            (Inline(a), Inline(b)) => Arc::ptr_eq(a, b),
            (Union(a), Union(b)) => a == b,
            _ => false,
        }
    }
}
