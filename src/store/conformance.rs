//! The suite that every journal passes, and what only the one on disk has to show.

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use super::*;
use crate::world::{Machine, Timestamp};

const RUN: &str = "0198c0de-0000-7000-8000-000000000001";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

fn entry(seq: u64) -> Entry {
    Entry {
        seq,
        at: Timestamp(1000 + seq as i64),
        body: format!(
            r#"{{"event":"step","number":{seq},"text":"{}"}}"#,
            "x".repeat(200)
        ),
    }
}

fn entries(range: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    range.map(entry).collect()
}

fn state() -> (tempfile::TempDir, StateDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let state = StateDir::open(dir.path().join("state")).expect("opens");
    (dir, state)
}

/// A run with these many entries, closed again.
fn run_with(state: &StateDir, count: u64) -> RunFolder {
    let run = state.create_run(RUN).expect("creates");
    let journal = run.committer().expect("opens");
    runtime()
        .block_on(journal.append(entries(1..=count)))
        .expect("appends");
    run
}

fn suite(journal: &dyn Journal) {
    runtime().block_on(async {
        assert_eq!(journal.read(), Ok(Contents::default()));
        assert_eq!(journal.append(entries(1..=3)).await, Ok(3));
        let (first, second) = (
            journal.append(entries(4..=4)),
            journal.append(entries(5..=6)),
        );
        assert_eq!(second.await, Ok(6));
        assert_eq!(first.await, Ok(4));
        let wrong = StoreError::OutOfOrder {
            expected: 7,
            got: 9,
        };
        assert_eq!(journal.append(vec![entry(9)]).await, Err(wrong));
        let wrong = StoreError::OutOfOrder {
            expected: 8,
            got: 9,
        };
        assert_eq!(journal.append(vec![entry(7), entry(9)]).await, Err(wrong));
        assert_eq!(journal.append(Vec::new()).await, Ok(6));
        drop(journal.append(entries(7..=7)));
        assert_eq!(journal.append(entries(8..=8)).await, Ok(8));
        let contents = journal.read().expect("reads");
        assert_eq!(contents.entries, entries(1..=8));
        assert_eq!(contents.damage, None);
    });
}

#[test]
fn memory_conforms() {
    suite(&MemoryJournal::new());
}

#[test]
fn sqlite_conforms() {
    let (_dir, state) = state();
    let run = state.create_run(RUN).expect("creates");
    suite(&run.committer().expect("opens"));
    assert_eq!(run.read().expect("reads").entries.len(), 8);
}

#[test]
fn entries_survive_closing_and_opening() {
    let (_dir, state) = state();
    run_with(&state, 5);
    let run = state.open_run(RUN).expect("opens");
    let journal = run.committer().expect("opens");
    assert_eq!(runtime().block_on(journal.append(entries(6..=7))), Ok(7));
    drop(journal);
    assert_eq!(run.read().expect("reads").entries, entries(1..=7));
}

#[test]
fn runs_are_listed_newest_first() {
    let (_dir, state) = state();
    let newer = RUN.replace("0198c0de", "0198c0df");
    state.create_run(RUN).expect("creates");
    state.create_run(&newer).expect("creates");
    assert_eq!(state.list_runs(), Ok(vec![newer.clone(), RUN.to_owned()]));
    assert_eq!(state.find_run("0198c0df"), Ok(Some(newer)));
    assert_eq!(state.find_run("0198"), Ok(None));
    assert!(matches!(
        state.create_run(RUN),
        Err(StoreError::RunExists(_))
    ));
    assert!(matches!(
        state.open_run("../../etc"),
        Err(StoreError::BadRunId(_))
    ));
}

fn damage_of(run: &RunFolder) -> (usize, Damage) {
    let contents = run.read().expect("damage is no error");
    assert!(matches!(
        run.committer().map(|_| ()),
        Err(StoreError::Damaged(_))
    ));
    (contents.entries.len(), contents.damage.expect("damage"))
}

