//! Proxies as companies have them: with a password, which is told to the proxy and nobody else, and with hosts
//! that are not reached through it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use crate::credentials::assert_kept_without;
use crate::harness::{Folder, Words};

const FLOW: &str = "workflow w {
  at { project: \"demo\" }
  step one = wait compute.globalAddresses(\"one\")
    until it.name == \"one\"
    timeout 2s
}
";

const PASSWORD: &str = "Proxy-Canary-31c7";
/// The password as it goes to the proxy, behind `ada:`.
const ENCODED: &str = "YWRhOlByb3h5LUNhbmFyeS0zMWM3";
const FOUND: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 14\r\n\r\n{\"name\":\"one\"}";

/// A proxy that gives one answer to all, with its address for a variable, and the heads that it was sent.
fn proxy(answer: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (told, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("connects");
            let lines = BufReader::new(&mut stream).lines();
            let head: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            // A test that has seen enough listens no more.
            let _ = told.send(head.join("\n"));
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (format!("http://ada:{PASSWORD}@{address}"), asked)
}

/// Runs the flow against a host that nobody knows, so that only a proxy brings an answer.
#[track_caller]
fn run(scheme: &str, env: &[(&str, &str)], codes: &[i32]) -> Words {
    let f = Folder::new(&[("w.r5flow", FLOW)]);
    let endpoint = format!("compute={scheme}://compute.invalid");
    let words = ["run", "w.r5flow", "-y", "--endpoint", &endpoint];
    let mut said = f.run_with(&words, env, "").ends_among(codes);
    for secret in [PASSWORD, ENCODED] {
        said = said.never_has(secret);
    }
    assert_kept_without(&f.path(".r5flow"), &[PASSWORD, ENCODED]);
    said
}

#[test]
fn a_proxy_is_told_its_password_and_nobody_else_is() {
    let (proxy, asked) = proxy(FOUND);
    run("http", &[("HTTP_PROXY", &proxy)], &[0]);
    let head = asked.try_recv().expect("a question");
    assert!(head.starts_with("GET http://compute.invalid/"), "{head}");
    let told = format!("proxy-authorization: basic {}", ENCODED.to_lowercase());
    assert!(head.to_lowercase().contains(&told), "{head}");
}

#[test]
fn a_proxy_that_refuses_or_is_not_there_does_not_get_the_password_printed() {
    const REFUSAL: &str = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"ada:Proxy-Canary-31c7\"\r\n\
                           connection: close\r\ncontent-length: 0\r\n\r\n";
    let (refusing, asked) = proxy(REFUSAL);
    for scheme in ["http", "https"] {
        let env = [("ALL_PROXY", refusing.as_str())];
        run(scheme, &env, &[1, 9]).err_has("compute.invalid");
        assert!(asked.try_recv().is_ok());
    }
    let nobody = format!("http://ada:{PASSWORD}@127.0.0.1:1");
    for scheme in ["http", "https"] {
        run(scheme, &[("ALL_PROXY", &nobody)], &[1, 9]).err_has("compute.invalid");
    }
}

#[test]
fn what_no_proxy_names_is_reached_without_it() {
    let (proxy, asked) = proxy(FOUND);
    let with = |not: &str, codes: &[i32]| {
        let env = [("HTTP_PROXY", proxy.as_str()), ("NO_PROXY", not)];
        run("http", &env, codes);
        asked.try_iter().count()
    };
    assert_eq!(with("other.invalid, mpute.invalid", &[0]), 1);
    for not in ["other.invalid, compute.invalid", ".invalid", "*"] {
        assert_eq!(with(not, &[1, 9]), 0, "{not}");
    }
}
