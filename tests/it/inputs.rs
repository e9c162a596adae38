//! Inputs of a run, as texts and as JSON, against their declared types.

use std::collections::BTreeMap;
use std::sync::Arc;

use r5flow::check::{Given, InputProblem, inputs, names};
use r5flow::diag::{Code, Sink};
use r5flow::package::load;
use r5flow::value::Value;
use r5flow::world::Millis;
use serde_json::json;

const FLOW: &str = r#"
type Group = { zones: list<string>, min: int(1..), max?: int }
workflow main {
  input build: string matches "[a-z0-9-]{1,5}"
  input groups: map<Group>
  input wait: duration(1s..1h) = 30m
  input share: percent = 20%
  input room: size = 1GiB
  input count: int(1..10) = 1
  input egress: "nat" | "open" = "nat"
  input also: list<string> = []
  input private: { network: string }?
  secret input token: string
}
"#;

fn read(given: &[(&str, Given)]) -> Result<BTreeMap<Arc<str>, Value>, Vec<InputProblem>> {
    let files = BTreeMap::from([("main.r5flow".to_owned(), FLOW.to_owned())]);
    let (program, findings) = load("main.r5flow", &files).expect("it is there");
    assert!(findings.is_empty(), "{findings:?}");
    let names = names::bind(&program, &mut Sink::default());
    let given = given
        .iter()
        .map(|(n, g)| ((*n).to_owned(), g.clone()))
        .collect();
    inputs(&names, names.flows[0].id, given)
}

fn text(text: &str) -> Given {
    Given::Text {
        text: text.to_owned(),
        origin: "--input".to_owned(),
    }
}

fn file(value: serde_json::Value) -> Given {
    Given::Json {
        value,
        origin: "inputs.toml".to_owned(),
    }
}

fn good() -> Vec<(&'static str, Given)> {
    vec![
        ("build", text("4-1-2")),
        (
            "groups",
            text(r#"{"us-central1": {"zones": ["a"], "min": 2}}"#),
        ),
        ("token", text("s3cret")),
    ]
}

#[test]
fn texts_and_files_become_values() {
    let mut given = good();
    given.extend([
        ("wait", text("10m30s")),
        ("share", file(json!("12.5%"))),
        ("room", text("16GiB")),
        ("count", text("7")),
        ("egress", text("open")),
        ("also", file(json!(["image"]))),
    ]);
    let values = read(&given).expect("all fit");
    assert_eq!(values["wait"], Value::Duration(Millis(630_000)));
    assert_eq!(values["share"], Value::Percent(12.5));
    assert_eq!(values["room"], Value::Size(16 << 30));
    assert_eq!(values["count"], Value::Int(7));
    assert_eq!(values["egress"], Value::str("open"));
    assert_eq!(values["also"], Value::list(vec![Value::str("image")]));
    assert_eq!(values["private"], Value::Null);
    let group = values["groups"].get("us-central1").expect("a group");
    assert_eq!(group.get("min"), Some(&Value::Int(2)));
}

#[test]
fn defaults_are_left_to_the_evaluator() {
    let values = read(&good()).expect("all fit");
    assert!(!values.contains_key("wait") && !values.contains_key("egress"));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let problems = read(&[
        ("biuld", text("x")),
        (
            "groups",
            file(json!({"us": {"zones": "a", "min": 0, "mx": 1}})),
        ),
        ("wait", text("2h")),
        ("share", text("20")),
        ("count", file(json!(11))),
        ("egress", text("opn")),
        ("also", text("[1")),
    ])
    .expect_err("all wrong");
    let said: Vec<(Code, &str)> = problems.iter().map(|p| (p.code, &*p.path)).collect();
    assert_eq!(
        said,
        [
            (Code::UNKNOWN_INPUT, "biuld"),
            (Code::MISSING_INPUT, "build"),
            (Code::BAD_INPUT, "groups.us.zones"),
            (Code::BAD_INPUT, "groups.us.min"),
            (Code::BAD_INPUT, "groups.us.mx"),
            (Code::BAD_INPUT, "wait"),
            (Code::BAD_INPUT, "share"),
            (Code::BAD_INPUT, "count"),
            (Code::BAD_INPUT, "egress"),
            (Code::BAD_INPUT, "also"),
            (Code::MISSING_INPUT, "token"),
        ]
    );
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `build`?"));
    assert_eq!(problems[8].help.as_deref(), Some("did you mean \"open\"?"));
    assert_eq!(
        problems[5].message,
        "`wait` takes `duration(1s..1h)`, and `2h` is none"
    );
}

#[test]
fn a_pattern_has_to_match_as_a_whole() {
    let mut given = good();
    given[0] = ("build", text("4.1.2"));
    let problems = read(&given).expect_err("a dot");
    assert_eq!(
        problems[0].message,
        "`build` takes text that matches `[a-z0-9-]{1,5}` as a whole, and `4.1.2` does not"
    );
}

#[test]
fn a_wrong_secret_is_not_shown() {
    let mut given = good();
    given[2] = ("token", file(json!(1234)));
    let problems = read(&given).expect_err("a number");
    assert_eq!(
        problems[0].message,
        "`token` takes `string`, and the secret given is none"
    );
}
