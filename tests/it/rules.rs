//! Policies in the language: what the library's find and what they let pass, how a finding ends a
//! command, and what is told of the manual as it is written.

use std::collections::BTreeMap;

use r5flow::catalog::Catalog;
use r5flow::check::{check, in_force};
use r5flow::diag::{Code, Diagnostic};
use r5flow::package::{Disk, Program, load};
use r5flow::policy;
use r5flow::source::Span;
use r5flow::syntax::ast::{ActionKind, Item, Stmt, Workflow};
use serde_json::Value as Json;

use crate::harness::Folder;
use crate::suite::{Bare, bare};

const EXAMPLES: [&str; 3] = ["through_let", "through_input", "in_a_workflow"];
const NEAR: &str = "near_";

/// Near misses whose plan reads what the text cannot know.
const IN_TEXT: &str = "near_in_text_";

/// What is only decided by what is read.
const OF_A_PLAN: [&str; 1] = ["maximum_above_quota"];

fn library() -> Vec<String> {
    let modules = ["gcp", "red5"].map(|m| format!("stdlib/policies/{m}.r5flow"));
    let names = modules.iter().flat_map(|path| {
        let (program, findings) = load(path, &Disk).expect("a module of the library");
        assert!(findings.is_empty(), "{findings:#?}");
        in_force(&program)
            .map(|(_, p)| p.name.text.to_string())
            .collect::<Vec<_>>()
    });
    names.collect()
}

fn program(path: &str) -> Program {
    let (program, findings) = load(path, &Bare).unwrap_or_else(|e| panic!("{path}: {e}"));
    assert!(findings.is_empty(), "{findings:#?}");
    program
}

fn of_text(program: &Program) -> Vec<Diagnostic> {
    let catalog = Catalog::embedded();
    let checked = check(program, &catalog);
    assert!(!checked.has_errors(), "{:#?}", checked.diagnostics);
    policy::of_text(&checked, &catalog)
}

fn workflows(program: &Program) -> BTreeMap<&str, &Workflow> {
    let items = program.root().file.items.iter();
    items
        .filter_map(|item| match item {
            Item::Workflow(w) => Some((&*w.name.text, w)),
            _ => None,
        })
        .collect()
}

/// The text of a workflow and of those that it runs.
fn reach(all: &BTreeMap<&str, &Workflow>, workflow: &Workflow) -> Vec<Span> {
    let runs = workflow.body.stmts.iter().filter_map(|stmt| match stmt {
        Stmt::Step(step) => match &step.action.kind {
            ActionKind::Run { path, .. } => all.get(&*path[0].text).map(|w| w.span),
            _ => None,
        },
        _ => None,
    });
    std::iter::once(workflow.span).chain(runs).collect()
}

fn concerns(found: &Diagnostic, spans: &[Span]) -> bool {
    let places = std::iter::once(found.span).chain(found.related.iter().map(|r| r.span));
    places
        .into_iter()
        .any(|p| spans.iter().any(|s| s.contains(p)))
}

/// A near miss that has a finding, or an example that has none.
fn wrong_of_text(name: &str) -> Vec<String> {
    let program = program(&format!("tests/suite/policies/{name}.r5flow"));
    let found = of_text(&program);
    let all = workflows(&program);
    let mut wrong = Vec::new();
    for (flow, workflow) in &all {
        let label = format!("policy `{name}`");
        let spans = match flow.starts_with(NEAR) {
            true => vec![workflow.span],
            false => reach(&all, workflow),
        };
        let hits = found
            .iter()
            .filter(|d| d.label == label && concerns(d, &spans))
            .count();
        if EXAMPLES.contains(flow) && hits != 1 || flow.starts_with(NEAR) && hits != 0 {
            wrong.push(format!("{name}: {flow} has {hits} findings"));
        }
    }
    wrong
}

/// The findings of a plan: the policy's words, how grave they are, and what is underlined.
fn planned(path: &str, workflow: &str) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(path).expect("a flow");
    let folder = Folder::new(&[("flow.r5flow", &bare(&text))]);
    let said = folder.run(&["plan", "flow.r5flow", workflow, "--sim", "--json"]);
    // Some have nothing to change in this cloud, and fail beside what is looked at.
    let said = said.ends_among(&[0, 1, 3]);
    let text = |line: &Json, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let lines = said.lines().into_iter();
    lines
        .filter(|line| line["kind"] == "diagnostic")
        .map(|line| {
            (
                text(&line, "label"),
                text(&line, "severity"),
                text(&line, "text"),
            )
        })
        .collect()
}

