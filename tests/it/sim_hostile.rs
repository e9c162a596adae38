//! What no honest client sends to the simulator's port: it is refused, and the server lives.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value as Json;

use crate::harness::Folder;
use crate::port::Cloud;

const ADDRESSES: &str = "/compute/v1/projects/demo/global/addresses";

/// Everything that comes back for some bytes; the writing side stays open.
fn raw(cloud: &Cloud, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(&cloud.address).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("patience");
    // A server that refuses early closes before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(cloud: &Cloud, path: &str, body: &[u8]) -> (u16, String) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    status(&raw(cloud, &[head.as_bytes(), body].concat()))
}

fn get(cloud: &Cloud, path: &str) -> (u16, String) {
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    status(&raw(cloud, head.as_bytes()))
}

fn status(answer: &str) -> (u16, String) {
    let code = answer.split(' ').nth(1).and_then(|c| c.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (code.unwrap_or(0), body.to_owned())
}

#[track_caller]
fn refused(answer: (u16, String), code: u16, part: &str) {
    let (status, body) = answer;
    assert_eq!(status, code, "{body}");
    let json: Json = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"));
    assert_eq!(json["error"]["code"], code, "{body}");
    let message = json["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(part), "no {part:?} in {body}");
}

#[track_caller]
fn lives(cloud: &Cloud) {
    let (status, body) = get(cloud, "/compute/v1/projects/demo/zones/us-central1-a");
    assert_eq!(status, 200, "{body}");
    let (_, body) = get(cloud, ADDRESSES);
    assert!(!body.contains("items"), "something was made: {body}");
}

#[test]
fn what_is_no_request_is_refused_and_the_server_lives() {
    let folder = Folder::new(&[]);
    let cloud = Cloud::with(&folder, &[]);
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabc",
    ] {
        let answer = raw(&cloud, bytes);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    let chunks = b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n";
    assert!(raw(&cloud, chunks).starts_with("HTTP/1.1 400"));
    let many = "x: y\r\n".repeat(50_000);
    let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
    assert!(raw(&cloud, many.as_bytes()).starts_with("HTTP/1.1 431"));
    lives(&cloud);
}

#[test]
fn bodies_that_are_too_large_too_deep_or_no_json_are_refused() {
    let folder = Folder::new(&[]);
    let cloud = Cloud::with(&folder, &[]);
    let large = vec![b' '; 50 << 20];
    refused(post(&cloud, ADDRESSES, &large), 413, "larger than");
    for open in ["[", "{\"a\":"] {
        let deep = open.repeat(200_000);
        refused(post(&cloud, ADDRESSES, deep.as_bytes()), 400, "");
    }
    let nested = format!(
        "{{\"description\":{}1{}}}",
        "[".repeat(100),
        "]".repeat(100)
    );
    refused(post(&cloud, ADDRESSES, nested.as_bytes()), 400, "");
    refused(post(&cloud, ADDRESSES, b"\xff\xfe\x00"), 400, "");
    refused(post(&cloud, ADDRESSES, b"[1]"), 400, "");
    lives(&cloud);
}

#[test]
fn names_and_references_do_not_lead_elsewhere() {
    let folder = Folder::new(&[("secret.txt", "sesame")]);
    let cloud = Cloud::with(&folder, &[]);
    for path in [
        "/../../etc/passwd",
        "/compute/v1/projects/demo/global/addresses/..%2f..%2f..%2fsecret.txt",
        "/compute/v1/projects/%2e%2e/global/addresses/x",
        "/_r5flow/../secret.txt",
        "/_r5flow/%2e%2e/secret.txt",
    ] {
        let (status, body) = get(&cloud, path);
        assert!((400..=501).contains(&status), "{path}: {status} {body}");
        assert!(
            !body.contains("sesame") && !body.contains("root:"),
            "{body}"
        );
    }
    for name in ["../x", "a/b", "%2e", "A", ""] {
        let body = format!("{{\"name\":\"{name}\"}}");
        refused(post(&cloud, ADDRESSES, body.as_bytes()), 400, "name");
    }
    let rules = "/compute/v1/projects/demo/global/forwardingRules";
    let elsewhere = br#"{"name":"x","portRange":"80",
        "target":"http://evil.example/latest/meta-data/targetHttpProxies/p"}"#;
    let (status, body) = post(&cloud, rules, elsewhere);
    assert!((400..500).contains(&status), "{status} {body}");
    lives(&cloud);
}

/// Many clients that send a byte and then nothing do not keep others from their answers.
#[test]
fn slow_clients_stand_in_nobody_s_way() {
    let folder = Folder::new(&[]);
    let cloud = Cloud::with(&folder, &[]);
    let mut slow: Vec<TcpStream> = (0..300)
        .map(|_| TcpStream::connect(&cloud.address).expect("a connection"))
        .collect();
    let begun = format!("POST {ADDRESSES} HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n");
    for (n, stream) in slow.iter_mut().enumerate() {
        let bytes = if n % 2 == 0 { "G" } else { &begun };
        stream.write_all(bytes.as_bytes()).expect("a byte");
    }
    lives(&cloud);
    drop(slow);
    lives(&cloud);
}

#[test]
fn a_port_that_others_can_reach_is_told() {
    let folder = Folder::new(&[]);
    let mut open = folder
        .command(&["sim", "--listen", "0.0.0.0:0"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the simulator");
    let mut told = [0; 400];
    let length = open
        .stderr
        .as_mut()
        .expect("a pipe")
        .read(&mut told)
        .expect("a word");
    let _ = open.kill();
    let _ = open.wait();
    let told = String::from_utf8_lossy(&told[..length]).into_owned();
    assert!(told.contains("other machines can reach"), "{told:?}");
}
