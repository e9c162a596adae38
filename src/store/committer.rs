//! Group commit: what is queued while a commit is made shares the next transaction and its one sync.
//!
//! A thread commits what somebody waits for, while the run goes on with other things. A caller that has
//! nothing else to do commits by itself, and wakes no thread for it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::chain::{Head, HeadFile, Link};
use super::run_folder::RunFolder;
use super::sqlite::{self, Files};
use super::{Ack, Contents, Entry, Journal, StoreError};

struct Batch {
    entries: Vec<Entry>,
    ack: oneshot::Sender<Result<u64, StoreError>>,
}

/// How long entries on which nothing waits are kept for the next commit.
const SOON: Duration = Duration::from_millis(200);

/// What was appended and is not committed yet, in order. It is due at the first look at one of its
/// acknowledgements: so whatever a caller appends before it waits shares one commit.
#[derive(Default)]
struct Waiting {
    batches: Vec<Batch>,
    due: Option<Instant>,
    /// No more commits are made.
    closed: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    bell: Condvar,
    /// Locked before `waiting` by whoever commits, so that commits keep the order of the queue.
    writer: Mutex<Writer>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn wanted(&self, within: Duration) {
        let mut waiting = locked(&self.waiting);
        if waiting.batches.is_empty() {
            return;
        }
        let due = Instant::now() + within;
        if waiting.due.is_none_or(|known| due < known) {
            waiting.due = Some(due);
            self.bell.notify_one();
        }
    }

    fn close(&self) {
        locked(&self.waiting).closed = true;
        self.bell.notify_one();
    }

    /// Commits everything that waits.
    fn commit(&self) {
        let mut writer = locked(&self.writer);
        let group = {
            let mut waiting = locked(&self.waiting);
            waiting.due = None;
            std::mem::take(&mut waiting.batches)
        };
        if !group.is_empty() {
            writer.commit_group(group);
        }
    }

    /// Commits what is due, until the journal is closed; what waits then comes last.
    fn serve(&self) {
        let _last = LastCommit(self);
        let mut waiting = locked(&self.waiting);
        while !waiting.closed {
            let left = waiting
                .due
                .map(|due| due.saturating_duration_since(Instant::now()));
            waiting = match left {
                None => self
                    .bell
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    drop(waiting);
                    self.commit();
                    locked(&self.waiting)
                }
                Some(left) => {
                    let woken = self.bell.wait_timeout(waiting, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        drop(waiting);
        self.commit();
    }
}

/// Without its thread a journal is closed, and nobody waits for it in vain.
struct LastCommit<'a>(&'a Shared);

impl Drop for LastCommit<'_> {
    fn drop(&mut self) {
        let mut waiting = locked(&self.0.waiting);
        waiting.closed = true;
        waiting.batches.clear();
    }
}

/// The one writer of a run's journal in this process. Dropping it waits for what is queued and
/// folds the write-ahead log into the database.
pub struct Committer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    run: RunFolder,
    commits: Arc<AtomicU64>,
}

impl Committer {
    /// Refuses a damaged journal, one that belongs elsewhere, and one that was taken over.
    pub(super) fn start(run: &RunFolder) -> Result<Committer, StoreError> {
        let writer = Writer::open(run)?;
        let commits = Arc::clone(&writer.commits);
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            bell: Condvar::new(),
            writer: Mutex::new(writer),
        });
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || served.serve())
            .map_err(|e| StoreError::io("start the writer of", run.path(), &e))?;
        Ok(Committer {
            shared,
            thread: Some(thread),
            run: run.clone(),
            commits,
        })
    }

    /// How many commits were made so far, each with one sync; counts on while the journal is used.
    pub fn commits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.commits)
    }

    fn queue(&self, entries: Vec<Entry>, within: Duration) -> Ack {
        let (ack, mut answer) = oneshot::channel();
        {
            let mut waiting = locked(&self.shared.waiting);
            if !waiting.closed {
                waiting.batches.push(Batch { entries, ack });
            }
        }
        let shared = Arc::clone(&self.shared);
        let mut asked = false;
        Box::pin(std::future::poll_fn(move |context| {
            if let Poll::Ready(answer) = std::pin::Pin::new(&mut answer).poll(context) {
                return Poll::Ready(answer.unwrap_or(Err(StoreError::Closed)));
            }
            if !std::mem::replace(&mut asked, true) {
                shared.wanted(within);
            }
            Poll::Pending
        }))
    }
}

impl Journal for Committer {
    fn append(&self, entries: Vec<Entry>) -> Ack {
        self.queue(entries, Duration::ZERO)
    }

    fn append_soon(&self, entries: Vec<Entry>) -> Ack {
        self.queue(entries, SOON)
    }

    fn commit_here(&self) {
        self.shared.commit();
    }

    fn still_ours(&self) -> Result<(), StoreError> {
        self.run.check_epoch()
    }

