//! Times that the documents do not state, or state in prose only.

use crate::world::Millis;

/// Service, for how long a repetition under a request id is certainly a replay, source.
const REPLAY: &[(&str, Millis, &str)] = &[(
    "compute",
    Millis::mins(30),
    "no period is documented; other services promise 60 minutes (reference on the wire, section 5)",
)];

/// As cautious as the worst of the table.
const REPLAY_ELSEWHERE: Millis = Millis::mins(30);

/// Service, how long a read may lag behind a write, source.
const LAG: &[(&str, Millis, &str)] = &[
    (
        "iam",
        Millis::secs(60),
        "iam/docs/faq: reads of what was created are eventually consistent",
    ),
    (
        "cloudresourcemanager",
        Millis::secs(30),
        "resource-manager/docs: folders and tags show late",
    ),
    (
        "serviceusage",
        Millis::secs(10),
        "service-usage/docs/enable-disable: eventually consistent",
    ),
];

const LAG_ELSEWHERE: Millis = Millis::secs(2);

/// For how long a request id of this service is trusted to make a repetition a replay.
pub(in crate::catalog) fn replay(service: &str) -> Millis {
    of(REPLAY, service).unwrap_or(REPLAY_ELSEWHERE)
}

/// How long an absence must last before it is believed.
pub(in crate::catalog) fn lag(service: &str) -> Millis {
    of(LAG, service).unwrap_or(LAG_ELSEWHERE)
}

fn of(table: &[(&str, Millis, &str)], service: &str) -> Option<Millis> {
    table.iter().find(|row| row.0 == service).map(|row| row.1)
}
