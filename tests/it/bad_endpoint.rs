//! Servers that are none of Google's: pages, silence, broken lines, answers of another form.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{Folder, Said};

const FLOW: &str = "workflow e {
  input project: string
  at { project }
  step address = ensure compute.globalAddresses(\"one\")
    timeout 3s
}
";

/// What a server does with each request, of which it sees the first line; `None` closes the connection.
type Script = fn(request: &str, stream: &mut TcpStream) -> Option<String>;

/// A server on a port of its own, for as long as the test binary lives.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn of(script: Script) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || {
                    let _ = serve(stream, script, &log);
                });
            }
        });
        Server { url, seen }
    }

    fn run(&self, more: &[&str]) -> (Folder, Said) {
        let f = Folder::new(&[("e.r5flow", FLOW)]);
        let endpoint = format!("compute={}", self.url);
        let words = [
            "run",
            "e.r5flow",
            "-y",
            "--input",
            "project=demo",
            "--endpoint",
            &endpoint,
        ];
        let begun = Instant::now();
        let said = f.run(&[&words, more].concat());
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "{:?}",
            begun.elapsed()
        );
        (f, said)
    }

    fn changes(&self) -> usize {
        let seen = self.seen.lock().expect("a log");
        seen.iter().filter(|line| !line.starts_with("GET ")).count()
    }
}

fn serve(mut stream: TcpStream, script: Script, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0u8; 1];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|l| {
        l.to_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    let mut body = vec![0u8; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let first = head.lines().next().unwrap_or_default();
    log.lock().expect("a log").push(first.to_owned());
    match script(first, &mut stream) {
        Some(answer) => stream.write_all(answer.as_bytes()),
        None => Ok(()),
    }
}

fn answer(status: u16, kind: &str, body: &str) -> Option<String> {
    Some(format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ))
}

fn json(status: u16, body: &str) -> Option<String> {
    answer(status, "application/json", body)
}

/// Nothing is there, as an API says it to one who reads; changes get the given answer.
fn empty(request: &str, change: Option<String>) -> Option<String> {
    match request {
        list if list.starts_with("GET ") && list.contains("/operations?") => json(200, "{}"),
        get if get.starts_with("GET ") => absent(),
        _ => change,
    }
}

fn absent() -> Option<String> {
    json(
        404,
        "{\"error\":{\"code\":404,\"message\":\"not found\",\"errors\":[{\"reason\":\"notFound\"}]}}",
    )
}

#[test]
fn a_page_is_no_answer() {
    let server = Server::of(|_, _| answer(200, "text/html", "<html>Welcome to the hotel</html>"));
    let (f, said) = server.run(&[]);
    said.ends(1)
        .err_has("e.r5flow:4:")
        .err_has("expected an API's JSON, got text/html")
        .err_has("Welcome to the hotel")
        .err_has("look at the endpoint");
    f.run(&["runs"]).ends(0).out_has("failed");
    let server = Server::of(|_, _| answer(502, "text/html", "<html>Bad gateway</html>"));
    server
        .run(&[])
        .1
        .ends(1)
        .err_has("Bad gateway")
        .err_has("go on:  r5flow resume");
    assert_eq!(server.changes(), 0);
}

#[test]
fn a_page_behind_a_change_is_settled_by_a_look() {
    let server = Server::of(|r, _| empty(r, answer(200, "text/html", "<html>Welcome</html>")));
    server.run(&[]).1.ends(1).err_has("expected an API's JSON");
}

#[test]
fn silence_ends_and_names_who_was_silent() {
    let server = Server::of(|_, _| {
        std::thread::sleep(Duration::from_secs(60));
        None
    });
    let begun = Instant::now();
    let (_, said) = server.run(&[]);
    assert!(begun.elapsed() < Duration::from_secs(20));
    said.ends_among(&[1, 9])
        .err_has(&server.url)
        .err_has("no answer within");
    let server = Server::of(|r, _| {
        if r.starts_with("POST ") {
            std::thread::sleep(Duration::from_secs(60));
        }
        empty(r, None)
    });
    let (_, said) = server.run(&[]);
    said.ends_among(&[1, 9])
        .err_has(&server.url)
        .err_has("go on:  r5flow resume");
}

