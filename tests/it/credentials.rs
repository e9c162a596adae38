//! Credentials as CI uses them, from the command line to a cloud behind a proxy that signs for Google by
//! an authority of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::Folder;

const FLOW: &str = "workflow w {
  at { project: \"demo\" }
  step one = read compute.globalAddresses(\"one\")
  checkpoint half
  step pause = wait 10ms
}
";

const FEDERATION: &str = r#"{
  "type": "external_account",
  "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/github",
  "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
  "token_url": "https://sts.googleapis.com/v1/token",
  "quota_project_id": "payer-of-the-file",
  "credential_source": { "file": "subject.jwt" }
}"#;

const SUBJECT: &str = "Subject-Canary-5c1d";
const FEDERATED: &str = "Federated-Canary-77aa";
const ACTING: &str = "Acting-Canary-0b3e";
const ROBOT: &str = "deploy@demo.iam.gserviceaccount.com";

/// A proxy that ends every connection itself, as companies do, and tells what it was asked.
fn proxy() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (told, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let told = told.clone();
            std::thread::spawn(move || {
                let stream = stream.expect("connects");
                // A client that does not trust the authority hangs up.
                let _ = serve(stream, &|text| drop(told.send(text)));
            });
        }
    });
    (address, asked)
}

fn serve(mut stream: TcpStream, tell: &dyn Fn(String)) -> std::io::Result<()> {
    let (head, _) = read(&mut stream)?;
    let host = head.split(' ').nth(1).unwrap_or_default().to_owned();
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let connection = ServerConnection::new(config()).expect("a connection");
    let mut stream = StreamOwned::new(connection, stream);
    let (head, body) = read(&mut stream)?;
    let answer = match host.as_str() {
        "sts.googleapis.com:443" => {
            format!(r#"{{"access_token":"{FEDERATED}","expires_in":3600}}"#)
        }
        "iamcredentials.googleapis.com:443" => {
            format!(r#"{{"accessToken":"{ACTING}","expireTime":"2100-01-01T00:00:00Z"}}"#)
        }
        _ => r#"{"name":"one"}"#.to_owned(),
    };
    tell(format!("{host}\n{head}{body}"));
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Head and body of a request.
fn read(stream: &mut dyn Read) -> std::io::Result<(String, String)> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head = head.to_lowercase();
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok((head, String::from_utf8_lossy(&body).into_owned()))
}

/// A server that holds the certificate of the tests' authority.
pub fn config() -> Arc<ServerConfig> {
    static CONFIG: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    let made = CONFIG.get_or_init(|| {
        let leaf = CertificateDer::from_pem_slice(include_bytes!("../credentials/google.pem"));
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("../credentials/google.key"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.expect("a leaf")], key.expect("a key"));
        Arc::new(config.expect("a pair"))
    });
    Arc::clone(made)
}

fn folder() -> Folder {
    Folder::new(&[
        ("w.r5flow", FLOW),
        ("federation.json", FEDERATION),
        ("subject.jwt", SUBJECT),
        ("ca.pem", include_str!("../credentials/ca.pem")),
    ])
}

fn all(asked: &Receiver<String>) -> Vec<String> {
    std::iter::from_fn(|| asked.recv_timeout(Duration::from_millis(200)).ok()).collect()
}

/// Nothing that is kept of a run holds any of the texts.
pub fn assert_kept_without(folder: &Path, texts: &[&str]) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_kept_without(&path, texts);
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        let kept = String::from_utf8_lossy(&bytes);
        for text in texts {
            assert!(!kept.contains(text), "{text} in {}", path.display());
        }
    }
}