    fn read(&self) -> Result<Contents, StoreError> {
        self.run.read()
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Writer {
    db: Connection,
    path: PathBuf,
    head: HeadFile,
    position: Head,
    run: RunFolder,
    /// After a failure that leaves open what is on the disk, only a fresh look may go on.
    broken: Option<StoreError>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    fn open(run: &RunFolder) -> Result<Writer, StoreError> {
        let scan = sqlite::scan(&run.files())?;
        if let Some(damage) = scan.contents.damage {
            return Err(StoreError::Damaged(damage));
        }
        run.check_home(scan.meta.as_ref())?;
        run.check_epoch()?;
        let Files { database, head } = run.files();
        let count = scan.contents.entries.len() as u64;
        let position = Head {
            count,
            link: scan.link,
        };
        Ok(Writer {
            db: sqlite::open_writer(&database)?,
            path: database,
            head: HeadFile::open(&head, position)?,
            position,
            run: run.clone(),
            broken: None,
            commits: Arc::default(),
        })
    }

    fn commit_group(&mut self, group: Vec<Batch>) {
        let mut expected = self.position.count + 1;
        let mut accepted = Vec::with_capacity(group.len());
        for batch in group {
            match in_order(&batch.entries, expected) {
                Ok(after) => {
                    expected = after;
                    accepted.push(batch);
                }
                Err(e) => {
                    let _ = batch.ack.send(Err(e));
                }
            }
        }
        let entries: Vec<&Entry> = accepted.iter().flat_map(|b| &b.entries).collect();
        let done = self.commit(&entries);
        let lasts: Vec<u64> = accepted
            .iter()
            .map(|b| b.entries.last().map_or(self.position.count, |e| e.seq))
            .collect();
        for (batch, last) in accepted.into_iter().zip(lasts) {
            let _ = batch.ack.send(done.clone().map(|()| last));
        }
    }

    fn commit(&mut self, entries: &[&Entry]) -> Result<(), StoreError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.run.check_epoch()?;
        if entries.is_empty() {
            return Ok(());
        }
        match self.transact(entries) {
            Ok(link) => {
                self.position = Head {
                    count: self.position.count + entries.len() as u64,
                    link,
                };
            }
            Err(e) => return Err(self.failed(&e)),
        }
        // A commit that ended after the fence is not in the new owner's copy for certain.
        self.run.check_epoch()?;
        self.head
            .write(self.position)
            .inspect_err(|e| self.broken = Some(e.clone()))
    }

    fn transact(&mut self, entries: &[&Entry]) -> rusqlite::Result<Link> {
        let tx = self.db.transaction()?;
        let mut link = self.position.link;
        for entry in entries {
            link = sqlite::insert(&tx, &link, entry)?;
        }
        if let Some(last) = entries.last() {
            crate::world::stop_point("in-commit", last.seq);
        }
        tx.commit()?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(link)
    }

    fn failed(&mut self, error: &rusqlite::Error) -> StoreError {
        let failure = match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => StoreError::Io {
                doing: "add to",
                path: self.path.clone(),
                detail: "another process added to it at the same time".into(),
            },
            _ => StoreError::sql("add to", &self.path, error),
        };
        // A full disk rolls back cleanly, and the same entries may be tried again.
        if !matches!(failure, StoreError::Full { .. }) {
            self.broken = Some(failure.clone());
        }
        failure
    }
}

/// The number after the last entry, when they are numbered from `expected` without gaps.
pub(super) fn in_order(entries: &[Entry], mut expected: u64) -> Result<u64, StoreError> {
    for entry in entries {
        if entry.seq != expected {
            return Err(StoreError::OutOfOrder {
                expected,
                got: entry.seq,
            });
        }
        expected += 1;
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::StateDir;
    use super::*;
    use crate::world::Timestamp;

    fn entry(seq: u64, length: usize) -> Entry {
        Entry {
            seq,
            at: Timestamp(0),
            body: format!("\"{}\"", "x".repeat(length)),
        }
    }

    #[test]
    fn a_full_disk_loses_nothing_and_may_be_tried_again() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = StateDir::open(dir.path()).expect("opens");
        let id = "0198c0de-0000-7000-8000-000000000001";
        let run = state.create_run(id).expect("creates");
        let mut writer = Writer::open(&run).expect("opens");
        writer.commit(&[&entry(1, 10)]).expect("fits");
        let limit = |writer: &Writer, pages: u32| {
            writer
                .db
                .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
                .expect("sets the limit");
        };
        limit(&writer, 5);
        let large = entry(2, 100_000);
        let failure = writer.commit(&[&large]);
        assert!(
            matches!(failure, Err(StoreError::Full { .. })),
            "{failure:?}"
        );
        assert_eq!(
            run.read().map(|c| (c.entries.len(), c.damage)),
            Ok((1, None))
        );
        limit(&writer, 10_000);
        writer.commit(&[&large]).expect("fits now");
        assert_eq!(
            run.read().map(|c| (c.entries.len(), c.damage)),
            Ok((2, None))
        );
    }

    #[test]
    fn a_caller_commits_what_waits_in_its_order() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = StateDir::open(dir.path()).expect("opens");
        let id = "0198c0de-0000-7000-8000-000000000001";
        let run = state.create_run(id).expect("creates");
        let journal = run.committer().expect("opens");
        let mut soon = journal.append_soon(vec![entry(1, 1)]);
        assert_eq!((&mut soon).now_or_never(), None);
        let next = journal.append(vec![entry(2, 1)]);
        journal.commit_here();
        assert_eq!(
            (soon.now_or_never(), next.now_or_never()),
            (Some(Ok(1)), Some(Ok(2)))
        );
        assert_eq!(journal.commits().load(Ordering::Relaxed), 1);
        assert_eq!(run.read().map(|c| c.entries.len()), Ok(2));
    }

    #[test]
    fn a_second_writer_breaks_the_first() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = StateDir::open(dir.path()).expect("opens");
        let id = "0198c0de-0000-7000-8000-000000000001";
        let run = state.create_run(id).expect("creates");
        let (mut one, mut two) = (
            Writer::open(&run).expect("opens"),
            Writer::open(&run).expect("opens"),
        );
        two.commit(&[&entry(1, 5)]).expect("appends");
        let failure = one.commit(&[&entry(1, 6)]).expect_err("refused");
        assert!(failure.to_string().contains("another process"), "{failure}");
        assert_eq!(one.commit(&[&entry(2, 1)]), Err(failure));
        assert_eq!(run.read().map(|c| c.entries), Ok(vec![entry(1, 5)]));
    }
}
