//! What other processes tell a run: answers to its gates, and cancels.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use r5flow::store::{InboxItem, InboxKind, StateDir};
use r5flow::world::Timestamp;
use serde_json::Value as Json;

use crate::harness::Folder;

/// A gate and nothing else: no request is ever sent.
const GATE: &str = "workflow gate {
  step yes = approve \"May it go on?\"
  output by = yes.by
}
";

/// No request is ever sent to it.
const NOWHERE: [&str; 3] = ["-y", "--endpoint", "compute=http://127.0.0.1:9"];

/// No test waits longer for anything.
const AT_MOST: Duration = Duration::from_secs(30);

fn until(what: &str, mut true_now: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !true_now() {
        assert!(begun.elapsed() < AT_MOST, "{what}");
        std::thread::yield_now();
    }
}

/// A run that stands at its gate, driven by nobody.
fn paused(flow: &str) -> (Folder, String) {
    let f = Folder::new(&[("gate.r5flow", flow)]);
    let _ = f
        .run(&[&["run", "gate.r5flow"][..], &NOWHERE].concat())
        .ends(6);
    let id = listed(&f)[0]["id"].as_str().expect("an id").to_owned();
    (f, id)
}

fn listed(f: &Folder) -> Vec<Json> {
    f.run(&["runs", "--json"]).ends(0).lines().split_off(1)
}

#[test]
fn the_same_answer_again_is_fine_and_the_contrary_is_refused() {
    for resumed in [false, true] {
        let (f, id) = paused(GATE);
        f.run(&["approve", &id, "yes", "--note", "go"])
            .ends(0)
            .out_has("`yes` approved: May it go on?");
        if resumed {
            let _ = f.run(&["resume", "-y"]).ends(0).out_has("by = \"ada\"");
        }
        f.run(&["approve", &id, "yes"])
            .ends(0)
            .out_has("`yes` was approved already, by ada on ");
        f.run(&["approve", &id, "yes", "--deny"])
            .ends(64)
            .err_has("`yes` was approved before, by ada on ")
            .err_has("the first answer stands");
    }
}

#[test]
fn who_started_resumed_and_answered_is_shown_with_host_and_time() {
    let (f, id) = paused(GATE);
    let bob = [("USER", "bob")];
    let _ = f
        .run_with(
            &["approve", &id, "yes", "--deny", "--note", "not now"],
            &bob,
            "",
        )
        .ends(0);
    let _ = f
        .run_with(&["resume", "-y"], &[("USER", "eve")], "")
        .ends(1);
    let shown = f.run(&["runs", &id]).ends(0);
    let host = r5flow::world::Machine::here().host;
    for (word, who) in [("began ", "ada"), ("resumed ", "eve"), ("denied by", "bob")] {
        let line = shown
            .out
            .lines()
            .find(|l| l.contains(word))
            .unwrap_or_default();
        assert!(
            line.contains(&format!("by {who} on {host}")),
            "{}",
            shown.out
        );
        assert!(line.contains(" UTC"), "{line}");
    }
    assert!(shown.out.contains("not now"), "{}", shown.out);
}

#[test]
fn an_answer_to_another_text_does_not_count() {
    let (f, id) = paused(GATE);
    let events = f.run(&["runs", &id, "--json"]).ends(0).lines();
    let asked = events
        .iter()
        .find(|e| e["event"] == "asked")
        .expect("a question");
    let hash = asked["hash"].as_str().expect("a hash");
    let state = StateDir::open(f.path(".r5flow")).expect("a state directory");
    let inbox = state
        .open_run(&id)
        .and_then(|run| run.inbox())
        .expect("an inbox");
    let other = InboxItem {
        key: format!("yes#{}", hash.replace(|c: char| c.is_ascii_digit(), "f")),
        kind: InboxKind::Approve,
        by: "bob".into(),
        host: "there".into(),
        note: String::new(),
        at: Timestamp::now(),
        text_hash: "of another text".into(),
    };
    let _ = inbox.post(&other).expect("posted");
    let same_gate = InboxItem {
        key: format!("yes#{hash}"),
        ..other
    };
    let _ = inbox.post(&same_gate).expect("posted");
    let _ = f.run(&["resume", "-y"]).ends(6);
}

#[test]
fn an_expired_gate_takes_no_answer_and_is_asked_anew() {
    let flow = GATE.replace("go on?\"", "go on?\"\n    expires 1s");
    let (f, id) = paused(&flow);
    let events = f.run(&["runs", &id, "--json"]).ends(0).lines();
    let asked = events
        .iter()
        .find(|e| e["event"] == "asked")
        .expect("a question");
    let expires = asked["expires"].as_i64().expect("a moment");
    until("time stands still", || Timestamp::now().0 > expires);
    f.run(&["approve", &id, "yes"])
        .ends(64)
        .err_has("the gate `yes` expired at ")
        .err_has("asks again");
    let _ = f.run(&["resume", "-y"]).ends(1).err_has("expired");
    f.run(&["approve", &id, "yes"])
        .ends(64)
        .err_has("asks again");
    // The next question is a new one.
    let _ = f.run(&["resume", "-y"]).ends(6);
}

fn start(f: &Folder, words: &[&str]) -> Child {
    let mut command = f.command(words);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("a process")
}

/// A cancel is heard from the first record of a process on, also while it only waits.
#[test]
fn a_cancel_is_heard_at_once_and_told() {
    let f = Folder::new(&[(
        "slow.r5flow",
        "workflow slow {\n  step long = wait 20s\n}\n",
    )]);
    let mut words = [&["run", "slow.r5flow"][..], &NOWHERE].concat();
    for round in 0..2 {
        let mut child = start(&f, &words);
        let driven = || {
            listed(&f)
                .first()
                .is_some_and(|run| run["status"] == "not ended")
        };
        until("it never began", || f.path(".r5flow").exists() && driven());
        let id = listed(&f)[0]["id"].as_str().expect("an id").to_owned();
        f.run_with(&["cancel", &id], &[("USER", "bob")], "")
            .ends(0)
            .out_has("was asked to stop");
        let asked = Instant::now();
        assert_eq!(
            child.wait().expect("an end").code(),
            Some(8),
            "round {round}"
        );
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
        let host = r5flow::world::Machine::here().host;
        f.run(&["runs", &id])
            .ends(0)
            .out_has(&format!("cancelled: by bob on {host} at 20"));
        words = [&["resume"][..], &NOWHERE].concat();
    }
}

#[test]
fn nobody_hears_a_cancel_of_a_run_whose_process_died() {
    let f = Folder::new(&[(
        "slow.r5flow",
        "workflow slow {\n  step long = wait 20s\n}\n",
    )]);
    let mut child = start(&f, &[&["run", "slow.r5flow"][..], &NOWHERE].concat());
    until("it never began", || {
        f.path(".r5flow").exists() && listed(&f).iter().any(|run| run["workflow"] == "slow")
    });
    child.kill().expect("killed");
    let _ = child.wait();
    let id = listed(&f)[0]["id"].as_str().expect("an id").to_owned();
    f.run(&["cancel", &id])
        .ends(64)
        .err_has("the last one died")
        .err_has(&format!("r5flow resume {id}"));
}
