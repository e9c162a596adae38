//! A runner is stopped, another process takes its run over, and the first one wakes up again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::harness::Folder;
use crate::port::Cloud;

/// Sixteen calls at once: twelve with a request id, four without.
const FLOW: &str = r#"
workflow main {
  at { project: "demo", region: "us-central1" }
  for n in range(0, 4) {
    step database = ensure sqladmin.instances("db-${n}") { settings: { tier: "db-f1-micro" } }
  }
  checkpoint ready
  for n in range(0, 12) {
    step address = ensure compute.addresses("a-${n}") { description: "first" }
  }
  for n in range(0, 4) {
    step again = call sqladmin.instances.restart("db-${n}")
  }
}
"#;

const SCENARIO: &str = r#"
[durations]
"compute.addresses.insert" = 2
"sqladmin.instances.insert" = 2
"sqladmin.instances.delete" = 2
"sqladmin.instances.restart" = 2
"#;

const RUN: [&str; 2] = ["run", "flow.r5flow"];

/// No test waits longer for anything.
const AT_MOST: Duration = Duration::from_secs(60);

/// What becomes of the changes that arrive at the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// They wait between the two ends.
    Held,
    /// Every other one of those that wait goes on; the rest is late.
    Half,
    /// Everything goes on.
    Open,
}

struct Traffic {
    fate: Fate,
    /// Connections that were made so far, each for one request.
    made: usize,
    /// Those of which no whole request was read yet, by their other end.
    silent: BTreeMap<SocketAddr, TcpStream>,
    /// First lines of all requests, in the order in which they came, and who sent each.
    seen: Vec<(SocketAddr, String)>,
    /// First lines of changes that were held.
    held: Vec<String>,
}

/// What the wire has seen at a moment.
struct Standing {
    /// Requests.
    seen: usize,
    /// Connections.
    made: usize,
    /// Connections without a request, by their other end.
    silent: BTreeSet<SocketAddr>,
}

/// Stands between the runners and the cloud, sees every request, and can hold changes back: what it
/// holds was handed to the socket by its sender.
#[derive(Clone)]
struct Wire {
    traffic: Arc<(Mutex<Traffic>, Condvar)>,
    port: u16,
}

