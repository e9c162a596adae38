//! Time that passes while nobody drives a run: pauses go on, what a step gives itself begins anew.

use std::collections::BTreeMap;

use r5flow::journal::RunStatus;
use r5flow::world::Millis;

use crate::edits::{Left, Told, nothing_left, parsed, resumed};
use crate::process::{START, examined};

/// Stops when `address` is done, stands still for a while, and goes on; gives what that leaves.
fn resumed_after(text: &str, idle: Millis) -> Left {
    let program = parsed(text).expect("a flow");
    let (checked, errors) = examined(&program);
    assert!(errors.is_empty(), "{errors:?}");
    let (inputs, secrets) = (BTreeMap::new(), BTreeMap::new());
    let told = Told::new(&program, &checked, &inputs, &secrets);
    let mut left = told.run(nothing_left(), vec![told.started()], "done:address");
    assert!(left.end.is_none(), "it died");
    left.now = left.now.plus(idle);
    told.run(left, vec![resumed()], "")
}

#[test]
fn a_pause_goes_on_while_nobody_drives_the_run() {
    let text = r#"
workflow main {
  at { project: "demo", region: "us-central1" }
  step pause = wait 1h
  step address = ensure compute.addresses("a") {}
}
"#;
    let minute = Millis::mins(1);
    let took = |idle| resumed_after(text, idle).now.since(START);
    let (inside, beyond) = (took(Millis::mins(40)), took(Millis::mins(90)));
    let hour = Millis::mins(60);
    assert!(inside >= hour && inside.0 < hour.0 + minute.0, "{inside}");
    assert!(beyond.0 < Millis::mins(90).0 + minute.0, "{beyond}");
}

#[test]
fn a_timeout_begins_anew() {
    let text = r#"
workflow main {
  at { project: "demo", region: "us-central1" }
  step address = ensure compute.addresses("a") {}
  step never = wait compute.addresses.get("a")
    until it.status == "IN_USE"
    timeout 30m
}
"#;
    let idle = Millis::mins(90);
    let left = resumed_after(text, idle);
    let end = left.end.expect("an end");
    assert_eq!(end.status, RunStatus::TimedOut, "{end:?}");
    let took = left.now.since(START.plus(idle));
    assert!(
        took >= Millis::mins(30) && took < Millis::mins(32),
        "{took}"
    );
}
