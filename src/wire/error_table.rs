//! The table behind [`classify`](super::error::classify): the first row that fits decides.

use super::error::ErrorClass;

/// What a row is held against.
pub struct Facts<'a> {
    /// The catalogue's name; empty for errors of operations.
    pub service: &'a str,
    pub status: u16,
    /// Every word that the API gave for the reason, `errors[0].reason` first.
    pub reasons: &'a [String],
    pub text: &'a str,
}

/// A row. What is empty fits everything; statuses are an inclusive range.
struct Row {
    service: &'static str,
    status: (u16, u16),
    /// One of these is among the reasons, in any case.
    reasons: &'static [&'static str],
    /// All of these stand in the message, in any case.
    text: &'static [&'static str],
    class: ErrorClass,
    /// Where the knowledge comes from.
    #[allow(dead_code, reason = "read by people and by a test")]
    source: &'static str,
}

const ANY: (u16, u16) = (0, u16::MAX);

const fn row(
    status: (u16, u16),
    reasons: &'static [&'static str],
    text: &'static [&'static str],
    class: ErrorClass,
    source: &'static str,
) -> Row {
    Row {
        service: "",
        status,
        reasons,
        text,
        class,
        source,
    }
}

const fn of(service: &'static str, row: Row) -> Row {
    Row { service, ..row }
}

