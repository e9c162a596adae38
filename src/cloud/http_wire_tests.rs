//! The transport against a server of a few lines, which does exactly what a test tells it.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::json;

use super::credentials::{TokenForgotten, TokenFuture};
use super::*;
use crate::wire::{Answer, NoAnswer, Request, Verb, Wire};
use crate::world::Millis;

/// Counts how often it was asked.
#[derive(Clone, Default)]
struct Tokens(Rc<Cell<u32>>);

impl TokenSource for Tokens {
    fn token(&self) -> TokenFuture<'_> {
        self.0.set(self.0.get() + 1);
        Box::pin(async {
            Ok(Access {
                token: "tok".into(),
                quota_project: Some("payer".into()),
            })
        })
    }

    fn forget(&self) -> TokenForgotten<'_> {
        Box::pin(async {})
    }
}

/// Answers every connection by `reply` and tells the requests it got.
fn server(reply: impl Fn(&mut TcpStream) + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (told, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("connects");
            let text = read_request(&mut stream);
            if told.send(text).is_err() {
                return;
            }
            reply(&mut stream);
        }
    });
    (address, requests)
}

pub(super) fn read_request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if read == 0 {
                return text;
            }
            continue;
        };
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "))
            .and_then(|l| l.parse::<usize>().ok())
            .unwrap_or(0);
        if body.len() >= length || read == 0 {
            return text;
        }
    }
}

fn answering(text: &'static str) -> impl Fn(&mut TcpStream) + Send + 'static {
    move |stream| {
        let _ = stream.write_all(text.as_bytes());
    }
}

fn wire(endpoint: &str, tokens: &Tokens, settings: Settings) -> HttpWire {
    let mut endpoints =
        Endpoints::new([("compute", "https://compute.googleapis.com/")]).expect("good");
    endpoints.add_flag(endpoint).expect("good");
    HttpWire::new(endpoints, Box::new(tokens.clone()), settings).expect("a client")
}

fn request(verb: Verb) -> Request {
    Request {
        method: "compute.images.insert".into(),
        verb,
        path: "compute/v1/projects/p/global/images".into(),
        query: vec![("requestId".into(), "a b&c".into())],
        headers: Vec::new(),
        body: (verb == Verb::Post).then(|| json!({"name": "x"})),
    }
}

pub(super) fn send(
    wire: &HttpWire,
    request: &Request,
    patience: Millis,
) -> Result<Answer, NoAnswer> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(wire.send(request, patience))
}