impl Wire {
    fn new(cloud: &Cloud, fate: Fate) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let traffic = Traffic {
            fate,
            made: 0,
            silent: BTreeMap::new(),
            seen: Vec::new(),
            held: Vec::new(),
        };
        let wire = Wire {
            traffic: Arc::new((Mutex::new(traffic), Condvar::new())),
            port: listener.local_addr().expect("an address").port(),
        };
        let (own, to) = (wire.clone(), cloud.address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                own.made(&stream);
                let (own, to) = (own.clone(), to.clone());
                // A side that hangs up ends its connection, and nothing else.
                std::thread::spawn(move || own.carry(stream, &to));
            }
        });
        wire
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn made(&self, stream: &TcpStream) {
        let (traffic, changed) = &*self.traffic;
        let mut now = traffic.lock().expect("the traffic");
        now.made += 1;
        let handle = stream.try_clone().expect("another handle");
        now.silent.insert(peer(stream), handle);
        changed.notify_all();
    }

    /// One request and its answer; each has a connection of its own.
    fn carry(&self, mut from: TcpStream, to: &str) -> std::io::Result<()> {
        let request = read_request(&mut from)?;
        let line = String::from_utf8_lossy(&request);
        self.pass(peer(&from), line.lines().next().unwrap_or_default());
        let mut cloud = TcpStream::connect(to)?;
        cloud.write_all(&closing(&request))?;
        let mut answer = Vec::new();
        cloud.read_to_end(&mut answer)?;
        from.write_all(&answer)
    }

    /// Returns when the request may go on.
    fn pass(&self, from: SocketAddr, line: &str) {
        let (traffic, changed) = &*self.traffic;
        let mut now = traffic.lock().expect("the traffic");
        now.silent.remove(&from);
        now.seen.push((from, line.to_owned()));
        let change = !line.starts_with("GET ") && !line.contains("/instances HTTP");
        if now.fate == Fate::Held && change && !line.contains("/wait") {
            now.held.push(line.to_owned());
            let early = now.held.len() % 2 == 1;
            changed.notify_all();
            while now.fate == Fate::Held || (now.fate == Fate::Half && !early) {
                now = changed.wait(now).expect("the traffic");
            }
        } else {
            changed.notify_all();
        }
    }

    /// How things stand once all that was handed to a socket was read. Connections are made in the order in
    /// which they were asked for: when a last one of our own is known, all of them are.
    fn settled(&self) -> Standing {
        let last = TcpStream::connect(("127.0.0.1", self.port)).expect("the wire");
        let last = last.local_addr().expect("an address");
        let (traffic, changed) = &*self.traffic;
        let now = traffic.lock().expect("the traffic");
        let unread = |now: &mut Traffic| {
            !now.silent.contains_key(&last) || now.silent.values().any(has_bytes)
        };
        let mut now = changed.wait_while(now, unread).expect("the traffic");
        now.silent.remove(&last);
        Standing {
            seen: now.seen.len(),
            made: now.made,
            silent: now.silent.keys().copied().collect(),
        }
    }

    fn set(&self, fate: Fate) {
        let (traffic, changed) = &*self.traffic;
        traffic.lock().expect("the traffic").fate = fate;
        changed.notify_all();
    }

    fn look<T>(&self, get: impl FnOnce(&Traffic) -> T) -> T {
        get(&self.traffic.0.lock().expect("the traffic"))
    }

    fn wait_for_held(&self, count: usize) {
        let (traffic, changed) = &*self.traffic;
        let now = traffic.lock().expect("the traffic");
        let (now, late) = changed
            .wait_timeout_while(now, AT_MOST, |now| now.held.len() < count)
            .expect("the traffic");
        assert!(!late.timed_out(), "only {} are in flight", now.held.len());
    }
}

fn peer(stream: &TcpStream) -> SocketAddr {
    stream.peer_addr().expect("another end")
}

fn has_bytes(stream: &TcpStream) -> bool {
    rustix::io::ioctl_fionread(stream).expect("a count") > 0
}

fn read_request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut part = [0u8; 4096];
    loop {
        let n = stream.read(&mut part)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&bytes);
        let Some(end) = text.find("\r\n\r\n") else {
            continue;
        };
        let length = text[..end]
            .lines()
            .find_map(|l| {
                l.to_lowercase()
                    .strip_prefix("content-length:")?
                    .trim()
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            return Ok(bytes);
        }
    }
}

/// The request as the last one of its connection.
fn closing(request: &[u8]) -> Vec<u8> {
    let end = request
        .iter()
        .position(|b| *b == b'\n')
        .map_or(0, |n| n + 1);
    let (first, rest) = request.split_at(end);
    [first, b"connection: close\r\n", rest].concat()
}

fn start(folder: &Folder, wire: &Wire, words: &[&str], stop_at: Option<&str>) -> Child {
    let endpoint = wire.endpoint();
    let words = [words, &["--endpoint", &endpoint, "--yes"]].concat();
    let mut command = folder.command(&words);
    command.envs(stop_at.map(|at| ("R5FLOW_STOPPOINT", at)));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("the binary")
}

/// A process that is stopped while so many of its changes are between the two ends.
fn stopped_in_flight(folder: &Folder, wire: &Wire, words: &[&str], count: usize) -> Child {
    let child = start(folder, wire, words, None);
    wire.wait_for_held(count);
    signal(&child, "-STOP");
    wait_until_stopped(&child);
    child
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status();
    assert!(sent.expect("kill").success());
}

/// Waits until the kernel has stopped all of the process.
fn wait_until_stopped(child: &Child) {
    let begun = Instant::now();
    let stat = format!("/proc/{}/stat", child.id());
    loop {
        let text = std::fs::read_to_string(&stat).expect("a living process");
        let state = text
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        match state {
            Some('T') => return,
            Some('Z') | None => panic!("it ended instead of stopping"),
            Some(_) => {}
        }
        assert!(begun.elapsed() < AT_MOST, "it never stopped");
        std::thread::yield_now();
    }
}

