use serde_json::json;

use super::*;
use crate::wire::Answer;
use crate::wire::error::{classify, classify_operation_error};

fn error(status: u16, error: Json) -> ApiError {
    let answer = Answer {
        status,
        headers: Vec::new(),
        body: json!({ "error": error }).to_string().into_bytes(),
    };
    classify("compute", false, &answer).expect_err("a refusal")
}

fn plain(status: u16, reason: &str, message: &str) -> ApiError {
    error(
        status,
        json!({ "message": message, "errors": [{ "reason": reason }] }),
    )
}

#[test]
fn the_advice_names_what_the_api_names() {
    let cases = [
        (
            plain(
                403,
                "forbidden",
                "Required 'compute.images.create' permission for 'projects/p/global/images/i'",
            ),
            "give the caller `compute.images.create` on `projects/p/global/images/i`, then `r5flow resume`",
        ),
        (
            error(
                403,
                json!({ "message": "no", "status": "PERMISSION_DENIED", "details": [{
                    "reason": "IAM_PERMISSION_DENIED",
                    "metadata": { "permission": "run.services.create", "resource": "projects/p" } }] }),
            ),
            "give the caller `run.services.create` on `projects/p`, then `r5flow resume`",
        ),
        (
            plain(
                403,
                "forbidden",
                "The caller doesn't have what it's asked for",
            ),
            "give the caller the permission that the message names, then `r5flow resume`",
        ),
        (
            error(
                403,
                json!({ "message": "off", "details": [{ "reason": "SERVICE_DISABLED",
                    "metadata": { "service": "compute.googleapis.com", "consumer": "projects/12" } }] }),
            ),
            "enable it: `gcloud services enable compute.googleapis.com --project 12`, then `r5flow resume`",
        ),
        (
            plain(
                403,
                "quotaExceeded",
                "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.",
            ),
            "ask for more of quota `CPUS` (limit 24, us-central1), or choose another place, then `r5flow resume`",
        ),
        (
            classify_operation_error(&json!({ "httpErrorStatusCode": 403, "error": { "errors": [{
                "code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded.",
                "errorDetails": [{ "quotaInfo": { "metricName": "compute.googleapis.com/cpus",
                    "limitName": "CPUS-per-project-region", "limit": 24, "dimensions": { "region": "europe-west1" } } }] }] } })),
            "ask for more of quota `compute.googleapis.com/cpus` (`CPUS-per-project-region`, limit 24, europe-west1), \
             or choose another place, then `r5flow resume`",
        ),
        (
            plain(
                400,
                "resourceInUseByAnotherResource",
                "The network resource 'n' is already being used by 'projects/p/global/routes/r'",
            ),
            "remove `projects/p/global/routes/r`, which uses it, then `r5flow resume`",
        ),
    ];
    for (error, wanted) in cases {
        assert_eq!(advice(&error), wanted, "{error}");
    }
}

/// What becomes part of a command that people copy holds nothing but names.
#[test]
fn no_command_is_made_of_hostile_names() {
    let hostile = error(
        403,
        json!({ "message": "off", "details": [{ "reason": "SERVICE_DISABLED",
            "metadata": { "service": "x; rm -rf ~", "consumer": "projects/`id`" } }] }),
    );
    assert_eq!(
        advice(&hostile),
        "enable it: `gcloud services enable NAME`, then `r5flow resume`"
    );
}

#[test]
fn the_fields_of_a_refusal_are_read_in_every_form() {
    let violation = |field: &str, message: &str| {
        error(
            400,
            json!({ "message": message, "status": "INVALID_ARGUMENT",
                "details": [{ "fieldViolations": [{ "field": field, "description": "no" }] }] }),
        )
    };
    let cases = [
        (
            plain(
                400,
                "invalid",
                "Invalid value for field 'resource.disks[0].source': 'x'. No.",
            ),
            "disks[0].source",
        ),
        (
            plain(
                400,
                "required",
                "Required field 'resource.target' not specified",
            ),
            "target",
        ),
        (
            plain(
                400,
                "invalid",
                "Invalid value for field 'zone': 'us'. Unknown zone.",
            ),
            "zone",
        ),
        (
            violation("settings.ip_configuration", "bad"),
            "settings.ipConfiguration",
        ),
        (
            violation(
                "resource.a",
                "Invalid JSON payload received. Unknown name \"b\" at 'resource.a': Cannot find field.",
            ),
            "a.b",
        ),
        (
            plain(
                400,
                "invalid",
                "The value of settings.ipConfiguration.ipv4Enabled is not allowed.",
            ),
            "settings.ipConfiguration.ipv4Enabled",
        ),
    ];
    for (error, wanted) in cases {
        let found = fields(&error);
        assert_eq!(
            found.first().map(String::as_str),
            Some(wanted),
            "{error}: {found:?}"
        );
    }
    assert!(fields(&plain(403, "forbidden", "field 'name'")).is_empty());
}

#[test]
fn a_message_of_ten_megabytes_is_cut_and_tamed() {
    let long = format!("\u{1b}[2J\u{202e}{}", "Quota 'x".repeat(1_250_000));
    let error = plain(400, &long, &long);
    assert_eq!(error.message.chars().count(), 2001);
    assert!(error.reason.chars().count() <= 2001);
    assert!(error.details.is_null() || error.details.to_string().len() <= 8192);
    assert!(!error.message.contains(['\u{1b}', '\u{202e}']));
    assert!(advice(&error).len() < 1000 && fields(&error).len() < 3000);
}
