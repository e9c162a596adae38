//! Errors that an operation ends with: HTTP 200, status DONE, and `error.errors[]`.

use serde_json::{Value as Json, json};

use super::refusal::Refusal;

/// An error that an operation ends with, in Compute Engine's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// `RESOURCE_IN_USE_BY_ANOTHER_RESOURCE`
    pub code: String,
    pub message: String,
    pub http: u16,
    /// `BAD REQUEST`
    pub http_message: String,
    /// `error.errors[].errorDetails`; empty where Google sends none.
    pub details: Vec<Json>,
}

impl Failure {
    pub fn new(code: &str, message: impl Into<String>, http: u16) -> Failure {
        Failure {
            code: code.into(),
            message: message.into(),
            http,
            http_message: phrase(http).into(),
            details: Vec::new(),
        }
    }

    pub fn not_found(path: &str) -> Failure {
        let message = format!("The resource '{path}' was not found");
        Failure::new("RESOURCE_NOT_FOUND", message, 404)
    }

    /// A refusal that arrives in an operation instead of at once: the reason in capitals, as the
    /// operations of Compute Engine have it.
    pub fn of(refusal: &Refusal) -> Failure {
        let code = match refusal.reason {
            "notFound" => "RESOURCE_NOT_FOUND".to_string(),
            "invalid" => "INVALID_FIELD_VALUE".to_string(),
            other => capitals(other),
        };
        Failure::new(&code, refusal.message.clone(), refusal.status)
    }

    /// `quotaInfo` and texts as recorded (ai-on-gke#849, magic-modules#8030): "Quota 'CPUS' exceeded.
    /// Limit: 24.0 in region us-central1."
    pub fn quota(metric: &str, limit: f64, region: Option<&str>) -> Failure {
        let mut failure = Failure::new("QUOTA_EXCEEDED", quota_text(metric, limit, region), 403);
        let mut info = json!({
            "metricName": format!("compute.googleapis.com/{}", metric.to_lowercase()),
            "limitName": format!("{}-per-project{}", metric.replace('_', "-"), if region.is_some() { "-region" } else { "" }),
            "limit": limit,
        });
        info["dimensions"] = match region {
            Some(region) => json!({ "region": region }),
            None => json!({ "region": "global" }),
        };
        failure.details = vec![json!({ "quotaInfo": info })];
        failure
    }

    /// No room in a zone (CCExtractor#901, k8s.io#9834).
    pub fn stocked_out(project: &str, zone: &str, machine: &str) -> Failure {
        let message = format!(
            "The zone 'projects/{project}/zones/{zone}' does not have enough resources available to fulfill the request.  Try a different zone, or try again later."
        );
        let mut failure = Failure::new("ZONE_RESOURCE_POOL_EXHAUSTED", message.clone(), 503);
        failure.details = vec![
            json!({ "help": { "links": [{
                "description": "Troubleshooting documentation",
                "url": "https://cloud.google.com/compute/docs/resource-error",
            }] } }),
            json!({ "localizedMessage": { "locale": "en-US", "message": message } }),
            json!({ "errorInfo": {
                "domain": "compute.googleapis.com",
                "reason": "resource_availability",
                "metadatas": { "vmType": machine, "zone": zone, "zonesAvailable": "", "attachment": "" },
            } }),
        ];
        failure
    }

    /// One of `error.errors[]`.
    pub fn entry(&self) -> Json {
        let mut entry = json!({ "code": self.code, "message": self.message });
        if !self.details.is_empty() {
            entry["errorDetails"] = json!(self.details);
        }
        entry
    }
}

/// "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1."
pub fn quota_text(metric: &str, limit: f64, region: Option<&str>) -> String {
    match region {
        Some(region) => {
            format!("Quota '{metric}' exceeded.  Limit: {limit:.1} in region {region}.")
        }
        None => format!("Quota '{metric}' exceeded.  Limit: {limit:.1} globally."),
    }
}

fn capitals(reason: &str) -> String {
    let mut out = String::new();
    for letter in reason.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

/// `httpErrorMessage` of an operation.
fn phrase(http: u16) -> &'static str {
    match http {
        400 => "BAD REQUEST",
        403 => "FORBIDDEN",
        404 => "NOT FOUND",
        409 => "CONFLICT",
        412 => "PRECONDITION FAILED",
        429 => "TOO MANY REQUESTS",
        503 => "SERVICE UNAVAILABLE",
        _ => "INTERNAL SERVER ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_become_codes() {
        let refusal = Refusal::in_use("disk", "projects/p/d", "projects/p/i");
        let failure = Failure::of(&refusal);
        assert_eq!(failure.code, "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE");
        assert_eq!((failure.http, &*failure.http_message), (400, "BAD REQUEST"));
    }
}
