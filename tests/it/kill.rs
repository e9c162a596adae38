//! The real binary, killed at its fail points, against the simulator on a port: whatever is resumed ends well,
//! and every change took effect once.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};

use crate::harness::Folder;
use crate::port::Cloud;

const FLOW: &str = r#"
workflow main {
  at { project: "demo", region: "us-central1" }
  for n in [1, 2, 3] {
    step address = ensure compute.addresses("a-${n}") { description: "first" }
    step check = ensure compute.healthChecks("hc-${n}") { type: "TCP", tcpHealthCheck: { port: 80 } }
      after address
    step changed = call compute.healthChecks.patch("hc-${n}") { description: address.name }
      after check
  }
  checkpoint half
  step gone = call compute.healthChecks.delete("hc-1")
  step database = ensure sqladmin.instances("red5") { settings: { dataDiskSizeGb: 30 } }
  output left = changed[2].description
}
"#;

/// Operations are short, so that a kill hits every part of a run.
const SCENARIO: &str = r#"
[durations]
"compute.addresses.insert" = 2
"compute.healthChecks.insert" = 2
"compute.healthChecks.patch" = 2
"compute.healthChecks.delete" = 2
"sqladmin.instances.patch" = 3
"#;

fn words(endpoint: &str, resume: bool) -> Vec<&str> {
    let what: &[&str] = match resume {
        true => &["resume"],
        false => &["run", "flow.r5flow"],
    };
    [what, &["--endpoint", endpoint, "--yes"]].concat()
}

fn start(folder: &Folder, words: &[&str], env: &[(&str, &str)]) -> Child {
    let mut command = folder.command(words);
    command.envs(env.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the binary")
}

/// Resumes to the end; every change has taken effect once.
fn ends_as_undisturbed(folder: &Folder, cloud: &Cloud, what: &str) {
    let endpoint = cloud.endpoint();
    let said = folder.run(&words(&endpoint, true));
    said.ends(0);
    let found = cloud.effective();
    let (compute, checks) = ("compute/v1/projects/demo", "global/healthChecks");
    let mut wanted = BTreeMap::from([
        (
            format!("compute.addresses.insert {compute}/regions/us-central1/addresses"),
            3,
        ),
        (format!("compute.healthChecks.insert {compute}/{checks}"), 3),
        (
            format!("compute.healthChecks.delete {compute}/{checks}/hc-1"),
            1,
        ),
        (
            "sqladmin.instances.patch v1/projects/demo/instances/red5".to_owned(),
            1,
        ),
    ]);
    for n in 1..=3 {
        wanted.insert(
            format!("compute.healthChecks.patch {compute}/{checks}/hc-{n}"),
            1,
        );
    }
    assert_eq!(found, wanted, "{what}");
}

#[test]
fn dies_at_every_fail_point() {
    let methods = [
        "compute.addresses.insert",
        "compute.healthChecks.patch",
        "compute.healthChecks.delete",
        "sqladmin.instances.patch",
    ];
    for point in ["intent-durable", "answer-unread", "answer-unrecorded"] {
        for method in methods {
            let folder = Folder::new(&[("flow.r5flow", FLOW)]);
            let cloud = Cloud::new(&folder, SCENARIO, "5");
            let endpoint = cloud.endpoint();
            let place = format!("{point}:{method}");
            let mut child = start(
                &folder,
                &words(&endpoint, false),
                &[("R5FLOW_FAILPOINT", &place)],
            );
            let status = child.wait().expect("its end");
            assert!(status.code().is_none(), "{place} was not reached: {status}");
            ends_as_undisturbed(&folder, &cloud, &place);
        }
    }
}
