//! Refusals as Google words them. Every API answers errors in one envelope; Compute Engine and
//! Cloud SQL add `errors[].reason`, the newer APIs a canonical `status`.

use serde_json::{Map, Value as Json, json};

/// A refused call.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub status: u16,
    pub reason: &'static str,
    pub message: String,
    /// `location` of the errors entry: a header or a parameter.
    location: Option<(&'static str, &'static str)>,
    /// The path of the field that is wrong, for `details[].fieldViolations`.
    violation: Option<String>,
    /// What only some refusals carry.
    extra: Option<Box<Extra>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Extra {
    /// The domain `usageLimits`: there is too much of something.
    usage: bool,
    /// `details[]` of the front end: why, in words that a program reads.
    details: Option<Json>,
    /// `extendedHelp`: a page.
    help: Option<String>,
}

impl Refusal {
    pub fn new(status: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Refusal {
            status,
            reason,
            message: message.into(),
            location: None,
            violation: None,
            extra: None,
        }
    }

    pub fn with_details(mut self, details: Json) -> Self {
        self.extra().details = Some(details);
        self
    }

    /// 403 with the domain `usageLimits`: quotas and rates.
    pub fn usage_limit(reason: &'static str, message: impl Into<String>) -> Self {
        let mut refusal = Self::new(403, reason, message);
        refusal.extra().usage = true;
        refusal
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub fn with_help(mut self, page: &str) -> Self {
        self.extra().help = Some(page.to_string());
        self
    }

    /// With the front end's `google.rpc.ErrorInfo`. Compute Engine spells its map `metadatas` in
    /// recorded answers; the front end itself `metadata`.
    pub fn with_info(self, reason: &str, domain: &str, metadata: Json) -> Self {
        self.with_details(json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason, "domain": domain, "metadata": metadata,
        }]))
    }

    /// 400 `Invalid value for field 'resource.name': 'X'. …`
    pub fn invalid(field: &str, value: &str, why: &str) -> Self {
        Self::new(
            400,
            "invalid",
            format!("Invalid value for field '{field}': '{value}'. {why}"),
        )
    }

    /// 400 `Required field 'resource.target' not specified`
    pub fn required(field: &str) -> Self {
        Self::new(
            400,
            "required",
            format!("Required field '{field}' not specified"),
        )
    }

    pub fn not_found(path: &str) -> Self {
        Self::new(
            404,
            "notFound",
            format!("The resource '{path}' was not found"),
        )
    }

    pub fn exists(path: &str) -> Self {
        Self::new(
            409,
            "alreadyExists",
            format!("The resource '{path}' already exists"),
        )
    }

    pub fn not_ready(path: &str) -> Self {
        Self::new(
            400,
            "resourceNotReady",
            format!("The resource '{path}' is not ready"),
        )
    }

    /// `noun` is the singular in snake case: `backend_service`.
    pub fn in_use(noun: &str, path: &str, by: &str) -> Self {
        Self::new(
            400,
            "resourceInUseByAnotherResource",
            format!("The {noun} resource '{path}' is already being used by '{by}'"),
        )
    }

    pub fn stale_fingerprint() -> Self {
        Refusal {
            location: Some(("If-Match", "header")),
            ..Self::new(412, "conditionNotMet", "Invalid fingerprint.")
        }
    }

    pub fn unknown_name(name: &str, at: &str) -> Self {
        let place = if at.is_empty() {
            String::new()
        } else {
            format!(" at '{at}'")
        };
        Refusal {
            violation: Some(at.to_string()),
            ..Self::new(
                400,
                "badRequest",
                format!(
                    "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
                ),
            )
        }
    }

    /// 405 for a path that another method answers.
    pub fn not_allowed(verb: &str, other: &str, path: &str) -> Self {
        Self::new(
            405,
            "httpMethodNotAllowed",
            format!("The HTTP method {verb} is not allowed at /{path}; {other} is."),
        )
    }

    /// 404 for a path that is no API's.
    pub fn no_such_url(path: &str) -> Self {
        Self::new(
            404,
            "notFound",
            format!("The requested URL /{path} was not found on this server."),
        )
    }

    pub fn not_simulated(what: &str) -> Self {
        Self::new(
            501,
            "notImplemented",
            format!("r5flow sim does not simulate {what}"),
        )
    }

    /// The body of the answer; `service` decides the dialect.
    pub fn body(&self, service: Option<&str>) -> Json {
        let mut error = Map::new();
        error.insert("code".into(), json!(self.status));
        error.insert("message".into(), json!(self.message));
        if self.status == 501 {
            error.insert("status".into(), json!("UNIMPLEMENTED"));
            return json!({ "error": error });
        }
        let details = self.extra.as_ref().and_then(|e| e.details.as_ref());
        let old_style = matches!(
            service,
            None | Some("compute" | "sqladmin" | "dns" | "storage")
        );
        if old_style {
            error.insert("errors".into(), json!([self.entry()]));
        }
        if !old_style || self.violation.is_some() || details.is_some() {
            error.insert("status".into(), json!(self.canonical()));
        }
        if let Some(field) = &self.violation {
            error.insert(
                "details".into(),
                json!([{
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{ "field": field, "description": self.message }],
                }]),
            );
        }
        if let Some(details) = details {
            error.insert("details".into(), details.clone());
        }
        json!({ "error": error })
    }

    fn entry(&self) -> Json {
        let mut entry = json!({
            "message": self.message,
            "domain": match self.extra.as_ref().is_some_and(|e| e.usage) {
                true => "usageLimits",
                false => "global",
            },
            "reason": self.reason,
        });
        if let Some(page) = self.extra.as_ref().and_then(|e| e.help.as_ref()) {
            entry["extendedHelp"] = json!(page);
        }
        if let Some((name, kind)) = self.location {
            entry["location"] = json!(name);
            entry["locationType"] = json!(kind);
        }
        entry
    }

    /// `google.rpc.Code` for the HTTP status.
    fn canonical(&self) -> &'static str {
        match self.status {
            400 if self.reason.starts_with("resource") => "FAILED_PRECONDITION",
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 if self.reason == "aborted" => "ABORTED",
            409 => "ALREADY_EXISTS",
            412 => "FAILED_PRECONDITION",
            429 => "RESOURCE_EXHAUSTED",
            405 | 501 => "UNIMPLEMENTED",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        }
    }
}
