//! References between resources: any form in, one form out.
//!
//! Clients send full URLs on any host (their endpoint override included), `projects/…`,
//! project-relative `zones/…`, and bare names where the API takes those; Google answers
//! `https://www.googleapis.com/compute/v1/projects/…` whatever the host of the call was.

use super::model::rules::Rule;
use serde_json::Value as Json;

/// What `r5flow sim --explain` tells of this file.
pub const RULES: &[Rule] = &[Rule {
    of: &["compute.*"],
    says: "references on any host, from `projects/` or `zones/` on; what they lead to must be there; what leads to no resource is malformed",
    source: "API descriptions; refusals in public issues",
    test: "names_and_references_do_not_lead_elsewhere",
}];

/// What every link of Compute Engine begins with, whatever host was called.
pub const LINK_ROOT: &str = "https://www.googleapis.com/compute/v1/";

/// The link to a Compute Engine resource: `projects/p/global/images/i` as a URL.
pub fn link(path: &str) -> String {
    format!("{LINK_ROOT}{path}")
}

/// The path from `projects/` on, of any form but a bare name; `None` when the text is no reference.
pub fn path_of(text: &str, project: &str) -> Option<String> {
    if text.len() > 2048 || text.contains(char::is_whitespace) {
        return None;
    }
    let rest = match text.split_once("://") {
        Some((scheme, rest)) => {
            let known = matches!(scheme, "http" | "https");
            let (_, path) = rest.split_once('/')?;
            let path = ["compute/v1/", "compute/beta/", "compute/alpha/"]
                .iter()
                .find_map(|prefix| path.strip_prefix(prefix))?;
            if !known {
                return None;
            }
            path
        }
        None => text
            .trim_start_matches('/')
            .trim_start_matches("compute/v1/")
            .trim_start_matches("compute/beta/")
            .trim_start_matches("compute/alpha/"),
    };
    if rest.starts_with("projects/") {
        let scope = rest.split('/').nth(2)?;
        let inside = matches!(scope, "global" | "zones" | "regions");
        return inside.then(|| rest.to_string());
    }
    let relative = ["global/", "zones/", "regions/"]
        .iter()
        .any(|scope| rest.starts_with(scope))
        && rest.split('/').count() >= 3
        || (text.starts_with("zones/") || text.starts_with("regions/"))
            && rest.split('/').count() == 2;
    relative.then(|| format!("projects/{project}/{rest}"))
}

/// The last segment of a reference or of a bare name.
pub fn last(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

/// The segment after `word`: `us-central1` after `regions`.
pub fn after<'a>(path: &'a str, word: &str) -> Option<&'a str> {
    let mut segments = path.split('/');
    segments.find(|s| *s == word)?;
    segments.next()
}

/// The project of a path that begins with `projects/`.
pub fn project_of(path: &str) -> Option<&str> {
    path.strip_prefix("projects/")?.split('/').next()
}

/// Fields whose text is the author's own, however much it looks like a reference.
const FREE_TEXT: &[&str] = &[
    "description",
    "value",
    "labels",
    "annotations",
    "name",
    "params",
];

/// Rewrites every reference below `json` into its link.
pub fn canonicalise(json: &mut Json, project: &str) {
    match json {
        Json::String(text) => {
            if let Some(path) = path_of(text, project) {
                *text = link(&path);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|v| canonicalise(v, project)),
        Json::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if !FREE_TEXT.contains(&name.as_str()) {
                    canonicalise(value, project);
                }
            }
        }
        _ => {}
    }
}

/// Fields that hold references and nothing else; other fields may hold any address (`scopes`, the bucket
/// of a raw disk, a redirect).
const REFERENCES: &[&str] = &[
    "backendService",
    "defaultService",
    "diskType",
    "group",
    "healthChecks",
    "instance",
    "instanceGroup",
    "instanceTemplate",
    "network",
    "networkAttachment",
    "resourcePolicies",
    "securityPolicy",
    "service",
    "sourceDisk",
    "sourceImage",
    "sourceInstance",
    "sourceSnapshot",
    "sourceTemplate",
    "sslCertificates",
    "sslPolicy",
    "subnetwork",
    "target",
    "targetPools",
    "urlMap",
];

