//! `r5flow test`: the tests of the shipped flows, and what is told of tests that fail.

use std::path::Path;

use crate::docs;
use crate::harness::Folder;

/// A flow that takes an address, with a secret.
const FRONT: &str = "workflow front {
  input kind: \"EXTERNAL\" | \"INTERNAL\" = \"EXTERNAL\"
  secret input password: string = \"none at all\"
  at { project: \"demo\" }
  step ip = ensure compute.addresses(\"front\", region: \"us-central1\") { addressType: kind }
  step user = call sqladmin.users.insert(instance: \"red5\") { name: \"ann\", password }
    after ip
    on failure continue
  step good = approve \"Is ${ip.address} right?\"
    after user
  output kind = kind
}
";

fn tests(blocks: &str) -> Folder {
    let file = format!("use ./front {{ front }}\n\n{blocks}");
    let folder = Folder::new(&[("front.r5flow", FRONT), ("tests.r5flow", &file)]);
    std::fs::create_dir(folder.path("more")).expect("a folder");
    folder.write("more/none.r5flow", FRONT);
    folder
}

#[test]
fn every_test_of_the_shipped_flows_passes() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows");
    let said = Folder::new(&[]).run(&["test", shipped.to_str().expect("a path")]);
    let _ = said.ends(0).out_has("all passed");
}

#[test]
fn every_test_in_the_docs_passes() {
    let mut run = 0;
    for page in ["docs/language.md", "docs/flow-tests.md"] {
        for block in docs::blocks(Path::new(page)) {
            if block.words.is_empty() && block.text.contains("\ntest \"") {
                let folder = Folder::new(&[("flow.r5flow", &*block.text)]);
                let _ = folder.run(&["test", "flow.r5flow"]).ends(0);
                run += 1;
            }
        }
    }
    assert_eq!(run, 3, "blocks with tests");
}

/// A step is named with its key, without one, and through the step that runs it; a step that reads is struck when it reads.
#[test]
fn a_fault_strikes_the_calls_of_the_step_that_it_names() {
    let flow = "workflow two {
  for region in [\"us-central1\", \"us-east1\"] {
    step ip = ensure compute.addresses(\"two\", region, project: \"demo\") {}
  }
  step place = read compute.regions(\"us-east1\", project: \"demo\")
    after ip
}
workflow outer {
  step inner = run two {}
}
";
    // The workflow, the step, how many calls it costs, and who fails.
    let cases = [
        ("two", "ip[\"us-east1\"]", "ip[\\\"us-east1\\\"]"),
        (
            "outer",
            "inner.ip[\"us-east1\"]",
            "inner/ip[\\\"us-east1\\\"]",
        ),
    ];
    for (workflow, step, failed) in cases {
        let test = format!(
            "test \"t\" {{
  fault operation_fails on step {step} {{ error: \"QUOTA_EXCEEDED\" }}
  run {workflow} as r
  expect [f.step for f in r.failures] == [\"{failed}\"]
  run {workflow} as again
  expect again.status == \"done\"
}}
"
        );
        let folder = Folder::new(&[("flow.r5flow", &*format!("{flow}\n{test}"))]);
        let _ = folder.run(&["test", "flow.r5flow"]).ends(0);
    }
    for (workflow, step) in [("two", "ip"), ("outer", "inner"), ("outer", "inner.ip")] {
        let test = format!(
            "test \"t\" {{
  fault unavailable on step {step} {{ times: 2 }}
  run {workflow} as r
  expect r.status == \"done\"
  expect len(r.calls) == 4 and count(c in r.calls where c.status == 503) == 2
}}
"
        );
        let folder = Folder::new(&[("flow.r5flow", &*format!("{flow}\n{test}"))]);
        let _ = folder.run(&["test", "flow.r5flow"]).ends(0);
    }
    let test = "test \"t\" {
  run two as quick
  fault slow on step place { delay: 1m }
  run two as r
  expect r.elapsed >= 1m and r.elapsed < 2m and quick.elapsed < 1m
  expect len(r.calls) == 0
}
";
    let folder = Folder::new(&[("flow.r5flow", &*format!("{flow}\n{test}"))]);
    let _ = folder.run(&["test", "flow.r5flow"]).ends(0);
}

/// What `check` says of the workflow, and what the policies say of its plan; those of another stay out.
#[test]
fn a_run_tells_its_findings() {
    let flow = r#"policy unnamed on compute.Address as a {
  warning at a.description when a.description == ""
    "Say what ${a.name} is for."
  error at a.description when a.description == "secret"
    "That is no description."
}

workflow one {
  input why: string
  step ip = ensure compute.globalAddresses("one", project: "demo") { description: why }
}

workflow idle {
  step ip = ensure compute.globalAddresses("idle", project: "demo") { description: "x" }
    allow unnamed "It has one."
  step out = wait 1m
    when true
}

test "t" {
  run one { why: "" } as r
  expect r.status == "done"
  expect r.findings == [{
    code: "R0901"
    policy: "unnamed"
    severity: "warning"
    message: "Say what one is for"
  }]
  run one { why: "secret" } as no
  expect no.status == "refused" and no.calls == [] and no.error.message == "That is no description"
  expect cloud.compute.globalAddresses["one"].description == ""
  run one { why: "front" } as changed
  expect changed.findings == []
}
"#;
    let folder = Folder::new(&[("flow.r5flow", flow)]);
    let _ = folder.run(&["test", "flow.r5flow"]).ends(0);
}