#[test]
fn a_pipeline_behind_a_proxy_acts_as_a_service_account() {
    let f = folder();
    let (proxy, asked) = proxy();
    let env = [
        ("HTTPS_PROXY", proxy.as_str()),
        ("GOOGLE_APPLICATION_CREDENTIALS", "federation.json"),
    ];
    let run = ["run", "w.r5flow", "-y", "--until", "half"];
    let acting = [&run[..], &["--ca", "ca.pem", "--impersonate", ROBOT]].concat();
    let words = f.run_with(&acting, &env, "").ends(6);
    let secrets = [SUBJECT, FEDERATED, ACTING];
    for secret in secrets {
        assert!(!words.out.contains(secret) && !words.err.contains(secret));
    }
    assert_kept_without(&f.path(".r5flow"), &secrets);
    let asked_for = all(&asked);
    let of = |host: &str| {
        let prefix = format!("{host}.googleapis.com:443\n");
        let some: Vec<&String> = asked_for
            .iter()
            .filter(|a| a.starts_with(&prefix))
            .collect();
        some
    };
    // One token serves the whole process.
    let [exchange] = of("sts")[..] else {
        panic!("{asked_for:#?}")
    };
    assert!(
        exchange.contains(&format!("subject_token={SUBJECT}"))
            && !exchange.contains("authorization")
    );
    let [act] = of("iamcredentials")[..] else {
        panic!("{asked_for:#?}")
    };
    assert!(
        act.contains(&format!(
            "post /v1/projects/-/serviceaccounts/{ROBOT}:generateaccesstoken "
        )),
        "{act}"
    );
    assert!(
        act.contains(&format!(
            "authorization: bearer {}",
            FEDERATED.to_lowercase()
        )),
        "{act}"
    );
    let calls = of("compute");
    assert!(!calls.is_empty(), "{asked_for:#?}");
    for call in calls {
        assert!(
            call.contains(&format!("authorization: bearer {}", ACTING.to_lowercase())),
            "{call}"
        );
        assert!(
            call.contains("x-goog-user-project: payer-of-the-file\r\n"),
            "{call}"
        );
    }

    // The account is pinned: without a word of the other account the run would go on as the federation.
    let by_variable = [
        &env[..],
        &[
            ("R5FLOW_CA", "ca.pem"),
            ("GOOGLE_CLOUD_QUOTA_PROJECT", "payer-of-the-user"),
        ],
    ]
    .concat();
    let refused = f.run_with(&["resume", "-y"], &by_variable, "").ends(7);
    refused.err_has(&format!(
        "the run began as {ROBOT}, and would go on as //iam.googleapis.com/projects/1/"
    ));
    assert!(all(&asked).is_empty());
    let user = [
        ("R5FLOW_CA", "ca.pem"),
        ("GCE_METADATA_HOST", "127.0.0.1:1"),
    ];
    f.run_with(&["resume", "-y"], &user, "")
        .ends(7)
        .err_has("the credentials here do not say whose they are: use credentials that name ");
    f.run_with(&["resume", "-y", "--impersonate", ROBOT], &by_variable, "")
        .ends(0);
}