/// The first holder goes on, and ends with the code for it. It looks whose run it is before it makes a
/// connection and before it hands a request to one: what follows on a connection that stood before it was
/// stopped is what was between that look and the socket, and is told. One thread does all that, so that at
/// most one task was between its look and the call that connects; before a request goes out on that
/// connection it looks again.
fn wakes_in_vain(mut first: Child, wire: &Wire) -> Vec<String> {
    let before = wire.settled();
    signal(&first, "-CONT");
    let mut told = String::new();
    let mut pipe = first.stderr.take().expect("a pipe");
    pipe.read_to_string(&mut told).expect("text");
    let code = first.wait().expect("an end").code();
    let after = wire.settled();
    // Our own last one, and the one that was about to be made.
    let made = after.made - before.made;
    assert!(made <= 2, "{made} connections after the take-over");
    let late = wire.look(|now| now.seen[before.seen..].to_vec());
    assert!(
        late.iter().all(|(from, _)| before.silent.contains(from)),
        "sent on a connection that was made after the take-over: {late:#?}"
    );
    assert!(
        late.len() <= before.silent.len(),
        "sent after the take-over: {late:#?}"
    );
    assert_eq!(code, Some(5), "{told}");
    assert!(
        told.contains("another process took this run over (epoch 2)"),
        "{told}"
    );
    late.into_iter().map(|(_, line)| line).collect()
}

fn takes_over(folder: &Folder, wire: &Wire) {
    let endpoint = wire.endpoint();
    let words = ["resume", "--endpoint", &endpoint, "--yes", "--take-over"];
    let _ = folder.run(&words).ends(0).err_has("resumes");
}

#[test]
fn sixteen_calls_in_flight_are_taken_over() {
    let folder = Folder::new(&[("flow.r5flow", FLOW)]);
    let cloud = Cloud::new(&folder, SCENARIO, "5");
    let wire = Wire::new(&cloud, Fate::Held);
    let first = stopped_in_flight(&folder, &wire, &RUN, 16);
    let held = wire.look(|now| now.held.clone());
    let restarts: Vec<usize> = (0..held.len())
        .filter(|n| held[*n].contains("/restart"))
        .collect();
    assert_eq!((held.len(), restarts.len()), (16, 4), "{held:#?}");
    // The lock of a stopped process stays held.
    let plain = ["resume", "--endpoint", &wire.endpoint(), "--yes"].map(str::to_owned);
    let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
    let _ = folder.run(&plain).ends(5).err_has("is held by run");
    wire.set(Fate::Half);
    takes_over(&folder, &wire);
    wire.set(Fate::Open);
    let _ = wakes_in_vain(first, &wire);
    let late = restarts.iter().filter(|n| *n % 2 == 1).count();
    once_with_an_id_and_else_at_most(&cloud, late);
    let _ = folder.run(&["runs"]).ends(0).out_has("done");
}

/// Calls with a request id took effect once; of the others, those that were late may have been
/// repeated.
fn once_with_an_id_and_else_at_most(cloud: &Cloud, late: usize) {
    let effective = cloud.effective();
    let (with_id, without): (BTreeMap<_, _>, BTreeMap<_, _>) = effective
        .into_iter()
        .partition(|(key, _)| key.starts_with("compute."));
    // All of them are inserts into one collection.
    assert_eq!(with_id.into_values().collect::<Vec<_>>(), [12]);
    let restarts: Vec<usize> = without
        .iter()
        .filter(|(key, _)| key.contains("restart"))
        .map(|(_, n)| *n)
        .collect();
    assert_eq!(restarts.len(), 4, "{without:#?}");
    assert!(restarts.iter().all(|n| *n <= 2), "{without:#?}");
    assert!(
        restarts.iter().sum::<usize>() <= 4 + late,
        "{without:#?}, {late} late"
    );
}

