//! Partial answers: the `fields` parameter that every Google API takes.
//!
//! Source: the API descriptions ("Selector specifying which fields to include in a partial response") and
//! Google's page on partial responses: `items(name,id),nextPageToken`, `items/name`, `*`.

use super::model::rules::Rule;
use serde_json::{Map, Value as Json};

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["*"],
    says: "`fields` selects parts of an answer",
    source: "Google, \"Partial responses\"",
    test: "answers_have_the_fields_and_the_version_that_are_asked_for",
}];

/// A tree of wanted fields; an empty one wants everything below.
#[derive(Debug, Default, PartialEq)]
pub struct Selector(Vec<(String, Selector)>);

impl Selector {
    /// Reads a selector; none when it cannot be read.
    pub fn parse(text: &str) -> Option<Selector> {
        let chars: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        let mut at = 0;
        let selector = list(&chars, &mut at, 0)?;
        (at == chars.len()).then_some(selector)
    }

    /// What of `json` is wanted.
    pub fn of(&self, json: Json) -> Json {
        if self.0.is_empty() {
            return json;
        }
        match json {
            Json::Object(fields) => {
                let mut out = Map::new();
                for (name, value) in fields {
                    let wanted = self.0.iter().find(|(n, _)| *n == name || n == "*");
                    if let Some((_, below)) = wanted {
                        out.insert(name, below.of(value));
                    }
                }
                Json::Object(out)
            }
            Json::Array(items) => Json::Array(items.into_iter().map(|i| self.of(i)).collect()),
            other => other,
        }
    }
}

/// Deeper selectors are refused; no answer is that deep.
const DEEPEST: usize = 32;

fn list(chars: &[char], at: &mut usize, depth: usize) -> Option<Selector> {
    let mut out = Vec::new();
    loop {
        out.push(field(chars, at, depth)?);
        match chars.get(*at) {
            Some(',') => *at += 1,
            _ => return Some(Selector(out)),
        }
    }
}

fn field(chars: &[char], at: &mut usize, depth: usize) -> Option<(String, Selector)> {
    if depth > DEEPEST {
        return None;
    }
    let mut name = String::new();
    while let Some(c) = chars.get(*at).filter(|c| !",/()".contains(**c)) {
        name.push(*c);
        *at += 1;
    }
    if name.is_empty() {
        return None;
    }
    let below = match chars.get(*at) {
        Some('/') => {
            *at += 1;
            Selector(vec![field(chars, at, depth + 1)?])
        }
        Some('(') => {
            *at += 1;
            let inner = list(chars, at, depth + 1)?;
            if chars.get(*at) != Some(&')') {
                return None;
            }
            *at += 1;
            inner
        }
        _ => Selector::default(),
    };
    Some((name, below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn part(selector: &str, json: Json) -> Json {
        Selector::parse(selector).expect("a selector").of(json)
    }

    #[test]
    fn what_is_named_stays() {
        let list = json!({"kind": "k", "items": [{"name": "a", "id": 1, "x": {"y": 2, "z": 3}}], "nextPageToken": "t"});
        assert_eq!(
            part("items(name,x/y),nextPageToken", list.clone()),
            json!({"items": [{"name": "a", "x": {"y": 2}}], "nextPageToken": "t"})
        );
        assert_eq!(
            part("items/name", list.clone()),
            json!({"items": [{"name": "a"}]})
        );
        assert_eq!(part("*", list.clone()), list);
        assert_eq!(
            part("items/*/y", list.clone()),
            json!({"items": [{"name": "a", "id": 1, "x": {"y": 2}}]})
        );
        assert_eq!(Selector::parse("items("), None);
        assert_eq!(Selector::parse(""), None);
    }
}
