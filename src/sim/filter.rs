//! List filters: conjunctions of comparisons, in both syntaxes of Compute Engine.
//!
//! `labels.role=stream-manager`, `(name eq "sm-.*") (status ne RUNNING)`, `a = 1 AND b : x`.
//! What is written otherwise is refused, rather than answered with everything.

use serde_json::Value as Json;

use super::fault::Fault;

enum Test {
    Equal,
    Unequal,
    /// Old syntax: the whole value matches the expression.
    Matches,
    MatchesNot,
    /// `:` contains.
    Has,
}

pub struct Filter {
    terms: Vec<(String, Test, String)>,
}

impl Filter {
    /// # Errors
    /// 400 for what is no conjunction of simple comparisons.
    pub fn parse(text: &str) -> Result<Filter, Fault> {
        let refuse = || Fault::invalid("filter", text, "Invalid list filter expression.");
        let mut words = tokens(text).into_iter().peekable();
        let mut terms = Vec::new();
        while let Some(field) = words.next() {
            if matches!(field.as_str(), "AND" | "(" | ")") {
                continue;
            }
            if matches!(field.as_str(), "OR" | "NOT") {
                return Err(refuse());
            }
            let test = match words.next().as_deref() {
                Some("=") => Test::Equal,
                Some("!=") => Test::Unequal,
                Some("eq" | "=~" | "~") => Test::Matches,
                Some("ne" | "!~") => Test::MatchesNot,
                Some(":") => Test::Has,
                _ => return Err(refuse()),
            };
            terms.push((field, test, words.next().ok_or_else(refuse)?));
        }
        Ok(Filter { terms })
    }

    pub fn accepts(&self, item: &Json) -> bool {
        self.terms.iter().all(|(field, test, wanted)| {
            let found = text_of(item, field);
            match test {
                Test::Equal => found.as_deref() == Some(wanted),
                Test::Unequal => found.as_deref() != Some(wanted),
                Test::Matches => whole_match(found.as_deref(), wanted),
                Test::MatchesNot => !whole_match(found.as_deref(), wanted),
                Test::Has if wanted == "*" => found.is_some(),
                Test::Has => found.is_some_and(|f| f.contains(wanted.as_str())),
            }
        })
    }
}

fn text_of(item: &Json, field: &str) -> Option<String> {
    let value = field.split('.').try_fold(item, |at, name| at.get(name))?;
    Some(match value {
        Json::String(s) => s.clone(),
        other => other.to_string(),
    })
}

fn whole_match(found: Option<&str>, pattern: &str) -> bool {
    let found = found.unwrap_or("");
    // Old gcloud writes `\b` and escaped hyphens, which the expression library accepts as well.
    regex::Regex::new(&format!("^(?:{})$", pattern.replace("\\-", "-")))
        .map_or(found == pattern, |r| r.is_match(found))
}

fn tokens(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' | ')' => out.push(c.to_string()),
            '"' | '\'' => {
                let mut word = String::new();
                for next in chars.by_ref() {
                    if next == c {
                        break;
                    }
                    word.push(next);
                }
                out.push(word);
            }
            '=' | '!' | '~' | ':' => {
                let mut word = c.to_string();
                while let Some(next) = chars.next_if(|n| matches!(n, '=' | '~')) {
                    word.push(next);
                }
                out.push(word);
            }
            _ => {
                let mut word = c.to_string();
                while let Some(next) = chars.next_if(|n| {
                    !n.is_whitespace() && !matches!(n, '(' | ')' | '=' | '!' | '~' | ':' | '"')
                }) {
                    word.push(next);
                }
                out.push(word);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn accepts(filter: &str, item: Json) -> bool {
        Filter::parse(filter)
            .map(|f| f.accepts(&item))
            .unwrap_or(false)
    }

    #[test]
    fn both_syntaxes() {
        let item =
            json!({"name": "sm-1", "status": "RUNNING", "labels": {"role": "x"}, "progress": 100});
        assert!(accepts("labels.role=x", item.clone()));
        assert!(accepts(
            "labels.role = \"x\" AND status = RUNNING",
            item.clone()
        ));
        assert!(accepts(
            "(name eq \"sm-.*\") (status ne STOPPED)",
            item.clone()
        ));
        assert!(accepts("name:sm", item.clone()));
        assert!(accepts("progress=100", item.clone()));
        assert!(!accepts("name != sm-1", item.clone()));
        assert!(Filter::parse("a = 1 OR b = 2").is_err());
        assert!(Filter::parse("name").is_err());
    }
}
