//! Damaged, foreign, newer and unwritable state: told, and nothing is lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::Folder;
use r5flow::spec::dice::Dice;

const FLOW: &str = "workflow w {
  input project: string
  at { project }
  for name in [\"one\", \"two\", \"three\"] {
    step address = ensure compute.globalAddresses(name)
  }
  checkpoint half
  step last = ensure compute.globalAddresses(\"last\")
}
";

const RUN: [&str; 6] = ["run", "w.r5flow", "--sim", "-y", "--input", "project=demo"];

/// A run that stands at its checkpoint, and its folder.
fn at_half() -> (Folder, String, PathBuf) {
    let f = Folder::new(&[("w.r5flow", FLOW)]);
    let _ = f.run(&[&RUN[..], &["--until", "half"]].concat()).ends(6);
    let (id, folder) = only_run(&f);
    (f, id, folder)
}

fn only_run(f: &Folder) -> (String, PathBuf) {
    let runs = f.path(".r5flow/runs");
    let entry = std::fs::read_dir(&runs)
        .expect("runs")
        .next()
        .expect("a run");
    let id = entry
        .expect("an entry")
        .file_name()
        .into_string()
        .expect("text");
    (id.clone(), runs.join(id))
}

fn events(f: &Folder, id: &str, code: i32) -> Vec<serde_json::Value> {
    let said = f.run(&["runs", id, "--json"]).ends(code);
    let lines = said.lines();
    lines.into_iter().filter(|l| l["kind"] == "event").collect()
}

fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    std::fs::read_dir(folder)
        .expect("a folder")
        .map(|e| e.expect("an entry").path())
        .filter(|p| !p.to_string_lossy().ends_with("-shm"))
        .map(|p| (p.clone(), std::fs::read(p).expect("a file")))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect()
}

/// Damage is either without any effect or told: what is shown is a beginning of what was.
#[track_caller]
fn told_or_harmless(f: &Folder, id: &str, folder: &Path, whole: &[serde_json::Value], what: &str) {
    let damaged = content(folder);
    let said = f.run(&["runs", id, "--json"]).ends_among(&[0, 1]);
    let shown: Vec<_> = said
        .lines()
        .into_iter()
        .filter(|l| l["kind"] == "event")
        .collect();
    assert!(whole.starts_with(&shown), "{what}: {}", said.out);
    if said.code == 0 {
        assert_eq!(shown.len(), whole.len(), "{what}: shorter without a word");
        return;
    }
    let told = [
        "is damaged",
        "newer r5flow",
        "could not read",
        "could not use",
    ];
    assert!(
        told.iter().any(|t| said.err.contains(t)),
        "{what}: {}",
        said.err
    );
    let refused = f.run(&["resume", id, "-y"]).ends(1);
    assert!(!refused.err.contains("begins"), "{what}: {}", refused.err);
    assert_eq!(
        content(folder),
        damaged,
        "{what}: the damaged files were touched"
    );
}

#[test]
fn flipped_bits_and_cuts_are_found() {
    let (f, id, folder) = at_half();
    let whole = events(&f, &id, 0);
    assert!(whole.len() > 10);
    let mut dice = Dice::new(7);
    for name in ["journal-1.db", "head-1", "current"] {
        let path = folder.join(name);
        let good = std::fs::read(&path).expect("a file");
        let flips = if name == "journal-1.db" { 40 } else { 8 };
        for _ in 0..flips {
            let mut bad = good.clone();
            let at = dice.below(bad.len());
            let bit = dice.below(8);
            bad[at] ^= 1 << bit;
            std::fs::write(&path, &bad).expect("written");
            told_or_harmless(
                &f,
                &id,
                &folder,
                &whole,
                &format!("{name}: bit {bit} of byte {at}"),
            );
        }
        for part in 0..6 {
            let keep = good.len() * part / 6;
            std::fs::write(&path, &good[..keep]).expect("written");
            told_or_harmless(&f, &id, &folder, &whole, &format!("{name}: cut to {keep}"));
        }
        std::fs::remove_file(&path).expect("removed");
        told_or_harmless(&f, &id, &folder, &whole, &format!("{name}: gone"));
        std::fs::write(&path, &good).expect("restored");
    }
    let _ = f.run(&["resume", &id, "-y"]).ends(0);
}

