//! Errors are classes, not strings: one table decides what a refusal means.
//!
//! The table is in `error_table.rs`; this file reads Google's envelopes. Their forms are documented
//! in section 4 of the reference on the wire: Compute Engine's `error.errors[]`, `google.rpc.Status`
//! with `details[]`, and the errors inside operations.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::Answer;
use super::error_table::{Facts, class_of};
use super::policy::{Next, POLICIES, Policy};
use crate::world::{Millis, Timestamp};

/// What a refusal means for what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The server stumbled; a mutation may or may not have taken effect.
    Transient,
    /// Too many requests; nothing happened.
    RateLimit,
    /// The project may not have more of it.
    Quota,
    /// The zone or region has no more machines of the kind.
    StockOut,
    /// A fingerprint, version or condition no longer holds.
    Conflict,
    /// Another resource refers to it.
    InUse,
    /// Another operation works on the target, or it is not ready yet.
    OperationInProgress,
    AlreadyExists,
    NotFound,
    Permission,
    ApiDisabled,
    /// No valid credentials (401), or without the scope.
    Credentials,
    /// The request itself is wrong; it never succeeds as it is.
    Invalid,
    /// An API does not redirect: some other server answered.
    Redirect,
    /// The answer is none of an API: HTML, a cut body. Says nothing about what happened.
    Unreadable,
}

impl ErrorClass {
    pub const ALL: [ErrorClass; 15] = {
        let mut all = [ErrorClass::Transient; 15];
        let mut at = 0;
        while at < all.len() {
            all[at] = POLICIES[at].class;
            at += 1;
        }
        all
    };

    /// What follows from it.
    pub fn policy(self) -> &'static Policy {
        &POLICIES[self as usize]
    }

    /// Whether a mutation that got this answer may have taken effect all the same.
    pub fn ambiguous(self) -> bool {
        self.policy().next == Next::Settle
    }

    /// Whether a flow may say for how long it is taken for passing.
    pub fn may_pass(self) -> bool {
        matches!(self.policy().next, Next::Again | Next::Stop) || self == ErrorClass::Transient
    }

    /// Its name in a flow and in records: `in_use`.
    pub fn word(self) -> &'static str {
        use ErrorClass::*;
        match self {
            Transient => "transient",
            RateLimit => "rate_limit",
            Quota => "quota",
            StockOut => "stock_out",
            Conflict => "conflict",
            InUse => "in_use",
            OperationInProgress => "operation_in_progress",
            AlreadyExists => "already_exists",
            NotFound => "not_found",
            Permission => "permission",
            ApiDisabled => "api_disabled",
            Credentials => "credentials",
            Invalid => "invalid",
            Redirect => "redirect",
            Unreadable => "unreadable",
        }
    }

    /// For messages: `quota`, `rate limit`.
    pub fn as_str(self) -> &'static str {
        use ErrorClass::*;
        match self {
            Transient => "transient",
            RateLimit => "rate limit",
            Quota => "quota",
            StockOut => "out of stock",
            Conflict => "conflict",
            InUse => "in use",
            OperationInProgress => "operation in progress",
            AlreadyExists => "already exists",
            NotFound => "not found",
            Permission => "permission",
            ApiDisabled => "API not enabled",
            Credentials => "credentials",
            Invalid => "invalid",
            Redirect => "redirect",
            Unreadable => "unreadable",
        }
    }
}

/// A refusal, read and classified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiError {
    pub class: ErrorClass,
    /// The HTTP status; for errors of operations the one that they name or imply.
    pub status: u16,
    /// The API's own word, such as `resourceInUseByAnotherResource`; empty when it gave none.
    pub reason: String,
    /// The API's sentence, free of control characters, at most 2,000 characters.
    pub message: String,
    /// How long the server asks to wait.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millis")]
    pub retry_after: Option<Millis>,
    /// `details`, `errorDetails` and the like as they came, at most 8 KiB; null when there are none.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub details: Json,
}

