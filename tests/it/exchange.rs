//! A run as one file: exported here, imported and taken over there. And credentials: where they go.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::harness::Folder;
use r5flow::spec::dice::Dice;

const FLOW: &str = "workflow w {
  input project: string
  secret input password: string
  at { project }
  step one = ensure compute.globalAddresses(\"one\") { description: \"it is ${password}\" }
  checkpoint half
  step two = ensure compute.globalAddresses(\"two\")
  output name = two.name
}
";

const CANARY: &str = "Canary-71c3-Tangerine";

const SECRET: [(&str, &str); 1] = [("R5FLOW_INPUT_PASSWORD", CANARY)];

/// A run that stands at its checkpoint, and the file it was exported to.
fn exported() -> (Folder, String, String) {
    let f = Folder::new(&[("w.r5flow", FLOW)]);
    let run = [
        "run",
        "w.r5flow",
        "--sim",
        "-y",
        "--input",
        "project=demo",
        "--until",
        "half",
    ];
    let _ = f.run_with(&run, &SECRET, "").ends(6);
    let list = f.run(&["runs", "--json"]).ends(0).lines();
    let id = list[1]["id"].as_str().expect("an id").to_owned();
    f.run(&["runs", "export", &id[..20], "--out", "w.r5run"])
        .ends(0)
        .out_has(&format!("run {id} was written to w.r5run"));
    let text = f.read("w.r5run");
    (f, id, text)
}

#[test]
fn an_exported_run_is_shown_elsewhere_and_goes_on_when_it_is_taken_over() {
    let (f, id, text) = exported();
    assert!(!text.contains(CANARY));
    let key = std::fs::read(f.path(".r5flow/key")).expect("a key");
    let hex: String = key.iter().map(|b| format!("{b:02x}")).collect();
    assert!(!text.contains(&hex) && !text.as_bytes().windows(32).any(|w| w == key));
    let there = ["--state", "there"];
    let with = |words: &[&'static str]| [words, &there].concat();
    f.run(&with(&["runs", "import", "w.r5run"]))
        .ends(0)
        .out_has("--take-over");
    let shown = |words: &[&str]| f.run(&[&["runs", &id[..]], words].concat()).ends(0).out;
    assert_eq!(shown(&there), shown(&[]));
    f.run(&with(&["runs", "import", "w.r5run"]))
        .ends(64)
        .err_has("here already");
    // The secret can be compared only with the key that sealed it.
    std::fs::copy(f.path(".r5flow/key"), f.path("there/key")).expect("copied");
    let resume = with(&["resume", "-y"]);
    let _ = f
        .run_with(&resume, &SECRET, "")
        .ends(7)
        .err_has("--take-over");
    let over = with(&["resume", "-y", "--take-over"]);
    f.run_with(&over, &SECRET, "")
        .ends(0)
        .out_has("name = \"two\"");
    assert!(shown(&there).contains("resumed"));
}

#[test]
fn damage_and_what_is_newer_are_refused_and_nothing_is_made() {
    let (f, id, text) = exported();
    let import = ["runs", "import", "bad.r5run", "--state", "there"];
    let refused = |bad: &str, why: &str| {
        f.write("bad.r5run", bad);
        f.run(&import)
            .ends(1)
            .err_has("was not imported")
            .err_has(why);
        assert!(!f.path("there/runs").join(&id).exists());
    };
    let mut dice = Dice::new(3);
    for _ in 0..10 {
        let mut bytes = text.clone().into_bytes();
        let at = dice.below(bytes.len());
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        refused(&String::from_utf8_lossy(&bytes), "`bad.r5run`");
        refused(&text[..dice.below(text.len() - 1)], "`bad.r5run`");
    }
    let newer = text.replacen("\"format\":1", "\"format\":7", 1);
    refused(
        &newer,
        "newer r5flow (format 7, this one reads up to 1); update r5flow",
    );
    f.write("bad.r5run", FLOW);
    let _ = f
        .run(&import)
        .ends(1)
        .err_has("no file that `r5flow runs export` wrote");
    let journal = f.path(".r5flow/runs").join(&id).join("journal-1.db");
    std::fs::write(&journal, "x").expect("written");
    f.run(&["runs", "export", &id]).ends(1).err_has("damaged");
}

const ONE_READ: &str = "workflow w {
  at { project: \"demo\" }
  step one = read compute.globalAddresses(\"one\")
  output name = one.name
}
";

/// Without a word of the user's no token is even asked for; with it, the command needs one.
#[test]
fn credentials_go_to_other_hosts_only_when_the_user_says_so() {
    let f = Folder::new(&[("w.r5flow", ONE_READ)]);
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", server.local_addr().expect("an address"));
    let serves = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().expect("a request");
        let mut seen = vec![0u8; 4096];
        let n = stream.read(&mut seen).expect("a request");
        let body = r#"{"name":"one"}"#;
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        String::from_utf8_lossy(&seen[..n]).to_lowercase()
    });
    let plain = ["run", "w.r5flow", "-y", "--endpoint", &endpoint];
    let compute = format!("compute={endpoint}");
    let plain = [&plain[..4], &[&compute[..]]].concat();
    f.run(&plain).ends(0).out_has("name = \"one\"");
    let seen = serves.join().expect("a server");
    assert!(
        seen.starts_with("get /") && !seen.contains("authorization"),
        "{seen}"
    );
    let told = [&plain[..], &["--send-credentials-to", "127.0.0.1"]].concat();
    let broken = [("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")];
    let _ = f
        .run_with(&told, &broken, "")
        .ends(4)
        .err_has("credentials");
    for bad in ["https://x.example", "x.example:443", "", "a b"] {
        let words = [&plain[..], &["--send-credentials-to", bad]].concat();
        let _ = f.run(&words).ends(64).err_has("names no host");
    }
}
