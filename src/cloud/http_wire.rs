//! The network as a [`Wire`]: one request, at most one answer, and an honest word when none came.

use std::collections::BTreeSet;
use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url, redirect, retry};
use tokio::time::{Instant, timeout_at};

use super::credentials::{TokenSource, chain};
use super::endpoints::Endpoints;
use crate::wire::{Answer, NoAnswer, Request, SendFuture, Verb, Wire};
use crate::world::Millis;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Decoded bytes; far beyond any document of the APIs.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
const SERVICE_HEADER: HeaderName = HeaderName::from_static("x-r5flow-service");
const QUOTA_HEADER: HeaderName = HeaderName::from_static("x-goog-user-project");

/// What the user may say about the transport.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Hosts other than Google's that may get Google credentials (`--send-credentials-to HOST`,
    /// repeatable), as they stand in the endpoint's URL, without a port. Over plain http only the
    /// machine itself gets them.
    pub send_credentials_to: BTreeSet<String>,
    /// The project that pays for requests to Google (`x-goog-user-project`), where the credentials
    /// of a user need one.
    pub quota_project: Option<String>,
}

/// Sends requests over the network.
pub struct HttpWire {
    client: Client,
    /// For this machine's own servers, which no proxy of the environment can reach.
    local: Client,
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
        // Fails when a provider was installed before, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(HttpWire {
            client: client(false)?,
            local: client(true)?,
            endpoints,
            tokens,
            settings,
            body_limit: BODY_LIMIT,
        })
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
        let token = match destination.credentials {
            true => Some(self.token(deadline).await?),
            false => None,
        };
        let prepared = self.prepare(request, &destination, token)?;
        let client = if is_local(&destination.url) {
            &self.local
        } else {
            &self.client
        };
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
        Ok(answer)
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
            credentials: google || self.trusted(&url),
            google,
            service: target.overridden.then(|| service.to_owned()),
            url,
        })
    }

    /// Whether the user allowed to send Google credentials to this host.
    fn trusted(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let allowed = self
            .settings
            .send_credentials_to
            .iter()
            .any(|h| h.eq_ignore_ascii_case(host));
        allowed && (url.scheme() == "https" || is_local(url))
    }

    async fn token(&self, deadline: Instant) -> Result<HeaderValue, NoAnswer> {
        let token = match timeout_at(deadline, self.tokens.token()).await {
            Ok(token) => token.map_err(|e| NoAnswer::NoCredentials(e.to_string()))?,
            Err(_) => {
                return Err(NoAnswer::NotSent(
                    "no access token came in time; is the network, or the metadata server, slow?"
                        .into(),
                ));
            }
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            NoAnswer::NotSent("the access token holds characters that no header can carry".into())
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn prepare(
        &self,
        request: &Request,
        destination: &Destination,
        token: Option<HeaderValue>,
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
        if let Some(token) = token {
            headers.insert(http::header::AUTHORIZATION, token);
        }
        if let Some(project) = self
            .settings
            .quota_project
            .as_ref()
            .filter(|_| destination.google)
        {
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
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > self.body_limit {
                return Err(NoAnswer::Unknown(format!(
                    "the answer ({status}) is larger than {} bytes and was not read",
                    self.body_limit
                )));
            }
            body.extend_from_slice(&chunk);
        }
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

fn client(local: bool) -> Result<Client, String> {
    let builder = Client::builder()
        .user_agent(concat!("r5flow/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .gzip(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(30));
    let builder = if local { builder.no_proxy() } else { builder };
    builder
        .build()
        .map_err(|e| format!("no HTTPS client can be made: {}", chain(&e)))
}

/// `https` and `googleapis.com` or a host below it.
fn is_google(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "https" && (host == "googleapis.com" || host.ends_with(".googleapis.com"))
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|a| a.is_loopback())
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
