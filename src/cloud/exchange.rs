//! Tokens, asked for over the network: of Google's token servers, of another house, of programs.

use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use reqwest::{RequestBuilder, StatusCode, Url};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value as Json, json};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::clients::{Clients, Unread, body, read_bounded};
use super::credential_file::{External, Impersonation, Source, Subject, SubjectFrom};
use super::credentials::{CredentialsError, chain};
use crate::world::{Clock, Millis, Timestamp};

/// An access token; shows nothing of itself.
pub(super) struct Token {
    pub text: String,
    pub expires: Timestamp,
}

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long one question for a token may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a metadata server, which is near or not there at all, may take.
const METADATA_PATIENCE: Duration = Duration::from_secs(3);
/// What an answer with a token, or a program's output, may hold.
const ANSWER_LIMIT: usize = 256 * 1024;
/// No token of Google's lives longer.
const LONGEST: Millis = Millis::mins(12 * 60);
/// gcloud does not say how long its tokens last.
const GCLOUD_LASTS: Millis = Millis::mins(10);

type Answered<T> = Result<T, CredentialsError>;

/// Asks for tokens. Every question is asked once: whether again is the run's decision.
pub(super) struct Teller {
    clients: Clients,
    metadata: String,
    clock: Rc<dyn Clock>,
}

/// A question on its way: whom it goes to, in words, and what must not come back in an error.
struct Question<'a> {
    whom: &'a str,
    url: &'a Url,
    request: RequestBuilder,
    secrets: Vec<&'a str>,
    patience: Duration,
}

impl Teller {
    pub(super) fn new(clients: Clients, metadata: String, clock: Rc<dyn Clock>) -> Self {
        Teller {
            clients,
            metadata,
            clock,
        }
    }