#[test]
fn a_lost_log_is_damage() {
    let (_dir, state) = state();
    let run = run_with(&state, 5);
    let journal = run.committer().expect("opens");
    runtime()
        .block_on(journal.append(entries(6..=55)))
        .expect("appends");
    // The folder as a copy that forgot the log, under the same name.
    let files = [run.path().join("journal-1.db"), run.path().join("head-1")];
    let kept: Vec<Vec<u8>> = files.iter().map(|f| fs::read(f).expect("reads")).collect();
    drop(journal);
    for (file, bytes) in files.iter().zip(kept) {
        fs::write(file, bytes).expect("writes");
    }
    let (count, damage) = damage_of(&run);
    assert_eq!(
        (count, damage.what, damage.after_seq),
        (5, DamageKind::Shorter, 5)
    );
    assert!(damage.detail.contains("55"), "{}", damage.detail);
}

#[test]
fn a_deleted_row_is_a_gap_and_a_deleted_end_is_shorter() {
    let (_dir, state) = state();
    let run = run_with(&state, 9);
    let db = rusqlite::Connection::open(run.path().join("journal-1.db")).expect("opens");
    db.execute("DELETE FROM entry WHERE seq > 7", [])
        .expect("deletes");
    let (count, damage) = damage_of(&run);
    assert_eq!(
        (count, damage.what, damage.after_seq),
        (7, DamageKind::Shorter, 7)
    );
    db.execute("DELETE FROM entry WHERE seq = 4", [])
        .expect("deletes");
    let (count, damage) = damage_of(&run);
    assert_eq!(
        (count, damage.what, damage.after_seq),
        (3, DamageKind::Gap, 3)
    );
}

#[test]
fn an_edited_row_is_altered() {
    let (_dir, state) = state();
    let run = run_with(&state, 9);
    let db = rusqlite::Connection::open(run.path().join("journal-1.db")).expect("opens");
    db.execute("UPDATE entry SET body = '{}' WHERE seq = 3", [])
        .expect("updates");
    let (count, damage) = damage_of(&run);
    assert_eq!(
        (count, damage.what, damage.after_seq),
        (2, DamageKind::Altered, 2)
    );
}

#[test]
fn every_cut_and_every_flipped_byte_is_noticed_or_harmless() {
    let (_dir, state) = state();
    let run = run_with(&state, 40);
    let path = run.path().join("journal-1.db");
    let whole = fs::read(&path).expect("reads");
    for cut in [0, 1, 100, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..cut]).expect("writes");
        let contents = run.read().expect("damage is no error");
        assert!(contents.damage.is_some(), "cut at {cut}");
    }
    for place in (0..whole.len()).step_by(97) {
        fs::write(&path, &whole).expect("writes");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("opens");
        file.seek(SeekFrom::Start(place as u64)).expect("seeks");
        file.write_all(&[whole[place] ^ 0x10]).expect("writes");
        drop(file);
        let Ok(contents) = run.read() else { continue };
        assert_eq!(contents.entries, entries(1..=contents.entries.len() as u64));
        assert!(
            contents.damage.is_some() || contents.entries.len() == 40,
            "flip at {place}"
        );
    }
}

#[test]
fn a_missing_database_or_head_is_damage() {
    let (_dir, state) = state();
    let run = run_with(&state, 3);
    fs::remove_file(run.path().join("head-1")).expect("removes");
    assert_eq!(damage_of(&run).1.what, DamageKind::Altered);
    fs::remove_file(run.path().join("journal-1.db")).expect("removes");
    assert_eq!(damage_of(&run).1.what, DamageKind::Unreadable);
}

#[test]
fn a_newer_format_is_its_own_error() {
    let (_dir, state) = state();
    let run = run_with(&state, 3);
    let db = rusqlite::Connection::open(run.path().join("journal-1.db")).expect("opens");
    db.execute("UPDATE meta SET value = '2' WHERE name = 'format'", [])
        .expect("updates");
    let found = run.read();
    assert!(
        matches!(
            found,
            Err(StoreError::Newer {
                found: 2,
                supported: 1,
                ..
            })
        ),
        "{found:?}"
    );
}

