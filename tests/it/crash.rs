//! Death at every effect: a run that is killed anywhere and resumed ends as the run that was not.

use r5flow::sim::Sim;
use r5flow::spec::{Options, Proof, crash_everywhere};
use r5flow::wire::Verb;
use r5flow::world::Millis;
use serde_json::{Value as Json, json};

use crate::rig;

/// Kills the flow everywhere on the reference schedule, and here and there on drawn ones.
pub fn disturbed(text: &str, inputs: &Json, cloud: &Sim) -> Proof {
    killed(text, inputs, cloud, false)
}

fn killed(text: &str, inputs: &Json, cloud: &Sim, rollback: bool) -> Proof {
    let program = rig::program(text);
    let checked = rig::checked(&program);
    let case = rig::case(&checked, inputs);
    let options = Options {
        schedules: 3,
        deaths_a_schedule: 8,
        pairs: 20,
        foreign: 20,
        rollback,
        ..Options::new(false)
    };
    crash_everywhere(&case, cloud, &options).unwrap_or_else(|why| panic!("{why}"))
}

fn survives_everywhere(name: &str, text: &str, inputs: Json, cloud: &Sim) {
    nothing_differs(name, &disturbed(text, &inputs, cloud));
}

/// The same with a rollback: of the run that died, and one that dies.
fn is_taken_back_everywhere(name: &str, text: &str, cloud: &Sim) {
    nothing_differs(name, &killed(text, &json!({}), cloud, true));
}

fn nothing_differs(name: &str, proof: &Proof) {
    let total = proof.total();
    let said = proof.text(r5flow::report::Look::PLAIN, name);
    assert_eq!(total.differences, 0, "{said}");
    assert!(proof.reference.tried > proof.effects, "{said}");
}

/// A cloud in which these calls were made and are done.
pub fn cloud_with(calls: &[(&str, Json)]) -> Sim {
    let mut sim = rig::cloud();
    for (path, body) in calls {
        let call = r5flow::sim::Call {
            service: None,
            verb: Verb::Post,
            path: (*path).into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        };
        let now = sim.now();
        let reply = sim.handle(&call, now);
        assert_eq!(
            reply.answer.status,
            200,
            "{path}: {:?}",
            String::from_utf8_lossy(&reply.answer.body)
        );
        sim.advance(now.plus(Millis::mins(10)));
    }
    sim
}

const CHECKS: &str = "compute/v1/projects/demo/global/healthChecks";

pub fn a_check() -> (&'static str, Json) {
    let body = json!({ "name": "hc", "type": "HTTP", "checkIntervalSec": 5, "httpHealthCheck": { "port": 5080 } });
    (CHECKS, body)
}

#[test]
fn ensure_that_inserts() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step check = ensure compute.healthChecks("hc") { type: "HTTP", httpHealthCheck: { port: 5080 } }
  step address = ensure compute.addresses("a", region: "us-central1") { description: check.name }
  output link = check.selfLink
  output region = address.region
}
"#;
    survives_everywhere("insert", text, json!({}), &rig::cloud());
}

const PATCH: &str = r#"
workflow main {
  at { project: "demo" }
  step check = ensure compute.healthChecks("hc") { type: "HTTP", checkIntervalSec: 9s, httpHealthCheck: { port: 5081 } }
  output port = check.httpHealthCheck.port
  output every = check.checkIntervalSec
}
"#;

#[test]
fn ensure_that_patches() {
    survives_everywhere("patch", PATCH, json!({}), &cloud_with(&[a_check()]));
}

#[test]
fn ensure_that_replaces() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step address = ensure compute.addresses("a", region: "us-central1") { description: "new" }
    on change replace
  output text = address.description
}
"#;
    let old = (
        "compute/v1/projects/demo/regions/us-central1/addresses",
        json!({ "name": "a", "description": "old" }),
    );
    survives_everywhere("replace", text, json!({}), &cloud_with(&[old]));
}

