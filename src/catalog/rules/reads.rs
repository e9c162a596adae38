//! Which methods certainly change nothing.

use super::super::model::Method;
use crate::wire::Verb;

/// Last names of POST methods that only compute or look up, whatever their service.
const NAMES: &[&str] = &[
    "getHealth",
    "getIamPolicy",
    "testIamPermissions",
    "wait",
    "validate",
    "validateMessage",
    "preview",
    "lintPolicy",
];

/// Beginnings of such names.
const BEGINNINGS: &[&str] = &["list", "query", "search"];

/// POST methods that no rule on names covers, with the reason.
const TABLE: &[(&str, &str)] = &[
    (
        "compute.advice.calendarMode",
        "recommends; reserves nothing",
    ),
    ("compute.advice.capacity", "recommends; reserves nothing"),
    ("compute.advice.capacityHistory", "reports the past"),
    (
        "sqladmin.projects.instances.verifyExternalSyncSettings",
        "checks settings; starts no sync",
    ),
    ("logging.entries.tail", "streams entries as they come"),
    (
        "iam.projects.serviceAccounts.signBlob",
        "computes a signature; keeps nothing",
    ),
    (
        "iam.projects.serviceAccounts.signJwt",
        "computes a signature; keeps nothing",
    ),
];

/// POST methods whose names look like reading and which do change something.
const NOT: &[(&str, &str)] = &[(
    "servicenetworking.services.searchRange",
    "starts an operation, which is no plain reading",
)];

/// GET reads; a POST reads when a rule or the table says so, it takes no request id, and it starts
/// no operation (`wait` returns one that runs already).
pub(in crate::catalog) fn reads(method: &Method) -> bool {
    match method.verb {
        Verb::Get | Verb::Head => return true,
        Verb::Post => {}
        Verb::Put | Verb::Patch | Verb::Delete => return false,
    }
    let id = &*method.id;
    if method.request_id.is_some() || NOT.iter().any(|row| row.0 == id) {
        return false;
    }
    let name = &*method.name;
    let starts = method
        .response
        .as_ref()
        .is_some_and(|r| r.name.ends_with("Operation"));
    let by_name = NAMES.contains(&name) || BEGINNINGS.iter().any(|b| name.starts_with(b));
    (by_name && (!starts || name == "wait")) || TABLE.iter().any(|row| row.0 == id)
}
