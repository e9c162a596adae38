//! When two single values mean the same.

use serde_json::Value as Json;

use super::super::Kind;
use super::super::coerce::duration_nanos;
use crate::world::Timestamp;

/// What is known about the field in which a value stands.
#[derive(Clone, Copy, Default)]
pub(super) struct Leaf<'a> {
    pub owner: &'a str,
    pub name: &'a str,
    pub reference: bool,
    pub default: Option<&'a Json>,
}

/// Values that a service takes and answers under another name: type, field, both names.
const SYNONYMS: &[(&str, &str, &str, &str)] = &[
    // gcloud calls ONLY_UP the legacy synonym of ONLY_SCALE_OUT.
    (
        "compute.AutoscalingPolicy",
        "mode",
        "ONLY_UP",
        "ONLY_SCALE_OUT",
    ),
];

/// Null, or what an absent field means: false, zero, empty.
pub(super) fn is_nothing(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::Bool(b) => !b,
        Json::Number(n) => n.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty() || text == "0",
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.values().all(is_nothing),
    }
}

pub(super) fn equal(kind: &Kind, leaf: Leaf<'_>, wanted: &Json, found: &Json) -> bool {
    match (wanted.is_null(), found.is_null(), leaf.default) {
        (true, true, _) => true,
        (false, true, Some(default)) => present(kind, leaf, wanted, default),
        (true, false, Some(default)) => present(kind, leaf, default, found) || is_nothing(found),
        (false, true, None) => is_nothing(wanted),
        (true, false, None) => is_nothing(found),
        (false, false, _) => present(kind, leaf, wanted, found),
    }
}

fn present(kind: &Kind, leaf: Leaf<'_>, wanted: &Json, found: &Json) -> bool {
    if wanted == found {
        return true;
    }
    match kind {
        Kind::Int { .. } => match (whole(wanted), whole(found)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        },
        Kind::Number { .. } => match (wanted.as_f64(), found.as_f64()) {
            // Fields of the format float come back with the digits of an f32.
            (Some(a), Some(b)) => a == b || a as f32 == b as f32,
            _ => false,
        },
        Kind::String { format, .. } => match (wanted.as_str(), found.as_str()) {
            (Some(a), Some(b)) => same_text(format.as_deref(), leaf, a, b),
            _ => false,
        },
        _ => loosely(leaf, wanted, found),
    }
}

/// Fields of any kind: numbers equal their text, links are links, objects are compared by what was
/// written.
fn loosely(leaf: Leaf<'_>, wanted: &Json, found: &Json) -> bool {
    match (wanted, found) {
        (Json::String(a), Json::String(b)) => same_text(None, leaf, a, b),
        (Json::Object(a), Json::Object(b)) => a
            .iter()
            .all(|(key, value)| loosely(leaf, value, b.get(key).unwrap_or(&Json::Null))),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| loosely(leaf, a, b))
        }
        (Json::Null, other) | (other, Json::Null) => is_nothing(other),
        (a, b) => a == b || (whole(a).is_some() && whole(a) == whole(b)),
    }
}

fn whole(json: &Json) -> Option<i128> {
    match json {
        Json::String(text) => text.parse().ok(),
        Json::Number(n) => match n.as_i64() {
            Some(n) => Some(n.into()),
            None => n.as_u64().map(i128::from),
        },
        _ => None,
    }
}

fn same_text(format: Option<&str>, leaf: Leaf<'_>, a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let by_format = match format {
        Some("google-duration") => pair(duration_nanos(a), duration_nanos(b)),
        Some("google-datetime" | "date-time") => pair(Timestamp::parse(a), Timestamp::parse(b)),
        Some("byte") => base64_form(a) == base64_form(b),
        _ => false,
    };
    let name = leaf.name;
    let synonym = |row: &(&str, &str, &str, &str)| {
        (row.0, row.1) == (leaf.owner, name) && [(row.2, row.3), (row.3, row.2)].contains(&(a, b))
    };
    by_format
        || (name.to_lowercase().contains("port") && port_range(a) == port_range(b))
        || (name == "IPAddress" && same_address(a, b))
        || (holds_ranges(leaf) && single_host(a) == single_host(b))
        || (leaf.owner == "compute.ServiceAccount" && name == "email" && same_account(a, b))
        || (leaf.reference && same_resource(a, b))
        || (is_link(a) && is_link(b) && (is_url(a) || is_url(b)) && same_resource(a, b))
        || SYNONYMS.iter().any(synonym)
}

fn pair<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.is_some() && a == b
}

/// Services answer in either alphabet, with and without padding.
fn base64_form(text: &str) -> String {
    text.trim_end_matches('=')
        .replace('-', "+")
        .replace('_', "/")
}

/// `443` as `443-443`.
fn port_range(text: &str) -> (&str, &str) {
    text.split_once('-').unwrap_or((text, text))
}

fn holds_ranges(leaf: Leaf<'_>) -> bool {
    leaf.name.to_lowercase().ends_with("ranges")
        || (leaf.owner, leaf.name) == ("sqladmin.AclEntry", "value")
}

/// `203.0.113.7/32` as `203.0.113.7`.
fn single_host(text: &str) -> &str {
    text.strip_suffix("/32").unwrap_or(text)
}

/// A forwarding rule is given the URL of an address and answers the address itself, which cannot be
/// looked up here: a literal is taken to be the address that the URL of an addresses collection
/// names. Two literals, and two URLs, must agree.
fn same_address(a: &str, b: &str) -> bool {
    let literal = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
    let of_addresses = |text: &str| text.contains("/addresses/");
    (literal(a) && of_addresses(b)) || (of_addresses(a) && literal(b)) || same_resource(a, b)
}

/// A machine made with `default` answers the address of the project's default account.
fn same_account(a: &str, b: &str) -> bool {
    let default = |text: &str| text.ends_with("-compute@developer.gserviceaccount.com");
    (a == "default" && default(b)) || (default(a) && b == "default")
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://www.googleapis.com/")
        || text.starts_with("https://compute.googleapis.com/")
        || text.starts_with("projects/")
}

/// A URL, or the form of one within a project.
fn is_link(text: &str) -> bool {
    is_url(text)
        || ["global/", "regions/", "zones/"]
            .iter()
            .any(|p| text.starts_with(p))
}

/// Whether two links name one resource: any host and version, project-relative forms
/// (`zones/a/disks/d`), and a bare name, which equals the last part of a link. Project numbers and
/// ids are not told to be the same.
pub fn same_resource(a: &str, b: &str) -> bool {
    let (a, b) = (resource_path(a), resource_path(b));
    if a.is_empty() || b.is_empty() {
        return a == b;
    }
    if a.starts_with("projects/") && b.starts_with("projects/") {
        return a == b;
    }
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    match long.strip_suffix(short) {
        Some(rest) => rest.is_empty() || rest.ends_with('/'),
        None => false,
    }
}

/// What stands from `projects/` on, or the relative form without host and version.
fn resource_path(link: &str) -> &str {
    let path = match link.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => link.trim_start_matches('/'),
    };
    if path.starts_with("projects/") {
        return path;
    }
    match path.find("/projects/") {
        Some(at) => &path[at + 1..],
        None => path,
    }
}