impl ApiError {
    /// Whether it is not the requests of a minute that are too many, but the operations in flight.
    /// Compute Engine says so in `details[]`, Kubernetes Engine in its sentence
    /// (terraform-provider-google#15579).
    pub fn too_many_operations(&self) -> bool {
        const REASON: &str = "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED";
        self.class == ErrorClass::RateLimit
            && (self.reason == REASON
                || detail_reasons(&self.details).iter().any(|r| r == REASON)
                || self.message.contains("concurrent operations quota"))
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}", self.message, self.status)?;
        if !self.reason.is_empty() {
            write!(f, " {}", self.reason)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for ApiError {}

/// Reads an API's answer: its document, or its refusal.
///
/// An empty body is null. `service` is the catalogue's name (`compute`, `sqladmin`); `method_reads`
/// says that the method changes nothing, so that an answer nobody can read may simply be asked for
/// again.
pub fn classify(service: &str, method_reads: bool, answer: &Answer) -> Result<Json, ApiError> {
    let document = read_document(&answer.body);
    match (answer.status, document) {
        (200..=299, Some(json)) => Ok(json),
        (200..=299, None) => {
            let class = if method_reads {
                ErrorClass::Transient
            } else {
                ErrorClass::Unreadable
            };
            Err(unreadable(class, answer))
        }
        (300..=399, _) => Err(redirected(answer)),
        (_, Some(json)) if envelope(&json).is_some() => Err(refusal(service, answer, &json)),
        // A page of a proxy or front end. Its 404 is not the API's: it never means "absent".
        (status, _) => {
            let class = match status {
                401 => ErrorClass::Credentials,
                429 => ErrorClass::RateLimit,
                408 | 500 | 502..=504 => ErrorClass::Transient,
                _ => ErrorClass::Unreadable,
            };
            Err(unreadable(class, answer))
        }
    }
}

/// Reads the error inside an operation that ended with one, of any API family.
pub fn classify_operation_error(operation: &Json) -> ApiError {
    let error = &operation["error"];
    let first = &error["errors"][0];
    let message = [
        &first["message"],
        &error["message"],
        &operation["httpErrorMessage"],
    ]
    .into_iter()
    .map(text)
    .find(|m| !m.is_empty())
    .unwrap_or_else(|| "the operation failed without saying why".into());
    let status = operation_status(operation)
        .or_else(|| error["code"].as_u64().map(http_status))
        .unwrap_or(0);
    let details = [&first["errorDetails"], &error["details"]]
        .into_iter()
        .find(|d| !d.is_null())
        .unwrap_or(&Json::Null);
    let mut reasons = vec![text(&first["code"])];
    reasons.extend(detail_reasons(details));
    let further = error["errors"].as_array().into_iter().flatten().skip(1);
    reasons.extend(further.map(|e| text(&e["code"])));
    let facts = Facts {
        service: "",
        status,
        reasons: &reasons,
        text: &message,
    };
    ApiError {
        class: class_of(&facts),
        status,
        reason: reasons
            .into_iter()
            .find(|r| !r.is_empty())
            .unwrap_or_default(),
        message: sanitised(&message, MESSAGE_LENGTH),
        retry_after: retry_info(details),
        details: clipped(details),
    }
}

/// The HTTP status by which an operation says how it failed. Clients go by it even where `error` is
/// missing (reference on the wire, section 2).
pub fn operation_status(operation: &Json) -> Option<u16> {
    let status = &operation["httpErrorStatusCode"];
    let number = status
        .as_u64()
        .or_else(|| status.as_str().and_then(|s| s.parse().ok()))?;
    u16::try_from(number).ok().filter(|s| *s >= 400)
}

const MESSAGE_LENGTH: usize = 2000;
/// How much of a page that is no API's answer is shown.
const PAGE_LENGTH: usize = 120;
const DETAILS_LENGTH: usize = 8 * 1024;

fn read_document(body: &[u8]) -> Option<Json> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Some(Json::Null);
    }
    serde_json::from_slice(body).ok()
}

/// The `error` object; some APIs wrap the whole answer in a list of one.
fn envelope(json: &Json) -> Option<&Json> {
    let holder = json
        .as_array()
        .and_then(|items| items.first())
        .unwrap_or(json);
    holder
        .get("error")
        .filter(|e| e.is_object() || e.is_string())
}

fn refusal(service: &str, answer: &Answer, json: &Json) -> ApiError {
    let error = envelope(json).unwrap_or(&Json::Null);
    let message = [&error["message"], &json["error_description"], error]
        .into_iter()
        .map(text)
        .find(|m| !m.is_empty())
        .unwrap_or_else(|| format!("the API answered {} without saying why", answer.status));
    let mut reasons = vec![text(&error["errors"][0]["reason"])];
    reasons.extend(detail_reasons(&error["details"]));
    reasons.push(text(&error["status"]));
    let facts = Facts {
        service,
        status: answer.status,
        reasons: &reasons,
        text: &message,
    };
    let details = if error["details"].is_null() {
        &error["errors"]
    } else {
        &error["details"]
    };
    ApiError {
        class: class_of(&facts),
        status: answer.status,
        reason: reasons
            .into_iter()
            .find(|r| !r.is_empty())
            .unwrap_or_default(),
        message: sanitised(&message, MESSAGE_LENGTH),
        retry_after: retry_after(answer).or_else(|| retry_info(&error["details"])),
        details: clipped(details),
    }
}