#[test]
fn a_take_over_fences_the_old_writer_and_keeps_what_it_acknowledged() {
    let (_dir, state) = state();
    let run = run_with(&state, 3);
    let old = run.committer().expect("opens");
    runtime()
        .block_on(old.append(entries(4..=4)))
        .expect("appends");
    let taken = run.take_over().expect("takes over");
    assert_eq!(taken.epoch(), 2);
    let refused = runtime().block_on(old.append(entries(5..=5)));
    assert_eq!(refused, Err(StoreError::TakenOver { epoch: 2 }));
    let new = taken.committer().expect("opens");
    assert_eq!(runtime().block_on(new.append(entries(5..=6))), Ok(6));
    assert_eq!(
        state
            .open_run(RUN)
            .expect("opens")
            .read()
            .expect("reads")
            .entries,
        entries(1..=6)
    );
    assert!(matches!(
        run.committer().map(|_| ()),
        Err(StoreError::TakenOver { epoch: 2 })
    ));
}

#[test]
fn a_take_over_that_died_after_the_fence_is_finished() {
    let (_dir, state) = state();
    let run = run_with(&state, 3);
    fs::write(run.path().join("current"), "2\n").expect("writes");
    let run = state.open_run(RUN).expect("opens");
    assert_eq!(
        (run.epoch(), run.read().expect("reads").entries),
        (2, entries(1..=3))
    );
}

#[test]
fn a_copied_folder_does_not_append_before_a_take_over() {
    let (dir, state) = state();
    let run = run_with(&state, 3);
    let copy = StateDir::open(dir.path().join("copy")).expect("opens");
    let target = copy.path().join("runs").join(RUN);
    fs::create_dir(&target).expect("creates");
    for file in fs::read_dir(run.path()).expect("lists") {
        let file = file.expect("lists");
        fs::copy(file.path(), target.join(file.file_name())).expect("copies");
    }
    let copied = copy.open_run(RUN).expect("opens");
    assert_eq!(copied.read().expect("reads").entries, entries(1..=3));
    assert!(matches!(
        copied.committer().map(|_| ()),
        Err(StoreError::Elsewhere { .. })
    ));
    let taken = copied.take_over().expect("takes over");
    assert!(taken.committer().is_ok());
}

#[test]
fn an_environment_is_held_once() {
    let (_dir, state) = state();
    let info = LockInfo::new(RUN, &Machine::here(), Timestamp(0));
    let held = state.lock("prod/eu", info.clone()).expect("locks");
    let refused = state.lock(
        "prod/eu",
        LockInfo {
            run: "other".into(),
            ..info.clone()
        },
    );
    assert_eq!(
        refused.map(|_| ()),
        Err(StoreError::Held(Box::new(info.clone())))
    );
    assert!(state.lock("staging", info.clone()).is_ok());
    let taken = state
        .take_over_lock("prod/eu", info.clone())
        .expect("takes over");
    drop(held);
    assert!(matches!(
        state.lock("prod/eu", info.clone()),
        Err(StoreError::Held(_))
    ));
    drop(taken);
    assert!(state.lock("prod/eu", info).is_ok());
}

