//! What a durable step costs, beside what the disk alone takes: `cargo bench --bench durability`.
//!
//! Both are measured in turns in one process, so that a busy disk is busy for both.
//! `R5FLOW_BENCH_SLACK=2` doubles the limit.

#[allow(dead_code)]
mod flows;
#[allow(dead_code)]
mod stages;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flows::{Shape, flow};
use r5flow::catalog::Catalog;

const STEPS: usize = 500;
const ROUNDS: usize = 7;
/// Bytes of one entry, as a hook step of the generated flow records it.
const ENTRY: usize = 180;
/// A chain cannot share commits: how many times what the disk takes for one append it may take.
const LIMIT: f64 = 1.5;

fn main() -> ExitCode {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let catalog = Catalog::embedded();
    let short = stages::write(folder.path(), &flow(Shape::Chain, STEPS));
    let mut ratios = Vec::new();
    let (mut disk, mut chain) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let appended = appends(&folder.path().join(format!("appends-{round}")));
        let state = folder.path().join(format!("state-{round}"));
        let ran = timed(|| stages::run_durably(&short, &state, &catalog));
        disk.push(per_step(appended));
        chain.push(per_step(ran));
        ratios.push(ran.as_secs_f64() / appended.as_secs_f64());
    }
    let slack = std::env::var("R5FLOW_BENCH_SLACK").ok();
    let limit = LIMIT * slack.and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let ratio = median(&mut ratios);
    println!(
        "append and fdatasync, a growing file  {:8.1} us",
        median(&mut disk)
    );
    println!(
        "a hook step of a chain, durably       {:8.1} us",
        median(&mut chain)
    );
    println!("  times                               {ratio:8.2}, at most {limit:.2}");
    match ratio <= limit {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// As many appends as the chain has steps, each synced.
fn appends(path: &Path) -> Duration {
    let mut file = File::create(path).expect("a file");
    let entry = [b'x'; ENTRY];
    timed(|| {
        for _ in 0..STEPS {
            file.write_all(&entry)
                .and_then(|()| file.sync_data())
                .expect("written");
        }
    })
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// In microseconds.
fn per_step(whole: Duration) -> f64 {
    whole.as_secs_f64() * 1e6 / STEPS as f64
}

fn median(all: &mut [f64]) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
