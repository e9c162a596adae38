//! The network as a [`Wire`]: one request, at most one answer, and an honest word when none came.

use std::future::Future;
use std::rc::Rc;
use std::task::Poll;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url};
use tokio::time::{Instant, timeout_at};

use super::clients::{Authorities, Clients, Trusted, Unread, body, is_google, is_trusted};
use super::credential_file::Locations;
use super::credentials::{Access, GoogleCredentials, TokenSource, chain};
use super::endpoints::Endpoints;
use crate::wire::{Answer, NoAnswer, Request, SendFuture, Verb, Wire};
use crate::world::{Clock, Millis};

/// Decoded bytes; far beyond any document of the APIs.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
const SERVICE_HEADER: HeaderName = HeaderName::from_static("x-r5flow-service");
const QUOTA_HEADER: HeaderName = HeaderName::from_static("x-goog-user-project");

/// What the user may say about the transport and the credentials.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Hosts other than Google's that may get Google credentials (`--send-credentials-to HOST`,
    /// repeatable).
    pub send_credentials_to: Trusted,
    /// The project that pays for requests to Google (`x-goog-user-project`), instead of the one that
    /// the credentials name.
    pub quota_project: Option<String>,
    /// The service account in whose place requests are made (`--impersonate EMAIL`).
    pub impersonate: Option<String>,
    /// Certificate authorities beside those of the system (`--ca FILE`).
    pub authorities: Authorities,
    pub locations: Locations,
}

/// Sends requests over the network.
pub struct HttpWire {
    clients: Clients,
    endpoints: Endpoints,
    tokens: Box<dyn TokenSource>,
    settings: Settings,
    body_limit: usize,
}

impl HttpWire {
    /// The error text says why no TLS client can be made on this machine.
    pub fn new(
        endpoints: Endpoints,
        tokens: Box<dyn TokenSource>,
        settings: Settings,
    ) -> Result<HttpWire, String> {
        let clients = Clients::new(&settings.authorities)?;
        Ok(Self::with(clients, endpoints, tokens, settings))
    }

    /// With the user's own credentials, which are not looked for before a request needs them.
    pub fn google(
        endpoints: Endpoints,
        settings: Settings,
        clock: Rc<dyn Clock>,
    ) -> Result<HttpWire, String> {
        let clients = Clients::new(&settings.authorities)?;
        let tokens = GoogleCredentials::new(clients.clone(), settings.clone(), clock);
        Ok(Self::with(clients, endpoints, Box::new(tokens), settings))
    }

    fn with(
        clients: Clients,
        endpoints: Endpoints,
        tokens: Box<dyn TokenSource>,
        settings: Settings,
    ) -> HttpWire {
        HttpWire {
            clients,
            endpoints,
            tokens,
            settings,
            body_limit: BODY_LIMIT,
        }
    }

    #[cfg(test)]
    pub(super) fn with_body_limit(self, body_limit: usize) -> Self {
        HttpWire { body_limit, ..self }
    }

    async fn exchange(
        &self,
        request: &Request,
        patience: Millis,
        leave: &dyn Fn() -> Result<(), String>,
    ) -> Result<Answer, NoAnswer> {
        let deadline = Instant::now() + patience.std();
        let destination = self.destination(request)?;
        let access = match destination.credentials {
            true => Some(self.access(deadline).await?),
            false => None,
        };
        let prepared = self.prepare(request, &destination, access.as_ref())?;
        let client = self.clients.for_url(&destination.url);
        let fetched = self.fetch(client, prepared, request);
        let mut fetched = std::pin::pin!(timeout_at(deadline, fetched));
        // Asked whenever there is something to do for this request, its connection being made
        // included: a process that was stopped in between finds out before anything leaves.
        let guarded = std::future::poll_fn(|context| match leave() {
            Ok(()) => fetched.as_mut().poll(context).map(Ok),
            Err(why) => Poll::Ready(Err(NoAnswer::NotSent(why))),
        });
        let answer = match guarded.await? {
            Ok(answer) => answer.map_err(|why| from_server(&destination.url, why))?,
            Err(_) => {
                let why = NoAnswer::Unknown(format!("no answer within {patience}"));
                return Err(from_server(&destination.url, why));
            }
        };
        if answer.status == 401 && destination.credentials {
            self.tokens.forget().await;
        }
        Ok(match access {
            Some(access) => without(answer, &access.token),
            None => answer,
        })
    }

