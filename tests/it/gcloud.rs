//! The simulator, judged by gcloud: command lines of `tests/gcloud/*.txt`, and what they must print.
//!
//! A file shares one simulator. Its lines:
//!
//! ```text
//! # about the commands that follow
//! $ compute addresses create ip --global      a command line of gcloud, which succeeds
//! > ip  RESERVED                              all that it prints on standard output, line by line
//! ~ Created                                   somewhere in what it prints
//! ! was not found                             it fails, and says this
//! GET compute/v1/projects/demo/…              what another client reads
//! /status = "RESERVED"                        a place in the answer, and its value; `none` for nothing
//! POST _r5flow/advance?duration=5m            and what the simulator itself is told
//! FILE name text                              a file in the folder of the commands
//! ```
//!
//! `R5FLOW_UPDATE=1` writes what is printed and read.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

use crate::harness::Folder;

/// Services whose addresses gcloud is told, and the path below the simulator's root.
const SERVICES: &[(&str, &str)] = &[
    ("COMPUTE", "compute/v1/"),
    ("SQL", ""),
    ("DNS", ""),
    ("IAM", ""),
    ("SECRETMANAGER", ""),
    ("SERVICEUSAGE", ""),
    ("CLOUDRESOURCEMANAGER", ""),
    ("STORAGE", "storage/v1/"),
];

/// How much faster than the machine's the simulator's time runs.
const SPEED: &str = "300";

/// One command with what is expected of it.
#[derive(Default)]
struct Step {
    line: String,
    expects: Vec<String>,
    /// What stood before it: comments and empty lines.
    before: String,
}

pub struct Bench {
    pub folder: Folder,
    sim: Child,
    port: u16,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.sim.kill();
        let _ = self.sim.wait();
    }
}

impl Bench {
    /// A simulator; the models of the methods in `blunt` are switched off.
    pub fn new(blunt: &str) -> Bench {
        let folder = Folder::new(&[]);
        let mut sim = folder
            .command(&["sim", "--listen", "127.0.0.1:0", "--speed", SPEED])
            .env("R5FLOW_SIM_BLUNT", blunt)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a simulator");
        let mut said = String::new();
        let out = sim.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut said).expect("a line");
        let port = said
            .split_once("http://127.0.0.1:")
            .and_then(|(_, rest)| rest.split(';').next()?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no port in {said:?}"));
        Bench { folder, sim, port }
    }