const CALLS: &str = r#"
workflow main {
  at { project: "demo" }
  step made = call compute.healthChecks.insert() { name: "made", type: "TCP", tcpHealthCheck: { port: 80 } }
  step changed = call compute.healthChecks.patch("hc") { description: made.name }
  step gone = call compute.healthChecks.delete("made")
    after changed
  output made = made.selfLink
  output text = changed.description
}
"#;

#[test]
fn calls_that_insert_patch_and_delete() {
    survives_everywhere("calls", CALLS, json!({}), &cloud_with(&[a_check()]));
}

const MACHINE: &str = r#"
workflow main {
  at { project: "demo", zone: "us-central1-a" }
  step keep = call compute.instances.setDiskAutoDelete("stream-manager-1", deviceName: "persistent-disk-0", autoDelete: false)
  step stop = call compute.instances.stop("stream-manager-1")
    after keep
    until it.status == "TERMINATED"
  step gone = call compute.instances.delete("stream-manager-1")
    after stop
    require not one(disk in it.disks where disk.boot).autoDelete
  step image = ensure compute.images("sm") { sourceDisk: "projects/demo/zones/us-central1-a/disks/stream-manager-1" }
    after gone
    until it.status == "READY"
    timeout 30m
  output image = image.selfLink
  output status = stop.status
}
"#;

#[test]
fn calls_that_act_on_a_machine() {
    survives_everywhere("machine", MACHINE, json!({}), &rig::cloud());
}

#[test]
fn a_database_is_patched_and_restarted() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step set = ensure sqladmin.instances("red5") {
    settings: { ipConfiguration: { authorizedNetworks: [{ kind: "sql#aclEntry", name: "nat", value: "203.0.113.9/32" }] } }
  }
  step schema = ensure sqladmin.databases("extra", instance: "red5") { charset: "utf8" }
    after set
  step user = ensure sqladmin.users("sm", instance: "red5", host: "%") { password: "none-of-yours" }
    after schema
  step again = call sqladmin.instances.restart("red5")
    after user
  output schema = schema.name
}
"#;
    let cloud = rig::cloud();
    let proof = disturbed(text, &json!({}), &cloud);
    assert_eq!(proof.unprotected, 4, "Cloud SQL takes no request id");
    survives_everywhere("database", text, json!({}), &cloud);
}

#[test]
fn a_loop_over_what_was_read() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step all = read compute.regions.list()
  for region in [r.name for r in all.items where r.name != "us-east1"] limit 1 {
    step address = ensure compute.addresses("a", region: region) {}
    step check = ensure compute.healthChecks("hc-${region}") { type: "TCP", tcpHealthCheck: { port: 80 } }
      after address
  }
  if len(all.items) > 2 {
    step more = ensure compute.addresses("more", region: "us-central1") {}
  }
  output links = [c.selfLink for c in check]
}
"#;
    survives_everywhere("growth", text, json!({}), &rig::cloud());
}

const GATES: &str = r#"
hook twice(n: int) -> int = """rhai
  n * 2
  """

workflow inner {
  input n: int
  step address = ensure compute.addresses("in-${n}", region: "us-central1", project: "demo") {}
  checkpoint half
  step check = ensure compute.healthChecks("in-${n}", project: "demo") { type: "TCP", tcpHealthCheck: { port: n } }
  output link = check.selfLink
}

workflow main {
  at { project: "demo" }
  step four = hook twice(2)
  let eight = twice(four)
  step pause = wait 5m
    after four
  checkpoint ready
  step yes = approve "Go on with ${eight}?"
  step take = run inner { n: eight }
    after yes
  step maybe = run inner { n: twice(eight) }
    when yes.approved
    after take
  output link = take.link
  output who = yes.by
}
"#;

#[test]
fn hooks_gates_checkpoints_and_pauses() {
    survives_everywhere("gates", GATES, json!({}), &rig::cloud());
}

