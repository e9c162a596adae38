//! The simulator under load: 500 requests a second over loopback, one in ten a change, with 10,000
//! resources present and 1,000 waits hanging.
//!
//! `cargo bench --bench load -- SECONDS` (30). Fails when an answer is wrong, when one in a hundred
//! takes 20 ms or more, or when the simulator's memory grows; `R5FLOW_BENCH_SLACK=2` doubles the
//! limits of time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const RATE: u64 = 500;
const CLIENTS: u64 = 16;
const RESOURCES: usize = 10_000;
const WAITS: usize = 1_000;
/// Every so many requests of a client, one is a change.
const CHANGE_EVERY: u64 = 10;
const P99: Duration = Duration::from_millis(20);
/// What the allocator may keep back. In ten minutes 30,000 changes are made: were each kept, with a
/// kilobyte only, that would be more.
const GROWTH_KIB: u64 = 8 * 1024;

/// No latency of its own, and one operation that lasts longer than the load. What is kept of changes
/// is full after ten seconds, so that from then on nothing has a reason to grow.
const SCENARIO: &str = r#"
log_kept = 400
operations_kept = "5s"

[request_ids]
kept = "5s"

[latency]
read = "0ms"
write = "0ms"

[durations]
"compute.disks.insert" = 100000
"#;

const TOPICS: &str = "v1/projects/demo/topics";
const COMPUTE: &str = "compute/v1/projects/demo";

fn main() -> ExitCode {
    let seconds: u64 = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(30);
    let server = Server::start();
    fill(&server.address);
    let waits = hang(&server.address);
    // The first spans still see the requests arrive.
    let spans = (0..4).map(|_| server.cpu_of(Duration::from_secs(1)));
    let quiet = spans.min().unwrap_or_default();
    println!("{WAITS} waits hang: {quiet:?} of CPU in a second");
    let half = seconds.div_ceil(2);
    let mut took = load(&server.address, "first", half);
    let before = server.resident_kib();
    took.extend(load(&server.address, "then", half));
    let after = server.resident_kib();
    drop(waits);
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "{} requests in {} s: median {:?}, 99 of 100 within {:?}, slowest {:?}",
        took.len(),
        2 * half,
        at(50),
        at(99),
        at(100)
    );
    println!("memory: {before} KiB after the first half, {after} KiB after the second");
    let kept = [
        (
            "99 of 100 requests within the limit",
            at(99) < P99.mul_f64(slack()),
        ),
        ("memory stays", after < before + GROWTH_KIB),
        (
            "hanging waits cost nothing",
            quiet < Duration::from_millis(50),
        ),
    ];
    let broken: Vec<&str> = kept
        .iter()
        .filter(|(_, ok)| !ok)
        .map(|(what, _)| *what)
        .collect();
    for what in &broken {
        println!("BROKEN: {what}");
    }
    ExitCode::from(u8::from(!broken.is_empty()))
}

fn slack() -> f64 {
    let given = std::env::var("R5FLOW_BENCH_SLACK").ok();
    given.and_then(|s| s.parse().ok()).unwrap_or(1.0)
}

struct Server {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().expect("a directory");
        std::fs::write(folder.path().join("s.toml"), SCENARIO).expect("a file");
        let mut process = Command::new(env!("CARGO_BIN_EXE_r5flow"))
            .args(["sim", "--listen", "127.0.0.1:0", "--scenario", "s.toml"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulator");
        let mut line = String::new();
        let out = process.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("its word");
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split(';').next())
            .unwrap_or_else(|| panic!("no address in {line:?}"))
            .to_owned();
        Server {
            process,
            address,
            _folder: folder,
        }
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).unwrap_or_default()
    }

    fn resident_kib(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find(|l| l.starts_with("VmRSS:"));
        let number = line.and_then(|l| l.split_whitespace().nth(1));
        number.and_then(|n| n.parse().ok()).expect("VmRSS")
    }

    /// How much processor time it takes while nothing is asked.
    fn cpu_of(&self, span: Duration) -> Duration {
        let before = self.ticks();
        std::thread::sleep(span);
        // A tick is a hundredth of a second on Linux.
        Duration::from_millis(10 * (self.ticks() - before))
    }

    fn ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        let fields = after_name.split(' ').skip(11).take(2);
        fields.filter_map(|n| n.parse::<u64>().ok()).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One connection that is kept.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn new(address: &str) -> Client {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Client {
            stream: BufReader::new(stream),
        }
    }

    fn send(&mut self, verb: &str, path: &str, body: &str) {
        let text = format!(
            "{verb} /{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream
            .get_mut()
            .write_all(text.as_bytes())
            .expect("sent");
    }

    fn receive(&mut self) -> (u16, Vec<u8>) {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a status");
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok());
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("a header");
            let header = line.trim_end();
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        (status.expect("a status"), body)
    }

    fn ask(&mut self, verb: &str, path: &str, body: &str) -> Vec<u8> {
        self.send(verb, path, body);
        let (status, answer) = self.receive();
        assert!(
            status < 300,
            "{verb} {path}: {status} {}",
            String::from_utf8_lossy(&answer)
        );
        answer
    }
}

