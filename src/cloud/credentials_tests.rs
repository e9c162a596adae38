//! Credentials of every kind against a token server of a few lines.

use std::cell::Cell;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::credential_file::{impersonated, read};
use super::http_wire_tests::{read_request, send};
use super::*;
use crate::wire::{Answer, NoAnswer, Request, Verb};
use crate::world::clock::Sleeping;
use crate::world::{Clock, Millis, Timestamp};

const START: Timestamp = Timestamp(1_795_000_000_000);
pub(super) const PATIENCE: Millis = Millis::secs(20);
pub(super) const SUBJECT: &str = "eyJhbGciOiJub25lIn0.c3ViamVjdA.c2lnbmF0dXJl";

/// Shows the time that a test sets.
pub(super) struct Hands(Cell<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        self.0.get()
    }

    fn sleep_until(&self, _: Timestamp) -> Sleeping<'_> {
        Box::pin(std::future::ready(()))
    }
}

/// A server that is Google, another house and the API at once, and tells what it was asked.
pub(super) struct House {
    pub(super) address: String,
    asked: Receiver<String>,
}

impl House {
    pub(super) fn new(answer: impl Fn(&str) -> String + Send + 'static) -> House {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let (told, asked) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("connects");
                let text = read_request(&mut stream);
                let reply = answer(&text);
                if told.send(text).is_err() {
                    return;
                }
                let _ = stream.write_all(reply.as_bytes());
            }
        });
        House { address, asked }
    }

    /// Answers every question as the real ones do; each token lives an hour.
    pub(super) fn kind() -> House {
        House::new(|text| match path(text) {
            "/sts" => fine(
                &json!({"access_token": "federated", "expires_in": 3600, "token_type": "Bearer"}),
            ),
            "/token" => fine(&json!({"access_token": "own", "expires_in": 3600})),
            "/subject" => fine(&json!({"value": SUBJECT})),
            p if p.starts_with("/iam/") => fine(&json!({
                "accessToken": format!("as-{}", impersonated(p).unwrap_or_default()),
                "expireTime": START.plus(Millis::mins(60)).rfc3339(),
            })),
            p if p.ends_with("/default/email") => plain("vm@demo.iam.gserviceaccount.com"),
            p if p.ends_with("/default/token") => {
                fine(&json!({"access_token": "lent", "expires_in": 3600}))
            }
            _ => fine(&json!({"name": "x"})),
        })
    }

    pub(super) fn asked(&self) -> String {
        self.asked
            .recv_timeout(Duration::from_secs(5))
            .expect("a request")
    }

    pub(super) fn was_asked_nothing(&self) {
        let seen = self.asked.recv_timeout(Duration::from_millis(100));
        assert_eq!(seen.unwrap_or_default(), "");
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

pub(super) fn path(request: &str) -> &str {
    let target = request.split(' ').nth(1).unwrap_or_default();
    target.split('?').next().unwrap_or_default()
}

pub(super) fn plain(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(super) fn fine(body: &Json) -> String {
    plain(&body.to_string())
}

/// A file of credentials, and a wire that uses it against a house.
pub(super) struct Desk {
    folder: tempfile::TempDir,
    pub(super) settings: Settings,
    pub(super) clock: Rc<Hands>,
}

impl Desk {
    pub(super) fn new(credentials: &Json) -> Desk {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("credentials.json");
        std::fs::write(&file, credentials.to_string()).expect("written");
        let locations = Locations {
            named: Some(file),
            login: None,
            metadata: "127.0.0.1:1".into(),
            programs: true,
        };
        Desk {
            folder,
            settings: Settings {
                send_credentials_to: ["127.0.0.1".to_owned()].into(),
                locations,
                ..Settings::default()
            },
            clock: Rc::new(Hands(Cell::new(START))),
        }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("credentials.json")
    }

    pub(super) fn wire(&self, endpoint: &str) -> HttpWire {
        let mut endpoints =
            Endpoints::new([("compute", "https://compute.googleapis.com/")]).expect("good");
        endpoints.add_flag(endpoint).expect("good");
        let clock = Rc::clone(&self.clock) as Rc<dyn Clock>;
        HttpWire::google(endpoints, self.settings.clone(), clock).expect("a client")
    }

    pub(super) fn send(&self, house: &House) -> Result<Answer, NoAnswer> {
        send(&self.wire(&house.address), &request(), PATIENCE)
    }

    /// What a first request says when there is no token for it.
    pub(super) fn refusal(&self, house: &House) -> String {
        match self.send(house) {
            Err(NoAnswer::NoCredentials(why)) => {
                assert!(!why.contains(SUBJECT) && !why.contains("hunter2"), "{why}");
                why
            }
            other => panic!("{other:?}"),
        }
    }

    fn principal(&self) -> Option<String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(principal::of(&self.settings))
    }
}

pub(super) fn request() -> Request {
    Request {
        method: "compute.images.get".into(),
        verb: Verb::Get,
        path: "compute/v1/x".into(),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
    }
}

pub(super) fn external(house: &House, source: Json) -> Json {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/github",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": house.url("/sts"),
        "credential_source": source,
    })
}

