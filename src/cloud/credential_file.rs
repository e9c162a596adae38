//! Files of credentials, read into a way to a token; and the hosts that such a file may name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde_json::Value as Json;

use super::clients::{Trusted, is_google, is_google_service, is_near, is_trusted, read_bounded};
use super::credentials::CredentialsError;

/// Where credentials may lie, as the environment of the process says.
#[derive(Clone, Debug)]
pub struct Locations {
    /// What `GOOGLE_APPLICATION_CREDENTIALS` names.
    pub named: Option<PathBuf>,
    /// What `gcloud auth application-default login` writes.
    pub login: Option<PathBuf>,
    /// Host and port of the metadata server (`GCE_METADATA_HOST`).
    pub metadata: String,
    /// Whether a file of credentials may name a program that is run
    /// (`GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1`).
    pub programs: bool,
}

impl Default for Locations {
    fn default() -> Self {
        Locations {
            named: None,
            login: None,
            metadata: "metadata.google.internal".into(),
            programs: false,
        }
    }
}

impl Locations {
    /// Those of this process.
    pub fn here() -> Locations {
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let config =
            variable("CLOUDSDK_CONFIG")
                .map(PathBuf::from)
                .or_else(|| match cfg!(windows) {
                    true => Some(PathBuf::from(variable("APPDATA")?).join("gcloud")),
                    false => Some(PathBuf::from(variable("HOME")?).join(".config/gcloud")),
                });
        let default = Locations::default();
        Locations {
            named: variable("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from),
            login: config.map(|c| c.join("application_default_credentials.json")),
            metadata: variable("GCE_METADATA_HOST")
                .and_then(|host| host.into_string().ok())
                .unwrap_or(default.metadata),
            programs: variable("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES")
                .is_some_and(|v| v == "1"),
        }
    }

    /// The file that tells who we are, if there is one.
    pub(super) fn file(&self) -> Option<&Path> {
        let login = || self.login.as_deref().filter(|file| file.exists());
        self.named.as_deref().or_else(login)
    }
}

/// A way to an access token. Holds secrets, and so shows nothing of itself.
pub(super) enum Source {
    User {
        url: Url,
        client_id: String,
        client_secret: String,
        refresh_token: String,
    },
    /// A service account, by its private key.
    Key {
        url: Url,
        email: String,
        private_key: String,
        key_id: Option<String>,
    },
    /// Somebody whom another house knows, and whom Google believes it.
    External(Box<External>),
    Impersonated(Box<Source>, Impersonation),
    Metadata,
    Gcloud,
}

pub(super) struct External {
    pub url: Url,
    pub audience: String,
    pub subject_token_type: String,
    pub subject: Subject,
    /// Id and secret of an OAuth client, which a workforce pool may want.
    pub client: Option<(String, String)>,
    pub user_project: Option<String>,
}

/// Where the token of the other house comes from.
pub(super) struct Subject {
    pub from: SubjectFrom,
    /// The field of a JSON text that holds the token; without it the text is the token.
    pub field: Option<String>,
}

pub(super) enum SubjectFrom {
    File(PathBuf),
    Url(Url, BTreeMap<String, String>),
    Program {
        words: Vec<String>,
        patience_ms: u64,
    },
}

/// Whom a token is asked for on behalf of, and where.
#[derive(Clone)]
pub(super) struct Impersonation {
    pub url: Url,
    pub email: String,
    pub delegates: Vec<String>,
    pub lifetime_s: u64,
}

const LIFETIME_S: u64 = 3600;

impl Impersonation {
    /// Of the account that `--impersonate` names.
    ///
    /// # Errors
    /// It is no account.
    pub(super) fn of(email: &str) -> Result<Impersonation, CredentialsError> {
        let url = format!(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
        );
        match Url::parse(&url) {
            Ok(url) if is_email(email) => Ok(Impersonation {
                url,
                email: email.into(),
                delegates: Vec::new(),
                lifetime_s: LIFETIME_S,
            }),
            _ => Err(CredentialsError::lasting(format!(
                "`{}` is no service account's email",
                email.escape_debug()
            ))),
        }
    }
}

/// Letters, digits and few signs around one `@`: nothing that could leave its place in a URL.
pub fn is_email(text: &str) -> bool {
    let plain = |part: &str| {
        let sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        !part.is_empty() && part.chars().all(sign)
    };
    text.split_once('@')
        .is_some_and(|(name, domain)| plain(name) && plain(domain))
}

/// The account in a URL of IAM credentials.
pub(super) fn impersonated(url: &str) -> Option<&str> {
    let (_, account) = url.split_once("/serviceAccounts/")?;
    let email = account.strip_suffix(":generateAccessToken")?;
    is_email(email).then_some(email)
}

pub(super) struct CredentialFile {
    pub source: Source,
    pub quota_project: Option<String>,
}

/// Reads a file of credentials.
pub(super) fn read(
    file: &Path,
    trusted: &Trusted,
    programs: bool,
) -> Result<CredentialFile, CredentialsError> {
    let name = file.display();
    let bytes = read_bounded(file).map_err(|e| {
        CredentialsError::nothing(format!("the credentials file `{name}` cannot be read: {e}"))
    })?;
    // The parser's own words could quote a secret.
    let json: Json = serde_json::from_slice(&bytes).map_err(|e| {
        CredentialsError::lasting(format!(
            "the credentials file `{name}` is no JSON: line {}, column {}",
            e.line(),
            e.column()
        ))
    })?;
    let fields = Fields {
        file,
        place: String::new(),
        json: &json,
        trusted,
        programs,
    };
    Ok(CredentialFile {
        source: fields.source()?,
        quota_project: fields.maybe("quota_project_id")?.map(str::to_owned),
    })
}

/// The fields of a file, or of a part of it.
struct Fields<'a> {
    file: &'a Path,
    /// `source_credentials.` within that part.
    place: String,
    json: &'a Json,
    trusted: &'a Trusted,
    programs: bool,
}

