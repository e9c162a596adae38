//! What people type: exit codes and words of every command.

use crate::harness::Folder;
use serde_json::json;

const GOOD: &str = "workflow addresses {
  input project: string
  input names: list<string> = [\"one\"]

  at { project }

  for name in names {
    step address = ensure compute.globalAddresses(name)
  }

  checkpoint reserved

  output count = len(names)
}
";

const WRONG: &str = "workflow w {
  input project: string
  at { project }
  step image = ensure compute.imags(\"a\")
}
";

/// Asks a person in the middle.
const GATED: &str = "workflow gated {
  input project: string
  at { project }
  step address = ensure compute.globalAddresses(\"gate\")

  checkpoint before

  step yes = approve \"May ${address.name} be used?\"
  step more = ensure compute.globalAddresses(\"more\")
    after yes
  output by = yes.by
}
";

const TWO: &str = "workflow one {
  step a = wait 1s
}

workflow other {
  step b = wait 1s
}
";

/// Fails when it looks for a machine that is not there.
const FAILS: &str = "workflow fails {
  input project: string
  at { project }
  step address = ensure compute.globalAddresses(\"kept\")
  step vm = read compute.instances(\"nobody\", zone: \"us-central1-a\")
    after address
}
";

const SECRET: &str = "workflow s {
  input project: string
  secret input password: string
  at { project }
  step template = ensure compute.instanceTemplates(\"t\") {
    properties: {
      machineType: \"e2-small\"
      disks: [{ boot: true, initializeParams: { sourceImage: \"projects/debian-cloud/global/images/family/debian-12\" } }]
      networkInterfaces: [{ network: \"global/networks/default\" }]
      metadata: { items: [{ key: \"startup-script\", value: \"PASS=${password}\" }] }
    }
  }
  secret output given = password
}
";

const SIM: [&str; 4] = ["--sim", "-y", "--input", "project=demo"];

fn run<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["run", file][..], &SIM, more].concat()
}

fn ids(folder: &Folder) -> Vec<String> {
    let said = folder.run(&["runs", "--json"]).ends(0);
    let lines = said.lines();
    lines[1..]
        .iter()
        .map(|line| line["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[test]
fn misuse_is_64_and_help_is_0() {
    let f = Folder::new(&[]);
    f.run(&[]).ends(64).err_has("Usage: r5flow");
    f.run(&["bogus"])
        .ends(64)
        .err_has("unrecognized subcommand 'bogus'");
    f.run(&["check"]).ends(64).err_has("<FILE>");
    f.run(&["run", "a.r5flow", "--parallel", "0"]).ends(64);
    f.run(&["run", "a.r5flow", "--sim", "--endpoint", "http://x"])
        .ends(64);
    f.run(&["--help"]).ends(0).out_has("Look for mistakes");
    f.run(&["--version"]).ends(0).out_has("r5flow 0.1.0\n");
    f.run(&["check", "nothing.r5flow"])
        .ends(64)
        .err_has("`nothing.r5flow` cannot be read");
    f.run(&["completions", "bash"]).ends(0).out_has("_r5flow()");
}

#[test]
fn check_underlines_what_is_wrong() {
    let f = Folder::new(&[("good.r5flow", GOOD), ("wrong.r5flow", WRONG)]);
    let said = f.run(&["check", "good.r5flow"]).ends(0);
    assert_eq!(said.out, "no mistakes: 1 file\n");
    f.run(&["check", "wrong.r5flow", "good.r5flow"])
        .ends(3)
        .out_has("`compute` has no collection `imags`")
        .out_has("wrong.r5flow:4:31")
        .out_has("1 error: 2 files");
    f.run_with(&["check", "-"], &[], WRONG)
        .ends(3)
        .out_has("<stdin>:4:31");
}

#[test]
fn check_speaks_json_and_annotates() {
    let f = Folder::new(&[("wrong.r5flow", WRONG)]);
    let lines = f.run(&["check", "--json", "wrong.r5flow"]).ends(3).lines();
    assert_eq!(lines[0], json!({ "format": 1, "kind": "check" }));
    assert_eq!(
        (&lines[1]["kind"], &lines[1]["code"], &lines[1]["line"]),
        (&json!("diagnostic"), &json!("R0401"), &json!(4))
    );
    assert_eq!(
        lines[2],
        json!({ "kind": "summary", "files": 1, "errors": 1, "warnings": 0, "advice": 0 })
    );
    f.run_with(
        &["check", "wrong.r5flow"],
        &[("GITHUB_ACTIONS", "true")],
        "",
    )
    .ends(3)
    .out_has("::error file=wrong.r5flow,line=4,");
}

#[test]
fn colours_only_where_they_are_wanted() {
    let f = Folder::new(&[("wrong.r5flow", WRONG)]);
    f.run(&["check", "wrong.r5flow"]).ends(3).never_has("\x1b[");
    f.run(&["check", "wrong.r5flow", "--color", "always"])
        .ends(3)
        .out_has("\x1b[");
    f.run_with(
        &["check", "wrong.r5flow", "--color", "always"],
        &[("NO_COLOR", "1")],
        "",
    )
    .ends(3)
    .out_has("\x1b[");
}

#[test]
fn fmt_writes_checks_and_diffs() {
    let crooked = "workflow w {\nstep a = wait   1s\n}\n";
    let straight = "workflow w {\n  step a = wait 1s\n}\n";
    let f = Folder::new(&[("a.r5flow", crooked), ("broken.r5flow", "workflow {\n")]);
    f.run(&["fmt", "--check", "a.r5flow"])
        .ends(2)
        .out_has("a.r5flow would change");
    let said = f.run(&["fmt", "--diff", "a.r5flow"]).ends(0);
    assert!(
        said.out
            .contains("-step a = wait   1s\n+  step a = wait 1s\n"),
        "{}",
        said.out
    );
    f.run(&["fmt", "--diff", "--check", "a.r5flow"])
        .ends(2)
        .out_has("@@ ");
    assert_eq!(f.read("a.r5flow"), crooked);
    f.run(&["fmt", "a.r5flow", "broken.r5flow"])
        .ends(3)
        .err_has("does not parse");
    assert_eq!(f.read("a.r5flow"), straight);
    f.run(&["fmt", "--check", "a.r5flow"]).ends(0);
    assert_eq!(
        f.run_with(&["fmt", "-"], &[], crooked).ends(0).out,
        straight
    );
    assert_eq!(f.read("broken.r5flow"), "workflow {\n");
}

#[test]
fn explain_tells_the_story_of_a_code() {
    let f = Folder::new(&[]);
    f.run(&["explain", "r0202"]).ends(0).out_has("R0202");
    f.run(&["explain", "R9999"])
        .ends(64)
        .err_has("there is no diagnostic `R9999`")
        .err_has("codes run from R0101 to R1104");
}

#[test]
fn sim_tells_what_it_simulates() {
    let f = Folder::new(&[]);
    f.run(&["sim", "--explain"]).ends(0).out_has("sqladmin");
    f.run(&["sim", "--explain", "compute.disks"])
        .ends(0)
        .out_has("compute.disks: modelled")
        .out_has("a disk only grows")
        .out_has("test:   tests/gcloud/disks.txt");
    f.run(&["sim", "--explain", "pubsub.projects.topics"])
        .ends(0)
        .out_has("pubsub.projects.topics: generic")
        .out_has("publish");
    f.run(&["sim", "--explain", "compute"])
        .ends(0)
        .out_has("instances: addNetworkInterface, deleteNetworkInterface");
    f.run(&["sim", "--explain", "compute.disk"])
        .ends(64)
        .err_has("did you mean `compute.disks`?");
    f.run(&["sim", "--explain", "--speed", "2"]).ends(64);
}

#[test]
fn catalog_knows_methods_and_types() {
    let f = Folder::new(&[]);
    f.run(&["catalog"]).ends(0).out_has("sqladmin");
    f.run(&["catalog", "compute.images.insert"])
        .ends(0)
        .out_has("POST compute/v1/projects/{project}/global/images");
    f.run(&["catalog", "compute.images.insrt"])
        .ends(64)
        .err_has("did you mean `compute.images.insert`?");
    f.run(&["catalog", "--catalog", "nowhere"])
        .ends(64)
        .err_has("nowhere");
}

#[test]
fn a_catalogue_is_built_from_documents_and_used() {
    let document = json!({
        "kind": "discovery#restDescription", "name": "toy", "version": "v1", "revision": "20260101",
        "title": "Toy API", "rootUrl": "https://toy.googleapis.com/", "servicePath": "toy/v1/",
        "schemas": { "Thing": { "id": "Thing", "type": "object", "properties": { "name": { "type": "string" } } } },
        "resources": { "things": { "methods": { "get": {
            "id": "toy.things.get", "path": "things/{thing}", "httpMethod": "GET",
            "parameters": { "thing": { "type": "string", "location": "path", "required": true } },
            "response": { "$ref": "Thing" }
        } } } }
    });
    let f = Folder::new(&[("toy.json", &document.to_string()), ("no.json", "[")]);
    f.run(&["catalog", "build", "toy.json", "--out", "cat"])
        .ends(0)
        .out_has("toy v1, revision 20260101, 1 methods, 1 types");
    f.run(&["catalog", "toy.things.get", "--catalog", "cat"])
        .ends(0)
        .out_has("GET toy/v1/things/{thing}");
    f.run_with(&["catalog", "toy"], &[("R5FLOW_CATALOG", "cat")], "")
        .ends(0)
        .out_has("Toy API");
    f.run(&["catalog", "build", "no.json", "--out", "cat"])
        .ends(64)
        .err_has("`no.json` cannot be read");
}

#[test]
fn graphs_need_no_inputs_and_grow_with_them() {
    let f = Folder::new(&[("good.r5flow", GOOD), ("wrong.r5flow", WRONG)]);
    let open = f.run(&["graph", "good.r5flow"]).ends(0);
    assert!(
        open.out.contains("  subgraph g0[\"name = one\"]\n    n0["),
        "{}",
        open.out
    );
    assert!(
        open.out
            .contains("n0[\"address<br/>ensure compute.globalAddresses\"]"),
        "{}",
        open.out
    );
    assert!(
        open.out.contains("([\"reserved\"]):::checkpoint"),
        "{}",
        open.out
    );
    let two = f.run(&[
        "graph",
        "good.r5flow",
        "--input",
        "names=[\"a\",\"b\"]",
        "--format",
        "json",
    ]);
    let graph: serde_json::Value = serde_json::from_str(&two.ends(0).out).expect("JSON");
    assert_eq!(
        (&graph["format"], &graph["kind"], &graph["workflow"]),
        (&json!(1), &json!("graph"), &json!("addresses"))
    );
    assert_eq!(graph["nodes"][0]["id"], json!("address[\"a\"]"));
    assert_eq!(
        graph["edges"][1],
        json!({ "from": "address[\"b\"]", "to": "reserved", "why": "barrier" })
    );
    f.run(&["graph", "good.r5flow", "--format", "dot"])
        .ends(0)
        .out_has("digraph \"addresses\" {\n")
        .out_has("subgraph cluster_0 {");
    f.run(&["graph", "wrong.r5flow"]).ends(3).err_has("imags");
}

#[test]
fn a_growth_without_its_input_stays_closed() {
    let flow = GOOD.replace(" = [\"one\"]", "");
    let f = Folder::new(&[("open.r5flow", &flow)]);
    f.run(&["graph", "open.r5flow"])
        .ends(0)
        .out_has("[\"for name in names<br/>address\"]:::growth");
}

#[test]
fn a_file_with_several_workflows_needs_a_name() {
    let f = Folder::new(&[("two.r5flow", TWO)]);
    f.run(&["graph", "two.r5flow"])
        .ends(64)
        .err_has("`one`, `other`");
    f.run(&["graph", "two.r5flow", "othr"])
        .ends(64)
        .err_has("did you mean `other`?");
    f.run(&["graph", "two.r5flow", "other"])
        .ends(0)
        .out_has("b<br/>wait");
}

#[test]
fn inputs_come_from_flags_then_the_environment_then_files() {
    let f = Folder::new(&[
        ("good.r5flow", GOOD),
        ("in.toml", "project = \"file\"\nnames = [\"x\"]\n"),
    ]);
    let project = |words: &[&str], env: &[(&str, &str)]| {
        let base = [
            "plan",
            "good.r5flow",
            "--sim",
            "--json",
            "--inputs",
            "in.toml",
        ];
        let said = f.run_with(&[&base, words].concat(), env, "").ends(0);
        let path = said.lines()[1]["request"]["path"]
            .as_str()
            .expect("a path")
            .to_owned();
        path.split('/').nth(3).expect("a project").to_owned()
    };
    assert_eq!(project(&[], &[]), "file");
    assert_eq!(project(&[], &[("R5FLOW_INPUT_PROJECT", "env")]), "env");
    let flag = ["--input", "project=flag"];
    assert_eq!(project(&flag, &[("R5FLOW_INPUT_PROJECT", "env")]), "flag");
}

#[test]
fn bad_inputs_are_named_all_at_once() {
    let f = Folder::new(&[("good.r5flow", GOOD)]);
    f.run(&[
        "plan",
        "good.r5flow",
        "--sim",
        "--input",
        "names=3",
        "--input",
        "nmes=[]",
    ])
    .ends(64)
    .err_has("3 inputs cannot be used")
    .err_has("R0602: the input `project` is missing")
    .err_has("has no input `nmes`")
    .err_has("(from --input)");
    f.run(&["plan", "good.r5flow", "--sim", "--input", "project"])
        .ends(64)
        .err_has("has no value");
    f.write("s.r5flow", SECRET);
    f.run(&["plan", "s.r5flow", "--sim", "--input", "password=hunter2"])
        .ends(64)
        .err_has("`password` is a secret")
        .err_has("R5FLOW_INPUT_PASSWORD")
        .never_has("hunter2");
}

#[test]
fn plan_tells_what_would_be_done() {
    let f = Folder::new(&[("good.r5flow", GOOD)]);
    let plan = ["plan", "good.r5flow", "--sim", "--input", "project=demo"];
    f.run(&plan)
        .ends(0)
        .out_has("plan of addresses against the built-in simulator")
        .out_has("+ address[\"one\"]  create")
        .out_has("name: \"one\"")
        .out_has("1 to create");
    f.run(&[&plan[..], &["--detailed-exitcode"]].concat())
        .ends(2);
    f.run(&run("good.r5flow", &[])).ends(0);
    f.run(&[&plan[..], &["--detailed-exitcode"]].concat())
        .ends(0)
        .out_has("nothing to change: 1 as wished already");
    let lines = f.run(&[&plan[..], &["--json"]].concat()).ends(0).lines();
    assert_eq!(lines[0]["kind"], json!("plan"));
    assert_eq!(lines[1]["action"], json!("adopt"));
    assert_eq!(lines.last().expect("a line")["changes"], json!(false));
}

#[test]
fn run_tells_what_it_does_and_its_outputs() {
    let f = Folder::new(&[("good.r5flow", GOOD)]);
    let said = f.run(&run("good.r5flow", &[])).ends(0);
    assert_eq!(said.out, "count = 1\n");
    assert!(
        said.err.contains("address[\"one\"]: created in 3.2s"),
        "{}",
        said.err
    );
    assert!(said.err.contains("reserved: reached"), "{}", said.err);
    assert!(said.err.contains(" done after 3.2s"), "{}", said.err);
    let id = ids(&f).remove(0);
    f.run(&["runs"])
        .ends(0)
        .out_has(&id)
        .out_has("addresses  done")
        .out_has("ada");
    f.run(&["runs", &id])
        .ends(0)
        .out_has("workflow    addresses of good.r5flow")
        .out_has("created      3.2s  compute.globalAddresses.insert")
        .out_has("count = 1");
    f.run(&["resume"]).ends(0).err_has("nothing was left to do");
}

#[test]
fn without_a_terminal_nobody_is_asked() {
    let f = Folder::new(&[("good.r5flow", GOOD)]);
    f.run(&["run", "good.r5flow", "--sim", "--input", "project=demo"])
        .ends(6)
        .err_has("1 to create")
        .err_has("--yes");
    assert_eq!(ids(&f), Vec::<String>::new());
}

#[test]
fn run_speaks_json() {
    let f = Folder::new(&[("good.r5flow", GOOD)]);
    let said = f.run(&run("good.r5flow", &["--json"])).ends(0);
    let lines = said.lines();
    assert_eq!(lines[0], json!({ "format": 1, "kind": "run" }));
    assert_eq!(lines[1]["event"], json!("started"));
    assert_eq!(lines[1]["program"], json!(null));
    let end = lines.last().expect("a line");
    assert_eq!(
        (&end["kind"], &end["status"], &end["exit"], &end["outputs"]),
        (
            &json!("end"),
            &json!("done"),
            &json!(0),
            &json!({ "count": 1 })
        )
    );
}

#[test]
fn a_machine_is_told_of_failures_too() {
    let f = Folder::new(&[("good.r5flow", GOOD)]);
    let said = f.run(&["plan", "good.r5flow", "--sim", "--json"]).ends(64);
    let last = said.lines().pop().expect("a line");
    assert_eq!(
        (&last["kind"], &last["exit"]),
        (&json!("error"), &json!(64))
    );
    let message = last["message"].as_str().expect("a message");
    assert!(message.contains("R0602"), "{message}");
}

#[test]
fn a_run_stops_at_a_checkpoint_and_goes_on() {
    let f = Folder::new(&[("good.r5flow", GOOD)]);
    f.run(&run("good.r5flow", &["--until", "reserved"]))
        .ends(6)
        .err_has("stopped at the checkpoint `reserved`")
        .err_has("go on:  r5flow resume ");
    f.run(&["resume", "-y"]).ends(0).out_has("count = 1");
}

#[test]
fn a_failure_shows_its_place_and_how_to_go_on() {
    let f = Folder::new(&[("fails.r5flow", FAILS)]);
    let said = f.run(&run("fails.r5flow", &[])).ends(1);
    let id = ids(&f).remove(0);
    let said = said
        .err_has("× vm: ")
        .err_has("╭─[fails.r5flow:5:")
        .err_has(&format!("go on:  r5flow resume {id}"));
    assert_eq!(said.out, "");
    f.run(&["runs", &id])
        .ends(0)
        .out_has("status      failed")
        .out_has("╭─[fails.r5flow:5:")
        .out_has("answer: not found 404 notFound");
    f.run(&["resume", "-y"]).ends(1).err_has("× vm: ");
    let elsewhere = run("fails.r5flow", &["--state", "other"]);
    f.run(&elsewhere).ends(1).err_has(" --state 'other'");
}

/// A run of the gated flow that stands at its gate.
fn at_the_gate() -> (Folder, String) {
    let f = Folder::new(&[("gated.r5flow", GATED)]);
    f.run(&run("gated.r5flow", &["--until", "before"])).ends(6);
    let id = ids(&f).remove(0);
    f.run(&["resume"])
        .ends(6)
        .err_has("yes: waits for an approval: May gate be used?")
        .err_has(&format!("answer: r5flow approve {id} 'yes'"));
    (f, id)
}

#[test]
fn a_gate_waits_for_its_answer() {
    let (f, id) = at_the_gate();
    f.run(&["runs", &id])
        .ends(0)
        .out_has("asked: May gate be used?")
        .out_has(&format!("waits for `r5flow approve {id} 'yes'`"));
    f.run(&["approve", &id, "yse"])
        .ends(64)
        .err_has("did you mean `yes`?");
    f.run(&["approve", &id[..30], "yes", "--note", "go"])
        .ends(0)
        .out_has("`yes` approved: May gate be used?")
        .out_has(&format!("go on with `r5flow resume {id}`"));
    f.run(&["approve", &id, "yes"])
        .ends(0)
        .out_has("approved already, by ada");
    f.run(&["approve", &id, "yes", "--deny"])
        .ends(64)
        .err_has("the first answer stands");
    f.run(&["resume"])
        .ends(0)
        .out_has("by = \"ada\"")
        .err_has("approved by ada: go");
    f.run(&["runs", &id]).ends(0).out_has("approved by ada on ");
}

#[test]
fn a_denied_gate_fails_the_run_and_is_asked_again() {
    let (f, id) = at_the_gate();
    f.run(&["approve", &id, "yes", "--deny", "--note", "not now"])
        .ends(0)
        .out_has("denied");
    f.run(&["resume"]).ends(1).err_has("ada denied it: not now");
    f.run(&["resume"]).ends(6).err_has("waits for an approval");
    f.run(&["approve", &id, "yes"]).ends(0).out_has("approved");
    f.run(&["resume"]).ends(0).out_has("by = \"ada\"");
}

#[test]
fn only_what_waits_can_be_approved() {
    let f = Folder::new(&[("gated.r5flow", GATED)]);
    f.run(&run("gated.r5flow", &[]))
        .ends(0)
        .out_has("by = \"the simulated operator\"");
    let id = ids(&f).remove(0);
    f.run(&["approve", &id, "yes"])
        .ends(0)
        .out_has("`yes` was approved already, by the simulated operator");
    f.run(&["approve", &id, "address"])
        .ends(64)
        .err_has("does not wait for an approval");
    f.run(&["approve", "0000", "yes"])
        .ends(64)
        .err_has("there is no run `0000`");
    f.run(&["cancel", &id]).ends(64).err_has("it is done");
}

#[test]
fn secrets_are_never_shown() {
    let f = Folder::new(&[("s.r5flow", SECRET)]);
    let env = [("R5FLOW_INPUT_PASSWORD", "hunter22")];
    let plan = ["plan", "s.r5flow", "--sim", "--input", "project=demo"];
    f.run_with(&plan, &env, "")
        .ends(0)
        .out_has("PASS=•••")
        .never_has("hunter22");
    f.run(&run("s.r5flow", &[]))
        .ends(64)
        .err_has("R5FLOW_INPUT_PASSWORD");
    let said = f
        .run_with(&run("s.r5flow", &["--json"]), &env, "")
        .ends(0)
        .never_has("hunter22");
    assert_eq!(
        said.lines().last().expect("a line")["outputs"],
        json!({ "given": "•••" })
    );
    let again = f
        .run_with(&run("s.r5flow", &["--state", "two"]), &env, "")
        .ends(0);
    assert_eq!(again.never_has("hunter22").out, "given = \"•••\"\n");
    let id = ids(&f).remove(0);
    f.run(&["runs", &id])
        .ends(0)
        .out_has("given = •••")
        .never_has("hunter22");
    f.run(&["runs", &id, "--json"])
        .ends(0)
        .never_has("hunter22");
}

#[test]
fn runs_of_nothing() {
    let f = Folder::new(&[]);
    assert_eq!(f.run(&["runs"]).ends(0).out, "no runs yet\n");
    assert!(!f.path(".r5flow").exists());
    f.run(&["runs", "0198"])
        .ends(64)
        .err_has("there are no runs in `.r5flow`");
    f.run(&["resume"]).ends(64).err_has("there are no runs");
    assert!(!f.path(".r5flow").exists());
}

#[test]
fn a_damaged_journal_shows_what_is_left() {
    let f = Folder::new(&[("good.r5flow", GOOD)]);
    f.run(&run("good.r5flow", &[])).ends(0);
    let id = ids(&f).remove(0);
    let folder = f.path(".r5flow/runs").join(&id);
    std::fs::write(folder.join("journal-1.db"), "no database").expect("a file");
    f.run(&["runs", &id])
        .ends(1)
        .err_has("is damaged")
        .err_has("cannot be read");
    f.run(&["runs"]).ends(1).out_has("damaged");
    f.run(&["resume", &id, "-y"]).ends(1).err_has("is damaged");
}

#[test]
fn a_reader_that_goes_away_is_no_bug() {
    let f = Folder::new(&[]);
    let mut child = f
        .command(&["catalog", "compute"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("a process");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn sim_answers_and_refuses_nonsense() {
    use std::io::{BufRead, BufReader, Read, Write};
    let f = Folder::new(&[("bad.toml", "speed = ["), ("good.r5flow", GOOD)]);
    f.run(&["sim", "--speed", "0"]).ends(64).err_has("above 0");
    f.run(&["sim", "--scenario", "bad.toml"])
        .ends(64)
        .err_has("`bad.toml`");
    f.run(&["sim", "--listen", "nowhere"])
        .ends(64)
        .err_has("`nowhere`");
    let mut child = f
        .command(&["sim", "--listen", "127.0.0.1:0", "--speed", "100"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("a process");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("a line");
    let url = line
        .split_whitespace()
        .find(|w| w.starts_with("http"))
        .expect("a URL");
    let address = url.trim_start_matches("http://").trim_end_matches(';');
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    let request = "GET /compute/v1/projects/demo/global/networks/default HTTP/1.0\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    child.kill().expect("an end");
    let _ = child.wait();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert!(
        answer.contains("\"kind\":\"compute#network\"") || answer.contains("compute#network"),
        "{answer}"
    );
}