const PATIENCE: Millis = Millis::secs(5);
const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nX-Thing: a\r\ncontent-length: 7\r\n\r\n{\"a\":1}";

#[test]
fn a_request_arrives_as_written_and_without_credentials() {
    let (address, requests) = server(answering(FINE));
    let tokens = Tokens::default();
    let wire = wire(&format!("{address}/base"), &tokens, Settings::default());
    let answer = send(&wire, &request(Verb::Post), PATIENCE).expect("an answer");
    assert_eq!(
        (answer.status, answer.header("x-thing"), &*answer.body),
        (200, Some("a"), &b"{\"a\":1}"[..])
    );
    let text = requests.recv().expect("a request");
    assert!(
        text.starts_with(
            "POST /base/compute/v1/projects/p/global/images?requestId=a+b%26c HTTP/1.1\r\n"
        ),
        "{text}"
    );
    assert!(text.ends_with("\r\n\r\n{\"name\":\"x\"}"));
    assert!(
        text.contains("x-r5flow-service: compute\r\n")
            && text.contains("content-type: application/json\r\n")
    );
    assert!(!text.to_lowercase().contains("authorization"));
    assert_eq!(tokens.0.get(), 0);
}

#[test]
fn credentials_go_where_the_user_says() {
    let (address, requests) = server(answering(FINE));
    let tokens = Tokens::default();
    let settings = Settings {
        send_credentials_to: ["127.0.0.1".to_owned()].into(),
        quota_project: Some("payer".into()),
        ..Settings::default()
    };
    let wire = wire(&address, &tokens, settings);
    send(&wire, &request(Verb::Get), PATIENCE).expect("an answer");
    let text = requests.recv().expect("a request");
    assert!(
        text.contains("authorization: Bearer tok\r\n") && !text.contains("payer"),
        "{text}"
    );
    let mut plain = request(Verb::Get);
    (plain.method, plain.path) = ("http".into(), format!("{address}/x"));
    send(&wire, &plain, PATIENCE).expect("an answer");
    let text = requests.recv().expect("a request");
    assert!(
        text.starts_with("GET /x?requestId")
            && !text.contains("authorization")
            && !text.contains("x-r5flow"),
        "{text}"
    );
    assert_eq!(tokens.0.get(), 1);
}

#[test]
fn a_bodyless_post_tells_its_length_once() {
    let (address, requests) = server(answering(FINE));
    let wire = wire(&address, &Tokens::default(), Settings::default());
    let bare = Request {
        body: None,
        ..request(Verb::Post)
    };
    send(&wire, &bare, PATIENCE).expect("an answer");
    let text = requests.recv().expect("a request");
    assert_eq!(text.matches("content-length: 0").count(), 1, "{text}");
}

#[test]
fn redirects_and_failures_are_answers_and_nothing_is_sent_twice() {
    for (reply, status) in [
        (
            "HTTP/1.1 307 Moved\r\nlocation: /other\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            307,
        ),
        (
            "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            503,
        ),
        (
            "HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            401,
        ),
    ] {
        let (address, requests) = server(answering(reply));
        let wire = wire(&address, &Tokens::default(), Settings::default());
        let answer = send(&wire, &request(Verb::Post), PATIENCE).expect("an answer");
        assert_eq!(answer.status, status);
        requests.recv().expect("a request");
        assert!(
            requests.recv_timeout(Duration::from_millis(100)).is_err(),
            "sent twice"
        );
    }
}

#[test]
fn a_broken_connection_is_unknown_and_not_sent_again() {
    for reply in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"] {
        let (address, requests) = server(answering(reply));
        let wire = wire(&address, &Tokens::default(), Settings::default());
        for verb in [Verb::Post, Verb::Get] {
            let failure = send(&wire, &request(verb), PATIENCE).expect_err("no answer");
            assert!(matches!(failure, NoAnswer::Unknown(_)), "{failure:?}");
            requests.recv().expect("a request");
            assert!(
                requests.recv_timeout(Duration::from_millis(100)).is_err(),
                "sent twice"
            );
        }
    }
}

/// The connection is asked for while the run is ours, and stands when it is not any more.
#[test]
fn a_run_that_is_lost_while_its_connection_is_made_sends_nothing() {
    let (address, requests) = server(answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let wire = wire(&address, &Tokens::default(), Settings::default());
    let asked = Cell::new(0);
    let leave = || {
        asked.set(asked.get() + 1);
        match asked.get() {
            1 => Ok(()),
            _ => Err("it was taken over".to_owned()),
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let delete = request(Verb::Delete);
    let answer = runtime.block_on(wire.send_if(&delete, PATIENCE, &leave));
    assert_eq!(answer, Err(NoAnswer::NotSent("it was taken over".into())));
    drop(runtime);
    let seen = requests.recv_timeout(Duration::from_millis(200));
    assert_eq!(seen.unwrap_or_default(), "");
    assert_eq!(asked.get(), 2);
}

#[test]
fn a_server_that_hangs_costs_no_more_than_the_patience() {
    for start in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"] {
        let (address, _requests) = server(move |stream| {
            let _ = stream.write_all(start.as_bytes());
            std::thread::sleep(Duration::from_secs(30));
        });
        let wire = wire(&address, &Tokens::default(), Settings::default());
        let started = std::time::Instant::now();
        let failure = send(&wire, &request(Verb::Post), Millis(300)).expect_err("no answer");
        let expected = format!(
            "`{}`: no answer within 300ms",
            address.trim_end_matches('/')
        );
        assert_eq!(failure, NoAnswer::Unknown(expected));
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn a_refused_connection_and_an_unknown_name_were_never_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    for endpoint in [address.as_str(), "http://no-such-host.invalid"] {
        let wire = wire(endpoint, &Tokens::default(), Settings::default());
        let failure = send(&wire, &request(Verb::Post), PATIENCE).expect_err("no answer");
        assert!(matches!(failure, NoAnswer::NotSent(_)), "{failure:?}");
        assert!(!format!("{failure:?}").contains("a+b"), "{failure:?}");
    }
}

#[test]
fn a_server_that_does_not_speak_tls_was_never_sent_anything() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = format!("https://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("connects");
            let _ = stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n");
        }
    });
    let wire = wire(&address, &Tokens::default(), Settings::default());
    let failure = send(&wire, &request(Verb::Post), PATIENCE).expect_err("no answer");
    assert!(matches!(failure, NoAnswer::NotSent(_)), "{failure:?}");
}

