//! What an error names: the permission, the API, the quota, who uses the resource, the fields.
//!
//! Google gives these in `details` (`google.rpc.ErrorInfo`, `QuotaFailure`, `BadRequest`, Compute
//! Engine's `errorDetails[]`), or in the sentence only; details win.

use serde_json::Value as Json;

use super::error::{ApiError, ErrorClass, sanitised};

/// How much of a name is shown.
const NAME_LENGTH: usize = 200;

/// The advice of the error's class, with what the error names.
pub fn advice(error: &ApiError) -> String {
    let mut out = String::new();
    let mut rest = error.class.policy().advice;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (slot, behind) = after.split_once('}').unwrap_or((after, ""));
        let (name, otherwise) = slot.split_once('|').unwrap_or((slot, ""));
        match named(error, name) {
            Some(words) => {
                let gap = if words.starts_with(' ') { " " } else { "" };
                out.push_str(gap);
                out.push_str(&sanitised(&words, NAME_LENGTH));
            }
            None => out.push_str(otherwise),
        }
        rest = behind;
    }
    out + rest
}

fn named(error: &ApiError, slot: &str) -> Option<String> {
    match slot {
        "permission" => permission(error).map(|p| format!("`{p}`")),
        "on" => permission_target(error).map(|r| format!(" on `{r}`")),
        "api" => api(error),
        "project" => project(error).map(|p| format!(" --project {p}")),
        "quota" => quota(error),
        "zone" => detail(error, "zone")
            .or_else(|| between(&error.message, "zones/", '\''))
            .map(|z| format!("`{z}`")),
        "user" => user(error).map(|u| format!("`{u}`, which uses it")),
        _ => None,
    }
}

/// `compute.images.create`
fn permission(error: &ApiError) -> Option<String> {
    detail(error, "permission").or_else(|| {
        quoted(&error.message).find(|word| {
            word.split('.').count() >= 3 && word.chars().all(|c| c.is_alphanumeric() || c == '.')
        })
    })
}

/// On which resource the permission is missing.
fn permission_target(error: &ApiError) -> Option<String> {
    detail(error, "resource").or_else(|| quoted(&error.message).find(|word| word.contains('/')))
}

/// `compute.googleapis.com`
fn api(error: &ApiError) -> Option<String> {
    let service = detail(error, "service").or_else(|| {
        let words = error.message.split([' ', '/', '\'', '"', '`', ',']);
        let mut names = words.filter(|w| w.ends_with(".googleapis.com"));
        names.next().map(str::to_owned)
    })?;
    // It becomes part of a command that a person may copy.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    service.chars().all(plain).then_some(service)
}

fn project(error: &ApiError) -> Option<String> {
    let consumer = detail(error, "consumer").or_else(|| {
        let after = error.message.split_once("project ")?.1;
        after.split(' ').next().map(str::to_owned)
    })?;
    let id = consumer.strip_prefix("projects/").unwrap_or(&consumer);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == ':';
    (!id.is_empty() && id.chars().all(plain)).then(|| id.to_owned())
}

/// ``quota `CPUS` (limit 24, us-central1)``
fn quota(error: &ApiError) -> Option<String> {
    let info = objects(&error.details)
        .find_map(|o| o.get("quotaInfo"))
        .unwrap_or(&Json::Null);
    let text = |name: &str| scalar(info.get(name)?);
    let message = &error.message;
    let metric = text("metricName")
        .or_else(|| detail(error, "quota_metric"))
        .or_else(|| between(message, "Quota '", '\''))
        .or_else(|| between(message, "quota metric '", '\''))?;
    let name = text("limitName")
        .or_else(|| detail(error, "quota_limit"))
        .or_else(|| between(message, "and limit '", '\''));
    let limit = text("limit")
        .or_else(|| detail(error, "quota_limit_value"))
        .or_else(|| {
            let number = between(message, "Limit: ", ' ')?;
            Some(number.trim_end_matches('.').to_owned())
        });
    let region = info
        .pointer("/dimensions/region")
        .and_then(scalar)
        .or_else(|| detail(error, "quota_location"))
        .or_else(|| {
            let region = between(message, "in region ", ' ')?;
            Some(region.trim_end_matches('.').to_owned())
        });
    let more: Vec<String> = [
        name.filter(|n| *n != metric).map(|n| format!("`{n}`")),
        limit.map(|l| format!("limit {}", l.strip_suffix(".0").unwrap_or(&l))),
        region,
    ]
    .into_iter()
    .flatten()
    .collect();
    Some(match more.is_empty() {
        true => format!("quota `{metric}`"),
        false => format!("quota `{metric}` ({})", more.join(", ")),
    })
}

