use serde_json::json;

use super::*;

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.into(),
    }
}

/// Compute Engine's envelope.
fn compute(status: u16, reason: &str, message: &str) -> ApiError {
    let body = json!({"error": {"code": status, "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason}]}});
    classify("compute", false, &answer(status, &body.to_string())).expect_err("a refusal")
}

#[test]
fn every_documented_refusal_has_its_class() {
    use ErrorClass::*;
    let cases = [
        (
            400,
            "invalid",
            "Invalid value for field 'resource.name': 'X'.",
            Invalid,
        ),
        (
            400,
            "required",
            "Required field 'resource.fingerprint' not specified",
            Invalid,
        ),
        (
            400,
            "resourceInUseByAnotherResource",
            "The backend_service resource 'b' is already being used by 'u'",
            InUse,
        ),
        (
            400,
            "resourceNotReady",
            "The resource 'n' is not ready",
            OperationInProgress,
        ),
        (
            403,
            "forbidden",
            "Required 'compute.instances.create' permission for 'projects/p'",
            Permission,
        ),
        (
            403,
            "quotaExceeded",
            "Quota 'CPUS' exceeded. Limit: 24.0 in region us-central1.",
            Quota,
        ),
        (
            403,
            "rateLimitExceeded",
            "Quota exceeded for quota metric 'M' and limit 'L per minute' of service",
            RateLimit,
        ),
        (
            403,
            "other",
            "Quota exceeded for quota metric 'M' and limit 'L per minute' of service",
            RateLimit,
        ),
        (
            403,
            "accessNotConfigured",
            "Compute Engine API has not been used in project 1",
            ApiDisabled,
        ),
        (
            404,
            "notFound",
            "The resource 'projects/p/x' was not found",
            NotFound,
        ),
        (
            409,
            "alreadyExists",
            "The resource 'i' already exists",
            AlreadyExists,
        ),
        (409, "", "There were concurrent policy changes.", Conflict),
        (412, "conditionNotMet", "Invalid fingerprint.", Conflict),
        (
            400,
            "invalid",
            "Supplied fingerprint does not match current metadata fingerprint.",
            Conflict,
        ),
        (401, "authError", "Invalid Credentials", Credentials),
        (429, "", "slow down", RateLimit),
        (503, "backendError", "Backend Error", Transient),
        (500, "", "oops", Transient),
        (501, "", "no such thing", Invalid),
    ];
    for (status, reason, message, class) in cases {
        let error = compute(status, reason, message);
        assert_eq!((error.class, error.status), (class, status), "{message}");
        assert_eq!(
            (error.reason.as_str(), error.message.as_str()),
            (reason, message)
        );
    }
}

#[test]
fn details_beat_the_plain_forbidden() {
    let body = |reason: &str| {
        json!({"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "Rate Limit Exceeded",
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]}})
        .to_string()
    };
    let class = |reason| {
        classify("compute", false, &answer(403, &body(reason))).map_err(|e| (e.class, e.reason))
    };
    let limited = "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED";
    assert_eq!(class(limited), Err((ErrorClass::RateLimit, limited.into())));
    assert_eq!(
        class("SERVICE_DISABLED"),
        Err((ErrorClass::ApiDisabled, "SERVICE_DISABLED".into()))
    );
    assert_eq!(
        class("IAM_PERMISSION_DENIED"),
        Err((ErrorClass::Permission, "IAM_PERMISSION_DENIED".into()))
    );
}

#[test]
fn sql_speaks_its_own_words() {
    let class = |status, reason: &str| {
        let body =
            json!({"error": {"code": status, "message": "m", "errors": [{"reason": reason}]}});
        classify("sqladmin", false, &answer(status, &body.to_string())).map_err(|e| e.class)
    };
    assert_eq!(
        class(404, "instanceDoesNotExist"),
        Err(ErrorClass::NotFound)
    );
    assert_eq!(
        class(409, "instanceAlreadyExists"),
        Err(ErrorClass::AlreadyExists)
    );
    assert_eq!(
        class(409, "operationInProgress"),
        Err(ErrorClass::OperationInProgress)
    );
    assert_eq!(class(409, "whatever"), Err(ErrorClass::OperationInProgress));
    assert_eq!(class(412, "staleData"), Err(ErrorClass::Conflict));
}

#[test]
fn good_answers_are_documents() {
    assert_eq!(
        classify("compute", true, &answer(200, r#"{"a":1}"#)),
        Ok(json!({"a": 1}))
    );
    assert_eq!(classify("storage", false, &answer(204, "")), Ok(Json::Null));
}

#[test]
fn pages_are_no_answers() {
    let page = format!(
        "<html>\n\u{1b}[31m<title>Error 404 (Not Found)!!1</title>{}",
        "x".repeat(500)
    );
    let error = classify("compute", true, &answer(404, &page)).expect_err("a refusal");
    assert_eq!(error.class, ErrorClass::Unreadable);
    assert!(
        error.message.contains("`<html> [31m<title>Error 404"),
        "{}",
        error.message
    );
    assert!(!error.message.contains('\u{1b}') && error.message.chars().count() < 300);
    let class =
        |reads, status| classify("compute", reads, &answer(status, "<html>")).map_err(|e| e.class);
    assert_eq!(class(true, 200), Err(ErrorClass::Transient));
    assert_eq!(class(false, 200), Err(ErrorClass::Unreadable));
    assert_eq!(class(false, 502), Err(ErrorClass::Transient));
    assert_eq!(class(false, 403), Err(ErrorClass::Unreadable));
    assert_eq!(class(false, 302), Err(ErrorClass::Redirect));
    // JSON, but of somebody else.
    assert_eq!(
        classify("compute", true, &answer(404, "{}")).map_err(|e| e.class),
        Err(ErrorClass::Unreadable)
    );
}

#[test]
fn waiting_times_are_read() {
    let with = |name: &str, value: &str| {
        let mut answer = answer(503, r#"{"error":{"code":503,"message":"m"}}"#);
        answer
            .headers
            .push(("date".into(), "Mon, 23 Nov 2026 10:00:00 GMT".into()));
        answer.headers.push((name.into(), value.into()));
        classify("compute", true, &answer)
            .expect_err("a refusal")
            .retry_after
    };
    assert_eq!(with("retry-after", "7"), Some(Millis::secs(7)));
    assert_eq!(
        with("retry-after", "Mon, 23 Nov 2026 10:01:00 GMT"),
        Some(Millis::secs(60))
    );
    assert_eq!(with("retry-after", "soon"), None);
    let body = r#"{"error":{"code":429,"message":"m","details":[{"retryDelay":"1.5s"}]}}"#;
    let error = classify("run", true, &answer(429, body)).expect_err("a refusal");
    assert_eq!(error.retry_after, Some(Millis(1500)));
}

#[test]
fn operations_fail_in_three_dialects() {
    let stockout = json!({"status": "DONE", "httpErrorStatusCode": 503, "httpErrorMessage": "SERVICE UNAVAILABLE",
        "error": {"errors": [{"code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "message": "no room",
            "errorDetails": [{"errorInfo": {"reason": "resource_availability"}}]}]}});
    let error = classify_operation_error(&stockout);
    assert_eq!(
        (error.class, error.status, error.message.as_str()),
        (ErrorClass::StockOut, 503, "no room")
    );
    assert_eq!(
        error.details[0]["errorInfo"]["reason"],
        "resource_availability"
    );
    let class = |op: Json| classify_operation_error(&op).class;
    let code = |status: u16, code: &str| json!({"httpErrorStatusCode": status, "error": {"errors": [{"code": code, "message": "m"}]}});
    assert_eq!(class(code(403, "QUOTA_EXCEEDED")), ErrorClass::Quota);
    assert_eq!(
        class(code(400, "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE")),
        ErrorClass::InUse
    );
    assert_eq!(class(code(409, "CONFLICT")), ErrorClass::Conflict);
    assert_eq!(
        class(
            json!({"error": {"errors": [{"kind": "sql#operationError", "code": "INTERNAL_ERROR"}]}})
        ),
        ErrorClass::Transient
    );
    assert_eq!(
        class(json!({"done": true, "error": {"code": 7, "message": "no"}})),
        ErrorClass::Permission
    );
    assert_eq!(
        class(json!({"done": true, "error": {"code": 14, "message": "no"}})),
        ErrorClass::Transient
    );
    assert_eq!(
        class(json!({"done": true, "error": {"code": 3, "message": "no"}})),
        ErrorClass::Invalid
    );
}

#[test]
fn details_are_clipped_and_survive_their_text() {
    let long = json!({"error": {"code": 400, "message": "m", "details": [{"reason": "a"}, {"x": "y".repeat(9000)}]}});
    let error = classify("compute", true, &answer(400, &long.to_string())).expect_err("a refusal");
    assert_eq!(error.details, json!([{"reason": "a"}]));
    let text = serde_json::to_string(&error).expect("serialises");
    assert_eq!(serde_json::from_str::<ApiError>(&text).ok(), Some(error));
}

/// Clients go by the status of an operation even where it holds no error; it may be a text.
#[test]
fn a_failed_operation_is_told_by_its_status_too() {
    let bare =
        json!({ "status": "DONE", "httpErrorStatusCode": "409", "httpErrorMessage": "CONFLICT" });
    assert_eq!(operation_status(&bare), Some(409));
    let error = classify_operation_error(&bare);
    assert_eq!((error.status, error.class), (409, ErrorClass::Conflict));
    assert_eq!(error.message, "CONFLICT");
    assert_eq!(
        operation_status(&json!({ "httpErrorStatusCode": 200 })),
        None
    );
}

/// The first error of an operation may be the less telling one.
#[test]
fn every_error_of_an_operation_counts() {
    let two = json!({ "httpErrorStatusCode": 503, "error": { "errors": [
        { "code": "RESOURCE_OPERATION_RATE_EXCEEDED", "message": "first" },
        { "code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "second" }] } });
    assert_eq!(classify_operation_error(&two).class, ErrorClass::StockOut);
}