#[test]
fn a_test_runs_workflows_one_after_the_other_in_one_cloud() {
    let folder = tests(
        "test \"once\" {
  fault answer_lost on compute.addresses.insert
  answer good approve after 10m
  run front {} as r
  expect r.status == \"done\" and r.elapsed >= 10m and r.elapsed < 20m
  expect r.steps[\"ip\"].verdict == \"created\"
  expect count(c in r.calls where c.method == \"compute.addresses.insert\" and c.took_effect) == 1
  expect any(e in r.events: e.event == \"asked\" and e.step == \"good\")
  expect cloud.compute.addresses[\"us-central1/front\"].addressType == \"EXTERNAL\"
  answer good deny
  run front {} as again
  expect again.steps[\"ip\"].verdict == \"adopted\"
  expect again.status == \"failed\" and again.error.class == \"denied\" and again.error.step == \"good\"
}

test \"in another cloud\" {
  given { disabled_apis: [\"compute.googleapis.com\"] }
  run front {} as r
  expect r.status == \"lacks permission\"
  expect cloud.compute.addresses == {}
}
",
    );
    let said = folder.run(&["test"]).ends(0);
    let _ = said
        .out_has("tests.r5flow\n  ok    once (")
        .out_has("  ok    in another cloud (")
        .out_has("2 tests, all passed\n");
    let said = folder
        .run(&["test", "--only", "another", "tests.r5flow"])
        .ends(0);
    let _ = said.out_has("1 test, all passed").never_has("once");
    let _ = folder
        .run(&["test", "more"])
        .ends(64)
        .err_has("there is no test here");
    let _ = folder.run(&["test", "--only", "nothing"]).ends(64);
}

/// The answer to the last request of a run comes later than the request; so does what it tells.
#[test]
fn the_cloud_of_a_test_is_as_it_was_when_the_run_ended() {
    let folder = tests(
        "workflow gone {
  step ip = call compute.addresses.delete(\"front\", project: \"demo\", region: \"us-central1\")
}

test \"gone\" {
  run front {}
  run gone as r
  expect r.status == \"done\" and cloud.compute.addresses == {}
}
",
    );
    let _ = folder.run(&["test"]).ends(0).out_has("all passed");
}

#[test]
fn a_failure_shows_both_sides_and_no_secret() {
    let folder = tests(
        "test \"red\" {
  run front { password: \"hunter2-hunter2\" } as r
  expect r.status == \"done\" and r.elapsed < 1m
  expect count(c in r.calls where c.took_effect) == 1
  expect all(c in r.calls: c.method != \"sqladmin.users.insert\")
  expect r.outputs == { kind: \"INTERNAL\" }
  expect [c.body.password for c in r.calls where c.method == \"sqladmin.users.insert\"] == []
  expect r.error.class == \"denied\"
}

test \"green\" {
  run front {} as r
  expect r.status == \"done\"
}
",
    );
    let said = folder.run(&["test", "--junit", "junit.xml"]).ends(1);
    let _ = said
        .out_has("  FAIL  red (")
        .out_has("expected: < 1m\n        actual:   5m")
        .out_has("expected: 1\n        actual:   2\n        counted:\n")
        .out_has("it does not hold for\n          sqladmin.users.insert projects/demo/instances/red5/users/ann")
        .out_has("-  \"kind\": \"INTERNAL\"\n        +  \"kind\": \"EXTERNAL\"")
        .out_has("+  \"•••\"")
        .out_has("this is null, so it has no `class`")
        .out_has("  ok    green (")
        .out_has("2 tests, 1 failed")
        .never_has("hunter2");
    let text = folder.read("junit.xml");
    assert!(
        text.contains("<testsuites name=\"r5flow\" tests=\"2\" failures=\"1\">"),
        "{text}"
    );
    assert!(
        text.contains("<testcase name=\"green\" classname=\"tests.r5flow\""),
        "{text}"
    );
    assert_eq!(text.matches("<failure type=\"R1001\"").count(), 6, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let said = folder.run(&["test", "--json"]).ends(1);
    let said = said.never_has("hunter2");
    let lines = said.lines();
    assert_eq!(lines[0]["kind"], "test");
    assert_eq!(lines[1]["passed"], false);
    assert_eq!(lines[1]["findings"].as_array().map(Vec::len), Some(6));
    assert_eq!(lines[3], serde_json::json!({ "tests": 2, "failed": 1 }));
}

#[test]
fn what_is_no_scenario_is_told_where_it_is_given() {
    let folder = tests(
        "test \"nowhere\" {
  given { quotas: { nowhere: { CPUS: 1 } } }
  run front {} as r
  expect r.status == \"done\"
}

test \"no file\" {
  given \"none.toml\"
  run front {} as r
  expect r.status == \"done\"
}
",
    );
    let _ = folder
        .run(&["test"])
        .ends(1)
        .out_has("this is no scenario: quotas of `nowhere`: there is no such region")
        .out_has("the scenario none.toml: ");
    folder.write("none.toml", "[operator]\napproves_after = \"1m\"\n");
    let _ = folder.run(&["test", "--only", "no file"]).ends(0);
}

#[test]
fn a_flow_with_a_mistake_is_not_tested() {
    let folder =
        tests("test \"wrong\" {\n  run front {} as r\n  expect r.statuss == \"done\"\n}\n");
    let _ = folder
        .run(&["test"])
        .ends(3)
        .err_has("did you mean `status`?");
    let _ = folder
        .run(&["test", "--input", "a=b"])
        .ends(64)
        .err_has("a test block says its inputs itself");
}