/// Who uses the resource that is in use.
fn user(error: &ApiError) -> Option<String> {
    between(&error.message, "already being used by '", '\'')
}

/// The fields that an invalid request is wrong in, as paths: `settings.ipConfiguration`, `disks[0].source`.
/// The surest first; words of the sentence that only look like fields come last.
pub fn fields(error: &ApiError) -> Vec<String> {
    if !matches!(error.class, ErrorClass::Invalid | ErrorClass::NotFound) {
        return Vec::new();
    }
    let message = &error.message;
    let mut found = Vec::new();
    let violations = objects(&error.details)
        .filter_map(|o| o.get("fieldViolations")?.as_array())
        .flatten();
    let unknown = between(message, "Unknown name \"", '"');
    for field in violations
        .filter_map(|v| v.get("field"))
        .filter_map(Json::as_str)
    {
        if let Some(name) = &unknown {
            found.push(format!("{field}.{name}"));
        }
        found.push(field.to_owned());
    }
    if let Some(name) = unknown {
        found.extend(between(message, "at '", '\'').map(|at| format!("{at}.{name}")));
        found.push(name);
    }
    let entries = objects(&error.details).filter(|o| o["locationType"] != "header");
    found.extend(entries.filter_map(|o| scalar(o.get("location")?)));
    for mark in [
        "field '", "Field '", "field \"", "field `", "Field: ", "field: ",
    ] {
        let end = match mark.chars().next_back() {
            Some(' ') | None => ' ',
            Some(quote) => quote,
        };
        found.extend(between(message, mark, end));
    }
    found.extend(quoted(message).filter(|w| is_path(w)));
    let bare = message.split([' ', ',', ';', '(', ')', ':']);
    let dotted = bare.map(|w| w.trim_end_matches('.')).filter(|w| {
        w.contains('.') && w.starts_with(|c: char| c.is_ascii_lowercase()) && is_path(w)
    });
    found.extend(dotted.map(str::to_owned));
    let mut paths: Vec<String> = Vec::new();
    for path in found.iter().map(|f| normal(f)).filter(|p| !p.is_empty()) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

fn is_path(word: &str) -> bool {
    !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._[]".contains(c))
}

/// Without `resource.`, in camel case: `settings.ip_configuration` is `settings.ipConfiguration`.
fn normal(field: &str) -> String {
    let mut field = field.trim().trim_end_matches('.');
    for holder in ["resource.", "body.", "request."] {
        field = field.strip_prefix(holder).unwrap_or(field);
    }
    let mut out = String::new();
    let mut upper = false;
    for c in field.chars() {
        match c {
            '_' if !out.is_empty() && !out.ends_with('.') => upper = true,
            c if std::mem::take(&mut upper) => out.extend(c.to_uppercase()),
            c => out.push(c),
        }
    }
    out
}

/// A value of `google.rpc.ErrorInfo.metadata`, or of Compute Engine's `errorInfo.metadatas`.
fn detail(error: &ApiError, name: &str) -> Option<String> {
    objects(&error.details).find_map(|item| {
        let holders = [
            "/metadata",
            "/metadatas",
            "/errorInfo/metadata",
            "/errorInfo/metadatas",
        ];
        holders
            .iter()
            .find_map(|at| scalar(item.pointer(at)?.get(name)?))
            .filter(|text| !text.is_empty())
    })
}

fn objects(details: &Json) -> impl Iterator<Item = &Json> {
    details.as_array().into_iter().flatten()
}

fn scalar(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What stands between a mark and the next `end`, or the end of the text.
fn between(text: &str, mark: &str, end: char) -> Option<String> {
    let after = text.split_once(mark)?.1;
    let found = after.split(end).next()?.trim();
    (!found.is_empty()).then(|| found.to_owned())
}

/// What stands in quotes of any kind. An apostrophe inside a word opens none.
fn quoted(text: &str) -> impl Iterator<Item = String> + use<> {
    let mut found = Vec::new();
    let mut open: Option<(char, String)> = None;
    let mut before = ' ';
    for c in text.chars() {
        open = match open {
            Some((quote, word)) if c == quote => {
                found.push(word);
                None
            }
            Some((quote, mut word)) => {
                word.push(c);
                Some((quote, word))
            }
            None if matches!(c, '\'' | '"' | '`') && !before.is_alphanumeric() => {
                Some((c, String::new()))
            }
            None => None,
        };
        before = c;
    }
    found.into_iter()
}

#[cfg(test)]
#[path = "named_tests.rs"]
mod tests;