fn fill(address: &str) {
    let mut client = Client::new(address);
    for n in 0..RESOURCES {
        client.ask("PUT", &format!("{TOPICS}/topic-{n}"), "{}");
    }
    let wall =
        r#"{"name":"wall","network":"global/networks/default","allowed":[{"IPProtocol":"tcp"}]}"#;
    client.ask("POST", &format!("{COMPUTE}/global/firewalls"), wall);
}

/// Waits for an operation that does not end.
fn hang(address: &str) -> Vec<Client> {
    let disk = r#"{"name":"slow","sizeGb":"10"}"#;
    let zone = format!("{COMPUTE}/zones/us-central1-a");
    let answer = Client::new(address).ask("POST", &format!("{zone}/disks"), disk);
    let text = String::from_utf8_lossy(&answer);
    let name = text
        .split_once("\"operation-")
        .and_then(|(_, rest)| rest.split('"').next())
        .expect("an operation");
    let wait = format!("{zone}/operations/operation-{name}/wait");
    let one = || {
        let mut client = Client::new(address);
        client.send("POST", &wait, "");
        client
    };
    (0..WAITS).map(|_| one()).collect()
}

/// How long each request took, from the moment at which it was due.
fn load(address: &str, round: &str, seconds: u64) -> Vec<Duration> {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| scope.spawn(move || one_client(address, round, n, begin, seconds)))
            .collect();
        let times = clients
            .into_iter()
            .flat_map(|c| c.join().expect("a client"));
        times.collect()
    })
}

fn one_client(
    address: &str,
    round: &str,
    client: u64,
    begin: Instant,
    seconds: u64,
) -> Vec<Duration> {
    let mut connection = Client::new(address);
    let mut times = Vec::new();
    for n in 0..RATE * seconds / CLIENTS {
        let due = begin + Duration::from_micros((n * CLIENTS + client) * 1_000_000 / RATE);
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        if n % CHANGE_EVERY == 0 {
            change(&mut connection, round, client, n / CHANGE_EVERY);
        } else {
            read(&mut connection, client, n);
        }
        times.push(due.elapsed());
    }
    times
}

/// Topics come and go; a firewall changes and leaves operations behind.
fn change(connection: &mut Client, round: &str, client: u64, n: u64) {
    let topic = format!("{TOPICS}/of-{round}-{client}-{}", n / 3);
    match n % 3 {
        0 => connection.ask("PUT", &topic, "{}"),
        1 => connection.ask("DELETE", &topic, ""),
        _ => connection.ask(
            "PATCH",
            &format!("{COMPUTE}/global/firewalls/wall"),
            &format!(r#"{{"description":"{client} {n}"}}"#),
        ),
    };
}

fn read(connection: &mut Client, client: u64, n: u64) {
    let topic = (client * 7919 + n * 104_729) % RESOURCES as u64;
    let path = match n % 5 {
        0 => format!("{TOPICS}/topic-{topic}"),
        1 => format!("{COMPUTE}/zones/us-central1-a/instances/stream-manager-1"),
        2 => format!("{COMPUTE}/global/firewalls"),
        3 => format!("{TOPICS}?pageSize=20&pageToken=after-{topic}"),
        _ => format!("{COMPUTE}/regions"),
    };
    connection.ask("GET", &path, "");
}