    pub(super) async fn token(&self, source: &Source) -> Answered<Token> {
        match source {
            // One level deep: nothing is impersonated from what is impersonated but `--impersonate`.
            Source::Impersonated(from, whom) => {
                let own = Box::pin(self.token(from)).await?;
                self.impersonated(&own, whom).await
            }
            Source::User {
                url,
                client_id,
                client_secret,
                refresh_token,
            } => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("client_id", client_id),
                    ("client_secret", client_secret),
                    ("refresh_token", refresh_token),
                ];
                self.form("the login server", url, &form, None).await
            }
            Source::Key { url, .. } => {
                let assertion = self.assertion(source)?;
                let form = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", &*assertion),
                ];
                self.form("the token server", url, &form, None).await
            }
            Source::External(external) => self.exchanged(external).await,
            Source::Metadata => {
                let url = self.metadata_url("token")?;
                let text = self.metadata_text(&url).await?;
                self.read_token(&json_of("the metadata server", &url, &text)?)
            }
            Source::Gcloud => Ok(Token {
                text: fit(&super::gcloud::token(PATIENCE).await?)?,
                expires: self.clock.now().plus(GCLOUD_LASTS),
            }),
        }
    }

    async fn exchanged(&self, external: &External) -> Answered<Token> {
        let subject = self.subject(external).await?;
        let options = external
            .user_project
            .as_ref()
            .map(|project| json!({ "userProject": project }).to_string());
        let mut form = vec![
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("audience", &external.audience),
            ("scope", SCOPE),
            ("subject_token_type", &external.subject_token_type),
            ("subject_token", &subject),
        ];
        if let (Some(options), None) = (&options, &external.client) {
            form.push(("options", options));
        }
        let client = external.client.as_ref();
        self.form("the token exchange", &external.url, &form, client)
            .await
    }

    /// A token for another account, by the right of the first.
    async fn impersonated(&self, own: &Token, whom: &Impersonation) -> Answered<Token> {
        let delegates: Vec<String> = whom
            .delegates
            .iter()
            .map(|d| match d.contains('/') {
                true => d.clone(),
                false => format!("projects/-/serviceAccounts/{d}"),
            })
            .collect();
        let wish = json!({
            "scope": [SCOPE],
            "delegates": delegates,
            "lifetime": format!("{}s", whom.lifetime_s),
        });
        let what = format!("IAM, asked to act as {},", whom.email);
        let request = self
            .post(&whom.url)
            .header("content-type", "application/json")
            .bearer_auth(&own.text)
            .body(wish.to_string());
        let answer = self
            .ask(Question {
                whom: &what,
                url: &whom.url,
                request,
                secrets: vec![&own.text],
                patience: PATIENCE,
            })
            .await?;
        let json = json_of(&what, &whom.url, &answer)?;
        let missing = |field| {
            CredentialsError::lasting(format!("{what} answered without a usable `{field}`"))
        };
        let text = json["accessToken"]
            .as_str()
            .ok_or_else(|| missing("accessToken"))?;
        let expires = json["expireTime"]
            .as_str()
            .and_then(Timestamp::parse)
            .ok_or_else(|| missing("expireTime"))?;
        Ok(Token {
            text: fit(text)?,
            expires: expires.min(self.clock.now().plus(LONGEST)),
        })
    }

    /// What a key's owner signs to say who they are.
    pub(super) fn assertion(&self, source: &Source) -> Answered<String> {
        let Source::Key {
            url,
            email,
            private_key,
            key_id,
        } = source
        else {
            return Err(CredentialsError::lasting("only a key can sign"));
        };
        let now = self.clock.now().0 / 1000;
        let mut head = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = key_id {
            head["kid"] = json!(id);
        }
        let claims = json!({
            "iss": email, "scope": SCOPE, "aud": url.as_str(), "iat": now, "exp": now + 3600,
        });
        let encode = |json: Json| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", encode(head), encode(claims));
        let signature = sign(private_key, signed.as_bytes()).ok_or_else(|| {
            CredentialsError::lasting(format!(
                "the credentials file of {email}: `private_key` is no RSA key in PEM (PKCS #8)"
            ))
        })?;
        Ok(format!(
            "{signed}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(signature)
        ))
    }

    /// The token of the other house.
    async fn subject(&self, external: &External) -> Answered<String> {
        let Subject { from, field } = &external.subject;
        let (place, text) = match from {
            SubjectFrom::File(file) => {
                let name = format!("`{}`", file.display());
                let bytes = read_bounded(file).map_err(|e| {
                    CredentialsError::lasting(format!(
                        "the subject token in {name} cannot be read: {e}"
                    ))
                })?;
                (name, bytes)
            }
            SubjectFrom::Url(url, headers) => {
                let mut request = self.clients.for_url(url).get(url.clone());
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                let question = Question {
                    whom: "the server of subject tokens",
                    url,
                    request,
                    secrets: headers.values().map(String::as_str).collect(),
                    patience: PATIENCE,
                };
                (
                    format!("the answer of `{}`", server(url)),
                    self.ask(question).await?,
                )
            }
            SubjectFrom::Program { words, patience_ms } => {
                return program_token(words, *patience_ms, external).await;
            }
        };
        let text = String::from_utf8(text).map_err(|_| {
            CredentialsError::lasting(format!("the subject token in {place} is no text"))
        })?;
        let token = match field {
            None => text.trim().to_owned(),
            Some(field) => serde_json::from_str::<Json>(&text)
                .ok()
                .and_then(|json| json.get(field)?.as_str().map(str::to_owned))
                .ok_or_else(|| {
                    CredentialsError::lasting(format!("{place} has no text in the field `{field}`, which should be the subject token"))
                })?,
        };
        match token.is_empty() {
            true => Err(CredentialsError::lasting(format!(
                "{place} holds no subject token"
            ))),
            false => Ok(token),
        }
    }

    /// The account that the metadata server lends to this machine.
    pub(super) async fn metadata_email(&self) -> Answered<String> {
        let url = self.metadata_url("email")?;
        let text = self.metadata_text(&url).await?;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        match super::credential_file::is_email(&text) {
            true => Ok(text),
            false => Err(CredentialsError::lasting(
                "the metadata server names no account",
            )),
        }
    }

    fn metadata_url(&self, what: &str) -> Answered<Url> {
        let host = &self.metadata;
        Url::parse(&format!(
            "http://{host}/computeMetadata/v1/instance/service-accounts/default/{what}"
        ))
        .map_err(|e| CredentialsError::lasting(format!("GCE_METADATA_HOST is no host: {e}")))
    }

    async fn metadata_text(&self, url: &Url) -> Answered<Vec<u8>> {
        let request = self
            .clients
            .near()
            .get(url.clone())
            .header("metadata-flavor", "Google");
        self.ask(Question {
            whom: "the metadata server",
            url,
            request,
            secrets: Vec::new(),
            patience: METADATA_PATIENCE,
        })
        .await
    }

    async fn form(
        &self,
        whom: &str,
        url: &Url,
        form: &[(&str, &str)],
        client: Option<&(String, String)>,
    ) -> Answered<Token> {
        let mut encoded = url.clone();
        encoded.set_query(None);
        encoded.query_pairs_mut().extend_pairs(form);
        let mut request = self
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encoded.query().unwrap_or_default().to_owned());
        let basic = client.map(|(id, secret)| BASE64_STANDARD.encode(format!("{id}:{secret}")));
        if let Some(basic) = &basic {
            request = request.header("authorization", format!("Basic {basic}"));
        }
        let secret = |name: &str| {
            matches!(
                name,
                "client_secret" | "refresh_token" | "assertion" | "subject_token"
            )
        };
        let mut secrets: Vec<&str> = form
            .iter()
            .filter(|(n, _)| secret(n))
            .map(|(_, v)| *v)
            .collect();
        secrets.extend(basic.as_deref());
        secrets.extend(client.map(|(_, secret)| secret.as_str()));
        let answer = self
            .ask(Question {
                whom,
                url,
                request,
                secrets,
                patience: PATIENCE,
            })
            .await?;
        self.read_token(&json_of(whom, url, &answer)?)
    }

    fn read_token(&self, json: &Json) -> Answered<Token> {
        let missing = |field| {
            CredentialsError::lasting(format!("the answer with the token has no usable `{field}`"))
        };
        let text = json["access_token"]
            .as_str()
            .ok_or_else(|| missing("access_token"))?;
        let seconds = match &json["expires_in"] {
            Json::String(text) => text.parse().ok(),
            number => number.as_i64(),
        };
        let seconds = seconds
            .filter(|s| *s >= 0)
            .ok_or_else(|| missing("expires_in"))?;
        let lasts = Millis(seconds.saturating_mul(1000)).min(LONGEST);
        Ok(Token {
            text: fit(text)?,
            expires: self.clock.now().plus(lasts),
        })
    }

    fn post(&self, url: &Url) -> RequestBuilder {
        self.clients.for_url(url).post(url.clone())
    }

    async fn ask(&self, question: Question<'_>) -> Answered<Vec<u8>> {
        let whom = format!("{} (`{}`)", question.whom, server(question.url));
        let exchange = async {
            let request = question.request.header("accept", "application/json");
            let mut response = request.send().await.map_err(|e| lost(&whom, e))?;
            let status = response.status();
            let body = match body(&mut response, ANSWER_LIMIT).await {
                Ok(body) => body,
                Err(Unread::Broken(e)) => return Err(lost(&whom, e)),
                Err(Unread::TooLarge) => {
                    let why = format!("{whom} answered with more than {ANSWER_LIMIT} bytes");
                    return Err(CredentialsError::lasting(why));
                }
            };
            match status.is_success() {
                true => Ok(body),
                false => Err(refused(&whom, status, &body, &question.secrets)),
            }
        };
        match timeout(question.patience, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(CredentialsError::passing(format!(
                "{whom} did not answer within {}s",
                question.patience.as_secs()
            ))),
        }
    }
}

