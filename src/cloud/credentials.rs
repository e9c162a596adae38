//! Who we are towards Google: asked for late, and told to Google alone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gcp_auth::TokenProvider;
use tokio::sync::Mutex;

/// No usable credentials, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no credentials for Google Cloud: {why}; log in with `gcloud auth application-default login`, or let GOOGLE_APPLICATION_CREDENTIALS name a service account's key file"
)]
pub struct CredentialsError {
    pub why: String,
}

pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<String, CredentialsError>> + 'a>>;

/// Gives access tokens.
pub trait TokenSource {
    /// A token that is valid now.
    fn token(&self) -> TokenFuture<'_>;

    /// The last token was refused: look for credentials again the next time.
    fn forget(&self) -> TokenForgotten<'_>;
}

pub type TokenForgotten<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

const SCOPES: &[&str] = &["https://www.googleapis.com/auth/cloud-platform"];

/// Application default credentials, by gcp_auth: the key file that GOOGLE_APPLICATION_CREDENTIALS
/// names, the user's application default login, the metadata server, gcloud. Nothing is looked for
/// before the first token is needed; gcp_auth keeps tokens until they expire.
#[derive(Default)]
pub struct GoogleCredentials {
    provider: Mutex<Option<Arc<dyn TokenProvider>>>,
}

impl GoogleCredentials {
    pub fn new() -> Self {
        Self::default()
    }
}

impl TokenSource for GoogleCredentials {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async move {
            let provider = {
                let mut known = self.provider.lock().await;
                match &*known {
                    Some(provider) => Arc::clone(provider),
                    None => {
                        let found = gcp_auth::provider().await.map_err(|e| failed(&e))?;
                        Arc::clone(known.insert(found))
                    }
                }
            };
            let token = provider.token(SCOPES).await.map_err(|e| failed(&e))?;
            Ok(token.as_str().to_owned())
        })
    }

    fn forget(&self) -> TokenForgotten<'_> {
        Box::pin(async move { *self.provider.lock().await = None })
    }
}

/// For worlds without Google: refuses every question.
pub struct NoCredentials;

impl TokenSource for NoCredentials {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async {
            Err(CredentialsError {
                why: "they were switched off for this run".into(),
            })
        })
    }

    fn forget(&self) -> TokenForgotten<'_> {
        Box::pin(async {})
    }
}

/// The whole chain of causes; for "nothing found" what each way of finding said.
fn failed(error: &gcp_auth::Error) -> CredentialsError {
    let why = match error {
        gcp_auth::Error::NoAuthMethod(gcloud, metadata, login) => format!(
            "no application default login ({}), no metadata server ({}), no gcloud ({})",
            chain(&**login),
            chain(&**metadata),
            chain(&**gcloud)
        ),
        other => chain(other),
    };
    CredentialsError { why }
}

/// An error and its causes in one line, each said once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