    /// Whether it succeeded, what it printed, and what it complained about.
    pub fn gcloud(&self, line: &str) -> (bool, String, String) {
        let root = format!("http://127.0.0.1:{}/", self.port);
        let mut command = Command::new("gcloud");
        command
            .args(words(line))
            .current_dir(self.folder.path(""))
            .stdin(Stdio::null())
            .env("CLOUDSDK_CONFIG", self.folder.path("gcloud"))
            .env("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
            .env("CLOUDSDK_CORE_PROJECT", "demo")
            .env("CLOUDSDK_CORE_DISABLE_PROMPTS", "1")
            .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true")
            .env("CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK", "true");
        for (service, path) in SERVICES {
            let name = format!("CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}");
            command.env(name, format!("{root}{path}"));
        }
        let said = command.output().expect("gcloud");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (said.status.success(), text(said.stdout), text(said.stderr))
    }

    /// A plain request by a client that is not Google's: status and body.
    fn ask(&self, line: &str) -> (u16, Json) {
        let (verb, path) = line.split_once(' ').unwrap_or(("GET", line));
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let request = format!(
            "{verb} /{path} HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        let body = serde_json::from_str(body).unwrap_or(Json::Null);
        (status.expect("a status"), body)
    }

    /// What of the step is not as expected, and the expectations as they would hold.
    fn check(&self, step: &Step) -> (Vec<String>, Vec<String>) {
        match step.line.split_once(' ') {
            Some(("$", line)) => self.check_command(line, &step.expects),
            Some(("FILE", rest)) => {
                let (name, text) = rest.split_once(' ').expect("FILE name text");
                self.folder.write(name, &text.replace("\\n", "\n"));
                (Vec::new(), step.expects.clone())
            }
            _ => self.check_read(&step.line, &step.expects),
        }
    }

    fn check_command(&self, line: &str, expects: &[String]) -> (Vec<String>, Vec<String>) {
        let (success, out, err) = self.gcloud(line);
        let mut wrong = Vec::new();
        let refusal = expects.iter().any(|e| e.starts_with('!'));
        if success == refusal {
            let how = if success { "succeeds" } else { "fails" };
            wrong.push(format!("it {how}: {out}{err}"));
        }
        if err.contains("Traceback") || err.contains("crashed") {
            wrong.push(format!("gcloud crashed: {err}"));
        }
        let printed: Vec<String> = out
            .lines()
            .map(|l| format!("> {l}").trim().into())
            .collect();
        let wanted: Vec<&String> = expects.iter().filter(|e| e.starts_with('>')).collect();
        if !wanted.is_empty()
            && !wanted
                .iter()
                .map(|w| w.trim())
                .eq(printed.iter().map(|p| p.as_str()))
        {
            wrong.push(format!("it prints\n{}", printed.join("\n")));
        }
        let all = format!("{out}{err}");
        let mut now = Vec::new();
        for expect in expects.iter().filter(|e| !e.starts_with('>')) {
            let text = expect[1..].trim();
            now.push(match expect.starts_with('!') {
                true => format!("! {}", refusal_of(&err)),
                false => expect.clone(),
            });
            if !all.contains(text) {
                wrong.push(format!("it does not say {text:?}: {all}"));
            }
        }
        if !wanted.is_empty() {
            now.splice(0..0, printed);
        }
        (wrong, now)
    }

    fn check_read(&self, line: &str, expects: &[String]) -> (Vec<String>, Vec<String>) {
        let (status, body) = self.ask(line);
        let mut wrong = Vec::new();
        let mut now = Vec::new();
        for expect in expects {
            let (place, value) = expect.split_once(" = ").unwrap_or((expect, ""));
            let have = match place {
                "status" => status.to_string(),
                place => body.pointer(place).map_or("none".into(), Json::to_string),
            };
            if have != value {
                wrong.push(format!("{place} is {have}, not {value} (status {status})"));
            }
            now.push(format!("{place} = {have}"));
        }
        if expects.is_empty() && status != 200 {
            wrong.push(format!("status {status}: {body}"));
        }
        (wrong, now)
    }
}

/// The line of gcloud's message that says why.
fn refusal_of(err: &str) -> String {
    let lines: Vec<&str> = err
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let item = lines.iter().find_map(|l| l.strip_prefix("- "));
    let error = lines.iter().find(|l| l.starts_with("ERROR:"));
    item.or(error.copied()).unwrap_or("").to_string()
}

/// Splits a command line at blanks outside single and double quotes.
fn words(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quote = None;
    for c in line.trim().chars() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (' ', None) => out.push(String::new()),
            (c, _) => out.last_mut().expect("never empty").push(c),
        }
    }
    out.retain(|w| !w.is_empty());
    out
}

fn path_of(group: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/gcloud/{group}.txt"))
}

fn read(group: &str) -> Vec<Step> {
    let text = std::fs::read_to_string(path_of(group)).expect("the group's file");
    let mut steps: Vec<Step> = Vec::new();
    let mut before = String::new();
    for line in text.lines() {
        let begins = ["$ ", "GET ", "POST ", "FILE "];
        if begins.iter().any(|b| line.starts_with(b)) {
            steps.push(Step {
                line: line.into(),
                before: std::mem::take(&mut before),
                ..Step::default()
            });
        } else if line.is_empty() || line.starts_with('#') {
            let _ = writeln!(before, "{line}");
        } else {
            let step = steps.last_mut().expect("a step before what is expected");
            step.expects.push(line.into());
        }
    }
    for step in &steps {
        let asserts = !step.line.starts_with("$ ") || !step.expects.is_empty();
        assert!(asserts, "{group}: nothing is expected of: {}", step.line);
    }
    steps
}

