//! What flows mean where it is easy to get wrong: values that are known later, assertions in loops,
//! `it` in arguments, what is left absent, events of several workflows.

use serde_json::{Value as Json, json};

use r5flow::spec::{Left, Played};

use crate::rig;
use r5flow::journal::RunStatus;

fn run(text: &str) -> Played {
    let program = rig::program(text);
    let checked = rig::checked(&program);
    let case = rig::case(&checked, &json!({}));
    let ran = rig::play(&case, Left::fresh(rig::cloud()));
    assert!(
        ran.is_done(),
        "{:#?}\n{}",
        ran.end,
        rig::dump(&ran.left.journal)
    );
    ran
}

fn output(ran: &Played, name: &str) -> Json {
    let end = ran.end.as_ref().expect("it ended");
    end.outputs[name].to_json()
}

const ECHO: &str = "hook echo(x: string) -> string = \"\"\"rhai\n  x\n  \"\"\"\n";

/// `in` and `==` over lists that hold later values once took the wrong branch, for good.
#[test]
fn lists_with_values_known_later_decide_nothing() {
    let ran = run(&format!(
        "{ECHO}
workflow main {{
  step a = hook echo(\"x\")
  if \"x\" in [a, \"y\"] {{
    step inside = hook echo(\"taken\")
  }} else {{
    step outside = hook echo(\"wrong\")
  }}
  if [a] == [\"x\"] {{
    step same = hook echo(\"same\")
  }}
  let joined = join([a, \"z\"], \"+\")
  output branch = inside ?? outside
  output same = same
  output joined = joined
}}
"
    ));
    assert_eq!(output(&ran, "branch"), "taken");
    assert_eq!(output(&ran, "same"), "same");
    assert_eq!(output(&ran, "joined"), "x+z");
}

/// An assertion holds back its own iteration, and what stands below the loop.
#[test]
fn an_assertion_in_a_loop_does_not_line_the_iterations_up() {
    let ran = run("
workflow main {
  at { project: \"demo\" }
  for k in [\"a\", \"b\"] {
    step address = ensure compute.globalAddresses(\"x-${k}\") { addressType: \"EXTERNAL\" }
    assert address.name != \"\"
    step check = ensure compute.healthChecks(\"x-${k}\") { type: \"TCP\", tcpHealthCheck: { port: 80 } }
  }
  step last = ensure compute.globalAddresses(\"last\") { addressType: \"EXTERNAL\" }
}
");
    let began = |address: &str| began(&ran, address);
    assert_eq!(began("address[\"a\"]"), began("address[\"b\"]"));
    assert!(
        began("last") > began("address[\"a\"]"),
        "below the loop all assertions count"
    );
}

fn began(ran: &Played, address: &str) -> i64 {
    let finished = ran.left.journal.iter().find_map(|entry| {
        let event: Json = serde_json::from_str(&entry.body).expect("JSON");
        let ours = event["event"] == "finished" && event["address"] == address;
        ours.then(|| event["began"].as_i64().expect("a moment"))
    });
    finished.unwrap_or_else(|| panic!("{address} never finished"))
}

#[test]
fn it_may_stand_in_the_arguments_of_a_call() {
    let ran = run("
workflow main {
  at { project: \"demo\", zone: \"us-central1-a\" }
  step disk = call compute.instances.setDiskAutoDelete(
    \"stream-manager-1\", deviceName: one(d in it.disks where d.boot).deviceName, autoDelete: false,
  )
  output kept = not one(d in disk.disks where d.boot).autoDelete
}
");
    assert_eq!(output(&ran, "kept"), true);
}

#[test]
fn what_is_absent_may_be_left_so() {
    let ran = run("
workflow main {
  at { project: \"demo\" }
  step check = ensure compute.healthChecks(\"nobody\") { type: \"TCP\", tcpHealthCheck: { port: 80 } }
    on absent continue
  output there = check != null
}
");
    assert_eq!(output(&ran, "there"), false);
    assert!(ran.left.stage.deeds().is_empty());
}

/// Two workflows with a checkpoint of one name once wrote to one address.
#[test]
fn notices_of_several_workflows_have_addresses_of_their_own() {
    let ran = run(&format!(
        "{ECHO}
workflow part {{
  input k: string
  step a = hook echo(k)
  checkpoint ready
  output a = a
}}

workflow main {{
  for k in [\"a\", \"b\"] {{
    step take = run part {{ k }}
  }}
  upon checkpoint_reached as c {{
    step tell = hook echo(c.name)
  }}
  output all = [t.a for t in take]
}}
"
    ));
    for k in ["a", "b"] {
        began(
            &ran,
            &format!("tell[\"checkpoint_reached:take[\\\"{k}\\\"]/ready\"]"),
        );
    }
}

/// What the inputs decide is decided before anything runs.
#[test]
fn an_assertion_about_inputs_is_no_step() {
    let program = rig::program("workflow main {\n  assert 1 == 1\n  step pause = wait 1s\n}\n");
    let checked = rig::checked(&program);
    let case = rig::case(&checked, &json!({}));
    let ran = rig::play(&case, Left::fresh(rig::cloud()));
    assert_eq!(ran.end.as_ref().map(|e| e.status), Ok(RunStatus::Done));
    assert!(
        ran.left
            .journal
            .iter()
            .all(|e| !e.body.contains("\"address\":\"assert")),
        "{}",
        rig::dump(&ran.left.journal)
    );
}