pub(super) fn url_source(house: &House) -> Json {
    json!({
        "url": house.url("/subject?audience=x"),
        "headers": {"Authorization": "Bearer hunter2hunter2"},
        "format": {"type": "json", "subject_token_field_name": "value"},
    })
}

pub(super) fn iam(house: &House, email: &str) -> String {
    house.url(&format!(
        "/iam/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    ))
}

pub(super) const ROBOT: &str = "deploy@demo.iam.gserviceaccount.com";

#[test]
fn a_subject_token_of_another_house_becomes_an_access_token() {
    let house = House::kind();
    let desk = Desk::new(&external(&house, url_source(&house)));
    desk.send(&house).expect("an answer");
    let subject = house.asked();
    assert!(
        subject.starts_with("GET /subject?audience=x HTTP/1.1"),
        "{subject}"
    );
    assert_eq!(
        subject.matches("uthorization: Bearer").count(),
        1,
        "{subject}"
    );
    assert!(subject.contains("Bearer hunter2hunter2"), "{subject}");
    let exchange = house.asked();
    let (head, form) = exchange.split_once("\r\n\r\n").expect("a body");
    assert!(
        head.starts_with("POST /sts HTTP/1.1") && !head.contains("uthorization"),
        "{head}"
    );
    assert!(
        head.contains("content-type: application/x-www-form-urlencoded"),
        "{head}"
    );
    assert_eq!(
        form,
        format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
             &requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token\
             &audience=%2F%2Fiam.googleapis.com%2Fprojects%2F1%2Flocations%2Fglobal%2FworkloadIdentityPools%2Fp%2Fproviders%2Fgithub\
             &scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform\
             &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt\
             &subject_token={SUBJECT}"
        )
    );
    let call = house.asked();
    assert!(
        call.contains("authorization: Bearer federated\r\n"),
        "{call}"
    );
    assert_eq!(
        desk.principal().as_deref(),
        Some(
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/github"
        )
    );
}

#[test]
fn a_federation_acts_as_a_service_account_and_renews_in_time() {
    let house = House::kind();
    let mut file = external(&house, json!({"file": "/nowhere"}));
    file["service_account_impersonation_url"] = json!(iam(&house, ROBOT));
    file["service_account_impersonation"] = json!({"token_lifetime_seconds": 1800});
    let desk = Desk::new(&file);
    let token = desk.folder.path().join("subject");
    std::fs::write(&token, format!("{SUBJECT}\n")).expect("written");
    file["credential_source"]["file"] = json!(token);
    std::fs::write(desk.file(), file.to_string()).expect("written");
    assert_eq!(desk.principal().as_deref(), Some(ROBOT));

    let wire = desk.wire(&house.address);
    let once = || send(&wire, &request(), PATIENCE).expect("an answer");
    once();
    assert!(house.asked().contains(&format!("subject_token={SUBJECT}")));
    let act = house.asked();
    assert!(
        act.starts_with(&format!(
            "POST /iam/v1/projects/-/serviceAccounts/{ROBOT}:generateAccessToken "
        )),
        "{act}"
    );
    assert!(act.contains("authorization: Bearer federated\r\n"), "{act}");
    assert!(
        act.ends_with(r#"{"scope":["https://www.googleapis.com/auth/cloud-platform"],"delegates":[],"lifetime":"1800s"}"#),
        "{act}"
    );
    assert!(house.asked().contains(&format!("Bearer as-{ROBOT}\r\n")));
    for (minutes, renewed) in [(56, false), (57, true)] {
        desk.clock.0.set(START.plus(Millis::mins(minutes)));
        once();
        let first = house.asked();
        assert_eq!(path(&first) == "/sts", renewed, "{minutes}: {first}");
    }
    let (_, call) = (house.asked(), house.asked());
    assert!(call.starts_with("GET /compute"), "{call}");
}

#[test]
fn a_login_is_refreshed_and_stands_behind_another_account() {
    let house = House::kind();
    let login = json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "hunter2hunter2",
        "refresh_token": "1//refresh", "token_uri": house.url("/token"), "account": "me@example.com",
    });
    let desk = Desk::new(&login);
    desk.send(&house).expect("an answer");
    let refresh = house.asked();
    assert!(
        refresh.ends_with("grant_type=refresh_token&client_id=id&client_secret=hunter2hunter2&refresh_token=1%2F%2Frefresh"),
        "{refresh}"
    );
    assert!(house.asked().contains("Bearer own\r\n"));
    assert_eq!(desk.principal().as_deref(), Some("me@example.com"));

    let chained = Desk::new(&json!({
        "type": "impersonated_service_account", "source_credentials": login,
        "service_account_impersonation_url": iam(&house, ROBOT),
        "delegates": ["between@demo.iam.gserviceaccount.com"],
    }));
    chained.send(&house).expect("an answer");
    house.asked();
    let act = house.asked();
    assert!(act.contains("Bearer own\r\n"), "{act}");
    assert!(
        act.contains(
            r#""delegates":["projects/-/serviceAccounts/between@demo.iam.gserviceaccount.com"]"#
        ),
        "{act}"
    );
    assert!(house.asked().contains(&format!("Bearer as-{ROBOT}\r\n")));
    assert_eq!(chained.principal().as_deref(), Some(ROBOT));

    let mut told = Desk::new(&login);
    told.settings.impersonate = Some(ROBOT.into());
    assert_eq!(told.principal().as_deref(), Some(ROBOT));
}