const KINDS: &str =
    "`authorized_user`, `service_account`, `external_account` or `impersonated_service_account`";

/// What to do about a login that only gcloud speaks.
const BY_GCLOUD: &str = "which r5flow does not speak, and gcloud does: log gcloud in by `gcloud auth login` with \
                         `--cred-file` or `--login-config`, and take this file away (unset GOOGLE_APPLICATION_CREDENTIALS, or \
                         `gcloud auth application-default revoke`), so that gcloud's own login is used";

impl<'a> Fields<'a> {
    fn source(&self) -> Result<Source, CredentialsError> {
        match self.text("type")? {
            "authorized_user" => Ok(Source::User {
                url: self.token_uri()?,
                client_id: self.text("client_id")?.into(),
                client_secret: self.text("client_secret")?.into(),
                refresh_token: self.text("refresh_token")?.into(),
            }),
            "service_account" => Ok(Source::Key {
                url: self.token_uri()?,
                email: self.text("client_email")?.into(),
                private_key: self.text("private_key")?.into(),
                key_id: self.maybe("private_key_id")?.map(str::to_owned),
            }),
            "external_account" => self.external(),
            "impersonated_service_account" => {
                let inner = self.part("source_credentials")?;
                if inner.text("type")? == "impersonated_service_account" {
                    return Err(inner.wrong(
                        "type",
                        "is impersonated itself; list the accounts between in `delegates`",
                    ));
                }
                Ok(Source::Impersonated(
                    Box::new(inner.source()?),
                    self.impersonation(LIFETIME_S)?,
                ))
            }
            "external_account_authorized_user" => Err(self.wrong(
                "type",
                &format!("is the login of a workforce pool, {BY_GCLOUD}"),
            )),
            other => Err(self.wrong(
                "type",
                &format!("is `{}`: expected {KINDS}", other.escape_debug()),
            )),
        }
    }

    fn external(&self) -> Result<Source, CredentialsError> {
        let sts = |url: &Url| is_google_service(url, "sts");
        let client = match (self.maybe("client_id")?, self.maybe("client_secret")?) {
            (Some(id), secret) => Some((id.to_owned(), secret.unwrap_or_default().to_owned())),
            (None, _) => None,
        };
        let external = Source::External(Box::new(External {
            url: self.google_url(
                "token_url",
                "Google's token exchange, https://sts.googleapis.com/v1/token",
                sts,
            )?,
            audience: self.text("audience")?.into(),
            subject_token_type: self.text("subject_token_type")?.into(),
            subject: self.part("credential_source")?.subject()?,
            client,
            user_project: self
                .maybe("workforce_pool_user_project")?
                .map(str::to_owned),
        }));
        if self.maybe("service_account_impersonation_url")?.is_none() {
            return Ok(external);
        }
        let lifetime = &self.json["service_account_impersonation"]["token_lifetime_seconds"];
        let lifetime_s = lifetime.as_u64().unwrap_or(LIFETIME_S);
        Ok(Source::Impersonated(
            Box::new(external),
            self.impersonation(lifetime_s)?,
        ))
    }

    fn impersonation(&self, lifetime_s: u64) -> Result<Impersonation, CredentialsError> {
        const FIELD: &str = "service_account_impersonation_url";
        let iam = |url: &Url| is_google_service(url, "iamcredentials");
        let url = self.google_url(FIELD, "Google's https://iamcredentials.googleapis.com", iam)?;
        let email = impersonated(url.as_str())
            .ok_or_else(|| {
                self.wrong(
                    FIELD,
                    "does not end with /serviceAccounts/EMAIL:generateAccessToken",
                )
            })?
            .to_owned();
        let delegates = match &self.json["delegates"] {
            Json::Null => Vec::new(),
            Json::Array(all) => all
                .iter()
                .map(|d| d.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| self.wrong("delegates", "holds something that is no text"))?,
            _ => return Err(self.wrong("delegates", "is no list")),
        };
        Ok(Impersonation {
            url,
            email,
            delegates,
            lifetime_s,
        })
    }