    fn destination(&self, request: &Request) -> Result<Destination, NoAnswer> {
        let not_sent = |e: String| NoAnswer::NotSent(e);
        let Some(service) = request.service() else {
            let url = Url::parse(&request.path)
                .map_err(|e| NoAnswer::NotSent(format!("`{}` is no URL: {e}", request.path)))?;
            let spoken = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
            return match spoken {
                true => Ok(Destination {
                    url,
                    service: None,
                    credentials: false,
                    google: false,
                }),
                false => Err(not_sent(format!(
                    "`{}`: only http and https are spoken",
                    request.path
                ))),
            };
        };
        let target = self
            .endpoints
            .target(service)
            .map_err(|e| not_sent(e.to_string()))?;
        let joined = format!("{}{}", target.root, request.path);
        let url =
            Url::parse(&joined).map_err(|e| not_sent(format!("`{joined}` is no URL: {e}")))?;
        // A URL parser resolves `..`, and would let a name choose another resource.
        if url.as_str() != joined || url.query().is_some() || url.fragment().is_some() {
            return Err(not_sent(format!(
                "the path `{}` is not in its plain form",
                request.path
            )));
        }
        let google = is_google(&url);
        Ok(Destination {
            credentials: google || is_trusted(&self.settings.send_credentials_to, &url),
            google,
            service: target.overridden.then(|| service.to_owned()),
            url,
        })
    }

    async fn access(&self, deadline: Instant) -> Result<Access, NoAnswer> {
        match timeout_at(deadline, self.tokens.token()).await {
            Ok(access) => access.map_err(|e| match e.passing {
                true => NoAnswer::NotSent(e.why),
                false => NoAnswer::NoCredentials(e.why),
            }),
            Err(_) => Err(NoAnswer::NotSent(
                "no access token came in time; is the network, or the metadata server, slow?"
                    .into(),
            )),
        }
    }

    fn prepare(
        &self,
        request: &Request,
        destination: &Destination,
        access: Option<&Access>,
    ) -> Result<reqwest::Request, NoAnswer> {
        let mut url = destination.url.clone();
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut prepared = reqwest::Request::new(method(request.verb), url);
        *prepared.headers_mut() = headers(request)?;
        let headers = prepared.headers_mut();
        if let Some(service) = &destination.service {
            headers.insert(SERVICE_HEADER, header_value("x-r5flow-service", service)?);
        }
        if let Some(access) = access {
            let mut value = header_value("authorization", &format!("Bearer {}", access.token))?;
            value.set_sensitive(true);
            headers.insert(http::header::AUTHORIZATION, value);
        }
        let told = access.and_then(|a| a.quota_project.as_ref());
        let payer = self.settings.quota_project.as_ref().or(told);
        if let Some(project) = payer.filter(|_| destination.google) {
            headers.insert(QUOTA_HEADER, header_value("x-goog-user-project", project)?);
        }
        match &request.body {
            Some(body) => {
                headers
                    .entry(http::header::CONTENT_TYPE)
                    .or_insert(HeaderValue::from_static("application/json"));
                *prepared.body_mut() = Some(body.to_string().into());
            }
            // Google answers 411 to a POST that does not tell its length.
            None if matches!(request.verb, Verb::Post | Verb::Put | Verb::Patch) => {
                headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            None => {}
        }
        Ok(prepared)
    }

    async fn fetch(
        &self,
        client: &Client,
        prepared: reqwest::Request,
        request: &Request,
    ) -> Result<Answer, NoAnswer> {
        let mut response = client.execute(prepared).await.map_err(no_answer)?;
        if request.verb != Verb::Get {
            crate::world::failpoint("answer-unread", &request.method);
        }
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let body = match body(&mut response, self.body_limit).await {
            Ok(body) => body,
            Err(Unread::Broken(error)) => return Err(no_answer(error)),
            Err(Unread::TooLarge) => {
                return Err(NoAnswer::Unknown(format!(
                    "the answer ({status}) is larger than {} bytes and was not read",
                    self.body_limit
                )));
            }
        };
        Ok(Answer {
            status,
            headers,
            body,
        })
    }
}

impl Wire for HttpWire {
    fn send<'a>(&'a self, request: &'a Request, patience: Millis) -> SendFuture<'a> {
        Box::pin(self.exchange(request, patience, &|| Ok(())))
    }

