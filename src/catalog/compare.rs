//! What a flow wrote against what the cloud says: only written leaves count, in normal form.

mod scalar;

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{Catalog, Field, Kind, ListKind, Schema, SchemaId};
pub use scalar::same_resource;
use scalar::{Leaf, equal, is_nothing};

/// One leaf, or one element of a list, that is not as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// `settings.ipConfiguration.authorizedNetworks[value=203.0.113.7/32]`
    pub path: String,
    /// Null: an element that is there and was not written.
    pub wanted: Json,
    /// Null: absent.
    pub found: Json,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    pub differences: Vec<Difference>,
    /// Written fields that the cloud takes and never shows again.
    pub not_comparable: Vec<String>,
}

/// The differences of [`compare`], with no list merged.
pub fn differences(
    catalog: &Catalog,
    id: &SchemaId,
    wanted: &Json,
    found: &Json,
) -> Vec<Difference> {
    compare(catalog, id, wanted, found, &BTreeSet::new()).differences
}

/// Compares what was written with what was found.
///
/// Leaves that were not written are left alone. Integers equal their text; links are compared by
/// [`same_resource`]; `443` equals `443-443`; an absent field equals its documented default, or else
/// zero, false and empty. Lists keep their order unless the catalogue knows better, and then their
/// elements are matched by key or as wholes. Elements that were not written are differences, except
/// in the lists named by `merged` (paths without positions: `settings.ipConfiguration.authorizedNetworks`).
pub fn compare(
    catalog: &Catalog,
    id: &SchemaId,
    wanted: &Json,
    found: &Json,
    merged: &BTreeSet<String>,
) -> Comparison {
    let mut walk = Walk {
        catalog,
        merged,
        out: Comparison::default(),
    };
    walk.schema(id, At::default(), wanted, found);
    walk.out
}

/// Where a comparison stands: the path with positions and keys, and the one without.
#[derive(Clone, Default)]
struct At {
    shown: String,
    plain: String,
}

impl At {
    fn field(&self, name: &str) -> At {
        let join = |path: &str| match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        At {
            shown: join(&self.shown),
            plain: join(&self.plain),
        }
    }

    fn element(&self, which: &str) -> At {
        At {
            shown: format!("{}[{which}]", self.shown),
            plain: self.plain.clone(),
        }
    }
}

struct Walk<'a> {
    catalog: &'a Catalog,
    merged: &'a BTreeSet<String>,
    out: Comparison,
}