use ErrorClass::*;

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row(ANY, &["ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "resource_availability", "RESOURCE_POOL_EXHAUSTED", "GCE_STOCKOUT"], &[], StockOut, "wire §4: CCExtractor#901, k8s.io#9834"),
    row(ANY, &[], &["does not have enough resources available"], StockOut, "wire §4: text of ZONE_RESOURCE_POOL_EXHAUSTED"),
    row(ANY, &["CONCURRENT_OPERATIONS_QUOTA_EXCEEDED"], &[], RateLimit, "wire §4 concurrent ops; §5 terraform-provider-google"),
    row(ANY, &["rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"], &[], RateLimit, "wire §4 rate quota: hail#10613; §2 discovery client"),
    row(ANY, &[], &["quota exceeded for quota metric", "per minute"], RateLimit, "wire §5 terraform-provider-google"),
    row(ANY, &["QUOTA_EXCEEDED", "quotaExceeded", "dailyLimitExceeded", "INSUFFICIENT_QUOTA"], &[], Quota, "wire §4 resource quota; ai-on-gke#849"),
    row((429, 429), &[], &["insufficient quota"], Quota, "google.rpc RESOURCE_EXHAUSTED of operations"),
    row((400, 403), &[], &["quota '", "exceeded"], Quota, "wire §4 resource quota text"),
    row(ANY, &["accessNotConfigured", "SERVICE_DISABLED"], &[], ApiDisabled, "wire §4 API off"),
    row(ANY, &["ACCESS_TOKEN_SCOPE_INSUFFICIENT", "insufficientPermissions", "authError", "ACCESS_TOKEN_EXPIRED", "CREDENTIALS_MISSING", "invalid_grant"], &[], Credentials, "google.api ErrorReason; OAuth 2.0"),
    row((401, 401), &[], &[], Credentials, "google.rpc UNAUTHENTICATED"),
    row(ANY, &["resourceInUseByAnotherResource", "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "RESOURCE_IN_USE"], &[], InUse, "wire §4 in use, sync and async"),
    row((400, 409), &[], &["is already being used by"], InUse, "wire §4 in use: terraform-google-vm#45"),
    row(ANY, &["resourceNotReady", "RESOURCE_NOT_READY"], &[], OperationInProgress, "wire §4 busy; §5 op error RESOURCE_NOT_READY"),
    row(ANY, &["operationInProgress", "OPERATION_IN_PROGRESS"], &[], OperationInProgress, "wire §4 sql"),
    row((409, 409), &[], &["operation", "in progress"], OperationInProgress, "wire §4 sql"),
    row((400, 400), &[], &["peering operation in progress"], OperationInProgress, "terraform-provider-google error_retry_predicates.go"),
    row((400, 400), &[], &["operation", "please wait and try again once it"], OperationInProgress, "terraform-provider-google#930, #3650 (GKE)"),
    row((400, 400), &[], &["running incompatible operation"], OperationInProgress, "rancher gke-operator#509 (GKE)"),
    row(ANY, &["alreadyExists", "instanceAlreadyExists", "RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"], &[], AlreadyExists, "wire §4 exists; sql"),
    row(ANY, &["conditionNotMet", "staleData", "CONDITION_NOT_MET"], &[], Conflict, "wire §4 stale fingerprint; sql"),
    row((412, 412), &[], &[], Conflict, "wire §4 stale fingerprint"),
    row((400, 409), &[], &["fingerprint", "match"], Conflict, "wire §4 stale fingerprint texts"),
    row((400, 409), &[], &["invalid fingerprint"], Conflict, "wire §4 stale fingerprint texts"),
    row(ANY, &["notFound", "instanceDoesNotExist", "RESOURCE_NOT_FOUND", "NOT_FOUND"], &[], NotFound, "wire §4 not found; sql"),
    row((404, 404), &[], &[], NotFound, "wire §4 not found"),
    row((410, 410), &[], &[], NotFound, "RFC 9110 §15.5.11"),
    of("sqladmin", row((409, 409), &[], &[], OperationInProgress, "wire §5 SQL: 409 is retried unless instanceAlreadyExists")),
    row((409, 409), &[], &["already exists"], AlreadyExists, "wire §4 exists"),
    row((409, 409), &[], &[], Conflict, "google.rpc ABORTED; wire §4 insert then delete"),
    row(ANY, &["CONFLICT", "ABORTED"], &[], Conflict, "wire §4 insert then delete: cloud-gpu-reliability#5"),
    row(ANY, &["forbidden", "PERMISSION_DENIED", "PERMISSIONS_ERROR", "BILLING_DISABLED", "billingNotEnabled"], &[], Permission, "wire §4 permission"),
    row((403, 403), &[], &[], Permission, "wire §4 permission"),
    row((429, 429), &[], &[], RateLimit, "wire §4 other APIs' rate"),
    row((408, 408), &[], &[], Transient, "RFC 9110 §15.5.9"),
    row((501, 501), &[], &[], Invalid, "google.rpc UNIMPLEMENTED"),
    row((499, 504), &[], &[], Transient, "wire §5: 500, 502, 503; google.rpc CANCELLED, DEADLINE_EXCEEDED"),
    row((505, 599), &[], &[], Transient, "RFC 9110 §15.6"),
    row(ANY, &["INTERNAL_ERROR", "backendError", "internalError", "UNAVAILABLE", "SERVICE_UNAVAILABLE"], &[], Transient, "wire §4 backend"),
    row(ANY, &[], &[], Invalid, "wire §4 bad value, missing field, unknown zone"),
];

/// The class of a refusal.
pub fn class_of(facts: &Facts<'_>) -> ErrorClass {
    let text = facts.text.to_lowercase();
    TABLE
        .iter()
        .find(|row| row.fits(facts, &text))
        .map_or(ErrorClass::Invalid, |row| row.class)
}

impl Row {
    fn fits(&self, facts: &Facts<'_>, lower_text: &str) -> bool {
        let named = |reason: &String| self.reasons.iter().any(|r| r.eq_ignore_ascii_case(reason));
        (self.service.is_empty() || self.service == facts.service)
            && (self.status.0..=self.status.1).contains(&facts.status)
            && (self.reasons.is_empty() || facts.reasons.iter().any(named))
            && self.text.iter().all(|part| lower_text.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_says_where_it_comes_from_and_is_lower_case() {
        for row in TABLE {
            assert!(row.source.len() > 5);
            assert!(row.text.iter().all(|t| *t == t.to_lowercase()));
        }
        let last = TABLE
            .last()
            .map(|row| (row.status, row.reasons.len(), row.text.len()));
        assert_eq!(last, Some((ANY, 0, 0)));
    }
}