/// A URL where a reference stands that leads to no resource of any API, with the path of its field.
pub fn malformed(json: &Json) -> Option<(String, String)> {
    astray(json, "", "resource".into())
}

fn astray(json: &Json, field: &str, place: String) -> Option<(String, String)> {
    match json {
        Json::String(text) => {
            let (_, rest) = text.split_once("://")?;
            let is_path = rest.split('/').skip(1).any(|part| part == "projects");
            (REFERENCES.contains(&field) && !is_path).then(|| (place, text.clone()))
        }
        Json::Array(items) => (items.iter().enumerate())
            .find_map(|(i, item)| astray(item, field, format!("{place}[{i}]"))),
        Json::Object(fields) => (fields.iter())
            .filter(|(name, _)| !FREE_TEXT.contains(&name.as_str()))
            .find_map(|(name, value)| astray(value, name, format!("{place}.{name}"))),
        _ => None,
    }
}

/// Every link below `json`, with the path of the field that holds it.
pub fn links(json: &Json) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(json, "resource".into(), &mut found);
    found
}

fn collect(json: &Json, place: String, found: &mut Vec<(String, String)>) {
    match json {
        Json::String(text) => {
            if let Some(path) = text.strip_prefix(LINK_ROOT) {
                found.push((place, path.to_string()));
            }
        }
        Json::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                collect(item, format!("{place}[{i}]"), found);
            }
        }
        Json::Object(fields) => {
            for (name, value) in fields {
                if !FREE_TEXT.contains(&name.as_str()) {
                    collect(value, format!("{place}.{name}"), found);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_reference_is_one_path() {
        let path = "projects/p/zones/z/disks/d";
        for form in [
            "https://www.googleapis.com/compute/v1/projects/p/zones/z/disks/d",
            "http://127.0.0.1:8080/compute/beta/projects/p/zones/z/disks/d",
            "projects/p/zones/z/disks/d",
            "zones/z/disks/d",
        ] {
            assert_eq!(path_of(form, "p").as_deref(), Some(path), "{form}");
        }
        assert_eq!(
            path_of("zones/z", "p").as_deref(),
            Some("projects/p/zones/z")
        );
        assert_eq!(path_of("n1-standard-2", "p"), None);
        assert_eq!(path_of("https://example.com/projects/p/x", "p"), None);
        assert_eq!(path_of("projects/p/secrets/s", "p"), None);
        assert_eq!(
            path_of("global/networks/default", "p").as_deref(),
            Some("projects/p/global/networks/default")
        );
    }

    #[test]
    fn a_url_that_leads_to_no_resource_is_no_reference() {
        let elsewhere = "http://example.com/latest/meta-data/targetHttpProxies/p";
        let body = serde_json::json!({ "backends": [{ "group": elsewhere }] });
        let found = malformed(&body);
        let place = "resource.backends[0].group".to_string();
        assert_eq!(found, Some((place, elsewhere.to_string())));
        for fine in [
            serde_json::json!({ "scopes": ["https://www.googleapis.com/auth/cloud-platform"] }),
            serde_json::json!({ "target": "http://127.0.0.1:1/compute/v1/projects/p/global/targetHttpProxies/t" }),
            serde_json::json!({ "items": [{ "name": "target", "value": elsewhere }] }),
        ] {
            assert_eq!(malformed(&fine), None, "{fine}");
        }
    }

    #[test]
    fn free_text_stays() {
        let mut body =
            serde_json::json!({"description": "zones/a/b/c", "network": "global/networks/default"});
        canonicalise(&mut body, "p");
        assert_eq!(body["description"], "zones/a/b/c");
        assert_eq!(body["network"], link("projects/p/global/networks/default"));
    }
}
