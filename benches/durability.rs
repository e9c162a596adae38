//! What a durable step costs, beside what the disk alone takes. Both are measured in turns in one process, so
//! that a busy disk is busy for both.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use r5flow::catalog::Catalog;

use super::Table;
use super::flows::{Shape, flow};
use super::stages;

const STEPS: usize = 500;
const ROUNDS: usize = 7;
/// Bytes of one entry, as a hook step of the generated flow records it.
const ENTRY: usize = 180;
/// A chain cannot share commits: how many times what the disk takes for one append it may take.
const LIMIT: f64 = 1.5;

pub fn measure(table: &mut Table) {
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
    let micros = |all: &mut [f64]| format!("{:.1} us", median(all));
    table.note("append and fdatasync", &micros(&mut disk));
    table.note("a hook step of a chain, durably", &micros(&mut chain));
    table.held("  times", median(&mut ratios), LIMIT, "times");
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
