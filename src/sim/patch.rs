//! Changing JSON: merge patches and field masks.

use serde_json::{Value as Json, json};

use super::world::Object;

/// JSON merge patch (RFC 7396): null removes, lists are replaced, objects merge.
pub fn merge_into(target: &mut Object, patch: Object) {
    for (name, value) in patch {
        match value {
            Json::Null => {
                target.remove(&name);
            }
            Json::Object(inner) => match target.get_mut(&name) {
                Some(Json::Object(existing)) => merge_into(existing, inner),
                _ => {
                    let mut fresh = Object::new();
                    merge_into(&mut fresh, inner);
                    target.insert(name, Json::Object(fresh));
                }
            },
            other => {
                target.insert(name, other);
            }
        }
    }
}

/// Sets exactly the fields of a field mask, which may be written in snake case.
pub fn apply_mask(target: &mut Object, sent: &Object, mask: &str) {
    for path in mask.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let names: Vec<String> = path.split('.').map(camel).collect();
        set_path(target, Some(sent), &names);
    }
}

fn set_path(target: &mut Object, sent: Option<&Object>, names: &[String]) {
    let Some((first, rest)) = names.split_first() else {
        return;
    };
    let given = sent.and_then(|s| s.get(first));
    if rest.is_empty() {
        match given {
            Some(value) if !value.is_null() => target.insert(first.clone(), value.clone()),
            _ => target.remove(first),
        };
        return;
    }
    let inner = target.entry(first.clone()).or_insert_with(|| json!({}));
    if let Json::Object(inner) = inner {
        set_path(inner, given.and_then(Json::as_object), rest);
    }
}

/// `display_name` as `displayName`.
pub fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                out.extend(c.to_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: Json) -> Object {
        json.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn merging_removes_replaces_and_merges() {
        let mut target = object(json!({"a": {"b": 1, "c": 2}, "d": [1, 2], "e": 5}));
        merge_into(
            &mut target,
            object(json!({"a": {"b": null, "x": {"y": null}}, "d": [3], "e": null})),
        );
        assert_eq!(
            Json::Object(target),
            json!({"a": {"c": 2, "x": {}}, "d": [3]})
        );
    }

    #[test]
    fn a_mask_sets_what_it_names() {
        let mut target =
            object(json!({"displayName": "a", "labels": {"x": "1", "y": "2"}, "z": 1}));
        let sent = object(json!({"displayName": "b", "labels": {"x": "9"}, "z": 2}));
        apply_mask(&mut target, &sent, "display_name,labels.x,labels.y");
        assert_eq!(
            Json::Object(target),
            json!({"displayName": "b", "labels": {"x": "9"}, "z": 1})
        );
    }
}