/// Runs a group until something is wrong; `Err` says what.
fn run(group: &str, blunt: &str) -> Result<(), String> {
    let bench = Bench::new(blunt);
    let update = std::env::var_os("R5FLOW_UPDATE").is_some() && blunt.is_empty();
    let mut written = String::new();
    for step in read(group) {
        let (wrong, now) = bench.check(&step);
        if !update && !wrong.is_empty() {
            return Err(format!("{group}: {}\n{}", step.line, wrong.join("\n")));
        }
        let _ = writeln!(written, "{}{}", step.before, step.line);
        for line in now {
            let _ = writeln!(written, "{line}");
        }
    }
    if update {
        std::fs::write(path_of(group), written).expect("written");
    }
    let quiet = bench.ask("GET _r5flow/state");
    match quiet.0 {
        200 => Ok(()),
        status => Err(format!(
            "{group}: the simulator answers {status} in the end"
        )),
    }
}

/// Whether gcloud is here. Where it must be, its absence is a failure; else it is said aloud.
pub fn is_here(group: &str) -> bool {
    let here = Command::new("gcloud")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !here {
        let wanted = std::env::var("R5FLOW_EXPECT_GCLOUD").is_ok_and(|v| v == "1");
        assert!(!wanted, "R5FLOW_EXPECT_GCLOUD=1, and there is no gcloud");
        // Not by a macro: the test's own output is not shown when it passes.
        let line = format!("\nSKIPPED: no gcloud, so it did not judge `{group}`\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    here
}

fn judge(group: &str) {
    if is_here(group)
        && let Err(wrong) = run(group, "")
    {
        panic!("{wrong}");
    }
}

macro_rules! groups {
    ($($name:ident)*) => {
        const GROUPS: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { judge(stringify!($name)); })*
    };
}

groups! { machines disks images templates network balancing groups sql dns accounts wire unmanaged fleets edges bulk standby state storage databases variety }

#[test]
fn every_file_is_judged() {
    let folder = path_of("x").parent().expect("a folder").to_path_buf();
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|e| e.expect("an entry").path())
        .filter_map(|p| Some(p.file_stem()?.to_str()?.to_string()))
        .collect();
    found.sort();
    let mut judged: Vec<&str> = GROUPS.to_vec();
    judged.sort_unstable();
    assert_eq!(found, judged);
    let steps: Vec<Step> = found.iter().flat_map(|g| read(g)).collect();
    let commands: Vec<&Step> = steps.iter().filter(|s| s.line.starts_with('$')).collect();
    let refused = |s: &&&Step| s.expects.iter().any(|e| e.starts_with('!'));
    let refusals = commands.iter().filter(refused).count();
    assert!(commands.len() >= 120, "{} commands", commands.len());
    assert!(refusals * 10 >= commands.len(), "{refusals} refusals");
}

/// A simulator that only stores what it is sent and answers DONE does not pass.
#[test]
fn a_model_that_is_switched_off_is_noticed() {
    for (group, method) in [
        ("machines", "compute.instances.setDiskAutoDelete"),
        ("disks", "compute.disks.createSnapshot"),
        ("images", "compute.images.insert"),
        ("sql", "sqladmin.instances.patch"),
        ("accounts", "secretmanager.projects.secrets.addVersion"),
        ("network", "compute.globalAddresses.insert"),
        ("unmanaged", "compute.instanceGroups.addInstances"),
        ("bulk", "compute.instances.bulkInsert"),
        ("standby", "compute.instanceGroupManagers.suspendInstances"),
        ("storage", "storage.objects.compose"),
    ] {
        if is_here(group) {
            let noticed = run(group, method);
            assert!(noticed.is_err(), "{group} passes without {method}");
        }
    }
}
