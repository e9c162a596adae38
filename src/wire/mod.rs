//! HTTP as data: what is sent, what comes back, and what is known when nothing came back.
//!
//! The catalogue builds requests, the cloud sends them, the simulator answers them; none of the
//! three needs to know the others for that.

pub mod error;
mod error_table;
pub mod named;
pub mod policy;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::world::{Millis, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Head => "HEAD",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Patch => "PATCH",
            Verb::Delete => "DELETE",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [
            Verb::Get,
            Verb::Head,
            Verb::Post,
            Verb::Put,
            Verb::Patch,
            Verb::Delete,
        ]
        .into_iter()
        .find(|v| v.as_str() == text)
    }
}

/// One request, complete: what a journal records is what is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The catalogue's method, `compute.images.insert`, or `http` for one that is no Google API.
    pub method: Arc<str>,
    pub verb: Verb,
    /// For an API: the path below the service's root, percent-encoded, without a leading slash
    /// (`compute/v1/projects/p/global/images`). For `http`: the whole URL without its query.
    pub path: String,
    /// In order; values are not encoded yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
}

impl Request {
    /// `compute` of `compute.images.insert`; `None` for `http`.
    pub fn service(&self) -> Option<&str> {
        match &*self.method {
            "http" => None,
            method => method.split('.').next(),
        }
    }

    /// What the request addresses, for people: verb and path with the query.
    pub fn line(&self) -> String {
        let query: Vec<String> = self.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!(
            "{} {}{mark}{}",
            self.verb.as_str(),
            self.path,
            query.join("&")
        )
    }
}

/// An answer with any status; redirects are answers too.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_str())
    }

    /// The server's clock when it answered, from the `date` header.
    pub fn date(&self) -> Option<Timestamp> {
        let text = self.header("date")?;
        chrono::DateTime::parse_from_rfc2822(text)
            .ok()
            .map(|t| Timestamp(t.timestamp_millis()))
    }
}

/// No answer came. The difference decides whether a mutation may simply be sent again.
#[derive(Clone, Debug, PartialEq)]
pub enum NoAnswer {
    /// It certainly never left: no connection, no name.
    NotSent(String),
    /// It certainly never left, since there is nobody to send it as; trying again does not help.
    NoCredentials(String),
    /// It may have taken effect: the connection broke, or time ran out, after bytes had left.
    Unknown(String),
}

impl NoAnswer {
    /// Whether it may have taken effect.
    pub fn may_have_left(&self) -> bool {
        matches!(self, NoAnswer::Unknown(_))
    }

    pub fn into_why(self) -> String {
        match self {
            NoAnswer::NotSent(why) | NoAnswer::NoCredentials(why) | NoAnswer::Unknown(why) => why,
        }
    }
}

pub type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<Answer, NoAnswer>> + 'a>>;

/// Something that carries one request and brings back one answer: the network, or the simulator.
/// It neither retries nor follows redirects.
pub trait Wire {
    /// `patience` bounds the whole exchange.
    fn send<'a>(&'a self, request: &'a Request, patience: Millis) -> SendFuture<'a>;

    /// Sends unless `leave` says no, which is asked as late as can be: whatever takes time, such as
    /// fetching a token or making a connection, comes before it. Once it said no, the answer is of no
    /// use to anybody any more.
    fn send_if<'a>(
        &'a self,
        request: &'a Request,
        patience: Millis,
        leave: &'a dyn Fn() -> Result<(), String>,
    ) -> SendFuture<'a> {
        Box::pin(async move {
            leave().map_err(NoAnswer::NotSent)?;
            self.send(request, patience).await
        })
    }
}
