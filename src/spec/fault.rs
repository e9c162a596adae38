//! The answers that a server, or the way to it, may give instead of the right one.

use std::sync::Arc;

use serde_json::json;

use super::player::Fault;
use crate::catalog::{Catalog, OperationStyle};
use crate::journal::RunStatus;
use crate::wire::error::ErrorClass;
use crate::wire::{Answer, NoAnswer, Request};

/// What one request gets instead of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A refusal of this class.
    Refused(ErrorClass),
    /// It took effect, and no answer comes.
    AnswerLost,
    /// It took effect, and a proxy's page comes instead of the answer.
    PageAfterwards,
    /// A page that is no API's, with status 200; it did not arrive.
    Page,
    /// Nobody listens.
    ConnectionRefused,
    /// It is taken, and the operation ends with an error.
    OperationFailed,
}

impl FaultKind {
    pub fn all() -> Vec<FaultKind> {
        let mut all: Vec<FaultKind> = ErrorClass::ALL.map(FaultKind::Refused).into();
        all.extend([
            FaultKind::AnswerLost,
            FaultKind::PageAfterwards,
            FaultKind::Page,
            FaultKind::ConnectionRefused,
            FaultKind::OperationFailed,
        ]);
        all
    }

    /// As points and reports name it.
    pub fn name(self) -> String {
        match self {
            FaultKind::Refused(class) => class.as_str().to_lowercase().replace(' ', "-"),
            FaultKind::AnswerLost => "answer-lost".into(),
            FaultKind::PageAfterwards => "page-afterwards".into(),
            FaultKind::Page => "page".into(),
            FaultKind::ConnectionRefused => "connection-refused".into(),
            FaultKind::OperationFailed => "operation-failed".into(),
        }
    }

    pub fn parse(text: &str) -> Option<FaultKind> {
        FaultKind::all()
            .into_iter()
            .find(|kind| kind.name() == text)
    }

    /// The fault at an effect; `None` when the request cannot get it.
    pub fn at(self, catalog: &Catalog, at: usize, request: &Request) -> Option<Fault> {
        let page = |status| {
            (
                status,
                "<html><body>a proxy</body></html>".to_owned(),
                "text/html",
            )
        };
        let api = request.service().is_some();
        let (arrives, (status, body, kind)) = match self {
            FaultKind::AnswerLost => {
                return Some(Fault {
                    at,
                    arrives: true,
                    answer: Err(NoAnswer::Unknown("the connection broke".into())),
                });
            }
            FaultKind::ConnectionRefused => {
                return Some(Fault {
                    at,
                    arrives: false,
                    answer: Err(NoAnswer::NotSent("connection refused".into())),
                });
            }
            FaultKind::PageAfterwards => (true, page(502)),
            FaultKind::Page if api => (false, page(200)),
            FaultKind::Refused(ErrorClass::Unreadable) if api => (false, page(400)),
            FaultKind::Refused(ErrorClass::Redirect) => (false, page(302)),
            FaultKind::Refused(class) => (false, refusal(class, api)?),
            FaultKind::OperationFailed => (false, failed_operation(catalog, request)?),
            FaultKind::Page => return None,
        };
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        let answer = Ok(Answer {
            status,
            headers,
            body: body.into_bytes(),
        });
        Some(Fault {
            at,
            arrives,
            answer,
        })
    }

    /// How a run may end that met it, other than done.
    pub fn ends(self) -> RunStatus {
        match self {
            FaultKind::Refused(
                ErrorClass::Permission | ErrorClass::ApiDisabled | ErrorClass::Credentials,
            ) => RunStatus::Permission,
            _ => RunStatus::Failed,
        }
    }

    /// Whether the run must not go on as if nothing had been.
    pub fn stops(self) -> bool {
        self.ends() == RunStatus::Permission
    }

    /// Whether the answer says of the world what is not so: a run that believes it may go another
    /// way, and is right to.
    pub fn lies(self) -> bool {
        matches!(
            self,
            FaultKind::Refused(ErrorClass::NotFound | ErrorClass::AlreadyExists)
        )
    }
}

type Reply = (u16, String, &'static str);

/// A refusal in the form of the older APIs, which every service understands.
fn refusal(class: ErrorClass, api: bool) -> Option<Reply> {
    use ErrorClass::*;
    let (status, reason) = match class {
        Transient => (503, "backendError"),
        RateLimit => (429, "rateLimitExceeded"),
        Quota => (403, "quotaExceeded"),
        StockOut => (503, "ZONE_RESOURCE_POOL_EXHAUSTED"),
        Conflict => (412, "conditionNotMet"),
        InUse => (400, "resourceInUseByAnotherResource"),
        OperationInProgress => (409, "operationInProgress"),
        AlreadyExists => (409, "alreadyExists"),
        NotFound => (404, "notFound"),
        Permission => (403, "forbidden"),
        ApiDisabled => (403, "accessNotConfigured"),
        Credentials => (401, "authError"),
        Invalid => (400, "invalid"),
        Redirect | Unreadable => return None,
    };
    // What is no Google API has statuses, and no classes.
    if !api && !matches!(class, Transient) {
        return None;
    }
    let message = format!("refused on purpose: {}", class.as_str());
    let body = json!({ "error": {
        "code": status,
        "message": message,
        "errors": [{ "message": message, "domain": "global", "reason": reason }],
    } });
    Some((status, body.to_string(), "application/json"))
}

fn failed_operation(catalog: &Catalog, request: &Request) -> Option<Reply> {
    let method = catalog.method(&request.method)?;
    let name: Arc<str> = "operation-that-failed".into();
    let body = match &method.operation {
        OperationStyle::Compute(_) => json!({
            "kind": "compute#operation", "name": name, "status": "DONE", "progress": 100,
            "error": { "errors": [{ "code": "INVALID_USAGE", "message": "failed on purpose" }] },
            "httpErrorStatusCode": 400, "httpErrorMessage": "BAD REQUEST",
        }),
        OperationStyle::Sql => json!({
            "kind": "sql#operation", "name": name, "status": "DONE",
            "error": { "kind": "sql#operationErrors",
                "errors": [{ "kind": "sql#operationError", "code": "INTERNAL", "message": "failed on purpose" }] },
        }),
        OperationStyle::LongRunning { .. } => json!({
            "name": name, "done": true, "error": { "code": 9, "message": "failed on purpose" },
        }),
        OperationStyle::Container { .. } => json!({
            "name": name, "status": "DONE", "error": { "code": 9, "message": "failed on purpose" },
        }),
        OperationStyle::Dns { .. } | OperationStyle::None => return None,
    };
    Some((200, body.to_string(), "application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::error::classify;

    #[test]
    fn a_refusal_is_of_its_class() {
        for kind in FaultKind::all() {
            assert_eq!(FaultKind::parse(&kind.name()), Some(kind));
            let FaultKind::Refused(class) = kind else {
                continue;
            };
            let request = Request {
                method: "compute.images.insert".into(),
                verb: crate::wire::Verb::Post,
                path: "compute/v1/projects/p/global/images".into(),
                query: Vec::new(),
                headers: Vec::new(),
                body: None,
            };
            let fault = kind
                .at(&Catalog::embedded(), 1, &request)
                .expect("an answer");
            let answer = fault.answer.expect("an answer");
            let error = classify("compute", false, &answer).expect_err("a refusal");
            assert_eq!(error.class, class, "{}", kind.name());
        }
    }
}