#[test]
fn services_without_request_ids() {
    let text = r#"
workflow main {
  at { project: "demo" }
  step topic = ensure pubsub.projects.topics("news") { labels: { a: "1" } }
  step secret = ensure secretmanager.projects.secrets("s") { replication: { automatic: {} } }
  step bucket = ensure storage.buckets("some-bucket") { location: "US" }
  step zone = ensure dns.managedZones("z") { dnsName: "example.com.", description: "d", visibility: "public" }
  step record = ensure dns.resourceRecordSets("www.example.com.", managedZone: zone.name, type: "A") { ttl: 300, rrdatas: ["203.0.113.9"] }
  output topic = topic.name
  output zone = zone.name
}
"#;
    survives_everywhere("no ids", text, json!({}), &rig::cloud());
}

/// States that are set by calls of which no resource shows which of them set it.
pub const STATES: &str = r#"
workflow main {
  at { project: "demo" }
  step secret = ensure secretmanager.projects.secrets("s") { replication: { automatic: {} } }
  step version = call secretmanager.projects.secrets.addVersion(parent: secret.name) { payload: { data: "aGVsbG8=" } }
    repeat safe
  step off = call secretmanager.projects.secrets.versions.disable(name: version.name)
  step on = call secretmanager.projects.secrets.versions.enable(name: version.name)
    after off
  step off_again = call secretmanager.projects.secrets.versions.disable(name: version.name)
    after on
  output state = off_again.state
}
"#;

#[test]
fn states_that_are_set_again_unseen() {
    survives_everywhere("states", STATES, json!({}), &rig::cloud());
    is_taken_back_everywhere("states", STATES, &rig::cloud());
}

/// A flow of `tests/flows`.
fn flow(name: &str) -> String {
    let path = format!("tests/flows/{name}.r5flow");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn ten_steps_on_a_database() {
    survives_everywhere("databases", &flow("databases"), json!({}), &rig::cloud());
}

#[test]
fn change_sets_and_secrets() {
    survives_everywhere("names", &flow("names"), json!({}), &rig::cloud());
}

#[test]
fn requests_to_the_web() {
    survives_everywhere("web", &flow("web"), json!({}), &rig::cloud());
}

#[test]
fn a_rollback_of_a_database() {
    is_taken_back_everywhere("databases", &flow("databases"), &rig::cloud());
}

#[test]
fn a_rollback_of_change_sets_and_secrets() {
    is_taken_back_everywhere("names", &flow("names"), &rig::cloud());
}

#[test]
fn a_rollback_of_requests_to_the_web() {
    is_taken_back_everywhere("web", &flow("web"), &rig::cloud());
}

#[test]
fn a_rollback_leaves_what_has_no_undo() {
    is_taken_back_everywhere("machine", MACHINE, &rig::cloud());
}

#[test]
fn a_rollback_of_what_grew_behind_gates() {
    is_taken_back_everywhere("gates", GATES, &rig::cloud());
}

#[test]
fn a_rollback_puts_old_values_back() {
    is_taken_back_everywhere("patch", PATCH, &cloud_with(&[a_check()]));
}

const STACK: &str = r#"
workflow main {
  at { project: "demo" }
  step net = ensure compute.networks("web") { autoCreateSubnetworks: false }
  step sub = ensure compute.subnetworks("web-a", region: "us-central1") {
    network: net.selfLink
    ipCidrRange: "10.1.0.0/24"
  }
  step disk = call compute.disks.insert(zone: "us-central1-a") { name: "d1", sizeGb: 10 }
    undo delete
  step routes = call compute.networks.patch("web") { routingConfig: { routingMode: "GLOBAL" } }
    after sub
    undo call compute.networks.patch("web") { routingConfig: net.routingConfig }
}
"#;

#[test]
fn a_rollback_of_what_stands_in_each_other() {
    is_taken_back_everywhere("stack", STACK, &rig::cloud());
}
