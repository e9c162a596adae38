//! A secret goes wherever a flow takes it, and is nowhere to be read.

use std::path::Path;

use crate::harness::{Folder, Words};

const CANARY: &str = "Canary-71c3-Tangerine";
/// What a hook makes of it is a secret as well.
const LOUD: &str = "CANARY-71C3-TANGERINE";

const FLOW: &str = "workflow s {
  input project: string
  secret input password: string
  at { project }
  let script = fill(\"#!/bin/sh\\necho @PASS@\\n\", { PASS: password })

  step loud = hook shout(password)
  step template = ensure compute.instanceTemplates(\"t\") {
    properties: {
      machineType: \"e2-small\"
      disks: [{ boot: true, initializeParams: { sourceImage: \"projects/debian-cloud/global/images/family/debian-12\" } }]
      networkInterfaces: [{ network: \"global/networks/default\" }]
      metadata: { items: [{ key: \"startup-script\", value: script }, { key: \"loud\", value: \"L ${loud}\" }] }
    }
  }
  step back = read compute.instanceTemplates(\"t\")
    after template

  checkpoint half

  step address = ensure compute.globalAddresses(\"one\") { description: \"p ${password} ${loud}\" }
  secret output given = password
  secret output shouted = \"${loud}!\"
  secret output whole = back.properties.metadata
  output name = address.name
}

hook shout(text: string) -> string = \"\"\"rhai
  text.to_upper()
  \"\"\"
";

/// The hook throws what it was given.
const THROWS: &str = "workflow t {
  secret input password: string
  step loud = hook complain(password)
  secret output said = loud
}

hook complain(text: string) -> string = \"\"\"rhai
  throw \"cannot use \" + text + \" nor \" + text.to_upper()
  \"\"\"
";

/// The API refuses the name and repeats what it was sent.
const REFUSED: &str = "workflow r {
  input project: string
  secret input password: string
  at { project }
  step address = ensure compute.globalAddresses(\"one\") { address: password }
}
";

const SIM: [&str; 4] = ["--sim", "-y", "--input", "project=demo"];

#[track_caller]
fn unseen(said: Words) -> Words {
    said.never_has(CANARY).never_has(LOUD)
}

/// Nothing in the state directory holds the secret, but for the simulated cloud, which really has it.
#[track_caller]
fn unkept(f: &Folder) {
    let mut files = Vec::new();
    collect(&f.path(".r5flow"), &mut files);
    assert!(!files.is_empty());
    for (path, bytes) in files {
        for word in [CANARY, LOUD] {
            let found = bytes.windows(word.len()).any(|w| w == word.as_bytes());
            assert!(!found, "{word} in {}", path.display());
        }
    }
}

pub fn collect(folder: &Path, files: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true if entry.file_name() == "sim" => {}
            true => collect(&path, files),
            false => files.push((path.clone(), std::fs::read(&path).expect("a file"))),
        }
    }
}

fn ids(f: &Folder) -> Vec<String> {
    let said = f.run(&["runs", "--json"]).ends(0);
    let lines = said.lines();
    let ids = lines.iter().filter_map(|l| l["id"].as_str());
    ids.map(str::to_owned).collect()
}

#[test]
fn a_secret_is_in_no_output_and_no_file() {
    let secret = format!("password = \"{CANARY}\"\n");
    let f = Folder::new(&[("s.r5flow", FLOW), ("secret.toml", &secret)]);
    let env = [("R5FLOW_INPUT_PASSWORD", CANARY)];
    let file = ["--inputs", "secret.toml"];
    for more in [&[][..], &["--json"]] {
        let plan = [
            &["plan", "s.r5flow", "--sim", "--input", "project=demo"][..],
            &file,
            more,
        ]
        .concat();
        let _ = unseen(f.run(&plan).ends(0)).out_has("•••");
    }
    let run = [&["run", "s.r5flow"][..], &SIM].concat();
    let until = ["--until", "half"];
    let _ = unseen(f.run(&[&run[..], &file, &until].concat()).ends(6));
    unkept(&f);
    let _ = unseen(f.run_with(&["resume", "-y"], &env, "").ends(0))
        .out_has("given = \"•••\"")
        .out_has("name = \"one\"");
    let json = unseen(
        f.run_with(&[&run[..], &["--json"]].concat(), &env, "")
            .ends(0),
    );
    let last = json.lines().pop().expect("a line");
    assert_eq!(last["outputs"]["given"], "•••");
    assert_eq!(last["outputs"]["shouted"], "•••");
    assert_eq!(last["outputs"]["name"], "one");
    let _ = unseen(f.run_with(&["resume"], &env, "").ends(0)).err_has("nothing was left to do");
    for id in ids(&f) {
        let _ = unseen(f.run(&["runs", &id]).ends(0)).out_has("given = •••");
        let _ = unseen(f.run(&["runs", &id, "--json"]).ends(0));
    }
    unkept(&f);
}

#[test]
fn a_killed_run_leaves_no_secret_behind() {
    let f = Folder::new(&[("s.r5flow", FLOW)]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!(
        "compute=http://{}",
        silent.local_addr().expect("an address")
    );
    let words = [
        "run",
        "s.r5flow",
        "-y",
        "--input",
        "project=demo",
        "--endpoint",
        &endpoint,
    ];
    let mut child = f
        .command(&words)
        .env("R5FLOW_INPUT_PASSWORD", CANARY)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("a process");
    let _first = silent.accept().expect("a request");
    child.kill().expect("killed");
    let _ = child.wait();
    unkept(&f);
}

#[test]
fn errors_do_not_repeat_a_secret() {
    let f = Folder::new(&[("t.r5flow", THROWS), ("r.r5flow", REFUSED)]);
    let env = [("R5FLOW_INPUT_PASSWORD", CANARY)];
    for more in [&[][..], &["--json"]] {
        let run = [&["run", "t.r5flow", "--sim", "-y"][..], more].concat();
        let _ = unseen(f.run_with(&run, &env, "").ends_among(&[1, 3]));
        let run = [&["run", "r.r5flow"][..], &SIM, more].concat();
        let _ = unseen(f.run_with(&run, &env, "").ends_among(&[0, 1]));
    }
    for id in ids(&f) {
        let _ = unseen(f.run(&["runs", &id]).ends(0));
        let _ = unseen(f.run(&["runs", &id, "--json"]).ends(0));
    }
    unkept(&f);
}

#[test]
fn an_api_that_repeats_a_secret_is_masked() {
    use std::io::{Read, Write};
    let f = Folder::new(&[("r.r5flow", REFUSED)]);
    let echo = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("compute=http://{}", echo.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in echo.incoming().flatten() {
            let mut seen = vec![0u8; 65536];
            let n = stream.read(&mut seen).unwrap_or(0);
            let body = match seen[..n].starts_with(b"GET ") {
                true => r#"{"error":{"code":404,"message":"no","errors":[{"reason":"notFound"}]}}"#
                    .to_owned(),
                false => format!(
                    r#"{{"error":{{"code":400,"message":"invalid value '{CANARY}'","errors":[{{"reason":"invalid","message":"{CANARY}"}}]}}}}"#
                ),
            };
            let status = if body.contains("404") { 404 } else { 400 };
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let env = [("R5FLOW_INPUT_PASSWORD", CANARY)];
    let words = [
        "run",
        "r.r5flow",
        "-y",
        "--input",
        "project=demo",
        "--endpoint",
        &endpoint,
    ];
    let _ = unseen(f.run_with(&words, &env, "").ends(1)).err_has("invalid value '•••'");
    let json = [&words[..], &["--json"]].concat();
    let _ = unseen(f.run_with(&json, &env, "").ends(1));
    for id in ids(&f) {
        let _ = unseen(f.run(&["runs", &id]).ends(0));
        let _ = unseen(f.run(&["runs", &id, "--json"]).ends(0));
    }
    unkept(&f);
}

#[test]
fn a_secret_is_asked_for_again_and_must_be_the_same() {
    let f = Folder::new(&[("s.r5flow", FLOW)]);
    let env = [("R5FLOW_INPUT_PASSWORD", CANARY)];
    let run = [&["run", "s.r5flow"][..], &SIM, &["--until", "half"]].concat();
    let _ = f
        .run(&[&run[..], &["--input", &format!("password={CANARY}")]].concat())
        .ends(64)
        .err_has("`password` is a secret")
        .err_has("R5FLOW_INPUT_PASSWORD")
        .never_has(CANARY);
    let _ = f.run_with(&run, &env, "").ends(6);
    let _ = f
        .run(&["resume", "-y"])
        .ends(64)
        .err_has("`password` (`R5FLOW_INPUT_PASSWORD`)");
    let other = [("R5FLOW_INPUT_PASSWORD", "Another-Word-9")];
    let _ = f
        .run_with(&["resume", "-y"], &other, "")
        .ends(7)
        .err_has("password")
        .never_has("Another-Word-9");
    let _ = f
        .run(&["resume", "-y", "--input", &format!("password={CANARY}")])
        .ends(64)
        .never_has(CANARY);
    let _ = f.run_with(&["resume", "-y"], &env, "").ends(0);
    unkept(&f);
}