/// gcloud's login comes last, only when it is needed, and what gcloud prints is told to Google alone.
#[cfg(unix)]
#[test]
fn the_login_of_gcloud_is_the_last_that_is_looked_for() {
    use std::os::unix::fs::PermissionsExt;
    const PRINTED: &str = "Printed-Canary-91fe";
    let f = folder();
    let (proxy, asked) = proxy();
    let bin = f.path("bin");
    std::fs::create_dir(&bin).expect("a folder");
    let gcloud = |script: &str| {
        let text = format!("#!/bin/sh\necho \"$@\" >> asked\n{script}\n");
        f.write("bin/gcloud", &text);
        std::fs::set_permissions(bin.join("gcloud"), std::fs::Permissions::from_mode(0o700))
            .expect("set");
    };
    let path = bin.to_string_lossy();
    let env = [
        ("PATH", &*path),
        ("HTTPS_PROXY", &*proxy),
        ("R5FLOW_CA", "ca.pem"),
        ("GCE_METADATA_HOST", "127.0.0.1:1"),
    ];
    let run = ["run", "w.r5flow", "-y"];

    f.run_with(&run, &env, "")
        .ends(4)
        .err_has("no gcloud (")
        .err_has("failed to run `gcloud`: No such file")
        .err_has("log in with `gcloud auth application-default login`");

    gcloud(&format!("echo {PRINTED}; echo {PRINTED} >&2; exit 1"));
    f.run_with(&run, &env, "")
        .ends(4)
        .err_has(
            "`gcloud auth print-access-token` brought no token: running `gcloud` command failed",
        )
        .never_has(PRINTED);
    gcloud(&format!("echo {PRINTED} {PRINTED}"));
    f.run_with(&run, &env, "")
        .ends(4)
        .err_has("holds characters that no header can carry")
        .never_has(PRINTED);
    assert!(all(&asked).is_empty());

    gcloud(&format!("echo {PRINTED}"));
    std::fs::remove_file(f.path("asked")).expect("it was there");
    let federation = [("GOOGLE_APPLICATION_CREDENTIALS", "federation.json")];
    f.run_with(&run, &[&env[..], &federation].concat(), "")
        .ends(0);
    f.run_with(&["check", "w.r5flow"], &env, "").ends(0);
    assert!(!f.path("asked").exists());
    all(&asked);

    f.run_with(&run, &env, "").ends(0).never_has(PRINTED);
    assert_kept_without(&f.path(".r5flow"), &[PRINTED]);
    let calls = all(&asked);
    let token = format!("authorization: bearer {}\r\n", PRINTED.to_lowercase());
    assert!(
        !calls.is_empty() && calls.iter().all(|c| c.contains(&token)),
        "{calls:#?}"
    );
    let words = f.read("asked");
    assert_eq!(
        words.matches("auth print-access-token").count(),
        1,
        "{words}"
    );
}

/// What stands in the command wins over the environment, and the environment over the file.
#[test]
fn the_payer_is_the_one_that_was_named_last() {
    let f = folder();
    let (proxy, asked) = proxy();
    let env = [
        ("HTTPS_PROXY", proxy.as_str()),
        ("GOOGLE_APPLICATION_CREDENTIALS", "federation.json"),
        ("R5FLOW_CA", "ca.pem"),
        ("GOOGLE_CLOUD_QUOTA_PROJECT", "payer-of-the-user"),
    ];
    for (more, payer) in [
        (&[][..], "payer-of-the-user"),
        (
            &["--quota-project", "payer-of-the-command"][..],
            "payer-of-the-command",
        ),
    ] {
        let words = [&["plan", "w.r5flow"][..], more].concat();
        f.run_with(&words, &env, "").ends(0);
        let calls = all(&asked);
        let paid = |call: &&String| call.contains(&format!("x-goog-user-project: {payer}\r\n"));
        assert!(calls.iter().any(|c| paid(&c)), "{calls:#?}");
        let elsewhere = calls.iter().filter(|c| !c.starts_with("compute"));
        assert!(!elsewhere.clone().any(|c| paid(&c)), "{calls:#?}");
    }
}

#[test]
fn authorities_and_accounts_that_are_none_are_misuse() {
    let f = folder();
    f.write("empty.pem", "no certificate\n");
    for (words, said) in [
        (["--ca", "nowhere.pem"], "`nowhere.pem` cannot be read"),
        (["--ca", "empty.pem"], "`empty.pem` holds no certificate"),
        (
            ["--impersonate", "deploy"],
            "`--impersonate deploy` names no account",
        ),
        (["--impersonate", "a/../b@x"], "names no account"),
    ] {
        let words = [&["plan", "w.r5flow"][..], &words].concat();
        f.run(&words).ends(64).err_has(said);
    }
}

/// The simulator needs nobody: what the environment says of credentials is not looked at.
#[test]
fn the_simulator_never_looks_for_credentials() {
    let f = folder();
    let env = [
        ("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json"),
        ("R5FLOW_CA", "/nowhere/ca.pem"),
        ("GCE_METADATA_HOST", "127.0.0.1:1"),
    ];
    f.write(
        "w.r5flow",
        "workflow w {\n  at { project: \"demo\" }\n  step one = ensure compute.globalAddresses(\"one\")\n}\n",
    );
    f.run_with(&["run", "w.r5flow", "-y", "--sim"], &env, "")
        .ends(0);
}
