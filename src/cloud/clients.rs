//! The HTTP clients of a process, and which hosts they may tell a secret.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, Response, Url, redirect, retry};

use super::credentials::chain;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a file of certificates, credentials or a subject token may hold; far beyond any real one.
const FILE_LIMIT: u64 = 1024 * 1024;

/// One client for the world, which goes through the proxies that `HTTPS_PROXY`, `HTTP_PROXY` and
/// `NO_PROXY` name, and one for what no proxy can reach: this machine, and its metadata server.
#[derive(Clone)]
pub(super) struct Clients {
    world: Client,
    near: Client,
}

impl Clients {
    /// # Errors
    /// Why no TLS client can be made on this machine.
    pub(super) fn new(authorities: &Authorities) -> Result<Clients, String> {
        // Fails when a provider was installed before, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Clients {
            world: client(authorities, false)?,
            near: client(authorities, true)?,
        })
    }

    pub(super) fn near(&self) -> &Client {
        &self.near
    }

    pub(super) fn for_url(&self, url: &Url) -> &Client {
        match is_near(url) {
            true => &self.near,
            false => &self.world,
        }
    }
}

fn client(authorities: &Authorities, near: bool) -> Result<Client, String> {
    let builder = Client::builder()
        .user_agent(concat!("r5flow/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .gzip(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(30))
        .tls_certs_merge(authorities.0.iter().cloned());
    let builder = if near { builder.no_proxy() } else { builder };
    builder
        .build()
        .map_err(|e| format!("no HTTPS client can be made: {}", chain(&e)))
}

/// Certificate authorities that are trusted beside those of the system.
#[derive(Clone, Debug, Default)]
pub struct Authorities(Vec<Certificate>);

impl Authorities {
    /// Reads a file of certificates in PEM.
    ///
    /// # Errors
    /// It cannot be read, or holds no certificate.
    pub fn read(file: &Path) -> Result<Authorities, String> {
        let name = file.display();
        let pem = read_bounded(file).map_err(|e| format!("`{name}` cannot be read: {e}"))?;
        let found = Certificate::from_pem_bundle(&pem)
            .map_err(|e| format!("`{name}` is no file of certificates: {}", chain(&e)))?;
        match found.is_empty() {
            true => Err(format!(
                "`{name}` holds no certificate: expected PEM, with lines like `-----BEGIN CERTIFICATE-----`"
            )),
            false => Ok(Authorities(found)),
        }
    }
}

/// A small file, read as a whole.
pub(super) fn read_bounded(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?
        .take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > FILE_LIMIT {
        true => Err(std::io::Error::other(format!(
            "it is larger than {FILE_LIMIT} bytes"
        ))),
        false => Ok(bytes),
    }
}

/// Why a body was not read.
pub(super) enum Unread {
    Broken(reqwest::Error),
    TooLarge,
}

/// The body of an answer, decoded, up to a limit.
pub(super) async fn body(response: &mut Response, limit: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Hosts other than Google's that may get Google credentials, as they stand in a URL, without a
/// port. Over plain http only the machine itself gets them.
pub type Trusted = BTreeSet<String>;

/// Whether the user allowed to send Google credentials to this host.
pub(super) fn is_trusted(trusted: &Trusted, url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let allowed = trusted.iter().any(|h| h.eq_ignore_ascii_case(host));
    allowed && (url.scheme() == "https" || is_local(url))
}

/// `https` and `googleapis.com` or a host below it.
pub(super) fn is_google(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "https" && (host == "googleapis.com" || host.ends_with(".googleapis.com"))
}

/// Google's own server for `service`, in any of its regions: `sts.googleapis.com`,
/// `us-east1-sts.googleapis.com`, `sts.us-east1.rep.googleapis.com`.
pub(super) fn is_google_service(url: &Url, service: &str) -> bool {
    let host = url.host_str().unwrap_or_default();
    let mut labels = host.split('.');
    let regional = |label: &str| {
        label
            .strip_suffix(service)
            .is_some_and(|l| l.ends_with('-'))
    };
    is_google(url) && labels.any(|label| label == service || regional(label))
}

pub(super) fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || address(host).is_some_and(|a| a.is_loopback())
}

/// This machine, and what answers on the link of its own network card: metadata servers.
pub(super) fn is_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let linked = match address(host) {
        Some(std::net::IpAddr::V4(address)) => address.is_link_local(),
        Some(std::net::IpAddr::V6(address)) => address.is_unicast_link_local(),
        None => host == "metadata.google.internal",
    };
    linked || is_local(url)
}

fn address(host: &str) -> Option<std::net::IpAddr> {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    plain.parse().ok()
}
