//! Credentials of every kind against a token server of a few lines, and the attacks on them.

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
const PATIENCE: Millis = Millis::secs(20);
const SUBJECT: &str = "eyJhbGciOiJub25lIn0.c3ViamVjdA.c2lnbmF0dXJl";

/// Shows the time that a test sets.
struct Hands(Cell<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        self.0.get()
    }

    fn sleep_until(&self, _: Timestamp) -> Sleeping<'_> {
        Box::pin(std::future::ready(()))
    }
}

/// A server that is Google, another house and the API at once, and tells what it was asked.
struct House {
    address: String,
    asked: Receiver<String>,
}

impl House {
    fn new(answer: impl Fn(&str) -> String + Send + 'static) -> House {
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
    fn kind() -> House {
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

    fn asked(&self) -> String {
        self.asked
            .recv_timeout(Duration::from_secs(5))
            .expect("a request")
    }

    fn was_asked_nothing(&self) {
        let seen = self.asked.recv_timeout(Duration::from_millis(100));
        assert_eq!(seen.unwrap_or_default(), "");
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

fn path(request: &str) -> &str {
    let target = request.split(' ').nth(1).unwrap_or_default();
    target.split('?').next().unwrap_or_default()
}

fn plain(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn fine(body: &Json) -> String {
    plain(&body.to_string())
}

fn status(code: u16, body: &str) -> String {
    plain(body).replace("200 OK", &format!("{code} Other"))
}

/// A file of credentials, and a wire that uses it against a house.
struct Desk {
    folder: tempfile::TempDir,
    settings: Settings,
    clock: Rc<Hands>,
}

impl Desk {
    fn new(credentials: &Json) -> Desk {
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

    fn file(&self) -> PathBuf {
        self.folder.path().join("credentials.json")
    }

    fn wire(&self, endpoint: &str) -> HttpWire {
        let mut endpoints =
            Endpoints::new([("compute", "https://compute.googleapis.com/")]).expect("good");
        endpoints.add_flag(endpoint).expect("good");
        let clock = Rc::clone(&self.clock) as Rc<dyn Clock>;
        HttpWire::google(endpoints, self.settings.clone(), clock).expect("a client")
    }

    fn send(&self, house: &House) -> Result<Answer, NoAnswer> {
        send(&self.wire(&house.address), &request(), PATIENCE)
    }

    /// What a first request says when there is no token for it.
    fn refusal(&self, house: &House) -> String {
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

fn request() -> Request {
    Request {
        method: "compute.images.get".into(),
        verb: Verb::Get,
        path: "compute/v1/x".into(),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
    }
}

fn external(house: &House, source: Json) -> Json {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/github",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": house.url("/sts"),
        "credential_source": source,
    })
}

fn url_source(house: &House) -> Json {
    json!({
        "url": house.url("/subject?audience=x"),
        "headers": {"Authorization": "Bearer hunter2hunter2"},
        "format": {"type": "json", "subject_token_field_name": "value"},
    })
}

fn iam(house: &House, email: &str) -> String {
    house.url(&format!(
        "/iam/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    ))
}

const ROBOT: &str = "deploy@demo.iam.gserviceaccount.com";

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
    let found = read(&desk.file(), &desk.settings.send_credentials_to, false)
        .ok()
        .expect("good");
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

/// Where each field of a file may not lead; the server that it would tell a secret never hears of it.
#[test]
fn a_file_cannot_lead_a_secret_away() {
    let thief = House::kind();
    let house = House::kind();
    let evil = [
        thief.url("/sts"),
        "https://sts.googleapis.com.evil.example/v1/token".into(),
        "https://evil.example/sts.googleapis.com".into(),
        "http://sts.googleapis.com/v1/token".into(),
        "http://iamcredentials.googleapis.com/x".into(),
        "https://sts.googleapis.com:8443/v1/token".into(),
        "https://sts.googleapis.com@evil.example/".into(),
        "https://storage.googleapis.com/thief/token".into(),
        "http://corp.example/token".into(),
        "ftp://sts.googleapis.com/".into(),
    ];
    let mut file = external(&house, url_source(&house));
    file["token_url"] = json!("https://sts.googleapis.com/v1/token");
    let mut acting = file.clone();
    acting["service_account_impersonation_url"] = json!("");
    let login = json!({"type": "authorized_user", "client_id": "i", "client_secret": "hunter2", "refresh_token": "hunter2"});
    let chained = json!({
        "type": "impersonated_service_account", "source_credentials": login,
        "service_account_impersonation_url": format!("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ROBOT}:generateAccessToken"),
    });
    let key = json!({"type": "service_account", "client_email": ROBOT, "private_key": "hunter2"});
    let places = [
        (&file, "token_url"),
        (&acting, "service_account_impersonation_url"),
        (&login, "token_uri"),
        (&key, "token_uri"),
        (&chained, "service_account_impersonation_url"),
        (&chained, "source_credentials.token_uri"),
    ];
    for (file, place) in places {
        for evil in &evil {
            // A service of Google's may get a key's own assertion, which is good for its audience only.
            if place.ends_with("token_uri") && evil.contains("storage.googleapis.com") {
                continue;
            }
            let mut file = file.clone();
            file["credential_source"]["url"] = json!(thief.url("/subject"));
            file.pointer_mut(&format!(
                "/{}",
                place.replace('.', "/").replace("/token_uri", "")
            ))
            .filter(|_| place.contains('.'))
            .map(|part| part["token_uri"] = json!(evil))
            .unwrap_or_else(|| file[place] = json!(evil));
            let mut desk = Desk::new(&file);
            desk.settings.send_credentials_to = ["corp.example".to_owned()].into();
            let found = read(&desk.file(), &desk.settings.send_credentials_to, true);
            let why = found.err().unwrap_or_else(|| panic!("{place}: {evil}")).why;
            assert!(
                why.contains(&format!("`{place}`")) && why.contains("credentials.json"),
                "{why}"
            );
            assert!(!why.contains("hunter2"), "{why}");
            let https =
                Endpoints::new([("compute", "https://compute.googleapis.com/")]).expect("good");
            let clock = Rc::clone(&desk.clock) as Rc<dyn Clock>;
            let wire = HttpWire::google(https, desk.settings.clone(), clock).expect("a client");
            let refused = send(&wire, &request(), PATIENCE);
            assert_eq!(refused, Err(NoAnswer::NoCredentials(why)));
        }
    }
    thief.was_asked_nothing();
    for good in [
        "https://sts.googleapis.com/v1/token",
        "https://us-east1-sts.googleapis.com/v1/token",
        "https://sts.us-east1.rep.googleapis.com/v1/token",
        "https://corp.example:8443/token",
    ] {
        let mut file = file.clone();
        file["token_url"] = json!(good);
        let desk = Desk::new(&file);
        let trusted = ["corp.example".to_owned()].into();
        assert!(read(&desk.file(), &trusted, false).is_ok(), "{good}");
    }
}

#[test]
fn the_other_house_is_asked_in_private_and_told_nothing_of_google() {
    let house = House::kind();
    let desk = Desk::new(&external(&house, json!({"url": "http://tokens.example/x"})));
    let why = desk.refusal(&house);
    assert!(
        why.contains("`credential_source.url` is plain http to another machine"),
        "{why}"
    );
    let desk = Desk::new(&external(&house, json!({"environment_id": "aws1"})));
    assert!(
        desk.refusal(&house)
            .contains("`credential_source.environment_id` stands for AWS")
    );
    house.was_asked_nothing();
}

#[test]
fn a_redirect_takes_no_secret_along() {
    let thief = House::kind();
    for at in ["/sts", "/subject", "/iam"] {
        let away = thief.url("/sts");
        let house = House::new(move |text| match path(text) {
            p if p.starts_with(at) => {
                status(307, "").replace("connection", &format!("location: {away}\r\nconnection"))
            }
            "/sts" => fine(&json!({"access_token": "federated", "expires_in": 3600})),
            _ => fine(&json!({"value": SUBJECT})),
        });
        let mut file = external(&house, url_source(&house));
        file["service_account_impersonation_url"] = json!(iam(&house, ROBOT));
        let why = Desk::new(&file).refusal(&house);
        assert!(
            why.contains("answered 307, a redirect, which is not followed"),
            "{at}: {why}"
        );
    }
    thief.was_asked_nothing();
}

/// An endpoint that the user put in Google's place gets no credentials, and so none are looked for.
#[test]
fn nothing_is_looked_for_before_it_is_needed() {
    let house = House::kind();
    let mut desk = Desk::new(&external(&house, url_source(&house)));
    desk.settings.locations.named = Some("/nowhere/credentials.json".into());
    let wire = desk.wire(&house.address);
    assert!(send(&wire, &request(), PATIENCE).is_err());
    desk.settings.send_credentials_to.clear();
    desk.send(&house).expect("an answer");
    let call = house.asked();
    assert!(!call.contains("uthorization"), "{call}");
    house.was_asked_nothing();
}

#[test]
fn a_refusal_is_told_without_what_was_sent() {
    let echo = |text: &str| match path(text) {
        "/subject" => fine(&json!({"value": SUBJECT})),
        _ => {
            let said = format!("cannot use {SUBJECT}, that is {}…\u{7}", &SUBJECT[4..24]);
            status(
                400,
                &json!({"error": "invalid_grant", "error_description": said}).to_string(),
            )
        }
    };
    let house = House::new(echo);
    let why = Desk::new(&external(&house, url_source(&house))).refusal(&house);
    let expected = format!(
        "no access token for Google Cloud: the token exchange (`{}`) answered 400: invalid_grant: cannot use [hidden], that is [hidden]… ",
        house.address
    );
    assert_eq!(why, expected);

    let house = House::new(|text| match path(text) {
        "/token" => fine(&json!({"access_token": "own", "expires_in": 3600})),
        _ => status(
            403,
            r#"{"error": {"code": 403, "message": "Permission 'iam.serviceAccounts.getAccessToken' denied"}}"#,
        ),
    });
    let desk = Desk::new(&json!({
        "type": "impersonated_service_account", "service_account_impersonation_url": iam(&house, ROBOT),
        "source_credentials": {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r", "token_uri": house.url("/token")},
    }));
    let why = desk.refusal(&house);
    assert!(
        why.contains(&format!("IAM, asked to act as {ROBOT}, (`")),
        "{why}"
    );
    assert!(
        why.ends_with("answered 403: Permission 'iam.serviceAccounts.getAccessToken' denied"),
        "{why}"
    );
}

#[test]
fn hostile_answers_to_the_exchange_are_told_apart() {
    let lasting = [
        (plain("<html>hunter2"), "answered something that is no JSON"),
        (plain(r#"{"expires_in": 3600}"#), "no usable `access_token`"),
        (plain(r#"{"access_token": "x"}"#), "no usable `expires_in`"),
        (
            plain(r#"{"access_token": "x", "expires_in": -1}"#),
            "no usable `expires_in`",
        ),
        (
            plain(r#"{"access_token": "hunter2\r\nx: y", "expires_in": 3600}"#),
            "no header can carry",
        ),
        (plain(&" ".repeat(300_000)), "more than 262144 bytes"),
        (status(404, ""), "answered 404"),
    ];
    for (answer, said) in lasting {
        let house = House::new(move |text| match path(text) {
            "/subject" => fine(&json!({"value": SUBJECT})),
            _ => answer.clone(),
        });
        let why = Desk::new(&external(&house, url_source(&house))).refusal(&house);
        assert!(why.contains(said), "{why}");
    }
    let passing = [
        status(503, "busy"),
        status(429, ""),
        String::new(),
        format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(2_000_000)),
    ];
    for answer in passing {
        let house = House::new(move |text| match path(text) {
            "/subject" => fine(&json!({"value": SUBJECT})),
            _ => answer.clone(),
        });
        let lost = Desk::new(&external(&house, url_source(&house))).send(&house);
        assert!(
            matches!(&lost, Err(NoAnswer::NotSent(why)) if why.contains("the token exchange")),
            "{lost:?}"
        );
    }
}

#[test]
fn a_server_without_answer_costs_the_request_s_patience_and_nothing_is_sent() {
    let house = House::new(|_| {
        std::thread::sleep(Duration::from_secs(30));
        String::new()
    });
    let desk = Desk::new(&external(&house, url_source(&house)));
    let begun = std::time::Instant::now();
    let lost = send(&desk.wire(&house.address), &request(), Millis(300));
    assert!(matches!(lost, Err(NoAnswer::NotSent(_))), "{lost:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn every_mistake_in_a_file_names_its_field() {
    let house = House::kind();
    let good = external(&house, url_source(&house));
    let with = |pointer: &str, value: Json| {
        let mut file = good.clone();
        *file.pointer_mut(pointer).expect("a field") = value;
        file
    };
    let acting = |url: &str| {
        let mut file = good.clone();
        file["service_account_impersonation_url"] = json!(house.url(url));
        file
    };
    for (file, said) in [
        (json!({}), "`type` is missing"),
        (json!({"type": "hunter"}), "`type` is `hunter`: expected"),
        (
            json!({"type": "authorized_user", "client_id": 7}),
            "`client_id` is no text",
        ),
        (with("/audience", json!("")), "`audience` is missing"),
        (
            with("/credential_source", json!("hunter2")),
            "`credential_source` is no object",
        ),
        (
            with("/credential_source", json!({})),
            "`credential_source.file` is missing",
        ),
        (
            with("/credential_source/format", json!({"type": "json"})),
            "`credential_source.format.subject_token_field_name` is missing",
        ),
        (
            with("/credential_source/headers", json!({"a": 1})),
            "`credential_source.headers` holds",
        ),
        (acting("/iam/a@b"), "does not end with"),
        (
            acting("/x/serviceAccounts/a@b%2f..:generateAccessToken"),
            "does not end with",
        ),
        (
            json!({"type": "impersonated_service_account", "source_credentials": {"type": "impersonated_service_account"}}),
            "`source_credentials.type` is impersonated itself",
        ),
    ] {
        let why = Desk::new(&file).refusal(&house);
        assert!(
            why.contains(said) && why.contains("credentials.json"),
            "{why}"
        );
    }
    let desk = Desk::new(&json!({}));
    std::fs::write(desk.file(), "{\n\"private_key\": hunter2}").expect("written");
    assert!(desk.refusal(&house).contains("is no JSON: line 2, column"));
    std::fs::write(desk.file(), vec![b' '; 2_000_000]).expect("written");
    assert!(desk.refusal(&house).contains("is larger than"));
    house.was_asked_nothing();
}

/// A refused token makes the file be read again; what then lies there must be the same account's.
#[test]
fn a_file_that_is_exchanged_under_a_process_does_not_change_its_account() {
    let house = House::new(|text| match path(text) {
        "/token" => fine(&json!({"access_token": "own", "expires_in": 3600})),
        _ => status(401, "{}"),
    });
    let file = |account: &str| {
        json!({
            "type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r",
            "token_uri": house.url("/token"), "account": account,
        })
    };
    let desk = Desk::new(&file("me@example.com"));
    let wire = desk.wire(&house.address);
    let answered = || send(&wire, &request(), PATIENCE).map(|a| a.status);
    assert_eq!(answered(), Ok(401));
    assert_eq!(answered(), Ok(401));
    std::fs::write(desk.file(), file("you@example.com").to_string()).expect("written");
    let Err(NoAnswer::NoCredentials(why)) = answered() else {
        panic!("went on as another");
    };
    assert!(
        why.contains("were me@example.com's when this began, and are you@example.com's now"),
        "{why}"
    );
}

#[test]
fn only_an_account_is_impersonated() {
    for bad in [
        "", "x", "@", "a@", "a@b@c", "a/b@c", "a@b:x", "a@b?c", "a%2f@b", "a b@c",
    ] {
        assert!(!is_email(bad), "{bad}");
    }
    assert!(is_email(ROBOT));
}
