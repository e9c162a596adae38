//! Failure at every call: a run that meets a wrong answer is done all the same, or stops in the
//! documented way and is done when it is resumed.

use r5flow::spec::{Options, fail_everywhere};
use serde_json::json;

use crate::{crash, rig};

fn withstands_everything(name: &str, text: &str) {
    let program = rig::program(text);
    let checked = rig::checked(&program);
    let case = rig::case(&checked, &json!({}));
    let proof = fail_everywhere(&case, &rig::cloud(), &Options::new(false))
        .unwrap_or_else(|why| panic!("{why}"));
    let said = proof.text(r5flow::report::Look::PLAIN, name);
    assert_eq!(proof.total().differences, 0, "{said}");
    assert!(proof.reference.tried > 40, "{said}");
    assert!(proof.reference.same > proof.reference.kept, "{said}");
}

#[test]
fn calls_on_a_machine_and_an_ensure() {
    withstands_everything(
        "machine",
        r#"
workflow main {
  at { project: "demo", zone: "us-central1-a" }
  step check = ensure compute.healthChecks("hc") { type: "HTTP", httpHealthCheck: { port: 5080 } }
  step keep = call compute.instances.setDiskAutoDelete("stream-manager-1", deviceName: "persistent-disk-0", autoDelete: false)
  step stop = call compute.instances.stop("stream-manager-1")
    after keep
    until it.status == "TERMINATED"
  output link = check.selfLink
}
"#,
    );
}

#[test]
fn states_that_are_set_again_unseen() {
    withstands_everything("states", crash::STATES);
}

/// Who creates an account waits while other services do not know it yet.
#[test]
fn a_run_that_grants_something() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step account = ensure iam.projects.serviceAccounts("granter@demo.iam.gserviceaccount.com") { displayName: "r" }
  step topic = ensure pubsub.projects.topics("news") { labels: { by: "r" } }
    after account
  step check = ensure compute.healthChecks("hc") { type: "TCP", tcpHealthCheck: { port: 80 } }
    after topic
}
"#;
    withstands_everything("grants", text);
}