fn wrong_of_plan(name: &str) -> Vec<String> {
    let path = format!("tests/suite/policies/{name}.r5flow");
    let program = program(&path);
    let mut wrong = Vec::new();
    for flow in workflows(&program).into_keys() {
        let example = EXAMPLES.contains(&flow);
        if !example && (!flow.starts_with(NEAR) || flow.starts_with(IN_TEXT)) {
            continue;
        }
        let label = format!("policy `{name}`");
        let found = planned(&path, flow);
        let hits = found.iter().filter(|(l, ..)| *l == label).count();
        if hits != usize::from(example) {
            wrong.push(format!("{name}: {flow} has {hits} findings in its plan"));
        }
    }
    wrong
}

#[test]
fn each_policy_finds_its_examples_and_lets_its_near_misses_pass() {
    let mut wrong = Vec::new();
    for name in library() {
        let program = program(&format!("tests/suite/policies/{name}.r5flow"));
        let flows = workflows(&program);
        let near = flows.keys().filter(|f| f.starts_with(NEAR)).count();
        if near < 3 || EXAMPLES.iter().any(|e| !flows.contains_key(e)) {
            wrong.push(format!(
                "{name}: needs three examples and three near misses"
            ));
        }
        if !OF_A_PLAN.contains(&&*name) {
            wrong.extend(wrong_of_text(&name));
        }
        wrong.extend(wrong_of_plan(&name));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A plan knows what the text alone does not: what is there, and which inputs were given.
#[test]
fn a_plan_asks_the_policies_of_what_it_read() {
    let text = r#"
policy short on compute.BackendService as b {
  error at b.timeoutSec when b.timeoutSec < 60
    "A timeout of ${b.timeoutSec} s is short; before it was ${it?.timeoutSec ?? 0} s."
}

workflow first {
  step b = ensure compute.backendServices("b", project: "demo") { protocol: "HTTP", timeoutSec: 61 }
}

workflow second {
  input life: int

  step b = ensure compute.backendServices("b", project: "demo") { timeoutSec: life }
    on absent stop
}

workflow third {
  step b = ensure compute.backendServices("b", project: "demo") { enableCDN: true }
    on absent stop
}
"#;
    let folder = Folder::new(&[("flow.r5flow", text)]);
    folder.run(&["check", "flow.r5flow"]).ends(0);
    let _ = folder
        .run(&["run", "flow.r5flow", "first", "--sim", "--yes"])
        .ends(0);
    let plan = |words: &[&str]| {
        let mut all = vec!["plan", "flow.r5flow"];
        all.extend(words);
        all.push("--sim");
        folder.run(&all)
    };
    let _ = plan(&["second", "--input", "life=60"])
        .ends(0)
        .never_has("R0901");
    let _ = plan(&["third"]).ends(0).never_has("R0901");
    let _ = plan(&["second", "--input", "life=5"])
        .ends(3)
        .out_has("A timeout of 5 s is short; before it was 61 s");
}

/// Once the address is there its value is known, and says no more where it comes from.
#[test]
fn an_address_that_is_known_is_still_a_balancers() {
    let text = r#"
use policies/gcp

workflow first {
  step front = ensure compute.globalAddresses("front", project: "demo") { ipVersion: "IPV4" }
  step nat = ensure compute.addresses("nat", project: "demo", region: "us-central1") {}
}

workflow second {
  input mine: bool

  step front = read compute.globalAddresses("front", project: "demo")
  step nat = read compute.addresses("nat", project: "demo", region: "us-central1")
  step db = ensure sqladmin.instances("red5", project: "demo") {
    settings: {
      ipConfiguration: {
        authorizedNetworks: [{ value: "${if mine then nat.address else front.address}/32" }]
      }
    }
  }
    on absent stop
}
"#;
    let folder = Folder::new(&[("flow.r5flow", text)]);
    let _ = folder
        .run(&["run", "flow.r5flow", "first", "--sim", "--yes"])
        .ends(0);
    let plan = |mine: &str| {
        let given = format!("mine={mine}");
        folder.run(&["plan", "flow.r5flow", "second", "--input", &given, "--sim"])
    };
    let _ = plan("true").ends(0).never_has("R0901");
    let _ = plan("false")
        .ends(0)
        .out_has("from the address of a load balancer");
}

/// `--yes` agrees to a plan, and not to what a policy calls an error.
#[test]
fn an_error_of_a_policy_stops_a_run_before_anything_is_sent() {
    let text = r#"
policy named on compute.Address as a {
  SEVERITY at a.name when a.name == "front"
    "That is no name."
}

workflow main {
  step other = ensure compute.globalAddresses("other", project: "demo") { ipVersion: "IPV4" }
  step front = ensure compute.globalAddresses("front", project: "demo") { ipVersion: "IPV4" }
    CLAUSE
}
"#;
    for (severity, clause, code) in [
        ("error", "", 3),
        ("error", "allow named \"It has always been called so.\"", 0),
        ("warning", "", 0),
        ("advice", "", 0),
    ] {
        let flow = text.replace("SEVERITY", severity).replace("CLAUSE", clause);
        let folder = Folder::new(&[("flow.r5flow", &*flow)]);
        let said = folder
            .run(&["run", "flow.r5flow", "--sim", "--yes"])
            .ends(code);
        let told = said.err.contains("That is no name");
        assert_eq!(told, clause.is_empty(), "{severity} {clause}\n{}", said.err);
        let runs = folder.run(&["runs"]).ends(0);
        assert_eq!(runs.out.contains("main"), code == 0, "{}", runs.out);
    }
}

/// Known when the run goes on: what a step brought, and what an edit says. What is done is not judged again.
#[test]
fn an_error_of_a_policy_stops_a_resume_before_anything_is_sent() {
    let text = r#"
policy tells_an_address on compute.Address as a {
  error at a.description when matches(a.description, ".*[0-9]+[.][0-9]+.*")
    "A description tells no address, as ${a.description} does."
}

policy done_is_done on compute.Address as a {
  warning at a.description when a.description == "first"
    "This is not said twice."
}

workflow main {
  step first = ensure compute.globalAddresses("first", project: "demo") {
    description: "first"
  }
  checkpoint half
  step second = ensure compute.globalAddresses("second", project: "demo") {
    description: DESCRIPTION
  }
}
"#;
    let later = text.replace("DESCRIPTION", "\"beside ${first.address}\"");
    let here = text.replace("DESCRIPTION", "\"beside 10.0.0.1\"");
    let sound = text.replace("DESCRIPTION", "\"beside the first\"");
    for (begun, edited) in [(&later, None), (&sound, Some(&here))] {
        let folder = Folder::new(&[("flow.r5flow", &**begun)]);
        let begun = folder.run(&["run", "flow.r5flow", "--sim", "--yes", "--until", "half"]);
        let begun = begun.ends(6).err;
        let id = begun.split_whitespace().find(|w| w.len() == 36);
        let id = id.expect("the run's id").to_owned();
        let mut words = vec!["resume", &*id, "--yes"];
        if let Some(edited) = edited {
            folder.write("flow.r5flow", edited);
            words.push("--edited");
        }
        let said = folder
            .run(&words)
            .ends(3)
            .err_has("A description tells no address, as beside ")
            .err_has("policy `tells_an_address`");
        assert!(!said.err.contains("This is not said twice"), "{}", said.err);

        folder.write("flow.r5flow", &sound);
        let _ = folder.run(&["resume", &id, "--yes", "--edited"]).ends(0);
    }
}

/// What a team may write wrong is told where it stands, with the step, and holds nothing up.
#[test]
fn a_rule_that_cannot_be_asked_is_told_and_the_others_are() {
    let text = r#"
policy endless on compute.Address as a {
  error at a.name
    for b in range(0, 100000) for c in range(0, 100000)
    when a.name == "${b}-${c}"
    "It is called like two numbers."
}

policy divides on compute.Address as a {
  error at a.name when 10 / len(a.labels ?? {}) > 3
    "It has too few labels."
}

policy far on compute.Address as a {
  error at a.name when split(a.name, "-")[7] == "x"
    "Its eighth word is x."
}

policy sound on compute.Address as a {
  warning at a.name when a.name == "front"
    "That is no name."
}

workflow main {
  step front = ensure compute.globalAddresses("front", project: "demo") { labels: {} }
}
"#;
    let folder = Folder::new(&[("flow.r5flow", text)]);
    let _ = folder
        .run(&["check", "flow.r5flow"])
        .ends(0)
        .out_has("`endless` cannot be asked here: its loops go round more than 10000 times")
        .out_has("`divides` cannot be asked here: division by zero")
        .out_has("`far` cannot be asked here: ")
        .out_has("That is no name");
}

#[test]
fn machines_are_told_as_of_other_findings() {
    let text = r#"
policy named on compute.Address as a {
  advice at a.name when a.name == "front"
    "That is no name."
    hint "Think of a better one."
}

workflow main {
  step front = ensure compute.globalAddresses("front", project: "demo") { ipVersion: "IPV4" }
}
"#;
    let folder = Folder::new(&[("flow.r5flow", text)]);
    let lines = folder
        .run(&["check", "flow.r5flow", "--json"])
        .ends(0)
        .lines();
    assert_eq!(lines[1]["code"], "R0901");
    assert_eq!(lines[1]["severity"], "advice");
    assert_eq!(lines[1]["text"], "\"front\"");
    assert_eq!(lines[1]["help"], "Think of a better one.");
    assert_eq!(lines[2]["advice"], 1);
    for command in [
        &["check", "flow.r5flow"][..],
        &["plan", "flow.r5flow", "--sim"],
    ] {
        let github = [("GITHUB_ACTIONS", "true")];
        let said = folder.run_with(command, &github, "").ends(0);
        let _ = said.out_has("::notice file=flow.r5flow,line=9,");
    }
}

/// Messages show values of bodies.
#[test]
fn a_secret_in_a_finding_is_masked() {
    let text = r#"
policy weak on sqladmin.User as u {
  warning at u.password when u.name == "red5"
    "The password ${u.password} is known to everybody, and so is ${upper(u.password)}."
}

workflow main {
  secret input password: string

  step user = ensure sqladmin.users("red5", project: "demo", instance: "red5", host: "%") { password }
}
"#;
    let folder = Folder::new(&[("flow.r5flow", text)]);
    let secret = [("R5FLOW_INPUT_PASSWORD", "tr0ub4dor&3")];
    let plan = folder
        .run_with(&["plan", "flow.r5flow", "--sim"], &secret, "")
        .ends(0);
    let _ = plan
        .out_has("is known to everybody")
        .never_has("tr0ub4dor")
        .never_has("TR0UB4DOR");
}

/// The manual's mistakes that are in what it sends, in its order.
const AS_WRITTEN: [(&str, &str, &str); 8] = [
    ("curly_quotes", "error", "\"\"\"bash"),
    ("lost_backslash", "error", "\"\"\"bash"),
    ("probes_blocked", "warning", "compute.healthChecks"),
    ("only_up", "warning", "\"ONLY_UP\""),
    ("timeout_above_a_day", "warning", "315_316_000"),
    (
        "balancer_as_network",
        "warning",
        "\"${address.address}/32\"",
    ),
    ("restart_is_outage", "error", "\"RESTART\""),
    (
        "builder_on_database",
        "warning",
        "\"global/images/sm-4-1-2\"",
    ),
];

#[test]
fn the_manual_as_written_is_told_its_mistakes() {
    let path = "workflows/red5/as-written.r5flow";
    let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let wanted = AS_WRITTEN.map(|(policy, severity, text)| {
        (
            format!("policy `{policy}`"),
            severity.to_owned(),
            text.to_owned(),
        )
    });
    let program = program(path);
    let found = of_text(&program);
    assert!(
        found
            .iter()
            .all(|d| d.code == Code::POLICY && d.help.is_some()),
        "{found:#?}"
    );
    let told: Vec<_> = found
        .iter()
        .map(|d| {
            let severity = format!("{:?}", d.severity).to_lowercase();
            (
                d.label.clone(),
                severity,
                first_line(program.sources.slice(d.span)),
            )
        })
        .collect();
    assert_eq!(told, wanted);
    let plan = planned(path, "as_written").into_iter();
    let told: Vec<_> = plan.map(|(l, s, text)| (l, s, first_line(&text))).collect();
    assert_eq!(told, wanted);
}
