//! How two meanings of a step differ.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::catalog::compare::compare;
use crate::catalog::{Catalog, SchemaId};
use crate::journal::Meaning;

/// One field of a request, as it was and as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    pub path: String,
    pub old: Json,
    pub new: Json,
}

/// What tells two meanings apart; nothing of it: they are the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unlike {
    /// It is another kind of step, or about another thing.
    pub elsewhere: bool,
    pub fields: Vec<FieldChange>,
    /// Changed fields that the API takes and never shows.
    pub hidden: Vec<FieldChange>,
    /// Fields that the flow no longer writes.
    pub removed: Vec<String>,
    /// Resources that it names and that were made anew under the same name.
    pub remade: Vec<String>,
    /// Its conditions read otherwise.
    pub guards: bool,
}

impl Unlike {
    /// Whether nothing that was asked for differs.
    pub fn is_same(&self) -> bool {
        !self.elsewhere
            && self.fields.is_empty()
            && self.hidden.is_empty()
            && self.remade.is_empty()
    }

    /// Whether the step asks for the same, of things that are not the same any more.
    pub fn is_remade_only(&self) -> bool {
        !self.elsewhere
            && self.fields.is_empty()
            && self.hidden.is_empty()
            && !self.remade.is_empty()
    }
}

/// Compares under today's catalogue: numbers as text, links and defaults differ in form only.
pub fn unlike(catalog: &Catalog, old: &Meaning, new: &Meaning) -> Unlike {
    let mut found = Unlike {
        elsewhere: old.kind != new.kind || old.target != new.target,
        guards: old.guards != new.guards,
        ..Unlike::default()
    };
    for (link, incarnation) in &new.refs {
        if old
            .refs
            .get(link)
            .is_some_and(|before| before != incarnation)
        {
            found.remade.push(link.clone());
        }
    }
    match schema(catalog, &new.kind) {
        Some((schema, ensured)) => bodies(catalog, &schema, ensured, old, new, &mut found),
        None => found.fields = field_changes(&old.body, &new.body),
    }
    found
}

/// The type of a step's body, and whether fields left out of it are left alone.
fn schema(catalog: &Catalog, kind: &str) -> Option<(SchemaId, bool)> {
    match kind.split_once(' ')? {
        ("ensure", path) => Some((catalog.collection(path)?.resource.clone()?, true)),
        ("call" | "read", path) => Some((catalog.method(path)?.request.clone()?, false)),
        _ => None,
    }
}

fn bodies(
    catalog: &Catalog,
    schema: &SchemaId,
    ensured: bool,
    old: &Meaning,
    new: &Meaning,
    found: &mut Unlike,
) {
    let none = Default::default();
    let forth = compare(catalog, schema, &new.body, &old.body, &none);
    found.fields = forth
        .differences
        .into_iter()
        .map(|d| FieldChange {
            path: d.path,
            old: d.found,
            new: d.wanted,
        })
        .collect();
    let raw = field_changes(&old.body, &new.body);
    found.hidden = hidden(&raw, &forth.not_comparable);
    let back = compare(catalog, schema, &old.body, &new.body, &none);
    for difference in back.differences {
        let known = found.fields.iter().any(|f| f.path == difference.path);
        if known || !difference.found.is_null() {
            continue;
        }
        match ensured {
            true => found.removed.push(difference.path),
            false => found.fields.push(FieldChange {
                path: difference.path,
                old: difference.wanted,
                new: Json::Null,
            }),
        }
    }
    if !ensured {
        let also = hidden(&raw, &back.not_comparable);
        let new: Vec<FieldChange> = also
            .into_iter()
            .filter(|f| !found.hidden.contains(f))
            .collect();
        found.hidden.extend(new);
    }
}

/// Those of the changes that stand at, or below, fields that the API never shows.
fn hidden(raw: &[FieldChange], not_comparable: &[String]) -> Vec<FieldChange> {
    let plain: Vec<String> = not_comparable
        .iter()
        .map(|p| without_positions(p))
        .collect();
    raw.iter()
        .filter(|change| {
            let path = without_positions(&change.path);
            plain.iter().any(|p| {
                path.strip_prefix(p.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        })
        .cloned()
        .collect()
}

/// The hidden fields of an ensured body that are not what was written last.
pub fn hidden_changes(old: &Json, new: &Json, not_comparable: &[String]) -> Vec<FieldChange> {
    hidden(&field_changes(old, new), not_comparable)
}

fn without_positions(path: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    for c in path.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// Every leaf that differs, null standing for one that is missing.
pub fn field_changes(old: &Json, new: &Json) -> Vec<FieldChange> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    leaves("", old, &mut before);
    leaves("", new, &mut after);
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter_map(|path| {
            let old = before.get(path).cloned().unwrap_or(Json::Null);
            let new = after.get(path).cloned().unwrap_or(Json::Null);
            (old != new).then(|| FieldChange {
                path: path.clone(),
                old,
                new,
            })
        })
        .collect()
}

fn leaves(path: &str, json: &Json, out: &mut BTreeMap<String, Json>) {
    match json {
        Json::Object(fields) if !fields.is_empty() => fields.iter().for_each(|(name, field)| {
            let inner = match path {
                "" => name.clone(),
                path => format!("{path}.{name}"),
            };
            leaves(&inner, field, out);
        }),
        Json::Array(items) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                leaves(&format!("{path}[{i}]"), item, out);
            }
        }
        leaf => {
            out.insert(path.to_owned(), leaf.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(body: Json) -> Meaning {
        Meaning {
            kind: "ensure compute.images".into(),
            target: "GET i".into(),
            body,
            ..Meaning::default()
        }
    }

    fn found(old: Json, new: Json) -> Unlike {
        unlike(&Catalog::embedded(), &image(old), &image(new))
    }

    #[test]
    fn forms_of_one_value_are_no_change() {
        let same = found(
            json!({"diskSizeGb": "10", "sourceDisk": "projects/p/zones/z/disks/d"}),
            json!({"diskSizeGb": 10, "sourceDisk":
                "https://www.googleapis.com/compute/v1/projects/p/zones/z/disks/d"}),
        );
        assert!(same.is_same(), "{same:?}");
    }

    #[test]
    fn a_field_that_is_no_longer_written_is_left_alone() {
        let less = found(
            json!({"family": "f", "description": "d"}),
            json!({"family": "f"}),
        );
        assert!(less.is_same());
        assert_eq!(less.removed, ["description"]);
        let other = found(json!({"family": "f"}), json!({"family": "g"}));
        assert_eq!(other.fields.len(), 1);
        assert!(!other.is_same());
    }

    #[test]
    fn a_call_s_body_counts_whole() {
        let stop = |body: Json| Meaning {
            kind: "call compute.images.setLabels".into(),
            target: "POST l".into(),
            body,
            ..Meaning::default()
        };
        let both = json!({"labels": {"a": "1", "b": "2"}});
        let less = unlike(
            &Catalog::embedded(),
            &stop(both),
            &stop(json!({"labels": {"a": "1"}})),
        );
        assert_eq!(less.fields.len(), 1, "{less:?}");
    }

    #[test]
    fn the_same_name_with_another_incarnation_is_another_thing() {
        let with = |id: &str| Meaning {
            refs: [("projects/p/global/images/i".to_owned(), id.to_owned())].into(),
            ..image(json!({}))
        };
        let remade = unlike(&Catalog::embedded(), &with("1"), &with("2"));
        assert!(remade.is_remade_only());
        assert!(unlike(&Catalog::embedded(), &with("1"), &with("1")).is_same());
    }
}
