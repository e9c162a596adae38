//! What durability costs, counted by the store: commits, each with one sync.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use r5flow::catalog::Catalog;
use r5flow::check::names::FlowId;
use r5flow::cli::hooks::RhaiHooks;
use r5flow::journal::{Event, RunStatus, State};
use r5flow::plan::{Graph, Memo};
use r5flow::run::{
    Core, Embedded, GateAnswer, GateQuestion, InboxSource, Local, Mode, Observer, Parts, Settings,
    drive,
};
use r5flow::sim::SimWire;
use r5flow::store::{Key, StateDir, Vault};
use r5flow::world::Timestamp;
use r5flow::world::clock::{Clock, VirtualClock};

use crate::process;

/// How many commits a flow takes, without a first and a last event.
fn commits(text: &str) -> u64 {
    let program = process::program(text);
    let checked = process::checked(&program);
    let folder = tempfile::tempdir().expect("a directory");
    let state = StateDir::open(folder.path()).expect("a state directory");
    let run = state
        .create_run("0198c0de-0000-7000-8000-000000000001")
        .expect("a run");
    let committer = run.committer().expect("a writer");
    let counted = committer.commits();
    let clock: Rc<dyn Clock> = Rc::new(VirtualClock::new(process::START));
    let (_stop, stops) = tokio::sync::mpsc::unbounded_channel();
    let cloud = Rc::new(RefCell::new(process::cloud()));
    let mut engine = Embedded::new(Parts {
        journal: Box::new(committer),
        next_seq: 1,
        vault: Rc::new(Vault::empty(Key::new([7; 32]))),
        wire: Rc::new(SimWire::new(cloud, Rc::clone(&clock))),
        clock: Rc::clone(&clock),
        hooks: Rc::new(RhaiHooks::of(&program)),
        inbox: Rc::new(Nobody),
        observer: Rc::new(Silent),
        stops,
    });
    let memo = Memo::default();
    let graph = Graph::build(&checked.names, FlowId(0), BTreeMap::new(), &memo).expect("a graph");
    let mut core = Core::new(
        graph,
        memo,
        State::default(),
        Catalog::embedded(),
        Settings::new(Mode::Run),
        Rc::new(Silent),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let end = runtime
        .block_on(drive(&mut core, &mut engine, clock.now()))
        .expect("a journal that takes everything");
    assert_eq!(end.status, RunStatus::Done, "{:?}", end.failures);
    drop(engine);
    counted.load(Ordering::Relaxed)
}

struct Silent;

impl Observer for Silent {
    fn recorded(&self, _: &Event, _: Timestamp) {}
}

struct Nobody;

impl InboxSource for Nobody {
    fn ask(&self, _: GateQuestion) -> Local<'_, GateAnswer> {
        Box::pin(std::future::pending())
    }

    fn patient(&self) -> bool {
        false
    }
}

const HOOK: &str = "hook same(value: any, second: any) -> any = \"\"\"rhai\nvalue\n\"\"\"\n\n";

#[test]
fn a_hook_step_is_one_commit() {
    let mut text = format!("{HOOK}workflow main {{\n  step s0 = hook same(1, 2)\n");
    for n in 1..50 {
        let _ = writeln!(text, "  step s{n} = hook same(s{}, 2)", n - 1);
    }
    text.push_str("}\n");
    assert_eq!(commits(&text), 50);
}

#[test]
fn a_call_that_changes_something_is_two() {
    let mut text = String::from("workflow main {\n  at { project: \"demo\" }\n");
    for n in 0..10 {
        let after = if n == 0 {
            String::new()
        } else {
            format!("\n    after s{}", n - 1)
        };
        let _ = writeln!(
            text,
            "  step s{n} = ensure compute.globalAddresses(\"a-{n}\") {{}}{after}"
        );
    }
    text.push_str("}\n");
    assert_eq!(commits(&text), 20);
}

#[test]
fn what_runs_at_one_time_shares_commits() {
    let mut text = format!("{HOOK}workflow main {{\n");
    for n in 0..400 {
        let _ = match n {
            0..40 => writeln!(text, "  step s{n} = hook same({n}, 1)"),
            _ => writeln!(
                text,
                "  step s{n} = hook same(s{}, s{})",
                n - 40,
                n / 40 * 40 - 1
            ),
        };
    }
    text.push_str("}\n");
    let commits = commits(&text);
    assert!(commits * 4 <= 400, "{commits} commits for 400 steps");
}