    fn subject(&self) -> Result<Subject, CredentialsError> {
        let format = &self.json["format"];
        let field = match format["type"].as_str() {
            Some("json") => Some(
                self.part("format")?
                    .text("subject_token_field_name")?
                    .to_owned(),
            ),
            Some("text") | None => None,
            Some(_) => {
                return Err(self.wrong("format", "has a type that is neither `text` nor `json`"));
            }
        };
        let from = if let Some(file) = self.maybe("file")? {
            SubjectFrom::File(file.into())
        } else if self.maybe("environment_id")?.is_some() {
            return Err(self.wrong(
                "environment_id",
                &format!(
                    "stands for AWS, {BY_GCLOUD}; or let an `executable` bring the subject token"
                ),
            ));
        } else if self.maybe("url")?.is_some() {
            SubjectFrom::Url(self.own_url("url")?, self.headers()?)
        } else if self.json.get("executable").is_some() {
            self.part("executable")?.program()?
        } else {
            return Err(self.wrong("file", "is missing, and so are `url` and `executable`"));
        };
        Ok(Subject { from, field })
    }

    fn headers(&self) -> Result<BTreeMap<String, String>, CredentialsError> {
        let Some(headers) = self.json["headers"].as_object() else {
            return Ok(BTreeMap::new());
        };
        let text =
            |(name, value): (&String, &Json)| Some((name.clone(), value.as_str()?.to_owned()));
        let all: Option<_> = headers.iter().map(text).collect();
        all.ok_or_else(|| self.wrong("headers", "holds something that is no text"))
    }

    fn program(&self) -> Result<SubjectFrom, CredentialsError> {
        if !self.programs {
            return Err(self.wrong(
                "command",
                "names a program, and none is run unless GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES is 1",
            ));
        }
        let words = self.text("command")?.split_whitespace().map(str::to_owned);
        Ok(SubjectFrom::Program {
            words: words.collect(),
            patience_ms: self.json["timeout_millis"]
                .as_u64()
                .unwrap_or(30_000)
                .clamp(1, 120_000),
        })
    }

    /// Where a user's or a key's token comes from.
    fn token_uri(&self) -> Result<Url, CredentialsError> {
        const DEFAULT: &str = "https://oauth2.googleapis.com/token";
        let accounts =
            |url: &Url| url.scheme() == "https" && url.host_str() == Some("accounts.google.com");
        match self.maybe("token_uri")? {
            Some(_) => self.google_url("token_uri", DEFAULT, |url| is_google(url) || accounts(url)),
            None => Url::parse(DEFAULT).map_err(|_| self.wrong("token_uri", "is no URL")),
        }
    }

    /// A URL that is told a secret: Google's, or one that the user allowed.
    fn google_url(
        &self,
        field: &str,
        expected: &str,
        google: impl Fn(&Url) -> bool,
    ) -> Result<Url, CredentialsError> {
        let url = self.url(field)?;
        let usual = url.port().is_none() && google(&url);
        if usual || is_trusted(self.trusted, &url) {
            return Ok(url);
        }
        let host = url.host_str().unwrap_or_default();
        Err(self.wrong(
            field,
            &format!(
                "leads to `{}`, which would be told a secret: expected {expected}; if it is yours, say \
                 `--send-credentials-to {host}` (over plain http only this machine is told any)",
                url.origin().ascii_serialization()
            ),
        ))
    }

    /// The caller's own server, which gets nothing of Google's but gives a secret away.
    fn own_url(&self, field: &str) -> Result<Url, CredentialsError> {
        let url = self.url(field)?;
        match url.scheme() == "https" || is_near(&url) {
            true => Ok(url),
            false => Err(self.wrong(field, "is plain http to another machine, and would bring a secret in the open: expected https")),
        }
    }

    fn url(&self, field: &str) -> Result<Url, CredentialsError> {
        let url = Url::parse(self.text(field)?)
            .map_err(|e| self.wrong(field, &format!("is no URL: {e}")))?;
        let spoken = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
        if !spoken {
            return Err(self.wrong(field, "is no URL of http or https"));
        }
        match url.username().is_empty() && url.password().is_none() {
            true => Ok(url),
            false => Err(self.wrong(field, "has a user or password in its URL")),
        }
    }

    fn part(&self, field: &str) -> Result<Fields<'a>, CredentialsError> {
        match self.json.get(field) {
            Some(json) if json.is_object() => Ok(Fields {
                file: self.file,
                place: format!("{}{field}.", self.place),
                json,
                trusted: self.trusted,
                programs: self.programs,
            }),
            Some(_) => Err(self.wrong(field, "is no object")),
            None => Err(self.wrong(field, "is missing")),
        }
    }

    fn text(&self, field: &str) -> Result<&'a str, CredentialsError> {
        self.maybe(field)?
            .ok_or_else(|| self.wrong(field, "is missing"))
    }

    /// An empty text counts as absent.
    fn maybe(&self, field: &str) -> Result<Option<&'a str>, CredentialsError> {
        match self.json.get(field) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.as_str()).filter(|t| !t.is_empty())),
            Some(_) => Err(self.wrong(field, "is no text")),
        }
    }

    fn wrong(&self, field: &str, what: &str) -> CredentialsError {
        CredentialsError::lasting(format!(
            "the credentials file `{}`: `{}{field}` {what}",
            self.file.display(),
            self.place
        ))
    }
}