/// A run that was killed while it waited for an endpoint: its last records are in the log.
fn killed() -> (Folder, String, PathBuf) {
    let f = Folder::new(&[("w.r5flow", FLOW)]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!(
        "compute=http://{}",
        silent.local_addr().expect("an address")
    );
    let words = [
        "run",
        "w.r5flow",
        "-y",
        "--input",
        "project=demo",
        "--endpoint",
        &endpoint,
    ];
    let mut child = f
        .command(&words)
        .stderr(Stdio::null())
        .spawn()
        .expect("a process");
    let _first = silent.accept().expect("a request");
    child.kill().expect("killed");
    let _ = child.wait();
    let (id, folder) = only_run(&f);
    (f, id, folder)
}

#[test]
fn a_log_that_is_gone_or_broken_is_found() {
    let (f, id, folder) = killed();
    let log = folder.join("journal-1.db-wal");
    let all = content(&folder);
    let good = std::fs::read(&log).expect("the log of a killed run");
    let restore = || {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            std::fs::remove_file(entry.path()).expect("removed");
        }
        for (path, bytes) in &all {
            std::fs::write(path, bytes).expect("restored");
        }
    };
    std::fs::remove_file(&log).expect("removed");
    f.run(&["runs", &id]).ends(1).err_has("is damaged");
    f.run(&["resume", &id, "-y"]).ends(1).err_has("is damaged");
    restore();
    let whole = events(&f, &id, 0);
    assert_eq!(whole[0]["event"], "started");
    let mut dice = Dice::new(11);
    for _ in 0..20 {
        restore();
        let mut bad = good.clone();
        let at = dice.below(bad.len());
        bad[at] ^= 1 << dice.below(8);
        std::fs::write(&log, &bad).expect("written");
        let said = f.run(&["runs", &id, "--json"]).ends_among(&[0, 1]);
        let shown: Vec<_> = said
            .lines()
            .into_iter()
            .filter(|l| l["kind"] == "event")
            .collect();
        assert!(whole.starts_with(&shown), "byte {at}: {}", said.out);
        assert_eq!(
            said.code == 0,
            shown.len() == whole.len(),
            "byte {at}: {}",
            said.err
        );
    }
    restore();
    f.run(&["runs", &id]).ends(0).out_has("not ended");
}

#[test]
fn what_a_newer_program_wrote_is_left_alone() {
    let (f, id, folder) = at_half();
    let path = folder.join("journal-1.db");
    let db = rusqlite::Connection::open(&path).expect("a database");
    db.execute("UPDATE meta SET value = '2' WHERE name = 'format'", [])
        .expect("changed");
    drop(db);
    f.run(&["runs"]).ends(1).out_has("newer r5flow");
    for words in [&["runs", &id][..], &["resume", &id, "-y"]] {
        f.run(words).ends(1).err_has(
            "was written by a newer r5flow (format 2, this one reads up to 1); update r5flow",
        );
    }
}

#[test]
fn a_run_of_a_newer_format_is_left_alone() {
    use r5flow::store::{Entry, Journal};
    let f = Folder::new(&[]);
    let state = r5flow::store::StateDir::open(f.path(".r5flow")).expect("a state directory");
    let id = "01a2097c-27db-7d25-aa46-d02f04731665";
    let run = state.create_run(id).expect("a run");
    let body = r#"{"event":"started","format":9,"version":"7.0.0","soul":"of a newer kind"}"#;
    let entry = Entry {
        seq: 1,
        at: r5flow::world::Timestamp(1_795_455_461_339),
        body: body.into(),
    };
    let journal = run.committer().expect("a writer");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a loop");
    runtime
        .block_on(journal.append(vec![entry]))
        .expect("durable");
    drop(journal);
    let why = "was written by a newer r5flow (7.0.0; its journal has format 9, this one reads up to 1); update r5flow";
    f.run(&["runs"]).ends(1).out_has(why);
    f.run(&["runs", id]).ends(1).err_has(why);
    f.run(&["resume", id, "-y"]).ends(1).err_has(why);
}

