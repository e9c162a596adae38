//! The real binary, really killed, against the simulator on a port: whatever is resumed ends well,
//! and every change took effect once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value as Json;

use crate::harness::Folder;
use r5flow::spec::dice::Dice;

const FLOW: &str = r#"
workflow main {
  at { project: "demo", region: "us-central1" }
  for n in [1, 2, 3] {
    step address = ensure compute.addresses("a-${n}") { description: "first" }
    step check = ensure compute.healthChecks("hc-${n}") { type: "TCP", tcpHealthCheck: { port: 80 } }
      after address
    step changed = call compute.healthChecks.patch("hc-${n}") { description: address.name }
      after check
  }
  checkpoint half
  step gone = call compute.healthChecks.delete("hc-1")
  step database = ensure sqladmin.instances("red5") { settings: { dataDiskSizeGb: 30 } }
  output left = changed[2].description
}
"#;

/// Operations are short, so that a kill hits every part of a run.
const SCENARIO: &str = r#"
[durations]
"compute.addresses.insert" = 2
"compute.healthChecks.insert" = 2
"compute.healthChecks.patch" = 2
"compute.healthChecks.delete" = 2
"sqladmin.instances.patch" = 3
"#;

struct Cloud {
    process: Child,
    address: String,
}

impl Cloud {
    fn new(folder: &Folder) -> Cloud {
        folder.write("scenario.toml", SCENARIO);
        let words = [
            "sim",
            "--listen",
            "127.0.0.1:0",
            "--scenario",
            "scenario.toml",
            "--speed",
            "5",
        ];
        let mut command = folder.command(&words);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().expect("the simulator");
        let out = process.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("its word");
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split(';').next())
            .unwrap_or_else(|| panic!("no address in {line:?}"))
            .to_owned();
        Cloud { process, address }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often each change took effect.
    fn effective(&self) -> BTreeMap<String, usize> {
        let mut stream = TcpStream::connect(&self.address).expect("the simulator");
        let line = format!(
            "GET /_r5flow/log HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(line.as_bytes()).expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let text = String::from_utf8_lossy(&answer);
        let (from, to) = (text.find('{'), text.rfind('}'));
        let json: Json = match (from, to) {
            (Some(from), Some(to)) => serde_json::from_str(&text[from..=to]).expect("JSON"),
            _ => panic!("no log: {text}"),
        };
        let mut count = BTreeMap::new();
        for change in json["mutations"].as_array().into_iter().flatten() {
            if change["effective"] == true {
                let text = |name: &str| change[name].as_str().unwrap_or("").to_owned();
                let key = format!("{} {}", text("method"), text("target"));
                *count.entry(key).or_insert(0) += 1;
            }
        }
        count
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn words(endpoint: &str, resume: bool) -> Vec<&str> {
    let what: &[&str] = match resume {
        true => &["resume"],
        false => &["run", "flow.r5flow"],
    };
    [what, &["--endpoint", endpoint, "--yes"]].concat()
}

fn start(folder: &Folder, words: &[&str], env: &[(&str, &str)]) -> Child {
    let mut command = folder.command(words);
    command.envs(env.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the binary")
}

/// Resumes to the end; every change has taken effect once.
fn ends_as_undisturbed(folder: &Folder, cloud: &Cloud, what: &str) {
    let endpoint = cloud.endpoint();
    let said = folder.run(&words(&endpoint, true));
    said.ends(0);
    let found = cloud.effective();
    let (compute, checks) = ("compute/v1/projects/demo", "global/healthChecks");
    let mut wanted = BTreeMap::from([
        (
            format!("compute.addresses.insert {compute}/regions/us-central1/addresses"),
            3,
        ),
        (format!("compute.healthChecks.insert {compute}/{checks}"), 3),
        (
            format!("compute.healthChecks.delete {compute}/{checks}/hc-1"),
            1,
        ),
        (
            "sqladmin.instances.patch v1/projects/demo/instances/red5".to_owned(),
            1,
        ),
    ]);
    for n in 1..=3 {
        wanted.insert(
            format!("compute.healthChecks.patch {compute}/{checks}/hc-{n}"),
            1,
        );
    }
    assert_eq!(found, wanted, "{what}");
}

#[test]
fn killed_five_times_and_resumed() {
    let folder = Folder::new(&[("flow.r5flow", FLOW)]);
    let cloud = Cloud::new(&folder);
    let endpoint = cloud.endpoint();
    let mut dice = Dice::new(42);
    for life in 0..5 {
        // The first process lives until its journal is there.
        let mut child = start(&folder, &words(&endpoint, life > 0), &[]);
        let least = if life == 0 { 600 } else { 150 };
        std::thread::sleep(Duration::from_millis(least + dice.below(500) as u64));
        child.kill().expect("kill -9");
        child.wait().expect("its end");
        let begun = folder.path(".r5flow/runs").exists();
        assert!(begun || life == 0, "no run to resume");
        if !begun {
            return killed_five_times_and_resumed();
        }
    }
    ends_as_undisturbed(&folder, &cloud, "five kills");
}

#[test]
fn dies_at_every_fail_point() {
    let methods = [
        "compute.addresses.insert",
        "compute.healthChecks.patch",
        "compute.healthChecks.delete",
        "sqladmin.instances.patch",
    ];
    for point in ["intent-durable", "answer-unread", "answer-unrecorded"] {
        for method in methods {
            let folder = Folder::new(&[("flow.r5flow", FLOW)]);
            let cloud = Cloud::new(&folder);
            let endpoint = cloud.endpoint();
            let place = format!("{point}:{method}");
            let mut child = start(
                &folder,
                &words(&endpoint, false),
                &[("R5FLOW_FAILPOINT", &place)],
            );
            let status = child.wait().expect("its end");
            assert!(status.code().is_none(), "{place} was not reached: {status}");
            ends_as_undisturbed(&folder, &cloud, &place);
        }
    }
}
