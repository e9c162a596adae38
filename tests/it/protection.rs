//! Rollbacks from the command line, and what is not deleted unless somebody says so.

use std::collections::BTreeMap;
use std::rc::Rc;

use r5flow::catalog::Catalog;
use r5flow::journal::{Event, State};
use r5flow::plan::{Graph, Memo};
use r5flow::run::{Core, Effect, Mode, Observer, Reply, Settings, TaskId};
use r5flow::wire::{Answer, NoAnswer, Verb};
use r5flow::world::Timestamp;

use crate::harness::Folder;
use crate::process;

const MAKE: &str = "workflow make {
  at { project: \"demo\" }
  step web = ensure compute.networks(\"web\") { autoCreateSubnetworks: false }
  step check = ensure compute.healthChecks(\"probe\") { type: \"TCP\", tcpHealthCheck: { port: 80 } }
    after web
}
";

const REMOVE: &str = "workflow remove {
  at { project: \"demo\" }
  step gone = call compute.healthChecks.delete(\"probe\")
}
";

const PROJECT: &str = "[environments.live]\nprotected = true\n";

fn folder() -> Folder {
    Folder::new(&[
        ("make.r5flow", MAKE),
        ("remove.r5flow", REMOVE),
        ("r5flow.toml", PROJECT),
    ])
}

fn newest(f: &Folder) -> serde_json::Value {
    f.run(&["runs", "--json"]).ends(0).lines()[1].clone()
}

#[test]
fn nothing_is_deleted_in_a_protected_environment_by_yes_alone() {
    let f = folder();
    let make = ["run", "make.r5flow", "--sim", "-y", "--env", "live"];
    let _ = f.run(&make).ends(0);
    let made = newest(&f)["id"].as_str().expect("an id").to_owned();
    let remove = ["run", "remove.r5flow", "--sim", "-y", "--env", "live"];
    let _ = f
        .run(&remove)
        .ends(7)
        .err_has("`live` is protected")
        .err_has("--destroy live");
    assert_eq!(newest(&f)["id"], made.as_str(), "no run began");
    let plan = f.run(&["plan", "remove.r5flow", "--sim", "--json"]).ends(0);
    let lines = plan.lines();
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["destroys"], serde_json::json!(["gone"]));
    let other = [&remove[..], &["--destroy", "test"]].concat();
    let _ = f.run(&other).ends(7);
    let back = ["rollback", &made, "-y"];
    let _ = f.run(&back).ends(7).err_has("--destroy live");
    let said = [&back[..], &["--destroy", "live"]].concat();
    let _ = f.run(&said).ends(0).err_has("2 calls undone");
    assert_eq!(newest(&f)["status"], "rolled back");
    // Nothing is protected elsewhere.
    let _ = f.run(&["run", "make.r5flow", "--sim", "-y"]).ends(0);
    let _ = f.run(&["run", "remove.r5flow", "--sim", "-y"]).ends(0);
}

#[test]
fn a_rollback_asks_and_is_over_once() {
    let f = folder();
    let _ = f.run(&["run", "make.r5flow", "--sim", "-y"]).ends(0);
    let id = newest(&f)["id"].as_str().expect("an id").to_owned();
    let _ = f
        .run(&["rollback", &id])
        .ends(6)
        .err_has("healthChecks/probe")
        .err_has("--yes");
    let dry = f.run(&["rollback", &id, "--dry-run", "--json"]).ends(0);
    let kinds: Vec<String> = dry
        .lines()
        .iter()
        .map(|l| l["kind"].as_str().expect("a kind").to_owned())
        .collect();
    assert_eq!(kinds, ["rollback", "undo", "undo", "summary"]);
    assert_eq!(newest(&f)["status"], "done");
    let _ = f
        .run(&["rollback", &id, "-y", "--to", "nowhere"])
        .ends(64)
        .err_has("has not reached the checkpoint `nowhere`");
    let _ = f.run(&["rollback", &id, "-y"]).ends(0);
    let _ = f
        .run(&["rollback", &id, "-y"])
        .ends(0)
        .err_has("rolled back already");
    let _ = f
        .run(&["resume", &id, "-y"])
        .ends(64)
        .err_has("was rolled back");
    // Begun anew, everything is made anew.
    let _ = f
        .run(&["run", "make.r5flow", "--sim", "-y"])
        .ends(0)
        .err_has("web: created");
}

#[test]
fn a_killed_run_is_rolled_back_and_a_killed_rollback_resumes() {
    let f = folder();
    let dies = |words: &[&str], point: &str| {
        let mut command = f.command(words);
        command.env("R5FLOW_FAILPOINT", point);
        let status = command.output().expect("a process").status;
        assert!(!status.success(), "it died at {point}");
    };
    dies(
        &["run", "make.r5flow", "--sim", "-y"],
        "answer-unrecorded:compute.healthChecks.insert",
    );
    let id = newest(&f)["id"].as_str().expect("an id").to_owned();
    let _ = f
        .run(&["rollback", &id, "--dry-run"])
        .ends(0)
        .err_has("finds out first");
    dies(
        &["rollback", &id, "-y"],
        "answer-unrecorded:compute.networks.delete",
    );
    let _ = f
        .run(&["resume", &id, "-y"])
        .ends(0)
        .err_has("2 calls undone");
    let plan = f.run(&["plan", "make.r5flow", "--sim", "--json"]).ends(0);
    let summary = plan.lines().last().expect("a summary").clone();
    assert_eq!(summary["counts"]["create"], 2, "{summary}");
}

#[test]
fn a_step_may_not_delete_what_another_protects() {
    let text = "workflow both {
  at { project: \"demo\" }
  step kept = ensure compute.globalAddresses(\"front\") {}
    protect
  step gone = call compute.globalAddresses.delete(\"front\")
    after kept
}
";
    let f = Folder::new(&[("both.r5flow", text)]);
    let _ = f
        .run(&["run", "both.r5flow", "--sim", "-y"])
        .ends(1)
        .err_has("`compute.globalAddresses.delete` would delete what `kept` protects");
    let plan = f
        .run(&["plan", "both.r5flow", "--sim"])
        .ends_among(&[0, 1, 3]);
    assert!(
        format!("{}{}", plan.out, plan.err).contains("would delete what `kept` protects"),
        "{plan:?}"
    );
}

#[test]
fn marks_tell_whose_it_is_and_make_no_difference() {
    let text = "workflow disks {
  at { project: \"demo\" }
  step disk = ensure compute.disks(\"d\", zone: \"us-central1-a\") { sizeGb: 10, labels: { role: \"x\" } }
  output labels = disk.labels
}
";
    let f = Folder::new(&[("disks.r5flow", text)]);
    let run = ["run", "disks.r5flow", "--sim", "-y", "--env", "Live EU"];
    let first = f.run(&run).ends(0);
    let id = newest(&f)["id"].as_str().expect("an id").to_owned();
    let first = first.out_has(&format!("\"r5flow-run\": \"{id}\""));
    let _ = first.out_has("\"r5flow-environment\": \"live-eu\"");
    let plan = f
        .run(&["plan", "disks.r5flow", "--sim", "--detailed-exitcode"])
        .ends(0);
    drop(plan);
    // A second run leaves the marks of the first.
    let _ = f.run(&run).ends(0).out_has(&id);
    let bare = Folder::new(&[("disks.r5flow", text), ("r5flow.toml", "marks = false\n")]);
    let _ = bare.run(&run).ends(0).never_has("r5flow-run");
}

struct Quiet;
impl Observer for Quiet {}

/// A run that stops while it waits to send once more what never left.
#[test]
fn an_intent_that_never_left_is_voided_when_the_run_stops() {
    let program = process::program(
        "workflow main {\n  at { project: \"demo\" }\n  step net = ensure compute.networks(\"n\") {}\n}\n",
    );
    let checked = process::checked(&program);
    let flow = checked
        .names
        .flows_of(program.root().id)
        .next()
        .expect("a flow");
    let memo = Memo::default();
    let graph = Graph::build(&checked.names, flow.id, BTreeMap::new(), &memo).expect("a graph");
    let mut core = Core::new(
        graph,
        memo,
        State::default(),
        Catalog::embedded(),
        Settings::new(Mode::Run),
        Rc::new(Quiet),
    );
    let now = Timestamp(1_795_000_000_000);
    let mut effects = core.start(now);
    let mut asleep: Option<TaskId> = None;
    for _ in 0..20 {
        let Some((task, effect)) = effects.pop() else {
            break;
        };
        let reply = match effect {
            Effect::Append(_) => Reply::Appended,
            Effect::Send { request, .. } if request.verb == Verb::Get => {
                let body =
                    br#"{"error":{"code":404,"message":"no","errors":[{"reason":"notFound"}]}}"#;
                Reply::Answered(Ok(Answer {
                    status: 404,
                    headers: Vec::new(),
                    body: body.to_vec(),
                }))
            }
            Effect::Send { .. } => Reply::Answered(Err(NoAnswer::NotSent("no way there".into()))),
            Effect::Sleep { .. } => {
                asleep = Some(task);
                break;
            }
            other => panic!("{other:?}"),
        };
        effects = core.on(task, reply, now);
    }
    let task = asleep.expect("it waits to try again");
    let effects = core.stop(now);
    let [(who, Effect::Append(events))] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(
        matches!(events[..], [Event::Voided { call: 1, .. }]),
        "{events:?}"
    );
    assert_eq!(*who, task);
    assert!(core.is_busy());
    // The sleep that nobody waits for any more is no answer.
    assert!(core.on(task, Reply::Woke, now).is_empty());
    assert!(core.is_busy());
    let rest = core.on(task, Reply::Appended, now);
    assert!(rest.is_empty() && !core.is_busy(), "{rest:?}");
}
