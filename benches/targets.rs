//! Measures what the project promises, and fails when a promise is not kept.
//!
//! `cargo bench --bench targets`; `R5FLOW_BENCH_SLACK=2` doubles every limit, for slow machines. With
//! `-- --durability` it measures only what a durable step costs.

mod durability;
mod flows;
mod stages;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use flows::{Shape, flow};
use r5flow::catalog::Catalog;

const R5FLOW: &str = env!("CARGO_BIN_EXE_r5flow");
const AUTOSCALE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/workflows/red5/autoscale.r5flow"
);
const MANY: usize = 10_000;
const FEW: usize = 1_000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, shape] = args.as_slice()
        && mode == "--peak"
        && let Some(shape) = Shape::ALL.into_iter().find(|s| s.name() == shape)
    {
        return peak_of_this_process(shape);
    }
    let mut table = Table::new();
    if !args.iter().any(|a| a == "--durability") {
        processes(&mut table);
        for shape in Shape::ALL {
            steps(&mut table, shape);
        }
    }
    durability::measure(&mut table);
    table.end()
}

/// What people wait for at the prompt.
fn processes(table: &mut Table) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let hello = bare_hello(folder.path());
    let bare = median(101, || run(&mut Command::new(&hello)));
    let version = median(101, || run(Command::new(R5FLOW).arg("--version")));
    table.time("a bare Rust hello", bare, None);
    table.time("r5flow --version", version, None);
    table.ratio("  times a bare hello", version, bare, 2.5);
    let check = median(41, || run(Command::new(R5FLOW).args(["check", AUTOSCALE])));
    table.time("r5flow check autoscale.r5flow", check, Some(20));
}

fn bare_hello(folder: &Path) -> std::path::PathBuf {
    let source = folder.join("hello.rs");
    std::fs::write(&source, "fn main() { println!(\"hello\"); }\n").expect("writes");
    let hello = folder.join("hello");
    let mut rustc = Command::new("rustc");
    run(rustc
        .args(["-O", "-C", "strip=symbols", "-o"])
        .args([&hello, &source]));
    hello
}

/// Many steps, and how the time grows with their number.
fn steps(table: &mut Table, shape: Shape) {
    let name = |what: &str, steps: usize| format!("{} {steps}: {what}", shape.name());
    let catalog = Catalog::embedded();
    let check = |steps: usize| {
        let text = flow(shape, steps);
        median(7, || {
            let program = stages::load(&text);
            stages::checked(&program, &catalog);
        })
    };
    let durable = |steps: usize| {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = stages::write(folder.path(), &flow(shape, steps));
        let mut turn = 0;
        median(5, || {
            turn += 1;
            let state = folder.path().join(format!("state-{turn}"));
            stages::run_durably(&file, &state, &catalog);
        })
    };
    let memory = |steps: usize| {
        let text = flow(shape, steps);
        median(7, || {
            let program = stages::load(&text);
            let checked = stages::checked(&program, &catalog);
            stages::run_in_memory(&program, stages::graph(&checked), &catalog);
        })
    };
    let ((few_checked, many_checked), (few, many)) =
        ((check(FEW), check(MANY)), (memory(FEW), memory(MANY)));
    table.time(&name("check", FEW), few_checked, None);
    table.time(&name("check", MANY), many_checked, Some(500));
    table.ratio("  grows", many_checked, few_checked, 12.0);
    table.time(&name("run in memory", FEW), few, None);
    table.time(&name("run in memory", MANY), many, None);
    table.ratio("  grows", many, few, 12.0);
    // A chain cannot share commits: one sync a step, which is the disk's speed and not ours.
    let limit = (shape != Shape::Chain).then_some(1500);
    let (few, many) = (durable(FEW), durable(MANY));
    table.time(&name("run durably", FEW), few, None);
    table.time(&name("run durably", MANY), many, limit);
    match limit {
        Some(_) => table.ratio("  grows", many, few, 12.0),
        None => table.note("  grows", &format!("{:.1} times", of(many, few))),
    }
    peak(table, shape);
}

/// The most memory that a process needs which does nothing but one durable run.
fn peak(table: &mut Table, shape: Shape) {
    let own = std::env::current_exe().expect("this program has a path");
    let output = Command::new(own)
        .args(["--peak", shape.name()])
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    if let Ok(kib) = text.trim().parse::<u64>() {
        table.memory(&format!("{} {MANY}: peak memory", shape.name()), kib, 100);
    }
}

fn peak_of_this_process(shape: Shape) -> ExitCode {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = stages::write(folder.path(), &flow(shape, MANY));
    stages::run_durably(&file, &folder.path().join("state"), &Catalog::embedded());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    match peak.and_then(|l| l.split_whitespace().next()) {
        Some(kib) => println!("{kib}"),
        None => println!("unknown"),
    }
    ExitCode::SUCCESS
}

fn run(command: &mut Command) {
    let status = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("starts");
    assert!(status.success(), "{command:?}: {status}");
}

fn median(times: usize, mut measured: impl FnMut()) -> Duration {
    let mut took: Vec<Duration> = (0..times)
        .map(|_| {
            let start = Instant::now();
            measured();
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[times / 2]
}

fn of(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

/// Lines of results, printed as they come.
struct Table {
    slack: f64,
    missed: usize,
}

impl Table {
    fn new() -> Self {
        let slack = std::env::var("R5FLOW_BENCH_SLACK").ok();
        Table {
            slack: slack.and_then(|s| s.parse().ok()).unwrap_or(1.0),
            missed: 0,
        }
    }

    /// The limit is in milliseconds.
    fn time(&mut self, what: &str, found: Duration, limit: Option<u32>) {
        let found = found.as_secs_f64() * 1000.0;
        match limit {
            Some(limit) => self.held(what, found, f64::from(limit), "ms"),
            None => self.note(what, &format!("{found:.2} ms")),
        }
    }

    fn ratio(&mut self, what: &str, a: Duration, b: Duration, limit: f64) {
        self.held(what, of(a, b), limit, "times");
    }

    /// The limit is in MiB.
    fn memory(&mut self, what: &str, kib: u64, limit: u32) {
        self.held(what, kib as f64 / 1024.0, f64::from(limit), "MiB");
    }

    fn held(&mut self, what: &str, found: f64, limit: f64, unit: &str) {
        let limit = limit * self.slack;
        let missed = found > limit;
        self.missed += usize::from(missed);
        let word = if missed { "  MISSED" } else { "" };
        self.note(
            what,
            &format!("{found:.2} {unit}, at most {limit:.1}{word}"),
        );
    }

    fn note(&self, what: &str, found: &str) {
        println!("{what:<34} {found}");
    }

    fn end(self) -> ExitCode {
        match self.missed {
            0 => ExitCode::SUCCESS,
            n => {
                println!("{n} limits are missed");
                ExitCode::FAILURE
            }
        }
    }
}
