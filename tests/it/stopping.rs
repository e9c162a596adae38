//! Two runs at once, gates, checkpoints, signals, cancelling, another world.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::Folder;

/// Waits in real time, where there is no simulator.
const SLOW: &str = "workflow slow {
  step first = wait 1s
  step long = wait 8s
    after first
  output done = true
}
";

const GATED: &str = "workflow gated {
  input project: string
  at { project }
  step address = ensure compute.globalAddresses(\"gate\")
  step yes = approve \"May it go on?\"
    after address
  output by = yes.by
}
";

/// No request is ever sent to it.
const NOWHERE: [&str; 2] = ["--endpoint", "compute=http://127.0.0.1:9"];

fn start(f: &Folder, words: &[&str]) -> Child {
    let mut command = f.command(words);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("a process")
}

fn slow(f: &Folder) -> Child {
    let child = start(f, &[&["run", "slow.r5flow", "-y"][..], &NOWHERE].concat());
    let begun = Instant::now();
    while !listed(f).iter().any(|line| line["workflow"] == "slow") {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never began");
        std::thread::sleep(Duration::from_millis(100));
    }
    child
}

fn listed(f: &Folder) -> Vec<serde_json::Value> {
    let said = f.run(&["runs", "--json"]).ends(0);
    said.lines().split_off(1)
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(sent.expect("kill").success());
}

fn end(mut child: Child) -> (i32, String) {
    let mut told = String::new();
    child
        .stderr
        .take()
        .expect("a pipe")
        .read_to_string(&mut told)
        .expect("text");
    (child.wait().expect("an end").code().expect("a code"), told)
}

#[test]
fn one_run_at_a_time_in_an_environment() {
    let f = Folder::new(&[("slow.r5flow", SLOW)]);
    let child = slow(&f);
    let id = listed(&f)[0]["id"].as_str().expect("an id").to_owned();
    let second = [&["run", "slow.r5flow", "-y"][..], &NOWHERE].concat();
    f.run(&second)
        .ends(5)
        .err_has("the environment is held by")
        .err_has(&id)
        .err_has("--env NAME");
    let _ = f.run(&["resume", &id, "-y"]).ends(5).err_has(&id);
    f.run(&["cancel", &id]).ends(0).never_has("error");
    let (code, told) = end(child);
    assert_eq!(code, 8, "{told}");
    assert!(told.contains(&format!("r5flow resume {id}")), "{told}");
    f.run(&["resume", &id, "-y"]).ends(0).out_has("done = true");
    let _ = f.run(&["cancel", &id]).ends(64).err_has("done");
    let _ = f
        .run(&["cancel", "0000"])
        .ends(64)
        .err_has("there is no run `0000`");
}

#[test]
fn a_signal_stops_and_a_second_ends() {
    let f = Folder::new(&[("slow.r5flow", SLOW)]);
    for name in ["-INT", "-TERM"] {
        let child = slow(&f);
        signal(&child, name);
        let (code, told) = end(child);
        assert_eq!(code, 8, "{told}");
        assert!(told.contains("go on:  r5flow resume"), "{told}");
        f.run(&["resume", "-y"]).ends(0).out_has("done = true");
        std::fs::remove_dir_all(f.path(".r5flow")).expect("removed");
    }
    let child = slow(&f);
    signal(&child, "-INT");
    signal(&child, "-INT");
    let (code, told) = end(child);
    assert_eq!(code, 8, "{told}");
    f.run(&["resume", "-y"]).ends(0).out_has("done = true");
}

/// A server that takes a request and never answers it.
#[test]
fn a_signal_during_a_request_leaves_it_to_be_settled() {
    let f = Folder::new(&[("gated.r5flow", GATED)]);
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!(
        "compute=http://{}",
        server.local_addr().expect("an address")
    );
    let words = [
        "run",
        "gated.r5flow",
        "-y",
        "--input",
        "project=demo",
        "--endpoint",
        &endpoint,
    ];
    let child = start(&f, &words);
    let mut held = Vec::new();
    loop {
        let (mut stream, _) = server.accept().expect("a request");
        let mut seen = [0u8; 4096];
        let n = stream.read(&mut seen).expect("a request");
        if !seen[..n].starts_with(b"GET ") {
            held.push(stream);
            break;
        }
        let body = r#"{"error":{"code":404,"message":"no","errors":[{"reason":"notFound"}]}}"#;
        let _ = write!(
            stream,
            "HTTP/1.1 404 X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
    }
    signal(&child, "-INT");
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, "-INT");
    let (code, told) = end(child);
    assert_eq!(code, 8, "{told}");
    let id = listed(&f)[0]["id"].as_str().expect("an id").to_owned();
    f.run(&["runs", &id])
        .ends(0)
        .out_has("compute.globalAddresses.insert");
}

#[test]
fn a_gate_without_anybody_to_ask() {
    let f = Folder::new(&[("gated.r5flow", GATED)]);
    let run = ["run", "gated.r5flow", "--sim", "--input", "project=demo"];
    let _ = f.run(&run).ends(6).err_has("--yes");
    assert_eq!(listed(&f), Vec::<serde_json::Value>::new());
    let until = [&run[..], &["-y", "--until", "nowhere"]].concat();
    let _ = f
        .run(&until)
        .ends(64)
        .err_has("`gated` has no checkpoint `nowhere` to stop at; it has none");
    assert_eq!(listed(&f), Vec::<serde_json::Value>::new());
}

#[test]
fn a_run_goes_on_in_its_own_world_only() {
    let f = Folder::new(&[("slow.r5flow", SLOW)]);
    let child = slow(&f);
    signal(&child, "-INT");
    assert_eq!(end(child).0, 8);
    let _ = f
        .run(&["resume", "-y", "--sim"])
        .ends(7)
        .err_has("compute=http://127.0.0.1:9")
        .err_has("simulator");
    let _ = f
        .run(&["resume", "-y", "--endpoint", "compute=http://127.0.0.1:10"])
        .ends(7);
    let _ = f
        .run(&["resume", "-y", "--env", "live"])
        .ends(7)
        .err_has("`default`")
        .err_has("`live`");
    let _ = f.run(&["resume", "-y", "--env", "default"]).ends(0);
}

#[test]
fn every_command_s_json_begins_with_its_format() {
    let f = Folder::new(&[("gated.r5flow", GATED)]);
    let sim = ["--sim", "--input", "project=demo"];
    let whole = [&["run", "gated.r5flow", "-y"][..], &sim].concat();
    let commands: [(&str, Vec<&str>); 6] = [
        ("check", vec!["check", "gated.r5flow"]),
        ("plan", [&["plan", "gated.r5flow"][..], &sim].concat()),
        ("run", whole),
        ("resume", vec!["resume", "-y"]),
        ("runs", vec!["runs"]),
        ("error", vec!["resume", "0000"]),
    ];
    for (kind, words) in commands {
        let code = if kind == "error" { 64 } else { 0 };
        let lines = f
            .run(&[&words[..], &["--json"]].concat())
            .ends(code)
            .lines();
        assert!(!lines.is_empty(), "{kind}");
        assert_eq!(lines[0]["format"], json!(1), "{kind}: {}", lines[0]);
    }
}