    fn send_if<'a>(
        &'a self,
        request: &'a Request,
        patience: Millis,
        leave: &'a dyn Fn() -> Result<(), String>,
    ) -> SendFuture<'a> {
        Box::pin(self.exchange(request, patience, leave))
    }
}

struct Destination {
    url: Url,
    /// Told in a header when the endpoint was overridden.
    service: Option<String>,
    credentials: bool,
    google: bool,
}

fn headers(request: &Request) -> Result<HeaderMap, NoAnswer> {
    let mut map = HeaderMap::new();
    if request.service().is_some() {
        map.insert(
            http::header::ACCEPT,
            HeaderValue::from_static("application/json"),
        );
    }
    for (name, value) in &request.headers {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            NoAnswer::NotSent(format!("`{}` is no header name", name.escape_debug()))
        })?;
        let value = header_value(name, value)?;
        match map.contains_key(&key) && key != http::header::ACCEPT {
            true => map.append(key, value),
            false => map.insert(key, value).is_some(),
        };
    }
    Ok(map)
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, NoAnswer> {
    HeaderValue::from_str(value).map_err(|_| {
        NoAnswer::NotSent(format!(
            "the header `{name}` has a line break or another character that it cannot carry"
        ))
    })
}

fn method(verb: Verb) -> Method {
    match verb {
        Verb::Get => Method::GET,
        Verb::Head => Method::HEAD,
        Verb::Post => Method::POST,
        Verb::Put => Method::PUT,
        Verb::Patch => Method::PATCH,
        Verb::Delete => Method::DELETE,
    }
}

/// The answer of a server that says back what it was told, and which a journal may keep.
fn without(mut answer: Answer, token: &str) -> Answer {
    const HIDDEN: &str = "[hidden]";
    let needle = token.as_bytes();
    if answer
        .body
        .windows(needle.len().max(1))
        .any(|w| w == needle)
    {
        let text = String::from_utf8_lossy(&answer.body);
        answer.body = text.replace(token, HIDDEN).into_bytes();
    }
    for (_, value) in &mut answer.headers {
        if value.contains(token) {
            *value = value.replace(token, HIDDEN);
        }
    }
    answer
}

/// Names the server; the rest of the URL may hold a secret.
fn from_server(url: &Url, why: NoAnswer) -> NoAnswer {
    let server = url.origin().ascii_serialization();
    match why {
        NoAnswer::NotSent(why) => NoAnswer::NotSent(format!("`{server}`: {why}")),
        NoAnswer::Unknown(why) => NoAnswer::Unknown(format!("`{server}`: {why}")),
        NoAnswer::NoCredentials(why) => NoAnswer::NoCredentials(why),
    }
}

/// Only what failed before a connection stood certainly never left.
fn no_answer(error: reqwest::Error) -> NoAnswer {
    let never_left = error.is_connect() || error.is_builder();
    // The URL may hold a query with a secret.
    let text = chain(&error.without_url());
    match never_left {
        true => NoAnswer::NotSent(text),
        false => NoAnswer::Unknown(text),
    }
}
