//! The least type that covers several: of the branches of an `if`, of `??`, of a list's elements.

use std::sync::Arc;

use super::{Part, Record, Type};

/// Above this many texts a union of literals is just text.
const MOST_LITERALS: usize = 24;

impl Type {
    pub fn join(types: impl IntoIterator<Item = Type>) -> Type {
        types.into_iter().fold(Type::Never, Type::or)
    }

    /// The least type that covers both.
    pub fn or(self, other: Type) -> Type {
        use Type::*;
        if self == other {
            return self;
        }
        match (self, other) {
            (Unknown, _) | (_, Unknown) => Unknown,
            (Secret(a), b) => (*a).clone().or(b.unsealed().0).sealed(true),
            (a, Secret(b)) => a.or((*b).clone()).sealed(true),
            (Never, t) | (t, Never) => t,
            (Any, _) | (_, Any) => Any,
            (Null, t) | (t, Null) => t.nullable(),
            (Nullable(a), b) => (*a).clone().or(b.without_null()).nullable(),
            (a, Nullable(b)) => a.or((*b).clone()).nullable(),
            (Int(a), Int(b)) => Int(a.hull(b)),
            (Number(a), Number(b)) => Number(a.hull(b)),
            (Int(_), Number(_)) | (Number(_), Int(_)) => Type::NUMBER,
            (Duration(a), Duration(b)) => Duration(a.hull(b)),
            (Percent(a), Percent(b)) => Percent(a.hull(b)),
            (Size(a), Size(b)) => Size(a.hull(b)),
            (Str(_), Str(_) | Literal(_) | Enum(_)) | (Literal(_) | Enum(_), Str(_)) => Type::STR,
            (Link, t) | (t, Link) if t.is_text() => Type::STR,
            (Enum(_), Literal(_)) | (Literal(_), Enum(_)) | (Enum(_), Enum(_)) => Type::STR,
            (List(a), List(b)) => Type::list((*a).clone().or((*b).clone())),
            (Map(a), Map(b)) => Type::map((*a).clone().or((*b).clone())),
            (Record(a), Record(b)) => merged(&a, &b),
            // `{}` is a map, too, of nothing.
            (map @ Map(_), Record(r)) | (Record(r), map @ Map(_)) if r.fields.is_empty() => map,
            (a, b) => union(a, b),
        }
    }
}

/// A record that covers both: what only one of them has may be missing.
fn merged(a: &Record, b: &Record) -> Type {
    let mut fields = a.fields.clone();
    for (name, part) in &mut fields {
        match b.fields.get(name) {
            Some(other) => {
                part.ty = part.ty.clone().or(other.ty.clone());
                part.optional |= other.optional;
            }
            None => part.optional = true,
        }
    }
    for (name, part) in &b.fields {
        if !fields.contains_key(name) {
            let part = Part {
                ty: part.ty.clone(),
                optional: true,
            };
            fields.insert(Arc::clone(name), part);
        }
    }
    Type::Record(Arc::new(Record { fields }))
}

fn union(a: Type, b: Type) -> Type {
    let mut members: Vec<Type> = Vec::new();
    for ty in [a, b] {
        match ty {
            Type::Union(more) => more.iter().for_each(|t| add(&mut members, t.clone())),
            other => add(&mut members, other),
        }
    }
    let literals = members
        .iter()
        .filter(|t| matches!(t, Type::Literal(_)))
        .count();
    if literals > MOST_LITERALS {
        members.retain(|t| !matches!(t, Type::Literal(_)));
        members.push(Type::STR);
    }
    match members.len() {
        1 => members.remove(0),
        _ => Type::Union(members.into()),
    }
}

fn add(members: &mut Vec<Type>, ty: Type) {
    let covered = members.iter().any(|m| {
        *m == ty || (matches!(m, Type::Str(None)) && matches!(ty, Type::Literal(_) | Type::Str(_)))
    });
    if covered {
        return;
    }
    let same_kind = members
        .iter()
        .position(|m| std::mem::discriminant(m) == std::mem::discriminant(&ty));
    match same_kind {
        Some(at) if !matches!(ty, Type::Literal(_) | Type::Schema(_) | Type::Inline(_)) => {
            let merged = members.remove(at).or(ty);
            members.push(merged);
        }
        _ => members.push(ty),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bounds, Type};

    #[test]
    fn branches_join_to_what_covers_them() {
        let int = |n| Type::Int(Bounds::exactly(n));
        assert_eq!(int(1).or(int(5)).to_string(), "int(1..5)");
        assert_eq!(
            Type::literal("a").or(Type::literal("b")).to_string(),
            "\"a\" | \"b\""
        );
        assert_eq!(Type::Null.or(Type::STR).to_string(), "string?");
        assert_eq!(
            Type::list(Type::Never)
                .or(Type::list(Type::Bool))
                .to_string(),
            "list<bool>"
        );
        assert_eq!(
            Type::record([("a", Type::INT)])
                .or(Type::record([("b", Type::INT)]))
                .to_string(),
            "{ a?: int, b?: int }"
        );
        assert_eq!(
            Type::STR.sealed(true).or(Type::INT).to_string(),
            "secret int | string"
                .to_string()
                .replace("int | string", "string | int")
        );
    }

    #[test]
    fn unset_is_taken_out_again() {
        let (ty, unset) = Type::list(Type::INT).or(Type::Unset).without_unset();
        assert_eq!((ty.to_string().as_str(), unset), ("list<int>", true));
    }
}