#[test]
fn a_refused_connection_is_tried_for_a_while_only() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let flow = FLOW.replace("    timeout 3s\n", "");
    let f = Folder::new(&[("e.r5flow", &flow)]);
    let endpoint = format!("compute=http://{address}");
    let words = [
        "run",
        "e.r5flow",
        "-y",
        "--input",
        "project=demo",
        "--endpoint",
        &endpoint,
    ];
    let begun = Instant::now();
    f.run(&words)
        .ends(1)
        .err_has(&format!("`http://{address}`"))
        .err_has("Connection refused")
        .err_has("check the network and the endpoint");
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_broken_line_is_settled_not_repeated_blindly() {
    let server = Server::of(|_, _| None);
    server.run(&[]).1.ends(1).err_has(&server.url);
    let server = Server::of(|r, _| empty(r, None));
    let (_, said) = server.run(&[]);
    let _ = said.ends_among(&[1, 9]);
    let ids: std::collections::BTreeSet<String> = {
        let seen = server.seen.lock().expect("a log");
        seen.iter()
            .filter(|l| l.starts_with("POST "))
            .cloned()
            .collect()
    };
    assert_eq!(ids.len(), 1, "one change, one request id: {ids:?}");
}

#[test]
fn redirects_are_not_followed() {
    let server = Server::of(|_, _| {
        Some("HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/trap\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into())
    });
    server
        .run(&[])
        .1
        .ends(1)
        .err_has("an API does not redirect, but this answer points to `http://127.0.0.1:1/trap`")
        .err_has("this is no answer of a Google API");
    assert_eq!(server.changes(), 0);
}

#[test]
fn a_body_without_end_is_cut_off() {
    let server = Server::of(|_, stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n",
        );
        while stream.write_all(&[b' '; 1 << 16]).is_ok() {}
        None
    });
    let (_, said) = server.run(&[]);
    let _ = said.ends_among(&[1, 9]);
}

#[test]
fn what_reads_have_to_say_in_another_form() {
    let bodies: [Script; 6] = [
        |_, _| json(200, "{\"name\": "),
        |_, _| json(200, "[1, 2]"),
        |_, _| json(200, "null"),
        |_, _| {
            json(
                200,
                "{\"name\": 7, \"id\": {}, \"selfLink\": [], \"error\": 3}",
            )
        },
        |_, _| json(400, "{\"error\": [1]}"),
        |_, _| json(500, "{\"error\": {\"code\": \"x\", \"errors\": {}}}"),
    ];
    for (n, script) in bodies.into_iter().enumerate() {
        let server = Server::of(script);
        let (f, said) = server.run(&[]);
        let said = said.ends_among(&[0, 1]);
        assert!(!said.err.contains("panicked"), "{n}: {}", said.err);
        f.run(&["runs"]).ends(0);
    }
}

#[test]
fn what_changes_have_to_say_in_another_form_is_never_success() {
    let bodies: [&str; 7] = [
        "{\"kind\":\"compute#operation\",\"status\":\"RUNNING\"}",
        "{\"kind\":\"compute#operation\",\"name\":7,\"status\":3,\"error\":\"no\"}",
        "[1, 2]",
        "null",
        "\"done\"",
        "{\"name\":\"one\"}",
        "[[[[[[[[",
    ];
    let scripts: [Script; 7] = [
        |r, _| {
            empty(
                r,
                json(
                    200,
                    "{\"kind\":\"compute#operation\",\"status\":\"RUNNING\"}",
                ),
            )
        },
        |r, _| {
            empty(
                r,
                json(
                    200,
                    "{\"kind\":\"compute#operation\",\"name\":7,\"status\":3,\"error\":\"no\"}",
                ),
            )
        },
        |r, _| empty(r, json(200, "[1, 2]")),
        |r, _| empty(r, json(200, "null")),
        |r, _| empty(r, json(200, "\"done\"")),
        |r, _| empty(r, json(200, "{\"name\":\"one\"}")),
        |r, _| empty(r, json(200, "[[[[[[[[")),
    ];
    let tries: Vec<_> = scripts
        .into_iter()
        .map(|script| {
            std::thread::spawn(move || {
                let server = Server::of(script);
                let (_, said) = server.run(&[]);
                (said, server.changes())
            })
        })
        .collect();
    for (body, attempt) in bodies.iter().zip(tries) {
        let (said, changes) = attempt.join().expect("an end");
        let said = said.ends_among(&[1, 7, 9]).err_has("× address: ");
        assert!(
            (1..=4).contains(&changes),
            "{body}: {changes} changes: {}",
            said.err
        );
    }
}

#[test]
fn nobody_to_send_it_as_is_a_matter_of_credentials() {
    let f = Folder::new(&[("e.r5flow", FLOW)]);
    let begun = Instant::now();
    let words = ["run", "e.r5flow", "-y", "--input", "project=demo"];
    let env = [("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")];
    f.run_with(&words, &env, "")
        .ends(4)
        .err_has("no credentials for Google Cloud")
        .err_has("gcloud auth application-default login");
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
}