fn redirected(answer: &Answer) -> ApiError {
    let to = answer.header("location").unwrap_or("nowhere");
    ApiError {
        class: ErrorClass::Redirect,
        status: answer.status,
        reason: String::new(),
        message: format!(
            "an API does not redirect, but this answer points to `{}`; a proxy or a wrong endpoint answered",
            sanitised(to, PAGE_LENGTH)
        ),
        retry_after: None,
        details: Json::Null,
    }
}

fn unreadable(class: ErrorClass, answer: &Answer) -> ApiError {
    let kind = answer.header("content-type").unwrap_or("no content type");
    let start = sanitised(&String::from_utf8_lossy(&answer.body), PAGE_LENGTH);
    ApiError {
        class,
        status: answer.status,
        reason: String::new(),
        message: format!(
            "expected an API's JSON, got {} ({} bytes) that begins `{start}`; look at the endpoint and at proxies on the way",
            sanitised(kind, 60),
            answer.body.len()
        ),
        retry_after: retry_after(answer),
        details: Json::Null,
    }
}

/// `ErrorInfo.reason` and the like, also inside Compute Engine's `errorDetails[].errorInfo`.
fn detail_reasons(details: &Json) -> Vec<String> {
    let items = details.as_array().map_or(&[][..], Vec::as_slice);
    items
        .iter()
        .flat_map(|item| [&item["reason"], &item["errorInfo"]["reason"]])
        .map(text)
        .filter(|reason| !reason.is_empty())
        .collect()
}

/// `Retry-After` in seconds or as a date, the latter by the server's own clock.
pub fn retry_after(answer: &Answer) -> Option<Millis> {
    let value = answer.header("retry-after")?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Millis::secs(i64::from(seconds)));
    }
    let then = chrono::DateTime::parse_from_rfc2822(value).ok()?;
    let wait = Timestamp(then.timestamp_millis()).since(answer.date()?);
    Some(Millis(wait.0.max(0)))
}

/// `google.rpc.RetryInfo.retryDelay`, such as `12s` or `0.5s`.
fn retry_info(details: &Json) -> Option<Millis> {
    let delay = details
        .as_array()?
        .iter()
        .find_map(|item| item["retryDelay"].as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    (0.0..=86_400.0)
        .contains(&seconds)
        .then_some(Millis((seconds * 1000.0) as i64))
}

/// The HTTP status that belongs to a gRPC code (google/rpc/code.proto); HTTP statuses stay.
fn http_status(code: u64) -> u16 {
    match code {
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        0..=99 => 500,
        code => u16::try_from(code).unwrap_or(500),
    }
}

fn text(json: &Json) -> String {
    sanitised(json.as_str().unwrap_or_default(), MESSAGE_LENGTH)
}

/// One line without control characters, at most `length` characters; however long the text is, no
/// more of it is looked at.
pub(super) fn sanitised(text: &str, length: usize) -> String {
    let mut line = String::new();
    let (mut gap, mut taken) = (false, 0);
    for c in text.trim().chars() {
        if c.is_control() || c.is_whitespace() || is_format(c) {
            gap = true;
            continue;
        }
        if taken >= length {
            line.push('…');
            break;
        }
        if std::mem::take(&mut gap) && !line.is_empty() {
            line.push(' ');
            taken += 1;
        }
        line.push(c);
        taken += 1;
    }
    line
}

/// Characters that steer a terminal's direction of writing, or hide.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// Whole items as long as they fit.
fn clipped(details: &Json) -> Json {
    let Json::Array(items) = details else {
        return if details.to_string().len() > DETAILS_LENGTH {
            Json::Null
        } else {
            details.clone()
        };
    };
    let mut room = DETAILS_LENGTH;
    let kept = items.iter().take_while(|item| {
        let length = item.to_string().len();
        let fits = length <= room;
        room = room.saturating_sub(length);
        fits
    });
    Json::Array(kept.cloned().collect())
}

/// Milliseconds as a plain number.
mod millis {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::world::Millis;

    pub fn serialize<S: Serializer>(span: &Option<Millis>, to: S) -> Result<S::Ok, S::Error> {
        span.map(|m| m.0).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Millis>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(Millis))
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
