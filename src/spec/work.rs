//! Many independent jobs on a few threads, with answers in the order of the jobs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Does every job; `worker` makes what does them, once in each thread.
pub fn in_parallel<J, T, W>(jobs: &[J], threads: usize, worker: impl Fn() -> W + Sync) -> Vec<T>
where
    J: Sync,
    T: Send,
    W: FnMut(&J) -> T,
{
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::new());
    let work = || {
        let mut one = worker();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(i) else { break };
            let answer = one(job);
            if let Ok(mut done) = done.lock() {
                done.push((i, answer));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, answer)| answer).collect()
}