/// The signature is openssl's, over the same claims.
#[test]
fn a_key_signs_what_it_claims() {
    let house = House::new(|text| match path(text) {
        "/token" => fine(&json!({"access_token": "signed", "expires_in": "3600"})),
        _ => fine(&json!({})),
    });
    let key = |url: &str| {
        json!({
            "type": "service_account", "client_email": "robot@demo.iam.gserviceaccount.com",
            "private_key_id": "k1", "token_uri": url,
            "private_key": include_str!("../../tests/credentials/robot.key"),
        })
    };
    let desk = Desk::new(&key(&house.url("/token")));
    desk.send(&house).expect("an answer");
    let ask = house.asked();
    assert!(
        ask.contains(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=eyJ"
        ),
        "{ask}"
    );
    assert!(house.asked().contains("Bearer signed\r\n"));

    let desk = Desk::new(&key("http://127.0.0.1:9/token"));
    let found = read(&desk.file(), &desk.settings.send_credentials_to, false).expect("good");
    let clients = clients::Clients::new(&Authorities::default()).expect("clients");
    let teller = exchange::Teller::new(
        clients,
        String::new(),
        Rc::clone(&desk.clock) as Rc<dyn Clock>,
    );
    let assertion = teller.assertion(&found.source).expect("signed");
    let signature = include_str!("../../tests/credentials/robot.signature").trim();
    assert_eq!(assertion.rsplit('.').next(), Some(signature));

    let mut broken = key("http://127.0.0.1:9/token");
    broken["private_key"] =
        json!("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n");
    let why = Desk::new(&broken).refusal(&house);
    assert!(why.contains("`private_key` is no RSA key"), "{why}");
    house.was_asked_nothing();
}

#[test]
fn a_machine_in_the_cloud_has_an_account() {
    let house = House::kind();
    let mut desk = Desk::new(&json!({}));
    desk.settings.locations.named = None;
    desk.settings.locations.metadata = house.address.trim_start_matches("http://").into();
    assert_eq!(
        desk.principal().as_deref(),
        Some("vm@demo.iam.gserviceaccount.com")
    );
    house.asked();
    desk.send(&house).expect("an answer");
    for what in ["email", "token"] {
        let ask = house.asked();
        assert!(
            ask.starts_with(&format!(
                "GET /computeMetadata/v1/instance/service-accounts/default/{what} "
            )),
            "{ask}"
        );
        assert!(
            ask.contains("metadata-flavor: Google\r\n") && !ask.contains("Bearer"),
            "{ask}"
        );
    }
    assert!(house.asked().contains("Bearer lent\r\n"));
}

#[cfg(unix)]
#[test]
fn a_program_brings_the_subject_token_only_where_that_is_allowed() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::kind();
    let desk = |script: &str, patience: u64| {
        let desk = Desk::new(&json!({}));
        let program = desk.folder.path().join("bring");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("set");
        let source = json!({"executable": {
            "command": format!("{} $HOME;touch --x", program.display()), "timeout_millis": patience,
        }});
        std::fs::write(desk.file(), external(&house, source).to_string()).expect("written");
        desk
    };
    let good = format!(
        r#"[ "$GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE" = 0 ] && [ "$1" = '$HOME;touch' ] && echo '{{"version":1,"success":true,"id_token":"{SUBJECT}"}}'"#
    );
    let mut told = desk(&good, 5000);
    told.send(&house).expect("an answer");
    assert!(house.asked().contains(&format!("subject_token={SUBJECT}")));
    house.asked();
    told.settings.locations.programs = false;
    let why = told.refusal(&house);
    assert!(
        why.contains("`credential_source.executable.command`")
            && why.contains("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"),
        "{why}"
    );
    for (script, said) in [
        (
            "echo hunter2 >&2; echo hunter2; exit 3",
            "failed (exit status: 3)",
        ),
        ("echo hunter2", "is no JSON"),
        (
            r#"echo '{"success":false,"code":"401","message":"hunter2"}'"#,
            "no subject token: 401",
        ),
        (r#"echo '{"success":true}'"#, "printed no `id_token`"),
        ("exec sleep 60", "did not end within 200ms"),
    ] {
        let why = desk(script, 200).refusal(&house);
        assert!(why.contains(said), "{why}");
    }
    house.was_asked_nothing();
}
