//! Secrets that nobody gave: an answer shows them, steps use them, and they are nowhere to be read.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::harness::{Folder, Words};
use crate::secrets::collect;

const KEY: &str = "Q2FuYXJ5LWtleS00MWQ3LU1hbmRhcmlu";
const HMAC: &str = "Canary+hmac/52e8/Clementine";
const PAYLOAD: &str = "Q2FuYXJ5LXBheWxvYWQtNjNmOS1Qb21lbG8=";
const TOKEN: &str = "ya29.Canary-token-74a0-Kumquat";
const ALL: [&str; 4] = [KEY, HMAC, PAYLOAD, TOKEN];

const FLOW: &str = r#"workflow s {
  input url: string
  at { project: "demo" }
  step key = call iam.projects.serviceAccounts.keys.create(name: "projects/demo/serviceAccounts/r@demo")
    on doubt ask
  step hmac = call storage.projects.hmacKeys.create(projectId: "demo", serviceAccountEmail: "r@demo")
    on doubt ask
  step payload = read secretmanager.projects.secrets.versions.access(name: "projects/demo/secrets/s/versions/1")
  step login = http GET "${url}/login"
  checkpoint half
    require hmac != null
  step copy = call secretmanager.projects.secrets.addVersion(parent: "projects/demo/secrets/s") {
    payload: { data: key.privateKeyData }
  }
    repeat safe
  step told = http POST "${url}/told" {
    headers: { "x-login": "Bearer ${login.json.access_token}" }
    json: { hmac: hmac.secret, payload: payload.payload.data }
  }
    repeat safe
  step refused = http POST "${url}/refused" { json: { payload: payload.payload.data } }
    repeat safe
    on failure continue
  secret output given = key.privateKeyData
  output whole = key
  output answer = login.json
  output name = copy.name
}
"#;

/// Answers as the services do, and keeps what it was sent.
struct Services {
    url: String,
    seen: Arc<Mutex<String>>,
}

impl Services {
    fn new() -> Services {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever hangs up ends its own connection.
                let _ = answer(stream, &kept);
            }
        });
        Services { url, seen }
    }

    fn seen(&self) -> String {
        self.seen.lock().expect("what was seen").clone()
    }
}

fn answer(mut stream: TcpStream, seen: &Mutex<String>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0u8; 4096];
    while !is_whole(&request) {
        match stream.read(&mut part)? {
            0 => return Ok(()),
            n => request.extend_from_slice(&part[..n]),
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let line = request.lines().next().unwrap_or_default().to_owned();
    let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let (status, answer) = match &line {
        line if line.contains("/keys") => {
            (200, format!(r#"{{"name":"k/1","privateKeyData":"{KEY}"}}"#))
        }
        line if line.contains("/hmacKeys") => (
            200,
            format!(
                r#"{{"kind":"storage#hmacKey","metadata":{{"accessId":"A1"}},"secret":"{HMAC}"}}"#
            ),
        ),
        line if line.contains(":access") => (
            200,
            format!(r#"{{"name":"v/1","payload":{{"data":"{PAYLOAD}"}}}}"#),
        ),
        line if line.contains("/login") => (
            200,
            format!(r#"{{"access_token":"{TOKEN}","expires_in":3600}}"#),
        ),
        line if line.contains("/refused") => (400, format!("no use for {body}")),
        _ => (200, r#"{"name":"v/2"}"#.to_owned()),
    };
    seen.lock().expect("what was seen").push_str(&request);
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "));
    body.len() >= length.and_then(|l| l.trim().parse().ok()).unwrap_or(0)
}

#[track_caller]
fn unseen(said: Words) -> Words {
    ALL.into_iter().fold(said, Words::never_has)
}

#[track_caller]
fn unkept(f: &Folder) {
    let mut files = Vec::new();
    collect(&f.path("."), &mut files);
    assert!(files.len() > 3);
    for (path, bytes) in files {
        for word in ALL {
            let found = bytes.windows(word.len()).any(|w| w == word.as_bytes());
            assert!(!found, "{word} in {}", path.display());
        }
    }
}

#[test]
fn what_an_answer_shows_once_is_used_and_kept_nowhere() {
    let f = Folder::new(&[("s.r5flow", FLOW)]);
    let services = Services::new();
    let url = format!("url={}", services.url);
    let world = ["--endpoint", &services.url, "--input", &url];
    let plan = [&["plan", "s.r5flow", "--out", "kept.plan"][..], &world].concat();
    let _ = unseen(f.run(&plan).ends(0));
    let run = [&["run", "s.r5flow", "-y", "--until", "half"][..], &world].concat();
    let _ = unseen(f.run(&run).ends(6));
    unkept(&f);
    // Another process takes them from the journal.
    let _ = unseen(f.run(&["resume", "-y"]).ends(0))
        .out_has("given = \"•••\"")
        .out_has("\"privateKeyData\":\"•••\"")
        .out_has("\"access_token\":\"•••\"")
        .out_has("name = \"v/2\"");
    let seen = services.seen();
    for word in ALL {
        assert!(seen.contains(word), "{word} was not sent");
    }
    // Done again, it brings another secret: the difference is told without either.
    let _ = unseen(f.run(&["resume", "-y", "--redo", "told"]).ends(0));
    let listed = f.run(&["runs", "--json"]).ends(0).lines();
    let id = listed[1]["id"].as_str().expect("an id").to_owned();
    for words in [
        &["runs", &id][..],
        &["runs", &id, "--json"],
        &["runs", "export", &id],
        &["rollback", &id, "--dry-run"],
    ] {
        let _ = unseen(f.run(words).ends(0));
    }
    unkept(&f);
}
