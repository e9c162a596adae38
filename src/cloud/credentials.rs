//! Who we are towards Google: asked for late, and told to Google alone.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use tokio::sync::Mutex;

use super::clients::Clients;
use super::credential_file::{self, CredentialFile, Impersonation, Source};
use super::exchange::{Teller, Token};
use super::http_wire::Settings;
use super::principal;
use crate::world::{Clock, Millis};

/// No usable access token, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct CredentialsError {
    pub why: String,
    /// The next attempt may well succeed: a connection broke, or a server was busy.
    pub passing: bool,
}

impl CredentialsError {
    /// There are none.
    pub(super) fn nothing(why: impl std::fmt::Display) -> Self {
        Self::error(
            format!(
                "no credentials for Google Cloud: {why}; log in with `gcloud auth application-default login`, or let \
                 GOOGLE_APPLICATION_CREDENTIALS name a file of credentials"
            ),
            false,
        )
    }

    /// There are some, and they will not do.
    pub(super) fn lasting(why: impl std::fmt::Display) -> Self {
        Self::error(format!("no access token for Google Cloud: {why}"), false)
    }

    pub(super) fn passing(why: impl std::fmt::Display) -> Self {
        Self::error(format!("no access token for Google Cloud: {why}"), true)
    }

    fn error(why: String, passing: bool) -> Self {
        CredentialsError { why, passing }
    }
}

/// What goes along with a request to Google.
#[derive(Clone)]
pub struct Access {
    pub token: String,
    /// The project that pays, as the credentials say.
    pub quota_project: Option<String>,
}

pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<Access, CredentialsError>> + 'a>>;

/// Gives access tokens.
pub trait TokenSource {
    /// A token that is valid now.
    fn token(&self) -> TokenFuture<'_>;

    /// The last token was refused: look for credentials again the next time.
    fn forget(&self) -> TokenForgotten<'_>;
}

pub type TokenForgotten<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A token is renewed so long before it expires. The metadata server has a new one from five minutes
/// before.
const RENEW_BEFORE: Millis = Millis::secs(225);

/// Application default credentials: the file that GOOGLE_APPLICATION_CREDENTIALS names, the user's
/// application default login, the metadata server, gcloud; then, where the user says so, a service
/// account in their place. Nothing is looked for before the first token is needed.
pub struct GoogleCredentials {
    teller: Teller,
    settings: Settings,
    clock: Rc<dyn Clock>,
    held: Mutex<Option<Held>>,
    /// As whom this process began.
    began_as: RefCell<Option<String>>,
}

struct Held {
    file: CredentialFile,
    token: Option<Token>,
}

impl GoogleCredentials {
    pub(super) fn new(clients: Clients, settings: Settings, clock: Rc<dyn Clock>) -> Self {
        GoogleCredentials {
            teller: Teller::new(
                clients,
                settings.locations.metadata.clone(),
                Rc::clone(&clock),
            ),
            settings,
            clock,
            held: Mutex::default(),
            began_as: RefCell::default(),
        }
    }

    async fn access(&self) -> Result<Access, CredentialsError> {
        let mut held = self.held.lock().await;
        let held = match &mut *held {
            Some(held) => held,
            empty => empty.insert(self.find().await?),
        };
        let now = self.clock.now();
        let token = match held.token.take() {
            Some(token) if token.expires.since(now) > RENEW_BEFORE => token,
            _ => self.teller.token(&held.file.source).await?,
        };
        let access = Access {
            token: token.text.clone(),
            quota_project: held.file.quota_project.clone(),
        };
        held.token = Some(token);
        Ok(access)
    }

    async fn find(&self) -> Result<Held, CredentialsError> {
        let found = self.find_own().await?;
        let Some(email) = &self.settings.impersonate else {
            return Ok(found);
        };
        let source = Source::Impersonated(Box::new(found.file.source), Impersonation::of(email)?);
        Ok(Held {
            file: CredentialFile {
                source,
                ..found.file
            },
            token: None,
        })
    }

    async fn find_own(&self) -> Result<Held, CredentialsError> {
        let locations = &self.settings.locations;
        if let Some(file) = locations.file() {
            let trusted = &self.settings.send_credentials_to;
            let file_read = credential_file::read(file, trusted, locations.programs)?;
            self.same_as_before(principal::of_file(file))?;
            return Ok(Held {
                file: file_read,
                token: None,
            });
        }
        let bare = |source, token| Held {
            file: CredentialFile {
                source,
                quota_project: None,
            },
            token,
        };
        let metadata = match self.teller.metadata_email().await {
            Ok(email) => {
                self.same_as_before(Some(email))?;
                return Ok(bare(Source::Metadata, None));
            }
            Err(error) => error.why,
        };
        match self.teller.token(&Source::Gcloud).await {
            Ok(token) => Ok(bare(Source::Gcloud, Some(token))),
            Err(gcloud) => Err(CredentialsError::nothing(format!(
                "no application default login, no metadata server ({metadata}), no gcloud ({})",
                gcloud.why
            ))),
        }
    }

    /// A file that was exchanged under a process must not make it another account.
    fn same_as_before(&self, now: Option<String>) -> Result<(), CredentialsError> {
        let mut before = self.began_as.borrow_mut();
        match (&*before, now) {
            (Some(before), Some(now)) if *before != now => Err(CredentialsError::lasting(format!(
                "the credentials were {before}'s when this began, and are {now}'s now"
            ))),
            (_, Some(now)) => {
                *before = Some(now);
                Ok(())
            }
            (_, None) => Ok(()),
        }
    }
}

impl TokenSource for GoogleCredentials {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(self.access())
    }

    fn forget(&self) -> TokenForgotten<'_> {
        Box::pin(async move { *self.held.lock().await = None })
    }
}

/// For worlds without Google: refuses every question.
pub struct NoCredentials;

impl TokenSource for NoCredentials {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async {
            Err(CredentialsError::nothing(
                "they were switched off for this run",
            ))
        })
    }

    fn forget(&self) -> TokenForgotten<'_> {
        Box::pin(async {})
    }
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