/// RS256.
fn sign(pem: &str, message: &[u8]) -> Option<Vec<u8>> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).ok()?;
    let signer = key.choose_scheme(&[rustls::SignatureScheme::RSA_PKCS1_SHA256])?;
    signer.sign(message).ok()
}

/// Scheme, host and port: the rest of a URL may hold a secret.
fn server(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn lost(whom: &str, error: reqwest::Error) -> CredentialsError {
    let lasting = error.is_builder();
    let why = format!("{whom}: {}", chain(&error.without_url()));
    match lasting {
        true => CredentialsError::lasting(why),
        false => CredentialsError::passing(why),
    }
}

fn refused(whom: &str, status: StatusCode, body: &[u8], secrets: &[&str]) -> CredentialsError {
    let code = status.as_u16();
    if status.is_redirection() {
        return CredentialsError::lasting(format!(
            "{whom} answered {code}, a redirect, which is not followed: it could lead a secret away"
        ));
    }
    let said = said(body, secrets);
    let why = format!("{whom} answered {code}{said}");
    match status.is_server_error() || matches!(code, 408 | 429) {
        true => CredentialsError::passing(why),
        false => CredentialsError::lasting(why),
    }
}

/// What the server says of its refusal, without what was told to it.
fn said(body: &[u8], secrets: &[&str]) -> String {
    let json: Json = serde_json::from_slice(body).unwrap_or_default();
    let texts = [
        json["error"].as_str(),
        json["error_description"].as_str(),
        json["error"]["message"].as_str(),
    ];
    let text: Vec<String> = texts
        .into_iter()
        .flatten()
        .map(|t| clean(t, secrets))
        .collect();
    match text.is_empty() {
        true => String::new(),
        false => format!(": {}", text.join(": ")),
    }
}

/// At most 300 signs, no control characters, and no word that is, holds or is cut from a secret.
fn clean(text: &str, secrets: &[&str]) -> String {
    const SHORTEST_PART: usize = 12;
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || "-_.+/=~%".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match part_of_word(first) {
            true => rest.find(|c| !part_of_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, after) = rest.split_at(end);
        rest = after;
        let bare = word.trim_matches('.');
        let telling = |secret: &&str| {
            let cut = bare.len() >= SHORTEST_PART && secret.contains(bare);
            cut || (secret.len() >= SHORTEST_PART && bare.contains(*secret))
        };
        match secrets.iter().any(telling) {
            true => out.push_str("[hidden]"),
            false => out.extend(word.chars().map(|c| if c.is_control() { ' ' } else { c })),
        }
    }
    out.chars().take(300).collect()
}

fn json_of(whom: &str, url: &Url, text: &[u8]) -> Answered<Json> {
    // The parser's own words could quote a secret.
    serde_json::from_slice(text).map_err(|_| {
        CredentialsError::lasting(format!(
            "{whom} (`{}`) answered something that is no JSON",
            server(url)
        ))
    })
}

/// A token that a header can carry.
fn fit(token: &str) -> Answered<String> {
    let carried = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
    match carried {
        true => Ok(token.to_owned()),
        false => Err(CredentialsError::lasting(
            "the access token is empty, or holds characters that no header can carry",
        )),
    }
}

/// The token that a program prints, as Google's client libraries agreed on it (AIP-4117).
async fn program_token(
    words: &[String],
    patience_ms: u64,
    external: &External,
) -> Answered<String> {
    let variables = [
        (
            "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE",
            external.audience.as_str(),
        ),
        (
            "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE",
            external.subject_token_type.as_str(),
        ),
        ("GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE", "0"),
    ];
    let out = run(words, &variables, Duration::from_millis(patience_ms)).await?;
    let name = words.first().map_or("", String::as_str);
    let json: Json = serde_json::from_str(&out).map_err(|_| {
        CredentialsError::lasting(format!("`{name}` printed something that is no JSON"))
    })?;
    if json["success"].as_bool() != Some(true) {
        let code = clean(json["code"].as_str().unwrap_or("no code"), &[]);
        return Err(CredentialsError::lasting(format!(
            "`{name}` brought no subject token: {code}"
        )));
    }
    let field = match external.subject_token_type.ends_with(":saml2") {
        true => "saml_response",
        false => "id_token",
    };
    json[field]
        .as_str()
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| CredentialsError::lasting(format!("`{name}` printed no `{field}`")))
}

/// Runs a program without a shell and gives what it prints; what it complains of may hold a secret.
async fn run(words: &[String], variables: &[(&str, &str)], patience: Duration) -> Answered<String> {
    let Some((name, words)) = words.split_first() else {
        return Err(CredentialsError::lasting("there is no program to run"));
    };
    let lasting = |why: String| CredentialsError::lasting(format!("`{name}` {why}"));
    let mut child = tokio::process::Command::new(name)
        .args(words)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| lasting(format!("cannot be run: {e}")))?;
    let finished = async {
        let mut out = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let limit = ANSWER_LIMIT as u64;
            stdout.take(limit).read_to_end(&mut out).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, out))
    };
    let (status, out) = timeout(patience, finished)
        .await
        .map_err(|_| lasting(format!("did not end within {}ms", patience.as_millis())))?
        .map_err(|e| lasting(format!("broke: {e}")))?;
    match status.success() {
        true => String::from_utf8(out).map_err(|_| lasting("printed no text".into())),
        false => Err(lasting(format!("failed ({status})"))),
    }
}