#[test]
fn what_does_not_belong_into_the_runs_is_passed_over() {
    let f = Folder::new(&[("w.r5flow", FLOW)]);
    std::fs::create_dir_all(f.path(".r5flow/runs")).expect("a folder");
    assert_eq!(f.run(&["runs"]).ends(0).out, "no runs yet\n");
    let _ = f.run(&["resume"]).ends(64).err_has("there is no run here");
    f.write(".r5flow/runs/notes.txt", "mine");
    f.write(
        ".r5flow/runs/01a2097c-27db-7d25-aa46-d02f04731665",
        "no folder",
    );
    let _ = f.run(&RUN).ends(0);
    f.run(&["runs"]).ends(0).out_has("done").never_has("notes");
    assert_eq!(f.read(".r5flow/runs/notes.txt"), "mine");
    std::fs::create_dir(f.path(".r5flow/runs/01a2097c-0000-7d25-aa46-d02f04731665"))
        .expect("a folder");
    f.run(&["runs"]).ends(1).out_has("damaged").out_has("done");
    f.run(&["runs", "01a2097c-0000"]).ends(1).err_has("current");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let f = Folder::new(&[("w.r5flow", FLOW), ("file", "")]);
    for place in ["file/state", "/proc/r5flow-state"] {
        f.run(&[&RUN[..], &["--state", place]].concat())
            .ends(1)
            .err_has(place)
            .never_has("begins");
    }
}

/// A small disk of its own; `None` where this user may not make one.
struct Disk(PathBuf);

impl Disk {
    fn new(path: PathBuf, kilobytes: usize) -> Option<Disk> {
        std::fs::create_dir_all(&path).expect("a folder");
        let size = format!("size={kilobytes}k");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|s| s.success()).then_some(Disk(path))
    }

    fn remount(&self, options: &str) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0)
            .status();
        assert!(done.expect("mount").success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let f = Folder::new(&[(
        "w.r5flow",
        &FLOW
            .replace("[\"one\", \"two\", \"three\"]", "range(0, 40)")
            .replace("(name)", "(\"a${name}\")"),
    )]);
    let Some(disk) = Disk::new(f.path("disk"), 4096) else {
        println!("skipped: this user may not mount a disk");
        return;
    };
    let state = ["--state", "disk/state"];
    let filler = f.path("disk/filler");
    let mut stopped = 0;
    for room in [
        20, 100, 150, 200, 250, 300, 400, 600, 1200, 1300, 1400, 2000,
    ] {
        let kilobytes = 4096 - room;
        std::fs::write(&filler, vec![0u8; kilobytes * 1024]).expect("a filler");
        let said = f.run(&[&RUN[..], &state].concat()).ends_among(&[0, 1]);
        std::fs::remove_file(&filler).expect("free again");
        if said.code == 0 {
            break;
        }
        assert!(said.err.contains("full"), "{room}: {}", said.err);
        let listed = f.run(&[&["runs", "--json"][..], &state].concat()).ends(0);
        let runs: Vec<_> = listed
            .lines()
            .into_iter()
            .filter(|l| l["kind"] == "run")
            .collect();
        let begun = runs.first().is_some_and(|run| run["workflow"] == "w");
        let resumed = f.run(&[&["resume", "-y"][..], &state].concat());
        if begun {
            stopped += 1;
            let _ = resumed.ends(0);
        } else {
            let _ = resumed.ends_among(&[1, 64]);
        }
        std::fs::remove_dir_all(f.path("disk/state")).expect("removed");
    }
    assert!(stopped > 0, "no size stopped a run in its middle");
    disk.remount("ro");
    f.run(&[&RUN[..], &state].concat())
        .ends(1)
        .err_has("disk/state")
        .err_has("--state");
}