#[test]
fn the_first_answer_in_the_inbox_stands() {
    let (_dir, state) = state();
    let run = run_with(&state, 1);
    let journal = run.committer().expect("opens");
    let (mine, theirs) = (run.inbox().expect("opens"), run.inbox().expect("opens"));
    let yes = InboxItem {
        key: "gate#1".into(),
        kind: InboxKind::Approve,
        by: "ann".into(),
        host: "here".into(),
        note: String::new(),
        at: Timestamp(7),
        text_hash: "h".into(),
    };
    let again = InboxItem {
        by: "bob".into(),
        ..yes.clone()
    };
    let no = InboxItem {
        kind: InboxKind::Deny,
        ..again.clone()
    };
    let other = InboxItem {
        key: "gate#2".into(),
        ..no.clone()
    };
    assert_eq!(mine.post(&yes), Ok(Posted::New));
    assert_eq!(theirs.post(&again), Ok(Posted::Already(yes.clone())));
    assert_eq!(theirs.post(&no), Ok(Posted::Contrary(yes.clone())));
    assert_eq!(theirs.post(&other), Ok(Posted::New));
    let all = mine.poll(0).expect("reads");
    assert_eq!(
        all.iter().map(|(_, item)| item).collect::<Vec<_>>(),
        [&yes, &other]
    );
    assert_eq!(mine.poll(all[0].0).expect("reads"), all[1..]);
    assert_eq!(runtime().block_on(journal.append(entries(2..=2))), Ok(2));
}

#[cfg(unix)]
#[test]
fn the_directory_is_private_and_ignored() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, state) = state();
    let key = state.key(&mut |bytes| bytes.fill(7)).expect("makes a key");
    let again = state
        .key(&mut |bytes| bytes.fill(8))
        .expect("reads the key");
    assert_eq!(key.digest("a", "b"), again.digest("a", "b"));
    let mode =
        |path: &std::path::Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(
        (mode(state.path()), mode(&state.path().join("key"))),
        (0o700, 0o600)
    );
    assert_eq!(
        fs::read_to_string(state.path().join(".gitignore"))
            .ok()
            .as_deref(),
        Some("*\n")
    );
}

#[test]
fn a_place_that_cannot_be_made_says_so() {
    let error = StateDir::open("/proc/none/state")
        .map(|_| ())
        .expect_err("cannot be");
    assert!(error.to_string().contains("/proc/none/state"), "{error}");
}

/// Prints the time; the target of 0.5 s is for an optimised build.
#[test]
fn ten_thousand_entries_in_a_hundred_commits() {
    let (_dir, state) = state();
    let run = state.create_run(RUN).expect("creates");
    let journal = run.committer().expect("opens");
    let started = std::time::Instant::now();
    runtime().block_on(async {
        for group in 0..100 {
            journal
                .append(entries(group * 100 + 1..=group * 100 + 100))
                .await
                .expect("appends");
        }
    });
    println!("10,000 entries in 100 commits: {:?}", started.elapsed());
    assert_eq!(run.read().expect("reads").entries.len(), 10_000);
}

#[test]
fn a_take_over_does_not_wait_for_a_writer_that_stopped_inside_a_commit() {
    let (_dir, state) = state();
    let run = run_with(&state, 3);
    let stopped = rusqlite::Connection::open(run.path().join("journal-1.db")).expect("opens");
    stopped
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO entry VALUES (4, 0, '{}', x'00')")
        .expect("begins");
    let taken = run.take_over().expect("takes over");
    let journal = taken.committer().expect("opens");
    assert_eq!(runtime().block_on(journal.append(entries(4..=4))), Ok(4));
    stopped
        .execute_batch("COMMIT")
        .expect("commits into dead wood");
    assert_eq!(
        taken.read().map(|c| (c.entries, c.damage)),
        Ok((entries(1..=4), None))
    );
}

/// What the disk holds when the process is killed: the log not folded in.
#[test]
fn a_killed_writer_loses_nothing() {
    let (dir, state) = state();
    let run = run_with(&state, 3);
    let journal = run.committer().expect("opens");
    runtime()
        .block_on(journal.append(entries(4..=9)))
        .expect("appends");
    let image = StateDir::open(dir.path().join("image")).expect("opens");
    let target = image.path().join("runs").join(RUN);
    fs::create_dir(&target).expect("creates");
    for name in ["journal-1.db", "journal-1.db-wal", "head-1", "current"] {
        fs::copy(run.path().join(name), target.join(name)).expect("copies");
    }
    let image = image.open_run(RUN).expect("opens");
    assert_eq!(
        image.read().map(|c| (c.entries, c.damage)),
        Ok((entries(1..=9), None))
    );
}