struct Never;

impl TokenSource for Never {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(std::future::pending())
    }

    fn forget(&self) -> TokenForgotten<'_> {
        Box::pin(async {})
    }
}

#[test]
fn waiting_for_a_token_is_bounded_and_nothing_was_sent() {
    let endpoints = Endpoints::new([("compute", "https://compute.googleapis.com/")]).expect("good");
    let wire = HttpWire::new(endpoints, Box::new(Never), Settings::default()).expect("a client");
    let failure = send(&wire, &request(Verb::Post), Millis(200)).expect_err("no token");
    assert!(matches!(failure, NoAnswer::NotSent(_)), "{failure:?}");
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).expect("encodes");
    encoder.finish().expect("encodes")
}

#[test]
fn compressed_answers_are_read_and_bounded_by_their_real_size() {
    for (length, fits) in [(40_000, true), (60_000, false)] {
        let (address, _requests) = server(move |stream| {
            let body = gzipped(&vec![b' '; length]);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&body));
        });
        let wire = wire(&address, &Tokens::default(), Settings::default()).with_body_limit(50_000);
        let read = send(&wire, &request(Verb::Get), PATIENCE).map(|a| a.body.len());
        assert_eq!(read.ok(), fits.then_some(length));
    }
}

#[test]
fn no_credentials_no_request() {
    let endpoints = Endpoints::new([("compute", "https://compute.googleapis.com/")]).expect("good");
    let wire =
        HttpWire::new(endpoints, Box::new(NoCredentials), Settings::default()).expect("a client");
    let Err(NoAnswer::NoCredentials(text)) = send(&wire, &request(Verb::Post), PATIENCE) else {
        panic!("sent without credentials");
    };
    assert!(
        text.contains("gcloud auth application-default login"),
        "{text}"
    );
}

#[test]
fn a_large_answer_is_not_read_to_its_end() {
    let (address, _requests) = server(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
        let _ = stream.write_all(&vec![b'x'; 100_000]);
    });
    let wire = wire(&address, &Tokens::default(), Settings::default()).with_body_limit(50_000);
    let failure = send(&wire, &request(Verb::Get), PATIENCE).expect_err("too large");
    let server = address.trim_end_matches('/');
    let expected =
        format!("`{server}`: the answer (200) is larger than 50000 bytes and was not read");
    assert_eq!(failure, NoAnswer::Unknown(expected));
}

#[test]
fn paths_and_headers_cannot_break_out() {
    let (address, requests) = server(answering(FINE));
    let wire = wire(
        &format!("{address}/base"),
        &Tokens::default(),
        Settings::default(),
    );
    for path in [
        "compute/v1/projects/../../x",
        "compute/v1/a b",
        "a?b=c#d",
        "%2e%2e/x",
    ] {
        let bad = Request {
            path: path.into(),
            ..request(Verb::Get)
        };
        let outcome = send(&wire, &bad, PATIENCE);
        assert!(
            matches!(outcome, Err(NoAnswer::NotSent(_))),
            "{path}: {outcome:?}"
        );
    }
    let bad = Request {
        headers: vec![("x".into(), "a\r\nb: c".into())],
        ..request(Verb::Get)
    };
    assert!(matches!(
        send(&wire, &bad, PATIENCE),
        Err(NoAnswer::NotSent(_))
    ));
    drop(requests);
}
