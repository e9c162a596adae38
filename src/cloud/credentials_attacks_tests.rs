//! Attacks on credentials: hostile files, hostile servers, and mistakes in both.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::credential_file::read;
use super::credentials_tests::{
    Desk, House, PATIENCE, ROBOT, SUBJECT, external, fine, iam, path, plain, request, url_source,
};
use super::http_wire_tests::send;
use super::*;
use crate::wire::NoAnswer;
use crate::world::{Clock, Millis};

fn status(code: u16, body: &str) -> String {
    plain(body).replace("200 OK", &format!("{code} Other"))
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
fn what_only_gcloud_speaks_is_told_with_a_way_out() {
    let house = House::kind();
    let workforce = json!({
        "type": "external_account_authorized_user", "client_id": "c", "client_secret": SUBJECT, "refresh_token": SUBJECT,
        "token_url": "https://sts.googleapis.com/v1/oauthtoken",
    });
    let aws = external(
        &house,
        json!({"environment_id": "aws1", "url": "http://169.254.169.254/latest"}),
    );
    for (file, what) in [
        (workforce, "`type` is the login of a workforce pool"),
        (aws, "stands for AWS"),
    ] {
        let why = Desk::new(&file).refusal(&house);
        assert!(
            why.contains(what) && why.contains("log gcloud in by `gcloud auth login`"),
            "{why}"
        );
        assert!(!why.contains(SUBJECT), "{why}");
    }
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

#[test]
fn a_server_that_says_a_token_back_is_not_believed_to_keep_it() {
    let house = House::new(|text| match path(text) {
        "/subject" => fine(&json!({"value": SUBJECT})),
        "/sts" => fine(&json!({"access_token": "federated", "expires_in": 3600})),
        _ => fine(&json!({"you said": text}))
            .replace("connection", "x-said: federated\r\nconnection"),
    });
    let desk = Desk::new(&external(&house, url_source(&house)));
    let answer = desk.send(&house).expect("an answer");
    let body = String::from_utf8_lossy(&answer.body);
    assert!(body.contains("authorization: Bearer [hidden]"), "{body}");
    assert_eq!(answer.header("x-said"), Some("[hidden]"));
}