impl Walk<'_> {
    fn differ(&mut self, at: At, wanted: &Json, found: &Json) {
        self.out.differences.push(Difference {
            path: at.shown,
            wanted: wanted.clone(),
            found: found.clone(),
        });
    }

    fn schema(&mut self, id: &SchemaId, at: At, wanted: &Json, found: &Json) {
        match self.catalog.schema(id) {
            Some(schema) => self.object(&schema, at, wanted, found),
            None => self.leaf(&Kind::Any, Leaf::default(), at, wanted, found),
        }
    }

    fn object(&mut self, schema: &Schema, at: At, wanted: &Json, found: &Json) {
        if let Some(kind) = &schema.other {
            return self.kind(kind, None, Leaf::default(), at, wanted, found);
        }
        let Json::Object(written) = wanted else {
            return self.leaf(&Kind::Any, Leaf::default(), at, wanted, found);
        };
        let owner = schema.id.to_string();
        for (name, wanted) in written {
            let at = at.field(name);
            let found = &found[name.as_str()];
            let Some(field) = schema.field(name) else {
                self.leaf(&Kind::Any, Leaf::default(), at, wanted, found);
                continue;
            };
            if field.input_only {
                self.out.not_comparable.push(at.shown);
                continue;
            }
            let leaf = Leaf {
                owner: &owner,
                name,
                reference: field.reference,
                default: field.default.as_ref(),
            };
            self.kind(&field.kind, Some(field), leaf, at, wanted, found);
        }
    }

    fn kind(
        &mut self,
        kind: &Kind,
        field: Option<&Field>,
        leaf: Leaf<'_>,
        at: At,
        wanted: &Json,
        found: &Json,
    ) {
        match (kind, wanted) {
            (Kind::Schema(id), _) => self.schema(id, at, wanted, found),
            (Kind::Inline(schema), _) => self.object(schema, at, wanted, found),
            (Kind::Map(element), Json::Object(written)) => {
                for (key, wanted) in written {
                    let at = at.field(key);
                    let value = &found[key.as_str()];
                    self.kind(element, None, leaf, at, wanted, value);
                }
            }
            (Kind::List(element), Json::Array(written)) => {
                let none = Vec::new();
                let there = match found {
                    Json::Array(items) => items,
                    Json::Null => &none,
                    _ => return self.differ(at, wanted, found),
                };
                let list = field.map_or(ListKind::Ordered, |f| f.list);
                let lists = Lists {
                    element,
                    leaf,
                    written,
                    there,
                };
                self.list(list, lists, at);
            }
            _ => self.leaf(kind, leaf, at, wanted, found),
        }
    }

    fn leaf(&mut self, kind: &Kind, leaf: Leaf<'_>, at: At, wanted: &Json, found: &Json) {
        if !equal(kind, leaf, wanted, found) {
            self.differ(at, wanted, found);
        }
    }

    fn list(&mut self, list: ListKind, lists: Lists<'_>, at: At) {
        let merged = self.merged.contains(&at.plain);
        match list {
            ListKind::KeyedBy(key) if lists.have(key) => self.keyed(key, lists, at, merged),
            ListKind::Ordered if !merged => self.ordered(lists, at),
            _ => self.set(lists, at, merged),
        }
    }

    fn ordered(&mut self, lists: Lists<'_>, at: At) {
        if lists.written.len() != lists.there.len() {
            let wanted = Json::Array(lists.written.to_vec());
            let found = Json::Array(lists.there.to_vec());
            return self.differ(at, &wanted, &found);
        }
        for (i, (wanted, found)) in lists.written.iter().zip(lists.there).enumerate() {
            let at = at.element(&i.to_string());
            self.kind(lists.element, None, lists.leaf, at, wanted, found);
        }
    }

    fn keyed(&mut self, key: &'static str, lists: Lists<'_>, at: At, merged: bool) {
        let mut taken = vec![false; lists.there.len()];
        for wanted in lists.written {
            let twin = (0..lists.there.len()).find(|i| {
                !taken[*i] && self.same_key(lists.element, key, wanted, &lists.there[*i])
            });
            let at = at.element(&format!("{key}={}", text(&wanted[key])));
            match twin {
                Some(i) => {
                    taken[i] = true;
                    self.kind(lists.element, None, lists.leaf, at, wanted, &lists.there[i]);
                }
                None => self.differ(at, wanted, &Json::Null),
            }
        }
        if !merged {
            self.extra(&lists, &taken, &at, Some(key));
        }
    }

    fn set(&mut self, lists: Lists<'_>, at: At, merged: bool) {
        let mut taken = vec![false; lists.there.len()];
        for (n, wanted) in lists.written.iter().enumerate() {
            let twin = (0..lists.there.len())
                .find(|i| !taken[*i] && self.agree(&lists, wanted, &lists.there[*i]));
            match twin {
                Some(i) => taken[i] = true,
                None => self.differ(at.element(&n.to_string()), wanted, &Json::Null),
            }
        }
        if !merged {
            self.extra(&lists, &taken, &at, None);
        }
    }

    fn extra(&mut self, lists: &Lists<'_>, taken: &[bool], at: &At, key: Option<&str>) {
        for (i, found) in lists.there.iter().enumerate().filter(|(i, _)| !taken[*i]) {
            let which = match key {
                Some(key) => format!("{key}={}", text(&found[key])),
                None => i.to_string(),
            };
            self.differ(at.element(&which), &Json::Null, found);
        }
    }

    fn agree(&self, lists: &Lists<'_>, wanted: &Json, found: &Json) -> bool {
        let mut inner = Walk {
            catalog: self.catalog,
            merged: self.merged,
            out: Comparison::default(),
        };
        inner.kind(
            lists.element,
            None,
            lists.leaf,
            At::default(),
            wanted,
            found,
        );
        inner.out.differences.is_empty()
    }

    /// Keys are compared as the fields that they are: a key may be a link.
    fn same_key(&self, element: &Kind, key: &str, wanted: &Json, found: &Json) -> bool {
        let schema = match element {
            Kind::Schema(id) => self.catalog.schema(id),
            Kind::Inline(schema) => Some(schema.clone()),
            _ => None,
        };
        let field = schema.as_ref().and_then(|s| s.field(key));
        let owner = schema
            .as_ref()
            .map(|s| s.id.to_string())
            .unwrap_or_default();
        let leaf = Leaf {
            owner: &owner,
            name: key,
            reference: field.is_some_and(|f| f.reference),
            default: None,
        };
        let kind = field.map_or(&Kind::Any, |f| &f.kind);
        equal(kind, leaf, &wanted[key], &found[key])
    }
}

#[derive(Clone, Copy)]
struct Lists<'a> {
    element: &'a Kind,
    leaf: Leaf<'a>,
    written: &'a [Json],
    there: &'a [Json],
}

impl Lists<'_> {
    /// Whether every written element has the key.
    fn have(&self, key: &str) -> bool {
        self.written.iter().all(|item| !is_nothing(&item[key]))
    }
}

fn text(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