/// The id of the only run.
fn id(folder: &Folder) -> String {
    let runs = folder.run(&["runs", "--json"]).ends(0).lines();
    let run = runs.iter().find_map(|line| line["id"].as_str());
    run.expect("a run").to_owned()
}

/// Everything that was created was deleted, each once; what was restarted was so at most once, and is told.
fn nothing_is_left(cloud: &Cloud) {
    let effective = cloud.effective();
    let times = |method: &str| {
        let of = effective.iter().filter(|(key, _)| key.starts_with(method));
        let counts: Vec<usize> = of.map(|(_, n)| *n).collect();
        counts.iter().sum::<usize>()
    };
    for (kind, wanted) in [("compute.addresses", 12), ("sqladmin.instances", 4)] {
        let (made, gone) = (
            times(&format!("{kind}.insert")),
            times(&format!("{kind}.delete")),
        );
        assert_eq!((made, gone), (wanted, wanted), "{effective:#?}");
    }
    assert_eq!(times("sqladmin.instances.restart"), 4, "{effective:#?}");
}

/// A rollback takes the run of a stopped holder over: what was in flight is found and taken back too.
#[test]
fn a_rollback_takes_a_stopped_run_over() {
    let folder = Folder::new(&[("flow.r5flow", FLOW)]);
    let cloud = Cloud::new(&folder, SCENARIO, "5");
    let wire = Wire::new(&cloud, Fate::Held);
    let first = stopped_in_flight(&folder, &wire, &RUN, 16);
    wire.set(Fate::Open);
    let (endpoint, id) = (wire.endpoint(), id(&folder));
    let back = ["rollback", &id, "--endpoint", &endpoint, "--yes"];
    let _ = folder.run(&back).ends(5).err_has("is held by run");
    let taking = [&back[..], &["--take-over"]].concat();
    let _ = folder.run(&taking).ends(0).says("restart");
    let _ = wakes_in_vain(first, &wire);
    nothing_is_left(&cloud);
    let _ = folder.run(&["runs"]).ends(0).out_has("rolled back");
}

/// A rollback that was stopped with its deletions in flight is taken over, and goes on.
#[test]
fn a_stopped_rollback_is_taken_over() {
    let folder = Folder::new(&[("flow.r5flow", FLOW)]);
    let cloud = Cloud::new(&folder, SCENARIO, "5");
    let wire = Wire::new(&cloud, Fate::Open);
    let _ = folder
        .run(&[
            "run",
            "flow.r5flow",
            "--endpoint",
            &wire.endpoint(),
            "--yes",
        ])
        .ends(0);
    wire.set(Fate::Held);
    let id = id(&folder);
    let first = stopped_in_flight(&folder, &wire, &["rollback", &id], 12);
    wire.set(Fate::Open);
    let endpoint = wire.endpoint();
    let taking = ["resume", "--endpoint", &endpoint, "--yes", "--take-over"];
    let _ = folder.run(&taking).ends(0).err_has("16 calls undone");
    let _ = wakes_in_vain(first, &wire);
    nothing_is_left(&cloud);
    let _ = folder.run(&["runs"]).ends(0).out_has("rolled back");
}

/// Inside a commit, and between an acknowledged intent and its request.
#[test]
fn stopped_inside_a_commit_or_before_a_request_leaves() {
    let places = [
        "in-commit:2",
        "in-commit:30",
        "in-commit:45",
        "before-send:0",
    ];
    std::thread::scope(|all| {
        for place in places {
            all.spawn(move || stopped_at(place));
        }
    });
}

fn stopped_at(place: &str) {
    let folder = Folder::new(&[("flow.r5flow", FLOW)]);
    let cloud = Cloud::new(&folder, SCENARIO, "5");
    let wire = Wire::new(&cloud, Fate::Open);
    let first = start(&folder, &wire, &RUN, Some(place));
    wait_until_stopped(&first);
    takes_over(&folder, &wire);
    let late = wakes_in_vain(first, &wire);
    let restarts = late.iter().filter(|line| line.contains("/restart"));
    once_with_an_id_and_else_at_most(&cloud, restarts.count());
}
